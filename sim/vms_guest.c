/* vms_guest.c - a guest's kernel: virtual pages, its free pages, its own reclaim, its page cache and swap area. */
#include "vms_walk.h"
#include <stdlib.h>
#include <string.h>

enum nw_status stack_push(struct stack *s, uint32_t item, struct nw_error *err)
{
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 256;
        uint32_t *more = reallocarray(s->item, capacity, sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "a list of pages");
        s->item = more;
        s->capacity = capacity;
    }
    s->item[s->count++] = item;
    return NW_OK;
}

/* ---- contents ---- bit 63: nobody else has it, with the guest, the page's compressed size (0: not known) and a count behind; bit 62: of an image; bit 61
 * alone: a trace's, with the compressed size (0: not known) and 48 bits of the hash behind; 0: zeros */
enum { UNIQUE_VM_BIT = 54, UNIQUE_PACKED_BIT = 41, TRACED_PACKED_BIT = 48, PACKED_BITS = 13 };
_Static_assert(NW_VMS_GUESTS_MAX <= 1 << (63 - UNIQUE_VM_BIT), "guests have a place in contents");

static uint64_t of_image(uint64_t image, uint64_t what)
{
    return (nw_mix64(image + nw_mix64(what)) & ~NW_BIT(63)) | NW_BIT(62);
}

uint64_t guest_content_of_trace(uint64_t hash, uint64_t packed_bytes)
{
    return hash == nw_page_hash_of_zeros()
               ? 0
               : NW_BIT(61) | packed_bytes << TRACED_PACKED_BIT | (hash & (NW_BIT(TRACED_PACKED_BIT) - 1));
}

uint64_t guest_content_packed_bytes(uint64_t content)
{
    const uint64_t kind = content >> 61;
    return kind >= 4   ? content >> UNIQUE_PACKED_BIT & (NW_BIT(PACKED_BITS) - 1)
           : kind == 1 ? content >> TRACED_PACKED_BIT & (NW_BIT(PACKED_BITS) - 1)
                       : 0;
}

/* MODEL: what is stored compresses as what was there before, as far as a trace said how that does. */
static uint64_t unique(struct vm *vm, uint64_t before)
{
    return NW_BIT(63) | (uint64_t)vm->index << UNIQUE_VM_BIT | guest_content_packed_bytes(before) << UNIQUE_PACKED_BIT |
           (++vm->versions & (NW_BIT(UNIQUE_PACKED_BIT) - 1));
}

uint64_t guest_new_content(struct vm *vm, uint64_t vpn, uint64_t content)
{
    const struct nw_vms_guest *g = vm->config;
    if (g->zero > 0 || g->common > 0) {
        const double draw = (double)(nw_mix64(vm->image ^ nw_mix64(vpn)) >> 11) * 0x1p-53;
        if (draw < g->zero)
            return 0;
        if (!content && draw < g->zero + g->common)
            return of_image(vm->image, vpn);
    }
    return unique(vm, content);
}

/* ---- virtual pages ---- */

static bool make_hash(struct vm *vm)
{
    const size_t slots = 2 * (vm->hash_mask + 1);
    uint32_t *hash = malloc(slots * sizeof *hash);
    if (!hash)
        return false;
    memset(hash, 0xff, slots * sizeof *hash);
    for (size_t i = 0; i < vm->leaves; i++) {
        size_t at = nw_mix64(vm->leaf[i]->key) & (slots - 1);
        while (hash[at] != NW_NONE32)
            at = (at + 1) & (slots - 1);
        hash[at] = (uint32_t)i;
    }
    free(vm->leaf_hash);
    vm->leaf_hash = hash;
    vm->hash_mask = slots - 1;
    return true;
}

