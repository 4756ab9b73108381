/* A reclaim program on a live guest: its touches as operations of the interpreter, and the host's hand in between. */
#include "live_internal.h"
#include "machine.h"
#include "program_builder.h"
#include "workingset/procfs.h"
#include <errno.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/traces/live_reclaim.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TIMEOUT_SECONDS = 30, TRIES = 4, TABLE_PAGES = 512 };

struct run {
    struct live_machine m;
    const struct nw_live_reclaim_host *host;
    const struct nw_reclaim_program *p;
    struct nw_live_reclaim_step *step;
    uint64_t *taken;
    uint64_t *out; /* pages that are gone */
    bool *there;   /* as looked up last */
    struct ws_process self;
    struct rusage before;
    uint64_t major, minor; /* since the last marker */
};

static uint8_t *data(const struct run *r) { return r->m.vm.memory + (uint64_t)GUEST_FRAMES * NW_PAGE_BYTES; }

static bool bit(const uint64_t *set, uint32_t page) { return set[page / 64] >> page % 64 & 1; }
static void flip(uint64_t *set, uint32_t page) { set[page / 64] ^= UINT64_C(1) << page % 64; }

/* ---- where the pages are ---- */

/* A page of a file is gone when it has left the page cache; an anonymous one when the process has an entry of the swap area for it. */
static enum nw_status look_up(struct run *r, struct nw_error *err)
{
    const uint64_t at = (uintptr_t)data(r);
    if (r->host->way == NW_RECLAIM_FILE) {
        unsigned char cached[NW_RECLAIM_PAGES_MAX];
        if (mincore(data(r), (size_t)r->p->pages * NW_PAGE_BYTES, cached))
            return nw_fail_errno(err, NW_ERR_ENV, errno, "mincore");
        for (uint32_t i = 0; i < r->p->pages; i++)
            r->there[i] = cached[i] & 1;
        return NW_OK;
    }
    uint64_t entry[NW_RECLAIM_PAGES_MAX];
    size_t got = 0;
    enum nw_status s = ws_process_pagemap(&r->self, at, entry, r->p->pages, &got, err);
    if (!s && got < r->p->pages)
        return nw_fail(err, NW_ERR_ENV, "/proc/self/pagemap ends early");
    for (uint32_t i = 0; !s && i < r->p->pages; i++)
        r->there[i] = ws_page_present(entry[i]);
    return s;
}

/* ---- the host's hand ---- */

/* Runs of pages at once. `wanted` has a bit for each. */
static enum nw_status page_out(struct run *r, const uint64_t *wanted, struct nw_error *err)
{
    for (uint32_t i = 0, run; i < r->p->pages; i += run) {
        run = 1;
        if (!bit(wanted, i))
            continue;
        while (i + run < r->p->pages && bit(wanted, i + run))
            run++;
        if (madvise(data(r) + (uint64_t)i * NW_PAGE_BYTES, (size_t)run * NW_PAGE_BYTES, MADV_PAGEOUT))
            return nw_fail_errno(err, NW_ERR_ENV, errno, "madvise(MADV_PAGEOUT) (Linux 5.4 and later have it)");
    }
    return NW_OK;
}

/* A page may be on its way to a list of the kernel's, or being written, and cannot be taken at that moment: a few tries. */
static enum nw_status take(struct run *r, size_t step, struct nw_error *err)
{
    const size_t words = nw_reclaim_words(r->p);
    uint64_t *taken = r->taken + step * words, *left = calloc(words, sizeof *left);
    if (!left)
        return nw_fail_nomem(err, "the pages to take");
    for (size_t i = step ? r->p->step[step - 1].victims_end : 0; i < r->p->step[step].victims_end; i++)
        if (!bit(r->out, r->p->victim[i]) && !bit(left, r->p->victim[i])) {
            flip(left, r->p->victim[i]);
            r->step[step].asked++;
        }
    enum nw_status s = NW_OK;
    for (unsigned tries = 0; tries < TRIES && !s && r->step[step].taken < r->step[step].asked; tries++) {
        /* Only a clean page of a file can leave at once. */
        if (r->host->way == NW_RECLAIM_FILE && msync(data(r), (size_t)r->p->pages * NW_PAGE_BYTES, MS_SYNC))
            s = nw_fail_errno(err, NW_ERR_ENV, errno, "msync");
        if (!s)
            s = page_out(r, left, err);
        if (!s)
            s = look_up(r, err);
        for (uint32_t i = 0; i < r->p->pages && !s; i++)
            if (bit(left, i) && !r->there[i]) {
                flip(left, i);
                flip(taken, i);
                flip(r->out, i);
                r->step[step].taken++;
            }
    }
    free(left);
    return s;
}

