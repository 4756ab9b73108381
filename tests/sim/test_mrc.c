/* Miss-ratio curves: against stacks kept as plain lists, against the replay engines, and sampled curves against exact ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <glob.h>
#include <math.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/sim/mrc.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/memory_source.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_STREAMS = 7 };

static struct nw_mrc_result curves_of(struct nw_source *source, const struct nw_mrc_options *o)
{
    struct nw_error err = { 0 };
    struct nw_mrc *m;
    struct nw_mrc_result r;
    struct nw_block b;
    if (nw_source_rewind(source, &err) || nw_mrc_create(&m, nw_source_info(source), o, &err))
        fail_msg("%s", err.text);
    source->want = NW_MRC_WANT;
    for (;;) {
        if (nw_source_next(source, &b, &err))
            fail_msg("%s", err.text);
        if (b.end)
            break;
        if (nw_mrc_take(m, &b, &err))
            fail_msg("%s", err.text);
    }
    if (nw_mrc_finish(m, &r, &err))
        fail_msg("%s", err.text);
    nw_mrc_destroy(m);
    return r;
}

static struct nw_source *source_of(const uint64_t *address, const uint8_t *kind, size_t count,
                                   const struct nw_event *event, size_t events, uint32_t block)
{
    struct nw_source *source;
    struct nw_error err;
    if (nw_memory_source_create(&source, NULL, address, kind, count, event, events, block, &err))
        fail_msg("%s", err.text);
    return source;
}

/* ---- a stack as a list ---- */

enum { LIST_MAX = 4096, WINDOWS_MAX = 4096, AVERAGES = 16 };
struct list {
    uint64_t page[LIST_MAX]; /* most recent first */
    uint64_t used[LIST_MAX]; /* number of the window in which it was */
    uint64_t time[LIST_MAX]; /* references before it */
    size_t count;
};
struct naive {
    struct list set[8];
    unsigned sets;
    uint64_t distance[LIST_MAX], cold, references;
    uint32_t window[WINDOWS_MAX];
    uint64_t in_last[AVERAGES]; /* [k]: sum over all references of the distinct pages among the last 2^k */
};

static void naive_reference(struct naive *n, uint64_t space, uint64_t page, uint64_t window)
{
    struct list *l = &n->set[page % n->sets];
    uint64_t name = space << 56 | page;
    size_t i = 0;
    while (i < l->count && l->page[i] != name)
        i++;
    if (i == l->count) {
        assert_true(l->count < LIST_MAX);
        n->cold++;
        n->window[window]++;
        l->count++;
    } else {
        n->distance[i]++;
        n->window[window] += l->used[i] != window;
    }
    memmove(l->page + 1, l->page, i * sizeof *l->page);
    memmove(l->used + 1, l->used, i * sizeof *l->used);
    memmove(l->time + 1, l->time, i * sizeof *l->time);
    l->page[0] = name;
    l->used[0] = window;
    l->time[0] = n->references++;
    for (unsigned k = 0, pages = 0; k < AVERAGES; k++) {
        while (pages < l->count && l->time[pages] + (UINT64_C(1) << k) >= n->references)
            pages++;
        n->in_last[k] += pages;
    }
}

static uint64_t naive_misses(const struct naive *n, uint64_t entries)
{
    uint64_t misses = n->cold;
    for (size_t d = entries; d < LIST_MAX; d++)
        misses += n->distance[d];
    return misses;
}

/* ---- random traces ---- */

enum { ACCESSES_MAX = 6000, EVENTS_MAX = 64 };
struct random_trace {
    uint64_t address[ACCESSES_MAX];
    uint8_t kind[ACCESSES_MAX];
    struct nw_event event[EVENTS_MAX];
    size_t accesses, events;
};

