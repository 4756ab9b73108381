/* A check of KVM's walks as JSON. */
#include "reports_internal.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/walk_check.h>

static json_t *regime_json(const struct nw_walk_check *c)
{
    const double error = c->walks ? 100 * (double)c->differing / (double)c->walks : 0;
    json_t *row = json_object();
    if (row && json_put(row, "name", json_text("walks")) && json_put(row, "points", json_count(c->walks)) &&
        json_put(row, "median_error_percent", json_number(2 * c->differing > c->walks ? 100 : 0)) &&
        json_put(row, "max_error_percent", json_number(c->differing ? 100 : 0)) &&
        json_put(row, "differing_percent", json_number(error)) &&
        json_put(row, "claim", json_text("each walk reads the same entries at the same levels in the same order")) &&
        json_put(row, "holds", json_boolean(!c->differing)))
        return row;
    json_decref(row);
    return NULL;
}

enum nw_status nw_walk_check_json_text(const struct nw_walk_check *c, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *regimes = json_array(), *points = json_array();
    struct text t = { 0 };
    bool ok = root && regimes && points && !json_array_append_new(regimes, regime_json(c));
    for (size_t i = 0; i < NW_ARRAY_LEN(c->walks_by_length) && ok; i++) {
        json_t *row = json_object();
        ok = row && json_put(row, "regime", json_text("walks")) && json_put(row, "entries", json_count(i)) &&
             json_put(row, "walks", json_count(c->walks_by_length[i])) && !json_array_append(points, row);
        json_decref(row);
    }
    ok = ok && json_put(root, "holds", json_boolean(!c->differing)) && json_put(root, "walks", json_count(c->walks)) &&
         json_put(root, "entries", json_count(c->entries)) && json_put(root, "differing", json_count(c->differing)) &&
         json_put(root, "difference", json_text(c->difference)) && !json_object_set(root, "regimes", regimes) &&
         !json_object_set(root, "points", points);
    if (ok)
        json_write(&t, root);
    json_decref(points);
    json_decref(regimes);
    json_decref(root);
    return ok ? text_take(&t, out, "the check's JSON", err) : nw_fail_nomem(err, "the check's JSON");
}
