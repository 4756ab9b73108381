/* The command buffer: AMD IOMMU specification, chapter "Commands". */
#include "endpoint.h"

struct command {
    uint64_t word[2], at;
    unsigned opcode;
};

/* ---- what each does ----------------------------------------------------------------------------- */

void nw_amdvi_range(uint64_t address, bool large, uint64_t *start, uint64_t *last)
{
    const uint64_t clear = large ? ~address & nw_mask(63, 12) : 0;
    const unsigned log2 = !large ? NW_PAGE_LOG2 : clear ? (unsigned)__builtin_ctzll(clear) + 1 : 64;
    if (log2 > 51) {
        *start = 0;
        *last = UINT64_MAX;
        return;
    }
    *start = address & ~nw_mask(log2 - 1, 0);
    *last = *start + (NW_BIT(log2) - 1);
}

static void completion_wait(struct nw_amdvi_unit *u, const struct command *c)
{
    const uint64_t at = c->word[0] & nw_mask(51, 3);
    /* A store outside memory is lost, and so is one that the host has no memory for. */
    if ((c->word[0] & NW_BIT(0)) && amdvi_readable(&u->config.memory, u->config.unit.pa_bits, at)) {
        enum nw_status s = nw_physmem_write64(u->config.memory.pm, nw_hpa(at), c->word[1], NULL);
        (void)s;
    }
    if (!(c->word[0] & NW_BIT(1)))
        return;
    bool quiet = !(u->status & NW_AMDVI_STATUS_COM_WAIT_INT);
    u->status |= NW_AMDVI_STATUS_COM_WAIT_INT;
    if (quiet && (u->control & NW_AMDVI_CONTROL_COM_WAIT_INT_EN) && u->config.signal)
        u->config.signal(u->config.context, NW_AMDVI_WAIT_COMPLETED);
}

static void invalidate_pages(struct nw_amdvi_unit *u, const struct command *c)
{
    struct amdvi_cover v = { .domain_id = (uint16_t)nw_field(c->word[0], 47, 32),
                             .pasid = (uint32_t)nw_field(c->word[0], 19, 0),
                             .tables = c->word[1] & NW_BIT(1),
                             .guest = c->word[1] & NW_BIT(2) };
    nw_amdvi_range(c->word[1] & nw_mask(63, 12), c->word[1] & NW_BIT(0), &v.start, &v.last);
    amdvi_invalidate_pages(&u->caches, &v);
}

static void log_command(struct nw_amdvi_unit *u, enum nw_amdvi_event_code code, uint16_t device_id, unsigned flags,
                        uint64_t address)
{
    amdvi_log(u, &(struct nw_amdvi_event){ .code = (uint8_t)code,
                                           .logged = true,
                                           .device_id = device_id,
                                           .flags = (uint16_t)flags,
                                           .address = address });
}

/* The device is asked. One that does not answer in time is told of; the commands behind go on. */
static void invalidate_iotlb(struct nw_amdvi_unit *u, const struct command *c)
{
    const uint64_t w0 = c->word[0];
    struct nw_amdvi_device_tlb q = { .device_id = (uint16_t)w0,
                                     .has_pasid = c->word[1] & NW_BIT(2),
                                     .large = c->word[1] & NW_BIT(0),
                                     .address = c->word[1] & nw_mask(63, 12) };
    if (q.has_pasid)
        q.pasid = (uint32_t)(nw_field(w0, 55, 48) | nw_field(w0, 23, 16) << 8 | nw_field(w0, 59, 56) << 16);
    bool answered = true;
    if (!amdvi_device_invalidate(u, &q, &answered) && u->config.device_tlb)
        answered = u->config.device_tlb(u->config.context, &q);
    if (!answered)
        log_command(u, NW_AMDVI_IOTLB_INV_TIMEOUT, q.device_id, 0, c->at);
}

static void complete_page_request(struct nw_amdvi_unit *u, const struct command *c)
{
    struct nw_amdvi_page_response r = { .device_id = (uint16_t)c->word[0],
                                        .tag = (uint16_t)nw_field(c->word[1], 41, 32),
                                        .code = (uint8_t)nw_field(c->word[1], 47, 44),
                                        .has_pasid = c->word[1] & NW_BIT(2) };
    if (r.has_pasid)
        r.pasid = (uint32_t)nw_field(c->word[0], 51, 32);
    if (!amdvi_device_respond(u, &r) && u->config.page_response)
        u->config.page_response(u->config.context, &r);
}

static void execute(struct nw_amdvi_unit *u, const struct command *c)
{
    switch (c->opcode) {
    case NW_AMDVI_COMPLETION_WAIT: completion_wait(u, c); break;
    case NW_AMDVI_INVALIDATE_DEVTAB_ENTRY: amdvi_invalidate_device(&u->caches, (uint16_t)c->word[0]); break;
    case NW_AMDVI_INVALIDATE_IOMMU_PAGES: invalidate_pages(u, c); break;
    case NW_AMDVI_INVALIDATE_IOTLB_PAGES: invalidate_iotlb(u, c); break;
    case NW_AMDVI_INVALIDATE_INTERRUPT_TABLE: amdvi_invalidate_interrupts(&u->caches, (uint16_t)c->word[0]); break;
    case NW_AMDVI_COMPLETE_PPR_REQUEST: complete_page_request(u, c); break;
    default: amdvi_invalidate_all(&u->caches); break;
    }
}

/* ---- the buffer --------------------------------------------------------------------------------- */

/* An error stops the buffer with its head at the command, until software turns the buffer off and on again. */
static bool fetch(struct nw_amdvi_unit *u, struct command *c)
{
    const struct nw_amdvi_memory *m = &u->config.memory;
    c->at = amdvi_ring_at(&u->command, u->command.head);
    for (unsigned i = 0; i < 2; i++) {
        if (!amdvi_readable(m, u->config.unit.pa_bits, c->at + 8 * i)) {
            log_command(u, NW_AMDVI_COMMAND_HARDWARE_ERROR, 0, NW_AMDVI_MASTER_ABORT << 9, c->at);
            return false;
        }
        c->word[i] = nw_physmem_read64(m->pm, nw_hpa(c->at + 8 * i));
    }
    c->opcode = nw_amdvi_opcode(c->word);
    if (nw_amdvi_command_legal(&u->config.unit, u->config.remote_iotlbs, c->word))
        return true;
    log_command(u, NW_AMDVI_ILLEGAL_COMMAND_ERROR, 0, 0, c->at);
    return false;
}

void amdvi_commands_run(struct nw_amdvi_unit *u)
{
    struct amdvi_ring *r = &u->command;
    const uint64_t bytes = amdvi_ring_bytes(r);
    if (r->tail >= bytes)
        return; /* no such place: the head could never reach it */
    r->head %= bytes;
    while (r->run && r->head != r->tail) {
        struct command c;
        if (!fetch(u, &c)) {
            r->run = false;
            break;
        }
        r->head = (r->head + RING_ENTRY) % bytes;
        execute(u, &c);
    }
    if (NW_UNLIKELY(u->stale != NULL))
        amdvi_stale_settle(u->stale);
}
