/* A device that translates for itself: VT-d, "Support For Device-TLBs"; PCI Express, "Address Translation Services" and
 * "Page Request Services". */
#include "device.h"
#include "stale.h"
#include <stdlib.h>

/* ---- life cycle --------------------------------------------------------------------------------- */

struct nw_vtd_device *vtd_device_find(const struct nw_vtd_unit *u, uint16_t source_id)
{
    struct nw_vtd_device *d = u->devices;
    while (d && d->config.source_id != source_id)
        d = d->next;
    return d;
}

enum nw_status nw_vtd_device_create(struct nw_vtd_device **out, struct nw_vtd_unit *u,
                                    const struct nw_vtd_device_config *config, struct nw_error *err)
{
    if (vtd_device_find(u, config->source_id))
        return nw_fail(err, NW_ERR_INPUT, "the remapping unit has a device of source id 0x%x already; one is allowed",
                       config->source_id);
    if (config->groups > GROUPS_MAX || config->policy >= NW_DEVICE_TLB_POLICIES)
        return nw_fail(
            err, NW_ERR_INPUT,
            "device 0x%x: %u outstanding page requests, policy %d; at most %d and a policy below %d are allowed",
            config->source_id, config->groups, (int)config->policy, GROUPS_MAX, NW_DEVICE_TLB_POLICIES);
    struct nw_vtd_device *d = calloc(1, sizeof *d);
    if (!d)
        return nw_fail_nomem(err, "a device");
    d->config = *config;
    d->config.groups += !d->config.groups;
    const struct nw_iommu_cache_shape shape = { .entries = config->entries, .ways = config->ways };
    enum nw_status s = iommu_device_tlb_init(&d->tlb, &shape, config->policy, config->seed, &d->counts, err);
    if (s) {
        free(d);
        return s;
    }
    d->u = u;
    d->next = u->devices;
    u->devices = d;
    *out = d;
    return NW_OK;
}

void nw_vtd_device_destroy(struct nw_vtd_device *d)
{
    if (!d)
        return;
    struct nw_vtd_device **at = &d->u->devices;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    iommu_device_tlb_fini(&d->tlb);
    free(d);
}

void nw_vtd_device_set_answer(struct nw_vtd_device *d, enum nw_vtd_answer answer) { d->config.answer = answer; }
struct nw_device_tlb_counts nw_vtd_device_counts(const struct nw_vtd_device *d) { return d->counts; }
unsigned nw_vtd_device_outstanding(const struct nw_vtd_device *d) { return d->outstanding; }

/* ---- messages from the unit --------------------------------------------------------------------- */

bool vtd_device_invalidate(struct nw_vtd_unit *u, const struct nw_vtd_device_tlb *q, enum nw_vtd_answer *answer)
{
    struct nw_vtd_device *d = vtd_device_find(u, q->source_id);
    if (!d)
        return false;
    d->counts.invalidations++;
    *answer = d->config.answer;
    if (*answer == NW_VTD_ANSWER_DONE) {
        struct iommu_device_cover v = { .has_pasid = q->has_pasid, .global = q->global, .pasid = q->pasid };
        nw_vtd_device_range(q, &v.start, &v.last);
        iommu_device_tlb_invalidate(&d->tlb, &v);
    }
    return true;
}

/* A response to a group that the device has not asked for is dropped. */
bool vtd_device_respond(struct nw_vtd_unit *u, const struct nw_vtd_page_response *r)
{
    struct nw_vtd_device *d = vtd_device_find(u, r->source_id);
    if (!d)
        return false;
    uint64_t bit = NW_BIT(r->group % 64);
    if (d->asked[r->group / 64] & bit) {
        d->asked[r->group / 64] &= ~bit;
        d->outstanding--;
        d->counts.page_responses++;
        d->counts.page_failures += r->code != NW_VTD_PAGE_SUCCESS;
    }
    return true;
}

/* ---- DMA ---------------------------------------------------------------------------------------- */

/* A free group; there is one, as fewer are outstanding than there are. */
static uint16_t free_group(struct nw_vtd_device *d)
{
    while (d->asked[d->next_group / 64] >> d->next_group % 64 & 1)
        d->next_group = (d->next_group + 1) % GROUPS_MAX;
    uint16_t group = (uint16_t)d->next_group;
    d->next_group = (d->next_group + 1) % GROUPS_MAX;
    return group;
}

