#include "iommu_inputs.h"
#include "iommu_file.h"
#include "iommu_sysfs.h"
#include <dirent.h>
#include <errno.h>
#include <nestwalk/traces/archive.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DIRECTORY_DEPTH_MAX = 8, PATH_BYTES = 4096 };

/* Room for one more in a list of pointers or structs. */
static void *more_room(void *array, size_t count, size_t bytes)
{
    void **a = array;
    void *more = realloc(*a, (count + 1) * bytes);
    if (more)
        *a = more;
    return more;
}

/* A name that lives as long as the inputs. */
static const char *keep_name(struct iommu_inputs *in, const char *name, struct nw_error *err)
{
    char *copy = strdup(name);
    if (!copy || !more_room(&in->name, in->names, sizeof *in->name)) {
        free(copy);
        (void)!nw_fail_nomem(err, "the list of inputs");
        return NULL;
    }
    return in->name[in->names++] = copy;
}

static struct nw_checked_input *add_input(struct iommu_inputs *in, struct nw_acpi_table *table, struct nw_error *err)
{
    if (!more_room(&in->at, in->count, sizeof *in->at) || !more_room(&in->text, in->count, sizeof *in->text) ||
        !more_room(&in->table, in->count, sizeof *in->table)) {
        (void)!nw_fail_nomem(err, "the list of inputs");
        return NULL;
    }
    in->text[in->count] = !table;
    in->table[in->count] = table;
    return &in->at[in->count++];
}

enum nw_status iommu_inputs_append(struct iommu_inputs *in, const struct nw_checked_input *judged, struct nw_error *err)
{
    struct nw_checked_input *input = add_input(in, NULL, err);
    if (!input)
        return NW_ERR_NOMEM;
    *input = *judged;
    in->text[input - in->at] = false;
    return NW_OK;
}

/* A text of a running machine: its facts are judged when all are there. */
static enum nw_status take_text(struct iommu_inputs *in, const char *name, const char *text, size_t size,
                                struct nw_error *err)
{
    struct nw_checked_input *input = add_input(in, NULL, err);
    if (!input)
        return NW_ERR_NOMEM;
    *input = (struct nw_checked_input){ .file = name, .kind = nw_dump_recognise(text, size) };
    return nw_dump_add(&in->dump, text, size, name, (unsigned)(in->count - 1), &input->structures, err);
}

static enum nw_status take_table(struct iommu_inputs *in, const char *name, struct nw_acpi_table *table,
                                 struct nw_error *err)
{
    struct nw_checked_input *input = add_input(in, table, err);
    if (!input)
        return NW_ERR_NOMEM;
    *input = (struct nw_checked_input){ .file = name, .kind = nw_acpi_kind_name(table->kind), .line = table->line };
    return nw_dump_add_table(&in->dump, table, (unsigned)(in->count - 1), err);
}

static enum nw_status take_tables(struct iommu_inputs *in, const char *name, const void *bytes, size_t size,
                                  struct nw_error *err)
{
    struct nw_acpi_file file = { 0 };
    enum nw_status s = nw_acpi_load(bytes, size, name, &file, err);
    if (s)
        return s;
    if (!more_room(&in->file, in->files, sizeof *in->file)) {
        nw_acpi_file_fini(&file);
        return nw_fail_nomem(err, "the list of inputs");
    }
    in->file[in->files++] = file;
    for (size_t i = 0; i < file.count && !s; i++)
        s = take_table(in, name, &file.table[i], err);
    for (size_t i = 0; i < file.madts && !s; i++)
        s = take_table(in, name, &file.madt[i], err);
    return s;
}

static enum nw_status take_bytes(struct iommu_inputs *in, const char *name, const void *bytes, size_t size,
                                 struct nw_error *err)
{
    name = keep_name(in, name, err);
    if (!name)
        return NW_ERR_NOMEM;
    return nw_dump_recognise(bytes, size) ? take_text(in, name, bytes, size, err)
                                          : take_tables(in, name, bytes, size, err);
}

/* ---- several in one ---------------------------------------------------------------------------------- */

/* What has none of the forms that are known, such as a remark beside the others, is passed over. */
static bool is_known(const char *bytes, size_t size)
{
    return nw_dump_recognise(bytes, size) ||
           (size >= 4 && (!memcmp(bytes, "DMAR", 4) || !memcmp(bytes, "IVRS", 4) || !memcmp(bytes, "APIC", 4)));
}

struct members {
    struct iommu_inputs *in;
    const char *archive;
    size_t taken;
};

static enum nw_status take_member(void *context, const char *member, const void *bytes, size_t size,
                                  struct nw_error *err)
{
    struct members *m = context;
    char name[PATH_BYTES];
    if (!is_known(bytes, size))
        return NW_OK;
    snprintf(name, sizeof name, "%s:%s", m->archive, member);
    m->taken++;
    return take_bytes(m->in, name, bytes, size, err);
}

