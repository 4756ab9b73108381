/* same_pages.h - does a capture change what it observes? The same guest program under capture, and at native speed, page by page.
 *
 *     struct nw_same_pages same;
 *     if ((s = nw_same_pages(&options, &same, err))) return s;   // options as for a capture; no trace is written
 *     same.order_equal, same.contents_equal, same.difference
 *
 * Two runs in virtual machines of their own, from the same memory and registers: first a capture, then the same without single-stepping.
 *
 * Order. In the native run the host keeps only the NW_SAME_PAGES_KEPT pages of the guest's data that came last: it takes each other page away
 * (MADV_DONTNEED, its contents kept aside), and userfaultfd(2) tells when the guest comes back to one. Whoever touches pages in another order
 * fetches other pages. What the captured loads and stores fetch from the same queue is counted beside it; both sequences must be the
 * same, page by page. Data are the frames behind the kernel's image, without those that ever are page-table pages: a KVM that shadows
 * page tables reads these on its own account.
 *
 * Contents. At the end of both runs a digest of each page of guest memory (XXH3-64). */
#ifndef NESTWALK_TRACES_SAME_PAGES_H
#define NESTWALK_TRACES_SAME_PAGES_H

#include <nestwalk/traces/capture.h>

enum { NW_SAME_PAGES_KEPT = 16 };

struct nw_same_pages {
    uint64_t instructions; /* that were captured */
    bool order_watched;    /* false: userfaultfd cannot be had here; `why` says why, and order_equal says nothing */
    char why[160];
    bool order_equal;
    uint64_t fetched, pages;               /* of the captured sequence: its length, and how many pages are in it */
    uint64_t order_native, order_captured; /* digests of both sequences, as long as the captured one is */
    bool contents_equal;
    uint64_t memory_pages, differing_pages;
    uint64_t contents_native, contents_captured; /* digests of all pages' digests, in order */
    char difference[200];                        /* the first, in words; "": none */
};

/* o->path, o->via and o->checked_instructions are not used. Fails as nw_capture_run() does, and with NW_ERR_ENV when the time is over before both runs
 * have come to their end. */
enum nw_status nw_same_pages(const struct nw_capture_options *o, struct nw_same_pages *out,
                             struct nw_error *err) NW_MUST_USE;

#endif
