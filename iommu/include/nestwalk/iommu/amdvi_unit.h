/* amdvi_unit.h - one AMD IOMMU as software drives it: registers, caches, command buffer, event log, page request log.
 *
 *     struct nw_amdvi_config c = nw_amdvi_config_default(pm);
 *     struct nw_amdvi_unit *u;
 *     if ((s = nw_amdvi_unit_create(&u, &c, err))) return s;
 *     nw_amdvi_unit_write(u, NW_AMDVI_DEVICE_TABLE, 8, table | (pages - 1));
 *     nw_amdvi_unit_write(u, NW_AMDVI_CONTROL, 8, NW_AMDVI_CONTROL_IOMMU_EN);
 *     nw_amdvi_unit_dma(u, &request, &result);
 *     nw_amdvi_unit_destroy(u);
 *
 * Commands complete at once: the head has caught up with the tail, and status bits are up to date, when the write that caused
 * it returns. A DMA reaches memory at once, too, so that there is nothing for COMPLETION_WAIT to wait for.
 *
 * What is modelled: the device table and exclusion registers; the control and status registers; the command buffer with all
 * commands but PREFETCH_IOMMU_PAGES (EFR.PreFSup must be 0), its two errors that stop it and IOTLB_INV_TIMEOUT, which does not;
 * the event log and the peripheral page request log with overflow and restart; the interrupts of all three. What is not: the
 * guest virtual APIC log, device table segments (EFR.DevTblSegSup must be 0), performance counters, SMI filters; their
 * registers read as 0.
 *
 * Source: AMD IOMMU specification (48882), chapters "Commands", "Event Logging", "Peripheral Page Request (PPR) Logging", "IOMMU
 * MMIO Registers", "Invalidating Cached Translation Information". */
#ifndef NESTWALK_IOMMU_AMDVI_UNIT_H
#define NESTWALK_IOMMU_AMDVI_UNIT_H

#include <nestwalk/iommu/amdvi.h>
#include <nestwalk/iommu/amdvi_cache.h>

/* ---- registers ---------------------------------------------------------------------------------- */

enum nw_amdvi_register { /* offset; 8 bytes each, halves may be accessed by themselves */
                         NW_AMDVI_DEVICE_TABLE = 0x0000,
                         NW_AMDVI_COMMAND_BASE = 0x0008,
                         NW_AMDVI_EVENT_BASE = 0x0010,
                         NW_AMDVI_CONTROL = 0x0018,
                         NW_AMDVI_EXCLUSION_BASE = 0x0020,
                         NW_AMDVI_EXCLUSION_LIMIT = 0x0028,
                         NW_AMDVI_EFR = 0x0030,
                         NW_AMDVI_PPR_BASE = 0x0038,
                         NW_AMDVI_COMMAND_HEAD = 0x2000,
                         NW_AMDVI_COMMAND_TAIL = 0x2008,
                         NW_AMDVI_EVENT_HEAD = 0x2010,
                         NW_AMDVI_EVENT_TAIL = 0x2018,
                         NW_AMDVI_STATUS = 0x2020,
                         NW_AMDVI_PPR_HEAD = 0x2030,
                         NW_AMDVI_PPR_TAIL = 0x2038
};
/* COMMAND_BASE, EVENT_BASE, PPR_BASE: 51:12 address, 59:56 log2 of the number of entries of 16 bytes, 8 to 15 (lower values are
 * taken as 8). Writing one sets its head and tail to 0. Heads and tails: 18:4 byte offset. */

#define NW_AMDVI_CONTROL_IOMMU_EN        NW_BIT(0)
#define NW_AMDVI_CONTROL_EVENT_LOG_EN    NW_BIT(2)
#define NW_AMDVI_CONTROL_EVENT_INT_EN    NW_BIT(3)
#define NW_AMDVI_CONTROL_COM_WAIT_INT_EN NW_BIT(4)
#define NW_AMDVI_CONTROL_CMD_BUF_EN      NW_BIT(12)
#define NW_AMDVI_CONTROL_PPR_LOG_EN      NW_BIT(13)
#define NW_AMDVI_CONTROL_PPR_INT_EN      NW_BIT(14)
#define NW_AMDVI_CONTROL_PPR_EN          NW_BIT(15)
#define NW_AMDVI_CONTROL_GT_EN           NW_BIT(16) /* MODEL: without it the unit is one without guest translation */
#define NW_AMDVI_CONTROL_GA_EN           NW_BIT(17)
#define NW_AMDVI_CONTROL_XT_EN           NW_BIT(50)
#define NW_AMDVI_CONTROL_GCR3_TRP_MODE   NW_BIT(58)

#define NW_AMDVI_STATUS_EVENT_OVERFLOW NW_BIT(0) /* write 1 to clear */
#define NW_AMDVI_STATUS_EVENT_INT      NW_BIT(1) /* write 1 to clear */
#define NW_AMDVI_STATUS_COM_WAIT_INT   NW_BIT(2) /* write 1 to clear */
#define NW_AMDVI_STATUS_EVENT_RUN      NW_BIT(3)
#define NW_AMDVI_STATUS_CMD_RUN        NW_BIT(4)
#define NW_AMDVI_STATUS_PPR_OVERFLOW   NW_BIT(5) /* write 1 to clear */
#define NW_AMDVI_STATUS_PPR_INT        NW_BIT(6) /* write 1 to clear */
#define NW_AMDVI_STATUS_PPR_RUN        NW_BIT(7)

