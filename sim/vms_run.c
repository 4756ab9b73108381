/* vms_run.c - time: cores serve guests, guests do their works, and what is due on the host happens in between. */
#include "vms_walk.h"
#include <inttypes.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/nwt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void vms_event(struct vms *v, uint64_t now, const char *format, ...)
{
    struct nw_vms_result *r = v->r;
    if (r->events == v->event_capacity) {
        const size_t capacity = v->event_capacity ? 2 * v->event_capacity : 16;
        struct nw_vms_event *more = reallocarray(r->event, capacity, sizeof *more);
        if (!more) {
            vms_fail(v, nw_fail_nomem(v->err, "the list of events"));
            return;
        }
        r->event = more;
        v->event_capacity = capacity;
    }
    va_list ap;
    va_start(ap, format);
    r->event[r->events].time_ns = now;
    vsnprintf(r->event[r->events++].text, sizeof r->event->text, format, ap);
    va_end(ap);
}

/* ---- a guest's works ---- */

static enum nw_status open_work(struct vms *v, struct vm *vm)
{
    const struct nw_vms_work *w = &vm->config->work[vm->work];
    enum nw_status s;
    if (w->generate) {
        struct nw_generate_options o;
        nw_generate_defaults(&o);
        o.accesses = w->accesses ? w->accesses : 1000000;
        o.span_bytes = w->span;
        o.seed = v->config->seed + w->seed + vm->of_kind;
        o.stride_bytes = w->stride;
        o.exponent = w->exponent;
        o.store_fraction = w->stores;
        static const char *const name[] = { "", "uniform", "zipf", "sequential", "pointer-chase", "gups" };
        s = nw_generator_find(name[w->generate])->open(&vm->source, &o, v->err);
        if (s == NW_ERR_USAGE)
            nw_error_context(v->err, "the work of guest %s", vm->config->name);
    } else {
        s = nw_nwt_open(&vm->source, w->trace, v->err);
    }
    if (s)
        return s;
    vm->source->want = NW_WANT_ADDRESSES;
    vm->access_ps = (uint64_t)(w->access_ns * 1000);
    vm->pause_ns = ns_of(w->pause_ns);
    vm->skip_left = w->skip * (vm->of_kind + 1);
    vm->accesses_left = w->accesses && !w->generate ? w->accesses : UINT64_MAX;
    vm->block = (struct nw_block){ 0 };
    vm->at = vm->event = 0;
    return NW_OK;
}

static void end_guest(struct vm *vm, uint64_t now)
{
    vm->done = true;
    vm->ended_ns = now;
    vm->state = NW_VMS_FINISHED;
}

/* From the guest's start to that of its work, at the least. */
static uint64_t work_delay(const struct vm *vm)
{
    const struct nw_vms_work *w = &vm->config->work[vm->work];
    return w->start_ns + w->stagger_ns * vm->of_kind;
}

/* The next work, or the same again; none: the guest has finished. */
static void next_work(struct vms *v, struct vm *vm)
{
    const struct nw_vms_work *w = &vm->config->work[vm->work];
    contents_end(vm);
    nw_source_destroy(vm->source);
    vm->source = NULL;
    if (++vm->repeat < w->repeat) {
        vms_fail(v, open_work(v, vm));
        return;
    }
    vm->work_ns[vm->work] = vm->now - vm->work_started_ns;
    if (!w->keep)
        guest_exit(v, vm, memory_space(vm));
    vm->repeat = 0;
    if (++vm->work == vm->config->works) {
        end_guest(vm, vm->now);
        return;
    }
    const uint64_t start = work_delay(vm) + vm->started_ns;
    if (start > vm->now) {
        vm->now = start;
        vm->blocked = true;
    }
    vm->work_started_ns = vm->now;
    vms_fail(v, open_work(v, vm));
}

static bool take_events(struct vms *v, struct vm *vm, uint64_t until);

