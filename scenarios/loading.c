/* loading.c - settings, runs and sweeps of scenarios of all kinds. See loading.h. */
#include "loading.h"
#include "profile_shape.h"
#include "xml_value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nw_loading_is(const xmlNode *e, const char *name) { return !strcmp((const char *)e->name, name); }

enum nw_status nw_loading_nomem(const struct nw_loading *l) { return nw_fail_nomem(l->err, l->xml.name); }

static char *source_of(const struct nw_loading *l, const xmlNode *e)
{
    char *source = NULL;
    return asprintf(&source, "%s:%u", l->file, nw_xml_line(&l->xml, e)) < 0 ? NULL : source;
}

/* The array with room for one more element; NULL, and the array as it was, when out of memory. */
static void *grown(void *array, size_t count, size_t size)
{
    return count & (count - 1) ? array : reallocarray(array, count ? 2 * count : 1, size);
}

/* ---- settings ---- */

/* Refusals name the place in the file. */
static enum nw_status set_in(struct nw_loading *l, const xmlNode *e, const char *attribute, void *config,
                             const char *path, const char *value, const char *source)
{
    struct nw_error inner = { 0 };
    enum nw_status s = l->ops->set(config, path, value, source, &inner);
    if (s == NW_ERR_USAGE)
        return nw_xml_fail(&l->xml, e, attribute, l->err, NW_ERR_INPUT, "%s", inner.text);
    return s ? nw_fail(l->err, s, "%s", inner.text) : NW_OK;
}

static void assignment_free(struct nw_assignment *a)
{
    free(a->path);
    free(a->value);
    free(a->source);
}

enum nw_status nw_loading_setting(struct nw_loading *l, const xmlNode *e, const char *attribute, void *config,
                                  const char *path, const char *value, struct nw_assignment **list, size_t *count)
{
    struct nw_assignment a = { strdup(path), strdup(value), source_of(l, e) };
    enum nw_status s =
        a.path && a.value && a.source ? set_in(l, e, attribute, config, path, value, a.source) : nw_loading_nomem(l);
    if (!s && list) {
        struct nw_assignment *more = grown(*list, *count, sizeof *more);
        if (more) {
            more[(*count)++] = a;
            *list = more;
            return NW_OK;
        }
        s = nw_loading_nomem(l);
    }
    assignment_free(&a);
    return s;
}

enum nw_status nw_loading_set(struct nw_loading *l, const xmlNode *e, void *config, struct nw_assignment **list,
                              size_t *count)
{
    char *path = nw_xml_attribute(e, "path"), *value = nw_xml_attribute(e, "value");
    enum nw_status s = !path || !value ? nw_loading_nomem(l)
                       : l->ops->run_settings && !strncmp(path, "run.", 4)
                           ? nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "%s %s", path, l->ops->run_settings)
                           : nw_loading_setting(l, e, "value", config, path, value, list, count);
    xmlFree(path);
    xmlFree(value);
    return s;
}

enum nw_status nw_loading_attributes(struct nw_loading *l, const xmlNode *e, const char *group, const char *except,
                                     void *config, struct nw_assignment **list, size_t *count)
{
    for (const xmlAttr *a = e->properties; a; a = a->next) {
        const char *name = (const char *)a->name;
        char path[256];
        if (!strcmp(name, except))
            continue;
        const int length = snprintf(path, sizeof path, "%s.", group);
        snprintf(path + length, sizeof path - (size_t)length, "%s", name);
        nw_profile_swap_chars(path + length, '-', '_');
        char *value = nw_xml_attribute(e, name);
        enum nw_status s =
            value ? nw_loading_setting(l, e, name, config, path, value, list, count) : nw_loading_nomem(l);
        xmlFree(value);
        if (s)
            return s;
    }
    return NW_OK;
}

/* ---- elements ---- */

const xmlNode *nw_loading_only(const struct nw_loading *l, const char *name, enum nw_status *s)
{
    const xmlNode *found = NULL;
    for (const xmlNode *e = nw_xml_first(l->root); e && !*s; e = nw_xml_next(e))
        if (nw_loading_is(e, name)) {
            if (found)
                *s = nw_xml_fail(&l->xml, e, NULL, l->err, NW_ERR_INPUT, "a second <%s>; the first is in line %u", name,
                                 nw_xml_line(&l->xml, found));
            found = e;
        }
    return found;
}

void nw_loading_free_run(struct nw_scenario_run *r)
{
    for (size_t i = 0; i < r->set_count; i++)
        assignment_free(&r->set[i]);
    free(r->set);
    free(r->label);
    free(r->mode);
}

