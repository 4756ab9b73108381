/* stale_index.h - the pages that DMA has gone through, and which table words each depends on. Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_STALE_INDEX_H
#define NESTWALK_IOMMU_STALE_INDEX_H

#include "../device/dma.h"
#include <nestwalk/base/bits.h>
#include <stddef.h>

struct iommu_stale_page {
    struct iommu_dma dma; /* one that goes through it: for writing when there has been any such */
    uint64_t number;      /* of the page: address >> log2 */
    uint64_t hpa;         /* what it leads to: of its first byte */
    uint64_t since_ns;    /* exposed: when a word that it depends on was written */
    uint64_t words_hash;
    uint32_t generation; /* links of older ones are void */
    uint8_t log2;
    bool exposed, used; /* used: by a DMA since then */
};

struct iommu_stale_word {
    uint64_t address;
    uint32_t first; /* link + 1; 0: none */
};

struct iommu_stale_link {
    uint32_t page, generation, next; /* next: as `first` */
};

/* Indexes by open addressing; a slot has the number of an element + 1. */
struct iommu_stale_index {
    struct iommu_stale_page *page;
    struct iommu_stale_word *word;
    struct iommu_stale_link *link;
    uint32_t *page_slot, *word_slot;
    uint32_t pages, words, links, free_link; /* free_link: as `first` */
    uint32_t page_room, exposed_room, word_room, link_room, page_slots, word_slots;
    uint32_t *exposed; /* page numbers; as many places as there are for pages */
    uint32_t exposed_count;
};

void iommu_stale_index_fini(struct iommu_stale_index *x);

/* The page of the DMA, of that size; NULL: not known. */
struct iommu_stale_page *iommu_stale_find(const struct iommu_stale_index *x, const struct iommu_dma *d, unsigned log2);
/* The same; an unknown one is made. NULL: no memory. */
struct iommu_stale_page *iommu_stale_make(struct iommu_stale_index *x, const struct iommu_dma *d, unsigned log2);
/* The page depends on the words at these addresses, and on no others. False: no memory. */
bool iommu_stale_depend(struct iommu_stale_index *x, struct iommu_stale_page *p, const uint64_t *words, unsigned count);
/* The pages that depend on the word and are not exposed become so. */
void iommu_stale_expose(struct iommu_stale_index *x, uint64_t address, uint64_t now_ns);

#endif
