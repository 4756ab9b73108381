#include "block_builder.h"

#include <nestwalk/traces/memory_source.h>
#include <stdlib.h>

struct memory_source {
    struct nw_source source;
    struct nw_trace_info info;
    struct nw_block_builder builder;
    const uint64_t *address;
    const uint8_t *kind;
    const struct nw_event *event;
    size_t access_count, event_count, next_access, next_event;
    struct nw_event *block_event; /* the block's events, with positions of the block */
};

static enum nw_status memory_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct memory_source *m = (struct memory_source *)self;
    size_t first = m->next_access;
    for (; m->next_access < m->access_count && !nw_block_builder_full(&m->builder); m->next_access++)
        nw_block_builder_add(&m->builder, m->address[m->next_access],
                             m->kind ? m->kind[m->next_access] : nw_kind_make(NW_LOAD, 8, true));
    uint32_t events = 0;
    for (; m->next_event < m->event_count && m->event[m->next_event].at <= m->next_access; m->next_event++) {
        m->block_event[events] = m->event[m->next_event];
        m->block_event[events++].at -= (uint32_t)first;
    }
    return nw_block_builder_finish(&m->builder, self->want, m->block_event, events, 0, block, err);
}

static enum nw_status memory_rewind(struct nw_source *self, struct nw_error *err)
{
    (void)err;
    struct memory_source *m = (struct memory_source *)self;
    m->next_access = m->next_event = 0;
    m->builder.first_access = 0;
    return NW_OK;
}

static const struct nw_trace_info *memory_info(const struct nw_source *self)
{
    return &((const struct memory_source *)self)->info;
}

static uint64_t memory_total(const struct nw_source *self)
{
    return ((const struct memory_source *)self)->access_count;
}

static void memory_destroy(struct nw_source *self)
{
    struct memory_source *m = (struct memory_source *)self;
    nw_block_builder_fini(&m->builder);
    nw_trace_info_fini(&m->info);
    free(m->block_event);
    free(m);
}

static const struct nw_source_ops memory_ops = {
    .next = memory_next,
    .rewind = memory_rewind,
    .info = memory_info,
    .access_total = memory_total,
    .destroy = memory_destroy,
};

enum nw_status nw_memory_source_create(struct nw_source **out, const struct nw_trace_info *info,
                                       const uint64_t *address, const uint8_t *kind, size_t access_count,
                                       const struct nw_event *event, size_t event_count, uint32_t block_accesses,
                                       struct nw_error *err)
{
    if (!block_accesses || block_accesses > NW_BLOCK_ACCESSES_MAX)
        block_accesses = NW_BLOCK_ACCESSES_MAX;
    for (size_t i = 0; i < event_count; i++)
        if (event[i].at > access_count || (i && event[i].at < event[i - 1].at))
            return nw_fail(err, NW_ERR_USAGE, "event %zu of a trace in memory is out of order", i);
    struct memory_source *m = calloc(1, sizeof *m);
    if (!m)
        return nw_fail_nomem(err, "a trace in memory");
    m->source = (struct nw_source){ .ops = &memory_ops, .want = NW_WANT_ADDRESSES };
    m->address = address;
    m->kind = kind;
    m->access_count = access_count;
    m->event = event;
    m->event_count = event_count;
    nw_trace_info_init(&m->info);
    enum nw_status s = info ? nw_trace_info_copy(&m->info, info, err) : NW_OK;
    if (!s)
        s = nw_block_builder_init(&m->builder, block_accesses, err);
    if (!s && event_count && !(m->block_event = malloc(event_count * sizeof *m->block_event)))
        s = nw_fail_nomem(err, "a trace in memory");
    if (s) {
        memory_destroy(&m->source);
        return s;
    }
    *out = &m->source;
    return NW_OK;
}
