/* sampler.c - the working set of a process that knows nothing of it: marks are taken away, and after a while those that are back are counted.
 *
 * A KVM guest reaches its memory by tables of KVM's own, not by those of the VMM. What becomes visible of it:
 *   - written pages: clearing the soft-dirty bits (4 to clear_refs) takes the range out of KVM's tables; the guest's next access comes
 *     to KVM, which looks the page up as the VMM would, and a write sets the bit;
 *   - accessed pages: the same look-up sets the page's REFERENCED flag, which 1 to clear_refs has cleared. So 1 comes before 4: in the other
 *     order an access between the two would be in KVM's tables already, and leave no mark;
 *   - idle pages: marking and asking both go through KVM's tables as well. */
#include "sampler.h"

#include "intervals.h"
#include "procfs.h"
#include "trace_host.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nestwalk/base/addr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 4096, FOLIO_PAGES_MAX = 512, NAP_NS = 50 * 1000 * 1000 };

struct sampler {
    const struct nw_working_set_options *o;
    struct nw_working_set *out;
    struct ws_process process;
    struct ws_mapping *range;
    size_t ranges;
    struct ws_recorder recorder;
    bool soft_dirty, page_flags;
    int idle;
    uint32_t *before;             /* flags of each watched page when the marks were cleared */
    uint64_t *accessed, *written; /* a bit for each of them: of the interval that is being read */
    bool gone;
    uint64_t resident;
};

/* ---- pages ---- */

/* The flags of frames; runs of them are read at once. */
static void flags_read(const struct sampler *s, const uint64_t *entry, uint64_t *flags, size_t pages)
{
    for (size_t i = 0, run; i < pages; i += run) {
        const uint64_t pfn = ws_page_pfn(entry[i]);
        for (run = 1; i + run < pages && pfn && ws_page_pfn(entry[i + run]) == pfn + run;)
            run++;
        if (pfn && s->page_flags)
            ws_words_read(s->process.kpageflags, pfn, flags + i, run);
        else
            memset(flags + i, 0, run * sizeof *flags);
    }
}

/* Idle marks are kept for the first frame of a compound page only. */
static uint64_t marked_frame(const struct sampler *s, uint64_t pfn, uint64_t flags)
{
    uint64_t near[FOLIO_PAGES_MAX];
    if (!(flags & WS_KPF_COMPOUND_TAIL) || pfn < FOLIO_PAGES_MAX)
        return pfn;
    ws_words_read(s->process.kpageflags, pfn - FOLIO_PAGES_MAX, near, FOLIO_PAGES_MAX);
    for (unsigned back = 1; back <= FOLIO_PAGES_MAX; back++)
        if (near[FOLIO_PAGES_MAX - back] & WS_KPF_COMPOUND_HEAD)
            return pfn - back;
    return pfn;
}

struct marks {
    uint64_t word_at, word; /* the word of the bitmap that was read last */
    bool read;
};

static bool is_idle(const struct sampler *s, struct marks *m, uint64_t pfn)
{
    if (!m->read || m->word_at != pfn / 64) {
        m->word_at = pfn / 64;
        m->read = true;
        ws_words_read(s->idle, m->word_at, &m->word, 1);
    }
    return m->word >> pfn % 64 & 1;
}

static bool idle_mark(const struct sampler *s, struct marks *m, uint64_t pfn)
{
    if (m->read && m->word_at == pfn / 64) {
        m->word |= UINT64_C(1) << pfn % 64;
        return true;
    }
    const bool written = !m->read || pwrite(s->idle, &m->word, 8, (off_t)(m->word_at * 8)) == 8;
    *m = (struct marks){ pfn / 64, UINT64_C(1) << pfn % 64, true };
    return written;
}

