/* exit_layout.h - where the guest of exit_cost.c has what; for C and for exit_guest.S. */
#ifndef NESTWALK_EXIT_LAYOUT_H
#define NESTWALK_EXIT_LAYOUT_H

#define EXIT_CODE       0x20000
#define EXIT_LOOP_BYTES 64
#define EXIT_PORT       0x50
#define EXIT_PORT_END   0x51

#define EXIT_PML4   0x10000
#define EXIT_PDPT   0x11000
#define EXIT_PD     0x12000 /* of the first GiB; that of the second follows */
#define EXIT_MMIO   0x40000000
#define EXIT_PAGES  0x800000  /* pages for first reads begin here */
#define EXIT_MEMORY 0x4000000 /* 64 MiB */

#endif
