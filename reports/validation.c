/* validation.c - several checks as one document and one page. See validation.h. */
#include "reports_internal.h"
#include <nestwalk/reports/validation.h>
#include <string.h>

const char *const nw_validated_result_name[NW_VALIDATED_RESULTS] = { [NW_VALIDATED_HOLDS] = "holds",
                                                                     [NW_VALIDATED_MISSED] = "missed",
                                                                     [NW_VALIDATED_NOT_CHECKED] = "not checked",
                                                                     [NW_VALIDATED_FAILED] = "failed" };

bool nw_validation_holds(const struct nw_validated *v, size_t count)
{
    bool any = false, no = false;
    for (size_t i = 0; i < count; i++) {
        any |= v[i].result == NW_VALIDATED_HOLDS;
        no |= v[i].result == NW_VALIDATED_MISSED || v[i].result == NW_VALIDATED_FAILED;
    }
    return any && !no;
}

/* A new reference; JSON's null for a check that has none. */
static enum nw_status document_of(const struct nw_validated *v, json_t **out, struct nw_error *err)
{
    json_error_t why;
    *out = v->document ? json_loads(v->document, 0, &why) : json_null();
    return *out ? NW_OK : nw_fail(err, NW_ERR_INTERNAL, "the document of %s: %s", v->name, why.text);
}

/* ---- JSON ---- */

static bool add_regimes(json_t *regimes, const char *check, const json_t *document)
{
    size_t i;
    const json_t *each;
    bool ok = true;
    json_array_foreach(json_object_get(document, "regimes"), i, each)
    {
        json_t *row = json_object();
        ok = ok && row && json_put(row, "check", json_text(check)) &&
             !json_object_update(row, (json_t *)(uintptr_t)each) && !json_array_append(regimes, row);
        json_decref(row);
    }
    return ok;
}

static enum nw_status add_check(json_t *checks, json_t *regimes, const struct nw_validated *v, struct nw_error *err)
{
    json_t *document, *row = json_object();
    enum nw_status s = document_of(v, &document, err);
    if (!s && !(row && add_regimes(regimes, v->name, document) && json_put(row, "name", json_text(v->name)) &&
                json_put(row, "summary", json_text(v->summary)) &&
                json_put(row, "result", json_text(nw_validated_result_name[v->result])) &&
                json_put(row, "reason", json_text(v->reason)) && !json_object_set(row, "document", document) &&
                !json_array_append(checks, row)))
        s = nw_fail_nomem(err, "the checks' JSON");
    json_decref(document);
    json_decref(row);
    return s;
}

enum nw_status nw_validation_json_text(const struct nw_validated *v, size_t count, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *checks = json_array(), *regimes = json_array();
    struct text t = { 0 };
    enum nw_status s = root && checks && regimes ? NW_OK : nw_fail_nomem(err, "the checks' JSON");
    for (size_t i = 0; i < count && !s; i++)
        s = add_check(checks, regimes, &v[i], err);
    if (!s && (!json_put(root, "holds", json_boolean(nw_validation_holds(v, count))) ||
               json_object_set(root, "regimes", regimes) || json_object_set(root, "checks", checks)))
        s = nw_fail_nomem(err, "the checks' JSON");
    if (!s) {
        json_write(&t, root);
        s = text_take(&t, out, "the checks' JSON", err);
    }
    json_decref(regimes);
    json_decref(checks);
    json_decref(root);
    return s;
}

/* ---- page ---- */

