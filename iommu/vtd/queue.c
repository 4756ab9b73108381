/* The invalidation queue: VT-d, "Queued Invalidation Interface" and the descriptors of its sections. */
#include "flight.h"
#include "stale.h"
#include <nestwalk/iommu/vtd_ats.h>

enum { CONTEXT = 1, IOTLB, DEVICE_TLB, INTERRUPTS, WAIT, PASID_IOTLB, PASID_CACHE, PASID_DEVICE_TLB, PAGE_RESPONSE };

/* ---- descriptors: reserved fields ---------------------------------------------------------------
 * Bits 11:9 are the upper part of the type and belong to no other field. */
static const struct shape {
    uint64_t reserved[2];
    uint8_t granularities; /* bit g: granularity g (bits 5:4) exists; 0: the field is not one */
    bool scalable;         /* not in legacy mode */
} shapes[] = {
    [CONTEXT] = { { UINT64_C(0xfffc00000000f1c0), ~UINT64_C(0) }, 0xe, false },
    [IOTLB] = { { UINT64_C(0xffffffff0000f100), UINT64_C(0xf80) }, 0xe, false },
    [DEVICE_TLB] = { { UINT64_C(0x000f0000ffe001f0), UINT64_C(0xffe) }, 0, false },
    [INTERRUPTS] = { { UINT64_C(0xffff000007fff1e0), ~UINT64_C(0) }, 0, false },
    [WAIT] = { { UINT64_C(0x00000000fffff100), 3 }, 0, false },
    [PASID_IOTLB] = { { UINT64_C(0xfff000000000f1c0), UINT64_C(0xf80) }, 0xc, true },
    [PASID_CACHE] = { { UINT64_C(0xfff000000000f1c0), ~UINT64_C(0) }, 0xb, true },
    [PASID_DEVICE_TLB] = { { 0, UINT64_C(0x7fe) }, 0, true },
    [PAGE_RESPONSE] = { { UINT64_C(0xfff00000000001e0), ~UINT64_C(0xffc) }, 0, true },
};

struct descriptor {
    uint64_t word[4];
    unsigned type, granularity;
};

static enum nw_vtd_queue_error check(const struct nw_vtd_unit *u, const struct descriptor *d)
{
    const struct nw_vtd_capabilities *c = &u->config.unit;
    if (d->type < CONTEXT || d->type > PAGE_RESPONSE || (d->type == DEVICE_TLB && !(c->ecap & NW_VTD_ECAP_DT)) ||
        (d->type == INTERRUPTS && !(c->ecap & NW_VTD_ECAP_IR)))
        return NW_VTD_QUEUE_TYPE;
    const struct shape *s = &shapes[d->type];
    if (s->scalable && nw_field(u->tables.rtaddr, 11, 10) == NW_VTD_TTM_LEGACY)
        return NW_VTD_QUEUE_MODE;
    bool upper = d->type != PAGE_RESPONSE && (d->word[2] || d->word[3]); /* a response has private data there */
    if ((d->word[0] & s->reserved[0]) || (d->word[1] & s->reserved[1]) || upper)
        return NW_VTD_QUEUE_RESERVED;
    if (s->granularities && !(s->granularities >> d->granularity & 1))
        return NW_VTD_QUEUE_RESERVED;
    bool pages = (d->type == IOTLB || d->type == PASID_IOTLB) && d->granularity == 3;
    if (pages && (c->cap & NW_VTD_CAP_PSI) && nw_field(d->word[1], 5, 0) > nw_field(c->cap, 53, 48))
        return NW_VTD_QUEUE_RESERVED;
    if (d->type == INTERRUPTS && (d->word[0] & NW_BIT(4)) && nw_field(d->word[0], 31, 27) > nw_field(c->ecap, 23, 20))
        return NW_VTD_QUEUE_RESERVED;
    if (d->type == WAIT && (d->word[0] & NW_BIT(7)) && !(c->ecap & NW_VTD_ECAP_PDS))
        return NW_VTD_QUEUE_RESERVED;
    return NW_VTD_QUEUE_OK;
}

/* ---- what descriptors do ------------------------------------------------------------------------ */

static uint16_t domain_of(const struct descriptor *d) { return (uint16_t)nw_field(d->word[0], 31, 16); }

static void invalidate_context(struct nw_vtd_unit *u, const struct descriptor *d)
{
    static const uint16_t function_mask[4] = { 0, 4, 6, 7 };
    struct vtd_cover v = { .by_domain = d->granularity >= 2 && !u->config.context_global_domain,
                           .domain_id = domain_of(d),
                           .by_source = d->granularity == 3,
                           .source_id = (uint16_t)nw_field(d->word[0], 47, 32),
                           .source_ignored = function_mask[nw_field(d->word[0], 49, 48)] };
    vtd_invalidate_context(&u->caches, &v);
}

