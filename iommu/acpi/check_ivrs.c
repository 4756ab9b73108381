/* check_ivrs.c - the rules about IVRS tables that need nothing but the table. rules.c says why each exists. */
#include "acpi_internal.h"
#include "check_table.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    NAME_BYTES = 64,
    PAGE_BYTES = 4096,
    WINDOW = 16384 /* the least that a unit's registers take */,
    SOUTHBRIDGE = 0x00a0
};

/* HyperTransport's address space below 2^40. AMD IOMMU specification, "Special Address Controls". */
#define HYPERTRANSPORT_FIRST UINT64_C(0xfd00000000)
#define HYPERTRANSPORT_LAST  UINT64_C(0xffffffffff)

struct ivrs_check {
    struct check *c;
    const struct nw_ivrs *v;
    bool whole;
};

static const char *bdf(uint16_t id, char text[16])
{
    snprintf(text, 16, "%02x:%02x.%x", id >> 8, id >> 3 & 31, id & 7);
    return text;
}

static const char *name_of(const struct nw_ivrs_block *b, char name[NAME_BYTES])
{
    char id[16];
    if (nw_ivrs_is_ivmd(b->type))
        snprintf(name, NAME_BYTES, "%s %" PRIx64 "+%" PRIx64, nw_ivrs_type_name(b->type), b->base, b->bytes);
    else
        snprintf(name, NAME_BYTES, "%s %04x:%s", nw_ivrs_type_name(b->type), b->segment, bdf(b->device, id));
    return name;
}

/* A start must be followed by its end; padding may stand between. */
static void check_ranges(const struct ivrs_check *k, const struct nw_ivrs_block *b)
{
    const struct nw_ivhd_entry *start = NULL;
    char name[NAME_BYTES], id[16], first[16];
    name_of(b, name);
    for (size_t i = 0; i < b->entries; i++) {
        const struct nw_ivhd_entry *e = &k->v->entry[b->first_entry + i];
        if (e->type == NW_IVHD_PAD4 || e->type == NW_IVHD_PAD8)
            continue;
        if (e->type == NW_IVHD_RANGE_END) {
            if (!start)
                nw_check_add(k->c, V02, e->offset, name, "the end %s of a range has no start", bdf(e->device, id));
            else if (e->device < start->device)
                nw_check_add(k->c, V02, e->offset, name, "a range from %s to %s", bdf(start->device, first),
                             bdf(e->device, id));
            start = NULL;
            continue;
        }
        if (start)
            nw_check_add(k->c, V02, e->offset, name,
                         "an entry of type %02Xh stands between the start %s of a range and its end", e->type,
                         bdf(start->device, first));
        if (e->type == NW_IVHD_RANGE_START || e->type == NW_IVHD_ALIAS_START || e->type == NW_IVHD_EXT_START)
            start = e;
    }
    if (start && k->whole)
        nw_check_add(k->c, V02, start->offset, name, "the range that starts at %s has no end",
                     bdf(start->device, first));
}

static bool known_entry(uint8_t type)
{
    static const uint8_t known[] = { NW_IVHD_PAD4,       NW_IVHD_ALL,       NW_IVHD_SELECT,       NW_IVHD_RANGE_START,
                                     NW_IVHD_RANGE_END,  NW_IVHD_PAD8,      NW_IVHD_ALIAS_SELECT, NW_IVHD_ALIAS_START,
                                     NW_IVHD_EXT_SELECT, NW_IVHD_EXT_START, NW_IVHD_SPECIAL,      NW_IVHD_ACPI_HID };
    return memchr(known, type, sizeof known) != NULL;
}

/* "PNP0D40": three letters; "AMDI0020": four letters or digits; then four hexadecimal digits and nothing but NUL. The vendor
 * PNP has the first form only. */
static bool sound_hid(const uint8_t *hid)
{
    size_t length = 8, vendor;
    while (length && !hid[length - 1])
        length--;
    if (length != 7 && length != 8)
        return false;
    vendor = length - 4;
    if (length == 8 && !memcmp(hid, "PNP", 3))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (i < vendor ? !(isupper(hid[i]) || (vendor == 4 && isdigit(hid[i]))) : !isxdigit(hid[i]) || islower(hid[i]))
            return false;
    }
    return true;
}

