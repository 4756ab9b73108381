#include "recorder.h"

#include "abi.h"
#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

/* What the processor stores and loads by itself (SDM vol. 3, "64-Bit Mode Stack Frame" and "IRET in IA-32e Mode"). */
enum { FRAME_WORDS = 5, GATE_BYTES = 16, DESCRIPTOR_BYTES = 8, PF_FRAME_WORDS = FRAME_WORDS + 1 };
enum { RFLAGS_TF = 1 << 8, RFLAGS_DF = 1 << 10, PF_PRESENT = 1, PF_WRITE = 2 };

/* ---- emission ---- */

static enum nw_status emit_access(struct recorder *r, enum nw_access_type type, uint64_t gva, unsigned bytes,
                                  struct nw_error *err)
{
    return r->sink->access(r->sink, gva, nw_kind_make(type, bytes, false), err);
}

static enum nw_status emit_event(struct recorder *r, enum nw_event_kind kind, uint64_t a, uint64_t b, uint64_t c,
                                 struct nw_error *err)
{
    struct nw_event e = { .kind = (uint16_t)kind, .arg = { a, b, c } };
    return r->sink->event(r->sink, &e, err);
}

static enum nw_status table_joined(void *context, uint64_t gpa, struct nw_error *err)
{
    struct recorder *r = context;
    uint64_t pairs[NW_WORDS_PER_PAGE * 2], word;
    uint32_t n = 0;
    for (uint64_t i = 0; i < NW_WORDS_PER_PAGE; i++) {
        memcpy(&word, r->vm->memory + gpa + i * 8, sizeof word);
        if (word) {
            pairs[n++] = i;
            pairs[n++] = word;
        }
    }
    struct nw_event e = { .kind = NW_EV_TABLE_PAGE, .arg = { gpa }, .data = pairs, .data_words = n };
    return r->sink->event(r->sink, &e, err);
}

/* One store's piece inside one page: if that is a table, the write is an event, after the pages it newly links. */
static enum nw_status stored(struct recorder *r, uint64_t gva, unsigned bytes, struct nw_error *err)
{
    uint64_t gpa = recorder_translate(r, gva), value = 0;
    enum nw_status s;
    if (gpa == UINT64_MAX)
        return nw_fail(err, NW_ERR_INTERNAL, "store to %#llx, which is not mapped", (unsigned long long)gva);
    if (r->checker)
        checker_store(r->checker, gpa, bytes);
    if (NW_LIKELY(!tables_watch_has(&r->tables, gpa)))
        return NW_OK;
    if ((s = tables_watch_stored(&r->tables, gpa, bytes, err)))
        return s;
    for (unsigned done = 0, part; done < bytes; done += part) {
        part = bytes - done < 8 ? bytes - done : 8;
        value = 0;
        memcpy(&value, r->vm->memory + gpa + done, part);
        if ((s = emit_event(r, NW_EV_TABLE_WRITE, gpa + done, part, value, err)))
            return s;
    }
    recorder_forget(r);
    return NW_OK;
}

static enum nw_status emit_store(struct recorder *r, uint64_t gva, unsigned bytes, struct nw_error *err)
{
    unsigned first = (unsigned)(NW_PAGE_BYTES - gva % NW_PAGE_BYTES);
    enum nw_status s = emit_access(r, NW_STORE, gva, bytes, err);
    if (first > bytes)
        first = bytes;
    if (!s)
        s = stored(r, gva, first, err);
    if (!s && first < bytes)
        s = stored(r, gva + first, bytes - first, err);
    return s;
}

/* ---- one instruction ---- */

struct step {
    const struct insn *insn;
    struct kvm_regs before, after;
    bool faulted; /* a page fault was delivered, at `fault_gva` with `fault_code` */
    uint64_t fault_gva, fault_code;
};

