/* dma.c - translations of DMA requests a second by a VT-d unit and by an AMD IOMMU, beside a plain loop over the same addresses.
 *
 *     dma [REQUESTS [REPETITIONS]]        default: 4194304 5; prints a table, medians and extremes of the repetitions
 *
 * The plain loop is what the translation costs at least: a set-associative LRU of page numbers of the IOTLB's shape, and on a
 * miss the loads of the walk, with nothing checked. Both take turns, and must come to the same sum of addresses. The
 * figures are processor time. */
#include <nestwalk/base/rng.h>
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/vtd_unit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPETITIONS_MAX = 101, SOURCE = 0x10, PASID = 5, ENTRIES = 256, WAYS = 4 };
/* Where the tables lie. Pages of the trees follow one another from TREES on; what is mapped lies above. */
enum { ROOT = 0x1000, CONTEXT = 0x2000, DIRECTORY = 0x4000, PASIDS = 0x5000, TREES = 0x100000 };
#define TARGET UINT64_C(0x400000000)

static const struct kind {
    const char *name;
    bool amd;
    unsigned pgtt; /* 0: legacy mode; else of the PASID-table entry. AMD: 0 host tables, 3 nested */
    bool pasid;
    uint64_t pages;          /* that the addresses are drawn from */
    unsigned paging_entries; /* of the paging-structure cache */
} kinds[] = {
    { "hits, legacy", false, 0, false, 64, 0 },
    { "hits, first stage", false, 1, true, 64, 0 },
    { "hits, nested", false, 3, true, 64, 0 },
    { "hits, AMD host", true, 0, false, 64, 0 },
    { "hits, AMD nested", true, 3, true, 64, 0 },
    { "misses, legacy, full walks", false, 0, false, 1 << 18, 0 },
    { "misses, first stage, full walks", false, 1, true, 1 << 18, 0 },
    { "misses, nested, full walks", false, 3, true, 1 << 18, 0 },
    { "misses, AMD host, full walks", true, 0, false, 1 << 18, 0 },
    { "misses, AMD nested, full walks", true, 3, true, 1 << 18, 0 },
    { "misses, legacy, paging-structure cache", false, 0, false, 1 << 18, 64 },
    { "misses, nested, paging-structure cache", false, 3, true, 1 << 18, 64 },
    { "misses, AMD nested, page directory cache", true, 3, true, 1 << 18, 64 },
};

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(enum nw_status s, const struct nw_error *err)
{
    if (!s)
        return;
    fprintf(stderr, "dma: %s\n", err->text);
    exit(nw_status_exit_code(s));
}

/* ---- tables ------------------------------------------------------------------------------------- */

struct bench {
    struct nw_physmem *pm;
    struct nw_vtd_unit *u;
    struct nw_amdvi_unit *amd;
    uint64_t next_table, root[2]; /* second stage, first stage */
    const struct kind *kind;
    uint64_t *address, count;
};

static void put(struct bench *b, uint64_t at, uint64_t word)
{
    struct nw_error err;
    must(nw_physmem_write64(b->pm, nw_hpa(at), word, &err), &err);
}

/* The table pages of both stages are mapped one to one where the first stage is nested. */
static void map(struct bench *b, unsigned stage, uint64_t address, uint64_t to, unsigned leaf_level)
{
    const bool amd_host = b->kind->amd && !stage;
    uint64_t table = b->root[stage];
    uint64_t flags = amd_host ? nw_mask(62, 61) | 1 : stage ? 0x67 : 3; /* PR, IR, IW; P, RW, US, A, D; R, W */
    for (unsigned level = 3; level > leaf_level; level--) {
        uint64_t at = table + (address >> (12 + 9 * level) & 511) * 8, entry = nw_physmem_read64(b->pm, nw_hpa(at));
        if (!entry) {
            entry = b->next_table | flags | (amd_host ? (uint64_t)level << 9 : 0);
            b->next_table += NW_PAGE_BYTES;
            put(b, at, entry);
        }
        table = entry & nw_mask(51, 12);
    }
    put(b, table + (address >> (12 + 9 * leaf_level) & 511) * 8, to | flags | (leaf_level ? 0x80 : 0));
}

