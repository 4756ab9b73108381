/* Texts by lines and words. */
#include "reader.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool nw_reader_next(struct reader *r)
{
    if (r->at == r->end)
        return false;
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t length = (size_t)((stop ? stop : r->end) - r->at);
    size_t kept = length < sizeof r->line ? length : sizeof r->line - 1;
    memcpy(r->line, r->at, kept);
    r->line[kept] = 0;
    for (size_t i = 0; i < kept; i++)
        if (!r->line[i] || r->line[i] == '\r')
            r->line[i] = ' ';
    r->at += length + (stop ? 1 : 0);
    r->line_number++;
    memcpy(r->words, r->line, kept + 1);
    r->count = 0;
    for (char *w = strtok(r->words, " \t"); w && r->count < WORDS_MAX; w = strtok(NULL, " \t"))
        r->word[r->count++] = w;
    return true;
}

bool nw_reader_hex(const char *text, uint64_t *out)
{
    char *end;
    if (!isxdigit((unsigned char)*text))
        return false;
    *out = strtoull(text, &end, 16);
    return !*end || *end == ':' || *end == ',';
}

/* "0x1:0x2": first and second. */
bool nw_reader_pair(const char *text, uint64_t *first, uint64_t *second)
{
    const char *colon = strchr(text, ':');
    return colon && nw_reader_hex(text, first) && nw_reader_hex(colon + 1, second);
}

/* "SSSS:BB:DD.F" or "BB:DD.F" and nothing behind it. */
bool nw_reader_function(const char *text, uint16_t *segment, uint16_t *bdf)
{
    unsigned s = 0, b, d, f;
    int used = 0;
    if ((sscanf(text, "%4x:%2x:%2x.%1x%n", &s, &b, &d, &f, &used) != 4 || text[used]) &&
        (s = 0, used = 0, sscanf(text, "%2x:%2x.%1x%n", &b, &d, &f, &used) != 3 || text[used]))
        return false;
    if (d > 31 || f > 7)
        return false;
    *segment = (uint16_t)s;
    *bdf = (uint16_t)(b << 8 | d << 3 | f);
    return true;
}

struct nw_dump_place nw_reader_place(const struct reader *r)
{
    return (struct nw_dump_place){ .input = r->input, .line = r->line_number };
}

enum nw_status nw_reader_bad(const struct reader *r, struct nw_error *err, const char *expected)
{
    return nw_fail(err, NW_ERR_INPUT, "%s:%u: expected %s, found \"%.80s\"", r->file, r->line_number, expected,
                   r->line);
}

struct nw_dump_unit *nw_reader_unit(struct reader *r, const char *name, uint64_t base)
{
    struct nw_dump_unit *u = NULL;
    for (size_t i = 0; i < r->d->units && !u; i++) {
        struct nw_dump_unit *known = &r->d->unit[i];
        if ((base && known->base == base) || (*name && !strcmp(known->name, name) && (!base || !known->base)))
            u = known;
    }
    if (!u) {
        u = nw_reader_grow(&r->d->unit, &r->d->units, sizeof *u);
        if (!u)
            return NULL;
        u->place = nw_reader_place(r);
    }
    if (base)
        u->base = base;
    if (!*u->name)
        snprintf(u->name, sizeof u->name, "%.15s", name);
    return u;
}

void nw_reader_register(const struct reader *r, struct nw_dump_unit *u, enum nw_dump_register which, uint64_t value)
{
    u->has[which] = true;
    u->value[which] = value;
    u->at[which] = nw_reader_place(r);
}
