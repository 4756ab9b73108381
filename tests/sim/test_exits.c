/* Exits: what a recorded one was, whose it is to count, and what each costs in its three parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../sim/exit_reason.h"
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set(struct nw_config *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(c, path, value, "test", &err))
        fail_msg("%s", err.text);
}

/* 64 pages, each loaded once, with `event`s among them. */
static struct nw_result replay(const struct nw_config *c, const char *backend, const struct nw_event *event,
                               size_t event_count)
{
    uint64_t gva[64];
    struct nw_trace_info info;
    struct nw_source *source;
    struct nw_result r = { 0 };
    struct nw_error err = { 0 };
    for (size_t i = 0; i < NW_ARRAY_LEN(gva); i++)
        gva[i] = 0x400000 + (i << NW_PAGE_LOG2);
    nw_trace_info_init(&info);
    snprintf(info.kvm_backend, sizeof info.kvm_backend, "%s", backend);
    if (nw_memory_source_create(&source, &info, gva, NULL, NW_ARRAY_LEN(gva), event, event_count, 0, &err) ||
        nw_replay(source, c, NULL, &r, &err))
        fail_msg("%s", err.text);
    nw_source_destroy(source);
    return r;
}

static uint64_t exits_of(const struct nw_result *r)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++)
        sum += r->exits[i].count;
    return sum;
}

/* ---- recorded reasons ---- */

static void recorded_codes__have_the_reasons_of_the_manuals(void **state)
{
    (void)state;
    static const struct {
        const char *backend;
        uint64_t code;
        enum nw_exit_reason reason;
    } row[] = {
        { "vmx", 0, NW_EXIT_GUEST_PAGE_FAULT },
        { "vmx", 1, NW_EXIT_EXTERNAL_INTERRUPT },
        { "vmx", 2, NW_EXIT_RECORDED }, /* triple fault */
        { "vmx", 10, NW_EXIT_CPUID },
        { "vmx", 12, NW_EXIT_HLT },
        { "vmx", 14, NW_EXIT_INVLPG },
        { "vmx", 18, NW_EXIT_RECORDED }, /* VMCALL: a switch of worlds */
        { "vmx", 28, NW_EXIT_CR_WRITE },
        { "vmx", 29, NW_EXIT_RECORDED }, /* MOV DR */
        { "vmx", 30, NW_EXIT_IO_INSTRUCTION },
        { "vmx", 31, NW_EXIT_MSR },
        { "vmx", 32, NW_EXIT_MSR },
        { "vmx", 33, NW_EXIT_RECORDED }, /* VM entry failed: guest state */
        { "vmx", 44, NW_EXIT_APIC_ACCESS },
        { "vmx", 48, NW_EXIT_EPT_VIOLATION },
        { "vmx", 49, NW_EXIT_MMIO },
        { "vmx", 58, NW_EXIT_INVLPG },
        { "vmx", 62, NW_EXIT_PML_FULL },
        { "vmx", 0x8000000a, NW_EXIT_CPUID }, /* flags above the basic reason */
        { "vmx", 0x72, NW_EXIT_RECORDED },
        { "svm", 0, NW_EXIT_RECORDED }, /* read of CR0 */
        { "svm", 0x10, NW_EXIT_CR_WRITE },
        { "svm", 0x13, NW_EXIT_CR_WRITE },
        { "svm", 0x1f, NW_EXIT_CR_WRITE },
        { "svm", 0x20, NW_EXIT_RECORDED },         /* read of DR0 */
        { "svm", 0x4d, NW_EXIT_RECORDED },         /* #GP */
        { "svm", 0x4e, NW_EXIT_GUEST_PAGE_FAULT }, /* #PF */
        { "svm", 0x60, NW_EXIT_EXTERNAL_INTERRUPT },
        { "svm", 0x61, NW_EXIT_RECORDED }, /* NMI */
        { "svm", 0x72, NW_EXIT_CPUID },
        { "svm", 0x78, NW_EXIT_HLT },
        { "svm", 0x79, NW_EXIT_INVLPG },
        { "svm", 0x7b, NW_EXIT_IO_INSTRUCTION },
        { "svm", 0x7c, NW_EXIT_MSR },
        { "svm", 0x81, NW_EXIT_RECORDED }, /* VMMCALL */
        { "svm", 0xa2, NW_EXIT_INVLPG },
        { "svm", 0x400, NW_EXIT_EPT_VIOLATION },
        { "svm", UINT64_MAX, NW_EXIT_RECORDED }, /* VMRUN refused */
        { "pvm", 10, NW_EXIT_RECORDED },
        { "", 10, NW_EXIT_RECORDED },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        enum nw_exit_reason got = exit_reason_of(row[i].backend, row[i].code);
        if (got != row[i].reason)
            fail_msg("%s 0x%llx is %s, not %s", row[i].backend, (unsigned long long)row[i].code, nw_exit_name[got],
                     nw_exit_name[row[i].reason]);
    }
}

