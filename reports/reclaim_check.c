/* Runs a program on the model and on a live guest, and compares what came back. */
#include <nestwalk/reports/reclaim_check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool room_for_one(void **list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    const size_t more = *room ? *room * 2 : 64;
    void *grown = realloc(*list, more * size);
    if (!grown)
        return false;
    *list = grown;
    *room = more;
    return true;
}

enum nw_status nw_reclaim_check_start(struct nw_reclaim_check *c, enum nw_reclaim_way way, const char *directory,
                                      const struct nw_live_reclaim_options *options, struct nw_error *err)
{
    *c = (struct nw_reclaim_check){ .options = *options };
    return nw_live_reclaim_open(&c->host, way, directory, err);
}

enum nw_status nw_reclaim_check_stop(struct nw_reclaim_check *c, struct nw_error *err)
{
    return nw_live_reclaim_close(&c->host, err);
}

/* Nothing keeps a copy of a page there: what comes back is read. */
static bool always_read(const struct nw_reclaim_check *c)
{
    return c->host.way == NW_RECLAIM_ZRAM || c->host.way == NW_RECLAIM_FILE;
}

enum nw_status nw_reclaim_check_add(struct nw_reclaim_check *c, const struct nw_reclaim_program *program, unsigned run,
                                    const struct nw_refault_step *model, const struct nw_live_reclaim_step *kernel,
                                    struct nw_error *err)
{
    for (size_t i = 0; i < program->steps; i++) {
        struct nw_reclaim_point p = { .program = (unsigned)c->program_count, .run = run, .step = (unsigned)i };
        p.model = model[i].refaults;
        p.kernel = kernel[i];
        p.judged = !kernel[i].astray;
        p.holds = p.model == kernel[i].returned && (!always_read(c) || p.model == kernel[i].major);
        const double difference = (double)p.model - (double)kernel[i].returned;
        p.error_percent =
            100 * (difference < 0 ? -difference : difference) / (kernel[i].returned ? kernel[i].returned : 1);
        if (!room_for_one((void **)&c->point, c->point_count, &c->point_room, sizeof *c->point))
            return nw_fail_nomem(err, "the results of a check");
        c->point[c->point_count++] = p;
    }
    return NW_OK;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void widen(uint64_t *least, uint64_t *most, uint64_t value, bool first)
{
    *least = first || value < *least ? value : *least;
    *most = first || value > *most ? value : *most;
}

enum nw_status nw_reclaim_check_conclude(struct nw_reclaim_check *c, const struct nw_reclaim_program *program,
                                         unsigned runs, struct nw_error *err)
{
    struct nw_reclaim_verdict v = { .runs = runs };
    const size_t count = runs * program->steps, first = c->point_count - count;
    double *error = calloc(count + 1, sizeof *error);
    if (!error || !room_for_one((void **)&c->program, c->program_count, &c->program_room, sizeof *c->program)) {
        free(error);
        return nw_fail_nomem(err, "the results of a check");
    }
    snprintf(v.name, sizeof v.name, "%s", program->name);
    for (unsigned run = 0; run < runs; run++) {
        uint64_t model = 0, returned = 0, major = 0;
        for (size_t i = 0; i < program->steps; i++) {
            const struct nw_reclaim_point *p = &c->point[first + run * program->steps + i];
            model += p->model;
            returned += p->kernel.returned;
            major += p->kernel.major;
            v.asked += p->kernel.asked;
            v.taken += p->kernel.taken;
            v.unjudged += !p->judged;
            if (p->judged)
                error[v.points++] = p->error_percent;
            v.holding += p->judged && p->holds;
        }
        widen(&v.model_least, &v.model_most, model, !run);
        widen(&v.returned_least, &v.returned_most, returned, !run);
        widen(&v.major_least, &v.major_most, major, !run);
    }
    qsort(error, v.points, sizeof *error, by_value);
    v.median_error_percent = v.points ? error[v.points / 2] : 0;
    v.max_error_percent = v.points ? error[v.points - 1] : 0;
    free(error);
    c->program[c->program_count++] = v;
    return NW_OK;
}

enum nw_status nw_reclaim_check_program(struct nw_reclaim_check *c, const struct nw_reclaim_program *program,
                                        unsigned runs, struct nw_error *err)
{
    const size_t words = program->steps * nw_reclaim_words(program);
    struct nw_live_reclaim_step *kernel = calloc(program->steps, sizeof *kernel);
    struct nw_refault_step *model = calloc(program->steps, sizeof *model);
    uint64_t *taken = calloc(words, sizeof *taken);
    enum nw_status s = kernel && model && taken ? NW_OK : nw_fail_nomem(err, "what a guest program did");
    for (unsigned run = 0; run < runs && !s; run++) {
        memset(taken, 0, words * sizeof *taken);
        s = nw_live_reclaim_run(&c->host, program, &c->options, kernel, taken, err);
        if (!s)
            s = nw_refault_run(program, taken, model, err);
        if (!s)
            s = nw_reclaim_check_add(c, program, run, model, kernel, err);
    }
    if (!s)
        s = nw_reclaim_check_conclude(c, program, runs, err);
    if (s)
        nw_error_context(err, "program %s", program->name);
    free(kernel);
    free(model);
    free(taken);
    return s;
}

bool nw_reclaim_check_holds(const struct nw_reclaim_check *c)
{
    size_t judged = 0;
    for (size_t i = 0; i < c->point_count; i++) {
        if (c->point[i].judged && !c->point[i].holds)
            return false;
        judged += c->point[i].judged;
    }
    return judged > 0;
}

void nw_reclaim_check_fini(struct nw_reclaim_check *c)
{
    free(c->program);
    free(c->point);
    memset(c, 0, sizeof *c);
}
