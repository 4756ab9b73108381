/* result_files.c - see result_files.h. */
#include "result_files.h"
#include <errno.h>
#include <libgen.h>
#include <nestwalk/reports/export.h>
#include <stdlib.h>
#include <unistd.h>

enum nw_status nw_cli_check_writable(const char *path, struct nw_error *err)
{
    if (!path || nw_cli_is_stdout(path))
        return NW_OK;
    char *copy = strdup(path);
    if (!copy)
        return nw_fail_nomem(err, "a file name");
    enum nw_status s = NW_OK;
    if (access(dirname(copy), W_OK))
        s = nw_fail_errno(err, NW_ERR_IO, errno, "cannot write %s", path);
    free(copy);
    return s;
}

enum nw_status nw_cli_write_text(char *text, const char *path, struct nw_error *err)
{
    enum nw_status s = nw_report_write(path, text, strlen(text), err);
    free(text);
    return s;
}
