/* dump_amd.h - what a running machine says of its AMD-Vi units, as facts: part of dump.h.
 *
 * Formats: Linux, drivers/iommu/amd/debugfs.c: the files mmio, capability and cmdbuf of each iommuNN, and devtbl and irqtbl of the
 * device that was asked for. mmio and capability have one register at a time: several may stand in one text, and each is a fact of
 * its own. */
#ifndef NESTWALK_IOMMU_DUMP_AMD_H
#define NESTWALK_IOMMU_DUMP_AMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a fact was read. */
struct nw_dump_place {
    unsigned input;
    uint32_t line;   /* 0: in a table */
    uint32_t offset; /* in the table */
};

/* Units are those of debugfs, iommuNN: the IVRS's in their order. */
enum { NW_DUMP_AMD_UNNAMED = -1 /* no iommuNN is in the name of the file */ };

struct nw_dump_amd_register {
    int unit;
    bool common;     /* of sysfs: kernels since 6.7 show what all units have in common */
    bool capability; /* `offset` is one in the unit's PCI capability block, and the value has 32 bits; else MMIO */
    uint32_t offset;
    uint64_t value;
    struct nw_dump_place place;
};
struct nw_dump_dte {
    int unit;
    uint16_t segment, device_id;
    uint64_t word[4];
    struct nw_dump_place place;
};
struct nw_dump_amd_irte {
    uint16_t segment, device_id;
    unsigned index;
    bool wide; /* 128 bits; else 32, in word[0] */
    uint64_t word[2];
    struct nw_dump_place place;
};
struct nw_dump_command {
    int unit;
    unsigned index; /* of its slot */
    uint64_t word[2];
    struct nw_dump_place place;
};
struct nw_dump_command_buffer {
    int unit;
    unsigned head, tail, slots, used; /* used: slots that are not 0 */
    struct nw_dump_place place;
};
/* A unit of the IVRS, by the blocks that Linux goes by: those of the highest type that the first unit has. */
struct nw_dump_ivhd {
    uint16_t segment, device_id;
    uint64_t base;
    bool has_efr;
    uint64_t efr;
};

struct nw_dump_amd {
    struct nw_dump_amd_register *reg;
    struct nw_dump_dte *dte;
    struct nw_dump_amd_irte *irte;
    struct nw_dump_command *command;
    struct nw_dump_command_buffer *buffer;
    struct nw_dump_ivhd *ivhd;
    size_t regs, dtes, irtes, commands, buffers, ivhds;
    uint32_t ivrs_info; /* IVinfo */
};

#endif
