/* amdvi.h - what an AMD IOMMU (AMD-Vi) makes of a DMA or of an interrupt request, from the tables in simulated physical memory.
 *
 *     struct nw_amdvi_tables t = { .unit = { .efr = NW_AMDVI_EFR_HA, .pa_bits = 48 }, .memory = { .pm = pm },
 *                                  .device_table = 0x100000 | 0x1ff };
 *     struct nw_amdvi_request q = { .device_id = 0x0010, .kind = NW_AMDVI_READ, .address = 0x7f000 };
 *     struct nw_amdvi_result r;
 *     nw_amdvi_translate(&t, &q, &r);
 *     if (r.event.code) ... nw_amdvi_event_name(r.event.code)    else ... r.hpa
 *
 * These functions cache nothing and hold no state: each request reads the tables anew. An event is a result, never an
 * error.
 *
 * Terms: a request comes from a *device id* (bus 15:8, device and function 7:0). Its device table entry (DTE) of 256 bits
 * names the host page tables, which translate guest physical addresses (GPA; without guest translation: I/O virtual
 * addresses) to system physical ones. They have as many levels as the DTE's Mode says, 1 to 6; level 1 maps 4 KiB pages.
 * With *guest translation* (DTE.GV) a PASID picks a guest's CR3 from the GCR3 table, and the tables of that, in the
 * processor's format, translate guest virtual addresses (GVA) to GPAs.
 *
 * Source: AMD I/O Virtualization Technology (IOMMU) Specification (48882), chapters "Data Structures" ("Device Table",
 * "I/O Page Tables for Host Translations", "Guest and Nested
 * Address Translation", "Interrupt Remapping Tables"), "Event Logging" and "Registers". */
#ifndef NESTWALK_IOMMU_AMDVI_H
#define NESTWALK_IOMMU_AMDVI_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/physmem.h>

/* ---- the unit ----------------------------------------------------------------------------------- */

struct nw_amdvi_capabilities {
    uint64_t efr;    /* Extended Feature Register */
    uint8_t pa_bits; /* width of a system physical address, 32 to 52 */
};

/* Fields of the Extended Feature Register that the model obeys. */
#define NW_AMDVI_EFR_PREF        NW_BIT(0)       /* prefetches: no unit of the model has them */
#define NW_AMDVI_EFR_PPR         NW_BIT(1)       /* peripheral page requests: DTE.PPR and .GPRP exist */
#define NW_AMDVI_EFR_NX          NW_BIT(3)       /* NX of guest entries, and execute requests */
#define NW_AMDVI_EFR_GT          NW_BIT(4)       /* guest translation */
#define NW_AMDVI_EFR_IA          NW_BIT(6)       /* the command INVALIDATE_IOMMU_ALL */
#define NW_AMDVI_EFR_GA          NW_BIT(7)       /* interrupt remapping table entries of 128 bits */
#define NW_AMDVI_EFR_DEV_TBL_SEG nw_mask(39, 38) /* device table segments: no unit of the model has them */
#define NW_AMDVI_EFR_GIO         NW_BIT(48)      /* DTE.GIOV exists: requests without PASID may be those of PASID 0 */
#define NW_AMDVI_EFR_HA          NW_BIT(49)      /* the host entries' A bits can be maintained */
#define NW_AMDVI_EFR_HD          NW_BIT(52)      /* ... and their D bits */
/* HATS: the largest Mode, 4 to 6; 7 for the reserved encoding. */
static inline unsigned nw_amdvi_host_levels(uint64_t efr) { return (unsigned)nw_field(efr, 11, 10) + 4; }

/* GATS: the most levels of guest tables, 4 or 5. GLXSup: the most levels of the GCR3 table. PASmax: bits of a PASID. */
static inline unsigned nw_amdvi_guest_levels(uint64_t efr) { return (unsigned)nw_field(efr, 13, 12) + 4; }
static inline unsigned nw_amdvi_gcr3_levels(uint64_t efr) { return (unsigned)nw_field(efr, 15, 14) + 1; }
static inline unsigned nw_amdvi_pasid_bits(uint64_t efr) { return (unsigned)nw_field(efr, 36, 32) + 1; }

/* NW_ERR_INPUT: an address width out of range, or a reserved HATS, GATS or GLXSup. */
enum nw_status nw_amdvi_capabilities_check(const struct nw_amdvi_capabilities *c, struct nw_error *err) NW_MUST_USE;

struct nw_amdvi_range {
    uint64_t start, end; /* [start, end) */
};