/* Fills in the label, which must be new. */
static enum nw_status load_label(struct nw_loading *l, const xmlNode *e, struct nw_scenario_run *r)
{
    char *label = nw_xml_attribute(e, "label"), *mode = nw_xml_attribute(e, "mode");
    bool given = label;
    const bool whole = (label || mode) && (!mode || (r->mode = strdup(mode))) &&
                       (r->label = strdup(given ? label : mode)); /* the schema asks for one of them */
    xmlFree(label);
    xmlFree(mode);
    if (!whole)
        return nw_loading_nomem(l);
    for (size_t i = 0; i < l->run_count; i++)
        if (!strcmp(l->run[i].label, r->label))
            return nw_xml_fail(&l->xml, e, given ? "label" : "mode", l->err, NW_ERR_INPUT,
                               "a second run is labelled \"%s\"; give each its own label=\"...\"", r->label);
    return given ? NW_OK : nw_loading_setting(l, e, "mode", l->probe, "run.label", r->label, &r->set, &r->set_count);
}

static enum nw_status load_run(struct nw_loading *l, const xmlNode *e)
{
    struct nw_scenario_run r = { 0 };
    enum nw_status s = load_label(l, e, &r);
    if (!s && r.mode) /* a kind without modes has a label only */
        s = nw_loading_attributes(l, e, "run", "", l->probe, &r.set, &r.set_count);
    for (const xmlNode *k = nw_xml_first(e); k && !s; k = nw_xml_next(k))
        s = nw_loading_set(l, k, l->probe, &r.set, &r.set_count);
    struct nw_scenario_run *more = s ? NULL : grown(l->run, l->run_count, sizeof *more);
    if (!more) {
        nw_loading_free_run(&r);
        return s ? s : nw_loading_nomem(l);
    }
    more[l->run_count++] = r;
    l->run = more;
    return NW_OK;
}

void nw_loading_free_sweep(struct nw_scenario_sweep *w)
{
    for (size_t i = 0; i < w->value_count; i++)
        free(w->value[i]);
    free(w->value);
    free(w->path);
    free(w->place);
    free(w->source);
}

static enum nw_status add_sweep_value(struct nw_loading *l, const xmlNode *e, struct nw_scenario_sweep *w,
                                      const char *value)
{
    enum nw_status s = nw_loading_setting(l, e, "values", l->probe, w->path, value, NULL, NULL);
    if (s)
        return s;
    char **more = grown(w->value, w->value_count, sizeof *more);
    if (!more)
        return nw_loading_nomem(l);
    w->value = more;
    more[w->value_count] = strdup(value);
    if (!more[w->value_count])
        return nw_loading_nomem(l);
    w->value_count++;
    return NW_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Two spellings of one value (1K and 1024) would be one point twice. `text`: room for each value as the parameter says it. */
static enum nw_status refuse_doubled_values(struct nw_loading *l, const xmlNode *e, const struct nw_scenario_sweep *w,
                                            char **text)
{
    for (size_t i = 0; i < w->value_count; i++) {
        char value[256];
        enum nw_status s = l->ops->set(l->probe, w->path, w->value[i], "", l->err);
        if (!s)
            s = l->ops->get(l->probe, w->path, value, sizeof value, l->err);
        if (s)
            return s;
        if (!(text[i] = strdup(value)))
            return nw_loading_nomem(l);
    }
    qsort(text, w->value_count, sizeof *text, by_text);
    for (size_t i = 1; i < w->value_count; i++)
        if (!strcmp(text[i - 1], text[i]))
            return nw_xml_fail(&l->xml, e, "values", l->err, NW_ERR_INPUT, "%s=%s is there twice", w->path, text[i]);
    return NW_OK;
}

static enum nw_status check_sweep_path(struct nw_loading *l, const xmlNode *e, const char *path)
{
    char value[256];
    struct nw_error inner = { 0 };
    if (l->ops->get(l->probe, path, value, sizeof value, &inner))
        return nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "%s", inner.text);
    if (l->ops->is_text(path))
        return nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "%s is a name, which changes no result", path);
    for (size_t i = 0; i < l->sweep_count; i++)
        if (!strcmp(l->sweep[i].path, path))
            return nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "a second sweep of %s", path);
    return NW_OK;
}

/* "FILE:LINE:COLUMN: <sweep>", for what is found out about it later. */
static char *place_of_sweep(struct nw_loading *l, const xmlNode *e, const char *attribute)
{
    struct nw_error place = { 0 };
    nw_xml_fail(&l->xml, e, attribute, &place, NW_ERR_INPUT, "%s", "");
    size_t length = strlen(place.text);
    while (length && strchr(": ", place.text[length - 1]))
        length--;
    return strndup(place.text, length);
}

static enum nw_status load_sweep_values(struct nw_loading *l, const xmlNode *e, struct nw_scenario_sweep *w,
                                        char *values)
{
    enum nw_status s = check_sweep_path(l, e, w->path);
    for (char *word; !s && (word = strsep(&values, " \t\r\n"));)
        s = *word ? add_sweep_value(l, e, w, word) : NW_OK;
    if (s)
        return s;
    if (!w->value_count)
        return nw_xml_fail(&l->xml, e, "values", l->err, NW_ERR_INPUT, "values=\"\": no value to try");
    char **text = calloc(w->value_count, sizeof *text);
    w->place = place_of_sweep(l, e, "values");
    w->source = source_of(l, e);
    s = text && w->place && w->source ? refuse_doubled_values(l, e, w, text) : nw_loading_nomem(l);
    for (size_t i = 0; text && i < w->value_count; i++)
        free(text[i]);
    free(text);
    return s;
}

