#include "procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nestwalk/base/addr.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- decoders ---- */

bool ws_mapping_parse(const char *line, struct ws_mapping *out)
{
    char rights[5] = "";
    int name = 0;
    *out = (struct ws_mapping){ 0 };
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &out->start, &out->end, rights, &name) < 3 || !name)
        return false;
    if (out->start >= out->end || out->start % NW_PAGE_BYTES || out->end % NW_PAGE_BYTES || strlen(rights) != 4)
        return false;
    out->writable = rights[1] == 'w';
    snprintf(out->name, sizeof out->name, "%.*s", (int)strcspn(line + name, "\n"), line + name);
    return true;
}

bool ws_field_parse(const char *line, const char *field, uint64_t *bytes)
{
    uint64_t kib;
    char unit[3] = "";
    const size_t length = strlen(field);
    if (strncmp(line, field, length) != 0 || sscanf(line + length, ": %" SCNu64 " %2s", &kib, unit) != 2 ||
        strcmp(unit, "kB") != 0)
        return false;
    *bytes = kib * 1024;
    return true;
}

/* ---- a process ---- */

static FILE *file_of(const struct ws_process *p, const char *name)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", p->directory, name);
    return fopen(path, "re");
}

static int open_of(const char *directory, const char *name, int flags)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return open(path, flags | O_CLOEXEC);
}

enum nw_status ws_process_open(struct ws_process *p, const char *proc, uint64_t pid, struct nw_error *err)
{
    *p = (struct ws_process){ .pid = pid, .pagemap = -1, .kpageflags = -1, .memory = -1 };
    snprintf(p->proc, sizeof p->proc, "%s", proc);
    snprintf(p->directory, sizeof p->directory, "%s/%" PRIu64, p->proc, pid);
    if (!ws_process_alive(p)) {
        if (errno == EACCES || errno == EPERM)
            return nw_fail_errno(err, NW_ERR_ENV, errno, "process %" PRIu64 " is not ours to look at", pid);
        return nw_fail(err, NW_ERR_USAGE, "no process has the number %" PRIu64, pid);
    }
    p->pagemap = open_of(p->directory, "pagemap", O_RDONLY);
    if (p->pagemap < 0)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%s/pagemap", p->directory);
    p->kpageflags =
        open_of(p->proc, "kpageflags", O_RDONLY); /* root only; what is lost without it is the caller's to say */
    return NW_OK;
}

bool ws_process_open_memory(struct ws_process *p)
{
    p->memory = open_of(p->directory, "mem", O_RDONLY);
    return p->memory >= 0;
}

bool ws_process_page(const struct ws_process *p, uint64_t address, void *out)
{
    return pread(p->memory, out, NW_PAGE_BYTES, (off_t)address) == NW_PAGE_BYTES;
}

void ws_process_close(struct ws_process *p)
{
    if (p->memory >= 0)
        close(p->memory);
    if (p->pagemap >= 0)
        close(p->pagemap);
    if (p->kpageflags >= 0)
        close(p->kpageflags);
    p->pagemap = p->kpageflags = p->memory = -1;
}

/* A zombie has a directory still, and no memory. Sets errno. */
bool ws_process_alive(const struct ws_process *p)
{
    errno = 0;
    FILE *f = file_of(p, "maps");
    if (!f)
        return false;
    const bool alive = fgetc(f) != EOF;
    const int reason = errno;
    fclose(f);
    errno = reason;
    return alive;
}

void ws_process_name(const struct ws_process *p, char *out, size_t size)
{
    FILE *f = file_of(p, "comm");
    out[0] = 0;
    if (f && fgets(out, (int)size, f))
        out[strcspn(out, "\n")] = 0;
    if (f)
        fclose(f);
}

bool ws_process_has_kvm(const struct ws_process *p)
{
    char path[320], target[64];
    snprintf(path, sizeof path, "%s/fd", p->directory);
    DIR *fds = opendir(path);
    bool has = false;
    for (struct dirent *e; fds && !has && (e = readdir(fds));) {
        ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        has = !strcmp(target, "anon_inode:kvm-vm");
    }
    if (fds)
        closedir(fds);
    return has;
}

enum nw_status ws_process_mappings(const struct ws_process *p, struct ws_mapping **out, size_t *count,
                                   struct nw_error *err)
{
    char line[4096];
    size_t room = 0;
    struct ws_mapping *list = NULL, m;
    FILE *f = file_of(p, "maps");
    *count = 0;
    if (!f)
        return nw_fail_errno(err, NW_ERR_ENV, errno, "%s/maps", p->directory);
    while (fgets(line, sizeof line, f)) {
        if (!ws_mapping_parse(line, &m))
            continue;
        if (*count == room) {
            void *grown = realloc(list, (room = room ? room * 2 : 64) * sizeof *list);
            if (!grown) {
                free(list);
                fclose(f);
                return nw_fail_nomem(err, "the process's mappings");
            }
            list = grown;
        }
        list[(*count)++] = m;
    }
    fclose(f);
    *out = list;
    return NW_OK;
}

bool ws_process_clear(const struct ws_process *p, char what)
{
    int fd = open_of(p->directory, "clear_refs", O_WRONLY);
    if (fd < 0)
        return false;
    ssize_t n = write(fd, &what, 1);
    int reason = errno;
    close(fd);
    errno = reason;
    return n == 1;
}

enum nw_status ws_process_pagemap(const struct ws_process *p, uint64_t address, uint64_t *entry, size_t pages,
                                  size_t *got, struct nw_error *err)
{
    const size_t bytes = pages * sizeof *entry;
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(p->pagemap, (char *)entry + done, bytes - done,
                          (off_t)(address / NW_PAGE_BYTES * sizeof *entry + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ESRCH)
            return nw_fail_errno(err, NW_ERR_ENV, errno, "%s/pagemap", p->directory);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    *got = done / sizeof *entry;
    return NW_OK;
}

uint64_t ws_process_sum(const struct ws_process *p, const char *field, const struct ws_mapping *range, size_t ranges)
{
    char line[4096];
    struct ws_mapping m;
    bool inside = false;
    size_t at = 0; /* the first range that does not end before the mapping */
    uint64_t sum = 0, bytes;
    FILE *f = file_of(p, "smaps");
    while (f && fgets(line, sizeof line, f))
        if (ws_mapping_parse(line, &m)) {
            while (at < ranges && range[at].end <= m.start)
                at++;
            inside = at < ranges && m.start >= range[at].start && m.end <= range[at].end;
        } else if (inside && ws_field_parse(line, field, &bytes)) {
            sum += bytes;
        }
    if (f)
        fclose(f);
    return sum;
}

void ws_words_read(int fd, uint64_t first, uint64_t *out, size_t count)
{
    ssize_t n = pread(fd, out, count * sizeof *out, (off_t)(first * sizeof *out));
    const size_t got = n > 0 ? (size_t)n / sizeof *out : 0;
    memset(out + got, 0, (count - got) * sizeof *out);
}
