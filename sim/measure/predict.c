/* A chase on the model: the guest's page tables as the measured process had them, and the replay. */
#include "measure_internal.h"
#include "replay_internal.h"
#include <nestwalk/mmu/builder.h>
#include <nestwalk/sim/calibrate.h>
#include <nestwalk/traces/memory_source.h>
#include <stdlib.h>
#include <string.h>

const char *const nw_regime_name[NW_REGIMES] = { "L1 TLB", "L2 TLB", "walk in cache", "walk in memory" };

enum {
    UNKNOWN_PFN = 1 << 18,    /* where frames in order begin when the real ones are hidden: 1 GiB, */
    UNKNOWN_TABLES = 1 << 14, /* and frames of tables: 64 MiB */
    WARM_ACCESSES = 1 << 13,  /* shorter chases go round until so many accesses are past, at most WARM_ROUNDS times */
    WARM_ROUNDS = 3,
    LONG_CHASE = 1 << 15
};

struct nw_chase_world {
    const struct nw_measurement *m;
    uint32_t process;
    struct nw_trace_info *info; /* of each chase, with the tables that it needs */
};

/* ---- the guest's tables ---- */

struct making {
    const struct nw_measurement *m;
    uint32_t process;
    struct nw_physmem *words, *used; /* a word of `used` at 8 * PFN says that the frame is taken */
    struct nw_builder builder;
    uint64_t next_unknown;
    /* Of m->frames, the runs that became tables, and where in them the next table lies. */
    size_t first_table_run, end_table_run, table_run;
    uint64_t table_in_run, known_tables;
    uint64_t own_pfn; /* where tables lie of which that is not known */
    uint64_t *table;  /* addresses of table pages */
    size_t tables, room;
};

static bool is_used(const struct making *k, uint64_t pfn) { return nw_physmem_read64(k->used, nw_hpa(pfn << 3)); }

static enum nw_status use(struct making *k, uint64_t pfn, struct nw_error *err)
{
    return nw_physmem_write64(k->used, nw_hpa(pfn << 3), 1, err);
}

/* Frames that became tables when the process filled its region, in ascending order, again and again; without them, frames of their own one after the other. */
static enum nw_status next_table(struct making *k, uint64_t *pfn, struct nw_error *err)
{
    if (k->first_table_run < k->end_table_run && k->tables < k->known_tables) {
        const struct nw_frame_run *r = &k->m->frames[k->table_run];
        *pfn = r->pfn + k->table_in_run;
        if (++k->table_in_run == r->length) {
            k->table_in_run = 0;
            if (++k->table_run == k->end_table_run)
                k->table_run = k->first_table_run;
        }
        return NW_OK;
    }
    while (is_used(k, k->own_pfn))
        k->own_pfn++;
    *pfn = k->own_pfn;
    return use(k, k->own_pfn, err);
}

static enum nw_status table_allocate(void *context, uint64_t *address, struct nw_error *err)
{
    struct making *k = context;
    uint64_t pfn;
    enum nw_status s = next_table(k, &pfn, err);
    if (s)
        return s;
    if (k->tables == k->room) {
        const size_t room = k->room ? 2 * k->room : 256;
        uint64_t *more = realloc(k->table, room * sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the measured process's page tables");
        k->table = more;
        k->room = room;
    }
    *address = k->table[k->tables++] = pfn << NW_PAGE_LOG2;
    return NW_OK;
}

static const struct nw_frame_run *find_run(const struct making *k, uint32_t pages, uint64_t page)
{
    size_t low = 0, high = k->m->frame_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const struct nw_frame_run *r = &k->m->frames[middle];
        if (r->process < k->process ||
            (r->process == k->process && (r->pages < pages || (r->pages == pages && r->page + r->length <= page))))
            low = middle + 1;
        else
            high = middle;
    }
    const struct nw_frame_run *r = &k->m->frames[low];
    return low < k->m->frame_count && r->process == k->process && r->pages == pages && r->page <= page ? r : NULL;
}

