/* dump.h - what a running machine says of its remapping units: texts of Linux's debugfs, /proc and lspci, as facts for the rules.
 *
 *     struct nw_dump d = { 0 };
 *     if (nw_dump_recognise(text, size))
 *         s = nw_dump_add(&d, text, size, "iommu_regset", 0, &items, err);
 *     s = nw_dump_add_table(&d, &file.table[0], 1, err);          // so that machine and firmware can be compared
 *     s = nw_iommu_check_dump(&d, 0, &findings, err);             // what was found in input 0
 *     nw_dump_fini(&d);
 *
 * Texts are read by words, never by columns; what a newer kernel adds is passed over. Formats: Linux 6.1 to 6.12, drivers/iommu/intel/
 * debugfs.c; Documentation/admin-guide/kernel-parameters.txt; lspci -vvv of pciutils. */
#ifndef NESTWALK_IOMMU_DUMP_H
#define NESTWALK_IOMMU_DUMP_H

#include <nestwalk/iommu/check.h>
#include <nestwalk/iommu/dump_amd.h>
#include <nestwalk/iommu/fault_log.h>

/* By content: "iommu_regset", "dmar_translation_struct", "domain_translation_struct" (of all devices or of one), "ir_translation_struct",
 * "invalidation_queue" (all of /sys/kernel/debug/iommu/intel), "iomem", "cmdline" (of /proc), "lspci" (-vvv, with -n or -nn or neither).
 * NULL: none of them. */
const char *nw_dump_recognise(const char *text, size_t size);

