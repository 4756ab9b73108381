/* The fast engine against the naive one: every counter, on random machines and traces, on every instruction-set path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "random_case.h"

static enum nw_status replay(struct random_case *c, enum nw_engine engine, struct nw_result *out, struct nw_error *err)
{
    struct nw_source *source;
    uint32_t block = 64u << (c->seed % 5);
    c->config.engine = engine;
    enum nw_status s = nw_memory_source_create(&source, &c->info, c->address, c->kind, CASE_ACCESSES, c->event,
                                               c->event_count, block, err);
    if (s)
        return s;
    s = nw_replay(source, &c->config, NULL, out, err);
    nw_source_destroy(source);
    return s;
}

static void describe(const struct random_case *c)
{
    print_message("seed %llu: %s, fidelity %s, %s guest, %zu events\n", (unsigned long long)c->seed,
                  nw_mode_name[c->config.mode], nw_fidelity_name[c->config.fidelity],
                  c->info.has_tables ? "traced" : "imitation", c->event_count);
}

static unsigned check(uint64_t seed)
{
    static const char *const isa[] = { "portable", "avx2", "avx512" };
    struct random_case *c = random_case_make(seed);
    struct nw_error err = { 0 }, fast_err = { 0 };
    struct nw_result reference, fast;
    char difference[256];
    enum nw_status s = replay(c, NW_ENGINE_REFERENCE, &reference, &err);
    for (unsigned i = 0; i < NW_ARRAY_LEN(isa); i++) {
        setenv("NESTWALK_ISA", isa[i], 1);
        enum nw_status t = replay(c, NW_ENGINE_FAST, &fast, &fast_err);
        if (s != t) {
            describe(c);
            fail_msg("%s: reference \"%s\", fast \"%s\"", isa[i], s ? err.text : "ok", t ? fast_err.text : "ok");
        }
        if (t)
            continue;
        if (nw_result_differ(&reference, &fast, difference, sizeof difference)) {
            describe(c);
            fail_msg("%s: %s", isa[i], difference);
        }
        nw_result_fini(&fast);
    }
    if (!s && seed % 4 == 0) { /* the stale-translation detector only watches */
        struct nw_result watched;
        c->config.detect_stale = 1;
        if (replay(c, NW_ENGINE_FAST, &watched, &err))
            fail_msg("with the detector: %s", err.text);
        c->config.detect_stale = watched.config.detect_stale = 0;
        if (nw_result_differ(&reference, &watched, difference, sizeof difference)) {
            describe(c);
            fail_msg("with the detector: %s", difference);
        }
        nw_result_fini(&watched);
    }
    unsigned walks = 0;
    if (!s) {
        walks = reference.walks.count != 0;
        nw_result_fini(&reference);
    }
    random_case_free(c);
    return walks;
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

enum { CASES = NW_SANITIZED ? 1000 : 5000 }; /* each is replayed five times or more, and a sanitizer makes that slow */

/* NW_TEST_SEED and NW_TEST_CASES in the environment choose other cases. */
static void engines__agree_on_every_counter(void **state)
{
    (void)state;
    uint64_t first = environment_number("NW_TEST_SEED", 1), count = environment_number("NW_TEST_CASES", CASES),
             walked = 0;
    print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + count - 1));
    for (uint64_t seed = first; seed < first + count; seed++)
        walked += check(seed);
    assert_true(walked * 10 > count * 8); /* the cases are not mostly refused or empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(engines__agree_on_every_counter) };
    return cmocka_run_group_tests_name("engines", tests, NULL, NULL);
}
