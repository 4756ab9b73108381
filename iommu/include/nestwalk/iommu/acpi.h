/* acpi.h - the firmware's tables about remapping units, decoded: DMAR (Intel VT-d) and IVRS (AMD-Vi); and of the MADT ("APIC") what the
 * units' tables are compared with.
 *
 *     struct nw_acpi_file file;
 *     if ((s = nw_acpi_load(bytes, size, "DMAR.dat", &file, err))) return s;
 *     for (size_t i = 0; i < file.count; i++)
 *         if (file.table[i].kind == NW_ACPI_DMAR) { s = nw_dmar_decode(&file.table[i], &dmar, err); ... nw_dmar_fini(&dmar); }
 *     nw_acpi_file_fini(&file);
 *
 * A table is a header and a row of *structures*, each with its type and length. A DMAR structure ends with *device scopes*
 * (which devices it is about, as paths below a start bus); an IVRS block of the kind IVHD ends with *device entries*.
 * Decoding never fails because of what a table holds: what does not fit becomes a `struct nw_acpi_problem`, and decoding
 * goes on as far as the lengths can still be believed. Every offset is from the first byte of the table.
 *
 * Sources: Intel VT-d architecture specification, chapter "BIOS Considerations"; AMD I/O Virtualization Technology (IOMMU)
 * specification, chapter "I/O Virtualization ACPI Table"; ACPI specification, "System Description Table Header". */
#ifndef NESTWALK_IOMMU_ACPI_H
#define NESTWALK_IOMMU_ACPI_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- files --------------------------------------------------------------------------------------- */

enum nw_acpi_kind { NW_ACPI_DMAR, NW_ACPI_IVRS, NW_ACPI_MADT };
const char *nw_acpi_kind_name(enum nw_acpi_kind kind); /* "DMAR", "IVRS", "APIC": the signature */

enum { NW_ACPI_HEADER_BYTES = 36, NW_ACPI_FIXED_BYTES = 48 /* where the first structure of either table begins */ };

struct nw_acpi_table {
    enum nw_acpi_kind kind;
    uint8_t *bytes;
    uint32_t size;                   /* bytes there are; at least the fixed part */
    uint32_t length;                 /* what the header says */
    uint8_t revision, checksum, sum; /* `sum` of min(size, length) bytes, modulo 256: 0 in a sound table */
    uint64_t line;                   /* of the text it was in, 1-based; 0 for a binary */
};
enum { NW_ACPI_MADT_FIXED_BYTES = 44 };
struct nw_acpi_file {
    struct nw_acpi_table *table; /* DMAR and IVRS */
    size_t count;
    struct nw_acpi_table *madt;
    size_t madts;
};

/* The DMAR, IVRS and APIC tables in `bytes`: one binary table, or the text of acpidump (other tables in it are passed over), told
 * apart by content. `name` is for messages. NW_ERR_INPUT when it is neither, holds no such table, or the text breaks off
 * the order of its offsets. */
enum nw_status nw_acpi_load(const void *bytes, size_t size, const char *name, struct nw_acpi_file *out,
                            struct nw_error *err) NW_MUST_USE;
void nw_acpi_file_fini(struct nw_acpi_file *file);

/* What does not fit: a length of zero, less than the fixed part, or beyond what contains it. */
struct nw_acpi_problem {
    uint32_t offset;
    bool zeros; /* all bytes from there to the end of what contains it are 0 */
    char text[160];
};
struct nw_acpi_problems {
    struct nw_acpi_problem *at;
    size_t count;
};

/* ---- DMAR ---------------------------------------------------------------------------------------- */

enum nw_dmar_type {
    NW_DMAR_DRHD, /* a remapping unit */
    NW_DMAR_RMRR, /* memory that devices go on using */
    NW_DMAR_ATSR, /* root ports that pass address translation requests */
    NW_DMAR_RHSA, /* proximity domain of a unit */
    NW_DMAR_ANDD, /* name of a device that only ACPI knows */
    NW_DMAR_SATC, /* devices of the chipset with translation caches */
    NW_DMAR_SIDP, /* properties of devices */
    NW_DMAR_TYPES /* from here on unknown */
};
enum nw_dmar_scope_type {
    NW_DMAR_SCOPE_ENDPOINT = 1,
    NW_DMAR_SCOPE_BRIDGE,
    NW_DMAR_SCOPE_IOAPIC,
    NW_DMAR_SCOPE_HPET,
    NW_DMAR_SCOPE_ANDD
};
#define NW_DMAR_INTR_REMAP      0x1
#define NW_DMAR_X2APIC_OPT_OUT  0x2
#define NW_DMAR_PLATFORM_OPT_IN 0x4
#define NW_DRHD_INCLUDE_PCI_ALL 0x1
#define NW_ATSR_ALL_PORTS       0x1

