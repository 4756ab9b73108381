/* sample_seen.h - private to sim/: which pages were touched since the last skip, and which of their misses are certain. See sample.h. */
#ifndef NW_SIM_SAMPLE_SEEN_H
#define NW_SIM_SAMPLE_SEEN_H

#include "engine.h"

enum { SEEN_DATA = 1, SEEN_FETCH = 2, SEEN_STORE = 4, KEPT_FILLS = 8 };

struct seen {
    struct seen_page {
        uint64_t name;
        uint32_t generation; /* 0: free */
        uint8_t how;         /* SEEN_* */
    } * page;                /* open addressing, at most half full */
    size_t capacity, used;
    uint32_t generation; /* entries of others are free */
    uint64_t space;      /* address space, as CR3 names it */
    unsigned shift;      /* from a 4 KiB page's number to that of a page of the translations' size */
    unsigned size;       /* its size class */
    const struct replay *p;
    uint32_t *fills
        [NW_TLB_ARRAYS_MAX]; /* by set: pages new since the skip that certainly missed all levels before; NULL: never certain */
    uint64_t sets[NW_TLB_ARRAYS_MAX], enough[NW_TLB_ARRAYS_MAX];
};

/* What of a touch is new. */
struct seen_news {
    bool page, store, region;    /* region: the first page of its 2 MiB (of 512 pages, where pages are larger) */
    bool certain[LEVELS_OF_TLB]; /* of a new page: the level misses in a full replay too */
};

enum nw_status seen_init(struct seen *s, const struct replay *p, struct nw_error *err) NW_MUST_USE;
void seen_fini(struct seen *s);
void seen_forget(struct seen *s); /* at a skip */
void seen_event(struct seen *s, const struct nw_event *e);
enum nw_status seen_touch(struct seen *s, const struct nw_touch *t, struct seen_news *news,
                          struct nw_error *err) NW_MUST_USE;

#endif
