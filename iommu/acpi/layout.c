/* layout.c - a table laid out part by part and field by field. Where the parts are, the decoders say; layout_fields.c, what is in them. */
#include "acpi_internal.h"
#include "layout_fields.h"
#include <ctype.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- putting together ------------------------------------------------------------------------------ */

struct maker {
    const struct nw_acpi_table *table;
    struct nw_acpi_layout *out;
    uint32_t at;  /* the first byte that no part or field has yet */
    uint32_t end; /* of the part of depth 0 */
    bool no_memory;
};

static void add_part(struct maker *m, unsigned depth, const char *name, uint32_t length)
{
    struct nw_acpi_part *p = nw_acpi_grow((void **)&m->out->part, &m->out->parts, sizeof *p);
    m->no_memory |= !p;
    if (p)
        *p = (struct nw_acpi_part){
            .name = name, .offset = m->at, .length = length, .depth = depth, .first_field = m->out->fields
        };
}

static void add_field(struct maker *m, const struct nw_acpi_field_row *row, uint32_t bytes)
{
    struct nw_acpi_field *f = nw_acpi_grow((void **)&m->out->field, &m->out->fields, sizeof *f);
    m->no_memory |= !f;
    if (!f)
        return;
    *f = (struct nw_acpi_field){
        .name = row->name, .offset = m->at, .bytes = bytes, .form = row->form, .bits = row->bits, .choice = row->choice
    };
    m->out->part[m->out->parts - 1].fields++;
    m->at += bytes;
}

static void add_rest(struct maker *m, const char *name, enum nw_acpi_form form, uint32_t end)
{
    if (end > m->at)
        add_field(m, &(struct nw_acpi_field_row){ .name = name, .form = form }, end - m->at);
}

static void add_rows(struct maker *m, const struct nw_acpi_field_row *row)
{
    for (; row->name && !m->no_memory; row++)
        add_field(m, row, row->bytes);
}

/* The bytes up to `end` are in no part that could be decoded. */
static void skip_to(struct maker *m, unsigned depth, uint32_t end)
{
    if (end <= m->at || m->no_memory)
        return;
    add_part(m, depth, "not decoded", end - m->at);
    if (!m->no_memory)
        add_rest(m, "bytes", NW_ACPI_BYTES, end);
}

static void lay_scope(struct maker *m, const struct nw_dmar_scope *s, uint16_t structure)
{
    static const struct nw_acpi_field_row step = { .name = "path", .form = NW_ACPI_STEP };
    skip_to(m, 1, s->offset);
    add_part(m, 1, "device scope", s->length);
    add_rows(m, structure == NW_DMAR_SATC || structure == NW_DMAR_SIDP ? nw_acpi_dmar_scope_with_flags
                                                                       : nw_acpi_dmar_scope);
    for (unsigned i = 0; i < s->hops && !m->no_memory; i++)
        add_field(m, &step, 2);
}

/* ANDD: the name with its NUL, and what stands behind it to fill the structure. */
static void lay_name(struct maker *m)
{
    const uint8_t *first = m->table->bytes + m->at, *nul = memchr(first, 0, m->end - m->at);
    add_rest(m, "ACPI object name", NW_ACPI_TEXT, nul ? m->at + (uint32_t)(nul - first) + 1 : m->end);
    if (!m->no_memory)
        add_rest(m, "padding", NW_ACPI_RESERVED, m->end);
}

static void lay_structure(struct maker *m, const struct nw_dmar *d, size_t index)
{
    const struct nw_dmar_structure *x = &d->structure[index];
    skip_to(m, 0, x->offset);
    add_part(m, 0, nw_dmar_type_name(x->type), x->length);
    m->end = x->offset + x->length;
    add_rows(m, nw_acpi_dmar_fields(x->type));
    if (m->no_memory)
        return;
    if (x->type == NW_DMAR_ANDD)
        lay_name(m);
    else if (x->type >= NW_DMAR_TYPES || x->type == NW_DMAR_RHSA)
        add_rest(m, "bytes", NW_ACPI_BYTES, m->end);
    for (size_t i = x->first_scope; i < x->first_scope + x->scopes && !m->no_memory; i++)
        lay_scope(m, &d->scope[i], x->type);
    skip_to(m, 1, m->end);
}

