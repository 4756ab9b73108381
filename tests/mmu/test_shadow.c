/* The shadow pager against a machine with nested paging over the same memory: whatever the guest does to its
 * tables, an access through TLB and shadow tables gives what the two-dimensional walk gives, and has set the same A
 * and D bits. Under the virtual TLB, and in nested tables of agile paging, that holds once the guest has flushed what it
 * changed. */
#include "mmu_common.h"
#include <nestwalk/mmu/shadow.h>
#include <nestwalk/mmu/tlb.h>

enum { SPACES = 3, MIB = 1 << 20 };
static const uint64_t GUEST_BYTES = UINT64_C(64) * MIB, HOST_BASE = UINT64_C(1) << 30;

/* A VMM: guest memory at HOST_BASE, backed by 2 MiB pages except where `small` says so. */
struct vmm {
    struct machine m;
    enum nw_shadow_policy policy;
    struct nw_shadow *shadow;
    struct nw_tlb tlb;
    struct nw_builder space[SPACES];
    unsigned current;
    uint32_t small;  /* bit n: the n-th 2 MiB of guest memory is backed by 4 KiB pages */
    gpa_t absent;    /* this guest page is not backed; ~0 none */
    gpa_t read_only; /* this one is, but not to be written; ~0 none */
    bool quiet;      /* a table is being written before the guest runs */
    uint64_t trapped, switched_walks;
};

static void backing(void *context, gpa_t gpa, struct nw_shadow_backing *out)
{
    struct vmm *v = context;
    *out = (struct nw_shadow_backing){ 0 };
    if (gpa.v >= GUEST_BYTES || gpa.v >> 12 == v->absent.v >> 12)
        return;
    out->present = true;
    out->writable = gpa.v >> 12 != v->read_only.v >> 12;
    out->hpa = nw_hpa(HOST_BASE + gpa.v);
    out->page_log2 = v->small >> (gpa.v >> 21) & 1 ? 12 : 21;
}

static enum nw_status allocate(void *context, uint64_t *hpa, struct nw_error *err)
{
    struct vmm *v = context;
    return nw_builder_memory_frames(&v->m.frames).allocate(&v->m.frames, hpa, err);
}

static void release(void *context, uint64_t hpa)
{
    struct vmm *v = context;
    nw_builder_memory_frames(&v->m.frames).release(&v->m.frames, hpa);
}

static void apply(struct vmm *v, const struct nw_shadow_invalidation *inv)
{
    if (inv->kind == NW_SHADOW_NOTHING)
        return;
    struct nw_tlb_predicate p = { .match = inv->kind == NW_SHADOW_RANGE ? NW_TLB_MATCH_ADDRESS : 0,
                                  .first = inv->first,
                                  .last = inv->last };
    nw_tlb_invalidate(&v->tlb, &p);
}

static void table_written(void *context, uint64_t address, hpa_t hpa, uint64_t old, uint64_t word)
{
    (void)hpa, (void)old, (void)word;
    struct vmm *v = context;
    struct nw_shadow_invalidation inv;
    if (v->quiet)
        return;
    bool trapped = nw_shadow_is_table(v->shadow, nw_gpa(address));
    v->trapped += trapped;
    must(nw_shadow_table_write(v->shadow, nw_gpa(address), 8, &inv, err));
    assert_int_equal(inv.trapped, trapped);
    apply(v, &inv);
}

static enum nw_status guest_table_hpa(void *context, uint64_t address, hpa_t *out, struct nw_error *err)
{
    (void)context, (void)err;
    *out = nw_hpa(HOST_BASE + address);
    return NW_OK;
}

static void guest_table_release(void *context, uint64_t address)
{
    struct vmm *v = context;
    nw_builder_memory_frames(&v->m.guest_frames).release(&v->m.guest_frames, address);
}

static struct nw_paging guest_paging(enum nw_format_id id, bool write_protect)
{
    struct nw_guest_registers r = nw_guest_registers_long(id == NW_FORMAT_X86_5LEVEL ? 5 : 4, 0);
    struct nw_paging p;
    r.maxphyaddr = 40;
    if (id == NW_FORMAT_X86_PAE || id == NW_FORMAT_X86_2LEVEL)
        r.efer = NW_EFER_NXE;
    if (id == NW_FORMAT_X86_2LEVEL)
        r.cr4 = NW_CR4_PSE | NW_CR4_PGE;
    if (!write_protect)
        r.cr0 &= ~NW_CR0_WP;
    must(nw_paging_init_guest(&p, &r, err));
    p.root = NW_ROOT_NEW;
    return p;
}

/* MOV to CR3. */
static void load_cr3(struct vmm *v, unsigned space)
{
    v->current = space;
    must(nw_shadow_load_cr3(v->shadow, &v->space[space].paging, err));
    if (v->policy != NW_SHADOW_EAGER) /* which alone sees what a guest does to tables it does not use now */
        nw_tlb_invalidate(&v->tlb, &(struct nw_tlb_predicate){ 0 });
}

