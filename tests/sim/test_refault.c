/* The model's refaults against a plain set of pages, and the programs that the live check runs. */
#include <nestwalk/sim/refault.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct nw_reclaim_program make(size_t index, uint64_t seed)
{
    struct nw_reclaim_program p;
    struct nw_error err = { 0 };
    if (nw_reclaim_program_make(index, seed, &p, &err))
        fail_msg("program %zu: %s", index, err.text);
    return p;
}

static void programs__can_run_and_follow_from_the_seed(void **state)
{
    (void)state;
    const char *name, *doc;
    struct nw_error err = { 0 };
    struct nw_reclaim_program none;
    for (size_t i = 0; i < nw_reclaim_program_count(); i++) {
        struct nw_reclaim_program a = make(i, 5), b = make(i, 5), c = make(i, 6);
        assert_true(nw_reclaim_program_describe(i, &name, &doc));
        assert_string_equal(a.name, name);
        if (nw_reclaim_check(&a, &err))
            fail_msg("%s: %s", name, err.text);
        assert_true(a.touches == b.touches && a.victims == b.victims && a.steps == b.steps);
        assert_memory_equal(a.victim, b.victim, a.victims * sizeof *a.victim);
        assert_true(!strcmp(name, "sweep") || a.victims != c.victims || a.touches != c.touches ||
                    memcmp(a.victim, c.victim, a.victims * sizeof *a.victim) ||
                    memcmp(a.touch, c.touch, a.touches * sizeof *a.touch));
        assert_true(a.step[a.steps - 1].touches_end == a.touches);
        nw_reclaim_program_free(&a);
        nw_reclaim_program_free(&b);
        nw_reclaim_program_free(&c);
    }
    assert_false(nw_reclaim_program_describe(nw_reclaim_program_count(), &name, &doc));
    assert_int_equal(nw_reclaim_program_make(nw_reclaim_program_count(), 1, &none, &err), NW_ERR_USAGE);
}

/* Steps of a set of pages that are gone. `granted`: which of the victims went, by their number among all. */
static void naive(const struct nw_reclaim_program *p, bool (*granted)(size_t), uint64_t *taken,
                  struct nw_refault_step *step)
{
    bool *gone = calloc(p->pages, sizeof *gone);
    size_t t = 0, v = 0;
    assert_non_null(gone);
    memset(step, 0, p->steps * sizeof *step);
    for (size_t i = 0; i < p->steps; i++) {
        for (; t < p->step[i].touches_end; t++) {
            step[i].refaults += gone[p->touch[t].page];
            gone[p->touch[t].page] = false;
        }
        for (; v < p->step[i].victims_end; v++) {
            const uint32_t page = p->victim[v];
            if (!granted(v) || gone[page])
                continue;
            gone[page] = true;
            step[i].taken++;
            taken[i * nw_reclaim_words(p) + page / 64] |= UINT64_C(1) << page % 64;
        }
    }
    free(gone);
}

static bool all(size_t victim) { return victim < SIZE_MAX; }
static bool most(size_t victim) { return victim % 7 != 3; }

static void model__refaults_are_those_of_a_set_of_pages(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    for (size_t i = 0; i < nw_reclaim_program_count(); i++)
        for (int part = 0; part < 3; part++) { /* all of the victims unsaid, all said, most said */
            struct nw_reclaim_program p = make(i, 9);
            struct nw_refault_step *model = calloc(p.steps, sizeof *model), *plain = calloc(p.steps, sizeof *plain);
            uint64_t *taken = calloc(p.steps * nw_reclaim_words(&p), sizeof *taken), refaults = 0;
            assert_true(model && plain && taken);
            naive(&p, part == 2 ? most : all, taken, plain);
            if (nw_refault_run(&p, part ? taken : NULL, model, &err))
                fail_msg("%s: %s", p.name, err.text);
            for (size_t s = 0; s < p.steps; s++) {
                if (model[s].refaults != plain[s].refaults || model[s].taken != plain[s].taken)
                    fail_msg("%s, step %zu: %llu refaults and %llu taken, not %llu and %llu", p.name, s,
                             (unsigned long long)model[s].refaults, (unsigned long long)model[s].taken,
                             (unsigned long long)plain[s].refaults, (unsigned long long)plain[s].taken);
                assert_true(model[s].written <= model[s].taken);
                refaults += model[s].refaults;
            }
            assert_true(refaults > 500); /* each program is one that makes some */
            free(model);
            free(plain);
            free(taken);
            nw_reclaim_program_free(&p);
        }
}

