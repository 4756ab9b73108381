/* Working sets: the decoders with recorded bytes, the sampler over a procfs made of files, and, live, a process and a guest whose accesses are
 * known. What the machine does not allow is skipped, with the reason. */
#include "../../traces/live/program_builder.h"
#include "../../traces/workingset/procfs.h"
#include "../../traces/workingset/sampler.h"
#include "trace_support.h"
#include <fcntl.h>
#include <nestwalk/traces/capture.h>
#include <nestwalk/traces/live_shadow.h>
#include <nestwalk/traces/working_set.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- decoders ---- */

static void decode__lines_of_maps(void **state)
{
    (void)state;
    struct ws_mapping m;
    assert_true(ws_mapping_parse("7fc3efe00000-7fc3fde00000 rw-p 00000000 00:00 0 \n", &m));
    assert_true(m.start == UINT64_C(0x7fc3efe00000) && m.end == UINT64_C(0x7fc3fde00000) && m.writable);
    assert_string_equal(m.name, "");
    assert_true(
        ws_mapping_parse("55d0c4a00000-55d0c4a01000 r--s 00002000 fe:00 1315       /memfd:guest ram (deleted)\n", &m));
    assert_false(m.writable);
    assert_string_equal(m.name, "/memfd:guest ram (deleted)");
    static const char *const none[] = { "",
                                        "Rss:                 512 kB\n",
                                        "AnonHugePages:         0 kB\n",
                                        "VmFlags: rd wr mr mw me ac\n",
                                        "7fc3efe00000-7fc3fde00000\n",
                                        "2000-1000 rw-p 00000000 00:00 0\n",
                                        "1001-2000 rw-p 00000000 00:00 0\n" };
    for (size_t i = 0; i < NW_ARRAY_LEN(none); i++)
        if (ws_mapping_parse(none[i], &m))
            fail_msg("'%s' was taken for a mapping", none[i]);
}

static void decode__referenced_of_smaps(void **state)
{
    (void)state;
    uint64_t bytes = 0;
    assert_true(ws_field_parse("Referenced:        15344 kB\n", "Referenced", &bytes));
    assert_true(bytes == UINT64_C(15344) * 1024);
    assert_false(ws_field_parse("Rss:               15344 kB\n", "Referenced", &bytes));
    assert_false(ws_field_parse("Referenced:        15344\n", "Referenced", &bytes));
}

/* Entries as Linux 6.18 gave them: an anonymous page, one in a swap area, one that was never touched. */
static void decode__entries_of_pagemap(void **state)
{
    (void)state;
    const uint64_t present = UINT64_C(0x810000000011e5b1), swapped = UINT64_C(0x4000000000004020);
    assert_true(ws_page_present(present) && !ws_page_swapped(present) && !ws_page_soft_dirty(present));
    assert_true(ws_page_pfn(present) == 0x11e5b1);
    assert_true(ws_page_swapped(swapped) && !ws_page_present(swapped) && !ws_page_pfn(swapped));
    assert_false(ws_page_present(0) || ws_page_swapped(0) || ws_page_soft_dirty(0));
    assert_true(ws_page_soft_dirty(present | UINT64_C(1) << 55));
    assert_true(ws_page_pfn(present | UINT64_C(1) << 55) == 0x11e5b1);
}

static void decode__flags_tell_an_access_by_referenced_or_by_becoming_active(void **state)
{
    (void)state;
    const uint64_t idle = 0x5828, referenced = idle | WS_KPF_REFERENCED, active = idle | WS_KPF_ACTIVE;
    assert_false(ws_flags_accessed(idle, idle));
    assert_true(ws_flags_accessed(idle, referenced));
    assert_true(ws_flags_accessed(idle, active));
    assert_false(ws_flags_accessed(active, active));
    assert_true(ws_flags_accessed(active, active | WS_KPF_REFERENCED));
    assert_false(ws_flags_accessed(active, idle)); /* reclaim moved it */
}

