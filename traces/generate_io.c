/* The common part of all devices: memory, time, events, the source. Each device is a function of one request (generate_io_devices.c). */
#include "generate_io.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_EVENTS = 4096, FRAME_MIN = 60, FRAME_MAX = 65535, DISK_MAX = 1 << 20, SECTOR = 512 };
/* What a frame takes on the wire beyond its bytes: check sequence 4, preamble and delimiter 8, gap 12. IEEE 802.3, "Interframe gap". */
enum { WIRE_EXTRA = 24 };
/* Rings lie at the start of memory, buffers behind them. */
#define RINGS_BASE UINT64_C(0x10000000)

/* ---- events ---- */

static void put(struct io_generator *g, const struct nw_event *e) { g->event[g->event_count++] = *e; }

void io_time(struct io_generator *g)
{
    put(g, &(struct nw_event){ .kind = NW_EV_TIME, .arg = { (uint64_t)g->now_ns } });
}
void io_map(struct io_generator *g, uint64_t address, uint64_t bytes, unsigned rights)
{
    put(g, &(struct nw_event){ .kind = NW_EV_DMA_MAP, .arg = { g->options.bdf, address, address, bytes, rights } });
}
void io_unmap(struct io_generator *g, uint64_t address, uint64_t bytes)
{
    put(g, &(struct nw_event){ .kind = NW_EV_DMA_UNMAP, .arg = { g->options.bdf, address, bytes } });
}
void io_access(struct io_generator *g, uint64_t address, uint64_t bytes, bool write)
{
    put(g, &(struct nw_event){ .kind = NW_EV_DMA_ACCESS, .arg = { g->options.bdf, address, bytes, write } });
}
void io_begin(struct io_generator *g, enum nw_io_kind kind, uint64_t bytes, uint64_t flow)
{
    put(g, &(struct nw_event){ .kind = NW_EV_IO_BEGIN, .arg = { g->options.bdf, kind, g->done, bytes, flow } });
}
void io_end(struct io_generator *g)
{
    put(g, &(struct nw_event){ .kind = NW_EV_IO_END, .arg = { g->options.bdf, g->done } });
}

/* ---- memory ---- the last freed is the next one taken, as the processor's own list of pages has it in Linux. */

uint64_t io_take(struct io_generator *g) { return g->free_count ? g->free[--g->free_count] : 0; }
void io_give(struct io_generator *g, uint64_t address) { g->free[g->free_count++] = address; }

static void fill_memory(struct io_generator *g)
{
    const struct nw_generate_io_options *o = &g->options;
    struct nw_rng rng = nw_rng_for(o->seed, "traces.generate_io.memory");
    const uint64_t base = g->buffers_base, block = o->huge ? UINT64_C(1) << NW_PAGE_2M_LOG2 : g->piece,
                   blocks = g->pieces * g->piece / block, per_block = block / g->piece;
    for (uint64_t i = 0; i < blocks; i++) /* taken from the end */
        for (uint64_t j = 0; j < per_block; j++)
            g->free[(blocks - 1 - i) * per_block + per_block - 1 - j] = base + i * block + j * g->piece;
    g->free_count = blocks * per_block;
    for (uint64_t i = blocks - 1; o->fragmented && i > 0; i--) { /* blocks change places */
        const uint64_t j = nw_rng_below(&rng, i + 1);
        for (uint64_t n = 0; n < per_block; n++) {
            uint64_t *a = &g->free[i * per_block + n], *b = &g->free[j * per_block + n], was = *a;
            *a = *b;
            *b = was;
        }
    }
}

/* ---- requests ---- */

uint64_t io_frame_bytes(struct io_generator *g)
{
    static const uint16_t sizes[12] = { 60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514 };
    return g->options.mix ? sizes[nw_rng_below(&g->rng, 12)] : g->options.bytes;
}

void io_pass(struct io_generator *g, uint64_t bytes, bool frame)
{
    g->now_ns += (double)(bytes + (frame ? WIRE_EXTRA : 0)) * 8 / g->options.link_gbps;
}

bool io_goes_in(const struct io_generator *g)
{
    return g->options.direction == NW_IO_MIXED ? g->done % 2 == 0 : g->options.direction == NW_IO_IN;
}

/* ---- the source ---- */

static void announce(struct io_generator *g)
{
    char *text = memset(g->text, 0, sizeof g->text);
    const struct nw_generate_io_options *o = &g->options;
    snprintf(text, sizeof g->text, "dma %s link_gbps=%g bytes=%s%" PRIu64 " ring=%" PRIu64 " queues=%" PRIu64 "%s%s",
             g->device->name, o->link_gbps, o->mix ? "mix," : "", o->bytes, o->ring, o->queues,
             o->recycle ? " recycle" : "", o->huge ? " huge" : "");
    put(g, &(struct nw_event){ .kind = NW_EV_MARKER,
                               .arg = { NW_MARKER_PHASE, 0 },
                               .data = g->text,
                               .data_words = (uint32_t)((strlen(text) + 8) / 8) });
}

