/* domain_translation_struct of debugfs. */
#include "reader.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

/* "Device 0000:00:02.0 @0x1017f8000", "Device 0000:00:0a.0 with pasid 1 @0x..." */
static bool device_line(const struct reader *r, struct nw_dump_mapping *m)
{
    uint16_t segment;
    if (r->count < 3 || strcmp(r->word[0], "Device") != 0 || !nw_reader_function(r->word[1], &segment, &m->source_id))
        return false;
    m->device++;
    m->has_pasid = r->count >= 5 && !strcmp(r->word[3], "pasid");
    m->pasid = m->has_pasid ? (uint32_t)strtoul(r->word[4], NULL, 16) : 0;
    return true;
}

/* Two runs are one when the second goes on where the first ends. */
static bool goes_on(const struct nw_dump_mapping *a, const struct nw_dump_mapping *b)
{
    return a->place.input == b->place.input && a->device == b->device && a->read == b->read && a->write == b->write &&
           a->iova + a->bytes == b->iova && a->target + a->bytes == b->target;
}

/* "0x<IOVA page> | PML5E PML4E PDPE [PDE [PTE]]": the last that is not 0 maps the page. Bits 0 and 1 are read and write in the entries of
 * the second stage, present and writable in those of the first. */
static enum nw_status mappings(struct reader *r, struct nw_error *err)
{
    static const unsigned size_log2[] = { 48, 39, 30, 21, 12 };
    struct nw_dump_mapping next = { .device = 0 };
    while (nw_reader_next(r)) {
        uint64_t page, entry = 0;
        unsigned columns = 0, level = 0;
        if (device_line(r, &next) || !r->count || strncmp(r->word[0], "0x", 2) != 0)
            continue;
        if (!next.device)
            return nw_reader_bad(r, err, "\"Device SSSS:BB:DD.F @...\" before the first row");
        bool sound = nw_reader_hex(r->word[0] + 2, &page) && page < NW_BIT(52);
        for (unsigned i = 1; i < r->count && sound && columns < NW_ARRAY_LEN(size_log2); i++) {
            uint64_t value;
            if (!strcmp(r->word[i], "|"))
                continue;
            sound = !strncmp(r->word[i], "0x", 2) && nw_reader_hex(r->word[i] + 2, &value);
            if (sound && value) {
                entry = value;
                level = columns;
            }
            columns++;
        }
        if (!sound || columns < 3 || (entry && level < 2))
            return nw_reader_bad(
                r, err,
                "an IOVA page and the entries PML5E, PML4E, PDPE, PDE, PTE, of which one of the last three maps");
        r->items++;
        if (!(entry & 3))
            continue;
        next.iova = page << 12;
        next.bytes = NW_BIT(size_log2[level]);
        next.target = entry & nw_mask(51, size_log2[level]);
        next.read = entry & 1;
        next.write = entry & 2;
        next.place = nw_reader_place(r);
        struct nw_dump_mapping *last = r->d->mappings ? &r->d->mapping[r->d->mappings - 1] : NULL;
        if (last && goes_on(last, &next)) {
            last->bytes += next.bytes;
            continue;
        }
        struct nw_dump_mapping *m = nw_reader_grow(&r->d->mapping, &r->d->mappings, sizeof *m);
        if (!m)
            return nw_fail_nomem(err, "the mappings of a dump");
        *m = next;
    }
    return NW_OK;
}

static bool begins(const struct reader *r)
{
    uint16_t segment, bdf;
    return r->count > 2 && !strcmp(r->word[0], "Device") && nw_reader_function(r->word[1], &segment, &bdf) &&
           strstr(r->line, "@0x");
}

const struct text_format nw_text_mappings = { .name = "domain_translation_struct",
                                              .begins = begins,
                                              .parse = mappings };