static void vmm_init_policy(struct vmm *v, enum nw_shadow_policy policy, enum nw_format_id id, bool write_protect,
                            uint32_t small)
{
    memset(v, 0, sizeof *v);
    v->policy = policy;
    machine_init(&v->m);
    v->small = small;
    v->absent = v->read_only = nw_gpa(UINT64_MAX);
    nw_frames_init(&v->m.frames, UINT64_C(1) << 20, UINT64_C(1) << 21);
    struct nw_shadow_config config = { .pm = v->m.pm,
                                       .maxphyaddr = 46,
                                       .policy = policy,
                                       .backing = backing,
                                       .allocate = allocate,
                                       .release = release,
                                       .context = v };
    must(nw_shadow_create(&v->shadow, &config, err));
    struct nw_tlb_geometry g = { .entries = 32, .ways = 4, .page_log2 = { 12, 21, 30 }, .page_sizes = 3 };
    must(nw_tlb_init(&v->tlb, "tlb.test", &g, 1, err));
    struct nw_paging ept = ept_paging(4, false);
    struct nw_builder_memory host = nw_builder_memory_frames(&v->m.frames);
    must(nw_builder_init(&v->m.nested, v->m.pm, &ept, &host, err));
    must(nw_builder_map_range(&v->m.nested, 0, HOST_BASE, GUEST_BYTES, 21, NW_MAP_ALL, err));
    for (unsigned i = 0; i < 32; i++)
        if (small >> i & 1)
            must(nw_builder_split(&v->m.nested, (uint64_t)i << 21, err));
    struct nw_paging guest = guest_paging(id, write_protect);
    struct nw_builder_memory inside = { .allocate = machine_guest_table,
                                        .release = guest_table_release,
                                        .locate = guest_table_hpa,
                                        .written = table_written,
                                        .context = v };
    for (unsigned i = 0; i < SPACES; i++) {
        must(nw_builder_init(&v->space[i], v->m.pm, &guest, &inside, err));
        v->space[i].free_empty_tables = true;
    }
    if (id == NW_FORMAT_X86_PAE) { /* PDPTEs are read when CR3 is loaded: they stand from the beginning */
        v->quiet = true;
        for (unsigned i = 0; i < SPACES; i++)
            for (uint64_t a = 0; a < 4; a++)
                must(nw_builder_map(&v->space[i], (a << 30) + 0x3fe00000, 0x100000, 12, NW_MAP_READ, err));
        v->quiet = false;
    }
    load_cr3(v, 0);
}

static void vmm_init(struct vmm *v, enum nw_format_id id, bool write_protect, uint32_t small)
{
    vmm_init_policy(v, NW_SHADOW_EAGER, id, write_protect, small);
}

static void vmm_fini(struct vmm *v)
{
    uint64_t before = v->m.frames.allocated_pages, pages = nw_shadow_counters(v->shadow)->pages;
    nw_shadow_destroy(v->shadow);
    assert_int_equal(before - v->m.frames.allocated_pages, pages); /* every shadow page went back */
    nw_tlb_fini(&v->tlb);
    machine_fini(&v->m);
}

static void processor_walk(struct vmm *v, uint64_t gva, const struct nw_access *a, struct nw_walk_log *log,
                           struct nw_walk_result *r)
{
    const struct nw_paging *p = nw_shadow_paging(v->shadow);
    if (v->policy == NW_SHADOW_AGILE)
        nw_walk_agile(v->m.pm, p, &v->space[v->current].paging, &v->m.nested.paging, nw_gva(gva), a, log, r);
    else
        nw_walk_native(v->m.pm, p, nw_gva(gva), a, log, r);
}

/* An access as the processor and the VMM make it together. */
static struct nw_walk_result shadow_access(struct vmm *v, uint64_t gva, const struct nw_access *a, bool *table_write)
{
    const struct nw_paging *p = nw_shadow_paging(v->shadow);
    struct nw_tlb_tag tag = { .pcid = (uint16_t)v->current };
    uint64_t linear = p->input_rule == NW_INPUT_TRUNCATE ? gva & UINT32_MAX : gva;
    *table_write = false;
    for (unsigned round = 0; round < 4; round++) {
        struct nw_tlb_entry *e = nw_tlb_lookup(&v->tlb, linear, &tag);
        if (e && nw_rights_serve(p, e->rights, e->pkey, a))
            return (struct nw_walk_result){ .outcome = NW_WALK_OK,
                                            .hpa = nw_hpa(e->hpa | (linear & (NW_BIT(e->page_log2) - 1))) };
        struct nw_walk_result r;
        processor_walk(v, gva, a, NULL, &r);
        if (r.outcome == NW_WALK_NONCANONICAL ||
            (v->policy == NW_SHADOW_AGILE && r.outcome != NW_WALK_OK && !r.fault.shadow))
            return r; /* no exit */
        if (r.outcome == NW_WALK_OK) {
            struct nw_tlb_entry entry = { .page_log2 = r.page_log2,
                                          .tag = tag,
                                          .page = linear >> r.page_log2,
                                          .hpa = r.hpa.v & ~(NW_BIT(r.page_log2) - 1),
                                          .rights = r.rights,
                                          .pkey = r.pkey };
            nw_tlb_insert(&v->tlb, &entry, NULL);
            return r;
        }
        struct nw_shadow_outcome o;
        must(nw_shadow_fault(v->shadow, nw_gva(gva), a, &o, err));
        apply(v, &o.invalidation);
        struct nw_tlb_predicate fault = nw_tlb_invlpg(linear, &tag); /* a page fault drops the page's own entries */
        nw_tlb_invalidate(&v->tlb, &fault);
        if (o.kind == NW_SHADOW_GUEST_FAULT)
            return o.guest;
        if (o.kind == NW_SHADOW_TABLE_WRITE) {
            *table_write = true;
            o.guest.hpa.v = HOST_BASE + o.gpa.v;
            return o.guest;
        }
        assert_int_not_equal(o.kind, NW_SHADOW_NO_BACKING);
    }
    fail_msg("gva 0x%llx: the fault did not go away", (unsigned long long)gva);
    return (struct nw_walk_result){ 0 };
}

/* Sum of all words of guest memory that hold tables: did a walk change an A or D bit? */
static uint64_t tables_digest(struct vmm *v)
{
    uint64_t digest = 0;
    for (uint64_t pfn = 0x100; pfn < v->m.guest_frames.next_pfn; pfn++)
        for (uint64_t i = 0; i < 512; i++)
            digest = digest * 31 + nw_physmem_read64(v->m.pm, nw_hpa(HOST_BASE + (pfn << 12) + i * 8));
    return digest;
}

