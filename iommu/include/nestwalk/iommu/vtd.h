/* vtd.h - what Intel VT-d makes of a DMA or of an interrupt request, from the tables in simulated physical memory.
 *
 *     struct nw_vtd_tables t = { .unit = { .cap = 0xd2008c222f0606, .ecap = 0xf00f4a, .haw = 48 }, .memory = { .pm = pm },
 *                                .rtaddr = 0x1000 };
 *     struct nw_vtd_request q = { .source_id = 0x0010, .kind = NW_VTD_READ, .address = 0x7f000 };
 *     struct nw_vtd_result r;
 *     nw_vtd_translate(&t, &q, &r);
 *     if (r.fault.reason) ... nw_vtd_fault_text(r.fault.reason)    else ... r.hpa
 *
 * These functions cache nothing and hold no state: each request reads the tables anew. vtd_unit.h is the unit with its
 * registers, caches and invalidation queue. A fault is a result, never an error.
 *
 * Terms: a request comes from a *source id* (bus 15:8, device and function 7:0), with or without a PASID. In *legacy
 * mode* a context entry names a second-stage tree; in *scalable mode* it names a PASID table, whose entries name a
 * first-stage tree, a second-stage tree, both (nested), or neither (pass-through). DID is the domain id, the tag of
 * cached translations. FPD (fault processing disable) keeps *qualified* faults from being recorded.
 *
 * Source: Intel VT-d architecture specification (revisions 3.0 to 4.1), chapters "DMA Remapping", "Interrupt Remapping",
 * "Translation Faults", "Translation Structure Formats". */
#ifndef NESTWALK_IOMMU_VTD_H
#define NESTWALK_IOMMU_VTD_H

#include <nestwalk/base/physmem.h>
#include <nestwalk/mmu/format_vtd.h>

/* ---- the unit ----------------------------------------------------------------------------------- */

struct nw_vtd_capabilities {
    uint64_t cap, ecap; /* CAP_REG, ECAP_REG */
    uint8_t haw;        /* host address width, 32 to 52: from the DMAR table */
};

/* Fields of CAP_REG and ECAP_REG that the model obeys. */
#define NW_VTD_CAP_PLMR    NW_BIT(5)
#define NW_VTD_CAP_PHMR    NW_BIT(6)
#define NW_VTD_CAP_CM      NW_BIT(7)
#define NW_VTD_CAP_ZLR     NW_BIT(22)
#define NW_VTD_CAP_SLLPS2M NW_BIT(34)
#define NW_VTD_CAP_SLLPS1G NW_BIT(35)
#define NW_VTD_CAP_PSI     NW_BIT(39)
#define NW_VTD_CAP_DWD     NW_BIT(54)
#define NW_VTD_CAP_DRD     NW_BIT(55)
#define NW_VTD_CAP_FL1GP   NW_BIT(56)
#define NW_VTD_CAP_PI      NW_BIT(59)
#define NW_VTD_CAP_FL5LP   NW_BIT(60)
#define NW_VTD_CAP_ESIRTPS NW_BIT(62)
#define NW_VTD_CAP_ESRTPS  NW_BIT(63)
#define NW_VTD_ECAP_C      NW_BIT(0)
#define NW_VTD_ECAP_QI     NW_BIT(1)
#define NW_VTD_ECAP_DT     NW_BIT(2)
#define NW_VTD_ECAP_IR     NW_BIT(3)
#define NW_VTD_ECAP_EIM    NW_BIT(4)
#define NW_VTD_ECAP_PT     NW_BIT(6)
#define NW_VTD_ECAP_SC     NW_BIT(7)
#define NW_VTD_ECAP_MTS    NW_BIT(25)
#define NW_VTD_ECAP_NEST   NW_BIT(26)
#define NW_VTD_ECAP_PRS    NW_BIT(29)
#define NW_VTD_ECAP_ERS    NW_BIT(30)
#define NW_VTD_ECAP_SRS    NW_BIT(31)
#define NW_VTD_ECAP_EAFS   NW_BIT(34)
#define NW_VTD_ECAP_PASID  NW_BIT(40)
#define NW_VTD_ECAP_PDS    NW_BIT(42)
#define NW_VTD_ECAP_SMTS   NW_BIT(43)
#define NW_VTD_ECAP_SLADS  NW_BIT(45)
#define NW_VTD_ECAP_SLTS   NW_BIT(46)
#define NW_VTD_ECAP_FLTS   NW_BIT(47)
#define NW_VTD_ECAP_SMPWCS NW_BIT(48)
#define NW_VTD_ECAP_RPRIVS NW_BIT(53)
static inline unsigned nw_vtd_mgaw(uint64_t cap) { return (unsigned)nw_field(cap, 21, 16) + 1; }
static inline unsigned nw_vtd_sagaw(uint64_t cap) { return (unsigned)nw_field(cap, 12, 8); }

/* NW_ERR_INPUT: a host address width out of range. */
enum nw_status nw_vtd_capabilities_check(const struct nw_vtd_capabilities *c, struct nw_error *err) NW_MUST_USE;

struct nw_vtd_range {
    uint64_t start, end; /* [start, end) */
};

/* Where tables can be read. Reading an entry elsewhere fails, and the request with it. */
struct nw_vtd_memory {
    struct nw_physmem *pm;
    const struct nw_vtd_range *ram; /* NULL: everything below 2^haw */
    size_t ram_count;
};

struct nw_vtd_watch; /* vtd_watch.h */

