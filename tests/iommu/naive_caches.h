/* naive_caches.h - a remapping unit with caches a second time, and a device with a TLB: one list of lines without bounds, searched from
 * end to end. Only what test_vtd_sequence.c makes use of: legacy mode, first and second stage in scalable mode, pages of 4 KiB and 2 MiB,
 * entries that are absent or grant everything but perhaps writing. */
#ifndef NESTWALK_TESTS_NAIVE_CACHES_H
#define NESTWALK_TESTS_NAIVE_CACHES_H

#include "iommu_common.h"

enum naive_what { N_CONTEXT, N_PASID, N_PAGE, N_TABLE, N_DEVICE };

struct naive_line {
    enum naive_what what;
    int source, did, pasid; /* pasid -1: none */
    bool first;             /* first stage */
    int log2;
    uint64_t page; /* address >> log2 */
    uint64_t
        word[2]; /* context: pointer, DID; PASID: type, root; page and device: target, rights; table: its address */
};

enum { N_READ = 1, N_WRITE = 2, N_DIRTY = 4, N_LINES = 4096 };

struct naive_unit {
    struct nw_physmem *pm;
    bool scalable;
    uint64_t root;
    struct naive_line line[N_LINES];
    int lines;
};

/* The newest line that fits; -1 fits everything. */
static struct naive_line *naive_find(struct naive_unit *u, enum naive_what what, int source, int did, int pasid,
                                     int log2, uint64_t page)
{
    for (int i = u->lines - 1; i >= 0; i--) {
        struct naive_line *l = &u->line[i];
        if (l->what == what && (source < 0 || l->source == source) && (did < 0 || l->did == did) && l->pasid == pasid &&
            l->log2 == log2 && l->page == page)
            return l;
    }
    return NULL;
}

static void naive_keep(struct naive_unit *u, struct naive_line line)
{
    bool tagged = line.what == N_PAGE || line.what == N_TABLE;
    struct naive_line *old =
        naive_find(u, line.what, tagged ? -1 : line.source, tagged ? line.did : -1, line.pasid, line.log2, line.page);
    if (old) {
        *old = line;
        return;
    }
    assert_true(u->lines < N_LINES);
    u->line[u->lines++] = line;
}

struct naive_answer {
    int reason;
    uint64_t hpa;
    int log2, rights;
};

struct naive_domain {
    int did, pasid;
    bool first;
    uint64_t root;
};

/* Context entry and PASID-table entry, from the lines or from memory. `caches` false: from memory. */
static int naive_domain_of(struct naive_unit *u, int source, int pasid, bool caches, struct naive_domain *out)
{
    struct naive_line *c = caches ? naive_find(u, N_CONTEXT, source, -1, 0, 0, 0) : NULL;
    struct naive_line fresh = { .what = N_CONTEXT, .source = source, .did = 0 };
    if (!c) {
        uint64_t table = get64(u->pm, u->root + (uint64_t)(source >> 8) * 16) & ~UINT64_C(0xfff);
        uint64_t at = table + (uint64_t)(source & 255) * (u->scalable ? 32 : 16), word = get64(u->pm, at);
        if (!(word & 1))
            return u->scalable ? 0x41 : 0x02;
        fresh.word[0] = word & ~UINT64_C(0xfff);
        fresh.word[1] = get64(u->pm, at + 8);
        fresh.did = u->scalable ? -2 : (int)(fresh.word[1] >> 8 & 0xffff);
        if (caches)
            naive_keep(u, fresh);
        c = &fresh;
    }
    *out = (struct naive_domain){ .did = c->did, .root = c->word[0] };
    if (!u->scalable)
        return 0;
    out->pasid = pasid < 0 ? (int)(c->word[1] & 0xfffff) : pasid;
    struct naive_line *p = caches ? naive_find(u, N_PASID, source, -1, out->pasid, 0, 0) : NULL;
    struct naive_line fresh_pasid = { .what = N_PASID, .source = source, .pasid = out->pasid };
    if (!p) {
        uint64_t at = (get64(u->pm, c->word[0]) & ~UINT64_C(0xfff)) + (uint64_t)out->pasid * 64, w0 = get64(u->pm, at);
        if (!(w0 & 1))
            return 0x59;
        fresh_pasid.did = (int)(get64(u->pm, at + 8) & 0xffff);
        fresh_pasid.first = (w0 >> 6 & 7) == 1;
        fresh_pasid.word[1] = (fresh_pasid.first ? get64(u->pm, at + 16) : w0) & ~UINT64_C(0xfff);
        if (caches)
            naive_keep(u, fresh_pasid);
        p = &fresh_pasid;
    }
    out->did = p->did;
    out->first = p->first;
    out->root = p->word[1];
    return 0;
}

