/* One request of a recorded case of DMA remapping, with the tables as they stand before it. */
#include "conform_internal.h"
#include <nestwalk/reports/vtd_walk.h>
#include <nestwalk/traces/input.h>
#include <stdio.h>
#include <string.h>

#define TRANSLATION_ON NW_BIT(31) /* GCMD.TE */

struct reader {
    struct nw_vtd_case *c;
    uint64_t wanted, requests; /* number of the request wanted; requests met */
    bool on;                   /* GSTS.TES */
};

static bool wrong(struct nw_error *err, const char *what)
{
    (void)nw_fail(err, NW_ERR_INPUT, "%s", what);
    return false;
}

/* The requests before the one wanted are made too: they set accessed and dirty flags. */
static bool step_dma(struct reader *r, const json_t *step, struct nw_error *err)
{
    struct nw_vtd_request q = { 0 };
    struct nw_vtd_result unused;
    uint64_t source, write;
    if (!conform_word(step, "sid", &source, err) || !conform_number(step, "write", 0, 1, &write, err) ||
        !conform_word(step, "iova", &q.address, err))
        return false;
    if (source > 0xffff)
        return wrong(err, "\"sid\" must have 16 bits");
    q.source_id = (uint16_t)source;
    q.kind = write ? NW_VTD_WRITE : NW_VTD_READ;
    if (++r->requests < r->wanted) {
        if (r->on)
            nw_vtd_translate(&r->c->tables, &q, &unused);
        return true;
    }
    r->c->request = q;
    return r->on || wrong(err, "translation is off (GCMD.TE) at this request: its address is used as it is");
}

static bool run_step(struct reader *r, const json_t *step, struct nw_error *err)
{
    enum { ROOT, GCMD, MEMORY, DMA };
    static const char *const ops[] = { "root", "gcmd", "mem", "dma", "irta", "iqa", "invalidate", "msi", NULL };
    uint64_t value;
    unsigned op;
    if (!conform_choice(step, "op", ops, &op, err))
        return false;
    switch (op) {
    case ROOT: return conform_word(step, "rtaddr", &r->c->tables.rtaddr, err);
    case MEMORY: return conform_vtd_memory(r->c->pm, step, err);
    case DMA: return step_dma(r, step, err);
    case GCMD:
        if (!conform_word(step, "val", &value, err))
            return false;
        r->on = value & TRANSLATION_ON;
        return true;
    default: return true; /* nothing that the tables alone depend on */
    }
}

static bool make_tables(struct nw_vtd_case *c, const json_t *record, struct nw_error *err)
{
    struct nw_vtd_capabilities *u = &c->tables.unit;
    uint64_t haw;
    if (!conform_number(record, "haw", 36, NW_PHYS_BITS_MAX, &haw, err) || nw_physmem_create(&c->pm, err))
        return false;
    c->ram[0] = (struct nw_vtd_range){ 0, 0x80000000 };
    c->ram[1] = (struct nw_vtd_range){ 0x100000000, 0x180000000 };
    c->tables.memory = (struct nw_vtd_memory){ .pm = c->pm, .ram = c->ram, .ram_count = NW_ARRAY_LEN(c->ram) };
    u->haw = (uint8_t)haw;
    return conform_word(record, "cap", &u->cap, err) && conform_word(record, "ecap", &u->ecap, err);
}

static bool read_case(struct nw_vtd_case *c, const json_t *record, uint64_t wanted, struct nw_error *err)
{
    struct reader r = { .c = c, .wanted = wanted };
    const json_t *steps = json_object_get(record, "steps"), *step;
    size_t i;
    if (!conform_vtd_is(record))
        return wrong(err, "not a case of DMA remapping, which has \"cap\", \"ecap\" and \"steps\"");
    if (!json_is_array(steps))
        return wrong(err, "\"steps\" must be a list");
    if (!make_tables(c, record, err))
        return false;
    json_array_foreach(steps, i, step)
    {
        if (!run_step(&r, step, err))
            return false;
        if (r.requests == wanted)
            return true;
    }
    (void)nw_fail(err, NW_ERR_INPUT, "the case has %llu DMA requests, and number %llu is asked for",
                  (unsigned long long)r.requests, (unsigned long long)wanted);
    return false;
}

static bool has_id(const json_t *record, const char *id)
{
    const char *text = json_string_value(json_object_get(record, "id"));
    return text && !strcmp(text, id);
}

enum nw_status nw_vtd_case_load(struct nw_vtd_case *out, const char *path, const char *id, uint64_t line,
                                uint64_t request, struct nw_error *err)
{
    struct nw_input *in;
    char *text;
    size_t bytes;
    bool found = false;
    *out = (struct nw_vtd_case){ 0 };
    enum nw_status s = nw_input_open(&in, path, err);
    if (s)
        return s;
    while (!found && !(s = nw_input_line(in, &text, &bytes, err)) && text) {
        if (id ? !strstr(text, id) : nw_input_line_number(in) != line)
            continue;
        json_error_t at;
        struct nw_error own = { 0 };
        json_t *record = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &at);
        if (!record)
            s = nw_input_fail(in, err, "column %d: not JSON: %s", at.column, at.text);
        else if ((found = !id || has_id(record, id)) && !read_case(out, record, request, &own))
            s = own.status == NW_ERR_NOMEM ? nw_fail(err, own.status, "%s", own.text)
                                           : nw_input_fail(in, err, "%s", own.text);
        json_decref(record);
        if (s)
            break;
    }
    if (!s && !found)
        s = id ? nw_fail(err, NW_ERR_INPUT, "%s: there is no case with the id \"%s\"", path, id)
               : nw_fail(err, NW_ERR_INPUT, "%s: there is no line %llu", path, (unsigned long long)line);
    nw_input_close(in);
    if (s)
        nw_vtd_case_fini(out);
    return s;
}

void nw_vtd_case_fini(struct nw_vtd_case *c)
{
    nw_physmem_destroy(c->pm);
    c->pm = NULL;
}
