/* mrc_internal.h - private to sim/: what a miss-ratio curve in the making consists of. */
#ifndef NW_SIM_MRC_INTERNAL_H
#define NW_SIM_MRC_INTERNAL_H

#include "mrc_few.h"
#include "mrc_intervals.h"
#include "mrc_sample.h"

enum { MRC_CHUNK = 4096 };

struct mrc_level;
/* References of one page size through everything that is exact: fast/mrc_take.c. */
typedef enum nw_status mrc_take_fn(struct mrc_level *l, const uint64_t *name, const uint64_t *time, uint32_t count,
                                   bool repeats, struct nw_error *err);

/* One page size of one stream. */
struct mrc_level {
    bool exact, sampled, intervals;
    mrc_take_fn *take;
    struct mrc_pages pages;
    struct mrc_stack *stack; /* [0] is fully associative; then those of arrays with all ways */
    size_t stack_count;
    struct mrc_few *few; /* arrays of which only few ways are asked for */
    size_t few_count;
    struct mrc_sample sample;
    struct mrc_intervals interval;
    uint64_t last;    /* name of the most recent page; valid when `any` */
    uint64_t changes; /* references to another page than the one before */
    bool any;
    bool fresh;       /* a window has begun: the next reference counts for it even when it repeats the page before */
    uint32_t *window; /* distinct pages of each */
    size_t window_count, window_room;
};

struct mrc_stream {
    bool wanted;
    uint64_t references; /* of the blocks before this one */
    uint32_t upper, ranked,
        rank; /* in this block: upper touches, accesses looked at, and how many of them are the class's */
    struct mrc_level level[NW_MRC_PAGE_SIZES];
    uint64_t name[MRC_CHUNK]; /* references that wait: 4 KiB pages, in order */
    uint64_t time[MRC_CHUNK]; /* of each: references of the stream before it */
    uint32_t waiting;
};

struct nw_mrc {
    struct nw_mrc_options options; /* its arrays are owned */
    struct mrc_stream stream[NW_TLB_CLASS_COUNT];
    struct mrc_pages roots; /* address spaces, by root */
    uint64_t space;         /* the present one */
    uint64_t recent[2];     /* page of the last touch, [class: data, instruction] */
    uint64_t accesses, window_end;
};

/* mrc_level.c */
enum nw_status mrc_level_init(struct mrc_level *l, const struct nw_mrc_options *o, unsigned stream, unsigned log2,
                              struct nw_error *err) NW_MUST_USE;
void mrc_level_fini(struct mrc_level *l);
/* References of the next smaller page size, named as pages of this one. Takes them, and leaves in name, time and *count those that the next
 * larger one needs. */
enum nw_status mrc_level_filter(struct mrc_level *l, uint64_t *name, uint64_t *time, uint32_t *count,
                                struct nw_error *err) NW_MUST_USE;

/* mrc.c: everything that waits is taken, and the window's distinct pages are written down. */
enum nw_status mrc_window_end(struct nw_mrc *m, struct nw_error *err) NW_MUST_USE;

#endif
