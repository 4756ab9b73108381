/* structures.h - the fast engine's caches, built on packed.h: TLB arrays, paging-structure caches and nested TLB, line caches. */
#ifndef NW_SIM_STRUCTURES_H
#define NW_SIM_STRUCTURES_H

#include "../engine.h"
#include "packed.h"
#include <nestwalk/base/rng.h>
#include <stdlib.h>

/* ---- TLB arrays ----
 * One word an entry: bits 63:19 page number (45 bits: a canonical address of at most 57 bits is told by them), 18:6 address space (PCID, or
 * GLOBAL_SPACE), 5:4 size class + 1, 3:0 rights. */
enum { WORD_PAGE_SHIFT = 19, WORD_SPACE_SHIFT = 6, WORD_SIZE_SHIFT = 4, GLOBAL_SPACE = 0x1000, SPACE_MASK = 0x1fff };
#define WORD_RIGHTS UINT64_C(15)

struct packed_tlb {
    uint64_t *word; /* [set * lanes + position] */
    struct packed_modulus sets;
    unsigned ways, lanes, policy;
    unsigned present;          /* bit s: an entry of size class s may be in the array */
    uint64_t held[3], globals; /* valid entries by size class; global ones */
    uint64_t *tree;            /* tree-PLRU, as mmu/tlb.h words it: [set * tree_words + node / 64] */
    unsigned tree_leaves, tree_words;
    struct nw_rng rng;
    uint64_t evictions, invalidated;
};

NW_INLINE uint64_t page_of_class(uint64_t page, unsigned size) { return page >> (9 * size); }
NW_INLINE uint64_t tlb_word(uint64_t page, uint64_t space, unsigned size, uint64_t rights)
{
    return page_of_class(page, size) << WORD_PAGE_SHIFT | space << WORD_SPACE_SHIFT |
           (uint64_t)(size + 1) << WORD_SIZE_SHIFT | rights;
}
static inline unsigned word_size(uint64_t word) { return (unsigned)(word >> WORD_SIZE_SHIFT & 3) - 1; }
static inline uint64_t word_space(uint64_t word) { return word >> WORD_SPACE_SHIFT & SPACE_MASK; }

NW_INLINE uint64_t *tlb_set(const struct packed_tlb *t, uint64_t page, unsigned size)
{
    return t->word + packed_mod(&t->sets, page_of_class(page, size)) * t->lanes;
}

/* Tree-PLRU: see mmu/tlb.h. */
static inline void tree_use(struct packed_tlb *t, uint64_t set, unsigned way)
{
    uint64_t *tree = t->tree + set * t->tree_words;
    unsigned node = 1, first = 0;
    for (unsigned span = t->tree_leaves / 2; span; span /= 2) {
        unsigned right = way >= first + span;
        tree[node / 64] = (tree[node / 64] & ~(UINT64_C(1) << node % 64)) | (uint64_t)!right << node % 64;
        node = 2 * node + right;
        first += right ? span : 0;
    }
}

static inline unsigned tree_victim(const struct packed_tlb *t, uint64_t set)
{
    const uint64_t *tree = t->tree + set * t->tree_words;
    unsigned node = 1, first = 0;
    for (unsigned span = t->tree_leaves / 2; span; span /= 2) {
        unsigned right = (tree[node / 64] >> node % 64 & 1) && first + span < t->ways;
        node = 2 * node + right;
        first += right ? span : 0;
    }
    return first;
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
    if (NW_LIKELY(t->policy == NW_TLB_LRU)) {
        if (place.at)
            packed_push(place.set, t->lanes, place.at, word);
    } else if (t->policy == NW_TLB_PLRU) {
        tree_use(t, (uint64_t)(place.set - t->word) / t->lanes, place.at);
    }
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
    if (NW_LIKELY(t->policy == NW_TLB_LRU)) {
        out = packed_push(set, t->lanes, t->ways - 1, word);
    } else {
        unsigned way = 0;
        uint64_t number = (uint64_t)(set - t->word) / t->lanes;
        while (way < t->ways && set[way] != PACKED_EMPTY)
            way++;
        if (way == t->ways)
            way = t->policy == NW_TLB_PLRU ? tree_victim(t, number) : (unsigned)nw_rng_below(&t->rng, t->ways);
        out = set[way];
        set[way] = word;
        if (t->policy == NW_TLB_PLRU)
            tree_use(t, number, way);
    }
    if (out != PACKED_EMPTY) {
        t->evictions++;
        if (NW_LIKELY(word_size(out) == size && !((word_space(out) ^ word_space(word)) & GLOBAL_SPACE)))
            return; /* one of a kind goes, one of the same kind comes */
        tlb_gone(t, out);
    }
    tlb_came(t, word);
}

/* ---- fully associative caches with payloads: PSCs and the nested TLB ----
 * order[] holds tag << SLOT_BITS | slot, most recent first; the payload of an entry stays where it is. */
enum { SLOT_BITS = 13 };
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
#define TAG_EMPTY (UINT64_MAX >> SLOT_BITS)

struct packed_entry {
    uint64_t a, b, c, d; /* PSC: table HPA, table GPA, allowed bits, flags. Nested TLB: page HPA, -, allowed bits, D */
};
struct packed_assoc {
    uint64_t *order;
    struct packed_entry *entry;
    unsigned entries, lanes;
    unsigned present; /* nested TLB: bit s: an entry of size class s may be there */
};

NW_INLINE struct packed_entry *assoc_lookup(struct packed_assoc *k, uint64_t tag)
{
    uint64_t word = k->order[0]; /* the most recent one needs no search and no move */
    if ((word ^ tag << SLOT_BITS) <= SLOT_MASK)
        return &k->entry[word & SLOT_MASK];
    int at = packed_find(k->order, k->lanes, tag << SLOT_BITS, SLOT_MASK);
    if (at < 0)
        return NULL;
    word = k->order[at];
    packed_push(k->order, k->lanes, (unsigned)at, word);
    return &k->entry[word & SLOT_MASK];
}

/* The entry to fill for `tag`, which a look-up has just missed: the least recent one's. */
NW_INLINE struct packed_entry *assoc_insert(struct packed_assoc *k, uint64_t tag)
{
    uint64_t slot = k->order[k->entries - 1] & SLOT_MASK;
    packed_push(k->order, k->lanes, k->entries - 1, tag << SLOT_BITS | slot);
    return &k->entry[slot];
}

/* ---- caches of lines ---- */
struct packed_lines {
    uint64_t *line; /* [set * lanes + position] */
    struct packed_modulus sets;
    unsigned ways, lanes;
};

#endif
