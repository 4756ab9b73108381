/* walk_template.h - the walk of page tables, written once. Included by whoever needs an instance of it; everybody
 * else uses walk.h.
 *
 * nw_walk_run() is a template: always inlined, and specialised by the compiler, because its first argument is the
 * address of a constant struct of inline functions. A hook that is NULL there costs nothing. An instance is a
 * function like this one:
 *
 *     static const struct nw_walk_hooks hooks = { .load = my_load, .update = my_update, .reference = my_reference };
 *     static NW_NOINLINE void my_walk(struct my *m, gva_t gva, const struct nw_access *a, struct nw_walk_result *r)
 *     {
 *         nw_walk_run(&hooks, m, &m->guest, &m->nested, gva, a, r);
 *     }
 *
 * Pass NULL itself for `nested` in an instance for native walks, so that the second dimension disappears.
 *
 * What happens, in order:
 *   1. the linear address is checked (canonical) or truncated; `start` may move the beginning of the guest walk down;
 *   2. for each guest table entry: under nested paging its GPA is translated (`nested_lookup`; on a miss a nested walk,
 *      which `start` may shorten, one `load` and `reference` an entry, then A and D of the nested entries, then
 *      `nested_fill`); then `load`, `reference`, checks; an entry that points to a table is reported to `table` as
 *      soon as that table's HPA is known;
 *   3. permissions of the whole guest walk are judged;
 *   4. A (and for a store D) is set in the guest entries that lack it. That is a write by GPA to a guest table;
 *   5. under nested paging the final GPA is translated as in 2, with the access itself as the kind of access.
 *
 * `table` is called when A is set in the entry and in all above it: at once, or when the flags have been set. A
 * processor caches no other entry (SDM vol. 3, "Caches for Paging Structures"). */
#ifndef NESTWALK_MMU_WALK_TEMPLATE_H
#define NESTWALK_MMU_WALK_TEMPLATE_H

#include <nestwalk/mmu/walk.h>

/* Where a walk may continue: what a paging-structure cache holds. */
struct nw_walk_start {
    uint8_t level;       /* of the next table to read */
    bool switched;       /* agile walk: that is a guest table, and the walk goes on nested; false: a shadow table */
    bool table_known;    /* `table` is valid; false only for the root of a guest walk under nested paging */
    bool table_writable; /* the nested entries permit the processor to write this guest table (to set A and D); true
                            natively */
    hpa_t table;         /* HPA of that table: combined, so that its nested translation is skipped too */
    gpa_t table_gpa;     /* GPA of that table (natively, in the nested dimension, and of a table that a switching entry
                            points to: the same number as `table`) */
    uint64_t allowed;    /* allowed bits (format.h) of the entries above, combined; ~0 at the root */
};

/* A GPA -> HPA translation: what a nested TLB holds. */
struct nw_nested_translation {
    hpa_t hpa;        /* of the byte asked for */
    uint64_t allowed; /* allowed bits of the nested entries, combined */
    uint8_t page_log2;
    bool dirty; /* D of the nested leaf is set, or is not maintained */
};

/* What an access asks of a nested translation. */
struct nw_nested_request {
    uint64_t need; /* allowed bits that must be set */
    bool store;    /* D must be set */
    uint8_t kind;  /* enum nw_access_kind */
    bool final;    /* the final data address; false: a guest table entry */
    int8_t for_guest_level;
    uint64_t gla; /* for the fault's record */
    bool gla_valid;
    uint8_t advanced; /* qualification bits 11:9, shifted down */
};

/* For nested_lookup: a cached translation that does not serve the request is a miss, and the walk that follows replaces
 * it. */
static inline bool nw_nested_serves(const struct nw_nested_translation *t, const struct nw_nested_request *q)
{
    return (t->allowed & q->need) == q->need && (!q->store || t->dirty);
}

