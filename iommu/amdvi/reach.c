/* All that a device can reach: an AMD IOMMU's trees read as a whole. What a walk asks of an entry is asked here of each: see host.c,
 * guest.c and translate.c, against which this is tested. */
#include "../reach/collect.h"
#include "amdvi_internal.h"
#include "host.h"
#include <nestwalk/mmu/format.h>

/* Addresses that do not go through the tables; both ends inclusive. */
struct apart {
    uint64_t start, last;
    unsigned kept;     /* rights that the tables may give all the same */
    unsigned identity; /* rights with which an address there is its own */
};

struct reach {
    struct amdvi_walk *w;
    struct iommu_collector out;
    struct apart apart[4];
    unsigned aparts;
    uint64_t entry_at; /* of the entry that the next table is opened by; 0: the device table's */
};

/* ---- telling ------------------------------------------------------------------------------------ */

static bool tell(struct reach *r, uint64_t iova, uint64_t target, uint64_t bytes, unsigned rights, unsigned from)
{
    const uint64_t last = iova + (bytes - 1);
    for (unsigned i = from; i < r->aparts; i++) {
        const struct apart *a = &r->apart[i];
        if (iova > a->last || last < a->start)
            continue;
        const uint64_t low = iova > a->start ? iova : a->start, high = last < a->last ? last : a->last;
        if (low > iova && !tell(r, iova, target, low - iova, rights, i + 1))
            return false;
        if ((rights & a->kept) && !tell(r, low, target + (low - iova), high - low + 1, rights & a->kept, i + 1))
            return false;
        return high == last || tell(r, high + 1, target + (high + 1 - iova), last - high, rights, i + 1);
    }
    return iommu_collect(&r->out, iova, target, bytes, rights);
}

/* ---- host tables -------------------------------------------------------------------------------- */

struct table {
    const uint64_t *word; /* NULL: word by word */
    uint64_t address;
};

/* Is all of the page memory? */
static bool page_readable(const struct nw_amdvi_tables *t, uint64_t page)
{
    const struct nw_amdvi_memory *m = &t->memory;
    if (!m->ram)
        return !(page >> t->unit.pa_bits);
    for (size_t i = 0; i < m->ram_count; i++)
        if (page >= m->ram[i].start && page + NW_PAGE_BYTES <= m->ram[i].end)
            return true;
    return false;
}

static struct table open_table(struct reach *r, uint64_t address, enum nw_reach_table_kind kind, unsigned level)
{
    const bool readable = page_readable(r->w->t, address);
    iommu_collect_table(&r->out,
                        (struct nw_reach_table){ .kind = kind,
                                                 .level = (uint8_t)level,
                                                 .guests = kind == NW_REACH_FIRST_STAGE && DTE_MODE(r->w->dte[0]),
                                                 .readable = readable,
                                                 .address = address,
                                                 .entry_at = r->entry_at });
    return (struct table){ readable ? iommu_table_page(r->w->t->memory.pm, address) : NULL, address };
}

/* The entry, 0 where there is no memory: not present. */
static inline uint64_t entry_of(struct reach *r, const struct table *t, unsigned index)
{
    uint64_t word;
    if (NW_LIKELY(t->word != NULL))
        return t->word[index];
    return amdvi_load(r->w, t->address + index * 8, &word) ? word : 0;
}

/* What becomes of the addresses that the host tables map. */
struct host_use {
    bool (*piece)(struct reach *r, void *context, uint64_t gpa, uint64_t target, uint64_t bytes, unsigned rights);
    void *context;
    uint64_t lo, hi; /* of the addresses looked for */
};

/* Nothing of these addresses goes through the tables. Else *whole: all of them do, so that the same table need not be read again
 * for others. */
static bool set_apart_wholly(const struct reach *r, uint64_t start, uint64_t last, bool *whole)
{
    for (unsigned i = 0; i < r->aparts; i++) {
        const struct apart *a = &r->apart[i];
        if (start > a->last || last < a->start)
            continue;
        *whole = false;
        return !a->kept && a->start <= start && last <= a->last;
    }
    *whole = true;
    return false;
}

