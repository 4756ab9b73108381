/* vms_run.c - time: cores serve guests, and what is due on the host happens in between. */
#include "vms_walk.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is due on the host ---- */

enum due {
    DUE_SHARING,
    DUE_SCAN,
    DUE_MONITOR,
    DUE_HINT,
    DUE_STATS,
    DUE_BALLOON,
    DUE_REPORT,
    DUE_COLLAPSE,
    DUE_TIMELINE,
    DUE_KINDS
};
struct clockwork {
    uint64_t next[DUE_KINDS], *core;
    unsigned cores;
};

static void begin_clockwork(const struct nw_vms_config *c, struct clockwork *w)
{
    w->next[DUE_SHARING] = c->sharing.kind ? c->sharing.sleep_ns : UINT64_MAX;
    w->next[DUE_SCAN] = c->swap.sees == NW_VMS_SEES_SCANS ? c->swap.scan_ns : UINT64_MAX;
    w->next[DUE_MONITOR] = monitor_is_on(c) ? monitor_tick_ns(c) : UINT64_MAX;
    w->next[DUE_HINT] = UINT64_MAX;
    w->next[DUE_STATS] = c->balloon.stats_ns ? c->balloon.stats_ns : UINT64_MAX;
    w->next[DUE_BALLOON] = c->balloon.policy ? c->balloon.interval_ns : UINT64_MAX;
    w->next[DUE_REPORT] = c->balloon.reporting ? c->balloon.reporting_ns : UINT64_MAX;
    w->next[DUE_COLLAPSE] = c->host.collapse_pages ? c->host.collapse_sleep_ns : UINT64_MAX;
    w->next[DUE_TIMELINE] = c->host.timeline_ns ? c->host.timeline_ns : UINT64_MAX;
}

/* Processor time of the host's own, on the core that is least far on. */
static void use_core(struct clockwork *w, uint64_t now, uint64_t ns)
{
    unsigned least = 0;
    for (unsigned i = 1; i < w->cores; i++)
        if (w->core[i] < w->core[least])
            least = i;
    w->core[least] = (w->core[least] > now ? w->core[least] : now) + ns;
}

/* Work of the host's own that is due each `period`. What takes longer than that is put off: guests have a period in between, or they would never run. */
static void repeat_after(struct clockwork *w, enum due what, uint64_t now, uint64_t ns, uint64_t period)
{
    use_core(w, now, ns);
    w->next[what] = now + period + (ns < period ? 0 : ns);
}

static void scan_for_sharing(struct vms *v, struct clockwork *w, uint64_t now)
{
    const struct nw_vms_sharing *s = &v->config->sharing;
    const uint64_t before = nw_sharing_counters(v->sharing)->scanned;
    vms_fail(v, nw_sharing_scan(v->sharing, s->pages_to_scan, v->err));
    const uint64_t ns = ns_of((double)(nw_sharing_counters(v->sharing)->scanned - before) * s->page_ns);
    v->host.ksm_ns += ns;
    use_core(w, now, ns);
    w->next[DUE_SHARING] = now + ns + s->sleep_ns;
}

static void run_due(struct vms *v, struct clockwork *w, enum due what, uint64_t now)
{
    const struct nw_vms_config *c = v->config;
    switch (what) {
    case DUE_SHARING: scan_for_sharing(v, w, now); break;
    case DUE_SCAN: {
        const uint64_t before = v->host.scan_ns;
        host_scan(v, now);
        repeat_after(w, DUE_SCAN, now, v->host.scan_ns - before, c->swap.scan_ns);
        break;
    }
    case DUE_MONITOR: repeat_after(w, DUE_MONITOR, now, monitor_tick(v, now), monitor_tick_ns(c)); break;
    case DUE_HINT: balloon_take_hints(v); break;
    case DUE_STATS:
        balloon_report_stats(v);
        w->next[DUE_STATS] = now + c->balloon.stats_ns;
        break;
    case DUE_BALLOON:
        balloon_decide(v, now);
        w->next[DUE_BALLOON] = now + c->balloon.interval_ns;
        break;
    case DUE_REPORT:
        balloon_report_free(v);
        w->next[DUE_REPORT] = now + c->balloon.reporting_ns;
        break;
    case DUE_COLLAPSE: {
        const uint64_t ns = collapse_tick(v, now);
        use_core(w, now, ns);
        w->next[DUE_COLLAPSE] = now + ns + c->host.collapse_sleep_ns;
        break;
    }
    case DUE_TIMELINE:
        record_samples(v, now);
        w->next[DUE_TIMELINE] = now + c->host.timeline_ns;
        break;
    case DUE_KINDS: break;
    }
}