/* Records one access, or says in *hit that it is the one that faulted: then nothing after it happened. */
static enum nw_status access_once(struct recorder *r, const struct step *st, bool store, uint64_t gva, unsigned bytes,
                                  bool *hit, struct nw_error *err)
{
    bool inside = st->faulted && st->fault_gva - gva < bytes, write = st->fault_code & PF_WRITE;
    *hit = inside && store == write;
    if (*hit)
        return emit_access(r, store ? NW_STORE : NW_LOAD, gva, bytes, err);
    /* Hardware asks for write permission before a read-modify-write reads: from a page that is not there it read nothing. */
    if (inside && !(st->fault_code & PF_PRESENT))
        return NW_OK;
    return store ? emit_store(r, gva, bytes, err) : emit_access(r, NW_LOAD, gva, bytes, err);
}

static enum nw_status plain(struct recorder *r, const struct step *st, bool *hit, struct nw_error *err)
{
    const struct insn *insn = st->insn;
    enum nw_status s = NW_OK;
    for (unsigned i = 0; !s && !*hit && i < insn->access_count; i++) {
        const struct insn_access *a = &insn->access[i];
        s = access_once(r, st, a->store, insn_address(insn, a, &st->before, r->segment_base), a->bytes, hit, err);
    }
    return s;
}

/* RCX says how many iterations this step made; the one that faulted, if any, comes after them. */
static enum nw_status string(struct recorder *r, const struct step *st, bool *hit, struct nw_error *err)
{
    struct step at = *st;
    uint64_t count = st->insn->repeat ? st->before.rcx - st->after.rcx : !st->faulted;
    int64_t direction = st->before.rflags & RFLAGS_DF ? -1 : 1;
    enum nw_status s = NW_OK;
    if (st->insn->repeat && count > st->before.rcx)
        return nw_fail(err, NW_ERR_INTERNAL, "RCX went from %#llx to %#llx", (unsigned long long)st->before.rcx,
                       (unsigned long long)st->after.rcx);
    at.faulted = false;
    for (uint64_t i = 0; !s && i < count; i++) {
        s = plain(r, &at, hit, err);
        for (unsigned k = 0; k < st->insn->access_count; k++) {
            uint64_t step = (uint64_t)(direction * st->insn->access[k].bytes);
            *(st->insn->access[k].base == 7 ? &at.before.rdi : &at.before.rsi) += step;
        }
    }
    at.faulted = st->faulted;
    return s || !st->faulted ? s : plain(r, &at, hit, err);
}

static enum nw_status descriptor_load(struct recorder *r, uint16_t selector, struct nw_error *err)
{
    return selector & ~3u ? emit_access(r, NW_LOAD, r->gdt_base + (selector & ~7u), DESCRIPTOR_BYTES, err) : NW_OK;
}

static enum nw_status iret(struct recorder *r, const struct step *st, struct nw_error *err)
{
    uint64_t word[FRAME_WORDS] = { 0 };
    enum nw_status s = NW_OK;
    recorder_read(r, st->before.rsp, word, sizeof word);
    for (unsigned i = 0; !s && i < FRAME_WORDS; i++)
        s = emit_access(r, NW_LOAD, st->before.rsp + i * 8, 8, err);
    if (!s)
        s = descriptor_load(r, (uint16_t)word[1], err);
    return s ? s : descriptor_load(r, (uint16_t)word[4], err);
}

static enum nw_status cr_write(struct recorder *r, const struct step *st, struct nw_error *err)
{
    uint64_t value = insn_register(&st->before, st->insn->gpr);
    if (st->insn->cr == 3) {
        r->cr3 = value;
        enum nw_status s = tables_watch_root(&r->tables, value, err);
        if (s)
            return s;
    }
    recorder_forget(r);
    return emit_event(r, NW_EV_CR_WRITE, st->insn->cr, value, 0, err);
}

static enum nw_status invlpg(struct recorder *r, const struct step *st, struct nw_error *err)
{
    recorder_forget(r);
    return emit_event(r, NW_EV_INVLPG, insn_address(st->insn, &st->insn->access[0], &st->before, r->segment_base), 0, 0,
                      err);
}

