/* Damaged, cut, hostile and old .nwt files. */
#include "trace_support.h"

#include "../../traces/nwt_format.h" /* to damage a file in a way that its checksums do not notice */

enum { BLOCKS = 3 };

/* A small trace of three blocks with both classes, crossings, events, data words and page-table pages. Events end its blocks: the
 * writer starts a new one at each change of vCPU. */
static uint8_t *small_trace(const char *path, size_t *bytes)
{
    static struct nw_trace_info info;
    nw_trace_info_init(&info);
    snprintf(info.origin, sizeof info.origin, "test");
    info.vcpu_count = 2;
    info.has_tables = true;
    info.table_count = 2;
    info.table = calloc(2, sizeof *info.table);
    assert_non_null(info.table);
    info.table[1].gpa = 0x5000;
    for (unsigned w = 0; w < 20; w++)
        info.table[w % 2].word[w * 7] = w << 12 | 7;
    struct nw_rng rng = nw_rng_seeded(21);
    struct nw_nwt_writer *w = NULL;
    OK(nw_nwt_writer_create(&w, path, &info, err));
    free(info.table);
    info.table = NULL;
    for (uint16_t block = 0; block < BLOCKS; block++) {
        struct trace t = random_trace(&rng, &flavours[block == 1 ? 4 : 3], 90, 2);
        OK(nw_nwt_write_vcpu(w, block % 2, err));
        for (size_t i = 0, e = 0; i < t.count; i++) {
            for (; e < t.event_count && t.event[e].at == i; e++)
                OK(nw_nwt_write_event(w, &t.event[e], err));
            OK(nw_nwt_write_access(w, t.address[i], t.kind[i], err));
        }
        trace_free(&t);
    }
    OK(nw_nwt_writer_close(w, err));
    OK(nw_nwt_verify(path, NULL, err));
    return read_file(path, bytes);
}

/* Reads all of it in every way; whatever happens, it must not crash, and failures must say something. */
static void read_in_every_way(const char *path)
{
    struct nw_error why = { 0 };
    struct nw_nwt_summary sum;
    enum nw_status s = nw_nwt_verify(path, &sum, &why);
    assert_true(!s || (s == NW_ERR_INPUT && why.text[0]));
    for (unsigned want = 0; want < 4; want++) {
        struct nw_source *source = NULL;
        struct nw_block b;
        if (nw_nwt_open(&source, path, &why))
            return;
        source->want = want;
        uint64_t sum_of_all = 0;
        while (!(s = nw_source_next(source, &b, &why)) && !b.end) {
            for (uint32_t i = 0; i < b.touch_count; i++)
                sum_of_all += b.touch[i].page + b.touch[i].kind;
            for (uint32_t i = 0; b.address && i < b.access_count; i++)
                sum_of_all += b.address[i] + nw_block_kind(&b, i);
            for (uint32_t i = 0; i < b.event_count; i++)
                for (uint32_t d = 0; d < b.event[i].data_words; d++)
                    sum_of_all += b.event[i].data[d];
        }
        assert_true(!s || (s == NW_ERR_INPUT && why.text[0]));
        (void)sum_of_all;
        nw_source_destroy(source);
    }
}

static void verify__catches_a_flipped_byte_anywhere(void **state)
{
    (void)state;
    size_t n;
    const char *path = in_scratch(0, "flip.nwt");
    uint8_t *bytes = small_trace(path, &n);
    for (size_t i = 0; i < n; i++) {
        struct nw_error why = { 0 };
        uint8_t flip = (uint8_t)(1u << i % 8);
        bytes[i] ^= flip;
        write_file(path, bytes, n);
        if (nw_nwt_verify(path, NULL, &why) != NW_ERR_INPUT)
            fail_msg("a flipped bit in byte %zu of %zu goes unnoticed", i, n);
        if (strncmp(why.text, path, strlen(path)) != 0)
            fail_msg("byte %zu: \"%s\" does not name the file", i, why.text);
        bytes[i] ^= flip;
    }
    free(bytes);
}

static void block_ends(const uint8_t *bytes, size_t n, size_t end[BLOCKS + 1])
{
    struct nwt_footer f;
    memcpy(&f, bytes + n - sizeof f, sizeof f);
    assert_int_equal(f.blocks, BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct nwt_index_entry e;
        memcpy(&e, bytes + f.index_offset + sizeof(struct nwt_index_head) + i * sizeof e, sizeof e);
        end[i] = e.offset;
    }
    end[BLOCKS] = f.index_offset;
}

