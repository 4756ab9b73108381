/* The words that a translation reads, for whoever watches it, and what is in them: VT-d, chapter "Translation Structure
 * Formats". */
#include "vtd_internal.h"
#include <stdarg.h>
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

struct text {
    char *out;
    size_t size, used;
};

/* Adds one field; fields are separated by ", ". */
static NW_PRINTF(2, 3) void add(struct text *t, const char *format, ...)
{
    if (t->used + 3 >= t->size)
        return;
    if (t->used)
        t->used += (size_t)snprintf(t->out + t->used, t->size - t->used, ", ");
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(t->out + t->used, t->size - t->used, format, ap);
    va_end(ap);
    t->used += n > 0 ? (size_t)n : 0;
    if (t->used >= t->size)
        t->used = t->size - 1;
}

static void add_address(struct text *t, const char *what, uint64_t value, unsigned lowest)
{
    add(t, "%s 0x%llx", what, (unsigned long long)(value & nw_mask(51, lowest)));
}

static bool add_present(struct text *t, uint64_t value)
{
    add(t, value & 1 ? "present" : "not present");
    return value & 1;
}

static void add_if(struct text *t, bool set, const char *name)
{
    if (set)
        add(t, "%s", name);
}

/* AW, of a context entry or a PASID-table entry: 1, 2, 3 are 39, 48, 57 bits. */
static void add_width(struct text *t, unsigned aw)
{
    if (aw >= 1 && aw <= 3)
        add(t, "AW %u (%u bits)", aw, 30 + 9 * aw);
    else
        add(t, "AW %u (reserved)", aw);
}

static void decode_context(struct text *t, const struct nw_vtd_read *r)
{
    static const char *const type[] = { "untranslated requests", "all requests", "pass-through", "reserved" };
    uint64_t v = r->value;
    if (r->word == 1) {
        add_width(t, (unsigned)nw_field(v, 2, 0));
        add(t, "DID 0x%x", (unsigned)nw_field(v, 23, 8));
    } else if (add_present(t, v)) {
        add_if(t, v & 2, "FPD");
        add(t, "TT %u (%s)", (unsigned)nw_field(v, 3, 2), type[nw_field(v, 3, 2)]);
        if (nw_field(v, 3, 2) != 2) /* pass-through ignores it */
            add_address(t, "second stage at", v, 12);
    } else {
        add_if(t, v & 2, "FPD");
    }
}

static void decode_scalable_context(struct text *t, const struct nw_vtd_read *r)
{
    uint64_t v = r->value;
    if (r->word == 1) {
        add(t, "RID_PASID 0x%x", (unsigned)nw_field(v, 19, 0));
        add_if(t, v & NW_BIT(20), "RID_PRIV");
    } else if (r->word) {
        add(t, v ? "reserved bits set" : "reserved");
    } else {
        bool present = add_present(t, v);
        add_if(t, v & 2, "FPD");
        if (!present)
            return;
        add_if(t, v & 4, "DTE");
        add_if(t, v & 8, "PASIDE");
        add_if(t, v & 16, "PRE");
        add(t, "PDTS %u (PASIDs below 0x%x)", (unsigned)nw_field(v, 11, 9), 64u << (nw_field(v, 11, 9) + 7));
        add_address(t, "PASID directory at", v, 12);
    }
}

