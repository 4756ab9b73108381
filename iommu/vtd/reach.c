/* All that a requester can reach: the trees of VT-d read as a whole. What a walk asks of an entry is asked here of each: see
 * translate.c and mmu/walk_template.h, against which this is tested. */
#include "../reach/collect.h"
#include "entries.h"
#include "vtd_internal.h"

struct reach {
    const struct nw_vtd_tables *t;
    const struct vtd_domain *d;
    struct iommu_collector out;
    uint64_t entry_at; /* of the entry that the next table is opened by; 0: it is a root */
};

/* ---- table pages -------------------------------------------------------------------------------- */

/* Is all of the page memory? Ranges of memory are of whole pages in all machines; where they are not, its words are asked for one by one. */
static bool page_readable(const struct nw_vtd_tables *t, uint64_t page)
{
    const struct nw_vtd_memory *m = &t->memory;
    if (!m->ram)
        return !(page >> t->unit.haw);
    for (size_t i = 0; i < m->ram_count; i++)
        if (page >= m->ram[i].start && page + NW_PAGE_BYTES <= m->ram[i].end)
            return true;
    return false;
}

struct table {
    const uint64_t *word; /* NULL: word by word */
    uint64_t address;
};

static struct table open_table(struct reach *r, uint64_t address, enum nw_reach_table_kind kind, unsigned level)
{
    const bool readable = page_readable(r->t, address);
    iommu_collect_table(
        &r->out, (struct nw_reach_table){ .kind = kind,
                                          .level = (uint8_t)level,
                                          .guests = kind == NW_REACH_FIRST_STAGE && r->d->translation == NW_VTD_NESTED,
                                          .readable = readable,
                                          .address = address,
                                          .entry_at = r->entry_at });
    return (struct table){ readable ? iommu_table_page(r->t->memory.pm, address) : NULL, address };
}

/* The entry, 0 where there is no memory: not present. */
static inline uint64_t entry_of(const struct reach *r, const struct table *t, unsigned index)
{
    if (NW_LIKELY(t->word != NULL))
        return t->word[index];
    struct vtd_walk w;
    uint64_t word;
    struct nw_vtd_tables tables = *r->t;
    tables.watch = NULL;
    vtd_walk_init(&w, &tables, NULL);
    return vtd_load_checked(&w, t->address + 8 * index, &word) ? word : 0;
}

/* ---- the second stage, or the only one of its format -------------------------------------------- */

/* What has been asked of the entries above, and for what. */
struct path {
    uint64_t allowed; /* combined */
    bool lacks_a;     /* some entry, of either stage, has A clear */
    unsigned wanted;  /* rights that can still be had */
    uint64_t shift;   /* IOVA minus address in this stage */
};

/* An update of flags is refused where walks do not snoop. */
static bool may_update(const struct reach *r) { return r->d->walk_snoops; }

/* Rights of a page of the second stage; `dirty`: D of the leaf is set, or not maintained. */
static unsigned second_rights(const struct reach *r, const struct path *p, bool dirty)
{
    const struct nw_format *f = r->d->second.format;
    unsigned rights = (p->allowed & f->read ? NW_REACH_READ : 0u) | (p->allowed & f->write ? NW_REACH_WRITE : 0u);
    if (!may_update(r) && p->lacks_a)
        return 0;
    if (!may_update(r) && !dirty)
        rights &= ~(unsigned)NW_REACH_WRITE;
    return rights & p->wanted;
}

/* But for the interrupt address range, where no translation may lead. */
static bool tell(struct reach *r, uint64_t iova, uint64_t target, uint64_t bytes, unsigned rights)
{
    const uint64_t low = 0xfee00000, high = 0xfef00000;
    if (target >= high || target + bytes <= low)
        return iommu_collect(&r->out, iova, target, bytes, rights);
    if (target < low && !iommu_collect(&r->out, iova, target, low - target, rights))
        return false;
    const uint64_t end = target + bytes;
    return end <= high || iommu_collect(&r->out, iova + (high - target), high, end - high, rights);
}

