/* test_device.c - requests one after the other, side by side, and in sequence. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after those four */
#include <cmocka.h>
#include <nestwalk/swap/device.h>

static struct nw_swap_device device(double read, double seek, double variation, unsigned channels)
{
    struct nw_swap_device d;
    const struct nw_swap_timing t = { .read_ns = read,
                                      .write_ns = 2 * read,
                                      .seek_ns = seek,
                                      .variation = variation,
                                      .bytes_per_ns = 1,
                                      .channels = channels };
    nw_swap_device_init(&d, &t, 42, "test");
    return d;
}

static void requests__wait_for_the_channel(void **state)
{
    (void)state;
    struct nw_swap_device d = device(1000, 0, 0, 1);
    assert_int_equal(nw_swap_device_request(&d, 0, false, 7, 1), 5096);
    assert_int_equal(nw_swap_device_request(&d, 100, true, 9, 2), 5096 + 2000 + 8192);
    assert_int_equal(d.queued_ns, 4996);
    assert_int_equal(d.busy_ns, 5096 + 10192);
    assert_int_equal(d.reads, 1);
    assert_int_equal(d.written_pages, 2);
}

static void requests__use_all_channels(void **state)
{
    (void)state;
    struct nw_swap_device d = device(1000, 0, 0, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(nw_swap_device_request(&d, 0, false, 7, 1), 5096);
    assert_int_equal(nw_swap_device_request(&d, 0, false, 7, 1), 2 * 5096);
}

static void seeks__are_spared_by_sequence(void **state)
{
    (void)state;
    struct nw_swap_device d = device(1000, 1e6, 0, 1);
    assert_int_equal(nw_swap_device_request(&d, 0, false, 100, 8), 1000 + 8 * 4096 + 1000000);
    const uint64_t at = d.free_ns[0];
    assert_int_equal(nw_swap_device_request(&d, at, false, 108, 1), at + 5096);
    assert_int_equal(d.seeks, 1);
    assert_int_equal(nw_swap_device_request(&d, d.free_ns[0], false, 108, 1) - at, 5096 + 5096 + 1000000);
    assert_int_equal(d.seeks, 2);
}

static void latency__has_the_mean_that_was_asked_for(void **state)
{
    (void)state;
    struct nw_swap_device d = device(100000, 0, 0.5, 1);
    enum { N = 20000 };
    double sum = 0, least = 1e9;
    for (int i = 0; i < N; i++) {
        const uint64_t now = d.free_ns[0], took = nw_swap_device_request(&d, now, false, 0, 1) - now - 4096;
        sum += (double)took;
        least = fmin(least, (double)took);
    }
    assert_true(fabs(sum / N - 100000) < 1500); /* four standard errors of the mean */
    assert_true(least >= 49999 && least < 50100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests__wait_for_the_channel),
        cmocka_unit_test(requests__use_all_channels),
        cmocka_unit_test(seeks__are_spared_by_sequence),
        cmocka_unit_test(latency__has_the_mean_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
