/* sample.c - the replay of chosen windows; sample.h says which and why. */
#include "sample_internal.h"
#include "sample_seen.h"
#include <inttypes.h>
#include <math.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum phase { BEGINNING, SKIP, WARM, WINDOW };

struct sampler {
    struct nw_source *source;
    const struct nw_config *config;
    struct nw_sample_result *out;
    struct nw_replayer *replayer;
    struct replay *p;
    struct seen seen;
    bool sought;  /* the source can go back to a block */
    bool skipped; /* once at least: from there on pages may be new that are not */

    uint64_t *start; /* of each window, ascending */
    struct sample_window *window;
    size_t next; /* the window under way or to come */
    enum phase phase;
    uint64_t phase_end;

    double fixed[COUNTS], at_start[COUNTS], slack[COUNTS];
    uint64_t page[2]; /* each class's most recent page, as far as the trace was replayed ... */
    uint64_t replayed_to;
    struct nw_touch *touch, *fresh; /* room for those of a block */
};

/* ---- counters ---- */

static void read_event_counts(const struct sampler *s, double at[COUNTS])
{
    const struct nw_result *r = s->p->r;
    at[COUNT_GUEST_PAGE_FAULTS] = (double)r->faults.guest_page_faults;
    at[COUNT_EPT_VIOLATIONS] = (double)r->faults.ept_violations;
    at[COUNT_EPT_MISCONFIGURATIONS] = (double)r->faults.ept_misconfigurations;
    at[COUNT_GUEST_FAULT_CYCLES] = (double)s->p->m.guest_fault_cycles;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++) {
        at[COUNT_EXITS + i] = (double)r->exits[i].count;
        at[COUNT_EXIT_CYCLES + i] = (double)r->exits[i].cycles;
    }
}

/* Those that only accesses make. */
static void read_access_counts(struct sampler *s, double at[COUNTS])
{
    const struct nw_result *r = s->p->r;
    uint64_t walks, cycles;
    replayer_settle(s->replayer);
    replayer_settled_walks(s->replayer, &walks, &cycles);
    for (size_t i = 0; i < s->config->tlb_count; i++) {
        at[COUNT_TLB_MISSES + i] = (double)r->tlb[i].misses;
        at[COUNT_TLB_HITS + i] = (double)r->tlb[i].hits;
    }
    at[COUNT_WALKS] = (double)walks;
    at[COUNT_REFERENCES] = (double)r->walks.references;
    at[COUNT_REFERENCES_GUEST] = (double)r->walks.references_guest;
    at[COUNT_REFERENCES_NESTED] = (double)r->walks.references_nested;
    at[COUNT_WALK_CYCLES] = (double)cycles;
    at[COUNT_ASSIST_CYCLES] = (double)s->p->assist_cycles;
    at[COUNT_NONCANONICAL] = (double)r->faults.noncanonical;
}

/* Cycles of all page-table references up to now, assists and prefetches included. */
static double reference_cycles(const struct sampler *s)
{
    const struct nw_config *c = s->config;
    const struct nw_result *r = s->p->r;
    uint64_t references = r->walks.references + r->walks.dirty_assist_references + r->prefetch.references;
    if (c->fidelity == NW_FIDELITY_TLB)
        return (double)(references * s->p->flat_reference_cycles);
    uint64_t cycles = references * c->walker.level_cycles + r->memory_references * c->memory.dram_latency_cycles;
    for (size_t i = c->walker.first_cache; i < c->cache_count; i++)
        cycles += r->cache[i].hits * c->cache[i].latency_cycles;
    return (double)cycles;
}

/* ---- phases ---- */

static uint64_t warm_start(const struct sampler *s, size_t i)
{
    return s->start[i] > s->out->warm_accesses ? s->start[i] - s->out->warm_accesses : 0;
}

/* What comes at `position`, where windows up to `next` are done. */
static void go_on(struct sampler *s, uint64_t position)
{
    bool over = s->next == s->out->windows;
    uint64_t warm = over ? UINT64_MAX : warm_start(s, s->next);
    s->phase = warm > position ? SKIP : WARM;
    s->phase_end = warm > position ? warm : s->start[s->next];
}

