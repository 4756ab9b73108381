/* regular_walk.h - stage 3 over regular pages (stage_regular.h): the walks of a batch, one walk cache after the other.
 *
 * A chunk of walks goes through
 *   1. the guest's paging-structure caches, which say how many entries each walk reads,
 *   2. a list of what the walks ask of the second stage: GPAs of tables and, last, of the page,
 *   3. the nested TLB and the second stage's paging-structure caches, over that list,
 *   4. the lines: each walk's entries, guest and second stage in turn.
 * Each of these is a loop that does one thing; a list of those that missed is what the next one works on, so that nothing branches on a hit.
 *
 * Why it is exact: a cache's state depends on nothing but the order of what it is asked for and given, and that is each walk's own order:
 * it is asked once a step and filled by the same step when it missed. What a walk reads of the tables is the same whenever it is made.
 * What an entry keeps is not written: it is found when somebody asks (resolve_lazy()). */
#ifndef NW_SIM_REGULAR_WALK_H
#define NW_SIM_REGULAR_WALK_H

#include "stage_tlb.h"

enum {
    CHUNK_WALKS = 256,
    CHUNK_REQUESTS = CHUNK_WALKS * (NW_LEVELS_MAX + 1),
    GPA_FINAL = 1, /* in a request's GPA: of the page, not of a table */
};

/* The walks under way, column by column, so that what is arithmetic alone is done for many at once. */
struct regular_chunk {
    uint64_t gva[CHUNK_WALKS], gpa[CHUNK_REQUESTS + NEAR_AHEAD]; /* of walks; of requests to the second stage */
    uint16_t slot[CHUNK_WALKS], nested_slot[CHUNK_REQUESTS + NEAR_AHEAD]; /* of their paths */
    uint8_t reads[CHUNK_WALKS], nested_reads[CHUNK_REQUESTS]; /* entries read; nested 0: the nested TLB had it */
    uint16_t left[CHUNK_REQUESTS];                            /* walks or requests not found yet, in order */
    uint64_t tag[CHUNK_REQUESTS];                             /* what a cache is asked for, */
    uint16_t hash[CHUNK_REQUESTS];                            /* and the tags' hashes */
};

/* A dimension's tables and paging-structure caches, copied once into locals, so that no store makes the compiler read it again. */
struct regular_dimension {
    const struct regular_path *path;
    const struct regular_tables *tables;
    struct ring *psc[NW_PSC_LEVELS]; /* NULL: there is none */
    struct packed_entry *kept[NW_PSC_LEVELS];
    uint64_t hits[NW_PSC_LEVELS], misses[NW_PSC_LEVELS];
    unsigned root, leaf, depth; /* levels; depth of the leaf below the root */
};

NW_INLINE unsigned index_at(unsigned level, uint64_t address) { return address >> (NW_PAGE_LOG2 + 9 * level) & 511; }

/* The columns of walks. Returns how many there are: fewer than asked for when two need one slot for different paths. */
NW_INLINE uint32_t chunk_begin(struct kernel *k, const struct regular_dimension *guest, struct regular_chunk *chunk,
                               const uint64_t *page, uint32_t walks, const bool two)
{
    for (uint32_t i = 0; i < walks; i++) {
        chunk->gva[i] = page[i] << NW_PAGE_LOG2;
        chunk->slot[i] = path_slot(path_key(guest->leaf, page[i] << NW_PAGE_LOG2));
        chunk->left[i] = (uint16_t)i;
    }
    for (uint32_t i = 0; i < walks; i++)
        NW_PREFETCH(&guest->path[chunk->slot[i]]);
    for (uint32_t i = 0; i < walks; i++) {
        const struct regular_path *path = &guest->path[chunk->slot[i]];
        if (NW_UNLIKELY(path->key != path_key(guest->leaf, chunk->gva[i]))) {
            for (uint32_t earlier = 0; earlier < i; earlier++)
                if (chunk->slot[earlier] == chunk->slot[i])
                    return i;
            path_learn(k, NW_GUEST, chunk->gva[i]);
        }
        if (two)
            NW_PREFETCH(path->leaf + index_at(guest->leaf, chunk->gva[i]));
    }
    return walks;
}

