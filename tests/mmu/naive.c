#include "naive.h"

#define BIT(n) (UINT64_C(1) << (n))

static bool bit(uint64_t word, int n) { return word >> n & 1; }

static bool any_bit(uint64_t word, int high, int low)
{
    for (int n = low; n <= high; n++)
        if (bit(word, n))
            return true;
    return false;
}

/* Bits high..low of `word`, where they are. */
static uint64_t bits(uint64_t word, int high, int low)
{
    uint64_t out = 0;
    for (int n = low; n <= high; n++)
        if (bit(word, n))
            out |= BIT(n);
    return out;
}

enum mode { OFF, BITS32, PAE, LONG4, LONG5 };

/* What a walk of an ordinary x86 tree needs to know. The guest's own, or the host's for NPT. */
struct x86 {
    enum mode mode;
    int maxphyaddr;
    bool nxe, pse, huge_1g;
};

/* One paging-structure entry on the way, and whether it maps a page. Levels as in the manuals' figures: 1 = PTE, 2 =
 * PDE, 3 = PDPTE, 4 = PML4E, 5 = PML5E. */
static bool maps_page(const struct x86 *x, int level, uint64_t entry)
{
    if (level == 1)
        return true;
    if (level == 2)
        return bit(entry, 7) && (x->mode != BITS32 || x->pse);
    if (level == 3)
        return bit(entry, 7) && x->mode >= LONG4 && x->huge_1g;
    return false;
}

static bool reserved_32bit(const struct x86 *x, int level, uint64_t entry)
{
    if (!maps_page(x, level, entry) || level == 1)
        return false;
    /* PDE of a 4 MiB page: bits M-20:13 hold address bits M-1:32, M being MAXPHYADDR but 40 at most; bits 21:M-19 are
     * reserved. */
    int m = x->maxphyaddr < 40 ? x->maxphyaddr : 40;
    return any_bit(entry, 21, m - 19);
}

static bool reserved_pae(const struct x86 *x, int level, uint64_t entry)
{
    if (any_bit(entry, 62, x->maxphyaddr))
        return true;
    if (level == 3)
        return any_bit(entry, 2, 1) || any_bit(entry, 8, 5) || bit(entry, 63);
    if (bit(entry, 63) && !x->nxe)
        return true;
    return level == 2 && bit(entry, 7) && any_bit(entry, 20, 13);
}

static bool reserved_long(const struct x86 *x, int level, uint64_t entry)
{
    if (any_bit(entry, 51, x->maxphyaddr))
        return true;
    if (bit(entry, 63) && !x->nxe)
        return true;
    if (level >= 4)
        return bit(entry, 7);
    if (level == 3 && bit(entry, 7))
        return !x->huge_1g || any_bit(entry, 29, 13);
    return level == 2 && bit(entry, 7) && any_bit(entry, 20, 13);
}

static bool reserved(const struct x86 *x, int level, uint64_t entry)
{
    return x->mode == BITS32 ? reserved_32bit(x, level, entry)
           : x->mode == PAE  ? reserved_pae(x, level, entry)
                             : reserved_long(x, level, entry);
}

static int page_bits(const struct x86 *x, int level)
{
    return level == 1 ? 12 : level == 2 ? (x->mode == BITS32 ? 22 : 21) : 30;
}

static uint64_t page_address(const struct x86 *x, int level, uint64_t entry)
{
    int low = page_bits(x, level);
    uint64_t page = bits(entry, x->mode == BITS32 ? 31 : 51, low);
    if (x->mode == BITS32 && level == 2)
        page |= bits(entry, 20, 13) >> 13 << 32;
    return page;
}

/* Where the entry for `address` is in the table at `table`. */
static uint64_t entry_address(const struct x86 *x, int level, uint64_t table, uint64_t address)
{
    if (x->mode == BITS32)
        return table + 4 * (level == 2 ? bits(address, 31, 22) >> 22 : bits(address, 21, 12) >> 12);
    if (x->mode == PAE && level == 3)
        return table + 8 * (bits(address, 31, 30) >> 30);
    int low = 12 + 9 * (level - 1);
    return table + 8 * (bits(address, low + 8, low) >> low);
}

