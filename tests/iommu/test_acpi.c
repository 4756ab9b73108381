/* The firmware's tables: what decoding them gives, and what malformed tables and texts give. The rules' own inputs are in the lab (lab.h). */
#include "lab_dmar.h"
#include "lab_ivrs.h"

static size_t check_bytes(const uint8_t *bytes, size_t size, struct nw_iommu_findings *found)
{
    struct nw_acpi_file file;
    size_t structures;
    must(nw_acpi_load(bytes, size, "built", &file, err));
    assert_int_equal(file.count, 1);
    must(nw_iommu_check_table(&file.table[0], found, &structures, err));
    nw_acpi_file_fini(&file);
    return structures;
}

static struct builder built; /* too large for the stack */

/* ---- decoding -------------------------------------------------------------------------------------- */

static struct nw_acpi_file load_built(void)
{
    struct nw_acpi_file file;
    finish(&built);
    must(nw_acpi_load(built.byte, built.size, "built", &file, err));
    return file;
}

static void dmar__fields_and_paths(void **state)
{
    (void)state;
    struct nw_dmar d;
    sound_dmar(&built);
    put(&built, built.structure + 5, 1, 3);
    rmrr(&built, 0x1234, 0x8a76a000, 0x8a789fff);
    scope(&built, NW_DMAR_SCOPE_ENDPOINT, 7, 0x20, 0x1c, 5);
    append(&built, 2, 0x0103); /* a second step: 03.1 */
    put(&built, built.size - 9, 1, 10);
    fit(&built);
    rhsa(&built, UNIT, 3);
    andd(&built, 9, "\\_SB.I2C2", true);
    structure(&built, NW_DMAR_SATC, 8);
    scope(&built, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    put(&built, built.size - 6, 1, 0x10);
    struct nw_acpi_file file = load_built();
    must(nw_dmar_decode(&file.table[0], &d, err));
    assert_int_equal(d.problems.count, 0);
    assert_int_equal(d.structures, 5);
    assert_int_equal(d.scopes, 3);
    assert_int_equal(d.address_bits_minus_1, 38);
    assert_int_equal(d.structure[0].size_log2_pages, 3);
    assert_int_equal(d.structure[0].base, UNIT);
    assert_int_equal(d.structure[1].segment, 0x1234);
    assert_int_equal(d.structure[1].base, 0x8a76a000);
    assert_int_equal(d.structure[1].limit, 0x8a789fff);
    assert_int_equal(d.structure[1].first_scope, 1);
    assert_int_equal(d.scope[1].structure, 1);
    assert_int_equal(d.scope[1].id, 7);
    assert_int_equal(d.scope[1].start_bus, 0x20);
    assert_int_equal(d.scope[1].hops, 2);
    assert_memory_equal(d.scope[1].path, "\x1c\x05\x03\x01", 4);
    assert_int_equal(d.structure[2].proximity, 3);
    assert_int_equal(d.structure[3].number, 9);
    assert_string_equal(d.structure[3].name, "\\_SB.I2C2");
    assert_int_equal(d.scope[2].flags, 0x10);
    uint32_t sum = NW_ACPI_FIXED_BYTES;
    for (size_t i = 0; i < d.structures; i++)
        sum += d.structure[i].length;
    assert_int_equal(sum, file.table[0].length);
    nw_dmar_fini(&d);
    nw_acpi_file_fini(&file);
}

static void ivrs__fields_and_entries(void **state)
{
    (void)state;
    struct nw_ivrs v;
    sound_ivrs(&built, NW_IVHD_40);
    put(&built, built.structure + 16, 2, 5);
    put(&built, built.structure + 24, 8, UINT64_C(0x206d73ef22254ade));
    put(&built, built.structure + 32, 8, 0x77);
    entry(&built, NW_IVHD_ALIAS_SELECT, 0x100, 0xa500);
    entry(&built, NW_IVHD_EXT_SELECT, 0x200, 0x80000000);
    entry(&built, NW_IVHD_PAD8, 0, 0);
    acpi_hid(&built, "AMDI0020", 2, "\\_SB.FUR0");
    ivmd(&built, NW_IVMD_RANGE, 7, 0x300, 0x3ff, 0xccd42000, 0x26000);
    struct nw_acpi_file file = load_built();
    must(nw_ivrs_decode(&file.table[0], &v, err));
    assert_int_equal(v.problems.count, 0);
    assert_int_equal(v.info, 0x203000);
    assert_int_equal(v.blocks, 2);
    assert_int_equal(v.entries, 5);
    assert_int_equal(v.block[0].segment, 5);
    assert_int_equal(v.block[0].base, IOMMU);
    assert_int_equal(v.block[0].capability_offset, 0x40);
    assert_int_equal(v.block[0].efr, UINT64_C(0x206d73ef22254ade));
    assert_int_equal(v.block[0].efr2, 0x77);
    assert_int_equal(v.entry[0].handle, 1);
    assert_int_equal(v.entry[0].device, 0xa0);
    assert_int_equal(v.entry[0].variety, NW_IVHD_IOAPIC);
    assert_int_equal(v.entry[1].device, 0x100);
    assert_int_equal(v.entry[1].alias, 0xa5);
    assert_int_equal(v.entry[2].extended, 0x80000000);
    assert_int_equal(v.entry[4].length, 31);
    assert_memory_equal(v.entry[4].hid, "AMDI0020", 8);
    assert_int_equal(v.entry[4].uid_bytes, 9);
    assert_memory_equal(v.entry[4].uid, "\\_SB.FUR0", 9);
    assert_int_equal(v.block[1].aux, 0x3ff);
    assert_int_equal(v.block[1].base, 0xccd42000);
    assert_int_equal(v.block[1].bytes, 0x26000);
    assert_int_equal(v.block[0].length + v.block[1].length + NW_ACPI_FIXED_BYTES, file.table[0].length);
    nw_ivrs_fini(&v);
    nw_acpi_file_fini(&file);
}

/* ---- malformed ------------------------------------------------------------------------------------- */

/* Tables of each kind with all that can be in them. */
static void rich(struct builder *b, bool dmar)
{
    if (dmar) {
        a04_twice(b, false);
        rhsa(b, UNIT, 0);
        atsr(b, 0);
        scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 0x1c, 0);
    } else {
        v05_uid(b, false);
        entry(b, NW_IVHD_ALIAS_START, 0x100, 0xa500);
        entry(b, NW_IVHD_RANGE_END, 0x1ff, 0);
        ivmd(b, NW_IVMD_ONE, 7, 0x300, 0, 0xccd42000, 0x26000);
    }
    finish(b);
}

