/* block.h - how a trace travels: blocks of accesses in columns, with rare events kept apart.
 *
 * Everything that makes traces (a file, a generator, an importer, a live capture) is a `struct nw_source`; everything that eats
 * them (the replay engine, the writer, statistics) takes blocks from one. Accesses come in long runs and everything else is
 * rare, so the hot loop never looks at an event:
 *
 *     struct nw_block b;
 *     while (!(s = nw_source_next(src, &b, err)) && !b.end)
 *         for (uint32_t i = 0, e = 0; ; i++) {
 *             for (; e < b.event_count && b.event[e].at == i; e++) take_event(&b.event[e]);
 *             if (i == b.access_count) break;
 *             take_access(b.address[i], nw_block_kind(&b, i));
 *         }
 *
 * Touches. For a TLB, an access to the page that the same class of access (fetch, or load/store) touched last changes nothing,
 * unless it is of a kind (load/store, privilege) not yet seen there. A source can therefore deliver, besides or instead of
 * the addresses, the *touches*: the accesses that are left when those repetitions are taken out.
 *
 *   The rule. Filtering starts afresh at the beginning of a block and at the position of each event. An access is dropped when,
 *   since that start, its class's most recent page is this access's page, and an access of the same (type, user) was already
 *   seen since the class came to that page. Everything else is a touch, and makes its page the class's most recent one.
 *   An access that crosses into the next page (offset + bytes > 4096) is two, with the same `at`: one of the page that holds
 *   its first byte, then one, marked NW_TOUCH_UPPER, of the page after it (52-bit page numbers wrap to 0); each goes through the
 *   filter on its own. So a consumer of touches needs no addresses, and a block can have up to twice as many touches as accesses. */
#ifndef NESTWALK_TRACES_BLOCK_H
#define NESTWALK_TRACES_BLOCK_H

#include <nestwalk/base/addr.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- an access's kind, one byte ---- bits 1:0 what, bits 6:2 size code, bit 7 CPL 3 (a user-mode access) */
enum nw_access_type { NW_LOAD = 0, NW_STORE = 1, NW_FETCH = 2 };
enum {
    NW_KIND_TYPE = 0x03,
    NW_KIND_SIZE_SHIFT = 2,
    NW_KIND_SIZE_CODES = 32,
    NW_KIND_USER = 0x80,
    NW_KIND_TYPE_USER = NW_KIND_TYPE | NW_KIND_USER, /* what matters to a TLB */
};
extern const uint16_t
    nw_kind_size_bytes[NW_KIND_SIZE_CODES]; /* codes 0..15 are 1..16 bytes; then 20, 24, 28, 32, 48, 64, ... 4096 */

/* The code whose size is `bytes`, or the smallest one that covers it; bytes 0 gives code 0. Larger than 4096: the last code. */
uint8_t nw_kind_size_code(unsigned bytes);
static inline uint8_t nw_kind_make(enum nw_access_type type, unsigned bytes, bool user)
{
    return (uint8_t)((unsigned)type | (unsigned)nw_kind_size_code(bytes) << NW_KIND_SIZE_SHIFT |
                     (user ? NW_KIND_USER : 0u));
}
static inline enum nw_access_type nw_kind_type(uint8_t kind) { return (enum nw_access_type)(kind & NW_KIND_TYPE); }
static inline bool nw_kind_user(uint8_t kind) { return kind & NW_KIND_USER; }
static inline unsigned nw_kind_bytes(uint8_t kind)
{
    return nw_kind_size_bytes[(kind >> NW_KIND_SIZE_SHIFT) & (NW_KIND_SIZE_CODES - 1)];
}

/* ---- events ---- everything that is not a plain access. `at` = how many accesses of the block precede it; events are in order.
 * `arg` holds the fields named in the table below; `data` (owned by the block) is a run of 64-bit words where a kind has them. */
