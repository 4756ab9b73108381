/* sharing.c - see sharing.h. */
#include <inttypes.h>
#include <nestwalk/balloon/sharing.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/base/rng.h>
#include <stdlib.h>
#include <string.h>

/* Content -> a page, or the first of the shared frames with that content. Linear probing; nothing is ever taken out, but tables are made anew. */
struct table {
    struct entry {
        uint64_t content;
        uint32_t what, fill; /* of another fill than the table's: empty */
    } * entry;
    uint64_t mask, used;
    uint32_t fill; /* how often it has been emptied, and once more */
};

/* Shared frames of one content: more than one when max_page_sharing is reached. */
struct stable {
    uint32_t frame, next; /* next: NW_NONE32 at the end */
    uint64_t full_in;     /* first of its content: the pass in which all behind it were found to be full */
};

struct item { /* what is remembered of a page between two looks */
    uint32_t checksum;
    bool seen;
    uint8_t age, skips;
};

struct nw_sharing {
    struct nw_sharing_config config;
    struct nw_hostmem *h;
    struct table stable, unstable; /* unstable: or hints */
    struct stable *chain;          /* of what `stable` says */
    uint32_t chained, chain_capacity;
    uint64_t unshared, changing; /* of this pass: as the counters */
    struct item *item;           /* by page */
    uint64_t items, next;
    uint32_t zero_frame; /* NW_NONE32: none yet */
    struct nw_rng rng;
    struct nw_sharing_counters counters;
};

/* ---- tables ---- */

static bool is_empty(const struct table *t, const struct entry *e) { return e->fill != t->fill; }

static void table_clear(struct table *t)
{
    t->used = 0;
    if (++t->fill) /* round once: all entries are of some fill that is to come */
        return;
    if (t->entry)
        memset(t->entry, 0, (t->mask + 1) * sizeof *t->entry);
    t->fill = 1;
}

static void table_add(struct table *t, uint64_t content, uint32_t what)
{
    uint64_t at = nw_mix64(content) & t->mask;
    while (!is_empty(t, &t->entry[at]))
        at = (at + 1) & t->mask;
    t->entry[at] = (struct entry){ content, what, t->fill };
    t->used++;
}

static enum nw_status table_room(struct table *t, struct nw_error *err)
{
    if (t->entry && t->used * 2 < t->mask)
        return NW_OK;
    struct table bigger = { .mask = t->entry ? 2 * t->mask + 1 : 1023, .fill = 1 };
    if (!(bigger.entry = calloc(bigger.mask + 1, sizeof *bigger.entry)))
        return nw_fail_nomem(err, "the table of shared pages");
    for (uint64_t i = 0; t->entry && i <= t->mask; i++)
        if (!is_empty(t, &t->entry[i]))
            table_add(&bigger, t->entry[i].content, t->entry[i].what);
    free(t->entry);
    *t = bigger;
    return NW_OK;
}

static struct entry *table_find(const struct table *t, uint64_t content)
{
    for (uint64_t at = nw_mix64(content) & t->mask; t->entry && !is_empty(t, &t->entry[at]); at = (at + 1) & t->mask)
        if (t->entry[at].content == content)
            return &t->entry[at];
    return NULL;
}

/* NW_INLINE: gcc takes calls of a function that only prefetches for calls without an effect. */
NW_INLINE void table_prefetch(const struct table *t, uint64_t content)
{
    if (t->entry)
        NW_PREFETCH(&t->entry[nw_mix64(content) & t->mask]);
}

/* A search in a balanced tree of as many. */
static void count_search(struct nw_sharing *s, const struct table *t)
{
    s->counters.comparisons += nw_log2_ceil(t->used + 1);
}

/* ---- one page ---- */

static bool is_shared(const struct nw_hostmem *h, uint32_t frame, uint64_t content)
{
    return h->frame[frame].kind == NW_FRAME_SHARED && h->frame[frame].content == content;
}

/* A shared frame with this content that takes one more; NW_NONE32 without. As in Linux, one that then takes another goes to the front. MODEL: those behind the first are
 * not looked at again in a pass that found them full. */
static uint32_t find_stable(struct nw_sharing *s, uint64_t content)
{
    const uint64_t pass = s->counters.full_scans;
    count_search(s, &s->stable);
    struct entry *e = table_find(&s->stable, content);
    uint32_t before = NW_NONE32;
    for (uint32_t i = e ? e->what : NW_NONE32; i != NW_NONE32; before = i, i = s->chain[i].next) {
        const uint32_t frame = s->chain[i].frame;
        if (before != NW_NONE32 && s->chain[e->what].full_in == pass)
            return NW_NONE32;
        if (!is_shared(s->h, frame, content) || s->h->frame[frame].users >= s->config.max_page_sharing)
            continue;
        if (before != NW_NONE32 && s->h->frame[frame].users + 1 < s->config.max_page_sharing) {
            s->chain[before].next = s->chain[i].next;
            s->chain[i].next = e->what;
            e->what = i;
        }
        return frame;
    }
    if (e)
        s->chain[e->what].full_in = pass;
    return NW_NONE32;
}

