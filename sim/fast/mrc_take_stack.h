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

/* On a copy of the order, which nothing else points to: it stays in registers. */
static NW_NOINLINE enum nw_status take_one_set(struct mrc_stack *s, const uint32_t *number, uint32_t count,
                                               struct nw_error *err)
{
    uint32_t distances[STACK_SLICE], n = 0;
    struct recency r = *s->order;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 2 * STACK_AHEAD < count)
            NW_PREFETCH(s->position + number[i + 2 * STACK_AHEAD]);
        if (i + STACK_AHEAD < count) { /* where it will be, unless it is referenced before that, or renumbered */
            uint32_t at = s->position[number[i + STACK_AHEAD]] & (r.capacity - 1);
            NW_PREFETCH(r.bit + (at >> RECENCY_WORD_LOG2));
            NW_PREFETCH(r.before_word + (at >> RECENCY_WORD_LOG2));
        }
        if (NW_UNLIKELY(recency_full(&r))) {
            *s->order = r;
            enum nw_status status = recency_compact(s->order, s->position, err);
            if (status)
                return status;
            r = *s->order;
        }
        distances[n] = mrc_stack_one(s, &r, number[i]);
        n += distances[n] != RECENCY_NEVER;
        if (n == STACK_SLICE) {
            add_up(s, distances, n);
            n = 0;
        }
    }
    *s->order = r;
    add_up(s, distances, n);
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
            distances[n++] = recency_again(r, number[i], at);
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
