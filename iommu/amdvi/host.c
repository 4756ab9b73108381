/* The walk of host page tables: AMD IOMMU specification, "I/O Page Tables for Host Translations". host.h has the entries. */
#include "host.h"
#include "caches.h"

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
    if (amdvi_entry_reserved(*entry))
        return stop(w, a, level, NW_AMDVI_FLAG_PR | NW_AMDVI_FLAG_RZ);
    if (!amdvi_entry_fits(*entry, level))
        return stop(w, a, level, NW_AMDVI_FLAG_PR);
    return true;
}

bool amdvi_host_walk(struct amdvi_walk *w, uint64_t gpa, unsigned need, bool store, struct amdvi_page *out,
                     struct nw_amdvi_event *e)
{
    struct host_access a = { .gpa = gpa, .write = store, .e = e };
    uint64_t table = w->dte[0] & DTE_ROOT, entry = 0, at[AMDVI_LEVELS];
    unsigned level = DTE_MODE(w->dte[0]), rights = amdvi_rights_of(w->dte[0]); /* IR and IW have the same bits there */
    unsigned count = 0, log2 = 64, passed = 0;
    struct amdvi_host_table known, tables[AMDVI_LEVELS];
    if (level && level < AMDVI_LEVELS && gpa >> amdvi_covers(level + 1))
        return stop(w, &a, 0, 0);
    if (amdvi_pde_lookup(w, gpa, level, &known)) {
        level = known.level;
        table = known.table;
        rights &= known.rights;
    }
    while (level) {
        at[count] = table + (gpa >> amdvi_covers(level) & 511) * 8;
        if (!read_entry(w, &a, level, at[count++], &entry))
            return false;
        rights &= amdvi_rights_of(entry);
        if (amdvi_is_leaf(entry)) {
            log2 = amdvi_leaf_log2(entry, level);
            break;
        }
        if (gpa & nw_mask(amdvi_covers(level) - 1, amdvi_covers(ENTRY_NEXT(entry) + 1)))
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