struct nw_dmar_scope {
    uint32_t offset, structure; /* `structure`: index of the one that it is part of */
    uint8_t type, length, flags, id, start_bus, hops;
    const uint8_t *path; /* hops pairs of device and function, in the table's bytes */
};
struct nw_dmar_structure {
    uint32_t offset;
    uint16_t type, length, segment;
    uint8_t flags, size_log2_pages; /* DRHD: of the register window; as found, with the reserved bits */
    uint64_t base, limit;           /* DRHD, RHSA: registers; RMRR: first and last byte */
    uint32_t proximity;             /* RHSA */
    uint8_t number;                 /* ANDD */
    const char *name;               /* ANDD: in the table's bytes, NULL when no NUL ends it */
    size_t first_scope, scopes;     /* of nw_dmar.scope */
};
struct nw_dmar {
    uint8_t address_bits_minus_1, flags;
    bool reserved_set; /* bytes 38 to 47 are not all zero */
    struct nw_dmar_structure *structure;
    struct nw_dmar_scope *scope;
    size_t structures, scopes;
    struct nw_acpi_problems problems;
};

/* `table` must outlive *out. NW_ERR_NOMEM only. */
enum nw_status nw_dmar_decode(const struct nw_acpi_table *table, struct nw_dmar *out, struct nw_error *err) NW_MUST_USE;
void nw_dmar_fini(struct nw_dmar *dmar);
const char *nw_dmar_type_name(uint16_t type); /* "DRHD"; "unknown" */

/* ---- MADT ---------------------------------------------------------------------------------------- */

struct nw_madt_ioapic {
    uint32_t offset, address, first_interrupt;
    uint8_t id;
};
struct nw_madt {
    struct nw_madt_ioapic *ioapic;
    size_t ioapics, entries; /* entries: of all types */
    size_t processors;       /* that are enabled */
    uint32_t highest_apic_id;
    struct nw_acpi_problems problems;
};

/* `table` must outlive *out. NW_ERR_NOMEM only. Source: ACPI specification, "Multiple APIC Description Table (MADT)". */
enum nw_status nw_madt_decode(const struct nw_acpi_table *table, struct nw_madt *out, struct nw_error *err) NW_MUST_USE;
void nw_madt_fini(struct nw_madt *madt);

/* ---- IVRS ---------------------------------------------------------------------------------------- */

enum nw_ivrs_type {
    NW_IVHD_10 = 0x10,
    NW_IVHD_11 = 0x11, /* with the extended feature register's image */
    NW_IVHD_40 = 0x40, /* and with entries for devices that only ACPI knows */
    NW_IVMD_ALL = 0x20,
    NW_IVMD_ONE = 0x21,
    NW_IVMD_RANGE = 0x22
};
enum nw_ivhd_entry_type {
    NW_IVHD_PAD4 = 0x00,
    NW_IVHD_ALL = 0x01,
    NW_IVHD_SELECT = 0x02,
    NW_IVHD_RANGE_START = 0x03,
    NW_IVHD_RANGE_END = 0x04,
    NW_IVHD_PAD8 = 0x40,
    NW_IVHD_ALIAS_SELECT = 0x42,
    NW_IVHD_ALIAS_START = 0x43,
    NW_IVHD_EXT_SELECT = 0x46,
    NW_IVHD_EXT_START = 0x47,
    NW_IVHD_SPECIAL = 0x48,
    NW_IVHD_ACPI_HID = 0xf0
};
enum { NW_IVHD_IOAPIC = 1, NW_IVHD_HPET = 2 }; /* varieties of a special entry */
#define NW_IVMD_UNITY     0x1
#define NW_IVMD_EXCLUSION 0x8

struct nw_ivhd_entry {
    uint32_t offset, block; /* `block`: index of the one that it is part of */
    uint16_t length;
    uint8_t type, data;      /* data setting: INITPass 0, ExtIntPass 1, NMIPass 2, SysMgt 5:4, LINT0 6, LINT1 7 */
    uint16_t device;         /* bus 15:8, device and function 7:0; of a special entry: the id that its requests carry */
    uint16_t alias;          /* alias entries: the id that the devices' requests carry */
    uint32_t extended;       /* extended entries: their second data word */
    uint8_t handle, variety; /* special entries */
    uint8_t uid_format, uid_bytes;  /* ACPI HID: 0 none, 1 a 64-bit number, 2 text */
    const uint8_t *hid, *cid, *uid; /* in the table's bytes; hid and cid have 8 bytes each */
};
struct nw_ivrs_block {
    uint32_t offset;
    uint16_t length, device, segment, capability_offset, info, aux; /* aux: IVMD, last device of a range */
    uint8_t type, flags;
    uint64_t base, bytes;          /* IVHD: registers; IVMD: memory and how much */
    uint32_t features, attributes; /* IVHD 10h; 11h and 40h */
    uint64_t efr, efr2;            /* 11h and 40h */
    size_t first_entry, entries;   /* of nw_ivrs.entry */
};
struct nw_ivrs {
    uint32_t info;
    struct nw_ivrs_block *block;
    struct nw_ivhd_entry *entry;
    size_t blocks, entries;
    struct nw_acpi_problems problems;
};

enum nw_status nw_ivrs_decode(const struct nw_acpi_table *table, struct nw_ivrs *out, struct nw_error *err) NW_MUST_USE;
void nw_ivrs_fini(struct nw_ivrs *ivrs);
const char *nw_ivrs_type_name(uint8_t type); /* "IVHD 10h"; "unknown" */
bool nw_ivrs_is_ivhd(uint8_t type);
bool nw_ivrs_is_ivmd(uint8_t type);

#endif
