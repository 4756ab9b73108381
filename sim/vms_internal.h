/* vms_internal.h - the parts of a run of several guests: the host's side (vms_host.c), how it takes pages (vms_reclaim.c), a guest's kernel (vms_guest.c), balloons
 * (vms_balloon.c), khugepaged (vms_collapse.c), monitors (vms_monitor.c), a guest at its works (vms_work.c), its tables (vms_walk.c, vms_tables.c), the
 * loop over time (vms_run.c), and what it leaves (vms_record.c). Times are ns. A function that takes `uint64_t *t` makes whoever waits for it wait: *t goes on. */
#ifndef NW_SIM_VMS_INTERNAL_H
#define NW_SIM_VMS_INTERNAL_H

#include <nestwalk/balloon/allocation.h>
#include <nestwalk/balloon/sharing.h>
#include <nestwalk/balloon/working_set.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/physmem.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/mmu/host_memory.h>
#include <nestwalk/sim/vms.h>
#include <nestwalk/swap/device.h>
#include <nestwalk/swap/replacement.h>
#include <nestwalk/traces/block.h>

/* What a virtual page is: nothing yet, a page of the guest's memory, or a block of its swap area. */
#define VSLOT_NONE       NW_NONE32
#define VSLOT_NOT_A_PAGE (UINT32_C(1) << 31)
enum { LEAF_LOG2 = 9, LEAF_PAGES = 1 << LEAF_LOG2, RECENT_LEAVES = 256, RECLAIM_BATCH = 32, TOUCHED_MOST = 1 << 16 };

/* 512 virtual pages of one work. The number of a virtual page is its leaf's number and its place there; files are on the disk in that order. */
struct leaf {
    uint64_t key; /* VPN >> 9 and work */
    bool file;
    uint64_t *written; /* file: contents of blocks that were written back, 0: as in the image; NULL: none was */
    uint32_t slot[LEAF_PAGES];
};
enum { WORK_SHIFT = 48 }; /* of a leaf's key */
static inline size_t leaf_work(const struct leaf *l) { return l->key >> WORK_SHIFT; }
static inline uint64_t leaf_vpn(const struct leaf *l) { return (l->key & (NW_BIT(WORK_SHIFT) - 1)) << LEAF_LOG2; }

struct stack {
    uint32_t *item;
    size_t count, capacity;
};
enum nw_status stack_push(struct stack *s, uint32_t item, struct nw_error *err) NW_MUST_USE;

struct vm {
    const struct nw_vms_guest *config;
    char name[NW_VMS_NAME + 8];
    unsigned index, of_kind; /* among all; among those of its <vm> */
    enum nw_vms_state state;
    bool started, done, blocked, killed;
    uint64_t pages; /* of its memory */

    /* time */
    uint64_t now, ready, vruntime, started_ns, ended_ns,
        pending_ns; /* pending: what others' work costs it when it runs next */
    uint64_t access_ps, fraction_ps, pause_ns;
    double alone_ns;

    /* works */
    size_t work;
    uint64_t repeat, skip_left, accesses_left, work_started_ns;
    struct nw_source *source;
    struct nw_block block;
    uint32_t at, event; /* next access and event of the block */
    uint64_t *work_ns;

    /* the guest's kernel */
    struct leaf **leaf;
    size_t leaves, leaf_capacity;
    uint32_t *leaf_hash; /* leaf numbers; NW_NONE32: empty */
    size_t hash_mask;
    struct {
        uint64_t key;
        uint32_t leaf;
    } recent[RECENT_LEAVES];
    struct stack free, balloon, swap_free; /* pages; pages; blocks */
    size_t free_stale;                     /* entries of `free` whose pages are not free any more, or are there twice */
    uint64_t *swap_content;
    uint32_t *swap_owner;                        /* by block: the virtual page that is there; NW_NONE32 without */
    uint32_t write_first, write_count;           /* blocks that wait to be written as one request */
    uint32_t ahead_used, ahead_last, last_block; /* since the last read of the swap area; pages of that; which it was */
    uint64_t swap_blocks, swap_fresh;
    uint64_t fresh_gpn, hand_gpn, kernel_pages;
    uint64_t image;    /* hash of its image's name */
    uint64_t versions; /* stores of contents that nobody else has */
    uint32_t last_file, last_swapped_owner, last_slot;
    uint64_t reported_free;