static uint64_t read_entry(const struct naive_machine *m, const struct x86 *x, uint64_t hpa)
{
    uint64_t word = m->read(m->memory, hpa / 8 * 8);
    if (x->mode != BITS32)
        return word;
    return hpa % 8 ? word >> 32 : word & UINT32_MAX;
}

static void set_bits(const struct naive_machine *m, uint64_t hpa, uint64_t flags)
{
    uint64_t aligned = hpa / 8 * 8;
    m->write(m->memory, aligned, m->read(m->memory, aligned) | (hpa % 8 ? flags << 32 : flags));
}

static int top_level(enum mode mode) { return mode == BITS32 ? 2 : mode == PAE ? 3 : mode == LONG4 ? 4 : 5; }

/* ---- the second dimension ----------------------------------------------------------------------- */

/* What is to be done at a guest-physical address. */
struct second_access {
    bool read, write, fetch;
    bool table;                          /* a guest paging-structure entry, or its A/D update */
    bool user_linear;                    /* the linear address is a user-mode one */
    bool page_writable, page_no_execute; /* of the guest's own translation */
    uint64_t linear;
};

static bool ept_walk(const struct naive_machine *m, uint64_t gpa, const struct second_access *a, uint64_t *hpa,
                     int *page_log2, bool *writable, struct naive_result *r)
{
    bool accessed_dirty = bit(m->eptp, 6);
    int levels = (int)(bits(m->eptp, 5, 3) >> 3) + 1;
    uint64_t table = bits(m->eptp, 51, 12), entry = 0, flagged[5];
    bool can_read = true, can_write = true, can_fetch = true, can_fetch_user = true, present = true;
    int level = levels, used = 0;

    if (gpa >> (levels == 4 ? 48 : 57)) {
        can_read = can_write = can_fetch = can_fetch_user = present = false;
        level = 0;
    }
    for (; level >= 1; level--) {
        int low = 12 + 9 * (level - 1);
        uint64_t at = table + 8 * (bits(gpa, low + 8, low) >> low);
        entry = m->read(m->memory, at);
        r->nested_references++;
        bool er = bit(entry, 0), ew = bit(entry, 1), ex = bit(entry, 2), exu = m->mode_based_execute && bit(entry, 10);
        can_read &= er;
        can_write &= ew;
        can_fetch &= ex;
        can_fetch_user &= bit(entry, 10);
        if (!er && !ew && !ex && !exu) {
            present = false;
            break;
        }
        /* "EPT Misconfigurations" */
        bool leaf = level == 1 || ((level == 2 || (level == 3 && m->huge_1g)) && bit(entry, 7));
        bool wrong = (!er && ew) || (!er && (ex || exu) && !m->execute_only) || any_bit(entry, 51, m->maxphyaddr);
        if (!leaf && level >= 4)
            wrong |= any_bit(entry, 7, 3);
        if (!leaf && level == 3)
            wrong |= any_bit(entry, 6, 3) || (bit(entry, 7) && !m->huge_1g);
        if (!leaf && level == 2)
            wrong |= any_bit(entry, 6, 3);
        if (leaf && level == 3)
            wrong |= any_bit(entry, 29, 12);
        if (leaf && level == 2)
            wrong |= any_bit(entry, 20, 12);
        if (leaf) {
            int type = (int)(bits(entry, 5, 3) >> 3);
            wrong |= type == 2 || type == 3 || type == 7;
        }
        if (wrong) {
            r->kind = NAIVE_EPT_MISCONFIG;
            r->address = gpa;
            return false;
        }
        flagged[used++] = at;
        if (leaf)
            break;
        table = bits(entry, 51, 12);
    }
    bool fetch_allowed = m->mode_based_execute && a->user_linear && !a->table ? can_fetch_user : can_fetch;
    if (!present || (a->read && !can_read) || (a->write && !can_write) || (a->fetch && !fetch_allowed)) {
        /* "Exit Qualification for EPT Violations". Bit 0 is not set for a read-modify-write of data. */
        uint64_t q = 0;
        if (a->read && !(a->write && !a->table))
            q |= BIT(0);
        if (a->write)
            q |= BIT(1);
        if (a->fetch)
            q |= BIT(2);
        if (can_read)
            q |= BIT(3);
        if (can_write)
            q |= BIT(4);
        if (can_fetch)
            q |= BIT(5);
        if (m->mode_based_execute && can_fetch_user)
            q |= BIT(6);
        q |= BIT(7);
        if (!a->table)
            q |= BIT(8);
        if (!a->table && m->advanced_info) {
            if (a->user_linear)
                q |= BIT(9);
            if (a->page_writable)
                q |= BIT(10);
            if (a->page_no_execute)
                q |= BIT(11);
        }
        r->kind = NAIVE_EPT_VIOLATION;
        r->code = q;
        r->address = gpa;
        r->gla = a->linear;
        return false;
    }
    if (accessed_dirty) {
        for (int i = 0; i < used; i++)
            set_bits(m, flagged[i], BIT(8));
        if (a->write)
            set_bits(m, flagged[used - 1], BIT(9));
    }
    *page_log2 = 12 + 9 * (level - 1);
    *hpa = bits(entry, 51, *page_log2) | bits(gpa, *page_log2 - 1, 0);
    *writable = can_write;
    return true;
}