/* Accesses to come in vm->block from vm->at on. False: something else happened first, or it is `until`. */
static bool have_accesses(struct vms *v, struct vm *vm, uint64_t until)
{
    if (vm->at < vm->block.access_count && vm->accesses_left)
        return true;
    if (vm->accesses_left) {
        if (!take_events(v, vm, until)) /* behind the block's last access */
            return false;
        enum nw_status s = nw_source_next(vm->source, &vm->block, v->err);
        if (s) {
            vms_fail(v, s);
            return false;
        }
        vm->at = vm->event = 0;
        if (!vm->block.end) {
            if (vm->skip_left) {
                const uint64_t skip = vm->skip_left < vm->block.access_count ? vm->skip_left : vm->block.access_count;
                vm->skip_left -= skip;
                vm->at = (uint32_t)skip;
            }
            return vm->at < vm->block.access_count;
        }
    }
    next_work(v, vm);
    return false;
}

/* The processor's side of it, when there are tables. */
static bool walked(struct vms *v, struct vm *vm, uint64_t vpn, uint32_t page, bool store, uint64_t *t)
{
    if (walk_access(v, vm, vpn, page, store, t) && nw_hostmem_at(v->h, page)->backing == NW_BACKING_FRAME)
        host_touched(v, page, nw_hostmem_at(v->h, page));
    return !v->failed && !vm->done;
}

/* One access; a store leaves `content`, if that is not NULL. False: the guest is at its end. */
static bool access_page(struct vms *v, struct vm *vm, uint64_t vpn, bool store, const uint64_t *content, uint64_t *t)
{
    uint32_t owner, *slot = guest_slot(v, vm, vpn, &owner);
    if (NW_UNLIKELY(!slot))
        return false;
    uint32_t page = *slot;
    if (NW_UNLIKELY(page & VSLOT_NOT_A_PAGE)) {
        page = guest_fault(v, vm, owner, t);
        if (page == NW_NONE32)
            return false;
    }
    struct nw_page *p = nw_hostmem_at(v->h, page);
    for (unsigned tries = 0; NW_UNLIKELY(p->backing != NW_BACKING_FRAME); tries++) {
        if (tries == 8) { /* each time it was taken again before it could be used */
            host_kill(v, vm, *t, NW_VMS_KILLED, "the host has no frame that stays for a single access");
            return false;
        }
        host_fault(v, vm, page, t);
        if (v->failed || vm->done)
            return false;
    }
    const struct nw_frame *f = &v->h->frame[p->place];
    vm->counters.lost += f->content != p->content;
    if (NW_UNLIKELY(p->flags & NW_PAGE_READ_AHEAD)) {
        p->flags &= (uint8_t)~NW_PAGE_READ_AHEAD;
        if (p->guest_ahead)
            guest_used_ahead(vm, p);
        else
            vm->counters.read_ahead_used++;
    }
    p->flags |= NW_PAGE_GUEST_ACCESSED | NW_PAGE_SAMPLED;
    if ((NW_LIKELY(!vm->watch) || monitor_access(v, vm, page, owner)) && NW_LIKELY(!vm->tables))
        host_touched(v, page, p);
    if (v->exact)
        host_hit(v, vm, f);
    if (!store)
        return NW_LIKELY(!vm->tables) || walked(v, vm, vpn, page, store, t);
    vm->counters.stores++;
    if (NW_UNLIKELY(!(p->flags & NW_PAGE_DIRTY)))
        host_dirtied(v, vm, t);
    if (NW_UNLIKELY(f->kind == NW_FRAME_SHARED)) {
        host_make_writable(v, vm, page, t);
        if (v->failed || vm->done)
            return false;
    }
    if (NW_LIKELY(p->backing == NW_BACKING_FRAME))
        nw_hostmem_store(v->h, page, content ? *content : guest_new_content(vm, vpn, p->content));
    return NW_LIKELY(!vm->tables) || walked(v, vm, vpn, page, store, t);
}

