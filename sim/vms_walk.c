/* vms_walk.c - host.fidelity=walk: the guests' page tables, the host's second-stage tables and those of an assigned device, word by word, and the TLBs
 * in front of them. They follow the account of mmu/host_memory.h; each access that is served compares where it ends with the page that the account says.
 *
 * A work is an address space with tables of four levels in pages of the guest's own memory, which the host takes as it takes others: a walk that meets one of them
 * gone is an EPT violation like any other. The words of such a table are kept by guest-physical address, so that they need not be moved when the page is.
 *
 * MODEL: the frames of a 2 MiB page that the host backs as a whole are numbered behind all others, in one piece: contiguity is taken for granted, as in
 * host_memory.h. Once split, what is left of it stays where it is, until khugepaged puts it together again. */
#include "vms_walk.h"
#include <inttypes.h>
#include <nestwalk/mmu/builder.h>
#include <nestwalk/mmu/format_vtd.h>
#include <nestwalk/mmu/tlb.h>
#include <nestwalk/mmu/walk_template.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BASE (UINT64_C(1) << 45) /* behind every frame: their numbers have 32 bits */
enum { HOST_ADDRESS_BITS = 52, PSC_LEVELS = 2, RESERVE = 4, VPID = 1, TRIES = 16 };

struct tables {
    struct vms *v;
    struct vm *vm;
    struct nw_physmem *words; /* of the guest's tables, by GPA */
    struct nw_builder *space; /* by work; format NULL: not made yet */
    struct nw_builder ept, iommu;
    bool ept_made, iommu_made, populating, stale;
    struct stack frames; /* of the second stage, accounted to it and not in use */
    struct stack pages;  /* of the guest's memory, for its next tables */
    uint8_t *large;      /* by group: mapped as one page */
    struct nw_tlb tlb, nested_tlb, psc[2][PSC_LEVELS];
    uint64_t written[2 * NW_LEVELS_MAX]; /* GPAs of tables that an operation has changed */
    unsigned writes;
    uint64_t references;
};

/* The page whose memory is at this address; NW_NONE32: a table. Of a shared frame, the page that stands for it. */
static uint32_t page_behind(const struct vms *v, uint64_t hpa)
{
    if (hpa >= LARGE_BASE)
        return (uint32_t)((hpa - LARGE_BASE) >> NW_PAGE_LOG2);
    const struct nw_frame *f = &v->h->frame[hpa >> NW_PAGE_LOG2];
    return f->kind == NW_FRAME_TABLE ? NW_NONE32 : f->user;
}

static bool agrees(const struct vms *v, uint32_t page, uint64_t hpa)
{
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing != NW_BACKING_FRAME)
        return false;
    return hpa >= LARGE_BASE ? page_behind(v, hpa) == page : p->place == hpa >> NW_PAGE_LOG2;
}

/* ---- hooks of the walk ---- */

static uint64_t *word_at(const struct tables *s, hpa_t hpa)
{
    const uint32_t page = page_behind(s->v, hpa.v);
    if (page == NW_NONE32)
        return nw_physmem_find(s->v->words, hpa);
    return nw_physmem_find(s->words,
                           nw_hpa(nw_hostmem_gpn_of(s->v->h, page) << NW_PAGE_LOG2 | (hpa.v & (NW_PAGE_BYTES - 1))));
}

static uint64_t hook_load(void *context, hpa_t hpa)
{
    const uint64_t *word = word_at(context, hpa);
    return word ? *word : 0;
}

static void hook_update(void *context, hpa_t hpa, uint64_t set)
{
    uint64_t *word = word_at(context, hpa);
    if (word)
        *word |= set;
}

static struct nw_tlb_tag tag_of(const struct tables *s, enum nw_dimension d)
{
    return d == NW_GUEST ? (struct nw_tlb_tag){ .vpid = VPID, .pcid = (uint16_t)(memory_space(s->vm) + 1) }
                         : (struct nw_tlb_tag){ 0 };
}