static void invalidate_iotlb(struct nw_vtd_unit *u, const struct descriptor *d)
{
    struct vtd_cover v = { .by_domain = d->granularity >= 2, .domain_id = domain_of(d) };
    if (d->type == PASID_IOTLB) {
        v.first_only = d->granularity == 3;
        v.by_pasid = true;
        v.pasid = (uint32_t)nw_field(d->word[0], 51, 32);
    }
    if (d->granularity == 3 && (u->config.unit.cap & NW_VTD_CAP_PSI))
        vtd_cover_pages(&v, d->word[1] & nw_mask(63, 12), (unsigned)nw_field(d->word[1], 5, 0), d->word[1] & NW_BIT(6));
    vtd_invalidate_iotlb(&u->caches, &v);
    bool all = d->type == PASID_IOTLB;
    vtd_flight_drain(&u->flight, all || ((d->word[0] & NW_BIT(7)) && (u->config.unit.cap & NW_VTD_CAP_DRD)),
                     all || ((d->word[0] & NW_BIT(6)) && (u->config.unit.cap & NW_VTD_CAP_DWD)));
}

static void invalidate_pasid(struct nw_vtd_unit *u, const struct descriptor *d)
{
    enum { DOMAIN_PASIDS, ONE_PASID, ALL = 3 };
    struct vtd_cover v = { .by_domain = d->granularity != ALL,
                           .domain_id = domain_of(d),
                           .by_pasid = d->granularity == ONE_PASID,
                           .pasid = (uint32_t)nw_field(d->word[0], 51, 32) };
    vtd_invalidate_pasid(&u->caches, &v);
}

static void invalidate_interrupts(struct nw_vtd_unit *u, const struct descriptor *d)
{
    if (!(d->word[0] & NW_BIT(4))) {
        vtd_invalidate_interrupts(&u->caches, 0, UINT32_MAX);
        return;
    }
    uint32_t span = (uint32_t)(NW_BIT(nw_field(d->word[0], 31, 27)) - 1);
    uint32_t first = (uint32_t)nw_field(d->word[0], 47, 32) & ~span;
    vtd_invalidate_interrupts(&u->caches, first, first + span);
}

/* Asks the device. An answer in error, or none, is told through FSTS and IQERCD. */
static void invalidate_device(struct nw_vtd_unit *u, const struct descriptor *d)
{
    const struct nw_vtd_config *c = &u->config;
    bool pasid = d->type == PASID_DEVICE_TLB;
    struct nw_vtd_device_tlb q = { .source_id =
                                       (uint16_t)(pasid ? nw_field(d->word[0], 31, 16) : nw_field(d->word[0], 47, 32)),
                                   .has_pasid = pasid,
                                   .pasid = pasid ? (uint32_t)nw_field(d->word[0], 51, 32) : 0,
                                   .global = pasid && (d->word[1] & 1),
                                   .large = d->word[1] & (pasid ? NW_BIT(11) : 1),
                                   .address = d->word[1] & nw_mask(63, 12) };
    enum nw_vtd_answer answer = NW_VTD_ANSWER_DONE;
    if (!vtd_device_invalidate(u, &q, &answer) && c->device_tlb)
        answer = c->device_tlb(c->context, &q);
    if (answer == NW_VTD_ANSWER_DONE) {
        vtd_flight_drain_device(&u->flight, q.source_id);
    } else if (answer == NW_VTD_ANSWER_ERROR) {
        u->iqercd = (u->iqercd & ~nw_mask(63, 48)) | (uint64_t)q.source_id << 48;
        vtd_status_raise(u, NW_VTD_FSTS_ICE);
    } else if (answer == NW_VTD_ANSWER_NONE && u->unanswered < 0) {
        u->unanswered = q.source_id;
    }
}

/* The time for an answer has run out. The queue stops where it is, until software has cleared FSTS.ITE. */
static void time_out(struct nw_vtd_unit *u)
{
    if (u->unanswered < 0)
        return;
    u->iqercd = (u->iqercd & ~nw_mask(47, 32)) | (uint64_t)u->unanswered << 32;
    u->unanswered = -1;
    u->queue_stopped = true;
    vtd_status_raise(u, NW_VTD_FSTS_ITE);
}

