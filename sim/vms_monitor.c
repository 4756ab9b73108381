/* vms_monitor.c - guests' working sets: the exact ones, what estimators think they are, and miss-ratio curves. */
#include "vms_internal.h"
#include <math.h>
#include <nestwalk/mmu/tlb.h>
#include <nestwalk/sim/mrc.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(NW_VMS_MONITORS == (int)NW_WSS_KINDS, "one switch for each estimator");

enum { MRC_BLOCK = 4096, TLB_WAYS = 4 };

/* An estimator of one guest, and the sums of its errors. */
struct estimator {
    struct nw_wss *wss; /* NULL: it is off */
    struct nw_vms_monitor_result result;
    double error, bias, windows;
};

struct watch {
    uint32_t *used, *flag; /* by page: the moment of the last access; of the last that set the accessed flag */
    uint64_t capacity;
    struct nw_tlb tlb;
    bool has_tlb;
    uint64_t exact, windows; /* of the last window; how many there were */
    struct estimator estimator[NW_WSS_KINDS];
    struct nw_mrc *mrc;
    uint64_t *mrc_address;
    uint32_t mrc_waiting;
};

static bool any_on(const struct nw_vms_monitor *m)
{
    bool any = false;
    for (unsigned k = 0; k < NW_WSS_KINDS; k++)
        any |= m->on[k] != 0;
    return any;
}

bool monitor_is_on(const struct nw_vms_config *c)
{
    return any_on(&c->monitor) || c->balloon.estimator >= NW_VMS_ESTIMATOR_MONITORS;
}

/* Steps of damon make up a window; all others have one. */
uint64_t monitor_tick_ns(const struct nw_vms_config *c)
{
    const uint64_t ns = c->monitor.window_ns / (c->monitor.on[NW_WSS_DAMON] ? c->monitor.damon_samples : 1);
    return ns ? ns : 1;
}

/* ---- accesses ---- */

static void flush_mrc(struct vms *v, struct watch *w)
{
    struct nw_touch touch[MRC_BLOCK];
    struct nw_block b = { .access_count = w->mrc_waiting,
                          .loads = w->mrc_waiting,
                          .kind_constant = nw_kind_make(NW_LOAD, 1, true),
                          .address = w->mrc_address };
    w->mrc_waiting = 0;
    if (!b.access_count)
        return;
    b.touch_count = nw_touches_of(&b, 0, touch);
    b.touch = touch;
    vms_fail(v, nw_mrc_take(w->mrc, &b, v->err));
}

static bool more_pages(struct vms *v, struct watch *w, uint64_t gpn)
{
    uint64_t capacity = w->capacity ? w->capacity : 1024;
    while (capacity <= gpn)
        capacity *= 2;
    uint32_t **const array[] = { &w->used, &w->flag };
    for (unsigned i = 0; i < NW_ARRAY_LEN(array); i++) {
        uint32_t *more = reallocarray(*array[i], capacity, sizeof *more);
        if (!more) {
            vms_fail(v, nw_fail_nomem(v->err, "what monitors know of a guest's pages"));
            return false;
        }
        memset(more + w->capacity, 0, (capacity - w->capacity) * sizeof *more);
        *array[i] = more;
    }
    w->capacity = capacity;
    return true;
}

bool monitor_access(struct vms *v, struct vm *vm, uint32_t page, uint32_t owner)
{
    struct watch *w = vm->watch;
    const uint64_t gpn = nw_hostmem_gpn_of(v->h, page);
    bool walks = true;
    if (w->has_tlb) {
        static const struct nw_tlb_tag untagged = { 0 };
        walks = !nw_tlb_lookup(&w->tlb, (uint64_t)owner << NW_PAGE_LOG2, &untagged);
        if (walks)
            nw_tlb_insert(&w->tlb, &(struct nw_tlb_entry){ .valid = true, .page_log2 = NW_PAGE_LOG2, .page = owner },
                          NULL);
    }
    if (w->mrc) {
        w->mrc_address[w->mrc_waiting++] = (uint64_t)owner << NW_PAGE_LOG2;
        if (w->mrc_waiting == MRC_BLOCK)
            flush_mrc(v, w);
    }
    if (v->monitoring && (gpn < w->capacity || more_pages(v, w, gpn))) {
        w->used[gpn] = v->moment;
        if (walks)
            w->flag[gpn] = v->moment;
    }
    return walks;
}

