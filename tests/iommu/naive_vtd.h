/* naive_vtd.h - DMA remapping a second time, written from the specification's prose with its own numbers: levels count from 1,
 * nothing is a mask table, nothing is shared with the library. It writes no memory; the accessed and dirty flags that a
 * request sets are listed. */
#ifndef NESTWALK_TESTS_NAIVE_VTD_H
#define NESTWALK_TESTS_NAIVE_VTD_H

#include <nestwalk/iommu/vtd.h>
#include <string.h>

struct naive {
    struct nw_vtd_tables t;
    struct nw_vtd_request q;
    bool scalable, fpd;
    /* of the PASID-table entry */
    bool ssade, pwsnp, wpe, eafe, privileged;
    int ss_levels, fs_levels;
    uint64_t ss_root, fs_root;
    /* result */
    unsigned reason;
    uint64_t hpa;
    int page_log2;
    struct {
        uint64_t address, bits;
    } set[64];
    int sets;
};

static bool cap_bit(const struct naive *n, int bit) { return n->t.unit.cap >> bit & 1; }
static bool ecap_bit(const struct naive *n, int bit) { return n->t.unit.ecap >> bit & 1; }
static bool bit_of(uint64_t word, int bit) { return word >> bit & 1; }
static uint64_t bits_of(uint64_t word, int high, int low) { return word >> low & ((UINT64_C(2) << (high - low)) - 1); }

static bool naive_read(const struct naive *n, uint64_t address, uint64_t *word)
{
    for (size_t i = 0; i < n->t.memory.ram_count; i++)
        if (address >= n->t.memory.ram[i].start && address < n->t.memory.ram[i].end) {
            *word = nw_physmem_read64(n->t.memory.pm, nw_hpa(address));
            return true;
        }
    return false;
}

static bool naive_fault(struct naive *n, unsigned reason)
{
    n->reason = reason;
    return false;
}

static bool above_haw(const struct naive *n, uint64_t word, int top)
{
    for (int bit = n->t.unit.haw; bit <= top; bit++)
        if (bit_of(word, bit))
            return true;
    return false;
}

static void naive_set(struct naive *n, uint64_t address, uint64_t word, uint64_t bits)
{
    if (!(bits & ~word))
        return;
    n->set[n->sets].address = address;
    n->set[n->sets++].bits = bits & ~word;
}

/* ---- second stage ------------------------------------------------------------------------------- */

enum naive_purpose { FINAL, FS_ROOT_TABLE, FS_TABLE };

