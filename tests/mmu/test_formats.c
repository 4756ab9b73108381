/* Every format: each reserved bit of each level, one by one; and what the builder makes, the walk finds again. */
#include "mmu_common.h"
#include <nestwalk/mmu/format_vtd.h>

/* One way to run a format: as a guest's tree, or as a nested tree. */
struct setup {
    const char *name;
    enum nw_format_id id;
    bool nested;
    bool nxe, huge_1g, pse;
};

static struct nw_paging paging_of(const struct setup *s, unsigned maxphyaddr)
{
    const struct nw_format *f = s->id < NW_FORMAT_COUNT ? &nw_formats[s->id] : nw_vtd_format(s->id);
    struct nw_paging p;
    if (s->id >= NW_FORMAT_VTD_FS_4LEVEL) {
        struct nw_vtd_first_stage r = {
            .levels = f->levels, .haw = maxphyaddr, .large_1g = s->huge_1g, .write_protect = true
        };
        must(nw_paging_init_vtd_first(&p, &r, err));
    } else if (s->id >= NW_FORMAT_COUNT) {
        struct nw_vtd_second_stage r = {
            .levels = f->levels, .haw = maxphyaddr, .large_2m = true, .large_1g = s->huge_1g, .accessed_dirty = true
        };
        must(nw_paging_init_vtd_second(&p, &r, err));
    } else if (f->fault_rule == NW_FAULT_EPT) {
        struct nw_ept_registers r = { .eptp = 6 | (f->levels - 1u) << 3 | 0x40,
                                      .maxphyaddr = maxphyaddr,
                                      .huge_1g = s->huge_1g };
        must(nw_paging_init_ept(&p, &r, err));
    } else if (s->nested) {
        struct nw_npt_registers r = {
            .levels = f->levels, .nxe = s->nxe, .pse = s->pse, .maxphyaddr = maxphyaddr, .huge_1g = s->huge_1g
        };
        must(nw_paging_init_npt(&p, &r, err));
    } else {
        struct nw_guest_registers r = nw_guest_registers_long(f->levels == 5 ? 5 : 4, 0);
        r.maxphyaddr = maxphyaddr;
        r.huge_1g = s->huge_1g;
        r.efer = (s->id >= NW_FORMAT_X86_4LEVEL ? NW_EFER_LMA | NW_EFER_LME : 0) | (s->nxe ? NW_EFER_NXE : 0);
        if (s->id == NW_FORMAT_X86_2LEVEL)
            r.cr4 &= ~NW_CR4_PAE;
        r.cr4 |= s->pse ? NW_CR4_PSE : 0;
        must(nw_paging_init_guest(&p, &r, err));
    }
    p.root = NW_ROOT_NEW;
    return p;
}

static void walk(struct machine *m, const struct setup *s, uint64_t address, const struct nw_access *a,
                 struct nw_walk_result *r)
{
    const struct nw_paging *p = &m->guest.paging;
    if (s->nested)
        nw_walk_gpa(m->pm, p, nw_gpa(address), a->kind, NULL, r);
    else
        nw_walk_native(m->pm, p, nw_gva(address), a, NULL, r);
}

static void build(struct machine *m, const struct setup *s, unsigned maxphyaddr)
{
    machine_init(m);
    struct nw_paging p = paging_of(s, maxphyaddr);
    struct nw_builder_memory memory = nw_builder_memory_frames(&m->frames);
    must(nw_builder_init(&m->guest, m->pm, &p, &memory, err));
}

/* ---- reserved bits ------------------------------------------------------------------------------ */

/* The manuals' lists: SDM vol. 3, figures "Formats of CR3 and Paging-Structure Entries with ..." and tables "Format of
 * an EPT ...". M stands for MAXPHYADDR. */
