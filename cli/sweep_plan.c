/* sweep_plan.c - a scenario, what the command line says, and the grid that they make. */
#include "sweep_plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- axes ---- */

/* The path without the part that says least: "l2.entries", "backing". */
static const char *short_name(const char *path)
{
    static const char *const prefix[] = { "tlb.", "memory.", "vmm.", "guest.", "run." };
    for (size_t i = 0; i < NW_ARRAY_LEN(prefix); i++)
        if (!strncmp(path, prefix[i], strlen(prefix[i])))
            return path + strlen(prefix[i]);
    return path;
}

static void name_axes(struct sweep_plan *p)
{
    for (size_t i = 0; i < p->axis_count; i++) {
        bool alone = true;
        for (size_t j = 0; j < p->axis_count; j++)
            alone = alone && (i == j || strcmp(short_name(p->axis[i].path), short_name(p->axis[j].path)) != 0);
        snprintf(p->axis[i].name, sizeof p->axis[i].name, "%s", alone ? short_name(p->axis[i].path) : p->axis[i].path);
    }
}

static enum nw_status make_axis(struct sweep_axis *a, const struct nw_scenario_sweep *w, struct nw_config *probe,
                                struct nw_error *err)
{
    *a = (struct sweep_axis){ .path = w->path, .place = w->place, .source = w->source };
    if (!(a->value = calloc(w->value_count, sizeof *a->value)))
        return nw_fail_nomem(err, "the values of a sweep");
    for (; a->count < w->value_count; a->count++) {
        char text[256];
        enum nw_status s = nw_config_set(probe, w->path, w->value[a->count], w->source, err);
        if (s || (s = nw_config_get(probe, w->path, text, sizeof text, err)))
            return s;
        if (!(a->value[a->count] = strdup(text)))
            return nw_fail_nomem(err, "the values of a sweep");
    }
    return NW_OK;
}

static enum nw_status make_axes(struct sweep_plan *p, struct nw_error *err)
{
    struct nw_config probe;
    enum nw_status s = nw_config_copy(&probe, &p->scenario.base, err);
    if (s)
        return s;
    p->axis = calloc(p->scenario.sweep_count + 1, sizeof *p->axis);
    p->points_a_run = 1;
    if (!p->axis)
        s = nw_fail_nomem(err, "the sweeps");
    for (size_t i = 0; i < p->scenario.sweep_count && !s; i++) {
        s = make_axis(&p->axis[p->axis_count++], &p->scenario.sweep[i], &probe, err);
        p->points_a_run *= p->scenario.sweep[i].value_count; /* at most NW_SCENARIO_POINTS_MAX, see scenario.h */
    }
    nw_config_fini(&probe);
    name_axes(p);
    return s;
}

/* What is swept has many values; an option gives one. */
static enum nw_status refuse_overridden(const struct sweep_plan *p, const struct sweep_request *r, struct nw_error *err)
{
    for (size_t i = 0; i < p->axis_count; i++) {
        const char *path = p->axis[i].path, *option = nw_cli_overrider(&r->overrides, path);
        if (!option && r->mode_count && !strcmp(path, "run.mode"))
            option = "--mode";
        if (option)
            return nw_fail(err, NW_ERR_USAGE, "%s gives one value to %s, which %s sweeps; leave one of them out",
                           option, path, r->scenario);
    }
    for (size_t i = 0; i < r->mode_count; i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(r->mode[i], r->mode[j]))
                return nw_fail(err, NW_ERR_USAGE, "--mode %s is there twice: every point would be made twice",
                               r->mode[i]);
    return NW_OK;
}

/* ---- runs ---- */

