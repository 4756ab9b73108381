/* Sampled replays: the true value of each figure, that of a full replay, lies in its interval for 95 % of the seeds at least; and where nothing is
 * skipped, it is the figure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/sim/sample.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/memory_source.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = NW_SANITIZED ? 10 : 200 }; /* a sanitized build looks for other mistakes, and is slow */
enum { FIGURES = 96 };

static const char *const shipped[] = { "btree", "gups", "vmchurn" };
static const char *const native[] = { "run.mode", "native", NULL };
static const char *const nested[] = { "run.mode", "nested", "vmm.demand_backing", "1", NULL };
static const char *const cached[] = { "run.mode",
                                      "nested",
                                      "psc.guest.pde.entries",
                                      "32",
                                      "psc.guest.pdpte.entries",
                                      "16",
                                      "psc.nested.pde.entries",
                                      "32",
                                      "nested_tlb.entries",
                                      "64",
                                      "vmm.backing",
                                      "2M",
                                      NULL };
static const char *const plru[] = { "run.mode", "nested",       "tlb.l2.policy", "plru", "tlb.l2.ways",
                                    "8",        "run.fidelity", "tlb",           NULL };
static const char *const demand[] = { "run.mode", "native", "guest.demand_faults", "1", NULL };

static void configure(struct nw_config *c, const char *const *settings)
{
    struct nw_error err;
    nw_config_init(c);
    for (; *settings; settings += 2)
        if (nw_config_set(c, settings[0], settings[1], "test", &err))
            fail_msg("%s", err.text);
}

static struct nw_source *open_shipped(const char *name)
{
    char path[512];
    struct nw_source *source;
    struct nw_error err;
    snprintf(path, sizeof path, "%s/traces/shipped/%s.nwt", NW_SOURCE_DIR, name);
    if (nw_nwt_open(&source, path, &err))
        fail_msg("%s", err.text);
    return source;
}

/* ---- the truth ---- */

struct truth {
    struct {
        char path[64];
        double value;
        unsigned inside;
    } metric[512];
    size_t count;
};

static void note(void *context, const struct nw_metric *m)
{
    struct truth *t = context;
    assert_true(t->count < NW_ARRAY_LEN(t->metric));
    snprintf(t->metric[t->count].path, sizeof t->metric[0].path, "%s", m->path);
    t->metric[t->count].inside = 0;
    t->metric[t->count++].value = m->type == NW_METRIC_COUNT ? (double)m->count : m->real;
}

static void replay(struct nw_source *source, const struct nw_config *c, struct truth *t)
{
    struct nw_result r;
    struct nw_error err;
    t->count = 0;
    if (nw_source_rewind(source, &err) || nw_replay(source, c, NULL, &r, &err))
        fail_msg("%s", err.text);
    nw_result_visit(&r, note, t);
    nw_result_fini(&r);
}

static double true_value(const struct truth *t, const char *path)
{
    for (size_t i = 0; i < t->count; i++)
        if (!strcmp(t->metric[i].path, path))
            return t->metric[i].value;
    return 0; /* exits that did not happen */
}

static void sample(struct nw_source *source, const struct nw_config *c, const struct nw_sample_options *o,
                   struct nw_sample_result *out)
{
    struct nw_error err;
    if (nw_source_rewind(source, &err) || nw_sample(source, c, o, NULL, out, &err))
        fail_msg("%s", err.text);
}

/* ---- coverage ---- */