static void malformed__every_cut_is_found(void **state)
{
    (void)state;
    for (int dmar = 0; dmar < 2; dmar++) {
        rich(&built, dmar);
        for (uint32_t size = 0; size < built.size; size++) {
            struct nw_acpi_file file;
            struct nw_error e = { 0 };
            uint8_t *exact = malloc(size ? size : 1); /* so that a byte too far shows under the sanitizer */
            assert_non_null(exact);
            memcpy(exact, built.byte, size);
            if (size < NW_ACPI_FIXED_BYTES) {
                assert_int_equal(nw_acpi_load(exact, size, "cut", &file, &e), NW_ERR_INPUT);
                assert_non_null(strstr(e.text, "cut"));
            } else {
                struct nw_iommu_findings found = { 0 };
                check_bytes(exact, size, &found);
                assert_true(found.count >= 1);
                assert_string_equal(found.at[0].rule->id, "T01");
                nw_iommu_findings_fini(&found);
            }
            free(exact);
        }
    }
}

/* Any byte changed to any of some values, and random tables: no crash, no endless loop, and a wrong sum is always found. */
static void malformed__changed_bytes_are_survived(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_for(7, "acpi");
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
    for (int dmar = 0; dmar < 2; dmar++)
        for (uint32_t at = 4;; at++) {
            rich(&built, dmar);
            if (at == built.size)
                break;
            for (size_t i = 0; i < NW_ARRAY_LEN(values); i++) {
                uint8_t old = built.byte[at];
                struct nw_iommu_findings found = { 0 };
                built.byte[at] = values[i];
                check_bytes(built.byte, built.size, &found);
                assert_true(old == values[i] || found.count);
                nw_iommu_findings_fini(&found);
                built.byte[at] = old;
            }
        }
    for (int n = 0; n < 2000; n++) {
        struct nw_iommu_findings found = { 0 };
        begin(&built, n & 1);
        for (int i = 0; i < 200; i++) /* small values, so that types and lengths often make sense */
            append(&built, 1, nw_rng_next(&rng) & (n & 2 ? 0x1f : 0xff));
        finish(&built);
        check_bytes(built.byte, built.size, &found);
        nw_iommu_findings_fini(&found);
    }
}

static void scopes_that_clash(struct builder *b)
{
    begin(b, true);
    drhd(b, 1, 0, UNIT);
    while (b->size + 8 - b->structure < 65536)
        scope(b, NW_DMAR_SCOPE_IOAPIC, 2, 0xf0, 0x1f, 0);
}
static void devices_behind_two_units(struct builder *b)
{
    begin(b, true);
    for (unsigned unit = 0; unit < 2; unit++) {
        drhd(b, unit, 0, unit ? UNIT : OTHER);
        while (b->size + 8 - b->structure < 32768)
            scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 3, 0);
    }
}
static void units_at_one_base(struct builder *b)
{
    begin(b, true);
    while (b->size + 16 < 65536)
        drhd(b, 1, 0, UNIT);
}
static void regions_at_one_place(struct builder *b)
{
    begin(b, true);
    drhd(b, 1, 0, UNIT);
    while (b->size + 32 < 65536)
        rmrr(b, 0, 0x8a76a000, 0x8a789fff), scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
}
static void handles_given_twice(struct builder *b)
{
    sound_ivrs(b, NW_IVHD_10);
    while (b->size + 8 - b->structure < 65536)
        special(b, 1, 1 + b->size % 64, NW_IVHD_IOAPIC);
}
static void blocks_at_one_base(struct builder *b)
{
    sound_ivrs(b, NW_IVHD_10);
    while (b->size + 24 < 65536)
        ivhd(b, NW_IVHD_10, b->size, IOMMU);
}

