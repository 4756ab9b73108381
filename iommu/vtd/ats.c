/* Translation requests: VT-d, "Support For Device-TLBs". */
#include "unit.h"
#include <nestwalk/iommu/vtd_ats.h>

/* MODEL: see vtd_ats.h. */
static enum nw_vtd_ats_status status_of(unsigned reason)
{
    switch (reason) {
    /* The trees have no mapping, or not for this request; the address or the page is one that devices have none for. */
    case 0x00:
    case 0x04:
    case 0x05:
    case 0x06:
    case 0x0e:
    case 0x71:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x79:
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x84:
    case 0x85:
    case 0x86:
    case 0x87: return NW_VTD_ATS_SUCCESS;
    /* The device is not set up, or not for this. */
    case 0x01:
    case 0x02:
    case 0x03:
    case 0x0d:
    case 0x30:
    case 0x31:
    case 0x39:
    case 0x41:
    case 0x43:
    case 0x44:
    case 0x45:
    case 0x46:
    case 0x48:
    case 0x51:
    case 0x59:
    case 0x5b:
    case 0x5c:
    case 0x5d:
    case 0x83: return NW_VTD_ATS_UNSUPPORTED;
    default: return NW_VTD_ATS_ABORT;
    }
}

static void ask(struct nw_vtd_unit *u, struct nw_vtd_request q, enum nw_vtd_request_kind kind, bool execute,
                struct nw_vtd_completion *c, struct nw_vtd_result *r)
{
    struct vtd_walk w;
    vtd_walk_init(&w, &u->tables, &u->caches);
    q.kind = kind;
    q.execute = execute;
    vtd_translate(&w, &q, r);
    c->references = (uint16_t)(c->references + r->references);
}

static bool without_rights(const struct nw_vtd_result *r)
{
    return r->fault.reason && status_of(r->fault.reason) == NW_VTD_ATS_SUCCESS;
}

/* The rights that one request asks for are looked up one after the other, as each may be refused alone. *refused: why the
 * last of those was that are not among the result's. */
static void find(struct nw_vtd_unit *u, const struct nw_vtd_request *q, bool write, struct nw_vtd_completion *c,
                 struct nw_vtd_result *r, struct nw_vtd_fault *refused)
{
    bool execute = q->has_pasid && q->execute;
    *refused = (struct nw_vtd_fault){ .level = -1 };
    ask(u, *q, NW_VTD_READ, execute, c, r);
    if (execute && without_rights(r)) {
        *refused = r->fault;
        ask(u, *q, NW_VTD_READ, false, c, r);
    }
    bool writable = !r->fault.reason && (r->rights & NW_VTD_RIGHT_WRITE) && (r->rights & NW_VTD_RIGHT_DIRTY);
    if (write && !writable && status_of(r->fault.reason) == NW_VTD_ATS_SUCCESS) {
        struct nw_vtd_result written;
        ask(u, *q, NW_VTD_WRITE, false, c, &written);
        if (!r->fault.reason && without_rights(&written))
            *refused = written.fault;
        else
            *r = written;
    }
    if (!execute)
        r->rights &= (uint8_t)~NW_VTD_RIGHT_EXECUTE;
    if (!(r->rights & NW_VTD_RIGHT_DIRTY))
        r->rights &= (uint8_t)~NW_VTD_RIGHT_WRITE;
}

void nw_vtd_unit_ats(struct nw_vtd_unit *u, const struct nw_vtd_request *q, struct nw_vtd_completion *out)
{
    *out = (struct nw_vtd_completion){ .status = NW_VTD_ATS_UNSUPPORTED, .fault = { .level = -1 } };
    if (!(u->gsts & NW_VTD_GCMD_TE))
        return;
    struct nw_vtd_request request = *q;
    struct nw_vtd_result r;
    struct nw_vtd_fault refused;
    request.type = NW_VTD_TRANSLATION_REQUEST;
    request.zero_length = false;
    find(u, &request, q->kind != NW_VTD_READ, out, &r, &refused);
    out->fault = r.fault.reason ? r.fault : refused;
    out->status = status_of(r.fault.reason);
    out->page_log2 = NW_PAGE_LOG2;
    if (out->status != NW_VTD_ATS_SUCCESS) {
        if (r.fault.recorded)
            vtd_record(u, &r.fault, q->source_id, &request);
        return;
    }
    if (!q->has_pasid && nw_vtd_interrupt_range(q->address)) {
        /* MODEL: messages are sent untranslated, and are writes. */
        out->fault = (struct nw_vtd_fault){ .level = -1 };
        out->untranslated_only = true;
        out->rights = NW_VTD_RIGHT_WRITE;
    } else if (!r.fault.reason) {
        out->hpa = r.hpa;
        out->rights = r.rights;
        out->page_log2 = r.page_log2 < 64 ? r.page_log2 : NW_PAGE_LOG2; /* pass-through: a page at a time */
    }
}

void nw_vtd_device_range(const struct nw_vtd_device_tlb *q, uint64_t *start, uint64_t *last)
{
    uint64_t span = nw_mask(NW_PAGE_LOG2 - 1, 0); /* bytes - 1 */
    for (unsigned bit = NW_PAGE_LOG2; q->large; bit++) {
        span = bit == 63 ? UINT64_MAX : span << 1 | 1;
        if (bit == 63 || !(q->address >> bit & 1))
            break;
    }
    *start = q->address & ~span;
    *last = *start + span;
}
