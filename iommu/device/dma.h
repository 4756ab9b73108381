/* dma.h - a DMA as the parts see it that are the same for every kind of unit. Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_DMA_H
#define NESTWALK_IOMMU_DMA_H

#include <stdbool.h>
#include <stdint.h>

struct iommu_dma {
    uint64_t address;
    uint32_t pasid;     /* with has_pasid */
    uint16_t source_id; /* bus 15:8, device and function 7:0 */
    bool read, write;   /* an atomic operation does both */
    bool zero_length;   /* a read of no bytes */
    bool has_pasid, privileged, execute;
};

#endif