static void check_access(struct vmm *v, uint64_t gva, const struct nw_access *a, bool check_digest)
{
    bool table_write;
    struct nw_walk_result s = shadow_access(v, gva, a, &table_write), n;
    uint64_t before = check_digest ? tables_digest(v) : 0;
    nw_walk_nested(v->m.pm, &v->space[v->current].paging, &v->m.nested.paging, nw_gva(gva), a, NULL, &n);
    if (s.outcome != n.outcome ||
        (s.outcome == NW_WALK_OK ? s.hpa.v != n.hpa.v
                                 : s.fault.code != n.fault.code || s.fault.address != n.fault.address)) {
        char one[200], two[200];
        nw_walk_describe(&s, one, sizeof one);
        nw_walk_describe(&n, two, sizeof two);
        fail_msg("gva 0x%llx access %d user %d: shadow %s (0x%llx), nested %s (0x%llx)", (unsigned long long)gva,
                 (int)a->kind, a->user, one, (unsigned long long)s.hpa.v, two, (unsigned long long)n.hpa.v);
    }
    if (s.outcome == NW_WALK_OK) {
        bool store = a->kind == NW_ACCESS_WRITE || a->kind == NW_ACCESS_RMW;
        bool expected = store && nw_shadow_is_table(v->shadow, n.gpa);
        if (v->policy != NW_SHADOW_AGILE || !expected) /* a nested part of the tree does not stop it */
            assert_int_equal(table_write, expected);
        if (check_digest && before != tables_digest(v))
            fail_msg("gva 0x%llx access %d: the nested walk found an A or D bit to set that shadow paging had not set",
                     (unsigned long long)gva, (int)a->kind);
    }
}

/* ---- random guests ------------------------------------------------------------------------------ */

static uint64_t random_page(struct nw_rng *rng, const struct nw_paging *p, unsigned log2)
{
    /* few places, so that operations meet: some pages in each of four far regions */
    static const uint64_t region[] = { 0, UINT64_C(0x40000000), UINT64_C(0x7f0000000000),
                                       UINT64_C(0xffff900000000000) };
    uint64_t base = region[nw_rng_below(rng, p->levels > 3 ? 4 : 2)];
    uint64_t offset = nw_rng_below(rng, 6) << 21 | nw_rng_below(rng, 4) << 12;
    uint64_t a = (base + offset) & ~(NW_BIT(log2) - 1);
    return p->levels == 5 && a >> 63 ? nw_sign_extend(a, 57) : a;
}

/* Every translation in the tree is one that the guest's tables and the backing give. */
static void check_tree(struct vmm *v)
{
    unsigned switched = 0;
    static const uint64_t region[] = { 0, UINT64_C(0x40000000), UINT64_C(0x7f0000000000),
                                       UINT64_C(0xffff900000000000) };
    for (uint64_t i = 0; i < 4 * 6 * 4; i++) {
        uint64_t gva = region[i & 3] + ((i >> 2) % 6 << 21) + ((i >> 2) / 6 << 12);
        struct nw_access read = { .kind = NW_ACCESS_READ, .ac = true };
        struct nw_walk_result s, n;
        struct nw_walk_log log;
        processor_walk(v, gva, &read, &log, &s);
        switched += log.nested != 0;
        if (s.outcome != NW_WALK_OK)
            continue;
        nw_walk_nested(v->m.pm, &v->space[v->current].paging, &v->m.nested.paging, nw_gva(gva), &read, NULL, &n);
        assert_int_equal(n.outcome, NW_WALK_OK);
        assert_int_equal(s.hpa.v, n.hpa.v);
        assert_true(s.page_log2 <= n.page_log2);
    }
    v->switched_walks += switched;
}

/* The guest flushes what it changed: one page, or everything. */
static void flush(struct vmm *v, uint64_t gva, bool all)
{
    struct nw_shadow_invalidation inv;
    if (all) {
        load_cr3(v, v->current);
        return;
    }
    nw_shadow_invlpg(v->shadow, nw_gva(gva), &inv);
    apply(v, &inv);
    /* INVLPG itself reaches every piece of a large page; this TLB does not know which belong together. */
    inv = (struct nw_shadow_invalidation){ .kind = NW_SHADOW_RANGE, .first = gva & ~(NW_BIT(22) - 1) };
    inv.last = inv.first + NW_BIT(22) - 1;
    if (v->policy == NW_SHADOW_AGILE)
        apply(v, &inv);
}

