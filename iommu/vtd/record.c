/* Faults made known to software: VT-d, "Primary Fault Logging", "Fault Event", and the invalidation event. */
#include "unit.h"

#define RECORD_F NW_BIT(63)

static void send(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    const struct nw_vtd_config *c = &u->config;
    bool fault = event == NW_VTD_FAULT_EVENT;
    uint64_t low = fault ? u->feaddr : u->ieaddr, high = fault ? u->feuaddr : u->ieuaddr;
    if (c->event)
        c->event(c->context, event, high << 32 | low, (uint32_t)(fault ? u->fedata : u->iedata));
}

/* Sends the message of an event, or keeps it pending while it is masked. */
static void announce(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    uint64_t *control = event == NW_VTD_FAULT_EVENT ? &u->fectl : &u->iectl;
    if (*control & EVENT_IM)
        *control |= EVENT_IP;
    else
        send(u, event);
}

void vtd_event_unmask(struct nw_vtd_unit *u, enum nw_vtd_event event)
{
    uint64_t *control = event == NW_VTD_FAULT_EVENT ? &u->fectl : &u->iectl;
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
        announce(u, NW_VTD_FAULT_EVENT);
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
    announce(u, NW_VTD_INVALIDATION_EVENT);
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

void vtd_record(struct nw_vtd_unit *u, const struct nw_vtd_fault *f, uint16_t source_id,
                const struct nw_vtd_request *q_or_null)
{
    unsigned count = nw_vtd_record_count(u->config.unit.cap);
    if (u->fsts & NW_VTD_FSTS_PFO)
        return; /* after an overflow nothing is recorded until software has cleared it */
    for (unsigned i = 0; i < count; i++)
        if ((u->record[i][1] & RECORD_F) && (uint16_t)u->record[i][1] == source_id)
            return; /* collapsed with the pending fault of that source */
    unsigned at = u->next_record;
    if (u->record[at][1] & RECORD_F) {
        vtd_status_raise(u, NW_VTD_FSTS_PFO);
        return;
    }
    u->record[at][0] = q_or_null ? f->address & nw_mask(63, 12) : f->address << 48;
    u->record[at][1] = upper_half(f, source_id, q_or_null);
    u->next_record = (at + 1) % count;
    if (!(u->fsts & NW_VTD_FSTS_PPF)) /* FRI: the first pending record */
        u->fsts = (u->fsts & ~nw_mask(15, 8)) | (uint64_t)at << 8;
    vtd_status_raise(u, NW_VTD_FSTS_PPF);
}
