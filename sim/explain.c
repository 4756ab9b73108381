/* explain.c - one access through the reference engine with a watcher. */
#include "explain_fault.h"
#include "guest.h"
#include "pager.h"
#include "reference.h"
#include <inttypes.h>
#include <nestwalk/sim/explain.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a machine brought to a point of its trace ---- */

/* Applies the events that precede access number `at_access`. */
static enum nw_status bring_to(struct machine *m, struct nw_source *source, uint64_t at_access, struct nw_error *err)
{
    source->want = NW_WANT_TOUCHES;
    for (struct nw_block b;;) {
        enum nw_status s = nw_source_next(source, &b, err);
        if (s || b.end)
            return s;
        for (uint32_t i = 0; i < b.event_count; i++) {
            if (b.first_access + b.event[i].at > at_access)
                return NW_OK;
            if ((s = machine_event(m, &b.event[i], err)))
                return s;
            m->pending_count = 0; /* caches are cold anyway */
        }
        if (b.first_access + b.access_count > at_access)
            return NW_OK;
    }
}

struct stage { /* a machine with what it needs to live */
    struct nw_result result;
    struct replay replay;
    struct nw_config config;
    struct nw_trace_info plain;
};

static enum nw_status stage_init(struct stage *t, struct nw_source *source, uint64_t at_access,
                                 const struct nw_config *config, struct nw_error *err)
{
    memset(t, 0, sizeof *t);
    nw_trace_info_init(&t->plain);
    enum nw_status s = nw_config_check(config, err);
    if (s || (s = nw_config_copy(&t->config, config, err)))
        return s;
    t->config.engine = NW_ENGINE_REFERENCE;
    t->replay = (struct replay){ .config = &t->config, .r = &t->result };
    t->replay.flat_reference_cycles = machine_flat_reference_cycles(&t->config);
    if ((s = machine_init(&t->replay.m, &t->config, source ? nw_source_info(source) : &t->plain, &t->result, err)))
        return s;
    t->replay.m.flat = false; /* a flat machine has no tables to show */
    return source && t->replay.m.traced ? bring_to(&t->replay.m, source, at_access, err) : NW_OK;
}

static void stage_fini(struct stage *t)
{
    machine_fini(&t->replay.m);
    nw_config_fini(&t->config);
    nw_trace_info_fini(&t->plain);
}

/* ---- one walk ---- */

enum { REFERENCES_MAX = 80, LOOKUPS_MAX = 160 };

struct watch {
    struct machine *m;
    const struct nw_config *config;
    struct nw_explained_reference reference[REFERENCES_MAX];
    unsigned count, unnamed; /* the last `unnamed` ones wait to hear for which guest level they are */
    struct nw_explained_lookup lookup[LOOKUPS_MAX];
    unsigned lookups, lookups_taken; /* those that precede a reference already */
    struct nw_explanation *x;
};

enum { OF_SHADOW = 2 }; /* a third dimension beside enum nw_dimension: mode agile's shadow tree */

static struct nw_explained_reference *add(struct watch *w, unsigned d, unsigned level, uint64_t entry_hpa,
                                          uint64_t address, uint64_t entry)
{
    if (w->count == REFERENCES_MAX)
        return NULL;
    const struct nw_paging *p = d == NW_NESTED ? w->m->hw_nested : d == OF_SHADOW ? w->m->hw_switched : w->m->hw_guest;
    struct nw_explained_reference *r = &w->reference[w->count++];
    *r = (struct nw_explained_reference){ .n = w->count,
                                          .nested = d == NW_NESTED,
                                          .shadow = d == OF_SHADOW,
                                          .level = level,
                                          .for_guest_level = d == NW_NESTED ? NW_FOR_FINAL : (int)level,
                                          .address = entry_hpa,
                                          .guest_address = address,
                                          .entry = entry,
                                          .first_lookup = w->lookups_taken,
                                          .lookup_count = w->lookups - w->lookups_taken };
    w->lookups_taken = w->lookups;
    snprintf(r->table, sizeof r->table, "%s", p->format->level[level].table);
    if (nw_entry_present(p, entry))
        nw_entry_describe(p, level, entry, r->decoded, sizeof r->decoded);
    else
        snprintf(r->decoded, sizeof r->decoded, "not present");
    if (r->shadow && nw_entry_present(p, entry) && !nw_entry_is_leaf(p, level, entry) && (entry & NW_AGILE_SWITCH))
        strncat(r->decoded, " switching", sizeof r->decoded - strlen(r->decoded) - 1);
    return r;
}

