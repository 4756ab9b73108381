/* scenario.c - a scenario's XML into configurations. See scenario.h. */
#include "profile_shape.h"
#include "xml_file.h"
#include "xml_value.h"
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/scenarios/scenario.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct loading {
    struct nw_xml xml;
    const xmlNode *root;
    const char *file;       /* last part of the file's name, for sources */
    struct nw_scenario s;   /* what has been read so far */
    struct nw_config probe; /* takes each setting once, so that a wrong one is found here */
    struct nw_error *err;
};

static bool is(const xmlNode *e, const char *name) { return !strcmp((const char *)e->name, name); }

static enum nw_status nomem(struct loading *l) { return nw_fail_nomem(l->err, l->xml.name); }

static char *source_of(const struct loading *l, const xmlNode *e)
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

static void assignment_free(struct nw_assignment *a)
{
    free(a->path);
    free(a->value);
    free(a->source);
}

/* Checks path=value against the scenario's machine, and keeps it in *list unless `list` is NULL. */
static enum nw_status add_setting(struct loading *l, const xmlNode *e, const char *attribute, struct nw_config *c,
                                  const char *path, const char *value, struct nw_assignment **list, size_t *count)
{
    struct nw_assignment a = { strdup(path), strdup(value), source_of(l, e) };
    enum nw_status s =
        a.path && a.value && a.source ? nw_xml_set(&l->xml, e, attribute, c, path, value, a.source, l->err) : nomem(l);
    if (!s && list) {
        struct nw_assignment *more = grown(*list, *count, sizeof *more);
        if (more) {
            more[(*count)++] = a;
            *list = more;
            return NW_OK;
        }
        s = nomem(l);
    }
    assignment_free(&a);
    return s;
}

/* <set path="" value=""/> */
static enum nw_status load_set(struct loading *l, const xmlNode *e, struct nw_config *c, struct nw_assignment **list,
                               size_t *count)
{
    char *path = nw_xml_attribute(e, "path"), *value = nw_xml_attribute(e, "value");
    enum nw_status s = !path || !value ? nomem(l)
                       : !strncmp(path, "run.", 4)
                           ? nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT,
                                         "%s is set by an attribute of <run> or <scenario>", path)
                           : add_setting(l, e, "value", c, path, value, list, count);
    xmlFree(path);
    xmlFree(value);
    return s;
}

/* Each attribute of <guest>, <vmm>, <run> and <scenario> that stands for the parameter GROUP.ATTRIBUTE. The schema lets no other
 * through than those named in `except` and parameters. */
static enum nw_status load_attributes(struct loading *l, const xmlNode *e, const char *group, const char *except,
                                      struct nw_config *c, struct nw_assignment **list, size_t *count)
{
    for (const xmlAttr *a = e->properties; a; a = a->next) {
        const char *name = (const char *)a->name;
        char path[128];
        if (!strcmp(name, except))
            continue;
        snprintf(path, sizeof path, "%s.%s", group, name);
        nw_profile_swap_chars(path, '-', '_');
        char *value = nw_xml_attribute(e, name);
        enum nw_status s = value ? add_setting(l, e, name, c, path, value, list, count) : nomem(l);
        xmlFree(value);
        if (s)
            return s;
    }
    return NW_OK;
}

/* ---- elements ---- */

static const xmlNode *only_one(const struct loading *l, const char *name, enum nw_status *s)
{
    const xmlNode *found = NULL;
    for (const xmlNode *e = nw_xml_first(l->root); e && !*s; e = nw_xml_next(e))
        if (is(e, name)) {
            if (found)
                *s = nw_xml_fail(&l->xml, e, NULL, l->err, NW_ERR_INPUT, "a second <%s>; the first is in line %u", name,
                                 nw_xml_line(&l->xml, found));
            found = e;
        }
    return found;
}

/* Ignoring one of these would answer another question than the one asked. */
static enum nw_status refuse_reserved(const struct loading *l, const xmlNode *parent)
{
    static const char *const reserved[] = { "balloon", "swap", "sharing" };
    for (const xmlNode *e = nw_xml_first(parent); e; e = nw_xml_next(e)) {
        for (size_t i = 0; i < NW_ARRAY_LEN(reserved); i++)
            if (is(e, reserved[i]))
                return nw_xml_fail(&l->xml, e, NULL, l->err, NW_ERR_UNSUPPORTED,
                                   "the element is reserved: this version has no such model in its replay; remove it");
        enum nw_status s = is(e, "vmm") ? refuse_reserved(l, e) : NW_OK;
        if (s)
            return s;
    }
    return NW_OK;
}

