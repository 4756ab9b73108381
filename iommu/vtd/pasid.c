/* PASID directory and PASID table: VT-d, "Scalable-Mode PASID Directory Entry", "Scalable-Mode PASID Table Entry". */
#include "cache.h"
#include "entries.h"

static bool read_entry(struct vtd_walk *w, const struct vtd_scalable_context *c, uint16_t source_id, uint32_t pasid,
                       uint64_t word[8], bool *directory_fpd, struct nw_vtd_fault *fault)
{
    if (vtd_pasid_lookup(w->caches, source_id, pasid, word, directory_fpd)) {
        w->domain.fpd |= *directory_fpd;
        return true;
    }
    uint64_t directory, directory_at = (c->word[0] & POINTER) + (pasid >> 6) * 8;
    vtd_entry(w, NW_VTD_PASID_DIRECTORY_ENTRY, directory_at);
    if (!vtd_load(w, directory_at, &directory))
        return vtd_fault(w, fault, 0x50);
    *directory_fpd = directory & ENTRY_FPD;
    w->domain.fpd |= *directory_fpd;
    if (!(directory & ENTRY_P))
        return vtd_fault(w, fault, 0x51);
    if (directory & (nw_mask(11, 2) | nw_mask(63, w->t->unit.haw)))
        return vtd_fault(w, fault, 0x52);
    uint64_t at = (directory & POINTER) + (uint64_t)(pasid & 63) * 64;
    vtd_entry(w, NW_VTD_PASID_TABLE_ENTRY, at);
    for (unsigned i = 0; i < 8; i++)
        if (!vtd_load(w, at + 8 * i, &word[i]))
            return vtd_fault(w, fault, 0x58);
    w->domain.fpd |= word[0] & ENTRY_FPD;
    if (!(word[0] & ENTRY_P))
        return vtd_fault(w, fault, 0x59);
    return true;
}

/* Reserved fields, those of capabilities that the unit lacks among them. A pointer counts when the type uses it.
 * MODEL: SRE and ERE are ignored without ECAP.SRS and ECAP.ERS; bits 6:5 of word 2 (NXE and SMEP of revision 3.0) are
 * ignored, and so is word 2 of types without a first stage. */
static bool reserved_set(const struct nw_vtd_capabilities *u, const uint64_t word[8])
{
    unsigned type = PASID_PGTT(word[0]);
    bool first = type == PGTT_FIRST || type == PGTT_NESTED, second = type == PGTT_SECOND || type == PGTT_NESTED;
    uint64_t above = nw_mask(63, u->haw);
    uint64_t reserved_0 =
        nw_mask(11, 10) | NW_BIT(5) | (second ? above : 0) | (u->ecap & NW_VTD_ECAP_SLADS ? 0 : PASID_SSADE);
    uint64_t reserved_1 = nw_mask(22, 16) | nw_mask(31, 27) | (u->ecap & NW_VTD_ECAP_SMPWCS ? 0 : PASID_PWSNP) |
                          (u->ecap & NW_VTD_ECAP_SC ? 0 : PASID_PGSNP) |
                          (u->ecap & NW_VTD_ECAP_MTS ? 0 : PASID_MEMTYPE);
    uint64_t reserved_2 = first ? nw_mask(11, 8) | above | (u->ecap & NW_VTD_ECAP_EAFS ? 0 : PASID_EAFE) : 0;
    return (word[0] & reserved_0) || (word[1] & reserved_1) || (word[2] & reserved_2) || word[3] || word[4] ||
           word[5] || word[6] || word[7];
}

/* The trees that the entry names; false: what it asks for does not exist in this unit. */
static bool make_trees(struct vtd_walk *w, const uint64_t word[8])
{
    const struct nw_vtd_capabilities *u = &w->t->unit;
    struct vtd_domain *d = &w->domain;
    unsigned type = PASID_PGTT(word[0]);
    if (type == PGTT_PASS_THROUGH) {
        d->translation = NW_VTD_PASS_THROUGH;
        d->identity = true;
        return u->ecap & NW_VTD_ECAP_PT;
    }
    if (type == PGTT_SECOND || type == PGTT_NESTED) {
        unsigned levels = vtd_second_stage_levels(u, PASID_AW(word[0]));
        if (!levels || (type == PGTT_SECOND && !(u->ecap & NW_VTD_ECAP_SLTS)))
            return false;
        vtd_second_stage(w, word[0] & POINTER, levels, word[0] & PASID_SSADE);
        d->translation = NW_VTD_SECOND_STAGE;
    }
    if (type == PGTT_SECOND)
        return true;
    /* MODEL: AW must be a width of the unit in first-stage entries too, as the recorded implementation has it. */
    uint64_t needs = type == PGTT_FIRST ? NW_VTD_ECAP_FLTS : NW_VTD_ECAP_NEST;
    unsigned mode = PASID_FSPM(word[2]);
    if ((type != PGTT_FIRST && type != PGTT_NESTED) || !(u->ecap & needs) || mode > 1 ||
        !vtd_second_stage_levels(u, PASID_AW(word[0])) || (mode == 1 && !(u->cap & NW_VTD_CAP_FL5LP)))
        return false;
    d->translation = type == PGTT_FIRST ? NW_VTD_FIRST_STAGE : NW_VTD_NESTED;
    struct nw_vtd_first_stage r = { .root = word[2] & POINTER,
                                    .levels = mode == 1 ? 5 : 4,
                                    .haw = u->haw,
                                    .large_1g = u->cap & NW_VTD_CAP_FL1GP,
                                    .extended_accessed = word[2] & PASID_EAFE,
                                    .write_protect = word[2] & PASID_WPE };
    return nw_paging_init_vtd_first(&d->first, &r, NULL) == NW_OK;
}

