/* The addresses that subjects use against the windows that the intent gives them. */
#include "proof_internal.h"
#include <stdio.h>
#include <stdlib.h>

/* Here a table is read for every address that leads there. Domains have little of that; tables that point at each other have more ways to
 * them than there is time. */
enum { WAYS_TO_A_TABLE = 16, TABLES_LEAST = 1 << 16 };

static uint64_t most_tables(const struct nw_proof *p, const struct proof_subject *s)
{
    const struct nw_survey_domain *d = proof_domain(p, s->head);
    return TABLES_LEAST + (d ? d->summary.tables * WAYS_TO_A_TABLE : 0);
}

struct looking {
    struct nw_proof *p;
    struct violations *v;
    size_t subject;
    const struct policy_who *who;
    const struct nw_intent_window **window; /* those of the subject, by their first address */
    uint64_t *covered;                      /* of each required one: mapped below here */
    size_t windows;
    bool confined;     /* there are windows without a target: nothing is allowed outside */
    unsigned *allowed; /* of each part of memory, targets of windows apart */
    struct violation open;
    uint64_t more_ranges, more_bytes;
    unsigned listed;
};

static void close_open(struct looking *l)
{
    const struct violation *o = &l->open;
    if (!o->end)
        return;
    if (l->listed++ < RANGES_LISTED) {
        proof_violation(l->p, l->v, o);
    } else {
        l->more_ranges++;
        l->more_bytes += o->end - o->start;
    }
    l->open.end = 0;
}

/* A piece at `iova` that no window allows. */
static void refuse(struct looking *l, uint64_t iova, uint64_t target, uint64_t bytes, unsigned rights)
{
    struct violation *o = &l->open;
    if (o->end == iova && o->end && o->rights == rights) {
        o->end += bytes;
        return;
    }
    close_open(l);
    *o = (struct violation){ .subject = l->subject,
                             .rule = N02,
                             .holder = l->p->map.holder[policy_part_of(&l->p->map, target)],
                             .other = -1,
                             .start = iova,
                             .end = iova + bytes,
                             .rights = rights,
                             .at_iova = true,
                             .iova = iova,
                             .hpa = target,
                             .shown = rights };
}

static bool leads_there(const struct nw_intent_window *w, uint64_t iova, uint64_t target)
{
    return !w->has_target || target == w->target + (iova - w->first);
}

/* Rights that the windows give at one address that leads to `target`. */
static unsigned rights_at(const struct looking *l, uint64_t iova, uint64_t target)
{
    unsigned rights = l->confined ? 0 : NW_REACH_BOTH;
    bool through_target = false;
    for (size_t i = 0; i < l->windows && l->window[i]->first <= iova; i++) {
        const struct nw_intent_window *w = l->window[i];
        if (iova > w->last || !leads_there(w, iova, target))
            continue;
        rights |= w->rights;
        through_target |= w->has_target;
    }
    if (through_target)
        return rights;
    /* Memory that only the target of a window lets it reach must be reached through that window. */
    const size_t part = policy_part_of(&l->p->map, target);
    const unsigned with = policy_allowed(l->p->in, &l->p->map, part, l->who, true);
    return rights & ~(with & ~l->allowed[part]);
}

/* Where the windows, or the parts of memory, may make a difference next. */
static uint64_t same_until(const struct looking *l, uint64_t iova, uint64_t target, uint64_t bytes)
{
    const uint64_t part_left = policy_part_end(&l->p->map, policy_part_of(&l->p->map, target)) - target;
    uint64_t n = bytes < part_left ? bytes : part_left;
    for (size_t i = 0; i < l->windows; i++) {
        const struct nw_intent_window *w = l->window[i];
        if (w->first > iova && w->first - iova < n)
            n = w->first - iova;
        if (w->last >= iova && w->last - iova < n)
            n = w->last - iova + 1;
    }
    return n;
}

