/* vms_host.c - the host's side: the faults that it serves, its own pages, and the end of a guest. */
#include "vms_walk.h"
#include <stdlib.h>
#include <string.h>

/* ---- the policies hear of frames ---- */

static void gained(void *context, uint32_t frame)
{
    struct vms *v = context;
    struct nw_frame *f = &v->h->frame[frame];
    if (v->informed || host_is_own(v, f->user))
        return;
    vms_fail(v, nw_replacement_admit(host_policy_of(v, f->user), f->user, &f->node, v->err));
}

static void lost(void *context, uint32_t frame)
{
    struct vms *v = context;
    struct nw_frame *f = &v->h->frame[frame];
    if (f->node != NW_NONE32)
        nw_replacement_remove(host_policy_of(v, f->user), f->node);
    f->node = NW_NONE32;
}

static void table_given(void *context, unsigned guest, uint32_t frame) { walk_table_given(context, guest, frame); }

static void remapped(void *context, uint32_t page) { walk_remapped(context, page); }

void host_discard(struct vms *v, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing == NW_BACKING_FRAME && v->h->frame[p->place].kind == NW_FRAME_PINNED) {
        walk_unpinned(v, host_vm_of(v, page), page);
        nw_hostmem_unpin(v->h, page);
    }
    nw_hostmem_discard(v->h, page);
}

/* ---- the VMM process's own pages ---- */

static void touch_hypervisor(struct vms *v, struct vm *vm, uint64_t *t)
{
    enum { TOUCHED = 8 }; /* pages that one request needs */
    const uint64_t own = vm->config->hypervisor >> NW_PAGE_LOG2;
    for (unsigned i = 0; i < TOUCHED && own; i++) {
        uint32_t page;
        uint64_t gpn = 0;
        for (unsigned k = 0; k < vm->index; k++)
            gpn += v->vm[k].config->hypervisor >> NW_PAGE_LOG2;
        gpn += vm->hypervisor_at++ % own;
        host_ensure(v, nw_hostmem_tables_needed(v->h, v->vms, gpn) + 1, t);
        enum nw_status s = v->failed ? v->failed : nw_hostmem_page(v->h, v->vms, gpn, &page, v->err);
        if (s) {
            vms_fail(v, s);
            return;
        }
        struct nw_page *p = nw_hostmem_at(v->h, page);
        p->flags |= NW_PAGE_ACCESSED;
        if (p->backing == NW_BACKING_FRAME)
            continue;
        if (p->backing == NW_BACKING_BLOCK) { /* it was there once */
            const uint64_t before = *t;
            *t = nw_swap_device_request(&v->disk, *t, false, UINT64_C(1) << 60 | gpn, 1);
            vm->counters.hypervisor_faults++;
            vm->counters.waited_ns += *t - before;
        }
        nw_hostmem_fill(v->h, page, 1 + gpn);
    }
}

void host_disk_request(struct vms *v, struct vm *vm, bool write, uint64_t position, unsigned pages, uint64_t *t)
{
    touch_hypervisor(v, vm, t);
    const uint64_t before = *t, done = nw_swap_device_request(&v->disk, *t, write, position, pages);
    if (write)
        return; /* the guest does not wait for what it writes back */
    *t = done;
    vm->counters.waited_ns += *t - before;
}

/* ---- faults ---- */

static void arrived(struct vms *v, struct vm *vm, uint32_t page)
{
    nw_hostmem_at(v->h, page)->flags |= NW_PAGE_READ_AHEAD;
    vm->counters.read_ahead++;
}

/* The other slots of the aligned group that are pages' own: they come with the one that is wanted, while frames are free. */
static unsigned swap_in_group(struct vms *v, uint32_t slot)
{
    const uint32_t group = slot - slot % (uint32_t)v->config->swap.read_ahead;
    unsigned pages = 1;
    for (uint32_t s = group; s < group + v->config->swap.read_ahead && s < v->h->fresh_slot; s++) {
        const struct nw_slot *other = &v->h->slot[s];
        if (s == slot || other->users != 1 || v->h->kind[NW_FRAME_FREE] <= v->low / 2 || (v->packs && v->packed[s]))
            continue;
        const uint32_t page = other->page;
        if (nw_hostmem_at(v->h, page)->backing != NW_BACKING_SLOT)
            continue; /* kept by a page that has a frame */
        nw_hostmem_swap_in(v->h, page);
        arrived(v, host_vm_of(v, page), page);
        pages++;
    }
    return pages;
}