static void repair__a_file_cut_at_any_byte_keeps_all_its_whole_blocks(void **state)
{
    (void)state;
    size_t n, end[BLOCKS + 1];
    const char *path = in_scratch(0, "cut.nwt"), *repaired = in_scratch(1, "repaired.nwt");
    uint8_t *bytes = small_trace(path, &n);
    block_ends(bytes, n, end);
    for (size_t cut = 0; cut <= n; cut++) {
        struct nw_error why = { 0 };
        struct nw_nwt_summary kept, verified;
        uint64_t lost;
        write_file(path, bytes, cut);
        enum nw_status s = nw_nwt_repair(path, repaired, &kept, &lost, &why);
        if (cut < end[0]) {
            assert_int_equal(s, NW_ERR_INPUT);
            continue;
        }
        unsigned whole = 0;
        while (whole < BLOCKS && end[whole + 1] <= cut)
            whole++;
        if (s || kept.blocks != whole)
            fail_msg("cut at %zu of %zu: %u blocks are whole, %llu kept %s", cut, n, whole,
                     (unsigned long long)kept.blocks, why.text);
        OK(nw_nwt_verify(repaired, &verified, err));
        assert_int_equal(verified.blocks, whole);
        size_t m;
        uint8_t *copy = read_file(repaired, &m);
        assert_true(m >= end[whole]);
        assert_memory_equal(copy, bytes, end[whole]);
        if (whole == BLOCKS)
            assert_true(m == n && !memcmp(copy, bytes, n));
        else if (cut - end[whole] >= 4)
            assert_int_equal(lost, cut - end[whole]);
        free(copy);
    }
    free(bytes);
}

static void open__a_cut_file_is_refused_and_summarised(void **state)
{
    (void)state;
    size_t n, end[BLOCKS + 1];
    const char *path = in_scratch(0, "cut.nwt");
    uint8_t *bytes = small_trace(path, &n);
    block_ends(bytes, n, end);
    write_file(path, bytes, end[2] + 10);
    free(bytes);
    struct nw_source *source = NULL;
    struct nw_error why = { 0 };
    struct nw_nwt_summary sum;
    assert_int_equal(nw_nwt_open(&source, path, &why), NW_ERR_INPUT);
    assert_non_null(strstr(why.text, "trace repair"));
    OK(nw_nwt_summarise(path, &sum, NULL, err));
    assert_false(sum.index_present);
    assert_int_equal(sum.blocks, 2);
    assert_int_equal(sum.accesses, 180);
}

static void repair__in_place(void **state)
{
    (void)state;
    size_t n, end[BLOCKS + 1];
    const char *path = in_scratch(0, "place.nwt");
    uint8_t *bytes = small_trace(path, &n);
    block_ends(bytes, n, end);
    bytes[end[1] + 300] ^= 1;
    write_file(path, bytes, n);
    free(bytes);
    struct nw_nwt_summary kept;
    uint64_t lost;
    OK(nw_nwt_repair(path, path, &kept, &lost, err));
    assert_int_equal(kept.blocks, 1);
    assert_int_equal(lost, n - end[1]);
    OK(nw_nwt_verify(path, &kept, err));
}

static void garbage__never_crashes(void **state)
{
    (void)state;
    const uint64_t seed = 31;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct nw_rng rng = nw_rng_seeded(seed);
    size_t n;
    const char *path = in_scratch(0, "garbage.nwt");
    uint8_t *good = small_trace(path, &n), *bad = malloc(2 * n);
    assert_non_null(bad);
    for (unsigned round = 0; round < 1500; round++) {
        size_t m = n;
        memcpy(bad, good, n);
        for (uint64_t k = 1 + nw_rng_below(&rng, 8); k--;) {
            size_t at = nw_rng_below(&rng, m), run = 1 + nw_rng_below(&rng, 16);
            for (size_t i = at; i < at + run && i < m; i++)
                bad[i] = (uint8_t)nw_rng_next(&rng);
        }
        if (percent(&rng, 30))
            m = nw_rng_below(&rng, n + 1);
        write_file(path, bad, m);
        read_in_every_way(path);
    }
    free(good);
    free(bad);
}

