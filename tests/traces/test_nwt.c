/* What goes into a .nwt file comes out of it. */
#include "trace_support.h"

#include <nestwalk/traces/memory_source.h>

static struct nw_trace_info plain_info(uint16_t vcpus)
{
    static struct nw_trace_info info;
    nw_trace_info_init(&info);
    info.vcpu_count = vcpus;
    return info;
}

static void round_trip(uint64_t seed, const struct flavour *f, size_t count)
{
    print_message("seed %llu: %zu accesses, %s\n", (unsigned long long)seed, count, f->name);
    const char *path = in_scratch(0, "a.nwt");
    struct nw_rng rng = nw_rng_seeded(seed);
    struct trace t = random_trace(&rng, f, count, 3);
    static struct nw_trace_info info;
    info = plain_info(3);
    write_trace(path, &info, &t);
    struct nw_source *source = NULL;
    OK(nw_nwt_open(&source, path, err));
    assert_int_equal(nw_source_access_total(source), count);
    assert_delivers(source, &t);
    OK(nw_source_rewind(source, err));
    assert_delivers(source, &t);
    nw_source_destroy(source);
    struct nw_nwt_summary verified, summary;
    OK(nw_nwt_verify(path, &verified, err));
    OK(nw_nwt_summarise(path, &summary, NULL, err));
    assert_memory_equal(&verified, &summary, sizeof summary);
    assert_int_equal(summary.accesses, count);
    assert_int_equal(summary.events, t.event_count);
    trace_free(&t);
}

static void round_trip__random_blocks_of_every_flavour(void **state)
{
    (void)state;
    for (size_t f = 0; f < NW_ARRAY_LEN(flavours); f++)
        for (uint64_t k = 0; k < 12; k++)
            round_trip(f * 100 + k, &flavours[f], k < 6 ? k * k : 1000 + k * 63);
}

static void round_trip__several_blocks(void **state)
{
    (void)state;
    round_trip(1, &flavours[1], NW_BLOCK_ACCESSES_MAX);
    round_trip(2, &flavours[3], NW_BLOCK_ACCESSES_MAX + 1);
    round_trip(3, &flavours[6], 2 * NW_BLOCK_ACCESSES_MAX + 777);
    round_trip(4, &flavours[4], 30000); /* events and data words end blocks early */
}

static void round_trip__every_event_kind_with_extreme_values(void **state)
{
    (void)state;
    struct trace t = { .count = 1 };
    uint64_t word[4] = { 3, UINT64_MAX, 0, 1 };
    struct nw_event event[2 * NW_EV_KIND_END];
    for (uint16_t k = 1; k < NW_EV_KIND_END; k++)
        for (unsigned high = 0; high < 2; high++) {
            struct nw_event *e = &event[t.event_count++];
            *e = (struct nw_event){ .at = high, .kind = k };
            const struct nw_event_kind_info *info = &nw_event_kind_table[k];
            for (unsigned a = 0; a < info->args; a++) {
                bool any = !info->arg_range[a].first && !info->arg_range[a].last;
                e->arg[a] = !high ? info->arg_range[a].first : any ? UINT64_MAX : info->arg_range[a].last;
            }
            if (info->data_name && high) {
                e->data = word;
                e->data_words = 4;
            }
        }
    /* In order of `at`. */
    struct nw_event sorted[2 * NW_EV_KIND_END];
    size_t n = 0;
    for (unsigned at = 0; at < 2; at++)
        for (size_t i = 0; i < t.event_count; i++)
            if (event[i].at == at)
                sorted[n++] = event[i];
    t.event = sorted;
    t.address = (uint64_t[]){ 0x1234 };
    t.kind = (uint8_t[]){ nw_kind_make(NW_FETCH, 3, false) };
    struct nw_trace_info info = plain_info(1);
    write_trace(in_scratch(0, "events.nwt"), &info, &t);
    struct nw_source *source = NULL;
    OK(nw_nwt_open(&source, in_scratch(0, "events.nwt"), err));
    assert_delivers(source, &t);
    nw_source_destroy(source);
}

