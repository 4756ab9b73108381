/* run_mrc.c - `nestwalk run --mrc`: the curves of a trace, with the machine's own arrays as points of them. */
#include "run_mrc.h"
#include "cli.h"
#include "internal.h"
#include "result_files.h"
#include <inttypes.h>
#include <nestwalk/reports/comparison.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/reports/mrc.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIZE_LOG2_MAX = 24,
    WINDOWS = 100, /* when --mrc-window does not say otherwise */
    GIVEN_SETS_MAX = 32,
    SIZES_MAX = SIZE_LOG2_MAX + 1 + NW_TLB_ARRAYS_MAX,
    ARRAYS_MAX = (NW_TLB_ARRAYS_MAX > NW_TLB_CLASS_COUNT * GIVEN_SETS_MAX ? NW_TLB_ARRAYS_MAX
                                                                          : NW_TLB_CLASS_COUNT * GIVEN_SETS_MAX) *
                 NW_MRC_PAGE_SIZES,
};
static const char *const size_name[NW_MRC_PAGE_SIZES] = { "4 KiB", "2 MiB", "1 GiB" };

/* What is to be done, and what for. */
struct work {
    const struct nw_cli_mrc *request;
    struct nw_mrc_options options;
    struct nw_mrc_array array[ARRAYS_MAX];
    struct nw_mrc_machine_array of_machine[NW_TLB_ARRAYS_MAX * NW_MRC_PAGE_SIZES];
    uint64_t size[SIZES_MAX];
    size_t of_machine_count;
    bool mixed; /* the trace has data accesses and fetches */
    char sha256[65];
};

/* ---- from the request to options ---- */

static void add_array(struct work *w, enum nw_tlb_class stream, unsigned page_log2, uint32_t sets, bool few_ways)
{
    for (size_t i = 0; i < w->options.array_count; i++) {
        struct nw_mrc_array *a = &w->array[i];
        if (a->stream == stream && a->page_log2 == page_log2 && a->sets == sets) {
            a->few_ways = a->few_ways && few_ways;
            return;
        }
    }
    if (sets > 1)
        w->array[w->options.array_count++] = (struct nw_mrc_array){ stream, page_log2, sets, few_ways };
}

static enum nw_status add_given_sets(struct work *w, const char *text, struct nw_error *err)
{
    uint64_t sets;
    char number[32];
    for (unsigned n = 0; !n || *text; n++) {
        size_t length = strcspn(text, ",");
        snprintf(number, sizeof number, "%.*s", (int)(length < sizeof number ? length : sizeof number - 1), text);
        if (n == GIVEN_SETS_MAX || length >= sizeof number || !nw_cli_parse_u64(number, &sets) || !sets ||
            sets > NW_MRC_SETS_MAX || (text[length] && !text[length + 1]))
            return nw_fail(err, NW_ERR_USAGE,
                           "--mrc-sets %s: expected at most %d numbers from 1 to %d with commas between",
                           w->request->sets, GIVEN_SETS_MAX, NW_MRC_SETS_MAX);
        for (unsigned stream = 0; stream < NW_TLB_CLASS_COUNT; stream++)
            for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
                if (w->options.streams & 1u << stream)
                    add_array(w, (enum nw_tlb_class)stream, nw_mrc_page_log2[k], (uint32_t)sets, false);
        text += length + (text[length] == ',');
    }
    return NW_OK;
}

static void add_size(struct work *w, uint64_t entries)
{
    size_t i = 0;
    while (i < w->options.size_count && w->size[i] < entries)
        i++;
    if (i < w->options.size_count && w->size[i] == entries)
        return;
    memmove(w->size + i + 1, w->size + i, (w->options.size_count++ - i) * sizeof *w->size);
    w->size[i] = entries;
}

