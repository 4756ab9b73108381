/* script.h - a traced guest for tests, written down as it goes: a few pages, accesses, and events. Include after cmocka.h. */
#ifndef NW_TEST_SCRIPT_H
#define NW_TEST_SCRIPT_H

#include <nestwalk/mmu/builder.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/traces/memory_source.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCESSES_MAX = 4096, EVENTS_MAX = 2048, TABLES_MAX = 64 };
static const uint64_t PAGE = 0x7f0000001000, GLOBAL_PAGE = 0x7f0000005000, LARGE = 0x7f0040000000;
static const uint64_t FRAME = 0x1000000, OTHER_FRAME = 0x2000000, LARGE_FRAME = 0x40000000;
static const uint64_t NO_FLUSH = UINT64_C(1) << 63;
static const unsigned all = NW_MAP_READ | NW_MAP_WRITE | NW_MAP_EXECUTE | NW_MAP_USER | NW_MAP_ACCESSED | NW_MAP_DIRTY;

/* A guest written down as it goes: tables first, then accesses and events. */
struct script {
    struct nw_physmem *pm;
    struct nw_frames frames;
    struct nw_builder builder;
    struct nw_trace_info info;
    uint64_t address[ACCESSES_MAX];
    uint8_t kind[ACCESSES_MAX];
    uint32_t accesses;
    struct nw_event event[EVENTS_MAX];
    size_t events;
    const char *setting[8][2];
    unsigned settings;
    struct nw_result result;
};

static inline void need(enum nw_status s, const struct nw_error *err)
{
    if (s)
        fail_msg("%s", err->text);
}

static inline void map(struct script *t, uint64_t gva, uint64_t frame, unsigned log2, unsigned attributes)
{
    struct nw_error err = { 0 };
    need(nw_builder_map(&t->builder, gva, frame, log2, attributes, &err), &err);
}

static inline struct nw_leaf leaf_of(struct script *t, uint64_t gva)
{
    struct nw_error err = { 0 };
    struct nw_leaf leaf;
    need(nw_builder_lookup(&t->builder, gva, &leaf, &err), &err);
    assert_true(leaf.present);
    return leaf;
}

static inline struct script *script_new(uint64_t cr4)
{
    struct script *t = calloc(1, sizeof *t);
    struct nw_error err = { 0 };
    struct nw_paging paging;
    struct nw_guest_registers r = nw_guest_registers_long(4, 0);
    assert_non_null(t);
    need(nw_physmem_create(&t->pm, &err), &err);
    nw_frames_init(&t->frames, 1, TABLES_MAX);
    struct nw_builder_memory memory = nw_builder_memory_frames(&t->frames);
    need(nw_paging_init_guest(&paging, &r, &err), &err);
    paging.root = NW_ROOT_NEW;
    need(nw_builder_init(&t->builder, t->pm, &paging, &memory, &err), &err);
    nw_trace_info_init(&t->info);
    t->info.has_tables = true;
    t->info.gpa_bits = 52;
    t->info.vcpu[0] =
        (struct nw_vcpu_state){ .cr0 = r.cr0, .cr3 = t->builder.paging.root, .cr4 = r.cr4 | cr4, .efer = r.efer };
    map(t, PAGE, FRAME, NW_PAGE_LOG2, all);
    map(t, GLOBAL_PAGE, FRAME + 0x4000, NW_PAGE_LOG2, all | NW_MAP_GLOBAL);
    map(t, LARGE, LARGE_FRAME, NW_PAGE_2M_LOG2, all);
    return t;
}

/* The tables as they are now are those at the start of the trace. */
static inline void start(struct script *t)
{
    t->info.table = calloc(TABLES_MAX, sizeof *t->info.table);
    assert_non_null(t->info.table);
    for (uint64_t pfn = 1; pfn < t->frames.next_pfn; pfn++) {
        struct nw_table_page *page = &t->info.table[t->info.table_count++];
        page->gpa = pfn << NW_PAGE_LOG2;
        for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++)
            page->word[w] = nw_physmem_read64(t->pm, nw_hpa(page->gpa + 8 * w));
    }
}

static inline void access_page(struct script *t, uint64_t gva, enum nw_access_type type)
{
    t->address[t->accesses] = gva + 8;
    t->kind[t->accesses++] = nw_kind_make(type, 8, true);
}

static inline void event(struct script *t, uint16_t kind, uint64_t a, uint64_t b, uint64_t c)
{
    t->event[t->events++] = (struct nw_event){ .at = t->accesses, .kind = kind, .arg = { a, b, c } };
}

static inline void write_entry(struct script *t, uint64_t gpa, uint64_t word)
{
    event(t, NW_EV_TABLE_WRITE, gpa, 8, word);
}

static inline void set(struct script *t, const char *path, const char *value)
{
    t->setting[t->settings][0] = path;
    t->setting[t->settings++][1] = value;
}

static inline void replay(struct script *t, const char *mode, enum nw_engine engine, bool detect)
{
    struct nw_error err = { 0 };
    struct nw_source *source;
    struct nw_config c;
    nw_config_init(&c);
    for (unsigned i = 0; i < t->settings; i++)
        need(nw_config_set(&c, t->setting[i][0], t->setting[i][1], "test", &err), &err);
    need(nw_config_set(&c, "run.mode", mode, "test", &err), &err);
    c.detect_stale = detect;
    c.engine = engine;
    need(nw_memory_source_create(&source, &t->info, t->address, t->kind, t->accesses, t->event, t->events, 64, &err),
         &err);
    need(nw_replay(source, &c, NULL, &t->result, &err), &err);
    nw_source_destroy(source);
    nw_config_fini(&c);
}

static inline void again(struct script *t) { nw_result_fini(&t->result); }

static inline void script_free(struct script *t)
{
    nw_result_fini(&t->result);
    nw_trace_info_fini(&t->info);
    nw_frames_fini(&t->frames);
    nw_physmem_destroy(t->pm);
    free(t);
}

#endif
