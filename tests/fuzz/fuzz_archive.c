/* fuzz_archive.c - any bytes as an archive; and as a file in one, which has to come back as it went in. */
#include "fuzz.h"
#include <nestwalk/traces/archive.h>
#include <nestwalk/traces/input.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static enum nw_status sum(void *context, const char *member, const void *bytes, size_t size, struct nw_error *err)
{
    unsigned *total = context;
    (void)err;
    *total += (unsigned)strlen(member);
    for (size_t i = 0; i < size; i++)
        *total += ((const uint8_t *)bytes)[i];
    return NW_OK;
}

struct file {
    const uint8_t *bytes;
    size_t size, count;
};

static enum nw_status compare(void *context, const char *member, const void *bytes, size_t size, struct nw_error *err)
{
    struct file *f = context;
    (void)err;
    if (strcmp(member, "dir/file") != 0 || size != f->size || (size && memcmp(bytes, f->bytes, size)))
        abort();
    f->count++;
    return NW_OK;
}

static void and_back(const uint8_t *bytes, size_t size)
{
    struct nw_error err = { 0 };
    struct nw_archive *a;
    struct nw_input *in;
    struct file f = { bytes, size, 0 };
    void *packed;
    size_t packed_bytes, got;
    char path[64], *tar = malloc(size + (1 << 16));
    fuzz_must(nw_archive_begin(&a, &err));
    fuzz_must(nw_archive_put(a, "dir/file", bytes, size, &err));
    fuzz_must(nw_archive_end(a, &packed, &packed_bytes, &err));
    const int fd = memfd_create("archive", MFD_CLOEXEC);
    if (!tar || fd < 0 || write(fd, packed, packed_bytes) != (ssize_t)packed_bytes)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fuzz_must(nw_input_open(&in, path, &err));
    fuzz_must(nw_input_read(in, tar, size + (1 << 16), &got, &err));
    nw_input_close(in);
    close(fd);
    if (!nw_archive_recognise(tar, got))
        abort();
    fuzz_must(nw_archive_each(tar, got, "archive", compare, &f, &err));
    if (f.count != 1)
        abort();
    free(packed);
    free(tar);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_error err = { 0 };
    unsigned total = 0;
    const enum nw_status s = nw_archive_each(bytes, size, "input", sum, &total, &err);
    if (s != NW_OK && s != NW_ERR_INPUT)
        abort();
    and_back(bytes, size);
    return 0;
}