static bool npt_walk(const struct naive_machine *m, uint64_t gpa, const struct second_access *a, uint64_t *hpa,
                     int *page_log2, struct naive_result *r)
{
    struct x86 x = { .mode = m->nested_levels == 2   ? BITS32
                             : m->nested_levels == 3 ? PAE
                             : m->nested_levels == 4 ? LONG4
                                                     : LONG5,
                     .maxphyaddr = m->maxphyaddr,
                     .nxe = m->host_nxe && m->nested_levels > 2,
                     .pse = m->host_pse,
                     .huge_1g = m->huge_1g };
    int width = x.mode <= PAE ? 32 : x.mode == LONG4 ? 48 : 57;
    uint64_t table = m->nested_levels == 3   ? bits(m->ncr3, 31, 5)
                     : m->nested_levels == 2 ? bits(m->ncr3, 31, 12)
                                             : bits(m->ncr3, 51, 12);
    uint64_t entry = 0, flagged[5], no_flag = 0;
    bool user = true, writable = true, executable = true, present = true, wrong = false, leaf = false;
    int level = top_level(x.mode), used = 0;
    if (gpa >> width)
        present = false;
    while (present) {
        uint64_t at = entry_address(&x, level, table, gpa);
        entry = read_entry(m, &x, at);
        r->nested_references++;
        if (!bit(entry, 0)) {
            present = false;
            break;
        }
        leaf = maps_page(&x, level, entry);
        if (reserved(&x, level, entry)) {
            wrong = true;
            break;
        }
        if (x.mode == PAE && level == 3) {
            no_flag++; /* a PDPTE has neither A nor permissions */
        } else {
            flagged[used++] = at;
            user &= bit(entry, 2);
            writable &= bit(entry, 1);
            if (x.mode != BITS32)
                executable &= !bit(entry, 63);
        }
        if (leaf)
            break;
        table = bits(entry, x.mode == BITS32 ? 31 : 51, 12);
        level--;
    }
    /* "guest accesses are user accesses in the nested tables"; walks of guest tables are writes as well. */
    bool store = a->write || a->table;
    if (!present || wrong || !user || (store && !writable) || (a->fetch && !executable)) {
        r->kind = NAIVE_NPF;
        r->code = BIT(2);
        if (present)
            r->code |= BIT(0);
        if (wrong)
            r->code |= BIT(3);
        if (store)
            r->code |= BIT(1);
        if (a->fetch && x.nxe)
            r->code |= BIT(4);
        r->code |= a->table ? BIT(33) : BIT(32);
        r->address = gpa;
        return false;
    }
    for (int i = 0; i < used; i++)
        set_bits(m, flagged[i], BIT(5));
    if (store)
        set_bits(m, flagged[used - 1], BIT(6));
    *page_log2 = page_bits(&x, level);
    *hpa = page_address(&x, level, entry) | bits(gpa, *page_log2 - 1, 0);
    return true;
}

