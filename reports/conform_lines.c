#include "conform_internal.h"
#include <errno.h>
#include <stdlib.h>

enum nw_status conform_lines_open(struct conform_lines *l, const char *path, struct nw_error *err)
{
    *l = (struct conform_lines){ .path = path, .file = fopen(path, "re") };
    return l->file ? NW_OK : nw_fail_errno(err, NW_ERR_IO, errno, "%s", path);
}

enum nw_status conform_lines_next(struct conform_lines *l, const char **line, size_t *bytes, struct nw_error *err)
{
    errno = 0;
    ssize_t got = getline(&l->line, &l->capacity, l->file);
    *line = NULL;
    if (got < 0)
        return ferror(l->file) ? nw_fail_errno(err, NW_ERR_IO, errno, "%s", l->path) : NW_OK;
    while (got && (l->line[got - 1] == '\n' || l->line[got - 1] == '\r'))
        l->line[--got] = 0;
    *line = l->line;
    *bytes = (size_t)got;
    return NW_OK;
}

void conform_lines_close(struct conform_lines *l)
{
    free(l->line);
    fclose(l->file);
    *l = (struct conform_lines){ 0 };
}