/* The delivery: the gate, the frame pushed downwards from the 16-byte aligned RSP, the code segment's descriptor. The manuals
 * leave the order open (SDM vol. 2, INT n, reads the descriptor first); this is the order of KVM's emulator, so that both ways to
 * capture agree. */
static enum nw_status deliver(struct recorder *r, const struct step *st, struct nw_error *err)
{
    uint64_t top = nw_align_down(st->before.rsp, 16);
    enum nw_status s = emit_event(r, NW_EV_PAGE_FAULT, st->fault_gva, st->fault_code, 0, err);
    r->faults++;
    if (!s)
        s = emit_access(r, NW_LOAD, r->idt_base + NWG_VECTOR_PF * GATE_BYTES, GATE_BYTES, err);
    for (unsigned i = 1; !s && i <= PF_FRAME_WORDS; i++)
        s = emit_store(r, top - i * 8, 8, err);
    return s ? s : descriptor_load(r, NWG_SELECTOR_CODE, err);
}

static enum nw_status record(struct recorder *r, const struct step *st, bool resumed, struct nw_error *err)
{
    const struct insn *insn = st->insn;
    enum nw_status s = resumed ? NW_OK : emit_access(r, NW_FETCH, insn->rip, insn->length, err);
    bool hit = false;
    if (s)
        return s;
    switch (insn->kind) {
    case INSN_PLAIN: s = plain(r, st, &hit, err); break;
    case INSN_STRING: s = string(r, st, &hit, err); break;
    case INSN_IRET: s = iret(r, st, err); break;
    case INSN_CR_WRITE: s = cr_write(r, st, err); break;
    case INSN_INVLPG: s = invlpg(r, st, err); break;
    default: break; /* OUT and HLT touch no memory */
    }
    if (s || !st->faulted)
        return s;
    if (!hit)
        return nw_fail(err, NW_ERR_INTERNAL, "page fault at %#llx, which the instruction does not access",
                       (unsigned long long)st->fault_gva);
    return deliver(r, st, err);
}

/* ---- stepping ---- */

void recorder_explain(struct recorder *r, uint64_t rip, struct nw_error *err)
{
    uint8_t code[INSN_CODE_MAX];
    char text[96];
    unsigned n = recorder_read(r, rip, code, sizeof code);
    decoder_text(r->decoder, rip, code, n, text, sizeof text);
    nw_error_context(err, "guest instruction at RIP %#llx (%s)", (unsigned long long)rip,
                     text[0] ? text : "not decodable");
}

static enum nw_status insn_at(struct recorder *r, uint64_t rip, const struct insn **insn, struct nw_error *err)
{
    uint8_t code[INSN_CODE_MAX];
    unsigned n = recorder_read(r, rip, code, sizeof code);
    if (!n)
        return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: nothing is mapped there", (unsigned long long)rip);
    enum nw_status s = decoder_insn(r->decoder, rip, code, n, insn, err);
    if (!s && (*insn)->kind == INSN_OPAQUE)
        s = nw_fail(err, NW_ERR_UNSUPPORTED, "its memory accesses are not modelled");
    if (!s && (*insn)->kind == INSN_HALT)
        s = nw_fail(err, NW_ERR_INTERNAL, "the guest halts inside its region of interest");
    return s;
}

/* A page fault's delivery ends at the handler's entry, which nothing else reaches. Single-stepping may report it there, or after
 * the entry's first instruction (*beyond), depending on the KVM backend. */