/* Everything due up to `now`, in order. */
static void catch_up(struct vms *v, struct clockwork *w, uint64_t now)
{
    while (!v->failed) {
        enum due first = DUE_SHARING;
        struct vm *driver = NULL;
        w->next[DUE_HINT] = v->hint_ns;
        for (enum due d = DUE_SHARING; d < DUE_KINDS; d++)
            if (w->next[d] < w->next[first])
                first = d;
        for (unsigned i = 0; i < v->vms; i++)
            if (!is_gone(&v->vm[i]) && v->vm[i].next_batch_ns < (driver ? driver->next_batch_ns : UINT64_MAX))
                driver = &v->vm[i];
        const uint64_t driver_at = driver ? driver->next_batch_ns : UINT64_MAX;
        if ((driver_at < w->next[first] ? driver_at : w->next[first]) > now)
            return;
        if (driver_at < w->next[first])
            balloon_batch(v, driver, driver_at);
        else
            run_due(v, w, first, w->next[first]);
    }
}

/* ---- the loop ---- */

static struct vm *pick(struct vms *v, uint64_t now, uint64_t *next_ready, bool *any)
{
    struct vm *best = NULL;
    *next_ready = UINT64_MAX;
    *any = false;
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        if (vm->done)
            continue;
        *any = true;
        if (vm->ready > now) {
            *next_ready = vm->ready < *next_ready ? vm->ready : *next_ready;
            continue;
        }
        if (!best || vm->vruntime < best->vruntime)
            best = vm;
    }
    return best;
}

static bool go_on(struct vms *v, const struct nw_vms_progress *progress, uint64_t *shown)
{
    uint64_t accesses = 0;
    if (!progress || !progress->fn)
        return true;
    for (unsigned i = 0; i < v->vms; i++)
        accesses += v->vm[i].counters.accesses;
    *shown = accesses;
    if (progress->fn(progress->context, accesses))
        return true;
    vms_fail(v, nw_fail(v->err, NW_ERR_INTERRUPTED, "interrupted after %" PRIu64 " accesses", accesses));
    return false;
}

static void loop(struct vms *v, struct clockwork *w, const struct nw_vms_progress *progress)
{
    const struct nw_vms_host *host = &v->config->host;
    uint64_t shown = 0, least_vruntime = 0;
    for (uint64_t rounds = 0; !v->failed; rounds++) {
        unsigned core = 0;
        uint64_t next_ready;
        bool any;
        for (unsigned i = 1; i < w->cores; i++)
            if (w->core[i] < w->core[core])
                core = i;
        const uint64_t now = w->core[core];
        if (host->until_ns && now >= host->until_ns)
            return;
        catch_up(v, w, now);
        host_reclaim_in_background(v, now);
        if (w->core[core] != now)
            continue; /* the host used it */
        struct vm *vm = pick(v, now, &next_ready, &any);
        if (!any)
            return;
        if (!vm) { /* nothing to do here until somebody is ready, or something is due */
            uint64_t next = next_ready;
            for (enum due d = DUE_SHARING; d < DUE_KINDS; d++)
                next = w->next[d] < next ? w->next[d] : next;
            for (unsigned i = 0; i < v->vms; i++)
                if (!is_gone(&v->vm[i]) && v->vm[i].next_batch_ns < next)
                    next = v->vm[i].next_batch_ns;
            w->core[core] = next > now ? next : now + 1;
            continue;
        }
        if (vm->vruntime < least_vruntime)
            vm->vruntime = least_vruntime; /* who slept has no claim on the time it slept */
        least_vruntime = vm->vruntime;
        const uint64_t stopped = work_run(v, vm, now, now + host->quantum_ns);
        vm->vruntime += (stopped - now) * 1024 / vm->config->weight + 1;
        vm->ready = vm->now > stopped ? vm->now : stopped;
        w->core[core] = stopped > now ? stopped : now + 1;
        if (rounds % 1024 == 0 && !go_on(v, progress, &shown))
            return;
    }
}

