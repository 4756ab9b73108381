/* vms_collapse.c - khugepaged: groups of 512 pages that a 2 MiB mapping could back are put together again, when enough of their pages are there.
 *
 * Linux, Documentation/admin-guide/mm/transhuge.rst: pages_to_scan, scan_sleep_millisecs, max_ptes_none, max_ptes_swap, max_ptes_shared; mm/khugepaged.c for what the scan asks:
 * one page that was used lately, and half of them when some have to be read. Pages without a frame get one, be it that the guest gave them to its balloon: khugepaged does not
 * know. Swapped ones are read, shared ones copied.
 *
 * MODEL: the frames that the pages have count as one piece when they are mapped as one (host_memory.h): what is copied takes host.copy_large_ns and no second 512 frames. */
#include "vms_walk.h"

struct group {
    unsigned none, swapped, shared, used;
    bool fixed; /* a page is pinned, or lies on the guest's disk alone */
};

static struct group look_at(const struct nw_hostmem *h, uint32_t first)
{
    struct group g = { 0 };
    for (uint32_t i = first; i < first + LEAF_PAGES; i++) {
        const struct nw_page *p = nw_hostmem_at(h, i);
        g.none += p->backing == NW_BACKING_NONE;
        g.swapped += p->backing == NW_BACKING_SLOT;
        g.fixed |= p->backing == NW_BACKING_BLOCK;
        if (p->backing != NW_BACKING_FRAME)
            continue;
        g.shared += h->frame[p->place].kind == NW_FRAME_SHARED;
        g.fixed |= h->frame[p->place].kind == NW_FRAME_PINNED;
        g.used += (p->flags & NW_PAGE_ACCESSED) != 0;
    }
    return g;
}

static bool worth_it(const struct vms *v, const struct group *g)
{
    const struct nw_vms_host *c = &v->config->host;
    return !g->fixed && g->none <= c->max_ptes_none && g->swapped <= c->max_ptes_swap &&
           g->shared <= c->max_ptes_shared && g->used >= (g->swapped ? LEAF_PAGES / 2 : 1) &&
           v->h->kind[NW_FRAME_FREE] >= v->high + g->none + g->swapped + g->shared;
}

/* Each page has a frame of its own afterwards; false when frames ran out. *t goes on to when all are read. */
static bool complete(struct vms *v, struct vm *vm, uint32_t first, uint64_t *t)
{
    for (uint32_t i = first; i < first + LEAF_PAGES && !v->failed; i++) {
        const struct nw_page *p = nw_hostmem_at(v->h, i);
        if (p->backing == NW_BACKING_FRAME && v->h->frame[p->place].kind != NW_FRAME_SHARED)
            continue;
        if (v->h->kind[NW_FRAME_FREE] <= v->low) /* reading ahead has taken them */
            return false;
        if (p->backing == NW_BACKING_FRAME) {
            nw_hostmem_break(v->h, i);
            vm->counters.collapse_copied++;
        } else if (p->backing == NW_BACKING_SLOT) {
            host_bring_in(v, vm, i, t);
            vm->counters.collapse_read++;
        } else {
            nw_hostmem_back(v->h, i);
            vm->counters.collapse_refilled++;
        }
    }
    return !v->failed;
}

/* The pages that were looked at; *ns: time of the thread. */
static uint64_t visit(struct vms *v, struct vm *vm, uint32_t first, uint64_t now, double *ns)
{
    const struct nw_vms_host *c = &v->config->host;
    if (nw_hostmem_gpn_of(v->h, first) + LEAF_PAGES > vm->pages || vm->killed || walk_is_large(v, vm, first))
        return 1;
    const struct group g = look_at(v->h, first);
    uint64_t t = now;
    *ns += LEAF_PAGES * c->scan_page_ns;
    if (!worth_it(v, &g) || !complete(v, vm, first, &t))
        return LEAF_PAGES;
    walk_collapse(v, vm, first);
    vm->counters.collapsed++;
    vm->counters.flushes++;
    vm->pending_ns += ns_of(c->flush_ns);
    monitor_flush(vm);
    *ns += c->copy_large_ns + (double)(t - now);
    return LEAF_PAGES;
}

uint64_t collapse_tick(struct vms *v, uint64_t now)
{
    const uint64_t groups = v->h->pages >> LEAF_LOG2, most = v->config->host.collapse_pages;
    double ns = 0;
    uint64_t looked = 0;
    for (uint64_t n = 0; n < groups && looked < most && !v->failed; n++) {
        const uint32_t first = (uint32_t)(v->collapse_hand++ % groups) << LEAF_LOG2;
        const unsigned guest = nw_hostmem_guest_of(v->h, first);
        if (guest < v->vms)
            looked += visit(v, &v->vm[guest], first, now, &ns);
    }
    v->host.collapse_scanned += looked;
    v->host.collapse_ns += ns_of(ns);
    return ns_of(ns);
}
