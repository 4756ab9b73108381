/* acpi_layout.h - laid-out firmware tables as JSON: { "tables": [{ "file", "line", "kind", "length", "bytes", "parts": [{ "part", "offset",
 * "length", "fields": [{ "name", "offset", "bytes", "hex", "text" }], "parts": [...] }] }] }. "hex" is the bytes in their order, two digits
 * each; "line" is there when the table was in a text. */
#ifndef NESTWALK_REPORTS_ACPI_LAYOUT_H
#define NESTWALK_REPORTS_ACPI_LAYOUT_H

#include <nestwalk/iommu/acpi_layout.h>

struct nw_laid_table {
    const char *file;
    const struct nw_acpi_table *table;
    struct nw_acpi_layout layout;
};

/* free() it. */
enum nw_status nw_acpi_layout_json_text(const struct nw_laid_table *table, size_t count, char **out,
                                        struct nw_error *err) NW_MUST_USE;

#endif