static enum nw_status io_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct io_generator *g = (struct io_generator *)self;
    g->event_count = 0;
    if (!g->started) {
        g->started = true;
        announce(g);
        g->device->begin(g);
    }
    for (; g->done < g->options.requests && g->event_count < BLOCK_EVENTS; g->done++)
        g->device->one(g, &g->queue[g->done % g->options.queues], g->done % g->options.queues);
    return nw_block_builder_finish(&g->builder, self->want, g->event, g->event_count, 0, block, err);
}

static enum nw_status io_rewind(struct nw_source *self, struct nw_error *err)
{
    struct io_generator *g = (struct io_generator *)self;
    (void)err;
    g->rng = nw_rng_for(g->options.seed, "traces.generate_io");
    g->done = 0;
    g->now_ns = 0;
    g->started = false;
    g->builder.first_access = g->builder.count = 0;
    for (uint64_t q = 0; q < g->options.queues; q++) {
        struct io_queue *queue = &g->queue[q];
        memset(queue->in, 0, g->options.ring * sizeof *queue->in);
        for (unsigned i = 0; i < 2; i++)
            memset(queue->held[i], 0, (g->options.backlog + 1) * sizeof *queue->held[i]);
        queue->ring = RINGS_BASE + q * g->ring_span;
        queue->in_next = queue->next = queue->held_next[0] = queue->held_next[1] = 0;
    }
    fill_memory(g);
    return NW_OK;
}

static const struct nw_trace_info *io_info(const struct nw_source *self)
{
    return &((const struct io_generator *)self)->info;
}
static uint64_t io_total(const struct nw_source *self)
{
    (void)self;
    return 0;
}

static void io_destroy(struct nw_source *self)
{
    struct io_generator *g = (struct io_generator *)self;
    nw_block_builder_fini(&g->builder);
    nw_trace_info_fini(&g->info);
    for (uint64_t q = 0; g->queue && q < g->options.queues; q++) {
        free(g->queue[q].in);
        free(g->queue[q].held[0]);
        free(g->queue[q].held[1]);
    }
    free(g->queue);
    free(g->event);
    free(g->free);
    free(g);
}

static const struct nw_source_ops io_ops = {
    .next = io_next, .rewind = io_rewind, .info = io_info, .access_total = io_total, .destroy = io_destroy
};

/* ---- opening ---- */

void nw_generate_io_defaults(struct nw_generate_io_options *o)
{
    *o = (struct nw_generate_io_options){ .queues = 1,
                                          .link_gbps = 10,
                                          .buffer_bytes = 2048,
                                          .backlog = 64,
                                          .memory_bytes = UINT64_C(1) << 30,
                                          .fragmented = true,
                                          .bdf = 0x300,
                                          .seed = 42 };
}

static enum nw_status refuse(struct nw_error *err, const char *what, uint64_t value, const char *allowed)
{
    return nw_fail(err, NW_ERR_USAGE, "%s is %" PRIu64 ", allowed %s", what, value, allowed);
}

static enum nw_status check(const struct nw_generate_io_options *o, const struct io_device *device,
                            struct nw_error *err)
{
    if (!o->requests)
        return refuse(err, "the number of requests", 0, "is 1 or more");
    if (device->network && (o->bytes < FRAME_MIN || o->bytes > FRAME_MAX))
        return refuse(err, "a frame's size in bytes", o->bytes, "is 60 to 65535");
    if (!device->network && (!o->bytes || o->bytes % SECTOR || o->bytes > DISK_MAX))
        return refuse(err, "a request's size in bytes", o->bytes, "are multiples of 512 up to 1048576");
    if (!device->network && (o->mix || o->recycle))
        return nw_fail(err, NW_ERR_USAGE, "%s is for network devices",
                       o->mix ? "a mix of sizes" : "recycling of receive buffers");
    if (!nw_is_pow2(o->ring) || o->ring < 8 || o->ring > 65536)
        return refuse(err, "a ring's number of entries", o->ring, "are powers of two from 8 to 65536");
    if (!o->queues || o->queues > 64)
        return refuse(err, "the number of queues", o->queues, "is 1 to 64");
    if (!(o->link_gbps > 0 && o->link_gbps <= 10000))
        return nw_fail(err, NW_ERR_USAGE, "the link's speed is %g Gb/s, allowed is more than 0 up to 10000",
                       o->link_gbps);
    if (o->buffer_bytes != 2048 && o->buffer_bytes != 4096)
        return refuse(err, "a receive buffer's size in bytes", o->buffer_bytes, "are 2048 and 4096");
    if (o->backlog > 65536)
        return refuse(err, "the backlog", o->backlog, "is up to 65536");
    if (o->memory_bytes > UINT64_C(1) << 46)
        return refuse(err, "the memory for buffers in bytes", o->memory_bytes, "is up to 2^46");
    return NW_OK;
}

