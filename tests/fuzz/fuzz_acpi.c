/* fuzz_acpi.c - any bytes as a firmware's table: decoded, judged, and compared with itself as a machine's. */
#include "fuzz.h"
#include <nestwalk/iommu/dump.h>

static void judge(const struct nw_acpi_table *table, struct nw_dump *dump, struct nw_iommu_findings *found)
{
    struct nw_error err = { 0 };
    size_t structures;
    fuzz_must(nw_iommu_check_table(table, found, &structures, &err));
    fuzz_must(nw_dump_add_table(dump, table, 0, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_acpi_file file = { 0 };
    struct nw_iommu_findings found = { 0 };
    struct nw_dump dump = { 0 };
    struct nw_error err = { 0 };
    if (nw_acpi_load(bytes, size, "input", &file, &err) == NW_OK) {
        for (size_t i = 0; i < file.count; i++)
            judge(&file.table[i], &dump, &found);
        for (size_t i = 0; i < file.madts; i++)
            judge(&file.madt[i], &dump, &found);
    }
    fuzz_must(nw_iommu_check_dump(&dump, 0, &found, &err));
    nw_dump_fini(&dump);
    nw_iommu_findings_fini(&found);
    nw_acpi_file_fini(&file);
    return 0;
}
