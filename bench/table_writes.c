/* table_writes.c - how many writes to page tables a second each way to virtualize memory is replayed at. The guest remaps pages of one leaf table
 * after the other through its own map of memory, and uses each page afterwards: a store, its table-write event, and a load a round; every
 * eighth round an INVLPG, every 512th a CR3 load.
 *
 *     table_writes [ROUNDS]      default 1 M; prints "WAY M-table-writes/s", processor time of the replay */
#include <nestwalk/mmu/builder.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <stdio.h>
#include <stdlib.h>

enum { TABLES = 64, PAGES = 64 * 512, DATA = 0x40000000 };
static const uint64_t USER = 0x7f0000000000, MAP = 0x100000000000;
static const unsigned rights = NW_MAP_RWX | NW_MAP_USER | NW_MAP_ACCESSED | NW_MAP_DIRTY;

struct guest {
    struct nw_physmem *pm;
    struct nw_frames frames;
    struct nw_builder builder;
    struct nw_trace_info info;
};

static enum nw_status make_guest(struct guest *g, struct nw_error *err)
{
    struct nw_guest_registers r = nw_guest_registers_long(4, 0);
    struct nw_paging paging;
    enum nw_status s = nw_physmem_create(&g->pm, err);
    nw_frames_init(&g->frames, 1, 4096);
    struct nw_builder_memory memory = nw_builder_memory_frames(&g->frames);
    if (s || (s = nw_paging_init_guest(&paging, &r, err)))
        return s;
    paging.root = NW_ROOT_NEW;
    s = nw_builder_init(&g->builder, g->pm, &paging, &memory, err);
    for (uint64_t i = 0; !s && i < PAGES; i++)
        s = nw_builder_map(&g->builder, USER + (i << 12), DATA + (i << 12), 12, rights, err);
    for (uint64_t i = 0; !s && i < 4096; i++) /* the guest's own map of the frames that hold its tables */
        s = nw_builder_map(&g->builder, MAP + (i << 12), i << 12, 12, rights, err);
    nw_trace_info_init(&g->info);
    g->info.has_tables = true;
    g->info.gpa_bits = 48;
    g->info.guest_memory_bytes = UINT64_C(1) << 32;
    g->info.vcpu[0] =
        (struct nw_vcpu_state){ .cr0 = r.cr0, .cr3 = g->builder.paging.root, .cr4 = r.cr4, .efer = r.efer };
    if (s || !(g->info.table = calloc(g->frames.next_pfn, sizeof *g->info.table)))
        return s ? s : nw_fail_nomem(err, "the guest's tables");
    for (uint64_t pfn = 1; pfn < g->frames.next_pfn; pfn++) {
        struct nw_table_page *t = &g->info.table[g->info.table_count++];
        t->gpa = pfn << 12;
        for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++)
            t->word[w] = nw_physmem_read64(g->pm, nw_hpa(t->gpa + 8 * w));
    }
    return NW_OK;
}

struct stream {
    uint64_t *address;
    uint8_t *kind;
    struct nw_event *event;
    size_t accesses, events;
};

static enum nw_status make_stream(const struct guest *g, uint64_t rounds, struct stream *t, struct nw_error *err)
{
    t->address = calloc(2 * rounds, sizeof *t->address);
    t->kind = calloc(2 * rounds, sizeof *t->kind);
    t->event = calloc(3 * rounds, sizeof *t->event);
    if (!t->address || !t->kind || !t->event)
        return nw_fail_nomem(err, "the stream");
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t page = i * 7 % PAGES, gva = USER + (page << 12);
        struct nw_leaf leaf;
        enum nw_status s = nw_builder_lookup(&g->builder, gva, &leaf, err);
        if (s)
            return s;
        uint64_t word = (leaf.entry & ~UINT64_C(0xffffffffff000)) | (DATA + ((page + i) % PAGES << 12));
        t->address[t->accesses] = MAP + leaf.entry_address;
        t->kind[t->accesses++] = nw_kind_make(NW_STORE, 8, false);
        t->event[t->events++] = (struct nw_event){ .at = (uint32_t)t->accesses,
                                                   .kind = NW_EV_TABLE_WRITE,
                                                   .arg = { leaf.entry_address, 8, word } };
        if (i % 8 == 7)
            t->event[t->events++] =
                (struct nw_event){ .at = (uint32_t)t->accesses, .kind = NW_EV_INVLPG, .arg = { gva } };
        if (i % 512 == 511)
            t->event[t->events++] = (struct nw_event){ .at = (uint32_t)t->accesses,
                                                       .kind = NW_EV_CR_WRITE,
                                                       .arg = { 3, g->builder.paging.root } };
        t->address[t->accesses] = gva;
        t->kind[t->accesses++] = nw_kind_make(NW_LOAD, 8, true);
    }
    return NW_OK;
}

int main(int argc, char **argv)
{
    static const char *const ways[][2] = { { "native", "kvm" },   { "direct", "kvm" },         { "shadow", "kvm" },
                                           { "shadow", "eager" }, { "shadow", "virtual-tlb" }, { "nested", "kvm" },
                                           { "agile", "kvm" } };
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
    static struct guest g;
    struct stream t = { 0 };
    struct nw_error err = { 0 };
    enum nw_status s = make_guest(&g, &err);
    if (!s)
        s = make_stream(&g, rounds, &t, &err);
    for (size_t i = 0; !s && i < sizeof ways / sizeof *ways; i++) {
        struct nw_source *source = NULL;
        struct nw_config c;
        struct nw_result r;
        nw_config_init(&c);
        if ((s = nw_config_set(&c, "run.mode", ways[i][0], "bench", &err)) ||
            (s = nw_config_set(&c, "vmm.shadow_policy", ways[i][1], "bench", &err)) ||
            (s = nw_memory_source_create(&source, &g.info, t.address, t.kind, t.accesses, t.event, t.events, 0,
                                         &err)) ||
            (s = nw_replay(source, &c, NULL, &r, &err)))
            break;
        printf("%s%s%s %.2f\n", ways[i][0], c.mode == NW_MODE_SHADOW ? "," : "",
               c.mode == NW_MODE_SHADOW ? ways[i][1] : "", (double)rounds / r.seconds / 1e6);
        nw_result_fini(&r);
        nw_config_fini(&c);
        nw_source_destroy(source);
    }
    if (s)
        fprintf(stderr, "table_writes: %s\n", err.text);
    return s != NW_OK;
}
