/* sweep_results.c - what a sweep shows: its points beforehand, and the table at the end. */
#include "internal.h"
#include "result_files.h"
#include "sweep.h"
#include "sweep_estimate.h"
#include <math.h>
#include <nestwalk/reports/comparison.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/sweep_table.h>
#include <stdlib.h>

enum { FAILURES_SHOWN = 10 };

/* ---- beforehand ---- */

enum nw_status sweep_list(struct sweep *w, struct nw_error *err)
{
    static const char *const heading[] = { "#", "point", "state" };
    static const bool numeric[] = { true, false, false };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    size_t done = 0, failed = 0;
    for (size_t i = 0; i < w->plan.point_count; i++) {
        const struct sweep_point *p = &w->point[i];
        char number[24], label[64], state[96] = "to run";
        snprintf(number, sizeof number, "%zu", i + 1);
        sweep_point_label(&w->plan, i, label, sizeof label);
        if (p->state == NW_POINT_DONE)
            snprintf(state, sizeof state, "done: run %lld", (long long)p->run);
        else if (p->state == NW_POINT_FAILED)
            snprintf(state, sizeof state, "failed%s: %.60s", p->due ? ", to run again" : "", p->error);
        done += p->state == NW_POINT_DONE;
        failed += p->state == NW_POINT_FAILED && !p->due;
        nw_cli_table_row(t, (const char *const[]){ number, label, state });
    }
    nw_cli_table_print(t, stdout);
    double seconds;
    char duration[64];
    enum nw_status s = sweep_estimate(&w->plan, w->due, w->due_count, w->source, &seconds, err);
    if (s)
        return s;
    unsigned jobs = w->due_count < w->options->jobs ? (unsigned)w->due_count : w->options->jobs;
    sweep_duration_text(jobs ? seconds / jobs : 0, duration, sizeof duration);
    printf("\n%zu points: %zu done, %zu failed, %zu to run", w->plan.point_count, done, failed, w->due_count);
    if (w->due_count)
        printf(", which takes %s with %u job%s", duration, jobs, jobs == 1 ? "" : "s");
    putchar('\n');
    return NW_OK;
}

/* ---- the table ---- */

struct rows {
    struct nw_sweep_row *row;
    const char **value; /* of all rows */
    char (*label)[64];
};

static enum nw_status make_rows(struct sweep *w, struct rows *rows, struct nw_error *err)
{
    size_t n = w->plan.point_count, axes = w->plan.axis_count;
    rows->row = calloc(n, sizeof *rows->row);
    rows->value = calloc(n * axes + 1, sizeof *rows->value);
    rows->label = calloc(n, sizeof *rows->label);
    if (!rows->row || !rows->value || !rows->label)
        return nw_fail_nomem(err, "the table of a sweep");
    for (size_t i = 0; i < n; i++) {
        struct nw_sweep_row *row = &rows->row[i];
        sweep_point_label(&w->plan, i, rows->label[i], sizeof *rows->label);
        for (size_t k = 0; k < axes; k++)
            rows->value[i * axes + k] = sweep_point_value(&w->plan, i, k);
        *row = (struct nw_sweep_row){
            .point = i + 1, .label = rows->label[i], .value = rows->value + i * axes, .error = w->point[i].error
        };
        struct nw_config c;
        enum nw_status s = sweep_point_config(&w->plan, i, &c, err);
        if (s)
            return s;
        row->mode = nw_mode_name[c.mode];
        nw_config_fini(&c);
        struct nw_run run;
        if (row->error)
            continue;
        if ((s = nw_store_load(w->store, w->point[i].run, &run, err)))
            return s;
        nw_sweep_row_take(row, &run);
        nw_run_fini(&run);
    }
    return NW_OK;
}

static void rows_free(struct rows *rows)
{
    free(rows->row);
    free(rows->value);
    free(rows->label);
}

static void print_heading(const struct sweep *w)
{
    char total[32], text[1024];
    const struct nw_config *c = &w->plan.run[0].config;
    nw_format_count(w->accesses, 20, total, sizeof total);
    snprintf(text, sizeof text, "%s: %zu points of %s, %s accesses each, on %s; stored in %s", w->plan.scenario.name,
             w->plan.point_count, w->plan.trace ? w->plan.trace : "no trace", total, c->machine, w->options->db);
    nw_cli_wrap(stdout, text, 0, 0, 100);
    putchar('\n');
}

static void percent_text(double v, char *out, size_t out_size)
{
    if (isnan(v))
        snprintf(out, out_size, "-");
    else
        snprintf(out, out_size, v < 1 ? "%.4f" : "%.2f", v);
}