/* One look at a chunk: its pages' flags are remembered, and those that were accessed since the marks were made. */
static enum nw_status look_at(struct sampler *s, uint64_t index, uint64_t address, size_t pages, struct nw_error *err)
{
    uint64_t entry[CHUNK], flags[CHUNK];
    struct marks marks = { 0 };
    size_t got;
    enum nw_status status = ws_process_pagemap(&s->process, address, entry, pages, &got, err);
    if (status)
        return status;
    s->gone = s->gone || !got;
    flags_read(s, entry, flags, got);
    for (size_t i = 0; i < got; i++) {
        const uint64_t pfn = ws_page_pfn(entry[i]), page = index + i, bit = UINT64_C(1) << page % 64;
        const bool written = s->soft_dirty && ws_page_soft_dirty(entry[i]);
        bool accessed = written;
        if (s->idle >= 0 && pfn)
            accessed = accessed || !is_idle(s, &marks, marked_frame(s, pfn, flags[i]));
        else if (s->page_flags && pfn)
            accessed = accessed || ws_flags_accessed(s->before[page], flags[i]);
        s->before[page] = (uint32_t)flags[i];
        s->resident += ws_page_present(entry[i]);
        if (accessed && (ws_page_present(entry[i]) || ws_page_swapped(entry[i]))) {
            s->accessed[page / 64] |= bit;
            s->written[page / 64] |= written ? bit : 0;
        }
    }
    return NW_OK;
}

static enum nw_status mark_chunk(struct sampler *s, uint64_t address, size_t pages, struct nw_error *err)
{
    uint64_t entry[CHUNK], flags[CHUNK];
    struct marks marks = { 0 };
    size_t got;
    enum nw_status status = ws_process_pagemap(&s->process, address, entry, pages, &got, err);
    if (status)
        return status;
    flags_read(s, entry, flags, got);
    bool written = true;
    for (size_t i = 0; i < got && written; i++)
        if (ws_page_pfn(entry[i]))
            written = idle_mark(s, &marks, marked_frame(s, ws_page_pfn(entry[i]), flags[i]));
    if (written && marks.read)
        written = pwrite(s->idle, &marks.word, 8, (off_t)(marks.word_at * 8)) == 8;
    return written ? NW_OK : nw_fail_errno(err, NW_ERR_ENV, errno, "%s", s->o->idle_bitmap);
}

static enum nw_status each_chunk(struct sampler *s, bool mark, struct nw_error *err)
{
    enum nw_status status = NW_OK;
    uint64_t index = 0;
    s->resident = mark ? s->resident : 0;
    for (size_t r = 0; r < s->ranges && !status; r++)
        for (uint64_t at = s->range[r].start; at < s->range[r].end && !status && !s->gone;) {
            const uint64_t left = (s->range[r].end - at) / NW_PAGE_BYTES;
            const size_t pages = left < CHUNK ? (size_t)left : CHUNK;
            status = mark ? mark_chunk(s, at, pages, err) : look_at(s, index, at, pages, err);
            at += pages * NW_PAGE_BYTES;
            index += pages;
        }
    return status;
}

static enum nw_status look(struct sampler *s, struct nw_error *err)
{
    const size_t words = s->out->watched_pages / 64 + 1;
    memset(s->accessed, 0, words * sizeof *s->accessed);
    memset(s->written, 0, words * sizeof *s->written);
    return each_chunk(s, false, err);
}

static enum nw_status record_page(struct sampler *s, uint64_t page, uint64_t address, struct nw_error *err)
{
    unsigned char bytes[NW_PAGE_BYTES];
    enum nw_status status = ws_recorder_page(&s->recorder, page, address, s->written[page / 64] >> page % 64 & 1, err);
    if (!status && s->recorder.content_wanted)
        status = ws_recorder_content(&s->recorder, ws_process_page(&s->process, address, bytes) ? bytes : NULL, err);
    return status;
}

static enum nw_status record(struct sampler *s, double from, double to, struct nw_error *err)
{
    uint64_t page = 0;
    enum nw_status status = ws_recorder_begin(&s->recorder, from, to, err);
    for (size_t r = 0; r < s->ranges; r++)
        for (uint64_t at = s->range[r].start; at < s->range[r].end && !status; at += NW_PAGE_BYTES, page++)
            if (s->accessed[page / 64] >> page % 64 & 1)
                status = record_page(s, page, at, err);
    return status;
}

