#include "reports_internal.h"
#include <nestwalk/iommu/amdvi_watch.h>
#include <nestwalk/iommu/vtd_watch.h>
#include <nestwalk/reports/survey.h>
#include <nestwalk/reports/vtd_walk.h>
#include <stdio.h>

/* ---- words -------------------------------------------------------------------------------------- */

const char *nw_survey_translation(enum nw_survey_kind kind, const struct nw_survey_domain *d)
{
    if (d->summary.identity)
        return "pass-through";
    return kind == NW_SURVEY_VTD ? nw_vtd_translation_name[d->summary.translation]
                                 : nw_amdvi_translation_name[d->summary.translation];
}

const char *nw_survey_reason(enum nw_survey_kind kind, unsigned reason)
{
    return kind == NW_SURVEY_VTD ? nw_vtd_fault_text(reason) : nw_amdvi_event_name(reason);
}

void nw_survey_requester_text(const struct nw_survey_requester *r, char out[32])
{
    char source[8];
    nw_vtd_source_text(r->source_id, source);
    if (r->has_pasid)
        snprintf(out, 32, "%s PASID 0x%x", source, r->pasid);
    else
        snprintf(out, 32, "%s", source);
}

/* Exact when that takes no more than four digits. */
void nw_survey_bytes_text(uint64_t bytes, char out[24])
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    unsigned u = 0, exact = 0;
    while (u + 1 < NW_ARRAY_LEN(unit) && bytes >> 10 * (u + 1))
        u++;
    while (exact < u && !(bytes & ((UINT64_C(1) << 10 * (exact + 1)) - 1)))
        exact++;
    if (bytes >> 10 * exact < 10000)
        snprintf(out, 24, "%llu %s", (unsigned long long)(bytes >> 10 * exact), unit[exact]);
    else
        snprintf(out, 24, "%.1f %s", (double)bytes / (double)(UINT64_C(1) << 10 * u), unit[u]);
}

