/* io_internal.h - what the strategies share. */
#ifndef NW_IOMMU_IO_INTERNAL_H
#define NW_IOMMU_IO_INTERNAL_H

#include "iova.h"
#include "page_map.h"
#include <nestwalk/iommu/dma_map.h>
#include <nestwalk/mmu/builder.h>

enum {
    DEVICES_MAX = 256,
    QUEUE_BYTES = 4096,
    SLOT_LOG2 = 11,      /* of the pool: Linux, IO_TLB_SIZE */
    SEGMENT_SLOTS = 128, /* a buffer does not cross one: Linux, IO_TLB_SEGSIZE */
};

/* What a driver has mapped; and, when a strategy keeps it for later, what it had. */
struct mapping {
    uint64_t address, bytes; /* the buffer */
    uint64_t iova;           /* of its first byte, or of its first page: see dma_strategy.by_byte */
    uint64_t pages;          /* that it touches */
    uint64_t users;          /* maps without their unmaps */
    uint64_t idle_since_ns;  /* users == 0 */
    uint32_t older, newer;   /* idle ones, by index + 1, the oldest first */
    enum nw_dma_rights rights;
};

struct dma_device {
    uint16_t bdf, domain_id;
    struct nw_builder builder;
    struct iova_space iova;
    struct page_map by_iova;           /* mapping.iova -> its index + 1 */
    struct page_map by_buffer;         /* page of the buffer -> index + 1, where mappings are reused */
    uint32_t idle_oldest, idle_newest; /* index + 1 */
    struct waiting_range {
        uint64_t address, iova_page, pages;
    } * waiting; /* unmapped, not invalidated yet */
    uint64_t waiting_count, waiting_since_ns;
};

struct nw_dma {
    struct nw_dma_config config;
    const struct dma_strategy *strategy;
    struct nw_vtd_unit *unit;
    struct nw_vtd_stale *stale;
    uint64_t now_ns;
    struct dma_device *device[DEVICES_MAX];
    unsigned device_count;
    struct mapping *mapping;
    uint32_t mapping_count, mapping_capacity, mapping_free; /* free: index + 1 of the first, chained by `newer` */
    uint64_t root, queue, queue_tail, status;               /* addresses; the tail in bytes */
    struct nw_builder second; /* nested translation: the host's, unless it is somebody else's */
    uint64_t second_root;
    struct page_map second_pages; /* that are in it, by address >> second_page_log2 */
    uint32_t waits_done;          /* what the status word says next */
    uint64_t *pool;               /* chunks of 2 MiB */
    uint8_t *slot_used;
    uint64_t slots, next_slot;
    struct page_map pins; /* page of memory -> how often */
    struct nw_dma_counts counts;
};

/* A strategy. `map` has a free record with the buffer in it, and gives it an address (NULL: it did not, there was no room) or hands back another
 * mapping to use; `unmap` is called for every unmap. */
struct dma_strategy {
    const char *name;
    bool passes_through; /* the device's addresses are physical */
    bool
        by_byte; /* mappings are told by the address of the buffer's first byte; else by its page, which is one mapping's alone */
    enum nw_status (*map)(struct nw_dma *d, struct dma_device *v, struct mapping **m, bool *reused,
                          struct nw_error *err);
    enum nw_status (*unmap)(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err);
    enum nw_status (*work)(struct nw_dma *d, struct dma_device *v, bool all,
                           struct nw_error *err); /* what is due; NULL: never anything */
    void (*sync)(struct nw_dma *d, const struct mapping *m, uint64_t bytes, bool for_device); /* NULL: nothing */
};
extern const struct dma_strategy dma_strategies[NW_DMA_STRATEGIES];

/* ---- records ---- */
uint32_t mapping_index(const struct nw_dma *d, const struct mapping *m); /* plus 1 */
void mapping_free(struct nw_dma *d, struct dma_device *v, struct mapping *m);

/* ---- tables and invalidations (domain.c) ---- */
/* Takes addresses for the mapping, writes its entries, and announces them where the unit has to be told. */
enum nw_status domain_map(struct nw_dma *d, struct dma_device *v, struct mapping *m, struct nw_error *err) NW_MUST_USE;
enum nw_status domain_map_at(struct nw_dma *d, struct dma_device *v, uint64_t iova, uint64_t address,
                             unsigned page_log2, uint64_t pages, enum nw_dma_rights rights,
                             struct nw_error *err) NW_MUST_USE;
enum nw_status domain_clear(struct nw_dma *d, struct dma_device *v, uint64_t iova_page, uint64_t pages,
                            struct nw_error *err) NW_MUST_USE;
enum nw_status domain_invalidate_pages(struct nw_dma *d, const struct dma_device *v, uint64_t iova_page, uint64_t pages,
                                       struct nw_error *err) NW_MUST_USE;
enum nw_status domain_invalidate(struct nw_dma *d, const struct dma_device *v, struct nw_error *err) NW_MUST_USE;
/* The host has taken pages away from the second stage. */
enum nw_status domain_invalidate_second(struct nw_dma *d, const struct dma_device *v, uint64_t page, uint64_t pages,
                                        struct nw_error *err) NW_MUST_USE;

/* ---- nested translation (nested.c); without it they do nothing or are not called ---- */
enum nw_status nested_start(struct nw_dma *d, struct nw_error *err) NW_MUST_USE;
enum nw_status nested_attach(struct nw_dma *d, const struct dma_device *v, struct nw_error *err) NW_MUST_USE;
/* These addresses of the guest are in the second stage from now on. */
enum nw_status nested_cover(struct nw_dma *d, uint64_t address, uint64_t bytes, struct nw_error *err) NW_MUST_USE;

enum nw_status dma_pin(struct nw_dma *d, uint64_t address, uint64_t pages, struct nw_error *err) NW_MUST_USE;
void dma_unpin(struct nw_dma *d, uint64_t address, uint64_t pages);

#endif
