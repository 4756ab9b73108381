/* cmd_iommu_collect.c - `nestwalk iommu collect`: what a running machine says of its remapping units, in one archive. */
#include "internal.h"
#include "iommu_file.h"
#include "iommu_sysfs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nestwalk/reports/export.h>
#include <nestwalk/traces/archive.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPT_OUTPUT, OPT_ROOT };
static const struct nw_option options[] = {
    [OPT_OUTPUT] = { "output", 'o', "FILE.tar.zst|DIR", "The archive, or the new directory, to write." },
    [OPT_ROOT] = { "root", 'r', "DIR", "Read below this directory, which has proc and sys, rather than this machine." },
    { 0 },
};

enum { PATH_BYTES = 1024, DEPTH_MAX = 4, MEMBERS_MAX = 4096 };

/* ---- what was read ----------------------------------------------------------------------------------- */

struct member {
    char *name; /* "debugfs/intel/iommu_regset" */
    char *bytes;
    size_t size;
};
struct collection {
    const char *root; /* "" for this machine */
    struct member *member;
    size_t members;
    char *list; /* a line an item, as it is printed */
    size_t list_size;
    FILE *list_file;
    bool no_memory;
};

static NW_PRINTF(4, 5) void tell(struct collection *c, bool ok, const char *item, const char *format, ...)
{
    va_list ap;
    fprintf(c->list_file, "%-9s %-28s ", ok ? "read" : "not read", item);
    va_start(ap, format);
    vfprintf(c->list_file, format, ap);
    va_end(ap);
    fputc('\n', c->list_file);
}

/* Takes `bytes`, which malloc() made. */
static void keep(struct collection *c, const char *name, char *bytes, size_t size)
{
    struct member *more = c->members < MEMBERS_MAX ? realloc(c->member, (c->members + 1) * sizeof *more) : NULL;
    char *copy = more ? strdup(name) : NULL;
    if (more)
        c->member = more;
    if (!copy) {
        free(bytes);
        c->no_memory = true;
        return;
    }
    more[c->members++] = (struct member){ copy, bytes, size };
}

/* Why a file could not be read, for who reads the list. */
static const char *reason(int error)
{
    return error == EACCES || error == EPERM ? "permission denied; root may read it"
           : error == ENOENT                 ? "is not there"
                                             : strerror(error);
}

/* All of ROOT PATH; NULL with errno. */
static char *read_all(const struct collection *c, const char *path, size_t *size)
{
    char full[PATH_BYTES];
    struct nw_error err = { 0 };
    uint8_t *bytes;
    if (snprintf(full, sizeof full, "%s%s", c->root, path) >= (int)sizeof full) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    const int fd = open(full, O_RDONLY | O_CLOEXEC); /* for errno */
    if (fd < 0)
        return NULL;
    close(fd);
    errno = 0;
    if (iommu_file_read(full, &bytes, size, &err)) {
        errno = errno ? errno : EIO;
        return NULL;
    }
    return (char *)bytes;
}

static void take_file(struct collection *c, const char *name, const char *path, const char *absent)
{
    size_t size;
    char *bytes = read_all(c, path, &size);
    if (!bytes) {
        const int error = errno;
        tell(c, false, name, "%s: %s%s%s", path, reason(error), error == ENOENT && *absent ? "; " : "",
             error == ENOENT ? absent : "");
        return;
    }
    tell(c, true, name, "%zu bytes", size);
    keep(c, name, bytes, size);
}

/* ---- items ------------------------------------------------------------------------------------------- */

