/* Walks that KVM is said to have made, right and wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/mmu/format.h>
#include <nestwalk/sim/walk_check.h>
#include <nestwalk/traces/memory_source.h>
#include <string.h>

static struct nw_error error;
static const uint64_t gva = 0x7fff00403000;
enum { ROOT = 0x1000, FLAGS = 0x27 }; /* A is set: a walk changes nothing */
static const uint64_t leaf = 0x9000 | FLAGS;

/* Four tables, one entry each, on the way to `gva`. */
static void make_info(struct nw_trace_info *info, struct nw_table_page table[4])
{
    const struct nw_guest_registers r = nw_guest_registers_long(4, ROOT);
    nw_trace_info_init(info);
    memset(table, 0, 4 * sizeof *table);
    for (unsigned i = 0; i < 4; i++) {
        table[i].gpa = ROOT + 0x1000 * i;
        table[i].word[gva >> (39 - 9 * i) & 511] = i < 3 ? (table[i].gpa + 0x1000) | FLAGS : leaf;
    }
    info->has_tables = true;
    info->gpa_bits = 40;
    info->table = table;
    info->table_count = 4;
    info->vcpu[0] = (struct nw_vcpu_state){ .cr0 = r.cr0, .cr3 = r.cr3, .cr4 = r.cr4, .efer = r.efer };
}

static struct nw_walk_check check(const struct nw_event *event, size_t events)
{
    static const uint64_t address[] = { 0x1000 };
    struct nw_table_page table[4];
    struct nw_trace_info info;
    struct nw_source *source;
    struct nw_walk_check out;
    make_info(&info, table);
    assert_int_equal(nw_memory_source_create(&source, &info, address, NULL, 1, event, events, 0, &error), NW_OK);
    assert_int_equal(nw_walk_check(source, &out, &error), NW_OK);
    nw_source_destroy(source);
    return out;
}

static const uint64_t right[] = { 3, 0x2000 | FLAGS, 2, 0x3000 | FLAGS, 1, 0x4000 | FLAGS, 0, 0x9000 | FLAGS };

static struct nw_event walk(const uint64_t *data, uint32_t words)
{
    return (struct nw_event){ .kind = NW_EV_GUEST_WALK, .arg = { gva, 0 }, .data = data, .data_words = words };
}

static void walk_check__the_same_entries_agree(void **state)
{
    (void)state;
    const struct nw_event e = walk(right, 8);
    const struct nw_walk_check c = check(&e, 1);
    assert_int_equal(c.walks, 1);
    assert_int_equal(c.entries, 4);
    assert_int_equal(c.walks_by_length[4], 1);
    assert_int_equal(c.differing, 0);
    assert_string_equal(c.difference, "");
}

static void walk_check__another_entry_level_or_length_differs(void **state)
{
    (void)state;
    uint64_t entry[8], level[8];
    memcpy(entry, right, sizeof entry);
    memcpy(level, right, sizeof level);
    entry[7] ^= 0x40;
    level[2] = 1;
    const struct nw_event e[] = { walk(right, 8), walk(entry, 8), walk(level, 8), walk(right, 6) };
    const struct nw_walk_check c = check(e, 4);
    assert_int_equal(c.walks, 4);
    assert_int_equal(c.differing, 3);
    assert_non_null(strstr(c.difference, "walk 2 of 0x7fff00403000, reference 3"));
}

static void walk_check__tables_change_as_the_trace_says(void **state)
{
    (void)state;
    uint64_t now[8];
    memcpy(now, right, sizeof now);
    now[7] = 0xa000 | FLAGS;
    const struct nw_event e[] = {
        { .kind = NW_EV_TABLE_WRITE, .arg = { 0x4000 + 8 * (gva >> 12 & 511), 8, 0xa000 | FLAGS } }, walk(now, 8)
    };
    assert_int_equal(check(e, 2).differing, 0);
    assert_int_equal(check(e + 1, 1).differing, 1);
}

static void walk_check__a_trace_without_tables_is_refused(void **state)
{
    (void)state;
    static const uint64_t address[] = { 0x1000 };
    struct nw_source *source;
    struct nw_walk_check out;
    assert_int_equal(nw_memory_source_create(&source, NULL, address, NULL, 1, NULL, 0, 0, &error), NW_OK);
    assert_int_equal(nw_walk_check(source, &out, &error), NW_ERR_INPUT);
    nw_source_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk_check__the_same_entries_agree),
        cmocka_unit_test(walk_check__another_entry_level_or_length_differs),
        cmocka_unit_test(walk_check__tables_change_as_the_trace_says),
        cmocka_unit_test(walk_check__a_trace_without_tables_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
