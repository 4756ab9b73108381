/* test_replacement.c - the policies against known answers, against miss ratios that another simulator recorded, and against second versions
 * that keep plain arrays in order of arrival. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those four */
#include <cmocka.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/swap/replacement.h>

static uint64_t faults_of(const char *policy, uint64_t frames, const uint64_t *page, size_t count)
{
    struct nw_error err = { 0 };
    struct nw_replacement *r;
    uint64_t faults = 0;
    assert_int_equal(nw_replacement_create(&r, nw_replacement_policy_find(policy), frames, 42, &err), NW_OK);
    for (size_t i = 0; i < count; i++) {
        bool fault;
        assert_int_equal(nw_replacement_touch(r, page[i], &fault, &err), NW_OK);
        faults += fault;
    }
    nw_replacement_destroy(r);
    return faults;
}

/* Belady, Nelson and Shedler, "An Anomaly in Space-Time Characteristics of Certain Programs Running in a Paging Machine" (1969). */
static void fifo__more_frames_can_fault_more(void **state)
{
    (void)state;
    static const uint64_t page[] = { 1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5 };
    assert_int_equal(faults_of("fifo", 3, page, 12), 9);
    assert_int_equal(faults_of("fifo", 4, page, 12), 10);
    assert_int_equal(faults_of("lru", 3, page, 12), 10);
    assert_int_equal(faults_of("lru", 4, page, 12), 8);
}

static void every_policy__faults_once_a_page_when_all_fit(void **state)
{
    (void)state;
    enum { PAGES = 5000, TIMES = 3 };
    static uint64_t page[PAGES * TIMES];
    for (size_t i = 0; i < PAGES * TIMES; i++)
        page[i] = UINT64_MAX - i % PAGES * 977;
    for (size_t i = 0; nw_replacement_policies[i]; i++) {
        assert_int_equal(faults_of(nw_replacement_policies[i]->name, PAGES, page, PAGES * TIMES), PAGES);
        assert_int_equal(faults_of(nw_replacement_policies[i]->name, 1, page, PAGES * TIMES), PAGES * TIMES);
    }
}

static void frames__none_or_too_many_are_refused(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    struct nw_replacement *r;
    assert_int_equal(nw_replacement_create(&r, nw_replacement_policies[0], 0, 1, &err), NW_ERR_USAGE);
    assert_non_null(strstr(err.text, "allowed are 1 to"));
    assert_int_equal(nw_replacement_create(&r, nw_replacement_policies[0], UINT64_C(1) << 40, 1, &err), NW_ERR_USAGE);
    assert_null(nw_replacement_policy_find("belady"));
}

/* ---- second versions: arrays in order, the newest last ---- */

enum { FRAMES_MAX = 40 };
struct item {
    uint64_t page;
    int used;
};
struct naive {
    struct item item[4][2 * FRAMES_MAX + 2]; /* lists */
    int n[4], frames, hand;
    double p;
    bool full;
    struct nw_rng rng;
};

static int at(const struct naive *v, int list, uint64_t page)
{
    for (int i = 0; i < v->n[list]; i++)
        if (v->item[list][i].page == page)
            return i;
    return -1;
}
static struct item take_out(struct naive *v, int list, int i)
{
    struct item out = v->item[list][i];
    memmove(&v->item[list][i], &v->item[list][i + 1], sizeof out * (size_t)(--v->n[list] - i));
    return out;
}
static void put(struct naive *v, int list, uint64_t page, int used)
{
    v->item[list][v->n[list]++] = (struct item){ page, used };
}

