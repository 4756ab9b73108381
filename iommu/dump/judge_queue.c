/* The invalidation queue's descriptors. */
#include "judge.h"
#include <stdio.h>

enum { QUEUE_IOTLB = 2, QUEUE_INTERRUPTS = 4, QUEUE_WAIT = 5, QUEUE_PASID_IOTLB = 6, QUEUE_LAST_TYPE = 9 };

static void judge_descriptor(struct judge *j, const struct nw_dump_descriptor *q)
{
    const struct nw_dump_unit *u = nw_judge_unit(j->d, q->unit);
    const uint64_t low = q->word[0], status = q->word[1] & ~UINT64_C(3);
    const unsigned type = (unsigned)(nw_field(low, 3, 0) | nw_field(low, 11, 9) << 4);
    char where[64];
    snprintf(where, sizeof where, "%s descriptor %u", q->unit, q->index);
    if (!type || type > QUEUE_LAST_TYPE)
        nw_judge_add(j, Q07, &q->place, where, "0x%llx is of the type %u", (unsigned long long)low, type);
    /* Both kinds of IOTLB descriptor: G in 5:4, 3 of pages; AM in 5:0 of the second word. */
    const unsigned mask = (unsigned)nw_field(q->word[1], 5, 0);
    if ((type == QUEUE_IOTLB || type == QUEUE_PASID_IOTLB) && nw_field(low, 5, 4) == 3 && u &&
        set(u, NW_DUMP_CAP, NW_VTD_CAP_PSI) && mask > nw_field(u->value[NW_DUMP_CAP], 53, 48))
        nw_judge_add(j, Q07, &q->place, where, "AM is %u, and MAMV %u", mask,
                     (unsigned)nw_field(u->value[NW_DUMP_CAP], 53, 48));
    if (type == QUEUE_INTERRUPTS && (low & NW_BIT(4)) && u && u->has[NW_DUMP_ECAP] &&
        nw_field(low, 31, 27) > nw_field(u->value[NW_DUMP_ECAP], 23, 20))
        nw_judge_add(j, Q07, &q->place, where, "IM is %u, and MHMV %u", (unsigned)nw_field(low, 31, 27),
                     (unsigned)nw_field(u->value[NW_DUMP_ECAP], 23, 20));
    for (size_t i = 0; type == QUEUE_WAIT && (low & NW_BIT(5)) && i < j->d->mappings; i++) {
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