/* Translates `address` through the second stage. In nested translation the purpose may be a first-stage entry. */
static bool naive_second(struct naive *n, uint64_t address, bool reads, bool writes, enum naive_purpose purpose,
                         uint64_t *hpa, int *page_log2, bool *writable)
{
    int width = n->ss_levels == 3 ? 39 : n->ss_levels == 4 ? 48 : 57, mgaw = (int)bits_of(n->t.unit.cap, 21, 16) + 1;
    if (mgaw < width)
        width = mgaw;
    if (width < 64 && address >> width)
        return naive_fault(n, purpose != FINAL ? 0x74 : n->scalable ? 0x84 : 0x04);
    uint64_t table = n->ss_root, set_at[5], set_word[5], set_bits[5];
    int sets = 0;
    bool all_r = true, all_w = true, denied = false;
    for (int level = n->ss_levels;; level--) {
        uint64_t at = table + bits_of(address, 12 + 9 * level - 1, 12 + 9 * (level - 1)) * 8, e;
        bool bad = false, leaf = level == 1 || (bit_of(e = 0, 7));
        if (!naive_read(n, at, &e)) {
            if (denied)
                break;
            bool root = level == n->ss_levels;
            return naive_fault(n, n->scalable ? (root ? 0x7b : 0x78) : root ? 0x03 : 0x07);
        }
        bool r = bit_of(e, 0), w = bit_of(e, 1);
        all_r &= r;
        all_w &= w;
        /* What is missing here or above is noticed before anything that is wrong further down. */
        denied |= (reads && !r) || (writes && !w);
        if (!r && !w) {
            denied = true; /* not present */
            break;
        }
        leaf = level == 1 || (level == 2 && cap_bit(n, 34) && bit_of(e, 7)) ||
               (level == 3 && cap_bit(n, 35) && bit_of(e, 7));
        bad |= level > 1 && !leaf && bit_of(e, 7);
        bad |= above_haw(n, e, 51);
        bad |= bit_of(e, 11) && !(leaf && ecap_bit(n, 7));
        bad |= bit_of(e, 62) && !(leaf && ecap_bit(n, 2));
        bad |= leaf && level == 2 && bits_of(e, 20, 12);
        bad |= leaf && level == 3 && bits_of(e, 29, 12);
        if (bad) {
            if (denied)
                break;
            return naive_fault(n, n->scalable ? 0x7a : 0x0c);
        }
        if (n->ssade) {
            set_at[sets] = at;
            set_word[sets] = e;
            set_bits[sets++] = UINT64_C(0x100) | (leaf && writes ? 0x200 : 0);
        }
        if (leaf) {
            *page_log2 = 12 + 9 * (level - 1);
            uint64_t offset = (UINT64_C(1) << *page_log2) - 1;
            *hpa = (bits_of(e, 51, 12) << 12 & ~offset) | (address & offset);
            break;
        }
        table = bits_of(e, 51, 12) << 12;
    }
    if (denied) {
        bool lacks_read = reads ? !all_r : !writes; /* a read of no bytes is still one */
        if (!n->scalable)
            return naive_fault(n, lacks_read ? 0x06 : 0x05);
        if (!all_r && !all_w)
            return naive_fault(n, 0x79);
        if (purpose != FINAL)
            return naive_fault(n, writes ? 0x77 : purpose == FS_ROOT_TABLE ? 0x75 : 0x76);
        return naive_fault(n, lacks_read ? 0x86 : 0x85);
    }
    for (int i = 0; i < sets; i++)
        naive_set(n, set_at[i], set_word[i], set_bits[i]);
    *writable = all_w;
    return true;
}

/* ---- first stage -------------------------------------------------------------------------------- */

