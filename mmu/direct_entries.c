/* Entries of tables: what they refer to is taken and released; pages become tables and cease to be
 * (mm.c: get_page_from_l1e to _l4e, alloc_page_type, free_page_type, mod_l1_entry to _l4_entry). */
#include "direct_internal.h"

enum nw_direct_refusal direct_refuse(struct nw_direct *d, enum nw_direct_refusal why, const struct table *t,
                                     unsigned index, uint64_t value, uint64_t mfn)
{
    if (d->fault.refusal || why == OUT_OF_MEMORY)
        return why;
    d->fault = (struct nw_direct_outcome){ .refusal = why, .value = value, .mfn = mfn };
    if (t) {
        d->fault.table = t->type;
        d->fault.entry_hpa = t->mfn << NW_PAGE_LOG2 | index * 8;
    }
    return why;
}

/* ---- what one entry refers to ------------------------------------------------------------------------------- */

static enum nw_direct_refusal leaf_take(struct nw_direct *d, uint64_t mfn, bool write)
{
    struct frame *f;
    return write ? direct_use(d, mfn, NW_DIRECT_WRITABLE, &f) : direct_reference_get(d, mfn, &f);
}

static void leaf_drop(struct nw_direct *d, struct frame *f, bool write)
{
    if (write)
        direct_type_put(d, f);
    f->references--;
}

/* MODEL: only a writable superpage gives its frames a type, as small leaves do. Xen's get_spage_pages asks for the
 * writable type whatever the entry says. */
static enum nw_direct_refusal superpage_take(struct nw_direct *d, uint64_t mfn, bool write, uint64_t *at)
{
    *at = mfn;
    if (mfn % NW_WORDS_PER_PAGE)
        return NW_DIRECT_MISALIGNED;
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        enum nw_direct_refusal r = leaf_take(d, mfn + i, write);
        if (r) {
            *at = mfn + i;
            while (i-- > 0)
                leaf_drop(d, direct_frame_find(d, mfn + i), write);
            return r;
        }
    }
    return NW_DIRECT_OK;
}

/* An entry that points to a table of the same level as its own, `f`, which holds a reference already (mm.c,
 * define_get_linear_pagetable). Two tables deep at most: who is pointed to so has no such entries itself, but to
 * itself; else a ring of tables would keep itself alive. */
static enum nw_direct_refusal linear_take(struct nw_direct *d, const struct table *t, struct frame *f, uint64_t e)
{
    if (!d->config.linear_tables || (e & PTE_WRITE))
        return NW_DIRECT_LINEAR;
    if (f == t->frame) {
        f->references--; /* itself: no count, or it could never end */
        return NW_DIRECT_OK;
    }
    if (!f->validated || f->linear > 0 || t->frame->linear < 0 || f->linear == INT16_MIN ||
        t->frame->linear == INT16_MAX)
        return NW_DIRECT_LINEAR;
    if (f->types >= d->config.count_max)
        return NW_DIRECT_COUNT_OVERFLOW;
    f->types++;
    f->linear--;
    t->frame->linear++;
    return NW_DIRECT_OK;
}

static enum nw_direct_refusal child_take(struct nw_direct *d, const struct table *t, uint64_t e)
{
    struct frame *f;
    enum nw_direct_refusal r = direct_reference_get(d, entry_mfn(e), &f);
    if (r)
        return r;
    r = direct_type_get(d, f, entry_mfn(e), t->type - 1);
    if (r == NW_DIRECT_TYPE_CONFLICT && f->type == t->type)
        r = linear_take(d, t, f, e);
    if (r)
        f->references--;
    return r;
}

static void child_drop(struct nw_direct *d, const struct table *t, uint64_t e)
{
    if (entry_mfn(e) == t->mfn)
        return;
    struct frame *f = direct_frame_find(d, entry_mfn(e));
    bool linear = f->type == t->type;
    direct_unuse(d, f);
    if (linear) {
        f->linear++;
        t->frame->linear--;
    }
}

static enum nw_direct_refusal entry_take(struct nw_direct *d, struct table *t, unsigned index, uint64_t e)
{
    enum nw_direct_refusal r;
    uint64_t at = entry_mfn(e);
    bool write = e & PTE_WRITE;
    if (e & d->disallowed[t->type])
        r = NW_DIRECT_BAD_FLAGS;
    else if (!entry_is_leaf(t->type, e))
        r = child_take(d, t, e);
    else if (write && !direct_links_make(t))
        r = OUT_OF_MEMORY;
    else if (t->type == NW_DIRECT_L1)
        r = leaf_take(d, at, write);
    else
        r = superpage_take(d, entry_mfn(e), write, &at);
    return NW_UNLIKELY(r) ? direct_refuse(d, r, t, index, e, at) : r;
}

