/* decode.h - from instruction bytes to what the instruction does to memory, as far as a recorder must know before it runs. */
#ifndef NESTWALK_CAPTURE_DECODE_H
#define NESTWALK_CAPTURE_DECODE_H

#include <linux/kvm.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

enum insn_kind {
    INSN_PLAIN,  /* its accesses are in the list, in order */
    INSN_STRING, /* one iteration's accesses are in the list; RCX counts them when `repeat` */
    INSN_IRET,
    INSN_CR_WRITE, /* cr <- gpr */
    INSN_INVLPG,   /* of the address in access[0], which is not accessed */
    INSN_OUT,
    INSN_HALT,
    INSN_OPAQUE, /* touches memory in ways this decoder does not model; never recorded wrongly, always refused */
};
enum insn_next { NEXT_FOLLOWS, NEXT_BRANCH_MAYBE, NEXT_BRANCH, NEXT_POPPED, NEXT_ANY };
enum { INSN_CODE_MAX = 15, INSN_ACCESSES_MAX = 4, INSN_NO_REGISTER = 0xff, INSN_RIP = 0xfe };

struct insn_access {
    bool store;
    uint8_t base, index, scale; /* registers as indices for insn_register(); base may be INSN_RIP */
    uint8_t bit_register;       /* BT family: this register selects the word */
    bool short_address;         /* 32-bit address size */
    uint16_t bytes;
    int64_t displacement;
    uint64_t segment_base_of; /* 0, or 1 FS, 2 GS */
};
struct insn {
    uint64_t rip, target; /* target: of a direct branch */
    uint8_t code[INSN_CODE_MAX];
    uint8_t length;
    uint8_t kind, next;
    bool repeat;
    bool flags_may_change_trap; /* loads RFLAGS: stepping must be armed anew */
    uint8_t cr, gpr;
    uint8_t load_register; /* of a plain MOV load of 4 or 8 bytes, whose result can be checked; else INSN_NO_REGISTER */
    bool stack_known;      /* RSP changes by stack_change */
    int16_t stack_change;
    uint8_t access_count;
    struct insn_access access[INSN_ACCESSES_MAX];
};

struct decoder;
enum nw_status decoder_create(struct decoder **out, struct nw_error *err) NW_MUST_USE;
void decoder_destroy(struct decoder *d);

/* The instruction at `rip`, whose first `available` bytes are `code`. Cached by address and bytes; the pointer is good until the
 * next call. Bytes that are no instruction: NW_ERR_INTERNAL. */
enum nw_status decoder_insn(struct decoder *d, uint64_t rip, const uint8_t *code, unsigned available,
                            const struct insn **out, struct nw_error *err) NW_MUST_USE;
/* "mov rax, [rbx+0x8]" */
void decoder_text(const struct decoder *d, uint64_t rip, const uint8_t *code, unsigned available, char *out,
                  unsigned size);

/* General-purpose register by its encoding, 0 RAX .. 15 R15. */
uint64_t insn_register(const struct kvm_regs *regs, unsigned index);
/* GVA of one access, with the registers as they are before the instruction. */
uint64_t insn_address(const struct insn *insn, const struct insn_access *access, const struct kvm_regs *regs,
                      const uint64_t segment_base[3]);

#endif
