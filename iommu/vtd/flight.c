/* Draining: VT-d, "Draining of Requests to Memory" and the fields DR and DW of IOTLB invalidations. A ring, the oldest first. */
#include "flight.h"
#include <stdlib.h>

struct vtd_dma {
    uint64_t hpa;
    uint16_t source_id;
    bool write, translated;
};

enum { FLIGHT_MAX = 1 << 16 };

enum nw_status vtd_flight_init(struct vtd_flight *f, unsigned most, struct nw_error *err)
{
    *f = (struct vtd_flight){ .most = most };
    if (most > FLIGHT_MAX)
        return nw_fail(err, NW_ERR_INPUT, "VT-d: %u requests under way; at most %d are allowed", most, FLIGHT_MAX);
    f->dma = most ? malloc(most * sizeof *f->dma) : NULL;
    return most && !f->dma ? nw_fail_nomem(err, "requests under way") : NW_OK;
}

void vtd_flight_fini(struct vtd_flight *f) { free(f->dma); }

static struct vtd_dma *nth(const struct vtd_flight *f, unsigned n) { return &f->dma[(f->oldest + n) % f->most]; }

void vtd_flight_add(struct vtd_flight *f, const struct nw_vtd_request *q, const struct nw_vtd_result *r)
{
    if (f->count == f->most) {
        f->oldest = (f->oldest + 1) % f->most;
        f->count--;
    }
    *nth(f, f->count++) = (struct vtd_dma){ .hpa = r->hpa.v,
                                            .source_id = q->source_id,
                                            .write = q->kind != NW_VTD_READ,
                                            .translated = q->type == NW_VTD_TRANSLATED };
}

void vtd_flight_drain(struct vtd_flight *f, bool reads, bool writes)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < f->count; i++)
        if (!(nth(f, i)->write ? writes : reads))
            *nth(f, kept++) = *nth(f, i);
    f->count = kept;
}

void vtd_flight_drain_device(struct vtd_flight *f, uint16_t source_id)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < f->count; i++)
        if (!nth(f, i)->translated || nth(f, i)->source_id != source_id)
            *nth(f, kept++) = *nth(f, i);
    f->count = kept;
}

bool vtd_flight_holds(const struct vtd_flight *f, uint16_t source_id, uint64_t hpa, uint64_t bytes)
{
    for (unsigned i = 0; i < f->count; i++)
        if (nth(f, i)->source_id == source_id && nth(f, i)->hpa - hpa < bytes)
            return true;
    return false;
}

void nw_vtd_unit_arrive(struct nw_vtd_unit *u, unsigned count)
{
    struct vtd_flight *f = &u->flight;
    if (!f->count)
        return;
    count = count < f->count ? count : f->count;
    f->oldest = (f->oldest + count) % f->most;
    f->count -= count;
}

void nw_vtd_unit_under_way(const struct nw_vtd_unit *u, unsigned *reads, unsigned *writes)
{
    *reads = *writes = 0;
    for (unsigned i = 0; i < u->flight.count; i++)
        ++*(nth(&u->flight, i)->write ? writes : reads);
}