/* The regular files below a directory of debugfs, in order of their names; how many. */
static size_t take_tree(struct collection *c, const char *name, const char *path, unsigned depth)
{
    char full[PATH_BYTES];
    struct dirent **entry = NULL;
    size_t taken = 0;
    snprintf(full, sizeof full, "%s%s", c->root, path);
    const int count = scandir(full, &entry, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char below[PATH_BYTES], member[PATH_BYTES], place[PATH_BYTES];
        struct stat st;
        const bool fits = snprintf(below, sizeof below, "%s/%s", path, entry[i]->d_name) < (int)sizeof below &&
                          snprintf(member, sizeof member, "%s/%s", name, entry[i]->d_name) < (int)sizeof member &&
                          snprintf(place, sizeof place, "%s/%s", full, entry[i]->d_name) < (int)sizeof place;
        if (fits && entry[i]->d_name[0] != '.' && !lstat(place, &st)) {
            if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
                taken += take_tree(c, member, below, depth + 1);
            else if (S_ISREG(st.st_mode)) {
                take_file(c, member, below, "");
                taken++;
            }
        }
        free(entry[i]);
    }
    free(entry);
    return taken;
}

static void take_debugfs(struct collection *c, const char *vendor)
{
    char path[PATH_BYTES], full[PATH_BYTES], name[64];
    snprintf(name, sizeof name, "debugfs/%s", vendor);
    snprintf(path, sizeof path, "/sys/kernel/debug/iommu/%s", vendor);
    snprintf(full, sizeof full, "%s%s", c->root, path);
    DIR *d = opendir(full);
    if (!d) {
        const int error = errno;
        tell(c, false, name, "%s: %s%s", path, reason(error),
             error == ENOENT ? ": another vendor's units, or debugfs is not mounted, or a kernel without it" : "");
        return;
    }
    closedir(d);
    if (!take_tree(c, name, path, 0))
        tell(c, false, name, "%s: is empty", path);
}

/* This machine's ring buffer; below --root a file that stands for it. */
static void take_log(struct collection *c)
{
    enum { READ_ALL = 3, BUFFER_SIZE = 10 }; /* syslog(2) */
    if (*c->root) {
        take_file(c, "dmesg", "/var/log/dmesg", "");
        return;
    }
    const int room = klogctl(BUFFER_SIZE, NULL, 0);
    char *bytes = room > 0 ? malloc((size_t)room) : NULL;
    const int size = bytes ? klogctl(READ_ALL, bytes, room) : -1;
    if (size < 0) {
        tell(c, false, "dmesg", "the kernel's log: %s", reason(errno));
        free(bytes);
        return;
    }
    tell(c, true, "dmesg", "%d bytes", size);
    keep(c, "dmesg", bytes, (size_t)size);
}

static void take_iomem(struct collection *c)
{
    size_t size;
    char *bytes = read_all(c, "/proc/iomem", &size);
    if (!bytes) {
        tell(c, false, "iomem", "/proc/iomem: %s", reason(errno));
        return;
    }
    bool hidden = true;
    unsigned long long start, last;
    for (const char *line = bytes, *end = bytes + size; line && line < end;) {
        char copy[64];
        snprintf(copy, sizeof copy, "%.*s", (int)(end - line < 63 ? end - line : 63), line);
        hidden &= sscanf(copy, " %llx-%llx", &start, &last) != 2 || (!start && !last);
        line = memchr(line, '\n', (size_t)(end - line));
        line = line ? line + 1 : NULL;
    }
    if (hidden) {
        tell(c, false, "iomem", "/proc/iomem: its addresses are hidden; root may read them");
        free(bytes);
        return;
    }
    tell(c, true, "iomem", "%zu bytes", size);
    keep(c, "iomem", bytes, size);
}

/* The first processor, as the others say the same. */
static void take_cpuinfo(struct collection *c)
{
    size_t size;
    char *bytes = read_all(c, "/proc/cpuinfo", &size);
    if (!bytes) {
        tell(c, false, "cpuinfo", "/proc/cpuinfo: %s", reason(errno));
        return;
    }
    const char *end = memmem(bytes, size, "\n\n", 2);
    if (end)
        size = (size_t)(end - bytes) + 1;
    tell(c, true, "cpuinfo", "%zu bytes, of the first processor", size);
    keep(c, "cpuinfo", bytes, size);
}

