/* vms_host.c - the host's side: faults it serves, pages it takes, its swap area, and what it makes guests wait. */
#include "vms_walk.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the policies hear of frames ---- */

static bool is_hypervisor(const struct vms *v, uint32_t page) { return nw_hostmem_guest_of(v->h, page) == v->vms; }

static struct vm *vm_of(struct vms *v, uint32_t page) { return &v->vm[nw_hostmem_guest_of(v->h, page)]; }

static struct nw_replacement *policy_of(struct vms *v, uint32_t page)
{
    return v->policy ? v->policy : vm_of(v, page)->policy;
}

static void gained(void *context, uint32_t frame)
{
    struct vms *v = context;
    struct nw_frame *f = &v->h->frame[frame];
    if (v->informed || is_hypervisor(v, f->user))
        return;
    vms_fail(v, nw_replacement_admit(policy_of(v, f->user), f->user, &f->node, v->err));
}

static void lost(void *context, uint32_t frame)
{
    struct vms *v = context;
    struct nw_frame *f = &v->h->frame[frame];
    if (f->node != NW_NONE32)
        nw_replacement_remove(policy_of(v, f->user), f->node);
    f->node = NW_NONE32;
}

static void table_given(void *context, unsigned guest, uint32_t frame) { walk_table_given(context, guest, frame); }

static void remapped(void *context, uint32_t page) { walk_remapped(context, page); }

/* ---- zswap and zram ---- */

static void slot_given(void *context, uint32_t slot)
{
    struct vms *v = context;
    if (v->packs) {
        v->packed_bytes -= v->packed[slot];
        v->packed[slot] = 0;
    }
}

/* Frames of the pool as its bytes need them, packed without a gap. Called when there may be a frame too many or too few. */
static void adjust_pool(struct vms *v)
{
    const uint64_t wanted = (v->packed_bytes + NW_PAGE_BYTES - 1) / NW_PAGE_BYTES;
    while (v->pool.count > wanted)
        nw_hostmem_table_give(v->h, v->pool.item[--v->pool.count]);
    while (v->pool.count < wanted && v->h->kind[NW_FRAME_FREE]) {
        enum nw_status s = stack_push(&v->pool, nw_hostmem_table_take(v->h), v->err);
        if (s)
            vms_fail(v, s);
    }
}

/* Zeros are noted and take nothing; of others a trace may have told the size. If not, it is between half and three halves of the mean, drawn from the content
 * itself. */
static uint64_t compressed_bytes(const struct vms *v, uint64_t content)
{
    if (!content)
        return 1;
    const uint64_t told = guest_content_packed_bytes(content);
    if (told)
        return told;
    const double share = 0.5 + (double)(nw_mix64(content ^ UINT64_C(0x7a737761)) >> 11) * 0x1p-53;
    const double bytes = (double)NW_PAGE_BYTES / v->config->swap.zswap_ratio * share;
    return bytes < 4096 ? (uint64_t)bytes + 1 : 4096;
}

static bool is_zram(const struct vms *v) { return v->packs && v->config->swap.device == NW_SWAP_ZRAM; }

/* zram keeps as it is what does not compress; zswap leaves it to the device behind. */
static bool fits_pool(const struct vms *v, uint64_t content)
{
    const uint64_t bytes = compressed_bytes(v, content);
    return v->packed_bytes + bytes <= v->pool_limit * NW_PAGE_BYTES && (bytes < NW_PAGE_BYTES || is_zram(v));
}

static void pack(struct vms *v, uint32_t slot, uint64_t *t)
{
    const uint64_t bytes = compressed_bytes(v, v->h->slot[slot].content);
    v->packed[slot] = (uint16_t)bytes;
    v->packed_bytes += bytes;
    v->host.zswap_stored++;
    adjust_pool(v);
    if (t)
        *t += ns_of(nw_swap_device_kinds[v->config->swap.device].timing.write_ns);
}

/* ---- writing ---- */

