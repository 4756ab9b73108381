/* Cutting pieces, and the state that goes with them. */
#include "trace_support.h"

#include <nestwalk/traces/cut.h>

static struct nw_trace_info info_with_tables(void)
{
    static struct nw_trace_info info;
    nw_trace_info_init(&info);
    info.has_tables = true;
    info.vcpu_count = 2;
    info.vcpu[0].cr3 = 0x1000;
    info.instructions = 99;
    return info;
}

/* The part of a trace that a piece has, by the rule of cut.h. */
static struct trace piece(const struct trace *t, size_t first, size_t count)
{
    size_t last = first + count < t->count ? first + count : t->count, from = 0, to = 0;
    for (size_t e = 0; e < t->event_count; e++) {
        from += first && t->event[e].at <= first;
        to += t->event[e].at <= last;
    }
    struct trace p = { .count = last - first, .event_count = to - from };
    p.address = t->address + first;
    p.kind = t->kind + first;
    p.event = calloc(p.event_count + 1, sizeof *p.event);
    assert_non_null(p.event);
    for (size_t e = 0; e < p.event_count; e++) {
        p.event[e] = t->event[from + e];
        p.event[e].at -= (uint32_t)first;
    }
    return p;
}

static void cut__pieces_are_what_they_were_and_tile(void **state)
{
    (void)state;
    const uint64_t seed = 41;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct nw_rng rng = nw_rng_seeded(seed);
    struct trace t = random_trace(&rng, &flavours[3], 150000, 2);
    for (size_t e = 0; e < t.event_count; e++) /* a table page must be aligned to be carried */
        if (t.event[e].kind == NW_EV_TABLE_PAGE || t.event[e].kind == NW_EV_TABLE_WRITE)
            t.event[e].arg[0] = t.event[e].arg[0] % 50 << 12;
    static struct nw_trace_info info;
    info = info_with_tables();
    write_trace(in_scratch(0, "whole.nwt"), &info, &t);
    const size_t pieces[][2] = { { 0, 10 },        { 10, 65526 },        { 65536, 1 },
                                 { 65537, 70000 }, { 135537, SIZE_MAX }, { 0, SIZE_MAX / 2 } };
    uint64_t accesses = 0, events = 0;
    for (size_t k = 0; k < NW_ARRAY_LEN(pieces); k++) {
        struct nw_nwt_summary kept;
        size_t count = pieces[k][1] > t.count ? t.count : pieces[k][1];
        OK(nw_trace_cut(in_scratch(0, "whole.nwt"), in_scratch(1, "piece.nwt"), pieces[k][0], pieces[k][1], NULL, NULL,
                        &kept, err));
        OK(nw_nwt_verify(in_scratch(1, "piece.nwt"), &kept, err));
        struct trace p = piece(&t, pieces[k][0], count);
        struct nw_source *source = NULL;
        OK(nw_nwt_open(&source, in_scratch(1, "piece.nwt"), err));
        assert_delivers(source, &p);
        nw_source_destroy(source);
        free(p.event);
        if (k < 5) {
            accesses += kept.accesses;
            events += kept.events;
        }
    }
    assert_int_equal(accesses, t.count);
    assert_int_equal(events, t.event_count);
    trace_free(&t);
}

static void cut__carries_registers_and_tables_to_where_the_piece_begins(void **state)
{
    (void)state;
    const uint64_t words[] = { 0, 0x2007, 511, 0x3007 };
    const struct {
        uint32_t after;
        struct nw_event e;
    } happens[] = {
        { 0, { .kind = NW_EV_CR_WRITE, .arg = { 4, 0x20 } } },
        { 1, { .kind = NW_EV_TABLE_PAGE, .arg = { 0x5000 }, .data = words, .data_words = 4 } },
        { 2, { .kind = NW_EV_CR_WRITE, .arg = { 3, 0x8000000000005001 } } },
        { 2, { .kind = NW_EV_TABLE_WRITE, .arg = { 0x5008, 8, 0x4007 } } },
        { 3, { .kind = NW_EV_TABLE_WRITE, .arg = { 0x500a, 1, 0xff } } },
        { 3, { .kind = NW_EV_TABLE_WRITE, .arg = { 0x1ffe, 4, 0x04030201 } } }, /* over the end of its page */
        { 3, { .kind = NW_EV_MSR_WRITE, .vcpu = 1, .arg = { 0xc0000080, 0xd01 } } },
        { 3, { .kind = NW_EV_CPL, .vcpu = 1, .arg = { 3 } } },
        { 4, { .kind = NW_EV_TABLE_WRITE, .arg = { 0x5000, 8, 0 } } }, /* after access 3: the piece's own */
    };
    static struct nw_trace_info info, cut;
    info = info_with_tables();
    struct nw_nwt_writer *w = NULL;
    OK(nw_nwt_writer_create(&w, in_scratch(0, "state.nwt"), &info, err));
    size_t h = 0;
    for (uint32_t i = 0; i <= 6; i++) {
        for (; h < NW_ARRAY_LEN(happens) && happens[h].after == i; h++)
            OK(nw_nwt_write_event(w, &happens[h].e, err));
        OK(nw_nwt_write_access(w, i * 8, nw_kind_make(NW_STORE, 8, false), err));
    }
    OK(nw_nwt_writer_close(w, err));
    struct nw_nwt_summary s;
    OK(nw_trace_cut(in_scratch(0, "state.nwt"), in_scratch(1, "cut.nwt"), 3, 2, NULL, NULL, &s, err));
    assert_int_equal(s.accesses, 2);
    assert_int_equal(s.events, 1);
    OK(nw_nwt_summarise(in_scratch(1, "cut.nwt"), &s, &cut, err));
    assert_int_equal(cut.vcpu[0].cr4, 0x20);
    assert_int_equal(cut.vcpu[0].cr3, 0x5001);
    assert_int_equal(cut.vcpu[1].efer, 0xd01);
    assert_int_equal(cut.vcpu[1].cpl, 3);
    assert_int_equal(cut.instructions, 0);
    assert_int_equal(cut.table_count, 3);
    assert_int_equal(cut.table[0].gpa, 0x1000);
    assert_int_equal(cut.table[0].word[511], UINT64_C(0x0201) << 48);
    assert_int_equal(cut.table[1].gpa, 0x2000);
    assert_int_equal(cut.table[1].word[0], 0x0403);
    assert_int_equal(cut.table[2].gpa, 0x5000);
    assert_int_equal(cut.table[2].word[0], 0x2007);
    assert_int_equal(cut.table[2].word[1], 0xff4007);
    assert_int_equal(cut.table[2].word[511], 0x3007);
    nw_trace_info_fini(&cut);
}

static void cut__a_piece_that_begins_behind_the_end_is_refused(void **state)
{
    (void)state;
    static struct nw_trace_info info;
    info = info_with_tables();
    struct trace t = { .count = 1, .address = (uint64_t[]){ 1 }, .kind = (uint8_t[]){ NW_LOAD } };
    write_trace(in_scratch(0, "one.nwt"), &info, &t);
    struct nw_error why;
    assert_int_equal(nw_trace_cut(in_scratch(0, "one.nwt"), in_scratch(1, "none.nwt"), 1, 1, NULL, NULL, NULL, &why),
                     NW_ERR_USAGE);
    assert_non_null(strstr(why.text, "no access 1, only 1"));
    assert_int_equal(access(in_scratch(1, "none.nwt"), F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut__pieces_are_what_they_were_and_tile),
        cmocka_unit_test(cut__carries_registers_and_tables_to_where_the_piece_begins),
        cmocka_unit_test(cut__a_piece_that_begins_behind_the_end_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
