#include "iommu_sysfs.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, VALUE_BYTES = 4096, CONFIG_BYTES = 4096, CONFIG_ROW_BYTES = 64, HEADER_BYTES = 64 };

static const char units[] = "/sys/class/iommu", groups[] = "/sys/kernel/iommu_groups",
                  functions[] = "/sys/bus/pci/devices";

/* ---- growing text ------------------------------------------------------------------------------------ */

struct snapshot {
    struct iommu_sysfs *out;
    const char *root;
    size_t room;
    bool no_memory;
};

static NW_PRINTF(2, 3) void add(struct snapshot *s, const char *format, ...)
{
    char line[PATH_BYTES + VALUE_BYTES];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (n < 0 || s->no_memory)
        return;
    const size_t length = (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    if (s->out->size + length + 1 > s->room) {
        const size_t room = 2 * (s->room + length + 1);
        char *more = realloc(s->out->text, room);
        s->no_memory = !more;
        if (!more)
            return;
        s->out->text = more;
        s->room = room;
    }
    memcpy(s->out->text + s->out->size, line, length + 1);
    s->out->size += length;
}

/* ---- files ------------------------------------------------------------------------------------------- */

/* Bytes of ROOT PATH; below 0: it cannot be read. */
static ssize_t read_file(const struct snapshot *s, const char *path, char *to, size_t room)
{
    char full[PATH_BYTES];
    if (snprintf(full, sizeof full, "%s%s", s->root, path) >= (int)sizeof full)
        return -1;
    const int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    ssize_t got = 1;
    while (got > 0 && used < room && (got = read(fd, to + used, room - used)) > 0)
        used += (size_t)got;
    close(fd);
    return got < 0 && !used ? -1 : (ssize_t)used;
}

/* Each line of a file, as "PATH = LINE". */
static void add_file(struct snapshot *s, const char *path)
{
    char value[VALUE_BYTES], *save = NULL;
    const ssize_t size = read_file(s, path, value, sizeof value - 1);
    if (size < 0)
        return;
    value[size] = 0;
    for (char *line = strtok_r(value, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        for (char *p = line; *p; p++)
            if (!isprint((unsigned char)*p))
                *p = ' ';
        add(s, "%s = %s\n", path, line);
    }
}

/* Where a link leads, of that the last part. A copy of sysfs may have a file in its place. */
static void add_link(struct snapshot *s, const char *path)
{
    char full[PATH_BYTES], target[PATH_BYTES];
    if (snprintf(full, sizeof full, "%s%s", s->root, path) >= (int)sizeof full)
        return;
    const ssize_t length = readlink(full, target, sizeof target - 1);
    if (length < 0)
        return;
    target[length] = 0;
    const char *slash = strrchr(target, '/');
    add(s, "%s -> %s\n", path, slash ? slash + 1 : target);
}

static void add_config(struct snapshot *s, const char *path)
{
    char bytes[CONFIG_BYTES];
    const ssize_t size = read_file(s, path, bytes, sizeof bytes);
    s->out->short_configs += size > 0 && size <= HEADER_BYTES;
    for (ssize_t at = 0; at < size; at += CONFIG_ROW_BYTES) {
        char digits[2 * CONFIG_ROW_BYTES + 1] = "";
        bool some = !at || at + CONFIG_ROW_BYTES >= size; /* rows of zeros say nothing, but for how much there is */
        for (ssize_t i = at; i < size && i < at + CONFIG_ROW_BYTES; i++) {
            some |= bytes[i] != 0;
            snprintf(digits + 2 * (i - at), 3, "%02x", (unsigned char)bytes[i]);
        }
        if (some)
            add(s, "%s +0x%zx = %s\n", path, (size_t)at, digits);
    }
}

/* ---- directories ------------------------------------------------------------------------------------- */

static int by_name(const struct dirent **a, const struct dirent **b) { return strverscmp((*a)->d_name, (*b)->d_name); }

/* Calls `each` for what is in ROOT PATH; how many there were. */
static size_t for_each(struct snapshot *s, const char *path, void (*each)(struct snapshot *s, const char *path))
{
    char full[PATH_BYTES];
    struct dirent **entry = NULL;
    if (snprintf(full, sizeof full, "%s%s", s->root, path) >= (int)sizeof full)
        return 0;
    const int count = scandir(full, &entry, NULL, by_name);
    size_t told = 0;
    for (int i = 0; i < count; i++) {
        char name[PATH_BYTES];
        if (entry[i]->d_name[0] != '.' &&
            snprintf(name, sizeof name, "%s/%s", path, entry[i]->d_name) < (int)sizeof name) {
            each(s, name);
            told++;
        }
        free(entry[i]);
    }
    free(entry);
    return told;
}

static void add_files(struct snapshot *s, const char *path, const char *const *file, size_t count)
{
    char name[PATH_BYTES];
    for (size_t i = 0; i < count; i++)
        if (snprintf(name, sizeof name, "%s/%s", path, file[i]) < (int)sizeof name)
            add_file(s, name);
}

static void add_unit(struct snapshot *s, const char *path)
{
    static const char *const files[] = {
        "intel-iommu/address",           "intel-iommu/cap",          "intel-iommu/ecap", "intel-iommu/version",
        "intel-iommu/domains_supported", "intel-iommu/domains_used", "amd-iommu/cap",    "amd-iommu/features"
    };
    add_files(s, path, files, NW_ARRAY_LEN(files));
}

static void add_member(struct snapshot *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    add(s, "%.*s -> %s\n", (int)(slash - path), path, slash + 1);
}

static void add_group(struct snapshot *s, const char *path)
{
    static const char *const files[] = { "type", "reserved_regions" };
    char members[PATH_BYTES];
    add_files(s, path, files, NW_ARRAY_LEN(files));
    if (snprintf(members, sizeof members, "%s/devices", path) < (int)sizeof members)
        for_each(s, members, add_member);
}

static void add_function(struct snapshot *s, const char *path)
{
    static const char *const files[] = { "class",        "vendor",    "device",    "sriov_numvfs",   "sriov_offset",
                                         "sriov_stride", "removable", "untrusted", "external_facing" };
    static const char *const links[] = { "driver", "physfn", "iommu_group" };
    char name[PATH_BYTES];
    add_files(s, path, files, NW_ARRAY_LEN(files));
    for (size_t i = 0; i < NW_ARRAY_LEN(links); i++)
        if (snprintf(name, sizeof name, "%s/%s", path, links[i]) < (int)sizeof name)
            add_link(s, name);
    if (snprintf(name, sizeof name, "%s/config", path) < (int)sizeof name)
        add_config(s, name);
}

bool iommu_sysfs_recognise(const char *root)
{
    static const char *const places[] = { units, groups, functions };
    char full[PATH_BYTES];
    struct stat st;
    for (size_t i = 0; i < NW_ARRAY_LEN(places); i++)
        if (snprintf(full, sizeof full, "%s%s", root, places[i]) < (int)sizeof full && !stat(full, &st) &&
            S_ISDIR(st.st_mode))
            return true;
    return false;
}

enum nw_status iommu_sysfs_read(const char *root, struct iommu_sysfs *out, struct nw_error *err)
{
    *out = (struct iommu_sysfs){ .text = NULL };
    struct snapshot s = { .out = out, .root = strcmp(root, "/") ? root : "" };
    out->units = for_each(&s, units, add_unit);
    out->groups = for_each(&s, groups, add_group);
    out->functions = for_each(&s, functions, add_function);
    if (!s.no_memory)
        return NW_OK;
    free(out->text);
    *out = (struct iommu_sysfs){ .text = NULL };
    return nw_fail_nomem(err, "a snapshot of sysfs");
}
