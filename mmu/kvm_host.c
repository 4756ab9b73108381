/* The host's side: memory slots, the pages behind them, what the host does to those (unmapping, protection, dirty
 * logging), and access to the guest's memory. */
#include "kvm_internal.h"
#include <stdlib.h>

static uint64_t region_log2(unsigned level) { return NW_PAGE_LOG2 + 9 * level; }
static uint64_t region_of(const struct slot *s, uint64_t gfn, unsigned level)
{
    return (gfn >> (9 * level)) - (s->as.first_gfn >> (9 * level));
}

struct slot *kvm_slot_find(const struct nw_kvm *k, uint64_t gfn)
{
    for (struct slot *s = k->slot; s; s = s->next)
        if (gfn - s->as.first_gfn < s->as.pages)
            return s;
    return NULL;
}

struct rmap *kvm_rmap(const struct nw_kvm *k, uint64_t gfn, unsigned level)
{
    struct slot *s = kvm_slot_find(k, gfn);
    return s ? &s->rmap[level][region_of(s, gfn, level)] : NULL;
}

uint64_t kvm_gfn_hpa(const struct nw_kvm *k, uint64_t gfn)
{
    const struct slot *s = kvm_slot_find(k, gfn);
    if (!s)
        return 0;
    return k->config.frame ? k->config.frame(k->config.context, gfn).v
                           : s->as.hpa + ((gfn - s->as.first_gfn) << NW_PAGE_LOG2);
}

/* ---- host pages --------------------------------------------------------------------------------------------- */

static const uint64_t HUGE_PAGES = 512;

static uint8_t *host_page(const struct slot *s, uint64_t gfn) { return &s->host[gfn - s->as.first_gfn]; }

bool kvm_host_ready(const struct slot *s, uint64_t gfn)
{
    uint8_t page = *host_page(s, gfn);
    return (page & HOST_RESIDENT) && (page & HOST_WRITABLE);
}

/* Zaps every leaf that maps a frame of [first, end). */
static void notify(struct nw_kvm *k, struct slot *s, uint64_t first, uint64_t end)
{
    bool flush = false;
    for (unsigned level = 0; level < LEAF_LEVELS && first < end; level++)
        for (uint64_t i = region_of(s, first, level); i <= region_of(s, end - 1, level); i++)
            while (s->rmap[level][i].first) {
                spte_id id = s->rmap[level][i].first;
                kvm_leaf_drop(k, page_of(k, id), index_of(id));
                flush = true;
            }
    k->notifications++;
    if (flush)
        flush_request(k);
}

bool kvm_host_fault_in(struct nw_kvm *k, struct slot *s, uint64_t gfn, bool write)
{
    uint8_t *page = host_page(s, gfn);
    if (*page & HOST_PROTECTED) {
        *page |= HOST_RESIDENT;
    } else if (!(*page & HOST_RESIDENT)) {
        *page |= HOST_RESIDENT | (write || !s->as.anonymous ? HOST_WRITABLE : 0);
    } else if (write && !(*page & HOST_WRITABLE)) { /* the zero page is copied: what maps it must go */
        *page |= HOST_WRITABLE;
        notify(k, s, gfn, gfn + 1);
    }
    return *page & HOST_WRITABLE;
}

/* Calls `change` for each slot's part of the range; both ends are rounded out to pages. */
static void each_part(struct nw_kvm *k, gpa_t gpa, uint64_t bytes,
                      void (*change)(struct nw_kvm *k, struct slot *s, uint64_t first, uint64_t end, bool flag),
                      bool flag)
{
    if (!bytes)
        return;
    uint64_t first = gpa.v >> NW_PAGE_LOG2, last = gpa.v + bytes - 1 < gpa.v ? UINT64_MAX : gpa.v + bytes - 1;
    last >>= NW_PAGE_LOG2;
    for (struct slot *s = k->slot; s; s = s->next) {
        uint64_t slot_last = s->as.first_gfn + s->as.pages - 1;
        uint64_t from = first > s->as.first_gfn ? first : s->as.first_gfn, to = last < slot_last ? last : slot_last;
        if (from <= to)
            change(k, s, from, to + 1, flag);
    }
}

