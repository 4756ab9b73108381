/* function.h - PCI functions put together from several texts, and their configuration space decoded. */
#ifndef NESTWALK_IOMMU_FUNCTION_H
#define NESTWALK_IOMMU_FUNCTION_H

#include "reader.h"

/* The function of that name, a new one when it is the first; NULL: no memory. Valid until the next call. */
struct nw_dump_function *nw_function_at(struct reader *r, uint16_t segment, uint16_t bdf);

void nw_function_set_class(struct nw_dump_function *f, uint32_t class_code);
void nw_function_set_express(struct nw_dump_function *f, enum nw_express_type type);
void nw_function_set_acs(struct nw_dump_function *f, uint8_t control);

enum { NW_CONFIG_HEADER_BYTES = 64, NW_CONFIG_BYTES = 256, NW_CONFIG_EXTENDED_BYTES = 4096 };
/* `size` bytes from the first on: 64 are what an ordinary user may read, 256 without the extended capabilities. */
void nw_function_read_config(struct nw_dump_function *f, const uint8_t *bytes, size_t size);

#endif