static bool host_table(struct reach *r, const struct host_use *use, uint64_t table, unsigned level, uint64_t base,
                       unsigned rights)
{
    const unsigned size_log2 = amdvi_covers(level), entries = level == AMDVI_LEVELS ? 128 : 512;
    const struct table t = open_table(r, table, NW_REACH_SECOND_STAGE, level - 1);
    const unsigned first = use->lo > base ? (unsigned)((use->lo - base) >> size_log2) : 0;
    for (unsigned i = first; !r->out.stopped && i < entries; i++) {
        const uint64_t start = base + ((uint64_t)i << size_log2), end = start + (NW_BIT(size_log2) - 1);
        if (start > use->hi)
            break;
        const uint64_t entry = entry_of(r, &t, i);
        if (!amdvi_entry_usable(entry, level))
            continue;
        const unsigned now = rights & amdvi_rights_of(entry);
        if (!now)
            continue;
        if (amdvi_is_leaf(entry)) {
            const uint64_t within = nw_mask(amdvi_leaf_log2(entry, level) - 1, 0);
            const uint64_t from = start > use->lo ? start : use->lo, to = end < use->hi ? end : use->hi;
            if (!use->piece(r, use->context, from, (entry & nw_mask(51, 12) & ~within) | (from & within), to - from + 1,
                            now))
                return false;
            continue;
        }
        /* Levels may be left out: then only the lowest addresses of the entry are mapped. */
        const unsigned next = (unsigned)nw_field(entry, 11, 9);
        const uint64_t below = entry & nw_mask(51, 12), last = start + (NW_BIT(amdvi_covers(next + 1)) - 1);
        if (start > use->hi || last < use->lo)
            continue;
        bool whole = use->lo <= start && use->hi >= last;
        if (whole && set_apart_wholly(r, start, last, &whole))
            continue;
        if (r->out.once && whole &&
            !iommu_seen_enter(&r->out.seen, below, (uint64_t)next << 8 | now << 4 | 1, &r->out.no_memory))
            continue;
        r->entry_at = table + i * 8;
        if (!host_table(r, use, below, next, start, now))
            return false;
    }
    return !r->out.stopped && !r->out.no_memory;
}

static bool host_range(struct reach *r, const struct host_use *use)
{
    const uint64_t w0 = r->w->dte[0];
    const unsigned mode = DTE_MODE(w0), rights = amdvi_rights_of(w0);
    struct host_use clipped = *use;
    r->entry_at = 0;
    if (!mode)
        return !rights || use->piece(r, use->context, use->lo, use->lo, use->hi - use->lo + 1, rights);
    if (mode < AMDVI_LEVELS && clipped.hi >> amdvi_covers(mode + 1))
        clipped.hi = nw_mask(amdvi_covers(mode + 1) - 1, 0);
    return clipped.lo > clipped.hi || !rights || host_table(r, &clipped, w0 & DTE_ROOT, mode, 0, rights);
}

static bool tell_piece(struct reach *r, void *context, uint64_t gpa, uint64_t target, uint64_t bytes, unsigned rights)
{
    (void)context;
    return tell(r, gpa, target, bytes, rights, 0);
}

/* ---- guest tables ------------------------------------------------------------------------------- */

struct lookup {
    uint64_t target;
    unsigned rights;
};
static bool note(struct reach *r, void *context, uint64_t gpa, uint64_t target, uint64_t bytes, unsigned rights)
{
    (void)r, (void)gpa, (void)bytes;
    *(struct lookup *)context = (struct lookup){ target, rights };
    return true;
}

static struct lookup host_page(struct reach *r, uint64_t gpa)
{
    struct lookup found = { 0, 0 };
    const bool once = r->out.once;
    const uint64_t tables = r->out.tables;
    r->out.once = false;
    host_range(r, &(struct host_use){ note, &found, gpa, gpa + (NW_PAGE_BYTES - 1) });
    r->out.once = once;
    r->out.tables = tables; /* a lookup */
    return found;
}

struct guest_page {
    uint64_t iova, gpa;
    unsigned rights;
};
static bool tell_guest_piece(struct reach *r, void *context, uint64_t gpa, uint64_t target, uint64_t bytes,
                             unsigned rights)
{
    const struct guest_page *p = context;
    const unsigned both = rights & p->rights;
    return !both || iommu_collect(&r->out, p->iova + (gpa - p->gpa), target, bytes, both);
}

