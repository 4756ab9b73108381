/* Device table and interrupt entries of AMD-Vi in two dumps: which were changed, and whether the unit has been told. AMD IOMMU
 * specification, chapter "Commands": INVALIDATE_DEVTAB_ENTRY, INVALIDATE_INTERRUPT_TABLE. */
#include "changes.h"
#include <nestwalk/iommu/amdvi_entries.h>
#include <nestwalk/iommu/amdvi_unit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_IRT_CACHE_DIS NW_BIT(59) /* interrupt entries are not cached */

static void name_device(uint16_t segment, uint16_t device_id, char where[48])
{
    char name[8];
    nw_judge_name(device_id, name);
    snprintf(where, 48, "%04x:%s", segment, name);
}

static bool told(const struct evidence *e, enum nw_amdvi_opcode opcode, uint16_t device_id)
{
    for (unsigned n = 0; n < e->count; n++) {
        const uint64_t *word = nw_evidence_slot(e, n);
        if (word && (nw_amdvi_opcode(word) == NW_AMDVI_INVALIDATE_IOMMU_ALL ||
                     (nw_amdvi_opcode(word) == (unsigned)opcode && (uint16_t)word[0] == device_id)))
            return true;
    }
    return false;
}

struct change {
    enum rule rule;
    int unit;
    enum nw_amdvi_opcode opcode;
    uint16_t device_id;
    const struct nw_dump_place *place; /* in the later dump */
    const char *what, *command;
};

static void judge_change(struct judge *j, const struct change *c, const char *where)
{
    struct evidence e;
    if (nw_evidence_amd(&e, j->d->earlier, j->d, c->unit, NULL)) {
        j->no_memory = true;
        return;
    }
    if (told(&e, c->opcode, c->device_id)) {
        nw_evidence_fini(&e);
        return;
    }
    if (!nw_evidence_whole(&e))
        nw_judge_add(j, Q10, c->place, where, "%s was changed, and %s", c->what,
                     e.kind == EVIDENCE_NONE
                         ? "the unit's command buffer is not among the later texts"
                         : "slots of the command buffer have been written more than once, or may have");
    else
        nw_judge_add_as(j, e.kind == EVIDENCE_ALL ? NW_IOMMU_ERROR : NW_IOMMU_WARNING, c->rule, c->place, where,
                        "%s was changed, and the command buffer has no %s of the device%s", c->what, c->command,
                        e.kind == EVIDENCE_ALL ? "" : ", unless it has gone round with the same in every slot");
    nw_evidence_fini(&e);
}

static void judge_dte(struct judge *j, const struct nw_dump_dte *now)
{
    const struct nw_dump_amd *old = &j->d->earlier->amd;
    const struct nw_dump_dte *before = NULL;
    for (size_t i = 0; i < old->dtes && !before; i++)
        if (old->dte[i].segment == now->segment && old->dte[i].device_id == now->device_id)
            before = &old->dte[i];
    char where[48];
    if (!before || !memcmp(before->word, now->word, sizeof now->word))
        return;
    name_device(now->segment, now->device_id, where);
    judge_change(j,
                 &(struct change){ .rule = Q05,
                                   .unit = now->unit,
                                   .opcode = NW_AMDVI_INVALIDATE_DEVTAB_ENTRY,
                                   .device_id = now->device_id,
                                   .place = &now->place,
                                   .what = "the device table entry",
                                   .command = "INVALIDATE_DEVTAB_ENTRY" },
                 where);
}

/* Where a virtual processor runs is not cached: destination and IsRun of a guest's entry change without a command (Linux,
 * amd_iommu_update_ga). */
static bool same_irte(const struct nw_dump_amd_irte *a, const struct nw_dump_amd_irte *b)
{
    const bool guest = a->wide && b->wide && (a->word[0] & b->word[0] & NW_AMDVI_IRTE_GUEST_MODE);
    const uint64_t volatile_0 = guest ? nw_mask(31, 8) | NW_BIT(6) : 0, volatile_1 = guest ? nw_mask(63, 56) : 0;
    return !((a->word[0] ^ b->word[0]) & ~volatile_0) && !((a->word[1] ^ b->word[1]) & ~volatile_1);
}

static void judge_irte(struct judge *j, const struct nw_dump_amd_irte *now)
{
    const struct nw_dump_amd *old = &j->d->earlier->amd, *a = &j->d->amd;
    const struct nw_dump_amd_irte *before = NULL;
    int unit = NW_DUMP_AMD_UNNAMED;
    for (size_t i = 0; i < old->irtes && !before; i++)
        if (old->irte[i].segment == now->segment && old->irte[i].device_id == now->device_id &&
            old->irte[i].index == now->index)
            before = &old->irte[i];
    if (!before || same_irte(before, now))
        return;
    for (size_t i = 0; i < a->dtes; i++)
        if (a->dte[i].segment == now->segment && a->dte[i].device_id == now->device_id)
            unit = a->dte[i].unit;
    for (size_t i = 0; i < a->regs; i++)
        if (a->reg[i].unit == unit && !a->reg[i].capability && a->reg[i].offset == NW_AMDVI_CONTROL &&
            (a->reg[i].value & CONTROL_IRT_CACHE_DIS))
            return;
    char where[80];
    name_device(now->segment, now->device_id, where);
    snprintf(where + strlen(where), sizeof where - strlen(where), " entry %u", now->index);
    judge_change(j,
                 &(struct change){ .rule = Q07,
                                   .unit = unit,
                                   .opcode = NW_AMDVI_INVALIDATE_INTERRUPT_TABLE,
                                   .device_id = now->device_id,
                                   .place = &now->place,
                                   .what = "the interrupt entry",
                                   .command = "INVALIDATE_INTERRUPT_TABLE" },
                 where);
}

/* A finding stands at the entry in the later dump. */
void nw_changes_amd(struct judge *j)
{
    const struct nw_dump_amd *a = &j->d->amd;
    for (size_t i = 0; i < a->dtes && !j->no_memory; i++)
        judge_dte(j, &a->dte[i]);
    for (size_t i = 0; i < a->irtes && !j->no_memory; i++)
        judge_irte(j, &a->irte[i]);
}