static bool naive_first(struct naive *n, bool nested, uint64_t *out, int *page_log2)
{
    const struct nw_vtd_request *q = &n->q;
    int width = n->fs_levels == 4 ? 48 : 57;
    uint64_t address = q->address, upper = address >> (width - 1);
    if (upper && upper != ~UINT64_C(0) >> (width - 1))
        return naive_fault(n, 0x80);
    bool writes = q->kind != NW_VTD_READ, executes = q->kind == NW_VTD_READ && q->has_pasid && q->execute;
    bool all_u = true, all_w = true, any_xd = false;
    uint64_t table = n->fs_root, at[5], gpa_at[5], word[5], bits[5];
    bool table_writable[5];
    int count = 0;
    for (int level = n->fs_levels;; level--) {
        uint64_t gpa = table + bits_of(address, 12 + 9 * level - 1, 12 + 9 * (level - 1)) * 8, hpa = gpa, e;
        bool writable = true;
        int unused;
        if (nested && !naive_second(n, gpa, true, false, level == n->fs_levels ? FS_ROOT_TABLE : FS_TABLE, &hpa,
                                    &unused, &writable))
            return false;
        if (!naive_read(n, hpa, &e))
            return naive_fault(n, level == n->fs_levels ? 0x73 : 0x70);
        if (!bit_of(e, 0))
            return naive_fault(n, 0x71);
        bool leaf = level == 1 || (level == 2 && bit_of(e, 7)) || (level == 3 && cap_bit(n, 56) && bit_of(e, 7));
        bool bad = above_haw(n, e, 51) || (level >= 4 && bit_of(e, 7)) || (level == 3 && !leaf && bit_of(e, 7)) ||
                   (leaf && level == 2 && bits_of(e, 20, 13)) || (leaf && level == 3 && bits_of(e, 29, 13));
        if (bad)
            return naive_fault(n, 0x72);
        all_u &= bit_of(e, 2);
        all_w &= bit_of(e, 1);
        any_xd |= bit_of(e, 63);
        at[count] = hpa;
        gpa_at[count] = gpa;
        word[count] = e;
        table_writable[count] = writable;
        bits[count++] = UINT64_C(0x20) | (n->eafe ? 0x400 : 0) | (leaf && writes ? 0x40 : 0);
        if (leaf) {
            *page_log2 = 12 + 9 * (level - 1);
            uint64_t offset = (UINT64_C(1) << *page_log2) - 1;
            *out = (bits_of(e, 51, 12) << 12 & ~offset) | (address & offset);
            break;
        }
        table = bits_of(e, 51, 12) << 12;
    }
    if (!n->privileged && !all_u)
        return naive_fault(n, 0x81);
    if (executes && any_xd)
        return naive_fault(n, 0x82);
    if (writes && !all_w && (!n->privileged || n->wpe))
        return naive_fault(n, 0x85);
    for (int i = 0; i < count; i++) {
        uint64_t hpa;
        int unused;
        bool writable;
        if (!(bits[i] & ~word[i]))
            continue;
        if (nested && !table_writable[i] &&
            !naive_second(n, gpa_at[i], false, true, i ? FS_TABLE : FS_ROOT_TABLE, &hpa, &unused, &writable))
            return false;
        naive_set(n, at[i], word[i], bits[i]);
    }
    return true;
}

/* ---- root, context, PASID ----------------------------------------------------------------------- */

static int width_levels(const struct naive *n, uint64_t aw)
{
    return aw == 1 && cap_bit(n, 9) ? 3 : aw == 2 && cap_bit(n, 10) ? 4 : aw == 3 && cap_bit(n, 11) ? 5 : 0;
}

static bool naive_trees(struct naive *n, bool first, bool second)
{
    uint64_t gpa = n->q.address;
    int fs_log2 = 64, ss_log2 = 64;
    bool unused, reads = n->q.kind != NW_VTD_WRITE, writes = n->q.kind != NW_VTD_READ;
    if (n->q.kind == NW_VTD_READ && n->q.zero_length && cap_bit(n, 22) && !(n->q.has_pasid && n->q.execute))
        reads = false;
    if (first && !naive_first(n, second, &gpa, &fs_log2))
        return false;
    n->hpa = gpa;
    if (second && !naive_second(n, gpa, reads, writes, FINAL, &n->hpa, &ss_log2, &unused))
        return false;
    n->page_log2 = fs_log2 < ss_log2 ? fs_log2 : ss_log2;
    /* Flags to set, and page walks that do not snoop. */
    bool snoops = !n->scalable || !ecap_bit(n, 48) || n->pwsnp;
    if (!snoops && n->sets)
        return naive_fault(n, n->set[0].bits & 0x460 ? 0x90 : 0x7c);
    return true;
}

