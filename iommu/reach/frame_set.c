/* Sets of memory: chunks of 128 MiB in a hash table, each uniform or with two bitmaps; and what whole TiB have, which is added to what their
 * chunks have. */
#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/reach.h>
#include <stdlib.h>

enum { CHUNK_LOG2 = 15, CHUNK_PAGES = 1 << CHUNK_LOG2, WORDS = CHUNK_PAGES / 64 };
enum { WIDE_LOG2 = 28, WIDES = 1 << (NW_PHYS_BITS_MAX - NW_PAGE_LOG2 - WIDE_LOG2) }; /* of pages: 1 TiB */

/* Of 64 pages; together, so that a page is one cache line. */
struct bitmaps {
    struct word {
        uint64_t read, write;
    } word[WORDS];
};

struct chunk {
    uint64_t number; /* page number >> CHUNK_LOG2, plus 1; 0: free */
    struct bitmaps *bits;
    unsigned uniform; /* rights of every page; with bitmaps 0 */
};

/* Single pages that were added and are not in their bitmaps yet: scattered ones wait for memory each, and do so together. */
enum { QUEUE = 32 };
struct queue {
    struct {
        struct word *word;
        uint8_t bit, rights;
    } at[QUEUE];
    unsigned count;
};

struct nw_frame_set {
    struct queue *queue;
    struct chunk *slot;
    size_t slots, used;
    struct chunk *last; /* that was found */
    const struct chunk **sorted;
    uint8_t wide[WIDES]; /* rights of every page of that TiB */
    bool no_memory;
};

enum nw_status nw_frame_set_create(struct nw_frame_set **out, struct nw_error *err)
{
    struct nw_frame_set *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s && !(s->queue = calloc(1, sizeof *s->queue))) {
        free(s);
        s = NULL;
    }
    *out = s;
    return s ? NW_OK : nw_fail_nomem(err, "a set of memory");
}

void nw_frame_set_destroy(struct nw_frame_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->slots; i++)
        free(s->slot[i].bits);
    free(s->slot);
    free(s->sorted);
    free(s->queue);
    free(s);
}

enum nw_status nw_frame_set_status(const struct nw_frame_set *s, struct nw_error *err)
{
    return s->no_memory ? nw_fail_nomem(err, "the memory that devices can reach") : NW_OK;
}

/* ---- chunks ------------------------------------------------------------------------------------- */

static struct chunk *place(struct chunk *slot, size_t slots, uint64_t number)
{
    size_t at = (size_t)nw_mix64(number) & (slots - 1);
    while (slot[at].number && slot[at].number != number)
        at = (at + 1) & (slots - 1);
    return &slot[at];
}

static bool grow(struct nw_frame_set *s)
{
    const size_t slots = s->slots ? s->slots * 2 : 64;
    struct chunk *bigger = calloc(slots, sizeof *bigger);
    if (!bigger)
        return false;
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i].number)
            *place(bigger, slots, s->slot[i].number) = s->slot[i];
    free(s->slot);
    s->slot = bigger;
    s->slots = slots;
    s->last = NULL;
    return true;
}

static struct chunk *make(struct nw_frame_set *s, uint64_t number)
{
    if (s->last && s->last->number == number)
        return s->last;
    if (s->used * 2 >= s->slots && !grow(s))
        return NULL;
    struct chunk *c = place(s->slot, s->slots, number);
    if (!c->number) {
        free(s->sorted);
        s->sorted = NULL;
        s->used++;
        c->number = number;
    }
    return s->last = c;
}

static const struct chunk *find(const struct nw_frame_set *s, uint64_t number)
{
    const struct chunk *c = s->slots ? place(s->slot, s->slots, number) : NULL;
    return c && c->number ? c : NULL;
}

static void set_bits(struct word *word, unsigned first, unsigned count, unsigned rights)
{
    while (count) {
        const unsigned low = first % 64, here = count < 64 - low ? count : 64 - low;
        const uint64_t bits = nw_mask(low + here - 1, low);
        word[first / 64].read |= rights & NW_REACH_READ ? bits : 0;
        word[first / 64].write |= rights & NW_REACH_WRITE ? bits : 0;
        first += here;
        count -= here;
    }
}