void monitor_flush(struct vm *vm)
{
    if (!vm->watch || !vm->watch->has_tlb)
        return;
    const struct nw_tlb_predicate all = nw_tlb_flush_all();
    nw_tlb_invalidate(&vm->watch->tlb, &all);
}

void monitor_forget(struct vm *vm, uint32_t owner)
{
    static const struct nw_tlb_tag untagged = { 0 };
    if (!vm->watch || !vm->watch->has_tlb)
        return;
    const struct nw_tlb_predicate one = nw_tlb_invlpg((uint64_t)owner << NW_PAGE_LOG2, &untagged);
    nw_tlb_invalidate(&vm->watch->tlb, &one);
}

void monitor_taken(struct vms *v, struct vm *vm, uint32_t page)
{
    struct nw_wss *ghost = vm->watch ? vm->watch->estimator[NW_WSS_GHOST].wss : NULL;
    if (ghost)
        vms_fail(v, nw_wss_taken(ghost, nw_hostmem_gpn_of(v->h, page), v->err));
}

void monitor_came_back(struct vms *v, struct vm *vm, uint32_t page)
{
    struct nw_wss *ghost = vm->watch ? vm->watch->estimator[NW_WSS_GHOST].wss : NULL;
    if (ghost)
        vms_fail(v, nw_wss_came_back(ghost, nw_hostmem_gpn_of(v->h, page), v->err));
}

/* ---- steps ---- */

/* What the step cost. Looks are the host's time, flushes and faults the guest's. */
static uint64_t charge(struct vms *v, struct vm *vm, struct estimator *e, enum nw_wss_kind kind)
{
    const struct nw_wss_cost *now = nw_wss_cost(e->wss);
    const struct nw_vms_host *host = &v->config->host;
    struct nw_vms_monitor_counters *c = &e->result.counters;
    const uint64_t faults = now->faults - c->faults;
    uint64_t flushes = (now->unmapped - c->unmapped + RECLAIM_BATCH - 1) / RECLAIM_BATCH;
    if (kind == NW_WSS_SCAN && v->config->monitor.flush && now->looked > c->looked)
        flushes++;
    const uint64_t looks_ns = ns_of((double)(now->looked - c->looked) * host->scan_page_ns);
    const uint64_t guest_ns = ns_of((double)flushes * host->flush_ns + (double)faults * host->fault_ns);
    c->windows = now->windows;
    c->looked = now->looked;
    c->unmapped = now->unmapped;
    c->faults = now->faults;
    c->memory_bytes = now->memory_bytes;
    c->flushes += flushes;
    c->cost_ns += looks_ns + guest_ns;
    if (flushes)
        monitor_flush(vm);
    if (!v->config->monitor.charge)
        return 0;
    vm->pending_ns += guest_ns;
    return looks_ns;
}

static void judge(struct vms *v, struct vm *vm, struct estimator *e, uint64_t exact, uint64_t now)
{
    struct nw_vms_result *r = v->r;
    struct nw_vms_monitor_result *m = &e->result;
    const double estimate = nw_wss_estimate(e->wss);
    if (r->monitor_samples == v->monitor_capacity) {
        const size_t capacity = v->monitor_capacity ? 2 * v->monitor_capacity : 256;
        struct nw_vms_monitor_sample *more = reallocarray(r->monitor_sample, capacity, sizeof *more);
        if (!more) {
            vms_fail(v, nw_fail_nomem(v->err, "the timeline of working sets"));
            return;
        }
        r->monitor_sample = more;
        v->monitor_capacity = capacity;
    }
    r->monitor_sample[r->monitor_samples++] = (struct nw_vms_monitor_sample){
        .time_ns = now, .guest = vm->index, .estimator = m->estimator, .estimate = estimate, .exact = exact
    };
    if (!exact)
        return;
    const double error = 100 * (estimate - (double)exact) / (double)exact;
    e->windows++;
    e->error += fabs(error);
    e->bias += error;
    m->worst_percent = fmax(m->worst_percent, fabs(error));
    m->exact_pages += (double)exact;
    m->estimate_pages += estimate;
}

