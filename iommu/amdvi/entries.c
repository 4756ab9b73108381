/* Entries and commands by themselves: nestwalk/iommu/amdvi_entries.h. */
#include "amdvi_internal.h"

/* ---- device table entries: AMD IOMMU specification, "Device Table Entry Format" ----------------- */

#define DTE_W2_RESERVED (nw_mask(53, 52) | NW_BIT(59))
#define DTE_W2_GUEST    nw_mask(55, 54) /* GuestPagingMode */
#define DTE_W3_RESERVED nw_mask(53, 0)
enum { INTTABLEN_MAX = 11 };

void nw_amdvi_dte_decode(const uint64_t word[4], struct nw_amdvi_dte *out)
{
    const uint64_t w0 = word[0], w1 = word[1], w2 = word[2];
    *out = (struct nw_amdvi_dte){ .valid = w0 & DTE_V,
                                  .translation_valid = w0 & DTE_TV,
                                  .mode = (uint8_t)DTE_MODE(w0),
                                  .root = w0 & DTE_ROOT,
                                  .read = w0 & DTE_IR,
                                  .write = w0 & DTE_IW,
                                  .guest = w0 & DTE_GV,
                                  .page_requests = w0 & DTE_PPR_ENABLE,
                                  .gcr3_levels = (uint8_t)(DTE_GLX(w0) + 1),
                                  .guest_levels = (uint8_t)DTE_GUEST_LEVELS(w2),
                                  .gcr3 = amdvi_gcr3_root(word),
                                  .domain_id = (uint16_t)(w1 & DTE_DOMAIN),
                                  .ats = w1 & DTE_I,
                                  .exclusion = w1 & DTE_EX,
                                  .system_management = (uint8_t)DTE_SYSMGT(w1),
                                  .interrupts_valid = w2 & DTE_IV,
                                  .interrupt_control = (uint8_t)DTE_INTCTL(w2),
                                  .interrupts_log2 = (uint8_t)DTE_INTTABLEN(w2),
                                  .interrupts = w2 & DTE_INTTABROOT,
                                  .init_pass = w2 & DTE_INIT_PASS,
                                  .external_pass = w2 & DTE_EINT_PASS,
                                  .nmi_pass = w2 & DTE_NMI_PASS };
}

/* Bits 127:0 that must be zero in this unit. Bit 106 is one of them: the model knows no secure ATS. */
static bool reserved_bits(uint64_t efr, const uint64_t dte[4])
{
    const uint64_t reserved0 = nw_mask(6, 2) | NW_BIT(63) | (efr & NW_AMDVI_EFR_PPR ? 0 : DTE_PPR) |
                               (efr & NW_AMDVI_EFR_GT ? 0 : DTE_GUEST0) | (efr & NW_AMDVI_EFR_GIO ? 0 : DTE_GIOV) |
                               (efr & NW_AMDVI_EFR_HA ? 0 : NW_BIT(7)) | (efr & NW_AMDVI_EFR_HD ? 0 : NW_BIT(8));
    const uint64_t reserved1 = NW_BIT(42) | (efr & NW_AMDVI_EFR_GT ? 0 : DTE_GUEST1);
    return (dte[0] & reserved0) || (dte[1] & reserved1) || DTE_HAD(dte[0]) == HAD_RESERVED ||
           DTE_IOCTL(dte[1]) == IOCTL_RESERVED;
}

/* Of host tables, of the GCR3 table, or of guest tables: more than the unit has, or a reserved encoding. */
static bool too_many_levels(uint64_t efr, const uint64_t dte[4])
{
    return DTE_MODE(dte[0]) > nw_amdvi_host_levels(efr) ||
           ((dte[0] & DTE_GV) &&
            (DTE_GLX(dte[0]) + 1 > nw_amdvi_gcr3_levels(efr) || DTE_GUEST_LEVELS(dte[2]) > nw_amdvi_guest_levels(efr)));
}

static bool illegal_interrupts(uint64_t efr, const uint64_t dte[4])
{
    const uint64_t guest = efr & NW_AMDVI_EFR_GT ? 0 : DTE_W2_GUEST;
    return (dte[2] & (DTE_W2_RESERVED | guest)) || (dte[3] & DTE_W3_RESERVED) ||
           DTE_INTTABLEN(dte[2]) > INTTABLEN_MAX || DTE_INTCTL(dte[2]) == INTCTL_RESERVED;
}

unsigned nw_amdvi_dte_illegal(const struct nw_amdvi_capabilities *unit, const uint64_t word[4])
{
    const bool valid = word[0] & DTE_V;
    unsigned illegal = 0;
    if (valid && reserved_bits(unit->efr, word))
        illegal |= NW_AMDVI_DTE_RESERVED;
    if (valid && (word[0] & DTE_TV) && too_many_levels(unit->efr, word))
        illegal |= NW_AMDVI_DTE_LEVELS;
    if ((word[2] & DTE_IV) && illegal_interrupts(unit->efr, word))
        illegal |= NW_AMDVI_DTE_INTERRUPTS;
    return illegal;
}

/* ---- interrupt remapping entries: "Interrupt Remapping Tables" ---------------------------------- */

