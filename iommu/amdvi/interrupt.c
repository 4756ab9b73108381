/* Interrupt requests: AMD IOMMU specification, "Interrupt Remapping Tables", "Device Table Entry Format" (IV, IntCtl, the pass
 * bits). A fixed or arbitrated message of a device whose IntCtl says so is replaced by the entry that bits 10:0 of its data
 * pick (bits 10:8 being the delivery mode, those are the entries 0 to 511); NMI, INIT and ExtINT pass or are aborted by a bit each. */
#include "caches.h"

#define IRTE_SUPIOPF NW_BIT(1)
enum { FIXED = 0, ARBITRATED = 1, NMI = 4, INIT = 5, EXTINT = 7 };

/* Interrupts are not writes in events, and DTE.SA is no concern of theirs; their own way to be silent is DTE.IG. */
static void interrupt_event(const struct amdvi_walk *w, struct nw_amdvi_event *e, enum nw_amdvi_event_code code,
                            unsigned flags)
{
    amdvi_host_event(w, e, code, flags | NW_AMDVI_FLAG_I, w->q->address, false);
    e->logged = true;
}

static bool wide_entries(const struct nw_amdvi_tables *t)
{
    return t->wide_interrupt_entries && (t->unit.efr & NW_AMDVI_EFR_GA);
}

static void pass(const struct nw_amdvi_interrupt_request *q, struct nw_amdvi_interrupt *out)
{
    out->form = NW_AMDVI_INTERRUPT_PASSED;
    out->destination = (uint32_t)nw_field(q->address, 19, 12);
    out->logical = q->address & NW_BIT(2);
    out->delivery_mode = (uint8_t)nw_field(q->data, 10, 8);
    out->vector = (uint8_t)q->data;
}

/* The entry of `index`; false: the event. */
static bool read_entry(struct amdvi_walk *w, unsigned index, uint64_t entry[2], struct nw_amdvi_event *e)
{
    bool wide = wide_entries(w->t), there;
    uint64_t at = (w->dte[2] & DTE_INTTABROOT) + (uint64_t)index * (wide ? 16 : 4);
    if (index >> DTE_INTTABLEN(w->dte[2])) {
        interrupt_event(w, e, NW_AMDVI_IO_PAGE_FAULT, 0);
        return false;
    }
    if (amdvi_irte_lookup(w, index, entry))
        return true;
    entry[1] = 0;
    amdvi_entry(w, NW_AMDVI_INTERRUPT_ENTRY, 0, 0);
    there = amdvi_load(w, at & ~UINT64_C(7), &entry[0]);
    if (there && wide) {
        amdvi_entry(w, NW_AMDVI_INTERRUPT_ENTRY, 1, 0);
        there = amdvi_load(w, at + 8, &entry[1]);
    }
    if (!wide)
        entry[0] = (uint32_t)(entry[0] >> (at & 4 ? 32 : 0));
    if (!there) {
        interrupt_event(w, e, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, NW_AMDVI_MASTER_ABORT << 9);
        e->address = at;
    }
    return there;
}

static void remap(struct amdvi_walk *w, unsigned index, struct nw_amdvi_interrupt *out)
{
    uint64_t entry[2];
    bool ignored = w->dte[2] & DTE_IG;
    if (!read_entry(w, index, entry, &out->event)) {
        out->event.logged = out->event.code != NW_AMDVI_IO_PAGE_FAULT || !ignored;
        return;
    }
    unsigned flags = 0;
    const bool wide = wide_entries(w->t);
    if ((entry[0] & NW_AMDVI_IRTE_REMAP_EN) && !nw_amdvi_irte_illegal(wide, w->t->x2apic, entry)) {
        amdvi_irte_fill(w, index, entry);
        nw_amdvi_irte_decode(wide, entry, out);
        return;
    }
    if (entry[0] & NW_AMDVI_IRTE_REMAP_EN)
        flags = NW_AMDVI_FLAG_PR | NW_AMDVI_FLAG_RZ;
    interrupt_event(w, &out->event, NW_AMDVI_IO_PAGE_FAULT, flags);
    out->event.logged = !ignored && !(entry[0] & IRTE_SUPIOPF);
}

void amdvi_interrupt_passed(const struct nw_amdvi_interrupt_request *q, struct nw_amdvi_interrupt *out)
{
    *out = (struct nw_amdvi_interrupt){ 0 };
    pass(q, out);
}

void nw_amdvi_interrupt(const struct nw_amdvi_tables *t, const struct nw_amdvi_interrupt_request *q,
                        struct nw_amdvi_interrupt *out)
{
    amdvi_interrupt(t, NULL, q, out);
}

void amdvi_interrupt(const struct nw_amdvi_tables *t, struct amdvi_caches *caches,
                     const struct nw_amdvi_interrupt_request *q, struct nw_amdvi_interrupt *out)
{
    const struct nw_amdvi_request as_dma = { .device_id = q->device_id, .address = q->address };
    struct amdvi_walk w = { .t = t, .q = &as_dma, .caches = caches };
    *out = (struct nw_amdvi_interrupt){ .form = NW_AMDVI_INTERRUPT_ABORTED };
    if (!amdvi_read_device(&w, &out->event)) {
        out->event.flags |= NW_AMDVI_FLAG_I;
        return;
    }
    uint64_t w2 = w.dte[2];
    unsigned mode = (unsigned)nw_field(q->data, 10, 8);
    if (nw_amdvi_dte_illegal(&t->unit, w.dte) & NW_AMDVI_DTE_INTERRUPTS) {
        interrupt_event(&w, &out->event, NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, NW_AMDVI_FLAG_RZ);
        return;
    }
    amdvi_dte_fill(&w);
    if (!(w2 & DTE_IV)) {
        pass(q, out);
        return;
    }
    uint64_t passes = mode == NMI ? DTE_NMI_PASS : mode == INIT ? DTE_INIT_PASS : mode == EXTINT ? DTE_EINT_PASS : 0;
    if (mode == FIXED || mode == ARBITRATED) {
        if (DTE_INTCTL(w2) == INTCTL_FORWARD)
            pass(q, out);
        else if (DTE_INTCTL(w2) == INTCTL_REMAP)
            remap(&w, (unsigned)nw_field(q->data, 10, 0), out);
    } else if (w2 & passes) {
        pass(q, out);
    }
}
