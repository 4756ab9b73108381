/* format_internal.h - what the formats share on the way from registers to final masks. Never leaves this folder. */
#ifndef NESTWALK_MMU_FORMAT_INTERNAL_H
#define NESTWALK_MMU_FORMAT_INTERNAL_H

#include <nestwalk/mmu/format.h>

enum nw_status nw_paging_check_width(const char *what, unsigned maxphyaddr, unsigned least,
                                     struct nw_error *err) NW_MUST_USE;
void nw_paging_resolve(struct nw_paging *out, const struct nw_format *format, unsigned maxphyaddr, bool huge_1g);
void nw_paging_reserve_everywhere(struct nw_paging *p, uint64_t bits);

#endif