/* All optional but `load`. */
struct nw_walk_hooks {
    /* The 64-bit word at `hpa` (8-byte aligned). */
    uint64_t (*load)(void *context, hpa_t hpa);
    /* Sets bits in that word, atomically as a processor does: *hpa |= set. NULL: A and D are not written. */
    void (*update)(void *context, hpa_t hpa, uint64_t set);
    /* A paging-structure cache may replace *start, which is preset to the root, by a lower table on the way to
     * `address`. */
    void (*start)(void *context, enum nw_dimension dimension, uint64_t address, struct nw_walk_start *start);
    /* The walk went through an entry to table *next: what such a cache may remember for `address`. */
    void (*table)(void *context, enum nw_dimension dimension, uint64_t address, const struct nw_walk_start *next);
    /* The nested TLB: true and *out when it serves the request (nw_nested_serves()). Asked for every guest table
     * address that no guest `start` skipped, and for the final GPA. */
    bool (*nested_lookup)(void *context, gpa_t gpa, const struct nw_nested_request *request,
                          struct nw_nested_translation *out);
    void (*nested_fill)(void *context, gpa_t gpa, const struct nw_nested_request *request,
                        const struct nw_nested_translation *translation);
    /* After each load of a table entry. */
    void (*reference)(void *context, const struct nw_reference *reference);
    /* PML: D is about to be set in the nested leaf of this page. False: the log is full. */
    bool (*log_dirty)(void *context, gpa_t page);
};

/* An entry that lacks A (or D), kept until the walk has succeeded. */
struct nw_walk_pending {
    hpa_t hpa;
    uint64_t set;
    gpa_t gpa; /* guest dimension: of the entry */
    uint8_t level;
    bool writable; /* guest dimension: nw_walk_start.table_writable of its table */
};

NW_INLINE uint64_t nw_walk_load(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *p, hpa_t hpa)
{
    if (NW_UNLIKELY(p->entry_log2 == 2)) {
        uint64_t word = hooks->load(context, nw_hpa(hpa.v & ~UINT64_C(7)));
        return (uint32_t)(word >> (hpa.v & 4 ? 32 : 0));
    }
    return hooks->load(context, hpa);
}

NW_INLINE void nw_walk_update(const struct nw_walk_hooks *hooks, void *context, hpa_t hpa, uint64_t set)
{
    if (hooks->update)
        hooks->update(context, nw_hpa(hpa.v & ~UINT64_C(7)), set << (hpa.v & 4 ? 32 : 0));
}

/* ---- the nested dimension ----------------------------------------------------------------------- */

/* EPT violation: exit qualification (SDM vol. 3, "Exit Qualification for EPT Violations"). `allowed` has the AND of the
 * entries read. */
NW_INLINE uint64_t nw_walk_ept_qualification(const struct nw_paging *nested, const struct nw_nested_request *q,
                                             uint64_t allowed)
{
    /* Bit 0 read, 1 write, 2 fetch. With A/D in EPT, the walk's access to a guest table entry counts as read and write:
     * both bits. Of other read-modify-writes the SDM says that bit 1 is set and that bit 0 is up to the processor.
     * MODEL: it stays clear. */
    static const uint8_t access_bits[NW_ACCESS_KINDS] = { 1, 2, 4, 2 };
    uint64_t code = (q->kind == NW_ACCESS_RMW && !q->final ? 3u : access_bits[q->kind]) | (allowed & 7) << 3;
    if (nested->mode_based_execute)
        code |= (allowed & nested->format->execute_user ? 1u : 0u) << 6;
    if (q->gla_valid)
        code |= UINT64_C(1) << 7 | (uint64_t)q->final << 8;
    if (nested->advanced_exit_info && q->final)
        code |= (uint64_t)q->advanced << 9;
    return code;
}

NW_INLINE void nw_walk_nested_fault(const struct nw_paging *nested, gpa_t gpa, const struct nw_nested_request *q,
                                    int level, uint64_t allowed, bool present, bool bad, struct nw_walk_result *out)
{
    struct nw_fault *f = &out->fault;
    *f = (struct nw_fault){
        .address = gpa.v, .nested = true, .level = (int8_t)level, .for_guest_level = q->for_guest_level
    };
    if (nested->fault_rule == NW_FAULT_EPT) {
        out->outcome = bad ? NW_WALK_EPT_MISCONFIG : NW_WALK_EPT_VIOLATION;
        if (bad)
            return;
        f->code = nw_walk_ept_qualification(nested, q, allowed);
        f->gla = q->gla_valid ? q->gla : 0;
        return;
    }
    /* EXITINFO1 (APM vol. 2, "Nested versus Guest Page Faults, Fault Ordering"): nested accesses are user accesses. */
    out->outcome = NW_WALK_NPF;
    f->code = NW_PF_U | (present ? NW_PF_P : 0) | (bad ? NW_PF_RSVD : 0);
    if (q->kind == NW_ACCESS_WRITE || q->kind == NW_ACCESS_RMW)
        f->code |= NW_PF_W;
    if (q->kind == NW_ACCESS_FETCH && nested->fetch_reported)
        f->code |= NW_PF_ID;
    f->code |= q->final ? NW_NPF_FINAL : NW_NPF_TABLE;
}

