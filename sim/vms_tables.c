/* vms_tables.c - host.fidelity=walk: the second-stage tables, those of an assigned device and the guests' own, word by word. They follow the account of mmu/host_memory.h, and at the end
 * all of them are compared with it.
 *
 * A work is an address space with tables of four levels in pages of the guest's own memory, which the host takes as it takes others. The words of such a table are kept by guest-physical
 * address, so that they need not be moved when the page is.
 *
 * MODEL: the frames of a 2 MiB page that the host backs as a whole are numbered behind all others, in one piece: contiguity is taken for granted, as in
 * host_memory.h. Once split, what is left of it stays where it is, until khugepaged puts it together again. */
#include "vms_tables.h"
#include <inttypes.h>
#include <nestwalk/mmu/format_vtd.h>
#include <string.h>

enum { HOST_ADDRESS_BITS = 52, RESERVE = 4 };

/* ---- the second stage ---- */

static enum nw_status clear_table(struct nw_physmem *pm, uint64_t address, struct nw_error *err)
{
    uint64_t *word;
    enum nw_status s = nw_physmem_make(pm, nw_hpa(address), &word, err);
    if (!s)
        memset(word, 0, NW_PAGE_BYTES);
    return s;
}

static enum nw_status take_ept_frame(void *context, uint64_t *address, struct nw_error *err)
{
    struct tables *s = context;
    if (!s->frames.count)
        return nw_fail(err, NW_ERR_INTERNAL, "%s: its second stage needs more tables than were counted", s->vm->name);
    *address = (uint64_t)s->frames.item[--s->frames.count] << NW_PAGE_LOG2;
    return clear_table(s->v->words, *address, err);
}

static void give_ept_frame(void *context, uint64_t address)
{
    struct tables *s = context;
    vms_fail(s->v, stack_push(&s->frames, (uint32_t)(address >> NW_PAGE_LOG2), s->v->err));
}

static enum nw_status begin_ept(struct tables *s)
{
    const struct nw_builder_memory memory = { .allocate = take_ept_frame, .release = give_ept_frame, .context = s };
    const struct nw_ept_registers r = { .eptp = UINT64_C(6) | 3 << 3 | NW_BIT(6), /* write-back, four levels, A/D */
                                        .maxphyaddr = HOST_ADDRESS_BITS };
    struct nw_paging paging;
    enum nw_status st = nw_paging_init_ept(&paging, &r, s->v->err);
    paging.root = NW_ROOT_NEW;
    if (!st)
        st = nw_builder_init(&s->ept, s->v->words, &paging, &memory, s->v->err);
    s->ept.free_empty_tables = true;
    s->ept_made = !st;
    return st;
}

void walk_table_given(struct vms *v, unsigned guest, uint32_t frame)
{
    struct tables *s = guest < v->vms ? v->vm[guest].tables : NULL;
    if (s)
        vms_fail(v, stack_push(&s->frames, frame, v->err));
}

static uint64_t gpa_of(const struct vms *v, uint32_t page) { return nw_hostmem_gpn_of(v->h, page) << NW_PAGE_LOG2; }

void walk_remapped(struct vms *v, uint32_t page)
{
    const unsigned guest = nw_hostmem_guest_of(v->h, page);
    struct tables *s = guest < v->vms ? v->vm[guest].tables : NULL;
    if (!s || s->populating || v->failed)
        return;
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    const uint64_t gpa = gpa_of(v, page);
    struct nw_leaf leaf;
    enum nw_status st = s->ept_made ? NW_OK : begin_ept(s);
    uint8_t *large = &s->large[gpa >> (NW_PAGE_LOG2 + NW_HOSTMEM_GROUP_LOG2)];
    if (!st && *large) {
        *large = 0;
        s->vm->counters.large_split++;
        s->stale = true;
        st = nw_builder_split(&s->ept, gpa, v->err);
    }
    if (!st)
        st = nw_builder_lookup(&s->ept, gpa, &leaf, v->err);
    if (!st && leaf.present) {
        s->stale = true;
        st = nw_builder_unmap(&s->ept, gpa, v->err);
    }
    if (!st && p->backing == NW_BACKING_FRAME) {
        const bool shared = v->h->frame[p->place].kind == NW_FRAME_SHARED;
        st = nw_builder_map(&s->ept, gpa, (uint64_t)p->place << NW_PAGE_LOG2, NW_PAGE_LOG2,
                            shared ? NW_MAP_ALL & ~(unsigned)NW_MAP_WRITE : NW_MAP_ALL, v->err);
    }
    if (st)
        vms_fail(v, st);
}

void walk_populate(struct vm *vm, bool begin, uint32_t first)
{
    struct tables *s = vm->tables;
    if (!s)
        return;
    s->populating = begin;
    if (begin)
        return;
    const uint64_t gpa = gpa_of(s->v, first);
    enum nw_status st = s->ept_made ? NW_OK : begin_ept(s);
    if (!st)
        st = nw_builder_map(&s->ept, gpa, LARGE_BASE + ((uint64_t)first << NW_PAGE_LOG2),
                            NW_PAGE_LOG2 + NW_HOSTMEM_GROUP_LOG2, NW_MAP_ALL, s->v->err);
    if (st)
        vms_fail(s->v, st);
    else
        s->large[gpa >> (NW_PAGE_LOG2 + NW_HOSTMEM_GROUP_LOG2)] = 1;
}