static void make_trace(struct random_trace *t, uint64_t seed)
{
    struct nw_rng rng = nw_rng_seeded(seed);
    uint64_t pages = 1 + nw_rng_below(&rng, nw_rng_below(&rng, 2) ? 12 : 600), fetches = nw_rng_below(&rng, 4) * 25,
             stay = nw_rng_below(&rng, 100);
    uint64_t page[600], at = 0;
    for (uint64_t i = 0; i < pages; i++) /* some in one 2 MiB, some in one 1 GiB, some nowhere near */
        page[i] = UINT64_C(0x7f0000000) + (nw_rng_below(&rng, 3) << 18) + (nw_rng_below(&rng, 3) << 9) +
                  nw_rng_below(&rng, 400);
    t->accesses = 1 + nw_rng_below(&rng, ACCESSES_MAX);
    for (size_t i = 0; i < t->accesses; i++) {
        if (nw_rng_below(&rng, 100) >= stay)
            at = nw_rng_below(&rng, nw_rng_below(&rng, 2) ? pages : (pages + 7) / 8);
        bool crosses = nw_rng_below(&rng, 20) == 0;
        enum nw_access_type type = nw_rng_below(&rng, 100) < fetches ? NW_FETCH
                                   : nw_rng_below(&rng, 3)           ? NW_LOAD
                                                                     : NW_STORE;
        t->address[i] = page[at] << 12 | (crosses ? 4092 : nw_rng_below(&rng, 512) * 8);
        t->kind[i] = nw_kind_make(type, 8, nw_rng_below(&rng, 5));
    }
    t->events = nw_rng_below(&rng, 2) ? nw_rng_below(&rng, EVENTS_MAX) : 0;
    uint32_t where[EVENTS_MAX];
    for (size_t i = 0; i < t->events; i++)
        where[i] = (uint32_t)nw_rng_below(&rng, t->accesses + 1);
    for (size_t i = 1; i < t->events; i++) /* in order */
        for (size_t j = i; j && where[j] < where[j - 1]; j--) {
            uint32_t swap = where[j];
            where[j] = where[j - 1];
            where[j - 1] = swap;
        }
    for (size_t i = 0; i < t->events; i++) {
        t->event[i] = (struct nw_event){ .at = where[i], .kind = NW_EV_INVLPG, .arg = { t->address[0] } };
        if (nw_rng_below(&rng, 3)) /* PCID and bit 63 are no part of an address space's identity */
            t->event[i] = (struct nw_event){ .at = where[i],
                                             .kind = NW_EV_CR_WRITE,
                                             .arg = { 3, (nw_rng_below(&rng, 3) << 12) | nw_rng_below(&rng, 4) |
                                                             nw_rng_below(&rng, 2) << 63 } };
    }
}

static void naive_run(struct naive *n, const struct random_trace *t, unsigned stream, unsigned log2, unsigned sets,
                      uint64_t window)
{
    uint64_t space = 0;
    memset(n, 0, sizeof *n);
    n->sets = sets;
    for (size_t i = 0, e = 0; i < t->accesses; i++) {
        for (; e < t->events && t->event[e].at == i; e++)
            if (t->event[e].kind == NW_EV_CR_WRITE)
                space = t->event[e].arg[1] >> 12 & 0xff;
        bool fetch = nw_kind_type(t->kind[i]) == NW_FETCH;
        if (stream != NW_TLB_UNIFIED && fetch != (stream == NW_TLB_INSTRUCTION))
            continue;
        naive_reference(n, space, t->address[i] >> log2, i / window);
        if ((t->address[i] & 4095) + 8 > 4096)
            naive_reference(n, space, (t->address[i] + 8) >> log2, i / window);
    }
}

static void compare(const struct nw_mrc_curve *c, const struct naive *n, uint64_t seed)
{
    assert_non_null(c);
    assert_int_equal(c->references, n->references);
    uint64_t end = c->complete ? c->misses_count + 3 : NW_MRC_WAYS_FEW + 1;
    assert_true(c->complete == (c->misses[c->misses_count - 1] == n->cold));
    for (uint64_t entries = 1; entries < end || (c->complete && entries < 700); entries++)
        if ((uint64_t)nw_mrc_misses(c, entries) != naive_misses(n, entries))
            fail_msg("seed %llu, stream %d, pages of 2^%u, %u sets, %llu entries: %.0f misses, the list has %llu",
                     (unsigned long long)seed, (int)c->stream, c->page_log2, c->sets, (unsigned long long)entries,
                     nw_mrc_misses(c, entries), (unsigned long long)naive_misses(n, entries));
}

