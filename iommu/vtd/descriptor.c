/* Invalidation descriptors by themselves: VT-d, "Queued Invalidation Interface" and the sections of its descriptors. */
#include "vtd_internal.h"
#include <nestwalk/iommu/vtd_ats.h>

/* Reserved fields. Bits 11:9 are the upper part of the type and belong to no other field. */
static const struct shape {
    uint64_t reserved[2];
    uint8_t granularities; /* bit g: granularity g (bits 5:4) exists; 0: the field is not one */
    bool scalable;         /* not in legacy mode */
} shapes[] = {
    [NW_VTD_INVALIDATE_CONTEXT] = { { UINT64_C(0xfffc00000000f1c0), ~UINT64_C(0) }, 0xe, false },
    [NW_VTD_INVALIDATE_IOTLB] = { { UINT64_C(0xffffffff0000f100), UINT64_C(0xf80) }, 0xe, false },
    [NW_VTD_INVALIDATE_DEVICE_TLB] = { { UINT64_C(0x000f0000ffe001f0), UINT64_C(0xffe) }, 0, false },
    [NW_VTD_INVALIDATE_INTERRUPTS] = { { UINT64_C(0xffff000007fff1e0), ~UINT64_C(0) }, 0, false },
    [NW_VTD_INVALIDATION_WAIT] = { { UINT64_C(0x00000000fffff100), 3 }, 0, false },
    [NW_VTD_INVALIDATE_PASID_IOTLB] = { { UINT64_C(0xfff000000000f1c0), UINT64_C(0xf80) }, 0xc, true },
    [NW_VTD_INVALIDATE_PASID_CACHE] = { { UINT64_C(0xfff000000000f1c0), ~UINT64_C(0) }, 0xb, true },
    [NW_VTD_INVALIDATE_PASID_DEVICE_TLB] = { { 0, UINT64_C(0x7fe) }, 0, true },
    [NW_VTD_PAGE_GROUP_RESPONSE] = { { UINT64_C(0xfff00000000001e0), ~UINT64_C(0xffc) }, 0, true },
};

enum { GLOBAL = 1, DOMAIN, NARROW };                        /* of context and IOTLB: one source, pages */
enum { DOMAIN_PASIDS, ONE_PASID, WHOLE_PASID, ALL_PASIDS }; /* of PASID-based ones; WHOLE_PASID: of PASID-IOTLB */

static unsigned type_of(const uint64_t word[4])
{
    return (unsigned)(nw_field(word[0], 3, 0) | nw_field(word[0], 11, 9) << 4);
}
static unsigned granularity_of(const uint64_t word[4]) { return (unsigned)nw_field(word[0], 5, 4); }

enum nw_vtd_queue_error nw_vtd_descriptor_check(const struct nw_vtd_capabilities *unit, enum nw_vtd_table_mode mode,
                                                const uint64_t word[4])
{
    const unsigned type = type_of(word), granularity = granularity_of(word);
    if (type < NW_VTD_INVALIDATE_CONTEXT || type > NW_VTD_PAGE_GROUP_RESPONSE ||
        (type == NW_VTD_INVALIDATE_DEVICE_TLB && !(unit->ecap & NW_VTD_ECAP_DT)) ||
        (type == NW_VTD_INVALIDATE_INTERRUPTS && !(unit->ecap & NW_VTD_ECAP_IR)))
        return NW_VTD_QUEUE_TYPE;
    const struct shape *s = &shapes[type];
    if (s->scalable && mode == NW_VTD_TTM_LEGACY)
        return NW_VTD_QUEUE_MODE;
    const bool upper =
        type != NW_VTD_PAGE_GROUP_RESPONSE && (word[2] || word[3]); /* a response has private data there */
    if ((word[0] & s->reserved[0]) || (word[1] & s->reserved[1]) || upper)
        return NW_VTD_QUEUE_RESERVED;
    if (s->granularities && !(s->granularities >> granularity & 1))
        return NW_VTD_QUEUE_RESERVED;
    const bool pages =
        (type == NW_VTD_INVALIDATE_IOTLB || type == NW_VTD_INVALIDATE_PASID_IOTLB) && granularity == NARROW;
    if (pages && (unit->cap & NW_VTD_CAP_PSI) && nw_field(word[1], 5, 0) > nw_field(unit->cap, 53, 48))
        return NW_VTD_QUEUE_RESERVED;
    if (type == NW_VTD_INVALIDATE_INTERRUPTS && (word[0] & NW_BIT(4)) &&
        nw_field(word[0], 31, 27) > nw_field(unit->ecap, 23, 20))
        return NW_VTD_QUEUE_RESERVED;
    if (type == NW_VTD_INVALIDATION_WAIT && (word[0] & NW_BIT(7)) && !(unit->ecap & NW_VTD_ECAP_PDS))
        return NW_VTD_QUEUE_RESERVED;
    return NW_VTD_QUEUE_OK;
}

