/* Binary trace events: pages as a kernel's ring buffer has them, of several processors, with every kind of entry; against the same events as
 * text; and damaged pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/traces/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, DATA = 16, EVENTS = 4000 };
static char scratch[] = "/tmp/nestwalk-import-raw-XXXXXX";

/* ---- a kernel's files --------------------------------------------------------------------------- */

static void write_file(const char *name, const void *bytes, size_t count)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    for (char *slash = path + strlen(scratch) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text) { write_file(name, text, strlen(text)); }

#define COMMON                                                                                                         \
    "format:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"                                    \
    "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n"                                             \
    "\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"                                                       \
    "\tfield:__data_loc char[] device;\toffset:8;\tsize:4;\tsigned:0;\n"
enum { MAP = 440, UNMAP = 441, MAP_SG = 431, UNMAP_SG = 432, OTHER = 300 };

static void write_formats(void)
{
    write_text("events/header_page", "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
                                     "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
                                     "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
                                     "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n");
    write_text("events/dma/enable", "0\n");
    write_text(
        "events/dma/dma_map_phys/format",
        "name: dma_map_phys\nID: 440\n" COMMON "\tfield:u64 phys_addr;\toffset:16;\tsize:8;\tsigned:0;\n"
        "\tfield:u64 dma_addr;\toffset:24;\tsize:8;\tsigned:0;\n\tfield:size_t size;\toffset:32;\tsize:8;\tsigned:0;\n"
        "\tfield:enum dma_data_direction dir;\toffset:40;\tsize:4;\tsigned:0;\n\nprint fmt: \"%s\", REC->dir\n");
    write_text("events/dma/dma_unmap_phys/format",
               "name: dma_unmap_phys\nID: 441\n" COMMON "\tfield:u64 addr;\toffset:16;\tsize:8;\tsigned:0;\n"
               "\tfield:size_t size;\toffset:24;\tsize:8;\tsigned:0;\n"
               "\tfield:enum dma_data_direction dir;\toffset:32;\tsize:4;\tsigned:0;\n");
    write_text("events/dma/dma_map_sg/format",
               "name: dma_map_sg\nID: 431\n" COMMON
               "\tfield:__data_loc u64[] phys_addrs;\toffset:24;\tsize:4;\tsigned:0;\n"
               "\tfield:__data_loc u64[] dma_addrs;\toffset:28;\tsize:4;\tsigned:0;\n"
               "\tfield:__data_loc unsigned int[] lengths;\toffset:32;\tsize:4;\tsigned:0;\n"
               "\tfield:enum dma_data_direction dir;\toffset:36;\tsize:4;\tsigned:0;\n");
    write_text("events/dma/dma_unmap_sg/format",
               "name: dma_unmap_sg\nID: 432\n" COMMON
               "\tfield:__data_loc u64[] addrs;\toffset:12;\tsize:4;\tsigned:0;\n"
               "\tfield:enum dma_data_direction dir;\toffset:16;\tsize:4;\tsigned:0;\n");
    write_text("events/sched/sched_switch/format", "name: sched_switch\nID: 300\n" COMMON);
}

/* ---- pages -------------------------------------------------------------------------------------- */

struct cpu {
    uint8_t *file;
    size_t bytes, room;
    size_t page, at; /* where the page begins; where its data goes on */
    uint64_t now;    /* that a reader would have */
};

static void put(uint8_t *at, uint64_t v, unsigned bytes) { memcpy(at, &v, bytes); }

static void open_page(struct cpu *c, uint64_t now)
{
    c->page = c->bytes;
    c->bytes += PAGE;
    if (c->bytes > c->room) {
        c->room = c->bytes * 2;
        c->file = realloc(c->file, c->room);
        assert_non_null(c->file);
    }
    memset(c->file + c->page, 0xa5, PAGE); /* what is not committed is rubbish */
    put(c->file + c->page, now, 8);
    put(c->file + c->page + 8, 0, 8);
    c->at = c->page + DATA;
    c->now = now;
}

static void commit(struct cpu *c, uint64_t flags) { put(c->file + c->page + 8, (c->at - c->page - DATA) | flags, 8); }

