/* What the guest asks for: mmu_update, update_va_mapping, mmuext_op, and stores to its L1 tables that trapped. */
#include "direct_internal.h"
#include <string.h>

/* ---- one request and its result ----------------------------------------------------------------------------- */

static void fault_clear(struct nw_direct *d) { d->fault.refusal = NW_DIRECT_OK; /* the rest is written with it */ }

/* A refusal of the request itself, unless an entry deeper down has said more. */
static enum nw_direct_refusal refuse(struct nw_direct *d, enum nw_direct_refusal why, uint64_t ptr, uint64_t value,
                                     uint64_t mfn)
{
    direct_refuse(d, why, NULL, 0, value, mfn);
    if (!d->fault.table)
        d->fault.entry_hpa = ptr;
    return why;
}

static enum nw_status finish(struct nw_direct *d, enum nw_direct_refusal r, size_t done, struct nw_direct_outcome *out,
                             struct nw_error *err)
{
    *out = (struct nw_direct_outcome){ .mfn = NW_DIRECT_NO_FRAME };
    if (r == OUT_OF_MEMORY) {
        out->done = done;
        return nw_fail_nomem(err, "the frame table of a domain");
    }
    if (r) {
        *out = d->fault;
        d->stat.refused++;
    }
    out->done = done;
    return NW_OK;
}

/* ---- mmu_update --------------------------------------------------------------------------------------------- */

/* A page that is no table: a write to memory, for which the page must be able to be writable. */
static enum nw_direct_refusal plain_write(struct nw_direct *d, uint64_t ptr, uint64_t value)
{
    uint64_t mfn = ptr >> NW_PAGE_LOG2;
    struct frame *f;
    enum nw_direct_refusal r = direct_use(d, mfn, NW_DIRECT_WRITABLE, &f);
    if (r)
        return refuse(d, r, ptr, value, mfn);
    if (nw_physmem_write64(d->config.pm, nw_hpa(ptr), value, NULL))
        r = OUT_OF_MEMORY;
    else
        d->stat.plain_writes++;
    direct_unuse(d, f);
    return r;
}

static enum nw_direct_refusal entry_update(struct nw_direct *d, uint64_t ptr, uint64_t value, bool preserve_ad)
{
    uint64_t mfn = ptr >> NW_PAGE_LOG2;
    d->stat.entry_updates++;
    if (NW_UNLIKELY(!direct_owned(d, mfn)))
        return refuse(d, NW_DIRECT_NOT_OWNED, ptr, value, mfn);
    struct frame *f = direct_frame_find(d, mfn);
    if (NW_UNLIKELY(!f || !frame_is_table(f)))
        return plain_write(d, ptr, value);
    return direct_entry_write(d, direct_table_of(d, f), (unsigned)(ptr >> 3) % NW_WORDS_PER_PAGE, value, preserve_ad);
}

static enum nw_direct_refusal machphys_update(struct nw_direct *d, uint64_t ptr, uint64_t gpfn)
{
    uint64_t mfn = ptr >> NW_PAGE_LOG2;
    d->stat.machphys_updates++;
    struct frame *f;
    enum nw_direct_refusal r = direct_reference_get(d, mfn, &f);
    if (r)
        return refuse(d, r, ptr, gpfn, mfn);
    f->gpfn = ~gpfn;
    f->references--;
    return NW_DIRECT_OK;
}

static enum nw_direct_refusal update(struct nw_direct *d, const struct nw_direct_update *u)
{
    uint64_t ptr = u->ptr & ~UINT64_C(7);
    switch (u->ptr & 7) {
    case NW_DIRECT_NORMAL_PT_UPDATE: return entry_update(d, ptr, u->val, false);
    case NW_DIRECT_PT_UPDATE_PRESERVE_AD: return entry_update(d, ptr, u->val, true);
    case NW_DIRECT_MACHPHYS_UPDATE: return machphys_update(d, ptr, u->val);
    default: return refuse(d, NW_DIRECT_BAD_COMMAND, u->ptr, u->val, NW_DIRECT_NO_FRAME);
    }
}

enum nw_status nw_direct_mmu_update(struct nw_direct *d, const struct nw_direct_update *request, size_t count,
                                    struct nw_direct_outcome *out, struct nw_error *err)
{
    enum nw_direct_refusal r = NW_DIRECT_OK;
    size_t i;
    d->stat.mmu_update++;
    fault_clear(d);
    for (i = 0; i < count; i++)
        if ((r = update(d, &request[i])))
            break;
    return finish(d, r, i, out, err);
}

/* ---- update_va_mapping -------------------------------------------------------------------------------------- */

/* MFN of the table that holds the L1 entry, found as the processor finds it; a linear slot may lead to a table of
 * another level, which the caller sees by its type. */
static uint64_t walk(const struct nw_direct *d, uint64_t gva)
{
    uint64_t mfn = d->base;
    for (enum nw_direct_type level = NW_DIRECT_L4; level > NW_DIRECT_L1; level--) {
        unsigned index = (unsigned)(gva >> (3 + 9 * level)) % NW_WORDS_PER_PAGE;
        uint64_t e = nw_physmem_read64(d->config.pm, nw_hpa(mfn << NW_PAGE_LOG2 | index * 8));
        if (!(e & PTE_PRESENT) || entry_is_leaf(level, e))
            return NW_DIRECT_NO_FRAME;
        mfn = entry_mfn(e);
    }
    return mfn;
}

