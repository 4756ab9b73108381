#include "mrc_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum nw_status mrc_sample_init(struct mrc_sample *s, double rate, uint64_t seed, const uint64_t *size,
                               size_t size_count, struct nw_error *err)
{
    *s = (struct mrc_sample){ .seed = nw_mix64(seed), .size = size, .size_count = size_count };
    s->threshold = (uint32_t)(rate * 0x1p24 + 0.5);
    if (!s->threshold)
        s->threshold = 1;
    s->needed = calloc(size_count + 1, sizeof *s->needed);
    if (!s->needed)
        return nw_fail_nomem(err, "a sampled curve");
    for (size_t i = 0; i < size_count; i++) {
        double needed = ceil((double)size[i] * mrc_sample_rate(s));
        s->needed[i] = needed < UINT32_MAX ? (uint32_t)needed : UINT32_MAX;
    }
    enum nw_status status = mrc_pages_init(&s->pages, err);
    return status ? status : mrc_stack_init(&s->stack, 1, err);
}

void mrc_sample_fini(struct mrc_sample *s)
{
    mrc_pages_fini(&s->pages);
    mrc_stack_fini(&s->stack);
    free(s->needed);
    free(s->tally);
    *s = (struct mrc_sample){ 0 };
}

static bool everything(const struct mrc_sample *s) { return s->threshold == NW_BIT(MRC_RATE_LOG2); }

static enum nw_status reserve(struct mrc_sample *s, struct nw_error *err)
{
    enum nw_status status = mrc_stack_reserve(&s->stack, s->pages.count, err);
    if (status || everything(s) || s->stack.room == s->tally_room)
        return status;
    size_t width = s->size_count + 1, old = s->tally_room, room = s->stack.room;
    uint32_t *tally = reallocarray(s->tally, room * width, sizeof *tally);
    if (!tally)
        return nw_fail_nomem(err, "the misses of sampled pages");
    memset(tally + old * width, 0, (room - old) * width * sizeof *tally);
    s->tally = tally;
    s->tally_room = s->stack.room;
    return NW_OK;
}

static enum nw_status take(struct mrc_sample *s, uint64_t name, struct nw_error *err)
{
    uint32_t number;
    enum nw_status status = mrc_pages_number(&s->pages, name, &number, err);
    if (status || (status = reserve(s, err)) ||
        (recency_full(s->stack.order) && (status = recency_compact(s->stack.order, s->stack.position, err))))
        return status;
    uint32_t distance = mrc_stack_one(&s->stack, s->stack.order, number);
    if (distance != RECENCY_NEVER)
        s->stack.count[distance]++;
    if (!s->tally)
        return NW_OK;
    size_t missed = 0;
    while (missed < s->size_count && s->needed[missed] <= distance)
        missed++;
    s->tally[number * (s->size_count + 1) + missed]++;
    return NW_OK;
}

enum nw_status mrc_sample_take(struct mrc_sample *s, const uint64_t *name, uint32_t count, struct nw_error *err)
{
    enum { SLICE = 256 };
    uint64_t picked[SLICE];
    for (uint32_t first = 0; first < count; first += SLICE) {
        uint32_t last = count - first < SLICE ? count : first + SLICE, n = 0;
        for (uint32_t i = first; i < last; i++) { /* without a branch: which pages are picked cannot be foreseen */
            picked[n] = name[i];
            n += nw_mix64(name[i] ^ s->seed) >> (64 - MRC_RATE_LOG2) < s->threshold;
        }
        for (uint32_t i = 0; i < n; i++) {
            enum nw_status status = take(s, picked[i], err);
            if (status)
                return status;
        }
    }
    return NW_OK;
}

/* The sum over sampled pages of the square of their misses, for each size. */
static void sum_squares(const struct mrc_sample *s, double *square)
{
    size_t width = s->size_count + 1;
    for (size_t page = 0; s->tally && page < s->pages.count; page++) {
        double misses = 0;
        for (size_t i = s->size_count; i-- > 0;) {
            misses += s->tally[page * width + i + 1];
            square[i] += misses * misses;
        }
    }
}

enum nw_status mrc_sample_points(const struct mrc_sample *s, struct nw_mrc_curve *c, struct nw_error *err)
{
    double *square = calloc(s->size_count + 1, sizeof *square), rate = mrc_sample_rate(s);
    c->point = calloc(s->size_count + 1, sizeof *c->point);
    if (!square || !c->point) {
        free(square);
        return nw_fail_nomem(err, "a sampled curve");
    }
    sum_squares(s, square);
    double all = (double)c->changes, seen = (double)c->followed;
    for (size_t i = 0; i < s->size_count; i++) {
        double n = (double)s->size[i], misses = nw_mrc_misses(c, s->size[i]);
        double beside = MRC_SIGMAS * sqrt(n * (1 - rate) / rate);
        /* Of the references that change the page, rate * all should have been followed. With none at all nothing is known. */
        double other = seen > 0 ? misses * rate * all / seen : all;
        double error = MRC_SIGMAS * sqrt(square[i] * (1 - rate)) / rate + fabs(other - misses);
        double most = MRC_SIGMAS * sqrt((all / n + 1) * misses * (1 - rate) / rate);
        error = seen > 0 && most < error ? most : error;
        double low = nw_mrc_misses(c, (uint64_t)ceil(n + beside)) - error,
               high = n - beside >= 1 ? nw_mrc_misses(c, (uint64_t)(n - beside)) + error : all;
        c->point[i] = (struct nw_mrc_point){ s->size[i], misses, low > 0 ? low : 0, high < all ? high : all };
    }
    c->point_count = s->size_count;
    free(square);
    return NW_OK;
}
