/* io_price.h - what I/O costs: exits of the three models of devices as they happen, and cycles, time and throughput at the end. */
#ifndef NW_SIM_IO_PRICE_H
#define NW_SIM_IO_PRICE_H

#include "machine.h"

bool nw_config_has_io(const struct nw_config *c);

/* One packet or request of the configured model of a device: its exits, notifications and copies. */
void io_model_request(struct machine *m, struct nw_io_counters *r);

/* Cycles of the processor, time of the unit, and the rate that the slowest of link, processor and unit allows. */
void io_price(const struct nw_config *c, struct nw_io_counters *r, double link_gbps);

#endif