static enum nw_status next_phase(struct sampler *s, uint64_t position, struct nw_error *err)
{
    struct sample_window *w = &s->window[s->next];
    double now[COUNTS] = { 0 };
    enum nw_status st;
    switch (s->phase) {
    case BEGINNING:
        read_access_counts(s, now);
        for (unsigned i = 0; i < COUNT_OF_EVENTS; i++)
            s->fixed[i] += now[i];
        go_on(s, position);
        break;
    case SKIP:
        if ((st = replayer_forget_caches(s->replayer, err)))
            return st;
        seen_forget(&s->seen);
        s->skipped = true;
        go_on(s, position);
        break;
    case WARM:
        read_access_counts(s, s->at_start);
        memset(s->slack, 0, sizeof s->slack);
        s->phase = WINDOW;
        s->phase_end = s->start[s->next] + s->out->window_accesses;
        break;
    case WINDOW:
        read_access_counts(s, now);
        for (unsigned i = 0; i < COUNT_OF_EVENTS; i++)
            w->high[i] = now[i] - s->at_start[i];
        for (unsigned i = 0; i < COUNTS; i++)
            w->low[i] = w->high[i] > s->slack[i] ? w->high[i] - s->slack[i] : 0;
        s->next++;
        go_on(s, position);
        break;
    }
    return NW_OK;
}

/* ---- accesses ---- */

/* The accesses [from, to) of a block, between two events: `touch` to `touch_end` are its touches there. */
struct stretch {
    const struct nw_block *b;
    uint32_t from, to, touch, touch_end;
};

/* What each class touched last before a stretch that does not follow the one before. */
static void catch_up(struct sampler *s, const struct stretch *x)
{
    unsigned missing = 3;
    for (uint32_t t = x->touch; t-- > 0 && missing;) {
        unsigned class = (x->b->touch[t].kind & NW_KIND_TYPE) == NW_FETCH;
        if (missing & 1u << class)
            s->page[class] = x->b->touch[t].page;
        missing &= ~(1u << class);
    }
}

/* The touches of a stretch behind a skip, with the filter fresh at its beginning (block.h): while a class is still on the page that it
 * was on before, accesses that were dropped for what came before become touches. */
static uint32_t fresh_touches(struct sampler *s, const struct stretch *x, struct nw_touch *out)
{
    const struct nw_block *b = x->b;
    uint64_t page[2];
    uint32_t t = x->touch, n = 0, i = x->from;
    unsigned had[2] = { 0, 0 }; /* kinds that were seen on the page */
    bool old[2] = { true, true };
    catch_up(s, x);
    memcpy(page, s->page, sizeof page);
    for (; i < x->to && (old[0] || old[1]); i++) {
        uint8_t kind = nw_block_kind(b, i);
        unsigned class = nw_kind_type(kind) == NW_FETCH, bit = 1u << rule_index(kind);
        bool lower = t < x->touch_end && b->touch[t].at == i && !(b->touch[t].kind & NW_TOUCH_UPPER);
        if (!lower && old[class] && !(had[class] & bit))
            out[n++] = (struct nw_touch){ page[class], i, kind };
        had[class] |= bit;
        for (; t < x->touch_end && b->touch[t].at == i; t++) {
            old[class] &= b->touch[t].page == page[class];
            out[n++] = b->touch[t];
        }
    }
    memcpy(out + n, b->touch + t, (x->touch_end - t) * sizeof *out);
    return n + x->touch_end - t;
}

