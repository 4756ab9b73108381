/* iommu_walk_internal.h - a request of `nestwalk iommu walk`, for either kind of unit. */
#ifndef NESTWALK_CLI_IOMMU_WALK_INTERNAL_H
#define NESTWALK_CLI_IOMMU_WALK_INTERNAL_H

#include "internal.h"
#include "iommu_unit.h"
#include <nestwalk/reports/vtd_walk.h>

enum {
    OPT_CASES,
    OPT_ID,
    OPT_LINE,
    OPT_REQUEST,
    OPT_SOURCE,
    OPT_PASID,
    OPT_IOVA,
    OPT_READ,
    OPT_WRITE,
    OPT_EXECUTE,
    OPT_JSON,
    OPT_UNIT,
    OPT_IMAGE = OPT_UNIT + UNIT_IMAGE,
    OPT_START = OPT_UNIT + UNIT_START,
    OPT_RTADDR = OPT_UNIT + UNIT_RTADDR,
    OPT_DEVICE_TABLE = OPT_UNIT + UNIT_DEVICE_TABLE,
    OPT_CAP = OPT_UNIT + UNIT_CAP,
    OPT_ECAP = OPT_UNIT + UNIT_ECAP,
    OPT_EFR = OPT_UNIT + UNIT_EFR,
    OPT_CONTROL = OPT_UNIT + UNIT_CONTROL,
    OPT_HAW = OPT_UNIT + UNIT_HAW,
    OPT_END = OPT_UNIT + UNIT_OPTIONS
};

struct walk {
    const char *value[OPT_END]; /* of each option given; flags: "" */
    uint64_t number[OPT_END];   /* of those that are numbers */
    uint16_t source;
    /* VT-d */
    struct nw_vtd_tables tables;
    struct nw_vtd_request request;
    struct nw_vtd_watch watch;
    struct nw_vtd_result result;
};

/* "00:1f.3, PASID 0x5" */
void iommu_walk_source(const struct walk *w, char *out, size_t out_size);
/* "4 KiB page", "no page" */
void iommu_walk_page(unsigned log2, char out[32]);
/* Two lines for a word: a table would have no room for the fields. `entry` NULL: it could not be read. */
void iommu_walk_word(unsigned n, const char *what, uint64_t address, const uint64_t *entry, const char *decoded);

/* iommu_walk_amdvi.c: the tables are those of --device-table. *refused: with an event. */
enum nw_status iommu_walk_amdvi(struct walk *w, bool *refused, struct nw_error *err) NW_MUST_USE;

#endif
