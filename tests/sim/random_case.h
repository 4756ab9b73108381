/* random_case.h - random machines and random traces for holding the engines against each other. A case is a function of its seed. */
#ifndef NW_TEST_RANDOM_CASE_H
#define NW_TEST_RANDOM_CASE_H

#include <nestwalk/base/bits.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/mmu/builder.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASE_ACCESSES = 1500, CASE_EVENTS_MAX = 400, CASE_PAGES = 96, CASE_ROOTS = 3, CASE_TABLES_MAX = 256 };

struct random_case {
    uint64_t seed;
    struct nw_rng rng;
    struct nw_config config;
    struct nw_trace_info info;
    uint64_t address[CASE_ACCESSES];
    uint8_t kind[CASE_ACCESSES];
    struct nw_event event[CASE_EVENTS_MAX];
    uint64_t words[CASE_EVENTS_MAX][8];
    size_t event_count;
    uint64_t page[CASE_PAGES]; /* GVAs the accesses go to */
    /* traced guests: */
    uint64_t root[CASE_ROOTS];
    uint64_t leaf_entry[CASE_ROOTS * CASE_PAGES], leaf_word[CASE_ROOTS * CASE_PAGES];
    size_t leaf_count;
};

static inline uint64_t pick(struct random_case *c, uint64_t n) { return nw_rng_below(&c->rng, n); }
static inline bool chance(struct random_case *c, unsigned percent) { return pick(c, 100) < percent; }

static inline void set(struct random_case *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(&c->config, path, value, "test", &err)) {
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)c->seed, err.text);
        abort();
    }
}

static inline void set_number(struct random_case *c, const char *path, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    set(c, path, text);
}

static inline void add_array(struct random_case *c, const char *name, unsigned level, const char *class,
                             const char *pages)
{
    static const unsigned ways[] = { 1, 2, 3, 4, 6, 8, 12, 24 }, sets[] = { 1, 2, 3, 4, 7, 16 };
    static const char *const policies[] = { "lru", "lru", "plru", "random", "nru", "srrip" };
    char path[64];
    struct nw_error err;
    if (nw_config_add_tlb(&c->config, name, &err))
        abort();
    uint64_t w = ways[pick(c, NW_ARRAY_LEN(ways))], n = sets[pick(c, NW_ARRAY_LEN(sets))];
#define FIELD(field) (snprintf(path, sizeof path, "tlb.%s." field, name), path)
    set_number(c, FIELD("level"), level);
    set(c, FIELD("class"), class);
    set(c, FIELD("pages"), pages);
    set_number(c, FIELD("entries"), w * n);
    set_number(c, FIELD("ways"), w);
    set(c, FIELD("policy"), policies[pick(c, NW_ARRAY_LEN(policies))]);
    set_number(c, FIELD("hit_cycles"), pick(c, 9));
#undef FIELD
}

static inline void make_tlbs(struct random_case *c)
{
    if (chance(c, 25))
        return; /* textbook's */
    nw_config_clear_machine(&c->config);
    switch (pick(c, 4)) {
    case 0: /* one level, shared */ add_array(c, "l1", 1, "unified", "4K 2M 1G"); break;
    case 1: /* arrays by page size */
        add_array(c, "l1d-4k", 1, "data", "4K");
        add_array(c, "l1d-big", 1, "data", chance(c, 50) ? "2M 1G" : "2M");
        add_array(c, "l1i", 1, "instruction", chance(c, 50) ? "4K 2M" : "4K");
        add_array(c, "l2", 2, "unified", chance(c, 50) ? "4K 2M" : "4K 2M 1G");
        break;
    case 2:
        add_array(c, "l1d", 1, "data", "4K 2M 1G");
        add_array(c, "l1i", 1, "instruction", "4K 2M 1G");
        add_array(c, "l2d", 2, "data", "4K 2M");
        add_array(c, "l2i", 2, "instruction", "4K");
        break;
    default:
        add_array(c, "l1d", 1, "data", "4K 2M");
        add_array(c, "l1i", 1, "instruction", "4K");
        add_array(c, "l2", 2, "unified", "4K 2M 1G");
        add_array(c, "l3", 3, "unified", "4K");
    }
}

