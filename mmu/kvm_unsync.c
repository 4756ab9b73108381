/* Unsync tables: letting the guest write its level-0 tables, remembering above them that it may have, and bringing
 * them up to date when the guest flushes. */
#include "kvm_internal.h"

/* ---- marks -------------------------------------------------------------------------------------------------- */

static void mark_parents(struct nw_kvm *k, struct page *p)
{
    for (spte_id id = p->parents; id;) {
        struct page *parent = page_of(k, id);
        unsigned index = index_of(id);
        kvm_mark_unsync(k, parent, index);
        id = parent->link[index].next;
    }
}

void kvm_mark_unsync(struct nw_kvm *k, struct page *parent, unsigned index)
{
    uint64_t *word = &parent->unsync_map[index / 64], bit = NW_BIT(index % 64);
    if (*word & bit)
        return;
    *word |= bit;
    if (!parent->unsync_children++)
        mark_parents(k, parent);
}

static void clear_mark(struct page *parent, unsigned index)
{
    uint64_t *word = &parent->unsync_map[index / 64], bit = NW_BIT(index % 64);
    if (!(*word & bit))
        return;
    *word &= ~bit;
    parent->unsync_children--;
}

bool kvm_try_unsync(struct nw_kvm *k, uint64_t gfn, bool synchronizing, bool prefetch)
{
    if (kvm_tracked(k, gfn))
        return false;
    for (struct page *p = NULL; (p = kvm_table_next(k, gfn, p));) {
        if (synchronizing)
            return false;
        if (p->unsync)
            continue;
        if (prefetch)
            return false;
        event_page(k, 'U', p, "");
        k->stat.mmu_unsync++;
        p->unsync = true;
        mark_parents(k, p);
    }
    return true;
}

void kvm_unlink_unsync(struct nw_kvm *k, struct page *p)
{
    event_page(k, 'Y', p, "");
    p->unsync = false;
    k->stat.mmu_unsync--;
}

/* ---- one entry, one page ------------------------------------------------------------------------------------ */

/* -1: the guest's entry cannot be read; else whether a flush is wanted. */
static int sync_entry(struct nw_kvm *k, struct page *p, unsigned index)
{
    uint64_t old = p->spte[index], entry, spte;
    if (!old)
        return 0;
    if (!kvm_guest_read(k, (p->gfn << NW_PAGE_LOG2) + index * 8u, 8, &entry))
        return -1;
    if (kvm_prefetch_invalid(k, entry)) {
        if (spte_present(old))
            kvm_leaf_drop(k, p, index);
        else
            p->spte[index] = 0;
        return 1;
    }
    uint64_t gfn = (entry & k->guest.level[0].leaf_address) >> NW_PAGE_LOG2;
    unsigned access = kvm_clean_access(p->role.access & kvm_entry_access(k, entry), entry);
    if (spte_mmio(old)) {
        if (gfn == p->shadowed[index] >> 3)
            kvm_mmio_mark(p, index, gfn, access);
        else
            p->spte[index] = 0;
        return 0;
    }
    if (gfn != leaf_gfn(p, index)) {
        kvm_leaf_drop(k, p, index);
        return 1;
    }
    if (access == leaf_access(p, index))
        return 0;
    leaf_remember(p, index, gfn, access);
    (void)kvm_spte_make(k, p, access, gfn, old, true, true, old & SPTE_HOST_WRITABLE, &spte);
    return kvm_spte_update(p, index, spte);
}

int kvm_sync_page(struct nw_kvm *k, struct page *p)
{
    int flush = 0;
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        int one = sync_entry(k, p, i);
        if (one < 0) {
            kvm_prepare_zap(k, p);
            return -1;
        }
        flush |= one;
    }
    return flush;
}

/* ---- all below a page --------------------------------------------------------------------------------------- */

/* Unsync pages found on one walk down, with the pages above them, in the order of the walk. */
struct batch {
    unsigned count;
    struct {
        struct page *page;
        unsigned index; /* in the page above */
    } at[NW_KVM_SYNC_BATCH];
};
/* Where the page that is looked at hangs: parent[level] is the page at level + 1, index[level] the entry in it. */
struct chain {
    struct page *parent[NW_LEVELS_MAX + 1];
    unsigned index[NW_LEVELS_MAX];
};

static bool batch_add(struct batch *b, struct page *p, unsigned index) /* true: full */
{
    if (p->unsync)
        for (unsigned i = 0; i < b->count; i++)
            if (b->at[i].page == p)
                return false;
    b->at[b->count].page = p;
    b->at[b->count].index = index;
    return ++b->count == NW_KVM_SYNC_BATCH;
}