static void random_guest(enum nw_shadow_policy policy, enum nw_format_id id, bool write_protect, uint64_t seed,
                         unsigned steps)
{
    struct vmm v;
    struct nw_rng rng = nw_rng_for(seed, "shadow");
    vmm_init_policy(&v, policy, id, write_protect, (uint32_t)nw_rng_next(&rng));
    for (unsigned step = 0; step < steps; step++) {
        struct nw_builder *b = &v.space[nw_rng_below(&rng, SPACES)];
        unsigned what = (unsigned)nw_rng_below(&rng, 100), large = b->paging.entry_log2 == 2 ? 22 : 21;
        unsigned log2 = nw_rng_below(&rng, 4) ? 12 : large,
                 attributes =
                     NW_MAP_READ | (unsigned)(nw_rng_next(&rng) & (NW_MAP_WRITE | NW_MAP_EXECUTE | NW_MAP_USER |
                                                                   NW_MAP_GLOBAL | NW_MAP_ACCESSED | NW_MAP_DIRTY));
        uint64_t a = random_page(&rng, &b->paging, log2);
        uint64_t target = nw_rng_below(&rng, GUEST_BYTES >> log2) << log2;
        if (log2 == 12 && nw_rng_below(&rng, 3) == 0) /* a page of the guest's own tables */
            target = (0x100 + nw_rng_below(&rng, 16)) << 12;
        struct nw_leaf leaf;
        bool merged, flush_all = false;
        if (what < 8) { /* refused when a page of another size is in the way: fine */
            if (nw_builder_map(b, a, target, log2, attributes, NULL))
                continue;
        } else if (what < 14) {
            must(nw_builder_lookup(b, a, &leaf, err));
            if (leaf.present && what < 10)
                must(nw_builder_unmap(b, a, err));
            else if (leaf.present && what < 12)
                must(nw_builder_protect(b, a, attributes, err));
            else if (leaf.present && leaf.level)
                must(nw_builder_split(b, a, err));
            else if (leaf.present)
                must(nw_builder_merge(b, a, 12, &merged, err));
            flush_all = leaf.present && what >= 12 && !leaf.level;
        } else if (what < 18) {
            load_cr3(&v, (unsigned)nw_rng_below(&rng, SPACES));
        } else if (what == 18) { /* the VMM moves some memory: here to where it was */
            struct nw_shadow_invalidation inv;
            target = nw_rng_below(&rng, 4) ? target : (0x100 + nw_rng_below(&rng, 16)) << 12;
            must(nw_shadow_unmap_gpa(v.shadow, nw_gpa(target), NW_PAGE_BYTES, &inv, err));
            apply(&v, &inv);
        } else if (what == 19 && nw_rng_below(&rng, 4) == 0) {
            struct nw_shadow_invalidation inv;
            nw_shadow_interval(v.shadow, &inv);
            apply(&v, &inv);
        } else {
            struct nw_access access = { .kind = (enum nw_access_kind)nw_rng_below(&rng, 4),
                                        .user = nw_rng_below(&rng, 2) };
            a = random_page(&rng, &b->paging, 12);
            check_access(&v, a + nw_rng_below(&rng, 512) * 8, &access, nw_rng_below(&rng, 64) == 0);
        }
        if (what < 14 && b == &v.space[v.current])
            flush(&v, a, flush_all);
        if (step % 256 == 0)
            check_tree(&v);
    }
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    assert_true(c->fills && c->zapped && c->guest_faults);
    assert_int_equal(c->table_writes, v.trapped);
    if (policy == NW_SHADOW_VIRTUAL_TLB)
        assert_true(c->emptied && c->emptied_entries && !c->table_writes && !c->guest_tables && c->roots == 1);
    else
        assert_true(c->table_writes && c->propagated && c->syncs && c->guest_tables);
    assert_true(c->pages <= c->pages_peak && c->pages_peak < c->pages_made);
    bool switches = policy == NW_SHADOW_AGILE && id != NW_FORMAT_X86_2LEVEL;
    assert_int_equal(switches, c->switched_to_nested && c->switched_to_shadow && v.switched_walks);
    assert_int_equal(c->nested_tables, c->switched_to_nested - c->switched_to_shadow);
    vmm_fini(&v);
}

static void random_guests(enum nw_shadow_policy policy)
{
    static const enum nw_format_id formats[] = { NW_FORMAT_X86_2LEVEL, NW_FORMAT_X86_PAE, NW_FORMAT_X86_4LEVEL,
                                                 NW_FORMAT_X86_5LEVEL };
    for (unsigned i = 0; i < NW_ARRAY_LEN(formats); i++)
        for (uint64_t seed = 1; seed <= 6; seed++) {
            print_message("%s, seed %llu\n", nw_formats[formats[i]].name, (unsigned long long)seed);
            random_guest(policy, formats[i], seed % 3 != 0, seed, 20000);
        }
}

static void eager__agrees_with_nested_paging_whatever_the_guest_does(void **state)
{
    (void)state;
    random_guests(NW_SHADOW_EAGER);
}

static void virtual_tlb__agrees_with_nested_paging_once_flushed(void **state)
{
    (void)state;
    random_guests(NW_SHADOW_VIRTUAL_TLB);
}

static void agile__agrees_with_nested_paging_once_flushed(void **state)
{
    (void)state;
    random_guests(NW_SHADOW_AGILE);
}

/* ---- single rules ------------------------------------------------------------------------------- */

static struct nw_shadow_outcome fault(struct vmm *v, uint64_t gva, enum nw_access_kind kind)
{
    struct nw_shadow_outcome o;
    must(nw_shadow_fault(v->shadow, nw_gva(gva), &(struct nw_access){ .kind = kind }, &o, err));
    return o;
}

static void shadow__clean_page_is_read_only_until_a_store_sets_d(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, NW_MAP_RWX, err));
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    struct nw_walk_result r;
    nw_walk_native(v.m.pm, nw_shadow_paging(v.shadow), nw_gva(0x1000), &(struct nw_access){ .kind = NW_ACCESS_READ },
                   NULL, &r);
    assert_int_equal(r.outcome, NW_WALK_OK);
    assert_false(r.rights & NW_RIGHT_WRITE);
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_WRITE).kind, NW_SHADOW_FILLED);
    assert_int_equal(nw_shadow_counters(v.shadow)->dirty_traps, 1);
    nw_walk_native(v.m.pm, nw_shadow_paging(v.shadow), nw_gva(0x1000), &(struct nw_access){ .kind = NW_ACCESS_WRITE },
                   NULL, &r);
    assert_int_equal(r.outcome, NW_WALK_OK);
    assert_true(r.rights & NW_RIGHT_DIRTY);
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_WRITE).kind, NW_SHADOW_RETRY);
    vmm_fini(&v);
}

static void shadow__leaf_is_the_smaller_of_guest_and_host_page(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, 1u << 16);
    must(nw_builder_map(&v.space[0], 0x200000, 0x2000000, 21, NW_MAP_RWX, err)); /* backed by 4K */
    must(nw_builder_map(&v.space[0], 0x400000, 0x2200000, 21, NW_MAP_RWX, err)); /* backed by 2M */
    must(nw_builder_map(&v.space[0], 0x600000, 0x2400000, 12, NW_MAP_RWX, err)); /* 4K over 2M */
    assert_int_equal(fault(&v, 0x201000, NW_ACCESS_READ).page_log2, 12);
    assert_int_equal(fault(&v, 0x401000, NW_ACCESS_READ).page_log2, 21);
    assert_int_equal(fault(&v, 0x600000, NW_ACCESS_READ).page_log2, 12);
    vmm_fini(&v);
}