/* The part of [base, base + bytes) that lies in [lo, hi]. */
static bool clip(uint64_t lo, uint64_t hi, uint64_t *base, uint64_t *bytes, uint64_t *skipped)
{
    const uint64_t last = *base + (*bytes - 1), from = *base > lo ? *base : lo, to = last < hi ? last : hi;
    if (from > to)
        return false;
    *skipped = from - *base;
    *base = from;
    *bytes = to - from + 1;
    return true;
}

/* Addresses lo to hi of the table at `address`, whose first entry is for `base`. False: stop. */
static bool second_table(struct reach *r, uint64_t address, unsigned level, uint64_t base, uint64_t lo, uint64_t hi,
                         const struct path *above)
{
    const struct nw_paging *p = &r->d->second;
    const struct nw_paging_level *l = &p->level[level];
    const struct table t = open_table(r, address, NW_REACH_SECOND_STAGE, level);
    const uint64_t size = NW_BIT(l->index_low);
    const unsigned first = lo > base ? (unsigned)((lo - base) >> l->index_low) : 0;
    for (unsigned i = first; !r->out.stopped && i < 1u << l->index_bits; i++) {
        uint64_t from = base + i * size, bytes = size, skipped, entry;
        if (from > hi || (i && from < base))
            break;
        entry = entry_of(r, &t, i);
        if (!nw_entry_present(p, entry))
            continue;
        const bool leaf = nw_entry_is_leaf(p, level, entry);
        if (nw_entry_is_bad(p, level, entry, leaf) || !clip(lo, hi, &from, &bytes, &skipped))
            continue;
        struct path path = *above;
        path.allowed &= (entry ^ p->invert) | l->grants;
        path.lacks_a |= (~entry & l->accessed) != 0;
        const unsigned rights = second_rights(r, &path, !leaf || !(~entry & p->dirty));
        if (!rights)
            continue;
        if (leaf) {
            if (!tell(r, from + path.shift, nw_entry_page(p, level, entry) + skipped, bytes, rights))
                return false;
            continue;
        }
        const uint64_t table = entry & p->table_address;
        const uint64_t key = (uint64_t)level << 8 | rights << 4 | (uint64_t)path.lacks_a << 1 | 1;
        if (r->out.once && bytes == size && !iommu_seen_enter(&r->out.seen, table, key, &r->out.no_memory))
            continue;
        path.wanted = rights;
        r->entry_at = address + 8 * i;
        if (!second_table(r, table, level - 1, base + i * size, from, from + (bytes - 1), &path))
            return false;
    }
    return !r->out.stopped && !r->out.no_memory;
}

static bool second_range(struct reach *r, uint64_t lo, uint64_t hi, const struct path *p)
{
    const struct nw_paging *s = &r->d->second;
    const uint64_t last = nw_mask(s->input_bits - 1u, 0);
    if (lo > last)
        return true;
    r->entry_at = 0;
    return second_table(r, s->root, s->levels - 1u, 0, lo, hi < last ? hi : last, p);
}

/* ---- the first stage ---------------------------------------------------------------------------- */

/* Where a table of the first stage is, and whether its flags may be set. */
struct first_table {
    uint64_t hpa;
    bool writable;
};

struct lookup {
    uint64_t hpa;
    unsigned rights;
};
static bool look_up(void *context, const struct nw_reach_window *w)
{
    struct lookup *l = context;
    l->hpa = w->target;
    l->rights = w->rights;
    return true;
}