/* Large host pages that the range cuts are no longer large. */
static void split_large(struct slot *s, uint64_t first, uint64_t end)
{
    if (s->as.page_log2 <= NW_PAGE_LOG2)
        return;
    uint64_t size = NW_BIT(s->as.page_log2 - NW_PAGE_LOG2);
    for (uint64_t gfn = first & ~(size - 1); gfn < end; gfn++)
        if (gfn - s->as.first_gfn < s->as.pages)
            *host_page(s, gfn) |= HOST_SPLIT;
    for (uint64_t gfn = end; gfn & (size - 1); gfn++)
        if (gfn - s->as.first_gfn < s->as.pages)
            *host_page(s, gfn) |= HOST_SPLIT;
}

static void drop(struct nw_kvm *k, struct slot *s, uint64_t first, uint64_t end, bool unused)
{
    (void)unused;
    for (uint64_t gfn = first; gfn < end; gfn++) {
        *host_page(s, gfn) &= (uint8_t) ~(HOST_RESIDENT | HOST_WRITABLE);
        uint64_t *words = nw_physmem_find(k->config.pm, nw_hpa(kvm_gfn_hpa(k, gfn)));
        if (words)
            memset(words, 0, NW_PAGE_BYTES);
    }
    split_large(s, first, end);
    notify(k, s, first, end);
}

void nw_kvm_host_drop(struct nw_kvm *k, gpa_t gpa, uint64_t bytes) { each_part(k, gpa, bytes, drop, false); }

/* A host mapping [first, end) is cut at page `at`: the 2 MiB around it that lie in the mapping are unmapped, as they might
 * have been one large page. Linux does that before it looks whether they are (mm/huge_memory.c, vma_adjust_trans_huge()
 * and __split_huge_pmd()). */
static void mapping_cut(struct nw_kvm *k, struct slot *s, uint64_t first, uint64_t end, uint64_t at)
{
    uint64_t from = at & ~(HUGE_PAGES - 1);
    if (at != from && from >= first && end - from >= HUGE_PAGES)
        notify(k, s, from, from + HUGE_PAGES);
}

static bool mapping_writable(const struct slot *s, uint64_t gfn) { return !(*host_page(s, gfn) & HOST_PROTECTED); }

/* Mapping by mapping, as mprotect() goes through them; one is as many pages of a slot as have one protection.
 * MODEL: a slot's host addresses lie in their 2 MiB as its guest-physical addresses do. */
static void protect(struct nw_kvm *k, struct slot *s, uint64_t first, uint64_t end, bool writable)
{
    const uint64_t slot_first = s->as.first_gfn, slot_end = slot_first + s->as.pages;
    for (uint64_t gfn = first, to; gfn < end; gfn = to) {
        const bool before = mapping_writable(s, gfn);
        uint64_t from = gfn;
        for (to = gfn + 1; to < slot_end && mapping_writable(s, to) == before;)
            to++;
        if (before == writable)
            continue;
        while (from > slot_first && mapping_writable(s, from - 1) == before)
            from--;
        mapping_cut(k, s, from, to, gfn);
        if (end < to)
            mapping_cut(k, s, gfn, to, end), to = end;
        for (uint64_t changed = gfn; changed < to; changed++) {
            uint8_t *page = host_page(s, changed);
            if (writable)
                *page = (uint8_t)((*page & ~HOST_PROTECTED) | (*page & HOST_RESIDENT ? HOST_WRITABLE : 0));
            else
                *page = (uint8_t)((*page | HOST_PROTECTED) & ~HOST_WRITABLE);
        }
        split_large(s, gfn, to);
        notify(k, s, gfn, to);
    }
}

void nw_kvm_host_protect(struct nw_kvm *k, gpa_t gpa, uint64_t bytes, bool writable)
{
    each_part(k, gpa, bytes, protect, writable);
}

/* ---- dirty logging ------------------------------------------------------------------------------------------ */