enum { START_TABLE, START_GPA, START_ALLOWED, START_FLAGS };
enum { START_KNOWN = 1, START_WRITABLE = 2 };

static void hook_start(void *context, enum nw_dimension d, uint64_t address, struct nw_walk_start *start)
{
    struct tables *s = context;
    const struct nw_tlb_tag tag = tag_of(s, d);
    for (unsigned i = 0; i < start->level && i < PSC_LEVELS; i++) {
        const struct nw_tlb_entry *hit = nw_tlb_lookup(&s->psc[d][i], address, &tag);
        if (!hit)
            continue;
        *start = (struct nw_walk_start){ .level = (uint8_t)i,
                                         .table_known = hit->payload[START_FLAGS] & START_KNOWN,
                                         .table_writable = hit->payload[START_FLAGS] & START_WRITABLE,
                                         .table = nw_hpa(hit->payload[START_TABLE]),
                                         .table_gpa = nw_gpa(hit->payload[START_GPA]),
                                         .allowed = hit->payload[START_ALLOWED] };
        return;
    }
}

static void hook_table(void *context, enum nw_dimension d, uint64_t address, const struct nw_walk_start *next)
{
    struct tables *s = context;
    if (next->level >= PSC_LEVELS)
        return;
    struct nw_tlb *psc = &s->psc[d][next->level];
    const unsigned log2 = psc->geometry.page_log2[0];
    const struct nw_tlb_entry entry = { .valid = true,
                                        .page_log2 = (uint8_t)log2,
                                        .page = address >> log2,
                                        .tag = tag_of(s, d),
                                        .payload = { [START_TABLE] = next->table.v,
                                                     [START_GPA] = next->table_gpa.v,
                                                     [START_ALLOWED] = next->allowed,
                                                     [START_FLAGS] =
                                                         (next->table_known ? (unsigned)START_KNOWN : 0) |
                                                         (next->table_writable ? (unsigned)START_WRITABLE : 0) } };
    nw_tlb_insert(psc, &entry, NULL);
}

static bool hook_nested_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                               struct nw_nested_translation *out)
{
    struct tables *s = context;
    const struct nw_tlb_entry *hit = nw_tlb_lookup(&s->nested_tlb, gpa.v, &(struct nw_tlb_tag){ 0 });
    if (!hit)
        return false;
    *out = (struct nw_nested_translation){ .hpa = nw_hpa(hit->hpa + (gpa.v & (NW_BIT(hit->page_log2) - 1))),
                                           .allowed = hit->payload[0],
                                           .page_log2 = hit->page_log2,
                                           .dirty = hit->payload[1] };
    return nw_nested_serves(out, q);
}

static void hook_nested_fill(void *context, gpa_t gpa, const struct nw_nested_request *q,
                             const struct nw_nested_translation *t)
{
    struct tables *s = context;
    const struct nw_tlb_entry entry = { .valid = true,
                                        .page_log2 = t->page_log2,
                                        .page = gpa.v >> t->page_log2,
                                        .hpa = t->hpa.v & ~(NW_BIT(t->page_log2) - 1),
                                        .payload = { t->allowed, t->dirty } };
    nw_tlb_insert(&s->nested_tlb, &entry, NULL);
    if (!q->final) { /* the walk has set the accessed flag of a table's page */
        const uint32_t page = page_behind(s->v, t->hpa.v);
        host_touched(s->v, page, nw_hostmem_at(s->v->h, page));
    }
}

static void hook_reference(void *context, const struct nw_reference *reference)
{
    (void)reference;
    ((struct tables *)context)->references++;
}

static const struct nw_walk_hooks hooks = { .load = hook_load,
                                            .update = hook_update,
                                            .start = hook_start,
                                            .table = hook_table,
                                            .nested_lookup = hook_nested_lookup,
                                            .nested_fill = hook_nested_fill,
                                            .reference = hook_reference };

