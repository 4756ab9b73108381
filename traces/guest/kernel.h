/* kernel.h - the guest kernel's parts: memory in paging.c, address spaces in space.c, entry points in entry.S. */
#ifndef NESTWALK_GUEST_KERNEL_H
#define NESTWALK_GUEST_KERNEL_H

#include "abi.h"
#include "workload.h"

enum { PAGE_BYTES = 4096, LARGE_BYTES = 2 << 20, TABLE_ENTRIES = 512, MAPPINGS_MAX = 32 };

/* Page-table entry bits (SDM vol. 3, "4-Level Paging"). */
#define PTE_P     UINT64_C(0x001)
#define PTE_W     UINT64_C(0x002)
#define PTE_A     UINT64_C(0x020)
#define PTE_D     UINT64_C(0x040)
#define PTE_PS    UINT64_C(0x080)
#define PTE_NX    (UINT64_C(1) << 63)
#define PTE_FRAME UINT64_C(0x000ffffffffff000)

struct mapping {
    uint64_t start, end; /* page aligned; start == end: free */
    unsigned prot;       /* WL_PROT_ */
    unsigned large;      /* 2 MiB leaves where they fit */
};
struct space {
    uint64_t root; /* GPA of the PML4 page; 0: not in use */
    struct mapping mapping[MAPPINGS_MAX];
};

extern struct nwg_param *const param;

/* ---- entry.S, kernel.c ---- */
_Noreturn void exception_fatal(uint64_t vector, uint64_t error, uint64_t rip);
void page_fault_entry(void);

/* ---- machine ---- */
static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void cr3_write(uint64_t root) { __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory"); }
static inline uint64_t cr3_read(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
static inline uint64_t cr2_read(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}
static inline void words_clear(void *to, uint64_t words)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(UINT64_C(0)) : "memory");
}
static inline void words_copy(void *to, const void *from, uint64_t words)
{
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
}
_Noreturn void panic(enum nwg_panic reason);

/* ---- paging.c: frames and page tables. Tables and frames are reached through the identity map. ---- */
static inline uint64_t *words_at(uint64_t gpa) { return (uint64_t *)gpa; }
void frames_init(void);
uint64_t frame_alloc(void);       /* one cleared 4 KiB frame, held once */
uint64_t frame_alloc_large(void); /* a 2 MiB run of them; 0 when there is none. Fresh memory is zero already. */
void frame_hold(uint64_t gpa, uint64_t frames);
void frame_drop(uint64_t gpa, uint64_t frames); /* frees those nobody holds any more */
unsigned frame_holders(uint64_t gpa);
extern uint64_t zero_frame; /* what a read of a never-written page maps */

void invlpg(uint64_t address);
/* The entry that maps `address`: its last-level entry, or a 2 MiB leaf (*large set). NULL when a table is missing, unless
 * `create`. */
uint64_t *entry_find(uint64_t root, uint64_t address, int create, int *large);
uint64_t *directory_entry(uint64_t root, uint64_t address, int create); /* the level-1 entry (2 MiB) of `address` */
void large_split(uint64_t *entry);                                      /* into 512 4 KiB entries of the same rights */
void tables_free(uint64_t root); /* an address space's tables, when no leaf is left in its mappings */
extern struct space spaces[WL_PROCESSES_MAX];
extern int current_space;
extern const struct wl_vm kernel_vm;
void spaces_init(void);
void page_fault(uint64_t address, uint64_t error);
void *heap_alloc(struct wl *w, uint64_t bytes);

#endif
