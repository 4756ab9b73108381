/* cmd_reclaim.c - `nestwalk reclaim`: how many faults each replacement policy takes with so many frames. */
#include "internal.h"
#include "result_files.h"
#include <inttypes.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/reports/reclaim.h>
#include <nestwalk/swap/replacement.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_TRACE, OPT_POLICY, OPT_FRAMES, OPT_SEED, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_TRACE] = { "trace", 't', "FILE", "The trace. Required." },
    [OPT_POLICY] = { "policy", 'p', "NAME[,NAME...]|all", "Policies; may be repeated. Default: all." },
    [OPT_FRAMES] = { "frames", 'f', "N[,N...]",
                     "Numbers of 4 KiB frames (with K, M: powers of 1024); may be repeated. "
                     "Default: powers of two from 16 up to where the trace's pages fit." },
    [OPT_SEED] = { "seed", 0, "N", "Seed of the policies that draw. Default: 42." },
    [OPT_JSON] = { "json", 'j', "FILE|-", "Write the result as JSON, to a file or to standard output." },
    { 0 },
};

enum { POLICIES_MAX = 64, SIZES_MAX = 1024 };
struct study {
    const char *trace, *json;
    const struct nw_replacement_policy *policy[POLICIES_MAX];
    uint64_t frames[SIZES_MAX], seed, accesses;
    size_t policies, sizes;
    unsigned policies_asked, sizes_asked; /* with repetitions; "all" counts as several */
    struct nw_replacement **state;        /* [policies * sizes], by policy */
    uint64_t *faults;
};

/* ---- options ---- */

static const char *add_policy(struct study *s, const char *name)
{
    s->policies_asked++;
    static char problem[512];
    const struct nw_replacement_policy *policy = nw_replacement_policy_find(name);
    if (!policy) {
        int used = snprintf(problem, sizeof problem, "no policy is called '%.64s', allowed are: all", name);
        for (size_t i = 0; nw_replacement_policies[i]; i++)
            used += snprintf(problem + used, sizeof problem - (size_t)used, " %s", nw_replacement_policies[i]->name);
        return problem;
    }
    for (size_t i = 0; i < s->policies; i++)
        if (s->policy[i] == policy)
            return NULL;
    s->policy[s->policies++] = policy;
    return NULL;
}

static const char *add_all(struct study *s)
{
    for (size_t i = 0; nw_replacement_policies[i]; i++)
        add_policy(s, nw_replacement_policies[i]->name);
    return NULL;
}

static const char *add_frames(struct study *s, const char *text)
{
    s->sizes_asked++;
    static char problem[160];
    uint64_t frames;
    if (!nw_cli_parse_u64(text, &frames) || !frames || frames > NW_REPLACEMENT_FRAMES_MAX) {
        snprintf(problem, sizeof problem, "--frames takes numbers of frames, 1 to %d, not '%.64s'",
                 NW_REPLACEMENT_FRAMES_MAX, text);
        return problem;
    }
    for (size_t i = 0; i < s->sizes; i++)
        if (s->frames[i] == frames)
            return NULL;
    if (s->sizes == SIZES_MAX)
        return "--frames takes 1024 numbers at most";
    s->frames[s->sizes++] = frames;
    return NULL;
}

/* Each name of a comma list. NULL, or what is wrong. */
static const char *each(struct study *s, const char *list, const char *(*add)(struct study *, const char *))
{
    for (;; list++) {
        char name[80];
        size_t length = strcspn(list, ",");
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), list);
        const char *problem = add == add_policy && !strcmp(name, "all") ? add_all(s) : add(s, name);
        list += length;
        if (problem || !*list)
            return problem;
    }
}

/* ---- the study ---- */

enum { SMALLEST_BY_DEFAULT = 16 };

static enum nw_status interrupted(uint64_t accesses, struct nw_error *err)
{
    return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted after %" PRIu64 " accesses", accesses);
}

/* Powers of two, the last one the first that holds all pages: as many as LRU faults with all the frames there can be. */
static enum nw_status choose_sizes(struct study *s, struct nw_source *source, struct nw_error *err)
{
    struct nw_replacement *all = NULL;
    struct nw_cli_progress progress;
    uint64_t pages = 0, accesses = 0;
    bool fault;
    enum nw_status status =
        nw_replacement_create(&all, nw_replacement_policy_find("lru"), NW_REPLACEMENT_FRAMES_MAX, s->seed, err);
    nw_cli_progress_start(&progress, "count pages", "accesses");
    for (struct nw_block b; !status && !(status = nw_source_next(source, &b, err)) && !b.end;) {
        for (uint32_t a = 0; a < b.access_count && !status; a++, pages += fault)
            status = nw_replacement_touch(all, b.address[a] >> NW_PAGE_LOG2, &fault, err);
        accesses += b.access_count;
        nw_cli_progress_update(&progress, accesses, nw_source_access_total(source));
        if (!status && nw_cli_interrupted())
            status = interrupted(accesses, err);
    }
    nw_cli_progress_finish(&progress);
    nw_replacement_destroy(all);
    s->sizes_asked = 2;
    uint64_t frames = SMALLEST_BY_DEFAULT;
    for (s->frames[s->sizes++] = frames; frames < pages && frames < NW_REPLACEMENT_FRAMES_MAX;)
        s->frames[s->sizes++] = frames *= 2;
    return status ? status : nw_source_rewind(source, err);
}

