/* dmar_translation_struct of debugfs. */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "IOMMU dmar0: ..." begins a unit. */
static bool unit_line(struct reader *r)
{
    if (r->count < 2 || strcmp(r->word[0], "IOMMU") != 0)
        return false;
    snprintf(r->unit, sizeof r->unit, "%.*s", (int)(strcspn(r->word[1], ":") < 15 ? strcspn(r->word[1], ":") : 15),
             r->word[1]);
    return true;
}

/* "00:02.0  ROOT_HI:ROOT_LO  CTX_HI:CTX_LO  PASID  Q2:Q1:Q0" */
static enum nw_status translation(struct reader *r, struct nw_error *err)
{
    while (nw_reader_next(r)) {
        uint16_t segment, bdf;
        r->d->off |= strstr(r->line, "DMA Remapping is not enabled") != NULL;
        if (unit_line(r) || !r->count || !nw_reader_function(r->word[0], &segment, &bdf))
            continue;
        struct nw_dump_context *c = nw_reader_grow(&r->d->context, &r->d->contexts, sizeof *c);
        if (!c)
            return nw_fail_nomem(err, "the entries of a dump");
        memcpy(c->unit, r->unit, sizeof c->unit);
        c->source_id = bdf;
        c->place = nw_reader_place(r);
        if (r->count < 3 || !nw_reader_pair(r->word[1], &c->root[1], &c->root[0]) ||
            !nw_reader_pair(r->word[2], &c->context[1], &c->context[0]))
            return nw_reader_bad(r, err, "BB:DD.F, a root entry and a context entry, each HIGH:LOW");
        if (r->count >= 5 && strcmp(r->word[3], "-1") != 0) {
            const char *second = strchr(r->word[4], ':'), *third = second ? strchr(second + 1, ':') : NULL;
            c->has_pasid = true;
            c->pasid = (uint32_t)strtoul(r->word[3], NULL, 0);
            if (!third || !nw_reader_hex(r->word[4], &c->entry[2]) || !nw_reader_hex(second + 1, &c->entry[1]) ||
                !nw_reader_hex(third + 1, &c->entry[0]))
                return nw_reader_bad(r, err, "a PASID-table entry, WORD2:WORD1:WORD0");
        }
        r->items++;
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    return strstr(r->line, "Root Table Address:") || strstr(r->line, "DMA Remapping is not enabled");
}

const struct text_format nw_text_translation = { .name = "dmar_translation_struct",
                                                 .begins = begins,
                                                 .parse = translation };
