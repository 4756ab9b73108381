/* The rules about running machines. A finding stands where the fact is that makes it one. */
#include "../acpi/acpi_internal.h"
#include "../acpi/check_internal.h"
#include <nestwalk/iommu/dump.h>
#include <nestwalk/iommu/vtd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct judge {
    const struct nw_dump *d;
    unsigned input;
    struct nw_iommu_findings *findings;
    unsigned found[RULES];
    bool no_memory;
};

static NW_PRINTF(5, 6) void add(struct judge *j, enum rule rule, const struct nw_dump_place *at, const char *where,
                                const char *format, ...)
{
    if (at->input != j->input || j->found[rule]++ >= LISTED_MAX)
        return;
    struct nw_iommu_finding *f = nw_acpi_grow((void **)&j->findings->at, &j->findings->count, sizeof *f);
    if (!f) {
        j->no_memory = true;
        return;
    }
    f->rule = &nw_iommu_rules[rule];
    f->line = at->line;
    snprintf(f->where, sizeof f->where, "%s", where);
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->detail, sizeof f->detail, format, ap);
    va_end(ap);
}

static void name_of(uint16_t bdf, char out[8]) { snprintf(out, 8, "%02x:%02x.%x", bdf >> 8, bdf >> 3 & 31u, bdf & 7u); }

static const struct nw_dump_unit *unit_of(const struct nw_dump *d, const char *name)
{
    for (size_t i = 0; i < d->units; i++)
        if (!strcmp(d->unit[i].name, name))
            return &d->unit[i];
    return NULL;
}

/* ---- registers ---------------------------------------------------------------------------------- */

#define GSTS_TES  NW_BIT(31)
#define GSTS_QIES NW_BIT(26)
#define GSTS_IRES NW_BIT(25)
#define GSTS_CFIS NW_BIT(23)
#define IRTA_EIME NW_BIT(11)
#define IQA_DW    NW_BIT(11)
#define ECAP_IR   NW_BIT(3)

static bool set(const struct nw_dump_unit *u, enum nw_dump_register which, uint64_t bits)
{
    return u->has[which] && (u->value[which] & bits) == bits;
}
static bool clear(const struct nw_dump_unit *u, enum nw_dump_register which, uint64_t bits)
{
    return u->has[which] && !(u->value[which] & bits);
}

static void judge_modes(struct judge *j, const struct nw_dump_unit *u)
{
    const unsigned ttm = (unsigned)nw_field(u->value[NW_DUMP_RTADDR], 11, 10);
    const bool scalable = u->has[NW_DUMP_RTADDR] && ttm == NW_VTD_TTM_SCALABLE;
    if (clear(u, NW_DUMP_GSTS, GSTS_TES))
        add(j, X01, &u->at[NW_DUMP_GSTS], u->name, "GSTS is 0x%llx: TES is clear",
            (unsigned long long)u->value[NW_DUMP_GSTS]);
    if (set(u, NW_DUMP_ECAP, ECAP_IR) && clear(u, NW_DUMP_GSTS, GSTS_IRES))
        add(j, I02, &u->at[NW_DUMP_GSTS], u->name, "ECAP.IR is set and GSTS.IRES is clear");
    if (set(u, NW_DUMP_GSTS, GSTS_CFIS | GSTS_IRES) && clear(u, NW_DUMP_IRTA, IRTA_EIME))
        add(j, I13, &u->at[NW_DUMP_GSTS], u->name, "GSTS.CFIS and IRES are set, IRTA.EIME is clear");
    if (clear(u, NW_DUMP_GSTS, GSTS_QIES) && (set(u, NW_DUMP_GSTS, GSTS_IRES) || scalable))
        add(j, Q02, &u->at[NW_DUMP_GSTS], u->name, "GSTS.QIES is clear with %s",
            scalable ? "scalable mode" : "interrupt remapping on");
    if (u->has[NW_DUMP_RTADDR] && set(u, NW_DUMP_GSTS, GSTS_TES) &&
        (ttm == 2 || (scalable && clear(u, NW_DUMP_ECAP, NW_VTD_ECAP_SMTS))))
        add(j, X24, &u->at[NW_DUMP_RTADDR], u->name, "the table mode is %u%s", ttm,
            scalable ? ", and ECAP.SMTS is clear" : ", which is reserved");
    if (!set(u, NW_DUMP_GSTS, GSTS_QIES) || !u->has[NW_DUMP_IQA])
        return;
    const bool wide = u->value[NW_DUMP_IQA] & IQA_DW;
    if (scalable && !wide)
        add(j, Q03, &u->at[NW_DUMP_IQA], u->name, "IQA.DW is clear in scalable mode");
    else if (wide && clear(u, NW_DUMP_ECAP, NW_VTD_ECAP_SMTS))
        add(j, Q03, &u->at[NW_DUMP_IQA], u->name, "IQA.DW is set and ECAP.SMTS is clear");
    else if (wide && set(u, NW_DUMP_IQT, NW_BIT(4)))
        add(j, Q03, &u->at[NW_DUMP_IQT], u->name, "IQT is 0x%llx; descriptors of 256 bits have multiples of 0x20",
            (unsigned long long)u->value[NW_DUMP_IQT]);
}

