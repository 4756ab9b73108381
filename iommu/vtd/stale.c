/* What DMA went by, against what the tables say: nestwalk/iommu/vtd_stale.h. */
#include "stale.h"
#include "device.h"
#include "flight.h"
#include "stale_index.h"
#include <stdlib.h>

struct nw_vtd_stale {
    struct nw_vtd_unit *u;
    nw_vtd_stale_fn on_use;
    void *context;
    uint64_t now_ns, bytes;
    bool no_memory;
    struct nw_vtd_stale_summary sums; /* but for what is open */
    struct vtd_stale_index index;
    struct nw_vtd_watch watch;
};

enum nw_status nw_vtd_stale_create(struct nw_vtd_stale **out, struct nw_vtd_unit *u, nw_vtd_stale_fn on_use,
                                   void *context, struct nw_error *err)
{
    if (u->stale)
        return nw_fail(err, NW_ERR_INPUT, "the remapping unit has a detector of stale mappings; one is allowed");
    struct nw_vtd_stale *s = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(err, "a detector of stale mappings");
    s->u = u;
    s->on_use = on_use;
    s->context = context;
    u->stale = s;
    *out = s;
    return NW_OK;
}

void nw_vtd_stale_destroy(struct nw_vtd_stale *s)
{
    if (!s)
        return;
    s->u->stale = NULL;
    vtd_stale_index_fini(&s->index);
    free(s);
}

void nw_vtd_stale_time(struct nw_vtd_stale *s, uint64_t now_ns) { s->now_ns = now_ns; }
void nw_vtd_stale_bytes(struct nw_vtd_stale *s, uint64_t bytes) { s->bytes = bytes; }

enum nw_status nw_vtd_stale_status(const struct nw_vtd_stale *s, struct nw_error *err)
{
    return s->no_memory ? nw_fail_nomem(err, "all pages that DMA has gone through") : NW_OK;
}

/* ---- questions ---------------------------------------------------------------------------------- */

/* What the tables say now, with the words that they say it by in s->watch. */
static void walk_anew(struct nw_vtd_stale *s, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    struct nw_vtd_tables t = s->u->tables;
    struct vtd_walk w;
    s->watch.count = 0;
    t.watch = &s->watch;
    vtd_walk_init(&w, &t, NULL);
    w.looks_only = true;
    vtd_translate(&w, q, out);
}

/* What the unit would do, with its caches as they are and left so. */
static void ask_unit(struct nw_vtd_stale *s, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    struct vtd_walk w;
    vtd_walk_init(&w, &s->u->tables, &s->u->caches);
    w.looks_only = true;
    vtd_caches_freeze(&s->u->caches, true);
    vtd_translate(&w, q, out);
    vtd_caches_freeze(&s->u->caches, false);
}

static unsigned log2_of(const struct nw_vtd_result *r)
{
    return r->page_log2 < 64 ? r->page_log2 : NW_PAGE_LOG2; /* pass-through */
}

static bool leads_to(const struct nw_vtd_result *r, uint64_t hpa) { return !r->fault.reason && r->hpa.v == hpa; }

/* Could the page's device still do a DMA by a translation of its own? */
static bool device_holds(struct nw_vtd_stale *s, const struct vtd_stale_page *p)
{
    const struct nw_vtd_device *d = vtd_device_find(s->u, p->request.source_id);
    unsigned need = vtd_need_of(&p->request) & ~(unsigned)NW_VTD_RIGHT_DIRTY;
    const struct vtd_device_line *line = d ? vtd_device_tlb_peek(&d->tlb, &p->request, need) : NULL;
    struct nw_vtd_request translated = p->request;
    struct nw_vtd_result r;
    if (!line || (line->hpa | (p->request.address & (NW_BIT(vtd_device_line_log2(line)) - 1))) != p->hpa)
        return false;
    translated.type = NW_VTD_TRANSLATED;
    translated.address = p->hpa;
    ask_unit(s, &translated, &r);
    return !r.fault.reason;
}

static bool unit_holds(struct nw_vtd_stale *s, const struct vtd_stale_page *p)
{
    struct nw_vtd_result r;
    ask_unit(s, &p->request, &r);
    return leads_to(&r, p->hpa);
}

/* Could a DMA by the old translation still reach memory? */
static bool holds(struct nw_vtd_stale *s, const struct vtd_stale_page *p)
{
    if (vtd_flight_holds(&s->u->flight, p->request.source_id, p->hpa, NW_BIT(p->log2)))
        return true;
    return (s->u->gsts & NW_VTD_GCMD_TE) && (unit_holds(s, p) || device_holds(s, p));
}

