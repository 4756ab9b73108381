/* Programs for the check of refaults: who is touched, and who is taken. */
#include <nestwalk/base/rng.h>
#include <nestwalk/sim/refault.h>
#include <nestwalk/swap/replacement.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES = 2048, ROUNDS = 6, ROUND_TOUCHES = 1024, POLICY_STEPS = 24, POLICY_TOUCHES = 512, POLICY_FRAMES = 1024 };

struct maker {
    struct nw_reclaim_program *p;
    size_t touch_room, victim_room, step_room;
    struct nw_rng rng;
    bool failed;
};

/* Room for one more; false after a failure, now or before. */
static bool room(struct maker *m, void **list, size_t count, size_t *capacity, size_t size)
{
    if (m->failed || count < *capacity)
        return !m->failed;
    const size_t more = *capacity ? *capacity * 2 : 1024;
    void *grown = realloc(*list, more * size);
    m->failed = !grown;
    if (grown) {
        *list = grown;
        *capacity = more;
    }
    return grown != NULL;
}

static void touch(struct maker *m, uint32_t page, bool write)
{
    if (room(m, (void **)&m->p->touch, m->p->touches, &m->touch_room, sizeof *m->p->touch))
        m->p->touch[m->p->touches++] = (struct nw_reclaim_touch){ page, write };
}

static void victim(struct maker *m, uint32_t page)
{
    if (room(m, (void **)&m->p->victim, m->p->victims, &m->victim_room, sizeof *m->p->victim))
        m->p->victim[m->p->victims++] = page;
}

static void end_step(struct maker *m)
{
    if (room(m, (void **)&m->p->step, m->p->steps, &m->step_room, sizeof *m->p->step))
        m->p->step[m->p->steps++] = (struct nw_reclaim_step){ m->p->touches, m->p->victims };
}

static uint32_t below(struct maker *m, uint32_t n) { return (uint32_t)nw_rng_below(&m->rng, n); }

static void touch_all(struct maker *m, bool write)
{
    for (uint32_t i = 0; i < PAGES; i++)
        touch(m, i, write);
}

/* Half of the touches go to all pages, a quarter to a quarter of them, an eighth to a sixteenth, and so on. */
static uint32_t skewed(struct maker *m)
{
    uint32_t span = PAGES;
    while (span > 16 && below(m, 2))
        span /= 4;
    /* The hot pages lie scattered. */
    return below(m, span) * 1237 % PAGES;
}

/* ---- the programs ---- */

static void sweep(struct maker *m)
{
    for (unsigned round = 0; round < 3; round++) {
        touch_all(m, round != 1);
        for (uint32_t i = 0; i < PAGES; i++)
            victim(m, i);
        end_step(m);
    }
    touch_all(m, false);
    end_step(m);
}

static void half(struct maker *m)
{
    touch_all(m, true);
    for (uint32_t i = 0; i < PAGES; i++)
        if (below(m, 2))
            victim(m, i);
    end_step(m);
    touch_all(m, false);
    end_step(m);
}

static void sparse(struct maker *m)
{
    touch_all(m, true);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < PAGES; i++)
            victim(m, i);
        end_step(m);
        for (unsigned i = 0; i < ROUND_TOUCHES; i++)
            touch(m, below(m, PAGES), below(m, 2));
    }
    end_step(m);
}

/* Victims by whether they were used in the step that ends. */
static void by_use(struct maker *m, bool take_used)
{
    touch_all(m, true);
    end_step(m);
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool used[PAGES] = { false };
        for (unsigned i = 0; i < ROUND_TOUCHES; i++) {
            const uint32_t page = skewed(m);
            used[page] = true;
            touch(m, page, !below(m, 4));
        }
        for (uint32_t i = 0; i < PAGES; i++)
            if (used[i] == take_used)
                victim(m, i);
        end_step(m);
    }
}

static void cold(struct maker *m) { by_use(m, false); }
static void hot(struct maker *m) { by_use(m, true); }

/* A policy holds the guest to POLICY_FRAMES frames, at the end of each step. */
static enum nw_status by_policy(struct maker *m, const char *name, struct nw_error *err)
{
    struct nw_replacement *r = NULL;
    uint32_t node[PAGES];
    bool there[PAGES] = { false };
    enum nw_status s = nw_replacement_create(&r, nw_replacement_policy_find(name), POLICY_FRAMES, 1, err);
    for (unsigned step = 0; step < POLICY_STEPS && !s; step++) {
        for (unsigned i = 0; i < POLICY_TOUCHES && !s; i++) {
            const uint32_t page = skewed(m);
            touch(m, page, !below(m, 3));
            if (there[page])
                nw_replacement_hit(r, node[page]);
            else
                s = nw_replacement_admit(r, page, &node[page], err);
            there[page] = true;
        }
        while (!s && nw_replacement_resident(r) > POLICY_FRAMES) {
            const uint64_t page = nw_replacement_evict(r, NW_REPLACEMENT_NO_PAGE);
            there[page] = false;
            victim(m, (uint32_t)page);
        }
        end_step(m);
    }
    nw_replacement_destroy(r);
    return s;
}

/* ---- the table ---- */

static const struct {
    const char *name, *doc;
    void (*make)(struct maker *m); /* NULL: by the policy of that name */
} programs[] = {
    { "sweep", "Every page is touched, every page is taken, three times over.", sweep },
    { "half", "A random half of the pages is taken; then every page is touched.", half },
    { "sparse", "Every page is taken; then a thousand touches of random pages, six times.", sparse },
    { "cold", "What a skewed step of a thousand touches left alone is taken after it, six times.", cold },
    { "hot", "What it touched is taken, six times.", hot },
    { "lru", "A skewed stream, held to half of its pages by LRU every 512 touches.", NULL },
    { "clock", "The same, by CLOCK.", NULL },
    { "two-list", "The same, by Linux's two lists.", NULL },
    { "mglru", "The same, by generations.", NULL },
};

size_t nw_reclaim_program_count(void) { return NW_ARRAY_LEN(programs); }

bool nw_reclaim_program_describe(size_t index, const char **name, const char **doc)
{
    if (index >= NW_ARRAY_LEN(programs))
        return false;
    *name = programs[index].name;
    *doc = programs[index].doc;
    return true;
}

enum nw_status nw_reclaim_program_make(size_t index, uint64_t seed, struct nw_reclaim_program *out,
                                       struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (index >= NW_ARRAY_LEN(programs))
        return nw_fail(err, NW_ERR_USAGE, "there is no program %zu; 0 to %zu are", index, NW_ARRAY_LEN(programs) - 1);
    *out = (struct nw_reclaim_program){ .doc = programs[index].doc, .pages = PAGES };
    snprintf(out->name, sizeof out->name, "%s", programs[index].name);
    /* The policies get the same stream. */
    struct maker m = { .p = out, .rng = nw_rng_for(seed, programs[index].make ? out->name : "policy") };
    if (programs[index].make)
        programs[index].make(&m);
    else
        s = by_policy(&m, out->name, err);
    if (!s && m.failed)
        s = nw_fail_nomem(err, "a guest program");
    if (s)
        nw_reclaim_program_free(out);
    return s;
}

void nw_reclaim_program_free(struct nw_reclaim_program *p)
{
    free(p->touch);
    free(p->victim);
    free(p->step);
    memset(p, 0, sizeof *p);
}
