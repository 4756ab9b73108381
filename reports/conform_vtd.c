/* A recorded case of DMA or interrupt remapping: steps against a remapping unit that starts with everything off. */
#include "conform_internal.h"
#include <nestwalk/iommu/vtd_unit.h>
#include <stdio.h>
#include <string.h>

#define LL(x) ((unsigned long long)(x))

/* The last page below the host address width holds the invalidation queue: no case has memory there. */
enum { RAM_RANGES = 3, QUEUE_BYTES = 4096 };

struct vtd_case {
    struct nw_physmem *pm;
    struct nw_vtd_range ram[RAM_RANGES];
    struct nw_vtd_unit *unit;
    uint64_t queue, tail;
    bool wide; /* 256-bit descriptors */
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
static void note_failure(struct vtd_case *c, size_t number, const char *expected, const char *got)
{
    if (c->verdict->passed) { /* the first one is shown */
        snprintf(c->verdict->expected, CONFORM_TEXT, "step %zu: %s", number, expected);
        snprintf(c->verdict->got, CONFORM_TEXT, "step %zu: %s", number, got);
    }
    c->verdict->passed = false;
}

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
    note_failure(c, number, expected, got->text);
    return true;
}

/* ---- steps -------------------------------------------------------------------------------------- */

bool conform_vtd_memory(struct nw_physmem *pm, const json_t *step, struct nw_error *err)
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
                nw_physmem_write64(pm, nw_hpa(address + 8 * (k - 1)), word, err))
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
    nw_vtd_unit_dma(c->unit, &q, &r);
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
    nw_vtd_unit_interrupt(c->unit, &q, &r);
    *got = irq_outcome(&r);
    return true;
}

/* The descriptors go into the queue, and all of them must complete. */
static bool step_invalidate(struct vtd_case *c, const json_t *step, size_t number, struct nw_error *err)
{
    const json_t *list = json_object_get(step, "desc"), *descriptor;
    const size_t words = c->wide ? 4 : 2;
    size_t i;
    if (!json_is_array(list))
        return wrong(err, "\"desc\" must be a list of descriptors");
    json_array_foreach(list, i, descriptor)
    {
        if (json_array_size(descriptor) != words)
            return wrong(err, "a descriptor must be a list of 2 words, in a wide queue of 4");
        for (size_t k = 0; k < words; k++) {
            uint64_t word;
            if (!conform_word_value(json_array_get(descriptor, k), "a word of \"desc\"", &word, err) ||
                nw_physmem_write64(c->pm, nw_hpa(c->queue + c->tail + 8 * k), word, err))
                return false;
        }
        c->tail = (c->tail + 8 * words) % QUEUE_BYTES;
        nw_vtd_unit_write(c->unit, NW_VTD_IQT, 8, c->tail);
    }
    if (nw_vtd_unit_read(c->unit, NW_VTD_FSTS, 4) & NW_VTD_FSTS_IQE) {
        char got[64];
        snprintf(got, sizeof got, "queue error %llu", LL(nw_vtd_unit_read(c->unit, NW_VTD_IQERCD, 8) & 15));
        note_failure(c, number, "the queue completes", got);
    } else if (nw_vtd_unit_read(c->unit, NW_VTD_IQH, 8) != c->tail) {
        note_failure(c, number, "the queue completes", "the queue is off");
    }
    return true;
}

/* A one-shot command leaves the persistent ones as they are. */
static void command(struct vtd_case *c, uint64_t once)
{
    uint64_t persistent = NW_VTD_GCMD_TE | NW_VTD_GCMD_QIE | NW_VTD_GCMD_IRE | NW_VTD_GCMD_CFI;
    nw_vtd_unit_write(c->unit, NW_VTD_GCMD, 4, (nw_vtd_unit_read(c->unit, NW_VTD_GSTS, 4) & persistent) | once);
    nw_vtd_unit_flush(c->unit); /* a case's `root` and `irta` also empty the caches */
}

