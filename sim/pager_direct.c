/* pager_direct.c - direct paging (Xen PV) over mmu/direct.h, and the port of the guest to it. The traced guest was not written for a
 * paravirtual machine; here it is taken to have been changed as a port changes it:
 *   - tables are mapped read-only for the guest itself; a page gets its write permission back when it is no table any more;
 *   - a store to a table is a request of HYPERVISOR_mmu_update; requests are collected (Linux: lazy MMU mode) and leave in one hypercall
 *     when vmm.direct_batch of them wait, and before anything that must see them: a flush, a CR3 load, a page fault;
 *     with vmm.direct_writable_tables stores to leaf tables trap instead, one by one, and are emulated;
 *   - MOV to CR3 is MMUEXT_NEW_BASEPTR, with MMUEXT_PIN_L4_TABLE the first time; INVLPG is MMUEXT_INVLPG_LOCAL;
 *   - a large page is mapped by tables of small ones, for a Xen guest has none: the port makes those tables in frames of its own.
 * Page faults reach the hypervisor first, which bounces them into the guest.
 *
 * MODEL: the domain's machine frames are the guest's frame numbers, as for a domain that is mapped one to one; so the words of the tables
 * are those of the trace, and the processor walks what it would walk natively. An imitation guest is taken to be ported from the start.
 * MODEL: kernel and user mode share one root; Xen's switch of roots at each system call is not in a memory trace. */
#include "guest.h"
#include "pager.h"
#include "stale.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/mmu/direct.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MAX = 1024, ENTRIES = 512 };
#define ENTRY_P     NW_BIT(0)
#define ENTRY_W     NW_BIT(1)
#define ENTRY_PS    NW_BIT(7)
#define ENTRY_G     NW_BIT(8)
#define ENTRY_FRAME UINT64_C(0x000ffffffffff000)

/* A set of numbers; open addressing, 0 = empty slot. */
struct set {
    uint64_t *slot; /* number plus 1 */
    size_t capacity, used;
};

static size_t set_slot(const struct set *t, uint64_t number)
{
    size_t at = nw_mix64(number) & (t->capacity - 1);
    while (t->slot[at] && t->slot[at] != number + 1)
        at = (at + 1) & (t->capacity - 1);
    return at;
}

static bool set_has(const struct set *t, uint64_t number) { return t->used && t->slot[set_slot(t, number)]; }

static enum nw_status set_add(struct set *t, uint64_t number, struct nw_error *err)
{
    if (t->used * 2 >= t->capacity) {
        struct set bigger = { .capacity = t->capacity ? t->capacity * 2 : 1024, .used = t->used };
        if (!(bigger.slot = calloc(bigger.capacity, sizeof *bigger.slot)))
            return nw_fail_nomem(err, "the port's notes on page tables");
        for (size_t i = 0; i < t->capacity; i++)
            if (t->slot[i])
                bigger.slot[set_slot(&bigger, t->slot[i] - 1)] = t->slot[i];
        free(t->slot);
        *t = bigger;
    }
    size_t at = set_slot(t, number);
    t->used += !t->slot[at];
    t->slot[at] = number + 1;
    return NW_OK;
}

static void set_remove(struct set *t, uint64_t number)
{
    if (!set_has(t, number))
        return;
    size_t hole = set_slot(t, number), mask = t->capacity - 1;
    for (size_t at = (hole + 1) & mask; t->slot[at]; at = (at + 1) & mask) { /* close up what probed past it */
        size_t home = nw_mix64(t->slot[at] - 1) & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        t->slot[hole] = t->slot[at];
        hole = at;
    }
    t->slot[hole] = 0;
    t->used--;
}

static void set_empty(struct set *t)
{
    if (t->used)
        memset(t->slot, 0, t->capacity * sizeof *t->slot);
    t->used = 0;
}

struct direct_pager {
    struct nw_direct *direct;
    struct nw_direct_update batch[BATCH_MAX];
    size_t waiting;
    struct set readonly;          /* HPAs of leaf entries that lost W to the port */
    struct set coming;            /* frames that are about to become tables */
    uint64_t next_own;            /* frames that the port has taken for its tables, downwards */
    uint64_t requests, validated; /* as already priced */
};

