/* capture.c - one capture from beginning to end. */
#include "align.h"
#include "host_world.h"
#include "load.h"
#include "recorder.h"
#include "walks.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { OPERATIONS_MAX = 1 << 30, PROGRESS_STEPS = 4096 };

struct capture {
    const struct nw_capture_options *o;
    const struct wl_entry *workload;
    struct nw_capture_result *result;
    struct nwg_param param;
    uint64_t expected, memory_bytes; /* by the host's run */
    struct vm vm;
    struct recorder recorder;
    struct file_sink {
        struct sink sink;
        struct nw_nwt_writer *writer; /* NULL: count only */
        struct nw_capture_result *count;
    } file;
    struct sink *sink; /* what the recorder writes to: the file, or the aligner in front of it */
    struct walk_log *walks;
    bool walks_logged; /* the guest that runs is being logged */
    struct walk_aligner aligner;
    double started, shown;
    bool stop_asked;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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

static void cpu_model(char *out, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    out[0] = '\0';
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
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
    struct utsname host;
    enum nw_status s = vm_sregs_get(&c->vm, &sregs, err);
    if (s || !c->o->path)
        return s;
    nw_trace_info_init(&info);
    snprintf(info.origin, sizeof info.origin, "capture %s", c->o->via == NW_CAPTURE_STEP ? "step" : "tracepoints");
    snprintf(info.workload, sizeof info.workload, "%s size=%llu operations=%llu pages=%s", c->workload->name,
             (unsigned long long)c->param.size, (unsigned long long)c->param.operations,
             c->o->large_pages ? "2M" : "4K");
    cpu_model(info.cpu_model, sizeof info.cpu_model);
    if (!uname(&host))
        snprintf(info.kernel, sizeof info.kernel, "%s %s", host.sysname, host.release);
    snprintf(info.kvm_backend, sizeof info.kvm_backend, "%s", c->vm.backend);
    info.seed = c->param.seed;
    info.gpa_bits = c->vm.gpa_bits;
    info.guest_memory_bytes = c->vm.memory_bytes;
    info.has_tables = true;
    info.vcpu[0] = (struct nw_vcpu_state){ sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer, 0 };
    if (!(s = tables_take(c, &info, err)))
        s = nw_nwt_writer_create(&c->file.writer, c->o->path, &info, err);
    nw_trace_info_fini(&info);
    return s;
}

/* ---- time ---- */

static bool out_of_time(const struct capture *c)
{
    return c->o->timeout_seconds > 0 && now_seconds() - c->started > c->o->timeout_seconds;
}

/* Tells how far it is; false when it is to stop. */
static bool progress(struct capture *c, const char *stage)
{
    double now = now_seconds();
    const struct nw_capture_result *r = c->result;
    if (now - c->shown < 0.1)
        return !c->stop_asked;
    c->shown = now;
    struct nw_capture_progress p = { stage, r->instructions, c->o->instructions_max, r->fetches + r->loads + r->stores,
                                     now - c->started };
    if (c->o->progress && !c->o->progress(c->o->context, &p))
        c->stop_asked = true;
    return !c->stop_asked;
}

/* ---- the guest, unstepped ---- */

static enum nw_status panicked(const struct capture *c, uint32_t value, struct nw_error *err)
{
    const struct nwg_param *p = guest_param(&c->vm);
    switch (value >> 24) {
    case NWG_PANIC_EXCEPTION:
        return nw_fail(err, NW_ERR_INTERNAL, "guest: exception %llu, error code %#llx, at RIP %#llx (CR2 %#llx)",
                       (unsigned long long)p->panic_vector, (unsigned long long)p->panic_error,
                       (unsigned long long)p->panic_rip, (unsigned long long)p->panic_cr2);
    case NWG_PANIC_MEMORY: return nw_fail(err, NW_ERR_INTERNAL, "guest: out of memory");
    case NWG_PANIC_LIMIT: return nw_fail(err, NW_ERR_INTERNAL, "guest: out of mappings or processes");
    default: return nw_fail(err, NW_ERR_INTERNAL, "guest: gave up for reason %u", value >> 24);
    }
}

/* Every instruction is fetched by a walk of its own, and again when it faulted: a little more than the stepped run will make. */
static bool walks_enough(const struct capture *c)
{
    uint64_t max = c->o->instructions_max, fetches = walk_log_fetches(c->walks);
    return max && fetches > max + max / 16 + 4096;
}

/* Runs freely to the next OUT. *ended: time or the user said stop. */
static enum nw_status run_free(struct capture *c, struct vm *vm, const char *stage, uint16_t *port, uint32_t *value,
                               bool *ended, struct nw_error *err)
{
    *ended = false;
    for (;;) {
        enum vm_exit exit;
        enum nw_status s = vm_run(vm, &exit, value, err);
        if (s)
            return s;
        if (exit == VM_EXIT_HALT)
            return nw_fail(err, NW_ERR_INTERNAL, "guest at RIP %#llx: halted", (unsigned long long)vm->regs->rip);
        if (exit == VM_EXIT_OUT) {
            *port = vm->run->io.port;
            return *port == NWG_PORT_PANIC ? panicked(c, *value, err) : NW_OK;
        }
        if (c->walks_logged && (s = walk_log_drain(c->walks, err)))
            return s;
        if (!progress(c, stage) || out_of_time(c) || (c->walks_logged && walks_enough(c))) {
            *ended = true;
            return NW_OK;
        }
    }
}

static enum nw_status run_to_begin(struct capture *c, struct vm *vm, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value = 0;
    bool ended = false;
    enum nw_status s = vm_create(vm, c->memory_bytes, err);
    if (!s)
        s = guest_load(vm, &c->param, err);
    if (!s)
        s = run_free(c, vm, "boot and build", &port, &value, &ended, err);
    if (s)
        return s;
    if (ended && c->stop_asked)
        return nw_fail(err, NW_ERR_INTERRUPTED,
                       "stopped while the guest was still building its data; there is no trace");
    if (ended)
        return nw_fail(err, NW_ERR_ENV,
                       "the guest was still building its data after %.0f s: allow more time or choose a smaller size",
                       c->o->timeout_seconds);
    if (port != NWG_PORT_MARKER || value >> 24 != NWG_MARKER_BEGIN)
        return nw_fail(err, NW_ERR_INTERNAL, "guest: marker %#x on port %#x before its region of interest", value,
                       port);
    return NW_OK;
}

/* To the end, where the checksum is. */
static enum nw_status run_to_done(struct capture *c, struct vm *vm, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value;
    bool ended = false;
    enum nw_status s = NW_OK;
    while (!s && !ended && port != NWG_PORT_DONE)
        s = run_free(c, vm, "finish", &port, &value, &ended, err);
    if (s || ended)
        return s;
    c->result->checksum = guest_param(vm)->checksum;
    if (c->result->checksum != c->expected)
        return nw_fail(err, NW_ERR_INTERNAL, "guest: workload %s computed %#llx, the host computed %#llx",
                       c->workload->name, (unsigned long long)c->result->checksum, (unsigned long long)c->expected);
    c->result->checksum_verified = true;
    return NW_OK;
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
    c->result->checked_instructions = c->result->instructions;
    return s;
}

/* Why the region ends before its end; false while it goes on. */
static bool cut(struct capture *c)
{
    struct nw_capture_result *r = c->result;
    if ((c->o->instructions_max && r->instructions >= c->o->instructions_max) || c->aligner.exhausted)
        r->end = NW_CAPTURE_LIMIT;
    else if (r->steps % PROGRESS_STEPS)
        return false;
    else if (!progress(c, "trace"))
        r->end = NW_CAPTURE_STOPPED;
    else if (out_of_time(c))
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
        if (r->checker && c->result->instructions >= c->o->checked_instructions)
            s = check_end(c, err);
        if (s || !out)
            continue;
        if (port == NWG_PORT_PANIC)
            return panicked(c, value, err);
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
    double began = now_seconds();
    enum nw_status s = recorder_init(r, &c->vm, c->sink, c->result, entry, err);
    if (!s)
        s = file_open(c, err);
    if (!s && c->o->checked_instructions)
        s = checker_create(&r->checker, &c->vm, err);
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
    c->result->trace_seconds = now_seconds() - began;
    return s;
}

/* ---- the whole ---- */

static enum nw_status options_check(struct capture *c, struct nw_error *err)
{
    const struct nw_capture_options *o = c->o;
    char known[256] = "";
    for (unsigned i = 0; i < wl_count; i++) {
        if (o->workload && !strcmp(o->workload, wl_table[i].name))
            c->workload = &wl_table[i];
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", wl_table[i].name);
    }
    if (!c->workload)
        return nw_fail(err, NW_ERR_USAGE, "no workload '%s'; there are: %s", o->workload ? o->workload : "", known);
    c->param.workload = (uint64_t)(c->workload - wl_table);
    c->param.size = o->size ? o->size : c->workload->default_size;
    c->param.operations = o->operations ? o->operations : c->workload->default_operations;
    c->param.seed = o->seed;
    c->param.large_pages = o->large_pages;
    /* The host's run touches all of it, and then the guest does. */
    uint64_t max = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
    if (c->param.size < c->workload->min_size || c->param.size > max)
        return nw_fail(err, NW_ERR_USAGE,
                       "workload %s: size %llu bytes; allowed are %llu to %llu, half of this machine's memory",
                       c->workload->name, (unsigned long long)c->param.size, (unsigned long long)c->workload->min_size,
                       (unsigned long long)max);
    if (c->param.operations > OPERATIONS_MAX)
        return nw_fail(err, NW_ERR_USAGE, "workload %s: %llu operations; at most %d are allowed", c->workload->name,
                       (unsigned long long)c->param.operations, OPERATIONS_MAX);
    return NW_OK;
}

/* The host's run says what the result must be and how much memory the guest needs: twice the heap (tables, rounding to large
 * pages), every process's mappings, and room for the kernel. All of it is backed only when touched. */
static enum nw_status oracle(struct capture *c, struct nw_error *err)
{
    uint64_t heap = 0;
    enum nw_status s =
        host_world_run(c->workload, c->param.size, c->param.operations, c->param.seed, &c->expected, &heap, err);
    c->memory_bytes =
        nw_align_up((UINT64_C(64) << 20) + 2 * heap + WL_PROCESSES_MAX * c->param.size, UINT64_C(1) << NW_PAGE_2M_LOG2);
    return s;
}

static enum nw_status walks_run(struct capture *c, struct vm *vm, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value = 0;
    bool ended = false;
    enum nw_status s = run_to_begin(c, vm, err);
    if (!s)
        s = walk_log_start(c->walks, err);
    c->walks_logged = true;
    while (!s && !ended && !(port == NWG_PORT_MARKER && value >> 24 == NWG_MARKER_END))
        s = run_free(c, vm, "walks", &port, &value, &ended, err);
    c->walks_logged = false;
    if (!s)
        s = walk_log_stop(c->walks, err);
    if (!s && c->stop_asked)
        s = nw_fail(err, NW_ERR_INTERRUPTED, "stopped in the first of the two runs; there is no trace");
    if (!s && out_of_time(c))
        s = nw_fail(err, NW_ERR_ENV,
                    "the first of the two runs took all of the %.0f s: allow more time or fewer instructions",
                    c->o->timeout_seconds);
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
    walk_aligner_init(&c->aligner, c->walks, &c->file.sink, c->result);
    c->sink = &c->aligner.sink;
    return s;
}

static enum nw_status capture(struct capture *c, struct nw_error *err)
{
    enum nw_status s = options_check(c, err);
    vm_backend_detect(c->result->kvm_backend, sizeof c->result->kvm_backend);
    if (!s)
        s = oracle(c, err);
    if (!s && c->o->via == NW_CAPTURE_TRACEPOINTS)
        s = walks_take(c, err);
    if (!s)
        s = run_to_begin(c, &c->vm, err);
    if (!s)
        s = region(c, err);
    if (!s && !c->stop_asked && c->result->end != NW_CAPTURE_TIMEOUT)
        s = run_to_done(c, &c->vm, err);
    if (s || !c->file.writer)
        return s;
    nw_nwt_writer_set_instructions(c->file.writer, c->result->instructions);
    s = nw_nwt_writer_close(c->file.writer, err);
    c->file.writer = NULL;
    return s;
}

enum nw_status nw_capture_run(const struct nw_capture_options *o, struct nw_capture_result *result,
                              struct nw_error *err)
{
    struct capture *c = calloc(1, sizeof *c);
    memset(result, 0, sizeof *result);
    if (!c)
        return nw_fail_nomem(err, "the capture");
    c->o = o;
    c->result = result;
    c->file = (struct file_sink){ .sink = { file_access, file_event }, .count = result };
    c->sink = &c->file.sink;
    c->started = c->shown = now_seconds();
    enum nw_status s = capture(c, err);
    if (c->file.writer)
        nw_nwt_writer_abandon(c->file.writer);
    recorder_fini(&c->recorder);
    walk_log_close(c->walks);
    vm_destroy(&c->vm);
    result->seconds = now_seconds() - c->started;
    free(c);
    return s;
}