static bool naive_lru(struct naive *v, uint64_t page)
{
    int i = at(v, 0, page);
    if (i >= 0 || v->n[0] == v->frames)
        take_out(v, 0, i >= 0 ? i : 0);
    put(v, 0, page, 0);
    return i < 0;
}
static bool naive_fifo(struct naive *v, uint64_t page)
{
    if (at(v, 0, page) >= 0)
        return false;
    if (v->n[0] == v->frames)
        take_out(v, 0, 0);
    put(v, 0, page, 0);
    return true;
}
static bool naive_clock(struct naive *v, uint64_t page)
{
    int i = at(v, 0, page);
    if (i >= 0) {
        v->item[0][i].used = 1;
        return false;
    }
    while (v->n[0] == v->frames) {
        struct item out = take_out(v, 0, 0);
        if (out.used)
            put(v, 0, out.page, 0);
    }
    put(v, 0, page, 0);
    return true;
}
/* A page that comes takes the very place of the one that goes. */
static bool naive_random(struct naive *v, uint64_t page)
{
    if (at(v, 0, page) >= 0)
        return false;
    if (v->n[0] == v->frames)
        v->item[0][nw_rng_below(&v->rng, (uint64_t)v->frames)].page = page;
    else
        put(v, 0, page, 0);
    return true;
}
/* Lists 0 inactive, 1 active; below a GiB they should be equally long. used: 1 accessed, 2 referenced. */
static bool naive_two_list(struct naive *v, uint64_t page)
{
    for (int list = 0; list < 2; list++)
        if (at(v, list, page) >= 0) {
            v->item[list][at(v, list, page)].used |= 1;
            return false;
        }
    while (v->n[0] + v->n[1] == v->frames) {
        if (v->n[0] < v->n[1]) {
            put(v, 0, take_out(v, 1, 0).page, 0);
            continue;
        }
        struct item out = take_out(v, 0, 0);
        if (out.used == 1)
            put(v, 0, out.page, 2);
        else if (out.used == 3)
            put(v, 1, out.page, 0);
    }
    put(v, 0, page, 0);
    return true;
}
/* One list in the order in which pages entered their generations; used: twice the generation, and the accessed bit. p: the youngest; hand: the oldest. */
static bool naive_mglru(struct naive *v, uint64_t page)
{
    int i = at(v, 0, page);
    if (v->p < 1)
        v->p = 3;
    if (i >= 0) {
        v->item[0][i].used |= 1;
        return false;
    }
    while (v->n[0] == v->frames) {
        int oldest = -1;
        for (i = 0; i < v->n[0] && oldest < 0; i++)
            if (v->item[0][i].used >> 1 == v->hand)
                oldest = i;
        if (oldest < 0 || (int)v->p - v->hand < 2) {
            v->hand += oldest < 0 && (int)v->p - v->hand >= 2;
            if ((int)v->p - v->hand >= 2)
                continue;
            v->p += 1;
            for (int seq = v->hand; seq < (int)v->p; seq++) /* a new generation, and the walk: oldest pages first */
                for (i = 0; i < v->n[0];) {
                    if (v->item[0][i].used == seq * 2 + 1)
                        put(v, 0, take_out(v, 0, i).page, (int)v->p * 2);
                    else
                        i++;
                }
            continue;
        }
        struct item out = take_out(v, 0, oldest);
        if (out.used & 1)
            put(v, 0, out.page, (int)v->p * 2);
    }
    put(v, 0, page, (int)v->p * 2);
    return true;
}
static bool naive_sieve(struct naive *v, uint64_t page)
{
    int i = at(v, 0, page);
    if (i >= 0) {
        v->item[0][i].used = 1;
        return false;
    }
    if (v->n[0] == v->frames) {
        for (;; v->hand++) {
            v->hand %= v->n[0];
            if (!v->item[0][v->hand].used)
                break;
            v->item[0][v->hand].used = 0;
        }
        bool last =
            v->hand == v->n[0] - 1; /* the hand stands beyond the newest and goes to the oldest, whoever comes */
        take_out(v, 0, v->hand);
        if (last)
            v->hand = 0;
    }
    put(v, 0, page, 0);
    return true;
}
static void naive_arc_replace(struct naive *v, bool in_b2)
{
    int from = v->n[0] >= 1 && ((in_b2 && v->n[0] >= v->p) || v->n[0] > v->p) ? 0 : 1;
    put(v, from + 2, take_out(v, from, 0).page, 0);
}
static bool naive_arc(struct naive *v, uint64_t page)
{
    for (int list = 0; list < 2; list++)
        if (at(v, list, page) >= 0) {
            take_out(v, list, at(v, list, page));
            put(v, 1, page, 0);
            return false;
        }
    const double b1 = v->n[2], b2 = v->n[3];
    for (int list = 2; list < 4; list++)
        if (at(v, list, page) >= 0) {
            v->p = list == 2 ? fmin(v->frames, v->p + fmax(b2 / b1, 1)) : fmax(0, v->p - fmax(b1 / b2, 1));
            naive_arc_replace(v, list == 3);
            take_out(v, list, at(v, list, page));
            put(v, 1, page, 0);
            return true;
        }
    if (v->n[0] + v->n[2] == v->frames) {
        if (v->n[0] < v->frames) {
            take_out(v, 2, 0);
            naive_arc_replace(v, false);
        } else {
            take_out(v, 0, 0);
        }
    } else if (v->n[0] + v->n[1] + v->n[2] + v->n[3] >= v->frames) {
        if (v->n[0] + v->n[1] + v->n[2] + v->n[3] == 2 * v->frames)
            take_out(v, 3, 0);
        naive_arc_replace(v, false);
    }
    put(v, 0, page, 0);
    return true;
}
static bool naive_s3fifo(struct naive *v, uint64_t page)
{
    const int small = v->frames >= 10 ? v->frames / 10 : 1, main = v->frames - small;
    for (int list = 0; list < 2; list++)
        if (at(v, list, page) >= 0) {
            int *used = &v->item[list][at(v, list, page)].used;
            *used = *used < 3 ? *used + 1 : 3;
            return false;
        }
    const int ghost = at(v, 2, page);
    if (ghost >= 0)
        take_out(v, 2, ghost);
    while (v->n[0] + v->n[1] == v->frames) {
        v->full = true;
        if (v->n[1] > main || !v->n[0]) {
            struct item out = take_out(v, 1, 0);
            if (out.used)
                put(v, 1, out.page, out.used - 1);
            continue;
        }
        /* The small queue, until something falls out or it is empty. */
        bool out_now = false;
        while (v->n[0] && !out_now) {
            struct item out = take_out(v, 0, 0);
            out_now = out.used < 2;
            put(v, out_now ? 2 : 1, out.page, 0);
        }
        while (v->n[2] > main)
            take_out(v, 2, 0);
    }
    put(v, ghost >= 0 || (!v->full && v->n[0] >= small) ? 1 : 0, page, 0);
    return true;
}