/* Where tables can be read. Reading an entry elsewhere is a hardware error of the unit. */
struct nw_amdvi_memory {
    struct nw_physmem *pm;
    const struct nw_amdvi_range *ram; /* NULL: everything below 2^pa_bits */
    size_t ram_count;
};

struct nw_amdvi_watch;
struct nw_amdvi_tables {
    struct nw_amdvi_capabilities unit;
    struct nw_amdvi_memory memory;
    uint64_t device_table;        /* Device Table Base Address Register: 51:12 table, 8:0 its 4 KiB pages - 1 */
    uint64_t exclusion_base;      /* Exclusion Base Register: 51:12 first page, 1 Allow, 0 ExEn */
    uint64_t exclusion_limit;     /* Exclusion Range Limit Register: 51:12 last page */
    bool gcr3_tables_in_gpa;      /* Control Register, GCR3TRPMode: GCR3 tables are found by GPA; false: by SPA */
    bool wide_interrupt_entries;  /* Control Register, GAEn: entries have 128 bits */
    bool x2apic;                  /* Control Register, XTEn: with the above, destinations have 32 bits */
    struct nw_amdvi_watch *watch; /* amdvi_watch.h: is told each word that a DMA request reads; NULL: nobody is */
};

/* ---- events ------------------------------------------------------------------------------------- */

enum nw_amdvi_event_code {
    NW_AMDVI_NO_EVENT,
    NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY = 1,
    NW_AMDVI_IO_PAGE_FAULT = 2,
    NW_AMDVI_DEV_TAB_HARDWARE_ERROR = 3,
    NW_AMDVI_PAGE_TAB_HARDWARE_ERROR = 4,
    NW_AMDVI_ILLEGAL_COMMAND_ERROR = 5, /* of the unit's command buffer, as the two that follow: amdvi_unit.h */
    NW_AMDVI_COMMAND_HARDWARE_ERROR = 6,
    NW_AMDVI_IOTLB_INV_TIMEOUT = 7,
    NW_AMDVI_INVALID_DEVICE_REQUEST = 8,
    NW_AMDVI_INVALID_PPR_REQUEST = 9
};

/* Bits 59:48 of an event log entry, shifted down. */
enum nw_amdvi_flag {
    NW_AMDVI_FLAG_GN = 0x001, /* the address is a GVA, and the entry has a PASID in place of the domain id */
    NW_AMDVI_FLAG_NX = 0x002, /* an execute request (GN) */
    NW_AMDVI_FLAG_US = 0x004, /* of user privilege (GN) */
    NW_AMDVI_FLAG_I = 0x008,  /* an interrupt request */
    NW_AMDVI_FLAG_PR = 0x010, /* the entry that stopped the walk is present */
    NW_AMDVI_FLAG_RW = 0x020, /* a write */
    NW_AMDVI_FLAG_PE = 0x040, /* no permission */
    NW_AMDVI_FLAG_RZ = 0x080, /* a reserved bit is set; with PR and without PE and RZ: an illegal level encoding */
    NW_AMDVI_FLAG_TR = 0x100  /* a translation request */
};
/* Field Type, bits 59:57: of hardware errors, and of invalid device requests. */
enum nw_amdvi_event_type {
    NW_AMDVI_MASTER_ABORT = 1,
    NW_AMDVI_INTERRUPT_RANGE = 0, /* not a write, in the interrupt address range */
    NW_AMDVI_ATS_DISABLED = 1,    /* translated, or a translation request, and DTE.I or DTE.V is 0 */
    NW_AMDVI_PORT_IO = 2,         /* port I/O, and DTE.IoCtl is 0 */
    NW_AMDVI_SYSTEM_MANAGEMENT = 3
};

struct nw_amdvi_event {
    uint8_t code;   /* enum nw_amdvi_event_code; 0: none */
    bool logged;    /* false: a page fault of a device whose DTE.SA suppresses those */
    uint16_t flags; /* bits 59:48 of the log entry: enum nw_amdvi_flag, and Type << 9 */
    uint16_t device_id, domain_id;
    uint32_t pasid;   /* with GN */
    int8_t level;     /* of the page table at whose entry the walk stopped, 1 to 6; 0: at none */
    uint64_t address; /* asked for: GVA with GN, else GPA; of hardware errors: that of the entry; of commands: theirs */
};

/* "IO_PAGE_FAULT"; NULL for a number that is none of the above. */
const char *nw_amdvi_event_name(unsigned code);
/* The 128 bits of the event log ("Event Log"). */
void nw_amdvi_event_record(const struct nw_amdvi_event *e, uint64_t out[2]);

