/* space.c - address spaces: mappings, demand paging, copy-on-write, and the workload's view of them. */
#include "kernel.h"

struct space spaces[WL_PROCESSES_MAX];
int current_space;

/* Page-fault error code (SDM vol. 3, "Page-Fault Exceptions"). */
enum { ERROR_PRESENT = 1, ERROR_WRITE = 2 };

static uint64_t root_new(void)
{
    uint64_t root = frame_alloc(), boot = cr3_read() & PTE_FRAME;
    words_at(root)[0] = words_at(boot)[0];
    words_at(root)[TABLE_ENTRIES - 1] = words_at(boot)[TABLE_ENTRIES - 1];
    return root;
}

void spaces_init(void)
{
    spaces[0].root = root_new();
    cr3_write(spaces[0].root);
}

static struct mapping *mapping_of(struct space *s, uint64_t address)
{
    for (struct mapping *m = s->mapping; m < s->mapping + MAPPINGS_MAX; m++)
        if (address >= m->start && address < m->end)
            return m;
    return NULL;
}

static struct mapping *mapping_new(struct space *s, uint64_t start, uint64_t end, unsigned prot)
{
    for (struct mapping *m = s->mapping; m < s->mapping + MAPPINGS_MAX; m++)
        if (m->start == m->end) {
            *m = (struct mapping){ start, end, prot, 0 };
            return m;
        }
    panic(NWG_PANIC_LIMIT);
}

static uint64_t leaf_bits(int writable, int written)
{
    return PTE_P | PTE_A | PTE_NX | (writable ? PTE_W : 0) | (written ? PTE_D : 0);
}

/* ---- the page-fault handler ---- */

static int large_fits(const struct mapping *m, uint64_t address)
{
    uint64_t start = address & -(uint64_t)LARGE_BYTES;
    return m->large && start >= m->start && start + LARGE_BYTES <= m->end;
}

static int map_large(struct space *s, uint64_t address)
{
    uint64_t *entry = directory_entry(s->root, address, 1);
    if (*entry & PTE_P)
        return 0; /* 4 KiB pages are there already */
    uint64_t frame = frame_alloc_large();
    if (!frame)
        return 0;
    *entry = frame | PTE_PS | leaf_bits(1, 1);
    return 1;
}

static void map_demand(struct space *s, const struct mapping *m, uint64_t address, int write)
{
    int large;
    if ((m->prot & WL_PROT_WRITE) && large_fits(m, address) && map_large(s, address))
        return;
    uint64_t *entry = entry_find(s->root, address, 1, &large);
    if (write) {
        *entry = frame_alloc() | leaf_bits(1, 1);
    } else { /* nothing written yet: all such pages share one frame of zeros */
        frame_hold(zero_frame, 1);
        *entry = zero_frame | leaf_bits(0, 0);
    }
}

static int all_mine(uint64_t frame, unsigned frames)
{
    for (unsigned i = 0; i < frames; i++)
        if (frame_holders(frame + (uint64_t)i * PAGE_BYTES) != 1)
            return 0;
    return 1;
}

/* A write to a read-only page of a writable mapping. */
static void break_share(struct space *s, uint64_t address)
{
    int large;
    uint64_t *entry = entry_find(s->root, address, 0, &large);
    param->cow_faults++;
    if (large && !all_mine(*entry & PTE_FRAME, TABLE_ENTRIES)) {
        large_split(entry);
        entry = entry_find(s->root, address, 0, &large);
    }
    uint64_t frame = *entry & PTE_FRAME;
    if (large || (frame != zero_frame && all_mine(frame, 1))) {
        *entry |= PTE_W | PTE_D;
    } else if (frame == zero_frame) {
        *entry = frame_alloc() | leaf_bits(1, 1);
        frame_drop(frame, 1);
    } else {
        uint64_t copy = frame_alloc();
        words_copy(words_at(copy), words_at(frame), TABLE_ENTRIES);
        *entry = copy | leaf_bits(1, 1);
        frame_drop(frame, 1);
    }
    invlpg(address);
}

void page_fault(uint64_t address, uint64_t error)
{
    struct space *s = &spaces[current_space];
    const struct mapping *m = mapping_of(s, address);
    int write = (error & ERROR_WRITE) != 0;
    param->page_faults++;
    if (!m || (write && !(m->prot & WL_PROT_WRITE)))
        exception_fatal(NWG_VECTOR_PF, error, 0);
    if (error & ERROR_PRESENT)
        break_share(s, address & -(uint64_t)PAGE_BYTES);
    else
        map_demand(s, m, address & -(uint64_t)PAGE_BYTES, write);
}

/* ---- the workload's view ---- */

/* The heap is one mapping that grows. Each piece starts a page of the size in use. */
void *heap_alloc(struct wl *w, uint64_t bytes)
{
    struct space *s = &spaces[current_space];
    uint64_t align = param->large_pages ? LARGE_BYTES : PAGE_BYTES;
    struct mapping *heap = mapping_of(s, NWG_HEAP_BASE);
    (void)w;
    if (!heap) {
        heap = mapping_new(s, NWG_HEAP_BASE, NWG_HEAP_BASE, WL_PROT_READ | WL_PROT_WRITE);
        heap->large = param->large_pages != 0;
    }
    uint64_t start = heap->end;
    heap->end += (bytes + align - 1) & -align;
    return (void *)start;
}

