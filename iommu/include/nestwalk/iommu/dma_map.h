/* dma_map.h - what an operating system does when a driver maps a buffer for its device: strategies of DMA mapping over a VT-d unit, with real
 * tables, a real invalidation queue, and a count of everything that was done. What it costs is somebody else's business.
 *
 *     struct nw_dma_config c = nw_dma_config_default(pm, &frames);
 *     c.strategy = NW_DMA_DEFERRED;
 *     if ((s = nw_dma_create(&d, &c, err))) return s;
 *     s = nw_dma_map(d, bdf, gpa, 1500, NW_DMA_FROM_DEVICE, &m, err);          // a driver's dma_map_single()
 *     nw_dma_access(d, bdf, m.iova, 1500, true, &done);                       // the device writes the packet
 *     s = nw_dma_unmap(d, bdf, m.iova, err);                                  // dma_unmap_single()
 *     nw_dma_time(d, now_ns);                                                 // deferred work falls due
 *     counts = nw_dma_counts(d);
 *
 * Each device has a domain of its own: legacy mode, second stage of four levels (with nested translation scalable mode, first stage). Memory is given in physical addresses as the unit sees
 * them: of the host, or of the guest when the unit is emulated for one.
 *
 * The strategies:
 *   strict      every unmap clears entries, queues an invalidation of exactly these pages, and waits for it
 *   deferred    unmapped ranges wait in a list; when it is full, or the oldest is too old, one invalidation of the domain serves all, and only
 *               then are their addresses given out again. Until then the device can still use what the IOTLB has. (Linux: the flush queue)
 *   identity    the device is passed through: addresses are physical ones, nothing is ever done (Linux: iommu=pt)
 *   persistent  a buffer is mapped when it is first seen and stays mapped (a driver that recycles its buffers)
 *   shared      one mapping for all who map the same buffer at a time; taken down, strictly, by the last
 *   optimistic  as shared, but a buffer that nobody has mapped stays for a while, in case it comes again (Amit et al., "vIOMMU: Efficient IOMMU
 *               Emulation", USENIX ATC 2011: optimistic teardown)
 *   huge        as persistent, in pages of 2 MiB: what lies beside a buffer is open to the device as well
 *   swiotlb     buffers are copied through a pool that stays mapped (Linux: bounce buffers)
 *   grant-copy  a back end in another domain has the device; the hypervisor copies between its pool and the buffer (Xen: GNTTABOP_copy)
 *
 * Addresses are given out from 4 GiB downwards, freed ones of the same size first, the last freed before others (Linux, drivers/iommu/iova.c:
 * the top-down allocator with its caches of ranges of up to 32 pages; larger ranges are kept by size here). */
#ifndef NESTWALK_IOMMU_DMA_MAP_H
#define NESTWALK_IOMMU_DMA_MAP_H

#include <nestwalk/iommu/vtd_stale.h>
#include <nestwalk/iommu/vtd_unit.h>

enum nw_dma_strategy {
    NW_DMA_STRICT,
    NW_DMA_DEFERRED,
    NW_DMA_IDENTITY,
    NW_DMA_PERSISTENT,
    NW_DMA_SHARED,
    NW_DMA_OPTIMISTIC,
    NW_DMA_HUGE,
    NW_DMA_SWIOTLB,
    NW_DMA_GRANT_COPY,
    NW_DMA_STRATEGIES
};
extern const char *const nw_dma_strategy_name[NW_DMA_STRATEGIES]; /* "strict", ... */

/* Who maintains the tables, and how the unit hears of it. */
enum nw_dma_unit {
    NW_DMA_UNIT_HARDWARE,
    NW_DMA_UNIT_EMULATED, /* for a guest, with caching mode: what is mapped is announced as well, each announcement traps */
    NW_DMA_UNIT_SIDECORE, /* as emulated, but another core watches the queue: nothing traps (Amit et al.) */
    NW_DMA_UNIT_NESTED, /* the guest's tables are walked by the hardware, through a second stage that the host keeps: what is mapped need
                             not be announced, invalidations trap (VT-d, "Nested Translation") */
    NW_DMA_UNITS
};
extern const char *const nw_dma_unit_name[NW_DMA_UNITS]; /* "hardware", ... */

enum nw_dma_rights { NW_DMA_TO_DEVICE = 1, NW_DMA_FROM_DEVICE = 2, NW_DMA_BOTH = 3 };

struct nw_dma_config {
    struct nw_physmem *pm;    /* outlives it, as do the frames, */
    struct nw_frames *frames; /* from which tables, the queue and pools come */
    enum nw_dma_strategy strategy;
    enum nw_dma_unit unit;
    struct nw_iommu_cache_shape cache[NW_VTD_CACHES];
    uint64_t
        deferred_ranges; /* in the list before it is worked off, at least 1. Default 250: Linux up to 4.12, HIGH_WATER_MARK */
    uint64_t deferred_ns;   /* age of the oldest. Default 10 ms: Linux */
    uint64_t optimistic_ns; /* how long an unused mapping stays. Default 10 ms: Amit et al. */
    uint64_t pool_bytes;    /* swiotlb, grant-copy; a multiple of 4 KiB. Default 64 MiB: Linux, swiotlb */
    uint64_t
        request_bytes; /* that a device moves in one request, a power of two, 64 to 4096. Default 256: PCI Express, Max_Payload_Size of common devices */
    uint64_t
        second_stage; /* NESTED: root of the second stage, as the unit sees it, such as a guest's EPT; it must permit what tables and
                                 buffers need. 0: one of its own, in which every address is its own translation */
    unsigned second_page_log2; /* NESTED: its pages, 12, 21 (default) or 30 */
    bool
        detect_stale; /* whether DMA goes by mappings that were removed; default true, and some microseconds a request */
};
struct nw_dma_config nw_dma_config_default(struct nw_physmem *pm, struct nw_frames *frames);