static enum nw_status load_machine(struct loading *l, const char *override, const char *directory)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = only_one(l, "machine", &s);
    if (s)
        return s;
    if (override)
        return nw_machine_load(override, NULL, &l->s.base, l->err);
    if (!e)
        return nw_machine_load("textbook", NULL, &l->s.base, l->err);
    char *profile = nw_xml_attribute(e, "profile");
    if (!profile)
        return nomem(l);
    struct nw_error inner = { 0 };
    s = nw_machine_load(profile, directory, &l->s.base, &inner);
    if (s == NW_ERR_USAGE)
        s = nw_xml_fail(&l->xml, e, "profile", l->err, NW_ERR_INPUT, "%s", inner.text);
    else if (s)
        nw_fail(l->err, s, "%s", inner.text);
    xmlFree(profile);
    return s;
}

static enum nw_status load_trace(struct loading *l, const char *directory)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = only_one(l, "trace", &s);
    if (s || !e)
        return s;
    char *src = nw_xml_attribute(e, "src");
    l->s.trace = src ? nw_xml_relative(directory, src) : NULL;
    xmlFree(src);
    return l->s.trace ? NW_OK : nomem(l);
}

static enum nw_status load_guest(struct loading *l)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = only_one(l, "guest", &s);
    if (s || !e)
        return s;
    char *paging = nw_xml_attribute(e, "paging");
    if (paging && xmlHasProp(e, (const xmlChar *)"levels"))
        s = nw_xml_fail(&l->xml, e, "paging", l->err, NW_ERR_INPUT, "paging and levels say the same; give one");
    else if (paging)
        s = add_setting(l, e, "paging", &l->s.base, "guest.levels", paging[0] == '5' ? "5" : "4", NULL, NULL);
    xmlFree(paging);
    return s ? s : load_attributes(l, e, "guest", "paging", &l->s.base, NULL, NULL);
}

static enum nw_status load_vmm(struct loading *l)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = only_one(l, "vmm", &s);
    return s || !e ? s : load_attributes(l, e, "vmm", "", &l->s.base, NULL, NULL);
}

/* <iommu/> and <io/> */
static enum nw_status load_io(struct loading *l, const char *name)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = only_one(l, name, &s);
    return s || !e ? s : load_attributes(l, e, name, "", &l->s.base, NULL, NULL);
}

static void run_free(struct nw_scenario_run *r)
{
    for (size_t i = 0; i < r->set_count; i++)
        assignment_free(&r->set[i]);
    free(r->set);
    free(r->label);
    free(r->mode);
}

/* Fills in the label, which must be new. */
static enum nw_status load_label(struct loading *l, const xmlNode *e, struct nw_scenario_run *r)
{
    char *label = nw_xml_attribute(e, "label"), *mode = nw_xml_attribute(e, "mode");
    bool given = label;
    r->mode = mode ? strdup(mode) : NULL;
    r->label = given ? strdup(label) : mode ? strdup(mode) : NULL;
    xmlFree(label);
    xmlFree(mode);
    if (!r->mode || !r->label)
        return nomem(l);
    for (size_t i = 0; i < l->s.run_count; i++)
        if (!strcmp(l->s.run[i].label, r->label))
            return nw_xml_fail(&l->xml, e, given ? "label" : "mode", l->err, NW_ERR_INPUT,
                               "a second run is labelled \"%s\"; give each its own label=\"...\"", r->label);
    return given ? NW_OK : add_setting(l, e, "mode", &l->probe, "run.label", r->label, &r->set, &r->set_count);
}

static enum nw_status load_run(struct loading *l, const xmlNode *e)
{
    struct nw_scenario_run r = { 0 };
    enum nw_status s = load_label(l, e, &r);
    if (!s)
        s = load_attributes(l, e, "run", "", &l->probe, &r.set, &r.set_count);
    for (const xmlNode *k = nw_xml_first(e); k && !s; k = nw_xml_next(k))
        s = load_set(l, k, &l->probe, &r.set, &r.set_count);
    struct nw_scenario_run *more = s ? NULL : grown(l->s.run, l->s.run_count, sizeof *more);
    if (!more) {
        run_free(&r);
        return s ? s : nomem(l);
    }
    more[l->s.run_count++] = r;
    l->s.run = more;
    return NW_OK;
}

