/* Events as the unit logs them: AMD IOMMU specification, chapter "Event Logging". */
#include "amdvi_internal.h"

const char *nw_amdvi_event_name(unsigned code)
{
    switch (code) {
    case NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY: return "ILLEGAL_DEV_TABLE_ENTRY";
    case NW_AMDVI_IO_PAGE_FAULT: return "IO_PAGE_FAULT";
    case NW_AMDVI_DEV_TAB_HARDWARE_ERROR: return "DEV_TAB_HARDWARE_ERROR";
    case NW_AMDVI_PAGE_TAB_HARDWARE_ERROR: return "PAGE_TAB_HARDWARE_ERROR";
    case NW_AMDVI_ILLEGAL_COMMAND_ERROR: return "ILLEGAL_COMMAND_ERROR";
    case NW_AMDVI_COMMAND_HARDWARE_ERROR: return "COMMAND_HARDWARE_ERROR";
    case NW_AMDVI_IOTLB_INV_TIMEOUT: return "IOTLB_INV_TIMEOUT";
    case NW_AMDVI_INVALID_PPR_REQUEST: return "INVALID_PPR_REQUEST";
    case NW_AMDVI_INVALID_DEVICE_REQUEST: return "INVALID_DEVICE_REQUEST";
    default: return NULL;
    }
}

bool amdvi_host_event(const struct amdvi_walk *w, struct nw_amdvi_event *e, enum nw_amdvi_event_code code,
                      unsigned flags, uint64_t gpa, bool write)
{
    bool page = code == NW_AMDVI_IO_PAGE_FAULT || code == NW_AMDVI_PAGE_TAB_HARDWARE_ERROR;
    /* INVALID_DEVICE_REQUEST has no RW. RW says nothing of translation requests: it is left clear. */
    if (w->q->type == NW_AMDVI_TRANSLATION_REQUEST)
        flags |= NW_AMDVI_FLAG_TR;
    else if (write && code != NW_AMDVI_INVALID_DEVICE_REQUEST)
        flags |= NW_AMDVI_FLAG_RW;
    *e = (struct nw_amdvi_event){ .code = (uint8_t)code,
                                  .logged = !(code == NW_AMDVI_IO_PAGE_FAULT && (w->dte[1] & DTE_SA)),
                                  .flags = (uint16_t)flags,
                                  .device_id = w->q->device_id,
                                  .domain_id = page ? (uint16_t)(w->dte[1] & DTE_DOMAIN) : 0,
                                  .address = gpa };
    return false;
}

bool amdvi_event(const struct amdvi_walk *w, struct nw_amdvi_event *e, enum nw_amdvi_event_code code, unsigned flags)
{
    return amdvi_host_event(w, e, code, flags, w->q->address, w->q->kind != NW_AMDVI_READ);
}

void nw_amdvi_event_record(const struct nw_amdvi_event *e, uint64_t out[2])
{
    bool gn = e->flags & NW_AMDVI_FLAG_GN;
    uint64_t pasid = gn ? nw_field(e->pasid, 15, 0) << 32 | nw_field(e->pasid, 19, 16) << 16 : 0;
    out[0] = e->device_id | (gn ? pasid : (uint64_t)e->domain_id << 32) | (uint64_t)(e->flags & 0xfff) << 48 |
             (uint64_t)e->code << 60;
    out[1] = e->address;
}
