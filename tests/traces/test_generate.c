/* The generators: their documented statistics, and determinism. */
#include "trace_support.h"

#include <math.h>
#include <nestwalk/traces/generate.h>

enum { BASE_PAGE = 0x7f0000000 };

/* All accesses of a generator in arrays. */
static struct trace generate(const char *kind, const struct nw_generate_options *o)
{
    struct trace t = { .count = o->accesses };
    t.address = calloc(o->accesses, sizeof *t.address);
    t.kind = calloc(o->accesses, 1);
    assert_true(t.address && t.kind);
    struct nw_source *source = NULL;
    OK(nw_generator_find(kind)->open(&source, o, err));
    assert_int_equal(nw_source_access_total(source), o->accesses);
    struct nw_block b;
    for (size_t n = 0;; n += b.access_count) {
        OK(nw_source_next(source, &b, err));
        if (b.end) {
            assert_int_equal(n, o->accesses);
            break;
        }
        assert_true(n + b.access_count <= o->accesses);
        memcpy(t.address + n, b.address, b.access_count * sizeof *b.address);
        for (uint32_t i = 0; i < b.access_count; i++)
            t.kind[n + i] = nw_block_kind(&b, i);
    }
    OK(nw_source_rewind(source, err));
    assert_delivers(source, &t);
    nw_source_destroy(source);
    return t;
}

static struct nw_generate_options options(uint64_t accesses, uint64_t span)
{
    struct nw_generate_options o;
    nw_generate_defaults(&o);
    o.accesses = accesses;
    o.span_bytes = span;
    return o;
}

static void generator__stays_in_its_span_and_repeats_exactly(void **state)
{
    (void)state;
    const uint64_t spans[] = { 4096, 12288, 1 << 20, (1 << 20) + 8192 };
    for (size_t g = 0; g < nw_generator_count; g++)
        for (size_t k = 0; k < NW_ARRAY_LEN(spans); k++) {
            struct nw_generate_options o = options(20000, spans[k]);
            o.store_fraction = (double)k * 0.25;
            struct trace t = generate(nw_generators[g].name, &o), again = generate(nw_generators[g].name, &o);
            assert_memory_equal(t.address, again.address, t.count * sizeof *t.address);
            assert_memory_equal(t.kind, again.kind, t.count);
            for (size_t i = 0; i < t.count; i++) {
                assert_true(t.address[i] >= o.base && t.address[i] + 8 <= o.base + o.span_bytes);
                assert_int_equal(t.address[i] % 8, 0);
                assert_int_equal(nw_kind_bytes(t.kind[i]), 8);
            }
            trace_free(&t);
            trace_free(&again);
        }
}

static void generator__another_seed_is_another_trace(void **state)
{
    (void)state;
    for (size_t g = 0; g < nw_generator_count; g++) {
        struct nw_generate_options o = options(1000, 1 << 24);
        struct trace a = generate(nw_generators[g].name, &o);
        o.seed = 43;
        struct trace b = generate(nw_generators[g].name, &o);
        bool same = !memcmp(a.address, b.address, a.count * sizeof *a.address);
        assert_int_equal(same, !strcmp(nw_generators[g].name, "sequential"));
        trace_free(&a);
        trace_free(&b);
    }
}

static void stores__come_in_the_share_asked_for_and_leave_addresses_alone(void **state)
{
    (void)state;
    struct nw_generate_options o = options(200000, 1 << 24);
    struct trace loads = generate("zipf", &o);
    o.store_fraction = 0.3;
    struct trace mixed = generate("zipf", &o);
    size_t stores = 0;
    for (size_t i = 0; i < mixed.count; i++)
        stores += nw_kind_type(mixed.kind[i]) == NW_STORE;
    /* 0.3 n +- 6 standard deviations of a binomial distribution */
    assert_true(fabs((double)stores - 60000) < 6 * sqrt(200000 * 0.3 * 0.7));
    assert_memory_equal(loads.address, mixed.address, loads.count * sizeof *loads.address);
    trace_free(&loads);
    trace_free(&mixed);
}

