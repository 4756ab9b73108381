/* Guest programs for the live check, and the guest that runs them. What needs a KVM with shadow page tables is skipped,
 * with the reason, where there is none. */
#include <nestwalk/traces/live_shadow.h>
#include <nestwalk/traces/shadow_programs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#ifdef __linux__
#    include <sys/prctl.h>
#endif

/* ---- the programs ------------------------------------------------------------------------------------------- */

static bool same(const struct nw_kvm_program *a, const struct nw_kvm_program *b)
{
    return a->op_count == b->op_count && a->word_count == b->word_count && a->action_count == b->action_count &&
           !memcmp(a->op, b->op, a->op_count * sizeof *a->op) &&
           !memcmp(a->word, b->word, a->word_count * sizeof *a->word);
}

static void programs__can_all_run_and_come_out_the_same_each_time(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    for (size_t i = 0; i < nw_shadow_program_count(); i++) {
        struct nw_shadow_program a, b;
        assert_int_equal(nw_shadow_program_make(i, &a, &err), NW_OK);
        assert_int_equal(nw_shadow_program_make(i, &b, &err), NW_OK);
        if (nw_live_shadow_check(&a.program, &err))
            fail_msg("%s: %s", a.name, err.text);
        assert_true(same(&a.program, &b.program));
        /* Operations have to lie in the pages that the guest maps for them. */
        assert_true(a.program.op_count * sizeof *a.op <= 16 * 4096);
        nw_shadow_program_free(&a);
        nw_shadow_program_free(&b);
    }
    struct nw_shadow_program none;
    assert_int_equal(nw_shadow_program_make(nw_shadow_program_count(), &none, &err), NW_ERR_USAGE);
}

static void programs__random_ones_follow_from_seed_and_number(void **state)
{
    (void)state;
    struct nw_shadow_program a, b, c;
    assert_int_equal(nw_shadow_program_random(7, 3, &a, NULL), NW_OK);
    assert_int_equal(nw_shadow_program_random(7, 3, &b, NULL), NW_OK);
    assert_int_equal(nw_shadow_program_random(8, 3, &c, NULL), NW_OK);
    assert_string_equal(a.name, "random-7-3");
    assert_true(same(&a.program, &b.program));
    assert_false(same(&a.program, &c.program));
    assert_int_equal(nw_live_shadow_check(&a.program, NULL), NW_OK);
    nw_shadow_program_free(&a);
    nw_shadow_program_free(&b);
    nw_shadow_program_free(&c);
}

static bool keep_last(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now)
{
    (void)marker, (void)action;
    *(struct nw_kvm_counters *)context = *now;
    return true;
}

static bool keep_first(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now)
{
    keep_last(context, marker, action, now);
    return false;
}

/* The first segment of every recorded program (tests/data/conform/kvm-shadow.jsonl.xz) has these statistics. */
static void programs__start_as_the_recorded_ones_did(void **state)
{
    (void)state;
    for (size_t i = 0; i < nw_shadow_program_count(); i++) {
        struct nw_shadow_program p;
        struct nw_kvm_counters c = { 0 };
        assert_int_equal(nw_shadow_program_make(i, &p, NULL), NW_OK);
        if (p.program.dirty_logging || p.program.large_backing) { /* no neighbours; other host pages */
            nw_shadow_program_free(&p);
            continue;
        }
        assert_int_equal(
            nw_kvm_program_run(&p.program, &(struct nw_kvm_watcher){ .segment = keep_first, .context = &c }, NULL),
            NW_OK);
        assert_int_equal(c.mmu_cache_miss, 4);
        assert_int_equal(c.pages_4k, 11);
        assert_int_equal(c.pf_taken, 2);
        assert_int_equal(c.pf_fixed, 2);
        assert_int_equal(c.tlb_flush, 1);
        nw_shadow_program_free(&p);
    }
}

/* Known answers of a live KVM, Linux 6.18 with PVM: the 2 MiB around a cut mapping go, and mappings change one by one. */
static void programs__a_cut_host_mapping_takes_2_mib(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t pf_taken, tlb_flush, flush_requests, pages_4k;
    } known[] = { { "host-protect", 14, 3, 2, 27 }, { "host-protect-parts", 15, 5, 6, 27 } };
    size_t seen = 0;
    for (size_t i = 0; i < nw_shadow_program_count(); i++) {
        struct nw_shadow_program p;
        struct nw_kvm_counters c = { 0 };
        assert_int_equal(nw_shadow_program_make(i, &p, NULL), NW_OK);
        for (size_t n = 0; n < NW_ARRAY_LEN(known); n++) {
            if (strcmp(p.name, known[n].name))
                continue;
            seen++;
            assert_int_equal(
                nw_kvm_program_run(&p.program, &(struct nw_kvm_watcher){ .segment = keep_last, .context = &c }, NULL),
                NW_OK);
            assert_int_equal(c.pf_taken, known[n].pf_taken);
            assert_int_equal(c.pf_fixed, known[n].pf_taken);
            assert_int_equal(c.tlb_flush, known[n].tlb_flush);
            assert_int_equal(c.remote_tlb_flush_requests, known[n].flush_requests);
            assert_int_equal(c.pages_4k, known[n].pages_4k);
        }
        nw_shadow_program_free(&p);
    }
    assert_int_equal(seen, NW_ARRAY_LEN(known));
}

