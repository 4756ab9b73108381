/* working_set.h - how much memory a guest works with, estimated from what its host can see, and what that costs.
 *
 *     struct nw_wss *w;
 *     s = nw_wss_create(&w, NW_WSS_DAMON, &(struct nw_wss_config){ .samples = 20, .min_regions = 10, .max_regions = 1000 }, err);
 *     each nw_wss_ticks() th part of a window:
 *         s = nw_wss_step(w, &(struct nw_wss_view){ .flag = flag, .pages = pages, .moment = moment }, err);
 *         moment++;
 *     ... nw_wss_estimate(w) pages, for nw_wss_cost(w)->looked flags read ...
 *     nw_wss_destroy(w);
 *
 * Terms. The *working set* is the set of pages that were used in the last *window*. The host sees it by the *accessed flags* of its second stage, by faults on
 * pages that it has unmapped, or by faults on pages that it has taken.
 *
 * Flags. Several estimators can look at one guest, each as if the flags were its own: a flag is kept as the *moment* in which it was set last, a number that
 * grows with each step. An estimator that clears a flag at moment m finds it set again when its moment is above m. `flag[page]` 0: never. Whoever keeps the
 * flags says what sets them: each access, or only those that walk the tables because no TLB has the translation.
 *
 * Estimators.
 *   scan      reads and clears the flag of every `every`-th page once a window, each time from another one on; what it finds times `every`.
 *   sampling  Waldspurger, "Memory Resource Management in VMware ESX Server" (OSDI 2002), "Measuring Idle Memory": `sample_pages` pages chosen at random are
 *             unmapped, and those that fault within the window are counted; the largest of a slow and a fast moving average and the window's own
 *             value stands for all.
 *   ghost     Jones, Arpaci-Dusseau and Arpaci-Dusseau, "Geiger: Monitoring the Buffer Cache in a Virtual Machine Environment" (ASPLOS 2006), "Working Set
 *             Size": pages that were taken are remembered; how many others were taken before one came back is how much more memory would have kept it.
 *             The estimate is what is resident and as much more as keeps 95 % of those that came back in the window. It sees nothing below what is resident.
 *   damon     Linux, Documentation/mm/damon/design.rst, "Region Based Sampling", "Adaptive Regions Adjustment": of each region one page is looked at, `samples`
 *             times a window; regions that are alike are merged, and split again at random. The estimate is all regions of which a look found the flag set.
 *             MODEL: addresses are the guest's physical ones, and the smallest region is a page. */
#ifndef NESTWALK_BALLOON_WORKING_SET_H
#define NESTWALK_BALLOON_WORKING_SET_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

enum nw_wss_kind { NW_WSS_SCAN, NW_WSS_SAMPLING, NW_WSS_GHOST, NW_WSS_DAMON, NW_WSS_KINDS };
extern const char *const nw_wss_name[NW_WSS_KINDS];

struct nw_wss_config {
    uint64_t every;                             /* scan: 1 or more */
    uint64_t sample_pages;                      /* sampling: 1 or more */
    uint64_t samples, min_regions, max_regions; /* damon: 1 or more; 3 or more, at most max_regions */
    uint64_t seed;
    const char *component; /* names the random generator: another one for each guest */
};

/* How the guest is at the time of a step. */
struct nw_wss_view {
    const uint32_t *flag; /* by page: the moment in which its flag was set last; NULL allowed for ghost */
    uint64_t pages;       /* of the guest's memory that were ever used, the first ones; they only become more */
    uint64_t size;        /* all of its memory, at which damon looks from the start */
    uint64_t resident;    /* of them behind frames */
    uint32_t moment;      /* above all that are in `flag` for steps before */
};

struct nw_wss_cost {
    uint64_t looked;   /* flags read, and cleared if they were set */
    uint64_t unmapped; /* mappings taken away for a sample */
    uint64_t faults;   /* by which the guest came back to one */
    uint64_t windows;
    uint64_t memory_bytes; /* most that it has kept at a time */
};

struct nw_wss;
/* NW_ERR_USAGE for numbers that are not allowed; NW_ERR_NOMEM. */
enum nw_status nw_wss_create(struct nw_wss **out, enum nw_wss_kind kind, const struct nw_wss_config *config,
                             struct nw_error *err) NW_MUST_USE;
void nw_wss_destroy(struct nw_wss *w); /* NULL is allowed */
/* Steps that make a window: 1, and `samples` for damon. */
uint64_t nw_wss_ticks(const struct nw_wss *w);
/* NW_ERR_NOMEM. */
enum nw_status nw_wss_step(struct nw_wss *w, const struct nw_wss_view *view, struct nw_error *err) NW_MUST_USE;
/* Of the last full window, in pages; 0 before there was one. */
double nw_wss_estimate(const struct nw_wss *w);
const struct nw_wss_cost *nw_wss_cost(const struct nw_wss *w);

/* For ghost: the host has taken a page of the guest; it came back. NW_ERR_NOMEM. */
enum nw_status nw_wss_taken(struct nw_wss *w, uint64_t page, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_wss_came_back(struct nw_wss *w, uint64_t page, struct nw_error *err) NW_MUST_USE;

/* The moving averages of ESX: memory is thought idle slowly, and active at once. `share` is the latest; the answer what counts. */
struct nw_wss_average {
    double slow, fast;
};
double nw_wss_average_take(struct nw_wss_average *a, double share);

#endif
