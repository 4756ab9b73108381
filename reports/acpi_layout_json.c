/* Laid-out firmware tables as JSON. */
#include "reports_internal.h"
#include <nestwalk/reports/acpi_layout.h>
#include <stdio.h>
#include <stdlib.h>

/* The value twice: byte by byte, and as it is read. A byte takes at most four characters; names of bits and choices come on top. */
static bool put_value(json_t *o, const struct nw_acpi_table *t, const struct nw_acpi_field *f)
{
    const size_t room = 4 * (size_t)f->bytes + 512;
    char *text = malloc(room);
    if (!text)
        return false;
    for (uint32_t i = 0; i < f->bytes; i++)
        sprintf(text + 2 * (size_t)i, "%02x", t->bytes[f->offset + i]);
    bool ok = json_put(o, "hex", json_text(text));
    nw_acpi_field_text(t, f, text, room);
    ok = ok && json_put(o, "text", json_text(text));
    free(text);
    return ok;
}

static json_t *field_json(const struct nw_acpi_table *t, const struct nw_acpi_field *f)
{
    json_t *o = json_object();
    if (o && json_put(o, "name", json_text(f->name)) && json_put(o, "offset", json_count(f->offset)) &&
        json_put(o, "bytes", json_count(f->bytes)) && put_value(o, t, f))
        return o;
    json_decref(o);
    return NULL;
}

static json_t *part_json(const struct nw_laid_table *t, const struct nw_acpi_part *p)
{
    json_t *o = json_object(), *fields = json_array();
    bool ok = o && fields && json_put(o, "part", json_text(p->name)) && json_put(o, "offset", json_count(p->offset)) &&
              json_put(o, "length", json_count(p->length));
    for (size_t i = p->first_field; i < p->first_field + p->fields && ok; i++)
        ok = !json_array_append_new(fields, field_json(t->table, &t->layout.field[i]));
    ok = ok && !json_object_set(o, "fields", fields) && (p->depth || json_put(o, "parts", json_array()));
    json_decref(fields);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *table_json(const struct nw_laid_table *t)
{
    json_t *o = json_object(), *parts = json_array(), *inner = NULL;
    bool ok = o && parts && json_put(o, "file", json_text(t->file)) &&
              (!t->table->line || json_put(o, "line", json_count(t->table->line))) &&
              json_put(o, "kind", json_text(nw_acpi_kind_name(t->table->kind))) &&
              json_put(o, "length", json_count(t->table->length)) && json_put(o, "bytes", json_count(t->table->size));
    for (size_t i = 0; i < t->layout.parts && ok; i++) {
        const struct nw_acpi_part *p = &t->layout.part[i];
        json_t *part = part_json(t, p);
        ok = part && !json_array_append_new(p->depth ? inner : parts, part);
        if (ok && !p->depth)
            inner = json_object_get(part, "parts");
    }
    ok = ok && !json_object_set(o, "parts", parts);
    json_decref(parts);
    if (ok)
        return o;
    json_decref(o);
    return NULL;
}

enum nw_status nw_acpi_layout_json_text(const struct nw_laid_table *table, size_t count, char **out,
                                        struct nw_error *err)
{
    json_t *root = json_object(), *tables = json_array();
    struct text t = { 0 };
    bool ok = root && tables;
    for (size_t i = 0; i < count && ok; i++)
        ok = !json_array_append_new(tables, table_json(&table[i]));
    ok = ok && !json_object_set(root, "tables", tables);
    if (ok)
        json_write(&t, root);
    json_decref(tables);
    json_decref(root);
    return ok ? text_take(&t, out, "the tables' JSON", err) : nw_fail_nomem(err, "the tables' JSON");
}