void host_bring_in(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    const uint32_t slot = p->place;
    const bool packed = v->packs && v->packed[slot];
    /* What the guest reads in sequence is no longer in sequence in the swap area. */
    if (p->flags & NW_PAGE_FILE && p->owner == vm->last_swapped_owner + 1 && slot != vm->last_slot + 1)
        vm->counters.decayed_reads++;
    vm->last_swapped_owner = p->owner;
    vm->last_slot = slot;
    nw_hostmem_swap_in(v->h, page);
    monitor_came_back(v, vm, page);
    vm->counters.swapped_in++;
    /* Linux, vm_swap_full(): slots that are only kept are given up when half of the area is used. */
    const bool kept = nw_hostmem_at(v->h, page)->link != NW_NONE32;
    if (kept && !packed && v->h->free_slots < v->h->config.slots / 2)
        nw_hostmem_forget_slot(v->h, page);
    if (packed) {
        *t += ns_of(nw_swap_device_kinds[v->config->swap.device].timing.read_ns);
        if (kept)
            nw_hostmem_forget_slot(v->h, page); /* zswap and zram give up what was loaded */
    } else {
        const unsigned pages = swap_in_group(v, slot);
        const uint32_t first = pages > 1 ? slot - slot % (uint32_t)v->config->swap.read_ahead : slot;
        *t = nw_swap_device_request(v->swap_device, *t, false, first, pages);
    }
}

/* A page that was dropped because it is as on the disk, and those behind it in the file that were, too. */
static void read_block(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    struct nw_hostmem *h = v->h;
    const uint32_t owner = nw_hostmem_at(h, page)->owner;
    const struct leaf *leaf = vm->leaf[owner >> LEAF_LOG2];
    unsigned pages = 0;
    for (uint32_t i = owner & (LEAF_PAGES - 1); i < LEAF_PAGES && pages < vm->config->read_ahead; i++) {
        const uint32_t at = leaf->slot[i];
        if (pages && (at & VSLOT_NOT_A_PAGE || nw_hostmem_at(h, at)->backing != NW_BACKING_BLOCK ||
                      h->kind[NW_FRAME_FREE] <= v->low / 2))
            break;
        const uint32_t block = nw_hostmem_at(h, at)->place;
        const uint64_t content = guest_block_content(vm, block);
        vm->counters.lost += content != nw_hostmem_at(h, at)->content;
        nw_hostmem_fill(h, at, content);
        nw_hostmem_link_block(h, at, block);
        if (pages++)
            arrived(v, vm, at);
        else
            monitor_came_back(v, vm, at);
    }
    const uint64_t before = *t;
    *t = nw_swap_device_request(&v->disk, *t, false, guest_block_position(vm, owner), pages);
    vm->counters.waited_ns += *t - before;
    vm->counters.major_faults++;
    vm->counters.swapped_in++;
}

/* The 2 MiB around a page that was never touched, while frames are plenty. False: that cannot be. */
static bool back_group(struct vms *v, struct vm *vm, uint32_t page)
{
    const uint32_t first = page & ~(uint32_t)(LEAF_PAGES - 1);
    if (nw_hostmem_gpn_of(v->h, first) + LEAF_PAGES > vm->pages || v->h->kind[NW_FRAME_FREE] < v->high + LEAF_PAGES)
        return false;
    for (uint32_t i = first; i < first + LEAF_PAGES; i++)
        if (nw_hostmem_at(v->h, i)->backing != NW_BACKING_NONE || nw_hostmem_at(v->h, i)->flags & NW_PAGE_BALLOON)
            return false;
    walk_populate(vm, true, first);
    for (uint32_t i = first; i < first + LEAF_PAGES; i++)
        nw_hostmem_back(v->h, i);
    walk_populate(vm, false, first);
    vm->counters.backed_large++;
    return true;
}

