/* fuzz_dump.c - any bytes as texts of a running machine; a NUL separates two of them. */
#include "fuzz.h"
#include <nestwalk/iommu/dump.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_iommu_findings found = { 0 };
    struct nw_dump dump = { 0 };
    struct nw_error err = { 0 };
    unsigned inputs = 0;
    while (size) {
        const char *text = (const char *)bytes, *end = memchr(text, 0, size);
        const size_t length = end ? (size_t)(end - text) : size;
        size_t items;
        if (nw_dump_recognise(text, length) && nw_dump_add(&dump, text, length, "input", inputs, &items, &err) == NW_OK)
            inputs++;
        bytes += length + (end != NULL);
        size -= length + (end != NULL);
    }
    for (unsigned i = 0; i < inputs; i++)
        fuzz_must(nw_iommu_check_dump(&dump, i, &found, &err));
    nw_dump_fini(&dump);
    nw_iommu_findings_fini(&found);
    return 0;
}
