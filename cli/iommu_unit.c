#include "iommu_unit.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/vtd_unit.h>
#include <stdio.h>

const char *iommu_unit_numbers(const char *const *value, uint64_t *number)
{
    static const struct {
        int option;
        uint64_t least, most;
        const char *problem;
    } numbers[] = {
        { UNIT_START, 0, UINT64_MAX, "--start takes an address" },
        { UNIT_RTADDR, 0, UINT64_MAX, "--rtaddr takes a register's value, like 0x1000" },
        { UNIT_DEVICE_TABLE, 0, UINT64_MAX, "--device-table takes a register's value, like 0x10000f" },
        { UNIT_CAP, 0, UINT64_MAX, "--cap takes a register's value" },
        { UNIT_ECAP, 0, UINT64_MAX, "--ecap takes a register's value" },
        { UNIT_EFR, 0, UINT64_MAX, "--efr takes a register's value" },
        { UNIT_CONTROL, 0, UINT64_MAX, "--control takes a register's value" },
        { UNIT_HAW, 32, NW_PHYS_BITS_MAX, "--haw takes a number of bits, 32 to 52" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(numbers); i++) {
        uint64_t *n = &number[numbers[i].option];
        const char *text = value[numbers[i].option];
        if (text && (!nw_cli_parse_u64(text, n) || *n < numbers[i].least || *n > numbers[i].most))
            return numbers[i].problem;
    }
    return NULL;
}

const char *iommu_unit_problem(struct iommu_unit *u)
{
    const char *const *v = u->value, *problem = iommu_unit_numbers(v, u->number);
    if (problem)
        return problem;
    if (v[UNIT_DEVICE_TABLE] && (v[UNIT_CAP] || v[UNIT_ECAP]))
        return "--cap and --ecap go with --rtaddr";
    if (!v[UNIT_DEVICE_TABLE] && (v[UNIT_EFR] || v[UNIT_CONTROL]))
        return "--efr and --control go with --device-table";
    return NULL;
}

static uint64_t given(const struct iommu_unit *u, int option, uint64_t otherwise)
{
    return u->value[option] ? u->number[option] : otherwise;
}

enum nw_status iommu_unit_open(struct iommu_unit *u, struct nw_error *err)
{
    u->haw = (unsigned)given(u, UNIT_HAW, u->haw);
    if (!u->value[UNIT_IMAGE] || u->image.pm)
        return NW_OK;
    enum nw_status s = iommu_image_open(&u->image, u->value[UNIT_IMAGE], u->number[UNIT_START], u->haw, err);
    u->range = (struct nw_amdvi_range){ u->image.range.start, u->image.range.end };
    return s;
}

enum nw_status iommu_unit_vtd(struct iommu_unit *u, struct nw_vtd_tables *t, struct nw_error *err)
{
    t->rtaddr = given(u, UNIT_RTADDR, t->rtaddr);
    t->unit.cap = given(u, UNIT_CAP, t->unit.cap);
    t->unit.ecap = given(u, UNIT_ECAP, t->unit.ecap);
    t->unit.haw = (uint8_t)u->haw;
    enum nw_status s = nw_vtd_capabilities_check(&t->unit, err);
    if (!s)
        s = iommu_unit_open(u, err);
    if (!s && u->value[UNIT_IMAGE])
        t->memory = (struct nw_vtd_memory){ .pm = u->image.pm, .ram = &u->image.range, .ram_count = 1 };
    return s;
}

/* Options go over the registers. */
static enum nw_status amdvi_tables(struct iommu_unit *u, uint64_t device_table, uint64_t efr, uint64_t control,
                                   struct nw_amdvi_tables *t, struct nw_error *err)
{
    control = given(u, UNIT_CONTROL, control);
    *t = (struct nw_amdvi_tables){ .unit = { .efr = given(u, UNIT_EFR, efr), .pa_bits = (uint8_t)u->haw },
                                   .device_table = given(u, UNIT_DEVICE_TABLE, device_table) };
    if (!(control & NW_AMDVI_CONTROL_GT_EN))
        t->unit.efr &= ~NW_AMDVI_EFR_GT;
    t->gcr3_tables_in_gpa = control & NW_AMDVI_CONTROL_GCR3_TRP_MODE;
    enum nw_status s = nw_amdvi_capabilities_check(&t->unit, err);
    if (!s)
        s = iommu_unit_open(u, err);
    t->memory = (struct nw_amdvi_memory){ .pm = u->image.pm, .ram = &u->range, .ram_count = 1 };
    return s;
}

enum nw_status iommu_unit_amdvi(struct iommu_unit *u, struct nw_amdvi_tables *t, struct nw_error *err)
{
    return amdvi_tables(u, 0, nw_amdvi_config_default(NULL).unit.efr, NW_AMDVI_CONTROL_GT_EN, t, err);
}

void iommu_unit_close(struct iommu_unit *u) { iommu_image_close(&u->image); }

/* ---- units of a machine -------------------------------------------------------------------------- */

static uint16_t segment_of(const struct nw_dump *d, const struct nw_dump_unit *u)
{
    for (size_t i = 0; i < d->drhds; i++)
        if (d->drhd[i].base == u->base)
            return d->drhd[i].segment;
    return 0;
}

static enum nw_status each_regset(struct iommu_unit *u, const struct nw_dump *d, const struct iommu_unit_use *use,
                                  size_t *used, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t k = 0; k < d->units && !s; k++) {
        const struct nw_dump_unit *own = &d->unit[k];
        struct nw_vtd_tables t = { .unit = nw_vtd_config_default(NULL).unit, .rtaddr = own->value[NW_DUMP_RTADDR] };
        if (!own->has[NW_DUMP_RTADDR])
            continue;
        if (own->has[NW_DUMP_CAP])
            t.unit.cap = own->value[NW_DUMP_CAP];
        if (own->has[NW_DUMP_ECAP])
            t.unit.ecap = own->value[NW_DUMP_ECAP];
        s = iommu_unit_vtd(u, &t, err);
        if (!s)
            s = use->vtd(use->context, own->name, segment_of(d, own), &t, err);
        ++*used;
    }
    return s;
}

