/* sweep_identity.c - what makes a point the same point tomorrow: all that decides its result, and nothing else. Where a value comes from (its
 * line in the scenario, --set) is not part of it, nor how many threads there are. */
#include "sweep_plan.h"
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 384, LINES_MAX = 1024 };

/* The parameters of a run as lines, "PATH=VALUE\n"; those of its points differ in a few of them. */
struct lines {
    char (*line)[LINE_MAX_BYTES];
    size_t count;
};

static void add_line(void *context, const char *path, const char *value, const char *source,
                     const struct nw_param *param)
{
    struct lines *l = context;
    (void)source, (void)param;
    if (l->count < LINES_MAX)
        snprintf(l->line[l->count], LINE_MAX_BYTES, "%s=%s\n", path, value);
    l->count++;
}

static void change_line(struct lines *l, const char *path, const char *value)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < l->count; i++)
        if (!strncmp(l->line[i], path, n) && l->line[i][n] == '=')
            snprintf(l->line[i], LINE_MAX_BYTES, "%s=%s\n", path, value);
}

static void identify(const struct sweep_plan *p, size_t point, const char *trace_sha256, struct lines *l, char *text,
                     char out[65])
{
    char label[64];
    sweep_point_label(p, point, label, sizeof label);
    change_line(l, "run.label", label);
    for (size_t i = 0; i < p->axis_count; i++)
        change_line(l, p->axis[i].path, sweep_point_value(p, point, i));
    size_t used = (size_t)sprintf(text, "nestwalk %s\ntrace %s\n", NESTWALK_VERSION, trace_sha256);
    for (size_t i = 0; i < l->count; i++) {
        size_t n = strlen(l->line[i]);
        memcpy(text + used, l->line[i], n);
        used += n;
    }
    nw_bytes_sha256(text, used, out);
}

enum nw_status sweep_plan_identities(const struct sweep_plan *p, const char *trace_sha256, char (*identity)[65],
                                     struct nw_error *err)
{
    struct lines l = { .line = calloc(LINES_MAX, sizeof *l.line) };
    char *text = malloc((size_t)LINES_MAX * LINE_MAX_BYTES + 256);
    enum nw_status s = l.line && text ? NW_OK : nw_fail_nomem(err, "the identities of the points");
    for (size_t r = 0; r < p->run_count && !s; r++) {
        l.count = 0;
        nw_config_visit(&p->run[r].config, add_line, &l);
        if (l.count > LINES_MAX)
            s = nw_fail(err, NW_ERR_INTERNAL, "%zu parameters, and room for %d", l.count, LINES_MAX);
        for (size_t i = r * p->points_a_run; i < (r + 1) * p->points_a_run && !s; i++)
            identify(p, i, trace_sha256, &l, text, identity[i]);
    }
    free(text);
    free(l.line);
    return s;
}