bool walk_is_large(const struct vms *v, const struct vm *vm, uint32_t first)
{
    return vm->tables ? vm->tables->large[gpa_of(v, first) >> (NW_PAGE_LOG2 + NW_HOSTMEM_GROUP_LOG2)]
                      : v->h->owner[first >> NW_HOSTMEM_GROUP_LOG2].own == LEAF_PAGES;
}

void walk_collapse(struct vms *v, struct vm *vm, uint32_t first)
{
    struct tables *s = vm->tables;
    enum nw_status st = NW_OK;
    if (!s)
        return;
    for (uint32_t i = first; i < first + LEAF_PAGES && !st; i++)
        st = nw_builder_unmap(&s->ept, gpa_of(v, i), v->err);
    if (st)
        vms_fail(v, st);
    else
        walk_populate(vm, false, first);
    s->stale = true;
}

/* ---- an assigned device ---- */

static enum nw_status take_iommu_frame(void *context, uint64_t *address, struct nw_error *err)
{
    struct tables *s = context;
    if (!s->v->h->kind[NW_FRAME_FREE])
        return nw_fail(err, NW_ERR_INPUT, "the host has no frame for the IOMMU's tables of %s", s->vm->name);
    *address = (uint64_t)nw_hostmem_table_take(s->v->h) << NW_PAGE_LOG2;
    return clear_table(s->v->words, *address, err);
}

void walk_pinned(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t)
{
    struct tables *s = vm->tables;
    struct nw_leaf leaf;
    enum nw_status st = NW_OK;
    if (!s)
        return;
    host_ensure(v, NW_LEVELS_MAX, t);
    if (v->failed || vm->done)
        return;
    if (!s->iommu_made) {
        const struct nw_builder_memory memory = { .allocate = take_iommu_frame, .context = s };
        const struct nw_vtd_second_stage r = { .levels = 4, .haw = HOST_ADDRESS_BITS };
        struct nw_paging paging;
        st = nw_paging_init_vtd_second(&paging, &r, v->err);
        paging.root = NW_ROOT_NEW;
        if (!st)
            st = nw_builder_init(&s->iommu, v->words, &paging, &memory, v->err);
        s->iommu_made = !st;
    }
    if (!st)
        st = nw_builder_lookup(&s->ept, gpa_of(v, page), &leaf, v->err);
    if (!st)
        st = nw_builder_map(&s->iommu, gpa_of(v, page), leaf.target, NW_PAGE_LOG2, NW_MAP_RW, v->err);
    vm->counters.iommu_mapped += !st;
    if (st)
        vms_fail(v, st);
}

void walk_unpinned(struct vms *v, struct vm *vm, uint32_t page)
{
    struct tables *s = vm->tables;
    if (!s || !s->iommu_made)
        return;
    enum nw_status st = nw_builder_unmap(&s->iommu, gpa_of(v, page), v->err);
    vm->counters.iommu_unmapped += !st;
    if (st)
        vms_fail(v, st);
}

/* ---- the guest's own tables ---- */

static enum nw_status take_guest_page(void *context, uint64_t *address, struct nw_error *err)
{
    struct tables *s = context;
    if (!s->pages.count)
        return nw_fail(err, NW_ERR_INTERNAL, "%s: a mapping needs more tables than were set aside", s->vm->name);
    *address = gpa_of(s->v, s->pages.item[--s->pages.count]);
    return clear_table(s->words, *address, err);
}

static void table_written(void *context, uint64_t address, hpa_t hpa, uint64_t old, uint64_t word)
{
    struct tables *s = context;
    const uint64_t table = address & ~(uint64_t)(NW_PAGE_BYTES - 1);
    (void)hpa, (void)old, (void)word;
    for (unsigned i = 0; i < s->writes; i++)
        if (s->written[i] == table)
            return;
    if (s->writes < NW_ARRAY_LEN(s->written))
        s->written[s->writes++] = table;
}

/* The guest's processor has stored to them: their pages have to be there, and their contents are new. */
static void store_to_tables(struct tables *s, uint64_t *t)
{
    struct vms *v = s->v;
    for (unsigned i = 0; i < s->writes && !v->failed && !is_gone(s->vm); i++)
        guest_store_to_table(v, s->vm, guest_page(v, s->vm, s->written[i] >> NW_PAGE_LOG2), t);
    s->writes = 0;
}

bool walk_reserve(struct vms *v, struct vm *vm, uint64_t *t)
{
    struct tables *s = vm->tables;
    while (s->pages.count < RESERVE) {
        const uint32_t page = guest_new_table(v, vm, t);
        if (page == NW_NONE32)
            return false;
        vms_fail(v, stack_push(&s->pages, page, v->err));
        if (v->failed)
            return false;
    }
    return true;
}

