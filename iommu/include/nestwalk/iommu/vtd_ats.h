/* vtd_ats.h - what a device with a TLB of its own asks a remapping unit: translations (ATS) and pages (PRI).
 *
 *     struct nw_vtd_completion c;
 *     nw_vtd_unit_ats(u, &(struct nw_vtd_request){ .source_id = 0x10, .kind = NW_VTD_WRITE, .address = iova }, &c);
 *     if (c.status == NW_VTD_ATS_SUCCESS && c.rights & NW_VTD_RIGHT_WRITE) ... c.hpa ...
 *     else nw_vtd_unit_page_request(u, &(struct nw_vtd_page_request){ ... }, &response);
 *
 * vtd_device.h is a device that does this by itself.
 *
 * A context entry must allow it: TT 01 in legacy mode, DTE in scalable mode for translations, PRE for pages. What a
 * translation request is answered when it cannot be served is a choice of this model where it says MODEL; the
 * specification's table of fault conditions was not at hand.
 *
 * Source: VT-d, chapters "Support For Device-TLBs" and "Page Request Handling"; PCI Express, "Address Translation
 * Services". */
#ifndef NESTWALK_IOMMU_VTD_ATS_H
#define NESTWALK_IOMMU_VTD_ATS_H

#include <nestwalk/iommu/vtd_unit.h>

/* ---- translation requests ----------------------------------------------------------------------- */

enum nw_vtd_ats_status { NW_VTD_ATS_SUCCESS, NW_VTD_ATS_UNSUPPORTED, NW_VTD_ATS_ABORT };

struct nw_vtd_completion {
    enum nw_vtd_ats_status status;
    struct nw_vtd_fault fault; /* why there is no translation, or not every right asked for; reason 0: nothing is
                                  missing */
    hpa_t hpa;                 /* of the byte asked for; valid when rights are not 0 and untranslated_only is not set */
    uint8_t page_log2;         /* what one entry of a device TLB may cover */
    uint8_t rights;         /* set of enum nw_vtd_right; success without rights: not mapped, or not for this request */
    bool untranslated_only; /* U: the device is to use the address as it is, untranslated */
    uint16_t references;    /* words read */
};

/* q->kind NW_VTD_READ asks for reading only (NW set): the answer permits writes where dirty flags need no update. Other
 * kinds ask for both, and set the dirty flag of a page that may be written. q->type is not looked at.
 * MODEL: entries that are absent or refuse are a success without rights, and no fault is recorded; absent, invalid or
 * refusing structures above the trees are Unsupported Request; reserved bits and unreadable tables are Completer Abort. */
void nw_vtd_unit_ats(struct nw_vtd_unit *u, const struct nw_vtd_request *q, struct nw_vtd_completion *out);

/* ---- page requests ------------------------------------------------------------------------------ */

struct nw_vtd_page_request {
    uint16_t source_id, group; /* PRGI, 9 bits */
    bool has_pasid, read, write, execute, privileged;
    bool last; /* LPIG: the group's last */
    uint32_t pasid;
    uint64_t address;
};

/* true: it stands in the queue, and what was cached for that page is gone. false: it does not, and *response is what
 * the unit itself answers: NW_VTD_PAGE_INVALID when the tables do not allow it (the fault is recorded);
 * NW_VTD_PAGE_SUCCESS when the queue is full, so that the device asks again. A device is answered only when the
 * request is the group's last. */
bool nw_vtd_unit_page_request(struct nw_vtd_unit *u, const struct nw_vtd_page_request *q,
                              struct nw_vtd_page_response *response);

/* ---- invalidation of device TLBs ---------------------------------------------------------------- */

/* [start, last]: the addresses that an invalidation covers. Without S one page. With S the lowest zero bit of the address
 * from bit 12 on says the size: zero at bit 12 two pages, at bit 13 four, and so on; ones everywhere are everything. */
void nw_vtd_device_range(const struct nw_vtd_device_tlb *q, uint64_t *start, uint64_t *last);

#endif
