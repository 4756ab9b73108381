/* ir_translation_struct of debugfs. */
#include "reader.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "Remapped Interrupt supported on IOMMU: dmar0", rows "INDEX BB:DD.F DST VECTOR HIGH LOW"; posted ones "INDEX BB:DD.F PDA_HIGH
 * PDA_LOW VECTOR HIGH LOW". */
static enum nw_status interrupts(struct reader *r, struct nw_error *err)
{
    bool posted = false;
    while (nw_reader_next(r)) {
        const char *unit = strstr(r->line, "supported on IOMMU:");
        uint16_t segment, bdf;
        if (unit) {
            posted = strstr(r->line, "Posted") != NULL;
            unit += strlen("supported on IOMMU:");
            unit += strspn(unit, " ");
            snprintf(r->unit, sizeof r->unit, "%.*s", (int)(strcspn(unit, " ") < 15 ? strcspn(unit, " ") : 15), unit);
            continue;
        }
        if (r->count < 6 || !isdigit((unsigned char)*r->word[0]) || !nw_reader_function(r->word[1], &segment, &bdf))
            continue;
        struct nw_dump_irte *e = nw_reader_grow(&r->d->irte, &r->d->irtes, sizeof *e);
        if (!e)
            return nw_fail_nomem(err, "the entries of a dump");
        memcpy(e->unit, r->unit, sizeof e->unit);
        e->index = (unsigned)strtoul(r->word[0], NULL, 10);
        e->posted = posted;
        e->place = nw_reader_place(r);
        if (!nw_reader_hex(r->word[r->count - 2], &e->word[1]) || !nw_reader_hex(r->word[r->count - 1], &e->word[0]))
            return nw_reader_bad(r, err, "an interrupt remapping entry, HIGH and LOW, at the end of the row");
        r->items++;
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    return strstr(r->line, "Interrupt supported on IOMMU:") || strstr(r->line, "Interrupt Remapping is not enabled");
}

const struct text_format nw_text_interrupts = { .name = "ir_translation_struct",
                                                .begins = begins,
                                                .parse = interrupts };
