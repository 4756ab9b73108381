/* shadow_internal.h - the shadow pager's bookkeeping: which table mirrors what, and which leaves map a guest page.
 * Never leaves this folder. */
#ifndef NESTWALK_MMU_SHADOW_INTERNAL_H
#define NESTWALK_MMU_SHADOW_INTERNAL_H

#include <nestwalk/mmu/shadow.h>

enum { NONE = 0 }; /* index 0 of every pool is nobody */

/* Bits of a shadow entry: the x86 long-mode format. A is preset everywhere and D in writable leaves, so that the
 * processor never has to set one: D of the guest is tracked by write protection. G is never set: a flush of one address
 * space must reach every entry. */
#define SHADOW_P      NW_BIT(0)
#define SHADOW_W      NW_BIT(1)
#define SHADOW_U      NW_BIT(2)
#define SHADOW_A      NW_BIT(5)
#define SHADOW_D      NW_BIT(6)
#define SHADOW_LARGE  NW_BIT(7)
#define SHADOW_SWITCH NW_AGILE_SWITCH /* `link` of such an entry is a node, as a leaf's is */
#define SHADOW_NX     NW_BIT(63)
#define SHADOW_FRAME  UINT64_C(0x000ffffffffff000)

/* One shadow table page: 512 entries at `level` of a 4- or 5-level tree, covering GVAs from `base` on. */
struct shadow_page {
    bool used;
    uint8_t level, guest_level;
    uint8_t guest_log2; /* of the largest guest page that a leaf here or below was made from */
    bool mirrors;       /* it is made from the guest table below; false: no guest table corresponds */
    uint64_t hpa, base;
    uint64_t guest_table, guest_base; /* GPA of the guest's table, and the first GVA that it covers */
    uint32_t root, parent, parent_index;
    uint32_t next;      /* in the bucket of its guest table's PFN, or of the free list */
    uint64_t visited;   /* by the table write of this number */
    uint32_t link[512]; /* of a leaf: its node; of an entry that points to a table: that page */
};

/* "This leaf maps that guest page": one a leaf, found by guest page. */
struct leaf_node {
    uint64_t key; /* leaf_key() */
    uint32_t page, index, next, previous;
};

/* What agile paging knows of a guest table page. */
struct agile_table {
    uint64_t pfn;
    uint32_t writes; /* trapped ones in this interval */
    uint32_t next;   /* in its bucket */
    bool nested, written;
};

struct shadow_root {
    bool used, registered; /* registered: the guest's root table is known as shadowed */
    bool switched;         /* the guest's root table is nested: `page` is empty, and waits */
    struct nw_paging guest, paging;
    uint32_t page;
    uint64_t loaded; /* when: the number of the load */
};

struct nw_shadow {
    struct nw_shadow_config config;
    struct nw_shadow_counters counters;
    struct shadow_root root[NW_SHADOW_ROOTS];
    uint32_t current; /* index in root */
    bool loaded;
    uint64_t loads, writes;

    struct shadow_page **page; /* pool */
    uint32_t page_count, page_capacity, page_free;
    struct leaf_node *leaf; /* pool */
    uint32_t leaf_count, leaf_capacity, leaf_free;
    uint32_t *page_bucket, *leaf_bucket;
    struct agile_table *agile; /* from 1 on */
    uint32_t agile_count, agile_capacity;
    uint32_t *agile_bucket;
    uint32_t page_buckets, leaf_buckets, agile_buckets; /* powers of two */
};

/* ---- shadow_fill.c ------------------------------------------------------------------------------ */

/* One walk of the guest's tables in software, and what it read. */
struct software {
    struct nw_shadow *sh;
    bool unbacked; /* a table page has no host page: `missing` */
    gpa_t missing;
    uint64_t table[NW_LEVELS_MAX]; /* GPA of the guest table used at each level */
    uint64_t entry[NW_LEVELS_MAX]; /* as read there */
    bool used[NW_LEVELS_MAX];
};

/* As the processor would walk them: A and D are set. */
void shadow_guest_walk(struct software *s, const struct nw_paging *guest, gva_t gva, const struct nw_access *access,
                       struct nw_walk_result *out);
/* The four PDPTEs of a PAE guest. */
void shadow_guest_pdptes(struct software *s, uint64_t root, uint64_t pdpte[4]);

/* Makes the leaf for `gva`, which the guest's walk granted, with the tables on the way to it. */
enum nw_status shadow_fill(struct nw_shadow *sh, uint64_t gva, const struct nw_access *access,
                           struct software *software, const struct nw_walk_result *walk,
                           const struct nw_shadow_backing *backing, struct nw_shadow_outcome *out,
                           struct nw_error *err) NW_MUST_USE;
/* Brings one entry in step with the guest's tables as they are now: its leaf is made again when the processor may use
 * that without a fault, else the entry is removed. *made: a leaf is there that was not, or was another. */
