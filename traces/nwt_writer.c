#include "nwt_format.h"

#include <inttypes.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

struct nw_nwt_writer {
    struct nwt_output out;
    struct nwt_encoder *encoder;
    struct nw_trace_info info;
    uint8_t *header;
    size_t header_bytes;
    uint64_t accesses; /* in the blocks already written */
    uint16_t vcpu;
    /* The block in the making. It is written when the next thing does not fit, so that events stay with the access before them. */
    uint32_t count, event_count, word_count;
    uint32_t event_capacity, word_capacity;
    struct nw_event *event; /* `data` is set when the block is complete; the words may still move */
    uint64_t *word;
    uint64_t address[NW_BLOCK_ACCESSES_MAX];
    uint8_t kind[NW_BLOCK_ACCESSES_MAX];
};

static void writer_free(struct nw_nwt_writer *w)
{
    nwt_output_discard(&w->out);
    nwt_encoder_destroy(w->encoder);
    nw_trace_info_fini(&w->info);
    free(w->header);
    free(w->event);
    free(w->word);
    free(w);
}

enum nw_status nw_nwt_writer_create(struct nw_nwt_writer **out, const char *path, const struct nw_trace_info *info,
                                    struct nw_error *err)
{
    struct nw_nwt_writer *w = calloc(1, sizeof *w);
    if (!w)
        return nw_fail_nomem(err, "a trace writer");
    w->out.fd = -1;
    enum nw_status s = nw_trace_info_copy(&w->info, info, err);
    if (!s)
        s = nwt_header_encode(info, &w->header, &w->header_bytes, err);
    if (!s)
        s = nwt_encoder_create(&w->encoder, err);
    if (!s)
        s = nwt_output_open(&w->out, path, err);
    if (!s)
        s = nwt_output_append(&w->out, w->header, w->header_bytes, err);
    if (s) {
        writer_free(w);
        return s;
    }
    *out = w;
    return NW_OK;
}

static enum nw_status flush(struct nw_nwt_writer *w, struct nw_error *err)
{
    if (!w->count && !w->event_count)
        return NW_OK;
    const uint64_t *word = w->word;
    for (uint32_t i = 0; i < w->event_count; i++) {
        if (!w->event[i].data_words) {
            w->event[i].data = NULL;
            continue; /* there may be no words at all */
        }
        w->event[i].data = word;
        word += w->event[i].data_words;
    }
    const struct nw_block block = {
        .first_access = w->accesses,
        .access_count = w->count,
        .event_count = w->event_count,
        .vcpu = w->vcpu,
        .address = w->address,
        .kind = w->kind,
        .event = w->event,
    };
    const uint8_t *bytes;
    enum nw_status s = nwt_encode(w->encoder, &block, w->out.total.blocks, &bytes, err);
    if (!s)
        s = nwt_output_block(&w->out, bytes, err);
    if (s)
        return s;
    w->accesses += w->count;
    w->count = w->event_count = w->word_count = 0;
    return NW_OK;
}

static enum nw_status bad_kind(const struct nw_nwt_writer *w, uint8_t kind, struct nw_error *err)
{
    return nw_fail(err, NW_ERR_INPUT,
                   "%s: access %" PRIu64 " has kind 0x%02x, whose type is none of load, store, fetch", w->out.path,
                   w->accesses + w->count, kind);
}

enum nw_status nw_nwt_write_access(struct nw_nwt_writer *w, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    if (NW_UNLIKELY((kind & NW_KIND_TYPE) == NW_KIND_TYPE))
        return bad_kind(w, kind, err);
    if (NW_UNLIKELY(w->count == NW_BLOCK_ACCESSES_MAX)) {
        enum nw_status s = flush(w, err);
        if (s)
            return s;
    }
    w->address[w->count] = gva;
    w->kind[w->count++] = kind;
    return NW_OK;
}

static enum nw_status reserve(void **array, uint32_t *capacity, uint32_t need, size_t size, struct nw_error *err)
{
    if (need <= *capacity)
        return NW_OK;
    uint32_t grown_capacity = need < 128 ? 256 : need * 2;
    void *grown = realloc(*array, grown_capacity * size);
    if (!grown)
        return nw_fail_nomem(err, "a trace block's events");
    *array = grown;
    *capacity = grown_capacity;
    return NW_OK;
}

