/* cmd_capture.c - `nestwalk capture`: a memory trace from a live KVM guest. */
#include "capture_working_set.h"
#include "trace_common.h"
#include <inttypes.h>
#include <nestwalk/traces/capture.h>
#include <string.h>

enum {
    OPT_WORKLOAD,
    OPT_SIZE,
    OPT_OPERATIONS,
    OPT_SEED,
    OPT_INSTRUCTIONS,
    OPT_PAGES,
    OPT_VIA,
    OPT_TIMEOUT,
    OPT_PID,
    OPT_INTERVAL,
    OPT_INTERVALS,
    OPT_RANGE,
    OPT_HASH_PAGES,
    OPT_OUT,
    OPT_LIST,
    OPT_JSON
};
static const struct nw_option options[] = {
    [OPT_WORKLOAD] = { "workload", 'w', "NAME", "What the guest runs; --list shows what there is." },
    [OPT_SIZE] = { "size", 0, "BYTES", "The workload's data, roughly; default as --list says." },
    [OPT_OPERATIONS] = { "operations", 0, "N", "How much it does in the traced region; default as --list says." },
    [OPT_SEED] = { "seed", 0, "N", "Of the workload's random numbers; same seed, same accesses; default 42." },
    [OPT_INSTRUCTIONS] = { "instructions", 'n', "MAX",
                           "Trace at most so many guest instructions (with K, M: powers of 1024; 0: all); default "
                           "1000000." },
    [OPT_PAGES] = { "pages", 0, "4K|2M", "The guest's pages for the workload's memory; default 4K." },
    [OPT_VIA] = { "via", 0, "step|tracepoints|dirty-ring|dirty-log|clear-refs|idle",
                  "How: single-stepping (default), that plus KVM's own guest walks from its tracepoints, or, for "
                  "working sets: KVM's dirty ring or dirty log, /proc/PID/clear_refs, idle page tracking." },
    [OPT_TIMEOUT] = { "timeout", 0, "SECONDS",
                      "Of the whole capture; the trace then ends where it is; default 120, 0: none." },
    [OPT_PID] = { "pid", 'p', "PID", "The process whose working set is recorded, with clear-refs and idle." },
    [OPT_INTERVAL] = { "interval", 0, "SECONDS", "Of a working set, 0.01 to 3600; default 1." },
    [OPT_INTERVALS] = { "intervals", 0, "N", "So many of them; default 0: until the workload or the process ends." },
    [OPT_RANGE] = { "range", 0, "largest|all|START-END",
                    "Which of the process's memory: its largest writable mapping (default), all writable ones, or an "
                    "address range in hexadecimal." },
    [OPT_HASH_PAGES] = { "hash-pages", 0, NULL,
                         "What pages hold as well, as a hash and as the size that zstd makes of it." },
    [OPT_OUT] = { "output", 'o', "OUT.nwt", "The trace to write." },
    [OPT_LIST] = { "list", 0, NULL, "Show the workloads and their defaults." },
    [OPT_JSON] = { "json", 0, NULL, "Print what was captured (or the list) as JSON." },
    { 0 },
};

static int list(bool json)
{
    struct nw_capture_workload w;
    if (json) {
        printf("{ \"workloads\": [");
        for (size_t i = 0; nw_capture_workload(i, &w); i++) {
            printf("%s\n  { \"name\": ", i ? "," : "");
            nw_cli_json_string(stdout, w.name);
            printf(", \"doc\": ");
            nw_cli_json_string(stdout, w.doc);
            printf(", \"operation\": ");
            nw_cli_json_string(stdout, w.operation);
            printf(", \"default_operations\": %" PRIu64 ", \"default_bytes\": %" PRIu64 ", \"min_bytes\": %" PRIu64
                   " }",
                   w.default_operations, w.default_size, w.min_size);
        }
        printf(" ] }\n");
        return 0;
    }
    for (size_t i = 0; nw_capture_workload(i, &w); i++)
        printf("%-10s %s\n           --size %" PRIu64 "K (at least %" PRIu64 "K), --operations %" PRIu64 ": %s\n",
               w.name, w.doc, w.default_size >> 10, w.min_size >> 10, w.default_operations, w.operation);
    return 0;
}