static int by_number(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* What waits to be written, neighbours as one request. *t, unless NULL, goes on to when all of it is written. */
static void write_pending(struct vms *v, uint64_t now, uint64_t *t)
{
    struct stack *p = &v->pending;
    uint64_t done = 0;
    if (!p->count)
        return;
    qsort(p->item, p->count, sizeof *p->item, by_number);
    for (size_t i = 0, n; i < p->count; i += n) {
        for (n = 1; i + n < p->count && p->item[i + n] == p->item[i] + n; n++) {
        }
        const uint64_t end = nw_swap_device_request(v->swap_device, t ? *t : now, true, p->item[i], (unsigned)n);
        done = end > done ? end : done;
    }
    p->count = 0;
    if (t)
        *t = done > *t ? done : *t;
}

static void write_slot(struct vms *v, uint32_t slot, uint64_t now, uint64_t *t)
{
    if (v->packs && fits_pool(v, v->h->slot[slot].content)) {
        pack(v, slot, t);
        return;
    }
    v->host.zswap_rejected += v->packs;
    vms_fail(v, stack_push(&v->pending, slot, v->err));
    if (v->pending.count >= v->config->swap.cluster)
        write_pending(v, now, t);
}

/* ---- taking pages ---- */

static uint64_t min_pages(const struct vm *vm) { return vm->config->min >> NW_PAGE_LOG2; }

uint64_t host_limit_pages(const struct vm *vm)
{
    return (vm->config->max ? vm->config->max : vm->config->memory) >> NW_PAGE_LOG2;
}

static bool is_protected(const struct vms *v, const struct vm *vm)
{
    return !vm->done && v->h->guest[vm->index].resident <= min_pages(vm);
}

/* The page is as on the guest's disk. */
static bool is_clean_file(const struct vms *v, uint32_t page)
{
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    const struct vm *vm = &v->vm[nw_hostmem_guest_of(v->h, page)];
    return p->flags & NW_PAGE_FILE && p->content == guest_block_content(vm, p->owner);
}

/* False: the frame cannot be taken, as the swap area is full. */
static bool take(struct vms *v, uint32_t frame, uint64_t now, uint64_t *t)
{
    struct nw_hostmem *h = v->h;
    const uint32_t page = h->frame[frame].user;
    const struct nw_page *p = nw_hostmem_at(h, page);
    struct vm *vm = vm_of(v, page);
    const bool shared = h->frame[frame].kind == NW_FRAME_SHARED;
    if (v->informed && p->flags & NW_PAGE_FREE) {
        host_discard(v, page);
        v->host.reclaimed++;
        return true;
    }
    if (!shared && v->config->swap.mapper && p->linked_block && is_clean_file(v, page)) {
        nw_hostmem_drop_to_block(h, frame, p->link);
        vm->counters.silent_writes_avoided++;
        vm->counters.swapped_out++;
        v->host.reclaimed++;
        monitor_taken(v, vm, page);
        return true;
    }
    const bool has_slot = !shared && p->link != NW_NONE32 && !p->linked_block;
    if (!has_slot && (!h->free_slots || (is_zram(v) && !fits_pool(v, h->frame[frame].content)))) {
        v->host.slots_full++;
        return false;
    }
    const bool silent = !has_slot && is_clean_file(v, page);
    for (uint32_t user = page; user != NW_NONE32; user = shared ? nw_hostmem_at(h, user)->link : NW_NONE32)
        monitor_taken(v, vm_of(v, user), user);
    const bool write = nw_hostmem_swap_out(h, frame);
    vm->counters.swapped_out++;
    vm->counters.silent_writes += silent;
    v->host.reclaimed++;
    if (write)
        write_slot(v, nw_hostmem_at(h, page)->place, now, t);
    return true;
}

/* The VMM's own pages of files go first: only they are named, and what looks like files is thought to be cheap to read again. */
static bool take_hypervisor_page(struct vms *v)
{
    struct nw_hostmem *h = v->h;
    for (uint64_t tries = 0; tries < RECLAIM_BATCH && v->hypervisor_pages; tries++) {
        uint32_t page;
        v->hypervisor_hand = (v->hypervisor_hand + 1) % v->hypervisor_pages;
        if (nw_hostmem_tables_needed(h, v->vms, v->hypervisor_hand))
            continue; /* never touched: it has no frame, and its tables would take some */
        if (nw_hostmem_page(h, v->vms, v->hypervisor_hand, &page, v->err))
            return false;
        struct nw_page *p = nw_hostmem_at(h, page);
        const bool used = p->flags & NW_PAGE_ACCESSED;
        p->flags &= (uint8_t)~NW_PAGE_ACCESSED;
        if (p->backing == NW_BACKING_FRAME && !used) {
            nw_hostmem_drop_to_block(h, p->place, (uint32_t)v->hypervisor_hand);
            v->host.reclaimed++;
            return true;
        }
    }
    return false;
}

/* Of which guest, when each has a policy of its own: the one furthest above what it may have. */
static struct vm *furthest_above(struct vms *v)
{
    struct vm *best = NULL;
    int64_t most = 0;
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        const uint64_t resident = v->h->guest[i].resident;
        if (!resident || is_protected(v, vm))
            continue;
        const int64_t above = (int64_t)resident - (int64_t)(v->config->balloon.policy ? vm->target : min_pages(vm));
        if (!best || above > most) {
            best = vm;
            most = above;
        }
    }
    return best;
}

