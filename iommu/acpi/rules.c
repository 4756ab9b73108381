/* rules.c - the rules, as data. "Linux" is Linux 6.12: drivers/iommu/intel/dmar.c and drivers/iommu/amd/init.c; "Xen" is
 * xen/drivers/passthrough. What an operating system does is named where the specification only says what is right. */
#include "check_internal.h"
#include <strings.h>

#define ERROR   NW_IOMMU_ERROR
#define WARNING NW_IOMMU_WARNING
#define INFO    NW_IOMMU_INFO

#define VTD   "Intel VT-d specification, chapter \"BIOS Considerations\", "
#define AMDVI "AMD IOMMU specification, chapter \"I/O Virtualization ACPI Table\", "
#define HDR   "ACPI specification, \"System Description Table Header\""

const struct nw_iommu_rule nw_iommu_rules[] = {
    [T01] = { "T01", "Header does not fit the table", ERROR,
              "The bytes of the table do not add up to 0 modulo 256, or its header gives another length than the table "
              "has.",
              "The table was damaged, edited or copied in part. Linux refuses an IVRS whose sum is wrong.", HDR,
              "Take the copy anew, as a binary (acpidump -b, or /sys/firmware/acpi/tables). If it is the same again, "
              "the "
              "firmware is wrong: update it." },
    [T02] = { "T02", "Structure does not fit its place", ERROR,
              "A structure, device scope or device entry has a length of zero, less than its fixed part, or reaches "
              "beyond "
              "what contains it; or bytes are left that can hold none.",
              "Operating systems give up the whole table, or everything behind the place, and run without remapping.",
              VTD "\"Remapping Structure Types\"; " AMDVI "\"I/O Virtualization Reporting Structure\"; Linux, "
                  "dmar_walk_remapping_entries",
              "Correct the length in the firmware's table; what is behind it was not judged." },
    [T03] = { "T03", "Structures out of order", WARNING, "Remapping structures are not in rising order of their types.",
              "The specification asks for the order so that software may rely on it; most parsers do not.",
              VTD "\"Remapping Structure Types\"",
              "Put the structures in order: DRHD, RMRR, ATSR, RHSA, ANDD, SATC, SIDP." },
    [T04] = { "T04", "Structure of unknown type", INFO,
              "The table has a structure, device scope or device entry of a type that is not known here.",
              "Software skips what it does not know; what the structure asks for is not done.",
              VTD "\"Remapping Structure Types\"; " AMDVI "\"I/O Virtualization Reporting Structure\"",
              "Nothing, unless the vendor documents the type." },
    [T05] = { "T05", "Reserved bits set", WARNING,
              "Bits that the specification reserves are set in the header or in flags.",
              "The table follows a newer revision than is known here, or was damaged.",
              VTD "\"DMA Remapping Reporting Structure\"",
              "Clear the bits, or read the newer revision for their meaning." },
    [T06] = { "T06", "Host address width does not cover the table", ERROR,
              "The host address width is below 12 bits, or a register window or reserved region lies above it.",
              "Table walks and register accesses lose address bits. Linux rejects a width below 12.",
              VTD "\"DMA Remapping Reporting Structure\"; Linux, parse_dmar_table",
              "Report the processor's physical address width, minus 1, in the header." },
    [D01] = { "D01", "No remapping unit", ERROR, "A DMAR table without a DRHD structure.",
              "Nothing is remapped: every device reaches all memory.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"",
              "Enable VT-d in the firmware's settings, or have the firmware report its units." },
    [D02] = { "D02", "Register base unusable", ERROR, "The register base of a unit is 0 or not aligned to 4 KiB.",
              "The unit cannot be programmed. Linux ignores the whole table.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"; Linux, dmar_validate_one_drhd",
              "Report the base that the chipset decodes." },
    [D04] = { "D04", "Register windows overlap", ERROR, "Two units have the same or overlapping register windows.",
              "One unit is programmed twice and the other never, so its devices stay untranslated.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"; Linux, dmar_find_dmaru",
              "Give each unit its own base." },
    [D05] = { "D05", "Two catch-all units in one segment", ERROR,
              "More than one DRHD of a PCI segment has INCLUDE_PCI_ALL.",
              "It is not defined which unit a device without scope is behind. Xen disables VT-d.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"; Xen, vtd/dmar.c",
              "Set INCLUDE_PCI_ALL in one unit only; list the devices of the others." },
    [D06] = { "D06", "Catch-all unit is not the last", WARNING,
              "A DRHD with INCLUDE_PCI_ALL stands before another DRHD of its segment.",
              "Software that takes the first unit that matches picks the catch-all for devices of the later unit.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"", "Move it behind the segment's other units." },
    [D08] = { "D08", "Device behind two units", ERROR,
              "Device scopes of two DRHDs of one segment name the same device.",
              "The first match is programmed; the device's requests fault in the other unit.",
              VTD "\"Device Scope Structure\"", "Name the device only in the unit that it is behind." },
    [D12] = { "D12", "Unit without devices", WARNING, "A DRHD has neither device scopes nor INCLUDE_PCI_ALL.",
              "The unit owns nothing: a remnant, or its devices were forgotten and fall to another unit.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"", "List its devices or drop the structure." },
    [D16] = { "D16", "Proximity structures and units do not match", WARNING,
              "An RHSA names a register base that no DRHD has, or only some units have an RHSA.",
              "Tables of the unit may be placed on a distant node: slower walks.",
              VTD "\"Remapping Hardware Static Affinity Structure\"; Linux, dmar_parse_one_rhsa",
              "Report one RHSA for each DRHD, with its base, or none." },
    [D17] = { "D17", "No catch-all unit in a segment", INFO, "No DRHD of a PCI segment has INCLUDE_PCI_ALL.",
              "Devices that no scope names, such as ones plugged in later, are not translated: they reach all memory.",
              VTD "\"DMA Remapping Hardware Unit Definition Structure\"",
              "Compare the scopes with the machine's devices before relying on isolation." },
    [R01] = { "R01", "Reserved region not made of pages", ERROR,
              "An RMRR's base or its limit plus 1 is not aligned to 4 KiB, or its limit is not above its base.",
              "The mapping reaches into neighbouring memory, or the region is refused.",
              VTD "\"Reserved Memory Region Reporting Structure\"; Linux, rmrr_sanity_check",
              "Report whole pages; the limit is the last byte." },
    [R06] = { "R06", "Graphics unit without reserved region", WARNING,
              "A unit has 00:02.0, where integrated graphics is, as its only device, and no RMRR names that device.",
              "Once translation is on, the display's fetches from stolen memory fault until the driver is loaded.",
              VTD "\"Reserved Memory Region Reporting Structure\"",
              "Report the stolen memory as an RMRR for 00:02.0, unless graphics is unused." },
    [R07] = { "R07", "Reserved regions overlap", WARNING, "Two RMRRs have memory in common.",
              "Devices of both share the pages: one can read and change what the other keeps there. Xen rejects such "
              "tables.",
              VTD "\"Reserved Memory Region Reporting Structure\"; Xen, vtd/dmar.c",
              "Keep the regions apart, or name all devices in one." },
    [R08] = { "R08", "Very large reserved region", WARNING, "An RMRR is larger than 256 MiB.",
              "The devices keep access to all of it, whatever lies there: a large hole in their isolation.",
              VTD "\"Reserved Memory Region Reporting Structure\"", "Report only what the devices use." },
    [R09] = { "R09", "Reserved region over registers or interrupts", ERROR,
              "An RMRR touches FEE00000-FEEFFFFF or the register window of a unit.",
              "A device can program the remapping unit; or the region cannot work, because requests to that range are "
              "interrupts.",
              VTD "\"Reserved Memory Region Reporting Structure\"; chapter \"Interrupt Remapping\"",
              "Report memory only." },
    [R10] = { "R10", "Reserved region for nobody", WARNING,
              "An RMRR has no device scope, or no unit exists in its segment.", "The region is never mapped.",
              VTD "\"Reserved Memory Region Reporting Structure\"", "Name the devices that use it, or drop it." },
    [A01] = { "A01", "ATSR names other than root ports", WARNING,
              "An ATSR has a scope that is no bridge, or device scopes besides ALL_PORTS.",
              "Address translation requests are let through, or not, on other ports than meant.",
              VTD "\"Root Port ATS Capability Reporting Structure\"",
              "Name root ports as bridges; with ALL_PORTS name none." },
    [A04] = { "A04", "ACPI device not paired", WARNING,
              "An ANDD has no NUL in its name, a number used twice, or no device scope with its number; or a scope of "
              "the type "
              "ACPI device has a number without ANDD.",
              "A DMA master that only ACPI knows is not translated, or its requests fault.",
              VTD "\"ACPI Name-space Device Declaration Structure\"; Linux, dmar_parse_one_andd",
              "Give each device one ANDD and one scope with the same number." },
    [I01] = { "I01", "Interrupt remapping not declared", WARNING, "INTR_REMAP is clear in the DMAR header.",
              "Interrupts of devices are not checked: a guest with a device of its own can raise any vector of the "
              "host. VFIO "
              "refuses to assign devices unless told that this is accepted.",
              VTD "\"DMA Remapping Reporting Structure\"; chapter \"Interrupt Remapping\"",
              "Update the firmware or enable interrupt remapping in it; do not give devices to guests that are not "
              "trusted." },
    [I04] = { "I04", "Interrupt controllers share an id", WARNING,
              "Two units' scopes give one I/O APIC id, or two I/O APICs have the same source id.",
              "Remapping entries are made for the wrong source: interrupts are blocked (fault 26h), or one controller "
              "can "
              "raise the other's.",
              VTD "\"Device Scope Structure\"", "Give each I/O APIC its own id and source id." },
    [I11] = { "I11", "Firmware asks not to use x2APIC", INFO, "X2APIC_OPT_OUT is set in the DMAR header.",
              "Interrupts cannot reach processors with APIC ids above 254. Common in laptops, where it costs nothing.",
              VTD "\"DMA Remapping Reporting Structure\"; Linux, dmar_x2apic_optout",
              "On machines with more than 255 logical processors enable x2APIC in the firmware's settings." },
    [V01] = { "V01", "Register base unusable", ERROR,
              "An IVHD's register base is 0 or not aligned to 16 KiB, or windows of two units overlap.",
              "The unit cannot be programmed, so its devices are not translated.",
              AMDVI "\"I/O Virtualization Hardware Definition (IVHD) Block\"",
              "Report the base that the unit decodes." },
    [V02] = { "V02", "Range of devices not well formed", ERROR,
              "A start of a range is not followed by its end, an end has no start, or comes before it.",
              "Software drops the block or maps the wrong devices. Xen refuses the table.",
              AMDVI "\"IVHD Device Entries\"; Xen, amd/iommu_acpi.c", "Follow each start by its end." },
    [V03] = { "V03", "Blocks disagree about a unit", ERROR,
              "IVHD blocks of different type for one unit give different register bases or capability offsets, or put "
              "it in "
              "different segments.",
              "Which one is believed depends on the operating system.",
              AMDVI "\"I/O Virtualization Hardware Definition (IVHD) Block\"; Linux, get_highest_supported_ivhd_type",
              "Repeat the same values in the blocks 10h, 11h and 40h." },
    [V04] = { "V04", "No I/O APIC of the southbridge", ERROR, "No special entry names an I/O APIC at 00:14.0.",
              "Linux turns interrupt remapping off. Devices can then raise any vector of the host.",
              AMDVI "\"IVHD Device Entries\"; Linux, check_ioapic_information",
              "Update the firmware; on Linux ivrs_ioapic= can supply the entry." },
    [V05] = { "V05", "Special or ACPI device malformed", WARNING,
              "Two special entries give one handle to different devices, a variety is neither I/O APIC nor HPET, or a "
              "hardware "
              "id or unique id is not of the form that ACPI defines.",
              "The device is not found: its requests or interrupts are blocked, or are not remapped.",
              AMDVI "\"IVHD Device Entries\"; ACPI specification, \"_HID (Hardware ID)\"", "Correct the entry." },
    [V07] = { "V07", "Memory block unusable", ERROR,
              "An IVMD is empty or not made of 4 KiB pages, is for unity mapping and exclusion at once, has a range of "
              "devices that "
              "ends before it starts, or covers addresses of interrupts or HyperTransport.",
              "Exclusion leaves a hole without translation; a wrong one is larger, or elsewhere, than meant.",
              AMDVI "\"I/O Virtualization Memory Definition (IVMD) Block\"; Xen, parse_ivmd_block",
              "Correct the block." },
    [V08] = { "V08", "Exclusion range", WARNING,
              "An IVMD asks for exclusion from translation rather than for a unity mapping.",
              "The devices reach this memory past every table. Linux maps it for reading and writing instead.",
              AMDVI "\"I/O Virtualization Memory Definition (IVMD) Block\"; Linux, init_unity_map_range",
              "Do not give these devices to guests, unless the memory is theirs to read and write." },
    [V09] = { "V09", "Feature images differ", WARNING,
              "The images of the extended feature register differ between blocks of the table.",
              "Operating systems use what all units have in common: a feature that one lacks is off in all.",
              AMDVI "\"I/O Virtualization Hardware Definition (IVHD) Block\"; Linux, get_global_efr",
              "Have the firmware report, and enable, the same features for every unit." },
    [V18] = { "V18", "No remapping unit", ERROR, "An IVRS table without an IVHD block.",
              "Nothing is remapped: every device reaches all memory.",
              AMDVI "\"I/O Virtualization Reporting Structure\"",
              "Enable the IOMMU in the firmware's settings, or have the firmware report it." },
};
const size_t nw_iommu_rule_count = RULES;
_Static_assert(sizeof nw_iommu_rules / sizeof *nw_iommu_rules == RULES, "every rule has a row");

const struct nw_iommu_rule *nw_iommu_rule_find(const char *id)
{
    for (size_t i = 0; i < RULES; i++)
        if (!strcasecmp(nw_iommu_rules[i].id, id))
            return &nw_iommu_rules[i];
    return NULL;
}
