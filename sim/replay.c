/* replay.c - the replay loop around either engine, and the cost model's sums. */
#include <inttypes.h>
#include <nestwalk/sim/replay.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "exit_reason.h"
#include "guest.h"

static const struct engine *const engines[NW_ENGINE_COUNT] = { &engine_fast, &engine_reference };

/* Only the naive engine's entries keep the frame they lead to, and when they were last found to agree with the tables: what the
 * stale-translation detector compares. The fast engine's have no room for it, and need none otherwise. */
static const struct engine *engine_for(const struct nw_config *c)
{
    return c->detect_stale ? &engine_reference : engines[c->engine];
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
    r->cycles.total = r->cycles.base + r->cycles.translation + r->cycles.exits;
}

static enum nw_status run(struct replay *p, struct nw_source *source, const struct nw_replay_hooks *hooks,
                          struct nw_error *err)
{
    const struct engine *engine = engine_for(p->config);
    uint64_t done = 0, total = nw_source_access_total(source);
    void *state;
    enum nw_status s = engine->create(p, &state, err);
    if (s)
        return s;
    source->want = engine->want;
    for (struct nw_block b;;) {
        if ((s = nw_source_next(source, &b, err)) || b.end)
            break;
        if (b.vcpu) {
            s = nw_fail(err, NW_ERR_UNSUPPORTED, "the trace has accesses of vCPU %u: replay of one vCPU is modelled",
                        b.vcpu);
            break;
        }
        if ((s = engine->take(state, &b, err)))
            break;
        p->r->accesses.fetch += b.fetches;
        p->r->accesses.load += b.loads;
        p->r->accesses.store += b.stores;
        done += b.access_count;
        if (hooks && hooks->progress && !hooks->progress(hooks->context, done, total)) {
            s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted after %" PRIu64 " accesses", done);
            break;
        }
    }
    if (!s)
        engine->finish(state);
    engine->destroy(state);
    return s;
}

enum nw_status nw_replay(struct nw_source *source, const struct nw_config *config, const struct nw_replay_hooks *hooks,
                         struct nw_result *out, struct nw_error *err)
{
    struct replay p = { .config = config, .r = out };
    double started = processor_seconds();
    memset(out, 0, sizeof *out);
    enum nw_status s = nw_config_check(config, err);
    if (s)
        return s;
    if (config->fidelity == NW_FIDELITY_FULL && engine_for(config) != &engine_reference)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "fidelity full is modelled by the reference engine: add --engine=reference");
    if ((s = nw_config_copy(&out->config, config, err)))
        return s;
    if (config->detect_stale)
        out->config.engine = NW_ENGINE_REFERENCE; /* what really runs, see engine_for() */
    if (config->detect_stale && !(out->stale.use = calloc(NW_STALE_USES_MAX, sizeof *out->stale.use))) {
        nw_result_fini(out);
        return nw_fail_nomem(err, "the reports of stale translations");
    }
    find_homes(&p);
    p.flat = machine_flat_walk(config);
    p.flat_reference_cycles = machine_flat_reference_cycles(config);
    p.flat_cycles = p.flat_reference_cycles * (p.flat.references_guest + p.flat.references_nested);
    if (!(s = machine_init(&p.m, config, nw_source_info(source), out, err)))
        s = run(&p, source, hooks, err);
    if (!s) {
        machine_finish(&p.m);
        sum_costs(&p);
        out->seconds = processor_seconds() - started;
        out->accesses_per_second = out->seconds > 0 ? (double)out->accesses.total / out->seconds : 0;
    }
    machine_fini(&p.m);
    if (s)
        nw_result_fini(out);
    return s;
}