/* clang-format off */
enum nw_event_kind {
    NW_EV_CPL = 1,         /* cpl                            privilege level from here on                               */
    NW_EV_CR_WRITE,        /* cr, value                      MOV to CRn; value as written (CR3 with bit 63)             */
    NW_EV_MSR_WRITE,       /* msr, value                     EFER and the like                                          */
    NW_EV_INVLPG,          /* gva                                                                                       */
    NW_EV_INVPCID,         /* type, pcid, gva                                                                           */
    NW_EV_INVVPID,         /* type, vpid, gva                                                                           */
    NW_EV_INVEPT,          /* type, eptp                                                                                */
    NW_EV_TABLE_WRITE,     /* gpa, bytes, value              a store that changed a guest page-table page; it follows   */
                           /*                                the access that made it                                    */
    NW_EV_TABLE_PAGE,      /* gpa; data (index, word)...     a page became a page-table page: its non-zero words as     */
                           /*                                pairs; all other words of the page are 0                   */
    NW_EV_PAGE_FAULT,      /* gva, error_code                the guest took #PF; follows the access that faulted        */
    NW_EV_VM_EXIT,         /* reason, tsc, info              reason as the processor numbers it: nw_trace_info.kvm_backend  */
                           /*                                "vmx": VMX basic exit reason, "svm": SVM exit code         */
    NW_EV_VM_ENTRY,        /* tsc                                                                                       */
    NW_EV_MMIO,            /* gpa, bytes, value, write                                                                  */
    NW_EV_PIO,             /* port, bytes, value, write                                                                 */
    NW_EV_DMA_MAP,         /* bdf, iova, gpa, bytes, rights                                                             */
    NW_EV_DMA_UNMAP,       /* bdf, iova, bytes                                                                          */
    NW_EV_DMA_ACCESS,      /* bdf, iova, bytes, write                                                                   */
    NW_EV_DMA_INVALIDATE,  /* bdf, iova, bytes, granularity                                                             */
    NW_EV_BALLOON_INFLATE, /* gpa, pages                                                                                */
    NW_EV_BALLOON_DEFLATE, /* gpa, pages                                                                                */
    NW_EV_PAGE_HASH,       /* gpa, hash                      xxh3-64 of the 4 KiB at gpa                                */
    NW_EV_MARKER,          /* type, id; data text            optional text, zero-padded to words (phases, ...)          */
    NW_EV_GUEST_WALK,      /* gva, error_code; data (level, entry)...  a guest walk that the hypervisor reported, root  */
                           /*                                first; level 0 is the leaf table                           */
    NW_EV_INVLPGA,         /* gva, asid                      AMD: invalidate one page of a guest                        */
    NW_EV_TLB_CONTROL,     /* value                          AMD: what VMRUN flushed, enum nw_tlb_control               */
    NW_EV_TIME,            /* ns                             when what follows happens; nanoseconds, never backwards    */
    NW_EV_IO_BEGIN,        /* bdf, kind, id, bytes, flow     the driver begins a packet or request, enum nw_io_kind     */
    NW_EV_IO_END,          /* bdf, id                        the device has completed it                                */
    NW_EV_PAGE_CONTENT,    /* gpa, hash, packed_bytes        page-hash, and how well it compresses: page_content.h      */
    NW_EV_KIND_END
};
/* clang-format on */
enum {
    NW_EVENT_ARGS_MAX = 5,
    NW_EVENT_DATA_WORDS_MAX = 4096, /* of one event */
};
/* APM vol. 2, "TLB Control"; 2, 4, 5 and 6 are reserved. */
enum nw_tlb_control {
    NW_TLB_CONTROL_NOTHING,
    NW_TLB_CONTROL_FLUSH_ALL,
    NW_TLB_CONTROL_FLUSH_GUEST = 3,
    NW_TLB_CONTROL_FLUSH_NON_GLOBAL = 7
};
enum nw_io_kind { NW_IO_RECEIVE, NW_IO_TRANSMIT, NW_IO_READ, NW_IO_WRITE };
enum nw_marker_type { NW_MARKER_ROI_BEGIN = 1, NW_MARKER_ROI_END, NW_MARKER_PHASE, NW_MARKER_USER };

struct nw_event {
    uint32_t at;
    uint16_t kind;
    uint16_t vcpu;
    uint64_t arg[NW_EVENT_ARGS_MAX];
    const uint64_t *data;
    uint32_t data_words;
};

/* What page-hash and page-content events say of a page of zeros. */
uint64_t nw_page_hash_of_zeros(void);

/* Names and arities, indexed by kind; name NULL marks a hole. Dumps, docs and the codec are made from it. */
struct nw_event_kind_info {
    const char *name; /* "table-write" */
    unsigned args;
    const char *arg_name[NW_EVENT_ARGS_MAX];
    const char *doc;
    struct {
        uint64_t first, last; /* what is allowed, inclusive; both 0: anything */
    } arg_range[NW_EVENT_ARGS_MAX];
    const char *data_name; /* "index,word"; NULL when the kind has no data */
    uint32_t data_step;    /* data come in groups of so many words */
    uint32_t data_max;     /* words at most */
};
extern const struct nw_event_kind_info nw_event_kind_table[NW_EV_KIND_END];

/* NW_ERR_INPUT, saying which field is not allowed, when an event's kind, arguments or data are not what the table says. */
enum nw_status nw_event_check(const struct nw_event *event, struct nw_error *err) NW_MUST_USE;

/* ---- touches ---- */
/* In nw_touch.kind: this is the upper page of an access that crosses. Without a touch of the same `at` before it, the lower
 * page's was dropped. */
enum { NW_TOUCH_UPPER = 0x100 };

struct nw_touch {
    uint64_t page; /* GVA >> 12 */
    uint32_t at;   /* which access of the block this is */
    uint32_t kind; /* its kind, size code included; NW_TOUCH_UPPER */
};

/* ---- a block ---- */
enum { NW_BLOCK_ACCESSES_MAX = 65536, NW_BLOCK_TOUCHES_MAX = 2 * NW_BLOCK_ACCESSES_MAX };