static struct leaf *new_leaf(struct vm *vm, uint64_t key)
{
    if (vm->leaves == vm->leaf_capacity) {
        const size_t capacity = vm->leaf_capacity ? 2 * vm->leaf_capacity : 64;
        struct leaf **more = reallocarray(vm->leaf, capacity, sizeof(*more));
        if (!more)
            return NULL;
        vm->leaf = more;
        vm->leaf_capacity = capacity;
    }
    if (vm->leaves * 2 >= vm->hash_mask && !make_hash(vm))
        return NULL;
    struct leaf *leaf = malloc(sizeof *leaf);
    if (!leaf)
        return NULL;
    leaf->key = key;
    leaf->file = vm->work < vm->config->works && vm->config->work[memory_space(vm)].file;
    leaf->written = NULL;
    memset(leaf->slot, 0xff, sizeof leaf->slot);
    size_t at = nw_mix64(key) & vm->hash_mask;
    while (vm->leaf_hash[at] != NW_NONE32)
        at = (at + 1) & vm->hash_mask;
    vm->leaf_hash[at] = (uint32_t)vm->leaves;
    vm->leaf[vm->leaves++] = leaf;
    return leaf;
}

uint32_t *guest_slot(struct vms *v, struct vm *vm, uint64_t vpn, uint32_t *owner)
{
    const uint64_t key = vpn >> LEAF_LOG2 | (uint64_t)memory_space(vm) << WORK_SHIFT;
    const size_t recent = (key ^ key >> 9) % RECENT_LEAVES;
    uint32_t number = vm->recent[recent].leaf;
    if (NW_UNLIKELY(number == NW_NONE32 || vm->recent[recent].key != key)) {
        size_t at = nw_mix64(key) & vm->hash_mask;
        while ((number = vm->leaf_hash[at]) != NW_NONE32 && vm->leaf[number]->key != key)
            at = (at + 1) & vm->hash_mask;
        if (number == NW_NONE32) {
            if (vm->leaves >= NW_BIT(31 - LEAF_LOG2) || !new_leaf(vm, key)) {
                vms_fail(v, nw_fail_nomem(v->err, "a guest's virtual pages"));
                return NULL;
            }
            number = (uint32_t)vm->leaves - 1;
        }
        vm->recent[recent].key = key;
        vm->recent[recent].leaf = number;
    }
    *owner = number << LEAF_LOG2 | (uint32_t)(vpn & (LEAF_PAGES - 1));
    return &vm->leaf[number]->slot[vpn & (LEAF_PAGES - 1)];
}

static struct leaf *leaf_of(const struct vm *vm, uint32_t owner) { return vm->leaf[owner >> LEAF_LOG2]; }

bool guest_is_file(const struct vm *vm, uint32_t owner) { return leaf_of(vm, owner)->file; }

uint64_t guest_block_content(const struct vm *vm, uint32_t owner)
{
    const struct leaf *leaf = leaf_of(vm, owner);
    const uint32_t i = owner & (LEAF_PAGES - 1);
    if (leaf->written && leaf->written[i])
        return leaf->written[i];
    return of_image(vm->image, (leaf->key << LEAF_LOG2 | i) ^ NW_BIT(60));
}

/* The guests' disks one behind the other, each with its files first and its swap area behind them. */
uint64_t guest_block_position(const struct vm *vm, uint32_t owner) { return (uint64_t)(vm->index + 1) << 40 | owner; }

static uint64_t swap_position(const struct vm *vm, uint32_t block)
{
    return (uint64_t)(vm->index + 1) << 40 | UINT64_C(1) << 39 | block;
}

/* ---- pages of the guest's memory ---- */

uint32_t guest_page(const struct vms *v, const struct vm *vm, uint64_t gpn)
{
    return v->h->guest[vm->index].group[gpn >> NW_HOSTMEM_GROUP_LOG2] +
           (uint32_t)(gpn & (NW_BIT(NW_HOSTMEM_GROUP_LOG2) - 1));
}

/* A page that was never used, whose tables may have to be made. */
static uint32_t fresh_page(struct vms *v, struct vm *vm, uint64_t *t)
{
    uint32_t page;
    host_ensure(v, nw_hostmem_tables_needed(v->h, vm->index, vm->fresh_gpn) + 1, t);
    enum nw_status s = v->failed ? v->failed : nw_hostmem_page(v->h, vm->index, vm->fresh_gpn, &page, v->err);
    if (s) {
        vms_fail(v, s);
        return NW_NONE32;
    }
    vm->fresh_gpn++;
    return page;
}

