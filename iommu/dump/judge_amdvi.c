/* AMD-Vi: registers, device table entries, interrupt remapping entries and commands, by what the model of the unit makes of them. */
#include "judge.h"
#include <nestwalk/iommu/amdvi_entries.h>
#include <nestwalk/iommu/amdvi_unit.h>
#include <stdio.h>
#include <string.h>

/* ---- what is known of a unit -------------------------------------------------------------------- */

static const struct nw_dump_amd_register *find(const struct nw_dump_amd *a, int unit, bool capability, uint32_t offset)
{
    for (size_t i = 0; i < a->regs; i++)
        if (a->reg[i].unit == unit && a->reg[i].capability == capability && a->reg[i].offset == offset)
            return &a->reg[i];
    return NULL;
}
static const struct nw_dump_amd_register *mmio(const struct nw_dump_amd *a, int unit, enum nw_amdvi_register offset)
{
    return find(a, unit, false, (uint32_t)offset);
}

/* The register, or the firmware's image of it, or every feature: then nothing is reserved that some unit has. */
static struct nw_amdvi_capabilities features(const struct nw_dump_amd *a, int unit)
{
    const struct nw_dump_amd_register *efr = mmio(a, unit, NW_AMDVI_EFR);
    struct nw_amdvi_capabilities c = { .efr = NW_AMDVI_EFR_ANY, .pa_bits = 52 };
    if (efr)
        c.efr = efr->value;
    else if (unit >= 0 && (size_t)unit < a->ivhds && a->ivhd[unit].has_efr)
        c.efr = a->ivhd[unit].efr;
    return c;
}

static void name_unit(int unit, char out[16])
{
    if (unit == NW_DUMP_AMD_UNNAMED)
        snprintf(out, 16, "iommu");
    else
        snprintf(out, 16, "iommu%02d", unit);
}

static void name_device(uint16_t segment, uint16_t device_id, char out[48])
{
    char bdf[8];
    nw_judge_name(device_id, bdf);
    snprintf(out, 48, "%04x:%s", segment, bdf);
}

/* ---- registers ---------------------------------------------------------------------------------- */

#define EFR_VIOMMU   NW_BIT(55)
#define EFR_SNP      NW_BIT(63)
#define IVINFO_REMAP NW_BIT(1) /* DmaRemap: the firmware has DMA remapped before the operating system starts */
enum { CAPABILITY_HEADER = 0, CAPABILITY_BASE_LOW = 4, CAPABILITY_BASE_HIGH = 8 };
#define CAPABILITY_IOTLB NW_BIT(24) /* IotlbSup */

static void judge_control(struct judge *j, const struct nw_dump_amd_register *control)
{
    const struct nw_dump_amd *a = &j->d->amd;
    const struct nw_dump_amd_register *status = mmio(a, control->unit, NW_AMDVI_STATUS);
    const uint64_t on = control->value, now = status ? status->value : 0;
    char where[16];
    name_unit(control->unit, where);
    if (!(on & NW_AMDVI_CONTROL_IOMMU_EN))
        return;
    if (!(on & NW_AMDVI_CONTROL_EVENT_LOG_EN))
        nw_judge_add(j, V16, &control->place, where, "Control is 0x%llx: IommuEn is set and EventLogEn is clear",
                     (unsigned long long)on);
    if (!(on & NW_AMDVI_CONTROL_CMD_BUF_EN))
        nw_judge_add(j, V16, &control->place, where, "Control is 0x%llx: IommuEn is set and CmdBufEn is clear",
                     (unsigned long long)on);
    if (status && (on & NW_AMDVI_CONTROL_EVENT_LOG_EN) && !(now & NW_AMDVI_STATUS_EVENT_RUN))
        nw_judge_add(j, V16, &status->place, where, "Status is 0x%llx: the event log is on and does not run",
                     (unsigned long long)now);
    if (status && (on & NW_AMDVI_CONTROL_CMD_BUF_EN) && !(now & NW_AMDVI_STATUS_CMD_RUN))
        nw_judge_add(j, V16, &status->place, where, "Status is 0x%llx: the command buffer is on and does not run",
                     (unsigned long long)now);
}

