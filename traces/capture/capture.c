/* capture.c - one capture from beginning to end. */
#include "align.h"
#include "guest_run.h"
#include "load.h"
#include "page_queue.h"
#include "recorder.h"
#include "trace_host.h"
#include "walks.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/traces/nwt.h>
#include <nestwalk/traces/page_content.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_STEPS = 4096 };

struct capture {
    struct guest_run g;
    struct vm vm;
    struct recorder recorder;
    struct file_sink {
        struct sink sink;
        struct nw_nwt_writer *writer; /* NULL: count only */
        struct nw_capture_result *count;
    } file;
    struct sink *sink; /* what the recorder writes to: the file, or the aligner in front of it */
    struct walk_log *walks;
    struct walk_aligner aligner;
    struct page_watch *watch; /* NULL: none */
};

/* ---- the file ---- */

static enum nw_status file_access(struct sink *self, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    struct file_sink *f = (struct file_sink *)self;
    struct nw_capture_result *n = f->count;
    enum nw_access_type type = nw_kind_type(kind);
    *(type == NW_FETCH ? &n->fetches : type == NW_LOAD ? &n->loads : &n->stores) += 1;
    n->access_digest = nw_mix64(n->access_digest ^ gva) + kind;
    return f->writer ? nw_nwt_write_access(f->writer, gva, kind, err) : NW_OK;
}

static enum nw_status file_event(struct sink *self, const struct nw_event *event, struct nw_error *err)
{
    struct file_sink *f = (struct file_sink *)self;
    struct nw_capture_result *n = f->count;
    n->page_faults += event->kind == NW_EV_PAGE_FAULT;
    n->cr_writes += event->kind == NW_EV_CR_WRITE;
    n->invlpgs += event->kind == NW_EV_INVLPG;
    n->table_writes += event->kind == NW_EV_TABLE_WRITE;
    n->table_pages += event->kind == NW_EV_TABLE_PAGE;
    return f->writer ? nw_nwt_write_event(f->writer, event, err) : NW_OK;
}

/* Every page-table page as it stands, sorted by address since it is found by address. */
static enum nw_status tables_take(const struct capture *c, struct nw_trace_info *info, struct nw_error *err)
{
    const struct tables_watch *t = &c->recorder.tables;
    for (uint64_t pfn = 0; pfn < t->pages; pfn++)
        info->table_count += t->page[pfn].copy != NULL;
    info->table = calloc(info->table_count, sizeof *info->table);
    if (!info->table)
        return nw_fail_nomem(err, "the trace's page tables");
    struct nw_table_page *out = info->table;
    for (uint64_t pfn = 0; pfn < t->pages; pfn++)
        if (t->page[pfn].copy) {
            out->gpa = pfn * NW_PAGE_BYTES;
            memcpy(out++->word, t->page[pfn].copy, NW_PAGE_BYTES);
        }
    return NW_OK;
}

static enum nw_status file_open(struct capture *c, struct nw_error *err)
{
    struct kvm_sregs sregs;
    struct nw_trace_info info;
    enum nw_status s = vm_sregs_get(&c->vm, &sregs, err);
    if (s || !c->g.o->path)
        return s;
    nw_trace_info_init(&info);
    snprintf(info.origin, sizeof info.origin, "capture %s", c->g.o->via == NW_CAPTURE_STEP ? "step" : "tracepoints");
    snprintf(info.workload, sizeof info.workload, "%s size=%llu operations=%llu pages=%s", c->g.workload->name,
             (unsigned long long)c->g.param.size, (unsigned long long)c->g.param.operations,
             c->g.o->large_pages ? "2M" : "4K");
    trace_host_describe(&info);
    snprintf(info.kvm_backend, sizeof info.kvm_backend, "%s", c->vm.backend);
    info.seed = c->g.param.seed;
    info.gpa_bits = c->vm.gpa_bits;
    info.guest_memory_bytes = c->vm.memory_bytes;
    info.has_tables = true;
    info.vcpu[0] = (struct nw_vcpu_state){ sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer, 0 };
    if (!(s = tables_take(c, &info, err)))
        s = nw_nwt_writer_create(&c->file.writer, c->g.o->path, &info, err);
    nw_trace_info_fini(&info);
    return s;
}

