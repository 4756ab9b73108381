/* iommu_regset of debugfs. */
#include "reader.h"
#include <stdio.h>
#include <string.h>

/* "IOMMU: dmar0 Register Base Address: fed90000", then "CAP  0x08  0x..." */
static enum nw_status regset(struct reader *r, struct nw_error *err)
{
    static const struct {
        const char *name;
        enum nw_dump_register which;
    } known[] = { { "CAP", NW_DUMP_CAP },       { "ECAP", NW_DUMP_ECAP }, { "GSTS", NW_DUMP_GSTS },
                  { "RTADDR", NW_DUMP_RTADDR }, { "FSTS", NW_DUMP_FSTS }, { "PMEN", NW_DUMP_PMEN },
                  { "IQH", NW_DUMP_IQH },       { "IQT", NW_DUMP_IQT },   { "IQA", NW_DUMP_IQA },
                  { "IRTA", NW_DUMP_IRTA },     { "PRS", NW_DUMP_PRS } };
    size_t current = SIZE_MAX; /* which unit's registers these are */
    while (nw_reader_next(r)) {
        uint64_t base, value;
        const char *address = strstr(r->line, "Base Address:");
        if (address && r->count >= 2 && !strncmp(r->word[0], "IOMMU", 5)) {
            address += strcspn(address, ":") + 1;
            address += strspn(address, " ");
            if (!nw_reader_hex(address, &base))
                return nw_reader_bad(r, err, "the base address of a unit's registers");
            struct nw_dump_unit *u = nw_reader_unit(r, r->word[1], base);
            if (!u)
                return nw_fail_nomem(err, "the units of a dump");
            u->place = nw_reader_place(r);
            u->from_log = false;
            current = (size_t)(u - r->d->unit);
            r->items++;
            continue;
        }
        for (size_t i = 0; i < NW_ARRAY_LEN(known) && r->count >= 3; i++)
            if (!strcmp(r->word[0], known[i].name)) {
                if (current == SIZE_MAX)
                    return nw_reader_bad(r, err,
                                         "\"IOMMU: NAME Register Base Address: ...\" before the first register");
                if (!nw_reader_hex(r->word[2], &value))
                    return nw_reader_bad(r, err, "a register's name, offset and contents");
                nw_reader_register(r, &r->d->unit[current], known[i].which, value);
                r->items++;
            }
    }
    return NW_OK;
}

static bool begins(const struct reader *r) { return strstr(r->line, "Register Base Address:"); }

const struct text_format nw_text_regset = { .name = "iommu_regset", .begins = begins, .parse = regset };