static inline void make_walk_cache(struct random_case *c, const char *name)
{
    static const struct {
        unsigned entries, ways;
    } shapes[] = { { 1, 0 }, { 2, 0 }, { 4, 0 }, { 16, 0 }, { 33, 0 }, { 4, 1 }, { 12, 4 }, { 33, 11 }, { 70, 0 } };
    static const char *const policies[] = { "lru", "lru", "plru", "random", "nru", "srrip" };
    char path[96];
    size_t i = pick(c, NW_ARRAY_LEN(shapes));
    bool on = chance(c, 50);
    snprintf(path, sizeof path, "%s.entries", name);
    set_number(c, path, on ? shapes[i].entries : 0);
    snprintf(path, sizeof path, "%s.ways", name);
    set_number(c, path, on ? shapes[i].ways : 0);
    snprintf(path, sizeof path, "%s.policy", name);
    set(c, path, policies[pick(c, NW_ARRAY_LEN(policies))]);
}

static inline void make_config(struct random_case *c)
{
    static const char *const modes[] = { "native", "nested", "nested", "shadow", "shadow", "direct", "agile", "agile" };
    static const char *const policies[] = { "4K", "4K", "2M", "1G", "thp" };
    static const char *const backings[] = { "4K", "4K", "2M", "1G" };
    static const char *const shadow_policies[] = { "kvm", "kvm", "eager", "virtual-tlb" };
    static const char *const psc[] = { "pde", "pdpte", "pml4e", "pml5e" };
    nw_config_init(&c->config);
    make_tlbs(c);
    if (c->config.cache_count == 0)
        for (uint64_t n = pick(c, 4), i = 0; i < n; i++) {
            char name[8], path[32];
            struct nw_error err;
            snprintf(name, sizeof name, "c%llu", (unsigned long long)i);
            if (nw_config_add_cache(&c->config, name, &err))
                abort();
            snprintf(path, sizeof path, "memory.%s.ways", name);
            uint64_t ways = 1 + pick(c, 17);
            set_number(c, path, ways);
            snprintf(path, sizeof path, "memory.%s.size", name);
            set_number(c, path, 64 * ways * (1 + pick(c, 9)));
            snprintf(path, sizeof path, "memory.%s.latency_cycles", name);
            set_number(c, path, 3 + 11 * i);
        }
    if (c->config.cache_count > 1)
        set_number(c, "walker.first_cache", pick(c, 2));
    for (unsigned i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "psc.guest.%s", psc[i]);
        make_walk_cache(c, path);
        snprintf(path, sizeof path, "psc.nested.%s", psc[i]);
        make_walk_cache(c, path);
    }
    make_walk_cache(c, "nested_tlb");
    set(c, "nested_tlb.tables_only", chance(c, 30) ? "1" : "0");
    set(c, "walker.prefetch", chance(c, 15) ? "next-page" : "none");
    set(c, "run.mode", modes[pick(c, NW_ARRAY_LEN(modes))]);
    set(c, "run.fidelity", chance(c, 30) ? "tlb" : "walk");
    set_number(c, "run.seed", pick(c, 1000));
    bool direct = c->config.mode == NW_MODE_DIRECT; /* Xen's guests have four levels and no large pages */
    set_number(c, "guest.levels", direct ? 4 : 4 + pick(c, 2));
    set(c, "guest.page_policy", policies[direct ? 0 : pick(c, NW_ARRAY_LEN(policies))]);
    set_number(c, "vmm.direct_batch", 1 + pick(c, 4));
    set(c, "vmm.direct_writable_tables", chance(c, 30) ? "1" : "0");
    set_number(c, "guest.thp_threshold_pages", 1 + pick(c, 6));
    set_number(c, "guest.demand_faults", chance(c, 25));
    set_number(c, "vmm.demand_backing", chance(c, 25));
    set_number(c, "vmm.levels", 4 + pick(c, 2));
    set(c, "vmm.slat", chance(c, 50) ? "ept" : "npt");
    const char *backing = backings[pick(c, NW_ARRAY_LEN(backings))];
    set(c, "vmm.backing", backing);
    set(c, "vmm.frames", !strcmp(backing, "4K") && chance(c, 30) ? "scattered" : "in-order");
    set(c, "vmm.shadow_policy", shadow_policies[pick(c, NW_ARRAY_LEN(shadow_policies))]);
    set_number(c, "vmm.agile_writes", 1 + pick(c, 3));
    set_number(c, "vmm.agile_interval_accesses", chance(c, 10) ? 0 : 1 + pick(c, chance(c, 20) ? 40 : 700));
    set_number(c, "vmm.agile_cr3_cache", pick(c, 3));
    set(c, "vmm.agile_start", chance(c, 30) ? "nested" : "shadow");
    set_number(c, "vmm.vpid", !chance(c, 20));
    set_number(c, "vmm.accessed_dirty", !chance(c, 30));
    set_number(c, "vmm.pml", c->config.vmm.slat == NW_SLAT_EPT && c->config.vmm.accessed_dirty && chance(c, 50));
}

