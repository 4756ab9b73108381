#include "importer.h"

#include <inttypes.h>
#include <string.h>

enum nw_status nw_import_raw64(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err)
{
    size_t got, room = b->capacity - b->count;
    uint64_t before = nw_input_offset(in);
    enum nw_status s = nw_input_read(in, b->address + b->count, room * sizeof(uint64_t), &got, err);
    if (s)
        return s;
    if (got % sizeof(uint64_t))
        return nw_fail(err, NW_ERR_INPUT,
                       "%s: the content ends at byte %" PRIu64 ", inside an address; addresses have 8 bytes each",
                       nw_input_path(in), before + got);
    uint32_t n = (uint32_t)(got / sizeof(uint64_t));
    memset(b->kind + b->count, nw_kind_make(NW_LOAD, 8, true), n);
    b->count += n;
    return NW_OK;
}
