/* From a device id to its device table entry: AMD IOMMU specification, "Device Table" and "Device Table Entry Format". */
#include "caches.h"

enum nw_status nw_amdvi_capabilities_check(const struct nw_amdvi_capabilities *c, struct nw_error *err)
{
    if (c->pa_bits < 32 || c->pa_bits > NW_PHYS_BITS_MAX)
        return nw_fail(err, NW_ERR_INPUT, "AMD-Vi: the physical address width is %u; 32 to %d are allowed", c->pa_bits,
                       NW_PHYS_BITS_MAX);
    if (nw_amdvi_host_levels(c->efr) > 6)
        return nw_fail(err, NW_ERR_INPUT, "AMD-Vi: EFR.HATS is 3; 0 (4 levels), 1 (5) and 2 (6) are allowed");
    if (nw_amdvi_guest_levels(c->efr) > 5 || nw_amdvi_gcr3_levels(c->efr) > 3)
        return nw_fail(err, NW_ERR_INPUT, "AMD-Vi: EFR.GATS is %u and EFR.GLXSup %u; 0 to 1 and 0 to 2 are allowed",
                       nw_amdvi_guest_levels(c->efr) - 4, nw_amdvi_gcr3_levels(c->efr) - 1);
    return NW_OK;
}

bool amdvi_readable(const struct nw_amdvi_memory *m, unsigned pa_bits, uint64_t address)
{
    bool readable = !m->ram && !(address >> pa_bits);
    for (size_t i = 0; m->ram && i < m->ram_count; i++)
        readable |= address >= m->ram[i].start && address < m->ram[i].end;
    return readable;
}

bool amdvi_load(struct amdvi_walk *w, uint64_t address, uint64_t *out)
{
    const struct nw_amdvi_memory *m = &w->t->memory;
    bool readable = amdvi_readable(m, w->t->unit.pa_bits, address);
    w->references++;
    if (NW_UNLIKELY(w->t->watch != NULL))
        amdvi_watch_need(w->t->watch, address);
    *out = readable ? nw_physmem_read64(m->pm, nw_hpa(address)) : 0;
    if (NW_UNLIKELY(w->t->watch != NULL))
        amdvi_watch_word(w, address, *out, readable);
    return readable;
}

bool amdvi_read_device(struct amdvi_walk *w, struct nw_amdvi_event *e)
{
    uint64_t bytes = (nw_field(w->t->device_table, 8, 0) + 1) << NW_PAGE_LOG2, offset = (uint64_t)w->q->device_id * 32;
    uint64_t at = (w->t->device_table & nw_mask(51, 12)) + offset;
    if (offset >= bytes)
        return amdvi_event(w, e, NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0);
    if (amdvi_dte_lookup(w))
        return true;
    for (unsigned i = 0; i < 4; i++) {
        amdvi_entry(w, NW_AMDVI_DEVICE_ENTRY, i, 0);
        if (!amdvi_load(w, at + i * 8, &w->dte[i])) {
            w->dte[1] = 0; /* nothing of the entry is known */
            amdvi_event(w, e, NW_AMDVI_DEV_TAB_HARDWARE_ERROR, NW_AMDVI_MASTER_ABORT << 9);
            e->address = at;
            return false;
        }
    }
    return true;
}

bool amdvi_find_device(struct amdvi_walk *w, struct nw_amdvi_event *e)
{
    if (!amdvi_read_device(w, e))
        return false;
    if (w->dte[0] & DTE_V) {
        const unsigned illegal = nw_amdvi_dte_illegal(&w->t->unit, w->dte);
        if (illegal & NW_AMDVI_DTE_RESERVED)
            return amdvi_event(w, e, NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, NW_AMDVI_FLAG_RZ);
        if (illegal & NW_AMDVI_DTE_LEVELS)
            return amdvi_event(w, e, NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0);
    }
    amdvi_dte_fill(w);
    return true;
}
