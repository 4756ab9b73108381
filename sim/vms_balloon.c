/* vms_balloon.c - balloons: who should have how much, the guests' drivers, free page reporting, and the estimate of working sets by sampling.
 *
 * The estimate is that of Waldspurger (OSDI 2002), "Measuring Idle Memory": some pages chosen at random are watched for an interval; the share of them that was
 * touched stands for all, as balloon/working_set.h averages it. */
#include "vms_internal.h"
#include <stdlib.h>

static uint64_t used_pages(const struct vm *vm) { return vm->fresh_gpn - vm->balloon.count - guest_free_pages(vm); }

/* With what a guest whose balloon is gone would use besides: what it has paged out, as far as there is a balloon. */
static uint64_t wanted_pages(const struct vm *vm)
{
    const uint64_t paged_out = vm->swap_fresh - vm->swap_free.count;
    return used_pages(vm) + (paged_out < vm->balloon.count ? paged_out : vm->balloon.count);
}

/* ---- estimate ---- */

static void estimate(struct vms *v, struct vm *vm)
{
    size_t touched = 0;
    for (size_t i = 0; i < vm->samples; i++)
        touched += (nw_hostmem_at(v->h, vm->sample[i])->flags & NW_PAGE_SAMPLED) != 0;
    if (vm->samples) {
        const double now = (double)touched / (double)vm->samples;
        vm->active = nw_wss_average_take(&vm->average, now) * (double)used_pages(vm);
    } else {
        vm->active = (double)used_pages(vm);
    }
    vm->samples = 0;
    for (uint64_t tries = 0;
         tries < 4 * v->config->balloon.sample_pages && vm->samples < v->config->balloon.sample_pages && vm->fresh_gpn;
         tries++) {
        const uint32_t page = guest_page(v, vm, nw_rng_below(&v->rng, vm->fresh_gpn));
        struct nw_page *p = nw_hostmem_at(v->h, page);
        if (p->flags & (NW_PAGE_FREE | NW_PAGE_BALLOON))
            continue;
        p->flags &= (uint8_t)~NW_PAGE_SAMPLED;
        vm->sample[vm->samples++] = page;
    }
}

/* ---- reports ---- */

static double average(const uint32_t *report, uint64_t reports, uint64_t history, uint64_t now)
{
    const uint64_t n = reports < history ? reports : history;
    double sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += report[(reports - 1 - i) % history];
    return n ? sum / (double)n : (double)now;
}

static uint64_t free_frames(const struct vms *v) { return v->h->kind[NW_FRAME_FREE]; }

void balloon_report_stats(struct vms *v)
{
    const uint64_t history = v->config->balloon.history;
    v->reported_free[v->reports++ % history] = (uint32_t)free_frames(v);
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        if (!vm->started || is_gone(vm))
            continue;
        vm->stats_used = wanted_pages(vm);
        vm->reported_used[vm->reports++ % history] = (uint32_t)used_pages(vm);
        vm->counters.stats++;
    }
}

/* ---- decisions ---- */

static double slowdown_since(struct vm *vm, uint64_t now)
{
    const double alone = vm->alone_ns - vm->decided_alone_ns;
    const double elapsed = (double)(now - vm->decided_ns);
    vm->decided_ns = now;
    vm->decided_alone_ns = vm->alone_ns;
    return alone > 0 && elapsed > alone ? elapsed / alone : 1;
}

void balloon_decide(struct vms *v, uint64_t now)
{
    const struct nw_vms_balloon *b = &v->config->balloon;
    struct nw_allocation_guest *g = calloc(v->vms, sizeof *g);
    unsigned *who = calloc(v->vms, sizeof *who);
    size_t guests = 0;
    if (!g || !who) {
        vms_fail(v, nw_fail_nomem(v->err, "the guests' shares"));
        free(g);
        free(who);
        return;
    }
    const uint64_t own = v->h->kind[NW_FRAME_TABLE] + v->h->guest[v->vms].resident + v->high;
    uint64_t pages = v->h->config.frames > own ? v->h->config.frames - own : 0;
    pages += v->h->shared_users - v->h->kind[NW_FRAME_SHARED]; /* what sharing saves can be given away */
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        if (!vm->started || is_gone(vm))
            continue;
        if (!nw_allocation_policies[b->policy]->by_active)
            vm->active = (double)used_pages(vm); /* nobody asks, and nobody samples */
        else if (b->estimator)
            vm->active = monitor_active(v, vm, (double)used_pages(vm));
        else
            estimate(v, vm);
        const uint64_t max = host_limit_pages(vm), min = vm->config->min >> NW_PAGE_LOG2;
        g[guests] =
            (struct nw_allocation_guest){ .size = vm->pages,
                                          .min = min,
                                          .max = max,
                                          .shares = vm->config->shares,
                                          .has = vm->target,
                                          .used = b->stats_ns ? vm->stats_used : wanted_pages(vm),
                                          .current = vm->pages - vm->balloon.count,
                                          .in_use = average(vm->reported_used, vm->reports, b->history, used_pages(vm)),
                                          .active = vm->active,
                                          .slowdown = slowdown_since(vm, now) };
        who[guests++] = i;
    }
    const struct nw_allocation_config c = { .tax = b->tax,
                                            .slack = b->slack,
                                            .low = b->low,
                                            .high = b->high,
                                            .step = b->step,
                                            .goal = b->goal,
                                            .pressure = b->pressure,
                                            .critical = b->critical,
                                            .guest_free = b->guest_free,
                                            .free_average =
                                                average(v->reported_free, v->reports, b->history, free_frames(v)),
                                            .free = free_frames(v) };
    nw_allocation_policies[b->policy]->targets(&c, g, guests, pages);
    for (size_t i = 0; i < guests; i++) {
        struct vm *vm = &v->vm[who[i]];
        /* What a guest needs to live (its kernel, and something to work with) is not asked for. */
        const uint64_t least = vm->kernel_pages + vm->pages / 32 + 64;
        vm->target = g[i].target > least ? g[i].target : least < vm->pages ? least : vm->pages;
        vm->balloon_target = vm->pages - vm->target;
        if (vm->next_batch_ns == UINT64_MAX && vm->balloon_target != vm->balloon.count && !is_gone(vm))
            vm->next_batch_ns = now;
    }
    free(g);
    free(who);
}