struct nw_dma;
/* NW_ERR_INPUT: a number out of range. */
enum nw_status nw_dma_create(struct nw_dma **out, const struct nw_dma_config *config, struct nw_error *err) NW_MUST_USE;
void nw_dma_destroy(struct nw_dma *d); /* NULL is allowed */

struct nw_dma_mapping {
    uint64_t iova; /* of the buffer's first byte; the device's address for it */
    bool mapped;   /* false: there was no room in the pool (counts.pool_full); the driver would drop the packet */
    bool reused;   /* no table was changed for it */
};

/* A buffer of 1 to 2^30 bytes at a physical address, for a device, as a driver asks for it. The same buffer may be mapped more than once.
 * NW_ERR_INPUT: bytes or address out of range, or the device is one too many (256 are allowed). */
enum nw_status nw_dma_map(struct nw_dma *d, uint16_t bdf, uint64_t address, uint64_t bytes, enum nw_dma_rights rights,
                          struct nw_dma_mapping *out, struct nw_error *err) NW_MUST_USE;
/* `iova` as nw_dma_map() gave it. NW_ERR_INPUT: nothing is mapped there. */
enum nw_status nw_dma_unmap(struct nw_dma *d, uint16_t bdf, uint64_t iova, struct nw_error *err) NW_MUST_USE;
/* As unmap and map, but for the copies: a driver looks at the buffer, or gives it back to the device, without unmapping it. */
enum nw_status nw_dma_sync(struct nw_dma *d, uint16_t bdf, uint64_t iova, uint64_t bytes, bool for_device,
                           struct nw_error *err) NW_MUST_USE;

struct nw_dma_done {
    uint64_t requests, faults; /* of the device's requests that this access takes */
    uint64_t misses;           /* of the IOTLB */
    uint64_t references;       /* words of tables that were read for it */
};
/* The device reads or writes bytes at an address of its own, whether they are mapped or not. */
void nw_dma_access(struct nw_dma *d, uint16_t bdf, uint64_t iova, uint64_t bytes, bool write, struct nw_dma_done *out);

/* The time from now on; never backwards. Deferred work that is due is done. */
enum nw_status nw_dma_time(struct nw_dma *d, uint64_t now_ns, struct nw_error *err) NW_MUST_USE;
/* All deferred work, now. */
enum nw_status nw_dma_flush(struct nw_dma *d, struct nw_error *err) NW_MUST_USE;

/* Pages that a device may be using: whoever wants the frame (a balloon, a swapper) has to leave it. A page is pinned from its first mapping until
 * the device cannot reach it any more. Passed-through devices pin everything that they ever mapped. */
bool nw_dma_is_pinned(const struct nw_dma *d, uint64_t address);
/* A balloon, a swapper, a sharer takes pages from the guest. *pinned: one of them is, and nothing has been changed. Else, with NESTED, the
 * pages leave the second stage (whose owner has done so, when it is not this one's), and the unit is told for every device:
 * CPU and unit translate by the same frames, so whoever changes the guest's EPT has to call this. */
enum nw_status nw_dma_take_pages(struct nw_dma *d, uint64_t address, uint64_t pages, bool *pinned,
                                 struct nw_error *err) NW_MUST_USE;
/* The page is the guest's again. */
enum nw_status nw_dma_give_page(struct nw_dma *d, uint64_t address, struct nw_error *err) NW_MUST_USE;

struct nw_dma_counts {
    uint64_t maps, unmaps, reuses, pool_full;
    uint64_t mapped_pages;               /* 4 KiB pages that maps asked for */
    uint64_t entries_written;            /* words of page tables */
    uint64_t table_pages;                /* in use now, with the roots */
    uint64_t ranges_taken, ranges_fresh; /* of addresses: taken, and of these those that had never been used */
    uint64_t range_invalidations, domain_invalidations;
    uint64_t waits;               /* for the queue to have done them */
    uint64_t taken_invalidations; /* of pages that the host took back: the host's own */
    uint64_t
        announcements; /* writes of the queue's tail; of an emulated unit and with nested translation each is an exit */
    uint64_t copied_bytes, copies;
    uint64_t grant_operations; /* copies that the hypervisor was asked for */
    uint64_t pinned_pages, pinned_pages_max;
    uint64_t accesses, accessed_bytes, requests, faults, iotlb_misses, references;
    struct nw_stale_summary stale; /* zeros without the detector */
};
struct nw_dma_counts nw_dma_counts(struct nw_dma *d);

struct nw_vtd_unit *nw_dma_unit(struct nw_dma *d); /* the unit itself, for its registers and caches */

#endif
