/* overcommit.c - see overcommit.h. */
#include "reports_internal.h"
#include <math.h>
#include <nestwalk/reports/overcommit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double LEAST_BEND = 0.05; /* of the scale, below the straight line */

size_t nw_knee(const struct nw_run_point *point, size_t count)
{
    size_t best = NW_OVERCOMMIT_NONE;
    double most = LEAST_BEND;
    if (count < 3)
        return best;
    const struct nw_run_point *first = point, *last = point + count - 1;
    const double width = last->x - first->x, height = last->y - first->y;
    if (!(width > 0) || !(height > 0))
        return best;
    for (size_t i = 1; i + 1 < count; i++) {
        const double below = (point[i].x - first->x) / width - (point[i].y - first->y) / height;
        if (below > most) {
            most = below;
            best = i;
        }
    }
    return best;
}

/* ---- points ---- */

static const char *value_of(const struct nw_run *run, const char *path)
{
    const struct nw_run_parameter *p = nw_run_parameter(run, path);
    return p ? p->value : "none";
}

static void name_policy(const struct nw_run *run, char *out, size_t size)
{
    const char *balloon = value_of(run, "balloon.policy"), *sharing = value_of(run, "sharing.kind");
    const bool ballooned = strcmp(balloon, "none") != 0, shared = strcmp(sharing, "none") != 0;
    snprintf(out, size, "%s%s%s%s%sswap %s on %s", ballooned ? "balloon " : "", ballooned ? balloon : "",
             ballooned ? ", " : "", shared ? sharing : "", shared ? ", " : "", value_of(run, "swap.policy"),
             value_of(run, "swap.device"));
}

static struct nw_overcommit_point point_of(const struct nw_run *run)
{
    const double frames = nw_run_value(run, "host.frames", 0), memory = nw_run_value(run, "guests.memory_pages", 0);
    return (struct nw_overcommit_point){
        .run = run,
        .ratio = frames > 0 ? memory / frames : 0,
        .saved_percent = memory > 0 ? 100 * (1 - nw_run_value(run, "host.used_frames_mean", frames) / memory) : 0,
        .slowdown_mean = nw_run_value(run, "guests.slowdown_mean", 0),
        .slowdown_worst = nw_run_value(run, "guests.slowdown_worst", 0),
        .whole = nw_run_value(run, "guests.finished", 0) >= nw_run_value(run, "guests.count", 1)
    };
}

static bool add_point(struct nw_overcommit *o, const struct nw_run *run)
{
    struct nw_overcommit_policy *p = NULL;
    char name[sizeof p->name];
    name_policy(run, name, sizeof name);
    for (size_t i = 0; i < o->policies && !p; i++)
        if (!strcmp(o->policy[i].name, name))
            p = &o->policy[i];
    if (!p) {
        struct nw_overcommit_policy *more = reallocarray(o->policy, o->policies + 1, sizeof *more);
        if (!more)
            return false;
        o->policy = more;
        p = &more[o->policies++];
        *p = (struct nw_overcommit_policy){ .knee = NW_OVERCOMMIT_NONE, .within = NW_OVERCOMMIT_NONE };
        snprintf(p->name, sizeof p->name, "%s", name);
    }
    struct nw_overcommit_point *more = reallocarray(p->point, p->points + 1, sizeof *more);
    if (!more)
        return false;
    p->point = more;
    size_t at = p->points++;
    const struct nw_overcommit_point new = point_of(run);
    for (; at && more[at - 1].ratio > new.ratio; at--)
        more[at] = more[at - 1];
    more[at] = new;
    return true;
}

/* ---- what they say together ---- */

static bool beats(const struct nw_overcommit_point *a, const struct nw_overcommit_point *b)
{
    return a->whole && a->saved_percent >= b->saved_percent && a->slowdown_mean <= b->slowdown_mean &&
           (a->saved_percent > b->saved_percent || a->slowdown_mean < b->slowdown_mean);
}

static bool is_efficient(const struct nw_overcommit *o, const struct nw_overcommit_point *p)
{
    for (size_t i = 0; i < o->policies; i++)
        for (size_t k = 0; k < o->policy[i].points; k++)
            if (beats(&o->policy[i].point[k], p))
                return false;
    return p->whole;
}

/* Of several runs with one overcommitment (they differ in something that is no part of a policy's name) the worst counts. */
static bool find_knee(struct nw_overcommit_policy *p)
{
    struct nw_run_point *curve = calloc(p->points, sizeof *curve);
    size_t *origin = calloc(p->points, sizeof *origin), count = 0;
    for (size_t i = 0; curve && origin && i < p->points; i++) {
        if (!count || p->point[i].ratio > curve[count - 1].x)
            curve[count++] = (struct nw_run_point){ p->point[i].ratio, 0 };
        if (p->point[i].slowdown_worst >= curve[count - 1].y) {
            curve[count - 1].y = p->point[i].slowdown_worst;
            origin[count - 1] = i;
        }
    }
    const bool ok = curve && origin;
    const size_t knee = ok ? nw_knee(curve, count) : NW_OVERCOMMIT_NONE;
    if (knee != NW_OVERCOMMIT_NONE)
        p->knee = origin[knee];
    free(curve);
    free(origin);
    return ok;
}

