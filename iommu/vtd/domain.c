/* From a source id to what translates its requests: VT-d, "Hierarchical Translation Structures", "Legacy Mode Address
 * Translation" and "Scalable Mode Address Translation". PASID structures are in pasid.c. */
#include "cache.h"
#include "entries.h"

enum nw_status nw_vtd_capabilities_check(const struct nw_vtd_capabilities *c, struct nw_error *err)
{
    if (c->haw < 32 || c->haw > NW_PHYS_BITS_MAX)
        return nw_fail(err, NW_ERR_INPUT, "VT-d: the host address width is %u; 32 to %d are allowed", c->haw,
                       NW_PHYS_BITS_MAX);
    return NW_OK;
}

bool vtd_load_checked(struct vtd_walk *w, uint64_t address, uint64_t *out)
{
    const struct nw_vtd_memory *m = &w->t->memory;
    bool readable = !m->ram && !(address >> w->t->unit.haw);
    for (size_t i = 0; m->ram && i < m->ram_count; i++)
        readable |= address >= m->ram[i].start && address < m->ram[i].end;
    w->references++;
    if (NW_UNLIKELY(w->t->watch != NULL) && w->t->watch->need)
        w->t->watch->need(w->t->watch->context, address);
    w->load_failed = !readable;
    *out = readable ? nw_physmem_read64(m->pm, nw_hpa(address)) : 0;
    if (NW_UNLIKELY(w->t->watch != NULL))
        vtd_watch_word(w, address, *out, readable);
    return readable;
}

bool vtd_fault(struct vtd_walk *w, struct nw_vtd_fault *fault, unsigned reason)
{
    fault->reason = (uint8_t)reason;
    fault->recorded = !(w->domain.fpd && nw_vtd_fault_qualified(reason));
    return false;
}

unsigned vtd_second_stage_levels(const struct nw_vtd_capabilities *u, unsigned aw)
{
    /* AW 1, 2, 3: 39, 48, 57 bits. SAGAW has their bits in the same places; its bits 0 and 4 are reserved. */
    return aw >= 1 && aw <= 3 && ((nw_vtd_sagaw(u->cap) >> aw) & 1) ? aw + 2 : 0;
}

void vtd_second_stage(struct vtd_walk *w, uint64_t root, unsigned levels, bool accessed_dirty)
{
    const struct nw_vtd_capabilities *u = &w->t->unit;
    struct nw_vtd_second_stage r = { .root = root,
                                     .levels = levels,
                                     .haw = u->haw,
                                     .large_2m = u->cap & NW_VTD_CAP_SLLPS2M,
                                     .large_1g = u->cap & NW_VTD_CAP_SLLPS1G,
                                     .snoop_control = u->ecap & NW_VTD_ECAP_SC,
                                     .transient_mapping = u->ecap & NW_VTD_ECAP_DT,
                                     .accessed_dirty = accessed_dirty };
    enum nw_status s = nw_paging_init_vtd_second(&w->domain.second, &r, NULL);
    if (s) /* only a unit that nw_vtd_capabilities_check() refuses: nothing is mapped */
        w->domain.second = (struct nw_paging){ .format = nw_vtd_format(NW_FORMAT_VTD_SS_3LEVEL), .levels = 3 };
    unsigned mgaw = nw_vtd_mgaw(u->cap);
    if (mgaw < w->domain.second.input_bits)
        w->domain.second.input_bits = (uint8_t)mgaw;
}

/* ---- legacy mode -------------------------------------------------------------------------------- */

#define CONTEXT_LO_RSVD nw_mask(11, 4)
#define CONTEXT_HI_RSVD (NW_BIT(7) | nw_mask(63, 24))
#define TABLE_POINTER   nw_mask(63, 12)

static bool read_legacy_context(struct vtd_walk *w, uint16_t source_id, uint64_t word[2], struct nw_vtd_fault *fault)
{
    if (vtd_context_lookup(w->caches, source_id, word, 2))
        return true;
    uint64_t root, upper, at = (w->t->rtaddr & TABLE_POINTER) + (uint64_t)(source_id >> 8) * 16;
    uint64_t above = nw_mask(63, w->t->unit.haw);
    vtd_entry(w, NW_VTD_ROOT_ENTRY, at);
    if (!vtd_load(w, at, &root) || !vtd_load(w, at + 8, &upper))
        return vtd_fault(w, fault, 0x08);
    if (!(root & 1))
        return vtd_fault(w, fault, 0x01);
    if ((root & (nw_mask(11, 1) | above)) || upper)
        return vtd_fault(w, fault, 0x0a);
    at = (root & TABLE_POINTER) + (uint64_t)(source_id & 255) * 16;
    vtd_entry(w, NW_VTD_CONTEXT_ENTRY, at);
    if (!vtd_load(w, at, &word[0]) || !vtd_load(w, at + 8, &word[1]))
        return vtd_fault(w, fault, 0x09);
    w->domain.fpd = word[0] & CONTEXT_FPD;
    if (!(word[0] & CONTEXT_P))
        return vtd_fault(w, fault, 0x02);
    return true;
}

