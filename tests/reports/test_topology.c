/* The topology that `nestwalk iommu check` draws: what hangs on what, by tables alone and with what a machine tells. */
#include "iommu/acpi_builder.h"
#include <nestwalk/reports/check_page.h>

static struct builder built; /* too large for the stack */

static char *dot_of(struct nw_dump *dump)
{
    struct nw_acpi_file file;
    struct nw_checked_input input = { .file = "table", .kind = "table" };
    struct nw_iommu_findings found = { 0 };
    char *dot = NULL;
    finish(&built);
    must(nw_acpi_load(built.byte, built.size, "built", &file, err));
    struct nw_acpi_table *table = &file.table[0];
    const struct nw_check_page page = { .input = &input, .inputs = 1, .found = &found, .table = &table, .dump = dump };
    must(nw_topology_dot_text(&page, &dot, err));
    nw_acpi_file_fini(&file);
    return dot;
}

static void has(const char *dot, const char *text)
{
    if (!strstr(dot, text))
        fail_msg("there is no %s in:\n%s", text, dot);
}

static void lacks(const char *dot, const char *text)
{
    if (strstr(dot, text))
        fail_msg("there is %s in:\n%s", text, dot);
}

static void graphics_and_the_rest(void)
{
    begin(&built, true);
    drhd(&built, 0, 0, 0xfed90000);
    scope(&built, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 2, 0);
    drhd(&built, NW_DRHD_INCLUDE_PCI_ALL, 0, 0xfed91000);
    scope(&built, NW_DMAR_SCOPE_IOAPIC, 2, 0xf0, 0x1f, 0);
    rmrr(&built, 0, 0x8a76a000, 0x8a789fff);
    scope(&built, NW_DMAR_SCOPE_ENDPOINT, 0, 0, 0x14, 0);
    drhd(&built, 0, 1, 0xfed92000);
    scope(&built, NW_DMAR_SCOPE_BRIDGE, 0, 0, 1, 0);
    append(&built, 2, 0x0004); /* a step below a bridge whose bus is not known */
    put(&built, built.size - 9, 1, 10);
    fit(&built);
}

static void tables__alone_give_units_scopes_and_regions(void **state)
{
    (void)state;
    struct nw_dump dump = { .has_dmar = false };
    graphics_and_the_rest();
    char *dot = dot_of(&dump);
    has(dot, "subgraph cluster_s0 ");
    has(dot, "subgraph cluster_s1 ");
    has(dot, "u0 [class=\"unit\" fillcolor=\"#d9efd3\" label=\"DRHD fed90000\"]");
    has(dot, "label=\"DRHD fed91000\\nall other devices\"");
    has(dot, "label=\"I/O APIC 2 (f0:1f.0)\"");
    has(dot, "label=\"00:01.0/04.0\"");
    has(dot, "f0 [class=\"function\" fillcolor=\"#dbe9f6\" label=\"0000:00:02.0 (named only)\"]");
    has(dot, "label=\"0000:00:14.0 (named only)\"");
    has(dot, "label=\"reserved\\n0x8a76a000 to 0x8a789fff\\n128 KiB\"");
    has(dot, "u0 -> f0;");
    has(dot, "u1 -> f1;");
    has(dot, "f1 -> r0 ");
    lacks(dot, "f0 -> r0");
    free(dot);
}