enum nw_status nw_overcommit_find(const struct nw_run *runs, size_t count, double limit, struct nw_overcommit *out,
                                  struct nw_error *err)
{
    struct nw_overcommit o = { .limit = limit };
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++)
        if (!strcmp(runs[i].mode, "guests"))
            ok = add_point(&o, &runs[i]);
    for (size_t i = 0; i < o.policies && ok; i++) {
        struct nw_overcommit_policy *p = &o.policy[i];
        for (size_t k = 0; k < p->points; k++)
            p->point[k].efficient = is_efficient(&o, &p->point[k]);
        for (size_t k = 0; k < p->points && p->point[k].whole && p->point[k].slowdown_worst <= limit; k++)
            p->within = k;
        ok = find_knee(p);
    }
    if (!ok || !o.policies) {
        nw_overcommit_fini(&o);
        return ok ? nw_fail(err, NW_ERR_INPUT, "none of these runs is of several guests on one host")
                  : nw_fail_nomem(err, "the runs' overcommitment");
    }
    *out = o;
    return NW_OK;
}

void nw_overcommit_fini(struct nw_overcommit *o)
{
    for (size_t i = 0; i < o->policies; i++)
        free(o->policy[i].point);
    free(o->policy);
    *o = (struct nw_overcommit){ 0 };
}

/* ---- texts ---- */

static json_t *point_json(const struct nw_overcommit_point *p)
{
    json_t *o = json_object();
    if (o && json_put(o, "scenario", json_text(p->run->scenario)) && json_put(o, "label", json_text(p->run->label)) &&
        json_put(o, "overcommit", json_number(p->ratio)) &&
        json_put(o, "saved_percent", json_number(p->saved_percent)) &&
        json_put(o, "slowdown_mean", json_number(p->slowdown_mean)) &&
        json_put(o, "slowdown_worst", json_number(p->slowdown_worst)) && json_put(o, "whole", json_boolean(p->whole)) &&
        json_put(o, "efficient", json_boolean(p->efficient)))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *place_json(const struct nw_overcommit_policy *p, size_t at)
{
    return at == NW_OVERCOMMIT_NONE ? json_null() : json_number(p->point[at].ratio);
}

static json_t *policy_json(const struct nw_overcommit_policy *p)
{
    json_t *o = json_object(), *points = json_array();
    bool ok = o && json_put(o, "policy", json_text(p->name)) && json_put(o, "points", points);
    for (size_t i = 0; ok && i < p->points; i++)
        ok = !json_array_append_new(points, point_json(&p->point[i]));
    if (ok && json_put(o, "knee", place_json(p, p->knee)) && json_put(o, "within", place_json(p, p->within)))
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_overcommit_json_text(const struct nw_overcommit *o, char **out, struct nw_error *err)
{
    json_t *root = json_object(), *list = json_array();
    struct text t = { 0 };
    bool ok = root && json_put(root, "limit", json_number(o->limit)) && json_put(root, "policies", list);
    for (size_t i = 0; ok && i < o->policies; i++)
        ok = !json_array_append_new(list, policy_json(&o->policy[i]));
    if (ok) {
        json_write(&t, root);
        text_add(&t, "\n");
    }
    json_decref(root);
    return ok ? text_take(&t, out, "the overcommitment's JSON", err) : nw_fail_nomem(err, "the overcommitment's JSON");
}

enum nw_status nw_overcommit_csv_text(const struct nw_overcommit *o, char **out, struct nw_error *err)
{
    struct text t = { 0 };
    text_add(&t, "policy,scenario,label,overcommit,saved_percent,slowdown_mean,slowdown_worst,whole,efficient,knee\n");
    for (size_t i = 0; i < o->policies; i++)
        for (size_t k = 0; k < o->policy[i].points; k++) {
            const struct nw_overcommit_point *p = &o->policy[i].point[k];
            const double value[] = { p->ratio, p->saved_percent, p->slowdown_mean, p->slowdown_worst };
            const char *const name[] = { o->policy[i].name, p->run->scenario, p->run->label };
            for (size_t n = 0; n < NW_ARRAY_LEN(name); n++) {
                text_add_csv(&t, name[n]);
                text_add(&t, ",");
            }
            for (size_t n = 0; n < NW_ARRAY_LEN(value); n++) {
                char text[32];
                real_text(value[n], text);
                text_printf(&t, "%s,", text);
            }
            text_printf(&t, "%d,%d,%d\n", p->whole, p->efficient, k == o->policy[i].knee);
        }
    return text_take(&t, out, "the overcommitment's CSV", err);
}