static enum nw_status make_memory(struct io_generator *g, struct nw_error *err)
{
    const struct nw_generate_io_options *o = &g->options;
    const uint64_t wanted = g->device->network ? (o->bytes > 1514 ? o->bytes : 1514) : o->bytes;
    g->piece = g->device->network ? o->buffer_bytes
                                  : UINT64_C(1) << (o->bytes <= NW_PAGE_BYTES ? NW_PAGE_LOG2 : nw_log2_ceil(o->bytes));
    g->pieces_of_one = (wanted + g->piece - 1) / g->piece;
    g->ring_span = (o->ring * 64 + 0xfff) / 0x1000 * 0x1000 * 2 + (o->ring << NW_PAGE_LOG2);
    g->buffers_base = (RINGS_BASE + o->queues * g->ring_span + 0x3fffffff) & ~UINT64_C(0x3fffffff);
    const uint64_t block = o->huge && g->piece < (1u << NW_PAGE_2M_LOG2) ? UINT64_C(1) << NW_PAGE_2M_LOG2 : g->piece;
    g->pieces = o->memory_bytes / block * (block / g->piece);
    const uint64_t needed = o->queues * (2 * o->ring + 2 * o->backlog + 64) * g->pieces_of_one;
    if (g->pieces < needed)
        return nw_fail(err, NW_ERR_USAGE,
                       "the memory for buffers is %" PRIu64 " bytes; rings and backlog of %" PRIu64
                       " queues need %" PRIu64,
                       o->memory_bytes, o->queues, needed * g->piece);
    if (g->pieces > needed * 4) /* more is never looked at, but for where it lies */
        g->pieces = needed * 4 / (block / g->piece) * (block / g->piece) + block / g->piece;
    g->free = malloc(g->pieces * sizeof *g->free);
    return g->free ? NW_OK : nw_fail_nomem(err, "a generator");
}

enum nw_status io_open(struct nw_source **out, const struct io_device *device,
                       const struct nw_generate_io_options *options, struct nw_error *err)
{
    struct nw_generate_io_options o = *options;
    if (!o.bytes)
        o.bytes = device->network ? 1514 : 4096;
    if (!o.ring)
        o.ring = device->network ? 512 : 1024;
    enum nw_status s = check(&o, device, err);
    if (s)
        return s;
    struct io_generator *g = calloc(1, sizeof *g);
    if (!g)
        return nw_fail_nomem(err, "a generator");
    g->source = (struct nw_source){ .ops = &io_ops, .want = NW_WANT_ADDRESSES };
    g->options = o;
    g->device = device;
    nw_trace_info_init(&g->info);
    g->info.seed = o.seed;
    snprintf(g->info.origin, sizeof g->info.origin, "generate %s", device->name);
    snprintf(g->info.workload, sizeof g->info.workload,
             "%s requests=%" PRIu64 " bytes=%" PRIu64 " link_gbps=%g queues=%" PRIu64, device->name, o.requests,
             o.bytes, o.link_gbps, o.queues);
    /* A block ends with the request that reaches BLOCK_EVENTS; the first has the rings and all their buffers as well. */
    const uint64_t most = BLOCK_EVENTS + 64 * (8 + 1024) + o.queues * (o.ring * 40 + 8);
    g->event = malloc(most * sizeof *g->event);
    g->queue = calloc(o.queues, sizeof *g->queue);
    s = g->event && g->queue ? make_memory(g, err) : nw_fail_nomem(err, "a generator");
    for (uint64_t q = 0; !s && q < o.queues; q++) {
        g->queue[q].in = calloc(o.ring, sizeof *g->queue[q].in);
        for (unsigned i = 0; i < 2; i++)
            g->queue[q].held[i] = calloc(o.backlog + 1, sizeof *g->queue[q].held[i]);
        if (!g->queue[q].in || !g->queue[q].held[0] || !g->queue[q].held[1])
            s = nw_fail_nomem(err, "a generator");
    }
    if (!s && !(s = nw_block_builder_init(&g->builder, 64, err)))
        s = io_rewind(&g->source, err);
    if (s)
        io_destroy(&g->source);
    else
        *out = &g->source;
    return s;
}
