/* image.c - the guest kernel's ELF image inside the library. */
#include "image.h"

__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl nw_guest_image_start\n"
        "nw_guest_image_start:\n"
        ".incbin \"" NW_GUEST_IMAGE "\"\n"
        ".globl nw_guest_image_end\n"
        "nw_guest_image_end:\n"
        ".popsection\n");