/* ---- a traced guest: a few address spaces over shared and private tables, some entries odd ---- */

/* Every third machine is one whose walks the fast engine takes in batches (sim/fast/stage_regular.h says which those are), or nearly so. */
static inline void make_regular(struct random_case *c)
{
    static const char *const arrays[] = { "l1d", "l1i", "l2", "l2i" }, *const classes[] = { "data", "instruction" };
    static const char *const caches[] = { "psc.guest.pde",    "psc.guest.pdpte",  "psc.guest.pml4e",
                                          "psc.guest.pml5e",  "psc.nested.pde",   "psc.nested.pdpte",
                                          "psc.nested.pml4e", "psc.nested.pml5e", "nested_tlb" };
    static const unsigned entries[] = { 0, 0, 1, 2, 3, 4, 16, 33, 64, 128, 130 };
    static const char *const policies[] = { "4K", "4K", "4K", "2M", "1G" };
    char path[64];
    bool unified = chance(c, 50);
    if (!chance(c, 25)) { /* else what there is */
        nw_config_clear_machine(&c->config);
        for (unsigned i = 0; i < (unified ? 3u : 4u); i++) {
            add_array(c, arrays[i], i < 2 ? 1 : 2, unified && i == 2 ? "unified" : classes[i & 1], "4K 2M 1G");
            snprintf(path, sizeof path, "tlb.%s.policy", arrays[i]);
            set(c, path, "lru");
        }
    }
    for (unsigned i = 0; i < NW_ARRAY_LEN(caches); i++) {
        snprintf(path, sizeof path, "%s.ways", caches[i]);
        set_number(c, path, 0);
        snprintf(path, sizeof path, "%s.policy", caches[i]);
        set(c, path, "lru");
        snprintf(path, sizeof path, "%s.entries", caches[i]);
        set_number(c, path, entries[pick(c, NW_ARRAY_LEN(entries))]);
    }
    set(c, "walker.prefetch", "none");
    set(c, "run.mode", chance(c, 30) ? "native" : "nested");
    set(c, "run.fidelity", "walk");
    set(c, "guest.page_policy", policies[pick(c, NW_ARRAY_LEN(policies))]);
    set_number(c, "guest.demand_faults", 0);
    set_number(c, "vmm.demand_backing", 0);
    set_number(c, "vmm.pml", 0);
}

static inline void keep_table_pages(struct random_case *c, struct nw_physmem *pm, uint64_t pfn, uint64_t end_pfn)
{
    c->info.table = calloc(CASE_TABLES_MAX, sizeof *c->info.table);
    for (; pfn < end_pfn && c->info.table_count < CASE_TABLES_MAX; pfn++) {
        struct nw_table_page *t = &c->info.table[c->info.table_count++];
        t->gpa = pfn << 12;
        for (unsigned w = 0; w < 512; w++)
            t->word[w] = nw_physmem_read64(pm, nw_hpa(t->gpa + 8 * w));
    }
}

