/* guest.h - private to sim/: the guest's memory management. Either the trace's own tables, or an imitation guest that maps pages as they
 * are touched. */
#ifndef NW_SIM_GUEST_H
#define NW_SIM_GUEST_H

#include "machine.h"

/* A traced guest: its table pages are put into memory, its registers set. */
enum nw_status guest_load_tables(struct machine *m, struct nw_error *err) NW_MUST_USE;
/* An imitation guest: an empty tree. */
enum nw_status guest_make(struct machine *m, struct nw_error *err) NW_MUST_USE;
void guest_fini(struct machine *m);

/* The imitation guest's page for `gva`: *mapped and *gpa. With `map`, it is mapped if it is not (A preset; D if `store`). Under policy thp
 * this may collapse a 2 MiB region, which queues invalidations. */
enum nw_status guest_touch(struct machine *m, gva_t gva, bool store, bool map, bool *mapped, gpa_t *gpa,
                           struct nw_error *err) NW_MUST_USE;

/* The trace says that a page became a page-table page with these (index, word) pairs. */
enum nw_status guest_table_page(struct machine *m, const struct nw_event *event, struct nw_error *err) NW_MUST_USE;
/* ... or that such a page was written. */
enum nw_status guest_table_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value,
                                 struct nw_error *err) NW_MUST_USE;

#endif