/* ---- the driver ---- */

uint64_t balloon_give_back(struct vms *v, struct vm *vm, uint64_t pages)
{
    uint64_t given = 0;
    for (; given < pages && vm->balloon.count && !v->failed; given++)
        guest_free(v, vm, vm->balloon.item[--vm->balloon.count]);
    vm->counters.deflated += given;
    return given;
}

static void put_in(struct vms *v, struct vm *vm, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    p->owner = NW_NONE32;
    p->flags = (uint8_t)((p->flags & ~NW_PAGE_FREE) | NW_PAGE_BALLOON);
    host_discard(v, page);
    vms_fail(v, stack_push(&vm->balloon, page, v->err));
    vm->counters.inflated++;
}

/* 2 MiB of the guest's memory that are free as a whole. False: there are none. */
static bool put_in_group(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint64_t first = guest_alloc_group(v, vm, t);
    if (first == UINT64_MAX)
        return false;
    for (uint64_t gpn = first; gpn < first + LEAF_PAGES && !v->failed; gpn++)
        put_in(v, vm, guest_page(v, vm, gpn));
    vm->counters.given_large++;
    return true;
}

void balloon_batch(struct vms *v, struct vm *vm, uint64_t now)
{
    const uint64_t batch = v->config->balloon.batch_pages;
    uint64_t t = now;
    bool stuck = false;
    if (vm->balloon.count > vm->balloon_target) {
        const uint64_t over = vm->balloon.count - vm->balloon_target;
        balloon_give_back(v, vm, over < batch ? over : batch);
    } else {
        for (uint64_t n = 0; n < batch && vm->balloon.count < vm->balloon_target && !v->failed && !is_gone(vm); n++) {
            if (v->config->balloon.unit && vm->balloon_target - vm->balloon.count >= LEAF_PAGES &&
                put_in_group(v, vm, &t)) {
                n += LEAF_PAGES - 1;
                continue;
            }
            const uint32_t page = v->failed || is_gone(vm) ? NW_NONE32 : guest_alloc(v, vm, &t);
            stuck = page == NW_NONE32;
            if (stuck || is_gone(vm))
                break;
            put_in(v, vm, page);
        }
    }
    /* A guest that finds nothing more to give is asked again with the next decision. */
    vm->next_batch_ns = stuck || is_gone(vm) || vm->balloon.count == vm->balloon_target
                            ? UINT64_MAX
                            : t + 1 + ns_of(v->config->balloon.batch_ns);
}

/* ---- free page reporting ---- */

static bool all_free(const struct vms *v, const struct vm *vm, uint64_t first, uint64_t last)
{
    for (uint64_t gpn = first; gpn < last; gpn++)
        if (!(nw_hostmem_at(v->h, guest_page(v, vm, gpn))->flags & NW_PAGE_FREE))
            return false;
    return true;
}

/* Whatever is free in aligned units of so many pages goes back to the host. How many pages. */
static uint64_t give_free(struct vms *v, struct vm *vm, uint64_t unit)
{
    uint64_t given = 0;
    for (uint64_t gpn = 0; !is_gone(vm) && vm->free.count && gpn + unit <= vm->fresh_gpn; gpn += unit) {
        if (!all_free(v, vm, gpn, gpn + unit))
            continue;
        for (uint64_t k = gpn; k < gpn + unit; k++) {
            const uint32_t page = guest_page(v, vm, k);
            if (nw_hostmem_at(v->h, page)->backing == NW_BACKING_NONE)
                continue;
            host_discard(v, page);
            given++;
        }
    }
    return given;
}

void balloon_report_free(struct vms *v)
{
    enum { NONE, SINGLE, LARGE };
    const uint64_t unit = v->config->balloon.reporting == LARGE ? NW_BIT(NW_HOSTMEM_GROUP_LOG2) : 1;
    for (unsigned i = 0; i < v->vms; i++)
        v->vm[i].counters.reported += give_free(v, &v->vm[i], unit);
}

/* Linux, drivers/virtio/virtio_balloon.c: VIRTIO_BALLOON_HINT_BLOCK_ORDER, the largest block of the page allocator. */
enum { HINT_BLOCK_LOG2 = 10 };

void balloon_take_hints(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++)
        v->vm[i].counters.hinted += give_free(v, &v->vm[i], NW_BIT(HINT_BLOCK_LOG2));
    v->hint_ns = UINT64_MAX;
}

/* ---- life ---- */

enum nw_status balloon_begin(struct vms *v, struct nw_error *err)
{
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        vm->next_batch_ns = UINT64_MAX;
        vm->balloon_target = vm->config->balloon >> NW_PAGE_LOG2;
        vm->target = vm->pages - vm->balloon_target;
        if (!(vm->sample = calloc(v->config->balloon.sample_pages, sizeof *vm->sample)))
            return nw_fail_nomem(err, "samples of a guest's pages");
    }
    return NW_OK;
}

void balloon_end(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++)
        free(v->vm[i].sample);
}
