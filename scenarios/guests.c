/* guests.c - the XML of several guests on one host into configurations. See guests.h. */
#include "loading.h"
#include "xml_value.h"
#include <nestwalk/scenarios/guests.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum nw_status set(void *config, const char *path, const char *value, const char *source, struct nw_error *err)
{
    return nw_vms_config_set(config, path, value, source, err);
}

static enum nw_status get(const void *config, const char *path, char *out, size_t out_size, struct nw_error *err)
{
    return nw_vms_config_get(config, path, out, out_size, err);
}

/* The last name of the path, after the groups, guests' names and numbers of works. */
static bool is_text(const char *path)
{
    const char *dot = strrchr(path, '.');
    size_t count;
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; dot && i < count; i++)
        if (p[i].type == NW_PARAM_TEXT && !strcmp(strrchr(p[i].path, '.'), dot) && strcmp(dot, ".trace") != 0)
            return true;
    return false;
}

static const struct nw_settings_ops ops = { set, get, is_text, NULL };

/* A refusal of what the caller did for the element, at its place. */
static enum nw_status at(struct nw_loading *l, const xmlNode *e, const char *attribute, enum nw_status s,
                         const struct nw_error *inner)
{
    if (s == NW_ERR_USAGE)
        return nw_xml_fail(&l->xml, e, attribute, l->err, NW_ERR_INPUT, "%s", inner->text);
    return nw_fail(l->err, s, "%s", inner->text);
}

static enum nw_status load_work(struct nw_loading *l, const xmlNode *e, size_t guest, const char *directory)
{
    struct nw_vms_config *c = l->base;
    struct nw_error inner = { 0 };
    char group[NW_VMS_NAME + 64];
    size_t index;
    enum nw_status s = nw_vms_config_add_work(c, guest, &index, &inner);
    if (s)
        return at(l, e, NULL, s, &inner);
    snprintf(group, sizeof group, "vm.%s.work.%zu", c->guest[guest].name, index);
    if ((s = nw_loading_attributes(l, e, group, "trace", c, NULL, NULL)) || !xmlHasProp(e, (const xmlChar *)"trace"))
        return s;
    char *file = nw_xml_attribute(e, "trace"), *path = file ? nw_xml_relative(directory, file) : NULL;
    snprintf(group, sizeof group, "vm.%s.work.%zu.trace", c->guest[guest].name, index);
    s = path ? nw_loading_setting(l, e, "trace", c, group, path, NULL, NULL) : nw_loading_nomem(l);
    xmlFree(file);
    free(path);
    return s;
}

static enum nw_status load_guest(struct nw_loading *l, const xmlNode *e, const char *directory)
{
    struct nw_vms_config *c = l->base;
    struct nw_error inner = { 0 };
    char group[NW_VMS_NAME + 8], *name = nw_xml_attribute(e, "name");
    size_t index = 0;
    enum nw_status s = name ? nw_vms_config_add_guest(c, name, &index, &inner) : nw_loading_nomem(l);
    if (name && s)
        s = at(l, e, "name", s, &inner);
    xmlFree(name);
    if (s)
        return s;
    snprintf(group, sizeof group, "vm.%s", c->guest[index].name);
    s = nw_loading_attributes(l, e, group, "name", c, NULL, NULL);
    for (const xmlNode *k = nw_xml_first(e); k && !s; k = nw_xml_next(k))
        s = load_work(l, k, index, directory);
    return s;
}

static enum nw_status load_name(struct nw_loading *l, struct nw_guests_scenario *sc)
{
    char *name = nw_xml_attribute(l->root, "name");
    sc->name = name ? strdup(name) : NULL;
    xmlFree(name);
    if (!sc->name)
        return nw_loading_nomem(l);
    if (strlen(sc->name) >= sizeof sc->base.name)
        return nw_xml_fail(&l->xml, l->root, "name", l->err, NW_ERR_INPUT, "a name has at most %zu bytes",
                           sizeof sc->base.name - 1);
    snprintf(sc->base.name, sizeof sc->base.name, "%s", sc->name);
    char *seed = nw_xml_attribute(l->root, "seed");
    struct nw_error inner = { 0 };
    enum nw_status s = seed ? nw_vms_config_seed(&sc->base, seed, &inner) : NW_OK;
    if (s)
        s = at(l, l->root, "seed", s, &inner);
    xmlFree(seed);
    return s;
}

static enum nw_status load_all(struct nw_loading *l, const char *directory, void *context)
{
    struct nw_guests_scenario *sc = context;
    static const char *const group[] = { "host", "swap", "balloon", "sharing", "monitor" };
    enum nw_status s = load_name(l, sc);
    for (size_t i = 0; i < NW_ARRAY_LEN(group) && !s; i++)
        s = nw_loading_group(l, group[i]);
    for (const xmlNode *e = nw_xml_first(l->root); e && !s; e = nw_xml_next(e))
        if (nw_loading_is(e, "vm"))
            s = load_guest(l, e, directory);
    if (!s && !sc->base.guests)
        s = nw_xml_fail(&l->xml, l->root, NULL, l->err, NW_ERR_INPUT, "there is no <vm>: at least one is needed");
    for (const xmlNode *e = nw_xml_first(l->root); e && !s; e = nw_xml_next(e))
        if (nw_loading_is(e, "set"))
            s = nw_loading_set(l, e, &sc->base, NULL, NULL);
    if (!s)
        s = nw_vms_config_copy(l->probe, &sc->base, l->err);
    return s ? s : nw_loading_runs(l);
}

enum nw_status nw_guests_recognise(const char *path, bool *several, struct nw_error *err)
{
    struct nw_xml xml;
    enum nw_status s = nw_xml_read(&xml, path, err);
    if (s)
        return s;
    *several = nw_loading_is(xmlDocGetRootElement(xml.doc), "guests");
    nw_xml_free(&xml);
    return NW_OK;
}

enum nw_status nw_guests_load(const char *path, struct nw_guests_scenario *out, struct nw_error *err)
{
    struct nw_guests_scenario sc = { 0 };
    struct nw_vms_config probe = { 0 };
    struct nw_loading l = { .ops = &ops, .base = &sc.base, .probe = &probe, .err = err };
    nw_vms_config_init(&sc.base);
    const enum nw_status s = nw_loading_file(&l, path, "guests", load_all, &sc);
    sc.run = l.run;
    sc.run_count = l.run_count;
    sc.sweep = l.sweep;
    sc.sweep_count = l.sweep_count;
    if (s)
        nw_guests_fini(&sc);
    else
        *out = sc;
    nw_vms_config_fini(&probe);
    return s;
}

void nw_guests_fini(struct nw_guests_scenario *s)
{
    nw_loading_free(s->run, s->run_count, s->sweep, s->sweep_count);
    free(s->name);
    nw_vms_config_fini(&s->base);
    *s = (struct nw_guests_scenario){ 0 };
}

enum nw_status nw_guests_config(const struct nw_guests_scenario *s, size_t index, struct nw_vms_config *out,
                                struct nw_error *err)
{
    enum nw_status status = nw_loading_check_index(s->name, s->run_count, index, err);
    if (status || (status = nw_vms_config_copy(out, &s->base, err)) || !s->run_count)
        return status;
    snprintf(out->label, sizeof out->label, "%s", s->run[index].label);
    if ((status = nw_loading_apply(&ops, &s->run[index], out, err)))
        nw_vms_config_fini(out);
    return status;
}
