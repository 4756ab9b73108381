#include "trace_support.h"

#include <nestwalk/traces/memory_source.h>

static void kind__every_size_code_round_trips(void **state)
{
    (void)state;
    for (unsigned code = 0; code < NW_KIND_SIZE_CODES; code++) {
        assert_int_equal(nw_kind_size_code(nw_kind_size_bytes[code]), code);
        uint8_t kind = nw_kind_make(NW_STORE, nw_kind_size_bytes[code], code % 2);
        assert_int_equal(nw_kind_type(kind), NW_STORE);
        assert_int_equal(nw_kind_bytes(kind), nw_kind_size_bytes[code]);
        assert_int_equal(nw_kind_user(kind), code % 2);
    }
}

static void kind__a_size_without_code_is_covered_by_the_next_larger(void **state)
{
    (void)state;
    assert_int_equal(nw_kind_size_code(0), 0);
    for (unsigned bytes = 1; bytes <= 4096; bytes++) {
        unsigned code = nw_kind_size_code(bytes);
        assert_true(nw_kind_size_bytes[code] >= bytes);
        assert_true(!code || nw_kind_size_bytes[code - 1] < bytes);
    }
    assert_int_equal(nw_kind_size_code(5000), NW_KIND_SIZE_CODES - 1);
}

static void event_table__every_kind_has_a_name_and_named_arguments(void **state)
{
    (void)state;
    for (unsigned k = 1; k < NW_EV_KIND_END; k++) {
        const struct nw_event_kind_info *info = &nw_event_kind_table[k];
        assert_non_null(info->name);
        assert_non_null(info->doc);
        assert_in_range(info->args, 1, NW_EVENT_ARGS_MAX);
        for (unsigned a = 0; a < NW_EVENT_ARGS_MAX; a++)
            assert_true((a < info->args) == (info->arg_name[a] != NULL));
        assert_true((info->data_name != NULL) == (info->data_step > 0 && info->data_max > 0));
        assert_true(info->data_max <= NW_EVENT_DATA_WORDS_MAX);
    }
}

/* docs/trace-format.md has the kinds as rows "| 4 | invlpg | gva | |": number, name, arguments in order, data. */
static void event_table__the_specification_lists_the_same_kinds(void **state)
{
    (void)state;
    size_t bytes;
    char *text = (char *)read_file(NW_SOURCE_DIR "/docs/trace-format.md", &bytes);
    text[bytes] = '\0';
    unsigned rows = 0;
    for (unsigned k = 1; k < NW_EV_KIND_END; k++) {
        const struct nw_event_kind_info *info = &nw_event_kind_table[k];
        char row[64];
        snprintf(row, sizeof row, "\n| %u | %s | ", k, info->name);
        const char *at = strstr(text, row);
        if (!at)
            fail_msg("the specification has no row for %u, %s", k, info->name);
        at += strlen(row);
        for (unsigned a = 0; a < info->args; a++) {
            const char *bar = strchr(at, '|'), *arg = strstr(at, info->arg_name[a]);
            if (!arg || arg > bar)
                fail_msg("the specification of %s lacks %s, or has it out of order", info->name, info->arg_name[a]);
            at = arg + strlen(info->arg_name[a]);
        }
        rows++;
    }
    assert_int_equal(rows, NW_EV_KIND_END - 1);
    free(text);
}

