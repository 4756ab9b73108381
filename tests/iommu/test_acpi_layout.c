/* Tables laid out field by field: nothing of a table is left out or told twice, whatever its bytes are; and ACPICA's disassembler finds the
 * same fields at the same places with the same values, in the lab's tables, in tables with every kind of structure, in those that QEMU makes,
 * and in all tables of the directory $NESTWALK_ACPI_TABLES. */
#include "lab_dmar.h"
#include "lab_ivrs.h"
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <nestwalk/iommu/acpi_layout.h>
#include <sys/stat.h>
#include <unistd.h>

static struct builder built; /* too large for the stack */

/* ---- tables with every kind of structure ----------------------------------------------------------- */

static void every_dmar_structure(struct builder *b)
{
    sound_dmar(b);
    put(b, b->structure + 5, 1, 2);
    scope(b, NW_DMAR_SCOPE_HPET, 3, 0, 0x1f, 0);
    scope(b, NW_DMAR_SCOPE_ANDD, 1, 0, 0x15, 1);
    rmrr(b, 0, 0x8a76a000, 0x8a789fff);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0x20, 0x1c, 5);
    append(b, 4, 0x02040103); /* two more steps: 03.1, 04.2 */
    put(b, b->size - 11, 1, 12);
    fit(b);
    atsr(b, 0);
    put(b, b->structure + 6, 2, 0x1234);
    scope(b, NW_DMAR_SCOPE_BRIDGE, 0, 0, 1, 0);
    rhsa(b, UNIT, 7);
    andd(b, 1, "\\_SB.PCI0.I2C0", true);
    append(b, 3, 0);
    fit(b);
}
static void every_newer_dmar_structure(struct builder *b)
{
    every_dmar_structure(b);
    structure(b, NW_DMAR_SATC, 8);
    put(b, b->structure + 4, 1, 1);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0x6a, 1, 0);
    put(b, b->size - 6, 1, 0x18);
    structure(b, NW_DMAR_SIDP, 8);
    scope(b, NW_DMAR_SCOPE_ENDPOINT, 0, 0x6a, 2, 0);
}
static void every_ivhd_entry(struct builder *b)
{
    entry(b, NW_IVHD_ALL, 0, 0);
    entry(b, NW_IVHD_SELECT, 8, 0);
    entry(b, NW_IVHD_RANGE_START, 0x18, 0);
    entry(b, NW_IVHD_RANGE_END, 0xff, 0);
    entry(b, NW_IVHD_PAD4, 0, 0);
    entry(b, NW_IVHD_ALIAS_SELECT, 0x100, 0xa500);
    entry(b, NW_IVHD_ALIAS_START, 0x200, 0x123400);
    entry(b, NW_IVHD_RANGE_END, 0x2ff, 0);
    entry(b, NW_IVHD_EXT_SELECT, 0x300, 0x80000000);
    entry(b, NW_IVHD_EXT_START, 0x400, 0x12345678);
    entry(b, NW_IVHD_RANGE_END, 0x4ff, 0);
    entry(b, NW_IVHD_PAD8, 0, 0);
    special(b, 5, 0xa0, NW_IVHD_HPET);
}
static void every_ivrs_block(struct builder *b)
{
    sound_ivrs(b, NW_IVHD_10);
    put(b, b->structure + 16, 2, 0x1234);
    put(b, b->structure + 18, 2, 0x1f1f);
    put(b, b->structure + 20, 4, 0x80048f6e);
    every_ivhd_entry(b);
    ivhd(b, NW_IVHD_11, 2, IOMMU);
    put(b, b->structure + 20, 4, 0x40200);
    put(b, b->structure + 24, 8, UINT64_C(0x246577efa2254afa));
    put(b, b->structure + 32, 8, UINT64_C(0x1122334455667788));
    every_ivhd_entry(b);
    ivmd(b, NW_IVMD_ALL, 7, 0, 0, 0xccd42000, 0x26000);
    ivmd(b, NW_IVMD_ONE, NW_IVMD_EXCLUSION, 0x300, 0, 0xccd42000, 0x26000);
    ivmd(b, NW_IVMD_RANGE, 7, 0x300, 0x3ff, 0xccd42000, 0x26000);
}
static void every_newer_ivrs_block(struct builder *b)
{
    every_ivrs_block(b);
    ivhd(b, NW_IVHD_40, 2, IOMMU);
    every_ivhd_entry(b);
    acpi_hid(b, "AMDI0020", 2, "\\_SB.FUR0");
    acpi_hid(b, "PNP0D40", 1, "\1\2\3\4\5\6\7\x7f");
    acpi_hid(b, "AMDI0021", 0, "");
}