void host_fault(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    host_ensure(v, 1, t);
    if (v->failed)
        return;
    uint64_t fault = ns_of(v->config->host.fault_ns);
    const uint64_t before = *t;
    switch ((enum nw_backing)nw_hostmem_at(v->h, page)->backing) {
    case NW_BACKING_NONE:
        if (v->config->host.backing && back_group(v, vm, page))
            fault += ns_of(v->config->host.clear_large_ns);
        else
            nw_hostmem_back(v->h, page);
        vm->counters.minor_faults++;
        break;
    case NW_BACKING_SLOT:
        host_bring_in(v, vm, page, t);
        vm->counters.major_faults++;
        vm->counters.waited_ns += *t - before;
        break;
    case NW_BACKING_BLOCK: read_block(v, vm, page, t); break;
    case NW_BACKING_FRAME: return;
    }
    *t += fault;
    vm->counters.fault_ns += fault;
    host_hold_to_limit(v, vm, t);
}

void host_dirtied(struct vms *v, struct vm *vm, uint64_t *t)
{
    uint64_t ns = 0;
    if (v->config->swap.dirty == NW_VMS_DIRTY_WRITE_PROTECTION) {
        vm->counters.dirty_faults++;
        ns = ns_of(v->config->host.fault_ns);
    } else if (v->config->swap.dirty == NW_VMS_DIRTY_PML && ++vm->counters.dirty_logged % NW_VMS_PML_ENTRIES == 0) {
        vm->counters.dirty_exits++;
        ns = ns_of(v->config->host.pml_exit_ns);
    }
    *t += ns;
    vm->counters.fault_ns += ns;
}

void host_make_writable(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    for (unsigned tries = 0; p->backing != NW_BACKING_FRAME && !v->failed && tries < 3; tries++)
        host_fault(v, vm, page, t);
    if (p->backing != NW_BACKING_FRAME || v->h->frame[p->place].kind != NW_FRAME_SHARED)
        return;
    const uint64_t before = *t;
    host_ensure(v, 1, t);
    if (v->failed || p->backing != NW_BACKING_FRAME || v->h->frame[p->place].kind != NW_FRAME_SHARED) {
        if (!v->failed)
            host_make_writable(v, vm, page, t); /* it was taken to make room */
        return;
    }
    vm->counters.breaks_across += nw_hostmem_shared_across(v->h, vm->index, p->place);
    nw_hostmem_break(v->h, page);
    vm->counters.breaks++;
    const uint64_t ns = ns_of(v->config->host.break_ns);
    *t += ns;
    vm->counters.fault_ns += ns;
    vm->counters.break_ns += *t - before;
}

void host_overwrite(struct vms *v, struct vm *vm, uint32_t page, uint64_t content, bool by_device, uint64_t *t)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    host_ensure(v, 1, t);
    if (v->failed)
        return;
    if (p->backing == NW_BACKING_SLOT || p->backing == NW_BACKING_BLOCK) {
        const bool spared = by_device ? v->config->swap.mapper : v->config->swap.preventer;
        *(by_device ? (spared ? &vm->counters.stale_reads_avoided : &vm->counters.stale_reads)
                    : (spared ? &vm->counters.false_reads_avoided : &vm->counters.false_reads)) += 1;
        if (spared || v->informed) {
            const uint64_t ns = ns_of(v->config->host.fault_ns);
            nw_hostmem_fill(v->h, page, content);
            *t += ns;
            vm->counters.fault_ns += ns;
            host_hold_to_limit(v, vm, t);
            return;
        }
    }
    host_make_writable(v, vm, page, t);
    if (!v->failed && p->backing == NW_BACKING_FRAME)
        nw_hostmem_store(v->h, page, content);
}

/* ---- the end of a guest ---- */

