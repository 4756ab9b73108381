/* dmar.c - the DMA remapping reporting table, decoded.
 * Source: Intel VT-d architecture specification, chapter "BIOS Considerations", sections "DMA Remapping Reporting
 * Structure" to "SoC Integrated Device Property Reporting Structure" and "Device Scope Structure". */
#include "acpi_internal.h"
#include <stdlib.h>

enum { STRUCTURE_HEADER = 4, SCOPE_FIXED = 6 };

static const struct {
    const char *name;
    uint8_t fixed_bytes;
    bool scoped, segmented;
} types[NW_DMAR_TYPES] = {
    [NW_DMAR_DRHD] = { "DRHD", 16, true, true },  [NW_DMAR_RMRR] = { "RMRR", 24, true, true },
    [NW_DMAR_ATSR] = { "ATSR", 8, true, true },   [NW_DMAR_RHSA] = { "RHSA", 20, false, false },
    [NW_DMAR_ANDD] = { "ANDD", 9, false, false }, /* one byte of name at least: its NUL */
    [NW_DMAR_SATC] = { "SATC", 8, true, true },   [NW_DMAR_SIDP] = { "SIDP", 8, true, true },
};

const char *nw_dmar_type_name(uint16_t type) { return type < NW_DMAR_TYPES ? types[type].name : "unknown"; }

static enum nw_status decode_scopes(struct nw_dmar *d, const uint8_t *table, size_t index, struct nw_error *err)
{
    struct nw_dmar_structure *x = &d->structure[index];
    uint32_t at = x->offset + types[x->type].fixed_bytes, end = x->offset + x->length;
    x->first_scope = d->scopes;
    while (at < end) {
        const uint8_t *p = table + at;
        uint32_t left = end - at;
        if (left < SCOPE_FIXED)
            return nw_acpi_problem_add(&d->problems, err, at, p, left,
                                       "%u bytes are left in the %s; a device scope has at least 6", left,
                                       types[x->type].name);
        uint8_t length = p[1];
        if (length < SCOPE_FIXED || length > left || length % 2)
            return nw_acpi_problem_add(
                &d->problems, err, at, p, left,
                "device scope of length %u in a %s with %u bytes left; a scope has 6 and two for "
                "each step of its path",
                length, types[x->type].name, left);
        struct nw_dmar_scope *scope = nw_acpi_grow((void **)&d->scope, &d->scopes, sizeof *scope);
        if (!scope)
            return nw_fail_nomem(err, "the device scopes of a table");
        *scope = (struct nw_dmar_scope){ .offset = at,
                                         .structure = (uint32_t)index,
                                         .type = p[0],
                                         .length = length,
                                         .flags = p[2],
                                         .id = p[4],
                                         .start_bus = p[5],
                                         .hops = (uint8_t)((length - SCOPE_FIXED) / 2),
                                         .path = p + SCOPE_FIXED };
        x->scopes++;
        at += length;
    }
    return NW_OK;
}

static void decode_fields(struct nw_dmar_structure *x, const uint8_t *p)
{
    if (types[x->type].segmented)
        x->segment = get16(p + 6);
    switch (x->type) {
    case NW_DMAR_DRHD:
        x->flags = p[4];
        x->size_log2_pages = p[5];
        x->base = get64(p + 8);
        break;
    case NW_DMAR_RMRR:
        x->base = get64(p + 8);
        x->limit = get64(p + 16);
        break;
    case NW_DMAR_RHSA:
        x->base = get64(p + 8);
        x->proximity = get32(p + 16);
        break;
    case NW_DMAR_ANDD:
        x->number = p[7];
        x->name = memchr(p + 8, 0, x->length - 8u) ? (const char *)p + 8 : NULL;
        break;
    default: x->flags = p[4]; break;
    }
}

static enum nw_status decode_structures(const struct nw_acpi_table *t, struct nw_dmar *d, struct nw_error *err)
{
    uint32_t end = nw_acpi_end(t);
    for (uint32_t at = NW_ACPI_FIXED_BYTES; at < end;) {
        const uint8_t *p = t->bytes + at;
        uint32_t left = end - at;
        if (left < STRUCTURE_HEADER)
            return nw_acpi_problem_add(&d->problems, err, at, p, left,
                                       "%u bytes are left in the table; a structure has at least 4", left);
        uint16_t type = get16(p), length = get16(p + 2);
        if (length < STRUCTURE_HEADER || length > left)
            return nw_acpi_problem_add(&d->problems, err, at, p, left,
                                       "%s (type %u) of length %u with %u bytes left in the table",
                                       nw_dmar_type_name(type), type, length, left);
        if (type < NW_DMAR_TYPES && length < types[type].fixed_bytes) { /* its fields are not there to be judged */
            enum nw_status s =
                nw_acpi_problem_add(&d->problems, err, at, p, left, "%s of length %u; its fixed part has %u bytes",
                                    types[type].name, length, types[type].fixed_bytes);
            if (s)
                return s;
            at += length;
            continue;
        }
        struct nw_dmar_structure *x = nw_acpi_grow((void **)&d->structure, &d->structures, sizeof *x);
        if (!x)
            return nw_fail_nomem(err, "the structures of a table");
        *x = (struct nw_dmar_structure){ .offset = at, .type = type, .length = length, .first_scope = d->scopes };
        at += length;
        if (type >= NW_DMAR_TYPES)
            continue;
        decode_fields(x, p);
        enum nw_status s = types[type].scoped ? decode_scopes(d, t->bytes, d->structures - 1, err) : NW_OK;
        if (s)
            return s;
    }
    return NW_OK;
}

enum nw_status nw_dmar_decode(const struct nw_acpi_table *table, struct nw_dmar *out, struct nw_error *err)
{
    static const uint8_t zero[10];
    *out = (struct nw_dmar){ .address_bits_minus_1 = table->bytes[36],
                             .flags = table->bytes[37],
                             .reserved_set = memcmp(table->bytes + 38, zero, sizeof zero) != 0 };
    enum nw_status s = decode_structures(table, out, err);
    if (s)
        nw_dmar_fini(out);
    return s;
}

void nw_dmar_fini(struct nw_dmar *dmar)
{
    free(dmar->structure);
    free(dmar->scope);
    free(dmar->problems.at);
    *dmar = (struct nw_dmar){ 0 };
}
