/* vtd_unit.h - one VT-d remapping unit as software drives it: registers, caches, fault recording, invalidation queue.
 *
 *     struct nw_vtd_config c = nw_vtd_config_default(pm);
 *     struct nw_vtd_unit *u;
 *     if ((s = nw_vtd_unit_create(&u, &c, err))) return s;
 *     nw_vtd_unit_write(u, NW_VTD_RTADDR, 8, root);
 *     nw_vtd_unit_write(u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
 *     nw_vtd_unit_write(u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE);
 *     nw_vtd_unit_dma(u, &request, &result);
 *     nw_vtd_unit_destroy(u);
 *
 * Commands and invalidations complete at once: a status bit is up to date, and the queue's head has caught up with its
 * tail, when the write that caused it returns.
 *
 * What is modelled: the state of GCMD and GSTS; RTADDR and IRTA, latched by SRTP and SIRTP; register-based invalidation
 * (CCMD, IVA, IOTLB); the invalidation queue with 128- and 256-bit descriptors of every type, and its errors; primary
 * fault recording with as many records as CAP.NFR says, collapsing and overflow; the fault event and the invalidation
 * event as messages; protected memory regions; translation requests and page requests with their queue and event
 * (vtd_ats.h), devices with a TLB of their own (vtd_device.h). What is not: performance monitoring, the enhanced and
 * virtual command interfaces; their registers read as 0.
 *
 * Source: VT-d, chapters "Register Descriptions", "Caching Translation Information", "Translation Faults". */
#ifndef NESTWALK_IOMMU_VTD_UNIT_H
#define NESTWALK_IOMMU_VTD_UNIT_H

#include <nestwalk/iommu/vtd.h>
#include <nestwalk/iommu/vtd_cache.h>

/* ---- registers ---------------------------------------------------------------------------------- */

enum nw_vtd_register {                       /* offset; bytes in the comment */
                       NW_VTD_VER = 0x00,    /* 4 */
                       NW_VTD_CAP = 0x08,    /* 8 */
                       NW_VTD_ECAP = 0x10,   /* 8 */
                       NW_VTD_GCMD = 0x18,   /* 4, reads as 0 */
                       NW_VTD_GSTS = 0x1c,   /* 4 */
                       NW_VTD_RTADDR = 0x20, /* 8 */
                       NW_VTD_CCMD = 0x28,   /* 8 */
                       NW_VTD_FSTS = 0x34,   /* 4 */
                       NW_VTD_FECTL = 0x38,  /* 4 */
                       NW_VTD_FEDATA = 0x3c,
                       NW_VTD_FEADDR = 0x40,
                       NW_VTD_FEUADDR = 0x44,
                       NW_VTD_PMEN = 0x64,     /* 4 */
                       NW_VTD_PLMBASE = 0x68,  /* 4 */
                       NW_VTD_PLMLIMIT = 0x6c, /* 4 */
                       NW_VTD_PHMBASE = 0x70,  /* 8 */
                       NW_VTD_PHMLIMIT = 0x78, /* 8 */
                       NW_VTD_IQH = 0x80,      /* 8 */
                       NW_VTD_IQT = 0x88,      /* 8 */
                       NW_VTD_IQA = 0x90,      /* 8 */
                       NW_VTD_ICS = 0x9c,      /* 4 */
                       NW_VTD_IECTL = 0xa0,
                       NW_VTD_IEDATA = 0xa4,
                       NW_VTD_IEADDR = 0xa8,
                       NW_VTD_IEUADDR = 0xac,
                       NW_VTD_IQERCD = 0xb0, /* 8 */
                       NW_VTD_IRTA = 0xb8,   /* 8 */
                       NW_VTD_PQH = 0xc0,    /* 8 */
                       NW_VTD_PQT = 0xc8,    /* 8 */
                       NW_VTD_PQA = 0xd0,    /* 8 */
                       NW_VTD_PRS = 0xdc,    /* 4 */
                       NW_VTD_PECTL = 0xe0,  /* 4 */
                       NW_VTD_PEDATA = 0xe4,
                       NW_VTD_PEADDR = 0xe8,
                       NW_VTD_PEUADDR = 0xec,
};
/* Fault records of 16 bytes, and IVA with IOTLB behind it, stand where CAP and ECAP say. */
static inline unsigned nw_vtd_record_offset(uint64_t cap, unsigned i)
{
    return (unsigned)nw_field(cap, 33, 24) * 16 + i * 16;
}
static inline unsigned nw_vtd_record_count(uint64_t cap) { return (unsigned)nw_field(cap, 47, 40) + 1; }
static inline unsigned nw_vtd_iva_offset(uint64_t ecap) { return (unsigned)nw_field(ecap, 17, 8) * 16; }

