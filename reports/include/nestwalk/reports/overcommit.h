/* overcommit.h - what runs of several guests say together: memory saved against slowdown for each policy, and how far a host can be overcommitted.
 *
 *     struct nw_overcommit o;
 *     if ((s = nw_overcommit_find(runs, count, 1.1, &o, err))) return s;
 *     for (size_t i = 0; i < o.policies; i++) ... o.policy[i].name, .knee, .within ...
 *     nw_overcommit_fini(&o);
 *
 * Terms. *Overcommitment* is what the guests believe to have, by what the host has. *Saved* is the share of the guests' memory that no frame stood for, on average over the run.
 * A *policy* is what says who gives memory and how: the parameters balloon.policy, swap.policy, swap.device and sharing.kind together.
 * A run is *efficient* when no other one saves as much with less slowdown, or more with as little: the efficient ones are the frontier.
 *
 * The knee of a policy is where its slowdown begins to rise: of its runs in the order of their overcommitment, both scaled to 0 .. 1, the one furthest below the straight line from
 * the first to the last (Satopaa, Albrecht, Irwin and Raghavan, "Finding a 'Kneedle' in a Haystack", ICDCSW 2011, without its smoothing, as the runs are exact). There is none for fewer than three
 * overcommitments, nor when no run lies a twentieth of the scale below the line: then slowdown rises evenly, or not at all. */
#ifndef NESTWALK_REPORTS_OVERCOMMIT_H
#define NESTWALK_REPORTS_OVERCOMMIT_H

#include <nestwalk/reports/run.h>

struct nw_overcommit_point {
    const struct nw_run *run; /* borrowed */
    double ratio;             /* overcommitment */
    double saved_percent;
    double slowdown_mean, slowdown_worst; /* of the guests */
    bool whole;                           /* all guests came to their end; otherwise the slowdown means little */
    bool efficient;
};

#define NW_OVERCOMMIT_NONE SIZE_MAX
struct nw_overcommit_policy {
    char name[160];                    /* "balloon idle-tax, swap two-list on nvme" */
    struct nw_overcommit_point *point; /* owned; by overcommitment, then as the runs came */
    size_t points;
    size_t knee;   /* a point, or NW_OVERCOMMIT_NONE */
    size_t within; /* the last point up to which all have a worst slowdown within the limit, or NW_OVERCOMMIT_NONE */
};
struct nw_overcommit {
    double limit;
    struct nw_overcommit_policy *policy; /* owned; as the runs came */
    size_t policies;
};

/* Of the runs with mode "guests", which have to outlive the answer; others are passed over. NW_ERR_INPUT when there is none; NW_ERR_NOMEM. */
enum nw_status nw_overcommit_find(const struct nw_run *runs, size_t count, double limit, struct nw_overcommit *out,
                                  struct nw_error *err) NW_MUST_USE;
void nw_overcommit_fini(struct nw_overcommit *o);

/* The knee of any rising curve, ascending in x; NW_OVERCOMMIT_NONE without. */
size_t nw_knee(const struct nw_run_point *point, size_t count);

/* `{ "limit", "policies": [{ "policy", "points": [{ "scenario", "label", "overcommit", "saved_percent", "slowdown_mean", "slowdown_worst", "whole", "efficient" }],
 * "knee", "within" }] }`, the last two as an overcommitment or null; or one line a point as CSV. free() it. */
enum nw_status nw_overcommit_json_text(const struct nw_overcommit *o, char **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_overcommit_csv_text(const struct nw_overcommit *o, char **out, struct nw_error *err) NW_MUST_USE;

#endif