static uint64_t count_used(const struct watch *w, uint64_t pages, uint32_t since)
{
    uint64_t used = 0;
    for (uint64_t i = 0; i < pages && i < w->capacity; i++)
        used += w->used[i] > since;
    return used;
}

uint64_t monitor_tick(struct vms *v, uint64_t now)
{
    const struct nw_vms_monitor *m = &v->config->monitor;
    const bool ends = ++v->monitor_ticks % (m->on[NW_WSS_DAMON] ? m->damon_samples : 1) == 0;
    uint64_t ns = 0;
    for (unsigned i = 0; i < v->vms && !v->failed; i++) {
        struct vm *vm = &v->vm[i];
        struct watch *w = vm->watch;
        if (!vm->started || vm->done || (vm->fresh_gpn > w->capacity && !more_pages(v, w, vm->fresh_gpn)))
            continue;
        if (ends) {
            w->exact = count_used(w, vm->fresh_gpn, v->window_moment);
            w->windows++;
        }
        const struct nw_wss_view view = { .flag = w->flag,
                                          .pages = vm->fresh_gpn,
                                          .size = vm->pages,
                                          .resident = v->h->guest[i].resident,
                                          .moment = v->moment };
        for (enum nw_wss_kind k = NW_WSS_SCAN; k < NW_WSS_KINDS; k++) {
            struct estimator *e = &w->estimator[k];
            if (!e->wss || (!ends && k != NW_WSS_DAMON))
                continue;
            vms_fail(v, nw_wss_step(e->wss, &view, v->err));
            ns += charge(v, vm, e, k);
            if (ends)
                judge(v, vm, e, w->exact, now);
        }
    }
    if (ends)
        v->window_moment = v->moment;
    v->moment++;
    return ns;
}

double monitor_active(const struct vms *v, const struct vm *vm, double unknown)
{
    const uint64_t who = v->config->balloon.estimator;
    const struct watch *w = vm->watch;
    if (who == NW_VMS_ESTIMATOR_EXACT)
        return w->windows ? (double)w->exact : unknown;
    const struct nw_wss *wss = w->estimator[who - NW_VMS_ESTIMATOR_MONITORS].wss;
    return nw_wss_cost(wss)->windows ? nw_wss_estimate(wss) : unknown;
}

/* ---- life ---- */

static enum nw_status begin_mrc(struct watch *w, const struct vm *vm, double rate, uint64_t seed, struct nw_error *err)
{
    uint64_t size[NW_VMS_MRC_POINTS];
    for (unsigned i = 0; i < NW_VMS_MRC_POINTS; i++)
        size[i] = (vm->pages * (i + 1) + NW_VMS_MRC_POINTS - 1) / NW_VMS_MRC_POINTS;
    struct nw_trace_info info;
    nw_trace_info_init(&info);
    const struct nw_mrc_options o = {
        .streams = 1u << NW_TLB_DATA, .rate = rate, .seed = seed, .size = size, .size_count = NW_VMS_MRC_POINTS
    };
    enum nw_status s = nw_mrc_create(&w->mrc, &info, &o, err);
    if (!s && !(w->mrc_address = calloc(MRC_BLOCK, sizeof *w->mrc_address)))
        s = nw_fail_nomem(err, "a guest's miss-ratio curve");
    return s;
}

