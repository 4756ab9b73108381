#include <errno.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/physmem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const size_t REGION_BYTES = (size_t)1 << NW_REGION_LOG2;
static const size_t FANOUT = (size_t)1 << NW_PHYS_FANOUT_LOG2;

enum nw_status nw_physmem_create(struct nw_physmem **out, struct nw_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? NW_OK : nw_fail_nomem(err, "simulated physical memory");
}

void nw_physmem_destroy(struct nw_physmem *pm)
{
    if (!pm)
        return;
    for (size_t i = 0; i < FANOUT; i++) {
        if (!pm->region[i])
            continue;
        for (size_t j = 0; j < FANOUT; j++)
            if (pm->region[i][j])
                munmap(pm->region[i][j], REGION_BYTES);
        free(pm->region[i]);
    }
    free(pm);
}

enum nw_status nw_physmem_make(struct nw_physmem *pm, hpa_t address, uint64_t **out, struct nw_error *err)
{
    if (address.v >> NW_PHYS_BITS_MAX)
        return nw_fail(err, NW_ERR_INPUT, "physical address 0x%llx has more than %d bits",
                       (unsigned long long)address.v, NW_PHYS_BITS_MAX);
    uint64_t ***mid = &pm->region[address.v >> 39];
    if (!*mid && !(*mid = calloc(FANOUT, sizeof **mid)))
        return nw_fail_nomem(err, "simulated physical memory");
    uint64_t **base = &(*mid)[(address.v >> NW_REGION_LOG2) & (FANOUT - 1)];
    if (!*base) {
        void *region =
            mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (region == MAP_FAILED)
            return nw_fail_errno(err, NW_ERR_NOMEM, errno,
                                 "simulated physical memory at 0x%llx (%zu regions of 64 MiB mapped)",
                                 (unsigned long long)address.v, pm->mapped_regions);
        *base = region;
        pm->mapped_regions++;
    }
    *out = nw_physmem_find(pm, address);
    return NW_OK;
}

enum nw_status nw_physmem_map_file(struct nw_physmem *pm, hpa_t start, int fd, uint64_t offset, uint64_t bytes,
                                   struct nw_error *err)
{
    const uint64_t end = UINT64_C(1) << NW_PHYS_BITS_MAX;
    if ((start.v | offset | bytes) & (NW_PAGE_BYTES - 1) || start.v > end || bytes > end - start.v)
        return nw_fail(
            err, NW_ERR_INPUT,
            "a file at physical address 0x%llx, %llu bytes from %llu on; multiples of 4096 below 2^%d are allowed",
            (unsigned long long)start.v, (unsigned long long)bytes, (unsigned long long)offset, NW_PHYS_BITS_MAX);
    while (bytes) {
        const uint64_t within = start.v & (REGION_BYTES - 1);
        const uint64_t piece = bytes < REGION_BYTES - within ? bytes : REGION_BYTES - within;
        uint64_t *place;
        enum nw_status s = nw_physmem_make(pm, start, &place, err);
        if (s)
            return s;
        if (mmap(place, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset) ==
            MAP_FAILED)
            return nw_fail_errno(err, NW_ERR_IO, errno, "a file at physical address 0x%llx",
                                 (unsigned long long)start.v);
        start.v += piece;
        offset += piece;
        bytes -= piece;
    }
    return NW_OK;
}

enum nw_status nw_physmem_write_bytes(struct nw_physmem *pm, hpa_t address, unsigned bytes, uint64_t value,
                                      struct nw_error *err)
{
    unsigned low = (unsigned)(address.v & 7);
    if (bytes == 0 || low + bytes > 8)
        return nw_fail(err, NW_ERR_INPUT, "a write of %u bytes at 0x%llx crosses a 64-bit word", bytes,
                       (unsigned long long)address.v);
    uint64_t *word = NULL;
    enum nw_status s = nw_physmem_make(pm, address, &word, err);
    if (s)
        return s;
    uint64_t field = nw_mask(low * 8 + bytes * 8 - 1, low * 8);
    *word = (*word & ~field) | ((value << (low * 8)) & field);
    return NW_OK;
}

/* ---- frames ---- */

