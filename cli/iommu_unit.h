/* iommu_unit.h - a remapping unit that options give: its registers, and a dump of memory with its tables.
 *
 *     enum { OPT_JSON, OPT_UNIT, OPT_END = OPT_UNIT + UNIT_OPTIONS };
 *     const struct nw_option options[] = { [OPT_JSON] = ..., IOMMU_UNIT_ROWS(OPT_UNIT, 0, "48"), { 0 } };
 */
#ifndef NESTWALK_CLI_IOMMU_UNIT_H
#define NESTWALK_CLI_IOMMU_UNIT_H

#include "internal.h"
#include "iommu_image.h"
#include <nestwalk/iommu/amdvi.h>
#include <nestwalk/iommu/dump.h>

enum {
    UNIT_IMAGE,
    UNIT_START,
    UNIT_RTADDR,
    UNIT_DEVICE_TABLE,
    UNIT_CAP,
    UNIT_ECAP,
    UNIT_EFR,
    UNIT_CONTROL,
    UNIT_HAW,
    UNIT_OPTIONS
};

/* Rows of a table of options, the last ones; `base` is the number of the first. `d`: short form of --device-table, or 0; `haw`: what is so without --haw. */
#define IOMMU_UNIT_ROWS(base, d, haw)                                                                                  \
    [(base) +                                                                                                          \
        UNIT_IMAGE] = { "image", 'i', "FILE", "A dump of physical memory: raw binary, whole 4 KiB pages." },           \
        [(base) + UNIT_START] = { "start", 0, "ADDRESS", "Physical address of the dump's first byte. Default: 0." },   \
        [(base) + UNIT_RTADDR] = { "rtaddr", 'r', "VALUE",                                                             \
                                   "VT-d: Root Table Address Register, bits 11:10 (table mode) included." },           \
        [(base) + UNIT_DEVICE_TABLE] = { "device-table", d, "VALUE",                                                   \
                                         "AMD-Vi: Device Table Base Address Register, size (bits 8:0) included." },    \
        [(base) +                                                                                                      \
            UNIT_CAP] = { "cap", 0, "VALUE", "VT-d: Capability Register. Default: 0x9d2078c222f0606 (the model's)." }, \
        [(base) + UNIT_ECAP] = { "ecap", 0, "VALUE",                                                                   \
                                 "VT-d: Extended Capability Register. Default: 0x1ed9cc4f00f5e "                       \
                                 "(the model's)." },                                                                   \
        [(base) + UNIT_EFR] = { "efr", 0, "VALUE",                                                                     \
                                "AMD-Vi: Extended Feature Register. Default: 0x13000f000058da (the model's)." },       \
        [(base) + UNIT_CONTROL] = { "control", 0, "VALUE",                                                             \
                                    "AMD-Vi: Control Register; of it GTEn and GCR3TRPMode matter. Default: 0x10001 "   \
                                    "(GTEn)." },                                                                       \
        [(base) + UNIT_HAW] = { "haw", 0, "BITS", "Width of a physical address, 32 to 52. Default: " haw "." }

struct iommu_unit {
    const char *value[UNIT_OPTIONS]; /* as given; NULL: not */
    uint64_t number[UNIT_OPTIONS];
    unsigned haw; /* without --haw */
    struct iommu_image image;
    struct nw_amdvi_range range;
};

/* UNIT_OPTIONS values as given (NULL: not) into numbers. What is wrong with one of them; NULL when nothing is. */
const char *iommu_unit_numbers(const char *const *value, uint64_t *number);
/* What is wrong with the values; NULL when nothing is. Fills in the numbers. */
const char *iommu_unit_problem(struct iommu_unit *u);
/* The unit's width, and its image opened when there is one and it is not open yet. */
enum nw_status iommu_unit_open(struct iommu_unit *u, struct nw_error *err) NW_MUST_USE;
/* Options go over what *t has; its memory becomes the image. NW_ERR_INPUT: registers that cannot be. */
enum nw_status iommu_unit_vtd(struct iommu_unit *u, struct nw_vtd_tables *t, struct nw_error *err) NW_MUST_USE;
enum nw_status iommu_unit_amdvi(struct iommu_unit *u, struct nw_amdvi_tables *t, struct nw_error *err) NW_MUST_USE;
void iommu_unit_close(struct iommu_unit *u);

/* What is done with the tables of a unit, in the image. */
struct iommu_unit_use {
    enum nw_status (*vtd)(void *context, const char *name, uint16_t segment, const struct nw_vtd_tables *t,
                          struct nw_error *err);
    enum nw_status (*amdvi)(void *context, const char *name, uint16_t segment, const struct nw_amdvi_tables *t,
                            struct nw_error *err);
    void *context;
};
/* The unit of --rtaddr or --device-table; without them each whose registers are among the texts (iommu_regset; of AMD-Vi mmio, with the
 * device table's at offset 0). What the texts do not say of a unit is the model's. NW_ERR_INPUT: there is none. */
enum nw_status iommu_unit_each(struct iommu_unit *u, const struct nw_dump *d, const struct iommu_unit_use *use,
                               struct nw_error *err) NW_MUST_USE;

#endif