#define IRTE_INTTYPE(e) ((unsigned)nw_field(e, 4, 2))
#define IRTE_RQEOI      NW_BIT(5)
#define IRTE_DM         NW_BIT(6)
#define IRTE_GALOGINTR  NW_BIT(2) /* with GuestMode */
#define IRTE_ISRUN      NW_BIT(6)
enum { ARBITRATED = 1 }; /* the last interrupt type that is not reserved */

bool nw_amdvi_irte_illegal(bool wide, bool x2apic, const uint64_t entry[2])
{
    if (!wide)
        return (entry[0] & (nw_mask(31, 24) | NW_AMDVI_IRTE_GUEST_MODE)) || IRTE_INTTYPE(entry[0]) > ARBITRATED;
    const uint64_t wide0 = x2apic ? 0 : nw_mask(31, 16), wide1 = x2apic ? 0 : nw_mask(63, 56); /* of Destination */
    if (entry[0] & NW_AMDVI_IRTE_GUEST_MODE)
        return (entry[0] & (nw_mask(5, 3) | wide0)) || (entry[1] & (nw_mask(11, 8) | nw_mask(55, 52) | wide1));
    return (entry[0] & (nw_mask(63, 32) | wide0)) || (entry[1] & (nw_mask(55, 8) | wide1)) ||
           IRTE_INTTYPE(entry[0]) > ARBITRATED;
}

void nw_amdvi_irte_decode(bool wide, const uint64_t entry[2], struct nw_amdvi_interrupt *out)
{
    const uint64_t e = entry[0];
    out->form = NW_AMDVI_INTERRUPT_REMAPPED;
    out->destination = (uint32_t)nw_field(e, 15, 8);
    out->vector = (uint8_t)nw_field(e, 23, 16);
    if (wide) {
        out->destination = (uint32_t)(nw_field(e, 31, 8) | nw_field(entry[1], 63, 56) << 24);
        out->vector = (uint8_t)entry[1];
        if (e & NW_AMDVI_IRTE_GUEST_MODE) {
            out->form = NW_AMDVI_INTERRUPT_GUEST;
            out->backing_page = entry[1] & nw_mask(51, 12);
            out->tag = (uint32_t)(e >> 32);
            out->running = e & IRTE_ISRUN;
            out->logs = e & IRTE_GALOGINTR;
            return;
        }
    }
    out->logical = e & IRTE_DM;
    out->request_eoi = e & IRTE_RQEOI;
    out->delivery_mode = (uint8_t)IRTE_INTTYPE(e);
}

/* ---- commands: chapter "Commands" --------------------------------------------------------------- */

/* Bits that have to be zero, in both words; all ones: there is no such command. */
static const uint64_t *reserved_of(unsigned opcode)
{
    static const uint64_t none[2] = { 0, UINT64_MAX };
    static const uint64_t reserved[][2] = {
        [NW_AMDVI_COMPLETION_WAIT] = { UINT64_C(0x0ff0000000000000), 0 },
        [NW_AMDVI_INVALIDATE_DEVTAB_ENTRY] = { UINT64_C(0x0fffffffffff0000), UINT64_MAX },
        [NW_AMDVI_INVALIDATE_IOMMU_PAGES] = { UINT64_C(0x0fff0000fff00000), 0xff8 },
        [NW_AMDVI_INVALIDATE_IOTLB_PAGES] = { 0, 0xfca },
        [NW_AMDVI_INVALIDATE_INTERRUPT_TABLE] = { UINT64_C(0x0fffffffffff0000), UINT64_MAX },
        [NW_AMDVI_COMPLETE_PPR_REQUEST] = { UINT64_C(0x0ff00000ffff0000), UINT64_C(0xffff0000fffffffb) },
        [NW_AMDVI_INVALIDATE_IOMMU_ALL] = { UINT64_C(0x0fffffffffffffff), UINT64_MAX },
    };
    return opcode < NW_ARRAY_LEN(reserved) ? reserved[opcode] : none;
}

static bool supported(const struct nw_amdvi_capabilities *unit, bool remote_iotlbs, const uint64_t word[2])
{
    const bool gn = word[1] & NW_BIT(2), guests = unit->efr & NW_AMDVI_EFR_GT;
    switch (nw_amdvi_opcode(word)) {
    case NW_AMDVI_COMPLETION_WAIT:
    case NW_AMDVI_INVALIDATE_DEVTAB_ENTRY:
    case NW_AMDVI_INVALIDATE_INTERRUPT_TABLE: return true;
    case NW_AMDVI_INVALIDATE_IOMMU_PAGES: return guests || !gn;
    case NW_AMDVI_INVALIDATE_IOTLB_PAGES: return remote_iotlbs && (guests || !gn);
    case NW_AMDVI_COMPLETE_PPR_REQUEST: return unit->efr & NW_AMDVI_EFR_PPR;
    case NW_AMDVI_INVALIDATE_IOMMU_ALL: return unit->efr & NW_AMDVI_EFR_IA;
    default: return false;
    }
}

bool nw_amdvi_command_legal(const struct nw_amdvi_capabilities *unit, bool remote_iotlbs, const uint64_t word[2])
{
    const uint64_t *reserved = reserved_of(nw_amdvi_opcode(word));
    return supported(unit, remote_iotlbs, word) && !(word[0] & reserved[0]) && !(word[1] & reserved[1]);
}