/* ---- exposures ---------------------------------------------------------------------------------- */

static void close_window(struct nw_vtd_stale *s, const struct vtd_stale_page *p)
{
    uint64_t length = s->now_ns - p->since_ns;
    s->sums.windows++;
    s->sums.window_ns += length;
    s->sums.window_bytes += NW_BIT(p->log2);
    s->sums.used_windows += p->used;
    if (length > s->sums.window_max_ns)
        s->sums.window_max_ns = length;
}

/* Looks at each exposed page: is it one, and is it one still? */
void vtd_stale_settle(struct nw_vtd_stale *s)
{
    struct vtd_stale_index *x = &s->index;
    for (uint32_t i = 0; i < x->exposed_count;) {
        struct vtd_stale_page *p = &x->page[x->exposed[i]];
        struct nw_vtd_result now;
        walk_anew(s, &p->request, &now);
        bool same = leads_to(&now, p->hpa);
        if (!same && holds(s, p)) {
            i++;
            continue;
        }
        if (!same)
            close_window(s, p);
        p->exposed = false;
        p->words_hash = 0; /* the next DMA tells anew what it depends on */
        p->generation++;
        if (same && !vtd_stale_depend(x, p, &s->watch))
            s->no_memory = true;
        x->exposed[i] = x->exposed[--x->exposed_count];
    }
}

void nw_vtd_stale_written(struct nw_vtd_stale *s, uint64_t hpa, uint64_t now_ns)
{
    s->now_ns = now_ns;
    vtd_stale_expose(&s->index, hpa, now_ns);
}

void nw_vtd_stale_summary(struct nw_vtd_stale *s, struct nw_vtd_stale_summary *out)
{
    vtd_stale_settle(s);
    *out = s->sums;
    for (uint32_t i = 0; i < s->index.exposed_count; i++) {
        const struct vtd_stale_page *p = &s->index.page[s->index.exposed[i]];
        uint64_t length = s->now_ns - p->since_ns;
        out->open_pages++;
        out->open_bytes += NW_BIT(p->log2);
        out->used_windows += p->used;
        if (length > out->open_max_ns)
            out->open_max_ns = length;
    }
}

/* ---- uses --------------------------------------------------------------------------------------- */

static void remember(struct nw_vtd_stale *s, const struct nw_vtd_request *q, const struct nw_vtd_result *used)
{
    unsigned log2 = log2_of(used);
    struct vtd_stale_page *p = vtd_stale_make(&s->index, q, log2);
    if (!p) {
        s->no_memory = true;
        return;
    }
    uint64_t hpa = used->hpa.v & ~(NW_BIT(log2) - 1);
    if (p->exposed && p->hpa != hpa) /* the old translation may still be somewhere: vtd_stale_settle() finds out */
        return;
    bool write = p->request.kind != NW_VTD_READ || q->kind != NW_VTD_READ;
    p->request = *q;
    p->request.kind = write ? NW_VTD_WRITE : NW_VTD_READ;
    p->request.address = p->number << log2;
    p->hpa = hpa;
    if (!p->exposed && !vtd_stale_depend(&s->index, p, &s->watch))
        s->no_memory = true;
}

static void report(struct nw_vtd_stale *s, const struct nw_vtd_request *q, const struct nw_vtd_result *used,
                   const struct nw_vtd_result *now, enum nw_vtd_stale_from from)
{
    unsigned log2 = log2_of(used);
    struct vtd_stale_page *p = vtd_stale_find(&s->index, q, log2);
    struct nw_vtd_stale_use use = { .request = *q,
                                    .from = from,
                                    .used = *used,
                                    .now = *now,
                                    .time_ns = s->now_ns,
                                    .page = q->address & ~(NW_BIT(log2) - 1),
                                    .page_bytes = NW_BIT(log2) };
    if (p && p->exposed) {
        p->used = true;
        use.since_known = true;
        use.since_ns = p->since_ns;
        use.age_ns = s->now_ns - p->since_ns;
    }
    s->sums.uses++;
    s->sums.used_bytes += s->bytes;
    if (use.age_ns > s->sums.longest_age_ns)
        s->sums.longest_age_ns = use.age_ns;
    if (s->on_use)
        s->on_use(s->context, &use);
}

void vtd_stale_check(struct nw_vtd_stale *s, const struct nw_vtd_request *q, const struct nw_vtd_result *used,
                     enum nw_vtd_stale_from from)
{
    struct nw_vtd_result now;
    walk_anew(s, q, &now);
    if (leads_to(&now, used->hpa.v))
        remember(s, q, used);
    else
        report(s, q, used, &now, from);
}
