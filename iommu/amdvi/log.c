/* The two logs that software reads: AMD IOMMU specification, "Event Logging", "Peripheral Page Request (PPR) Logging". An entry
 * that would make the tail meet the head is lost; the log has overflowed, and stops until software turns it off and on again. */
#include "unit.h"

struct log {
    struct amdvi_ring *ring;
    uint64_t overflow, interrupt, enable_interrupt; /* the bits of status, and of control */
    enum nw_amdvi_signal signal;
};

/* The bit stands until software clears it; while it stands, no further interrupt is sent. */
static void interrupt(struct nw_amdvi_unit *u, const struct log *log)
{
    bool quiet = !(u->status & log->interrupt);
    u->status |= log->interrupt;
    if (quiet && (u->control & log->enable_interrupt) && u->config.signal)
        u->config.signal(u->config.context, log->signal);
}

static bool append(struct nw_amdvi_unit *u, const struct log *log, const uint64_t entry[2])
{
    struct amdvi_ring *r = log->ring;
    uint64_t at = amdvi_ring_at(r, r->tail), next = (r->tail + RING_ENTRY) % amdvi_ring_bytes(r);
    if (!r->run)
        return false;
    if (next == r->head) {
        u->status |= log->overflow;
        r->run = false;
        interrupt(u, log);
        return false;
    }
    /* A log outside memory is written to nothing, and so is one that the host has no memory for. */
    for (unsigned i = 0; i < 2; i++)
        if (amdvi_readable(&u->config.memory, u->config.unit.pa_bits, at + 8 * i)) {
            enum nw_status s = nw_physmem_write64(u->config.memory.pm, nw_hpa(at + 8 * i), entry[i], NULL);
            (void)s;
        }
    r->tail = next;
    interrupt(u, log);
    return true;
}

void amdvi_log(struct nw_amdvi_unit *u, const struct nw_amdvi_event *e)
{
    const struct log log = { &u->event, NW_AMDVI_STATUS_EVENT_OVERFLOW, NW_AMDVI_STATUS_EVENT_INT,
                             NW_AMDVI_CONTROL_EVENT_INT_EN, NW_AMDVI_EVENT_LOGGED };
    uint64_t entry[2];
    nw_amdvi_event_record(e, entry);
    append(u, &log, entry);
}

bool amdvi_log_page_request(struct nw_amdvi_unit *u, const uint64_t entry[2])
{
    const struct log log = { &u->ppr, NW_AMDVI_STATUS_PPR_OVERFLOW, NW_AMDVI_STATUS_PPR_INT,
                             NW_AMDVI_CONTROL_PPR_INT_EN, NW_AMDVI_PPR_LOGGED };
    return append(u, &log, entry);
}