    /* balloon */
    uint64_t balloon_target, target, next_batch_ns, stats_used, group_hand;
    uint32_t reported_used[NW_VMS_HISTORY_MAX]; /* v->reports of them, the last ones, in turn */
    uint64_t reports;
    uint32_t *sample;
    size_t samples;
    struct nw_wss_average average;
    double active;
    uint64_t decided_ns, shown_ns;
    double decided_alone_ns, shown_alone_ns; /* alone_ns then */

    struct nw_replacement *policy; /* swap.scope=vm */
    struct contents *contents;     /* vms_contents.c; NULL: the work's trace says nothing of its pages */
    struct tables *tables;         /* vms_walk.c; NULL: host.fidelity=page */
    struct watch *watch;           /* vms_monitor.c; NULL: nobody looks at its accesses one by one */
    unsigned hypervisor_at;
    struct nw_vms_guest_counters counters;
};

struct vms {
    const struct nw_vms_config *config;
    struct nw_hostmem *h;
    struct vm *vm;
    unsigned vms;
    struct nw_replacement *policy; /* swap.scope=host */
    struct nw_sharing *sharing;
    struct nw_swap_device disk, swap, *swap_device;
    struct nw_physmem *words; /* of second-stage and device tables, by HPA */
    bool packs, exact;        /* packs: zswap or zram */
    uint16_t *packed;         /* zswap, zram: bytes of each slot; 0: on the device behind */
    uint64_t packed_bytes, pool_limit;
    struct stack pool;    /* its frames */
    struct stack pending; /* slots to be written together */
    uint64_t low, high;
    bool informed, reclaiming;
    uint64_t hint_ns; /* when the guests' hints come; UINT64_MAX: nobody has asked */
    unsigned informed_next;
    uint64_t collapse_hand, hypervisor_hand, hypervisor_pages;
    uint32_t *touched; /* pages whose accessed flags were set since the last scan: NULL, or TOUCHED_MOST of them */
    uint32_t touched_count;
    bool touched_more; /* and others */
    uint64_t reports;
    uint32_t reported_free[NW_VMS_HISTORY_MAX];
    struct nw_rng rng;
    struct nw_error *err;
    enum nw_status failed; /* found in a hook */
    struct nw_vms_result *r;
    struct nw_vms_host_counters host;
    size_t sample_capacity, event_capacity, monitor_capacity;
    bool monitoring;
    uint32_t moment, window_moment; /* of working_set.h: now; when the last window ended */
    uint64_t monitor_ticks;
};

/* ---- vms_host.c ---- */
enum nw_status host_begin(struct vms *v, struct nw_error *err) NW_MUST_USE;
void host_end(struct vms *v);
/* The page has a frame afterwards, with what was written last. */
void host_fault(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t);
/* A swapped page has a frame again, from the swap area and with what is read ahead. Needs a free frame. */
void host_bring_in(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t);
/* A page of the guest's own that may be stored to. */
void host_make_writable(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t);
/* All of the page is overwritten by the processor (zeroing), or by a read from the guest's disk. */
void host_overwrite(struct vms *v, struct vm *vm, uint32_t page, uint64_t content, bool by_device, uint64_t *t);
/* What the page held is of no interest any more. */
void host_discard(struct vms *v, uint32_t page);
/* A request to a guest's disk, for whose emulation the VMM process needs its own pages. */
void host_disk_request(struct vms *v, struct vm *vm, bool write, uint64_t position, unsigned pages, uint64_t *t);
/* A store to a page that has not changed since it was read in. */
void host_dirtied(struct vms *v, struct vm *vm, uint64_t *t);
/* The accessed flag of a page that has a frame is set. */
static inline void host_touched(struct vms *v, uint32_t page, struct nw_page *p)
{
    if (p->flags & NW_PAGE_ACCESSED)
        return;
    p->flags |= NW_PAGE_ACCESSED;
    if (NW_LIKELY(v->touched_count < TOUCHED_MOST))
        v->touched[v->touched_count++] = page;
    else
        v->touched_more = true;
}
void host_kill(struct vms *v, struct vm *vm, uint64_t now, enum nw_vms_state state, const char *why);

