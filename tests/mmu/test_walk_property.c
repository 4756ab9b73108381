/* Random walks: the library's walker against naive.c, which was written from the manuals' prose. Outcome, every
 * field of the fault, the translation, page sizes, the number of references in each dimension, and every word of
 * memory afterwards must agree.
 *
 * NW_SEED and NW_WALKS in the environment repeat or lengthen a run. */
#include "mmu_common.h"
#include "naive.c"

enum { WORDS_MAX = 256, POOL = 40 };

struct world {
    struct nw_rng rng;
    struct nw_physmem *pm;
    uint64_t hpa[WORDS_MAX], initial[WORDS_MAX]; /* every word that is not zero */
    unsigned words;
    uint64_t frame[POOL]; /* host frames for tables, and GPAs for guest tables */
    struct naive_machine m;
    struct nw_paging guest, nested;
    int nested_levels;
};

static uint64_t below(struct world *w, uint64_t n) { return nw_rng_below(&w->rng, n); }
static bool chance(struct world *w, unsigned percent) { return below(w, 100) < percent; }

static uint64_t read_word(void *memory, uint64_t hpa) { return nw_physmem_read64(memory, nw_hpa(hpa)); }
static void write_word(void *memory, uint64_t hpa, uint64_t word)
{
    must(nw_physmem_write64(memory, nw_hpa(hpa), word, err));
}

static void put(struct world *w, uint64_t hpa, uint64_t word)
{
    unsigned i = 0;
    while (i < w->words && w->hpa[i] != hpa)
        i++;
    assert_true(i < WORDS_MAX);
    w->hpa[i] = hpa;
    w->initial[i] = word;
    w->words += i == w->words;
    write_word(w->pm, hpa, word);
}

/* ---- making entries ----------------------------------------------------------------------------- */

/* An entry at manual's level `level` that points at `frame`, mostly a good one. */
static uint64_t spoil(struct world *w, uint64_t entry)
{
    if (chance(w, 3))
        entry ^= NW_BIT(below(w, 64));
    if (chance(w, 1))
        entry |= NW_BIT(w->m.maxphyaddr + (int)below(w, 4));
    if (chance(w, 1))
        entry |= NW_BIT(12 + below(w, 18));
    return entry;
}

static uint64_t x86_entry(struct world *w, uint64_t frame, bool large, bool bits32, bool pae)
{
    uint64_t entry = frame | (large ? 0x80 : 0);
    entry |= chance(w, 96) ? 1 : 0;
    entry |= chance(w, 88) ? 2 : 0;
    entry |= chance(w, 85) ? 4 : 0;
    entry |= below(w, 8) << 9 | (below(w, 2) << 5) | (below(w, 2) << 6) | (below(w, 2) << 8) | below(w, 4) << 3;
    if (!bits32 && chance(w, 10))
        entry |= NW_BIT(63);
    if (!bits32 && !pae && chance(w, 30))
        entry |= below(w, 2048) << 52;
    return spoil(w, entry);
}

static uint64_t ept_entry(struct world *w, uint64_t frame, bool leaf, bool large)
{
    uint64_t entry = frame | (large ? 0x80 : 0) | (leaf ? (chance(w, 97) ? 6u : below(w, 8)) << 3 : 0);
    entry |= chance(w, 92) ? 7 : below(w, 8);
    entry |= below(w, 2) << 8 | below(w, 2) << 9 | (chance(w, 70) ? NW_BIT(10) : 0) | below(w, 2) << 11;
    if (chance(w, 20))
        entry |= below(w, 2048) << 52;
    return spoil(w, entry);
}

static uint64_t a_frame(struct world *w, int log2)
{
    if (log2 == 12)
        return w->frame[below(w, POOL)];
    if (log2 == 22)
        return below(w, 8) << 22;
    if (log2 == 21)
        return below(w, 16) << 21;
    return 0;
}

/* Makes the nested path of a GPA, as far as it is not there yet; returns the HPA that it leads to, whatever its flags
 * say. */