/* The machine's arrays, once for each page size that they hold. A unified one sees the only class there is, when there is only one. */
static void add_machine(struct work *w)
{
    const struct nw_config *c = w->request->config;
    for (size_t i = 0; i < c->tlb_count; i++) {
        const struct nw_tlb_config *t = &c->tlb[i];
        enum nw_tlb_class stream = (enum nw_tlb_class)t->class;
        if (stream == NW_TLB_UNIFIED && !w->mixed)
            stream = w->options.streams & 1u << NW_TLB_DATA ? NW_TLB_DATA : NW_TLB_INSTRUCTION;
        if (!(w->options.streams & 1u << stream))
            continue;
        add_size(w, t->entries);
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++) {
            if (!(t->pages & 1u << k))
                continue;
            struct nw_mrc_machine_array *a = &w->of_machine[w->of_machine_count++];
            *a = (struct nw_mrc_machine_array){ .stream = stream,
                                                .page_log2 = nw_mrc_page_log2[k],
                                                .sets = (uint32_t)(t->entries / t->ways) };
            a->ways = (uint32_t)t->ways;
            snprintf(a->name, sizeof a->name, "%s", t->name);
            if (w->request->exact && !w->request->sets && t->entries / t->ways <= NW_MRC_SETS_MAX)
                add_array(w, stream, a->page_log2, a->sets, a->ways <= NW_MRC_WAYS_FEW);
        }
    }
}

static enum nw_status prepare(struct work *w, const struct nw_cli_mrc *request, struct nw_error *err)
{
    struct nw_nwt_summary summary;
    enum nw_status s = nw_nwt_summarise(request->trace, &summary, NULL, err);
    if (s)
        return s;
    *w = (struct work){ .request = request };
    struct nw_mrc_options *o = &w->options;
    bool data = summary.loads || summary.stores;
    w->mixed = data && summary.fetches;
    o->streams = (data ? 1u << NW_TLB_DATA : 0) | (summary.fetches ? 1u << NW_TLB_INSTRUCTION : 0) |
                 (w->mixed ? 1u << NW_TLB_UNIFIED : 0);
    o->exact = request->exact;
    o->seed = request->config->seed;
    o->array = w->array;
    o->size = w->size;
    o->window_accesses = (summary.accesses + WINDOWS - 1) / WINDOWS;
    if (request->rate && (!nw_cli_parse_double(request->rate, &o->rate) || !(o->rate > 0 && o->rate <= 1)))
        return nw_fail(err, NW_ERR_USAGE, "--mrc-rate %s: expected a number above 0 and at most 1", request->rate);
    if (request->window && (!nw_cli_parse_u64(request->window, &o->window_accesses) || !o->window_accesses))
        return nw_fail(err, NW_ERR_USAGE, "--mrc-window %s: expected a number of accesses, at least 1",
                       request->window);
    for (unsigned i = 0; i <= SIZE_LOG2_MAX; i++)
        add_size(w, NW_BIT(i));
    add_machine(w);
    return request->sets ? add_given_sets(w, request->sets, err) : NW_OK;
}

/* ---- the pass ---- */

static enum nw_status pass(const struct work *w, struct nw_source *source, struct nw_mrc *m, struct nw_error *err)
{
    struct nw_cli_progress progress;
    struct nw_block b;
    enum nw_status s;
    uint64_t done = 0, total = nw_source_access_total(source);
    nw_cli_progress_start(&progress, "curves", "accesses");
    source->want = NW_MRC_WANT;
    while (!(s = nw_source_next(source, &b, err)) && !b.end && !(s = nw_mrc_take(m, &b, err))) {
        nw_cli_progress_update(&progress, done += b.access_count, total);
        if (nw_cli_interrupted()) {
            s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted after %" PRIu64 " accesses of %s", done,
                        w->request->trace);
            break;
        }
    }
    nw_cli_progress_finish(&progress);
    return s;
}

static enum nw_status make_curves(const struct work *w, struct nw_mrc_result *result, struct nw_error *err)
{
    struct nw_source *source = NULL;
    struct nw_mrc *m = NULL;
    enum nw_status s = nw_nwt_open(&source, w->request->trace, err);
    if (!s && !(s = nw_mrc_create(&m, nw_source_info(source), &w->options, err)) && !(s = pass(w, source, m, err)))
        s = nw_mrc_finish(m, result, err);
    nw_mrc_destroy(m);
    nw_source_destroy(source);
    return s;
}

/* ---- tables ---- */