static void on_reference(void *context, const struct nw_reference *reference, int found, uint64_t cycles)
{
    struct watch *w = context;
    for (unsigned i = w->count - w->unnamed; i < w->count; i++)
        w->reference[i].for_guest_level = reference->for_guest_level;
    w->unnamed = 0;
    struct nw_explained_reference *r = add(w, reference->shadow ? OF_SHADOW : reference->dimension, reference->level,
                                           reference->hpa.v, reference->address, reference->entry);
    if (!r)
        return;
    r->for_guest_level = reference->for_guest_level;
    r->cycles = cycles;
    snprintf(r->found_in, sizeof r->found_in, "%s",
             found >= 0    ? w->config->cache[found].name
             : found == -1 ? "dram"
                           : "");
    w->x->references++;
    if (reference->dimension == NW_NESTED)
        w->x->references_nested++;
    else if (reference->shadow)
        w->x->references_shadow++;
    else
        w->x->references_guest++;
    w->x->cycles += cycles;
}

/* ---- references that a cache saved: looked up all the same, to be shown ---- */

static uint64_t entry_at(const struct watch *w, const struct nw_paging *p, uint64_t hpa)
{
    uint64_t word = nw_physmem_read64(w->m->pm, nw_hpa(hpa & ~UINT64_C(7)));
    return p->entry_log2 == 2 ? (uint32_t)(word >> (hpa & 4 ? 32 : 0)) : word;
}

static void mark_skipped(struct nw_explained_reference *r, const char *by, const char *why)
{
    snprintf(r->skipped_by, sizeof r->skipped_by, "%s", by);
    snprintf(r->why, sizeof r->why, "%s", why);
}

/* The second stage's levels above `stop` for `gpa` (-1: all of them). Returns the HPA of `gpa` when all were followed. */
static uint64_t skip_nested(struct watch *w, uint64_t gpa, int stop, int for_guest_level, const char *by,
                            const char *why)
{
    const struct nw_paging *p = w->m->hw_nested;
    uint64_t table = p->root;
    for (unsigned l = p->levels; l-- > 0 && (int)l > stop;) {
        uint64_t hpa = table + (nw_paging_index(p, l, gpa) << p->entry_log2), entry = entry_at(w, p, hpa);
        struct nw_explained_reference *r = add(w, NW_NESTED, l, hpa, gpa, entry);
        if (!r)
            return 0;
        mark_skipped(r, by, why);
        r->for_guest_level = for_guest_level;
        if (nw_entry_is_leaf(p, l, entry))
            return nw_entry_page(p, l, entry) + (gpa & ((UINT64_C(1) << nw_level_log2(p, l)) - 1));
        table = entry & p->table_address;
    }
    return 0;
}

/* The shadow tree's levels above `stop`. Returns how many of the guest's are to be used then, the first of them at *table by HPA; or 0. */
static unsigned skip_shadow(struct watch *w, uint64_t gva, unsigned stop, const char *by, const char *why,
                            uint64_t *table)
{
    const struct nw_paging *p = w->m->hw_switched;
    uint64_t at = p->root;
    unsigned l = p->levels;
    while (l > stop + 1 && !(at & NW_AGILE_SWITCH)) {
        uint64_t hpa = at + (nw_paging_index(p, --l, gva) << p->entry_log2), entry = entry_at(w, p, hpa);
        struct nw_explained_reference *r = add(w, OF_SHADOW, l, hpa, hpa, entry);
        if (!r)
            return 0;
        mark_skipped(r, by, why);
        at = entry & (p->table_address | NW_AGILE_SWITCH);
    }
    *table = at & ~(uint64_t)NW_AGILE_SWITCH;
    return at & NW_AGILE_SWITCH && l > stop + 1 ? l : 0;
}

