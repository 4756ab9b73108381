/* Requests of a PASID: AMD IOMMU specification, "Guest and Nested Address Translation", "Guest CR3 Table". The GCR3 table of 1
 * to 3 levels (GLX), of 512 entries each, yields a CR3 for the PASID; the tables of that are walked as a processor does
 * (mmu/walk_template.h), in supervisor mode with write protection. Each GPA on the way goes through the host tables. */
#include "caches.h"
#include <nestwalk/mmu/format_vtd.h>

struct guest_walk {
    struct amdvi_walk *w;
    const struct nw_paging *guest;
    uint32_t pasid;
    bool host_failed, load_failed;
    struct nw_amdvi_event event; /* why */
    struct amdvi_page page;      /* of the last GPA */
};

static bool guest_event(const struct amdvi_walk *w, struct nw_amdvi_event *e, unsigned flags, uint32_t pasid)
{
    const struct nw_amdvi_request *q = w->q;
    amdvi_event(w, e, NW_AMDVI_IO_PAGE_FAULT,
                flags | NW_AMDVI_FLAG_GN | (q->privileged ? 0 : NW_AMDVI_FLAG_US) |
                    (q->execute ? NW_AMDVI_FLAG_NX : 0));
    e->pasid = pasid;
    return false;
}

/* ---- the walk's memory -------------------------------------------------------------------------- */

/* After a failure of the host tables the walk goes on to the (empty) second tree that it was given, and stops there. */
static inline uint64_t guest_load(void *context, hpa_t hpa)
{
    struct guest_walk *g = context;
    uint64_t word = 0;
    amdvi_entry(g->w, NW_AMDVI_GUEST_ENTRY, 0, 0); /* guest_reference() tells the level */
    if (g->host_failed || amdvi_load(g->w, hpa.v, &word))
        return word;
    g->load_failed = true;
    amdvi_host_event(g->w, &g->event, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, NW_AMDVI_MASTER_ABORT << 9, hpa.v, false);
    return 0;
}

static inline void guest_update(void *context, hpa_t hpa, uint64_t set)
{
    struct guest_walk *g = context;
    uint64_t *word = g->w->looks_only ? NULL : nw_physmem_find(g->w->t->memory.pm, hpa);
    if (word) /* there is one: a present entry was read from it */
        *word |= set;
}

/* Allowed bits of the second tree are those of enum nw_amdvi_right. */
static inline bool host_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                               struct nw_nested_translation *out)
{
    struct guest_walk *g = context;
    if (!amdvi_host_walk(g->w, gpa.v, (unsigned)q->need, q->store, &g->page, &g->event)) {
        g->host_failed = true;
        return false;
    }
    *out = (struct nw_nested_translation){
        .hpa = nw_hpa(g->page.address), .allowed = g->page.rights, .page_log2 = g->page.page_log2, .dirty = true
    };
    return true;
}

/* The host's tables have a cache of their own, in amdvi_host_walk(). */
static inline void guest_start(void *context, enum nw_dimension dimension, uint64_t address,
                               struct nw_walk_start *start)
{
    struct guest_walk *g = context;
    if (dimension == NW_GUEST)
        amdvi_guest_pde_lookup(g->w, g->pasid, g->guest, address, start);
}

static inline void guest_table(void *context, enum nw_dimension dimension, uint64_t address,
                               const struct nw_walk_start *next)
{
    struct guest_walk *g = context;
    if (dimension == NW_GUEST)
        amdvi_guest_pde_fill(g->w, g->pasid, g->guest, address, next);
}

static inline void guest_reference(void *context, const struct nw_reference *r)
{
    struct guest_walk *g = context;
    if (NW_UNLIKELY(g->w->t->watch != NULL) && r->dimension == NW_GUEST && !g->host_failed)
        amdvi_watch_level(g->w->t->watch, r->level + 1u);
}

static const struct nw_walk_hooks hooks = { .load = guest_load,
                                            .update = guest_update,
                                            .start = guest_start,
                                            .table = guest_table,
                                            .nested_lookup = host_lookup,
                                            .reference = guest_reference };

static NW_NOINLINE void walk(struct guest_walk *g, const struct nw_paging *guest, const struct nw_paging *host,
                             const struct nw_access *a, struct nw_walk_result *r)
{
    nw_walk_run(&hooks, g, guest, host, nw_gva(g->w->q->address), a, r);
}

/* ---- the GCR3 table ----------------------------------------------------------------------------- */

uint64_t amdvi_gcr3_root(const uint64_t dte[4])
{
    return nw_field(dte[0], 60, 58) << 12 | nw_field(dte[1], 31, 16) << 15 | nw_field(dte[1], 63, 43) << 31;
}

static bool find_cr3(struct amdvi_walk *w, uint32_t pasid, uint64_t *cr3, struct nw_amdvi_event *e)
{
    unsigned levels = DTE_GLX(w->dte[0]) + 1;
    if ((uint64_t)pasid >> nw_amdvi_pasid_bits(w->t->unit.efr) || pasid >> 9 * levels)
        return guest_event(w, e, 0, pasid);
    uint64_t table = amdvi_gcr3_root(w->dte), entry;
    if (amdvi_gcr3_lookup(w, pasid, cr3))
        return true;
    for (unsigned level = levels; level-- > 0; table = entry & nw_mask(51, 12)) {
        uint64_t at = table + (pasid >> 9 * level & 511) * 8;
        struct amdvi_page page;
        if (w->t->gcr3_tables_in_gpa) {
            if (!amdvi_host_walk(w, at, NW_AMDVI_RIGHT_READ, false, &page, e))
                return false;
            at = page.address;
        }
        amdvi_entry(w, NW_AMDVI_GCR3_ENTRY, 0, level + 1);
        if (!amdvi_load(w, at, &entry))
            return amdvi_host_event(w, e, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, NW_AMDVI_MASTER_ABORT << 9, at, false);
        if (!(entry & 1))
            return guest_event(w, e, 0, pasid);
    }
    *cr3 = table;
    amdvi_gcr3_fill(w, pasid, table);
    return true;
}

