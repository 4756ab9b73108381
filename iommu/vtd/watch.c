/* The words that a translation reads, for whoever watches it, and what is in them: VT-d, chapter "Translation Structure
 * Formats". */
#include "../text/field_text.h"
#include "vtd_internal.h"
#include <stdio.h>

void vtd_watch_word(struct vtd_walk *w, uint64_t address, uint64_t value, bool readable)
{
    struct nw_vtd_watch *watch = w->t->watch;
    if (watch->count < NW_VTD_READS_MAX)
        watch->read[watch->count] = (struct nw_vtd_read){ .table = w->table,
                                                          .word = (uint8_t)((address - w->entry_at) / 8),
                                                          .readable = readable,
                                                          .address = address,
                                                          .value = value };
    watch->count++;
}

void vtd_watch_paging(struct nw_vtd_watch *watch, bool second, unsigned level)
{
    if (!watch->count || watch->count > NW_VTD_READS_MAX)
        return;
    struct nw_vtd_read *r = &watch->read[watch->count - 1];
    r->table = second ? NW_VTD_SECOND_STAGE_ENTRY : NW_VTD_FIRST_STAGE_ENTRY;
    r->word = 0;
    r->level = (uint8_t)(level + 1);
}

void nw_vtd_read_name(const struct nw_vtd_read *r, char *out, size_t out_size)
{
    static const char *const name[NW_VTD_TABLES] = { "root entry",
                                                     "context entry",
                                                     "scalable root entry",
                                                     "scalable context entry",
                                                     "PASID-directory entry",
                                                     "PASID-table entry",
                                                     "first-stage entry",
                                                     "second-stage entry" };
    const bool paging = r->table >= NW_VTD_FIRST_STAGE_ENTRY;
    const bool one_word = r->table == NW_VTD_SCALABLE_ROOT_ENTRY || r->table == NW_VTD_PASID_DIRECTORY_ENTRY;
    if (one_word)
        snprintf(out, out_size, "%s", name[r->table]);
    else
        snprintf(out, out_size, "%s, %s %u", name[r->table], paging ? "level" : "word", paging ? r->level : r->word);
}

/* ---- fields ------------------------------------------------------------------------------------- */

/* AW, of a context entry or a PASID-table entry: 1, 2, 3 are 39, 48, 57 bits. */
static void add_width(struct iommu_text *t, unsigned aw)
{
    if (aw >= 1 && aw <= 3)
        iommu_text_add(t, "AW %u (%u bits)", aw, 30 + 9 * aw);
    else
        iommu_text_add(t, "AW %u (reserved)", aw);
}

static void decode_context(struct iommu_text *t, const struct nw_vtd_read *r)
{
    static const char *const type[] = { "untranslated requests", "all requests", "pass-through", "reserved" };
    uint64_t v = r->value;
    if (r->word == 1) {
        add_width(t, (unsigned)nw_field(v, 2, 0));
        iommu_text_add(t, "DID 0x%x", (unsigned)nw_field(v, 23, 8));
    } else if (iommu_text_present(t, v)) {
        iommu_text_if(t, v & 2, "FPD");
        iommu_text_add(t, "TT %u (%s)", (unsigned)nw_field(v, 3, 2), type[nw_field(v, 3, 2)]);
        if (nw_field(v, 3, 2) != 2) /* pass-through ignores it */
            iommu_text_address(t, "second stage at", v, 12);
    } else {
        iommu_text_if(t, v & 2, "FPD");
    }
}

static void decode_scalable_context(struct iommu_text *t, const struct nw_vtd_read *r)
{
    uint64_t v = r->value;
    if (r->word == 1) {
        iommu_text_add(t, "RID_PASID 0x%x", (unsigned)nw_field(v, 19, 0));
        iommu_text_if(t, v & NW_BIT(20), "RID_PRIV");
    } else if (r->word) {
        iommu_text_add(t, v ? "reserved bits set" : "reserved");
    } else {
        bool present = iommu_text_present(t, v);
        iommu_text_if(t, v & 2, "FPD");
        if (!present)
            return;
        iommu_text_if(t, v & 4, "DTE");
        iommu_text_if(t, v & 8, "PASIDE");
        iommu_text_if(t, v & 16, "PRE");
        iommu_text_add(t, "PDTS %u (PASIDs below 0x%x)", (unsigned)nw_field(v, 11, 9), 64u << (nw_field(v, 11, 9) + 7));
        iommu_text_address(t, "PASID directory at", v, 12);
    }
}

