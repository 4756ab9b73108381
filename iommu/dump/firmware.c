/* The firmware's tables as facts, for what is told of the running machine to be compared with. */
#include "reader.h"

static struct nw_dump_place place(unsigned input, uint32_t offset)
{
    return (struct nw_dump_place){ .input = input, .offset = offset };
}

/* ---- DMAR ---------------------------------------------------------------------------------------- */

static enum nw_status add_scopes(struct nw_dump *d, const struct nw_dmar *dmar, const struct nw_dmar_structure *s,
                                 size_t owner, unsigned input, struct nw_error *err)
{
    for (size_t k = s->first_scope; k < s->first_scope + s->scopes; k++) {
        const struct nw_dmar_scope *scope = &dmar->scope[k];
        if (!scope->hops)
            continue;
        struct nw_dump_scope *o = nw_reader_grow(&d->scope, &d->scopes, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the scopes of a table");
        *o = (struct nw_dump_scope){
            .of = (enum nw_dmar_type)s->type,
            .owner = owner,
            .drhd = owner,
            .segment = s->segment,
            .type = scope->type,
            .id = scope->id,
            .bridge = scope->type == NW_DMAR_SCOPE_BRIDGE,
            /* Of a path's first hop: a device on the start bus. */
            .bdf = (uint16_t)(scope->start_bus << 8 | (scope->path[0] & 31) << 3 | (scope->path[1] & 7)),
            .deep = scope->hops > 1,
            .hops = scope->hops < NW_DUMP_HOPS_MAX ? scope->hops : NW_DUMP_HOPS_MAX,
            .place = place(input, scope->offset),
        };
        memcpy(o->path, scope->path, 2u * o->hops);
    }
    return NW_OK;
}

enum nw_status nw_dump_add_dmar(struct nw_dump *d, const struct nw_dmar *dmar, unsigned input, struct nw_error *err)
{
    d->has_dmar = true;
    d->dmar_flags |= dmar->flags;
    d->dmar_place = place(input, 0);
    d->haw = (uint8_t)(dmar->address_bits_minus_1 + 1u <= 52 ? dmar->address_bits_minus_1 + 1u : 0);
    for (size_t i = 0; i < dmar->structures; i++) {
        const struct nw_dmar_structure *s = &dmar->structure[i];
        size_t owner = 0;
        if (s->type == NW_DMAR_RMRR) {
            struct nw_dump_range *m = nw_reader_grow(&d->rmrr, &d->rmrrs, sizeof *m);
            if (!m)
                return nw_fail_nomem(err, "the regions of a table");
            *m = (struct nw_dump_range){
                .start = s->base, .last = s->limit, .segment = s->segment, .place = place(input, s->offset)
            };
            owner = d->rmrrs - 1;
        } else if (s->type == NW_DMAR_DRHD) {
            struct nw_dump_drhd *u = nw_reader_grow(&d->drhd, &d->drhds, sizeof *u);
            if (!u)
                return nw_fail_nomem(err, "the units of a table");
            *u = (struct nw_dump_drhd){ .segment = s->segment,
                                        .base = s->base,
                                        .all = s->flags & NW_DRHD_INCLUDE_PCI_ALL,
                                        .size_log2_pages = s->size_log2_pages & 15,
                                        .place = place(input, s->offset) };
            owner = d->drhds - 1;
        } else if (s->type == NW_DMAR_ATSR || s->type == NW_DMAR_SATC) {
            struct nw_dump_port_list *p = nw_reader_grow(&d->ports, &d->port_lists, sizeof *p);
            if (!p)
                return nw_fail_nomem(err, "the ports of a table");
            *p = (struct nw_dump_port_list){ .type = (enum nw_dmar_type)s->type,
                                             .segment = s->segment,
                                             .flags = s->flags,
                                             .place = place(input, s->offset) };
            owner = d->port_lists - 1;
        } else if (s->type != NW_DMAR_SIDP) {
            continue;
        }
        const enum nw_status status = add_scopes(d, dmar, s, owner, input, err);
        if (status)
            return status;
    }
    return NW_OK;
}

/* ---- IVRS ---------------------------------------------------------------------------------------- */

static enum nw_status add_devices(struct nw_dump *d, uint16_t segment, uint16_t first, uint16_t last,
                                  struct nw_error *err)
{
    struct nw_dump_device_range *r = nw_reader_grow(&d->devices, &d->device_ranges, sizeof *r);
    if (!r)
        return nw_fail_nomem(err, "the devices of a table");
    *r = (struct nw_dump_device_range){ segment, first, last };
    return NW_OK;
}

static bool begins_range(uint8_t type)
{
    return type == NW_IVHD_RANGE_START || type == NW_IVHD_ALIAS_START || type == NW_IVHD_EXT_START;
}

static enum nw_status add_entry(struct nw_dump *d, const struct nw_ivrs_block *b, const struct nw_ivhd_entry *e,
                                const struct nw_ivhd_entry *before, struct nw_error *err)
{
    switch (e->type) {
    case NW_IVHD_ALL: return add_devices(d, b->segment, 0, 0xffff, err);
    case NW_IVHD_SELECT:
    case NW_IVHD_ALIAS_SELECT:
    case NW_IVHD_EXT_SELECT:
    case NW_IVHD_ACPI_HID: return add_devices(d, b->segment, e->device, e->device, err);
    case NW_IVHD_RANGE_END:
        return before && begins_range(before->type) ? add_devices(d, b->segment, before->device, e->device, err)
                                                    : NW_OK;
    case NW_IVHD_SPECIAL: {
        struct nw_dump_special *s = nw_reader_grow(&d->special, &d->specials, sizeof *s);
        if (!s)
            return nw_fail_nomem(err, "the devices of a table");
        *s = (struct nw_dump_special){ .variety = e->variety, .handle = e->handle, .device = e->device };
        return NW_OK;
    }
    default: return NW_OK;
    }
}

/* Linux goes by the blocks of one type: the highest up to 40h that the first block's unit has (get_highest_supported_ivhd_type), and
 * numbers the units in the order of these. */
static uint8_t type_of_units(const struct nw_ivrs *ivrs)
{
    uint8_t type = 0;
    uint16_t first = 0;
    for (size_t i = 0; i < ivrs->blocks; i++) {
        const struct nw_ivrs_block *b = &ivrs->block[i];
        if (!nw_ivrs_is_ivhd(b->type) || b->type > NW_IVHD_40 || (type && b->device != first))
            continue;
        first = b->device;
        type = b->type > type ? b->type : type;
    }
    return type;
}

static enum nw_status add_unit(struct nw_dump *d, const struct nw_ivrs_block *b, struct nw_error *err)
{
    struct nw_dump_ivhd *u = nw_reader_grow(&d->amd.ivhd, &d->amd.ivhds, sizeof *u);
    if (!u)
        return nw_fail_nomem(err, "the units of a table");
    *u = (struct nw_dump_ivhd){
        .segment = b->segment, .device_id = b->device, .base = b->base, .has_efr = b->type != NW_IVHD_10, .efr = b->efr
    };
    return NW_OK;
}

enum nw_status nw_dump_add_ivrs(struct nw_dump *d, const struct nw_ivrs *ivrs, unsigned input, struct nw_error *err)
{
    d->has_ivrs = true;
    d->ivrs_place = place(input, 0);
    d->amd.ivrs_info = ivrs->info;
    const uint8_t type = type_of_units(ivrs);
    for (size_t i = 0; i < ivrs->blocks; i++) {
        const struct nw_ivrs_block *b = &ivrs->block[i];
        if (!nw_ivrs_is_ivhd(b->type))
            continue;
        if (b->type == type) {
            const enum nw_status s = add_unit(d, b, err);
            if (s)
                return s;
        }
        struct nw_dump_device_range *u = nw_reader_grow(&d->units_of_ivrs, &d->ivrs_units, sizeof *u);
        if (!u)
            return nw_fail_nomem(err, "the units of a table");
        *u = (struct nw_dump_device_range){ b->segment, b->device, b->device };
        for (size_t k = b->first_entry; k < b->first_entry + b->entries; k++) {
            const enum nw_status s =
                add_entry(d, b, &ivrs->entry[k], k > b->first_entry ? &ivrs->entry[k - 1] : NULL, err);
            if (s)
                return s;
        }
    }
    return NW_OK;
}

/* ---- MADT ---------------------------------------------------------------------------------------- */

static enum nw_status add_madt(struct nw_dump *d, const struct nw_madt *madt, unsigned input, struct nw_error *err)
{
    for (size_t i = 0; i < madt->ioapics; i++) {
        struct nw_dump_ioapic *a = nw_reader_grow(&d->ioapic, &d->ioapics, sizeof *a);
        if (!a)
            return nw_fail_nomem(err, "the I/O APICs of a table");
        *a = (struct nw_dump_ioapic){ madt->ioapic[i].id, place(input, madt->ioapic[i].offset) };
    }
    return NW_OK;
}

/* ---- any of them --------------------------------------------------------------------------------- */

enum nw_status nw_dump_add_table(struct nw_dump *d, const struct nw_acpi_table *table, unsigned input,
                                 struct nw_error *err)
{
    enum nw_status s;
    if (table->kind == NW_ACPI_DMAR) {
        struct nw_dmar dmar;
        if ((s = nw_dmar_decode(table, &dmar, err)))
            return s;
        s = nw_dump_add_dmar(d, &dmar, input, err);
        nw_dmar_fini(&dmar);
    } else if (table->kind == NW_ACPI_IVRS) {
        struct nw_ivrs ivrs;
        if ((s = nw_ivrs_decode(table, &ivrs, err)))
            return s;
        s = nw_dump_add_ivrs(d, &ivrs, input, err);
        nw_ivrs_fini(&ivrs);
    } else {
        struct nw_madt madt;
        if ((s = nw_madt_decode(table, &madt, err)))
            return s;
        s = add_madt(d, &madt, input, err);
        nw_madt_fini(&madt);
    }
    return s;
}
