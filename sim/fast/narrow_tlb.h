/* narrow_tlb.h - TLB arrays of 32-bit words for stretches in which all translations are alike (regular pages, flat machines). See kernel.c.
 *
 * When every entry of the two arrays has the same address space, size and rights, a word needs only the page number above the bits that choose the
 * set. Half the words are half the work: a set of twelve ways is one AVX-512 register. Before anything else looks at the arrays
 * (touch_one(), forget()) the words are made wide again; so the narrow form is seen only here.
 *
 * Why it is exact: it is another spelling of the same words in the same order. Pages whose number does not fit are taken wide. */
#ifndef NW_SIM_NARROW_TLB_H
#define NW_SIM_NARROW_TLB_H

#include "kernel.h"

/* So many touches a word pass wide before words are made narrow again, so that changing form costs little. */
enum { NARROW_PERIOD = 4 };

/* What all words have in common. */
NW_INLINE uint64_t alike_bits(const struct kernel *k)
{
    return tlb_word(0, k->alike.space, k->alike.size, k->alike.rights);
}

static NW_NOINLINE void make_wide(struct kernel *k)
{
    const uint64_t common = alike_bits(k);
    for (unsigned level = 0; level < 2; level++) {
        struct packed_tlb *t = k->looks[0][level].array[0];
        const unsigned log2 = t->sets_log2;
        for (uint64_t set = 0; set < t->sets.divisor; set++)
            for (unsigned way = 0; way < t->ways; way++) {
                const uint32_t tag = t->narrow[set * t->lanes + way];
                t->word[set * t->lanes + way] =
                    tag == PACKED_EMPTY32 ? PACKED_EMPTY
                                          : ((uint64_t)tag << log2 | (log2 ? set : 0)) << WORD_PAGE_SHIFT | common;
            }
    }
    k->alike.narrow = false;
    k->alike.wide_touches = 0;
}

static bool narrow_array(const struct packed_tlb *t, uint64_t common)
{
    const uint64_t low = (UINT64_C(1) << WORD_PAGE_SHIFT) - 1;
    for (uint64_t set = 0; set < t->sets.divisor; set++)
        for (unsigned way = 0; way < t->lanes; way++) {
            const uint64_t word = t->word[set * t->lanes + way], tag = word >> WORD_PAGE_SHIFT >> t->sets_log2;
            if (word != PACKED_EMPTY && ((word & low) != common || tag >= PACKED_EMPTY32))
                return false;
            t->narrow[set * t->lanes + way] = word == PACKED_EMPTY ? PACKED_EMPTY32 : (uint32_t)tag;
        }
    return true;
}

NW_INLINE uint64_t words_of(const struct packed_tlb *t) { return t->sets.divisor * t->lanes; }

/* For touches of pages whose numbers or-ed together are `pages`. True: the arrays are narrow, for translations of that kind. */
NW_INLINE bool narrow_for(struct kernel *k, uint64_t pages, uint32_t touches, uint64_t space, unsigned size,
                          uint64_t rights)
{
    const uint64_t piece = page_of_class(pages, size);
    const struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    const bool fits = piece >> l1->sets_log2 < PACKED_EMPTY32 && piece >> l2->sets_log2 < PACKED_EMPTY32;
    if (NW_LIKELY(k->alike.narrow)) {
        if (NW_LIKELY(fits && space == k->alike.space && size == k->alike.size && rights == k->alike.rights))
            return true;
        make_wide(k);
    }
    if (!fits || (k->alike.wide_touches += touches) < NARROW_PERIOD * (words_of(l1) + words_of(l2)))
        return false;
    k->alike.wide_touches = 0;
    k->alike.space = space, k->alike.size = size, k->alike.rights = rights;
    return k->alike.narrow = narrow_array(l1, alike_bits(k)) && narrow_array(l2, alike_bits(k));
}

/* Entries held after `misses` fills of an array that held `before`, which may have had room. */
static uint64_t narrow_held(const struct packed_tlb *t, uint64_t before)
{
    uint64_t held = 0;
    if (NW_LIKELY(before == t->sets.divisor * t->ways))
        return before;
    for (uint64_t i = 0; i < t->sets.divisor * t->lanes; i++)
        held += t->narrow[i] != PACKED_EMPTY32;
    return held;
}

static void narrow_book(struct packed_tlb *t, unsigned size, uint32_t asked, uint32_t misses)
{
    const uint64_t before = t->held[size], held = misses ? narrow_held(t, before) : before;
    t->hits += asked - misses;
    t->misses += misses;
    t->evictions += misses - (held - before);
    t->held[size] = held;
    t->present |= (unsigned)(held != 0) << size;
}

/* Looks up and fills `count` touches in the narrow arrays. The pages that miss both are left in `missed`, in order; returns how many. A loop
 * for each array, in which nothing branches on a hit. `lanes` are arguments so that the common shape is constant. */
NW_INLINE uint32_t narrow_look_up_in(struct kernel *k, const struct nw_touch *touch, uint32_t count, uint64_t *missed,
                                     const unsigned lanes1, const unsigned lanes2)
{
    struct packed_tlb *l1 = k->looks[0][0].array[0], *l2 = k->looks[0][1].array[0];
    uint32_t *const words1 = l1->narrow, *const words2 = l2->narrow;
    const struct packed_modulus sets1 = l1->sets, sets2 = l2->sets;
    const unsigned ways1 = l1->ways, ways2 = l2->ways, log2_1 = l1->sets_log2, log2_2 = l2->sets_log2,
                   shift = 9 * k->alike.size;
    uint32_t misses1 = 0, misses2 = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t page = touch[i].page, piece = page >> shift;
        missed[misses1] = page;
        misses1 +=
            !packed_touch32(words1 + packed_mod(&sets1, piece) * lanes1, lanes1, ways1, (uint32_t)(piece >> log2_1));
    }
    for (uint32_t i = 0; i < misses1; i++) {
        const uint64_t page = missed[i], piece = page >> shift;
        missed[misses2] = page; /* in place: never ahead of what is read */
        misses2 +=
            !packed_touch32(words2 + packed_mod(&sets2, piece) * lanes2, lanes2, ways2, (uint32_t)(piece >> log2_2));
    }
    narrow_book(l1, k->alike.size, count, misses1);
    narrow_book(l2, k->alike.size, misses1, misses2);
    return misses2;
}

static NW_NOINLINE uint32_t narrow_look_up_8_16(struct kernel *k, const struct nw_touch *touch, uint32_t count,
                                                uint64_t *missed)
{
    return narrow_look_up_in(k, touch, count, missed, 8, 16);
}

static NW_NOINLINE uint32_t narrow_look_up(struct kernel *k, const struct nw_touch *touch, uint32_t count,
                                           uint64_t *missed)
{
    const unsigned lanes1 = k->looks[0][0].array[0]->lanes, lanes2 = k->looks[0][1].array[0]->lanes;
    return lanes1 == 8 && lanes2 == 16 ? narrow_look_up_8_16(k, touch, count, missed)
                                       : narrow_look_up_in(k, touch, count, missed, lanes1, lanes2);
}

#endif
