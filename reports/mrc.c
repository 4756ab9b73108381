/* Miss-ratio curves as JSON and CSV. A curve is a staircase: only where it falls is written. */
#include "reports_internal.h"
#include <math.h>
#include <nestwalk/reports/mrc.h>
#include <stdlib.h>
#include <string.h>

const char *const nw_mrc_stream_name[NW_TLB_CLASS_COUNT] = { "data", "instruction", "unified" };

/* The curve's next step: *entries goes to where it falls below *misses, and *misses to there. false: it does not fall any more.
 * `*index` into c->misses begins as 0. */
static bool next_step(const struct nw_mrc_curve *c, size_t *index, uint64_t *entries, double *misses)
{
    bool first = *index == 0;
    while (++*index < c->misses_count || (first && *index == 1)) {
        /* The fewest entries whose point of the curve this is. */
        uint64_t n = (uint64_t)floor((double)(*index - 1) / c->rate) + 1;
        double here = nw_mrc_misses(c, n);
        if (first || here < *misses) {
            *entries = n;
            *misses = here;
            return true;
        }
    }
    return false;
}

static json_t *pair_json(uint64_t entries, double misses, bool exact)
{
    json_t *pair = json_array();
    if (pair && !json_array_append_new(pair, json_count(entries)) &&
        !json_array_append_new(pair, exact ? json_count((uint64_t)misses) : json_number(misses)))
        return pair;
    json_decref(pair);
    return NULL;
}

