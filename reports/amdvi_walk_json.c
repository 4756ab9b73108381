#include "reports_internal.h"
#include <nestwalk/reports/amdvi_walk.h>
#include <nestwalk/reports/vtd_walk.h>
#include <stdio.h>

void nw_amdvi_rights_text(const struct nw_amdvi_request *q, unsigned rights, char out[4])
{
    snprintf(out, 4, "%s%s%s", rights & NW_AMDVI_RIGHT_READ ? "r" : "", rights & NW_AMDVI_RIGHT_WRITE ? "w" : "",
             q->has_pasid && (rights & NW_AMDVI_RIGHT_EXECUTE) ? "x" : "");
}

static json_t *read_json(unsigned n, const struct nw_amdvi_read *r)
{
    char what[48], decoded[256];
    nw_amdvi_read_name(r, what, sizeof what);
    nw_amdvi_read_decode(r, decoded, sizeof decoded);
    json_t *o = json_object();
    bool ok = json_put(o, "n", json_integer((json_int_t)n)) && json_put(o, "what", json_text(what)) &&
              json_put(o, "level", r->level ? json_integer(r->level) : json_null()) &&
              json_put(o, "address", json_hex(r->address)) &&
              json_put(o, "entry", r->readable ? json_hex(r->value) : json_null()) &&
              json_put(o, "decoded", json_text(decoded));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *event_json(const struct nw_amdvi_event *e)
{
    json_t *o = json_object();
    bool ok = json_put(o, "reason", json_text(nw_amdvi_event_name(e->code))) &&
              json_put(o, "flags", json_hex(e->flags)) && json_put(o, "text", json_text(nw_amdvi_event_text(e))) &&
              json_put(o, "remedy", json_text(nw_amdvi_event_remedy(e))) &&
              json_put(o, "recorded", json_boolean(e->logged));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static bool put_outcome(json_t *root, const struct nw_amdvi_request *q, const struct nw_amdvi_result *r)
{
    const bool fault = r->event.code != 0;
    char rights[4];
    nw_amdvi_rights_text(q, r->rights, rights);
    return json_put(root, "translation", fault ? json_null() : json_text(nw_amdvi_translation_name[r->translation])) &&
           json_put(root, "domain_id", fault ? json_null() : json_integer(r->domain_id)) &&
           json_put(root, "hpa", fault ? json_null() : json_hex(r->hpa.v)) &&
           json_put(root, "page_bytes",
                    fault || r->page_log2 >= 64 ? json_null() : json_count(UINT64_C(1) << r->page_log2)) &&
           json_put(root, "rights", fault ? json_null() : json_text(rights)) &&
           json_put(root, "fault", fault ? event_json(&r->event) : json_null());
}

enum nw_status nw_amdvi_walk_json_text(const struct nw_amdvi_request *q, const struct nw_amdvi_watch *watch,
                                       const struct nw_amdvi_result *r, char **out, struct nw_error *err)
{
    static const char *const access[] = { "read", "write", "atomic" };
    char source[8];
    json_t *root = json_object(), *reads = json_array();
    nw_vtd_source_text(q->device_id, source);
    bool ok = json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) && json_put(root, "source", json_text(source)) &&
              json_put(root, "pasid", q->has_pasid ? json_integer(q->pasid) : json_null()) &&
              json_put(root, "iova", json_hex(q->address)) &&
              json_put(root, "access", json_text(q->execute ? "execute" : access[q->kind])) &&
              json_put(root, "outcome", json_text(r->event.code ? "fault" : "translated"));
    ok = json_put(root, "reads", reads) && ok; /* takes `reads` in any case */
    for (unsigned i = 0; ok && i < watch->count && i < NW_AMDVI_READS_MAX; i++)
        ok = json_array_append_new(reads, read_json(i + 1, &watch->read[i])) == 0;
    ok = ok && put_outcome(root, q, r);
    struct text t = { 0 };
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    t.failed = t.failed || !ok;
    json_decref(root);
    return text_take(&t, out, "the walk's JSON", err);
}