static const char *rights_text(unsigned rights)
{
    static const char *const text[] = { "", "r", "w", "rw" };
    return text[rights & 3];
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static json_t *window_json(const struct nw_reach_window *w)
{
    json_t *o = json_object();
    if (json_put(o, "iova", json_hex(w->iova)) && json_put(o, "hpa", json_hex(w->target)) &&
        json_put(o, "bytes", json_count(w->bytes)) && json_put(o, "rights", json_text(rights_text(w->rights))))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *range_json(const struct nw_frame_range *r)
{
    json_t *o = json_object();
    if (json_put(o, "start", json_hex(r->start)) && json_put(o, "bytes", json_count(r->end - r->start)) &&
        json_put(o, "rights", json_text(rights_text(r->rights))))
        return o;
    json_decref(o);
    return NULL;
}

/* Ranges of memory up to `most`; *more: there are others. */
static bool put_memory(json_t *o, struct nw_survey_domain *d, unsigned most)
{
    json_t *list = json_array();
    struct nw_frame_range r;
    bool more = false, ok = json_put(o, "memory", list);
    for (uint64_t from = 0; ok && d->memory && nw_frame_set_next(d->memory, from, &r); from = r.end) {
        if (json_array_size(list) == most) {
            more = true;
            break;
        }
        ok = json_array_append_new(list, range_json(&r)) == 0;
    }
    return ok && json_put(o, "memory_more", json_boolean(more));
}

static json_t *domain_json(enum nw_survey_kind kind, struct nw_survey_domain *d, unsigned most)
{
    json_t *o = json_object(), *windows = json_array();
    const struct nw_reach_summary *s = &d->summary;
    bool ok = json_put(o, "translation", json_text(nw_survey_translation(kind, d))) &&
              json_put(o, "domain_id", json_integer(s->domain_id)) &&
              json_put(o, "root", s->identity ? json_null() : json_hex(s->root)) &&
              json_put(o, "second_root", s->second_root ? json_hex(s->second_root) : json_null()) &&
              json_put(o, "requesters", json_integer(d->requesters)) &&
              json_put(o, "reaches_everything", json_boolean(s->identity)) &&
              json_put(o, "readable_bytes",
                       s->identity ? json_null() : json_count(nw_frame_set_bytes(d->memory, NW_REACH_READ))) &&
              json_put(o, "writable_bytes",
                       s->identity ? json_null() : json_count(nw_frame_set_bytes(d->memory, NW_REACH_WRITE)));
    ok = json_put(o, "windows", windows) && ok;
    for (unsigned i = 0; ok && i < d->windows; i++)
        ok = json_array_append_new(windows, window_json(&d->window[i])) == 0;
    ok = ok && json_put(o, "windows_more", json_boolean(d->more)) && put_memory(o, d, most);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *requester_json(enum nw_survey_kind kind, const struct nw_survey_requester *r)
{
    json_t *o = json_object();
    char source[8];
    nw_vtd_source_text(r->source_id, source);
    if (json_put(o, "source", json_text(source)) &&
        json_put(o, "pasid", r->has_pasid ? json_integer(r->pasid) : json_null()) &&
        json_put(o, "domain", r->domain < 0 ? json_null() : json_integer(r->domain)) &&
        json_put(o, "fault", r->reason ? json_text(nw_survey_reason(kind, r->reason)) : json_null()))
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_survey_json_text(enum nw_survey_kind kind, struct nw_survey *s, unsigned most, char **out,
                                   struct nw_error *err)
{
    json_t *root = json_object(), *requesters = json_array(), *domains = json_array();
    bool ok = json_put(root, "nestwalk", json_text(NESTWALK_VERSION)) &&
              json_put(root, "unit", json_text(kind == NW_SURVEY_VTD ? "vtd" : "amdvi"));
    ok = json_put(root, "requesters", requesters) && ok;
    ok = json_put(root, "requesters_more", json_boolean(s->more)) && ok;
    ok = json_put(root, "domains", domains) && ok;
    for (size_t i = 0; ok && i < s->requesters; i++)
        ok = json_array_append_new(requesters, requester_json(kind, &s->requester[i])) == 0;
    for (size_t i = 0; ok && i < s->domains; i++)
        ok = json_array_append_new(domains, domain_json(kind, &s->domain[i], most)) == 0;
    struct text t = { 0 };
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    t.failed = t.failed || !ok;
    json_decref(root);
    return text_take(&t, out, "the survey's JSON", err);
}

/* ---- the picture -------------------------------------------------------------------------------- */

/* Requesters of one domain in a node: a picture of a thousand functions has no use for a thousand boxes. */
enum { NAMED_MAX = 8 };

static void draw_requesters(struct text *t, const struct nw_survey *s, int domain)
{
    char label[NAMED_MAX * 34 + 64];
    size_t used = 0;
    unsigned count = 0;
    for (size_t i = 0; i < s->requesters; i++) {
        char name[32];
        if (s->requester[i].domain != domain || count++ >= NAMED_MAX)
            continue;
        nw_survey_requester_text(&s->requester[i], name);
        used += (size_t)snprintf(label + used, sizeof label - used, "%s%s", used ? "\n" : "", name);
    }
    if (count > NAMED_MAX)
        snprintf(label + used, sizeof label - used, "\nand %u more", count - NAMED_MAX);
    text_printf(t, "  \"d%d_who\" [shape=box style=\"filled,rounded\" fillcolor=\"#dbe9f6\" class=\"requester\" label=",
                domain);
    dot_string(t, label);
    text_add(t, "];\n");
}

static void draw_windows(struct text *t, struct nw_survey_domain *d, int domain, unsigned most)
{
    for (unsigned i = 0; i < d->windows && i < most; i++) {
        const struct nw_reach_window *w = &d->window[i];
        char bytes[24], label[160];
        nw_survey_bytes_text(w->bytes, bytes);
        snprintf(label, sizeof label, "0x%llx\n%s, %s", (unsigned long long)w->target, bytes, rights_text(w->rights));
        text_printf(t, "  d%d_w%u [shape=box style=filled fillcolor=\"%s\" class=\"window %s\" label=", domain, i,
                    w->rights & NW_REACH_WRITE ? "#fdd0a2" : "#fff7ec", rights_text(w->rights));
        dot_string(t, label);
        snprintf(label, sizeof label, "0x%llx", (unsigned long long)w->iova);
        text_printf(t, "];\n  d%d -> d%d_w%u [label=", domain, domain, i);
        dot_string(t, label);
        text_add(t, "];\n");
    }
    if (d->windows > most || d->more) {
        text_printf(t, "  d%d_more [shape=plaintext class=\"more\" label=", domain);
        dot_string(t, d->more ? "and more windows" : "and the other windows");
        text_printf(t, "];\n  d%d -> d%d_more [style=dashed];\n", domain, domain);
    }
}

static void draw_domain(struct text *t, enum nw_survey_kind kind, struct nw_survey *s, int domain, unsigned most)
{
    struct nw_survey_domain *d = &s->domain[domain];
    char label[256], reads[24], writes[24];
    draw_requesters(t, s, domain);
    if (d->summary.identity) {
        snprintf(label, sizeof label, "domain 0x%x\npass-through", d->summary.domain_id);
        text_printf(t,
                    "  d%d [shape=ellipse style=filled fillcolor=\"#f68b3c\" class=\"domain identity\" label=", domain);
        dot_string(t, label);
        text_printf(
            t,
            "];\n  d%d_w0 [shape=box style=filled fillcolor=\"#f68b3c\" class=\"window\" label=\"all of memory\"];\n"
            "  d%d -> d%d_w0;\n",
            domain, domain, domain);
    } else {
        nw_survey_bytes_text(nw_frame_set_bytes(d->memory, NW_REACH_READ), reads);
        nw_survey_bytes_text(nw_frame_set_bytes(d->memory, NW_REACH_WRITE), writes);
        snprintf(label, sizeof label, "domain 0x%x\n%s at 0x%llx\nreads %s, writes %s", d->summary.domain_id,
                 nw_survey_translation(kind, d), (unsigned long long)d->summary.root, reads, writes);
        text_printf(t, "  d%d [shape=ellipse style=filled fillcolor=\"#d9efd3\" class=\"domain\" label=", domain);
        dot_string(t, label);
        text_add(t, "];\n");
        draw_windows(t, d, domain, most);
    }
    text_printf(t, "  d%d_who -> d%d;\n", domain, domain);
}

enum nw_status nw_survey_dot_text(enum nw_survey_kind kind, struct nw_survey *s, unsigned most, char **out,
                                  struct nw_error *err)
{
    struct text t = { 0 };
    bool refused = false;
    text_add(
        &t, "digraph iommu {\n  graph [layout=dot rankdir=LR bgcolor=transparent fontname=\"Helvetica\" fontsize=12];\n"
            "  node [fontname=\"Helvetica\" fontsize=9 penwidth=0.8];\n"
            "  edge [fontname=\"Helvetica\" fontsize=8 arrowsize=0.5 penwidth=0.8];\n");
    for (size_t i = 0; i < s->domains; i++)
        draw_domain(&t, kind, s, (int)i, most);
    for (size_t i = 0; i < s->requesters; i++)
        refused |= s->requester[i].domain < 0;
    if (refused) { /* those whose entries are broken */
        draw_requesters(&t, s, -1);
        text_add(&t, "  \"d-1_none\" [shape=plaintext class=\"fault\" label=\"every request faults\"];\n"
                     "  \"d-1_who\" -> \"d-1_none\" [style=dashed];\n");
    }
    text_add(&t, "}\n");
    return text_take(&t, out, "a drawing", err);
}
