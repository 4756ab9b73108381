/* capture_replay.h - reads a captured trace against the model: the guest's tables are kept as the trace says they were, and every
 * access is walked through them. Shared by the tests of live captures and of the shipped ones. */
#ifndef NESTWALK_TESTS_CAPTURE_REPLAY_H
#define NESTWALK_TESTS_CAPTURE_REPLAY_H

#include "trace_support.h"
#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/walk.h>
#include <nestwalk/traces/capture.h>

struct replayed {
    uint64_t accesses, faults, walks, entries, table_writes, table_pages, cr3_writes, invlpgs, large_pages;
};

struct replay {
    struct nw_physmem *pm;
    struct nw_guest_registers registers;
    struct nw_paging paging;
    bool kvm_walks; /* check KVM's walks instead of the accesses */
    struct replayed sum;
};

static void replay_cr3(struct replay *r, uint64_t cr3)
{
    r->registers.cr3 = cr3;
    OK(nw_paging_init_guest(&r->paging, &r->registers, err));
}

static void replay_table_page(struct replay *r, const struct nw_event *e)
{
    for (uint64_t i = 0; i < NW_WORDS_PER_PAGE; i++)
        OK(nw_physmem_write64(r->pm, nw_hpa(e->arg[0] + i * 8), 0, err));
    for (uint32_t i = 0; i < e->data_words; i += 2)
        OK(nw_physmem_write64(r->pm, nw_hpa(e->arg[0] + e->data[i] * 8), e->data[i + 1], err));
}

/* KVM's walk and the model's: the same entries, at the same levels, in the same order. */
static void replay_guest_walk(struct replay *r, const struct nw_event *e)
{
    uint64_t code = e->arg[1];
    struct nw_access access = { code & NW_PF_ID  ? NW_ACCESS_FETCH
                                : code & NW_PF_W ? NW_ACCESS_WRITE
                                                 : NW_ACCESS_READ,
                                code & NW_PF_U, false };
    struct nw_walk_log log;
    struct nw_walk_result result;
    nw_walk_native(r->pm, &r->paging, nw_gva(e->arg[0]), &access, &log, &result);
    r->sum.walks++;
    r->sum.entries += log.count;
    if (log.count * 2 != e->data_words)
        fail_msg("walk %llu of %#llx: KVM read %u entries, the model %u", (unsigned long long)r->sum.walks,
                 (unsigned long long)e->arg[0], e->data_words / 2, log.count);
    for (unsigned i = 0; i < log.count; i++)
        if (log.reference[i].level != e->data[2 * i] || log.reference[i].entry != e->data[2 * i + 1])
            fail_msg("walk %llu of %#llx, reference %u: KVM read %#llx at level %llu, the model %#llx at level %u",
                     (unsigned long long)r->sum.walks, (unsigned long long)e->arg[0], i,
                     (unsigned long long)e->data[2 * i + 1], (unsigned long long)e->data[2 * i],
                     (unsigned long long)log.reference[i].entry, log.reference[i].level);
}

static void replay_event(struct replay *r, const struct nw_event *e)
{
    switch (e->kind) {
    case NW_EV_TABLE_PAGE:
        r->sum.table_pages++;
        replay_table_page(r, e);
        break;
    case NW_EV_TABLE_WRITE:
        r->sum.table_writes++;
        OK(nw_physmem_write_bytes(r->pm, nw_hpa(e->arg[0]), (unsigned)e->arg[1], e->arg[2], err));
        break;
    case NW_EV_CR_WRITE:
        assert_int_equal(e->arg[0], 3);
        r->sum.cr3_writes++;
        replay_cr3(r, e->arg[1]);
        break;
    case NW_EV_INVLPG: r->sum.invlpgs++; break;
    case NW_EV_GUEST_WALK:
        if (r->kvm_walks)
            replay_guest_walk(r, e);
        break;
    default: break;
    }
}

