/* Both engines on every shipped trace and on generated ones, in every mode: all counters agree, and what the live guest did is found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glob.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

static const struct way {
    enum nw_mode mode;
    enum nw_shadowing policy;
    bool writable_tables;
} ways[] = { { NW_MODE_NATIVE, 0, false },
             { NW_MODE_DIRECT, 0, false },
             { NW_MODE_DIRECT, 0, true },
             { NW_MODE_SHADOW, NW_SHADOWING_KVM, false },
             { NW_MODE_SHADOW, NW_SHADOWING_EAGER, false },
             { NW_MODE_SHADOW, NW_SHADOWING_VIRTUAL_TLB, false },
             { NW_MODE_NESTED, 0, false },
             { NW_MODE_AGILE, 0, false } };

static void go(struct nw_config *c, const struct way *way)
{
    c->mode = way->mode;
    c->vmm.shadow_policy = way->policy;
    c->vmm.direct_writable_tables = way->writable_tables;
}

static void compare(struct nw_source *source, const char *name, const char *const *settings)
{
    struct nw_result result[NW_ENGINE_COUNT];
    struct nw_error err = { 0 };
    char difference[256];
    for (size_t w = 0; w < NW_ARRAY_LEN(ways); w++)
        for (unsigned fidelity = 0; fidelity <= NW_FIDELITY_WALK; fidelity++) {
            for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
                struct nw_config c;
                nw_config_init(&c);
                go(&c, &ways[w]);
                c.fidelity = fidelity;
                c.engine = engine;
                for (const char *const *s = settings; *s; s += 2)
                    if (nw_config_set(&c, s[0], s[1], "test", &err))
                        fail_msg("%s", err.text);
                if (c.mode == NW_MODE_DIRECT)
                    c.guest.page_policy = NW_PAGES_4K; /* a Xen guest has no others */
                if (nw_source_rewind(source, &err) || nw_replay(source, &c, NULL, &result[engine], &err))
                    fail_msg("%s: %s", name, err.text);
                nw_config_fini(&c);
            }
            if (nw_result_differ(&result[0], &result[1], difference, sizeof difference))
                fail_msg("%s, %s, fidelity %s: %s", name, nw_mode_name[ways[w].mode], nw_fidelity_name[fidelity],
                         difference);
            if (nw_source_info(source)->has_tables) {
                /* Every page fault the live guest took, the model's walk of the guest's own tables takes too, with the same error code. */
                assert_int_equal(result[0].events.page_faults_agreed, result[0].events.page_faults_recorded);
                assert_int_equal(result[0].faults.guest_page_faults, result[0].events.page_faults_recorded);
            }
            for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++)
                nw_result_fini(&result[engine]);
        }
}

static const char *const plain[] = { NULL };
static const char *const cached[] = { "psc.guest.pde.entries",
                                      "32",
                                      "psc.guest.pdpte.entries",
                                      "16",
                                      "psc.guest.pml4e.entries",
                                      "16",
                                      "psc.nested.pde.entries",
                                      "32",
                                      "nested_tlb.entries",
                                      "64",
                                      "vmm.backing",
                                      "2M",
                                      NULL };
static const char *const small_and_odd[] = { "tlb.l1d.entries",
                                             "15",
                                             "tlb.l1d.ways",
                                             "3",
                                             "tlb.l2.policy",
                                             "plru",
                                             "tlb.l2.entries",
                                             "77",
                                             "tlb.l2.ways",
                                             "11",
                                             "vmm.vpid",
                                             "0",
                                             "vmm.slat",
                                             "npt",
                                             "nested_tlb.entries",
                                             "8",
                                             NULL };

/* Each of them; under sanitizers, which make it a matter of minutes, one in turn. */
static void compare_settings(struct nw_source *source, const char *name, size_t turn,
                             const char *const *const *settings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!NW_SANITIZED || i == turn % count)
            compare(source, name, settings[i]);
}

static const char *const thp[] = { "guest.page_policy", "thp", "guest.thp_threshold_pages", "40", NULL };
static const char *const *const every_setting[] = { plain, cached, small_and_odd, thp };

static void shipped_traces__agree(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(NW_SOURCE_DIR "/traces/shipped/*.nwt", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct nw_source *source;
        struct nw_error err = { 0 };
        if (nw_nwt_open(&source, found.gl_pathv[i], &err))
            fail_msg("%s", err.text);
        compare_settings(source, found.gl_pathv[i], i, every_setting,
                         3); /* their guests' tables are recorded: no THP */
        nw_source_destroy(source);
    }
    globfree(&found);
}

/* Our guest kernel invalidates whenever it has to. */
static void shipped_traces__use_no_stale_translation(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(NW_SOURCE_DIR "/traces/shipped/*.nwt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        for (size_t w = 0; w < NW_ARRAY_LEN(ways); w++) {
            struct nw_source *source;
            struct nw_error err = { 0 };
            struct nw_result r;
            struct nw_config c;
            nw_config_init(&c);
            go(&c, &ways[w]);
            c.detect_stale = 1;
            for (const char *const *s = cached; *s; s += 2)
                if (nw_config_set(&c, s[0], s[1], "test", &err))
                    fail_msg("%s", err.text);
            if (nw_nwt_open(&source, found.gl_pathv[i], &err) || nw_replay(source, &c, NULL, &r, &err))
                fail_msg("%s", err.text);
            if (r.stale.accesses)
                fail_msg("%s, %s: access %llu to 0x%llx: %s", found.gl_pathv[i], nw_mode_name[ways[w].mode],
                         (unsigned long long)r.stale.use[0].access, (unsigned long long)r.stale.use[0].gva,
                         r.stale.use[0].outcome);
            nw_result_fini(&r);
            nw_config_fini(&c);
            nw_source_destroy(source);
        }
    globfree(&found);
}

static void generated_traces__agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < nw_generator_count; i++) {
        struct nw_generate_options o;
        struct nw_error err = { 0 };
        struct nw_source *source;
        nw_generate_defaults(&o);
        o.accesses = 100000;
        o.span_bytes = 64 << 20;
        if (strcmp(nw_generators[i].name, "gups"))
            o.store_fraction = 0.3;
        if (nw_generators[i].open(&source, &o, &err))
            fail_msg("%s", err.text);
        compare_settings(source, nw_generators[i].name, i, every_setting, NW_ARRAY_LEN(every_setting));
        nw_source_destroy(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(shipped_traces__agree),
                                        cmocka_unit_test(shipped_traces__use_no_stale_translation),
                                        cmocka_unit_test(generated_traces__agree) };
    return cmocka_run_group_tests_name("shipped traces", tests, NULL, NULL);
}
