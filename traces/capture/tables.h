/* tables.h - which guest pages are page-table pages, and since when.
 *
 * A page is one from when a root in CR3, or an entry of a page that is one, leads to it, until no entry does any more; a root
 * until it has no present entry left while another root is in CR3. The set is kept by watching the stores to the pages in it,
 * so it costs nothing while the tables stand still. */
#ifndef NESTWALK_CAPTURE_TABLES_H
#define NESTWALK_CAPTURE_TABLES_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

struct table_page {
    uint64_t *copy; /* contents as last seen; NULL: no table page */
    uint32_t links; /* entries that lead here */
    uint8_t level;
    bool root;
};
struct tables_watch {
    const uint8_t *memory;
    uint64_t pages;
    struct table_page *page; /* by PFN */
    uint64_t root_pfn;       /* in CR3 */
    /* Called for each page that joins, parents first, when what it holds is what memory holds. */
    enum nw_status (*joined)(void *context, uint64_t gpa, struct nw_error *err);
    void *context;
};

enum nw_status tables_watch_init(struct tables_watch *t, const uint8_t *memory, uint64_t memory_bytes,
                                 struct nw_error *err) NW_MUST_USE;
void tables_watch_fini(struct tables_watch *t);
enum nw_status tables_watch_root(struct tables_watch *t, uint64_t cr3, struct nw_error *err) NW_MUST_USE;

static inline bool tables_watch_has(const struct tables_watch *t, uint64_t gpa)
{
    return gpa >> 12 < t->pages && t->page[gpa >> 12].copy;
}
/* A store to [gpa, gpa + bytes), inside one page of the set, has been made. */
enum nw_status tables_watch_stored(struct tables_watch *t, uint64_t gpa, unsigned bytes,
                                   struct nw_error *err) NW_MUST_USE;

#endif
