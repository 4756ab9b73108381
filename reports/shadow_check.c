/* Runs a program on the model and on KVM, and compares what each counted. */
#include <nestwalk/reports/shadow_check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct track {
    struct nw_kvm_counters *segment; /* since the start, one a marker or action */
    size_t count, room;
    bool failed;
};

static bool follow(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now)
{
    struct track *t = context;
    (void)marker, (void)action;
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 32;
        struct nw_kvm_counters *moved = realloc(t->segment, room * sizeof *moved);
        if (!moved) {
            t->failed = true;
            return false;
        }
        t->segment = moved;
        t->room = room;
    }
    t->segment[t->count++] = *now;
    return true;
}

static uint64_t value_of(const struct nw_kvm_counters *c, unsigned counter)
{
    uint64_t value;
    memcpy(&value, (const char *)c + nw_kvm_counter_row[counter].offset, sizeof value);
    return value;
}

static uint64_t moved(const struct nw_kvm_counters *segment, size_t i, unsigned counter)
{
    return value_of(&segment[i], counter) - (i ? value_of(&segment[i - 1], counter) : 0);
}

/* ---- comparing ---------------------------------------------------------------------------------------------- */

static bool room_for_one(void **list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    size_t more = *room ? *room * 2 : 64;
    void *grown = realloc(*list, more * size);
    if (!grown)
        return false;
    *list = grown;
    *room = more;
    return true;
}

static double error_percent(uint64_t model, uint64_t kvm)
{
    double difference = model > kvm ? (double)(model - kvm) : (double)(kvm - model);
    return 100 * difference / (kvm ? (double)kvm : 1);
}

struct pair {
    const struct nw_kvm_counters *model, *kvm;
    size_t segments; /* that both have */
};

/* The point of one counter; false: it never moved. The first difference goes to v. */
static bool make_point(const struct pair *p, unsigned counter, struct nw_shadow_verdict *v, struct nw_shadow_point *out)
{
    bool any = false;
    *out = (struct nw_shadow_point){ .counter = counter, .segments = (unsigned)p->segments };
    for (size_t i = 0; i < p->segments; i++) {
        uint64_t m = moved(p->model, i, counter), k = moved(p->kvm, i, counter);
        any = any || m || k;
        out->agreeing += m == k;
        if (m != k && !v->difference[0])
            snprintf(v->difference, sizeof v->difference, "segment %zu: %s %+lld, KVM %+lld", i,
                     nw_kvm_counter_row[counter].path, (long long)m, (long long)k);
    }
    if (p->segments) {
        out->model = value_of(&p->model[p->segments - 1], counter);
        out->kvm = value_of(&p->kvm[p->segments - 1], counter);
    }
    out->error_percent = error_percent(out->model, out->kvm);
    return any;
}

static bool compared(const struct nw_shadow_check *c, unsigned counter)
{
    return strcmp(nw_kvm_counter_row[counter].path, "shadow_pages") != 0 && (c->host.counted >> counter & 1);
}

enum nw_status nw_shadow_check_compare(struct nw_shadow_check *c, const char *name, const char *group,
                                       const struct nw_kvm_counters *model, size_t model_segments,
                                       const struct nw_kvm_counters *kvm, size_t kvm_segments, struct nw_error *err)
{
    const struct pair pair = { model, kvm, model_segments < kvm_segments ? model_segments : kvm_segments };
    struct nw_shadow_verdict v = { .group = group, .segments = (unsigned)pair.segments };
    struct nw_shadow_point point;
    snprintf(v.name, sizeof v.name, "%s", name);
    if (model_segments != kvm_segments)
        snprintf(v.difference, sizeof v.difference, "%zu segments, KVM %zu", model_segments, kvm_segments);
    if (!room_for_one((void **)&c->program, c->program_count, &c->program_room, sizeof *c->program))
        return nw_fail_nomem(err, "the results of a check");
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++) {
        if (!compared(c, i) || !make_point(&pair, i, &v, &point))
            continue;
        if (!room_for_one((void **)&c->point, c->point_count, &c->point_room, sizeof *c->point))
            return nw_fail_nomem(err, "the results of a check");
        point.program = (unsigned)c->program_count;
        v.points++;
        v.agreeing += point.agreeing == point.segments;
        c->point[c->point_count++] = point;
    }
    c->program[c->program_count++] = v;
    return NW_OK;
}

/* ---- running ------------------------------------------------------------------------------------------------ */

enum nw_status nw_shadow_check_start(struct nw_shadow_check *c, const struct nw_live_shadow_options *options,
                                     struct nw_error *err)
{
    *c = (struct nw_shadow_check){ .options = *options };
    return nw_live_shadow_probe(&c->host, err);
}

static enum nw_status live(struct nw_shadow_check *c, const struct nw_kvm_program *p, struct track *t,
                           struct nw_error *err)
{
    const struct nw_kvm_watcher watcher = { .segment = follow, .context = t };
    t->count = 0;
    enum nw_status s = nw_live_shadow_run(p, &watcher, &c->options, err);
    return s || !t->failed ? s : nw_fail_nomem(err, "what a guest program counted");
}

/* Drops the newest verdict and its points. */
static void retract(struct nw_shadow_check *c, size_t points)
{
    c->program_count--;
    c->point_count = points;
}

static bool agrees(const struct nw_shadow_verdict *v) { return !v->difference[0]; }