static NW_NOINLINE void walk(struct tables *s, const struct nw_paging *guest, gva_t gva, const struct nw_access *access,
                             struct nw_walk_result *r)
{
    nw_walk_run(&hooks, s, guest, &s->ept.paging, gva, access, r);
}

/* ---- forgetting ---- */

/* INVEPT, single-context: everything that was derived from the second stage. It takes place before the guest goes on, as a hypervisor requests it for its next entry. */
static void forget_second_stage(struct tables *s)
{
    const struct nw_tlb_predicate all = nw_tlb_flush_all();
    s->stale = false;
    s->vm->counters.tlb_invalidated += nw_tlb_invalidate(&s->tlb, &all) + nw_tlb_invalidate(&s->nested_tlb, &all);
    for (unsigned i = 0; i < PSC_LEVELS; i++) {
        nw_tlb_invalidate(&s->psc[NW_GUEST][i], &all);
        nw_tlb_invalidate(&s->psc[NW_NESTED][i], &all);
    }
}

/* INVLPG in the address space of a work. */
static void forget_page(struct tables *s, uint64_t gva, size_t work)
{
    const struct nw_tlb_tag tag = { .vpid = VPID, .pcid = (uint16_t)(work + 1) };
    const struct nw_tlb_predicate page = nw_tlb_invlpg(gva, &tag);
    s->vm->counters.tlb_invalidated += nw_tlb_invalidate(&s->tlb, &page);
    for (unsigned i = 0; i < PSC_LEVELS; i++)
        nw_tlb_invalidate(&s->psc[NW_GUEST][i], &page);
}

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
    forget_page(vm->tables, vpn << NW_PAGE_LOG2, work);
    store_to_tables(vm->tables, t);
}

/* ---- an access ---- */

/* What a walk lacked is made good. False: it cannot be. */
static bool resolve(struct vms *v, struct vm *vm, const struct nw_walk_result *r, uint64_t *t)
{
    if (r->outcome != NW_WALK_EPT_VIOLATION)
        return false;
    const uint32_t page = guest_page(v, vm, r->fault.address >> NW_PAGE_LOG2);
    vm->counters.walk_faults++;
    if (nw_hostmem_at(v->h, page)->backing != NW_BACKING_FRAME)
        host_fault(v, vm, page, t);
    else
        host_make_writable(v, vm, page, t);
    return !v->failed && !vm->done;
}