static struct direct_pager *pager_of(const struct machine *m) { return m->pager_state; }
static uint64_t word_at(const struct machine *m, uint64_t hpa) { return nw_physmem_read64(m->pm, nw_hpa(hpa)); }

/* ---- hypercalls and their price ---- */

/* Books a hypercall, with what it did since the last one was booked. */
static void book(struct machine *m)
{
    struct direct_pager *p = pager_of(m);
    const struct nw_direct_counters *k = nw_direct_counters(p->direct);
    uint64_t requests = k->entry_updates + k->machphys_updates + k->mmuext_commands - p->requests;
    uint64_t validated = k->validated_entries - p->validated;
    p->requests += requests;
    p->validated += validated;
    machine_exit_with(m, NW_EXIT_HYPERCALL,
                      requests * m->config->cost.hypercall_request_cycles +
                          validated * m->config->cost.validated_entry_cycles);
}

static void report(struct machine *m, const struct nw_direct_outcome *o)
{
    if (!o->refusal)
        return;
    if (!m->result->direct_refused[0])
        nw_direct_outcome_describe(o, m->result->direct_refused, sizeof m->result->direct_refused);
}

/* ---- words as the port has them ---- */

static enum nw_status own_frame(struct machine *m, uint64_t *mfn, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    uint64_t *word;
    *mfn = p->next_own--;
    return nw_physmem_make(m->pm, nw_hpa(*mfn << NW_PAGE_LOG2), &word, err);
}

/* A large page of 2^log2 bytes as tables: *word becomes the entry that points to them. */
static enum nw_status split(struct machine *m, unsigned log2, uint64_t *word, struct nw_error *err)
{
    const uint64_t flags = NW_BIT(63) | 0xe7f; /* all but PS, G and the address */
    uint64_t mfn, first = *word & ENTRY_FRAME & ~(NW_BIT(log2) - 1), keep = *word & flags;
    enum nw_status s = own_frame(m, &mfn, err);
    if (!s)
        s = set_add(&pager_of(m)->coming, mfn, err);
    for (unsigned i = 0; !s && i < ENTRIES; i++) {
        uint64_t entry = (first + ((uint64_t)i << (log2 - 9))) | keep | (log2 > NW_PAGE_2M_LOG2 ? ENTRY_PS : 0);
        if (log2 > NW_PAGE_2M_LOG2)
            s = split(m, log2 - 9, &entry, err);
        if (!s)
            s = nw_physmem_write64(m->pm, nw_hpa((mfn << NW_PAGE_LOG2) + 8 * i), entry, err);
    }
    /* The entry above grants all, as tables' entries do; the leaves carry the page's rights. */
    *word = mfn << NW_PAGE_LOG2 | 0x67;
    return s;
}

/* `word` of a table at `level` as a Xen guest writes it. */
static enum nw_status ported(struct machine *m, unsigned level, uint64_t *word, struct nw_error *err)
{
    if (!(*word & ENTRY_P))
        return NW_OK;
    if (level && level < 3 && (*word & ENTRY_PS))
        return split(m, level == 1 ? NW_PAGE_2M_LOG2 : NW_PAGE_1G_LOG2, word, err);
    if (!level)
        *word &= ~ENTRY_G; /* Xen decides what is global */
    return NW_OK;
}

/* A leaf entry may not map a table writable. */
static enum nw_status without_write(struct machine *m, uint64_t entry, uint64_t *word, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    struct nw_direct_frame f;
    uint64_t mfn = (*word & ENTRY_FRAME) >> NW_PAGE_LOG2;
    set_remove(&p->readonly, entry);
    if ((*word & (ENTRY_P | ENTRY_W)) != (ENTRY_P | ENTRY_W))
        return NW_OK;
    nw_direct_frame(p->direct, mfn, &f);
    if (!nw_direct_type_is_table(f.type) && !set_has(&p->coming, mfn))
        return NW_OK;
    *word &= ~ENTRY_W;
    return set_add(&p->readonly, entry, err);
}

/* ---- a page on its way to become a table ---- */

