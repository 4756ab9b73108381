#include "mrc_pages.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_LOG2 = 6, LINE_BYTES = 64 };
_Static_assert(sizeof(struct mrc_cluster) == LINE_BYTES, "one look-up, one line");

static enum nw_status allocate(struct mrc_pages *p, unsigned log2, struct nw_error *err)
{
    size_t bytes = sizeof *p->cluster << log2;
    struct mrc_cluster *cluster = aligned_alloc(LINE_BYTES, bytes);
    if (!cluster)
        return nw_fail_nomem(err, "a directory of pages");
    memset(cluster, 0, bytes);
    p->cluster = cluster;
    p->log2 = log2;
    return NW_OK;
}

enum nw_status mrc_pages_init(struct mrc_pages *p, struct nw_error *err)
{
    *p = (struct mrc_pages){ 0 };
    return allocate(p, FIRST_LOG2, err);
}

void mrc_pages_fini(struct mrc_pages *p)
{
    free(p->cluster);
    *p = (struct mrc_pages){ 0 };
}

static enum nw_status grow(struct mrc_pages *p, struct nw_error *err)
{
    struct mrc_pages old = *p;
    enum nw_status s = allocate(p, old.log2 + 1, err);
    if (s)
        return s;
    for (uint64_t i = 0; i < NW_BIT(old.log2); i++)
        if (old.cluster[i].key)
            *mrc_pages_place(p, old.cluster[i].key) = old.cluster[i];
    mrc_pages_fini(&old);
    return NW_OK;
}

enum nw_status mrc_pages_add(struct mrc_pages *p, uint64_t name, uint32_t *number, struct nw_error *err)
{
    uint64_t key = mrc_pages_key(name);
    struct mrc_cluster *c = mrc_pages_place(p, key);
    if (!c->key && (uint64_t)p->clusters * 2 >= NW_BIT(p->log2)) {
        enum nw_status s = grow(p, err);
        if (s)
            return s;
        c = mrc_pages_place(p, key);
    }
    p->clusters += !c->key;
    c->key = key;
    *number = p->count++;
    c->number[mrc_pages_element(name)] = p->count;
    return NW_OK;
}
