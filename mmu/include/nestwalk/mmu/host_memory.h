/* host_memory.h - what backs each page of several guests on one host, a page at a time: the one door through which ballooning, host swapping and page
 * sharing change it.
 *
 *     struct nw_hostmem *h;
 *     s = nw_hostmem_create(&h, &(struct nw_hostmem_config){ .frames = 1 << 20, .slots = 1 << 20, .guests = 2 }, err);
 *     uint32_t page;
 *     s = nw_hostmem_page(h, guest, gpn, &page, err);         // its second-stage tables exist now
 *     nw_hostmem_back(h, page);                               // a zeroed frame
 *     nw_hostmem_store(h, page, content);
 *     nw_hostmem_swap_out(h, nw_hostmem_at(h, page)->place);  // to a slot of the host's swap area
 *     nw_hostmem_swap_in(h, page);
 *     ... if (!nw_hostmem_intact(h, page)) it has been lost ...
 *     nw_hostmem_destroy(h);
 *
 * Terms. A *page* is 4 KiB of a guest's physical memory, a *frame* 4 KiB of the host's, a *slot* 4 KiB of its swap area, a *block* 4 KiB of the image
 * behind a guest's disk. Pages are numbered across guests in the order in which groups of 512 (one leaf table) are first needed.
 *
 * Conservation. Each frame is exactly one of free, backing one guest page, shared (with a count of users), a table (or other memory of the host's
 * own), or pinned. nw_hostmem_check() proves it. Builds with assertions compare the counts at every
 * step and prove all of it each time that as many steps have gone by as there are frames, pages and slots; they end with what is wrong.
 *
 * Content. What is in a page is one 64-bit number, 0 for zeros; equal numbers are equal contents. A page's own `content` is what the guest wrote last;
 * frame, slot and block keep what they hold. nw_hostmem_intact() compares: a page that was lost, swapped for another or merged with an unequal one is found out when
 * it is read.
 *
 * Large backing. A group whose 512 pages all have frames of their own counts as one that a 2 MiB mapping can back; when one of them is taken, shared or given
 * back, it is lost. MODEL: that frames can be had in one piece is taken for granted, so this is the most that any host gets.
 *
 * Not modelled: contiguity of frames; the bits of the tables (only how many there are: `table` and `remapped` are for those who keep them).
 *
 * A function that needs a free frame or slot says so, and the caller sees to it: h->kind[NW_FRAME_FREE], h->free_slots. */
#ifndef NESTWALK_MMU_HOST_MEMORY_H
#define NESTWALK_MMU_HOST_MEMORY_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stdint.h>

enum nw_frame_kind {
    NW_FRAME_FREE,
    NW_FRAME_GUEST,  /* backs one page */
    NW_FRAME_SHARED, /* read-only behind `users` pages, 1 or more */
    NW_FRAME_TABLE,  /* second-stage tables, and other memory of the host's own */
    NW_FRAME_PINNED, /* backs one page and stays: a device may write to it */
    NW_FRAME_KINDS
};
extern const char *const nw_frame_kind_name[NW_FRAME_KINDS];

enum nw_backing {
    NW_BACKING_NONE, /* reads as zeros */
    NW_BACKING_FRAME,
    NW_BACKING_SLOT,
    NW_BACKING_BLOCK /* its content is that of a block of the guest's disk image */
};

#define NW_NONE32 UINT32_MAX
enum {
    NW_HOSTMEM_GROUP_LOG2 = 9, /* pages under one leaf table */
    NW_HOSTMEM_GUESTS_MAX = 1024,
    NW_HOSTMEM_BLOCK_LOG2 = 16 /* pages whose records are allocated together */
};

struct nw_frame {
    uint64_t content;
    uint32_t user; /* free: the next free frame; shared: the first user; guest, pinned: the page */
    uint32_t
        node; /* whoever chooses victims: its handle; NW_NONE32 when it has none. Free: the guest that had it last, likewise */
    uint32_t users; /* pages behind it */
    uint16_t kind;  /* enum nw_frame_kind */
    uint16_t mixed; /* shared: it has had users of several guests since it last had one user only */
};

