/* Direct paging: each rule and each refusal with its known answer, and random requests against counts that are derived
 * from scratch by scanning the tables. */
#include "mmu/mmu_common.h"
#include <inttypes.h>
#include <nestwalk/mmu/direct.h>

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PSE = 0x80, G = 0x100, RW = P | W | U | A | D, RO = P | U | A };

/* MFNs of the small domain: it owns [FIRST, LAST]. */
enum { FIRST = 0x200, ROOT = 0x200, L3 = 0x201, L2 = 0x202, L1 = 0x203, DATA = 0x210, SUPER = 0x400, LAST = 0x5ff };

struct domain {
    struct nw_physmem *pm;
    struct nw_direct *d;
    struct nw_direct_outcome out;
    unsigned flushes, invlpgs;
    uint64_t invlpg_gva;
};

static bool owns(void *context, uint64_t mfn)
{
    (void)context;
    return mfn >= FIRST && mfn <= LAST;
}
static void flushed(void *context, const gva_t *address)
{
    struct domain *g = context;
    if (address) {
        g->invlpgs++;
        g->invlpg_gva = address->v;
    } else {
        g->flushes++;
    }
}

static void domain_init(struct domain *g, struct nw_direct_config c)
{
    memset(g, 0, sizeof *g);
    must(nw_physmem_create(&g->pm, err));
    c.pm = g->pm;
    c.owns = owns;
    c.flush = flushed;
    c.context = g;
    must(nw_direct_create(&g->d, &c, err));
}
static void domain_fini(struct domain *g)
{
    nw_direct_destroy(g->d);
    nw_physmem_destroy(g->pm);
}

static uint64_t slot(uint64_t mfn, unsigned index) { return mfn << 12 | index * 8; }
static uint64_t entry(uint64_t mfn, uint64_t flags) { return mfn << 12 | flags; }
static void poke(struct domain *g, uint64_t mfn, unsigned index, uint64_t e)
{
    must(nw_physmem_write64(g->pm, nw_hpa(slot(mfn, index)), e, err));
}
static uint64_t peek(const struct domain *g, uint64_t mfn, unsigned index)
{
    return nw_physmem_read64(g->pm, nw_hpa(slot(mfn, index)));
}

static enum nw_direct_refusal update(struct domain *g, uint64_t ptr, uint64_t val)
{
    struct nw_direct_update u = { ptr, val };
    must(nw_direct_mmu_update(g->d, &u, 1, &g->out, err));
    assert_int_equal(g->out.done, !g->out.refusal);
    return g->out.refusal;
}
static enum nw_direct_refusal extended(struct domain *g, enum nw_direct_command command, uint64_t mfn)
{
    struct nw_direct_mmuext c = { .command = command, .mfn = mfn };
    must(nw_direct_mmuext(g->d, &c, 1, &g->out, err));
    assert_int_equal(g->out.done, !g->out.refusal);
    return g->out.refusal;
}
static enum nw_direct_refusal store(struct domain *g, uint64_t address, unsigned bytes, uint64_t value)
{
    must(nw_direct_ptwr(g->d, nw_hpa(address), bytes, value, &g->out, err));
    return g->out.refusal;
}
static enum nw_direct_refusal map(struct domain *g, uint64_t gva, uint64_t value, unsigned flags)
{
    must(nw_direct_update_va_mapping(g->d, nw_gva(gva), value, flags, &g->out, err));
    return g->out.refusal;
}
static struct nw_direct_frame look(const struct domain *g, uint64_t mfn)
{
    struct nw_direct_frame f;
    nw_direct_frame(g->d, mfn, &f);
    return f;
}
#define assert_frame(g, mfn, a_type, a_count, a_references)                                                            \
    do {                                                                                                               \
        struct nw_direct_frame f_ = look((g), (mfn));                                                                  \
        assert_string_equal(nw_direct_type_name[f_.type], nw_direct_type_name[NW_DIRECT_##a_type]);                    \
        assert_int_equal(f_.type_count, (a_count));                                                                    \
        assert_int_equal(f_.references, (a_references));                                                               \
        assert_int_equal(f_.validated, nw_direct_type_is_table(f_.type));                                              \
    } while (0)

/* A tree of one table a level at address 0 that maps DATA .. DATA + 3 writable, not yet known to the hypervisor. */
static void tree(struct domain *g)
{
    poke(g, ROOT, 0, entry(L3, RW));
    poke(g, L3, 0, entry(L2, RW));
    poke(g, L2, 0, entry(L1, RW));
    for (unsigned i = 0; i < 4; i++)
        poke(g, L1, i, entry(DATA + i, RW));
}
static void running(struct domain *g, struct nw_direct_config c)
{
    domain_init(g, c);
    tree(g);
    assert_int_equal(extended(g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_OK);
    assert_int_equal(extended(g, NW_DIRECT_NEW_BASEPTR, ROOT), NW_DIRECT_OK);
}
static const struct nw_direct_config plain = { 0 };

/* ---- promotion and demotion --------------------------------------------------------------------------------- */

static void promotion__validates_the_whole_tree(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    const struct nw_direct_counters *c = nw_direct_counters(g.d);
    assert_frame(&g, ROOT, L4, 2, 2); /* pin and base pointer */
    assert_frame(&g, L3, L3, 1, 1);
    assert_frame(&g, L2, L2, 1, 1);
    assert_frame(&g, L1, L1, 1, 1);
    assert_frame(&g, DATA, WRITABLE, 1, 1);
    assert_frame(&g, DATA + 4, NONE, 0, 0);
    assert_int_equal(c->validated_entries, 4 * 512 - 16);
    assert_int_equal(c->promoted_l1 + c->promoted_l2 + c->promoted_l3 + c->promoted_l4, 4);
    assert_int_equal(c->writable_leaves, 4);
    assert_int_equal(nw_direct_base(g.d), ROOT);
    domain_fini(&g);
}

static void demotion__releases_all_when_the_last_use_ends(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    const struct nw_direct_counters *c = nw_direct_counters(g.d);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, ROOT), NW_DIRECT_OK);
    assert_frame(&g, ROOT, L4, 1, 1); /* the base pointer keeps it */
    assert_int_equal(c->demoted_l4, 0);
    poke(&g, 0x300, 0, 0);
    assert_int_equal(extended(&g, NW_DIRECT_NEW_BASEPTR, 0x300), NW_DIRECT_OK); /* an empty root */
    for (uint64_t mfn = ROOT; mfn <= DATA + 4; mfn++)
        assert_frame(&g, mfn, NONE, 0, 0);
    assert_int_equal(c->tables_l1 + c->tables_l2 + c->tables_l3, 0);
    assert_int_equal(c->tables_l4, 1);
    assert_int_equal(c->demoted_l1, 1);
    assert_int_equal(c->writable_leaves, 0);
    assert_int_equal(c->released_entries, 4 * 512 - 16);
    domain_fini(&g);
}

static void promotion__refused_deep_down_leaves_nothing_behind(void **state)
{
    (void)state;
    struct domain g;
    domain_init(&g, plain);
    tree(&g);
    poke(&g, L1, 511, entry(L3, RW)); /* a writable mapping of a table */
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(g.out.table, NW_DIRECT_L1);
    assert_int_equal(g.out.entry_hpa, slot(L1, 511));
    assert_int_equal(g.out.value, entry(L3, RW));
    assert_int_equal(g.out.mfn, L3);
    for (uint64_t mfn = FIRST; mfn <= LAST; mfn++)
        assert_frame(&g, mfn, NONE, 0, 0);
    assert_int_equal(nw_direct_counters(g.d)->unwound_promotions, 4);
    assert_int_equal(nw_direct_counters(g.d)->writable_leaves, 0);
    poke(&g, L1, 511, entry(L3, RO));
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_OK);
    assert_frame(&g, L3, L3, 1, 2);
    domain_fini(&g);
}