static void ratio_text(double misses, uint64_t references, char *out, size_t size)
{
    snprintf(out, size, "%.5f", references ? misses / (double)references : 0.0);
}

/* "0.13081 ±0.00412": the estimate of entries, and how far it is from the ends of its bound. */
static void estimate_text(const struct nw_mrc_curve *c, uint64_t entries, char *out, size_t size)
{
    for (size_t i = 0; i < c->point_count; i++) {
        const struct nw_mrc_point *p = &c->point[i];
        double wide = p->high - p->misses > p->misses - p->low ? p->high - p->misses : p->misses - p->low;
        if (p->entries == entries)
            snprintf(out, size, "%.5f ±%.5f", c->references ? p->misses / (double)c->references : 0.0,
                     c->references ? wide / (double)c->references : 0.0);
    }
}

/* "l1d, l2": the machine's arrays of this stream with so many entries. */
static void names_text(const struct work *w, enum nw_tlb_class stream, uint64_t entries, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < w->of_machine_count; i++) {
        const struct nw_mrc_machine_array *a = &w->of_machine[i];
        bool again = i && !strcmp(a->name, a[-1].name);
        if (a->stream == stream && (uint64_t)a->sets * a->ways == entries && !again && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", a->name);
    }
}

/* No curve of the stream falls any more at so many entries. */
static bool flat_at(const struct nw_mrc_result *r, enum nw_tlb_class stream, uint64_t entries)
{
    for (size_t i = 0; i < r->curve_count; i++) {
        const struct nw_mrc_curve *c = &r->curve[i];
        if (c->stream == stream && c->sets == 1 && (double)entries * c->rate < (double)(c->misses_count - 1))
            return false;
    }
    return true;
}

static void print_stream(const struct work *w, const struct nw_mrc_result *r, enum nw_tlb_class stream)
{
    const char *heading[2 + 2 * NW_MRC_PAGE_SIZES] = { "entries", "array" };
    static const bool numeric[] = { true, false, true, true, true, true, true, true };
    const struct nw_mrc_curve *curve[2 * NW_MRC_PAGE_SIZES];
    char title[2 * NW_MRC_PAGE_SIZES][32], cell[2 + 2 * NW_MRC_PAGE_SIZES][64];
    const char *row[NW_ARRAY_LEN(cell)];
    unsigned columns = 0;
    for (unsigned sampled = 0; sampled < 2; sampled++)
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
            if ((curve[columns] = nw_mrc_find(r, stream, nw_mrc_page_log2[k], 1, sampled))) {
                snprintf(title[columns], sizeof title[columns], "%s%s", size_name[k], sampled ? " sampled" : "");
                heading[2 + columns] = title[columns];
                columns++;
            }
    char count[32];
    nw_format_count(curve[0]->references, 20, count, sizeof count);
    printf("\n%s: miss ratio of %s references, fully associative\n",
           w->mixed                ? nw_mrc_stream_name[stream]
           : stream == NW_TLB_DATA ? "data (all accesses)"
                                   : "instruction (all accesses)",
           count);
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, 2 + columns);
    for (size_t i = 0; i < NW_ARRAY_LEN(cell); i++)
        row[i] = cell[i];
    bool flat = false;
    for (size_t i = 0; i < w->options.size_count; i++) {
        uint64_t entries = w->size[i];
        snprintf(cell[0], sizeof cell[0], "%" PRIu64, entries);
        names_text(w, stream, entries, cell[1], sizeof cell[1]);
        if (!cell[1][0] && (flat || !nw_is_pow2(entries)))
            continue; /* nothing new, or another stream's array */
        for (unsigned k = 0; k < columns; k++)
            if (curve[k]->sampled)
                estimate_text(curve[k], entries, cell[2 + k], sizeof cell[2 + k]);
            else
                ratio_text(nw_mrc_misses(curve[k], entries), curve[k]->references, cell[2 + k], sizeof cell[2 + k]);
        nw_cli_table_row(t, row);
        flat = flat || (nw_is_pow2(entries) && flat_at(r, stream, entries));
    }
    nw_cli_table_print(t, stdout);
}

