/* topology.c - the graph, from the firmware's tables and the facts of the machine. */
#include "topology.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *topology_more(struct topology *t, void *array, size_t *count, size_t bytes)
{
    void **a = array;
    if (!(*count & (*count - 1))) { /* the room doubles at every power of two */
        void *more = realloc(*a, (*count ? 2 * *count : 1) * bytes);
        if (!more) {
            t->no_memory = true;
            return NULL;
        }
        *a = more;
    }
    return memset((char *)*a + bytes * (*count)++, 0, bytes);
}

/* ---- functions --------------------------------------------------------------------------------------- */

static uint32_t key_of(uint16_t segment, uint16_t bdf) { return (uint32_t)segment << 16 | bdf; }

/* Before they are in order. */
static struct topo_function *function_at(struct topology *t, uint16_t segment, uint16_t bdf)
{
    for (size_t i = 0; i < t->functions; i++)
        if (t->function[i].segment == segment && t->function[i].bdf == bdf)
            return &t->function[i];
    struct topo_function *f = topology_more(t, &t->function, &t->functions, sizeof *f);
    if (f)
        *f = (struct topo_function){
            .segment = segment, .bdf = bdf, .unit = NONE, .parent = NONE, .group = NONE, .domain = NONE
        };
    return f;
}

static int index_of(const struct topology *t, uint16_t segment, uint16_t bdf)
{
    size_t low = 0, high = t->functions;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (key_of(t->function[middle].segment, t->function[middle].bdf) < key_of(segment, bdf))
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->functions && t->function[low].segment == segment && t->function[low].bdf == bdf ? (int)low : NONE;
}

static int by_place(const void *a, const void *b)
{
    const struct topo_function *x = a, *y = b;
    const uint32_t p = key_of(x->segment, x->bdf), q = key_of(y->segment, y->bdf);
    return p < q ? -1 : p > q;
}

static void take_functions(struct topology *t, const struct nw_dump *d)
{
    for (size_t i = 0; i < d->functions; i++) {
        const struct nw_dump_function *from = &d->function[i];
        struct topo_function *f = topology_more(t, &t->function, &t->functions, sizeof *f);
        if (!f)
            return;
        *f = (struct topo_function){ .segment = from->segment,
                                     .bdf = from->bdf,
                                     .present = true,
                                     .bridge = from->bridge,
                                     .has_buses = from->has_buses,
                                     .secondary = from->secondary,
                                     .subordinate = from->subordinate,
                                     .unit = NONE,
                                     .parent = NONE,
                                     .group = from->has_group ? (int)from->group : NONE,
                                     .domain = NONE,
                                     .what = from->what };
    }
}

/* ---- units and their scopes -------------------------------------------------------------------------- */

static uint16_t bdf_of(unsigned bus, const uint8_t *step)
{
    return (uint16_t)(bus << 8 | (step[0] & 31u) << 3 | (step[1] & 7u));
}

/* The function at the end of a scope's path; false when a bridge on the way has no known bus. */
static bool end_of_path(const struct nw_dump *d, uint16_t segment, const struct nw_dmar_scope *s, uint16_t *bdf)
{
    unsigned bus = s->start_bus;
    for (unsigned hop = 0; hop < s->hops; hop++) {
        *bdf = bdf_of(bus, s->path + 2 * hop);
        const struct nw_dump_function *bridge = NULL;
        for (size_t i = 0; i < d->functions; i++)
            if (d->function[i].segment == segment && d->function[i].bdf == *bdf && d->function[i].has_buses)
                bridge = &d->function[i];
        if (hop + 1u == s->hops)
            return true;
        if (!bridge)
            return false;
        bus = bridge->secondary;
    }
    return false;
}