static void promotion__keeps_others_uses_when_it_is_undone(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    poke(&g, 0x300, 0, entry(L3, RW));
    poke(&g, 0x300, 511, entry(0x100, RW)); /* foreign */
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, 0x300), NW_DIRECT_NOT_OWNED);
    assert_frame(&g, L3, L3, 1, 1);
    assert_frame(&g, 0x300, NONE, 0, 0);
    domain_fini(&g);
}

static void promotion__clears_the_hypervisors_slots(void **state)
{
    (void)state;
    struct domain g;
    domain_init(&g, plain);
    tree(&g);
    poke(&g, ROOT, 256, entry(0x100, RW)); /* not looked at */
    poke(&g, ROOT, 271, ~UINT64_C(0));
    poke(&g, ROOT, 272, entry(L3, RW));
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_OK);
    assert_int_equal(peek(&g, ROOT, 256), 0);
    assert_int_equal(peek(&g, ROOT, 271), 0);
    assert_frame(&g, L3, L3, 2, 2);
    domain_fini(&g);
}

/* ---- updates ------------------------------------------------------------------------------------------------ */

static void update__moves_references_from_the_old_frame_to_the_new(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(update(&g, slot(L1, 0), entry(DATA + 9, RO)), NW_DIRECT_OK);
    assert_frame(&g, DATA, NONE, 0, 0);
    assert_frame(&g, DATA + 9, NONE, 0, 1);
    assert_int_equal(update(&g, slot(L1, 0), 0), NW_DIRECT_OK);
    assert_frame(&g, DATA + 9, NONE, 0, 0);
    assert_int_equal(update(&g, slot(L1, 0), 0x1234000), NW_DIRECT_OK); /* not present: any bits */
    assert_int_equal(peek(&g, L1, 0), 0x1234000);
    domain_fini(&g);
}

static void update__of_an_upper_entry_promotes_and_demotes(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    poke(&g, 0x204, 0, entry(DATA, RW));
    assert_int_equal(update(&g, slot(L2, 0), entry(0x204, RW)), NW_DIRECT_OK);
    assert_frame(&g, 0x204, L1, 1, 1);
    assert_frame(&g, L1, NONE, 0, 0);
    assert_frame(&g, DATA, WRITABLE, 1, 1);
    assert_frame(&g, DATA + 1, NONE, 0, 0);
    domain_fini(&g);
}

static void update__to_the_same_table_does_not_demote_it(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    uint64_t before = nw_direct_counters(g.d)->validated_entries;
    assert_int_equal(update(&g, slot(L2, 0), entry(L1, RO)), NW_DIRECT_OK); /* R/W is not free to change */
    assert_int_equal(nw_direct_counters(g.d)->flag_updates, 0);
    assert_int_equal(nw_direct_counters(g.d)->validated_entries, before);
    assert_frame(&g, L1, L1, 1, 1);
    domain_fini(&g);
}

static void update__of_free_flags_is_fast(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    uint64_t e = entry(DATA, P | W | G) | UINT64_C(1) << 63 | 0xe00 | UINT64_C(0x7ff) << 52;
    assert_int_equal(update(&g, slot(L1, 0), e), NW_DIRECT_OK);
    assert_int_equal(nw_direct_counters(g.d)->flag_updates, 1);
    assert_int_equal(peek(&g, L1, 0), e);
    assert_frame(&g, DATA, WRITABLE, 1, 1);
    domain_fini(&g);
}

static void preserve_ad__keeps_what_the_processor_set(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    uint64_t clean = entry(DATA, P | W | U);
    assert_int_equal(update(&g, slot(L1, 0), clean), NW_DIRECT_OK);
    assert_int_equal(peek(&g, L1, 0), clean);
    poke(&g, L1, 0, clean | A | D); /* the processor's walk */
    assert_int_equal(update(&g, slot(L1, 0) | NW_DIRECT_PT_UPDATE_PRESERVE_AD, clean), NW_DIRECT_OK);
    assert_int_equal(peek(&g, L1, 0), clean | A | D);
    assert_int_equal(update(&g, slot(L1, 0) | NW_DIRECT_PT_UPDATE_PRESERVE_AD, entry(DATA + 1, P)), NW_DIRECT_OK);
    assert_int_equal(peek(&g, L1, 0), entry(DATA + 1, P | A | D));
    assert_frame(&g, DATA, NONE, 0, 0);
    domain_fini(&g);
}