/* Known answers of a live KVM: Linux 6.1, kvm_amd with npt=0. */
static void programs__native_supervisor_code_touches_its_pages(void **state)
{
    (void)state;
    struct nw_shadow_program p;
    struct nw_kvm_counters native = { 0 }, emulated = { 0 };
    size_t i = 0;
    const char *name = "", *group, *doc;
    for (; nw_shadow_program_describe(i, &name, &group, &doc) && strcmp(name, "touch-unmapped"); i++)
        ;
    assert_int_equal(nw_shadow_program_make(i, &p, NULL), NW_OK);
    p.program.native_supervisor = p.program.serve_every_exit = p.program.eager_zap = true;
    struct nw_kvm_watcher watcher = { .segment = keep_last, .context = &native };
    assert_int_equal(nw_kvm_program_run(&p.program, &watcher, NULL), NW_OK);
    assert_int_equal(native.pf_taken, 15);
    assert_int_equal(native.pf_fixed, 9);
    assert_int_equal(native.pf_guest, 6);
    assert_int_equal(native.mmu_cache_miss, 7);
    assert_int_equal(native.mmu_unsync, 1);
    assert_int_equal(native.pages_4k, 33);
    p.program.native_supervisor = p.program.serve_every_exit = false;
    watcher.context = &emulated;
    assert_int_equal(nw_kvm_program_run(&p.program, &watcher, NULL), NW_OK);
    assert_true(emulated.pf_taken < native.pf_taken);
    nw_shadow_program_free(&p);
}

/* ---- malformed programs ------------------------------------------------------------------------------------- */