static json_t *steps_json(const struct nw_mrc_curve *c)
{
    json_t *list = json_array();
    uint64_t entries = 0;
    double misses = 0;
    for (size_t i = 0; list && next_step(c, &i, &entries, &misses);)
        if (json_array_append_new(list, pair_json(entries, misses, !c->sampled))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static bool put_points(json_t *row, const struct nw_mrc_curve *c)
{
    json_t *list = json_array();
    bool ok = json_put(row, "points", list);
    for (size_t i = 0; ok && i < c->point_count; i++) {
        const struct nw_mrc_point *p = &c->point[i];
        json_t *point = json_object();
        ok = !json_array_append_new(list, point) && json_put(point, "entries", json_count(p->entries)) &&
             json_put(point, "misses", json_number(p->misses)) && json_put(point, "low", json_number(p->low)) &&
             json_put(point, "high", json_number(p->high));
    }
    return ok;
}

static bool put_curve(json_t *row, const struct nw_mrc_curve *c)
{
    return json_put(row, "stream", json_text(nw_mrc_stream_name[c->stream])) &&
           json_put(row, "page_bytes", json_count(NW_BIT(c->page_log2))) &&
           json_put(row, "sets", json_count(c->sets)) && json_put(row, "sampled", json_boolean(c->sampled)) &&
           json_put(row, "rate", json_number(c->rate)) && json_put(row, "references", json_count(c->references)) &&
           json_put(row, "changes", json_count(c->changes)) && json_put(row, "pages", json_count(c->pages)) &&
           json_put(row, "complete", json_boolean(c->complete)) && json_put(row, "misses", steps_json(c)) &&
           (!c->sampled || put_points(row, c));
}

static bool put_array(json_t *row, const struct nw_mrc_report *r, const struct nw_mrc_machine_array *a)
{
    const struct nw_mrc_curve *c = nw_mrc_find(r->result, a->stream, a->page_log2, a->sets, false);
    return json_put(row, "name", json_text(a->name)) &&
           json_put(row, "stream", json_text(nw_mrc_stream_name[a->stream])) &&
           json_put(row, "page_bytes", json_count(NW_BIT(a->page_log2))) &&
           json_put(row, "sets", json_count(a->sets)) && json_put(row, "ways", json_count(a->ways)) &&
           json_put(row, "misses", c ? json_count((uint64_t)nw_mrc_misses(c, a->ways)) : json_null()) &&
           json_put(row, "references", c ? json_count(c->references) : json_null());
}

static bool put_working_set(json_t *row, const struct nw_mrc_working_set *w)
{
    json_t *pages = json_array(), *average = json_array();
    bool ok = json_put(row, "stream", json_text(nw_mrc_stream_name[w->stream])) &&
              json_put(row, "page_bytes", json_count(NW_BIT(w->page_log2)));
    ok = json_put(row, "pages", pages) && ok;
    ok = json_put(row, "average", average) && ok;
    for (size_t i = 0; ok && i < w->window_count; i++)
        ok = !json_array_append_new(pages, json_count(w->pages[i]));
    for (size_t i = 0; ok && i < w->average_count; i++)
        ok = !json_array_append_new(average, json_number(w->average[i]));
    return ok;
}

static bool put_all(json_t *root, const struct nw_mrc_report *r)
{
    const struct nw_mrc_result *result = r->result;
    json_t *curves = json_array(), *arrays = json_array(), *sets = json_array();
    bool ok = json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) && json_put(root, "trace", json_text(r->trace)) &&
              json_put(root, "trace_sha256", json_text(r->trace_sha256)) &&
              json_put(root, "machine", json_text(r->machine)) && json_put(root, "seed", json_count(r->seed)) &&
              json_put(root, "accesses", json_count(result->accesses)) &&
              json_put(root, "address_spaces", json_count(result->address_spaces));
    ok = json_put(root, "curves", curves) && ok;
    ok = json_put(root, "arrays", arrays) && ok;
    for (size_t i = 0; ok && i < result->curve_count; i++) {
        json_t *row = json_object();
        ok = !json_array_append_new(curves, row) && put_curve(row, &result->curve[i]);
    }
    for (size_t i = 0; ok && i < r->array_count; i++) {
        json_t *row = json_object();
        ok = !json_array_append_new(arrays, row) && put_array(row, r, &r->array[i]);
    }
    ok = ok && json_put(root, "window_accesses", json_count(result->window_accesses));
    ok = json_put(root, "working_sets", sets) && ok;
    for (size_t i = 0; ok && i < result->working_set_count; i++) {
        json_t *row = json_object();
        ok = !json_array_append_new(sets, row) && put_working_set(row, &result->working_set[i]);
    }
    return ok;
}

enum nw_status nw_mrc_json_text(const struct nw_mrc_report *report, char **out, struct nw_error *err)
{
    json_t *root = json_object();
    struct text t = { 0 };
    bool ok = root && put_all(root, report);
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    json_decref(root);
    return ok ? text_take(&t, out, "the curves' JSON", err) : nw_fail_nomem(err, "the curves' JSON");
}

/* ---- CSV ---- */

static void csv_line(struct text *t, const struct nw_mrc_curve *c, uint64_t entries, double misses,
                     const struct nw_mrc_point *p)
{
    char number[3][32];
    real_text(misses, number[0]);
    text_printf(t, "%s,%llu,%u,%s,%llu,%s,%llu", nw_mrc_stream_name[c->stream],
                (unsigned long long)NW_BIT(c->page_log2), c->sets, c->sampled ? "sampled" : "exact",
                (unsigned long long)entries * c->sets, number[0], (unsigned long long)c->references);
    real_text(c->references ? misses / (double)c->references : NAN, number[0]);
    real_text(p ? p->low : misses, number[1]);
    real_text(p ? p->high : misses, number[2]);
    text_printf(t, ",%s,%s,%s\n", number[0], number[1], number[2]);
}

enum nw_status nw_mrc_csv_text(const struct nw_mrc_report *report, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "stream,page_bytes,sets,kind,entries,misses,references,miss_ratio,low,high\n");
    for (size_t k = 0; k < report->result->curve_count; k++) {
        const struct nw_mrc_curve *c = &report->result->curve[k];
        uint64_t entries = 0;
        double misses = 0;
        for (size_t i = 0; c->sampled && i < c->point_count; i++)
            csv_line(&t, c, c->point[i].entries, c->point[i].misses, &c->point[i]);
        for (size_t i = 0; !c->sampled && next_step(c, &i, &entries, &misses);)
            csv_line(&t, c, entries, misses, NULL);
    }
    return text_take(&t, out, "the curves' CSV", err);
}
