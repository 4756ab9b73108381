/* Valgrind's lackey prints "I  04016b80,3" for a fetch and " L 1ffeffe7e8,8", " S ...", " M ..." for a load, a store and a load
 * followed by a store of the same place: hexadecimal address, decimal size. Lines that begin with "==" or "--" are Valgrind's own
 * messages. (Valgrind manual, "Lackey: an example tool", --trace-mem.) */
#include "importer.h"

static const char *skip_blanks(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

/* Both leave *p behind the digits and say whether there were 1 to 16 (1 to 4) of them. */
static bool parse_hex(const char **p, uint64_t *v)
{
    const char *start = *p;
    for (*v = 0;; ++*p) {
        char c = **p;
        unsigned digit = c >= '0' && c <= '9'                     ? (unsigned)(c - '0')
                         : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (unsigned)((c | 0x20) - 'a' + 10)
                                                                  : 16;
        if (digit == 16)
            break;
        *v = *v << 4 | digit;
    }
    return *p > start && *p - start <= 16;
}

static bool parse_size(const char **p, unsigned *v)
{
    const char *start = *p;
    for (*v = 0; **p >= '0' && **p <= '9' && *p - start < 5; ++*p)
        *v = *v * 10 + (unsigned)(**p - '0');
    return *p > start && *v >= 1 && *v <= 4096;
}

static enum nw_status parse(struct nw_input *in, const char *line, struct nw_block_builder *b, struct nw_error *err)
{
    const char *p = skip_blanks(line);
    char what = *p;
    if (!what || (what == '=' && p[1] == '=') || (what == '-' && p[1] == '-') || (what == '*' && p[1] == '*'))
        return NW_OK;
    if ((what != 'I' && what != 'L' && what != 'S' && what != 'M') || (p[1] != ' ' && p[1] != '\t'))
        return nw_input_fail(in, err, "expected I, L, S or M and a blank, found \"%.40s\"", line);
    uint64_t gva;
    unsigned bytes;
    p = skip_blanks(p + 1);
    if (!parse_hex(&p, &gva) || *p++ != ',')
        return nw_input_fail(in, err, "expected a hexadecimal address of up to 16 digits and a comma, found \"%.40s\"",
                             line);
    if (!parse_size(&p, &bytes) || *skip_blanks(p))
        return nw_input_fail(in, err, "expected a size of 1 to 4096 bytes at the end, found \"%.40s\"", line);
    enum nw_access_type first = what == 'I' ? NW_FETCH : what == 'S' ? NW_STORE : NW_LOAD;
    nw_block_builder_add(b, gva, nw_kind_make(first, bytes, true));
    if (what == 'M')
        nw_block_builder_add(b, gva, nw_kind_make(NW_STORE, bytes, true));
    return NW_OK;
}

enum nw_status nw_import_lackey(struct nw_input *in, struct nw_block_builder *b, struct nw_error *err)
{
    while (b->count + 2 <= b->capacity) {
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