static void batch__stops_at_the_first_refused_request(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    struct nw_direct_update u[] = { { slot(L1, 8), entry(DATA + 8, RW) },
                                    { slot(L1, 9), entry(ROOT, RW) },
                                    { slot(L1, 10), entry(DATA + 10, RW) } };
    must(nw_direct_mmu_update(g.d, u, 3, &g.out, err));
    assert_int_equal(g.out.refusal, NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(g.out.done, 1);
    assert_frame(&g, DATA + 8, WRITABLE, 1, 1);
    assert_int_equal(peek(&g, L1, 9), 0);
    assert_int_equal(peek(&g, L1, 10), 0);
    char text[256];
    nw_direct_outcome_describe(&g.out, text, sizeof text);
    assert_non_null(strstr(text, "L1 entry 0x203048 = 0x200067, frame 0x200: The frame is in use as another type"));
    must(nw_direct_mmu_update(g.d, u, 0, &g.out, err));
    assert_int_equal(g.out.refusal, NW_DIRECT_OK);
    domain_fini(&g);
}

static void update__of_a_page_that_is_no_table_is_a_write(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(update(&g, slot(DATA, 5), 0xdeadbeef), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(DATA + 9, 5), 0xdeadbeef), NW_DIRECT_OK);
    assert_int_equal(peek(&g, DATA + 9, 5), 0xdeadbeef);
    assert_int_equal(nw_direct_counters(g.d)->plain_writes, 2);
    assert_frame(&g, DATA, WRITABLE, 1, 1);
    assert_frame(&g, DATA + 9, NONE, 0, 0);
    domain_fini(&g);
}

static void machphys__is_kept_by_frame(void **state)
{
    (void)state;
    struct domain g;
    domain_init(&g, plain);
    assert_true(look(&g, DATA).gpfn == NW_DIRECT_NO_FRAME);
    assert_int_equal(update(&g, slot(DATA, 0) | NW_DIRECT_MACHPHYS_UPDATE, 0x77), NW_DIRECT_OK);
    assert_int_equal(look(&g, DATA).gpfn, 0x77);
    assert_int_equal(update(&g, slot(0x100, 0) | NW_DIRECT_MACHPHYS_UPDATE, 0x77), NW_DIRECT_NOT_OWNED);
    assert_frame(&g, DATA, NONE, 0, 0);
    domain_fini(&g);
}

/* ---- refusals ----------------------------------------------------------------------------------------------- */

static void refusals__one_row_a_rule(void **state)
{
    (void)state;
    static const struct {
        uint64_t ptr, val;
        enum nw_direct_refusal refusal;
    } row[] = {
        { L1 << 12 | 64, 0x100067, NW_DIRECT_NOT_OWNED },
        { L1 << 12 | 64, UINT64_C(0xfffffffff067), NW_DIRECT_NOT_OWNED },
        { 0x100000, 0, NW_DIRECT_NOT_OWNED },
        { L1 << 12 | 64, DATA << 12 | RW | PSE, NW_DIRECT_BAD_FLAGS }, /* PAT */
        { L1 << 12 | 64, DATA << 12 | RW | 0x8, NW_DIRECT_BAD_FLAGS },
        { L1 << 12 | 64, DATA << 12 | RW | 0x10, NW_DIRECT_BAD_FLAGS },
        { L2 << 12 | 64, SUPER << 12 | RW | PSE, NW_DIRECT_BAD_FLAGS }, /* no superpages */
        { L2 << 12 | 64, 0x300 << 12 | RW | G, NW_DIRECT_BAD_FLAGS },
        { L3 << 12 | 64, SUPER << 12 | RW | PSE, NW_DIRECT_BAD_FLAGS },
        { ROOT << 12 | 64, 0x300 << 12 | RW | PSE, NW_DIRECT_BAD_FLAGS },
        { L1 << 12 | 64, L1 << 12 | RW, NW_DIRECT_TYPE_CONFLICT },
        { L1 << 12 | 64, ROOT << 12 | RW, NW_DIRECT_TYPE_CONFLICT },
        { L2 << 12 | 64, DATA << 12 | RO, NW_DIRECT_TYPE_CONFLICT }, /* writable, so no table */
        { L2 << 12 | 64, L3 << 12 | RO, NW_DIRECT_TYPE_CONFLICT },
        { L3 << 12 | 64, L1 << 12 | RO, NW_DIRECT_TYPE_CONFLICT },
        { ROOT << 12 | 64, ROOT << 12 | RO, NW_DIRECT_LINEAR }, /* not allowed by this configuration */
        { ROOT << 12 | 256 * 8, 0, NW_DIRECT_HYPERVISOR_SLOT },
        { ROOT << 12 | 271 * 8, 0x300 << 12 | RW, NW_DIRECT_HYPERVISOR_SLOT },
        { L1 << 12 | 64 | 3, DATA << 12 | RW, NW_DIRECT_BAD_COMMAND },
        { L1 << 12 | 64 | 4, DATA << 12 | RW, NW_DIRECT_BAD_COMMAND },
    };
    struct domain g;
    running(&g, plain);
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        uint64_t ptr = row[i].ptr & ~UINT64_C(7), before = nw_physmem_read64(g.pm, nw_hpa(ptr));
        enum nw_direct_refusal r = update(&g, row[i].ptr, row[i].val);
        if (r != row[i].refusal)
            fail_msg("row %zu: %s, not %s", i, nw_direct_refusal_name[r], nw_direct_refusal_name[row[i].refusal]);
        assert_int_equal(nw_physmem_read64(g.pm, nw_hpa(ptr)), before);
    }
    assert_int_equal(nw_direct_counters(g.d)->refused, NW_ARRAY_LEN(row));
    assert_frame(&g, ROOT, L4, 2, 2);
    assert_frame(&g, L1, L1, 1, 1);
    assert_frame(&g, DATA, WRITABLE, 1, 1);
    assert_frame(&g, 0x300, NONE, 0, 0);
    domain_fini(&g);
}

