/* block_builder.h - how sources that make accesses one by one fill blocks: add until full, then hand over. */
#ifndef NESTWALK_TRACES_BLOCK_BUILDER_H
#define NESTWALK_TRACES_BLOCK_BUILDER_H

#include <nestwalk/traces/block.h>

struct nw_block_builder {
    uint32_t capacity, count;
    uint64_t first_access; /* of the block in the making */
    uint64_t *address;
    uint8_t *kind;
    struct nw_touch *touch; /* made when first wanted */
};

/* A block of a few thousand accesses stays in a core's cache with its touches. */
enum { NW_BLOCK_BUILDER_CAPACITY = 16384 };

/* `capacity` up to NW_BLOCK_ACCESSES_MAX. nw_block_builder_fini may follow in any case. */
enum nw_status nw_block_builder_init(struct nw_block_builder *b, uint32_t capacity, struct nw_error *err) NW_MUST_USE;
void nw_block_builder_fini(struct nw_block_builder *b);

static inline bool nw_block_builder_full(const struct nw_block_builder *b) { return b->count == b->capacity; }

static inline void nw_block_builder_add(struct nw_block_builder *b, uint64_t gva, uint8_t kind)
{
    b->address[b->count] = gva;
    b->kind[b->count++] = kind;
}

/* Fills *block with what was added (end = true when that is nothing, events neither), in the form that `want` asks for, and
 * starts the next one. `event` must be in order and live as long as the block. */
enum nw_status nw_block_builder_finish(struct nw_block_builder *b, unsigned want, const struct nw_event *event,
                                       uint32_t event_count, uint16_t vcpu, struct nw_block *block,
                                       struct nw_error *err) NW_MUST_USE;

#endif
