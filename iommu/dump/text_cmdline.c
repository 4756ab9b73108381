/* /proc/cmdline. */
#include "reader.h"
#include <stdio.h>
#include <string.h>

static enum nw_status cmdline(struct reader *r, struct nw_error *err)
{
    while (nw_reader_next(r)) {
        char *save = NULL;
        for (char *w = strtok_r(r->line, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
            struct nw_dump_option *o = nw_reader_grow(&r->d->option, &r->d->options, sizeof *o);
            if (!o)
                return nw_fail_nomem(err, "the options of a dump");
            snprintf(o->text, sizeof o->text, "%.95s", w);
            o->place = nw_reader_place(r);
            r->items++;
        }
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    static const char *const options[] = { "BOOT_IMAGE=", "root=", "iommu=", "console=", "panic=", "init=", "quiet" };
    for (size_t i = 0; i < NW_ARRAY_LEN(options); i++) {
        const char *at = strstr(r->line, options[i]);
        if (at && (at == r->line || at[-1] == ' ' || at[-1] == '_'))
            return true;
    }
    return false;
}

const struct text_format nw_text_cmdline = { .name = "cmdline", .begins = begins, .parse = cmdline };