static uint64_t target(uint64_t word) { return (word & ENTRY_FRAME) >> NW_PAGE_LOG2; }

/* The frames below, and this one, that are no tables yet. */
static enum nw_status collect(struct machine *m, uint64_t mfn, unsigned level, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    struct nw_direct_frame f;
    nw_direct_frame(p->direct, mfn, &f);
    if (nw_direct_type_is_table(f.type) || set_has(&p->coming, mfn))
        return NW_OK;
    enum nw_status s = set_add(&p->coming, mfn, err);
    for (unsigned i = 0; !s && level && i < ENTRIES; i++) {
        uint64_t word = word_at(m, (mfn << NW_PAGE_LOG2) + 8 * i);
        if ((word & ENTRY_P) && !(word & ENTRY_PS))
            s = collect(m, target(word), level - 1, err);
    }
    return s;
}

/* The words of those frames, as a Xen guest has them. */
static enum nw_status port_words(struct machine *m, uint64_t mfn, unsigned level, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (!set_has(&pager_of(m)->coming, mfn))
        return NW_OK;
    for (unsigned i = 0; !s && i < ENTRIES; i++) {
        uint64_t hpa = (mfn << NW_PAGE_LOG2) + 8 * i, word = word_at(m, hpa), old = word;
        s = ported(m, level, &word, err);
        if (!s && !level)
            s = without_write(m, hpa, &word, err);
        if (!s && word != old)
            s = nw_physmem_write64(m->pm, nw_hpa(hpa), word, err);
        if (!s && level && (word & ENTRY_P) && (word != old || !(word & ENTRY_PS)))
            s = port_words(m, target(word), level - 1, err);
    }
    return s;
}

/* One hypercall. A refused request is reported and left out, as a port's error path would; the rest is made again. */
static enum nw_status requests(struct machine *m, const struct nw_direct_update *u, size_t count, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; !s && i < count && m->config->detect_stale; i++)
        s = stale_note_write(m, u[i].ptr, word_at(m, u[i].ptr), u[i].val, err);
    while (!s && count) {
        struct nw_direct_outcome o;
        if ((s = nw_direct_mmu_update(pager_of(m)->direct, u, count, &o, err)))
            break;
        report(m, &o);
        size_t used = o.done + (o.refusal != NW_DIRECT_OK);
        u += used;
        count -= used;
    }
    return s;
}

static enum nw_status request(struct machine *m, struct nw_direct_update u, struct nw_error *err)
{
    return requests(m, &u, 1, err);
}

/* All that the frame needs before Xen takes it as a table at `level`: words, and no writable mapping of it or of what is below. */
static enum nw_status prepare_table(struct machine *m, uint64_t mfn, unsigned level, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    enum nw_status s = collect(m, mfn, level, err);
    if (!s)
        s = port_words(m, mfn, level, err);
    for (size_t i = 0; !s && i < p->coming.capacity; i++) {
        if (!p->coming.slot[i])
            continue;
        for (struct nw_direct_mapping map = { 0 };
             !s && nw_direct_writable_next(p->direct, p->coming.slot[i] - 1, &map);) {
            uint64_t entry = map.entry_hpa;
            if ((s = set_add(&p->readonly, entry, err)) ||
                (s = request(m, (struct nw_direct_update){ entry, word_at(m, entry) & ~ENTRY_W }, err)))
                return s;
            if (word_at(m, entry) & ENTRY_W)
                break; /* refused: Xen will say so of the table as well */
            map = (struct nw_direct_mapping){ 0 };
        }
    }
    set_empty(&p->coming);
    return s;
}

static enum nw_status drain(struct machine *m, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    enum nw_status s = NW_OK;
    size_t count = p->waiting;
    p->waiting = 0;
    for (size_t i = 0; !s && i < count; i++) {
        struct nw_direct_update u = p->batch[i];
        struct nw_direct_frame f;
        nw_direct_frame(p->direct, u.ptr >> NW_PAGE_LOG2, &f);
        if (nw_direct_type_is_table(f.type) && f.type != NW_DIRECT_L1 && (u.val & ENTRY_P))
            s = prepare_table(m, target(u.val), (unsigned)(f.type - NW_DIRECT_L1) - 1, err);
    }
    return s ? s : requests(m, p->batch, count, err);
}