/* Rights that these allowed bits give. */
NW_INLINE unsigned nw_walk_nested_rights(const struct nw_paging *nested, enum nw_privilege who, uint64_t allowed)
{
    const uint64_t *need = nested->need[who];
    return ((allowed & need[NW_ACCESS_READ]) == need[NW_ACCESS_READ] ? NW_RIGHT_READ : 0) |
           ((allowed & need[NW_ACCESS_WRITE]) == need[NW_ACCESS_WRITE] ? NW_RIGHT_WRITE | NW_RIGHT_NESTED_WRITE : 0) |
           ((allowed & need[NW_ACCESS_FETCH]) == need[NW_ACCESS_FETCH] ? NW_RIGHT_EXECUTE : 0);
}

/* The nested walk has arrived at a leaf; false: *out has the fault. */
NW_INLINE bool nw_walk_nested_leaf(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                                   gpa_t gpa, const struct nw_nested_request *q, unsigned level, uint64_t entry,
                                   uint64_t allowed, struct nw_nested_translation *t, struct nw_walk_result *out)
{
    if (NW_UNLIKELY((allowed & q->need) != q->need)) {
        nw_walk_nested_fault(nested, gpa, q, (int)level, allowed, true, false, out);
        return false;
    }
    bool clean = ~entry & nested->dirty;
    if (NW_UNLIKELY(clean && q->store) && nested->log_dirty && hooks->log_dirty &&
        !hooks->log_dirty(context, nw_gpa(gpa.v & ~(NW_PAGE_BYTES - 1)))) {
        out->outcome = NW_WALK_PML_FULL;
        out->fault = (struct nw_fault){ .address = gpa.v,
                                        .gla = q->gla,
                                        .nested = true,
                                        .level = (int8_t)level,
                                        .for_guest_level = q->for_guest_level };
        return false;
    }
    unsigned page_log2 = nw_level_log2(nested, level);
    *t = (struct nw_nested_translation){
        .hpa = nw_hpa(nw_entry_page(nested, level, entry) | (gpa.v & (NW_BIT(page_log2) - 1))),
        .allowed = allowed,
        .page_log2 = (uint8_t)page_log2,
        .dirty = !clean || q->store,
    };
    return true;
}

/* Translates one GPA; false: *out has the fault. */
NW_INLINE bool nw_walk_nested_step(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                                   gpa_t gpa, const struct nw_nested_request *q, struct nw_nested_translation *t,
                                   struct nw_walk_result *out)
{
    if (hooks->nested_lookup && hooks->nested_lookup(context, gpa, q, t))
        return true;

    if (NW_UNLIKELY(gpa.v >> nested->input_bits)) {
        nw_walk_nested_fault(nested, gpa, q, -1, 0, false, false, out);
        return false;
    }
    struct nw_walk_start at = { .level = (uint8_t)(nested->levels - 1),
                                .table_known = true,
                                .table_writable = true,
                                .table = nw_hpa(nested->root),
                                .table_gpa = nw_gpa(nested->root),
                                .allowed = ~UINT64_C(0) };
    if (hooks->start)
        hooks->start(context, NW_NESTED, gpa.v, &at);

