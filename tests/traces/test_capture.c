/* Live captures. Skipped, with the reason, where there is no KVM to use. */
#include "capture_replay.h"

static struct nw_capture_options small(const char *workload)
{
    struct nw_capture_options o;
    nw_capture_defaults(&o);
    o.workload = workload;
    o.size = 64 << 10;
    o.operations = !strcmp(workload, "vmchurn") ? 60 : !strcmp(workload, "bfs") || !strcmp(workload, "sort") ? 1 : 100;
    if (!strcmp(workload, "transpose"))
        o.operations = 1;
    o.instructions_max = 30000;
    o.timeout_seconds = 60;
    return o;
}

/* Captures, or skips the test where the environment lacks something. */
static struct nw_capture_result take(const struct nw_capture_options *o)
{
    struct nw_capture_result r;
    struct nw_error err = { 0 };
    enum nw_status s = nw_capture_run(o, &r, &err);
    if (s == NW_ERR_ENV) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    if (s)
        fail_msg("%s: %s", o->workload, err.text);
    return r;
}

static void capture__every_workload_computes_what_the_host_computes(void **state)
{
    (void)state;
    struct nw_capture_workload w;
    for (size_t i = 0; nw_capture_workload(i, &w); i++)
        for (int large = 0; large < 2; large++) {
            struct nw_capture_options o = small(w.name);
            o.large_pages = large;
            o.instructions_max = 1000;
            struct nw_capture_result r = take(&o);
            assert_true(r.checksum_verified);
            assert_int_equal(r.end, NW_CAPTURE_LIMIT);
            assert_int_equal(r.instructions, 1000);
        }
}

static void capture__every_instruction_proved_against_memory_and_registers(void **state)
{
    (void)state;
    struct nw_capture_workload w;
    for (size_t i = 0; nw_capture_workload(i, &w); i++) {
        struct nw_capture_options o = small(w.name);
        o.instructions_max = o.checked_instructions = 8000;
        struct nw_capture_result r = take(&o);
        assert_true(r.checked_instructions > 0 && r.checked_instructions == r.instructions);
        assert_true(r.fetches >= r.instructions);
    }
}

static void capture__same_workload_twice_gives_the_same_accesses(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct nw_capture_options o = small(i ? "btree" : "vmchurn");
        struct nw_capture_result a = take(&o), b = take(&o);
        assert_true(a.access_digest == b.access_digest);
        assert_int_equal(a.fetches + a.loads + a.stores, b.fetches + b.loads + b.stores);
        assert_int_equal(a.table_writes, b.table_writes);
        o.seed++;
        struct nw_capture_result c = take(&o);
        assert_true(a.access_digest != c.access_digest);
    }
}

static void capture__file_holds_what_was_counted(void **state)
{
    (void)state;
    struct nw_capture_options o = small("vmchurn");
    struct nw_nwt_summary sum;
    struct nw_trace_info info;
    o.path = in_scratch(0, "a.nwt");
    struct nw_capture_result r = take(&o);
    OK(nw_nwt_summarise(o.path, &sum, &info, err));
    assert_int_equal(sum.fetches, r.fetches);
    assert_int_equal(sum.loads, r.loads);
    assert_int_equal(sum.stores, r.stores);
    assert_int_equal(info.instructions, r.instructions);
    assert_true(r.page_faults && r.cr_writes && r.invlpgs && r.table_writes && r.table_pages);
    assert_true(info.has_tables && info.table_count >= 4);
    nw_trace_info_fini(&info);
}

static void capture__model_translates_or_faults_as_the_guest_did(void **state)
{
    (void)state;
    struct nw_capture_workload w;
    for (size_t i = 0; nw_capture_workload(i, &w); i++)
        for (int large = 0; large < 2; large++) {
            struct nw_capture_options o = small(w.name);
            o.large_pages = large;
            o.size = !strcmp(w.name, "gups") ? 4 << 20 : 256 << 10; /* gups builds nothing before it is traced */
            o.path = in_scratch(0, "a.nwt");
            struct nw_capture_result r = take(&o);
            struct replayed p = replay_trace(o.path, false);
            assert_int_equal(p.faults, r.page_faults);
            if (large && !strcmp(w.name, "gups"))
                assert_true(p.large_pages > 0);
        }
}