static enum nw_vtd_device_outcome ask_for_page(struct nw_vtd_device *d, const struct nw_vtd_request *q, uint16_t *group)
{
    struct nw_vtd_page_response response;
    if (!d->config.page_requests)
        return NW_VTD_DEVICE_REFUSED;
    if (d->outstanding >= d->config.groups)
        return NW_VTD_DEVICE_WAITS;
    *group = free_group(d);
    struct nw_vtd_page_request p = { .source_id = d->config.source_id,
                                     .group = *group,
                                     .has_pasid = q->has_pasid,
                                     .pasid = q->pasid,
                                     .read = q->kind != NW_VTD_WRITE,
                                     .write = q->kind != NW_VTD_READ,
                                     .execute = q->has_pasid && q->execute,
                                     .privileged = q->has_pasid && q->privileged,
                                     .last = true,
                                     .address = q->address };
    d->counts.page_requests++;
    if (nw_vtd_unit_page_request(d->u, &p, &response)) {
        d->asked[*group / 64] |= NW_BIT(*group % 64);
        d->outstanding++;
        return NW_VTD_DEVICE_ASKED;
    }
    d->counts.page_responses++;
    d->counts.page_failures += response.code != NW_VTD_PAGE_SUCCESS;
    return response.code == NW_VTD_PAGE_SUCCESS ? NW_VTD_DEVICE_WAITS : NW_VTD_DEVICE_REFUSED;
}

/* The DMA itself, with an address that is translated already. The unit still decides whether the device may. */
static void send_translated(struct nw_vtd_device *d, const struct nw_vtd_request *q, const struct iommu_device_line *t,
                            struct nw_vtd_device_result *out)
{
    struct nw_vtd_request translated = *q;
    translated.type = NW_VTD_TRANSLATED;
    translated.address = iommu_device_line_hpa(t, q->address);
    nw_vtd_unit_dma(d->u, &translated, &out->result);
    if (out->result.fault.reason) {
        out->outcome = NW_VTD_DEVICE_REFUSED;
        return;
    }
    out->result.page_log2 = (uint8_t)iommu_device_line_log2(t);
    out->result.rights = t->rights;
    if (d->u->stale && (d->u->gsts & NW_VTD_GCMD_TE))
        vtd_stale_check(d->u->stale, q, &out->result, out->hit ? NW_VTD_STALE_DEVICE_TLB : NW_VTD_STALE_UNIT);
}

static void send_untranslated(struct nw_vtd_device *d, const struct nw_vtd_request *q, struct nw_vtd_device_result *out)
{
    out->untranslated = true;
    nw_vtd_unit_dma(d->u, q, &out->result);
    if (out->result.fault.reason)
        out->outcome = NW_VTD_DEVICE_REFUSED;
}

void nw_vtd_device_dma(struct nw_vtd_device *d, const struct nw_vtd_request *q_given, struct nw_vtd_device_result *out)
{
    struct nw_vtd_request q = *q_given;
    struct nw_vtd_completion c;
    q.source_id = d->config.source_id;
    q.type = NW_VTD_UNTRANSLATED;
    *out = (struct nw_vtd_device_result){ .outcome = NW_VTD_DEVICE_DONE, .result.fault.level = -1 };
    unsigned need = vtd_need_of(&q) & ~(unsigned)NW_VTD_RIGHT_DIRTY; /* W is granted with D set only */
    const struct iommu_dma dma = vtd_dma_of(&q);
    const struct iommu_device_line *line = iommu_device_tlb_lookup(&d->tlb, &dma, need);
    if (line) {
        out->hit = true;
        struct iommu_device_line copy = *line;
        send_translated(d, &q, &copy, out);
        return;
    }
    nw_vtd_unit_ats(d->u, &q, &c);
    out->result.fault = c.fault;
    if (c.status != NW_VTD_ATS_SUCCESS) {
        out->outcome = NW_VTD_DEVICE_REFUSED;
    } else if (c.untranslated_only) {
        send_untranslated(d, &q, out);
    } else if ((c.rights & need) != need) {
        out->outcome = ask_for_page(d, &q, &out->group);
    } else {
        struct iommu_device_line fresh = { .hpa = c.hpa.v & ~(NW_BIT(c.page_log2) - 1),
                                           .tag = (uint32_t)c.page_log2 << 24,
                                           .rights = c.rights };
        iommu_device_tlb_fill(&d->tlb, &dma, c.hpa.v, c.page_log2, c.rights);
        send_translated(d, &q, &fresh, out);
    }
}
