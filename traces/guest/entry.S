/* entry.S - where the VMM starts the kernel, and where exceptions arrive. */
    .section .text.entry, "ax"
    .globl _start
_start:
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    call kernel_main
1:  hlt
    jmp 1b

    .text
/* #PF: the frame is error code, RIP, CS, RFLAGS, RSP, SS. Everything runs at CPL 0, so the stack goes on where it was. */
    .globl page_fault_entry
    .balign 16
page_fault_entry:
    push %rax
    push %rcx
    push %rdx
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    mov %cr2, %rdi
    mov 72(%rsp), %rsi
    cld
    call page_fault
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

/* The others are fatal: one stub a vector leaves the vector number and an error code on the stack. */
    .altmacro
    .macro stub vector
    .balign 16
stub_\vector:
    .if (\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17) || (\vector == 21)
    .else
    push $0
    .endif
    push $\vector
    jmp exception_common
    .endm
    .balign 16
    .globl exception_stubs
exception_stubs:
    .set v, 0
    .rept 32
    stub %v
    .set v, v + 1
    .endr

exception_common:
    pop %rdi
    pop %rsi
    mov (%rsp), %rdx
    call exception_fatal

    .bss
    .balign 16
boot_stack:
    .skip 65536
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
