/* A recorded case of DMA or interrupt remapping: steps against a remapping unit that starts with everything off. */
#include "conform_internal.h"
#include <nestwalk/iommu/vtd.h>
#include <stdio.h>
#include <string.h>

#define LL(x) ((unsigned long long)(x))

static const struct nw_vtd_range ram[] = { { 0, 0x80000000 }, { 0x100000000, 0x180000000 } };
#define GCMD_TE  NW_BIT(31)
#define GCMD_QIE NW_BIT(26)
#define GCMD_IRE NW_BIT(25)
#define GCMD_CFI NW_BIT(23)

struct vtd_case {
    struct nw_vtd_tables tables;
    uint64_t gcmd;
    struct conform_verdict *verdict;
};

bool conform_vtd_is(const json_t *record)
{
    return json_object_get(record, "cap") && json_object_get(record, "ecap") && json_object_get(record, "steps");
}

static bool wrong(struct nw_error *err, const char *what)
{
    (void)nw_fail(err, NW_ERR_INPUT, "%s", what);
    return false;
}

/* ---- what a request came to, as text: the outcomes of a case are written the same way ----------- */

struct outcome {
    char text[CONFORM_TEXT / 4];
    bool fault; /* "any fault" is met */
};

static struct outcome fault_outcome(const struct nw_vtd_fault *f, const char *key)
{
    struct outcome o = { .fault = true };
    if (f->recorded)
        snprintf(o.text, sizeof o.text, "fault 0x%x %s=0x%llx", f->reason, key, LL(f->address));
    else
        snprintf(o.text, sizeof o.text, "blocked");
    return o;
}

static struct outcome dma_outcome(const struct nw_vtd_result *r)
{
    struct outcome o = { 0 };
    if (r->fault.reason)
        return fault_outcome(&r->fault, "addr");
    snprintf(o.text, sizeof o.text, "hpa=0x%llx", LL(r->hpa.v));
    return o;
}

static const char *const irq_field[] = { "dest", "dest_mode", "delivery_mode", "vector", "trigger_mode", NULL };

static struct outcome irq_outcome(const struct nw_vtd_interrupt *r)
{
    struct outcome o = { 0 };
    if (r->fault.reason)
        return fault_outcome(&r->fault, "index");
    /* The recorded message has 8 bits of the destination. */
    snprintf(o.text, sizeof o.text, "irq dest=%u dest_mode=%u delivery_mode=%u vector=%u trigger_mode=%u",
             r->destination & 255, r->logical, r->delivery_mode, r->vector, r->level);
    return o;
}

/* One accepted outcome; `any` when it is a fault whatever its reason. */
static bool accepted_text(const json_t *accepted, char *out, size_t out_size, bool *any, struct nw_error *err)
{
    const json_t *fault = json_object_get(accepted, "fault"), *irq = json_object_get(accepted, "irq");
    uint64_t value;
    *any = false;
    if (json_object_get(accepted, "blocked")) {
        snprintf(out, out_size, "blocked");
    } else if (json_object_get(accepted, "hpa")) {
        if (!conform_word(accepted, "hpa", &value, err))
            return false;
        snprintf(out, out_size, "hpa=0x%llx", LL(value));
    } else if (json_is_object(fault)) {
        const char *key = json_object_get(fault, "index") ? "index" : "addr";
        uint64_t where;
        *any = !json_object_get(fault, "reason");
        if (*any)
            snprintf(out, out_size, "any fault");
        else if (!conform_word(fault, "reason", &value, err) || !conform_word(fault, key, &where, err))
            return false;
        else
            snprintf(out, out_size, "fault 0x%llx %s=0x%llx", LL(value), key, LL(where));
    } else if (json_is_object(irq)) {
        int used = snprintf(out, out_size, "irq");
        for (unsigned i = 0; irq_field[i]; i++) {
            if (!conform_number(irq, irq_field[i], 0, UINT32_MAX, &value, err))
                return false;
            used += snprintf(out + used, out_size - (size_t)used, " %s=%llu", irq_field[i], LL(value));
        }
    } else {
        return wrong(err, "an outcome of \"accept\" must have \"hpa\", \"fault\", \"blocked\" or \"irq\"");
    }
    return true;
}

/* Compares with the list `accept`; null: the request is not judged. */
static bool judge(struct vtd_case *c, const json_t *step, size_t number, const struct outcome *got,
                  struct nw_error *err)
{
    const json_t *accept = json_object_get(step, "accept"), *accepted;
    char expected[CONFORM_TEXT / 2] = "";
    size_t i;
    if (json_is_null(accept))
        return true;
    if (!json_is_array(accept) || !json_array_size(accept))
        return wrong(err, "\"accept\" must be null or a list of outcomes");
    json_array_foreach(accept, i, accepted)
    {
        char text[CONFORM_TEXT / 4];
        bool any;
        if (!accepted_text(accepted, text, sizeof text, &any, err))
            return false;
        if (any ? got->fault : !strcmp(text, got->text))
            return true;
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i ? " or " : "", text);
    }
    if (c->verdict->passed) { /* the first one that fails is shown */
        snprintf(c->verdict->expected, CONFORM_TEXT, "step %zu: %s", number, expected);
        snprintf(c->verdict->got, CONFORM_TEXT, "step %zu: %s", number, got->text);
    }
    c->verdict->passed = false;
    return true;
}

