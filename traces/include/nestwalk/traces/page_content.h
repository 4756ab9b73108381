/* page_content.h - what page-content events say of a page: which pages are equal, and how well they compress.
 *
 *     struct nw_page_packer *packer;
 *     s = nw_page_packer_create(&packer, err);
 *     struct nw_event e = nw_page_content_event(gpa, nw_page_content_of(packer, page));
 *     nw_page_packer_destroy(packer);
 *
 * Two pages with the same hash are taken to be equal. The size is that of one zstd frame of level 3 for the page alone, without a checksum: what zram and zswap
 * make of it with the compressor "zstd" (Linux, crypto/zstd.c: ZSTD_DEF_LEVEL). A page that does not get smaller has 4096 bytes. */
#ifndef NESTWALK_TRACES_PAGE_CONTENT_H
#define NESTWALK_TRACES_PAGE_CONTENT_H

#include <nestwalk/traces/block.h>

struct nw_page_content {
    uint64_t hash;         /* xxh3-64 of the 4096 bytes, seed 0 */
    uint32_t packed_bytes; /* 1 to 4096 */
};

struct nw_page_packer;
enum nw_status nw_page_packer_create(struct nw_page_packer **out, struct nw_error *err) NW_MUST_USE;
void nw_page_packer_destroy(struct nw_page_packer *p); /* NULL allowed */

/* `page`: 4096 bytes. */
struct nw_page_content nw_page_content_of(struct nw_page_packer *p, const void *page);

static inline struct nw_event nw_page_content_event(uint64_t gpa, struct nw_page_content c)
{
    return (struct nw_event){ .kind = NW_EV_PAGE_CONTENT, .arg = { gpa, c.hash, c.packed_bytes } };
}

#endif