static void cover(struct nw_source *source, const char *name, const char *const *settings,
                  const struct nw_sample_options *o)
{
    struct nw_config c;
    static struct truth truth;
    struct {
        char path[64];
        unsigned inside, seen;
    } figure[FIGURES];
    size_t figures = 0;
    configure(&c, settings);
    replay(source, &c, &truth);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct nw_sample_result r;
        c.seed = seed;
        sample(source, &c, o, &r);
        assert_int_equal(r.windows, o->windows);
        assert_int_equal(r.accesses.total, (uint64_t)true_value(&truth, "accesses.total"));
        assert_int_equal(r.accesses.fetch, (uint64_t)true_value(&truth, "accesses.fetch"));
        assert_int_equal(r.accesses.store, (uint64_t)true_value(&truth, "accesses.store"));
        for (size_t i = 0; i < r.figure_count; i++) {
            const struct nw_sample_figure *f = &r.figure[i];
            size_t k = 0;
            while (k < figures && strcmp(figure[k].path, f->path))
                k++;
            if (k == figures) {
                assert_true(figures < FIGURES);
                memcpy(figure[k].path, f->path, sizeof f->path);
                figure[figures++].inside = figure[k].seen = 0;
            }
            assert_true(f->low <= f->estimate && f->estimate <= f->high);
            double value = true_value(&truth, f->path), rounding = strcmp(f->unit, "percent") ? 1 : 1e-3;
            figure[k].seen++;
            figure[k].inside += f->low <= value + rounding && value <= f->high + rounding;
        }
        nw_sample_result_fini(&r);
    }
    assert_true(figures >= 12);
    for (size_t k = 0; k < figures; k++)
        if (figure[k].inside * 100 < figure[k].seen * 95)
            fail_msg("%s, %s: %s is %.1f, in the interval of %u samples of %u", name, settings[1], figure[k].path,
                     true_value(&truth, figure[k].path), figure[k].inside, figure[k].seen);
    nw_config_fini(&c);
}

static void shipped_traces__lie_in_the_interval(void **state)
{
    (void)state;
    const struct nw_sample_options o = { .windows = 40, .window_accesses = 1000, .warm_accesses = 3000 };
    for (size_t i = 0; i < NW_ARRAY_LEN(shipped); i++) {
        struct nw_source *source = open_shipped(shipped[i]);
        cover(source, shipped[i], native, &o);
        cover(source, shipped[i], nested, &o);
        nw_source_destroy(source);
    }
}

/* Without any warming everything rests on the two counts. */
static void cold_windows__lie_in_the_interval(void **state)
{
    (void)state;
    const struct nw_sample_options o = { .windows = 60, .window_accesses = 700, .warm_accesses = 0 };
    struct nw_source *source = open_shipped("vmchurn");
    cover(source, "vmchurn", cached, &o);
    cover(source, "vmchurn", plru, &o);
    nw_source_destroy(source);
}

/* ---- a trace with phases ---- */

enum { PHASES = 3, PHASE_ACCESSES = 60000 };
static const struct {
    const char *generator;
    uint64_t span;
} phase[PHASES] = { { "zipf", 64u << 20 }, { "sequential", 16u << 20 }, { "uniform", 32u << 20 } };

struct phases {
    uint64_t address[PHASES * PHASE_ACCESSES];
    uint8_t kind[PHASES * PHASE_ACCESSES];
};

static struct nw_source *open_phases(struct phases *p)
{
    struct nw_source *source;
    struct nw_error err;
    size_t used = 0;
    for (unsigned k = 0; k < PHASES; k++) {
        struct nw_generate_options o;
        nw_generate_defaults(&o);
        o.accesses = PHASE_ACCESSES;
        o.span_bytes = phase[k].span;
        o.store_fraction = 0.2;
        if (nw_generator_find(phase[k].generator)->open(&source, &o, &err))
            fail_msg("%s", err.text);
        source->want = NW_WANT_ADDRESSES;
        for (struct nw_block b; !nw_source_next(source, &b, &err) && !b.end;)
            for (uint32_t i = 0; i < b.access_count; i++) {
                assert_true(used < NW_ARRAY_LEN(p->address));
                p->address[used] = b.address[i];
                p->kind[used++] = nw_block_kind(&b, i);
            }
        nw_source_destroy(source);
    }
    assert_int_equal(used, PHASES * PHASE_ACCESSES);
    if (nw_memory_source_create(&source, NULL, p->address, p->kind, used, NULL, 0, 0, &err))
        fail_msg("%s", err.text);
    return source;
}

static void phases__lie_in_the_interval(void **state)
{
    (void)state;
    const struct nw_sample_options o = { .windows = 40, .window_accesses = 1000, .warm_accesses = 3000 };
    struct phases *p = malloc(sizeof *p);
    assert_non_null(p);
    struct nw_source *source = open_phases(p);
    cover(source, "phases", native, &o);
    cover(source, "phases", cached, &o);
    cover(source, "phases", demand, &o);
    nw_source_destroy(source);
    free(p);
}

/* ---- both engines ---- */

