/* replacement_arc.c - ARC: pages used once and pages used more often, each with a history, share the frames by which history is asked for.
 * The names T1, T2, B1, B2 and p, and the cases, are those of the paper's figure 4. */
#include "replacement_internal.h"
#include <math.h>

enum { T1, T2, B1, B2 };
struct arc {
    struct nw_replacement r;
    double p; /* how many frames T1 should have */
};

static uint64_t size(const struct arc *a, unsigned list) { return a->r.list[list].length; }

static void init(struct nw_replacement *r) { r->resident = 1 << T1 | 1 << T2; }

static void hit(struct nw_replacement *r, uint32_t node) { replacement_move(r, node, T2); }

/* After removals T2 may be empty where the paper's never is. */
static uint64_t replace(struct arc *a, bool in_b2)
{
    const double once = (double)size(a, T1);
    const bool first = size(a, T1) && (once > a->p || (in_b2 && once >= a->p) || !size(a, T2));
    const uint32_t node = a->r.list[first ? T1 : T2].oldest;
    replacement_move(&a->r, node, first ? B1 : B2);
    return a->r.node[node].page;
}

static double ratio(const struct arc *a, unsigned other, unsigned own)
{
    return fmax(1, (double)size(a, other) / (double)size(a, own));
}

static uint64_t evict(struct nw_replacement *r, uint64_t incoming)
{
    struct arc *a = (struct arc *)r;
    const uint64_t c = r->frames;
    const uint32_t node = replacement_find(r, incoming);
    if (node != NO_NODE) { /* cases II and III */
        const bool in_b2 = r->node[node].list == B2;
        a->p = in_b2 ? fmax(0, a->p - ratio(a, B1, B2)) : fmin((double)c, a->p + ratio(a, B2, B1));
        return replace(a, in_b2);
    }
    const uint64_t once = size(a, T1) + size(a, B1), all = once + size(a, T2) + size(a, B2);
    if (once >= c && !size(a, B1)) /* case IV A, without a history to shorten */
        return replacement_give_up(r, r->list[T1].oldest);
    if (once >= c)
        replacement_drop(r, r->list[B1].oldest);
    else if (all >= 2 * c && size(a, B2)) /* case IV B */
        replacement_drop(r, r->list[B2].oldest);
    return replace(a, false);
}

static uint32_t admit(struct nw_replacement *r, uint64_t page)
{
    struct arc *a = (struct arc *)r;
    const uint64_t c = r->frames;
    const uint32_t node = replacement_find(r, page);
    if (node != NO_NODE) {
        replacement_move(r, node, T2);
        return node;
    }
    /* Only where frames were free although pages are remembered: the histories keep their bounds. */
    if (size(a, B1) && size(a, T1) + size(a, B1) >= c)
        replacement_drop(r, r->list[B1].oldest);
    if (size(a, B2) && size(a, T1) + size(a, B1) + size(a, T2) + size(a, B2) >= 2 * c)
        replacement_drop(r, r->list[B2].oldest);
    return replacement_add(r, T1, page);
}

const struct nw_replacement_policy replacement_arc = { .name = "arc",
                                                       .doc =
                                                           "recency and frequency in a proportion that adapts itself",
                                                       .bytes = sizeof(struct arc),
                                                       .remembers = true,
                                                       .init = init,
                                                       .hit = hit,
                                                       .evict = evict,
                                                       .admit = admit };
