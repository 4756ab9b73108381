/* An instance of the walk with paging-structure caches and a nested TLB: caches change what is read, never what is
 * found. */
#include "mmu_common.h"
#include <nestwalk/mmu/tlb.h>
#include <nestwalk/mmu/walk_template.h>

struct cached {
    struct nw_physmem *pm;
    const struct nw_paging *guest, *nested;
    struct nw_tlb psc[2][NW_LEVELS_MAX]; /* by dimension and level of the table that an entry leads to */
    struct nw_tlb nested_tlb;
    unsigned references[2];
};
static const struct nw_tlb_tag tag = { 0 };

static inline uint64_t load(void *context, hpa_t hpa) { return nw_physmem_read64(((struct cached *)context)->pm, hpa); }
static inline void update(void *context, hpa_t hpa, uint64_t set)
{
    *nw_physmem_find(((struct cached *)context)->pm, hpa) |= set;
}
static inline void reference(void *context, const struct nw_reference *r)
{
    ((struct cached *)context)->references[r->dimension]++;
}

static inline void start(void *context, enum nw_dimension dimension, uint64_t address, struct nw_walk_start *s)
{
    struct cached *c = context;
    for (unsigned level = 0; level < s->level; level++) { /* the lowest table that is known */
        const struct nw_tlb_entry *e = nw_tlb_lookup(&c->psc[dimension][level], address, &tag);
        if (!e)
            continue;
        *s = (struct nw_walk_start){ .level = (uint8_t)level,
                                     .table_known = true,
                                     .table_writable = e->payload[0],
                                     .table = nw_hpa(e->hpa),
                                     .table_gpa = nw_gpa(e->payload[1]),
                                     .allowed = e->payload[2] };
        return;
    }
}

static inline void table(void *context, enum nw_dimension dimension, uint64_t address, const struct nw_walk_start *next)
{
    struct cached *c = context;
    const struct nw_paging *p = dimension == NW_GUEST ? c->guest : c->nested;
    unsigned covers = nw_level_log2(p, next->level + 1u);
    struct nw_tlb_entry e = { .page_log2 = (uint8_t)covers,
                              .page = address >> covers,
                              .hpa = next->table.v,
                              .payload = { next->table_writable, next->table_gpa.v, next->allowed } };
    nw_tlb_insert(&c->psc[dimension][next->level], &e, NULL);
}

static inline bool nested_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                                 struct nw_nested_translation *out)
{
    struct cached *c = context;
    const struct nw_tlb_entry *e = nw_tlb_lookup(&c->nested_tlb, gpa.v, &tag);
    if (!e)
        return false;
    *out = (struct nw_nested_translation){ .hpa = nw_hpa(e->hpa | (gpa.v & (NW_BIT(e->page_log2) - 1))),
                                           .allowed = e->payload[0],
                                           .page_log2 = e->page_log2,
                                           .dirty = e->payload[1] };
    return nw_nested_serves(out, q);
}

static inline void nested_fill(void *context, gpa_t gpa, const struct nw_nested_request *q,
                               const struct nw_nested_translation *t)
{
    (void)q;
    struct cached *c = context;
    struct nw_tlb_entry e = { .page_log2 = t->page_log2,
                              .page = gpa.v >> t->page_log2,
                              .hpa = t->hpa.v & ~(NW_BIT(t->page_log2) - 1),
                              .payload = { t->allowed, t->dirty } };
    nw_tlb_insert(&c->nested_tlb, &e, NULL);
}

static const struct nw_walk_hooks all_hooks = {
    load, update, start, table, nested_lookup, nested_fill, reference, NULL
};
static const struct nw_walk_hooks psc_hooks = { load, update, start, table, NULL, NULL, reference, NULL };
static const struct nw_walk_hooks nested_tlb_hooks = { load,          update,      NULL,      NULL,
                                                       nested_lookup, nested_fill, reference, NULL };

typedef void walk_fn(struct cached *c, gva_t gva, const struct nw_access *a, struct nw_walk_result *r);
static NW_NOINLINE void walk_all(struct cached *c, gva_t gva, const struct nw_access *a, struct nw_walk_result *r)
{
    nw_walk_run(&all_hooks, c, c->guest, c->nested, gva, a, r);
}
static NW_NOINLINE void walk_psc(struct cached *c, gva_t gva, const struct nw_access *a, struct nw_walk_result *r)
{
    nw_walk_run(&psc_hooks, c, c->guest, c->nested, gva, a, r);
}
static NW_NOINLINE void walk_nested_tlb(struct cached *c, gva_t gva, const struct nw_access *a,
                                        struct nw_walk_result *r)
{
    nw_walk_run(&nested_tlb_hooks, c, c->guest, c->nested, gva, a, r);
}

