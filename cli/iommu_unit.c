#include "iommu_unit.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/vtd_unit.h>

const char *iommu_unit_problem(struct iommu_unit *u)
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
    const char *const *v = u->value;
    for (size_t i = 0; i < NW_ARRAY_LEN(numbers); i++) {
        uint64_t *n = &u->number[numbers[i].option];
        const char *text = v[numbers[i].option];
        if (text && (!nw_cli_parse_u64(text, n) || *n < numbers[i].least || *n > numbers[i].most))
            return numbers[i].problem;
    }
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

enum nw_status iommu_unit_amdvi(struct iommu_unit *u, struct nw_amdvi_tables *t, struct nw_error *err)
{
    const uint64_t control = given(u, UNIT_CONTROL, NW_AMDVI_CONTROL_GT_EN);
    *t = (struct nw_amdvi_tables){ .unit = nw_amdvi_config_default(NULL).unit,
                                   .device_table = u->number[UNIT_DEVICE_TABLE] };
    t->unit.efr = given(u, UNIT_EFR, t->unit.efr);
    t->unit.pa_bits = (uint8_t)u->haw;
    if (!(control & NW_AMDVI_CONTROL_GT_EN))
        t->unit.efr &= ~NW_AMDVI_EFR_GT;
    t->gcr3_tables_in_gpa = control & NW_AMDVI_CONTROL_GCR3_TRP_MODE;
    enum nw_status s = nw_amdvi_capabilities_check(&t->unit, err);
    if (!s)
        s = iommu_unit_open(u, err);
    t->memory = (struct nw_amdvi_memory){ .pm = u->image.pm, .ram = &u->range, .ram_count = 1 };
    return s;
}

void iommu_unit_close(struct iommu_unit *u) { iommu_image_close(&u->image); }