static inline void host_hit(struct vms *v, const struct vm *vm, const struct nw_frame *f)
{
    if (f->node != NW_NONE32)
        nw_replacement_hit(v->policy ? v->policy : vm->policy, f->node);
}

/* One of the VMM process's own pages, behind those of the guests. */
static inline bool host_is_own(const struct vms *v, uint32_t page) { return nw_hostmem_guest_of(v->h, page) == v->vms; }
static inline struct vm *host_vm_of(struct vms *v, uint32_t page) { return &v->vm[nw_hostmem_guest_of(v->h, page)]; }
static inline struct nw_replacement *host_policy_of(struct vms *v, uint32_t page)
{
    return v->policy ? v->policy : host_vm_of(v, page)->policy;
}

/* ---- vms_reclaim.c ---- */
/* So many free frames, by taking pages where it has to; a guest may be killed for it. */
void host_ensure(struct vms *v, uint64_t frames, uint64_t *t);
void host_reclaim_in_background(struct vms *v, uint64_t now);
uint64_t host_limit_pages(const struct vm *vm);
void host_hold_to_limit(struct vms *v, struct vm *vm, uint64_t *t);
void host_scan(struct vms *v, uint64_t now);
/* A hook of the host's memory: what the slot held is of no interest any more. */
void reclaim_slot_given(void *context, uint32_t slot);
/* What was taken from each guest has to be forgotten by its processor: a flush for each batch. */
void reclaim_charge_flushes(struct vms *v);

/* ---- vms_guest.c ---- */
enum nw_status guest_begin(struct vms *v, struct vm *vm, struct nw_error *err) NW_MUST_USE;
void guest_end(struct vm *vm);
/* Its kernel's and pinned pages. */
void guest_boot(struct vms *v, struct vm *vm, uint64_t *t);
/* The place of a virtual page; made when it is new. NULL: no memory. */
uint32_t *guest_slot(struct vms *v, struct vm *vm, uint64_t vpn, uint32_t *owner);
/* The virtual page has a page of the guest's afterwards. NW_NONE32: the guest is out of memory. */
uint32_t guest_fault(struct vms *v, struct vm *vm, uint32_t owner, uint64_t *t);
/* A page for whatever the kernel wants it; NW_NONE32: there is none, and none can be taken. Its content is old. */
uint32_t guest_alloc(struct vms *v, struct vm *vm, uint64_t *t);
void guest_free(struct vms *v, struct vm *vm, uint32_t page);
/* 512 free pages, those of a 2 MiB page, as guest_alloc(); the first one's number, or UINT64_MAX without. */
uint64_t guest_alloc_group(struct vms *v, struct vm *vm, uint64_t *t);
static inline uint64_t guest_free_pages(const struct vm *vm) { return vm->free.count - vm->free_stale; }
/* The number of a page below fresh_gpn. */
uint32_t guest_page(const struct vms *v, const struct vm *vm, uint64_t gpn);
/* A page for a table of the guest's, filled; NW_NONE32: the guest is at its end. The guest stores to one. */
uint32_t guest_new_table(struct vms *v, struct vm *vm, uint64_t *t);
void guest_store_to_table(struct vms *v, struct vm *vm, uint32_t page, uint64_t *t);
/* The first touch of a page that the guest read in with another. */
void guest_used_ahead(struct vm *vm, struct nw_page *p);
/* Gives back what a work has. */
void guest_exit(struct vms *v, struct vm *vm, size_t work);
/* What a store leaves in the page that has this content now. */
uint64_t guest_new_content(struct vm *vm, uint64_t vpn, uint64_t content);
/* The content that a trace's page-hash or page-content event (packed_bytes 0: not known) speaks of: equal in all guests when the hashes are. */
uint64_t guest_content_of_trace(uint64_t hash, uint64_t packed_bytes);
/* To what size it compresses, by what a trace said; 0: not known. */
uint64_t guest_content_packed_bytes(uint64_t content);
/* The content of a file's block as it is on the disk, and where it is there. */
uint64_t guest_block_content(const struct vm *vm, uint32_t owner);
uint64_t guest_block_position(const struct vm *vm, uint32_t owner);
bool guest_is_file(const struct vm *vm, uint32_t owner);
/* The next page that the guest's own clock would take; NW_NONE32 without. Moves the hand. */
uint32_t guest_coldest(struct vms *v, struct vm *vm, bool resident);