static void cache_attributes__are_for_domains_with_devices(void **state)
{
    (void)state;
    struct domain g;
    running(&g, (struct nw_direct_config){ .cache_attributes = true });
    assert_int_equal(update(&g, slot(L1, 8), entry(DATA + 8, RW | PSE | 0x18)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L2, 8), entry(0x300, RW | 0x8)), NW_DIRECT_BAD_FLAGS);
    /* they change what is cached, and so are not free to change */
    assert_int_equal(update(&g, slot(L1, 8), entry(DATA + 8, RW)), NW_DIRECT_OK);
    assert_int_equal(nw_direct_counters(g.d)->flag_updates, 0);
    domain_fini(&g);
}

static void counts__overflow_is_refused(void **state)
{
    (void)state;
    struct domain g;
    running(&g, (struct nw_direct_config){ .count_max = 3 });
    assert_int_equal(update(&g, slot(L1, 8), entry(DATA, RW)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L1, 9), entry(DATA, RO)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L1, 10), entry(DATA, RO)), NW_DIRECT_COUNT_OVERFLOW);
    assert_frame(&g, DATA, WRITABLE, 2, 3);
    domain_fini(&g);
}

static void create__refuses_other_levels(void **state)
{
    (void)state;
    struct nw_physmem *pm;
    struct nw_direct *d;
    must(nw_physmem_create(&pm, err));
    struct nw_direct_config c = { .pm = pm, .levels = 5 };
    assert_int_equal(nw_direct_create(&d, &c, NULL), NW_ERR_UNSUPPORTED);
    c.levels = 3;
    assert_int_equal(nw_direct_create(&d, &c, NULL), NW_ERR_UNSUPPORTED);
    c.levels = 4;
    c.maxphyaddr = 53;
    assert_int_equal(nw_direct_create(&d, &c, NULL), NW_ERR_USAGE);
    c.maxphyaddr = 32;
    must(nw_direct_create(&d, &c, err)); /* without `owns` the domain has all frames below 2^32 */
    struct nw_direct_outcome out;
    struct nw_direct_update u = { 0xfffff000, 1 };
    must(nw_direct_mmu_update(d, &u, 1, &out, err));
    assert_int_equal(out.refusal, NW_DIRECT_OK);
    u.ptr = UINT64_C(0x100000000);
    must(nw_direct_mmu_update(d, &u, 1, &out, err));
    assert_int_equal(out.refusal, NW_DIRECT_NOT_OWNED);
    nw_direct_destroy(d);
    nw_physmem_destroy(pm);
}

static void names__are_complete(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NW_DIRECT_REFUSALS; i++) {
        assert_non_null(nw_direct_refusal_name[i]);
        assert_non_null(nw_direct_refusal_text[i]);
    }
    assert_int_equal(sizeof(struct nw_direct_counters), NW_DIRECT_COUNTERS * sizeof(uint64_t));
    for (unsigned i = 0; i < NW_DIRECT_COUNTERS; i++)
        assert_int_equal(nw_direct_counter_row[i].offset, i * sizeof(uint64_t));
}

/* ---- pins, base pointers ------------------------------------------------------------------------------------ */

static void pin__once_and_unpin_once(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_PINNED);
    assert_frame(&g, ROOT, L4, 2, 2);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L2_TABLE, L1), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, DATA), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, 0x100), NW_DIRECT_NOT_OWNED);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, L1), NW_DIRECT_OK);
    assert_true(look(&g, L1).pinned);
    assert_int_equal(update(&g, slot(L2, 0), 0), NW_DIRECT_OK);
    assert_frame(&g, L1, L1, 1, 1); /* only the pin keeps it */
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, L1), NW_DIRECT_OK);
    assert_frame(&g, L1, NONE, 0, 0);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, L1), NW_DIRECT_NOT_PINNED);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, L2), NW_DIRECT_NOT_PINNED);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, 0x100), NW_DIRECT_NOT_OWNED);
    assert_int_equal(extended(&g, (enum nw_direct_command)12, 0), NW_DIRECT_BAD_COMMAND);
    domain_fini(&g);
}

static void base_pointer__holds_its_root_and_flushes(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(g.flushes, 1);
    assert_int_equal(extended(&g, NW_DIRECT_NEW_BASEPTR, ROOT), NW_DIRECT_OK); /* the same again */
    assert_int_equal(g.flushes, 2);
    assert_frame(&g, ROOT, L4, 2, 2);
    assert_int_equal(extended(&g, NW_DIRECT_NEW_BASEPTR, L3), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(extended(&g, NW_DIRECT_NEW_BASEPTR, 0x100), NW_DIRECT_NOT_OWNED);
    assert_int_equal(nw_direct_base(g.d), ROOT);
    assert_int_equal(extended(&g, NW_DIRECT_NEW_USER_BASEPTR, ROOT), NW_DIRECT_OK);
    assert_frame(&g, ROOT, L4, 3, 3);
    assert_int_equal(nw_direct_user_base(g.d), ROOT);
    assert_int_equal(extended(&g, NW_DIRECT_NEW_USER_BASEPTR, 0), NW_DIRECT_OK);
    assert_frame(&g, ROOT, L4, 2, 2);
    assert_true(nw_direct_user_base(g.d) == NW_DIRECT_NO_FRAME);
    assert_int_equal(g.flushes, 2);
    domain_fini(&g);
}

static void flush__commands_reach_the_processor(void **state)
{
    (void)state;
    struct domain g;
    domain_init(&g, plain);
    struct nw_direct_mmuext c[] = { { .command = NW_DIRECT_TLB_FLUSH_LOCAL },
                                    { .command = NW_DIRECT_TLB_FLUSH_ALL },
                                    { .command = NW_DIRECT_INVLPG_LOCAL, .gva = nw_gva(0x5000) } };
    must(nw_direct_mmuext(g.d, c, 3, &g.out, err));
    assert_int_equal(g.out.done, 3);
    assert_int_equal(g.flushes, 2);
    assert_int_equal(g.invlpgs, 1);
    assert_int_equal(g.invlpg_gva, 0x5000);
    domain_fini(&g);
}

static void type_change__flushes_once_while_old_translations_may_live(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    unsigned before = g.flushes;
    assert_int_equal(update(&g, slot(L1, 0), 0), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L1, 1), 0), NW_DIRECT_OK);
    poke(&g, DATA, 0, 0);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, DATA), NW_DIRECT_OK);
    assert_int_equal(g.flushes, before + 1);
    /* That flush has taken the translations of the second page as well. */
    poke(&g, DATA + 1, 0, 0);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, DATA + 1), NW_DIRECT_OK);
    /* A frame that never had a type has none to be afraid of. */
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, 0x310), NW_DIRECT_OK);
    assert_int_equal(g.flushes, before + 1);
    assert_int_equal(nw_direct_counters(g.d)->tlb_flush_type, 1);
    domain_fini(&g);
}

