/* vms_config.c - configurations of several guests: values by path. */
#include "vms_config.h"
#include "params.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void defaults_of(const char *group, void *base)
{
    size_t count, length = strlen(group);
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; i < count; i++)
        if (!strncmp(p[i].path, group, length)) {
            const enum nw_status s = nw_param_parse(&p[i], p[i].path, p[i].initial, (char *)base + p[i].offset, NULL);
            (void)s; /* tests/sim/test_vms_config.c parses every default */
        }
}

void nw_vms_config_init(struct nw_vms_config *c)
{
    *c = (struct nw_vms_config){ .seed = 42 };
    defaults_of("host.", &c->host);
    defaults_of("swap.", &c->swap);
    defaults_of("sharing.", &c->sharing);
    defaults_of("balloon.", &c->balloon);
    defaults_of("monitor.", &c->monitor);
}

void nw_vms_config_fini(struct nw_vms_config *c)
{
    for (size_t i = 0; i < c->guests; i++)
        free(c->guest[i].work);
    for (size_t i = 0; i < c->sets; i++) {
        free(c->set[i].path);
        free(c->set[i].source);
    }
    free(c->guest);
    free(c->set);
    *c = (struct nw_vms_config){ 0 };
}

enum nw_status nw_vms_config_copy(struct nw_vms_config *to, const struct nw_vms_config *from, struct nw_error *err)
{
    struct nw_vms_config c = *from;
    c.guest = calloc(from->guests + 1, sizeof *c.guest);
    c.set = calloc(from->sets + 1, sizeof *c.set);
    bool ok = c.guest && c.set;
    c.guests = c.sets = 0;
    for (size_t i = 0; ok && i < from->guests; i++) {
        const struct nw_vms_guest *g = &from->guest[i];
        c.guest[i] = *g;
        if ((c.guest[i].work = calloc(g->works + 1, sizeof *g->work)) && g->works)
            memcpy(c.guest[i].work, g->work, g->works * sizeof *g->work);
        ok = c.guest[i].work;
        c.guests++;
    }
    for (size_t i = 0; ok && i < from->sets; i++) {
        c.set[i] = (struct nw_vms_setting){ strdup(from->set[i].path), strdup(from->set[i].source) };
        ok = c.set[i].path && c.set[i].source;
        c.sets++;
    }
    if (!ok) {
        nw_vms_config_fini(&c);
        return nw_fail_nomem(err, "a configuration of guests");
    }
    *to = c;
    return NW_OK;
}

static struct nw_vms_guest *find_guest(const struct nw_vms_config *c, const char *name, size_t length)
{
    for (size_t i = 0; i < c->guests; i++)
        if (strlen(c->guest[i].name) == length && !strncmp(c->guest[i].name, name, length))
            return &c->guest[i];
    return NULL;
}

static bool is_name(const char *name)
{
    const size_t length = strlen(name);
    return length && length < NW_VMS_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == length;
}

enum nw_status nw_vms_config_add_guest(struct nw_vms_config *c, const char *name, size_t *index, struct nw_error *err)
{
    if (!is_name(name))
        return nw_fail(err, NW_ERR_USAGE, "a guest's name is of letters, digits, _ and -, 1 to %d, not \"%.80s\"",
                       NW_VMS_NAME - 1, name);
    if (find_guest(c, name, strlen(name)))
        return nw_fail(err, NW_ERR_USAGE, "a second guest is called \"%s\"", name);
    struct nw_vms_guest *more = reallocarray(c->guest, c->guests + 1, sizeof *more);
    if (!more)
        return nw_fail_nomem(err, "a guest");
    c->guest = more;
    more[c->guests] = (struct nw_vms_guest){ 0 };
    defaults_of("vm.", &more[c->guests]);
    snprintf(more[c->guests].name, NW_VMS_NAME, "%s", name);
    *index = c->guests++;
    return NW_OK;
}