enum nw_status monitor_begin(struct vms *v, struct nw_error *err)
{
    const struct nw_vms_config *c = v->config;
    const struct nw_vms_monitor *m = &c->monitor;
    v->monitoring = monitor_is_on(c);
    v->moment = 1;
    for (unsigned i = 0; i < v->vms && (v->monitoring || c->host.tlb_entries || m->mrc_rate > 0); i++) {
        struct vm *vm = &v->vm[i];
        struct watch *w = vm->watch = calloc(1, sizeof *w);
        if (!w)
            return nw_fail_nomem(err, "a guest's monitors");
        const struct nw_wss_config wc = { .every = m->every,
                                          .sample_pages = m->sample_pages,
                                          .samples = m->damon_samples,
                                          .min_regions = m->min_regions,
                                          .max_regions = m->max_regions,
                                          .seed = c->seed + i };
        const uint64_t entries = (c->host.tlb_entries + TLB_WAYS - 1) / TLB_WAYS * TLB_WAYS;
        const struct nw_tlb_geometry geometry = { .entries = (uint32_t)entries,
                                                  .ways = TLB_WAYS,
                                                  .policy = NW_REPLACE_LRU,
                                                  .page_log2 = { NW_PAGE_LOG2 },
                                                  .page_sizes = 1 };
        enum nw_status s = entries ? nw_tlb_init(&w->tlb, "host.tlb", &geometry, c->seed, err) : NW_OK;
        w->has_tlb = entries && !s;
        for (enum nw_wss_kind k = NW_WSS_SCAN; k < NW_WSS_KINDS && !s; k++) {
            w->estimator[k].result.guest = i;
            w->estimator[k].result.estimator = k;
            if (m->on[k])
                s = nw_wss_create(&w->estimator[k].wss, k, &wc, err);
        }
        if (!s && m->mrc_rate > 0)
            s = begin_mrc(w, vm, m->mrc_rate, c->seed, err);
        if (s)
            return s;
    }
    return NW_OK;
}

/* The curve, in so many steps up to the guest's memory. */
static enum nw_status end_mrc(struct vms *v, struct watch *w, struct nw_vms_guest_result *g)
{
    struct nw_mrc_result r;
    flush_mrc(v, w);
    enum nw_status s = v->failed ? v->failed : nw_mrc_finish(w->mrc, &r, v->err);
    if (s)
        return s;
    const struct nw_mrc_curve *curve = nw_mrc_find(&r, NW_TLB_DATA, NW_PAGE_LOG2, 1, true);
    g->mrc_references = curve->references;
    if ((g->mrc = calloc(curve->point_count + 1, sizeof *g->mrc))) {
        memcpy(g->mrc, curve->point, curve->point_count * sizeof *g->mrc);
        g->mrc_points = curve->point_count;
    } else {
        s = nw_fail_nomem(v->err, "a guest's miss-ratio curve");
    }
    nw_mrc_result_fini(&r);
    return s;
}

enum nw_status monitor_results(struct vms *v)
{
    struct nw_vms_result *r = v->r;
    if (!(r->monitor = calloc((size_t)v->vms * NW_WSS_KINDS, sizeof *r->monitor)))
        return nw_fail_nomem(v->err, "the monitors' results");
    for (unsigned i = 0; i < v->vms && v->vm[i].watch; i++) {
        struct watch *w = v->vm[i].watch;
        for (unsigned k = 0; k < NW_WSS_KINDS; k++) {
            const struct estimator *e = &w->estimator[k];
            if (!e->wss)
                continue;
            struct nw_vms_monitor_result m = e->result;
            if (e->windows > 0) {
                m.error_percent = e->error / e->windows;
                m.bias_percent = e->bias / e->windows;
                m.exact_pages /= e->windows;
                m.estimate_pages /= e->windows;
            }
            r->monitor[r->monitors++] = m;
        }
        enum nw_status s = w->mrc ? end_mrc(v, w, &r->guest[i]) : NW_OK;
        if (s)
            return s;
    }
    return NW_OK;
}

void monitor_end(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++) {
        struct watch *w = v->vm[i].watch;
        if (!w)
            continue;
        for (unsigned k = 0; k < NW_WSS_KINDS; k++)
            nw_wss_destroy(w->estimator[k].wss);
        if (w->has_tlb)
            nw_tlb_fini(&w->tlb);
        nw_mrc_destroy(w->mrc);
        free(w->mrc_address);
        free(w->used);
        free(w->flag);
        free(w);
    }
}
