/* The guest of the live check: an interpreter of struct nw_kvm_op in user mode, and what it traps into.
 *
 * User code may touch nothing but its own page, the operation, and what the operation names; so it keeps all it knows
 * in registers. RBX: the operation. R12: end of the operations. R13: an address that is not canonical.
 * Supervisor code must not store: KVM counts each emulated store (mmu_pte_write). */
#include "layout.h"

        .section .rodata
        .balign 16
        .globl nw_live_user_start, nw_live_user_next, nw_live_user_end
        .globl nw_live_supervisor_start, nw_live_supervisor_end
        .code64

nw_live_user_start:
        jmp     fetch
nw_live_user_next:
        add     $LIVE_OP_BYTES, %rbx
fetch:  cmp     %r12, %rbx
        jae     end
        mov     (%rbx), %rax
        mov     8(%rbx), %rsi
        mov     16(%rbx), %rdi
        cmp     $1, %rax
        je      read
        cmp     $2, %rax
        je      write8
        cmp     $5, %rax
        je      exec
        cmp     $6, %rax
        je      marker
        cmp     $12, %rax
        je      write4
        cmp     $13, %rax
        je      write1
        cmp     $14, %rax
        je      write2
        cmp     $15, %rax
        je      or
        cmp     $18, %rax
        je      add
        ud2
read:   mov     (%rsi), %rax
        jmp     nw_live_user_next
write8: mov     %rdi, (%rsi)
        jmp     nw_live_user_next
write4: mov     %edi, (%rsi)
        jmp     nw_live_user_next
write2: mov     %di, (%rsi)
        jmp     nw_live_user_next
write1: mov     %dil, (%rsi)
        jmp     nw_live_user_next
or:     lock or %rdi, (%rsi)
        jmp     nw_live_user_next
add:    lock add %rdi, (%rsi)
        jmp     nw_live_user_next
exec:   mov     %r13, %rax /* zeros are `add %al, (%rax)`: a fault instead of a store somewhere */
        call    *%rsi
        jmp     nw_live_user_next
marker: out     %eax, $LIVE_PORT_MARKER
        jmp     nw_live_user_next
end:    out     %eax, $LIVE_PORT_END
        jmp     end
nw_live_user_end:

/* One entry a vector, LIVE_VECTOR_STEP bytes each; then what they lead to. */
        .balign LIVE_VECTOR_STEP
nw_live_supervisor_start:
vector = 0
        .rept   LIVE_VECTORS
        .balign LIVE_VECTOR_STEP
        .if     vector == 6
        jmp     undefined
        .elseif vector == 13 || vector == 14
        jmp     back
        .else
        mov     $vector, %eax
        jmp     lost
        .endif
vector = vector + 1
        .endr
        .balign LIVE_VECTOR_STEP
undefined:
        cmp     $3, %rax
        je      invlpg
        cmp     $4, %rax
        je      cr3
        cmp     $16, %rax
        je      cr4
        cmp     $17, %rax
        je      store
        cmp     $28, %rax
        je      load
        cmp     $30, %rax
        je      invlpg2
        cmp     $31, %rax
        je      cr3_2
        mov     $6, %eax
        jmp     lost
invlpg2:
        invlpg  (%rsi)
        mov     %rdi, %rsi
invlpg: invlpg  (%rsi)
        jmp     back
cr3_2:  mov     %rsi, %cr3
        mov     %rdi, %rsi
cr3:    mov     %rsi, %cr3
        jmp     back
cr4:    mov     %rsi, %cr4
        jmp     back
store:  mov     %rdi, (%rsi)
        jmp     back
load:   mov     (%rsi), %rax
        /* The operation is over, by itself or by a fault: user code goes on with the next one. */
back:   mov     $LIVE_RETURN, %esp
        iretq
lost:   out     %eax, $LIVE_PORT_LOST
        jmp     lost
nw_live_supervisor_end:
        .section .note.GNU-stack, "", @progbits