static void event_check__values_outside_the_table_are_refused(void **state)
{
    (void)state;
    const uint64_t pair[2] = { 512, 1 };
    const struct {
        struct nw_event event;
        const char *says;
    } cases[] = {
        { { .kind = 0 }, "kind 0 is unknown" },
        { { .kind = NW_EV_KIND_END }, "unknown" },
        { { .kind = NW_EV_CPL, .arg = { 4 } }, "cpl 4, allowed is 0 to 3" },
        { { .kind = NW_EV_INVEPT, .arg = { 0 } }, "type 0, allowed is 1 to 2" },
        { { .kind = NW_EV_INVEPT, .arg = { 3 } }, "type 3, allowed is 1 to 2" },
        { { .kind = NW_EV_TABLE_WRITE, .arg = { 0, 9 } }, "bytes 9, allowed is 1 to 8" },
        { { .kind = NW_EV_PAGE_CONTENT, .arg = { 0, 1, 4097 } }, "packed_bytes 4097, allowed is 1 to 4096" },
        { { .kind = NW_EV_INVLPG, .data = pair, .data_words = 2 }, "none are allowed" },
        { { .kind = NW_EV_TABLE_PAGE, .data = pair, .data_words = 1 }, "multiples of 2" },
        { { .kind = NW_EV_TABLE_PAGE, .data = pair, .data_words = 2 }, "word 512, allowed is less than 512" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(cases); i++) {
        struct nw_error err = { 0 };
        assert_int_equal(nw_event_check(&cases[i].event, &err), NW_ERR_INPUT);
        if (!strstr(err.text, cases[i].says))
            fail_msg("case %zu says \"%s\", not \"%s\"", i, err.text, cases[i].says);
    }
}

/* ---- touches ---- */

#define LOAD  nw_kind_make(NW_LOAD, 8, true)
#define STORE nw_kind_make(NW_STORE, 8, true)
#define UPPER (LOAD | NW_TOUCH_UPPER)
#define FETCH nw_kind_make(NW_FETCH, 4, true)

static void assert_touches(const uint64_t *address, const uint8_t *kind, uint32_t n, const struct nw_event *event,
                           uint32_t events, const struct nw_touch *expected, uint32_t expected_count)
{
    struct nw_block b = { .access_count = n, .address = address, .kind = kind, .event = event, .event_count = events };
    for (uint32_t i = 0; i < n; i++)
        b.crosses_page |= nw_access_crosses(address[i], kind[i]);
    struct nw_touch out[32];
    assert_int_equal(nw_touches_of(&b, 0, out), expected_count);
    assert_memory_equal(out, expected, expected_count * sizeof *out);
}

static void touches__repetitions_on_a_page_are_dropped_by_class_and_kind(void **state)
{
    (void)state;
    const uint64_t address[] = { 0x1000, 0x5000, 0x1008, 0x1010, 0x1018, 0x5004, 0x2000, 0x1000 };
    const uint8_t kind[] = { LOAD, FETCH, LOAD, STORE, STORE, FETCH, LOAD, LOAD };
    const struct nw_touch expected[] = {
        { 1, 0, LOAD }, { 5, 1, FETCH }, { 1, 3, STORE }, { 2, 6, LOAD }, { 1, 7, LOAD }
    };
    assert_touches(address, kind, 8, NULL, 0, expected, 5);
}

static void touches__an_event_starts_the_filter_afresh(void **state)
{
    (void)state;
    const uint64_t address[] = { 0x1000, 0x1008, 0x1010 };
    const uint8_t kind[] = { LOAD, LOAD, LOAD };
    const struct nw_event event[] = { { .at = 2, .kind = NW_EV_INVLPG }, { .at = 2, .kind = NW_EV_INVLPG } };
    const struct nw_touch expected[] = { { 1, 0, LOAD }, { 1, 2, LOAD } };
    assert_touches(address, kind, 3, event, 2, expected, 2);
}

static void touches__a_crossing_access_is_two_and_the_upper_one_says_so(void **state)
{
    (void)state;
    /* The second one's first page is already there: only its second page is a touch. Page numbers wrap. */
    const uint64_t address[] = { 0x1ffc, 0x2ffc, 0x3000, 0xfffffffffffffffc };
    const uint8_t kind[] = { LOAD, LOAD, LOAD, LOAD };
    const struct nw_touch expected[] = {
        { 1, 0, LOAD }, { 2, 0, UPPER }, { 3, 1, UPPER }, { 0xfffffffffffff, 3, LOAD }, { 0, 3, UPPER }
    };
    assert_touches(address, kind, 4, NULL, 0, expected, 5);
}

static void touches__privilege_counts_as_kind(void **state)
{
    (void)state;
    const uint8_t kernel = nw_kind_make(NW_LOAD, 8, false);
    const uint64_t address[] = { 0x1000, 0x1000, 0x1000, 0x1000 };
    const uint8_t kind[] = { LOAD, kernel, LOAD, kernel };
    const struct nw_touch expected[] = { { 1, 0, LOAD }, { 1, 1, kernel } };
    assert_touches(address, kind, 4, NULL, 0, expected, 2);
}

static void memory_source__delivers_the_arrays_and_the_rules_touches(void **state)
{
    (void)state;
    const uint32_t block_sizes[] = { 1, 7, 100, 0 };
    for (size_t f = 0; f < NW_ARRAY_LEN(flavours); f++)
        for (size_t k = 0; k < NW_ARRAY_LEN(block_sizes); k++) {
            uint64_t seed = 1000 + f * 10 + k;
            print_message("seed %llu: %s\n", (unsigned long long)seed, flavours[f].name);
            struct nw_rng rng = nw_rng_seeded(seed);
            struct trace t = random_trace(&rng, &flavours[f], 1 + nw_rng_below(&rng, 2000), 1);
            struct nw_source *source = NULL;
            OK(nw_memory_source_create(&source, NULL, t.address, t.kind, t.count, t.event, t.event_count,
                                       block_sizes[k], err));
            assert_delivers(source, &t);
            OK(nw_source_rewind(source, err));
            assert_delivers(source, &t);
            nw_source_destroy(source);
            trace_free(&t);
        }
}

static void touches_of__may_start_anywhere(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(77);
    struct trace t = random_trace(&rng, &flavours[5], 300, 1);
    struct nw_block b = { .access_count = 300, .address = t.address, .kind = t.kind, .crosses_page = true };
    struct nw_touch got[600], expected[600];
    for (uint32_t start = 0; start <= 300; start++) {
        struct nw_block tail = { .access_count = 300 - start, .address = t.address + start, .kind = t.kind + start };
        uint32_t n = naive_touches(&tail, expected);
        for (uint32_t i = 0; i < n; i++)
            expected[i].at += start;
        assert_int_equal(nw_touches_of(&b, start, got), n);
        assert_memory_equal(got, expected, n * sizeof *got);
    }
    trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kind__every_size_code_round_trips),
        cmocka_unit_test(kind__a_size_without_code_is_covered_by_the_next_larger),
        cmocka_unit_test(event_table__every_kind_has_a_name_and_named_arguments),
        cmocka_unit_test(event_table__the_specification_lists_the_same_kinds),
        cmocka_unit_test(event_check__values_outside_the_table_are_refused),
        cmocka_unit_test(touches__repetitions_on_a_page_are_dropped_by_class_and_kind),
        cmocka_unit_test(touches__an_event_starts_the_filter_afresh),
        cmocka_unit_test(touches__a_crossing_access_is_two_and_the_upper_one_says_so),
        cmocka_unit_test(touches__privilege_counts_as_kind),
        cmocka_unit_test(memory_source__delivers_the_arrays_and_the_rules_touches),
        cmocka_unit_test(touches_of__may_start_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