/* What the guest's memory holds as the region begins, but for what is zeros and so may never have been used. */
static enum nw_status contents_record(struct capture *c, struct nw_error *err)
{
    static const unsigned char zeros[NW_PAGE_BYTES];
    struct nw_page_packer *packer;
    if (!c->g.o->contents)
        return NW_OK;
    enum nw_status s = nw_page_packer_create(&packer, err);
    if (s)
        return s;
    for (uint64_t gpa = 0; gpa < c->vm.memory_bytes && !s; gpa += NW_PAGE_BYTES) {
        if (!memcmp(c->vm.memory + gpa, zeros, sizeof zeros))
            continue;
        const struct nw_event e = nw_page_content_event(gpa, nw_page_content_of(packer, c->vm.memory + gpa));
        s = c->file.sink.event(&c->file.sink, &e, err);
        c->g.result->page_contents++;
    }
    nw_page_packer_destroy(packer);
    return s;
}

/* ---- the region of interest, stepped ---- */

static enum nw_status marker(struct capture *c, enum nw_marker_type type, uint64_t id, struct nw_error *err)
{
    struct nw_event e = { .kind = NW_EV_MARKER, .arg = { type, id } };
    return c->sink->event(c->sink, &e, err);
}

static enum nw_status check_end(struct capture *c, struct nw_error *err)
{
    struct recorder *r = &c->recorder;
    if (!r->checker)
        return NW_OK;
    enum nw_status s = checker_finish(r->checker, &r->tables, err);
    checker_destroy(r->checker);
    r->checker = NULL;
    c->g.result->checked_instructions = c->g.result->instructions;
    return s;
}

/* Why the region ends before its end; false while it goes on. */
static bool cut(struct capture *c)
{
    struct nw_capture_result *r = c->g.result;
    if ((c->g.o->instructions_max && r->instructions >= c->g.o->instructions_max) || c->aligner.exhausted)
        r->end = NW_CAPTURE_LIMIT;
    else if (r->steps % PROGRESS_STEPS)
        return false;
    else if (!guest_progress(&c->g, "trace"))
        r->end = NW_CAPTURE_STOPPED;
    else if (guest_out_of_time(&c->g))
        r->end = NW_CAPTURE_TIMEOUT;
    else
        return false;
    return true;
}

static enum nw_status region_step(struct capture *c, struct nw_error *err)
{
    struct recorder *r = &c->recorder;
    enum nw_status s = NW_OK;
    while (!s && !cut(c)) {
        bool stepped, out;
        uint16_t port;
        uint32_t value;
        if ((s = recorder_step(r, &stepped, &out, &port, &value, err)))
            return s;
        if (r->checker && c->g.result->instructions >= c->g.o->checked_instructions)
            s = check_end(c, err);
        if (s || !out)
            continue;
        if (port == NWG_PORT_PANIC)
            return guest_panicked(&c->vm, value, err);
        if (port != NWG_PORT_MARKER)
            return nw_fail(err, NW_ERR_INTERNAL, "guest: unexpected OUT to port %#x", port);
        if (value >> 24 == NWG_MARKER_END)
            return NW_OK; /* result->end is NW_CAPTURE_COMPLETE */
        s = marker(c, NW_MARKER_PHASE, value & 0xffffff, err);
    }
    return s;
}

static enum nw_status region(struct capture *c, struct nw_error *err)
{
    struct recorder *r = &c->recorder;
    uint64_t entry = guest_param(&c->vm)->page_fault_entry;
    double began = guest_now_seconds();
    enum nw_status s = recorder_init(r, &c->vm, c->watch ? &c->watch->sink : c->sink, c->g.result, entry, err);
    if (!s && c->watch)
        s = page_watch_begin(c->watch, r, c->sink, err);
    if (!s)
        s = file_open(c, err);
    if (!s && c->g.o->checked_instructions)
        s = checker_create(&r->checker, &c->vm, err);
    if (!s)
        s = contents_record(c, err);
    if (!s)
        s = vm_step_on(&c->vm, entry, err);
    if (!s)
        s = marker(c, NW_MARKER_ROI_BEGIN, 0, err);
    if (!s)
        s = region_step(c, err);
    if (!s)
        s = check_end(c, err);
    if (!s)
        s = marker(c, NW_MARKER_ROI_END, 0, err);
    if (!s)
        s = vm_step_off(&c->vm, err);
    c->g.result->trace_seconds = guest_now_seconds() - began;
    return s;
}

