/* The walk of host page tables: AMD IOMMU specification, "I/O Page Tables for Host Translations".
 *
 * An entry says itself what it points to: NextLevel (bits 11:9) 1 to 6 is a table of that level, which must be a lower one and
 * may leave levels out; the address bits of levels left out are zero, or nothing is mapped there. 0 is a page of the level's
 * own size. 7 is a page whose size is in the address field: 2^(n + 1) bytes, n being the lowest bit from 12 up that is
 * clear. Levels fall from entry to entry, so that no tables, however they point at each other, keep a walk from ending. */
#include "caches.h"

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

static bool is_leaf(uint64_t entry) { return ENTRY_NEXT(entry) == NEXT_PAGE || ENTRY_NEXT(entry) == NEXT_SIZED_PAGE; }

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

/* The entries walked, leaf last, get the flags that DTE.HAD has maintained. */
static void set_flags(const struct amdvi_walk *w, const uint64_t *at, unsigned count, bool dirty)
{
    unsigned had = w->looks_only ? HAD_OFF : DTE_HAD(w->dte[0]);
    for (unsigned i = 0; had != HAD_OFF && i < count; i++) {
        uint64_t *word = nw_physmem_find(w->t->memory.pm, nw_hpa(at[i])); /* a present entry: it has been written */
        *word |= ENTRY_A | (dirty && had == HAD_BOTH && i == count - 1 ? ENTRY_D : 0);
    }
}

struct host_access {
    uint64_t gpa;
    bool write; /* for events */
    struct nw_amdvi_event *e;
};

static bool stop(const struct amdvi_walk *w, const struct host_access *a, unsigned level, unsigned flags)
{
    amdvi_host_event(w, a->e, NW_AMDVI_IO_PAGE_FAULT, flags, a->gpa, a->write);
    a->e->level = (int8_t)level;
    return false;
}

/* The entry at `at`, present and well formed for its level; false: the event. */
static bool read_entry(struct amdvi_walk *w, const struct host_access *a, unsigned level, uint64_t at, uint64_t *entry)
{
    amdvi_entry(w, NW_AMDVI_HOST_ENTRY, 0, level);
    if (!amdvi_load(w, at, entry)) {
        amdvi_host_event(w, a->e, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, NW_AMDVI_MASTER_ABORT << 9, at, a->write);
        a->e->level = (int8_t)level;
        return false;
    }
    if (!(*entry & ENTRY_PR))
        return stop(w, a, level, 0);
    if (*entry & (is_leaf(*entry) ? LEAF_RESERVED : TABLE_RESERVED))
        return stop(w, a, level, NW_AMDVI_FLAG_PR | NW_AMDVI_FLAG_RZ);
    if (is_leaf(*entry) ? !leaf_log2(*entry, level) : ENTRY_NEXT(*entry) >= level)
        return stop(w, a, level, NW_AMDVI_FLAG_PR);
    return true;
}

bool amdvi_host_walk(struct amdvi_walk *w, uint64_t gpa, unsigned need, bool store, struct amdvi_page *out,
                     struct nw_amdvi_event *e)
{
    struct host_access a = { .gpa = gpa, .write = store, .e = e };
    uint64_t table = w->dte[0] & DTE_ROOT, entry = 0, at[LEVELS];
    unsigned level = DTE_MODE(w->dte[0]), rights = rights_of(w->dte[0]); /* IR and IW have the same bits there */
    unsigned count = 0, log2 = 64, passed = 0;
    struct amdvi_host_table known, tables[LEVELS];
    if (level && level < LEVELS && gpa >> covers(level + 1))
        return stop(w, &a, 0, 0);
    if (amdvi_pde_lookup(w, gpa, level, &known)) {
        level = known.level;
        table = known.table;
        rights &= known.rights;
    }
    while (level) {
        at[count] = table + (gpa >> covers(level) & 511) * 8;
        if (!read_entry(w, &a, level, at[count++], &entry))
            return false;
        rights &= rights_of(entry);
        if (is_leaf(entry)) {
            log2 = leaf_log2(entry, level);
            break;
        }
        if (gpa & nw_mask(covers(level) - 1, covers(ENTRY_NEXT(entry) + 1)))
            return stop(w, &a, level, 0);
        level = ENTRY_NEXT(entry);
        table = entry & ENTRY_ADDRESS;
        tables[passed++] = (struct amdvi_host_table){ level, rights, table };
    }
    if (need & ~rights)
        return stop(w, &a, level, NW_AMDVI_FLAG_PR | NW_AMDVI_FLAG_PE);
    uint64_t within = nw_mask(log2 - 1, 0);
    *out = (struct amdvi_page){ .address = (entry & ENTRY_ADDRESS & ~within) | (gpa & within),
                                .page_log2 = (uint8_t)log2,
                                .rights = (uint8_t)rights,
                                .untranslated_only = entry & ENTRY_U,
                                .force_coherent = level ? entry & ENTRY_FC : w->dte[3] & DTE_MODE0FC };
    if (!rights)
        return true;
    set_flags(w, at, count, store && (rights & NW_AMDVI_RIGHT_WRITE));
    for (unsigned i = 0; i < passed; i++)
        amdvi_pde_fill(w, gpa, &tables[i]);
    return true;
}