/* As a block by itself. Each class's first access has to be a touch, which it need not have been in the larger block. */
static void make_block(struct sampler *s, const struct stretch *x, struct nw_block *out)
{
    const struct nw_block *b = x->b;
    uint32_t first[2] = { UINT32_MAX, UINT32_MAX }, of_type[4] = { 0 }, n = 0;
    if (!b->kind) {
        of_type[nw_kind_type(b->kind_constant)] = x->to - x->from;
        first[nw_kind_type(b->kind_constant) == NW_FETCH] = x->from;
    } else {
        for (uint32_t i = x->from; i < x->to; i++) {
            unsigned type = b->kind[i] & NW_KIND_TYPE, class = type == NW_FETCH;
            of_type[type]++;
            if (first[class] == UINT32_MAX)
                first[class] = i;
        }
    }
    const unsigned earlier = first[1] < first[0];
    for (uint32_t t = x->touch; t <= x->touch_end; t++) {
        const struct nw_touch *at = t < x->touch_end ? &b->touch[t] : NULL;
        for (unsigned k = 0; k < 2; k++) {
            unsigned class = earlier ^ k;
            if (first[class] == UINT32_MAX || (at && at->at < first[class]))
                continue;
            if (!at || at->at > first[class] || at->kind & NW_TOUCH_UPPER)
                s->touch[n++] =
                    (struct nw_touch){ s->page[class], first[class] - x->from, nw_block_kind(b, first[class]) };
            first[class] = UINT32_MAX;
        }
        if (!at)
            break;
        s->touch[n] = *at;
        s->touch[n++].at -= x->from;
        s->page[(at->kind & NW_KIND_TYPE) == NW_FETCH] = at->page;
    }
    *out = (struct nw_block){ .first_access = b->first_access + x->from,
                              .access_count = x->to - x->from,
                              .touch_count = n,
                              .vcpu = b->vcpu,
                              .kind_constant = b->kind_constant,
                              .crosses_page = b->crosses_page,
                              .fetches = of_type[NW_FETCH],
                              .loads = of_type[NW_LOAD],
                              .stores = of_type[NW_STORE],
                              .address = b->address ? b->address + x->from : NULL,
                              .kind = b->kind ? b->kind + x->from : NULL,
                              .touch = s->touch };
}

/* `exact`: what they do to counts that events make too is certain. */
static enum nw_status replay(struct sampler *s, const struct stretch *x, bool exact, struct nw_error *err)
{
    struct nw_block block;
    double before[COUNTS], after[COUNTS];
    if (x->from == x->to)
        return NW_OK;
    make_block(s, x, &block);
    read_event_counts(s, before);
    enum nw_status st = replayer_feed(s->replayer, &block, err);
    read_event_counts(s, after);
    double *to = exact || s->phase == BEGINNING ? s->fixed : s->phase == WINDOW ? s->window[s->next].high : NULL;
    for (unsigned i = COUNT_OF_EVENTS; to && i < COUNTS; i++)
        to[i] += after[i] - before[i];
    s->out->replayed_accesses += block.access_count;
    return st;
}

/* One access, of which something is new: what of its effect might not be there in a full replay goes into the slack. */
static enum nw_status replay_new(struct sampler *s, const struct stretch *x, const struct seen_news *news,
                                 unsigned class, bool exact, struct nw_error *err)
{
    const struct nw_result *r = s->p->r;
    const struct nw_config *c = s->config;
    double before[COUNTS], after[COUNTS], cycles = reference_cycles(s), assist = (double)s->p->assist_cycles;
    double guest = (double)r->walks.references_guest, nested = (double)r->walks.references_nested;
    uint64_t memory = r->memory_references;
    read_event_counts(s, before);
    enum nw_status st = replay(s, x, exact, err);
    if (st || s->phase != WINDOW)
        return st;
    read_event_counts(s, after);
    for (unsigned i = COUNT_OF_EVENTS; i < COUNTS && !exact; i++)
        s->slack[i] += after[i] - before[i];
    s->slack[COUNT_ASSIST_CYCLES] += (double)s->p->assist_cycles - assist;
    if (!news->page)
        return NW_OK;
    for (unsigned level = 0; level < s->p->levels; level++) {
        const struct tlb_home home = s->p->home[class][level][s->seen.size];
        if (!news->certain[level] && home.array >= 0)
            s->slack[COUNT_TLB_MISSES + home.array] += x->touch_end - x->touch;
    }
    cycles = reference_cycles(s) - cycles;
    guest = (double)r->walks.references_guest - guest;
    nested = (double)r->walks.references_nested - nested;
    double walks = x->touch_end - x->touch, kept = 0;
    bool nested_caches = c->nested_tlb.entries, guest_caches = false;
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++) {
        nested_caches |= c->psc_nested[i].entries > 0;
        guest_caches |= c->psc_guest[i].entries > 0;
    }
    if (!news->certain[s->p->levels - 1]) {
        s->slack[COUNT_WALKS] += walks;
    } else if ((guest_caches && news->region) || nested_caches) {
        /* A walk, but which of its references a walk cache would have saved is not known: its leaf is read in any case. */
        kept = guest > 0;
        cycles -= fmin((double)s->p->flat_reference_cycles, cycles);
    } else if (c->fidelity != NW_FIDELITY_TLB) {
        /* All of its references, of which those to memory might have found their line. */
        uint64_t near = c->cache_count > c->walker.first_cache ? c->cache[c->walker.first_cache].latency_cycles
                                                               : c->memory.dram_latency_cycles;
        uint64_t far = c->memory.dram_latency_cycles;
        s->slack[COUNT_WALK_CYCLES] += far > near ? (double)((r->memory_references - memory) * (far - near)) : 0;
        return NW_OK;
    } else {
        return NW_OK;
    }
    s->slack[COUNT_WALK_CYCLES] += cycles;
    s->slack[COUNT_REFERENCES] += guest + nested - kept;
    s->slack[COUNT_REFERENCES_GUEST] += guest - kept;
    s->slack[COUNT_REFERENCES_NESTED] += nested;
    return NW_OK;
}

