/* trace_support.h - random traces, and a naive reading of the touch rule, for the tests of traces/. */
#ifndef NESTWALK_TESTS_TRACE_SUPPORT_H
#define NESTWALK_TESTS_TRACE_SUPPORT_H

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct nw_error *err = &(struct nw_error){ 0 };                                                                \
        if ((call) != NW_OK)                                                                                           \
            fail_msg("%s: %s", #call, err->text);                                                                      \
    } while (0)

/* ---- random traces ---- */

struct trace {
    size_t count, event_count;
    uint64_t *address;
    uint8_t *kind;
    struct nw_event *event; /* `at` counts from the trace's first access */
    uint64_t *word;
};

/* What a random trace is made of. */
struct flavour {
    const char *name;
    unsigned fetch_percent, store_percent, user_percent, same_page_percent, event_permille;
    bool any_size, any_address;
    uint64_t pages;
    unsigned event_kinds; /* only the first so many; 0: all */
};

static const struct flavour flavours[] = {
    { "loads over a few pages", 0, 0, 100, 80, 0, false, false, 16, 0 },
    { "loads and stores", 0, 30, 100, 60, 0, false, false, 4096, 0 },
    { "fetches only", 100, 0, 0, 95, 0, true, false, 64, 0 },
    { "all kinds, sizes, privileges and events", 60, 15, 50, 70, 20, true, false, 512, 0 },
    { "any 64-bit address, many events", 30, 30, 50, 20, 300, true, true, 0, 0 },
    { "page crossings everywhere", 40, 30, 50, 50, 10, true, false, 3, 0 },
    { "uniform over 1 GiB", 0, 0, 100, 0, 0, false, false, 262144, 0 },
};

static inline bool percent(struct nw_rng *rng, unsigned p) { return nw_rng_below(rng, 100) < p; }

/* An event of kind `kind` whose every argument is allowed. Data go to *word. */
static inline struct nw_event random_event(struct nw_rng *rng, uint16_t kind, uint16_t vcpus, uint64_t **word)
{
    const struct nw_event_kind_info *k = &nw_event_kind_table[kind];
    struct nw_event e = { .kind = kind, .vcpu = (uint16_t)nw_rng_below(rng, vcpus) };
    for (unsigned a = 0; a < k->args; a++) {
        uint64_t first = k->arg_range[a].first, last = k->arg_range[a].last;
        uint64_t v = nw_rng_next(rng);
        v >>= nw_rng_below(rng, 64);
        e.arg[a] = first || last ? first + (last - first == UINT64_MAX ? v : v % (last - first + 1)) : v;
    }
    static const uint8_t tlb_control[] = { 0, 1, 3, 7 };
    if (kind == NW_EV_TLB_CONTROL)
        e.arg[0] = tlb_control[e.arg[0] % 4];
    if (!k->data_name)
        return e;
    uint32_t groups = (uint32_t)nw_rng_below(rng, (k->data_max < 40 ? k->data_max : 40) / k->data_step + 1);
    e.data_words = groups * k->data_step;
    e.data = e.data_words ? *word : NULL;
    for (uint32_t i = 0; i < e.data_words; i++)
        *(*word)++ =
            k->data_step == 2 && i % 2 == 0 ? nw_rng_below(rng, kind == NW_EV_GUEST_WALK ? 5 : 512) : nw_rng_next(rng);
    return e;
}

static inline struct trace random_trace(struct nw_rng *rng, const struct flavour *f, size_t count, uint16_t vcpus)
{
    struct trace t = { .count = count };
    t.address = calloc(count + 1, sizeof *t.address);
    t.kind = calloc(count + 1, 1);
    t.event = calloc(2 * count + NW_EV_KIND_END, sizeof *t.event);
    uint64_t *word = t.word = calloc((2 * count + NW_EV_KIND_END) * 40, sizeof *t.word);
    assert_true(t.address && t.kind && t.event && t.word);
    uint64_t page[2] = { 0x7f0000000, 0x400 };
    for (size_t i = 0; i <= count; i++) {
        while (nw_rng_below(rng, 1000) < f->event_permille && t.event_count < 2 * count) {
            uint16_t kind = (uint16_t)(1 + nw_rng_below(rng, f->event_kinds ? f->event_kinds : NW_EV_KIND_END - 1));
            t.event[t.event_count] = random_event(rng, kind, vcpus, &word);
            t.event[t.event_count++].at = (uint32_t)i;
        }
        if (i == count)
            break;
        bool fetch = percent(rng, f->fetch_percent);
        enum nw_access_type type = fetch ? NW_FETCH : percent(rng, f->store_percent) ? NW_STORE : NW_LOAD;
        uint8_t size = f->any_size ? (uint8_t)nw_rng_below(rng, NW_KIND_SIZE_CODES) : 7;
        if (!percent(rng, f->same_page_percent))
            page[fetch] = f->any_address ? nw_rng_next(rng) >> 12
                                         : (fetch ? 0x400 : 0x7f0000000) + nw_rng_below(rng, f->pages ? f->pages : 1);
        uint64_t offset = nw_rng_below(rng, 4096);
        t.address[i] = page[fetch] << 12 | (f->any_size ? offset : offset & ~UINT64_C(7));
        t.kind[i] = (uint8_t)((unsigned)type | (unsigned)size << NW_KIND_SIZE_SHIFT |
                              (percent(rng, f->user_percent) ? NW_KIND_USER : 0u));
    }
    return t;
}

static inline void trace_free(struct trace *t)
{
    free(t->address);
    free(t->kind);
    free(t->event);
    free(t->word);
}

