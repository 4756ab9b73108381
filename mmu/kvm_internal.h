/* kvm_internal.h - what the files of the KVM shadow MMU share. Never leaves this folder. */
#ifndef NESTWALK_MMU_KVM_INTERNAL_H
#define NESTWALK_MMU_KVM_INTERNAL_H

#include <nestwalk/mmu/kvm_shadow.h>
#include <string.h>

/* ---- shadow entries ----------------------------------------------------------------------------------------- */

#define SPTE_PRESENT       NW_BIT(0)
#define SPTE_WRITE         NW_BIT(1)
#define SPTE_USER          NW_BIT(2)
#define SPTE_ACCESSED      NW_BIT(5)
#define SPTE_DIRTY         NW_BIT(6)
#define SPTE_LARGE         NW_BIT(7)
#define SPTE_HOST_WRITABLE NW_BIT(9)
#define SPTE_MMU_WRITABLE  NW_BIT(10)
#define SPTE_MMU_PRESENT   NW_BIT(11)
#define SPTE_MMIO          NW_BIT(51) /* reserved for the processor: it faults with RSVD */
#define SPTE_NX            NW_BIT(63)
#define SPTE_FRAME         UINT64_C(0x0000fffffffff000)

enum access { ACC_EXEC = 1, ACC_WRITE = 2, ACC_USER = 4, ACC_ALL = 7 };

static inline bool spte_present(uint64_t e) { return e & SPTE_MMU_PRESENT; }
static inline bool spte_mmio(uint64_t e) { return (e & (SPTE_MMIO | SPTE_MMU_PRESENT)) == SPTE_MMIO; }
static inline bool spte_leaf(uint64_t e, unsigned level) { return !level || (e & SPTE_LARGE); }

/* ---- shadow pages ------------------------------------------------------------------------------------------- */

/* The role, packed so that two compare in one step. */
struct role {
    uint8_t level;
    uint8_t access; /* set of enum access */
    bool direct, invalid;
    uint8_t mode; /* paging mode bits of the guest that change what its entries mean: enum role_mode */
};
enum role_mode { MODE_WP = 1, MODE_NX = 2, MODE_SMEP_AND_NOT_WP = 4, MODE_SMAP_AND_NOT_WP = 8, MODE_5LEVEL = 16 };

/* Names one shadow entry: frame number of its page in the pool << 9 | index. 0: none. */
typedef uint32_t spte_id;

struct page {
    uint64_t gfn, hpa;
    struct role role;
    uint32_t number; /* in the pool, from 1 */
    uint32_t root_count;
    unsigned flood;
    bool unsync;
    unsigned unsync_children; /* bits set in the map */
    uint64_t unsync_map[NW_WORDS_PER_PAGE / 64];
    spte_id parents;            /* first of the entries that point to this page */
    struct page *older, *newer; /* active list, in order of creation */
    struct page *hash_next;
    struct page *invalid_next;
    uint64_t *spte;                       /* NW_WORDS_PER_PAGE words in simulated memory */
    uint64_t shadowed[NW_WORDS_PER_PAGE]; /* of a leaf: gfn << 3 | access that the guest's entry gave */
    struct {
        spte_id next, previous;
    } link[NW_WORDS_PER_PAGE]; /* of a leaf: others that map its frame; of a table entry: others with the same child */
};

enum { HOST_RESIDENT = 1, HOST_WRITABLE = 2, HOST_PROTECTED = 4, HOST_SPLIT = 8, LOG_DIRTY = 16 };
enum { LEAF_LEVELS = 3 };

struct rmap {
    spte_id first;
    uint32_t count;
};
struct slot {
    struct nw_kvm_slot as;
    struct slot *next;
    uint8_t *host;                   /* one a page */
    uint16_t *tracked;               /* shadow pages above level 0, one a page */
    uint32_t *no_large[LEAF_LEVELS]; /* reasons against a large page there; [0] unused */
    struct rmap *rmap[LEAF_LEVELS];
    uint64_t entries[LEAF_LEVELS];
};

struct root {
    struct page *page; /* NULL: none; or `dummy` */
    uint64_t pgd;
    bool dummy; /* CR3 points to no memory: every access faults */
};

enum request { REQ_OBSOLETE_ROOTS = 1, REQ_SYNC = 2, REQ_FLUSH_ALL = 4, REQ_FLUSH_CURRENT = 8, REQ_FLUSH_GUEST = 16 };

enum { HASH_LOG2 = 12, SPARE_PAGES = 8 };