static void compare_with_lists(bool few_ways)
{
    static const unsigned sets[] = { 1, 3, 4, 8 };
    struct random_trace *t = malloc(sizeof *t);
    struct naive *n = malloc(sizeof *n);
    struct nw_mrc_array array[NW_TLB_CLASS_COUNT * NW_MRC_PAGE_SIZES * 3];
    size_t arrays = 0;
    for (unsigned stream = 0; stream < NW_TLB_CLASS_COUNT; stream++)
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
            for (unsigned i = 1; i < NW_ARRAY_LEN(sets); i++)
                array[arrays++] =
                    (struct nw_mrc_array){ (enum nw_tlb_class)stream, nw_mrc_page_log2[k], sets[i], few_ways };
    for (uint64_t seed = 1; seed <= (NW_SANITIZED ? 20 : 60); seed++) {
        make_trace(t, seed);
        uint64_t window = seed % 5 ? 1 + seed * 37 % 900 : 2;
        static const uint32_t block[] = { 0, 1, 7, 100, 1000 };
        struct nw_source *source =
            source_of(t->address, t->kind, t->accesses, t->event, t->events, block[seed % NW_ARRAY_LEN(block)]);
        struct nw_mrc_options o = {
            .streams = ALL_STREAMS, .exact = true, .array = array, .array_count = arrays, .window_accesses = window
        };
        struct nw_mrc_result r = curves_of(source, &o);
        assert_int_equal(r.accesses, t->accesses);
        for (unsigned stream = 0; stream < NW_TLB_CLASS_COUNT; stream++)
            for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
                for (unsigned i = 0; i < NW_ARRAY_LEN(sets); i++) {
                    unsigned log2 = nw_mrc_page_log2[k];
                    naive_run(n, t, stream, log2, sets[i], window);
                    compare(nw_mrc_find(&r, (enum nw_tlb_class)stream, log2, sets[i], false), n, seed);
                    const struct nw_mrc_working_set *w = &r.working_set[stream * NW_MRC_PAGE_SIZES + k];
                    assert_int_equal(w->page_log2, log2);
                    assert_int_equal(w->window_count, (t->accesses + window - 1) / window);
                    for (size_t j = 0; sets[i] == 1 && j < w->average_count && n->references; j++)
                        assert_true(fabs(w->average[j] - (double)n->in_last[j] / (double)n->references) < 1e-9);
                    for (size_t j = 0; sets[i] == 1 && j < w->window_count; j++)
                        if (w->pages[j] != n->window[j])
                            fail_msg("seed %llu, stream %u, 2^%u, window %zu of %llu: %u pages, the list has %u",
                                     (unsigned long long)seed, stream, log2, j, (unsigned long long)window, w->pages[j],
                                     n->window[j]);
                }
        nw_mrc_result_fini(&r);
        nw_source_destroy(source);
    }
    free(n);
    free(t);
}

/* Both ways of following sets, with every instruction set that this machine has. */
static void curves__agree_with_lists(void **state)
{
    (void)state;
    static const char *const isa[] = { "portable", "avx2", "avx512" };
    for (size_t i = 0; i < NW_ARRAY_LEN(isa); i++) {
        setenv("NESTWALK_ISA", isa[i], 1);
        compare_with_lists(false);
        compare_with_lists(true);
    }
    unsetenv("NESTWALK_ISA");
}

/* ---- against a tree of counts, with more pages than a list can hold: every level of the timeline's counts is in use ---- */

static void curves__agree_with_a_tree_over_a_large_footprint(void **state)
{
    (void)state;
    enum { PAGES = 700000, REFERENCES = 3000000 };
    uint64_t *address = malloc(REFERENCES * sizeof *address), *distances = calloc(PAGES, sizeof *distances), cold = 0;
    uint32_t *tree = calloc(REFERENCES + 1, sizeof *tree), *last = calloc(PAGES, sizeof *last);
    struct nw_rng rng = nw_rng_seeded(7);
    for (uint32_t i = 0; i < REFERENCES; i++) {
        uint64_t page = i < PAGES ? i : nw_rng_below(&rng, nw_rng_below(&rng, 3) ? PAGES : 1000);
        address[i] = page << 12;
        if (last[page]) { /* pages between: last references behind this page's */
            uint64_t between = 0;
            for (uint32_t k = i; k; k -= k & -k)
                between += tree[k];
            for (uint32_t k = last[page]; k; k -= k & -k)
                between -= tree[k];
            distances[between]++;
            for (uint32_t k = last[page]; k <= REFERENCES; k += k & -k)
                tree[k]--;
        } else {
            cold++;
        }
        last[page] = i + 1;
        for (uint32_t k = i + 1; k <= REFERENCES; k += k & -k)
            tree[k]++;
    }
    struct nw_source *source = source_of(address, NULL, REFERENCES, NULL, 0, 0);
    struct nw_mrc_options o = { .streams = 1u << NW_TLB_DATA, .exact = true };
    struct nw_mrc_result r = curves_of(source, &o);
    const struct nw_mrc_curve *c = nw_mrc_find(&r, NW_TLB_DATA, 12, 1, false);
    assert_int_equal(c->pages, PAGES);
    uint64_t sum = cold;
    for (uint32_t d = PAGES; d-- > 0;) {
        assert_int_equal(nw_mrc_misses(c, d + 1), sum);
        sum += distances[d];
    }
    nw_mrc_result_fini(&r);
    nw_source_destroy(source);
    free(address);
    free(distances);
    free(tree);
    free(last);
}

