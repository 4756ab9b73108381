/* wl_vmchurn.c - a busy kernel in small: processes map regions, touch, protect and unmap them, fork and share by
 * copy-on-write, exit, and take turns. Every value read goes into the checksum, so a page that leaked from one process to
 * another, or a copy that came too late, shows. */
#include "workload.h"

enum { PAGE = 4096 };

struct region {
    uint64_t pages; /* 0: the slot is free */
    unsigned prot;
};
struct process {
    int alive;
    struct region region[WL_REGIONS_MAX];
};
struct churn {
    struct wl *w;
    struct process process[WL_PROCESSES_MAX];
    int current, alive;
    uint64_t seed, sum, pages_max, stride;
};

static uint64_t region_address(const struct churn *c, unsigned slot) { return c->w->vm->base + slot * c->stride; }

static uint64_t page_address(struct churn *c, unsigned slot, const struct region *r)
{
    return region_address(c, slot) + wl_below(&c->seed, r->pages) * PAGE + wl_below(&c->seed, PAGE / 8) * 8;
}

static void touch(struct churn *c, unsigned slot)
{
    struct region *r = &c->process[c->current].region[slot];
    uint64_t count = r->pages < 12 ? r->pages : 12;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t a = page_address(c, slot, r);
        c->sum = wl_fold(c->sum, wl_read(c->w, a));
        if ((r->prot & WL_PROT_WRITE) && i % 2)
            wl_write(c->w, a, c->sum);
    }
}

static void step_map(struct churn *c, unsigned slot)
{
    struct region *r = &c->process[c->current].region[slot];
    if (r->pages)
        return;
    r->pages = 1 + wl_below(&c->seed, c->pages_max);
    r->prot = WL_PROT_READ | WL_PROT_WRITE;
    c->w->vm->map(c->w, region_address(c, slot), r->pages * PAGE, r->prot);
    for (uint64_t p = 0; p < r->pages && p < 8; p++)
        wl_write(c->w, region_address(c, slot) + p * PAGE, c->sum + p);
}

static void step_unmap(struct churn *c, unsigned slot)
{
    struct region *r = &c->process[c->current].region[slot];
    c->w->vm->unmap(c->w, region_address(c, slot), r->pages * PAGE);
    r->pages = 0;
}

static void step_protect(struct churn *c, unsigned slot)
{
    struct region *r = &c->process[c->current].region[slot];
    r->prot ^= WL_PROT_WRITE;
    c->w->vm->protect(c->w, region_address(c, slot), r->pages * PAGE, r->prot);
    touch(c, slot);
}

static void step_fork(struct churn *c)
{
    if (c->alive == WL_PROCESSES_MAX)
        return;
    int child = c->w->vm->fork(c->w);
    c->process[child] = c->process[c->current];
    c->alive++;
}

static int other_process(struct churn *c)
{
    int p;
    do
        p = (int)wl_below(&c->seed, WL_PROCESSES_MAX);
    while (!c->process[p].alive || (c->alive > 1 && p == c->current));
    return p;
}

static void step_exit(struct churn *c)
{
    if (c->alive < 2)
        return;
    int p = other_process(c);
    c->w->vm->exit(c->w, p);
    c->process[p].alive = 0;
    c->alive--;
}

static void step_switch(struct churn *c)
{
    int p = other_process(c);
    if (p == c->current)
        return;
    c->w->vm->switch_to(c->w, p);
    c->current = p;
}

static void step(struct churn *c)
{
    uint64_t dice = wl_below(&c->seed, 32);
    unsigned slot = (unsigned)wl_below(&c->seed, WL_REGIONS_MAX);
    int mapped = c->process[c->current].region[slot].pages != 0;
    if (!mapped && dice < 22)
        step_map(c, slot);
    else if (dice < 12)
        touch(c, slot);
    else if (dice < 18)
        step_protect(c, slot);
    else if (dice < 22)
        step_unmap(c, slot);
    else if (dice < 25)
        step_fork(c);
    else if (dice < 27)
        step_exit(c);
    else
        step_switch(c);
}

uint64_t wl_vmchurn(struct wl *w)
{
    /* On the kernel's stack, not in the heap: there it would be duplicated by the forks it keeps account of. */
    struct churn c;
    __builtin_memset(&c, 0, sizeof c);
    c.w = w;
    c.seed = w->seed;
    c.alive = c.process[0].alive = 1;
    c.pages_max = w->size / PAGE / WL_REGIONS_MAX;
    c.stride = 1 << 20; /* two regions share a leaf table */
    while (c.stride < c.pages_max * PAGE)
        c.stride *= 2;
    w->phase(w, WL_BEGIN, 0);
    for (uint64_t i = 0; i < w->operations; i++)
        step(&c);
    w->phase(w, WL_END, 0);
    return c.sum;
}
