/* format.h - page-table formats as const objects, and what one table tree looks like once the machine's registers
 * are known.
 *
 * A `struct nw_format` says what a format is: geometry per level, where the bits are, which rules it follows. It
 * knows nothing of a running machine. A `struct nw_paging` is one tree of tables in one mode of the machine: its
 * root, and the final masks that result from format and registers (MAXPHYADDR, EFER.NXE, CR0.WP, CR4.SMEP, EPTP bit
 * 6, ...). The walk (walk_template.h) looks at nothing but a `struct nw_paging`, so it has no branch on a format's
 * name.
 *
 *     struct nw_paging guest, nested;
 *     struct nw_guest_registers r = nw_guest_registers_long(4, root); // plain 64-bit guest: WP, NXE, 1 GiB pages
 *     if ((s = nw_paging_init_guest(&guest, &r, err))) return s;
 *     struct nw_ept_registers e = { .eptp = root | 0x5e, .maxphyaddr = 46, .huge_1g = true };
 *     if ((s = nw_paging_init_ept(&nested, &e, err))) return s;
 *
 * Levels. Level 0 is the leaf table everywhere: x86 PT = 0, PD = 1, PDPT = 2, PML4 = 3, PML5 = 4.
 *
 * Allowed bits. Formats disagree on polarity (x86 NX forbids, EPT X permits). The walk flips the forbidding bits
 * (`entry ^ invert`), so that in what follows a set bit always permits, and permissions of several levels combine
 * by AND. "Allowed bits" below means an entry, or the AND of several, after that flip. */
#ifndef NESTWALK_MMU_FORMAT_H
#define NESTWALK_MMU_FORMAT_H

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/status.h>
#include <stddef.h>

enum { NW_LEVELS_MAX = 5 };

/* ---- accesses ----------------------------------------------------------------------------------- */

enum nw_access_kind { NW_ACCESS_READ, NW_ACCESS_WRITE, NW_ACCESS_FETCH, NW_ACCESS_RMW, NW_ACCESS_KINDS };

struct nw_access {
    enum nw_access_kind kind; /* RMW: a locked read-modify-write; needs what a read and a write need */
    bool user; /* CPL 3 (an explicit access); false: supervisor, or an implicit access such as to the GDT */
    bool ac;   /* RFLAGS.AC of an explicit supervisor access: suspends SMAP */
};

/* Who accesses, as the index of nw_paging.need and .forbid. */
enum nw_privilege { NW_SUPERVISOR, NW_SUPERVISOR_AC, NW_USER, NW_PRIVILEGES };
static inline enum nw_privilege nw_access_privilege(const struct nw_access *a)
{
    return a->user ? NW_USER : a->ac ? NW_SUPERVISOR_AC : NW_SUPERVISOR;
}

/* ---- formats ------------------------------------------------------------------------------------ */

enum nw_format_id {
    NW_FORMAT_X86_OFF,    /* CR0.PG = 0: linear addresses are physical ones */
    NW_FORMAT_X86_2LEVEL, /* 32-bit paging: 4-byte entries, 4 KiB and 4 MiB pages */
    NW_FORMAT_X86_PAE,
    NW_FORMAT_X86_4LEVEL, /* also NPT in long mode */
    NW_FORMAT_X86_5LEVEL,
    NW_FORMAT_EPT_4LEVEL,
    NW_FORMAT_EPT_5LEVEL,
    NW_FORMAT_COUNT, /* of nw_formats[] */
    /* Those of DMA remapping stand in nw_vtd_formats[] (format_vtd.h). */
    NW_FORMAT_VTD_SS_3LEVEL = NW_FORMAT_COUNT,
    NW_FORMAT_VTD_SS_4LEVEL,
    NW_FORMAT_VTD_SS_5LEVEL,
    NW_FORMAT_VTD_FS_4LEVEL,
    NW_FORMAT_VTD_FS_5LEVEL,
    NW_FORMAT_VTD_END
};

/* How the input address of a format is checked. */
enum nw_input_rule {
    NW_INPUT_TRUNCATE,  /* bits above input_bits are dropped (32-bit linear addresses) */
    NW_INPUT_CANONICAL, /* they must equal bit input_bits-1 */
    NW_INPUT_ZERO,      /* they must be zero, or the address has no translation (guest-physical addresses) */
};

/* What tells a leaf from a pointer to the next table, above level 0. */
enum nw_leaf_rule {
    NW_LEAF_BIT, /* `leaf_bit` set, at levels that have leaf pages */
};

/* What of a permission is judged, and how a failed walk is reported. */
enum nw_fault_rule {
    NW_FAULT_X86, /* #PF, or #NPF when the tree is the nested one */
    NW_FAULT_EPT, /* EPT violation or EPT misconfiguration */
    NW_FAULT_VTD, /* walked as NW_FAULT_X86; the remapping unit makes a fault reason of what the walk reports */
};

struct nw_format_level {
    const char *table; /* the field's name of the table: "PML4" */
    uint8_t index_low; /* lowest bit of the input address that this level's index uses; log2 of what an entry covers */
    uint8_t index_bits;
    bool leaf;                              /* an entry may map a page (always true at level 0) */
    uint64_t reserved_table, reserved_leaf; /* bits that must be zero whatever the machine */
};

