/* The guest of exit_cost.c: loops of one operation each, RCX times, then OUT to EXIT_PORT_END. RSI: the address or value that the
 * operation takes; RDI: what is added to it each time; RAX is 0 at each operation. Entry points lie EXIT_LOOP_BYTES apart, in the
 * order of enum nw_exit_cost_operation, and the empty loop is last. The loop's own instructions are the same in all: what an
 * operation clobbers is saved in registers outside of it or set before it. */
#include "exit_layout.h"

        .section .rodata
        .balign EXIT_LOOP_BYTES
        .globl nw_exit_guest_start, nw_exit_guest_end
        .code64
nw_exit_guest_start:

        .macro loop_of operation:vararg
        .balign EXIT_LOOP_BYTES
        mov     %rcx, %rbp
1:      xor     %eax, %eax
        \operation
        add     %rdi, %rsi
        dec     %rbp
        jnz     1b
        out     %eax, $EXIT_PORT_END
        hlt
        .endm

        loop_of cpuid
        loop_of out %eax, $EXIT_PORT
        loop_of mov %eax, (%rsi)
        .balign EXIT_LOOP_BYTES
        jmp     hypercalls
        loop_of invlpg (%rsi)
        loop_of mov %rsi, %cr3
        loop_of mov (%rsi), %rbx
        loop_of mov (%rsi), %rbx
        .balign EXIT_LOOP_BYTES
        jmp     mixes
        .balign EXIT_LOOP_BYTES
        mov     %rcx, %rbp
1:      xor     %eax, %eax
        add     %rdi, %rsi
        dec     %rbp
        jnz     1b
        out     %eax, $EXIT_PORT_END
        hlt

/* R8 is 0 for VMCALL, 1 for VMMCALL, 2 for none; RAX is 0, a number that KVM does not know. */
        .balign EXIT_LOOP_BYTES
hypercalls:
        mov     %rcx, %rbp
        test    %r8, %r8
        jnz     2f
1:      xor     %eax, %eax
        vmcall
        add     %rdi, %rsi
        dec     %rbp
        jnz     1b
        out     %eax, $EXIT_PORT_END
2:      xor     %eax, %eax
        vmmcall
        add     %rdi, %rsi
        dec     %rbp
        jnz     2b
        out     %eax, $EXIT_PORT_END
        .balign EXIT_LOOP_BYTES
/* No instruction but the operations is added to the empty loop, as the emulation of one may cost as much as an exit. RAX is CPUID's highest
 * leaf at the hypercall: above all numbers that KVM knows. */
mixes:  mov     %rcx, %rbp
        cmp     $1, %r8
        je      2f
        ja      3f
1:      xor     %eax, %eax
        cpuid
        out     %eax, $EXIT_PORT
        mov     %eax, (%rsi)
        vmcall
        add     %rdi, %rsi
        dec     %rbp
        jnz     1b
        out     %eax, $EXIT_PORT_END
2:      xor     %eax, %eax
        cpuid
        out     %eax, $EXIT_PORT
        mov     %eax, (%rsi)
        vmmcall
        add     %rdi, %rsi
        dec     %rbp
        jnz     2b
        out     %eax, $EXIT_PORT_END
3:      xor     %eax, %eax
        cpuid
        out     %eax, $EXIT_PORT
        mov     %eax, (%rsi)
        add     %rdi, %rsi
        dec     %rbp
        jnz     3b
        out     %eax, $EXIT_PORT_END
nw_exit_guest_end:
        .section .note.GNU-stack, "", @progbits