static void sweep_free(struct nw_scenario_sweep *w)
{
    for (size_t i = 0; i < w->value_count; i++)
        free(w->value[i]);
    free(w->value);
    free(w->path);
    free(w->place);
    free(w->source);
}

static enum nw_status add_sweep_value(struct loading *l, const xmlNode *e, struct nw_scenario_sweep *w,
                                      const char *value)
{
    enum nw_status s = add_setting(l, e, "values", &l->probe, w->path, value, NULL, NULL);
    if (s)
        return s;
    char **more = grown(w->value, w->value_count, sizeof *more);
    if (!more)
        return nomem(l);
    w->value = more;
    more[w->value_count] = strdup(value);
    if (!more[w->value_count])
        return nomem(l);
    w->value_count++;
    return NW_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Two spellings of one value (1K and 1024) would be one point twice. `text`: room for each value as the parameter says it. */
static enum nw_status refuse_doubled_values(struct loading *l, const xmlNode *e, const struct nw_scenario_sweep *w,
                                            char **text)
{
    for (size_t i = 0; i < w->value_count; i++) {
        char value[256];
        enum nw_status s = nw_config_set(&l->probe, w->path, w->value[i], "", l->err);
        if (!s)
            s = nw_config_get(&l->probe, w->path, value, sizeof value, l->err);
        if (s)
            return s;
        if (!(text[i] = strdup(value)))
            return nomem(l);
    }
    qsort(text, w->value_count, sizeof *text, by_text);
    for (size_t i = 1; i < w->value_count; i++)
        if (!strcmp(text[i - 1], text[i]))
            return nw_xml_fail(&l->xml, e, "values", l->err, NW_ERR_INPUT, "%s=%s is there twice", w->path, text[i]);
    return NW_OK;
}

static enum nw_status check_sweep_path(struct loading *l, const xmlNode *e, const char *path)
{
    char value[256];
    struct nw_error inner = { 0 };
    if (nw_config_get(&l->probe, path, value, sizeof value, &inner))
        return nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "%s", inner.text);
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++)
        if (p[i].type == NW_PARAM_TEXT && !strcmp(p[i].path, path))
            return nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "%s is a name, which changes no result", path);
    for (size_t i = 0; i < l->s.sweep_count; i++)
        if (!strcmp(l->s.sweep[i].path, path))
            return nw_xml_fail(&l->xml, e, "path", l->err, NW_ERR_INPUT, "a second sweep of %s", path);
    return NW_OK;
}

/* "FILE:LINE:COLUMN: <sweep>", for what is found out about it later. */
static char *place_of_sweep(struct loading *l, const xmlNode *e, const char *attribute)
{
    struct nw_error place = { 0 };
    nw_xml_fail(&l->xml, e, attribute, &place, NW_ERR_INPUT, "%s", "");
    size_t length = strlen(place.text);
    while (length && strchr(": ", place.text[length - 1]))
        length--;
    return strndup(place.text, length);
}

static enum nw_status load_sweep_values(struct loading *l, const xmlNode *e, struct nw_scenario_sweep *w, char *values)
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
    s = text && w->place && w->source ? refuse_doubled_values(l, e, w, text) : nomem(l);
    for (size_t i = 0; text && i < w->value_count; i++)
        free(text[i]);
    free(text);
    return s;
}

static enum nw_status load_sweep(struct loading *l, const xmlNode *e)
{
    char *path = nw_xml_attribute(e, "path"), *values = nw_xml_attribute(e, "values");
    struct nw_scenario_sweep w = { .path = path ? strdup(path) : NULL };
    enum nw_status s = w.path && values ? load_sweep_values(l, e, &w, values) : nomem(l);
    xmlFree(path);
    xmlFree(values);
    struct nw_scenario_sweep *more = s ? NULL : grown(l->s.sweep, l->s.sweep_count, sizeof *more);
    if (!more) {
        sweep_free(&w);
        return s ? s : nomem(l);
    }
    more[l->s.sweep_count++] = w;
    l->s.sweep = more;
    return NW_OK;
}