struct nw_vtd_tables {
    struct nw_vtd_capabilities unit;
    struct nw_vtd_memory memory;
    uint64_t rtaddr;            /* RTADDR_REG as latched by SRTP: 63:12 root table, 11:10 translation table mode */
    uint64_t irta;              /* IRTA_REG as latched by SIRTP: 63:12 table, 11 EIME, 3:0 size */
    bool compatible_format;     /* GSTS.CFIS: compatibility-format interrupts pass */
    struct nw_vtd_watch *watch; /* told of each word that nw_vtd_translate() reads; NULL: nobody is */
};
enum nw_vtd_table_mode { NW_VTD_TTM_LEGACY, NW_VTD_TTM_SCALABLE, NW_VTD_TTM_RESERVED, NW_VTD_TTM_ABORT };

/* ---- faults ------------------------------------------------------------------------------------- */

enum { NW_VTD_FAULT_REASONS = 0x92 }; /* fault reasons are below this */
/* In place of one: a protected memory region stopped the request. The architecture reports that nowhere. */
enum { NW_VTD_PROTECTED_MEMORY = 0xff };

struct nw_vtd_fault {
    uint8_t reason;   /* FR; 0: no fault */
    bool recorded;    /* false: a qualified fault, and FPD is set on the way to it */
    int8_t level;     /* of the paging entry that it was found at, 0 = leaf table; -1: at none */
    bool second;      /* that entry is one of the second stage */
    uint64_t address; /* DMA: the page address asked for; interrupt: the index */
};

/* "paging entry lacks write permission"; NULL for a number that is no fault reason. */
const char *nw_vtd_fault_text(unsigned reason);
/* A qualified fault is not recorded when FPD is set ("Fault Conditions", the tables' column Qualified). */
bool nw_vtd_fault_qualified(unsigned reason);

/* ---- DMA ---------------------------------------------------------------------------------------- */

enum nw_vtd_request_kind { NW_VTD_READ, NW_VTD_WRITE, NW_VTD_ATOMIC };
enum nw_vtd_address_type { NW_VTD_UNTRANSLATED, NW_VTD_TRANSLATION_REQUEST, NW_VTD_TRANSLATED }; /* AT field */

struct nw_vtd_request {
    uint16_t source_id;
    uint64_t address;
    enum nw_vtd_request_kind kind;
    enum nw_vtd_address_type type;
    bool zero_length; /* a read of no bytes: a flush */
    bool has_pasid;
    uint32_t pasid;
    bool privileged, execute; /* of the PASID prefix: privileged mode requested, execute requested */
};

enum nw_vtd_translation {
    NW_VTD_PASS_THROUGH,
    NW_VTD_SECOND_STAGE,
    NW_VTD_FIRST_STAGE,
    NW_VTD_NESTED,
    NW_VTD_TRANSLATIONS
};
extern const char *const nw_vtd_translation_name[NW_VTD_TRANSLATIONS]; /* "pass-through", "second stage", ... */

enum nw_vtd_right { NW_VTD_RIGHT_READ = 1, NW_VTD_RIGHT_WRITE = 2, NW_VTD_RIGHT_EXECUTE = 4, NW_VTD_RIGHT_DIRTY = 8 };

struct nw_vtd_result {
    struct nw_vtd_fault fault; /* the rest is valid when fault.reason is 0 */
    hpa_t hpa;                 /* of the byte asked for */
    enum nw_vtd_translation translation;
    uint8_t page_log2;  /* what one IOTLB entry may cover; 64 for pass-through */
    uint8_t rights;     /* set of enum nw_vtd_right: of a request of the same privilege */
    uint8_t references; /* words read: root, context, PASID structures and paging entries */
    uint16_t domain_id;
};

/* One request, the tables read anew. Sets accessed and dirty flags where the PASID-table entry has them maintained.
 * Requests to the interrupt address range [0xfee00000, 0xfef00000) without PASID that are writes are interrupt
 * requests: give those to nw_vtd_interrupt(). */
void nw_vtd_translate(const struct nw_vtd_tables *t, const struct nw_vtd_request *q, struct nw_vtd_result *out);

/* ---- interrupts --------------------------------------------------------------------------------- */

struct nw_vtd_interrupt_request {
    uint16_t source_id;
    uint64_t address; /* of the memory write: 0xfee..... */
    uint32_t data;
};

enum nw_vtd_interrupt_form { NW_VTD_COMPATIBLE, NW_VTD_REMAPPED, NW_VTD_POSTED };

struct nw_vtd_interrupt {
    struct nw_vtd_fault fault; /* the rest is valid when fault.reason is 0 */
    enum nw_vtd_interrupt_form form;
    bool notifies; /* a message goes out. false: posted, and the descriptor's ON or SN keep it back */
    /* The message: */
    uint32_t destination; /* APIC id: 8 bits, with EIME 32 */
    bool logical, redirection_hint, level;
    uint8_t delivery_mode; /* 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT */
    uint8_t vector;
    /* Posted: */
    uint64_t descriptor; /* address of the posted-interrupt descriptor */
    uint8_t posted_vector;
    bool urgent;
};

/* Interrupt remapping is on (GSTS.IRES). Posting sets bits of the posted-interrupt descriptor. */
void nw_vtd_interrupt(const struct nw_vtd_tables *t, const struct nw_vtd_interrupt_request *q,
                      struct nw_vtd_interrupt *out);

static inline bool nw_vtd_interrupt_range(uint64_t address) { return address >> 20 == 0xfee; }

#endif