static void refused(const struct nw_kvm_program *p, const char *why)
{
    struct nw_error err = { 0 };
    const struct nw_kvm_watcher watcher = { 0 };
    const struct nw_live_shadow_options options = { 0 };
    assert_int_equal(nw_live_shadow_run(p, &watcher, &options, &err), NW_ERR_INPUT);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void live__malformed_programs_are_refused_on_any_host(void **state)
{
    (void)state;
    const struct nw_kvm_op unknown = { .code = 7 }, fine = { .code = NW_KVM_OP_MARKER };
    refused(&(struct nw_kvm_program){ .op = &unknown, .op_count = 1 }, "operation 7 (number 0");
    refused(&(struct nw_kvm_program){ .op = &fine, .op_count = 1 << 22 }, "do not fit");
    static const uint64_t word[][2] = {
        { 64 << 20, 1 }, { 0x100004, 1 }, { 0x6000, 1 }, { 0x20000, 1 }, { 0x30010, 1 }
    };
    static const char *const why[] = { "64 MiB", "8 bytes", "interpreter", "interpreter", "interpreter" };
    for (size_t i = 0; i < sizeof why / sizeof *why; i++)
        refused(&(struct nw_kvm_program){ .word = &word[i], .word_count = 1, .op = &fine, .op_count = 1 }, why[i]);
    static const struct nw_kvm_action action[] = { { 0, 8, 0, 0 },
                                                   { 0, NW_KVM_ACTION_DROP, 64 << 20, 4096 },
                                                   { 0, NW_KVM_ACTION_DROP, 0x200000, UINT64_MAX - 4095 },
                                                   { 0, NW_KVM_ACTION_READ_ONLY, 0x200001, 4096 } };
    static const char *const reason[] = { "host action 8", "64 MiB", "64 MiB", "whole pages" };
    for (size_t i = 0; i < sizeof reason / sizeof *reason; i++)
        refused(&(struct nw_kvm_program){ .op = &fine, .op_count = 1, .action = &action[i], .action_count = 1 },
                reason[i]);
}

/* ---- live --------------------------------------------------------------------------------------------------- */

static struct nw_live_shadow_host host_or_skip(void)
{
    struct nw_live_shadow_host host;
    struct nw_error err = { 0 };
    enum nw_status s = nw_live_shadow_probe(&host, &err);
    if (s == NW_ERR_UNSUPPORTED) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    if (s)
        fail_msg("%s", err.text);
    return host;
}

/* Calls a page that holds `jmp .`: a word more than the program has, at the first frame of its test area. */
static struct nw_shadow_program endless(void)
{
    struct nw_shadow_program p;
    assert_int_equal(nw_shadow_program_make(0, &p, NULL), NW_OK);
    size_t count = p.program.word_count;
    uint64_t(*word)[2] = realloc(p.word, (count + 1) * sizeof *word);
    assert_non_null(word);
    word[count][0] = 0x200000;
    word[count][1] = 0xfeeb;
    p.word = word;
    p.program.word = (const uint64_t(*)[2])word;
    p.program.word_count++;
    p.op[0] = (struct nw_kvm_op){ .code = NW_KVM_OP_EXEC, .a = 0x8000000000 };
    return p;
}

static enum nw_status run_live(const struct nw_kvm_program *p, struct nw_kvm_counters *out,
                               const struct nw_live_shadow_options *options, struct nw_error *err)
{
    return nw_live_shadow_run(p, &(struct nw_kvm_watcher){ .segment = keep_last, .context = out }, options, err);
}

static void live__guest_that_hangs_is_given_up_and_leaves_nothing_behind(void **state)
{
    (void)state;
    host_or_skip();
    struct nw_shadow_program p = endless();
    struct nw_kvm_counters counters = { 0 };
    struct nw_error err = { 0 };
    const struct nw_live_shadow_options options = { .timeout_seconds = 0.3 };
    assert_int_equal(run_live(&p.program, &counters, &options, &err), NW_ERR_ENV);
    assert_non_null(strstr(err.text, "did not reach its next marker within 0.3 s"));
    nw_shadow_program_free(&p);
    /* The next one runs as if nothing had been. */
    assert_int_equal(nw_shadow_program_make(0, &p, NULL), NW_OK);
    assert_int_equal(run_live(&p.program, &counters, &(struct nw_live_shadow_options){ 0 }, &err), NW_OK);
    nw_shadow_program_free(&p);
}

static bool stop_now(void *context)
{
    ++*(unsigned *)context;
    return false;
}

static void live__a_running_guest_can_be_interrupted(void **state)
{
    (void)state;
    host_or_skip();
    struct nw_shadow_program p = endless();
    struct nw_kvm_counters counters = { 0 };
    struct nw_error err = { 0 };
    unsigned asked = 0;
    const struct nw_live_shadow_options options = { .timeout_seconds = 60, .keep_going = stop_now, .context = &asked };
    assert_int_equal(run_live(&p.program, &counters, &options, &err), NW_ERR_INTERRUPTED);
    assert_int_equal(asked, 1);
    nw_shadow_program_free(&p);
}

/* What no kernel that shadows counts otherwise: tables shadowed, and the guest's own faults. */
static void live__tables_and_guest_faults_are_those_of_the_model(void **state)
{
    (void)state;
    struct nw_live_shadow_host host = host_or_skip();
    for (size_t i = 0; i < nw_shadow_program_count(); i++) {
        struct nw_shadow_program p;
        struct nw_kvm_counters model = { 0 }, kvm = { 0 };
        struct nw_error err = { 0 };
        assert_int_equal(nw_shadow_program_make(i, &p, &err), NW_OK);
        nw_live_shadow_adopt(&host, &p.program);
        assert_int_equal(
            nw_kvm_program_run(&p.program, &(struct nw_kvm_watcher){ .segment = keep_last, .context = &model }, &err),
            NW_OK);
        if (run_live(&p.program, &kvm, &(struct nw_live_shadow_options){ .timeout_seconds = 60 }, &err))
            fail_msg("%s: %s", p.name, err.text);
        if (kvm.mmu_cache_miss != model.mmu_cache_miss || kvm.pf_guest != model.pf_guest)
            fail_msg("%s: mmu_cache_miss %llu, KVM %llu; pf_guest %llu, KVM %llu", p.name,
                     (unsigned long long)model.mmu_cache_miss, (unsigned long long)kvm.mmu_cache_miss,
                     (unsigned long long)model.pf_guest, (unsigned long long)kvm.pf_guest);
        nw_shadow_program_free(&p);
    }
}

/* Where a host gives no page of 2 MiB, guest memory would be of small ones without a word, and the counters other ones. */
static void live__large_backing_without_large_pages_is_refused(void **state)
{
    (void)state;
    struct nw_live_shadow_host host;
    struct nw_shadow_program p;
    struct nw_error err = { 0 };
    const char *name = "", *group, *doc;
    size_t i = 0;
    if (nw_live_shadow_probe(&host, &err)) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    for (; nw_shadow_program_describe(i, &name, &group, &doc) && strcmp(name, "large-on-large"); i++)
        ;
    assert_int_equal(nw_shadow_program_make(i, &p, NULL), NW_OK);
    const struct nw_live_shadow_options options = { .timeout_seconds = 60 };
    assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    assert_int_equal(nw_live_shadow_run(&p.program, &(struct nw_kvm_watcher){ 0 }, &options, &err), NW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "2 MiB"));
    assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
    nw_shadow_program_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs__can_all_run_and_come_out_the_same_each_time),
        cmocka_unit_test(programs__random_ones_follow_from_seed_and_number),
        cmocka_unit_test(programs__start_as_the_recorded_ones_did),
        cmocka_unit_test(programs__a_cut_host_mapping_takes_2_mib),
        cmocka_unit_test(programs__native_supervisor_code_touches_its_pages),
        cmocka_unit_test(live__malformed_programs_are_refused_on_any_host),
        cmocka_unit_test(live__guest_that_hangs_is_given_up_and_leaves_nothing_behind),
        cmocka_unit_test(live__a_running_guest_can_be_interrupted),
        cmocka_unit_test(live__tables_and_guest_faults_are_those_of_the_model),
        cmocka_unit_test(live__large_backing_without_large_pages_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
