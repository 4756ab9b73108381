/* What the registers say of each unit, and of the units beside each other. */
#include "judge.h"
#include <string.h>

static void judge_modes(struct judge *j, const struct nw_dump_unit *u)
{
    const unsigned ttm = (unsigned)nw_field(u->value[NW_DUMP_RTADDR], 11, 10);
    const bool scalable = u->has[NW_DUMP_RTADDR] && ttm == NW_VTD_TTM_SCALABLE;
    if (clear(u, NW_DUMP_GSTS, GSTS_TES))
        nw_judge_add(j, X01, &u->at[NW_DUMP_GSTS], u->name, "GSTS is 0x%llx: TES is clear",
                     (unsigned long long)u->value[NW_DUMP_GSTS]);
    if (set(u, NW_DUMP_ECAP, ECAP_IR) && clear(u, NW_DUMP_GSTS, GSTS_IRES))
        nw_judge_add(j, I02, &u->at[NW_DUMP_GSTS], u->name, "ECAP.IR is set and GSTS.IRES is clear");
    if (set(u, NW_DUMP_GSTS, GSTS_CFIS | GSTS_IRES) && clear(u, NW_DUMP_IRTA, IRTA_EIME))
        nw_judge_add(j, I13, &u->at[NW_DUMP_GSTS], u->name, "GSTS.CFIS and IRES are set, IRTA.EIME is clear");
    if (clear(u, NW_DUMP_GSTS, GSTS_QIES) && (set(u, NW_DUMP_GSTS, GSTS_IRES) || scalable))
        nw_judge_add(j, Q02, &u->at[NW_DUMP_GSTS], u->name, "GSTS.QIES is clear with %s",
                     scalable ? "scalable mode" : "interrupt remapping on");
    if (u->has[NW_DUMP_RTADDR] && set(u, NW_DUMP_GSTS, GSTS_TES) &&
        (ttm == 2 || (scalable && clear(u, NW_DUMP_ECAP, NW_VTD_ECAP_SMTS))))
        nw_judge_add(j, X24, &u->at[NW_DUMP_RTADDR], u->name, "the table mode is %u%s", ttm,
                     scalable ? ", and ECAP.SMTS is clear" : ", which is reserved");
    if (!set(u, NW_DUMP_GSTS, GSTS_QIES) || !u->has[NW_DUMP_IQA])
        return;
    const bool wide = u->value[NW_DUMP_IQA] & IQA_DW;
    if (scalable && !wide)
        nw_judge_add(j, Q03, &u->at[NW_DUMP_IQA], u->name, "IQA.DW is clear in scalable mode");
    else if (wide && clear(u, NW_DUMP_ECAP, NW_VTD_ECAP_SMTS))
        nw_judge_add(j, Q03, &u->at[NW_DUMP_IQA], u->name, "IQA.DW is set and ECAP.SMTS is clear");
    else if (wide && set(u, NW_DUMP_IQT, NW_BIT(4)))
        nw_judge_add(j, Q03, &u->at[NW_DUMP_IQT], u->name,
                     "IQT is 0x%llx; descriptors of 256 bits have multiples of 0x20",
                     (unsigned long long)u->value[NW_DUMP_IQT]);
}

