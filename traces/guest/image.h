/* image.h - the guest kernel's ELF image inside the library. */
#ifndef NESTWALK_GUEST_IMAGE_H
#define NESTWALK_GUEST_IMAGE_H

extern const unsigned char nw_guest_image_start[], nw_guest_image_end[];

#endif