static size_t room_left(const struct cpu *c) { return c->page + PAGE - c->at; }

static void put_word(struct cpu *c, uint64_t v)
{
    put(c->file + c->at, v, 4);
    c->at += 4;
}

/* Up to `now` by an entry of its own. */
static void pass_time(struct cpu *c, uint64_t now, bool absolute)
{
    const uint64_t t = absolute ? now & ((UINT64_C(1) << 59) - 1) : now - c->now;
    put_word(c, (absolute ? 31u : 30u) | (t & 0x7ffffff) << 5);
    put_word(c, t >> 27);
    c->now = now;
}

static void put_event(struct cpu *c, struct nw_rng *rng, uint64_t now, const uint8_t *payload, size_t bytes)
{
    const size_t words = (bytes + 3) / 4;
    if (!c->bytes || room_left(c) < words * 4 + 64) {
        if (c->bytes) {
            if (nw_rng_below(rng, 2)) /* the rest is padding */
                put(c->file + c->at, 29, 4), c->at += 4;
            commit(c, 0);
        }
        open_page(c, now - nw_rng_below(rng, 3));
    }
    if (now > c->now &&
        nw_rng_below(rng, 10) == 0) { /* an event that was given up; without a delta it would end the page */
        const uint64_t delta = now - c->now < 9 ? now - c->now : 1;
        put_word(c, 29u | delta << 5);
        put_word(c, 12);
        put_word(c, 0xdead);
        put_word(c, 0xbeef);
        c->now += delta;
    }
    if (now - c->now > 1000 || nw_rng_below(rng, 20) == 0)
        pass_time(c, now, nw_rng_below(rng, 2));
    if (words <= 28 && nw_rng_below(rng, 4)) {
        put_word(c, words | (now - c->now) << 5);
    } else {
        put_word(c, (now - c->now) << 5);
        put_word(c, words * 4 + 4);
    }
    c->now = now;
    memcpy(c->file + c->at, payload, bytes);
    c->at += words * 4;
    commit(c, 0);
}

/* ---- random events, and the lines that a kernel would print ------------------------------------- */

static size_t put_device(uint8_t *p, size_t end, unsigned bdf)
{
    char name[16];
    snprintf(name, sizeof name, "0000:%02x:%02x.%x", bdf >> 8, bdf >> 3 & 31, bdf & 7);
    put(p + 8, end | (strlen(name) + 1) << 16, 4);
    memcpy(p + end, name, strlen(name) + 1);
    return (end + strlen(name) + 1 + 7) & ~(size_t)7;
}