static void compare_engines(struct nw_source *source, const char *name, const char *const *settings,
                            const struct nw_sample_options *o)
{
    struct nw_sample_result r[NW_ENGINE_COUNT];
    for (unsigned engine = 0; engine < NW_ENGINE_COUNT; engine++) {
        struct nw_config c;
        configure(&c, settings);
        c.engine = engine;
        sample(source, &c, o, &r[engine]);
        nw_config_fini(&c);
    }
    assert_int_equal(r[0].figure_count, r[1].figure_count);
    for (size_t i = 0; i < r[0].figure_count; i++) {
        const struct nw_sample_figure *a = &r[0].figure[i], *b = &r[1].figure[i];
        if (strcmp(a->path, b->path) || a->low != b->low || a->high != b->high || a->estimate != b->estimate)
            fail_msg("%s, %s: the fast engine says %.3f (%.3f to %.3f), the naive one of %s %.3f (%.3f to %.3f)", name,
                     a->path, a->estimate, a->low, a->high, b->path, b->estimate, b->low, b->high);
    }
    nw_sample_result_fini(&r[0]);
    nw_sample_result_fini(&r[1]);
}

static void engines__give_the_same_sample(void **state)
{
    (void)state;
    const struct nw_sample_options o = { .windows = 30, .window_accesses = 500, .warm_accesses = 700 };
    struct phases *p = malloc(sizeof *p);
    assert_non_null(p);
    struct nw_source *source = open_phases(p);
    compare_engines(source, "phases", cached, &o);
    compare_engines(source, "phases", demand, &o);
    nw_source_destroy(source);
    free(p);
    for (size_t i = 0; i < NW_ARRAY_LEN(shipped); i++) {
        source = open_shipped(shipped[i]);
        compare_engines(source, shipped[i], native, &o);
        compare_engines(source, shipped[i], nested, &o);
        compare_engines(source, shipped[i], cached, &o);
        nw_source_destroy(source);
    }
}

/* ---- the ends of what can be asked ---- */

static void expect_exact(struct nw_source *source, const struct nw_sample_options *o)
{
    static struct truth truth;
    struct nw_config c;
    struct nw_sample_result r;
    configure(&c, nested);
    replay(source, &c, &truth);
    sample(source, &c, o, &r);
    assert_int_equal(r.windows, 0);
    assert_int_equal(r.measured_accesses, r.accesses.total);
    for (size_t i = 0; i < r.figure_count; i++) {
        const struct nw_sample_figure *f = &r.figure[i];
        assert_true(f->low == f->high && f->estimate == f->low && f->low == true_value(&truth, f->path));
    }
    assert_true(nw_sample_find(&r, "walks.count")->estimate > 0);
    nw_sample_result_fini(&r);
    nw_config_fini(&c);
}

static void everything__is_exact(void **state)
{
    (void)state;
    struct nw_source *source = open_shipped("vmchurn");
    expect_exact(source,
                 &(struct nw_sample_options){ .windows = 30, .window_accesses = 1u << 30 }); /* longer than the trace */
    expect_exact(source, &(struct nw_sample_options){ .windows = 2000, .window_accesses = 1000, .warm_accesses = 10 });
    expect_exact(source, &(struct nw_sample_options){ .fraction = 1, .window_accesses = 1000 });
    expect_exact(source,
                 &(struct nw_sample_options){ .windows = 100, .window_accesses = 1, .warm_accesses = 1u << 22 });
    nw_source_destroy(source);
}

static void same_seed__same_sample(void **state)
{
    (void)state;
    struct nw_source *source = open_shipped("btree");
    const struct nw_sample_options o = { .fraction = 0.05, .window_accesses = 1000, .warm_accesses = 2000 };
    struct nw_sample_result r[3];
    for (unsigned i = 0; i < 3; i++) {
        struct nw_config c;
        configure(&c, native);
        c.seed = i < 2 ? 7 : 8;
        sample(source, &c, &o, &r[i]);
        nw_config_fini(&c);
    }
    assert_int_equal(r[0].windows, 62); /* a twentieth of 1,246 windows behind the beginning */
    assert_int_equal(r[0].measured_accesses % 1000, r[0].accesses.total % 1000);
    assert_int_equal(r[0].figure_count, r[1].figure_count);
    assert_memory_equal(r[0].figure, r[1].figure, r[0].figure_count * sizeof *r[0].figure);
    const char *path = "tlb.l1d.misses";
    assert_true(nw_sample_find(&r[0], path)->estimate != nw_sample_find(&r[2], path)->estimate);
    assert_null(nw_sample_find(&r[0], "no.such.figure"));
    for (unsigned i = 0; i < 3; i++)
        nw_sample_result_fini(&r[i]);
    nw_source_destroy(source);
}

