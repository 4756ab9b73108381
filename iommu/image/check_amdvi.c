/* The tables of an AMD IOMMU in memory, entry by entry: AMD IOMMU specification, "Device Table Entry Format", "I/O Page Tables for Host
 * Translations". */
#include "../amdvi/host.h"
#include "image_findings.h"
#include <nestwalk/iommu/amdvi_entries.h>
#include <stdio.h>

struct amdvi_image {
    struct image i;
    const struct nw_amdvi_tables *t;
};

/* ---- host tables -------------------------------------------------------------------------------- */

/* A page larger than its level's own size stands in every slot that it covers; accessed and dirty may differ. */
static bool replicas_agree(const uint64_t *word, unsigned index, unsigned slots)
{
    const unsigned first = index & ~(slots - 1);
    for (unsigned k = first; k < first + slots; k++)
        if ((word[k] ^ word[first]) & ~(ENTRY_A | ENTRY_D))
            return false;
    return true;
}

/* What is wrong with a present entry; NULL: nothing. */
static const char *wrong(const uint64_t *word, unsigned index, unsigned level)
{
    const uint64_t entry = word[index];
    if (amdvi_entry_reserved(entry))
        return "has reserved bits set";
    if (!amdvi_entry_fits(entry, level))
        return amdvi_is_leaf(entry) ? "maps a page of a size that its level does not have"
                                    : "points to a table that is not of a lower level";
    if (ENTRY_NEXT(entry) != NEXT_SIZED_PAGE)
        return NULL;
    const unsigned slots = 1u << (amdvi_leaf_log2(entry, level) - amdvi_covers(level));
    /* Told of once, at the first that is a page of this kind. */
    return replicas_agree(word, index, slots) || (index & (slots - 1) && word[index] == word[index - 1])
               ? NULL
               : "maps a large page that does not stand alike in all its slots";
}

/* The table of this level and all below it, each once; an entry that is not as it should be leads nowhere. */
static void descend(struct amdvi_image *a, uint16_t device_id, uint64_t address, unsigned level)
{
    const struct nw_amdvi_memory *m = &a->t->memory;
    const struct nw_reach_table t = { .kind = NW_REACH_SECOND_STAGE, .level = (uint8_t)level, .address = address };
    const bool readable = amdvi_readable(m, a->t->unit.pa_bits, address) &&
                          amdvi_readable(m, a->t->unit.pa_bits, address + NW_PAGE_BYTES - 8);
    const uint64_t *word = readable ? iommu_table_page(m->pm, address) : NULL;
    if (!word || !image_enter(&a->i, &t))
        return;
    for (unsigned k = 0; k < (level == AMDVI_LEVELS ? 128u : 512u); k++) {
        if (!(word[k] & ENTRY_PR))
            continue;
        const char *what = wrong(word, k, level);
        if (!what && !amdvi_is_leaf(word[k]))
            descend(a, device_id, word[k] & ENTRY_ADDRESS, ENTRY_NEXT(word[k]));
        if (!what)
            continue;
        char place[48];
        snprintf(place, sizeof place, "entry at 0x%llx", (unsigned long long)(address + 8 * k));
        image_add(&a->i, V14, device_id, place, "0x%016llx, of level %u with NextLevel %u, %s",
                  (unsigned long long)word[k], level, ENTRY_NEXT(word[k]), what);
    }
}

/* ---- device table ------------------------------------------------------------------------------- */

static void judge_device(struct amdvi_image *a, uint16_t device_id)
{
    const uint64_t at = (a->t->device_table & nw_mask(51, 12)) + (uint64_t)device_id * 32;
    uint64_t word[4];
    for (unsigned k = 0; k < 4; k++) {
        if (!amdvi_readable(&a->t->memory, a->t->unit.pa_bits, at + 8 * k))
            return;
        word[k] = nw_physmem_read64(a->t->memory.pm, nw_hpa(at + 8 * k));
    }
    const unsigned illegal = nw_amdvi_dte_illegal(&a->t->unit, word);
    struct nw_amdvi_dte says;
    nw_amdvi_dte_decode(word, &says);
    if (illegal & NW_AMDVI_DTE_RESERVED)
        image_add(&a->i, V10, device_id, "device table entry",
                  "a reserved bit or encoding is in 0x%016llx 0x%016llx (bits 127:0)", (unsigned long long)word[1],
                  (unsigned long long)word[0]);
    if (illegal & NW_AMDVI_DTE_LEVELS)
        image_add(&a->i, V10, device_id, "device table entry",
                  "Mode is %u, with %u levels of GCR3 tables and %u of guest tables: more than the unit has", says.mode,
                  says.gcr3_levels, says.guest_levels);
    if (illegal & NW_AMDVI_DTE_INTERRUPTS)
        image_add(&a->i, V10, device_id, "device table entry",
                  "a reserved bit or encoding is in 0x%016llx 0x%016llx (bits 255:128)", (unsigned long long)word[3],
                  (unsigned long long)word[2]);
    if (!illegal && says.valid && says.translation_valid && says.mode)
        descend(a, device_id, says.root, says.mode);
}

enum nw_status nw_iommu_check_image_amdvi(const struct nw_amdvi_tables *t, const char *unit,
                                          struct nw_iommu_findings *found, size_t *pages, struct nw_error *err)
{
    struct amdvi_image a = { .i = { .unit = unit, .findings = found }, .t = t };
    const size_t first = found->count, devices = (nw_field(t->device_table, 8, 0) + 1) << (NW_PAGE_LOG2 - 5);
    for (size_t id = 0; id < devices && id <= UINT16_MAX && !a.i.no_memory; id++)
        judge_device(&a, (uint16_t)id);
    return image_end(&a.i, first, pages, err);
}
