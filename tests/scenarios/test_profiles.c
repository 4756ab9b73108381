/* Shipped machine profiles against what vendors publish: how many translations of each page size a core holds, and its caches. The table
 * below is written from the documents, not from the profiles; what a profile splits, merges or mistypes shows here. */
#include "scenarios/scratch.h"
#include <nestwalk/scenarios/machine.h>

/* Entries that can hold a translation of a page size, over all arrays of a level; 0: the level has none for this size. */
struct reach {
    uint64_t pages_4k, pages_2m, pages_1g;
};

struct published {
    const char *profile;
    struct reach l1_data, l1_instruction, l2_data, l2_instruction;
    uint64_t cache_kib[3]; /* L1d, L2, and what one core can use of L3 */
    uint64_t guest_levels; /* the most the processor supports */
};

/* Intel: Optimization Reference Manual, CPUID leaves 2, 4 and 18h, ARK. AMD: software optimization guides 56305, 56665, 57647 and 58455, CPUID
 * leaves 80000005h, 80000006h and 8000001Dh. First-level instruction entries are those one thread has to itself. */
static const struct published published[] = {
    { "intel-nehalem", { 64, 32, 0 }, { 64, 7, 0 }, { 512, 0, 0 }, { 512, 0, 0 }, { 32, 256, 8192 }, 4 },
    { "intel-haswell", { 64, 32, 4 }, { 128, 8, 0 }, { 1024, 1024, 0 }, { 1024, 1024, 0 }, { 32, 256, 30720 }, 4 },
    { "intel-skylake", { 64, 32, 4 }, { 128, 8, 0 }, { 1536, 1536, 16 }, { 1536, 1536, 16 }, { 32, 256, 8192 }, 4 },
    { "intel-skylake-sp",
      { 64, 32, 4 },
      { 128, 8, 0 },
      { 1536, 1536, 16 },
      { 1536, 1536, 16 },
      { 32, 1024, 39424 },
      4 },
    { "intel-icelake-sp",
      { 64, 32, 8 },
      { 128, 8, 0 },
      { 2048, 1024, 1024 },
      { 2048, 1024, 1024 },
      { 48, 1280, 61440 },
      5 },
    { "intel-sapphire-rapids",
      { 96, 32, 8 },
      { 256, 32, 0 },
      { 2048, 1024, 1024 },
      { 2048, 1024, 1024 },
      { 48, 2048, 107520 },
      5 },
    { "amd-zen2", { 64, 64, 64 }, { 64, 64, 64 }, { 2048, 2048, 0 }, { 512, 512, 0 }, { 32, 512, 16384 }, 4 },
    { "amd-zen3", { 64, 64, 64 }, { 64, 64, 64 }, { 2048, 2048, 0 }, { 512, 512, 0 }, { 32, 512, 32768 }, 4 },
    { "amd-zen4", { 72, 72, 72 }, { 64, 64, 64 }, { 3072, 3072, 0 }, { 512, 512, 0 }, { 32, 1024, 32768 }, 5 },
    { "amd-zen5", { 96, 96, 96 }, { 64, 64, 64 }, { 4096, 4096, 0 }, { 2048, 2048, 0 }, { 48, 1024, 32768 }, 5 },
};

static void load(struct nw_config *c, const char *profile)
{
    struct nw_error err = { 0 };
    nw_config_init(c);
    if (nw_machine_load(profile, NULL, c, &err))
        fail_msg("%s: %s", profile, err.text);
}

static uint64_t entries(const struct nw_config *c, uint64_t level, uint64_t class, uint64_t page)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->tlb_count; i++) {
        const struct nw_tlb_config *t = &c->tlb[i];
        if (t->level == level && (t->class == class || t->class == NW_TLB_UNIFIED) && (t->pages & page))
            sum += t->entries;
    }
    return sum;
}

static void same_reach(const struct nw_config *c, uint64_t level, uint64_t class, const struct reach *wanted)
{
    static const char *const name[] = { "data", "instruction" };
    struct reach got = { entries(c, level, class, NW_HOLDS_4K), entries(c, level, class, NW_HOLDS_2M),
                         entries(c, level, class, NW_HOLDS_1G) };
    if (got.pages_4k != wanted->pages_4k || got.pages_2m != wanted->pages_2m || got.pages_1g != wanted->pages_1g)
        fail_msg("%s, level %u, %s: %u entries for 4K, %u for 2M, %u for 1G; published: %u, %u, %u", c->machine,
                 (unsigned)level, name[class], (unsigned)got.pages_4k, (unsigned)got.pages_2m, (unsigned)got.pages_1g,
                 (unsigned)wanted->pages_4k, (unsigned)wanted->pages_2m, (unsigned)wanted->pages_1g);
}

static void profiles__hold_the_published_numbers_of_translations(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(published); i++) {
        struct nw_config c;
        load(&c, published[i].profile);
        same_reach(&c, 1, NW_TLB_DATA, &published[i].l1_data);
        same_reach(&c, 1, NW_TLB_INSTRUCTION, &published[i].l1_instruction);
        same_reach(&c, 2, NW_TLB_DATA, &published[i].l2_data);
        same_reach(&c, 2, NW_TLB_INSTRUCTION, &published[i].l2_instruction);
        for (size_t k = 0; k < c.tlb_count; k++)
            assert_in_range(c.tlb[k].level, 1, 2);
        nw_config_fini(&c);
    }
}

