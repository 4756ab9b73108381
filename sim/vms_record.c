/* vms_record.c - what a run of several guests leaves: events, samples over time, and the result. */
#include "vms_walk.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vms_event(struct vms *v, uint64_t now, const char *format, ...)
{
    struct nw_vms_result *r = v->r;
    if (r->events == v->event_capacity) {
        const size_t capacity = v->event_capacity ? 2 * v->event_capacity : 16;
        struct nw_vms_event *more = reallocarray(r->event, capacity, sizeof *more);
        if (!more) {
            vms_fail(v, nw_fail_nomem(v->err, "the list of events"));
            return;
        }
        r->event = more;
        v->event_capacity = capacity;
    }
    va_list ap;
    va_start(ap, format);
    r->event[r->events].time_ns = now;
    vsnprintf(r->event[r->events++].text, sizeof r->event->text, format, ap);
    va_end(ap);
}

void record_samples(struct vms *v, uint64_t now)
{
    struct nw_vms_result *r = v->r;
    if (r->samples + v->vms > v->sample_capacity) {
        const size_t capacity = 2 * v->sample_capacity + 16 * v->vms;
        struct nw_vms_sample *more = reallocarray(r->sample, capacity, sizeof *more);
        if (!more) {
            vms_fail(v, nw_fail_nomem(v->err, "the timeline"));
            return;
        }
        r->sample = more;
        v->sample_capacity = capacity;
    }
    const uint64_t saved = v->h->shared_users - v->h->kind[NW_FRAME_SHARED];
    if (saved > v->host.saved_pages_most)
        v->host.saved_pages_most = saved;
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        const struct nw_hostmem_guest *g = &v->h->guest[i];
        const double alone = vm->alone_ns - vm->shown_alone_ns;
        const uint64_t until = vm->done && vm->ended_ns < now ? vm->ended_ns : now;
        const double elapsed = until > vm->shown_ns ? (double)(until - vm->shown_ns) : 0;
        r->sample[r->samples++] =
            (struct nw_vms_sample){ .time_ns = now,
                                    .guest = i,
                                    .accesses = vm->counters.accesses,
                                    .resident = g->resident,
                                    .shared = g->shared,
                                    .swapped = g->swapped,
                                    .ballooned = vm->balloon.count,
                                    .large = g->large,
                                    .used_frames = v->h->config.frames - v->h->kind[NW_FRAME_FREE],
                                    .target = vm->target,
                                    .active = vm->active,
                                    .slowdown = alone > 0 ? elapsed / alone : 0 };
        vm->shown_ns = now;
        vm->shown_alone_ns = vm->alone_ns;
    }
}

static bool contents_are_told(const struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++)
        if (v->vm[i].counters.hashes || v->vm[i].config->zero > 0 || v->vm[i].config->common > 0)
            return true;
    return false;
}

enum nw_status record_result(struct vms *v, uint64_t end_ns)
{
    struct nw_vms_result *r = v->r;
    struct nw_vms_host_counters *h = &v->host;
    const struct nw_sharing_counters *k = nw_sharing_counters(v->sharing);
    r->time_ns = end_ns;
    if (v->config->host.timeline_ns)
        record_samples(v, r->time_ns);
    h->swap_reads = v->swap_device->reads, h->swap_writes = v->swap_device->writes;
    h->swap_read_pages = v->swap_device->read_pages, h->swap_written_pages = v->swap_device->written_pages;
    h->swap_seeks = v->swap_device->seeks, h->swap_busy_ns = v->swap_device->busy_ns;
    h->swap_queued_ns = v->swap_device->queued_ns;
    h->disk_reads = v->disk.reads, h->disk_writes = v->disk.writes, h->disk_seeks = v->disk.seeks;
    h->disk_busy_ns = v->disk.busy_ns;
    h->zswap_pool_bytes = v->packed_bytes;
    h->ksm_scanned = k->scanned, h->ksm_skipped = k->skipped, h->ksm_merged = k->merged;
    h->ksm_zero_merged = k->zero_merged, h->ksm_volatile = k->volatile_pages, h->ksm_comparisons = k->comparisons;
    h->ksm_full_scans = k->full_scans, h->ksm_stale = k->stale;
    h->ksm_unshared = k->unshared, h->ksm_changing = k->changing;
    h->frames_free = v->h->kind[NW_FRAME_FREE], h->frames_guest = v->h->kind[NW_FRAME_GUEST];
    h->frames_shared = v->h->kind[NW_FRAME_SHARED], h->frames_table = v->h->kind[NW_FRAME_TABLE];
    h->frames_pinned = v->h->kind[NW_FRAME_PINNED];
    h->shared_users = v->h->shared_users;
    h->saved_pages = h->shared_users - h->frames_shared;
    h->saved_pages_most = h->saved_pages > h->saved_pages_most ? h->saved_pages : h->saved_pages_most;
    r->host = *h;
    if (v->config->sharing.kind && !k->merged)
        vms_event(v, r->time_ns,
                  "page sharing looked at %" PRIu64 " pages in %" PRIu64 " rounds and found none equal%s", k->scanned,
                  k->full_scans,
                  contents_are_told(v) ? "" : "; no trace tells contents, and vm.*.zero and vm.*.common are 0");
    if (!(r->guest = calloc(v->vms, sizeof *r->guest)))
        return nw_fail_nomem(v->err, "the guests' results");
    for (unsigned i = 0; i < v->vms; i++) {
        struct vm *vm = &v->vm[i];
        struct nw_vms_guest_result *g = &r->guest[i];
        const uint64_t ended = vm->done ? vm->ended_ns : r->time_ns;
        vm->counters.unmapped = v->h->guest[i].unmapped;
        vm->counters.large = v->h->guest[i].large;
        vm->counters.large_lost = v->h->guest[i].large_lost;
        *g = (struct nw_vms_guest_result){ .state = vm->done ? vm->state : NW_VMS_STOPPED,
                                           .size = vm->pages,
                                           .started_ns = vm->started_ns,
                                           .ended_ns = ended,
                                           .alone_ns = (uint64_t)vm->alone_ns,
                                           .work_ns = vm->work_ns,
                                           .works = vm->config->works,
                                           .counters = vm->counters };
        vm->work_ns = NULL;
        g->slowdown = vm->alone_ns > 0 ? (double)(ended - vm->started_ns) / vm->alone_ns : 0;
        memcpy(g->name, vm->name, sizeof g->name);
        r->guests++;
    }
    if (!(r->moved = calloc((size_t)v->vms * v->vms, sizeof *r->moved)))
        return nw_fail_nomem(v->err, "who took whose memory");
    for (size_t to = 0; to < v->vms; to++) /* without the hypervisor's own, behind the guests */
        memcpy(r->moved + to * v->vms, v->h->moved + to * v->h->config.guests, v->vms * sizeof *r->moved);
    enum nw_status s = monitor_results(v);
    /* The account has to be right at the end, too. */
    if (!s)
        s = nw_hostmem_check(v->h, v->err);
    return s ? s : walk_check(v);
}

void nw_vms_result_fini(struct nw_vms_result *r)
{
    for (size_t i = 0; i < r->guests; i++) {
        free(r->guest[i].work_ns);
        free(r->guest[i].mrc);
    }
    free(r->moved);
    free(r->monitor);
    free(r->monitor_sample);
    free(r->guest);
    free(r->sample);
    free(r->event);
    *r = (struct nw_vms_result){ 0 };
}
