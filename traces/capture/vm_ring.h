/* vm_ring.h - what vm.c needs of vm_ring.c. */
#ifndef NESTWALK_CAPTURE_VM_RING_H
#define NESTWALK_CAPTURE_VM_RING_H

#include "vm.h"

/* Asks for vm->ring_entries, before there is a vCPU; 0 afterwards where this KVM has no ring. */
void vm_ring_enable(struct vm *vm);
enum nw_status vm_ring_map(struct vm *vm, struct nw_error *err) NW_MUST_USE;
void vm_ring_unmap(struct vm *vm);

#endif