/* 65,536 bytes that all clash: time and findings stay bounded. */
static void malformed__findings_of_a_rule_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        void (*build)(struct builder *b);
    } large[] = {
        { "I04", scopes_that_clash },    { "D08", devices_behind_two_units }, { "D04", units_at_one_base },
        { "R07", regions_at_one_place }, { "V05", handles_given_twice },      { "V01", blocks_at_one_base },
    };
    for (size_t n = 0; n < NW_ARRAY_LEN(large); n++) {
        struct nw_iommu_findings found = { 0 };
        size_t of_rule = 0, rest = 0;
        large[n].build(&built);
        finish(&built);
        check_bytes(built.byte, built.size, &found);
        for (size_t i = 0; i < found.count; i++) {
            of_rule += !strcmp(found.at[i].rule->id, large[n].rule);
            rest += !strcmp(found.at[i].rule->id, large[n].rule) && strstr(found.at[i].detail, "more are not listed");
        }
        assert_int_equal(of_rule, 65);
        assert_int_equal(rest, 1);
        nw_iommu_findings_fini(&found);
    }
}

/* ---- text ------------------------------------------------------------------------------------------ */

static size_t dump(char *text, const char *signature, const uint8_t *bytes, uint32_t size)
{
    size_t used = (size_t)sprintf(text, "%s @ 0x0000000000000000\n", signature);
    for (uint32_t at = 0; at < size; at += 16) {
        used += (size_t)sprintf(text + used, "    %04X:", at);
        for (uint32_t i = at; i < at + 16; i++)
            used += (size_t)(i < size ? sprintf(text + used, " %02X", bytes[i]) : sprintf(text + used, "   "));
        used += (size_t)sprintf(text + used, "  ");
        for (uint32_t i = at; i < at + 16 && i < size; i++)
            text[used++] = (char)(bytes[i] > ' ' && bytes[i] < 127 ? bytes[i] : '.');
        text[used++] = '\n';
    }
    text[used++] = '\n';
    return used;
}

static void text__all_tables_of_a_machine(void **state)
{
    (void)state;
    static char text[16384];
    static const uint8_t facp[20] = "FACP\x14";
    struct nw_acpi_file file;
    size_t used = dump(text, "FACP", facp, sizeof facp);
    rich(&built, true);
    struct builder *dmar = malloc(sizeof *dmar);
    assert_non_null(dmar);
    *dmar = built;
    used += dump(text + used, "DMAR", dmar->byte, dmar->size);
    rich(&built, false);
    used += dump(text + used, "IVRS", built.byte, built.size);
    must(nw_acpi_load(text, used, "dump", &file, err));
    assert_int_equal(file.count, 2);
    assert_int_equal(file.table[0].line, 5);
    assert_int_equal(file.table[0].kind, NW_ACPI_DMAR);
    assert_int_equal(file.table[0].size, dmar->size);
    assert_memory_equal(file.table[0].bytes, dmar->byte, dmar->size);
    assert_int_equal(file.table[1].kind, NW_ACPI_IVRS);
    assert_int_equal(file.table[1].size, built.size);
    assert_memory_equal(file.table[1].bytes, built.byte, built.size);
    free(dmar);
    nw_acpi_file_fini(&file);
}

static void text__errors_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } wrong[] = {
        { "", "neither a binary" },
        { "hello\n", "neither a binary" },
        { "FACP @ 0x0\n    0000: 41\n", "neither DMAR, IVRS nor APIC" },
        { "DMAR @ 0x0\n", "dump:1: \"DMAR @\" is followed by no bytes" },
        { "DMAR @ 0x0\n    0000: 49 56 52 53\n", "dump:1: the bytes behind \"DMAR @\" have another signature" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52\n    0010: 00\n", "dump:3: the DMAR table goes on at offset 0x10; 0x4" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52\nrest\n", "dump:3: expected an offset" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52\n    0004: xx\n", "dump:3: no bytes" },
        { "DMAR @ 0x0\n    0000: 44 4D 41 52 98 00\n", "dump:1: the DMAR table ends at offset 0x6" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(wrong); i++) {
        struct nw_acpi_file file;
        struct nw_error e = { 0 };
        assert_int_equal(nw_acpi_load(wrong[i].text, strlen(wrong[i].text), "dump", &file, &e), NW_ERR_INPUT);
        if (!strstr(e.text, wrong[i].message))
            fail_msg("\"%s\" gives \"%s\", without \"%s\"", wrong[i].text, e.text, wrong[i].message);
        assert_int_equal(file.count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dmar__fields_and_paths),
        cmocka_unit_test(ivrs__fields_and_entries),
        cmocka_unit_test(malformed__every_cut_is_found),
        cmocka_unit_test(malformed__changed_bytes_are_survived),
        cmocka_unit_test(malformed__findings_of_a_rule_are_bounded),
        cmocka_unit_test(text__all_tables_of_a_machine),
        cmocka_unit_test(text__errors_name_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