static enum nw_status create_all(struct study *s, struct nw_error *err)
{
    size_t count = s->policies * s->sizes;
    s->state = calloc(count, sizeof *s->state);
    s->faults = calloc(count, sizeof *s->faults);
    if (!s->state || !s->faults)
        return nw_fail_nomem(err, "the replacement policies");
    enum nw_status status = NW_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = nw_replacement_create(&s->state[i], s->policy[i / s->sizes], s->frames[i % s->sizes], s->seed, err);
    return status;
}

/* One policy after the other for a block: its tables stay near. */
static enum nw_status take(struct study *s, const struct nw_block *b, struct nw_error *err)
{
    for (size_t i = 0; i < s->policies * s->sizes; i++)
        for (uint32_t a = 0; a < b->access_count; a++) {
            bool fault;
            enum nw_status status = nw_replacement_touch(s->state[i], b->address[a] >> NW_PAGE_LOG2, &fault, err);
            if (status)
                return status;
            s->faults[i] += fault;
        }
    s->accesses += b->access_count;
    return NW_OK;
}

static enum nw_status study(struct study *s, struct nw_error *err)
{
    struct nw_source *source = NULL;
    struct nw_cli_progress progress;
    enum nw_status status = nw_nwt_open(&source, s->trace, err);
    if (status)
        return status;
    source->want = NW_WANT_ADDRESSES;
    if (!nw_source_access_total(source))
        status = nw_fail(err, NW_ERR_INPUT,
                         "%s: no accesses of a processor, only events; the study of pages needs them", s->trace);
    if (!status && !s->sizes)
        status = choose_sizes(s, source, err);
    if (status || (status = create_all(s, err)))
        goto out;
    nw_cli_progress_start(&progress, "reclaim", "accesses");
    for (struct nw_block b; !(status = nw_source_next(source, &b, err)) && !b.end && !(status = take(s, &b, err));) {
        nw_cli_progress_update(&progress, s->accesses, nw_source_access_total(source));
        if (nw_cli_interrupted()) {
            status = interrupted(s->accesses, err);
            break;
        }
    }
    nw_cli_progress_finish(&progress);
out:
    nw_source_destroy(source);
    return status;
}

/* ---- output ---- */

static enum nw_status write_json(const struct study *s, struct nw_error *err)
{
    char *text;
    const size_t count = s->policies * s->sizes;
    struct nw_reclaim_row *row = calloc(count, sizeof *row);
    if (!row)
        return nw_fail_nomem(err, "the result");
    for (size_t i = 0; i < count; i++)
        row[i] = (struct nw_reclaim_row){ .policy = s->policy[i / s->sizes]->name,
                                          .frames = s->frames[i % s->sizes],
                                          .accesses = s->accesses,
                                          .faults = s->faults[i] };
    enum nw_status status = nw_reclaim_json_text(row, count, s->policies_asked > 1 || s->sizes_asked > 1, &text, err);
    free(row);
    return status ? status : nw_cli_write_text(text, s->json, err);
}

static void print_table(const struct study *s)
{
    printf("%-8s %12s %14s %14s %10s\n", "policy", "frames", "accesses", "faults", "faults, %");
    for (size_t i = 0; i < s->policies * s->sizes; i++)
        printf("%-8s %12" PRIu64 " %14" PRIu64 " %14" PRIu64 " %10.4f\n", s->policy[i / s->sizes]->name,
               s->frames[i % s->sizes], s->accesses, s->faults[i],
               s->accesses ? 100 * (double)s->faults[i] / (double)s->accesses : 0);
}

static int finish(const struct nw_command *self, struct study *s)
{
    struct nw_error err = { 0 };
    enum nw_status status = nw_cli_check_writable(s->json, &err);
    if (!status && !(status = study(s, &err))) {
        if (s->json)
            status = write_json(s, &err);
        if (!status && !nw_cli_is_stdout(s->json))
            print_table(s);
    }
    for (size_t i = 0; s->state && i < s->policies * s->sizes; i++)
        nw_replacement_destroy(s->state[i]);
    free(s->state);
    free(s->faults);
    return status ? nw_cli_fail(self, status, &err) : 0;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    struct study s = { .seed = 42 };
    const char *value, *problem = NULL;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_TRACE: s.trace = value; break;
        case OPT_JSON: s.json = value; break;
        case OPT_POLICY: problem = each(&s, value, add_policy); break;
        case OPT_FRAMES: problem = each(&s, value, add_frames); break;
        case OPT_SEED: problem = nw_cli_parse_u64(value, &s.seed) ? NULL : "--seed takes a number"; break;
        default: return nw_cli_usage(self, "unexpected argument '%s'", value);
        }
        if (problem)
            return nw_cli_usage(self, "%s", problem);
    }
    if (!s.trace)
        return nw_cli_usage(self, "--trace is missing");
    if (!s.policies)
        add_all(&s);
    return finish(self, &s);
}

const struct nw_command nw_cmd_reclaim = {
    .name = "reclaim",
    .synopsis = "--trace TRACE.nwt [--frames N[,N...]] [--policy NAME[,NAME...]]",
    .summary = "faults of page-replacement policies",
    .details =
        "Replays a trace's pages (4 KiB, by virtual address; fetches, loads and stores alike; of an access that "
        "crosses a page the first) with so many "
        "frames, all empty at first, and counts the accesses that find their page without one. Costs nothing "
        "and models no guest: it compares "
        "policies. All policies and sizes are replayed in one pass (without --frames after one that counts the pages).",
    .examples = "nestwalk reclaim --trace btree.nwt --policy lru,arc --frames 1K,4K --json -",
    .options = options,
    .run = run,
};
