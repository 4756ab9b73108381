#include "reports_internal.h"
#include <math.h>
#include <nestwalk/reports/comparison.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers as text ---- */

static void with_separators(uint64_t count, char *out, size_t out_size)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    size_t used = 0;
    for (int i = 0; i < n && used + 2 < out_size; i++) {
        if (i && (n - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = 0;
}

/* Four significant digits and a power of 1000. */
static void scaled(double v, char *out, size_t out_size)
{
    static const char *const suffix[] = { "", " k", " M", " G", " T", " P", " E" };
    size_t i = 0;
    while (fabs(v) >= 999.95 && i + 1 < NW_ARRAY_LEN(suffix)) {
        v /= 1000;
        i++;
    }
    int decimals = fabs(v) >= 99.995 ? 1 : fabs(v) >= 9.9995 ? 2 : 3;
    snprintf(out, out_size, "%.*f%s", decimals, v, suffix[i]);
}

void nw_format_count(uint64_t count, unsigned width, char *out, size_t out_size)
{
    char exact[32];
    with_separators(count, exact, sizeof exact);
    if (strlen(exact) <= width)
        snprintf(out, out_size, "%s", exact);
    else
        scaled((double)count, out, out_size);
}

static void format_real(double v, char *out, size_t out_size)
{
    if (!isfinite(v))
        snprintf(out, out_size, "-");
    else if (fabs(v) >= 99999.5)
        scaled(v, out, out_size);
    else
        snprintf(out, out_size, "%.*f", fabs(v) >= 1000 ? 0 : 2, v);
}

static void format_change(double percent, char *out, size_t out_size)
{
    if (percent == 0)
        snprintf(out, out_size, "=");
    else if (percent >= 900)
        snprintf(out, out_size, percent >= 99950 ? "x%.0f" : "x%.1f", 1 + percent / 100);
    else if (fabs(percent) < 0.05)
        snprintf(out, out_size, percent > 0 ? "+0.0%%" : "-0.0%%");
    else
        snprintf(out, out_size, "%+.1f%%", percent);
}

/* ---- which rows ---- */

/* The figures of interest, in the order shown; a "*" stands for one name. Rows that are 0 or absent everywhere are left out unless `always`: what a replay is
   asked for. Several guests are replayed for other figures, and none is theirs always. */
static const struct interest {
    const char *path, *label; /* %s in the label: the name that the star stood for */
    bool rule_above, always;
} interest[] = {
    { "accesses.total", "accesses", false, true },
    { "cycles.base", "base cycles", true, true },
    { "cycles.translation", "translation cycles", false, true },
    { "cycles.exits", "exit cycles", false, true },
    { "cycles.total", "total cycles", false, true },
    { "overhead_percent", "overhead, percent", false, true },
    { "tlb.*.misses", "%s TLB misses", true, false },
    { "walks.count", "page walks", true, true },
    { "walks.references", "references", false, true },
    { "walks.references_guest", "- of the guest's tables", false, false },
    { "walks.references_nested", "- of the second stage", false, false },
    { "walks.references_per_walk", "references per walk", false, true },
    { "walks.cycles", "walk cycles", false, false },
    { "walks.dirty_assists", "walks to set dirty", false, false },
    { "psc.*.hits", "%s cache hits", true, false },
    { "nested_tlb.hits", "nested TLB hits", false, false },
    { "faults.*", "%s", true, false },
    { "exits.*.count", "exits: %s", true, false },
    { "exits.*.cycles", "exit cycles: %s", false, false },
    { "cycles.exits_direct", "exit cycles, direct", false, false },
    { "cycles.exits_synchronous", "exit cycles, synchronous", false, false },
    { "cycles.exits_indirect", "exit cycles, indirect", false, false },
    { "shadow.fills", "shadow entries made", false, false },
    { "shadow.table_writes", "trapped table writes", false, false },
    { "shadow.syncs", "shadow entries synced", false, false },
    { "cycles.io", "I/O cycles", true, false },
    { "iommu.packets", "packets, requests", false, false },
    { "iommu.cycles_per_packet", "cycles a packet", false, false },
    { "iommu.unit_ns_per_packet", "unit's ns a packet", false, false },
    { "iommu.misses_per_page", "IOTLB misses a page", false, false },
    { "iommu.references_per_page", "table reads a page", false, false },
    { "iommu.throughput_gbps", "throughput, Gb/s", false, false },
    { "iommu.link_percent", "of the link, percent", false, false },
    { "iommu.exposed_ns", "exposure, page ns", false, false },
    { "iommu.exposed_max_ns", "- longest, ns", false, false },
    { "iommu.stale_uses", "stale DMA requests", false, false },
    { "memory.*_pages", "%s pages", true, false },
    { "guests.out_of_memory", "guests out of memory", true, false },
    { "guests.slowdown_mean", "slowdown, mean", false, false },
    { "guests.slowdown_worst", "slowdown, worst", false, false },
    { "host.time_ns", "time, ns", false, false },
    { "reclaim.pages", "pages reclaimed", false, false },
    { "swap.in", "pages swapped in", false, false },
    { "swap.out", "pages swapped out", false, false },
    { "balloon.inflated", "pages ballooned", false, false },
    { "balloon.reported", "free pages reported", false, false },
    { "sharing.saved_most", "frames saved, most", false, false },
    { "sharing.store_own_ns", "store to an own page, ns", false, false },
    { "sharing.store_shared_ns", "store to a shared one, ns", false, false },
    { "pathologies.*", "%s", false, false },
};

/* Does `path` fit the pattern? *name: what the star stood for. */
static bool path_fits(const char *pattern, const char *path, char *name, size_t name_size)
{
    const char *star = strchr(pattern, '*');
    name[0] = 0;
    if (!star)
        return !strcmp(pattern, path);
    size_t head = (size_t)(star - pattern), tail = strlen(star + 1), length = strlen(path);
    if (length <= head + tail || strncmp(pattern, path, head) != 0 || strcmp(path + length - tail, star + 1) != 0)
        return false;
    snprintf(name, name_size, "%.*s", (int)(length - head - tail), path + head);
    return !strchr(name, '.');
}

static bool row_exists(const struct nw_comparison *c, const char *path)
{
    for (size_t i = 0; i < c->row_count; i++)
        if (!strcmp(c->row[i].path, path))
            return true;
    return false;
}

static void fill_cell(struct nw_comparison_cell *cell, const struct nw_run_metric *m, const struct nw_run_metric *base,
                      unsigned width)
{
    *cell = (struct nw_comparison_cell){ .change_percent = NAN, .text = "-" };
    if (!m)
        return;
    cell->present = true;
    cell->value = nw_run_metric_value(m);
    if (m->type == NW_METRIC_COUNT)
        nw_format_count(m->count, width, cell->text, sizeof cell->text);
    else
        format_real(m->real, cell->text, sizeof cell->text);
    if (!base || base == m)
        return;
    double from = nw_run_metric_value(base);
    if (cell->value == from)
        cell->change_percent = 0;
    else if (from != 0)
        cell->change_percent = 100 * (cell->value - from) / fabs(from);
    if (isfinite(cell->change_percent))
        format_change(cell->change_percent, cell->change, sizeof cell->change);
}

/* Exact numbers take up to 12 columns where they fit; a fourth run takes the place they need. */
static unsigned value_width(size_t runs) { return runs <= NW_COMPARISON_OTHERS_MAX ? 12 : 8; }

static bool add_row(struct nw_comparison *c, size_t *capacity, const struct nw_run *runs, const char *path)
{
    if (c->row_count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 32;
        struct nw_comparison_row *grown = reallocarray(c->row, more, sizeof *grown);
        if (!grown)
            return false;
        c->row = grown;
        *capacity = more;
    }
    struct nw_comparison_row *row = c->row + c->row_count;
    *row = (struct nw_comparison_row){ .cell = calloc(c->run_count, sizeof *row->cell) };
    if (!row->cell)
        return false;
    c->row_count++;
    snprintf(row->path, sizeof row->path, "%s", path);
    const struct nw_run_metric *base = nw_run_metric(runs, path);
    for (size_t i = 0; i < c->run_count; i++) {
        const struct nw_run_metric *m = nw_run_metric(runs + i, path);
        fill_cell(row->cell + i, m, base, value_width(c->run_count));
        row->differs =
            row->differs || !m != !base || (m && base && nw_run_metric_value(m) != nw_run_metric_value(base));
        if (m && !row->unit[0])
            utf8_copy(row->unit, sizeof row->unit, m->unit);
    }
    return true;
}

static bool all_zero(const struct nw_run *runs, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (nw_run_value(runs + i, path, 0) != 0)
            return false;
    return true;
}

static bool only_guests(const struct nw_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(runs[i].mode, "guests") != 0)
            return false;
    return true;
}

static bool add_interest(struct nw_comparison *c, size_t *capacity, const struct nw_run *runs)
{
    bool rule = false, guests = only_guests(runs, c->run_count);
    for (size_t p = 0; p < NW_ARRAY_LEN(interest); p++) {
        const struct interest *want = interest + p;
        rule = rule || want->rule_above;
        for (size_t r = 0; r < c->run_count; r++)
            for (size_t i = 0; i < runs[r].metric_count; i++) {
                char name[64];
                const char *path = runs[r].metric[i].path;
                if (!path_fits(want->path, path, name, sizeof name) || row_exists(c, path) ||
                    ((!want->always || guests) && all_zero(runs, c->run_count, path)))
                    continue;
                if (!add_row(c, capacity, runs, path))
                    return false;
                struct nw_comparison_row *row = c->row + c->row_count - 1;
                for (char *underscore = name; (underscore = strchr(underscore, '_')) != NULL;)
                    *underscore = ' ';
                snprintf(row->label, sizeof row->label, want->label, name); // NOLINT: formats are ours, above
                row->rule_above = rule && c->row_count > 1;
                rule = false;
            }
    }
    return true;
}

static bool add_all(struct nw_comparison *c, size_t *capacity, const struct nw_run *runs)
{
    for (size_t r = 0; r < c->run_count; r++)
        for (size_t i = 0; i < runs[r].metric_count; i++) {
            const char *path = runs[r].metric[i].path;
            if (row_exists(c, path))
                continue;
            if (!add_row(c, capacity, runs, path))
                return false;
            struct nw_comparison_row *row = c->row + c->row_count - 1;
            utf8_copy(row->label, sizeof row->label, path);
            const char *before = c->row_count > 1 ? row[-1].path : path;
            row->rule_above =
                strcspn(before, ".") != strcspn(path, ".") || strncmp(before, path, strcspn(path, ".")) != 0;
        }
    return true;
}

/* Headings that tell the runs apart: titles, with the run's number in front when two runs share one. */
static void make_headings(struct nw_comparison *c, const struct nw_run *runs)
{
    bool ambiguous = false;
    for (size_t i = 0; i < c->run_count; i++)
        for (size_t j = 0; j < i; j++)
            ambiguous = ambiguous || !strcmp(nw_run_title(runs + i), nw_run_title(runs + j));
    for (size_t i = 0; i < c->run_count; i++) {
        char numbered[128];
        long long number = runs[i].id ? (long long)runs[i].id : (long long)i + 1;
        snprintf(numbered, sizeof numbered, "#%lld %s", number, nw_run_title(runs + i));
        utf8_copy(c->heading[i], sizeof c->heading[i], ambiguous ? numbered : nw_run_title(runs + i));
    }
}

enum nw_status nw_report_comparison(const struct nw_run *runs, size_t count, enum nw_compare_scope scope,
                                    struct nw_comparison *out, struct nw_error *err)
{
    struct nw_comparison c = { .run_count = count, .heading = calloc(count + 1, sizeof *c.heading) };
    size_t capacity = 0;
    bool ok = c.heading != NULL;
    if (ok && count) {
        make_headings(&c, runs);
        ok = scope == NW_COMPARE_ALL ? add_all(&c, &capacity, runs) : add_interest(&c, &capacity, runs);
    }
    if (!ok) {
        nw_comparison_fini(&c);
        return nw_fail_nomem(err, "a comparison");
    }
    *out = c;
    return NW_OK;
}

void nw_comparison_fini(struct nw_comparison *c)
{
    for (size_t i = 0; i < c->row_count; i++)
        free(c->row[i].cell);
    free(c->row);
    free(c->heading);
    *c = (struct nw_comparison){ 0 };
}

/* ---- machine-readable forms ---- */

static json_t *row_json(const struct nw_comparison *c, const struct nw_comparison_row *row)
{
    json_t *object = json_object(), *values = json_array(), *changes = json_array();
    bool ok = object && json_put(object, "path", json_text(row->path)) &&
              json_put(object, "unit", json_text(row->unit)) && json_put(object, "values", values) &&
              json_put(object, "change_percent", changes);
    for (size_t i = 0; ok && i < c->run_count; i++) {
        const struct nw_comparison_cell *cell = row->cell + i;
        bool whole = cell->value == floor(cell->value) && fabs(cell->value) < 0x1p53;
        ok = json_array_append_new(values, !cell->present ? json_null()
                                           : whole        ? json_integer((json_int_t)cell->value)
                                                          : json_number(cell->value)) == 0 &&
             json_array_append_new(changes, json_number(cell->change_percent)) == 0;
    }
    ok = ok && json_put(object, "differs", json_boolean(row->differs));
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

enum nw_status nw_comparison_json_text(const struct nw_run *runs, size_t count, const struct nw_comparison *c,
                                       char **out, struct nw_error *err)
{
    json_t *root = runs_json(runs, count), *comparison = json_object(), *rows = json_array();
    bool ok = root && json_put(root, "comparison", comparison) &&
              json_put(comparison, "base", json_text(count ? c->heading[0] : "")) && json_put(comparison, "rows", rows);
    for (size_t i = 0; ok && i < c->row_count; i++)
        ok = json_array_append_new(rows, row_json(c, c->row + i)) == 0;
    struct text t = { 0 };
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    t.failed = t.failed || !ok;
    json_decref(root);
    return text_take(&t, out, "the comparison's JSON", err);
}

enum nw_status nw_comparison_csv_text(const struct nw_comparison *c, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "metric,unit");
    for (size_t i = 0; i < c->run_count; i++) {
        text_add(&t, ",");
        text_add_csv(&t, c->heading[i]);
    }
    for (size_t i = 1; i < c->run_count; i++) {
        char heading[64];
        snprintf(heading, sizeof heading, "%s change percent", c->heading[i]);
        text_add(&t, ",");
        text_add_csv(&t, heading);
    }
    text_add(&t, "\n");
    for (size_t r = 0; r < c->row_count; r++) {
        const struct nw_comparison_row *row = c->row + r;
        text_add_csv(&t, row->path);
        text_add(&t, ",");
        text_add_csv(&t, row->unit);
        for (size_t i = 0; i < 2 * c->run_count - 1; i++) {
            const struct nw_comparison_cell *cell = row->cell + (i < c->run_count ? i : i - c->run_count + 1);
            double v = i < c->run_count ? cell->value : cell->change_percent;
            char number[32] = "";
            if (cell->present && isfinite(v))
                real_text(v, number);
            text_printf(&t, ",%s", number);
        }
        text_add(&t, "\n");
    }
    return text_take(&t, out, "the comparison's CSV", err);
}
