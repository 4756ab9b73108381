/* machine.c - a profile's XML into a configuration. See machine.h. */
#include "embedded.h"
#include "nearest.h"
#include "profile_shape.h"
#include "xml_file.h"
#include "xml_value.h"
#include <nestwalk/scenarios/machine.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *nw_machine_name(size_t index)
{
    for (size_t i = 0; i < nw_embedded_count; i++)
        if (nw_embedded_files[i].kind == NW_EMBEDDED_MACHINE && index-- == 0)
            return nw_embedded_files[i].name;
    return NULL;
}

/* ---- the tree into parameters ---- */

struct loading {
    struct nw_xml xml;
    struct nw_config *c;
    struct nw_error *err;
};

enum { PROFILE_PATH_MAX = 256 };

/* <entries value="64" source="cpuid"/> */
static enum nw_status load_value(struct loading *l, const xmlNode *e, const char *path)
{
    if (strcmp(nw_config_source(l->c, path), "default") != 0)
        return nw_xml_fail(&l->xml, e, NULL, l->err, NW_ERR_INPUT, "%s is given twice", path);
    char *value = nw_xml_attribute(e, "value"), *source = nw_xml_attribute(e, "source");
    enum nw_status s = value && source ? nw_xml_set(&l->xml, e, "value", l->c, path, value, source, l->err)
                                       : nw_fail_nomem(l->err, l->xml.name);
    xmlFree(value);
    xmlFree(source);
    return s;
}

/* <array name="l1d"> below <tlb>, <cache name="l2"> below <memory>: a new element, and `path` extended by its name. */
static enum nw_status open_named(struct loading *l, const xmlNode *e, char *path, size_t used)
{
    char *name = nw_xml_attribute(e, "name");
    struct nw_error inner = { 0 };
    enum nw_status s = name ? NW_OK : nw_fail_nomem(&inner, l->xml.name);
    if (!s)
        s = !strcmp((const char *)e->name, "array") ? nw_config_add_tlb(l->c, name, &inner)
                                                    : nw_config_add_cache(l->c, name, &inner);
    if (!s)
        snprintf(path + used, PROFILE_PATH_MAX - used, "%s.", name);
    else if (s == NW_ERR_NOMEM)
        nw_fail(l->err, s, "%s", inner.text);
    else
        s = nw_xml_fail(&l->xml, e, "name", l->err, NW_ERR_INPUT, "%s", inner.text);
    xmlFree(name);
    return s;
}

/* `path` holds the path of `parent`, ended by a dot. The schema has bounded the depth. */
static enum nw_status load_children(struct loading *l, const xmlNode *parent, char *path)
{
    size_t used = strlen(path);
    const char *named = nw_profile_named_element((const char *)parent->name);
    for (const xmlNode *e = nw_xml_first(parent); e; e = nw_xml_next(e)) {
        enum nw_status s = NW_OK;
        bool leaf = xmlHasProp(e, (const xmlChar *)"value");
        if (named && !strcmp((const char *)e->name, named)) {
            s = open_named(l, e, path, used);
        } else {
            snprintf(path + used, PROFILE_PATH_MAX - used, "%s%s", (const char *)e->name, leaf ? "" : ".");
            nw_profile_swap_chars(path + used, '-', '_');
        }
        if (!s)
            s = leaf ? load_value(l, e, path) : load_children(l, e, path);
        if (s)
            return s;
        path[used] = 0;
    }
    return NW_OK;
}

/* Elements directly below the root are top-level groups, or values of "machine.". */
static enum nw_status load_root(struct loading *l)
{
    const xmlNode *root = xmlDocGetRootElement(l->xml.doc);
    enum nw_status s = nw_xml_set_attribute(&l->xml, root, "name", l->c, "machine.name", "profile", l->err);
    for (const xmlNode *e = nw_xml_first(root); e && !s; e = nw_xml_next(e)) {
        char path[PROFILE_PATH_MAX];
        bool leaf = xmlHasProp(e, (const xmlChar *)"value");
        snprintf(path, sizeof path, "%s%s%s", leaf ? NW_PROFILE_ROOT "." : "", (const char *)e->name, leaf ? "" : ".");
        nw_profile_swap_chars(path, '-', '_');
        s = leaf ? load_value(l, e, path) : load_children(l, e, path);
    }
    return s;
}

/* ---- which file ---- */

static enum nw_status no_such_profile(const char *profile, struct nw_error *err)
{
    const char *names[64];
    char list[512] = "";
    size_t count = 0, used = 0;
    for (const char *name; count < NW_ARRAY_LEN(names) && (name = nw_machine_name(count)); count++) {
        names[count] = name;
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", count ? ", " : "", name);
    }
    const char *nearest = nw_nearest_name(profile, names, count);
    return nw_fail(err, NW_ERR_USAGE, "there is no machine profile or file \"%s\"%s%s%s; shipped profiles: %s", profile,
                   nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "", list);
}

static bool looks_like_a_file(const char *profile)
{
    size_t n = strlen(profile);
    return strchr(profile, '/') || (n > 4 && !strcmp(profile + n - 4, ".xml"));
}

static enum nw_status open_profile(struct nw_xml *x, const char *profile, const char *directory, struct nw_error *err)
{
    const struct nw_embedded *shipped =
        looks_like_a_file(profile) ? NULL : nw_embedded_find(NW_EMBEDDED_MACHINE, profile);
    if (shipped)
        return nw_xml_read_text(x, profile, shipped->text, shipped->size, err);
    char *path = nw_xml_relative(directory, profile);
    if (!path)
        return nw_fail_nomem(err, profile);
    enum nw_status s =
        !looks_like_a_file(profile) && access(path, F_OK) ? no_such_profile(profile, err) : nw_xml_read(x, path, err);
    free(path);
    return s;
}

/* The second stage's format goes with the processor's vendor, unless somebody chose it. */
static enum nw_status choose_slat(struct nw_config *c, struct nw_error *err)
{
    const char *source = nw_config_source(c, "vmm.slat"), *by_vendor = "the machine profile's vendor";
    if (strcmp(source, "default") && strcmp(source, by_vendor))
        return NW_OK;
    return nw_config_set(c, "vmm.slat", strcmp(c->vendor, "amd") ? "ept" : "npt", by_vendor, err);
}

enum nw_status nw_machine_load(const char *profile, const char *directory, struct nw_config *c, struct nw_error *err)
{
    struct nw_config fresh;
    struct loading l = { .c = &fresh, .err = err };
    enum nw_status s = open_profile(&l.xml, profile, directory, err);
    if (s)
        return s;
    s = nw_xml_validate(&l.xml, "machine", err);
    if (!s)
        s = nw_config_copy(&fresh, c, err);
    if (s)
        goto out;
    nw_config_clear_machine(&fresh);
    s = load_root(&l);
    s = nw_xml_verdict(&l.xml, s, err);
    if (!s)
        s = choose_slat(&fresh, err);
    if (s) {
        nw_config_fini(&fresh);
        goto out;
    }
    nw_config_fini(c);
    *c = fresh;
out:
    nw_xml_free(&l.xml);
    return s;
}