void nw_frames_init(struct nw_frames *f, uint64_t start_pfn, uint64_t end_pfn)
{
    memset(f, 0, sizeof *f);
    f->next_pfn = start_pfn;
    f->end_pfn = end_pfn;
}

void nw_frames_fini(struct nw_frames *f)
{
    free(f->free_pfn);
    free(f->gap);
    memset(f, 0, sizeof *f);
}

static enum nw_status grow(void **array, size_t *capacity, size_t needed, size_t element, struct nw_error *err)
{
    if (needed <= *capacity)
        return NW_OK;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *bigger = reallocarray(*array, wanted, element);
    if (!bigger)
        return nw_fail_nomem(err, "the frame allocator");
    *array = bigger;
    *capacity = wanted;
    return NW_OK;
}

/* One to one on each aligned block of 2^SCATTER_LOG2 frames: multiplication by an odd number and a shift that folds the upper half onto the lower. */
static uint64_t scatter(uint64_t pfn)
{
    enum { SCATTER_LOG2 = 18 };
    const uint64_t mask = (UINT64_C(1) << SCATTER_LOG2) - 1;
    uint64_t x = pfn & mask;
    for (unsigned round = 0; round < 3; round++) {
        x = x * UINT64_C(0x9e3779b97f4a7c15) & mask;
        x ^= x >> SCATTER_LOG2 / 2;
    }
    return (pfn & ~mask) | x;
}

static enum nw_status alloc_base_page(struct nw_frames *f, uint64_t *pfn_out, struct nw_error *err)
{
    if (f->free_count) {
        *pfn_out = f->free_pfn[--f->free_count];
    } else if (f->gap_count) {
        struct nw_frame_gap *gap = &f->gap[f->gap_count - 1];
        *pfn_out = gap->start_pfn++;
        if (gap->start_pfn == gap->end_pfn)
            f->gap_count--;
    } else if (f->next_pfn < f->end_pfn) {
        *pfn_out = f->scattered ? scatter(f->next_pfn) : f->next_pfn;
        f->next_pfn++;
    } else {
        return nw_fail(err, NW_ERR_NOMEM, "simulated memory is used up: all %llu frames of 4 KiB are in use",
                       (unsigned long long)f->allocated_pages);
    }
    f->allocated_pages++;
    return NW_OK;
}

enum nw_status nw_frames_alloc(struct nw_frames *f, unsigned page_log2, uint64_t *pfn_out, struct nw_error *err)
{
    if (page_log2 == NW_PAGE_LOG2)
        return alloc_base_page(f, pfn_out, err);
    uint64_t pages = UINT64_C(1) << (page_log2 - NW_PAGE_LOG2), start = nw_align_up(f->next_pfn, pages);
    if (start > f->end_pfn || f->end_pfn - start < pages)
        return nw_fail(err, NW_ERR_NOMEM, "simulated memory has no free run of %llu KiB (%llu frames of 4 KiB in use)",
                       (unsigned long long)(pages * 4), (unsigned long long)f->allocated_pages);
    if (start != f->next_pfn) {
        enum nw_status s = grow((void **)&f->gap, &f->gap_capacity, f->gap_count + 1, sizeof *f->gap, err);
        if (s)
            return s;
        f->gap[f->gap_count++] = (struct nw_frame_gap){ f->next_pfn, start };
    }
    *pfn_out = start;
    f->next_pfn = start + pages;
    f->allocated_pages += pages;
    return NW_OK;
}

enum nw_status nw_frames_free(struct nw_frames *f, unsigned page_log2, uint64_t pfn, struct nw_error *err)
{
    uint64_t pages = UINT64_C(1) << (page_log2 - NW_PAGE_LOG2);
    enum nw_status s;
    if (pages == 1) {
        if ((s = grow((void **)&f->free_pfn, &f->free_capacity, f->free_count + 1, sizeof *f->free_pfn, err)))
            return s;
        f->free_pfn[f->free_count++] = pfn;
    } else {
        if ((s = grow((void **)&f->gap, &f->gap_capacity, f->gap_count + 1, sizeof *f->gap, err)))
            return s;
        f->gap[f->gap_count++] = (struct nw_frame_gap){ pfn, pfn + pages };
    }
    f->allocated_pages -= pages;
    return NW_OK;
}