static enum nw_status compare_tracks(struct nw_shadow_check *c, const struct nw_shadow_program *p,
                                     const struct track *model, const struct track *kvm, struct nw_error *err)
{
    return nw_shadow_check_compare(c, p->name, p->group, model->segment, model->count, kvm->segment, kvm->count, err);
}

enum { RUNS_MAX = 5, REST_NS = 20 * 1000 * 1000 };

/* Whether KVM's own runs differ in this counter. */
static bool unsteady(const struct track *run, unsigned runs, unsigned counter)
{
    for (unsigned r = 1; r < runs; r++)
        for (size_t i = 0; i < run[0].count && i < run[r].count; i++)
            if (moved(run[r].segment, i, counter) != moved(run[0].segment, i, counter))
                return true;
    return false;
}

/* Takes back from the newest verdict what KVM does not agree with itself about; the first difference left is its difference. */
static void excuse(struct nw_shadow_check *c, size_t points, const struct track *model, const struct track *run,
                   unsigned runs)
{
    struct nw_shadow_verdict *v = &c->program[c->program_count - 1];
    size_t segments = model->count;
    for (unsigned r = 0; r < runs; r++)
        if (run[r].count != model->count)
            return; /* it did not even take the same way */
    v->difference[0] = 0;
    for (size_t i = points; i < c->point_count; i++) {
        struct nw_shadow_point *point = &c->point[i];
        const struct pair pair = { model->segment, run[0].segment, segments };
        struct nw_shadow_verdict other = { .name = "" };
        struct nw_shadow_point again;
        if (point->agreeing == point->segments)
            continue;
        point->unsteady = unsteady(run, runs, point->counter);
        v->unsteady += point->unsteady;
        if (!point->unsteady && !v->difference[0] && make_point(&pair, point->counter, &other, &again))
            snprintf(v->difference, sizeof v->difference, "%s", other.difference);
    }
}

/* The host cannot serve it now: a verdict without points. */
static enum nw_status skip(struct nw_shadow_check *c, const struct nw_shadow_program *p, struct nw_error *err)
{
    struct nw_shadow_verdict v = { .group = p->group };
    if (!room_for_one((void **)&c->program, c->program_count, &c->program_room, sizeof *c->program))
        return nw_fail_nomem(err, "the results of a check");
    snprintf(v.name, sizeof v.name, "%s", p->name);
    snprintf(v.skipped, sizeof v.skipped, "%.159s", err ? err->text : "the host cannot run it now");
    c->program[c->program_count++] = v;
    return NW_OK;
}

/* A whole time slice, on the processor that the scheduler finds best now: what came between the steps of a short program is not
 * likely to come again. */
static void rest(unsigned runs)
{
    const struct timespec nap = { 0, (long)runs * REST_NS };
    nanosleep(&nap, NULL);
}

static enum nw_status judge(struct nw_shadow_check *c, const struct nw_shadow_program *p, const struct track *model,
                            struct nw_error *err)
{
    struct track run[RUNS_MAX] = { { 0 } };
    const size_t points = c->point_count;
    unsigned runs = 1, best = 0;
    enum nw_status s = live(c, &p->program, &run[0], err);
    if (s == NW_ERR_UNSUPPORTED) {
        free(run[0].segment);
        return skip(c, p, err);
    }
    if (!s)
        s = compare_tracks(c, p, model, &run[0], err);
    while (!s && runs < RUNS_MAX && !agrees(&c->program[c->program_count - 1])) {
        const unsigned before = c->program[c->program_count - 1].agreeing;
        rest(runs);
        if ((s = live(c, &p->program, &run[runs], err)))
            break;
        retract(c, points);
        if ((s = compare_tracks(c, p, model, &run[runs], err)))
            break;
        const struct nw_shadow_verdict *v = &c->program[c->program_count - 1];
        if (!agrees(v) && v->agreeing <= before) { /* the nearest counts */
            retract(c, points);
            s = compare_tracks(c, p, model, &run[best], err);
        } else {
            best = runs;
        }
        runs++;
    }
    if (!s) {
        c->program[c->program_count - 1].runs = runs;
        if (!agrees(&c->program[c->program_count - 1]))
            excuse(c, points, model, run, runs);
    }
    for (unsigned i = 0; i < RUNS_MAX; i++)
        free(run[i].segment);
    return s;
}

enum nw_status nw_shadow_check_program(struct nw_shadow_check *c, const struct nw_shadow_program *program,
                                       struct nw_error *err)
{
    struct track model = { 0 };
    struct nw_kvm_program told = program->program;
    nw_live_shadow_adopt(&c->host, &told);
    enum nw_status s = nw_kvm_program_run(&told, &(struct nw_kvm_watcher){ .segment = follow, .context = &model }, err);
    if (!s && model.failed)
        s = nw_fail_nomem(err, "what a guest program counted");
    if (!s)
        s = judge(c, program, &model, err);
    if (s)
        nw_error_context(err, "program %s", program->name);
    free(model.segment);
    return s;
}

bool nw_shadow_check_holds(const struct nw_shadow_check *c)
{
    for (size_t i = 0; i < c->program_count; i++)
        if (!agrees(&c->program[i]))
            return false;
    return true;
}

void nw_shadow_check_fini(struct nw_shadow_check *c)
{
    free(c->program);
    free(c->point);
    memset(c, 0, sizeof *c);
}
