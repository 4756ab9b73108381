/* structures.h - the fast engine's caches, built on packed.h: TLB arrays, paging-structure caches and nested TLB, line caches. */
#ifndef NW_SIM_STRUCTURES_H
#define NW_SIM_STRUCTURES_H

#include "../engine.h"
#include "ring.h"
#include <nestwalk/base/rng.h>
#include <stdlib.h>

/* ---- TLB arrays ----
 * One word an entry: bits 63:19 page number (45 bits: a canonical address of at most 57 bits is told by them), 18:6 address space (PCID, or
 * GLOBAL_SPACE), 5:4 size class + 1, 3:0 rights. */
enum { WORD_PAGE_SHIFT = 19, WORD_SPACE_SHIFT = 6, WORD_SIZE_SHIFT = 4, GLOBAL_SPACE = 0x1000, SPACE_MASK = 0x1fff };
#define WORD_RIGHTS UINT64_C(15)

/* State of the policies that do not keep a set in recency order; mmu/tlb.h words them. Their ways keep their places. */
struct packed_policy {
    unsigned kind, ways; /* enum nw_tlb_policy */
    unsigned tree_leaves, tree_words;
    uint64_t *tree; /* tree-PLRU: [set * tree_words + node / 64] */
    uint8_t *age;   /* NRU's bit, SRRIP's prediction: [set * ways + way] */
    struct nw_rng rng;
};

static inline void tree_use(struct packed_policy *p, uint64_t set, unsigned way)
{
    uint64_t *tree = p->tree + set * p->tree_words;
    unsigned node = 1, first = 0;
    for (unsigned span = p->tree_leaves / 2; span; span /= 2) {
        unsigned right = way >= first + span;
        tree[node / 64] = (tree[node / 64] & ~(UINT64_C(1) << node % 64)) | (uint64_t)!right << node % 64;
        node = 2 * node + right;
        first += right ? span : 0;
    }
}

static inline unsigned tree_victim(const struct packed_policy *p, uint64_t set)
{
    const uint64_t *tree = p->tree + set * p->tree_words;
    unsigned node = 1, first = 0;
    for (unsigned span = p->tree_leaves / 2; span; span /= 2) {
        unsigned right = (tree[node / 64] >> node % 64 & 1) && first + span < p->ways;
        node = 2 * node + right;
        first += right ? span : 0;
    }
    return first;
}

/* A use of a way; `fresh`: it has just been given to another page. */
static NW_NOINLINE void policy_use(struct packed_policy *p, uint64_t set, unsigned way, bool fresh)
{
    uint8_t *age = p->age + set * p->ways;
    if (p->kind == NW_TLB_PLRU) {
        tree_use(p, set, way);
    } else if (p->kind == NW_TLB_SRRIP) {
        age[way] = fresh ? 2 : 0;
    } else if (p->kind == NW_TLB_NRU) {
        unsigned clear = 0;
        age[way] = 1;
        for (unsigned w = 0; w < p->ways; w++)
            clear += !age[w];
        if (!clear) {
            memset(age, 0, p->ways);
            age[way] = 1;
        }
    }
}

static NW_NOINLINE unsigned policy_victim(struct packed_policy *p, uint64_t set)
{
    uint8_t *age = p->age + set * p->ways;
    if (p->kind == NW_TLB_PLRU)
        return tree_victim(p, set);
    if (p->kind == NW_TLB_RANDOM)
        return (unsigned)nw_rng_below(&p->rng, p->ways);
    for (const uint8_t wanted = p->kind == NW_TLB_SRRIP ? 3 : 0;;) {
        for (unsigned w = 0; w < p->ways; w++)
            if (age[w] == wanted)
                return w;
        if (p->kind == NW_TLB_NRU)
            return 0; /* one way, always in use */
        for (unsigned w = 0; w < p->ways; w++)
            age[w]++;
    }
}

/* Where the policy puts a newcomer into the set at `word`: an empty way, or the victim's. */
static inline unsigned policy_place(struct packed_policy *p, uint64_t set, const uint64_t *word,
                                    bool (*empty)(uint64_t))
{
    for (unsigned way = 0; way < p->ways; way++)
        if (empty(word[way]))
            return way;
    return policy_victim(p, set);
}

