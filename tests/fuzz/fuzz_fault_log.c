/* fuzz_fault_log.c - any bytes as a kernel log, each of its faults explained. */
#include "fuzz.h"
#include <nestwalk/iommu/fault_log.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_fault_log log = { 0 };
    struct nw_error err = { 0 };
    for (uint64_t number = 1; size; number++) {
        const uint8_t *end = memchr(bytes, '\n', size);
        const size_t length = end ? (size_t)(end - bytes) : size;
        char *line = strndup((const char *)bytes, length);
        if (!line)
            abort();
        fuzz_must(nw_fault_log_line(&log, line, number, &err));
        free(line);
        bytes += length + (end != NULL);
        size -= length + (end != NULL);
    }
    for (size_t i = 0; i < log.count; i++) {
        struct nw_fault_account account;
        fuzz_must(nw_fault_account(&log.group[i], NULL, 0, &account, &err));
    }
    nw_fault_log_fini(&log);
    return 0;
}
