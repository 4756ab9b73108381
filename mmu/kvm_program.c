/* The interpreter guest: operations become processor walks of the shadow tables, exits, and emulated accesses. */
#include <nestwalk/mmu/kvm_program.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUEST_BYTES (UINT64_C(64) << 20)
#define SECOND_SLOT UINT64_C(0x8000000)

enum {
    SECOND_SLOT_PAGES = 512,
    CODE = 0x20000,
    OPS = 0x30000,
    OP_BYTES = 24,
    STACK = 0x9fe8,
    RETURN_ADDRESS = 0x20100,
    SUPERVISOR_CODE = 0x21000,
    TRAP_STACK = 0x97d8,
    RETURN_FRAME = 0x8000,
    GDT = 0x5010,
    IDT = 0x6060,
    TSS = 0x7004,
    START_CR3 = 0x10000,
    PATIENCE = 200, /* exits of one access */
};

struct run {
    const struct nw_kvm_program *program;
    const struct nw_kvm_watcher *watcher;
    struct nw_physmem *pm;
    struct nw_kvm *kvm;
    struct nw_guest_registers registers;
    bool stopped;
};

/* ---- events ------------------------------------------------------------------------------------------------- */

/* Walks for the interpreter's own pages say nothing about the program. */
static bool own_walk(const char *text)
{
    unsigned long long gva;
    unsigned code;
    if (sscanf(text, "W %llx %x", &gva, &code) != 2)
        return false;
    uint64_t page = gva >> NW_PAGE_LOG2;
    return (page >= 5 && page <= 8) || (page >= 0x20 && page <= 0x22) || (page == 9 && !(code & NW_PF_U));
}

static void pass_event(void *context, const char *text)
{
    struct run *r = context;
    if (!own_walk(text))
        r->watcher->event(r->watcher->context, text);
}

/* ---- what user code does ------------------------------------------------------------------------------------ */

enum change { CHANGE_NONE, CHANGE_STORE, CHANGE_OR, CHANGE_ADD };
struct access {
    uint64_t gva, value;
    unsigned bytes;
    enum nw_access_kind kind;
    enum change change;
    uint64_t rip;
    bool supervisor;
};

static uint64_t changed(const struct access *a, uint64_t old)
{
    switch (a->change) {
    case CHANGE_OR: return old | a->value;
    case CHANGE_ADD: return old + a->value;
    case CHANGE_NONE:
    case CHANGE_STORE: break;
    }
    return a->value;
}

/* Performs the access through translations that the processor has found. */
static void perform(struct run *r, const struct access *a, const hpa_t page[2], unsigned first)
{
    uint64_t old = 0;
    uint8_t byte[8];
    if (a->change == CHANGE_NONE)
        return;
    for (unsigned pass = 0; pass < 2; pass++) {
        uint64_t value = changed(a, old);
        for (unsigned i = 0; i < a->bytes; i++) {
            hpa_t at = nw_hpa(i < first ? page[0].v + i : page[1].v + i - first);
            uint64_t *word = nw_physmem_find(r->pm, at), shift = (at.v & 7) * 8;
            if (!word)
                continue;
            byte[i] = (uint8_t)(*word >> shift);
            if (pass)
                *word = (*word & ~(UINT64_C(0xff) << shift)) | (value >> (8 * i) & 0xff) << shift;
            else
                old |= (uint64_t)byte[i] << (8 * i);
        }
    }
}

/* The emulator takes the instruction over. True: it completed. */
static bool emulate(struct run *r, const struct access *a)
{
    struct nw_kvm_emulated e;
    switch (a->change) {
    case CHANGE_NONE:
        if (a->kind == NW_ACCESS_FETCH)
            return false; /* no instruction can be fetched there */
        nw_kvm_emulated_read(r->kvm, nw_gva(a->gva), a->bytes, !a->supervisor, &e);
        return e.ok;
    case CHANGE_STORE:
        nw_kvm_emulated_write(r->kvm, nw_gva(a->gva), a->bytes, a->value, !a->supervisor, false, &e);
        return e.ok;
    case CHANGE_OR:
    case CHANGE_ADD:
        nw_kvm_emulated_read(r->kvm, nw_gva(a->gva), a->bytes, !a->supervisor, &e);
        if (!e.ok)
            return false;
        nw_kvm_emulated_write(r->kvm, nw_gva(a->gva), a->bytes, changed(a, e.value), !a->supervisor, true, &e);
        return e.ok;
    }
    return false;
}