/* The guest's levels above `stop`, each with the translation of its address, and the translation of the table at `stop`. */
static void skip_guest(struct watch *w, uint64_t gva, unsigned stop, const char *by)
{
    const struct nw_paging *p = w->m->hw_guest;
    uint64_t table = p->root;
    unsigned levels = p->levels;
    bool by_hpa = w->m->hw_switched;
    char why[96];
    snprintf(why, sizeof why, "%s knows the host address of the next table, the %s", by, p->format->level[stop].table);
    if (by_hpa && !(levels = skip_shadow(w, gva, stop, by, why, &table)))
        return;
    for (unsigned l = levels; l-- > stop; by_hpa = false) {
        uint64_t offset = nw_paging_index(p, l, gva) << p->entry_log2, gpa = table + offset, hpa = gpa, entry;
        if (p->root_in_registers && l == 2) {
            table = p->pdpte[offset >> 3] & p->table_address;
            continue;
        }
        if (w->m->hw_nested && !by_hpa)
            hpa = skip_nested(w, gpa, -1, (int)l, by, why);
        if (l == stop)
            return;
        entry = entry_at(w, p, hpa);
        struct nw_explained_reference *r = add(w, NW_GUEST, l, hpa, gpa, entry);
        if (!r)
            return;
        mark_skipped(r, by, why);
        table = entry & p->table_address;
    }
}

static void on_lookup(void *context, enum nw_dimension d, uint64_t address, int level, const char *name, bool hit)
{
    struct watch *w = context;
    char why[96];
    if (w->lookups < LOOKUPS_MAX) {
        struct nw_explained_lookup *l = &w->lookup[w->lookups++];
        *l = (struct nw_explained_lookup){ .nested = d == NW_NESTED, .hit = hit, .address = address };
        snprintf(l->cache, sizeof l->cache, "%s", name);
    }
    if (!hit)
        return;
    if (d == NW_GUEST) {
        skip_guest(w, address, (unsigned)level, name);
    } else if (!strcmp(name, "nested_tlb")) {
        snprintf(why, sizeof why, "%s translates GPA 0x%" PRIx64 " as a whole", name, address);
        skip_nested(w, address, -1, level, name, why);
    } else {
        unsigned before = w->count;
        snprintf(why, sizeof why, "%s knows the next table, the %s", name, w->m->hw_nested->format->level[level].table);
        skip_nested(w, address, level, NW_FOR_FINAL, name, why);
        w->unnamed += w->count - before;
    }
}

/* ---- accesses ---- */

/* One access made first: until it succeeds, or a fault stays. Only its walk's traces in the caches matter. */
static enum nw_status make_access(struct stage *t, struct reference_engine *e, gva_t gva, uint8_t kind,
                                  struct nw_walk_result *r, struct nw_error *err)
{
    struct machine *m = &t->replay.m;
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        enum fault_action action;
        enum nw_status s = machine_prepare(m, gva, kind, err);
        if (s)
            return s;
        reference_forget(e);
        reference_walk(e, gva, kind, WALK_MISS, r);
        if (r->outcome == NW_WALK_OK)
            return NW_OK;
        if ((s = machine_fault(m, gva, kind, r, &action, err)) || action == FAULT_GIVE_UP)
            return s;
        reference_forget(e);
    }
    return NW_OK;
}

/* The walk that is explained, in caches that hold what the accesses before it left there. */
static enum nw_status watched_walk(struct stage *t, const struct nw_explain_request *q, uint8_t kind, struct watch *w,
                                   struct nw_walk_result *r, struct nw_error *err)
{
    void *state;
    enum nw_status s = reference_create(&t->replay, &state, err);
    if (s)
        return s;
    struct reference_engine *e = state;
    for (size_t i = 0; !s && i < q->before_count; i++)
        s = make_access(t, e, q->before[i].gva, nw_kind_make(q->before[i].type, 1, q->user), r, err);
    if (!s) {
        reference_forget(e);
        e->watch = on_reference;
        e->lookup = on_lookup;
        e->watch_context = w;
        reference_walk(e, q->gva, kind, WALK_MISS, r);
    }
    reference_destroy(e);
    return s;
}