/* What the trace says of pages' contents before its next access. A page-hash or page-content event is what the last stores left, so it costs what making the page writable costs, and no
 * access. MODEL: its GPA is taken for an address of the work, which holds for traces of guest-physical addresses; of traces with page tables what comes before the first access is kept for
 * the pages' first touches. False: not all of them yet, as it is `until` or the guest is at its end. */
static bool take_events(struct vms *v, struct vm *vm, uint64_t until)
{
    const struct nw_block *b = &vm->block;
    const uint64_t base = vm->config->work[vm->work].base;
    const bool physical = !nw_source_info(vm->source)->has_tables;
    for (; vm->event < b->event_count && b->event[vm->event].at <= vm->at; vm->event++) {
        if (v->failed || vm->done || vm->now >= until)
            return false;
        const struct nw_event *e = &b->event[vm->event];
        if ((e->kind != NW_EV_PAGE_HASH && e->kind != NW_EV_PAGE_CONTENT) || (!physical && (b->first_access || e->at)))
            continue;
        const uint64_t content = guest_content_of_trace(e->arg[1], e->kind == NW_EV_PAGE_CONTENT ? e->arg[2] : 0);
        const uint64_t stores = vm->counters.stores;
        vm->counters.hashes++;
        if (!physical) {
            contents_tell(v, vm, e->arg[0] >> NW_PAGE_LOG2, content);
            continue;
        }
        access_page(v, vm, (e->arg[0] + base) >> NW_PAGE_LOG2, true, &content, &vm->now);
        vm->counters.stores = stores; /* the trace has it among its accesses */
    }
    return !v->failed && !vm->done;
}

/* So many accesses of the block at most, until one of them takes longer than its time. How many were made. */
static uint32_t run_accesses(struct vms *v, struct vm *vm, uint32_t most, uint64_t *extra)
{
    const struct nw_block *b = &vm->block;
    const uint64_t base = vm->config->work[vm->work].base;
    const uint64_t start = vm->now;
    uint32_t n = 0;
    while (n < most) {
        const uint32_t i = vm->at + n++;
        uint64_t t = start;
        const bool store = nw_kind_type(nw_block_kind(b, i)) == NW_STORE;
        const bool on = access_page(v, vm, (b->address[i] + base) >> NW_PAGE_LOG2, store, NULL, &t);
        if (NW_UNLIKELY(t != start || !on)) {
            *extra = t - start;
            break;
        }
    }
    return n;
}

/* Runs from `now` to about `until`; when it stopped. Blocked: it waits from then on until vm->now. */
static uint64_t run_guest(struct vms *v, struct vm *vm, uint64_t now, uint64_t until)
{
    vm->now = now + vm->pending_ns;
    vm->pending_ns = 0;
    vm->blocked = false;
    if (!vm->started) {
        vm->started = true;
        vm->started_ns = vm->decided_ns = vm->shown_ns = now;
        if (vm->balloon_target)
            vm->next_batch_ns = now;
        guest_boot(v, vm, &vm->now);
        if (!v->failed && !vm->done && !vm->config->works)
            end_guest(vm, vm->now);
        else if (!v->failed && !vm->done) {
            if (work_delay(vm)) {
                vm->now += work_delay(vm);
                vm->blocked = true;
            }
            vm->work_started_ns = vm->now;
            vms_fail(v, open_work(v, vm));
        }
        return vm->blocked ? now + 1 : vm->now;
    }
    while (vm->now < until && !v->failed && !vm->done && !vm->blocked) {
        if (!have_accesses(v, vm, until))
            continue;
        uint64_t most = vm->block.access_count - vm->at, extra = 0;
        if (NW_UNLIKELY(vm->event < vm->block.event_count)) {
            if (!take_events(v, vm, until))
                break;
            if (vm->event < vm->block.event_count && vm->block.event[vm->event].at - vm->at < most)
                most = vm->block.event[vm->event].at - vm->at;
        }
        const uint64_t fit = (until - vm->now) * 1000 / vm->access_ps + 1;
        most = most < fit ? most : fit;
        most = vm->pause_ns ? 1 : most;
        most = most < vm->accesses_left ? most : vm->accesses_left;
        const uint32_t done = run_accesses(v, vm, (uint32_t)most, &extra);
        vm->at += done;
        vm->counters.accesses += done;
        vm->accesses_left -= vm->accesses_left == UINT64_MAX ? 0 : done;
        vm->fraction_ps += done * vm->access_ps;
        vm->alone_ns += alone_ns(vm, done);
        vm->now += vm->fraction_ps / 1000;
        vm->fraction_ps %= 1000;
        if (vm->pause_ns) {
            const uint64_t before = vm->now;
            vm->now += extra + vm->pause_ns;
            vm->blocked = true;
            return before;
        }
        if (extra) {
            /* Long ones are waits, in which another guest has the core. */
            const uint64_t before = vm->now;
            vm->now += extra;
            if (extra > 2 * ns_of(v->config->host.fault_ns + v->config->host.break_ns) + 2000) {
                vm->blocked = true;
                return before;
            }
        }
    }
    return vm->now;
}

