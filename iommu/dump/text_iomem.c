/* /proc/iomem. */
#include "reader.h"
#include <stdio.h>

/* "  00001000-0009ffff : System RAM" */
static enum nw_status iomem(struct reader *r, struct nw_error *err)
{
    while (nw_reader_next(r)) {
        unsigned long long start, last;
        int used = 0;
        if (sscanf(r->line, " %llx-%llx : %n", &start, &last, &used) != 2 || !used)
            continue;
        r->items++;
        if (!start && !last)
            continue; /* what a user without rights is shown */
        struct nw_dump_range *m = nw_reader_grow(&r->d->range, &r->d->ranges, sizeof *m);
        if (!m)
            return nw_fail_nomem(err, "the ranges of a dump");
        *m = (struct nw_dump_range){ .start = start, .last = last, .place = nw_reader_place(r) };
        snprintf(m->what, sizeof m->what, "%.47s", r->line + used);
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    unsigned long long start, last;
    int used = 0;
    return sscanf(r->line, " %llx-%llx : %n", &start, &last, &used) == 2 && used;
}

const struct text_format nw_text_iomem = { .name = "iomem", .begins = begins, .parse = iomem };
