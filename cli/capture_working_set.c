#include "capture_working_set.h"
#include "trace_common.h"
#include <inttypes.h>
#include <nestwalk/base/addr.h>
#include <stdlib.h>
#include <string.h>

static const char *const via_name[] = { [NW_WORKING_SET_DIRTY_RING] = "dirty-ring",
                                        [NW_WORKING_SET_DIRTY_LOG] = "dirty-log",
                                        [NW_WORKING_SET_CLEAR_REFS] = "clear-refs",
                                        [NW_WORKING_SET_IDLE] = "idle" };
static const char *const end_name[] = { [NW_WORKING_SET_COMPLETE] = "complete",
                                        [NW_WORKING_SET_GONE] = "gone",
                                        [NW_WORKING_SET_TIMEOUT] = "timeout",
                                        [NW_WORKING_SET_STOPPED] = "stopped" };
static const char *const end_text[] = { [NW_WORKING_SET_COMPLETE] = "complete",
                                        [NW_WORKING_SET_GONE] = "until the process ended",
                                        [NW_WORKING_SET_TIMEOUT] = "cut by the timeout",
                                        [NW_WORKING_SET_STOPPED] = "cut by the interruption" };

bool capture_range_parse(const char *text, struct nw_working_set_options *o)
{
    char *end;
    if (!strcmp(text, "largest") || !strcmp(text, "all")) {
        o->range = text[0] == 'l' ? NW_WORKING_SET_LARGEST : NW_WORKING_SET_ALL;
        return true;
    }
    o->range = NW_WORKING_SET_RANGE;
    o->start = strtoull(text, &end, 16);
    if (end == text || *end != '-')
        return false;
    text = end + 1;
    o->end = strtoull(text, &end, 16);
    return end != text && !*end && o->start < o->end && o->start % NW_PAGE_BYTES == 0 && o->end % NW_PAGE_BYTES == 0;
}

/* ---- what came out ---- */

/* Of pages that are not zeros. */
static double packing_ratio(const struct nw_working_set_contents *c)
{
    return c->packed_bytes ? (double)((c->pages - c->zeros) * NW_PAGE_BYTES) / (double)c->packed_bytes : 0;
}

static void json_pages(const char *name, uint64_t pages, bool known)
{
    if (known)
        printf(", \"%s\": %" PRIu64, name, pages);
}