/* The access translates, or `fault` says what it did instead. */
static void replay_access(struct replay *r, uint64_t gva, uint8_t kind, const struct nw_event *fault)
{
    static const enum nw_access_kind of[] = {
        [NW_LOAD] = NW_ACCESS_READ, [NW_STORE] = NW_ACCESS_WRITE, [NW_FETCH] = NW_ACCESS_FETCH
    };
    struct nw_access access = { of[nw_kind_type(kind)], nw_kind_user(kind), false };
    struct nw_walk_result result[2];
    char text[160];
    bool crosses = nw_walk_span(r->pm, &r->paging, NULL, nw_gva(gva), nw_kind_bytes(kind), &access, result);
    const struct nw_walk_result *w = crosses && result[0].outcome == NW_WALK_OK ? &result[1] : &result[0];
    nw_walk_describe(w, text, sizeof text);
    r->sum.large_pages +=
        w->outcome == NW_WALK_OK && w->page_log2 == NW_PAGE_2M_LOG2 && nw_kind_type(kind) != NW_FETCH && gva >> 39 != 0;
    if (!fault && w->outcome != NW_WALK_OK)
        fail_msg("access %llu, kind %#x at %#llx: the guest went on, the model says %s",
                 (unsigned long long)r->sum.accesses, kind, (unsigned long long)gva, text);
    if (fault &&
        (w->outcome != NW_WALK_PAGE_FAULT || w->fault.address != fault->arg[0] || w->fault.code != fault->arg[1]))
        fail_msg("access %llu, kind %#x at %#llx: the guest took #PF, CR2 %#llx, error code %#llx, the model says %s",
                 (unsigned long long)r->sum.accesses, kind, (unsigned long long)gva, (unsigned long long)fault->arg[0],
                 (unsigned long long)fault->arg[1], text);
    r->sum.faults += fault != NULL;
}

/* The #PF that access `i` of the block took, if it did: it is the first event behind it. */
static const struct nw_event *fault_of(const struct nw_block *b, uint32_t i, uint32_t e)
{
    return e < b->event_count && b->event[e].at == i + 1 && b->event[e].kind == NW_EV_PAGE_FAULT ? &b->event[e] : NULL;
}

static void replay_block(struct replay *r, const struct nw_block *b)
{
    uint32_t e = 0;
    for (uint32_t i = 0;; i++) {
        for (; e < b->event_count && b->event[e].at == i; e++)
            replay_event(r, &b->event[e]);
        if (i == b->access_count)
            return;
        if (!r->kvm_walks)
            replay_access(r, b->address[i], nw_block_kind(b, i), fault_of(b, i, e));
        r->sum.accesses++;
    }
}

static struct replayed replay_trace(const char *path, bool kvm_walks)
{
    struct replay r = { .kvm_walks = kvm_walks };
    struct nw_source *source = NULL;
    struct nw_block b;
    OK(nw_nwt_open(&source, path, err));
    const struct nw_trace_info *info = nw_source_info(source);
    assert_true(info->has_tables);
    OK(nw_physmem_create(&r.pm, err));
    for (uint32_t i = 0; i < info->table_count; i++)
        for (uint64_t k = 0; k < NW_WORDS_PER_PAGE; k++)
            OK(nw_physmem_write64(r.pm, nw_hpa(info->table[i].gpa + k * 8), info->table[i].word[k], err));
    r.registers = (struct nw_guest_registers){
        .cr0 = info->vcpu[0].cr0, .cr4 = info->vcpu[0].cr4, .efer = info->vcpu[0].efer, .maxphyaddr = info->gpa_bits
    };
    replay_cr3(&r, info->vcpu[0].cr3);
    source->want = NW_WANT_ADDRESSES;
    for (;;) {
        OK(nw_source_next(source, &b, err));
        if (b.end)
            break;
        replay_block(&r, &b);
    }
    nw_source_destroy(source);
    nw_physmem_destroy(r.pm);
    return r.sum;
}

#endif
