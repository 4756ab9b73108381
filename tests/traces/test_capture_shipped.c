/* The shipped captures: whole, small enough to ship, and true: the model's walk of every access through the guest's own tables ends
 * as it did in the guest. */
#include "capture_replay.h"
#include <sys/stat.h>

static const char *const shipped[] = { "btree", "vmchurn", "gups" };
enum { SHIPPED = sizeof shipped / sizeof *shipped, TOGETHER_BYTES_MAX = 5 << 20 };

static const char *path_of(unsigned i)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/traces/shipped/%s.nwt", NW_SOURCE_DIR, shipped[i]);
    return path;
}

static void shipped__whole_and_small(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < SHIPPED; i++) {
        struct nw_nwt_summary sum;
        struct nw_trace_info info;
        OK(nw_nwt_verify(path_of(i), &sum, err));
        OK(nw_nwt_summarise(path_of(i), &sum, &info, err));
        assert_true(sum.index_present);
        assert_true(info.instructions >= 1000000);
        assert_int_equal(strncmp(info.workload, shipped[i], strlen(shipped[i])), 0);
        assert_true(info.cpu_model[0] && info.kernel[0] && info.kvm_backend[0] && info.guest_memory_bytes);
        nw_trace_info_fini(&info);
        bytes += sum.file_bytes;
    }
    assert_true(bytes < TOGETHER_BYTES_MAX);
}

static void shipped__model_translates_or_faults_as_the_guest_did(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SHIPPED; i++) {
        print_message("%s\n", shipped[i]);
        struct replayed r = replay_trace(path_of(i), false);
        assert_true(r.accesses > 1000000 && r.faults > 0 && r.table_writes > 0);
        if (!strcmp(shipped[i], "vmchurn"))
            assert_true(r.cr3_writes > 10 && r.invlpgs > 100 && r.table_pages > 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped__whole_and_small),
        cmocka_unit_test(shipped__model_translates_or_faults_as_the_guest_did),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