static void add_other(struct topology *t, int unit, const char *format, ...) NW_PRINTF(3, 4);
static void add_other(struct topology *t, int unit, const char *format, ...)
{
    struct topo_other *o = topology_more(t, &t->other, &t->others, sizeof *o);
    va_list ap;
    if (!o)
        return;
    o->unit = unit;
    va_start(ap, format);
    vsnprintf(o->name, sizeof o->name, format, ap);
    va_end(ap);
}

static void path_text(const struct nw_dmar_scope *s, char out[64])
{
    int used = snprintf(out, 64, "%02x:", s->start_bus);
    for (unsigned i = 0; i < s->hops && used < 56; i++)
        used += snprintf(out + used, 64 - (size_t)used, "%s%02x.%x", i ? "/" : "", s->path[2 * i], s->path[2 * i + 1]);
}

static void take_scope(struct topology *t, const struct nw_dump *d, const struct nw_dmar_structure *x,
                       const struct nw_dmar_scope *s, int unit)
{
    char path[64];
    uint16_t bdf;
    path_text(s, path);
    if (s->type == NW_DMAR_SCOPE_IOAPIC)
        add_other(t, unit, "I/O APIC %u (%s)", s->id, path);
    else if (s->type == NW_DMAR_SCOPE_HPET)
        add_other(t, unit, "HPET %u (%s)", s->id, path);
    else if (s->type == NW_DMAR_SCOPE_ANDD)
        add_other(t, unit, "ACPI device %u (%s)", s->id, path);
    else if (!end_of_path(d, x->segment, s, &bdf))
        add_other(t, unit, "%s", path);
    else {
        struct topo_function *f = function_at(t, x->segment, bdf);
        if (f) {
            f->unit = unit;
            f->bridge |= s->type == NW_DMAR_SCOPE_BRIDGE;
        }
    }
}

static void take_dmar(struct topology *t, const struct nw_dump *d, const struct nw_dmar *m)
{
    for (size_t i = 0; i < m->structures; i++) {
        const struct nw_dmar_structure *x = &m->structure[i];
        struct topo_unit *u = x->type == NW_DMAR_DRHD ? topology_more(t, &t->unit, &t->units, sizeof *u) : NULL;
        if (!u)
            continue;
        *u = (struct topo_unit){ .all = x->flags & NW_DRHD_INCLUDE_PCI_ALL, .segment = x->segment, .base = x->base };
        snprintf(u->name, sizeof u->name, "DRHD %" PRIx64, x->base);
        for (size_t j = x->first_scope; j < x->first_scope + x->scopes; j++)
            take_scope(t, d, x, &m->scope[j], (int)t->units - 1);
    }
}

/* The blocks that an operating system goes by: those of the highest type. */
static uint8_t best_type(const struct nw_ivrs *v)
{
    uint8_t best = 0;
    for (size_t i = 0; i < v->blocks; i++)
        if (nw_ivrs_is_ivhd(v->block[i].type) && v->block[i].type > best)
            best = v->block[i].type;
    return best;
}

static void bdf_text(uint16_t bdf, char out[16])
{
    snprintf(out, 16, "%02x:%02x.%x", bdf >> 8, bdf >> 3 & 31, bdf & 7);
}

/* Functions of a range that are known are behind the unit; of the rest, the range is told. */
static void take_range(struct topology *t, const struct nw_ivrs_block *b, uint16_t first, uint16_t last, int unit)
{
    char from[16], to[16];
    bool any = false;
    for (size_t i = 0; i < t->functions; i++) {
        struct topo_function *f = &t->function[i];
        if (f->segment != b->segment || f->bdf < first || f->bdf > last || f->bdf == b->device)
            continue;
        f->unit = unit;
        any = true;
    }
    bdf_text(first, from);
    bdf_text(last, to);
    if (!any)
        add_other(t, unit, "%s to %s", from, to);
}