static enum nw_status explain(struct stage *t, const struct nw_explain_request *q, struct watch *w,
                              struct nw_explanation *x, struct nw_error *err)
{
    struct machine *m = &t->replay.m;
    uint8_t kind = nw_kind_make(q->type, 1, q->user);
    struct nw_walk_result r;
    enum nw_status s = machine_prepare(m, q->gva, kind, err);
    for (unsigned attempt = 0; !s && attempt < ATTEMPTS_MAX; attempt++) {
        enum fault_action action;
        *x = (struct nw_explanation){ .gva = q->gva.v };
        w->count = w->unnamed = w->lookups = w->lookups_taken = 0;
        w->x = x;
        m->pending_count = 0;
        if ((s = watched_walk(t, q, kind, w, &r, err)) || r.outcome == NW_WALK_OK)
            break;
        if (!m->pager->fills_on_fault || (m->hw_switched && !r.fault.shadow))
            break; /* the fault is the answer; a shadow table, though, is filled by its faults */
        if ((s = machine_fault(m, q->gva, kind, &r, &action, err)) || action == FAULT_GIVE_UP)
            break;
        if (!s)
            s = machine_prepare(m, q->gva, kind, err);
    }
    if (s)
        return s;
    nw_walk_describe(&r, x->outcome, sizeof x->outcome);
    explain_fault(&r, m->hw_nested, &x->fault);
    if (r.outcome == NW_WALK_OK) {
        x->gpa = r.gpa.v;
        x->hpa = r.hpa.v;
        x->page_bytes = UINT64_C(1) << r.page_log2;
        if (m->pager->fills_on_fault) { /* the tree that was walked leads straight to the host's address */
            struct nw_walk_result guest;
            struct nw_access access = access_of(kind);
            nw_walk_nested(m->pm, &m->guest, &m->p2m, q->gva, &access, NULL, &guest);
            x->gpa = guest.outcome == NW_WALK_OK ? guest.gpa.v : 0;
        }
    }
    return NW_OK;
}

/* Copies `count` elements, if any; false when out of memory. */
static bool keep(void **to, const void *from, size_t count, size_t size)
{
    *to = count ? malloc(count * size) : NULL;
    if (*to)
        memcpy(*to, from, count * size);
    return *to || !count;
}

static enum nw_status explain_part(struct stage *t, const struct nw_explain_request *q, struct nw_explanation *out,
                                   struct nw_error *err)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return nw_fail_nomem(err, "an explanation");
    w->m = &t->replay.m;
    w->config = &t->config;
    enum nw_status s = explain(t, q, w, out, err);
    void *reference = NULL, *lookup = NULL;
    if (!s && (!keep(&reference, w->reference, w->count, sizeof *w->reference) ||
               !keep(&lookup, w->lookup, w->lookups, sizeof *w->lookup)))
        s = nw_fail_nomem(err, "an explanation");
    out->reference = reference;
    out->reference_count = reference ? w->count : 0;
    out->lookup = lookup;
    out->lookup_count = lookup ? w->lookups : 0;
    if (s)
        nw_explanation_fini(out);
    free(w);
    return s;
}

/* The upper page's walk comes after the lower one's, in its caches. */
static enum nw_status explain_upper(struct stage *t, const struct nw_explain_request *q, uint64_t upper,
                                    struct nw_explanation *out, struct nw_error *err)
{
    struct nw_explain_before *before = malloc((q->before_count + 1) * sizeof *before);
    struct nw_explain_request next = *q;
    if (!before)
        return nw_fail_nomem(err, "an explanation");
    if (q->before_count)
        memcpy(before, q->before, q->before_count * sizeof *before);
    before[q->before_count] = (struct nw_explain_before){ q->gva, q->type };
    next.gva = nw_gva(upper);
    next.before = before;
    next.before_count = q->before_count + 1;
    enum nw_status s = explain_part(t, &next, out, err);
    free(before);
    return s;
}

enum nw_status nw_explain_access(struct nw_source *source, const struct nw_config *config,
                                 const struct nw_explain_request *q, struct nw_explanation out[2], unsigned *count,
                                 struct nw_error *err)
{
    struct stage *t = malloc(sizeof *t);
    uint64_t upper = (q->gva.v + (q->bytes ? q->bytes - 1 : 0)) & ~(NW_PAGE_BYTES - 1);
    *count = 0;
    memset(out, 0, 2 * sizeof *out);
    if (!t)
        return nw_fail_nomem(err, "an explanation");
    enum nw_status s = stage_init(t, source, q->at_access, config, err);
    if (!s && !(s = explain_part(t, q, &out[0], err)))
        *count = 1;
    if (!s && upper != (q->gva.v & ~(NW_PAGE_BYTES - 1)) && !out[0].fault.kind) {
        if (!(s = explain_upper(t, q, upper, &out[1], err)))
            *count = 2;
        else
            nw_explanation_fini(&out[0]);
    }
    stage_fini(t);
    free(t);
    return s;
}

