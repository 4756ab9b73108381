/* page_watch.c - which pages a captured run touches, as it records them. */
#include "load.h"
#include "page_queue.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_PRESENT = 1, ENTRY_WRITE = 2, ENTRY_LARGE = 1 << 7 }; /* SDM vol. 3, "4-Level Paging" */

/* Where an access goes, or UINT64_MAX: it faults, and touches nothing. The guest runs with CR0.WP. */
static uint64_t reached(const struct page_watch *w, uint64_t gva, bool store)
{
    const struct vm *vm = w->recorder->vm;
    uint64_t table = w->recorder->cr3 & nw_mask(51, 12);
    for (unsigned level = 3;; level--) {
        const unsigned low = 12 + 9 * level;
        const uint64_t at = table + nw_field(gva, low + 8, low) * 8;
        uint64_t entry;
        if (at + 8 > vm->memory_bytes)
            return UINT64_MAX;
        memcpy(&entry, vm->memory + at, sizeof entry);
        if (!(entry & ENTRY_PRESENT) || (store && !(entry & ENTRY_WRITE)))
            return UINT64_MAX;
        if (!level || ((entry & ENTRY_LARGE) && level < 3))
            return (entry & nw_mask(51, low)) | (gva & nw_mask(low - 1, 0));
        table = entry & nw_mask(51, 12);
    }
}

static enum nw_status touch(struct page_watch *w, uint64_t gva, bool store, struct nw_error *err)
{
    const uint64_t page = reached(w, gva, store) >> NW_PAGE_LOG2;
    if (page >= w->queue.pages || w->queue.state[page] != PAGE_AWAY || (w->count && w->touched[w->count - 1] == page))
        return NW_OK;
    if (w->count == w->room) {
        const size_t room = w->room ? 2 * w->room : 4096;
        uint32_t *more = realloc(w->touched, room * sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the order of a guest's pages");
        w->touched = more;
        w->room = room;
    }
    w->touched[w->count++] = (uint32_t)page;
    return NW_OK;
}

static enum nw_status watch_access(struct sink *self, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    struct page_watch *w = (struct page_watch *)self;
    const enum nw_access_type type = nw_kind_type(kind);
    const uint64_t last = gva + nw_kind_bytes(kind) - 1;
    enum nw_status s = NW_OK;
    if (type != NW_FETCH && !(s = touch(w, gva, type == NW_STORE, err)) && (gva ^ last) >> NW_PAGE_LOG2)
        s = touch(w, last, type == NW_STORE, err);
    return s ? s : w->to->access(w->to, gva, kind, err);
}

static enum nw_status watch_event(struct sink *self, const struct nw_event *event, struct nw_error *err)
{
    struct page_watch *w = (struct page_watch *)self;
    const uint64_t page = event->arg[0] >> NW_PAGE_LOG2;
    if (event->kind == NW_EV_TABLE_PAGE && page < w->queue.pages)
        w->queue.state[page] = PAGE_UNWATCHED;
    return w->to->event(w->to, event, err);
}

enum nw_status page_watch_begin(struct page_watch *w, struct recorder *r, struct sink *to, struct nw_error *err)
{
    const uint64_t first = guest_param(r->vm)->free_gpa >> NW_PAGE_LOG2;
    w->sink = (struct sink){ watch_access, watch_event };
    w->to = to;
    w->recorder = r;
    w->pages = r->vm->memory_bytes >> NW_PAGE_LOG2;
    enum nw_status s = page_queue_init(&w->queue, w->pages, err);
    for (uint64_t page = first; page < w->pages && !s; page++)
        w->queue.state[page] = tables_watch_has(&r->tables, page << NW_PAGE_LOG2) ? PAGE_UNWATCHED : PAGE_AWAY;
    return s;
}

enum nw_status page_watch_end(struct page_watch *w, const struct vm *vm, struct nw_error *err)
{
    if (!(w->digest = malloc(w->pages * sizeof *w->digest)))
        return nw_fail_nomem(err, "digests of a guest's pages");
    for (uint64_t page = 0; page < w->pages; page++)
        w->digest[page] = page_digest(vm->memory + (page << NW_PAGE_LOG2));
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < w->count && !s; i++) {
        uint32_t gone;
        if (w->queue.state[w->touched[i]] == PAGE_AWAY)
            s = page_queue_fetch(&w->queue, w->touched[i], &gone, err);
    }
    return s;
}

void page_watch_fini(struct page_watch *w)
{
    page_queue_fini(&w->queue);
    free(w->touched);
    free(w->digest);
    *w = (struct page_watch){ 0 };
}
