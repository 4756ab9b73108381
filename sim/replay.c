/* replay.c - either engine as one object, the replay loop around it, and the cost model's sums. */
#include <inttypes.h>
#include <nestwalk/sim/replay.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "exit_reason.h"
#include "guest.h"
#include "replay_internal.h"

static const struct engine *const engines[NW_ENGINE_COUNT] = { &engine_fast, &engine_reference };

/* Only the naive engine's entries keep the frame they lead to, and when they were last found to agree with the tables: what the
 * stale-translation detector compares. The fast engine's have no room for it, and need none otherwise. Nor does it know walk caches within a TLB,
 * and caches other than those with true LRU and the plain index. */
static bool needs_reference(const struct nw_config *c)
{
    bool needs = c->detect_stale || c->guest_pde_in_tlb || c->nested_tlb_in_tlb;
    for (size_t i = 0; i < c->cache_count; i++)
        needs |= c->cache[i].policy != NW_CACHE_LRU || c->cache[i].index != NW_CACHE_LOW_BITS;
    return needs;
}

static const struct engine *engine_for(const struct nw_config *c)
{
    return needs_reference(c) ? &engine_reference : engines[c->engine];
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void find_homes(struct replay *p)
{
    const struct nw_config *c = p->config;
    for (unsigned class = 0; class < 2; class ++)
        for (size_t i = 0; i < c->tlb_count; i++) {
            p->looks[class][i] = c->tlb[i].class == class || c->tlb[i].class == NW_TLB_UNIFIED;
            if (c->tlb[i].level > p->levels)
                p->levels = (unsigned)c->tlb[i].level;
        }
    for (unsigned class = 0; class < 2; class ++)
        for (unsigned level = 0; level < p->levels; level++)
            for (unsigned size = 0; size < 3; size++)
                for (int held = (int)size; held >= 0; held--) {
                    int array = -1;
                    for (size_t i = 0; i < c->tlb_count; i++)
                        if (p->looks[class][i] && c->tlb[i].level == level + 1 && (c->tlb[i].pages & (1u << held)))
                            array = (int)i;
                    if (array >= 0) {
                        p->home[class][level][size] = (struct tlb_home){ (int8_t)array, (uint8_t)held };
                        break;
                    }
                }
    for (unsigned class = 0; class < 2; class ++)
        for (unsigned size = 0; size < 3; size++) {
            p->smallest[class][size] = (uint8_t)size;
            for (unsigned level = 0; level < p->levels; level++)
                if (p->home[class][level][size].size < p->smallest[class][size])
                    p->smallest[class][size] = p->home[class][level][size].size;
        }
}

static void sum_costs(struct replay *p)
{
    struct nw_result *r = p->r;
    const struct nw_config *c = p->config;
    r->accesses.total = r->accesses.fetch + r->accesses.load + r->accesses.store;
    r->cycles.base = r->accesses.fetch * c->cost.fetch_cycles + r->accesses.load * c->cost.load_cycles +
                     r->accesses.store * c->cost.store_cycles;
    r->cycles.translation = (uint64_t)((double)(r->walks.cycles + p->assist_cycles) / c->walker.overlap);
    for (size_t i = 0; i < c->tlb_count; i++)
        r->cycles.translation += r->tlb[i].hits * c->tlb[i].hit_cycles;
    if (c->mix.base_cycles)
        r->cycles.base = c->mix.base_cycles;
    exits_add_mix(r, c);
    r->cycles.exits = p->m.guest_fault_cycles;
    for (size_t i = 0; i < NW_EXIT_COUNT; i++) {
        r->cycles.exits += r->exits[i].cycles;
        r->cycles.exits_direct += r->exits[i].direct_cycles;
        r->cycles.exits_synchronous += r->exits[i].synchronous_cycles;
        r->cycles.exits_indirect += r->exits[i].indirect_cycles;
    }
    r->cycles.io = r->io.cycles;
    r->io.exit_cycles = r->cycles.exits;
    r->cycles.total = r->cycles.base + r->cycles.translation + r->cycles.exits + r->cycles.io;
}

struct nw_replayer {
    struct replay p;
    struct nw_result result;
    const struct engine *engine;
    void *state; /* the engine's; NULL when it could not be made */
    double seconds;
    uint64_t settled_walks, settled_walk_cycles; /* see replayer_settle() */
};

static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static enum nw_status prepare(struct nw_replayer *r, const struct nw_config *config, const struct nw_trace_info *info,
                              struct nw_error *err)
{
    struct replay *p = &r->p;
    struct nw_result *out = &r->result;
    enum nw_status s = nw_config_check(config, err);
    if (s)
        return s;
    r->engine = engine_for(config);
    if (config->fidelity == NW_FIDELITY_FULL && r->engine != &engine_reference)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "fidelity full is modelled by the reference engine: add --engine=reference");
    if ((s = nw_config_copy(&out->config, config, err)))
        return s;
    if (needs_reference(config))
        out->config.engine = NW_ENGINE_REFERENCE; /* what really runs, see engine_for() */
    if (config->detect_stale && !(out->stale.use = calloc(NW_STALE_USES_MAX, sizeof *out->stale.use)))
        return nw_fail_nomem(err, "the reports of stale translations");
    find_homes(p);
    p->flat = machine_flat_walk(config);
    p->flat_reference_cycles = machine_flat_reference_cycles(config);
    p->flat_cycles = p->flat_reference_cycles * (p->flat.references_guest + p->flat.references_nested);
    if (!(s = machine_init(&p->m, config, info, out, err)))
        s = r->engine->create(p, &r->state, err);
    return s;
}