static void pages__are_cleared_and_copied_only_when_they_are_no_tables(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    poke(&g, DATA, 7, 0x1234);
    struct nw_direct_mmuext c = { .command = NW_DIRECT_COPY_PAGE, .mfn = DATA + 1, .source_mfn = DATA };
    must(nw_direct_mmuext(g.d, &c, 1, &g.out, err));
    assert_int_equal(g.out.refusal, NW_DIRECT_OK);
    assert_int_equal(peek(&g, DATA + 1, 7), 0x1234);
    assert_int_equal(extended(&g, NW_DIRECT_CLEAR_PAGE, DATA), NW_DIRECT_OK);
    assert_int_equal(peek(&g, DATA, 7), 0);
    assert_int_equal(extended(&g, NW_DIRECT_CLEAR_PAGE, L1), NW_DIRECT_TYPE_CONFLICT);
    c.source_mfn = 0x100;
    must(nw_direct_mmuext(g.d, &c, 1, &g.out, err));
    assert_int_equal(g.out.refusal, NW_DIRECT_NOT_OWNED);
    assert_int_equal(peek(&g, L1, 0), entry(DATA, RW));
    domain_fini(&g);
}

/* ---- update_va_mapping, writable page tables ---------------------------------------------------------------- */

static void va_mapping__changes_the_l1_entry_and_flushes(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    unsigned flushes = g.flushes;
    assert_int_equal(map(&g, 0x1fff123, entry(DATA, RO), NW_DIRECT_UVMF_NONE), NW_DIRECT_NO_MAPPING);
    assert_int_equal(map(&g, 0x1ff123, entry(DATA, RO), NW_DIRECT_UVMF_INVLPG | NW_DIRECT_UVMF_ALL), NW_DIRECT_OK);
    assert_int_equal(peek(&g, L1, 511), entry(DATA, RO));
    assert_int_equal(g.invlpgs, 1);
    assert_int_equal(map(&g, 0, 0, NW_DIRECT_UVMF_TLB_FLUSH), NW_DIRECT_OK);
    assert_int_equal(g.flushes, flushes + 1);
    assert_frame(&g, DATA, NONE, 0, 1);
    assert_int_equal(map(&g, UINT64_C(0xffff800000000000), 0, 0), NW_DIRECT_HYPERVISOR_SLOT);
    assert_int_equal(map(&g, UINT64_C(0x800000000000), 0, 0), NW_DIRECT_NO_MAPPING);
    assert_int_equal(map(&g, 0x200000, 0, NW_DIRECT_UVMF_TLB_FLUSH), NW_DIRECT_NO_MAPPING);
    assert_int_equal(g.flushes, flushes + 2);
    domain_fini(&g);
}

static void va_mapping__needs_a_base_and_an_l1_table(void **state)
{
    (void)state;
    struct domain g;
    domain_init(&g, (struct nw_direct_config){ .linear_tables = true });
    assert_int_equal(map(&g, 0, 0, 0), NW_DIRECT_NO_MAPPING);
    tree(&g);
    poke(&g, ROOT, 5, entry(ROOT, RO));
    assert_int_equal(extended(&g, NW_DIRECT_NEW_BASEPTR, ROOT), NW_DIRECT_OK);
    /* through the linear slot the walk ends at an L2 table */
    assert_int_equal(map(&g, UINT64_C(5) << 39, entry(DATA, RW), 0), NW_DIRECT_NOT_A_TABLE);
    domain_fini(&g);
}

static void ptwr__does_a_store_to_an_l1_table(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(store(&g, slot(L1, 8), 8, entry(DATA, RW)), NW_DIRECT_OK);
    assert_frame(&g, DATA, WRITABLE, 2, 2);
    assert_int_equal(store(&g, slot(L1, 8), 1, RO), NW_DIRECT_OK); /* the lowest byte only */
    assert_int_equal(peek(&g, L1, 8), entry(DATA, RO));
    assert_frame(&g, DATA, WRITABLE, 1, 2);
    assert_int_equal(store(&g, slot(L1, 8) + 4, 4, 0x80000000), NW_DIRECT_OK);
    assert_int_equal(peek(&g, L1, 8), entry(DATA, RO) | UINT64_C(1) << 63);
    assert_int_equal(nw_direct_counters(g.d)->ptwr_emulations, 3);
    domain_fini(&g);
}

