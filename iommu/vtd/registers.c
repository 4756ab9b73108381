/* The register map: what reads, what can be written, and what a write sets off. VT-d, "Register Descriptions". */
#include "unit.h"
#include <stddef.h>

/* After the field has its new value. `old`: the one before. */
typedef void (*written_fn)(struct nw_vtd_unit *u, uint64_t old, uint64_t value);

enum part { ALWAYS, WITH_LOW_REGION, WITH_HIGH_REGION, WITH_REGIONS, WITH_PAGE_REQUESTS };

struct reg {
    uint16_t offset;
    uint8_t bytes;
    uint8_t part;       /* enum part: what the unit must have */
    uint16_t field;     /* offset in struct nw_vtd_unit; 0: none */
    uint64_t writable;  /* bits that software sets and clears */
    written_fn written; /* also when nothing has changed */
};

/* ---- what writes do ----------------------------------------------------------------------------- */

static void gcmd_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    vtd_command(u, value);
}

static void ccmd_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    vtd_context_command(u);
}

static void iotlb_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    vtd_iotlb_command(u);
}

static void fsts_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    vtd_status_clear(u, value & (NW_VTD_FSTS_PFO | NW_VTD_FSTS_IQE | NW_VTD_FSTS_ICE | NW_VTD_FSTS_ITE));
}

static void fectl_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    vtd_event_unmask(u, NW_VTD_FAULT_EVENT);
}

static void ics_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    if (value & 1) {
        u->ics = 0;
        u->iectl &= ~EVENT_IP;
    }
}

static void iectl_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    vtd_event_unmask(u, NW_VTD_INVALIDATION_EVENT);
}

static void pmen_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    u->pmen = u->pmen & NW_VTD_PMEN_EPM ? NW_VTD_PMEN_EPM | NW_VTD_PMEN_PRS : 0;
}

static void prs_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    vtd_page_request_status_clear(u, value);
}

static void pectl_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    vtd_event_unmask(u, NW_VTD_PAGE_REQUEST_EVENT);
}

static void iqt_written(struct nw_vtd_unit *u, uint64_t old, uint64_t value)
{
    (void)old;
    (void)value;
    vtd_queue_run(u);
}

/* ---- the map ------------------------------------------------------------------------------------ */

#define FIELD(name) offsetof(struct nw_vtd_unit, name)
#define LOW(bits)   ((UINT64_C(1) << (bits)) - 1)
static const struct reg fixed[] = {
    { NW_VTD_GCMD, 4, ALWAYS, 0, 0, gcmd_written },
    { NW_VTD_GSTS, 4, ALWAYS, FIELD(gsts), 0, NULL },
    { NW_VTD_RTADDR, 8, ALWAYS, FIELD(rtaddr), ~LOW(10), NULL },
    { NW_VTD_CCMD, 8, ALWAYS, FIELD(ccmd), UINT64_C(0xe0000003ffffffff), ccmd_written },
    { NW_VTD_FSTS, 4, ALWAYS, FIELD(fsts), 0, fsts_written },
    { NW_VTD_FECTL, 4, ALWAYS, FIELD(fectl), EVENT_IM, fectl_written },
    { NW_VTD_FEDATA, 4, ALWAYS, FIELD(fedata), LOW(32), NULL },
    { NW_VTD_FEADDR, 4, ALWAYS, FIELD(feaddr), LOW(32) & ~LOW(2), NULL },
    { NW_VTD_FEUADDR, 4, ALWAYS, FIELD(feuaddr), LOW(32), NULL },
    { NW_VTD_PMEN, 4, WITH_REGIONS, FIELD(pmen), NW_VTD_PMEN_EPM, pmen_written },
    { NW_VTD_PLMBASE, 4, WITH_LOW_REGION, FIELD(plmbase), LOW(32) & ~LOW(21), NULL },
    { NW_VTD_PLMLIMIT, 4, WITH_LOW_REGION, FIELD(plmlimit), LOW(32) & ~LOW(21), NULL },
    { NW_VTD_PHMBASE, 8, WITH_HIGH_REGION, FIELD(phmbase), ~LOW(21), NULL },
    { NW_VTD_PHMLIMIT, 8, WITH_HIGH_REGION, FIELD(phmlimit), ~LOW(21), NULL },
    { NW_VTD_IQH, 8, ALWAYS, FIELD(iqh), 0, NULL },
    { NW_VTD_IQT, 8, ALWAYS, FIELD(iqt), UINT64_C(0x7fff0), iqt_written },
    { NW_VTD_IQA, 8, ALWAYS, FIELD(iqa), ~LOW(12) | NW_BIT(11) | LOW(3), NULL },
    { NW_VTD_ICS, 4, ALWAYS, FIELD(ics), 0, ics_written },
    { NW_VTD_IECTL, 4, ALWAYS, FIELD(iectl), EVENT_IM, iectl_written },
    { NW_VTD_IEDATA, 4, ALWAYS, FIELD(iedata), LOW(32), NULL },
    { NW_VTD_IEADDR, 4, ALWAYS, FIELD(ieaddr), LOW(32) & ~LOW(2), NULL },
    { NW_VTD_IEUADDR, 4, ALWAYS, FIELD(ieuaddr), LOW(32), NULL },
    { NW_VTD_IQERCD, 8, ALWAYS, FIELD(iqercd), 0, NULL },
    { NW_VTD_IRTA, 8, ALWAYS, FIELD(irta), ~LOW(12) | NW_BIT(11) | LOW(4), NULL },
    { NW_VTD_PQH, 8, WITH_PAGE_REQUESTS, FIELD(pqh), UINT64_C(0x7ffe0), NULL },
    { NW_VTD_PQT, 8, WITH_PAGE_REQUESTS, FIELD(pqt), UINT64_C(0x7ffe0), NULL },
    { NW_VTD_PQA, 8, WITH_PAGE_REQUESTS, FIELD(pqa), ~LOW(12) | LOW(3), NULL },
    { NW_VTD_PRS, 4, WITH_PAGE_REQUESTS, FIELD(prs), 0, prs_written },
    { NW_VTD_PECTL, 4, WITH_PAGE_REQUESTS, FIELD(pectl), EVENT_IM, pectl_written },
    { NW_VTD_PEDATA, 4, WITH_PAGE_REQUESTS, FIELD(pedata), LOW(32), NULL },
    { NW_VTD_PEADDR, 4, WITH_PAGE_REQUESTS, FIELD(peaddr), LOW(32) & ~LOW(2), NULL },
    { NW_VTD_PEUADDR, 4, WITH_PAGE_REQUESTS, FIELD(peuaddr), LOW(32), NULL },
};