static void judge_status(struct judge *j, const struct nw_dump_unit *u)
{
    const uint64_t fsts = u->value[NW_DUMP_FSTS], cap = u->value[NW_DUMP_CAP];
    if (u->has[NW_DUMP_FSTS] && (fsts & nw_mask(6, 4)))
        add(j, Q01, &u->at[NW_DUMP_FSTS], u->name, "FSTS is 0x%llx:%s%s%s", (unsigned long long)fsts,
            fsts & NW_BIT(4) ? " IQE" : "", fsts & NW_BIT(5) ? " ICE" : "", fsts & NW_BIT(6) ? " ITE" : "");
    if (u->has[NW_DUMP_FSTS] && (fsts & 3))
        add(j, F01, &u->at[NW_DUMP_FSTS], u->name, "FSTS is 0x%llx:%s%s", (unsigned long long)fsts,
            fsts & 2 ? " PPF, a record is pending" : "", fsts & 1 ? " PFO, faults were lost" : "");
    if (u->has[NW_DUMP_PMEN] && (u->value[NW_DUMP_PMEN] & (NW_BIT(31) | 1)) && set(u, NW_DUMP_GSTS, GSTS_TES))
        add(j, P01, &u->at[NW_DUMP_PMEN], u->name, "PMEN is 0x%llx with GSTS.TES set",
            (unsigned long long)u->value[NW_DUMP_PMEN]);
    if (u->has[NW_DUMP_CAP] && u->has[NW_DUMP_ECAP] && (cap & nw_mask(31, 0)) == nw_mask(31, 0) &&
        (u->value[NW_DUMP_ECAP] & nw_mask(31, 0)) == nw_mask(31, 0)) {
        add(j, D03, &u->at[NW_DUMP_CAP], u->name, "CAP is 0x%llx and ECAP 0x%llx", (unsigned long long)cap,
            (unsigned long long)u->value[NW_DUMP_ECAP]);
        return; /* its capabilities are none */
    }
    if (set(u, NW_DUMP_CAP, NW_VTD_CAP_CM))
        add(j, P02, &u->at[NW_DUMP_CAP], u->name, "CAP.CM is set");
    if (u->has[NW_DUMP_CAP] && !(nw_vtd_sagaw(cap) & 0xe) && clear(u, NW_DUMP_ECAP, NW_VTD_ECAP_FLTS))
        add(j, D15, &u->at[NW_DUMP_CAP], u->name, "SAGAW is 0x%x and ECAP.FLTS is clear", (unsigned)nw_vtd_sagaw(cap));
}

/* Against the first unit: what of the capabilities matters to who uses them together. */
static void judge_sameness(struct judge *j, const struct nw_dump_unit *u)
{
    const struct nw_dump_unit *first = &j->d->unit[0];
    const uint64_t cap_bits = nw_mask(12, 8) | nw_mask(37, 34),
                   ecap_bits = NW_BIT(3) | NW_BIT(4) | NW_BIT(6) | NW_BIT(7) | NW_VTD_ECAP_SMTS;
    if (u == first || !u->has[NW_DUMP_CAP] || !first->has[NW_DUMP_CAP] || !u->has[NW_DUMP_ECAP] ||
        !first->has[NW_DUMP_ECAP])
        return;
    const uint64_t cap = (u->value[NW_DUMP_CAP] ^ first->value[NW_DUMP_CAP]) & cap_bits;
    const uint64_t ecap = (u->value[NW_DUMP_ECAP] ^ first->value[NW_DUMP_ECAP]) & ecap_bits;
    if (cap || ecap)
        add(j, D14, &u->at[NW_DUMP_CAP], u->name, "differs from %s in%s%s%s%s%s%s", first->name,
            cap & nw_mask(12, 8) ? " widths (SAGAW)" : "", cap & nw_mask(37, 34) ? " large pages (SLLPS)" : "",
            ecap & NW_BIT(7) ? " snoop control (SC)" : "", ecap & NW_BIT(6) ? " pass-through (PT)" : "",
            ecap & (NW_BIT(3) | NW_BIT(4)) ? " interrupt remapping (IR, EIM)" : "",
            ecap & NW_VTD_ECAP_SMTS ? " scalable mode (SMTS)" : "");
}

