/* vms_check.c - what the values of a configuration may not be together. A refusal says where they were set. */
#include "vms_config.h"
#include <inttypes.h>
#include <nestwalk/balloon/working_set.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <string.h>

struct check {
    const struct nw_vms_config *c;
    struct nw_error *err;
};

/* `paths`: those that do not go together, apart by blanks; "vm.%" is the guest's. */
static enum nw_status refuse(const struct check *k, const char *guest, const char *paths, const char *format, ...)
    NW_PRINTF(4, 5);
static enum nw_status refuse(const struct check *k, const char *guest, const char *paths, const char *format, ...)
{
    char text[512], set[512] = "";
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (size_t length; *paths; paths += length + (paths[length] == ' ')) {
        char path[192];
        length = strcspn(paths, " ");
        if (!strncmp(paths, "vm.%", 4))
            snprintf(path, sizeof path, "vm.%s%.*s", guest, (int)length - 4, paths + 4);
        else
            snprintf(path, sizeof path, "%.*s", (int)length, paths);
        const char *source = vms_config_source(k->c, path);
        const size_t used = strlen(set);
        if (strcmp(source, "default") != 0)
            snprintf(set + used, sizeof set - used, "%s%s: %s", used ? ", " : "", path, source);
    }
    return nw_fail(k->err, NW_ERR_USAGE, "%s%s%s%s", text, set[0] ? " (" : "", set, set[0] ? ")" : "");
}

static double mib(uint64_t bytes) { return (double)bytes / 0x1p20; }

/* ---- whole pages ---- */

static enum nw_status check_pages(const struct check *k, const char *guest, const char *path, uint64_t bytes)
{
    if (bytes % NW_PAGE_BYTES == 0)
        return NW_OK;
    const bool of_guest = !strncmp(path, "vm.%", 4);
    return refuse(k, guest, path, "%s%s%s is %" PRIu64 " bytes, which is no multiple of a page, %d; %" PRIu64 " is",
                  of_guest ? "vm." : "", of_guest ? guest : "", of_guest ? path + 4 : path, bytes, (int)NW_PAGE_BYTES,
                  nw_align_up(bytes, NW_PAGE_BYTES));
}

static enum nw_status check_guest_pages(const struct check *k, const struct nw_vms_guest *g)
{
    const struct {
        const char *path;
        uint64_t bytes;
    } sizes[] = {
        { "vm.%.memory", g->memory },   { "vm.%.min", g->min },       { "vm.%.max", g->max },
        { "vm.%.swap", g->swap },       { "vm.%.pinned", g->pinned }, { "vm.%.hypervisor", g->hypervisor },
        { "vm.%.balloon", g->balloon },
    };
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !s; i++)
        s = check_pages(k, g->name, sizes[i].path, sizes[i].bytes);
    return s;
}

/* ---- a guest ---- */

static enum nw_status check_works(const struct check *k, const struct nw_vms_guest *g)
{
    for (size_t i = 0; i < g->works; i++) {
        char paths[96];
        snprintf(paths, sizeof paths, "vm.%%.work.%zu.trace vm.%%.work.%zu.generate", i, i);
        if (!g->work[i].trace[0] == !g->work[i].generate)
            return refuse(k, g->name, paths, "vm.%s.work.%zu: %s", g->name, i,
                          g->work[i].generate ? "trace and generate are both given; give one"
                                              : "there is neither a trace nor generate");
        const uint64_t of = g->work[i].memory_of;
        snprintf(paths, sizeof paths, "vm.%%.work.%zu.memory_of", i);
        if (of > i || (of && g->work[of - 1].memory_of))
            return refuse(k, g->name, paths,
                          "vm.%s.work.%zu.memory_of is %" PRIu64
                          "; allowed are 0 and the number, from 1, of an earlier work that has memory of its own",
                          g->name, i, of);
    }
    return NW_OK;
}