static void print_json(const struct nw_working_set_options *o, const struct nw_working_set *set)
{
    printf("{ \"trace\": ");
    nw_cli_json_string(stdout, o->path);
    printf(", \"via\": \"%s\", \"what\": ", via_name[o->via]);
    nw_cli_json_string(stdout, set->what);
    printf(", \"means\": ");
    nw_cli_json_string(stdout, set->means);
    printf(", \"end\": \"%s\", \"knows_written\": %s, \"knows_accessed\": %s,\n  \"watched_pages\": %" PRIu64
           ", \"pages\": %" PRIu64 ", \"notes\": [",
           end_name[set->end], set->knows_written ? "true" : "false", set->knows_accessed ? "true" : "false",
           set->watched_pages, set->pages);
    for (unsigned i = 0; i < set->notes; i++) {
        printf("%s ", i ? "," : "");
        nw_cli_json_string(stdout, set->note[i]);
    }
    printf(" ],\n");
    const struct nw_working_set_contents *c = &set->contents;
    if (o->contents)
        printf("  \"contents\": { \"events\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"zeros\": %" PRIu64
               ", \"equal\": %" PRIu64 ", \"distinct\": %" PRIu64 ", \"packed_bytes\": %" PRIu64
               ", \"unreadable\": %" PRIu64 " },\n",
               c->events, c->pages, c->zeros, c->equal, c->distinct, c->packed_bytes, c->unreadable);
    printf("  \"intervals\": [");
    for (size_t i = 0; i < set->count; i++) {
        const struct nw_working_set_interval *n = &set->interval[i];
        printf("%s\n    { \"start_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64, i ? "," : "", n->start_ns, n->end_ns);
        json_pages("written_pages", n->written_pages, set->knows_written);
        json_pages("accessed_pages", n->accessed_pages, set->knows_accessed);
        json_pages("resident_pages", n->resident_pages, !nw_working_set_via_guest(o->via));
        json_pages("referenced_bytes", n->referenced_bytes, o->via == NW_WORKING_SET_CLEAR_REFS);
        printf(" }");
    }
    printf(" ] }\n");
}

static void count_cell(char *out, size_t size, uint64_t value, bool known)
{
    if (known)
        snprintf(out, size, "%" PRIu64, value);
    else
        snprintf(out, size, "-");
}

static void print_text(const struct nw_working_set_options *o, const struct nw_working_set *set)
{
    const bool process = !nw_working_set_via_guest(o->via);
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "start s", "length s", "written pages", "accessed pages",
                                                "working set MiB", "referenced MiB", "resident pages" },
                         (const bool[]){ true, true, true, true, true, true, true }, 7);
    for (size_t i = 0; i < set->count; i++) {
        const struct nw_working_set_interval *n = &set->interval[i];
        char cell[7][32];
        snprintf(cell[0], sizeof cell[0], "%.3f", (double)n->start_ns * 1e-9);
        snprintf(cell[1], sizeof cell[1], "%.3f", (double)(n->end_ns - n->start_ns) * 1e-9);
        count_cell(cell[2], sizeof cell[2], n->written_pages, set->knows_written);
        count_cell(cell[3], sizeof cell[3], n->accessed_pages, set->knows_accessed);
        if (set->knows_written || set->knows_accessed)
            snprintf(cell[4], sizeof cell[4], "%.1f", (double)(n->accessed_pages * NW_PAGE_BYTES) / (1 << 20));
        else
            snprintf(cell[4], sizeof cell[4], "-");
        if (o->via == NW_WORKING_SET_CLEAR_REFS)
            snprintf(cell[5], sizeof cell[5], "%.1f", (double)n->referenced_bytes / (1 << 20));
        else
            snprintf(cell[5], sizeof cell[5], "-");
        count_cell(cell[6], sizeof cell[6], n->resident_pages, process);
        nw_cli_table_row(t, (const char *const[]){ cell[0], cell[1], cell[2], cell[3], cell[4], cell[5], cell[6] });
    }
    nw_cli_table_print(t, stdout);
    printf("%s: %s\n  by %s; %zu intervals, %s", o->path, set->what, set->means, set->count, end_text[set->end]);
    if (set->knows_written || set->knows_accessed)
        printf("; %" PRIu64 " pages of the %" PRIu64 " watched (4 KiB each) were %s", set->pages, set->watched_pages,
               set->knows_accessed ? "accessed" : "written");
    printf("\n");
    const struct nw_working_set_contents *c = &set->contents;
    if (o->contents)
        printf("  contents of %" PRIu64 " pages: %" PRIu64 " are zeros, %" PRIu64 " equal another page, %" PRIu64
               " different ones in all; zstd makes those that are not zeros %.2f times smaller\n",
               c->pages, c->zeros, c->equal, c->distinct, packing_ratio(c));
    if (c->unreadable)
        printf("  note: %" PRIu64 " pages could not be read\n", c->unreadable);
    for (unsigned i = 0; i < set->notes; i++)
        printf("  note: %s\n", set->note[i]);
}

/* ---- recording ---- */

struct shown {
    struct nw_cli_progress progress;
    uint64_t wanted;
};

static bool show(void *context, uint64_t intervals, double seconds)
{
    struct shown *shown = context;
    (void)seconds;
    nw_cli_progress_update(&shown->progress, intervals, shown->wanted);
    return !nw_cli_interrupted();
}

int capture_working_set(const struct nw_command *self, const struct nw_capture_options *guest,
                        struct nw_working_set_options *o, bool json)
{
    struct nw_error err = { 0 };
    struct nw_working_set set;
    struct shown shown = { .wanted = o->intervals };
    nw_cli_catch_interrupts();
    o->progress = show;
    o->context = &shown;
    nw_cli_progress_start(&shown.progress, "capture", "intervals");
    enum nw_status s = nw_working_set_via_guest(o->via) ? nw_working_set_of_guest(guest, o, &set, &err)
                                                        : nw_working_set_of_process(o, &set, &err);
    nw_cli_progress_finish(&shown.progress);
    if (s)
        return nw_cli_fail(self, s, &err);
    (json ? print_json : print_text)(o, &set);
    const bool stopped = set.end == NW_WORKING_SET_STOPPED;
    nw_working_set_fini(&set);
    if (!stopped)
        return 0;
    s = nw_fail(&err, NW_ERR_INTERRUPTED, "interrupted; the trace is whole and holds what was recorded until then");
    return nw_cli_fail(self, s, &err);
}