static void judge_overflow(struct judge *j, const struct nw_dump_amd_register *status)
{
    const uint64_t now = status->value;
    char where[16];
    name_unit(status->unit, where);
    if (now & (NW_AMDVI_STATUS_EVENT_OVERFLOW | NW_AMDVI_STATUS_PPR_OVERFLOW))
        nw_judge_add(j, V16, &status->place, where, "Status is 0x%llx:%s%s", (unsigned long long)now,
                     now & NW_AMDVI_STATUS_EVENT_OVERFLOW ? " the event log has overflowed" : "",
                     now & NW_AMDVI_STATUS_PPR_OVERFLOW ? " the page request log has overflowed" : "");
}

/* Against the firmware's image, and against the first unit that is known. */
static void judge_features(struct judge *j, const struct nw_dump_amd_register *efr)
{
    const struct nw_dump_amd *a = &j->d->amd;
    char where[16];
    uint64_t common = ~UINT64_C(0);
    name_unit(efr->unit, where);
    for (size_t i = 0; i < a->ivhds; i++)
        common &= a->ivhd[i].efr;
    if (efr->unit >= 0 && (size_t)efr->unit < a->ivhds && a->ivhd[efr->unit].has_efr &&
        a->ivhd[efr->unit].efr != efr->value && (!efr->common || efr->value != common))
        nw_judge_add(j, V09, &efr->place, where, "the register is 0x%llx, and its image in the IVRS 0x%llx",
                     (unsigned long long)efr->value, (unsigned long long)a->ivhd[efr->unit].efr);
    for (const struct nw_dump_amd_register *first = a->reg; first < efr; first++) {
        if (first->capability || first->offset != NW_AMDVI_EFR || first->unit == efr->unit ||
            first->common != efr->common)
            continue;
        char other[16];
        name_unit(first->unit, other);
        if (first->value != efr->value)
            nw_judge_add(j, V09, &efr->place, where, "the register is 0x%llx, and 0x%llx in %s",
                         (unsigned long long)efr->value, (unsigned long long)first->value, other);
        break;
    }
}

/* The unit's own base, in its PCI capability, and the firmware's table. */
static void judge_base(struct judge *j, const struct nw_dump_amd_register *low)
{
    const struct nw_dump_amd *a = &j->d->amd;
    const struct nw_dump_amd_register *high = find(a, low->unit, true, CAPABILITY_BASE_HIGH);
    const uint64_t base = (low->value & ~UINT64_C(0x3fff)) | (high ? high->value << 32 : 0);
    char where[16];
    bool named = false;
    name_unit(low->unit, where);
    for (size_t i = 0; i < a->ivhds; i++)
        named |= a->ivhd[i].base == base || (!high && (uint32_t)a->ivhd[i].base == base);
    if (j->d->has_ivrs && a->ivhds && !named)
        nw_judge_add(j, D18, &low->place, where, "no IVHD of the firmware's table has the base 0x%llx",
                     (unsigned long long)base);
}

static void judge_registers(struct judge *j)
{
    const struct nw_dump_amd *a = &j->d->amd;
    for (size_t i = 0; i < a->regs; i++) {
        const struct nw_dump_amd_register *r = &a->reg[i];
        if (r->capability) {
            if (r->offset == CAPABILITY_BASE_LOW)
                judge_base(j, r);
        } else if (r->offset == NW_AMDVI_CONTROL) {
            judge_control(j, r);
        } else if (r->offset == NW_AMDVI_STATUS) {
            judge_overflow(j, r);
        } else if (r->offset == NW_AMDVI_EFR) {
            judge_features(j, r);
        }
    }
}