static void (*const every[])(struct builder *b) = { every_dmar_structure, every_newer_dmar_structure, every_ivrs_block,
                                                    every_newer_ivrs_block };

/* ---- nothing is left out --------------------------------------------------------------------------- */

static void check_fields(const struct nw_acpi_layout *l, const struct nw_acpi_part *p, uint32_t *at)
{
    assert_int_equal(p->offset, *at);
    for (size_t i = p->first_field; i < p->first_field + p->fields; i++) {
        assert_int_equal(l->field[i].offset, *at);
        assert_true(l->field[i].bytes > 0);
        *at += l->field[i].bytes;
    }
}

/* Parts one behind the other, each filled by its fields and by the parts within it. */
static void check_filled(const struct nw_acpi_table *t)
{
    struct nw_acpi_layout l;
    uint32_t at = 0, outer_end = 0;
    size_t fields = 0;
    must(nw_acpi_layout_make(t, &l, err));
    for (size_t i = 0; i < l.parts; i++) {
        const struct nw_acpi_part *p = &l.part[i];
        assert_int_equal(p->first_field, fields);
        fields += p->fields;
        if (!p->depth) {
            assert_int_equal(at, outer_end);
            outer_end = p->offset + p->length;
        }
        check_fields(&l, p, &at);
        assert_true(at <= outer_end);
        if (p->depth)
            assert_int_equal(at, p->offset + p->length);
    }
    assert_int_equal(fields, l.fields);
    assert_int_equal(at, outer_end);
    assert_int_equal(at, t->size);
    for (size_t i = 0; i < l.fields; i++) {
        char text[64]; /* often too short: then it is cut */
        nw_acpi_field_text(t, &l.field[i], text, sizeof text);
        assert_true(strlen(text) < sizeof text && *text);
    }
    nw_acpi_layout_fini(&l);
}

static void check_bytes(const uint8_t *bytes, size_t size)
{
    struct nw_acpi_file file;
    must(nw_acpi_load(bytes, size, "built", &file, err));
    assert_int_equal(file.count, 1);
    check_filled(&file.table[0]);
    nw_acpi_file_fini(&file);
}

static void layout__fills_every_table(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_for(5, "layout");
    for (size_t i = 0; i < NW_ARRAY_LEN(every); i++) {
        every[i](&built);
        finish(&built);
        for (size_t size = NW_ACPI_FIXED_BYTES; size <= built.size; size++)
            check_bytes(built.byte, size);
        for (uint32_t at = 4; at < built.size; at++) {
            const uint8_t old = built.byte[at];
            built.byte[at] = (uint8_t)nw_rng_next(&rng);
            check_bytes(built.byte, built.size);
            built.byte[at] = old;
        }
    }
    for (int n = 0; n < 2000; n++) {
        begin(&built, n & 1);
        for (int i = 0; i < 200; i++) /* small values, so that types and lengths often make sense */
            append(&built, 1, nw_rng_next(&rng) & (n & 2 ? 0x1f : 0xff));
        finish(&built);
        check_bytes(built.byte, built.size);
    }
}

static void layout__values_as_they_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        uint32_t offset;
    } row[] = {
        { "signature", "\"DMAR\"", 0 },
        { "host address width", "38 (39 bits)", 36 },
        { "flags", "0x15 (INTR_REMAP, DMA_CTRL_PLATFORM_OPT_IN, 0x10 not defined)", 37 },
        { "type", "0 (DRHD)", 48 },
        { "size", "0x02 (16 KiB)", 53 },
        { "register base", "0x00000000fed90000", 56 },
        { "type", "3 (I/O APIC)", 64 },
        { "start bus", "0xf0", 69 },
        { "path", "1f.0", 70 },
    };
    struct nw_acpi_file file;
    struct nw_acpi_layout l;
    every_dmar_structure(&built);
    built.byte[37] = 0x15;
    finish(&built);
    must(nw_acpi_load(built.byte, built.size, "built", &file, err));
    must(nw_acpi_layout_make(&file.table[0], &l, err));
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        char text[256];
        size_t j = 0;
        while (l.field[j].offset != row[i].offset)
            assert_true(++j < l.fields);
        nw_acpi_field_text(&file.table[0], &l.field[j], text, sizeof text);
        assert_string_equal(l.field[j].name, row[i].name);
        assert_string_equal(text, row[i].text);
    }
    nw_acpi_layout_fini(&l);
    nw_acpi_file_fini(&file);
}

