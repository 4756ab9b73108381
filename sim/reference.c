/* reference.c - the naive engine: one access after the other, every array searched from end to end. engine.h states the rules. */
#include "reference.h"
#include "stale.h"
#include "walk.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- caches for page-table lines ---- */

static enum nw_status line_cache_init(struct line_cache *k, const struct nw_cache_config *c, uint64_t seed,
                                      struct nw_error *err)
{
    k->random = c->policy == NW_CACHE_RANDOM;
    k->hashed = c->index == NW_CACHE_HASHED;
    k->rng = nw_rng_for(seed, c->name);
    k->ways = c->ways;
    k->sets = c->size_bytes / (64 * c->ways);
    k->line = calloc(k->sets * k->ways, sizeof *k->line);
    k->used = calloc(k->sets * k->ways, sizeof *k->used);
    return k->line && k->used ? NW_OK : nw_fail_nomem(err, "a modelled cache");
}

static bool line_cache_touch(struct line_cache *k, uint64_t line)
{
    const uint64_t first = (k->hashed ? nw_mix64(line) : line) % k->sets * k->ways;
    uint64_t *slot = k->line + first, *used = k->used + first;
    uint64_t victim = 0;
    for (uint64_t w = 0; w < k->ways; w++) {
        if (used[w] && slot[w] == line) {
            used[w] = ++k->clock;
            return true;
        }
        if (used[w] < used[victim])
            victim = w;
    }
    if (k->random && used[victim])
        victim = nw_rng_below(&k->rng, k->ways);
    slot[victim] = line;
    used[victim] = ++k->clock;
    return false;
}

/* Index of the cache that has the line, from `first` on; -1: none. Every cache passed gets it. */
static int caches_touch(struct reference_engine *e, size_t first, uint64_t line)
{
    for (size_t i = first; i < e->p->config->cache_count; i++)
        if (line_cache_touch(&e->cache[i], line))
            return (int)i;
    return -1;
}

/* ---- hooks of the walk ---- */

/* What an entry of a TLB translates, as its VPID: arrays of the last level may hold all three. */
enum { TAG_TRANSLATION = 1, TAG_GUEST_PDE, TAG_NESTED };

static struct nw_tlb_tag tag_of(const struct reference_engine *e)
{
    return (struct nw_tlb_tag){ .vpid = TAG_TRANSLATION, .pcid = e->p->m.pcid };
}

/* The array that serves as the PSC of a level, and what its entries are tagged with; NULL: none. */
static struct nw_tlb *psc_of(struct reference_engine *e, enum nw_dimension d, unsigned level, struct nw_tlb_tag *tag)
{
    *tag = d == NW_GUEST ? tag_of(e) : (struct nw_tlb_tag){ 0 };
    if (d == NW_GUEST && !level) {
        tag->vpid = e->guest_pde == &e->psc_guest[0] ? TAG_TRANSLATION : TAG_GUEST_PDE;
        return e->guest_pde;
    }
    return !(d == NW_GUEST ? e->p->config->psc_guest : e->p->config->psc_nested)[level].entries ? NULL
           : d == NW_GUEST                                                                      ? &e->psc_guest[level]
                                                                                                : &e->psc_nested[level];
}

static struct nw_tlb_tag nested_tag(const struct reference_engine *e)
{
    return (struct nw_tlb_tag){ .vpid = e->nested == &e->nested_tlb ? 0 : TAG_NESTED };
}

static uint64_t hook_load(void *context, hpa_t hpa)
{
    return nw_physmem_read64(((struct reference_engine *)context)->p->m.pm, hpa);
}

static void hook_update(void *context, hpa_t hpa, uint64_t set)
{
    uint64_t *word = nw_physmem_find(((struct reference_engine *)context)->p->m.pm, hpa);
    if (word)
        *word |= set;
}

static void hook_reference(void *context, const struct nw_reference *reference)
{
    struct reference_engine *e = context;
    const struct nw_config *c = e->p->config;
    uint64_t cycles = e->p->flat_reference_cycles;
    int found = -2;
    ++*e->references;
    ++*(reference->dimension == NW_NESTED ? e->references_nested : e->references_guest);
    if (c->fidelity != NW_FIDELITY_TLB) {
        found = caches_touch(e, c->walker.first_cache, reference->hpa.v >> NW_LINE_LOG2);
        cycles = c->walker.level_cycles + (found < 0 ? c->memory.dram_latency_cycles : c->cache[found].latency_cycles);
        for (size_t i = c->walker.first_cache; i < c->cache_count; i++) {
            if ((int)i == found) {
                e->p->r->cache[i].hits++;
                break;
            }
            e->p->r->cache[i].misses++;
        }
        e->p->r->memory_references += found < 0;
    }
    e->walk_cycles += cycles;
    if (e->watch)
        e->watch(e->watch_context, reference, found, cycles);
}

