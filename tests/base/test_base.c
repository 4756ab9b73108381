/* base/: physical memory, frames, random numbers, bits, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/metric.h>
#include <nestwalk/base/physmem.h>
#include <nestwalk/base/rng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void physmem__untouched_words_read_zero_and_cost_nothing(void **state)
{
    (void)state;
    struct nw_physmem *pm;
    assert_int_equal(nw_physmem_create(&pm, NULL), NW_OK);
    assert_int_equal(nw_physmem_read64(pm, nw_hpa(0)), 0);
    assert_int_equal(nw_physmem_read64(pm, nw_hpa(UINT64_C(0xffffffffffff8))), 0);
    assert_int_equal(pm->mapped_regions, 0);
    nw_physmem_destroy(pm);
    nw_physmem_destroy(NULL);
}

static void physmem__holds_words_at_any_52_bit_address(void **state)
{
    (void)state;
    struct nw_physmem *pm;
    struct nw_error err = { 0 };
    struct nw_rng rng = nw_rng_seeded(7);
    uint64_t address[200];
    assert_int_equal(nw_physmem_create(&pm, NULL), NW_OK);
    for (size_t i = 0; i < NW_ARRAY_LEN(address); i++) {
        address[i] = nw_rng_next(&rng) & nw_mask(51, 3);
        if (nw_physmem_write64(pm, nw_hpa(address[i]), nw_mix64(address[i]), &err))
            fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(address); i++)
        assert_int_equal(nw_physmem_read64(pm, nw_hpa(address[i])), nw_mix64(address[i]));
    assert_int_equal(nw_physmem_write64(pm, nw_hpa(UINT64_C(1) << 52), 1, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "52 bits"));
    nw_physmem_destroy(pm);
}

static void physmem__byte_writes_change_those_bytes_only(void **state)
{
    (void)state;
    struct nw_physmem *pm;
    struct nw_error err;
    assert_int_equal(nw_physmem_create(&pm, NULL), NW_OK);
    assert_int_equal(nw_physmem_write64(pm, nw_hpa(0x1000), UINT64_C(0x1122334455667788), NULL), NW_OK);
    assert_int_equal(nw_physmem_write_bytes(pm, nw_hpa(0x1002), 2, 0xffffabcd, NULL), NW_OK);
    assert_int_equal(nw_physmem_read64(pm, nw_hpa(0x1000)), UINT64_C(0x11223344abcd7788));
    assert_int_equal(nw_physmem_write_bytes(pm, nw_hpa(0x1000), 8, 5, NULL), NW_OK);
    assert_int_equal(nw_physmem_read64(pm, nw_hpa(0x1000)), 5);
    assert_int_equal(nw_physmem_write_bytes(pm, nw_hpa(0x1006), 4, 0, &err), NW_ERR_INPUT);
    assert_int_equal(nw_physmem_write_bytes(pm, nw_hpa(0x1000), 0, 0, &err), NW_ERR_INPUT);
    nw_physmem_destroy(pm);
}

/* Runs last: the limit stays lowered. */
static void physmem__memory_that_cannot_be_had_is_an_error(void **state)
{
    (void)state;
#if NW_SANITIZED
    skip(); /* the sanitizer's own address space does not fit under a limit */
#else
    struct nw_physmem *pm;
    struct nw_error err = { 0 };
    struct rlimit limit = { UINT64_C(512) << 20, UINT64_C(512) << 20 };
    enum nw_status s = NW_OK;
    assert_int_equal(nw_physmem_create(&pm, NULL), NW_OK);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    for (uint64_t i = 0; !s && i < 64; i++) /* 4 GiB of regions */
        s = nw_physmem_write64(pm, nw_hpa(i << NW_REGION_LOG2), 1, &err);
    assert_int_equal(s, NW_ERR_NOMEM);
    assert_int_equal(nw_status_exit_code(s), 4);
    assert_non_null(strstr(err.text, "regions of 64 MiB"));
    nw_physmem_destroy(pm);
#endif
}

