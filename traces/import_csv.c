/* type,address,size[,user] a line. Addresses and sizes are decimal, or hexadecimal with 0x. A first line that begins with "type"
 * is a heading; empty lines and lines that begin with # are skipped. */
#include "importer.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIELDS_MAX = 4 };

static char *trim(char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    size_t n = strlen(p);
    while (n && isspace((unsigned char)p[n - 1]))
        p[--n] = '\0';
    return p;
}

static bool parse_number(const char *text, uint64_t *v)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    bool hex = text[0] == '0' && (text[1] | 0x20) == 'x';
    *v = strtoull(text, &end, hex ? 16 : 10);
    return !*end && !errno;
}

static bool parse_type(const char *text, enum nw_access_type *type)
{
    static const struct {
        const char *name;
        enum nw_access_type type;
    } names[] = { { "fetch", NW_FETCH }, { "load", NW_LOAD }, { "store", NW_STORE },
                  { "F", NW_FETCH },     { "I", NW_FETCH },   { "L", NW_LOAD },
                  { "R", NW_LOAD },      { "S", NW_STORE },   { "W", NW_STORE } };
    for (size_t i = 0; i < NW_ARRAY_LEN(names); i++)
        if (!strcasecmp(text, names[i].name)) {
            *type = names[i].type;
            return true;
        }
    return false;
}

static enum nw_status parse(struct nw_input *in, char *line, struct nw_block_builder *b, struct nw_error *err)
{
    char *field[FIELDS_MAX] = { 0 };
    unsigned fields = 0;
    line = trim(line);
    if (!*line || *line == '#')
        return NW_OK;
    for (char *rest = line, *f; (f = strsep(&rest, ","));) {
        if (fields == FIELDS_MAX)
            return nw_input_fail(in, err, "more than %d fields, allowed are type,address,size[,user]", FIELDS_MAX);
        field[fields++] = trim(f);
    }
    if (nw_input_line_number(in) == 1 && !strcasecmp(field[0], "type"))
        return NW_OK;
    if (fields < 3)
        return nw_input_fail(in, err, "%u fields, expected type,address,size[,user]", fields);
    enum nw_access_type type;
    uint64_t gva, bytes, user = 1;
    if (!parse_type(field[0], &type))
        return nw_input_fail(in, err, "type \"%.20s\", allowed are fetch, load, store, F, I, L, R, S, W", field[0]);
    if (!parse_number(field[1], &gva))
        return nw_input_fail(in, err, "address \"%.40s\" is no decimal or 0x number of 64 bits", field[1]);
    if (!parse_number(field[2], &bytes) || !bytes || bytes > 4096)
        return nw_input_fail(in, err, "size \"%.20s\", allowed is 1 to 4096", field[2]);
    if (field[3] && (!parse_number(field[3], &user) || user > 1))
        return nw_input_fail(in, err, "user \"%.20s\", allowed are 0 and 1", field[3]);
    nw_block_builder_add(b, gva, nw_kind_make(type, (unsigned)bytes, user));
    return NW_OK;
}

enum nw_status nw_import_csv(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err)
{
    while (!nw_block_builder_full(b)) {
        char *line;
        size_t length;
        enum nw_status s = nw_input_line(in, &line, &length, err);
        if (s || !line)
            return s;
        s = parse(in, line, b, err);
        if (s)
            return s;
    }
    return NW_OK;
}
