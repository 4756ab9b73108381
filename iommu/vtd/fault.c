/* Fault reasons: VT-d, "Non-Recoverable Fault Reasons and Encodings" for DMA, "Interrupt Remapping Fault Conditions". */
#include <nestwalk/iommu/vtd.h>

enum { NEVER, QUALIFIED };
static const struct reason {
    const char *text;
    uint8_t qualified;
} reasons[NW_VTD_FAULT_REASONS] = {
    /* Legacy mode */
    [0x01] = { "root entry is not present", NEVER },
    [0x02] = { "context entry is not present", QUALIFIED },
    [0x03] = { "context entry is invalid", QUALIFIED },
    [0x04] = { "address is beyond the width of the domain", QUALIFIED },
    [0x05] = { "paging entry lacks write permission", QUALIFIED },
    [0x06] = { "paging entry lacks read permission", QUALIFIED },
    [0x07] = { "paging entry cannot be read", QUALIFIED },
    [0x08] = { "root entry cannot be read", NEVER },
    [0x09] = { "context entry cannot be read", NEVER },
    [0x0a] = { "root entry has reserved bits set", NEVER },
    [0x0b] = { "context entry has reserved bits set", QUALIFIED },
    [0x0c] = { "paging entry has reserved bits set", QUALIFIED },
    [0x0d] = { "context entry blocks translation and translated requests", QUALIFIED },
    [0x0e] = { "translation leads into the interrupt address range", QUALIFIED },
    /* Interrupt remapping */
    [0x20] = { "interrupt request has reserved fields set", NEVER },
    [0x21] = { "interrupt index is beyond the table", NEVER },
    [0x22] = { "interrupt entry is not present", QUALIFIED },
    [0x23] = { "interrupt entry cannot be read", NEVER },
    [0x24] = { "interrupt entry has reserved bits set", QUALIFIED },
    [0x25] = { "compatibility-format interrupt is blocked", NEVER },
    [0x26] = { "interrupt source is not the one allowed", QUALIFIED },
    [0x27] = { "posted-interrupt descriptor cannot be read", QUALIFIED },
    [0x28] = { "posted-interrupt descriptor has reserved bits set", QUALIFIED },
    /* Scalable mode, and requests with PASID */
    [0x30] = { "root table address register is invalid", NEVER },
    [0x31] = { "request with PASID in legacy mode", NEVER },
    [0x32] = { "page request in legacy mode", NEVER },
    [0x38] = { "scalable root entry cannot be read", NEVER },
    [0x39] = { "scalable root entry is not present", NEVER },
    [0x3a] = { "scalable root entry has reserved bits set", NEVER },
    [0x40] = { "scalable context entry cannot be read", NEVER },
    [0x41] = { "scalable context entry is not present", QUALIFIED },
    [0x42] = { "scalable context entry has reserved bits set", QUALIFIED },
    [0x43] = { "scalable context entry is invalid", QUALIFIED },
    [0x44] = { "device TLB is not enabled in the context entry", QUALIFIED },
    [0x45] = { "requests with PASID are not enabled in the context entry", QUALIFIED },
    [0x46] = { "PASID is beyond the PASID directory", QUALIFIED },
    [0x47] = { "page requests are not enabled in the context entry", QUALIFIED },
    [0x48] = { "RID_PASID of the context entry is beyond the PASID directory", QUALIFIED },
    [0x50] = { "PASID-directory entry cannot be read", NEVER },
    [0x51] = { "PASID-directory entry is not present", QUALIFIED },
    [0x52] = { "PASID-directory entry has reserved bits set", QUALIFIED },
    [0x58] = { "PASID-table entry cannot be read", NEVER },
    [0x59] = { "PASID-table entry is not present", QUALIFIED },
    [0x5a] = { "PASID-table entry has reserved bits set", QUALIFIED },
    [0x5b] = { "PASID-table entry is invalid", QUALIFIED },
    [0x5c] = { "execute requests are not enabled in the PASID-table entry", QUALIFIED },
    [0x5d] = { "privileged requests are not enabled in the PASID-table entry", QUALIFIED },
    [0x70] = { "first-stage entry cannot be read", QUALIFIED },
    [0x71] = { "first-stage entry is not present", QUALIFIED },
    [0x72] = { "first-stage entry has reserved bits set", QUALIFIED },
    [0x73] = { "first-stage root table cannot be read", QUALIFIED },
    [0x74] = { "address of a first-stage entry is beyond the second stage", QUALIFIED },
    [0x75] = { "second stage forbids reading the first-stage root table", QUALIFIED },
    [0x76] = { "second stage forbids reading a first-stage entry", QUALIFIED },
    [0x77] = { "second stage forbids setting flags in a first-stage entry", QUALIFIED },
    [0x78] = { "second-stage entry cannot be read", QUALIFIED },
    [0x79] = { "second-stage entry permits neither reads nor writes", QUALIFIED },
    [0x7a] = { "second-stage entry has reserved bits set", QUALIFIED },
    [0x7b] = { "second-stage root table cannot be read", QUALIFIED },
    [0x7c] = { "second-stage flags need an update, and the walk does not snoop", QUALIFIED },
    [0x80] = { "address is not canonical", QUALIFIED },
    [0x81] = { "first-stage entry is not for user requests", QUALIFIED },
    [0x82] = { "first-stage entry lacks execute permission", QUALIFIED },
    [0x83] = { "address is beyond the host address width", QUALIFIED },
    [0x84] = { "address is beyond the width of the second stage", QUALIFIED },
    [0x85] = { "entry lacks write permission", QUALIFIED },
    [0x86] = { "entry lacks read permission", QUALIFIED },
    [0x87] = { "translation leads into the interrupt address range (scalable mode)", QUALIFIED },
    [0x90] = { "first-stage flags need an update, and the walk does not snoop", QUALIFIED },
    [0x91] = { "first-stage flags could not be updated", QUALIFIED },
};

const char *nw_vtd_fault_text(unsigned reason)
{
    if (reason == NW_VTD_PROTECTED_MEMORY)
        return "address lies in a protected memory region";
    return reason < NW_VTD_FAULT_REASONS ? reasons[reason].text : NULL;
}

bool nw_vtd_fault_qualified(unsigned reason)
{
    return reason < NW_VTD_FAULT_REASONS && reasons[reason].qualified == QUALIFIED;
}