enum nw_status nw_vms_config_add_work(struct nw_vms_config *c, size_t guest, size_t *index, struct nw_error *err)
{
    struct nw_vms_guest *g = &c->guest[guest];
    struct nw_vms_work *more = reallocarray(g->work, g->works + 1, sizeof *more);
    if (!more)
        return nw_fail_nomem(err, "a guest's work");
    g->work = more;
    more[g->works] = (struct nw_vms_work){ 0 };
    defaults_of("work.", &more[g->works]);
    *index = g->works++;
    return NW_OK;
}

/* ---- by path ---- */

static enum nw_status remember_source(struct nw_vms_config *c, const char *path, const char *source,
                                      struct nw_error *err)
{
    for (size_t i = 0; i < c->sets; i++)
        if (!strcmp(c->set[i].path, path)) {
            char *text = strdup(source);
            if (!text)
                return nw_fail_nomem(err, "a value's source");
            free(c->set[i].source);
            c->set[i].source = text;
            return NW_OK;
        }
    struct nw_vms_setting *more = reallocarray(c->set, c->sets + 1, sizeof *more),
                          new = { strdup(path), strdup(source) };
    if (more)
        c->set = more;
    if (!more || !new.path || !new.source) {
        free(new.path);
        free(new.source);
        return nw_fail_nomem(err, "a value's source");
    }
    more[c->sets++] = new;
    return NW_OK;
}

static const struct nw_param *find_row(const char *path)
{
    size_t count;
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].path, path))
            return &p[i];
    return NULL;
}

static enum nw_status unknown_path(const char *path, const char *row, struct nw_error *err)
{
    char allowed[700] = "";
    size_t count, used = 0, group = strcspn(row, ".") + 1;
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; i < count && used < sizeof allowed; i++)
        if (row[group - 1] && !strncmp(p[i].path, row, group))
            used += (size_t)snprintf(allowed + used, sizeof allowed - used, " %s", p[i].path + group);
    if (used)
        return nw_fail(err, NW_ERR_USAGE, "no parameter is called %s; after \"%.*s\" are allowed:%s", path, (int)group,
                       row, allowed);
    return nw_fail(err, NW_ERR_USAGE,
                   "no parameter is called %s; allowed are host.*, swap.*, sharing.*, balloon.*, monitor.*, vm.NAME.*, "
                   "vm.NAME.work.*",
                   path);
}

/* Where a path leads: a field of one struct, or of each work of a guest. */
struct place {
    const struct nw_param *row;
    char *base;
    size_t count, step;
};

static enum nw_status place_row(const char *row, void *base, const char *path, struct place *out, struct nw_error *err)
{
    *out = (struct place){ find_row(row), base, 1, 0 };
    return out->row ? NW_OK : unknown_path(path, row, err);
}

/* vm.NAME.FIELD, vm.NAME.work.FIELD, vm.NAME.work.N.FIELD */
static enum nw_status place_guest(const struct nw_vms_config *c, const char *path, struct place *out,
                                  struct nw_error *err)
{
    const char *name = path + strlen("vm."), *field = strchr(name, '.');
    struct nw_vms_guest *g = field ? find_guest(c, name, (size_t)(field - name)) : NULL;
    char row[128], known[256] = "";
    size_t used = 0;
    for (size_t i = 0; !g && i < c->guests && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, " %s", c->guest[i].name);
    if (!g)
        return nw_fail(err, NW_ERR_USAGE, "%s: no guest has this name; there are:%s", path, known);
    if (strncmp(++field, "work.", 5) != 0) {
        snprintf(row, sizeof row, "vm.%s", field);
        return place_row(row, g, path, out, err);
    }
    field += strlen("work.");
    char *after;
    const bool one = *field >= '0' && *field <= '9';
    const uint64_t number = one ? strtoull(field, &after, 10) : 0;
    if (one && (*after != '.' || number >= g->works))
        return nw_fail(err, NW_ERR_USAGE, "%s: guest %s has %zu works, numbered from 0", path, g->name, g->works);
    if (!g->works)
        return nw_fail(err, NW_ERR_USAGE, "%s: guest %s has no work", path, g->name);
    snprintf(row, sizeof row, "work.%s", one ? after + 1 : field);
    enum nw_status s = place_row(row, &g->work[number], path, out, err);
    out->count = one ? 1 : g->works;
    out->step = sizeof *g->work;
    return s;
}

