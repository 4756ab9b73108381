/* intent.c - an intent's XML into its tables. See intent.h. */
#include "xml_file.h"
#include <ctype.h>
#include <nestwalk/iommu/reach.h>
#include <nestwalk/scenarios/intent.h>
#include <stdlib.h>
#include <string.h>

struct loading {
    struct nw_xml xml;
    struct nw_intent in; /* what has been read so far */
    struct nw_error *err;
};

static bool is(const xmlNode *e, const char *name) { return !strcmp((const char *)e->name, name); }

static enum nw_status nomem(struct loading *l) { return nw_fail_nomem(l->err, l->xml.name); }

/* The array with room for one more; NULL, and the array as it was, when out of memory. */
static void *grown(void *array, size_t count, size_t size)
{
    return count & (count - 1) ? array : reallocarray(array, count ? 2 * count : 1, size);
}

/* ---- values ------------------------------------------------------------------------------------- */

/* The attribute's value, or NULL with a status: out of memory. An attribute that is not there has *value NULL too. */
static enum nw_status take(struct loading *l, const xmlNode *e, const char *attribute, char **value)
{
    *value = NULL;
    if (!xmlHasProp(e, (const xmlChar *)attribute))
        return NW_OK;
    *value = nw_xml_attribute(e, attribute);
    return *value ? NW_OK : nomem(l);
}

/* "0x1000" or "4096", and nothing behind it. */
static bool parse_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hex ? "0123456789abcdef" : "0123456789";
    const unsigned base = hex ? 16 : 10;
    text += hex ? 2 : 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        const char *digit = strchr(digits, tolower((unsigned char)*text));
        if (!digit || value > (UINT64_MAX - (uint64_t)(digit - digits)) / base)
            return false;
        value = value * base + (uint64_t)(digit - digits);
    }
    *out = value;
    return true;
}

/* An address that begins a page (`is_last`: ends one). */
static enum nw_status take_address(struct loading *l, const xmlNode *e, const char *attribute, bool is_last,
                                   uint64_t *out)
{
    char *text;
    enum nw_status s = take(l, e, attribute, &text);
    if (!s && !parse_number(text, out))
        s = nw_xml_fail(&l->xml, e, attribute, l->err, NW_ERR_INPUT,
                        "%s=\"%s\": an address, like 0x100000000, is expected", attribute, text);
    else if (!s && ((*out + is_last) & 0xfff))
        s = nw_xml_fail(&l->xml, e, attribute, l->err, NW_ERR_INPUT, "%s=\"%s\": %s, %s is expected", attribute, text,
                        is_last ? "the last byte of a page of 4 KiB" : "the first byte of a page of 4 KiB",
                        is_last ? "like 0x13fffffff" : "like 0x100000000");
    xmlFree(text);
    return s;
}

static enum nw_status take_range(struct loading *l, const xmlNode *e, uint64_t *first, uint64_t *last)
{
    enum nw_status s = take_address(l, e, "first", false, first);
    if (!s)
        s = take_address(l, e, "last", true, last);
    if (!s && *last < *first)
        s = nw_xml_fail(&l->xml, e, "last", l->err, NW_ERR_INPUT, "the range ends before its first byte 0x%llx",
                        (unsigned long long)*first);
    return s;
}

static enum nw_status take_access(struct loading *l, const xmlNode *e, unsigned *rights)
{
    char *text;
    enum nw_status s = take(l, e, "access", &text);
    *rights = text ? 0 : NW_REACH_BOTH;
    for (const char *c = text; c && *c; c++)
        *rights |= *c == 'r' ? NW_REACH_READ : *c == 'w' ? NW_REACH_WRITE : 0u;
    xmlFree(text);
    return s;
}

