/* vtd_device.h - a device that keeps translations in a TLB of its own.
 *
 *     struct nw_vtd_device_config c = { .source_id = 0x10, .entries = 64, .ways = 4 };
 *     if ((s = nw_vtd_device_create(&d, u, &c, err))) return s;
 *     nw_vtd_device_dma(d, &request, &out);      // TLB, then translation request, then the DMA itself
 *     nw_vtd_device_destroy(d);                  // before its unit
 *
 * While it exists, device-TLB invalidations and page-group responses for its source id go to it, and no longer to the
 * unit's callbacks `device_tlb` and `page_response`.
 *
 * Source: VT-d, "Support For Device-TLBs"; PCI Express, "Address Translation Services". */
#ifndef NESTWALK_IOMMU_VTD_DEVICE_H
#define NESTWALK_IOMMU_VTD_DEVICE_H

#include <nestwalk/iommu/device_tlb.h>
#include <nestwalk/iommu/vtd_ats.h>

struct nw_vtd_device_config {
    uint16_t source_id;
    unsigned entries, ways; /* of the TLB: a multiple of the ways. 0 entries: every access asks for a translation */
    enum nw_device_tlb_policy policy;
    uint64_t seed;             /* of NW_DEVICE_TLB_RANDOM */
    bool page_requests;        /* asks for pages that it gets no rights for */
    unsigned groups;           /* page requests that may be outstanding, 1 to 512; 0: 1 */
    enum nw_vtd_answer answer; /* to invalidations; see nw_vtd_device_set_answer() */
};

struct nw_vtd_device;
/* The unit outlives the device. NW_ERR_INPUT: a shape that cannot be, or a second device of one source id. */
enum nw_status nw_vtd_device_create(struct nw_vtd_device **out, struct nw_vtd_unit *u,
                                    const struct nw_vtd_device_config *config, struct nw_error *err) NW_MUST_USE;
void nw_vtd_device_destroy(struct nw_vtd_device *d); /* NULL is allowed */

/* NW_VTD_ANSWER_NONE: the device does not answer (FSTS.ITE), and keeps what it has. NW_VTD_ANSWER_ERROR: it answers
 * wrongly (FSTS.ICE), and keeps it too. */
void nw_vtd_device_set_answer(struct nw_vtd_device *d, enum nw_vtd_answer answer);

enum nw_vtd_device_outcome {
    NW_VTD_DEVICE_DONE,    /* the DMA went through: result */
    NW_VTD_DEVICE_REFUSED, /* no translation, or the unit refused the DMA: result.fault */
    NW_VTD_DEVICE_ASKED,   /* a page request has been queued; try again after the response */
    NW_VTD_DEVICE_WAITS,   /* as many are outstanding as the device can have, or the queue was full */
};

struct nw_vtd_device_result {
    enum nw_vtd_device_outcome outcome;
    bool hit;                    /* the device's TLB had it */
    bool untranslated;           /* the DMA went out untranslated: the unit said so */
    uint16_t group;              /* NW_VTD_DEVICE_ASKED */
    struct nw_vtd_result result; /* of the DMA; hpa, page_log2 and rights are those of the translation */
};

/* q->source_id and q->type are not looked at. */
void nw_vtd_device_dma(struct nw_vtd_device *d, const struct nw_vtd_request *q, struct nw_vtd_device_result *out);

struct nw_device_tlb_counts nw_vtd_device_counts(const struct nw_vtd_device *d);
/* Requests without an answer yet. */
unsigned nw_vtd_device_outstanding(const struct nw_vtd_device *d);

#endif