static bool guest_leaf(struct reach *r, uint64_t iova, uint64_t gpa, uint64_t bytes, unsigned rights)
{
    struct guest_page p = { iova, gpa, rights };
    const uint64_t key = (uint64_t)__builtin_ctzll(bytes) << 8 | rights << 4 | 3;
    /* A small page costs no more to look up again than to remember. */
    if (r->out.once && bytes > NW_PAGE_BYTES && !iommu_seen_enter(&r->out.seen, gpa, key, &r->out.no_memory))
        return !r->out.no_memory;
    const bool once = r->out.once;
    const uint64_t tables = r->out.tables;
    r->out.once = false;
    const bool on = host_range(r, &(struct host_use){ tell_guest_piece, &p, gpa, gpa + (bytes - 1) });
    r->out.once = once;
    if (bytes == NW_PAGE_BYTES)
        r->out.tables = tables;
    return on;
}

/* A user's: `allowed` by the entries above; `flags`: every entry above that lacks A stands in a page that may be written. */
static bool guest_level(struct reach *r, const struct nw_paging *p, uint64_t gpa, unsigned level, uint64_t base,
                        uint64_t allowed, bool flags)
{
    const struct nw_paging_level *l = &p->level[level];
    const uint64_t entry_at = r->entry_at;
    const struct lookup where = host_page(r, gpa);
    if (!(where.rights & NW_REACH_READ))
        return true;
    r->entry_at = entry_at;
    const struct table t = open_table(r, where.target, NW_REACH_FIRST_STAGE, level);
    for (unsigned i = 0; !r->out.stopped && i < 512; i++) {
        const uint64_t entry = entry_of(r, &t, i), size = NW_BIT(l->index_low);
        if (!nw_entry_present(p, entry))
            continue;
        const bool leaf = nw_entry_is_leaf(p, level, entry);
        if (entry & (leaf ? l->reserved_leaf : l->reserved_table))
            continue;
        const uint64_t all = allowed & ((entry ^ p->invert) | l->grants);
        const bool writable = where.rights & NW_REACH_WRITE;
        const bool reads = flags && (writable || !(~entry & l->accessed));
        const bool writes = reads && (writable || !(leaf && (~entry & p->dirty))) && (all & p->format->write);
        const unsigned rights = (reads ? NW_REACH_READ : 0u) | (writes ? NW_REACH_WRITE : 0u);
        if (!(all & p->format->user) || !rights)
            continue;
        const uint64_t iova = nw_sign_extend(base + i * size, p->input_bits);
        if (leaf) {
            if (!guest_leaf(r, iova, nw_entry_page(p, level, entry), size, rights))
                return false;
            continue;
        }
        const uint64_t table = entry & p->table_address;
        const uint64_t key = (uint64_t)level << 8 | (uint64_t) !!(all & p->format->write) << 4 | 2;
        if (r->out.once && !iommu_seen_enter(&r->out.seen, table, key, &r->out.no_memory))
            continue;
        r->entry_at = where.target + i * 8;
        if (!guest_level(r, p, table, level - 1, base + i * size, all, true))
            return false;
    }
    return !r->out.stopped && !r->out.no_memory;
}

/* ---- one device --------------------------------------------------------------------------------- */

static void set_apart(struct reach *r, uint64_t start, uint64_t last, unsigned kept, unsigned identity)
{
    r->apart[r->aparts++] = (struct apart){ start, last, kept, identity };
}

/* "Special Address Controls" and the exclusion range, as translate.c has them. */
static void find_aparts(struct reach *r)
{
    const struct amdvi_walk *w = r->w;
    const unsigned io = DTE_IOCTL(w->dte[1]), management = DTE_SYSMGT(w->dte[1]);
    const uint64_t base = w->t->exclusion_base;
    set_apart(r, 0xfee00000, 0xfeefffff, NW_REACH_WRITE, 0);
    if (management != SYSMGT_TRANSLATE)
        set_apart(r, UINT64_C(0xfdf9100000), UINT64_C(0xfdf91fffff), 0,
                  management == SYSMGT_FORWARD ? NW_REACH_WRITE : 0u);
    if (io != IOCTL_TRANSLATE)
        set_apart(r, UINT64_C(0xfdfc000000), UINT64_C(0xfdfdffffff), 0, io == IOCTL_FORWARD ? NW_REACH_BOTH : 0u);
    if ((base & NW_BIT(0)) && ((base & NW_BIT(1)) || (w->dte[1] & DTE_EX)) &&
        (w->t->exclusion_limit & nw_mask(51, 12)) >= (base & nw_mask(51, 12)))
        set_apart(r, base & nw_mask(51, 12), (w->t->exclusion_limit & nw_mask(51, 12)) | 0xfff, 0, NW_REACH_BOTH);
}

