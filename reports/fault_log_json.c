/* Explained faults as JSON. */
#include "reports_internal.h"
#include <nestwalk/reports/fault_log.h>
#include <stdio.h>

static json_t *device(const struct nw_logged_fault *f)
{
    char text[24];
    if (!f->has_device)
        return json_null();
    snprintf(text, sizeof text, "%04x:%02x:%02x.%x", f->segment, f->bdf >> 8, f->bdf >> 3 & 31u, f->bdf & 7u);
    return json_text(f->has_segment ? text : text + 5);
}

static json_t *texts(const char *const *list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count && array; i++)
        if (json_array_append_new(array, json_text(list[i]))) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static json_t *group_json(const struct nw_fault_group *g, const struct nw_fault_account *a)
{
    const struct nw_logged_fault *f = &g->fault;
    const char *about[NW_FAULT_TEXTS_MAX];
    for (size_t i = 0; i < a->abouts; i++)
        about[i] = a->about[i];
    const char *entry[NW_FAULT_ENTRIES_MAX];
    for (size_t i = 0; i < a->entries; i++)
        entry[i] = a->entry[i];
    json_t *o = json_object();
    bool ok = o && json_put(o, "title", json_text(a->title)) &&
              json_put(o, "source",
                       json_text(f->source == NW_FAULT_AMD             ? "amd-vi"
                                 : f->source == NW_FAULT_VTD_INTERRUPT ? "vt-d interrupt"
                                                                       : "vt-d dma")) &&
              json_put(o, "device", device(f)) && json_put(o, "write", json_boolean(f->write)) &&
              json_put(o, "pasid", f->has_pasid ? json_count(f->pasid) : json_null()) &&
              json_put(o, "reason",
                       f->source == NW_FAULT_AMD ? json_text(nw_amd_event_name[f->reason]) : json_hex(f->reason)) &&
              json_put(o, "address", f->has_address ? json_hex(f->address) : json_null()) &&
              json_put(o, "lowest", f->has_address ? json_hex(g->lowest) : json_null()) &&
              json_put(o, "highest", f->has_address ? json_hex(g->highest) : json_null()) &&
              json_put(o, "count", json_count(g->count)) && json_put(o, "first_line", json_count(g->first_line)) &&
              json_put(o, "last_line", json_count(g->last_line)) && json_put(o, "meaning", json_text(a->meaning)) &&
              json_put(o, "about", texts(about, a->abouts)) && json_put(o, "entries", texts(entry, a->entries)) &&
              json_put(o, "causes", texts(a->cause, a->causes)) && json_put(o, "actions", texts(a->action, a->actions));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_fault_log_json_text(const struct nw_fault_log *log, const struct nw_fault_account *account,
                                      char **out, struct nw_error *err)
{
    json_t *root = json_object(), *faults = json_array();
    struct text t = { 0 };
    bool ok = root && faults && json_put(root, "lines", json_count(log->lines)) &&
              json_put(root, "understood", json_count(log->understood));
    for (size_t i = 0; i < log->count && ok; i++)
        ok = !json_array_append_new(faults, group_json(&log->group[i], &account[i]));
    ok = ok && !json_object_set(root, "faults", faults);
    if (ok)
        json_write(&t, root);
    json_decref(faults);
    json_decref(root);
    return ok ? text_take(&t, out, "the faults' JSON", err) : nw_fail_nomem(err, "the faults' JSON");
}