static enum nw_status flush_batch(struct machine *m, struct nw_error *err)
{
    bool any = pager_of(m)->waiting;
    enum nw_status s = drain(m, err);
    if (!s && any)
        book(m);
    return s ? s : machine_take_deferred(m, err);
}

static enum nw_status command(struct machine *m, enum nw_direct_command what, uint64_t mfn, uint64_t gva,
                              struct nw_error *err)
{
    struct nw_direct_mmuext c = { .command = what, .mfn = mfn, .gva = nw_gva(gva) };
    struct nw_direct_outcome o;
    enum nw_status s = nw_direct_mmuext(pager_of(m)->direct, &c, 1, &o, err);
    if (!s)
        report(m, &o);
    return s;
}

/* The store that was given up last has no event: the page is no table for the guest any more, if only its pin keeps it one. */
static enum nw_status settle_trapped(struct machine *m, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    struct nw_direct_frame f;
    if (!m->trapped.valid)
        return NW_OK;
    m->trapped.valid = false;
    nw_direct_frame(p->direct, m->trapped.pfn, &f);
    if (!f.pinned || m->trapped.pfn == nw_direct_base(p->direct))
        return NW_OK;
    enum nw_status s = command(m, NW_DIRECT_UNPIN_TABLE, m->trapped.pfn, 0, err);
    if (!s)
        book(m);
    return s;
}

/* ---- occasions ---- */

static bool owns(void *context, uint64_t mfn)
{
    struct machine *m = context;
    uint64_t bytes = m->traced ? m->info->guest_memory_bytes : 0;
    return !bytes || mfn < bytes >> NW_PAGE_LOG2 || mfn > pager_of(m)->next_own;
}

static void on_flush(void *context, const gva_t *address)
{
    struct machine *m = context;
    m->epoch++;
    machine_forget(m, address ? forget_range(address->v & ~(NW_PAGE_BYTES - 1),
                                             (address->v & ~(NW_PAGE_BYTES - 1)) + NW_PAGE_BYTES)
                              : FORGET_ALL);
}

static enum nw_status switch_root(struct machine *m, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    struct nw_direct_frame f;
    uint64_t root = m->guest.root >> NW_PAGE_LOG2;
    nw_direct_frame(p->direct, root, &f);
    enum nw_status s = NW_OK;
    if (!f.pinned && !(s = prepare_table(m, root, 3, err)))
        s = command(m, NW_DIRECT_PIN_L4_TABLE, root, 0, err);
    return s ? s : command(m, NW_DIRECT_NEW_BASEPTR, root, 0, err);
}

static enum nw_status create(struct machine *m, struct nw_error *err)
{
    if (m->guest.levels != 4)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "direct paging is modelled for guests with 4-level tables, and this one has %u levels",
                       m->guest.levels);
    if (!m->traced && m->config->guest.page_policy != NW_PAGES_4K)
        return nw_fail(err, NW_ERR_USAGE, "run.mode=direct needs guest.page_policy=4K: a Xen guest has no large pages");
    struct direct_pager *p = calloc(1, sizeof *p);
    if (!p)
        return nw_fail_nomem(err, "direct paging");
    m->pager_state = p;
    p->next_own = (UINT64_C(1) << (m->registers.maxphyaddr - NW_PAGE_LOG2)) - 1;
    const struct nw_direct_config c = { .pm = m->pm,
                                        .owns = owns,
                                        .flush = on_flush,
                                        .context = m,
                                        .maxphyaddr = m->registers.maxphyaddr,
                                        .cache_attributes = true };
    enum nw_status s = nw_direct_create(&p->direct, &c, err);
    if (!s)
        s = switch_root(m, err);
    /* What the domain builder did before the guest ran costs the guest nothing. */
    p->requests = p->validated = 0;
    if (!s) {
        const struct nw_direct_counters *k = nw_direct_counters(p->direct);
        p->requests = k->entry_updates + k->machphys_updates + k->mmuext_commands;
        p->validated = k->validated_entries;
    }
    m->pending_count = 0;
    return s;
}

