/* engine_fast.c - the fast engine for the instruction set that isa.h chooses. All of them give the same counters. */
#include "engine.h"
#include "isa.h"
#include <stdlib.h>

extern const struct engine engine_fast_portable, engine_fast_avx2, engine_fast_avx512;

static const struct engine *chosen(void)
{
#if defined(__x86_64__)
    static const struct engine *const engine[] = {
        [ISA_PORTABLE] = &engine_fast_portable, [ISA_AVX2] = &engine_fast_avx2, [ISA_AVX512] = &engine_fast_avx512
    };
    return engine[isa_chosen()];
#else
    return &engine_fast_portable;
#endif
}

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