enum { START_TABLE, START_GPA, START_ALLOWED, START_FLAGS };
static const char *const psc_name[2][NW_PSC_LEVELS] = {
    { "guest_pde", "guest_pdpte", "guest_pml4e", "guest_pml5e" },
    { "nested_pde", "nested_pdpte", "nested_pml4e", "nested_pml5e" },
};

static void hook_start(void *context, enum nw_dimension d, uint64_t address, struct nw_walk_start *start)
{
    struct reference_engine *e = context;
    struct nw_hitmiss *count = d == NW_GUEST ? e->p->r->psc_guest : e->p->r->psc_nested;
    for (unsigned i = 0; i < start->level && i < NW_PSC_LEVELS; i++) {
        struct nw_tlb_tag tag;
        struct nw_tlb *psc = psc_of(e, d, i, &tag);
        if (!psc)
            continue;
        const struct nw_tlb_entry *hit = nw_tlb_lookup(psc, address, &tag);
        if (e->lookup)
            e->lookup(e->watch_context, d, address, (int)i, psc_name[d == NW_NESTED][i], hit != NULL);
        if (!hit) {
            count[i].misses++;
            continue;
        }
        count[i].hits++;
        *start = (struct nw_walk_start){ .level = (uint8_t)i,
                                         .table_known = hit->payload[START_FLAGS] & 1,
                                         .table_writable = hit->payload[START_FLAGS] & 2,
                                         .switched = hit->payload[START_FLAGS] & 4,
                                         .table = nw_hpa(hit->payload[START_TABLE]),
                                         .table_gpa = nw_gpa(hit->payload[START_GPA]),
                                         .allowed = hit->payload[START_ALLOWED] };
        return;
    }
}

static void hook_table(void *context, enum nw_dimension d, uint64_t address, const struct nw_walk_start *next)
{
    struct reference_engine *e = context;
    unsigned i = next->level;
    struct nw_tlb_tag tag;
    struct nw_tlb *psc = i >= NW_PSC_LEVELS ? NULL : psc_of(e, d, i, &tag);
    if (!psc)
        return;
    const unsigned log2 = NW_PAGE_2M_LOG2 + 9 * i; /* what an entry of that level covers */
    struct nw_tlb_entry entry = { .valid = true,
                                  .page_log2 = (uint8_t)log2,
                                  .page = address >> log2,
                                  .tag = tag,
                                  .payload = { next->table.v, next->table_gpa.v, next->allowed,
                                               (next->table_known ? 1u : 0u) | (next->table_writable ? 2u : 0u) |
                                                   (next->switched ? 4u : 0u) } };
    nw_tlb_insert(psc, &entry, NULL);
}

static bool hook_nested_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                               struct nw_nested_translation *out)
{
    struct reference_engine *e = context;
    if (!e->nested || (q->final && e->p->config->nested_tlb_tables_only))
        return false;
    const struct nw_tlb_tag tag = nested_tag(e);
    const struct nw_tlb_entry *hit = nw_tlb_lookup(e->nested, gpa.v, &tag);
    if (hit) {
        *out =
            (struct nw_nested_translation){ .hpa = nw_hpa(hit->hpa + (gpa.v & ((UINT64_C(1) << hit->page_log2) - 1))),
                                            .allowed = hit->payload[0],
                                            .page_log2 = hit->page_log2,
                                            .dirty = hit->payload[1] };
        if (nw_nested_serves(out, q)) {
            e->p->r->nested_tlb.hits++;
            if (e->lookup)
                e->lookup(e->watch_context, NW_NESTED, gpa.v, q->for_guest_level, "nested_tlb", true);
            return true;
        }
    }
    if (e->lookup)
        e->lookup(e->watch_context, NW_NESTED, gpa.v, q->for_guest_level, "nested_tlb", false);
    e->p->r->nested_tlb.misses++;
    return false;
}

