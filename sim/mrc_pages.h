/* mrc_pages.h - private to sim/: pages by the order of their first reference, so that everything known of a page is an element of an array.
 *
 * A page's name is its number, tagged with its address space. */
#ifndef NW_SIM_MRC_PAGES_H
#define NW_SIM_MRC_PAGES_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/status.h>
#include <stdint.h>

enum { MRC_PAGE_BITS = 52, MRC_SPACES_MAX = 4096 };
#define MRC_PAGE_UNKNOWN UINT32_MAX /* 0 - 1: what a free entry, whose name reads 0, says of the page named 0 */

static inline uint64_t mrc_page_name(uint64_t space, uint64_t page) { return space << MRC_PAGE_BITS | page; }
static inline uint64_t mrc_page_of(uint64_t name) { return name & nw_mask(MRC_PAGE_BITS - 1, 0); }
static inline uint64_t mrc_larger_page(uint64_t name)
{
    return mrc_page_name(name >> MRC_PAGE_BITS, mrc_page_of(name) >> 9);
}

struct mrc_page {
    uint64_t name;
    uint32_t number; /* plus 1; 0: free */
};

struct mrc_pages { /* open addressing, at most half full */
    struct mrc_page *entry;
    unsigned log2;
    uint32_t count;
};

enum nw_status mrc_pages_init(struct mrc_pages *p, struct nw_error *err) NW_MUST_USE;
void mrc_pages_fini(struct mrc_pages *p);
/* Numbers a page that is not there yet: *number is p->count before. NW_ERR_NOMEM. */
enum nw_status mrc_pages_add(struct mrc_pages *p, uint64_t name, uint32_t *number, struct nw_error *err) NW_MUST_USE;

static inline uint64_t mrc_pages_home(const struct mrc_pages *p, uint64_t name)
{
    return name * UINT64_C(0x9e3779b97f4a7c15) >> (64 - p->log2);
}

/* The number of `name`; MRC_PAGE_UNKNOWN when it is not there. */
static inline uint32_t mrc_pages_find(const struct mrc_pages *p, uint64_t name)
{
    uint64_t mask = NW_BIT(p->log2) - 1;
    for (uint64_t i = mrc_pages_home(p, name);; i = (i + 1) & mask) {
        const struct mrc_page *e = p->entry + i;
        if (e->name == name || !e->number)
            return e->name == name ? e->number - 1 : MRC_PAGE_UNKNOWN;
    }
}

static inline NW_MUST_USE enum nw_status mrc_pages_number(struct mrc_pages *p, uint64_t name, uint32_t *number,
                                                          struct nw_error *err)
{
    *number = mrc_pages_find(p, name);
    return NW_LIKELY(*number != MRC_PAGE_UNKNOWN) ? NW_OK : mrc_pages_add(p, name, number, err);
}

#endif
