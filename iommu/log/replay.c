/* replay.c - a fault's request against the entries that the kernel dumped: they are put where the entries above them point to, and the unit
 * of the model walks them. */
#include <nestwalk/iommu/fault_machine.h>
#include <nestwalk/iommu/vtd_unit.h>
#include <string.h>

#define ADDRESS UINT64_C(0x000ffffffffff000)

enum { WORDS_MAX = 2 + 4 + 1 + 8 + NW_FAULT_PTES_MAX };

struct image {
    struct nw_physmem *pm;
    uint64_t at[WORDS_MAX]; /* of each word that is there */
    size_t words;
    bool missing; /* another one was asked for */
    enum nw_status status;
    struct nw_error *err;
};

static void put(struct image *m, uint64_t address, uint64_t value)
{
    if (m->status || m->words == WORDS_MAX)
        return;
    m->at[m->words++] = address;
    m->status = nw_physmem_write64(m->pm, nw_hpa(address), value, m->err);
}

static void need(void *context, uint64_t address)
{
    struct image *m = context;
    bool there = false;
    for (size_t i = 0; i < m->words; i++)
        there |= m->at[i] == address;
    m->missing |= !there;
}

/* The dump does not tell where the root table is: on a page that no entry points to. */
static uint64_t free_page(const struct nw_fault_entries *e)
{
    uint64_t page = 0x1000;
    for (bool taken = true; taken;) {
        taken = (e->root[0] & ADDRESS) == page || (e->root[1] & ADDRESS) == page || (e->context[0] & ADDRESS) == page ||
                (e->directory & ADDRESS) == page || (e->pasid[0] & ADDRESS) == page || (e->pasid[2] & ADDRESS) == page;
        for (unsigned i = 0; i < e->ptes; i++)
            taken |= (e->pte[i].value & ADDRESS) == page;
        page += taken ? 0x1000 : 0;
    }
    return page;
}

static void put_ptes(struct image *m, const struct nw_fault_entries *e, uint64_t table)
{
    for (unsigned i = 0; i < e->ptes; i++) {
        const unsigned low = 12 + 9 * (e->pte[i].level - 1);
        put(m, table + (e->iova >> low & 511) * 8, e->pte[i].value);
        table = e->pte[i].value & ADDRESS;
    }
}

static void put_legacy(struct image *m, const struct nw_fault_entries *e, uint16_t bdf)
{
    const uint64_t context = (e->root[0] & ADDRESS) + (bdf & 0xffu) * 16;
    if (!e->has_context)
        return;
    put(m, context, e->context[0]);
    put(m, context + 8, e->context[1]);
    put_ptes(m, e, e->context[0] & ADDRESS);
}

/* Context entries of scalable mode have 32 bytes, of which the kernel prints 16; the others are reserved. VT-d, "Scalable-Mode Context Entry". */
static void put_scalable(struct image *m, const struct nw_fault_entries *e, uint16_t bdf, uint32_t pasid)
{
    const uint64_t context = (e->root[bdf >> 7 & 1] & ADDRESS) + (bdf & 0x7fu) * 32;
    const uint64_t directory = (e->context[0] & ADDRESS) + (pasid >> 6) * 8;
    const uint64_t entry = (e->directory & ADDRESS) + (pasid & 63) * 64;
    const bool first = (e->pasid[0] >> 6 & 7) == 1;
    for (unsigned i = 0; i < 4 && e->has_context; i++)
        put(m, context + 8 * i, i < 2 ? e->context[i] : 0);
    if (e->has_directory)
        put(m, directory, e->directory);
    for (unsigned i = 0; i < e->pasid_words; i++)
        put(m, entry + 8 * i, e->pasid[i]);
    if (e->pasid_words)
        put_ptes(m, e, e->pasid[first ? 2 : 0] & ADDRESS);
}

enum nw_status nw_fault_replay(const struct nw_fault_group *group, const struct nw_vtd_capabilities *unit,
                               struct nw_fault_replay *out, struct nw_error *err)
{
    const struct nw_logged_fault *f = &group->fault;
    const struct nw_fault_entries *e = &group->entries;
    const uint64_t root = free_page(e);
    struct image m = { .err = err };
    memset(out, 0, sizeof *out);
    enum nw_status s = nw_physmem_create(&m.pm, err);
    if (s)
        return s;
    put(&m, root + (f->bdf >> 8) * 16u, e->root[0]);
    put(&m, root + (f->bdf >> 8) * 16u + 8, e->root[1]);
    if (e->scalable)
        put_scalable(&m, e, f->bdf, f->has_pasid ? f->pasid : (uint32_t)(e->context[1] & 0xfffff));
    else
        put_legacy(&m, e, f->bdf);
    out->watch.need = need;
    out->watch.context = &m;
    const struct nw_vtd_tables tables = { .unit = *unit,
                                          .memory = { .pm = m.pm },
                                          .rtaddr = root | (e->scalable ? NW_VTD_TTM_SCALABLE << 10 : 0),
                                          .watch = &out->watch };
    const struct nw_vtd_request q = { .source_id = f->bdf,
                                      .address = e->iova,
                                      .kind = f->write ? NW_VTD_WRITE : NW_VTD_READ,
                                      .has_pasid = f->has_pasid,
                                      .pasid = f->pasid };
    if (!m.status)
        nw_vtd_translate(&tables, &q, &out->result);
    out->incomplete = m.missing;
    out->watch.need = NULL;
    out->watch.context = NULL;
    nw_physmem_destroy(m.pm);
    return m.status;
}
