/* layout_fields.h - the fields of every part of both tables: what layout.c lays over the bytes. */
#ifndef NESTWALK_IOMMU_LAYOUT_FIELDS_H
#define NESTWALK_IOMMU_LAYOUT_FIELDS_H

#include <nestwalk/iommu/acpi_layout.h>

/* The fixed fields of one kind of part, in order and without gaps; the one behind the last has no bytes. */
struct nw_acpi_field_row {
    const char *name;
    uint8_t bytes;
    enum nw_acpi_form form;
    const struct nw_acpi_bits *bits;
    const struct nw_acpi_choice *choice;
};

extern const struct nw_acpi_field_row nw_acpi_dmar_header[], nw_acpi_ivrs_header[], nw_acpi_dmar_scope[],
    nw_acpi_dmar_scope_with_flags[];
const struct nw_acpi_field_row *nw_acpi_dmar_fields(uint16_t type); /* of a structure; unknown types have two */
const struct nw_acpi_field_row *nw_acpi_ivrs_fields(uint8_t type, uint16_t length); /* of a block */
const struct nw_acpi_field_row *nw_acpi_ivhd_fields(uint8_t type);                  /* of a device entry */

#endif
