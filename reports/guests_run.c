/* guests_run.c - a result of several guests as names and values. See guests.h. */
#include "guests_record.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct collect {
    struct nw_run *run;
    bool failed, sums; /* sums: of all guests, whose accesses have the path that other runs give theirs */
};

static void collect_metric(void *context, const struct nw_metric *m)
{
    struct collect *c = context;
    struct nw_metric named = *m;
    if (c->sums && !strcmp(m->path, "accesses"))
        named.path = "accesses.total";
    else if (c->sums && !strcmp(m->path, "stores"))
        named.path = "accesses.store";
    c->failed = c->failed || !run_add_metric(c->run, &named);
}

static void collect_parameter(void *context, const char *path, const char *value, const char *source,
                              const struct nw_param *param)
{
    struct collect *c = context;
    c->failed = c->failed || !run_add_parameter(c->run, path, value, param->unit ? param->unit : "", source);
}

static void add(struct collect *c, const char *prefix, const char *path, const char *unit, const char *doc, bool real,
                double value)
{
    char whole[160];
    snprintf(whole, sizeof whole, "%s%s", prefix, path);
    struct nw_metric m = { .path = whole,
                           .unit = unit,
                           .doc = doc,
                           .type = real ? NW_METRIC_REAL : NW_METRIC_COUNT,
                           .derived = real,
                           .count = real ? 0 : (uint64_t)value,
                           .real = real ? value : 0 };
    c->failed = c->failed || !run_add_metric(c->run, &m);
}

static struct nw_vms_guest_counters sum_of(const struct nw_vms_result *r)
{
    struct nw_vms_guest_counters sum = { 0 };
    for (size_t g = 0; g < r->guests; g++)
        for (size_t i = 0; i < nw_vms_guest_row_count; i++) {
            const size_t at = nw_vms_guest_rows[i].offset;
            *(uint64_t *)(void *)((char *)&sum + at) +=
                *(const uint64_t *)(const void *)((const char *)&r->guest[g].counters + at);
        }
    return sum;
}

/* What a guest that times its stores sees: the two differ by a fault and a copy. */
static void collect_stores(struct collect *c, const char *prefix, const struct nw_vms_guest_counters *n,
                           double alone_ns)
{
    const double own = n->accesses ? alone_ns / (double)n->accesses : 0;
    if (!n->breaks)
        return;
    add(c, prefix, "sharing.store_own_ns", "ns", "a store to a page of one's own that is there, on average", true, own);
    add(c, prefix, "sharing.store_shared_ns", "ns", "a store to a shared page, on average", true,
        own + (double)n->break_ns / (double)n->breaks);
}

static void collect_guest(struct collect *c, const struct nw_vms_guest_result *g)
{
    char prefix[NW_VMS_NAME + 16];
    snprintf(prefix, sizeof prefix, "vm.%s.", g->name);
    const uint64_t time = g->ended_ns - g->started_ns;
    nw_counters_visit(nw_vms_guest_rows, nw_vms_guest_row_count, &g->counters, prefix, collect_metric, c);
    collect_stores(c, prefix, &g->counters, (double)g->alone_ns);
    add(c, prefix, "memory_pages", "pages", "what it believes to have", false, (double)g->size);
    add(c, prefix, "time.total_ns", "ns", "from its start to its end, simulated", false, (double)time);
    add(c, prefix, "finished", "", "1: it came to the end of its works", false, g->state == NW_VMS_FINISHED);
    add(c, prefix, "slowdown", "", "its time by that of the same accesses with enough memory and a core of its own",
        true, g->slowdown);
    add(c, prefix, "accesses_per_second", "accesses per second", "simulated", true,
        time ? 1e9 * (double)g->counters.accesses / (double)time : 0);
}

static void collect_totals(struct collect *c, const struct nw_vms_result *r)
{
    double slowdowns = 0, worst = 0;
    uint64_t finished = 0, out_of_memory = 0, with = 0;
    for (size_t i = 0; i < r->guests; i++) {
        const struct nw_vms_guest_result *g = &r->guest[i];
        finished += g->state == NW_VMS_FINISHED;
        out_of_memory += g->state == NW_VMS_OUT_OF_MEMORY || g->state == NW_VMS_KILLED;
        with += g->slowdown > 0;
        slowdowns += g->slowdown;
        worst = g->slowdown > worst ? g->slowdown : worst;
    }
    add(c, "", "host.time_ns", "ns", "until the last guest had ended, simulated", false, (double)r->time_ns);
    add(c, "", "host.frames", "frames", "of 4 KiB", false, (double)r->frames);
    add(c, "", "guests.count", "guests", "on the host", false, (double)r->guests);
    add(c, "", "guests.finished", "guests", "that came to the end of their works", false, (double)finished);
    add(c, "", "guests.out_of_memory", "guests", "that ran out of memory, or were ended because the host had", false,
        (double)out_of_memory);
    add(c, "", "guests.slowdown_mean", "", "of the guests that had accesses", true,
        with ? slowdowns / (double)with : 0);
    add(c, "", "guests.slowdown_worst", "", "of all guests", true, worst);
}

static bool add_event(struct nw_run *run, const struct nw_vms_event *e)
{
    struct nw_run_event *more = reallocarray(run->event, run->event_count + 1, sizeof *more);
    if (!more)
        return false;
    run->event = more;
    more[run->event_count] = (struct nw_run_event){ e->time_ns, utf8_dup(e->text) };
    return more[run->event_count++].text != NULL;
}

enum nw_status nw_run_from_guests(const struct nw_vms_config *config, const struct nw_vms_result *result,
                                  struct nw_run *out, struct nw_error *err)
{
    struct nw_run run = { 0 };
    snprintf(run.version, sizeof run.version, "%s", NESTWALK_VERSION);
    utf8_copy(run.scenario, sizeof run.scenario, config->name);
    utf8_copy(run.label, sizeof run.label, config->label);
    snprintf(run.mode, sizeof run.mode, "guests");
    snprintf(run.engine, sizeof run.engine, "pages");
    run.seed = config->seed;
    const struct nw_vms_guest_counters sum = sum_of(result);
    run.seconds = result->seconds;
    run.accesses_per_second = result->seconds > 0 ? (double)sum.accesses / result->seconds : 0;

    struct collect c = { .run = &run, .sums = true };
    nw_counters_visit(nw_vms_guest_rows, nw_vms_guest_row_count, &sum, "", collect_metric, &c);
    c.sums = false;
    double alone_ns = 0;
    for (size_t i = 0; i < result->guests; i++)
        alone_ns += (double)result->guest[i].alone_ns;
    collect_stores(&c, "", &sum, alone_ns);
    collect_totals(&c, result);
    nw_counters_visit(nw_vms_host_rows, nw_vms_host_row_count, &result->host, "", collect_metric, &c);
    for (size_t i = 0; i < result->guests; i++)
        collect_guest(&c, &result->guest[i]);
    c.failed = c.failed || !guests_record_more(&run, result);
    nw_vms_config_visit(config, collect_parameter, &c);
    for (size_t i = 0; i < result->events; i++)
        c.failed = c.failed || !add_event(&run, &result->event[i]);
    if (c.failed) {
        nw_run_fini(&run);
        return nw_fail_nomem(err, "the record of a run");
    }
    *out = run;
    return NW_OK;
}
