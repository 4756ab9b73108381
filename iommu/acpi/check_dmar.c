/* check_dmar.c - the rules about DMAR tables that need nothing but the table. rules.c says why each exists. */
#include "acpi_internal.h"
#include "check_table.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>

struct dmar_check {
    struct check *c;
    const struct nw_dmar *d;
    bool whole; /* every structure was decoded: what is not there is really missing */
};

enum { NAME_BYTES = 64, PAGE_BYTES = 4096 };

static const char *name_of(const struct nw_dmar_structure *x, char name[NAME_BYTES])
{
    const char *type = nw_dmar_type_name(x->type);
    switch (x->type) {
    case NW_DMAR_DRHD:
    case NW_DMAR_RHSA: snprintf(name, NAME_BYTES, "%s %" PRIx64, type, x->base); break;
    case NW_DMAR_RMRR: snprintf(name, NAME_BYTES, "%s %" PRIx64 "-%" PRIx64, type, x->base, x->limit); break;
    case NW_DMAR_ANDD: snprintf(name, NAME_BYTES, "%s %u", type, x->number); break;
    default: snprintf(name, NAME_BYTES, "%s", type); break;
    }
    return name;
}

/* "00:1c.0", or "00:1c.0/00.0" when the path goes on below a bridge; cut after eight steps. */
static const char *path_of(const struct nw_dmar_scope *s, char text[NAME_BYTES])
{
    int used = snprintf(text, NAME_BYTES, "%02x:", s->start_bus);
    for (unsigned i = 0; i < s->hops && i < 8; i++)
        used += snprintf(text + used, NAME_BYTES - (size_t)used, "%s%02x.%x", i ? "/" : "", s->path[2 * i],
                         s->path[2 * i + 1]);
    if (!s->hops)
        snprintf(text + used, NAME_BYTES - (size_t)used, "(no path)");
    return text;
}

static bool same_path(const struct nw_dmar_scope *a, const struct nw_dmar_scope *b)
{
    return a->start_bus == b->start_bus && a->hops == b->hops && !memcmp(a->path, b->path, 2u * a->hops);
}

static bool is_device(const struct nw_dmar_scope *s, unsigned bus, unsigned device, unsigned function)
{
    return s->start_bus == bus && s->hops == 1 && s->path[0] == device && s->path[1] == function;
}

static uint64_t window_last(const struct nw_dmar_structure *x)
{
    return x->base + (((uint64_t)PAGE_BYTES << (x->size_log2_pages & 15)) - 1);
}

static bool segment_has_unit(const struct nw_dmar *d, uint16_t segment)
{
    for (size_t i = 0; i < d->structures; i++)
        if (d->structure[i].type == NW_DMAR_DRHD && d->structure[i].segment == segment)
            return true;
    return false;
}

static void reserved(const struct dmar_check *k, const struct nw_dmar_structure *x, const char *field, unsigned value,
                     unsigned defined)
{
    char name[NAME_BYTES];
    if (value & ~defined)
        nw_check_add(k->c, T05, x->offset, name_of(x, name), "%s 0x%02x; defined is 0x%02x", field, value, defined);
}

static void check_header(const struct dmar_check *k)
{
    const struct nw_dmar *d = k->d;
    if (d->flags & ~7)
        nw_check_add(k->c, T05, 37, "flags", "flags 0x%02x; defined is 0x07", d->flags);
    if (d->reserved_set)
        nw_check_add(k->c, T05, 38, "header", "bytes 38 to 47 are not all zero");
    if (d->address_bits_minus_1 + 1 < 12)
        nw_check_add(k->c, T06, 36, "host address width", "%u bits; 12 is the least", d->address_bits_minus_1 + 1);
    if (!(d->flags & NW_DMAR_INTR_REMAP))
        nw_check_add(k->c, I01, 37, "flags", "flags 0x%02x: INTR_REMAP is clear", d->flags);
    if (d->flags & NW_DMAR_X2APIC_OPT_OUT)
        nw_check_add(k->c, I11, 37, "flags", "flags 0x%02x: X2APIC_OPT_OUT is set%s", d->flags,
                     d->flags & NW_DMAR_INTR_REMAP ? "" : ", which means something only together with INTR_REMAP");
}

