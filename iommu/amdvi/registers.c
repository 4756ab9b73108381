/* The register map: AMD IOMMU specification, "IOMMU MMIO Registers". */
#include "unit.h"

#define BASE_BITS (nw_mask(51, 12) | nw_mask(59, 56))
#define STATUS_W1C                                                                                                     \
    (NW_AMDVI_STATUS_EVENT_OVERFLOW | NW_AMDVI_STATUS_EVENT_INT | NW_AMDVI_STATUS_COM_WAIT_INT |                       \
     NW_AMDVI_STATUS_PPR_OVERFLOW | NW_AMDVI_STATUS_PPR_INT)

static uint64_t status(const struct nw_amdvi_unit *u)
{
    return u->status | (u->event.run ? NW_AMDVI_STATUS_EVENT_RUN : 0) | (u->command.run ? NW_AMDVI_STATUS_CMD_RUN : 0) |
           (u->ppr.run ? NW_AMDVI_STATUS_PPR_RUN : 0);
}

static uint64_t read_register(const struct nw_amdvi_unit *u, unsigned offset)
{
    switch (offset) {
    case NW_AMDVI_DEVICE_TABLE: return u->tables.device_table;
    case NW_AMDVI_COMMAND_BASE: return u->command.base;
    case NW_AMDVI_EVENT_BASE: return u->event.base;
    case NW_AMDVI_CONTROL: return u->control;
    case NW_AMDVI_EXCLUSION_BASE: return u->tables.exclusion_base;
    case NW_AMDVI_EXCLUSION_LIMIT: return u->tables.exclusion_limit;
    case NW_AMDVI_EFR: return u->config.unit.efr;
    case NW_AMDVI_PPR_BASE: return u->ppr.base;
    case NW_AMDVI_COMMAND_HEAD: return u->command.head;
    case NW_AMDVI_COMMAND_TAIL: return u->command.tail;
    case NW_AMDVI_EVENT_HEAD: return u->event.head;
    case NW_AMDVI_EVENT_TAIL: return u->event.tail;
    case NW_AMDVI_STATUS: return status(u);
    case NW_AMDVI_PPR_HEAD: return u->ppr.head;
    case NW_AMDVI_PPR_TAIL: return u->ppr.tail;
    default: return 0;
    }
}

static void set_base(struct amdvi_ring *r, uint64_t value)
{
    r->base = value & BASE_BITS;
    r->head = r->tail = 0;
}

/* A ring runs when it is on, from the moment that it is turned on, until something stops it. */
static void switch_ring(struct amdvi_ring *r, bool was_on, bool on)
{
    if (!on)
        r->run = false;
    else if (!was_on)
        r->run = true;
}

static void write_control(struct nw_amdvi_unit *u, uint64_t value)
{
    const uint64_t old = u->control, efr = u->config.unit.efr;
    const bool was = old & NW_AMDVI_CONTROL_IOMMU_EN, is = value & NW_AMDVI_CONTROL_IOMMU_EN;
    struct nw_amdvi_tables *t = &u->tables;
    u->control = value;
    switch_ring(&u->event, was && (old & NW_AMDVI_CONTROL_EVENT_LOG_EN), is && (value & NW_AMDVI_CONTROL_EVENT_LOG_EN));
    switch_ring(&u->command, was && (old & NW_AMDVI_CONTROL_CMD_BUF_EN), is && (value & NW_AMDVI_CONTROL_CMD_BUF_EN));
    switch_ring(&u->ppr, was && (old & NW_AMDVI_CONTROL_PPR_LOG_EN), is && (value & NW_AMDVI_CONTROL_PPR_LOG_EN));
    t->unit.efr = value & NW_AMDVI_CONTROL_GT_EN ? efr : efr & ~NW_AMDVI_EFR_GT;
    t->wide_interrupt_entries = value & NW_AMDVI_CONTROL_GA_EN;
    t->x2apic = value & NW_AMDVI_CONTROL_XT_EN;
    t->gcr3_tables_in_gpa = value & NW_AMDVI_CONTROL_GCR3_TRP_MODE;
    amdvi_commands_run(u);
}

static void write_register(struct nw_amdvi_unit *u, unsigned offset, uint64_t value)
{
    switch (offset) {
    case NW_AMDVI_DEVICE_TABLE: u->tables.device_table = value & (nw_mask(51, 12) | nw_mask(8, 0)); break;
    case NW_AMDVI_COMMAND_BASE: set_base(&u->command, value); break;
    case NW_AMDVI_EVENT_BASE: set_base(&u->event, value); break;
    case NW_AMDVI_CONTROL: write_control(u, value); break;
    case NW_AMDVI_EXCLUSION_BASE: u->tables.exclusion_base = value & (nw_mask(51, 12) | 3); break;
    case NW_AMDVI_EXCLUSION_LIMIT: u->tables.exclusion_limit = value & nw_mask(51, 12); break;
    case NW_AMDVI_PPR_BASE: set_base(&u->ppr, value); break;
    case NW_AMDVI_COMMAND_HEAD: u->command.head = value & RING_POINTER; break;
    case NW_AMDVI_COMMAND_TAIL:
        u->command.tail = value & RING_POINTER;
        amdvi_commands_run(u);
        break;
    case NW_AMDVI_EVENT_HEAD: u->event.head = value & RING_POINTER; break;
    case NW_AMDVI_EVENT_TAIL: u->event.tail = value & RING_POINTER; break;
    case NW_AMDVI_STATUS: u->status &= ~(value & STATUS_W1C); break;
    case NW_AMDVI_PPR_HEAD: u->ppr.head = value & RING_POINTER; break;
    case NW_AMDVI_PPR_TAIL: u->ppr.tail = value & RING_POINTER; break;
    default: break;
    }
}

static bool aligned(unsigned offset, unsigned bytes) { return (bytes == 4 || bytes == 8) && !(offset % bytes); }

uint64_t nw_amdvi_unit_read(const struct nw_amdvi_unit *u, unsigned offset, unsigned bytes)
{
    if (!aligned(offset, bytes))
        return 0;
    uint64_t value = read_register(u, offset & ~7u);
    return bytes == 8 ? value : (uint32_t)(value >> (offset & 4 ? 32 : 0));
}

void nw_amdvi_unit_write(struct nw_amdvi_unit *u, unsigned offset, unsigned bytes, uint64_t value)
{
    if (!aligned(offset, bytes))
        return;
    const unsigned whole = offset & ~7u;
    if (bytes == 4) {
        const unsigned shift = offset & 4 ? 32 : 0;
        /* What is written 1 to clear is left alone in the other half. */
        const uint64_t rest = whole == NW_AMDVI_STATUS ? 0 : read_register(u, whole) & ~(nw_mask(31, 0) << shift);
        value = rest | (value & nw_mask(31, 0)) << shift;
    }
    write_register(u, whole, value);
}