/* What is its own lies in no tables; parts that come first in find_aparts() go first. */
static bool tell_identities(struct reach *r)
{
    bool on = true;
    for (unsigned i = 0; on && i < r->aparts; i++) {
        const struct apart a = r->apart[i];
        if (!a.identity)
            continue;
        struct apart kept[4];
        const unsigned aparts = r->aparts;
        for (unsigned k = 0; k < aparts; k++)
            kept[k] = r->apart[k];
        r->aparts = i; /* those before it stay apart from it */
        for (unsigned k = 0; k < i; k++)
            r->apart[k].kept = r->apart[k].start == 0xfee00000 ? NW_REACH_WRITE : 0u;
        on = tell(r, a.start, a.start, a.last - a.start + 1, a.identity, 0);
        r->aparts = aparts;
        for (unsigned k = 0; k < aparts; k++)
            r->apart[k] = kept[k];
    }
    return on;
}

enum nw_status nw_amdvi_reach(const struct nw_amdvi_tables *t, const struct nw_reach_request *q, nw_reach_fn tell_fn,
                              void *context, struct nw_reach_summary *out, struct nw_error *err)
{
    const struct nw_amdvi_request request = { .device_id = q->source_id, .has_pasid = q->has_pasid, .pasid = q->pasid };
    struct nw_amdvi_tables tables = *t;
    struct nw_amdvi_event e = { 0 };
    tables.watch = NULL;
    struct amdvi_walk w = { .t = &tables, .q = &request, .looks_only = true };
    struct reach r = { .w = &w, .out = iommu_collector_of(q, tell_fn, context) };
    *out = (struct nw_reach_summary){ .pasid = q->pasid };
    if (!amdvi_find_device(&w, &e)) {
        out->reason = e.code;
        return NW_OK;
    }
    if (!(w.dte[0] & DTE_V)) {
        out->identity = true;
        out->identity_rights = NW_REACH_BOTH;
        return NW_OK;
    }
    const uint64_t guest = DTE_TV | DTE_GV;
    out->key = nw_mix64(w.dte[0] ^ nw_mix64(w.dte[1] ^ nw_mix64(w.dte[2] & nw_mask(55, 54))));
    out->domain_id = w.dte[0] & DTE_TV ? (uint16_t)(w.dte[1] & DTE_DOMAIN) : 0;
    if (q->has_pasid || (w.dte[0] & (guest | DTE_GIOV)) == (guest | DTE_GIOV)) {
        struct nw_paging paging;
        uint64_t cr3;
        out->translation = DTE_MODE(w.dte[0]) ? NW_AMDVI_NESTED : NW_AMDVI_GUEST;
        if ((w.dte[0] & guest) != guest) {
            out->reason = NW_AMDVI_IO_PAGE_FAULT;
        } else if (!amdvi_guest_tables(&w, q->has_pasid ? q->pasid : 0, &cr3, &paging, &e)) {
            out->reason = e.code;
        } else {
            out->root = paging.root;
            out->second_root = DTE_MODE(w.dte[0]) ? w.dte[0] & DTE_ROOT : 0;
            guest_level(&r, &paging, paging.root, paging.levels - 1u, 0, ~UINT64_C(0), true);
        }
    } else {
        find_aparts(&r);
        out->translation = DTE_MODE(w.dte[0]) ? NW_AMDVI_HOST : NW_AMDVI_PASS_THROUGH;
        out->root = DTE_MODE(w.dte[0]) ? w.dte[0] & DTE_ROOT : 0;
        out->identity = (w.dte[0] & DTE_TV) && !DTE_MODE(w.dte[0]);
        out->identity_rights = out->identity ? (uint8_t)amdvi_rights_of(w.dte[0]) : 0;
        if (!out->identity && tell_identities(&r) && (w.dte[0] & DTE_TV))
            host_range(&r, &(struct host_use){ tell_piece, NULL, 0, UINT64_MAX });
    }
    iommu_collect_end(&r.out);
    out->tables = r.out.tables;
    out->stopped = r.out.stopped;
    out->exhausted = r.out.exhausted;
    return r.out.no_memory ? nw_fail_nomem(err, "the tables of a device") : NW_OK;
}