static void wants__touches_alone_are_the_same_and_events_always_come(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(5);
    struct trace t = random_trace(&rng, &flavours[3], 5000, 1);
    struct nw_trace_info info = plain_info(1);
    const char *path = in_scratch(0, "wants.nwt");
    write_trace(path, &info, &t);
    struct nw_source *all = NULL, *some = NULL;
    OK(nw_nwt_open(&all, path, err));
    OK(nw_nwt_open(&some, path, err));
    all->want = NW_WANT_ADDRESSES | NW_WANT_TOUCHES;
    for (some->want = 0; some->want < 4; some->want++) {
        OK(nw_source_rewind(all, err));
        OK(nw_source_rewind(some, err));
        struct nw_block a, b;
        for (;;) {
            OK(nw_source_next(all, &a, err));
            OK(nw_source_next(some, &b, err));
            assert_int_equal(a.end, b.end);
            if (a.end)
                break;
            assert_int_equal(a.access_count, b.access_count);
            assert_int_equal(a.event_count, b.event_count);
            for (uint32_t i = 0; i < a.event_count; i++)
                assert_same_event(&a.event[i], &b.event[i]);
            assert_true((b.address != NULL) == ((some->want & NW_WANT_ADDRESSES) != 0));
            assert_int_equal(b.touch_count, some->want & NW_WANT_TOUCHES ? a.touch_count : 0);
            if (some->want & NW_WANT_TOUCHES)
                assert_memory_equal(a.touch, b.touch, a.touch_count * sizeof *a.touch);
            if (b.address)
                assert_memory_equal(a.address, b.address, a.access_count * sizeof *a.address);
        }
    }
    nw_source_destroy(all);
    nw_source_destroy(some);
    trace_free(&t);
}

static void header__everything_a_trace_says_of_itself_comes_back(void **state)
{
    (void)state;
    static struct nw_trace_info info, back;
    nw_trace_info_init(&info);
    snprintf(info.origin, sizeof info.origin, "capture");
    memset(info.workload, 'w', sizeof info.workload - 1);
    snprintf(info.cpu_model, sizeof info.cpu_model, "A \"CPU\" \xc3\xa9");
    snprintf(info.kernel, sizeof info.kernel, "6.1");
    snprintf(info.kvm_backend, sizeof info.kvm_backend, "pvm");
    info.seed = UINT64_MAX;
    info.vcpu_count = NW_TRACE_VCPUS_MAX;
    info.gva_bits = 57;
    info.gpa_bits = 52;
    info.guest_memory_bytes = UINT64_C(1) << 40;
    info.has_tables = true;
    for (unsigned v = 0; v < NW_TRACE_VCPUS_MAX; v++)
        info.vcpu[v] = (struct nw_vcpu_state){ 0x80050033 + v, v << 12, 0x620, 0xd01, (uint8_t)(v % 4) };
    info.table_count = 40;
    info.table = calloc(info.table_count, sizeof *info.table);
    struct nw_rng rng = nw_rng_seeded(9);
    for (uint32_t p = 0; p < info.table_count; p++) {
        info.table[p].gpa = (uint64_t)(p * 3 + 1) << 12;
        for (unsigned w = 0; p && w < NW_WORDS_PER_PAGE; w += 1 + p)
            info.table[p].word[w] = p < 20 ? p << 12 | 7 : nw_rng_next(&rng);
    }
    struct nw_nwt_writer *w = NULL;
    const char *path = in_scratch(0, "header.nwt");
    OK(nw_nwt_writer_create(&w, path, &info, err));
    OK(nw_nwt_write_vcpu(w, 255, err));
    OK(nw_nwt_write_access(w, 42, nw_kind_make(NW_LOAD, 1, true), err));
    nw_nwt_writer_set_instructions(w, UINT64_C(123456789012));
    OK(nw_nwt_writer_close(w, err));
    info.instructions = UINT64_C(123456789012);

    struct nw_nwt_summary summary;
    OK(nw_nwt_verify(path, NULL, err));
    OK(nw_nwt_summarise(path, &summary, &back, err));
    assert_int_equal(back.table_count, info.table_count);
    assert_memory_equal(back.table, info.table, info.table_count * sizeof *info.table);
    nw_trace_info_fini(&back);
    struct nw_table_page *own = info.table;
    back.table_count = info.table_count;
    back.table = info.table;
    assert_memory_equal(&back, &info, offsetof(struct nw_trace_info, table));
    free(own);

    struct nw_source *source = NULL;
    struct nw_block b;
    OK(nw_nwt_open(&source, path, err));
    OK(nw_source_next(source, &b, err));
    assert_int_equal(b.vcpu, 255);
    nw_source_destroy(source);
}

