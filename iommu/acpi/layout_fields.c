/* layout_fields.c - the fields of every part of both tables, as data. Names are the specifications', shortened.
 * Sources: ACPI specification, "System Description Table Header"; Intel VT-d architecture specification, chapter "BIOS Considerations";
 * AMD I/O Virtualization Technology (IOMMU) specification, chapter "I/O Virtualization ACPI Table". */
#include "layout_fields.h"

#define H NW_ACPI_HEX
#define D NW_ACPI_DECIMAL
#define R NW_ACPI_RESERVED

typedef struct nw_acpi_field_row row;
typedef struct nw_acpi_bits bits;
typedef struct nw_acpi_choice choice;

/* ---- DMAR ------------------------------------------------------------------------------------------ */

#define TABLE_HEADER                                                                                                   \
    { "signature", 4, NW_ACPI_TEXT, 0, 0 }, { "length", 4, D, 0, 0 }, { "revision", 1, D, 0, 0 },                      \
        { "checksum", 1, H, 0, 0 }, { "OEM id", 6, NW_ACPI_TEXT, 0, 0 }, { "OEM table id", 8, NW_ACPI_TEXT, 0, 0 },    \
        { "OEM revision", 4, H, 0, 0 }, { "creator id", 4, NW_ACPI_TEXT, 0, 0 },                                       \
    {                                                                                                                  \
        "creator revision", 4, H, 0, 0                                                                                 \
    }
#define END                                                                                                            \
    {                                                                                                                  \
        0                                                                                                              \
    }

static const bits dmar_flags[] = {
    { "INTR_REMAP", 0, 0 }, { "X2APIC_OPT_OUT", 1, 1 }, { "DMA_CTRL_PLATFORM_OPT_IN", 2, 2 }, END
};
static const bits drhd_flags[] = { { "INCLUDE_PCI_ALL", 0, 0 }, END };
static const bits atsr_flags[] = { { "ALL_PORTS", 0, 0 }, END };
static const bits satc_flags[] = { { "ATC_REQUIRED", 0, 0 }, END };
static const bits scope_flags[] = { { "REQ_WO_PASID_NESTED_NOTALLOWED", 0, 0 },
                                    { "REQ_WO_PASID_PWSNP_NOTALLOWED", 1, 1 },
                                    { "REQ_WO_PASID_PGSNP_NOTALLOWED", 2, 2 },
                                    { "ATC_HARDENED", 3, 3 },
                                    { "ATC_REQUIRED", 4, 4 },
                                    END };
static const choice dmar_types[] = { { "DRHD", NW_DMAR_DRHD }, { "RMRR", NW_DMAR_RMRR },
                                     { "ATSR", NW_DMAR_ATSR }, { "RHSA", NW_DMAR_RHSA },
                                     { "ANDD", NW_DMAR_ANDD }, { "SATC", NW_DMAR_SATC },
                                     { "SIDP", NW_DMAR_SIDP }, END };
static const choice scope_types[] = { { "PCI endpoint", NW_DMAR_SCOPE_ENDPOINT },
                                      { "PCI sub-hierarchy", NW_DMAR_SCOPE_BRIDGE },
                                      { "I/O APIC", NW_DMAR_SCOPE_IOAPIC },
                                      { "HPET", NW_DMAR_SCOPE_HPET },
                                      { "ACPI namespace device", NW_DMAR_SCOPE_ANDD },
                                      END };

const row nw_acpi_dmar_header[] = { TABLE_HEADER,
                                    { "host address width", 1, NW_ACPI_WIDTH, 0, 0 },
                                    { "flags", 1, H, dmar_flags, 0 },
                                    { "reserved", 10, R, 0, 0 },
                                    END };

#define STRUCTURE_HEADER                                                                                               \
    { "type", 2, D, 0, dmar_types }, { "length", 2, D, 0, 0 }