/* The guests' own knowledge: a free page, else one that the guest has not used lately. Guests in turn, in proportion to nothing but their clocks. */
static uint32_t informed_victim(struct vms *v)
{
    for (unsigned tries = 0; tries < v->vms; tries++) {
        struct vm *vm =
            v->config->swap.scope == NW_VMS_SCOPE_VM ? furthest_above(v) : &v->vm[v->informed_next++ % v->vms];
        if (!vm || is_protected(v, vm))
            continue;
        const uint32_t page = guest_coldest(v, vm, true);
        if (page != NW_NONE32)
            return nw_hostmem_at(v->h, page)->place;
    }
    return NW_NONE32;
}

static uint32_t victim_of(struct vms *v, struct nw_replacement *policy)
{
    for (unsigned tries = 0; tries < 4 * RECLAIM_BATCH + v->vms; tries++) {
        const uint64_t page = nw_replacement_evict(policy, NW_REPLACEMENT_NO_PAGE);
        if (page == NW_REPLACEMENT_NO_PAGE)
            return NW_NONE32;
        const uint32_t frame = nw_hostmem_at(v->h, (uint32_t)page)->place;
        struct nw_frame *f = &v->h->frame[frame];
        f->node = NW_NONE32;
        if (!is_protected(v, vm_of(v, (uint32_t)page)))
            return frame;
        vms_fail(v, nw_replacement_admit(policy, page, &f->node, v->err));
        if (v->failed)
            return NW_NONE32;
    }
    return NW_NONE32;
}

static uint32_t choose(struct vms *v)
{
    if (v->informed)
        return informed_victim(v);
    if (v->policy)
        return victim_of(v, v->policy);
    struct vm *vm = furthest_above(v);
    return vm ? victim_of(v, vm->policy) : NW_NONE32;
}

/* What was taken from each guest has to be forgotten by its processor: a flush for each batch. */
static void charge_flushes(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        const uint64_t now = v->h->guest[i].unmapped;
        if (now == vm->counters.unmapped)
            continue;
        const uint64_t flushes = (now - vm->counters.unmapped + RECLAIM_BATCH - 1) / RECLAIM_BATCH;
        vm->counters.unmapped = now;
        vm->counters.flushes += flushes;
        vm->pending_ns += ns_of((double)flushes * v->config->host.flush_ns);
        monitor_flush(vm);
    }
}

/* Up to RECLAIM_BATCH pages. How many; 0: none can be taken. */
static unsigned reclaim_batch(struct vms *v, uint64_t now, uint64_t *t)
{
    unsigned taken = take_hypervisor_page(v);
    while (taken < RECLAIM_BATCH && !v->failed) {
        const uint32_t frame = choose(v);
        if (frame == NW_NONE32)
            break;
        const uint32_t page = v->h->frame[frame].user;
        if (!take(v, frame, now, t)) {
            if (!v->informed)
                vms_fail(v, nw_replacement_admit(policy_of(v, page), page, &v->h->frame[frame].node, v->err));
            break;
        }
        taken++;
    }
    write_pending(v, now, t);
    charge_flushes(v);
    return taken;
}

/* A guest whose death helps: the one with most memory, of those that have any. */
static struct vm *largest(struct vms *v)
{
    struct vm *best = NULL;
    for (unsigned i = 0; i < v->vms; i++)
        if (v->h->guest[i].resident > v->h->guest[i].pinned &&
            (!best || v->h->guest[i].resident > v->h->guest[best->index].resident))
            best = &v->vm[i];
    return best;
}