struct nw_format {
    enum nw_format_id id;
    const char *name; /* "x86-4level" */
    uint8_t levels;
    uint8_t entry_log2; /* log2 of an entry's bytes: 3, or 2 for 32-bit paging */
    uint8_t input_bits;
    enum nw_input_rule input_rule;
    enum nw_leaf_rule leaf_rule;
    enum nw_fault_rule fault_rule;
    uint64_t leaf_bit;
    uint64_t present;      /* an entry with none of these bits is not present */
    uint64_t read, write;  /* permit */
    uint64_t execute;      /* permits; 0 where the format has `no_execute` */
    uint64_t execute_user; /* EPT with mode-based execute control */
    uint64_t no_execute;   /* forbids; counts when EFER.NXE is set */
    uint64_t user, global; /* 0 where the format lacks them */
    uint64_t accessed, dirty;
    uint64_t pkey;     /* protection-key field of a leaf */
    uint64_t software; /* bits every level leaves to software */
    uint64_t address;  /* address field of a table entry and of a level-0 leaf, before MAXPHYADDR */
    struct nw_format_level level[NW_LEVELS_MAX];
};
extern const struct nw_format nw_formats[NW_FORMAT_COUNT];

/* ---- one tree in one mode ----------------------------------------------------------------------- */

/* Everything the walk needs. Filled by the nw_paging_init_*; plain data, may be copied. */
struct nw_paging {
    const struct nw_format *format;
    uint64_t root;  /* address of the root table: a GPA in a guest's tree under nested paging, else an HPA */
    uint8_t levels; /* 0: paging off */
    uint8_t entry_log2;
    uint8_t input_bits;
    uint8_t input_rule;      /* enum nw_input_rule */
    uint8_t fault_rule;      /* enum nw_fault_rule */
    bool root_in_registers;  /* PAE: the level-2 entries are `pdpte`, read when CR3 was loaded, and cost no reference */
    bool fetch_reported;     /* error code bit I/D exists: NXE or SMEP */
    bool pku, pks;           /* protection keys judge user-mode / supervisor-mode pages */
    bool write_protect;      /* CR0.WP */
    bool log_dirty;          /* PML: setting D in a nested leaf is announced first */
    bool mode_based_execute; /* EPT: execution is judged apart for supervisor-mode and user-mode linear addresses */
    bool advanced_exit_info; /* EPT: qualification bits 11:9 are reported */
    uint8_t maxphyaddr;
    uint8_t table_access;    /* nested tree: enum nw_access_kind that reading a guest table entry counts as */
    uint8_t bad_rwx;         /* bit (entry & 7) set: that combination of low bits is a misconfiguration */
    uint8_t bad_memory_type; /* bit (entry >> 3 & 7) set: that memory type of a leaf is a misconfiguration */
    uint64_t present, invert, leaf_bit;
    uint64_t accessed, dirty; /* 0 when not maintained */
    uint64_t global;          /* 0 when CR4.PGE is clear */
    uint64_t table_address;   /* address field of an entry that points to a table */
    uint64_t pse36;           /* 32-bit paging: field of a 4 MiB leaf that holds address bits 32 and up; else 0 */
    uint32_t pkru, pkrs;
    uint64_t pdpte[4];
    struct nw_paging_level {
        uint8_t index_low, index_bits;
        uint64_t leaf_select; /* entry & this: it is a leaf (level 0: always, whatever this says) */
        uint64_t reserved_table, reserved_leaf;
        uint64_t leaf_address; /* address field of a leaf here */
        uint64_t grants; /* allowed bits that an entry here gives whatever it says (a PAE PDPTE has no R/W, U/S, NX) */
        uint64_t accessed; /* A flag of an entry here; 0: none is maintained */
    } level[NW_LEVELS_MAX];
    /* Allowed bits that an access must find all set / none set, by enum nw_privilege and enum nw_access_kind. A nested
     * tree is indexed with NW_USER when mode-based execute control makes a difference (user-mode linear address), else
     * NW_SUPERVISOR. */
    uint64_t need[NW_PRIVILEGES][NW_ACCESS_KINDS], forbid[NW_PRIVILEGES][NW_ACCESS_KINDS];
};

/* x86 control register bits that matter here (SDM vol. 3, "Control Registers"). */
#define NW_CR0_WP    NW_BIT(16)
#define NW_CR0_PG    NW_BIT(31)
#define NW_CR0_PE    NW_BIT(0)
#define NW_CR4_PSE   NW_BIT(4)
#define NW_CR4_PAE   NW_BIT(5)
#define NW_CR4_PGE   NW_BIT(7)
#define NW_CR4_LA57  NW_BIT(12)
#define NW_CR4_PCIDE NW_BIT(17)
#define NW_CR4_SMEP  NW_BIT(20)
#define NW_CR4_SMAP  NW_BIT(21)
#define NW_CR4_PKE   NW_BIT(22)
#define NW_CR4_PKS   NW_BIT(24)
#define NW_EFER_LME  NW_BIT(8)
#define NW_EFER_LMA  NW_BIT(10)
#define NW_EFER_NXE  NW_BIT(11)