struct told {
    uint64_t hash, packed;
};

/* What a generator with contents says of each page, and that it says it once, before the page's first access. Its accesses are `bare`, unless that is NULL. */
static struct told *contents_of(const struct nw_generate_options *o, size_t pages, const struct trace *bare)
{
    struct told *told = calloc(pages, sizeof *told);
    bool *touched = calloc(pages, sizeof *touched);
    struct nw_source *source = NULL;
    struct nw_block b;
    OK(nw_generator_find("uniform")->open(&source, o, err));
    for (;;) {
        OK(nw_source_next(source, &b, err));
        if (b.end)
            break;
        for (uint32_t i = 0, e = 0; i < b.access_count; i++) {
            for (; e < b.event_count && b.event[e].at == i; e++) {
                const uint64_t page = b.event[e].arg[0] / 4096 - BASE_PAGE;
                assert_true(page < pages && !told[page].packed && !touched[page]);
                assert_int_equal(nw_event_check(&b.event[e], NULL), NW_OK);
                told[page] = (struct told){ b.event[e].arg[1], b.event[e].arg[2] };
            }
            const uint64_t page = b.address[i] / 4096 - BASE_PAGE;
            touched[page] = true;
            assert_true(told[page].packed);
            assert_true(!bare || bare->address[b.first_access + i] == b.address[i]);
        }
    }
    nw_source_destroy(source);
    free(touched);
    return told;
}

static void contents__are_shared_by_an_image_and_by_zeros_alone(void **state)
{
    (void)state;
    enum { PAGES = 4000 };
    struct nw_generate_options o = options(200000, PAGES * 4096);
    struct trace bare = generate("uniform", &o);
    o.contents = true;
    o.zero_fraction = 0.1;
    o.image_fraction = 0.3;
    o.image = "debian";
    o.packed_ratio = 4;
    struct told *a = contents_of(&o, PAGES, &bare);
    o.seed = 7;
    struct told *b = contents_of(&o, PAGES, NULL);
    o.image = "fedora";
    struct told *c = contents_of(&o, PAGES, NULL);
    trace_free(&bare);
    unsigned zeros = 0, equal = 0, equal_elsewhere = 0;
    double packed = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        const bool is_zero = a[i].hash == nw_page_hash_of_zeros();
        zeros += is_zero;
        equal += !is_zero && a[i].hash == b[i].hash;
        equal_elsewhere += c[i].hash != nw_page_hash_of_zeros() && a[i].hash == c[i].hash;
        packed += is_zero ? 0 : (double)a[i].packed;
    }
    /* 6 standard deviations; all pages are touched, with a probability of all but PAGES e^-50 */
    assert_true(fabs(zeros - 0.1 * PAGES) < 6 * sqrt(PAGES * 0.1 * 0.9));
    assert_true(fabs(equal - 0.3 * PAGES) < 6 * sqrt(PAGES * 0.3 * 0.7));
    assert_int_equal(equal_elsewhere, 0);
    assert_true(fabs(packed / (PAGES - zeros) - 1024) < 6 * 1024 / sqrt(12.0 * (PAGES - zeros)));
    free(a);
    free(b);
    free(c);
}

static void uniform__all_words_are_equally_likely(void **state)
{
    (void)state;
    enum { WORDS = 1000, N = 1000000 };
    struct nw_generate_options o = options(N, WORDS * 8);
    struct trace t = generate("uniform", &o);
    static unsigned seen[WORDS];
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < t.count; i++)
        seen[(t.address[i] - o.base) / 8]++;
    double chi2 = 0, expected = (double)N / WORDS;
    for (unsigned w = 0; w < WORDS; w++)
        chi2 += (seen[w] - expected) * (seen[w] - expected) / expected;
    /* 999 degrees of freedom: mean 999, standard deviation 44.7 */
    assert_true(chi2 > 999 - 6 * 44.7 && chi2 < 999 + 6 * 44.7);
    trace_free(&t);
}

static int descending(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x < y) - (x > y);
}