static enum nw_status fault_find(struct recorder *r, struct step *st, bool *beyond, struct nw_error *err)
{
    const struct insn *first;
    enum nw_status s;
    *beyond = false;
    if (st->before.rip == r->page_fault_entry)
        return NW_OK;
    if (st->after.rip != r->page_fault_entry) {
        if (st->after.rip - r->page_fault_entry > INSN_CODE_MAX)
            return NW_OK;
        if ((s = insn_at(r, r->page_fault_entry, &first, err)))
            return s;
        if (st->after.rip != r->page_fault_entry + first->length)
            return NW_OK;
        *beyond = true;
    }
    struct kvm_sregs sregs;
    if ((s = vm_sregs_get(r->vm, &sregs, err)))
        return s;
    uint64_t frame = nw_align_down(st->before.rsp, 16) - PF_FRAME_WORDS * 8, flags;
    st->faulted = true;
    st->fault_gva = sregs.cr2;
    if (recorder_read(r, frame, &st->fault_code, 8) != 8 || recorder_read(r, frame + 3 * 8, &flags, 8) != 8)
        return nw_fail(err, NW_ERR_INTERNAL, "page fault whose frame at %#llx is not mapped",
                       (unsigned long long)frame);
    if (flags & RFLAGS_TF) { /* hardware saved the TF that stepping had set: not the guest's */
        flags &= ~(uint64_t)RFLAGS_TF;
        memcpy(r->vm->memory + recorder_translate(r, frame + 3 * 8), &flags, sizeof flags);
    }
    return NW_OK;
}

static enum nw_status next_check(struct recorder *r, const struct step *st, struct nw_error *err)
{
    const struct insn *insn = st->insn;
    uint64_t follows = insn->rip + insn->length, rip = st->after.rip, popped = 0;
    bool right = insn->kind == INSN_STRING && insn->repeat && rip == insn->rip;
    switch (insn->next) {
    case NEXT_FOLLOWS: right |= rip == follows; break;
    case NEXT_BRANCH_MAYBE: right |= rip == follows || rip == insn->target; break;
    case NEXT_BRANCH: right |= rip == insn->target; break;
    case NEXT_POPPED:
        recorder_read(r, st->before.rsp, &popped, sizeof popped);
        right |= rip == popped;
        break;
    default: right = true; break;
    }
    return right
               ? NW_OK
               : nw_fail(err, NW_ERR_INTERNAL, "after it RIP is %#llx, where it cannot lead", (unsigned long long)rip);
}

/* One instruction, or its faulting attempt. */
static enum nw_status single_record(struct recorder *r, struct step *st, struct nw_error *err)
{
    uint8_t loaded[8] = { 0 };
    bool resumed = r->resuming;
    enum nw_status s = st->faulted ? NW_OK : next_check(r, st, err);
    if (!s && r->checker && st->insn->load_register != INSN_NO_REGISTER)
        recorder_read(r, insn_address(st->insn, &st->insn->access[0], &st->before, r->segment_base), loaded,
                      sizeof loaded);
    if (!s)
        s = record(r, st, resumed, err);
    if (!s && r->checker && !st->faulted)
        s = checker_registers(st->insn, &st->before, &st->after, loaded, err);
    r->resuming = st->insn->kind == INSN_STRING && st->insn->repeat && st->after.rip == st->before.rip && !st->faulted;
    r->count->instructions += !r->resuming && !st->faulted;
    return s;
}

static enum nw_status step_record(struct recorder *r, struct step *st, struct nw_error *err);

/* A second instruction ran in the same step, from a state that is known. */
static enum nw_status step_record_next(struct recorder *r, const struct kvm_regs *from, const struct kvm_regs *after,
                                       struct nw_error *err)
{
    struct step st = { .before = *from, .after = *after };
    enum nw_status s = insn_at(r, from->rip, &st.insn, err);
    return s ? s : step_record(r, &st, err);
}

/* The registers after an IRET from `before`: no general-purpose register but RSP changes. */
static void iret_state(struct recorder *r, const struct kvm_regs *before, struct kvm_regs *out)
{
    uint64_t word[FRAME_WORDS] = { 0 };
    recorder_read(r, before->rsp, word, sizeof word);
    *out = *before;
    out->rip = word[0];
    out->rflags = word[2];
    out->rsp = word[3];
}

static bool same_place(const struct kvm_regs *a, const struct kvm_regs *b)
{
    for (unsigned i = 0; i < 16; i++)
        if (insn_register(a, i) != insn_register(b, i))
            return false;
    return a->rip == b->rip;
}