static enum nw_status at_marker(void *context, uint64_t number, struct nw_error *err)
{
    struct run *r = context;
    struct nw_live_reclaim_step *step = &r->step[number];
    enum nw_status s = look_up(r, err);
    for (uint32_t i = 0; i < r->p->pages && !s; i++) {
        const bool was_out = bit(r->out, i);
        step->returned += was_out && r->there[i];
        step->astray += !was_out && !r->there[i];
        if (was_out == r->there[i])
            flip(r->out, i);
    }
    step->major = r->major;
    step->minor = r->minor;
    r->major = r->minor = 0;
    return s ? s : take(r, (size_t)number, err);
}

static void before(void *context) { getrusage(RUSAGE_THREAD, &((struct run *)context)->before); }

static void after(void *context)
{
    struct run *r = context;
    struct rusage now;
    getrusage(RUSAGE_THREAD, &now);
    r->major += (uint64_t)(now.ru_majflt - r->before.ru_majflt);
    r->minor += (uint64_t)(now.ru_minflt - r->before.ru_minflt);
}

/* ---- the guest ---- */

static enum nw_status build(const struct nw_reclaim_program *p, struct nw_shadow_program *out, struct nw_error *err)
{
    struct builder b;
    size_t touch = 0;
    build_start_wide(&b, out);
    for (uint32_t first = 0; first < p->pages; first += TABLE_PAGES) {
        const uint32_t left = p->pages - first;
        build_table(&b, first / TABLE_PAGES);
        build_pages(&b, first / TABLE_PAGES, left < TABLE_PAGES ? left : TABLE_PAGES, first, PTE_USED);
    }
    for (size_t i = 0; i < p->steps; i++) {
        for (; touch < p->step[i].touches_end; touch++) {
            const struct nw_reclaim_touch *t = &p->touch[touch];
            /* A different word each time, so that no page is all zeros and no two are alike. */
            build_op(&b, t->write ? NW_KVM_OP_WRITE : NW_KVM_OP_READ,
                     program_page(t->page / TABLE_PAGES, t->page % TABLE_PAGES) + touch % TABLE_PAGES * 8,
                     touch * UINT64_C(0x9e3779b97f4a7c15));
        }
        build_op(&b, NW_KVM_OP_MARKER, i, 0);
    }
    return build_finish(&b, err);
}

static enum nw_status set_up(struct run *r, struct nw_error *err)
{
    uint8_t *memory;
    const bool file = r->host->way == NW_RECLAIM_FILE;
    enum nw_status s = live_memory_map(&memory, LIVE_BYTES, file ? LIVE_FILE_4K : LIVE_PRIVATE_4K, r->host->file, err);
    if (s)
        return s;
    madvise(memory, LIVE_BYTES, MADV_RANDOM); /* no read-around: a page that comes back is one that was asked for */
    live_load(memory, r->m.program);
    s = vm_create_over(&r->m.vm, memory, LIVE_BYTES, 0, err);
    return s ? s : live_registers_set(&r->m.vm, r->m.program, err);
}

enum nw_status nw_live_reclaim_run(const struct nw_live_reclaim_host *host, const struct nw_reclaim_program *p,
                                   const struct nw_live_reclaim_options *options, struct nw_live_reclaim_step *step,
                                   uint64_t *taken, struct nw_error *err)
{
    struct nw_shadow_program guest = { .name = "reclaim" };
    struct run r = { .host = host, .p = p, .step = step, .taken = taken };
    enum nw_status s = nw_reclaim_check(p, err);
    if (s || (s = build(p, &guest, err)))
        return s;
    r.m = (struct live_machine){ .program = &guest.program,
                                 .timeout = options->timeout_seconds > 0 ? options->timeout_seconds : TIMEOUT_SECONDS,
                                 .keep_going = options->keep_going,
                                 .keep_context = options->context,
                                 .at_marker = at_marker,
                                 .before = before,
                                 .after = after,
                                 .context = &r };
    memset(step, 0, p->steps * sizeof *step);
    r.out = calloc(nw_reclaim_words(p), sizeof *r.out);
    r.there = calloc(p->pages, sizeof *r.there);
    s = r.out && r.there ? ws_process_open(&r.self, "/proc", (uint64_t)getpid(), err)
                         : nw_fail_nomem(err, "the state of a guest's pages");
    if (!s)
        s = set_up(&r, err);
    if (!s)
        s = live_machine_run(&r.m, err);
    vm_destroy(&r.m.vm);
    if (r.self.pid)
        ws_process_close(&r.self);
    free(r.out);
    free(r.there);
    nw_shadow_program_free(&guest);
    return s;
}
