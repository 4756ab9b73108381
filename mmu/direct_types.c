/* References to frames and the types they hold (mm.c: get_page, __get_page_type, _put_page_type). */
#include "direct_internal.h"

enum nw_direct_refusal direct_reference_get(struct nw_direct *d, uint64_t mfn, struct frame **out)
{
    *out = NULL;
    if (!direct_owned(d, mfn))
        return NW_DIRECT_NOT_OWNED;
    struct group *g = direct_group_find(d, mfn);
    if (NW_UNLIKELY(!g) && !(g = direct_group_make(d, mfn)))
        return OUT_OF_MEMORY;
    struct frame *f = &g->frame[mfn % NW_WORDS_PER_PAGE];
    if (NW_UNLIKELY(f->references >= d->config.count_max))
        return NW_DIRECT_COUNT_OVERFLOW;
    f->references++;
    *out = f;
    return NW_DIRECT_OK;
}

/* The frame's type count is 0. Translations from its former life may be in the TLB: a writable one must not outlive
 * the change to a table. A flush since then has removed them (tlbflush_timestamp). */
static void type_change(struct nw_direct *d, struct frame *f, enum nw_direct_type type)
{
    if (f->type == type)
        return;
    if (f->type != NW_DIRECT_NONE && f->stamp == d->flush_clock) {
        d->stat.tlb_flush_type++;
        direct_flush(d);
    }
    f->type = (uint8_t)type;
}

enum nw_direct_refusal direct_type_get(struct nw_direct *d, struct frame *f, uint64_t mfn, enum nw_direct_type type)
{
    if (NW_UNLIKELY(f->types >= d->config.count_max))
        return NW_DIRECT_COUNT_OVERFLOW;
    if (f->types) {
        if (f->type != type)
            return NW_DIRECT_TYPE_CONFLICT;
        f->types++;
        return NW_DIRECT_OK;
    }
    type_change(d, f, type);
    f->types = 1;
    if (type == NW_DIRECT_WRITABLE)
        return NW_DIRECT_OK;
    enum nw_direct_refusal r = direct_promote(d, f, mfn, type);
    if (r) {
        f->types = 0;
        f->type = NW_DIRECT_NONE;
    }
    return r;
}

void direct_type_put(struct nw_direct *d, struct frame *f)
{
    if (f->types == 1 && f->type != NW_DIRECT_WRITABLE)
        direct_demote(d, f); /* with its count still at 1, so that nothing below it can take it for free */
    if (!--f->types)
        f->stamp = d->flush_clock;
}

enum nw_direct_refusal direct_use(struct nw_direct *d, uint64_t mfn, enum nw_direct_type type, struct frame **out)
{
    enum nw_direct_refusal r = direct_reference_get(d, mfn, out);
    if (r)
        return r;
    r = direct_type_get(d, *out, mfn, type);
    if (r)
        (*out)->references--;
    return r;
}

void direct_unuse(struct nw_direct *d, struct frame *f)
{
    direct_type_put(d, f);
    f->references--;
}
