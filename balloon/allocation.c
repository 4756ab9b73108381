/* allocation.c - see allocation.h. */
#include <math.h>
#include <nestwalk/balloon/allocation.h>
#include <stdbool.h>
#include <string.h>

enum { CHUNKS = 256 }; /* memory is handed out in this many pieces of the whole */

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high) { return v < low ? low : v > high ? high : v; }

static uint64_t uses(const struct nw_allocation_guest *g) { return clamp(g->used, g->min, g->max); }

/* What a guest would take. One that uses all it has is taken to want its limit, as its balloon holds it to what it uses. One that does not gives up
 * what it leaves unused an eighth at a time, so that what it was given a moment ago is not taken back before it could use it. */
static uint64_t most_wanted(const struct nw_allocation_guest *g)
{
    const uint64_t had = g->has - g->has / 8;
    if (g->has && g->used >= g->has - g->has / 64)
        return g->max;
    return clamp(g->used > had ? g->used : had, g->min, g->max);
}

double nw_allocation_rho(const struct nw_allocation_guest *g, double tax, double pages)
{
    const double k = 1 / (1 - tax), active = fmin(1, g->active / fmax(1, pages));
    return (double)g->shares / (fmax(1, pages) * (active + k * (1 - active)));
}

/* ---- who gets the next piece ---- a guest with a higher worth does */
typedef double (*worth_fn)(const struct nw_allocation_config *c, const struct nw_allocation_guest *g, double pages);

/* From the minima upwards, a piece at a time, to whoever values it most, until all is given or nobody wants more. */
static void hand_out(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages,
                     worth_fn worth)
{
    uint64_t given = 0;
    const uint64_t piece = pages / CHUNKS ? pages / CHUNKS : 1;
    for (size_t i = 0; i < guests; i++)
        given += g[i].target = g[i].min;
    while (given < pages) {
        struct nw_allocation_guest *best = NULL;
        double best_worth = 0;
        for (size_t i = 0; i < guests; i++) {
            if (g[i].target >= most_wanted(&g[i]))
                continue;
            const double w = worth(c, &g[i], (double)(g[i].target + piece));
            if (!best || w > best_worth) {
                best = &g[i];
                best_worth = w;
            }
        }
        if (!best)
            break;
        uint64_t more = most_wanted(best) - best->target;
        more = more < piece ? more : piece;
        more = more < pages - given ? more : pages - given;
        best->target += more;
        given += more;
    }
}

/* What is left when everybody has what the policy thinks it needs goes to all alike, at first to those who use more than that: memory that nobody has helps nobody. */
static void let_grow(struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    uint64_t given = 0;
    for (size_t i = 0; i < guests; i++)
        given += g[i].target;
    for (int all = 0; all < 2; all++)
        for (size_t i = 0; i < guests && given < pages; i++) {
            const uint64_t to = all ? g[i].max : most_wanted(&g[i]);
            const uint64_t room = to > g[i].target ? to - g[i].target : 0, left = (pages - given) / (guests - i);
            const uint64_t more = room < left ? room : left;
            g[i].target += more;
            given += more;
        }
}

/* ---- the policies ---- */

static void none(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    (void)c;
    (void)pages;
    for (size_t i = 0; i < guests; i++)
        g[i].target = g[i].max;
}

static double taxed(const struct nw_allocation_config *c, const struct nw_allocation_guest *g, double pages)
{
    return nw_allocation_rho(g, c->tax, pages);
}

static void idle_tax(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    hand_out(c, g, guests, pages, taxed);
    let_grow(g, guests, pages);
}

static double by_shares(const struct nw_allocation_config *c, const struct nw_allocation_guest *g, double pages)
{
    (void)c;
    return (double)g->shares / pages;
}

static void shares(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    hand_out(c, g, guests, pages, by_shares);
    let_grow(g, guests, pages);
}

/* Everybody its working set and some slack; when that is too much, all the same part of it. */
static void working_set(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests,
                        uint64_t pages)
{
    double wanted = 0;
    uint64_t least = 0;
    for (size_t i = 0; i < guests; i++) {
        wanted += fmax(0, g[i].active * (1 + c->slack) - (double)g[i].min);
        least += g[i].min;
    }
    const double left = pages > least ? (double)(pages - least) : 0, part = wanted > left ? left / wanted : 1;
    for (size_t i = 0; i < guests; i++) {
        const double more = fmax(0, g[i].active * (1 + c->slack) - (double)g[i].min) * part;
        g[i].target = clamp(g[i].min + (uint64_t)more, g[i].min, g[i].max);
    }
    let_grow(g, guests, pages);
}

/* Inflates all while the host has less free than `low`, deflates while it has more than `high`, and does nothing between. */
static void tracking(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    const double low = c->low * (double)pages, high = c->high * (double)pages, is = (double)c->free;
    double have = 0;
    for (size_t i = 0; i < guests; i++)
        have += (double)uses(&g[i]);
    for (size_t i = 0; i < guests; i++) {
        const double part = have > 0 ? (double)uses(&g[i]) / have : 0, limit = c->step * (double)g[i].size;
        double to = (double)g[i].has;
        if (is < low)
            to = fmin(to, (double)uses(&g[i])) - fmin(limit, ((low + high) / 2 - is) * part);
        else if (is > high)
            to += fmin(limit, (is - (low + high) / 2) * part);
        g[i].target = clamp((uint64_t)fmax(0, to), g[i].min, g[i].max);
    }
}