/* The ways of the array whose sets these are: "4: 0.13081" in the last column. */
static void own_ways(const struct work *w, const struct nw_mrc_curve *c, char *name, size_t name_size, char *own,
                     size_t own_size)
{
    size_t names = 0, owns = 0;
    char ratio[32];
    name[0] = own[0] = 0;
    for (size_t i = 0; i < w->of_machine_count; i++) {
        const struct nw_mrc_machine_array *a = &w->of_machine[i];
        if (a->stream != c->stream || a->page_log2 != c->page_log2 || a->sets != c->sets)
            continue;
        ratio_text(nw_mrc_misses(c, a->ways), c->references, ratio, sizeof ratio);
        if (names < name_size)
            names += (size_t)snprintf(name + names, name_size - names, "%s%s", names ? ", " : "", a->name);
        if (owns < own_size)
            owns += (size_t)snprintf(own + owns, own_size - owns, "%s%u: %s", owns ? ", " : "", a->ways, ratio);
    }
}

static void print_arrays(const struct work *w, const struct nw_mrc_result *r)
{
    static const char *const heading[] = {
        "stream", "array", "pages", "sets", "1 way", "2", "4", "8", "16", "its own"
    };
    static const bool numeric[] = { false, false, false, true, true, true, true, true, true, false };
    char cell[NW_ARRAY_LEN(heading)][64];
    const char *row[NW_ARRAY_LEN(heading)];
    struct nw_cli_table *t = NULL;
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++)
        row[i] = cell[i];
    for (size_t i = 0; i < r->curve_count; i++) {
        const struct nw_mrc_curve *c = &r->curve[i];
        if (c->sets == 1)
            continue;
        if (!t) {
            printf("\nset-associative, by ways\n");
            t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
        }
        snprintf(cell[0], sizeof cell[0], "%s", nw_mrc_stream_name[c->stream]);
        own_ways(w, c, cell[1], sizeof cell[1], cell[9], sizeof cell[9]);
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
            if (nw_mrc_page_log2[k] == c->page_log2)
                snprintf(cell[2], sizeof cell[2], "%s", size_name[k]);
        snprintf(cell[3], sizeof cell[3], "%u", c->sets);
        for (unsigned k = 0; k < 5; k++)
            ratio_text(nw_mrc_misses(c, NW_BIT(k)), c->references, cell[4 + k], sizeof cell[4 + k]);
        nw_cli_table_row(t, row);
    }
    if (t)
        nw_cli_table_print(t, stdout);
}

static void print_working_sets(const struct nw_mrc_result *r)
{
    static const char *const heading[] = { "stream", "pages", "windows", "fewest", "mean", "most" };
    static const bool numeric[] = { false, false, true, true, true, true };
    if (!r->working_set_count)
        return;
    printf("\nworking set: distinct pages in a window of %" PRIu64 " accesses\n", r->window_accesses);
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (size_t i = 0; i < r->working_set_count; i++) {
        const struct nw_mrc_working_set *w = &r->working_set[i];
        uint32_t least = UINT32_MAX, most = 0;
        uint64_t sum = 0;
        char cell[4][32];
        unsigned k = 0;
        while (nw_mrc_page_log2[k] != w->page_log2)
            k++;
        for (size_t j = 0; j < w->window_count; j++) {
            least = w->pages[j] < least ? w->pages[j] : least;
            most = w->pages[j] > most ? w->pages[j] : most;
            sum += w->pages[j];
        }
        snprintf(cell[0], sizeof cell[0], "%zu", w->window_count);
        snprintf(cell[1], sizeof cell[1], "%u", w->window_count ? least : 0);
        snprintf(cell[2], sizeof cell[2], "%.1f", w->window_count ? (double)sum / (double)w->window_count : 0);
        snprintf(cell[3], sizeof cell[3], "%u", most);
        nw_cli_table_row(t, (const char *const[]){ nw_mrc_stream_name[w->stream], size_name[k], cell[0], cell[1],
                                                   cell[2], cell[3] });
    }
    nw_cli_table_print(t, stdout);
}