/* ---- DMA ---------------------------------------------------------------------------------------- */

enum nw_amdvi_request_kind { NW_AMDVI_READ, NW_AMDVI_WRITE, NW_AMDVI_ATOMIC };
enum nw_amdvi_address_type { NW_AMDVI_UNTRANSLATED, NW_AMDVI_TRANSLATION_REQUEST, NW_AMDVI_TRANSLATED };

struct nw_amdvi_request {
    uint16_t device_id;
    uint64_t address;
    enum nw_amdvi_request_kind kind; /* of a translation request: NW_AMDVI_READ is one with NW (no write) set */
    enum nw_amdvi_address_type type;
    bool has_pasid;
    uint32_t pasid;
    bool privileged, execute; /* of the PASID prefix: privileged mode requested, execute requested */
    bool intx;                /* an INTx message to the system management range */
};

/* NESTED: by guest tables and host tables; GUEST: by guest tables alone (Mode 0). */
enum nw_amdvi_translation {
    NW_AMDVI_PASS_THROUGH,
    NW_AMDVI_HOST,
    NW_AMDVI_GUEST,
    NW_AMDVI_NESTED,
    NW_AMDVI_TRANSLATIONS
};
extern const char *const nw_amdvi_translation_name[NW_AMDVI_TRANSLATIONS]; /* "pass-through", "host", ... */

enum nw_amdvi_right {
    NW_AMDVI_RIGHT_READ = 1,
    NW_AMDVI_RIGHT_WRITE = 2,
    NW_AMDVI_RIGHT_EXECUTE = 4 /* guest, nested */
};

struct nw_amdvi_result {
    struct nw_amdvi_event event; /* the rest is valid when event.code is 0 */
    hpa_t hpa;                   /* of the byte asked for */
    enum nw_amdvi_translation translation;
    uint8_t page_log2;      /* what one IOTLB entry may cover; 64 for pass-through */
    uint8_t rights;         /* set of enum nw_amdvi_right; none: a translation request that found no page for it */
    bool untranslated_only; /* U of the leaf: the device must not use this address in translated requests */
    bool force_coherent;    /* FC of the leaf, or Mode0FC */
    uint8_t references;     /* 64-bit words read: 4 of the DTE, and paging entries */
    uint16_t domain_id;
};

/* One request, the tables read anew. Sets A and D bits of guest paging entries, and of host ones where DTE.HAD has them maintained.
 * Writes to the interrupt address range (nw_amdvi_interrupt_range()) are interrupt requests and no business of this
 * function; it takes them for DMA. */
void nw_amdvi_translate(const struct nw_amdvi_tables *t, const struct nw_amdvi_request *q, struct nw_amdvi_result *out);

/* ---- interrupts --------------------------------------------------------------------------------- */

struct nw_amdvi_interrupt_request {
    uint16_t device_id;
    uint64_t address; /* of the memory write: 0xfee..... */
    uint32_t data;
};

enum nw_amdvi_interrupt_form {
    NW_AMDVI_INTERRUPT_ABORTED, /* by IntCtl or a pass bit of the DTE, or with an event */
    NW_AMDVI_INTERRUPT_PASSED,  /* the message goes on as it is */
    NW_AMDVI_INTERRUPT_REMAPPED,
    NW_AMDVI_INTERRUPT_GUEST /* for a virtual APIC. The entry is decoded; the backing page is left alone */
};

struct nw_amdvi_interrupt {
    struct nw_amdvi_event event;
    enum nw_amdvi_interrupt_form form;
    /* The message. Of a guest's interrupt: where that virtual processor runs, and the vector. */
    uint32_t destination; /* APIC id: 8 bits, with XTEn 32 */
    bool logical;
    uint8_t delivery_mode; /* 0 fixed, 1 arbitrated (lowest priority), 4 NMI, 5 INIT, 7 ExtINT */
    uint8_t vector;
    bool request_eoi;
    /* A guest's: */
    uint64_t backing_page;
    uint32_t tag;
    bool running, logs; /* IsRun, GALogIntr */
};

/* Reads the DTE and the interrupt remapping table anew. Only fixed and arbitrated interrupts are remapped. */
void nw_amdvi_interrupt(const struct nw_amdvi_tables *t, const struct nw_amdvi_interrupt_request *q,
                        struct nw_amdvi_interrupt *out);

static inline bool nw_amdvi_interrupt_range(uint64_t address) { return address >> 20 == 0xfee; }

#endif