static void respond(struct nw_vtd_unit *u, const struct descriptor *d)
{
    const struct nw_vtd_config *c = &u->config;
    struct nw_vtd_page_response r = { .source_id = (uint16_t)nw_field(d->word[0], 31, 16),
                                      .group = (uint16_t)nw_field(d->word[1], 11, 3),
                                      .has_pasid = d->word[0] & NW_BIT(4),
                                      .code = (uint8_t)nw_field(d->word[0], 15, 12) };
    if (r.has_pasid)
        r.pasid = (uint32_t)nw_field(d->word[0], 51, 32);
    if (!vtd_device_respond(u, &r) && c->page_response)
        c->page_response(c->context, &r);
}

/* All descriptors before have completed when this one is reached, so a fence, and a drain of page requests (they reach their
 * queue at once), ask for nothing more. But for a device that does not answer: this waits for it, and is dropped when the time is over. */
static void wait(struct nw_vtd_unit *u, const struct descriptor *d)
{
    if (u->unanswered >= 0) {
        time_out(u);
        return;
    }
    struct vtd_walk w;
    vtd_walk_init(&w, &u->tables, NULL);
    uint64_t unused, address = d->word[1] & ~UINT64_C(3);
    /* A status word outside memory is lost, and so is one that the host has no memory for. */
    if ((d->word[0] & NW_BIT(5)) && vtd_load(&w, address, &unused)) {
        enum nw_status s =
            nw_physmem_write_bytes(u->config.memory.pm, nw_hpa(address), 4, nw_field(d->word[0], 63, 32), NULL);
        (void)s;
    }
    if (d->word[0] & NW_BIT(4))
        vtd_invalidation_complete(u);
}

static void execute(struct nw_vtd_unit *u, const struct descriptor *d)
{
    switch (d->type) {
    case CONTEXT: invalidate_context(u, d); break;
    case IOTLB:
    case PASID_IOTLB: invalidate_iotlb(u, d); break;
    case DEVICE_TLB:
    case PASID_DEVICE_TLB: invalidate_device(u, d); break;
    case INTERRUPTS: invalidate_interrupts(u, d); break;
    case WAIT: wait(u, d); break;
    case PASID_CACHE: invalidate_pasid(u, d); break;
    default: respond(u, d); break;
    }
}

/* ---- the queue ---------------------------------------------------------------------------------- */

#define IQA_WIDE NW_BIT(11)

static uint64_t queue_bytes(const struct nw_vtd_unit *u) { return NW_PAGE_BYTES << nw_field(u->iqa, 2, 0); }

static enum nw_vtd_queue_error fetch(struct nw_vtd_unit *u, unsigned bytes, struct descriptor *d)
{
    struct vtd_walk w;
    vtd_walk_init(&w, &u->tables, NULL);
    *d = (struct descriptor){ 0 };
    for (unsigned i = 0; i < bytes / 8; i++)
        if (!vtd_load(&w, (u->iqa & nw_mask(63, 12)) + u->iqh + 8 * i, &d->word[i]))
            return NW_VTD_QUEUE_FETCH;
    d->type = (unsigned)(nw_field(d->word[0], 3, 0) | nw_field(d->word[0], 11, 9) << 4);
    d->granularity = (unsigned)nw_field(d->word[0], 5, 4);
    return check(u, d);
}

/* Everything from head to tail. An error leaves the head at its descriptor and stops the queue until FSTS.IQE has been
 * cleared; the queue then tries again. */
void vtd_queue_run(struct nw_vtd_unit *u)
{
    const bool wide = u->iqa & IQA_WIDE;
    const unsigned bytes = wide ? 32 : 16;
    enum nw_vtd_queue_error error = NW_VTD_QUEUE_OK;
    if (!(u->gsts & NW_VTD_GCMD_QIE) || (u->fsts & NW_VTD_FSTS_IQE) || u->queue_stopped)
        return;
    if (wide && !(u->config.unit.ecap & NW_VTD_ECAP_SMTS))
        error = NW_VTD_QUEUE_WIDTH;
    else if (u->iqt % bytes)
        error = NW_VTD_QUEUE_MISALIGNED;
    else if (u->iqt >= queue_bytes(u))
        error = NW_VTD_QUEUE_TAIL;
    while (!error && u->iqh != u->iqt && !u->queue_stopped) {
        struct descriptor d;
        error = fetch(u, bytes, &d);
        if (error)
            break;
        u->iqh = (u->iqh + bytes) % queue_bytes(u);
        execute(u, &d);
    }
    vtd_settle(u);
    time_out(u);
    if (error) {
        u->iqercd = (u->iqercd & ~nw_mask(3, 0)) | error;
        vtd_status_raise(u, NW_VTD_FSTS_IQE);
    }
}