/* Known answers, from the programs' sentences. */
static void model__sweep_brings_every_page_back_each_time(void **state)
{
    (void)state;
    struct nw_reclaim_program p = make(0, 1);
    struct nw_refault_step step[8];
    assert_string_equal(p.name, "sweep");
    assert_true(p.steps == 4);
    assert_int_equal(nw_refault_run(&p, NULL, step, NULL), NW_OK);
    assert_true(step[0].refaults == 0);
    for (unsigned i = 1; i < 4; i++)
        assert_true(step[i].refaults == p.pages);
    /* The second round only reads: what a slot has kept need not be written again. */
    assert_true(step[0].written == p.pages && step[1].written == 0 && step[2].written == p.pages);
    nw_reclaim_program_free(&p);
}

static void model__policies_hold_the_guest_to_its_frames(void **state)
{
    (void)state;
    unsigned policies = 0;
    for (size_t i = 0; i < nw_reclaim_program_count(); i++) {
        struct nw_reclaim_program p = make(i, 3);
        static const char *const by_policy[] = { "lru", "clock", "two-list", "mglru" };
        bool is = false;
        for (size_t n = 0; n < NW_ARRAY_LEN(by_policy); n++)
            is = is || !strcmp(p.name, by_policy[n]);
        policies += is;
        bool *seen = calloc(p.pages, sizeof *seen);
        assert_non_null(seen);
        size_t resident = 0, t = 0, v = 0;
        for (size_t s = 0; s < p.steps && is; s++) {
            for (; t < p.step[s].touches_end; t++) {
                resident += !seen[p.touch[t].page];
                seen[p.touch[t].page] = true;
            }
            for (; v < p.step[s].victims_end; v++) {
                assert_true(seen[p.victim[v]]);
                seen[p.victim[v]] = false;
                resident--;
            }
            assert_true(resident <= 1024);
        }
        assert_true(!is || resident == 1024);
        free(seen);
        nw_reclaim_program_free(&p);
    }
    assert_int_equal(policies, 4);
}

static void programs__malformed_ones_are_refused(void **state)
{
    (void)state;
    struct nw_reclaim_touch touch[] = { { 0, false }, { 3, true } };
    uint32_t victim[] = { 1 };
    struct nw_reclaim_step step[] = { { 2, 1 } };
    const struct nw_reclaim_program good = {
        .pages = 4, .touch = touch, .victim = victim, .step = step, .touches = 2, .victims = 1, .steps = 1
    };
    struct nw_refault_step out[1];
    struct nw_error err = { 0 };
    assert_int_equal(nw_refault_run(&good, NULL, out, &err), NW_OK);
    struct nw_reclaim_program bad = good;
    bad.pages = 3; /* the second touch is of page 3 */
    assert_int_equal(nw_refault_run(&bad, NULL, out, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "page 3 of 3"));
    bad.pages = NW_RECLAIM_PAGES_MAX + 1;
    assert_int_equal(nw_reclaim_check(&bad, &err), NW_ERR_INPUT);
    bad = good;
    victim[0] = 4;
    assert_int_equal(nw_reclaim_check(&bad, &err), NW_ERR_INPUT);
    victim[0] = 1;
    step[0].touches_end = 3;
    assert_int_equal(nw_reclaim_check(&bad, &err), NW_ERR_INPUT);
    step[0].touches_end = 2;
    bad.steps = 0;
    assert_int_equal(nw_reclaim_check(&bad, &err), NW_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs__can_run_and_follow_from_the_seed),
        cmocka_unit_test(model__refaults_are_those_of_a_set_of_pages),
        cmocka_unit_test(model__sweep_brings_every_page_back_each_time),
        cmocka_unit_test(model__policies_hold_the_guest_to_its_frames),
        cmocka_unit_test(programs__malformed_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