enum { M = 1000, NX = 2000 }; /* NX: bit 63, when NXE is clear */
struct range {
    int high, low;
};
struct entry_rule {
    enum nw_format_id id;
    int level;
    bool leaf;
    struct range reserved[4];
};
static const struct entry_rule rules[] = {
    { NW_FORMAT_X86_2LEVEL, 1, true, { { 21, 21 } } }, /* with MAXPHYADDR of 40 and more; see below */
    { NW_FORMAT_X86_PAE, 2, false, { { 63, M }, { 8, 5 }, { 2, 1 } } },
    { NW_FORMAT_X86_PAE, 1, false, { { 62, M }, { NX, NX } } },
    { NW_FORMAT_X86_PAE, 1, true, { { 62, M }, { 20, 13 }, { NX, NX } } },
    { NW_FORMAT_X86_PAE, 0, true, { { 62, M }, { NX, NX } } },
    { NW_FORMAT_X86_4LEVEL, 3, false, { { 51, M }, { 7, 7 }, { NX, NX } } },
    { NW_FORMAT_X86_4LEVEL, 2, false, { { 51, M }, { NX, NX } } },
    { NW_FORMAT_X86_4LEVEL, 2, true, { { 51, M }, { 29, 13 }, { NX, NX } } },
    { NW_FORMAT_X86_4LEVEL, 1, false, { { 51, M }, { NX, NX } } },
    { NW_FORMAT_X86_4LEVEL, 1, true, { { 51, M }, { 20, 13 }, { NX, NX } } },
    { NW_FORMAT_X86_4LEVEL, 0, true, { { 51, M }, { NX, NX } } },
    { NW_FORMAT_X86_5LEVEL, 4, false, { { 51, M }, { 7, 7 }, { NX, NX } } },
    { NW_FORMAT_X86_5LEVEL, 3, false, { { 51, M }, { 7, 7 }, { NX, NX } } },
    { NW_FORMAT_X86_5LEVEL, 2, true, { { 51, M }, { 29, 13 }, { NX, NX } } },
    { NW_FORMAT_X86_5LEVEL, 1, true, { { 51, M }, { 20, 13 }, { NX, NX } } },
    { NW_FORMAT_X86_5LEVEL, 0, true, { { 51, M }, { NX, NX } } },
    { NW_FORMAT_EPT_4LEVEL, 3, false, { { 51, M }, { 7, 3 } } },
    { NW_FORMAT_EPT_4LEVEL, 2, false, { { 51, M }, { 6, 3 } } },
    { NW_FORMAT_EPT_4LEVEL, 2, true, { { 51, M }, { 29, 12 } } },
    { NW_FORMAT_EPT_4LEVEL, 1, false, { { 51, M }, { 6, 3 } } },
    { NW_FORMAT_EPT_4LEVEL, 1, true, { { 51, M }, { 20, 12 } } },
    { NW_FORMAT_EPT_4LEVEL, 0, true, { { 51, M } } },
    { NW_FORMAT_EPT_5LEVEL, 4, false, { { 51, M }, { 7, 3 } } },
    { NW_FORMAT_EPT_5LEVEL, 3, false, { { 51, M }, { 7, 3 } } },
    { NW_FORMAT_EPT_5LEVEL, 2, true, { { 51, M }, { 29, 12 } } },
    { NW_FORMAT_EPT_5LEVEL, 1, true, { { 51, M }, { 20, 12 } } },
    { NW_FORMAT_EPT_5LEVEL, 0, true, { { 51, M } } },
    /* VT-d, "Second-Stage Paging Entries", of a unit without snoop control (bit 11) and device TLBs (bit 62) */
    { NW_FORMAT_VTD_SS_3LEVEL, 2, false, { { 51, M }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_3LEVEL, 2, true, { { 51, M }, { 29, 12 }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_3LEVEL, 1, false, { { 51, M }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_3LEVEL, 1, true, { { 51, M }, { 20, 12 }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_3LEVEL, 0, true, { { 51, M }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_4LEVEL, 3, false, { { 51, M }, { 7, 7 }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_4LEVEL, 2, true, { { 51, M }, { 29, 12 }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_4LEVEL, 0, true, { { 51, M }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_5LEVEL, 4, false, { { 51, M }, { 7, 7 }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_5LEVEL, 3, false, { { 51, M }, { 7, 7 }, { 11, 11 }, { 62, 62 } } },
    { NW_FORMAT_VTD_SS_5LEVEL, 1, true, { { 51, M }, { 20, 12 }, { 11, 11 }, { 62, 62 } } },
    /* VT-d, "First-Stage Paging Entries" */
    { NW_FORMAT_VTD_FS_4LEVEL, 3, false, { { 51, M }, { 7, 7 } } },
    { NW_FORMAT_VTD_FS_4LEVEL, 2, false, { { 51, M } } },
    { NW_FORMAT_VTD_FS_4LEVEL, 2, true, { { 51, M }, { 29, 13 } } },
    { NW_FORMAT_VTD_FS_4LEVEL, 1, true, { { 51, M }, { 20, 13 } } },
    { NW_FORMAT_VTD_FS_4LEVEL, 0, true, { { 51, M } } },
    { NW_FORMAT_VTD_FS_5LEVEL, 4, false, { { 51, M }, { 7, 7 } } },
    { NW_FORMAT_VTD_FS_5LEVEL, 3, false, { { 51, M }, { 7, 7 } } },
    { NW_FORMAT_VTD_FS_5LEVEL, 0, true, { { 51, M } } },
};

static bool listed(const struct entry_rule *rule, const struct setup *s, unsigned maxphyaddr, int bit)
{
    if (rule->id == NW_FORMAT_X86_2LEVEL) /* bits 21:(M-19), M at most 40 */
        return bit <= 21 && bit >= (int)(maxphyaddr < 40 ? maxphyaddr : 40) - 19;
    for (unsigned i = 0; i < 4 && rule->reserved[i].high; i++) {
        struct range r = rule->reserved[i];
        if (r.high == NX ? bit == 63 && !s->nxe : bit <= r.high && bit >= (r.low == M ? (int)maxphyaddr : r.low))
            return true;
    }
    return false;
}

/* Bits whose change makes another kind of entry, or points the walk elsewhere: other tests' business. */
static bool changes_the_walk(const struct nw_paging *p, const struct entry_rule *rule, unsigned bit)
{
    const struct nw_format *f = p->format;
    uint64_t flag = NW_BIT(bit);
    if (rule->leaf ? false : flag & p->table_address)
        return true; /* another table */
    if (p->fault_rule == NW_FAULT_EPT)
        return flag & 7 || (rule->leaf && bit >= 3 && bit <= 5) || (rule->level && rule->level < 3 && bit == 7);
    return flag & f->present || (rule->level && p->level[rule->level].leaf_select & flag);
}

static void reserved_bits_of(const struct entry_rule *rule, const struct setup *s, unsigned maxphyaddr)
{
    struct machine m;
    build(&m, s, maxphyaddr);
    const struct nw_paging *p = &m.guest.paging;
    unsigned page_log2 = rule->leaf ? nw_level_log2(p, (unsigned)rule->level) : 12;
    uint64_t address = UINT64_C(0x40000000), target = rule->level == 2 && rule->leaf ? UINT64_C(0x40000000) : 0x400000;
    if (rule->leaf && !p->level[rule->level].leaf_select && rule->level) { /* no 1 GiB pages: nothing to test here */
        machine_fini(&m);
        return;
    }
    must(nw_builder_map(&m.guest, address, target, page_log2, NW_MAP_ALL, err));
    uint64_t table = p->root;
    hpa_t at = nw_hpa(0);
    for (int level = p->levels - 1; level >= rule->level; level--) {
        at = nw_hpa(table + (nw_paging_index(p, (unsigned)level, address) << p->entry_log2));
        uint64_t word = nw_physmem_read64(m.pm, nw_hpa(at.v & ~UINT64_C(7)));
        table = word & p->table_address;
    }
    unsigned width = p->entry_log2 == 2 ? 32 : 64;
    uint64_t *word = nw_physmem_find(m.pm, nw_hpa(at.v & ~UINT64_C(7)));
    for (unsigned bit = 0; bit < width; bit++) {
        if (changes_the_walk(p, rule, bit))
            continue;
        uint64_t good = *word;
        if (good & NW_BIT(bit))
            continue;
        *word |= NW_BIT(bit);
        struct nw_walk_result r;
        walk(&m, s, address, &(struct nw_access){ .kind = NW_ACCESS_READ }, &r);
        *word = good;
        bool ept = p->fault_rule == NW_FAULT_EPT;
        bool stopped = ept ? r.outcome == NW_WALK_EPT_MISCONFIG
                           : r.outcome == (s->nested ? NW_WALK_NPF : NW_WALK_PAGE_FAULT) &&
                                 (r.fault.code & (NW_PF_RSVD | NW_PF_P)) == (NW_PF_RSVD | NW_PF_P);
        bool expected = listed(rule, s, maxphyaddr, (int)bit);
        if (stopped != expected || (!expected && r.outcome != NW_WALK_OK))
            fail_msg("%s, MAXPHYADDR %u, NXE %d, level %d %s, bit %u: %s, outcome %s", s->name, maxphyaddr, s->nxe,
                     rule->level, rule->leaf ? "leaf" : "table", bit, expected ? "reserved" : "not reserved",
                     nw_outcome_name[r.outcome]);
        if (expected)
            assert_int_equal(r.fault.level, rule->level);
    }
    machine_fini(&m);
}

static const struct setup setups[] = {
    { "guest 2-level", NW_FORMAT_X86_2LEVEL, false, false, false, true },
    { "guest PAE", NW_FORMAT_X86_PAE, false, true, false, false },
    { "guest PAE without NXE", NW_FORMAT_X86_PAE, false, false, false, false },
    { "guest 4-level", NW_FORMAT_X86_4LEVEL, false, true, true, false },
    { "guest 4-level without NXE", NW_FORMAT_X86_4LEVEL, false, false, true, false },
    { "guest 5-level", NW_FORMAT_X86_5LEVEL, false, true, true, false },
    { "NPT 2-level", NW_FORMAT_X86_2LEVEL, true, false, false, true },
    { "NPT PAE", NW_FORMAT_X86_PAE, true, true, false, false },
    { "NPT 4-level", NW_FORMAT_X86_4LEVEL, true, true, true, false },
    { "NPT 4-level without NXE", NW_FORMAT_X86_4LEVEL, true, false, true, false },
    { "NPT 5-level", NW_FORMAT_X86_5LEVEL, true, true, true, false },
    { "EPT 4-level", NW_FORMAT_EPT_4LEVEL, true, true, true, false },
    { "EPT 5-level", NW_FORMAT_EPT_5LEVEL, true, true, true, false },
    { "VT-d second stage, 3-level", NW_FORMAT_VTD_SS_3LEVEL, false, true, true, false },
    { "VT-d second stage, 4-level", NW_FORMAT_VTD_SS_4LEVEL, false, true, true, false },
    { "VT-d second stage, 4-level, nested", NW_FORMAT_VTD_SS_4LEVEL, true, true, true, false },
    { "VT-d second stage, 5-level", NW_FORMAT_VTD_SS_5LEVEL, true, true, true, false },
    { "VT-d first stage, 4-level", NW_FORMAT_VTD_FS_4LEVEL, false, true, true, false },
    { "VT-d first stage, 5-level", NW_FORMAT_VTD_FS_5LEVEL, false, true, true, false },
};

static void format__every_reserved_bit_of_every_level_stops_the_walk(void **state)
{
    (void)state;
    static const unsigned widths[] = { 36, 39, 40, 46, 48, 52 };
    unsigned tested = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(setups); i++)
        for (size_t k = 0; k < NW_ARRAY_LEN(rules); k++)
            for (size_t w = 0; w < NW_ARRAY_LEN(widths); w++)
                if (rules[k].id == setups[i].id) {
                    reserved_bits_of(&rules[k], &setups[i], widths[w]);
                    tested++;
                }
    assert_true(tested > 300);
}

static void format__1g_leaf_is_reserved_where_the_processor_has_none(void **state)
{
    (void)state;
    static const enum nw_format_id ids[] = { NW_FORMAT_X86_4LEVEL, NW_FORMAT_EPT_4LEVEL };
    for (unsigned i = 0; i < 2; i++) {
        struct setup with = { "with", ids[i], ids[i] == NW_FORMAT_EPT_4LEVEL, true, true, false }, without = with;
        without.huge_1g = false;
        struct machine m;
        build(&m, &with, 46);
        must(nw_builder_map(&m.guest, 0, 0, 30, NW_MAP_ALL, err));
        struct nw_walk_result r;
        walk(&m, &with, 0x1234, &(struct nw_access){ .kind = NW_ACCESS_READ }, &r);
        assert_int_equal(r.outcome, NW_WALK_OK);
        struct nw_paging p = paging_of(&without, 46);
        p.root = m.guest.paging.root;
        m.guest.paging = p;
        walk(&m, &without, 0x1234, &(struct nw_access){ .kind = NW_ACCESS_READ }, &r);
        assert_int_equal(r.outcome, ids[i] == NW_FORMAT_EPT_4LEVEL ? NW_WALK_EPT_MISCONFIG : NW_WALK_PAGE_FAULT);
        machine_fini(&m);
    }
}

/* ---- builder and walk --------------------------------------------------------------------------- */

static void expect_rights(const struct setup *s, struct machine *m, uint64_t address, unsigned attributes)
{
    const struct nw_paging *p = &m->guest.paging;
    bool has_user = !s->nested && p->format->user, has_x = p->format->execute || (p->format->no_execute && s->nxe);
    for (enum nw_access_kind kind = NW_ACCESS_READ; kind < NW_ACCESS_KINDS; kind++)
        for (unsigned user = 0; user < 2; user++) {
            struct nw_walk_result r;
            walk(m, s, address, &(struct nw_access){ .kind = kind, .user = user }, &r);
            bool granted = true;
            if (p->format->user && (user || s->nested))
                granted &= (attributes & NW_MAP_USER) != 0;
            if (kind == NW_ACCESS_WRITE || kind == NW_ACCESS_RMW)
                granted &= (attributes & NW_MAP_WRITE) != 0;
            if (kind == NW_ACCESS_FETCH && has_x)
                granted &= (attributes & NW_MAP_EXECUTE) != 0;
            if ((r.outcome == NW_WALK_OK) != granted)
                fail_msg("%s: attributes 0x%x, access %d user %u: %s", s->name, attributes, (int)kind, user,
                         nw_outcome_name[r.outcome]);
            if (r.outcome != NW_WALK_OK || kind == NW_ACCESS_FETCH)
                continue;
            assert_int_equal(!!(r.rights & NW_RIGHT_WRITE), !!(attributes & NW_MAP_WRITE));
            assert_int_equal(!!(r.rights & NW_RIGHT_EXECUTE), !has_x || (attributes & NW_MAP_EXECUTE));
            if (has_user)
                assert_int_equal(!!(r.rights & NW_RIGHT_USER), !!(attributes & NW_MAP_USER));
        }
}

static void round_trip(const struct setup *s, unsigned page_log2, struct nw_rng *rng)
{
    struct machine m;
    build(&m, s, 46);
    const struct nw_paging *p = &m.guest.paging;
    m.guest.free_empty_tables = true;
    uint64_t empty = m.guest.table_pages, room = nw_mask(p->entry_log2 == 2 && page_log2 == 12 ? 31 : 38, page_log2);
    for (unsigned i = 0; i < 60; i++) {
        uint64_t address = nw_rng_next(rng) & nw_mask(p->input_bits - 1u, page_log2), target = nw_rng_next(rng) & room;
        if (p->input_rule == NW_INPUT_CANONICAL)
            address = nw_sign_extend(address, p->input_bits);
        unsigned attributes =
            NW_MAP_READ | (unsigned)(nw_rng_next(rng) & (NW_MAP_WRITE | NW_MAP_EXECUTE | NW_MAP_USER));
        must(nw_builder_map(&m.guest, address, target, page_log2, attributes, err));
        expect_rights(s, &m, address + 0x128, attributes);

        struct nw_walk_result r;
        uint64_t offset = nw_rng_next(rng) & (NW_BIT(page_log2) - 1);
        must(nw_builder_protect(&m.guest, address + offset, NW_MAP_ALL, err));
        walk(&m, s, address + offset, &(struct nw_access){ .kind = NW_ACCESS_WRITE }, &r);
        assert_int_equal(r.outcome, NW_WALK_OK);
        assert_int_equal(r.hpa.v, target + offset);
        assert_int_equal(r.page_log2, page_log2);
        struct nw_leaf leaf;
        must(nw_builder_lookup(&m.guest, address + offset, &leaf, err));
        assert_true(leaf.present);
        assert_int_equal(leaf.target, target + offset);
        assert_int_equal(leaf.page_log2, page_log2);
        assert_int_equal(nw_leaf_attributes(p, leaf.entry) & (NW_MAP_ACCESSED | NW_MAP_DIRTY),
                         NW_MAP_ACCESSED | NW_MAP_DIRTY);

        if (page_log2 > 12 && !(p->entry_log2 == 2 && target >> 32)) { /* split, see all of it, merge again */
            unsigned small_log2 = nw_level_log2(p, leaf.level - 1u);
            must(nw_builder_split(&m.guest, address, err));
            walk(&m, s, address + offset, &(struct nw_access){ .kind = NW_ACCESS_WRITE }, &r);
            assert_int_equal(r.hpa.v, target + offset);
            assert_int_equal(r.page_log2, small_log2);
            bool merged;
            must(nw_builder_merge(&m.guest, address, small_log2, &merged, err));
            assert_true(merged);
            struct nw_leaf again;
            must(nw_builder_lookup(&m.guest, address + offset, &again, err));
            assert_int_equal(again.entry, leaf.entry);
        }
        must(nw_builder_unmap(&m.guest, address + offset, err));
        walk(&m, s, address + offset, &(struct nw_access){ .kind = NW_ACCESS_READ }, &r);
        assert_int_not_equal(r.outcome, NW_WALK_OK);
        assert_int_equal(m.guest.table_pages, empty); /* emptied tables went back */
    }
    machine_fini(&m);
}

static void builder__what_it_maps_the_walk_finds_in_every_format_and_size(void **state)
{
    (void)state;
    uint64_t seed = 11;
    struct nw_rng rng = nw_rng_for(seed, "builder");
    print_message("seed %llu\n", (unsigned long long)seed);
    unsigned combinations = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(setups); i++) {
        struct nw_paging p = paging_of(&setups[i], 46);
        for (unsigned log2 = 12; log2 <= 30; log2++)
            if (nw_paging_level_of(&p, log2) >= 0) {
                round_trip(&setups[i], log2, &rng);
                combinations++;
            }
    }
    assert_int_equal(combinations, 2 * 2 + 3 * 2 + 14 * 3);
}

static void builder__refuses_what_cannot_be(void **state)
{
    (void)state;
    struct machine m;
    build(&m, &setups[3], 40);
    struct nw_builder *b = &m.guest;
    assert_int_equal(nw_builder_map(b, 0x1000, 0x800, 12, NW_MAP_ALL, NULL), NW_ERR_INPUT);        /* not aligned */
    assert_int_equal(nw_builder_map(b, UINT64_C(1) << 50, 0, 12, NW_MAP_ALL, NULL), NW_ERR_INPUT); /* not canonical */
    assert_int_equal(nw_builder_map(b, 0x1000, UINT64_C(1) << 40, 12, NW_MAP_ALL, NULL),
                     NW_ERR_INPUT);                                                /* above MAXPHYADDR */
    assert_int_equal(nw_builder_map(b, 0, 0, 22, NW_MAP_ALL, NULL), NW_ERR_INPUT); /* no 4 MiB pages here */
    must(nw_builder_map(b, 0x200000, 0, 21, NW_MAP_ALL, err));
    assert_int_equal(nw_builder_map(b, 0x201000, 0, 12, NW_MAP_ALL, NULL), NW_ERR_INPUT); /* under a larger page */
    must(nw_builder_map(b, 0x400000, 0, 12, NW_MAP_ALL, err));
    assert_int_equal(nw_builder_map(b, 0x400000, 0, 21, NW_MAP_ALL, NULL), NW_ERR_INPUT); /* over smaller ones */
    assert_int_equal(nw_builder_unmap(b, 0x600000, NULL), NW_ERR_INPUT);
    assert_int_equal(nw_builder_split(b, 0x400000, NULL), NW_ERR_INPUT);
    bool merged = true;
    must(nw_builder_merge(b, 0x400000, 12, &merged, err)); /* one page of 512 */
    assert_false(merged);
    machine_fini(&m);
}

static void builder__range_uses_the_largest_pages_that_fit(void **state)
{
    (void)state;
    struct machine m;
    build(&m, &setups[3], 46);
    must(nw_builder_map_range(&m.guest, 0x3ff000, 0x3ff000, 0x40402000, 30, NW_MAP_ALL, err));
    static const struct {
        uint64_t address;
        unsigned log2;
    } expected[] = { { 0x3ff000, 12 }, { 0x400000, 21 }, { 0x3fe00000, 21 }, { 0x40000000, 21 }, { 0x40800000, 12 } };
    for (size_t i = 0; i < NW_ARRAY_LEN(expected); i++) {
        struct nw_leaf leaf;
        must(nw_builder_lookup(&m.guest, expected[i].address, &leaf, err));
        assert_true(leaf.present);
        assert_int_equal(leaf.page_log2, expected[i].log2);
        assert_int_equal(leaf.target, expected[i].address);
    }
    struct nw_leaf past;
    must(nw_builder_lookup(&m.guest, 0x40801000, &past, err));
    assert_false(past.present);
    must(nw_builder_map_range(&m.guest, UINT64_C(1) << 39, 0, UINT64_C(2) << 30, 30, NW_MAP_ALL, err));
    must(nw_builder_lookup(&m.guest, (UINT64_C(1) << 39) + 0x40001000, &past, err));
    assert_int_equal(past.page_log2, 30);
    machine_fini(&m);
}

static bool count_leaf(void *context, const struct nw_leaf *entry, bool leaf, uint64_t first_address)
{
    uint64_t *sum = context;
    if (leaf)
        *sum += first_address ^ entry->target;
    return true;
}

static void builder__visit_sees_every_leaf_once(void **state)
{
    (void)state;
    struct machine m;
    build(&m, &setups[3], 46);
    static const uint64_t at[] = { 0x1000, 0x7ffffffff000, UINT64_C(0xffff800000000000), UINT64_C(0xfffffffffffff000) };
    uint64_t expected = 0, sum = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(at); i++) {
        must(nw_builder_map(&m.guest, at[i], (i + 1) << 12, 12, NW_MAP_ALL, err));
        expected += at[i] ^ (i + 1) << 12;
    }
    must(nw_builder_visit(&m.guest, count_leaf, &sum, err));
    assert_true(sum == expected);
    machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format__every_reserved_bit_of_every_level_stops_the_walk),
        cmocka_unit_test(format__1g_leaf_is_reserved_where_the_processor_has_none),
        cmocka_unit_test(builder__what_it_maps_the_walk_finds_in_every_format_and_size),
        cmocka_unit_test(builder__refuses_what_cannot_be),
        cmocka_unit_test(builder__range_uses_the_largest_pages_that_fit),
        cmocka_unit_test(builder__visit_sees_every_leaf_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
