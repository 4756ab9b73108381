/* unit.h - the state of a remapping unit. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_UNIT_INTERNAL_H
#define NESTWALK_IOMMU_VTD_UNIT_INTERNAL_H

#include "caches.h"
#include <nestwalk/iommu/vtd_unit.h>

enum { RECORDS_MAX = 256 };

/* flight.h */
struct vtd_flight {
    struct vtd_dma *dma; /* flight.c */
    unsigned most, count, oldest;
};

struct nw_vtd_unit {
    struct nw_vtd_config config;
    struct nw_vtd_tables tables; /* what SRTP and SIRTP have latched */
    struct vtd_caches caches;
    uint64_t gsts, rtaddr, ccmd, fsts, fectl, fedata, feaddr, feuaddr;
    uint64_t iqh, iqt, iqa, ics, iectl, iedata, ieaddr, ieuaddr, iqercd, irta, iva, iotlb;
    uint64_t pmen, plmbase, plmlimit, phmbase, phmlimit;
    uint64_t pqh, pqt, pqa, prs, pectl, pedata, peaddr, peuaddr;
    uint64_t record[RECORDS_MAX][2];
    unsigned next_record;
    bool queue_stopped; /* ITE: until software has cleared it */
    int32_t unanswered; /* source id of a device that has not answered an invalidation of this run; -1: none */
    struct nw_vtd_device *devices; /* those with a TLB, in a list */
    struct vtd_flight flight;
    struct nw_vtd_stale *stale; /* NULL: nobody looks for stale mappings */
};

#define EVENT_IM NW_BIT(31) /* FECTL, IECTL, PECTL: masked */
#define EVENT_IP NW_BIT(30) /* pending */

/* record.c */
void vtd_record(struct nw_vtd_unit *u, const struct nw_vtd_fault *f, uint16_t source_id,
                const struct nw_vtd_request *q_or_null);
void vtd_record_page_request(struct nw_vtd_unit *u, const struct nw_vtd_fault *f, const struct nw_vtd_request *as_dma);
void vtd_status_raise(struct nw_vtd_unit *u, uint64_t fsts_bits); /* sets them, with a fault event when due */
void vtd_status_clear(struct nw_vtd_unit *u, uint64_t fsts_bits);
void vtd_record_clear(struct nw_vtd_unit *u, unsigned index);
void vtd_event_unmask(struct nw_vtd_unit *u, enum nw_vtd_event event); /* after IM has changed */
void vtd_invalidation_complete(struct nw_vtd_unit *u);                 /* ICS.IWC */

/* protect.c: `address` lies in a protected memory region that is in force. */
bool vtd_protected(const struct nw_vtd_unit *u, uint64_t address);

/* page_request.c */
void vtd_page_request_status_clear(struct nw_vtd_unit *u, uint64_t prs_bits);
void vtd_event_raise(struct nw_vtd_unit *u, enum nw_vtd_event event); /* record.c: sends it, or keeps it pending */

/* device.c: what an invalidation or a page response does to the device of that source id. False: there is none. */
bool vtd_device_invalidate(struct nw_vtd_unit *u, const struct nw_vtd_device_tlb *q, enum nw_vtd_answer *answer);
bool vtd_device_respond(struct nw_vtd_unit *u, const struct nw_vtd_page_response *r);

/* queue.c */
void vtd_queue_run(struct nw_vtd_unit *u);

/* commands.c */
void vtd_command(struct nw_vtd_unit *u, uint64_t gcmd);
void vtd_context_command(struct nw_vtd_unit *u);
void vtd_iotlb_command(struct nw_vtd_unit *u);

#endif
