/* physmem.h - sparse simulated physical memory of 64-bit words, and its frame allocator.
 *
 * Every table of a model (guest page tables, EPT/NPT, shadow tables, later IOMMU tables) is a run of 64-bit words here, in
 * the architectural layout. Addresses have up to 52 bits. A page costs nothing until it is written; an untouched word
 * reads 0. Memory is had from the kernel in lazily backed 64 MiB regions, so a pointer to a page stays valid for the
 * life of the physmem and a read is three dependent loads.
 *
 *     struct nw_physmem *pm;
 *     if ((s = nw_physmem_create(&pm, err))) return s;
 *     if ((s = nw_physmem_write64(pm, nw_hpa(0x1000), 7, err))) ...
 *     uint64_t w = nw_physmem_read64(pm, nw_hpa(0x1000));
 *     nw_physmem_destroy(pm); */
#ifndef NESTWALK_BASE_PHYSMEM_H
#define NESTWALK_BASE_PHYSMEM_H

#include <nestwalk/base/addr.h>
#include <nestwalk/base/status.h>
#include <stddef.h>

enum { NW_REGION_LOG2 = 26, NW_PHYS_FANOUT_LOG2 = 13 }; /* 13 + 13 + 26 = 52 */

struct nw_physmem {
    /* Read by the inline accessors; written only by physmem.c. region[i][j] is the 64 MiB at (i << 39 | j << 26). */
    uint64_t **region[1u << NW_PHYS_FANOUT_LOG2];
    size_t mapped_regions;
};

enum nw_status nw_physmem_create(struct nw_physmem **out, struct nw_error *err) NW_MUST_USE;
void nw_physmem_destroy(struct nw_physmem *pm); /* NULL is allowed */

/* The word at `address` (rounded down to 8 bytes), or NULL where nothing near it was ever written. */
static inline uint64_t *nw_physmem_find(const struct nw_physmem *pm, hpa_t address)
{
    uint64_t **mid = pm->region[(address.v >> 39) & ((1u << NW_PHYS_FANOUT_LOG2) - 1)];
    if (NW_UNLIKELY(!mid))
        return NULL;
    uint64_t *base = mid[(address.v >> NW_REGION_LOG2) & ((1u << NW_PHYS_FANOUT_LOG2) - 1)];
    if (NW_UNLIKELY(!base))
        return NULL;
    return base + ((address.v & ((UINT64_C(1) << NW_REGION_LOG2) - 1)) >> 3);
}

/* Bits 51:3 of `address` count; an untouched word reads 0. */
static inline uint64_t nw_physmem_read64(const struct nw_physmem *pm, hpa_t address)
{
    const uint64_t *word = nw_physmem_find(pm, address);
    return NW_LIKELY(word != NULL) ? *word : 0;
}

/* Makes the region of `address` exist and returns the word's place. NW_ERR_NOMEM when it cannot be mapped;
 * NW_ERR_INPUT when the address has more than 52 bits. */
enum nw_status nw_physmem_make(struct nw_physmem *pm, hpa_t address, uint64_t **out, struct nw_error *err) NW_MUST_USE;

static inline NW_MUST_USE enum nw_status nw_physmem_write64(struct nw_physmem *pm, hpa_t address, uint64_t word,
                                                            struct nw_error *err)
{
    uint64_t *place = nw_physmem_find(pm, address);
    if (NW_UNLIKELY(!place)) {
        enum nw_status s = nw_physmem_make(pm, address, &place, err);
        if (s)
            return s;
    }
    *place = word;
    return NW_OK;
}

/* The file's bytes [offset, offset + bytes) appear at `start`, read when they are looked at and shared with whoever else has the file in
 * memory; what is written stays here. All three are multiples of 4 KiB; `fd` may be closed afterwards. What was there before is
 * gone. A file that is made shorter while it is looked at ends the program, as with any mapped file. NW_ERR_INPUT: not aligned, or beyond 52 bits;
 * NW_ERR_IO, NW_ERR_NOMEM: it cannot be mapped. */
enum nw_status nw_physmem_map_file(struct nw_physmem *pm, hpa_t start, int fd, uint64_t offset, uint64_t bytes,
                                   struct nw_error *err) NW_MUST_USE;

/* Writes `bytes` (1..8) low bytes of `value` at a byte address; the piece may not cross an 8-byte boundary. */
enum nw_status nw_physmem_write_bytes(struct nw_physmem *pm, hpa_t address, unsigned bytes, uint64_t value,
                                      struct nw_error *err) NW_MUST_USE;

/* ---- frames -------------------------------------------------------------------------------------------------
 * Deterministic allocator of base pages and aligned runs of them in [start, end) of a physical address space. It hands
 * out ascending addresses, and freed base pages again in last-in first-out order. A larger run is aligned to its size; the
 * gap left below it is kept and used for base pages later. With `scattered`, set after nw_frames_init(), base pages come in an order without neighbours
 * instead, as from a memory long in use: a fixed permutation of each 1 GiB. No larger run may then be asked for. */
struct nw_frames {
    uint64_t next_pfn, end_pfn;
    uint64_t *free_pfn; /* stack of freed base pages */
    size_t free_count, free_capacity;
    struct nw_frame_gap {
        uint64_t start_pfn, end_pfn;
    } * gap;
    size_t gap_count, gap_capacity;
    bool scattered;
    uint64_t allocated_pages; /* now in use */
};

void nw_frames_init(struct nw_frames *f, uint64_t start_pfn, uint64_t end_pfn);
void nw_frames_fini(struct nw_frames *f);

/* One aligned run of 2^(page_log2 - 12) frames. *pfn_out is its first frame. NW_ERR_NOMEM when the space is used up. */
enum nw_status nw_frames_alloc(struct nw_frames *f, unsigned page_log2, uint64_t *pfn_out,
                               struct nw_error *err) NW_MUST_USE;
enum nw_status nw_frames_free(struct nw_frames *f, unsigned page_log2, uint64_t pfn, struct nw_error *err) NW_MUST_USE;

#endif