static void take_entry(struct topology *t, const struct nw_ivrs_block *b, const struct nw_ivhd_entry *e,
                       const struct nw_ivhd_entry **start, int unit)
{
    char id[16], name[9] = "";
    struct topo_function *f;
    bdf_text(e->device, id);
    switch (e->type) {
    case NW_IVHD_ALL: t->unit[unit].all = true; break;
    case NW_IVHD_SELECT:
    case NW_IVHD_EXT_SELECT:
    case NW_IVHD_ALIAS_SELECT:
        if ((f = function_at(t, b->segment, e->device)) != NULL)
            f->unit = unit;
        break;
    case NW_IVHD_RANGE_START:
    case NW_IVHD_EXT_START:
    case NW_IVHD_ALIAS_START: *start = e; break;
    case NW_IVHD_RANGE_END:
        if (*start && (*start)->device <= e->device)
            take_range(t, b, (*start)->device, e->device, unit);
        *start = NULL;
        break;
    case NW_IVHD_SPECIAL:
        add_other(t, unit, "%s %u (%s)", e->variety == NW_IVHD_IOAPIC ? "I/O APIC" : "HPET", e->handle, id);
        break;
    case NW_IVHD_ACPI_HID:
        memcpy(name, e->hid, 8);
        add_other(t, unit, "%s (%s)", name, id);
        break;
    default: break;
    }
}

static void take_ivrs(struct topology *t, const struct nw_ivrs *v)
{
    const uint8_t type = best_type(v);
    for (size_t i = 0; i < v->blocks; i++) {
        const struct nw_ivrs_block *b = &v->block[i];
        const struct nw_ivhd_entry *start = NULL;
        char id[16];
        struct topo_unit *u = b->type == type ? topology_more(t, &t->unit, &t->units, sizeof *u) : NULL;
        if (!u)
            continue;
        *u = (struct topo_unit){ .amd = true, .segment = b->segment, .base = b->base };
        bdf_text(b->device, id);
        snprintf(u->name, sizeof u->name, "IVHD %s", id);
        for (size_t j = b->first_entry; j < b->first_entry + b->entries && !t->no_memory; j++)
            take_entry(t, b, &v->entry[j], &start, (int)t->units - 1);
    }
}

/* ---- regions: when the functions are in order ---------------------------------------------------------- */

static void add_link(struct topology *t, int function, size_t region)
{
    struct topo_link *l = function == NONE ? NULL : topology_more(t, &t->link, &t->links, sizeof *l);
    if (l)
        *l = (struct topo_link){ (size_t)function, region };
}

static void take_dmar_regions(struct topology *t, const struct nw_dump *d, const struct nw_dmar *m)
{
    for (size_t i = 0; i < m->structures; i++) {
        const struct nw_dmar_structure *x = &m->structure[i];
        struct topo_region *r = x->type == NW_DMAR_RMRR ? topology_more(t, &t->region, &t->regions, sizeof *r) : NULL;
        if (!r)
            continue;
        *r = (struct topo_region){ x->base, x->limit, false };
        for (size_t j = x->first_scope; j < x->first_scope + x->scopes; j++) {
            uint16_t bdf;
            if (m->scope[j].type <= NW_DMAR_SCOPE_BRIDGE && end_of_path(d, x->segment, &m->scope[j], &bdf))
                add_link(t, index_of(t, x->segment, bdf), t->regions - 1);
        }
    }
}

static void take_ivrs_regions(struct topology *t, const struct nw_ivrs *v)
{
    for (size_t i = 0; i < v->blocks; i++) {
        const struct nw_ivrs_block *b = &v->block[i];
        struct topo_region *r = nw_ivrs_is_ivmd(b->type) ? topology_more(t, &t->region, &t->regions, sizeof *r) : NULL;
        if (!r)
            continue;
        *r = (struct topo_region){ b->base, b->base + b->bytes - !!b->bytes, b->flags & NW_IVMD_EXCLUSION };
        if (b->type == NW_IVMD_ONE)
            add_link(t, index_of(t, b->segment, b->device), t->regions - 1);
        for (size_t j = 0; b->type == NW_IVMD_RANGE && j < t->functions; j++)
            if (t->function[j].bdf >= b->device && t->function[j].bdf <= b->aux)
                add_link(t, (int)j, t->regions - 1);
    }
}

