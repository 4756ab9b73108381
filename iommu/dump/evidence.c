/* Queues in two dumps: evidence.h. */
#include "evidence.h"
#include <stdlib.h>
#include <string.h>

static enum nw_status make_ring(struct ring *r, unsigned slots, unsigned words, struct nw_error *err)
{
    r->word = slots ? calloc(slots, sizeof *r->word) : NULL;
    if (slots && !r->word)
        return nw_fail_nomem(err, "the slots of a queue");
    r->slots = slots;
    r->words = words;
    return NW_OK;
}

static enum nw_status vtd_ring(struct ring *r, const struct nw_dump *d, const char *unit, struct nw_error *err)
{
    const struct nw_dump_queue *q = NULL;
    for (size_t i = 0; i < d->queues && !q; i++)
        if (!strcmp(d->queue[i].unit, unit) && d->queue[i].has_head)
            q = &d->queue[i];
    *r = (struct ring){ .head = q ? q->head : 0, .tail = q ? q->tail : 0, .base = q ? q->base : 0 };
    if (!q || q->head >= q->slots || q->tail >= q->slots)
        return NW_OK;
    r->place = q->place;
    enum nw_status s = make_ring(r, q->slots, 4, err);
    for (size_t i = 0; i < d->descriptors && !s; i++)
        if (!strcmp(d->descriptor[i].unit, unit) && d->descriptor[i].index < r->slots &&
            d->descriptor[i].place.input == q->place.input)
            r->word[d->descriptor[i].index] = d->descriptor[i].word;
    return s;
}

static enum nw_status amd_ring(struct ring *r, const struct nw_dump *d, int unit, struct nw_error *err)
{
    const struct nw_dump_amd *a = &d->amd;
    const struct nw_dump_command_buffer *b = NULL;
    for (size_t i = 0; i < a->buffers && !b; i++)
        if (a->buffer[i].unit == unit)
            b = &a->buffer[i];
    *r = (struct ring){ .head = b ? b->head : 0, .tail = b ? b->tail : 0 };
    if (!b || b->head >= b->slots || b->tail >= b->slots)
        return NW_OK;
    r->place = b->place;
    enum nw_status s = make_ring(r, b->slots, 2, err);
    for (size_t i = 0; i < a->commands && !s; i++)
        if (a->command[i].unit == unit && a->command[i].index < r->slots && a->command[i].place.input == b->place.input)
            r->word[a->command[i].index] = a->command[i].word;
    return s;
}

static bool same(const struct ring *a, const struct ring *b, unsigned slot)
{
    const uint64_t *x = a->word[slot], *y = b->word[slot];
    return x && y ? !memcmp(x, y, a->words * sizeof *x) : x == y;
}

static void weigh(struct evidence *e)
{
    const struct ring *now = &e->now, *before = &e->before;
    bool unused = false, unchanged = true;
    e->first = 0;
    e->count = now->slots;
    if (!now->slots)
        return;
    for (unsigned i = 0; i < now->slots; i++)
        unused |= !now->word[i];
    const bool comparable = before->slots == now->slots && before->base == now->base;
    if (comparable) {
        const unsigned written = (now->tail + now->slots - before->tail) % now->slots;
        for (unsigned n = written; n < now->slots; n++)
            unchanged &= same(now, before, (before->tail + n) % now->slots);
        if (unused || unchanged) {
            e->first = before->tail;
            e->count = written;
        }
        /* A slot that should not have changed has: whatever is unused, this is not one queue seen twice. */
        e->kind = !unchanged ? EVIDENCE_PART : unused ? EVIDENCE_ALL : EVIDENCE_LIKELY;
        if (!unchanged) {
            e->first = 0;
            e->count = now->slots;
        }
        return;
    }
    e->kind = unused && !before->slots ? EVIDENCE_ALL : EVIDENCE_PART;
}

enum nw_status nw_evidence_vtd(struct evidence *e, const struct nw_dump *earlier, const struct nw_dump *now,
                               const char *unit, struct nw_error *err)
{
    *e = (struct evidence){ .kind = EVIDENCE_NONE };
    enum nw_status s = vtd_ring(&e->now, now, unit, err);
    if (!s)
        s = vtd_ring(&e->before, earlier, unit, err);
    if (s)
        nw_evidence_fini(e);
    else
        weigh(e);
    return s;
}

enum nw_status nw_evidence_amd(struct evidence *e, const struct nw_dump *earlier, const struct nw_dump *now, int unit,
                               struct nw_error *err)
{
    *e = (struct evidence){ .kind = EVIDENCE_NONE };
    enum nw_status s = amd_ring(&e->now, now, unit, err);
    if (!s)
        s = amd_ring(&e->before, earlier, unit, err);
    if (s)
        nw_evidence_fini(e);
    else
        weigh(e);
    return s;
}

void nw_evidence_fini(struct evidence *e)
{
    free(e->now.word);
    free(e->before.word);
    *e = (struct evidence){ .kind = EVIDENCE_NONE };
}

bool nw_evidence_stuck(const struct evidence *e)
{
    return nw_evidence_whole(e) && e->before.slots && e->before.head == e->now.head && e->now.head != e->now.tail &&
           e->before.head != e->before.tail;
}