static void decode_pasid(struct iommu_text *t, const struct nw_vtd_read *r)
{
    static const char *const type[8] = { "reserved",     "first stage", "second stage", "nested",
                                         "pass-through", "reserved",    "reserved",     "reserved" };
    uint64_t v = r->value;
    switch (r->word) {
    case 0:
        if (!iommu_text_present(t, v)) {
            iommu_text_if(t, v & 2, "FPD");
            return;
        }
        iommu_text_if(t, v & 2, "FPD");
        add_width(t, (unsigned)nw_field(v, 4, 2));
        iommu_text_add(t, "PGTT %u (%s)", (unsigned)nw_field(v, 8, 6), type[nw_field(v, 8, 6)]);
        iommu_text_if(t, v & NW_BIT(9), "SSADE");
        if (nw_field(v, 8, 6) == 2 || nw_field(v, 8, 6) == 3)
            iommu_text_address(t, "second stage at", v, 12);
        break;
    case 1:
        iommu_text_add(t, "DID 0x%x", (unsigned)nw_field(v, 15, 0));
        iommu_text_if(t, v & NW_BIT(23), "PWSNP");
        iommu_text_if(t, v & NW_BIT(24), "PGSNP");
        break;
    case 2:
        iommu_text_if(t, v & 1, "SRE");
        iommu_text_if(t, v & 2, "ERE");
        iommu_text_add(t, "FSPM %u (%s)", (unsigned)nw_field(v, 3, 2),
                       nw_field(v, 3, 2) == 0   ? "4 levels"
                       : nw_field(v, 3, 2) == 1 ? "5 levels"
                                                : "reserved");
        iommu_text_if(t, v & NW_BIT(4), "WPE");
        iommu_text_if(t, v & NW_BIT(7), "EAFE");
        iommu_text_address(t, "first stage at", v, 12);
        break;
    default: iommu_text_add(t, v ? "reserved bits set" : "reserved"); break;
    }
}

/* A leaf of level n maps 2^(12 + 9 (n - 1)) bytes; bit 7 makes levels 2 and 3 leaves. */
static void add_target(struct iommu_text *t, const struct nw_vtd_read *r)
{
    bool large = (r->level == 2 || r->level == 3) && (r->value & NW_BIT(7));
    unsigned lowest = large ? 12 + 9 * (r->level - 1u) : 12;
    iommu_text_if(t, large, r->level == 2 ? "2 MiB page" : "1 GiB page");
    iommu_text_address(t, large || r->level == 1 ? "page at" : "table at", r->value, lowest);
}

static void decode_first(struct iommu_text *t, const struct nw_vtd_read *r)
{
    uint64_t v = r->value;
    if (!iommu_text_present(t, v))
        return;
    iommu_text_add(t, v & 2 ? "writable" : "read-only");
    iommu_text_add(t, v & 4 ? "user" : "supervisor");
    iommu_text_if(t, v & NW_BIT(63), "no-execute");
    iommu_text_if(t, v & NW_BIT(5), "accessed");
    iommu_text_if(t, v & NW_BIT(6), "dirty");
    add_target(t, r);
}

static void decode_second(struct iommu_text *t, const struct nw_vtd_read *r)
{
    uint64_t v = r->value;
    static const char *const rights[] = { "neither readable nor writable", "readable", "writable",
                                          "readable and writable" };
    iommu_text_add(t, "%s", rights[v & 3]);
    if (!(v & 3))
        return;
    iommu_text_if(t, v & NW_BIT(8), "accessed");
    iommu_text_if(t, v & NW_BIT(9), "dirty");
    add_target(t, r);
}

void nw_vtd_read_decode(const struct nw_vtd_read *r, char *out, size_t out_size)
{
    struct iommu_text t = { .out = out, .size = out_size };
    if (out_size)
        out[0] = 0;
    if (!r->readable) {
        iommu_text_add(&t, "cannot be read: no memory there");
        return;
    }
    switch (r->table) {
    case NW_VTD_ROOT_ENTRY:
    case NW_VTD_SCALABLE_ROOT_ENTRY:
        if (r->word)
            iommu_text_add(&t, r->value ? "reserved bits set" : "reserved");
        else if (iommu_text_present(&t, r->value))
            iommu_text_address(&t, "context table at", r->value, 12);
        break;
    case NW_VTD_CONTEXT_ENTRY: decode_context(&t, r); break;
    case NW_VTD_SCALABLE_CONTEXT_ENTRY: decode_scalable_context(&t, r); break;
    case NW_VTD_PASID_DIRECTORY_ENTRY: {
        bool present = iommu_text_present(&t, r->value);
        iommu_text_if(&t, r->value & 2, "FPD");
        if (present)
            iommu_text_address(&t, "PASID table at", r->value, 12);
        break;
    }
    case NW_VTD_PASID_TABLE_ENTRY: decode_pasid(&t, r); break;
    case NW_VTD_FIRST_STAGE_ENTRY: decode_first(&t, r); break;
    default: decode_second(&t, r); break;
    }
}