static void ptwr__refuses_all_else(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(store(&g, slot(L2, 8), 8, 0), NW_DIRECT_NOT_A_TABLE);
    assert_int_equal(store(&g, slot(ROOT, 8), 8, 0), NW_DIRECT_NOT_A_TABLE);
    assert_int_equal(store(&g, slot(DATA, 8), 8, 0), NW_DIRECT_NOT_A_TABLE);
    assert_int_equal(store(&g, slot(0x310, 8), 8, 0), NW_DIRECT_NOT_A_TABLE);
    assert_int_equal(store(&g, slot(0x100, 8), 8, 0), NW_DIRECT_NOT_OWNED);
    assert_int_equal(store(&g, slot(L1, 8) + 2, 4, 0), NW_DIRECT_MISALIGNED);
    assert_int_equal(store(&g, slot(L1, 8), 8, entry(L1, RW)), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(peek(&g, L1, 8), 0);
    assert_int_equal(nw_direct_counters(g.d)->ptwr_refused, 7);
    assert_int_equal(nw_direct_ptwr(g.d, nw_hpa(slot(L1, 8)), 3, 0, &g.out, NULL), NW_ERR_USAGE);
    assert_int_equal(nw_direct_ptwr(g.d, nw_hpa(slot(L1, 8)), 16, 0, &g.out, NULL), NW_ERR_USAGE);
    domain_fini(&g);
}

/* ---- superpages, linear tables ------------------------------------------------------------------------------ */

static void superpage__refers_to_each_of_its_frames(void **state)
{
    (void)state;
    struct domain g;
    running(&g, (struct nw_direct_config){ .superpages = true });
    assert_int_equal(update(&g, slot(L2, 1), entry(SUPER, RW | PSE)), NW_DIRECT_OK);
    assert_frame(&g, SUPER, WRITABLE, 1, 1);
    assert_frame(&g, SUPER + 511, WRITABLE, 1, 1);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, SUPER + 5), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(update(&g, slot(L2, 2), entry(SUPER + 1, RW | PSE)), NW_DIRECT_MISALIGNED);
    assert_int_equal(update(&g, slot(L2, 2), entry(0x600, RW | PSE)), NW_DIRECT_NOT_OWNED);
    /* The frames of the tables are in this one. */
    assert_int_equal(update(&g, slot(L2, 2), entry(FIRST, RW | PSE)), NW_DIRECT_TYPE_CONFLICT);
    assert_frame(&g, DATA, WRITABLE, 1, 1);
    assert_int_equal(update(&g, slot(L2, 2), entry(FIRST, RO | PSE)), NW_DIRECT_OK);
    assert_frame(&g, L1, L1, 1, 2);
    /* Taking R/W or PSE away is no free change (XSA-148). */
    assert_int_equal(update(&g, slot(L2, 2), entry(FIRST, RW | PSE)), NW_DIRECT_TYPE_CONFLICT);
    assert_int_equal(update(&g, slot(L2, 1), entry(SUPER, RO | PSE)), NW_DIRECT_OK);
    assert_frame(&g, SUPER, NONE, 0, 1);
    assert_int_equal(nw_direct_counters(g.d)->flag_updates, 0);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, SUPER + 5), NW_DIRECT_OK);
    assert_int_equal(map(&g, 0x200000, 0, 0), NW_DIRECT_NO_MAPPING);
    domain_fini(&g);
}

static void linear__a_root_may_map_itself_read_only(void **state)
{
    (void)state;
    struct domain g;
    domain_init(&g, (struct nw_direct_config){ .linear_tables = true });
    tree(&g);
    poke(&g, ROOT, 510, entry(ROOT, RW));
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_LINEAR);
    poke(&g, ROOT, 510, entry(ROOT, RO));
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, ROOT), NW_DIRECT_OK);
    assert_frame(&g, ROOT, L4, 1, 1);                                       /* it does not keep itself alive */
    assert_int_equal(update(&g, slot(L3, 9), entry(L3, RO)), NW_DIRECT_OK); /* any level above L1 */
    assert_int_equal(update(&g, slot(ROOT, 511), entry(ROOT, RW)), NW_DIRECT_LINEAR);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, ROOT), NW_DIRECT_OK);
    assert_frame(&g, ROOT, NONE, 0, 0);
    assert_frame(&g, L3, NONE, 0, 0);
    domain_fini(&g);
}

static void linear__to_another_root_is_one_step_deep(void **state)
{
    (void)state;
    struct domain g;
    running(&g, (struct nw_direct_config){ .linear_tables = true });
    assert_int_equal(update(&g, slot(ROOT, 5), entry(0x300, RO)), NW_DIRECT_OK); /* an empty page becomes an L3 table */
    assert_int_equal(update(&g, slot(ROOT, 5), 0), NW_DIRECT_OK);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, 0x300), NW_DIRECT_OK);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, 0x301), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(ROOT, 5), entry(0x300, RO)), NW_DIRECT_OK);
    assert_frame(&g, 0x300, L4, 2, 2);
    assert_int_equal(update(&g, slot(0x300, 5), entry(0x301, RO)), NW_DIRECT_LINEAR); /* is used so itself */
    assert_int_equal(update(&g, slot(0x301, 5), entry(ROOT, RO)), NW_DIRECT_LINEAR);  /* has such entries */
    assert_int_equal(update(&g, slot(0x301, 5), entry(0x300, RO)), NW_DIRECT_OK);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, 0x300), NW_DIRECT_OK);
    assert_frame(&g, 0x300, L4, 2, 2);
    assert_int_equal(extended(&g, NW_DIRECT_UNPIN_TABLE, 0x301), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(ROOT, 5), 0), NW_DIRECT_OK);
    assert_frame(&g, 0x300, NONE, 0, 0);
    /* All is forgotten: now the other way round. */
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L4_TABLE, 0x300), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(0x300, 5), entry(ROOT, RO)), NW_DIRECT_OK);
    domain_fini(&g);
}

/* ---- writable mappings -------------------------------------------------------------------------------------- */

static void writable_mappings__are_found_by_frame(void **state)
{
    (void)state;
    struct domain g;
    running(&g, (struct nw_direct_config){ .superpages = true });
    assert_int_equal(update(&g, slot(L1, 8), entry(SUPER + 3, RW)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L1, 9), entry(SUPER + 3, RO)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L1, 10), entry(SUPER + 3, RW)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L1, 11), entry(SUPER + 3, RW)), NW_DIRECT_OK);
    assert_int_equal(update(&g, slot(L2, 1), entry(SUPER, RW | PSE)), NW_DIRECT_OK);
    struct nw_direct_mapping m = { 0 };
    uint64_t sum = 0;
    unsigned count = 0;
    while (nw_direct_writable_next(g.d, SUPER + 3, &m)) {
        sum += m.entry_hpa;
        count++;
        assert_int_equal(m.page_log2, m.entry_hpa == slot(L2, 1) ? 21 : 12);
    }
    assert_int_equal(count, 4);
    assert_int_equal(sum, slot(L1, 8) + slot(L1, 10) + slot(L1, 11) + slot(L2, 1));
    assert_false(nw_direct_writable_next(g.d, SUPER + 3, &m)); /* and stays at the end */
    /* What a ported guest does before the page becomes a table. */
    for (count = 0, m = (struct nw_direct_mapping){ 0 }; nw_direct_writable_next(g.d, SUPER + 3, &m);
         count++, m = (struct nw_direct_mapping){ 0 })
        assert_int_equal(update(&g, m.entry_hpa, nw_physmem_read64(g.pm, nw_hpa(m.entry_hpa)) & ~UINT64_C(2)),
                         NW_DIRECT_OK);
    assert_int_equal(count, 4);
    assert_int_equal(extended(&g, NW_DIRECT_PIN_L1_TABLE, SUPER + 3), NW_DIRECT_OK);
    domain_fini(&g);
}

