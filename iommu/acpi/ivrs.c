/* ivrs.c - the I/O virtualization reporting structure, decoded.
 * Source: AMD I/O Virtualization Technology (IOMMU) specification, chapter "I/O Virtualization ACPI Table", sections
 * "I/O Virtualization Hardware Definition (IVHD) Block" and "I/O Virtualization Memory Definition (IVMD) Block". */
#include "acpi_internal.h"
#include <stdlib.h>

enum { BLOCK_HEADER = 4, IVHD_10_FIXED = 24, IVHD_11_FIXED = 40, IVMD_FIXED = 32, HID_FIXED = 22 };

bool nw_ivrs_is_ivhd(uint8_t type) { return type == NW_IVHD_10 || type == NW_IVHD_11 || type == NW_IVHD_40; }
bool nw_ivrs_is_ivmd(uint8_t type) { return type >= NW_IVMD_ALL && type <= NW_IVMD_RANGE; }

const char *nw_ivrs_type_name(uint8_t type)
{
    switch (type) {
    case NW_IVHD_10: return "IVHD 10h";
    case NW_IVHD_11: return "IVHD 11h";
    case NW_IVHD_40: return "IVHD 40h";
    case NW_IVMD_ALL: return "IVMD 20h";
    case NW_IVMD_ONE: return "IVMD 21h";
    case NW_IVMD_RANGE: return "IVMD 22h";
    default: return "unknown";
    }
}

static uint32_t fixed_bytes(uint8_t type)
{
    if (nw_ivrs_is_ivmd(type))
        return IVMD_FIXED;
    if (!nw_ivrs_is_ivhd(type))
        return BLOCK_HEADER;
    return type == NW_IVHD_10 ? IVHD_10_FIXED : IVHD_11_FIXED;
}

/* Below 80h the type says the length: 4, 8, in its two high bits. Above, only the ACPI HID entry is defined. 0: not known. */
static uint32_t entry_bytes(const uint8_t *p, uint32_t left)
{
    if (p[0] < 0x80)
        return UINT32_C(4) << (p[0] >> 6);
    return p[0] != NW_IVHD_ACPI_HID ? 0 : left < HID_FIXED ? HID_FIXED : UINT32_C(22) + p[21];
}

static void decode_entry(struct nw_ivhd_entry *e, const uint8_t *p)
{
    e->type = p[0];
    e->device = get16(p + 1);
    e->data = p[3];
    switch (p[0]) {
    case NW_IVHD_ALIAS_SELECT:
    case NW_IVHD_ALIAS_START: e->alias = get16(p + 5); break;
    case NW_IVHD_EXT_SELECT:
    case NW_IVHD_EXT_START: e->extended = get32(p + 4); break;
    case NW_IVHD_SPECIAL:
        e->handle = p[4];
        e->device = get16(p + 5);
        e->variety = p[7];
        break;
    case NW_IVHD_ACPI_HID:
        e->hid = p + 4;
        e->cid = p + 12;
        e->uid_format = p[20];
        e->uid_bytes = p[21];
        e->uid = p + HID_FIXED;
        break;
    default: break;
    }
}

static enum nw_status decode_entries(struct nw_ivrs *v, const uint8_t *table, size_t index, struct nw_error *err)
{
    struct nw_ivrs_block *b = &v->block[index];
    uint32_t at = b->offset + fixed_bytes(b->type), end = b->offset + b->length;
    while (at < end) {
        const uint8_t *p = table + at;
        uint32_t left = end - at, length = entry_bytes(p, left);
        if (!length)
            return nw_acpi_problem_add(
                &v->problems, err, at, p, left,
                "device entry of type %02Xh, whose length is not known, with %u bytes left in the %s", p[0], left,
                nw_ivrs_type_name(b->type));
        if (length > left)
            return nw_acpi_problem_add(&v->problems, err, at, p, left,
                                       "device entry of type %02Xh and %u bytes with %u bytes left in the %s", p[0],
                                       length, left, nw_ivrs_type_name(b->type));
        struct nw_ivhd_entry *e = nw_acpi_grow((void **)&v->entry, &v->entries, sizeof *e);
        if (!e)
            return nw_fail_nomem(err, "the device entries of a table");
        e->offset = at;
        e->block = (uint32_t)index;
        e->length = (uint16_t)length;
        decode_entry(e, p);
        b->entries++;
        at += length;
    }
    return NW_OK;
}

static void decode_block(struct nw_ivrs_block *b, const uint8_t *p)
{
    b->flags = p[1];
    b->device = get16(p + 4);
    if (nw_ivrs_is_ivmd(b->type)) {
        b->aux = get16(p + 6);
        b->base = get64(p + 16);
        b->bytes = get64(p + 24);
        return;
    }
    b->capability_offset = get16(p + 6);
    b->base = get64(p + 8);
    b->segment = get16(p + 16);
    b->info = get16(p + 18);
    if (b->type == NW_IVHD_10) {
        b->features = get32(p + 20);
        return;
    }
    b->attributes = get32(p + 20);
    b->efr = get64(p + 24);
    b->efr2 = get64(p + 32);
}

static enum nw_status decode_blocks(const struct nw_acpi_table *t, struct nw_ivrs *v, struct nw_error *err)
{
    uint32_t end = nw_acpi_end(t);
    for (uint32_t at = NW_ACPI_FIXED_BYTES; at < end;) {
        const uint8_t *p = t->bytes + at;
        uint32_t left = end - at;
        if (left < BLOCK_HEADER)
            return nw_acpi_problem_add(&v->problems, err, at, p, left,
                                       "%u bytes are left in the table; a block has at least 4", left);
        uint8_t type = p[0];
        uint16_t length = get16(p + 2);
        if (length < BLOCK_HEADER || length > left)
            return nw_acpi_problem_add(&v->problems, err, at, p, left,
                                       "%s (type %02Xh) of length %u with %u bytes left in the table",
                                       nw_ivrs_type_name(type), type, length, left);
        if (length < fixed_bytes(type)) { /* its fields are not there to be judged */
            enum nw_status s =
                nw_acpi_problem_add(&v->problems, err, at, p, left, "%s of length %u; its fixed part has %u bytes",
                                    nw_ivrs_type_name(type), length, fixed_bytes(type));
            if (s)
                return s;
            at += length;
            continue;
        }
        struct nw_ivrs_block *b = nw_acpi_grow((void **)&v->block, &v->blocks, sizeof *b);
        if (!b)
            return nw_fail_nomem(err, "the blocks of a table");
        *b = (struct nw_ivrs_block){ .offset = at, .type = type, .length = length, .first_entry = v->entries };
        at += length;
        if (nw_ivrs_is_ivhd(type) || nw_ivrs_is_ivmd(type))
            decode_block(b, p);
        enum nw_status s = nw_ivrs_is_ivhd(type) ? decode_entries(v, t->bytes, v->blocks - 1, err) : NW_OK;
        if (s)
            return s;
    }
    return NW_OK;
}

enum nw_status nw_ivrs_decode(const struct nw_acpi_table *table, struct nw_ivrs *out, struct nw_error *err)
{
    *out = (struct nw_ivrs){ .info = get32(table->bytes + 36) };
    enum nw_status s = decode_blocks(table, out, err);
    if (s)
        nw_ivrs_fini(out);
    return s;
}

void nw_ivrs_fini(struct nw_ivrs *ivrs)
{
    free(ivrs->block);
    free(ivrs->entry);
    free(ivrs->problems.at);
    *ivrs = (struct nw_ivrs){ 0 };
}