static void hook_nested_fill(void *context, gpa_t gpa, const struct nw_nested_request *q,
                             const struct nw_nested_translation *t)
{
    struct reference_engine *e = context;
    if (!e->nested || (q->final && e->p->config->nested_tlb_tables_only))
        return;
    unsigned log2 = size_log2[size_class(t->page_log2)];
    if (!nw_tlb_holds(e->nested, log2))
        return;
    struct nw_tlb_entry entry = { .valid = true,
                                  .page_log2 = (uint8_t)log2,
                                  .page = gpa.v >> log2,
                                  .hpa = t->hpa.v & ~((UINT64_C(1) << log2) - 1),
                                  .tag = nested_tag(e),
                                  .payload = { t->allowed, t->dirty } };
    nw_tlb_insert(e->nested, &entry, NULL);
}

static bool hook_log_dirty(void *context, gpa_t page)
{
    (void)page; /* what the VMM would read from the log is no part of the model */
    return machine_log_dirty(&((struct reference_engine *)context)->p->m);
}

static const struct nw_walk_hooks hooks = { .load = hook_load,
                                            .update = hook_update,
                                            .start = hook_start,
                                            .table = hook_table,
                                            .nested_lookup = hook_nested_lookup,
                                            .nested_fill = hook_nested_fill,
                                            .reference = hook_reference,
                                            .log_dirty = hook_log_dirty };

void reference_walk(struct reference_engine *e, gva_t gva, uint8_t kind, enum walk_purpose purpose,
                    struct nw_walk_result *result)
{
    struct nw_access access = access_of(kind);
    struct nw_result *r = e->p->r;
    e->walk_cycles = 0;
    e->references = purpose == WALK_MISS     ? &r->walks.references
                    : purpose == WALK_ASSIST ? &r->walks.dirty_assist_references
                                             : &r->prefetch.references;
    e->references_guest = purpose == WALK_MISS ? &r->walks.references_guest : &e->ignored;
    e->references_nested = purpose == WALK_MISS ? &r->walks.references_nested : &e->ignored;
    machine_walk_run(&hooks, e, &e->p->m, gva, &access, result);
    if (purpose == WALK_MISS)
        book_walk(r, e->walk_cycles);
    else if (purpose == WALK_PREFETCH)
        r->prefetch.walks++; /* behind the program's back: nobody waits for it */
    else {
        r->walks.dirty_assists++;
        e->p->assist_cycles += e->walk_cycles;
    }
}

/* ---- TLBs ---- */

static void invalidate_tlbs(struct reference_engine *e, const struct nw_tlb_predicate *predicate)
{
    struct nw_tlb_predicate translations = *predicate;
    translations.match |= NW_TLB_MATCH_VPID;
    translations.tag.vpid = TAG_TRANSLATION;
    for (size_t i = 0; i < e->p->config->tlb_count; i++)
        nw_tlb_invalidate(&e->tlb[i], &translations);
}

static void drop_page(struct reference_engine *e, uint64_t gva)
{
    struct nw_tlb_tag tag = tag_of(e);
    struct nw_tlb_predicate p = nw_tlb_invlpg(gva, &tag);
    invalidate_tlbs(e, &p);
}

static void forget_one(struct reference_engine *e, const struct invalidation *v)
{
    const struct nw_tlb_predicate everything = nw_tlb_flush_all();
    struct nw_tlb_predicate translations = { .tag = { .vpid = 1, .pcid = v->pcid } }, structures;
    translations.match |= v->every_space ? 0 : v->global ? NW_TLB_MATCH_PCID_OR_GLOBAL : NW_TLB_MATCH_PCID;
    translations.match |= v->global ? 0 : NW_TLB_MATCH_NONGLOBAL;
    structures = translations;
    if (v->in_range) {
        translations.match |= NW_TLB_MATCH_ADDRESS;
        translations.first = v->address;
        translations.last = v->end - 1;
    }
    if (v->structures_of_address) {
        structures.match |= NW_TLB_MATCH_ADDRESS;
        structures.first = structures.last = v->address;
    }
    struct nw_tlb_predicate nested = everything;
    if (v->guest_physical_of_gpa)
        nested = (struct nw_tlb_predicate){ .match = NW_TLB_MATCH_ADDRESS, .first = v->gpa, .last = v->gpa };
    invalidate_tlbs(e, &translations);
    for (unsigned k = 0; k < NW_PSC_LEVELS; k++) {
        if (k)
            nw_tlb_invalidate(&e->psc_guest[k], &structures);
        if (v->guest_physical || v->guest_physical_of_gpa)
            nw_tlb_invalidate(&e->psc_nested[k], &nested);
    }
    if (e->guest_pde) {
        structures.match |= NW_TLB_MATCH_VPID;
        structures.tag.vpid = e->guest_pde == &e->psc_guest[0] ? TAG_TRANSLATION : TAG_GUEST_PDE;
        nw_tlb_invalidate(e->guest_pde, &structures);
    }
    if (e->nested && (v->guest_physical || v->guest_physical_of_gpa)) {
        nested.match |= NW_TLB_MATCH_VPID;
        nested.tag = nested_tag(e);
        nw_tlb_invalidate(e->nested, &nested);
    }
}