/* Order of types, unknown types, address width. */
static void check_any(const struct dmar_check *k, const struct nw_dmar_structure *x,
                      const struct nw_dmar_structure *before)
{
    char name[NAME_BYTES];
    unsigned bits = k->d->address_bits_minus_1 + 1u;
    if (before && x->type < before->type)
        nw_check_add(k->c, T03, x->offset, name_of(x, name), "type %u stands behind type %u", x->type, before->type);
    if (x->type >= NW_DMAR_TYPES)
        nw_check_add(k->c, T04, x->offset, "", "structure of type %u, %u bytes", x->type, x->length);
    uint64_t last = x->type == NW_DMAR_DRHD ? window_last(x) : x->type == NW_DMAR_RMRR ? x->limit : 0;
    if (bits >= 12 && bits < 64 && last >> bits)
        nw_check_add(k->c, T06, x->offset, name_of(x, name), "ends at %" PRIx64 "; the host address width is %u bits",
                     last, bits);
    for (size_t i = x->first_scope; i < x->first_scope + x->scopes; i++)
        if (!k->d->scope[i].type || k->d->scope[i].type > NW_DMAR_SCOPE_ANDD)
            nw_check_add(k->c, T04, k->d->scope[i].offset, name_of(x, name), "device scope of type %u",
                         k->d->scope[i].type);
}

_Static_assert(D03 <= 64, "a rule is a bit of `reported`");

static const struct nw_dmar_scope *find_device(const struct nw_dmar *d, const struct nw_dmar_structure *x,
                                               const struct nw_dmar_scope *wanted)
{
    for (size_t i = x->first_scope; i < x->first_scope + x->scopes; i++)
        if (d->scope[i].type == wanted->type && same_path(&d->scope[i], wanted))
            return &d->scope[i];
    return NULL;
}

/* A unit against one before it. Each unit is found at fault once at most for a rule: *reported has the rules' bits. */
static void check_pair(const struct dmar_check *k, const struct nw_dmar_structure *before,
                       const struct nw_dmar_structure *x, uint64_t *reported)
{
    char name[NAME_BYTES], other[NAME_BYTES], path[NAME_BYTES];
    bool same_segment = x->segment == before->segment, both_all = before->flags & x->flags & NW_DRHD_INCLUDE_PCI_ALL;
    if (!(*reported & NW_BIT(D04)) && overlap(before->base, window_last(before), x->base, window_last(x))) {
        *reported |= NW_BIT(D04);
        nw_check_add(k->c, D04, x->offset, name_of(x, name), "its window overlaps that of %s at 0x%x",
                     name_of(before, other), before->offset);
    }
    if (!(*reported & NW_BIT(D05)) && same_segment && both_all) {
        *reported |= NW_BIT(D05);
        nw_check_add(k->c, D05, x->offset, name_of(x, name), "%s at 0x%x has INCLUDE_PCI_ALL in segment %u as well",
                     name_of(before, other), before->offset, x->segment);
    }
    for (size_t i = x->first_scope; same_segment && i < x->first_scope + x->scopes; i++) {
        const struct nw_dmar_scope *s = &k->d->scope[i];
        if (s->hops && s->type <= NW_DMAR_SCOPE_BRIDGE && find_device(k->d, before, s))
            nw_check_add(k->c, D08, s->offset, name_of(x, name), "%s is in the scopes of %s at 0x%x as well",
                         path_of(s, path), name_of(before, other), before->offset);
    }
}