static void judge_units(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->units; i++) {
        const struct nw_dump_unit *u = &d->unit[i];
        bool named = false;
        judge_modes(j, u);
        judge_status(j, u);
        judge_sameness(j, u);
        for (size_t k = 0; k < d->drhds; k++)
            named |= d->drhd[k].base == u->base;
        if (d->has_dmar && !named)
            add(j, D18, &u->place, u->name, "no DRHD of the firmware's table has the base 0x%llx",
                (unsigned long long)u->base);
    }
    for (size_t k = 0; d->units && k < d->drhds; k++) {
        bool shown = false;
        for (size_t i = 0; i < d->units; i++)
            shown |= d->unit[i].base == d->drhd[k].base;
        if (!shown)
            add(j, D18, &d->unit[0].place, d->unit[0].name, "the firmware's unit at 0x%llx is not shown",
                (unsigned long long)d->drhd[k].base);
    }
}

/* ---- translation entries ------------------------------------------------------------------------ */

enum { TT_PASS_THROUGH = 2, TT_RESERVED = 3, PGTT_FIRST = 1, PGTT_SECOND, PGTT_NESTED, PGTT_PASS_THROUGH };

/* A row, as far as the rules ask. */
struct row {
    const struct nw_dump_context *c;
    const struct nw_dump_unit *u; /* NULL: its registers are not known */
    char where[64];
    bool present, pass_through;
    unsigned did, aw;
    uint64_t root; /* of the second stage; 0: there is none */
};

static struct row row_of(const struct nw_dump *d, const struct nw_dump_context *c)
{
    struct row r = { .c = c, .u = unit_of(d, c->unit) };
    char name[8];
    name_of(c->source_id, name);
    if (c->has_pasid)
        snprintf(r.where, sizeof r.where, "%s %s PASID 0x%x", c->unit, name, c->pasid);
    else
        snprintf(r.where, sizeof r.where, "%s %s", c->unit, name);
    if (c->has_pasid) {
        const unsigned type = (unsigned)nw_field(c->entry[0], 8, 6);
        r.present = c->entry[0] & 1;
        r.pass_through = type == PGTT_PASS_THROUGH;
        r.did = (unsigned)nw_field(c->entry[1], 15, 0);
        r.aw = (unsigned)nw_field(c->entry[0], 4, 2);
        r.root = type == PGTT_SECOND || type == PGTT_NESTED ? c->entry[0] & nw_mask(51, 12) : 0;
    } else {
        r.present = c->context[0] & 1;
        r.pass_through = nw_field(c->context[0], 3, 2) == TT_PASS_THROUGH;
        r.did = (unsigned)nw_field(c->context[1], 23, 8);
        r.aw = (unsigned)nw_field(c->context[1], 2, 0);
        r.root = r.pass_through ? 0 : c->context[0] & nw_mask(51, 12);
    }
    return r;
}

