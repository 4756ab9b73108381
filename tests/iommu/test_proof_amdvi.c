/* The proof of an intent over an AMD IOMMU's tables against a request for every page: host tables of all modes with levels left out and page
 * size 7 by naive_amdvi.h; guests' tables (GCR3), alone and over the host's, one request after the other. */
#include "naive_amdvi.h"
#include "proof_brute.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/amdvi_watch.h>

static const struct nw_amdvi_range ram[] = { { 0x1000, 0x800000 } };
enum { DEVICE_TABLE = 0x1000, POOL = 0x10000, TABLES_MAX = 64 };

struct world {
    struct brute b;
    struct nw_amdvi_tables t;
    uint64_t next_table;
    struct {
        uint64_t at;
        unsigned level; /* 8 and more: the guest's */
    } table[TABLES_MAX];
    unsigned tables, mode[3];
    bool guest[3], huge;
    bool
        mixed; /* tables may be used at other levels, and then no page is large: one could come to cover more than is asked for */
};

static uint64_t new_page(struct world *w)
{
    const uint64_t page = w->next_table;
    w->next_table += 4096;
    assert_true(page < DATA);
    return page;
}

static uint64_t target(struct world *w, unsigned log2)
{
    if (log2 > 12)
        return chance(&w->b, 300) ? below(&w->b, 4) << log2 : DATA & ~nw_mask(log2 - 1, 0);
    return chance(&w->b, 20) ? POOL + below(&w->b, 16) * 4096 : DATA + below(&w->b, DATA_PAGES) * 4096;
}

static uint64_t old_table(struct world *w, unsigned level)
{
    if (!w->tables || !chance(&w->b, 220))
        return 0;
    const unsigned i = (unsigned)below(&w->b, w->tables);
    return w->table[i].level == level || (w->mixed && level <= 2 && chance(&w->b, 500)) ? w->table[i].at : 0;
}

static void keep(struct world *w, uint64_t at, unsigned level)
{
    if (w->tables == TABLES_MAX)
        return;
    w->table[w->tables].at = at;
    w->table[w->tables++].level = level;
}

/* ---- host tables -------------------------------------------------------------------------------- */

static uint64_t rights(struct world *w)
{
    return (chance(&w->b, 980) ? 1 : 0) | (chance(&w->b, 900) ? NW_BIT(61) : 0) |
           (chance(&w->b, 900) ? NW_BIT(62) : 0) | (chance(&w->b, 500) ? 0x60 : 0);
}

static uint64_t host_leaf(struct world *w, unsigned level)
{
    const unsigned low = 12 + 9 * (level - 1), log2 = low + 1 + (unsigned)below(&w->b, 7);
    if (chance(&w->b, 700))
        return target(w, low);
    return (target(w, log2) & ~nw_mask(log2 - 1, 0)) | nw_mask(log2 - 2, 12) | 7 << 9;
}

static uint64_t host_table(struct world *w, unsigned level)
{
    uint64_t at = old_table(w, level);
    if (at)
        return at;
    at = new_page(w);
    for (unsigned i = 0; i < INDICES; i++) {
        const bool leaf = level == 1 || (level == 2 && !w->mixed && chance(&w->b, 80)) ||
                          (level == 3 && w->huge && chance(&w->b, 300));
        if (chance(&w->b, level == 1 ? 150 : 450))
            continue;
        const unsigned next = level > 1 && chance(&w->b, 750) ? level - 1 : 1 + (unsigned)below(&w->b, level);
        const uint64_t entry =
            leaf ? host_leaf(w, level)
                 : host_table(w, next < level ? next : level - 1) | (uint64_t)(next < level ? next : level - 1) << 9;
        put64(w->b.pm, at + table_index[i] * 8, rights(w) | entry);
    }
    keep(w, at, level);
    return at;
}

/* A guest-physical page that the host tables lead to memory; tables on the way are made. */
static uint64_t guest_page(struct world *w, uint64_t root, unsigned levels, uint64_t *gpa)
{
    uint64_t table = root;
    *gpa = 0;
    for (unsigned level = levels;; level--) {
        const unsigned low = 12 + 9 * (level - 1), index = table_index[below(&w->b, INDICES)];
        const uint64_t slot = table + index * 8,
                       both = NW_BIT(61) | (level > 1 || chance(&w->b, 900) ? NW_BIT(62) : 0) | 1;
        *gpa |= (uint64_t)index << low;
        if (level == 1) {
            put64(w->b.pm, slot, DATA | below(&w->b, DATA_PAGES) << 12 | both);
            return get64(w->b.pm, slot) & nw_mask(51, 12);
        }
        if (!(get64(w->b.pm, slot) & 1))
            put64(w->b.pm, slot, new_page(w) | (uint64_t)(level - 1) << 9 | both);
        table = get64(w->b.pm, slot) & nw_mask(51, 12);
    }
}