uint32_t guest_coldest(struct vms *v, struct vm *vm, bool resident)
{
    /* Free pages first: nothing has to be kept of them. */
    for (size_t i = 0; resident && i < vm->free.count && i < 64; i++) {
        const uint32_t page = vm->free.item[vm->free.count - 1 - i];
        const struct nw_page *p = nw_hostmem_at(v->h, page);
        if (p->flags & NW_PAGE_FREE && p->backing == NW_BACKING_FRAME)
            return page;
    }
    for (uint64_t n = 0; n < 2 * vm->fresh_gpn; n++) {
        if (vm->hand_gpn >= vm->fresh_gpn)
            vm->hand_gpn = 0;
        const uint32_t page = guest_page(v, vm, vm->hand_gpn++);
        struct nw_page *p = nw_hostmem_at(v->h, page);
        if (p->owner == NW_NONE32 || p->flags & (NW_PAGE_FREE | NW_PAGE_BALLOON))
            continue;
        if (resident && (p->backing != NW_BACKING_FRAME || v->h->frame[p->place].kind == NW_FRAME_PINNED))
            continue;
        if (p->flags & NW_PAGE_GUEST_ACCESSED) {
            p->flags &= (uint8_t)~NW_PAGE_GUEST_ACCESSED;
            continue;
        }
        return page;
    }
    return NW_NONE32;
}

/* ---- the guest's swap area ---- what was never used comes before what was given back, so that what is written together lies together */

static bool take_swap_block(struct vms *v, struct vm *vm, uint32_t owner, uint32_t *block)
{
    if (!vm->swap_content) {
        vm->swap_content = calloc(vm->swap_blocks + 1, sizeof *vm->swap_content);
        vm->swap_owner = malloc((vm->swap_blocks + 1) * sizeof *vm->swap_owner);
        if (!vm->swap_content || !vm->swap_owner) {
            vms_fail(v, nw_fail_nomem(v->err, "a guest's swap area"));
            return false;
        }
    }
    if (vm->swap_fresh < vm->swap_blocks)
        *block = (uint32_t)vm->swap_fresh++;
    else if (vm->swap_free.count)
        *block = vm->swap_free.item[--vm->swap_free.count];
    else
        return false;
    vm->swap_owner[*block] = owner;
    return true;
}

static void give_swap_block(struct vms *v, struct vm *vm, uint32_t block)
{
    vm->swap_owner[block] = NW_NONE32;
    vms_fail(v, stack_push(&vm->swap_free, block, v->err));
}

static void write_swap(struct vms *v, struct vm *vm, uint64_t *t)
{
    if (vm->write_count)
        host_disk_request(v, vm, true, swap_position(vm, vm->write_first), vm->write_count, t);
    vm->write_count = 0;
}

/* Neighbours are one request, of as many pages as Linux takes at a time (SWAP_CLUSTER_MAX) at the most. */
static void queue_swap_write(struct vms *v, struct vm *vm, uint32_t block, uint64_t *t)
{
    if (vm->write_count && block != vm->write_first + vm->write_count)
        write_swap(v, vm, t);
    if (!vm->write_count++)
        vm->write_first = block;
    if (vm->write_count == RECLAIM_BATCH)
        write_swap(v, vm, t);
}

void guest_used_ahead(struct vm *vm, struct nw_page *p)
{
    p->guest_ahead = 0;
    vm->ahead_used++;
    vm->counters.guest_read_ahead_used++;
}

/* How many blocks to read with this one: Linux, mm/swap_state.c, swapin_nr_pages(): more when those before were of use or it is the next one, and not suddenly few. */
static uint32_t swap_window(struct vm *vm, uint32_t block)
{
    const uint32_t most = (uint32_t)vm->config->swap_read_ahead;
    uint32_t pages = 4;
    if (vm->ahead_used)
        while (pages < vm->ahead_used + 2)
            pages *= 2;
    else
        pages = block == vm->last_block + 1 || block + 1 == vm->last_block ? 2 : 1;
    pages = pages > vm->ahead_last / 2 ? pages : vm->ahead_last / 2;
    pages = pages < most ? pages : most;
    vm->ahead_used = 0;
    vm->ahead_last = pages;
    vm->last_block = block;
    return pages;
}