/* "03:00.0" or "0001:03:00.0". */
static bool parse_device(const char *text, uint16_t *segment, uint16_t *source_id)
{
    unsigned long part[4] = { 0 };
    static const unsigned long most[] = { 0xffff, 0xff, 0x1f, 7 };
    unsigned first = strlen(text) > 8;
    for (unsigned i = first ? 0 : 1; i < 4; i++) {
        const size_t digits = strspn(text, "0123456789abcdefABCDEF");
        if (!digits || digits > 4 || text[digits] != (i == 3 ? 0 : i == 2 ? '.' : ':'))
            return false;
        part[i] = strtoul(text, NULL, 16);
        if (part[i] > most[i])
            return false;
        text += digits + 1;
    }
    *segment = (uint16_t)part[0];
    *source_id = (uint16_t)(part[1] << 8 | part[2] << 3 | part[3]);
    return true;
}

static enum nw_status take_device(struct loading *l, const xmlNode *e, const char *attribute, uint16_t *segment,
                                  uint16_t *source_id)
{
    char *text;
    enum nw_status s = take(l, e, attribute, &text);
    if (!s && !parse_device(text, segment, source_id))
        s = nw_xml_fail(&l->xml, e, attribute, l->err, NW_ERR_INPUT,
                        "%s=\"%s\": [segment:]bus:device.function, like 03:00.0 (hexadecimal), is expected", attribute,
                        text);
    xmlFree(text);
    return s;
}

/* ---- owners ------------------------------------------------------------------------------------- */

static int owner_named(const struct nw_intent *in, const char *name)
{
    for (size_t i = 0; i < in->owners; i++)
        if (!strcmp(in->owner[i].name, name))
            return (int)i;
    return -1;
}