static void destroy(struct machine *m)
{
    struct direct_pager *p = pager_of(m);
    if (!p)
        return;
    nw_direct_destroy(p->direct);
    free(p->readonly.slot);
    free(p->coming.slot);
    free(p);
    m->pager_state = NULL;
}

/* A store that only the port's write protection stops. *served: it is dealt with. */
static enum nw_status refused_store(struct machine *m, gva_t gva, uint8_t kind, bool *served, enum fault_action *action,
                                    struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    struct nw_access access = access_of(kind);
    struct nw_walk_result r;
    struct nw_walk_log log;
    struct nw_direct_frame f;
    access.kind = NW_ACCESS_READ;
    nw_walk_native(m->pm, m->hw_guest, gva, &access, &log, &r);
    *served = false;
    if (r.outcome != NW_WALK_OK || !log.count)
        return NW_OK;
    uint64_t entry = log.reference[log.count - 1].hpa.v;
    if (!set_has(&p->readonly, entry))
        return NW_OK;
    *served = true;
    nw_direct_frame(p->direct, r.gpa.v >> NW_PAGE_LOG2, &f);
    if (nw_direct_type_is_table(f.type)) { /* the port makes no such store; its event becomes a request */
        machine_trap_store(m, r.gpa.v);
        *action = FAULT_GIVE_UP;
        return NW_OK;
    }
    set_remove(&p->readonly, entry);
    enum nw_status s = request(m, (struct nw_direct_update){ entry, word_at(m, entry) | ENTRY_W }, err);
    if (!s)
        book(m);
    *action = FAULT_RETRY;
    return s;
}

static enum nw_status page_fault(struct machine *m, gva_t gva, uint8_t kind, const struct nw_walk_result *fault,
                                 enum fault_action *action, struct nw_error *err)
{
    bool store = nw_kind_type(kind) == NW_STORE, served = false;
    enum nw_status s = settle_trapped(m, err);
    if (s)
        return s;
    if (pager_of(m)->waiting) { /* a guest leaves lazy mode before it uses what it has mapped */
        *action = FAULT_RETRY;
        return flush_batch(m, err);
    }
    if (store && (fault->fault.code & NW_PF_P) && (s = refused_store(m, gva, kind, &served, action, err)))
        return s;
    if (served)
        return machine_take_deferred(m, err);
    machine_exit(m, NW_EXIT_TRAP);
    machine_note_guest_fault(m, &fault->fault);
    return machine_serve_guest_fault(m, gva, store, action, err);
}

static enum nw_status registers(struct machine *m, unsigned cr, uint64_t value, struct nw_error *err)
{
    (void)value;
    enum nw_status s = settle_trapped(m, err);
    if (s || (s = drain(m, err)))
        return s;
    if (cr != 3) {
        machine_exit(m, NW_EXIT_TRAP); /* a privileged instruction, emulated */
        return NW_OK;
    }
    if ((s = switch_root(m, err)))
        return s;
    book(m);
    return NW_OK;
}

static enum nw_status invlpg(struct machine *m, uint64_t gva, struct nw_error *err)
{
    enum nw_status s = settle_trapped(m, err);
    if (s || (s = drain(m, err)) || (s = command(m, NW_DIRECT_INVLPG_LOCAL, 0, gva, err)))
        return s;
    book(m);
    return NW_OK;
}

static enum nw_status invpcid(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva, struct nw_error *err)
{
    (void)pcid;
    enum nw_status s = settle_trapped(m, err);
    if (s || (s = drain(m, err)) ||
        (s = command(m, type ? NW_DIRECT_TLB_FLUSH_LOCAL : NW_DIRECT_INVLPG_LOCAL, 0, gva, err)))
        return s;
    book(m);
    return NW_OK;
}