static enum nw_status load_sweep(struct nw_loading *l, const xmlNode *e)
{
    char *path = nw_xml_attribute(e, "path"), *values = nw_xml_attribute(e, "values");
    struct nw_scenario_sweep w = { .path = path ? strdup(path) : NULL };
    enum nw_status s = w.path && values ? load_sweep_values(l, e, &w, values) : nw_loading_nomem(l);
    xmlFree(path);
    xmlFree(values);
    struct nw_scenario_sweep *more = s ? NULL : grown(l->sweep, l->sweep_count, sizeof *more);
    if (!more) {
        nw_loading_free_sweep(&w);
        return s ? s : nw_loading_nomem(l);
    }
    more[l->sweep_count++] = w;
    l->sweep = more;
    return NW_OK;
}

/* What only shows when all sweeps and runs are known. */
static enum nw_status check_sweeps(struct nw_loading *l)
{
    size_t runs = l->run_count ? l->run_count : 1, points = runs;
    for (size_t i = 0; i < l->sweep_count; i++) {
        const struct nw_scenario_sweep *w = &l->sweep[i];
        for (size_t r = 0; r < l->run_count; r++)
            for (size_t k = 0; k < l->run[r].set_count; k++)
                if (!strcmp(l->run[r].set[k].path, w->path))
                    return nw_fail(l->err, NW_ERR_INPUT,
                                   "%s: run \"%s\" sets %s itself; what is swept is set by no run", w->place,
                                   l->run[r].label, w->path);
        if (w->value_count > NW_SCENARIO_POINTS_MAX / points)
            return nw_fail(l->err, NW_ERR_INPUT,
                           "%s: its %zu values make more than %d points of the %zu that the runs (%zu) and the sweeps "
                           "before it make; at most %d are allowed",
                           w->place, w->value_count, NW_SCENARIO_POINTS_MAX, points, runs, NW_SCENARIO_POINTS_MAX);
        points *= w->value_count;
    }
    return NW_OK;
}

enum nw_status nw_loading_runs(struct nw_loading *l)
{
    enum nw_status s = NW_OK;
    for (const xmlNode *e = nw_xml_first(l->root); e && !s; e = nw_xml_next(e)) {
        if (nw_loading_is(e, "run"))
            s = load_run(l, e);
        else if (nw_loading_is(e, "sweep"))
            s = load_sweep(l, e);
    }
    return s ? s : check_sweeps(l);
}

enum nw_status nw_loading_group(struct nw_loading *l, const char *name)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = nw_loading_only(l, name, &s);
    return s || !e ? s : nw_loading_attributes(l, e, name, "", l->base, NULL, NULL);
}

/* ---- a file ---- */

enum nw_status nw_loading_file(struct nw_loading *l, const char *path, const char *schema, nw_loading_fn body,
                               void *context)
{
    enum nw_status s = nw_xml_read(&l->xml, path, l->err);
    if (s)
        return s;
    const char *slash = strrchr(path, '/');
    l->file = slash ? slash + 1 : path;
    char *directory = nw_xml_directory(path);
    s = directory ? nw_xml_validate(&l->xml, schema, l->err) : nw_loading_nomem(l);
    if (!s) {
        l->root = xmlDocGetRootElement(l->xml.doc);
        s = body(l, directory, context);
    }
    s = nw_xml_verdict(&l->xml, s, l->err);
    nw_xml_free(&l->xml);
    free(directory);
    return s;
}

/* ---- what has been loaded ---- */

void nw_loading_free(struct nw_scenario_run *run, size_t runs, struct nw_scenario_sweep *sweep, size_t sweeps)
{
    for (size_t i = 0; i < runs; i++)
        nw_loading_free_run(&run[i]);
    for (size_t i = 0; i < sweeps; i++)
        nw_loading_free_sweep(&sweep[i]);
    free(run);
    free(sweep);
}

enum nw_status nw_loading_check_index(const char *name, size_t runs, size_t index, struct nw_error *err)
{
    if (index == 0 || index < runs)
        return NW_OK;
    return nw_fail(err, NW_ERR_USAGE, "scenario %s has %zu runs; there is none with index %zu", name, runs, index);
}

enum nw_status nw_loading_apply(const struct nw_settings_ops *ops, const struct nw_scenario_run *run, void *config,
                                struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < run->set_count && !s; i++)
        s = ops->set(config, run->set[i].path, run->set[i].value, run->set[i].source, err);
    return s;
}
