/* guests_series.c - what of several guests is more than counters: their timelines, working sets, curves, and who took whose frames. See guests.h. */
#include "guests_record.h"
#include <nestwalk/balloon/working_set.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More samples than a picture can show are thinned out, evenly; the last one stays. */
enum { POINTS_MOST = 500 };

static bool add_real(struct nw_run *run, const char *path, const char *unit, const char *doc, double value)
{
    return run_add_metric(
        run, &(struct nw_metric){
                 .path = path, .unit = unit, .doc = doc, .type = NW_METRIC_REAL, .derived = true, .real = value });
}

/* ---- timelines ---- */

static double resident(const struct nw_vms_sample *s) { return (double)s->resident; }
static double shared(const struct nw_vms_sample *s) { return (double)s->shared; }
static double swapped(const struct nw_vms_sample *s) { return (double)s->swapped; }
static double ballooned(const struct nw_vms_sample *s) { return (double)s->ballooned; }
static double target(const struct nw_vms_sample *s) { return (double)s->target; }
static double large(const struct nw_vms_sample *s) { return (double)s->large; }
static double slowdown(const struct nw_vms_sample *s) { return s->slowdown; }

static const struct quantity {
    const char *name, *unit, *doc;
    double (*of)(const struct nw_vms_sample *s);
} quantities[] = {
    { "resident", "pages", "behind frames", resident },
    { "shared", "pages", "of them behind shared frames", shared },
    { "swapped", "pages", "in the host's swap area", swapped },
    { "ballooned", "pages", "in the balloon", ballooned },
    { "target", "pages", "that the policy lets the guest have", target },
    { "large", "groups", "of 2 MiB all of whose pages have frames of their own", large },
    { "slowdown", "", "since the sample before; 0: no accesses", slowdown },
};

static bool add_timeline(struct nw_run *run, const struct nw_vms_result *r, size_t guest, const struct quantity *q)
{
    char path[NW_VMS_NAME + 64];
    const size_t all = r->samples / r->guests, step = (all + POINTS_MOST - 1) / POINTS_MOST;
    snprintf(path, sizeof path, "vm.%s.timeline.%s", r->guest[guest].name, q->name);
    bool ok = run_add_series(run, path, "ns", q->unit, q->doc);
    for (size_t i = 0; ok && i < all; i++) {
        const struct nw_vms_sample *s = &r->sample[i * r->guests + guest];
        if (i % step == 0 || i + 1 == all)
            ok = run_add_point(run, (double)s->time_ns, q->of(s));
    }
    return ok;
}

/* ---- working sets ---- */

static bool add_monitor(struct nw_run *run, const struct nw_vms_result *r, const struct nw_vms_monitor_result *m)
{
    char prefix[NW_VMS_NAME + 64], path[NW_VMS_NAME + 128];
    snprintf(prefix, sizeof prefix, "vm.%s.monitor.%s.", r->guest[m->guest].name, nw_wss_name[m->estimator]);
    bool ok = true;
    for (size_t i = 0; i < nw_vms_monitor_row_count && ok; i++) {
        const struct nw_counter_row *row = &nw_vms_monitor_rows[i];
        snprintf(path, sizeof path, "%s%s", prefix, row->path);
        const uint64_t *value = (const uint64_t *)(const void *)((const char *)&m->counters + row->offset);
        ok = run_add_metric(run,
                            &(struct nw_metric){ .path = path, .unit = row->unit, .doc = row->doc, .count = *value });
    }
    const struct {
        const char *name, *unit, *doc;
        double value;
    } real[] = {
        { "exact_pages", "pages", "used in a window, mean", m->exact_pages },
        { "estimate_pages", "pages", "estimated, mean", m->estimate_pages },
        { "error_percent", "percent", "of the exact working set, mean of the absolute errors", m->error_percent },
        { "bias_percent", "percent", "of the exact working set, mean of the errors", m->bias_percent },
        { "worst_percent", "percent", "of the exact working set, largest absolute error", m->worst_percent },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(real) && ok; i++) {
        snprintf(path, sizeof path, "%s%s", prefix, real[i].name);
        ok = add_real(run, path, real[i].unit, real[i].doc, real[i].value);
    }
    snprintf(path, sizeof path, "%sestimate", prefix);
    ok = ok && run_add_series(run, path, "ns", "pages", "the estimated working set of the window that ends there");
    for (size_t i = 0; i < r->monitor_samples && ok; i++)
        if (r->monitor_sample[i].guest == m->guest && r->monitor_sample[i].estimator == m->estimator)
            ok = run_add_point(run, (double)r->monitor_sample[i].time_ns, r->monitor_sample[i].estimate);
    return ok;
}