static void shadow__page_that_becomes_a_table_loses_its_writable_leaf(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    struct nw_leaf leaf;
    must(nw_builder_map(&v.space[1], 0x5000, 0x2000000, 12, NW_MAP_RWX, err));
    must(nw_builder_lookup(&v.space[1], 0x5000, &leaf, err));
    uint64_t table = leaf.entry_address & ~UINT64_C(0xfff);
    must(nw_builder_map(&v.space[0], 0x1000, table, 12, NW_MAP_RWX, err)); /* space 0 sees a table page of space 1 */
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_WRITE).kind, NW_SHADOW_FILLED);
    assert_false(nw_shadow_is_table(v.shadow, nw_gpa(table)));
    load_cr3(&v, 1);
    struct nw_shadow_outcome o = fault(&v, 0x5000, NW_ACCESS_READ);
    assert_int_equal(o.invalidation.kind, NW_SHADOW_RANGE);
    assert_true(o.invalidation.first <= 0x1000 && o.invalidation.last >= 0x1fff);
    assert_true(nw_shadow_is_table(v.shadow, nw_gpa(table)));
    load_cr3(&v, 0);
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_WRITE).kind, NW_SHADOW_TABLE_WRITE);
    vmm_fini(&v);
}

static void shadow__missing_backing_is_the_vmms_affair(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, NW_MAP_RWX, err));
    v.absent = nw_gpa(0x2000000);
    struct nw_shadow_outcome o = fault(&v, 0x1008, NW_ACCESS_READ);
    assert_int_equal(o.kind, NW_SHADOW_NO_BACKING);
    assert_int_equal(o.gpa.v, 0x2000008);
    v.absent = nw_gpa(UINT64_MAX);
    assert_int_equal(fault(&v, 0x1008, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    struct nw_shadow_invalidation inv;
    must(nw_shadow_unmap_gpa(v.shadow, nw_gpa(0x2000000), 4096, &inv, err));
    assert_int_equal(inv.kind, NW_SHADOW_RANGE);
    assert_int_equal(inv.first, 0x1000);
    assert_int_equal(inv.last, 0x1fff);
    assert_int_equal(fault(&v, 0x1008, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    vmm_fini(&v);
}

static struct nw_walk_result walk(struct vmm *v, uint64_t gva, enum nw_access_kind kind)
{
    struct nw_walk_result r;
    processor_walk(v, gva, &(struct nw_access){ .kind = kind }, NULL, &r);
    return r;
}

enum { SET_A_AND_D = NW_MAP_RWX | NW_MAP_ACCESSED | NW_MAP_DIRTY };

static void eager__remapped_page_takes_no_hidden_fault(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, SET_A_AND_D, err));
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_int_equal(c->guest_tables, 4);
    assert_int_equal(c->propagated, 0);
    must(nw_builder_unmap(&v.space[0], 0x1000, err));
    assert_int_equal(walk(&v, 0x1000, NW_ACCESS_READ).outcome, NW_WALK_PAGE_FAULT);
    vmm_fini(&v);

    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    c = nw_shadow_counters(v.shadow);
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, SET_A_AND_D, err));
    must(nw_builder_map(&v.space[0], 0x3000, 0x2003000, 12, NW_MAP_READ, err)); /* keeps the table */
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    must(nw_builder_unmap(&v.space[0], 0x1000, err));
    must(nw_builder_map(&v.space[0], 0x1000, 0x2005000, 12, SET_A_AND_D, err));
    struct nw_walk_result r = walk(&v, 0x1008, NW_ACCESS_WRITE);
    assert_int_equal(r.outcome, NW_WALK_OK);
    assert_int_equal(r.hpa.v, HOST_BASE + 0x2005008);
    assert_int_equal(c->propagated, 1);
    assert_int_equal(c->faults, 1);
    assert_int_equal(c->table_writes, 2);
    vmm_fini(&v);
}

