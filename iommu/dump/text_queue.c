/* invalidation_queue of debugfs. */
#include "reader.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* " Base: 0x100a00000  Head: 3  Tail: 3": in slots. */
static bool head_line(const struct reader *r, struct nw_dump_queue *q)
{
    unsigned long long base;
    if (sscanf(r->line, " Base: 0x%llx Head: %u Tail: %u", &base, &q->head, &q->tail) != 3)
        return false;
    q->base = base;
    q->has_head = true;
    return true;
}

/* "Invalidation queue on IOMMU: dmar0", then "INDEX QW0 QW1 [QW2 QW3] STATUS"; the status is the kernel's. Slots that are 0 were never
 * used. */
static enum nw_status queue(struct reader *r, struct nw_error *err)
{
    struct nw_dump_queue *own = NULL;
    while (nw_reader_next(r)) {
        const char *unit = strstr(r->line, "queue on IOMMU:");
        uint64_t word[4] = { 0 };
        if (unit) {
            unit += strlen("queue on IOMMU:");
            unit += strspn(unit, " ");
            snprintf(r->unit, sizeof r->unit, "%.*s", (int)(strcspn(unit, " ") < 15 ? strcspn(unit, " ") : 15), unit);
            own = nw_reader_grow(&r->d->queue, &r->d->queues, sizeof *own);
            if (!own)
                return nw_fail_nomem(err, "the queues of a dump");
            memcpy(own->unit, r->unit, sizeof own->unit);
            own->place = nw_reader_place(r);
            continue;
        }
        if (own && head_line(r, own))
            continue;
        if ((r->count != 4 && r->count != 6) || !isdigit((unsigned char)*r->word[0]))
            continue;
        for (unsigned i = 0; i < r->count - 2; i++)
            if (!nw_reader_hex(r->word[i + 1], &word[i]))
                return nw_reader_bad(r, err, "an index, a descriptor of two or four words, and a status");
        r->items++;
        if (own)
            own->slots++;
        if (!(word[0] | word[1] | word[2] | word[3]))
            continue;
        struct nw_dump_descriptor *q = nw_reader_grow(&r->d->descriptor, &r->d->descriptors, sizeof *q);
        if (!q)
            return nw_fail_nomem(err, "the descriptors of a dump");
        memcpy(q->unit, r->unit, sizeof q->unit);
        memcpy(q->word, word, sizeof q->word);
        q->index = (unsigned)strtoul(r->word[0], NULL, 10);
        q->place = nw_reader_place(r);
    }
    return NW_OK;
}

static bool begins(const struct reader *r) { return strstr(r->line, "Invalidation queue on IOMMU:"); }

const struct text_format nw_text_queue = { .name = "invalidation_queue", .begins = begins, .parse = queue };
