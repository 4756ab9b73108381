/* entries.h - fields of the structures between a source id and its trees: VT-d, "Translation Structure Formats". Never leaves
 * this folder. */
#ifndef NESTWALK_IOMMU_VTD_ENTRIES_H
#define NESTWALK_IOMMU_VTD_ENTRIES_H

#include "vtd_internal.h"

/* Fields of a context entry. Bits 6:3 of the upper word are ignored. */
#define CONTEXT_P       NW_BIT(0)
#define CONTEXT_FPD     NW_BIT(1)
#define CONTEXT_TT(lo)  ((unsigned)nw_field(lo, 3, 2))
#define CONTEXT_AW(hi)  ((unsigned)nw_field(hi, 2, 0))
#define CONTEXT_DID(hi) ((unsigned)nw_field(hi, 23, 8))
enum { TT_UNTRANSLATED, TT_ALL, TT_PASS_THROUGH, TT_RESERVED };

static inline uint16_t vtd_domain_id(const struct nw_vtd_capabilities *u, unsigned did)
{
    /* Domain ids have 4 + 2 * ND bits; hardware does not look at those above. */
    unsigned bits = 4 + 2 * (unsigned)nw_field(u->cap, 2, 0);
    return (uint16_t)(did & nw_mask(bits >= 16 ? 15 : bits - 1, 0));
}

/* Scalable-mode context entry. */
#define SCALABLE_DTE           NW_BIT(2)
#define SCALABLE_PASIDE        NW_BIT(3)
#define SCALABLE_PRE           NW_BIT(4)
#define SCALABLE_RID_PASID(w1) ((uint32_t)nw_field(w1, 19, 0))
#define SCALABLE_RID_PRIV      NW_BIT(20)

/* PASID directory and PASID-table entries. */
#define ENTRY_P   NW_BIT(0)
#define ENTRY_FPD NW_BIT(1)
#define POINTER   nw_mask(63, 12)
/* Word 0 of a PASID-table entry */
#define PASID_AW(w0)   ((unsigned)nw_field(w0, 4, 2))
#define PASID_PGTT(w0) ((unsigned)nw_field(w0, 8, 6))
#define PASID_SSADE    NW_BIT(9)
/* Word 1 */
#define PASID_DID(w1) ((unsigned)nw_field(w1, 15, 0))
#define PASID_PWSNP   NW_BIT(23)
#define PASID_PGSNP   NW_BIT(24)
#define PASID_MEMTYPE (NW_BIT(25) | NW_BIT(26) | nw_mask(63, 32)) /* CD, EMTE, PAT */
/* Word 2 */
#define PASID_SRE      NW_BIT(0)
#define PASID_ERE      NW_BIT(1)
#define PASID_FSPM(w2) ((unsigned)nw_field(w2, 3, 2))
#define PASID_WPE      NW_BIT(4)
#define PASID_EAFE     NW_BIT(7)
enum { PGTT_FIRST = 1, PGTT_SECOND, PGTT_NESTED, PGTT_PASS_THROUGH };

#endif