static const row drhd[] = {
    STRUCTURE_HEADER,          { "flags", 1, H, drhd_flags, 0 }, { "size", 1, NW_ACPI_PAGES, 0, 0 },
    { "segment", 2, D, 0, 0 }, { "register base", 8, H, 0, 0 },  END
};
static const row rmrr[] = { STRUCTURE_HEADER,       { "reserved", 2, R, 0, 0 }, { "segment", 2, D, 0, 0 },
                            { "base", 8, H, 0, 0 }, { "limit", 8, H, 0, 0 },    END };
static const row atsr[] = {
    STRUCTURE_HEADER, { "flags", 1, H, atsr_flags, 0 }, { "reserved", 1, R, 0, 0 }, { "segment", 2, D, 0, 0 }, END
};
static const row rhsa[] = { STRUCTURE_HEADER,
                            { "reserved", 4, R, 0, 0 },
                            { "register base", 8, H, 0, 0 },
                            { "proximity domain", 4, D, 0, 0 },
                            END };
static const row andd[] = { STRUCTURE_HEADER, { "reserved", 3, R, 0, 0 }, { "ACPI device number", 1, D, 0, 0 }, END };
static const row satc[] = {
    STRUCTURE_HEADER, { "flags", 1, H, satc_flags, 0 }, { "reserved", 1, R, 0, 0 }, { "segment", 2, D, 0, 0 }, END
};
static const row sidp[] = { STRUCTURE_HEADER, { "reserved", 2, R, 0, 0 }, { "segment", 2, D, 0, 0 }, END };
static const row unknown_structure[] = { STRUCTURE_HEADER, END };

#define SCOPE_TAIL { "reserved", 1, R, 0, 0 }, { "enumeration id", 1, D, 0, 0 }, { "start bus", 1, H, 0, 0 }, END
const row nw_acpi_dmar_scope[] = {
    { "type", 1, D, 0, scope_types }, { "length", 1, D, 0, 0 }, { "flags", 1, R, 0, 0 }, SCOPE_TAIL
};
const row nw_acpi_dmar_scope_with_flags[] = {
    { "type", 1, D, 0, scope_types }, { "length", 1, D, 0, 0 }, { "flags", 1, H, scope_flags, 0 }, SCOPE_TAIL
};

const row *nw_acpi_dmar_fields(uint16_t type)
{
    static const row *const of[NW_DMAR_TYPES] = {
        [NW_DMAR_DRHD] = drhd, [NW_DMAR_RMRR] = rmrr, [NW_DMAR_ATSR] = atsr, [NW_DMAR_RHSA] = rhsa,
        [NW_DMAR_ANDD] = andd, [NW_DMAR_SATC] = satc, [NW_DMAR_SIDP] = sidp,
    };
    return type < NW_DMAR_TYPES ? of[type] : unknown_structure;
}

/* ---- IVRS ------------------------------------------------------------------------------------------ */

static const bits ivrs_info[] = { { "EFRSup", 0, 0 },
                                  { "DmaRemap", 1, 1 },
                                  { "GVASize", 5, 7 },
                                  { "PASize", 8, 14 },
                                  { "VASize", 15, 21 },
                                  { "HtAtsResv", 22, 22 },
                                  END };
static const bits ivhd_flags[] = { { "HtTunEn", 0, 0 }, { "PassPW", 1, 1 },   { "ResPassPW", 2, 2 },
                                   { "Isoc", 3, 3 },    { "IotlbSup", 4, 4 }, { "Coherent", 5, 5 },
                                   { "PreFSup", 6, 6 }, { "PPRSup", 7, 7 },   END };
static const bits ivhd_info[] = { { "MSInum", 0, 4 }, { "UnitID", 8, 12 }, END };
static const bits ivhd_features[] = { { "XTSup", 0, 0 },        { "NXSup", 1, 1 },
                                      { "GTSup", 2, 2 },        { "GLXSup", 3, 4 },
                                      { "IASup", 5, 5 },        { "GASup", 6, 6 },
                                      { "HESup", 7, 7 },        { "PASmax", 8, 12 },
                                      { "PNCounters", 13, 16 }, { "PNBanks", 17, 22 },
                                      { "MSInumPPR", 23, 27 },  { "GATS", 28, 29 },
                                      { "HATS", 30, 31 },       END };