enum nw_page_flag {
    NW_PAGE_ACCESSED = 1,       /* the second stage's accessed flag, cleared by the host's scans */
    NW_PAGE_DIRTY = 2,          /* stored to since its content was last the slot's or block's */
    NW_PAGE_GUEST_ACCESSED = 4, /* the guest's own accessed flag */
    NW_PAGE_SAMPLED = 8,        /* touched since a sampler looked away */
    NW_PAGE_FILE = 16,          /* holds a block of the guest's disk (page cache) */
    NW_PAGE_BALLOON = 32,       /* the guest gave it to the balloon */
    NW_PAGE_READ_AHEAD = 64,    /* brought in with another, by the host or the guest, not touched yet */
    NW_PAGE_FREE = 128          /* nothing of the guest's lives there */
};

struct nw_page {
    uint64_t content; /* what the guest wrote last */
    uint32_t place;   /* frame, slot or block */
    uint32_t
        link; /* behind a shared frame or a slot of several: its next user. Behind a frame of its own: the slot or block that still has the same
                      content, NW_NONE32 without */
    uint32_t owner;       /* the guest's: what it keeps there */
    uint8_t backing;      /* enum nw_backing */
    uint8_t flags;        /* enum nw_page_flag */
    uint8_t linked_block; /* `link` is a block */
    uint8_t guest_ahead;  /* the guest's: it read it in with another */
};

struct nw_slot {
    uint64_t content;
    uint32_t page;  /* the first user; free: the next free slot */
    uint32_t users; /* 0: free */
};

struct nw_hostmem_config {
    uint64_t frames; /* below 2^32 - 1 */
    uint64_t slots;  /* of the swap area; 0: none */
    unsigned guests;
    bool shares; /* pages may be shared: nw_hostmem_share(), nw_hostmem_merge(). Four more bytes a page */
    /* Called when a frame begins and ceases to be one that may be taken from its pages (guest or shared); `user` is the page that stands for it. NULL allowed. */
    void (*gained)(void *context, uint32_t frame);
    void (*lost)(void *context, uint32_t frame);
    void (*slot_given)(void *context, uint32_t slot); /* a slot is free again. NULL allowed */
    /* For whoever keeps second-stage tables: a frame for one of the guest's; after what backs a page, or whether it may be stored to, has changed. NULL allowed. */
    void (*table)(void *context, unsigned guest, uint32_t frame);
    void (*remapped)(void *context, uint32_t page);
    void *context;
};

struct nw_hostmem_guest {
    uint32_t *group; /* by gpn >> 9: the number of its first page, NW_NONE32 without */
    uint64_t groups;
    uint64_t resident;  /* pages behind frames */
    uint64_t shared;    /* of them behind shared ones */
    uint64_t swapped;   /* behind slots */
    uint64_t in_blocks; /* behind blocks */
    uint64_t pinned;
    uint64_t tables;     /* frames of its second stage */
    uint64_t large;      /* groups all of whose pages have frames of their own */
    uint64_t large_lost; /* groups that were so and are not any more */
    uint64_t unmapped;   /* mappings that were taken away or made read-only: each has to be forgotten by TLBs */
};

struct nw_hostmem {
    struct nw_hostmem_config config;
    struct nw_frame *frame;
    struct nw_slot *slot;
    struct nw_page **block; /* of 2^NW_HOSTMEM_BLOCK_LOG2 records */
    uint32_t *
        *before; /* config.shares: of those behind one frame or slot, but for the first: the one whose `link` it is */
    struct nw_hostmem_owner {
        uint32_t guest, gpn_base;
        uint32_t own; /* pages that have a frame of their own */
    } * owner;        /* by page >> 9 */
    struct nw_hostmem_guest *guest;
    uint64_t *moved; /* [to * guests + from]: frames that a guest got which another, or itself, had had last */
    uint64_t kind[NW_FRAME_KINDS]; /* how many frames there are of each */
    uint64_t shared_users;         /* pages behind shared frames */
    uint64_t free_slots, pages;
    uint32_t free_frame, free_slot, fresh_frame, fresh_slot; /* chains of what was given back; what was never used */
    uint64_t steps, check_at; /* changes of the account; when it is checked next, in builds with assertions */
};

/* NW_ERR_NOMEM; NW_ERR_USAGE for sizes that are not allowed. */
enum nw_status nw_hostmem_create(struct nw_hostmem **out, const struct nw_hostmem_config *config,
                                 struct nw_error *err) NW_MUST_USE;
void nw_hostmem_destroy(struct nw_hostmem *h); /* NULL is allowed */