void reference_forget(struct reference_engine *e)
{
    struct machine *m = &e->p->m;
    for (unsigned i = 0; i < m->pending_count; i++)
        forget_one(e, &m->pending[i]);
    m->pending_count = 0;
}

struct translation {
    unsigned size;   /* size class */
    uint16_t rights; /* RIGHT_* */
    bool global;
    uint64_t hpa;           /* of the byte accessed */
    uint64_t epoch, report; /* see stale.h */
};
enum { ENTRY_EPOCH, ENTRY_REPORT }; /* a TLB entry's payload */

static struct translation translation_of(const struct nw_walk_result *w)
{
    return (struct translation){ .size = size_class(w->page_log2),
                                 .rights = rights_of(w->rights),
                                 .global = w->rights & NW_RIGHT_GLOBAL,
                                 .hpa = w->hpa.v };
}

static uint64_t offset_in(uint64_t address, unsigned page_log2) { return address & ((UINT64_C(1) << page_log2) - 1); }

static void fill(struct reference_engine *e, unsigned class, unsigned level, uint64_t gva, const struct translation *t)
{
    struct tlb_home home = e->p->home[class][level][t->size];
    struct nw_tlb_entry entry = { .valid = true,
                                  .global = t->global,
                                  .page_log2 = (uint8_t)size_log2[home.size],
                                  .page = gva >> size_log2[home.size],
                                  .hpa = t->hpa - offset_in(gva, size_log2[home.size]),
                                  .tag = tag_of(e),
                                  .rights = t->rights,
                                  .payload = { [ENTRY_EPOCH] = t->epoch, [ENTRY_REPORT] = t->report } };
    nw_tlb_insert(&e->tlb[home.array], &entry, NULL);
}

/* Has the stale-translation detector look at a translation before it is used, and every array remember what it found. `walked`: it comes
 * from a walk, not from a TLB. */
static void detect_stale(struct reference_engine *e, uint64_t gva, uint8_t kind, bool walked, struct translation *t)
{
    if (!e->p->config->detect_stale || e->p->m.flat) /* a flat machine has no tables that could change */
        return;
    struct stale_translation s = {
        .hpa = t->hpa, .rights = (uint8_t)t->rights, .walked = walked, .epoch = t->epoch, .report = t->report
    };
    struct nw_tlb_tag tag = tag_of(e);
    stale_check(e->p, gva, kind, &s);
    if (s.epoch == t->epoch && s.report == t->report)
        return;
    t->epoch = s.epoch;
    t->report = s.report;
    for (size_t i = 0; i < e->p->config->tlb_count; i++) {
        struct nw_tlb_entry *entry = nw_tlb_peek(&e->tlb[i], gva, &tag);
        if (!entry || entry->hpa + offset_in(gva, entry->page_log2) != t->hpa || entry->rights != t->rights)
            continue;
        entry->payload[ENTRY_EPOCH] = t->epoch;
        entry->payload[ENTRY_REPORT] = t->report;
    }
}

static void set_dirty(struct reference_engine *e, uint64_t gva)
{
    struct nw_tlb_tag tag = tag_of(e);
    for (size_t i = 0; i < e->p->config->tlb_count; i++) {
        struct nw_tlb_entry *entry = nw_tlb_peek(&e->tlb[i], gva, &tag);
        if (entry)
            entry->rights |= RIGHT_D;
    }
}

