/* load.h - puts the guest kernel, its boot page tables, GDT and parameter page into a new virtual machine. */
#ifndef NESTWALK_CAPTURE_LOAD_H
#define NESTWALK_CAPTURE_LOAD_H

#include "abi.h"
#include "vm.h"

/* `param` holds workload, size, operations, seed and large_pages; the rest is filled here. */
enum nw_status guest_load(struct vm *vm, const struct nwg_param *param, struct nw_error *err) NW_MUST_USE;
static inline struct nwg_param *guest_param(const struct vm *vm)
{
    return (struct nwg_param *)(vm->memory + NWG_PARAM_GPA);
}

#endif
