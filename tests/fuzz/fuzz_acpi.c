/* fuzz_acpi.c - any bytes as a firmware's table: decoded, judged, and compared with itself as a machine's. */
#include "fuzz.h"
#include <nestwalk/iommu/dump.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_acpi_file file = { 0 };
    struct nw_iommu_findings found = { 0 };
    struct nw_dump dump = { 0 };
    struct nw_error err = { 0 };
    size_t structures;
    if (nw_acpi_load(bytes, size, "input", &file, &err) == NW_OK)
        for (size_t i = 0; i < file.count; i++) {
            fuzz_must(nw_iommu_check_table(&file.table[i], &found, &structures, &err));
            if (file.table[i].kind == NW_ACPI_DMAR) {
                struct nw_dmar dmar;
                fuzz_must(nw_dmar_decode(&file.table[i], &dmar, &err));
                fuzz_must(nw_dump_add_dmar(&dump, &dmar, &err));
                nw_dmar_fini(&dmar);
            }
        }
    fuzz_must(nw_iommu_check_dump(&dump, 0, &found, &err));
    nw_dump_fini(&dump);
    nw_iommu_findings_fini(&found);
    nw_acpi_file_fini(&file);
    return 0;
}