/* Of 4 KiB pages, by powers of four; the JSON has the rest. */
static void print_averages(const struct nw_mrc_result *r)
{
    const struct nw_mrc_working_set *column[NW_TLB_CLASS_COUNT];
    const char *heading[1 + NW_TLB_CLASS_COUNT] = { "references" };
    static const bool numeric[] = { true, true, true, true };
    unsigned columns = 0;
    size_t rows = 0;
    for (size_t i = 0; i < r->working_set_count; i++) {
        const struct nw_mrc_working_set *w = &r->working_set[i];
        if (w->page_log2 != NW_PAGE_LOG2)
            continue;
        heading[1 + columns] = nw_mrc_stream_name[w->stream];
        column[columns++] = w;
        rows = w->average_count > rows ? w->average_count : rows;
    }
    if (!columns)
        return;
    printf("\naverage working set: distinct 4 KiB pages among the last references of the stream\n");
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, 1 + columns);
    for (size_t k = 0; k < rows; k += 2) {
        char cell[1 + NW_TLB_CLASS_COUNT][32];
        const char *row[1 + NW_TLB_CLASS_COUNT] = { cell[0] };
        snprintf(cell[0], sizeof cell[0], "%" PRIu64, NW_BIT(k));
        for (unsigned i = 0; i < columns; i++) {
            cell[1 + i][0] = 0;
            if (k < column[i]->average_count)
                snprintf(cell[1 + i], sizeof cell[1 + i], "%.2f", column[i]->average[k]);
            row[1 + i] = cell[1 + i];
        }
        nw_cli_table_row(t, row);
    }
    nw_cli_table_print(t, stdout);
}

static void print_all(const struct work *w, const struct nw_mrc_result *r)
{
    char total[32], text[1024];
    nw_format_count(r->accesses, 20, total, sizeof total);
    snprintf(text, sizeof text,
             "%s: %s accesses in %" PRIu64
             " address space%s, through LRU arrays of every size, each by itself; nothing "
             "is invalidated or flushed",
             w->request->trace, total, r->address_spaces, r->address_spaces == 1 ? "" : "s");
    nw_cli_wrap(stdout, text, 0, 0, 100);
    if (w->options.rate > 0) {
        snprintf(text, sizeof text,
                 "sampled: the pages that a hash picks at rate %s; ± is 3 standard errors, see the manual",
                 w->request->rate);
        nw_cli_wrap(stdout, text, 0, 0, 100);
    }
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT; i++)
        if (w->options.streams & 1u << i)
            print_stream(w, r, (enum nw_tlb_class)i);
    print_arrays(w, r);
    print_working_sets(r);
    print_averages(r);
}

static enum nw_status write_text(enum nw_status (*make)(const struct nw_mrc_report *, char **, struct nw_error *),
                                 const struct nw_mrc_report *report, const char *path, struct nw_error *err)
{
    char *text = NULL;
    enum nw_status s = make(report, &text, err);
    return s ? s : nw_cli_write_text(text, path, err);
}

enum nw_status nw_cli_run_mrc(const struct nw_cli_mrc *request, struct nw_error *err)
{
    struct work *w = malloc(sizeof *w);
    struct nw_mrc_result result = { 0 };
    if (!w)
        return nw_fail_nomem(err, "the curves");
    nw_cli_catch_interrupts();
    enum nw_status s = prepare(w, request, err);
    if (!s && request->json) /* which alone says what was read */
        s = nw_file_sha256(request->trace, w->sha256, err);
    if (s || (s = make_curves(w, &result, err)))
        goto out;
    const struct nw_mrc_report report = { request->trace,        w->sha256, request->config->machine,
                                          request->config->seed, &result,   w->of_machine,
                                          w->of_machine_count };
    if (request->json && (s = write_text(nw_mrc_json_text, &report, request->json, err)))
        goto out;
    if (request->csv && (s = write_text(nw_mrc_csv_text, &report, request->csv, err)))
        goto out;
    bool shown = (request->json && !strcmp(request->json, "-")) || (request->csv && !strcmp(request->csv, "-"));
    if (!shown)
        print_all(w, &result);
out:
    nw_mrc_result_fini(&result);
    free(w);
    return s;
}
