/* The host's world is plain on purpose: memory is one big mapping, and a process is a list of pages that fork copies at once. It
 * shares nothing with the guest kernel that it checks. */
#include "host_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, BUCKETS = 1024 };

struct page {
    struct page *next;
    uint64_t address;
    unsigned prot;
    uint64_t word[PAGE / 8];
};
struct process {
    bool alive;
    struct page *bucket[BUCKETS];
};
struct world {
    struct process process[WL_PROCESSES_MAX];
    int current;
    uint8_t *heap;
    uint64_t heap_bytes, heap_next;
    enum nw_status status; /* first failure; the workload is left by longjmp */
    jmp_buf leave;
    struct nw_error *err;
};

static _Noreturn void give_up(struct world *world, enum nw_status status)
{
    world->status = status;
    longjmp(world->leave, 1);
}

static void *host_alloc(struct wl *w, uint64_t bytes)
{
    struct world *world = w->world;
    bytes = (bytes + PAGE - 1) & -(uint64_t)PAGE;
    if (bytes > world->heap_bytes - world->heap_next)
        give_up(world, nw_fail_nomem(world->err, "the host's run of the workload"));
    void *p = world->heap + world->heap_next;
    world->heap_next += bytes;
    return p;
}

static void host_phase(struct wl *w, enum wl_phase phase, unsigned number)
{
    (void)w;
    (void)phase;
    (void)number;
}

static struct page **page_slot(struct process *p, uint64_t address)
{
    struct page **slot = &p->bucket[(address / PAGE * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
    while (*slot && (*slot)->address != address)
        slot = &(*slot)->next;
    return slot;
}

static struct page *page_add(struct world *world, struct process *p, uint64_t address, unsigned prot)
{
    struct page **slot = page_slot(p, address), *page = calloc(1, sizeof *page);
    if (!page)
        give_up(world, nw_fail_nomem(world->err, "the host's run of the workload"));
    page->next = *slot;
    page->address = address;
    page->prot = prot;
    *slot = page;
    return page;
}

static void process_clear(struct process *p)
{
    for (unsigned b = 0; b < BUCKETS; b++)
        while (p->bucket[b]) {
            struct page *page = p->bucket[b];
            p->bucket[b] = page->next;
            free(page);
        }
    p->alive = false;
}

static struct process *current(struct wl *w)
{
    struct world *world = w->world;
    return &world->process[world->current];
}

static void host_map(struct wl *w, uint64_t address, uint64_t bytes, unsigned prot)
{
    for (uint64_t a = address; a < address + bytes; a += PAGE)
        page_add(w->world, current(w), a, prot);
}

static void host_unmap(struct wl *w, uint64_t address, uint64_t bytes)
{
    for (uint64_t a = address; a < address + bytes; a += PAGE) {
        struct page **slot = page_slot(current(w), a), *page = *slot;
        *slot = page->next;
        free(page);
    }
}

static void host_protect(struct wl *w, uint64_t address, uint64_t bytes, unsigned prot)
{
    for (uint64_t a = address; a < address + bytes; a += PAGE)
        (*page_slot(current(w), a))->prot = prot;
}

static int host_fork(struct wl *w)
{
    struct world *world = w->world;
    int child = 0;
    while (world->process[child].alive)
        child++;
    world->process[child].alive = true;
    for (unsigned b = 0; b < BUCKETS; b++)
        for (const struct page *p = current(w)->bucket[b]; p; p = p->next)
            memcpy(page_add(world, &world->process[child], p->address, p->prot)->word, p->word, PAGE);
    return child;
}

static void host_switch(struct wl *w, int process) { ((struct world *)w->world)->current = process; }
static void host_exit(struct wl *w, int process) { process_clear(&((struct world *)w->world)->process[process]); }

static uint64_t *host_word(struct wl *w, uint64_t address, unsigned need)
{
    struct page *page = *page_slot(current(w), address & -(uint64_t)PAGE);
    if (!page || (page->prot & need) != need) {
        struct world *world = w->world;
        give_up(world, nw_fail(world->err, NW_ERR_INTERNAL, "workload: access to %#llx, which it has not mapped for it",
                               (unsigned long long)address));
    }
    return &page->word[address % PAGE / 8];
}
static uint64_t host_read(struct wl *w, uint64_t address) { return *host_word(w, address, WL_PROT_READ); }
static void host_write(struct wl *w, uint64_t address, uint64_t value)
{
    *host_word(w, address, WL_PROT_WRITE) = value;
}

static const struct wl_vm host_vm = { .base = UINT64_C(1) << 44,
                                      .map = host_map,
                                      .unmap = host_unmap,
                                      .protect = host_protect,
                                      .fork = host_fork,
                                      .switch_to = host_switch,
                                      .exit = host_exit,
                                      .read = host_read,
                                      .write = host_write };

enum nw_status host_world_run(const struct wl_entry *workload, uint64_t size, uint64_t operations, uint64_t seed,
                              uint64_t *checksum, uint64_t *heap_bytes, struct nw_error *err)
{
    struct world *world = calloc(1, sizeof *world);
    if (!world)
        return nw_fail_nomem(err, "the host's run of the workload");
    world->err = err;
    world->process[0].alive = true;
    world->heap_bytes = UINT64_C(1) << 40; /* address space, not memory */
    void *heap =
        mmap(NULL, world->heap_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (heap == MAP_FAILED) {
        world->heap_bytes = UINT64_C(1) << 34;
        heap =
            mmap(NULL, world->heap_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (heap == MAP_FAILED) {
        free(world);
        return nw_fail_nomem(err, "the host's run of the workload");
    }
    world->heap = heap;
    struct wl w = { .size = size,
                    .operations = operations,
                    .seed = seed,
                    .alloc = host_alloc,
                    .phase = host_phase,
                    .vm = &host_vm,
                    .world = world };
    if (!setjmp(world->leave))
        *checksum = workload->run(&w);
    *heap_bytes = world->heap_next;
    enum nw_status s = world->status;
    for (int i = 0; i < WL_PROCESSES_MAX; i++)
        process_clear(&world->process[i]);
    munmap(world->heap, world->heap_bytes);
    free(world);
    return s;
}