static enum nw_status add_owner(struct loading *l, const xmlNode *e, enum nw_intent_kind kind, int *out)
{
    struct nw_intent *in = &l->in;
    char *text = NULL, *name;
    enum nw_status s = NW_OK;
    if (kind == NW_INTENT_GUEST)
        s = take(l, e, "name", &text);
    if (s)
        return s;
    name = strdup(text ? text : (const char *)e->name);
    xmlFree(text);
    if (!name)
        return nomem(l);
    if (kind == NW_INTENT_GUEST &&
        (strlen(name) > 32 ||
         strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(name) ||
         !strcmp(name, "hypervisor") || !strcmp(name, "tables") || !strcmp(name, "blocked")))
        s = nw_xml_fail(
            &l->xml, e, "name", l->err, NW_ERR_INPUT,
            "name=\"%.40s\": up to 32 letters, digits, '-', '_' and '.' are expected, and none of hypervisor, "
            "tables and blocked",
            name);
    else if (owner_named(in, name) >= 0)
        s = nw_xml_fail(&l->xml, e, kind == NW_INTENT_GUEST ? "name" : NULL, l->err, NW_ERR_INPUT,
                        "there is %s \"%s\" already", kind == NW_INTENT_GUEST ? "a guest" : "an element", name);
    struct nw_intent_owner *more = s ? NULL : grown(in->owner, in->owners, sizeof *more);
    if (!more) {
        free(name);
        return s ? s : nomem(l);
    }
    in->owner = more;
    *out = (int)in->owners;
    more[in->owners++] = (struct nw_intent_owner){ .name = name, .kind = kind };
    return NW_OK;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static enum nw_status add_window(struct loading *l, const xmlNode *e, int owner, int device)
{
    struct nw_intent *in = &l->in;
    struct nw_intent_window w = { .owner = owner, .device = device, .line = nw_xml_line(&l->xml, e) };
    char *required;
    enum nw_status s = take_range(l, e, &w.first, &w.last);
    if (!s)
        s = take_access(l, e, &w.rights);
    w.has_target = xmlHasProp(e, (const xmlChar *)"target");
    if (!s && w.has_target)
        s = take_address(l, e, "target", false, &w.target);
    if (!s && w.has_target && (w.target >> 52 || w.last - w.first > UINT64_C(0xfffffffffffff) - w.target))
        s = nw_xml_fail(&l->xml, e, "target", l->err, NW_ERR_INPUT, "the memory ends above 2^52");
    if (!s)
        s = take(l, e, "required", &required);
    if (s)
        return s;
    w.required = required && !strcmp(required, "yes");
    xmlFree(required);
    struct nw_intent_window *more = grown(in->window, in->windows, sizeof *more);
    if (!more)
        return nomem(l);
    in->window = more;
    more[in->windows++] = w;
    return NW_OK;
}

static enum nw_status add_device(struct loading *l, const xmlNode *e, int owner)
{
    struct nw_intent *in = &l->in;
    struct nw_intent_device d = { .owner = owner, .line = nw_xml_line(&l->xml, e) };
    uint64_t pasid = 0;
    uint16_t segment = 0;
    char *text;
    enum nw_status s = take_device(l, e, "bdf", &d.segment, &d.first);
    d.last = d.first;
    if (!s && xmlHasProp(e, (const xmlChar *)"last")) {
        s = take_device(l, e, "last", &segment, &d.last);
        if (!s && (d.last < d.first || segment != d.segment))
            s = nw_xml_fail(&l->xml, e, "last", l->err, NW_ERR_INPUT,
                            "a function of the same segment that does not come before bdf is expected");
    }
    if (!s)
        s = take(l, e, "pasid", &text);
    if (s)
        return s;
    d.has_pasid = text;
    if (text && (!parse_number(text, &pasid) || pasid >> 20))
        s = nw_xml_fail(&l->xml, e, "pasid", l->err, NW_ERR_INPUT, "pasid=\"%s\": a number below 0x100000 is expected",
                        text);
    d.pasid = (uint32_t)pasid;
    xmlFree(text);
    for (size_t i = 0; !s && i < in->devices; i++) {
        const struct nw_intent_device *o = &in->device[i];
        if (o->segment == d.segment && o->first <= d.last && d.first <= o->last && o->has_pasid == d.has_pasid &&
            o->pasid == d.pasid)
            s = nw_xml_fail(&l->xml, e, "bdf", l->err, NW_ERR_INPUT,
                            "the device is named in line %u already; each has one owner", o->line);
    }
    struct nw_intent_device *more = s ? NULL : grown(in->device, in->devices, sizeof *more);
    if (!more)
        return s ? s : nomem(l);
    in->device = more;
    const int row = (int)in->devices;
    more[in->devices++] = d;
    for (const xmlNode *w = nw_xml_first(e); w && !s; w = nw_xml_next(w))
        s = add_window(l, w, owner, row);
    return s;
}

static enum nw_status append_memory(struct loading *l, struct nw_intent_memory **list, size_t *count,
                                    const struct nw_intent_memory *m)
{
    struct nw_intent_memory *more = grown(*list, *count, sizeof *more);
    if (!more)
        return nomem(l);
    *list = more;
    more[(*count)++] = *m;
    return NW_OK;
}

static enum nw_status take_memory(struct loading *l, const xmlNode *e, struct nw_intent_memory *m)
{
    uint64_t last = 0;
    enum nw_status s = take_range(l, e, &m->start, &last);
    if (!s && last >> 52)
        s = nw_xml_fail(&l->xml, e, "last", l->err, NW_ERR_INPUT, "physical memory ends below 2^52");
    m->end = last + 1;
    m->line = nw_xml_line(&l->xml, e);
    return s ? s : take_access(l, e, &m->rights);
}

static enum nw_status add_memory(struct loading *l, const xmlNode *e, int owner)
{
    struct nw_intent *in = &l->in;
    struct nw_intent_memory m = { .owner = owner };
    enum nw_status s = take_memory(l, e, &m);
    for (size_t i = 0; !s && i < in->memories; i++) {
        const struct nw_intent_memory *o = &in->memory[i];
        if (o->start < m.end && m.start < o->end)
            s = nw_xml_fail(
                &l->xml, e, "first", l->err, NW_ERR_INPUT,
                "overlaps the memory of line %u, 0x%llx-0x%llx; memory has one owner, and <shared> is for what "
                "others may reach as well",
                o->line, (unsigned long long)o->start, (unsigned long long)o->end - 1);
    }
    if (s)
        return s;
    in->owner[owner].has_memory = true;
    return append_memory(l, &in->memory, &in->memories, &m);
}

/* One row for each of those that it is shared with: they may be named further down. */
static enum nw_status add_shared(struct loading *l, const xmlNode *e)
{
    struct nw_intent *in = &l->in;
    struct nw_intent_memory m = { .owner = -1 };
    char *with = NULL, *rest = NULL;
    enum nw_status s = take_memory(l, e, &m);
    if (!s)
        s = take(l, e, "with", &with);
    for (char *name = s ? NULL : strtok_r(with, " ", &rest); name && !s; name = strtok_r(NULL, " ", &rest)) {
        m.owner = owner_named(in, name);
        if (m.owner < 0 || in->owner[m.owner].kind > NW_INTENT_HYPERVISOR)
            s = nw_xml_fail(
                &l->xml, e, "with", l->err, NW_ERR_INPUT,
                "there is no guest \"%s\"; names of <guest> elements and \"hypervisor\", when there is that element, "
                "are allowed",
                name);
        else
            s = append_memory(l, &in->shared, &in->shareds, &m);
    }
    xmlFree(with);
    return s;
}

/* ---- the file ----------------------------------------------------------------------------------- */

static enum nw_status load_owner(struct loading *l, const xmlNode *e)
{
    int owner = -1;
    const enum nw_intent_kind kind = is(e, "guest")        ? NW_INTENT_GUEST
                                     : is(e, "hypervisor") ? NW_INTENT_HYPERVISOR
                                     : is(e, "blocked")    ? NW_INTENT_BLOCKED
                                                           : NW_INTENT_TABLES;
    enum nw_status s = add_owner(l, e, kind, &owner);
    for (const xmlNode *n = nw_xml_first(e); n && !s; n = nw_xml_next(n))
        s = is(n, "device")   ? add_device(l, n, owner)
            : is(n, "memory") ? add_memory(l, n, owner)
                              : add_window(l, n, owner, -1);
    return s;
}

static int by_start(const void *a, const void *b)
{
    const struct nw_intent_memory *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static enum nw_status load_root(struct loading *l)
{
    struct nw_intent *in = &l->in;
    const xmlNode *root = xmlDocGetRootElement(l->xml.doc);
    char *others, *name;
    enum nw_status s = take(l, root, "others", &others);
    if (s)
        return s;
    in->others = !strcmp(others, "blocked")      ? NW_INTENT_BLOCKED
                 : !strcmp(others, "hypervisor") ? NW_INTENT_HYPERVISOR
                                                 : NW_INTENT_UNCHECKED;
    xmlFree(others);
    s = take(l, root, "name", &name);
    if (!s)
        in->name = strdup(name ? name : "");
    xmlFree(name);
    in->file = strdup(l->xml.name);
    if (!s && (!in->name || !in->file))
        s = nomem(l);
    for (const xmlNode *e = nw_xml_first(root); e && !s; e = nw_xml_next(e))
        if (!is(e, "shared"))
            s = load_owner(l, e);
    for (const xmlNode *e = nw_xml_first(root); e && !s; e = nw_xml_next(e))
        if (is(e, "shared"))
            s = add_shared(l, e);
    if (!s && in->memories)
        qsort(in->memory, in->memories, sizeof *in->memory, by_start);
    return s;
}

/* l->xml is open; closes it. */
static enum nw_status load(struct loading *l, struct nw_intent *out)
{
    enum nw_status s = nw_xml_validate(&l->xml, "intent", l->err);
    if (!s)
        s = nw_xml_verdict(&l->xml, load_root(l), l->err);
    nw_xml_free(&l->xml);
    if (s)
        nw_intent_fini(&l->in);
    else
        *out = l->in;
    return s;
}

enum nw_status nw_intent_load(const char *path, struct nw_intent *out, struct nw_error *err)
{
    struct loading l = { .err = err };
    enum nw_status s = nw_xml_read(&l.xml, path, err);
    return s ? s : load(&l, out);
}

enum nw_status nw_intent_load_text(const char *name, const char *text, size_t size, struct nw_intent *out,
                                   struct nw_error *err)
{
    struct loading l = { .err = err };
    enum nw_status s = nw_xml_read_text(&l.xml, name, text, size, err);
    return s ? s : load(&l, out);
}