static void frames__are_unique_aligned_and_reused(void **state)
{
    (void)state;
    struct nw_frames f;
    struct nw_error err = { 0 };
    uint64_t a, big, b, c;
    nw_frames_init(&f, 0x100, 0x800);
    assert_int_equal(nw_frames_alloc(&f, 12, &a, NULL), NW_OK);
    assert_int_equal(a, 0x100);
    assert_int_equal(nw_frames_alloc(&f, 21, &big, NULL), NW_OK);
    assert_int_equal(big, 0x200);
    assert_int_equal(nw_frames_alloc(&f, 12, &b, NULL), NW_OK);
    assert_int_equal(b, 0x101); /* from the gap below the large run */
    assert_int_equal(nw_frames_free(&f, 12, a, NULL), NW_OK);
    assert_int_equal(nw_frames_alloc(&f, 12, &c, NULL), NW_OK);
    assert_int_equal(c, a);
    assert_int_equal(f.allocated_pages, 2 + 512);

    bool seen[0x800] = { false };
    uint64_t count = 2, pfn;
    seen[b] = seen[c] = true;
    while (!nw_frames_alloc(&f, 12, &pfn, &err)) {
        assert_true(pfn >= 0x100 && pfn < 0x800 && !(pfn >= big && pfn < big + 512) && !seen[pfn]);
        seen[pfn] = true;
        count++;
    }
    assert_int_equal(count, 0x700 - 512);
    assert_non_null(strstr(err.text, "used up"));
    assert_int_equal(nw_frames_alloc(&f, 21, &pfn, &err), NW_ERR_NOMEM);
    assert_int_equal(nw_frames_free(&f, 21, big, NULL), NW_OK);
    assert_int_equal(nw_frames_alloc(&f, 12, &pfn, NULL), NW_OK);
    assert_true(pfn >= big && pfn < big + 512);
    nw_frames_fini(&f);
}

static void frames__scattered_have_no_neighbours(void **state)
{
    (void)state;
    enum { FRAMES = 1 << 14 };
    struct nw_frames f;
    uint64_t pfn, last = 0, neighbours = 0;
    uint8_t *seen = calloc(1, 1 << 18);
    assert_non_null(seen);
    nw_frames_init(&f, 0x100, UINT64_C(1) << 30);
    f.scattered = true;
    for (unsigned i = 0; i < FRAMES; i++) {
        assert_int_equal(nw_frames_alloc(&f, 12, &pfn, NULL), NW_OK);
        assert_true(pfn < 1 << 18); /* still within the first 1 GiB */
        assert_int_equal(seen[pfn]++, 0);
        neighbours += pfn == last + 1;
        last = pfn;
    }
    assert_true(neighbours < FRAMES / 1000);
    nw_frames_fini(&f);
    free(seen);
}

static void rng__is_the_published_generator_and_components_are_apart(void **state)
{
    (void)state;
    struct nw_rng r = { { 1, 2, 3, 4 } };
    /* The reference implementation's first outputs from this state. */
    static const uint64_t expected[] = { 11520, 0, 1509978240, UINT64_C(1215971899390074240) };
    for (size_t i = 0; i < NW_ARRAY_LEN(expected); i++)
        assert_int_equal(nw_rng_next(&r), expected[i]);
    struct nw_rng a = nw_rng_for(1, "tlb.l1d"), b = nw_rng_for(1, "tlb.l2"), a2 = nw_rng_for(1, "tlb.l1d");
    uint64_t first = nw_rng_next(&a);
    assert_true(first != nw_rng_next(&b));
    assert_int_equal(first, nw_rng_next(&a2));
    for (int i = 0; i < 1000; i++) {
        assert_true(nw_rng_below(&a, 7) < 7);
        double u = nw_rng_unit(&a);
        assert_true(u >= 0 && u < 1);
    }
}

static void bits__fields_and_extension(void **state)
{
    (void)state;
    assert_int_equal(nw_mask(63, 0), UINT64_MAX);
    assert_int_equal(nw_mask(51, 12), UINT64_C(0xffffffffff000));
    assert_int_equal(nw_mask(3, 4), 0);
    assert_int_equal(nw_field(UINT64_C(0xabcd) << 12, 23, 12), 0xbcd);
    assert_int_equal(nw_sign_extend(UINT64_C(0x800000000000), 48), UINT64_C(0xffff800000000000));
    assert_int_equal(nw_sign_extend(UINT64_C(0x7fffffffffff), 48), UINT64_C(0x7fffffffffff));
    assert_int_equal(nw_align_up(4097, 4096), 8192);
    assert_int_equal(nw_log2_floor(4097), 12);
    assert_int_equal(nw_log2_ceil(4097), 13);
    assert_true(nw_is_pow2(64) && !nw_is_pow2(65) && !nw_is_pow2(0));
}