/* Pages that compress better than the format allows are stored as they are. */
static void header__thousands_of_empty_table_pages_come_back(void **state)
{
    (void)state;
    static struct nw_trace_info info, back;
    nw_trace_info_init(&info);
    info.has_tables = true;
    info.table_count = 3000;
    info.table = calloc(info.table_count, sizeof *info.table);
    assert_non_null(info.table);
    for (uint32_t p = 0; p < info.table_count; p++)
        info.table[p].gpa = (uint64_t)p << 12;
    struct trace none = { 0 };
    write_trace(in_scratch(0, "empty_pages.nwt"), &info, &none);
    struct nw_nwt_summary summary;
    OK(nw_nwt_verify(in_scratch(0, "empty_pages.nwt"), NULL, err));
    OK(nw_nwt_summarise(in_scratch(0, "empty_pages.nwt"), &summary, &back, err));
    assert_int_equal(summary.blocks, 0);
    assert_int_equal(back.table_count, info.table_count);
    assert_memory_equal(back.table, info.table, info.table_count * sizeof *info.table);
    nw_trace_info_fini(&back);
    nw_trace_info_fini(&info);
}

static void vcpus__a_change_of_vcpu_ends_the_block(void **state)
{
    (void)state;
    struct nw_trace_info info = plain_info(2);
    struct nw_nwt_writer *w = NULL;
    OK(nw_nwt_writer_create(&w, in_scratch(0, "vcpus.nwt"), &info, err));
    for (uint16_t i = 0; i < 6; i++) {
        OK(nw_nwt_write_vcpu(w, i / 2 % 2, err));
        OK(nw_nwt_write_access(w, i * 64u, nw_kind_make(NW_LOAD, 8, true), err));
    }
    OK(nw_nwt_writer_close(w, err));
    struct nw_source *source = NULL;
    struct nw_block b;
    OK(nw_nwt_open(&source, in_scratch(0, "vcpus.nwt"), err));
    for (uint16_t i = 0; i < 3; i++) {
        OK(nw_source_next(source, &b, err));
        assert_int_equal(b.access_count, 2);
        assert_int_equal(b.vcpu, i % 2);
        assert_int_equal(b.first_access, 2 * i);
    }
    nw_source_destroy(source);
}

static void seek__lands_in_the_block_that_has_the_access(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(11);
    struct trace t = random_trace(&rng, &flavours[6], 200000, 1);
    struct nw_trace_info info = plain_info(1);
    write_trace(in_scratch(0, "seek.nwt"), &info, &t);
    struct nw_source *source = NULL;
    OK(nw_nwt_open(&source, in_scratch(0, "seek.nwt"), err));
    const uint64_t places[] = { 0, 65535, 65536, 199999, 1, 131072 };
    struct nw_block b;
    for (size_t i = 0; i < NW_ARRAY_LEN(places); i++) {
        OK(nw_nwt_seek(source, places[i], err));
        OK(nw_source_next(source, &b, err));
        assert_true(b.first_access <= places[i] && places[i] < b.first_access + b.access_count);
        assert_int_equal(b.address[places[i] - b.first_access], t.address[places[i]]);
    }
    OK(nw_nwt_seek(source, 200000, err));
    OK(nw_source_next(source, &b, err));
    assert_true(b.end);
    nw_source_destroy(source);
    trace_free(&t);
}