/* The guest's disk reads the page: the host has to have it. Unless the host is informed and moves what it has swapped itself. */
static uint64_t read_for_device(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing == NW_BACKING_SLOT) {
        if (v->informed) {
            vm->counters.double_paging_avoided++;
            return v->h->slot[p->place].content;
        }
        vm->counters.double_paging++;
    }
    for (unsigned tries = 0; tries < 3 && p->backing != NW_BACKING_FRAME && !v->failed; tries++)
        host_fault(v, vm, page, t);
    return p->backing == NW_BACKING_FRAME ? v->h->frame[p->place].content : p->content;
}

static bool write_back(struct vms *v, struct vm *vm, uint32_t page, uint32_t owner, uint64_t *t)
{
    struct leaf *leaf = leaf_of(vm, owner);
    if (!leaf->written && !(leaf->written = calloc(LEAF_PAGES, sizeof *leaf->written))) {
        vms_fail(v, nw_fail_nomem(v->err, "a guest's disk"));
        return false;
    }
    leaf->written[owner & (LEAF_PAGES - 1)] = read_for_device(v, vm, page, t);
    host_disk_request(v, vm, true, guest_block_position(vm, owner), 1, t);
    vm->counters.file_written++;
    return true;
}

static void unmap(struct vms *v, struct vm *vm, uint32_t owner, uint64_t *t)
{
    if (NW_UNLIKELY(vm->tables != NULL))
        walk_unmap(v, vm, leaf_work(leaf_of(vm, owner)), leaf_vpn(leaf_of(vm, owner)) | (owner & (LEAF_PAGES - 1)), t);
}

/* The guest's own reclaim: a page of its memory that nothing lives in any more. NW_NONE32: nothing can be taken. */
static uint32_t reclaim(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint32_t page = guest_coldest(v, vm, false);
    if (page == NW_NONE32)
        return NW_NONE32;
    struct nw_page *p = nw_hostmem_at(v->h, page);
    const uint32_t owner = p->owner;
    uint32_t *slot = &leaf_of(vm, owner)->slot[owner & (LEAF_PAGES - 1)], block;
    if (p->flags & NW_PAGE_FILE) {
        if (p->content != guest_block_content(vm, owner) && !write_back(v, vm, page, owner, t))
            return NW_NONE32;
        vm->counters.file_dropped++;
        *slot = VSLOT_NONE;
    } else {
        if (!take_swap_block(v, vm, owner, &block))
            return NW_NONE32;
        vm->swap_content[block] = read_for_device(v, vm, page, t);
        vm->counters.lost += vm->swap_content[block] != p->content;
        queue_swap_write(v, vm, block, t);
        vm->counters.guest_swapped_out++;
        *slot = VSLOT_NOT_A_PAGE | block;
    }
    unmap(v, vm, owner, t);
    p->owner = NW_NONE32;
    p->flags &= (uint8_t) ~(NW_PAGE_FILE | NW_PAGE_GUEST_ACCESSED);
    return page;
}

uint32_t guest_alloc(struct vms *v, struct vm *vm, uint64_t *t)
{
    while (vm->free.count) {
        const uint32_t page = vm->free.item[--vm->free.count];
        struct nw_page *p = nw_hostmem_at(v->h, page);
        if (!(p->flags & NW_PAGE_FREE)) {
            vm->free_stale--;
            continue;
        }
        p->flags &= (uint8_t)~NW_PAGE_FREE;
        return page;
    }
    if (vm->fresh_gpn < vm->pages)
        return fresh_page(v, vm, t);
    return reclaim(v, vm, t);
}

void guest_free(struct vms *v, struct vm *vm, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    p->owner = NW_NONE32;
    p->flags = (uint8_t)((p->flags & ~(NW_PAGE_FILE | NW_PAGE_GUEST_ACCESSED | NW_PAGE_BALLOON)) | NW_PAGE_FREE);
    enum nw_status s = stack_push(&vm->free, page, v->err);
    if (s)
        vms_fail(v, s);
}

