/* naive_amdvi.h - a second AMD IOMMU, written anew from the layouts of the entries and sharing nothing with the library but the
 * structs of a request and of the tables: one step after the other, decimal bit numbers, recursion over levels. */
#ifndef NESTWALK_TESTS_NAIVE_AMDVI_H
#define NESTWALK_TESTS_NAIVE_AMDVI_H

#include <nestwalk/iommu/amdvi.h>

#include "iommu_common.h"

struct naive {
    struct nw_amdvi_tables t;
    struct nw_amdvi_request q;
    uint64_t d[4];
    int code, flags, type, domain;
    bool logged;
    uint64_t event_address, hpa;
    int page_log2; /* 0: passed as it is */
    bool read, write, u, fc;
    struct {
        uint64_t address, bits;
    } set[6];
    int sets;
};

static int bit(uint64_t word, int n) { return (int)(word >> n & 1); }
static int bits(uint64_t word, int high, int low)
{
    int v = 0;
    for (int n = high; n >= low; n--)
        v = 2 * v + bit(word, n);
    return v;
}
static bool any(uint64_t word, int high, int low)
{
    for (int n = low; n <= high; n++)
        if (bit(word, n))
            return true;
    return false;
}

static bool naive_read(const struct naive *n, uint64_t at, uint64_t *word)
{
    bool there = false;
    for (size_t i = 0; i < n->t.memory.ram_count; i++)
        if (at >= n->t.memory.ram[i].start && at < n->t.memory.ram[i].end)
            there = true;
    *word = there ? get64(n->t.memory.pm, at) : 0;
    return there;
}

enum { F_PR = 1 << 4, F_RW = 1 << 5, F_PE = 1 << 6, F_RZ = 1 << 7, F_TR = 1 << 8 };

static void naive_event(struct naive *n, int code, int flags, int type)
{
    n->code = code;
    n->flags = flags | type << 9;
    if (n->q.type == NW_AMDVI_TRANSLATION_REQUEST)
        n->flags |= F_TR;
    else if (n->q.kind != NW_AMDVI_READ && code != 8)
        n->flags |= F_RW;
    n->logged = !(code == 2 && bit(n->d[1], 98 - 64));
    n->domain = code == 2 || code == 4 ? bits(n->d[1], 79 - 64, 0) : 0;
    n->event_address = n->q.address;
}

static void naive_pass(struct naive *n, bool read, bool write)
{
    n->hpa = n->q.address;
    n->read = read;
    n->write = write;
}

/* The entry of the table of this level, and all below it. */
static void naive_level(struct naive *n, uint64_t table, int level, bool read, bool write)
{
    uint64_t iova = n->q.address, entry, index = iova;
    for (int i = 0; i < 12 + 9 * (level - 1); i++)
        index /= 2;
    index %= 512;
    if (!naive_read(n, table + 8 * index, &entry)) {
        naive_event(n, 4, 0, 1);
        n->event_address = table + 8 * index;
        return;
    }
    n->set[n->sets].address = table + 8 * index;
    n->set[n->sets++].bits = 32;
    if (!bit(entry, 0)) {
        naive_event(n, 2, 0, 0);
        return;
    }
    int next = bits(entry, 11, 9);
    uint64_t address = 0;
    for (int i = 12; i <= 51; i++)
        address += bit(entry, i) ? UINT64_C(1) << i : 0;
    read = read && bit(entry, 61);
    write = write && bit(entry, 62);
    if (next >= 1 && next <= 6) {
        if (any(entry, 60, 52)) {
            naive_event(n, 2, F_PR | F_RZ, 0);
        } else if (next >= level) {
            naive_event(n, 2, F_PR, 0);
        } else {
            for (int skipped = next + 1; skipped < level; skipped++)
                if (any(iova, 12 + 9 * skipped - 1, 12 + 9 * (skipped - 1))) {
                    naive_event(n, 2, 0, 0);
                    return;
                }
            naive_level(n, address, next, read, write);
        }
        return;
    }
    int own = 12 + 9 * (level - 1), log2 = own;
    if (next == 7) { /* the run of ones from bit 12 on, its clear bit, and one more */
        log2 = 13;
        while (log2 <= 52 && bit(entry, log2 - 1))
            log2++;
        if (log2 <= own || log2 >= own + 9)
            log2 = 99;
    }
    if (any(entry, 58, 52)) {
        naive_event(n, 2, F_PR | F_RZ, 0);
        return;
    }
    if (log2 > 52) {
        naive_event(n, 2, F_PR, 0);
        return;
    }
    bool asks_read = n->q.kind != NW_AMDVI_WRITE, asks_write = n->q.kind != NW_AMDVI_READ;
    if (n->q.type != NW_AMDVI_TRANSLATION_REQUEST && ((asks_read && !read) || (asks_write && !write))) {
        naive_event(n, 2, F_PR | F_PE, 0);
        return;
    }
    uint64_t size = UINT64_C(1) << log2;
    n->hpa = address / size * size + iova % size;
    n->page_log2 = log2;
    n->read = read;
    n->write = write;
    n->u = bit(entry, 59);
    n->fc = bit(entry, 60);
    int had = bits(n->d[0], 8, 7);
    if (!read && !write)
        had = 0;
    if (had == 0)
        n->sets = 0;
    else if (had == 3 && asks_write && write)
        n->set[n->sets - 1].bits |= 64;
}

