#include "policy.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void cut(struct policy_map *m, uint64_t start, uint64_t end)
{
    m->bound[m->parts++] = start;
    if (end < NW_BIT(NW_PHYS_BITS_MAX))
        m->bound[m->parts++] = end;
}

static int row_at(const struct nw_intent *in, uint64_t address)
{
    size_t low = 0, high = in->memories;
    while (low < high) { /* the first that ends above it */
        const size_t middle = (low + high) / 2;
        if (in->memory[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < in->memories && in->memory[low].start <= address ? (int)low : -1;
}

enum nw_status policy_map_make(const struct nw_intent *in, struct policy_map *out, struct nw_error *err)
{
    const size_t most = 1 + 2 * (in->memories + in->shareds + in->windows);
    struct policy_map m = { .bound = calloc(most, sizeof *m.bound),
                            .row = calloc(most, sizeof *m.row),
                            .holder = calloc(most, sizeof *m.holder) };
    if (!m.bound || !m.row || !m.holder) {
        policy_map_fini(&m);
        return nw_fail_nomem(err, "the memory of an intent");
    }
    m.bound[m.parts++] = 0;
    for (size_t i = 0; i < in->memories; i++)
        cut(&m, in->memory[i].start, in->memory[i].end);
    for (size_t i = 0; i < in->shareds; i++)
        cut(&m, in->shared[i].start, in->shared[i].end);
    for (size_t i = 0; i < in->windows; i++)
        if (in->window[i].has_target)
            cut(&m, in->window[i].target, in->window[i].target + (in->window[i].last - in->window[i].first) + 1);
    qsort(m.bound, m.parts, sizeof *m.bound, by_value);
    size_t kept = 0;
    for (size_t i = 0; i < m.parts; i++)
        if (!i || m.bound[i] != m.bound[kept - 1])
            m.bound[kept++] = m.bound[i];
    m.parts = kept;
    for (size_t i = 0; i < kept; i++) {
        m.row[i] = row_at(in, m.bound[i]);
        m.holder[i] = m.row[i] < 0 ? -1 : in->memory[m.row[i]].owner;
    }
    *out = m;
    return NW_OK;
}

void policy_map_fini(struct policy_map *m)
{
    free(m->bound);
    free(m->row);
    free(m->holder);
    *m = (struct policy_map){ 0 };
}

size_t policy_part_of(const struct policy_map *m, uint64_t address)
{
    size_t low = 0, high = m->parts;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (m->bound[middle] <= address)
            low = middle;
        else
            high = middle;
    }
    return low;
}

enum nw_intent_kind policy_kind(const struct nw_intent *in, const struct policy_who *who)
{
    return who->owner < 0 ? in->others : in->owner[who->owner].kind;
}

bool policy_window_is_of(const struct nw_intent_window *w, const struct policy_who *who)
{
    return w->owner == who->owner && (w->device < 0 || w->device == who->device);
}

/* What memory held by `holder` is to who asks, shares and windows apart. */
static unsigned by_holder(const struct nw_intent *in, const struct policy_map *m, size_t part,
                          const struct policy_who *who)
{
    const int holder = m->holder[part];
    const bool own = holder >= 0 && holder == who->owner;
    unsigned rights = 0;
    switch (policy_kind(in, who)) {
    case NW_INTENT_GUEST: rights = holder < 0 && !in->owner[who->owner].has_memory ? NW_REACH_BOTH : 0u; break;
    case NW_INTENT_HYPERVISOR: /* of nobody's memory it may do all, tables it may read */
        rights = holder < 0                                       ? NW_REACH_BOTH
                 : in->owner[holder].kind == NW_INTENT_TABLES     ? NW_REACH_READ
                 : in->owner[holder].kind == NW_INTENT_HYPERVISOR ? NW_REACH_BOTH
                                                                  : 0u;
        break;
    case NW_INTENT_UNCHECKED: rights = NW_REACH_BOTH; break;
    default: break;
    }
    return own ? in->memory[m->row[part]].rights : rights;
}

unsigned policy_allowed(const struct nw_intent *in, const struct policy_map *m, size_t part,
                        const struct policy_who *who, bool windows)
{
    const uint64_t at = m->bound[part];
    unsigned rights = by_holder(in, m, part, who);
    const bool hypervisor = policy_kind(in, who) == NW_INTENT_HYPERVISOR;
    for (size_t i = 0; i < in->shareds; i++) {
        const struct nw_intent_memory *s = &in->shared[i];
        if ((s->owner == who->owner || (hypervisor && in->owner[s->owner].kind == NW_INTENT_HYPERVISOR)) &&
            s->start <= at && at < s->end)
            rights |= s->rights;
    }
    for (size_t i = 0; windows && i < in->windows; i++) {
        const struct nw_intent_window *w = &in->window[i];
        if (w->has_target && policy_window_is_of(w, who) && at >= w->target && at - w->target <= w->last - w->first)
            rights |= w->rights;
    }
    return rights;
}
