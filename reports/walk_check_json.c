/* The checks of a live capture as JSON. */
#include "reports_internal.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/walk_check.h>

/* Of `points` things compared, so many differ. */
static bool put_regime(json_t *regimes, const char *name, const char *claim, uint64_t points, uint64_t differing)
{
    json_t *row = json_object();
    const bool ok =
        row && json_put(row, "name", json_text(name)) && json_put(row, "points", json_count(points)) &&
        json_put(row, "median_error_percent", json_number(2 * differing > points ? 100 : 0)) &&
        json_put(row, "max_error_percent", json_number(differing ? 100 : 0)) &&
        json_put(row, "differing_percent", json_number(points ? 100 * (double)differing / (double)points : 0)) &&
        json_put(row, "claim", json_text(claim)) && json_put(row, "holds", json_boolean(!differing)) &&
        !json_array_append(regimes, row);
    json_decref(row);
    return ok;
}

static bool put_walks(json_t *root, json_t *regimes, json_t *points, const struct nw_walk_check *c)
{
    bool ok =
        !c || put_regime(regimes, "walks", "each walk reads the same entries at the same levels in the same order",
                         c->walks, c->differing);
    for (size_t i = 0; c && i < NW_ARRAY_LEN(c->walks_by_length) && ok; i++) {
        json_t *row = json_object();
        ok = row && json_put(row, "regime", json_text("walks")) && json_put(row, "entries", json_count(i)) &&
             json_put(row, "walks", json_count(c->walks_by_length[i])) && !json_array_append(points, row);
        json_decref(row);
    }
    return ok && json_put(root, "walks", c ? json_count(c->walks) : json_null()) &&
           json_put(root, "entries", c ? json_count(c->entries) : json_null()) &&
           json_put(root, "differing", c ? json_count(c->differing) : json_null()) &&
           json_put(root, "difference", c ? json_text(c->difference) : json_null());
}

static json_t *same_json(const struct nw_same_pages *p)
{
    json_t *o = json_object();
    const bool w = p->order_watched;
    if (o && json_put(o, "instructions", json_count(p->instructions)) &&
        json_put(o, "order_equal", w ? json_boolean(p->order_equal) : json_null()) &&
        json_put(o, "fetched", w ? json_count(p->fetched) : json_null()) &&
        json_put(o, "pages", w ? json_count(p->pages) : json_null()) &&
        json_put(o, "order_native", w ? json_hex(p->order_native) : json_null()) &&
        json_put(o, "order_captured", w ? json_hex(p->order_captured) : json_null()) &&
        json_put(o, "contents_equal", json_boolean(p->contents_equal)) &&
        json_put(o, "memory_pages", json_count(p->memory_pages)) &&
        json_put(o, "differing_pages", json_count(p->differing_pages)) &&
        json_put(o, "contents_native", json_hex(p->contents_native)) &&
        json_put(o, "contents_captured", json_hex(p->contents_captured)) &&
        json_put(o, "difference", json_text(p->difference)))
        return o;
    json_decref(o);
    return NULL;
}

static bool put_pages(json_t *root, json_t *regimes, const struct nw_same_pages *p)
{
    return (!p || !p->order_watched ||
            put_regime(regimes, "order of pages",
                       "under capture and at native speed the same pages are fetched in the same order", p->fetched,
                       !p->order_equal)) &&
           (!p || put_regime(regimes, "contents of pages",
                             "all pages hold the same at the end under capture and at native speed", p->memory_pages,
                             p->differing_pages)) &&
           json_put(root, "same_pages", p ? same_json(p) : json_null());
}

enum nw_status nw_walk_check_json_text(const struct nw_walk_check *c, const struct nw_same_pages *same, char **out,
                                       struct nw_error *err)
{
    json_t *root = json_object(), *regimes = json_array(), *points = json_array();
    struct text t = { 0 };
    const bool holds =
        (!c || !c->differing) && (!same || (same->contents_equal && (!same->order_watched || same->order_equal)));
    const bool ok = root && regimes && points && json_put(root, "holds", json_boolean(holds)) &&
                    put_walks(root, regimes, points, c) && put_pages(root, regimes, same) &&
                    !json_object_set(root, "regimes", regimes) && !json_object_set(root, "points", points);
    if (ok)
        json_write(&t, root);
    json_decref(points);
    json_decref(regimes);
    json_decref(root);
    return ok ? text_take(&t, out, "the check's JSON", err) : nw_fail_nomem(err, "the check's JSON");
}
