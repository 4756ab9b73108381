/* The invalidation queue: VT-d, "Queued Invalidation Interface" and the descriptors of its sections. */
#include "flight.h"
#include "stale.h"
#include <nestwalk/iommu/vtd_ats.h>

struct descriptor {
    uint64_t word[4];
    struct nw_vtd_descriptor says;
};

/* ---- what descriptors do ------------------------------------------------------------------------ */

static struct vtd_cover cover_of(const struct nw_vtd_descriptor *d)
{
    return (struct vtd_cover){ .by_domain = d->by_domain,
                               .by_pasid = d->by_pasid,
                               .by_source = d->by_source,
                               .by_address = d->by_address,
                               .paging_entries_stay = d->leaf_hint,
                               .first_only = d->first_only,
                               .domain_id = d->domain_id,
                               .source_id = d->source_id,
                               .source_ignored = d->source_ignored,
                               .pasid = d->pasid,
                               .start = d->start,
                               .last = d->last };
}

static void invalidate_context(struct nw_vtd_unit *u, const struct descriptor *d)
{
    struct vtd_cover v = cover_of(&d->says);
    v.by_domain &= !u->config.context_global_domain;
    vtd_invalidate_context(&u->caches, &v);
}

static void invalidate_iotlb(struct nw_vtd_unit *u, const struct descriptor *d)
{
    const struct vtd_cover v = cover_of(&d->says);
    vtd_invalidate_iotlb(&u->caches, &v);
    const bool all = d->says.type == NW_VTD_INVALIDATE_PASID_IOTLB;
    vtd_flight_drain(&u->flight, all || ((d->word[0] & NW_BIT(7)) && (u->config.unit.cap & NW_VTD_CAP_DRD)),
                     all || ((d->word[0] & NW_BIT(6)) && (u->config.unit.cap & NW_VTD_CAP_DWD)));
}

static void invalidate_pasid(struct nw_vtd_unit *u, const struct descriptor *d)
{
    const struct vtd_cover v = cover_of(&d->says);
    vtd_invalidate_pasid(&u->caches, &v);
}

/* Asks the device. An answer in error, or none, is told through FSTS and IQERCD. */
static void invalidate_device(struct nw_vtd_unit *u, const struct descriptor *d)
{
    const struct nw_vtd_config *c = &u->config;
    bool pasid = d->says.type == NW_VTD_INVALIDATE_PASID_DEVICE_TLB;
    struct nw_vtd_device_tlb q = { .source_id = d->says.source_id,
                                   .has_pasid = pasid,
                                   .pasid = pasid ? d->says.pasid : 0,
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
    switch (d->says.type) {
    case NW_VTD_INVALIDATE_CONTEXT: invalidate_context(u, d); break;
    case NW_VTD_INVALIDATE_IOTLB:
    case NW_VTD_INVALIDATE_PASID_IOTLB: invalidate_iotlb(u, d); break;
    case NW_VTD_INVALIDATE_DEVICE_TLB:
    case NW_VTD_INVALIDATE_PASID_DEVICE_TLB: invalidate_device(u, d); break;
    case NW_VTD_INVALIDATE_INTERRUPTS:
        vtd_invalidate_interrupts(&u->caches, (uint32_t)d->says.start, (uint32_t)d->says.last);
        break;
    case NW_VTD_INVALIDATION_WAIT: wait(u, d); break;
    case NW_VTD_INVALIDATE_PASID_CACHE: invalidate_pasid(u, d); break;
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
    nw_vtd_descriptor_decode(d->word, u->config.unit.cap, &d->says);
    return nw_vtd_descriptor_check(&u->config.unit, (enum nw_vtd_table_mode)nw_field(u->tables.rtaddr, 11, 10),
                                   d->word);
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
