#include "intervals.h"

#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double ws_now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void nw_working_set_defaults(struct nw_working_set_options *o)
{
    *o = (struct nw_working_set_options){ .interval_seconds = 1,
                                          .proc = "/proc",
                                          .idle_bitmap = "/sys/kernel/mm/page_idle/bitmap" };
}

void nw_working_set_fini(struct nw_working_set *set)
{
    free(set->interval);
    memset(set, 0, sizeof *set);
}

void ws_note(struct nw_working_set *out, const char *format, ...)
{
    va_list ap;
    if (out->notes == NW_WORKING_SET_NOTES)
        return;
    va_start(ap, format);
    vsnprintf(out->note[out->notes++], sizeof *out->note, format, ap);
    va_end(ap);
}

static enum nw_status event(struct ws_recorder *r, enum nw_event_kind kind, uint64_t a, uint64_t b,
                            struct nw_error *err)
{
    const struct nw_event e = { .kind = (uint16_t)kind, .arg = { a, b } };
    return r->writer ? nw_nwt_write_event(r->writer, &e, err) : NW_OK;
}

static uint64_t ns_since(const struct ws_recorder *r, double seconds)
{
    return seconds > r->started ? (uint64_t)((seconds - r->started) * 1e9) : 0;
}

enum nw_status ws_recorder_open(struct ws_recorder *r, const struct nw_working_set_options *o,
                                struct nw_working_set *out, const struct nw_trace_info *info, struct nw_error *err)
{
    *r = (struct ws_recorder){ .o = o, .out = out, .started = ws_now_seconds() };
    r->seen = calloc(out->watched_pages / 64 + 1, sizeof *r->seen);
    if (o->contents)
        r->held = calloc(out->watched_pages + 1, sizeof *r->held);
    if (!r->seen || (o->contents && !r->held))
        return nw_fail_nomem(err, "the set of pages seen");
    enum nw_status s = o->contents ? nw_page_packer_create(&r->packer, err) : NW_OK;
    if (!s && o->path)
        s = nw_nwt_writer_create(&r->writer, o->path, info, err);
    return s ? s : event(r, NW_EV_MARKER, NW_MARKER_ROI_BEGIN, 0, err);
}

enum nw_status ws_recorder_begin(struct ws_recorder *r, double from, double to, struct nw_error *err)
{
    r->now = (struct nw_working_set_interval){ .start_ns = ns_since(r, from), .end_ns = ns_since(r, to) };
    enum nw_status s = event(r, NW_EV_TIME, r->now.start_ns, 0, err);
    return s ? s : event(r, NW_EV_MARKER, NW_MARKER_PHASE, r->out->count + 1, err);
}

enum nw_status ws_recorder_page(struct ws_recorder *r, uint64_t index, uint64_t address, bool written,
                                struct nw_error *err)
{
    const uint64_t bit = UINT64_C(1) << index % 64;
    const bool first = !(r->seen[index / 64] & bit);
    r->out->pages += first;
    r->index = index;
    r->address = address;
    r->content_wanted = r->packer && (!r->held[index].packed_bytes || written || !r->out->knows_written);
    r->seen[index / 64] |= bit;
    r->now.accessed_pages++;
    r->now.written_pages += written;
    return r->writer
               ? nw_nwt_write_access(r->writer, address, nw_kind_make(written ? NW_STORE : NW_LOAD, 1, false), err)
               : NW_OK;
}

enum nw_status ws_recorder_image(struct ws_recorder *r, uint64_t index, uint64_t address, const void *page,
                                 struct nw_error *err)
{
    r->index = index;
    r->address = address;
    return ws_recorder_content(r, page, err);
}

enum nw_status ws_recorder_content(struct ws_recorder *r, const void *page, struct nw_error *err)
{
    if (!page) {
        r->out->contents.unreadable++;
        return NW_OK;
    }
    r->held[r->index] = nw_page_content_of(r->packer, page);
    r->out->contents.events++;
    const struct nw_event e = nw_page_content_event(r->address, r->held[r->index]);
    return r->writer ? nw_nwt_write_event(r->writer, &e, err) : NW_OK;
}

enum nw_status ws_recorder_end(struct ws_recorder *r, struct nw_error *err)
{
    struct nw_working_set *out = r->out;
    if (out->count == out->room) {
        const size_t room = out->room ? out->room * 2 : 64;
        void *grown = realloc(out->interval, room * sizeof *out->interval);
        if (!grown)
            return nw_fail_nomem(err, "the intervals");
        out->interval = grown;
        out->room = room;
    }
    out->interval[out->count++] = r->now;
    return NW_OK;
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = ((const struct nw_page_content *)a)->hash, y = ((const struct nw_page_content *)b)->hash;
    return (x > y) - (x < y);
}

/* Leaves `held` sorted. */
static void sum_up(struct ws_recorder *r)
{
    struct nw_working_set_contents *c = &r->out->contents;
    const uint64_t zeros = nw_page_hash_of_zeros();
    for (uint64_t i = 0; i < r->out->watched_pages; i++)
        if (r->held[i].packed_bytes)
            r->held[c->pages++] = r->held[i];
    qsort(r->held, c->pages, sizeof *r->held, by_hash);
    for (uint64_t i = 0, run; i < c->pages; i += run) {
        for (run = 1; i + run < c->pages && r->held[i + run].hash == r->held[i].hash;)
            run++;
        c->distinct++;
        if (r->held[i].hash == zeros) {
            c->zeros = run;
            continue;
        }
        c->equal += run > 1 ? run : 0;
        c->packed_bytes += run * r->held[i].packed_bytes;
    }
}

enum nw_status ws_recorder_close(struct ws_recorder *r, struct nw_error *err)
{
    if (r->packer)
        sum_up(r);
    const uint64_t end_ns = r->out->count ? r->out->interval[r->out->count - 1].end_ns : 0;
    enum nw_status s = event(r, NW_EV_TIME, end_ns, 0, err);
    if (!s)
        s = event(r, NW_EV_MARKER, NW_MARKER_ROI_END, 0, err);
    if (!s && r->writer) {
        s = nw_nwt_writer_close(r->writer, err);
        r->writer = NULL;
    }
    return s;
}

void ws_recorder_fini(struct ws_recorder *r)
{
    if (r->writer)
        nw_nwt_writer_abandon(r->writer);
    nw_page_packer_destroy(r->packer);
    free(r->held);
    free(r->seen);
    memset(r, 0, sizeof *r);
}
