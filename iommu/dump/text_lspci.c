/* lspci -vvv. */
#include "reader.h"
#include <stdio.h>
#include <string.h>

static enum nw_status lspci(struct reader *r, struct nw_error *err)
{
    struct nw_dump_function *f = NULL;
    bool in_acs = false, in_ats = false;
    while (nw_reader_next(r)) {
        uint16_t segment, bdf;
        if (r->line[0] != ' ' && r->line[0] != '\t' && r->count && nw_reader_function(r->word[0], &segment, &bdf)) {
            f = nw_reader_grow(&r->d->function, &r->d->functions, sizeof *f);
            if (!f)
                return nw_fail_nomem(err, "the functions of a dump");
            *f = (struct nw_dump_function){ .segment = segment, .bdf = bdf, .place = nw_reader_place(r) };
            const char *what = r->line + strlen(r->word[0]);
            snprintf(f->what, sizeof f->what, "%.95s", what + strspn(what, " \t"));
            f->bridge = strstr(what, "bridge") || strstr(what, " 0604:") || strstr(what, "[0604]");
            for (size_t i = 0; i + 1 < r->d->functions; i++) {
                struct nw_dump_function *g = &r->d->function[i];
                if (g->segment == segment && (g->bdf ^ bdf) < 8)
                    g->multifunction = f->multifunction = true;
            }
            in_acs = in_ats = false;
            r->items++;
            continue;
        }
        if (!f)
            continue;
        if (strstr(r->line, "Root Port") || strstr(r->line, "Downstream Port"))
            f->pcie_port = true;
        if (strstr(r->line, "Capabilities:")) {
            in_acs = strstr(r->line, "Access Control Services");
            in_ats = strstr(r->line, "Address Translation Service");
            f->has_acs |= in_acs;
            f->has_ats |= in_ats;
        }
        const char *acs = in_acs ? strstr(r->line, "ACSCtl:") : NULL, *ats = in_ats ? strstr(r->line, "ATSCtl:") : NULL;
        if (acs)
            f->acs_isolates = strstr(acs, "SrcValid+") && strstr(acs, "ReqRedir+") && strstr(acs, "CmpltRedir+") &&
                              strstr(acs, "UpstreamFwd+");
        if (ats)
            f->ats_on = strstr(ats, "Enable+");
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    uint16_t segment, bdf;
    return r->line[0] != ' ' && r->line[0] != '\t' && r->count > 1 && nw_reader_function(r->word[0], &segment, &bdf);
}

const struct text_format nw_text_lspci = { .name = "lspci", .begins = begins, .parse = lspci };