/* ---- ACPICA's disassembler ------------------------------------------------------------------------- */

static bool same_text(const char *p, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count && bytes[i]; i++, p++)
        if (isprint(bytes[i]) && *p != (char)bytes[i])
            return false;
    return *p == '"';
}

/* What stands behind the colon: "text", 1F,00 of a path, 00 00 00 of a run of bytes, else a number. */
static bool same_value(const char *p, const uint8_t *bytes, uint32_t count)
{
    if (*p == '"')
        return same_text(p + 1, bytes, count);
    const bool in_order = p[2] == ',' || (count > 8 && p[2] == ' ');
    for (uint32_t i = 0; i < count; i++) {
        unsigned digits;
        if (sscanf(p, "%2x", &digits) != 1 || digits != bytes[in_order ? i : count - 1 - i])
            return false;
        p += in_order ? 3 : 2;
    }
    return true;
}

struct reading {
    const char *name;
    const struct nw_acpi_table *table;
    const struct nw_acpi_layout *layout;
    bool *seen;    /* of each field */
    uint32_t last; /* where the last field that was listed begins */
    size_t lines;
};

/* The flags of a device scope, which versions up to 2020 read together with the reserved byte behind them. */
static bool is_scope_flags(const struct nw_acpi_layout *l, size_t field)
{
    return field + 2 < l->fields && !strcmp(l->field[field].name, "flags") && l->field[field].bytes == 1 &&
           !strcmp(l->field[field + 1].name, "reserved") && !strcmp(l->field[field + 2].name, "enumeration id");
}

/* The structure of the last line is of a type that this version does not know: it lists no more of it, and no more of a DMAR at all. */
static void excuse_structure(struct reading *r)
{
    size_t first = 0, end = r->layout->fields;
    for (size_t i = 0; i < r->layout->parts; i++) {
        const struct nw_acpi_part *p = &r->layout->part[i];
        if (!p->depth && p->offset <= r->last) {
            first = p->first_field;
            end = r->layout->fields;
        } else if (!p->depth && end == r->layout->fields) {
            end = p->first_field;
        }
    }
    if (r->table->kind == NW_ACPI_DMAR)
        end = r->layout->fields;
    memset(r->seen + first, true, end - first);
}

/* "[030h 0048   2]                Subtable Type : 0000 [Hardware Unit Definition]"; newer versions write the size as 002h. */
static void take_line(struct reading *r, const char *line)
{
    uint32_t offset;
    char size[16];
    const char *value = strstr(line, " : ");
    if (strstr(line, "**** Unknown"))
        excuse_structure(r);
    if (sscanf(line, "[%" SCNx32 "h %*u %15[0-9A-Fah]]", &offset, size) != 2 || !value)
        return;
    const uint32_t bytes = (uint32_t)strtoul(size, NULL, strchr(size, 'h') ? 16 : 10);
    for (size_t i = 0; i < r->layout->fields; i++) {
        const struct nw_acpi_field *f = &r->layout->field[i];
        const bool older = is_scope_flags(r->layout, i) && bytes == 2; /* both bytes are reserved to it */
        if (f->offset != offset || (f->bytes != bytes && !older))
            continue;
        r->seen[i + older] = true;
        if (!same_value(value + 3, r->table->bytes + offset, bytes))
            fail_msg("%s: %s at %" PRIu32 " has other bytes than iasl: %s", r->name, f->name, offset, line);
        r->seen[i] = true;
        r->lines++;
        r->last = offset;
        return;
    }
    fail_msg("%s: no field of %" PRIu32 " bytes at %" PRIu32 ", as in iasl's: %s", r->name, bytes, offset, line);
}

