/* param_value.c - a parameter's value as text, and back. */
#include "params.h"
#include <errno.h>
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char suffixes[] = "KMGTP"; /* powers of 1024 */

static bool parse_count(const char *text, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    uint64_t v = strtoull(text, &end, 0);
    if (errno || end == text)
        return false;
    if (*end) {
        const char *suffix = strchr(suffixes, *end >= 'a' ? *end - 32 : *end);
        if (!suffix || end[1])
            return false;
        unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);
        if (v > UINT64_MAX >> shift)
            return false;
        v <<= shift;
    }
    *out = v;
    return true;
}

static void format_count(uint64_t v, bool bytes, char *out, size_t size)
{
    int suffix = -1;
    while (bytes && v && !(v & 1023) && suffix < 4) {
        v >>= 10;
        suffix++;
    }
    if (suffix < 0)
        snprintf(out, size, "%" PRIu64, v);
    else
        snprintf(out, size, "%" PRIu64 "%c", v, suffixes[suffix]);
}

static void list_choices(const struct nw_param *p, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (const char *const *c = p->choices; *c && used < size; c++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", c == p->choices ? "" : ", ", *c);
}

static int choice_index(const struct nw_param *p, const char *name, size_t length)
{
    for (int i = 0; p->choices[i]; i++)
        if (strlen(p->choices[i]) == length && !strncasecmp(p->choices[i], name, length))
            return i;
    return -1;
}

static bool parse_set(const struct nw_param *p, const char *value, uint64_t *out)
{
    uint64_t set = 0;
    for (const char *at = value; *at;) {
        size_t length = strcspn(at, " ,");
        if (length) {
            int i = choice_index(p, at, length);
            if (i < 0)
                return false;
            set |= NW_BIT(i);
        }
        at += length + (at[length] != 0);
    }
    *out = set;
    return set != 0;
}

static enum nw_status store(void *place, uint64_t v)
{
    memcpy(place, &v, sizeof v);
    return NW_OK;
}

static enum nw_status refuse_number(const struct nw_param *p, const char *path, const char *value, struct nw_error *err)
{
    char low[32], high[32];
    if (p->type == NW_PARAM_REAL) {
        snprintf(low, sizeof low, "%g", p->min);
        snprintf(high, sizeof high, "%g", p->max);
    } else {
        format_count((uint64_t)p->min, p->type == NW_PARAM_BYTES, low, sizeof low);
        format_count((uint64_t)p->max, p->type == NW_PARAM_BYTES, high, sizeof high);
    }
    return nw_fail(err, NW_ERR_USAGE, "%s=%s: expected %s from %s to %s%s%s", path, value,
                   p->type == NW_PARAM_REAL ? "a number" : "a whole number (K, M, G, T, P allowed)", low, high,
                   p->unit[0] ? " " : "", p->unit);
}

enum nw_status nw_param_parse(const struct nw_param *p, const char *path, const char *value, void *place,
                              struct nw_error *err)
{
    char allowed[160];
    uint64_t v;
    switch (p->type) {
    case NW_PARAM_COUNT:
    case NW_PARAM_BYTES:
        if (!parse_count(value, &v) || (double)v < p->min || (double)v > p->max)
            return refuse_number(p, path, value, err);
        return store(place, v);
    case NW_PARAM_REAL: {
        char *end;
        double d = strtod(value, &end);
        if (end == value || *end || !(d >= p->min && d <= p->max))
            return refuse_number(p, path, value, err);
        memcpy(place, &d, sizeof d);
        return NW_OK;
    }
    case NW_PARAM_BOOL:
        if (!strcmp(value, "1") || !strcasecmp(value, "true") || !strcasecmp(value, "yes") || !strcasecmp(value, "on"))
            return store(place, 1);
        if (!strcmp(value, "0") || !strcasecmp(value, "false") || !strcasecmp(value, "no") || !strcasecmp(value, "off"))
            return store(place, 0);
        return nw_fail(err, NW_ERR_USAGE, "%s=%s: expected 0, 1, true or false", path, value);
    case NW_PARAM_CHOICE: {
        int i = choice_index(p, value, strlen(value));
        if (i >= 0)
            return store(place, (uint64_t)i);
        list_choices(p, allowed, sizeof allowed);
        return nw_fail(err, NW_ERR_USAGE, "%s=%s: expected one of %s", path, value, allowed);
    }
    case NW_PARAM_SET:
        if (parse_set(p, value, &v))
            return store(place, v);
        list_choices(p, allowed, sizeof allowed);
        return nw_fail(err, NW_ERR_USAGE, "%s=%s: expected one or more, separated by spaces, of %s", path, value,
                       allowed);
    case NW_PARAM_TEXT:
        if (strlen(value) >= p->size)
            return nw_fail(err, NW_ERR_USAGE, "%s: expected at most %zu characters", path, p->size - 1);
        memcpy(place, value, strlen(value) + 1);
        return NW_OK;
    }
    return nw_fail(err, NW_ERR_INTERNAL, "%s: parameter of unknown type", path);
}

void nw_param_format(const struct nw_param *p, const void *place, char *out, size_t out_size)
{
    uint64_t v = 0;
    if (p->type == NW_PARAM_TEXT) {
        snprintf(out, out_size, "%s", (const char *)place);
        return;
    }
    memcpy(&v, place, sizeof v);
    switch (p->type) {
    case NW_PARAM_REAL: {
        double d;
        memcpy(&d, place, sizeof d);
        snprintf(out, out_size, "%.10g", d);
        break;
    }
    case NW_PARAM_CHOICE: snprintf(out, out_size, "%s", p->choices[v]); break;
    case NW_PARAM_SET: {
        size_t used = 0;
        out[0] = 0;
        for (unsigned i = 0; p->choices[i] && used < out_size; i++)
            if (v & NW_BIT(i))
                used += (size_t)snprintf(out + used, out_size - used, "%s%s", used ? " " : "", p->choices[i]);
        break;
    }
    default: format_count(v, p->type == NW_PARAM_BYTES, out, out_size); break;
    }
}