static inline void make_tables(struct random_case *c)
{
    struct nw_error err = { 0 };
    struct nw_physmem *pm;
    struct nw_frames frames;
    unsigned levels = c->config.mode == NW_MODE_DIRECT ? 4 : 4 + (unsigned)pick(c, 2);
    uint64_t pcide = chance(c, 40) ? NW_CR4_PCIDE : 0;
    if (nw_physmem_create(&pm, &err))
        abort();
    /* Some natively at 256 GiB, where numbers of lines begin to have 33 bits. */
    const uint64_t first = c->config.mode == NW_MODE_NATIVE && chance(c, 30) ? (UINT64_C(1) << 26) - 12 : 1;
    nw_frames_init(&frames, first, first + CASE_TABLES_MAX);
    struct nw_guest_registers r = nw_guest_registers_long(levels, 0);
    for (unsigned i = 0; i < CASE_ROOTS; i++) {
        struct nw_paging paging;
        struct nw_builder b;
        struct nw_builder_memory memory = nw_builder_memory_frames(&frames);
        if (nw_paging_init_guest(&paging, &r, &err))
            abort();
        paging.root = NW_ROOT_NEW;
        if (nw_builder_init(&b, pm, &paging, &memory, &err))
            abort();
        c->root[i] = b.paging.root;
        for (unsigned p = 0; p < CASE_PAGES; p++) {
            unsigned log2 = chance(c, 10) ? 21 : 12, attributes = NW_MAP_READ | NW_MAP_EXECUTE;
            attributes |= chance(c, 80) ? NW_MAP_WRITE : 0;
            attributes |= chance(c, 90) ? NW_MAP_USER : 0;
            attributes |= chance(c, 15) ? NW_MAP_GLOBAL : 0;
            attributes |= chance(c, 70) ? NW_MAP_ACCESSED : 0;
            attributes |= chance(c, 50) ? NW_MAP_DIRTY : 0;
            if (chance(c, 10))
                attributes &= ~(unsigned)NW_MAP_EXECUTE;
            uint64_t mask = (UINT64_C(1) << log2) - 1, frame = (0x1000000 + (pick(c, 4096) << 12)) & ~mask;
            struct nw_leaf leaf;
            if (chance(c, 85) && !nw_builder_map(&b, c->page[p] & ~mask, frame, log2, attributes, &err) &&
                !nw_builder_lookup(&b, c->page[p], &leaf, &err)) {
                c->leaf_entry[c->leaf_count] = leaf.entry_address;
                c->leaf_word[c->leaf_count++] = leaf.entry;
            }
        }
    }
    keep_table_pages(c, pm, first, frames.next_pfn);
    c->info.has_tables = true;
    c->info.gva_bits = levels == 5 ? 57 : 48;
    c->info.gpa_bits = 52;
    c->info.vcpu[0] = (struct nw_vcpu_state){ .cr0 = r.cr0, .cr3 = c->root[0], .cr4 = r.cr4 | pcide, .efer = r.efer };
    if (chance(c, 20))
        c->info.vcpu[0].cr4 |= NW_CR4_SMEP;
    if (chance(c, 10))
        c->info.vcpu[0].cr0 &= ~NW_CR0_WP;
    nw_frames_fini(&frames);
    nw_physmem_destroy(pm);
}

static inline void add_event(struct random_case *c, uint32_t at)
{
    struct nw_event *e = &c->event[c->event_count];
    *e = (struct nw_event){ .at = at };
    bool pcide = c->info.vcpu[0].cr4 & NW_CR4_PCIDE;
    switch (pick(c, c->info.has_tables ? 12 : 7)) {
    case 0:
        e->kind = NW_EV_INVLPG;
        e->arg[0] = c->page[pick(c, CASE_PAGES)] + pick(c, 4096);
        break;
    case 1:
        e->kind = NW_EV_INVPCID;
        e->arg[0] = pick(c, 4);
        e->arg[1] = pick(c, 4);
        e->arg[2] = c->page[pick(c, CASE_PAGES)];
        break;
    case 2: { /* as the recording backend numbers them */
        static const uint64_t codes[] = { 0, 1, 10, 14, 28, 30, 48, 0x10, 0x60, 0x79, 0x400 };
        e->kind = NW_EV_VM_EXIT;
        e->arg[0] = codes[pick(c, NW_ARRAY_LEN(codes))];
        break;
    }
    case 3: { /* the VMM's own */
        static const uint64_t controls[] = { NW_TLB_CONTROL_NOTHING, NW_TLB_CONTROL_FLUSH_ALL,
                                             NW_TLB_CONTROL_FLUSH_GUEST, NW_TLB_CONTROL_FLUSH_NON_GLOBAL };
        static const uint16_t kinds[] = { NW_EV_INVEPT,  NW_EV_INVVPID,     NW_EV_INVVPID,
                                          NW_EV_INVLPGA, NW_EV_TLB_CONTROL, NW_EV_VM_ENTRY };
        e->kind = kinds[pick(c, NW_ARRAY_LEN(kinds))];
        uint64_t page = c->page[pick(c, CASE_PAGES)];
        if (e->kind == NW_EV_TLB_CONTROL)
            e->arg[0] = controls[pick(c, NW_ARRAY_LEN(controls))];
        else if (e->kind == NW_EV_INVLPGA)
            e->arg[0] = page, e->arg[1] = pick(c, 3);
        else if (e->kind == NW_EV_INVVPID)
            e->arg[0] = pick(c, 4), e->arg[1] = pick(c, 3), e->arg[2] = page;
        else
            e->arg[0] = 1 + pick(c, 2);
        break;
    }
    case 4:
        e->kind = NW_EV_MARKER;
        e->arg[0] = NW_MARKER_PHASE;
        break;
    case 5:
        e->kind = NW_EV_PAGE_FAULT;
        e->arg[0] = c->page[pick(c, CASE_PAGES)];
        e->arg[1] = 6;
        break;
    case 6:
    case 7: /* an address space switch */
        e->kind = NW_EV_CR_WRITE;
        e->arg[0] = 3;
        e->arg[1] = c->root[pick(c, CASE_ROOTS)];
        if (pcide)
            e->arg[1] |= pick(c, 4) | (chance(c, 50) ? UINT64_C(1) << 63 : 0);
        break;
    case 8: /* CR4.PGE and SMEP off or on; CR0.WP likewise */
        e->kind = NW_EV_CR_WRITE;
        e->arg[0] = chance(c, 80) ? 4 : 0;
        e->arg[1] = e->arg[0]
                        ? c->info.vcpu[0].cr4 ^ (chance(c, 50) ? NW_CR4_PGE : 0) ^ (chance(c, 50) ? NW_CR4_SMEP : 0)
                        : c->info.vcpu[0].cr0 ^ (chance(c, 50) ? NW_CR0_WP : 0);
        break;
    default: { /* a leaf changes; a wise guest follows with INVLPG, this one only sometimes */
        e->kind = NW_EV_TABLE_WRITE;
        size_t i = pick(c, c->leaf_count);
        c->leaf_word[i] ^= chance(c, 30) ? 1 : chance(c, 50) ? 2 : chance(c, 50) ? 0x60 : (1 + pick(c, 255)) << 12;
        e->arg[0] = c->leaf_entry[i];
        e->arg[1] = 8;
        e->arg[2] = c->leaf_word[i];
        break;
    }
    }
    c->event_count++;
}

