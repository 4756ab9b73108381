#include "mrc_pages.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_LOG2 = 6, LINE_BYTES = 64 };

static enum nw_status allocate(struct mrc_pages *p, unsigned log2, struct nw_error *err)
{
    struct mrc_pages made = { .log2 = log2, .clusters = p->clusters, .count = p->count };
    size_t bytes = sizeof *made.number << (log2 + MRC_CLUSTER_LOG2);
    made.key = calloc(NW_BIT(log2), sizeof *made.key);
    made.number = aligned_alloc(LINE_BYTES, bytes);
    if (!made.key || !made.number) {
        mrc_pages_fini(&made);
        return nw_fail_nomem(err, "a directory of pages");
    }
    memset(made.number, 0, bytes);
    *p = made;
    return NW_OK;
}

enum nw_status mrc_pages_init(struct mrc_pages *p, struct nw_error *err)
{
    *p = (struct mrc_pages){ 0 };
    return allocate(p, FIRST_LOG2, err);
}

void mrc_pages_fini(struct mrc_pages *p)
{
    free(p->key);
    free(p->number);
    *p = (struct mrc_pages){ 0 };
}

static enum nw_status grow(struct mrc_pages *p, struct nw_error *err)
{
    struct mrc_pages old = *p;
    enum nw_status s = allocate(p, old.log2 + 1, err);
    if (s)
        return s;
    for (uint64_t i = 0; i < NW_BIT(old.log2); i++)
        if (old.key[i]) {
            uint64_t to = mrc_pages_place(p, old.key[i]);
            p->key[to] = old.key[i];
            memcpy(p->number + (to << MRC_CLUSTER_LOG2), old.number + (i << MRC_CLUSTER_LOG2),
                   sizeof *p->number << MRC_CLUSTER_LOG2);
        }
    mrc_pages_fini(&old);
    return NW_OK;
}

enum nw_status mrc_pages_add(struct mrc_pages *p, uint64_t name, uint32_t *number, struct nw_error *err)
{
    uint64_t key = mrc_pages_key(name), place = mrc_pages_place(p, key);
    if (!p->key[place] && (uint64_t)p->clusters * 2 >= NW_BIT(p->log2)) {
        enum nw_status s = grow(p, err);
        if (s)
            return s;
        place = mrc_pages_place(p, key);
    }
    p->clusters += !p->key[place];
    p->key[place] = key;
    *number = p->count++;
    p->number[mrc_pages_element(place, name)] = p->count;
    return NW_OK;
}