static int naive_missing(const struct naive_unit *u, const struct naive_domain *d, bool write)
{
    return !u->scalable ? (write ? 0x05 : 0x06) : d->first ? 0x71 : 0x79;
}

static void naive_walk(struct naive_unit *u, const struct naive_domain *d, uint64_t address, bool write, bool caches,
                       struct naive_answer *out)
{
    uint64_t table = d->root;
    int level = 3, pasid = d->first ? d->pasid : -1;
    for (int low = 0; caches && low < 3; low++) { /* the lowest table known */
        int log2 = 21 + 9 * low;
        struct naive_line *l = naive_find(u, N_TABLE, -1, d->did, pasid, log2, address >> log2);
        if (l) {
            table = l->word[0];
            level = low;
            break;
        }
    }
    for (;; level--) {
        int log2 = 12 + 9 * level;
        uint64_t at = table + (address >> log2 & 511) * 8, e = get64(u->pm, at);
        if (d->first ? !(e & 1) : !(e & 3)) {
            out->reason = naive_missing(u, d, write);
            return;
        }
        if (level == 0 || (e & 0x80)) {
            if (write && !(e & 2)) {
                out->reason = !u->scalable ? 0x05 : 0x85;
                return;
            }
            if (write && d->first && !(e & 0x40) && caches)
                put64(u->pm, at, e | 0x40);
            bool dirty = !d->first || (e & 0x40) || write;
            out->log2 = log2;
            out->rights = N_READ | (e & 2 ? N_WRITE : 0) | (dirty ? N_DIRTY : 0);
            out->hpa = (e & nw_mask(47, (unsigned)log2)) | (address & (NW_BIT(log2) - 1));
            return;
        }
        table = e & nw_mask(47, 12);
        if (caches)
            naive_keep(u, (struct naive_line){ .what = N_TABLE,
                                               .did = d->did,
                                               .pasid = pasid,
                                               .first = d->first,
                                               .log2 = log2,
                                               .page = address >> log2,
                                               .word = { table } });
    }
}

static struct naive_answer naive_dma(struct naive_unit *u, int source, int pasid, uint64_t address, bool write,
                                     bool caches)
{
    struct naive_domain d;
    struct naive_answer r = { 0 };
    int need = write ? N_WRITE | N_DIRTY : N_READ;
    r.reason = naive_domain_of(u, source, pasid, caches, &d);
    if (r.reason)
        return r;
    for (int log2 = 12; caches && log2 <= 21; log2 += 9) {
        struct naive_line *l = naive_find(u, N_PAGE, -1, d.did, d.pasid, log2, address >> log2);
        if (l && ((int)l->word[1] & need) == need)
            return (struct naive_answer){ .hpa = l->word[0] | (address & (NW_BIT(log2) - 1)),
                                          .log2 = log2,
                                          .rights = (int)l->word[1] };
    }
    naive_walk(u, &d, address, write, caches, &r);
    if (!r.reason && caches)
        naive_keep(u, (struct naive_line){ .what = N_PAGE,
                                           .did = d.did,
                                           .pasid = d.pasid,
                                           .first = d.first,
                                           .log2 = r.log2,
                                           .page = address >> r.log2,
                                           .word = { r.hpa & ~(NW_BIT(r.log2) - 1), (uint64_t)r.rights } });
    return r;
}