/* A stretch within one phase that is not a skip. */
static enum nw_status replay_stretch(struct sampler *s, struct stretch x, bool exact, struct nw_error *err)
{
    struct stretch known = x;
    enum nw_status st;
    known.touch_end = known.touch;
    for (uint32_t t = x.touch, end; s->skipped && t < x.touch_end; t = end) {
        struct seen_news news = { 0 }, one;
        unsigned class = (x.b->touch[t].kind & NW_KIND_TYPE) == NW_FETCH;
        for (end = t; end < x.touch_end && x.b->touch[end].at == x.b->touch[t].at; end++) {
            if ((st = seen_touch(&s->seen, &x.b->touch[end], &one, err)))
                return st;
            /* Of an access to two pages, what holds for both. */
            for (unsigned level = 0; level < LEVELS_OF_TLB; level++)
                news.certain[level] = one.page && one.certain[level] && (!news.page || news.certain[level]);
            news.page |= one.page;
            news.store |= one.store;
            news.region |= one.region;
        }
        if (!news.page && !news.store)
            continue;
        uint32_t at = x.b->touch[t].at;
        known.to = at;
        known.touch_end = t;
        if ((st = replay(s, &known, exact, err)) ||
            (st = replay_new(s, &(struct stretch){ x.b, at, at + 1, t, end }, &news, class, exact, err)))
            return st;
        known.from = at + 1;
        known.touch = end;
    }
    known.to = x.to;
    known.touch_end = x.touch_end;
    return replay(s, &known, exact, err);
}

