#include "reports_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_LINE_MAX = 100 };

bool json_put(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value) == 0; }

json_t *json_text(const char *utf8) { return json_string(utf8 ? utf8 : ""); }

json_t *json_hex(uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
    return json_text(text);
}

json_t *json_count(uint64_t v) { return v <= INT64_MAX ? json_integer((json_int_t)v) : json_real((double)v); }

json_t *json_number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static void write_string(struct text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            text_printf(t, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            text_printf(t, "\\u%04x", c);
        else
            text_add_bytes(t, s, 1);
    }
    text_add(t, "\"");
}

static void write_scalar(struct text *t, const json_t *value)
{
    char number[32];
    switch (json_typeof(value)) {
    case JSON_STRING: write_string(t, json_string_value(value)); break;
    case JSON_INTEGER: text_printf(t, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL:
        real_text(json_real_value(value), number);
        text_add(t, number);
        break;
    case JSON_TRUE: text_add(t, "true"); break;
    case JSON_FALSE: text_add(t, "false"); break;
    default: text_add(t, "null"); break;
    }
}

static bool is_container(const json_t *value) { return json_is_object(value) || json_is_array(value); }

/* A container of scalars only (or of nothing) may stand on one line. */
static bool is_flat(const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, item) if (is_container(item)) return false;
    } else {
        json_array_foreach(value, i, item) if (is_container(item)) return false;
    }
    return true;
}

static void write_value(struct text *t, const json_t *value, unsigned depth, size_t column);

static void write_items(struct text *t, const json_t *value, unsigned depth, bool one_line)
{
    const char *separator = "", *key;
    json_t *item;
    size_t i;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, item)
        {
            text_add(t, separator);
            if (!one_line)
                text_printf(t, "\n%*s", (int)(2 * depth), "");
            size_t start = t->bytes;
            write_string(t, key);
            text_add(t, ": ");
            write_value(t, item, depth, 2 * depth + t->bytes - start);
            separator = one_line ? ", " : ",";
        }
    } else {
        json_array_foreach(value, i, item)
        {
            text_add(t, separator);
            if (!one_line)
                text_printf(t, "\n%*s", (int)(2 * depth), "");
            write_value(t, item, depth, 2 * depth);
            separator = one_line ? ", " : ",";
        }
    }
}

static void write_value(struct text *t, const json_t *value, unsigned depth, size_t column)
{
    if (!is_container(value)) {
        write_scalar(t, value);
        return;
    }
    const char *open = json_is_object(value) ? "{" : "[", *close = json_is_object(value) ? "}" : "]";
    size_t start = t->bytes;
    if (is_flat(value)) {
        text_add(t, open);
        write_items(t, value, depth, true);
        text_add(t, close);
        if (t->failed || column + t->bytes - start < JSON_LINE_MAX)
            return;
        t->bytes = start; /* too long for a line after all */
    }
    text_add(t, open);
    write_items(t, value, depth + 1, false);
    text_printf(t, "\n%*s%s", (int)(2 * depth), "", close);
}

void json_write(struct text *t, const json_t *value) { write_value(t, value, 0, 0); }