static void eager__entry_is_propagated_only_when_accessed_and_writable_only_when_dirty(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, SET_A_AND_D, err));
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    must(nw_builder_map(&v.space[0], 0x2000, 0x2001000, 12, NW_MAP_RWX, err));
    must(nw_builder_map(&v.space[0], 0x3000, 0x2002000, 12, NW_MAP_RWX | NW_MAP_ACCESSED, err));
    must(nw_builder_map(&v.space[0], 0x4000, 0x2003000, 12, SET_A_AND_D, err));
    assert_int_equal(walk(&v, 0x2000, NW_ACCESS_READ).outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(walk(&v, 0x3000, NW_ACCESS_READ).outcome, NW_WALK_OK);
    assert_int_equal(walk(&v, 0x3000, NW_ACCESS_WRITE).outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(walk(&v, 0x4000, NW_ACCESS_WRITE).outcome, NW_WALK_OK);
    assert_int_equal(c->propagated, 2);
    must(nw_builder_protect(&v.space[0], 0x4000, NW_MAP_READ | NW_MAP_ACCESSED | NW_MAP_DIRTY, err));
    assert_int_equal(walk(&v, 0x4000, NW_ACCESS_WRITE).outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(walk(&v, 0x4000, NW_ACCESS_READ).outcome, NW_WALK_OK);
    assert_int_equal(c->propagated, 3);
    vmm_fini(&v);
}

static void eager__table_traps_every_write_until_it_is_unlinked(void **state)
{
    (void)state;
    struct vmm v;
    struct nw_leaf leaf;
    vmm_init(&v, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, NW_MAP_RWX, err));
    must(nw_builder_lookup(&v.space[0], 0x1000, &leaf, err));
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    for (unsigned i = 1; i <= 20; i++) {
        must(nw_builder_protect(&v.space[0], 0x1000, i & 1 ? NW_MAP_READ : NW_MAP_RWX, err));
        assert_int_equal(c->table_writes, i);
        assert_true(nw_shadow_is_table(v.shadow, nw_gpa(leaf.entry_address)));
    }
    assert_int_equal(c->pages, 4);
    must(nw_builder_unmap(&v.space[0], 0x1000, err)); /* its tables go too */
    assert_false(nw_shadow_is_table(v.shadow, nw_gpa(leaf.entry_address)));
    assert_int_equal(c->guest_tables, 1);
    assert_int_equal(c->pages, 1);
    assert_int_equal(c->pages_peak, 4);
    vmm_fini(&v);
}

static void virtual_tlb__load_of_cr3_empties_the_tree(void **state)
{
    (void)state;
    struct vmm v;
    vmm_init_policy(&v, NW_SHADOW_VIRTUAL_TLB, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    for (uint64_t i = 0; i < 3; i++) {
        must(nw_builder_map(&v.space[0], i << 21, 0x2000000 + (i << 12), 12, NW_MAP_RWX, err));
        assert_int_equal(fault(&v, i << 21, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    }
    assert_int_equal(c->leaves, 3);
    assert_int_equal(c->pages, 6);
    for (unsigned i = 1; i <= 2; i++) { /* the same value empties too */
        load_cr3(&v, 0);
        assert_int_equal(walk(&v, 0, NW_ACCESS_READ).outcome, NW_WALK_PAGE_FAULT);
        assert_int_equal(c->emptied, i);
        assert_int_equal(c->pages, 1);
        assert_int_equal(c->leaves, 0);
        assert_int_equal(fault(&v, 0, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    }
    assert_int_equal(c->emptied_entries, 4);
    assert_int_equal(c->pages_peak, 6);
    assert_int_equal(c->syncs, 0);
    vmm_fini(&v);
}

static void virtual_tlb__tables_are_written_freely_and_seen_after_invlpg(void **state)
{
    (void)state;
    struct vmm v;
    struct nw_leaf leaf;
    struct nw_shadow_invalidation inv;
    vmm_init_policy(&v, NW_SHADOW_VIRTUAL_TLB, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    must(nw_builder_map(&v.space[0], 0x1000, 0x2000000, 12, SET_A_AND_D, err));
    must(nw_builder_map(&v.space[0], 0x2000, 0x2002000, 12, SET_A_AND_D, err));
    must(nw_builder_lookup(&v.space[0], 0x1000, &leaf, err));
    must(nw_builder_map(&v.space[0], 0x9000, leaf.entry_address & ~UINT64_C(0xfff), 12, SET_A_AND_D, err));
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_int_equal(fault(&v, 0x2000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_false(nw_shadow_is_table(v.shadow, nw_gpa(leaf.entry_address)));
    assert_int_equal(fault(&v, 0x9000, NW_ACCESS_WRITE).kind, NW_SHADOW_FILLED); /* a table, and writable */
    must(nw_builder_unmap(&v.space[0], 0x1000, err));
    must(nw_builder_map(&v.space[0], 0x1000, 0x2005000, 12, SET_A_AND_D, err));
    assert_int_equal(walk(&v, 0x1000, NW_ACCESS_READ).hpa.v, HOST_BASE + 0x2000000); /* stale, as a TLB may be */
    nw_shadow_invlpg(v.shadow, nw_gva(0x1000), &inv);
    assert_int_equal(walk(&v, 0x1000, NW_ACCESS_READ).outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(walk(&v, 0x2000, NW_ACCESS_READ).outcome, NW_WALK_OK);
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_int_equal(walk(&v, 0x1000, NW_ACCESS_READ).hpa.v, HOST_BASE + 0x2005000);
    assert_int_equal(nw_shadow_counters(v.shadow)->table_writes, 0);
    vmm_fini(&v);
}

static void check_pieces(enum nw_format_id id, unsigned large_log2, uint32_t small)
{
    struct vmm v;
    struct nw_shadow_invalidation inv;
    uint64_t page = UINT64_C(0x40000000), last = page + NW_BIT(large_log2) - NW_PAGE_BYTES;
    vmm_init_policy(&v, NW_SHADOW_VIRTUAL_TLB, id, true, small);
    must(nw_builder_map(&v.space[0], page, 0x2000000, large_log2, SET_A_AND_D, err));
    must(nw_builder_map(&v.space[0], page + NW_BIT(large_log2), 0x2800000, 12, SET_A_AND_D, err));
    assert_int_equal(fault(&v, page + 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_int_equal(fault(&v, last, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_int_equal(fault(&v, page + NW_BIT(large_log2), NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    nw_shadow_invlpg(v.shadow, nw_gva(page + 0x5000), &inv);
    assert_int_equal(walk(&v, page + 0x1000, NW_ACCESS_READ).outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(walk(&v, last, NW_ACCESS_READ).outcome, NW_WALK_PAGE_FAULT);
    assert_int_equal(walk(&v, page + NW_BIT(large_log2), NW_ACCESS_READ).outcome, NW_WALK_OK);
    assert_true(inv.kind == NW_SHADOW_RANGE && inv.first <= page + 0x1000 && inv.last >= last);
    vmm_fini(&v);
}

static void virtual_tlb__invlpg_removes_all_pieces_of_a_large_page(void **state)
{
    (void)state;
    check_pieces(NW_FORMAT_X86_4LEVEL, 21, ~UINT32_C(0));
    check_pieces(NW_FORMAT_X86_PAE, 21, ~UINT32_C(0));
    check_pieces(NW_FORMAT_X86_2LEVEL, 22, ~UINT32_C(0));
    check_pieces(NW_FORMAT_X86_2LEVEL, 22, 0);
}

/* ---- agile -------------------------------------------------------------------------------------- */

static unsigned references(struct vmm *v, uint64_t gva)
{
    struct nw_walk_log log;
    struct nw_walk_result r;
    processor_walk(v, gva, &(struct nw_access){ .kind = NW_ACCESS_READ }, &log, &r);
    assert_int_equal(r.outcome, NW_WALK_OK);
    return log.count;
}

/* GPA of the guest's table at `level` on the way to gva. */
static gpa_t table_at(struct vmm *v, uint64_t gva, unsigned level)
{
    struct nw_walk_log log;
    struct nw_walk_result r;
    nw_walk_nested(v->m.pm, &v->space[0].paging, &v->m.nested.paging, nw_gva(gva),
                   &(struct nw_access){ .kind = NW_ACCESS_READ }, &log, &r);
    for (unsigned i = 0; i < log.count; i++)
        if (log.reference[i].dimension == NW_GUEST && log.reference[i].level == level)
            return nw_gpa(log.reference[i].address & ~(NW_PAGE_BYTES - 1));
    fail_msg("no table at level %u", level);
    return nw_gpa(0);
}

static struct nw_shadow_invalidation interval(struct vmm *v)
{
    struct nw_shadow_invalidation inv;
    nw_shadow_interval(v->shadow, &inv);
    return inv;
}

/* An entry of the table that nothing uses is written: with the 0 that it holds. */
static bool write_unused(struct vmm *v, gpa_t table)
{
    struct nw_shadow_invalidation inv;
    must(nw_shadow_table_write(v->shadow, nw_gpa(table.v + 0x800), 8, &inv, err));
    return inv.trapped;
}

static void agile_init(struct vmm *v)
{
    vmm_init_policy(v, NW_SHADOW_AGILE, NW_FORMAT_X86_4LEVEL, true, ~UINT32_C(0));
    for (unsigned i = 0; i < 32; i++) /* the second stage too has small pages: 4 references a GPA */
        must(nw_builder_map(&v->space[0], 0x1000 + i * UINT64_C(0x1000), 0x2000000 + i * UINT64_C(0x1000), 12,
                            SET_A_AND_D, err));
    assert_int_equal(fault(v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
}

static void agile__second_write_in_an_interval_makes_a_table_nested(void **state)
{
    (void)state;
    struct vmm v;
    agile_init(&v);
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    gpa_t table = table_at(&v, 0x1000, 0);
    must(nw_builder_map(&v.space[0], 0x20000, table.v, 12, SET_A_AND_D, err)); /* the guest sees its table there */
    interval(&v);
    assert_int_equal(references(&v, 0x1000), 4);
    assert_int_equal(walk(&v, 0x20000, NW_ACCESS_WRITE).outcome, NW_WALK_PAGE_FAULT);
    must(nw_builder_protect(&v.space[0], 0x1000, NW_MAP_READ | NW_MAP_ACCESSED, err));
    assert_true(nw_shadow_is_table(v.shadow, table));
    assert_int_equal(c->switched_to_nested, 0);
    must(nw_builder_protect(&v.space[0], 0x1000, SET_A_AND_D, err));
    assert_false(nw_shadow_is_table(v.shadow, table));
    assert_int_equal(c->switched_to_nested, 1);
    assert_int_equal(c->nested_tables, 1);
    assert_int_equal(c->guest_tables, 3);
    assert_int_equal(references(&v, 0x1000), 8);
    uint64_t writes = c->table_writes, faults = c->faults;
    must(nw_builder_unmap(&v.space[0], 0x2000, err));
    must(nw_builder_map(&v.space[0], 0x2000, 0x2345000, 12, NW_MAP_RWX, err));
    assert_int_equal(walk(&v, 0x2008, NW_ACCESS_WRITE).hpa.v, HOST_BASE + 0x2345008);
    assert_int_equal(walk(&v, 0x20000, NW_ACCESS_WRITE).outcome, NW_WALK_OK);
    assert_int_equal(c->table_writes, writes);
    assert_int_equal(c->faults, faults);
    struct nw_walk_result r = walk(&v, 0x100000, NW_ACCESS_READ); /* the guest's own fault */
    assert_int_equal(r.outcome, NW_WALK_PAGE_FAULT);
    assert_false(r.fault.shadow);
    vmm_fini(&v);
}

static void agile__writes_of_different_intervals_do_not_add_up(void **state)
{
    (void)state;
    struct vmm v;
    agile_init(&v);
    gpa_t table = table_at(&v, 0x1000, 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(write_unused(&v, table));
        interval(&v);
    }
    assert_true(nw_shadow_is_table(v.shadow, table));
    assert_int_equal(nw_shadow_counters(v.shadow)->switched_to_nested, 0);
    vmm_fini(&v);
}

static void agile__table_left_alone_for_an_interval_goes_back(void **state)
{
    (void)state;
    struct vmm v;
    agile_init(&v);
    const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
    gpa_t table = table_at(&v, 0x1000, 0);
    assert_true(write_unused(&v, table) && write_unused(&v, table));
    assert_int_equal(interval(&v).kind, NW_SHADOW_NOTHING); /* it was written during this one */
    assert_false(write_unused(&v, table));
    assert_int_equal(interval(&v).kind, NW_SHADOW_NOTHING); /* and this one */
    assert_int_equal(references(&v, 0x1000), 8);
    assert_int_equal(interval(&v).kind, NW_SHADOW_RANGE);
    assert_int_equal(c->switched_to_shadow, 1);
    assert_int_equal(c->nested_tables, 0);
    struct nw_walk_result r = walk(&v, 0x1000, NW_ACCESS_READ);
    assert_int_equal(r.outcome, NW_WALK_PAGE_FAULT);
    assert_true(r.fault.shadow);
    struct nw_shadow_outcome o = fault(&v, 0x1000, NW_ACCESS_READ);
    assert_int_equal(o.kind, NW_SHADOW_FILLED);
    assert_false(o.switched);
    assert_true(nw_shadow_is_table(v.shadow, table));
    assert_int_equal(references(&v, 0x1000), 4);
    vmm_fini(&v);
}

static void agile__all_below_a_nested_table_is_nested(void **state)
{
    (void)state;
    static const unsigned expected[] = { 8, 12, 16, 20 };
    for (unsigned level = 0; level < 4; level++) {
        struct vmm v;
        agile_init(&v);
        const struct nw_shadow_counters *c = nw_shadow_counters(v.shadow);
        gpa_t table = table_at(&v, 0x1000, level);
        for (int again = 0; again < 2; again++) {
            assert_true(write_unused(&v, table) && write_unused(&v, table));
            assert_int_equal(c->nested_tables, 1);
            assert_int_equal(c->guest_tables, 3 - level);
            for (unsigned i = 0; i < 4; i++)
                assert_int_equal(nw_shadow_is_table(v.shadow, table_at(&v, 0x1000, i)), i > level);
            assert_int_equal(references(&v, 0x1000), expected[level]);
            interval(&v);
            interval(&v);
            assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
            assert_int_equal(references(&v, 0x1000), 4);
            assert_int_equal(c->guest_tables, 4);
        }
        vmm_fini(&v);
    }
}

static void agile__switching_entry_is_made_again_after_its_way_or_its_page_changed(void **state)
{
    (void)state;
    struct vmm v;
    struct nw_shadow_invalidation inv;
    agile_init(&v);
    gpa_t table = table_at(&v, 0x1000, 0), above = table_at(&v, 0x1000, 1), root = table_at(&v, 0x1000, 3);
    assert_true(write_unused(&v, table) && write_unused(&v, table));
    must(nw_shadow_table_write(v.shadow, above, 8, &inv, err)); /* entry 0 leads to the table */
    assert_true(inv.trapped && inv.kind == NW_SHADOW_RANGE);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(walk(&v, 0x1000, NW_ACCESS_READ).fault.shadow);
        struct nw_shadow_outcome o = fault(&v, 0x1000, NW_ACCESS_READ);
        assert_int_equal(o.kind, NW_SHADOW_FILLED);
        assert_true(o.switched);
        assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_RETRY);
        assert_int_equal(references(&v, 0x1000), 8);
        must(nw_shadow_unmap_gpa(v.shadow, table, NW_PAGE_BYTES, &inv, err));
        assert_int_equal(inv.kind, NW_SHADOW_RANGE);
    }
    assert_int_equal(fault(&v, 0x1000, NW_ACCESS_READ).kind, NW_SHADOW_FILLED);
    assert_true(write_unused(&v, root) && write_unused(&v, root));
    assert_int_equal(references(&v, 0x1000), 20);
    load_cr3(&v, 1);
    load_cr3(&v, 0);
    assert_int_equal(references(&v, 0x1000), 20);
    must(nw_shadow_unmap_gpa(v.shadow, root, NW_PAGE_BYTES, &inv, err));
    assert_int_equal(inv.kind, NW_SHADOW_ALL);
    assert_true(walk(&v, 0x1000, NW_ACCESS_READ).fault.shadow);
    assert_true(fault(&v, 0x1000, NW_ACCESS_READ).switched);
    assert_int_equal(references(&v, 0x1000), 20);
    assert_int_equal(nw_shadow_counters(v.shadow)->switched_to_shadow, 0);
    vmm_fini(&v);
}

static void agile__table_that_may_not_be_written_stays_shadowed(void **state)
{
    (void)state;
    struct vmm v;
    agile_init(&v);
    gpa_t table = table_at(&v, 0x1000, 0);
    v.read_only = table;
    for (unsigned i = 0; i < 4; i++)
        assert_true(write_unused(&v, table));
    assert_int_equal(references(&v, 0x1000), 4);
    assert_int_equal(nw_shadow_counters(v.shadow)->nested_tables, 0);
    vmm_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shadow__clean_page_is_read_only_until_a_store_sets_d),
        cmocka_unit_test(shadow__leaf_is_the_smaller_of_guest_and_host_page),
        cmocka_unit_test(shadow__page_that_becomes_a_table_loses_its_writable_leaf),
        cmocka_unit_test(shadow__missing_backing_is_the_vmms_affair),
        cmocka_unit_test(eager__remapped_page_takes_no_hidden_fault),
        cmocka_unit_test(eager__entry_is_propagated_only_when_accessed_and_writable_only_when_dirty),
        cmocka_unit_test(eager__table_traps_every_write_until_it_is_unlinked),
        cmocka_unit_test(virtual_tlb__load_of_cr3_empties_the_tree),
        cmocka_unit_test(virtual_tlb__tables_are_written_freely_and_seen_after_invlpg),
        cmocka_unit_test(virtual_tlb__invlpg_removes_all_pieces_of_a_large_page),
        cmocka_unit_test(agile__second_write_in_an_interval_makes_a_table_nested),
        cmocka_unit_test(agile__writes_of_different_intervals_do_not_add_up),
        cmocka_unit_test(agile__table_left_alone_for_an_interval_goes_back),
        cmocka_unit_test(agile__all_below_a_nested_table_is_nested),
        cmocka_unit_test(agile__switching_entry_is_made_again_after_its_way_or_its_page_changed),
        cmocka_unit_test(agile__table_that_may_not_be_written_stays_shadowed),
        cmocka_unit_test(eager__agrees_with_nested_paging_whatever_the_guest_does),
        cmocka_unit_test(virtual_tlb__agrees_with_nested_paging_once_flushed),
        cmocka_unit_test(agile__agrees_with_nested_paging_once_flushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