static void more_windows__narrower(void **state)
{
    (void)state;
    struct nw_source *source = open_shipped("gups");
    double width[2];
    for (unsigned i = 0; i < 2; i++) {
        struct nw_sample_result r;
        struct nw_config c;
        configure(&c, native);
        sample(source, &c,
               &(struct nw_sample_options){ .windows = i ? 400 : 30, .window_accesses = 1000, .warm_accesses = 4000 },
               &r);
        const struct nw_sample_figure *f = nw_sample_find(&r, "tlb.l1d.misses");
        width[i] = f->high - f->low;
        nw_sample_result_fini(&r);
        nw_config_fini(&c);
    }
    assert_true(width[1] > 0 && width[1] < width[0]);
    nw_source_destroy(source);
}

static void refuse(const char *const *settings, struct nw_sample_options o, const char *names)
{
    struct nw_source *source = open_shipped("btree");
    struct nw_config c;
    struct nw_sample_result r;
    struct nw_error err = { 0 };
    configure(&c, settings);
    assert_int_equal(nw_sample(source, &c, &o, NULL, &r, &err), NW_ERR_USAGE);
    if (!strstr(err.text, names))
        fail_msg("\"%s\" does not name %s", err.text, names);
    nw_config_fini(&c);
    nw_source_destroy(source);
}

static void nonsense__is_refused(void **state)
{
    (void)state;
    const struct nw_sample_options good = { .windows = 100, .window_accesses = 100 };
    struct nw_sample_options o = good;
    o.windows = NW_SAMPLE_WINDOWS_MIN - 1;
    refuse(native, o, "windows");
    o.windows = NW_SAMPLE_WINDOWS_MAX + 1;
    refuse(native, o, "windows");
    o.windows = 0;
    refuse(native, o, "fraction");
    o.fraction = 1.5;
    refuse(native, o, "fraction");
    o = good;
    o.window_accesses = 0;
    refuse(native, o, "window");
    o = good;
    o.warm_accesses = NW_SAMPLE_ACCESSES_MAX + 1;
    refuse(native, o, "warmed");
    refuse((const char *const[]){ "run.mode", "shadow", NULL }, good, "shadow");
    refuse((const char *const[]){ "run.mode", "agile", NULL }, good, "agile");
    refuse((const char *const[]){ "run.mode", "direct", NULL }, good, "direct");
    refuse((const char *const[]){ "run.detect_stale", "1", NULL }, good, "detect_stale");
    refuse((const char *const[]){ "run.fidelity", "full", "run.engine", "reference", NULL }, good, "full");
    /* An empty trace has nothing to take windows from, and a guest that collapses pages depends on every access. */
    struct nw_source *source;
    struct nw_config c;
    struct nw_sample_result r;
    struct nw_error err;
    uint64_t address[2] = { 0x1000, 0x2000 };
    for (size_t n = 0; n <= 2; n += 2) {
        configure(&c, n ? (const char *const[]){ "guest.page_policy", "thp", NULL } : native);
        assert_int_equal(nw_memory_source_create(&source, NULL, address, NULL, n, NULL, 0, 0, &err), NW_OK);
        assert_int_equal(nw_sample(source, &c, &good, NULL, &r, &err), NW_ERR_USAGE);
        assert_non_null(strstr(err.text, n ? "thp" : "no accesses"));
        nw_source_destroy(source);
        nw_config_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_traces__lie_in_the_interval),
        cmocka_unit_test(cold_windows__lie_in_the_interval),
        cmocka_unit_test(phases__lie_in_the_interval),
        cmocka_unit_test(engines__give_the_same_sample),
        cmocka_unit_test(everything__is_exact),
        cmocka_unit_test(same_seed__same_sample),
        cmocka_unit_test(more_windows__narrower),
        cmocka_unit_test(nonsense__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