/* ---- all devices -------------------------------------------------------------------------------- */

struct sources {
    struct amdvi_walk *w;
    const struct nw_reach_listener *listener;
    nw_reach_source_fn tell;
    void *context;
    unsigned told;
    bool more;
};

static bool tell_source(struct sources *s, const struct nw_reach_request *q)
{
    if (s->told == NW_REACH_SOURCES_MAX) {
        s->more = true;
        return false;
    }
    s->told++;
    return s->tell(s->context, q);
}

static void tell_table(const struct sources *s, enum nw_reach_table_kind kind, uint64_t address, uint64_t entry_at,
                       uint16_t device)
{
    if (s->listener)
        s->listener->table(s->listener->context, &(struct nw_reach_table){ .kind = kind,
                                                                           .guests = kind == NW_REACH_PASID_TABLE &&
                                                                                     s->w->t->gcr3_tables_in_gpa,
                                                                           .readable = page_readable(s->w->t, address),
                                                                           .address = address,
                                                                           .entry_at = entry_at,
                                                                           .source_id = device });
}

/* PASIDs below `table` of the GCR3 table, which the entry at `from` leads to; false: stop. */
static bool tell_pasids(struct sources *s, struct reach *host, uint16_t device, uint64_t table, unsigned level,
                        uint32_t first, uint64_t from)
{
    const unsigned bits = nw_amdvi_pasid_bits(s->w->t->unit.efr);
    if (s->w->t->gcr3_tables_in_gpa) {
        const struct lookup where = host_page(host, table);
        if (!(where.rights & NW_REACH_READ))
            return true;
        table = where.target;
    }
    tell_table(s, NW_REACH_PASID_TABLE, table, from, device);
    for (unsigned i = 0; i < 512; i++) {
        const uint32_t pasid = first + ((uint32_t)i << 9 * level);
        uint64_t entry;
        if ((uint64_t)pasid >> bits)
            break;
        if (!amdvi_load(s->w, table + i * 8, &entry) || !(entry & 1))
            continue;
        if (level
                ? !tell_pasids(s, host, device, entry & nw_mask(51, 12), level - 1, pasid, table + i * 8)
                : !tell_source(s, &(struct nw_reach_request){ .source_id = device, .has_pasid = true, .pasid = pasid }))
            return false;
    }
    return true;
}

void nw_amdvi_reach_sources(const struct nw_amdvi_tables *t, const struct nw_reach_listener *listener,
                            nw_reach_source_fn tell_fn, void *context, bool *more)
{
    const uint64_t devices = ((nw_field(t->device_table, 8, 0) + 1) << NW_PAGE_LOG2) / 32;
    struct nw_amdvi_tables tables = *t;
    tables.watch = NULL;
    struct nw_amdvi_request request = { 0 };
    struct amdvi_walk w = { .t = &tables, .q = &request, .looks_only = true };
    struct sources s = { .w = &w, .listener = listener, .tell = tell_fn, .context = context };
    struct reach host = { .w = &w };
    const uint64_t table = t->device_table & nw_mask(51, 12);
    bool on = true;
    for (uint64_t page = 0; page < devices * 32; page += NW_PAGE_BYTES)
        tell_table(&s, NW_REACH_ROOT_TABLE, table + page, 0, (uint16_t)(page / 32));
    for (uint64_t id = 0; on && id < devices && id < 65536; id++) {
        struct nw_amdvi_event e;
        request.device_id = (uint16_t)id;
        if (!amdvi_read_device(&w, &e) || !(w.dte[0] & DTE_V))
            continue;
        on = tell_source(&s, &(struct nw_reach_request){ .source_id = (uint16_t)id });
        if (on && (w.dte[0] & (DTE_TV | DTE_GV)) == (DTE_TV | DTE_GV))
            on = tell_pasids(&s, &host, (uint16_t)id, amdvi_gcr3_root(w.dte), DTE_GLX(w.dte[0]), 0, table + id * 32);
    }
    *more = s.more;
}
