/* packed.h - recency-ordered sets of 64-bit words: the one data structure under every cache of the fast engine.
 *
 * A set is `lanes` words (a multiple of 8), of which the first `ways` are used, most recent first; EMPTY words come last. So looking up, filling and
 * keeping LRU order are one movement: everything before the word sought moves one place back and the word goes to the front. No time
 * stamps, and a set of eight is one AVX-512 register.
 *
 * Why it is exact: true LRU is the order itself. An invalidated word is taken out and the rest closes up, which leaves the recency order of
 * the others alone; "fill an invalid way first" and "take the EMPTY word at the end" evict the same thing, nothing.
 *
 * The low bits of a word named by `ignore` do not take part in comparisons (rights of a TLB entry, slot of a payload). The file is
 * compiled once for each instruction set, from kernel.c. */
#ifndef NW_SIM_PACKED_H
#define NW_SIM_PACKED_H

#include <nestwalk/base/compiler.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__) || defined(__AVX2__)
#    include <immintrin.h>
#endif

enum { PACKED_LANES = 8 };
#define PACKED_EMPTY UINT64_MAX

static inline unsigned packed_lanes(uint64_t ways)
{
    return (unsigned)((ways + PACKED_LANES - 1) / PACKED_LANES * PACKED_LANES);
}

/* Position of the word that equals `key` outside `ignore`, or -1. */
NW_INLINE int packed_find(const uint64_t *set, unsigned lanes, uint64_t key, uint64_t ignore)
{
#if defined(__AVX512F__)
    const __m512i wanted = _mm512_set1_epi64((long long)key), care = _mm512_set1_epi64((long long)~ignore);
    if (lanes == 8 && !ignore) {
        __mmask8 hit = _mm512_cmpeq_epi64_mask(_mm512_load_si512((const void *)set), wanted);
        return hit ? (int)__builtin_ctz(hit) : -1;
    }
    if (lanes == 16 && !ignore) {
        unsigned hit = (unsigned)_mm512_cmpeq_epi64_mask(_mm512_load_si512((const void *)set), wanted) |
                       (unsigned)_mm512_cmpeq_epi64_mask(_mm512_load_si512((const void *)(set + 8)), wanted) << 8;
        return hit ? (int)__builtin_ctz(hit) : -1;
    }
    if (lanes == 8) {
        __mmask8 hit = _mm512_testn_epi64_mask(_mm512_xor_si512(_mm512_load_si512((const void *)set), wanted), care);
        return hit ? (int)__builtin_ctz(hit) : -1;
    }
    if (NW_LIKELY(lanes <= 64)) { /* all of it, so that no branch depends on where the word is */
        uint64_t hits = 0;
        for (unsigned i = 0; i < lanes; i += 8)
            hits |= (uint64_t)_mm512_testn_epi64_mask(
                        _mm512_xor_si512(_mm512_load_si512((const void *)(set + i)), wanted), care)
                    << i;
        return hits ? (int)__builtin_ctzll(hits) : -1;
    }
    for (unsigned i = 0; i < lanes; i += 8) {
        __m512i v = _mm512_load_si512((const void *)(set + i));
        __mmask8 hit = _mm512_testn_epi64_mask(_mm512_xor_si512(v, wanted), care);
        if (hit)
            return (int)(i + (unsigned)__builtin_ctz(hit));
    }
#elif defined(__AVX2__)
    const __m256i wanted = _mm256_set1_epi64x((long long)(key | ignore)), mask = _mm256_set1_epi64x((long long)ignore);
    for (unsigned i = 0; i < lanes; i += 4) {
        __m256i v = _mm256_or_si256(_mm256_load_si256((const __m256i *)(const void *)(set + i)), mask);
        unsigned hit = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(v, wanted)));
        if (hit)
            return (int)(i + (unsigned)__builtin_ctz(hit));
    }
#else
    for (unsigned i = 0; i < lanes; i++)
        if (!((set[i] ^ key) & ~ignore))
            return (int)i;
#endif
    return -1;
}