/* By the device: its own lines, then a translation request for what it wants, then the DMA with the address so found. */
static struct naive_answer naive_device_dma(struct naive_unit *u, int source, int pasid, uint64_t address, bool write,
                                            bool *hit)
{
    struct naive_domain d;
    struct naive_answer r = { 0 };
    int need = write ? N_WRITE : N_READ;
    *hit = false;
    for (int log2 = 12; log2 <= 21 && !*hit; log2 += 9) {
        struct naive_line *l = naive_find(u, N_DEVICE, source, -1, pasid, log2, address >> log2);
        if (l && ((int)l->word[1] & need) == need) {
            *hit = true;
            r.hpa = l->word[0] | (address & (NW_BIT(log2) - 1));
        }
    }
    if (!*hit) {
        r = naive_dma(u, source, pasid, address, false, true);
        bool absent = r.reason && r.reason != 0x02 && r.reason != 0x41 && r.reason != 0x59; /* or for writing only */
        if (write && (r.reason ? absent : (~r.rights & (N_WRITE | N_DIRTY)) != 0))
            r = naive_dma(u, source, pasid, address, true, true);
        if (r.reason)
            return r;
        int rights = r.rights & N_DIRTY ? r.rights : r.rights & ~N_WRITE;
        naive_keep(u, (struct naive_line){ .what = N_DEVICE,
                                           .source = source,
                                           .pasid = pasid,
                                           .log2 = r.log2,
                                           .page = address >> r.log2,
                                           .word = { r.hpa & ~(NW_BIT(r.log2) - 1), (uint64_t)rights } });
    }
    r.reason = naive_domain_of(u, source, pasid, true, &d);
    return r;
}

/* ---- invalidations: a line goes when the descriptor names it ------------------------------------ */

struct naive_invalidation {
    int type, granularity, did, pasid, source;
    uint64_t address, bytes; /* bytes 0: all addresses */
    bool hint;
};

static bool naive_overlaps(const struct naive_line *l, const struct naive_invalidation *v)
{
    uint64_t from = l->page << l->log2, start = v->bytes ? v->address & ~(v->bytes - 1) : 0;
    return !v->bytes || (from < start + v->bytes && start < from + NW_BIT(l->log2));
}

static bool naive_names(const struct naive_unit *u, const struct naive_line *l, const struct naive_invalidation *v)
{
    bool did = l->did == v->did, pages = v->granularity == 3;
    switch (l->what) {
    case N_CONTEXT:
        return v->type == 1 && (v->granularity == 1 || (v->granularity == 2 && (u->scalable || did)) ||
                                (v->granularity == 3 && l->source == v->source));
    case N_PASID:
        return v->type == 7 && (v->granularity == 3 || (did && (v->granularity == 0 || l->pasid == v->pasid)));
    case N_PAGE:
        if (v->type == 2)
            return v->granularity == 1 || (did && (!pages || l->first || naive_overlaps(l, v)));
        return v->type == 6 && did && l->pasid == v->pasid && (!pages || (l->first && naive_overlaps(l, v)));
    case N_TABLE:
        if (pages && v->hint)
            return false;
        if (v->type == 2)
            return v->granularity == 1 || (did && (!pages || l->first || naive_overlaps(l, v)));
        if (v->type != 6 || !did)
            return false;
        return l->first ? l->pasid == v->pasid && (!pages || naive_overlaps(l, v)) : !pages;
    default:
        if (l->source != v->source || !naive_overlaps(l, v))
            return false;
        return v->type == 3 ? l->pasid < 0 : v->type == 8 && l->pasid >= 0 && (v->granularity || l->pasid == v->pasid);
    }
}

static void naive_invalidate(struct naive_unit *u, const struct naive_invalidation *v)
{
    int kept = 0;
    for (int i = 0; i < u->lines; i++)
        if (!naive_names(u, &u->line[i], v))
            u->line[kept++] = u->line[i];
    u->lines = kept;
}

#endif
