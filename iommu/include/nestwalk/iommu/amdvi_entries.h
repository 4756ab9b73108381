/* amdvi_entries.h - device table entries, interrupt remapping entries and commands of an AMD IOMMU by themselves: what they say, and
 * whether a unit with given features takes them. The unit of the model judges by these functions, and so does who has a dump of them.
 *
 *     struct nw_amdvi_capabilities unit = { .efr = NW_AMDVI_EFR_ANY, .pa_bits = 52 };  // nothing is known of the unit
 *     if (nw_amdvi_dte_illegal(&unit, word) & NW_AMDVI_DTE_RESERVED) ...
 *     nw_amdvi_dte_decode(word, &dte);
 *
 * Source: AMD IOMMU specification (48882), "Device Table Entry Format", "Interrupt Remapping Tables", chapter "Commands". */
#ifndef NESTWALK_IOMMU_AMDVI_ENTRIES_H
#define NESTWALK_IOMMU_AMDVI_ENTRIES_H

#include <nestwalk/iommu/amdvi.h>

/* Every feature, with the largest encodings that are not reserved: what is illegal in this unit is so in all. */
#define NW_AMDVI_EFR_ANY ((~UINT64_C(0) & ~nw_mask(15, 10)) | UINT64_C(2) << 10 | UINT64_C(1) << 12 | UINT64_C(2) << 14)

/* ---- device table entries ----------------------------------------------------------------------- */

enum nw_amdvi_interrupt_control { NW_AMDVI_INTCTL_ABORT, NW_AMDVI_INTCTL_FORWARD, NW_AMDVI_INTCTL_REMAP };

struct nw_amdvi_dte {
    bool valid, translation_valid; /* V, TV */
    uint8_t mode;                  /* levels of the host tables; 0: GPAs are used as they are */
    uint64_t root;                 /* of the host tables */
    bool read, write;              /* IR, IW */
    bool guest;                    /* GV: PASIDs have tables of their own */
    bool page_requests;            /* PPR */
    uint8_t gcr3_levels, guest_levels;
    uint64_t gcr3;
    uint16_t domain_id;
    bool ats;                  /* I */
    bool exclusion;            /* EX: the exclusion range applies */
    uint8_t system_management; /* SysMgt: 3 translates, 0 aborts */
    bool interrupts_valid;     /* IV */
    uint8_t interrupt_control; /* IntCtl */
    uint8_t interrupts_log2;   /* IntTabLen: 2^n entries */
    uint64_t interrupts;       /* root of the table */
    bool init_pass, external_pass, nmi_pass;
};
void nw_amdvi_dte_decode(const uint64_t word[4], struct nw_amdvi_dte *out);

enum nw_amdvi_dte_illegal {
    NW_AMDVI_DTE_RESERVED = 1,  /* bits 127:0: a reserved bit or encoding (V = 1) */
    NW_AMDVI_DTE_LEVELS = 2,    /* Mode, GLX or GuestPagingMode: more than the unit has, or reserved (V = TV = 1) */
    NW_AMDVI_DTE_INTERRUPTS = 4 /* bits 255:128: a reserved bit or encoding (IV = 1) */
};
/* A set of the above; 0: the unit takes it. */
unsigned nw_amdvi_dte_illegal(const struct nw_amdvi_capabilities *unit, const uint64_t word[4]);

/* ---- interrupt remapping entries ---------------------------------------------------------------- */

/* An entry of 32 bits stands in the low half of entry[0]; `wide` ones have 128. */
#define NW_AMDVI_IRTE_REMAP_EN   NW_BIT(0)
#define NW_AMDVI_IRTE_GUEST_MODE NW_BIT(7)
/* Reserved bits, or a reserved interrupt type. x2apic: XTEn. */
bool nw_amdvi_irte_illegal(bool wide, bool x2apic, const uint64_t entry[2]);
/* Fills all of *out but the event. */
void nw_amdvi_irte_decode(bool wide, const uint64_t entry[2], struct nw_amdvi_interrupt *out);

/* ---- commands ----------------------------------------------------------------------------------- */

enum nw_amdvi_opcode {
    NW_AMDVI_COMPLETION_WAIT = 1,
    NW_AMDVI_INVALIDATE_DEVTAB_ENTRY,
    NW_AMDVI_INVALIDATE_IOMMU_PAGES,
    NW_AMDVI_INVALIDATE_IOTLB_PAGES,
    NW_AMDVI_INVALIDATE_INTERRUPT_TABLE,
    NW_AMDVI_PREFETCH_IOMMU_PAGES, /* no unit of the model has it */
    NW_AMDVI_COMPLETE_PPR_REQUEST,
    NW_AMDVI_INVALIDATE_IOMMU_ALL
};
static inline unsigned nw_amdvi_opcode(const uint64_t word[2]) { return (unsigned)nw_field(word[0], 63, 60); }
/* remote_iotlbs: IotlbSup of the capability header. */
bool nw_amdvi_command_legal(const struct nw_amdvi_capabilities *unit, bool remote_iotlbs, const uint64_t word[2]);

#endif
