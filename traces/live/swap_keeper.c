/* The child speaks in lines: '+' and what it made, or '-' and why it could not; after the end '-' and what is left behind. */
#include "swap_keeper.h"
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/base/addr.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZRAM_CONTROL "/sys/class/zram-control/"

struct area {
    char path[1024]; /* what is swapped to */
    int number;      /* of the zram device; -1: a file */
    bool made, on;
};

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const size_t length = strlen(text);
    const bool ok = write(fd, text, length) == (ssize_t)length;
    const int reason = errno;
    close(fd);
    errno = reason;
    return ok;
}

/* mkswap(8), version 1: the number of the last page and the signature at the end of the first page. */
static bool sign(const char *path, uint64_t bytes)
{
    char page[NW_PAGE_BYTES] = { 0 };
    const uint32_t head[] = { 1, (uint32_t)(bytes / NW_PAGE_BYTES - 1), 0 };
    memcpy(page + 1024, head, sizeof head);
    memcpy(page + sizeof page - 10, "SWAPSPACE2", 10);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const bool ok = pwrite(fd, page, sizeof page, 0) == (ssize_t)sizeof page && !fsync(fd);
    const int reason = errno;
    close(fd);
    errno = reason;
    return ok;
}

static bool make_zram(struct area *a, uint64_t bytes)
{
    char text[64], path[64];
    int fd = open(ZRAM_CONTROL "hot_add", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    const int reason = errno;
    close(fd);
    errno = reason;
    if (n <= 0)
        return false;
    text[n] = 0;
    a->number = atoi(text);
    a->made = true;
    snprintf(a->path, sizeof a->path, "/dev/zram%d", a->number);
    snprintf(path, sizeof path, "/sys/block/zram%d/disksize", a->number);
    snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    return put(path, text);
}

/* Every block of it written: a swap file has no holes. */
static bool make_file(struct area *a, const char *directory, uint64_t bytes)
{
    static const char zeros[1 << 16];
    snprintf(a->path, sizeof a->path, "%s/nestwalk-swap-XXXXXX", directory);
    int fd = mkostemp(a->path, O_CLOEXEC);
    if (fd < 0)
        return false;
    a->made = true;
    bool ok = true;
    for (uint64_t done = 0; done < bytes && ok; done += sizeof zeros)
        ok = write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros;
    ok = ok && !fsync(fd);
    const int reason = errno;
    close(fd);
    errno = reason;
    return ok;
}

/* Ahead of whatever the host has, so that the guest's pages come here. */
static bool make(struct area *a, enum nw_reclaim_way way, const char *directory, uint64_t bytes)
{
    *a = (struct area){ .number = -1 };
    if (way == NW_RECLAIM_ZRAM ? !make_zram(a, bytes) : !make_file(a, directory, bytes))
        return false;
    a->on = sign(a->path, bytes) && !swapon(a->path, SWAP_FLAG_PREFER | SWAP_FLAG_PRIO_MASK);
    return a->on;
}

static bool take_down(struct area *a)
{
    char path[64], number[16];
    bool ok = !a->on || !swapoff(a->path);
    if (!ok || !a->made)
        return ok;
    if (a->number < 0)
        return !unlink(a->path);
    snprintf(path, sizeof path, "/sys/block/zram%d/reset", a->number);
    snprintf(number, sizeof number, "%d", a->number);
    ok = put(path, "1");
    return put(ZRAM_CONTROL "hot_remove", number) && ok;
}

static void keep(int wait_for, int tell, enum nw_reclaim_way way, const char *directory, uint64_t bytes)
{
    struct area a;
    char byte;
    setsid(); /* Ctrl-C is for the other one */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (!make(&a, way, directory, bytes)) {
        const int reason = errno;
        const bool clean = take_down(&a);
        dprintf(tell, "-%s: %s%s%s\n", a.path[0] ? a.path : ZRAM_CONTROL "hot_add", strerror(reason),
                clean ? "" : "; left behind: ", clean ? "" : a.path);
        _exit(1);
    }
    dprintf(tell, "+%s, %llu MiB\n", a.path, (unsigned long long)(bytes >> 20));
    while (read(wait_for, &byte, 1) < 0 && errno == EINTR)
        ;
    if (take_down(&a))
        _exit(0);
    dprintf(tell, "-%s is left behind: %s\n", a.path, strerror(errno));
    _exit(1);
}

/* A line without its end; "" at the end. */
static void hear(int fd, char *out, size_t size)
{
    size_t used = 0;
    while (used + 1 < size) {
        ssize_t n = read(fd, out + used, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || out[used] == '\n')
            break;
        used++;
    }
    out[used] = 0;
}

static void reap(struct nw_live_reclaim_host *host)
{
    if (host->keeper >= 0)
        close(host->keeper);
    while (host->keeper_pid > 0 && waitpid((pid_t)host->keeper_pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (host->told >= 0)
        close(host->told);
    host->keeper = host->told = -1;
    host->keeper_pid = 0;
}

enum nw_status swap_keeper_start(struct nw_live_reclaim_host *host, enum nw_reclaim_way way, const char *directory,
                                 uint64_t bytes, struct nw_error *err)
{
    int to[2], from[2];
    char line[NW_RECLAIM_NOTE_BYTES];
    if (pipe2(to, O_CLOEXEC))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "pipe");
    if (pipe2(from, O_CLOEXEC)) {
        const int reason = errno;
        close(to[0]);
        close(to[1]);
        return nw_fail_errno(err, NW_ERR_ENV, reason, "pipe");
    }
    const pid_t child = fork();
    if (!child) {
        close(to[1]);
        close(from[0]);
        keep(to[0], from[1], way, directory, bytes);
    }
    const int reason = errno;
    close(to[0]);
    close(from[1]);
    host->keeper = to[1];
    host->told = from[0];
    host->keeper_pid = child;
    if (child < 0) {
        reap(host);
        return nw_fail_errno(err, NW_ERR_ENV, reason, "fork");
    }
    hear(host->told, line, sizeof line);
    if (line[0] != '+') {
        reap(host);
        return nw_fail(err, NW_ERR_ENV, "%s", line[0] ? line + 1 : "the process that makes the swap area died");
    }
    snprintf(host->means, sizeof host->means, "swapping to %.200s", line + 1);
    return NW_OK;
}

enum nw_status swap_keeper_stop(struct nw_live_reclaim_host *host, struct nw_error *err)
{
    char line[NW_RECLAIM_NOTE_BYTES];
    if (host->keeper < 0)
        return NW_OK;
    close(host->keeper);
    host->keeper = -1;
    hear(host->told, line, sizeof line);
    reap(host);
    return line[0] ? nw_fail(err, NW_ERR_ENV, "%s", line + 1) : NW_OK;
}