void kvm_mark_dirty(struct nw_kvm *k, uint64_t gfn)
{
    struct slot *s = kvm_slot_find(k, gfn);
    if (s && s->as.dirty_logging)
        *host_page(s, gfn) |= LOG_DIRTY;
}

/* W goes, and the entry stays one that KVM may make writable again. */
static bool log_protect(struct nw_kvm *k, struct rmap *r)
{
    bool any = false;
    for (spte_id id = r->first; id;) {
        struct page *p = page_of(k, id);
        unsigned index = index_of(id);
        any |= (p->spte[index] & SPTE_WRITE) != 0;
        p->spte[index] &= ~SPTE_WRITE;
        id = p->link[index].next;
    }
    return any;
}

static enum nw_status slot_named(struct nw_kvm *k, uint64_t first_gfn, struct slot ***out, struct nw_error *err)
{
    for (struct slot **at = &k->slot; *at; at = &(*at)->next)
        if ((*at)->as.first_gfn == first_gfn) {
            *out = at;
            return NW_OK;
        }
    return nw_fail(err, NW_ERR_INPUT, "no memory slot starts at guest frame 0x%llx", (unsigned long long)first_gfn);
}

enum nw_status nw_kvm_slot_set_dirty_logging(struct nw_kvm *k, uint64_t first_gfn, bool on, struct nw_error *err)
{
    struct slot **at = NULL;
    enum nw_status status = slot_named(k, first_gfn, &at, err);
    if (status || (*at)->as.dirty_logging == on)
        return status;
    struct slot *s = *at;
    s->as.dirty_logging = on;
    if (!on)
        return NW_OK;
    for (unsigned level = 0; level < LEAF_LEVELS; level++)
        for (uint64_t i = 0; i < s->entries[level]; i++)
            (void)log_protect(k, &s->rmap[level][i]);
    flush_request(k);
    return NW_OK;
}

enum nw_status nw_kvm_get_dirty_log(struct nw_kvm *k, uint64_t first_gfn, uint64_t *dirty_pages, struct nw_error *err)
{
    struct slot **at = NULL;
    *dirty_pages = 0;
    enum nw_status status = slot_named(k, first_gfn, &at, err);
    if (status || !(*at)->as.dirty_logging)
        return status;
    struct slot *s = *at;
    for (uint64_t i = 0; i < s->as.pages; i++)
        if (s->host[i] & LOG_DIRTY) {
            s->host[i] &= (uint8_t)~LOG_DIRTY;
            ++*dirty_pages;
            (void)log_protect(k, &s->rmap[0][i]);
        }
    if (*dirty_pages)
        flush_request(k);
    return NW_OK;
}

/* ---- tables among the guest's pages ------------------------------------------------------------------------- */

bool kvm_tracked(const struct nw_kvm *k, uint64_t gfn)
{
    const struct slot *s = kvm_slot_find(k, gfn);
    return s && s->tracked[gfn - s->as.first_gfn];
}

void kvm_account_table(struct nw_kvm *k, const struct page *p, bool add)
{
    struct slot *s = kvm_slot_find(k, p->gfn);
    k->indirect_pages += add ? 1 : UINT64_MAX;
    if (!s)
        return;
    uint32_t step = add ? 1 : UINT32_MAX;
    if (p->role.level)
        s->tracked[p->gfn - s->as.first_gfn] = (uint16_t)(s->tracked[p->gfn - s->as.first_gfn] + step);
    for (unsigned level = 1; level < LEAF_LEVELS; level++)
        s->no_large[level][region_of(s, p->gfn, level)] += step;
    if (add && kvm_write_protect_gfn(k, p->gfn))
        flush_request(k);
}

unsigned kvm_mapping_level(const struct nw_kvm *k, uint64_t gfn, unsigned most)
{
    const struct slot *s = kvm_slot_find(k, gfn);
    if (!s || s->as.dirty_logging)
        return 0;
    unsigned host = *host_page(s, gfn) & HOST_SPLIT ? 0 : (s->as.page_log2 - NW_PAGE_LOG2) / 9u;
    unsigned level = most < host ? most : host;
    level = level < LEAF_LEVELS ? level : LEAF_LEVELS - 1;
    while (level && s->no_large[level][region_of(s, gfn, level)])
        level--;
    return level;
}

