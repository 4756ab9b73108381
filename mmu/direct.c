/* Making and unmaking a domain under direct paging, and the names of its refusals and counters. */
#include "direct_internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *const nw_direct_type_name[NW_DIRECT_TYPES] = {
    [NW_DIRECT_NONE] = "none", [NW_DIRECT_L1] = "L1", [NW_DIRECT_L2] = "L2",
    [NW_DIRECT_L3] = "L3",     [NW_DIRECT_L4] = "L4", [NW_DIRECT_WRITABLE] = "writable",
};

const char *const nw_direct_refusal_name[NW_DIRECT_REFUSALS] = {
    [NW_DIRECT_OK] = "ok",
    [NW_DIRECT_NOT_OWNED] = "not-owned",
    [NW_DIRECT_BAD_FLAGS] = "bad-flags",
    [NW_DIRECT_TYPE_CONFLICT] = "type-conflict",
    [NW_DIRECT_LINEAR] = "linear",
    [NW_DIRECT_NOT_A_TABLE] = "not-a-table",
    [NW_DIRECT_NO_MAPPING] = "no-mapping",
    [NW_DIRECT_HYPERVISOR_SLOT] = "hypervisor-slot",
    [NW_DIRECT_MISALIGNED] = "misaligned",
    [NW_DIRECT_PINNED] = "pinned",
    [NW_DIRECT_NOT_PINNED] = "not-pinned",
    [NW_DIRECT_COUNT_OVERFLOW] = "count-overflow",
    [NW_DIRECT_BAD_COMMAND] = "bad-command",
};

const char *const nw_direct_refusal_text[NW_DIRECT_REFUSALS] = {
    [NW_DIRECT_OK] = "All was done.",
    [NW_DIRECT_NOT_OWNED] = "The frame does not exist or belongs to someone else.",
    [NW_DIRECT_BAD_FLAGS] = "The entry has bits set that are not allowed at its level.",
    [NW_DIRECT_TYPE_CONFLICT] =
        "The frame is in use as another type: a table cannot be writable, nor be of two levels.",
    [NW_DIRECT_LINEAR] = "Entries for tables of their own level: read-only, one step deep, if allowed at all.",
    [NW_DIRECT_NOT_A_TABLE] = "Only an entry of a validated L1 table can be changed this way.",
    [NW_DIRECT_NO_MAPPING] = "The base pointer's tables have no L1 entry for that address.",
    [NW_DIRECT_HYPERVISOR_SLOT] = "L4 slots 256 to 271 are the hypervisor's.",
    [NW_DIRECT_MISALIGNED] = "A superpage begins at 2 MiB, and a store at a multiple of its size.",
    [NW_DIRECT_PINNED] = "The table is pinned already.",
    [NW_DIRECT_NOT_PINNED] = "The frame is not pinned.",
    [NW_DIRECT_COUNT_OVERFLOW] = "The frame has as many references as can be counted.",
    [NW_DIRECT_BAD_COMMAND] = "There is no such command.",
};

#define ROW(field, unit, doc) NW_COUNTER(struct nw_direct_counters, field, #field, unit, doc)
const struct nw_counter_row nw_direct_counter_row[NW_DIRECT_COUNTERS] = {
    ROW(mmu_update, "hypercalls", "mmu_update: batches of updates."),
    ROW(update_va_mapping, "hypercalls", "update_va_mapping: one L1 entry by address."),
    ROW(mmuext, "hypercalls", "mmuext_op: batches of pins, base pointers and flushes."),
    ROW(entry_updates, "requests", "Entry updates asked for, by mmu_update and update_va_mapping."),
    ROW(machphys_updates, "requests", "Updates of the machine-to-physical table."),
    ROW(mmuext_commands, "requests", "Commands of mmuext_op."),
    ROW(flag_updates, "entries", "Changed entries that needed no check: the same frame with the same rights."),
    ROW(plain_writes, "entries", "Updates of pages that were no tables."),
    ROW(refused, "requests", "Requests and emulated stores refused."),
    ROW(ptwr_emulations, "stores", "Stores to L1 tables that trapped and were done."),
    ROW(ptwr_refused, "stores", "... that were refused."),
    ROW(validated_entries, "entries", "Entries looked at because a page became a table."),
    ROW(released_entries, "entries", "Entries looked at because a page ceased to be a table."),
    ROW(unwound_promotions, "pages", "Pages that were to become tables and had a bad entry in or below them."),
    ROW(promoted_l1, "pages", "Pages that became L1 tables."),
    ROW(promoted_l2, "pages", "Pages that became L2 tables."),
    ROW(promoted_l3, "pages", "Pages that became L3 tables."),
    ROW(promoted_l4, "pages", "Pages that became L4 tables."),
    ROW(demoted_l1, "pages", "Pages that ceased to be L1 tables."),
    ROW(demoted_l2, "pages", "Pages that ceased to be L2 tables."),
    ROW(demoted_l3, "pages", "Pages that ceased to be L3 tables."),
    ROW(demoted_l4, "pages", "Pages that ceased to be L4 tables."),
    ROW(pins, "tables", "Tables pinned."),
    ROW(unpins, "tables", "Tables unpinned."),
    ROW(base_switches, "switches", "Changes of a base pointer to another table."),
    ROW(page_fills, "pages", "Pages cleared or copied for the guest."),
    ROW(tlb_flush, "flushes", "Whole flushes asked for, and those of a new base pointer."),
    ROW(tlb_flush_type, "flushes", "Whole flushes because a frame changed its type while old translations might live."),
    ROW(invlpg, "flushes", "Flushes of one address."),
    ROW(tables_l1, "tables", "L1 tables (now)."),
    ROW(tables_l2, "tables", "L2 tables (now)."),
    ROW(tables_l3, "tables", "L3 tables (now)."),
    ROW(tables_l4, "tables", "L4 tables (now)."),
    ROW(pinned_tables, "tables", "Pinned tables (now)."),
    ROW(writable_leaves, "entries", "Leaf entries that map a page writable (now)."),
};

