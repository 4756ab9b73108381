/* mrc_pages.h - private to sim/: pages by the order of their first reference, so that everything known of a page is an element of an array.
 *
 * A page's name is its number, tagged with its address space. The directory's places are for clusters of neighbouring names, so that a dense
 * footprint has a small directory. */
#ifndef NW_SIM_MRC_PAGES_H
#define NW_SIM_MRC_PAGES_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/base/status.h>
#include <stdint.h>

enum { MRC_PAGE_BITS = 52, MRC_SPACES_MAX = 4096, MRC_CLUSTER_PAGES = 14 };
#define MRC_PAGE_UNKNOWN UINT32_MAX /* 0 - 1: what the directory says of a page that is not there */

static inline uint64_t mrc_page_name(uint64_t space, uint64_t page) { return space << MRC_PAGE_BITS | page; }
static inline uint64_t mrc_page_of(uint64_t name) { return name & nw_mask(MRC_PAGE_BITS - 1, 0); }
static inline uint64_t mrc_larger_page(uint64_t name)
{
    return mrc_page_name(name >> MRC_PAGE_BITS, mrc_page_of(name) >> 9);
}

struct mrc_cluster {                    /* of neighbouring names; a cache line */
    uint64_t key;                       /* mrc_pages_key(); 0: free */
    uint32_t number[MRC_CLUSTER_PAGES]; /* plus 1; 0: not there */
};

struct mrc_pages { /* open addressing, at most half full */
    struct mrc_cluster *cluster;
    unsigned log2;
    uint32_t clusters, count;
};

enum nw_status mrc_pages_init(struct mrc_pages *p, struct nw_error *err) NW_MUST_USE;
void mrc_pages_fini(struct mrc_pages *p);
/* Numbers a page that is not there yet: *number is p->count before. NW_ERR_NOMEM. */
enum nw_status mrc_pages_add(struct mrc_pages *p, uint64_t name, uint32_t *number, struct nw_error *err) NW_MUST_USE;

static inline uint64_t mrc_pages_key(uint64_t name) { return name / MRC_CLUSTER_PAGES + 1; }
static inline unsigned mrc_pages_element(uint64_t name) { return (unsigned)(name % MRC_CLUSTER_PAGES); }
static inline uint64_t mrc_pages_home(const struct mrc_pages *p, uint64_t key)
{
    return key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - p->log2);
}
/* Where the cluster is, or the free place where it would be. */
static inline struct mrc_cluster *mrc_pages_place(const struct mrc_pages *p, uint64_t key)
{
    uint64_t mask = NW_BIT(p->log2) - 1, i = mrc_pages_home(p, key);
    while (p->cluster[i].key != key && p->cluster[i].key)
        i = (i + 1) & mask;
    return p->cluster + i;
}
static inline void mrc_pages_prefetch(const struct mrc_pages *p, uint64_t name)
{
    NW_PREFETCH(p->cluster + mrc_pages_home(p, mrc_pages_key(name)));
}

/* The number of `name`; MRC_PAGE_UNKNOWN when it is not there. */
static inline uint32_t mrc_pages_find(const struct mrc_pages *p, uint64_t name)
{
    return mrc_pages_place(p, mrc_pages_key(name))->number[mrc_pages_element(name)] - 1;
}

static inline NW_MUST_USE enum nw_status mrc_pages_number(struct mrc_pages *p, uint64_t name, uint32_t *number,
                                                          struct nw_error *err)
{
    *number = mrc_pages_find(p, name);
    return NW_LIKELY(*number != MRC_PAGE_UNKNOWN) ? NW_OK : mrc_pages_add(p, name, number, err);
}

#endif
