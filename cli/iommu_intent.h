/* iommu_intent.h - the intent file of `nestwalk iommu check`: the proof, and how it is told. */
#ifndef NESTWALK_CLI_IOMMU_INTENT_H
#define NESTWALK_CLI_IOMMU_INTENT_H

#include "iommu_unit.h"
#include <nestwalk/iommu/dump.h>
#include <nestwalk/iommu/proof.h>

struct iommu_intent {
    struct nw_intent in;
    struct nw_proof *proof;
    struct nw_proved proved;
};

/* Tables are the unit's image, with root pointers from its options or from the texts' registers; without an image what the texts tell of
 * mappings. Adds to *found. NW_ERR_INPUT, NW_ERR_NOMEM, NW_ERR_IO. After a failure too, iommu_intent_close() frees all. */
enum nw_status iommu_intent_check(struct iommu_intent *i, const char *path, struct iommu_unit *unit,
                                  const struct nw_dump *dump, struct nw_iommu_findings *found,
                                  struct nw_error *err) NW_MUST_USE;
void iommu_intent_print(const struct iommu_intent *i);
void iommu_intent_close(struct iommu_intent *i);

/* The request that shows a finding, and the entries on its way. */
void iommu_witness_print(const struct nw_iommu_witness *w);

#endif