/* ---- against the replay engines ---- */

static uint64_t simulated_misses(struct nw_source *source, unsigned stream, unsigned k, uint64_t entries, uint64_t ways,
                                 enum nw_engine engine)
{
    static const char *const class[] = { "data", "instruction", "unified" }, *const pages[] = { "4K", "2M", "1G" };
    struct nw_error err = { 0 };
    struct nw_config c;
    struct nw_result result;
    char n[32], w[32];
    snprintf(n, sizeof n, "%llu", (unsigned long long)entries);
    snprintf(w, sizeof w, "%llu", (unsigned long long)ways);
    nw_config_init(&c);
    nw_config_clear_machine(&c);
    const char *const set[][2] = { { "tlb.a.entries", n },           { "tlb.a.ways", w },
                                   { "tlb.a.class", class[stream] }, { "tlb.a.pages", "4K 2M 1G" },
                                   { "tlb.a.level", "1" },           { "tlb.a.policy", "lru" },
                                   { "run.mode", "native" },         { "run.fidelity", "tlb" },
                                   { "guest.page_policy", pages[k] } };
    if (nw_config_add_tlb(&c, "a", &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < NW_ARRAY_LEN(set); i++)
        if (nw_config_set(&c, set[i][0], set[i][1], "test", &err))
            fail_msg("%s", err.text);
    if (stream != NW_TLB_UNIFIED) { /* the other class has to go somewhere */
        c.tlb[c.tlb_count - 1].level = 1;
        if (nw_config_add_tlb(&c, "b", &err))
            fail_msg("%s", err.text);
        c.tlb[1] = c.tlb[0];
        snprintf(c.tlb[1].name, sizeof c.tlb[1].name, "b");
        c.tlb[1].class = stream == NW_TLB_DATA ? NW_TLB_INSTRUCTION : NW_TLB_DATA;
    }
    c.engine = engine;
    if (nw_source_rewind(source, &err) || nw_replay(source, &c, NULL, &result, &err))
        fail_msg("%s", err.text);
    uint64_t misses = result.tlb[0].misses;
    nw_config_fini(&c);
    nw_result_fini(&result);
    return misses;
}

static void compare_with_replay(struct nw_source *source, const char *name, enum nw_engine engine, bool few_ways)
{
    static const uint64_t entries[] = { 1, 2, 5, 16, 64, 200 };
    static const struct {
        uint32_t sets;
        uint64_t ways;
    } shape[] = { { 16, 1 }, { 16, 4 }, { 7, 3 }, { 128, 12 }, { 4, 40 } };
    struct nw_mrc_array array[NW_TLB_CLASS_COUNT * NW_MRC_PAGE_SIZES * NW_ARRAY_LEN(shape)];
    size_t arrays = 0;
    for (unsigned stream = 0; stream < NW_TLB_CLASS_COUNT; stream++)
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
            for (size_t i = 0; i < NW_ARRAY_LEN(shape); i++)
                if (!i || shape[i].sets != shape[i - 1].sets)
                    array[arrays++] =
                        (struct nw_mrc_array){ (enum nw_tlb_class)stream, nw_mrc_page_log2[k], shape[i].sets,
                                               few_ways && shape[i].ways <= NW_MRC_WAYS_FEW };
    struct nw_mrc_options o = { .streams = ALL_STREAMS, .exact = true, .array = array, .array_count = arrays };
    struct nw_mrc_result r = curves_of(source, &o);
    for (unsigned stream = 0; stream < NW_TLB_CLASS_COUNT; stream++)
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
            for (size_t i = 0; i < NW_ARRAY_LEN(entries) + NW_ARRAY_LEN(shape); i++) {
                bool full = i < NW_ARRAY_LEN(entries);
                uint32_t sets = full ? 1 : shape[i - NW_ARRAY_LEN(entries)].sets;
                uint64_t ways = full ? entries[i] : shape[i - NW_ARRAY_LEN(entries)].ways;
                uint64_t wanted = simulated_misses(source, stream, k, sets * ways, ways, engine);
                const struct nw_mrc_curve *c =
                    nw_mrc_find(&r, (enum nw_tlb_class)stream, nw_mrc_page_log2[k], sets, false);
                if ((uint64_t)nw_mrc_misses(c, ways) != wanted)
                    fail_msg("%s, stream %u, pages of 2^%u, %u sets of %llu: %.0f misses, the engine has %llu", name,
                             stream, nw_mrc_page_log2[k], sets, (unsigned long long)ways, nw_mrc_misses(c, ways),
                             (unsigned long long)wanted);
            }
    nw_mrc_result_fini(&r);
}

/* The shipped traces' accesses without their events, which the curves do not model. */
static void curves__are_what_the_engines_count_on_shipped_traces(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob(NW_SOURCE_DIR "/traces/shipped/*.nwt", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct nw_source *file;
        struct nw_error err = { 0 };
        struct nw_block b;
        if (nw_nwt_open(&file, found.gl_pathv[i], &err))
            fail_msg("%s", err.text);
        size_t total = nw_source_access_total(file), n = 0;
        total = total < 150000 ? total : 150000;
        uint64_t *address = malloc(total * sizeof *address);
        uint8_t *kind = malloc(total);
        file->want = NW_WANT_ADDRESSES;
        while (n < total && !nw_source_next(file, &b, &err) && !b.end)
            for (uint32_t j = 0; j < b.access_count && n < total; j++, n++) {
                address[n] = b.address[j];
                kind[n] = nw_block_kind(&b, j);
            }
        assert_int_equal(n, total);
        nw_source_destroy(file);
        struct nw_source *source = source_of(address, kind, n, NULL, 0, 0);
        compare_with_replay(source, found.gl_pathv[i], NW_ENGINE_FAST, i % 2);
        nw_source_destroy(source);
        free(address);
        free(kind);
    }
    globfree(&found);
}

static void curves__are_what_the_engines_count_on_random_traces(void **state)
{
    (void)state;
    struct random_trace *t = malloc(sizeof *t);
    for (uint64_t seed = 100; seed < 106; seed++) {
        char name[32];
        snprintf(name, sizeof name, "seed %llu", (unsigned long long)seed);
        make_trace(t, seed);
        struct nw_source *source = source_of(t->address, t->kind, t->accesses, NULL, 0, 500);
        compare_with_replay(source, name, seed % 2 ? NW_ENGINE_FAST : NW_ENGINE_REFERENCE, seed % 4 < 2);
        nw_source_destroy(source);
    }
    free(t);
}

/* ---- sampling ---- */

static struct nw_source *zipf(uint64_t accesses, uint64_t span, uint64_t seed)
{
    struct nw_generate_options o;
    struct nw_source *source;
    struct nw_error err;
    nw_generate_defaults(&o);
    o.accesses = accesses;
    o.span_bytes = span;
    o.seed = seed;
    if (nw_generator_find("zipf")->open(&source, &o, &err))
        fail_msg("%s", err.text);
    return source;
}

static const uint64_t sizes[] = { 1, 4, 16, 64, 256, 512, 1024, 1536, 2048, 4096, 8192, 16384 };

static void sampling__at_rate_1_is_exact(void **state)
{
    (void)state;
    struct random_trace *t = malloc(sizeof *t);
    for (uint64_t seed = 200; seed < 210; seed++) {
        make_trace(t, seed);
        struct nw_source *source = source_of(t->address, t->kind, t->accesses, t->event, t->events, 300);
        struct nw_mrc_options o = { .streams = ALL_STREAMS,
                                    .exact = true,
                                    .rate = 1,
                                    .seed = seed,
                                    .size = sizes,
                                    .size_count = NW_ARRAY_LEN(sizes),
                                    .window_accesses = 77 };
        struct nw_mrc_result r = curves_of(source, &o);
        for (unsigned stream = 0; stream < NW_TLB_CLASS_COUNT; stream++)
            for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++) {
                const struct nw_mrc_curve *exact =
                                              nw_mrc_find(&r, (enum nw_tlb_class)stream, nw_mrc_page_log2[k], 1, false),
                                          *sampled =
                                              nw_mrc_find(&r, (enum nw_tlb_class)stream, nw_mrc_page_log2[k], 1, true);
                assert_true(sampled->rate == 1);
                assert_int_equal(exact->pages, sampled->pages);
                assert_int_equal(sampled->followed, sampled->changes);
                for (uint64_t n = 0; n < exact->misses_count + 5; n++)
                    assert_true(nw_mrc_misses(exact, n) == nw_mrc_misses(sampled, n));
                for (size_t i = 0; i < sampled->point_count; i++) {
                    const struct nw_mrc_point *p = &sampled->point[i];
                    assert_true(p->misses == nw_mrc_misses(exact, p->entries));
                    assert_true(!sampled->followed || (p->low == p->misses && p->high == p->misses));
                }
            }
        nw_mrc_result_fini(&r);
        nw_source_destroy(source);
    }
    free(t);
}