static enum nw_status take_sysfs(struct collection *c, struct nw_error *err)
{
    struct iommu_sysfs sysfs;
    enum nw_status s = iommu_sysfs_read(c->root, &sysfs, err);
    if (s)
        return s;
    if (!sysfs.size) {
        tell(c, false, "sysfs", "/sys: no unit, group or PCI function is there");
        free(sysfs.text);
        return NW_OK;
    }
    tell(c, true, "sysfs", "%zu unit%s, %zu group%s, %zu PCI function%s", sysfs.units, sysfs.units == 1 ? "" : "s",
         sysfs.groups, sysfs.groups == 1 ? "" : "s", sysfs.functions, sysfs.functions == 1 ? "" : "s");
    if (sysfs.short_configs)
        tell(c, false, "capabilities",
             "of %zu PCI function%s: the first 64 bytes of configuration space were all; root may read the rest",
             sysfs.short_configs, sysfs.short_configs == 1 ? "" : "s");
    keep(c, "sysfs", sysfs.text, sysfs.size);
    return NW_OK;
}

static enum nw_status gather(struct collection *c, struct nw_error *err)
{
    static const char *const tables[] = { "DMAR", "IVRS", "APIC" };
    for (size_t i = 0; i < NW_ARRAY_LEN(tables); i++) {
        char name[32], path[64];
        snprintf(name, sizeof name, "acpi/%s", tables[i]);
        snprintf(path, sizeof path, "/sys/firmware/acpi/tables/%s", tables[i]);
        take_file(c, name, path,
                  strcmp(tables[i], "DMAR") ? strcmp(tables[i], "IVRS") ? "" : "the machine has no AMD-Vi, or it is off"
                                            : "the machine has no VT-d, or it is off");
    }
    take_debugfs(c, "intel");
    take_debugfs(c, "amd");
    take_log(c);
    const enum nw_status s = take_sysfs(c, err);
    if (s)
        return s;
    take_iomem(c);
    take_file(c, "cmdline", "/proc/cmdline", "");
    take_cpuinfo(c);
    take_file(c, "version", "/proc/version", "");
    return NW_OK;
}

/* ---- output ------------------------------------------------------------------------------------------ */

static bool is_archive_name(const char *path)
{
    const size_t length = strlen(path), suffix = strlen(".tar.zst");
    return length > suffix && !strcmp(path + length - suffix, ".tar.zst");
}

static enum nw_status write_archive(const struct collection *c, const char *path, struct nw_error *err)
{
    struct nw_archive *a;
    void *bytes = NULL;
    size_t size = 0;
    enum nw_status s = nw_archive_begin(&a, err);
    if (s)
        return s;
    for (size_t i = 0; i < c->members && !s; i++)
        s = nw_archive_put(a, c->member[i].name, c->member[i].bytes, c->member[i].size, err);
    if (s) {
        nw_archive_drop(a);
        return s;
    }
    if (!(s = nw_archive_end(a, &bytes, &size, err)))
        s = nw_report_write(path, bytes, size, err);
    free(bytes);
    return s;
}

/* The directories of "a/b/c" below `top`. */
static bool make_parents(const char *top, const char *name)
{
    char path[PATH_BYTES];
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        if (snprintf(path, sizeof path, "%s/%.*s", top, (int)(slash - name), name) >= (int)sizeof path)
            return false;
        if (mkdir(path, 0777) && errno != EEXIST)
            return false;
    }
    return true;
}

static void remove_tree(const struct collection *c, const char *top)
{
    char path[2 * PATH_BYTES];
    for (size_t i = 0; i < c->members; i++) {
        if (snprintf(path, sizeof path, "%s/%s", top, c->member[i].name) >= (int)sizeof path)
            continue;
        unlink(path);
        for (char *slash; (slash = strrchr(path, '/')) != NULL && slash > path + strlen(top);) {
            *slash = 0;
            rmdir(path);
        }
    }
    rmdir(top);
}