static void decode_pasid(struct text *t, const struct nw_vtd_read *r)
{
    static const char *const type[8] = { "reserved",     "first stage", "second stage", "nested",
                                         "pass-through", "reserved",    "reserved",     "reserved" };
    uint64_t v = r->value;
    switch (r->word) {
    case 0:
        if (!add_present(t, v)) {
            add_if(t, v & 2, "FPD");
            return;
        }
        add_if(t, v & 2, "FPD");
        add_width(t, (unsigned)nw_field(v, 4, 2));
        add(t, "PGTT %u (%s)", (unsigned)nw_field(v, 8, 6), type[nw_field(v, 8, 6)]);
        add_if(t, v & NW_BIT(9), "SSADE");
        if (nw_field(v, 8, 6) == 2 || nw_field(v, 8, 6) == 3)
            add_address(t, "second stage at", v, 12);
        break;
    case 1:
        add(t, "DID 0x%x", (unsigned)nw_field(v, 15, 0));
        add_if(t, v & NW_BIT(23), "PWSNP");
        add_if(t, v & NW_BIT(24), "PGSNP");
        break;
    case 2:
        add_if(t, v & 1, "SRE");
        add_if(t, v & 2, "ERE");
        add(t, "FSPM %u (%s)", (unsigned)nw_field(v, 3, 2),
            nw_field(v, 3, 2) == 0   ? "4 levels"
            : nw_field(v, 3, 2) == 1 ? "5 levels"
                                     : "reserved");
        add_if(t, v & NW_BIT(4), "WPE");
        add_if(t, v & NW_BIT(7), "EAFE");
        add_address(t, "first stage at", v, 12);
        break;
    default: add(t, v ? "reserved bits set" : "reserved"); break;
    }
}

/* A leaf of level n maps 2^(12 + 9 (n - 1)) bytes; bit 7 makes levels 2 and 3 leaves. */
static void add_target(struct text *t, const struct nw_vtd_read *r)
{
    bool large = (r->level == 2 || r->level == 3) && (r->value & NW_BIT(7));
    unsigned lowest = large ? 12 + 9 * (r->level - 1u) : 12;
    add_if(t, large, r->level == 2 ? "2 MiB page" : "1 GiB page");
    add_address(t, large || r->level == 1 ? "page at" : "table at", r->value, lowest);
}

static void decode_first(struct text *t, const struct nw_vtd_read *r)
{
    uint64_t v = r->value;
    if (!add_present(t, v))
        return;
    add(t, v & 2 ? "writable" : "read-only");
    add(t, v & 4 ? "user" : "supervisor");
    add_if(t, v & NW_BIT(63), "no-execute");
    add_if(t, v & NW_BIT(5), "accessed");
    add_if(t, v & NW_BIT(6), "dirty");
    add_target(t, r);
}

static void decode_second(struct text *t, const struct nw_vtd_read *r)
{
    uint64_t v = r->value;
    static const char *const rights[] = { "neither readable nor writable", "readable", "writable",
                                          "readable and writable" };
    add(t, "%s", rights[v & 3]);
    if (!(v & 3))
        return;
    add_if(t, v & NW_BIT(8), "accessed");
    add_if(t, v & NW_BIT(9), "dirty");
    add_target(t, r);
}

void nw_vtd_read_decode(const struct nw_vtd_read *r, char *out, size_t out_size)
{
    struct text t = { .out = out, .size = out_size };
    if (out_size)
        out[0] = 0;
    if (!r->readable) {
        add(&t, "cannot be read: no memory there");
        return;
    }
    switch (r->table) {
    case NW_VTD_ROOT_ENTRY:
    case NW_VTD_SCALABLE_ROOT_ENTRY:
        if (r->word)
            add(&t, r->value ? "reserved bits set" : "reserved");
        else if (add_present(&t, r->value))
            add_address(&t, "context table at", r->value, 12);
        break;
    case NW_VTD_CONTEXT_ENTRY: decode_context(&t, r); break;
    case NW_VTD_SCALABLE_CONTEXT_ENTRY: decode_scalable_context(&t, r); break;
    case NW_VTD_PASID_DIRECTORY_ENTRY: {
        bool present = add_present(&t, r->value);
        add_if(&t, r->value & 2, "FPD");
        if (present)
            add_address(&t, "PASID table at", r->value, 12);
        break;
    }
    case NW_VTD_PASID_TABLE_ENTRY: decode_pasid(&t, r); break;
    case NW_VTD_FIRST_STAGE_ENTRY: decode_first(&t, r); break;
    default: decode_second(&t, r); break;
    }
}