static enum nw_status add_run(struct sweep_plan *p, const struct sweep_request *r, const char *mode, size_t index,
                              bool of_scenario, struct nw_error *err)
{
    struct sweep_run *run = &p->run[p->run_count];
    enum nw_status s = of_scenario ? nw_scenario_config(&p->scenario, index, &run->config, err)
                                   : nw_config_copy(&run->config, &p->scenario.base, err);
    if (s)
        return s;
    p->run_count++;
    if ((s = nw_cli_override(&run->config, &r->overrides, mode, err)))
        return s;
    snprintf(run->title, sizeof run->title, "%s",
             run->config.label[0] ? run->config.label : nw_mode_name[run->config.mode]);
    if (!p->trace && !run->config.mix.base_cycles)
        return nw_fail(err, NW_ERR_USAGE,
                       "%s names no trace, nor (with mix.base_cycles) what a workload is known to take: give a trace "
                       "with --trace FILE",
                       r->scenario);
    return NW_OK;
}

/* The scenario's runs that have `mode` (NULL: all), or, when there are none, its base in that mode. */
static enum nw_status add_runs(struct sweep_plan *p, const struct sweep_request *r, const char *mode,
                               struct nw_error *err)
{
    size_t before = p->run_count;
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < p->scenario.run_count && !s; i++)
        if (!mode || !strcmp(p->scenario.run[i].mode, mode))
            s = add_run(p, r, mode, i, true, err);
    return s || p->run_count > before ? s : add_run(p, r, mode, 0, false, err);
}

static enum nw_status make_runs(struct sweep_plan *p, const struct sweep_request *r, struct nw_error *err)
{
    const char *trace = r->trace ? r->trace : p->scenario.trace;
    if (trace && !(p->trace = strdup(trace)))
        return nw_fail_nomem(err, "a file name");
    p->run = calloc((p->scenario.run_count + 1) * (r->mode_count + 1), sizeof *p->run);
    if (!p->run)
        return nw_fail_nomem(err, "the runs of a scenario");
    enum nw_status s = r->mode_count ? NW_OK : add_runs(p, r, NULL, err);
    for (size_t i = 0; i < r->mode_count && !s; i++)
        s = add_runs(p, r, r->mode[i], err);
    if (s)
        return s;
    p->point_count = p->run_count * p->points_a_run;
    if (p->point_count > NW_SCENARIO_POINTS_MAX)
        return nw_fail(err, NW_ERR_USAGE, "%s has %zu points with these modes; at most %d are allowed", r->scenario,
                       p->point_count, NW_SCENARIO_POINTS_MAX);
    return NW_OK;
}

/* ---- points ---- */

static size_t value_index(const struct sweep_plan *p, size_t point, size_t axis)
{
    size_t below = 1;
    for (size_t i = axis + 1; i < p->axis_count; i++)
        below *= p->axis[i].count;
    return point / below % p->axis[axis].count;
}

const char *sweep_point_value(const struct sweep_plan *p, size_t point, size_t axis)
{
    return p->axis[axis].value[value_index(p, point, axis)];
}

static void label_as(const struct sweep_plan *p, size_t point, int labels, char *out, size_t out_size)
{
    int n = snprintf(out, out_size, "%s", sweep_point_run(p, point)->title);
    size_t used = (size_t)n < out_size ? (size_t)n : out_size - 1;
    if (labels == LABEL_NUMBER) {
        char number[24];
        size_t length = (size_t)snprintf(number, sizeof number, " #%zu", point + 1);
        if (used + length >= out_size) /* a title that leaves no room gives way */
            used = out_size - 1 - length;
        memcpy(out + used, number, length + 1);
        return;
    }
    for (size_t i = 0; i < p->axis_count && used + 1 < out_size; i++) {
        n = labels == LABEL_NAMES
                ? snprintf(out + used, out_size - used, " %s=%s", p->axis[i].name, sweep_point_value(p, point, i))
                : snprintf(out + used, out_size - used, " %s", sweep_point_value(p, point, i));
        used += (size_t)n;
    }
}

void sweep_point_label(const struct sweep_plan *p, size_t point, char *out, size_t out_size)
{
    label_as(p, point, (int)p->labels, out, out_size);
}