static void lay_entry(struct maker *m, const struct nw_ivhd_entry *e)
{
    skip_to(m, 1, e->offset);
    add_part(m, 1, "device entry", e->length);
    add_rows(m, nw_acpi_ivhd_fields(e->type));
    if (m->no_memory)
        return;
    uint32_t end = e->offset + e->length;
    if (e->type == NW_IVHD_ACPI_HID)
        add_rest(m, "unique id", e->uid_format == 2 ? NW_ACPI_TEXT : NW_ACPI_BYTES, end);
    else
        add_rest(m, "bytes", NW_ACPI_BYTES, end);
}

static void lay_block(struct maker *m, const struct nw_ivrs *v, size_t index)
{
    const struct nw_ivrs_block *b = &v->block[index];
    skip_to(m, 0, b->offset);
    add_part(m, 0, nw_ivrs_type_name(b->type), b->length);
    m->end = b->offset + b->length;
    add_rows(m, nw_acpi_ivrs_fields(b->type, b->length));
    if (m->no_memory)
        return;
    if (!nw_ivrs_is_ivhd(b->type))
        add_rest(m, "bytes", NW_ACPI_BYTES, m->end);
    for (size_t i = b->first_entry; i < b->first_entry + b->entries && !m->no_memory; i++)
        lay_entry(m, &v->entry[i]);
    skip_to(m, 1, m->end);
}

static void lay_header(struct maker *m)
{
    add_part(m, 0, "header", NW_ACPI_FIXED_BYTES);
    add_rows(m, m->table->kind == NW_ACPI_DMAR ? nw_acpi_dmar_header : nw_acpi_ivrs_header);
}

enum nw_status nw_acpi_layout_make(const struct nw_acpi_table *table, struct nw_acpi_layout *out, struct nw_error *err)
{
    enum nw_status s;
    *out = (struct nw_acpi_layout){ 0 };
    struct maker m = { .table = table, .out = out };
    lay_header(&m);
    if (table->kind == NW_ACPI_DMAR) {
        struct nw_dmar d;
        if ((s = nw_dmar_decode(table, &d, err)))
            goto out;
        for (size_t i = 0; i < d.structures && !m.no_memory; i++)
            lay_structure(&m, &d, i);
        nw_dmar_fini(&d);
    } else {
        struct nw_ivrs v;
        if ((s = nw_ivrs_decode(table, &v, err)))
            goto out;
        for (size_t i = 0; i < v.blocks && !m.no_memory; i++)
            lay_block(&m, &v, i);
        nw_ivrs_fini(&v);
    }
    skip_to(&m, 0, nw_acpi_end(table));
    skip_to(&m, 0, table->size); /* what the header's length leaves out */
    if (m.no_memory)
        s = nw_fail_nomem(err, "the layout of a table");
out:
    if (s)
        nw_acpi_layout_fini(out);
    return s;
}

void nw_acpi_layout_fini(struct nw_acpi_layout *layout)
{
    free(layout->part);
    free(layout->field);
    *layout = (struct nw_acpi_layout){ 0 };
}

/* ---- values as text -------------------------------------------------------------------------------- */

uint64_t nw_acpi_field_value(const struct nw_acpi_table *table, const struct nw_acpi_field *field)
{
    uint64_t value = 0;
    for (uint32_t i = field->bytes < 8 ? field->bytes : 8; i-- > 0;)
        value = value << 8 | table->bytes[field->offset + i];
    return value;
}

struct writer {
    char *text;
    size_t room, used;
};