static FILE *run_iasl(const char *directory, const uint8_t *bytes, size_t size)
{
    char path[256], command[1024];
    snprintf(path, sizeof path, "%s/table.dat", directory);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "iasl -p %s/table -d %s >%s/log 2>&1 </dev/null", directory, path, directory);
    if (system(command) != 0)
        fail_msg("iasl fails: %s", command);
    snprintf(path, sizeof path, "%s/table.dsl", directory);
    f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

/* Field for field; what iasl does not list must be padding, or behind what it does not know. */
static void compare(const char *directory, const char *name, const uint8_t *bytes, size_t size)
{
    struct nw_acpi_file file;
    struct nw_acpi_layout l;
    char line[4096];
    must(nw_acpi_load(bytes, size, name, &file, err));
    must(nw_acpi_layout_make(&file.table[0], &l, err));
    check_filled(&file.table[0]);
    struct reading r = { name, &file.table[0], &l, calloc(l.fields, sizeof *r.seen), 0, 0 };
    assert_non_null(r.seen);
    FILE *f = run_iasl(directory, bytes, size);
    while (fgets(line, sizeof line, f))
        take_line(&r, line);
    fclose(f);
    for (size_t i = 0; i < l.fields; i++) {
        const bool told = l.field[i].form == NW_ACPI_BYTES || !strcmp(l.field[i].name, "padding");
        if (!r.seen[i] && !told)
            fail_msg("%s: iasl has no %s at %" PRIu32, name, l.field[i].name, l.field[i].offset);
    }
    assert_true(r.lines >= 10);
    free(r.seen);
    nw_acpi_layout_fini(&l);
    nw_acpi_file_fini(&file);
}

static void compare_built(const char *directory, const char *name)
{
    finish(&built);
    compare(directory, name, built.byte, built.size);
}

static size_t read_all(FILE *f, uint8_t *bytes, size_t room)
{
    assert_non_null(f);
    const size_t size = fread(bytes, 1, room, f);
    assert_true(size < room);
    return size;
}

static unsigned compare_directory(const char *directory, const char *tables)
{
    static uint8_t bytes[1 << 20];
    unsigned count = 0;
    DIR *d = opendir(tables);
    if (!d)
        fail_msg("NESTWALK_ACPI_TABLES: %s cannot be read", tables);
    for (const struct dirent *e; (e = readdir(d));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", tables, e->d_name);
        struct stat st;
        if (stat(path, &st) || !S_ISREG(st.st_mode))
            continue;
        FILE *f = fopen(path, "rb");
        const size_t size = read_all(f, bytes, sizeof bytes);
        fclose(f);
        if (size < 4 || (memcmp(bytes, "DMAR", 4) && memcmp(bytes, "IVRS", 4)))
            continue;
        compare(directory, e->d_name, bytes, size);
        count++;
    }
    closedir(d);
    return count;
}

static void iasl__reads_the_same_fields(void **state)
{
    (void)state;
    static const char *const shipped[] = { "DMAR-qemu-q35.dat.xz", "IVRS-qemu-q35.dat.xz" };
    char directory[] = "iasl.XXXXXX", command[1024], name[64];
    if (system("iasl -v >/dev/null 2>&1")) {
        print_message("iasl is not installed (Debian: acpica-tools): nothing to compare with\n");
        skip();
    }
    assert_non_null(mkdtemp(directory));
    for (size_t i = 0; i < NW_ARRAY_LEN(every); i++) {
        every[i](&built);
        snprintf(name, sizeof name, "every[%zu]", i);
        compare_built(directory, name);
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(shipped); i++) {
        static uint8_t bytes[65536];
        snprintf(command, sizeof command, "xz -dc '%s/iommu/%s'", NW_TEST_DATA, shipped[i]);
        FILE *f = popen(command, "r");
        const size_t size = read_all(f, bytes, sizeof bytes);
        assert_int_equal(pclose(f), 0);
        compare(directory, shipped[i], bytes, size);
    }
    const char *tables = getenv("NESTWALK_ACPI_TABLES");
    if (tables)
        print_message("%u tables of %s agree\n", compare_directory(directory, tables), tables);
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout__fills_every_table),
        cmocka_unit_test(layout__values_as_they_are_read),
        cmocka_unit_test(iasl__reads_the_same_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
