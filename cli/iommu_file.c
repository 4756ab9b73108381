#include "iommu_file.h"
#include <nestwalk/traces/input.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 1 << 30 }; /* the mappings of a large domain, as text */

enum nw_status iommu_file_read(const char *path, uint8_t **bytes, size_t *size, struct nw_error *err)
{
    struct nw_input *in;
    enum nw_status s = nw_input_open(&in, path, err);
    uint8_t *buffer = NULL;
    size_t used = 0, room = 0, got = 1;
    if (s)
        return s;
    while (!s && got) {
        if (used == room) {
            room = room ? 2 * room : 65536;
            uint8_t *more = room <= FILE_BYTES_MAX ? realloc(buffer, room) : NULL;
            if (!more) {
                s = room <= FILE_BYTES_MAX
                        ? nw_fail_nomem(err, "a file")
                        : nw_fail(err, NW_ERR_INPUT,
                                  "%s: more than %d MiB; neither tables nor texts of a machine are that large", path,
                                  FILE_BYTES_MAX >> 20);
                break;
            }
            buffer = more;
        }
        s = nw_input_read(in, buffer + used, room - used, &got, err);
        used += got;
    }
    nw_input_close(in);
    if (s) {
        free(buffer);
        buffer = NULL;
    }
    *bytes = buffer;
    *size = used;
    return s;
}
