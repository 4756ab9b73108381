/* What to change after a fault, reason by reason. The conditions are those of VT-d, "Non-Recoverable Fault Reasons and
 * Encodings" for DMA, and "Interrupt Remapping Fault Conditions". */
#include <nestwalk/iommu/vtd_watch.h>

static const char *const remedies[NW_VTD_FAULT_REASONS] = {
    [0x01] = "Put a root entry with P set for the request's bus into the root table, or check that RTADDR is the "
             "register's value.",
    [0x02] = "Set P in the context entry of the source: no driver or VMM has attached the device to a domain.",
    [0x03] = "Give the context entry an AW that SAGAW has, a TT that the unit supports, and a second-stage root that "
             "lies in memory.",
    [0x04] = "Map addresses within the width that AW and MGAW allow, or give the domain a wider AW.",
    [0x05] = "Set W in every second-stage entry on the way to the page, and map the page if it is not mapped at all.",
    [0x06] = "Set R in every second-stage entry on the way to the page, and map the page if it is not mapped at all.",
    [0x07] = "Point the second-stage entry above it to a table that lies in memory.",
    [0x08] = "Point RTADDR to a root table that lies in memory.",
    [0x09] = "Point the root entry to a context table that lies in memory.",
    [0x0a] =
        "Clear bits 11:1, the address bits at and above the host address width, and the upper word of the root entry.",
    [0x0b] = "Clear the reserved bits of the context entry: 11:4 and addresses beyond the host address width in word "
             "0, 7 and 63:24 in word 1.",
    [0x0c] = "Clear the reserved bits of the paging entry: those a unit without large pages, SC or DT reserves, and "
             "addresses beyond the host address width or not aligned to the page.",
    [0x0d] =
        "Set TT of the context entry to 01 when the device is to use its device TLB, or turn ATS off in the device.",
    [0x0e] = "Map the address to memory outside 0xfee00000 to 0xfeefffff.",
    [0x20] = "Clear the reserved fields of the interrupt message.",
    [0x21] = "Use an index within the size that IRTA gives the interrupt remapping table, or enlarge the table.",
    [0x22] = "Set P in the interrupt remapping entry of this index.",
    [0x23] = "Point IRTA to a table that lies in memory.",
    [0x24] = "Clear the reserved bits of the interrupt remapping entry.",
    [0x25] = "Give the device an interrupt message in remappable format, or permit compatibility format (GCMD.CFI, "
             "EIME clear).",
    [0x26] = "Let SID, SQ and SVT of the interrupt remapping entry name the source that sends the interrupt.",
    [0x27] = "Point the interrupt remapping entry to a posted-interrupt descriptor that lies in memory.",
    [0x28] = "Clear the reserved bits of the posted-interrupt descriptor.",
    [0x30] = "Set the table mode (RTADDR bits 11:10) to 00, or to 01 in a unit with ECAP.SMTS; mode 11 refuses all "
             "requests.",
    [0x31] = "Send the request without PASID, or use scalable mode.",
    [0x32] = "Turn page requests off in the device, or use scalable mode.",
    [0x38] = "Point RTADDR to a root table that lies in memory.",
    [0x39] = "Set P in the half of the root entry that covers the device: the lower for devices 0 to 15, the upper for "
             "16 to 31.",
    [0x3a] = "Clear bits 11:1 of the root entry's half, and the address bits at and above the host address width.",
    [0x40] = "Point the root entry to a context table that lies in memory.",
    [0x41] = "Set P in the scalable context entry of the source: no driver or VMM has attached the device.",
    [0x42] = "Clear the reserved bits of the scalable context entry, and DTE, PASIDE and PRE where the unit lacks the "
             "capability.",
    [0x43] = "Give the scalable context entry only what the unit supports.",
    [0x44] = "Set DTE in the context entry when the device is to use its device TLB, or turn ATS off in the device.",
    [0x45] = "Set PASIDE in the context entry, or send the request without PASID.",
    [0x46] = "Enlarge the PASID directory (PDTS of the context entry), or use a smaller PASID.",
    [0x47] = "Set PRE in the context entry, or turn page requests off in the device.",
    [0x48] = "Enlarge the PASID directory (PDTS of the context entry), or set RID_PASID to a smaller PASID.",
    [0x50] = "Point the context entry to a PASID directory that lies in memory.",
    [0x51] = "Set P in the PASID-directory entry: no PASID of this group of 64 has been set up.",
    [0x52] = "Clear bits 11:2 of the PASID-directory entry, and the address bits at and above the host address width.",
    [0x58] = "Point the PASID-directory entry to a PASID table that lies in memory.",
    [0x59] = "Set P in the PASID-table entry: the PASID has not been set up for the device, or has been torn down.",
    [0x5a] = "Clear the reserved bits of the PASID-table entry, and the controls whose capability the unit lacks.",
    [0x5b] = "Give the PASID-table entry a PGTT, AW and FSPM that the unit supports.",
    [0x5c] = "Set ERE in the PASID-table entry of a unit with ECAP.ERS, or do not request execution.",
    [0x5d] = "Set SRE in the PASID-table entry of a unit with ECAP.SRS, or send the request without privilege.",
    [0x70] = "Point the first-stage entry above it to a table that lies in memory.",
    [0x71] = "Map the address: set P in the first-stage entry.",
    [0x72] = "Clear the reserved bits of the first-stage entry: among them PS where the unit has no such page, and "
             "addresses beyond the host address width.",
    [0x73] = "Point FSPTPTR of the PASID-table entry to a table that lies in memory.",
    [0x74] = "Keep first-stage tables below the width of the second stage, or give the second stage a wider AW.",
    [0x75] = "Set R in every second-stage entry on the way to the first-stage root table.",
    [0x76] = "Set R in every second-stage entry on the way to the first-stage table.",
    [0x77] = "Set W in every second-stage entry on the way to the first-stage table, or set the accessed and dirty "
             "flags beforehand.",
    [0x78] = "Point the second-stage entry above it to a table that lies in memory.",
    [0x79] = "Map the address: set R, W or both in every second-stage entry on the way to the page.",
    [0x7a] = "Clear the reserved bits of the second-stage entry: those a unit without large pages, SC or DT reserves, "
             "and addresses beyond the host address width or not aligned to the page.",
    [0x7b] = "Point SSPTPTR of the PASID-table entry to a table that lies in memory.",
    [0x7c] = "Set PWSNP in the PASID-table entry, or set the accessed and dirty flags beforehand.",
    [0x80] = "Use an address whose upper bits all equal the top bit of the first stage's width.",
    [0x81] = "Set U in every first-stage entry on the way to the page, or send a privileged request.",
    [0x82] = "Clear XD in the first-stage entries on the way to the page, or do not request execution.",
    [0x83] = "Use an address below the host address width: nothing translates it.",
    [0x84] = "Use an address within the width that AW and MGAW allow, or give the second stage a wider AW.",
    [0x85] = "Set the write permission in every entry on the way to the page, of both stages where they are nested.",
    [0x86] = "Set R in every second-stage entry on the way to the page.",
    [0x87] = "Map the address to memory outside 0xfee00000 to 0xfeefffff.",
    [0x90] = "Set PWSNP in the PASID-table entry, or set the accessed and dirty flags beforehand.",
    [0x91] = "Keep first-stage tables in memory that the unit can write with atomic operations.",
};

const char *nw_vtd_fault_remedy(unsigned reason)
{
    if (reason == NW_VTD_PROTECTED_MEMORY)
        return "Use memory outside the protected regions, or clear EPM of the Protected Memory Enable Register.";
    return reason < NW_VTD_FAULT_REASONS ? remedies[reason] : NULL;
}