/* Moves words [0, at) one place back and puts `word` in front; what stood at `at` is returned. */
NW_INLINE uint64_t packed_push(uint64_t *set, unsigned lanes, unsigned at, uint64_t word)
{
    uint64_t out = set[at];
#if defined(__AVX512F__)
    if (NW_LIKELY(lanes <= 64)) { /* the same work wherever `at` is, again so that no branch depends on it */
        uint64_t moved = UINT64_MAX >> (63 - at);
        __m512i before = _mm512_set1_epi64((long long)word);
        for (unsigned i = 0; i < lanes; i += 8, moved >>= 8) {
            __m512i here = _mm512_load_si512((const void *)(set + i));
            _mm512_store_si512((void *)(set + i), _mm512_mask_alignr_epi64(here, (__mmask8)moved, here, before, 7));
            before = here;
        }
        return out;
    }
    /* Whole registers, from the back so that nothing is overwritten before it is read. */
    unsigned i = at & ~7u;
    __mmask8 upto = (__mmask8)((2u << (at & 7)) - 1);
    for (;; i -= 8, upto = 0xff) {
        __m512i here = _mm512_load_si512((const void *)(set + i));
        __m512i before = i ? _mm512_load_si512((const void *)(set + i - 8)) : _mm512_set1_epi64((long long)word);
        _mm512_mask_store_epi64((void *)(set + i), upto, _mm512_alignr_epi64(here, before, 7));
        if (!i)
            break;
    }
#else
    (void)lanes;
    for (unsigned i = at; i > 0; i--)
        set[i] = set[i - 1];
    set[0] = word;
#endif
    return out;
}

/* Looks `key` up; hit or miss, it is in front afterwards. True on a hit; else *evicted is what fell out (maybe EMPTY). */
NW_INLINE int packed_touch(uint64_t *set, unsigned lanes, unsigned ways, uint64_t key, uint64_t *evicted)
{
#if defined(__AVX512F__)
    if (lanes == 8) { /* the whole set in one register */
        __m512i v = _mm512_load_si512((const void *)set), k = _mm512_set1_epi64((long long)key);
        __mmask8 hit = _mm512_cmpeq_epi64_mask(v, k);
        unsigned upto = (hit ^ (hit - 1u)) & ((1u << ways) - 1); /* without a hit: all ways; no branch */
        *evicted = set[ways - 1];
        _mm512_store_si512((void *)set, _mm512_mask_alignr_epi64(v, (__mmask8)upto, v, k, 7));
        return hit != 0;
    }
    if (lanes == 16) {
        __m512i a = _mm512_load_si512((const void *)set), b = _mm512_load_si512((const void *)(set + 8));
        __m512i k = _mm512_set1_epi64((long long)key);
        unsigned hit = (unsigned)_mm512_cmpeq_epi64_mask(a, k) | (unsigned)_mm512_cmpeq_epi64_mask(b, k) << 8;
        unsigned upto = (hit ^ (hit - 1u)) & ((1u << ways) - 1); /* without a hit: all ways; no branch */
        *evicted = set[ways - 1];
        _mm512_store_si512((void *)(set + 8), _mm512_mask_alignr_epi64(b, (__mmask8)(upto >> 8), b, a, 7));
        _mm512_store_si512((void *)set, _mm512_mask_alignr_epi64(a, (__mmask8)upto, a, k, 7));
        return hit != 0;
    }
    int at = packed_find(set, lanes, key, 0);
    uint64_t out = packed_push(set, lanes, at < 0 ? ways - 1 : (unsigned)at, key);
    *evicted = out;
    return at >= 0;
#else
    (void)lanes; /* one pass: move back while looking */
    uint64_t before = set[0];
    if (before == key)
        return 1;
    set[0] = key;
    for (unsigned w = 1; w < ways; w++) {
        uint64_t here = set[w];
        set[w] = before;
        if (here == key)
            return 1;
        before = here;
    }
    *evicted = before;
    return 0;
#endif
}

/* ---- sets of 32-bit words: half the memory, and a set of sixteen is one register ---- */
#define PACKED_EMPTY32 UINT32_MAX