/* ---- life cycle --------------------------------------------------------------------------------- */

/* Why the unit sends its interrupt (the message is in its PCI capability, which is software's own). */
enum nw_amdvi_signal { NW_AMDVI_EVENT_LOGGED, NW_AMDVI_WAIT_COMPLETED, NW_AMDVI_PPR_LOGGED };

/* INVALIDATE_IOTLB_PAGES, as a device gets it. */
struct nw_amdvi_device_tlb {
    uint16_t device_id;
    bool has_pasid, large; /* GN, S: `address` says how many pages, see nw_amdvi_range() */
    uint32_t pasid;
    uint64_t address;
};

/* COMPLETE_PPR_REQUEST, as a device gets it; or the unit's own answer. */
struct nw_amdvi_page_response {
    uint16_t device_id, tag; /* tag: 10 bits */
    bool has_pasid;
    uint8_t code; /* enum nw_amdvi_page_code; other values are passed on as they are */
    uint32_t pasid;
};
enum nw_amdvi_page_code { NW_AMDVI_PAGE_SUCCESS = 0, NW_AMDVI_PAGE_INVALID = 1, NW_AMDVI_PAGE_FAILURE = 15 };

struct nw_amdvi_config {
    struct nw_amdvi_capabilities unit;
    struct nw_amdvi_memory memory; /* outlives the unit, with the ranges that it names */
    bool remote_iotlbs;            /* IotlbSup of the capability header: devices may have TLBs of their own */
    struct nw_iommu_cache_shape cache[NW_AMDVI_CACHES];
    void (*signal)(void *context, enum nw_amdvi_signal signal); /* may be NULL */
    /* false: the device does not answer, and keeps what it has. NULL: all answer. */
    bool (*device_tlb)(void *context, const struct nw_amdvi_device_tlb *invalidation);
    void (*page_response)(void *context, const struct nw_amdvi_page_response *response); /* may be NULL */
    void *context;
};

/* 6 host levels, guest translation with 5 levels and two levels of GCR3 tables, page requests, 128-bit interrupt entries, A and D
 * bits, 48-bit addresses; 64 device table entries, 64 guest CR3s, IOTLB of 256, 64 tables, 64 interrupt entries, 4 ways
 * each. */
struct nw_amdvi_config nw_amdvi_config_default(struct nw_physmem *pm);

struct nw_amdvi_unit;
/* NW_ERR_INPUT: capabilities that nw_amdvi_capabilities_check() refuses or that are not modelled, or the shape of a cache. */
enum nw_status nw_amdvi_unit_create(struct nw_amdvi_unit **out, const struct nw_amdvi_config *config,
                                    struct nw_error *err) NW_MUST_USE;
void nw_amdvi_unit_destroy(struct nw_amdvi_unit *u); /* NULL is allowed */

/* ---- use ---------------------------------------------------------------------------------------- */

/* `bytes` 4 or 8, aligned. What is no register reads as 0 and swallows writes, as does an access of another kind. */
uint64_t nw_amdvi_unit_read(const struct nw_amdvi_unit *u, unsigned offset, unsigned bytes);
void nw_amdvi_unit_write(struct nw_amdvi_unit *u, unsigned offset, unsigned bytes, uint64_t value);

/* A request; an event that is to be logged is. With IommuEn clear every address is used as it is. */
void nw_amdvi_unit_dma(struct nw_amdvi_unit *u, const struct nw_amdvi_request *q, struct nw_amdvi_result *out);
/* With IommuEn clear the message passes as it is. */
void nw_amdvi_unit_interrupt(struct nw_amdvi_unit *u, const struct nw_amdvi_interrupt_request *q,
                             struct nw_amdvi_interrupt *out);

struct nw_amdvi_page_request {
    uint16_t device_id, tag; /* 10 bits */
    bool has_pasid, read, write, execute, privileged;
    uint32_t pasid;
    uint64_t address;
};
/* true: it stands in the log. false: it does not, and *response is what the unit itself answers: NW_AMDVI_PAGE_INVALID
 * when the device table entry does not allow page requests (INVALID_PPR_REQUEST is logged), or with PPREn clear;
 * MODEL: NW_AMDVI_PAGE_FAILURE when the log is off or has overflowed. */
bool nw_amdvi_unit_page_request(struct nw_amdvi_unit *u, const struct nw_amdvi_page_request *q,
                                struct nw_amdvi_page_response *response);

/* Empties all caches, as a reset does. */
void nw_amdvi_unit_flush(struct nw_amdvi_unit *u);
struct nw_iommu_cache_counts nw_amdvi_unit_counts(const struct nw_amdvi_unit *u, enum nw_amdvi_cache cache);

/* [start, last]: the addresses that an invalidation covers. Without S one page of 4 KiB. With S 2^(n + 1) bytes, n being the
 * lowest bit from 12 up that is clear; everything when it is bit 51 or above. */
void nw_amdvi_range(uint64_t address, bool large, uint64_t *start, uint64_t *last);

#endif
