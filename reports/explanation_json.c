#include "reports_internal.h"
#include <nestwalk/reports/draw.h>
#include <stdio.h>

static json_t *lookups_json(const struct nw_explanation *x, unsigned first, unsigned count)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (unsigned i = first; ok && i < first + count && i < x->lookup_count; i++) {
        const struct nw_explained_lookup *l = x->lookup + i;
        json_t *o = json_object();
        ok = json_array_append_new(list, o) == 0 && json_put(o, "cache", json_text(l->cache)) &&
             json_put(o, "dimension", json_text(l->nested ? "nested" : "guest")) &&
             json_put(o, "address", json_hex(l->address)) && json_put(o, "hit", json_boolean(l->hit));
    }
    if (ok)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *fault_json(const struct nw_explained_fault *f)
{
    json_t *o = json_object(), *bits = json_array();
    const bool code = f->code_name[0] != 0;
    bool ok = json_put(o, "kind", json_text(f->kind)) &&
              json_put(o, "code_name", code ? json_text(f->code_name) : json_null()) &&
              json_put(o, "code", code ? json_hex(f->code) : json_null()) &&
              json_put(o, "address_name", json_text(f->address_name)) && json_put(o, "address", json_hex(f->address)) &&
              json_put(o, "dimension",
                       json_text(f->nested   ? "nested"
                                 : f->shadow ? "shadow"
                                             : "guest")) &&
              json_put(o, "level", f->level >= 0 ? json_integer(f->level) : json_null());
    ok = json_put(o, "bits", bits) && ok;
    for (unsigned i = 0; ok && i < f->bit_count; i++) {
        json_t *b = json_object();
        ok = json_array_append_new(bits, b) == 0 && json_put(b, "bit", json_integer(f->bit[i].bit)) &&
             json_put(b, "name", json_text(f->bit[i].name)) && json_put(b, "set", json_boolean(f->bit[i].set)) &&
             json_put(b, "meaning", json_text(f->bit[i].meaning));
    }
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *reference_json(const struct nw_explanation *x, const struct nw_explained_reference *r)
{
    json_t *o = json_object();
    bool ok = o && json_put(o, "n", json_integer((json_int_t)r->n)) &&
              json_put(o, "dimension", json_text(nw_explained_dimension(r))) &&
              json_put(o, "level", json_integer((json_int_t)r->level)) && json_put(o, "table", json_text(r->table)) &&
              json_put(o, "address", json_hex(r->address)) &&
              json_put(o, "guest_address", json_hex(r->guest_address)) && json_put(o, "entry", json_hex(r->entry)) &&
              json_put(o, "decoded", json_text(r->decoded)) &&
              json_put(o, "found_in", r->found_in[0] ? json_text(r->found_in) : json_null()) &&
              json_put(o, "cycles", json_count(r->cycles)) &&
              json_put(o, "skipped_by", r->skipped_by[0] ? json_text(r->skipped_by) : json_null()) &&
              json_put(o, "why", r->why[0] ? json_text(r->why) : json_null()) &&
              json_put(o, "lookups", lookups_json(x, r->first_lookup, r->lookup_count));
    /* which address is being translated: that of a guest table, or (level null) of the data */
    if (ok && r->nested)
        ok = json_put(o, "for_guest_level", r->for_guest_level >= 0 ? json_integer(r->for_guest_level) : json_null());
    if (!ok) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* One walk: everything but what the configuration says. */
static bool put_walk(json_t *root, const struct nw_explanation *x)
{
    json_t *list = json_array(), *totals = json_object();
    bool mapped = x->page_bytes != 0;
    bool ok = json_put(root, "references", list);
    ok = json_put(root, "totals", totals) && ok;
    ok = ok && json_put(root, "gva", json_hex(x->gva)) && json_put(root, "outcome", json_text(x->outcome)) &&
         json_put(root, "fault", x->fault.kind ? fault_json(&x->fault) : json_null()) &&
         json_put(root, "gpa", mapped ? json_hex(x->gpa) : json_null()) &&
         json_put(root, "hpa", mapped ? json_hex(x->hpa) : json_null()) &&
         json_put(root, "page_bytes", mapped ? json_count(x->page_bytes) : json_null());
    for (unsigned i = 0; ok && i < x->reference_count; i++)
        ok = json_array_append_new(list, reference_json(x, x->reference + i)) == 0;
    return ok && json_put(totals, "references", json_integer((json_int_t)x->references)) &&
           json_put(totals, "references_guest", json_integer((json_int_t)x->references_guest)) &&
           (!x->references_shadow ||
            json_put(totals, "references_shadow", json_integer((json_int_t)x->references_shadow))) &&
           json_put(totals, "references_nested", json_integer((json_int_t)x->references_nested)) &&
           json_put(totals, "cycles", json_count(x->cycles));
}

enum nw_status nw_explanation_json_text(const struct nw_explanation *x, const struct nw_explanation *upper,
                                        const struct nw_config *config, char **out, struct nw_error *err)
{
    json_t *root = json_object();
    bool ok = root && json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) &&
              json_put(root, "mode", json_text(config->mode < NW_MODE_COUNT ? nw_mode_name[config->mode] : "")) &&
              json_put(root, "machine", json_text(config->machine)) && put_walk(root, x);
    json_t *next = !ok ? NULL : upper ? json_object() : json_null();
    ok = ok && json_put(root, "upper_page", next) && (!upper || put_walk(next, upper));
    struct text t = { 0 };
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    t.failed = t.failed || !ok;
    json_decref(root);
    return text_take(&t, out, "the explanation's JSON", err);
}