unsigned nw_vtd_pasid_trees(const struct nw_vtd_capabilities *unit, const uint64_t word[8], struct nw_vtd_trees *out)
{
    const struct nw_vtd_tables t = { .unit = *unit };
    struct vtd_walk w;
    *out = (struct nw_vtd_trees){ .translation = NW_VTD_PASS_THROUGH };
    if (reserved_set(unit, word))
        return 0x5a;
    vtd_walk_init(&w, &t, NULL);
    if (!make_trees(&w, word))
        return 0x5b;
    vtd_trees_of_walk(&w, out);
    return 0;
}

void nw_vtd_pasid_decode(const uint64_t word[3], struct nw_vtd_pasid_entry *out)
{
    const unsigned type = PASID_PGTT(word[0]);
    *out = (struct nw_vtd_pasid_entry){ .type = (uint8_t)type,
                                        .first_levels = (uint8_t)(PASID_FSPM(word[2]) + 4),
                                        .width = (uint8_t)PASID_AW(word[0]),
                                        .domain_id = (uint16_t)PASID_DID(word[1]),
                                        .flags_kept = word[0] & PASID_SSADE,
                                        .walk_snoops = word[1] & PASID_PWSNP,
                                        .page_snoops = word[1] & PASID_PGSNP,
                                        .supervisor = word[2] & PASID_SRE,
                                        .extended_flags = word[2] & PASID_EAFE };
    if (type == PGTT_FIRST || type == PGTT_NESTED)
        out->first_root = word[2] & POINTER;
    if (type == PGTT_SECOND || type == PGTT_NESTED)
        out->second_root = word[0] & POINTER;
}

bool vtd_find_pasid(struct vtd_walk *w, const struct nw_vtd_request *q, const struct vtd_scalable_context *c,
                    struct nw_vtd_fault *fault)
{
    const struct nw_vtd_capabilities *u = &w->t->unit;
    struct vtd_domain *d = &w->domain;
    uint64_t word[8];
    bool directory_fpd = false;
    d->pasid = q->has_pasid ? q->pasid : SCALABLE_RID_PASID(c->word[1]);
    if (d->pasid >= vtd_pasids_of(c))
        return vtd_fault(w, fault, q->has_pasid ? 0x46 : 0x48);
    d->privileged = q->has_pasid ? q->privileged : c->word[1] & SCALABLE_RID_PRIV;
    /* An execute request waits for ERE of the PASID-table entry. */
    if (w->context_cached && q->type == NW_VTD_UNTRANSLATED && !q->execute && vtd_iotlb_by_source(w->caches) &&
        vtd_iotlb_lookup(w->caches, d, q->address, vtd_need_of(q), &w->found)) {
        w->hit = true;
        return true;
    }
    if (!read_entry(w, c, q->source_id, d->pasid, word, &directory_fpd, fault))
        return false;
    d->fpd |= word[0] & ENTRY_FPD;
    if (reserved_set(u, word))
        return vtd_fault(w, fault, 0x5a);
    if (!make_trees(w, word))
        return vtd_fault(w, fault, 0x5b);
    vtd_pasid_fill(w->caches, q->source_id, d->pasid, word, directory_fpd, PASID_DID(word[1]));
    d->domain_id = (uint16_t)PASID_DID(word[1]);
    /* A unit with the control PWSNP sets flags in paging entries only when it is on. */
    d->walk_snoops = !(u->ecap & NW_VTD_ECAP_SMPWCS) || (word[1] & PASID_PWSNP);
    d->identity |= q->type == NW_VTD_TRANSLATED;
    if (d->translation == NW_VTD_FIRST_STAGE || d->translation == NW_VTD_NESTED) {
        if (q->has_pasid && q->execute && !((u->ecap & NW_VTD_ECAP_ERS) && (word[2] & PASID_ERE)))
            return vtd_fault(w, fault, 0x5c);
        if (d->privileged && !((u->ecap & NW_VTD_ECAP_SRS) && (word[2] & PASID_SRE)))
            return vtd_fault(w, fault, 0x5d);
    }
    return true;
}
