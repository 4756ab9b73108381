#include "decode.h"

#include <stdlib.h>
#include <string.h>
#include <Zydis/Zydis.h>

enum { CACHE_LOG2 = 13, CACHE_SIZE = 1 << CACHE_LOG2 };

struct decoder {
    ZydisDecoder zydis;
    struct insn cache[CACHE_SIZE]; /* direct-mapped by RIP; length 0: empty */
};

enum nw_status decoder_create(struct decoder **out, struct nw_error *err)
{
    struct decoder *d = calloc(1, sizeof *d);
    if (!d)
        return nw_fail_nomem(err, "the instruction decoder");
    if (ZYAN_FAILED(ZydisDecoderInit(&d->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64))) {
        free(d);
        return nw_fail(err, NW_ERR_INTERNAL, "Zydis: the decoder cannot be initialised");
    }
    *out = d;
    return NW_OK;
}

void decoder_destroy(struct decoder *d) { free(d); }

uint64_t insn_register(const struct kvm_regs *r, unsigned index)
{
    const uint64_t value[16] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                 r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };
    return value[index & 15];
}

uint64_t insn_address(const struct insn *insn, const struct insn_access *a, const struct kvm_regs *regs,
                      const uint64_t segment_base[3])
{
    uint64_t address = (uint64_t)a->displacement;
    if (a->base == INSN_RIP)
        address += insn->rip + insn->length;
    else if (a->base != INSN_NO_REGISTER)
        address += insn_register(regs, a->base);
    if (a->index != INSN_NO_REGISTER)
        address += insn_register(regs, a->index) * a->scale;
    if (a->bit_register !=
        INSN_NO_REGISTER) { /* SDM vol. 2, BT: the bit offset is signed and reaches beyond the operand */
        unsigned bits = a->bytes * 8u;
        int64_t offset = (int64_t)insn_register(regs, a->bit_register);
        if (bits < 64)
            offset = (int64_t)((uint64_t)offset << (64 - bits)) >> (64 - bits);
        address += (uint64_t)((offset >> (bits == 64 ? 6 : bits == 32 ? 5 : 4)) * a->bytes);
    }
    if (a->short_address)
        address &= 0xffffffff;
    return address + segment_base[a->segment_base_of];
}

static uint8_t register_index(ZydisRegister r)
{
    if (r == ZYDIS_REGISTER_NONE)
        return INSN_NO_REGISTER;
    if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
        return INSN_RIP;
    return (uint8_t)ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r));
}

/* Instructions that name memory without accessing it. */
static bool names_only(ZydisMnemonic m)
{
    switch (m) {
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_LEA:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_ENDBR64: return true;
    default: return false;
    }
}

/* Instructions whose memory accesses are not all in their operands (descriptor tables, state areas, stacks of other levels). */
static bool opaque(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_VTX:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_GATHER:
    case ZYDIS_CATEGORY_SCATTER: return true;
    default: break;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_LTR:
    case ZYDIS_MNEMONIC_LLDT:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_WRMSR: return true;
    default: break;
    }
    bool far = in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR && in->mnemonic != ZYDIS_MNEMONIC_IRETQ;
    return far || (in->operand_count && op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                   ZydisRegisterGetClass(op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT);
}

static bool access_add(struct insn *insn, const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op, bool store)
{
    if (insn->access_count == INSN_ACCESSES_MAX)
        return false;
    struct insn_access *a = &insn->access[insn->access_count++];
    *a = (struct insn_access){ .store = store,
                               .base = register_index(op->mem.base),
                               .index = register_index(op->mem.index),
                               .scale = op->mem.scale,
                               .bit_register = INSN_NO_REGISTER,
                               .short_address = in->address_width == 32,
                               .bytes = (uint16_t)(op->size / 8),
                               .displacement = op->mem.disp.has_displacement ? op->mem.disp.value : 0,
                               .segment_base_of = op->mem.segment == ZYDIS_REGISTER_FS   ? 1
                                                  : op->mem.segment == ZYDIS_REGISTER_GS ? 2
                                                                                         : 0 };
    if (op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && op->mem.base == ZYDIS_REGISTER_RSP && store)
        a->displacement = -(int64_t)a->bytes; /* a push stores below the RSP it starts from */
    /* SDM vol. 2, POP: a destination addressed by RSP uses the RSP after the pop. */
    if (in->mnemonic == ZYDIS_MNEMONIC_POP && store && op->mem.base == ZYDIS_REGISTER_RSP)
        a->displacement += a->bytes;
    return true;
}

/* Loads come before stores: a read-modify-write does both, and PUSH or CALL through memory reads before it pushes. */
static bool accesses_find(struct insn *insn, const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    for (int store = 0; store < 2; store++)
        for (unsigned i = 0; i < in->operand_count; i++) {
            unsigned actions = store ? ZYDIS_OPERAND_ACTION_MASK_WRITE : ZYDIS_OPERAND_ACTION_MASK_READ;
            if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY || op[i].mem.type != ZYDIS_MEMOP_TYPE_MEM ||
                !(op[i].actions & actions) || !op[i].size)
                continue;
            if (!access_add(insn, in, &op[i], store))
                return false;
            bool bit_string = in->mnemonic == ZYDIS_MNEMONIC_BT || in->mnemonic == ZYDIS_MNEMONIC_BTS ||
                              in->mnemonic == ZYDIS_MNEMONIC_BTR || in->mnemonic == ZYDIS_MNEMONIC_BTC;
            if (bit_string && op[1].type == ZYDIS_OPERAND_TYPE_REGISTER)
                insn->access[insn->access_count - 1].bit_register = register_index(op[1].reg.value);
        }
    return true;
}