enum { BATCH_FULL = -1 };

/* How many unsync pages there are below; marks that lead to none are cleared on the way. */
static int collect(struct nw_kvm *k, struct page *p, struct batch *b)
{
    int found = 0;
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        if (!(p->unsync_map[i / 64] >> (i % 64)))
            i |= 63; /* none left in this word */
        if (!(p->unsync_map[i / 64] >> (i % 64) & 1))
            continue;
        uint64_t entry = p->spte[i];
        if (!spte_present(entry) || (entry & SPTE_LARGE)) {
            clear_mark(p, i);
            continue;
        }
        struct page *child = child_of(k, entry);
        if (child->unsync_children) {
            if (batch_add(b, child, i))
                return BATCH_FULL;
            int below = collect(k, child, b);
            if (below < 0)
                return below;
            if (!below)
                clear_mark(p, i);
            found += below;
        } else if (child->unsync) {
            found++;
            if (batch_add(b, child, i))
                return BATCH_FULL;
        } else {
            clear_mark(p, i);
        }
    }
    return found;
}

static bool collect_from(struct nw_kvm *k, struct page *p, struct batch *b)
{
    b->count = 0;
    if (!p->unsync_children)
        return false;
    (void)batch_add(b, p, 0);
    return collect(k, p, b) != 0;
}

/* The next level-0 page of the batch after position `at`, with the chain above it; the count when there is none. */
static unsigned batch_next(const struct batch *b, struct chain *c, unsigned at)
{
    for (at++; at < b->count; at++) {
        struct page *p = b->at[at].page;
        c->index[p->role.level] = b->at[at].index;
        if (!p->role.level)
            break;
        c->parent[p->role.level - 1] = p;
    }
    return at;
}

static unsigned batch_first(const struct batch *b, struct chain *c)
{
    struct page *top = b->at[0].page;
    c->parent[top->role.level - 1] = top;
    c->parent[top->role.level] = NULL;
    return batch_next(b, c, 0);
}

static void clear_marks_above(const struct chain *c)
{
    unsigned level = 0;
    struct page *p;
    do {
        if (!(p = c->parent[level]))
            return;
        clear_mark(p, c->index[level++]);
    } while (!p->unsync_children);
}

void kvm_sync_children(struct nw_kvm *k, struct page *parent)
{
    struct batch b;
    struct chain c;
    bool flush = false;
    while (collect_from(k, parent, &b)) {
        bool protected = false;
        for (unsigned i = batch_first(&b, &c); i < b.count; i = batch_next(&b, &c, i))
        protected |= kvm_write_protect_gfn(k, b.at[i].page->gfn);
        if (protected) {
            kvm_flush_or_zap(k, true);
            flush = false;
        }
        for (unsigned i = batch_first(&b, &c); i < b.count; i = batch_next(&b, &c, i)) {
            kvm_unlink_unsync(k, b.at[i].page);
            flush |= kvm_sync_page(k, b.at[i].page) > 0;
            clear_marks_above(&c);
        }
    }
    kvm_flush_or_zap(k, flush);
}

void kvm_zap_unsync_children(struct nw_kvm *k, struct page *parent)
{
    struct batch b;
    struct chain c;
    if (!parent->role.level)
        return;
    while (collect_from(k, parent, &b))
        for (unsigned i = batch_first(&b, &c); i < b.count; i = batch_next(&b, &c, i)) {
            kvm_prepare_zap(k, b.at[i].page);
            clear_marks_above(&c);
        }
}

bool kvm_root_is_unsync(const struct root *r) { return r->page && (r->page->unsync || r->page->unsync_children); }

void kvm_sync_root(struct nw_kvm *k)
{
    if (!k->root.page)
        return;
    mmio_forget(k);
    if (kvm_root_is_unsync(&k->root))
        kvm_sync_children(k, k->root.page);
}

void kvm_invalidate_address(struct nw_kvm *k, const struct root *r, uint64_t gva)
{
    if (k->mmio.valid && k->mmio.gva == gva >> NW_PAGE_LOG2)
        mmio_forget(k);
    for (struct page *p = r->page; p;) {
        unsigned index = (unsigned)nw_paging_index(&k->shadow, p->role.level, gva);
        if (p->unsync) {
            int flush = sync_entry(k, p, index);
            if (flush < 0)
                kvm_entry_zap(k, p, index);
            if (flush)
                flush_request(k);
        }
        uint64_t entry = p->spte[index];
        if (!p->unsync_children || !spte_present(entry) || spte_leaf(entry, p->role.level))
            return;
        p = child_of(k, entry);
    }
}
