/* A DMA request, from its tables to an address or a fault: VT-d, "DMA Remapping": "First-Stage Translation",
 * "Second-Stage Translation", "Nested Translation", and "Translation Faults". The walk is the one of mmu/; what it
 * reports becomes a fault reason here. */
#include "caches.h"
#include "vtd_internal.h"

const char *const nw_vtd_translation_name[NW_VTD_TRANSLATIONS] = { "pass-through", "second stage", "first stage",
                                                                   "nested" };

/* ---- the walk's memory -------------------------------------------------------------------------- */

/* A word that cannot be read is 0: the walk stops at it, and load_failed tells why. */
static inline uint64_t walk_load(void *context, hpa_t hpa)
{
    uint64_t word;
    vtd_load(context, hpa.v, &word);
    return word;
}

#define FIRST_FLAGS (NW_BIT(5) | NW_BIT(6) | NW_BIT(10)) /* A, D, EA; A and D of the second stage are bits 8 and 9 */

static inline void walk_update(void *context, hpa_t hpa, uint64_t set)
{
    struct vtd_walk *w = context;
    if (!w->domain.walk_snoops) {
        if (!w->blocked_update)
            w->blocked_update = set & FIRST_FLAGS ? 0x90 : 0x7c;
        return;
    }
    if (w->looks_only)
        return;
    uint64_t *word = nw_physmem_find(w->t->memory.pm, hpa);
    if (word) /* there is one: an entry that is not zero was read from it */
        *word |= set;
}

/* Is this stage the second one? It is the only one of a second-stage domain. */
static inline bool is_second(const struct vtd_walk *w, unsigned dimension)
{
    return dimension == NW_NESTED || w->domain.translation == NW_VTD_SECOND_STAGE;
}

static inline void walk_reference(void *context, const struct nw_reference *r)
{
    struct vtd_walk *w = context;
    if (NW_UNLIKELY(w->t->watch != NULL))
        vtd_watch_paging(w->t->watch, is_second(w, r->dimension), r->level);
    if (w->load_failed)
        return; /* there is no entry */
    if (!is_second(w, r->dimension)) {
        w->first_allowed &= r->entry ^ w->domain.first.invert;
        return;
    }
    w->second_allowed &= r->entry;
    bool table = r->dimension == NW_NESTED && r->for_guest_level != NW_FOR_FINAL; /* of the first stage: to be read */
    uint64_t need = table ? w->domain.second.format->read : w->second_need;
    if (!w->denied_level && (w->second_allowed & need) != need)
        w->denied_level = (uint8_t)(r->level + 1);
}

static inline bool keeps_tables(const struct vtd_walk *w)
{
    return w->caches && w->caches->cache[NW_VTD_PAGING_CACHE].sets;
}

static inline void walk_start(void *context, enum nw_dimension dimension, uint64_t address, struct nw_walk_start *start)
{
    struct vtd_walk *w = context;
    if (keeps_tables(w))
        vtd_psc_lookup(w->caches, &w->domain, dimension, address, start);
    if (is_second(w, dimension)) {
        w->second_allowed = w->second_start = start->allowed;
        w->denied_level = 0;
    } else {
        w->first_allowed = start->allowed;
    }
}

static inline void walk_table(void *context, enum nw_dimension dimension, uint64_t address,
                              const struct nw_walk_start *next)
{
    struct vtd_walk *w = context;
    if (keeps_tables(w) && !w->blocked_update) /* else an entry above lacks its A still */
        vtd_psc_fill(w->caches, &w->domain, dimension, address, next);
}

static const struct nw_walk_hooks hooks = {
    .load = walk_load, .update = walk_update, .start = walk_start, .table = walk_table, .reference = walk_reference
};

static NW_NOINLINE void walk_one_stage(struct vtd_walk *w, const struct nw_paging *p, uint64_t address,
                                       const struct nw_access *a, struct nw_walk_result *r)
{
    nw_walk_run(&hooks, w, p, NULL, nw_gva(address), a, r);
}

static NW_NOINLINE void walk_nested(struct vtd_walk *w, uint64_t address, const struct nw_access *a,
                                    struct nw_walk_result *r)
{
    nw_walk_run(&hooks, w, &w->domain.first, &w->domain.second, nw_gva(address), a, r);
}

/* ---- from the walk's faults to reasons ---------------------------------------------------------- */

static bool lacks(uint64_t allowed, uint64_t need) { return (allowed & need) != need; }

/* A second-stage entry stopped the walk for the address that was asked for (`final`) or for a first-stage entry.
 * In legacy mode an entry that permits neither reads nor writes is one that lacks the permission asked for. */