struct shown {
    struct nw_cli_progress progress;
    const char *stage;
};

static bool show(void *context, const struct nw_capture_progress *p)
{
    struct shown *shown = context;
    if (shown->stage != p->stage) {
        if (shown->stage)
            nw_cli_progress_finish(&shown->progress);
        nw_cli_progress_start(&shown->progress, p->stage, "instructions");
        shown->stage = p->stage;
    }
    nw_cli_progress_update(&shown->progress, p->instructions, p->instructions_max);
    return !nw_cli_interrupted();
}

static const char *const end_name[] = { [NW_CAPTURE_COMPLETE] = "complete",
                                        [NW_CAPTURE_LIMIT] = "limit",
                                        [NW_CAPTURE_TIMEOUT] = "timeout",
                                        [NW_CAPTURE_STOPPED] = "stopped" };
static const char *const end_text[] = { [NW_CAPTURE_COMPLETE] = "the whole region of interest",
                                        [NW_CAPTURE_LIMIT] = "cut at the number of instructions asked for",
                                        [NW_CAPTURE_TIMEOUT] = "cut by the timeout",
                                        [NW_CAPTURE_STOPPED] = "cut by the interruption" };

static void print_json(const char *out, const struct nw_capture_result *r)
{
    printf("{ \"trace\": ");
    nw_cli_json_string(stdout, out);
    printf(", \"end\": \"%s\", \"instructions\": %" PRIu64 ", \"accesses\": { \"total\": %" PRIu64
           ", \"fetch\": %" PRIu64 ", \"load\": %" PRIu64 ", \"store\": %" PRIu64
           " },\n  \"events\": { \"page_fault\": %" PRIu64 ", \"cr_write\": %" PRIu64 ", \"invlpg\": %" PRIu64
           ", \"table_write\": %" PRIu64 ", \"table_page\": %" PRIu64 ", \"guest_walk\": %" PRIu64
           ", \"page_content\": %" PRIu64 " },\n  \"guest_walk_entries\": %" PRIu64 ", \"walks_unmatched\": %" PRIu64
           ", \"access_digest\": \"%016" PRIx64 "\", \"checksum_verified\": %s, \"kvm_backend\": ",
           end_name[r->end], r->instructions, r->fetches + r->loads + r->stores, r->fetches, r->loads, r->stores,
           r->page_faults, r->cr_writes, r->invlpgs, r->table_writes, r->table_pages, r->guest_walks, r->page_contents,
           r->guest_walk_entries, r->walks_unmatched, r->access_digest, r->checksum_verified ? "true" : "false");
    nw_cli_json_string(stdout, r->kvm_backend);
    printf(", \"seconds\": %.3f }\n", r->seconds);
}

static void print_text(const char *out, const struct nw_capture_result *r)
{
    printf("%s: %" PRIu64 " guest instructions, %" PRIu64 " accesses (%" PRIu64 " fetches, %" PRIu64 " loads, %" PRIu64
           " stores)\n",
           out, r->instructions, r->fetches + r->loads + r->stores, r->fetches, r->loads, r->stores);
    printf("  %" PRIu64 " page faults, %" PRIu64 " control-register writes, %" PRIu64 " INVLPG, %" PRIu64
           " page-table writes, %" PRIu64 " new page-table pages\n",
           r->page_faults, r->cr_writes, r->invlpgs, r->table_writes, r->table_pages);
    if (r->guest_walks)
        printf("  %" PRIu64 " guest walks by KVM with %" PRIu64 " entries; %" PRIu64
               " of them for no access of the guest\n",
               r->guest_walks, r->guest_walk_entries, r->walks_unmatched);
    if (r->page_contents)
        printf("  what %" PRIu64 " pages hold that are not zeros\n", r->page_contents);
    printf("  %s; result %s; KVM backend %s; %.1f s\n", end_text[r->end],
           r->checksum_verified ? "equals the host's" : "not checked: the guest did not run to its end", r->kvm_backend,
           r->seconds);
}