/* What only shows when all sweeps and runs are known. */
static enum nw_status check_sweeps(struct loading *l)
{
    size_t runs = l->s.run_count ? l->s.run_count : 1, points = runs;
    for (size_t i = 0; i < l->s.sweep_count; i++) {
        const struct nw_scenario_sweep *w = &l->s.sweep[i];
        for (size_t r = 0; r < l->s.run_count; r++)
            for (size_t k = 0; k < l->s.run[r].set_count; k++)
                if (!strcmp(l->s.run[r].set[k].path, w->path))
                    return nw_fail(l->err, NW_ERR_INPUT,
                                   "%s: run \"%s\" sets %s itself; what is swept is set by no run", w->place,
                                   l->s.run[r].label, w->path);
        if (w->value_count > NW_SCENARIO_POINTS_MAX / points)
            return nw_fail(l->err, NW_ERR_INPUT,
                           "%s: its %zu values make more than %d points of the %zu that the runs (%zu) and the sweeps "
                           "before it make; at most %d are allowed",
                           w->place, w->value_count, NW_SCENARIO_POINTS_MAX, points, runs, NW_SCENARIO_POINTS_MAX);
        points *= w->value_count;
    }
    return NW_OK;
}

/* ---- the whole ---- */

static enum nw_status load_name(struct loading *l)
{
    char *name = nw_xml_attribute(l->root, "name");
    l->s.name = name ? strdup(name) : NULL;
    xmlFree(name);
    if (!l->s.name)
        return nomem(l);
    return add_setting(l, l->root, "name", &l->s.base, "run.scenario", l->s.name, NULL, NULL);
}

static enum nw_status load_base(struct loading *l, const char *machine, const char *directory)
{
    enum nw_status s = refuse_reserved(l, l->root);
    if (!s)
        s = load_machine(l, machine, directory);
    if (!s)
        s = load_name(l);
    if (!s)
        s = load_attributes(l, l->root, "run", "name", &l->s.base, NULL, NULL);
    if (!s)
        s = load_trace(l, directory);
    if (!s)
        s = load_guest(l);
    if (!s)
        s = load_vmm(l);
    if (!s)
        s = load_io(l, "iommu");
    if (!s)
        s = load_io(l, "io");
    for (const xmlNode *e = nw_xml_first(l->root); e && !s; e = nw_xml_next(e))
        if (is(e, "set"))
            s = load_set(l, e, &l->s.base, NULL, NULL);
    return s;
}

static enum nw_status load_runs(struct loading *l)
{
    enum nw_status s = nw_config_copy(&l->probe, &l->s.base, l->err);
    for (const xmlNode *e = nw_xml_first(l->root); e && !s; e = nw_xml_next(e)) {
        if (is(e, "run"))
            s = load_run(l, e);
        else if (is(e, "sweep"))
            s = load_sweep(l, e);
    }
    return s ? s : check_sweeps(l);
}

enum nw_status nw_scenario_load(const char *path, const char *machine, struct nw_scenario *out, struct nw_error *err)
{
    struct loading l = { .err = err };
    enum nw_status s = nw_xml_read(&l.xml, path, err);
    if (s)
        return s;
    const char *slash = strrchr(path, '/');
    l.file = slash ? slash + 1 : path;
    nw_config_init(&l.s.base);
    char *directory = nw_xml_directory(path);
    s = directory ? nw_xml_validate(&l.xml, "scenario", err) : nomem(&l);
    if (!s) {
        l.root = xmlDocGetRootElement(l.xml.doc);
        s = load_base(&l, machine, directory);
    }
    if (!s)
        s = load_runs(&l);
    s = nw_xml_verdict(&l.xml, s, err);
    if (s)
        nw_scenario_fini(&l.s);
    else
        *out = l.s;
    nw_config_fini(&l.probe);
    nw_xml_free(&l.xml);
    free(directory);
    return s;
}

void nw_scenario_fini(struct nw_scenario *s)
{
    for (size_t i = 0; i < s->run_count; i++)
        run_free(&s->run[i]);
    for (size_t i = 0; i < s->sweep_count; i++)
        sweep_free(&s->sweep[i]);
    free(s->run);
    free(s->sweep);
    free(s->name);
    free(s->trace);
    nw_config_fini(&s->base);
    *s = (struct nw_scenario){ 0 };
}

enum nw_status nw_scenario_config(const struct nw_scenario *s, size_t index, struct nw_config *out,
                                  struct nw_error *err)
{
    if (index > 0 && index >= s->run_count)
        return nw_fail(err, NW_ERR_USAGE, "scenario %s has %zu runs; there is none with index %zu", s->name,
                       s->run_count, index);
    enum nw_status status = nw_config_copy(out, &s->base, err);
    if (status || !s->run_count)
        return status;
    const struct nw_scenario_run *r = &s->run[index];
    for (size_t i = 0; i < r->set_count && !status; i++)
        status = nw_config_set(out, r->set[i].path, r->set[i].value, r->set[i].source, err);
    if (status)
        nw_config_fini(out);
    return status;
}