static bool naive_legacy(struct naive *n)
{
    uint64_t root = n->t.rtaddr >> 12 << 12, bus = n->q.source_id / 256, function = n->q.source_id % 256, re, re_hi, lo,
             hi;
    if (n->q.has_pasid)
        return naive_fault(n, 0x31);
    if (!naive_read(n, root + bus * 16, &re) || !naive_read(n, root + bus * 16 + 8, &re_hi))
        return naive_fault(n, 0x08);
    if (!bit_of(re, 0))
        return naive_fault(n, 0x01);
    if (bits_of(re, 11, 1) || above_haw(n, re, 63) || re_hi)
        return naive_fault(n, 0x0a);
    uint64_t context = (re >> 12 << 12) + function * 16;
    if (!naive_read(n, context, &lo) || !naive_read(n, context + 8, &hi))
        return naive_fault(n, 0x09);
    n->fpd = bit_of(lo, 1);
    uint64_t tt = bits_of(lo, 3, 2);
    if (!bit_of(lo, 0))
        return naive_fault(n, 0x02);
    if (bits_of(lo, 11, 4) || (tt != 2 && above_haw(n, lo, 63)) || bit_of(hi, 7) || bits_of(hi, 63, 24))
        return naive_fault(n, 0x0b);
    n->ss_levels = width_levels(n, bits_of(hi, 2, 0));
    if (!n->ss_levels || tt == 3 || (tt == 1 && !ecap_bit(n, 2)) || (tt == 2 && !ecap_bit(n, 6)))
        return naive_fault(n, 0x03);
    if (n->q.type != NW_VTD_UNTRANSLATED && tt != 1)
        return naive_fault(n, 0x0d);
    if (tt == 2 || n->q.type == NW_VTD_TRANSLATED) {
        n->hpa = n->q.address;
        return !(n->hpa >> n->t.unit.haw) || naive_fault(n, 0x04);
    }
    n->ss_root = lo >> 12 << 12;
    return naive_trees(n, false, true);
}

static bool naive_pasid(struct naive *n, uint64_t c0, uint64_t c1)
{
    uint64_t pasid = n->q.has_pasid ? n->q.pasid : bits_of(c1, 19, 0), de, e[8];
    if (pasid >= UINT64_C(8192) << bits_of(c0, 11, 9))
        return naive_fault(n, n->q.has_pasid ? 0x46 : 0x48);
    if (!naive_read(n, (c0 >> 12 << 12) + pasid / 64 * 8, &de))
        return naive_fault(n, 0x50);
    n->fpd |= bit_of(de, 1);
    if (!bit_of(de, 0))
        return naive_fault(n, 0x51);
    if (bits_of(de, 11, 2) || above_haw(n, de, 63))
        return naive_fault(n, 0x52);
    for (int i = 0; i < 8; i++)
        if (!naive_read(n, (de >> 12 << 12) + pasid % 64 * 64 + (uint64_t)i * 8, &e[i]))
            return naive_fault(n, 0x58);
    n->fpd |= bit_of(e[0], 1);
    if (!bit_of(e[0], 0))
        return naive_fault(n, 0x59);
    uint64_t pgtt = bits_of(e[0], 8, 6);
    bool first = pgtt == 1 || pgtt == 3, second = pgtt == 2 || pgtt == 3;
    bool bad = bits_of(e[0], 11, 10) || bit_of(e[0], 5) || (second && above_haw(n, e[0], 63)) ||
               (bit_of(e[0], 9) && !ecap_bit(n, 45));
    bad |= bits_of(e[1], 22, 16) || bits_of(e[1], 31, 27) || (bit_of(e[1], 23) && !ecap_bit(n, 48)) ||
           (bit_of(e[1], 24) && !ecap_bit(n, 7));
    bad |= !ecap_bit(n, 25) && (bits_of(e[1], 26, 25) || bits_of(e[1], 63, 32));
    bad |= first && (bits_of(e[2], 11, 8) || above_haw(n, e[2], 63) || (bit_of(e[2], 7) && !ecap_bit(n, 34)));
    if (bad || e[3] || e[4] || e[5] || e[6] || e[7])
        return naive_fault(n, 0x5a);
    n->ss_levels = width_levels(n, bits_of(e[0], 4, 2));
    uint64_t fspm = bits_of(e[2], 3, 2);
    bool exists = (pgtt == 1 && ecap_bit(n, 47)) || (pgtt == 2 && ecap_bit(n, 46)) || (pgtt == 3 && ecap_bit(n, 26)) ||
                  (pgtt == 4 && ecap_bit(n, 6));
    if (!exists || (pgtt != 4 && !n->ss_levels) || (first && (fspm > 1 || (fspm == 1 && !cap_bit(n, 60)))))
        return naive_fault(n, 0x5b);
    n->ss_root = e[0] >> 12 << 12;
    n->fs_root = e[2] >> 12 << 12;
    n->fs_levels = fspm ? 5 : 4;
    n->ssade = bit_of(e[0], 9);
    n->pwsnp = bit_of(e[1], 23);
    n->wpe = bit_of(e[2], 4);
    n->eafe = bit_of(e[2], 7);
    n->privileged = n->q.has_pasid ? n->q.privileged : bit_of(c1, 20);
    if (first && n->q.has_pasid && n->q.execute && !(ecap_bit(n, 30) && bit_of(e[2], 1)))
        return naive_fault(n, 0x5c);
    if (first && n->privileged && !(ecap_bit(n, 31) && bit_of(e[2], 0)))
        return naive_fault(n, 0x5d);
    if (pgtt == 4 || n->q.type == NW_VTD_TRANSLATED) {
        n->hpa = n->q.address;
        return !(n->hpa >> n->t.unit.haw) || naive_fault(n, 0x83);
    }
    return naive_trees(n, first, second);
}