static uint64_t second_path(struct world *w, uint64_t gpa)
{
    if (w->m.second == NAIVE_NONE)
        return gpa;
    const struct nw_paging *p = &w->nested;
    uint64_t table = p->root;
    for (int level = w->nested_levels; level >= 1; level--) {
        int low = p->level[level - 1].index_low;
        bool bits32 = p->entry_log2 == 2, pdpte = w->nested_levels == 3 && level == 3;
        uint64_t at = table + (nw_paging_index(p, (unsigned)level - 1, gpa) << p->entry_log2);
        uint64_t word = read_word(w->pm, at & ~UINT64_C(7)),
                 entry = bits32 ? (uint32_t)(at & 4 ? word >> 32 : word) : word;
        if (!entry) {
            bool large = level > 1 && level < 4 && !pdpte && chance(w, 12), leaf = large || level == 1;
            uint64_t frame = a_frame(w, leaf ? low : 12);
            entry = w->m.second == NAIVE_EPT ? ept_entry(w, frame, leaf, large)
                                             : x86_entry(w, frame, large, bits32, w->nested_levels == 3);
            if (pdpte && chance(w, 90))
                entry &= ~UINT64_C(0xfff00000000001e6);
            if (bits32)
                entry = at & 4 ? (word & UINT32_MAX) | entry << 32 : (word & ~UINT64_C(0xffffffff)) | (uint32_t)entry;
            put(w, at & ~UINT64_C(7), entry);
            if (bits32)
                entry = (uint32_t)(at & 4 ? entry >> 32 : entry);
        }
        if (level == 1 || (entry & 0x80 && level < 4))
            return ((entry & nw_mask(35, (unsigned)low)) | (gpa & nw_mask((unsigned)low - 1, 0))) & nw_mask(29, 0);
        table = entry & nw_mask(29, 12);
    }
    return 0;
}

static void guest_path(struct world *w, uint64_t linear)
{
    const struct nw_paging *p = &w->guest;
    uint64_t table = p->root;
    for (int level = p->levels; level >= 1; level--) {
        bool bits32 = p->entry_log2 == 2, pae = p->levels == 3, pdpte = pae && level == 3;
        int low = p->level[level - 1].index_low;
        uint64_t at = table + (nw_paging_index(p, (unsigned)level - 1, linear) << p->entry_log2);
        bool large = level > 1 && level < 4 && !pdpte && chance(w, 12);
        uint64_t frame = a_frame(w, large || level == 1 ? low : 12), entry = x86_entry(w, frame, large, bits32, pae);
        if (pdpte && chance(w, 90))
            entry &= ~UINT64_C(0xfff00000000001e6);
        if (pdpte && p->root_in_registers) {
            entry = w->guest.pdpte[(linear >> 30) & 3];
        } else {
            uint64_t hpa = second_path(w, at) & ~UINT64_C(7), word = entry;
            if (bits32) {
                word = read_word(w->pm, hpa);
                word = at & 4 ? (word & UINT32_MAX) | entry << 32 : (word & ~UINT64_C(0xffffffff)) | (uint32_t)entry;
            }
            put(w, hpa, word);
        }
        if (level == 1 || large) {
            second_path(w, (entry & nw_mask(29, (unsigned)low)) | (linear & nw_mask((unsigned)low - 1, 0)));
            return;
        }
        table = entry & nw_mask(29, 12);
    }
}

/* ---- making machines ---------------------------------------------------------------------------- */

static void random_guest(struct world *w)
{
    struct naive_machine *m = &w->m;
    unsigned mode = (unsigned)below(w, 10);
    *m = (struct naive_machine){ .read = read_word, .write = write_word, .memory = w->pm };
    m->maxphyaddr = chance(w, 50) ? 40 : 36 + (int)below(w, 17);
    m->huge_1g = chance(w, 80);
    m->cr0 = (mode ? NW_CR0_PG : 0) | 1 | (chance(w, 60) ? NW_CR0_WP : 0);
    m->cr4 = (mode == 1 ? 0 : NW_CR4_PAE) | (chance(w, 70) ? NW_CR4_PSE : 0) | (below(w, 2) ? NW_CR4_PGE : 0) |
             (chance(w, 40) ? NW_CR4_SMEP : 0) | (chance(w, 40) ? NW_CR4_SMAP : 0) | (chance(w, 30) ? NW_CR4_PKE : 0) |
             (chance(w, 30) ? NW_CR4_PKS : 0) | (mode > 6 ? NW_CR4_LA57 : 0);
    m->efer = (mode > 3 ? NW_EFER_LME | NW_EFER_LMA : 0) | (chance(w, 70) ? NW_EFER_NXE : 0);
    m->cr3 = w->frame[below(w, POOL)] | (mode == 2 || mode == 3 ? below(w, 128) << 5 : 0);
    m->pkru = (uint32_t)nw_rng_next(&w->rng);
    m->pkrs = (uint32_t)nw_rng_next(&w->rng);
    m->pdptes_loaded = chance(w, 50);
    for (unsigned i = 0; i < 4; i++)
        m->pdpte[i] = w->frame[below(w, POOL)] | (chance(w, 90) ? 1 : 0) | below(w, 4) << 3 | below(w, 8) << 9;
    struct nw_guest_registers r = { .cr0 = m->cr0,
                                    .cr3 = m->cr3,
                                    .cr4 = m->cr4,
                                    .efer = m->efer,
                                    .maxphyaddr = (unsigned)m->maxphyaddr,
                                    .huge_1g = m->huge_1g,
                                    .pdpte_in_registers = m->pdptes_loaded,
                                    .pkru = m->pkru,
                                    .pkrs = m->pkrs };
    memcpy(r.pdpte, m->pdpte, sizeof r.pdpte);
    must(nw_paging_init_guest(&w->guest, &r, err));
}

