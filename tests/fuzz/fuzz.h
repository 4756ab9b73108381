/* fuzz.h - what the targets share. A target is one LLVMFuzzerTestOneInput(): it must not crash, hang or leak, whatever
 * the bytes are. */
#ifndef NESTWALK_TESTS_FUZZ_H
#define NESTWALK_TESTS_FUZZ_H

#include <nestwalk/base/status.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What cannot fail because of the input. */
static inline void fuzz_must(enum nw_status s)
{
    if (s)
        abort();
}

/* The next `count` bytes as a number, least significant first; 0 for those that are not there. */
static inline uint64_t fuzz_take(const uint8_t **bytes, size_t *size, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count && *size; i++, (*bytes)++, (*size)--)
        value |= (uint64_t) * *bytes << 8 * i;
    return value;
}

#endif
