/* domain_translation_struct of debugfs. */
#include "reader.h"
#include <ctype.h>
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

/* Kernels with one text for all devices print PASIDs in decimal (Linux 5.x), those with a text for each device and PASID in
 * hexadecimal. A text of several devices is taken for one of the former, unless one of its PASIDs has a letter. */
static int pasid_radix(const struct reader *r)
{
    static const char device[] = "\nDevice ", with[] = " with pasid ";
    const size_t size = (size_t)(r->end - r->at);
    unsigned devices = size >= 7 && !memcmp(r->at, device + 1, 7);
    for (const char *at = r->at; (at = memmem(at, (size_t)(r->end - at), device, sizeof device - 1)); at++)
        devices++;
    for (const char *at = r->at; (at = memmem(at, (size_t)(r->end - at), with, sizeof with - 1));) {
        at += sizeof with - 1;
        for (; at < r->end && isxdigit((unsigned char)*at); at++)
            if (!isdigit((unsigned char)*at))
                return 16;
    }
    return devices > 1 ? 10 : 16;
}

/* "Device 0000:00:02.0 @0x1017f8000", "Device 0000:00:0a.0 with pasid 1 @0x..." */
static bool device_line(const struct reader *r, struct nw_dump_mapping *m, int radix)
{
    uint16_t segment;
    if (r->count < 3 || strcmp(r->word[0], "Device") != 0 || !nw_reader_function(r->word[1], &segment, &m->source_id))
        return false;
    m->device++;
    m->has_pasid = r->count >= 5 && !strcmp(r->word[3], "pasid");
    m->pasid = m->has_pasid ? (uint32_t)strtoul(r->word[4], NULL, radix) : 0;
    return true;
}

static enum nw_status add_tree(struct reader *r, const struct nw_dump_mapping *m, struct nw_dump_tree **out,
                               struct nw_error *err)
{
    struct nw_dump_tree *t = nw_reader_grow(&r->d->tree, &r->d->trees, sizeof *t);
    const char *root = strstr(r->line, "@0x");
    if (!t)
        return nw_fail_nomem(err, "the devices of a dump");
    t->device = m->device;
    t->source_id = m->source_id;
    t->has_pasid = m->has_pasid;
    t->pasid = m->pasid;
    t->root = root ? strtoull(root + 3, NULL, 16) & nw_mask(51, 12) : 0;
    t->place = nw_reader_place(r);
    *out = t;
    return NW_OK;
}

/* The entry stands in the row that was read last. False: no memory. */
static bool add_entry(struct reader *r, struct nw_dump_tree *t, unsigned level, bool maps, uint64_t entry)
{
    size_t *index = &t->entries[level][maps];
    if (!*index && !nw_reader_grow(&r->d->entries, &r->d->entries_count, sizeof *r->d->entries))
        return false;
    if (!*index)
        *index = r->d->entries_count;
    struct nw_dump_entries *e = &r->d->entries[*index - 1];
    for (uint64_t more = entry & ~e->any; more; more &= more - 1)
        e->line[__builtin_ctzll(more)] = r->line_number;
    if (!(entry & NW_BIT(11)) && !e->line_without_snoop)
        e->line_without_snoop = r->line_number;
    e->all = e->count ? e->all & entry : entry;
    e->any |= entry;
    e->count++;
    return true;
}

/* Two runs are one when the second goes on where the first ends. */
static bool goes_on(const struct nw_dump_mapping *a, const struct nw_dump_mapping *b)
{
    return a->place.input == b->place.input && a->device == b->device && a->read == b->read && a->write == b->write &&
           a->iova + a->bytes == b->iova && a->target + a->bytes == b->target;
}

/* "0x<IOVA page> | PML5E PML4E PDPE [PDE [PTE]]": the last that is not 0 maps the page. Kernels leave out columns behind it (6.12) or
 * fill them with 0 (6.1). A page of 512 GiB or more does not exist, but the kernel shows what has the bit for it. Bits 0 and 1 are read and write in the entries of
 * the second stage, present and writable in those of the first. */
static enum nw_status mappings(struct reader *r, struct nw_error *err)
{
    static const unsigned size_log2[] = { 48, 39, 30, 21, 12 };
    const int radix = pasid_radix(r);
    struct nw_dump_mapping next = { .device = 0 };
    struct nw_dump_tree *tree = NULL;
    while (nw_reader_next(r)) {
        uint64_t page, entry = 0, column[NW_DUMP_LEVELS] = { 0 };
        unsigned columns = 0, level = 0;
        if (device_line(r, &next, radix)) {
            enum nw_status s = add_tree(r, &next, &tree, err);
            if (s)
                return s;
            continue;
        }
        if (!r->count || strncmp(r->word[0], "0x", 2) != 0)
            continue;
        if (!tree)
            return nw_reader_bad(r, err, "\"Device SSSS:BB:DD.F @...\" before the first row");
        bool sound = nw_reader_hex(r->word[0] + 2, &page) && page < NW_BIT(52);
        for (unsigned i = 1; i < r->count && sound && columns < NW_ARRAY_LEN(size_log2); i++) {
            uint64_t value;
            if (!strcmp(r->word[i], "|"))
                continue;
            sound = !strncmp(r->word[i], "0x", 2) && nw_reader_hex(r->word[i] + 2, &value);
            if (sound && value) {
                entry = column[columns] = value;
                level = columns;
            }
            columns++;
        }
        if (!sound || columns < 3 || (entry && level < 2 && !(entry & NW_BIT(7))))
            return nw_reader_bad(
                r, err,
                "an IOVA page and the entries PML5E, PML4E, PDPE, PDE, PTE, of which one of the last three maps");
        r->items++;
        for (unsigned i = 0; i <= level; i++)
            if (column[i] && !add_entry(r, tree, NW_DUMP_LEVELS - 1 - i, i == level, column[i]))
                return nw_fail_nomem(err, "the entries of a dump");
        if (!(entry & 3) || level < 2)
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