static void random_second(struct world *w)
{
    struct naive_machine *m = &w->m;
    uint64_t root = w->frame[below(w, POOL)];
    m->second = (enum naive_second)below(w, 3);
    m->execute_only = chance(w, 50);
    m->mode_based_execute = chance(w, 40);
    m->advanced_info = chance(w, 40);
    m->host_nxe = chance(w, 70);
    m->host_pse = chance(w, 70);
    if (m->second == NAIVE_EPT) {
        w->nested_levels = chance(w, 60) ? 4 : 5;
        m->eptp = root | 6 | (uint64_t)(w->nested_levels - 1) << 3 | (below(w, 2) << 6);
        struct nw_ept_registers r = { .eptp = m->eptp,
                                      .maxphyaddr = (unsigned)m->maxphyaddr,
                                      .huge_1g = m->huge_1g,
                                      .execute_only = m->execute_only,
                                      .mode_based_execute = m->mode_based_execute,
                                      .advanced_exit_info = m->advanced_info };
        must(nw_paging_init_ept(&w->nested, &r, err));
    } else if (m->second == NAIVE_NPT) {
        w->nested_levels = m->nested_levels = chance(w, 60) ? 4 : 2 + (int)below(w, 4);
        m->ncr3 = root | (w->nested_levels == 3 ? below(w, 128) << 5 : 0);
        struct nw_npt_registers r = { .ncr3 = m->ncr3,
                                      .levels = (unsigned)w->nested_levels,
                                      .nxe = m->host_nxe,
                                      .pse = m->host_pse,
                                      .maxphyaddr = (unsigned)m->maxphyaddr,
                                      .huge_1g = m->huge_1g };
        must(nw_paging_init_npt(&w->nested, &r, err));
    }
}

static void forget(struct world *w)
{
    for (unsigned i = 0; i < w->words; i++)
        write_word(w->pm, w->hpa[i], 0);
    w->words = 0;
}

static uint64_t random_linear(struct world *w)
{
    uint64_t v = nw_rng_next(&w->rng) & ~UINT64_C(7);
    if (w->guest.input_rule != NW_INPUT_CANONICAL || chance(w, 2))
        return v;
    return nw_sign_extend(v, w->guest.input_bits);
}

/* ---- comparing ---------------------------------------------------------------------------------- */

static enum naive_kind kind_of(enum nw_outcome outcome)
{
    switch (outcome) {
    case NW_WALK_OK: return NAIVE_OK;
    case NW_WALK_NONCANONICAL: return NAIVE_NONCANONICAL;
    case NW_WALK_PAGE_FAULT: return NAIVE_PAGE_FAULT;
    case NW_WALK_EPT_VIOLATION: return NAIVE_EPT_VIOLATION;
    case NW_WALK_EPT_MISCONFIG: return NAIVE_EPT_MISCONFIG;
    default: return NAIVE_NPF;
    }
}

static const char *compare(const struct nw_walk_result *r, const struct nw_walk_log *log, const struct naive_result *n)
{
    if (kind_of(r->outcome) != n->kind)
        return "outcome";
    if (log->guest != (unsigned)n->guest_references || log->nested != (unsigned)n->nested_references)
        return "references";
    switch (n->kind) {
    case NAIVE_OK:
        return r->hpa.v != n->hpa                           ? "HPA"
               : r->guest_page_log2 != n->guest_page_log2   ? "guest page size"
               : r->nested_page_log2 != n->nested_page_log2 ? "nested page size"
                                                            : NULL;
    case NAIVE_EPT_VIOLATION:
        return r->fault.code != n->code         ? "qualification"
               : r->fault.address != n->address ? "GPA"
               : r->fault.gla != n->gla         ? "GLA"
                                                : NULL;
    case NAIVE_PAGE_FAULT:
    case NAIVE_NPF: return r->fault.code != n->code ? "code" : r->fault.address != n->address ? "address" : NULL;
    default: return r->fault.address != n->address ? "address" : NULL;
    }
}

/* What a TLB would keep of this translation serves exactly the accesses that a walk would grant; a store also needs the
 * D flags set. */
