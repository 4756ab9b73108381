/* Memory for chases over one size of page, and which frames it got. */
#include "measure_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/base/addr.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MAP_HUGE_1GB
#    define MAP_HUGE_1GB (30 << 26)
#endif

enum { PAGEMAP_BATCH = 4096 };
/* Linux, Documentation/admin-guide/mm/pagemap.rst: bits 0-54 are the frame, bit 63 says that the page is in memory. */
#define PAGEMAP_FRAME   ((UINT64_C(1) << 55) - 1)
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)

static bool refuse(char *why, const char *what)
{
    snprintf(why, NW_MEASURE_NOTE, "%s: %s", what, strerror(errno));
    return false;
}

/* How much of [at, at + bytes) lies in transparent huge pages, by /proc/self/smaps. */
static uint64_t huge_bytes(const void *at, uint64_t bytes)
{
    char line[256];
    uint64_t total = 0, kib, start = 0, end = 0;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && fgets(line, sizeof line, f)) {
        unsigned long first, last;
        if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
            start = first, end = last;
        else if (start < (uintptr_t)at + bytes && end > (uintptr_t)at && sscanf(line, "AnonHugePages: %lu", &kib) == 1)
            total += kib << 10;
    }
    if (f)
        fclose(f);
    return total;
}

static bool make_huge(struct region *r, char *why)
{
    if (madvise(r->base, r->bytes, MADV_HUGEPAGE))
        return refuse(why, "no 2 MiB pages, madvise(MADV_HUGEPAGE)");
    for (uint64_t at = 0; at < r->bytes; at += NW_PAGE_BYTES)
        *(volatile uint8_t *)(r->base + at) = 1;
    const uint64_t got = huge_bytes(r->base, r->bytes);
    if (got < r->bytes) {
        snprintf(why, NW_MEASURE_NOTE, "no 2 MiB pages: Linux gave them for %llu of %llu MiB",
                 (unsigned long long)(got >> 20), (unsigned long long)(r->bytes >> 20));
        return false;
    }
    return true;
}

bool region_make(struct region *r, enum nw_chase_pages pages, uint64_t bytes, char *why)
{
    const uint64_t align = UINT64_C(1) << (pages == NW_CHASE_2M ? NW_PAGE_2M_LOG2 : NW_PAGE_1G_LOG2);
    *r = (struct region){ .bytes = (bytes + align - 1) & ~(align - 1) };
    r->whole_bytes = r->bytes + (pages == NW_CHASE_1G ? 0 : align);
    const int huge = pages == NW_CHASE_1G ? MAP_HUGETLB | MAP_HUGE_1GB : MAP_NORESERVE;
    r->whole = mmap(NULL, r->whole_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | huge, -1, 0);
    if (r->whole == MAP_FAILED) {
        *r = (struct region){ 0 };
        return refuse(why, pages == NW_CHASE_1G ? "no 1 GiB page in the pool (it is left as it is)" : "no memory");
    }
    r->base = (uint8_t *)r->whole + (-(uintptr_t)r->whole & (align - 1));
    if (pages == NW_CHASE_4K && madvise(r->base, r->bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
        refuse(why, "4 KiB pages cannot be asked for");
    else if (pages != NW_CHASE_2M || make_huge(r, why))
        return true;
    region_free(r);
    return false;
}

void region_free(struct region *r)
{
    if (r->whole)
        munmap(r->whole, r->whole_bytes);
    *r = (struct region){ 0 };
}

static void add_frame(struct nw_frame_run *out, size_t *count, size_t room, struct nw_frame_run run)
{
    struct nw_frame_run *last = *count ? &out[*count - 1] : NULL;
    if (last && last->page + last->length == run.page && last->pfn + last->length == run.pfn)
        last->length++;
    else if (*count < room)
        out[(*count)++] = run;
}

size_t region_frames(const struct region *r, enum nw_chase_pages pages, struct nw_frame_run *out, size_t room,
                     bool *known)
{
    uint64_t word[PAGEMAP_BATCH];
    size_t count = 0;
    *known = false;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    for (uint64_t page = 0, end = r->bytes >> NW_PAGE_LOG2; page < end;) {
        const uint64_t here = ((uintptr_t)r->base >> NW_PAGE_LOG2) + page;
        const ssize_t got = pread(fd, word, sizeof word, (off_t)(here * sizeof *word));
        if (got <= 0)
            break;
        for (size_t i = 0; i < (size_t)got / sizeof *word && page < end; i++, page++)
            if ((word[i] & PAGEMAP_PRESENT) && (word[i] & PAGEMAP_FRAME)) {
                *known = true;
                add_frame(
                    out, &count, room,
                    (struct nw_frame_run){ .pages = pages, .page = page, .pfn = word[i] & PAGEMAP_FRAME, .length = 1 });
            }
    }
    close(fd);
    return count;
}