/* Runs one access to its end. *done false: the guest faulted. */
static enum nw_status native_access(struct run *r, const struct access *a, bool *done, struct nw_error *err)
{
    unsigned room = (unsigned)(NW_PAGE_BYTES - (a->gva & (NW_PAGE_BYTES - 1))),
             first = a->bytes < room ? a->bytes : room;
    const struct nw_access access = { .kind = a->kind, .user = !a->supervisor };
    *done = false;
    for (unsigned exits = 0; exits < PATIENCE; exits++) {
        struct nw_walk_result walk;
        struct nw_kvm_fault fault;
        hpa_t page[2] = { { 0 }, { 0 } };
        unsigned part = 0, parts = first < a->bytes ? 2 : 1;
        uint64_t gva = a->gva;
        enum nw_status s = nw_kvm_enter(r->kvm, err);
        if (s)
            return s;
        for (; part < parts; part++) {
            gva = part ? a->gva + first : a->gva;
            nw_walk_native(r->pm, nw_kvm_shadow_paging(r->kvm), nw_gva(gva), &access, NULL, &walk);
            if (walk.outcome != NW_WALK_OK)
                break;
            page[part] = walk.hpa;
        }
        if (part == parts) {
            perform(r, a, page, first);
            *done = true;
            return NW_OK;
        }
        if (walk.outcome != NW_WALK_PAGE_FAULT)
            return NW_OK; /* not canonical: a general-protection fault, skipped like any other */
        if ((s = nw_kvm_page_fault(r->kvm, nw_gva(gva), walk.fault.code, &fault, err)))
            return s;
        if (fault.result == NW_KVM_GUEST_FAULT)
            return NW_OK;
        if (fault.result != NW_KVM_EMULATE)
            continue;
        if (fault.write_protected &&
            nw_kvm_unprotect(r->kvm, nw_gva(gva), a->rip, !a->supervisor, a->change != CHANGE_ADD))
            continue;
        *done = emulate(r, a);
        return NW_OK;
    }
    return nw_fail(err, NW_ERR_UNSUPPORTED, "the access to 0x%llx does not complete within %d exits",
                   (unsigned long long)a->gva, PATIENCE);
}

/* What the processor reads and writes to get into a handler, and what the handler reads to return (SDM vol. 3, "Exception
 * and Interrupt Handling in 64-bit Mode"). Where KVM emulates supervisor code, none of it goes through shadow tables. */
static enum nw_status supervisor_pages(struct run *r, bool back, struct nw_error *err)
{
    static const struct access in[] = {
        { .gva = IDT, .bytes = 8, .kind = NW_ACCESS_READ },
        { .gva = GDT, .bytes = 8, .kind = NW_ACCESS_READ },
        { .gva = TSS, .bytes = 8, .kind = NW_ACCESS_READ },
        { .gva = TRAP_STACK, .bytes = 8, .kind = NW_ACCESS_WRITE, .change = CHANGE_STORE },
        { .gva = SUPERVISOR_CODE, .bytes = 1, .kind = NW_ACCESS_FETCH },
    };
    static const struct access out[] = {
        { .gva = SUPERVISOR_CODE, .bytes = 1, .kind = NW_ACCESS_FETCH },
        { .gva = RETURN_FRAME, .bytes = 8, .kind = NW_ACCESS_READ },
        { .gva = GDT, .bytes = 8, .kind = NW_ACCESS_READ },
    };
    enum nw_status s = NW_OK;
    if (!r->program->native_supervisor)
        return s;
    for (size_t i = 0; i < (back ? NW_ARRAY_LEN(out) : NW_ARRAY_LEN(in)) && !s; i++) {
        struct access a = back ? out[i] : in[i];
        bool done;
        a.supervisor = true;
        s = native_access(r, &a, &done, err);
    }
    return s;
}

/* User code's access. *done false: the guest faulted and its handler skipped the operation. */
static enum nw_status user_access(struct run *r, const struct access *a, bool *done, struct nw_error *err)
{
    enum nw_status s = native_access(r, a, done, err);
    if (!s && !*done && !(s = supervisor_pages(r, false, err)))
        s = supervisor_pages(r, true, err);
    return s;
}