static void count_misses(struct reference_engine *e, unsigned class, unsigned levels, unsigned size)
{
    for (unsigned l = 0; l < levels; l++)
        e->p->r->tlb[e->p->home[class][l][size].array].misses++;
}

enum lookup { LOOKUP_MISS, LOOKUP_HIT, LOOKUP_NEEDS_DIRTY };

/* Rules 1 and 2. On a hit the lower levels are filled. */
static enum lookup look_up(struct reference_engine *e, unsigned class, uint64_t gva, uint8_t kind)
{
    struct replay *p = e->p;
    struct rights_rule rule = p->m.rule[rule_index(kind)];
    struct nw_tlb_tag tag = tag_of(e);
    for (unsigned level = 0; level < p->levels; level++)
        for (size_t i = 0; i < p->config->tlb_count; i++) {
            if (p->config->tlb[i].level != level + 1 || !p->looks[class][i])
                continue;
            struct nw_tlb_entry *hit = nw_tlb_lookup(&e->tlb[i], gva, &tag);
            if (!hit)
                continue;
            struct translation t = { .size = size_class(hit->page_log2),
                                     .rights = hit->rights,
                                     .global = hit->global,
                                     .hpa = hit->hpa + offset_in(gva, hit->page_log2),
                                     .epoch = hit->payload[ENTRY_EPOCH],
                                     .report = hit->payload[ENTRY_REPORT] };
            unsigned lacks = rule.need & ~(unsigned)t.rights;
            if ((lacks & ~(unsigned)RIGHT_D) || (rule.forbid & t.rights)) {
                drop_page(e, gva);
                break; /* the arrays below no longer hold it either */
            }
            e->data_gva = gva + 1;
            e->data_hpa = t.hpa;
            p->r->tlb[i].hits++;
            count_misses(e, class, level, t.size);
            detect_stale(e, gva, kind, false, &t);
            for (unsigned l = level; l-- > 0;)
                fill(e, class, l, gva, &t);
            return lacks ? LOOKUP_NEEDS_DIRTY : LOOKUP_HIT;
        }
    return LOOKUP_MISS;
}

static void touch_flat(struct reference_engine *e, unsigned class, uint64_t gva, uint8_t kind)
{
    struct replay *p = e->p;
    if (look_up(e, class, gva, kind) != LOOKUP_MISS)
        return;
    struct translation t = { .size = size_class(p->flat.page_log2), .rights = RIGHT_ALL };
    count_misses(e, class, p->levels, t.size);
    p->r->walks.references_guest += p->flat.references_guest;
    p->r->walks.references_nested += p->flat.references_nested;
    p->r->walks.references += p->flat.references_guest + p->flat.references_nested;
    book_walk(p->r, p->flat_cycles);
    for (unsigned l = p->levels; l-- > 0;)
        fill(e, class, l, gva, &t);
}

/* Rule 5. */
static void prefetch_next(struct reference_engine *e, unsigned class, uint64_t gva, uint8_t kind, unsigned size)
{
    struct nw_walk_result w;
    struct nw_tlb_tag tag = tag_of(e);
    unsigned last = e->p->levels - 1;
    uint64_t next = (gva >> size_log2[size] << size_log2[size]) + (UINT64_C(1) << size_log2[size]);
    if (!machine_canonical(&e->p->m, next) || nw_tlb_peek(&e->tlb[e->p->home[class][last][size].array], next, &tag))
        return;
    reference_walk(e, nw_gva(next), prefetch_kind(kind), WALK_PREFETCH, &w);
    if (w.outcome != NW_WALK_OK)
        return;
    struct translation t = translation_of(&w);
    note_if_splintered(e->p, class, next, &w);
    fill(e, class, last, next, &t);
    e->p->r->prefetch.fills++;
}

