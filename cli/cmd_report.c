/* cmd_report.c - `nestwalk report`: stored runs as one self-contained HTML page. */
#include "cli.h"
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/html.h>
#include <nestwalk/reports/store.h>
#include <nestwalk/sim/explain.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_DB, OPT_OUTPUT, OPT_TRACE, OPT_TITLE };
static const struct nw_option options[] = {
    [OPT_DB] = { "db", 'd', "FILE", "The results store. Default: results.db." },
    [OPT_OUTPUT] = { "output", 'o', "FILE|-", "The page to write; - is standard output. Default: report.html." },
    [OPT_TRACE] = { "trace", 't', "FILE",
                    "The runs' trace, to draw its page tables and a walk through them. Default: a walk in an imitation "
                    "guest." },
    [OPT_TITLE] = { "title", 0, "TEXT", "Title of the page. Default: made from the runs." },
    { 0 },
};

enum {
    WALKS_MAX = NW_MODE_COUNT, /* one picture for each way of virtualizing memory */
    TREES_MAX = 2,
    TREE_NODES_MAX = 4096,
    IMITATION_GVA = 0x4321234 /* any address does: an imitation guest maps what is walked */
};

struct request {
    const char *db, *output, *trace, *title;
    const char **name;
    size_t name_count;
};

/* The pictures of a page, and what they are made of. */
struct pictures {
    struct nw_explanation explanation[WALKS_MAX];
    struct nw_page_walk walk[WALKS_MAX];
    char walk_caption[WALKS_MAX][256];
    size_t walk_count;
    struct nw_tree drawn[TREES_MAX];
    struct nw_page_tree tree[TREES_MAX];
    size_t tree_count;
};

static void pictures_fini(struct pictures *p)
{
    for (size_t i = 0; i < p->walk_count; i++)
        nw_explanation_fini(p->explanation + i);
    for (size_t i = 0; i < p->tree_count; i++)
        nw_tree_fini(p->drawn + i);
}

/* What is walked: with a trace its last data access, whose page is mapped then; without, an address of the imitation guest. */
struct subject {
    uint64_t gva;
    enum nw_access_type type;
    bool user;
};

static void last_data_access(const struct nw_block *b, struct subject *out)
{
    for (uint32_t i = b->access_count; i-- > 0;) {
        uint8_t kind = nw_block_kind(b, i);
        if (nw_kind_type(kind) == NW_FETCH)
            continue;
        *out = (struct subject){ b->address[i], nw_kind_type(kind), nw_kind_user(kind) };
        return;
    }
}

static enum nw_status find_subject(struct nw_source *source, struct subject *out, struct nw_error *err)
{
    struct nw_block block;
    enum nw_status s;
    *out = (struct subject){ IMITATION_GVA, NW_LOAD, true };
    if (!source)
        return NW_OK;
    source->want = NW_WANT_ADDRESSES;
    while (!(s = nw_source_next(source, &block, err)) && !block.end)
        last_data_access(&block, out);
    return s;
}

static enum nw_status add_walk(struct pictures *p, const struct nw_run *run, struct nw_source *source,
                               const struct subject *what, const char *trace, struct nw_error *err)
{
    struct nw_config config;
    enum nw_status s = nw_run_config(run, &config, err);
    if (s)
        return s;
    size_t i = p->walk_count;
    if (source)
        s = nw_source_rewind(source, err);
    if (!s)
        s = nw_explain_walk(source, UINT64_MAX, &config, nw_gva(what->gva), what->type, what->user, p->explanation + i,
                            err);
    if (!s) {
        const char *access = what->type == NW_STORE ? "store" : "load";
        if (source && nw_source_info(source)->has_tables)
            snprintf(p->walk_caption[i], sizeof p->walk_caption[i],
                     "The trace's last data access, a %s, through the tables at the end of %.160s.", access, trace);
        else if (source)
            snprintf(p->walk_caption[i], sizeof p->walk_caption[i],
                     "The last data access of %.160s, a %s, in an imitation guest with the run's configuration.", trace,
                     access);
        else
            snprintf(p->walk_caption[i], sizeof p->walk_caption[i],
                     "A load in an imitation guest with the run's configuration.");
        p->walk[i] = (struct nw_page_walk){ nw_run_title(run), p->walk_caption[i], p->explanation + i };
        p->walk_count++;
    }
    nw_config_fini(&config);
    return s;
}

static enum nw_status add_tree(struct pictures *p, const struct nw_run *run, struct nw_source *source, bool nested,
                               struct nw_error *err)
{
    struct nw_config config;
    enum nw_status s = nw_run_config(run, &config, err);
    if (s)
        return s;
    size_t i = p->tree_count;
    if (source)
        s = nw_source_rewind(source, err);
    if (!s)
        s = nw_explain_tree(source, &config, nested, TREE_NODES_MAX, p->drawn + i, err);
    if (!s) {
        bool traced = source && nw_source_info(source)->has_tables;
        p->tree[i] = (struct nw_page_tree){
            nested ? "Second stage: GPA to HPA" : "Guest: GVA to GPA",
            traced   ? "As they stand at the end of the trace."
            : source ? "Of an imitation guest, after the first pages that the trace touches."
                     : "Of an imitation guest that has mapped one page.",
            p->drawn + i,
        };
        p->tree_count++;
    }
    nw_config_fini(&config);
    return s;
}

static bool mode_before(const struct nw_run *runs, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (!strcmp(runs[j].mode, runs[i].mode))
            return true;
    return false;
}

/* Runs of several guests are at the level of pages: there is no walk to draw. */
static bool walks(const struct nw_run *run) { return strcmp(run->mode, "guests") != 0; }