static void machine__gives_bridges_groups_and_domains(void **state)
{
    (void)state;
    struct nw_dump_function function[] = {
        { .bdf = 0x0010, .what = "A \"display\"", .has_group = true, .group = 1 },
        { .bdf = 0x00a0, .what = "A controller", .has_group = true, .group = 2 },
        { .bdf = 0x00e0, .what = "A port", .bridge = true, .has_buses = true, .secondary = 1, .subordinate = 1 },
        { .bdf = 0x0100, .what = "A card", .has_group = true, .group = 7 },
        { .bdf = 0x0101, .what = "A card", .has_group = true, .group = 7 },
        { .bdf = 0x0102, .what = "Another", .has_group = true, .group = 8 },
    };
    struct nw_dump_group group[] = { { .number = 7, .type = "identity" } };
    struct nw_dump_context context[] = {
        { .unit = "dmar0", .source_id = 0x0010, .context = { 0x103ec3001, 0x102 } },
        { .unit = "dmar0", .source_id = 0x0100, .context = { 0x9, 0x302 } },
    };
    struct nw_dump_mapping mapping[] = {
        { .source_id = 0x0010, .read = true, .write = true, .iova = 0, .target = 0x1000, .bytes = 0x3000 }
    };
    struct nw_dump dump = { .function = function,
                            .functions = NW_ARRAY_LEN(function),
                            .group = group,
                            .groups = 1,
                            .context = context,
                            .contexts = NW_ARRAY_LEN(context),
                            .mapping = mapping,
                            .mappings = 1 };
    graphics_and_the_rest();
    char *dot = dot_of(&dump);
    has(dot, "label=\"0000:00:02.0 A \\\"display\\\"\"");
    has(dot, "f2 [class=\"bridge\" fillcolor=\"#e6e0f3\" label=\"0000:00:1c.0 A port\\nbuses 01-01\"]");
    has(dot, "subgraph cluster_g0_7 { class=\"group\" style=\"dashed,rounded\" label=\"group 7, identity\";");
    has(dot, "label=\"0000:01:00.0 A card\"");
    has(dot, "f2 -> f3;"); /* below the port, and so behind its unit */
    has(dot, "u1 -> f2;");
    lacks(dot, "u1 -> f3;");
    has(dot, "u0 -> f0;");
    has(dot, "label=\"domain 0x1 of dmar0\\ntables at 0x103ec3000\\nreads 12 KiB, writes 12 KiB\"");
    has(dot, "label=\"domain 0x3 of dmar0\\npass-through: all of memory\"");
    has(dot, "f0 -> d0;");
    has(dot, "f3 -> d1;");
    has(dot, "f1 -> r0 ");
    free(dot);
}

static void machine__functions_alike_share_a_box(void **state)
{
    (void)state;
    struct nw_dump_function function[12];
    for (unsigned i = 0; i < NW_ARRAY_LEN(function); i++)
        function[i] = (struct nw_dump_function){ .bdf = (uint16_t)(0x100 + i), .what = "A virtual function" };
    struct nw_dump dump = { .function = function, .functions = NW_ARRAY_LEN(function) };
    begin(&built, true);
    drhd(&built, NW_DRHD_INCLUDE_PCI_ALL, 0, 0xfed91000);
    char *dot = dot_of(&dump);
    has(dot, "0000:01:00.7 A virtual function\\nand 4 more\"");
    lacks(dot, "f1 [");
    free(dot);
}

static void ivrs__goes_by_the_highest_type(void **state)
{
    (void)state;
    struct nw_dump_function function[] = { { .bdf = 0x0002, .what = "An IOMMU" }, { .bdf = 0x0300, .what = "A card" } };
    struct nw_dump dump = { .function = function, .functions = NW_ARRAY_LEN(function) };
    begin(&built, false);
    ivhd(&built, NW_IVHD_10, 2, 0xfd400000);
    entry(&built, NW_IVHD_ALL, 0, 0);
    ivhd(&built, NW_IVHD_11, 2, 0xfd400000);
    entry(&built, NW_IVHD_RANGE_START, 3, 0);
    entry(&built, NW_IVHD_RANGE_END, 0x3ff, 0);
    special(&built, 33, 0xa0, NW_IVHD_IOAPIC);
    ivmd(&built, NW_IVMD_ONE, NW_IVMD_EXCLUSION, 0x300, 0, 0xccd42000, 0x26000);
    char *dot = dot_of(&dump);
    has(dot, "label=\"IVHD 00:00.2\\nregisters at 0xfd400000\"");
    lacks(dot, "u1 [");
    has(dot, "label=\"I/O APIC 33 (00:14.0)\"");
    has(dot, "u0 -> f1;");
    lacks(dot, "u0 -> f0;"); /* the unit is behind none */
    has(dot, "label=\"excluded\\n0xccd42000 to 0xccd67fff\\n152 KiB\"");
    has(dot, "f1 -> r0 ");
    free(dot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables__alone_give_units_scopes_and_regions),
        cmocka_unit_test(machine__gives_bridges_groups_and_domains),
        cmocka_unit_test(machine__functions_alike_share_a_box),
        cmocka_unit_test(ivrs__goes_by_the_highest_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