static void errors__say_what_and_where_once(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    assert_int_equal(nw_fail(&err, NW_ERR_INPUT, "block %d is short", 3), NW_ERR_INPUT);
    nw_error_context(&err, "%s", "a.nwt");
    assert_string_equal(err.text, "a.nwt: block 3 is short");
    assert_int_equal(nw_fail_errno(&err, NW_ERR_IO, ENOENT, "cannot open %s", "x"), NW_ERR_IO);
    assert_string_equal(err.text, "cannot open x: No such file or directory");
    assert_int_equal(nw_fail(NULL, NW_ERR_USAGE, "nobody listens"), NW_ERR_USAGE);
    nw_error_context(NULL, "nor here");
    static const int exit_code[] = {
        [NW_OK] = 0,      [NW_ERR_USAGE] = 2,       [NW_ERR_INPUT] = 3,       [NW_ERR_IO] = 4,      [NW_ERR_NOMEM] = 4,
        [NW_ERR_ENV] = 4, [NW_ERR_UNSUPPORTED] = 4, [NW_ERR_INTERRUPTED] = 4, [NW_ERR_INTERNAL] = 4
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(exit_code); i++)
        assert_int_equal(nw_status_exit_code((enum nw_status)i), exit_code[i]);
}

struct counters {
    uint64_t a, b;
};

static void collect(void *context, const struct nw_metric *m)
{
    strcat(context, m->path);
    strcat(context, m->count == 5 ? "=5;" : "=?;");
    assert_false(m->derived);
}

static void counters__are_visited_by_name(void **state)
{
    (void)state;
    static const struct nw_counter_row rows[] = { NW_COUNTER(struct counters, b, "second", "", ""),
                                                  NW_COUNTER(struct counters, a, "first", "", "") };
    struct counters c = { .a = 5, .b = 6 };
    char text[64] = "";
    nw_counters_visit(rows, NW_ARRAY_LEN(rows), &c, "x.", collect, text);
    assert_string_equal(text, "x.second=?;x.first=5;");
}

/* A file in memory: read where it lies, over a border of regions, and not written back. */
static void physmem__files_appear_in_memory(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    struct nw_physmem *pm;
    FILE *f = tmpfile();
    assert_non_null(f);
    for (uint64_t i = 0; i < 4 * 512; i++)
        assert_int_equal(fwrite(&i, sizeof i, 1, f), 1);
    assert_int_equal(fflush(f), 0);
    assert_int_equal(nw_physmem_create(&pm, &err), NW_OK);
    const hpa_t at = nw_hpa((UINT64_C(3) << NW_REGION_LOG2) - 8192);
    assert_int_equal(nw_physmem_write64(pm, at, 99, &err), NW_OK); /* hidden by the file */
    assert_int_equal(nw_physmem_map_file(pm, at, fileno(f), 4096, 3 * 4096, &err), NW_OK);
    for (uint64_t i = 0; i < 3 * 512; i++)
        assert_true(nw_physmem_read64(pm, nw_hpa(at.v + 8 * i)) == 512 + i);
    assert_true(nw_physmem_read64(pm, nw_hpa(at.v - 8)) == 0 && nw_physmem_read64(pm, nw_hpa(at.v + 3 * 4096)) == 0);
    assert_int_equal(nw_physmem_write64(pm, at, 7, &err), NW_OK);
    uint64_t word = 0;
    assert_int_equal(fseek(f, 4096, SEEK_SET), 0);
    assert_int_equal(fread(&word, sizeof word, 1, f), 1);
    assert_true(word == 512 && nw_physmem_read64(pm, at) == 7);
    assert_int_equal(nw_physmem_map_file(pm, nw_hpa(0x800), fileno(f), 0, 4096, &err), NW_ERR_INPUT);
    assert_int_equal(nw_physmem_map_file(pm, nw_hpa((UINT64_C(1) << 52) - 4096), fileno(f), 0, 8192, &err),
                     NW_ERR_INPUT);
    assert_int_equal(nw_physmem_map_file(pm, nw_hpa(0), -1, 0, 4096, &err), NW_ERR_IO);
    nw_physmem_destroy(pm);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(physmem__untouched_words_read_zero_and_cost_nothing),
        cmocka_unit_test(physmem__holds_words_at_any_52_bit_address),
        cmocka_unit_test(physmem__byte_writes_change_those_bytes_only),
        cmocka_unit_test(frames__are_unique_aligned_and_reused),
        cmocka_unit_test(frames__scattered_have_no_neighbours),
        cmocka_unit_test(rng__is_the_published_generator_and_components_are_apart),
        cmocka_unit_test(bits__fields_and_extension),
        cmocka_unit_test(errors__say_what_and_where_once),
        cmocka_unit_test(counters__are_visited_by_name),
        cmocka_unit_test(physmem__memory_that_cannot_be_had_is_an_error),
        cmocka_unit_test(physmem__files_appear_in_memory),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