static inline enum nw_status policy_init(struct packed_policy *p, uint64_t kind, uint64_t sets, uint64_t ways,
                                         struct nw_rng rng, struct nw_error *err)
{
    p->kind = (unsigned)kind;
    p->ways = (unsigned)ways;
    p->rng = rng;
    p->tree_leaves = 1u << nw_log2_ceil(ways);
    p->tree_words = (p->tree_leaves + 63) / 64;
    p->tree = calloc(sets, p->tree_words * sizeof *p->tree);
    p->age = calloc(sets, ways);
    return p->tree && p->age ? NW_OK : nw_fail_nomem(err, "a replacement policy's state");
}

static inline void policy_fini(struct packed_policy *p)
{
    free(p->tree);
    free(p->age);
}

struct packed_tlb {
    uint64_t *word;   /* [set * lanes + position] */
    uint32_t *narrow; /* likewise; instead of `word` while k->alike.narrow (narrow_tlb.h) */
    struct packed_modulus sets;
    unsigned ways, lanes, sets_log2; /* of a power of two; else 0 */
    bool lru;                        /* sets are in recency order; else `policy` keeps the state */
    unsigned present;                /* bit s: an entry of size class s may be in the array */
    uint64_t held[3], globals;       /* valid entries by size class; global ones */
    struct packed_policy policy;
    uint64_t hits, misses, evictions, invalidated;
};

NW_INLINE uint64_t page_of_class(uint64_t page, unsigned size) { return page >> (9 * size); }
NW_INLINE uint64_t tlb_word(uint64_t page, uint64_t space, unsigned size, uint64_t rights)
{
    return page_of_class(page, size) << WORD_PAGE_SHIFT | space << WORD_SPACE_SHIFT |
           (uint64_t)(size + 1) << WORD_SIZE_SHIFT | rights;
}
static inline unsigned word_size(uint64_t word) { return (unsigned)(word >> WORD_SIZE_SHIFT & 3) - 1; }
static inline uint64_t word_space(uint64_t word) { return word >> WORD_SPACE_SHIFT & SPACE_MASK; }

static inline bool word_is_empty(uint64_t word) { return word == PACKED_EMPTY; }

NW_INLINE uint64_t *tlb_set(const struct packed_tlb *t, uint64_t page, unsigned size)
{
    return t->word + packed_mod(&t->sets, page_of_class(page, size)) * t->lanes;
}

struct tlb_place {
    uint64_t *set; /* NULL: not there */
    unsigned at;
};

/* Where the translation of `page` in the address space stands: no use is made of it. An entry of the space itself goes before a global one. */
NW_INLINE struct tlb_place tlb_peek(const struct packed_tlb *t, uint64_t page, uint64_t space)
{
    for (unsigned left = t->present; left; left &= left - 1) {
        unsigned size = (unsigned)__builtin_ctz(left);
        uint64_t *set = tlb_set(t, page, size);
        int at = packed_find(set, t->lanes, tlb_word(page, space, size, 0), WORD_RIGHTS);
        if (NW_UNLIKELY(at < 0 && t->globals))
            at = packed_find(set, t->lanes, tlb_word(page, GLOBAL_SPACE, size, 0), WORD_RIGHTS);
        if (at >= 0)
            return (struct tlb_place){ set, (unsigned)at };
    }
    return (struct tlb_place){ NULL, 0 };
}

/* A use of the entry there: it becomes the most recent. Returns its word. */
NW_INLINE uint64_t tlb_use(struct packed_tlb *t, struct tlb_place place)
{
    uint64_t word = place.set[place.at];
    if (NW_UNLIKELY(!t->lru))
        policy_use(&t->policy, (uint64_t)(place.set - t->word) / t->lanes, place.at, false);
    else if (place.at)
        packed_push(place.set, t->lanes, place.at, word);
    return word;
}

static inline void tlb_gone(struct packed_tlb *t, uint64_t word)
{
    unsigned size = word_size(word);
    if (!--t->held[size])
        t->present &= ~(1u << size);
    t->globals -= word_space(word) == GLOBAL_SPACE;
}

static inline void tlb_came(struct packed_tlb *t, uint64_t word)
{
    unsigned size = word_size(word);
    t->held[size]++;
    t->present |= 1u << size;
    t->globals += word_space(word) == GLOBAL_SPACE;
}

