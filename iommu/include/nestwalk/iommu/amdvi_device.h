/* amdvi_device.h - a device behind an AMD IOMMU that keeps translations in a TLB of its own.
 *
 *     struct nw_amdvi_device_config c = { .device_id = 0x10, .entries = 64, .ways = 4 };
 *     if ((s = nw_amdvi_device_create(&d, u, &c, err))) return s;
 *     nw_amdvi_device_dma(d, &request, &out);    // TLB, then translation request, then the DMA itself
 *     nw_amdvi_device_destroy(d);                // before its unit
 *
 * While it exists, INVALIDATE_IOTLB_PAGES and COMPLETE_PPR_REQUEST for its device id go to it, and no longer to the unit's
 * callbacks `device_tlb` and `page_response`.
 *
 * Source: AMD IOMMU specification, "Remote IOTLB Support", "Peripheral Page Request (PPR) Logging"; PCI Express, "Address
 * Translation Services". */
#ifndef NESTWALK_IOMMU_AMDVI_DEVICE_H
#define NESTWALK_IOMMU_AMDVI_DEVICE_H

#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/device_tlb.h>

struct nw_amdvi_device_config {
    uint16_t device_id;
    unsigned entries, ways; /* of the TLB: a multiple of the ways. 0 entries: every access asks for a translation */
    enum nw_device_tlb_policy policy;
    uint64_t seed;      /* of NW_DEVICE_TLB_RANDOM */
    bool page_requests; /* asks for pages that it gets no rights for */
    unsigned tags;      /* page requests that may be outstanding, 1 to 512; 0: 1 */
    bool silent;        /* does not answer invalidations, and keeps what it has */
};

struct nw_amdvi_device;
/* The unit outlives the device. NW_ERR_INPUT: a shape that cannot be, or a second device of one device id. */
enum nw_status nw_amdvi_device_create(struct nw_amdvi_device **out, struct nw_amdvi_unit *u,
                                      const struct nw_amdvi_device_config *config, struct nw_error *err) NW_MUST_USE;
void nw_amdvi_device_destroy(struct nw_amdvi_device *d); /* NULL is allowed */
void nw_amdvi_device_set_silent(struct nw_amdvi_device *d, bool silent);

enum nw_amdvi_device_outcome {
    NW_AMDVI_DEVICE_DONE,    /* the DMA went through: result */
    NW_AMDVI_DEVICE_REFUSED, /* no translation, or the unit refused the DMA: result.event, if there is one */
    NW_AMDVI_DEVICE_ASKED,   /* a page request has been logged; try again after the response */
    NW_AMDVI_DEVICE_WAITS    /* as many are outstanding as the device can have */
};

struct nw_amdvi_device_result {
    enum nw_amdvi_device_outcome outcome;
    bool hit;                      /* the device's TLB had it */
    bool untranslated;             /* the DMA went out untranslated: the unit said so */
    uint16_t tag;                  /* NW_AMDVI_DEVICE_ASKED */
    struct nw_amdvi_result result; /* of the DMA; hpa, page_log2 and rights are those of the translation */
};

/* q->device_id and q->type are not looked at. */
void nw_amdvi_device_dma(struct nw_amdvi_device *d, const struct nw_amdvi_request *q,
                         struct nw_amdvi_device_result *out);

struct nw_device_tlb_counts nw_amdvi_device_counts(const struct nw_amdvi_device *d);
/* Requests without an answer yet. */
unsigned nw_amdvi_device_outstanding(const struct nw_amdvi_device *d);

#endif