/* At the front of those with its content. */
static enum nw_status add_stable(struct nw_sharing *s, uint32_t frame, struct nw_error *err)
{
    const uint64_t content = s->h->frame[frame].content;
    enum nw_status status = table_room(&s->stable, err);
    if (status)
        return status;
    if (s->chained == s->chain_capacity) {
        const uint32_t capacity = s->chain_capacity ? 2 * s->chain_capacity : 1024;
        struct stable *more = reallocarray(s->chain, capacity, sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the list of shared frames");
        s->chain = more;
        s->chain_capacity = capacity;
    }
    struct entry *e = table_find(&s->stable, content);
    s->chain[s->chained] = (struct stable){ .frame = frame,
                                            .next = e ? e->what : NW_NONE32,
                                            .full_in = e ? s->chain[e->what].full_in : 0 };
    if (e)
        e->what = s->chained++;
    else
        table_add(&s->stable, content, s->chained++);
    return NW_OK;
}

/* The entry of a page that was seen with this content; NULL without. */
static struct entry *find_unstable(struct nw_sharing *s, uint64_t content)
{
    count_search(s, &s->unstable);
    return table_find(&s->unstable, content);
}

static bool may_be_merged(const struct nw_hostmem *h, uint32_t page)
{
    const struct nw_page *p = nw_hostmem_at(h, page);
    return p->backing == NW_BACKING_FRAME && h->frame[p->place].kind == NW_FRAME_GUEST;
}

/* What will be looked at soon, its frame and then where its content is in the tables, is read from memory meanwhile. */
NW_INLINE void prefetch(const struct nw_sharing *s)
{
    enum { FRAME_AHEAD = 128, CONTENT_AHEAD = 64 };
    const struct nw_hostmem *h = s->h;
    if (s->next + FRAME_AHEAD >= s->items)
        return;
    const struct nw_page *p = nw_hostmem_at(h, (uint32_t)s->next + FRAME_AHEAD);
    if (p->backing == NW_BACKING_FRAME)
        NW_PREFETCH(&h->frame[p->place]);
    if (!may_be_merged(h, (uint32_t)s->next + CONTENT_AHEAD))
        return;
    const uint64_t content = h->frame[nw_hostmem_at(h, (uint32_t)s->next + CONTENT_AHEAD)->place].content;
    table_prefetch(&s->stable, content);
    table_prefetch(&s->unstable, content);
}

static bool is_behind_shared(const struct nw_hostmem *h, uint32_t page)
{
    const struct nw_page *p = nw_hostmem_at(h, page);
    return p->backing == NW_BACKING_FRAME && h->frame[p->place].kind == NW_FRAME_SHARED;
}

static void join(struct nw_sharing *s, uint32_t page, uint32_t frame)
{
    s->counters.comparisons++;
    s->counters.merged += nw_hostmem_merge(s->h, page, frame);
}

static enum nw_status make_stable(struct nw_sharing *s, uint32_t page, uint32_t *frame, struct nw_error *err)
{
    *frame = nw_hostmem_at(s->h, page)->place;
    enum nw_status status = add_stable(s, *frame, err);
    if (!status)
        nw_hostmem_share(s->h, page);
    return status;
}

/* The frame of zeros is given up by nobody: its first user stands for the host. When it has been taken all the same (swapped out), the next page
 * of zeros begins a new one. */
static void merge_zero(struct nw_sharing *s, uint32_t page)
{
    s->counters.comparisons++;
    if (s->zero_frame != NW_NONE32 && is_shared(s->h, s->zero_frame, 0)) {
        const bool merged = nw_hostmem_merge(s->h, page, s->zero_frame);
        s->counters.merged += merged;
        s->counters.zero_merged += merged;
        return;
    }
    s->zero_frame = nw_hostmem_at(s->h, page)->place;
    nw_hostmem_share(s->h, page);
}

static bool same_as_last_time(struct nw_sharing *s, uint32_t page, uint64_t content)
{
    struct item *i = &s->item[page];
    const uint32_t checksum = (uint32_t)nw_mix64(content);
    const bool same = i->seen && i->checksum == checksum;
    s->counters.volatile_pages += i->seen && !same;
    i->seen = true;
    i->checksum = checksum;
    return same;
}

static enum nw_status look_at(struct nw_sharing *s, uint32_t page, struct nw_error *err)
{
    struct nw_hostmem *h = s->h;
    const uint64_t content = h->frame[nw_hostmem_at(h, page)->place].content;
    const bool ksm = s->config.kind == NW_SHARING_KSM;
    const uint32_t stable = find_stable(s, content);
    if (stable != NW_NONE32) {
        join(s, page, stable);
        return NW_OK;
    }
    if (ksm && !same_as_last_time(s, page, content)) {
        s->changing++;
        return NW_OK;
    }
    if (ksm && s->config.use_zero_pages && !content) {
        merge_zero(s, page);
        return NW_OK;
    }
    struct entry *other = find_unstable(s, content);
    if (!other) {
        enum nw_status status = table_room(&s->unstable, err);
        if (!status)
            table_add(&s->unstable, content, page);
        s->unshared++;
        return status;
    }
    if (other->what == page)
        return NW_OK;
    s->counters.comparisons++;
    if (!may_be_merged(h, other->what) || h->frame[nw_hostmem_at(h, other->what)->place].content != content) {
        s->counters.stale++;
        other->what = page;
        return NW_OK;
    }
    uint32_t frame;
    enum nw_status status = make_stable(s, other->what, &frame, err);
    s->unshared--;
    if (!status)
        join(s, page, frame);
    return status;
}

/* ---- passes ---- */

/* What is no longer shared is forgotten. */
static enum nw_status tidy_stable(struct nw_sharing *s, struct nw_error *err)
{
    struct table old = s->stable;
    struct stable *chain = s->chain;
    enum nw_status status = NW_OK;
    s->stable = (struct table){ 0 };
    s->chain = NULL;
    s->chained = s->chain_capacity = 0;
    for (uint64_t at = 0; old.entry && at <= old.mask && !status; at++) {
        if (is_empty(&old, &old.entry[at]))
            continue;
        for (uint32_t i = old.entry[at].what; i != NW_NONE32 && !status; i = chain[i].next) {
            if (is_shared(s->h, chain[i].frame, old.entry[at].content))
                status = add_stable(s, chain[i].frame, err);
            else
                s->counters.stale++;
        }
    }
    free(old.entry);
    free(chain);
    return status;
}

static enum nw_status next_pass(struct nw_sharing *s, struct nw_error *err)
{
    enum nw_status status = tidy_stable(s, err);
    if (status)
        return status;
    s->next = 0;
    s->counters.full_scans++;
    s->counters.unshared = s->unshared;
    s->counters.changing = s->changing;
    s->unshared = s->changing = 0;
    if (s->config.kind == NW_SHARING_KSM)
        table_clear(&s->unstable);
    if (s->items < s->h->pages) {
        struct item *more = reallocarray(s->item, s->h->pages, sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "what page sharing knows of the pages");
        memset(more + s->items, 0, (s->h->pages - s->items) * sizeof *more);
        s->item = more;
        s->items = s->h->pages;
    }
    return NW_OK;
}

/* Linux 6.7, should_skip_rmap_item() and skip_age(). */
static bool skip(struct nw_sharing *s, uint32_t page)
{
    struct item *i = &s->item[page];
    if (!s->config.smart_scan)
        return false;
    const uint8_t age = i->age;
    i->age = (uint8_t)(age + (age < UINT8_MAX));
    if (age < 3)
        return false;
    if (!i->skips) {
        i->skips = (uint8_t)(age <= 3 ? 1 : age <= 5 ? 2 : age <= 8 ? 4 : 8);
        return false;
    }
    i->skips--;
    s->counters.skipped++;
    return true;
}

enum nw_status nw_sharing_scan(struct nw_sharing *s, uint64_t pages, struct nw_error *err)
{
    enum nw_status status = NW_OK;
    const bool ksm = s->config.kind == NW_SHARING_KSM;
    uint64_t passed = 0; /* pages that hold nothing: a whole pass of them is the end */
    if (s->config.kind == NW_SHARING_NONE || !s->h->pages)
        return NW_OK;
    while (pages && passed <= s->h->pages && !status) {
        if (s->next >= s->items && (status = next_pass(s, err)))
            break;
        const uint32_t page = (uint32_t)(ksm ? s->next : nw_rng_below(&s->rng, s->items));
        s->next++;
        if (ksm)
            prefetch(s);
        if (!may_be_merged(s->h, page)) {
            passed++;
            pages -= ksm && is_behind_shared(s->h, page); /* Linux, ksm_do_scan(): one of pages_to_scan, too */
            continue;
        }
        passed = 0;
        if (ksm && skip(s, page))
            continue;
        pages--;
        s->counters.scanned++;
        status = look_at(s, page, err);
    }
    return status;
}

/* ---- life ---- */

enum nw_status nw_sharing_create(struct nw_sharing **out, struct nw_hostmem *h, const struct nw_sharing_config *config,
                                 struct nw_error *err)
{
    if (config->kind != NW_SHARING_NONE && config->max_page_sharing < 2)
        return nw_fail(err, NW_ERR_USAGE, "max_page_sharing is %" PRIu64 ", allowed are 2 and more",
                       config->max_page_sharing);
    struct nw_sharing *s = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(err, "page sharing");
    s->config = *config;
    s->h = h;
    s->zero_frame = NW_NONE32;
    s->rng = nw_rng_for(config->seed, "sharing");
    *out = s;
    return NW_OK;
}

void nw_sharing_destroy(struct nw_sharing *s)
{
    if (!s)
        return;
    free(s->stable.entry);
    free(s->chain);
    free(s->unstable.entry);
    free(s->item);
    free(s);
}

const struct nw_sharing_counters *nw_sharing_counters(const struct nw_sharing *s) { return &s->counters; }
