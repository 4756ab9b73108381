/* Root, context and PASID-table entries. */
#include "judge.h"
#include "topology.h"
#include <stdio.h>
#include <string.h>

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
    struct row r = { .c = c, .u = nw_judge_unit(d, c->unit) };
    char name[8];
    nw_judge_name(c->source_id, name);
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
        nw_judge_add(j, X02, at, r->where, "the root entry is 0x%llx:0x%llx", (unsigned long long)c->root[1],
                     (unsigned long long)c->root[0]);
    if (context_reserved)
        nw_judge_add(j, X02, at, r->where, "the context entry is 0x%llx:0x%llx", (unsigned long long)c->context[1],
                     (unsigned long long)c->context[0]);
    if (c->has_pasid && ((c->entry[0] & nw_mask(11, 10)) || (c->entry[1] & (nw_mask(22, 16) | nw_mask(31, 27)))))
        nw_judge_add(j, X02, at, r->where, "the PASID-table entry is 0x%llx:0x%llx:0x%llx",
                     (unsigned long long)c->entry[2], (unsigned long long)c->entry[1], (unsigned long long)c->entry[0]);
    if (c->has_pasid) {
        const unsigned type = (unsigned)nw_field(c->entry[0], 8, 6);
        if (!type || type > PGTT_PASS_THROUGH)
            nw_judge_add(j, X03, at, r->where, "PGTT is %u; 1 to 4 are types", type);
        else if (caps && ((type == PGTT_FIRST && !(ecap & NW_VTD_ECAP_FLTS)) ||
                          (type == PGTT_SECOND && !(ecap & NW_VTD_ECAP_SLTS)) ||
                          (type == PGTT_PASS_THROUGH && !(ecap & NW_VTD_ECAP_PT))))
            nw_judge_add(j, X03, at, r->where, "PGTT is %u, which ECAP 0x%llx does not have", type,
                         (unsigned long long)ecap);
    } else {
        const unsigned type = (unsigned)nw_field(c->context[0], 3, 2);
        if (type == TT_RESERVED || (caps && type == 1 && !(ecap & NW_VTD_ECAP_DT)) ||
            (caps && type == TT_PASS_THROUGH && !(ecap & NW_VTD_ECAP_PT)))
            nw_judge_add(j, X03, at, r->where, "TT is %u, which %s", type,
                         type == TT_RESERVED ? "is reserved" : "the unit lacks");
    }
    if (r->root && (r->aw < 1 || r->aw > 3 || (caps && !(nw_vtd_sagaw(r->u->value[NW_DUMP_CAP]) >> r->aw & 1))))
        nw_judge_add(j, X03, at, r->where, "AW is %u, a width that %s", r->aw,
                     r->aw < 1 || r->aw > 3 ? "is reserved" : "SAGAW does not have");
}

static void judge_domain_id(struct judge *j, const struct row *r)
{
    const struct nw_dump_place *at = &r->c->place;
    if (!r->did)
        nw_judge_add(j, X07, at, r->where, "the domain id is 0%s",
                     r->u && set(r->u, NW_DUMP_CAP, NW_VTD_CAP_CM) ? ", and the unit is in caching mode" : "");
    if (r->u && r->u->has[NW_DUMP_CAP]) {
        const unsigned bits = 4 + 2 * (unsigned)nw_field(r->u->value[NW_DUMP_CAP], 2, 0);
        if (r->did >> (bits < 16 ? bits : 16))
            nw_judge_add(j, X08, at, r->where, "the domain id is 0x%x; the unit has %u bits", r->did, bits);
    }
    for (const struct nw_dump_context *before = j->d->context; before < r->c; before++) {
        const struct row o = row_of(j->d, before);
        if (!o.present || o.did != r->did || strcmp(before->unit, r->c->unit) != 0)
            continue;
        if (o.root && r->root && (o.root != r->root || o.aw != r->aw)) {
            nw_judge_add(j, X05, at, r->where, "domain 0x%x has its tables at 0x%llx, and at 0x%llx for %.40s", r->did,
                         (unsigned long long)r->root, (unsigned long long)o.root, o.where);
            return;
        }
        if (o.pass_through != r->pass_through) {
            nw_judge_add(j, X06, at, r->where, "domain 0x%x %s, and for %.40s it %s", r->did,
                         r->pass_through ? "passes through" : "translates", o.where,
                         o.pass_through ? "passes through" : "translates");
            return;
        }
    }
}

void nw_judge_translation(struct judge *j)
{
    const struct nw_dump *d = j->d;
    struct nw_requesters known;
    if (d->contexts)
        nw_topology_requesters(d, &known);
    for (size_t i = 0; i < d->contexts; i++) {
        const struct row r = row_of(d, &d->context[i]);
        if (!r.present)
            continue;
        judge_form(j, &r);
        judge_domain_id(j, &r);
        if (r.pass_through)
            nw_judge_add(j, X04, &r.c->place, r.where, "%s", r.c->has_pasid ? "PGTT is 4" : "TT is 2");
        if ((r.c->context[0] & 2) || (r.c->has_pasid && (r.c->entry[0] & 2)))
            nw_judge_add(j, X11, &r.c->place, r.where, "FPD is set in the %s entry",
                         r.c->context[0] & 2 ? "context" : "PASID-table");
        if (d->functions && !nw_requesters_has(&known, r.c->source_id, 0))
            nw_judge_add(j, X09, &r.c->place, r.where, "lspci has no such function");
    }
}