/* ---- what the kernel was asked for -------------------------------------------------------------- */

static const struct nw_dump_option *option(const struct nw_dump *d, const char *text)
{
    for (size_t i = 0; i < d->options; i++)
        if (!strcmp(d->option[i].text, text))
            return &d->option[i];
    return NULL;
}

static const struct nw_dump_option *first_of(const struct nw_dump *d, const char *const *text, size_t count)
{
    const struct nw_dump_option *o = NULL;
    for (size_t i = 0; i < count && !o; i++)
        o = option(d, text[i]);
    return o;
}

/* SEV-SNP: the unit checks the reverse map table, for which Linux needs EFR.SNP, host tables of the first format, and no device
 * that is passed through. */
static void judge_snp(struct judge *j)
{
    static const char *const wanted[] = { "kvm_amd.sev_snp=1", "kvm-amd.sev_snp=1", "kvm_amd.sev_snp=Y",
                                          "kvm-amd.sev_snp=Y" };
    static const char *const against[] = { "iommu=pt", "iommu.passthrough=1", "amd_iommu=pgtbl_v2", "amd_iommu=off",
                                           "iommu=off" };
    const struct nw_dump_amd *a = &j->d->amd;
    const struct nw_dump_option *o = first_of(j->d, wanted, NW_ARRAY_LEN(wanted)),
                                *no = first_of(j->d, against, NW_ARRAY_LEN(against));
    if (!o)
        return;
    if (no)
        nw_judge_add(j, V15, &no->place, no->text, "with %s", o->text);
    for (size_t i = 0; i < a->regs; i++) {
        const struct nw_dump_amd_register *r = &a->reg[i];
        char where[16];
        name_unit(r->unit, where);
        if (!r->capability && r->offset == NW_AMDVI_EFR && !(r->value & EFR_SNP))
            nw_judge_add(j, V15, &r->place, where, "EFR is 0x%llx: SNPSup is clear, and the command line has %s",
                         (unsigned long long)r->value, o->text);
    }
    for (size_t i = 0; i < a->dtes; i++) {
        const struct nw_dump_dte *e = &a->dte[i];
        struct nw_amdvi_dte says;
        char where[48];
        nw_amdvi_dte_decode(e->word, &says);
        name_device(e->segment, e->device_id, where);
        if (says.valid && says.translation_valid && (!says.mode || says.guest || says.page_requests))
            nw_judge_add(j, V15, &e->place, where, "%s, and the command line has %s",
                         !says.mode   ? "the entry translates by no host tables (Mode 0)"
                         : says.guest ? "the entry has guest translation (GV)"
                                      : "the entry has page requests (PPR)",
                         o->text);
    }
}

static void judge_off(struct judge *j)
{
    static const char *const off[] = { "amd_iommu=off", "iommu=off" };
    const struct nw_dump_amd *a = &j->d->amd;
    const struct nw_dump_option *o = first_of(j->d, off, NW_ARRAY_LEN(off));
    if (o && j->d->has_ivrs && (a->ivrs_info & IVINFO_REMAP))
        nw_judge_add(j, V17, &o->place, o->text, "IVinfo of the IVRS is 0x%x: DmaRemap is set", a->ivrs_info);
}

/* ---- device table entries ----------------------------------------------------------------------- */