static enum nw_direct_refusal va_update(struct nw_direct *d, uint64_t gva, uint64_t value)
{
    unsigned slot = (unsigned)(gva >> 39) % NW_WORDS_PER_PAGE;
    d->stat.entry_updates++;
    if (nw_sign_extend(gva, 48) != gva || d->base == NW_DIRECT_NO_FRAME)
        return refuse(d, NW_DIRECT_NO_MAPPING, gva, value, NW_DIRECT_NO_FRAME);
    if (slot_is_xen(NW_DIRECT_L4, slot))
        return refuse(d, NW_DIRECT_HYPERVISOR_SLOT, gva, value, NW_DIRECT_NO_FRAME);
    uint64_t mfn = walk(d, gva);
    if (mfn == NW_DIRECT_NO_FRAME)
        return refuse(d, NW_DIRECT_NO_MAPPING, gva, value, NW_DIRECT_NO_FRAME);
    struct frame *f = direct_frame_find(d, mfn);
    if (!f || !f->types || f->type != NW_DIRECT_L1)
        return refuse(d, NW_DIRECT_NOT_A_TABLE, gva, value, mfn);
    return direct_entry_write(d, direct_table_of(d, f), (unsigned)(gva >> NW_PAGE_LOG2) % NW_WORDS_PER_PAGE, value,
                              false);
}

static void invlpg(struct nw_direct *d, gva_t gva)
{
    d->stat.invlpg++;
    if (d->config.flush)
        d->config.flush(d->config.context, &gva);
}

static void flush_all(struct nw_direct *d)
{
    d->stat.tlb_flush++;
    direct_flush(d);
}

enum nw_status nw_direct_update_va_mapping(struct nw_direct *d, gva_t gva, uint64_t value, unsigned flags,
                                           struct nw_direct_outcome *out, struct nw_error *err)
{
    d->stat.update_va_mapping++;
    fault_clear(d);
    enum nw_direct_refusal r = va_update(d, gva.v, value);
    switch (flags & 3) {
    case NW_DIRECT_UVMF_TLB_FLUSH: flush_all(d); break;
    case NW_DIRECT_UVMF_INVLPG: invlpg(d, gva); break;
    default: break;
    }
    return finish(d, r, !r, out, err);
}

/* ---- mmuext_op ---------------------------------------------------------------------------------------------- */

static enum nw_direct_refusal pin(struct nw_direct *d, uint64_t mfn, enum nw_direct_type type)
{
    struct frame *f;
    enum nw_direct_refusal r = direct_use(d, mfn, type, &f);
    if (r)
        return r;
    if (f->pinned) {
        direct_unuse(d, f);
        return NW_DIRECT_PINNED;
    }
    f->pinned = true;
    d->stat.pins++;
    d->stat.pinned_tables++;
    return NW_DIRECT_OK;
}

static enum nw_direct_refusal unpin(struct nw_direct *d, uint64_t mfn)
{
    if (!direct_owned(d, mfn))
        return NW_DIRECT_NOT_OWNED;
    struct frame *f = direct_frame_find(d, mfn);
    if (!f || !f->pinned)
        return NW_DIRECT_NOT_PINNED;
    f->pinned = false;
    d->stat.unpins++;
    d->stat.pinned_tables--;
    direct_unuse(d, f);
    return NW_DIRECT_OK;
}

static enum nw_direct_refusal base_set(struct nw_direct *d, uint64_t *base, uint64_t mfn)
{
    if (mfn == *base)
        return NW_DIRECT_OK;
    struct frame *f;
    if (mfn != NW_DIRECT_NO_FRAME) {
        enum nw_direct_refusal r = direct_use(d, mfn, NW_DIRECT_L4, &f);
        if (r)
            return r;
    }
    uint64_t old = *base;
    *base = mfn;
    if (old != NW_DIRECT_NO_FRAME)
        direct_unuse(d, direct_frame_find(d, old));
    d->stat.base_switches++;
    return NW_DIRECT_OK;
}

static enum nw_direct_refusal new_base(struct nw_direct *d, uint64_t mfn)
{
    if (mfn == NW_DIRECT_NO_FRAME)
        return NW_DIRECT_NOT_OWNED;
    enum nw_direct_refusal r = base_set(d, &d->base, mfn);
    if (!r)
        flush_all(d); /* also when it is the same: CR3 is written */
    return r;
}