static void recorded_exits__are_counted_once(void **state)
{
    (void)state;
    static const struct nw_event event[] = {
        { .at = 8, .kind = NW_EV_VM_EXIT, .arg = { 28 } },  { .at = 8, .kind = NW_EV_CR_WRITE, .arg = { 3, 0x1000 } },
        { .at = 16, .kind = NW_EV_VM_EXIT, .arg = { 14 } }, { .at = 16, .kind = NW_EV_INVLPG, .arg = { 0x400000 } },
        { .at = 24, .kind = NW_EV_VM_EXIT, .arg = { 48 } }, { .at = 32, .kind = NW_EV_VM_EXIT, .arg = { 10 } },
        { .at = 40, .kind = NW_EV_VM_EXIT, .arg = { 1 } },  { .at = 48, .kind = NW_EV_VM_EXIT, .arg = { 2 } },
    };
    static const struct {
        const char *mode, *demand_backing;
        uint64_t recorded, of_the_model, cr_write, invlpg, ept_violation, others;
    } row[] = {
        { "native", "0", 0, 0, 0, 0, 0, 0 },
        { "shadow", "0", 6, 3, 1, 1, 0, 1 },  /* MOV CR3 and INVLPG as the pager intercepts them */
        { "nested", "0", 6, 0, 1, 1, 1, 1 },  /* as recorded */
        { "nested", "1", 6, 1, 1, 1, 68, 1 }, /* 64 pages and four tables are used for the first time */
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++)
        for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
            struct nw_config c;
            nw_config_init(&c);
            set(&c, "run.mode", row[i].mode);
            set(&c, "vmm.demand_backing", row[i].demand_backing);
            c.engine = engine;
            struct nw_result r = replay(&c, "vmx", event, NW_ARRAY_LEN(event));
            assert_int_equal(r.events.vm_exits, row[i].recorded);
            assert_int_equal(r.events.vm_exits_of_the_model, row[i].of_the_model);
            assert_int_equal(r.exits[NW_EXIT_CR_WRITE].count, row[i].cr_write);
            assert_int_equal(r.exits[NW_EXIT_INVLPG].count, row[i].invlpg);
            if (r.exits[NW_EXIT_EPT_VIOLATION].count != row[i].ept_violation)
                fail_msg("%s: %u EPT violations", row[i].mode, (unsigned)r.exits[NW_EXIT_EPT_VIOLATION].count);
            assert_int_equal(r.exits[NW_EXIT_CPUID].count, row[i].others);
            assert_int_equal(r.exits[NW_EXIT_EXTERNAL_INTERRUPT].count, row[i].others);
            assert_int_equal(r.exits[NW_EXIT_RECORDED].count, row[i].others);
            nw_result_fini(&r);
            nw_config_fini(&c);
        }
}

/* ---- costs ---- */

/* A different price for each part of each reason, so that none can stand for another. */
static void set_distinct_costs(struct nw_config *c)
{
    static const char *const part[] = { "direct", "synchronous", "indirect" };
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++)
        for (unsigned k = 0; k < 3; k++) {
            char path[96], value[32];
            snprintf(path, sizeof path, "cost.exit.%s.%s", nw_exit_name[i], part[k]);
            snprintf(value, sizeof value, "%u", (i + 1) * (k == 0 ? 1 : k == 1 ? 100 : 10000));
            set(c, path, value);
        }
}

static void parts__add_up_to_the_totals_in_both_engines(void **state)
{
    (void)state;
    static const struct nw_event event[] = {
        { .at = 5, .kind = NW_EV_CR_WRITE, .arg = { 3, 0x1000 } },
        { .at = 9, .kind = NW_EV_VM_EXIT, .arg = { 0x7b } },
        { .at = 9, .kind = NW_EV_VM_EXIT, .arg = { 0x7c } },
        { .at = 30, .kind = NW_EV_INVLPG, .arg = { 0x400000 } },
        { .at = 64, .kind = NW_EV_VM_EXIT, .arg = { 0x60 } },
    };
    static const char *const modes[] = { "shadow", "nested" };
    for (size_t m = 0; m < NW_ARRAY_LEN(modes); m++)
        for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
            struct nw_config c;
            uint64_t direct = 0;
            nw_config_init(&c);
            set_distinct_costs(&c);
            set(&c, "run.mode", modes[m]);
            set(&c, "guest.demand_faults", "1");
            set(&c, "vmm.demand_backing", "1");
            c.engine = engine;
            struct nw_result r = replay(&c, "svm", event, NW_ARRAY_LEN(event));
            for (unsigned i = 0; i < NW_EXIT_COUNT; i++) {
                assert_int_equal(r.exits[i].direct_cycles, r.exits[i].count * (i + 1));
                assert_int_equal(r.exits[i].synchronous_cycles, r.exits[i].count * (i + 1) * 100);
                assert_int_equal(r.exits[i].indirect_cycles, r.exits[i].count * (i + 1) * 10000);
                assert_int_equal(r.exits[i].cycles, r.exits[i].count * (i + 1) * 10101);
                direct += r.exits[i].direct_cycles;
            }
            assert_true(exits_of(&r) > 64);
            assert_int_equal(r.cycles.exits_direct, direct);
            assert_int_equal(r.cycles.exits_synchronous, 100 * direct);
            assert_int_equal(r.cycles.exits_indirect, 10000 * direct);
            assert_int_equal(r.cycles.exits, 10101 * direct + 64 * c.cost.guest_fault_cycles);
            nw_result_fini(&r);
            nw_config_fini(&c);
        }
}