/* Devices that only a region names are functions as well. */
static void take_region_functions(struct topology *t, const struct nw_dump *d, const struct nw_dmar *m)
{
    for (size_t i = 0; i < m->scopes; i++) {
        const struct nw_dmar_structure *x = &m->structure[m->scope[i].structure];
        uint16_t bdf;
        if (x->type == NW_DMAR_RMRR && m->scope[i].type <= NW_DMAR_SCOPE_BRIDGE &&
            end_of_path(d, x->segment, &m->scope[i], &bdf))
            (void)function_at(t, x->segment, bdf);
    }
}

/* ---- domains ------------------------------------------------------------------------------------------- */

static int domain_at(struct topology *t, const struct topo_domain *wanted)
{
    for (size_t i = 0; i < t->domains; i++)
        if (!strcmp(t->domain[i].unit, wanted->unit) && t->domain[i].id == wanted->id &&
            t->domain[i].root == wanted->root && t->domain[i].pass_through == wanted->pass_through)
            return (int)i;
    struct topo_domain *d = topology_more(t, &t->domain, &t->domains, sizeof *d);
    if (!d)
        return NONE;
    *d = *wanted;
    return (int)t->domains - 1;
}

/* The text has no segment: that of the unit with this name, by its registers. */
static uint16_t segment_of(const struct nw_dump *d, const char *unit)
{
    for (size_t i = 0; i < d->units; i++)
        for (size_t j = 0; j < d->drhds && !strcmp(d->unit[i].name, unit); j++)
            if (d->drhd[j].base == d->unit[i].base)
                return d->drhd[j].segment;
    return 0;
}

#define TABLE_ADDRESS UINT64_C(0x000ffffffffff000)

/* Context entry, or the entry of its PASID table: VT-d, "Context Entry", "Scalable-Mode PASID Table Entry". */
static struct topo_domain vtd_domain(const struct nw_dump_context *c)
{
    struct topo_domain d = { .id = (uint16_t)(c->context[1] >> 8) };
    const unsigned type = c->context[0] >> 2 & 3, stage = c->entry[0] >> 6 & 7;
    snprintf(d.unit, sizeof d.unit, "%s", c->unit);
    d.pass_through = c->has_pasid ? stage == 4 : type == 2;
    if (c->has_pasid)
        d.id = (uint16_t)c->entry[1];
    if (!d.pass_through)
        d.root = (c->has_pasid ? c->entry[stage == 1 || stage == 3 ? 2 : 0] : c->context[0]) & TABLE_ADDRESS;
    return d;
}

static void take_contexts(struct topology *t, const struct nw_dump *d)
{
    for (size_t i = 0; i < d->contexts; i++) {
        const struct topo_domain domain = vtd_domain(&d->context[i]);
        const int f = index_of(t, segment_of(d, d->context[i].unit), d->context[i].source_id);
        if (f != NONE && t->function[f].domain == NONE)
            t->function[f].domain = domain_at(t, &domain);
    }
    for (size_t i = 0; i < d->amd.dtes; i++) { /* AMD IOMMU, "Device Table Entry Format": V, TV, Mode, root, DomainID */
        const struct nw_dump_dte *e = &d->amd.dte[i];
        struct topo_domain domain = { .amd = true, .id = (uint16_t)e->word[1] };
        const int f = index_of(t, e->segment, e->device_id);
        domain.pass_through = !(e->word[0] & 1) || !(e->word[0] >> 9 & 7);
        domain.root = domain.pass_through ? 0 : e->word[0] & TABLE_ADDRESS;
        if (f != NONE)
            t->function[f].domain = domain_at(t, &domain);
    }
}