enum nw_status nw_explain_walk(struct nw_source *source, uint64_t at_access, const struct nw_config *config, gva_t gva,
                               enum nw_access_type type, bool user, struct nw_explanation *out, struct nw_error *err)
{
    struct nw_explain_request q = { .at_access = at_access, .gva = gva, .type = type, .user = user, .bytes = 1 };
    struct nw_explanation both[2];
    unsigned count;
    enum nw_status s = nw_explain_access(source, config, &q, both, &count, err);
    *out = both[0];
    return s;
}

void nw_explanation_fini(struct nw_explanation *x)
{
    free(x->reference);
    free(x->lookup);
    *x = (struct nw_explanation){ 0 };
}

/* ---- trees ---- */

enum { TREE_PAGES = 64 }; /* of an imitation guest's trace */

struct grow {
    struct nw_tree *tree;
    unsigned max, last[NW_LEVELS_MAX + 1]; /* last node by level */
    bool failed;
};

static bool add_node(void *context, const struct nw_leaf *entry, bool leaf, uint64_t first_address)
{
    struct grow *g = context;
    struct nw_tree *t = g->tree;
    if (t->node_count == g->max) {
        t->truncated = true;
        return false;
    }
    struct nw_tree_node *bigger = reallocarray(t->node, t->node_count + 1, sizeof *bigger);
    if (!bigger) {
        g->failed = true;
        return false;
    }
    t->node = bigger;
    unsigned n = t->node_count++, above = entry->level + 1u;
    t->node[n] = (struct nw_tree_node){ .parent = above < t->levels ? g->last[above] : n,
                                        .level = entry->level,
                                        .leaf = leaf,
                                        .entry_address = entry->entry_address,
                                        .entry = entry->entry,
                                        .first_address = first_address,
                                        .bytes = UINT64_C(1) << entry->page_log2 };
    g->last[entry->level] = n;
    return true;
}

static enum nw_status locate_table(void *context, uint64_t address, hpa_t *out, struct nw_error *err)
{
    return machine_locate_table(context, address, out, err);
}

/* Maps what the trace touches first. */
static enum nw_status touch_first_pages(struct machine *m, struct nw_source *source, struct nw_error *err)
{
    struct nw_block b;
    if (!source)
        return machine_prepare(m, nw_gva(0x7f0000000000), nw_kind_make(NW_LOAD, 8, true), err);
    source->want = NW_WANT_TOUCHES;
    enum nw_status s = nw_source_next(source, &b, err);
    for (uint32_t i = 0; !s && !b.end && i < b.touch_count && i < TREE_PAGES; i++) {
        s = machine_prepare(m, nw_gva(b.touch[i].page << NW_PAGE_LOG2), (uint8_t)b.touch[i].kind, err);
        m->pending_count = 0;
    }
    return s;
}

static enum nw_status visit_tree(struct machine *m, bool nested, struct grow *g, struct nw_error *err)
{
    struct nw_builder b;
    struct nw_builder_memory memory = { .locate = !nested && m->second_stage ? locate_table : NULL, .context = m };
    const struct nw_paging *paging = nested ? &m->p2m : &m->guest;
    if (!paging->levels)
        return nw_fail(err, NW_ERR_INPUT, "the guest has paging off: there is no tree to draw");
    enum nw_status s = nw_builder_init(&b, m->pm, paging, &memory, err);
    g->tree->levels = paging->levels;
    if (!s)
        s = nw_builder_visit(&b, add_node, g, err);
    return !s && g->failed ? nw_fail_nomem(err, "a page-table tree") : s;
}

enum nw_status nw_explain_tree(struct nw_source *source, const struct nw_config *config, bool nested, unsigned max,
                               struct nw_tree *out, struct nw_error *err)
{
    struct stage *t = malloc(sizeof *t);
    struct grow g = { .tree = out, .max = max };
    memset(out, 0, sizeof *out);
    if (!t)
        return nw_fail_nomem(err, "a page-table tree");
    enum nw_status s = nested && config->mode == NW_MODE_NATIVE
                           ? nw_fail(err, NW_ERR_USAGE, "mode native has no second stage to draw")
                           : NW_OK;
    if (!s) {
        s = stage_init(t, source, UINT64_MAX, config, err);
        if (!s && !t->replay.m.traced)
            s = touch_first_pages(&t->replay.m, source, err);
        if (!s)
            s = visit_tree(&t->replay.m, nested, &g, err);
        stage_fini(t);
    }
    if (s)
        nw_tree_fini(out);
    free(t);
    return s;
}

void nw_tree_fini(struct nw_tree *t)
{
    free(t->node);
    *t = (struct nw_tree){ 0 };
}