static bool step_register(struct vtd_case *c, const json_t *step, unsigned op, struct nw_error *err)
{
    enum { ROOT, IRTA, GCMD, IQA };
    static const char *const key[] = { "rtaddr", "val", "val" };
    uint64_t value;
    if (op == IQA ? !conform_number(step, "wide", 0, 1, &value, err) : !conform_word(step, key[op], &value, err))
        return false;
    switch (op) {
    case ROOT:
        nw_vtd_unit_write(c->unit, NW_VTD_RTADDR, 8, value);
        command(c, NW_VTD_GCMD_SRTP);
        break;
    case IRTA:
        nw_vtd_unit_write(c->unit, NW_VTD_IRTA, 8, value);
        command(c, NW_VTD_GCMD_SIRTP);
        break;
    case GCMD: nw_vtd_unit_write(c->unit, NW_VTD_GCMD, 4, value); break;
    default:
        c->wide = value;
        c->tail = 0;
        nw_vtd_unit_write(c->unit, NW_VTD_IQT, 8, 0);
        nw_vtd_unit_write(c->unit, NW_VTD_IQA, 8, c->queue | value << 11);
        break;
    }
    return true;
}

static bool run_step(struct vtd_case *c, const json_t *step, size_t number, struct nw_error *err)
{
    enum { ROOT, IRTA, GCMD, IQA, MEMORY, INVALIDATE, DMA, MSI };
    static const char *const ops[] = { "root", "irta", "gcmd", "iqa", "mem", "invalidate", "dma", "msi", NULL };
    struct outcome got;
    unsigned op;
    if (!conform_choice(step, "op", ops, &op, err))
        return false;
    switch (op) {
    case MEMORY: return conform_vtd_memory(c->pm, step, err);
    case INVALIDATE: return step_invalidate(c, step, number, err);
    case DMA: return step_dma(c, step, &got, err) && judge(c, step, number, &got, err);
    case MSI: return step_msi(c, step, &got, err) && judge(c, step, number, &got, err);
    default: return step_register(c, step, op, err);
    }
}

/* The machine of the cases: memory in two ranges, and the queue's page. */
static bool make_unit(struct vtd_case *c, const json_t *record, struct nw_error *err)
{
    struct nw_vtd_config config;
    uint64_t haw;
    if (!conform_number(record, "haw", 36, NW_PHYS_BITS_MAX, &haw, err) || nw_physmem_create(&c->pm, err))
        return false;
    c->queue = NW_BIT(haw) - QUEUE_BYTES;
    c->ram[0] = (struct nw_vtd_range){ 0, 0x80000000 };
    c->ram[1] = (struct nw_vtd_range){ 0x100000000, 0x180000000 };
    c->ram[2] = (struct nw_vtd_range){ c->queue, c->queue + QUEUE_BYTES };
    config = nw_vtd_config_default(c->pm);
    config.memory.ram = c->ram;
    config.memory.ram_count = RAM_RANGES;
    config.unit.haw = (uint8_t)haw;
    /* As the unit that was recorded. It has no paging-structure caches. */
    config.tags_source = config.context_global_domain = true;
    config.cache[NW_VTD_PAGING_CACHE] = (struct nw_iommu_cache_shape){ 0 };
    return conform_word(record, "cap", &config.unit.cap, err) && conform_word(record, "ecap", &config.unit.ecap, err) &&
           !nw_vtd_unit_create(&c->unit, &config, err);
}

enum nw_status conform_vtd(const json_t *record, struct conform_verdict *out, struct nw_error *err)
{
    struct vtd_case c = { .verdict = out };
    const json_t *steps = json_object_get(record, "steps"), *step;
    size_t i;
    out->passed = true;
    bool ok = json_is_array(steps) ? make_unit(&c, record, err) : wrong(err, "\"steps\" must be a list");
    if (ok) {
        json_array_foreach(steps, i, step)
        {
            ok = run_step(&c, step, i + 1, err);
            if (!ok)
                break;
        }
    }
    nw_vtd_unit_destroy(c.unit);
    nw_physmem_destroy(c.pm);
    return ok ? NW_OK : err->status ? err->status : NW_ERR_INPUT;
}