static const bits ivhd_attributes[] = { { "PNCounters", 13, 16 }, { "PNBanks", 17, 22 }, { "MSInumPPR", 23, 27 }, END };
static const bits efr[] = { { "PreFSup", 0, 0 },
                            { "PPRSup", 1, 1 },
                            { "XTSup", 2, 2 },
                            { "NXSup", 3, 3 },
                            { "GTSup", 4, 4 },
                            { "IASup", 6, 6 },
                            { "GASup", 7, 7 },
                            { "HESup", 8, 8 },
                            { "PCSup", 9, 9 },
                            { "HATS", 10, 11 },
                            { "GATS", 12, 13 },
                            { "GLXSup", 14, 15 },
                            { "SmiFSup", 16, 17 },
                            { "GAMSup", 21, 23 },
                            { "PASmax", 32, 36 },
                            { "DevTblSegSup", 38, 39 },
                            { "GIOSup", 48, 48 },
                            { "HASup", 49, 49 },
                            { "EPHSup", 50, 50 },
                            { "HDSup", 52, 52 },
                            { "VIOMMUSup", 55, 55 },
                            { "SNPSup", 63, 63 },
                            END };
static const bits data_setting[] = { { "INITPass", 0, 0 },
                                     { "EIntPass", 1, 1 },
                                     { "NMIPass", 2, 2 },
                                     { "SysMgt", 4, 5 },
                                     { "Lint0Pass", 6, 6 },
                                     { "Lint1Pass", 7, 7 },
                                     END };
static const bits extended_setting[] = { { "AtsDisabled", 31, 31 }, END };
static const bits ivmd_flags[] = { { "Unity", 0, 0 }, { "IR", 1, 1 }, { "IW", 2, 2 }, { "ExclusionRange", 3, 3 }, END };

static const choice block_types[] = { { "IVHD", NW_IVHD_10 },
                                      { "IVHD with EFR image", NW_IVHD_11 },
                                      { "IVHD with EFR image and ACPI devices", NW_IVHD_40 },
                                      { "IVMD of all devices", NW_IVMD_ALL },
                                      { "IVMD of one device", NW_IVMD_ONE },
                                      { "IVMD of a range of devices", NW_IVMD_RANGE },
                                      END };
static const choice entry_types[] = { { "padding", NW_IVHD_PAD4 },
                                      { "all devices", NW_IVHD_ALL },
                                      { "one device", NW_IVHD_SELECT },
                                      { "start of a range", NW_IVHD_RANGE_START },
                                      { "end of a range", NW_IVHD_RANGE_END },
                                      { "padding", NW_IVHD_PAD8 },
                                      { "alias of one device", NW_IVHD_ALIAS_SELECT },
                                      { "alias of a range, start", NW_IVHD_ALIAS_START },
                                      { "one device, extended", NW_IVHD_EXT_SELECT },
                                      { "start of a range, extended", NW_IVHD_EXT_START },
                                      { "special device", NW_IVHD_SPECIAL },
                                      { "ACPI device", NW_IVHD_ACPI_HID },
                                      END };
static const choice varieties[] = { { "I/O APIC", NW_IVHD_IOAPIC }, { "HPET", NW_IVHD_HPET }, END };
static const choice uid_formats[] = { { "none", 0 }, { "number", 1 }, { "text", 2 }, { NULL, 0 } };

const row nw_acpi_ivrs_header[] = { TABLE_HEADER, { "IVinfo", 4, H, ivrs_info, 0 }, { "reserved", 8, R, 0, 0 }, END };

#define BLOCK_HEADER(flags)                                                                                            \
    { "type", 1, H, 0, block_types }, { "flags", 1, H, flags, 0 }, { "length", 2, D, 0, 0 }