static void judge_form(struct judge *j, const struct row *r)
{
    const struct nw_dump_context *c = r->c;
    const struct nw_dump_place *at = &c->place;
    const uint64_t ecap = r->u ? r->u->value[NW_DUMP_ECAP] : ~UINT64_C(0);
    const bool caps = r->u && r->u->has[NW_DUMP_CAP] && r->u->has[NW_DUMP_ECAP];
    const uint64_t context_reserved =
        c->has_pasid
            ? c->context[0] & nw_mask(8, 5)
            : (c->context[0] & nw_mask(11, 4)) | (c->context[1] & ~nw_mask(23, 0)) | (c->context[1] & NW_BIT(7));
    if ((c->root[0] & nw_mask(11, 1)) || (!c->has_pasid && c->root[1]))
        add(j, X02, at, r->where, "the root entry is 0x%llx:0x%llx", (unsigned long long)c->root[1],
            (unsigned long long)c->root[0]);
    if (context_reserved)
        add(j, X02, at, r->where, "the context entry is 0x%llx:0x%llx", (unsigned long long)c->context[1],
            (unsigned long long)c->context[0]);
    if (c->has_pasid && ((c->entry[0] & nw_mask(11, 10)) || (c->entry[1] & (nw_mask(22, 16) | nw_mask(31, 27)))))
        add(j, X02, at, r->where, "the PASID-table entry is 0x%llx:0x%llx:0x%llx", (unsigned long long)c->entry[2],
            (unsigned long long)c->entry[1], (unsigned long long)c->entry[0]);
    if (c->has_pasid) {
        const unsigned type = (unsigned)nw_field(c->entry[0], 8, 6);
        if (!type || type > PGTT_PASS_THROUGH)
            add(j, X03, at, r->where, "PGTT is %u; 1 to 4 are types", type);
        else if (caps && ((type == PGTT_FIRST && !(ecap & NW_VTD_ECAP_FLTS)) ||
                          (type == PGTT_SECOND && !(ecap & NW_VTD_ECAP_SLTS)) ||
                          (type == PGTT_NESTED && !(ecap & NW_VTD_ECAP_NEST)) ||
                          (type == PGTT_PASS_THROUGH && !(ecap & NW_VTD_ECAP_PT))))
            add(j, X03, at, r->where, "PGTT is %u, which ECAP 0x%llx does not have", type, (unsigned long long)ecap);
    } else {
        const unsigned type = (unsigned)nw_field(c->context[0], 3, 2);
        if (type == TT_RESERVED || (caps && type == 1 && !(ecap & NW_VTD_ECAP_DT)) ||
            (caps && type == TT_PASS_THROUGH && !(ecap & NW_VTD_ECAP_PT)))
            add(j, X03, at, r->where, "TT is %u, which %s", type,
                type == TT_RESERVED ? "is reserved" : "the unit lacks");
    }
    if (r->root && (r->aw < 1 || r->aw > 3 || (caps && !(nw_vtd_sagaw(r->u->value[NW_DUMP_CAP]) >> r->aw & 1))))
        add(j, X03, at, r->where, "AW is %u, a width that %s", r->aw,
            r->aw < 1 || r->aw > 3 ? "is reserved" : "SAGAW does not have");
}

static void judge_domain_id(struct judge *j, const struct row *r)
{
    const struct nw_dump_place *at = &r->c->place;
    if (!r->did)
        add(j, X07, at, r->where, "the domain id is 0%s",
            r->u && set(r->u, NW_DUMP_CAP, NW_VTD_CAP_CM) ? ", and the unit is in caching mode" : "");
    if (r->u && r->u->has[NW_DUMP_CAP]) {
        const unsigned bits = 4 + 2 * (unsigned)nw_field(r->u->value[NW_DUMP_CAP], 2, 0);
        if (r->did >> (bits < 16 ? bits : 16))
            add(j, X08, at, r->where, "the domain id is 0x%x; the unit has %u bits", r->did, bits);
    }
    for (const struct nw_dump_context *before = j->d->context; before < r->c; before++) {
        const struct row o = row_of(j->d, before);
        if (!o.present || o.did != r->did || strcmp(before->unit, r->c->unit) != 0)
            continue;
        if (o.root && r->root && (o.root != r->root || o.aw != r->aw)) {
            add(j, X05, at, r->where, "domain 0x%x has its tables at 0x%llx, and at 0x%llx for %.40s", r->did,
                (unsigned long long)r->root, (unsigned long long)o.root, o.where);
            return;
        }
        if (o.pass_through != r->pass_through) {
            add(j, X06, at, r->where, "domain 0x%x %s, and for %.40s it %s", r->did,
                r->pass_through ? "passes through" : "translates", o.where,
                o.pass_through ? "passes through" : "translates");
            return;
        }
    }
}

static bool is_shown(const struct nw_dump *d, uint16_t bdf)
{
    for (size_t i = 0; i < d->functions; i++)
        if (d->function[i].bdf == bdf)
            return true;
    return false;
}

static void judge_contexts(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->contexts; i++) {
        const struct row r = row_of(d, &d->context[i]);
        if (r.c->place.input != j->input || !r.present)
            continue;
        judge_form(j, &r);
        judge_domain_id(j, &r);
        if (r.pass_through)
            add(j, X04, &r.c->place, r.where, "%s", r.c->has_pasid ? "PGTT is 4" : "TT is 2");
        if ((r.c->context[0] & 2) || (r.c->has_pasid && (r.c->entry[0] & 2)))
            add(j, X11, &r.c->place, r.where, "FPD is set in the %s entry",
                r.c->context[0] & 2 ? "context" : "PASID-table");
        if (d->functions && !is_shown(d, r.c->source_id))
            add(j, X09, &r.c->place, r.where, "lspci has no such function");
    }
}