/* ---- the touch rule, naively: for each part of each access, look back through all parts before it ---- */

struct part {
    uint64_t page;
    uint32_t at;
    uint8_t kind;
    bool fetch;
};

static inline uint32_t naive_touches(const struct nw_block *b, struct nw_touch *out)
{
    struct part *part = calloc((size_t)b->access_count * 2 + 1, sizeof *part);
    assert_non_null(part);
    uint32_t parts = 0, n = 0, start = 0, event = 0;
    for (uint32_t i = 0; i < b->access_count; i++) {
        for (; event < b->event_count && b->event[event].at <= i; event++)
            start = parts; /* filtering starts afresh */
        uint8_t kind = nw_block_kind(b, i);
        unsigned pieces = (b->address[i] & 4095) + nw_kind_bytes(kind) > 4096 ? 2 : 1;
        for (unsigned piece = 0; piece < pieces; piece++) {
            struct part p = { ((b->address[i] >> 12) + piece) & NW_PAGE_NUMBER_MASK, i, kind,
                              nw_kind_type(kind) == NW_FETCH };
            bool dropped = false;
            for (uint32_t j = parts; j-- > start && !dropped;) {
                if (part[j].fetch != p.fetch)
                    continue;
                if (part[j].page != p.page)
                    break;
                dropped = (part[j].kind & NW_KIND_TYPE_USER) == (kind & NW_KIND_TYPE_USER);
            }
            if (!dropped)
                out[n++] = (struct nw_touch){ p.page, i, kind | (piece ? NW_TOUCH_UPPER : 0u) };
            part[parts++] = p;
        }
    }
    free(part);
    return n;
}

/* ---- comparing ---- */

static inline void assert_same_event(const struct nw_event *a, const struct nw_event *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->vcpu, b->vcpu);
    assert_memory_equal(a->arg, b->arg, sizeof a->arg);
    assert_int_equal(a->data_words, b->data_words);
    if (a->data_words)
        assert_memory_equal(a->data, b->data, a->data_words * sizeof *a->data);
}

/* The source delivers exactly the trace, and for each block the touches of the rule. */
static inline void assert_delivers(struct nw_source *source, const struct trace *t)
{
    struct nw_block b;
    size_t n = 0, e = 0;
    struct nw_touch *touch = malloc(NW_BLOCK_TOUCHES_MAX * sizeof *touch);
    assert_non_null(touch);
    source->want = NW_WANT_ADDRESSES | NW_WANT_TOUCHES;
    for (;;) {
        OK(nw_source_next(source, &b, err));
        if (b.end)
            break;
        assert_true(b.access_count || b.event_count);
        assert_int_equal(b.first_access, n);
        assert_true(b.access_count <= t->count - n);
        uint32_t of_type[4] = { 0 };
        bool crosses = false;
        for (uint32_t i = 0; i < b.access_count; i++) {
            uint8_t kind = nw_block_kind(&b, i);
            if (b.address[i] != t->address[n + i] || kind != t->kind[n + i])
                fail_msg("access %zu is 0x%llx kind 0x%02x, not 0x%llx kind 0x%02x", n + i,
                         (unsigned long long)b.address[i], kind, (unsigned long long)t->address[n + i], t->kind[n + i]);
            of_type[nw_kind_type(kind)]++;
            crosses |= nw_access_crosses(b.address[i], kind);
        }
        assert_int_equal(b.loads, of_type[NW_LOAD]);
        assert_int_equal(b.stores, of_type[NW_STORE]);
        assert_int_equal(b.fetches, of_type[NW_FETCH]);
        assert_int_equal(b.crosses_page, crosses);
        for (uint32_t i = 0; i < b.event_count; i++, e++) {
            assert_true(e < t->event_count);
            assert_int_equal(n + b.event[i].at, t->event[e].at);
            assert_same_event(&b.event[i], &t->event[e]);
        }
        uint32_t touches = naive_touches(&b, touch);
        assert_int_equal(b.touch_count, touches);
        assert_memory_equal(b.touch, touch, touches * sizeof *touch);
        n += b.access_count;
    }
    assert_int_equal(n, t->count);
    assert_int_equal(e, t->event_count);
    free(touch);
}

/* ---- files ---- */

/* A directory of the test's own; everything in it is removed at the end. */
static char scratch[] = "traces_test.XXXXXX";
static char scratch_name[8][64];

static inline const char *in_scratch(unsigned slot, const char *name)
{
    snprintf(scratch_name[slot], sizeof scratch_name[slot], "%s/%s", scratch, name);
    return scratch_name[slot];
}

static inline int scratch_setup(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", scratch);
    return system(command);
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

static inline uint8_t *read_file(const char *path, size_t *count)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s cannot be opened", path);
    fseek(f, 0, SEEK_END);
    *count = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(*count + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *count, f), *count);
    fclose(f);
    return bytes;
}

static inline void write_trace(const char *path, const struct nw_trace_info *info, const struct trace *t)
{
    struct nw_nwt_writer *w = NULL;
    OK(nw_nwt_writer_create(&w, path, info, err));
    size_t e = 0;
    for (size_t i = 0;; i++) {
        for (; e < t->event_count && t->event[e].at == i; e++)
            OK(nw_nwt_write_event(w, &t->event[e], err));
        if (i == t->count)
            break;
        OK(nw_nwt_write_access(w, t->address[i], t->kind[i], err));
    }
    OK(nw_nwt_writer_close(w, err));
}

#endif