static void stack_effect(struct insn *insn, const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    insn->stack_known = true;
    for (unsigned i = 0; i < in->operand_count; i++) {
        bool hidden = op[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
        if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && hidden && op[i].mem.base == ZYDIS_REGISTER_RSP) {
            int bytes = op[i].size / 8;
            insn->stack_change =
                (int16_t)(insn->stack_change + (op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? -bytes : bytes));
        } else if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && !hidden && op[i].reg.value == ZYDIS_REGISTER_RSP &&
                   (op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)) {
            insn->stack_known = false;
        }
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_RET && in->operand_count && op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        insn->stack_change = (int16_t)(insn->stack_change + (int)op[0].imm.value.u);
    if (in->mnemonic == ZYDIS_MNEMONIC_LEAVE || in->mnemonic == ZYDIS_MNEMONIC_IRETQ)
        insn->stack_known = false;
}

static void flow(struct insn *insn, const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    switch (in->meta.category) {
    case ZYDIS_CATEGORY_COND_BR: insn->next = NEXT_BRANCH_MAYBE; break;
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL: insn->next = op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? NEXT_BRANCH : NEXT_ANY; break;
    case ZYDIS_CATEGORY_RET: insn->next = NEXT_POPPED; break;
    default: insn->next = NEXT_FOLLOWS; return;
    }
    if (op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op[0].imm.is_relative)
        insn->target = insn->rip + insn->length + op[0].imm.value.u;
}

static void classify(struct insn *insn, const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
    insn->load_register = insn->gpr = INSN_NO_REGISTER;
    if (opaque(in, op)) {
        insn->kind = INSN_OPAQUE;
        return;
    }
    switch (in->mnemonic) {
    case ZYDIS_MNEMONIC_HLT: insn->kind = INSN_HALT; return;
    case ZYDIS_MNEMONIC_OUT: insn->kind = INSN_OUT; return;
    case ZYDIS_MNEMONIC_IRETQ: insn->kind = INSN_IRET; break;
    case ZYDIS_MNEMONIC_INVLPG:
        insn->kind = INSN_INVLPG;
        if (!access_add(insn, in, &op[0], false))
            insn->kind = INSN_OPAQUE;
        insn->access[0].bytes = 1;
        return;
    default: break;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_MOV && op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        ZydisRegisterGetClass(op[0].reg.value) == ZYDIS_REGCLASS_CONTROL) {
        insn->kind = INSN_CR_WRITE;
        insn->cr = (uint8_t)(op[0].reg.value - ZYDIS_REGISTER_CR0);
        insn->gpr = register_index(op[1].reg.value);
        return;
    }
    insn->flags_may_change_trap = in->mnemonic == ZYDIS_MNEMONIC_IRETQ || in->mnemonic == ZYDIS_MNEMONIC_POPFQ ||
                                  in->mnemonic == ZYDIS_MNEMONIC_POPF;
    if (insn->kind == INSN_IRET)
        return;
    if (names_only(in->mnemonic))
        return;
    if (in->meta.category == ZYDIS_CATEGORY_STRINGOP) {
        insn->kind = INSN_STRING;
        insn->repeat = in->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
    }
    if (!accesses_find(insn, in, op)) {
        insn->kind = INSN_OPAQUE;
        return;
    }
    if (in->mnemonic == ZYDIS_MNEMONIC_MOV && insn->access_count == 1 && !insn->access[0].store &&
        op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && op[0].size >= 32)
        insn->load_register = register_index(op[0].reg.value);
}

enum nw_status decoder_insn(struct decoder *d, uint64_t rip, const uint8_t *code, unsigned available,
                            const struct insn **out, struct nw_error *err)
{
    struct insn *insn = &d->cache[(rip ^ rip >> CACHE_LOG2) & (CACHE_SIZE - 1)];
    *out = insn;
    if (insn->rip == rip && insn->length && insn->length <= available && !memcmp(insn->code, code, insn->length))
        return NW_OK;
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    memset(insn, 0, sizeof *insn);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&d->zydis, code, available, &in, op)))
        return nw_fail(err, NW_ERR_INTERNAL,
                       "guest at RIP %#llx: no instruction begins there (first byte %02x, %u readable)",
                       (unsigned long long)rip, available ? code[0] : 0, available);
    insn->rip = rip;
    insn->length = in.length;
    memcpy(insn->code, code, in.length);
    classify(insn, &in, op);
    flow(insn, &in, op);
    stack_effect(insn, &in, op);
    return NW_OK;
}

void decoder_text(const struct decoder *d, uint64_t rip, const uint8_t *code, unsigned available, char *out,
                  unsigned size)
{
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    ZydisFormatter formatter;
    out[0] = '\0';
    if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d->zydis, code, available, &in, op)) &&
        ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)))
        ZydisFormatterFormatInstruction(&formatter, &in, op, in.operand_count_visible, out, size, rip, NULL);
}
