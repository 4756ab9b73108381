/* explain.c - one access through the reference engine with a watcher. */
#include "guest.h"
#include "reference.h"
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

enum { REFERENCES_MAX = 80 };

struct watch {
    struct machine *m;
    const struct nw_config *config;
    struct nw_explained_reference reference[REFERENCES_MAX];
    unsigned count, unnamed; /* the last `unnamed` ones wait to hear for which guest level they are */
    struct nw_explanation *x;
};

static const struct nw_paging *paging_of(const struct watch *w, enum nw_dimension d)
{
    return d == NW_NESTED ? w->m->hw_nested : w->m->hw_guest;
}

static struct nw_explained_reference *add(struct watch *w, enum nw_dimension d, unsigned level, uint64_t entry_hpa,
                                          uint64_t address, uint64_t entry)
{
    if (w->count == REFERENCES_MAX)
        return NULL;
    const struct nw_paging *p = paging_of(w, d);
    struct nw_explained_reference *r = &w->reference[w->count++];
    *r = (struct nw_explained_reference){ .n = w->count,
                                          .nested = d == NW_NESTED,
                                          .level = level,
                                          .for_guest_level = d == NW_GUEST ? (int)level : NW_FOR_FINAL,
                                          .address = entry_hpa,
                                          .guest_address = address,
                                          .entry = entry };
    snprintf(r->table, sizeof r->table, "%s", p->format->level[level].table);
    if (nw_entry_present(p, entry))
        nw_entry_describe(p, level, entry, r->decoded, sizeof r->decoded);
    else
        snprintf(r->decoded, sizeof r->decoded, "not present");
    return r;
}

static void on_reference(void *context, const struct nw_reference *reference, int found, uint64_t cycles)
{
    struct watch *w = context;
    for (unsigned i = w->count - w->unnamed; i < w->count; i++)
        w->reference[i].for_guest_level = reference->for_guest_level;
    w->unnamed = 0;
    struct nw_explained_reference *r = add(w, (enum nw_dimension)reference->dimension, reference->level,
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
    else
        w->x->references_guest++;
    w->x->cycles += cycles;
}

/* The references that a cache saved are looked up all the same, to be shown: a PSC saves the levels above the table it names, the nested
 * TLB all of them. */
static void on_skip(void *context, enum nw_dimension d, uint64_t address, int level, const char *name)
{
    struct watch *w = context;
    const struct nw_paging *p = paging_of(w, d);
    bool whole = !strcmp(name, "nested_tlb");
    if (d != NW_NESTED)
        return; /* a walk from cold caches meets no warm guest entry */
    uint64_t table = p->root;
    for (unsigned l = p->levels; l-- > 0 && (whole || (int)l > level);) {
        uint64_t hpa = table + (nw_paging_index(p, l, address) << p->entry_log2),
                 entry = nw_physmem_read64(w->m->pm, nw_hpa(hpa));
        struct nw_explained_reference *r = add(w, d, l, hpa, address, entry);
        if (!r)
            return;
        snprintf(r->skipped_by, sizeof r->skipped_by, "%s", name);
        if (whole)
            r->for_guest_level = level;
        else
            w->unnamed++;
        if (nw_entry_is_leaf(p, l, entry))
            return;
        table = entry & p->table_address;
    }
}

static enum nw_status watched_walk(struct stage *t, gva_t gva, uint8_t kind, struct watch *w, struct nw_walk_result *r,
                                   struct nw_error *err)
{
    void *state;
    enum nw_status s = reference_create(&t->replay, &state, err);
    if (s)
        return s;
    struct reference_engine *e = state;
    e->watch = on_reference;
    e->skip = on_skip;
    e->watch_context = w;
    reference_walk(e, gva, kind, WALK_MISS, r);
    reference_destroy(e);
    return NW_OK;
}

static enum nw_status explain(struct stage *t, gva_t gva, uint8_t kind, struct watch *w, struct nw_explanation *x,
                              struct nw_error *err)
{
    struct machine *m = &t->replay.m;
    struct nw_walk_result r;
    enum nw_status s = machine_prepare(m, gva, kind, err);
    for (unsigned attempt = 0; !s && attempt < ATTEMPTS_MAX; attempt++) {
        enum fault_action action;
        *x = (struct nw_explanation){ .gva = gva.v };
        w->count = w->unnamed = 0;
        w->x = x;
        m->pending_count = 0;
        if ((s = watched_walk(t, gva, kind, w, &r, err)) || r.outcome == NW_WALK_OK)
            break;
        if ((s = machine_fault(m, gva, kind, &r, &action, err)) || action == FAULT_GIVE_UP)
            break;
        if (!s)
            s = machine_prepare(m, gva, kind, err);
    }
    if (s)
        return s;
    nw_walk_describe(&r, x->outcome, sizeof x->outcome);
    if (r.outcome == NW_WALK_OK) {
        x->gpa = r.gpa.v;
        x->hpa = r.hpa.v;
        x->page_bytes = UINT64_C(1) << r.page_log2;
        if (m->shadow) { /* the tree that was walked leads straight to the host's address */
            struct nw_walk_result guest;
            struct nw_access access = access_of(kind);
            nw_walk_nested(m->pm, &m->guest, &m->p2m, gva, &access, NULL, &guest);
            x->gpa = guest.outcome == NW_WALK_OK ? guest.gpa.v : 0;
        }
    }
    return NW_OK;
}

enum nw_status nw_explain_walk(struct nw_source *source, uint64_t at_access, const struct nw_config *config, gva_t gva,
                               enum nw_access_type type, bool user, struct nw_explanation *out, struct nw_error *err)
{
    struct stage *t = malloc(sizeof *t);
    struct watch *w = calloc(1, sizeof *w);
    memset(out, 0, sizeof *out);
    enum nw_status s = t && w ? NW_OK : nw_fail_nomem(err, "an explanation");
    if (!s) {
        s = stage_init(t, source, at_access, config, err);
        w->m = &t->replay.m;
        w->config = &t->config;
        if (!s)
            s = explain(t, gva, nw_kind_make(type, 8, user), w, out, err);
        stage_fini(t);
    }
    if (!s && w->count) {
        out->reference = malloc(w->count * sizeof *out->reference);
        if (out->reference) {
            memcpy(out->reference, w->reference, w->count * sizeof *out->reference);
            out->reference_count = w->count;
        } else {
            s = nw_fail_nomem(err, "an explanation");
        }
    }
    free(t);
    free(w);
    return s;
}

void nw_explanation_fini(struct nw_explanation *x)
{
    free(x->reference);
    x->reference = NULL;
    x->reference_count = 0;
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