/* Frames that the tables for page `gpn` of the guest still need: 0 to 4. */
unsigned nw_hostmem_tables_needed(const struct nw_hostmem *h, unsigned guest, uint64_t gpn);
/* The number of a guest's page. Takes nw_hostmem_tables_needed() free frames the first time. NW_ERR_NOMEM. */
enum nw_status nw_hostmem_page(struct nw_hostmem *h, unsigned guest, uint64_t gpn, uint32_t *page,
                               struct nw_error *err) NW_MUST_USE;

static inline struct nw_page *nw_hostmem_at(const struct nw_hostmem *h, uint32_t page)
{
    return &h->block[page >> NW_HOSTMEM_BLOCK_LOG2][page & ((1u << NW_HOSTMEM_BLOCK_LOG2) - 1)];
}
static inline unsigned nw_hostmem_guest_of(const struct nw_hostmem *h, uint32_t page)
{
    return h->owner[page >> NW_HOSTMEM_GROUP_LOG2].guest;
}
static inline uint64_t nw_hostmem_gpn_of(const struct nw_hostmem *h, uint32_t page)
{
    return h->owner[page >> NW_HOSTMEM_GROUP_LOG2].gpn_base + (page & ((1u << NW_HOSTMEM_GROUP_LOG2) - 1));
}

/* ---- the transitions ---- */
/* None -> a zeroed frame. Needs a free frame. */
void nw_hostmem_back(struct nw_hostmem *h, uint32_t page);
/* The guest stores to a page that has a frame of its own (guest or pinned). */
void nw_hostmem_store(struct nw_hostmem *h, uint32_t page, uint64_t content);
/* Shared -> a copy of its own. Needs a free frame, though the shared one may become free. */
void nw_hostmem_break(struct nw_hostmem *h, uint32_t page);
/* Any but pinned -> none; what it held is given up, its content is zeros. */
void nw_hostmem_discard(struct nw_hostmem *h, uint32_t page);
/* Guest or shared frame -> slot, for all its users. Needs a free slot unless a clean page still has one. True: the slot has to be written. */
bool nw_hostmem_swap_out(struct nw_hostmem *h, uint32_t frame);
/* Slot -> frame. A slot with this one user stays its own until the page is stored to. Needs a free frame. */
void nw_hostmem_swap_in(struct nw_hostmem *h, uint32_t page);
/* Gives up the slot that a resident page has kept. */
void nw_hostmem_forget_slot(struct nw_hostmem *h, uint32_t page);
/* Guest frame -> block that has the same content. */
void nw_hostmem_drop_to_block(struct nw_hostmem *h, uint32_t frame, uint32_t block);
/* None, slot or block -> a frame with content from elsewhere (a whole page overwritten, a block read): nothing is read from the swap area. Needs a free
 * frame. */
void nw_hostmem_fill(struct nw_hostmem *h, uint32_t page, uint64_t content);
/* The content of a resident page is now that of a block. */
void nw_hostmem_link_block(struct nw_hostmem *h, uint32_t page, uint32_t block);
/* A guest frame becomes a shared one with one user. Both need config.shares. */
void nw_hostmem_share(struct nw_hostmem *h, uint32_t page);
/* A page with a guest frame goes behind a shared one, and its own becomes free. False, and nothing done: the contents differ. */
bool nw_hostmem_merge(struct nw_hostmem *h, uint32_t page, uint32_t frame);
/* Guest frame <-> pinned. */
void nw_hostmem_pin(struct nw_hostmem *h, uint32_t page);
void nw_hostmem_unpin(struct nw_hostmem *h, uint32_t page);
/* A free frame for the host's own use, and back. */
uint32_t nw_hostmem_table_take(struct nw_hostmem *h);
void nw_hostmem_table_give(struct nw_hostmem *h, uint32_t frame);

/* A page of another guest is behind the shared frame. */
bool nw_hostmem_shared_across(const struct nw_hostmem *h, unsigned guest, uint32_t frame);
/* What the page's frame, slot or nothing holds is what the guest wrote last. A block's content is the caller's to compare. */
bool nw_hostmem_intact(const struct nw_hostmem *h, uint32_t page);

/* Everything: kinds, users, counts, chains, contents. NW_ERR_INTERNAL says what is wrong. Takes time in the number of frames and pages. */
enum nw_status nw_hostmem_check(const struct nw_hostmem *h, struct nw_error *err) NW_MUST_USE;

#endif
