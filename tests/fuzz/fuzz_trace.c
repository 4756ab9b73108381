/* fuzz_trace.c - any bytes as a trace file: of the container (first byte 0), or of one of the importers. */
#include "fuzz.h"
#include <nestwalk/traces/import.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void read_all(struct nw_source *source, struct nw_error *err)
{
    struct nw_block block;
    source->want = NW_WANT_ADDRESSES | NW_WANT_TOUCHES;
    while (nw_source_next(source, &block, err) == NW_OK && !block.end)
        ;
    nw_source_destroy(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct nw_error err = { 0 };
    struct nw_source *source = NULL;
    char path[64];
    if (!size)
        return 0;
    const size_t which = *bytes % (nw_importer_count + 1);
    if (which && nw_importers[which - 1].directory)
        return 0;
    const int fd = memfd_create("trace", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes + 1, size - 1) != (ssize_t)(size - 1))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (which) {
        if (nw_importers[which - 1].open(&source, path, &err) == NW_OK)
            read_all(source, &err);
    } else {
        struct nw_nwt_summary summary;
        if (nw_nwt_open(&source, path, &err) == NW_OK)
            read_all(source, &err);
        if (nw_nwt_verify(path, &summary, &err))
            (void)0;
    }
    close(fd);
    return 0;
}