#define IVHD_HEADER                                                                                                    \
    BLOCK_HEADER(ivhd_flags), { "device id", 2, NW_ACPI_DEVICE, 0, 0 }, { "capability offset", 2, H, 0, 0 },           \
        { "register base", 8, H, 0, 0 }, { "segment", 2, D, 0, 0 },                                                    \
    {                                                                                                                  \
        "IOMMU info", 2, H, ivhd_info, 0                                                                               \
    }

static const row ivhd_10[] = { IVHD_HEADER, { "feature reporting", 4, H, ivhd_features, 0 }, END };
static const row ivhd_11[] = { IVHD_HEADER,
                               { "attributes", 4, H, ivhd_attributes, 0 },
                               { "EFR image", 8, H, efr, 0 },
                               { "EFR2 image", 8, H, 0, 0 },
                               END };
static const row ivmd[] = { BLOCK_HEADER(ivmd_flags),
                            { "device id", 2, NW_ACPI_DEVICE, 0, 0 },
                            { "last device id", 2, NW_ACPI_DEVICE, 0, 0 }, /* "auxiliary data": of a range */
                            { "reserved", 8, R, 0, 0 },
                            { "start", 8, H, 0, 0 },
                            { "memory length", 8, H, 0, 0 },
                            END };
static const row unknown_block[] = { BLOCK_HEADER(NULL), END };
static const row unknown_block_of_device[] = { BLOCK_HEADER(NULL), { "device id", 2, NW_ACPI_DEVICE, 0, 0 }, END };

const row *nw_acpi_ivrs_fields(uint8_t type, uint16_t length)
{
    if (nw_ivrs_is_ivmd(type))
        return ivmd;
    if (!nw_ivrs_is_ivhd(type)) /* all that are known have a device there */
        return length < 6 ? unknown_block : unknown_block_of_device;
    return type == NW_IVHD_10 ? ivhd_10 : ivhd_11;
}

#define ENTRY_HEADER                                                                                                   \
    { "type", 1, H, 0, entry_types }, { "device id", 2, NW_ACPI_DEVICE, 0, 0 },                                        \
    {                                                                                                                  \
        "data setting", 1, H, data_setting, 0                                                                          \
    }
static const row entry[] = { ENTRY_HEADER, END };
static const row entry_padding[] = { ENTRY_HEADER, { "reserved", 4, R, 0, 0 }, END };
static const row entry_alias[] = { ENTRY_HEADER,
                                   { "reserved", 1, R, 0, 0 },
                                   { "source device id", 2, NW_ACPI_DEVICE, 0, 0 },
                                   { "reserved", 1, R, 0, 0 },
                                   END };
static const row entry_extended[] = { ENTRY_HEADER, { "extended data setting", 4, H, extended_setting, 0 }, END };
static const row entry_special[] = { ENTRY_HEADER,
                                     { "handle", 1, D, 0, 0 },
                                     { "source device id", 2, NW_ACPI_DEVICE, 0, 0 },
                                     { "variety", 1, D, 0, varieties },
                                     END };
static const row entry_acpi[] = { ENTRY_HEADER,
                                  { "hardware id", 8, NW_ACPI_TEXT, 0, 0 },
                                  { "compatible id", 8, NW_ACPI_TEXT, 0, 0 },
                                  { "unique id format", 1, D, 0, uid_formats },
                                  { "unique id length", 1, D, 0, 0 },
                                  END };

const row *nw_acpi_ivhd_fields(uint8_t type)
{
    switch (type) {
    case NW_IVHD_PAD8: return entry_padding;
    case NW_IVHD_ALIAS_SELECT:
    case NW_IVHD_ALIAS_START: return entry_alias;
    case NW_IVHD_EXT_SELECT:
    case NW_IVHD_EXT_START: return entry_extended;
    case NW_IVHD_SPECIAL: return entry_special;
    case NW_IVHD_ACPI_HID: return entry_acpi;
    default: return entry;
    }
}