static enum nw_status step_record(struct recorder *r, struct step *st, struct nw_error *err)
{
    bool beyond = false;
    enum nw_status s;
    if (st->insn->kind == INSN_IRET) { /* some backends report the step only after the instruction it returned to */
        struct kvm_regs final = st->after;
        iret_state(r, &st->before, &st->after);
        if ((s = single_record(r, st, err)) || same_place(&st->after, &final))
            return s;
        return step_record_next(r, &st->after, &final, err);
    }
    if ((s = fault_find(r, st, &beyond, err)))
        return s;
    if (!beyond)
        return single_record(r, st, err);
    struct kvm_regs entry = st->after;
    entry.rip = r->page_fault_entry;
    entry.rsp = nw_align_down(st->before.rsp, 16) - PF_FRAME_WORDS * 8;
    if ((s = insn_at(r, st->before.rip, &st->insn, err)) || (s = single_record(r, st, err)))
        return s;
    return step_record_next(r, &entry, &st->after, err);
}

enum nw_status recorder_step(struct recorder *r, bool *stepped, bool *out, uint16_t *port, uint32_t *value,
                             struct nw_error *err)
{
    struct step st = { .before = *r->vm->regs };
    enum vm_exit exit;
    *stepped = *out = false;
    enum nw_status s = insn_at(r, st.before.rip, &st.insn, err);
    if (s)
        goto explain;
    bool at_entry = st.before.rip == r->page_fault_entry, flags = st.insn->flags_may_change_trap;
    if (at_entry && (s = vm_step_on(r->vm, 0, err))) /* or its breakpoint would be hit for ever */
        goto explain;
    do {
        s = vm_run(r->vm, &exit, value, err);
        bool still = r->vm->regs->rip == st.before.rip;
        if (!s && exit == VM_EXIT_TICK && still && r->vm->regs->rcx == st.before.rcx)
            return NW_OK;
        if (still) /* a repeated string instruction that the tick interrupted has made a part of itself */
            break;
    } while (!s && exit == VM_EXIT_TICK);
    if (s)
        goto explain;
    st.after = *r->vm->regs;
    *stepped = true;
    *out = exit == VM_EXIT_OUT;
    *port = r->vm->run->io.port;
    r->count->steps++;
    uint64_t faults = r->faults;
    if (!(s = step_record(r, &st, err)) && r->checker)
        s = checker_memory(r->checker, &r->tables, err);
    /* Where hardware delivers exceptions and IRET by itself, the trap flag that stepping needs is gone after them. */
    if (!s && (at_entry || flags || faults != r->faults))
        s = vm_step_on(r->vm, r->page_fault_entry, err);
    if (!s)
        return NW_OK;
explain:
    recorder_explain(r, st.before.rip, err);
    return s;
}

enum nw_status recorder_init(struct recorder *r, struct vm *vm, struct sink *sink, struct nw_capture_result *count,
                             uint64_t page_fault_entry, struct nw_error *err)
{
    struct kvm_sregs sregs;
    memset(r, 0, sizeof *r);
    r->vm = vm;
    r->sink = sink;
    r->count = count;
    r->page_fault_entry = page_fault_entry;
    enum nw_status s = vm_sregs_get(vm, &sregs, err);
    if (!s)
        s = decoder_create(&r->decoder, err);
    if (!s)
        s = tables_watch_init(&r->tables, vm->memory, vm->memory_bytes, err);
    if (s)
        return s;
    r->cr3 = sregs.cr3;
    r->segment_base[1] = sregs.fs.base;
    r->segment_base[2] = sregs.gs.base;
    r->gdt_base = sregs.gdt.base;
    r->idt_base = sregs.idt.base;
    /* The tables there now belong into the trace's head: pages that join later are events. */
    if ((s = tables_watch_root(&r->tables, sregs.cr3, err)))
        return s;
    r->tables.joined = table_joined;
    r->tables.context = r;
    return NW_OK;
}

void recorder_fini(struct recorder *r)
{
    tables_watch_fini(&r->tables);
    decoder_destroy(r->decoder);
    checker_destroy(r->checker);
    memset(r, 0, sizeof *r);
}
