/* engine_fast.c - chooses the fast engine's instruction set at run time. NESTWALK_ISA=portable|avx2|avx512 in the environment forces one
 * (for tests and measurements); one that this machine lacks is ignored. All of them give the same counters. */
#include "engine.h"
#include <stdlib.h>
#include <string.h>

extern const struct engine engine_fast_portable, engine_fast_avx2, engine_fast_avx512;

#if defined(__x86_64__)
static bool may_use(const char *isa, const char *forced) { return !forced || !forced[0] || !strcmp(forced, isa); }

static const struct engine *chosen(void)
{
    const char *forced = getenv("NESTWALK_ISA");
    __builtin_cpu_init();
    const bool bmi = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    if (may_use("avx512", forced) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && bmi)
        return &engine_fast_avx512;
    if (may_use("avx2", forced) && __builtin_cpu_supports("avx2") && bmi)
        return &engine_fast_avx2;
    return &engine_fast_portable;
}
#else
static const struct engine *chosen(void) { return &engine_fast_portable; }
#endif

struct chosen_state {
    const struct engine *engine;
    void *state;
};

static enum nw_status fast_create(struct replay *replay, void **state, struct nw_error *err)
{
    struct chosen_state *c = calloc(1, sizeof *c);
    if (!c)
        return nw_fail_nomem(err, "the replay engine");
    c->engine = chosen();
    enum nw_status s = c->engine->create(replay, &c->state, err);
    if (s)
        free(c);
    else
        *state = c;
    return s;
}

static enum nw_status fast_take(void *state, const struct nw_block *block, struct nw_error *err)
{
    struct chosen_state *c = state;
    return c->engine->take(c->state, block, err);
}

static void fast_finish(void *state)
{
    struct chosen_state *c = state;
    c->engine->finish(c->state);
}

static void fast_destroy(void *state)
{
    struct chosen_state *c = state;
    c->engine->destroy(c->state);
    free(c);
}

const struct engine engine_fast = {
    .want = NW_WANT_TOUCHES, .create = fast_create, .take = fast_take, .finish = fast_finish, .destroy = fast_destroy
};
