/* The invalidation queue's descriptors. */
#include "judge.h"
#include <nestwalk/iommu/vtd_entries.h>
#include <stdio.h>

/* What would stop the queue, and what does less than it says. */
static void judge_form(struct judge *j, const struct nw_dump_descriptor *q, const struct nw_vtd_descriptor *says,
                       const char *where)
{
    const struct nw_dump_unit *u = nw_judge_unit(j->d, q->unit);
    const struct nw_vtd_capabilities unit = nw_judge_capabilities(j->d, u);
    const enum nw_vtd_table_mode mode = u && u->has[NW_DUMP_RTADDR]
                                            ? (enum nw_vtd_table_mode)nw_field(u->value[NW_DUMP_RTADDR], 11, 10)
                                            : NW_VTD_TTM_SCALABLE;
    const uint64_t low = q->word[0], high = q->word[1];
    const bool pages = (says->type == NW_VTD_INVALIDATE_IOTLB || says->type == NW_VTD_INVALIDATE_PASID_IOTLB) &&
                       says->granularity == 3;
    const unsigned am = (unsigned)nw_field(high, 5, 0), im = (unsigned)nw_field(low, 31, 27);
    /* A page group response of older kernels says in bit 5 that private data follow (PDP), which later revisions reserve. */
    const uint64_t private_data = says->type == NW_VTD_PAGE_GROUP_RESPONSE ? NW_BIT(5) : 0;
    const uint64_t word[4] = { q->word[0] & ~private_data, q->word[1], q->word[2], q->word[3] };
    switch (nw_vtd_descriptor_check(&unit, mode, word)) {
    case NW_VTD_QUEUE_OK: break;
    case NW_VTD_QUEUE_TYPE:
        nw_judge_add(
            j, Q07, &q->place, where, "0x%llx is of the type %u, which %s", (unsigned long long)low, says->type,
            says->type < NW_VTD_INVALIDATE_CONTEXT || says->type > NW_VTD_PAGE_GROUP_RESPONSE ? "does not exist"
                                                                                              : "the unit lacks");
        return;
    case NW_VTD_QUEUE_MODE:
        nw_judge_add(j, Q07, &q->place, where, "0x%llx is of the type %u, which legacy mode lacks",
                     (unsigned long long)low, says->type);
        return;
    default:
        if (pages && am > nw_field(unit.cap, 53, 48))
            nw_judge_add(j, Q07, &q->place, where, "AM is %u, and MAMV %u", am, (unsigned)nw_field(unit.cap, 53, 48));
        else if (says->type == NW_VTD_INVALIDATE_INTERRUPTS && im > nw_field(unit.ecap, 23, 20))
            nw_judge_add(j, Q07, &q->place, where, "IM is %u, and MHMV %u", im, (unsigned)nw_field(unit.ecap, 23, 20));
        else
            nw_judge_add(j, Q07, &q->place, where, "0x%llx 0x%llx has a reserved bit or granularity",
                         (unsigned long long)high, (unsigned long long)low);
        return;
    }
    if (pages && !(unit.cap & NW_VTD_CAP_PSI))
        nw_judge_add_as(j, NW_IOMMU_WARNING, Q07, &q->place, where,
                        "pages are selected, and the unit takes domains only (CAP.PSI is clear)");
    else if (pages && (high & nw_mask(63, 12) & nw_mask(am + 11, 0)))
        nw_judge_add_as(j, NW_IOMMU_WARNING, Q07, &q->place, where,
                        "0x%llx is not a multiple of 2^%u pages (AM): what lies above is left out",
                        (unsigned long long)(high & nw_mask(63, 12)), am);
}

static void judge_descriptor(struct judge *j, const struct nw_dump_descriptor *q)
{
    const uint64_t status = q->word[1] & ~UINT64_C(3);
    struct nw_vtd_descriptor says;
    char where[64];
    snprintf(where, sizeof where, "%s descriptor %u", q->unit, q->index);
    nw_vtd_descriptor_decode(q->word, ~UINT64_C(0), &says);
    judge_form(j, q, &says, where);
    const bool writes_status = says.type == NW_VTD_INVALIDATION_WAIT && (q->word[0] & NW_BIT(5));
    for (size_t i = 0; writes_status && i < j->d->mappings; i++) {
        const struct nw_dump_mapping *m = &j->d->mapping[i];
        char device[8];
        nw_judge_name(m->source_id, device);
        if (!m->write || status < m->target || status - m->target >= m->bytes)
            continue;
        nw_judge_add(j, Q08, &q->place, where, "%s writes to 0x%llx at IOVA 0x%llx", device, (unsigned long long)status,
                     (unsigned long long)(m->iova + (status - m->target)));
        break; /* one device a descriptor is enough */
    }
}

void nw_judge_queue(struct judge *j)
{
    for (size_t i = 0; i < j->d->descriptors; i++)
        judge_descriptor(j, &j->d->descriptor[i]);
}
