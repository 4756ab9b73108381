/* format_vtd.h - the two page-table formats of Intel VT-d as const objects, and trees in them.
 *
 *     struct nw_paging first, second;
 *     nw_paging_init_vtd_second(&second, &(struct nw_vtd_second_stage){ .root = 0x1000, .levels = 4, .haw = 48,
 *                               .large_2m = true, .large_1g = true }, err);
 *     nw_paging_init_vtd_first(&first, &(struct nw_vtd_first_stage){ .root = 0x9000, .levels = 4, .haw = 48 }, err);
 *     nw_walk_nested(pm, &first, &second, nw_gva(iova), &access, NULL, &r); // nested translation
 *
 * The walk reports faults of both formats as those of x86 tables: NW_WALK_PAGE_FAULT in the only or first stage,
 * NW_WALK_NPF in the second stage of a nested walk; error code bits P and RSVD tell the causes apart. The remapping
 * unit (iommu/) makes fault reasons of them.
 *
 * Source: Intel VT-d architecture specification, chapter "Translation Structure Formats": "First-Stage Paging
 * Entries", "Second-Stage Paging Entries", and "DMA Remapping": "First-Stage Translation", "Second-Stage Translation". */
#ifndef NESTWALK_MMU_FORMAT_VTD_H
#define NESTWALK_MMU_FORMAT_VTD_H

#include <nestwalk/mmu/format.h>

extern const struct nw_format nw_vtd_formats[NW_FORMAT_VTD_END - NW_FORMAT_COUNT];
static inline const struct nw_format *nw_vtd_format(enum nw_format_id id)
{
    return &nw_vtd_formats[id - NW_FORMAT_COUNT];
}

struct nw_vtd_second_stage {
    uint64_t root;
    unsigned levels;         /* 3, 4 or 5: 39, 48 or 57 bits of input address */
    unsigned haw;            /* host address width */
    bool large_2m, large_1g; /* CAP.SSLPS */
    bool snoop_control;      /* ECAP.SC: bit 11 of a leaf is SNP; else reserved */
    bool transient_mapping;  /* ECAP.DT: bit 62 of a leaf is TM; else reserved */
    bool accessed_dirty;     /* SSADE of the PASID-table entry: A (bit 8) and D (bit 9) are maintained */
};

struct nw_vtd_first_stage {
    uint64_t root;
    unsigned levels; /* 4 or 5 */
    unsigned haw;
    bool large_1g;          /* CAP.FS1GP */
    bool extended_accessed; /* EAFE of the PASID-table entry: EA (bit 10) is set together with A */
    bool write_protect;     /* WPE: writes by privileged requests obey R/W too */
};

/* NW_ERR_INPUT: a number of levels that the format lacks, an address width out of range, a root that is not aligned
 * or beyond HAW. Callers that read these from tables have checked them, as the architecture gives such entries faults. */
enum nw_status nw_paging_init_vtd_second(struct nw_paging *out, const struct nw_vtd_second_stage *r,
                                         struct nw_error *err) NW_MUST_USE;
enum nw_status nw_paging_init_vtd_first(struct nw_paging *out, const struct nw_vtd_first_stage *r,
                                        struct nw_error *err) NW_MUST_USE;

#endif
