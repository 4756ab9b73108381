/* findings.c - see nestwalk/reports/findings.h. */
#include "reports_internal.h"
#include <nestwalk/reports/findings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys ---------------------------------------------------------------------------------------- */

/* FNV-1a of the texts, each with its end. */
static uint64_t hash(uint64_t h, const char *text)
{
    do
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    while (*text++);
    return h;
}

void nw_finding_key(const struct nw_checked_input *input, const struct nw_iommu_finding *f, char out[17])
{
    uint64_t h = hash(UINT64_C(0xcbf29ce484222325), f->rule->id);
    h = hash(hash(hash(h, input->kind), f->where), f->detail);
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}

static enum nw_status take_json(json_t *root, bool ok, char **out, const char *what, struct nw_error *err)
{
    struct text t = { 0 };
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    t.failed = t.failed || !ok;
    json_decref(root);
    return text_take(&t, out, what, err);
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static json_t *input_json(const struct nw_checked_input *in)
{
    json_t *o = json_object();
    if (json_put(o, "file", json_text(in->file)) && json_put(o, "kind", json_text(in->kind)) &&
        (!in->line || json_put(o, "line", json_count(in->line))) &&
        json_put(o, "structures", json_count(in->structures)))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *finding_json(const struct nw_checked_input *in, const struct nw_iommu_finding *f)
{
    json_t *o = json_object();
    char key[17];
    nw_finding_key(in, f, key);
    if (json_put(o, "rule", json_text(f->rule->id)) &&
        json_put(o, "severity", json_text(nw_iommu_severity_name(f->severity))) &&
        json_put(o, "title", json_text(f->rule->title)) && json_put(o, "file", json_text(in->file)) &&
        json_put(o, "where", json_text(f->where)) &&
        json_put(o, f->line ? "line" : "offset", json_count(f->line ? f->line : f->offset)) &&
        json_put(o, "detail", json_text(f->detail)) && json_put(o, "remedy", json_text(f->rule->remedy)) &&
        json_put(o, "source", json_text(f->rule->source)) && json_put(o, "key", json_text(key)) &&
        (!f->witness || json_put(o, "witness", witness_json(f->witness))))
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_findings_json_text(const struct nw_checked_input *input, size_t inputs,
                                     const struct nw_iommu_findings *found, const bool *accepted, char **out,
                                     struct nw_error *err)
{
    json_t *root = json_object(), *ins = json_array(), *list = json_array();
    bool ok = json_put(root, "inputs", ins);
    ok = json_put(root, "findings", list) && ok;
    for (size_t i = 0; ok && i < inputs; i++) {
        ok = json_array_append_new(ins, input_json(&input[i])) == 0;
        for (size_t j = input[i].first; ok && j < input[i].first + input[i].count; j++)
            if (!accepted || !accepted[j])
                ok = json_array_append_new(list, finding_json(&input[i], &found->at[j])) == 0;
    }
    if (found->proved)
        ok = ok && json_put(root, "proof", proof_json(found->intent, found->proved));
    return take_json(root, ok, out, "the findings' JSON", err);
}

/* ---- SARIF --------------------------------------------------------------------------------------- */

static const char *level_of(enum nw_iommu_severity s)
{
    return s == NW_IOMMU_ERROR ? "error" : s == NW_IOMMU_WARNING ? "warning" : "note";
}

/* { "text": ... } */
static json_t *message(const char *text)
{
    json_t *o = json_object();
    if (json_put(o, "text", json_text(text)))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *rule_json(const struct nw_iommu_rule *r)
{
    json_t *o = json_object(), *configuration = json_object();
    char full[1200];
    snprintf(full, sizeof full, "%s %s Source: %s.", r->what, r->why, r->source);
    bool ok = json_put(configuration, "level", json_text(level_of(r->severity)));
    ok = json_put(o, "id", json_text(r->id)) && json_put(o, "shortDescription", message(r->title)) &&
         json_put(o, "fullDescription", message(full)) && json_put(o, "help", message(r->remedy)) && ok;
    ok = json_put(o, "defaultConfiguration", configuration) && ok;
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* A relative path as a URI reference: what such a reference may not have is escaped. */
static json_t *uri(const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    struct text t = { 0 };
    json_t *o = NULL;
    for (; *path; path++)
        if (strchr(plain, *path))
            text_add_bytes(&t, path, 1);
        else
            text_printf(&t, "%%%02X", (unsigned char)*path);
    char *out = NULL;
    if (!text_take(&t, &out, "a path", NULL))
        o = json_text(out);
    free(out);
    return o;
}

static json_t *location_json(const struct nw_checked_input *in, const struct nw_iommu_finding *f)
{
    json_t *o = json_object(), *physical = json_object(), *artifact = json_object(), *region = json_object();
    json_t *logical = json_array(), *place = json_object();
    const uint64_t line = f->line ? f->line : in->line;
    bool ok = json_put(artifact, "uri", uri(in->file));
    ok = (line ? json_put(region, "startLine", json_count(line))
               : json_put(region, "byteOffset", json_count(f->offset))) &&
         ok;
    ok = json_put(physical, "artifactLocation", artifact) && ok;
    ok = json_put(physical, "region", region) && ok;
    ok = json_put(o, "physicalLocation", physical) && ok;
    ok = json_put(place, "fullyQualifiedName", json_text(f->where)) && ok;
    ok = json_array_append_new(logical, place) == 0 && ok;
    ok = json_put(o, "logicalLocations", logical) && ok;
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *result_json(const struct nw_checked_input *in, const struct nw_iommu_finding *f, size_t rule,
                           bool accepted)
{
    json_t *o = json_object(), *locations = json_array(), *prints = json_object();
    char key[17], text[sizeof f->where + sizeof f->detail + 2];
    nw_finding_key(in, f, key);
    snprintf(text, sizeof text, "%s: %s", f->where, f->detail);
    bool ok = json_put(o, "ruleId", json_text(f->rule->id)) && json_put(o, "ruleIndex", json_count(rule)) &&
              json_put(o, "level", json_text(level_of(f->severity))) && json_put(o, "message", message(text));
    ok = json_array_append_new(locations, location_json(in, f)) == 0 && ok;
    ok = json_put(o, "locations", locations) && ok;
    ok = json_put(prints, "finding/v1", json_text(key)) && ok;
    ok = json_put(o, "partialFingerprints", prints) && ok;
    if (accepted) {
        json_t *list = json_array(), *one = json_object();
        ok = json_put(one, "kind", json_text("external")) && ok;
        ok = json_array_append_new(list, one) == 0 && ok;
        ok = json_put(o, "suppressions", list) && ok;
    }
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

/* Its place among the rules that found something; they are told in the order of the table. */
static size_t index_of(const bool *used, const struct nw_iommu_rule *rule)
{
    size_t n = 0;
    for (size_t i = 0; &nw_iommu_rules[i] != rule; i++)
        n += used[i];
    return n;
}

enum nw_status nw_findings_sarif_text(const struct nw_checked_input *input, size_t inputs,
                                      const struct nw_iommu_findings *found, const bool *accepted, char **out,
                                      struct nw_error *err)
{
    json_t *root = json_object(), *runs = json_array(), *run = json_object(), *tool = json_object(),
           *driver = json_object();
    json_t *rules = json_array(), *results = json_array();
    bool *used = calloc(nw_iommu_rule_count, sizeof *used);
    bool ok = used && json_put(root, "$schema", json_text("https://json.schemastore.org/sarif-2.1.0.json")) &&
              json_put(root, "version", json_text("2.1.0"));
    ok = json_put(driver, "name", json_text("nestwalk")) && ok;
    ok = json_put(driver, "version", json_text(NESTWALK_VERSION)) && ok;
    ok = json_put(driver, "rules", rules) && ok;
    ok = json_put(tool, "driver", driver) && ok;
    ok = json_put(run, "tool", tool) && ok;
    ok = json_put(run, "results", results) && ok;
    ok = json_array_append_new(runs, run) == 0 && ok;
    ok = json_put(root, "runs", runs) && ok;
    for (size_t j = 0; used && j < found->count; j++)
        used[found->at[j].rule - nw_iommu_rules] = true;
    for (size_t i = 0; ok && i < nw_iommu_rule_count; i++)
        if (used[i])
            ok = json_array_append_new(rules, rule_json(&nw_iommu_rules[i])) == 0;
    for (size_t i = 0; ok && i < inputs; i++)
        for (size_t j = input[i].first; ok && j < input[i].first + input[i].count; j++)
            ok = json_array_append_new(results, result_json(&input[i], &found->at[j], index_of(used, found->at[j].rule),
                                                            accepted && accepted[j])) == 0;
    free(used);
    return take_json(root, ok, out, "the findings' SARIF", err);
}

/* ---- a baseline ---------------------------------------------------------------------------------- */

enum nw_status nw_findings_baseline_text(const struct nw_checked_input *input, size_t inputs,
                                         const struct nw_iommu_findings *found, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "# Findings of nestwalk iommu check that are accepted: a key a line, the rest of the line is for who "
                 "reads it.\n");
    for (size_t i = 0; i < inputs; i++)
        for (size_t j = input[i].first; j < input[i].first + input[i].count; j++) {
            char key[17];
            nw_finding_key(&input[i], &found->at[j], key);
            text_printf(&t, "%s %s %s: %s\n", key, found->at[j].rule->id, found->at[j].where, found->at[j].detail);
        }
    return text_take(&t, out, "a baseline", err);
}
