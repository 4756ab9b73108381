/* flight.h - DMA that has been translated and has not reached memory yet. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_VTD_FLIGHT_H
#define NESTWALK_IOMMU_VTD_FLIGHT_H

#include "unit.h"

enum nw_status vtd_flight_init(struct vtd_flight *f, unsigned most, struct nw_error *err) NW_MUST_USE;
void vtd_flight_fini(struct vtd_flight *f);

/* The request goes out; when as many are under way as can be, the oldest arrives. */
void vtd_flight_add(struct vtd_flight *f, const struct nw_vtd_request *q, const struct nw_vtd_result *r);
/* All reads, all writes arrive. */
void vtd_flight_drain(struct vtd_flight *f, bool reads, bool writes);
/* All translated requests of a device arrive: it answers an invalidation after them. */
void vtd_flight_drain_device(struct vtd_flight *f, uint16_t source_id);
/* Is one of that source under way to these bytes? */
bool vtd_flight_holds(const struct vtd_flight *f, uint16_t source_id, uint64_t hpa, uint64_t bytes);

#endif