static void take_mappings(struct topology *t, const struct nw_dump *d)
{
    for (size_t i = 0; i < d->mappings; i++) {
        const struct nw_dump_mapping *m = &d->mapping[i];
        for (size_t j = 0; j < t->functions; j++) {
            const struct topo_function *f = &t->function[j];
            if (f->bdf != m->source_id || f->domain == NONE)
                continue;
            t->domain[f->domain].readable += m->read ? m->bytes : 0;
            t->domain[f->domain].writable += m->write ? m->bytes : 0;
            break;
        }
    }
}

static void take_domain_functions(struct topology *t, const struct nw_dump *d)
{
    for (size_t i = 0; i < d->contexts && !t->no_memory; i++)
        (void)function_at(t, segment_of(d, d->context[i].unit), d->context[i].source_id);
    for (size_t i = 0; i < d->amd.dtes && !t->no_memory; i++)
        (void)function_at(t, d->amd.dte[i].segment, d->amd.dte[i].device_id);
}

/* ---- who is below whom --------------------------------------------------------------------------------- */

static void find_parents(struct topology *t)
{
    for (size_t i = 0; i < t->functions; i++)
        for (size_t j = 0; j < t->functions; j++)
            if (t->function[j].has_buses && t->function[j].segment == t->function[i].segment && i != j &&
                t->function[j].secondary == t->function[i].bdf >> 8)
                t->function[i].parent = (int)j;
}

/* Of a function that no scope names: that of the nearest bridge above it that one names; else the catch-all. */
static void find_units(struct topology *t)
{
    for (size_t i = 0; i < t->functions; i++) {
        int above = t->function[i].parent;
        for (unsigned steps = 0; above != NONE && t->function[i].unit == NONE && steps < 256; steps++) {
            t->function[i].unit = t->function[above].unit;
            above = t->function[above].parent;
        }
        for (size_t u = 0; u < t->units && t->function[i].unit == NONE; u++)
            if (t->unit[u].all && t->unit[u].segment == t->function[i].segment)
                t->function[i].unit = (int)u;
    }
}

/* ---- all ------------------------------------------------------------------------------------------------ */

enum step { UNITS, REGIONS };

static enum nw_status take_tables(struct topology *t, const struct nw_check_page *page, enum step step,
                                  struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < page->inputs && !s; i++) {
        const struct nw_acpi_table *table = page->table[i];
        struct nw_dmar m;
        struct nw_ivrs v;
        if (table && table->kind == NW_ACPI_DMAR && !(s = nw_dmar_decode(table, &m, err))) {
            if (step == UNITS) {
                take_dmar(t, page->dump, &m);
                take_region_functions(t, page->dump, &m);
            } else {
                take_dmar_regions(t, page->dump, &m);
            }
            nw_dmar_fini(&m);
        } else if (table && table->kind == NW_ACPI_IVRS && !s && !(s = nw_ivrs_decode(table, &v, err))) {
            if (step == UNITS)
                take_ivrs(t, &v);
            else
                take_ivrs_regions(t, &v);
            nw_ivrs_fini(&v);
        }
    }
    return s;
}

enum nw_status topology_make(const struct nw_check_page *page, struct topology *out, struct nw_error *err)
{
    *out = (struct topology){ .no_memory = false };
    take_functions(out, page->dump);
    take_domain_functions(out, page->dump);
    enum nw_status s = take_tables(out, page, UNITS, err);
    if (out->functions)
        qsort(out->function, out->functions, sizeof *out->function, by_place);
    if (!s)
        s = take_tables(out, page, REGIONS, err);
    take_contexts(out, page->dump);
    take_mappings(out, page->dump);
    find_parents(out);
    find_units(out);
    if (!s && out->no_memory)
        s = nw_fail_nomem(err, "the topology");
    if (s)
        topology_fini(out);
    return s;
}

void topology_fini(struct topology *t)
{
    free(t->unit);
    free(t->function);
    free(t->other);
    free(t->domain);
    free(t->region);
    free(t->link);
    *t = (struct topology){ .no_memory = false };
}
