/* sharing.h - finding equal pages and putting them behind one frame: Linux's KSM, and ESX's hash hints.
 *
 *     struct nw_sharing *s;
 *     status = nw_sharing_create(&s, hostmem, &(struct nw_sharing_config){ .kind = NW_SHARING_KSM, .max_page_sharing = 256 }, err);
 *     status = nw_sharing_scan(s, 100, err);     // pages_to_scan, each time ksmd wakes up
 *     nw_sharing_destroy(s);
 *
 * KSM looks at all pages in turn. A page that equals one of the *stable* ones (shared, read-only) joins it. Otherwise it has to have had the same checksum at the
 * last look, and is then searched among the *unstable* ones of this pass: with one that is equal it makes a new stable page, else it becomes one of them.
 * The unstable ones are forgotten after each pass.
 * ESX's scanner looks at pages at random. A page that equals a shared one joins it; otherwise it is compared with the page that left the same hash as a *hint*, and
 * leaves its own when that one has changed or is gone. Hints are kept, and nothing is read-only before it is shared.
 *
 * MODEL: KSM's trees, sorted by content, are tables here; a search is counted as the comparisons of a balanced tree of that size. The checksum is a part of
 * the content's number. Pages are visited in the order in which the host first knew them, not guest by guest.
 *
 * Sources: Linux, mm/ksm.c, cmp_and_merge_page(), should_skip_rmap_item(), and Documentation/admin-guide/mm/ksm.rst; Waldspurger (OSDI 2002), "Content-Based
 * Page Sharing". */
#ifndef NESTWALK_BALLOON_SHARING_H
#define NESTWALK_BALLOON_SHARING_H

#include <nestwalk/mmu/host_memory.h>

enum nw_sharing_kind { NW_SHARING_NONE, NW_SHARING_KSM, NW_SHARING_HINTS, NW_SHARING_KINDS };

struct nw_sharing_config {
    enum nw_sharing_kind kind;
    bool use_zero_pages;       /* KSM: all pages of zeros behind one frame that is the host's, without a limit */
    bool smart_scan;           /* KSM: skip pages that could not be merged again and again */
    uint64_t max_page_sharing; /* users of one shared frame at most, 2 or more */
    uint64_t seed;             /* ESX's order */
};

struct nw_sharing_counters {
    uint64_t scanned, skipped; /* pages looked at, without those shared already; passed over by smart_scan */
    uint64_t merged;           /* pages that went behind a shared frame */
    uint64_t zero_merged;      /* of them behind the frame of zeros */
    uint64_t volatile_pages;   /* looks that found another checksum than the one before */
    uint64_t
        unshared; /* KSM, of the last pass that was finished: pages without an equal, as the kernel's pages_unshared */
    uint64_t changing;    /* the same: pages whose checksum was new, as pages_volatile */
    uint64_t comparisons; /* of two pages */
    uint64_t full_scans;
    uint64_t stale; /* stable pages, hints and unstable pages that were found gone or changed */
};

struct nw_sharing;
enum nw_status nw_sharing_create(struct nw_sharing **out, struct nw_hostmem *h, const struct nw_sharing_config *config,
                                 struct nw_error *err) NW_MUST_USE;
void nw_sharing_destroy(struct nw_sharing *s); /* NULL is allowed */
/* Goes on by so many pages that hold something; KSM counts among them those that are shared already, of which there is nothing to do. NW_ERR_NOMEM. */
enum nw_status nw_sharing_scan(struct nw_sharing *s, uint64_t pages, struct nw_error *err) NW_MUST_USE;
const struct nw_sharing_counters *nw_sharing_counters(const struct nw_sharing *s);

#endif