/* As packed_touch(); `lanes` is a multiple of 8, and the set is aligned to as much as it has bytes, up to 64. */
NW_INLINE int packed_touch32(uint32_t *set, unsigned lanes, unsigned ways, uint32_t key)
{
#if defined(__AVX512F__)
    if (lanes == 8) {
        __m256i v = _mm256_load_si256((const void *)set), k = _mm256_set1_epi32((int)key);
        unsigned hit = _mm256_cmpeq_epi32_mask(v, k);
        unsigned upto = (hit ^ (hit - 1u)) & ((1u << ways) - 1);
        _mm256_store_si256((void *)set, _mm256_mask_alignr_epi32(v, (__mmask8)upto, v, k, 7));
        return hit != 0;
    }
    if (lanes == 16) {
        __m512i v = _mm512_load_si512((const void *)set), k = _mm512_set1_epi32((int)key);
        unsigned hit = _mm512_cmpeq_epi32_mask(v, k);
        unsigned upto = (hit ^ (hit - 1u)) & ((1u << ways) - 1);
        _mm512_store_si512((void *)set, _mm512_mask_alignr_epi32(v, (__mmask16)upto, v, k, 15));
        return hit != 0;
    }
#elif defined(__AVX2__)
    if (lanes == 8) {
        static const uint32_t front[9][8] = { { 0, 1, 2, 3, 4, 5, 6, 7 }, { 0, 0, 2, 3, 4, 5, 6, 7 },
                                              { 0, 0, 1, 3, 4, 5, 6, 7 }, { 0, 0, 1, 2, 4, 5, 6, 7 },
                                              { 0, 0, 1, 2, 3, 5, 6, 7 }, { 0, 0, 1, 2, 3, 4, 6, 7 },
                                              { 0, 0, 1, 2, 3, 4, 5, 7 }, { 0, 0, 1, 2, 3, 4, 5, 6 } };
        __m256i v = _mm256_load_si256((const void *)set), k = _mm256_set1_epi32((int)key);
        unsigned hit = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(v, k)));
        unsigned at = hit ? (unsigned)__builtin_ctz(hit) : ways - 1;
        __m256i moved = _mm256_permutevar8x32_epi32(v, _mm256_loadu_si256((const void *)front[at]));
        _mm256_store_si256((void *)set, _mm256_blend_epi32(moved, k, 1));
        return hit != 0;
    }
    if (lanes == 16) { /* both halves turned by one; each takes of it what lies before the word's place */
        const __m256i turn = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6),
                      first = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i k = _mm256_set1_epi32((int)key), a = _mm256_load_si256((const void *)set),
                      b = _mm256_load_si256((const void *)(set + 8));
        const unsigned hit = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, k))) |
                             (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(b, k))) << 8;
        const unsigned at = (unsigned)__builtin_ctz(hit | 1u << (ways - 1)); /* a hit lies among the ways */
        const __m256i turned = _mm256_permutevar8x32_epi32(a, turn);
        const __m256i upto = _mm256_set1_epi32((int)at + 1);
        const __m256i low = _mm256_blend_epi32(turned, k, 1),
                      high = _mm256_blend_epi32(_mm256_permutevar8x32_epi32(b, turn), turned, 1);
        const __m256i in_low = _mm256_cmpgt_epi32(upto, first),
                      in_high = _mm256_cmpgt_epi32(upto, _mm256_add_epi32(first, _mm256_set1_epi32(8)));
        _mm256_store_si256((void *)set, _mm256_blendv_epi8(a, low, in_low));
        _mm256_store_si256((void *)(set + 8), _mm256_blendv_epi8(b, high, in_high));
        return hit != 0;
    }
#endif
    (void)lanes;
    uint32_t before = set[0];
    if (before == key)
        return 1;
    set[0] = key;
    for (unsigned w = 1; w < ways; w++) {
        uint32_t here = set[w];
        set[w] = before;
        if (here == key)
            return 1;
        before = here;
    }
    return 0;
}

/* Takes out the word at `at`; the others keep their order. */
static inline void packed_close(uint64_t *set, unsigned ways, unsigned at)
{
    memmove(set + at, set + at + 1, (ways - 1 - at) * sizeof *set);
    set[ways - 1] = PACKED_EMPTY;
}

/* number mod divisor; sets are nearly always a power of two. */
struct packed_modulus {
    uint64_t divisor, mask; /* mask = divisor - 1 when it is a power of two, else 0 with divisor > 1 */
};
static inline struct packed_modulus packed_modulus_of(uint64_t divisor)
{
    return (struct packed_modulus){ divisor, divisor & (divisor - 1) ? 0 : divisor - 1 };
}
NW_INLINE uint64_t packed_mod(const struct packed_modulus *m, uint64_t number)
{
    return NW_LIKELY(m->mask || m->divisor == 1) ? number & m->mask : number % m->divisor;
}

#endif
