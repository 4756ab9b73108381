/* fuzz_changes.c - any bytes as two dumps of a machine; a NUL separates two texts, and the texts go to the two dumps in turn. */
#include "fuzz.h"
#include <nestwalk/iommu/dump.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_iommu_findings found = { 0 };
    struct nw_dump dump[2] = { { 0 }, { 0 } };
    struct nw_error err = { 0 };
    unsigned inputs[2] = { 0 };
    for (unsigned turn = 0; size; turn ^= 1) {
        const char *text = (const char *)bytes, *end = memchr(text, 0, size);
        const size_t length = end ? (size_t)(end - text) : size;
        size_t items;
        if (nw_dump_recognise(text, length) &&
            nw_dump_add(&dump[turn], text, length, "iommu00/input", inputs[turn], &items, &err) == NW_OK)
            inputs[turn]++;
        bytes += length + (end != NULL);
        size -= length + (end != NULL);
    }
    dump[1].earlier = &dump[0];
    for (unsigned i = 0; i < inputs[1]; i++)
        fuzz_must(nw_iommu_check_dump(&dump[1], i, &found, &err));
    nw_dump_fini(&dump[0]);
    nw_dump_fini(&dump[1]);
    nw_iommu_findings_fini(&found);
    return 0;
}