static enum nw_status find_place(const struct nw_vms_config *c, const char *path, struct place *out,
                                 struct nw_error *err)
{
    const struct {
        const char *prefix;
        const void *base;
    } group[] = { { "host.", &c->host },
                  { "swap.", &c->swap },
                  { "sharing.", &c->sharing },
                  { "balloon.", &c->balloon },
                  { "monitor.", &c->monitor } };
    for (size_t i = 0; i < NW_ARRAY_LEN(group); i++)
        if (!strncmp(path, group[i].prefix, strlen(group[i].prefix)))
            return place_row(path, (void *)(uintptr_t)group[i].base, path, out, err);
    return strncmp(path, "vm.", 3) ? unknown_path(path, "", err) : place_guest(c, path, out, err);
}

enum nw_status nw_vms_config_set(struct nw_vms_config *c, const char *path, const char *value, const char *source,
                                 struct nw_error *err)
{
    struct place p;
    enum nw_status s = find_place(c, path, &p, err);
    for (size_t i = 0; !s && i < p.count; i++)
        s = nw_param_parse(p.row, path, value, p.base + i * p.step + p.row->offset, err);
    return s ? s : remember_source(c, path, source, err);
}

enum nw_status nw_vms_config_get(const struct nw_vms_config *c, const char *path, char *out, size_t out_size,
                                 struct nw_error *err)
{
    struct place p;
    enum nw_status s = find_place(c, path, &p, err);
    if (!s)
        nw_param_format(p.row, p.base + p.row->offset, out, out_size);
    return s;
}

enum nw_status nw_vms_config_seed(struct nw_vms_config *c, const char *value, struct nw_error *err)
{
    static const struct nw_param row = {
        .path = "seed", .type = NW_PARAM_COUNT, .unit = "", .max = 0x1p63, .initial = "42"
    };
    return nw_param_parse(&row, "seed", value, &c->seed, err);
}

const char *vms_config_source(const struct nw_vms_config *c, const char *path)
{
    char all[256] = "";
    const char *work = strstr(path, ".work.");
    if (work && !strncmp(path, "vm.", 3)) {
        const char *field = work + strlen(".work.");
        field += strspn(field, "0123456789");
        snprintf(all, sizeof all, "%.*s.work%s", (int)(work - path), path, field);
    }
    for (size_t i = c->sets; i-- > 0;)
        if (!strcmp(c->set[i].path, path) || (all[0] && !strcmp(c->set[i].path, all)))
            return c->set[i].source;
    return "default";
}

static void visit_group(const struct nw_vms_config *c, const char *group, const char *shown, const void *base,
                        nw_config_fn fn, void *context)
{
    size_t count, length = strlen(group);
    const struct nw_param *p = nw_vms_params(&count);
    for (size_t i = 0; i < count; i++)
        if (!strncmp(p[i].path, group, length)) {
            char path[192], value[NW_VMS_PATH];
            snprintf(path, sizeof path, "%s%s", shown, p[i].path + length);
            nw_param_format(&p[i], (const char *)base + p[i].offset, value, sizeof value);
            fn(context, path, value, vms_config_source(c, path), &p[i]);
        }
}

void nw_vms_config_visit(const struct nw_vms_config *c, nw_config_fn fn, void *context)
{
    visit_group(c, "host.", "host.", &c->host, fn, context);
    visit_group(c, "swap.", "swap.", &c->swap, fn, context);
    visit_group(c, "sharing.", "sharing.", &c->sharing, fn, context);
    visit_group(c, "balloon.", "balloon.", &c->balloon, fn, context);
    visit_group(c, "monitor.", "monitor.", &c->monitor, fn, context);
    for (size_t i = 0; i < c->guests; i++) {
        char shown[128];
        snprintf(shown, sizeof shown, "vm.%s.", c->guest[i].name);
        visit_group(c, "vm.", shown, &c->guest[i], fn, context);
        for (size_t w = 0; w < c->guest[i].works; w++) {
            snprintf(shown, sizeof shown, "vm.%s.work.%zu.", c->guest[i].name, w);
            visit_group(c, "work.", shown, &c->guest[i].work[w], fn, context);
        }
    }
}