struct nw_block {
    uint64_t first_access; /* ordinal of the block's first access in the trace, 0-based */
    uint32_t access_count;
    uint32_t touch_count; /* 0 unless NW_WANT_TOUCHES */
    uint32_t event_count;
    uint16_t vcpu;
    bool end;                        /* the trace is over; nothing else is set */
    uint8_t kind_constant;           /* every access has this kind, when `kind` is NULL */
    bool crosses_page;               /* at least one access spans two pages: its touches come as two */
    uint32_t fetches, loads, stores; /* of the accesses */
    const uint64_t *address;         /* NULL unless NW_WANT_ADDRESSES */
    const uint8_t *kind;             /* NULL when constant */
    const struct nw_touch *touch;
    const struct nw_event *event;
};

static inline uint8_t nw_block_kind(const struct nw_block *b, uint32_t i)
{
    return b->kind ? b->kind[i] : b->kind_constant;
}

/* ---- what a trace says of itself ---- */
struct nw_table_page {
    uint64_t gpa; /* 4 KiB aligned */
    uint64_t word[512];
};

struct nw_vcpu_state { /* at the start of the trace */
    uint64_t cr0, cr3, cr4, efer;
    uint8_t cpl;
};

enum { NW_TRACE_TEXT = 192, NW_TRACE_VCPUS_MAX = 256 };

struct nw_trace_info {
    char origin[NW_TRACE_TEXT];    /* "capture", "import raw64", "generate zipf", ... */
    char workload[NW_TRACE_TEXT];  /* "btree size=64M", may be empty */
    char cpu_model[NW_TRACE_TEXT]; /* of the host that captured; empty when not captured */
    char kernel[NW_TRACE_TEXT];
    char kvm_backend[NW_TRACE_TEXT]; /* "pvm", "vmx", "svm"; empty when not captured */
    uint64_t seed;
    uint16_t vcpu_count;         /* at least 1 */
    uint8_t gva_bits;            /* 32, 48 or 57 */
    uint8_t gpa_bits;            /* MAXPHYADDR of the guest; 0 = unknown */
    uint64_t guest_memory_bytes; /* 0 = unknown */
    uint64_t instructions;       /* guest instructions that the accesses come from; 0 = unknown */
    bool has_tables;             /* guest control registers and page tables are known: the replay walks them */
    struct nw_vcpu_state vcpu[NW_TRACE_VCPUS_MAX]; /* the first vcpu_count count */
    struct nw_table_page *table;                   /* sorted by gpa; owned by whoever owns the info */
    uint32_t table_count;
};

void nw_trace_info_init(struct nw_trace_info *info); /* zero, vcpu_count 1, gva_bits 48 */
void nw_trace_info_fini(struct nw_trace_info *info);
enum nw_status nw_trace_info_copy(struct nw_trace_info *to, const struct nw_trace_info *from,
                                  struct nw_error *err) NW_MUST_USE;

/* ---- sources ---- */
enum nw_want { NW_WANT_ADDRESSES = 1, NW_WANT_TOUCHES = 2 };

struct nw_source {
    const struct nw_source_ops *ops;
    unsigned want; /* enum nw_want, set by the consumer before the first nw_source_next */
};
struct nw_source_ops {
    /* Fills *block with borrowed columns, valid until the next call. After the last block: end = true. */
    enum nw_status (*next)(struct nw_source *self, struct nw_block *block, struct nw_error *err);
    enum nw_status (*rewind)(struct nw_source *self, struct nw_error *err);
    const struct nw_trace_info *(*info)(const struct nw_source *self);
    uint64_t (*access_total)(const struct nw_source *self); /* 0 = not known */
    void (*destroy)(struct nw_source *self);
};

static inline NW_MUST_USE enum nw_status nw_source_next(struct nw_source *s, struct nw_block *b, struct nw_error *err)
{
    return s->ops->next(s, b, err);
}
static inline NW_MUST_USE enum nw_status nw_source_rewind(struct nw_source *s, struct nw_error *err)
{
    return s->ops->rewind(s, err);
}
static inline const struct nw_trace_info *nw_source_info(const struct nw_source *s) { return s->ops->info(s); }
static inline uint64_t nw_source_access_total(const struct nw_source *s) { return s->ops->access_total(s); }
static inline void nw_source_destroy(struct nw_source *s)
{
    if (s)
        s->ops->destroy(s);
}

/* Touches of accesses [start, access_count) of a block that has addresses, with the filter fresh at `start` and at each event.
 * `out` has room for 2 * (access_count - start), or for access_count - start when the block's crosses_page is false (which is
 * believed). Returns how many were written. Every source's touches equal this function's with start 0. */
uint32_t nw_touches_of(const struct nw_block *block, uint32_t start, struct nw_touch *out);

/* Whether an access of this kind at this address reaches into the next page. */
static inline bool nw_access_crosses(uint64_t gva, uint8_t kind)
{
    return (gva & (NW_PAGE_BYTES - 1)) + nw_kind_bytes(kind) > NW_PAGE_BYTES;
}

/* Page numbers have 52 bits. */
#define NW_PAGE_NUMBER_MASK ((UINT64_C(1) << 52) - 1)

#endif
