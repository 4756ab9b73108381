/* proof_json.c - what was proved of an intent, and the requests that show findings. docs/iommu-intent.md describes both. */
#include "reports_internal.h"
#include <nestwalk/iommu/proof.h>
#include <nestwalk/reports/vtd_walk.h>
#include <stdio.h>

enum { RANGES_TOLD = 1024 }; /* of memory, of one subject */

static json_t *device_json(const struct nw_proved_device *d)
{
    char source[8], text[16];
    json_t *o = json_object();
    nw_vtd_source_text(d->source_id, source);
    snprintf(text, sizeof text, "%04x:%s", d->segment, source);
    if (json_put(o, "device", json_text(text)) &&
        json_put(o, "pasid", d->has_pasid ? json_integer(d->pasid) : json_null()))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *rights_json(unsigned rights)
{
    static const char *const text[] = { "", "r", "w", "rw" };
    return json_text(text[rights & 3]);
}

static json_t *range_json(const struct nw_frame_range *r)
{
    json_t *o = json_object();
    if (json_put(o, "start", json_hex(r->start)) && json_put(o, "bytes", json_count(r->end - r->start)) &&
        json_put(o, "rights", rights_json(r->rights)))
        return o;
    json_decref(o);
    return NULL;
}

static bool put_memory(json_t *o, const struct nw_proved_subject *s)
{
    json_t *list = json_array();
    struct nw_frame_range r;
    bool more = false, ok = json_put(o, "memory", list);
    for (uint64_t from = 0; ok && !more && s->memory && nw_frame_set_next(s->memory, from, &r); from = r.end) {
        more = json_array_size(list) == RANGES_TOLD;
        ok = more || json_array_append_new(list, range_json(&r)) == 0;
    }
    return ok && json_put(o, "memory_more", json_boolean(more));
}

static json_t *subject_json(const struct nw_intent *in, const struct nw_proved_subject *s)
{
    json_t *o = json_object(), *devices = json_array();
    char owner[64];
    nw_intent_owner_text(in, s->owner, owner, sizeof owner);
    bool ok = json_put(o, "devices", devices);
    for (size_t i = 0; ok && i < s->devices; i++)
        ok = json_array_append_new(devices, device_json(&s->device[i])) == 0;
    ok = ok && json_put(o, "named", json_boolean(s->owner >= 0)) && json_put(o, "owner", json_text(owner)) &&
         json_put(o, "translation", json_text(s->translation)) &&
         json_put(o, "reaches_everything", s->everything ? rights_json(s->everything) : json_null()) &&
         json_put(o, "fault", *s->reason ? json_text(s->reason) : json_null()) &&
         json_put(o, "readable_bytes", s->everything ? json_null() : json_count(s->read_bytes)) &&
         json_put(o, "readable_ranges", s->everything ? json_null() : json_count(s->read_ranges)) &&
         json_put(o, "writable_bytes", s->everything ? json_null() : json_count(s->write_bytes)) &&
         json_put(o, "writable_ranges", s->everything ? json_null() : json_count(s->write_ranges)) &&
         put_memory(o, s) && json_put(o, "findings", json_count(s->findings)) &&
         json_put(o, "as_intended", s->unchecked ? json_null() : json_boolean(!s->findings));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

json_t *proof_json(const struct nw_intent *in, const struct nw_proved *proved)
{
    json_t *o = json_object(), *list = json_array();
    bool ok = json_put(o, "intent", json_text(in->file)) && json_put(o, "name", json_text(in->name));
    ok = json_put(o, "subjects", list) && ok;
    for (size_t i = 0; ok && i < proved->subjects; i++)
        ok = json_array_append_new(list, subject_json(in, &proved->subject[i])) == 0;
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *entry_json(const struct nw_iommu_witness_entry *e)
{
    json_t *o = json_object();
    if (json_put(o, "what", json_text(e->what)) && json_put(o, "address", json_hex(e->address)) &&
        json_put(o, "value", json_hex(e->value)) && json_put(o, "decoded", json_text(e->decoded)))
        return o;
    json_decref(o);
    return NULL;
}

json_t *witness_json(const struct nw_iommu_witness *w)
{
    json_t *o = device_json(&(struct nw_proved_device){ w->segment, w->source_id, w->has_pasid, w->pasid });
    json_t *entries = json_array();
    bool ok = o && json_put(o, "access", json_text(w->write ? "write" : "read")) &&
              json_put(o, "iova", json_hex(w->iova)) && json_put(o, "hpa", json_hex(w->hpa));
    ok = json_put(o, "entries", entries) && ok;
    for (unsigned i = 0; ok && i < w->entries; i++)
        ok = json_array_append_new(entries, entry_json(&w->entry[i])) == 0;
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}
