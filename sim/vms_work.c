/* vms_work.c - a guest at its works: the accesses of a trace or generator, one after the other, and what its events say. */
#include "vms_walk.h"
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/nwt.h>

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

uint64_t work_run(struct vms *v, struct vm *vm, uint64_t now, uint64_t until)
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