void host_kill(struct vms *v, struct vm *vm, uint64_t now, enum nw_vms_state state, const char *why)
{
    vms_event(v, now, "%s is ended: %s", vm->name, why);
    vm->state = state;
    if (!vm->done)
        vm->ended_ns = now;
    vm->done = vm->killed = true;
    for (uint64_t gpn = 0; gpn < vm->fresh_gpn; gpn++)
        host_discard(v, guest_page(v, vm, gpn));
    reclaim_charge_flushes(v);
}

/* ---- life ---- */

enum nw_status host_begin(struct vms *v, struct nw_error *err)
{
    const struct nw_vms_config *c = v->config;
    const uint64_t frames = c->host.memory >> NW_PAGE_LOG2, slots = c->swap.size >> NW_PAGE_LOG2;
    const struct nw_hostmem_config hc = { .frames = frames,
                                          .slots = slots,
                                          .guests = v->vms + 1,
                                          .shares = c->sharing.kind != NW_SHARING_NONE,
                                          .gained = gained,
                                          .lost = lost,
                                          .slot_given = reclaim_slot_given,
                                          .table = c->host.fidelity ? table_given : NULL,
                                          .remapped = c->host.fidelity ? remapped : NULL,
                                          .context = v };
    const struct nw_sharing_config sc = { .kind = (enum nw_sharing_kind)c->sharing.kind,
                                          .use_zero_pages = c->sharing.use_zero_pages != 0,
                                          .smart_scan = c->sharing.smart_scan != 0,
                                          .max_page_sharing = c->sharing.max_page_sharing,
                                          .seed = c->seed };
    enum nw_status s = nw_hostmem_create(&v->h, &hc, err);
    if (!s)
        s = nw_sharing_create(&v->sharing, v->h, &sc, err);
    if (s)
        return s;
    v->low = (uint64_t)(c->host.low * (double)frames) + 16;
    v->high = (uint64_t)(c->host.high * (double)frames) + 32;
    v->exact = c->swap.sees == NW_VMS_SEES_ACCESSES;
    const struct nw_replacement_policy *policy = NULL;
    for (size_t i = 0; nw_replacement_policies[i]; i++)
        if (i == c->swap.policy)
            policy = nw_replacement_policies[i];
    v->informed = !policy; /* the last choice */
    for (unsigned i = 0; policy && !s && i < (c->swap.scope == NW_VMS_SCOPE_VM ? v->vms : 1); i++)
        s = nw_replacement_create(c->swap.scope == NW_VMS_SCOPE_VM ? &v->vm[i].policy : &v->policy, policy,
                                  frames < NW_REPLACEMENT_FRAMES_MAX ? frames : NW_REPLACEMENT_FRAMES_MAX, c->seed + i,
                                  err);
    nw_swap_device_init(&v->disk, &nw_swap_device_kinds[c->host.disk].timing, c->seed, "disk");
    v->packs = (c->swap.device == NW_SWAP_ZSWAP || c->swap.device == NW_SWAP_ZRAM) && !c->swap.shared_disk;
    v->hint_ns = UINT64_MAX;
    nw_swap_device_init(&v->swap, &nw_swap_device_kinds[v->packs ? NW_SWAP_NVME : c->swap.device].timing, c->seed,
                        "swap");
    v->swap_device = c->swap.shared_disk ? &v->disk : &v->swap;
    v->pool_limit = (uint64_t)(c->swap.zswap_pool * (double)frames);
    if (v->packs && !s && !(v->packed = calloc(slots + 1, sizeof *v->packed)))
        s = nw_fail_nomem(err, "zswap");
    if (!s && !(v->touched = calloc(TOUCHED_MOST, sizeof *v->touched)))
        s = nw_fail_nomem(err, "the host's scans");
    for (unsigned i = 0; i < v->vms; i++)
        v->hypervisor_pages += v->vm[i].config->hypervisor >> NW_PAGE_LOG2;
    return s;
}

void host_end(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++)
        nw_replacement_destroy(v->vm[i].policy);
    nw_replacement_destroy(v->policy);
    nw_sharing_destroy(v->sharing);
    nw_hostmem_destroy(v->h);
    free(v->packed);
    free(v->pool.item);
    free(v->pending.item);
    free(v->touched);
}