/* ---- counts against a scan from scratch --------------------------------------------------------------------- */

enum { FRAMES = LAST - FIRST + 1 };
struct scan {
    struct domain *g;
    uint32_t references[FRAMES], types[FRAMES], writable_entries;
    bool seen[FRAMES];
    uint64_t seed;
    unsigned step;
};

static void scan_table(struct scan *s, uint64_t mfn);

static void scan_use(struct scan *s, uint64_t mfn, enum nw_direct_type type)
{
    s->references[mfn - FIRST]++;
    s->types[mfn - FIRST]++;
    if (look(s->g, mfn).type != type)
        fail_msg("seed %" PRIu64 " step %u: frame %" PRIx64 " is used as %s and is %s", s->seed, s->step, mfn,
                 nw_direct_type_name[type], nw_direct_type_name[look(s->g, mfn).type]);
    if (nw_direct_type_is_table(type) && !s->seen[mfn - FIRST]) {
        s->seen[mfn - FIRST] = true;
        scan_table(s, mfn);
    }
}

static void scan_entry(struct scan *s, enum nw_direct_type type, uint64_t mfn, uint64_t e)
{
    uint64_t target = (e & UINT64_C(0xffffffffff000)) >> 12;
    bool super = type == NW_DIRECT_L2 && (e & PSE);
    if (type == NW_DIRECT_L1 || super) {
        s->writable_entries += (e & W) != 0;
        for (unsigned i = 0; i < (super ? 512 : 1); i++)
            if (e & W)
                scan_use(s, target + i, NW_DIRECT_WRITABLE);
            else
                s->references[target + i - FIRST]++;
    } else if (look(s->g, target).type == type) { /* linear */
        assert_false(e & W);
        if (target != mfn)
            scan_use(s, target, type);
    } else {
        scan_use(s, target, type - 1);
    }
}

static void scan_table(struct scan *s, uint64_t mfn)
{
    enum nw_direct_type type = look(s->g, mfn).type;
    for (unsigned i = 0; i < 512; i++)
        if ((peek(s->g, mfn, i) & P) && !(type == NW_DIRECT_L4 && i >= 256 && i <= 271))
            scan_entry(s, type, mfn, peek(s->g, mfn, i));
}

static void scan_check(struct domain *g, uint64_t seed, unsigned step)
{
    static struct scan s;
    memset(&s, 0, sizeof s);
    s.g = g;
    s.seed = seed;
    s.step = step;
    uint64_t base[] = { nw_direct_base(g->d), nw_direct_user_base(g->d) };
    for (unsigned i = 0; i < 2; i++)
        if (base[i] != NW_DIRECT_NO_FRAME)
            scan_use(&s, base[i], NW_DIRECT_L4);
    for (uint64_t mfn = FIRST; mfn <= LAST; mfn++)
        if (look(g, mfn).pinned)
            scan_use(&s, mfn, look(g, mfn).type);
    for (uint64_t mfn = FIRST; mfn <= LAST; mfn++) {
        struct nw_direct_frame f = look(g, mfn);
        unsigned mapped = 0;
        for (struct nw_direct_mapping m = { 0 }; nw_direct_writable_next(g->d, mfn, &m);)
            mapped++;
        if (f.references != s.references[mfn - FIRST] || f.type_count != s.types[mfn - FIRST] ||
            (f.type == NW_DIRECT_NONE) != !f.type_count || f.validated != nw_direct_type_is_table(f.type) ||
            mapped != (f.type == NW_DIRECT_WRITABLE ? f.type_count : 0))
            fail_msg("seed %" PRIu64 " step %u: frame %" PRIx64
                     " is %s with counts %u, %u and %u writable mappings; the "
                     "tables say %u, %u",
                     seed, step, mfn, nw_direct_type_name[f.type], f.references, f.type_count, mapped,
                     s.references[mfn - FIRST], s.types[mfn - FIRST]);
    }
    assert_int_equal(nw_direct_counters(g->d)->writable_leaves, s.writable_entries);
}

/* Frames that are tried as tables: few, so that their uses collide; one leg in foreign memory. */
static uint64_t any_frame(struct nw_rng *r)
{
    uint64_t n = nw_rng_below(r, 40);
    return n == 39 ? 0x100 : n == 38 ? SUPER : n == 37 ? SUPER + nw_rng_below(r, 512) : FIRST + n % 28;
}
static unsigned any_index(struct nw_rng *r)
{
    static const unsigned index[] = { 0, 1, 2, 3, 255, 256, 271, 272, 511 };
    return index[nw_rng_below(r, NW_ARRAY_LEN(index))];
}
static uint64_t any_entry(struct nw_rng *r)
{
    static const uint64_t flags[] = { RW, RW, RW, RO, RO, RO, P, P | W, RO | D, RO | PSE, RW | PSE, RW | G, 0, 0, U };
    return entry(any_frame(r), flags[nw_rng_below(r, NW_ARRAY_LEN(flags))]);
}

/* A store of the guest through a writable mapping: the processor lets it through where the page is no table. The
 * walk's A and D go into tables as well. */
static void guest_touches(struct domain *g, struct nw_rng *r)
{
    uint64_t mfn = any_frame(r);
    unsigned index = any_index(r);
    if (!owns(NULL, mfn))
        return;
    if (!nw_direct_type_is_table(look(g, mfn).type))
        poke(g, mfn, index, any_entry(r));
    else if (peek(g, mfn, index) & P)
        poke(g, mfn, index, peek(g, mfn, index) ^ (nw_rng_below(r, 2) ? A : A | D));
}

