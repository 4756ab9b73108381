/* mrc_recency.c - the timeline of last references: memory, and moving the set bits together. */
#include "mrc_recency.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64 };

#define ZEROS8 0, 0, 0, 0, 0, 0, 0, 0
#define ONES8  1, 1, 1, 1, 1, 1, 1, 1
const uint16_t recency_behind16[] = { ZEROS8, ZEROS8, ZEROS8, ZEROS8, ONES8, ONES8, ONES8, ONES8 };
const uint32_t recency_behind32[] = { ZEROS8, ZEROS8, ZEROS8, ZEROS8, ONES8, ONES8, ONES8, ONES8 };

/* Elements that `capacity` positions need of what there is one of each 2^log2 positions, in whole groups. */
static size_t lanes_for(uint32_t capacity, unsigned log2)
{
    return nw_align_up(((uint64_t)capacity + NW_BIT(log2) - 1) >> log2, RECENCY_LANES);
}

/* One piece of memory, a group of counts never across two cache lines more than it has to be. */
static enum nw_status allocate(struct recency *r, uint32_t capacity, struct nw_error *err)
{
    struct recency a = { .capacity = capacity };
    size_t words = lanes_for(capacity, RECENCY_WORD_LOG2), groups = lanes_for(capacity, RECENCY_GROUP_LOG2),
           supers = lanes_for(capacity, RECENCY_SUPER_LOG2), tops = lanes_for(capacity, RECENCY_TOP_LOG2);
    size_t bytes = words * (sizeof *a.bit + sizeof *a.before_word) + groups * sizeof *a.before_group +
                   supers * sizeof *a.before_super + tops * sizeof *a.before_top;
    char *p = aligned_alloc(LINE_BYTES, nw_align_up(bytes, LINE_BYTES));
    a.page = malloc(capacity * sizeof *a.page);
    if (!p || !a.page) {
        free(p);
        free(a.page);
        return nw_fail_nomem(err, "an LRU stack");
    }
    memset(p, 0, bytes);
    a.before_word = (uint16_t *)(void *)p; /* each is a multiple of LINE_BYTES long: RECENCY_LANES of 2 bytes or more */
    a.before_group = a.before_word + words;
    a.before_super = (uint32_t *)(void *)(a.before_group + groups);
    a.before_top = a.before_super + supers;
    a.bit = (uint64_t *)(void *)(a.before_top + tops);
    *r = a;
    return NW_OK;
}

enum nw_status recency_init(struct recency *r, struct nw_error *err) { return allocate(r, RECENCY_CAPACITY_MIN, err); }

void recency_fini(struct recency *r)
{
    free(r->before_word); /* and what lies behind it */
    free(r->page);
    *r = (struct recency){ 0 };
}

/* All positions below r->live are set, and no others. */
static void count_anew(struct recency *r)
{
    uint32_t words = r->live >> RECENCY_WORD_LOG2;
    memset(r->bit, 0xff, words * sizeof *r->bit);
    memset(r->bit + words, 0, ((r->capacity >> RECENCY_WORD_LOG2) - words) * sizeof *r->bit);
    if (r->live % 64)
        r->bit[words] = nw_mask(r->live % 64 - 1, 0);
    for (uint32_t i = 0; i <= words; i++)
        r->before_word[i] = (uint16_t)(i % RECENCY_LANES << RECENCY_WORD_LOG2);
    for (uint32_t i = 0; i <= r->live >> RECENCY_GROUP_LOG2; i++)
        r->before_group[i] = (uint16_t)(i % RECENCY_LANES << RECENCY_GROUP_LOG2);
    for (uint32_t i = 0; i <= r->live >> RECENCY_SUPER_LOG2; i++)
        r->before_super[i] = i % RECENCY_LANES << RECENCY_SUPER_LOG2;
    for (uint32_t i = 0; i <= r->live >> RECENCY_TOP_LOG2; i++)
        r->before_top[i] = i << RECENCY_TOP_LOG2;
}

enum nw_status recency_compact(struct recency *r, uint32_t *position, struct nw_error *err)
{
    struct recency old = *r;
    /* Four positions a page: a page is renumbered once in three references of any page, or less often. */
    uint64_t capacity = old.capacity;
    while (capacity < 4 * (uint64_t)old.live)
        capacity *= 2;
    if (capacity > RECENCY_CAPACITY_MAX)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "the trace touches more than %u distinct pages: no LRU stack holds so many",
                       RECENCY_CAPACITY_MAX / 4);
    enum nw_status s = capacity > old.capacity ? allocate(r, (uint32_t)capacity, err) : NW_OK;
    if (s)
        return s;
    uint32_t to = 0, mark = 0;
    for (uint32_t word = 0; word < (old.next + 63) >> RECENCY_WORD_LOG2; word++)
        for (uint64_t bits = old.bit[word]; bits; bits &= bits - 1, to++) {
            uint32_t at = word * 64 + (uint32_t)__builtin_ctzll(bits), page = old.page[at];
            mark += at < old.mark;
            r->page[to] = page;
            position[page] = to;
        }
    r->live = r->next = to;
    r->mark = mark;
    count_anew(r);
    if (capacity > old.capacity)
        recency_fini(&old);
    return NW_OK;
}
