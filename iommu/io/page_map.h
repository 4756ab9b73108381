/* page_map.h - from a page number to a 64-bit value: open addressing, a power of two of slots at most half full. */
#ifndef NW_IOMMU_PAGE_MAP_H
#define NW_IOMMU_PAGE_MAP_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

struct page_map {
    struct page_slot {
        uint64_t key, value; /* key: page number + 1; 0: free */
    } * slot;
    uint64_t capacity, used;
};

void page_map_fini(struct page_map *m);
/* The value of a page, or NULL. Valid until the map changes. */
uint64_t *page_map_find(const struct page_map *m, uint64_t page);
/* The value of a page, made with value 0 when there is none. */
enum nw_status page_map_make(struct page_map *m, uint64_t page, uint64_t **out, struct nw_error *err) NW_MUST_USE;
void page_map_remove(struct page_map *m, uint64_t page);

#endif