/* ---- the guest's memory ------------------------------------------------------------------------------------- */

bool kvm_guest_read(struct nw_kvm *k, uint64_t gpa, unsigned bytes, uint64_t *out)
{
    struct slot *s = kvm_slot_find(k, gpa >> NW_PAGE_LOG2);
    if (!s)
        return false;
    (void)kvm_host_fault_in(k, s, gpa >> NW_PAGE_LOG2, false);
    uint64_t hpa = kvm_gfn_hpa(k, gpa >> NW_PAGE_LOG2) + (gpa & (NW_PAGE_BYTES - 1)), shift = (hpa & 7) * 8;
    uint64_t value = nw_physmem_read64(k->config.pm, nw_hpa(hpa & ~UINT64_C(7))) >> shift;
    if ((hpa & 7) + bytes > 8)
        value |= nw_physmem_read64(k->config.pm, nw_hpa((hpa & ~UINT64_C(7)) + 8)) << (64 - shift);
    *out = bytes == 8 ? value : value & (NW_BIT(bytes * 8) - 1);
    return true;
}

bool kvm_guest_write(struct nw_kvm *k, uint64_t gpa, unsigned bytes, uint64_t value)
{
    struct slot *s = kvm_slot_find(k, gpa >> NW_PAGE_LOG2);
    if (!s || !kvm_host_fault_in(k, s, gpa >> NW_PAGE_LOG2, true))
        return false;
    uint64_t hpa = kvm_gfn_hpa(k, gpa >> NW_PAGE_LOG2) + (gpa & (NW_PAGE_BYTES - 1));
    for (unsigned i = 0; i < bytes; i++, hpa++, value >>= 8) {
        uint64_t *word = nw_physmem_find(k->config.pm, nw_hpa(hpa)), shift = (hpa & 7) * 8;
        if (word) /* made when the slot was added */
            *word = (*word & ~(UINT64_C(0xff) << shift)) | (value & 0xff) << shift;
    }
    kvm_mark_dirty(k, gpa >> NW_PAGE_LOG2);
    return true;
}

/* ---- slots -------------------------------------------------------------------------------------------------- */

static void slot_free(struct slot *s)
{
    if (!s)
        return;
    for (unsigned level = 0; level < LEAF_LEVELS; level++) {
        free(s->no_large[level]);
        free(s->rmap[level]);
    }
    free(s->host);
    free(s->tracked);
    free(s);
}

void kvm_slots_free(struct nw_kvm *k)
{
    while (k->slot) {
        struct slot *s = k->slot;
        k->slot = s->next;
        slot_free(s);
    }
}

static enum nw_status slot_check(const struct nw_kvm *k, const struct nw_kvm_slot *as, struct nw_error *err)
{
    const uint64_t limit = NW_BIT(NW_PHYS_BITS_MAX - 4 - NW_PAGE_LOG2);
    if (!as->pages || as->first_gfn >= limit || as->pages > limit - as->first_gfn || as->hpa % NW_PAGE_BYTES ||
        as->hpa >> NW_PAGE_LOG2 >= limit || as->pages > limit - (as->hpa >> NW_PAGE_LOG2))
        return nw_fail(
            err, NW_ERR_INPUT,
            "a memory slot of %llu pages at guest frame 0x%llx, host address 0x%llx: it must have pages, and "
            "page-aligned addresses below 2^48",
            (unsigned long long)as->pages, (unsigned long long)as->first_gfn, (unsigned long long)as->hpa);
    if (as->page_log2 && as->page_log2 != 12 && as->page_log2 != 21 && as->page_log2 != 30)
        return nw_fail(err, NW_ERR_INPUT, "a memory slot of host pages of 2^%u bytes: 2^12, 2^21 or 2^30",
                       as->page_log2);
    for (const struct slot *s = k->slot; s; s = s->next)
        if (as->first_gfn < s->as.first_gfn + s->as.pages && s->as.first_gfn < as->first_gfn + as->pages)
            return nw_fail(err, NW_ERR_INPUT, "memory slots at guest frames 0x%llx and 0x%llx overlap",
                           (unsigned long long)as->first_gfn, (unsigned long long)s->as.first_gfn);
    return NW_OK;
}