/* Runs begin where the page changes; a run that is followed by one of the same page cannot be told from a long one, so the
 * accesses are counted, which are four times the draws on average whatever the page. */
static void zipf__pages_follow_the_law(void **state)
{
    (void)state;
    enum { PAGES = 1000, N = 2000000 };
    const double exponents[] = { 0, 0.5, 0.99, 1, 1.5 };
    for (size_t k = 0; k < NW_ARRAY_LEN(exponents); k++) {
        struct nw_generate_options o = options(N, PAGES * NW_PAGE_BYTES);
        o.exponent = exponents[k];
        struct trace t = generate("zipf", &o);
        static unsigned seen[PAGES];
        memset(seen, 0, sizeof seen);
        for (size_t i = 0; i < t.count; i++)
            seen[(t.address[i] >> 12) - BASE_PAGE]++;
        qsort(seen, PAGES, sizeof *seen, descending);
        double total = 0;
        for (unsigned r = 1; r <= PAGES; r++)
            total += pow(r, -exponents[k]);
        /* Shares of the first 1, 10 and 100 ranks. An access is one of a run of mean 4 and mean square 20, so a share p of the
         * accesses has the variance p (1-p) / (N/4) * 20/16. Sorting lifts ranks that are all but alike: hence the 4 %. */
        const unsigned heads[] = { 1, 10, 100 };
        for (size_t h = 0; h < NW_ARRAY_LEN(heads); h++) {
            double expected = 0, got = 0;
            for (unsigned r = 1; r <= heads[h]; r++) {
                expected += pow(r, -exponents[k]) / total;
                got += (double)seen[r - 1] / N;
            }
            double deviation = sqrt(expected * (1 - expected) / (N / 4.0) * 20 / 16);
            if (fabs(got - expected) > 6 * deviation + (exponents[k] < 0.6 ? 0.11 : 0.04) * expected)
                fail_msg("exponent %g: the first %u pages have a share of %g, not %g", exponents[k], heads[h], got,
                         expected);
        }
        trace_free(&t);
    }
}

static void zipf__a_tebibyte_needs_no_more_memory_than_a_page(void **state)
{
    (void)state;
    struct nw_generate_options o = options(100000, UINT64_C(1) << 40); /* 2^28 pages */
    struct trace t = generate("zipf", &o);
    size_t runs = 1;
    for (size_t i = 1; i < t.count; i++)
        runs += t.address[i] >> 12 != t.address[i - 1] >> 12;
    /* Mean run 4, a little more where two draws in a row are alike. */
    assert_true(runs > t.count / 5 && runs < t.count / 3);
    trace_free(&t);
}

static void sequential__is_the_stride_wrapping(void **state)
{
    (void)state;
    struct nw_generate_options o = options(5000, 100000);
    o.stride_bytes = 136;
    struct trace t = generate("sequential", &o);
    for (size_t i = 0; i < t.count; i++)
        assert_int_equal(t.address[i], o.base + i % (100000 / 136) * 136);
    trace_free(&t);
}

static void pointer_chase__visits_every_node_once_a_round_in_one_order(void **state)
{
    (void)state;
    const uint64_t nodes[] = { 1, 2, 3, 1000, 1024, 1025 };
    for (size_t k = 0; k < NW_ARRAY_LEN(nodes); k++) {
        uint64_t n = nodes[k];
        struct nw_generate_options o = options(2 * n, n * 64);
        struct trace t = generate("pointer-chase", &o);
        bool *seen = calloc(n, sizeof *seen);
        assert_non_null(seen);
        uint64_t steps_of_one = 0;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t node = (t.address[i] - o.base) / 64;
            assert_false(seen[node]);
            seen[node] = true;
            assert_int_equal(t.address[n + i], t.address[i]);
            steps_of_one += i && t.address[i] == t.address[i - 1] + 64;
        }
        assert_true(n < 1000 || steps_of_one < 20); /* a random order has about one */
        free(seen);
        trace_free(&t);
    }
}