/* Entries that are stale, or name a page a second time. A page's flag is away while it has been seen. */
static void tidy_free(struct vms *v, struct vm *vm)
{
    size_t kept = 0;
    for (size_t i = 0; i < vm->free.count; i++) {
        struct nw_page *p = nw_hostmem_at(v->h, vm->free.item[i]);
        if (p->flags & NW_PAGE_FREE)
            vm->free.item[kept++] = vm->free.item[i];
        p->flags &= (uint8_t)~NW_PAGE_FREE;
    }
    for (size_t i = 0; i < kept; i++)
        nw_hostmem_at(v->h, vm->free.item[i])->flags |= NW_PAGE_FREE;
    vm->free.count = kept;
    vm->free_stale = 0;
}

static bool is_free_group(const struct vms *v, const struct vm *vm, uint64_t first)
{
    for (uint64_t gpn = first; gpn < first + LEAF_PAGES; gpn++)
        if (!(nw_hostmem_at(v->h, guest_page(v, vm, gpn))->flags & NW_PAGE_FREE))
            return false;
    return true;
}

uint64_t guest_alloc_group(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint64_t groups = vm->fresh_gpn >> LEAF_LOG2;
    for (uint64_t n = 0; n < groups && guest_free_pages(vm) >= LEAF_PAGES; n++) {
        const uint64_t first = (vm->group_hand++ % groups) << LEAF_LOG2;
        if (!is_free_group(v, vm, first))
            continue;
        for (uint64_t gpn = first; gpn < first + LEAF_PAGES; gpn++)
            nw_hostmem_at(v->h, guest_page(v, vm, gpn))->flags &= (uint8_t)~NW_PAGE_FREE;
        vm->free_stale += LEAF_PAGES;
        if (vm->free_stale > vm->free.count / 2)
            tidy_free(v, vm);
        return first;
    }
    const uint64_t first = nw_align_up(vm->fresh_gpn, LEAF_PAGES);
    if (first + LEAF_PAGES > vm->pages)
        return UINT64_MAX;
    while (vm->fresh_gpn < first + LEAF_PAGES) {
        const uint32_t page = fresh_page(v, vm, t);
        if (page == NW_NONE32)
            return UINT64_MAX;
        if (vm->fresh_gpn <= first)
            guest_free(v, vm, page);
    }
    return first;
}

/* The balloon, if it may; then the guest's own killer. */
static uint32_t out_of_memory(struct vms *v, struct vm *vm, uint64_t *t)
{
    if (v->config->balloon.deflate_on_oom && vm->balloon.count) {
        vm->counters.oom_deflated += balloon_give_back(v, vm, v->config->balloon.batch_pages);
        return guest_alloc(v, vm, t);
    }
    host_kill(v, vm, *t, NW_VMS_OUT_OF_MEMORY, "the guest is out of memory and swap space");
    return NW_NONE32;
}

static uint32_t alloc_or_die(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint32_t page = guest_alloc(v, vm, t);
    return page != NW_NONE32 || v->failed || vm->done ? page : out_of_memory(v, vm, t);
}

/* ---- faults of the guest ---- */

uint32_t guest_new_table(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint32_t page = alloc_or_die(v, vm, t);
    if (page == NW_NONE32 || v->failed || vm->done)
        return NW_NONE32;
    host_overwrite(v, vm, page, unique(vm, 0), false, t);
    return v->failed || vm->done ? NW_NONE32 : page;
}

void guest_store_to_table(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    host_make_writable(v, vm, page, t);
    if (!v->failed && nw_hostmem_at(v->h, page)->backing == NW_BACKING_FRAME)
        nw_hostmem_store(v->h, page, unique(vm, 0));
}

/* The page is the virtual page's. `flags`: of a file, accessed, read ahead. */
static void hold(struct vms *v, struct vm *vm, uint32_t page, uint32_t owner, unsigned flags, uint64_t *t)
{
    struct nw_page *p = nw_hostmem_at(v->h, page);
    p->owner = owner;
    p->flags = (uint8_t)((p->flags & ~(unsigned)(NW_PAGE_FREE | NW_PAGE_FILE)) | flags);
    p->guest_ahead = flags & NW_PAGE_READ_AHEAD ? 1 : 0;
    leaf_of(vm, owner)->slot[owner & (LEAF_PAGES - 1)] = page;
    monitor_forget(vm, owner);
    if (NW_UNLIKELY(vm->tables != NULL))
        walk_map(v, vm, leaf_work(leaf_of(vm, owner)), leaf_vpn(leaf_of(vm, owner)) | (owner & (LEAF_PAGES - 1)), page,
                 t);
}