    struct nw_walk_pending pending[NW_LEVELS_MAX];
    struct nw_walk_start reached[NW_LEVELS_MAX]; /* tables behind an entry whose A flag was clear */
    unsigned pending_count = 0, reached_count = 0;
    for (;; at.level--) {
        unsigned level = at.level;
        hpa_t hpa = nw_hpa(at.table.v + (nw_paging_index(nested, level, gpa.v) << nested->entry_log2));
        uint64_t entry = nw_walk_load(hooks, context, nested, hpa);
        if (hooks->reference)
            hooks->reference(context, &(struct nw_reference){ .dimension = NW_NESTED,
                                                              .level = (uint8_t)level,
                                                              .for_guest_level = q->for_guest_level,
                                                              .hpa = hpa,
                                                              .address = gpa.v,
                                                              .entry = entry });
        bool leaf = nw_entry_is_leaf(nested, level, entry);
        at.allowed &= (entry ^ nested->invert) | nested->level[level].grants;
        if (NW_UNLIKELY(!nw_entry_present(nested, entry))) {
            nw_walk_nested_fault(nested, gpa, q, (int)level, at.allowed, false, false, out);
            return false;
        }
        if (NW_UNLIKELY(nw_entry_is_bad(nested, level, entry, leaf))) {
            nw_walk_nested_fault(nested, gpa, q, (int)level, at.allowed, true, true, out);
            return false;
        }
        uint64_t lacks = ~entry & (nested->level[level].accessed | (leaf && q->store ? nested->dirty : 0));
        if (NW_UNLIKELY(lacks))
            pending[pending_count++] = (struct nw_walk_pending){ .hpa = hpa, .set = lacks };
        if (leaf) {
            if (!nw_walk_nested_leaf(hooks, context, nested, gpa, q, level, entry, at.allowed, t, out))
                return false;
            break;
        }
        at.table = nw_hpa(entry & nested->table_address);
        at.table_gpa = nw_gpa(at.table.v);
        if (hooks->table) {
            struct nw_walk_start next = at;
            next.level--;
            if (NW_UNLIKELY(lacks || reached_count))
                reached[reached_count++] = next;
            else
                hooks->table(context, NW_NESTED, gpa.v, &next);
        }
    }
    for (unsigned i = 0; i < pending_count; i++)
        nw_walk_update(hooks, context, pending[i].hpa, pending[i].set);
    for (unsigned i = 0; i < reached_count; i++)
        hooks->table(context, NW_NESTED, gpa.v, &reached[i]);
    if (hooks->nested_fill)
        hooks->nested_fill(context, gpa, q, t);
    return true;
}

/* ---- the guest dimension ------------------------------------------------------------------------ */

/* Error code of a page fault (SDM vol. 3, "Page-Fault Exceptions"). */
NW_INLINE void nw_walk_page_fault(const struct nw_paging *guest, uint64_t gva, const struct nw_access *a, int level,
                                  uint64_t cause, struct nw_walk_result *out)
{
    uint64_t code = cause | (a->user ? NW_PF_U : 0);
    if (a->kind == NW_ACCESS_WRITE || a->kind == NW_ACCESS_RMW)
        code |= NW_PF_W;
    if (a->kind == NW_ACCESS_FETCH && guest->fetch_reported)
        code |= NW_PF_ID;
    out->outcome = NW_WALK_PAGE_FAULT;
    out->fault = (struct nw_fault){
        .code = code, .address = gva, .gla = gva, .level = (int8_t)level, .for_guest_level = (int8_t)level
    };
}

/* The nested translation of guest table entry `gpa`. */
NW_INLINE bool nw_walk_table_step(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                                  gpa_t gpa, unsigned level, uint64_t gva, enum nw_access_kind kind,
                                  struct nw_nested_translation *t, struct nw_walk_result *out)
{
    struct nw_nested_request q = { .need = nested->need[NW_SUPERVISOR][kind],
                                   .store = kind == NW_ACCESS_WRITE || kind == NW_ACCESS_RMW,
                                   .kind = (uint8_t)kind,
                                   .for_guest_level = (int8_t)level,
                                   .gla = gva,
                                   .gla_valid = true };
    return nw_walk_nested_step(hooks, context, nested, gpa, &q, t, out);
}

/* Finds the HPA of the table *at, whose entry at byte `offset` is to be read. */
NW_INLINE bool nw_walk_guest_table(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                                   uint64_t gva, uint64_t offset, struct nw_walk_start *at, struct nw_walk_result *out)
{
    struct nw_nested_translation t;
    if (!nw_walk_table_step(hooks, context, nested, nw_gpa(at->table_gpa.v + offset), at->level, gva,
                            (enum nw_access_kind)nested->table_access, &t, out))
        return false;
    uint64_t need = nested->need[NW_SUPERVISOR][NW_ACCESS_WRITE];
    at->table = nw_hpa(t.hpa.v - offset);
    at->table_writable = (t.allowed & need) == need;
    at->table_known = true;
    return true;
}