static void entry_drop(struct nw_direct *d, const struct table *t, uint64_t e)
{
    if (!entry_is_leaf(t->type, e)) {
        child_drop(d, t, e);
        return;
    }
    struct group *g = direct_group_find(d, entry_mfn(e));
    if (t->type == NW_DIRECT_L1) {
        leaf_drop(d, &g->frame[entry_mfn(e) % NW_WORDS_PER_PAGE], e & PTE_WRITE);
        return;
    }
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++)
        leaf_drop(d, &g->frame[i], e & PTE_WRITE);
}

/* ---- pages become tables ------------------------------------------------------------------------------------ */

static uint64_t *level_counter(uint64_t *l1, enum nw_direct_type type) { return l1 + (type - NW_DIRECT_L1); }

/* Releases entries [0, end), last first. Returns how many were looked at. */
static unsigned entries_release(struct nw_direct *d, struct table *t, unsigned end)
{
    unsigned looked = 0;
    for (unsigned i = end; i-- > 0;) {
        if (slot_is_xen(t->type, i))
            continue;
        looked++;
        uint64_t e = t->word[i];
        if (e & PTE_PRESENT) {
            direct_link_remove(d, t, i, e);
            entry_drop(d, t, e);
        }
    }
    return looked;
}

/* The frame has the type, with a count of 1, and is not validated. */
enum nw_direct_refusal direct_promote(struct nw_direct *d, struct frame *f, uint64_t mfn, enum nw_direct_type type)
{
    struct table *t = direct_table_make(d, f, mfn, type);
    if (!t)
        return OUT_OF_MEMORY;
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        if (slot_is_xen(type, i))
            continue;
        uint64_t e = t->word[i];
        d->stat.validated_entries++;
        if (!(e & PTE_PRESENT))
            continue;
        enum nw_direct_refusal r = entry_take(d, t, i, e);
        if (r) {
            entries_release(d, t, i);
            direct_table_free(d, t);
            d->stat.unwound_promotions++;
            return r;
        }
        direct_link_add(d, t, i, e);
    }
    /* MODEL: Xen puts its own mappings into its slots. Here it has none; what the guest left there must not be walked. */
    if (type == NW_DIRECT_L4)
        for (unsigned i = NW_DIRECT_FIRST_XEN_SLOT; i <= NW_DIRECT_LAST_XEN_SLOT; i++)
            t->word[i] = 0;
    f->validated = true;
    ++*level_counter(&d->stat.promoted_l1, type);
    ++*level_counter(&d->stat.tables_l1, type);
    return NW_DIRECT_OK;
}

void direct_demote(struct nw_direct *d, struct frame *f)
{
    struct table *t = direct_table_of(d, f);
    f->validated = false;
    d->stat.released_entries += entries_release(d, t, NW_WORDS_PER_PAGE);
    ++*level_counter(&d->stat.demoted_l1, t->type);
    --*level_counter(&d->stat.tables_l1, t->type);
    direct_table_free(d, t);
}

/* ---- one entry is changed ----------------------------------------------------------------------------------- */

/* MODEL: Xen forces U/S (and G for user pages) into the entries of a 64-bit guest, whose kernel runs in ring 3 like
 * its processes. The entry stays as the guest wrote it here, and the engine decides what ring its kernel runs in. */
enum nw_direct_refusal direct_entry_write(struct nw_direct *d, struct table *t, unsigned index, uint64_t value,
                                          bool preserve_ad)
{
    if (NW_UNLIKELY(slot_is_xen(t->type, index)))
        return direct_refuse(d, NW_DIRECT_HYPERVISOR_SLOT, t, index, value, NW_DIRECT_NO_FRAME);
    uint64_t *word = &t->word[index], old = *word;
    uint64_t kept = preserve_ad ? old & (PTE_ACCESSED | PTE_DIRTY) : 0;
    if (value & PTE_PRESENT) {
        if ((old & PTE_PRESENT) && !((old ^ value) & ~PTE_FREE)) {
            *word = value | kept;
            d->stat.flag_updates++;
            return NW_DIRECT_OK;
        }
        /* The new reference first: an entry that keeps its table must not let it go in between. */
        enum nw_direct_refusal r = entry_take(d, t, index, value);
        if (NW_UNLIKELY(r))
            return r;
    }
    if (old & PTE_PRESENT)
        direct_link_remove(d, t, index, old);
    *word = value | kept;
    if (value & PTE_PRESENT)
        direct_link_add(d, t, index, value);
    if (old & PTE_PRESENT)
        entry_drop(d, t, old);
    return NW_DIRECT_OK;
}
