/* The walk of host page tables: AMD IOMMU specification, "I/O Page Tables for Host Translations".
 *
 * An entry says itself what it points to: NextLevel (bits 11:9) 1 to 6 is a table of that level, which must be a lower one and
 * may leave levels out; the address bits of levels left out are zero, or nothing is mapped there. 0 is a page of the level's
 * own size. 7 is a page whose size is in the address field: 2^(n + 1) bytes, n being the lowest bit from 12 up that is
 * clear. Levels fall from entry to entry, so that no tables, however they point at each other, keep a walk from ending. */
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
enum { NEXT_PAGE = 0, NEXT_SIZED_PAGE = 7, LEVELS = 6 };

/* log2 of what an entry of `level` covers. */
static unsigned covers(unsigned level) { return NW_PAGE_LOG2 + 9 * (level - 1); }

static unsigned rights_of(uint64_t entry)
{
    return (entry & ENTRY_IR ? NW_AMDVI_RIGHT_READ : 0u) | (entry & ENTRY_IW ? NW_AMDVI_RIGHT_WRITE : 0u);
}

unsigned amdvi_dte_rights(const struct amdvi_walk *w)
{
    return rights_of(w->dte[0]);
} /* IR and IW have the same bits */

/* log2 of the page that a leaf maps, or 0: an encoding that its level does not have. */
static unsigned leaf_log2(uint64_t entry, unsigned level)
{
    unsigned log2 = covers(level);
    if (ENTRY_NEXT(entry) == NEXT_SIZED_PAGE) {
        uint64_t clear = ~entry & ENTRY_ADDRESS;
        log2 = clear ? (unsigned)__builtin_ctzll(clear) + 1 : 0;
        if (log2 <= covers(level) || log2 >= covers(level + 1))
            return 0;
    }
    return log2 <= NW_PHYS_BITS_MAX ? log2 : 0;
}

static bool stop(const struct amdvi_walk *w, struct nw_amdvi_event *e, unsigned level, unsigned flags)
{
    amdvi_event(w, e, NW_AMDVI_IO_PAGE_FAULT, flags);
    e->level = (int8_t)level;
    return false;
}

/* The entries walked, leaf last, get the flags that DTE.HAD has maintained. */
static void set_flags(const struct amdvi_walk *w, const uint64_t *at, unsigned count, bool dirty)
{
    unsigned had = DTE_HAD(w->dte[0]);
    for (unsigned i = 0; had != HAD_OFF && i < count; i++) {
        uint64_t *word = nw_physmem_find(w->t->memory.pm, nw_hpa(at[i])); /* a present entry: it has been written */
        *word |= ENTRY_A | (dirty && had == HAD_BOTH && i == count - 1 ? ENTRY_D : 0);
    }
}

bool amdvi_host_walk(struct amdvi_walk *w, uint64_t gpa, unsigned need, struct amdvi_page *out,
                     struct nw_amdvi_event *e)
{
    uint64_t table = w->dte[0] & DTE_ROOT, entry, at[LEVELS];
    unsigned level = DTE_MODE(w->dte[0]), rights = amdvi_dte_rights(w), count = 0;
    if (level < LEVELS && gpa >> covers(level + 1))
        return stop(w, e, 0, 0);
    for (;; level = ENTRY_NEXT(entry), table = entry & ENTRY_ADDRESS) {
        at[count] = table + (gpa >> covers(level) & 511) * 8;
        if (!amdvi_load(w, at[count], &entry)) {
            amdvi_event(w, e, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, NW_AMDVI_MASTER_ABORT << 9);
            e->address = at[count];
            e->level = (int8_t)level;
            return false;
        }
        count++;
        if (!(entry & ENTRY_PR))
            return stop(w, e, level, 0);
        unsigned next = ENTRY_NEXT(entry);
        bool leaf = next == NEXT_PAGE || next == NEXT_SIZED_PAGE;
        if (entry & (leaf ? LEAF_RESERVED : TABLE_RESERVED))
            return stop(w, e, level, NW_AMDVI_FLAG_PR | NW_AMDVI_FLAG_RZ);
        if (leaf ? !leaf_log2(entry, level) : next >= level)
            return stop(w, e, level, NW_AMDVI_FLAG_PR);
        rights &= rights_of(entry);
        if (leaf)
            break;
        if (gpa & nw_mask(covers(level) - 1, covers(next + 1)))
            return stop(w, e, level, 0);
    }
    unsigned log2 = leaf_log2(entry, level);
    if (need & ~rights)
        return stop(w, e, level, NW_AMDVI_FLAG_PR | NW_AMDVI_FLAG_PE);
    *out =
        (struct amdvi_page){ .address = (entry & ENTRY_ADDRESS & ~nw_mask(log2 - 1, 0)) | (gpa & nw_mask(log2 - 1, 0)),
                             .page_log2 = (uint8_t)log2,
                             .rights = (uint8_t)rights,
                             .untranslated_only = entry & ENTRY_U,
                             .force_coherent = entry & ENTRY_FC };
    bool asks_write = w->q->kind != NW_AMDVI_READ && (rights & NW_AMDVI_RIGHT_WRITE);
    if (rights)
        set_flags(w, at, count, asks_write);
    return true;
}