/* ---- samples and results ---- */

static void take_samples(struct vms *v, uint64_t now)
{
    struct nw_vms_result *r = v->r;
    if (r->samples + v->vms > v->sample_capacity) {
        const size_t capacity = 2 * v->sample_capacity + 16 * v->vms;
        struct nw_vms_sample *more = reallocarray(r->sample, capacity, sizeof *more);
        if (!more) {
            vms_fail(v, nw_fail_nomem(v->err, "the timeline"));
            return;
        }
        r->sample = more;
        v->sample_capacity = capacity;
    }
    const uint64_t saved = v->h->shared_users - v->h->kind[NW_FRAME_SHARED];
    if (saved > v->host.saved_pages_most)
        v->host.saved_pages_most = saved;
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        const struct nw_hostmem_guest *g = &v->h->guest[i];
        const double alone = alone_ns(vm, vm->counters.accesses - vm->shown_accesses);
        const double elapsed = now > vm->shown_ns ? (double)(now - vm->shown_ns) : 0;
        r->sample[r->samples++] =
            (struct nw_vms_sample){ .time_ns = now,
                                    .guest = i,
                                    .accesses = vm->counters.accesses,
                                    .resident = g->resident,
                                    .shared = g->shared,
                                    .swapped = g->swapped,
                                    .ballooned = vm->balloon.count,
                                    .large = g->large,
                                    .used_frames = v->h->config.frames - v->h->kind[NW_FRAME_FREE],
                                    .target = vm->target,
                                    .active = vm->active,
                                    .slowdown = alone > 0 ? elapsed / alone : 0 };
        vm->shown_ns = now;
        vm->shown_accesses = vm->counters.accesses;
    }
}

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
        take_samples(v, now);
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
        const uint64_t stopped = run_guest(v, vm, now, now + host->quantum_ns);
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

static bool contents_are_told(const struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++)
        if (v->vm[i].counters.hashes || v->vm[i].config->zero > 0 || v->vm[i].config->common > 0)
            return true;
    return false;
}