static void drain(struct queue *q)
{
    for (unsigned i = 0; i < q->count; i++) {
        const uint64_t bit = NW_BIT(q->at[i].bit);
        q->at[i].word->read |= q->at[i].rights & NW_REACH_READ ? bit : 0;
        q->at[i].word->write |= q->at[i].rights & NW_REACH_WRITE ? bit : 0;
    }
    q->count = 0;
}

static void enqueue(struct queue *q, struct word *word, unsigned bit, unsigned rights)
{
    __builtin_prefetch(word, 1);
    q->at[q->count].word = word;
    q->at[q->count].bit = (uint8_t)bit;
    q->at[q->count].rights = (uint8_t)rights;
    if (++q->count == QUEUE)
        drain(q);
}

/* Some pages of a chunk. */
static bool add_part(struct queue *queue, struct chunk *c, unsigned first, unsigned count, unsigned rights)
{
    if (!c->bits) {
        if ((c->uniform & rights) == rights)
            return true;
        if (count == CHUNK_PAGES) {
            c->uniform |= rights;
            return true;
        }
        c->bits = calloc(1, sizeof *c->bits);
        if (!c->bits)
            return false;
        if (c->uniform)
            set_bits(c->bits->word, 0, CHUNK_PAGES, c->uniform);
        c->uniform = 0;
    }
    if (count > 1)
        set_bits(c->bits->word, first, count, rights);
    else
        enqueue(queue, &c->bits->word[first / 64], first % 64, rights);
    return true;
}

enum nw_status nw_frame_set_add(struct nw_frame_set *s, uint64_t start, uint64_t bytes, unsigned rights,
                                struct nw_error *err)
{
    const uint64_t all = NW_BIT(NW_PHYS_BITS_MAX - NW_PAGE_LOG2);
    uint64_t page = start >> NW_PAGE_LOG2, left = bytes >> NW_PAGE_LOG2;
    left = page >= all ? 0 : left < all - page ? left : all - page;
    while (left) {
        if (!(page & nw_mask(WIDE_LOG2 - 1, 0)) && left >= NW_BIT(WIDE_LOG2)) {
            s->wide[page >> WIDE_LOG2] |= (uint8_t)rights;
            page += NW_BIT(WIDE_LOG2);
            left -= NW_BIT(WIDE_LOG2);
            continue;
        }
        const unsigned first = (unsigned)(page & (CHUNK_PAGES - 1));
        const unsigned count = left < CHUNK_PAGES - first ? (unsigned)left : CHUNK_PAGES - first;
        struct chunk *c = make(s, (page >> CHUNK_LOG2) + 1);
        if (!c || !add_part(s->queue, c, first, count, rights)) {
            s->no_memory = true;
            return nw_fail_nomem(err, "the memory that devices can reach");
        }
        page += count;
        left -= count;
    }
    return NW_OK;
}