static inline void make_stream(struct random_case *c)
{
    static const unsigned sizes[] = { 1, 4, 8, 8, 8, 64 };
    uint64_t current[2] = { c->page[0], c->page[1] };
    unsigned fetch_percent = chance(c, 50) ? 0 : 40, event_percent = chance(c, 30) ? 0 : 4;
    bool constant_kind = chance(c, 20);
    for (uint32_t i = 0; i < CASE_ACCESSES; i++) {
        unsigned type = chance(c, fetch_percent) ? NW_FETCH
                        : chance(c, 30)          ? NW_STORE
                                                 : NW_LOAD,
                 class = type == NW_FETCH;
        bool user = chance(c, 85);
        if (chance(c, 40))
            current[class] = c->page[pick(c, chance(c, 70) ? CASE_PAGES / 4 : CASE_PAGES)];
        c->address[i] = current[class] + pick(c, 4096);
        if (chance(c, 1))
            c->address[i] ^= UINT64_C(1) << 60; /* not canonical */
        c->kind[i] = constant_kind ? nw_kind_make(NW_LOAD, 8, true)
                                   : nw_kind_make(type, sizes[pick(c, NW_ARRAY_LEN(sizes))], user);
        while (c->event_count < CASE_EVENTS_MAX && chance(c, event_percent))
            add_event(c, i + 1);
    }
}

static inline struct random_case *random_case_make(uint64_t seed)
{
    struct random_case *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->seed = seed;
    c->rng = nw_rng_seeded(seed);
    nw_trace_info_init(&c->info);
    static const char *const backends[] = { "", "pvm", "vmx", "svm" };
    strcpy(c->info.kvm_backend, backends[pick(c, NW_ARRAY_LEN(backends))]);
    make_config(c);
    const bool regular = chance(c, 33);
    if (regular)
        make_regular(c);
    /* Few regions, so that tables are shared; some at the top of the address space. */
    for (unsigned p = 0; p < CASE_PAGES; p++) {
        static const uint64_t base[] = { 0x400000, 0x7f0000000000, 0x7f0040000000, 0xffff800000000000,
                                         0xffffffff80000000 };
        c->page[p] = base[pick(c, NW_ARRAY_LEN(base))] + (pick(c, 3) << 21) + (pick(c, 24) << 12);
    }
    if (!regular && chance(c, 50))
        make_tables(c);
    make_stream(c);
    return c;
}

static inline void random_case_free(struct random_case *c)
{
    nw_config_fini(&c->config);
    nw_trace_info_fini(&c->info);
    free(c);
}

#endif