/* The guest walk has arrived at a leaf: step 3, and what a TLB may keep. False: *out has the page fault. */
NW_INLINE bool nw_walk_guest_leaf(const struct nw_paging *guest, uint64_t gva, const struct nw_access *access,
                                  unsigned level, uint64_t entry, uint64_t allowed, struct nw_walk_result *out)
{
    unsigned page_log2 = nw_level_log2(guest, level);
    out->gpa = nw_gpa(nw_entry_page(guest, level, entry) | (gva & (NW_BIT(page_log2) - 1)));
    out->guest_page_log2 = (uint8_t)page_log2;
    out->pkey = (uint8_t)(guest->pku || guest->pks ? nw_field(entry, 62, 59) : 0);
    out->rights |= entry & guest->global ? NW_RIGHT_GLOBAL : 0;

    enum nw_privilege who = nw_access_privilege(access);
    uint64_t need = guest->need[who][access->kind], forbid = guest->forbid[who][access->kind];
    bool key_denies =
        (guest->pku || guest->pks) && nw_pkey_denies(guest, allowed & guest->format->user, out->pkey, access);
    if (NW_LIKELY((allowed & need) == need && !(allowed & forbid) && !key_denies))
        return true;
    nw_walk_page_fault(guest, gva, access, (int)level, NW_PF_P | (key_denies ? NW_PF_PK : 0), out);
    return false;
}

/* Step 4. Without A/D in the nested tables, reading a guest table needed no permission to write it; setting A or D does. */
NW_INLINE bool nw_walk_guest_flags(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                                   uint64_t gva, const struct nw_walk_pending *pending, unsigned count,
                                   struct nw_walk_result *out)
{
    for (unsigned i = 0; i < count; i++) {
        struct nw_nested_translation t;
        if (nested && NW_UNLIKELY(!pending[i].writable) &&
            !nw_walk_table_step(hooks, context, nested, pending[i].gpa, pending[i].level, gva, NW_ACCESS_WRITE, &t,
                                out))
            return false;
        nw_walk_update(hooks, context, pending[i].hpa, pending[i].set);
    }
    return true;
}

/* Where a walk of the guest's tables begins: at the root, or at what a paging-structure cache has. */
NW_INLINE struct nw_walk_start nw_walk_guest_start(const struct nw_walk_hooks *hooks, void *context,
                                                   const struct nw_paging *guest, const struct nw_paging *nested,
                                                   uint64_t gva)
{
    struct nw_walk_start at = { .level = (uint8_t)(guest->levels - 1),
                                .table_known = !nested,
                                .table_writable = true,
                                .table = nw_hpa(guest->root),
                                .table_gpa = nw_gpa(guest->root),
                                .allowed = ~UINT64_C(0) };
    if (hooks->start)
        hooks->start(context, NW_GUEST, gva, &at);
    return at;
}

/* Steps 2 to 4: the guest's own walk. On success out->gpa, guest_page_log2, pkey and *allowed are set. */
NW_INLINE bool nw_walk_guest_steps(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *guest,
                                   const struct nw_paging *nested, uint64_t gva, const struct nw_access *access,
                                   struct nw_walk_start at, uint64_t *allowed_out, bool *dirty_out,
                                   struct nw_walk_result *out)
{
    const bool store = access->kind == NW_ACCESS_WRITE || access->kind == NW_ACCESS_RMW;
    struct nw_walk_pending pending[NW_LEVELS_MAX];
    struct nw_walk_start reached[NW_LEVELS_MAX];
    unsigned pending_count = 0, reached_count = 0;
    bool report = false, report_late = false; /* the entry just used is still to be reported to `table` */
    for (;; at.level--) {
        unsigned level = at.level;
        uint64_t offset = nw_paging_index(guest, level, gva) << guest->entry_log2, entry;
        if (NW_UNLIKELY(guest->root_in_registers) && level == 2u) {
            entry = guest->pdpte[offset >> 3];
            if (NW_UNLIKELY(!nw_entry_present(guest, entry))) {
                nw_walk_page_fault(guest, gva, access, (int)level, 0, out);
                return false;
            }
            /* Neither A nor permissions: a PDPTE has none of them. It was checked when it was loaded. */
            at.table = nw_hpa(entry & guest->table_address);
            at.table_gpa = nw_gpa(at.table.v);
            at.table_known = !nested;
            continue;
        }
        if (nested && !at.table_known && !nw_walk_guest_table(hooks, context, nested, gva, offset, &at, out))
            return false;
        if (hooks->table) {
            if (report_late)
                reached[reached_count++] = at;
            else if (report)
                hooks->table(context, NW_GUEST, gva, &at);
        }
        hpa_t hpa = nw_hpa(at.table.v + offset);
        entry = nw_walk_load(hooks, context, guest, hpa);
        if (hooks->reference)
            hooks->reference(context, &(struct nw_reference){ .dimension = NW_GUEST,
                                                              .level = (uint8_t)level,
                                                              .for_guest_level = (int8_t)level,
                                                              .hpa = hpa,
                                                              .address = at.table_gpa.v + offset,
                                                              .entry = entry });
        if (NW_UNLIKELY(!nw_entry_present(guest, entry))) {
            nw_walk_page_fault(guest, gva, access, (int)level, 0, out);
            return false;
        }
        bool leaf = nw_entry_is_leaf(guest, level, entry);
        if (NW_UNLIKELY(entry & (leaf ? guest->level[level].reserved_leaf : guest->level[level].reserved_table))) {
            nw_walk_page_fault(guest, gva, access, (int)level, NW_PF_P | NW_PF_RSVD, out);
            return false;
        }
        at.allowed &= (entry ^ guest->invert) | guest->level[level].grants;
        uint64_t lacks = ~entry & guest->level[level].accessed;
        if (leaf && store)
            lacks |= ~entry & guest->dirty;
        if (NW_UNLIKELY(lacks))
            pending[pending_count++] = (struct nw_walk_pending){ .hpa = hpa,
                                                                 .set = lacks,
                                                                 .gpa = nw_gpa(at.table_gpa.v + offset),
                                                                 .level = (uint8_t)level,
                                                                 .writable = at.table_writable };
        if (leaf) {
            *allowed_out = at.allowed;
            *dirty_out = store || !(~entry & guest->dirty);
            if (!nw_walk_guest_leaf(guest, gva, access, level, entry, at.allowed, out))
                return false;
            break;
        }
        at.table = nw_hpa(entry & guest->table_address);
        at.table_gpa = nw_gpa(at.table.v);
        at.table_known = !nested;
        at.table_writable = true;
        report = true;
        report_late = report_late || lacks;
    }
    if (!nw_walk_guest_flags(hooks, context, nested, gva, pending, pending_count, out))
        return false;
    if (hooks->table)
        for (unsigned i = 0; i < reached_count; i++)
            hooks->table(context, NW_GUEST, gva, &reached[i]);
    return true;
}