static bool naive_scalable(struct naive *n)
{
    uint64_t root = n->t.rtaddr >> 12 << 12, bus = n->q.source_id / 256, function = n->q.source_id % 256, re, c[4];
    n->scalable = true;
    if (!naive_read(n, root + bus * 16 + (function >= 128 ? 8 : 0), &re))
        return naive_fault(n, 0x38);
    if (!bit_of(re, 0))
        return naive_fault(n, 0x39);
    if (bits_of(re, 11, 1) || above_haw(n, re, 63))
        return naive_fault(n, 0x3a);
    for (int i = 0; i < 4; i++)
        if (!naive_read(n, (re >> 12 << 12) + function % 128 * 32 + (uint64_t)i * 8, &c[i]))
            return naive_fault(n, 0x40);
    n->fpd = bit_of(c[0], 1);
    if (!bit_of(c[0], 0))
        return naive_fault(n, 0x41);
    if (bits_of(c[0], 8, 5) || above_haw(n, c[0], 63) || (bit_of(c[0], 2) && !ecap_bit(n, 2)) ||
        (bit_of(c[0], 3) && !ecap_bit(n, 40)) || (bit_of(c[0], 4) && !ecap_bit(n, 29)) || bits_of(c[1], 63, 21) ||
        (bit_of(c[1], 20) && !ecap_bit(n, 53)) || c[2] || c[3])
        return naive_fault(n, 0x42);
    if (n->q.type != NW_VTD_UNTRANSLATED && !bit_of(c[0], 2))
        return naive_fault(n, 0x44);
    if (n->q.has_pasid && !bit_of(c[0], 3))
        return naive_fault(n, 0x45);
    return naive_pasid(n, c[0], c[1]);
}

/* Reasons that are recorded whatever FPD says: what comes before an entry with FPD could be read. */
static inline bool naive_unqualified(unsigned reason)
{
    switch (reason) {
    case 0x01:
    case 0x08:
    case 0x09:
    case 0x0a:
    case 0x30:
    case 0x31:
    case 0x38:
    case 0x39:
    case 0x3a:
    case 0x40:
    case 0x50:
    case 0x58: return true;
    default: return false;
    }
}

static void naive_translate(struct naive *n)
{
    uint64_t mode = bits_of(n->t.rtaddr, 11, 10);
    bool ok = mode == 0 ? naive_legacy(n) : mode == 1 && ecap_bit(n, 43) ? naive_scalable(n) : naive_fault(n, 0x30);
    if (ok && n->hpa >= 0xfee00000 && n->hpa < 0xfef00000)
        naive_fault(n, n->scalable ? 0x87 : 0x0e);
}

#endif
