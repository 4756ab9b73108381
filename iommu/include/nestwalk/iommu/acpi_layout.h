/* acpi_layout.h - a DMAR or IVRS table as a row of parts and their fields, byte for byte, to be shown or compared.
 *
 *     struct nw_acpi_layout layout;
 *     if ((s = nw_acpi_layout_make(table, &layout, err))) return s;
 *     for (size_t i = 0; i < layout.parts; i++) {
 *         const struct nw_acpi_part *p = &layout.part[i];           // p->name, p->offset, p->length
 *         for (size_t j = p->first_field; j < p->first_field + p->fields; j++)
 *             nw_acpi_field_text(table, &layout.field[j], text, sizeof text);
 *     }
 *     nw_acpi_layout_fini(&layout);
 *
 * The parts of depth 0 (the header, structures, blocks) follow one another and fill the bytes of the table. The parts of depth 1 (device
 * scopes, device entries) follow the fields of the part of depth 0 that they belong to, and fill the rest of it. The fields of a part fill
 * what its parts of depth 1 leave. So nothing of a table is left out: what is not known, or does not fit, is a part or a field of its own.
 *
 * Sources: as in acpi.h; the images of AMD's extended feature registers: AMD IOMMU specification, "Extended Feature Register". */
#ifndef NESTWALK_IOMMU_ACPI_LAYOUT_H
#define NESTWALK_IOMMU_ACPI_LAYOUT_H

#include <nestwalk/iommu/acpi.h>

/* How a field's bytes read. Numbers are little-endian. */
enum nw_acpi_form {
    NW_ACPI_HEX,      /* a number; with the names of its bits where they have some */
    NW_ACPI_DECIMAL,  /* a number */
    NW_ACPI_WIDTH,    /* a number of bits, less one */
    NW_ACPI_PAGES,    /* bits 3:0: log2 of a number of 4-KiB pages */
    NW_ACPI_DEVICE,   /* bus 15:8, device 7:3, function 2:0 */
    NW_ACPI_STEP,     /* a device and a function below a bus */
    NW_ACPI_TEXT,     /* characters, to the first NUL or the end */
    NW_ACPI_BYTES,    /* anything */
    NW_ACPI_RESERVED, /* should be 0 */
};

struct nw_acpi_bits { /* of a number in NW_ACPI_HEX; low to high, inclusive */
    const char *name;
    uint8_t low, high;
};
struct nw_acpi_choice { /* what a number stands for; the last has no name */
    const char *name;
    uint32_t value;
};

struct nw_acpi_field {
    const char *name; /* as the specification calls it */
    uint32_t offset, bytes;
    enum nw_acpi_form form;
    const struct nw_acpi_bits *bits;     /* NULL, or up to one without a name */
    const struct nw_acpi_choice *choice; /* NULL, or up to one without a name */
};
struct nw_acpi_part {
    const char *name; /* "header", "DRHD", "device scope", "IVHD 11h", "device entry", "not decoded" */
    uint32_t offset, length;
    unsigned depth;
    size_t first_field, fields;
};
struct nw_acpi_layout {
    struct nw_acpi_part *part;
    struct nw_acpi_field *field;
    size_t parts, fields;
};

/* NW_ERR_NOMEM only. */
enum nw_status nw_acpi_layout_make(const struct nw_acpi_table *table, struct nw_acpi_layout *out,
                                   struct nw_error *err) NW_MUST_USE;
void nw_acpi_layout_fini(struct nw_acpi_layout *layout);

/* The value as a number; of at most eight bytes. */
uint64_t nw_acpi_field_value(const struct nw_acpi_table *table, const struct nw_acpi_field *field);
/* The value as it is read, cut to `room`: "0x00000000fed90000", "0x01 (INCLUDE_PCI_ALL)", "00:14.0", "\"INTEL\"". */
void nw_acpi_field_text(const struct nw_acpi_table *table, const struct nw_acpi_field *field, char *text, size_t room);

#endif
