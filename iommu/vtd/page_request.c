/* Page requests: VT-d, chapter "Page Request Handling"; "Page Request Queue", "Page Request Event". */
#include "stale.h"
#include <nestwalk/iommu/vtd_ats.h>

enum { RECORD_BYTES = 32, TYPE_PAGE_REQUEST = 1 };

static uint64_t queue_bytes(const struct nw_vtd_unit *u) { return NW_PAGE_BYTES << nw_field(u->pqa, 2, 0); }

/* One event stands for all requests until software has cleared what it was raised for. */
static void status_raise(struct nw_vtd_unit *u, uint64_t bits)
{
    bool quiet = !(u->prs & (NW_VTD_PRS_PPR | NW_VTD_PRS_PRO));
    u->prs |= bits;
    if (quiet)
        vtd_event_raise(u, NW_VTD_PAGE_REQUEST_EVENT);
}

void vtd_page_request_status_clear(struct nw_vtd_unit *u, uint64_t bits)
{
    u->prs &= ~(bits & (NW_VTD_PRS_PPR | NW_VTD_PRS_PRO));
    if (!u->prs)
        u->pectl &= ~EVENT_IP;
}

static void make_record(const struct nw_vtd_page_request *q, uint64_t word[4])
{
    word[0] = TYPE_PAGE_REQUEST | (uint64_t)q->source_id << 16;
    if (q->has_pasid)
        word[0] |= NW_BIT(8) | (uint64_t)(q->pasid & nw_mask(19, 0)) << 32 | (uint64_t)q->execute << 52 |
                   (uint64_t)q->privileged << 53;
    word[1] = (uint64_t)q->read | (uint64_t)q->write << 1 | (uint64_t)q->last << 2 |
              (uint64_t)(q->group & nw_mask(8, 0)) << 3 | (q->address & nw_mask(63, 12));
    word[2] = word[3] = 0; /* private data, of which there is none */
}

/* False: full, or where the queue should be there is no memory. A tail beyond the queue finds room nowhere either. */
static bool enqueue(struct nw_vtd_unit *u, const struct nw_vtd_page_request *q)
{
    struct vtd_walk w;
    vtd_walk_init(&w, &u->tables, NULL);
    uint64_t word[4], unused, size = queue_bytes(u), next = (u->pqt + RECORD_BYTES) % size;
    uint64_t at = (u->pqa & nw_mask(63, 12)) + u->pqt;
    if (u->pqt >= size || next == u->pqh)
        return false;
    make_record(q, word);
    for (unsigned i = 0; i < NW_ARRAY_LEN(word); i++)
        if (!vtd_load(&w, at + 8 * i, &unused) ||
            nw_physmem_write64(u->config.memory.pm, nw_hpa(at + 8 * i), word[i], NULL))
            return false;
    u->pqt = next;
    return true;
}

/* A request says that what is cached for its page did not serve: it goes, so that the next request sees the tables. */
static void drop_cached(struct nw_vtd_unit *u, const struct nw_vtd_page_request *q)
{
    struct vtd_walk w;
    vtd_walk_init(&w, &u->tables, &u->caches);
    const struct nw_vtd_request as_dma = { .source_id = q->source_id,
                                           .type = NW_VTD_TRANSLATION_REQUEST,
                                           .address = q->address,
                                           .has_pasid = q->has_pasid,
                                           .pasid = q->pasid };
    struct nw_vtd_fault unused;
    if (!vtd_find_domain(&w, &as_dma, &unused))
        return;
    struct vtd_cover v = { .by_domain = true,
                           .domain_id = w.domain.domain_id,
                           .by_pasid = true,
                           .pasid = w.domain.pasid,
                           .first_only = w.domain.translation != NW_VTD_SECOND_STAGE };
    v.by_address = true;
    vtd_pages(q->address, 0, &v.start, &v.last);
    vtd_invalidate_iotlb(&u->caches, &v);
    vtd_settle(u);
}

bool nw_vtd_unit_page_request(struct nw_vtd_unit *u, const struct nw_vtd_page_request *q,
                              struct nw_vtd_page_response *response)
{
    *response = (struct nw_vtd_page_response){ .source_id = q->source_id,
                                               .group = q->group & 0x1ff,
                                               .has_pasid = q->has_pasid,
                                               .pasid = q->pasid,
                                               .code = NW_VTD_PAGE_INVALID };
    const struct nw_vtd_request as_dma = { .source_id = q->source_id,
                                           .kind = q->write ? NW_VTD_WRITE : NW_VTD_READ,
                                           .address = q->address,
                                           .has_pasid = q->has_pasid,
                                           .pasid = q->pasid,
                                           .privileged = q->privileged,
                                           .execute = q->execute };
    struct vtd_walk w;
    vtd_walk_init(&w, &u->tables, &u->caches);
    struct nw_vtd_fault fault = { .level = -1, .address = q->address & nw_mask(63, 12) };
    if (!(u->gsts & NW_VTD_GCMD_TE))
        return false;
    if (!vtd_page_request_allowed(&w, &as_dma, &fault)) {
        if (fault.recorded)
            vtd_record_page_request(u, &fault, &as_dma);
        return false;
    }
    /* After an overflow everything is refused until software has cleared it. */
    if ((u->prs & NW_VTD_PRS_PRO) || !enqueue(u, q)) {
        status_raise(u, NW_VTD_PRS_PRO);
        response->code = NW_VTD_PAGE_SUCCESS;
        return false;
    }
    drop_cached(u, q);
    status_raise(u, NW_VTD_PRS_PPR);
    return true;
}
