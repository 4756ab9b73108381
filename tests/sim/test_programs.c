/* The programs that validate programs times: what they compute, that what is written down is what they do, and the plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../sim/measure/program.h"
#include <nestwalk/sim/programs.h>
#include <nestwalk/traces/block.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 4 << 20 };

/* The nth program, on a small arena. */
static struct program small(size_t n)
{
    struct program p = program_table[n];
    p.bytes = BYTES;
    p.operations = 20000;
    p.step = 100;
    return p;
}

static void no_tick(struct program_arena *a) { (void)a; }

static struct program_arena start(const struct program *p, uint8_t *memory)
{
    struct program_arena a;
    memset(memory, 0xa5, BYTES); /* an arena may hold anything */
    program_start(p, memory, &a);
    a.tick = no_tick;
    return a;
}

static void programs__both_compilations_compute_the_same(void **state)
{
    (void)state;
    uint8_t *memory = malloc(BYTES), *other = malloc(BYTES);
    for (size_t i = 0; i < NW_PROGRAMS; i++) {
        const struct program p = small(i);
        struct program_arena a = start(&p, memory), b = start(&p, other);
        struct program_record r = { .room = 1 << 23, .on = true };
        r.access = malloc(r.room * sizeof *r.access);
        b.recorded = &r;
        assert_int_equal(p.native(&a), p.recorded(&b));
        assert_memory_equal(memory, other, BYTES);
        assert_true(r.count > p.operations && r.count < r.room);
        bool store = false;
        for (size_t k = 0; k < r.count; k++) {
            const uint8_t kind = (uint8_t)(r.access[k] >> 56);
            const uint64_t offset = r.access[k] & ((UINT64_C(1) << 56) - 1);
            assert_true(offset + nw_kind_bytes(kind) <= BYTES);
            assert_true(nw_kind_bytes(kind) == 4 || nw_kind_bytes(kind) == 8);
            assert_true(nw_kind_user(kind) && nw_kind_type(kind) != NW_FETCH);
            store |= nw_kind_type(kind) == NW_STORE;
        }
        assert_int_equal(store, strcmp(p.name, "btree") != 0); /* searches change nothing */
        free(r.access);
    }
    free(memory);
    free(other);
}

/* Written down is every access: an update is a load and a store of the same word. */
static void programs__accesses_are_those_of_the_text(void **state)
{
    (void)state;
    uint8_t *memory = malloc(BYTES);
    const struct program p = small(3);
    assert_string_equal(p.name, "gups");
    struct program_arena a = start(&p, memory);
    struct program_record r = { .room = 1 << 20, .on = true };
    r.access = malloc(r.room * sizeof *r.access);
    a.recorded = &r;
    p.recorded(&a);
    assert_int_equal(r.count, 2 * p.operations);
    struct nw_rng rng = nw_rng_seeded(a.seed);
    const unsigned word = 7u << NW_KIND_SIZE_SHIFT | NW_KIND_USER;
    for (size_t i = 0; i < p.operations; i++) {
        const uint64_t at = 8 * (nw_rng_next(&rng) & (BYTES / 8 - 1));
        assert_int_equal(r.access[2 * i], program_access(at, NW_LOAD | word));
        assert_int_equal(r.access[2 * i + 1], program_access(at, NW_STORE | word));
    }
    free(r.access);
    free(memory);
}

static void programs__sort_sorts(void **state)
{
    (void)state;
    uint8_t *memory = malloc(BYTES);
    struct program p = small(4);
    p.operations = BYTES / 8;
    struct program_arena a = start(&p, memory);
    const uint64_t *word = (const uint64_t *)(const void *)memory;
    p.native(&a);
    for (size_t i = 1; i < BYTES / 8; i++)
        assert_true(word[i - 1] <= word[i]);
    free(memory);
}

/* Depths of neighbours differ by at most one, downwards, once all that can be reached has been. */
static void programs__bfs_gives_depths(void **state)
{
    (void)state;
    uint8_t *memory = malloc(BYTES);
    struct program p = small(2);
    p.operations = BYTES;
    struct program_arena a = start(&p, memory);
    p.native(&a);
    const uint32_t *edge = (const uint32_t *)(const void *)memory,
                   *depth = (const uint32_t *)(const void *)(memory + a.layout.bfs.depth);
    uint64_t reached = 0;
    assert_int_equal(depth[0], 1);
    for (uint64_t v = 0; v < a.layout.bfs.vertices; v++) {
        reached += depth[v] != 0;
        for (unsigned e = 0; depth[v] && e < BFS_DEGREE; e++) {
            const uint32_t to = depth[edge[BFS_DEGREE * v + e]];
            assert_true(to && to <= depth[v] + 1);
        }
    }
    assert_true(reached > a.layout.bfs.vertices * 99 / 100);
    free(memory);
}

static void programs__plan_has_each_with_both_sizes_of_page(void **state)
{
    (void)state;
    struct nw_chase *plan;
    size_t count, seen[NW_PROGRAMS][2] = { { 0 } }, program, chains = 0, calibrate = 0;
    struct nw_error err;
    assert_int_equal(nw_program_plan(&plan, &count, &err), NW_OK);
    for (size_t i = 0; i < count; i++) {
        if (nw_chase_is_program(&plan[i], &program)) {
            assert_true(plan[i].pages <= NW_CHASE_2M);
            assert_int_equal((uint64_t)plan[i].count << 12, program_table[program].bytes);
            seen[program][plan[i].pages]++;
        }
        chains += nw_chase_chains(&plan[i]) > 1;
        calibrate += plan[i].set == NW_CHASE_CALIBRATE;
    }
    for (size_t i = 0; i < NW_PROGRAMS; i++)
        assert_true(seen[i][0] == 1 && seen[i][1] == 1);
    assert_true(chains > 4 && calibrate > 20);
    free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs__both_compilations_compute_the_same),
        cmocka_unit_test(programs__accesses_are_those_of_the_text),
        cmocka_unit_test(programs__sort_sorts),
        cmocka_unit_test(programs__bfs_gives_depths),
        cmocka_unit_test(programs__plan_has_each_with_both_sizes_of_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
