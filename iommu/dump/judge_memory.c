/* Reserved regions against the memory map. */
#include "judge.h"
#include <stdio.h>
#include <string.h>

static bool is_ram(const struct nw_dump_range *r) { return !strncmp(r->what, "System RAM", 10); }

void nw_judge_memory(struct judge *j)
{
    const struct nw_dump *d = j->d;
    for (size_t i = 0; d->ranges && i < d->rmrrs; i++) {
        const struct nw_dump_range *m = &d->rmrr[i], *ram = NULL;
        uint64_t covered = m->start; /* by reserved ranges, which stand in rising order */
        char where[64];
        for (size_t k = 0; k < d->ranges; k++) {
            const struct nw_dump_range *r = &d->range[k];
            if (is_ram(r) && overlap(m->start, m->last, r->start, r->last))
                ram = r;
            if (!is_ram(r) && covered <= m->last && r->start <= covered && r->last >= covered)
                covered = r->last + 1;
        }
        snprintf(where, sizeof where, "RMRR %llx-%llx", (unsigned long long)m->start, (unsigned long long)m->last);
        if (ram)
            nw_judge_add(j, R02, &ram->place, where, "overlaps System RAM at %llx-%llx", (unsigned long long)ram->start,
                         (unsigned long long)ram->last);
        else if (covered <= m->last)
            nw_judge_add(j, R03, &d->range[0].place, where, "0x%llx lies in no reserved range",
                         (unsigned long long)covered);
    }
}