static bool to_hpa(const struct naive_machine *m, uint64_t gpa, const struct second_access *a, uint64_t *hpa,
                   int *page_log2, bool *writable, struct naive_result *r)
{
    *writable = true;
    *page_log2 = 0;
    *hpa = gpa;
    if (m->second == NAIVE_EPT)
        return ept_walk(m, gpa, a, hpa, page_log2, writable, r);
    if (m->second == NAIVE_NPT)
        return npt_walk(m, gpa, a, hpa, page_log2, r);
    return true;
}

/* ---- the first dimension ------------------------------------------------------------------------ */

static struct naive_result page_fault(const struct naive_machine *m, const struct x86 *x, struct naive_result r,
                                      uint64_t linear, enum naive_access access, bool user, bool present, bool wrong,
                                      bool key)
{
    r.kind = NAIVE_PAGE_FAULT;
    r.address = linear;
    r.code = 0;
    if (present)
        r.code |= BIT(0);
    if (access == NAIVE_WRITE || access == NAIVE_RMW)
        r.code |= BIT(1);
    if (user)
        r.code |= BIT(2);
    if (wrong)
        r.code |= BIT(3);
    if (access == NAIVE_FETCH && (bit(m->cr4, 20) || x->nxe))
        r.code |= BIT(4);
    if (key)
        r.code |= BIT(5);
    return r;
}

/* "Determination of Access Rights" */
static bool rights_allow(const struct naive_machine *m, const struct x86 *x, enum naive_access access, bool user,
                         bool ac, bool user_page, bool writable, bool executable)
{
    bool wp = bit(m->cr0, 16), smep = bit(m->cr4, 20), smap = bit(m->cr4, 21);
    bool store = access == NAIVE_WRITE || access == NAIVE_RMW;
    if (user) {
        if (!user_page)
            return false;
        if (store)
            return writable;
        return access != NAIVE_FETCH || !x->nxe || executable;
    }
    if (access == NAIVE_FETCH)
        return !(smep && user_page) && (!x->nxe || executable);
    if (user_page && smap && !ac)
        return false;
    return !store || !wp || writable;
}

static bool key_denies(const struct naive_machine *m, enum naive_access access, bool user, bool user_page, int key)
{
    bool on = user_page ? bit(m->cr4, 22) : bit(m->cr4, 24);
    uint32_t rights = user_page ? m->pkru : m->pkrs;
    if (!on || access == NAIVE_FETCH)
        return false;
    bool access_disable = bit(rights, 2 * key), write_disable = bit(rights, 2 * key + 1);
    if (access_disable)
        return true;
    return write_disable && access != NAIVE_READ && (user || bit(m->cr0, 16));
}

