/* mrc_recency.h - private to sim/: one LRU stack as a timeline of last references, for exact stack distances (Mattson, Gecsei, Slutz
 * and Traiger, "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2), 1970).
 *
 * Each reference takes the next position of the timeline, and a page is where its last reference is: one set bit a page. The stack distance of a
 * reference is how many pages were referenced since the page's last one, that is, how many bits are set above it. So a reference
 * counts the bits above one position, clears it, and sets the next one. When the positions run out, the bits that are still set are
 * moved together at the start, in order.
 *
 * Counting. Above the bitmap's words stands a hierarchy of counts, 32 to a group: each says how many bits are set before it in its group. The
 * bits up to a position are then one count a level and one popcount, all plain loads. Clearing a bit takes 1 from the counts behind it in its group, on every
 * level: a subtraction of a fixed number of lanes from under a sliding mask, without a branch. Setting a bit costs nothing: the new position is the
 * last one, and nothing behind it is counted yet. A count is made when the timeline comes to what it belongs to. */
#ifndef NW_SIM_MRC_RECENCY_H
#define NW_SIM_MRC_RECENCY_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECENCY_LANES = 32,
    RECENCY_WORD_LOG2 = 6,
    RECENCY_GROUP_LOG2 = RECENCY_WORD_LOG2 + 5, /* positions of 32 words, and so on */
    RECENCY_SUPER_LOG2 = RECENCY_GROUP_LOG2 + 5,
    RECENCY_TOP_LOG2 = RECENCY_SUPER_LOG2 + 5,
    RECENCY_CAPACITY_MIN = 128,
};
#define RECENCY_CAPACITY_MAX (UINT32_C(1) << 31)
#define RECENCY_NEVER        UINT32_MAX /* the position of a page that was not referenced yet */

struct recency {
    uint32_t next;     /* the position of the next reference */
    uint32_t capacity; /* positions; a power of two */
    uint32_t live;     /* bits set: distinct pages */
    uint32_t mark;     /* the first position of the present window; moves along when positions are renumbered */
    uint64_t *bit;
    uint16_t *before_word;  /* [word]: bits set before it in its group of 32 words */
    uint16_t *before_group; /* [group]: in its 32 groups */
    uint32_t *before_super; /* [32 groups]: in its 32 times 32 groups */
    uint32_t *before_top;   /* [32 times 32 groups]: in all before */
    uint32_t *page;         /* [position]: whose reference that was */
};

/* An empty one. NW_ERR_NOMEM. */
enum nw_status recency_init(struct recency *r, struct nw_error *err) NW_MUST_USE;
void recency_fini(struct recency *r);

/* Makes room for at least one more reference; position[page] follows. NW_ERR_NOMEM; NW_ERR_UNSUPPORTED with more pages than can be numbered. */
enum nw_status recency_compact(struct recency *r, uint32_t *position, struct nw_error *err) NW_MUST_USE;

NW_INLINE bool recency_full(const struct recency *r) { return r->next == r->capacity; }

/* Bits in a word, spelled out in a way that compilers know: one instruction where the target has it. */
NW_INLINE uint32_t recency_bits_of(uint64_t v)
{
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(v * UINT64_C(0x0101010101010101) >> 56);
}

/* [31 - lane + j] is 1 for the lanes j behind `lane` */
extern const uint16_t recency_behind16[2 * RECENCY_LANES];
extern const uint32_t recency_behind32[2 * RECENCY_LANES];

NW_INLINE void recency_less16(uint16_t *group, uint32_t lane)
{
    const uint16_t *behind = recency_behind16 + RECENCY_LANES - 1 - lane;
    for (unsigned j = 0; j < RECENCY_LANES; j++)
        group[j] = (uint16_t)(group[j] - behind[j]);
}

NW_INLINE void recency_less32(uint32_t *group, uint32_t lane)
{
    const uint32_t *behind = recency_behind32 + RECENCY_LANES - 1 - lane;
    for (unsigned j = 0; j < RECENCY_LANES; j++)
        group[j] -= behind[j];
}