enum nw_status shadow_refresh(struct nw_shadow *sh, uint32_t page, uint32_t index, struct nw_shadow_invalidation *inv,
                              bool *made, struct nw_error *err) NW_MUST_USE;
bool shadow_leaf_exists(const struct nw_shadow *sh, uint64_t gva);
/* Walks the guest's tables without setting anything. */
void shadow_guest_probe(struct software *s, const struct nw_paging *guest, uint64_t gva, struct nw_walk_result *out);
/* No entry that this walk read at `level` or above lacks its A. */
bool shadow_guest_accessed(const struct software *s, const struct nw_paging *guest, unsigned level);

/* ---- shadow_agile.c ----------------------------------------------------------------------------- */

/* The guest's table that this walk used at `level` is nested: its switching entry is put at `index` of shadow table
 * `page` (NONE: it is the root of the current space), or, when it cannot be, the table goes back to shadow. */
enum nw_status shadow_agile_enter(struct nw_shadow *sh, const struct software *software, unsigned level, uint32_t page,
                                  uint32_t index, bool *switched, struct nw_shadow_invalidation *inv,
                                  struct nw_error *err) NW_MUST_USE;
/* The guest wrote this page; inv->trapped is set. It may change to nested. */
enum nw_status shadow_agile_written(struct nw_shadow *sh, uint64_t pfn, struct nw_shadow_invalidation *inv,
                                    struct nw_error *err) NW_MUST_USE;
/* A new root may begin nested. */
enum nw_status shadow_agile_start(struct nw_shadow *sh, uint32_t root, struct nw_error *err) NW_MUST_USE;
/* The page has another host page now: nothing may lead to the old one. */
void shadow_agile_unmap(struct nw_shadow *sh, uint64_t pfn, struct nw_shadow_invalidation *inv);

/* ---- shadow_pages.c ----------------------------------------------------------------------------- */

static inline uint64_t leaf_key(gpa_t gpa, unsigned page_log2) { return (gpa.v >> page_log2) << 6 | page_log2; }
static inline uint64_t switch_key(uint64_t pfn)
{
    return pfn << 6 | 1;
} /* of a switching entry: no leaf has this key */
static inline uint64_t page_bytes_log2(unsigned level)
{
    return 12 + 9 * (level + 1u);
} /* covered by a table at `level` */
static inline unsigned entry_log2(unsigned level) { return 12 + 9 * level; }
static inline uint32_t shadow_index(uint64_t gva, unsigned level) { return (uint32_t)(gva >> entry_log2(level) & 511); }
/* Present, and points to no shadow table: a leaf or a switching entry. */
bool shadow_is_leaf(const struct nw_shadow *sh, uint32_t page, uint64_t entry);

uint64_t shadow_read(const struct nw_shadow *sh, uint32_t page, uint32_t index);
enum nw_status shadow_write(struct nw_shadow *sh, uint32_t page, uint32_t index, uint64_t entry, struct nw_error *err);

enum nw_status shadow_page_new(struct nw_shadow *sh, uint32_t *out, struct nw_error *err) NW_MUST_USE;
enum nw_status shadow_page_mirror(struct nw_shadow *sh, uint32_t page,
                                  struct nw_error *err) NW_MUST_USE; /* enters it in its bucket */
void shadow_page_unmirror(struct nw_shadow *sh, uint32_t page);      /* and out of it */
void shadow_page_free(struct nw_shadow *sh, uint32_t page);          /* with all below it */
uint32_t shadow_page_of(const struct nw_shadow *sh, uint64_t guest_pfn,
                        uint32_t after); /* next page that mirrors it; NONE */

enum nw_status shadow_leaf_enter(struct nw_shadow *sh, uint32_t page, uint32_t index, uint64_t key,
                                 struct nw_error *err) NW_MUST_USE;
void shadow_leaf_leave(struct nw_shadow *sh, uint32_t page, uint32_t index);
uint32_t shadow_leaf_of(const struct nw_shadow *sh, uint64_t key, uint32_t after);

/* Removes an entry, with what is below it, and widens *inv by the GVAs it translated. */
void shadow_zap(struct nw_shadow *sh, uint32_t page, uint32_t index, struct nw_shadow_invalidation *inv);
void shadow_root_drop(struct nw_shadow *sh, uint32_t root);
void shadow_invalidation_add(struct nw_shadow_invalidation *inv, const struct nw_paging *guest, uint64_t base,
                             unsigned log2);
/* Makes room for `members` in a hash. Bigger buckets are empty ones: the caller enters all members again. */
enum nw_status shadow_buckets_grow(uint32_t **bucket, uint32_t *buckets, uint64_t members,
                                   struct nw_error *err) NW_MUST_USE;
static inline uint32_t bucket_of(uint64_t key, uint32_t buckets) { return (uint32_t)nw_mix64(key) & (buckets - 1); }
void shadow_pools_fini(struct nw_shadow *sh);

#endif
