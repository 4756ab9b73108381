/* workload.h - what a workload sees of its world. The same C runs in the guest and, as its own oracle, on the host.
 *
 * A workload builds its data, announces BEGIN, works, announces END, and returns a checksum that depends on its results and
 * never on addresses. Memory comes zeroed from alloc(), in whole pages, and is never given back one by one. */
#ifndef NESTWALK_GUEST_WORKLOAD_H
#define NESTWALK_GUEST_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

enum wl_phase { WL_BEGIN, WL_PHASE, WL_END };
enum { WL_PROT_READ = 1, WL_PROT_WRITE = 2, WL_PROCESSES_MAX = 8, WL_REGIONS_MAX = 16 };

struct wl {
    uint64_t size;       /* bytes of data, roughly */
    uint64_t operations; /* in the region of interest */
    uint64_t seed;
    void *(*alloc)(struct wl *w, uint64_t bytes);
    void (*phase)(struct wl *w, enum wl_phase phase, unsigned number);
    const struct wl_vm *vm;
    void *world; /* the environment's own */
};

/* Address spaces. Process 0 exists from the start and is current. Addresses are page aligned, sizes whole pages. */
struct wl_vm {
    uint64_t base; /* lowest address that may be mapped */
    void (*map)(struct wl *w, uint64_t address, uint64_t bytes, unsigned prot);
    void (*unmap)(struct wl *w, uint64_t address, uint64_t bytes);
    void (*protect)(struct wl *w, uint64_t address, uint64_t bytes, unsigned prot);
    int (*fork)(struct wl *w); /* the new process; the caller stays current */
    void (*switch_to)(struct wl *w, int process);
    void (*exit)(struct wl *w, int process); /* not the current one */
    uint64_t (*read)(struct wl *w, uint64_t address);
    void (*write)(struct wl *w, uint64_t address, uint64_t value);
};

/* In the guest the accesses of vmchurn are plain loads and stores of the current address space. */
static inline uint64_t wl_read(struct wl *w, uint64_t address)
{
#ifdef NWG_GUEST
    (void)w;
    return *(volatile uint64_t *)address;
#else
    return w->vm->read(w, address);
#endif
}
static inline void wl_write(struct wl *w, uint64_t address, uint64_t value)
{
#ifdef NWG_GUEST
    (void)w;
    *(volatile uint64_t *)address = value;
#else
    w->vm->write(w, address, value);
#endif
}

/* splitmix64: one state word, a full-period counter behind an avalanche. */
static inline uint64_t wl_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t wl_below(uint64_t *state, uint64_t n) /* n < 2^32 */
{
    return ((wl_random(state) >> 32) * n) >> 32;
}
static inline uint64_t wl_fold(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * UINT64_C(0x100000001b3) + (sum >> 47);
}

struct wl_entry {
    const char *name, *doc;
    uint64_t (*run)(struct wl *w);
    uint64_t default_size, default_operations;
    uint64_t min_size;
    const char *operation; /* what one operation is */
};
extern const struct wl_entry wl_table[];
extern const unsigned wl_count;

uint64_t wl_btree(struct wl *w);
uint64_t wl_hashjoin(struct wl *w);
uint64_t wl_bfs(struct wl *w);
uint64_t wl_gups(struct wl *w);
uint64_t wl_transpose(struct wl *w);
uint64_t wl_vmchurn(struct wl *w);
uint64_t wl_sort(struct wl *w);

#endif
