/* The fast engine against the naive one on long runs of touches that are alike, broken now and then: what the fast engine keeps in short form for
 * as long as that lasts (sim/fast/narrow_tlb.h, regular_walk.h) has to come and go without a trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/mmu/builder.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCESSES = 60000, EVENTS_MAX = 16, PAGES = 6000 };

struct run {
    uint64_t address[ACCESSES];
    uint8_t kind[ACCESSES];
    struct nw_event event[EVENTS_MAX];
    size_t event_count;
    struct nw_trace_info info;
    struct nw_config config;
};

static void set(struct run *r, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(&r->config, path, value, "test", &err))
        fail_msg("%s", err.text);
}

/* Phases of some 5,000 accesses: user addresses; stores as well; addresses whose page numbers need more than 32 bits; another PCID. */
static void make_stream(struct run *r, struct nw_rng *rng)
{
    uint32_t phase_end = 0;
    uint64_t base = 0;
    unsigned store_percent = 0, fetch_percent = 0;
    nw_trace_info_init(&r->info);
    r->info.vcpu[0].cr4 |= NW_CR4_PCIDE;
    for (uint32_t i = 0; i < ACCESSES; i++) {
        if (i == phase_end) {
            static const uint64_t bases[] = { 0x400000, 0x7f0000000000, 0xffff888000000000, 0x200000400000 };
            phase_end += 2000 + (uint32_t)nw_rng_below(rng, 9000);
            base = bases[nw_rng_below(rng, 4)];
            store_percent = nw_rng_below(rng, 3) ? 0 : 20;
            fetch_percent = nw_rng_below(rng, 8) ? 0 : 10; /* fetches go the general way, with all of their block */
            if (r->event_count < EVENTS_MAX && nw_rng_below(rng, 3) == 0) {
                struct nw_event *e = &r->event[r->event_count++];
                *e = (struct nw_event){ .at = i,
                                        .kind = NW_EV_INVLPG,
                                        .arg = { base + nw_rng_below(rng, PAGES) * 4096 } };
                if (nw_rng_below(rng, 2))
                    *e = (struct nw_event){ .at = i,
                                            .kind = NW_EV_CR_WRITE,
                                            .arg = { 3, r->info.vcpu[0].cr3 | nw_rng_below(rng, 3) |
                                                            nw_rng_below(rng, 2) << 63 } };
            }
        }
        const uint64_t page = nw_rng_below(rng, 1 + nw_rng_below(rng, PAGES));
        const uint64_t draw = nw_rng_below(rng, 100);
        r->address[i] = base + page * 4096 + nw_rng_below(rng, 4089);
        r->kind[i] = nw_kind_make(draw < store_percent                   ? NW_STORE
                                  : draw < store_percent + fetch_percent ? NW_FETCH
                                                                         : NW_LOAD,
                                  8, true);
    }
}

static void make_config(struct run *r, struct nw_rng *rng)
{
    static const char *const modes[] = { "native", "nested" }, *const sizes[] = { "4K", "4K", "4K", "2M" };
    static const char *const caches[] = { "psc.guest.pde.entries",    "psc.guest.pdpte.entries",
                                          "psc.guest.pml4e.entries",  "psc.nested.pde.entries",
                                          "psc.nested.pdpte.entries", "nested_tlb.entries" };
    static const char *const entries[] = { "0", "4", "16", "32", "64" };
    nw_config_init(&r->config);
    set(r, "run.mode", modes[nw_rng_below(rng, 2)]);
    set(r, "run.fidelity", nw_rng_below(rng, 3) ? "walk" : "tlb");
    set(r, "guest.page_policy", sizes[nw_rng_below(rng, 4)]);
    set(r, "vmm.backing", sizes[nw_rng_below(rng, 4)]);
    set(r, "guest.levels", nw_rng_below(rng, 4) ? "4" : "5");
    set(r, "vmm.levels", nw_rng_below(rng, 4) ? "4" : "5");
    for (unsigned i = 0; i < NW_ARRAY_LEN(caches); i++)
        set(r, caches[i], entries[nw_rng_below(rng, NW_ARRAY_LEN(entries))]);
    if (nw_rng_below(rng, 2)) { /* small arrays change form sooner; 12 sets are no power of two */
        set(r, "tlb.l1d.entries", nw_rng_below(rng, 2) ? "8" : "48");
        set(r, "tlb.l2.entries", nw_rng_below(rng, 2) ? "96" : "144");
    }
}

static void replay(struct run *r, enum nw_engine engine, struct nw_result *out)
{
    struct nw_error err = { 0 };
    struct nw_source *source;
    r->config.engine = engine;
    if (nw_memory_source_create(&source, &r->info, r->address, r->kind, ACCESSES, r->event, r->event_count, 4096,
                                &err) ||
        nw_replay(source, &r->config, NULL, out, &err))
        fail_msg("%s", err.text);
    nw_source_destroy(source);
}

static void engines__agree_on_long_runs(void **state)
{
    static const char *const isa[] = { "portable", "avx2", "avx512" };
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct run *r = calloc(1, sizeof *r);
        struct nw_rng rng = nw_rng_for(seed, "long runs");
        struct nw_result reference, fast;
        char difference[256];
        assert_non_null(r);
        make_stream(r, &rng);
        make_config(r, &rng);
        replay(r, NW_ENGINE_REFERENCE, &reference);
        assert_true(reference.walks.count > 0);
        for (unsigned i = 0; i < NW_ARRAY_LEN(isa); i++) {
            setenv("NESTWALK_ISA", isa[i], 1);
            replay(r, NW_ENGINE_FAST, &fast);
            if (nw_result_differ(&reference, &fast, difference, sizeof difference))
                fail_msg("seed %llu, %s, %s, fidelity %s: %s", (unsigned long long)seed, isa[i],
                         nw_mode_name[r->config.mode], nw_fidelity_name[r->config.fidelity], difference);
            nw_result_fini(&fast);
        }
        nw_result_fini(&reference);
        nw_config_fini(&r->config);
        nw_trace_info_fini(&r->info);
        free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(engines__agree_on_long_runs) };
    return cmocka_run_group_tests_name("long runs", tests, NULL, NULL);
}