/* The page of a first-stage table through the second stage. False: it cannot be read. */
static bool locate_table(const struct reach *r, uint64_t gpa, struct first_table *out)
{
    if (r->d->translation != NW_VTD_NESTED) {
        *out = (struct first_table){ gpa, true };
        return true;
    }
    struct lookup found = { 0 };
    const struct nw_reach_request q = { .source_id = r->out.request->source_id,
                                        .has_pasid = r->out.request->has_pasid,
                                        .pasid = r->out.request->pasid,
                                        .listener = r->out.request->listener };
    struct reach one = { .t = r->t, .d = r->d, .out = iommu_collector_of(&q, look_up, &found) };
    const struct path p = { .allowed = ~UINT64_C(0), .wanted = NW_REACH_BOTH };
    second_range(&one, gpa, gpa + (NW_PAGE_BYTES - 1), &p);
    iommu_collect_end(&one.out);
    *out = (struct first_table){ found.hpa, found.rights & NW_REACH_WRITE };
    return found.rights & NW_REACH_READ;
}

/* The memory behind a page of the first stage. */
static bool first_page(struct reach *r, uint64_t iova, uint64_t gpa, uint64_t bytes, unsigned rights)
{
    if (r->d->translation != NW_VTD_NESTED)
        return tell(r, iova, gpa, bytes, rights);
    const uint64_t key = (uint64_t)__builtin_ctzll(bytes) << 8 | rights << 4 | 3;
    /* A small page costs no more to look up again than to remember. */
    if (r->out.once && bytes > NW_PAGE_BYTES && !iommu_seen_enter(&r->out.seen, gpa, key, &r->out.no_memory))
        return !r->out.no_memory;
    const struct path p = { .allowed = ~UINT64_C(0), .wanted = rights, .shift = iova - gpa };
    /* Tables of the second stage that a part was looked for in before are looked into again: their keys are of whole tables. */
    const bool once = r->out.once;
    const uint64_t tables = r->out.tables;
    r->out.once = false;
    const bool on = second_range(r, gpa, gpa + (bytes - 1), &p);
    r->out.once = once;
    if (bytes == NW_PAGE_BYTES)
        r->out.tables = tables; /* a lookup, as those of the first stage's own tables */
    return on;
}

/* Rights by this entry and those above; `updates`: flags have to be set on the way for reading, or only for writing. */
static unsigned first_rights(const struct reach *r, uint64_t allowed, bool lacks_a, bool lacks_d, bool may_write_tables)
{
    const struct vtd_domain *d = r->d;
    const struct nw_format *f = d->first.format;
    const bool flags = may_update(r) && may_write_tables;
    if (!d->privileged && !(allowed & f->user))
        return 0;
    if (lacks_a && !flags)
        return 0;
    const bool writable = (allowed & f->write) || (d->privileged && !d->first.write_protect);
    return NW_REACH_READ | (writable && (flags || !lacks_d) ? NW_REACH_WRITE : 0u);
}

static bool first_level(struct reach *r, uint64_t gpa, unsigned level, uint64_t base, uint64_t allowed, bool lacks_a,
                        bool writable_above)
{
    const struct nw_paging *p = &r->d->first;
    const struct nw_paging_level *l = &p->level[level];
    const uint64_t entry_at = r->entry_at;
    struct first_table where;
    if (!locate_table(r, gpa, &where))
        return true;
    r->entry_at = entry_at;
    const struct table t = open_table(r, where.hpa, NW_REACH_FIRST_STAGE, level);
    for (unsigned i = 0; !r->out.stopped && i < 1u << l->index_bits; i++) {
        const uint64_t entry = entry_of(r, &t, i), size = NW_BIT(l->index_low);
        if (!nw_entry_present(p, entry))
            continue;
        const bool leaf = nw_entry_is_leaf(p, level, entry);
        if (entry & (leaf ? l->reserved_leaf : l->reserved_table))
            continue;
        const uint64_t iova = nw_sign_extend(base + i * size, p->input_bits);
        const uint64_t all = allowed & ((entry ^ p->invert) | l->grants);
        const bool clear_a = ~entry & l->accessed, clear_d = leaf && (~entry & p->dirty);
        /* Each entry that lacks a flag needs its own table to be writable. */
        const bool lacks = lacks_a || clear_a;
        const bool tables_writable = writable_above && (where.writable || !(clear_a || clear_d));
        const bool read_tables_writable = writable_above && (where.writable || !clear_a);
        unsigned rights = first_rights(r, all, lacks, false, read_tables_writable) & NW_REACH_READ;
        rights |= first_rights(r, all, lacks, clear_d, tables_writable) & NW_REACH_WRITE;
        if (!rights)
            continue;
        if (leaf) {
            if (!first_page(r, iova, nw_entry_page(p, level, entry), size, rights))
                return false;
            continue;
        }
        const uint64_t table = entry & p->table_address;
        const uint64_t key = (uint64_t)level << 16 | (uint64_t)(all & p->format->write ? 1 : 0) << 4 |
                             (uint64_t)lacks << 5 | (uint64_t)read_tables_writable << 6 | 2;
        if (r->out.once && !iommu_seen_enter(&r->out.seen, table, key, &r->out.no_memory))
            continue;
        r->entry_at = where.hpa + 8 * i;
        if (!first_level(r, table, level - 1, base + i * size, all, lacks, read_tables_writable))
            return false;
    }
    return !r->out.stopped && !r->out.no_memory;
}

