#include <nestwalk/base/status.h>
#include <stdio.h>
#include <string.h>

enum nw_status nw_fail_v(struct nw_error *err, enum nw_status status, const char *format, va_list ap)
{
    if (err) {
        err->status = status;
        vsnprintf(err->text, sizeof err->text, format, ap);
    }
    return status;
}

enum nw_status nw_fail(struct nw_error *err, enum nw_status status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    nw_fail_v(err, status, format, ap);
    va_end(ap);
    return status;
}

enum nw_status nw_fail_errno(struct nw_error *err, enum nw_status status, int errnum, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    nw_fail_v(err, status, format, ap);
    va_end(ap);
    if (err) {
        size_t used = strlen(err->text);
        char buffer[128];
        /* The GNU form returns the text to use, which need not be `buffer`. */
        snprintf(err->text + used, sizeof err->text - used, ": %s", strerror_r(errnum, buffer, sizeof buffer));
    }
    return status;
}

enum nw_status nw_fail_nomem(struct nw_error *err, const char *what)
{
    return nw_fail(err, NW_ERR_NOMEM, "out of memory for %s", what);
}

void nw_error_context(struct nw_error *err, const char *format, ...)
{
    if (!err)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, format);
    vsnprintf(err->text, sizeof err->text, format, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %.*s", (int)(sizeof old - 1), old);
}

int nw_status_exit_code(enum nw_status status)
{
    switch (status) {
    case NW_OK: return 0;
    case NW_ERR_USAGE: return 2;
    case NW_ERR_INPUT: return 3;
    default: return 4;
    }
}
