/* scenario.c - a scenario's XML into configurations. See scenario.h. */
#include "loading.h"
#include "xml_value.h"
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/scenarios/scenario.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
    struct nw_loading l;
    struct nw_scenario s; /* what has been read so far, without runs and sweeps */
    struct nw_config probe;
    const char *machine; /* of the caller; NULL: the file's */
};

static enum nw_status set(void *config, const char *path, const char *value, const char *source, struct nw_error *err)
{
    return nw_config_set(config, path, value, source, err);
}

static enum nw_status get(const void *config, const char *path, char *out, size_t out_size, struct nw_error *err)
{
    return nw_config_get(config, path, out, out_size, err);
}

static bool is_text(const char *path)
{
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++)
        if (p[i].type == NW_PARAM_TEXT && !strcmp(p[i].path, path))
            return true;
    return false;
}

static const struct nw_settings_ops ops = { set, get, is_text, "is set by an attribute of <run> or <scenario>" };

/* ---- elements ---- */

/* Ignoring one of these would answer another question than the one asked. */
static enum nw_status refuse_reserved(const struct loading *l, const xmlNode *parent)
{
    static const char *const reserved[] = { "balloon", "swap", "sharing" };
    for (const xmlNode *e = nw_xml_first(parent); e; e = nw_xml_next(e)) {
        for (size_t i = 0; i < NW_ARRAY_LEN(reserved); i++)
            if (nw_loading_is(e, reserved[i]))
                return nw_xml_fail(&l->l.xml, e, NULL, l->l.err, NW_ERR_UNSUPPORTED,
                                   "memory is not taken away in the replay of one guest; a <guests> file has a host "
                                   "with too little of it: docs/overcommit.md");
        enum nw_status s = nw_loading_is(e, "vmm") ? refuse_reserved(l, e) : NW_OK;
        if (s)
            return s;
    }
    return NW_OK;
}

static enum nw_status load_machine(struct loading *l, const char *override, const char *directory)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = nw_loading_only(&l->l, "machine", &s);
    if (s)
        return s;
    if (override)
        return nw_machine_load(override, NULL, &l->s.base, l->l.err);
    if (!e)
        return nw_machine_load("textbook", NULL, &l->s.base, l->l.err);
    char *profile = nw_xml_attribute(e, "profile");
    if (!profile)
        return nw_loading_nomem(&l->l);
    struct nw_error inner = { 0 };
    s = nw_machine_load(profile, directory, &l->s.base, &inner);
    if (s == NW_ERR_USAGE)
        s = nw_xml_fail(&l->l.xml, e, "profile", l->l.err, NW_ERR_INPUT, "%s", inner.text);
    else if (s)
        nw_fail(l->l.err, s, "%s", inner.text);
    xmlFree(profile);
    return s;
}

static enum nw_status load_trace(struct loading *l, const char *directory)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = nw_loading_only(&l->l, "trace", &s);
    if (s || !e)
        return s;
    char *src = nw_xml_attribute(e, "src");
    l->s.trace = src ? nw_xml_relative(directory, src) : NULL;
    xmlFree(src);
    return l->s.trace ? NW_OK : nw_loading_nomem(&l->l);
}

static enum nw_status load_guest(struct loading *l)
{
    enum nw_status s = NW_OK;
    const xmlNode *e = nw_loading_only(&l->l, "guest", &s);
    if (s || !e)
        return s;
    char *paging = nw_xml_attribute(e, "paging");
    if (paging && xmlHasProp(e, (const xmlChar *)"levels"))
        s = nw_xml_fail(&l->l.xml, e, "paging", l->l.err, NW_ERR_INPUT, "paging and levels say the same; give one");
    else if (paging)
        s = nw_loading_setting(&l->l, e, "paging", &l->s.base, "guest.levels", paging[0] == '5' ? "5" : "4", NULL,
                               NULL);
    xmlFree(paging);
    return s ? s : nw_loading_attributes(&l->l, e, "guest", "paging", &l->s.base, NULL, NULL);
}

/* ---- the whole ---- */

static enum nw_status load_name(struct loading *l)
{
    char *name = nw_xml_attribute(l->l.root, "name");
    l->s.name = name ? strdup(name) : NULL;
    xmlFree(name);
    if (!l->s.name)
        return nw_loading_nomem(&l->l);
    return nw_loading_setting(&l->l, l->l.root, "name", &l->s.base, "run.scenario", l->s.name, NULL, NULL);
}

static enum nw_status load_base(struct loading *l, const char *directory)
{
    enum nw_status s = refuse_reserved(l, l->l.root);
    if (!s)
        s = load_machine(l, l->machine, directory);
    if (!s)
        s = load_name(l);
    if (!s)
        s = nw_loading_attributes(&l->l, l->l.root, "run", "name", &l->s.base, NULL, NULL);
    if (!s)
        s = load_trace(l, directory);
    if (!s)
        s = load_guest(l);
    if (!s)
        s = nw_loading_group(&l->l, "vmm");
    if (!s)
        s = nw_loading_group(&l->l, "iommu");
    if (!s)
        s = nw_loading_group(&l->l, "io");
    for (const xmlNode *e = nw_xml_first(l->l.root); e && !s; e = nw_xml_next(e))
        if (nw_loading_is(e, "set"))
            s = nw_loading_set(&l->l, e, &l->s.base, NULL, NULL);
    return s;
}

static enum nw_status load_all(struct nw_loading *unused, const char *directory, void *context)
{
    struct loading *l = context;
    (void)unused;
    enum nw_status s = load_base(l, directory);
    if (!s)
        s = nw_config_copy(&l->probe, &l->s.base, l->l.err);
    return s ? s : nw_loading_runs(&l->l);
}

enum nw_status nw_scenario_load(const char *path, const char *machine, struct nw_scenario *out, struct nw_error *err)
{
    struct loading l = { .l = { .ops = &ops, .err = err }, .machine = machine };
    nw_config_init(&l.s.base);
    l.l.base = &l.s.base;
    l.l.probe = &l.probe;
    const enum nw_status s = nw_loading_file(&l.l, path, "scenario", load_all, &l);
    l.s.run = l.l.run;
    l.s.run_count = l.l.run_count;
    l.s.sweep = l.l.sweep;
    l.s.sweep_count = l.l.sweep_count;
    if (s)
        nw_scenario_fini(&l.s);
    else
        *out = l.s;
    nw_config_fini(&l.probe);
    return s;
}

void nw_scenario_fini(struct nw_scenario *s)
{
    nw_loading_free(s->run, s->run_count, s->sweep, s->sweep_count);
    free(s->name);
    free(s->trace);
    nw_config_fini(&s->base);
    *s = (struct nw_scenario){ 0 };
}

enum nw_status nw_scenario_config(const struct nw_scenario *s, size_t index, struct nw_config *out,
                                  struct nw_error *err)
{
    enum nw_status status = nw_loading_check_index(s->name, s->run_count, index, err);
    if (status || (status = nw_config_copy(out, &s->base, err)) || !s->run_count)
        return status;
    if ((status = nw_loading_apply(&ops, &s->run[index], out, err)))
        nw_config_fini(out);
    return status;
}