enum { NW_DUMP_UNIT_NAME = 16 };
enum nw_dump_register {
    NW_DUMP_CAP,
    NW_DUMP_ECAP,
    NW_DUMP_GSTS,
    NW_DUMP_RTADDR,
    NW_DUMP_FSTS,
    NW_DUMP_PMEN,
    NW_DUMP_IQH,
    NW_DUMP_IQT,
    NW_DUMP_IQA,
    NW_DUMP_IRTA,
    NW_DUMP_PRS,
    NW_DUMP_REGISTERS
};
struct nw_dump_unit {
    char name[NW_DUMP_UNIT_NAME]; /* "dmar0" */
    uint64_t base;                /* of its registers; 0: not known */
    bool from_log;                /* only the log tells of it, which need not be whole */
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
/* What the entries of one level and kind have in common, as far as a "Device" line has them in its rows. */
struct nw_dump_entries {
    uint64_t count, any, all;    /* bits that one of them has, and that each has */
    uint32_t line[64];           /* of the first that has the bit */
    uint32_t line_without_snoop; /* of the first that has bit 11 clear */
};
enum { NW_DUMP_LEVELS = 5 };
/* A "Device" line, and what stands below it. */
struct nw_dump_tree {
    unsigned device;
    uint16_t source_id;
    bool has_pasid;
    uint32_t pasid;
    uint64_t root; /* of the tables */
    size_t entries[NW_DUMP_LEVELS]
                  [2]; /* level 0 is the leaf table; 0 pointers to tables, 1 pages: index + 1 in nw_dump.entries */
    struct nw_dump_place place;
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
struct nw_dump_queue {
    char unit[NW_DUMP_UNIT_NAME];
    bool has_head; /* the line "Base: ... Head: ... Tail: ..." was there */
    uint64_t base;
    unsigned head, tail, slots; /* in slots */
    struct nw_dump_place place;
};
/* A row of dmar_perf_latency: invalidations by the time they took, in microseconds below 0.1, 1, 10, ..., 10000, and more. */
enum { NW_DUMP_LATENCY_COUNTS = 7 };
struct nw_dump_latency {
    char unit[NW_DUMP_UNIT_NAME], what[16]; /* "inv_iotlb" */
    uint64_t count[NW_DUMP_LATENCY_COUNTS], most_us, average_us;
    struct nw_dump_place place;
};
struct nw_dump_range {
    uint64_t start, last;
    uint16_t segment; /* RMRR */
    bool from_log;    /* RMRR: no table says whose it is */
    char what[48];
    struct nw_dump_place place;
};
struct nw_dump_option {
    char text[96]; /* "intel_iommu=off" */
    bool from_log; /* the boot line in a kernel log; counts when /proc/cmdline is not there */
    struct nw_dump_place place;
};
/* ---- PCI functions. Facts of several texts about one function are put together. */

/* PCI Express, "PCI Express Capabilities Register", Device/Port Type. */
enum nw_express_type {
    NW_EXPRESS_ENDPOINT = 0,
    NW_EXPRESS_LEGACY_ENDPOINT = 1,
    NW_EXPRESS_ROOT_PORT = 4,
    NW_EXPRESS_UPSTREAM_PORT = 5,
    NW_EXPRESS_DOWNSTREAM_PORT = 6,
    NW_EXPRESS_TO_PCI_BRIDGE = 7,
    NW_EXPRESS_FROM_PCI_BRIDGE = 8,
    NW_EXPRESS_INTEGRATED_ENDPOINT = 9,
    NW_EXPRESS_EVENT_COLLECTOR = 10,
    NW_EXPRESS_NONE = 16 /* conventional PCI, or its capabilities are not known */
};
/* PCI Express, "ACS Control Register". */
#define NW_ACS_SOURCE_VALIDATION    0x01
#define NW_ACS_TRANSLATION_BLOCKING 0x02
#define NW_ACS_REQUEST_REDIRECT     0x04
#define NW_ACS_COMPLETION_REDIRECT  0x08
#define NW_ACS_UPSTREAM_FORWARDING  0x10
struct nw_dump_function {
    uint16_t segment, bdf;
    char what[96];
    bool has_class;
    uint32_t class_code; /* base class 23:16, subclass 15:8, interface 7:0 (0 in texts that leave it out) */
    uint16_t vendor, device;
    bool bridge, multifunction; /* bridge: to PCI or of the host; another function of its device is there */
    bool has_command, bus_master;
    bool has_buses; /* a bridge with a bus behind it: */
    uint8_t secondary, subordinate;
    bool has_capabilities; /* its capabilities are known: `express` is what it is */
    enum nw_express_type express;
    bool pcie_port;             /* a root or downstream port */
    bool has_extended;          /* its extended capabilities are known: what is not there it does not have */
    bool has_acs, acs_isolates; /* SrcValid, ReqRedir, CmpltRedir and UpstreamFwd are all on */
    uint8_t acs_control;
    bool has_ats, ats_on;
    bool has_pri, pri_on, pri_response_pasid; /* PRG Response PASID Required */
    uint32_t pri_credits;                     /* Outstanding Page Request Allocation */
    bool pasid_on;
    bool is_vf;
    uint16_t vfs, vf_offset, vf_stride; /* of a physical function: those that are enabled */
    char driver[32];
    bool external; /* the kernel says that it is removable or not trusted, or its port leads outside */
    bool has_group;
    unsigned group;
    struct nw_dump_place place;
};
struct nw_dump_group {
    unsigned number;
    char type[16]; /* "DMA", "DMA-FQ", "identity", ... */
    struct nw_dump_place place;
};
struct nw_dump_region { /* of a group's reserved_regions */
    unsigned group;
    uint64_t start, last;
    char type[24]; /* "direct", "direct-relaxable", "reserved", "msi" */
    struct nw_dump_place place;
};
/* ---- the kernel's log */
struct nw_dump_fault {
    struct nw_logged_fault fault; /* the first of `count` of one device, direction and reason */
    uint64_t count, lowest, highest;
    bool has_time;
    double seconds; /* since boot */
    struct nw_dump_place place;
};
/* ---- firmware */
struct nw_dump_drhd {
    uint16_t segment;
    uint64_t base;
    bool all; /* INCLUDE_PCI_ALL */
    uint8_t size_log2_pages;
    struct nw_dump_place place;
};
struct nw_dump_port_list { /* ATSR or SATC */
    enum nw_dmar_type type;
    uint16_t segment;
    uint8_t flags;
    struct nw_dump_place place;
};
enum { NW_DUMP_HOPS_MAX = 8 };
struct nw_dump_scope {
    enum nw_dmar_type of;
    size_t owner; /* index of drhd, rmrr or ports */
    size_t drhd;  /* of a DRHD: `owner` */
    uint16_t segment;
    uint8_t type, id; /* enum nw_dmar_scope_type; enumeration id */
    bool bridge;
    uint16_t bdf; /* with `deep` of the first hop only */
    bool deep;    /* the path has more than one hop */
    uint8_t hops, path[2 * NW_DUMP_HOPS_MAX];
    struct nw_dump_place place;
};
struct nw_dump_ioapic { /* that the machine has */
    uint8_t id;
    struct nw_dump_place place;
};
struct nw_dump_special { /* IVRS: I/O APIC or HPET */
    uint8_t variety, handle;
    uint16_t device;
};
struct nw_dump_device_range { /* IVRS: devices of an IVHD */
    uint16_t segment, first, last;
};
struct nw_dump {
    struct nw_dump_unit *unit;
    struct nw_dump_context *context;
    struct nw_dump_mapping *mapping;
    struct nw_dump_tree *tree;
    struct nw_dump_entries *entries;
    struct nw_dump_irte *irte;
    struct nw_dump_descriptor *descriptor;
    struct nw_dump_queue *queue;
    struct nw_dump_latency *latency;
    struct nw_dump_range *range, *rmrr; /* rmrr: of a DMAR table, or of the log */
    struct nw_dump_option *option;
    struct nw_dump_function *function;
    struct nw_dump_group *group;
    struct nw_dump_region *region;
    struct nw_dump_fault *fault;
    struct nw_dump_drhd *drhd;
    struct nw_dump_port_list *ports;
    struct nw_dump_scope *scope; /* of all structures; I/O APICs and HPETs too */
    struct nw_dump_ioapic *ioapic;
    struct nw_dump_ioapic *scoped; /* I/O APICs that the log says are under a unit */
    struct nw_dump_special *special;
    struct nw_dump_device_range *devices, *units_of_ivrs; /* units_of_ivrs: their own functions */
    size_t units, contexts, mappings, trees, entries_count, irtes, descriptors, queues, latencies, ranges, rmrrs,
        options, functions, groups, regions, faults, drhds, port_lists, scopes, ioapics, scopeds, specials,
        device_ranges, ivrs_units;
    bool has_dmar, has_ivrs, off; /* off: a text says that some unit does not translate */
    uint8_t dmar_flags, haw;      /* haw: host address width, bits; 0: not known */
    struct nw_dump_amd amd;
    const struct nw_dump *earlier; /* of the same machine, for what has changed since; NULL: there is none. Not owned */
    struct nw_dump_place dmar_place, ivrs_place;
    struct {
        bool known, snp;
        unsigned physical_bits; /* 0: not known */
        struct nw_dump_place place;
    } cpu;
};

/* *items: rows that said something. NW_ERR_INPUT: a row that is not as it should be, with its line; NW_ERR_NOMEM. */
enum nw_status nw_dump_add(struct nw_dump *d, const char *text, size_t size, const char *file, unsigned input,
                           size_t *items, struct nw_error *err) NW_MUST_USE;
/* The firmware's tables, to compare with: DMAR, IVRS or MADT. NW_ERR_NOMEM. */
enum nw_status nw_dump_add_table(struct nw_dump *d, const struct nw_acpi_table *table, unsigned input,
                                 struct nw_error *err) NW_MUST_USE;
enum nw_status nw_dump_add_dmar(struct nw_dump *d, const struct nw_dmar *dmar, unsigned input,
                                struct nw_error *err) NW_MUST_USE;
enum nw_status nw_dump_add_ivrs(struct nw_dump *d, const struct nw_ivrs *ivrs, unsigned input,
                                struct nw_error *err) NW_MUST_USE;
void nw_dump_fini(struct nw_dump *d);

/* Adds what the rules find in all facts to the findings of the inputs that the facts are of, `inputs` of them, and puts each in order:
 * errors first. NW_ERR_NOMEM only. */
enum nw_status nw_iommu_check_dumps(const struct nw_dump *d, struct nw_iommu_findings *by_input, size_t inputs,
                                    struct nw_error *err) NW_MUST_USE;
/* Those of one input. */
enum nw_status nw_iommu_check_dump(const struct nw_dump *d, unsigned input, struct nw_iommu_findings *findings,
                                   struct nw_error *err) NW_MUST_USE;

#endif
