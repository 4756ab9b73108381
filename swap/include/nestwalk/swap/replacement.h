/* replacement.h - page replacement: which page gives up its frame when a new one needs it.
 *
 * A study of policies alone: one guest, a fixed number of frames, all empty at first; each touch of a page that has no frame is a fault. No
 * costs, no dirty pages, no readahead.
 *
 *     struct nw_replacement *r;
 *     s = nw_replacement_create(&r, nw_replacement_policy_find("arc"), frames, seed, err);
 *     for (...) s = nw_replacement_touch(r, page, &fault, err);
 *     nw_replacement_destroy(r);
 *
 * Whoever has frames to manage takes the same policies in smaller steps: nw_replacement_admit() when a page gets a frame, _hit() when it
 * is used, _evict() when a frame is needed, _remove() when a page goes for another reason (its content is gone, it was pinned).
 *
 * Sources: ARC - Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache" (FAST 2003), figure 4. S3-FIFO - Yang et al., "FIFO
 * Queues are All You Need for Cache Eviction" (SOSP 2023), algorithm 1. SIEVE - Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024),
 * algorithm 1. Two lists - Linux, mm/vmscan.c, shrink_active_list() and folio_check_references(), for anonymous pages mapped once. MGLRU -
 * Linux, Documentation/mm/multigen_lru.rst. */
#ifndef NESTWALK_SWAP_REPLACEMENT_H
#define NESTWALK_SWAP_REPLACEMENT_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NW_REPLACEMENT_FRAMES_MAX = 1 << 28 };

struct nw_replacement; /* one policy at work */

struct nw_replacement_policy {
    const char *name, *doc;
    size_t bytes;                                         /* of the policy's own struct */
    bool remembers;                                       /* pages that have no frame, which it finds by number */
    void (*init)(struct nw_replacement *r);               /* fields that are not zero */
    void (*scale)(struct nw_replacement *r);              /* what follows from the number of frames; NULL allowed */
    void (*hit)(struct nw_replacement *r, uint32_t node); /* the page has a frame */
    uint64_t (*evict)(struct nw_replacement *r,
                      uint64_t incoming);                       /* some page has a frame; the one that gives it up */
    uint32_t (*admit)(struct nw_replacement *r, uint64_t page); /* it has none; afterwards it has one. Its node */
    void (*leave)(struct nw_replacement *r, uint32_t node);     /* the page is about to be removed; NULL allowed */
};
extern const struct nw_replacement_policy *const nw_replacement_policies[];       /* NULL at the end */
const struct nw_replacement_policy *nw_replacement_policy_find(const char *name); /* NULL: there is none */

/* `frames`: 1 to NW_REPLACEMENT_FRAMES_MAX, else NW_ERR_USAGE. `seed` is for policies that draw. Memory grows with the pages that the
 * policy remembers, at most a few times `frames`. NW_ERR_NOMEM. */
enum nw_status nw_replacement_create(struct nw_replacement **out, const struct nw_replacement_policy *policy,
                                     uint64_t frames, uint64_t seed, struct nw_error *err) NW_MUST_USE;
/* One access to a page (any 64-bit number). NW_ERR_NOMEM. */
enum nw_status nw_replacement_touch(struct nw_replacement *r, uint64_t page, bool *fault,
                                    struct nw_error *err) NW_MUST_USE;
void nw_replacement_destroy(struct nw_replacement *r); /* NULL is allowed */

/* ---- in steps ---- */
#define NW_REPLACEMENT_NO_PAGE UINT64_MAX

/* The page, which has no frame, gets one that is free. *node names it until it leaves. NW_ERR_NOMEM. */
enum nw_status nw_replacement_admit(struct nw_replacement *r, uint64_t page, uint32_t *node,
                                    struct nw_error *err) NW_MUST_USE;
/* The page of `node`, which has a frame, was used. */
void nw_replacement_hit(struct nw_replacement *r, uint32_t node);
/* Which page gives up its frame; it has none afterwards, though the policy may remember it. `incoming` is the page for which it does,
 * NW_REPLACEMENT_NO_PAGE: none in particular. NW_REPLACEMENT_NO_PAGE: no page has a frame. */
uint64_t nw_replacement_evict(struct nw_replacement *r, uint64_t incoming);
/* The page of `node`, which has a frame, is gone for good. */
void nw_replacement_remove(struct nw_replacement *r, uint32_t node);
/* The number of frames that the policy reckons with, 1 to NW_REPLACEMENT_FRAMES_MAX. More pages than that may have frames. */
void nw_replacement_resize(struct nw_replacement *r, uint64_t frames);
/* How many pages have frames. */
uint64_t nw_replacement_resident(const struct nw_replacement *r);

#endif