static enum nw_status check_guest(const struct check *k, const struct nw_vms_guest *g)
{
    const struct nw_vms_config *c = k->c;
    const uint64_t max = g->max ? g->max : g->memory;
    const char *n = g->name;
    const uint64_t kernel = (uint64_t)(g->kernel * (double)g->memory);
    enum nw_status s = check_guest_pages(k, g);
    if (s)
        return s;
    if (max > g->memory)
        return refuse(k, n, "vm.%.max vm.%.memory", "vm.%s.max is %.1f MiB, more than vm.%s.memory, %.1f MiB", n,
                      mib(max), n, mib(g->memory));
    if (g->min > max)
        return refuse(k, n, "vm.%.min vm.%.max vm.%.memory",
                      "vm.%s.min, a reservation of %.1f MiB, is more than it may have, %.1f MiB", n, mib(g->min),
                      mib(max));
    if (g->balloon + kernel >= g->memory)
        return refuse(k, n, "vm.%.balloon vm.%.memory vm.%.kernel",
                      "vm.%s.balloon is %.1f MiB; the guest has %.1f MiB and its kernel keeps %.1f of them", n,
                      mib(g->balloon), mib(g->memory), mib(kernel));
    if (g->balloon && c->balloon.policy)
        return refuse(k, n, "vm.%.balloon balloon.policy",
                      "vm.%s.balloon and balloon.policy both say how large its balloon is", n);
    if (g->balloon + g->min > g->memory)
        return refuse(
            k, n, "vm.%.balloon vm.%.min vm.%.memory",
            "vm.%s.balloon, %.1f MiB, leaves the guest %.1f MiB, less than its reservation vm.%s.min, %.1f MiB", n,
            mib(g->balloon), mib(g->memory - g->balloon), n, mib(g->min));
    if (g->pinned + kernel + g->balloon > g->memory)
        return refuse(k, n, "vm.%.pinned vm.%.memory vm.%.kernel vm.%.balloon",
                      "vm.%s.pinned is %.1f MiB, more than the guest has beside its kernel%s, %.1f MiB", n,
                      mib(g->pinned), g->balloon ? " and balloon" : "", mib(g->memory - kernel - g->balloon));
    if (g->max && g->max < g->memory && c->swap.scope != NW_VMS_SCOPE_VM && !c->balloon.policy)
        return refuse(k, n, "vm.%.max",
                      "vm.%s.max needs something that holds the guest to it: swap.scope=vm or a balloon.policy", n);
    if (c->host.fidelity == NW_VMS_FIDELITY_WALK && g->memory > NW_BIT(39))
        return refuse(k, n, "vm.%.memory host.fidelity",
                      "vm.%s.memory is %.1f GiB; with host.fidelity=walk at most 512 GiB are allowed: what one table "
                      "below the root of the second stage covers",
                      n, mib(g->memory) / 1024);
    if (g->zero + g->common > 1)
        return refuse(k, n, "vm.%.zero vm.%.common",
                      "vm.%s.zero and vm.%s.common are shares of the same pages; together %g is more than 1", n, n,
                      g->zero + g->common);
    return check_works(k, g);
}

/* ---- guests together ---- */

/* A guest that is called as one of several of another kind is: "a-1", when there are two of "a". */
static enum nw_status check_names(const struct check *k)
{
    for (size_t i = 0; i < k->c->guests; i++) {
        const struct nw_vms_guest *many = &k->c->guest[i];
        for (uint64_t n = 0; many->count > 1 && n < many->count; n++) {
            char name[NW_VMS_NAME + 24];
            snprintf(name, sizeof name, "%s-%" PRIu64, many->name, n);
            for (size_t j = 0; j < k->c->guests; j++)
                if (k->c->guest[j].count == 1 && !strcmp(k->c->guest[j].name, name))
                    return refuse(k, many->name, "vm.%.count",
                                  "guest \"%s\" has the name of one of the %" PRIu64 " of \"%s\"; allowed is any other",
                                  name, many->count, many->name);
        }
    }
    return NW_OK;
}

