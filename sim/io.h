/* io.h - devices' DMA and packets in a replay: what the trace's drivers ask for goes through a strategy of mapping and a remapping unit
 * (iommu/dma_map.h), and is priced by the cost table at the end. See docs/iommu-io.md. */
#ifndef NW_SIM_IO_H
#define NW_SIM_IO_H

#include "machine.h"

struct io;

/* *out NULL: the configuration has no I/O. */
enum nw_status io_create(struct io **out, struct machine *m, struct nw_error *err) NW_MUST_USE;
void io_destroy(struct io *io); /* NULL is allowed */
/* One event; those that are not of I/O are nothing to it. */
enum nw_status io_event(struct io *io, const struct nw_event *e, struct nw_error *err) NW_MUST_USE;
/* Fills in result.io. */
void io_finish(struct io *io);

#endif