/* Canonical check and truncation; false: the address has no translation. */
NW_INLINE bool nw_walk_input(const struct nw_paging *guest, uint64_t *gva)
{
    if (guest->input_rule == NW_INPUT_TRUNCATE)
        *gva &= (UINT64_C(1) << guest->input_bits) - 1;
    else if (guest->input_rule == NW_INPUT_CANONICAL)
        return nw_sign_extend(*gva, guest->input_bits) == *gva;
    else
        return !(*gva >> guest->input_bits);
    return true;
}

NW_INLINE uint16_t nw_walk_guest_rights(const struct nw_paging *guest, uint64_t allowed)
{
    const struct nw_format *f = guest->format;
    return (uint16_t)(NW_RIGHT_READ | (allowed & f->write ? NW_RIGHT_WRITE : 0) |
                      (!f->no_execute || (allowed & f->no_execute) ? NW_RIGHT_EXECUTE : 0) |
                      (allowed & f->user ? NW_RIGHT_USER : 0));
}

/* Step 5; out->rights has the guest's. */
NW_INLINE void nw_walk_final(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                             uint64_t gva, const struct nw_access *access, bool dirty, struct nw_walk_result *out)
{
    out->rights |= NW_RIGHT_NESTED_WRITE;
    out->page_log2 = out->guest_page_log2;
    out->hpa = nw_hpa(out->gpa.v);
    if (nested) {
        /* Mode-based execute control looks at the linear address, not at CPL (SDM vol. 3, "EPT Translation:
         * permissions"). */
        enum nw_privilege who = out->rights & NW_RIGHT_USER ? NW_USER : NW_SUPERVISOR;
        struct nw_nested_translation t;
        struct nw_nested_request q = { .need = nested->need[who][access->kind],
                                       .store = access->kind == NW_ACCESS_WRITE || access->kind == NW_ACCESS_RMW,
                                       .kind = (uint8_t)access->kind,
                                       .final = true,
                                       .for_guest_level = NW_FOR_FINAL,
                                       .gla = gva,
                                       .gla_valid = true,
                                       .advanced = (uint8_t)((out->rights & NW_RIGHT_USER ? 1 : 0) |
                                                             (out->rights & NW_RIGHT_WRITE ? 2 : 0) |
                                                             (out->rights & NW_RIGHT_EXECUTE ? 0 : 4)) };
        if (!nw_walk_nested_step(hooks, context, nested, out->gpa, &q, &t, out))
            return;
        out->hpa = t.hpa;
        out->nested_page_log2 = t.page_log2;
        if (t.page_log2 < out->page_log2)
            out->page_log2 = t.page_log2;
        out->rights &= (uint16_t)(nw_walk_nested_rights(nested, who, t.allowed) | NW_RIGHT_USER | NW_RIGHT_GLOBAL);
        dirty &= t.dirty;
    }
    if (dirty)
        out->rights |= NW_RIGHT_DIRTY;
}