static void policies__do_as_their_second_versions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool (*touch)(struct naive *v, uint64_t page);
    } pairs[] = { { "lru", naive_lru },       { "fifo", naive_fifo },         { "clock", naive_clock },
                  { "sieve", naive_sieve },   { "arc", naive_arc },           { "s3fifo", naive_s3fifo },
                  { "random", naive_random }, { "two-list", naive_two_list }, { "mglru", naive_mglru } };
    for (size_t i = 0; nw_replacement_policies[i]; i++) {
        size_t k = 0;
        while (k < sizeof pairs / sizeof *pairs && strcmp(pairs[k].name, nw_replacement_policies[i]->name) != 0)
            k++;
        if (k == sizeof pairs / sizeof *pairs)
            fail_msg("%s has no second version", nw_replacement_policies[i]->name);
    }
    for (uint64_t seed = 1; seed <= 200; seed++)
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            struct nw_rng rng = nw_rng_seeded(seed);
            struct naive v = { .frames = 1 + (int)nw_rng_below(&rng, seed % 4 ? FRAMES_MAX : 3) };
            v.rng = nw_rng_for(1, "replacement"); /* the one that the policy draws from */
            const uint64_t few = 1 + nw_rng_below(&rng, 60), many = few + nw_rng_below(&rng, 200);
            struct nw_error err = { 0 };
            struct nw_replacement *r;
            assert_int_equal(
                nw_replacement_create(&r, nw_replacement_policy_find(pairs[i].name), (uint64_t)v.frames, 1, &err),
                NW_OK);
            for (int n = 0; n < 4000; n++) {
                const uint64_t page = nw_rng_below(&rng, nw_rng_below(&rng, 3) ? few : many);
                bool fault;
                assert_int_equal(nw_replacement_touch(r, page, &fault, &err), NW_OK);
                if (fault != pairs[i].touch(&v, page))
                    fail_msg("%s, seed %d, %d frames: touch %d differs", pairs[i].name, (int)seed, v.frames, n);
            }
            nw_replacement_destroy(r);
        }
}

