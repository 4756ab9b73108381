/* reclaim.c - see reclaim.h. */
#include "reports_internal.h"
#include <nestwalk/reports/reclaim.h>

static bool put_counts(json_t *o, const struct nw_reclaim_row *row)
{
    return json_put(o, "accesses", json_count(row->accesses)) && json_put(o, "faults", json_count(row->faults));
}

static json_t *row_json(const struct nw_reclaim_row *row)
{
    json_t *o = json_object();
    if (o && json_put(o, "policy", json_text(row->policy)) && json_put(o, "frames", json_count(row->frames)) &&
        put_counts(o, row))
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_reclaim_json_text(const struct nw_reclaim_row *row, size_t count, bool several, char **out,
                                    struct nw_error *err)
{
    json_t *root = json_object(), *list = json_array();
    struct text t = { 0 };
    bool ok = root && list;
    for (size_t i = 0; ok && several && i < count; i++)
        ok = !json_array_append_new(list, row_json(&row[i]));
    ok = ok && (several ? !json_object_set(root, "results", list) : put_counts(root, row));
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    json_decref(list);
    json_decref(root);
    return ok ? text_take(&t, out, "the faults' JSON", err) : nw_fail_nomem(err, "the faults' JSON");
}