/* Step 1; false: *out has the fault. */
NW_INLINE bool nw_walk_begin(const struct nw_paging *paging, uint64_t *gva, struct nw_walk_result *out)
{
    out->outcome = NW_WALK_OK;
    out->rights = 0;
    out->pkey = 0;
    out->nested_page_log2 = 0;
    if (NW_LIKELY(nw_walk_input(paging, gva)))
        return true;
    out->outcome = NW_WALK_NONCANONICAL;
    out->fault = (struct nw_fault){ .address = *gva, .gla = *gva, .level = -1, .for_guest_level = NW_FOR_FINAL };
    return false;
}

/* One walk. `nested` NULL: native. */
NW_INLINE void nw_walk_run(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *guest,
                           const struct nw_paging *nested, gva_t address, const struct nw_access *access,
                           struct nw_walk_result *out)
{
    uint64_t gva = address.v, allowed = ~UINT64_C(0);
    bool dirty = true;
    if (!nw_walk_begin(guest, &gva, out))
        return;
    if (NW_UNLIKELY(guest->levels == 0)) {
        out->gpa = nw_gpa(gva);
        out->guest_page_log2 = guest->input_bits;
        out->rights = NW_RIGHT_READ | NW_RIGHT_WRITE | NW_RIGHT_EXECUTE | NW_RIGHT_USER;
    } else {
        struct nw_walk_start at = nw_walk_guest_start(hooks, context, guest, nested, gva);
        if (!nw_walk_guest_steps(hooks, context, guest, nested, gva, access, at, &allowed, &dirty, out))
            return;
        out->rights |= nw_walk_guest_rights(guest, allowed);
    }
    nw_walk_final(hooks, context, nested, gva, access, dirty, out);
}

/* ---- agile paging ------------------------------------------------------------------------------- */

NW_INLINE bool nw_walk_shadow_fault(const struct nw_paging *shadow, uint64_t gva, const struct nw_access *access,
                                    unsigned level, uint64_t cause, struct nw_walk_result *out)
{
    nw_walk_page_fault(shadow, gva, access, (int)level, cause, out);
    out->fault.shadow = true;
    return false;
}

/* The part of an agile walk in shadow tables: to a leaf (at->switched stays false; *allowed and *dirty are set), or to a
 * switching entry (at->switched). False: *out has the fault. */
NW_INLINE bool nw_walk_shadow_steps(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *shadow,
                                    uint64_t gva, const struct nw_access *access, struct nw_walk_start *at,
                                    uint64_t *allowed, bool *dirty, struct nw_walk_result *out)
{
    const bool store = access->kind == NW_ACCESS_WRITE || access->kind == NW_ACCESS_RMW;
    for (;;) {
        unsigned level = at->level;
        hpa_t hpa = nw_hpa(at->table.v + (nw_paging_index(shadow, level, gva) << shadow->entry_log2));
        uint64_t entry = nw_walk_load(hooks, context, shadow, hpa);
        if (hooks->reference)
            hooks->reference(context, &(struct nw_reference){ .dimension = NW_GUEST,
                                                              .shadow = true,
                                                              .level = (uint8_t)level,
                                                              .for_guest_level = (int8_t)level,
                                                              .hpa = hpa,
                                                              .address = hpa.v,
                                                              .entry = entry });
        if (NW_UNLIKELY(!nw_entry_present(shadow, entry)))
            return nw_walk_shadow_fault(shadow, gva, access, level, 0, out);
        bool leaf = nw_entry_is_leaf(shadow, level, entry);
        if (NW_UNLIKELY(nw_entry_is_bad(shadow, level, entry, leaf)))
            return nw_walk_shadow_fault(shadow, gva, access, level, NW_PF_P | NW_PF_RSVD, out);
        at->allowed &= (entry ^ shadow->invert) | shadow->level[level].grants;
        uint64_t lacks = ~entry & shadow->level[level].accessed;
        if (leaf) {
            *allowed = at->allowed;
            *dirty = store || !(~entry & shadow->dirty);
            if (!nw_walk_guest_leaf(shadow, gva, access, level, entry, at->allowed, out)) {
                out->fault.shadow = true;
                return false;
            }
            lacks |= store ? ~entry & shadow->dirty : 0;
        }
        if (NW_UNLIKELY(lacks)) /* a VMM presets them */
            nw_walk_update(hooks, context, hpa, lacks);
        if (leaf)
            return true;
        at->level--;
        at->table = nw_hpa(entry & shadow->table_address);
        at->table_gpa = nw_gpa(at->table.v);
        at->switched = entry & NW_AGILE_SWITCH;
        if (hooks->table)
            hooks->table(context, NW_GUEST, gva, at);
        if (at->switched)
            return true;
    }
}