static void random_request(struct domain *g, struct nw_rng *r)
{
    switch (nw_rng_below(r, 12)) {
    case 0:
    case 1: extended(g, (enum nw_direct_command)nw_rng_below(r, 4), any_frame(r)); break;
    case 2: extended(g, NW_DIRECT_UNPIN_TABLE, any_frame(r)); break;
    case 3: extended(g, nw_rng_below(r, 2) ? NW_DIRECT_NEW_BASEPTR : NW_DIRECT_NEW_USER_BASEPTR, any_frame(r)); break;
    case 4: map(g, nw_rng_below(r, 4) << 12 | (uint64_t)any_index(r) << 39, any_entry(r), 0); break;
    case 5: store(g, slot(any_frame(r), any_index(r)), 8, any_entry(r)); break;
    case 6: store(g, slot(any_frame(r), any_index(r)), 1, any_entry(r) & 0xff); break;
    case 7: extended(g, nw_rng_below(r, 4) ? NW_DIRECT_CLEAR_PAGE : NW_DIRECT_TLB_FLUSH_LOCAL, any_frame(r)); break;
    default:
        update(g, slot(any_frame(r), any_index(r)) | (nw_rng_below(r, 2) ? NW_DIRECT_PT_UPDATE_PRESERVE_AD : 0),
               any_entry(r));
    }
}

static void random_requests__leave_the_counts_that_the_tables_say(void **state)
{
    (void)state;
    uint64_t refused = 0, unwound = 0, linear = 0, demoted = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct nw_rng r = nw_rng_for(seed, "direct");
        struct domain g;
        domain_init(&g, (struct nw_direct_config){ .superpages = true, .linear_tables = seed % 2 });
        for (unsigned step = 0; step < 3000; step++) {
            for (unsigned n = (unsigned)nw_rng_below(&r, 4); n > 0; n--)
                guest_touches(&g, &r);
            random_request(&g, &r);
            linear += g.out.refusal == NW_DIRECT_LINEAR;
            if (step % 8 == 0 || g.out.refusal == NW_DIRECT_TYPE_CONFLICT)
                scan_check(&g, seed, step);
        }
        refused += nw_direct_counters(g.d)->refused;
        unwound += nw_direct_counters(g.d)->unwound_promotions;
        demoted += nw_direct_counters(g.d)->demoted_l1 + nw_direct_counters(g.d)->demoted_l4;
        domain_fini(&g);
    }
    print_message("seeds 1 to 24: %" PRIu64 " refused, %" PRIu64 " promotions unwound, %" PRIu64 " demotions\n",
                  refused, unwound, demoted);
    assert_true(refused > 1000 && unwound > 100 && demoted > 100 && linear > 0);
}

/* ---- the processor walks the guest's tables ----------------------------------------------------------------- */

static void walk__sets_flags_that_the_counts_do_not_mind(void **state)
{
    (void)state;
    struct domain g;
    running(&g, plain);
    assert_int_equal(update(&g, slot(L1, 0), entry(DATA, P | W | U)), NW_DIRECT_OK);
    struct nw_paging p = x86_paging(4);
    p.root = ROOT << 12;
    struct nw_access write = { .kind = NW_ACCESS_WRITE, .user = true };
    struct nw_walk_result w;
    nw_walk_native(g.pm, &p, nw_gva(0x123), &write, NULL, &w);
    assert_int_equal(w.outcome, NW_WALK_OK);
    assert_int_equal(peek(&g, L1, 0), entry(DATA, RW));
    assert_int_equal(update(&g, slot(L1, 0), 0), NW_DIRECT_OK);
    assert_frame(&g, DATA, NONE, 0, 0);
    domain_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promotion__validates_the_whole_tree),
        cmocka_unit_test(demotion__releases_all_when_the_last_use_ends),
        cmocka_unit_test(promotion__refused_deep_down_leaves_nothing_behind),
        cmocka_unit_test(promotion__keeps_others_uses_when_it_is_undone),
        cmocka_unit_test(promotion__clears_the_hypervisors_slots),
        cmocka_unit_test(update__moves_references_from_the_old_frame_to_the_new),
        cmocka_unit_test(update__of_an_upper_entry_promotes_and_demotes),
        cmocka_unit_test(update__to_the_same_table_does_not_demote_it),
        cmocka_unit_test(update__of_free_flags_is_fast),
        cmocka_unit_test(preserve_ad__keeps_what_the_processor_set),
        cmocka_unit_test(batch__stops_at_the_first_refused_request),
        cmocka_unit_test(update__of_a_page_that_is_no_table_is_a_write),
        cmocka_unit_test(machphys__is_kept_by_frame),
        cmocka_unit_test(refusals__one_row_a_rule),
        cmocka_unit_test(cache_attributes__are_for_domains_with_devices),
        cmocka_unit_test(counts__overflow_is_refused),
        cmocka_unit_test(create__refuses_other_levels),
        cmocka_unit_test(names__are_complete),
        cmocka_unit_test(pin__once_and_unpin_once),
        cmocka_unit_test(base_pointer__holds_its_root_and_flushes),
        cmocka_unit_test(flush__commands_reach_the_processor),
        cmocka_unit_test(type_change__flushes_once_while_old_translations_may_live),
        cmocka_unit_test(pages__are_cleared_and_copied_only_when_they_are_no_tables),
        cmocka_unit_test(va_mapping__changes_the_l1_entry_and_flushes),
        cmocka_unit_test(va_mapping__needs_a_base_and_an_l1_table),
        cmocka_unit_test(ptwr__does_a_store_to_an_l1_table),
        cmocka_unit_test(ptwr__refuses_all_else),
        cmocka_unit_test(superpage__refers_to_each_of_its_frames),
        cmocka_unit_test(linear__a_root_may_map_itself_read_only),
        cmocka_unit_test(linear__to_another_root_is_one_step_deep),
        cmocka_unit_test(writable_mappings__are_found_by_frame),
        cmocka_unit_test(random_requests__leave_the_counts_that_the_tables_say),
        cmocka_unit_test(walk__sets_flags_that_the_counts_do_not_mind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
