/* layout.h - where the interpreter guest has what; for C and for interpreter.S. The program's own tables map it. */
#ifndef NESTWALK_LIVE_LAYOUT_H
#define NESTWALK_LIVE_LAYOUT_H

#define LIVE_GDT        0x5000
#define LIVE_IDT        0x6000
#define LIVE_TSS        0x7000
#define LIVE_RETURN     0x8000 /* what IRETQ pops on the way back; made once, so that no handler has to store */
#define LIVE_TRAP_STACK 0x9800 /* top */
#define LIVE_USER_STACK 0x9ff0 /* top */
#define LIVE_USER       0x20000
#define LIVE_SUPERVISOR 0x21000
#define LIVE_OPS        0x30000
#define LIVE_OP_BYTES   24

#define LIVE_KERNEL_CODE 0x10
#define LIVE_KERNEL_DATA 0x18
#define LIVE_USER_DATA   0x2b
#define LIVE_USER_CODE   0x33
#define LIVE_TSS_ENTRY   0x40
#define LIVE_FLAGS       0x3002 /* IOPL 3: user code may do OUT */

#define LIVE_VECTORS     32
#define LIVE_VECTOR_STEP 16 /* bytes from one vector's entry to the next */

/* Ports. EAX holds the vector with LIVE_PORT_LOST; RBX holds the operation's address with LIVE_PORT_MARKER. */
#define LIVE_PORT_MARKER 0x42
#define LIVE_PORT_END    0x43
#define LIVE_PORT_LOST   0x44

#endif