static void check_cached_rights(struct world *w, uint64_t linear, const struct nw_walk_result *cached)
{
    for (enum nw_access_kind kind = NW_ACCESS_READ; kind < NW_ACCESS_KINDS; kind++)
        for (unsigned who = 0; who < 3; who++) {
            struct nw_access a = { .kind = kind, .user = who == 1, .ac = who == 2 };
            bool serves = nw_rights_serve(&w->guest, cached->rights, cached->pkey, &a);
            bool clean_store = (kind == NW_ACCESS_WRITE || kind == NW_ACCESS_RMW) && !(cached->rights & NW_RIGHT_DIRTY);
            struct nw_walk_result r;
            if (w->m.second == NAIVE_NONE)
                nw_walk_native(w->pm, &w->guest, nw_gva(linear), &a, NULL, &r);
            else
                nw_walk_nested(w->pm, &w->guest, &w->nested, nw_gva(linear), &a, NULL, &r);
            if (serves != (r.outcome == NW_WALK_OK && !clean_store))
                fail_msg("guest %s over %s: cached rights 0x%x %s access %d of privilege %u, a walk says %s",
                         w->guest.format->name, w->m.second ? w->nested.format->name : "nothing", cached->rights,
                         serves ? "serve" : "refuse", (int)kind, who, nw_outcome_name[r.outcome]);
        }
}

static void one_walk(struct world *w, uint64_t seed, uint64_t number, uint64_t kinds[])
{
    static const enum nw_access_kind kind[] = { NW_ACCESS_READ, NW_ACCESS_WRITE, NW_ACCESS_FETCH, NW_ACCESS_RMW };
    random_guest(w);
    random_second(w);
    uint64_t linear = random_linear(w);
    if (w->guest.levels)
        guest_path(w, linear & nw_mask(w->guest.input_bits - 1u, 0));
    else
        second_path(w, linear & UINT32_MAX);
    enum naive_access access = (enum naive_access)below(w, 4);
    struct nw_access a = { .kind = kind[access], .user = below(w, 2), .ac = below(w, 2) };

    struct nw_walk_log log;
    struct nw_walk_result r;
    uint64_t after[WORDS_MAX];
    if (w->m.second == NAIVE_NONE)
        nw_walk_native(w->pm, &w->guest, nw_gva(linear), &a, &log, &r);
    else
        nw_walk_nested(w->pm, &w->guest, &w->nested, nw_gva(linear), &a, &log, &r);
    for (unsigned i = 0; i < w->words; i++) {
        after[i] = read_word(w->pm, w->hpa[i]);
        write_word(w->pm, w->hpa[i], w->initial[i]);
    }
    struct naive_result n = naive_walk(&w->m, linear, access, a.user, a.ac);
    const char *difference = compare(&r, &log, &n);
    for (unsigned i = 0; i < w->words && !difference; i++)
        if (after[i] != read_word(w->pm, w->hpa[i]))
            difference = "memory afterwards";
    if (difference) {
        char text[256];
        nw_walk_describe(&r, text, sizeof text);
        fail_msg("walk %llu of seed %llu, guest %s over %s, gva 0x%llx access %d user %d: %s differs\n  model: %s (hpa "
                 "0x%llx)\n"
                 "  naive: kind %d code 0x%llx address 0x%llx hpa 0x%llx; references %u+%u against %d+%d",
                 (unsigned long long)number, (unsigned long long)seed, w->guest.format->name,
                 w->m.second ? w->nested.format->name : "nothing", (unsigned long long)linear, (int)access, a.user,
                 difference, text, (unsigned long long)r.hpa.v, (int)n.kind, (unsigned long long)n.code,
                 (unsigned long long)n.address, (unsigned long long)n.hpa, log.guest, log.nested, n.guest_references,
                 n.nested_references);
    }
    kinds[n.kind]++;
    if (n.kind == NAIVE_OK && number % 4 == 0)
        check_cached_rights(w, linear, &r);
    forget(w);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void walk__agrees_with_the_manuals_prose_on_random_machines(void **state)
{
    (void)state;
    uint64_t seed = from_environment("NW_SEED", 20240229), walks = from_environment("NW_WALKS", 1000000);
    uint64_t kinds[NAIVE_NPF + 1] = { 0 };
    struct world w = { .rng = nw_rng_for(seed, "walk property") };
    must(nw_physmem_create(&w.pm, err));
    print_message("seed %llu, %llu walks\n", (unsigned long long)seed, (unsigned long long)walks);
    for (unsigned i = 0; i < POOL; i++)
        w.frame[i] = UINT64_C(0x100000) + (below(&w, 0x2f00) << 12);
    for (uint64_t i = 0; i < walks; i++)
        one_walk(&w, seed, i, kinds);
    for (unsigned i = 0; i <= NAIVE_NPF; i++) /* every kind of outcome was met often */
        if (kinds[i] < walks / 1000)
            fail_msg("outcome %u came up only %llu times in %llu walks", i, (unsigned long long)kinds[i],
                     (unsigned long long)walks);
    nw_physmem_destroy(w.pm);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(walk__agrees_with_the_manuals_prose_on_random_machines) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