/* ---- the request -------------------------------------------------------------------------------- */

static bool set_trees(const struct amdvi_walk *w, uint64_t cr3, struct nw_paging *guest, struct nw_paging *host)
{
    struct nw_guest_registers r = nw_guest_registers_long(DTE_GUEST_LEVELS(w->dte[2]), cr3);
    if (!(w->t->unit.efr & NW_AMDVI_EFR_NX))
        r.efer &= ~NW_EFER_NXE;
    struct nw_vtd_second_stage empty = { .levels = 4, .haw = NW_PHYS_BITS_MAX };
    return !nw_paging_init_guest(guest, &r, NULL) && !nw_paging_init_vtd_second(host, &empty, NULL);
}

static bool failed(const struct guest_walk *g, uint32_t pasid, const struct nw_walk_result *r, struct nw_amdvi_event *e)
{
    if (g->host_failed || g->load_failed) {
        *e = g->event;
        return false;
    }
    unsigned flags = 0;
    if (r->outcome == NW_WALK_PAGE_FAULT && (r->fault.code & NW_PF_P))
        flags = NW_AMDVI_FLAG_PR | (r->fault.code & NW_PF_RSVD ? NW_AMDVI_FLAG_RZ : NW_AMDVI_FLAG_PE);
    guest_event(g->w, e, flags, pasid);
    e->level = (int8_t)(r->outcome == NW_WALK_PAGE_FAULT ? r->fault.level + 1 : 0);
    return false;
}

bool amdvi_guest_tables(struct amdvi_walk *w, uint32_t pasid, uint64_t *cr3, struct nw_paging *guest,
                        struct nw_amdvi_event *e)
{
    struct nw_paging host;
    return find_cr3(w, pasid, cr3, e) && (set_trees(w, *cr3, guest, &host) || guest_event(w, e, 0, pasid));
}

static unsigned rights_for(enum nw_access_kind kind)
{
    switch (kind) {
    case NW_ACCESS_FETCH: return NW_AMDVI_RIGHT_EXECUTE;
    case NW_ACCESS_READ: return NW_AMDVI_RIGHT_READ;
    case NW_ACCESS_WRITE: return NW_AMDVI_RIGHT_WRITE;
    default: return NW_AMDVI_RIGHT_READ | NW_AMDVI_RIGHT_WRITE;
    }
}

static bool stores(enum nw_access_kind kind) { return kind == NW_ACCESS_WRITE || kind == NW_ACCESS_RMW; }

bool amdvi_guest_translate(struct amdvi_walk *w, uint32_t pasid, struct nw_amdvi_result *out)
{
    const struct nw_amdvi_request *q = w->q;
    const struct amdvi_space space = { .guest = true, .privileged = q->privileged, .pasid = pasid };
    struct nw_paging guest, host;
    uint64_t cr3 = 0;
    if ((w->dte[0] & (DTE_TV | DTE_GV)) != (DTE_TV | DTE_GV))
        return guest_event(w, &out->event, 0, pasid);
    struct nw_walk_result r;
    struct nw_access a = { .user = !q->privileged };
    a.kind = q->execute                  ? NW_ACCESS_FETCH
             : q->kind == NW_AMDVI_READ  ? NW_ACCESS_READ
             : q->kind == NW_AMDVI_WRITE ? NW_ACCESS_WRITE
                                         : NW_ACCESS_RMW;
    if (amdvi_iotlb_lookup(w, &space, rights_for(a.kind), stores(a.kind), out))
        return true;
    if (!find_cr3(w, pasid, &cr3, &out->event))
        return false;
    if (!set_trees(w, cr3, &guest, &host))
        return guest_event(w, &out->event, 0, pasid);
    struct guest_walk g = { .w = w, .guest = &guest, .pasid = pasid };
    walk(&g, &guest, &host, &a, &r);
    if (r.outcome != NW_WALK_OK && q->type == NW_AMDVI_TRANSLATION_REQUEST && a.kind != NW_ACCESS_READ) {
        a.kind = NW_ACCESS_READ; /* an answer may grant less than was asked for */
        g = (struct guest_walk){ .w = w, .guest = &guest, .pasid = pasid };
        walk(&g, &guest, &host, &a, &r);
    }
    if (r.outcome != NW_WALK_OK)
        return failed(&g, pasid, &r, &out->event);
    out->hpa = r.hpa;
    out->translation = DTE_MODE(w->dte[0]) ? NW_AMDVI_NESTED : NW_AMDVI_GUEST;
    out->page_log2 = r.page_log2;
    out->rights =
        (uint8_t)((g.page.rights & NW_AMDVI_RIGHT_READ) | (r.rights & NW_RIGHT_WRITE ? NW_AMDVI_RIGHT_WRITE : 0) |
                  (r.rights & NW_RIGHT_EXECUTE ? NW_AMDVI_RIGHT_EXECUTE : 0));
    out->untranslated_only = g.page.untranslated_only;
    out->force_coherent = g.page.force_coherent;
    amdvi_iotlb_fill(w, &space, stores(a.kind), out);
    return true;
}