/* ---- the whole ---- */

/* Every instruction is fetched by a walk of its own, and again when it faulted: a little more than the stepped run will make. */
static bool walks_enough(const struct capture *c)
{
    uint64_t max = c->g.o->instructions_max, fetches = walk_log_fetches(c->walks);
    return max && fetches > max + max / 16 + 4096;
}

static enum nw_status walks_drain(void *context, bool *enough, struct nw_error *err)
{
    struct capture *c = context;
    enum nw_status s = walk_log_drain(c->walks, err);
    *enough = !s && walks_enough(c);
    return s;
}

static enum nw_status walks_run(struct capture *c, struct vm *vm, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value = 0;
    bool ended = false;
    enum nw_status s = vm_create(vm, c->g.memory_bytes, err);
    if (!s)
        s = guest_run_to_begin(&c->g, vm, err);
    if (!s)
        s = walk_log_start(c->walks, err);
    c->g.pause = walks_drain;
    c->g.pause_context = c;
    while (!s && !ended && !(port == NWG_PORT_MARKER && value >> 24 == NWG_MARKER_END))
        s = guest_run_free(&c->g, vm, "walks", &port, &value, &ended, err);
    c->g.pause = NULL;
    if (!s)
        s = walk_log_stop(c->walks, err);
    if (!s && c->g.stop_asked)
        s = nw_fail(err, NW_ERR_INTERRUPTED, "stopped in the first of the two runs; there is no trace");
    if (!s && guest_out_of_time(&c->g))
        s = nw_fail(err, NW_ERR_ENV,
                    "the first of the two runs took all of the %.0f s: allow more time or fewer instructions",
                    c->g.o->timeout_seconds);
    return s;
}

/* The first of the two runs: free, in a machine of its own, with KVM telling its walks. */
static enum nw_status walks_take(struct capture *c, struct nw_error *err)
{
    struct vm vm = { 0 };
    enum nw_status s = walk_log_open(&c->walks, err);
    if (!s)
        s = walks_run(c, &vm, err);
    vm_destroy(&vm);
    walk_aligner_init(&c->aligner, c->walks, &c->file.sink, c->g.result);
    c->sink = &c->aligner.sink;
    return s;
}

static enum nw_status capture(struct capture *c, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (c->g.o->via == NW_CAPTURE_TRACEPOINTS)
        s = walks_take(c, err);
    if (!s)
        s = vm_create(&c->vm, c->g.memory_bytes, err);
    if (!s)
        s = guest_run_to_begin(&c->g, &c->vm, err);
    if (!s)
        s = region(c, err);
    if (!s && !c->g.stop_asked && c->g.result->end != NW_CAPTURE_TIMEOUT)
        s = guest_run_to_done(&c->g, &c->vm, err);
    if (!s && c->watch)
        s = page_watch_end(c->watch, &c->vm, err);
    if (s || !c->file.writer)
        return s;
    nw_nwt_writer_set_instructions(c->file.writer, c->g.result->instructions);
    s = nw_nwt_writer_close(c->file.writer, err);
    c->file.writer = NULL;
    return s;
}

enum nw_status nw_capture_run(const struct nw_capture_options *o, struct nw_capture_result *result,
                              struct nw_error *err)
{
    return capture_run_watched(o, result, NULL, err);
}

enum nw_status capture_run_watched(const struct nw_capture_options *o, struct nw_capture_result *result,
                                   struct page_watch *watch, struct nw_error *err)
{
    struct capture *c = calloc(1, sizeof *c);
    if (!c)
        return nw_fail_nomem(err, "the capture");
    c->file = (struct file_sink){ .sink = { file_access, file_event }, .count = result };
    c->sink = &c->file.sink;
    c->watch = watch;
    enum nw_status s = guest_prepare(&c->g, o, result, err);
    if (!s)
        s = capture(c, err);
    if (c->file.writer)
        nw_nwt_writer_abandon(c->file.writer);
    recorder_fini(&c->recorder);
    walk_log_close(c->walks);
    vm_destroy(&c->vm);
    result->seconds = guest_now_seconds() - c->g.started;
    free(c);
    return s;
}