/* CLEAR_PAGE and COPY_PAGE; `from` NO_FRAME: zeroes. */
static enum nw_direct_refusal page_fill(struct nw_direct *d, uint64_t mfn, uint64_t from)
{
    struct frame *f;
    if (from != NW_DIRECT_NO_FRAME && !direct_owned(d, from))
        return NW_DIRECT_NOT_OWNED;
    enum nw_direct_refusal r = direct_use(d, mfn, NW_DIRECT_WRITABLE, &f);
    if (r)
        return r;
    uint64_t *to;
    const uint64_t *source =
        from == NW_DIRECT_NO_FRAME ? NULL : nw_physmem_find(d->config.pm, nw_hpa(from << NW_PAGE_LOG2));
    if (nw_physmem_make(d->config.pm, nw_hpa(mfn << NW_PAGE_LOG2), &to, NULL)) {
        r = OUT_OF_MEMORY;
    } else if (source) {
        memmove(to, source, NW_PAGE_BYTES); /* a page onto itself is no error */
    } else {
        memset(to, 0, NW_PAGE_BYTES);
    }
    if (!r)
        d->stat.page_fills++;
    direct_unuse(d, f);
    return r;
}

static enum nw_direct_refusal extended(struct nw_direct *d, const struct nw_direct_mmuext *c)
{
    switch (c->command) {
    case NW_DIRECT_PIN_L1_TABLE:
    case NW_DIRECT_PIN_L2_TABLE:
    case NW_DIRECT_PIN_L3_TABLE:
    case NW_DIRECT_PIN_L4_TABLE: return pin(d, c->mfn, NW_DIRECT_L1 + (c->command - NW_DIRECT_PIN_L1_TABLE));
    case NW_DIRECT_UNPIN_TABLE: return unpin(d, c->mfn);
    case NW_DIRECT_NEW_BASEPTR: return new_base(d, c->mfn);
    case NW_DIRECT_NEW_USER_BASEPTR: return base_set(d, &d->user_base, c->mfn ? c->mfn : NW_DIRECT_NO_FRAME);
    case NW_DIRECT_TLB_FLUSH_LOCAL:
    case NW_DIRECT_TLB_FLUSH_ALL: flush_all(d); return NW_DIRECT_OK;
    case NW_DIRECT_INVLPG_LOCAL:
    case NW_DIRECT_INVLPG_ALL: invlpg(d, c->gva); return NW_DIRECT_OK;
    case NW_DIRECT_CLEAR_PAGE: return page_fill(d, c->mfn, NW_DIRECT_NO_FRAME);
    case NW_DIRECT_COPY_PAGE:
        return c->source_mfn == NW_DIRECT_NO_FRAME ? NW_DIRECT_NOT_OWNED : page_fill(d, c->mfn, c->source_mfn);
    default: return NW_DIRECT_BAD_COMMAND;
    }
}

enum nw_status nw_direct_mmuext(struct nw_direct *d, const struct nw_direct_mmuext *command, size_t count,
                                struct nw_direct_outcome *out, struct nw_error *err)
{
    enum nw_direct_refusal r = NW_DIRECT_OK;
    size_t i;
    d->stat.mmuext++;
    fault_clear(d);
    for (i = 0; i < count; i++) {
        d->stat.mmuext_commands++;
        if ((r = extended(d, &command[i]))) {
            refuse(d, r, 0, (uint64_t)command[i].command, command[i].mfn);
            break;
        }
    }
    return finish(d, r, i, out, err);
}

/* ---- writable page tables ----------------------------------------------------------------------------------- */

/* MODEL: Xen finds the table through the read-only mapping that faulted, and emulates the instruction. Here the caller
 * says where the store goes and what it stores. */
static enum nw_direct_refusal emulate(struct nw_direct *d, uint64_t address, unsigned bytes, uint64_t value)
{
    uint64_t mfn = address >> NW_PAGE_LOG2;
    if (address % bytes)
        return refuse(d, NW_DIRECT_MISALIGNED, address, value, mfn);
    if (!direct_owned(d, mfn))
        return refuse(d, NW_DIRECT_NOT_OWNED, address, value, mfn);
    struct frame *f = direct_frame_find(d, mfn);
    if (!f || !f->types || f->type != NW_DIRECT_L1)
        return refuse(d, NW_DIRECT_NOT_A_TABLE, address, value, mfn);
    struct table *t = direct_table_of(d, f);
    unsigned index = (unsigned)(address >> 3) % NW_WORDS_PER_PAGE, shift = (unsigned)(address % 8) * 8;
    uint64_t mask = nw_mask(bytes * 8 - 1, 0) << shift;
    return direct_entry_write(d, t, index, (t->word[index] & ~mask) | ((value << shift) & mask), false);
}

enum nw_status nw_direct_ptwr(struct nw_direct *d, hpa_t address, unsigned bytes, uint64_t value,
                              struct nw_direct_outcome *out, struct nw_error *err)
{
    *out = (struct nw_direct_outcome){ .mfn = NW_DIRECT_NO_FRAME };
    if (bytes > 8 || !nw_is_pow2(bytes))
        return nw_fail(err, NW_ERR_USAGE, "a store of %u bytes; 1, 2, 4 and 8 can be emulated", bytes);
    fault_clear(d);
    enum nw_direct_refusal r = emulate(d, address.v, bytes, value);
    if (!r)
        d->stat.ptwr_emulations++;
    else if (r != OUT_OF_MEMORY)
        d->stat.ptwr_refused++;
    return finish(d, r, !r, out, err);
}
