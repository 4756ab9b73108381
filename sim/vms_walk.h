/* vms_walk.h - private to sim/: tables and TLBs of several guests (host.fidelity=walk). With host.fidelity=page none of it is there: vm->tables is NULL, and what takes a
 * guest does nothing. */
#ifndef NW_SIM_VMS_WALK_H
#define NW_SIM_VMS_WALK_H

#include "vms_internal.h"

enum nw_status walk_begin(struct vms *v) NW_MUST_USE;
void walk_end(struct vms *v);

/* The host's memory tells: a frame for the guest's second stage; what backs a page has changed. */
void walk_table_given(struct vms *v, unsigned guest, uint32_t frame);
void walk_remapped(struct vms *v, uint32_t page);
/* Around backing all pages of a group, the first of which is named. */
void walk_populate(struct vm *vm, bool begin, uint32_t first);
/* All pages of a group have frames of their own: they are mapped as one. */
void walk_collapse(struct vms *v, struct vm *vm, uint32_t first);
/* They are already; without tables: they have frames of their own. */
bool walk_is_large(const struct vms *v, const struct vm *vm, uint32_t first);
/* A page has been pinned for the guest's device; it is going to be given up. */
void walk_pinned(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t);
void walk_unpinned(struct vms *v, struct vm *vm, uint32_t page);

/* Pages for the tables that a new mapping may need. False: the guest has none, or is at its end. */
bool walk_reserve(struct vms *v, struct vm *vm, uint64_t *t);
/* A virtual page of a work has a page of the guest's memory, and has it no more. */
void walk_map(struct vms *v, struct vm *vm, size_t work, uint64_t vpn, uint32_t page, uint64_t *t);
void walk_unmap(struct vms *v, struct vm *vm, size_t work, uint64_t vpn, uint64_t *t);

/* The processor's side of an access to a page that is there. True: it walked, and has set the accessed flag. */
bool walk_access(struct vms *v, struct vm *vm, uint64_t vpn, uint32_t page, bool store, uint64_t *t);

/* Every table against the account of frames and the guests' kernels. NW_ERR_INTERNAL. */
enum nw_status walk_check(const struct vms *v) NW_MUST_USE;

#endif
