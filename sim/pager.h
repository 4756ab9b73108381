/* pager.h - private to sim/: a way to virtualize the guest's memory, as a table of what the VMM does at each occasion. One file a technique
 * (pager_*.c), chosen by run.mode and, for shadow paging, by vmm.shadow_policy.
 *
 * What an engine walks is machine.hw_guest (and hw_nested, or hw_switched): a pager keeps those right. What caches must forget it
 * queues with machine_forget(), and every exit that it causes it books with machine_exit(). Members that are NULL: the guest does it
 * itself, without the VMM. */
#ifndef NW_SIM_PAGER_H
#define NW_SIM_PAGER_H

#include "machine.h"

struct pager {
    /* Backing and tables are asked for while faults are served: machine_prepare() has nothing to do but `prepare`. */
    bool fills_on_fault;
    enum nw_status (*prepare)(struct machine *m, gva_t gva, uint8_t kind, struct nw_error *err);
    /* machine.guest and machine.registers are set. */
    enum nw_status (*create)(struct machine *m, struct nw_error *err);
    void (*destroy)(struct machine *m); /* also after create() failed; nothing may have been made */

    /* A walk of what the processor is given ended in a page fault. NULL: it is the guest's own. */
    enum nw_status (*page_fault)(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                                 enum fault_action *action, struct nw_error *err);

    /* The guest wrote control register `cr` (0, 3, 4) or EFER (CR_EFER); machine.registers and machine.guest are new already. */
    enum nw_status (*registers)(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err);
    enum nw_status (*invlpg)(struct machine *m, uint64_t gva, struct nw_error *err);
    enum nw_status (*invpcid)(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva, struct nw_error *err);

    /* Table words at their way into memory: a guest under direct paging keeps other addresses in them than the trace says. NULL: as
     * they are. */
    enum nw_status (*table_write)(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value,
                                  struct nw_error *err);
    enum nw_status (*table_page)(struct machine *m, const struct nw_event *event, struct nw_error *err); /* likewise */
    /* The guest has written `bytes` bytes of a table at `gpa`, and they are in memory. */
    enum nw_status (*table_written)(struct machine *m, uint64_t gpa, unsigned bytes, struct nw_error *err);
    /* The imitation guest's kernel has made that change; `priced`: within the model, else it is as if it had always been so. */
    enum nw_status (*own_write)(struct machine *m, uint64_t gpa, uint64_t old, bool priced, struct nw_error *err);

    /* The imitation guest has moved [start, end) to other frames; its caches are told already. */
    void (*moved)(struct machine *m, uint64_t start, uint64_t end);

    /* machine_interval(). */
    void (*interval)(struct machine *m);

    /* Counters into machine.result. */
    void (*finish)(struct machine *m);
};
enum { CR_EFER = 0x100 };

extern const struct pager pager_native, pager_nested, pager_shadow, pager_kvm, pager_direct, pager_agile;
const struct pager *pager_for(const struct nw_config *c);

/* ---- for pagers: of machine.c ---- */

/* GPA -> HPA as the VMM keeps it; backs the page first if need be. `written`: for a store, or for a table. */
enum nw_status machine_back(struct machine *m, uint64_t gpa, bool written, hpa_t *hpa,
                            struct nw_error *err) NW_MUST_USE;
unsigned machine_backing_log2(const struct nw_config *c);
/* A failure inside a callback that cannot return one, and its return to where it can. */
void machine_defer(struct machine *m, enum nw_status status, const struct nw_error *err);
enum nw_status machine_take_deferred(struct machine *m, struct nw_error *err) NW_MUST_USE;
/* A page fault that is the guest's: counted, and served as the guest's kernel does. */
void machine_note_guest_fault(struct machine *m, const struct nw_fault *fault);
enum nw_status machine_serve_guest_fault(struct machine *m, gva_t gva, bool store, enum fault_action *action,
                                         struct nw_error *err) NW_MUST_USE;
/* A store met a protected table, and its exit is booked: the event that tells what it stored comes next, if it changed anything. */
static inline void machine_trap_store(struct machine *m, uint64_t gpa)
{
    m->trapped.valid = true;
    m->trapped.pfn = gpa >> NW_PAGE_LOG2;
}
/* Whether this table write is that store's; it is no longer awaited then. */
static inline bool machine_was_trapped(struct machine *m, uint64_t gpa)
{
    bool was = m->trapped.valid && m->trapped.pfn == gpa >> NW_PAGE_LOG2;
    m->trapped.valid &= !was;
    return was;
}
/* The imitation guest's page is there before it is touched (unless its first touches are faults of the model). */
enum nw_status machine_guest_ready(struct machine *m, gva_t gva, bool store, struct nw_error *err) NW_MUST_USE;
/* Guest page and backing are there before a nested walk, as far as that is not to be an event of the model. */
enum nw_status machine_prepare_walk(struct machine *m, gva_t gva, uint8_t kind, struct nw_error *err) NW_MUST_USE;
/* Walks the guest's tables without changing them, and backs them. `page` (NULL allowed) is called for each table page and for the page
 * itself. */
void machine_visit_walk(struct machine *m, gva_t gva, const struct nw_access *access,
                        void (*page)(struct machine *m, uint64_t gpa, unsigned page_log2), struct nw_walk_result *r);

#endif