static void check_order(const struct dmar_check *k, size_t index)
{
    const struct nw_dmar_structure *x = &k->d->structure[index];
    char name[NAME_BYTES], other[NAME_BYTES];
    for (size_t i = index + 1; x->flags & NW_DRHD_INCLUDE_PCI_ALL && i < k->d->structures; i++) {
        const struct nw_dmar_structure *later = &k->d->structure[i];
        if (later->type != NW_DMAR_DRHD || later->segment != x->segment || later->flags & NW_DRHD_INCLUDE_PCI_ALL)
            continue;
        nw_check_add(k->c, D06, x->offset, name_of(x, name), "%s at 0x%x follows in segment %u", name_of(later, other),
                     later->offset, x->segment);
        return;
    }
}

static bool has_affinity(const struct nw_dmar *d, uint64_t base)
{
    for (size_t i = 0; i < d->structures; i++)
        if (d->structure[i].type == NW_DMAR_RHSA && d->structure[i].base == base)
            return true;
    return false;
}

static bool has_region(const struct nw_dmar *d, uint16_t segment, unsigned bus, unsigned device, unsigned function)
{
    for (size_t i = 0; i < d->scopes; i++) {
        const struct nw_dmar_structure *x = &d->structure[d->scope[i].structure];
        if (x->type == NW_DMAR_RMRR && x->segment == segment && is_device(&d->scope[i], bus, device, function))
            return true;
    }
    return false;
}

static void check_unit(const struct dmar_check *k, size_t index, bool any_affinity)
{
    const struct nw_dmar *d = k->d;
    const struct nw_dmar_structure *x = &d->structure[index];
    const struct nw_dmar_scope *only = x->scopes == 1 ? &d->scope[x->first_scope] : NULL;
    char name[NAME_BYTES];
    name_of(x, name);
    reserved(k, x, "flags", x->flags, NW_DRHD_INCLUDE_PCI_ALL);
    reserved(k, x, "size", x->size_log2_pages, 15);
    if (!x->base || x->base % PAGE_BYTES)
        nw_check_add(k->c, D02, x->offset, name, "register base %" PRIx64 "; it must be a multiple of 4 KiB and not 0",
                     x->base);
    if (!k->whole)
        return;
    if (!x->scopes && !(x->flags & NW_DRHD_INCLUDE_PCI_ALL))
        nw_check_add(k->c, D12, x->offset, name, "no device scope, and INCLUDE_PCI_ALL is clear");
    if (any_affinity && !has_affinity(d, x->base))
        nw_check_add_lesser(k->c, D16, NW_IOMMU_INFO, x->offset, name, "no RHSA names this unit; others have one");
    if (only && only->type == NW_DMAR_SCOPE_ENDPOINT && is_device(only, 0, 2, 0) && !x->segment &&
        !has_region(d, x->segment, 0, 2, 0))
        nw_check_add(k->c, R06, x->offset, name, "only 00:02.0 is behind the unit; no RMRR is for 00:02.0");
}

/* Once for each segment: at its first unit. */
static void check_catch_all(const struct dmar_check *k, size_t index)
{
    const struct nw_dmar_structure *x = &k->d->structure[index];
    for (size_t i = 0; i < k->d->structures; i++) {
        const struct nw_dmar_structure *y = &k->d->structure[i];
        if (y->type == NW_DMAR_DRHD && y->segment == x->segment && (i < index || y->flags & NW_DRHD_INCLUDE_PCI_ALL))
            return;
    }
    char name[NAME_BYTES];
    nw_check_add(k->c, D17, x->offset, name_of(x, name), "no unit of segment %u has INCLUDE_PCI_ALL", x->segment);
}

/* Integrated graphics, whose stolen memory the firmware's setup may make as large as it likes. */
static bool is_for_graphics(const struct nw_dmar *d, const struct nw_dmar_structure *x)
{
    return !x->segment && x->scopes == 1 && is_device(&d->scope[x->first_scope], 0, 2, 0);
}

