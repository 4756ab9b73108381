/* Faults made known to software: VT-d, "Primary Fault Logging", "Fault Event", and the invalidation event. */
#include "unit.h"

#define RECORD_F NW_BIT(63)

/* The four registers of an event: control, data, address, upper address. */
struct message {
    uint64_t *control, data, low, high;
};

static struct message message_of(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    switch (event) {
    case NW_VTD_FAULT_EVENT: return (struct message){ &u->fectl, u->fedata, u->feaddr, u->feuaddr };
    case NW_VTD_INVALIDATION_EVENT: return (struct message){ &u->iectl, u->iedata, u->ieaddr, u->ieuaddr };
    default: return (struct message){ &u->pectl, u->pedata, u->peaddr, u->peuaddr };
    }
}

static void send(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    const struct nw_vtd_config *c = &u->config;
    struct message m = message_of(u, event);
    if (c->event)
        c->event(c->context, event, m.high << 32 | m.low, (uint32_t)m.data);
}

/* Sends the message of an event, or keeps it pending while it is masked. */
void vtd_event_raise(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    uint64_t *control = message_of(u, event).control;
    if (*control & EVENT_IM)
        *control |= EVENT_IP;
    else
        send(u, event);
}

void vtd_event_unmask(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    uint64_t *control = message_of(u, event).control;
    if ((*control & EVENT_IM) || !(*control & EVENT_IP))
        return;
    *control &= ~EVENT_IP;
    send(u, event);
}

#define STATUS_BITS (NW_VTD_FSTS_PFO | NW_VTD_FSTS_PPF | NW_VTD_FSTS_IQE | NW_VTD_FSTS_ICE | NW_VTD_FSTS_ITE)

/* One event stands for all conditions until software has dealt with them: none is sent while a bit is set. */
void vtd_status_raise(struct nw_vtd_unit *u, uint64_t bits)
{
    bool quiet = !(u->fsts & STATUS_BITS);
    u->fsts |= bits;
    if (quiet)
        vtd_event_raise(u, NW_VTD_FAULT_EVENT);
}

void vtd_status_clear(struct nw_vtd_unit *u, uint64_t bits)
{
    bool resumes = u->fsts & bits & (NW_VTD_FSTS_IQE | NW_VTD_FSTS_ITE);
    u->fsts &= ~bits;
    if (bits & NW_VTD_FSTS_IQE)
        u->iqercd &= ~nw_mask(3, 0);
    if (bits & NW_VTD_FSTS_ITE)
        u->queue_stopped = false;
    if (!(u->fsts & STATUS_BITS))
        u->fectl &= ~EVENT_IP;
    if (resumes)
        vtd_queue_run(u);
}

void vtd_invalidation_complete(struct nw_vtd_unit *u)
{
    if (u->ics & 1)
        return; /* software has not looked at the one before */
    u->ics = 1;
    vtd_event_raise(u, NW_VTD_INVALIDATION_EVENT);
}

void vtd_record_clear(struct nw_vtd_unit *u, unsigned index)
{
    u->record[index][1] &= ~RECORD_F;
    for (unsigned i = 0; i < nw_vtd_record_count(u->config.unit.cap); i++)
        if (u->record[i][1] & RECORD_F)
            return;
    vtd_status_clear(u, NW_VTD_FSTS_PPF);
}

static uint64_t upper_half(const struct nw_vtd_fault *f, uint16_t source_id, const struct nw_vtd_request *q)
{
    uint64_t word = RECORD_F | (uint64_t)f->reason << 32 | source_id;
    if (!q)
        return word;
    /* T1 (62) and T2 (28): 00 write, 10 read, 11 atomic operation. */
    if (q->kind != NW_VTD_WRITE)
        word |= NW_BIT(62);
    if (q->kind == NW_VTD_ATOMIC)
        word |= NW_BIT(28);
    word |= (uint64_t)q->type << 60;
    if (q->has_pasid)
        word |= NW_BIT(31) | (uint64_t)(q->pasid & 0xfffff) << 40 | (q->privileged ? NW_BIT(29) : 0) |
                (q->execute ? NW_BIT(30) : 0);
    return word;
}

/* The next record, unless the fault collapses with a pending one of its source or there is none free. */
static void store(struct nw_vtd_unit *u, uint16_t source_id, uint64_t low, uint64_t high)
{
    unsigned count = nw_vtd_record_count(u->config.unit.cap);
    if (u->fsts & NW_VTD_FSTS_PFO)
        return; /* after an overflow nothing is recorded until software has cleared it */
    for (unsigned i = 0; i < count; i++)
        if ((u->record[i][1] & RECORD_F) && (uint16_t)u->record[i][1] == source_id)
            return;
    unsigned at = u->next_record;
    if (u->record[at][1] & RECORD_F) {
        vtd_status_raise(u, NW_VTD_FSTS_PFO);
        return;
    }
    u->record[at][0] = low;
    u->record[at][1] = high;
    u->next_record = (at + 1) % count;
    if (!(u->fsts & NW_VTD_FSTS_PPF)) /* FRI: the first pending record */
        u->fsts = (u->fsts & ~nw_mask(15, 8)) | (uint64_t)at << 8;
    vtd_status_raise(u, NW_VTD_FSTS_PPF);
}

void vtd_record(struct nw_vtd_unit *u, const struct nw_vtd_fault *f, uint16_t source_id,
                const struct nw_vtd_request *q_or_null)
{
    store(u, source_id, q_or_null ? f->address & nw_mask(63, 12) : f->address << 48,
          upper_half(f, source_id, q_or_null));
}

void vtd_record_page_request(struct nw_vtd_unit *u, const struct nw_vtd_fault *f, const struct nw_vtd_request *as_dma)
{
    uint64_t high = upper_half(f, as_dma->source_id, as_dma) & ~NW_BIT(62); /* T1 0, T2 1: a page request */
    store(u, as_dma->source_id, f->address & nw_mask(63, 12), high | NW_BIT(28));
}