static bool has_part(const struct nw_vtd_capabilities *c, unsigned part)
{
    switch (part) {
    case WITH_LOW_REGION: return c->cap & NW_VTD_CAP_PLMR;
    case WITH_HIGH_REGION: return c->cap & NW_VTD_CAP_PHMR;
    case WITH_REGIONS: return c->cap & (NW_VTD_CAP_PLMR | NW_VTD_CAP_PHMR);
    case WITH_PAGE_REQUESTS: return c->ecap & NW_VTD_ECAP_PRS;
    default: return true;
    }
}

static bool inside(unsigned offset, unsigned bytes, unsigned start, unsigned size)
{
    return offset >= start && offset + bytes <= start + size;
}

/* The register that holds the access; false: none does. IVA and IOTLB are found by ECAP.IRO. */
static bool find(const struct nw_vtd_unit *u, unsigned offset, unsigned bytes, struct reg *out)
{
    unsigned iva = nw_vtd_iva_offset(u->config.unit.ecap);
    if (inside(offset, bytes, iva, 8)) {
        *out = (struct reg){ (uint16_t)iva, 8, ALWAYS, FIELD(iva), ~LOW(12) | LOW(7), NULL };
        return true;
    }
    if (inside(offset, bytes, iva + 8, 8)) {
        *out =
            (struct reg){ (uint16_t)(iva + 8), 8, ALWAYS, FIELD(iotlb), UINT64_C(0xb003ffff00000000), iotlb_written };
        return true;
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(fixed); i++)
        if (inside(offset, bytes, fixed[i].offset, fixed[i].bytes) && has_part(&u->config.unit, fixed[i].part)) {
            *out = fixed[i];
            return true;
        }
    return false;
}

/* The fault record that the access lies in, or -1. */
static int find_record(const struct nw_vtd_unit *u, unsigned offset)
{
    unsigned start = nw_vtd_record_offset(u->config.unit.cap, 0), count = nw_vtd_record_count(u->config.unit.cap);
    return inside(offset, 4, start, count * 16) ? (int)((offset - start) / 16) : -1;
}

static bool well_formed(unsigned offset, unsigned bytes) { return (bytes == 4 || bytes == 8) && offset % bytes == 0; }

static uint64_t *field_of(struct nw_vtd_unit *u, const struct reg *r) { return (uint64_t *)((char *)u + r->field); }

uint64_t nw_vtd_unit_read(const struct nw_vtd_unit *u, unsigned offset, unsigned bytes)
{
    struct reg r;
    if (!well_formed(offset, bytes))
        return 0;
    const uint64_t cap[3] = { u->config.version, u->config.unit.cap, u->config.unit.ecap };
    int record = find_record(u, offset);
    uint64_t word = 0;
    unsigned shift = offset % 8 * 8;
    if (record >= 0) {
        word = u->record[record][offset / 8 % 2];
    } else if (offset < NW_VTD_GCMD) {
        word = cap[offset / 8];
    } else if (find(u, offset, bytes, &r) && r.field) {
        word = *(const uint64_t *)((const char *)u + r.field);
        shift = (offset - r.offset) * 8;
    }
    return bytes == 8 ? word : (uint32_t)(word >> shift);
}

void nw_vtd_unit_write(struct nw_vtd_unit *u, unsigned offset, unsigned bytes, uint64_t value)
{
    struct reg r;
    if (!well_formed(offset, bytes))
        return;
    int record = find_record(u, offset);
    if (record >= 0) {
        /* Bit 127 of a record, F, is cleared by writing 1; the rest is the unit's. */
        unsigned top = nw_vtd_record_offset(u->config.unit.cap, (unsigned)record) + 12;
        if (offset + bytes == top + 4 && (value >> (bytes * 8 - 1) & 1))
            vtd_record_clear(u, (unsigned)record);
        return;
    }
    if (!find(u, offset, bytes, &r))
        return;
    unsigned shift = (offset - r.offset) * 8;
    uint64_t mask = (bytes == 8 ? ~UINT64_C(0) : LOW(32)) << shift;
    uint64_t bits = bytes == 8 ? value : (uint64_t)(uint32_t)value << shift, old = 0;
    if (r.field) {
        uint64_t *field = field_of(u, &r);
        old = *field;
        *field = (old & ~(r.writable & mask)) | (bits & r.writable & mask);
    }
    if (r.written)
        r.written(u, old, bits);
}
