#include <nestwalk/mmu/host_memory.h>
#include <nestwalk/sim/refault.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 64 }; /* frames for the second stage: far more than NW_RECLAIM_PAGES_MAX pages need */

struct host {
    struct nw_hostmem *h;
    uint32_t *page; /* its number, by the guest's */
};

static enum nw_status start(struct host *host, const struct nw_reclaim_program *p, struct nw_error *err)
{
    const struct nw_hostmem_config config = { .frames = p->pages + TABLES, .slots = p->pages, .guests = 1 };
    enum nw_status s = nw_hostmem_create(&host->h, &config, err);
    host->page = s ? NULL : calloc(p->pages, sizeof *host->page);
    if (!s && !host->page)
        s = nw_fail_nomem(err, "a guest's pages");
    for (uint32_t i = 0; i < p->pages && !s; i++)
        if (!(s = nw_hostmem_page(host->h, 0, i, &host->page[i], err)))
            nw_hostmem_back(host->h, host->page[i]);
    return s;
}

static enum nw_status touch(struct host *host, const struct nw_reclaim_touch *t, uint64_t content,
                            struct nw_refault_step *step, struct nw_error *err)
{
    const uint32_t page = host->page[t->page];
    if (!nw_hostmem_intact(host->h, page))
        return nw_fail(err, NW_ERR_INTERNAL, "page %u does not hold what was written last", t->page);
    if (nw_hostmem_at(host->h, page)->backing != NW_BACKING_FRAME) {
        nw_hostmem_swap_in(host->h, page);
        step->refaults++;
    }
    if (t->write)
        nw_hostmem_store(host->h, page, content);
    return NW_OK;
}

static void take(struct host *host, uint32_t number, struct nw_refault_step *step)
{
    const struct nw_page *page = nw_hostmem_at(host->h, host->page[number]);
    if (page->backing != NW_BACKING_FRAME)
        return;
    step->written += nw_hostmem_swap_out(host->h, page->place);
    step->taken++;
}

static bool bit(const uint64_t *set, uint32_t page) { return set[page / 64] >> page % 64 & 1; }

enum nw_status nw_refault_run(const struct nw_reclaim_program *p, const uint64_t *taken, struct nw_refault_step *step,
                              struct nw_error *err)
{
    struct host host = { 0 };
    size_t t = 0, v = 0;
    enum nw_status s = nw_reclaim_check(p, err);
    if (s)
        return s;
    memset(step, 0, p->steps * sizeof *step);
    s = start(&host, p, err);
    for (size_t i = 0; i < p->steps && !s; i++) {
        for (; t < p->step[i].touches_end && !s; t++)
            s = touch(&host, &p->touch[t], t + 1, &step[i], err);
        for (; v < p->step[i].victims_end && !taken; v++)
            take(&host, p->victim[v], &step[i]);
        for (uint32_t page = 0; page < p->pages && taken; page++)
            if (bit(taken + i * nw_reclaim_words(p), page))
                take(&host, page, &step[i]);
    }
    if (!s)
        s = nw_hostmem_check(host.h, err);
    nw_hostmem_destroy(host.h);
    free(host.page);
    return s;
}