/* Puts in a translation that a look-up has just missed. */
NW_INLINE void tlb_insert(struct packed_tlb *t, uint64_t page, uint64_t space, unsigned size, uint64_t rights)
{
    uint64_t word = tlb_word(page, space, size, rights), out, *set = tlb_set(t, page, size);
    if (NW_LIKELY(t->lru)) {
        out = packed_push(set, t->lanes, t->ways - 1, word);
    } else {
        uint64_t number = (uint64_t)(set - t->word) / t->lanes;
        unsigned way = policy_place(&t->policy, number, set, word_is_empty);
        out = set[way];
        set[way] = word;
        policy_use(&t->policy, number, way, true);
    }
    if (out != PACKED_EMPTY) {
        t->evictions++;
        if (NW_LIKELY(word_size(out) == size && !((word_space(out) ^ word_space(word)) & GLOBAL_SPACE)))
            return; /* one of a kind goes, one of the same kind comes */
        tlb_gone(t, out);
    }
    tlb_came(t, word);
}

/* ---- caches with payloads: PSCs and the nested TLB ----
 * order[set * lanes + position] holds tag << SLOT_BITS | slot, most recent first; the payload of an entry stays where it is. Under a policy other than
 * LRU positions stay as well, and slot = way. */
enum { SLOT_BITS = 13 };
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
#define TAG_EMPTY (UINT64_MAX >> SLOT_BITS)

struct packed_entry {
    uint64_t a, b, c, d; /* PSC: table HPA, table GPA, allowed bits, flags. Nested TLB: page HPA, -, allowed bits, D */
};
enum {
    ENTRY_LAZY = 8
}; /* in d: what the entry keeps is to be found yet; of the nested TLB's, b has the GPA (regular_walk.h) */
struct packed_assoc {
    uint64_t *order;
    struct packed_entry *entry; /* [set * ways + slot] */
    struct packed_modulus sets;
    unsigned entries, ways, lanes; /* entries 0: there is none */
    bool lru;
    unsigned present;  /* nested TLB: bit s: an entry of size class s may be there */
    struct ring *ring; /* one set of true LRU: it has the tags, and `order` and `policy` nothing; else NULL */
    struct packed_policy policy;
};

static inline bool order_is_empty(uint64_t word) { return word >> SLOT_BITS == TAG_EMPTY; }

/* `number` chooses the set: the address's page number at the size that the entry covers. */
NW_INLINE struct packed_entry *assoc_lookup(struct packed_assoc *k, uint64_t number, uint64_t tag)
{
    if (NW_LIKELY(k->ring)) {
        int place = ring_use(k->ring, tag);
        return place < 0 ? NULL : &k->entry[place];
    }
    uint64_t set = packed_mod(&k->sets, number), *order = k->order + set * k->lanes;
    struct packed_entry *entry = k->entry + set * k->ways;
    uint64_t word = order[0]; /* the most recent one needs no search and no move */
    if ((word ^ tag << SLOT_BITS) <= SLOT_MASK && k->lru)
        return &entry[word & SLOT_MASK];
    int at = packed_find(order, k->lanes, tag << SLOT_BITS, SLOT_MASK);
    if (at < 0)
        return NULL;
    word = order[at];
    if (NW_LIKELY(k->lru))
        packed_push(order, k->lanes, (unsigned)at, word);
    else
        policy_use(&k->policy, set, (unsigned)at, false);
    return &entry[word & SLOT_MASK];
}

/* The entry to fill for `tag`, which a look-up has just missed. */
NW_INLINE struct packed_entry *assoc_insert(struct packed_assoc *k, uint64_t number, uint64_t tag)
{
    if (NW_LIKELY(k->ring))
        return &k->entry[ring_insert(k->ring, tag)];
    uint64_t set = packed_mod(&k->sets, number), *order = k->order + set * k->lanes, slot;
    if (NW_LIKELY(k->lru)) {
        slot = order[k->ways - 1] & SLOT_MASK;
        packed_push(order, k->lanes, k->ways - 1, tag << SLOT_BITS | slot);
    } else {
        slot = policy_place(&k->policy, set, order, order_is_empty);
        order[slot] = tag << SLOT_BITS | slot;
        policy_use(&k->policy, set, (unsigned)slot, true);
    }
    return &k->entry[set * k->ways + slot];
}

/* ---- caches of lines ----
 * Line numbers are 32-bit words as long as all that were seen fit (256 GiB of simulated memory), then 64-bit ones. */
struct packed_lines {
    uint32_t *narrow; /* [set * lanes + position]; NULL once there are wide ones */
    uint64_t *wide;
    struct packed_modulus sets;
    unsigned ways, lanes;
};

#endif