static enum nw_status check_guests(const struct check *k, double usable)
{
    const struct nw_vms_config *c = k->c;
    uint64_t guests = 0, least = 0, pinned = 0, memory = 0;
    for (size_t i = 0; i < c->guests; i++)
        guests += c->guest[i].count;
    if (!guests)
        return refuse(k, "", "", "there is no guest: at least one is needed");
    if (guests > NW_VMS_GUESTS_MAX)
        return refuse(k, "", "", "there are %" PRIu64 " guests; at most %d are allowed", guests, NW_VMS_GUESTS_MAX);
    enum nw_status s = check_names(k);
    for (size_t i = 0; i < c->guests && !s; i++) {
        const struct nw_vms_guest *g = &c->guest[i];
        s = check_guest(k, g);
        least += g->count * g->min;
        pinned += g->count * g->pinned;
        memory += g->count * g->memory;
    }
    if (s)
        return s;
    if ((double)least > usable)
        return refuse(k, "", "host.memory host.high",
                      "reservations (vm.*.min) are %.1f MiB together; host.memory leaves %.1f MiB for them", mib(least),
                      usable / 0x1p20);
    if ((double)pinned > usable)
        return refuse(k, "", "host.memory host.high",
                      "pinned memory (vm.*.pinned) is %.1f MiB together; host.memory leaves %.1f MiB for it",
                      mib(pinned), usable / 0x1p20);
    /* Whatever the guests do: what does not fit has to be somewhere. Balloons may not come in time, sharing may find nothing. */
    if ((double)memory > usable + (double)c->swap.size && !c->balloon.policy && !c->sharing.kind)
        return refuse(
            k, "", "host.memory swap.size",
            "guests have %.1f MiB, host.memory and swap.size %.1f MiB together, and nothing else gives memory back; "
            "swap.size=%.0fM would do",
            mib(memory), usable / 0x1p20 + mib(c->swap.size), (double)memory / 0x1p20 - usable / 0x1p20 + 1);
    return NW_OK;
}

enum nw_status nw_vms_config_check(const struct nw_vms_config *c, struct nw_error *err)
{
    const struct check k = { c, err };
    enum nw_status s = check_pages(&k, "", "host.memory", c->host.memory);
    if (!s)
        s = check_pages(&k, "", "swap.size", c->swap.size);
    if (s)
        return s;
    if (c->host.low > c->host.high)
        return refuse(&k, "", "host.low host.high", "host.low is %g, more than host.high, %g", c->host.low,
                      c->host.high);
    if (c->host.collapse_pages && !c->host.backing)
        return refuse(&k, "", "host.collapse_pages host.backing",
                      "host.collapse_pages: khugepaged has nothing to put together with host.backing=4K; 2M is what it "
                      "needs");
    if (c->balloon.low > c->balloon.high)
        return refuse(&k, "", "balloon.low balloon.high", "balloon.low is %g, more than balloon.high, %g",
                      c->balloon.low, c->balloon.high);
    if (c->monitor.min_regions > c->monitor.max_regions)
        return refuse(&k, "", "monitor.min_regions monitor.max_regions",
                      "monitor.min_regions is %" PRIu64 ", more than monitor.max_regions, %" PRIu64,
                      c->monitor.min_regions, c->monitor.max_regions);
    if (c->balloon.estimator >= NW_VMS_ESTIMATOR_MONITORS && c->balloon.estimator < NW_VMS_ESTIMATOR_EXACT &&
        !c->monitor.on[c->balloon.estimator - NW_VMS_ESTIMATOR_MONITORS]) {
        const char *name = nw_wss_name[c->balloon.estimator - NW_VMS_ESTIMATOR_MONITORS];
        return refuse(&k, "", "balloon.estimator", "balloon.estimator=%s needs the monitor to be on: monitor.%s=1",
                      name, name);
    }
    return check_guests(&k, (1 - c->host.high) * (double)c->host.memory);
}

/* ---- traces ---- */

static enum nw_status check_trace(const char *path, struct nw_error *err)
{
    struct nw_source *source;
    enum nw_status s = nw_nwt_open(&source, path, err);
    if (s)
        return s;
    if (!nw_source_access_total(source))
        s = nw_fail(err, NW_ERR_INPUT, "%s: no accesses of a processor, only events: nothing that a guest could do",
                    path);
    nw_source_destroy(source);
    return s;
}

enum nw_status nw_vms_check_traces(const struct nw_vms_config *c, struct nw_error *err)
{
    for (size_t i = 0; i < c->guests; i++)
        for (size_t w = 0; w < c->guest[i].works; w++) {
            enum nw_status s = c->guest[i].work[w].trace[0] ? check_trace(c->guest[i].work[w].trace, err) : NW_OK;
            if (!s)
                continue;
            char path[128];
            snprintf(path, sizeof path, "vm.%s.work.%zu.trace", c->guest[i].name, w);
            nw_error_context(err, "%s (%s)", path, vms_config_source(c, path));
            return s;
        }
    return NW_OK;
}