struct nw_guest_registers {
    uint64_t cr0, cr3, cr4, efer;
    unsigned maxphyaddr;     /* 36..52 (32-bit paging: 32..52) */
    bool huge_1g;            /* 1 GiB pages exist (CPUID.80000001H:EDX.Page1GB) */
    bool pdpte_in_registers; /* PAE: use `pdpte` (VMX with EPT); false: each walk reads them from memory (SVM with NPT)
                              */
    uint64_t pdpte[4];
    uint32_t pkru, pkrs;
};
/* 64-bit mode with PAE, PGE, WP, NXE, MAXPHYADDR 52 and 1 GiB pages; levels 4 or 5. */
struct nw_guest_registers nw_guest_registers_long(unsigned levels, uint64_t root);

struct nw_ept_registers {
    uint64_t eptp; /* SDM vol. 3, "Extended-Page-Table Pointer (EPTP)": bits 5:3 walk length - 1, bit 6 A/D */
    unsigned maxphyaddr;
    bool huge_1g;               /* IA32_VMX_EPT_VPID_CAP bit 17 */
    bool execute_only;          /* bit 0: X without R is allowed */
    bool mode_based_execute;    /* secondary control "mode-based execute control for EPT" */
    bool advanced_exit_info;    /* IA32_VMX_EPT_VPID_CAP bit 22 */
    bool page_modification_log; /* secondary control "enable PML" */
};

struct nw_npt_registers {
    uint64_t ncr3;
    unsigned levels; /* 4 or 5: paging mode of the host at VMRUN; 3 (PAE) and 2 likewise */
    bool nxe;        /* host EFER.NXE */
    bool pse;        /* levels 2: host CR4.PSE */
    unsigned maxphyaddr;
    bool huge_1g;
};

/* NW_ERR_INPUT: registers no processor accepts (EFER.LMA without CR4.PAE, CR3 or EPTP with reserved bits, a bad walk
 * length...). */
enum nw_status nw_paging_init_guest(struct nw_paging *out, const struct nw_guest_registers *r,
                                    struct nw_error *err) NW_MUST_USE;
enum nw_status nw_paging_init_ept(struct nw_paging *out, const struct nw_ept_registers *r,
                                  struct nw_error *err) NW_MUST_USE;
enum nw_status nw_paging_init_npt(struct nw_paging *out, const struct nw_npt_registers *r,
                                  struct nw_error *err) NW_MUST_USE;

/* The first of the four PDPTEs that loading CR3 or VM entry refuses, or -1 (SDM vol. 3, "PDPTE Registers"). A guest
 * that may run has -1. */
int nw_pdptes_refused(const uint64_t pdpte[4], unsigned maxphyaddr);

/* ---- reading entries ---------------------------------------------------------------------------- */

/* Index of `address` in its table at `level`. */
static inline uint64_t nw_paging_index(const struct nw_paging *p, unsigned level, uint64_t address)
{
    return (address >> p->level[level].index_low) & ((UINT64_C(1) << p->level[level].index_bits) - 1);
}
static inline bool nw_entry_present(const struct nw_paging *p, uint64_t entry) { return entry & p->present; }
static inline bool nw_entry_is_leaf(const struct nw_paging *p, unsigned level, uint64_t entry)
{
    return level == 0 || (entry & p->level[level].leaf_select);
}
/* Address of the page that a leaf maps. */
static inline uint64_t nw_entry_page(const struct nw_paging *p, unsigned level, uint64_t entry)
{
    uint64_t page = entry & p->level[level].leaf_address;
    if (NW_UNLIKELY(p->pse36) && level == 1)
        page |= ((entry & p->pse36) >> 13) << 32;
    return page;
}
/* A present entry that no walk may use: reserved bits, or an EPT misconfiguration. */
static inline bool nw_entry_is_bad(const struct nw_paging *p, unsigned level, uint64_t entry, bool leaf)
{
    const struct nw_paging_level *l = &p->level[level];
    if (NW_UNLIKELY(entry & (leaf ? l->reserved_leaf : l->reserved_table)))
        return true;
    return ((p->bad_rwx >> (entry & 7)) & 1) || (leaf && ((p->bad_memory_type >> (entry >> 3 & 7)) & 1));
}
/* log2 of the bytes that an entry at `level` covers: 12, 21, 30, 39, 48 (32-bit paging: 12, 22). */
static inline unsigned nw_level_log2(const struct nw_paging *p, unsigned level) { return p->level[level].index_low; }
/* The level whose leaves have this size, or -1 (also when such leaves do not exist in this mode). */
int nw_paging_level_of(const struct nw_paging *p, unsigned page_log2);

/* "present writable user accessed dirty frame 0x1234"; `leaf` as found by nw_entry_is_leaf(). */
void nw_entry_describe(const struct nw_paging *p, unsigned level, uint64_t entry, char *out, size_t out_size);

#endif