/* ---- guests' tables ----------------------------------------------------------------------------- */

static uint64_t guest_entry(struct world *w, uint64_t to, bool large)
{
    return to | (chance(&w->b, 950) ? 1 : 0) | (chance(&w->b, 850) ? 2 : 0) | (chance(&w->b, 950) ? 4 : 0) |
           (chance(&w->b, 600) ? 0x20 : 0) | (chance(&w->b, 600) ? 0x40 : 0) | (large ? 0x80 : 0);
}

/* `root` 0: there are no host tables. */
static uint64_t guest_table(struct world *w, uint64_t root, unsigned host_levels, unsigned level)
{
    uint64_t gpa, hpa, child;
    if (!root && (gpa = old_table(w, level + 8)))
        return gpa;
    hpa = gpa = root ? 0 : new_page(w);
    if (root)
        hpa = guest_page(w, root, host_levels, &gpa);
    for (unsigned i = 0; i < INDICES; i++) {
        const bool leaf = level == 1 || (!root && level == 2 && !w->mixed && chance(&w->b, 80));
        if (chance(&w->b, level == 1 ? 150 : 500))
            continue;
        if (!leaf)
            child = guest_table(w, root, host_levels, level - 1);
        else if (root)
            guest_page(w, root, host_levels, &child);
        else
            child = target(w, level == 2 ? 21 : 12);
        put64(w->b.pm, hpa + table_index[i] * 8, guest_entry(w, child, leaf && level == 2));
    }
    if (!root)
        keep(w, gpa, level + 8);
    return gpa;
}

/* ---- devices ------------------------------------------------------------------------------------ */

static void build_device(struct world *w, unsigned which, uint16_t device)
{
    const uint64_t at = DEVICE_TABLE + device * 32u,
                   both = (chance(&w->b, 900) ? NW_BIT(61) : 0) | (chance(&w->b, 900) ? NW_BIT(62) : 0);
    uint64_t w0 = 1 | (chance(&w->b, 970) ? 2 : 0) | both,
             w1 = below(&w->b, 0x10000) | (uint64_t)2 << 35 | (uint64_t)3 << 40, root = 0;
    unsigned mode = chance(&w->b, 150) ? 0 : 1 + (unsigned)below(&w->b, w->huge ? 3 : 4);
    w->guest[which] = chance(&w->b, 400);
    if (w->guest[which] && mode)
        mode = 3;
    if (mode)
        root = w->guest[which] ? new_page(w) : host_table(w, mode);
    w->mode[which] = mode;
    w0 |= root | (uint64_t)mode << 9;
    if (w->guest[which]) {
        const uint64_t gcr3 = new_page(w);
        for (unsigned pasid = 0; pasid < 2; pasid++)
            put64(w->b.pm, gcr3 + pasid * 8, guest_table(w, root, mode, 4) | (chance(&w->b, 950) ? 1 : 0));
        w0 |= NW_BIT(55) | nw_field(gcr3, 14, 12) << 58 | (chance(&w->b, 500) ? NW_BIT(54) : 0);
        w1 |= nw_field(gcr3, 30, 15) << 16 | nw_field(gcr3, 51, 31) << 43;
    }
    put64(w->b.pm, at, chance(&w->b, 960) ? w0 : 0);
    put64(w->b.pm, at + 8, w1);
}

static void build(struct world *w, uint64_t seed)
{
    *w = (struct world){ .b = { .rng = nw_rng_seeded(seed), .seed = seed }, .next_table = POOL };
    must(nw_physmem_create(&w->b.pm, err));
    w->t = (struct nw_amdvi_tables){ .unit = nw_amdvi_config_default(NULL).unit,
                                     .memory = { w->b.pm, ram, 1 },
                                     .device_table = DEVICE_TABLE };
    w->huge = chance(&w->b, 12);
    w->mixed = !w->huge && chance(&w->b, 500);
    for (unsigned i = 0; i < 3; i++) {
        const uint16_t device = (uint16_t)(i * 40 + below(&w->b, 40));
        build_device(w, i, device);
        add_asker(&w->b, device, false, 0);
        for (uint32_t pasid = 0; pasid < 2 && w->guest[i]; pasid++)
            add_asker(&w->b, device, true, pasid);
    }
}

/* ---- every page --------------------------------------------------------------------------------- */

static uint64_t asked, found_pages[4], kinds[NW_AMDVI_TRANSLATIONS];

