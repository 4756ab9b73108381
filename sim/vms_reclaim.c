/* vms_reclaim.c - how the host takes pages: who goes, where it is written, compressed or not, and what its scans of accessed flags see. */
#include "vms_walk.h"
#include <stdlib.h>

/* ---- zswap and zram ---- */

void reclaim_slot_given(void *context, uint32_t slot)
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
    struct vm *vm = host_vm_of(v, page);
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
        monitor_taken(v, host_vm_of(v, user), user);
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
        if (!is_protected(v, host_vm_of(v, (uint32_t)page)))
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

void reclaim_charge_flushes(struct vms *v)
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
                vms_fail(v, nw_replacement_admit(host_policy_of(v, page), page, &v->h->frame[frame].node, v->err));
            break;
        }
        taken++;
    }
    write_pending(v, now, t);
    reclaim_charge_flushes(v);
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
    reclaim_charge_flushes(v);
}

/* ---- scans of accessed flags ---- */

static void scan_page(struct vms *v, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing != NW_BACKING_FRAME || host_is_own(v, page) || !(p->flags & NW_PAGE_ACCESSED))
        return;
    host_hit(v, host_vm_of(v, page), &v->h->frame[p->place]);
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