static enum nw_status touch(struct reference_engine *e, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    struct replay *p = e->p;
    unsigned class = nw_kind_type(kind) == NW_FETCH;
    enum nw_status s;
    if (!machine_canonical(&p->m, gva)) {
        p->r->faults.noncanonical++;
        return NW_OK;
    }
    if (p->m.flat) {
        touch_flat(e, class, gva, kind);
        return NW_OK;
    }
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        struct nw_walk_result w;
        enum lookup found = look_up(e, class, gva, kind);
        if (found == LOOKUP_HIT)
            return NW_OK;
        if ((s = machine_prepare(&p->m, nw_gva(gva), kind, err)))
            return s;
        reference_forget(e);
        reference_walk(e, nw_gva(gva), kind, found == LOOKUP_NEEDS_DIRTY ? WALK_ASSIST : WALK_MISS, &w);
        if (w.outcome == NW_WALK_OK) {
            if (found == LOOKUP_NEEDS_DIRTY) {
                set_dirty(e, gva);
                return NW_OK;
            }
            struct translation t = translation_of(&w);
            e->data_gva = gva + 1;
            e->data_hpa = t.hpa;
            note_if_splintered(p, class, gva, &w);
            detect_stale(e, gva, kind, true, &t);
            count_misses(e, class, p->levels, t.size);
            for (unsigned l = p->levels; l-- > 0;)
                fill(e, class, l, gva, &t);
            if (p->config->walker.prefetch == NW_PREFETCH_NEXT_PAGE)
                prefetch_next(e, class, gva, kind, t.size);
            return NW_OK;
        }
        if (found == LOOKUP_NEEDS_DIRTY)
            drop_page(e, gva);
        else
            count_misses(e, class, p->levels, 0);
        enum fault_action action;
        if ((s = machine_fault(&p->m, nw_gva(gva), kind, &w, &action, err)))
            return s;
        reference_forget(e);
        if (action == FAULT_GIVE_UP)
            return NW_OK;
    }
    return nw_fail(err, NW_ERR_INTERNAL, "access to 0x%" PRIx64 " faults for ever", gva);
}

/* ---- the engine ---- */

/* At fidelity full the data's own line competes in the caches; it is looked up after its translation. Where it was found is counted;
 * its price is a part of base, at every fidelity the same. */
static void touch_data_line(struct reference_engine *e, uint64_t gva)
{
    uint64_t hpa = e->data_hpa;
    if (e->data_gva != gva + 1) {
        struct nw_walk_result w;
        struct nw_access access = { .kind = NW_ACCESS_READ, .ac = true };
        static const struct nw_walk_hooks plain = { .load = hook_load };
        machine_walk_run(&plain, e, &e->p->m, nw_gva(gva), &access, &w);
        if (w.outcome != NW_WALK_OK)
            return;
        hpa = w.hpa.v;
    }
    const int found = caches_touch(e, 0, hpa >> NW_LINE_LOG2);
    const size_t passed = found < 0 ? e->p->config->cache_count : (size_t)found;
    for (size_t i = 0; i < passed; i++)
        e->p->r->data_cache[i].misses++;
    if (found < 0)
        e->p->r->data_memory++;
    else
        e->p->r->data_cache[found].hits++;
}

static enum nw_status reference_take(void *state, const struct nw_block *b, struct nw_error *err)
{
    struct reference_engine *e = state;
    enum nw_status s;
    for (uint32_t i = 0, next = 0;; i++) {
        e->p->m.access = b->first_access + i;
        for (; next < b->event_count && b->event[next].at == i; next++) {
            if ((s = machine_event(&e->p->m, &b->event[next], err)))
                return s;
            reference_forget(e);
        }
        if (i == b->access_count)
            return NW_OK;
        if (e->p->m.access >= e->p->m.next_interval) {
            if ((s = machine_interval(&e->p->m, e->p->m.access, err)))
                return s;
            reference_forget(e);
        }
        uint64_t gva = b->address[i];
        uint8_t kind = nw_block_kind(b, i);
        if ((s = touch(e, gva, kind, err)))
            return s;
        uint64_t last = gva + nw_kind_bytes(kind) - 1;
        if (last >> NW_PAGE_LOG2 != gva >> NW_PAGE_LOG2 && (s = touch(e, last & ~(NW_PAGE_BYTES - 1), kind, err)))
            return s;
        if (e->p->config->fidelity == NW_FIDELITY_FULL)
            touch_data_line(e, gva);
    }
}

static void reference_finish(void *state)
{
    struct reference_engine *e = state;
    for (size_t i = 0; i < e->p->config->tlb_count; i++) {
        e->p->r->tlb[i].evictions = e->tlb[i].evictions;
        e->p->r->tlb[i].invalidated = e->tlb[i].invalidated;
    }
}

static const enum nw_tlb_replacement policies[NW_TLB_POLICY_COUNT] = { NW_REPLACE_LRU, NW_REPLACE_PLRU,
                                                                       NW_REPLACE_RANDOM, NW_REPLACE_NRU,
                                                                       NW_REPLACE_SRRIP };