static void vm_map(struct wl *w, uint64_t address, uint64_t bytes, unsigned prot)
{
    (void)w;
    mapping_new(&spaces[current_space], address, address + bytes, prot)->large = param->large_pages != 0;
}

/* Calls `change` on each present 4 KiB entry of [start, end) of the current space, after splitting large leaves, and
 * invalidates the page. */
static void for_each_entry(uint64_t start, uint64_t end, void (*change)(uint64_t *entry, unsigned prot), unsigned prot)
{
    uint64_t root = spaces[current_space].root;
    for (uint64_t a = start; a < end;) {
        int large;
        uint64_t *entry = entry_find(root, a, 0, &large);
        if (!entry) { /* no table: nothing in this 2 MiB */
            a = (a & -(uint64_t)LARGE_BYTES) + LARGE_BYTES;
            continue;
        }
        if (large && (*entry & PTE_P)) {
            large_split(entry);
            continue;
        }
        if (*entry & PTE_P) {
            change(entry, prot);
            invlpg(a);
        }
        a += PAGE_BYTES;
    }
}

static void entry_unmap(uint64_t *entry, unsigned prot)
{
    (void)prot;
    uint64_t frame = *entry & PTE_FRAME;
    *entry = 0;
    frame_drop(frame, 1);
}

/* Write permission comes back by a fault: only then is it known whether the frame is shared. */
static void entry_protect(uint64_t *entry, unsigned prot)
{
    if (!(prot & WL_PROT_WRITE))
        *entry &= ~PTE_W;
}

static void vm_unmap(struct wl *w, uint64_t address, uint64_t bytes)
{
    (void)w;
    struct mapping *m = mapping_of(&spaces[current_space], address);
    for_each_entry(address, address + bytes, entry_unmap, 0);
    m->start = m->end = 0;
}

static void vm_protect(struct wl *w, uint64_t address, uint64_t bytes, unsigned prot)
{
    (void)w;
    mapping_of(&spaces[current_space], address)->prot = prot;
    for_each_entry(address, address + bytes, entry_protect, prot);
}

/* A leaf becomes shared and read-only on both sides. */
static void leaf_share(uint64_t *from, uint64_t *to, int large)
{
    if (!(*from & PTE_P))
        return;
    if (*from & PTE_W)
        *from &= ~PTE_W;
    frame_hold(*from & PTE_FRAME, large ? TABLE_ENTRIES : 1);
    *to = *from & ~PTE_D;
}

/* Walks the leaf tables of a mapping, not its pages: the entries of 2 MiB lie side by side. */
static void mapping_share(uint64_t from_root, uint64_t to_root, const struct mapping *m)
{
    for (uint64_t a = m->start, next; a < m->end; a = next) {
        int large, ignored;
        uint64_t *from = entry_find(from_root, a, 0, &large);
        next = (a & -(uint64_t)LARGE_BYTES) + LARGE_BYTES;
        if (!from)
            continue;
        if (large) {
            leaf_share(from, directory_entry(to_root, a, 1), 1);
            continue;
        }
        uint64_t *to = entry_find(to_root, a, 1, &ignored);
        for (uint64_t end = next < m->end ? next : m->end; a < end; a += PAGE_BYTES)
            leaf_share(from++, to++, 0);
    }
}

static void mapping_drop(uint64_t root, const struct mapping *m)
{
    for (uint64_t a = m->start, next; a < m->end; a = next) {
        int large;
        uint64_t *entry = entry_find(root, a, 0, &large);
        next = (a & -(uint64_t)LARGE_BYTES) + LARGE_BYTES;
        for (uint64_t end = next < m->end ? next : m->end; entry && a < end; a += PAGE_BYTES, entry++) {
            if (*entry & PTE_P) {
                uint64_t frame = *entry & PTE_FRAME;
                *entry = 0;
                frame_drop(frame, large ? TABLE_ENTRIES : 1);
            }
            if (large)
                break;
        }
    }
}

static int vm_fork(struct wl *w)
{
    (void)w;
    int child = 0;
    while (child < WL_PROCESSES_MAX && spaces[child].root)
        child++;
    if (child == WL_PROCESSES_MAX)
        panic(NWG_PANIC_LIMIT);
    struct space *from = &spaces[current_space], *to = &spaces[child];
    to->root = root_new();
    for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
        to->mapping[i] = from->mapping[i];
        mapping_share(from->root, to->root, &from->mapping[i]);
    }
    cr3_write(from->root); /* the parent's writable translations are stale now */
    return child;
}

static void vm_switch_to(struct wl *w, int process)
{
    (void)w;
    param->switches++;
    current_space = process;
    cr3_write(spaces[process].root);
}

static void vm_exit(struct wl *w, int process)
{
    struct space *s = &spaces[process];
    (void)w;
    for (struct mapping *m = s->mapping; m < s->mapping + MAPPINGS_MAX; m++) {
        mapping_drop(s->root, m);
        m->start = m->end = 0;
    }
    tables_free(s->root);
    s->root = 0;
}

const struct wl_vm kernel_vm = { .base = NWG_HEAP_BASE + (UINT64_C(1) << 40), /* two PML4 slots above the heap */
                                 .map = vm_map,
                                 .unmap = vm_unmap,
                                 .protect = vm_protect,
                                 .fork = vm_fork,
                                 .switch_to = vm_switch_to,
                                 .exit = vm_exit };