/* By the second unit, which knows no guests' tables; devices that have them by the library. Flags that were set are put back. */
static bool reaches(struct world *w, const struct nw_amdvi_request *q, uint64_t *hpa)
{
    const uint64_t w0 = get64(w->b.pm, DEVICE_TABLE + q->device_id * 32u);
    struct nw_amdvi_watch watch = { .count = 0 };
    struct nw_amdvi_result r;
    asked++;
    if (!q->has_pasid && !(w0 >> 54 & 3)) {
        struct naive n = { .t = w->t, .q = *q };
        naive_translate(&n);
        *hpa = n.hpa;
        return !n.code;
    }
    w->t.watch = &watch;
    nw_amdvi_translate(&w->t, q, &r);
    w->t.watch = NULL;
    for (unsigned i = watch.count; i-- > 0;)
        if (watch.read[i].readable && get64(w->b.pm, watch.read[i].address) != watch.read[i].value)
            put64(w->b.pm, watch.read[i].address, watch.read[i].value);
    *hpa = r.hpa.v;
    return !r.event.code;
}

struct question {
    struct world *w;
    struct asker *a;
};
static void ask(void *context, uint64_t iova)
{
    struct question *q = context;
    unsigned found = 0;
    uint64_t hpa = 0, one;
    for (unsigned write = 0; write < 2; write++)
        if (reaches(q->w,
                    &(struct nw_amdvi_request){ .device_id = q->a->d.source_id,
                                                .address = iova,
                                                .kind = write ? NW_AMDVI_WRITE : NW_AMDVI_READ,
                                                .has_pasid = q->a->d.has_pasid,
                                                .pasid = q->a->d.pasid },
                    &one)) {
            found |= 1u << write;
            hpa = one;
        }
    found_pages[found]++;
    if (found)
        note(q->a, iova, hpa, found);
}

static bool stop(void *context, const struct nw_reach_window *window)
{
    (void)context, (void)window;
    return false;
}

static void ask_all(struct world *w, struct asker *a)
{
    const struct nw_reach_request q = { .source_id = a->d.source_id, .has_pasid = a->d.has_pasid, .pasid = a->d.pasid };
    const struct nw_amdvi_request far = {
        .device_id = q.source_id, .address = UINT64_C(0xabc123456000), .has_pasid = q.has_pasid, .pasid = q.pasid
    };
    struct nw_amdvi_request write = far;
    struct nw_reach_summary sum;
    uint64_t hpa;
    write.kind = NW_AMDVI_WRITE;
    must(nw_amdvi_reach(&w->t, &q, stop, NULL, &sum, err)); /* which translation it is decides what is counted */
    kinds[sum.translation] += !sum.reason;
    a->identity = (reaches(w, &far, &hpa) || reaches(w, &write, &hpa)) && hpa == far.address;
    if (a->identity)
        return;
    const bool deep = a->d.has_pasid || sum.translation != NW_AMDVI_HOST ||
                      nw_field(get64(w->b.pm, DEVICE_TABLE + q.source_id * 32u), 11, 9) == 4;
    each_page(deep && !w->huge ? 4 : 3, w->huge, 0, ask, &(struct question){ w, a });
    if (a->d.has_pasid || sum.translation == NW_AMDVI_GUEST || sum.translation == NW_AMDVI_NESTED)
        each_page(4, false, nw_mask(63, 48), ask, &(struct question){ w, a });
}

static void amdvi__every_page_is_as_the_proof_says(void **state)
{
    (void)state;
    const uint64_t first = number_of("NW_SEED", 1), worlds = number_of("NW_WORLDS", NW_SANITIZED ? 50 : 200);
    static struct world w;
    print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)(first + worlds - 1));
    for (uint64_t seed = first; seed < first + worlds; seed++) {
        build(&w, seed);
        for (unsigned i = 0; i < w.b.askers; i++)
            ask_all(&w, &w.b.asker[i]);
        random_intent(&w.b);
        must(nw_proof_create(&w.b.in, &w.b.proof, err));
        must(nw_proof_add_amdvi(w.b.proof, "unit", 0, &w.t, err));
        must(nw_proof_judge(w.b.proof, &w.b.found, &w.b.proved, err));
        check_world(&w.b);
        end_world(&w.b);
    }
    print_message("%llu requests; pages reached r %llu, w %llu, rw %llu; %llu pages of findings compared\n",
                  (unsigned long long)asked, (unsigned long long)found_pages[1], (unsigned long long)found_pages[2],
                  (unsigned long long)found_pages[3], (unsigned long long)pages_compared);
    if (worlds < 200)
        return;
    assert_true(found_pages[1] > 1000 && found_pages[2] > 100 && found_pages[3] > 10000 && pages_compared > 1000);
    for (unsigned i = 0; i < 7; i++)
        if (findings_read[i] < 5)
            fail_msg("findings of kind %u: only %llu", i, (unsigned long long)findings_read[i]);
    for (unsigned i = 0; i < NW_AMDVI_TRANSLATIONS; i++)
        assert_true(kinds[i] > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(amdvi__every_page_is_as_the_proof_says) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
