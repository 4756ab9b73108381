/* page_queue.h - a queue of the pages that came last: the order in which a program touches its pages, as the pages it must fetch again. */
#ifndef NESTWALK_CAPTURE_PAGE_QUEUE_H
#define NESTWALK_CAPTURE_PAGE_QUEUE_H

#include "recorder.h"
#include <nestwalk/traces/same_pages.h>
#include <pthread.h>

struct page_queue {
    uint8_t *state; /* of each page of guest memory, enum page_state */
    uint64_t pages;
    uint32_t kept[NW_SAME_PAGES_KEPT];
    size_t next; /* of `kept`: the page that came first, and goes next */
    uint32_t *fetched;
    size_t count, room;
};
enum page_state { PAGE_UNWATCHED, PAGE_AWAY, PAGE_KEPT };

enum nw_status page_queue_init(struct page_queue *q, uint64_t pages, struct nw_error *err) NW_MUST_USE;
void page_queue_fini(struct page_queue *q);
/* `page` is PAGE_AWAY and is fetched: it takes the place of *gone (UINT32_MAX: of none). */
enum nw_status page_queue_fetch(struct page_queue *q, uint32_t page, uint32_t *gone, struct nw_error *err) NW_MUST_USE;

/* ---- the captured run: a sink in front of another (capture.c) ---- */
struct page_watch {
    struct sink sink, *to;
    struct recorder *recorder; /* once the region of interest begins */
    uint32_t *touched;         /* pages, in order, neighbours differing */
    size_t count, room;
    struct page_queue queue; /* filled at the end, when it is known which pages became page tables */
    uint64_t *digest;        /* of each page of memory, at the end */
    uint64_t pages;
};
enum nw_status page_watch_begin(struct page_watch *w, struct recorder *r, struct sink *to,
                                struct nw_error *err) NW_MUST_USE;
enum nw_status page_watch_end(struct page_watch *w, const struct vm *vm, struct nw_error *err) NW_MUST_USE;
void page_watch_fini(struct page_watch *w);
uint64_t page_digest(const void *page);
/* nw_capture_run(), watched; NULL: not. */
enum nw_status capture_run_watched(const struct nw_capture_options *o, struct nw_capture_result *result,
                                   struct page_watch *watch, struct nw_error *err) NW_MUST_USE;

/* ---- the native run: the host's side of the queue ---- */
struct page_keeper {
    int faults, stop; /* userfaultfd, eventfd */
    pthread_t thread;
    bool running;
    struct vm *vm;
    uint8_t *aside; /* what pages that are away hold, at the same offsets */
    struct page_queue queue;
    size_t wanted; /* so many fetches are watched; then all pages stay */
    enum nw_status status;
    struct nw_error error;
};
/* False: it cannot be had here, and `why` says why. */
bool page_keeper_open(struct page_keeper *k, char *why, size_t why_size);
/* Takes away every page that `like` watches. */
enum nw_status page_keeper_start(struct page_keeper *k, struct vm *vm, const struct page_queue *like, size_t wanted,
                                 struct nw_error *err) NW_MUST_USE;
/* Gives all back; memory is the guest's own again. */
enum nw_status page_keeper_stop(struct page_keeper *k, struct nw_error *err) NW_MUST_USE;
void page_keeper_fini(struct page_keeper *k);

#endif
