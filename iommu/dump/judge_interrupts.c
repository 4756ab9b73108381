/* Interrupt remapping entries. */
#include "judge.h"
#include <stdio.h>

void nw_judge_interrupts(struct judge *j)
{
    for (size_t i = 0; i < j->d->irtes; i++) {
        const struct nw_dump_irte *e = &j->d->irte[i];
        const struct nw_dump_unit *u = nw_judge_unit(j->d, e->unit);
        const uint64_t low = e->word[0], high = e->word[1];
        const unsigned svt = (unsigned)nw_field(high, 19, 18), sq = (unsigned)nw_field(high, 17, 16);
        const unsigned mode = (unsigned)nw_field(low, 7, 5), vector = (unsigned)nw_field(low, 23, 16);
        const bool posted = low & NW_BIT(15);
        char where[64];
        snprintf(where, sizeof where, "%s entry %u", e->unit, e->index);
        if (!(low & 1))
            continue;
        if (!svt)
            nw_judge_add(j, I05, &e->place, where, "SVT is 0");
        else if (svt == 1 && sq)
            nw_judge_add(j, I06, &e->place, where, "SVT is 1 and SQ %u: low bits of 0x%04x are not compared", sq,
                         (unsigned)nw_field(high, 15, 0));
        else if (svt == 2 && nw_field(high, 15, 8) != nw_field(high, 7, 0))
            nw_judge_add(j, I06, &e->place, where, "SVT is 2: buses %02x to %02x", (unsigned)nw_field(high, 15, 8),
                         (unsigned)nw_field(high, 7, 0));
        if (vector < 16 && (posted || mode <= 1))
            nw_judge_add(j, I08, &e->place, where, "the vector is 0x%02x", vector);
        if (!posted && mode > 1)
            nw_judge_add(j, I09, &e->place, where, "the delivery mode is %u", mode);
        if (!posted && u && clear(u, NW_DUMP_IRTA, IRTA_EIME) && (nw_field(low, 63, 32) & ~nw_mask(15, 8)))
            nw_judge_add(j, I10, &e->place, where, "the destination is 0x%08x and IRTA.EIME is clear",
                         (unsigned)nw_field(low, 63, 32));
        if (u && u->has[NW_DUMP_IRTA] && e->index >> (nw_field(u->value[NW_DUMP_IRTA], 3, 0) + 1))
            nw_judge_add(j, I12, &e->place, where, "the table has %u entries",
                         1u << (nw_field(u->value[NW_DUMP_IRTA], 3, 0) + 1));
    }
}
