/* builder.h - makes and changes page tables in simulated memory, in every format.
 *
 *     struct nw_builder b;
 *     s = nw_builder_init(&b, pm, &paging, &memory, err);              // paging.root NW_ROOT_NEW: makes the root table
 *     s = nw_builder_map(&b, gva, gpa, 21, NW_MAP_RW | NW_MAP_USER, err); // one 2 MiB page
 *     cr3 = b.paging.root
 *
 * Tables live at addresses of the space that the tree itself names (GPA for a guest's own tree, HPA for EPT or
 * NPT). `allocate` gives a table's address in that space; `locate`, when there is one, translates it to the HPA
 * where its words are (a guest's tables inside a nested machine). Entries of tables get every permission; leaves
 * decide. */
#ifndef NESTWALK_MMU_BUILDER_H
#define NESTWALK_MMU_BUILDER_H

#include <nestwalk/base/physmem.h>
#include <nestwalk/mmu/format.h>

/* Attributes of a mapping, independent of format. A format without a bit ignores it. */
enum nw_map {
    NW_MAP_READ = 1,
    NW_MAP_WRITE = 2,
    NW_MAP_EXECUTE = 4,
    NW_MAP_USER = 8,
    NW_MAP_GLOBAL = 16,
    NW_MAP_ACCESSED = 32, /* A preset, in the leaf and in the tables made on the way to it */
    NW_MAP_DIRTY = 64,
    NW_MAP_EXECUTE_USER = 128, /* EPT with mode-based execute control */
    NW_MAP_RW = NW_MAP_READ | NW_MAP_WRITE,
    NW_MAP_RWX = NW_MAP_RW | NW_MAP_EXECUTE,
    NW_MAP_ALL = NW_MAP_RWX | NW_MAP_USER | NW_MAP_EXECUTE_USER,
};

struct nw_builder_memory {
    /* Gives a zeroed 4 KiB frame for a table, as an address in the tree's own space. NULL: no table can be made. */
    enum nw_status (*allocate)(void *context, uint64_t *address, struct nw_error *err);
    void (*release)(void *context, uint64_t address); /* takes a frame back; NULL: emptied tables are kept */
    /* HPA of a table at this address, for writing it; NULL: the address is the HPA. */
    enum nw_status (*locate)(void *context, uint64_t address, hpa_t *out, struct nw_error *err);
    /* Told after each change of an entry: what a watcher of table writes sees; NULL allowed. `hpa` is 8-byte aligned.
     */
    void (*written)(void *context, uint64_t address, hpa_t hpa, uint64_t old, uint64_t word);
    void *context;
    bool locate_is_stable; /* a table that was located once stays where it is, and locating it again has no effect */
};

/* The way to the table of leaves that was mapped in last; mapping and looking up near it begin there, after its entries were found to be what
 * they were. */
struct nw_builder_way {
    uint64_t key; /* address >> log2 of what the table covers, plus 1; 0: none */
    uint64_t table, entry[NW_LEVELS_MAX], entry_address[NW_LEVELS_MAX];
    hpa_t table_hpa, entry_hpa[NW_LEVELS_MAX];
};

struct nw_builder {
    struct nw_physmem *pm;
    struct nw_paging paging; /* paging.root is the root made or given */
    struct nw_builder_memory memory;
    uint64_t table_pages;   /* in use, with the root */
    bool free_empty_tables; /* unmap gives empty tables back (needs memory.release) */
    struct nw_builder_way way;
    uint64_t leaf_extra; /* set in every leaf made: memory type of EPT (default write-back), a software bit */
};

/* With root UINT64_MAX in `paging`, allocates a root table; else takes that one over as it is. For PAE with
 * root_in_registers the root is the page of PDPTEs all the same, and nw_builder_pdptes() gives what to load. */
enum nw_status nw_builder_init(struct nw_builder *b, struct nw_physmem *pm, const struct nw_paging *paging,
                               const struct nw_builder_memory *memory, struct nw_error *err) NW_MUST_USE;
#define NW_ROOT_NEW UINT64_MAX

/* A builder.memory whose frames come from `frames` (tree's own space = frame space), without `locate`. */
struct nw_builder_memory nw_builder_memory_frames(struct nw_frames *frames);

/* Maps one page of 2^page_log2 bytes. Replaces a leaf of the same size; NW_ERR_INPUT when the addresses are not aligned
 * to it, the format has no such pages, an address is too wide, a larger page is in the way (split it first) or a table
 * of smaller ones. */
enum nw_status nw_builder_map(struct nw_builder *b, uint64_t address, uint64_t target, unsigned page_log2,
                              unsigned attributes, struct nw_error *err) NW_MUST_USE;
/* Maps [address, address + bytes) with the largest pages that alignment and `max_page_log2` allow. */
enum nw_status nw_builder_map_range(struct nw_builder *b, uint64_t address, uint64_t target, uint64_t bytes,
                                    unsigned max_page_log2, unsigned attributes, struct nw_error *err) NW_MUST_USE;

/* What a software walk finds; it has no side effects. */
struct nw_leaf {
    bool present; /* false: level, entry, hpa are those of the entry that is not present */
    uint8_t level;
    uint8_t page_log2;
    uint64_t entry;
    uint64_t entry_address; /* in the tree's own space */
    hpa_t entry_hpa;
    uint64_t target; /* address of the byte asked for, when present */
};
enum nw_status nw_builder_lookup(const struct nw_builder *b, uint64_t address, struct nw_leaf *out,
                                 struct nw_error *err) NW_MUST_USE;

/* These act on the leaf that covers `address`, whatever its size; NW_ERR_INPUT when there is none. */
enum nw_status nw_builder_unmap(struct nw_builder *b, uint64_t address, struct nw_error *err) NW_MUST_USE;
/* New permissions; A and D stay as they are unless named in `attributes`. */
enum nw_status nw_builder_protect(struct nw_builder *b, uint64_t address, unsigned attributes,
                                  struct nw_error *err) NW_MUST_USE;
/* Replaces a large leaf by a table of the next smaller ones with the same rights, A and D. */
enum nw_status nw_builder_split(struct nw_builder *b, uint64_t address, struct nw_error *err) NW_MUST_USE;
/* Replaces the table under `address` whose leaves have size 2^page_log2 by one leaf of the next larger size. *merged
 * false: they are not all present, contiguous, aligned and of equal rights. A and D of the large leaf are the union. */
enum nw_status nw_builder_merge(struct nw_builder *b, uint64_t address, unsigned page_log2, bool *merged,
                                struct nw_error *err) NW_MUST_USE;

/* The PDPTE registers of a PAE tree. */
enum nw_status nw_builder_pdptes(const struct nw_builder *b, uint64_t pdpte[4], struct nw_error *err) NW_MUST_USE;

/* Calls `visit` for every present entry, depth first; false from it stops. */
enum nw_status nw_builder_visit(const struct nw_builder *b,
                                bool (*visit)(void *context, const struct nw_leaf *entry, bool leaf,
                                              uint64_t first_address),
                                void *context, struct nw_error *err) NW_MUST_USE;

/* The bits of a leaf entry with these attributes, without its address. */
uint64_t nw_leaf_bits(const struct nw_paging *p, unsigned level, unsigned attributes);
/* Attributes of a leaf entry. */
unsigned nw_leaf_attributes(const struct nw_paging *p, uint64_t entry);

#endif