static enum nw_status write_directory(const struct collection *c, const char *path, struct nw_error *err)
{
    char top[PATH_BYTES], file[2 * PATH_BYTES];
    struct stat st;
    if (!lstat(path, &st))
        return nw_fail(err, NW_ERR_IO, "%s: is there already; a new directory is made", path);
    if (snprintf(top, sizeof top, "%s.XXXXXX", path) >= (int)sizeof top || !mkdtemp(top))
        return nw_fail_errno(err, NW_ERR_IO, errno, "cannot make %s", path);
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < c->members && !s; i++) {
        snprintf(file, sizeof file, "%s/%s", top, c->member[i].name);
        s = make_parents(top, c->member[i].name)
                ? nw_report_write(file, c->member[i].bytes, c->member[i].size, err)
                : nw_fail_errno(err, NW_ERR_IO, errno, "cannot make directories in %s", path);
    }
    mode_t mask = umask(0);
    umask(mask);
    if (!s && (chmod(top, 0777 & ~mask) || rename(top, path)))
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot make %s", path);
    if (s)
        remove_tree(c, top);
    return s;
}

/* ---- the command ------------------------------------------------------------------------------------- */

static enum nw_status collect(const char *root, const char *output, struct nw_error *err)
{
    struct collection c = { .root = strcmp(root, "/") ? root : "" };
    c.list_file = open_memstream(&c.list, &c.list_size);
    if (!c.list_file)
        return nw_fail_nomem(err, "the list of what was read");
    enum nw_status s = gather(&c, err);
    const size_t read = c.members;
    const bool lost = ferror(c.list_file) != 0;
    if ((fclose(c.list_file) || lost || c.no_memory) && !s)
        s = nw_fail_nomem(err, "what was read");
    if (!s && !read)
        s = nw_fail(err, NW_ERR_IO, "nothing could be read below %s:\n%s", *c.root ? c.root : "/", c.list);
    if (!s) {
        const char *list = c.list;
        keep(&c, "collected.txt", c.list, c.list_size);
        c.list = NULL;
        s = c.no_memory               ? nw_fail_nomem(err, "what was read")
            : is_archive_name(output) ? write_archive(&c, output, err)
                                      : write_directory(&c, output, err);
        if (!s)
            fputs(list, stdout);
    }
    for (size_t i = 0; i < c.members; i++) {
        free(c.member[i].name);
        free(c.member[i].bytes);
    }
    free(c.member);
    free(c.list);
    return s;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    const char *value, *output = NULL, *root = "/";
    struct nw_error err = { 0 };
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE)
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_OUTPUT: output = value; break;
        case OPT_ROOT: root = value; break;
        default: return nw_cli_usage(self, "takes no arguments, \"%s\" is one; -o names the output", value);
        }
    if (!output || !*output)
        return nw_cli_usage(self, "name the archive or directory to write, by --output");
    struct stat st;
    if (stat(root, &st) || !S_ISDIR(st.st_mode))
        return nw_cli_fail(self, nw_fail(&err, NW_ERR_INPUT, "%s: is no directory", root), &err);
    const enum nw_status s = collect(root, output, &err);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

const struct nw_command nw_cmd_iommu_collect = {
    .name = "iommu collect",
    .synopsis = "--output FILE.tar.zst|DIR [--root DIR]",
    .summary = "what a machine says of its remapping units, in one archive to be checked",
    .details =
        "Gathers the firmware's tables DMAR, IVRS and APIC, what debugfs has of the units, the kernel's log, of sysfs "
        "the "
        "units, groups and PCI functions with their configuration space (lspci is not needed), /proc/iomem, cmdline, "
        "version, and cpuinfo of one processor. A name that ends with .tar.zst is an archive, any other a new "
        "directory. "
        "Lists each item, and why it could not be read: an ordinary user gets a part, root all. Nothing is changed in "
        "the "
        "machine, and nothing is sent anywhere. The log and the command line may name disks, hosts and users: look "
        "before you pass the archive on.\n\n"
        "Exit status: 0 when something could be read, 4 when nothing could or the output cannot be written.",
    .examples = "nestwalk iommu collect -o machine.tar.zst\n"
                "nestwalk iommu check machine.tar.zst\n"
                "nestwalk iommu collect --root copy-of-a-root -o collected",
    .options = options,
    .run = run,
};