static uint64_t last_time(const struct vms *v, const struct clockwork *w)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < v->vms; i++)
        if (v->vm[i].done)
            last = v->vm[i].ended_ns > last ? v->vm[i].ended_ns : last;
        else
            last = w->core[0] > last ? w->core[0] : last;
    return last;
}

static enum nw_status begin_guests(struct vms *v)
{
    unsigned index = 0;
    enum nw_status s = NW_OK;
    for (size_t k = 0; k < v->config->guests && !s; k++)
        for (unsigned n = 0; n < v->config->guest[k].count && !s; n++) {
            struct vm *vm = &v->vm[index];
            const struct nw_vms_guest *g = &v->config->guest[k];
            vm->config = g;
            vm->index = index++;
            vm->of_kind = n;
            vm->ready = g->start_ns * (n + 1);
            if (g->count > 1)
                snprintf(vm->name, sizeof vm->name, "%s-%u", g->name, n);
            else
                snprintf(vm->name, sizeof vm->name, "%s", g->name);
            s = guest_begin(v, vm, v->err);
            if (!s && !(vm->work_ns = calloc(g->works + 1, sizeof *vm->work_ns)))
                s = nw_fail_nomem(v->err, "a guest's works");
        }
    return s;
}

static void end_guests(struct vms *v)
{
    for (unsigned i = 0; v->vm && i < v->vms; i++) {
        contents_end(&v->vm[i]);
        nw_source_destroy(v->vm[i].source);
        free(v->vm[i].work_ns);
        guest_end(&v->vm[i]);
    }
}

static enum nw_status run_all(struct vms *v, const struct nw_vms_progress *progress, struct clockwork *w)
{
    enum nw_status s = begin_guests(v);
    if (!s)
        s = host_begin(v, v->err);
    if (!s)
        s = walk_begin(v);
    if (!s)
        s = balloon_begin(v, v->err);
    if (!s)
        s = monitor_begin(v, v->err);
    if (s)
        return s;
    begin_clockwork(v->config, w);
    loop(v, w, progress);
    return v->failed ? v->failed : record_result(v, last_time(v, w));
}

enum nw_status nw_vms_run(const struct nw_vms_config *c, const struct nw_vms_progress *progress,
                          struct nw_vms_result *out, struct nw_error *err)
{
    struct nw_vms_result r = { 0 };
    struct nw_error own = { 0 };
    struct vms v = { .config = c, .err = err ? err : &own, .r = &r, .rng = nw_rng_for(c->seed, "balloon") };
    struct timespec from, to;
    enum nw_status s = nw_vms_config_check(c, v.err);
    if (s || (s = nw_vms_check_traces(c, v.err)))
        return s;
    for (size_t k = 0; k < c->guests; k++)
        v.vms += (unsigned)c->guest[k].count;
    struct clockwork w = { .cores = (unsigned)c->host.cores, .core = calloc(c->host.cores, sizeof *w.core) };
    v.vm = calloc(v.vms, sizeof *v.vm);
    clock_gettime(CLOCK_MONOTONIC, &from);
    s = v.vm && w.core ? run_all(&v, progress, &w) : nw_fail_nomem(v.err, "the guests");
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (v.vm) {
        end_guests(&v);
        balloon_end(&v);
        monitor_end(&v);
        walk_end(&v);
        host_end(&v);
    }
    free(v.vm);
    free(w.core);
    memcpy(r.scenario, c->name, sizeof r.scenario);
    memcpy(r.label, c->label, sizeof r.label);
    r.frames = c->host.memory >> NW_PAGE_LOG2;
    r.seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    if (s)
        nw_vms_result_fini(&r);
    else
        *out = r;
    return s;
}
