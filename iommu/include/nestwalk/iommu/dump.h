/* dump.h - what a running machine says of its remapping units: texts of Linux's debugfs, /proc and lspci, as facts for the rules.
 *
 *     struct nw_dump d = { 0 };
 *     if (nw_dump_recognise(text, size) != NW_DUMP_NONE)
 *         s = nw_dump_add(&d, text, size, "iommu_regset", 0, &items, err);
 *     s = nw_dump_add_dmar(&d, &dmar, err);                       // so that machine and firmware can be compared
 *     s = nw_iommu_check_dump(&d, 0, &findings, err);             // what was found in input 0
 *     nw_dump_fini(&d);
 *
 * Texts are read by words, never by columns; what a newer kernel adds is passed over. Formats: Linux 6.1 to 6.12, drivers/iommu/intel/
 * debugfs.c; Documentation/admin-guide/kernel-parameters.txt; lspci -vvv of pciutils. */
#ifndef NESTWALK_IOMMU_DUMP_H
#define NESTWALK_IOMMU_DUMP_H

#include <nestwalk/iommu/check.h>

enum nw_dump_kind {
    NW_DUMP_NONE,
    NW_DUMP_REGSET,      /* /sys/kernel/debug/iommu/intel/iommu_regset */
    NW_DUMP_TRANSLATION, /* .../dmar_translation_struct */
    NW_DUMP_MAPPINGS,    /* .../domain_translation_struct, of all devices or of one */
    NW_DUMP_INTERRUPTS,  /* .../ir_translation_struct */
    NW_DUMP_QUEUE,       /* .../invalidation_queue */
    NW_DUMP_IOMEM,       /* /proc/iomem */
    NW_DUMP_CMDLINE,     /* /proc/cmdline */
    NW_DUMP_LSPCI,       /* lspci -vvv, with -n or -nn or neither */
    NW_DUMP_KINDS
};
extern const char *const nw_dump_kind_name[NW_DUMP_KINDS]; /* "iommu_regset", ... */

/* By content. */
enum nw_dump_kind nw_dump_recognise(const char *text, size_t size);

/* Where a fact was read. */
struct nw_dump_place {
    unsigned input;
    uint32_t line;
};

enum { NW_DUMP_UNIT_NAME = 16 };
enum nw_dump_register {
    NW_DUMP_CAP,
    NW_DUMP_ECAP,
    NW_DUMP_GSTS,
    NW_DUMP_RTADDR,
    NW_DUMP_FSTS,
    NW_DUMP_PMEN,
    NW_DUMP_IQT,
    NW_DUMP_IQA,
    NW_DUMP_IRTA,
    NW_DUMP_REGISTERS
};
struct nw_dump_unit {
    char name[NW_DUMP_UNIT_NAME]; /* "dmar0" */
    uint64_t base;                /* of its registers; 0: not known */
    bool has[NW_DUMP_REGISTERS];
    uint64_t value[NW_DUMP_REGISTERS];
    struct nw_dump_place at[NW_DUMP_REGISTERS], place;
};
struct nw_dump_context {
    char unit[NW_DUMP_UNIT_NAME];
    uint16_t source_id;
    bool has_pasid; /* scalable mode: the row has a PASID-table entry */
    uint32_t pasid;
    uint64_t root[2], context[2]; /* low, high */
    uint64_t entry[3];            /* words 0 to 2 of the PASID-table entry */
    struct nw_dump_place place;
};
/* Neighbouring rows of one device that lead to neighbouring memory with the same rights. */
struct nw_dump_mapping {
    unsigned device; /* which "Device" line of the input */
    uint16_t source_id;
    bool has_pasid, read, write;
    uint32_t pasid;
    uint64_t iova, target, bytes;
    struct nw_dump_place place; /* of the first row */
};
struct nw_dump_irte {
    char unit[NW_DUMP_UNIT_NAME];
    unsigned index;
    uint64_t word[2];
    bool posted;
    struct nw_dump_place place;
};
struct nw_dump_descriptor {
    char unit[NW_DUMP_UNIT_NAME];
    unsigned index;   /* of its slot */
    uint64_t word[4]; /* of 128 bits: two, and 0 */
    struct nw_dump_place place;
};
struct nw_dump_range {
    uint64_t start, last;
    char what[48];
    struct nw_dump_place place;
};
struct nw_dump_option {
    char text[96]; /* "intel_iommu=off" */
    struct nw_dump_place place;
};
struct nw_dump_function {
    uint16_t segment, bdf;
    char what[96];
    bool bridge, multifunction; /* another function of its device is there */
    bool pcie_port;             /* a root or downstream port */
    bool has_acs, acs_isolates; /* SrcValid, ReqRedir, CmpltRedir and UpstreamFwd are all on */
    bool has_ats, ats_on;
    struct nw_dump_place place;
};
struct nw_dump_drhd {
    uint16_t segment;
    uint64_t base;
    bool all; /* INCLUDE_PCI_ALL */
};
struct nw_dump_scope {
    size_t drhd;
    bool bridge;
    uint16_t bdf; /* with `deep` of the first hop only */
    bool deep;    /* the path has more than one hop */
};
struct nw_dump {
    struct nw_dump_unit *unit;
    struct nw_dump_context *context;
    struct nw_dump_mapping *mapping;
    struct nw_dump_irte *irte;
    struct nw_dump_descriptor *descriptor;
    struct nw_dump_range *range, *rmrr; /* rmrr: of a DMAR table */
    struct nw_dump_option *option;
    struct nw_dump_function *function;
    struct nw_dump_drhd *drhd;
    struct nw_dump_scope *scope;
    size_t units, contexts, mappings, irtes, descriptors, ranges, rmrrs, options, functions, drhds, scopes;
    bool has_dmar;
    uint8_t dmar_flags;
};

/* *items: rows that said something. NW_ERR_INPUT: a row that is not as it should be, with its line; NW_ERR_NOMEM. */
enum nw_status nw_dump_add(struct nw_dump *d, const char *text, size_t size, const char *file, unsigned input,
                           size_t *items, struct nw_error *err) NW_MUST_USE;
/* The firmware's table, to compare with. */
enum nw_status nw_dump_add_dmar(struct nw_dump *d, const struct nw_dmar *dmar, struct nw_error *err) NW_MUST_USE;
void nw_dump_fini(struct nw_dump *d);

/* Adds what the rules find by the facts that input `input` gave, errors first. NW_ERR_NOMEM only. */
enum nw_status nw_iommu_check_dump(const struct nw_dump *d, unsigned input, struct nw_iommu_findings *findings,
                                   struct nw_error *err) NW_MUST_USE;

#endif