static bool naive_dte_reserved(const struct naive *n)
{
    uint64_t efr = n->t.unit.efr;
    const uint64_t *d = n->d;
    return any(d[0], 6, 2) || bit(d[0], 63) || any(d[0], 60, 54) || (!bit(efr, 1) && any(d[0], 53, 52)) ||
           (!bit(efr, 49) && bit(d[0], 7)) || (!bit(efr, 52) && bit(d[0], 8)) || bits(d[0], 8, 7) == 2 ||
           bits(d[1], 100 - 64, 99 - 64) == 3 || bit(d[1], 106 - 64) || any(d[1], 95 - 64, 80 - 64) ||
           any(d[1], 127 - 64, 107 - 64);
}

static void naive_translate(struct naive *n)
{
    const struct nw_amdvi_request *q = &n->q;
    uint64_t a = q->address, table = n->t.device_table >> 12 << 12;
    n->logged = true;
    if (q->device_id >= (bits(n->t.device_table, 8, 0) + 1) * 128) {
        naive_event(n, 1, 0, 0);
        return;
    }
    for (int i = 0; i < 4; i++)
        if (!naive_read(n, table + 32 * (uint64_t)q->device_id + 8 * (uint64_t)i, &n->d[i])) {
            memset(n->d, 0, sizeof n->d);
            naive_event(n, 3, 0, 1);
            n->event_address = table + 32 * (uint64_t)q->device_id;
            return;
        }
    int mode = bits(n->d[0], 11, 9), largest = 4 + bits(n->t.unit.efr, 11, 10);
    if (bit(n->d[0], 0) && naive_dte_reserved(n)) {
        naive_event(n, 1, F_RZ, 0);
        return;
    }
    if (bit(n->d[0], 0) && bit(n->d[0], 1) && mode > largest) {
        naive_event(n, 1, 0, 0);
        return;
    }
    if (q->type != NW_AMDVI_UNTRANSLATED && (!bit(n->d[0], 0) || !bit(n->d[1], 96 - 64))) {
        naive_event(n, 8, 0, 1);
        return;
    }
    if (!bit(n->d[0], 0) || q->type == NW_AMDVI_TRANSLATED) {
        naive_pass(n, true, true);
        return;
    }
    if (q->type == NW_AMDVI_UNTRANSLATED && q->kind != NW_AMDVI_WRITE && a >= 0xfee00000 && a <= 0xfeefffff) {
        naive_event(n, 8, 0, 0);
        return;
    }
    int io = bits(n->d[1], 100 - 64, 99 - 64), management = bits(n->d[1], 105 - 64, 104 - 64);
    if (a >= 0xfdf9100000 && a <= 0xfdf91fffff && management != 3) {
        if (q->kind == NW_AMDVI_WRITE && (management == 1 || (management == 2 && q->intx)))
            naive_pass(n, false, true);
        else
            naive_event(n, 8, 0, 3);
        return;
    }
    if (a >= 0xfdfc000000 && a <= 0xfdfdffffff && io != 2) {
        if (io == 1)
            naive_pass(n, true, true);
        else
            naive_event(n, 8, 0, 2);
        return;
    }
    uint64_t first = n->t.exclusion_base % NW_BIT(52) >> 12, last = n->t.exclusion_limit % NW_BIT(52) >> 12;
    if (bit(n->t.exclusion_base, 0) && (bit(n->t.exclusion_base, 1) || bit(n->d[1], 103 - 64)) && a >> 12 >= first &&
        a >> 12 <= last) {
        naive_pass(n, true, true);
        return;
    }
    bool read = bit(n->d[0], 61), write = bit(n->d[0], 62);
    if (!bit(n->d[0], 1)) {
        naive_event(n, 2, 0, 0);
    } else if (mode == 0) {
        if (q->type != NW_AMDVI_TRANSLATION_REQUEST &&
            ((q->kind != NW_AMDVI_WRITE && !read) || (q->kind != NW_AMDVI_READ && !write))) {
            naive_event(n, 2, F_PR | F_PE, 0);
        } else {
            naive_pass(n, read, write);
            n->fc = bit(n->d[3], 247 - 192);
        }
    } else {
        if (mode < 6 && any(a, 63, 12 + 9 * mode))
            naive_event(n, 2, 0, 0);
        else
            naive_level(n, n->d[0] % NW_BIT(52) >> 12 << 12, mode, read, write);
    }
    if (n->code)
        n->sets = 0;
    /* Nothing present to answer a translation request with: no event. */
    if (n->code == 2 && q->type == NW_AMDVI_TRANSLATION_REQUEST && !(n->flags & F_PR)) {
        n->code = 0;
        n->read = n->write = false;
        n->page_log2 = 12;
    }
}

#endif