/* Why every request faults; 0: none does. */
static unsigned legacy_reason(const struct nw_vtd_capabilities *u, const uint64_t word[2])
{
    const unsigned type = CONTEXT_TT(word[0]), levels = vtd_second_stage_levels(u, CONTEXT_AW(word[1]));
    uint64_t above = type == TT_PASS_THROUGH ? 0 : nw_mask(63, u->haw); /* pass-through ignores the pointer */
    if ((word[0] & (CONTEXT_LO_RSVD | above)) || (word[1] & CONTEXT_HI_RSVD))
        return 0x0b;
    if (!levels || type == TT_RESERVED || (type == TT_ALL && !(u->ecap & NW_VTD_ECAP_DT)) ||
        (type == TT_PASS_THROUGH && !(u->ecap & NW_VTD_ECAP_PT)))
        return 0x03;
    return 0;
}

static void legacy_tree(struct vtd_walk *w, const uint64_t word[2])
{
    vtd_second_stage(w, CONTEXT_TT(word[0]) == TT_PASS_THROUGH ? 0 : word[0] & TABLE_POINTER,
                     vtd_second_stage_levels(&w->t->unit, CONTEXT_AW(word[1])), false);
}

static bool find_legacy(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_fault *fault)
{
    const struct nw_vtd_capabilities *u = &w->t->unit;
    struct vtd_domain *d = &w->domain;
    uint64_t word[2];
    if (q->has_pasid)
        return vtd_fault(w, fault, 0x31);
    if (!read_legacy_context(w, q->source_id, word, fault))
        return false;
    d->fpd = word[0] & CONTEXT_FPD;
    unsigned reason = legacy_reason(u, word), type = CONTEXT_TT(word[0]);
    if (reason)
        return vtd_fault(w, fault, reason);
    vtd_context_fill(w->caches, q->source_id, word, 2, CONTEXT_DID(word[1]), false);
    d->domain_id = vtd_domain_id(u, CONTEXT_DID(word[1]));
    if (q->type != NW_VTD_UNTRANSLATED && type != TT_ALL)
        return vtd_fault(w, fault, 0x0d);
    d->identity = type == TT_PASS_THROUGH || q->type == NW_VTD_TRANSLATED;
    d->translation = type == TT_PASS_THROUGH ? NW_VTD_PASS_THROUGH : NW_VTD_SECOND_STAGE;
    legacy_tree(w, word);
    return true;
}

void vtd_trees_of_walk(const struct vtd_walk *w, struct nw_vtd_trees *out)
{
    const enum nw_vtd_translation translation = w->domain.translation;
    out->translation = translation;
    out->has_first = translation == NW_VTD_FIRST_STAGE || translation == NW_VTD_NESTED;
    out->has_second = translation == NW_VTD_SECOND_STAGE || translation == NW_VTD_NESTED;
    if (out->has_first)
        out->first = w->domain.first;
    if (out->has_second)
        out->second = w->domain.second;
}

unsigned nw_vtd_context_trees(const struct nw_vtd_capabilities *unit, const uint64_t word[2], struct nw_vtd_trees *out)
{
    const struct nw_vtd_tables t = { .unit = *unit };
    struct vtd_walk w;
    const unsigned reason = legacy_reason(unit, word);
    *out = (struct nw_vtd_trees){ .translation = NW_VTD_PASS_THROUGH };
    if (reason || CONTEXT_TT(word[0]) == TT_PASS_THROUGH)
        return reason;
    vtd_walk_init(&w, &t, NULL);
    w.domain.translation = NW_VTD_SECOND_STAGE;
    legacy_tree(&w, word);
    vtd_trees_of_walk(&w, out);
    return 0;
}

/* ---- scalable mode ------------------------------------------------------------------------------ */

static bool read_scalable_context(struct vtd_walk *w, uint16_t source_id, struct vtd_scalable_context *c,
                                  struct nw_vtd_fault *fault)
{
    w->context_cached = vtd_context_lookup(w->caches, source_id, c->word, 4);
    if (w->context_cached)
        return true;
    /* A root entry has two halves: for functions 00.0 to 0f.7 of the bus, and for 10.0 to 1f.7. Each is looked at alone. */
    uint64_t half, at = (w->t->rtaddr & TABLE_POINTER) + (uint64_t)(source_id >> 8) * 16 + (source_id & 0x80 ? 8 : 0);
    vtd_entry(w, NW_VTD_SCALABLE_ROOT_ENTRY, at);
    if (!vtd_load(w, at, &half))
        return vtd_fault(w, fault, 0x38);
    if (!(half & 1))
        return vtd_fault(w, fault, 0x39);
    if (half & (nw_mask(11, 1) | nw_mask(63, w->t->unit.haw)))
        return vtd_fault(w, fault, 0x3a);
    at = (half & TABLE_POINTER) + (uint64_t)(source_id & 0x7f) * 32;
    vtd_entry(w, NW_VTD_SCALABLE_CONTEXT_ENTRY, at);
    for (unsigned i = 0; i < 4; i++)
        if (!vtd_load(w, at + 8 * i, &c->word[i]))
            return vtd_fault(w, fault, 0x40);
    w->domain.fpd = c->word[0] & CONTEXT_FPD;
    if (!(c->word[0] & CONTEXT_P))
        return vtd_fault(w, fault, 0x41);
    return true;
}