static void disallowed_init(struct nw_direct *d)
{
    uint64_t table = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY | PTE_SOFTWARE | PTE_NX | PTE_FRAME;
    uint64_t leaf = table | PTE_GLOBAL;
    if (d->config.cache_attributes)
        leaf |= PTE_PWT | PTE_PCD | PTE_PAT;
    for (unsigned t = NW_DIRECT_L2; t <= NW_DIRECT_L4; t++)
        d->disallowed[t] = ~table;
    d->disallowed[NW_DIRECT_L1] = ~leaf;
    if (d->config.superpages)
        d->disallowed[NW_DIRECT_L2] &= ~PTE_PSE;
}

enum nw_status nw_direct_create(struct nw_direct **out, const struct nw_direct_config *config, struct nw_error *err)
{
    *out = NULL;
    if (config->levels && config->levels != 4)
        return nw_fail(err, NW_ERR_UNSUPPORTED, "direct paging is modelled for 64-bit guests with 4 levels, not %u",
                       config->levels);
    unsigned bits = config->maxphyaddr ? config->maxphyaddr : NW_PHYS_BITS_MAX;
    if (!config->pm || bits < 32 || bits > NW_PHYS_BITS_MAX)
        return nw_fail(err, NW_ERR_USAGE, "direct paging needs memory, and 32 to 52 bits of address, not %u", bits);
    struct nw_direct *d = calloc(1, sizeof *d);
    if (!d)
        return nw_fail_nomem(err, "a domain under direct paging");
    d->config = *config;
    if (!d->config.count_max)
        d->config.count_max = UINT32_MAX;
    d->frames = UINT64_C(1) << (bits - NW_PAGE_LOG2);
    d->base = d->user_base = NW_DIRECT_NO_FRAME;
    disallowed_init(d);
    *out = d;
    return NW_OK;
}

void nw_direct_destroy(struct nw_direct *d)
{
    if (!d)
        return;
    direct_frames_free(d);
    free(d);
}

void direct_flush(struct nw_direct *d)
{
    d->flush_clock++;
    if (d->config.flush)
        d->config.flush(d->config.context, NULL);
}

uint64_t nw_direct_base(const struct nw_direct *d) { return d->base; }
uint64_t nw_direct_user_base(const struct nw_direct *d) { return d->user_base; }
const struct nw_direct_counters *nw_direct_counters(const struct nw_direct *d) { return &d->stat; }

void nw_direct_frame(const struct nw_direct *d, uint64_t mfn, struct nw_direct_frame *out)
{
    *out = (struct nw_direct_frame){ .gpfn = NW_DIRECT_NO_FRAME };
    const struct frame *f = direct_frame_find(d, mfn);
    if (!f)
        return;
    out->type = f->types ? (enum nw_direct_type)f->type : NW_DIRECT_NONE;
    out->type_count = f->types;
    out->references = f->references;
    out->pinned = f->pinned;
    out->validated = f->validated;
    out->gpfn = ~f->gpfn;
}

void nw_direct_outcome_describe(const struct nw_direct_outcome *o, char *out, size_t out_size)
{
    char frame[40] = "";
    if (o->refusal && o->mfn != NW_DIRECT_NO_FRAME)
        snprintf(frame, sizeof frame, ", frame 0x%" PRIx64, o->mfn);
    if (!o->refusal)
        snprintf(out, out_size, "%s", nw_direct_refusal_text[NW_DIRECT_OK]);
    else if (o->table)
        snprintf(out, out_size, "%s entry 0x%" PRIx64 " = 0x%" PRIx64 "%s: %s", nw_direct_type_name[o->table],
                 o->entry_hpa, o->value, frame, nw_direct_refusal_text[o->refusal]);
    else
        snprintf(out, out_size, "request 0x%" PRIx64 " = 0x%" PRIx64 "%s: %s", o->entry_hpa, o->value, frame,
                 nw_direct_refusal_text[o->refusal]);
}