static void cached_init(struct cached *c, struct machine *m, uint32_t entries)
{
    *c = (struct cached){ .pm = m->pm, .guest = &m->guest.paging, .nested = &m->nested.paging };
    for (unsigned d = 0; d < 2; d++) {
        const struct nw_paging *p = d == NW_GUEST ? c->guest : c->nested;
        for (unsigned level = 0; level + 1u < p->levels; level++) {
            struct nw_tlb_geometry g = { .entries = entries, .ways = entries, .page_sizes = 1 };
            g.page_log2[0] = (uint8_t)nw_level_log2(p, level + 1);
            must(nw_tlb_init(&c->psc[d][level], "psc", &g, 1, err));
        }
    }
    struct nw_tlb_geometry g = { .entries = entries, .ways = entries, .page_log2 = { 12, 21, 30 }, .page_sizes = 3 };
    must(nw_tlb_init(&c->nested_tlb, "nested_tlb", &g, 1, err));
}

static void cached_fini(struct cached *c)
{
    for (unsigned d = 0; d < 2; d++)
        for (unsigned level = 0; level < NW_LEVELS_MAX; level++)
            nw_tlb_fini(&c->psc[d][level]);
    nw_tlb_fini(&c->nested_tlb);
}

enum { PAGES = 64 };
static uint64_t page_gva(unsigned i)
{
    return (UINT64_C(0x7f0000000000) + ((uint64_t)(i % 4) << 30) + ((uint64_t)(i / 4 % 4) << 21)) | (uint64_t)i << 12;
}

/* Random rights everywhere, in nested leaves too, so that faults of all kinds come up. */
static void random_tables(struct machine *m, struct nw_paging nested, struct nw_rng *rng)
{
    machine_init(m);
    machine_nested(m, nested, x86_paging(4), 12, 16 << 20);
    for (unsigned i = 0; i < PAGES; i++) {
        unsigned attributes =
            NW_MAP_READ | (unsigned)(nw_rng_next(rng) & (NW_MAP_WRITE | NW_MAP_EXECUTE | NW_MAP_USER));
        must(nw_builder_map(&m->guest, page_gva(i), 0x800000 + (nw_rng_below(rng, 64) << 12), 12, attributes, err));
    }
    for (uint64_t gpa = 0x100000; gpa < 0x110000; gpa += 4096) /* guest tables: some cannot be written */
        must(nw_builder_protect(&m->nested, gpa,
                                nw_rng_below(rng, 10) ? NW_MAP_ALL : NW_MAP_ALL & ~(unsigned)NW_MAP_WRITE, err));
    for (uint64_t gpa = 0x800000; gpa < 0x840000; gpa += 4096)
        must(nw_builder_protect(&m->nested, gpa, NW_MAP_READ | (unsigned)(nw_rng_next(rng) & (NW_MAP_ALL)), err));
}

static void caches_change_nothing(walk_fn *walk, struct nw_paging nested, uint32_t entries, uint64_t seed,
                                  uint64_t outcomes[])
{
    struct nw_rng rng = nw_rng_for(seed, "caches");
    struct machine m;
    struct cached c;
    random_tables(&m, nested, &rng);
    cached_init(&c, &m, entries);
    for (unsigned n = 0; n < 4000; n++) {
        struct nw_access a = { .kind = (enum nw_access_kind)nw_rng_below(&rng, NW_ACCESS_KINDS),
                               .user = nw_rng_below(&rng, 2) };
        gva_t gva = nw_gva(page_gva((unsigned)nw_rng_below(&rng, PAGES + 4)) + 0x18);
        struct nw_walk_result r, p, q;
        walk(&c, gva, &a, &r);
        nw_walk_nested(m.pm, &m.guest.paging, &m.nested.paging, gva, &a, NULL, &p);
        outcomes[r.outcome]++;
        if (r.outcome != p.outcome || (r.outcome == NW_WALK_OK && (r.hpa.v != p.hpa.v || r.page_log2 != p.page_log2)) ||
            (r.outcome != NW_WALK_OK && (r.fault.code != p.fault.code || r.fault.address != p.fault.address))) {
            char one[200], two[200];
            nw_walk_describe(&r, one, sizeof one);
            nw_walk_describe(&p, two, sizeof two);
            fail_msg("seed %llu walk %u: with caches %s, without %s", (unsigned long long)seed, n, one, two);
        }
        if (r.outcome == NW_WALK_OK) { /* rights, once all A and D are set, are the same as well */
            walk(&c, gva, &a, &q);
            assert_int_equal(q.rights, p.rights | (q.rights & NW_RIGHT_DIRTY));
        }
    }
    cached_fini(&c);
    machine_fini(&m);
}