/* An agile walk (Gandhi, Hill and Swift, "Agile Paging: Exceeding the Best of Nested and Shadow Paging", ISCA 2016): it
 * begins in the shadow tree, and goes on nested below an entry with NW_AGILE_SWITCH, which holds the HPA of the guest's
 * table of the next level and what the guest's entries above it allow. shadow->root with NW_AGILE_SWITCH: the HPA of
 * the guest's root; the walk is nested from there on. Four levels over four, nothing cached: 4 references all in shadow
 * tables, 8 when the leaf table alone is the guest's, 12, 16, and 20 when the root is (the 24 of a nested walk less the 4
 * that find the root).
 *
 * `guest` and `nested` are what a nested walk is given; levels of the shadow tree and of the guest correspond from the
 * leaf up.
 *
 * A fault with out->fault.shadow is an exit to the VMM, whatever the guest's tables say. Any other one is the guest's
 * own or the second stage's. An access that no switching entry met has an HPA for out->gpa.
 * MODEL: A and D in the table that a switching entry points to are set without asking the second stage, as the
 * processor knows no GPA for it. A VMM switches only to tables that it lets the guest write. */
NW_INLINE void nw_walk_agile_run(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *shadow,
                                 const struct nw_paging *guest, const struct nw_paging *nested, gva_t address,
                                 const struct nw_access *access, struct nw_walk_result *out)
{
    uint64_t gva = address.v, allowed = ~UINT64_C(0);
    bool dirty = true;
    if (!nw_walk_begin(shadow, &gva, out))
        return;
    struct nw_walk_start at = { .level = (uint8_t)(shadow->levels - 1),
                                .switched = shadow->root & NW_AGILE_SWITCH,
                                .table_known = true,
                                .table_writable = true,
                                .table = nw_hpa(shadow->root & shadow->table_address),
                                .allowed = ~UINT64_C(0) };
    at.table_gpa = nw_gpa(at.table.v);
    if (hooks->start)
        hooks->start(context, NW_GUEST, gva, &at);
    if (!at.switched && !nw_walk_shadow_steps(hooks, context, shadow, gva, access, &at, &allowed, &dirty, out))
        return;
    if (!at.switched) {
        out->rights |= nw_walk_guest_rights(shadow, allowed);
        nw_walk_final(hooks, context, NULL, gva, access, dirty, out);
        return;
    }
    if (!nw_walk_guest_steps(hooks, context, guest, nested, gva, access, at, &allowed, &dirty, out))
        return;
    out->rights |= nw_walk_guest_rights(guest, allowed);
    nw_walk_final(hooks, context, nested, gva, access, dirty, out);
}

/* The nested dimension alone: an access by GPA, without any linear address. */
NW_INLINE void nw_walk_gpa_run(const struct nw_walk_hooks *hooks, void *context, const struct nw_paging *nested,
                               gpa_t gpa, enum nw_access_kind kind, struct nw_walk_result *out)
{
    struct nw_nested_translation t;
    struct nw_nested_request q = { .need = nested->need[NW_SUPERVISOR][kind],
                                   .store = kind == NW_ACCESS_WRITE || kind == NW_ACCESS_RMW,
                                   .kind = (uint8_t)kind,
                                   .final = true,
                                   .for_guest_level = NW_FOR_FINAL };
    *out = (struct nw_walk_result){ .outcome = NW_WALK_OK, .gpa = gpa };
    if (!nw_walk_nested_step(hooks, context, nested, gpa, &q, &t, out))
        return;
    out->hpa = t.hpa;
    out->page_log2 = out->nested_page_log2 = t.page_log2;
    out->rights = (uint16_t)(nw_walk_nested_rights(nested, NW_SUPERVISOR, t.allowed) | (t.dirty ? NW_RIGHT_DIRTY : 0));
}

#endif