static void check_region(const struct dmar_check *k, size_t index)
{
    const struct nw_dmar_structure *x = &k->d->structure[index];
    char name[NAME_BYTES], other[NAME_BYTES];
    name_of(x, name);
    if (k->whole && !x->scopes)
        nw_check_add(k->c, R10, x->offset, name, "no device scope");
    else if (k->whole && !segment_has_unit(k->d, x->segment))
        nw_check_add(k->c, R10, x->offset, name, "segment %u has no DRHD", x->segment);
    if (!x->base && !x->limit)
        nw_check_add_lesser(k->c, R01, NW_IOMMU_WARNING, x->offset, name, "base and limit are 0: the region is empty");
    else if (x->base % PAGE_BYTES || (x->limit + 1) % PAGE_BYTES || x->limit <= x->base)
        nw_check_add(k->c, R01, x->offset, name,
                     "base %" PRIx64 ", limit %" PRIx64 "; both ends must be those of 4 KiB pages", x->base, x->limit);
    if (x->limit <= x->base)
        return;
    if (x->limit - x->base >= UINT64_C(256) << 20)
        nw_check_add_lesser(k->c, R08, is_for_graphics(k->d, x) ? NW_IOMMU_INFO : NW_IOMMU_WARNING, x->offset, name,
                            "%" PRIu64 " MiB%s", (x->limit - x->base + 1) >> 20,
                            is_for_graphics(k->d, x) ? ", of 00:02.0 alone: memory that graphics uses" : "");
    if (overlap(x->base, x->limit, INTERRUPTS_FIRST, INTERRUPTS_LAST))
        nw_check_add(k->c, R09, x->offset, name, "it touches fee00000-feefffff, where writes are interrupts");
    const struct nw_dmar_structure *unit = NULL, *region = NULL;
    for (size_t i = 0; i < k->d->structures; i++) {
        const struct nw_dmar_structure *y = &k->d->structure[i];
        if (!unit && y->type == NW_DMAR_DRHD && overlap(x->base, x->limit, y->base, window_last(y)))
            unit = y;
        if (!region && y->type == NW_DMAR_RMRR && i < index && y->limit > y->base &&
            overlap(x->base, x->limit, y->base, y->limit))
            region = y;
    }
    if (unit)
        nw_check_add(k->c, R09, x->offset, name, "it touches the registers of %s", name_of(unit, other));
    if (region)
        nw_check_add(k->c, R07, x->offset, name, "it overlaps %s at 0x%x", name_of(region, other), region->offset);
}

static void check_ports(const struct dmar_check *k, const struct nw_dmar_structure *x)
{
    char path[NAME_BYTES];
    reserved(k, x, "flags", x->flags, NW_ATSR_ALL_PORTS);
    if (x->flags & NW_ATSR_ALL_PORTS && x->scopes)
        nw_check_add(k->c, A01, x->offset, "ATSR", "ALL_PORTS is set, and %zu device scopes follow", x->scopes);
    for (size_t i = x->first_scope; i < x->first_scope + x->scopes; i++)
        if (k->d->scope[i].type != NW_DMAR_SCOPE_BRIDGE)
            nw_check_add(k->c, A01, k->d->scope[i].offset, "ATSR",
                         "the scope of %s has type %u; a root port has type 2", path_of(&k->d->scope[i], path),
                         k->d->scope[i].type);
}

static void check_affinity(const struct dmar_check *k, const struct nw_dmar_structure *x)
{
    char name[NAME_BYTES];
    for (size_t i = 0; i < k->d->structures; i++)
        if (k->d->structure[i].type == NW_DMAR_DRHD && k->d->structure[i].base == x->base)
            return;
    if (k->whole)
        nw_check_add(k->c, D16, x->offset, name_of(x, name), "no DRHD has this register base");
}

static bool has_acpi_scope(const struct nw_dmar *d, uint8_t number)
{
    for (size_t i = 0; i < d->scopes; i++)
        if (d->scope[i].type == NW_DMAR_SCOPE_ANDD && d->scope[i].id == number)
            return true;
    return false;
}

static bool has_declaration(const struct nw_dmar *d, uint8_t number, size_t before)
{
    for (size_t i = 0; i < before; i++)
        if (d->structure[i].type == NW_DMAR_ANDD && d->structure[i].number == number)
            return true;
    return false;
}