/* GCMD, and the status bits of GSTS in the same places. */
#define NW_VTD_GCMD_TE    NW_BIT(31) /* translation */
#define NW_VTD_GCMD_SRTP  NW_BIT(30) /* once: take RTADDR */
#define NW_VTD_GCMD_WBF   NW_BIT(27) /* once: flush the write buffer */
#define NW_VTD_GCMD_QIE   NW_BIT(26) /* invalidation queue */
#define NW_VTD_GCMD_IRE   NW_BIT(25) /* interrupt remapping */
#define NW_VTD_GCMD_SIRTP NW_BIT(24) /* once: take IRTA */
#define NW_VTD_GCMD_CFI   NW_BIT(23) /* compatibility-format interrupts pass */

#define NW_VTD_FSTS_PFO NW_BIT(0) /* a fault found no record */
#define NW_VTD_FSTS_PPF NW_BIT(1) /* a record is pending */
#define NW_VTD_FSTS_IQE NW_BIT(4) /* invalidation queue error: it has stopped */
#define NW_VTD_FSTS_ICE NW_BIT(5) /* a device answered an invalidation in error */
#define NW_VTD_FSTS_ITE NW_BIT(6) /* a device did not answer */

#define NW_VTD_PMEN_EPM NW_BIT(31) /* protected memory regions are asked for */
#define NW_VTD_PMEN_PRS NW_BIT(0)  /* and are in force */

#define NW_VTD_PRS_PPR NW_BIT(0) /* page requests have been queued */
#define NW_VTD_PRS_PRO NW_BIT(1) /* one found the queue full */

/* IQERCD.IQEI, why FSTS.IQE is set. */
enum nw_vtd_queue_error {
    NW_VTD_QUEUE_OK,
    NW_VTD_QUEUE_TAIL,       /* the tail is beyond the queue */
    NW_VTD_QUEUE_FETCH,      /* the descriptor cannot be read */
    NW_VTD_QUEUE_TYPE,       /* its type is not one */
    NW_VTD_QUEUE_RESERVED,   /* reserved or invalid fields in it */
    NW_VTD_QUEUE_WIDTH,      /* 256-bit descriptors without scalable mode */
    NW_VTD_QUEUE_MISALIGNED, /* the tail points into a 256-bit descriptor */
    NW_VTD_QUEUE_MODE,       /* its type belongs to another translation table mode */
};

/* ---- life cycle --------------------------------------------------------------------------------- */

/* A message that the unit sends of its own: the memory write that FEADDR/FEDATA, IEADDR/IEDATA or PEADDR/PEDATA
 * describe. */
enum nw_vtd_event { NW_VTD_FAULT_EVENT, NW_VTD_INVALIDATION_EVENT, NW_VTD_PAGE_REQUEST_EVENT };
/* How a device answers an invalidation of its device TLB. */
enum nw_vtd_answer { NW_VTD_ANSWER_DONE, NW_VTD_ANSWER_ERROR, NW_VTD_ANSWER_NONE };

struct nw_vtd_device_tlb {
    uint16_t source_id;
    bool has_pasid, global, large; /* large (S): `address` says how many pages, see nw_vtd_device_range() */
    uint32_t pasid;
    uint64_t address;
};

/* The answer to a group of page requests: software's, by a page-group response descriptor. */
struct nw_vtd_page_response {
    uint16_t source_id, group; /* group: PRGI, 9 bits */
    bool has_pasid;
    uint8_t code; /* enum nw_vtd_page_code; other values are passed on as they are */
    uint32_t pasid;
};
enum nw_vtd_page_code { NW_VTD_PAGE_SUCCESS = 0, NW_VTD_PAGE_INVALID = 1, NW_VTD_PAGE_FAILURE = 15 };