/* ---- steps -------------------------------------------------------------------------------------- */

static bool step_memory(struct vtd_case *c, const json_t *step, struct nw_error *err)
{
    const json_t *list = json_object_get(step, "q"), *run;
    size_t i;
    if (!json_is_array(list))
        return wrong(err, "\"q\" must be a list of [address, word, ...]");
    json_array_foreach(list, i, run)
    {
        uint64_t address, word;
        if (!conform_word_value(json_array_get(run, 0), "an address of \"q\"", &address, err))
            return false;
        for (size_t k = 1; k < json_array_size(run); k++)
            if (!conform_word_value(json_array_get(run, k), "a word of \"q\"", &word, err) ||
                nw_physmem_write64(c->tables.memory.pm, nw_hpa(address + 8 * (k - 1)), word, err))
                return false;
    }
    return true;
}

static bool step_dma(struct vtd_case *c, const json_t *step, struct outcome *got, struct nw_error *err)
{
    struct nw_vtd_request q = { 0 };
    struct nw_vtd_result r;
    uint64_t source, write;
    if (!conform_word(step, "sid", &source, err) || !conform_number(step, "write", 0, 1, &write, err) ||
        !conform_word(step, "iova", &q.address, err))
        return false;
    q.source_id = (uint16_t)source;
    q.kind = write ? NW_VTD_WRITE : NW_VTD_READ;
    if (c->gcmd & GCMD_TE)
        nw_vtd_translate(&c->tables, &q, &r);
    else
        r = (struct nw_vtd_result){ .hpa = nw_hpa(q.address) };
    *got = dma_outcome(&r);
    return true;
}

static bool step_msi(struct vtd_case *c, const json_t *step, struct outcome *got, struct nw_error *err)
{
    struct nw_vtd_interrupt_request q = { 0 };
    struct nw_vtd_interrupt r;
    uint64_t source, data;
    if (!conform_word(step, "sid", &source, err) || !conform_word(step, "addr", &q.address, err) ||
        !conform_word(step, "data", &data, err))
        return false;
    q.source_id = (uint16_t)source;
    q.data = (uint32_t)data;
    nw_vtd_interrupt(&c->tables, &q, &r);
    *got = irq_outcome(&r);
    return true;
}

static bool run_step(struct vtd_case *c, const json_t *step, size_t number, struct nw_error *err)
{
    enum { MEMORY, ROOT, IRTA, GCMD, IQA, INVALIDATE, DMA, MSI };
    static const char *const ops[] = { "mem", "root", "irta", "gcmd", "iqa", "invalidate", "dma", "msi", NULL };
    struct outcome got;
    unsigned op;
    if (!conform_choice(step, "op", ops, &op, err))
        return false;
    switch (op) {
    case MEMORY: return step_memory(c, step, err);
    case ROOT: return conform_word(step, "rtaddr", &c->tables.rtaddr, err);
    case IRTA: return conform_word(step, "val", &c->tables.irta, err);
    case GCMD:
        if (!conform_word(step, "val", &c->gcmd, err))
            return false;
        c->tables.compatible_format = c->gcmd & GCMD_CFI;
        return true;
    case DMA: return step_dma(c, step, &got, err) && judge(c, step, number, &got, err);
    case MSI: return step_msi(c, step, &got, err) && judge(c, step, number, &got, err);
    default: return true;
    }
}

enum nw_status conform_vtd(const json_t *record, struct conform_verdict *out, struct nw_error *err)
{
    struct vtd_case c = { .tables.memory = { .ram = ram, .ram_count = NW_ARRAY_LEN(ram) }, .verdict = out };
    const json_t *steps = json_object_get(record, "steps"), *step;
    enum nw_status s = NW_ERR_INPUT;
    uint64_t haw;
    size_t i;
    if (!conform_number(record, "haw", 32, NW_PHYS_BITS_MAX, &haw, err) ||
        !conform_word(record, "cap", &c.tables.unit.cap, err) ||
        !conform_word(record, "ecap", &c.tables.unit.ecap, err))
        return s;
    c.tables.unit.haw = (uint8_t)haw;
    if ((s = nw_physmem_create(&c.tables.memory.pm, err)))
        return s;
    out->passed = true;
    json_array_foreach(steps, i, step)
    {
        if (!run_step(&c, step, i + 1, err)) {
            s = err->status;
            break;
        }
    }
    nw_physmem_destroy(c.tables.memory.pm);
    return s;
}