static uint32_t touch_at(const struct nw_block *b, uint32_t access)
{
    uint32_t low = 0, high = b->touch_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (b->touch[mid].at < access)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The accesses [from, to), between events; `forced`: replayed even in a skip. */
static enum nw_status take_accesses(struct sampler *s, const struct nw_block *b, uint32_t from, uint32_t to,
                                    bool forced, struct nw_error *err)
{
    enum nw_status st;
    while (from < to) {
        while (b->first_access + from == s->phase_end)
            if ((st = next_phase(s, s->phase_end, err)))
                return st;
        uint64_t left = s->phase_end - (b->first_access + from);
        uint32_t stop = left < to - from ? from + (uint32_t)left : to;
        if (s->phase == WINDOW || s->phase == BEGINNING)
            s->out->measured_accesses += stop - from;
        if (s->phase != SKIP || forced) {
            struct stretch x = { b, from, stop, touch_at(b, from), touch_at(b, stop) };
            struct nw_block fresh = *b;
            if (s->replayed_to != b->first_access + from) {
                fresh.touch_count = fresh_touches(s, &x, s->fresh);
                fresh.touch = s->fresh;
                x = (struct stretch){ &fresh, from, stop, 0, fresh.touch_count };
            }
            s->replayed_to = b->first_access + stop;
            if (forced && s->phase == SKIP) {
                if ((st = replay(s, &x, true, err)))
                    return st;
            } else if ((st = replay_stretch(s, x, forced, err))) {
                return st;
            }
        }
        from = stop;
    }
    return NW_OK;
}

static enum nw_status take_event(struct sampler *s, const struct nw_block *b, const struct nw_event *event,
                                 struct nw_error *err)
{
    struct nw_event alone = *event;
    struct nw_block block = { .first_access = b->first_access + event->at,
                              .vcpu = b->vcpu,
                              .kind_constant = b->kind_constant,
                              .event_count = 1,
                              .event = &alone };
    double before[COUNTS], after[COUNTS];
    alone.at = 0;
    read_event_counts(s, before);
    enum nw_status st = replayer_feed(s->replayer, &block, err);
    read_event_counts(s, after);
    for (unsigned i = COUNT_OF_EVENTS; i < COUNTS; i++)
        s->fixed[i] += after[i] - before[i];
    seen_event(&s->seen, event);
    return st;
}

/* Whether the access before the event `e` faulted: a recorded page fault is among the events at its place. */
static bool faulted(const struct nw_block *b, uint32_t e)
{
    for (uint32_t i = e; i < b->event_count && b->event[i].at == b->event[e].at; i++)
        if (b->event[i].kind == NW_EV_PAGE_FAULT)
            return true;
    return false;
}

static enum nw_status take_block(struct sampler *s, const struct nw_block *b, struct nw_error *err)
{
    uint32_t from = 0;
    enum nw_status st;
    if (b->vcpu)
        return nw_fail(err, NW_ERR_UNSUPPORTED, "the trace has accesses of vCPU %u: replay of one vCPU is modelled",
                       b->vcpu);
    for (uint32_t e = 0; e <= b->event_count; e++) {
        uint32_t to = e < b->event_count ? b->event[e].at : b->access_count;
        if (to > from) {
            bool fault = e < b->event_count && faulted(b, e);
            if ((st = take_accesses(s, b, from, to - fault, false, err)) ||
                (st = take_accesses(s, b, to - fault, to, fault, err)))
                return st;
            from = to;
        }
        if (e < b->event_count && (st = take_event(s, b, &b->event[e], err)))
            return st;
    }
    s->out->accesses.fetch += b->fetches;
    s->out->accesses.load += b->loads;
    s->out->accesses.store += b->stores;
    return NW_OK;
}

/* ---- the pass ---- */

static bool has_fault(const struct nw_block *b)
{
    for (uint32_t i = 0; i < b->event_count; i++)
        if (b->event[i].kind == NW_EV_PAGE_FAULT)
            return true;
    return false;
}

/* The next block, with its accesses where they are needed: a block that lies in a skip needs none, unless one faulted. */
static enum nw_status next_block(struct sampler *s, uint64_t position, struct nw_block *b, struct nw_error *err)
{
    unsigned want = nw_replay_want(s->config) | NW_WANT_TOUCHES;
    bool skip = s->phase == SKIP && s->phase_end - position >= NW_BLOCK_ACCESSES_MAX && s->sought;
    s->source->want = skip ? 0 : want;
    enum nw_status st = nw_source_next(s->source, b, err);
    if (st || !skip || !has_fault(b) || !b->access_count)
        return st;
    s->source->want = want;
    if ((st = nw_nwt_seek(s->source, position, err)))
        return st;
    return nw_source_next(s->source, b, err);
}

static enum nw_status pass(struct sampler *s, uint64_t total, const struct nw_replay_hooks *hooks, struct nw_error *err)
{
    uint64_t done = 0;
    enum nw_status st;
    for (struct nw_block b;;) {
        if ((st = next_block(s, done, &b, err)) || b.end || (st = take_block(s, &b, err)))
            break;
        done += b.access_count;
        if (hooks && hooks->progress && !hooks->progress(hooks->context, done, total))
            return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted after %" PRIu64 " accesses", done);
    }
    while (!st && s->phase_end == done) /* the last window may end with the trace */
        st = next_phase(s, done, err);
    if (!st && s->next != s->out->windows)
        st = nw_fail(err, NW_ERR_INTERNAL, "the trace has %" PRIu64 " accesses, not the %" PRIu64 " that it says", done,
                     total);
    return st;
}

static enum nw_status run(struct sampler *s, uint64_t total, uint64_t beginning, const struct nw_replay_hooks *hooks,
                          struct nw_error *err)
{
    enum nw_status st = nw_replayer_create(&s->replayer, s->config, nw_source_info(s->source), err);
    if (st)
        return st;
    s->p = replayer_inside(s->replayer);
    s->phase_end = beginning;
    s->touch = malloc((NW_BLOCK_TOUCHES_MAX + 2) * sizeof *s->touch);
    s->fresh = malloc((NW_BLOCK_TOUCHES_MAX + 2) * sizeof *s->fresh);
    if (!s->touch || !s->fresh)
        st = nw_fail_nomem(err, "a sampled replay");
    if (!st && !(st = seen_init(&s->seen, s->p, err)) && !(st = pass(s, total, hooks, err)))
        st = sample_figures(s->out, s->fixed, s->window, s->out->windows, err);
    seen_fini(&s->seen);
    free(s->touch);
    free(s->fresh);
    nw_replayer_destroy(s->replayer);
    return st;
}

static enum nw_status run_whole(struct nw_source *source, const struct nw_config *config,
                                const struct nw_replay_hooks *hooks, struct nw_sample_result *out, struct nw_error *err)
{
    struct nw_result r;
    enum nw_status st = nw_replay(source, config, hooks, &r, err);
    if (st)
        return st;
    out->accesses.fetch = r.accesses.fetch;
    out->accesses.load = r.accesses.load;
    out->accesses.store = r.accesses.store;
    out->measured_accesses = out->replayed_accesses = r.accesses.total;
    st = sample_figures_exact(out, &r, err);
    nw_result_fini(&r);
    return st;
}

/* ---- what is asked for ---- */

void nw_sample_defaults(const struct nw_config *config, struct nw_sample_options *o)
{
    uint64_t entries = 0;
    for (size_t i = 0; i < config->tlb_count; i++)
        entries = config->tlb[i].entries > entries ? config->tlb[i].entries : entries;
    *o = (struct nw_sample_options){ .windows = NW_SAMPLE_WINDOWS_DEFAULT,
                                     .window_accesses = 10000,
                                     .warm_accesses = 16 * entries };
}

static enum nw_status check(const struct nw_config *c, const struct nw_sample_options *o, struct nw_source *source,
                            struct nw_error *err)
{
    bool traced = nw_source_info(source)->has_tables;
    if (o->windows ? o->windows < NW_SAMPLE_WINDOWS_MIN || o->windows > NW_SAMPLE_WINDOWS_MAX
                   : !(o->fraction > 0 && o->fraction <= 1))
        return nw_fail(err, NW_ERR_USAGE,
                       "a sample has %d to %d windows, or a fraction of the trace above 0 and at most 1",
                       NW_SAMPLE_WINDOWS_MIN, NW_SAMPLE_WINDOWS_MAX);
    if (!o->window_accesses || o->window_accesses > NW_SAMPLE_ACCESSES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "a sample's window has 1 to %" PRIu64 " accesses", NW_SAMPLE_ACCESSES_MAX);
    if (o->warm_accesses > NW_SAMPLE_ACCESSES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "a sample's windows are warmed by 0 to %" PRIu64 " accesses",
                       NW_SAMPLE_ACCESSES_MAX);
    if (!nw_source_access_total(source))
        return nw_fail(err, NW_ERR_USAGE, "a trace of no accesses, or of unknown length, cannot be sampled");
    if (c->mode != NW_MODE_NATIVE && c->mode != NW_MODE_NESTED)
        return nw_fail(
            err, NW_ERR_USAGE,
            "run.mode %s cannot be sampled: what an event costs depends on all accesses before it; the modes "
            "native and nested can",
            nw_mode_name[c->mode]);
    const char *not = c->detect_stale                                   ? "run.detect_stale"
                      : c->fidelity == NW_FIDELITY_FULL                 ? "run.fidelity full"
                      : !traced && c->guest.page_policy == NW_PAGES_THP ? "guest.page_policy thp"
                                                                        : NULL;
    return not ? nw_fail(err, NW_ERR_USAGE, "%s cannot be sampled: it depends on every access", not ) : NW_OK;
}

/* One window of each stratum: strata are runs of whole windows, as equal as they can be. */
static enum nw_status choose(struct sampler *s, uint64_t beginning, uint64_t slots, struct nw_error *err)
{
    uint64_t n = s->out->windows;
    struct nw_rng rng = nw_rng_for(s->config->seed, "sample");
    s->start = calloc(n, sizeof *s->start);
    s->window = calloc(n + 1, sizeof *s->window);
    if (!s->start || !s->window)
        return nw_fail_nomem(err, "a sample's windows");
    for (uint64_t i = 0; i < n; i++) {
        uint64_t first = (uint64_t)((unsigned __int128)slots * i / n),
                 end = (uint64_t)((unsigned __int128)slots * (i + 1) / n);
        s->window[i].stratum = (double)(end - first);
        s->start[i] = beginning + (first + nw_rng_below(&rng, end - first)) * s->out->window_accesses;
    }
    return NW_OK;
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum nw_status nw_sample(struct nw_source *source, const struct nw_config *config, const struct nw_sample_options *o,
                         const struct nw_replay_hooks *hooks, struct nw_sample_result *out, struct nw_error *err)
{
    double started = processor_seconds();
    *out = (struct nw_sample_result){ .window_accesses = o->window_accesses, .warm_accesses = o->warm_accesses };
    nw_config_init(&out->config);
    enum nw_status st = nw_config_check(config, err);
    if (st || (st = check(config, o, source, err)))
        goto out;
    nw_config_fini(&out->config);
    if ((st = nw_config_copy(&out->config, config, err)))
        goto out;
    struct nw_error ignored;
    struct sampler s = {
        .source = source, .config = config, .out = out, .sought = nw_nwt_seek(source, 0, &ignored) == NW_OK
    };
    uint64_t total = nw_source_access_total(source), w = o->window_accesses;
    uint64_t beginning = o->warm_accesses + w, slots = total > beginning ? (total - beginning) / w : 0;
    beginning = total - slots * w; /* what does not make a whole window is counted with the beginning */
    double windows = o->windows ? (double)o->windows : (double)slots * o->fraction;
    out->windows = windows < NW_SAMPLE_WINDOWS_MIN   ? NW_SAMPLE_WINDOWS_MIN
                   : windows > NW_SAMPLE_WINDOWS_MAX ? NW_SAMPLE_WINDOWS_MAX
                                                     : (uint64_t)windows;
    out->accesses.total = total;
    /* Where everything would be replayed anyway, everything is counted. */
    if ((double)out->windows * (double)(w + o->warm_accesses) >= (double)(slots * w)) {
        out->windows = 0;
        st = run_whole(source, config, hooks, out, err);
    } else if (!(st = choose(&s, beginning, slots, err))) {
        st = run(&s, total, beginning, hooks, err);
    }
    free(s.start);
    free(s.window);
    out->seconds = processor_seconds() - started;
out:
    if (st)
        nw_sample_result_fini(out);
    return st;
}

const struct nw_sample_figure *nw_sample_find(const struct nw_sample_result *r, const char *path)
{
    for (size_t i = 0; i < r->figure_count; i++)
        if (!strcmp(r->figure[i].path, path))
            return &r->figure[i];
    return NULL;
}

void nw_sample_result_fini(struct nw_sample_result *r)
{
    nw_config_fini(&r->config);
    free(r->figure);
    r->figure = NULL;
    r->figure_count = 0;
}