/* What the process's pages hold before the first interval. Stops when progress says so. */
static enum nw_status record_image(struct sampler *s, struct nw_error *err)
{
    enum nw_status status = NW_OK;
    uint64_t index = 0;
    for (size_t r = 0; r < s->ranges; r++)
        for (uint64_t at = s->range[r].start, pages; at < s->range[r].end; at += pages * NW_PAGE_BYTES) {
            uint64_t entry[CHUNK];
            unsigned char bytes[NW_PAGE_BYTES];
            size_t got;
            const uint64_t left = (s->range[r].end - at) / NW_PAGE_BYTES;
            pages = left < CHUNK ? left : CHUNK;
            if ((status = ws_process_pagemap(&s->process, at, entry, pages, &got, err)))
                return status;
            for (size_t i = 0; i < got && !status; i++) {
                const uint64_t address = at + i * NW_PAGE_BYTES;
                if (ws_page_present(entry[i]))
                    status = ws_recorder_image(&s->recorder, index + i, address,
                                               ws_process_page(&s->process, address, bytes) ? bytes : NULL, err);
            }
            index += pages;
            if (!status && s->o->progress && !s->o->progress(s->o->context, 0, ws_now_seconds() - s->recorder.started))
                s->out->end = NW_WORKING_SET_STOPPED;
            if (status || s->out->end == NW_WORKING_SET_STOPPED)
                return status;
        }
    s->recorder.started = ws_now_seconds();
    return status;
}

/* ---- time ---- */

static enum nw_status arm(struct sampler *s, struct nw_error *err)
{
    if (s->idle >= 0) {
        enum nw_status status = each_chunk(s, true, err);
        if (status)
            return status;
    } else if (!ws_process_clear(&s->process, '1')) {
        goto refused;
    }
    if ((s->idle < 0 || s->soft_dirty) && !ws_process_clear(&s->process, '4'))
        goto refused;
    return NW_OK;
refused:
    if (!ws_process_alive(&s->process)) {
        s->gone = true;
        return NW_OK;
    }
    return nw_fail_errno(err, NW_ERR_ENV, errno, "%s/clear_refs", s->process.directory);
}

/* False: it was interrupted, or the process is gone. */
static bool wait_until(struct sampler *s, double when)
{
    for (;;) {
        const double now = ws_now_seconds();
        if (s->o->progress && !s->o->progress(s->o->context, s->out->count, now - s->recorder.started)) {
            s->out->end = NW_WORKING_SET_STOPPED;
            return false;
        }
        if (now >= when)
            return true;
        if (!ws_process_alive(&s->process)) {
            s->gone = true;
            return false;
        }
        const double left_ns = (when - now) * 1e9;
        const struct timespec nap = { 0, left_ns < NAP_NS ? (long)left_ns : NAP_NS };
        nanosleep(&nap, NULL);
    }
}

static enum nw_status interval(struct sampler *s, struct nw_error *err)
{
    enum nw_status status = arm(s, err);
    const double from = ws_now_seconds();
    if (status || s->gone || !wait_until(s, from + s->o->interval_seconds))
        return status;
    const uint64_t referenced = s->idle < 0 ? ws_process_sum(&s->process, "Referenced", s->range, s->ranges) : 0;
    const double to = ws_now_seconds();
    status = look(s, err);
    if (status || s->gone) /* half of a picture is none */
        return status;
    status = record(s, from, to, err);
    if (status)
        return status;
    s->recorder.now.referenced_bytes = referenced;
    s->recorder.now.resident_pages = s->resident;
    return ws_recorder_end(&s->recorder, err);
}

/* ---- what is watched, and how ---- */