bool nw_frame_set_take(void *context, const struct nw_reach_window *w)
{
    return !nw_frame_set_add(context, w->target, w->bytes, w->rights, NULL);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static unsigned rights_of(const struct chunk *c, unsigned page)
{
    if (!c->bits)
        return c->uniform;
    const struct word *w = &c->bits->word[page / 64];
    return (w->read >> page % 64 & 1 ? NW_REACH_READ : 0u) | (w->write >> page % 64 & 1 ? NW_REACH_WRITE : 0u);
}

unsigned nw_frame_set_rights(const struct nw_frame_set *s, uint64_t address)
{
    const uint64_t page = address >> NW_PAGE_LOG2;
    drain(s->queue);
    const struct chunk *c = find(s, (page >> CHUNK_LOG2) + 1);
    if (page >> WIDE_LOG2 >= WIDES)
        return 0;
    return s->wide[page >> WIDE_LOG2] | (c ? rights_of(c, (unsigned)(page & (CHUNK_PAGES - 1))) : 0u);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t x = (*(const struct chunk *const *)a)->number, y = (*(const struct chunk *const *)b)->number;
    return (x > y) - (x < y);
}

static bool sort(struct nw_frame_set *s)
{
    size_t n = 0;
    if (s->sorted || !s->used)
        return true;
    s->sorted = malloc(s->used * sizeof *s->sorted);
    if (!s->sorted) {
        s->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < s->slots; i++)
        if (s->slot[i].number)
            s->sorted[n++] = &s->slot[i];
    qsort(s->sorted, n, sizeof *s->sorted, by_number);
    return true;
}

/* The first page after `page` of the chunk that has other rights than it; `wide`: what all have. */
static unsigned end_of_run(const struct chunk *c, unsigned page, unsigned wide)
{
    if (!c->bits)
        return CHUNK_PAGES;
    const unsigned rights = rights_of(c, page) | wide;
    while (page < CHUNK_PAGES) {
        const uint64_t r = c->bits->word[page / 64].read | (wide & NW_REACH_READ ? ~UINT64_C(0) : 0);
        const uint64_t w = c->bits->word[page / 64].write | (wide & NW_REACH_WRITE ? ~UINT64_C(0) : 0);
        const uint64_t other = ((rights & NW_REACH_READ ? ~r : r) | (rights & NW_REACH_WRITE ? ~w : w)) >> page % 64;
        if (other)
            return page + (unsigned)__builtin_ctzll(other);
        page = (page | 63) + 1;
    }
    return CHUNK_PAGES;
}

static size_t first_chunk(const struct nw_frame_set *s, uint64_t number)
{
    size_t low = 0, high = s->used;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (s->sorted[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Pages from `page` on that have the same rights: as many as can be told at once. `*chunk`: the first that does not end before. */
static uint64_t run_from(const struct nw_frame_set *s, uint64_t page, size_t *chunk, unsigned *rights)
{
    const unsigned wide = s->wide[page >> WIDE_LOG2];
    const uint64_t number = (page >> CHUNK_LOG2) + 1, wide_end = ((page >> WIDE_LOG2) + 1) << WIDE_LOG2;
    while (*chunk < s->used && s->sorted[*chunk]->number < number)
        ++*chunk;
    const struct chunk *c = *chunk < s->used ? s->sorted[*chunk] : NULL;
    *rights = wide;
    if (!c)
        return wide_end;
    const uint64_t base = (c->number - 1) << CHUNK_LOG2;
    if (c->number > number)
        return base < wide_end ? base : wide_end;
    *rights |= rights_of(c, (unsigned)(page - base));
    return base + end_of_run(c, (unsigned)(page - base), wide);
}

bool nw_frame_set_next(struct nw_frame_set *s, uint64_t from, struct nw_frame_range *out)
{
    const uint64_t all = NW_BIT(NW_PHYS_BITS_MAX - NW_PAGE_LOG2);
    uint64_t page = (from >> NW_PAGE_LOG2) + !!(from & (NW_PAGE_BYTES - 1)), end;
    unsigned rights = 0;
    drain(s->queue);
    if (page >= all || !sort(s))
        return false;
    size_t chunk = first_chunk(s, (page >> CHUNK_LOG2) + 1);
    for (end = page; !rights && end < all;)
        end = run_from(s, page = end, &chunk, &rights);
    if (!rights)
        return false;
    *out = (struct nw_frame_range){ .start = page << NW_PAGE_LOG2, .rights = rights };
    while (end < all) {
        unsigned next;
        const uint64_t next_end = run_from(s, end, &chunk, &next);
        if (next != rights)
            break;
        end = next_end;
    }
    out->end = end << NW_PAGE_LOG2;
    return true;
}

uint64_t nw_frame_set_bytes(struct nw_frame_set *s, unsigned rights)
{
    struct nw_frame_range r;
    uint64_t bytes = 0;
    for (uint64_t from = 0; nw_frame_set_next(s, from, &r); from = r.end)
        bytes += (r.rights & rights) == rights ? r.end - r.start : 0;
    return bytes;
}
