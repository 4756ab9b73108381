/* A machine as JSON. */
#include "reports_internal.h"
#include <nestwalk/reports/host.h>
#include <string.h>

static const char *const class_name[] = {
    [NW_TLB_DATA] = "data", [NW_TLB_INSTRUCTION] = "instruction", [NW_TLB_UNIFIED] = "unified"
};

static json_t *tlb_json(const struct nw_host_tlb *t)
{
    json_t *o = json_object(), *pages = json_array();
    bool ok = o && pages;
    if (ok && (t->pages & NW_HOLDS_4K))
        ok = !json_array_append_new(pages, json_text("4K"));
    if (ok && (t->pages & NW_HOLDS_2M))
        ok = !json_array_append_new(pages, json_text("2M"));
    if (ok && (t->pages & NW_HOLDS_1G))
        ok = !json_array_append_new(pages, json_text("1G"));
    ok = ok && json_put(o, "level", json_count(t->level)) && json_put(o, "class", json_text(class_name[t->class])) &&
         !json_object_set(o, "pages", pages) && json_put(o, "entries", json_count(t->entries)) &&
         json_put(o, "ways", json_count(t->ways)) && json_put(o, "stores_only", json_boolean(t->stores_only)) &&
         json_put(o, "source", json_text(t->source));
    json_decref(pages);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *cache_json(const struct nw_host_cache *c)
{
    json_t *o = json_object();
    bool ok = o && json_put(o, "level", json_count(c->level)) && json_put(o, "data", json_boolean(c->data)) &&
              json_put(o, "instructions", json_boolean(c->instructions)) &&
              json_put(o, "bytes", json_count(c->bytes)) && json_put(o, "ways", json_count(c->ways)) &&
              json_put(o, "line_bytes", json_count(c->line_bytes)) && json_put(o, "source", json_text(c->source));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *lines_json(const char line[NW_HOST_LINES][NW_HOST_TEXT], size_t count)
{
    json_t *o = json_array();
    bool ok = o;
    for (size_t i = 0; i < count && ok; i++)
        ok = !json_array_append_new(o, json_text(line[i]));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *features_json(const struct nw_host *h)
{
    const struct {
        const char *name;
        bool value;
    } list[] = { { "nx", h->nx },
                 { "page_1g", h->page_1g },
                 { "la57", h->la57 },
                 { "pcid", h->pcid },
                 { "invpcid", h->invpcid },
                 { "smep", h->smep },
                 { "smap", h->smap },
                 { "pku", h->pku },
                 { "vmx", h->vmx },
                 { "svm", h->svm },
                 { "nested_paging", h->nested_paging } };
    json_t *o = json_object();
    bool ok = o && json_put(o, "physical_address_bits", json_count(h->physical_bits)) &&
              json_put(o, "linear_address_bits", json_count(h->linear_bits));
    for (size_t i = 0; i < NW_ARRAY_LEN(list) && ok; i++)
        ok = json_put(o, list[i].name, json_boolean(list[i].value));
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_host_json_text(const struct nw_host *h, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *tlbs = json_array(), *caches = json_array();
    struct text t = { 0 };
    bool ok = root && tlbs && caches && json_put(root, "vendor", json_text(h->vendor)) &&
              json_put(root, "model", json_text(h->model_name)) && json_put(root, "family", json_count(h->family)) &&
              json_put(root, "model_number", json_count(h->model)) &&
              json_put(root, "stepping", json_count(h->stepping)) && json_put(root, "features", features_json(h)) &&
              json_put(root, "hypervisor", h->hypervisor[0] ? json_text(h->hypervisor) : json_null()) &&
              json_put(root, "core_mhz", json_number(h->core_mhz)) &&
              json_put(root, "capabilities", lines_json(h->capability, h->capabilities)) &&
              json_put(root, "not_read", lines_json(h->unread, h->unreads)) &&
              json_put(root, "kvm", h->kvm[0] ? json_text(h->kvm) : json_null()) &&
              json_put(root, "huge_pages", h->huge_pages[0] ? json_text(h->huge_pages) : json_null()) &&
              json_put(root, "tsc_mhz", h->tsc_mhz > 0 ? json_number(h->tsc_mhz) : json_null()) &&
              json_put(root, "near_profile", h->near ? json_text(h->near) : json_null());
    for (size_t i = 0; i < h->tlbs && ok; i++)
        ok = !json_array_append_new(tlbs, tlb_json(&h->tlb[i]));
    for (size_t i = 0; i < h->caches && ok; i++)
        ok = !json_array_append_new(caches, cache_json(&h->cache[i]));
    ok = ok && !json_object_set(root, "tlbs", tlbs) && !json_object_set(root, "caches", caches);
    if (ok)
        json_write(&t, root);
    json_decref(caches);
    json_decref(tlbs);
    json_decref(root);
    return ok ? text_take(&t, out, "the machine's JSON", err) : nw_fail_nomem(err, "the machine's JSON");
}
