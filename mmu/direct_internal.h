/* direct_internal.h - what the files of the direct-paging hypervisor share. Never leaves this folder. */
#ifndef NESTWALK_MMU_DIRECT_INTERNAL_H
#define NESTWALK_MMU_DIRECT_INTERNAL_H

#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/direct.h>

#define PTE_PRESENT  NW_BIT(0)
#define PTE_WRITE    NW_BIT(1)
#define PTE_USER     NW_BIT(2)
#define PTE_PWT      NW_BIT(3)
#define PTE_PCD      NW_BIT(4)
#define PTE_ACCESSED NW_BIT(5)
#define PTE_DIRTY    NW_BIT(6)
#define PTE_PSE      NW_BIT(7) /* L2: it maps 2 MiB */
#define PTE_PAT      NW_BIT(7) /* L1 */
#define PTE_GLOBAL   NW_BIT(8)
#define PTE_SOFTWARE UINT64_C(0x7ff0000000000e00)
#define PTE_NX       NW_BIT(63)
#define PTE_FRAME    UINT64_C(0x000ffffffffff000)
/* What may change without a check (mm.c, "FASTPATH_FLAG_WHITELIST"). */
#define PTE_FREE (PTE_NX | PTE_SOFTWARE | PTE_GLOBAL | PTE_DIRTY | PTE_ACCESSED | PTE_USER)

/* A refusal that is our own failure: becomes NW_ERR_NOMEM. It unwinds like any other. */
#define OUT_OF_MEMORY ((enum nw_direct_refusal)NW_DIRECT_REFUSALS)

/* Names one leaf entry: number of its table << 9 | index. 0: none. */
typedef uint32_t leaf_id;
enum { TABLES_MAX = 1 << 23 };

struct frame {
    uint32_t types, references;
    leaf_id first;  /* of the L1 entries that map it writable */
    uint32_t table; /* number, while it is one */
    uint64_t gpfn;  /* complement, so that 0 is "not set" */
    uint32_t stamp; /* the flush clock when its type count fell to 0 */
    int16_t linear; /* > 0: linear entries it has to other tables; < 0: uses of it by such (mm.c, linear_pt_count) */
    uint8_t type;   /* enum nw_direct_type; stays when `types` falls to 0 */
    bool pinned    : 1; /* one reference and one type count are the pin's */
    bool validated : 1;
};

/* 2 MiB of frames: what a superpage maps. */
struct group {
    struct frame frame[NW_WORDS_PER_PAGE];
    leaf_id first; /* of the L2 entries that map all of it writable */
};

struct table {
    uint64_t *word; /* in simulated memory */
    uint64_t mfn;
    struct frame *frame;
    uint32_t number; /* in the pool, from 1 */
    uint32_t next_free;
    enum nw_direct_type type;
    struct link {
        leaf_id next, previous;
    } * link; /* one an entry; made when the first writable leaf comes */
};

enum { TOP_LOG2 = 13, MID_LOG2 = 18 }; /* + 9 bits of a group: 40 bits of MFN */

struct nw_direct {
    struct nw_direct_config config;
    struct nw_direct_counters stat;
    uint64_t frames;                      /* MFNs from here on do not exist */
    uint64_t disallowed[NW_DIRECT_TYPES]; /* bits of an entry, by the type of its table */
    uint64_t base, user_base;
    uint32_t flush_clock;
    struct nw_direct_outcome fault; /* of the request at hand; refusal is OK until a site filled it */
    struct table **pool;            /* by number */
    uint32_t pool_count, pool_capacity, free_table;
    struct group **top[1 << TOP_LOG2];
};

static inline bool slot_is_xen(enum nw_direct_type t, unsigned index)
{
    return t == NW_DIRECT_L4 && index >= NW_DIRECT_FIRST_XEN_SLOT && index <= NW_DIRECT_LAST_XEN_SLOT;
}
static inline bool entry_is_leaf(enum nw_direct_type t, uint64_t e)
{
    return t == NW_DIRECT_L1 || (t == NW_DIRECT_L2 && (e & PTE_PSE));
}
static inline uint64_t entry_mfn(uint64_t e) { return (e & PTE_FRAME) >> NW_PAGE_LOG2; }
static inline bool frame_is_table(const struct frame *f)
{
    return f->types && nw_direct_type_is_table((enum nw_direct_type)f->type);
}

/* direct_frames.c */
struct group *direct_group_find(const struct nw_direct *d, uint64_t mfn); /* NULL: nothing near it was ever used */
struct group *direct_group_make(struct nw_direct *d, uint64_t mfn);       /* NULL: no memory */
static inline struct frame *direct_frame_find(const struct nw_direct *d, uint64_t mfn)
{
    struct group *g = direct_group_find(d, mfn);
    return g ? &g->frame[mfn % NW_WORDS_PER_PAGE] : NULL;
}
static inline bool direct_owned(const struct nw_direct *d, uint64_t mfn)
{
    return mfn < d->frames && (!d->config.owns || d->config.owns(d->config.context, mfn));
}
static inline struct table *direct_table_of(const struct nw_direct *d, const struct frame *f)
{
    return d->pool[f->table];
}
struct table *direct_table_make(struct nw_direct *d, struct frame *f, uint64_t mfn, enum nw_direct_type type);
void direct_table_free(struct nw_direct *d, struct table *t);
bool direct_links_make(struct table *t); /* false: no memory */
void direct_link_add(struct nw_direct *d, struct table *t, unsigned index, uint64_t entry);
void direct_link_remove(struct nw_direct *d, struct table *t, unsigned index, uint64_t entry);
void direct_frames_free(struct nw_direct *d);

/* direct_types.c: references and types */
enum nw_direct_refusal direct_reference_get(struct nw_direct *d, uint64_t mfn, struct frame **out);
enum nw_direct_refusal direct_type_get(struct nw_direct *d, struct frame *f, uint64_t mfn, enum nw_direct_type type);
void direct_type_put(struct nw_direct *d, struct frame *f);
enum nw_direct_refusal direct_use(struct nw_direct *d, uint64_t mfn, enum nw_direct_type type, struct frame **out);
void direct_unuse(struct nw_direct *d, struct frame *f); /* the type and the reference */

/* direct_entries.c */
enum nw_direct_refusal direct_promote(struct nw_direct *d, struct frame *f, uint64_t mfn, enum nw_direct_type type);
void direct_demote(struct nw_direct *d, struct frame *f);
enum nw_direct_refusal direct_entry_write(struct nw_direct *d, struct table *t, unsigned index, uint64_t value,
                                          bool preserve_ad);
enum nw_direct_refusal direct_refuse(struct nw_direct *d, enum nw_direct_refusal why, const struct table *t,
                                     unsigned index, uint64_t value, uint64_t mfn); /* the first to call is kept */

/* direct.c */
void direct_flush(struct nw_direct *d);

#endif