/* A block of a file, and when the guest reads in sequence some behind it. */
static uint32_t read_file(struct vms *v, struct vm *vm, uint32_t owner, uint64_t *t)
{
    const bool sequence = owner == vm->last_file + 1;
    const struct leaf *leaf = leaf_of(vm, owner);
    const uint32_t first = owner & (LEAF_PAGES - 1);
    uint32_t result = NW_NONE32, pages = 0;
    for (uint32_t i = first; i < LEAF_PAGES && pages < (sequence ? vm->config->read_ahead : 1); i++, pages++) {
        if (leaf->slot[i] != VSLOT_NONE)
            break;
        const uint32_t at = (owner & ~(uint32_t)(LEAF_PAGES - 1)) | i;
        const uint32_t page = pages ? guest_alloc(v, vm, t) : alloc_or_die(v, vm, t);
        if (page == NW_NONE32 || v->failed || vm->done)
            break;
        host_overwrite(v, vm, page, guest_block_content(vm, at), true, t);
        if (v->failed || vm->done)
            return NW_NONE32;
        hold(v, vm, page, at, NW_PAGE_FILE | NW_PAGE_GUEST_ACCESSED, t);
        const struct nw_page *p = nw_hostmem_at(v->h, page);
        if (v->config->swap.mapper && p->backing == NW_BACKING_FRAME && v->h->frame[p->place].kind == NW_FRAME_GUEST)
            nw_hostmem_link_block(v->h, page, at);
        vm->last_file = at;
        if (!pages)
            result = page;
    }
    if (pages) {
        host_disk_request(v, vm, false, guest_block_position(vm, owner), pages, t);
        vm->counters.file_read += pages;
    }
    return result;
}

static void fill_from_swap(struct vms *v, struct vm *vm, uint32_t page, uint32_t block, uint64_t *t)
{
    host_overwrite(v, vm, page, vm->swap_content[block], true, t);
    give_swap_block(v, vm, block);
    vm->counters.guest_swapped_in++;
}

/* A block of the swap area into a page that nothing lives in yet, and with it others of the aligned group around it. */
static void read_swap(struct vms *v, struct vm *vm, uint32_t page, uint32_t block, uint64_t *t)
{
    const uint32_t window = swap_window(vm, block), group = block - block % window;
    uint32_t last = block, first = block;
    write_swap(v, vm, t);
    fill_from_swap(v, vm, page, block, t);
    for (uint32_t b = group; b < group + window && b < vm->swap_fresh && !v->failed && !vm->done; b++) {
        const uint32_t owner = vm->swap_owner[b];
        if (b == block || owner == NW_NONE32 ||
            leaf_of(vm, owner)->slot[owner & (LEAF_PAGES - 1)] != (VSLOT_NOT_A_PAGE | b))
            continue;
        const uint32_t other = guest_alloc(v, vm, t);
        if (other == NW_NONE32 || v->failed || vm->done)
            break;
        fill_from_swap(v, vm, other, b, t);
        if (!v->failed && !vm->done)
            hold(v, vm, other, owner, NW_PAGE_READ_AHEAD, t);
        vm->counters.guest_read_ahead++;
        first = b < first ? b : first;
        last = b > last ? b : last;
    }
    host_disk_request(v, vm, false, swap_position(vm, first), last - first + 1, t);
}

/* The page was there before the trace began. */
static void hold_content(struct vms *v, struct vm *vm, uint32_t page, uint32_t owner, uint64_t *t)
{
    const uint64_t content = contents_at_first_touch(vm, leaf_vpn(leaf_of(vm, owner)) | (owner & (LEAF_PAGES - 1)));
    if (!content || v->failed || vm->done)
        return;
    host_make_writable(v, vm, page, t);
    if (!v->failed && nw_hostmem_at(v->h, page)->backing == NW_BACKING_FRAME)
        nw_hostmem_store(v->h, page, content);
}