static unsigned second_stage_reason(const struct vtd_walk *w, const struct nw_fault *f, const struct nw_vtd_request *q)
{
    const struct vtd_domain *d = &w->domain;
    const struct nw_format *format = d->second.format;
    const bool legacy = !d->scalable, final = f->for_guest_level == NW_FOR_FINAL || !f->nested;
    if (f->level < 0)
        return final ? legacy ? 0x04 : 0x84 : 0x74;
    /* An entry higher up that denied the access came first, one that a paging-structure cache stands for among them. */
    uint64_t need = final ? w->second_need : format->read;
    bool denied_above = w->denied_level > f->level + 1 || lacks(w->second_start, need);
    if (!denied_above && w->load_failed) {
        bool root = f->level == d->second.levels - 1;
        return root ? legacy ? 0x03 : 0x7b : legacy ? 0x07 : 0x78;
    }
    bool denied_here = w->denied_level == f->level + 1;
    if (!denied_above && (f->code & NW_PF_RSVD) && !denied_here)
        return legacy ? 0x0c : 0x7a;
    if (legacy)
        return q->kind == NW_VTD_READ || (q->kind == NW_VTD_ATOMIC && lacks(w->second_allowed, format->read)) ? 0x06
                                                                                                              : 0x05;
    if (!(w->second_allowed & (format->read | format->write)))
        return 0x79;
    if (!final)
        return f->code & NW_PF_W ? 0x77 : f->for_guest_level == d->first.levels - 1 ? 0x75 : 0x76;
    return q->kind == NW_VTD_READ || (q->kind == NW_VTD_ATOMIC && lacks(w->second_allowed, format->read)) ? 0x86 : 0x85;
}

static unsigned first_stage_reason(const struct vtd_walk *w, const struct nw_walk_result *r, const struct nw_access *a)
{
    const struct nw_paging *p = &w->domain.first;
    const struct nw_fault *f = &r->fault;
    if (r->outcome == NW_WALK_NONCANONICAL)
        return 0x80;
    if (w->load_failed)
        return f->level == p->levels - 1 ? 0x73 : 0x70;
    if (f->code & NW_PF_RSVD)
        return 0x72;
    if (!(f->code & NW_PF_P))
        return 0x71;
    if (a->user && lacks(w->first_allowed, p->format->user))
        return 0x81;
    return a->kind == NW_ACCESS_FETCH ? 0x82 : 0x85;
}

static bool walk_failed(struct vtd_walk *w, const struct nw_vtd_request *q, const struct nw_access *a,
                        const struct nw_walk_result *r, struct nw_vtd_fault *fault)
{
    fault->second = r->fault.nested || w->domain.translation == NW_VTD_SECOND_STAGE;
    fault->level = r->fault.level;
    if (fault->second && w->denied_level > r->fault.level + 1)
        fault->level = (int8_t)(w->denied_level - 1);
    return vtd_fault(w, fault, fault->second ? second_stage_reason(w, &r->fault, q) : first_stage_reason(w, r, a));
}

/* ---- one request -------------------------------------------------------------------------------- */

static struct nw_access access_of(const struct vtd_walk *w, const struct nw_vtd_request *q)
{
    enum nw_access_kind kind = q->kind == NW_VTD_WRITE      ? NW_ACCESS_WRITE
                               : q->kind == NW_VTD_ATOMIC   ? NW_ACCESS_RMW
                               : q->has_pasid && q->execute ? NW_ACCESS_FETCH
                                                            : NW_ACCESS_READ;
    return (struct nw_access){ .kind = kind, .user = !w->domain.privileged };
}

/* A zero-length read of a page that permits writes only is fine in units that say so (CAP.ZLR). */
static void permit_zero_length(struct vtd_walk *w, const struct nw_vtd_request *q)
{
    if (!q->zero_length || q->kind != NW_VTD_READ || !(w->t->unit.cap & NW_VTD_CAP_ZLR))
        return;
    w->domain.second.table_access =
        NW_ACCESS_FETCH; /* first-stage tables are read as ever: a fetch needs what a read does */
    for (enum nw_privilege who = NW_SUPERVISOR; who < NW_PRIVILEGES; who++)
        w->domain.second.need[who][NW_ACCESS_READ] = 0;
}