static enum nw_status user_read(struct run *r, uint64_t gva, enum nw_access_kind kind, bool *done, struct nw_error *err)
{
    const struct access a = { .gva = gva, .bytes = kind == NW_ACCESS_FETCH ? 1 : 8, .kind = kind };
    return user_access(r, &a, done, err);
}

static enum nw_status user_write(struct run *r, const struct nw_kvm_op *op, unsigned bytes, enum change change,
                                 struct nw_error *err)
{
    bool done;
    const struct access a = {
        .gva = op->a, .value = op->b, .bytes = bytes, .kind = NW_ACCESS_WRITE, .change = change, .rip = op->code
    };
    return user_access(r, &a, &done, err);
}

static enum nw_status user_call(struct run *r, uint64_t target, struct nw_error *err)
{
    bool done;
    const struct access push = { .gva = STACK,
                                 .value = RETURN_ADDRESS,
                                 .bytes = 8,
                                 .kind = NW_ACCESS_WRITE,
                                 .change = CHANGE_STORE,
                                 .rip = NW_KVM_OP_EXEC };
    enum nw_status s = user_access(r, &push, &done, err);
    if (!s && done)
        s = user_read(r, target, NW_ACCESS_FETCH, &done, err);
    if (!s && done)
        s = user_read(r, STACK, NW_ACCESS_READ, &done, err);
    return s;
}

/* ---- what supervisor code does ------------------------------------------------------------------------------ */

/* A register value that no processor takes is a fault, and ends the operation. */
static enum nw_status refuse(enum nw_status s, struct nw_error *err)
{
    if (s == NW_ERR_INPUT || s == NW_ERR_UNSUPPORTED) {
        if (err)
            *err = (struct nw_error){ 0 };
        return NW_OK;
    }
    return s;
}

static enum nw_status supervisor_load(struct run *r, bool cr4, uint64_t value, struct nw_error *err)
{
    if (cr4 && (value & NW_CR4_PCIDE)) /* the recorded machine has no PCIDs */
        return NW_OK;
    enum nw_status s = cr4 ? nw_kvm_load_cr4(r->kvm, value, err) : nw_kvm_load_cr3(r->kvm, value, err);
    s = refuse(s, err);
    return s ? s : nw_kvm_emulation_step(r->kvm, err);
}

static enum nw_status supervisor_invlpg(struct run *r, uint64_t gva, struct nw_error *err)
{
    nw_kvm_invlpg(r->kvm, nw_gva(gva));
    return nw_kvm_emulation_step(r->kvm, err);
}

static enum nw_status supervisor_access(struct run *r, const struct nw_kvm_op *op, struct nw_error *err)
{
    struct nw_kvm_emulated e;
    if (r->program->native_supervisor) {
        bool store = op->code == NW_KVM_OP_SUPERVISOR_WRITE, done;
        const struct access a = { .gva = op->a,
                                  .value = op->b,
                                  .bytes = 8,
                                  .kind = store ? NW_ACCESS_WRITE : NW_ACCESS_READ,
                                  .change = store ? CHANGE_STORE : CHANGE_NONE,
                                  .rip = op->code,
                                  .supervisor = true };
        enum nw_status s = native_access(r, &a, &done, err);
        return s || done ? s : supervisor_pages(r, false, err);
    }
    if (op->code == NW_KVM_OP_SUPERVISOR_READ)
        nw_kvm_emulated_read(r->kvm, nw_gva(op->a), 8, false, &e);
    else
        nw_kvm_emulated_write(r->kvm, nw_gva(op->a), 8, op->b, false, false, &e);
    return nw_kvm_emulation_step(r->kvm, err);
}

/* ---- the interpreter ---------------------------------------------------------------------------------------- */

bool nw_kvm_op_known(uint64_t code)
{
    return (code >= NW_KVM_OP_READ && code <= NW_KVM_OP_MARKER) ||
           (code >= NW_KVM_OP_WRITE4 && code <= NW_KVM_OP_LOCK_ADD) || code == NW_KVM_OP_SUPERVISOR_READ ||
           code == NW_KVM_OP_INVLPG2 || code == NW_KVM_OP_CR3_2;
}

