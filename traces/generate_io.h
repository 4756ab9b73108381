/* generate_io.h - what the models of devices share: see generate_io.c. */
#ifndef NESTWALK_TRACES_GENERATE_IO_INTERNAL_H
#define NESTWALK_TRACES_GENERATE_IO_INTERNAL_H

#include "block_builder.h"
#include <nestwalk/base/rng.h>
#include <nestwalk/traces/generate_io.h>

enum { BUFFERS_OF_ONE = 32 }; /* 65535 bytes in buffers of 2048 */

/* The buffers of one packet or request. */
struct io_buffer {
    uint64_t address[BUFFERS_OF_ONE];
    uint32_t count, bytes; /* bytes: of all */
    uint8_t rights;
    bool mapped;
};

struct io_queue {
    uint64_t ring;             /* physical address of its rings */
    uint64_t in_next, next;    /* requests so far: received, and sent or submitted */
    struct io_buffer *in;      /* network: posted for receiving, by ring entry */
    struct io_buffer *held[2]; /* what software has not freed yet: received or a disk's, and sent */
    uint64_t held_next[2];     /* place of the oldest */
};

struct io_generator;
struct io_device {
    const char *name;
    bool network;
    void (*begin)(struct io_generator *g);                                  /* maps rings, posts buffers */
    void (*one)(struct io_generator *g, struct io_queue *q, uint64_t flow); /* one packet or request */
};

struct io_generator {
    struct nw_source source;
    struct nw_trace_info info;
    struct nw_generate_io_options options;
    const struct io_device *device;
    struct nw_block_builder builder; /* of no accesses */
    struct nw_event *event;
    uint32_t event_count;
    uint64_t text[24]; /* of the marker */
    struct nw_rng rng;
    bool started;
    uint64_t done;
    double now_ns;
    struct io_queue *queue;
    uint64_t ring_span, buffers_base;
    uint64_t *free, free_count, pieces, piece, pieces_of_one; /* buffers: addresses, and the size of one in bytes */
};

void io_time(struct io_generator *g);
void io_map(struct io_generator *g, uint64_t address, uint64_t bytes, unsigned rights);
void io_unmap(struct io_generator *g, uint64_t address, uint64_t bytes);
void io_access(struct io_generator *g, uint64_t address, uint64_t bytes, bool write);
void io_begin(struct io_generator *g, enum nw_io_kind kind, uint64_t bytes, uint64_t flow);
void io_end(struct io_generator *g);
uint64_t io_take(struct io_generator *g);
void io_give(struct io_generator *g, uint64_t address);
uint64_t io_frame_bytes(struct io_generator *g);
void io_pass(struct io_generator *g, uint64_t bytes, bool frame); /* time: what the link takes for it */
bool io_goes_in(const struct io_generator *g);
enum nw_status io_open(struct nw_source **out, const struct io_device *device,
                       const struct nw_generate_io_options *options, struct nw_error *err) NW_MUST_USE;

#endif