/* ---- interrupts --------------------------------------------------------------------------------- */

static void judge_interrupts(struct judge *j)
{
    for (size_t i = 0; i < j->d->irtes; i++) {
        const struct nw_dump_irte *e = &j->d->irte[i];
        const struct nw_dump_unit *u = unit_of(j->d, e->unit);
        const uint64_t low = e->word[0], high = e->word[1];
        const unsigned svt = (unsigned)nw_field(high, 19, 18), sq = (unsigned)nw_field(high, 17, 16);
        const unsigned mode = (unsigned)nw_field(low, 7, 5), vector = (unsigned)nw_field(low, 23, 16);
        const bool posted = low & NW_BIT(15);
        char where[64];
        snprintf(where, sizeof where, "%s entry %u", e->unit, e->index);
        if (!(low & 1) || e->place.input != j->input)
            continue;
        if (!svt)
            add(j, I05, &e->place, where, "SVT is 0");
        else if (svt == 1 && sq)
            add(j, I06, &e->place, where, "SVT is 1 and SQ %u: low bits of 0x%04x are not compared", sq,
                (unsigned)nw_field(high, 15, 0));
        else if (svt == 2 && nw_field(high, 15, 8) != nw_field(high, 7, 0))
            add(j, I06, &e->place, where, "SVT is 2: buses %02x to %02x", (unsigned)nw_field(high, 15, 8),
                (unsigned)nw_field(high, 7, 0));
        if (vector < 16 && (posted || mode <= 1))
            add(j, I08, &e->place, where, "the vector is 0x%02x", vector);
        if (!posted && mode > 1)
            add(j, I09, &e->place, where, "the delivery mode is %u", mode);
        if (!posted && u && clear(u, NW_DUMP_IRTA, IRTA_EIME) && (nw_field(low, 63, 32) & ~nw_mask(15, 8)))
            add(j, I10, &e->place, where, "the destination is 0x%08x and IRTA.EIME is clear",
                (unsigned)nw_field(low, 63, 32));
        if (u && u->has[NW_DUMP_IRTA] && e->index >> (nw_field(u->value[NW_DUMP_IRTA], 3, 0) + 1))
            add(j, I12, &e->place, where, "the table has %u entries",
                1u << (nw_field(u->value[NW_DUMP_IRTA], 3, 0) + 1));
    }
}

/* ---- mappings ------------------------------------------------------------------------------------ */

/* A 4 KiB page that no device may write to. */
struct held {
    uint64_t page;
    const char *what; /* "the root table" */
};
struct held_pages {
    struct held *at;
    size_t count;
    bool no_memory;
};

static void hold(struct held_pages *h, uint64_t address, uint64_t bytes, const char *what)
{
    for (uint64_t page = address >> 12; page <= (address + bytes - 1) >> 12 && !h->no_memory; page++) {
        struct held *more = nw_acpi_grow((void **)&h->at, &h->count, sizeof *more);
        h->no_memory = !more;
        if (more)
            *more = (struct held){ page, what };
    }
}

static int by_page(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    return x->page != y->page ? (x->page < y->page ? -1 : 1) : strcmp(x->what, y->what);
}

static void hold_unit(struct held_pages *h, const struct nw_dump_unit *u)
{
    if (u->base)
        hold(h, u->base & ~UINT64_C(0xfff), 4096, "the registers of a unit");
    if (set(u, NW_DUMP_GSTS, GSTS_TES) && u->has[NW_DUMP_RTADDR])
        hold(h, u->value[NW_DUMP_RTADDR] & nw_mask(51, 12), 4096, "a root table");
    if (set(u, NW_DUMP_GSTS, GSTS_QIES) && u->has[NW_DUMP_IQA])
        hold(h, u->value[NW_DUMP_IQA] & nw_mask(51, 12), UINT64_C(4096) << nw_field(u->value[NW_DUMP_IQA], 2, 0),
             "an invalidation queue");
    if (set(u, NW_DUMP_GSTS, GSTS_IRES) && u->has[NW_DUMP_IRTA])
        hold(h, u->value[NW_DUMP_IRTA] & nw_mask(51, 12), UINT64_C(32) << nw_field(u->value[NW_DUMP_IRTA], 3, 0),
             "an interrupt remapping table");
}