bool walk_access(struct vms *v, struct vm *vm, uint64_t vpn, uint32_t page, bool store, uint64_t *t)
{
    struct tables *s = vm->tables;
    const struct nw_paging *guest = &s->space[memory_space(vm)].paging;
    const struct nw_access access = { .kind = store ? NW_ACCESS_WRITE : NW_ACCESS_READ, .user = true };
    const struct nw_tlb_tag tag = tag_of(s, NW_GUEST);
    const uint64_t gva = vpn << NW_PAGE_LOG2;
    struct nw_walk_result r = { 0 };
    if (NW_UNLIKELY(s->stale))
        forget_second_stage(s);
    const struct nw_tlb_entry *e = nw_tlb_lookup(&s->tlb, gva, &tag);
    if (NW_LIKELY(e && nw_rights_serve(guest, e->rights, e->pkey, &access))) {
        vm->counters.tlb_hits++;
        vm->counters.disagreed += !agrees(v, page, e->hpa);
        return false;
    }
    for (unsigned tries = 0; tries < TRIES; tries++) {
        s->references = 0;
        walk(s, guest, nw_gva(gva), &access, &r);
        const uint64_t ns = ns_of((double)s->references * v->config->host.reference_ns);
        vm->counters.walks++;
        vm->counters.walk_references += s->references;
        vm->counters.walk_ns += ns;
        *t += ns;
        if (r.outcome == NW_WALK_OK || !resolve(v, vm, &r, t))
            break;
        if (s->stale)
            forget_second_stage(s);
    }
    if (v->failed || vm->done)
        return true;
    if (r.outcome == NW_WALK_EPT_VIOLATION) { /* each time something on the way was taken again */
        host_kill(v, vm, *t, NW_VMS_KILLED, "the host has no frames that stay for a single walk");
        return true;
    }
    vm->counters.disagreed += r.outcome != NW_WALK_OK || !agrees(v, page, r.hpa.v);
    if (r.outcome != NW_WALK_OK)
        return true;
    const struct nw_tlb_entry entry = { .valid = true,
                                        .page_log2 = NW_PAGE_LOG2, /* the guest's tables have no other */
                                        .page = vpn,
                                        .hpa = r.hpa.v,
                                        .tag = tag,
                                        .rights = r.rights,
                                        .pkey = r.pkey };
    nw_tlb_insert(&s->tlb, &entry, NULL);
    return true;
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
    if (leaf.present != backed || (backed && !agrees(v, page, leaf.target)) ||
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

/* ---- life ---- */

static enum nw_status begin_cache(struct nw_tlb *t, const char *name, uint64_t entries, uint64_t ways, unsigned log2,
                                  bool large, struct nw_error *err)
{
    const struct nw_tlb_geometry g = { .entries = (uint32_t)entries,
                                       .ways = (uint32_t)(entries % ways ? entries : ways),
                                       .page_log2 = { (uint8_t)log2, NW_PAGE_LOG2 + NW_HOSTMEM_GROUP_LOG2 },
                                       .page_sizes = large ? 2 : 1 };
    return nw_tlb_init(t, name, &g, 0, err);
}

static enum nw_status begin_guest(struct vms *v, struct vm *vm)
{
    /* The "textbook" machine's caches (scenarios/machines/textbook.xml). */
    enum { TLB = 1536, TLB_WAYS = 12, NESTED_TLB = 64, NESTED_TLB_WAYS = 4, PDE = 32, PDPTE = 16, PSC_WAYS = 4 };
    const uint64_t own = v->config->host.tlb_entries;
    struct tables *s = vm->tables = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(v->err, "a guest's tables");
    s->v = v;
    s->vm = vm;
    s->space = calloc(vm->config->works + 1, sizeof *s->space);
    s->large = calloc((vm->pages >> NW_HOSTMEM_GROUP_LOG2) + 1, sizeof *s->large);
    if (!s->space || !s->large)
        return nw_fail_nomem(v->err, "a guest's tables");
    enum nw_status st = nw_physmem_create(&s->words, v->err);
    if (!st)
        st = begin_cache(&s->tlb, "tlb", own ? own : TLB, own ? 4 : TLB_WAYS, NW_PAGE_LOG2, false, v->err);
    if (!st)
        st = begin_cache(&s->nested_tlb, "nested_tlb", NESTED_TLB, NESTED_TLB_WAYS, NW_PAGE_LOG2, true, v->err);
    for (unsigned d = 0; d < 2 && !st; d++)
        for (unsigned i = 0; i < PSC_LEVELS && !st; i++)
            st = begin_cache(&s->psc[d][i], "psc", i ? PDPTE : PDE, PSC_WAYS, i ? 30 : 21, false, v->err);
    return st;
}

enum nw_status walk_begin(struct vms *v)
{
    if (!v->config->host.fidelity)
        return NW_OK;
    enum nw_status st = nw_physmem_create(&v->words, v->err);
    for (unsigned i = 0; i < v->vms && !st; i++)
        st = begin_guest(v, &v->vm[i]);
    return st;
}

void walk_end(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++) {
        struct tables *s = v->vm[i].tables;
        if (!s)
            continue;
        nw_tlb_fini(&s->tlb);
        nw_tlb_fini(&s->nested_tlb);
        for (unsigned d = 0; d < 2; d++)
            for (unsigned k = 0; k < PSC_LEVELS; k++)
                nw_tlb_fini(&s->psc[d][k]);
        nw_physmem_destroy(s->words);
        free(s->frames.item);
        free(s->pages.item);
        free(s->space);
        free(s->large);
        free(s);
        v->vm[i].tables = NULL;
    }
    nw_physmem_destroy(v->words);
}