static enum nw_status take_archive(struct iommu_inputs *in, const char *path, const void *bytes, size_t size,
                                   struct nw_error *err)
{
    struct members m = { in, path, 0 };
    enum nw_status s = nw_archive_each(bytes, size, path, take_member, &m, err);
    if (!s && !m.taken)
        s = nw_fail(err, NW_ERR_INPUT, "%s: no file in the archive has a table or text that is known here", path);
    return s;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static enum nw_status take_directory(struct iommu_inputs *in, const char *path, unsigned depth, size_t *taken,
                                     struct nw_error *err)
{
    struct dirent **entry = NULL;
    const int count = scandir(path, &entry, NULL, by_name);
    enum nw_status s = NW_OK;
    if (count < 0)
        return nw_fail_errno(err, NW_ERR_INPUT, errno, "%s: cannot read", path);
    for (int i = 0; i < count; i++) {
        char name[PATH_BYTES];
        struct stat st;
        const bool fits = snprintf(name, sizeof name, "%s/%s", path, entry[i]->d_name) < (int)sizeof name;
        if (!s && fits && entry[i]->d_name[0] != '.' && !lstat(name, &st)) {
            uint8_t *bytes = NULL;
            size_t size = 0;
            if (S_ISDIR(st.st_mode) && depth < DIRECTORY_DEPTH_MAX)
                s = take_directory(in, name, depth + 1, taken, err);
            else if (S_ISREG(st.st_mode))
                s = iommu_file_read(name, &bytes, &size, err);
            if (!s && bytes && is_known((const char *)bytes, size)) {
                s = take_bytes(in, name, bytes, size, err);
                ++*taken;
            }
            free(bytes);
        }
        free(entry[i]);
    }
    free(entry);
    return s;
}

/* A copy of sysfs, as the text that `nestwalk iommu collect` makes of it. */
static enum nw_status take_sysfs(struct iommu_inputs *in, const char *path, size_t *taken, struct nw_error *err)
{
    struct iommu_sysfs sysfs;
    char name[PATH_BYTES];
    enum nw_status s = iommu_sysfs_read(path, &sysfs, err);
    if (s)
        return s;
    snprintf(name, sizeof name, "%s/sys", path);
    if (sysfs.size) {
        s = take_bytes(in, name, sysfs.text, sysfs.size, err);
        ++*taken;
    }
    free(sysfs.text);
    return s;
}

enum nw_status iommu_inputs_add(struct iommu_inputs *in, const char *path, struct nw_error *err)
{
    uint8_t *bytes;
    size_t size, taken = 0;
    struct stat st;
    enum nw_status s;
    if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
        struct stat root;
        if (!stat("/", &root) && root.st_dev == st.st_dev && root.st_ino == st.st_ino)
            return nw_fail(err, NW_ERR_INPUT,
                           "%s: is a running system; nestwalk iommu collect takes what is needed of it", path);
        s = take_directory(in, path, 0, &taken, err);
        if (!s && iommu_sysfs_recognise(path))
            s = take_sysfs(in, path, &taken, err);
        return s || taken ? s
                          : nw_fail(err, NW_ERR_INPUT,
                                    "%s: no file in the directory has a table or text that is known here", path);
    }
    s = iommu_file_read(path, &bytes, &size, err);
    if (s)
        return s;
    s = nw_archive_recognise(bytes, size) ? take_archive(in, path, bytes, size, err)
                                          : take_bytes(in, path, bytes, size, err);
    free(bytes);
    return s;
}

/* ---- judgement --------------------------------------------------------------------------------------- */

enum nw_status iommu_inputs_judge(struct iommu_inputs *in, struct nw_error *err)
{
    struct nw_iommu_findings *of = calloc(in->count + 1, sizeof *of);
    if (!of)
        return nw_fail_nomem(err, "the findings");
    enum nw_status s = nw_iommu_check_dumps(&in->dump, of, in->count, err);
    for (size_t i = 0; i < in->count && !s; i++) {
        struct nw_checked_input *input = &in->at[i];
        input->first = in->found.count;
        if (in->table[i])
            s = nw_iommu_check_table(in->table[i], &in->found, &input->structures, err);
        if (!s)
            s = nw_iommu_findings_add(&in->found, &of[i], err);
        nw_iommu_findings_sort(&in->found, input->first);
        input->count = in->found.count - input->first;
    }
    for (size_t i = 0; i < in->count; i++)
        nw_iommu_findings_fini(&of[i]);
    free(of);
    return s;
}

void iommu_inputs_fini(struct iommu_inputs *in)
{
    nw_iommu_findings_fini(&in->found);
    nw_dump_fini(&in->dump);
    for (size_t i = 0; i < in->files; i++)
        nw_acpi_file_fini(&in->file[i]);
    for (size_t i = 0; i < in->names; i++)
        free(in->name[i]);
    free(in->file);
    free(in->name);
    free(in->at);
    free(in->text);
    free(in->table);
    *in = (struct iommu_inputs){ .count = 0 };
}