/* A device that the firmware gives the I/O APIC's id passes INIT and the like by design; nothing is held against that here. */
static void judge_form(struct judge *j, const struct nw_dump_dte *e, const struct nw_amdvi_dte *says, const char *where)
{
    const struct nw_amdvi_capabilities unit = features(&j->d->amd, e->unit);
    /* Secure ATS (bit 106) and what a virtual unit of a guest needs (bits 245:192) are of later units than the model's. */
    const uint64_t later = unit.efr & EFR_VIOMMU ? nw_mask(53, 0) : 0;
    const uint64_t word[4] = { e->word[0], e->word[1] & ~NW_BIT(42), e->word[2], e->word[3] & ~later };
    const unsigned illegal = nw_amdvi_dte_illegal(&unit, word);
    if (illegal & NW_AMDVI_DTE_RESERVED)
        nw_judge_add(j, V10, &e->place, where, "a reserved bit or encoding is in 0x%016llx 0x%016llx (bits 127:0)",
                     (unsigned long long)e->word[1], (unsigned long long)e->word[0]);
    if (illegal & NW_AMDVI_DTE_LEVELS)
        nw_judge_add(j, V10, &e->place, where, "Mode is %u%s; the unit has %u levels of host tables%s", says->mode,
                     says->guest ? ", with guest tables" : "", nw_amdvi_host_levels(unit.efr),
                     says->guest ? " and fewer or other guest levels than the entry asks for" : "");
    if (illegal & NW_AMDVI_DTE_INTERRUPTS)
        nw_judge_add(j, V10, &e->place, where, "a reserved bit or encoding is in 0x%016llx 0x%016llx (bits 255:128)",
                     (unsigned long long)e->word[3], (unsigned long long)e->word[2]);
}

static void judge_isolation(struct judge *j, const struct nw_dump_dte *e, const struct nw_amdvi_dte *says,
                            const char *where)
{
    if (!says->valid)
        nw_judge_add(j, V11, &e->place, where, "V is clear: requests pass untranslated");
    else if (says->translation_valid && !says->mode && !says->guest && (says->read || says->write))
        nw_judge_add(j, V11, &e->place, where, "Mode is 0 with%s%s: requests pass untranslated",
                     says->read ? " IR" : "", says->write ? " IW" : "");
    if (!says->interrupts_valid)
        nw_judge_add(j, V12, &e->place, where, "IV is clear: interrupts pass unremapped");
    else if (says->interrupt_control == NW_AMDVI_INTCTL_FORWARD)
        nw_judge_add(j, V12, &e->place, where, "IntCtl is 1: interrupts pass unremapped");
    if (says->valid && says->exclusion)
        nw_judge_add(j, V12, &e->place, where, "EX is set: the exclusion range is not translated");
}

static void judge_domain(struct judge *j, const struct nw_dump_dte *e, const struct nw_amdvi_dte *says,
                         const char *where)
{
    if (!says->valid || !says->translation_valid || !says->mode)
        return;
    for (const struct nw_dump_dte *before = j->d->amd.dte; before < e; before++) {
        struct nw_amdvi_dte other;
        char name[48];
        nw_amdvi_dte_decode(before->word, &other);
        if (before->unit != e->unit || !other.valid || !other.translation_valid || !other.mode ||
            other.domain_id != says->domain_id || (other.root == says->root && other.mode == says->mode))
            continue;
        name_device(before->segment, before->device_id, name);
        nw_judge_add(j, X05, &e->place, where, "domain 0x%x has its tables at 0x%llx, and at 0x%llx for %s",
                     says->domain_id, (unsigned long long)says->root, (unsigned long long)other.root, name);
        return;
    }
}

static void judge_entries(struct judge *j)
{
    for (size_t i = 0; i < j->d->amd.dtes; i++) {
        const struct nw_dump_dte *e = &j->d->amd.dte[i];
        struct nw_amdvi_dte says;
        char where[48];
        nw_amdvi_dte_decode(e->word, &says);
        name_device(e->segment, e->device_id, where);
        judge_form(j, e, &says, where);
        judge_isolation(j, e, &says, where);
        judge_domain(j, e, &says, where);
    }
}

/* ---- interrupt remapping entries ---------------------------------------------------------------- */