/* Random admissions, uses, evictions and removals: who has a frame is always known, and nobody is named who has none. */
static void policies__in_steps_keep_count(void **state)
{
    (void)state;
    enum { PAGES = 300, STEPS = 30000 };
    for (size_t p = 0; nw_replacement_policies[p]; p++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct nw_error err = { 0 };
            struct nw_replacement *r;
            struct nw_rng rng = nw_rng_seeded(seed);
            uint32_t node[PAGES];
            bool resident[PAGES] = { 0 };
            uint64_t count = 0;
            assert_int_equal(nw_replacement_create(&r, nw_replacement_policies[p], 1 + 20 * seed, 1, &err), NW_OK);
            for (int i = 0; i < STEPS; i++) {
                const uint64_t page = nw_rng_below(&rng, PAGES), what = nw_rng_below(&rng, 20);
                if (what == 0) {
                    nw_replacement_resize(r, 1 + nw_rng_below(&rng, 200));
                } else if (what < 4 && resident[page]) {
                    nw_replacement_remove(r, node[page]);
                    resident[page] = false;
                    count--;
                } else if (what < 7 || count > 250) {
                    const uint64_t out = nw_replacement_evict(r, resident[page] ? NW_REPLACEMENT_NO_PAGE : page);
                    if (out == NW_REPLACEMENT_NO_PAGE) {
                        assert_int_equal(count, 0);
                        continue;
                    }
                    assert_true(out < PAGES);
                    if (!resident[out])
                        fail_msg("%s, seed %d, step %d: evicts a page that has no frame",
                                 nw_replacement_policies[p]->name, (int)seed, i);
                    resident[out] = false;
                    count--;
                } else if (resident[page]) {
                    nw_replacement_hit(r, node[page]);
                } else {
                    assert_int_equal(nw_replacement_admit(r, page, &node[page], &err), NW_OK);
                    resident[page] = true;
                    count++;
                }
                assert_int_equal(nw_replacement_resident(r), count);
            }
            nw_replacement_destroy(r);
        }
}

/* ---- recorded miss ratios ---- */

enum { SPAN_PAGES = 64 << 8, TOUCHES = 1000000 };

/* The recorded streams: uniform, or runs of 1 to 7 in a page by Zipf's law (exponent 0.99), ranks scattered by an odd factor. */
static void make_stream(uint64_t *page, bool zipf, uint64_t seed)
{
    static double sum[SPAN_PAGES];
    struct nw_rng rng = nw_rng_seeded(seed);
    double total = 0;
    for (size_t i = 0; i < SPAN_PAGES; i++)
        sum[i] = total += pow((double)i + 1, -0.99);
    for (size_t i = 0; i < TOUCHES;) {
        if (!zipf) {
            page[i++] = nw_rng_next(&rng) >> 12 & (SPAN_PAGES - 1);
            continue;
        }
        const double u = nw_rng_unit(&rng) * total;
        size_t first = 0, last = SPAN_PAGES - 1;
        while (first < last) {
            const size_t mid = (first + last) / 2;
            if (sum[mid] < u)
                first = mid + 1;
            else
                last = mid;
        }
        for (uint64_t run = 1 + nw_rng_next(&rng) % 7; run && i < TOUCHES; run--, nw_rng_next(&rng))
            page[i++] = first * 0x9e3779b1 & (SPAN_PAGES - 1);
    }
}

static void policies__agree_with_recorded_miss_ratios(void **state)
{
    (void)state;
    FILE *f = fopen(NW_TEST_DATA "/swap/replacement-miss-ratios.csv", "r");
    static uint64_t page[TOUCHES];
    char line[128], made[32] = "", kind[16], policy[16];
    unsigned touches, span, seed, frames, rows = 0;
    double wanted;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f)) {
        char stream[32];
        assert_int_equal(
            sscanf(line, "%15[^,],%u,%u,%u,%u,%15[^,],%lf", kind, &touches, &span, &seed, &frames, policy, &wanted), 7);
        assert_true(touches == TOUCHES && span << 8 == SPAN_PAGES);
        snprintf(stream, sizeof stream, "%s %u", kind, seed);
        if (strcmp(stream, made))
            make_stream(page, !strcmp(kind, "zipf"), seed);
        strcpy(made, stream);
        const double ratio = (double)faults_of(policy, frames, page, TOUCHES) / TOUCHES;
        /* Four digits were recorded. S3-FIFO has variants in how a full small queue is left. */
        if (fabs(ratio - wanted) > (strcmp(policy, "s3fifo") ? 0.00005001 : 0.0005))
            fail_msg("%s, %s, %u frames: %.6f, recorded %.4f", stream, policy, frames, ratio, wanted);
        rows++;
    }
    fclose(f);
    assert_int_equal(rows, 72);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifo__more_frames_can_fault_more),
        cmocka_unit_test(every_policy__faults_once_a_page_when_all_fit),
        cmocka_unit_test(frames__none_or_too_many_are_refused),
        cmocka_unit_test(policies__do_as_their_second_versions),
        cmocka_unit_test(policies__in_steps_keep_count),
        cmocka_unit_test(policies__agree_with_recorded_miss_ratios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