static unsigned rights_of(const struct vtd_walk *w, const struct nw_walk_result *r)
{
    const struct vtd_domain *d = &w->domain;
    unsigned rights = r->rights & NW_RIGHT_DIRTY ? NW_VTD_RIGHT_DIRTY : 0;
    bool read = true, write = true, execute = true;
    if (d->translation != NW_VTD_FIRST_STAGE) {
        const struct nw_format *f = d->second.format;
        read = execute = w->second_allowed & f->read;
        write = w->second_allowed & f->write;
    }
    if (d->translation != NW_VTD_SECOND_STAGE) {
        const struct nw_format *f = d->first.format;
        write &= (w->first_allowed & f->write) || (d->privileged && !d->first.write_protect);
        execute &= !!(w->first_allowed & f->no_execute);
    }
    return rights | (read ? NW_VTD_RIGHT_READ : 0) | (write ? NW_VTD_RIGHT_WRITE : 0) |
           (execute ? NW_VTD_RIGHT_EXECUTE : 0);
}

static bool walk_trees(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    struct vtd_domain *d = &w->domain;
    struct nw_walk_result r;
    struct nw_access a = access_of(w, q);
    if (d->translation == NW_VTD_SECOND_STAGE && q->address >> d->second.input_bits) {
        out->fault.second = true;
        return vtd_fault(w, &out->fault, d->scalable ? 0x84 : 0x04);
    }
    permit_zero_length(w, q);
    w->second_need = d->translation == NW_VTD_FIRST_STAGE ? 0 : d->second.need[NW_USER][a.kind];
    w->first_allowed = w->second_allowed = ~UINT64_C(0);
    if (d->translation == NW_VTD_NESTED)
        walk_nested(w, q->address, &a, &r);
    else
        walk_one_stage(w, d->translation == NW_VTD_FIRST_STAGE ? &d->first : &d->second, q->address, &a, &r);
    if (r.outcome != NW_WALK_OK)
        return walk_failed(w, q, &a, &r, &out->fault);
    if (w->blocked_update) {
        out->fault.second = w->blocked_update == 0x7c;
        return vtd_fault(w, &out->fault, w->blocked_update);
    }
    out->hpa = r.hpa;
    out->page_log2 = r.page_log2;
    out->rights = (uint8_t)rights_of(w, &r);
    return true;
}

/* Pass-through, and requests that a device has translated before. */
static bool identity(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    if (q->address >> w->t->unit.haw)
        return vtd_fault(w, &out->fault, w->domain.scalable ? 0x83 : 0x04);
    out->hpa = nw_hpa(q->address);
    out->page_log2 = 64;
    out->rights = NW_VTD_RIGHT_READ | NW_VTD_RIGHT_WRITE | NW_VTD_RIGHT_EXECUTE | NW_VTD_RIGHT_DIRTY;
    return true;
}

unsigned vtd_need_of(const struct nw_vtd_request *q)
{
    unsigned write = NW_VTD_RIGHT_WRITE | NW_VTD_RIGHT_DIRTY;
    return q->kind == NW_VTD_WRITE      ? write
           : q->kind == NW_VTD_ATOMIC   ? write | NW_VTD_RIGHT_READ
           : q->has_pasid && q->execute ? NW_VTD_RIGHT_EXECUTE
                                        : NW_VTD_RIGHT_READ;
}

void vtd_translate(struct vtd_walk *w, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    *out = (struct nw_vtd_result){ .fault = { .level = -1, .address = q->address & ~nw_mask(11, 0) } };
    if (vtd_find_domain(w, q, &out->fault)) {
        if (w->hit) {
            w->found.fault = out->fault;
            *out = w->found;
        } else {
            out->translation = w->domain.translation;
            out->domain_id = w->domain.domain_id;
        }
        bool cached =
            w->hit || (!w->domain.identity && vtd_iotlb_lookup(w->caches, &w->domain, q->address, vtd_need_of(q), out));
        bool done = cached || (w->domain.identity ? identity(w, q, out) : walk_trees(w, q, out));
        /* Only the unit itself sends messages: no translation may lead into the interrupt address range. */
        if (done && nw_vtd_interrupt_range(out->hpa.v))
            vtd_fault(w, &out->fault, w->domain.scalable ? 0x87 : 0x0e);
        else if (done && !cached && !w->domain.identity)
            vtd_iotlb_fill(w->caches, &w->domain, q->address, out);
    }
    out->references = (uint8_t)w->references;
}

void nw_vtd_translate(const struct nw_vtd_tables *t, const struct nw_vtd_request *q, struct nw_vtd_result *out)
{
    struct vtd_walk w;
    vtd_walk_init(&w, t, NULL);
    vtd_translate(&w, q, out);
}