/* The tables that a row of dmar_translation_struct points to. */
static void hold_context(struct held_pages *h, const struct nw_dump_context *c)
{
    const uint64_t address = nw_mask(51, 12);
    const unsigned pgtt = (unsigned)nw_field(c->entry[0], 8, 6);
    for (unsigned i = 0; i < 2; i++)
        if (c->root[i] & 1)
            hold(h, c->root[i] & address, 4096, "a context table");
    if (!(c->context[0] & 1))
        return;
    if (!c->has_pasid && nw_field(c->context[0], 3, 2) != 2)
        hold(h, c->context[0] & address, 4096, "a paging table");
    if (!c->has_pasid)
        return;
    hold(h, c->context[0] & address, 4096, "a PASID directory");
    if (c->entry[0] & 1 && (pgtt == 2 || pgtt == 3))
        hold(h, c->entry[0] & address, 4096, "a paging table");
    if (c->entry[0] & 1 && pgtt == 1)
        hold(h, c->entry[2] & address, 4096, "a paging table");
}

static const struct held *first_held(const struct held_pages *h, uint64_t start, uint64_t last)
{
    size_t low = 0, high = h->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (h->at[middle].page < start >> 12)
            low = middle + 1;
        else
            high = middle;
    }
    return low < h->count && h->at[low].page <= last >> 12 ? &h->at[low] : NULL;
}

static void judge_mapping(struct judge *j, const struct held_pages *held, const struct nw_dump_mapping *m)
{
    const uint64_t first = 0xfee00000, end = 0xfeefffff, last = m->target + (m->bytes - 1);
    const struct held *h = m->write ? first_held(held, m->target, last) : NULL;
    char where[64];
    name_of(m->source_id, where);
    if (m->has_pasid)
        snprintf(where + strlen(where), sizeof where - strlen(where), " PASID 0x%x", m->pasid);
    snprintf(where + strlen(where), sizeof where - strlen(where), " IOVA 0x%llx", (unsigned long long)m->iova);
    if (h)
        add(j, X14, &m->place, where, "0x%llx leads to 0x%llx, %s",
            (unsigned long long)(m->iova + ((h->page << 12) - m->target)), (unsigned long long)(h->page << 12),
            h->what);
    if (m->write && !m->read)
        add(j, X13, &m->place, where, "0x%llx bytes are mapped for writing only", (unsigned long long)m->bytes);
    if (overlap(m->target, last, first, end))
        add(j, X15, &m->place, where, "0x%llx bytes to 0x%llx", (unsigned long long)m->bytes,
            (unsigned long long)m->target);
    if (!m->has_pasid && overlap(m->iova, m->iova + (m->bytes - 1), first, end))
        add(j, X16, &m->place, where, "0x%llx bytes", (unsigned long long)m->bytes);
    if (m->write && m->iova == m->target && m->bytes >= NW_BIT(30))
        add(j, X18, &m->place, where, "0x%llx bytes are where their addresses say", (unsigned long long)m->bytes);
}

static void judge_mappings(struct judge *j)
{
    const struct nw_dump *d = j->d;
    struct held_pages held = { .at = NULL };
    for (size_t i = 0; d->mappings && i < d->units; i++)
        hold_unit(&held, &d->unit[i]);
    for (size_t i = 0; d->mappings && i < d->contexts; i++)
        hold_context(&held, &d->context[i]);
    if (held.count)
        qsort(held.at, held.count, sizeof *held.at, by_page);
    for (size_t i = 0; i < d->mappings; i++)
        judge_mapping(j, &held, &d->mapping[i]);
    j->no_memory |= held.no_memory;
    free(held.at);
}

/* ---- the queue ------------------------------------------------------------------------------------ */

enum { QUEUE_IOTLB = 2, QUEUE_INTERRUPTS = 4, QUEUE_WAIT = 5, QUEUE_PASID_IOTLB = 6, QUEUE_LAST_TYPE = 9 };

