#include "block_builder.h"

#include <stdlib.h>
#include <string.h>

enum nw_status nw_block_builder_init(struct nw_block_builder *b, uint32_t capacity, struct nw_error *err)
{
    *b = (struct nw_block_builder){ .capacity = capacity };
    b->address = malloc(capacity * sizeof *b->address);
    b->kind = malloc(capacity);
    return b->address && b->kind ? NW_OK : nw_fail_nomem(err, "a trace block");
}

void nw_block_builder_fini(struct nw_block_builder *b)
{
    free(b->address);
    free(b->kind);
    free(b->touch);
    *b = (struct nw_block_builder){ 0 };
}

static void count_kinds(const struct nw_block_builder *b, struct nw_block *block)
{
    uint32_t stores = 0, fetches = 0;
    bool crosses = false;
    for (uint32_t i = 0; i < b->count; i++) {
        stores += nw_kind_type(b->kind[i]) == NW_STORE;
        fetches += nw_kind_type(b->kind[i]) == NW_FETCH;
        crosses |= nw_access_crosses(b->address[i], b->kind[i]);
    }
    block->stores = stores;
    block->fetches = fetches;
    block->loads = b->count - stores - fetches;
    block->crosses_page = crosses;
}

enum nw_status nw_block_builder_finish(struct nw_block_builder *b, unsigned want, const struct nw_event *event,
                                       uint32_t event_count, uint16_t vcpu, struct nw_block *block,
                                       struct nw_error *err)
{
    *block = (struct nw_block){ .end = !b->count && !event_count };
    if (block->end)
        return NW_OK;
    block->first_access = b->first_access;
    block->access_count = b->count;
    block->event = event;
    block->event_count = event_count;
    block->vcpu = vcpu;
    block->address = b->address;
    count_kinds(b, block);
    bool constant = b->count && !memcmp(b->kind, b->kind + 1, b->count - 1);
    block->kind = constant ? NULL : b->kind;
    block->kind_constant = constant ? b->kind[0] : 0;
    if (want & NW_WANT_TOUCHES) {
        if (!b->touch)
            b->touch = malloc((size_t)b->capacity * 2 * sizeof *b->touch);
        if (!b->touch)
            return nw_fail_nomem(err, "a trace block's touches");
        block->touch = b->touch;
        block->touch_count = nw_touches_of(block, 0, b->touch);
    }
    if (!(want & NW_WANT_ADDRESSES))
        block->address = NULL;
    b->first_access += b->count;
    b->count = 0;
    return NW_OK;
}