/* One cache of tables is asked for chunk->tag[0, count). Those of `left` that it does not know stay there, in order; returns how many. */
static NW_NOINLINE uint32_t ask_psc(struct ring *ring, struct packed_entry *kept, struct regular_chunk *chunk,
                                    uint32_t count)
{
    struct ring_ends ends = ring_open(ring);
    uint32_t missed = 0;
    for (uint32_t n = 0; n < count; n++) {
        const uint16_t at = chunk->left[n];
        chunk->left[missed] = at;
        if (ring_touch(ring, &ends, chunk->tag[n], chunk->hash[n])) {
            kept[ends.newest].d = ENTRY_LAZY;
            missed++;
        }
    }
    ring_close(ring, ends);
    return missed;
}

/* Of the walks or requests in `left`, how many entries are read: from the lowest level that a cache knows, else from the root. A cache of tables
 * below the leaves has nothing. `all`: nothing is missing in `left`. */
NW_INLINE void find_starts(struct regular_dimension *w, const bool guest, uint64_t space, const uint64_t *address,
                           struct regular_chunk *chunk, uint32_t count, uint8_t *reads, bool all)
{
    const uint16_t *left = chunk->left;
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++) {
        if (!w->psc[i] || i >= w->root)
            continue;
        uint32_t missed = count;
        if (i >= w->leaf) {
            const uint8_t here = (uint8_t)(i - w->leaf + 1);
            if (all)
                for (uint32_t n = 0; n < count; n++) {
                    const uint64_t piece = psc_piece(i, address[n]);
                    chunk->tag[n] = guest ? piece << PSC_TAG_SHIFT | space : piece;
                    reads[n] = here;
                }
            else
                for (uint32_t n = 0; n < count; n++) {
                    const uint64_t piece = psc_piece(i, address[left[n]]);
                    chunk->tag[n] = guest ? piece << PSC_TAG_SHIFT | space : piece;
                    reads[left[n]] = here;
                }
            for (uint32_t n = 0; n < count; n++)
                chunk->hash[n] = ring_hash(chunk->tag[n]);
            missed = ask_psc(w->psc[i], w->kept[i], chunk, count);
            all = false;
        }
        w->hits[i] += count - missed;
        w->misses[i] += missed;
        count = missed;
    }
    for (uint32_t n = 0; n < count; n++)
        reads[left[n]] = (uint8_t)(w->depth + 1);
}

/* What the walks ask of the second stage: where their tables are, as far as no cache knows, and where the page is. Returns how many requests
 * there are. */
NW_INLINE uint32_t list_requests(const struct regular_dimension *guest, uint64_t leaf_address,
                                 struct regular_chunk *chunk, uint32_t walks)
{
    const unsigned leaf = guest->leaf;
    const uint64_t within = NW_BIT(NW_PAGE_LOG2 + 9 * leaf) - 1;
    uint32_t requests = 0;
    for (uint32_t i = 0; i < walks; i++) {
        const uint64_t gva = chunk->gva[i];
        const struct regular_path *path = &guest->path[chunk->slot[i]];
        unsigned reads = chunk->reads[i];
        reads += reads ==
                 guest->depth + 1; /* the root is not known; where a walk begins below it, a cache knows that table */
        for (unsigned level = leaf + reads - 2; NW_UNLIKELY(reads > 2) && level > leaf; level--)
            chunk->gpa[requests++] = guest->tables[chunk->slot[i]].table[level].b + index_at(level, gva) * 8;
        chunk->gpa[requests] = path->leaf_table + index_at(leaf, gva) * 8;
        requests += reads > 1;
        chunk->gpa[requests++] = (path->leaf[index_at(leaf, gva)] & leaf_address) | (gva & within) | GPA_FINAL;
    }
    return requests;
}

/* Asks the nested TLB. Those that it does not have, or is not asked for, are in `left`; returns how many they are. */
static NW_NOINLINE uint32_t ask_nested_tlb(struct kernel *k, const unsigned leaf, struct regular_chunk *chunk,
                                           uint32_t requests)
{
    struct ring *const ring = k->nested_tlb.ring;
    struct packed_entry *const entry = k->nested_tlb.entry;
    const unsigned shift = NW_PAGE_LOG2 + 9 * leaf;
    const uint64_t not_asked = k->c->nested_tlb_tables_only ? GPA_FINAL : 0;
    struct ring_ends ends = ring_open(ring);
    uint32_t left = 0, asked = requests, missed = 0;
    for (uint32_t i = 0; i < requests; i++) {
        chunk->tag[i] = chunk->gpa[i] >> shift << 2 | leaf; /* nested_tag(): size classes are levels */
        chunk->hash[i] = ring_hash(chunk->tag[i]);
    }
    memset(chunk->nested_reads, 0, requests);
    for (uint32_t i = 0; i < requests; i++) {
        chunk->left[left] = (uint16_t)i;
        if (NW_UNLIKELY(chunk->gpa[i] & not_asked)) {
            left++;
            asked--;
        } else if (ring_touch(ring, &ends, chunk->tag[i], chunk->hash[i])) {
            entry[ends.newest].b = chunk->gpa[i];
            entry[ends.newest].d = ENTRY_LAZY;
            left++;
            missed++;
        }
    }
    ring_close(ring, ends);
    k->r->nested_tlb.hits += asked - missed;
    k->r->nested_tlb.misses += missed;
    if (missed)
        k->nested_tlb.present |= 1u << leaf;
    return left;
}