/* Changes bytes and makes every checksum right again, so that what lies behind the checksums is met. */
static void reseal(uint8_t *bytes, size_t n, const size_t end[BLOCKS + 1])
{
    struct nwt_prefix p;
    memcpy(&p, bytes, sizeof p);
    p.checksum = 0;
    memcpy(bytes, &p, sizeof p);
    p.checksum = nwt_checksum(bytes, end[0]);
    memcpy(bytes, &p, sizeof p);
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct nwt_block_header h;
        memcpy(&h, bytes + end[i], sizeof h);
        uint64_t at = end[i] + sizeof h;
        for (unsigned c = 0; c < NWT_COLUMNS && at + h.column[c].stored_bytes <= n; c++) {
            h.column[c].checksum = nwt_checksum(bytes + at, h.column[c].stored_bytes);
            at += h.column[c].stored_bytes;
        }
        h.checksum = nwt_checksum(&h, offsetof(struct nwt_block_header, checksum));
        memcpy(bytes + end[i], &h, sizeof h);
    }
    struct nwt_footer f;
    memcpy(&f, bytes + n - sizeof f, sizeof f);
    f.index_checksum = nwt_checksum(bytes + end[BLOCKS], n - sizeof f - end[BLOCKS]);
    f.checksum = nwt_checksum(&f, offsetof(struct nwt_footer, checksum));
    memcpy(bytes + n - sizeof f, &f, sizeof f);
}

static void hostile__right_checksums_over_wrong_contents_never_crash(void **state)
{
    (void)state;
    const uint64_t seed = 32;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct nw_rng rng = nw_rng_seeded(seed);
    size_t n, end[BLOCKS + 1];
    const char *path = in_scratch(0, "hostile.nwt");
    uint8_t *good = small_trace(path, &n), *bad = malloc(n);
    assert_non_null(bad);
    block_ends(good, n, end);
    static const uint8_t telling[] = { 0, 1, 2, 0x7f, 0x80, 0xff };
    for (unsigned round = 0; round < 4000; round++) {
        memcpy(bad, good, n);
        /* Half of the rounds aim at block headers, whose numbers steer everything. */
        size_t from = percent(&rng, 50) ? end[nw_rng_below(&rng, BLOCKS)] : 0;
        size_t room = from ? sizeof(struct nwt_block_header) : n;
        for (uint64_t k = 1 + nw_rng_below(&rng, 3); k--;) {
            size_t at = from + nw_rng_below(&rng, room);
            bad[at] = percent(&rng, 50) ? telling[nw_rng_below(&rng, sizeof telling)] : (uint8_t)nw_rng_next(&rng);
        }
        reseal(bad, n, end);
        write_file(path, bad, n);
        read_in_every_way(path);
    }
    free(good);
    free(bad);
}

static void hostile__page_lists_that_lie_about_the_accesses_are_caught(void **state)
{
    (void)state;
    size_t n, end[BLOCKS + 1];
    const char *path = in_scratch(0, "liar.nwt");
    uint8_t *bytes = small_trace(path, &n);
    block_ends(bytes, n, end);
    /* Another base moves all pages of a class alike: sound. A touch bitmap with one more bit is not. */
    struct nwt_block_header h;
    memcpy(&h, bytes + end[0], sizeof h);
    h.page_base[NWT_DATA] ^= 1 << 20;
    memcpy(bytes + end[0], &h, sizeof h);
    reseal(bytes, n, end);
    write_file(path, bytes, n);
    OK(nw_nwt_verify(path, NULL, err));
    size_t at = end[0] + sizeof h;
    for (unsigned c = 0; c < NWT_TOUCH; c++)
        at += h.column[c].stored_bytes;
    assert_int_equal(h.encoding[NWT_TOUCH], NWT_RAW);
    uint64_t bits = nwt_load64(bytes + at);
    assert_true(~bits != 0);
    nwt_store64(bytes + at, bits | (bits + 1)); /* sets the lowest clear bit */
    reseal(bytes, n, end);
    write_file(path, bytes, n);
    free(bytes);
    struct nw_error why = { 0 };
    assert_int_equal(nw_nwt_verify(path, NULL, &why), NW_ERR_INPUT);
}

static void assert_refused(const char *path, const uint8_t *bytes, size_t n, const char *says)
{
    struct nw_error why = { 0 };
    struct nw_source *source = NULL;
    write_file(path, bytes, n);
    enum nw_status s = nw_nwt_open(&source, path, &why);
    if (!s) { /* the header is sound; then it is the first block */
        struct nw_block b;
        s = nw_source_next(source, &b, &why);
        nw_source_destroy(source);
    }
    assert_int_equal(s, NW_ERR_INPUT);
    if (!strstr(why.text, says))
        fail_msg("\"%s\" does not say \"%s\"", why.text, says);
}