static void judge_descriptor(struct judge *j, const struct nw_dump_descriptor *q)
{
    const struct nw_dump_unit *u = unit_of(j->d, q->unit);
    const uint64_t low = q->word[0], status = q->word[1] & ~UINT64_C(3);
    const unsigned type = (unsigned)(nw_field(low, 3, 0) | nw_field(low, 11, 9) << 4);
    char where[64];
    snprintf(where, sizeof where, "%s descriptor %u", q->unit, q->index);
    if (!type || type > QUEUE_LAST_TYPE)
        add(j, Q07, &q->place, where, "0x%llx is of the type %u", (unsigned long long)low, type);
    /* Both kinds of IOTLB descriptor: G in 5:4, 3 of pages; AM in 5:0 of the second word. */
    const unsigned mask = (unsigned)nw_field(q->word[1], 5, 0);
    if ((type == QUEUE_IOTLB || type == QUEUE_PASID_IOTLB) && nw_field(low, 5, 4) == 3 && u &&
        set(u, NW_DUMP_CAP, NW_VTD_CAP_PSI) && mask > nw_field(u->value[NW_DUMP_CAP], 53, 48))
        add(j, Q07, &q->place, where, "AM is %u, and MAMV %u", mask, (unsigned)nw_field(u->value[NW_DUMP_CAP], 53, 48));
    if (type == QUEUE_INTERRUPTS && (low & NW_BIT(4)) && u && u->has[NW_DUMP_ECAP] &&
        nw_field(low, 31, 27) > nw_field(u->value[NW_DUMP_ECAP], 23, 20))
        add(j, Q07, &q->place, where, "IM is %u, and MHMV %u", (unsigned)nw_field(low, 31, 27),
            (unsigned)nw_field(u->value[NW_DUMP_ECAP], 23, 20));
    for (size_t i = 0; type == QUEUE_WAIT && (low & NW_BIT(5)) && i < j->d->mappings; i++) {
        const struct nw_dump_mapping *m = &j->d->mapping[i];
        char device[8];
        name_of(m->source_id, device);
        if (!m->write || status < m->target || status - m->target >= m->bytes)
            continue;
        add(j, Q08, &q->place, where, "%s writes to 0x%llx at IOVA 0x%llx", device, (unsigned long long)status,
            (unsigned long long)(m->iova + (status - m->target)));
        break; /* one device a descriptor is enough */
    }
}

/* ---- memory, options, devices ------------------------------------------------------------------- */

static bool is_ram(const struct nw_dump_range *r) { return !strncmp(r->what, "System RAM", 10); }

static void judge_memory(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; d->ranges && i < d->rmrrs; i++) {
        const struct nw_dump_range *m = &d->rmrr[i], *ram = NULL;
        uint64_t covered = m->start; /* by reserved ranges, which stand in rising order */
        char where[64];
        for (size_t k = 0; k < d->ranges; k++) {
            const struct nw_dump_range *r = &d->range[k];
            if (is_ram(r) && overlap(m->start, m->last, r->start, r->last))
                ram = r;
            if (!is_ram(r) && covered <= m->last && r->start <= covered && r->last >= covered)
                covered = r->last + 1;
        }
        snprintf(where, sizeof where, "RMRR %llx-%llx", (unsigned long long)m->start, (unsigned long long)m->last);
        if (ram)
            add(j, R02, &ram->place, where, "overlaps System RAM at %llx-%llx", (unsigned long long)ram->start,
                (unsigned long long)ram->last);
        else if (covered <= m->last)
            add(j, R03, &d->range[0].place, where, "0x%llx lies in no reserved range", (unsigned long long)covered);
    }
}

static void judge_options(struct judge *j)
{
    static const struct {
        const char *text, *what;
        bool whole; /* the option and nothing behind it */
    } bad[] = {
        { "iommu=pt", "devices of the host are passed through", true },
        { "iommu.passthrough=1", "devices of the host are passed through", true },
        { "intel_iommu=off", "DMA is not translated", true },
        { "amd_iommu=off", "DMA is not translated", true },
        { "iommu=off", "DMA is not translated", true },
        { "intremap=off", "interrupts are not remapped", true },
        { "intremap=nosid", "the source of interrupts is not verified", true },
        { "nointremap", "interrupts are not remapped", true },
        { "intel_iommu=igfx_off", "the graphics device is not translated", true },
        { "vfio_iommu_type1.allow_unsafe_interrupts=1", "guests get devices without interrupt remapping", true },
        { "pcie_acs_override=", "groups are split that are not isolated", false },
    };
    for (size_t i = 0; i < j->d->options; i++) {
        const struct nw_dump_option *o = &j->d->option[i];
        for (size_t k = 0; k < NW_ARRAY_LEN(bad); k++)
            if ((bad[k].whole ? !strcmp(o->text, bad[k].text) : !strncmp(o->text, bad[k].text, strlen(bad[k].text))))
                add(j, P05, &o->place, o->text, "%s", bad[k].what);
        if (!strcmp(o->text, "intel_iommu=off") && j->d->has_dmar && (j->d->dmar_flags & NW_DMAR_PLATFORM_OPT_IN))
            add(j, P03, &o->place, o->text, "the DMAR table has DMA_CTRL_PLATFORM_OPT_IN");
    }
}