/* ---- one requester ------------------------------------------------------------------------------ */

enum nw_status nw_vtd_reach(const struct nw_vtd_tables *t, const struct nw_reach_request *q, nw_reach_fn tell_fn,
                            void *context, struct nw_reach_summary *out, struct nw_error *err)
{
    const struct nw_vtd_request request = { .source_id = q->source_id, .has_pasid = q->has_pasid, .pasid = q->pasid };
    struct nw_vtd_tables tables = *t;
    struct nw_vtd_fault fault = { 0 };
    struct vtd_walk w;
    tables.watch = NULL;
    vtd_walk_init(&w, &tables, NULL);
    *out = (struct nw_reach_summary){ .pasid = q->pasid };
    if (!vtd_find_domain(&w, &request, &fault)) {
        out->reason = fault.reason;
        return NW_OK;
    }
    const struct vtd_domain *d = &w.domain;
    out->identity = d->identity;
    out->identity_rights = d->identity ? NW_REACH_BOTH : 0;
    if (!d->identity) {
        const bool first = d->translation != NW_VTD_SECOND_STAGE;
        out->root = first ? d->first.root : d->second.root;
        out->second_root = d->translation == NW_VTD_NESTED ? d->second.root : 0;
        out->key = nw_mix64(out->second_root ^ (uint64_t)d->translation << 60 ^ (uint64_t)d->privileged << 1 ^
                            (uint64_t)d->walk_snoops << 2 ^ (uint64_t)d->domain_id << 4);
        out->key = nw_mix64(out->key ^ (first ? d->first.levels : (uint64_t)d->second.levels << 4));
    }
    out->translation = (uint8_t)d->translation;
    out->domain_id = d->domain_id;
    out->pasid = d->pasid;
    if (d->identity)
        return NW_OK;
    struct reach r = { .t = &tables, .d = d, .out = iommu_collector_of(q, tell_fn, context) };
    if (d->translation == NW_VTD_SECOND_STAGE) {
        const struct path p = { .allowed = ~UINT64_C(0), .wanted = NW_REACH_BOTH };
        second_range(&r, 0, UINT64_MAX, &p);
    } else {
        first_level(&r, d->first.root, d->first.levels - 1u, 0, ~UINT64_C(0), false, true);
    }
    iommu_collect_end(&r.out);
    out->tables = r.out.tables;
    out->stopped = r.out.stopped;
    out->exhausted = r.out.exhausted;
    return r.out.no_memory ? nw_fail_nomem(err, "the tables of a device") : NW_OK;
}

/* ---- all requesters ----------------------------------------------------------------------------- */