/* Emits the lines of the lowest `reads` entries on the path; returns where the next one goes. With up to four levels always writes four words:
 * what lies behind the lines in the path is overwritten by what comes next. */
NW_INLINE uint64_t *emit(uint64_t *line, const struct regular_dimension *w, const struct regular_path *path,
                         unsigned reads, uint64_t address, uint64_t walk)
{
    const uint64_t *from = (const uint64_t *)(const void *)path + (w->depth + 1 - reads);
    const uint64_t leaf = (path->line[w->depth] + (index_at(w->leaf, address) >> 3)) | walk;
    if (NW_LIKELY(w->depth <= 3)) {
        const uint64_t a = from[0] | walk, b = from[1] | walk, c = from[2] | walk, d = from[3] | walk;
        line[0] = a, line[1] = b, line[2] = c, line[3] = d;
    } else {
        for (unsigned i = 0; i + 1 < reads; i++)
            line[i] = from[i] | walk;
    }
    line[reads - 1] = leaf;
    return line + reads;
}

/* The lines of what the second stage is asked. */
NW_INLINE uint64_t *emit_request(struct kernel *k, uint64_t *line, const struct regular_dimension *nested,
                                 const struct regular_chunk *chunk, uint32_t request, uint64_t walk)
{
    const unsigned reads = chunk->nested_reads[request];
    const uint64_t gpa = chunk->gpa[request];
    const struct regular_path *path = &nested->path[chunk->nested_slot[request]];
    if (!reads)
        return line;
    if (NW_UNLIKELY(path->key != path_key(nested->leaf, gpa)))
        path_learn(k, NW_NESTED, gpa);
    return emit(line, nested, path, reads, gpa, walk);
}

/* The lines of a nested walk: before each of the guest's entries those of the second stage that say where it is, if that is not known. */
NW_INLINE uint64_t *emit_nested(struct kernel *k, uint64_t *line, const struct regular_dimension *guest,
                                const struct regular_dimension *nested, const struct regular_chunk *chunk, uint32_t i,
                                uint32_t *request, uint64_t walk)
{
    const struct regular_path *path = &guest->path[chunk->slot[i]];
    const uint64_t *leaf_line = path->line + guest->depth;
    unsigned left = chunk->reads[i];
    bool known = left != guest->depth + 1;
    for (;; left--) {
        if (!known)
            line = emit_request(k, line, nested, chunk, (*request)++, walk);
        if (left == 1)
            break;
        known = false;
        *line++ = leaf_line[1 - (int)left] | walk;
    }
    *line++ = (*leaf_line + (index_at(guest->leaf, chunk->gva[i]) >> 3)) | walk;
    return emit_request(k, line, nested, chunk, (*request)++, walk);
}

NW_INLINE void emit_chunk(struct kernel *k, const struct regular_dimension *guest,
                          const struct regular_dimension *nested, const struct regular_chunk *chunk, uint32_t walks)
{
    const uint64_t *full = k->line + (LINES_MAX - LINES_A_WALK);
    uint64_t *line = k->line + k->line_count;
    uint32_t request = 0, *const walk_end = k->walk_end;
    uint8_t *const walk_purpose = k->walk_purpose;
    unsigned waiting = k->walk_count;
    for (uint32_t i = 0; i < walks; i++) {
        const uint64_t walk = (uint64_t)waiting << LINE_WALK_SHIFT;
        if (nested) {
            NW_PREFETCH(&nested->path[chunk->nested_slot[request + NEAR_AHEAD]]);
            line = emit_nested(k, line, guest, nested, chunk, i, &request, walk);
        } else {
            line = emit(line, guest, &guest->path[chunk->slot[i]], chunk->reads[i], chunk->gva[i], walk);
        }
        walk_purpose[waiting] = WALK_MISS;
        walk_end[waiting++] = (uint32_t)(line - k->line);
        if (NW_UNLIKELY(line > full || waiting == LINES_MAX)) {
            k->line_count = (unsigned)(line - k->line);
            k->walk_count = waiting;
            settle_lines(k);
            line = k->line;
            waiting = 0;
        }
    }
    k->line_count = (unsigned)(line - k->line);
    k->walk_count = waiting;
}