static enum nw_status act(struct run *r, const struct nw_kvm_action *a, struct nw_error *err)
{
    uint64_t dirty;
    switch ((enum nw_kvm_action_kind)a->kind) {
    case NW_KVM_ACTION_DROP: nw_kvm_host_drop(r->kvm, nw_gpa(a->gpa), a->bytes); return NW_OK;
    case NW_KVM_ACTION_READ_ONLY:
    case NW_KVM_ACTION_READ_WRITE:
        nw_kvm_host_protect(r->kvm, nw_gpa(a->gpa), a->bytes, a->kind == NW_KVM_ACTION_READ_WRITE);
        return NW_OK;
    case NW_KVM_ACTION_DIRTY_LOG: return nw_kvm_get_dirty_log(r->kvm, 0, &dirty, err);
    case NW_KVM_ACTION_SLOT_FLAGS: return nw_kvm_slot_set_dirty_logging(r->kvm, 0, a->gpa & 1, err);
    case NW_KVM_ACTION_SLOT:
        if (a->gpa)
            return nw_kvm_slot_remove(r->kvm, SECOND_SLOT >> NW_PAGE_LOG2, err);
        return nw_kvm_slot_add(r->kvm,
                               &(struct nw_kvm_slot){ .first_gfn = SECOND_SLOT >> NW_PAGE_LOG2,
                                                      .pages = SECOND_SLOT_PAGES,
                                                      .hpa = SECOND_SLOT },
                               err);
    case NW_KVM_ACTION_SREGS:
        r->registers = *nw_kvm_registers(r->kvm), r->registers.cr3 = a->gpa;
        return nw_kvm_set_sregs(r->kvm, &r->registers, err);
    }
    return nw_fail(err, NW_ERR_INPUT, "host action %llu does not exist; 1 to 7 do", (unsigned long long)a->kind);
}

static void tell_segment(struct run *r, uint64_t marker, bool action)
{
    if (r->watcher->segment && !r->watcher->segment(r->watcher->context, marker, action, nw_kvm_counters(r->kvm)))
        r->stopped = true;
}

static enum nw_status marker(struct run *r, uint64_t number, struct nw_error *err)
{
    tell_segment(r, number, false);
    for (size_t i = 0; i < r->program->action_count && !r->stopped; i++) {
        if (r->program->action[i].marker != number)
            continue;
        enum nw_status s = act(r, &r->program->action[i], err);
        if (s)
            return s;
        tell_segment(r, number, true);
    }
    return NW_OK;
}

static enum nw_status operate_supervisor(struct run *r, const struct nw_kvm_op *op, struct nw_error *err)
{
    enum nw_status s;
    switch ((unsigned)op->code) {
    case NW_KVM_OP_INVLPG: return supervisor_invlpg(r, op->a, err);
    case NW_KVM_OP_INVLPG2: s = supervisor_invlpg(r, op->a, err); return s ? s : supervisor_invlpg(r, op->b, err);
    case NW_KVM_OP_CR3: return supervisor_load(r, false, op->a, err);
    case NW_KVM_OP_CR3_2:
        s = supervisor_load(r, false, op->a, err);
        return s ? s : supervisor_load(r, false, op->b, err);
    case NW_KVM_OP_CR4: return supervisor_load(r, true, op->a, err);
    default: return supervisor_access(r, op, err);
    }
}

static enum nw_status trap(struct run *r, const struct nw_kvm_op *op, struct nw_error *err)
{
    enum nw_status s = supervisor_pages(r, false, err);
    if (!s)
        s = operate_supervisor(r, op, err);
    return s ? s : supervisor_pages(r, true, err);
}

static enum nw_status operate(struct run *r, const struct nw_kvm_op *op, struct nw_error *err)
{
    bool done;
    switch ((enum nw_kvm_op_code)op->code) {
    case NW_KVM_OP_READ: return user_read(r, op->a, NW_ACCESS_READ, &done, err);
    case NW_KVM_OP_WRITE: return user_write(r, op, 8, CHANGE_STORE, err);
    case NW_KVM_OP_WRITE4: return user_write(r, op, 4, CHANGE_STORE, err);
    case NW_KVM_OP_WRITE2: return user_write(r, op, 2, CHANGE_STORE, err);
    case NW_KVM_OP_WRITE1: return user_write(r, op, 1, CHANGE_STORE, err);
    case NW_KVM_OP_LOCK_OR: return user_write(r, op, 8, CHANGE_OR, err);
    case NW_KVM_OP_LOCK_ADD: return user_write(r, op, 8, CHANGE_ADD, err);
    case NW_KVM_OP_EXEC: return user_call(r, op->a, err);
    case NW_KVM_OP_MARKER: return marker(r, op->a, err);
    case NW_KVM_OP_INVLPG:
    case NW_KVM_OP_INVLPG2:
    case NW_KVM_OP_CR3:
    case NW_KVM_OP_CR3_2:
    case NW_KVM_OP_CR4:
    case NW_KVM_OP_SUPERVISOR_WRITE:
    case NW_KVM_OP_SUPERVISOR_READ: return trap(r, op, err);
    }
    return nw_fail(err, NW_ERR_INPUT, "operation %llu does not exist", (unsigned long long)op->code);
}

