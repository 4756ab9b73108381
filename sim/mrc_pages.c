#include "mrc_pages.h"

#include <stdlib.h>

enum { FIRST_LOG2 = 8 };

enum nw_status mrc_pages_init(struct mrc_pages *p, struct nw_error *err)
{
    *p = (struct mrc_pages){ .log2 = FIRST_LOG2, .entry = calloc(NW_BIT(FIRST_LOG2), sizeof *p->entry) };
    return p->entry ? NW_OK : nw_fail_nomem(err, "a directory of pages");
}

void mrc_pages_fini(struct mrc_pages *p)
{
    free(p->entry);
    *p = (struct mrc_pages){ 0 };
}

static struct mrc_page *free_entry(const struct mrc_pages *p, uint64_t name)
{
    uint64_t mask = NW_BIT(p->log2) - 1, i = mrc_pages_home(p, name);
    while (p->entry[i].number)
        i = (i + 1) & mask;
    return p->entry + i;
}

enum nw_status mrc_pages_add(struct mrc_pages *p, uint64_t name, uint32_t *number, struct nw_error *err)
{
    if ((uint64_t)p->count * 2 >= NW_BIT(p->log2)) {
        struct mrc_pages grown = { .log2 = p->log2 + 1, .count = p->count };
        if (!(grown.entry = calloc(NW_BIT(grown.log2), sizeof *grown.entry)))
            return nw_fail_nomem(err, "a directory of pages");
        for (uint64_t i = 0; i < NW_BIT(p->log2); i++)
            if (p->entry[i].number)
                *free_entry(&grown, p->entry[i].name) = p->entry[i];
        free(p->entry);
        *p = grown;
    }
    *number = p->count++;
    *free_entry(p, name) = (struct mrc_page){ .name = name, .number = p->count };
    return NW_OK;
}
