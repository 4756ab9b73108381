#include "reports_internal.h"
#include <nestwalk/reports/draw.h>
#include <stdio.h>

/* Addresses and entries as hexadecimal text: an entry may have bit 63 set, which JSON numbers do not hold exactly. */
static json_t *hex(uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
    return json_text(text);
}

static json_t *reference_json(const struct nw_explained_reference *r)
{
    json_t *o = json_object();
    bool ok = o && json_put(o, "n", json_integer((json_int_t)r->n)) &&
              json_put(o, "dimension", json_text(r->nested ? "nested" : "guest")) &&
              json_put(o, "level", json_integer((json_int_t)r->level)) && json_put(o, "table", json_text(r->table)) &&
              json_put(o, "address", hex(r->address)) && json_put(o, "guest_address", hex(r->guest_address)) &&
              json_put(o, "entry", hex(r->entry)) && json_put(o, "decoded", json_text(r->decoded)) &&
              json_put(o, "found_in", r->found_in[0] ? json_text(r->found_in) : json_null()) &&
              json_put(o, "cycles", json_count(r->cycles)) &&
              json_put(o, "skipped_by", r->skipped_by[0] ? json_text(r->skipped_by) : json_null());
    /* which address is being translated: that of a guest table, or (level null) of the data */
    if (ok && r->nested)
        ok = json_put(o, "for_guest_level", r->for_guest_level >= 0 ? json_integer(r->for_guest_level) : json_null());
    if (!ok) {
        json_decref(o);
        return NULL;
    }
    return o;
}

enum nw_status nw_explanation_json_text(const struct nw_explanation *x, const struct nw_config *config, char **out,
                                        struct nw_error *err)
{
    json_t *root = json_object(), *list = json_array(), *totals = json_object();
    bool ok = root && json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) &&
              json_put(root, "mode", json_text(config->mode < NW_MODE_COUNT ? nw_mode_name[config->mode] : "")) &&
              json_put(root, "machine", json_text(config->machine)) && json_put(root, "gva", hex(x->gva)) &&
              json_put(root, "outcome", json_text(x->outcome));
    bool mapped = x->page_bytes != 0;
    ok = ok && json_put(root, "gpa", mapped ? hex(x->gpa) : json_null()) &&
         json_put(root, "hpa", mapped ? hex(x->hpa) : json_null()) &&
         json_put(root, "page_bytes", mapped ? json_count(x->page_bytes) : json_null()) &&
         json_put(root, "references", list) && json_put(root, "totals", totals);
    for (unsigned i = 0; ok && i < x->reference_count; i++)
        ok = json_array_append_new(list, reference_json(x->reference + i)) == 0;
    ok = ok && json_put(totals, "references", json_integer((json_int_t)x->references)) &&
         json_put(totals, "references_guest", json_integer((json_int_t)x->references_guest)) &&
         json_put(totals, "references_nested", json_integer((json_int_t)x->references_nested)) &&
         json_put(totals, "cycles", json_count(x->cycles));
    struct text t = { 0 };
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    t.failed = t.failed || !ok;
    json_decref(root);
    return text_take(&t, out, "the explanation's JSON", err);
}