/* Fetches the interpreter's code and the operation's three words, then does it. */
static enum nw_status step(struct run *r, size_t index, struct nw_error *err)
{
    bool done;
    enum nw_status s = user_read(r, CODE, NW_ACCESS_FETCH, &done, err);
    for (unsigned i = 0; i < OP_BYTES && !s && done; i += 8)
        s = user_read(r, OPS + index * OP_BYTES + i, NW_ACCESS_READ, &done, err);
    if (!s && done)
        s = operate(r, &r->program->op[index], err);
    return s ? s : nw_kvm_enter(r->kvm, err);
}

static enum nw_status load(struct run *r, struct nw_error *err)
{
    const struct nw_kvm_program *p = r->program;
    if (p->op_count > (GUEST_BYTES - OPS) / OP_BYTES)
        return nw_fail(err, NW_ERR_INPUT, "%zu operations do not fit in the guest's memory", p->op_count);
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < p->op_count && !s; i++) {
        const uint64_t word[] = { p->op[i].code, p->op[i].a, p->op[i].b };
        if (!nw_kvm_op_known(p->op[i].code))
            return nw_fail(err, NW_ERR_INPUT, "operation %llu does not exist", (unsigned long long)p->op[i].code);
        for (unsigned j = 0; j < 3 && !s; j++)
            s = nw_physmem_write64(r->pm, nw_hpa(OPS + i * OP_BYTES + j * 8), word[j], err);
    }
    for (size_t i = 0; i < p->word_count && !s; i++) {
        if (p->word[i][0] >= GUEST_BYTES || p->word[i][0] % 8)
            return nw_fail(err, NW_ERR_INPUT, "a word at 0x%llx: the guest has 64 MiB, and words are 8 bytes",
                           (unsigned long long)p->word[i][0]);
        s = nw_physmem_write64(r->pm, nw_hpa(p->word[i][0]), p->word[i][1], err);
    }
    return s;
}

static enum nw_status start(struct run *r, struct nw_error *err)
{
    const struct nw_kvm_program *p = r->program;
    const struct nw_kvm_config config = { .pm = r->pm,
                                          .shadow_hpa = UINT64_C(1) << 36,
                                          .max_mmu_pages = p->max_mmu_pages,
                                          .eager_zap = p->eager_zap,
                                          .serve_every_exit = p->serve_every_exit,
                                          .mmio_caching = p->mmio_caching,
                                          .event = r->watcher->event ? pass_event : NULL,
                                          .context = r };
    enum nw_status s = nw_kvm_create(&r->kvm, &config, err);
    if (!s)
        s = nw_kvm_slot_add(r->kvm,
                            &(struct nw_kvm_slot){ .pages = GUEST_BYTES >> NW_PAGE_LOG2,
                                                   .page_log2 = p->large_backing ? NW_PAGE_2M_LOG2 : NW_PAGE_LOG2,
                                                   .anonymous = p->large_backing,
                                                   .dirty_logging = p->dirty_logging },
                            err);
    if (!s)
        s = load(r, err);
    r->registers = (struct nw_guest_registers){ .cr0 = 0x80050033, .cr3 = START_CR3, .cr4 = 0x620, .efer = 0xd01 };
    return s ? s : nw_kvm_set_sregs(r->kvm, &r->registers, err);
}

enum nw_status nw_kvm_program_run(const struct nw_kvm_program *program, const struct nw_kvm_watcher *watcher,
                                  struct nw_error *err)
{
    struct run r = { .program = program, .watcher = watcher };
    enum nw_status s = nw_physmem_create(&r.pm, err);
    if (!s)
        s = start(&r, err);
    for (size_t i = 0; i < program->op_count && !s && !r.stopped; i++)
        s = step(&r, i, err);
    nw_kvm_destroy(r.kvm);
    nw_physmem_destroy(r.pm);
    return s;
}