void host_ensure(struct vms *v, uint64_t frames, uint64_t *t)
{
    if (NW_LIKELY(v->h->kind[NW_FRAME_FREE] >= frames))
        return;
    if (v->packs)
        adjust_pool(v);
    while (v->h->kind[NW_FRAME_FREE] < frames && !v->failed) {
        v->host.direct_reclaims++;
        if (reclaim_batch(v, *t, t))
            continue;
        struct vm *vm = largest(v);
        if (!vm) {
            vms_fail(v, nw_fail(v->err, NW_ERR_INPUT,
                                "the host has no memory left and no guest whose end would free any: host.memory is too "
                                "small for what it keeps itself (tables, pinned pages)"));
            return;
        }
        host_kill(v, vm, *t, NW_VMS_KILLED, "the host is out of memory and swap space");
    }
}

void host_reclaim_in_background(struct vms *v, uint64_t now)
{
    const uint64_t free = v->h->kind[NW_FRAME_FREE];
    if (free >= v->low && !v->reclaiming)
        return;
    if (v->config->balloon.hinting && !v->reclaiming && v->hint_ns == UINT64_MAX)
        v->hint_ns = now + 1 + ns_of(v->config->balloon.batch_ns);
    v->reclaiming = free < v->high;
    /* No more than what the device takes in 20 ms: whoever is faster has to wait for it in host_ensure(). */
    while (v->h->kind[NW_FRAME_FREE] < v->high && !v->failed) {
        uint64_t earliest = v->swap_device->free_ns[0];
        for (unsigned i = 1; i < v->swap_device->timing.channels; i++)
            if (v->swap_device->free_ns[i] < earliest)
                earliest = v->swap_device->free_ns[i];
        if (earliest > now + 20000000 || !reclaim_batch(v, now, NULL))
            break;
    }
    v->reclaiming = v->h->kind[NW_FRAME_FREE] < v->high;
}

void host_hold_to_limit(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint64_t limit = host_limit_pages(vm);
    if (!vm->policy || v->h->guest[vm->index].resident <= limit)
        return;
    while (v->h->guest[vm->index].resident > limit && !v->failed) {
        const uint32_t frame = victim_of(v, vm->policy);
        if (frame == NW_NONE32)
            break;
        if (!take(v, frame, *t, t)) {
            host_kill(v, vm, *t, NW_VMS_KILLED, "its limit is reached and the swap area is full");
            break;
        }
    }
    write_pending(v, *t, t);
    charge_flushes(v);
}

void host_discard(struct vms *v, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing == NW_BACKING_FRAME && v->h->frame[p->place].kind == NW_FRAME_PINNED) {
        walk_unpinned(v, vm_of(v, page), page);
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
        arrived(v, vm_of(v, page), page);
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

/* ---- scans of accessed flags ---- */

static void scan_page(struct vms *v, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing != NW_BACKING_FRAME || is_hypervisor(v, page) || !(p->flags & NW_PAGE_ACCESSED))
        return;
    host_hit(v, vm_of(v, page), &v->h->frame[p->place]);
    p->flags &= (uint8_t)~NW_PAGE_ACCESSED;
}

/* The host looks at all pages in order. Only those whose flags are set make a difference: when they are few and known, they alone are looked at here. */
void host_scan(struct vms *v, uint64_t now)
{
    uint64_t looked = 0;
    if (v->touched_more || v->touched_count > v->h->pages / 16) {
        for (uint64_t i = 0; i < v->h->pages; i++)
            scan_page(v, (uint32_t)i);
    } else {
        qsort(v->touched, v->touched_count, sizeof *v->touched, by_number);
        for (uint32_t i = 0; i < v->touched_count; i++)
            scan_page(v, v->touched[i]);
    }
    v->touched_count = 0;
    v->touched_more = false;
    for (unsigned i = 0; i < v->vms; i++) {
        looked += v->h->guest[i].resident;
        v->vm[i].counters.scanned += v->h->guest[i].resident;
    }
    v->host.scans++;
    v->host.scanned_pages += looked;
    v->host.scan_ns += ns_of((double)looked * v->config->host.scan_page_ns);
    for (unsigned i = 0; v->config->swap.scan_flush && i < v->vms; i++) {
        v->vm[i].counters.flushes++;
        v->vm[i].pending_ns += ns_of(v->config->host.flush_ns);
        monitor_flush(&v->vm[i]);
    }
    (void)now;
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
    charge_flushes(v);
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
                                          .slot_given = slot_given,
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
