/* A request, from the device table entry to an address: AMD IOMMU specification, "Device Table Entry Format" (the tables of
 * V and TV, SysMgt, IoCtl), "Special Address Controls", "Exclusion Range", "Remote IOTLB Support". */
#include "caches.h"

const char *const nw_amdvi_translation_name[NW_AMDVI_TRANSLATIONS] = { "pass-through", "host", "guest", "nested" };

enum { RIGHTS_BOTH = NW_AMDVI_RIGHT_READ | NW_AMDVI_RIGHT_WRITE };

static bool pass(const struct amdvi_walk *w, struct nw_amdvi_result *out, unsigned rights)
{
    out->hpa = nw_hpa(w->q->address);
    out->translation = NW_AMDVI_PASS_THROUGH;
    out->page_log2 = 64;
    out->rights = (uint8_t)rights;
    return true;
}

static bool invalid(const struct amdvi_walk *w, struct nw_amdvi_result *out, enum nw_amdvi_event_type type)
{
    return amdvi_event(w, &out->event, NW_AMDVI_INVALID_DEVICE_REQUEST, (unsigned)type << 9);
}

/* Inside the exclusion range, and the range is there for this device. */
static bool excluded(const struct amdvi_walk *w)
{
    uint64_t base = w->t->exclusion_base, page = w->q->address & ~nw_mask(11, 0);
    bool allowed = (base & NW_BIT(1)) || (w->dte[1] & DTE_EX);
    return (base & NW_BIT(0)) && allowed && page >= (base & nw_mask(51, 12)) &&
           page <= (w->t->exclusion_limit & nw_mask(51, 12));
}

/* Address ranges that are no memory. True: *done says whether the request passes as it is; false: it goes on. */
static bool special(const struct amdvi_walk *w, struct nw_amdvi_result *out, bool *done)
{
    uint64_t a = w->q->address;
    unsigned io = DTE_IOCTL(w->dte[1]), management = DTE_SYSMGT(w->dte[1]);
    if (w->q->kind != NW_AMDVI_WRITE && w->q->type == NW_AMDVI_UNTRANSLATED && nw_amdvi_interrupt_range(a)) {
        *done = invalid(w, out, NW_AMDVI_INTERRUPT_RANGE);
        return true;
    }
    if (a >> 20 == 0xfdf91 && management != SYSMGT_TRANSLATE) {
        bool forwards = management == SYSMGT_FORWARD || (management == SYSMGT_FORWARD_INTX && w->q->intx);
        *done = w->q->kind == NW_AMDVI_WRITE && forwards ? pass(w, out, NW_AMDVI_RIGHT_WRITE)
                                                         : invalid(w, out, NW_AMDVI_SYSTEM_MANAGEMENT);
        return true;
    }
    if (a >> 25 == 0xfdfc000000 >> 25 && io != IOCTL_TRANSLATE) {
        *done = io == IOCTL_FORWARD ? pass(w, out, RIGHTS_BOTH) : invalid(w, out, NW_AMDVI_PORT_IO);
        return true;
    }
    return false;
}

static unsigned need_of(const struct nw_amdvi_request *q)
{
    if (q->type == NW_AMDVI_TRANSLATION_REQUEST)
        return 0; /* the answer says what is permitted */
    return q->kind == NW_AMDVI_READ    ? NW_AMDVI_RIGHT_READ
           : q->kind == NW_AMDVI_WRITE ? NW_AMDVI_RIGHT_WRITE
                                       : RIGHTS_BOTH;
}

static bool by_tables(struct amdvi_walk *w, struct nw_amdvi_result *out)
{
    if (!(w->dte[0] & DTE_TV))
        return amdvi_event(w, &out->event, NW_AMDVI_IO_PAGE_FAULT, 0);
    const struct amdvi_space space = { .guest = false };
    const bool store = w->q->kind != NW_AMDVI_READ;
    struct amdvi_page page;
    if (amdvi_iotlb_lookup(w, &space, need_of(w->q), store, out))
        return true;
    if (!amdvi_host_walk(w, w->q->address, need_of(w->q), store, &page, &out->event))
        return false;
    out->translation = DTE_MODE(w->dte[0]) ? NW_AMDVI_HOST : NW_AMDVI_PASS_THROUGH;
    out->hpa = nw_hpa(page.address);
    out->page_log2 = page.page_log2;
    out->rights = page.rights;
    out->untranslated_only = page.untranslated_only;
    out->force_coherent = page.force_coherent;
    amdvi_iotlb_fill(w, &space, store, out);
    return true;
}

static bool translate(struct amdvi_walk *w, struct nw_amdvi_result *out)
{
    const struct nw_amdvi_request *q = w->q;
    if (!amdvi_find_device(w, &out->event))
        return false;
    bool valid = w->dte[0] & DTE_V, done = false;
    if (q->type != NW_AMDVI_UNTRANSLATED && !(valid && (w->dte[1] & DTE_I)))
        return invalid(w, out, NW_AMDVI_ATS_DISABLED);
    if (!valid || q->type == NW_AMDVI_TRANSLATED)
        return pass(w, out, RIGHTS_BOTH);
    if (q->has_pasid || (w->dte[0] & (DTE_TV | DTE_GV | DTE_GIOV)) == (DTE_TV | DTE_GV | DTE_GIOV)) {
        out->domain_id = w->dte[0] & DTE_TV ? (uint16_t)(w->dte[1] & DTE_DOMAIN) : 0;
        return amdvi_guest_translate(w, q->has_pasid ? q->pasid : 0, out);
    }
    if (special(w, out, &done))
        return done;
    out->domain_id = w->dte[0] & DTE_TV ? (uint16_t)(w->dte[1] & DTE_DOMAIN) : 0;
    if (excluded(w))
        return pass(w, out, RIGHTS_BOTH);
    return by_tables(w, out);
}

/* A translation request for which there is no page, present and permitted, is answered with no rights; no event. */
static bool answers_nothing(const struct amdvi_walk *w, const struct nw_amdvi_event *e)
{
    return w->q->type == NW_AMDVI_TRANSLATION_REQUEST && e->code == NW_AMDVI_IO_PAGE_FAULT &&
           (!(e->flags & NW_AMDVI_FLAG_PR) || (e->flags & NW_AMDVI_FLAG_PE));
}

void amdvi_translate(struct amdvi_walk *w, struct nw_amdvi_result *out)
{
    *out = (struct nw_amdvi_result){ .hpa = { 0 } };
    if (!translate(w, out) && answers_nothing(w, &out->event))
        *out = (struct nw_amdvi_result){ .translation = NW_AMDVI_HOST,
                                         .page_log2 = NW_PAGE_LOG2,
                                         .domain_id = (uint16_t)(w->dte[1] & DTE_DOMAIN) };
    out->references = (uint8_t)w->references;
}

void nw_amdvi_translate(const struct nw_amdvi_tables *t, const struct nw_amdvi_request *q, struct nw_amdvi_result *out)
{
    struct amdvi_walk w = { .t = t, .q = q };
    amdvi_translate(&w, out);
}