static void refused__each_kind_of_nonsense_has_one_clear_message(void **state)
{
    (void)state;
    size_t n, end[BLOCKS + 1];
    const char *path = in_scratch(0, "nonsense.nwt");
    uint8_t *good = small_trace(path, &n), *bad = malloc(n);
    assert_non_null(bad);
    block_ends(good, n, end);
    assert_refused(path, (const uint8_t *)"", 0, "not a .nwt trace");
    assert_refused(path, (const uint8_t *)"hello, world, this is a text", 28, "not a .nwt trace");
    assert_refused(path, good, 20, "ends at offset 20");

#define CHANGED(offset, type, value, resealed, says)                                                                   \
    do {                                                                                                               \
        memcpy(bad, good, n);                                                                                          \
        type v_ = (type)(value);                                                                                       \
        memcpy(bad + (offset), &v_, sizeof v_);                                                                        \
        if (resealed)                                                                                                  \
            reseal(bad, n, end);                                                                                       \
        assert_refused(path, bad, n, (says));                                                                          \
    } while (0)
    size_t header = sizeof(struct nwt_prefix), block = end[0];
    CHANGED(8, uint32_t, 2, true, "trace version 2, this program reads version 1");
    CHANGED(12, uint32_t, 0xffffffff, false, "announces 4294967295 bytes");
    CHANGED(header, uint16_t, 99, true, "a field is unknown");
    CHANGED(header + 4, uint32_t, 1 << 30, true, "a field is longer than the header");
    CHANGED(block, uint32_t, 0, true, "block 0 at offset");
    CHANGED(block + offsetof(struct nwt_block_header, access_count), uint32_t, 65537, true, "65537 accesses");
    CHANGED(block + offsetof(struct nwt_block_header, vcpu), uint16_t, 2, true, "of vCPU 2, the trace has 2");
    CHANGED(block + offsetof(struct nwt_block_header, block_bytes), uint32_t, 1 << 30, true, "its columns");
    CHANGED(block + offsetof(struct nwt_block_header, column[NWT_KIND].raw_bytes), uint32_t, UINT32_C(1) << 31, true,
            "column kinds has");
    CHANGED(block + offsetof(struct nwt_block_header, encoding[NWT_KIND]), uint8_t, 9, true, "encoding 9");
    CHANGED(block + offsetof(struct nwt_block_header, page_length[0][3]), uint8_t, 8, true,
            "has 8 bytes, allowed are 7");
    CHANGED(block + offsetof(struct nwt_block_header, first_access), uint64_t, 5, true, "expected was access 0");
    CHANGED(block + offsetof(struct nwt_block_header, crossings), uint32_t, 5000, true, "contradict each other");
#undef CHANGED
    free(good);
    free(bad);
}

/* tests/data/traces/golden-1.nwt was written when version 1 of the format was made. Every later reader must read it;
 * NW_REGENERATE_GOLDENS=1 in the environment writes it anew. */
static struct trace golden_trace(void)
{
    struct nw_rng rng = nw_rng_seeded(20);
    struct flavour f = flavours[3];
    f.event_kinds = NW_EV_GUEST_WALK; /* the kinds there were then */
    return random_trace(&rng, &f, 400, 1);
}

static void golden__version_1_stays_readable(void **state)
{
    (void)state;
    const char *path = NW_TEST_DATA "/traces/golden-1.nwt";
    struct trace t = golden_trace();
    if (getenv("NW_REGENERATE_GOLDENS")) {
        struct nw_trace_info info;
        nw_trace_info_init(&info);
        snprintf(info.origin, sizeof info.origin, "golden");
        snprintf(info.workload, sizeof info.workload, "400 random accesses");
        info.seed = 20;
        write_trace(path, &info, &t);
    }
    OK(nw_nwt_verify(path, NULL, err));
    struct nw_source *source = NULL;
    OK(nw_nwt_open(&source, path, err));
    assert_string_equal(nw_source_info(source)->origin, "golden");
    assert_int_equal(nw_source_info(source)->seed, 20);
    assert_delivers(source, &t);
    nw_source_destroy(source);
    trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verify__catches_a_flipped_byte_anywhere),
        cmocka_unit_test(repair__a_file_cut_at_any_byte_keeps_all_its_whole_blocks),
        cmocka_unit_test(open__a_cut_file_is_refused_and_summarised),
        cmocka_unit_test(repair__in_place),
        cmocka_unit_test(garbage__never_crashes),
        cmocka_unit_test(hostile__right_checksums_over_wrong_contents_never_crash),
        cmocka_unit_test(hostile__page_lists_that_lie_about_the_accesses_are_caught),
        cmocka_unit_test(refused__each_kind_of_nonsense_has_one_clear_message),
        cmocka_unit_test(golden__version_1_stays_readable),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