static bool find_scalable_context(struct vtd_walk *w, const struct nw_vtd_request *q, struct vtd_scalable_context *c,
                                  struct nw_vtd_fault *fault)
{
    const uint64_t ecap = w->t->unit.ecap;
    w->domain.scalable = true;
    if (!read_scalable_context(w, q->source_id, c, fault))
        return false;
    w->domain.fpd = c->word[0] & CONTEXT_FPD;
    /* Controls of what the unit lacks are reserved.
     * MODEL: RID_PASID is used whatever ECAP.RPS says; revision 3.0 has the field and not the capability. */
    uint64_t reserved = nw_mask(8, 5) | nw_mask(63, w->t->unit.haw) | (ecap & NW_VTD_ECAP_DT ? 0 : SCALABLE_DTE) |
                        (ecap & NW_VTD_ECAP_PASID ? 0 : SCALABLE_PASIDE) | (ecap & NW_VTD_ECAP_PRS ? 0 : SCALABLE_PRE);
    uint64_t reserved_1 = nw_mask(63, 21) | (ecap & NW_VTD_ECAP_RPRIVS ? 0 : NW_BIT(20));
    if ((c->word[0] & reserved) || (c->word[1] & reserved_1) || c->word[2] || c->word[3])
        return vtd_fault(w, fault, 0x42);
    vtd_context_fill(w->caches, q->source_id, c->word, 4, 0, true);
    return true;
}

static bool find_scalable(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_fault *fault)
{
    struct vtd_scalable_context c;
    if (!find_scalable_context(w, q, &c, fault))
        return false;
    if (q->type != NW_VTD_UNTRANSLATED && !(c.word[0] & SCALABLE_DTE))
        return vtd_fault(w, fault, 0x44);
    if (q->has_pasid && !(c.word[0] & SCALABLE_PASIDE))
        return vtd_fault(w, fault, 0x45);
    return vtd_find_pasid(w, q, &c, fault);
}

/* ---- by table mode ------------------------------------------------------------------------------ */

/* Abort mode, or one that the unit lacks. */
static bool no_mode(struct vtd_walk *w, struct nw_vtd_fault *fault)
{
    vtd_fault(w, fault, 0x30);
    if (nw_field(w->t->rtaddr, 11, 10) == NW_VTD_TTM_ABORT)
        fault->recorded = false; /* requests are refused without a report */
    return false;
}

static bool is_scalable(const struct vtd_walk *w)
{
    return nw_field(w->t->rtaddr, 11, 10) == NW_VTD_TTM_SCALABLE && (w->t->unit.ecap & NW_VTD_ECAP_SMTS);
}

bool vtd_find_domain(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_fault *fault)
{
    w->domain.walk_snoops = true;
    w->domain.source_id = q->source_id;
    if (nw_field(w->t->rtaddr, 11, 10) == NW_VTD_TTM_LEGACY)
        return find_legacy(w, q, fault);
    return is_scalable(w) ? find_scalable(w, q, fault) : no_mode(w, fault);
}

bool vtd_page_request_allowed(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_fault *fault)
{
    struct vtd_scalable_context c;
    w->domain.source_id = q->source_id;
    if (nw_field(w->t->rtaddr, 11, 10) == NW_VTD_TTM_LEGACY)
        return vtd_fault(w, fault, 0x32);
    if (!is_scalable(w))
        return no_mode(w, fault);
    if (!find_scalable_context(w, q, &c, fault))
        return false;
    if (!(c.word[0] & SCALABLE_PRE))
        return vtd_fault(w, fault, 0x47);
    if (q->has_pasid && !(c.word[0] & SCALABLE_PASIDE))
        return vtd_fault(w, fault, 0x45);
    return !q->has_pasid || q->pasid < vtd_pasids_of(&c) || vtd_fault(w, fault, 0x46);
}

unsigned nw_vtd_trees_of(const struct nw_vtd_tables *t, const struct nw_vtd_request *q, struct nw_vtd_trees *out)
{
    struct vtd_walk w;
    struct nw_vtd_fault fault = { .reason = 0 };
    vtd_walk_init(&w, t, NULL);
    *out = (struct nw_vtd_trees){ .translation = NW_VTD_PASS_THROUGH };
    if (!vtd_find_domain(&w, q, &fault))
        return fault.reason;
    vtd_trees_of_walk(&w, out);
    return 0;
}