static void profiles__have_the_published_caches_each_slower_than_the_one_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(published); i++) {
        struct nw_config c;
        load(&c, published[i].profile);
        assert_int_equal(c.cache_count, 3);
        for (size_t k = 0; k < 3; k++)
            if (c.cache[k].size_bytes != published[i].cache_kib[k] << 10)
                fail_msg("%s: %s has %u KiB; published: %u", c.machine, c.cache[k].name,
                         (unsigned)(c.cache[k].size_bytes >> 10), (unsigned)published[i].cache_kib[k]);
        assert_true(c.cache[0].latency_cycles < c.cache[1].latency_cycles);
        assert_true(c.cache[1].latency_cycles < c.cache[2].latency_cycles);
        assert_true(c.cache[2].latency_cycles < c.memory.dram_latency_cycles);
        assert_int_equal(c.cost.load_cycles, c.cache[0].latency_cycles);
        double dram_ns = (double)c.memory.dram_latency_cycles / c.cost.frequency_ghz;
        if (dram_ns < 40 || dram_ns > 200)
            fail_msg("%s: %.0f ns to memory", c.machine, dram_ns);
        nw_config_fini(&c);
    }
}

static void profiles__cache_upper_levels_only_where_the_processor_has_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(published); i++) {
        struct nw_config c;
        load(&c, published[i].profile);
        for (unsigned k = 0; k < 3; k++)
            assert_true(c.psc_guest[k].entries > 0 && c.psc_nested[k].entries > 0);
        assert_int_equal(c.psc_guest[3].entries > 0, published[i].guest_levels == 5);
        assert_int_equal(c.psc_nested[3].entries > 0, published[i].guest_levels == 5);
        nw_config_fini(&c);
    }
}

/* A paravirtual guest's entries to its hypervisor switch no world. */
static bool is_vm_exit(unsigned reason) { return reason != NW_EXIT_HYPERCALL && reason != NW_EXIT_TRAP; }

static void profiles__price_every_vm_exit_as_a_bare_one_and_its_work(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(published); i++) {
        struct nw_config c;
        load(&c, published[i].profile);
        uint64_t bare = nw_exit_cost_total(&c.cost.exit[NW_EXIT_RECORDED]);
        assert_int_equal(bare, c.cost.exit[NW_EXIT_RECORDED].direct);
        for (unsigned k = 0; k < NW_EXIT_COUNT; k++) {
            const struct nw_exit_cost *e = &c.cost.exit[k];
            if (is_vm_exit(k) && e->direct != bare)
                fail_msg("%s: cost.exit.%s.direct is not that of a bare exit", c.machine, nw_exit_name[k]);
            if (k != NW_EXIT_RECORDED && !e->synchronous)
                fail_msg("%s: cost.exit.%s does nothing", c.machine, nw_exit_name[k]);
            if (!is_vm_exit(k) && nw_exit_cost_total(e) >= bare)
                fail_msg("%s: cost.exit.%s costs as much as a bare exit", c.machine, nw_exit_name[k]);
        }
        nw_config_fini(&c);
    }
}

/* Landau, Ben-Yehuda and Gordon, SplitX, WIOV 2011, cycles an exit in all. */
static void profiles__of_the_x5570_have_the_totals_measured_on_it(void **state)
{
    (void)state;
    static const struct {
        enum nw_exit_reason reason;
        uint64_t cycles;
    } measured[] = {
        { NW_EXIT_EXTERNAL_INTERRUPT, 363000 }, { NW_EXIT_IO_INSTRUCTION, 85000 }, { NW_EXIT_APIC_ACCESS, 18000 },
        { NW_EXIT_EPT_VIOLATION, 12000 },       { NW_EXIT_RECORDED, 2000 },
    };
    struct nw_config c;
    load(&c, "intel-nehalem");
    for (size_t i = 0; i < NW_ARRAY_LEN(measured); i++)
        assert_int_equal(nw_exit_cost_total(&c.cost.exit[measured[i].reason]), measured[i].cycles);
    nw_config_fini(&c);
}

static void profiles__all_real_processors_are_in_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; nw_machine_name(i); i++) {
        bool found = !strcmp(nw_machine_name(i), "textbook");
        for (size_t k = 0; k < NW_ARRAY_LEN(published); k++)
            found |= !strcmp(nw_machine_name(i), published[k].profile);
        if (!found)
            fail_msg("%s is shipped, and this test has no published figures for it", nw_machine_name(i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles__hold_the_published_numbers_of_translations),
        cmocka_unit_test(profiles__have_the_published_caches_each_slower_than_the_one_before),
        cmocka_unit_test(profiles__cache_upper_levels_only_where_the_processor_has_them),
        cmocka_unit_test(profiles__price_every_vm_exit_as_a_bare_one_and_its_work),
        cmocka_unit_test(profiles__of_the_x5570_have_the_totals_measured_on_it),
        cmocka_unit_test(profiles__all_real_processors_are_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
