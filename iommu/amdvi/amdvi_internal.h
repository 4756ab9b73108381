/* amdvi_internal.h - from a request to its device table entry, and from there through the host page tables. Never leaves
 * this folder. */
#ifndef NESTWALK_IOMMU_AMDVI_INTERNAL_H
#define NESTWALK_IOMMU_AMDVI_INTERNAL_H

#include <nestwalk/iommu/amdvi_entries.h>
#include <nestwalk/iommu/amdvi_watch.h>

/* Fields of a device table entry, by 64-bit word ("Device Table Entry Format"). */
#define DTE_V                NW_BIT(0)
#define DTE_TV               NW_BIT(1)
#define DTE_HAD(w0)          ((unsigned)nw_field(w0, 8, 7))
#define DTE_MODE(w0)         ((unsigned)nw_field(w0, 11, 9))
#define DTE_ROOT             nw_mask(51, 12)
#define DTE_PPR              nw_mask(53, 52) /* PPR, GPRP */
#define DTE_PPR_ENABLE       NW_BIT(52)
#define DTE_GUEST0           nw_mask(60, 54) /* GIOV, GV, GLX, GCR3 table root 14:12 */
#define DTE_GIOV             NW_BIT(54)
#define DTE_GV               NW_BIT(55)
#define DTE_GLX(w0)          ((unsigned)nw_field(w0, 57, 56))
#define DTE_IR               NW_BIT(61)
#define DTE_IW               NW_BIT(62)
#define DTE_DOMAIN           nw_mask(15, 0)                      /* word 1 from here on: bit 64 of the entry is bit 0 */
#define DTE_GUEST1           (nw_mask(31, 16) | nw_mask(63, 43)) /* GCR3 table root 30:15, 51:31 */
#define DTE_I                NW_BIT(32)
#define DTE_SA               NW_BIT(34)
#define DTE_IOCTL(w1)        ((unsigned)nw_field(w1, 36, 35))
#define DTE_EX               NW_BIT(39)
#define DTE_SYSMGT(w1)       ((unsigned)nw_field(w1, 41, 40))
#define DTE_GUEST_LEVELS(w2) ((unsigned)nw_field(w2, 55, 54) + 4) /* GuestPagingMode */
#define DTE_IV               NW_BIT(0)                            /* word 2 */
#define DTE_INTTABLEN(w2)    ((unsigned)nw_field(w2, 4, 1))       /* log2 of the number of entries */
#define DTE_IG               NW_BIT(5)
#define DTE_INTTABROOT       nw_mask(51, 7)
#define DTE_INIT_PASS        NW_BIT(56)
#define DTE_EINT_PASS        NW_BIT(57)
#define DTE_NMI_PASS         NW_BIT(58)
#define DTE_INTCTL(w2)       ((unsigned)nw_field(w2, 61, 60))
#define DTE_MODE0FC          NW_BIT(55) /* word 3 */
enum { IOCTL_ABORT, IOCTL_FORWARD, IOCTL_TRANSLATE, IOCTL_RESERVED };
enum { SYSMGT_ABORT, SYSMGT_FORWARD, SYSMGT_FORWARD_INTX, SYSMGT_TRANSLATE };
enum { HAD_OFF, HAD_ACCESSED, HAD_RESERVED, HAD_BOTH };
enum { INTCTL_ABORT, INTCTL_FORWARD, INTCTL_REMAP, INTCTL_RESERVED };

struct amdvi_caches; /* caches.h */

struct amdvi_walk {
    const struct nw_amdvi_tables *t;
    const struct nw_amdvi_request *q;
    struct amdvi_caches *caches; /* NULL: every table is read anew */
    uint64_t dte[4];
    unsigned references;
    bool dte_cached; /* it came from its cache */
    bool looks_only; /* no flag of an entry is set in memory */
    /* For the watcher: what the next words belong to. */
    enum nw_amdvi_table table;
    uint8_t word, level;
};

/* What a finished walk of the host page tables says of a page. */
struct amdvi_page {
    uint64_t address; /* of the byte asked for */
    uint8_t page_log2;
    uint8_t rights; /* DTE's and all entries' */
    bool untranslated_only, force_coherent;
};

/* Is there memory at these 8 bytes? */
bool amdvi_readable(const struct nw_amdvi_memory *m, unsigned pa_bits, uint64_t address);
/* One word of a table. False: it cannot be read. */
bool amdvi_load(struct amdvi_walk *w, uint64_t address, uint64_t *out);
/* The words loaded from here on are those of an entry of this kind; word: of a device table entry, level: of others. */
static inline void amdvi_entry(struct amdvi_walk *w, enum nw_amdvi_table table, unsigned word, unsigned level)
{
    w->table = table;
    w->word = (uint8_t)word;
    w->level = (uint8_t)level;
}
/* watch.c: the word is about to be read; it has been read. */
void amdvi_watch_need(struct nw_amdvi_watch *watch, uint64_t address);
void amdvi_watch_word(const struct amdvi_walk *w, uint64_t address, uint64_t value, bool readable);
/* The word kept last is of this level. */
void amdvi_watch_level(struct nw_amdvi_watch *watch, unsigned level);

/* event.c: the host walk is for another access than the request's own: its events speak of a read or a write of a GPA.
 * Fills *e; returns false. */
bool amdvi_host_event(const struct amdvi_walk *w, struct nw_amdvi_event *e, enum nw_amdvi_event_code code,
                      unsigned flags, uint64_t gpa, bool write);
/* Fills *e for the request; flags of the request's kind are added. Returns false. */
bool amdvi_event(const struct amdvi_walk *w, struct nw_amdvi_event *e, enum nw_amdvi_event_code code, unsigned flags);

/* device.c: reads w->dte, and judges nothing. False: *e says why there is none. */
bool amdvi_read_device(struct amdvi_walk *w, struct nw_amdvi_event *e);
/* Reads w->dte. False: *e says why the unit does not have one to go by. An entry with V = 0 is not judged. */
bool amdvi_find_device(struct amdvi_walk *w, struct nw_amdvi_event *e);

/* host.c: DTE.Mode is 1 to 6, or 0: every address is its own translation, in a page of 64 bits. `need`: set of enum
 * nw_amdvi_right. Sets A, and D when `store` and writes are permitted. False: *e. */
bool amdvi_host_walk(struct amdvi_walk *w, uint64_t gpa, unsigned need, bool store, struct amdvi_page *out,
                     struct nw_amdvi_event *e);

/* guest.c: a request of a PASID; DTE.GV is set. False: out->event. */
bool amdvi_guest_translate(struct amdvi_walk *w, uint32_t pasid, struct nw_amdvi_result *out);

/* The guest's tables of a PASID; DTE.TV and .GV are set. False: *e says why there are none. */
struct nw_paging;
uint64_t amdvi_gcr3_root(const uint64_t dte[4]);
bool amdvi_guest_tables(struct amdvi_walk *w, uint32_t pasid, uint64_t *cr3, struct nw_paging *guest,
                        struct nw_amdvi_event *e);

/* translate.c, interrupt.c: nw_amdvi_translate() and nw_amdvi_interrupt() with caches. */
void amdvi_translate(struct amdvi_walk *w, struct nw_amdvi_result *out);
void amdvi_interrupt(const struct nw_amdvi_tables *t, struct amdvi_caches *caches,
                     const struct nw_amdvi_interrupt_request *q, struct nw_amdvi_interrupt *out);
/* The message as it is. */
void amdvi_interrupt_passed(const struct nw_amdvi_interrupt_request *q, struct nw_amdvi_interrupt *out);

#endif
