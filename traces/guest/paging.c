/* paging.c - frames and page tables of the guest kernel.
 *
 * 4 KiB frames come from below and large ones from above, until they meet. Every frame has a count of the entries that map it;
 * table pages are frames held once. */
#include "kernel.h"

static uint64_t low_gpa, high_gpa, free_gpa; /* free_gpa: list of freed frames, linked through their first word */
static uint16_t *holders;
uint64_t zero_frame;

enum { TABLE_LEVELS = 4 };

void frames_init(void)
{
    uint64_t frames = param->memory_bytes / PAGE_BYTES,
             bytes = (frames * sizeof *holders + PAGE_BYTES - 1) & -(uint64_t)PAGE_BYTES;
    holders = (uint16_t *)param->free_gpa;
    low_gpa = param->free_gpa + bytes;
    high_gpa = param->memory_bytes & -(uint64_t)LARGE_BYTES;
    zero_frame = frame_alloc();
}

unsigned frame_holders(uint64_t gpa) { return holders[gpa / PAGE_BYTES]; }

uint64_t frame_alloc(void)
{
    uint64_t gpa = free_gpa;
    if (gpa) {
        free_gpa = *words_at(gpa);
    } else {
        if (low_gpa + PAGE_BYTES > high_gpa)
            panic(NWG_PANIC_MEMORY);
        gpa = low_gpa;
        low_gpa += PAGE_BYTES;
    }
    words_clear(words_at(gpa), TABLE_ENTRIES);
    holders[gpa / PAGE_BYTES] = 1;
    return gpa;
}

uint64_t frame_alloc_large(void)
{
    if (low_gpa + LARGE_BYTES > high_gpa)
        return 0;
    high_gpa -= LARGE_BYTES;
    frame_hold(high_gpa, TABLE_ENTRIES);
    return high_gpa;
}

void frame_hold(uint64_t gpa, uint64_t frames)
{
    if (gpa == zero_frame) /* never given back, and held more often than can be counted */
        return;
    for (uint64_t i = 0; i < frames; i++)
        holders[gpa / PAGE_BYTES + i]++;
}

void frame_drop(uint64_t gpa, uint64_t frames)
{
    if (gpa == zero_frame)
        return;
    for (uint64_t i = 0; i < frames; i++, gpa += PAGE_BYTES)
        if (!--holders[gpa / PAGE_BYTES]) {
            *words_at(gpa) = free_gpa;
            free_gpa = gpa;
        }
}

void invlpg(uint64_t address)
{
    param->invlpgs++;
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static uint64_t *slot_of(uint64_t table, uint64_t address, unsigned level)
{
    return words_at(table) + ((address >> (12 + 9 * level)) & (TABLE_ENTRIES - 1));
}

/* Level 0 is the last table. The entry of `address` in its table of `level`, descending from the root. */
static uint64_t *entry_at(uint64_t root, uint64_t address, unsigned level, int create, unsigned *found)
{
    uint64_t table = root;
    for (unsigned at = TABLE_LEVELS - 1;; at--) {
        uint64_t *entry = slot_of(table, address, at);
        if (at == level || (*entry & PTE_PS)) {
            *found = at;
            return entry;
        }
        if (!(*entry & PTE_P)) {
            if (!create)
                return NULL;
            *entry = frame_alloc() | PTE_P | PTE_W | PTE_A;
        }
        table = *entry & PTE_FRAME;
    }
}

uint64_t *entry_find(uint64_t root, uint64_t address, int create, int *large)
{
    unsigned found = 0;
    uint64_t *entry = entry_at(root, address, 0, create, &found);
    *large = entry && found == 1;
    return entry;
}

uint64_t *directory_entry(uint64_t root, uint64_t address, int create)
{
    unsigned found = 0;
    return entry_at(root, address, 1, create, &found);
}

void large_split(uint64_t *entry)
{
    uint64_t leaf = *entry & ~PTE_PS, table = frame_alloc();
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        words_at(table)[i] = leaf + (uint64_t)i * PAGE_BYTES;
    *entry = table | PTE_P | PTE_W | PTE_A;
}

/* Leaf tables hold nothing any more: they are not looked through. */
static void table_free(uint64_t table, unsigned level)
{
    for (unsigned i = 0; level && i < TABLE_ENTRIES; i++) {
        uint64_t entry = words_at(table)[i];
        if (entry & PTE_P)
            table_free(entry & PTE_FRAME, level - 1);
    }
    frame_drop(table, 1);
}

void tables_free(uint64_t root)
{
    for (unsigned i = 1; i < TABLE_ENTRIES - 1; i++) {
        uint64_t *entry = words_at(root) + i;
        if (!(*entry & PTE_P))
            continue;
        uint64_t table = *entry & PTE_FRAME;
        *entry = 0; /* first unlinked, then taken apart */
        table_free(table, TABLE_LEVELS - 2);
    }
    words_at(root)[0] = words_at(root)[TABLE_ENTRIES - 1] = 0;
    frame_drop(root, 1);
}