static int capture(const struct nw_command *self, struct nw_capture_options *o, bool json)
{
    struct nw_error err = { 0 };
    struct nw_capture_result r;
    struct shown shown = { 0 };
    nw_cli_catch_interrupts();
    o->progress = show;
    o->context = &shown;
    enum nw_status s = nw_capture_run(o, &r, &err);
    if (shown.stage)
        nw_cli_progress_finish(&shown.progress);
    if (s)
        return nw_cli_fail(self, s, &err);
    (json ? print_json : print_text)(o->path, &r);
    if (r.end != NW_CAPTURE_STOPPED)
        return 0;
    s = nw_fail(&err, NW_ERR_INTERRUPTED, "interrupted; the trace is whole and holds what was captured until then");
    return nw_cli_fail(self, s, &err);
}

static const char *const via_names[] = { "step", "tracepoints", "dirty-ring", "dirty-log", "clear-refs", "idle" };
enum { WORKING_SET_VIAS = 2 }; /* from here on */

struct request {
    struct nw_capture_options guest;
    struct nw_working_set_options set;
    size_t via;
    bool json, list;
};

/* Takes a number; false when it is none. */
static bool take(struct request *r, int option, const char *value)
{
    struct nw_capture_options *o = &r->guest;
    switch (option) {
    case OPT_PID: return nw_cli_parse_u64(value, &r->set.pid) && r->set.pid;
    case OPT_INTERVALS: return nw_cli_parse_u64(value, &r->set.intervals);
    case OPT_INTERVAL:
        return nw_cli_parse_double(value, &r->set.interval_seconds) && r->set.interval_seconds >= 0.01 &&
               r->set.interval_seconds <= 3600;
    case OPT_SIZE: return nw_cli_parse_u64(value, &o->size) && o->size; /* 0 stands for the default */
    case OPT_OPERATIONS: return nw_cli_parse_u64(value, &o->operations);
    case OPT_SEED: return nw_cli_parse_u64(value, &o->seed);
    case OPT_INSTRUCTIONS: return nw_cli_parse_u64(value, &o->instructions_max);
    default: return nw_cli_parse_double(value, &o->timeout_seconds) && o->timeout_seconds >= 0;
    }
}

static bool take_via(struct request *r, const char *value)
{
    for (size_t i = 0; i < sizeof via_names / sizeof *via_names; i++)
        if (!strcmp(value, via_names[i])) {
            r->via = i;
            return true;
        }
    return false;
}