static void note_coverage(struct looking *l, const struct nw_reach_window *r)
{
    for (size_t i = 0; i < l->windows; i++) {
        const struct nw_intent_window *w = l->window[i];
        const uint64_t end = r->iova + (r->bytes - 1), from = r->iova > w->first ? r->iova : w->first;
        if (!w->required || r->iova > w->last || end < w->first || (r->rights & w->rights) != w->rights ||
            !leads_there(w, from, r->target + (from - r->iova)) || from > l->covered[i])
            continue;
        if (end >= w->last)
            l->covered[i] = UINT64_MAX;
        else if (end + 1 > l->covered[i])
            l->covered[i] = end + 1;
    }
}

static bool take(void *context, const struct nw_reach_window *r)
{
    struct looking *l = context;
    note_coverage(l, r);
    for (uint64_t done = 0; done < r->bytes;) {
        const uint64_t iova = r->iova + done, target = r->target + done,
                       n = same_until(l, iova, target, r->bytes - done);
        const unsigned excess = r->rights & ~rights_at(l, iova, target);
        if (excess)
            refuse(l, iova, target, n, excess);
        done += n;
    }
    return !l->p->no_memory;
}

static int by_first(const void *a, const void *b)
{
    const struct nw_intent_window *x = *(const struct nw_intent_window *const *)a,
                                  *y = *(const struct nw_intent_window *const *)b;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x->line > y->line) - (x->line < y->line);
}

static void tell_uncovered(struct looking *l, struct proof_subject *s, const char *where)
{
    for (size_t i = 0; i < l->windows; i++) {
        const struct nw_intent_window *w = l->window[i];
        static const char *const access[] = { "", "read", "write", "read and write" };
        char target[64] = "";
        if (!w->required || l->covered[i] == UINT64_MAX)
            continue;
        if (w->has_target)
            snprintf(target, sizeof target, " to 0x%llx", (unsigned long long)(w->target + (l->covered[i] - w->first)));
        proof_add(l->p, s, N05, where,
                  "IOVA 0x%llx is not mapped%s for %s; the window 0x%llx-0x%llx of line %u must be",
                  (unsigned long long)l->covered[i], target, access[w->rights & 3], (unsigned long long)w->first,
                  (unsigned long long)w->last, w->line);
    }
}

static enum nw_status judge_subject(struct nw_proof *p, size_t subject, struct violations *v, struct nw_error *err)
{
    struct proof_subject *s = &p->subject[subject];
    struct looking l = { .p = p, .v = v, .subject = subject, .who = &s->head->who };
    char where[96];
    bool exhausted = false;
    l.window = calloc(p->in->windows + 1, sizeof *l.window);
    l.covered = calloc(p->in->windows + 1, sizeof *l.covered);
    l.allowed = calloc(p->map.parts, sizeof *l.allowed);
    enum nw_status status = l.window && l.covered && l.allowed ? NW_OK : nw_fail_nomem(err, "the windows of a device");
    for (size_t i = 0; i < p->in->windows && !status; i++)
        if (policy_window_is_of(&p->in->window[i], l.who)) {
            l.window[l.windows++] = &p->in->window[i];
            l.confined |= !p->in->window[i].has_target;
        }
    if (status || !l.windows)
        goto out;
    qsort(l.window, l.windows, sizeof *l.window, by_first);
    for (size_t i = 0; i < l.windows; i++)
        l.covered[i] = l.window[i]->first;
    for (size_t i = 0; i < p->map.parts; i++)
        l.allowed[i] = policy_allowed(p->in, &p->map, i, l.who, false);
    proof_subject_text(s, where, sizeof where);
    status = proof_windows(p, s, false, most_tables(p, s), take, &l, &exhausted, err);
    close_open(&l);
    if (l.more_ranges)
        proof_add(p, s, N02, where, "%llu more ranges, %llu bytes in all, are not listed",
                  (unsigned long long)l.more_ranges, (unsigned long long)l.more_bytes);
    if (exhausted)
        proof_add(p, s, N06, where,
                  "more than %llu tables are on the ways of its addresses: its windows were not all looked at",
                  (unsigned long long)most_tables(p, s));
    else
        tell_uncovered(&l, s, where);
out:
    free(l.window);
    free(l.covered);
    free(l.allowed);
    return status;
}

enum nw_status proof_judge_windows(struct nw_proof *p, struct violations *v, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < p->subjects && !s; i++)
        s = judge_subject(p, i, v, err);
    return s;
}