NW_INLINE uint32_t sum_of(const uint8_t *reads, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += reads[i];
    return sum;
}

/* Up to `walks` walks; returns how many were made. */
NW_INLINE uint32_t regular_chunk_walk(struct kernel *k, struct regular_dimension *guest,
                                      struct regular_dimension *nested, const uint64_t *page, uint32_t walks)
{
    struct regular_chunk *const chunk = k->regular.chunk;
    walks = chunk_begin(k, guest, chunk, page, walks, nested != NULL);
    find_starts(guest, true, k->space, chunk->gva, chunk, walks, chunk->reads, true);
    const uint64_t references_guest = sum_of(chunk->reads, walks);
    uint64_t references_nested = 0;
    if (nested) {
        const uint32_t requests = list_requests(guest, k->m->hw_guest->level[guest->leaf].leaf_address, chunk, walks);
        uint32_t left = requests;
        for (uint32_t i = 0; i < requests; i++)
            chunk->nested_slot[i] = path_slot(path_key(nested->leaf, chunk->gpa[i]));
        if (k->nested_tlb.ring)
            left = ask_nested_tlb(k, nested->leaf, chunk, requests);
        else
            for (uint32_t i = 0; i < requests; i++)
                chunk->left[i] = (uint16_t)i;
        find_starts(nested, false, 0, chunk->gpa, chunk, left, chunk->nested_reads, left == requests);
        references_nested = sum_of(chunk->nested_reads, requests);
    }
    emit_chunk(k, guest, nested, chunk, walks);
    k->r->walks.references += references_guest + references_nested;
    k->r->walks.references_guest += references_guest;
    k->r->walks.references_nested += references_nested;
    return walks;
}

NW_INLINE struct regular_dimension regular_dimension(const struct kernel *k, enum nw_dimension d, const bool small)
{
    const struct nw_paging *p = d == NW_GUEST ? k->m->hw_guest : k->m->hw_nested;
    const struct packed_assoc *psc = d == NW_GUEST ? k->psc_guest : k->psc_nested;
    struct regular_dimension w = { .path = k->regular.path[d],
                                   .tables = k->regular.tables[d],
                                   .root = small ? 3 : p->levels - 1u,
                                   .leaf = small ? 0 : k->regular.leaf_level[d] };
    w.depth = w.root - w.leaf;
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++)
        w.psc[i] = psc[i].ring, w.kept[i] = psc[i].entry;
    return w;
}

NW_INLINE void book_psc(struct nw_hitmiss *counts, const struct regular_dimension *w)
{
    for (unsigned i = 0; i < NW_PSC_LEVELS; i++)
        counts[i].hits += w->hits[i], counts[i].misses += w->misses[i];
}

NW_INLINE void regular_walks(struct kernel *k, const bool two, const bool small)
{
    struct regular_dimension guest = regular_dimension(k, NW_GUEST, small), nested = { 0 };
    if (two)
        nested = regular_dimension(k, NW_NESTED, small);
    for (uint32_t from = 0; from < k->regular.count;) {
        const uint32_t left = k->regular.count - from;
        from += regular_chunk_walk(k, &guest, two ? &nested : NULL, k->missed + from,
                                   left < CHUNK_WALKS ? left : CHUNK_WALKS);
    }
    book_psc(k->r->psc_guest, &guest);
    if (two)
        book_psc(k->r->psc_nested, &nested);
    k->regular.count = 0;
}

/* Small: four levels, and leaves are 4 KiB pages, in both dimensions. */
static NW_NOINLINE void regular_walks_native(struct kernel *k) { regular_walks(k, false, false); }
static NW_NOINLINE void regular_walks_native_small(struct kernel *k) { regular_walks(k, false, true); }
static NW_NOINLINE void regular_walks_nested(struct kernel *k) { regular_walks(k, true, false); }
static NW_NOINLINE void regular_walks_nested_small(struct kernel *k) { regular_walks(k, true, true); }

#endif
