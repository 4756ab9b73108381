/* allocation.h - how much of the host's memory each guest should have: the policies that set the balloons' targets.
 *
 *     struct nw_allocation_guest g[2] = { ... };
 *     nw_allocation_policy_find("idle-tax")->targets(&config, g, 2, pages);
 *     balloon of i: g[i].size - g[i].target
 *
 * All policies keep every target between the guest's minimum (its reservation) and its maximum (its limit, at most its size), and their sum within
 * `pages` where the minima allow it.
 *
 * Sources: idle-tax - Waldspurger, "Memory Resource Management in VMware ESX Server" (OSDI 2002), sections "Share-Based Allocation" and "Reclaiming Idle
 * Memory"; mom - the Memory Overcommitment Manager's sample policy, oVirt/mom, doc/balloon.rules, which steers what KVM hosts do with balloons. Its rules, in
 * full: below 20 % free on the host all guests shrink, by 5 % of what they have at most, and to what they use and a share of free memory that falls with the host's; below
 * 5 % that share is negative, so that guests have to page out; above 20 % all grow by 5 %. Changes of less than 0.25 % are not made. The others are plain controllers; each one's `doc` says what it does. */
#ifndef NESTWALK_BALLOON_ALLOCATION_H
#define NESTWALK_BALLOON_ALLOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_allocation_guest {
    uint64_t size, min, max; /* pages; min <= max <= size */
    uint64_t shares;         /* at least 1 */
    uint64_t has;            /* pages that it may have now: its last target */
    uint64_t used;    /* pages of its memory that hold something, and those that would if its balloon were smaller */
    uint64_t current; /* mom: pages that are not in its balloon now */
    double in_use; /* mom: of them those that hold something, its page cache included; an average of what it reported */
    double active; /* estimated pages of its working set */
    double slowdown; /* since the last time; 1: none */
    uint64_t target; /* the answer */
};

struct nw_allocation_config {
    double tax;       /* idle-tax: 0 to below 1 */
    double slack;     /* working-set: pages beyond it, as a share of it */
    double low, high; /* tracking: free share of the host between which nothing is done */
    double step; /* tracking, mom, slowdown, slowdown-target: share of a guest's size that moves at once, at most */
    double pressure,
        critical; /* mom: free share of the host below which guests shrink, and below which they shrink into what they use */
    double guest_free;   /* mom: share of a guest that is left free at the least while the host is under no pressure */
    double free_average; /* mom: pages free on the host, an average */
    double goal;         /* slowdown-target: the slowdown that a guest may have, above 1 */
    uint64_t free;       /* pages free on the host now */
};

struct nw_allocation_policy {
    const char *name, *doc;
    bool by_active; /* it goes by the guests' `active` */
    void (*targets)(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages);
};
extern const struct nw_allocation_policy *const nw_allocation_policies[];       /* NULL at the end */
const struct nw_allocation_policy *nw_allocation_policy_find(const char *name); /* NULL: there is none */

/* The price of a page of this guest: shares a page, when idle pages cost 1 / (1 - tax) times as much as active ones and `pages` are its own. */
double nw_allocation_rho(const struct nw_allocation_guest *g, double tax, double pages);

#endif