static void caches__never_change_what_a_walk_finds(void **state)
{
    (void)state;
    uint64_t outcomes[NW_WALK_OUTCOMES] = { 0 };
    static walk_fn *const walks[] = { walk_all, walk_psc, walk_nested_tlb };
    for (size_t i = 0; i < NW_ARRAY_LEN(walks); i++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            caches_change_nothing(walks[i], ept_paging(4, true), 4, seed, outcomes);
            caches_change_nothing(walks[i], ept_paging(4, false), 16, seed, outcomes);
            caches_change_nothing(walks[i], npt_paging(4), 2, seed, outcomes);
        }
    assert_true(outcomes[NW_WALK_OK] > 10000 && outcomes[NW_WALK_PAGE_FAULT] > 10000);
    assert_true(outcomes[NW_WALK_EPT_VIOLATION] > 10000 && outcomes[NW_WALK_NPF] > 10000);
}

static void caches__warm_walk_costs_what_the_literature_says(void **state)
{
    (void)state;
    static const struct {
        walk_fn *walk;
        unsigned guest, nested;
    } expected[] = {
        { walk_psc, 1,
          1 }, /* the guest's PDE cache leads to its PT, the nested one to the EPT leaf table of the data */
        { walk_nested_tlb, 4, 0 }, /* four guest entries, every GPA known */
        { walk_all, 1, 0 },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(expected); i++) {
        struct machine m;
        struct cached c;
        struct nw_walk_result r;
        machine_init(&m);
        machine_nested(&m, ept_paging(4, true), x86_paging(4), 12, 64 << 20);
        must(nw_builder_map_range(&m.guest, 0x40000000, 0x1000000, 0x400000, 12, NW_MAP_ALL, err));
        cached_init(&c, &m, 4096);
        for (unsigned round = 0; round < 2; round++) {
            struct nw_rng rng = nw_rng_seeded(9);
            for (unsigned n = 0; n < 5000; n++) {
                gva_t gva = nw_gva(0x40000000 + (nw_rng_below(&rng, 0x400) << 12));
                c.references[NW_GUEST] = c.references[NW_NESTED] = 0;
                expected[i].walk(&c, gva, &(struct nw_access){ .kind = NW_ACCESS_WRITE }, &r);
                assert_int_equal(r.outcome, NW_WALK_OK);
                if (round &&
                    (c.references[NW_GUEST] != expected[i].guest || c.references[NW_NESTED] != expected[i].nested))
                    fail_msg("instance %zu: %u guest and %u nested references, expected %u and %u", i,
                             c.references[NW_GUEST], c.references[NW_NESTED], expected[i].guest, expected[i].nested);
            }
        }
        cached_fini(&c);
        machine_fini(&m);
    }
}

static void caches__entry_without_accessed_flag_is_not_reported_before_it_is_set(void **state)
{
    (void)state;
    struct machine m;
    struct cached c;
    struct nw_walk_result r;
    machine_init(&m);
    machine_nested(&m, npt_paging(4), x86_paging(4), 12, 16 << 20);
    must(nw_builder_map(&m.guest, 0x5000, 0x800000, 12, NW_MAP_ALL, err));
    must(nw_builder_map(&m.guest, 0x7000, 0x800000, 12, NW_MAP_READ, err));
    cached_init(&c, &m, 16);
    walk_psc(&c, nw_gva(0x7000), &(struct nw_access){ .kind = NW_ACCESS_WRITE, .user = true },
             &r); /* faults: A stays clear */
    assert_int_equal(r.outcome, NW_WALK_PAGE_FAULT);
    for (unsigned level = 0; level < 3; level++)
        assert_null(nw_tlb_peek(&c.psc[NW_GUEST][level], 0x7000, &tag));
    walk_psc(&c, nw_gva(0x5000), &(struct nw_access){ .kind = NW_ACCESS_READ }, &r);
    assert_int_equal(r.outcome, NW_WALK_OK);
    for (unsigned level = 0; level < 3; level++)
        assert_non_null(nw_tlb_peek(&c.psc[NW_GUEST][level], 0x7000, &tag));
    walk_psc(&c, nw_gva(0x9000), &(struct nw_access){ .kind = NW_ACCESS_READ },
             &r); /* not present, all of the way cached */
    assert_int_equal(r.outcome, NW_WALK_PAGE_FAULT);
    cached_fini(&c);
    machine_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches__never_change_what_a_walk_finds),
        cmocka_unit_test(caches__warm_walk_costs_what_the_literature_says),
        cmocka_unit_test(caches__entry_without_accessed_flag_is_not_reported_before_it_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
