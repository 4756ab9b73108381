/* fault_log.h - kernel log lines about refused DMA and interrupts, read and explained.
 *
 *     struct nw_fault_log log = { 0 };
 *     for each line: if ((s = nw_fault_log_line(&log, line, number, err))) return s;
 *     for (size_t i = 0; i < log.count; i++) {
 *         struct nw_fault_account a;
 *         nw_fault_account(&log.group[i], tables, &a);      // tables: firmware's, may be NULL
 *         ... a.meaning, a.about[], a.cause[], a.action[] ...
 *     }
 *     nw_fault_log_fini(&log);
 *
 * Read are the lines of Linux's Intel driver from 3.x on (the reason in decimal up to 5.13, in hexadecimal since; on a line of its own up to
 * about 4.2), of Linux's AMD driver with and without the device's driver in front, and of Xen. Anything may stand before them (time stamps,
 * levels, host names). Lines of other kinds are passed over.
 *
 * Faults of one device, direction and reason make a group: the log repeats itself.
 *
 * Sources: Linux, drivers/iommu/intel/dmar.c, dmar_fault_do_one(), and drivers/iommu/amd/iommu.c, iommu_print_event(); Xen,
 * drivers/passthrough/vtd/iommu.c; the fault reasons of VT-d, "Fault Reasons"; the events of the AMD IOMMU specification, "Event Log". */
#ifndef NESTWALK_IOMMU_FAULT_LOG_H
#define NESTWALK_IOMMU_FAULT_LOG_H

#include <nestwalk/iommu/acpi.h>

enum nw_fault_source { NW_FAULT_VTD_DMA, NW_FAULT_VTD_INTERRUPT, NW_FAULT_AMD };
enum nw_amd_event {
    NW_AMD_ILLEGAL_DEV_TABLE_ENTRY,
    NW_AMD_IO_PAGE_FAULT,
    NW_AMD_DEV_TAB_HARDWARE_ERROR,
    NW_AMD_PAGE_TAB_HARDWARE_ERROR,
    NW_AMD_ILLEGAL_COMMAND_ERROR,
    NW_AMD_COMMAND_HARDWARE_ERROR,
    NW_AMD_IOTLB_INV_TIMEOUT,
    NW_AMD_INVALID_DEVICE_REQUEST,
    NW_AMD_INVALID_PPR_REQUEST,
    NW_AMD_RMP_PAGE_FAULT,
    NW_AMD_RMP_HW_ERROR,
    NW_AMD_EVENTS
};
extern const char *const nw_amd_event_name[NW_AMD_EVENTS]; /* "IO_PAGE_FAULT", ... */
/* Flags of an AMD IO_PAGE_FAULT as the log prints them. AMD IOMMU, "IO_PAGE_FAULT Event". */
enum nw_amd_fault_flag {
    NW_AMD_FLAG_GN = 0x1,  /* guest address: with a PASID */
    NW_AMD_FLAG_NX = 0x2,  /* execute was asked for */
    NW_AMD_FLAG_US = 0x4,  /* by user privilege */
    NW_AMD_FLAG_I = 0x8,   /* an interrupt request */
    NW_AMD_FLAG_PR = 0x10, /* the page is present */
    NW_AMD_FLAG_RW = 0x20, /* a write */
    NW_AMD_FLAG_PE = 0x40, /* it lacks the permission */
    NW_AMD_FLAG_RZ = 0x80, /* a reserved bit is set */
    NW_AMD_FLAG_TR = 0x100 /* a translation request */
};

struct nw_logged_fault {
    enum nw_fault_source source;
    bool has_device, has_segment, has_pasid, has_address, write;
    uint16_t segment, bdf;
    uint32_t pasid;
    uint64_t address;       /* of the request; VT-d interrupts: the index */
    unsigned reason;        /* VT-d: fault reason; AMD: enum nw_amd_event */
    unsigned flags, domain; /* AMD */
};

/* The table entries at the address of a fault, as Linux from 5.16 on prints them behind it ("Dump dmar0 table entries for IOVA 0x..."):
 * those that were there, down to the first that is not. dmar_fault_dump_ptes(). */
enum { NW_FAULT_PTES_MAX = 8, NW_FAULT_UNIT_NAME = 16 };
struct nw_fault_entries {
    bool there, scalable, has_root, has_context, has_directory;
    char unit[NW_FAULT_UNIT_NAME]; /* "dmar0" */
    uint64_t iova;
    uint64_t root[2], context[2]; /* low, high */
    uint64_t directory, pasid[8];
    unsigned pasid_words, ptes;
    struct {
        unsigned level; /* 1: it maps 4 KiB */
        uint64_t value;
    } pte[NW_FAULT_PTES_MAX];
};

struct nw_fault_group {
    struct nw_fault_entries entries;                        /* the first dump that belongs to one of them */
    struct nw_logged_fault fault;                           /* the first one */
    uint64_t count, first_line, last_line, lowest, highest; /* addresses */
};

struct nw_fault_log {
    struct nw_fault_group *group; /* in the order of their first lines */
    size_t count, capacity;
    uint64_t lines, understood;     /* understood: lines with a fault, or part of one */
    struct nw_logged_fault pending; /* a request whose reason is on the next line */
    uint64_t pending_line;          /* 0: none */
    size_t last;                    /* group of the last fault, plus 1: what a dump of entries belongs to; 0: none */
    bool dumping;                   /* and its lines are being read */
};

/* One line, without or with its newline. NW_ERR_NOMEM only: what is no fault is passed over. */
enum nw_status nw_fault_log_line(struct nw_fault_log *log, const char *line, uint64_t number,
                                 struct nw_error *err) NW_MUST_USE;
/* What waited for a reason that never came is dropped. */
void nw_fault_log_fini(struct nw_fault_log *log);

/* ---- explanation ---- */

enum { NW_FAULT_TEXTS_MAX = 16, NW_FAULT_TEXT_MAX = 400, NW_FAULT_ENTRIES_MAX = 32, NW_FAULT_ENTRY_MAX = 240 };
struct nw_fault_account {
    char title[200]; /* "DMA write of 03:00.0 at 0x1000: paging entry lacks write permission" */
    char meaning[NW_FAULT_TEXT_MAX];
    char about[NW_FAULT_TEXTS_MAX][NW_FAULT_TEXT_MAX];    /* what the addresses and the firmware's tables say */
    char entry[NW_FAULT_ENTRIES_MAX][NW_FAULT_ENTRY_MAX]; /* the kernel's dump, an entry each, decoded */
    const char *cause[NW_FAULT_TEXTS_MAX];                /* the likeliest first */
    const char *action[NW_FAULT_TEXTS_MAX];               /* what to try, in this order */
    size_t abouts, entries, causes, actions;
};
void nw_fault_about(struct nw_fault_account *a, const char *format, ...) NW_PRINTF(2, 3);
/* A cause that what is known makes the likeliest, and what to do about it (NULL: nothing more). */
void nw_fault_first(struct nw_fault_account *a, const char *cause, const char *action);
/* `tables`: DMAR and IVRS tables that belong to the machine, `count` of them; NW_ERR_NOMEM. */
enum nw_status nw_fault_account(const struct nw_fault_group *group, const struct nw_acpi_table *tables, size_t count,
                                struct nw_fault_account *out, struct nw_error *err) NW_MUST_USE;

#endif
