/* What the devices' mappings lead to. */
#include "../acpi/acpi_internal.h"
#include "judge.h"
#include <nestwalk/iommu/vtd_entries.h>
#include <stdio.h>
#include <stdlib.h>

/* A 4 KiB page that no device may write to. */
struct held {
    uint64_t page;
    const char *what; /* "the root table" */
    enum rule rule;
};
struct held_pages {
    struct held *at;
    size_t count;
    bool no_memory;
};

static void hold_for(struct held_pages *h, enum rule rule, uint64_t address, uint64_t bytes, const char *what)
{
    for (uint64_t page = address >> 12; page <= (address + bytes - 1) >> 12 && !h->no_memory; page++) {
        struct held *more = nw_acpi_grow((void **)&h->at, &h->count, sizeof *more);
        h->no_memory = !more;
        if (more)
            *more = (struct held){ page, what, rule };
    }
}
static void hold(struct held_pages *h, uint64_t address, uint64_t bytes, const char *what)
{
    hold_for(h, X14, address, bytes, what);
}

static int by_page(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    return x->page != y->page ? (x->page < y->page ? -1 : 1) : strcmp(x->what, y->what);
}

static void hold_unit(struct held_pages *h, const struct nw_dump_unit *u)
{
    if (u->base)
        hold(h, u->base & ~UINT64_C(0xfff), 4096, "the registers of a unit");
    if (set(u, NW_DUMP_GSTS, GSTS_TES) && u->has[NW_DUMP_RTADDR])
        hold(h, u->value[NW_DUMP_RTADDR] & nw_mask(51, 12), 4096, "a root table");
    if (set(u, NW_DUMP_GSTS, GSTS_QIES) && u->has[NW_DUMP_IQA])
        hold(h, u->value[NW_DUMP_IQA] & nw_mask(51, 12), UINT64_C(4096) << nw_field(u->value[NW_DUMP_IQA], 2, 0),
             "an invalidation queue");
    if (set(u, NW_DUMP_GSTS, GSTS_IRES) && u->has[NW_DUMP_IRTA])
        hold_for(h, I14, u->value[NW_DUMP_IRTA] & nw_mask(51, 12),
                 UINT64_C(32) << nw_field(u->value[NW_DUMP_IRTA], 3, 0), "an interrupt remapping table");
}

/* The tables that a row of dmar_translation_struct points to. */
static void hold_context(struct held_pages *h, const struct nw_dump_context *c)
{
    const uint64_t address = nw_mask(51, 12);
    const unsigned pgtt = (unsigned)nw_field(c->entry[0], 8, 6);
    for (unsigned i = 0; i < 2; i++)
        if (c->root[i] & 1)
            hold(h, c->root[i] & address, 4096, "a context table");
    if (!(c->context[0] & 1))
        return;
    if (!c->has_pasid && nw_field(c->context[0], 3, 2) != 2)
        hold(h, c->context[0] & address, 4096, "a paging table");
    if (!c->has_pasid)
        return;
    hold(h, c->context[0] & address, 4096, "a PASID directory");
    if (c->entry[0] & 1 && (pgtt == 2 || pgtt == 3))
        hold(h, c->entry[0] & address, 4096, "a paging table");
    if (c->entry[0] & 1 && pgtt == 1)
        hold(h, c->entry[2] & address, 4096, "a paging table");
}

static const struct held *first_held(const struct held_pages *h, uint64_t start, uint64_t last)
{
    size_t low = 0, high = h->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (h->at[middle].page < start >> 12)
            low = middle + 1;
        else
            high = middle;
    }
    return low < h->count && h->at[low].page <= last >> 12 ? &h->at[low] : NULL;
}

static void judge_mapping(struct judge *j, const struct held_pages *held, const struct nw_dump_mapping *m)
{
    const uint64_t first = 0xfee00000, end = 0xfeefffff, last = m->target + (m->bytes - 1);
    const struct held *h = m->write ? first_held(held, m->target, last) : NULL;
    char where[64];
    nw_judge_name(m->source_id, where);
    if (m->has_pasid)
        snprintf(where + strlen(where), sizeof where - strlen(where), " PASID 0x%x", m->pasid);
    snprintf(where + strlen(where), sizeof where - strlen(where), " IOVA 0x%llx", (unsigned long long)m->iova);
    if (h)
        nw_judge_add(j, h->rule, &m->place, where, "0x%llx leads to 0x%llx, %s",
                     (unsigned long long)(m->iova + ((h->page << 12) - m->target)), (unsigned long long)(h->page << 12),
                     h->what);
    if (m->write && !m->read)
        nw_judge_add(j, X13, &m->place, where, "0x%llx bytes are mapped for writing only",
                     (unsigned long long)m->bytes);
    if (overlap(m->target, last, first, end))
        nw_judge_add(j, X15, &m->place, where, "0x%llx bytes to 0x%llx", (unsigned long long)m->bytes,
                     (unsigned long long)m->target);
    if (!m->has_pasid && overlap(m->iova, m->iova + (m->bytes - 1), first, end))
        nw_judge_add(j, X16, &m->place, where, "0x%llx bytes", (unsigned long long)m->bytes);
    if (m->write && m->iova == m->target && m->bytes >= NW_BIT(30))
        nw_judge_add(j, X18, &m->place, where, "0x%llx bytes are where their addresses say",
                     (unsigned long long)m->bytes);
}

void nw_judge_mappings(struct judge *j)
{
    const struct nw_dump *d = j->d;
    struct held_pages held = { .at = NULL };
    for (size_t i = 0; d->mappings && i < d->units; i++)
        hold_unit(&held, &d->unit[i]);
    for (size_t i = 0; d->mappings && i < d->contexts; i++)
        hold_context(&held, &d->context[i]);
    for (size_t i = 0; d->mappings && i < d->irtes; i++)
        if (d->irte[i].posted)
            hold_for(&held, I14, nw_vtd_posted_descriptor(d->irte[i].word) & nw_mask(51, 6), 64,
                     "a posted-interrupt descriptor");
    if (held.count)
        qsort(held.at, held.count, sizeof *held.at, by_page);
    for (size_t i = 0; i < d->mappings; i++)
        judge_mapping(j, &held, &d->mapping[i]);
    j->no_memory |= held.no_memory;
    free(held.at);
}
