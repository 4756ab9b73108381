/* endpoint.h - devices with a TLB, and the detector of stale mappings, as the unit sees them. Never leaves this folder. */
#ifndef NESTWALK_IOMMU_AMDVI_ENDPOINT_H
#define NESTWALK_IOMMU_AMDVI_ENDPOINT_H

#include "../device/device_tlb.h"
#include "unit.h"
#include <nestwalk/iommu/amdvi_stale.h>

enum { TAGS_MAX = 512 };

struct nw_amdvi_device {
    struct nw_amdvi_device *next; /* of the unit's list */
    struct nw_amdvi_unit *u;
    struct nw_amdvi_device_config config;
    struct nw_device_tlb_counts counts;
    struct iommu_device_tlb tlb;
    uint64_t asked[TAGS_MAX / 64]; /* tags that wait for a response */
    unsigned outstanding, next_tag;
};

struct nw_amdvi_device *amdvi_device_of(const struct nw_amdvi_unit *u, uint16_t device_id);
/* endpoint.c: the device that the command is for, if there is one. *answered: it has. */
bool amdvi_device_invalidate(struct nw_amdvi_unit *u, const struct nw_amdvi_device_tlb *q, bool *answered);
bool amdvi_device_respond(struct nw_amdvi_unit *u, const struct nw_amdvi_page_response *r);

/* stale.c: a request has been let through. */
void amdvi_stale_check(struct nw_amdvi_stale *s, const struct nw_amdvi_request *q, const struct nw_amdvi_result *used,
                       bool from_device);
/* Commands have been executed. */
void amdvi_stale_settle(struct nw_amdvi_stale *s);

/* Rights that a cached translation must have to serve the request. */
unsigned amdvi_need_of(const struct nw_amdvi_request *q);
static inline struct iommu_dma amdvi_dma_of(const struct nw_amdvi_request *q)
{
    return (struct iommu_dma){ .address = q->address,
                               .pasid = q->has_pasid ? q->pasid : 0,
                               .source_id = q->device_id,
                               .read = q->kind != NW_AMDVI_WRITE,
                               .write = q->kind != NW_AMDVI_READ,
                               .has_pasid = q->has_pasid,
                               .privileged = q->has_pasid && q->privileged,
                               .execute = q->has_pasid && q->execute };
}

#endif
