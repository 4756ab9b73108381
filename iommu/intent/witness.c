/* Each violation is told with a request that shows it. */
#include "proof_internal.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/amdvi_watch.h>
#include <nestwalk/iommu/vtd_watch.h>
#include <stdio.h>
#include <stdlib.h>

struct violation *proof_violation(struct nw_proof *p, struct violations *v, const struct violation *one)
{
    struct violation *at = nw_acpi_grow((void **)&v->at, &v->count, sizeof *at);
    if (!at)
        p->no_memory = true;
    else
        *at = *one;
    return at;
}

static struct nw_iommu_finding *append(struct nw_proof *p, struct proof_subject *s, enum rule rule, const char *where)
{
    struct nw_iommu_finding *f = nw_finding_append(p->found, rule);
    if (!f) {
        p->no_memory = true;
        return NULL;
    }
    snprintf(f->where, sizeof f->where, "%s", where);
    if (s && f->severity > NW_IOMMU_INFO)
        s->findings++;
    return f;
}

void proof_add(struct nw_proof *p, struct proof_subject *s, enum rule rule, const char *where, const char *format, ...)
{
    struct nw_iommu_finding *f = append(p, s, rule, where);
    if (!f)
        return;
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->detail, sizeof f->detail, format, ap);
    va_end(ap);
}

/* ---- looking for requests ----------------------------------------------------------------------- */

/* Violations of one subject that have no witness yet, in rising order of their memory; those of different rules may overlap. */
struct search {
    struct violation **at;
    uint64_t *end; /* the highest of this one and those before */
    size_t count;
};

static bool take(void *context, const struct nw_reach_window *w)
{
    const struct search *s = context;
    const uint64_t end = w->target + w->bytes;
    size_t low = 0, high = s->count;
    while (low < high) { /* the first that starts at or behind the window's end */
        const size_t middle = (low + high) / 2;
        if (s->at[middle]->start < end)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i-- > 0 && s->end[i] > w->target;) {
        struct violation *v = s->at[i];
        const unsigned rights = w->rights & v->rights;
        if (v->end <= w->target || !rights)
            continue;
        const uint64_t hpa = v->start > w->target ? v->start : w->target, iova = w->iova + (hpa - w->target);
        if (v->shown > rights || (v->shown == rights && v->iova <= iova))
            continue;
        v->shown = rights; /* a write goes before a read, and both before either */
        v->iova = iova;
        v->hpa = hpa;
    }
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct violation *x = *(const struct violation *const *)a, *y = *(const struct violation *const *)b;
    return x->start != y->start ? (x->start < y->start ? -1 : 1) : (x->rule > y->rule) - (x->rule < y->rule);
}

static enum nw_status look(struct nw_proof *p, struct violations *v, struct nw_error *err)
{
    enum nw_status status = NW_OK;
    struct violation **list = calloc(v->count + 1, sizeof *list);
    uint64_t *end = calloc(v->count + 1, sizeof *end);
    if (!list || !end)
        status = nw_fail_nomem(err, "the witnesses of a proof");
    for (size_t i = 0; i < p->subjects && !status; i++) {
        struct search s = { .at = list, .end = end };
        bool exhausted;
        for (size_t k = 0; k < v->count; k++)
            if (v->at[k].subject == i && !v->at[k].shown)
                list[s.count++] = &v->at[k];
        if (!s.count)
            continue;
        qsort(list, s.count, sizeof *list, by_start);
        for (size_t k = 0; k < s.count; k++)
            end[k] = k && end[k - 1] > list[k]->end ? end[k - 1] : list[k]->end;
        status = proof_windows(p, &p->subject[i], true, 0, take, &s, &exhausted, err);
    }
    free(list);
    free(end);
    return status;
}

/* ---- the entries on the way --------------------------------------------------------------------- */

static struct nw_iommu_witness *make(const struct nw_proved_device *d, const struct violation *v, unsigned entries)
{
    struct nw_iommu_witness *w = calloc(1, sizeof *w + entries * sizeof w->entry[0]);
    if (!w)
        return NULL;
    w->segment = d->segment;
    w->source_id = d->source_id;
    w->has_pasid = d->has_pasid;
    w->pasid = d->pasid;
    w->write = v->shown & NW_REACH_WRITE;
    w->iova = v->iova;
    w->hpa = v->hpa;
    w->entries = entries;
    return w;
}