static bool add_exact(struct nw_run *run, const struct nw_vms_result *r, uint32_t guest, uint32_t estimator)
{
    char path[NW_VMS_NAME + 64];
    snprintf(path, sizeof path, "vm.%s.monitor.exact", r->guest[guest].name);
    bool ok = run_add_series(run, path, "ns", "pages", "the working set of the window that ends there");
    for (size_t i = 0; i < r->monitor_samples && ok; i++)
        if (r->monitor_sample[i].guest == guest && r->monitor_sample[i].estimator == estimator)
            ok = run_add_point(run, (double)r->monitor_sample[i].time_ns, (double)r->monitor_sample[i].exact);
    return ok;
}

static bool add_curve(struct nw_run *run, const struct nw_vms_guest_result *g)
{
    char path[NW_VMS_NAME + 64];
    if (!g->mrc_points)
        return true;
    snprintf(path, sizeof path, "vm.%s.miss_ratio", g->name);
    bool ok = run_add_series(run, path, "pages", "", "misses an access with so many pages under LRU, estimated");
    for (size_t i = 0; i < g->mrc_points && ok; i++)
        ok = run_add_point(run, (double)g->mrc[i].entries,
                           g->mrc_references ? g->mrc[i].misses / (double)g->mrc_references : 0);
    return ok;
}

/* ---- all guests ---- */

static bool add_moved(struct nw_run *run, const struct nw_vms_result *r, size_t to)
{
    char path[2 * NW_VMS_NAME + 64];
    bool ok = true;
    for (size_t from = 0; from < r->guests && ok; from++) {
        const uint64_t frames = r->moved[to * r->guests + from];
        snprintf(path, sizeof path, "vm.%s.took.%s", r->guest[to].name, r->guest[from].name);
        if (from != to && frames)
            ok = run_add_metric(run, &(struct nw_metric){ .path = path,
                                                          .unit = "frames",
                                                          .doc = "that it got and the other had had last",
                                                          .count = frames });
    }
    return ok;
}

/* Of the frames, those that stood for pages or tables, on average over the samples of the timeline. */
static bool add_totals(struct nw_run *run, const struct nw_vms_result *r)
{
    uint64_t memory = 0;
    double used = 0;
    const size_t all = r->guests ? r->samples / r->guests : 0;
    for (size_t i = 0; i < r->guests; i++)
        memory += r->guest[i].size;
    for (size_t i = 0; i < all; i++)
        used += (double)r->sample[i * r->guests].used_frames / (double)all;
    const double mean = all ? used : (double)(r->frames - r->host.frames_free);
    return run_add_metric(run, &(struct nw_metric){ .path = "guests.memory_pages",
                                                    .unit = "pages",
                                                    .doc = "that all guests believe to have",
                                                    .count = memory }) &&
           add_real(run, "guests.overcommitment", "", "the guests' memory by the host's",
                    r->frames ? (double)memory / (double)r->frames : 0) &&
           add_real(run, "host.used_frames_mean", "frames", "that were not free, on average", mean) &&
           add_real(run, "guests.saved_percent", "percent", "of the guests' memory for which there was no frame",
                    memory ? 100 * (1 - mean / (double)memory) : 0);
}

bool guests_record_more(struct nw_run *run, const struct nw_vms_result *r)
{
    bool ok = add_totals(run, r);
    for (size_t i = 0; i < r->guests && ok; i++) {
        ok = add_moved(run, r, i) && add_curve(run, &r->guest[i]);
        for (size_t q = 0; r->samples && q < NW_ARRAY_LEN(quantities) && ok; q++)
            ok = add_timeline(run, r, i, &quantities[q]);
    }
    for (size_t i = 0; i < r->monitors && ok; i++) {
        if (!i || r->monitor[i].guest != r->monitor[i - 1].guest)
            ok = add_exact(run, r, r->monitor[i].guest, r->monitor[i].estimator);
        ok = ok && add_monitor(run, r, &r->monitor[i]);
    }
    return ok;
}