/* ---- a procfs of files ---- */

enum { PAGES = 300, PFN = 0x400, SMALL_PAGES = 16 };
#define BASE UINT64_C(0x10000000)

struct fake {
    char root[64], idle[80], trace[80];
    int pagemap, kpageflags, bitmap;
    unsigned calls; /* of progress */
    bool by_idle, marks_seen;
};

static void put_file(const char *directory, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static int open_file(const char *directory, const char *name)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    return fd;
}

static void put_word(int fd, uint64_t index, uint64_t value)
{
    assert_int_equal(pwrite(fd, &value, 8, (off_t)(index * 8)), 8);
}

/* Page i of the large mapping lies in frame PFN + i; every tenth page is not there. */
static bool there(unsigned page) { return page % 10 != 7; }

static void set_page(struct fake *f, unsigned page, bool soft_dirty, uint64_t flags)
{
    put_word(f->pagemap, BASE / 4096 + page,
             there(page) ? UINT64_C(1) << 63 | (uint64_t)soft_dirty << 55 | (PFN + page) : 0);
    put_word(f->kpageflags, PFN + page, flags);
}

static void fake_make(struct fake *f)
{
    char directory[80];
    memset(f, 0, sizeof *f);
    snprintf(f->root, sizeof f->root, "proc.XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(directory, sizeof directory, "%s/77", f->root);
    assert_int_equal(mkdir(directory, 0700), 0);
    put_file(directory, "comm", "vmm\n");
    put_file(directory, "clear_refs", "");
    put_file(directory, "maps",
             "00400000-00410000 rw-p 00000000 00:00 0                 [heap]\n"
             "10000000-1012c000 rw-p 00000000 00:00 0 \n"
             "20000000-21000000 r--p 00000000 00:00 0 \n");
    put_file(directory, "smaps",
             "00400000-00410000 rw-p 00000000 00:00 0                 [heap]\n"
             "Referenced:           64 kB\n"
             "10000000-1012c000 rw-p 00000000 00:00 0 \n"
             "Rss:                1080 kB\n"
             "Referenced:           48 kB\n");
    f->pagemap = open_file(directory, "pagemap");
    f->kpageflags = open_file(f->root, "kpageflags");
    f->bitmap = open_file(f->root, "bitmap");
    snprintf(f->idle, sizeof f->idle, "%s/bitmap", f->root);
    snprintf(f->trace, sizeof f->trace, "%s/out.nwt", f->root);
    for (unsigned i = 0; i < PAGES; i++)
        set_page(f, i, false, 0x5828);
}

static void fake_remove(struct fake *f)
{
    char command[96];
    close(f->pagemap);
    close(f->kpageflags);
    close(f->bitmap);
    snprintf(command, sizeof command, "rm -rf %s", f->root);
    assert_int_equal(system(command), 0);
}

/* What happens in interval 1: pages 3, 4 and 5 are accessed, 5 is written; in interval 2 page 64 becomes active. */
static bool in_interval(void *context, uint64_t intervals, double seconds)
{
    struct fake *f = context;
    (void)seconds;
    f->calls++;
    if (f->by_idle) {
        uint64_t word = 0;
        assert_int_equal(pread(f->bitmap, &word, 8, PFN / 64 * 8), 8);
        f->marks_seen = f->marks_seen || (word & 1); /* frame PFN is page 0, which is there */
        if (intervals == 0)
            put_word(f->bitmap, PFN / 64, word & ~UINT64_C(0x38));
        set_page(f, 5, intervals == 0, 0x5828);
        return true;
    }
    set_page(f, 3, false, intervals == 0 ? 0x5828 | WS_KPF_REFERENCED : 0x5828);
    set_page(f, 4, false, intervals == 0 ? 0x5828 | WS_KPF_REFERENCED : 0x5828);
    set_page(f, 5, intervals == 0, 0x5828);
    set_page(f, 64, false, intervals == 0 ? 0x5828 : 0x5828 | WS_KPF_ACTIVE);
    return true;
}

static struct nw_working_set_options fake_options(struct fake *f, enum nw_working_set_via via)
{
    struct nw_working_set_options o;
    nw_working_set_defaults(&o);
    o.via = via;
    o.path = f->trace;
    o.pid = 77;
    o.proc = f->root;
    o.idle_bitmap = f->idle;
    o.interval_seconds = 0.01;
    o.intervals = 2;
    o.progress = in_interval;
    o.context = f;
    f->by_idle = via == NW_WORKING_SET_IDLE;
    return o;
}

/* The trace as text: "|" begins an interval, "r3" and "w5" are pages of the large mapping. */
static void trace_text(const char *path, char *out, size_t size)
{
    struct nw_source *source;
    struct nw_block b;
    struct nw_error err = { 0 };
    size_t used = 0;
    out[0] = 0;
    if (nw_nwt_open(&source, path, &err))
        fail_msg("%s", err.text);
    source->want = NW_WANT_ADDRESSES;
    for (;;) {
        assert_int_equal(nw_source_next(source, &b, &err), NW_OK);
        if (b.end)
            break;
        for (uint32_t i = 0, e = 0;; i++) {
            for (; e < b.event_count && b.event[e].at == i; e++)
                if (b.event[e].kind == NW_EV_MARKER && b.event[e].arg[0] == NW_MARKER_PHASE)
                    used += (size_t)snprintf(out + used, size - used, "|");
            if (i == b.access_count)
                break;
            used += (size_t)snprintf(out + used, size - used, "%c%llu ",
                                     nw_kind_type(nw_block_kind(&b, i)) == NW_STORE ? 'w' : 'r',
                                     (unsigned long long)(b.address[i] - BASE) / 4096);
        }
    }
    nw_source_destroy(source);
}

static void sample__page_flags_and_soft_dirty_bits_make_the_intervals(void **state)
{
    (void)state;
    struct fake f;
    struct nw_working_set set;
    struct nw_error err = { 0 };
    char text[256];
    fake_make(&f);
    struct nw_working_set_options o = fake_options(&f, NW_WORKING_SET_CLEAR_REFS);
    if (ws_sample(&o, true, &set, &err))
        fail_msg("%s", err.text);
    assert_true(set.knows_written && set.knows_accessed);
    assert_true(set.watched_pages == PAGES); /* the largest writable mapping */
    assert_true(set.count == 2 && set.end == NW_WORKING_SET_COMPLETE);
    assert_true(set.interval[0].accessed_pages == 3 && set.interval[0].written_pages == 1);
    assert_true(set.interval[1].accessed_pages == 1 && set.interval[1].written_pages == 0);
    assert_true(set.interval[0].resident_pages == PAGES - PAGES / 10);
    assert_true(set.interval[0].referenced_bytes == 48 * 1024);
    assert_true(set.interval[1].start_ns >= set.interval[0].end_ns);
    assert_true(set.pages == 4);
    trace_text(f.trace, text, sizeof text);
    assert_string_equal(text, "|r3 r4 w5 |r64 ");
    char cleared = 0;
    char path[96];
    snprintf(path, sizeof path, "%s/77", f.root);
    int fd = open_file(path, "clear_refs");
    assert_int_equal(read(fd, &cleared, 1), 1);
    assert_int_equal(cleared, '4'); /* the last of the two */
    close(fd);
    nw_working_set_fini(&set);
    fake_remove(&f);
}

/* What lies in a range is counted: not a mapping between two of them, and not one that reaches out. */
static void sums__are_of_mappings_inside_the_ranges(void **state)
{
    (void)state;
    struct fake f;
    struct ws_process p;
    char directory[80];
    fake_make(&f);
    snprintf(directory, sizeof directory, "%s/77", f.root);
    put_file(directory, "smaps",
             "1000-2000 rw-p 00000000 00:00 0 \nReferenced: 4 kB\nAnonHugePages: 0 kB\n"
             "2000-3000 r--p 00000000 00:00 0 \nReferenced: 8 kB\n"
             "3000-5000 rw-p 00000000 00:00 0 \nReferenced: 16 kB\nAnonHugePages: 2048 kB\n"
             "6000-9000 rw-p 00000000 00:00 0 \nReferenced: 32 kB\n");
    OK(ws_process_open(&p, f.root, 77, err));
    const struct ws_mapping ranges[] = { { .start = 0x1000, .end = 0x2000 },
                                         { .start = 0x3000, .end = 0x5000 },
                                         { .start = 0x6000, .end = 0x8000 } };
    assert_true(ws_process_sum(&p, "Referenced", ranges, 3) == 20 * 1024);
    assert_true(ws_process_sum(&p, "Referenced", ranges, 1) == 4 * 1024);
    assert_true(ws_process_sum(&p, "AnonHugePages", ranges, 3) == 2048 * 1024);
    assert_true(ws_process_sum(&p, "Referenced", ranges, 0) == 0);
    ws_process_close(&p);
    fake_remove(&f);
    assert_int_equal(ws_process_open(&p, "/proc", 4194305, NULL), NW_ERR_USAGE);
    ws_process_close(&p);
}

static void sample__idle_bits_make_the_intervals(void **state)
{
    (void)state;
    struct fake f;
    struct nw_working_set set;
    struct nw_error err = { 0 };
    char text[256];
    fake_make(&f);
    struct nw_working_set_options o = fake_options(&f, NW_WORKING_SET_IDLE);
    if (ws_sample(&o, true, &set, &err))
        fail_msg("%s", err.text);
    assert_true(f.marks_seen);
    trace_text(f.trace, text, sizeof text);
    assert_string_equal(text, "|r3 r4 w5 |");
    uint64_t word = 0;
    assert_int_equal(pread(f.bitmap, &word, 8, (PFN / 64 + 1) * 8), 8);
    for (unsigned i = 0; i < 64; i++) /* every page that is there was marked, and no other */
        assert_int_equal(word >> i & 1, there(64 + i));
    nw_working_set_fini(&set);
    fake_remove(&f);
}

static void sample__without_soft_dirty_bits_writes_are_not_claimed(void **state)
{
    (void)state;
    struct fake f;
    struct nw_working_set set;
    struct nw_error err = { 0 };
    char text[256];
    fake_make(&f);
    struct nw_working_set_options o = fake_options(&f, NW_WORKING_SET_CLEAR_REFS);
    if (ws_sample(&o, false, &set, &err))
        fail_msg("%s", err.text);
    assert_false(set.knows_written);
    bool said = false;
    for (unsigned i = 0; i < set.notes; i++)
        said = said || strstr(set.note[i], "CONFIG_MEM_SOFT_DIRTY");
    assert_true(said);
    trace_text(f.trace, text, sizeof text);
    assert_string_equal(text, "|r3 r4 |r64 ");
    nw_working_set_fini(&set);
    fake_remove(&f);
}

/* The first pages hold 'x', but 5, which holds zeros, and 64, noise; what the mappings hold lies in a file at their addresses. */
static void contents_make(const struct fake *f)
{
    char directory[80];
    unsigned char page[4096];
    struct nw_rng rng = nw_rng_for(1, "noise");
    snprintf(directory, sizeof directory, "%s/77", f->root);
    const int memory = open_file(directory, "mem");
    for (unsigned i = 0; i < PAGES; i++) {
        memset(page, i == 5 ? 0 : 'x', sizeof page);
        for (unsigned k = 0; i == 64 && k < sizeof page; k++)
            page[k] = (unsigned char)nw_rng_next(&rng);
        assert_int_equal(pwrite(memory, page, sizeof page, (off_t)(BASE + i * 4096)), sizeof page);
    }
    close(memory);
}

/* All that are there before the first interval; then 5, which is written, behind its access, and no other, as they were not. */
static void sample__contents_come_first_and_follow_stores(void **state)
{
    (void)state;
    enum { THERE = PAGES - PAGES / 10 };
    struct fake f;
    struct nw_working_set set;
    struct nw_error why = { 0 };
    fake_make(&f);
    contents_make(&f);
    struct nw_working_set_options o = fake_options(&f, NW_WORKING_SET_CLEAR_REFS);
    o.contents = true;
    o.progress = NULL;
    set_page(&f, 5, true, 0x5828);
    if (ws_sample(&o, true, &set, &why))
        fail_msg("%s", why.text);
    assert_int_equal(set.contents.events, THERE + 2); /* as nothing clears the soft-dirty bit here, in both intervals */
    assert_int_equal(set.contents.pages, THERE);
    assert_int_equal(set.contents.zeros, 1);
    assert_int_equal(set.contents.equal, THERE - 2);
    assert_int_equal(set.contents.distinct, 3);
    assert_int_equal(set.contents.unreadable, 0);
    assert_in_range(set.contents.packed_bytes, 4096 + 5 * THERE, 4096 + 100 * THERE); /* noise stays as it is */
    struct nw_source *source;
    struct nw_block b;
    unsigned events = 0, behind = 0;
    OK(nw_nwt_open(&source, f.trace, err));
    source->want = NW_WANT_ADDRESSES;
    for (;;) {
        OK(nw_source_next(source, &b, err));
        if (b.end)
            break;
        for (uint32_t e = 0; e < b.event_count; e++) {
            if (b.event[e].kind != NW_EV_PAGE_CONTENT)
                continue;
            const uint64_t page = (b.event[e].arg[0] - BASE) / 4096;
            assert_true(page < PAGES && there((unsigned)page));
            assert_true((page == 5) == (b.event[e].arg[1] == nw_page_hash_of_zeros()));
            assert_true(page == 64 ? b.event[e].arg[2] == 4096 : b.event[e].arg[2] < 100);
            events++;
            if (!b.event[e].at)
                continue;
            behind++;
            assert_true(page == 5 && b.event[e].arg[0] == b.address[b.event[e].at - 1]);
        }
    }
    nw_source_destroy(source);
    assert_int_equal(events, THERE + 2);
    assert_int_equal(behind, 2);
    nw_working_set_fini(&set);
    fake_remove(&f);
}

static void sample__contents_need_the_memory_to_be_readable(void **state)
{
    (void)state;
    struct fake f;
    struct nw_working_set set;
    struct nw_error why = { 0 };
    fake_make(&f);
    struct nw_working_set_options o = fake_options(&f, NW_WORKING_SET_CLEAR_REFS);
    o.contents = true;
    assert_int_equal(ws_sample(&o, true, &set, &why), NW_ERR_ENV);
    assert_non_null(strstr(why.text, "/mem"));
    assert_int_equal(access(f.trace, F_OK), -1);
    fake_remove(&f);
}

static void sample__refusals_name_what_is_missing(void **state)
{
    (void)state;
    struct fake f;
    struct nw_working_set set;
    struct nw_error err = { 0 };
    fake_make(&f);
    struct nw_working_set_options o = fake_options(&f, NW_WORKING_SET_IDLE);
    o.idle_bitmap = "/nowhere/bitmap";
    assert_int_equal(ws_sample(&o, false, &set, &err), NW_ERR_ENV);
    assert_non_null(strstr(err.text, "CONFIG_IDLE_PAGE_TRACKING"));
    o.pid = 78;
    assert_int_equal(ws_sample(&o, false, &set, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "78"));
    o = fake_options(&f, NW_WORKING_SET_CLEAR_REFS);
    o.range = NW_WORKING_SET_RANGE;
    o.start = 0x30000000;
    o.end = 0x30001000;
    assert_int_equal(ws_sample(&o, false, &set, &err), NW_ERR_USAGE);
    assert_int_equal(access(f.trace, F_OK), -1);
    fake_remove(&f);
}

/* ---- live: a process ---- */

enum { CHILD_PAGES = 512, CHILD_TOUCHED = 100 };

static void live__referenced_of_a_process_is_what_it_touches(void **state)
{
    (void)state;
    struct nw_working_set_options o;
    struct nw_working_set set;
    struct nw_error err = { 0 };
    const size_t bytes = CHILD_PAGES * 4096;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    pid_t child = fork();
    if (!child) {
        memset(memory, 1, bytes);
        for (;;)
            for (unsigned i = 0; i < CHILD_TOUCHED; i++)
                ((volatile char *)memory)[i * 3 * 4096]++;
    }
    assert_true(child > 0);
    nw_working_set_defaults(&o);
    o.via = NW_WORKING_SET_CLEAR_REFS;
    o.pid = (uint64_t)child;
    o.range = NW_WORKING_SET_RANGE;
    o.start = (uintptr_t)memory;
    o.end = o.start + bytes;
    o.interval_seconds = 0.3;
    o.intervals = 4;
    enum nw_status s = nw_working_set_of_process(&o, &set, &err);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    munmap(memory, bytes);
    if (s == NW_ERR_ENV) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    if (s)
        fail_msg("%s", err.text);
    /* The mapping may have neighbours that the kernel shows together with it; then it is not told by itself. */
    if (!set.interval[3].referenced_bytes) {
        nw_working_set_fini(&set);
        print_message("skipped: the mapping is shown as part of a larger one\n");
        skip();
    }
    assert_true(set.interval[3].referenced_bytes == CHILD_TOUCHED * 4096);
    nw_working_set_fini(&set);
}

/* ---- live: a guest that the processor runs, over KVM's own tables ---- */

enum { GUEST_TOUCHED = 40, GUEST_STRIDE = 3, GUEST_ROUNDS = 800, GUEST_PAGES = 512, ROUND_NS = 10 * 1000 * 1000 };

static bool pause_a_little(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now)
{
    const struct timespec nap = { 0, ROUND_NS };
    (void)context, (void)marker, (void)action, (void)now;
    nanosleep(&nap, NULL);
    return true;
}

/* Rounds of reads of every third page. The entries have no accessed bits at first: KVM would take their neighbours along. Ends with the
 * status of its run. */
static int guest_process(void)
{
    struct nw_shadow_program p = { .name = "reader" };
    struct builder b;
    build_start_wide(&b, &p);
    build_table(&b, 0);
    build_pages(&b, 0, GUEST_PAGES, 0, PTE_CLEAN);
    for (unsigned round = 0; round < GUEST_ROUNDS; round++) {
        for (unsigned i = 0; i < GUEST_TOUCHED; i++)
            build_op(&b, NW_KVM_OP_READ, program_page(0, i * GUEST_STRIDE), 0);
        build_marker(&b);
    }
    const struct nw_live_shadow_options options = { .timeout_seconds = 60 };
    if (build_finish(&b, NULL))
        return NW_ERR_NOMEM;
    enum nw_status s =
        nw_live_shadow_run(&p.program, &(struct nw_kvm_watcher){ .segment = pause_a_little }, &options, NULL);
    nw_shadow_program_free(&p);
    return (int)s;
}

/* The guest's memory: 64 MiB, the largest mapping. 0: not there yet. */
static uint64_t guest_memory_of(pid_t pid)
{
    struct ws_process p;
    struct ws_mapping *m = NULL;
    size_t count = 0;
    uint64_t found = 0;
    if (!ws_process_open(&p, "/proc", (uint64_t)pid, NULL) && !ws_process_mappings(&p, &m, &count, NULL))
        for (size_t i = 0; i < count; i++)
            if (m[i].writable && m[i].end - m[i].start == UINT64_C(64) << 20)
                found = m[i].start;
    if (found && !ws_process_has_kvm(&p))
        found = 0;
    ws_process_close(&p);
    free(m);
    return found;
}

static void live__pages_that_a_guest_reads_are_seen_from_outside(void **state)
{
    (void)state;
    struct nw_working_set_options o;
    struct nw_working_set set;
    struct nw_error err = { 0 };
    struct nw_live_shadow_host host;
    uint64_t memory = 0;
    if (nw_live_shadow_probe(&host, &err)) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    pid_t child = fork();
    if (!child)
        _exit(guest_process());
    assert_true(child > 0);
    const struct timespec nap = { 0, 20 * 1000 * 1000 };
    for (unsigned i = 0; i < 500 && !(memory = guest_memory_of(child)) && !waitpid(child, NULL, WNOHANG); i++)
        nanosleep(&nap, NULL);
    nanosleep(&nap, NULL);
    nw_working_set_defaults(&o);
    o.via = NW_WORKING_SET_CLEAR_REFS;
    o.path = "guest.nwt";
    o.pid = (uint64_t)child;
    o.range = NW_WORKING_SET_RANGE;
    o.start = memory + GUEST_FRAMES * UINT64_C(4096);
    o.end = o.start + GUEST_PAGES * UINT64_C(4096);
    o.interval_seconds = 0.2;
    o.intervals = 8;
    enum nw_status s = nw_working_set_of_process(&o, &set, &err);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    if (!memory)
        fail_msg("the guest did not come up");
    if (s == NW_ERR_ENV || (!s && !set.knows_accessed)) {
        print_message("skipped: %s\n", s ? err.text : set.note[0]);
        skip();
    }
    if (s)
        fail_msg("%s", err.text);
    struct nw_source *source;
    struct nw_block b;
    bool seen[GUEST_PAGES] = { false };
    if (nw_nwt_open(&source, "guest.nwt", &err))
        fail_msg("%s", err.text);
    source->want = NW_WANT_ADDRESSES;
    while (!nw_source_next(source, &b, &err) && !b.end)
        for (uint32_t i = 0; i < b.access_count; i++)
            seen[(b.address[i] - o.start) / 4096] = true;
    nw_source_destroy(source);
    remove("guest.nwt");
    for (unsigned i = 0; i < GUEST_PAGES; i++)
        if (seen[i] != (i % GUEST_STRIDE == 0 && i < GUEST_TOUCHED * GUEST_STRIDE))
            fail_msg("page %u was %sseen", i, seen[i] ? "" : "not ");
    nw_working_set_fini(&set);
}

/* ---- live: a guest of ours ---- */

static struct nw_capture_options gups(void)
{
    struct nw_capture_options o;
    nw_capture_defaults(&o);
    o.workload = "gups";
    o.size = 256 << 10;
    o.operations = 400;
    o.instructions_max = 0;
    o.timeout_seconds = 100;
    return o;
}

/* Pages of the heap that the single-stepped run stores to. */
static unsigned stored_heap_pages(const char *path)
{
    const uint64_t heap = UINT64_C(0x0000100000000000);
    static bool stored[4096];
    struct nw_source *source;
    struct nw_block b;
    unsigned pages = 0;
    struct nw_error err = { 0 };
    memset(stored, 0, sizeof stored);
    if (nw_nwt_open(&source, path, &err))
        fail_msg("%s", err.text);
    source->want = NW_WANT_ADDRESSES;
    while (!nw_source_next(source, &b, &err) && !b.end)
        for (uint32_t i = 0; i < b.access_count; i++) {
            const uint64_t page = (b.address[i] - heap) / 4096;
            if (nw_kind_type(nw_block_kind(&b, i)) != NW_STORE || b.address[i] < heap || page >= 4096)
                continue;
            pages += !stored[page];
            stored[page] = true;
        }
    nw_source_destroy(source);
    return pages;
}

/* Records the guest, and returns the union of the intervals: a bit for each page. */
static uint64_t *written_by(enum nw_working_set_via via, const struct nw_capture_options *guest,
                            struct nw_working_set *set, size_t *words)
{
    struct nw_working_set_options o;
    struct nw_error err = { 0 };
    nw_working_set_defaults(&o);
    o.via = via;
    o.path = "written.nwt";
    o.interval_seconds = 0.05;
    enum nw_status s = nw_working_set_of_guest(guest, &o, set, &err);
    if (s == NW_ERR_ENV) {
        print_message("skipped: %s\n", err.text);
        skip();
    }
    if (s)
        fail_msg("%s", err.text);
    assert_int_equal(set->end, NW_WORKING_SET_COMPLETE);
    assert_true(set->knows_written && !set->knows_accessed);
    *words = set->watched_pages / 64 + 1;
    uint64_t *pages = calloc(*words, sizeof *pages), count = 0;
    struct nw_source *source;
    struct nw_block b;
    assert_non_null(pages);
    if (nw_nwt_open(&source, o.path, &err))
        fail_msg("%s", err.text);
    source->want = NW_WANT_ADDRESSES;
    while (!nw_source_next(source, &b, &err) && !b.end)
        for (uint32_t i = 0; i < b.access_count; i++) {
            const uint64_t page = b.address[i] / 4096;
            assert_true(page < set->watched_pages && nw_kind_type(nw_block_kind(&b, i)) == NW_STORE);
            count += !(pages[page / 64] >> page % 64 & 1);
            pages[page / 64] |= UINT64_C(1) << page % 64;
        }
    nw_source_destroy(source);
    assert_true(count == set->pages);
    remove(o.path);
    return pages;
}

static void live__dirty_ring_and_dirty_log_have_the_pages_that_the_guest_stores_to(void **state)
{
    (void)state;
    struct nw_working_set ring, log;
    struct nw_capture_result r;
    struct nw_error err = { 0 };
    struct nw_capture_options guest = gups();
    size_t words, log_words;
    uint64_t *by_ring = written_by(NW_WORKING_SET_DIRTY_RING, &guest, &ring, &words);
    uint64_t *by_log = written_by(NW_WORKING_SET_DIRTY_LOG, &guest, &log, &log_words);
    assert_true(words == log_words && strstr(log.means, "dirty log"));
    assert_memory_equal(by_ring, by_log, words * sizeof *by_ring);
    guest.path = "steps.nwt";
    if (nw_capture_run(&guest, &r, &err))
        fail_msg("%s", err.text);
    /* Besides the heap it writes its stack, its result page and, where the processor sets A and D, page tables: a few. */
    const unsigned heap = stored_heap_pages("steps.nwt");
    assert_true(heap > 30);
    if (ring.pages < heap || ring.pages > heap + 16)
        fail_msg("the ring has %llu pages, the stores %u", (unsigned long long)ring.pages, heap);
    remove("steps.nwt");
    free(by_ring);
    free(by_log);
    nw_working_set_fini(&ring);
    nw_working_set_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode__lines_of_maps),
        cmocka_unit_test(decode__referenced_of_smaps),
        cmocka_unit_test(decode__entries_of_pagemap),
        cmocka_unit_test(decode__flags_tell_an_access_by_referenced_or_by_becoming_active),
        cmocka_unit_test(sample__page_flags_and_soft_dirty_bits_make_the_intervals),
        cmocka_unit_test(sums__are_of_mappings_inside_the_ranges),
        cmocka_unit_test(sample__idle_bits_make_the_intervals),
        cmocka_unit_test(sample__without_soft_dirty_bits_writes_are_not_claimed),
        cmocka_unit_test(sample__contents_come_first_and_follow_stores),
        cmocka_unit_test(sample__contents_need_the_memory_to_be_readable),
        cmocka_unit_test(sample__refusals_name_what_is_missing),
        cmocka_unit_test(live__referenced_of_a_process_is_what_it_touches),
        cmocka_unit_test(live__pages_that_a_guest_reads_are_seen_from_outside),
        cmocka_unit_test(live__dirty_ring_and_dirty_log_have_the_pages_that_the_guest_stores_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