static size_t random_event(struct nw_rng *rng, uint64_t ns, uint8_t p[512], FILE *text)
{
    static const char *const dirs[] = { "BIDIRECTIONAL", "TO_DEVICE", "FROM_DEVICE" };
    const unsigned bdf = (unsigned)nw_rng_below(rng, 65536), dir = (unsigned)nw_rng_below(rng, 3);
    const uint64_t phys = nw_rng_below(rng, UINT64_C(1) << 40), dma = nw_rng_below(rng, UINT64_C(1) << 32),
                   bytes = 1 + nw_rng_below(rng, 9000);
    char head[128];
    memset(p, 0, 512);
    snprintf(head, sizeof head, "x-1 [000] ..... %llu.%09llu", (unsigned long long)(ns / 1000000000),
             (unsigned long long)(ns % 1000000000));
    const unsigned b = bdf >> 8, s = bdf >> 3 & 31, f = bdf & 7, n = 1 + (unsigned)nw_rng_below(rng, 4);
    size_t end;
    switch (nw_rng_below(rng, 5)) {
    case 0:
        put(p, MAP, 2), put(p + 16, phys, 8), put(p + 24, dma, 8), put(p + 32, bytes, 8), put(p + 40, dir, 4);
        fprintf(text, "%s: dma_map_phys: 0000:%02x:%02x.%x dir=%s dma_addr=%llx size=%llu phys_addr=%llx attrs=\n",
                head, b, s, f, dirs[dir], (unsigned long long)dma, (unsigned long long)bytes, (unsigned long long)phys);
        return put_device(p, 48, bdf);
    case 1:
        put(p, UNMAP, 2), put(p + 16, dma, 8), put(p + 24, bytes, 8), put(p + 32, dir, 4);
        fprintf(text, "%s: dma_unmap_phys: 0000:%02x:%02x.%x dir=%s dma_addr=%llx size=%llu attrs=\n", head, b, s, f,
                dirs[dir], (unsigned long long)dma, (unsigned long long)bytes);
        return put_device(p, 40, bdf);
    case 2:
        put(p, MAP_SG, 2), put(p + 36, dir, 4);
        end = put_device(p, 40, bdf);
        put(p + 24, end | n * 8 << 16, 4), put(p + 28, (end + 8 * n) | n * 8 << 16, 4),
            put(p + 32, (end + 16 * n) | n * 4 << 16, 4);
        fprintf(text, "%s: dma_map_sg: 0000:%02x:%02x.%x dir=%s nents=1/1 ents=1/1 dma_addrs={", head, b, s, f,
                dirs[dir]);
        for (unsigned i = 0; i < n; i++)
            put(p + end + i * 8, phys + i, 8), put(p + end + 8 * n + i * 8, dma + i, 8),
                put(p + end + 16 * n + i * 4, bytes + i, 4),
                fprintf(text, "%s0x%llx", i ? "," : "", (unsigned long long)(dma + i));
        fprintf(text, "} sizes={");
        for (unsigned i = 0; i < n; i++)
            fprintf(text, "%s0x%llx", i ? "," : "", (unsigned long long)(bytes + i));
        fprintf(text, "} phys_addrs={");
        for (unsigned i = 0; i < n; i++)
            fprintf(text, "%s0x%llx", i ? "," : "", (unsigned long long)(phys + i));
        fprintf(text, "} attrs=\n");
        return end + 20 * n;
    case 3:
        put(p, UNMAP_SG, 2), put(p + 16, dir, 4);
        end = put_device(p, 24, bdf);
        put(p + 12, end | 8 << 16, 4), put(p + end, phys, 8);
        fprintf(text, "%s: dma_unmap_sg: 0000:%02x:%02x.%x dir=%s phys_addrs={0x%llx} attrs=\n", head, b, s, f,
                dirs[dir], (unsigned long long)phys);
        return end + 8;
    default: put(p, OTHER, 2); return 12 + (size_t)nw_rng_below(rng, 30);
    }
}

/* ---- both ways ---------------------------------------------------------------------------------- */

static enum nw_status import(const char *format, const char *path, struct nw_event *event, size_t room, size_t *count,
                             struct nw_error *err)
{
    struct nw_source *source;
    struct nw_block b;
    *count = 0;
    enum nw_status s = nw_importer_find(format)->open(&source, path, err);
    if (s)
        return s;
    for (unsigned round = 0; !s && round < 2; round++) { /* twice: it can be rewound */
        if (round && (s = nw_source_rewind(source, err)))
            break;
        *count = 0;
        while (!(s = nw_source_next(source, &b, err)) && !b.end)
            for (uint32_t i = 0; i < b.event_count && *count < room; i++)
                event[(*count)++] = b.event[i];
    }
    nw_source_destroy(source);
    return s;
}

