/* mrc_take_stack.h - the loops over references of mrc_stack.h. Part of mrc_take.c. Hot. */
#ifndef NW_SIM_MRC_TAKE_STACK_H
#define NW_SIM_MRC_TAKE_STACK_H

#include "mrc_stack.h"

enum { STACK_AHEAD = 12, STACK_SLICE = 1024 };

/* Counts of distances are all over memory: they are added up apart from the rest, whose stores would wait for them. */
NW_INLINE void add_up(struct mrc_stack *s, const uint32_t *distance, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i + 2 * STACK_AHEAD < count)
            NW_PREFETCH(s->count + distance[i + 2 * STACK_AHEAD]);
        s->count[distance[i]]++;
    }
}

/* At most STACK_SLICE references for which there is room; `after` more follow. On a copy of the order, which nothing else points to: it stays in
 * registers. */
NW_INLINE void take_slice(struct mrc_stack *s, const uint32_t *number, uint32_t count, uint32_t after, unsigned levels)
{
    uint32_t distances[STACK_SLICE], n = 0, distinct = 0, *position = s->position;
    struct recency r = *s->order;
    const bool far = levels > 1; /* else everything is small, and at hand */
    for (uint32_t i = 0; i < count; i++) {
        if (far && i + 2 * STACK_AHEAD < count + after)
            NW_PREFETCH(position + number[i + 2 * STACK_AHEAD]);
        if (far && i + STACK_AHEAD < count + after) {
            /* Where it will be, unless it is referenced before that, or renumbered. */
            uint32_t word = (position[number[i + STACK_AHEAD]] & (r.capacity - 1)) >> RECENCY_WORD_LOG2;
            NW_PREFETCH(r.bit + word);
            NW_PREFETCH(r.before_word + word);
        }
        uint32_t page = number[i], at = position[page];
        position[page] = r.next;
        if (NW_UNLIKELY(at == RECENCY_NEVER)) {
            distinct++;
            s->cold++;
            recency_first(&r, page);
            continue;
        }
        distinct += at < r.mark;
        distances[n++] = recency_again(&r, page, at, levels);
    }
    *s->order = r;
    s->distinct += distinct;
    add_up(s, distances, n);
}

static NW_NOINLINE void take_slice_1(struct mrc_stack *s, const uint32_t *number, uint32_t count, uint32_t after)
{
    take_slice(s, number, count, after, 1);
}

static NW_NOINLINE void take_slice_3(struct mrc_stack *s, const uint32_t *number, uint32_t count, uint32_t after)
{
    take_slice(s, number, count, after, 3);
}

static NW_NOINLINE void take_slice_any(struct mrc_stack *s, const uint32_t *number, uint32_t count, uint32_t after)
{
    take_slice(s, number, count, after, RECENCY_LEVELS);
}

static enum nw_status take_one_set(struct mrc_stack *s, const uint32_t *number, uint32_t count, struct nw_error *err)
{
    for (uint32_t done = 0; done < count;) {
        if (recency_full(s->order)) {
            enum nw_status status = recency_compact(s->order, s->position, err);
            if (status)
                return status;
        }
        uint32_t n = s->order->capacity - s->order->next;
        n = n < STACK_SLICE ? n : STACK_SLICE;
        n = n < count - done ? n : count - done;
        unsigned levels = recency_levels(s->order);
        (levels == 1   ? take_slice_1
         : levels <= 3 ? take_slice_3
                       : take_slice_any)(s, number + done, n, count - done - n);
        done += n;
    }
    return NW_OK;
}

/* `power_of_two`: the number of sets is one; a compile-time value where this is used. */
NW_INLINE struct recency *set_of(const struct mrc_stack *s, uint64_t name, bool power_of_two)
{
    uint64_t page = mrc_page_of(name);
    return s->order + (power_of_two ? page & (s->sets - 1) : page % s->sets);
}

NW_INLINE enum nw_status take_sets(struct mrc_stack *s, const uint32_t *number, const uint64_t *name, uint32_t count,
                                   bool power_of_two, struct nw_error *err)
{
    uint32_t distances[STACK_SLICE], n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 2 * STACK_AHEAD < count)
            NW_PREFETCH(s->position + number[i + 2 * STACK_AHEAD]);
        if (i + STACK_AHEAD < count) {
            const struct recency *r = set_of(s, name[i + STACK_AHEAD], power_of_two);
            uint32_t at = s->position[number[i + STACK_AHEAD]] & (r->capacity - 1);
            NW_PREFETCH(r->bit + (at >> RECENCY_WORD_LOG2));
            NW_PREFETCH(r->before_word + (at >> RECENCY_WORD_LOG2));
        }
        struct recency *r = set_of(s, name[i], power_of_two);
        uint32_t at = s->position[number[i]];
        if (at == r->next - 1 && at != RECENCY_NEVER) { /* used last in its set: nothing moves */
            s->count[0]++;
            continue;
        }
        if (NW_UNLIKELY(recency_full(r))) {
            enum nw_status status = recency_compact(r, s->position, err);
            if (status)
                return status;
            at = s->position[number[i]];
        }
        s->position[number[i]] = r->next;
        if (at == RECENCY_NEVER) {
            s->cold++;
            recency_first(r, number[i]);
        } else {
            distances[n++] = recency_again(r, number[i], at, recency_levels(r));
        }
        if (n == STACK_SLICE) {
            add_up(s, distances, n);
            n = 0;
        }
    }
    add_up(s, distances, n);
    return NW_OK;
}

static NW_NOINLINE enum nw_status stack_take(struct mrc_stack *s, const uint32_t *number, const uint64_t *name,
                                             uint32_t count, struct nw_error *err)
{
    if (s->sets == 1)
        return take_one_set(s, number, count, err);
    return nw_is_pow2(s->sets) ? take_sets(s, number, name, count, true, err)
                               : take_sets(s, number, name, count, false, err);
}

#endif
