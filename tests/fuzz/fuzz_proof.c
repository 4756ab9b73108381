/* fuzz_proof.c - any bytes as physical memory with a remapping unit's tables, held against an intent: findings whose requests the unit lets
 * through, or an error, however the tables point at each other. */
#include "fuzz.h"
#include <nestwalk/base/physmem.h>
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/proof.h>
#include <nestwalk/iommu/vtd_unit.h>

enum { MEMORY = 64 << 10 };

static enum nw_status add(struct nw_proof *p, struct nw_physmem *pm, bool amd, uint64_t root, struct nw_error *err)
{
    static const struct nw_vtd_range ram = { 0, MEMORY };
    static const struct nw_amdvi_range amd_ram = { 0, MEMORY };
    const struct nw_vtd_tables vtd = { .unit = nw_vtd_config_default(NULL).unit,
                                       .memory = { .pm = pm, .ram = &ram, .ram_count = 1 },
                                       .rtaddr = root };
    const struct nw_amdvi_tables amdvi = { .unit = nw_amdvi_config_default(NULL).unit,
                                           .memory = { .pm = pm, .ram = &amd_ram, .ram_count = 1 },
                                           .device_table = root };
    return amd ? nw_proof_add_amdvi(p, "unit", 0, &amdvi, err) : nw_proof_add_vtd(p, "unit", 0, &vtd, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_intent_owner owner[] = { { NULL, NW_INTENT_GUEST, true }, { NULL, NW_INTENT_GUEST, false } };
    struct nw_intent_device device[] = { { .first = 0, .last = 0x20, .owner = 0 },
                                         { .first = 0x21, .last = 0x7f, .owner = 1 } };
    struct nw_intent_memory memory[] = { { 0x8000, 0xb000, NW_REACH_BOTH, 0, 1 } };
    struct nw_intent_window window[] = {
        { .last = 0xffffffff, .rights = NW_REACH_BOTH, .owner = 0, .device = -1 },
        { .last = 0xfff, .rights = NW_REACH_READ, .has_target = true, .required = true, .owner = 1, .device = -1 }
    };
    const unsigned how = (unsigned)fuzz_take(&bytes, &size, 1);
    const uint64_t root = fuzz_take(&bytes, &size, 3);
    const struct nw_intent in = { .others = how & 4 ? NW_INTENT_BLOCKED : NW_INTENT_UNCHECKED,
                                  .owner = owner,
                                  .device = device,
                                  .memory = memory,
                                  .window = window,
                                  .owners = 2,
                                  .devices = 2,
                                  .memories = 1,
                                  .windows = how >> 1 & 1 ? 2 : 0 };
    struct nw_iommu_findings found = { .count = 0 };
    struct nw_proved proved = { .subjects = 0 };
    struct nw_physmem *pm;
    struct nw_proof *p;
    struct nw_error err = { 0 };
    owner[0].name = (char[]){ "a" };
    owner[1].name = (char[]){ "b" };
    fuzz_must(nw_physmem_create(&pm, &err));
    for (uint64_t at = 0; at < MEMORY && size; at += 8)
        fuzz_must(nw_physmem_write64(pm, nw_hpa(at), fuzz_take(&bytes, &size, 8), &err));
    fuzz_must(nw_proof_create(&in, &p, &err));
    if (!add(p, pm, how & 1, root, &err)) {
        fuzz_must(nw_proof_judge(p, &found, &proved, &err));
        for (size_t i = 0; i < found.count; i++)
            if (!found.at[i].detail[0] || (found.at[i].witness && !found.at[i].witness->entries))
                abort();
    }
    nw_iommu_findings_fini(&found);
    nw_proved_fini(&proved);
    nw_proof_destroy(p);
    nw_physmem_destroy(pm);
    return 0;
}