static void write(struct writer *w, const char *format, ...) NW_PRINTF(2, 3);
static void write(struct writer *w, const char *format, ...)
{
    va_list ap;
    if (w->used + 1 >= w->room)
        return;
    va_start(ap, format);
    int n = vsnprintf(w->text + w->used, w->room - w->used, format, ap);
    va_end(ap);
    if (n > 0)
        w->used = w->used + (size_t)n < w->room ? w->used + (size_t)n : w->room - 1;
}

/* " (INTR_REMAP, HATS=2, 0x20 not defined)"; one bit is named when it is set, a wider field when it is not 0. */
static void write_bits(struct writer *w, const struct nw_acpi_field *f, uint64_t value)
{
    const char *before = " (";
    uint64_t left = value;
    for (const struct nw_acpi_bits *b = f->bits; b && b->name; b++) {
        uint64_t part = nw_field(value, b->high, b->low);
        left &= ~nw_mask(b->high, b->low);
        if (part && b->low == b->high)
            write(w, "%s%s", before, b->name);
        else if (part)
            write(w, "%s%s=%llu", before, b->name, (unsigned long long)part);
        if (part)
            before = ", ";
    }
    if (f->bits && left) {
        write(w, "%s0x%llx not defined", before, (unsigned long long)left);
        before = ", ";
    }
    if (*before == ',')
        write(w, ")");
}

static void write_choice(struct writer *w, const struct nw_acpi_field *f, uint64_t value)
{
    const struct nw_acpi_choice *c = f->choice;
    while (c && c->name && c->value != value)
        c++;
    if (c)
        write(w, " (%s)", c->name ? c->name : "unknown");
}

static void write_bytes(struct writer *w, const uint8_t *p, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        write(w, "%s%02x", i ? " " : "", p[i]);
}

static void write_text(struct writer *w, const uint8_t *p, uint32_t bytes)
{
    write(w, "\"");
    for (uint32_t i = 0; i < bytes && p[i]; i++)
        if (isascii(p[i]) && isprint(p[i]) && p[i] != '"')
            write(w, "%c", p[i]);
        else
            write(w, "\\x%02x", p[i]);
    write(w, "\"");
}

void nw_acpi_field_text(const struct nw_acpi_table *table, const struct nw_acpi_field *f, char *text, size_t room)
{
    struct writer w = { text, room, 0 };
    const uint8_t *p = table->bytes + f->offset;
    const uint64_t value = nw_acpi_field_value(table, f);
    const unsigned v = (unsigned)value;
    text[0] = 0;
    switch (f->form) {
    case NW_ACPI_HEX:
        write(&w, "0x%0*llx", (int)(2 * f->bytes), (unsigned long long)value);
        write_bits(&w, f, value);
        break;
    case NW_ACPI_DECIMAL: write(&w, "%llu", (unsigned long long)value); break;
    case NW_ACPI_WIDTH: write(&w, "%u (%u bits)", v, v + 1); break;
    case NW_ACPI_PAGES:
        write(&w, "0x%02x (%u KiB%s)", v, 4u << (v & 15), v & 0xf0 ? ", upper bits reserved" : "");
        break;
    case NW_ACPI_DEVICE: write(&w, "%02x:%02x.%x", v >> 8, v >> 3 & 31, v & 7); break;
    case NW_ACPI_STEP: write(&w, "%02x.%x", p[0], p[1]); break;
    case NW_ACPI_TEXT: write_text(&w, p, f->bytes); break;
    case NW_ACPI_RESERVED:
        if (f->bytes <= 8)
            write(&w, "0x%0*llx", (int)(2 * f->bytes), (unsigned long long)value);
        else
            write_bytes(&w, p, f->bytes);
        break;
    case NW_ACPI_BYTES: write_bytes(&w, p, f->bytes); break;
    }
    write_choice(&w, f, value);
}
