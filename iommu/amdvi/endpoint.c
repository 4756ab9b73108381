/* A device that translates for itself: AMD IOMMU specification, "Remote IOTLB Support"; PCI Express, "Address Translation
 * Services" and "Page Request Services". */
#include "endpoint.h"
#include <stdlib.h>

/* ---- life cycle --------------------------------------------------------------------------------- */

struct nw_amdvi_device *amdvi_device_of(const struct nw_amdvi_unit *u, uint16_t device_id)
{
    struct nw_amdvi_device *d = u->devices;
    while (d && d->config.device_id != device_id)
        d = d->next;
    return d;
}

enum nw_status nw_amdvi_device_create(struct nw_amdvi_device **out, struct nw_amdvi_unit *u,
                                      const struct nw_amdvi_device_config *config, struct nw_error *err)
{
    const struct nw_iommu_cache_shape shape = { .entries = config->entries, .ways = config->ways };
    if (amdvi_device_of(u, config->device_id))
        return nw_fail(err, NW_ERR_INPUT, "the remapping unit has a device of id 0x%x already; one is allowed",
                       config->device_id);
    if (config->tags > TAGS_MAX || config->policy >= NW_DEVICE_TLB_POLICIES)
        return nw_fail(
            err, NW_ERR_INPUT,
            "device 0x%x: %u outstanding page requests, policy %d; at most %d and a policy below %d are allowed",
            config->device_id, config->tags, (int)config->policy, TAGS_MAX, NW_DEVICE_TLB_POLICIES);
    struct nw_amdvi_device *d = calloc(1, sizeof *d);
    if (!d)
        return nw_fail_nomem(err, "a device");
    d->config = *config;
    d->config.tags += !d->config.tags;
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

void nw_amdvi_device_destroy(struct nw_amdvi_device *d)
{
    if (!d)
        return;
    struct nw_amdvi_device **at = &d->u->devices;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    iommu_device_tlb_fini(&d->tlb);
    free(d);
}

void nw_amdvi_device_set_silent(struct nw_amdvi_device *d, bool silent) { d->config.silent = silent; }
struct nw_device_tlb_counts nw_amdvi_device_counts(const struct nw_amdvi_device *d) { return d->counts; }
unsigned nw_amdvi_device_outstanding(const struct nw_amdvi_device *d) { return d->outstanding; }

/* ---- messages from the unit --------------------------------------------------------------------- */

bool amdvi_device_invalidate(struct nw_amdvi_unit *u, const struct nw_amdvi_device_tlb *q, bool *answered)
{
    struct nw_amdvi_device *d = amdvi_device_of(u, q->device_id);
    if (!d)
        return false;
    d->counts.invalidations++;
    *answered = !d->config.silent;
    if (*answered) {
        struct iommu_device_cover v = { .has_pasid = q->has_pasid, .pasid = q->pasid };
        nw_amdvi_range(q->address, q->large, &v.start, &v.last);
        iommu_device_tlb_invalidate(&d->tlb, &v);
    }
    return true;
}

/* A response to a request that the device has not made is dropped. */
bool amdvi_device_respond(struct nw_amdvi_unit *u, const struct nw_amdvi_page_response *r)
{
    struct nw_amdvi_device *d = amdvi_device_of(u, r->device_id);
    if (!d)
        return false;
    const uint64_t bit = NW_BIT(r->tag % 64);
    if (r->tag < TAGS_MAX && (d->asked[r->tag / 64] & bit)) {
        d->asked[r->tag / 64] &= ~bit;
        d->outstanding--;
        d->counts.page_responses++;
        d->counts.page_failures += r->code != NW_AMDVI_PAGE_SUCCESS;
    }
    return true;
}

/* ---- DMA ---------------------------------------------------------------------------------------- */

unsigned amdvi_need_of(const struct nw_amdvi_request *q)
{
    return q->has_pasid && q->execute  ? NW_AMDVI_RIGHT_EXECUTE
           : q->kind == NW_AMDVI_READ  ? NW_AMDVI_RIGHT_READ
           : q->kind == NW_AMDVI_WRITE ? NW_AMDVI_RIGHT_WRITE
                                       : NW_AMDVI_RIGHT_READ | NW_AMDVI_RIGHT_WRITE;
}

/* A free tag; there is one, as fewer are outstanding than there are. */
static uint16_t free_tag(struct nw_amdvi_device *d)
{
    while (d->asked[d->next_tag / 64] >> d->next_tag % 64 & 1)
        d->next_tag = (d->next_tag + 1) % TAGS_MAX;
    const uint16_t tag = (uint16_t)d->next_tag;
    d->next_tag = (d->next_tag + 1) % TAGS_MAX;
    return tag;
}

static enum nw_amdvi_device_outcome ask_for_page(struct nw_amdvi_device *d, const struct nw_amdvi_request *q,
                                                 uint16_t *tag)
{
    struct nw_amdvi_page_response response;
    if (!d->config.page_requests)
        return NW_AMDVI_DEVICE_REFUSED;
    if (d->outstanding >= d->config.tags)
        return NW_AMDVI_DEVICE_WAITS;
    *tag = free_tag(d);
    struct nw_amdvi_page_request p = { .device_id = q->device_id,
                                       .tag = *tag,
                                       .has_pasid = q->has_pasid,
                                       .pasid = q->pasid,
                                       .read = q->kind != NW_AMDVI_WRITE,
                                       .write = q->kind != NW_AMDVI_READ,
                                       .execute = q->has_pasid && q->execute,
                                       .privileged = q->has_pasid && q->privileged,
                                       .address = q->address };
    d->counts.page_requests++;
    if (nw_amdvi_unit_page_request(d->u, &p, &response)) {
        d->asked[*tag / 64] |= NW_BIT(*tag % 64);
        d->outstanding++;
        return NW_AMDVI_DEVICE_ASKED;
    }
    d->counts.page_responses++;
    d->counts.page_failures += response.code != NW_AMDVI_PAGE_SUCCESS;
    return NW_AMDVI_DEVICE_REFUSED;
}

/* The DMA itself, with an address that is translated already. The unit still decides whether the device may. */
static void send_translated(struct nw_amdvi_device *d, const struct nw_amdvi_request *q, uint64_t hpa, unsigned log2,
                            unsigned rights, struct nw_amdvi_device_result *out)
{
    struct nw_amdvi_request translated = *q;
    translated.type = NW_AMDVI_TRANSLATED;
    translated.address = hpa;
    nw_amdvi_unit_dma(d->u, &translated, &out->result);
    if (out->result.event.code) {
        out->outcome = NW_AMDVI_DEVICE_REFUSED;
        return;
    }
    out->result.page_log2 = (uint8_t)log2;
    out->result.rights = (uint8_t)rights;
    if (d->u->stale && (d->u->control & NW_AMDVI_CONTROL_IOMMU_EN))
        amdvi_stale_check(d->u->stale, q, &out->result, out->hit);
}

void nw_amdvi_device_dma(struct nw_amdvi_device *d, const struct nw_amdvi_request *given,
                         struct nw_amdvi_device_result *out)
{
    struct nw_amdvi_request q = *given;
    struct nw_amdvi_result answer;
    q.device_id = d->config.device_id;
    q.type = NW_AMDVI_UNTRANSLATED;
    *out = (struct nw_amdvi_device_result){ .outcome = NW_AMDVI_DEVICE_DONE };
    const unsigned need = amdvi_need_of(&q);
    const struct iommu_dma dma = amdvi_dma_of(&q);
    const struct iommu_device_line *line = iommu_device_tlb_lookup(&d->tlb, &dma, need);
    if (line) {
        out->hit = true;
        send_translated(d, &q, iommu_device_line_hpa(line, q.address), iommu_device_line_log2(line), line->rights, out);
        return;
    }
    struct nw_amdvi_request translation = q;
    translation.type = NW_AMDVI_TRANSLATION_REQUEST;
    nw_amdvi_unit_dma(d->u, &translation, &answer);
    out->result = answer;
    if (answer.event.code) {
        out->outcome = NW_AMDVI_DEVICE_REFUSED;
    } else if (answer.untranslated_only && (answer.rights & need) == need) {
        out->untranslated = true;
        nw_amdvi_unit_dma(d->u, &q, &out->result);
        if (out->result.event.code)
            out->outcome = NW_AMDVI_DEVICE_REFUSED;
    } else if ((answer.rights & need) != need) {
        out->outcome = ask_for_page(d, &q, &out->tag);
    } else {
        /* Who has asked with NW set has had no D bit set, and does not write by the answer. */
        const unsigned rights =
            q.kind == NW_AMDVI_READ ? answer.rights & ~(unsigned)NW_AMDVI_RIGHT_WRITE : answer.rights;
        const unsigned log2 = answer.page_log2 < 64 ? answer.page_log2 : NW_PAGE_LOG2; /* pass-through */
        iommu_device_tlb_fill(&d->tlb, &dma, answer.hpa.v, log2, rights);
        send_translated(d, &q, answer.hpa.v, log2, rights, out);
    }
}