static void add_summary(struct text *t, const struct nw_validated *v, size_t count)
{
    text_add(t, "<table><thead><tr><th>check</th><th>result</th><th>what</th><th>files</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < count; i++) {
        const bool bad = v[i].result == NW_VALIDATED_MISSED || v[i].result == NW_VALIDATED_FAILED;
        text_printf(t, "<tr><td><a href=\"#%s\">%s</a></td><td>%s%s%s</td><td>", v[i].name, v[i].name,
                    bad ? "<strong>" : "", nw_validated_result_name[v[i].result], bad ? "</strong>" : "");
        text_add_html(t, v[i].summary);
        text_add(t, "</td><td>");
        for (size_t f = 0; f < NW_VALIDATED_FILES && v[i].file[f]; f++) {
            text_add(t, f ? ", <a href=\"" : "<a href=\"");
            text_add_html(t, v[i].file[f]);
            text_add(t, "\">");
            text_add_html(t, v[i].file[f]);
            text_add(t, "</a>");
        }
        text_add(t, "</td></tr>\n");
    }
    text_add(t, "</tbody></table>\n");
}

static void add_percent(struct text *t, const json_t *value)
{
    if (json_is_number(value))
        text_printf(t, "<td>%.1f %%</td>", json_number_value(value));
    else
        text_add(t, "<td></td>");
}

static void add_regime_rows(struct text *t, const json_t *regimes)
{
    size_t i;
    const json_t *each;
    text_add(t, "<table><thead><tr><th>regime</th><th>points</th><th>median error</th><th>worst</th><th>claim</th>"
                "<th>holds</th></tr></thead><tbody>\n");
    json_array_foreach(regimes, i, each)
    {
        const char *name = json_string_value(json_object_get(each, "name")),
                   *claim = json_string_value(json_object_get(each, "claim"));
        text_add(t, "<tr><td>");
        text_add_html(t, name ? name : "");
        text_printf(t, "</td><td>%lld</td>", (long long)json_integer_value(json_object_get(each, "points")));
        add_percent(t, json_object_get(each, "median_error_percent"));
        add_percent(t, json_object_get(each, "max_error_percent"));
        text_add(t, "<td>");
        text_add_html(t, claim ? claim : "");
        text_printf(t, "</td><td>%s</td></tr>\n",
                    !claim || !*claim                              ? ""
                    : json_is_true(json_object_get(each, "holds")) ? "yes"
                                                                   : "<strong>no</strong>");
    }
    text_add(t, "</tbody></table>\n");
}

static enum nw_status add_section(struct text *t, const struct nw_validated *v, struct nw_error *err)
{
    json_t *document;
    enum nw_status s = document_of(v, &document, err);
    if (s)
        return s;
    text_printf(t, "<section id=\"%s\"><h2>%s: %s</h2>\n", v->name, v->name, nw_validated_result_name[v->result]);
    if (v->reason && *v->reason) {
        text_add(t, "<p>");
        text_add_html(t, v->reason);
        text_add(t, "</p>\n");
    }
    const json_t *regimes = json_object_get(document, "regimes");
    if (json_array_size(regimes))
        add_regime_rows(t, regimes);
    text_add(t, "</section>\n");
    json_decref(document);
    return NW_OK;
}

enum nw_status nw_validation_html_text(const struct nw_validated *v, size_t count, const char *machine, char **out,
                                       struct nw_error *err)
{
    struct text t = { 0 };
    enum nw_status s = NW_OK;
    text_add(&t, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                 "content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
                 "<title>nestwalk validate all</title><style>\n");
    text_add(&t, (const char *)nw_asset_style);
    text_add(&t,
             "\n</style></head><body><header><p class=\"brand\">nestwalk</p><h1>The checks of this machine</h1><p>");
    text_add_html(&t, machine);
    text_printf(&t, "</p></header><main><section><h2>%s</h2>\n",
                nw_validation_holds(v, count) ? "What could be checked holds" : "Not everything holds");
    add_summary(&t, v, count);
    text_add(&t, "</section>\n");
    for (size_t i = 0; i < count && !s; i++)
        s = add_section(&t, &v[i], err);
    text_add(&t, "</main></body></html>\n");
    if (s) {
        text_free(&t);
        return s;
    }
    return text_take(&t, out, "the checks' page", err);
}
