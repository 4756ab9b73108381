/* The guest before its first instruction: memory, descriptor tables, registers. */
#include "live_internal.h"
#include <string.h>

extern const unsigned char nw_live_user_start[], nw_live_user_next[], nw_live_user_end[];
extern const unsigned char nw_live_supervisor_start[], nw_live_supervisor_end[];

enum {
    RET = 0xc3,
    TSS_BYTES = 104,
    TSS_RSP0 = 4,
    /* CR0: PG WP NE ET MP PE and AM; CR4: OSFXSR OSXMMEXCPT PAE; EFER: NXE LMA LME SCE */
    CR0 = (int)0x80050033,
    CR4 = 0x620,
    EFER = 0xd01,
    CODE_KERNEL = 0x9b, /* access bytes; the accessed and busy bits are set already, so that nothing writes them */
    DATA_KERNEL = 0x93,
    DATA_USER = 0xf3,
    CODE_USER = 0xfb,
    TSS_BUSY = 0x8b,
    GATE = 0x8e,
};

static void put(uint8_t *memory, uint64_t gpa, uint64_t word) { memcpy(memory + gpa, &word, sizeof word); }

/* A flat segment of 4 GiB; `flags` 0xa is 64-bit code, 0xc is data. */
static uint64_t descriptor(unsigned access, unsigned flags)
{
    return UINT64_C(0xffff) | (uint64_t)access << 40 | UINT64_C(0xf) << 48 | (uint64_t)flags << 52;
}

/* SDM vol. 3, "64-Bit Mode Task State Segment" and "64-Bit Mode IDT". */
static void tables_put(uint8_t *memory)
{
    put(memory, LIVE_GDT + LIVE_KERNEL_CODE, descriptor(CODE_KERNEL, 0xa));
    put(memory, LIVE_GDT + LIVE_KERNEL_DATA, descriptor(DATA_KERNEL, 0xc));
    put(memory, LIVE_GDT + (LIVE_USER_DATA & ~7), descriptor(DATA_USER, 0xc));
    put(memory, LIVE_GDT + (LIVE_USER_CODE & ~7), descriptor(CODE_USER, 0xa));
    put(memory, LIVE_GDT + LIVE_TSS_ENTRY, (TSS_BYTES - 1) | (uint64_t)LIVE_TSS << 16 | (uint64_t)TSS_BUSY << 40);
    for (unsigned i = 0; i < LIVE_VECTORS; i++) {
        uint64_t handler = LIVE_SUPERVISOR + i * LIVE_VECTOR_STEP;
        put(memory, LIVE_IDT + i * 16,
            (handler & 0xffff) | (uint64_t)LIVE_KERNEL_CODE << 16 | (uint64_t)GATE << 40 | (handler >> 16) << 48);
    }
    put(memory, LIVE_TSS + TSS_RSP0, LIVE_TRAP_STACK);
    const uint64_t frame[] = { LIVE_USER + (uint64_t)(nw_live_user_next - nw_live_user_start), LIVE_USER_CODE,
                               LIVE_FLAGS, LIVE_USER_STACK, LIVE_USER_DATA };
    memcpy(memory + LIVE_RETURN, frame, sizeof frame);
}

void live_load(uint8_t *memory, const struct nw_kvm_program *p)
{
    memset(memory + LIVE_RETS, RET, LIVE_BYTES - LIVE_RETS);
    for (size_t i = 0; i < p->op_count; i++) {
        const uint64_t op[] = { p->op[i].code, p->op[i].a, p->op[i].b };
        memcpy(memory + LIVE_OPS + i * LIVE_OP_BYTES, op, sizeof op);
    }
    for (size_t i = 0; i < p->word_count; i++)
        put(memory, p->word[i][0], p->word[i][1]);
    memcpy(memory + LIVE_USER, nw_live_user_start, (size_t)(nw_live_user_end - nw_live_user_start));
    memcpy(memory + LIVE_SUPERVISOR, nw_live_supervisor_start,
           (size_t)(nw_live_supervisor_end - nw_live_supervisor_start));
    tables_put(memory);
}

static struct kvm_segment segment(unsigned selector, unsigned access, bool code)
{
    return (struct kvm_segment){ .limit = 0xffffffff,
                                 .selector = (uint16_t)selector,
                                 .type = access & 0xf,
                                 .s = access >> 4 & 1,
                                 .dpl = access >> 5 & 3,
                                 .present = 1,
                                 .l = code,
                                 .db = !code,
                                 .g = 1 };
}

enum nw_status live_registers_set(struct vm *vm, const struct nw_kvm_program *p, struct nw_error *err)
{
    struct kvm_sregs sregs;
    enum nw_status s = vm_sregs_get(vm, &sregs, err);
    if (s)
        return s;
    sregs.cs = segment(LIVE_USER_CODE, CODE_USER, true);
    sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = segment(LIVE_USER_DATA, DATA_USER, false);
    sregs.tr = segment(LIVE_TSS_ENTRY, TSS_BUSY, false);
    sregs.tr.db = sregs.tr.g = 0;
    sregs.tr.base = LIVE_TSS;
    sregs.tr.limit = TSS_BYTES - 1;
    sregs.ldt = (struct kvm_segment){ .unusable = 1 };
    sregs.gdt = (struct kvm_dtable){ .base = LIVE_GDT, .limit = LIVE_TSS_ENTRY + 15 };
    sregs.idt = (struct kvm_dtable){ .base = LIVE_IDT, .limit = LIVE_VECTORS * 16 - 1 };
    sregs.cr0 = (uint32_t)CR0;
    sregs.cr3 = LIVE_CR3;
    sregs.cr4 = CR4;
    sregs.efer = EFER;
    if ((s = vm_sregs_set(vm, &sregs, err)))
        return s;
    const struct kvm_regs regs = { .rip = LIVE_USER,
                                   .rsp = LIVE_USER_STACK,
                                   .rflags = LIVE_FLAGS,
                                   .rbx = LIVE_OPS,
                                   .r12 = LIVE_OPS + p->op_count * LIVE_OP_BYTES,
                                   .r13 = UINT64_C(1) << 63 };
    return vm_regs_set(vm, &regs, err);
}