static void build_tables(struct bench *b)
{
    const struct kind *k = b->kind;
    b->root[0] = TREES;
    b->root[1] = TREES + NW_PAGE_BYTES;
    b->next_table = TREES + 2 * NW_PAGE_BYTES;
    put(b, ROOT, CONTEXT | 1);
    if (k->amd) { /* the device table is at ROOT */
        put(b, ROOT + SOURCE * 32,
            b->root[0] | 3 | 4 << 9 | nw_mask(62, 61) |
                (k->pgtt ? NW_BIT(55) | (DIRECTORY >> 12 & UINT64_C(7)) << 58 : 0));
        put(b, ROOT + SOURCE * 32 + 8, 7);
        put(b, DIRECTORY + PASID * 8, b->root[1] | 1);
    } else if (k->pgtt) {
        put(b, CONTEXT + SOURCE * 32, DIRECTORY | 9);
        put(b, CONTEXT + SOURCE * 32 + 8, PASID);
        put(b, DIRECTORY, PASIDS | 1);
        put(b, PASIDS + PASID * 64, b->root[0] | 1 | 2 << 2 | (uint64_t)k->pgtt << 6);
        put(b, PASIDS + PASID * 64 + 8, 7 | NW_BIT(23));
        put(b, PASIDS + PASID * 64 + 16, b->root[1] | 1);
    } else {
        put(b, CONTEXT + SOURCE * 16, b->root[0] | 1);
        put(b, CONTEXT + SOURCE * 16 + 8, 2 | 7 << 8);
    }
    for (uint64_t page = 0; page < k->pages; page++) {
        uint64_t to = TARGET + (page * UINT64_C(0x9e3779b1) % k->pages) * NW_PAGE_BYTES;
        map(b, k->pgtt == 1 || k->pgtt == 3, page * NW_PAGE_BYTES, to, 0);
        if (k->pgtt == 3)
            map(b, 0, to, to, 0);
    }
    for (uint64_t gpa = 0; k->pgtt == 3 && gpa < 0x4000000; gpa += NW_PAGE_BYTES) /* where the first stage lies */
        map(b, 0, gpa, gpa, 0);
}

static void make(struct bench *b, const struct kind *k, uint64_t requests)
{
    struct nw_error err;
    struct nw_rng rng = nw_rng_seeded(42);
    *b = (struct bench){ .kind = k, .count = requests };
    must(nw_physmem_create(&b->pm, &err), &err);
    build_tables(b);
    if (k->amd) {
        struct nw_amdvi_config amd = nw_amdvi_config_default(b->pm);
        amd.cache[NW_AMDVI_IOTLB] = (struct nw_iommu_cache_shape){ .entries = ENTRIES, .ways = WAYS };
        amd.cache[NW_AMDVI_PDE_CACHE] = (struct nw_iommu_cache_shape){ .entries = k->paging_entries, .ways = 4 };
        must(nw_amdvi_unit_create(&b->amd, &amd, &err), &err);
        nw_amdvi_unit_write(b->amd, NW_AMDVI_DEVICE_TABLE, 8, ROOT);
        nw_amdvi_unit_write(b->amd, NW_AMDVI_CONTROL, 8, NW_AMDVI_CONTROL_IOMMU_EN | NW_AMDVI_CONTROL_GT_EN);
    }
    struct nw_vtd_config c = nw_vtd_config_default(b->pm);
    c.cache[NW_VTD_IOTLB] = (struct nw_iommu_cache_shape){ .entries = ENTRIES, .ways = WAYS };
    c.cache[NW_VTD_PAGING_CACHE] = (struct nw_iommu_cache_shape){ .entries = k->paging_entries, .ways = 4 };
    must(nw_vtd_unit_create(&b->u, &c, &err), &err);
    nw_vtd_unit_write(b->u, NW_VTD_RTADDR, 8, ROOT | (k->pgtt ? 0x400 : 0));
    nw_vtd_unit_write(b->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP);
    nw_vtd_unit_write(b->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE);
    b->address = malloc(requests * sizeof *b->address);
    if (!b->address) {
        fprintf(stderr, "dma: no memory for %llu addresses\n", (unsigned long long)requests);
        exit(4);
    }
    for (uint64_t i = 0; i < requests; i++)
        b->address[i] = nw_rng_below(&rng, k->pages) * NW_PAGE_BYTES + nw_rng_below(&rng, 512) * 8;
}

static void unmake(struct bench *b)
{
    free(b->address);
    nw_vtd_unit_destroy(b->u);
    nw_amdvi_unit_destroy(b->amd);
    nw_physmem_destroy(b->pm);
}

/* ---- the two loops ------------------------------------------------------------------------------ */

static NW_NOINLINE uint64_t unit_loop(struct bench *b)
{
    struct nw_vtd_request q = {
        .source_id = SOURCE, .kind = NW_VTD_READ, .has_pasid = b->kind->pasid, .pasid = b->kind->pasid ? PASID : 0
    };
    uint64_t sum = 0;
    for (uint64_t i = 0; i < b->count; i++) {
        struct nw_vtd_result r;
        q.address = b->address[i];
        nw_vtd_unit_dma(b->u, &q, &r);
        sum += r.fault.reason ? UINT64_C(1) << 60 : r.hpa.v;
    }
    return sum;
}

static NW_NOINLINE uint64_t amd_loop(struct bench *b)
{
    struct nw_amdvi_request q = {
        .device_id = SOURCE, .kind = NW_AMDVI_READ, .has_pasid = b->kind->pasid, .pasid = b->kind->pasid ? PASID : 0
    };
    uint64_t sum = 0;
    for (uint64_t i = 0; i < b->count; i++) {
        struct nw_amdvi_result r;
        q.address = b->address[i];
        nw_amdvi_unit_dma(b->amd, &q, &r);
        sum += r.event.code ? UINT64_C(1) << 60 : r.hpa.v;
    }
    return sum;
}