/* Changes that are too small are not asked for. */
static double changed_enough(const struct nw_allocation_guest *g, double to)
{
    static const double LEAST = 0.0025;
    const double now = (double)g->current;
    return fabs(to - now) > LEAST * now ? to : now;
}

static void mom(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    static const double INTO = 0.05; /* what it uses, in need */
    const double host_free = pages ? c->free_average / (double)pages : 0;
    for (size_t i = 0; i < guests; i++) {
        const double now = (double)g[i].current;
        double share = c->guest_free, to = fmin(now * (1 + c->step), (double)g[i].max);
        if (host_free < c->pressure) {
            share = host_free <= c->critical ? host_free - INTO : share * host_free / c->pressure;
            to = fmin(now, fmax(now * (1 - c->step), g[i].in_use + share * now));
        } else {
            to = fmax(to, fmin(g[i].in_use + share * now, (double)g[i].max));
        }
        g[i].target = clamp((uint64_t)fmax(0, changed_enough(&g[i], to)), g[i].min, g[i].max);
    }
}

/* The least slowed gives a step to the most slowed. */
static void slowdown(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests, uint64_t pages)
{
    uint64_t sum = 0;
    struct nw_allocation_guest *least = NULL, *most = NULL;
    for (size_t i = 0; i < guests; i++)
        sum += g[i].target = clamp(g[i].has < uses(&g[i]) ? g[i].has : uses(&g[i]), g[i].min, g[i].max);
    if (sum > pages) { /* first of all it has to fit */
        hand_out(c, g, guests, pages, by_shares);
        return;
    }
    for (size_t i = 0; i < guests; i++) {
        if (g[i].target > g[i].min && (!least || g[i].slowdown < least->slowdown))
            least = &g[i];
        if (g[i].target < g[i].max && (!most || g[i].slowdown > most->slowdown))
            most = &g[i];
    }
    if (sum < pages && most) {
        const uint64_t more = clamp((uint64_t)(c->step * (double)most->size), 0, most->max - most->target);
        most->target += more < pages - sum ? more : pages - sum;
    } else if (least && most && least != most && most->slowdown > 1.05 * least->slowdown) {
        uint64_t step = (uint64_t)(c->step * (double)(least->size < most->size ? least->size : most->size));
        step = clamp(step, 0, least->target - least->min);
        step = clamp(step, 0, most->max - most->target);
        least->target -= step;
        most->target += step;
    }
}

/* Each guest by itself: slower than the goal, it gets a step; not even half as slow, it gives one; between the two nothing moves. What is given stays free. */
static void slowdown_target(const struct nw_allocation_config *c, struct nw_allocation_guest *g, size_t guests,
                            uint64_t pages)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < guests; i++) {
        const double step = c->step * (double)g[i].size, has = (double)g[i].has, used = (double)uses(&g[i]);
        double to = has;
        if (g[i].slowdown > c->goal)
            to = has + step;
        else if (g[i].slowdown < 1 + (c->goal - 1) / 2)
            to = fmin(has, used) - step;
        sum += g[i].target = clamp((uint64_t)fmax(0, to), g[i].min, g[i].max);
    }
    if (sum > pages)
        hand_out(c, g, guests, pages, by_shares);
}

static const struct nw_allocation_policy
    policy_none = { "none", "no balloon: everybody may have its limit", false, none },
    policy_shares = { "shares", "in proportion to shares, of what each uses", false, shares },
    policy_idle_tax = { "idle-tax", "in proportion to shares, where idle pages cost more", true, idle_tax },
    policy_working_set = { "working-set", "everybody its estimated working set and some slack", true, working_set },
    policy_mom = { "mom", "oVirt's Memory Overcommitment Manager: all shrink or grow with the host's free memory",
                   false, mom },
    policy_tracking = { "tracking", "keeps the host's free memory between two marks", false, tracking },
    policy_slowdown = { "slowdown", "the least slowed guest gives to the most slowed", false, slowdown },
    policy_slowdown_target = { "slowdown-target", "each guest as little as keeps its slowdown at the goal", false,
                               slowdown_target };
const struct nw_allocation_policy *const nw_allocation_policies[] = { &policy_none,
                                                                      &policy_shares,
                                                                      &policy_idle_tax,
                                                                      &policy_working_set,
                                                                      &policy_tracking,
                                                                      &policy_slowdown,
                                                                      &policy_slowdown_target,
                                                                      &policy_mom,
                                                                      NULL };

const struct nw_allocation_policy *nw_allocation_policy_find(const char *name)
{
    for (size_t i = 0; nw_allocation_policies[i]; i++)
        if (!strcmp(nw_allocation_policies[i]->name, name))
            return nw_allocation_policies[i];
    return NULL;
}
