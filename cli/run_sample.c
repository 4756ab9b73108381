/* run_sample.c - `nestwalk run --sample`: windows of a trace, and every figure with its interval. */
#include "run_sample.h"
#include "cli.h"
#include "internal.h"
#include "result_files.h"
#include <inttypes.h>
#include <math.h>
#include <nestwalk/reports/comparison.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/sample.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

static enum nw_status parse_options(const struct nw_cli_sample *r, const struct nw_config *c,
                                    struct nw_sample_options *o, struct nw_error *err)
{
    nw_sample_defaults(c, o);
    bool whole = nw_cli_parse_u64(r->sample, &o->windows);
    if (!whole)
        o->windows = 0;
    if (whole ? o->windows < NW_SAMPLE_WINDOWS_MIN || o->windows > NW_SAMPLE_WINDOWS_MAX
              : !nw_cli_parse_double(r->sample, &o->fraction) || !(o->fraction > 0 && o->fraction < 1))
        return nw_fail(err, NW_ERR_USAGE,
                       "--sample %s: expected %d to %d windows, or a fraction of the trace above 0 and below 1",
                       r->sample, NW_SAMPLE_WINDOWS_MIN, NW_SAMPLE_WINDOWS_MAX);
    if (r->window && (!nw_cli_parse_u64(r->window, &o->window_accesses) || !o->window_accesses ||
                      o->window_accesses > NW_SAMPLE_ACCESSES_MAX))
        return nw_fail(err, NW_ERR_USAGE, "--sample-window %s: expected 1 to %" PRIu64 " accesses", r->window,
                       NW_SAMPLE_ACCESSES_MAX);
    if (r->warm && (!nw_cli_parse_u64(r->warm, &o->warm_accesses) || o->warm_accesses > NW_SAMPLE_ACCESSES_MAX))
        return nw_fail(err, NW_ERR_USAGE, "--sample-warm %s: expected 0 to %" PRIu64 " accesses", r->warm,
                       NW_SAMPLE_ACCESSES_MAX);
    return NW_OK;
}

static enum nw_status sample_one(struct nw_source *source, const struct nw_cli_sample *request,
                                 const struct nw_config *config, struct nw_sample_result *out, struct nw_error *err)
{
    struct nw_cli_progress progress;
    struct nw_replay_hooks hooks = { nw_cli_progress_step, &progress };
    struct nw_sample_options options;
    enum nw_status s = parse_options(request, config, &options, err);
    if (s)
        return s;
    nw_cli_progress_start(&progress, config->label, "accesses");
    s = nw_sample(source, config, &options, &hooks, out, err);
    nw_cli_progress_finish(&progress);
    return s;
}

/* ---- the table ---- */

/* Counts and cycles are whole; a percentage has one decimal. */
static void number_text(const struct nw_sample_figure *f, double value, char *out, size_t size)
{
    if (!strcmp(f->unit, "percent"))
        snprintf(out, size, "%.2f", value);
    else
        nw_format_count((uint64_t)(value + 0.5), 20, out, size);
}

static void print_run(const struct nw_cli_sample *request, const struct nw_sample_result *r)
{
    static const char *const heading[] = { "figure", "estimate", "±", "low", "high", "unit" };
    static const bool numeric[] = { false, true, true, true, true, false };
    char total[32], measured[32], replayed[32], text[1024];
    nw_format_count(r->accesses.total, 20, total, sizeof total);
    nw_format_count(r->measured_accesses, 20, measured, sizeof measured);
    nw_format_count(r->replayed_accesses, 20, replayed, sizeof replayed);
    int n = snprintf(text, sizeof text, "%s: %s of %s accesses, %s on %s, fidelity %s, seed %" PRIu64 ". ",
                     r->config.label, request->trace, total, nw_mode_name[r->config.mode], r->config.machine,
                     nw_fidelity_name[r->config.fidelity], r->config.seed);
    if (r->windows)
        snprintf(text + n, sizeof text - (size_t)n,
                 "SAMPLED: %s accesses measured (the beginning, and %" PRIu64 " windows of %" PRIu64
                 ", each after %" PRIu64
                 " to warm), %s replayed. Every figure is an estimate; low and high are the ends "
                 "of its 95 %% interval.",
                 measured, r->windows, r->window_accesses, r->warm_accesses, replayed);
    else
        snprintf(
            text + n, sizeof text - (size_t)n,
            "The windows and their warming are no less than the trace: all of it was measured, and every figure is "
            "exact.");
    nw_cli_wrap(stdout, text, 0, 0, 100);
    putchar('\n');
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (size_t i = 0; i < r->figure_count; i++) {
        const struct nw_sample_figure *f = &r->figure[i];
        char cell[4][40];
        number_text(f, f->estimate, cell[0], sizeof cell[0]);
        number_text(f, fmax(f->high - f->estimate, f->estimate - f->low), cell[1], sizeof cell[1]);
        number_text(f, f->low, cell[2], sizeof cell[2]);
        number_text(f, f->high, cell[3], sizeof cell[3]);
        nw_cli_table_row(t, (const char *const[]){ f->path, cell[0], cell[1], cell[2], cell[3], f->unit });
    }
    nw_cli_table_print(t, stdout);
}

static enum nw_status write_text(enum nw_status (*make)(const struct nw_sample_report *, char **, struct nw_error *),
                                 const struct nw_sample_report *report, const char *path, struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = make(report, &text, err);
    return s ? s : nw_cli_write_text(text, path, err);
}

enum nw_status nw_cli_run_sample(const struct nw_cli_sample *request, struct nw_error *err)
{
    struct nw_sample_result *result = calloc(request->count, sizeof *result);
    struct nw_source *source = NULL;
    char sha256[65];
    size_t done = 0;
    if (!result)
        return nw_fail_nomem(err, "the results");
    nw_cli_catch_interrupts();
    enum nw_status s = nw_nwt_open(&source, request->trace, err);
    if (!s)
        s = nw_file_sha256(request->trace, sha256, err);
    for (; done < request->count && !s; done += !s)
        s = sample_one(source, request, &request->config[done], &result[done], err);
    const struct nw_sample_report report = { request->trace, sha256, result, request->count };
    if (!s && request->json)
        s = write_text(nw_sample_json_text, &report, request->json, err);
    if (!s && request->csv)
        s = write_text(nw_sample_csv_text, &report, request->csv, err);
    bool shown = (request->json && !strcmp(request->json, "-")) || (request->csv && !strcmp(request->csv, "-"));
    for (size_t i = 0; i < done && !s && !shown; i++) {
        if (i)
            putchar('\n');
        print_run(request, &result[i]);
    }
    for (size_t i = 0; i < done; i++)
        nw_sample_result_fini(&result[i]);
    free(result);
    nw_source_destroy(source);
    return s;
}
