#include "collect.h"
#include <stdlib.h>

void iommu_seen_fini(struct iommu_seen *s) { free(s->slot); }

static size_t slot_of(uint64_t (*slot)[2], size_t slots, uint64_t a, uint64_t b)
{
    size_t at = (size_t)nw_mix64(a ^ nw_mix64(b)) & (slots - 1);
    while (slot[at][1] && (slot[at][0] != a || slot[at][1] != b))
        at = (at + 1) & (slots - 1);
    return at;
}

/* b is not 0. */
bool iommu_seen_enter(struct iommu_seen *s, uint64_t a, uint64_t b, bool *no_memory)
{
    if (s->used * 2 >= s->slots) {
        const size_t slots = s->slots ? s->slots * 2 : 1024;
        uint64_t(*bigger)[2] = calloc(slots, sizeof *bigger);
        if (!bigger) {
            *no_memory = true;
            return false;
        }
        for (size_t i = 0; i < s->slots; i++)
            if (s->slot[i][1]) {
                const size_t at = slot_of(bigger, slots, s->slot[i][0], s->slot[i][1]);
                bigger[at][0] = s->slot[i][0];
                bigger[at][1] = s->slot[i][1];
            }
        free(s->slot);
        s->slot = bigger;
        s->slots = slots;
    }
    const size_t at = slot_of(s->slot, s->slots, a, b);
    if (s->slot[at][1])
        return false;
    s->slot[at][0] = a;
    s->slot[at][1] = b;
    s->used++;
    return true;
}

static void flush(struct iommu_collector *c)
{
    if (c->run.bytes && !c->stopped && !c->tell(c->context, &c->run))
        c->stopped = true;
    c->run.bytes = 0;
}

bool iommu_collect(struct iommu_collector *c, uint64_t iova, uint64_t target, uint64_t bytes, unsigned rights)
{
    struct nw_reach_window *run = &c->run;
    if (run->bytes && run->rights == rights && run->iova + run->bytes == iova && run->target + run->bytes == target) {
        run->bytes += bytes;
        return true;
    }
    flush(c);
    *run = (struct nw_reach_window){ .iova = iova, .target = target, .bytes = bytes, .rights = (uint8_t)rights };
    return !c->stopped && !c->no_memory;
}

const char *const nw_reach_table_name[NW_REACH_TABLE_KINDS] = {
    [NW_REACH_ROOT_TABLE] = "root table",           [NW_REACH_CONTEXT_TABLE] = "context table",
    [NW_REACH_PASID_DIRECTORY] = "PASID directory", [NW_REACH_PASID_TABLE] = "PASID table",
    [NW_REACH_FIRST_STAGE] = "first-stage table",   [NW_REACH_SECOND_STAGE] = "second-stage table",
};

void iommu_collect_table(struct iommu_collector *c, struct nw_reach_table t)
{
    const struct nw_reach_request *q = c->request;
    c->tables++;
    if (q && q->tables_max && c->tables > q->tables_max)
        c->exhausted = c->stopped = true;
    if (!q || !q->listener)
        return;
    t.source_id = q->source_id;
    t.has_pasid = q->has_pasid;
    t.pasid = q->pasid;
    q->listener->table(q->listener->context, &t);
}

void iommu_collect_end(struct iommu_collector *c)
{
    flush(c);
    iommu_seen_fini(&c->seen);
}

const uint64_t *iommu_table_page(const struct nw_physmem *pm, uint64_t address)
{
    static const uint64_t empty[512];
    const uint64_t *page = nw_physmem_find(pm, nw_hpa(address));
    return page ? page : empty;
}