static enum nw_status map_page(struct making *k, enum nw_chase_pages pages, uint64_t page, struct nw_error *err)
{
    const uint64_t gva = k->m->process[k->process].base[pages] + (page << NW_PAGE_LOG2);
    unsigned log2 = pages == NW_CHASE_2M ? NW_PAGE_2M_LOG2 : pages == NW_CHASE_1G ? NW_PAGE_1G_LOG2 : NW_PAGE_LOG2;
    const uint64_t whole = UINT64_C(1) << (log2 - NW_PAGE_LOG2), first = page & ~(whole - 1);
    struct nw_leaf leaf;
    enum nw_status s = nw_builder_lookup(&k->builder, gva, &leaf, err);
    if (s || leaf.present)
        return s;
    const struct nw_frame_run *r = find_run(k, pages, page), *start = find_run(k, pages, first);
    uint64_t pfn;
    if (start && start->page + start->length >= first + whole && !((start->pfn + first - start->page) % whole)) {
        page = first;
        pfn = start->pfn + first - start->page;
    } else if (r) { /* Linux gave no large page here */
        log2 = NW_PAGE_LOG2;
        pfn = r->pfn + page - r->page;
    } else {
        page = first;
        pfn = (k->next_unknown + whole - 1) & ~(whole - 1);
        k->next_unknown = pfn + whole;
    }
    for (uint64_t i = 0; i < (log2 == NW_PAGE_LOG2 ? 1 : whole) && !s; i++)
        s = use(k, pfn + i, err);
    return s ? s
             : nw_builder_map(&k->builder, k->m->process[k->process].base[pages] + (page << NW_PAGE_LOG2),
                              pfn << NW_PAGE_LOG2, log2, NW_MAP_RW | NW_MAP_USER | NW_MAP_ACCESSED | NW_MAP_DIRTY, err);
}

static enum nw_status map_chase(struct making *k, const struct nw_chase *c, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (!k->m->process[k->process].there[c->pages])
        return NW_OK;
    uint64_t *offset = malloc(c->count * sizeof *offset);
    uint32_t *next = malloc(c->count * sizeof *next);
    if (offset && next)
        nw_chase_layout(c, k->m->seed, offset, next);
    else
        s = nw_fail_nomem(err, "a chase's layout");
    for (uint32_t i = 0; i < c->count && !s; i++)
        s = map_page(k, c->pages, offset[i] >> NW_PAGE_LOG2, err);
    free(offset);
    free(next);
    return s;
}

