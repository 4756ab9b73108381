/* /proc/cpuinfo, of which the first processor is asked. */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>

/* "flags : fpu vme ... sev_snp ...": has the word. */
static bool has_flag(const char *line, const char *flag)
{
    const size_t length = strlen(flag);
    for (const char *at = strstr(line, flag); at; at = strstr(at + length, flag))
        if (at > line && (at[-1] == ' ' || at[-1] == '\t') && (!at[length] || at[length] == ' '))
            return true;
    return false;
}

static enum nw_status cpuinfo(struct reader *r, struct nw_error *err)
{
    bool flags = false;
    while (nw_reader_next(r)) {
        const char *colon = strchr(r->line, ':');
        if (!colon)
            continue;
        r->items++;
        if (!r->d->cpu.known)
            r->d->cpu.place = nw_reader_place(r);
        r->d->cpu.known = true;
        if (!strncmp(r->line, "address sizes", 13)) {
            r->d->cpu.physical_bits = (unsigned)strtoul(colon + 1, NULL, 10);
            if (r->d->cpu.physical_bits < 32 || r->d->cpu.physical_bits > 64)
                return nw_reader_bad(r, err, "\"address sizes : N bits physical, N bits virtual\" of 32 to 64 bits");
        }
        if (!strncmp(r->line, "flags", 5) && !flags) {
            flags = true;
            r->d->cpu.place = nw_reader_place(r);
            r->d->cpu.snp = has_flag(r->line, "sev_snp");
        }
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    return strchr(r->line, ':') && (!strncmp(r->line, "processor\t", 10) || !strncmp(r->line, "vendor_id\t", 10));
}

const struct text_format nw_text_cpuinfo = { .name = "cpuinfo", .begins = begins, .parse = cpuinfo };