struct nw_vtd_config {
    struct nw_vtd_capabilities unit;
    struct nw_vtd_memory memory; /* outlives the unit, with the ranges that it names */
    uint32_t version;            /* VER: major 7:4, minor 3:0 */
    struct nw_iommu_cache_shape cache[NW_VTD_CACHES];
    /* Liberties that the architecture gives a unit. false: the closest reading. */
    bool tags_source;           /* cached translations are found by source id and PASID; the domain id is for
                                   invalidations only. One is used before the PASID table is looked at. */
    bool context_global_domain; /* a domain-selective invalidation of the context cache takes all of it */
    bool protects_remapped;     /* protected memory is closed to requests that paging entries led there, too */
    unsigned under_way;         /* requests that have been translated and not reached memory; 0: each does at once */
    void (*event)(void *context, enum nw_vtd_event event, uint64_t address, uint32_t data);        /* may be NULL */
    enum nw_vtd_answer (*device_tlb)(void *context, const struct nw_vtd_device_tlb *invalidation); /* NULL: done */
    void (*page_response)(void *context, const struct nw_vtd_page_response *response);             /* may be NULL */
    void *context;
};

/* Legacy and scalable mode, both stages, 48 bits, 8 fault records, without page requests and protected memory; 64-entry context cache, 64 PASID entries, IOTLB of
 * 256 entries, 64 paging-structure entries, 64 interrupt entries, 4 ways each. */
struct nw_vtd_config nw_vtd_config_default(struct nw_physmem *pm);

struct nw_vtd_unit;
/* NW_ERR_INPUT: a host address width or the shape of a cache out of range, or fault records or IVA over other
 * registers. */
enum nw_status nw_vtd_unit_create(struct nw_vtd_unit **out, const struct nw_vtd_config *config,
                                  struct nw_error *err) NW_MUST_USE;
void nw_vtd_unit_destroy(struct nw_vtd_unit *u); /* NULL is allowed */

/* ---- use ---------------------------------------------------------------------------------------- */

/* `bytes` 4 or 8, aligned. What is no register reads as 0 and swallows writes, as does an access of another kind. */
uint64_t nw_vtd_unit_read(const struct nw_vtd_unit *u, unsigned offset, unsigned bytes);
void nw_vtd_unit_write(struct nw_vtd_unit *u, unsigned offset, unsigned bytes, uint64_t value);

/* A request; a fault that is to be recorded is. With translation off every address is used as it is. A request that a
 * protected memory region stops has fault reason NW_VTD_PROTECTED_MEMORY, and is not recorded. Translation requests
 * are better given to nw_vtd_unit_ats(), which says what the device is answered. */
void nw_vtd_unit_dma(struct nw_vtd_unit *u, const struct nw_vtd_request *q, struct nw_vtd_result *out);
/* With interrupt remapping off the message passes as it is, in compatibility format. */
void nw_vtd_unit_interrupt(struct nw_vtd_unit *u, const struct nw_vtd_interrupt_request *q,
                           struct nw_vtd_interrupt *out);

/* With nw_vtd_config.under_way, requests reach memory late: the oldest when there is no place for another, `count` of them
 * here, and all that an invalidation drains before it completes. An IOTLB invalidation drains reads with DR and writes
 * (atomic operations among them) with DW, where CAP has DRD and DWD; a PASID-based one drains both; a device that answers
 * an invalidation has its translated requests behind it. */
void nw_vtd_unit_arrive(struct nw_vtd_unit *u, unsigned count);
void nw_vtd_unit_under_way(const struct nw_vtd_unit *u, unsigned *reads, unsigned *writes);

/* Empties all caches, as a reset does. */
void nw_vtd_unit_flush(struct nw_vtd_unit *u);
struct nw_iommu_cache_counts nw_vtd_unit_counts(const struct nw_vtd_unit *u, enum nw_vtd_cache cache);

#endif
