/* machine_save.c - a configuration's machine as a profile. See machine.h. */
#include "profile_shape.h"
#include <errno.h>
#include <nestwalk/scenarios/machine.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEPTH_MAX = 8, COMPONENT_MAX = 64 };

struct writer {
    FILE *out;
    char open[DEPTH_MAX][COMPONENT_MAX]; /* components of the path whose elements are open */
    bool open_named[DEPTH_MAX];
    size_t depth;
};

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        switch (c) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        default:
            if (c == '\t' || c == '\n' || c == '\r')
                fprintf(out, "&#%u;", c); /* a reader would turn them into spaces */
            else if (c < 0x20)
                fputc('?', out); /* XML 1.0 has no way to write it */
            else
                fputc(c, out);
        }
    }
}

static const char *element_at(const struct writer *w, size_t level, char *buffer)
{
    const char *named = w->open_named[level] ? nw_profile_named_element(w->open[level - 1]) : NULL;
    snprintf(buffer, COMPONENT_MAX, "%s", named ? named : w->open[level]);
    nw_profile_swap_chars(buffer, '_', '-');
    return buffer;
}

static void indent(struct writer *w) { fprintf(w->out, "%*s", (int)(2 * w->depth + 2), ""); }

static void close_to(struct writer *w, size_t depth)
{
    char name[COMPONENT_MAX];
    while (w->depth > depth) {
        w->depth--;
        indent(w);
        fprintf(w->out, "</%s>\n", element_at(w, w->depth, name));
    }
}

static void open_component(struct writer *w, const char *component, bool named)
{
    char name[COMPONENT_MAX];
    snprintf(w->open[w->depth], COMPONENT_MAX, "%s", component);
    w->open_named[w->depth] = named;
    indent(w);
    fprintf(w->out, "<%s", element_at(w, w->depth, name));
    if (named) {
        fputs(" name=\"", w->out);
        put_escaped(w->out, component);
        fputc('"', w->out);
    }
    fputs(">\n", w->out);
    w->depth++;
}

static void write_value(void *context, const char *path, const char *value, const char *source,
                        const struct nw_param *param)
{
    struct writer *w = context;
    if (param->group != NW_GROUP_MACHINE || !strcmp(path, "machine.name"))
        return;
    size_t root = strlen(NW_PROFILE_ROOT ".");
    bool at_root = !strncmp(path, NW_PROFILE_ROOT ".", root);
    path += at_root ? root : 0;
    const char *row = param->path + (at_root ? root : 0);

    size_t level = 0;
    char component[COMPONENT_MAX];
    for (const char *dot; (dot = strchr(path, '.')) && level < DEPTH_MAX; path = dot + 1, level++) {
        snprintf(component, sizeof component, "%.*s", (int)(dot - path), path);
        if (level >= w->depth || strcmp(w->open[level], component) != 0) {
            close_to(w, level);
            open_component(w, component, *row == '*');
        }
        row += strcspn(row, ".") + 1;
    }
    close_to(w, level);
    snprintf(component, sizeof component, "%s", path);
    nw_profile_swap_chars(component, '_', '-');
    indent(w);
    fprintf(w->out, "<%s value=\"", component);
    put_escaped(w->out, value);
    fputs("\" source=\"", w->out);
    put_escaped(w->out, source);
    fputs("\"/>\n", w->out);
}

static void write_profile(const struct nw_config *c, FILE *out)
{
    struct writer w = { .out = out };
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<machine xmlns=\"urn:nestwalk:machine:1\" name=\"", out);
    put_escaped(out, c->machine);
    fputs("\">\n", out);
    nw_config_visit(c, write_value, &w);
    close_to(&w, 0);
    fputs("</machine>\n", out);
}

enum nw_status nw_machine_save(const struct nw_config *c, const char *path, struct nw_error *err)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return nw_fail_nomem(err, path);
    enum nw_status s = NW_OK;
    FILE *out = fopen(temporary, "wx");
    if (!out) {
        s = nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot be written", temporary);
        goto done;
    }
    write_profile(c, out);
    bool bad = ferror(out);
    bad = fclose(out) || bad;
    if (bad || rename(temporary, path)) {
        s = nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot be written", path);
        unlink(temporary);
    }
done:
    free(temporary);
    return s;
}