static enum nw_status print_table(const struct sweep *w, const struct rows *rows, struct nw_error *err)
{
    size_t axes = w->plan.axis_count, columns = axes + 6;
    const char **cell = calloc(columns, sizeof *cell);
    bool *numeric = calloc(columns, sizeof *numeric);
    static const char *const figures[] = { "misses, %", "walks", "cycles", "overhead, %" };
    char text[4][32], number[32];
    if (!cell || !numeric) {
        free(cell);
        free(numeric);
        return nw_fail_nomem(err, "the table of a sweep");
    }
    size_t at = 0;
    numeric[at] = true;
    cell[at++] = "run";
    cell[at++] = "title";
    for (size_t k = 0; k < axes; k++) {
        numeric[at] = w->plan.axis[k].value[0][0] >= '0' && w->plan.axis[k].value[0][0] <= '9';
        cell[at++] = w->plan.axis[k].name;
    }
    for (size_t k = 0; k < NW_ARRAY_LEN(figures); k++) {
        numeric[at] = true;
        cell[at++] = figures[k];
    }
    struct nw_cli_table *t = nw_cli_table_new(cell, numeric, (unsigned)columns);
    for (size_t i = 0; i < w->plan.point_count; i++) {
        const struct nw_sweep_row *r = &rows->row[i];
        if (i && i % w->plan.points_a_run == 0)
            nw_cli_table_rule(t);
        at = 0;
        snprintf(number, sizeof number, "%lld", (long long)r->run);
        cell[at++] = r->error ? "-" : number;
        cell[at++] = sweep_point_run(&w->plan, i)->title;
        for (size_t k = 0; k < axes; k++)
            cell[at++] = r->value[k];
        percent_text(r->miss_percent, text[0], sizeof text[0]);
        nw_format_count(r->walks, 14, text[1], sizeof text[1]);
        nw_format_count(r->cycles, 17, text[2], sizeof text[2]);
        percent_text(r->overhead_percent, text[3], sizeof text[3]);
        for (size_t k = 0; k < NW_ARRAY_LEN(text); k++)
            cell[at++] = !r->error ? text[k] : k ? "-" : "failed";
        nw_cli_table_row(t, cell);
    }
    nw_cli_table_print(t, stdout);
    free(cell);
    free(numeric);
    return NW_OK;
}

static enum nw_status write_tables(const struct sweep *w, const struct rows *rows, struct nw_error *err)
{
    const struct sweep_options *r = w->options;
    const char **path = calloc(w->plan.axis_count + 1, sizeof *path);
    if (!path)
        return nw_fail_nomem(err, "the table of a sweep");
    for (size_t k = 0; k < w->plan.axis_count; k++)
        path[k] = w->plan.axis[k].path;
    const struct nw_sweep_table table = {
        w->plan.scenario.name, w->plan.trace ? w->plan.trace : "", w->sha256, path, w->plan.axis_count, rows->row,
        w->plan.point_count
    };
    enum nw_status s = NW_OK;
    char *text;
    if (r->json && !(s = nw_sweep_json_text(&table, &text, err))) {
        s = nw_report_write(r->json, text, strlen(text), err);
        free(text);
    }
    if (!s && r->csv && !(s = nw_sweep_csv_text(&table, &text, err))) {
        s = nw_report_write(r->csv, text, strlen(text), err);
        free(text);
    }
    free(path);
    return s;
}

enum nw_status sweep_write_results(struct sweep *w, struct nw_error *err)
{
    struct rows rows = { 0 };
    enum nw_status s = make_rows(w, &rows, err);
    if (!s)
        s = write_tables(w, &rows, err);
    if (!s && !nw_cli_is_stdout(w->options->json) && !nw_cli_is_stdout(w->options->csv)) {
        print_heading(w);
        s = print_table(w, &rows, err);
    }
    rows_free(&rows);
    return s;
}

size_t sweep_tell_failures(const struct sweep *w)
{
    size_t failed = 0, earlier = 0;
    for (size_t i = 0; i < w->plan.point_count; i++) {
        if (w->point[i].state != NW_POINT_FAILED)
            continue;
        char label[64];
        sweep_point_label(&w->plan, i, label, sizeof label);
        earlier += !w->point[i].due;
        if (failed++ < FAILURES_SHOWN)
            fprintf(stderr, "nestwalk sweep: point %zu, \"%s\", failed: %s\n", i + 1, label, w->point[i].error);
    }
    if (failed)
        fprintf(stderr,
                "nestwalk sweep: %zu of %zu points failed, %zu of them in an earlier sweep; --retry-failed tries "
                "them again\n",
                failed, w->plan.point_count, earlier);
    return failed;
}
