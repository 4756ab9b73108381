/* same_pages.c - a guest program under capture and at native speed, page by page. */
#include "guest_run.h"
#include "load.h"
#include "page_queue.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>

uint64_t page_digest(const void *page) { return XXH3_64bits(page, NW_PAGE_BYTES); }

struct same {
    struct nw_capture_options options;
    struct nw_capture_result captured, native;
    struct page_watch watch;
    struct page_keeper keeper;
    struct guest_run g;
    struct vm vm;
    struct nw_same_pages *out;
};

/* ---- comparing ---- */

static void differ(struct same *c, const char *format, ...) NW_PRINTF(2, 3);
static void differ(struct same *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (!c->out->difference[0])
        vsnprintf(c->out->difference, sizeof c->out->difference, format, ap);
    va_end(ap);
}

static void compare_order(struct same *c)
{
    struct nw_same_pages *o = c->out;
    const struct page_queue *captured = &c->watch.queue, *native = &c->keeper.queue;
    uint8_t *seen = calloc(captured->pages, 1); /* without it `pages` is all that is lost */
    o->fetched = captured->count;
    o->order_equal = captured->count <= native->count;
    for (size_t i = 0; i < captured->count; i++) {
        const uint32_t page = captured->fetched[i];
        o->pages += seen && !seen[page];
        if (seen)
            seen[page] = 1;
        if (i < native->count && native->fetched[i] != page) {
            o->order_equal = false;
            differ(c, "fetch %zu: frame %#x under capture, frame %#x at native speed", i + 1, page, native->fetched[i]);
        }
        o->order_captured = nw_mix64(o->order_captured ^ page) + 1;
        if (i < native->count)
            o->order_native = nw_mix64(o->order_native ^ native->fetched[i]) + 1;
    }
    if (captured->count > native->count)
        differ(c, "%zu fetches under capture, and only %zu at native speed", captured->count, native->count);
    free(seen);
}

static void compare_contents(struct same *c)
{
    struct nw_same_pages *o = c->out;
    o->memory_pages = c->watch.pages;
    for (uint64_t page = 0; page < c->watch.pages; page++) {
        const uint64_t native = page_digest(c->vm.memory + (page << NW_PAGE_LOG2)), captured = c->watch.digest[page];
        o->contents_native = nw_mix64(o->contents_native ^ native) + page;
        o->contents_captured = nw_mix64(o->contents_captured ^ captured) + page;
        o->differing_pages += native != captured;
        if (native != captured)
            differ(c, "frame %#llx holds something else at the end", (unsigned long long)page);
    }
    o->contents_equal = !o->differing_pages;
}

/* ---- the native run ---- */

static enum nw_status out_of_time(const struct same *c, struct nw_error *err)
{
    return nw_fail(err, c->g.stop_asked ? NW_ERR_INTERRUPTED : NW_ERR_ENV,
                   c->g.stop_asked ? "interrupted" : "the run at native speed did not come to its end in %.0f s",
                   c->options.timeout_seconds);
}

static enum nw_status run_to_end(struct same *c, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    uint16_t port = 0;
    uint32_t value = 0;
    bool ended = false;
    while (!s && !ended && !(port == NWG_PORT_MARKER && value >> 24 == NWG_MARKER_END))
        s = guest_run_free(&c->g, &c->vm, "native run", &port, &value, &ended, err);
    return s || !ended ? s : out_of_time(c, err);
}

static enum nw_status native(struct same *c, struct nw_error *err)
{
    enum nw_status s;
    if ((s = guest_prepare(&c->g, &c->options, &c->native, err)) || (s = vm_create(&c->vm, c->g.memory_bytes, err)) ||
        (s = guest_run_to_begin(&c->g, &c->vm, err)))
        return s;
    c->out->order_watched = page_keeper_open(&c->keeper, c->out->why, sizeof c->out->why);
    if (c->out->order_watched)
        s = page_keeper_start(&c->keeper, &c->vm, &c->watch.queue, c->watch.queue.count, err);
    if (!s)
        s = run_to_end(c, err);
    if (!s && c->out->order_watched)
        s = page_keeper_stop(&c->keeper, err);
    if (!s)
        s = guest_run_to_done(&c->g, &c->vm, err);
    return s || c->native.checksum_verified ? s : out_of_time(c, err);
}

static enum nw_status captured(struct same *c, struct nw_error *err)
{
    enum nw_status s = capture_run_watched(&c->options, &c->captured, &c->watch, err);
    if (s || c->captured.checksum_verified)
        return s;
    c->g.stop_asked = c->captured.end == NW_CAPTURE_STOPPED;
    return c->g.stop_asked ? nw_fail(err, NW_ERR_INTERRUPTED, "interrupted")
                           : nw_fail(err, NW_ERR_ENV, "the captured run did not come to its end in %.0f s",
                                     c->options.timeout_seconds);
}

enum nw_status nw_same_pages(const struct nw_capture_options *o, struct nw_same_pages *out, struct nw_error *err)
{
    struct same *c = calloc(1, sizeof *c);
    *out = (struct nw_same_pages){ 0 };
    if (!c)
        return nw_fail_nomem(err, "two runs of a guest");
    c->options = *o;
    c->options.path = NULL;
    c->options.via = NW_CAPTURE_STEP;
    c->options.checked_instructions = 0;
    c->out = out;
    c->keeper.faults = c->keeper.stop = -1;
    c->keeper.aside = MAP_FAILED;
    enum nw_status s = captured(c, err);
    if (!s)
        s = native(c, err);
    if (!s) {
        out->instructions = c->captured.instructions;
        if (out->order_watched)
            compare_order(c);
        compare_contents(c);
    }
    page_keeper_fini(&c->keeper); /* before the memory that it watches goes */
    vm_destroy(&c->vm);
    page_watch_fini(&c->watch);
    free(c);
    return s;
}