/* The register of the unit, or `otherwise`. */
static uint64_t amd_register(const struct nw_dump_amd *a, int unit, uint32_t offset, uint64_t otherwise)
{
    for (size_t i = 0; i < a->regs; i++)
        if (a->reg[i].unit == unit && !a->reg[i].capability && a->reg[i].offset == offset)
            return a->reg[i].value;
    return otherwise;
}

static enum nw_status each_mmio(struct iommu_unit *u, const struct nw_dump *d, const struct iommu_unit_use *use,
                                size_t *used, struct nw_error *err)
{
    const struct nw_dump_amd *a = &d->amd;
    enum nw_status s = NW_OK;
    for (size_t k = 0; k < a->regs && !s; k++) {
        const int unit = a->reg[k].unit;
        struct nw_amdvi_tables t;
        char name[32] = "iommu";
        if (a->reg[k].capability || a->reg[k].offset != NW_AMDVI_DEVICE_TABLE)
            continue;
        if (unit != NW_DUMP_AMD_UNNAMED)
            snprintf(name, sizeof name, "iommu%02d", unit);
        s = amdvi_tables(u, a->reg[k].value,
                         amd_register(a, unit, NW_AMDVI_EFR, nw_amdvi_config_default(NULL).unit.efr),
                         amd_register(a, unit, NW_AMDVI_CONTROL, NW_AMDVI_CONTROL_GT_EN), &t, err);
        if (!s)
            s = use->amdvi(use->context, name, unit >= 0 && (size_t)unit < a->ivhds ? a->ivhd[unit].segment : 0, &t,
                           err);
        ++*used;
    }
    return s;
}

enum nw_status iommu_unit_each(struct iommu_unit *u, const struct nw_dump *d, const struct iommu_unit_use *use,
                               struct nw_error *err)
{
    struct nw_vtd_tables vtd = { .unit = nw_vtd_config_default(NULL).unit };
    struct nw_amdvi_tables amdvi;
    size_t used = 0;
    u->haw = d->haw >= 32 ? d->haw : NW_PHYS_BITS_MAX;
    enum nw_status s = iommu_unit_open(u, err);
    if (s)
        return s;
    if (u->value[UNIT_DEVICE_TABLE]) {
        s = iommu_unit_amdvi(u, &amdvi, err);
        return s ? s : use->amdvi(use->context, "unit", 0, &amdvi, err);
    }
    if (u->value[UNIT_RTADDR]) {
        s = iommu_unit_vtd(u, &vtd, err);
        return s ? s : use->vtd(use->context, "unit", 0, &vtd, err);
    }
    s = each_regset(u, d, use, &used, err);
    if (!s)
        s = each_mmio(u, d, use, &used, err);
    if (!s && !used)
        s = nw_fail(err, NW_ERR_INPUT,
                    "%s: where the root table is, is not known; give --rtaddr (VT-d), --device-table (AMD-Vi) or the "
                    "machine's iommu_regset",
                    u->value[UNIT_IMAGE]);
    return s;
}
