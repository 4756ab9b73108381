#include "nwt_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

const char *const nwt_column_name[NWT_COLUMNS] = {
    "events", "classes", "touches", "crossings", "page lengths", "page bytes", "kinds", "low offsets", "high offsets",
};

uint64_t nwt_checksum(const void *bytes, size_t count) { return XXH3_64bits(bytes, count); }

uint64_t nw_page_hash_of_zeros(void)
{
    static const unsigned char zeros[NW_PAGE_BYTES];
    return XXH3_64bits(zeros, sizeof zeros);
}

enum nw_status nwt_buffer_reserve(struct nwt_buffer *b, size_t bytes, struct nw_error *err)
{
    if (b->bytes && bytes <= b->capacity)
        return NW_OK;
    size_t capacity = b->capacity + b->capacity / 2;
    if (capacity < bytes)
        capacity = bytes;
    uint8_t *grown = realloc(b->bytes, capacity + 8);
    if (!grown)
        return nw_fail_nomem(err, "a trace block");
    b->bytes = grown;
    b->capacity = capacity;
    return NW_OK;
}

void nwt_buffer_free(struct nwt_buffer *b)
{
    free(b->bytes);
    *b = (struct nwt_buffer){ 0 };
}

enum nw_status nwt_fail_at(struct nw_error *err, const struct nwt_place *at, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    nw_fail_v(err, NW_ERR_INPUT, format, ap);
    va_end(ap);
    nw_error_context(err, "%s: block %" PRIu64 " at offset %" PRIu64, at->path, at->block, at->offset);
    return NW_ERR_INPUT;
}
