#include "reports_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_room(struct text *t, size_t more)
{
    if (t->failed)
        return false;
    size_t need = t->bytes + more + 1;
    if (need <= t->capacity)
        return true;
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    char *grown = realloc(t->p, capacity);
    if (!grown) {
        t->failed = true;
        return false;
    }
    t->p = grown;
    t->capacity = capacity;
    return true;
}

void text_add_bytes(struct text *t, const char *s, size_t bytes)
{
    if (!text_room(t, bytes))
        return;
    memcpy(t->p + t->bytes, s, bytes);
    t->bytes += bytes;
    t->p[t->bytes] = 0;
}

void text_add(struct text *t, const char *s) { text_add_bytes(t, s, strlen(s)); }

void text_printf(struct text *t, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int need = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (need < 0)
        t->failed = true;
    else if (text_room(t, (size_t)need)) {
        vsnprintf(t->p + t->bytes, (size_t)need + 1, format, again);
        t->bytes += (size_t)need;
    }
    va_end(again);
}

void text_add_html(struct text *t, const char *s)
{
    for (; *s; s++)
        switch (*s) {
        case '<': text_add(t, "&lt;"); break;
        case '>': text_add(t, "&gt;"); break;
        case '&': text_add(t, "&amp;"); break;
        case '"': text_add(t, "&quot;"); break;
        case '\'': text_add(t, "&#39;"); break;
        default: text_add_bytes(t, s, 1);
        }
}

void text_add_csv(struct text *t, const char *s)
{
    if (!strpbrk(s, "\",\r\n")) {
        text_add(t, s);
        return;
    }
    text_add(t, "\"");
    for (; *s; s++)
        text_add(t, *s == '"' ? "\"\"" : (char[]){ *s, 0 });
    text_add(t, "\"");
}

enum nw_status text_take(struct text *t, char **out, const char *what, struct nw_error *err)
{
    text_add(t, ""); /* an empty text is a string as well */
    if (t->failed) {
        text_free(t);
        return nw_fail_nomem(err, what);
    }
    *out = t->p;
    *t = (struct text){ 0 };
    return NW_OK;
}

void text_free(struct text *t)
{
    free(t->p);
    *t = (struct text){ 0 };
}

/* Bytes of the well-formed UTF-8 character at `s`; 0 when there is none (RFC 3629, "Syntax of UTF-8 Byte Sequences"). */
static size_t utf8_character(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t bytes = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f, too_large = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : bytes;
}

void utf8_copy(char *out, size_t out_size, const char *in)
{
    size_t used = 0;
    while (*in) {
        size_t bytes = utf8_character((const unsigned char *)in), step = bytes ? bytes : 1;
        const char *from = bytes ? in : "\xef\xbf\xbd";
        bytes = bytes ? bytes : 3;
        if (used + bytes + 1 > out_size)
            break;
        memcpy(out + used, from, bytes);
        used += bytes;
        in += step;
    }
    out[used] = 0;
}

char *utf8_dup(const char *in)
{
    size_t room = 3 * strlen(in) + 1;
    char *copy = malloc(room);
    if (copy)
        utf8_copy(copy, room, in);
    return copy;
}

void real_text(double v, char out[32])
{
    if (!isfinite(v)) {
        strcpy(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            return;
    }
}