static int by_address(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static enum nw_status take_tables(struct making *k, struct nw_trace_info *info, struct nw_error *err)
{
    const struct nw_guest_registers r = nw_guest_registers_long(4, k->builder.paging.root);
    nw_trace_info_init(info);
    info->has_tables = true;
    info->vcpu[0] = (struct nw_vcpu_state){ .cr0 = r.cr0, .cr3 = r.cr3, .cr4 = r.cr4, .efer = r.efer, .cpl = 3 };
    if (!(info->table = calloc(k->tables, sizeof *info->table)))
        return nw_fail_nomem(err, "the measured process's page tables");
    qsort(k->table, k->tables, sizeof *k->table, by_address);
    info->table_count = (uint32_t)k->tables;
    for (size_t i = 0; i < k->tables; i++) {
        info->table[i].gpa = k->table[i];
        for (unsigned w = 0; w < NW_ARRAY_LEN(info->table[i].word); w++)
            info->table[i].word[w] = nw_physmem_read64(k->words, nw_hpa(k->table[i] + 8 * w));
    }
    return NW_OK;
}

static enum nw_status use_measured_frames(struct making *k, struct nw_error *err)
{
    enum nw_status s = nw_physmem_create(&k->used, err);
    for (size_t i = 0; i < k->m->frame_count; i++)
        for (uint64_t j = 0; j < k->m->frames[i].length && k->m->frames[i].process == k->process && !s; j++)
            s = use(k, k->m->frames[i].pfn + j, err);
    for (size_t i = 0; i < k->m->frame_count; i++) {
        const struct nw_frame_run *r = &k->m->frames[i];
        if (r->process != k->process || r->pages != NW_FRAMES_TABLES)
            continue;
        if (!k->known_tables)
            k->first_table_run = k->table_run = i;
        k->end_table_run = i + 1;
        k->known_tables += r->length;
    }
    return s;
}

/* A tree for each chase: a replay loads all tables that it is given. */
static enum nw_status make_tables(struct making *k, const struct nw_chase *c, struct nw_trace_info *info,
                                  struct nw_error *err)
{
    struct nw_guest_registers r = nw_guest_registers_long(4, 0);
    struct nw_builder_memory memory = { .allocate = table_allocate, .context = k, .locate_is_stable = true };
    struct nw_paging paging;
    enum nw_status s;
    k->tables = 0;
    if ((s = nw_physmem_create(&k->words, err)))
        return s;
    if (!(s = nw_paging_init_guest(&paging, &r, err))) {
        paging.root = NW_ROOT_NEW;
        (void)((s = nw_builder_init(&k->builder, k->words, &paging, &memory, err)) || (s = map_chase(k, c, err)) ||
               (s = take_tables(k, info, err)));
    }
    nw_physmem_destroy(k->words);
    return s;
}

enum nw_status nw_chase_world_create(struct nw_chase_world **out, const struct nw_measurement *m, uint32_t process,
                                     struct nw_error *err)
{
    struct making k = { .m = m, .process = process, .next_unknown = UNKNOWN_PFN, .own_pfn = UNKNOWN_TABLES };
    struct nw_chase_world *w = calloc(1, sizeof *w);
    if (!w || !(w->info = calloc(m->chase_count, sizeof *w->info))) {
        free(w);
        return nw_fail_nomem(err, "a measured process's page tables");
    }
    w->m = m;
    w->process = process;
    enum nw_status s = use_measured_frames(&k, err);
    for (size_t i = 0; i < m->chase_count && !s; i++)
        s = make_tables(&k, &m->chase[i], &w->info[i], err);
    nw_physmem_destroy(k.used);
    free(k.table);
    if (s)
        nw_chase_world_destroy(w);
    else
        *out = w;
    return s;
}

void nw_chase_world_destroy(struct nw_chase_world *w)
{
    for (size_t i = 0; w && i < w->m->chase_count; i++)
        nw_trace_info_fini(&w->info[i]);
    if (w)
        free(w->info);
    free(w);
}

/* ---- the replay ---- */

static enum nw_status feed(struct nw_replayer *r, const uint64_t *address, const uint8_t *kind, size_t n,
                           struct nw_error *err)
{
    struct nw_source *source; /* the replayer has the tables already */
    enum nw_status s = nw_memory_source_create(&source, NULL, address, kind, n, NULL, 0, 0, err);
    if (s)
        return s;
    source->want = NW_WANT_ADDRESSES;
    for (struct nw_block b; !(s = nw_source_next(source, &b, err)) && !b.end;)
        if ((s = nw_replayer_take(r, &b, err)))
            break;
    nw_source_destroy(source);
    return s;
}

static void take_counts(const struct nw_result *r, double sign, double accesses, struct nw_chase_counts *out)
{
    const size_t caches = r->config.cache_count;
    const double each = sign / accesses;
    for (size_t i = 0; i < r->config.tlb_count; i++)
        out->tlb[i] += each * (double)r->tlb[i].hits;
    out->walks += each * (double)r->walks.count;
    out->references += each * (double)r->walks.references;
    out->references_nested += each * (double)r->walks.references_nested;
    for (size_t i = 0; i < caches; i++) {
        out->table_line[i] += each * (double)r->cache[i].hits;
        out->data_line[i] += each * (double)r->data_cache[i].hits;
    }
    out->table_line[caches] += each * (double)r->memory_references;
    out->data_line[caches] += each * (double)r->data_memory;
}

static enum nw_status replay(const struct nw_trace_info *info, const struct nw_config *config, const uint64_t *address,
                             size_t n, struct nw_chase_counts *out, struct nw_error *err)
{
    struct nw_replayer *r;
    enum nw_status s = nw_replayer_create(&r, config, info, err);
    if (s)
        return s;
    size_t rounds = WARM_ACCESSES / n;
    rounds = rounds < 1 ? 1 : rounds > WARM_ROUNDS ? WARM_ROUNDS : rounds;
    const size_t measured =
        n > LONG_CHASE ? n / 4 : n; /* the order is random: any part of the cycle is like the whole */
    for (size_t i = 0; i < rounds && !s; i++)
        s = feed(r, address, NULL, n, err);
    if (!s) {
        replayer_settle(r);
        take_counts(replayer_inside(r)->r, -1, (double)(measured * rounds), out);
        for (size_t i = 0; i < rounds && !s; i++)
            s = feed(r, address, NULL, measured, err);
    }
    if (!s) {
        replayer_settle(r);
        take_counts(replayer_inside(r)->r, 1, (double)(measured * rounds), out);
    }
    nw_replayer_destroy(r);
    return s;
}

const struct nw_trace_info *chase_world_info(const struct nw_chase_world *w, size_t chase) { return &w->info[chase]; }

enum nw_status chase_world_replay(const struct nw_chase_world *w, const struct nw_config *config, size_t chase,
                                  const struct replay_part *part, size_t parts, struct nw_chase_counts *counts,
                                  struct nw_error *err)
{
    struct nw_replayer *r;
    *counts = (struct nw_chase_counts){ 0 };
    enum nw_status s = nw_replayer_create(&r, config, &w->info[chase], err);
    if (s)
        return s;
    for (size_t i = 0; i < parts && !s; i++) {
        const struct replay_part *p = &part[i];
        if ((s = feed(r, p->address, p->kind, p->warm, err)))
            break;
        replayer_settle(r);
        take_counts(replayer_inside(r)->r, -1, 1, counts);
        s = feed(r, p->address + p->warm, p->kind + p->warm, p->counted, err);
        replayer_settle(r);
        take_counts(replayer_inside(r)->r, 1, 1, counts);
    }
    nw_replayer_destroy(r);
    return s;
}

enum nw_status nw_chase_predict(const struct nw_chase_world *w, const struct nw_config *config, size_t chase,
                                struct nw_chase_counts *out, struct nw_error *err)
{
    const struct nw_chase *c = &w->m->chase[chase];
    const uint64_t base = w->m->process[w->process].base[c->pages];
    enum nw_status s = NW_OK;
    uint64_t *offset = malloc(c->count * sizeof *offset), *address = malloc(c->count * sizeof *address);
    uint32_t *next = malloc(c->count * sizeof *next);
    *out = (struct nw_chase_counts){ 0 };
    if (offset && address && next) {
        nw_chase_layout(c, w->m->seed, offset, next);
        for (uint32_t i = 0, at = 0; i < c->count; i++, at = next[at])
            address[i] = base + offset[at];
        s = replay(&w->info[chase], config, address, c->count, out, err);
    } else {
        s = nw_fail_nomem(err, "a chase");
    }
    free(offset);
    free(address);
    free(next);
    return s;
}

static double latency_of(const struct nw_config *c, size_t cache)
{
    return (double)(cache < c->cache_count ? c->cache[cache].latency_cycles : c->memory.dram_latency_cycles);
}

double nw_chase_walk_cycles(const struct nw_config *c, const struct nw_chase_counts *n)
{
    double cycles = n->references * (double)c->walker.level_cycles;
    for (size_t i = 0; i <= c->cache_count; i++)
        cycles += n->table_line[i] * latency_of(c, i);
    return cycles / c->walker.overlap;
}

double nw_chase_cycles(const struct nw_config *c, const struct nw_chase_counts *n)
{
    double cycles = nw_chase_walk_cycles(c, n);
    for (size_t i = 0; i < c->tlb_count; i++)
        cycles += n->tlb[i] * (double)c->tlb[i].hit_cycles;
    for (size_t i = 0; i <= c->cache_count; i++)
        cycles += n->data_line[i] * latency_of(c, i);
    return cycles;
}

enum nw_regime nw_chase_regime(const struct nw_config *c, const struct nw_chase_counts *n)
{
    double first = 0, later = 0;
    for (size_t i = 0; i < c->tlb_count; i++)
        *(c->tlb[i].level == 1 ? &first : &later) += n->tlb[i];
    if (n->walks > first && n->walks > later)
        return n->table_line[c->cache_count] > n->walks / 10 ? NW_REGIME_WALK_IN_MEMORY : NW_REGIME_WALK_IN_CACHE;
    return first > later ? NW_REGIME_L1_TLB : NW_REGIME_L2_TLB;
}