/* Levels of counts that say anything: those above are all 0. 1 to RECENCY_LEVELS. */
enum { RECENCY_LEVELS = 4 };
NW_INLINE unsigned recency_levels(const struct recency *r)
{
    unsigned levels = 1;
    for (unsigned log2 = RECENCY_GROUP_LOG2; levels < RECENCY_LEVELS && r->capacity > UINT32_C(1) << log2; log2 += 5)
        levels++;
    return levels;
}

/* Bits set before the word that holds `at`. */
NW_INLINE uint32_t recency_before(const struct recency *r, uint32_t at, unsigned levels)
{
    uint32_t before = r->before_word[at >> RECENCY_WORD_LOG2];
    if (levels > 1)
        before += r->before_group[at >> RECENCY_GROUP_LOG2];
    if (levels > 2)
        before += r->before_super[at >> RECENCY_SUPER_LOG2];
    if (levels > 3)
        before += r->before_top[at >> RECENCY_TOP_LOG2];
    return before;
}

/* The timeline comes to the word of position `next`: its counts begin, and those of the groups that begin there. `set`: bits set. */
NW_INLINE void recency_open_word(struct recency *r, uint32_t set)
{
    uint32_t at = r->next, word = at >> RECENCY_WORD_LOG2, group = at >> RECENCY_GROUP_LOG2,
             super = at >> RECENCY_SUPER_LOG2, top = at >> RECENCY_TOP_LOG2;
    if (!(at & (uint32_t)nw_mask(RECENCY_TOP_LOG2 - 1, 0)))
        r->before_top[top] = set;
    uint32_t rest = set - r->before_top[top];
    if (!(at & (uint32_t)nw_mask(RECENCY_SUPER_LOG2 - 1, 0)))
        r->before_super[super] = rest;
    rest -= r->before_super[super];
    if (!(at & (uint32_t)nw_mask(RECENCY_GROUP_LOG2 - 1, 0)))
        r->before_group[group] = (uint16_t)rest;
    r->before_word[word] = (uint16_t)(rest - r->before_group[group]);
}

/* Sets the next position, with `set` bits set so far. */
NW_INLINE void recency_push(struct recency *r, uint32_t page, uint32_t set)
{
    uint32_t at = r->next;
    if (NW_UNLIKELY(!(at % 64)))
        recency_open_word(r, set);
    r->bit[at >> RECENCY_WORD_LOG2] |= NW_BIT(at % 64);
    r->page[at] = page;
    r->next = at + 1;
}

/* ---- a reference; there must be room. The page's position is then what `next` was before. ---- */

/* The first one to `page`. */
NW_INLINE void recency_first(struct recency *r, uint32_t page) { recency_push(r, page, r->live++); }

/* One to `page`, whose last one is at `at`. Returns its stack distance: how many pages were referenced in between. `levels` is recency_levels() or
 * more; a compile-time value where it counts. */
NW_INLINE uint32_t recency_again(struct recency *r, uint32_t page, uint32_t at, unsigned levels)
{
    uint32_t word = at >> RECENCY_WORD_LOG2, group = at >> RECENCY_GROUP_LOG2, super = at >> RECENCY_SUPER_LOG2;
    uint64_t bits = r->bit[word], up_to = UINT64_MAX >> (63 - at % 64);
    uint32_t distance = r->live - recency_before(r, at, levels) - recency_bits_of(bits & up_to);
    r->bit[word] = bits & ~NW_BIT(at % 64);
    recency_less16(r->before_word + group * RECENCY_LANES, word % RECENCY_LANES);
    if (levels > 1)
        recency_less16(r->before_group + super * RECENCY_LANES, group % RECENCY_LANES);
    if (levels > 2)
        recency_less32(r->before_super + (at >> RECENCY_TOP_LOG2) * RECENCY_LANES, super % RECENCY_LANES);
    if (levels > 3)
        for (uint32_t top = at >> RECENCY_TOP_LOG2, last = r->next >> RECENCY_TOP_LOG2; top < last;)
            r->before_top[++top]--;
    recency_push(r, page, r->live - 1);
    return distance;
}

#endif