static void judge_status(struct judge *j, const struct nw_dump_unit *u)
{
    const uint64_t fsts = u->value[NW_DUMP_FSTS], cap = u->value[NW_DUMP_CAP];
    if (u->has[NW_DUMP_FSTS] && (fsts & nw_mask(6, 4)))
        nw_judge_add(j, Q01, &u->at[NW_DUMP_FSTS], u->name, "FSTS is 0x%llx:%s%s%s", (unsigned long long)fsts,
                     fsts & NW_BIT(4) ? " IQE" : "", fsts & NW_BIT(5) ? " ICE" : "", fsts & NW_BIT(6) ? " ITE" : "");
    if (u->has[NW_DUMP_FSTS] && (fsts & 3))
        nw_judge_add(j, F01, &u->at[NW_DUMP_FSTS], u->name, "FSTS is 0x%llx:%s%s", (unsigned long long)fsts,
                     fsts & 2 ? " PPF, a record is pending" : "", fsts & 1 ? " PFO, faults were lost" : "");
    if (u->has[NW_DUMP_PMEN] && (u->value[NW_DUMP_PMEN] & (NW_BIT(31) | 1)) && set(u, NW_DUMP_GSTS, GSTS_TES))
        nw_judge_add(j, P01, &u->at[NW_DUMP_PMEN], u->name, "PMEN is 0x%llx with GSTS.TES set",
                     (unsigned long long)u->value[NW_DUMP_PMEN]);
    if (u->has[NW_DUMP_CAP] && u->has[NW_DUMP_ECAP] && (cap & nw_mask(31, 0)) == nw_mask(31, 0) &&
        (u->value[NW_DUMP_ECAP] & nw_mask(31, 0)) == nw_mask(31, 0)) {
        nw_judge_add(j, D03, &u->at[NW_DUMP_CAP], u->name, "CAP is 0x%llx and ECAP 0x%llx", (unsigned long long)cap,
                     (unsigned long long)u->value[NW_DUMP_ECAP]);
        return; /* its capabilities are none */
    }
    if (set(u, NW_DUMP_CAP, NW_VTD_CAP_CM))
        nw_judge_add(j, P02, &u->at[NW_DUMP_CAP], u->name, "CAP.CM is set");
    if (u->has[NW_DUMP_CAP] && !(nw_vtd_sagaw(cap) & 0xe) && clear(u, NW_DUMP_ECAP, NW_VTD_ECAP_FLTS))
        nw_judge_add(j, D15, &u->at[NW_DUMP_CAP], u->name, "SAGAW is 0x%x and ECAP.FLTS is clear",
                     (unsigned)nw_vtd_sagaw(cap));
}

/* Against the first unit: what of the capabilities matters to who uses them together. */
static void judge_sameness(struct judge *j, const struct nw_dump_unit *u)
{
    const struct nw_dump_unit *first = &j->d->unit[0];
    const uint64_t cap_bits = nw_mask(12, 8) | nw_mask(37, 34),
                   ecap_bits = NW_BIT(3) | NW_BIT(4) | NW_BIT(6) | NW_BIT(7) | NW_VTD_ECAP_SMTS;
    if (u == first || !u->has[NW_DUMP_CAP] || !first->has[NW_DUMP_CAP] || !u->has[NW_DUMP_ECAP] ||
        !first->has[NW_DUMP_ECAP])
        return;
    const uint64_t cap = (u->value[NW_DUMP_CAP] ^ first->value[NW_DUMP_CAP]) & cap_bits;
    const uint64_t ecap = (u->value[NW_DUMP_ECAP] ^ first->value[NW_DUMP_ECAP]) & ecap_bits;
    if (cap || ecap)
        nw_judge_add(j, D14, &u->at[NW_DUMP_CAP], u->name, "differs from %s in%s%s%s%s%s%s", first->name,
                     cap & nw_mask(12, 8) ? " widths (SAGAW)" : "", cap & nw_mask(37, 34) ? " large pages (SLLPS)" : "",
                     ecap & NW_BIT(7) ? " snoop control (SC)" : "", ecap & NW_BIT(6) ? " pass-through (PT)" : "",
                     ecap & (NW_BIT(3) | NW_BIT(4)) ? " interrupt remapping (IR, EIM)" : "",
                     ecap & NW_VTD_ECAP_SMTS ? " scalable mode (SMTS)" : "");
}

void nw_judge_registers(struct judge *j)
{
    const struct nw_dump *d = j->d;
    bool whole = d->units > 0;
    for (size_t i = 0; i < d->units; i++) {
        const struct nw_dump_unit *u = &d->unit[i];
        bool named = false;
        judge_modes(j, u);
        judge_status(j, u);
        judge_sameness(j, u);
        for (size_t k = 0; k < d->drhds; k++)
            named |= d->drhd[k].base == u->base;
        whole &= !u->from_log;
        if (d->has_dmar && !named && u->base)
            nw_judge_add(j, D18, &u->place, u->name, "no DRHD of the firmware's table has the base 0x%llx",
                         (unsigned long long)u->base);
    }
    for (size_t k = 0; whole && k < d->drhds; k++) {
        bool shown = false;
        for (size_t i = 0; i < d->units; i++)
            shown |= d->unit[i].base == d->drhd[k].base;
        if (!shown)
            nw_judge_add(j, D18, &d->unit[0].place, d->unit[0].name, "the firmware's unit at 0x%llx is not shown",
                         (unsigned long long)d->drhd[k].base);
    }
}