/* Regions that stick out of the slot, and all of them where guest and host addresses are not aligned alike. */
static void forbid_edges(struct slot *s)
{
    for (unsigned level = 1; level < LEAF_LEVELS; level++) {
        uint64_t size = NW_BIT(region_log2(level)), end = s->as.first_gfn + s->as.pages;
        uint64_t mask = (size >> NW_PAGE_LOG2) - 1;
        bool askew = ((s->as.first_gfn << NW_PAGE_LOG2) ^ s->as.hpa) & (size - 1);
        for (uint64_t i = 0; askew && i < s->entries[level]; i++)
            s->no_large[level][i] = 1;
        if (s->as.first_gfn & mask)
            s->no_large[level][0] = 1;
        if (end & mask)
            s->no_large[level][s->entries[level] - 1] = 1;
    }
}

enum nw_status nw_kvm_slot_add(struct nw_kvm *k, const struct nw_kvm_slot *as, struct nw_error *err)
{
    enum nw_status status = slot_check(k, as, err);
    if (status)
        return status;
    struct slot *s = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(err, "a memory slot");
    s->as = *as;
    if (!s->as.page_log2)
        s->as.page_log2 = NW_PAGE_LOG2;
    s->host = malloc(as->pages);
    s->tracked = calloc(as->pages, sizeof *s->tracked);
    bool ok = s->host && s->tracked;
    for (unsigned level = 0; level < LEAF_LEVELS; level++) {
        s->entries[level] = region_of(s, as->first_gfn + as->pages - 1, level) + 1;
        s->rmap[level] = calloc(s->entries[level], sizeof *s->rmap[level]);
        s->no_large[level] = calloc(s->entries[level], sizeof *s->no_large[level]);
        ok = ok && s->rmap[level] && s->no_large[level];
    }
    if (!ok) {
        slot_free(s);
        return nw_fail_nomem(err, "a memory slot");
    }
    memset(s->host, HOST_RESIDENT | HOST_WRITABLE, as->pages);
    forbid_edges(s);
    uint64_t *word;
    for (uint64_t at = 0; !status && !k->config.frame && at < as->pages; at += NW_BIT(NW_REGION_LOG2 - NW_PAGE_LOG2))
        status = nw_physmem_make(k->config.pm, nw_hpa(as->hpa + (at << NW_PAGE_LOG2)), &word, err);
    if (!status && !k->config.frame)
        status = nw_physmem_make(k->config.pm, nw_hpa(as->hpa + ((as->pages - 1) << NW_PAGE_LOG2)), &word, err);
    if (status) {
        slot_free(s);
        return status;
    }
    s->next = k->slot;
    k->slot = s;
    k->guest_pages += as->pages;
    mmio_forget(k);
    if (!k->config.max_mmu_pages) {
        uint64_t limit = k->guest_pages * NW_KVM_PAGES_PER_MILLE / 1000;
        k->max_pages = limit < NW_KVM_MIN_PAGES ? NW_KVM_MIN_PAGES : limit;
    }
    return NW_OK;
}

enum nw_status nw_kvm_slot_remove(struct nw_kvm *k, uint64_t first_gfn, struct nw_error *err)
{
    struct slot **at = NULL;
    enum nw_status status = slot_named(k, first_gfn, &at, err);
    if (status)
        return status;
    kvm_zap_all(k); /* while the slot's maps of leaves still stand */
    struct slot *s = *at;
    *at = s->next;
    k->guest_pages -= s->as.pages;
    slot_free(s);
    mmio_forget(k);
    return NW_OK;
}