static enum nw_status no_witness(const struct nw_proved_device *d, const struct violation *v, struct nw_error *err)
{
    char device[40];
    proof_device_text(d, device, sizeof device);
    return nw_fail(err, NW_ERR_INTERNAL, "%s: IOVA 0x%llx was found to lead to 0x%llx, and a request does not", device,
                   (unsigned long long)v->iova, (unsigned long long)v->hpa);
}

/* Requests set flags in entries; others are told of what stood there before. */
static enum nw_status put_back(struct nw_physmem *pm, uint64_t address, uint64_t value, struct nw_error *err)
{
    return nw_physmem_read64(pm, nw_hpa(address)) == value ? NW_OK
                                                           : nw_physmem_write64(pm, nw_hpa(address), value, err);
}

static enum nw_status by_vtd(const struct proof_unit *u, const struct nw_proved_device *d, const struct violation *v,
                             struct nw_iommu_witness **out, struct nw_error *err)
{
    struct nw_vtd_watch watch = { .count = 0 };
    struct nw_vtd_tables t = u->vtd;
    struct nw_vtd_result r;
    const struct nw_vtd_request q = { .source_id = d->source_id,
                                      .address = v->iova,
                                      .kind = v->shown & NW_REACH_WRITE ? NW_VTD_WRITE : NW_VTD_READ,
                                      .has_pasid = d->has_pasid,
                                      .pasid = d->pasid };
    enum nw_status s = NW_OK;
    t.watch = &watch;
    nw_vtd_translate(&t, &q, &r);
    for (unsigned i = watch.count < NW_VTD_READS_MAX ? watch.count : NW_VTD_READS_MAX; i-- > 0 && !s;)
        s = watch.read[i].readable ? put_back(t.memory.pm, watch.read[i].address, watch.read[i].value, err) : NW_OK;
    if (s)
        return s;
    if (r.fault.reason || r.hpa.v != v->hpa || watch.count > NW_VTD_READS_MAX)
        return no_witness(d, v, err);
    struct nw_iommu_witness *w = make(d, v, watch.count);
    for (unsigned i = 0; w && i < watch.count; i++) {
        struct nw_iommu_witness_entry *e = &w->entry[i];
        nw_vtd_read_name(&watch.read[i], e->what, sizeof e->what);
        nw_vtd_read_decode(&watch.read[i], e->decoded, sizeof e->decoded);
        e->address = watch.read[i].address;
        e->value = watch.read[i].value;
    }
    *out = w;
    return w ? NW_OK : nw_fail_nomem(err, "a witness");
}

static enum nw_status by_amdvi(const struct proof_unit *u, const struct nw_proved_device *d, const struct violation *v,
                               struct nw_iommu_witness **out, struct nw_error *err)
{
    struct nw_amdvi_watch watch = { .count = 0 };
    struct nw_amdvi_tables t = u->amdvi;
    struct nw_amdvi_result r;
    const struct nw_amdvi_request q = { .device_id = d->source_id,
                                        .address = v->iova,
                                        .kind = v->shown & NW_REACH_WRITE ? NW_AMDVI_WRITE : NW_AMDVI_READ,
                                        .has_pasid = d->has_pasid,
                                        .pasid = d->pasid };
    enum nw_status s = NW_OK;
    t.watch = &watch;
    nw_amdvi_translate(&t, &q, &r);
    for (unsigned i = watch.count < NW_AMDVI_READS_MAX ? watch.count : NW_AMDVI_READS_MAX; i-- > 0 && !s;)
        s = watch.read[i].readable ? put_back(t.memory.pm, watch.read[i].address, watch.read[i].value, err) : NW_OK;
    if (s)
        return s;
    if (r.event.code || r.hpa.v != v->hpa || watch.count > NW_AMDVI_READS_MAX)
        return no_witness(d, v, err);
    struct nw_iommu_witness *w = make(d, v, watch.count);
    for (unsigned i = 0; w && i < watch.count; i++) {
        struct nw_iommu_witness_entry *e = &w->entry[i];
        nw_amdvi_read_name(&watch.read[i], e->what, sizeof e->what);
        nw_amdvi_read_decode(&watch.read[i], e->decoded, sizeof e->decoded);
        e->address = watch.read[i].address;
        e->value = watch.read[i].value;
    }
    *out = w;
    return w ? NW_OK : nw_fail_nomem(err, "a witness");
}

/* ---- telling ------------------------------------------------------------------------------------ */