/* Some unit has it: by name, below a bridge that is named (which buses those are lspci says only of a running machine, so a bridge's
 * scope is taken to cover all buses but 0), or as one of all. */
static bool is_covered(const struct nw_dump *d, const struct nw_dump_function *f)
{
    for (size_t i = 0; i < d->drhds; i++)
        if (d->drhd[i].segment == f->segment && d->drhd[i].all)
            return true;
    for (size_t i = 0; i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        if (d->drhd[s->drhd].segment == f->segment &&
            ((!s->deep && s->bdf == f->bdf) || ((s->deep || s->bridge) && f->bdf >> 8)))
            return true;
    }
    return false;
}

static void judge_devices(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *f = &d->function[i];
        char where[64];
        name_of(f->bdf, where);
        if (d->has_dmar && d->drhds && !is_covered(d, f) && !f->bridge)
            add(j, D07, &f->place, where, "%.80s", f->what);
        if ((f->pcie_port || (f->multifunction && f->has_acs)) && !f->acs_isolates)
            add(j, G02, &f->place, where, "%.60s: %s", f->what,
                f->has_acs ? "ACS is not on for SrcValid, ReqRedir, CmpltRedir and UpstreamFwd" : "has no ACS");
        for (size_t k = 0; f->ats_on && k < d->contexts; k++) {
            const struct nw_dump_context *c = &d->context[k];
            if (c->source_id == f->bdf && !c->has_pasid && (c->context[0] & 1) && nw_field(c->context[0], 3, 2) != 1)
                add(j, G06, &f->place, where, "ATSCtl has Enable+, and TT is %u",
                    (unsigned)nw_field(c->context[0], 3, 2));
        }
    }
    for (size_t i = 0; d->functions && i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        char where[64];
        name_of(s->bdf, where);
        if (!s->deep && !is_shown(d, s->bdf))
            add(j, D11, &d->function[0].place, where, "a scope of the unit at 0x%llx",
                (unsigned long long)d->drhd[s->drhd].base);
    }
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static int by_severity(const void *a, const void *b)
{
    const struct nw_iommu_finding *x = a, *y = b;
    if (x->rule->severity != y->rule->severity)
        return x->rule->severity > y->rule->severity ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    const int where = strcmp(x->where, y->where);
    return where ? where : strcmp(x->detail, y->detail);
}

enum nw_status nw_iommu_check_dump(const struct nw_dump *d, unsigned input, struct nw_iommu_findings *findings,
                                   struct nw_error *err)
{
    struct judge j = { .d = d, .input = input, .findings = findings };
    const size_t before = findings->count;
    judge_units(&j);
    judge_contexts(&j);
    judge_mappings(&j);
    judge_interrupts(&j);
    for (size_t i = 0; i < d->descriptors; i++)
        judge_descriptor(&j, &d->descriptor[i]);
    judge_memory(&j);
    judge_options(&j);
    judge_devices(&j);
    if (j.no_memory)
        return nw_fail_nomem(err, "the findings");
    for (enum rule rule = 0; rule < RULES; rule++)
        if (j.found[rule] > LISTED_MAX) {
            struct nw_iommu_finding *f = nw_acpi_grow((void **)&findings->at, &findings->count, sizeof *f);
            if (!f)
                return nw_fail_nomem(err, "the findings");
            f->rule = &nw_iommu_rules[rule];
            f->line = UINT32_MAX; /* behind the others */
            snprintf(f->where, sizeof f->where, "and");
            snprintf(f->detail, sizeof f->detail, "%u more are not listed", j.found[rule] - LISTED_MAX);
        }
    if (findings->count > before)
        qsort(findings->at + before, findings->count - before, sizeof *findings->at, by_severity);
    for (size_t i = before; i < findings->count; i++)
        findings->at[i].line = findings->at[i].line == UINT32_MAX ? 1 : findings->at[i].line;
    return NW_OK;
}