/* One walk for each mode among the runs, and the trees. */
static enum nw_status draw(struct pictures *p, const struct nw_run *runs, size_t count, struct nw_source *source,
                           const char *trace, struct nw_error *err)
{
    struct subject what;
    enum nw_status s = find_subject(source, &what, err);
    for (size_t i = 0; !s && i < count; i++)
        if (walks(runs + i) && !mode_before(runs, i) && p->walk_count < WALKS_MAX)
            s = add_walk(p, runs + i, source, &what, trace, err);
    for (size_t i = 0; !s && !p->tree_count && i < count; i++)
        if (walks(runs + i))
            s = add_tree(p, runs + i, source, false, err);
    for (size_t i = 0; !s && p->tree_count < TREES_MAX && i < count; i++)
        if (!strcmp(runs[i].mode, "nested"))
            s = add_tree(p, runs + i, source, true, err);
    return s;
}

/* The trace must be what the runs replayed, else the pictures would belong to something else. */
static enum nw_status open_trace(const char *path, const struct nw_run *runs, size_t count, struct nw_source **out,
                                 struct nw_error *err)
{
    char sha256[65];
    enum nw_status s = nw_nwt_open(out, path, err);
    if (!s)
        s = nw_file_sha256(path, sha256, err);
    for (size_t i = 0; !s && i < count; i++)
        if (strcmp(sha256, runs[i].trace_sha256) != 0)
            s = nw_fail(err, NW_ERR_INPUT, "%s is not the trace of run %lld, which was %s with SHA-256 %.16s...", path,
                        (long long)runs[i].id, runs[i].trace[0] ? runs[i].trace : "unnamed", runs[i].trace_sha256);
    return s;
}

static enum nw_status write_page(const struct request *r, const struct nw_run *runs, size_t count,
                                 const struct pictures *p, struct nw_error *err)
{
    struct nw_page page = { .title = r->title,
                            .runs = runs,
                            .run_count = count,
                            .walk = p->walk,
                            .walk_count = p->walk_count,
                            .tree = p->tree,
                            .tree_count = p->tree_count };
    char *html = NULL;
    enum nw_status s = nw_report_html(&page, &html, err);
    if (!s)
        s = nw_report_write(r->output, html, strlen(html), err);
    free(html);
    return s;
}

static enum nw_status load_runs(const struct request *r, struct nw_run **runs, size_t *count, struct nw_error *err)
{
    struct nw_store *store;
    enum nw_status s = nw_store_open(r->db, NW_STORE_READ, &store, err);
    if (s)
        return s;
    s = nw_store_select(store, r->name, r->name_count, runs, count, err);
    nw_store_close(store);
    return s;
}

/* Several guests on one host are modelled without walks. */
static bool have_walks(const struct nw_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(runs[i].mode, "guests"))
            return false;
    return true;
}

static int execute(const struct nw_command *self, const struct request *r)
{
    struct nw_error err = { 0 };
    struct nw_run *runs = NULL;
    size_t count = 0;
    struct nw_source *source = NULL;
    struct pictures pictures = { 0 };
    enum nw_status s = load_runs(r, &runs, &count, &err);
    const bool walks = !s && have_walks(runs, count);
    if (!s && r->trace && !walks)
        s = nw_fail(&err, NW_ERR_USAGE, "--trace %s: runs of several guests have no walks to draw", r->trace);
    if (!s && r->trace)
        s = open_trace(r->trace, runs, count, &source, &err);
    if (!s && walks)
        s = draw(&pictures, runs, count, source, r->trace, &err);
    if (!s)
        s = write_page(r, runs, count, &pictures, &err);
    if (!s && strcmp(r->output, "-") != 0)
        fprintf(stderr, "nestwalk report: %zu run%s in %s\n", count, count == 1 ? "" : "s", r->output);
    pictures_fini(&pictures);
    nw_source_destroy(source);
    nw_runs_free(runs, count);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_error err = { 0 };
    struct request r = { .db = "results.db",
                         .output = "report.html",
                         .name = calloc((size_t)argc + 1, sizeof *r.name) };
    if (!r.name)
        return nw_cli_fail(self, nw_fail_nomem(&err, "the command line"), &err);
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value;
    int option;
    while ((option = nw_cli_next(&parser, &value)) >= 0 || option == NW_CLI_ARGUMENT)
        switch (option) {
        case OPT_DB: r.db = value; break;
        case OPT_OUTPUT: r.output = value; break;
        case OPT_TRACE: r.trace = value; break;
        case OPT_TITLE: r.title = value; break;
        default: r.name[r.name_count++] = value;
        }
    int exit_status = option == NW_CLI_EXIT ? parser.exit_status : execute(self, &r);
    free(r.name);
    return exit_status;
}

const struct nw_command nw_cmd_report = {
    .name = "report",
    .synopsis = "[--db FILE] [-o FILE|-] [--trace FILE] [--title TEXT] [RUN...]",
    .summary = "a self-contained HTML page of stored runs",
    .details =
        "Writes one HTML file that opens from disk and asks nothing of the network: the runs side by side, where their "
        "cycles went, how long their walks took, hit rates, exits, the scenario and the machine with the source of "
        "every "
        "value, and pictures of a walk in each mode. With the runs' trace the walks and the page tables are the "
        "trace's; without, an imitation guest's.\n\n"
        "Runs of several guests on one host have a page of their own: memory saved against slowdown, how far the host "
        "can "
        "be overcommitted, each guest over time, who took whose memory, and working sets.\n\n"
        "A RUN is a number, or a label or mode, which means the latest run that bears it. Without any, the page shows "
        "the "
        "runs that the last command stored together.",
    .examples = "nestwalk report --db results.db -o report.html\n"
                "nestwalk report --trace btree.nwt native nested",
    .options = options,
    .run = run,
};
