/* What the host's side of a live guest's memory is made of. */
#include "live_internal.h"
#include "workingset/procfs.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#    define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/* Aligned to 2 MiB, for large pages and because the host's treatment of its mappings follows such borders: room is
 * taken first, and the ends are given back. */
static uint8_t *map_aligned(uint64_t bytes, int flags, int fd)
{
    const uint64_t step = UINT64_C(2) << 20;
    uint8_t *wide = mmap(NULL, bytes + step, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED)
        return MAP_FAILED;
    uint64_t skip = -(uintptr_t)wide & (step - 1);
    uint8_t *at = wide + skip;
    uint8_t *p = mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
    if (p == MAP_FAILED) {
        int reason = errno;
        munmap(wide, bytes + step);
        errno = reason;
        return MAP_FAILED;
    }
    if (skip)
        munmap(wide, skip);
    munmap(at + bytes, step - skip);
    return p;
}

/* Whether all of it is in pages of 2 MiB. A host that is short of them gives smaller ones without a word. */
static bool all_large(const uint8_t *p, uint64_t bytes)
{
    struct ws_process self;
    const struct ws_mapping all = { .start = (uintptr_t)p, .end = (uintptr_t)p + bytes };
    uint64_t large = 0;
    if (!ws_process_open(&self, "/proc", (uint64_t)getpid(), NULL))
        large = ws_process_sum(&self, "AnonHugePages", &all, 1);
    ws_process_close(&self);
    return large >= bytes;
}

enum nw_status live_memory_map(uint8_t **out, uint64_t bytes, enum live_backing backing, int file, struct nw_error *err)
{
    uint8_t *p = MAP_FAILED;
    int fd = -1;
    switch (backing) {
    case LIVE_PRIVATE_2M:
    case LIVE_PRIVATE_4K: p = map_aligned(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1); break;
    case LIVE_FILE_4K: p = map_aligned(bytes, MAP_SHARED, file); break;
    case LIVE_SHARED_4K:
        if ((fd = memfd_create("nestwalk guest", MFD_CLOEXEC)) >= 0 && !ftruncate(fd, (off_t)bytes))
            p = map_aligned(bytes, MAP_SHARED, fd);
    }
    int reason = errno;
    if (fd >= 0)
        close(fd);
    if (p == MAP_FAILED)
        return nw_fail_errno(err, NW_ERR_NOMEM, reason, "cannot map %llu MiB of guest memory",
                             (unsigned long long)(bytes >> 20));
    madvise(p, bytes, backing == LIVE_PRIVATE_2M ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(p, 0, bytes); /* KVM's prefetch takes only pages that are there */
    if (backing == LIVE_PRIVATE_2M && !all_large(p, bytes)) {
        madvise(p, bytes, MADV_COLLAPSE);
        if (!all_large(p, bytes)) {
            munmap(p, bytes);
            return nw_fail(err, NW_ERR_UNSUPPORTED,
                           "the host does not give %llu MiB in pages of 2 MiB now (they are turned off, or memory is "
                           "too fragmented)",
                           (unsigned long long)(bytes >> 20));
        }
    }
    *out = p;
    return NW_OK;
}