struct sources {
    const struct nw_vtd_tables *t;
    const struct nw_reach_listener *listener;
    nw_reach_source_fn tell;
    void *context;
    unsigned told;
    bool more, stopped;
};

static bool tell_source(struct sources *s, struct nw_reach_request q)
{
    if (s->told == NW_REACH_SOURCES_MAX) {
        s->more = true;
        return false;
    }
    s->told++;
    if (!s->tell(s->context, &q))
        s->stopped = true;
    return !s->stopped;
}

static uint64_t load(const struct sources *s, uint64_t address)
{
    struct vtd_walk w;
    uint64_t word;
    vtd_walk_init(&w, s->t, NULL);
    return vtd_load_checked(&w, address, &word) ? word : 0;
}

/* Of a page; `source`: the requester, or the first of those, that it is looked into for. */
static void tell_table(const struct sources *s, enum nw_reach_table_kind kind, uint64_t address, uint64_t entry_at,
                       unsigned source)
{
    if (s->listener)
        s->listener->table(s->listener->context, &(struct nw_reach_table){ .kind = kind,
                                                                           .readable = page_readable(s->t, address),
                                                                           .address = address,
                                                                           .entry_at = entry_at,
                                                                           .source_id = (uint16_t)source });
}

static bool tell_pasids(struct sources *s, uint16_t source, uint64_t context_low, uint64_t context_at)
{
    const uint64_t directories = NW_BIT(nw_field(context_low, 11, 9) + 7), base = context_low & POINTER;
    for (uint64_t i = 0; i < directories; i++) {
        if (!(i & 511))
            tell_table(s, NW_REACH_PASID_DIRECTORY, base + i * 8, context_at, source);
        const uint64_t directory = load(s, base + i * 8);
        if (directory & ENTRY_P)
            tell_table(s, NW_REACH_PASID_TABLE, directory & POINTER, base + i * 8, source);
        for (unsigned k = 0; (directory & ENTRY_P) && k < 64; k++)
            if ((load(s, (directory & POINTER) + k * 64) & ENTRY_P) &&
                !tell_source(s, (struct nw_reach_request){
                                    .source_id = source, .has_pasid = true, .pasid = (uint32_t)(i * 64 + k) }))
                return false;
    }
    return true;
}

void nw_vtd_reach_sources(const struct nw_vtd_tables *t, const struct nw_reach_listener *listener,
                          nw_reach_source_fn tell_fn, void *context, bool *more)
{
    struct nw_vtd_tables tables = *t;
    tables.watch = NULL;
    struct sources s = { .t = &tables, .listener = listener, .tell = tell_fn, .context = context };
    const uint64_t root_table = t->rtaddr & nw_mask(63, 12);
    const bool scalable = nw_field(t->rtaddr, 11, 10) == NW_VTD_TTM_SCALABLE;
    const unsigned halves = scalable ? 2 : 1, functions = scalable ? 128 : 256, bytes = scalable ? 32 : 16;
    bool on = true;
    tell_table(&s, NW_REACH_ROOT_TABLE, root_table, 0, 0);
    for (unsigned bus = 0; on && bus < 256; bus++)
        for (unsigned half = 0; on && half < halves; half++) {
            const uint64_t root_at = root_table + bus * 16 + half * 8, root = load(&s, root_at);
            if (root & 1)
                tell_table(&s, NW_REACH_CONTEXT_TABLE, root & POINTER, root_at, bus << 8 | half << 7);
            for (unsigned f = 0; on && (root & 1) && f < functions; f++) {
                const uint64_t low = load(&s, (root & POINTER) + f * bytes);
                const uint16_t source = (uint16_t)(bus << 8 | half << 7 | f);
                if (!(low & CONTEXT_P))
                    continue;
                on = tell_source(&s, (struct nw_reach_request){ .source_id = source });
                if (on && scalable && (low & SCALABLE_PASIDE))
                    on = tell_pasids(&s, source, low, (root & POINTER) + f * bytes);
            }
        }
    *more = s.more;
}