/* ---- vms_contents.c ---- */
/* Of a work whose trace has page tables: a page of guest-physical memory holds this when the trace begins. */
void contents_tell(struct vms *v, struct vm *vm, uint64_t gpn, uint64_t content);
/* What the virtual page, which is touched for the first time, holds. Only with vm->contents. */
uint64_t contents_at_first_touch(const struct vm *vm, uint64_t vpn);
/* Before the work's source is closed. */
void contents_end(struct vm *vm);

/* ---- vms_balloon.c ---- */
enum nw_status balloon_begin(struct vms *v, struct nw_error *err) NW_MUST_USE;
void balloon_end(struct vms *v);
void balloon_decide(struct vms *v, uint64_t now);
/* What a guest's driver does in one request; when the next one is due. */
void balloon_batch(struct vms *v, struct vm *vm, uint64_t now);
uint64_t balloon_give_back(struct vms *v, struct vm *vm, uint64_t pages);
void balloon_report_free(struct vms *v);
/* What the guests hint at, when the host has asked. */
void balloon_take_hints(struct vms *v);
void balloon_report_stats(struct vms *v);

/* ---- vms_collapse.c ---- */
/* khugepaged's next pages; the time that it took. */
uint64_t collapse_tick(struct vms *v, uint64_t now);

/* ---- vms_monitor.c ---- */
bool monitor_is_on(const struct nw_vms_config *c);
enum nw_status monitor_begin(struct vms *v, struct nw_error *err) NW_MUST_USE;
void monitor_end(struct vms *v);
/* An access to a page that has a frame, when vm->watch is there. False: it left the accessed flag alone, as the TLB had the translation. */
bool monitor_access(struct vms *v, struct vm *vm, uint32_t page, uint32_t owner);
/* The guest's TLB is flushed; it forgets a virtual page. */
void monitor_flush(struct vm *vm);
void monitor_forget(struct vm *vm, uint32_t owner);
void monitor_taken(struct vms *v, struct vm *vm, uint32_t page);
void monitor_came_back(struct vms *v, struct vm *vm, uint32_t page);
uint64_t monitor_tick_ns(const struct nw_vms_config *c);
/* The host's time that it took. */
uint64_t monitor_tick(struct vms *v, uint64_t now);
/* What balloon.estimator, if it is not the balloon's own, says of the guest's working set; `unknown` before the first window. */
double monitor_active(const struct vms *v, const struct vm *vm, double unknown);
enum nw_status monitor_results(struct vms *v) NW_MUST_USE;

/* ---- vms_work.c ---- */
/* Runs from `now` to about `until`; when it stopped. Blocked: it waits from then on until vm->now. */
uint64_t work_run(struct vms *v, struct vm *vm, uint64_t now, uint64_t until);

/* ---- vms_record.c ---- */
void record_samples(struct vms *v, uint64_t now);
/* All of v->r, of a run that ended then; and the proof that nothing was lost. NW_ERR_NOMEM, NW_ERR_INTERNAL. */
enum nw_status record_result(struct vms *v, uint64_t end_ns) NW_MUST_USE;
void vms_event(struct vms *v, uint64_t now, const char *format, ...) NW_PRINTF(3, 4);
static inline void vms_fail(struct vms *v, enum nw_status s)
{
    if (!v->failed)
        v->failed = s;
}
/* The work whose memory the one that runs uses. */
static inline size_t memory_space(const struct vm *vm)
{
    const uint64_t of = vm->work < vm->config->works ? vm->config->work[vm->work].memory_of : 0;
    return of ? of - 1 : vm->work;
}
/* It was ended. One that has finished its works is idle, and its kernel and balloon are still there. */
static inline bool is_gone(const struct vm *vm) { return vm->done && vm->state != NW_VMS_FINISHED; }
/* What so many accesses of its work take when nothing else does. */
static inline double alone_ns(const struct vm *vm, uint64_t accesses)
{
    return (double)accesses * ((double)vm->access_ps / 1000 + (double)vm->pause_ns);
}
static inline uint64_t ns_of(double ns) { return (uint64_t)(ns + 0.5); }

#endif
