/* How memory can be taken from a guest on this host, and what stands in the way of the other ways. */
#include "live_internal.h"
#include "swap_keeper.h"
#include "vm.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { SWAP_BYTES = 64 << 20, TMPFS = 0x01021994, RAMFS = (int)0x858458f6 };

static void note(struct nw_live_reclaim_host *host, const char *format, ...)
{
    va_list ap;
    if (host->notes == NW_RECLAIM_NOTES)
        return;
    va_start(ap, format);
    vsnprintf(host->note[host->notes++], sizeof *host->note, format, ap);
    va_end(ap);
}

/* ---- the ways ---- */

static bool host_swaps(void)
{
    char line[512];
    unsigned lines = 0;
    FILE *f = fopen("/proc/swaps", "re");
    while (f && fgets(line, sizeof line, f))
        lines++;
    if (f)
        fclose(f);
    return lines > 1;
}

static enum nw_status open_swap(struct nw_live_reclaim_host *host, struct nw_error *err)
{
    if (!host_swaps())
        return nw_fail(err, NW_ERR_ENV, "the host has no swap area in use (/proc/swaps)");
    snprintf(host->means, sizeof host->means, "swapping to what the host swaps to (/proc/swaps)");
    return NW_OK;
}

static enum nw_status open_file(struct nw_live_reclaim_host *host, const char *directory, struct nw_error *err)
{
    struct statfs fs;
    char path[1024];
    if (statfs(directory, &fs))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%s", directory);
    if (fs.f_type == TMPFS || (unsigned)fs.f_type == (unsigned)RAMFS)
        return nw_fail(err, NW_ERR_ENV, "%s lies in memory itself, so pages of a file there have nowhere to go",
                       directory);
    snprintf(path, sizeof path, "%s/nestwalk-guest-XXXXXX", directory);
    host->file = mkostemp(path, O_CLOEXEC);
    if (host->file < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%s", path);
    unlink(path);
    if (ftruncate(host->file, (off_t)LIVE_BYTES))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%llu MiB in %s", (unsigned long long)(LIVE_BYTES >> 20),
                             directory);
    snprintf(host->means, sizeof host->means, "a shared mapping of a file in %.160s, written back and dropped",
             directory);
    return NW_OK;
}

static enum nw_status open_way(struct nw_live_reclaim_host *host, enum nw_reclaim_way way, const char *directory,
                               struct nw_error *err)
{
    host->way = way;
    switch (way) {
    case NW_RECLAIM_ZRAM:
    case NW_RECLAIM_SWAP_FILE: return swap_keeper_start(host, way, directory, SWAP_BYTES, err);
    case NW_RECLAIM_SWAP: return open_swap(host, err);
    default: return open_file(host, directory, err);
    }
}

/* A memory cgroup would choose the victims itself; what is known of it is said, since people ask. */
static void note_cgroup(struct nw_live_reclaim_host *host)
{
    char text[256] = "";
    FILE *f = fopen("/sys/fs/cgroup/cgroup.controllers", "re");
    if (f && fgets(text, sizeof text, f) && strstr(text, "memory"))
        text[0] = 'm';
    else
        text[0] = 0;
    if (f)
        fclose(f);
    if (!text[0])
        note(
            host,
            "memory cgroup v2: not here (no memory controller in /sys/fs/cgroup/cgroup.controllers); not needed, pages "
            "are taken one by one");
}

enum nw_status nw_live_reclaim_open(struct nw_live_reclaim_host *host, enum nw_reclaim_way way, const char *directory,
                                    struct nw_error *err)
{
    *host = (struct nw_live_reclaim_host){ .file = -1, .keeper = -1, .told = -1 };
    struct utsname name;
    struct nw_error why = { 0 };
    if (!uname(&name))
        snprintf(host->release, sizeof host->release, "%s", name.release);
    vm_backend_detect(host->backend, sizeof host->backend);
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return nw_fail_errno(err, NW_ERR_UNSUPPORTED, errno, "/dev/kvm cannot be opened; a live guest needs KVM");
    close(kvm);
    note_cgroup(host);
    const int first = way ? (int)way : NW_RECLAIM_ANY + 1, last = way ? (int)way : NW_RECLAIM_WAYS - 1;
    for (int i = first; i <= last; i++) {
        if (!open_way(host, (enum nw_reclaim_way)i, directory, &why))
            return NW_OK;
        if (host->file >= 0)
            close(host->file);
        host->file = -1;
        note(host, "%s: %.200s", nw_reclaim_way_name[i], why.text);
    }
    return nw_fail(err, NW_ERR_UNSUPPORTED, "memory cannot be taken from a guest here%s%s; %s", way ? " by " : "",
                   way ? nw_reclaim_way_name[way] : "", why.text);
}

enum nw_status nw_live_reclaim_close(struct nw_live_reclaim_host *host, struct nw_error *err)
{
    if (host->file >= 0)
        close(host->file);
    host->file = -1;
    return swap_keeper_stop(host, err);
}