struct naive_result naive_walk(const struct naive_machine *m, uint64_t linear, enum naive_access access, bool user,
                               bool ac)
{
    struct naive_result r = { 0 };
    bool store = access == NAIVE_WRITE || access == NAIVE_RMW;
    struct x86 x = { .maxphyaddr = m->maxphyaddr, .pse = bit(m->cr4, 4), .huge_1g = m->huge_1g };
    x.mode = !bit(m->cr0, 31)    ? OFF
             : !bit(m->cr4, 5)   ? BITS32
             : !bit(m->efer, 10) ? PAE
             : bit(m->cr4, 12)   ? LONG5
                                 : LONG4;
    x.nxe = bit(m->efer, 11) && x.mode >= PAE;
    bool epts_ad = m->second == NAIVE_EPT && bit(m->eptp, 6);
    struct second_access table_access = { .read = true, .write = epts_ad, .table = true };
    struct second_access final = { .read = access == NAIVE_READ || access == NAIVE_RMW,
                                   .write = store,
                                   .fetch = access == NAIVE_FETCH,
                                   .user_linear = true,
                                   .page_writable = true };
    uint64_t gpa;
    bool dont_care;

    if (x.mode == LONG4 || x.mode == LONG5) {
        int width = x.mode == LONG4 ? 48 : 57;
        for (int n = width; n < 64; n++)
            if (bit(linear, n) != bit(linear, width - 1)) {
                r.kind = NAIVE_NONCANONICAL;
                r.address = linear;
                return r;
            }
    } else {
        linear = bits(linear, 31, 0);
    }
    table_access.linear = final.linear = linear;

    if (x.mode == OFF) {
        gpa = linear;
        r.guest_page_log2 = 32;
    } else {
        uint64_t table = x.mode == PAE      ? bits(m->cr3, 31, 5)
                         : x.mode == BITS32 ? bits(m->cr3, 31, 12)
                                            : bits(m->cr3, 51, 12);
        struct {
            uint64_t gpa, hpa, set;
            bool writable;
        } todo[5];
        int todo_count = 0, level = top_level(x.mode), size;
        bool user_page = true, writable = true, executable = true;
        uint64_t entry;
        for (;; level--) {
            uint64_t at = entry_address(&x, level, table, linear), hpa = 0;
            bool nested_writable = true;
            if (x.mode == PAE && level == 3 && m->pdptes_loaded) {
                entry = m->pdpte[bits(linear, 31, 30) >> 30];
            } else {
                if (!to_hpa(m, at, &table_access, &hpa, &size, &nested_writable, &r))
                    return r;
                entry = read_entry(m, &x, hpa);
                r.guest_references++;
            }
            if (!bit(entry, 0))
                return page_fault(m, &x, r, linear, access, user, false, false, false);
            bool leaf = maps_page(&x, level, entry);
            if (!(x.mode == PAE && level == 3 && m->pdptes_loaded) && reserved(&x, level, entry))
                return page_fault(m, &x, r, linear, access, user, true, true, false);
            if (!(x.mode == PAE && level == 3)) {
                user_page &= bit(entry, 2);
                writable &= bit(entry, 1);
                if (x.mode != BITS32)
                    executable &= !bit(entry, 63);
                uint64_t set = 0;
                if (!bit(entry, 5))
                    set |= BIT(5);
                if (leaf && store && !bit(entry, 6))
                    set |= BIT(6);
                if (set) {
                    todo[todo_count].gpa = at;
                    todo[todo_count].hpa = hpa;
                    todo[todo_count].set = set;
                    todo[todo_count++].writable = nested_writable;
                }
            }
            if (leaf)
                break;
            table = bits(entry, x.mode == BITS32 ? 31 : 51, 12);
        }
        int key = (int)(bits(entry, 62, 59) >> 59);
        bool denied_by_key = x.mode >= LONG4 && key_denies(m, access, user, user_page, key);
        if (denied_by_key || !rights_allow(m, &x, access, user, ac, user_page, writable, executable))
            return page_fault(m, &x, r, linear, access, user, true, false, denied_by_key);
        for (int i = 0; i < todo_count; i++) {
            if (!todo[i].writable) {
                /* Setting A or D writes to a page that the nested tables only let be read. */
                struct second_access update = { .write = true, .table = true, .linear = linear };
                uint64_t again;
                if (!to_hpa(m, todo[i].gpa, &update, &again, &size, &dont_care, &r))
                    return r;
            }
            set_bits(m, todo[i].hpa, todo[i].set);
        }
        r.guest_page_log2 = page_bits(&x, level);
        gpa = page_address(&x, level, entry) | bits(linear, r.guest_page_log2 - 1, 0);
        final.user_linear = user_page;
        final.page_writable = writable;
        final.page_no_execute = !executable;
    }
    if (!to_hpa(m, gpa, &final, &r.hpa, &r.nested_page_log2, &dont_care, &r))
        return r;
    r.kind = NAIVE_OK;
    return r;
}