/* The unit of a device: by its device table entry, or the only one there is. */
static int unit_of_device(const struct nw_dump_amd *a, uint16_t segment, uint16_t device_id)
{
    for (size_t i = 0; i < a->dtes; i++)
        if (a->dte[i].segment == segment && a->dte[i].device_id == device_id)
            return a->dte[i].unit;
    for (size_t i = 1; i < a->regs; i++)
        if (a->reg[i].unit != a->reg[0].unit)
            return NW_DUMP_AMD_UNNAMED;
    return a->regs ? a->reg[0].unit : NW_DUMP_AMD_UNNAMED;
}

static void judge_interrupt(struct judge *j, const struct nw_dump_amd_irte *e)
{
    const struct nw_dump_amd_register *control =
        mmio(&j->d->amd, unit_of_device(&j->d->amd, e->segment, e->device_id), NW_AMDVI_CONTROL);
    const uint64_t on = control ? control->value : ~UINT64_C(0);
    const bool x2apic = on & NW_AMDVI_CONTROL_XT_EN;
    struct nw_amdvi_interrupt says = { .vector = 0 };
    char where[64];
    name_device(e->segment, e->device_id, where);
    snprintf(where + strlen(where), sizeof where - strlen(where), " entry %u", e->index);
    if (!(e->word[0] & NW_AMDVI_IRTE_REMAP_EN))
        return;
    if (control && e->wide != ((on & NW_AMDVI_CONTROL_GA_EN) != 0)) {
        nw_judge_add(j, V13, &e->place, where, "the entry has %u bits, and Control.GAEn is %s", e->wide ? 128 : 32,
                     e->wide ? "clear" : "set");
        return;
    }
    nw_amdvi_irte_decode(e->wide, e->word, &says);
    if (nw_amdvi_irte_illegal(e->wide, x2apic, e->word)) {
        if (!e->wide && (e->word[0] & NW_AMDVI_IRTE_GUEST_MODE))
            nw_judge_add(j, V13, &e->place, where, "GuestMode is set in an entry of 32 bits");
        else if (!nw_amdvi_irte_illegal(e->wide, true, e->word))
            nw_judge_add(j, V13, &e->place, where, "the destination is 0x%x, and Control.XTEn is clear",
                         says.destination);
        else
            nw_judge_add(j, V13, &e->place, where, "a reserved bit or interrupt type is in 0x%016llx 0x%016llx",
                         (unsigned long long)e->word[1], (unsigned long long)e->word[0]);
        return;
    }
    if (says.vector < 16)
        nw_judge_add(j, V13, &e->place, where, "the vector is 0x%02x", says.vector);
}

/* ---- commands ----------------------------------------------------------------------------------- */

static void judge_command(struct judge *j, const struct nw_dump_command *c)
{
    const struct nw_amdvi_capabilities unit = features(&j->d->amd, c->unit);
    const struct nw_dump_amd_register *header = find(&j->d->amd, c->unit, true, CAPABILITY_HEADER);
    const bool iotlbs = !header || (header->value & CAPABILITY_IOTLB);
    char where[64];
    if (nw_amdvi_command_legal(&unit, iotlbs, c->word) ||
        (nw_amdvi_opcode(c->word) == NW_AMDVI_PREFETCH_IOMMU_PAGES && (unit.efr & NW_AMDVI_EFR_PREF)))
        return;
    name_unit(c->unit, where);
    snprintf(where + strlen(where), sizeof where - strlen(where), " command %u", c->index);
    nw_judge_add(j, V19, &c->place, where, "0x%016llx 0x%016llx, opcode %u", (unsigned long long)c->word[1],
                 (unsigned long long)c->word[0], nw_amdvi_opcode(c->word));
}

void nw_judge_amdvi(struct judge *j)
{
    const struct nw_dump_amd *a = &j->d->amd;
    judge_registers(j);
    judge_snp(j);
    judge_off(j);
    judge_entries(j);
    for (size_t i = 0; i < a->irtes; i++)
        judge_interrupt(j, &a->irte[i]);
    for (size_t i = 0; i < a->commands; i++)
        judge_command(j, &a->command[i]);
}