static void check_declaration(const struct dmar_check *k, size_t index)
{
    const struct nw_dmar_structure *x = &k->d->structure[index];
    char name[NAME_BYTES];
    name_of(x, name);
    if (!x->name)
        nw_check_add(k->c, A04, x->offset, name, "no NUL ends the name within the structure");
    if (has_declaration(k->d, x->number, index))
        nw_check_add(k->c, A04, x->offset, name, "the number %u is declared twice", x->number);
    else if (k->whole && !has_acpi_scope(k->d, x->number))
        nw_check_add(k->c, A04, x->offset, name, "no device scope of type 5 has the number %u", x->number);
}

static void check_scope(const struct dmar_check *k, size_t index)
{
    const struct nw_dmar *d = k->d;
    const struct nw_dmar_scope *s = &d->scope[index];
    const struct nw_dmar_structure *x = &d->structure[s->structure];
    char name[NAME_BYTES], path[NAME_BYTES];
    if (k->whole && s->type == NW_DMAR_SCOPE_ANDD && !has_declaration(d, s->id, d->structures))
        nw_check_add(k->c, A04, s->offset, name_of(x, name), "the scope of ACPI device %u has no ANDD", s->id);
    for (size_t i = 0; s->type == NW_DMAR_SCOPE_IOAPIC && x->type == NW_DMAR_DRHD && i < index; i++) {
        const struct nw_dmar_scope *e = &d->scope[i];
        const struct nw_dmar_structure *y = &d->structure[e->structure];
        if (e->type != NW_DMAR_SCOPE_IOAPIC || y->type != NW_DMAR_DRHD)
            continue;
        bool same_source = y->segment == x->segment && same_path(e, s);
        if (e->id == s->id)
            nw_check_add(k->c, I04, s->offset, name_of(x, name), "I/O APIC id %u (%s) is used at 0x%x as well", s->id,
                         path_of(s, path), e->offset);
        else if (same_source)
            nw_check_add(k->c, I04, s->offset, name_of(x, name), "I/O APICs %u and %u are both %s", e->id, s->id,
                         path_of(s, path));
        if (e->id == s->id || same_source)
            return; /* one clash a scope is enough */
    }
}

void nw_check_dmar(struct check *c, const struct nw_dmar *d)
{
    struct dmar_check k = { c, d, nw_acpi_whole(c->table, &d->problems) };
    bool any_unit = false, any_affinity = false;
    check_header(&k);
    for (size_t i = 0; i < d->structures; i++) {
        any_unit |= d->structure[i].type == NW_DMAR_DRHD;
        any_affinity |= d->structure[i].type == NW_DMAR_RHSA;
    }
    if (!any_unit && k.whole)
        nw_check_add(c, D01, 0, "", "%zu structures, none of them a DRHD", d->structures);
    for (size_t i = 0; i < d->structures; i++) {
        const struct nw_dmar_structure *x = &d->structure[i];
        check_any(&k, x, i ? x - 1 : NULL);
        uint64_t reported = 0;
        switch (x->type) {
        case NW_DMAR_DRHD:
            check_unit(&k, i, any_affinity);
            if (k.whole)
                check_catch_all(&k, i);
            check_order(&k, i);
            for (size_t j = 0; j < i; j++)
                if (d->structure[j].type == NW_DMAR_DRHD)
                    check_pair(&k, &d->structure[j], x, &reported);
            break;
        case NW_DMAR_RMRR: check_region(&k, i); break;
        case NW_DMAR_ATSR: check_ports(&k, x); break;
        case NW_DMAR_RHSA: check_affinity(&k, x); break;
        case NW_DMAR_ANDD: check_declaration(&k, i); break;
        case NW_DMAR_SATC: reserved(&k, x, "flags", x->flags, 1); break;
        default: break;
        }
    }
    for (size_t i = 0; i < d->scopes; i++)
        check_scope(&k, i);
}