static enum nw_status make_walk_cache(struct nw_tlb *t, const char *name, const struct nw_psc_config *c,
                                      const uint8_t *log2, unsigned sizes, uint64_t seed, struct nw_error *err)
{
    struct nw_tlb_geometry g = { .entries = (uint32_t)c->entries,
                                 .ways = (uint32_t)(c->ways ? c->ways : c->entries),
                                 .policy = policies[c->policy],
                                 .page_sizes = sizes };
    if (!c->entries)
        return NW_OK;
    memcpy(g.page_log2, log2, sizes);
    return nw_tlb_init(t, name, &g, seed, err);
}

static void find_shared(struct reference_engine *e)
{
    const struct nw_config *c = e->p->config;
    e->guest_pde = c->psc_guest[0].entries ? &e->psc_guest[0] : NULL;
    e->nested = c->nested_tlb.entries ? &e->nested_tlb : NULL;
    for (size_t i = 0; i < c->tlb_count; i++) {
        const struct nw_tlb_config *t = &c->tlb[i];
        if (t->level != e->p->levels || t->class == NW_TLB_INSTRUCTION || !(t->pages & NW_HOLDS_4K) ||
            !(t->pages & NW_HOLDS_2M))
            continue;
        e->guest_pde = c->guest_pde_in_tlb ? &e->tlb[i] : e->guest_pde;
        e->nested = c->nested_tlb_in_tlb ? &e->tlb[i] : e->nested;
        return;
    }
}

enum nw_status reference_create(struct replay *replay, void **state, struct nw_error *err)
{
    static const uint8_t sizes[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };
    const struct nw_config *c = replay->config;
    struct reference_engine *e = calloc(1, sizeof *e);
    enum nw_status s = e ? NW_OK : nw_fail_nomem(err, "the reference engine");
    if (s)
        return s;
    e->p = replay;
    for (size_t i = 0; !s && i < c->tlb_count; i++) {
        struct nw_tlb_geometry g = { .entries = (uint32_t)c->tlb[i].entries,
                                     .ways = (uint32_t)c->tlb[i].ways,
                                     .policy = policies[c->tlb[i].policy] };
        for (unsigned size = 0; size < 3; size++)
            if (c->tlb[i].pages & (1u << size))
                g.page_log2[g.page_sizes++] = sizes[size];
        char name[NW_NAME_MAX + 8];
        snprintf(name, sizeof name, "tlb.%s", c->tlb[i].name);
        s = nw_tlb_init(&e->tlb[i], name, &g, c->seed, err);
    }
    for (unsigned i = 0; !s && i < NW_PSC_LEVELS; i++) {
        uint8_t log2 = (uint8_t)(NW_PAGE_2M_LOG2 + 9 * i);
        if (!(s = make_walk_cache(&e->psc_guest[i], psc_name[0][i], &c->psc_guest[i], &log2, 1, c->seed, err)))
            s = make_walk_cache(&e->psc_nested[i], psc_name[1][i], &c->psc_nested[i], &log2, 1, c->seed, err);
    }
    if (!s)
        s = make_walk_cache(&e->nested_tlb, "nested_tlb", &c->nested_tlb, sizes, 3, c->seed, err);
    find_shared(e);
    for (size_t i = 0; !s && i < c->cache_count; i++)
        s = line_cache_init(&e->cache[i], &c->cache[i], c->seed, err);
    if (s)
        reference_destroy(e);
    else
        *state = e;
    return s;
}

void reference_destroy(void *state)
{
    struct reference_engine *e = state;
    for (size_t i = 0; i < NW_TLB_ARRAYS_MAX; i++)
        nw_tlb_fini(&e->tlb[i]);
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++) {
        nw_tlb_fini(&e->psc_guest[i]);
        nw_tlb_fini(&e->psc_nested[i]);
    }
    nw_tlb_fini(&e->nested_tlb);
    for (size_t i = 0; i < NW_CACHES_MAX; i++) {
        free(e->cache[i].line);
        free(e->cache[i].used);
    }
    free(e);
}

const struct engine engine_reference = { .want = NW_WANT_ADDRESSES,
                                         .create = reference_create,
                                         .take = reference_take,
                                         .finish = reference_finish,
                                         .destroy = reference_destroy };