struct nw_kvm {
    struct nw_kvm_config config;
    struct nw_kvm_counters stat;
    struct slot *slot;
    struct nw_guest_registers registers;
    struct nw_paging guest, shadow;
    struct role root_role;
    bool started;
    struct root root, previous[NW_KVM_PREVIOUS_ROOTS];
    uint64_t dummy_hpa; /* an empty table */
    unsigned requests;  /* set of enum request */
    uint64_t max_pages, indirect_pages, guest_pages;
    uint64_t notifications; /* of host changes: a fault that meets one starts again */

    struct page **pool; /* by number; spare ones too */
    uint32_t pool_count, pool_capacity;
    struct page *spare;
    uint32_t spares;
    struct page *oldest, *newest;
    struct page *hash[1 << HASH_LOG2];
    struct page *invalid; /* prepared, to be committed; newest first */

    struct {
        bool valid;
        uint64_t gva, gfn;
        unsigned access;
    } mmio; /* the last page without memory */
    struct {
        bool valid;
        uint64_t rip, gva;
    } retry; /* the last instruction for which shadow pages were given up */
};

static inline spte_id id_of(const struct page *p, unsigned index) { return p->number << 9 | index; }
static inline struct page *page_of(const struct nw_kvm *k, spte_id id) { return k->pool[id >> 9]; }
static inline unsigned index_of(spte_id id) { return id & 511; }
static inline struct page *child_of(const struct nw_kvm *k, uint64_t entry)
{
    return k->pool[((entry & SPTE_FRAME) - k->config.shadow_hpa) >> NW_PAGE_LOG2];
}
static inline uint64_t leaf_gfn(const struct page *p, unsigned index)
{
    return p->role.direct ? p->gfn + ((uint64_t)index << (9 * p->role.level)) : p->shadowed[index] >> 3;
}
static inline unsigned leaf_access(const struct page *p, unsigned index)
{
    return p->role.direct ? p->role.access : p->shadowed[index] & 7;
}
static inline void leaf_remember(struct page *p, unsigned index, uint64_t gfn, unsigned access)
{
    p->shadowed[index] = gfn << 3 | access;
}
static inline bool role_equal(struct role a, struct role b)
{
    return a.level == b.level && a.access == b.access && a.direct == b.direct && a.invalid == b.invalid &&
           a.mode == b.mode;
}
static inline unsigned hash_of(uint64_t gfn)
{
    return (unsigned)((gfn * UINT64_C(0x61c8864680b583eb)) >> (64 - HASH_LOG2));
}

/* Next valid page for `gfn` after `p` (NULL: the first), newest first. */
struct page *kvm_page_next(const struct nw_kvm *k, uint64_t gfn, const struct page *p);
struct page *kvm_table_next(const struct nw_kvm *k, uint64_t gfn, const struct page *p); /* ... not direct */

static inline void flush_request(struct nw_kvm *k)
{
    k->stat.remote_tlb_flush_requests++;
    k->requests |= REQ_FLUSH_ALL;
}

/* kvm_events.c */
void event_walk(struct nw_kvm *k, uint64_t gva, unsigned code);
void event_table_bit(struct nw_kvm *k, char letter, uint64_t gpa); /* A, D */
void event_page(struct nw_kvm *k, char letter, const struct page *p, const char *suffix);
void event_requested(struct nw_kvm *k, uint64_t gfn, unsigned level);
void event_spte(struct nw_kvm *k, uint64_t gfn, unsigned level, uint64_t spte);

/* kvm_pages.c: pool, hash, active list, links */
enum nw_status kvm_topup(struct nw_kvm *k, struct nw_error *err) NW_MUST_USE; /* spare pages for one fault or load */
struct page *kvm_page_new(struct nw_kvm *k, uint64_t gfn, struct role role);
struct page *kvm_page_get(struct nw_kvm *k, uint64_t gfn, struct role role); /* find or make */
struct page *kvm_child_get(struct nw_kvm *k, struct page *parent, unsigned index, uint64_t gfn, bool direct,
                           unsigned access); /* NULL: the entry has a child */
void kvm_page_link(struct nw_kvm *k, struct page *parent, unsigned index, struct page *child);
void kvm_page_free(struct nw_kvm *k, struct page *p);
void kvm_link_drop(struct nw_kvm *k, struct page *parent, unsigned index); /* a table entry; the child survives */
void kvm_links_remove(struct nw_kvm *k, spte_id *first, struct page *p, unsigned index);
void kvm_links_add(struct nw_kvm *k, spte_id *first, struct page *p, unsigned index);

/* kvm_unsync.c: unsync marks and syncing */
void kvm_mark_unsync(struct nw_kvm *k, struct page *parent, unsigned index);
bool kvm_try_unsync(struct nw_kvm *k, uint64_t gfn, bool synchronizing, bool prefetch); /* true: may be written */
void kvm_unlink_unsync(struct nw_kvm *k, struct page *p);
int kvm_sync_page(struct nw_kvm *k, struct page *p); /* -1: zapped; else whether to flush */
void kvm_sync_children(struct nw_kvm *k, struct page *parent);
void kvm_zap_unsync_children(struct nw_kvm *k, struct page *parent);
bool kvm_root_is_unsync(const struct root *r);
void kvm_sync_root(struct nw_kvm *k);
void kvm_invalidate_address(struct nw_kvm *k, const struct root *r, uint64_t gva);