/* All labels of a sweep are made alike, as the longest of them has to be. */
static void choose_labels(struct sweep_plan *p)
{
    size_t title = 0, names = 0, values = 0, room = sizeof p->run->config.label - 1;
    for (size_t i = 0; i < p->run_count; i++)
        if (strlen(p->run[i].title) > title)
            title = strlen(p->run[i].title);
    for (size_t i = 0; i < p->axis_count; i++) {
        size_t longest = 0;
        for (size_t k = 0; k < p->axis[i].count; k++)
            if (strlen(p->axis[i].value[k]) > longest)
                longest = strlen(p->axis[i].value[k]);
        names += strlen(p->axis[i].name) + 2 + longest;
        values += 1 + longest;
    }
    p->labels = title + names <= room ? LABEL_NAMES : title + values <= room ? LABEL_VALUES : LABEL_NUMBER;
}

/* Gives `c`, a copy of the point's run, what the point has of its own. */
static enum nw_status set_point(const struct sweep_plan *p, size_t point, struct nw_config *c, struct nw_error *err)
{
    char label[sizeof c->label];
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < p->axis_count && !s; i++)
        s = nw_config_set(c, p->axis[i].path, sweep_point_value(p, point, i), p->axis[i].source, err);
    if (s)
        return s;
    sweep_point_label(p, point, label, sizeof label);
    return nw_config_set(c, "run.label", label, "sweep", err);
}

enum nw_status sweep_point_config(const struct sweep_plan *p, size_t point, struct nw_config *out, struct nw_error *err)
{
    enum nw_status s = nw_config_copy(out, &sweep_point_run(p, point)->config, err);
    if (!s && (s = set_point(p, point, out, err)))
        nw_config_fini(out);
    return s;
}

/* Parameters that do not fit together are the fault of the sweep that the message speaks of, else of the first. */
static enum nw_status blame(const struct sweep_plan *p, size_t point, enum nw_status s, struct nw_error *err)
{
    if (s != NW_ERR_USAGE || !p->axis_count)
        return s;
    const struct nw_error why = *err;
    char label[64];
    size_t guilty = 0;
    for (size_t i = p->axis_count; i-- > 0;)
        if (strstr(why.text, p->axis[i].path))
            guilty = i;
    sweep_point_label(p, point, label, sizeof label);
    return nw_fail(err, NW_ERR_INPUT, "%s: %s (in the point \"%s\")", p->axis[guilty].place, why.text, label);
}

static enum nw_status check_points(struct sweep_plan *p, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t r = 0; r < p->run_count && !s; r++) {
        struct nw_config c;
        if ((s = nw_config_copy(&c, &p->run[r].config, err)))
            return s;
        for (size_t i = r * p->points_a_run; i < (r + 1) * p->points_a_run && !s; i++)
            if ((s = set_point(p, i, &c, err)) || (s = nw_config_check(&c, err)))
                s = blame(p, i, s, err);
        nw_config_fini(&c);
    }
    return s;
}

enum nw_status sweep_plan_make(struct sweep_plan *p, const struct sweep_request *r, struct nw_error *err)
{
    *p = (struct sweep_plan){ 0 };
    enum nw_status s = nw_scenario_load(r->scenario, r->machine, &p->scenario, err);
    if (s)
        return s;
    if ((s = make_axes(p, err)) || (s = refuse_overridden(p, r, err)) || (s = make_runs(p, r, err)))
        return s;
    choose_labels(p);
    return check_points(p, err);
}

void sweep_plan_fini(struct sweep_plan *p)
{
    for (size_t i = 0; i < p->axis_count; i++) {
        for (size_t k = 0; k < p->axis[i].count; k++)
            free(p->axis[i].value[k]);
        free(p->axis[i].value);
    }
    for (size_t i = 0; i < p->run_count; i++)
        nw_config_fini(&p->run[i].config);
    free(p->axis);
    free(p->run);
    free(p->trace);
    nw_scenario_fini(&p->scenario);
    *p = (struct sweep_plan){ 0 };
}