static void check_hid(const struct ivrs_check *k, const struct nw_ivhd_entry *e, const char *name)
{
    char shown[9] = { 0 };
    for (int i = 0; i < 8 && e->hid[i]; i++)
        shown[i] = (char)(isprint(e->hid[i]) ? e->hid[i] : '?');
    if (!sound_hid(e->hid))
        nw_check_add(k->c, V05, e->offset, name,
                     "hardware id \"%s\"; the forms are PNP0D40 and AMDI0020, and PNP has the first only", shown);
    bool fits = e->uid_format == 0   ? !e->uid_bytes
                : e->uid_format == 1 ? e->uid_bytes == 8
                                     : e->uid_format == 2 && e->uid_bytes;
    if (!fits)
        nw_check_add(k->c, V05, e->offset, name,
                     "unique id of \"%s\" has format %u and %u bytes; 0 has none, 1 has 8, 2 is text", shown,
                     e->uid_format, e->uid_bytes);
}

static void check_special(const struct ivrs_check *k, const struct nw_ivhd_entry *e, const char *name)
{
    uint8_t type = k->v->block[e->block].type;
    char id[16], other[16];
    if (e->variety != NW_IVHD_IOAPIC && e->variety != NW_IVHD_HPET) {
        nw_check_add(k->c, V05, e->offset, name, "variety %u of a special device; 1 is an I/O APIC, 2 an HPET",
                     e->variety);
        return;
    }
    for (const struct nw_ivhd_entry *f = k->v->entry; f < e; f++) {
        if (f->type != NW_IVHD_SPECIAL || k->v->block[f->block].type != type || f->variety != e->variety ||
            f->handle != e->handle || f->device == e->device)
            continue;
        nw_check_add(k->c, V05, e->offset, name, "%s %u is %s here and %s at 0x%x",
                     e->variety == NW_IVHD_IOAPIC ? "I/O APIC" : "HPET", e->handle, bdf(e->device, id),
                     bdf(f->device, other), f->offset);
        return; /* one clash an entry is enough */
    }
}

/* An IVHD against those before it, up to the first that it is at odds with. */
static void check_against_earlier(const struct ivrs_check *k, size_t index, const char *name)
{
    const struct nw_ivrs_block *b = &k->v->block[index];
    char other[NAME_BYTES];
    for (size_t i = 0; i < index; i++) {
        const struct nw_ivrs_block *a = &k->v->block[i];
        if (!nw_ivrs_is_ivhd(a->type))
            continue;
        if (a->device == b->device && a->segment == b->segment) {
            if (a->base == b->base && a->capability_offset == b->capability_offset)
                continue;
            nw_check_add(k->c, V03, b->offset, name,
                         "base %" PRIx64 " and capability at %x; the %s at 0x%x has %" PRIx64 " and %x", b->base,
                         b->capability_offset, nw_ivrs_type_name(a->type), a->offset, a->base, a->capability_offset);
            return;
        }
        if (a->type != b->type && a->device == b->device && a->base == b->base) {
            nw_check_add(k->c, V03, b->offset, name, "segment %u; the %s at 0x%x has segment %u", b->segment,
                         nw_ivrs_type_name(a->type), a->offset, a->segment);
            return;
        }
        if (overlap(a->base, a->base + (WINDOW - 1), b->base, b->base + (WINDOW - 1))) {
            nw_check_add(k->c, V01, b->offset, name, "its registers at %" PRIx64 " overlap those of %s at 0x%x",
                         b->base, name_of(a, other), a->offset);
            return;
        }
    }
}

static void check_features(const struct ivrs_check *k, size_t index, const char *name)
{
    const struct nw_ivrs_block *b = &k->v->block[index];
    for (size_t i = 0; b->type != NW_IVHD_10 && i < index; i++) {
        const struct nw_ivrs_block *a = &k->v->block[i];
        const bool same_unit = a->device == b->device && a->segment == b->segment;
        const bool same_type = a->type == b->type; /* 11h reserves what 40h has the second image in */
        if (!nw_ivrs_is_ivhd(a->type) || a->type == NW_IVHD_10 || !(same_type || same_unit) ||
            (a->efr == b->efr && (!same_type || a->efr2 == b->efr2)))
            continue;
        nw_check_add_lesser(k->c, V09, same_unit ? NW_IOMMU_WARNING : NW_IOMMU_INFO, b->offset, name,
                            "feature images %" PRIx64 ", %" PRIx64 "; the %s at 0x%x has %" PRIx64 ", %" PRIx64, b->efr,
                            b->efr2, nw_ivrs_type_name(a->type), a->offset, a->efr, a->efr2);
        return;
    }
}