enum nw_status nw_replayer_create(struct nw_replayer **out, const struct nw_config *config,
                                  const struct nw_trace_info *info, struct nw_error *err)
{
    double started = thread_seconds();
    struct nw_replayer *r = calloc(1, sizeof *r);
    if (!r)
        return nw_fail_nomem(err, "a replay");
    r->p.config = config;
    r->p.r = &r->result;
    enum nw_status s = prepare(r, config, info, err);
    if (s) {
        nw_replayer_destroy(r);
        return s;
    }
    r->seconds = thread_seconds() - started;
    *out = r;
    return NW_OK;
}

unsigned nw_replay_want(const struct nw_config *config) { return engine_for(config)->want; }

enum nw_status nw_replayer_take(struct nw_replayer *r, const struct nw_block *b, struct nw_error *err)
{
    if (b->vcpu)
        return nw_fail(err, NW_ERR_UNSUPPORTED, "the trace has accesses of vCPU %u: replay of one vCPU is modelled",
                       b->vcpu);
    double started = thread_seconds();
    enum nw_status s = r->engine->take(r->state, b, err);
    r->seconds += thread_seconds() - started;
    if (s)
        return s;
    r->result.accesses.fetch += b->fetches;
    r->result.accesses.load += b->loads;
    r->result.accesses.store += b->stores;
    return NW_OK;
}

struct replay *replayer_inside(struct nw_replayer *r) { return &r->p; }

enum nw_status replayer_feed(struct nw_replayer *r, const struct nw_block *b, struct nw_error *err)
{
    return r->engine->take(r->state, b, err);
}

void replayer_settle(struct nw_replayer *r)
{
    /* Walks are the one thing that engines may add at the end, and not set. */
    uint64_t histogram[NW_HISTOGRAM_BUCKETS];
    memcpy(histogram, r->result.walks.histogram, sizeof histogram);
    uint64_t count = r->result.walks.count, cycles = r->result.walks.cycles;
    r->engine->finish(r->state);
    r->settled_walks = r->result.walks.count;
    r->settled_walk_cycles = r->result.walks.cycles;
    memcpy(r->result.walks.histogram, histogram, sizeof histogram);
    r->result.walks.count = count;
    r->result.walks.cycles = cycles;
}

void replayer_settled_walks(const struct nw_replayer *r, uint64_t *count, uint64_t *cycles)
{
    *count = r->settled_walks;
    *cycles = r->settled_walk_cycles;
}

enum nw_status replayer_forget_caches(struct nw_replayer *r, struct nw_error *err)
{
    r->engine->destroy(r->state);
    r->state = NULL;
    return r->engine->create(&r->p, &r->state, err);
}

static void set_speed(struct nw_result *r, double seconds)
{
    r->seconds = seconds;
    r->accesses_per_second = seconds > 0 ? (double)r->accesses.total / seconds : 0;
}

void nw_replayer_finish(struct nw_replayer *r, struct nw_result *out)
{
    double started = thread_seconds();
    r->engine->finish(r->state);
    machine_finish(&r->p.m);
    sum_costs(&r->p);
    set_speed(&r->result, r->seconds + thread_seconds() - started);
    *out = r->result;
    r->result = (struct nw_result){ 0 };
}

void nw_replayer_destroy(struct nw_replayer *r)
{
    if (!r)
        return;
    if (r->state)
        r->engine->destroy(r->state);
    machine_fini(&r->p.m);
    nw_result_fini(&r->result);
    free(r);
}

static enum nw_status run(struct nw_replayer *r, struct nw_source *source, const struct nw_replay_hooks *hooks,
                          struct nw_error *err)
{
    uint64_t done = 0, total = nw_source_access_total(source);
    enum nw_status s;
    source->want = r->engine->want;
    for (struct nw_block b;;) {
        if ((s = nw_source_next(source, &b, err)) || b.end || (s = nw_replayer_take(r, &b, err)))
            return s;
        done += b.access_count;
        if (hooks && hooks->progress && !hooks->progress(hooks->context, done, total))
            return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted after %" PRIu64 " accesses", done);
    }
}

enum nw_status nw_replay(struct nw_source *source, const struct nw_config *config, const struct nw_replay_hooks *hooks,
                         struct nw_result *out, struct nw_error *err)
{
    double started = processor_seconds();
    struct nw_replayer *r;
    memset(out, 0, sizeof *out);
    enum nw_status s = nw_replayer_create(&r, config, nw_source_info(source), err);
    if (s)
        return s;
    if (!(s = run(r, source, hooks, err))) {
        nw_replayer_finish(r, out);
        set_speed(out, processor_seconds() - started); /* decoding the trace included */
    }
    nw_replayer_destroy(r);
    return s;
}
