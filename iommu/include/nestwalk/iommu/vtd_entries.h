/* vtd_entries.h - entries and descriptors of a VT-d unit by themselves: what they say, and whether a unit with given capabilities takes
 * them. The unit of the model judges by these functions, and so does who has a dump of them.
 *
 *     struct nw_vtd_trees trees;
 *     unsigned reason = nw_vtd_pasid_trees(&unit, word, &trees);   // 0x5a, 0x5b, or 0
 *     if (!reason && trees.has_second && nw_entry_is_bad(&trees.second, level, entry, leaf)) ...
 *
 * Source: Intel VT-d architecture specification, chapter "Translation Structure Formats" and "Queued Invalidation Interface". */
#ifndef NESTWALK_IOMMU_VTD_ENTRIES_PUBLIC_H
#define NESTWALK_IOMMU_VTD_ENTRIES_PUBLIC_H

#include <nestwalk/iommu/vtd_unit.h>

/* ---- translation entries ------------------------------------------------------------------------ */

/* The page tables that an entry names, in their formats. */
struct nw_vtd_trees {
    enum nw_vtd_translation translation;
    bool has_first, has_second;
    struct nw_paging first, second;
};
/* A present context entry of legacy mode, or a PASID-table entry. Returns the fault reason of every request, 0: none. */
unsigned nw_vtd_context_trees(const struct nw_vtd_capabilities *unit, const uint64_t word[2], struct nw_vtd_trees *out);
unsigned nw_vtd_pasid_trees(const struct nw_vtd_capabilities *unit, const uint64_t word[8], struct nw_vtd_trees *out);
/* Those that the tables in memory have for an untranslated request: of its source id, with or without PASID. */
unsigned nw_vtd_trees_of(const struct nw_vtd_tables *t, const struct nw_vtd_request *q, struct nw_vtd_trees *out);

/* Of a PASID-table entry, what the two of them are about. */
struct nw_vtd_pasid_entry {
    uint8_t type; /* PGTT: 1 first stage, 2 second stage, 3 nested, 4 pass-through */
    uint8_t first_levels, width;
    uint16_t domain_id;
    uint64_t first_root, second_root;
    bool flags_kept;     /* SSADE: A and D of the second stage are maintained */
    bool walk_snoops;    /* PWSNP */
    bool page_snoops;    /* PGSNP */
    bool supervisor;     /* SRE */
    bool extended_flags; /* EAFE */
};
void nw_vtd_pasid_decode(const uint64_t word[3], struct nw_vtd_pasid_entry *out);
/* PASIDs that the directory of a scalable-mode context entry has room for. */
static inline uint64_t nw_vtd_pasids_of(uint64_t context_word_0)
{
    return UINT64_C(64) << (nw_field(context_word_0, 11, 9) + 7); /* PDTS: 2^(PDTS + 7) directory entries of 64 */
}

/* ---- interrupt remapping entries ---------------------------------------------------------------- */

/* A posted entry's descriptor of 64 bytes. */
static inline uint64_t nw_vtd_posted_descriptor(const uint64_t irte[2])
{
    return nw_field(irte[0], 63, 38) << 6 | nw_field(irte[1], 63, 32) << 32;
}

/* ---- invalidation descriptors ------------------------------------------------------------------- */

enum nw_vtd_descriptor_type {
    NW_VTD_INVALIDATE_CONTEXT = 1,
    NW_VTD_INVALIDATE_IOTLB,
    NW_VTD_INVALIDATE_DEVICE_TLB,
    NW_VTD_INVALIDATE_INTERRUPTS,
    NW_VTD_INVALIDATION_WAIT,
    NW_VTD_INVALIDATE_PASID_IOTLB,
    NW_VTD_INVALIDATE_PASID_CACHE,
    NW_VTD_INVALIDATE_PASID_DEVICE_TLB,
    NW_VTD_PAGE_GROUP_RESPONSE
};

/* What is invalidated. What is not asked for (by_...) matches everything. */
struct nw_vtd_descriptor {
    uint8_t type, granularity;
    bool by_domain, by_pasid, by_source, by_address;
    bool leaf_hint;  /* IH: only leaves have changed */
    bool first_only; /* the addresses are those of a first stage */
    uint16_t domain_id, source_id;
    uint16_t source_ignored; /* bits of the source id that are not compared */
    uint32_t pasid;
    uint64_t start, last; /* addresses, or indices of interrupt entries; inclusive */
};
void nw_vtd_descriptor_decode(const uint64_t word[4], uint64_t cap, struct nw_vtd_descriptor *out);
/* What the unit would stop at: NW_VTD_QUEUE_TYPE, NW_VTD_QUEUE_RESERVED or NW_VTD_QUEUE_MODE, or NW_VTD_QUEUE_OK. */
enum nw_vtd_queue_error nw_vtd_descriptor_check(const struct nw_vtd_capabilities *unit, enum nw_vtd_table_mode mode,
                                                const uint64_t word[4]);

#endif
