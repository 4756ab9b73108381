/* Interrupt remapping entries, and the I/O APICs that they are for. */
#include "judge.h"
#include "topology.h"
#include <stdio.h>

static bool is_scoped(const struct nw_dump *d, uint8_t id)
{
    for (size_t i = 0; i < d->scopes; i++)
        if (d->scope[i].of == NW_DMAR_DRHD && d->scope[i].type == NW_DMAR_SCOPE_IOAPIC && d->scope[i].id == id)
            return true;
    return false;
}

static bool is_special(const struct nw_dump *d, uint8_t id)
{
    for (size_t i = 0; i < d->specials; i++)
        if (d->special[i].variety == NW_IVHD_IOAPIC && d->special[i].handle == id)
            return true;
    return false;
}

/* Linux, parse_ioapics_under_ir() and check_ioapic_information(): one that is not named turns interrupt remapping off. */
static void judge_controllers(struct judge *j)
{
    const struct nw_dump *d = j->d;
    bool told[256] = { false };
    for (size_t i = 0; i < d->ioapics; i++) {
        const struct nw_dump_ioapic *a = &d->ioapic[i];
        char where[32];
        snprintf(where, sizeof where, "I/O APIC %u", a->id);
        if (told[a->id])
            continue;
        told[a->id] = true;
        if (d->has_dmar && (d->dmar_flags & NW_DMAR_INTR_REMAP) && !is_scoped(d, a->id))
            nw_judge_add(j, I03, &a->place, where, "no unit's scope in the DMAR table has this id");
        if (d->has_ivrs && !is_special(d, a->id))
            nw_judge_add(j, V04, &a->place, where, "no special entry in the IVRS table has this id");
    }
}

/* SQ says which bits of the source are not compared. VT-d, "Interrupt Remapping Table Entry", SQ. */
static void judge_sources(struct judge *j)
{
    static const uint16_t ignored[] = { 0, 4, 6, 7 };
    const struct nw_dump *d = j->d;
    struct nw_requesters known;
    if (!d->has_dmar || !d->functions || !d->irtes)
        return;
    nw_topology_requesters(d, &known);
    for (size_t i = 0; i < d->irtes; i++) {
        const struct nw_dump_irte *e = &d->irte[i];
        const uint16_t source = (uint16_t)nw_field(e->word[1], 15, 0);
        char where[64], name[8];
        if (!(e->word[0] & 1) || nw_field(e->word[1], 19, 18) != 1 ||
            nw_requesters_has(&known, source, ignored[nw_field(e->word[1], 17, 16)]))
            continue;
        snprintf(where, sizeof where, "%s entry %u", e->unit, e->index);
        nw_judge_name(source, name);
        nw_judge_add(j, I07, &e->place, where, "its source %s is no function, bridge, I/O APIC or HPET", name);
    }
}

void nw_judge_interrupts(struct judge *j)
{
    judge_controllers(j);
    judge_sources(j);
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