static enum nw_status fill_result(struct vms *v, const struct clockwork *w)
{
    struct nw_vms_result *r = v->r;
    struct nw_vms_host_counters *h = &v->host;
    const struct nw_sharing_counters *k = nw_sharing_counters(v->sharing);
    r->time_ns = last_time(v, w);
    if (v->config->host.timeline_ns)
        take_samples(v, r->time_ns);
    h->swap_reads = v->swap_device->reads, h->swap_writes = v->swap_device->writes;
    h->swap_read_pages = v->swap_device->read_pages, h->swap_written_pages = v->swap_device->written_pages;
    h->swap_seeks = v->swap_device->seeks, h->swap_busy_ns = v->swap_device->busy_ns;
    h->swap_queued_ns = v->swap_device->queued_ns;
    h->disk_reads = v->disk.reads, h->disk_writes = v->disk.writes, h->disk_seeks = v->disk.seeks;
    h->disk_busy_ns = v->disk.busy_ns;
    h->zswap_pool_bytes = v->packed_bytes;
    h->ksm_scanned = k->scanned, h->ksm_skipped = k->skipped, h->ksm_merged = k->merged;
    h->ksm_zero_merged = k->zero_merged, h->ksm_volatile = k->volatile_pages, h->ksm_comparisons = k->comparisons;
    h->ksm_full_scans = k->full_scans, h->ksm_stale = k->stale;
    h->ksm_unshared = k->unshared, h->ksm_changing = k->changing;
    h->frames_free = v->h->kind[NW_FRAME_FREE], h->frames_guest = v->h->kind[NW_FRAME_GUEST];
    h->frames_shared = v->h->kind[NW_FRAME_SHARED], h->frames_table = v->h->kind[NW_FRAME_TABLE];
    h->frames_pinned = v->h->kind[NW_FRAME_PINNED];
    h->shared_users = v->h->shared_users;
    h->saved_pages = h->shared_users - h->frames_shared;
    h->saved_pages_most = h->saved_pages > h->saved_pages_most ? h->saved_pages : h->saved_pages_most;
    r->host = *h;
    if (v->config->sharing.kind && !k->merged)
        vms_event(v, r->time_ns,
                  "page sharing looked at %" PRIu64 " pages in %" PRIu64 " rounds and found none equal%s", k->scanned,
                  k->full_scans,
                  contents_are_told(v) ? "" : "; no trace tells contents, and vm.*.zero and vm.*.common are 0");
    if (!(r->guest = calloc(v->vms, sizeof *r->guest)))
        return nw_fail_nomem(v->err, "the guests' results");
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        struct nw_vms_guest_result *g = &r->guest[i];
        const uint64_t ended = vm->done ? vm->ended_ns : r->time_ns;
        vm->counters.unmapped = v->h->guest[i].unmapped;
        vm->counters.large = v->h->guest[i].large;
        vm->counters.large_lost = v->h->guest[i].large_lost;
        *g = (struct nw_vms_guest_result){ .state = vm->done ? vm->state : NW_VMS_STOPPED,
                                           .size = vm->pages,
                                           .started_ns = vm->started_ns,
                                           .ended_ns = ended,
                                           .alone_ns = (uint64_t)vm->alone_ns,
                                           .work_ns = vm->work_ns,
                                           .works = vm->config->works,
                                           .counters = vm->counters };
        vm->work_ns = NULL;
        g->slowdown = vm->alone_ns > 0 ? (double)(ended - vm->started_ns) / vm->alone_ns : 0;
        memcpy(g->name, vm->name, sizeof g->name);
        r->guests++;
    }
    if (!(r->moved = calloc((size_t)v->vms * v->vms, sizeof *r->moved)))
        return nw_fail_nomem(v->err, "who took whose memory");
    for (size_t to = 0; to < v->vms; to++) /* without the hypervisor's own, behind the guests */
        memcpy(r->moved + to * v->vms, v->h->moved + to * v->h->config.guests, v->vms * sizeof *r->moved);
    enum nw_status s = monitor_results(v);
    /* The account has to be right at the end, too. */
    if (!s)
        s = nw_hostmem_check(v->h, v->err);
    return s ? s : walk_check(v);
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
    return v->failed ? v->failed : fill_result(v, w);
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

void nw_vms_result_fini(struct nw_vms_result *r)
{
    for (size_t i = 0; i < r->guests; i++) {
        free(r->guest[i].work_ns);
        free(r->guest[i].mrc);
    }
    free(r->moved);
    free(r->monitor);
    free(r->monitor_sample);
    free(r->guest);
    free(r->sample);
    free(r->event);
    *r = (struct nw_vms_result){ 0 };
}
