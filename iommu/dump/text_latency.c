/* dmar_perf_latency of debugfs: how long invalidations took. */
#include "reader.h"
#include <stdio.h>
#include <string.h>

static bool unit_line(const struct reader *r)
{
    return r->count >= 2 && !strcmp(r->word[0], "IOMMU:") && strstr(r->line, "Register Base Address:");
}

/* iommu_regset begins with the same line: the heads of the columns, on the next one, tell them apart. */
static bool begins(const struct reader *r)
{
    if (!unit_line(r))
        return false;
    static const char head[] = "<0.1us";
    const size_t left = (size_t)(r->end - r->at);
    const char *stop = memchr(r->at, '\n', left);
    return memmem(r->at, stop ? (size_t)(stop - r->at) : left, head, sizeof head - 1);
}

/* "inv_iotlb", seven counts, and min, max and average in microseconds. */
static enum nw_status latency(struct reader *r, struct nw_error *err)
{
    while (nw_reader_next(r)) {
        struct nw_dump_latency row = { .most_us = 0 };
        if (unit_line(r)) {
            snprintf(r->unit, sizeof r->unit, "%.15s", r->word[1]);
            continue;
        }
        if (!r->count || (strncmp(r->word[0], "inv_", 4) != 0 && strcmp(r->word[0], "svm_prq") != 0))
            continue;
        if (!*r->unit)
            return nw_reader_bad(r, err, "\"IOMMU: NAME Register Base Address: ...\" before the first row");
        uint64_t number[NW_DUMP_LATENCY_COUNTS + 3];
        bool sound = r->count == 1 + NW_ARRAY_LEN(number);
        for (unsigned i = 0; sound && i < NW_ARRAY_LEN(number); i++) {
            unsigned long long value;
            int used = 0;
            sound = sscanf(r->word[i + 1], "%llu%n", &value, &used) == 1 && !r->word[i + 1][used];
            number[i] = value;
        }
        if (!sound)
            return nw_reader_bad(r, err, "a name, seven counts, and min, max and average in microseconds");
        snprintf(row.what, sizeof row.what, "%.15s", r->word[0]);
        memcpy(row.unit, r->unit, sizeof row.unit);
        memcpy(row.count, number, sizeof row.count);
        row.most_us = number[NW_DUMP_LATENCY_COUNTS + 1];
        row.average_us = number[NW_DUMP_LATENCY_COUNTS + 2];
        row.place = nw_reader_place(r);
        struct nw_dump_latency *o = nw_reader_grow(&r->d->latency, &r->d->latencies, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the latencies of a dump");
        *o = row;
        r->items++;
    }
    return NW_OK;
}

const struct text_format nw_text_latency = { .name = "dmar_perf_latency", .begins = begins, .parse = latency };