/* kvm_spte.c: leaves */
bool kvm_spte_update(struct page *p, unsigned index, uint64_t spte); /* true: flush */
void kvm_leaf_drop(struct nw_kvm *k, struct page *p, unsigned index);
void kvm_entry_zap(struct nw_kvm *k, struct page *p, unsigned index);
bool kvm_spte_make(struct nw_kvm *k, const struct page *p, unsigned access, uint64_t gfn, uint64_t old, bool prefetch,
                   bool synchronizing, bool host_writable, uint64_t *out); /* true: had to be write-protected */
void kvm_mmio_mark(struct page *p, unsigned index, uint64_t gfn, unsigned access);
struct set {
    bool prefetch, write, host_writable;
};
enum set_result { SET_FIXED, SET_SPURIOUS, SET_WRITE_PROTECTED };
enum set_result kvm_spte_set(struct nw_kvm *k, struct page *p, unsigned index, unsigned access, uint64_t gfn,
                             struct set how);
bool kvm_write_protect_gfn(struct nw_kvm *k, uint64_t gfn);
void kvm_prefetch(struct nw_kvm *k, struct page *p, unsigned index, const uint64_t *guest_entry);
bool kvm_prefetch_invalid(const struct nw_kvm *k, uint64_t entry);

/* kvm_zap.c */
void kvm_prepare_zap(struct nw_kvm *k, struct page *p);
void kvm_commit_zap(struct nw_kvm *k);
void kvm_flush_or_zap(struct nw_kvm *k, bool flush);
void kvm_make_room(struct nw_kvm *k);
void kvm_zap_oldest(struct nw_kvm *k, uint64_t count);
void kvm_zap_all(struct nw_kvm *k);

/* kvm_walk.c: the guest's tables */
struct guest_walk {
    unsigned level;  /* of the leaf */
    uint64_t gfn;    /* of the page accessed */
    unsigned access; /* set of enum access: what the shadow leaf may get */
    uint64_t table_gfn[NW_LEVELS_MAX], entry_gpa[NW_LEVELS_MAX], entry[NW_LEVELS_MAX];
    unsigned table_access[NW_LEVELS_MAX]; /* granted by the entries above the table */
    uint64_t group[NW_KVM_PREFETCH];      /* level-0 entries around the leaf, when last compared */
    struct nw_fault fault;
};
bool kvm_guest_walk(struct nw_kvm *k, uint64_t gva, unsigned code, struct guest_walk *w);
bool kvm_guest_entry_changed(struct nw_kvm *k, struct guest_walk *w, unsigned level);
unsigned kvm_entry_access(const struct nw_kvm *k, uint64_t entry); /* of one entry: set of enum access */
unsigned kvm_clean_access(unsigned access, uint64_t entry);        /* without ACC_WRITE when D is clear */
void kvm_inject_fault(struct nw_kvm *k, const struct nw_fault *fault);

/* kvm_host.c: slots and host pages */
struct slot *kvm_slot_find(const struct nw_kvm *k, uint64_t gfn);
void kvm_slots_free(struct nw_kvm *k);
struct rmap *kvm_rmap(const struct nw_kvm *k, uint64_t gfn, unsigned level);
bool kvm_host_fault_in(struct nw_kvm *k, struct slot *s, uint64_t gfn, bool write); /* true: may be written */
bool kvm_host_ready(const struct slot *s, uint64_t gfn);                            /* resident and writable */
bool kvm_guest_read(struct nw_kvm *k, uint64_t gpa, unsigned bytes,
                    uint64_t *out); /* within a page; false: no memory */
bool kvm_guest_write(struct nw_kvm *k, uint64_t gpa, unsigned bytes, uint64_t value);
bool kvm_tracked(const struct nw_kvm *k, uint64_t gfn);
void kvm_account_table(struct nw_kvm *k, const struct page *p, bool add);
void kvm_mark_dirty(struct nw_kvm *k, uint64_t gfn);
unsigned kvm_mapping_level(const struct nw_kvm *k, uint64_t gfn, unsigned most);
uint64_t kvm_gfn_hpa(const struct nw_kvm *k, uint64_t gfn);

/* kvm_roots.c */
void kvm_roots_free(struct nw_kvm *k, bool current, unsigned previous);
static inline void mmio_forget(struct nw_kvm *k) { k->mmio.valid = false; }

#endif