uint32_t guest_fault(struct vms *v, struct vm *vm, uint32_t owner, uint64_t *t)
{
    if (NW_UNLIKELY(vm->tables != NULL) && !walk_reserve(v, vm, t))
        return NW_NONE32;
    const uint32_t was = leaf_of(vm, owner)->slot[owner & (LEAF_PAGES - 1)];
    if (was == VSLOT_NONE && leaf_of(vm, owner)->file)
        return read_file(v, vm, owner, t);
    const uint32_t page = alloc_or_die(v, vm, t);
    if (page == NW_NONE32 || v->failed || vm->done)
        return NW_NONE32;
    if (was == VSLOT_NONE) {
        vm->counters.first_touches++;
        if (nw_hostmem_at(v->h, page)->backing == NW_BACKING_NONE)
            host_fault(v, vm, page, t); /* zeros are what it gets */
        else
            host_overwrite(v, vm, page, 0, false, t);
        if (NW_UNLIKELY(vm->contents != NULL))
            hold_content(v, vm, page, owner, t);
    } else {
        read_swap(v, vm, page, was & ~VSLOT_NOT_A_PAGE, t);
    }
    if (v->failed || vm->done)
        return NW_NONE32;
    hold(v, vm, page, owner, NW_PAGE_GUEST_ACCESSED, t);
    return page;
}

void guest_exit(struct vms *v, struct vm *vm, size_t work)
{
    for (size_t n = 0; n < vm->leaves; n++) {
        struct leaf *leaf = vm->leaf[n];
        if (leaf_work(leaf) != work)
            continue;
        for (unsigned i = 0; i < LEAF_PAGES; i++) {
            const uint32_t was = leaf->slot[i];
            if (was == VSLOT_NONE)
                continue;
            leaf->slot[i] = VSLOT_NONE;
            if (was & VSLOT_NOT_A_PAGE) {
                give_swap_block(v, vm, was & ~VSLOT_NOT_A_PAGE);
            } else {
                unmap(v, vm, nw_hostmem_at(v->h, was)->owner, &vm->now);
                guest_free(v, vm, was);
            }
        }
    }
}

/* ---- life ---- */

enum nw_status guest_begin(struct vms *v, struct vm *vm, struct nw_error *err)
{
    const struct nw_vms_guest *g = vm->config;
    const char *image = g->image[0] ? g->image : g->name;
    (void)v;
    vm->pages = g->memory >> NW_PAGE_LOG2;
    vm->kernel_pages = (uint64_t)(g->kernel * (double)vm->pages);
    vm->swap_blocks = g->swap >> NW_PAGE_LOG2;
    vm->image = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *image; image++)
        vm->image = (vm->image ^ (unsigned char)*image) * UINT64_C(0x100000001b3);
    vm->last_file = vm->last_swapped_owner = vm->last_slot = NW_NONE32 - 1;
    for (unsigned i = 0; i < RECENT_LEAVES; i++)
        vm->recent[i].leaf = NW_NONE32;
    vm->hash_mask = 63;
    return make_hash(vm) ? NW_OK : nw_fail_nomem(err, "a guest");
}

void guest_end(struct vm *vm)
{
    for (size_t i = 0; i < vm->leaves; i++) {
        free(vm->leaf[i]->written);
        free(vm->leaf[i]);
    }
    free(vm->leaf);
    free(vm->leaf_hash);
    free(vm->free.item);
    free(vm->balloon.item);
    free(vm->swap_free.item);
    free(vm->swap_content);
    free(vm->swap_owner);
}

void guest_boot(struct vms *v, struct vm *vm, uint64_t *t)
{
    const uint64_t pinned = vm->config->pinned >> NW_PAGE_LOG2;
    for (uint64_t i = 0; i < vm->kernel_pages + pinned && !v->failed && !vm->done; i++) {
        const uint32_t page = fresh_page(v, vm, t);
        if (page == NW_NONE32)
            return;
        host_overwrite(v, vm, page, of_image(vm->image, i ^ NW_BIT(61)), false, t);
        const struct nw_page *p = nw_hostmem_at(v->h, page);
        if (i >= vm->kernel_pages && p->backing == NW_BACKING_FRAME) {
            nw_hostmem_pin(v->h, page);
            walk_pinned(v, vm, page, t);
        }
    }
}
