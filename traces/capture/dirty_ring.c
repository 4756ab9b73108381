/* dirty_ring.c - the pages that a guest of ours writes, interval by interval. */
#include "guest_run.h"
#include "load.h"
#include "trace_host.h"
#include "workingset/intervals.h"

#include <nestwalk/base/addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A guest that is emulated writes a few million times a second, each time with an entry of the ring: it is read long before it is full. */
enum { RING_ENTRIES = 65536, TICK_LEAST_NS = 1000 * 1000, TICK_MOST_NS = 5 * 1000 * 1000, TICKS_AN_INTERVAL = 8 };

struct watch {
    struct guest_run g;
    struct nw_capture_result result;
    const struct nw_working_set_options *o;
    struct nw_working_set *out;
    struct vm vm;
    struct ws_recorder recorder;
    uint64_t *written;          /* since the interval began */
    double began, tick_seconds; /* the interval; how often it is looked at */
    bool enough;
};

static uint64_t words(const struct watch *w) { return w->g.memory_bytes / NW_PAGE_BYTES / 64 + 1; }

static enum nw_status interval_record(struct watch *w, double now, struct nw_error *err)
{
    enum nw_status s = ws_recorder_begin(&w->recorder, w->began, now, err);
    for (uint64_t page = 0; page < w->g.memory_bytes / NW_PAGE_BYTES && !s; page++)
        if (w->written[page / 64] >> page % 64 & 1) {
            s = ws_recorder_page(&w->recorder, page, page * NW_PAGE_BYTES, true, err);
            if (!s && w->recorder.content_wanted)
                s = ws_recorder_content(&w->recorder, w->vm.memory + page * NW_PAGE_BYTES, err);
        }
    if (!s)
        s = ws_recorder_end(&w->recorder, err);
    memset(w->written, 0, words(w) * sizeof *w->written);
    return s;
}

/* The guest has stopped for a moment: the time is up, or the ring is full. */
static enum nw_status look(void *context, bool *enough, struct nw_error *err)
{
    struct watch *w = context;
    enum nw_status s = vm_written_take(&w->vm, w->written, err);
    if (s || ws_now_seconds() - w->began < w->o->interval_seconds - w->tick_seconds / 2)
        return s;
    s = interval_record(w, ws_now_seconds(), err);
    w->began = ws_now_seconds();
    *enough = w->enough = w->o->intervals && w->out->count >= w->o->intervals;
    return s;
}

static bool show(void *context, const struct nw_capture_progress *p)
{
    const struct watch *w = context;
    return !w->o->progress || w->o->progress(w->o->context, w->out->count, p->seconds);
}

static enum nw_status open_recorder(struct watch *w, struct nw_error *err)
{
    struct nw_trace_info info;
    struct nw_working_set *out = w->out;
    nw_trace_info_init(&info);
    if (w->vm.ring)
        snprintf(out->means, sizeof out->means, "KVM's dirty ring (%u entries)", w->vm.ring_entries);
    else {
        snprintf(out->means, sizeof out->means, "KVM's dirty log");
        if (w->o->via == NW_WORKING_SET_DIRTY_RING)
            ws_note(out, "this KVM has no KVM_CAP_DIRTY_LOG_RING: its dirty log tells the pages");
    }
    ws_note(out, "dirty logging tells writes only: pages that were only read are not here");
    snprintf(out->what, sizeof out->what, "%s size=%llu operations=%llu pages=%s", w->g.workload->name,
             (unsigned long long)w->g.param.size, (unsigned long long)w->g.param.operations,
             w->g.o->large_pages ? "2M" : "4K");
    snprintf(info.origin, sizeof info.origin, "capture %s", w->vm.ring ? "dirty-ring" : "dirty-log");
    snprintf(info.workload, sizeof info.workload, "%.190s", out->what);
    snprintf(info.kvm_backend, sizeof info.kvm_backend, "%s", w->vm.backend);
    trace_host_describe(&info);
    info.seed = w->g.param.seed;
    info.gpa_bits = w->vm.gpa_bits;
    info.guest_memory_bytes = w->g.memory_bytes;
    out->knows_written = true;
    out->watched_pages = w->g.memory_bytes / NW_PAGE_BYTES;
    enum nw_status s = ws_recorder_open(&w->recorder, w->o, out, &info, err);
    nw_trace_info_fini(&info);
    return s;
}