static enum nw_status choose_ranges(struct sampler *s, struct nw_error *err)
{
    const struct nw_working_set_options *o = s->o;
    enum nw_status status = ws_process_mappings(&s->process, &s->range, &s->ranges, err);
    size_t kept = 0;
    if (status)
        return status;
    for (size_t i = 0; i < s->ranges; i++) {
        struct ws_mapping m = s->range[i];
        if (o->range == NW_WORKING_SET_RANGE) {
            m.start = m.start > o->start ? m.start : o->start;
            m.end = m.end < o->end ? m.end : o->end;
        } else if (!m.writable) {
            continue;
        }
        if (m.start >= m.end)
            continue;
        if (o->range == NW_WORKING_SET_LARGEST && kept) {
            if (m.end - m.start > s->range[0].end - s->range[0].start)
                s->range[0] = m;
            continue;
        }
        s->range[kept++] = m;
    }
    s->ranges = kept;
    for (size_t i = 0; i < kept; i++)
        s->out->watched_pages += (s->range[i].end - s->range[i].start) / NW_PAGE_BYTES;
    if (!kept && o->range == NW_WORKING_SET_RANGE)
        return nw_fail(err, NW_ERR_USAGE, "process %" PRIu64 " has no mapping in 0x%" PRIx64 "-0x%" PRIx64, o->pid,
                       o->start, o->end);
    if (!kept)
        return nw_fail(err, NW_ERR_USAGE, "process %" PRIu64 " has no writable mapping", o->pid);
    const size_t words = s->out->watched_pages / 64 + 1;
    s->before = calloc(s->out->watched_pages, sizeof *s->before);
    s->accessed = calloc(words, sizeof *s->accessed);
    s->written = calloc(words, sizeof *s->written);
    return s->before && s->accessed && s->written ? NW_OK : nw_fail_nomem(err, "the pages' flags");
}

/* kpageflags opens for root only, and frame numbers are zero for whoever lacks CAP_SYS_ADMIN. */
static bool sees_frames(const struct sampler *s)
{
    uint64_t entry[CHUNK];
    for (size_t r = 0; r < s->ranges && s->process.kpageflags >= 0; r++)
        for (uint64_t at = s->range[r].start; at < s->range[r].end; at += CHUNK * NW_PAGE_BYTES) {
            const uint64_t left = (s->range[r].end - at) / NW_PAGE_BYTES;
            size_t got = 0;
            if (ws_process_pagemap(&s->process, at, entry, left < CHUNK ? (size_t)left : CHUNK, &got, NULL))
                return false;
            for (size_t i = 0; i < got; i++)
                if (ws_page_present(entry[i]))
                    return ws_page_pfn(entry[i]) != 0;
        }
    return s->process.kpageflags >= 0;
}

static enum nw_status choose_means(struct sampler *s, struct nw_error *err)
{
    struct nw_working_set *out = s->out;
    const bool idle = s->o->via == NW_WORKING_SET_IDLE;
    s->page_flags = sees_frames(s);
    if (idle && (s->idle = open(s->o->idle_bitmap, O_RDWR | O_CLOEXEC)) < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno,
                             "%s (the kernel needs CONFIG_IDLE_PAGE_TRACKING, and root asks; --via clear-refs needs "
                             "neither of them for sizes)",
                             s->o->idle_bitmap);
    if (idle && !s->page_flags)
        return nw_fail(err, NW_ERR_ENV, "idle pages are known by their frames, which only root may see");
    if (s->o->contents && !ws_process_open_memory(&s->process))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%s/mem (what pages hold is for who may trace the process)",
                             s->process.directory);
    if (s->o->contents && !s->page_flags && !s->soft_dirty)
        return nw_fail(
            err, NW_ERR_ENV,
            "which pages were accessed is root's to see here, and so nothing is known whose contents could be "
            "recorded");
    if (!s->soft_dirty)
        ws_note(out,
                "this kernel has no soft-dirty bits (CONFIG_MEM_SOFT_DIRTY): which pages were written is not known");
    if (!idle && !s->page_flags)
        ws_note(out,
                "%s/kpageflags and frame numbers are root's: which pages were accessed is not known, only how "
                "many bytes (Referenced in smaps)",
                s->o->proc);
    if (!ws_process_has_kvm(&s->process))
        ws_note(out, "process %" PRIu64 " holds no KVM virtual machine, or its descriptors are not ours to see",
                s->o->pid);
    if (!idle && s->page_flags)
        ws_note(out, "pages that the VMM itself accessed, not its guest, are in Referenced only");
    out->knows_written = s->soft_dirty;
    out->knows_accessed = s->page_flags;
    snprintf(out->means, sizeof out->means, "%s%s",
             idle            ? "idle page tracking"
             : s->page_flags ? "clear_refs and the REFERENCED flag of each frame"
                             : "clear_refs and Referenced in smaps",
             s->soft_dirty ? ", soft-dirty bits" : "");
    return NW_OK;
}

