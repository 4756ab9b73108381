/* program_kernels.h - the timed parts of the five programs. Compiled twice: natively, where LOAD and STORE are the plain accesses, and
 * recorded, where each is written down as well (program_native.c, program_recorded.c). Before it is included are defined
 *
 *     KERNEL(name)                 the function's name in this compilation
 *     LOAD(type, offset)           of the arena `a`
 *     STORE(type, offset, value)
 *     STEP()                       one operation is done
 *
 * What a kernel computes depends on its data and seed alone, so both make the same accesses in the same order; the checksum says so. The
 * layouts are program.h's, where the data are built. */

/* ---- searches in a B+tree ---- */

uint64_t KERNEL(btree)(struct program_arena *a)
{
    struct nw_rng rng = nw_rng_seeded(a->seed);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < a->operations; i++) {
        const uint64_t key = nw_rng_below(&rng, a->layout.btree.keys);
        uint64_t at = a->layout.btree.root;
        for (unsigned level = a->layout.btree.levels;; level--) {
            unsigned low = 0, high = LOAD(uint32_t, at);
            while (low < high) { /* how many keys are not above it */
                const unsigned middle = (low + high) / 2;
                if (LOAD(uint64_t, at + BTREE_KEYS + 8 * middle) <= key)
                    low = middle + 1;
                else
                    high = middle;
            }
            at = LOAD(uint64_t, at + BTREE_VALUES + 8 * (low - 1));
            if (!level)
                break;
        }
        sum = sum * 31 + at;
        STEP();
    }
    return sum;
}

/* ---- the probing side of a hash join ---- */

uint64_t KERNEL(hash_join)(struct program_arena *a)
{
    const uint64_t mask = a->layout.join.slots - 1;
    uint64_t out = a->layout.join.result, sum = 0;
    for (uint64_t i = 0; i < a->operations; i++) {
        const uint64_t key = LOAD(uint64_t, a->layout.join.probe + 8 * i);
        for (uint64_t slot = join_hash(key) & mask;; slot = (slot + 1) & mask) {
            const uint64_t there = LOAD(uint64_t, a->layout.join.table + 16 * slot);
            if (there == key) {
                const uint64_t value = LOAD(uint64_t, a->layout.join.table + 16 * slot + 8);
                STORE(uint64_t, out, value);
                out += 8;
                sum += value;
                break;
            }
            if (!there)
                break;
        }
        STEP();
    }
    return sum;
}

/* ---- breadth-first search ---- */

uint64_t KERNEL(bfs)(struct program_arena *a)
{
    const uint64_t depth = a->layout.bfs.depth, queue = a->layout.bfs.queue;
    uint64_t head = 0, tail = 1, sum = 0;
    for (; head < tail && head < a->operations; head++) {
        const uint32_t vertex = LOAD(uint32_t, queue + 4 * head);
        const uint32_t next = LOAD(uint32_t, depth + 4 * (uint64_t)vertex) + 1;
        for (unsigned e = 0; e < BFS_DEGREE; e++) {
            const uint32_t to = LOAD(uint32_t, a->layout.bfs.edge + 4 * (BFS_DEGREE * (uint64_t)vertex + e));
            if (!LOAD(uint32_t, depth + 4 * (uint64_t)to)) {
                STORE(uint32_t, depth + 4 * (uint64_t)to, next);
                STORE(uint32_t, queue + 4 * tail, to);
                tail++;
                sum += next;
            }
        }
        STEP();
    }
    return sum * 31 + tail;
}

/* ---- random updates ---- */

uint64_t KERNEL(gups)(struct program_arena *a)
{
    struct nw_rng rng = nw_rng_seeded(a->seed);
    const uint64_t mask = a->layout.gups.words - 1;
    for (uint64_t i = 0; i < a->operations; i++) {
        const uint64_t v = nw_rng_next(&rng), at = 8 * (v & mask);
        STORE(uint64_t, at, LOAD(uint64_t, at) ^ v);
        STEP();
    }
    return nw_rng_next(&rng);
}

/* ---- heapsort: the largest to the end, one after the other ---- */

uint64_t KERNEL(sort)(struct program_arena *a)
{
    uint64_t words = a->layout.sort.words, sum = 0;
    for (uint64_t i = 0; i < a->operations; i++) {
        const uint64_t largest = LOAD(uint64_t, 0), moved = LOAD(uint64_t, 8 * --words);
        STORE(uint64_t, 8 * words, largest);
        uint64_t hole = 0, child;
        while ((child = 2 * hole + 1) < words) {
            uint64_t value = LOAD(uint64_t, 8 * child);
            if (child + 1 < words) {
                const uint64_t right = LOAD(uint64_t, 8 * (child + 1));
                if (right > value)
                    value = right, child++;
            }
            if (value <= moved)
                break;
            STORE(uint64_t, 8 * hole, value);
            hole = child;
        }
        STORE(uint64_t, 8 * hole, moved);
        sum = sum * 31 + largest;
        STEP();
    }
    return sum;
}
