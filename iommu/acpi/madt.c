/* madt.c - the I/O APICs and processors of a MADT. */
#include "acpi_internal.h"
#include <stdlib.h>

enum { LOCAL_APIC = 0, IO_APIC = 1, LOCAL_X2APIC = 9, ENTRY_HEADER_BYTES = 2 };
enum { LOCAL_APIC_BYTES = 8, IO_APIC_BYTES = 12, LOCAL_X2APIC_BYTES = 16 };

static void take_processor(struct nw_madt *m, uint32_t id, uint32_t flags)
{
    if (!(flags & 1)) /* Enabled */
        return;
    m->processors++;
    if (id > m->highest_apic_id)
        m->highest_apic_id = id;
}

static uint32_t bytes_of(uint8_t type)
{
    return type == LOCAL_APIC     ? LOCAL_APIC_BYTES
           : type == IO_APIC      ? IO_APIC_BYTES
           : type == LOCAL_X2APIC ? LOCAL_X2APIC_BYTES
                                  : ENTRY_HEADER_BYTES;
}

enum nw_status nw_madt_decode(const struct nw_acpi_table *table, struct nw_madt *out, struct nw_error *err)
{
    struct nw_madt m = { .ioapic = NULL };
    const uint32_t end = nw_acpi_end(table);
    enum nw_status s = NW_OK;
    for (uint32_t at = NW_ACPI_MADT_FIXED_BYTES; at < end && !s;) {
        const uint8_t *p = table->bytes + at;
        const uint8_t type = p[0], length = end - at >= ENTRY_HEADER_BYTES ? p[1] : 0;
        if (length < bytes_of(type) || length > end - at) {
            s = nw_acpi_problem_add(&m.problems, err, at, p, end - at,
                                    "entry of type %u: length %u with %u bytes left, at least %u", type, length,
                                    end - at, bytes_of(type));
            break;
        }
        m.entries++;
        if (type == LOCAL_APIC)
            take_processor(&m, p[3], get32(p + 4));
        else if (type == LOCAL_X2APIC)
            take_processor(&m, get32(p + 4), get32(p + 8));
        else if (type == IO_APIC) {
            struct nw_madt_ioapic *a = nw_acpi_grow((void **)&m.ioapic, &m.ioapics, sizeof *a);
            if (!a)
                s = nw_fail_nomem(err, "the I/O APICs of a table");
            else
                *a = (struct nw_madt_ioapic){
                    .offset = at, .id = p[2], .address = get32(p + 4), .first_interrupt = get32(p + 8)
                };
        }
        at += length;
    }
    if (s)
        nw_madt_fini(&m);
    *out = m;
    return s;
}

void nw_madt_fini(struct nw_madt *madt)
{
    free(madt->ioapic);
    free(madt->problems.at);
    *madt = (struct nw_madt){ .ioapic = NULL };
}
