/* Who reaches what, all at once. */
#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/reach.h>
#include <stdlib.h>
#include <string.h>

/* The tables of either kind of unit. */
struct tables {
    const struct nw_vtd_tables *vtd;
    const struct nw_amdvi_tables *amdvi; /* when vtd is NULL */
    const struct nw_reach_listener *listener;
};

static enum nw_status reach(const struct tables *t, const struct nw_reach_request *q, nw_reach_fn tell, void *context,
                            struct nw_reach_summary *out, struct nw_error *err)
{
    return t->vtd ? nw_vtd_reach(t->vtd, q, tell, context, out, err)
                  : nw_amdvi_reach(t->amdvi, q, tell, context, out, err);
}

/* ---- requesters --------------------------------------------------------------------------------- */

struct list {
    struct nw_survey *s;
    size_t capacity;
    bool no_memory;
};

static bool note(void *context, const struct nw_reach_request *q)
{
    struct list *l = context;
    if (l->s->requesters == l->capacity) {
        const size_t more = l->capacity ? l->capacity * 2 : 64;
        struct nw_survey_requester *bigger = realloc(l->s->requester, more * sizeof *bigger);
        if (!bigger) {
            l->no_memory = true;
            return false;
        }
        l->s->requester = bigger;
        l->capacity = more;
    }
    l->s->requester[l->s->requesters++] = (struct nw_survey_requester){
        .source_id = q->source_id, .has_pasid = q->has_pasid, .pasid = q->pasid, .domain = -1
    };
    return true;
}

/* ---- domains ------------------------------------------------------------------------------------ */

static bool stop(void *context, const struct nw_reach_window *w)
{
    (void)context, (void)w;
    return false;
}

struct windows {
    struct nw_survey_domain *d;
    unsigned most, capacity;
    bool no_memory;
};

static bool keep(void *context, const struct nw_reach_window *w)
{
    struct windows *l = context;
    struct nw_survey_domain *d = l->d;
    if (d->windows == l->most) {
        d->more = true;
        return false;
    }
    if (d->windows == l->capacity) {
        const unsigned more = l->capacity ? l->capacity * 2 : 16;
        struct nw_reach_window *bigger = realloc(d->window, more * sizeof *bigger);
        if (!bigger) {
            l->no_memory = true;
            return false;
        }
        d->window = bigger;
        l->capacity = more;
    }
    d->window[d->windows++] = *w;
    return true;
}

static enum nw_status fill_domain(const struct tables *t, struct nw_reach_request q, unsigned most,
                                  struct nw_survey_domain *d, struct nw_error *err)
{
    struct windows l = { .d = d, .most = most };
    struct nw_reach_summary ignored;
    enum nw_status s = reach(t, &q, keep, &l, &ignored, err);
    if (!s && l.no_memory)
        s = nw_fail_nomem(err, "the windows of a domain");
    if (!s && !d->summary.identity)
        s = nw_frame_set_create(&d->memory, err);
    q.targets_once = true;
    q.listener = t->listener;
    if (!s && !d->summary.identity)
        s = reach(t, &q, nw_frame_set_take, d->memory, &ignored, err);
    d->summary.tables = ignored.tables;
    return s || !d->memory ? s : nw_frame_set_status(d->memory, err);
}

/* Domains by what they are, so that many of them are found as fast as few. */
struct index {
    int *slot; /* domain + 1; 0: free */
    size_t slots;
};

static bool same(const struct nw_reach_summary *a, const struct nw_reach_summary *b)
{
    return a->key == b->key && a->root == b->root && a->second_root == b->second_root && a->identity == b->identity &&
           a->translation == b->translation && a->domain_id == b->domain_id;
}

static size_t slot_of(const struct index *x, const struct nw_survey *s, const struct nw_reach_summary *sum)
{
    size_t at = (size_t)nw_mix64(sum->key ^ nw_mix64(sum->root)) & (x->slots - 1);
    while (x->slot[at] && !same(&s->domain[x->slot[at] - 1].summary, sum))
        at = (at + 1) & (x->slots - 1);
    return at;
}

/* Room for one more. */
static bool grow_index(struct index *x, const struct nw_survey *s)
{
    if (s->domains * 2 < x->slots)
        return true;
    struct index bigger = { .slots = x->slots ? x->slots * 2 : 64 };
    bigger.slot = calloc(bigger.slots, sizeof *bigger.slot);
    if (!bigger.slot)
        return false;
    for (size_t i = 0; i < s->domains; i++)
        bigger.slot[slot_of(&bigger, s, &s->domain[i].summary)] = (int)i + 1;
    free(x->slot);
    *x = bigger;
    return true;
}

static enum nw_status place_requester(const struct tables *t, struct nw_survey *s, struct index *x,
                                      struct nw_survey_requester *r, unsigned most, struct nw_error *err)
{
    const struct nw_reach_request q = { .source_id = r->source_id, .has_pasid = r->has_pasid, .pasid = r->pasid };
    struct nw_reach_summary sum;
    enum nw_status status = reach(t, &q, stop, NULL, &sum, err);
    if (status)
        return status;
    r->reason = sum.reason;
    if (sum.reason)
        return NW_OK;
    if (!grow_index(x, s))
        return nw_fail_nomem(err, "the domains of a unit");
    const size_t at = slot_of(x, s, &sum);
    r->domain = x->slot[at] - 1;
    if (r->domain < 0) {
        struct nw_survey_domain *bigger = realloc(s->domain, (s->domains + 1) * sizeof *bigger);
        if (!bigger)
            return nw_fail_nomem(err, "the domains of a unit");
        s->domain = bigger;
        s->domain[s->domains] = (struct nw_survey_domain){ .summary = sum };
        r->domain = (int)s->domains++;
        x->slot[at] = r->domain + 1;
        status = fill_domain(t, q, most, &s->domain[r->domain], err);
    }
    s->domain[r->domain].requesters++;
    return status;
}

static enum nw_status survey(const struct tables *t, unsigned most, struct nw_survey *out, struct nw_error *err)
{
    struct list l = { .s = out };
    struct index x = { 0 };
    enum nw_status s = NW_OK;
    *out = (struct nw_survey){ .more = false };
    if (t->vtd)
        nw_vtd_reach_sources(t->vtd, t->listener, note, &l, &out->more);
    else
        nw_amdvi_reach_sources(t->amdvi, t->listener, note, &l, &out->more);
    if (l.no_memory)
        s = nw_fail_nomem(err, "the requesters of a unit");
    for (size_t i = 0; !s && i < out->requesters; i++)
        s = place_requester(t, out, &x, &out->requester[i], most, err);
    free(x.slot);
    if (s)
        nw_survey_fini(out);
    return s;
}

enum nw_status nw_vtd_survey(const struct nw_vtd_tables *t, unsigned most, const struct nw_reach_listener *listener,
                             struct nw_survey *out, struct nw_error *err)
{
    return survey(&(struct tables){ .vtd = t, .listener = listener }, most, out, err);
}

enum nw_status nw_amdvi_survey(const struct nw_amdvi_tables *t, unsigned most, const struct nw_reach_listener *listener,
                               struct nw_survey *out, struct nw_error *err)
{
    return survey(&(struct tables){ .amdvi = t, .listener = listener }, most, out, err);
}

void nw_survey_fini(struct nw_survey *s)
{
    for (size_t i = 0; i < s->domains; i++) {
        free(s->domain[i].window);
        nw_frame_set_destroy(s->domain[i].memory);
    }
    free(s->domain);
    free(s->requester);
    *s = (struct nw_survey){ .more = false };
}
