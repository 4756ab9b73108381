/* KVM's walks against the model's. */
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/walk.h>
#include <nestwalk/sim/walk_check.h>
#include <stdio.h>

struct checking {
    struct nw_physmem *pm;
    struct nw_guest_registers registers;
    struct nw_paging paging;
    struct nw_walk_check *out;
};

static enum nw_status load_cr3(struct checking *c, uint64_t cr3, struct nw_error *err)
{
    c->registers.cr3 = cr3;
    return nw_paging_init_guest(&c->paging, &c->registers, err);
}

static enum nw_status put_page(struct checking *c, uint64_t gpa, const uint64_t *data, uint32_t words,
                               struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (uint64_t i = 0; i < NW_WORDS_PER_PAGE && !s; i++)
        s = nw_physmem_write64(c->pm, nw_hpa(gpa + 8 * i), 0, err);
    for (uint32_t i = 0; i + 1 < words && !s; i += 2)
        s = nw_physmem_write64(c->pm, nw_hpa(gpa + 8 * (data[i] % NW_WORDS_PER_PAGE)), data[i + 1], err);
    return s;
}

static void differ(struct checking *c, const struct nw_event *e, const struct nw_walk_log *log, uint32_t at)
{
    if (c->out->differing++)
        return;
    if (at * 2 >= e->data_words || at >= log->count)
        snprintf(c->out->difference, sizeof c->out->difference,
                 "walk %" PRIu64 " of 0x%" PRIx64 ": KVM read %u entries, the model %u", c->out->walks, e->arg[0],
                 e->data_words / 2, log->count);
    else
        snprintf(c->out->difference, sizeof c->out->difference,
                 "walk %" PRIu64 " of 0x%" PRIx64 ", reference %u: KVM read 0x%" PRIx64 " at level %" PRIu64
                 ", the model 0x%" PRIx64 " at level %u",
                 c->out->walks, e->arg[0], at, e->data[2 * at + 1], e->data[2 * at], log->reference[at].entry,
                 log->reference[at].level);
}

static void check_walk(struct checking *c, const struct nw_event *e)
{
    const uint64_t code = e->arg[1];
    const struct nw_access access = { .kind = code & NW_PF_ID  ? NW_ACCESS_FETCH
                                              : code & NW_PF_W ? NW_ACCESS_WRITE
                                                               : NW_ACCESS_READ,
                                      .user = code & NW_PF_U };
    struct nw_walk_log log;
    struct nw_walk_result result;
    const uint32_t entries = e->data_words / 2;
    nw_walk_native(c->pm, &c->paging, nw_gva(e->arg[0]), &access, &log, &result);
    c->out->walks++;
    c->out->entries += entries;
    c->out->walks_by_length[entries < 6 ? entries : 5]++;
    uint32_t at = 0;
    while (at < entries && at < log.count && log.reference[at].level == e->data[2 * at] &&
           log.reference[at].entry == e->data[2 * at + 1])
        at++;
    if (at < entries || at < log.count)
        differ(c, e, &log, at);
}

static enum nw_status take_event(struct checking *c, const struct nw_event *e, struct nw_error *err)
{
    switch (e->kind) {
    case NW_EV_TABLE_PAGE: return put_page(c, e->arg[0], e->data, e->data_words, err);
    case NW_EV_TABLE_WRITE:
        return nw_physmem_write_bytes(c->pm, nw_hpa(e->arg[0]), (unsigned)e->arg[1], e->arg[2], err);
    case NW_EV_CR_WRITE: return e->arg[0] == 3 ? load_cr3(c, e->arg[1], err) : NW_OK;
    case NW_EV_GUEST_WALK: check_walk(c, e); return NW_OK;
    default: return NW_OK;
    }
}

static enum nw_status begin(struct checking *c, const struct nw_trace_info *info, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (!info->has_tables)
        return nw_fail(err, NW_ERR_INPUT, "the trace has no page tables of its guest: no walk can be made again");
    for (uint32_t i = 0; i < info->table_count && !s; i++)
        for (uint64_t k = 0; k < NW_WORDS_PER_PAGE && !s; k++)
            s = nw_physmem_write64(c->pm, nw_hpa(info->table[i].gpa + 8 * k), info->table[i].word[k], err);
    c->registers = (struct nw_guest_registers){ .cr0 = info->vcpu[0].cr0,
                                                .cr4 = info->vcpu[0].cr4,
                                                .efer = info->vcpu[0].efer,
                                                .maxphyaddr = info->gpa_bits ? info->gpa_bits : NW_PHYS_BITS_MAX };
    return s ? s : load_cr3(c, info->vcpu[0].cr3, err);
}

enum nw_status nw_walk_check(struct nw_source *source, struct nw_walk_check *out, struct nw_error *err)
{
    struct checking c = { .out = out };
    *out = (struct nw_walk_check){ 0 };
    enum nw_status s = nw_physmem_create(&c.pm, err);
    if (s)
        return s;
    source->want = 0; /* the events alone */
    s = begin(&c, nw_source_info(source), err);
    for (struct nw_block b; !s && !(s = nw_source_next(source, &b, err)) && !b.end;)
        for (uint32_t i = 0; i < b.event_count && !s; i++)
            s = take_event(&c, &b.event[i], err);
    nw_physmem_destroy(c.pm);
    return s;
}
