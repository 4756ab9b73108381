/* cmd_validate_capture.c - `nestwalk validate capture`: the page walks that KVM logged of a live guest against the model's, and the pages that a
 * guest touches under capture against those at native speed. */
#include "cli.h"
#include "result_files.h"
#include <inttypes.h>
#include <nestwalk/reports/walk_check.h>
#include <nestwalk/sim/walk_check.h>
#include <nestwalk/traces/capture.h>
#include <nestwalk/traces/nwt.h>
#include <nestwalk/traces/same_pages.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_WORKLOAD, OPT_INSTRUCTIONS, OPT_FROM, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_WORKLOAD] = { "workload", 'w', "NAME", "What the guest runs, as for `nestwalk capture`. Default: vmchurn." },
    [OPT_INSTRUCTIONS] = { "instructions", 'n', "N", "How many of its instructions at most. Default: 50K." },
    [OPT_FROM] = { "from", 0, "TRACE.nwt", "Run no guest: check a trace of `nestwalk capture --via tracepoints`." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON; - is standard output, instead of the text." },
    { 0 },
};

static bool keep_going(void *context, const struct nw_capture_progress *p)
{
    nw_cli_progress_update(context, p->instructions, p->instructions_max);
    return !nw_cli_interrupted();
}

struct request {
    const char *workload, *from, *json;
    uint64_t instructions;
};

/* What was checked, and why what was not could not be. */
struct outcome {
    bool walks_checked, pages_checked;
    struct nw_walk_check walks;
    struct nw_same_pages pages;
    struct nw_error why_no_walks;
};

static void set_options(const struct request *r, struct nw_capture_options *o, struct nw_cli_progress *progress)
{
    nw_capture_defaults(o);
    o->workload = r->workload;
    o->instructions_max = r->instructions;
    o->progress = keep_going;
    o->context = progress;
}

/* A live capture into a file that is gone afterwards. */
static enum nw_status capture(const struct request *r, char *path, struct nw_error *err)
{
    struct nw_capture_options o;
    struct nw_capture_result result;
    struct nw_cli_progress progress;
    const int fd = mkstemp(path);
    if (fd < 0)
        return nw_fail(err, NW_ERR_IO, "no temporary file can be made: %s", path);
    close(fd);
    set_options(r, &o, &progress);
    o.path = path;
    o.via = NW_CAPTURE_TRACEPOINTS;
    nw_cli_progress_start(&progress, "capture", "instructions");
    enum nw_status s = nw_capture_run(&o, &result, err);
    nw_cli_progress_finish(&progress);
    if (!s && nw_cli_interrupted())
        s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
    return s;
}

static enum nw_status check(const char *path, struct nw_walk_check *out, struct nw_error *err)
{
    struct nw_source *source;
    enum nw_status s = nw_nwt_open(&source, path, err);
    if (s)
        return s;
    s = nw_walk_check(source, out, err);
    nw_source_destroy(source);
    if (!s && !out->walks)
        s = nw_fail(err, NW_ERR_INPUT, "%s: the trace holds no walk that KVM made (nestwalk capture --via tracepoints)",
                    path);
    return s;
}

static enum nw_status check_live(const struct request *r, struct outcome *out, struct nw_error *err)
{
    const char *directory = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%.4000s/nestwalk-XXXXXX", directory && *directory ? directory : "/tmp");
    enum nw_status s = capture(r, path, err);
    if (!s)
        s = check(path, &out->walks, err);
    unlink(path);
    return s;
}

static enum nw_status compare_pages(const struct request *r, struct outcome *out, struct nw_error *err)
{
    struct nw_capture_options o;
    struct nw_cli_progress progress;
    set_options(r, &o, &progress);
    nw_cli_progress_start(&progress, "compare pages", "instructions");
    enum nw_status s = nw_same_pages(&o, &out->pages, err);
    nw_cli_progress_finish(&progress);
    return s && nw_cli_interrupted() ? nw_fail(err, NW_ERR_INTERRUPTED, "interrupted") : s;
}

/* KVMs without tracepoints of their walks are many; what can be checked without them is. */
static enum nw_status check_all(const struct request *r, struct outcome *out, struct nw_error *err)
{
    enum nw_status s = r->from ? check(r->from, &out->walks, err) : check_live(r, out, err);
    out->walks_checked = !s;
    if (r->from || (s && (s != NW_ERR_ENV || nw_cli_interrupted())))
        return s;
    if (s)
        out->why_no_walks = *err;
    s = compare_pages(r, out, err);
    out->pages_checked = !s;
    return s;
}