static void gups__is_a_load_and_a_store_of_one_word(void **state)
{
    (void)state;
    struct nw_generate_options o = options(40001, 1 << 20);
    struct trace t = generate("gups", &o);
    for (size_t i = 0; i < t.count; i++)
        assert_int_equal(nw_kind_type(t.kind[i]), i % 2 ? NW_STORE : NW_LOAD);
    for (size_t i = 1; i < t.count; i += 2)
        assert_int_equal(t.address[i], t.address[i - 1]);
    trace_free(&t);
}

static void files__same_seed_same_bytes(void **state)
{
    (void)state;
    for (size_t g = 0; g < nw_generator_count; g++) {
        size_t n[2];
        uint8_t *bytes[2];
        for (unsigned k = 0; k < 2; k++) {
            struct nw_generate_options o = options(70000, 1 << 22);
            o.store_fraction = 0.1;
            struct nw_source *source = NULL;
            struct nw_nwt_writer *w = NULL;
            struct nw_block b;
            OK(nw_generators[g].open(&source, &o, err));
            OK(nw_nwt_writer_create(&w, in_scratch(k, k ? "b.nwt" : "a.nwt"), nw_source_info(source), err));
            for (;;) {
                OK(nw_source_next(source, &b, err));
                if (b.end)
                    break;
                OK(nw_nwt_write_block(w, &b, err));
            }
            OK(nw_nwt_writer_close(w, err));
            nw_source_destroy(source);
            bytes[k] = read_file(scratch_name[k], &n[k]);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], n[0]);
        free(bytes[0]);
        free(bytes[1]);
    }
}

static void options__nonsense_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *kind, *says;
        struct nw_generate_options o;
    } cases[] = {
        { "uniform", "accesses is 0", { .accesses = 0, .span_bytes = 8, .stride_bytes = 64 } },
        { "uniform", "span is 7", { .accesses = 1, .span_bytes = 7, .stride_bytes = 64 } },
        { "zipf", "span is 4095", { .accesses = 1, .span_bytes = 4095, .stride_bytes = 64 } },
        { "zipf", "base is 0x8", { .accesses = 1, .span_bytes = 4096, .base = 8 } },
        { "zipf", "exponent is -1", { .accesses = 1, .span_bytes = 4096, .exponent = -1 } },
        { "sequential", "stride is 0", { .accesses = 1, .span_bytes = 4096, .stride_bytes = 0 } },
        { "sequential", "stride is 12", { .accesses = 1, .span_bytes = 4096, .stride_bytes = 12 } },
        { "gups", "store fraction is 2", { .accesses = 1, .span_bytes = 4096, .store_fraction = 2 } },
        { "gups", "beyond 64 bits", { .accesses = 1, .span_bytes = 4096, .base = 0xfffffffffffffff8 } },
        { "zipf", "exponent is nan", { .accesses = 1, .span_bytes = 4096, .exponent = NAN } },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(cases); i++) {
        struct nw_source *source = NULL;
        struct nw_error why = { 0 };
        assert_int_equal(nw_generator_find(cases[i].kind)->open(&source, &cases[i].o, &why), NW_ERR_USAGE);
        if (!strstr(why.text, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", why.text, cases[i].says);
    }
    assert_null(nw_generator_find("zipff"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator__stays_in_its_span_and_repeats_exactly),
        cmocka_unit_test(generator__another_seed_is_another_trace),
        cmocka_unit_test(stores__come_in_the_share_asked_for_and_leave_addresses_alone),
        cmocka_unit_test(contents__are_shared_by_an_image_and_by_zeros_alone),
        cmocka_unit_test(uniform__all_words_are_equally_likely),
        cmocka_unit_test(zipf__pages_follow_the_law),
        cmocka_unit_test(zipf__a_tebibyte_needs_no_more_memory_than_a_page),
        cmocka_unit_test(sequential__is_the_stride_wrapping),
        cmocka_unit_test(pointer_chase__visits_every_node_once_a_round_in_one_order),
        cmocka_unit_test(gups__is_a_load_and_a_store_of_one_word),
        cmocka_unit_test(files__same_seed_same_bytes),
        cmocka_unit_test(options__nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
