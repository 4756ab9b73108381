/* interrupt.h - interrupt remapping with the interrupt entry cache. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_INTERRUPT_H
#define NESTWALK_IOMMU_VTD_INTERRUPT_H

#include "vtd_internal.h"

void vtd_interrupt(const struct nw_vtd_tables *t, struct vtd_caches *caches, const struct nw_vtd_interrupt_request *q,
                   struct nw_vtd_interrupt *out);

/* Interrupt remapping is off: the message as it is. */
void vtd_interrupt_compatible(const struct nw_vtd_interrupt_request *q, struct nw_vtd_interrupt *out);

#endif
