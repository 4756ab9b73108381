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
 * Sources: ARC - Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache" (FAST 2003), figure 4. S3-FIFO - Yang et al., "FIFO
 * Queues are All You Need for Cache Eviction" (SOSP 2023), algorithm 1. SIEVE - Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024),
 * algorithm 1. */
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
    size_t bytes;                                           /* of the policy's own struct */
    void (*init)(struct nw_replacement *r);                 /* fields that are not zero */
    void (*hit)(struct nw_replacement *r, uint32_t node);   /* the page has a frame */
    void (*fault)(struct nw_replacement *r, uint64_t page); /* it has none; afterwards it has one */
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

#endif
