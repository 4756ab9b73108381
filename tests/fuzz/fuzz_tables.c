/* fuzz_tables.c - any bytes as registers and physical memory of a remapping unit, and a request to it: an address or a
 * fault, whatever the tables are. Addresses that were translated are of 52 bits at most, as entries hold no more. */
#include "fuzz.h"
#include <nestwalk/base/physmem.h>
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/vtd_unit.h>

enum { MEMORY = 64 << 10 };

static void ask_vtd(struct nw_physmem *pm, uint64_t root, const struct nw_vtd_request *q)
{
    static const struct nw_vtd_range ram = { 0, MEMORY };
    struct nw_vtd_tables t = { .unit = nw_vtd_config_default(NULL).unit,
                               .memory = { .pm = pm, .ram = &ram, .ram_count = 1 },
                               .rtaddr = root };
    struct nw_vtd_result r;
    nw_vtd_translate(&t, q, &r);
    if (!r.fault.reason && r.translation != NW_VTD_PASS_THROUGH && r.hpa.v >> 52)
        abort();
}

static void ask_amdvi(struct nw_physmem *pm, uint64_t root, const struct nw_amdvi_request *q)
{
    static const struct nw_amdvi_range ram = { 0, MEMORY };
    struct nw_amdvi_tables t = { .unit = nw_amdvi_config_default(NULL).unit,
                                 .memory = { .pm = pm, .ram = &ram, .ram_count = 1 },
                                 .device_table = root };
    struct nw_amdvi_result r;
    nw_amdvi_translate(&t, q, &r);
    if (!r.event.code && r.translation != NW_AMDVI_PASS_THROUGH && r.hpa.v >> 52)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_physmem *pm;
    struct nw_error err = { 0 };
    const unsigned how = (unsigned)fuzz_take(&bytes, &size, 1);
    const uint64_t root = fuzz_take(&bytes, &size, 3);
    const uint64_t address = fuzz_take(&bytes, &size, 8);
    const uint32_t pasid = (uint32_t)fuzz_take(&bytes, &size, 3) & 0xfffff;
    const uint16_t source = (uint16_t)fuzz_take(&bytes, &size, 2);
    const bool has_pasid = how & 4, execute = has_pasid && how & 8;
    fuzz_must(nw_physmem_create(&pm, &err));
    for (uint64_t at = 0; at < MEMORY && size; at += 8)
        fuzz_must(nw_physmem_write64(pm, nw_hpa(at), fuzz_take(&bytes, &size, 8), &err));
    if (how & 1)
        ask_amdvi(pm, root,
                  &(struct nw_amdvi_request){ .device_id = source,
                                              .address = address,
                                              .kind = how & 2 ? NW_AMDVI_WRITE : NW_AMDVI_READ,
                                              .has_pasid = has_pasid,
                                              .pasid = pasid,
                                              .execute = execute });
    else
        ask_vtd(pm, root,
                &(struct nw_vtd_request){ .source_id = source,
                                          .address = address,
                                          .kind = how & 2 ? NW_VTD_WRITE : NW_VTD_READ,
                                          .has_pasid = has_pasid,
                                          .pasid = pasid,
                                          .execute = execute });
    nw_physmem_destroy(pm);
    return 0;
}