static void sampling__is_within_its_bound(void **state)
{
    (void)state;
    static const double rate[] = { 0.3, 0.1, 0.03 };
    unsigned narrow = 0;
    for (uint64_t seed = 1; seed <= 6; seed++)
        for (size_t i = 0; i < NW_ARRAY_LEN(rate); i++) {
            struct nw_source *source = zipf(1000000, UINT64_C(256) << 20, seed);
            struct nw_mrc_options o = { .streams = 1u << NW_TLB_DATA,
                                        .exact = true,
                                        .rate = rate[i],
                                        .seed = 1000 + seed,
                                        .size = sizes,
                                        .size_count = NW_ARRAY_LEN(sizes) };
            struct nw_mrc_result r = curves_of(source, &o);
            const struct nw_mrc_curve *exact = nw_mrc_find(&r, NW_TLB_DATA, 12, 1, false),
                                      *sampled = nw_mrc_find(&r, NW_TLB_DATA, 12, 1, true);
            assert_int_equal(sampled->point_count, NW_ARRAY_LEN(sizes));
            assert_true((double)sampled->pages < 1.2 * rate[i] * (double)exact->pages);
            for (size_t k = 0; k < sampled->point_count; k++) {
                const struct nw_mrc_point *p = &sampled->point[k];
                double truth = nw_mrc_misses(exact, p->entries), all = (double)exact->references;
                if (truth < p->low || truth > p->high)
                    fail_msg("seed %llu, rate %g, %llu entries: %.4f is not in %.4f .. %.4f", (unsigned long long)seed,
                             rate[i], (unsigned long long)p->entries, truth / all, p->low / all, p->high / all);
                narrow += (p->high - p->low) / all < 0.05;
            }
            nw_mrc_result_fini(&r);
            nw_source_destroy(source);
        }
    print_message("%u of 216 bounds are narrower than 0.05\n", narrow);
    assert_true(narrow >= 72); /* it says something: a good part of the bounds are within +-2.5 % of the references */
}