static void raw__events_are_those_of_the_text(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(3);
    struct cpu cpu[3] = { { .file = NULL } };
    struct nw_error err = { 0 };
    char path[512];
    snprintf(path, sizeof path, "%s/text", scratch);
    FILE *text = fopen(path, "w");
    assert_non_null(text);
    uint64_t ns = UINT64_C(4113) * 1000000000;
    for (unsigned i = 0; i < EVENTS; i++) {
        uint8_t payload[512];
        ns += 1 + (nw_rng_below(&rng, 50) ? nw_rng_below(&rng, 900) : nw_rng_below(&rng, UINT64_C(1) << 34));
        const size_t bytes = random_event(&rng, ns, payload, text);
        put_event(&cpu[nw_rng_below(&rng, 3)], &rng, ns, payload, bytes);
    }
    fclose(text);
    write_formats();
    for (unsigned i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "per_cpu/cpu%u/trace_pipe_raw", i);
        write_file(name, cpu[i].file, cpu[i].bytes);
    }
    const size_t room = EVENTS * 8;
    struct nw_event *a = calloc(room, sizeof *a), *b = calloc(room, sizeof *b);
    size_t text_count, raw_count;
    assert_true(a && b);
    if (import("ftrace-dma", path, a, room, &text_count, &err) ||
        import("ftrace-dma-raw", scratch, b, room, &raw_count, &err))
        fail_msg("%s", err.text);
    assert_true(text_count > EVENTS);
    for (size_t i = 0; i < text_count && i < raw_count; i++)
        if (a[i].kind != b[i].kind || memcmp(a[i].arg, b[i].arg, sizeof a[i].arg))
            fail_msg("event %zu: kind %u 0x%llx 0x%llx, as text %u 0x%llx 0x%llx", i, b[i].kind,
                     (unsigned long long)b[i].arg[0], (unsigned long long)b[i].arg[1], a[i].kind,
                     (unsigned long long)a[i].arg[0], (unsigned long long)a[i].arg[1]);
    assert_int_equal(raw_count, text_count);

    /* events that were lost, counted and not */
    commit(&cpu[0], 0);
    cpu[0].page = 0;
    uint64_t first;
    memcpy(&first, cpu[0].file + 8, 8);
    put(cpu[0].file + 8, first | UINT64_C(1) << 31, 8);
    write_file("per_cpu/cpu0/trace_pipe_raw", cpu[0].file, cpu[0].bytes);
    assert_int_equal(import("ftrace-dma-raw", scratch, b, room, &raw_count, &err), NW_OK);
    assert_int_equal(raw_count, text_count + 1);

    /* damage: an error with its place, or other events; never more */
    const unsigned damages = NW_SANITIZED ? 100 : 400;
    unsigned errors = 0;
    for (unsigned i = 0; i < damages; i++) {
        const size_t at = nw_rng_below(&rng, cpu[1].bytes);
        const uint8_t old = cpu[1].file[at];
        cpu[1].file[at] ^= (uint8_t)(1u << nw_rng_below(&rng, 8));
        write_file("per_cpu/cpu1/trace_pipe_raw", cpu[1].file, cpu[1].bytes);
        if (import("ftrace-dma-raw", scratch, b, room, &raw_count, &err)) {
            errors++;
            assert_non_null(strstr(err.text, "per_cpu/cpu1/trace_pipe_raw"));
        }
        cpu[1].file[at] = old;
    }
    assert_true(errors > damages / 80);
    write_file("per_cpu/cpu1/trace_pipe_raw", cpu[1].file, cpu[1].bytes - 100);
    assert_int_equal(import("ftrace-dma-raw", scratch, b, room, &raw_count, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "the file ends within a page"));
    for (unsigned i = 0; i < 3; i++)
        free(cpu[i].file);
    free(a);
    free(b);
}

static void directory__what_it_must_have(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    struct nw_event event[4];
    size_t count;
    char path[512];
    assert_int_equal(import("ftrace-dma-raw", "/nowhere", event, 4, &count, &err), NW_ERR_INPUT);
    snprintf(path, sizeof path, "%s/text", scratch);
    assert_int_equal(import("ftrace-dma-raw", path, event, 4, &count, &err), NW_ERR_INPUT);
    assert_int_equal(import("ftrace-dma", scratch, event, 4, &count, &err), NW_ERR_INPUT);
    write_text("events/header_page", "\tfield: local_t commit;\toffset:8;\tsize:3;\n");
    assert_int_equal(import("ftrace-dma-raw", scratch, event, 4, &count, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "header_page"));
    write_formats();
    write_text("events/dma/dma_map_phys/format", "name: dma_map_phys\n");
    assert_int_equal(import("ftrace-dma-raw", scratch, event, 4, &count, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "dma_map_phys/format"));
}

static int make_scratch(void **state)
{
    (void)state;
    return mkdtemp(scratch) ? 0 : -1;
}
static int remove_scratch(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(raw__events_are_those_of_the_text),
                                        cmocka_unit_test(directory__what_it_must_have) };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