struct plain_set {
    uint64_t page[WAYS], to[WAYS]; /* most recent first */
};
static struct plain_set plain_tlb[ENTRIES / WAYS];

NW_INLINE uint64_t plain_walk(const struct bench *b, unsigned stage, uint64_t address)
{
    uint64_t table = b->root[stage];
    for (unsigned level = 4; level-- > 0;)
        table = nw_physmem_read64(b->pm, nw_hpa(table + (address >> (12 + 9 * level) & 511) * 8)) & nw_mask(51, 12);
    return table;
}

static uint64_t plain_nested(const struct bench *b, uint64_t address)
{
    uint64_t table = b->root[1];
    for (unsigned level = 4; level-- > 0;) {
        table = plain_walk(b, 0, table);
        table = nw_physmem_read64(b->pm, nw_hpa(table + (address >> (12 + 9 * level) & 511) * 8)) & nw_mask(51, 12);
    }
    return plain_walk(b, 0, table);
}

static NW_NOINLINE uint64_t plain_loop(struct bench *b)
{
    uint64_t sum = 0;
    const unsigned pgtt = b->kind->pgtt;
    for (uint64_t i = 0; i < b->count; i++) {
        uint64_t address = b->address[i], page = (address >> 12) + 1; /* 0: empty */
        struct plain_set *set = &plain_tlb[page % (ENTRIES / WAYS)];
        unsigned way = 0;
        while (way < WAYS && set->page[way] != page)
            way++;
        uint64_t to = way < WAYS  ? set->to[way]
                      : pgtt == 3 ? plain_nested(b, address)
                                  : plain_walk(b, pgtt == 1, address);
        for (way -= way == WAYS; way > 0; way--) {
            set->page[way] = set->page[way - 1];
            set->to[way] = set->to[way - 1];
        }
        set->page[0] = page;
        set->to[0] = to;
        sum += to | (address & 4095);
    }
    return sum;
}

/* ---- the table ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct figures {
    double unit[REPETITIONS_MAX], plain[REPETITIONS_MAX], ratio[REPETITIONS_MAX];
};

static bool measure(const struct kind *k, uint64_t requests, int repetitions)
{
    struct bench b;
    struct figures f;
    double millions = (double)requests / 1e6;
    make(&b, k, requests);
    memset(plain_tlb, 0, sizeof plain_tlb);
    uint64_t (*const loop)(struct bench *) = k->amd ? amd_loop : unit_loop;
    bool agree = loop(&b) == plain_loop(&b); /* and the caches are warm */
    for (int i = 0; i < repetitions; i++) {
        double start = processor_seconds();
        uint64_t sum = loop(&b);
        double middle = processor_seconds();
        agree &= sum == plain_loop(&b);
        double end = processor_seconds();
        f.unit[i] = millions / (middle - start);
        f.plain[i] = millions / (end - middle);
        f.ratio[i] = (middle - start) / (end - middle);
    }
    qsort(f.unit, (size_t)repetitions, sizeof *f.unit, by_value);
    qsort(f.plain, (size_t)repetitions, sizeof *f.plain, by_value);
    qsort(f.ratio, (size_t)repetitions, sizeof *f.ratio, by_value);
    struct nw_iommu_cache_counts c =
        k->amd ? nw_amdvi_unit_counts(b.amd, NW_AMDVI_IOTLB) : nw_vtd_unit_counts(b.u, NW_VTD_IOTLB);
    int middle = repetitions / 2, last = repetitions - 1;
    printf("| %s | %.1f (%.1f-%.1f) | %.1f (%.1f-%.1f) | %.1fx (%.1f-%.1f) | %.1f %% |\n", k->name, f.unit[middle],
           f.unit[0], f.unit[last], f.plain[middle], f.plain[0], f.plain[last], f.ratio[middle], f.ratio[0],
           f.ratio[last], 100.0 * (double)c.hits / (double)c.lookups);
    fflush(stdout);
    unmake(&b);
    if (!agree)
        fprintf(stderr, "dma: %s: the unit and the plain loop disagree about an address\n", k->name);
    return agree;
}

int main(int argc, char **argv)
{
    long requests = argc > 1 ? atol(argv[1]) : 4194304, repetitions = argc > 2 ? atol(argv[2]) : 5;
    if (requests < 1 || requests > 1000000000 || repetitions < 1 || repetitions > REPETITIONS_MAX) {
        fprintf(stderr, "usage: dma [REQUESTS [REPETITIONS]]     up to 1000000000 requests, %d repetitions\n",
                REPETITIONS_MAX);
        return 2;
    }
    bool agree = true;
    printf("| requests | unit, M/s | plain loop, M/s | time, unit by plain | IOTLB hits |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < NW_ARRAY_LEN(kinds); i++)
        agree &= measure(&kinds[i], (uint64_t)requests, (int)repetitions);
    return agree ? 0 : 4;
}