/* ---- refusals ---- */

static void bad_options__are_refused(void **state)
{
    (void)state;
    struct nw_trace_info info;
    struct nw_mrc *m;
    struct nw_error err;
    nw_trace_info_init(&info);
    const struct nw_mrc_array none = { NW_TLB_DATA, 12, 0, false };
    const struct nw_mrc_options bad[] = { { .streams = 1 },
                                          { .streams = 1, .rate = 1.5 },
                                          { .streams = 1, .rate = -0.5, .exact = true },
                                          { .streams = 1, .exact = true, .array = &none, .array_count = 1 } };
    for (size_t i = 0; i < NW_ARRAY_LEN(bad); i++)
        assert_int_equal(nw_mrc_create(&m, &info, &bad[i], &err), NW_ERR_USAGE);
    struct nw_mrc_options good = { .streams = 1, .exact = true };
    assert_int_equal(nw_mrc_create(&m, &info, &good, &err), NW_OK);
    struct nw_block other = { .vcpu = 1 };
    assert_int_equal(nw_mrc_take(m, &other, &err), NW_ERR_UNSUPPORTED);
    nw_mrc_destroy(m);
    nw_trace_info_fini(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves__agree_with_lists),
        cmocka_unit_test(curves__agree_with_a_tree_over_a_large_footprint),
        cmocka_unit_test(curves__are_what_the_engines_count_on_shipped_traces),
        cmocka_unit_test(curves__are_what_the_engines_count_on_random_traces),
        cmocka_unit_test(sampling__at_rate_1_is_exact),
        cmocka_unit_test(sampling__is_within_its_bound),
        cmocka_unit_test(bad_options__are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