static enum nw_status space_of(struct tables *s, size_t work, struct nw_builder **out)
{
    struct nw_builder *b = &s->space[work];
    enum nw_status st = NW_OK;
    if (!b->paging.format) {
        const struct nw_builder_memory memory = { .allocate = take_guest_page, .written = table_written, .context = s };
        struct nw_guest_registers r = nw_guest_registers_long(4, 0);
        struct nw_paging paging;
        st = nw_paging_init_guest(&paging, &r, s->v->err);
        paging.root = NW_ROOT_NEW;
        if (!st)
            st = nw_builder_init(b, s->words, &paging, &memory, s->v->err);
    }
    *out = b;
    return st;
}

void walk_map(struct vms *v, struct vm *vm, size_t work, uint64_t vpn, uint32_t page, uint64_t *t)
{
    struct nw_builder *b;
    if (!vm->tables || v->failed || is_gone(vm))
        return;
    enum nw_status st = space_of(vm->tables, work, &b);
    if (!st)
        st = nw_builder_map(b, vpn << NW_PAGE_LOG2, gpa_of(v, page), NW_PAGE_LOG2, NW_MAP_RW | NW_MAP_USER, v->err);
    if (st)
        vms_fail(v, st);
    store_to_tables(vm->tables, t);
}

void walk_unmap(struct vms *v, struct vm *vm, size_t work, uint64_t vpn, uint64_t *t)
{
    if (!vm->tables || v->failed || is_gone(vm)) /* whose works are done still gives pages to the balloon */
        return;
    enum nw_status st = nw_builder_unmap(&vm->tables->space[work], vpn << NW_PAGE_LOG2, v->err);
    if (st)
        vms_fail(v, st);
    walk_forget_page(vm->tables, vpn << NW_PAGE_LOG2, work);
    store_to_tables(vm->tables, t);
}

/* ---- proof ---- */

static enum nw_status check_second_stage(const struct vms *v, const struct vm *vm, uint32_t page)
{
    const struct tables *s = vm->tables;
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    const bool backed = p->backing == NW_BACKING_FRAME;
    const enum nw_frame_kind kind = backed ? (enum nw_frame_kind)v->h->frame[p->place].kind : NW_FRAME_FREE;
    struct nw_leaf leaf, dma = { 0 };
    enum nw_status st = nw_builder_lookup(&s->ept, gpa_of(v, page), &leaf, v->err);
    if (!st && s->iommu_made)
        st = nw_builder_lookup(&s->iommu, gpa_of(v, page), &dma, v->err);
    if (st)
        return st;
    const bool writable = leaf.present && nw_leaf_attributes(&s->ept.paging, leaf.entry) & NW_MAP_WRITE;
    if (leaf.present != backed || (backed && !tables_agree(v, page, leaf.target)) ||
        (backed && writable != (kind != NW_FRAME_SHARED)))
        return nw_fail(v->err, NW_ERR_INTERNAL,
                       "%s, page %" PRIu64 ": the second stage and the account of frames differ", vm->name,
                       nw_hostmem_gpn_of(v->h, page));
    if (dma.present != (kind == NW_FRAME_PINNED) || (dma.present && dma.target != leaf.target))
        return nw_fail(v->err, NW_ERR_INTERNAL, "%s, page %" PRIu64 ": the device's tables and the second stage differ",
                       vm->name, nw_hostmem_gpn_of(v->h, page));
    return NW_OK;
}

static enum nw_status check_space(const struct vms *v, const struct vm *vm, const struct leaf *leaf)
{
    const struct tables *s = vm->tables;
    const struct nw_builder *b = &s->space[leaf_work(leaf)];
    for (unsigned i = 0; i < LEAF_PAGES && b->paging.format; i++) {
        const uint64_t gva = (leaf_vpn(leaf) | i) << NW_PAGE_LOG2;
        const bool held = !(leaf->slot[i] & VSLOT_NOT_A_PAGE);
        struct nw_leaf found;
        enum nw_status st = nw_builder_lookup(b, gva, &found, v->err);
        if (st)
            return st;
        if (found.present != held || (held && found.target != gpa_of(v, leaf->slot[i])))
            return nw_fail(v->err, NW_ERR_INTERNAL,
                           "%s, address 0x%" PRIx64 ": the guest's tables and its kernel differ", vm->name, gva);
    }
    return NW_OK;
}

enum nw_status walk_check(const struct vms *v)
{
    enum nw_status st = NW_OK;
    for (unsigned i = 0; i < v->vms && !st; i++) {
        const struct vm *vm = &v->vm[i];
        for (uint64_t gpn = 0; vm->tables && vm->tables->ept_made && gpn < vm->fresh_gpn && !st; gpn++)
            st = check_second_stage(v, vm, guest_page(v, vm, gpn));
        for (size_t n = 0; vm->tables && n < vm->leaves && !vm->killed && !st; n++)
            st = check_space(v, vm, vm->leaf[n]);
    }
    return st;
}