static void print_walks(const struct nw_walk_check *c)
{
    printf("%" PRIu64 " walks that KVM made, with %" PRIu64 " entries read: %" PRIu64
           " are not the model's, entry for entry.\n",
           c->walks, c->entries, c->differing);
    for (size_t i = 1; i < NW_ARRAY_LEN(c->walks_by_length); i++)
        if (c->walks_by_length[i])
            printf("  %" PRIu64 " walks of %zu entries\n", c->walks_by_length[i], i);
    if (c->difference[0])
        printf("first difference: %s\n", c->difference);
}

static void print_pages(const struct nw_same_pages *p)
{
    printf("%" PRIu64 " instructions under capture and at native speed: ", p->instructions);
    if (p->order_watched)
        printf("%" PRIu64 " fetches of %" PRIu64 " pages, in %s order (digests %016" PRIx64 " and %016" PRIx64 ");\n",
               p->fetched, p->pages, p->order_equal ? "the same" : "another", p->order_captured, p->order_native);
    else
        printf("the order of pages cannot be watched here: %s;\n", p->why);
    printf("at the end %" PRIu64 " of %" PRIu64 " pages hold something else (digests %016" PRIx64 " and %016" PRIx64
           ").\n",
           p->differing_pages, p->memory_pages, p->contents_captured, p->contents_native);
    if (p->difference[0])
        printf("first difference: %s\n", p->difference);
}

static enum nw_status show(const struct request *r, const struct outcome *out, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    char *text;
    if (r->json && !(s = nw_walk_check_json_text(out->walks_checked ? &out->walks : NULL,
                                                 out->pages_checked ? &out->pages : NULL, &text, err)))
        s = nw_cli_write_text(text, r->json, err);
    if (s || nw_cli_is_stdout(r->json))
        return s;
    if (out->walks_checked)
        print_walks(&out->walks);
    else
        printf("KVM's walks cannot be checked here: %s\n", out->why_no_walks.text);
    if (out->pages_checked)
        print_pages(&out->pages);
    return NW_OK;
}

static bool holds(const struct outcome *out)
{
    return (!out->walks_checked || !out->walks.differing) &&
           (!out->pages_checked ||
            (out->pages.contents_equal && (!out->pages.order_watched || out->pages.order_equal)));
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct nw_error err = { 0 };
    struct request r = { .workload = "vmchurn", .instructions = 50 << 10 };
    struct outcome out = { 0 };
    const char *value;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": a trace is named with --from", value);
        case OPT_WORKLOAD: r.workload = value; break;
        case OPT_FROM: r.from = value; break;
        case OPT_JSON: r.json = value; break;
        default:
            if (!nw_cli_parse_u64(value, &r.instructions) || !r.instructions)
                return nw_cli_usage(self, "--instructions %s: a number above 0", value);
        }
    }
    enum nw_status s = nw_cli_check_writable(r.json, &err);
    if (!s && !r.from)
        nw_cli_catch_interrupts();
    (void)(s || (s = check_all(&r, &out, &err)) || (s = show(&r, &out, &err)));
    return s ? nw_cli_fail(self, s, &err) : holds(&out) ? 0 : 1;
}

const struct nw_command nw_cmd_validate_capture = {
    .name = "validate capture",
    .synopsis = "[--workload NAME] [--instructions N] [--from TRACE.nwt] [--json FILE|-]",
    .summary = "a live guest: KVM's walks against the model's, captured against native",
    .details =
        "Captures a workload through KVM's own tracepoints, into a temporary file, and makes every walk that KVM made "
        "again on the model: the same entries, at the same levels, in the same order. This needs tracefs and a KVM "
        "that emulates CPL 0 over shadow page tables (the PVM backend); a trace made elsewhere is checked with "
        "--from.\n\n"
        "Then runs the workload again, single-stepped as a capture does and at native speed, and compares which pages "
        "it comes back to in which order, watched by userfaultfd in the native run, and what all pages hold at "
        "the end. "
        "This needs /dev/kvm alone, and for the order userfaultfd of the kernel's faults.\n\n"
        "Exit status 0: what could be checked agrees; 1: something differs; 4: nothing can be checked here, and why.",
    .examples = "nestwalk validate capture\n"
                "nestwalk validate capture --from walks.nwt --json -",
    .options = options,
    .run = run,
};