static void parts__have_a_source_each(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    assert_int_equal(nw_config_set(&c, "cost.exit.mmio.direct", "1", "a manual", &err), NW_OK);
    assert_int_equal(nw_config_set(&c, "cost.exit.mmio.indirect", "2", "assumed: a reason", &err), NW_OK);
    assert_string_equal(nw_config_source(&c, "cost.exit.mmio.direct"), "a manual");
    assert_string_equal(nw_config_source(&c, "cost.exit.mmio.synchronous"), "default");
    assert_string_equal(nw_config_source(&c, "cost.exit.mmio.indirect"), "assumed: a reason");
    assert_int_equal(c.cost.exit[NW_EXIT_MMIO].direct, 1);
    assert_int_equal(c.cost.exit[NW_EXIT_MMIO].synchronous, 4000);
    assert_int_equal(c.cost.exit[NW_EXIT_MMIO].indirect, 2);
    assert_int_equal(nw_config_set(&c, "cost.exit.mmio", "3", "test", &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "cost.exit.mmio.direct"));
    nw_config_fini(&c);
}

/* ---- the mix ---- */

/* Landau, Ben-Yehuda and Gordon, SplitX, WIOV 2011: netperf. The sum is theirs, added by hand. */
static void mix__is_priced_by_the_cost_table(void **state)
{
    (void)state;
    static const char *const modes[] = { "native", "nested" };
    for (size_t m = 0; m < NW_ARRAY_LEN(modes); m++)
        for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
            struct nw_config c;
            nw_config_init(&c);
            set(&c, "run.mode", modes[m]);
            set(&c, "mix.base_cycles", "52000000000");
            set(&c, "mix.external_interrupt", "8961");
            set(&c, "mix.io_instruction", "10042");
            set(&c, "mix.apic_access", "691249");
            set(&c, "mix.ept_violation", "645");
            c.engine = engine;
            struct nw_result r = replay(&c, "", NULL, 0);
            assert_int_equal(r.cycles.base, 52000000000);
            assert_int_equal(exits_of(&r), m ? 8961 + 10042 + 691249 + 645 : 0);
            assert_int_equal(r.cycles.exits, m ? 16556635000 : 0); /* 363,000, 85,000, 18,000 and 12,000 each */
            assert_int_equal(r.cycles.exits_direct, m ? 710897 * 2000 : 0);
            assert_int_equal(r.cycles.total, r.cycles.base + r.cycles.translation + r.cycles.exits);
            nw_result_fini(&r);
            nw_config_fini(&c);
        }
}

static void mix__is_added_to_what_the_replay_finds(void **state)
{
    (void)state;
    static const struct nw_event event[] = { { .at = 3, .kind = NW_EV_VM_EXIT, .arg = { 10 } } };
    struct nw_config c;
    nw_config_init(&c);
    set(&c, "run.mode", "nested");
    set(&c, "mix.cpuid", "4");
    struct nw_result r = replay(&c, "vmx", event, 1);
    assert_int_equal(r.exits[NW_EXIT_CPUID].count, 5);
    assert_int_equal(r.exits[NW_EXIT_CPUID].cycles, 5 * 2500);
    assert_int_equal(r.events.vm_exits, 1);
    assert_int_equal(r.cycles.base, 64 * c.cost.load_cycles); /* no base_cycles: what was replayed */
    nw_result_fini(&r);
    nw_config_fini(&c);
}

static void mix__beyond_64_bits_is_refused(void **state)
{
    (void)state;
    struct nw_config c;
    struct nw_error err = { 0 };
    nw_config_init(&c);
    set(&c, "mix.external_interrupt", "1000000000000");
    assert_int_equal(nw_config_check(&c, &err), NW_OK);
    set(&c, "cost.exit.external_interrupt.synchronous", "1000000000");
    assert_int_equal(nw_config_check(&c, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "mix"));
    nw_config_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_codes__have_the_reasons_of_the_manuals),
        cmocka_unit_test(recorded_exits__are_counted_once),
        cmocka_unit_test(parts__add_up_to_the_totals_in_both_engines),
        cmocka_unit_test(parts__have_a_source_each),
        cmocka_unit_test(mix__is_priced_by_the_cost_table),
        cmocka_unit_test(mix__is_added_to_what_the_replay_finds),
        cmocka_unit_test(mix__beyond_64_bits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