static void capture__kvm_and_the_model_read_the_same_entries(void **state)
{
    (void)state;
    static const char *const workloads[] = { "vmchurn", "gups", "hashjoin" };
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        for (int large = 0; large < 2; large++) {
            struct nw_capture_options o = small(workloads[i]);
            o.via = NW_CAPTURE_TRACEPOINTS;
            o.large_pages = large;
            o.path = in_scratch(0, "a.nwt");
            struct nw_capture_result r = take(&o);
            struct replayed p = replay_trace(o.path, true);
            print_message("%s, %s pages: %llu walks, %llu entries equal\n", o.workload, large ? "2M" : "4K",
                          (unsigned long long)p.walks, (unsigned long long)p.entries);
            assert_int_equal(p.walks, r.guest_walks);
            assert_int_equal(p.entries, r.guest_walk_entries);
            assert_true(p.walks - r.walks_unmatched > r.fetches);
            /* And the accesses among them are those of a stepped capture without tracepoints. */
            o.via = NW_CAPTURE_STEP;
            assert_true(take(&o).access_digest == r.access_digest);
        }
}

static bool stop_at_once(void *context, const struct nw_capture_progress *p)
{
    (void)context;
    (void)p;
    return false;
}

static bool stop_in_trace(void *context, const struct nw_capture_progress *p)
{
    (void)context;
    return strcmp(p->stage, "trace") != 0;
}

static void capture__stopped_leaves_a_whole_trace_or_none(void **state)
{
    (void)state;
    struct nw_capture_options o = small("vmchurn");
    struct nw_nwt_summary sum;
    o.operations = 0;
    o.instructions_max = 0;
    o.path = in_scratch(0, "stopped.nwt");
    o.progress = stop_in_trace;
    struct nw_capture_result r = take(&o);
    assert_int_equal(r.end, NW_CAPTURE_STOPPED);
    assert_false(r.checksum_verified);
    OK(nw_nwt_verify(o.path, &sum, err));
    assert_int_equal(sum.fetches, r.fetches);

    struct nw_error err = { 0 };
    o = small("btree"); /* seconds of building, so that the first report comes before the region of interest */
    o.size = 32 << 20;
    o.path = in_scratch(1, "none.nwt");
    o.progress = stop_at_once;
    assert_int_equal(nw_capture_run(&o, &r, &err), NW_ERR_INTERRUPTED);
    assert_int_equal(access(o.path, F_OK), -1);
}

static void capture__timeout_ends_it(void **state)
{
    (void)state;
    struct nw_capture_options o = small("vmchurn");
    o.operations = 0;
    o.instructions_max = 0;
    o.timeout_seconds = 0.5;
    struct nw_capture_result r = take(&o);
    assert_int_equal(r.end, NW_CAPTURE_TIMEOUT);
    assert_true(r.instructions > 0);
}

static void capture__wrong_options_are_refused(void **state)
{
    (void)state;
    struct nw_capture_result r;
    struct nw_error err = { 0 };
    struct nw_capture_options o = small("btree");
    o.workload = "quicksort";
    assert_int_equal(nw_capture_run(&o, &r, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "vmchurn"));
    o = small("btree");
    o.size = 100;
    assert_int_equal(nw_capture_run(&o, &r, &err), NW_ERR_USAGE);
    o = small("btree");
    o.operations = UINT64_MAX;
    assert_int_equal(nw_capture_run(&o, &r, &err), NW_ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capture__wrong_options_are_refused),
        cmocka_unit_test(capture__every_workload_computes_what_the_host_computes),
        cmocka_unit_test(capture__every_instruction_proved_against_memory_and_registers),
        cmocka_unit_test(capture__same_workload_twice_gives_the_same_accesses),
        cmocka_unit_test(capture__file_holds_what_was_counted),
        cmocka_unit_test(capture__model_translates_or_faults_as_the_guest_did),
        cmocka_unit_test(capture__kvm_and_the_model_read_the_same_entries),
        cmocka_unit_test(capture__stopped_leaves_a_whole_trace_or_none),
        cmocka_unit_test(capture__timeout_ends_it),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