static void size_text(uint64_t bytes, char out[24])
{
    static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
    unsigned u = 0, exact = 0;
    bytes >>= 10;
    while (u < 4 && bytes >> 10 * (u + 1))
        u++;
    while (exact < u && !(bytes & nw_mask(10 * (exact + 1) - 1, 0)))
        exact++;
    if (bytes >> 10 * exact < 10000)
        snprintf(out, 24, "%llu %s", (unsigned long long)(bytes >> 10 * exact), unit[exact]);
    else
        snprintf(out, 24, "%.1f %s", (double)bytes / (double)(UINT64_C(1) << 10 * u), unit[u]);
}

static void tell_detail(const struct nw_proof *p, const struct violation *v, char *out, size_t out_size)
{
    static const char *const does[] = { "", "reads", "writes", "reads and writes" };
    char size[24], whose[64] = "memory of nobody", who[64];
    const struct policy_who *w = &p->subject[v->subject].head->who;
    size_text(v->end - v->start, size);
    if (v->holder >= 0) {
        char owner[48];
        nw_intent_owner_text(p->in, v->holder, owner, sizeof owner);
        snprintf(whose, sizeof whose, "memory of %s", owner);
    }
    if (w->owner >= 0)
        nw_intent_owner_text(p->in, w->owner, who, sizeof who);
    else
        snprintf(who, sizeof who, "not in the intent");
    int used = snprintf(out, out_size, "%s 0x%llx-0x%llx (%s", does[v->rights & 3], (unsigned long long)v->start,
                        (unsigned long long)(v->end - 1), size);
    if (v->at_iova)
        used += snprintf(out + used, out_size - (size_t)used, " of IOVAs), which no window allows; the device is of %s",
                         who);
    else if (v->rule == X19) {
        char other[48];
        nw_intent_owner_text(p->in, v->other, other, sizeof other);
        used += snprintf(out + used, out_size - (size_t)used,
                         "), %s, which a device of %s writes too; this one is of %s", whose, other, who);
    } else if (v->rule == X14)
        used += snprintf(out + used, out_size - (size_t)used, "), where tables of the unit are, %s; the device is %s%s",
                         whose, w->owner >= 0 ? "of " : "", who);
    else
        used += snprintf(out + used, out_size - (size_t)used, "), %s; the device is %s%s", whose,
                         w->owner >= 0 && policy_kind(p->in, w) != NW_INTENT_BLOCKED ? "of " : "",
                         w->owner >= 0 && policy_kind(p->in, w) == NW_INTENT_BLOCKED ? "to be blocked" : who);
}

static enum nw_status tell(struct nw_proof *p, const struct violation *v, struct nw_error *err)
{
    struct proof_subject *s = &p->subject[v->subject];
    const struct proof_requester *r = s->head;
    struct nw_iommu_witness *w = NULL;
    enum nw_status status = NW_OK;
    char where[96];
    if (!v->shown) /* reach once tells of every page: then there is one */
        return no_witness(&r->d, v, err);
    if (r->unit >= 0 && p->unit[r->unit]->is_vtd)
        status = by_vtd(p->unit[r->unit], &r->d, v, &w, err);
    else if (r->unit >= 0 && p->unit[r->unit]->is_amdvi)
        status = by_amdvi(p->unit[r->unit], &r->d, v, &w, err);
    else if (!(w = make(&r->d, v, 0)))
        status = nw_fail_nomem(err, "a witness");
    if (status)
        return status;
    proof_subject_text(s, where, sizeof where);
    struct nw_iommu_finding *f = append(p, s, v->rule, where);
    if (!f) {
        free(w);
        return nw_fail_nomem(err, "the findings");
    }
    f->witness = w;
    tell_detail(p, v, f->detail, sizeof f->detail);
    return NW_OK;
}

static int by_severity(const void *a, const void *b)
{
    const struct nw_iommu_finding *x = a, *y = b;
    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    return x->rule != y->rule ? (x->rule < y->rule ? -1 : 1) : (x->offset > y->offset) - (x->offset < y->offset);
}

enum nw_status proof_tell(struct nw_proof *p, struct violations *v, size_t before, struct nw_error *err)
{
    enum nw_status s = look(p, v, err);
    for (size_t i = 0; i < v->count && !s; i++)
        s = tell(p, &v->at[i], err);
    if (s || p->found->count == before)
        return s;
    /* Of one rule, in the order in which they were found. */
    for (size_t i = before; i < p->found->count; i++)
        p->found->at[i].offset = (uint32_t)(i - before);
    qsort(p->found->at + before, p->found->count - before, sizeof *p->found->at, by_severity);
    for (size_t i = before; i < p->found->count; i++)
        p->found->at[i].offset = 0;
    return NW_OK;
}
