/* host.h - entries of host page tables: AMD IOMMU specification, "I/O Page Tables for Host Translations". Never leaves this folder.
 *
 * An entry says itself what it points to: NextLevel (bits 11:9) 1 to 6 is a table of that level, which must be a lower one and
 * may leave levels out; the address bits of levels left out are zero, or nothing is mapped there. 0 is a page of the level's
 * own size. 7 is a page whose size is in the address field: 2^(n + 1) bytes, n being the lowest bit from 12 up that is
 * clear. Levels fall from entry to entry, so that no tables, however they point at each other, keep a walk from ending. */
#ifndef NESTWALK_IOMMU_AMDVI_HOST_H
#define NESTWALK_IOMMU_AMDVI_HOST_H

#include "amdvi_internal.h"

#define ENTRY_PR       NW_BIT(0)
#define ENTRY_A        NW_BIT(5)
#define ENTRY_D        NW_BIT(6) /* of a leaf */
#define ENTRY_NEXT(e)  ((unsigned)nw_field(e, 11, 9))
#define ENTRY_ADDRESS  nw_mask(51, 12)
#define ENTRY_U        NW_BIT(59) /* U and FC: of a leaf */
#define ENTRY_FC       NW_BIT(60)
#define ENTRY_IR       NW_BIT(61)
#define ENTRY_IW       NW_BIT(62)
#define TABLE_RESERVED nw_mask(60, 52)
#define LEAF_RESERVED  nw_mask(58, 52)
enum { NEXT_PAGE = 0, NEXT_SIZED_PAGE = 7, AMDVI_LEVELS = 6 };

/* log2 of what an entry of `level` covers. */
static inline unsigned amdvi_covers(unsigned level) { return NW_PAGE_LOG2 + 9 * (level - 1); }

/* Also of word 0 of a device table entry: IR and IW have the same bits there. */
static inline unsigned amdvi_rights_of(uint64_t entry)
{
    return (entry & ENTRY_IR ? NW_AMDVI_RIGHT_READ : 0u) | (entry & ENTRY_IW ? NW_AMDVI_RIGHT_WRITE : 0u);
}

static inline bool amdvi_is_leaf(uint64_t entry)
{
    return ENTRY_NEXT(entry) == NEXT_PAGE || ENTRY_NEXT(entry) == NEXT_SIZED_PAGE;
}

/* log2 of the page that a leaf maps, or 0: an encoding that its level does not have. */
static inline unsigned amdvi_leaf_log2(uint64_t entry, unsigned level)
{
    unsigned log2 = amdvi_covers(level);
    if (ENTRY_NEXT(entry) == NEXT_SIZED_PAGE) {
        uint64_t clear = ~entry & ENTRY_ADDRESS;
        log2 = clear ? (unsigned)__builtin_ctzll(clear) + 1 : 0;
        if (log2 <= amdvi_covers(level) || log2 >= amdvi_covers(level + 1))
            return 0;
    }
    return log2 <= NW_PHYS_BITS_MAX ? log2 : 0;
}

static inline bool amdvi_entry_reserved(uint64_t entry)
{
    return entry & (amdvi_is_leaf(entry) ? LEAF_RESERVED : TABLE_RESERVED);
}
/* The level is one that the entry can have: of the table it points to, or of its page's size. */
static inline bool amdvi_entry_fits(uint64_t entry, unsigned level)
{
    return amdvi_is_leaf(entry) ? amdvi_leaf_log2(entry, level) != 0 : ENTRY_NEXT(entry) < level;
}
/* Present and well formed for a table of that level. */
static inline bool amdvi_entry_usable(uint64_t entry, unsigned level)
{
    return (entry & ENTRY_PR) && !amdvi_entry_reserved(entry) && amdvi_entry_fits(entry, level);
}

#endif