static void check_unit(const struct ivrs_check *k, size_t index)
{
    const struct nw_ivrs_block *b = &k->v->block[index];
    char name[NAME_BYTES];
    name_of(b, name);
    if (!b->base || b->base % WINDOW)
        nw_check_add(k->c, V01, b->offset, name, "register base %" PRIx64 "; it must be a multiple of 16 KiB and not 0",
                     b->base);
    check_against_earlier(k, index, name);
    check_features(k, index, name);
    check_ranges(k, b);
    for (size_t i = 0; i < b->entries; i++) {
        const struct nw_ivhd_entry *e = &k->v->entry[b->first_entry + i];
        if (e->type == NW_IVHD_SPECIAL)
            check_special(k, e, name);
        else if (e->type == NW_IVHD_ACPI_HID)
            check_hid(k, e, name);
        else if (!known_entry(e->type))
            nw_check_add(k->c, T04, e->offset, name, "device entry of type %02Xh, %u bytes", e->type, e->length);
    }
}

static void check_memory(const struct ivrs_check *k, const struct nw_ivrs_block *b)
{
    char name[NAME_BYTES], first[16], last[16];
    name_of(b, name);
    if (b->type == NW_IVMD_RANGE && b->aux < b->device)
        nw_check_add(k->c, V07, b->offset, name, "a range of devices from %s to %s", bdf(b->device, first),
                     bdf(b->aux, last));
    if (b->flags & NW_IVMD_UNITY && b->flags & NW_IVMD_EXCLUSION)
        nw_check_add(k->c, V07, b->offset, name, "flags 0x%02x ask for unity mapping and for exclusion", b->flags);
    else if (b->flags & NW_IVMD_EXCLUSION)
        nw_check_add(k->c, V08, b->offset, name, "flags 0x%02x: exclusion of %" PRIu64 " KiB", b->flags,
                     b->bytes >> 10);
    if (!b->bytes && !b->base) {
        nw_check_add_lesser(k->c, V07, NW_IOMMU_WARNING, b->offset, name, "start and length are 0: the block is empty");
        return;
    }
    if (!b->bytes || b->base % PAGE_BYTES || b->bytes % PAGE_BYTES || b->base + (b->bytes - 1) < b->base) {
        nw_check_add(k->c, V07, b->offset, name,
                     "start %" PRIx64 ", length %" PRIx64
                     "; both must be multiples of 4 KiB, the length not 0, and the end below 2^64",
                     b->base, b->bytes);
        return;
    }
    if (overlap(b->base, b->base + (b->bytes - 1), INTERRUPTS_FIRST, INTERRUPTS_LAST))
        nw_check_add(k->c, V07, b->offset, name, "it touches fee00000-feefffff, where writes are interrupts");
    if (overlap(b->base, b->base + (b->bytes - 1), HYPERTRANSPORT_FIRST, HYPERTRANSPORT_LAST))
        nw_check_add(k->c, V07, b->offset, name, "it touches fd00000000-ffffffffff, which is HyperTransport's");
}

void nw_check_ivrs(struct check *c, const struct nw_ivrs *v)
{
    struct ivrs_check k = { c, v, nw_acpi_whole(c->table, &v->problems) };
    bool any_unit = false, southbridge = false;
    for (size_t i = 0; i < v->blocks; i++) {
        const struct nw_ivrs_block *b = &v->block[i];
        if (nw_ivrs_is_ivhd(b->type)) {
            any_unit = true;
            check_unit(&k, i);
        } else if (nw_ivrs_is_ivmd(b->type)) {
            check_memory(&k, b);
        } else {
            nw_check_add(c, T04, b->offset, "", "block of type %02Xh, %u bytes", b->type, b->length);
        }
    }
    for (size_t i = 0; i < v->entries; i++)
        southbridge |= v->entry[i].type == NW_IVHD_SPECIAL && v->entry[i].variety == NW_IVHD_IOAPIC &&
                       v->entry[i].device == SOUTHBRIDGE;
    if (!any_unit && k.whole)
        nw_check_add(c, V18, 0, "", "%zu blocks, none of them an IVHD", v->blocks);
    if (any_unit && k.whole && !southbridge)
        nw_check_add(c, V04, 0, "", "none of the special entries is an I/O APIC at 00:14.0");
}