static enum nw_status open_recorder(struct sampler *s, struct nw_error *err)
{
    struct nw_trace_info info;
    char name[32];
    nw_trace_info_init(&info);
    ws_process_name(&s->process, name, sizeof name);
    snprintf(s->out->what, sizeof s->out->what, "process %" PRIu64 " (%s), 0x%" PRIx64 "-0x%" PRIx64 "%s", s->o->pid,
             name, s->range[0].start, s->range[s->ranges - 1].end, s->ranges > 1 ? " with gaps" : "");
    snprintf(info.origin, sizeof info.origin, "capture %s", s->idle >= 0 ? "idle" : "clear-refs");
    snprintf(info.workload, sizeof info.workload, "%.190s", s->out->what);
    trace_host_describe(&info);
    enum nw_status status = ws_recorder_open(&s->recorder, s->o, s->out, &info, err);
    nw_trace_info_fini(&info);
    return status;
}

static enum nw_status sample(struct sampler *s, struct nw_error *err)
{
    enum nw_status status = ws_process_open(&s->process, s->o->proc, s->o->pid, err);
    if (!status)
        status = choose_ranges(s, err);
    if (!status)
        status = choose_means(s, err);
    if (!status)
        status = open_recorder(s, err);
    if (!status && s->o->contents)
        status = record_image(s, err);
    if (!status)
        status = look(s, err);
    while (!status && !s->gone && s->out->end != NW_WORKING_SET_STOPPED &&
           (!s->o->intervals || s->out->count < s->o->intervals))
        status = interval(s, err);
    if (s->gone)
        s->out->end = NW_WORKING_SET_GONE;
    if (!status && !s->out->count)
        status = s->gone ? nw_fail(err, NW_ERR_ENV, "process %" PRIu64 " ended before the first interval was over",
                                   s->o->pid)
                         : nw_fail(err, NW_ERR_INTERRUPTED, "stopped before the first interval was over");
    return status ? status : ws_recorder_close(&s->recorder, err);
}

enum nw_status ws_sample(const struct nw_working_set_options *o, bool soft_dirty, struct nw_working_set *out,
                         struct nw_error *err)
{
    struct sampler s = { .o = o, .out = out, .soft_dirty = soft_dirty, .idle = -1 };
    s.process.pagemap = s.process.kpageflags = s.process.memory = -1;
    memset(out, 0, sizeof *out);
    enum nw_status status = sample(&s, err);
    ws_recorder_fini(&s.recorder);
    ws_process_close(&s.process);
    if (s.idle >= 0)
        close(s.idle);
    free(s.before);
    free(s.accessed);
    free(s.written);
    free(s.range);
    if (status)
        nw_working_set_fini(out);
    return status;
}

bool ws_soft_dirty_works(void)
{
    struct ws_process self;
    bool works = false;
    volatile char *page = mmap(NULL, NW_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    page[0] = 1;
    if (!ws_process_open(&self, "/proc", (uint64_t)getpid(), NULL) && ws_process_clear(&self, '4')) {
        uint64_t clean = 0, written = 0;
        size_t got = 0, again = 0;
        const uint64_t at = (uintptr_t)page;
        if (!ws_process_pagemap(&self, at, &clean, 1, &got, NULL)) {
            page[0] = 2;
            works = !ws_process_pagemap(&self, at, &written, 1, &again, NULL) && got && again &&
                    !ws_page_soft_dirty(clean) && ws_page_soft_dirty(written);
        }
    }
    ws_process_close(&self);
    munmap((void *)(uintptr_t)page, NW_PAGE_BYTES);
    return works;
}

enum nw_status nw_working_set_of_process(const struct nw_working_set_options *o, struct nw_working_set *out,
                                         struct nw_error *err)
{
    return ws_sample(o, ws_soft_dirty_works(), out, err);
}