/* One word of a table, or a part of one. */
static enum nw_status write_piece(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    struct nw_direct_frame f;
    nw_direct_frame(p->direct, gpa >> NW_PAGE_LOG2, &f);
    if (!nw_direct_type_is_table(f.type)) /* it is filled first, and handed over when it is linked */
        return guest_table_write(m, gpa, bytes, value, err);
    uint64_t entry = gpa & ~UINT64_C(7), word = word_at(m, entry), shift = (gpa & 7) * 8;
    for (size_t i = 0; i < p->waiting; i++)
        if (p->batch[i].ptr == entry)
            word = p->batch[i].val;
    uint64_t mask = (bytes < 8 ? NW_BIT(bytes * 8) - 1 : ~UINT64_C(0)) << shift;
    word = (word & ~mask) | (value << shift & mask);
    unsigned level = (unsigned)(f.type - NW_DIRECT_L1);
    enum nw_status s = ported(m, level, &word, err);
    if (!s && !level)
        s = without_write(m, entry, &word, err);
    if (s)
        return s;
    if (!level && m->config->vmm.direct_writable_tables) {
        struct nw_direct_outcome o;
        uint64_t old = word_at(m, entry);
        if ((s = nw_direct_ptwr(p->direct, nw_hpa(entry), 8, word, &o, err)))
            return s;
        report(m, &o);
        machine_exit(m, NW_EXIT_TABLE_WRITE);
        return stale_note_write(m, entry, old, word_at(m, entry), err);
    }
    p->batch[p->waiting++] = (struct nw_direct_update){ entry, word };
    return p->waiting >= m->config->vmm.direct_batch ? flush_batch(m, err) : NW_OK;
}

static enum nw_status table_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (!machine_was_trapped(m, gpa))
        s = settle_trapped(m, err);
    while (!s && bytes) {
        unsigned here = 8 - (unsigned)(gpa & 7);
        here = here > bytes ? bytes : here;
        s = write_piece(m, gpa, here, value, err);
        gpa += here;
        value = here < 8 ? value >> (8 * here) : 0;
        bytes -= here;
    }
    return s;
}

/* A page that Xen has as a table already, because a request named it first, is filled by requests. */
static enum nw_status table_page(struct machine *m, const struct nw_event *e, struct nw_error *err)
{
    struct nw_direct_frame f;
    uint64_t page = e->arg[0] & ~(NW_PAGE_BYTES - 1), word[ENTRIES] = { 0 };
    nw_direct_frame(pager_of(m)->direct, page >> NW_PAGE_LOG2, &f);
    if (!nw_direct_type_is_table(f.type))
        return guest_table_page(m, e, err);
    enum nw_status s = NW_OK;
    for (uint32_t i = 0; i + 1 < e->data_words; i += 2)
        if (e->data[i] < ENTRIES)
            word[e->data[i]] = e->data[i + 1];
    for (unsigned i = 0; !s && i < ENTRIES; i++)
        if (word[i] != word_at(m, page + 8 * i))
            s = table_write(m, page + 8 * i, 8, word[i], err);
    m->table_pages_recorded++;
    return s;
}

/* The builder has put the word into memory; Xen puts it there. */
static enum nw_status own_write(struct machine *m, uint64_t gpa, uint64_t old, bool priced, struct nw_error *err)
{
    struct direct_pager *p = pager_of(m);
    if (!p)
        return NW_OK; /* the first tables, before there is a domain */
    uint64_t word = word_at(m, gpa);
    enum nw_status s = nw_physmem_write64(m->pm, nw_hpa(gpa), old, err);
    if (!s)
        s = request(m, (struct nw_direct_update){ gpa, word }, err);
    if (s || priced) {
        if (!s)
            book(m);
        return s;
    }
    const struct nw_direct_counters *k = nw_direct_counters(p->direct);
    p->requests = k->entry_updates + k->machphys_updates + k->mmuext_commands;
    p->validated = k->validated_entries;
    return NW_OK;
}

static void finish(struct machine *m) { m->result->direct = *nw_direct_counters(pager_of(m)->direct); }

const struct pager pager_direct = { .create = create,
                                    .destroy = destroy,
                                    .page_fault = page_fault,
                                    .registers = registers,
                                    .invlpg = invlpg,
                                    .invpcid = invpcid,
                                    .table_write = table_write,
                                    .table_page = table_page,
                                    .own_write = own_write,
                                    .finish = finish };