/* ---- what they cover ---------------------------------------------------------------------------- */

void vtd_pages(uint64_t address, unsigned am, uint64_t *start, uint64_t *last)
{
    const uint64_t bytes = am > 51 ? 0 : NW_BIT(am + NW_PAGE_LOG2); /* 0: everything */
    *start = bytes ? address & ~(bytes - 1) : 0;
    *last = bytes ? *start + bytes - 1 : UINT64_MAX;
}

static void cover_pages(struct nw_vtd_descriptor *d, uint64_t word_1)
{
    d->by_address = true;
    vtd_pages(word_1 & nw_mask(63, 12), (unsigned)nw_field(word_1, 5, 0), &d->start, &d->last);
    d->leaf_hint = word_1 & NW_BIT(6);
}

static void cover_iotlb(struct nw_vtd_descriptor *d, const uint64_t word[4], uint64_t cap)
{
    d->by_domain = d->granularity >= DOMAIN;
    if (d->type == NW_VTD_INVALIDATE_PASID_IOTLB) {
        d->first_only = d->granularity == NARROW;
        d->by_pasid = true;
    }
    if (d->granularity == NARROW && (cap & NW_VTD_CAP_PSI))
        cover_pages(d, word[1]);
}

static void cover_device(struct nw_vtd_descriptor *d, const uint64_t word[4])
{
    const bool pasid = d->type == NW_VTD_INVALIDATE_PASID_DEVICE_TLB;
    const struct nw_vtd_device_tlb q = { .large = word[1] & (pasid ? NW_BIT(11) : 1),
                                         .address = word[1] & nw_mask(63, 12) };
    d->by_source = d->by_address = true;
    d->source_id = (uint16_t)(pasid ? nw_field(word[0], 31, 16) : nw_field(word[0], 47, 32));
    d->by_pasid = pasid && !(word[1] & 1); /* G: of every PASID */
    nw_vtd_device_range(&q, &d->start, &d->last);
}

static void cover_interrupts(struct nw_vtd_descriptor *d, const uint64_t word[4])
{
    const uint64_t span = NW_BIT(nw_field(word[0], 31, 27)) - 1;
    d->by_address = word[0] & NW_BIT(4);
    d->start = d->by_address ? nw_field(word[0], 47, 32) & ~span : 0;
    d->last = d->by_address ? d->start + span : UINT32_MAX;
}

static void cover_context(struct nw_vtd_descriptor *d, const uint64_t word[4])
{
    static const uint16_t function_mask[4] = { 0, 4, 6, 7 }; /* FM */
    d->by_domain = d->granularity >= DOMAIN;
    d->by_source = d->granularity == NARROW;
    d->source_id = (uint16_t)nw_field(word[0], 47, 32);
    d->source_ignored = function_mask[nw_field(word[0], 49, 48)];
}

void nw_vtd_descriptor_decode(const uint64_t word[4], uint64_t cap, struct nw_vtd_descriptor *out)
{
    *out = (struct nw_vtd_descriptor){ .type = (uint8_t)type_of(word),
                                       .granularity = (uint8_t)granularity_of(word),
                                       .domain_id = (uint16_t)nw_field(word[0], 31, 16),
                                       .pasid = (uint32_t)nw_field(word[0], 51, 32),
                                       .last = UINT64_MAX };
    switch (out->type) {
    case NW_VTD_INVALIDATE_CONTEXT: cover_context(out, word); break;
    case NW_VTD_INVALIDATE_IOTLB:
    case NW_VTD_INVALIDATE_PASID_IOTLB: cover_iotlb(out, word, cap); break;
    case NW_VTD_INVALIDATE_DEVICE_TLB:
    case NW_VTD_INVALIDATE_PASID_DEVICE_TLB: cover_device(out, word); break;
    case NW_VTD_INVALIDATE_INTERRUPTS: cover_interrupts(out, word); break;
    case NW_VTD_INVALIDATE_PASID_CACHE:
        out->by_domain = out->granularity != ALL_PASIDS;
        out->by_pasid = out->granularity == ONE_PASID;
        break;
    default: break;
    }
}