/* Negative: go on. */
static int parse(const struct nw_command *self, struct nw_cli_parser *parser, struct request *r)
{
    const char *value;
    int option;
    while ((option = nw_cli_next(parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser->exit_status;
        case OPT_WORKLOAD: r->guest.workload = value; break;
        case OPT_OUT: r->guest.path = r->set.path = value; break;
        case OPT_LIST: r->list = true; break;
        case OPT_JSON: r->json = true; break;
        case OPT_HASH_PAGES: r->set.contents = r->guest.contents = true; break;
        case OPT_PAGES:
            if (strcmp(value, "4K") && strcmp(value, "2M"))
                return nw_cli_usage(self, "--pages %s: 4K or 2M", value);
            r->guest.large_pages = value[0] == '2';
            break;
        case OPT_VIA:
            if (!take_via(r, value))
                return nw_cli_usage(self, "--via %s: step, tracepoints, dirty-ring, dirty-log, clear-refs or idle",
                                    value);
            break;
        case OPT_RANGE:
            if (!capture_range_parse(value, &r->set))
                return nw_cli_usage(self, "--range %s: largest, all, or START-END in hexadecimal, whole pages", value);
            break;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": a workload is named with --workload", value);
        default:
            if (!take(r, option, value))
                return nw_cli_usage(self, "--%s %s: not a number that is allowed here", options[option].name, value);
        }
    }
    return -1;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct request r = { 0 };
    nw_cli_parser_init(&parser, self, argc, argv);
    nw_capture_defaults(&r.guest);
    nw_working_set_defaults(&r.set);
    const int exit_status = parse(self, &parser, &r);
    if (exit_status >= 0)
        return exit_status;
    if (r.list)
        return list(r.json);
    const bool of_set = r.via >= WORKING_SET_VIAS;
    if (of_set)
        r.set.via = (enum nw_working_set_via)(r.via - WORKING_SET_VIAS);
    else
        r.guest.via = (enum nw_capture_via)r.via;
    const bool of_process = of_set && !nw_working_set_via_guest(r.set.via);
    if (of_process != (r.set.pid != 0))
        return nw_cli_usage(self, "--pid PID goes with --via clear-refs and --via idle, and they with it");
    if (of_process && r.guest.workload)
        return nw_cli_usage(self, "--workload NAME and --pid PID: one of them");
    if ((!of_process && !r.guest.workload) || !r.guest.path)
        return nw_cli_usage(self, "%s is missing",
                            !of_process && !r.guest.workload ? "--workload NAME (--list shows them)" : "-o OUT.nwt");
    return of_set ? capture_working_set(self, &r.guest, &r.set, r.json) : capture(self, &r.guest, r.json);
}

const struct nw_command nw_cmd_capture = {
    .name = "capture",
    .synopsis = "--workload NAME|--pid PID [--via WAY] [--size BYTES] [--instructions MAX] ... -o OUT.nwt",
    .summary = "a memory trace from a live KVM guest",
    .details =
        "Runs a small freestanding kernel with one workload in a KVM virtual machine (x86-64 Linux with "
        "/dev/kvm). It boots "
        "and builds its data at full speed; in its region of interest every instruction is single-stepped and "
        "its fetch, "
        "loads and stores are recorded, with control-register writes, INVLPG, page faults and page-table "
        "writes. Then it "
        "runs on to its end, and its result is compared with a run of the same code on the host.\n\n"
        "--via tracepoints records, besides, every guest page walk that KVM itself made and the entries it "
        "read. It needs "
        "root, tracefs, and a KVM that emulates privileged guest code over shadow page tables.\n\n"
        "--via dirty-ring, clear-refs and idle record working sets: which pages were written or accessed in each "
        "interval. dirty-ring runs a workload as above, unstepped, and asks KVM. clear-refs and idle watch any "
        "process, such as another VMM with its guest, from outside; frame numbers are root's to see. "
        "What the kernel does not allow is said, and the rest is recorded. The trace has the interval's pages in "
        "ascending order, a store where a page is known to be written and a load elsewhere. --hash-pages adds what the "
        "pages hold, so that nestwalk run of several guests can share and compress them as they are.\n\n"
        "Without /dev/kvm, or without permission to use it, the exit status is 4. Interrupted, it leaves a "
        "whole trace of "
        "what was captured until then, and exits with 4 as well.",
    .examples = "nestwalk capture --workload btree -o btree.nwt\n"
                "nestwalk capture --workload vmchurn --instructions 300000 --seed 7 -o churn.nwt\n"
                "nestwalk capture --workload gups --size 64M --pages 2M -o gups.nwt\n"
                "nestwalk capture --workload sort --via dirty-ring --interval 0.2 -o sort.nwt\n"
                "nestwalk capture --workload hashjoin --via dirty-ring --hash-pages -o pages.nwt\n"
                "nestwalk capture --via clear-refs --pid 4711 --interval 2 --intervals 30 -o guest.nwt\n"
                "nestwalk capture --list",
    .options = options,
    .run = run,
};