/* What the guest has built before. A page that is zeros and was never written is one that it does not use. */
static enum nw_status image_record(struct watch *w, struct nw_error *err)
{
    static const unsigned char zeros[NW_PAGE_BYTES];
    enum nw_status s = vm_written_take(&w->vm, w->written, err);
    for (uint64_t page = 0; page < w->g.memory_bytes / NW_PAGE_BYTES && !s && w->o->contents; page++) {
        const unsigned char *at = w->vm.memory + page * NW_PAGE_BYTES;
        if ((w->written[page / 64] >> page % 64 & 1) || memcmp(at, zeros, sizeof zeros) != 0)
            s = ws_recorder_image(&w->recorder, page, page * NW_PAGE_BYTES, at, err);
    }
    memset(w->written, 0, words(w) * sizeof *w->written); /* no part of the first interval */
    return s;
}

static enum nw_status region(struct watch *w, struct nw_error *err)
{
    uint16_t port = 0;
    uint32_t value = 0;
    bool ended = false;
    double tick_ns = w->o->interval_seconds * 1e9 / TICKS_AN_INTERVAL;
    tick_ns = tick_ns < TICK_LEAST_NS ? TICK_LEAST_NS : tick_ns > TICK_MOST_NS ? TICK_MOST_NS : tick_ns;
    w->tick_seconds = tick_ns * 1e-9;
    enum nw_status s = vm_tick_set(&w->vm, (uint64_t)tick_ns, err);
    if (!s)
        s = image_record(w, err);
    if (s)
        return s;
    w->began = w->recorder.started = ws_now_seconds();
    while (!s && !ended && !(port == NWG_PORT_MARKER && value >> 24 == NWG_MARKER_END))
        s = guest_run_free(&w->g, &w->vm, "watch", &port, &value, &ended, err);
    if (!s && !w->enough) { /* the last one is as long as it is */
        s = vm_written_take(&w->vm, w->written, err);
        if (!s)
            s = interval_record(w, ws_now_seconds(), err);
    }
    w->out->end = w->g.stop_asked       ? NW_WORKING_SET_STOPPED
                  : ended && !w->enough ? NW_WORKING_SET_TIMEOUT
                                        : NW_WORKING_SET_COMPLETE;
    return s;
}

static enum nw_status pause_to_build(void *context, bool *enough, struct nw_error *err)
{
    struct watch *w = context;
    *enough = false;
    return vm_written_take(&w->vm, w->written, err);
}

static enum nw_status watch(struct watch *w, struct nw_error *err)
{
    enum nw_status s =
        vm_create_logged(&w->vm, w->g.memory_bytes, w->o->via == NW_WORKING_SET_DIRTY_RING ? RING_ENTRIES : 0, err);
    if (!s)
        s = vm_tick_set(&w->vm, TICK_MOST_NS, err);
    w->written = calloc(words(w), sizeof *w->written);
    if (!s && !w->written)
        s = nw_fail_nomem(err, "the pages written");
    w->g.pause_context = w;
    w->g.pause = pause_to_build;
    if (!s)
        s = guest_run_to_begin(&w->g, &w->vm, err);
    if (!s)
        s = open_recorder(w, err);
    w->g.pause = look;
    if (!s)
        s = region(w, err);
    w->g.pause = pause_to_build;
    if (!s && w->out->end == NW_WORKING_SET_COMPLETE && !w->enough)
        s = guest_run_to_done(&w->g, &w->vm, err);
    return s ? s : ws_recorder_close(&w->recorder, err);
}

enum nw_status nw_working_set_of_guest(const struct nw_capture_options *guest, const struct nw_working_set_options *o,
                                       struct nw_working_set *out, struct nw_error *err)
{
    struct watch *w = calloc(1, sizeof *w);
    memset(out, 0, sizeof *out);
    if (!w)
        return nw_fail_nomem(err, "the capture");
    struct nw_capture_options of_guest = *guest;
    of_guest.progress = show;
    of_guest.context = w;
    w->o = o;
    w->out = out;
    enum nw_status s = guest_prepare(&w->g, &of_guest, &w->result, err);
    if (!s)
        s = watch(w, err);
    ws_recorder_fini(&w->recorder);
    vm_destroy(&w->vm);
    free(w->written);
    free(w);
    if (s)
        nw_working_set_fini(out);
    return s;
}