static void write_block__equals_writing_one_by_one(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(12);
    struct trace t = random_trace(&rng, &flavours[3], 70000, 1);
    struct nw_trace_info info = plain_info(1);
    write_trace(in_scratch(0, "one.nwt"), &info, &t);
    struct nw_source *source = NULL;
    struct nw_nwt_writer *w = NULL;
    struct nw_block b;
    OK(nw_memory_source_create(&source, &info, t.address, t.kind, t.count, t.event, t.event_count, 777, err));
    OK(nw_nwt_writer_create(&w, in_scratch(1, "two.nwt"), &info, err));
    for (;;) {
        OK(nw_source_next(source, &b, err));
        if (b.end)
            break;
        b.vcpu = 0;
        OK(nw_nwt_write_block(w, &b, err));
    }
    OK(nw_nwt_writer_close(w, err));
    nw_source_destroy(source);
    size_t n1, n2;
    uint8_t *one = read_file(in_scratch(0, "one.nwt"), &n1), *two = read_file(in_scratch(1, "two.nwt"), &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(one, two, n1);
    free(one);
    free(two);
    trace_free(&t);
}

static void writer__refuses_what_a_reader_would(void **state)
{
    (void)state;
    struct nw_trace_info info = plain_info(2);
    struct nw_nwt_writer *w = NULL;
    struct nw_error why;
    const char *path = in_scratch(0, "refused.nwt");
    OK(nw_nwt_writer_create(&w, path, &info, err));
    assert_int_equal(nw_nwt_write_access(w, 1, 3, &why), NW_ERR_INPUT);
    assert_int_equal(nw_nwt_write_vcpu(w, 2, &why), NW_ERR_INPUT);
    assert_int_equal(nw_nwt_write_event(w, &(struct nw_event){ .kind = NW_EV_CPL, .arg = { 7 } }, &why), NW_ERR_INPUT);
    assert_int_equal(nw_nwt_write_event(w, &(struct nw_event){ .kind = NW_EV_CPL, .vcpu = 2 }, &why), NW_ERR_INPUT);
    nw_nwt_writer_abandon(w);
    assert_int_equal(access(path, F_OK), -1);
    info.vcpu_count = 0;
    assert_int_equal(nw_nwt_writer_create(&w, path, &info, &why), NW_ERR_USAGE);
    assert_non_null(strstr(why.text, "vcpu_count is 0, allowed is 1 to 256"));
    info.vcpu_count = 1;
    assert_int_equal(nw_nwt_writer_create(&w, in_scratch(1, "missing/x.nwt"), &info, &why), NW_ERR_IO);
    assert_int_equal(nw_nwt_writer_create(&w, "/dev/null", &info, &why), NW_ERR_USAGE);
    assert_int_equal(nw_nwt_writer_create(&w, scratch, &info, &why), NW_ERR_USAGE);
    assert_non_null(strstr(why.text, "regular file"));
}

static void sequential_streams__cost_next_to_nothing(void **state)
{
    (void)state;
    struct nw_trace_info info = plain_info(1);
    struct nw_nwt_writer *w = NULL;
    OK(nw_nwt_writer_create(&w, in_scratch(0, "seq.nwt"), &info, err));
    for (uint64_t i = 0; i < 1 << 18; i++)
        OK(nw_nwt_write_access(w, 0x7f0000000000 + i * 64, nw_kind_make(NW_LOAD, 8, true), err));
    OK(nw_nwt_writer_close(w, err));
    struct nw_nwt_summary s;
    OK(nw_nwt_summarise(in_scratch(0, "seq.nwt"), &s, NULL, err));
    assert_true(s.file_bytes < 4096);
}

static void sha256__known_answers(void **state)
{
    (void)state;
    char hex[65];
    const char *path = in_scratch(0, "text");
    write_file(path, "abc", 3); /* FIPS 180-2, appendix B.1 */
    OK(nw_file_sha256(path, hex, err));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char again[65];
    nw_bytes_sha256("abc", 3, again); /* FIPS 180-4, the one-block example */
    assert_string_equal(again, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    write_file(path, "", 0);
    OK(nw_file_sha256(path, hex, err));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct nw_error why = { 0 };
    assert_int_equal(nw_file_sha256(in_scratch(0, "nothing"), hex, &why), NW_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip__random_blocks_of_every_flavour),
        cmocka_unit_test(round_trip__several_blocks),
        cmocka_unit_test(round_trip__every_event_kind_with_extreme_values),
        cmocka_unit_test(wants__touches_alone_are_the_same_and_events_always_come),
        cmocka_unit_test(header__everything_a_trace_says_of_itself_comes_back),
        cmocka_unit_test(header__thousands_of_empty_table_pages_come_back),
        cmocka_unit_test(vcpus__a_change_of_vcpu_ends_the_block),
        cmocka_unit_test(seek__lands_in_the_block_that_has_the_access),
        cmocka_unit_test(write_block__equals_writing_one_by_one),
        cmocka_unit_test(writer__refuses_what_a_reader_would),
        cmocka_unit_test(sequential_streams__cost_next_to_nothing),
        cmocka_unit_test(sha256__known_answers),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
