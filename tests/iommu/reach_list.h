/* reach_list.h - windows in a list, and sets of memory compared. */
#ifndef NESTWALK_TESTS_REACH_LIST_H
#define NESTWALK_TESTS_REACH_LIST_H

#include "iommu_common.h"
#include <nestwalk/iommu/reach.h>

enum { WINDOWS = 4000 };
struct list {
    struct nw_reach_window w[WINDOWS];
    unsigned count;
};
static bool take(void *context, const struct nw_reach_window *w)
{
    struct list *l = context;
    if (l->count == WINDOWS)
        return false;
    l->w[l->count++] = *w;
    return true;
}

static const struct nw_reach_window *window_of(const struct list *l, uint64_t iova)
{
    for (unsigned i = 0; i < l->count; i++)
        if (iova - l->w[i].iova < l->w[i].bytes)
            return &l->w[i];
    return NULL;
}

/* The memory of the windows. */
static struct nw_frame_set *once_set(const struct list *l)
{
    struct nw_frame_set *s;
    must(nw_frame_set_create(&s, err));
    for (unsigned i = 0; i < l->count; i++)
        must(nw_frame_set_add(s, l->w[i].target, l->w[i].bytes, l->w[i].rights, err));
    return s;
}

/* Frees both. */
static void same_sets(struct nw_frame_set *a, struct nw_frame_set *b)
{
    struct nw_frame_range x, y;
    uint64_t from = 0;
    for (unsigned rights = 1; rights < 4; rights++)
        assert_true(nw_frame_set_bytes(a, rights) == nw_frame_set_bytes(b, rights));
    while (nw_frame_set_next(a, from, &x)) {
        assert_true(nw_frame_set_next(b, from, &y) && x.start == y.start && x.end == y.end && x.rights == y.rights);
        from = x.end;
    }
    nw_frame_set_destroy(a);
    nw_frame_set_destroy(b);
}

#endif
