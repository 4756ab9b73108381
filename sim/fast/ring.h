/* ring.h - a fully associative cache in true LRU order, for the fast engine's walk caches: entries keep their places, and a ring of links has them
 * in order of use. The newest entry's newer neighbour is the oldest one, so that giving the oldest place to a newcomer moves nothing: the head goes
 * one step round.
 *
 * A small table counts the entries whose tags fall into each of its buckets and names the one that came last: most misses are told by a
 * count of zero and most hits by the name, without a search. Where two entries share a bucket, all tags are compared.
 *
 * Why it is exact: the ring is the recency order itself. A removed entry goes to the oldest end, so empty places are filled first. */
#ifndef NW_SIM_RING_H
#define NW_SIM_RING_H

#include "packed.h"
#include <stdlib.h>

#define RING_EMPTY UINT64_MAX /* no tag */
enum { RING_ENTRIES_MAX = 128, RING_BUCKETS_LOG2 = 11 };

struct ring {
    unsigned entries, lanes, newest;
    uint16_t newer[RING_ENTRIES_MAX], older[RING_ENTRIES_MAX]; /* by place: neighbours in the ring */
    uint16_t bucket[1u << RING_BUCKETS_LOG2];                  /* count << 8 | place */
    _Alignas(64) uint64_t tag[RING_ENTRIES_MAX];               /* by place; EMPTY beyond `entries` */
};

NW_INLINE uint16_t ring_hash(uint64_t tag)
{
    return (uint16_t)(tag * UINT64_C(0x9e3779b97f4a7c15) >> (64 - RING_BUCKETS_LOG2));
}
NW_INLINE uint16_t *ring_bucket(struct ring *r, uint64_t tag) { return &r->bucket[ring_hash(tag)]; }

/* NULL: no memory. To be freed. */
static inline struct ring *ring_create(unsigned entries)
{
    struct ring *r = aligned_alloc(64, sizeof *r);
    if (!r)
        return NULL;
    memset(r, 0, sizeof *r);
    memset(r->tag, 0xff, sizeof r->tag);
    r->entries = entries;
    r->lanes = packed_lanes(entries);
    for (unsigned i = 0; i < entries; i++) {
        r->newer[i] = (uint16_t)((i + 1) % entries);
        r->older[i] = (uint16_t)((i + entries - 1) % entries);
    }
    return r;
}

/* Takes `place` out of the ring and puts it between the oldest and the newest. */
NW_INLINE void ring_move(struct ring *r, unsigned place)
{
    const unsigned newer = r->newer[place], older = r->older[place], oldest = r->newer[r->newest];
    if (place == oldest)
        return;
    r->older[newer] = (uint16_t)older;
    r->newer[older] = (uint16_t)newer;
    r->newer[r->newest] = (uint16_t)place;
    r->older[place] = (uint16_t)r->newest;
    r->newer[place] = (uint16_t)oldest;
    r->older[oldest] = (uint16_t)place;
}

/* The tag's place, used now; or -1. */
NW_INLINE int ring_use(struct ring *r, uint64_t tag)
{
    uint16_t *bucket = ring_bucket(r, tag);
    const unsigned known = *bucket;
    unsigned place = known & 0xff;
    if (!(known >> 8))
        return -1;
    if (NW_UNLIKELY(r->tag[place] != tag)) {
        int at = packed_find(r->tag, r->lanes, tag, 0);
        if (at < 0)
            return -1;
        place = (unsigned)at;
        *bucket = (uint16_t)((known & ~0xffu) | place);
    }
    if (place != r->newest) {
        ring_move(r, place);
        r->newest = place;
    }
    return (int)place;
}

/* The place for a tag that is not there, in front. */
NW_INLINE unsigned ring_insert(struct ring *r, uint64_t tag)
{
    const unsigned place = r->newer[r->newest];
    const uint64_t old = r->tag[place];
    if (NW_LIKELY(old != RING_EMPTY))
        *ring_bucket(r, old) = (uint16_t)(*ring_bucket(r, old) - 0x100);
    r->tag[place] = tag;
    uint16_t *bucket = ring_bucket(r, tag);
    *bucket = (uint16_t)(((*bucket & ~0xffu) + 0x100) | place);
    r->newest = place;
    return place;
}

/* The two ends of a ring, in registers for as long as a loop touches it. */
struct ring_ends {
    unsigned newest, oldest;
};
NW_INLINE struct ring_ends ring_open(const struct ring *r)
{
    return (struct ring_ends){ r->newest, r->newer[r->newest] };
}
NW_INLINE void ring_close(struct ring *r, struct ring_ends ends) { r->newest = ends.newest; }

/* A tag that is not the bucket's named one, though the bucket has some. Its place, now named; or -1. */
static NW_NOINLINE int ring_search(struct ring *r, uint64_t tag, uint16_t *bucket)
{
    const int at = packed_find(r->tag, r->lanes, tag, 0);
    if (at >= 0)
        *bucket = (uint16_t)((*bucket & ~0xffu) | (unsigned)at);
    return at;
}

/* Puts a tag that is not there into the oldest's place, which becomes the newest. */
NW_INLINE void ring_renew(struct ring *r, struct ring_ends *ends, uint64_t tag, uint16_t *bucket)
{
    const unsigned place = ends->oldest;
    const uint64_t old = r->tag[place];
    if (NW_LIKELY(old != RING_EMPTY))
        *ring_bucket(r, old) = (uint16_t)(*ring_bucket(r, old) - 0x100);
    *bucket = (uint16_t)(((*bucket & ~0xffu) + 0x100) | place);
    r->tag[place] = tag;
    *ends = (struct ring_ends){ place, r->newer[place] };
}

/* Look-up and, on a miss, insertion in one movement: the tag, whose hash the caller has, is the newest afterwards. True on a miss. */
NW_INLINE bool ring_touch(struct ring *r, struct ring_ends *ends, uint64_t tag, uint16_t hash)
{
    if (r->tag[ends->newest] == tag)
        return false;
    uint16_t *bucket = &r->bucket[hash];
    const unsigned known = *bucket;
    unsigned place = known & 0xff;
    if (r->tag[place] != tag) {
        int at = -1;
        if (NW_UNLIKELY(known >> 8))
            at = ring_search(r, tag, bucket);
        if (at < 0) {
            ring_renew(r, ends, tag, bucket);
            return true;
        }
        place = (unsigned)at;
    }
    /* Out between its neighbours, and in between the newest and the oldest; right when it is the oldest as well. */
    const unsigned newer = r->newer[place], older = r->older[place];
    r->newer[older] = (uint16_t)newer;
    r->older[newer] = (uint16_t)older;
    ends->oldest = place == ends->oldest ? newer : ends->oldest;
    r->newer[ends->newest] = (uint16_t)place;
    r->older[place] = (uint16_t)ends->newest;
    r->newer[place] = (uint16_t)ends->oldest;
    r->older[ends->oldest] = (uint16_t)place;
    ends->newest = place;
    return false;
}

static inline void ring_remove(struct ring *r, unsigned place)
{
    *ring_bucket(r, r->tag[place]) = (uint16_t)(*ring_bucket(r, r->tag[place]) - 0x100);
    r->tag[place] = RING_EMPTY;
    if (place == r->newest)
        r->newest = r->older[place];
    else
        ring_move(r, place);
}

#endif