enum nw_status nw_nwt_write_event(struct nw_nwt_writer *w, const struct nw_event *event, struct nw_error *err)
{
    enum nw_status s = nw_event_check(event, err);
    if (!s && event->vcpu >= w->info.vcpu_count)
        s = nw_fail(err, NW_ERR_INPUT, "an event is of vCPU %u, the trace has %u", event->vcpu, w->info.vcpu_count);
    if (s) {
        nw_error_context(err, "%s: after access %" PRIu64, w->out.path, w->accesses + w->count);
        return s;
    }
    if (w->event_count == NWT_BLOCK_EVENTS_MAX || w->word_count + event->data_words > NWT_BLOCK_DATA_WORDS_MAX)
        s = flush(w, err);
    if (!s)
        s = reserve((void **)&w->event, &w->event_capacity, w->event_count + 1, sizeof *w->event, err);
    if (!s)
        s = reserve((void **)&w->word, &w->word_capacity, w->word_count + event->data_words, sizeof *w->word, err);
    if (s)
        return s;
    struct nw_event *to = &w->event[w->event_count++];
    *to = *event;
    to->at = w->count;
    if (event->data_words)
        memcpy(w->word + w->word_count, event->data, event->data_words * sizeof *w->word);
    w->word_count += event->data_words;
    return NW_OK;
}

static enum nw_status write_accesses(struct nw_nwt_writer *w, const struct nw_block *b, uint32_t first, uint32_t last,
                                     struct nw_error *err)
{
    while (first < last) {
        if (w->count == NW_BLOCK_ACCESSES_MAX) {
            enum nw_status s = flush(w, err);
            if (s)
                return s;
        }
        uint32_t room = NW_BLOCK_ACCESSES_MAX - w->count, n = last - first < room ? last - first : room;
        memcpy(w->address + w->count, b->address + first, n * sizeof *w->address);
        if (b->kind)
            memcpy(w->kind + w->count, b->kind + first, n);
        else
            memset(w->kind + w->count, b->kind_constant, n);
        unsigned undefined = 0;
        for (uint32_t i = 0; i < n; i++)
            undefined |= w->kind[w->count + i] & (unsigned)w->kind[w->count + i] >> 1 & 1;
        if (undefined)
            return nw_fail(err, NW_ERR_INPUT,
                           "%s: near access %" PRIu64 ": a kind's type is none of load, store, fetch", w->out.path,
                           w->accesses + w->count);
        w->count += n;
        first += n;
    }
    return NW_OK;
}

enum nw_status nw_nwt_write_block(struct nw_nwt_writer *w, const struct nw_block *b, struct nw_error *err)
{
    if (b->access_count && !b->address)
        return nw_fail(err, NW_ERR_USAGE, "%s: a block without addresses cannot be written", w->out.path);
    enum nw_status s = nw_nwt_write_vcpu(w, b->vcpu, err);
    uint32_t done = 0;
    for (uint32_t e = 0; !s && e < b->event_count; e++) {
        if (b->event[e].at < done || b->event[e].at > b->access_count)
            return nw_fail(err, NW_ERR_INPUT, "%s: event %" PRIu32 " of a block is out of order", w->out.path, e);
        s = write_accesses(w, b, done, b->event[e].at, err);
        done = b->event[e].at;
        if (!s)
            s = nw_nwt_write_event(w, &b->event[e], err);
    }
    return s ? s : write_accesses(w, b, done, b->access_count, err);
}

enum nw_status nw_nwt_write_vcpu(struct nw_nwt_writer *w, uint16_t vcpu, struct nw_error *err)
{
    if (vcpu == w->vcpu)
        return NW_OK;
    if (vcpu >= w->info.vcpu_count)
        return nw_fail(err, NW_ERR_INPUT, "%s: vCPU %u, the trace has %u", w->out.path, vcpu, w->info.vcpu_count);
    enum nw_status s = flush(w, err);
    if (!s)
        w->vcpu = vcpu;
    return s;
}

void nw_nwt_writer_set_instructions(struct nw_nwt_writer *w, uint64_t instructions)
{
    w->info.instructions = instructions;
}

enum nw_status nw_nwt_writer_close(struct nw_nwt_writer *w, struct nw_error *err)
{
    /* Numbers have fixed places in the header, so the count of instructions can be put in now. */
    free(w->header);
    w->header = NULL;
    size_t before = w->header_bytes;
    enum nw_status s = flush(w, err);
    if (!s)
        s = nwt_header_encode(&w->info, &w->header, &w->header_bytes, err);
    if (!s && w->header_bytes != before)
        s = nw_fail(err, NW_ERR_INTERNAL, "%s: the header changed its length", w->out.path);
    if (!s)
        s = nwt_output_finish(&w->out, w->header, w->header_bytes, err);
    writer_free(w);
    return s;
}

void nw_nwt_writer_abandon(struct nw_nwt_writer *w)
{
    if (w)
        writer_free(w);
}
