/* import_events.h - what importers of events share. */
#ifndef NESTWALK_TRACES_IMPORT_EVENTS_H
#define NESTWALK_TRACES_IMPORT_EVENTS_H

#include "block_builder.h"
#include <nestwalk/traces/input.h>

enum { SG_MAX = 128 /* Linux, DMA_TRACE_MAX_ENTRIES */, SG_LISTS = 4096 };

/* A scatter list that was mapped: its unmap names it by its physical addresses alone. */
struct sg_list {
    uint64_t first_phys;
    uint16_t bdf, count; /* count 0: free */
    uint64_t dma[SG_MAX];
    uint32_t bytes[SG_MAX];
};

struct event_out {
    struct nw_event *event; /* room for what one line gives, beyond a block's */
    uint32_t count;
    uint64_t total, first_ns, last_ns;
    bool timed;
    struct sg_list *sg; /* SG_LISTS, by a hash of device and first address; a newer one takes an older one's place */
};

void event_put(struct event_out *o, unsigned kind, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e);
void event_time(struct event_out *o, uint64_t ns);
const char *event_after(const char *line, const char *word); /* the text behind the word; NULL */
bool event_number(const char *at, int radix, uint64_t *out); /* radix 0: 0x says */
bool event_device(const char *at, uint16_t *bdf);

/* One line into events. A line of no interest is NW_OK; one that is, and lacks what it should have, NW_ERR_INPUT. */
typedef enum nw_status event_line_fn(struct nw_input *in, const char *line, struct event_out *out,
                                     struct nw_error *err);
/* raw: the path is a directory of binary trace events, which are brought into lines. */
enum nw_status nw_import_events_open(struct nw_source **out, const char *path, const char *name, event_line_fn *line,
                                     bool raw, struct nw_error *err) NW_MUST_USE;

event_line_fn nw_import_ftrace_dma, nw_import_ftrace_iommu, nw_import_qemu_vtd;

#endif
