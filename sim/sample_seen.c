/* sample_seen.c - see sample_seen.h. */
#include "sample_seen.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

#define REGION_NAME UINT64_C(0x5a5a5a5a5a5a5a5a)

static unsigned policy_log2(uint64_t policy)
{
    return policy == NW_PAGES_2M ? NW_PAGE_2M_LOG2 : policy == NW_PAGES_1G ? NW_PAGE_1G_LOG2 : NW_PAGE_LOG2;
}

enum nw_status seen_init(struct seen *s, const struct replay *p, struct nw_error *err)
{
    const struct nw_config *c = p->config;
    unsigned log2 = p->m.traced ? NW_PAGE_LOG2 : policy_log2(c->guest.page_policy);
    if (p->m.second_stage && policy_log2(c->vmm.backing) < log2)
        log2 = policy_log2(c->vmm.backing);
    *s = (struct seen){ .capacity = 4096, .generation = 1, .p = p, .shift = log2 - NW_PAGE_LOG2 };
    s->size = size_class(log2);
    s->space = p->m.traced ? p->m.registers.cr3 : 0;
    if (!(s->page = calloc(s->capacity, sizeof *s->page)))
        return nw_fail_nomem(err, "the pages of a window");
    for (size_t i = 0; i < c->tlb_count; i++) {
        s->sets[i] = c->tlb[i].entries / c->tlb[i].ways;
        s->enough[i] = c->tlb[i].ways * (c->tlb[i].policy == NW_TLB_LRU ? 1 : KEPT_FILLS);
        if (c->tlb[i].policy != NW_TLB_SRRIP && !(s->fills[i] = calloc(s->sets[i], sizeof *s->fills[i])))
            return nw_fail_nomem(err, "the sets of a TLB");
    }
    return NW_OK;
}

void seen_fini(struct seen *s)
{
    free(s->page);
    for (size_t i = 0; i < NW_TLB_ARRAYS_MAX; i++)
        free(s->fills[i]);
}

static void forget_fills(struct seen *s)
{
    for (size_t i = 0; i < s->p->config->tlb_count; i++)
        if (s->fills[i])
            memset(s->fills[i], 0, s->sets[i] * sizeof *s->fills[i]);
}

void seen_forget(struct seen *s)
{
    if (!++s->generation) {
        memset(s->page, 0, s->capacity * sizeof *s->page);
        s->generation = 1;
    }
    s->used = 0;
    forget_fills(s);
}

void seen_event(struct seen *s, const struct nw_event *e)
{
    switch (e->kind) {
    case NW_EV_CR_WRITE:
        if (e->arg[0] == 3)
            s->space = e->arg[1] & ~NW_BIT(63);
        break;
    case NW_EV_INVLPG: /* what it drops leaves room for one more in its set */
        for (size_t i = 0; i < s->p->config->tlb_count; i++)
            if (s->fills[i]) {
                uint32_t *fills = &s->fills[i][(e->arg[0] >> NW_PAGE_LOG2 >> s->shift) % s->sets[i]];
                *fills -= *fills > 0;
            }
        break;
    case NW_EV_INVPCID:
    case NW_EV_INVVPID:
    case NW_EV_INVEPT:
    case NW_EV_INVLPGA:
    case NW_EV_TLB_CONTROL: forget_fills(s); break;
    default: break;
    }
}

static struct seen_page *slot_of(const struct seen *s, uint64_t name)
{
    size_t at = nw_mix64(name) & (s->capacity - 1);
    while (s->page[at].generation == s->generation && s->page[at].name != name)
        at = (at + 1) & (s->capacity - 1);
    return &s->page[at];
}

static enum nw_status grow(struct seen *s, struct nw_error *err)
{
    struct seen_page *old = s->page;
    size_t capacity = s->capacity;
    if (!(s->page = calloc(capacity * 2, sizeof *s->page))) {
        s->page = old;
        return nw_fail_nomem(err, "the pages of a window");
    }
    s->capacity *= 2;
    for (size_t i = 0; i < capacity; i++)
        if (old[i].generation == s->generation)
            *slot_of(s, old[i].name) = old[i];
    free(old);
    return NW_OK;
}

static enum nw_status mark(struct seen *s, uint64_t name, unsigned how, unsigned *before, struct nw_error *err)
{
    struct seen_page *e = slot_of(s, name);
    *before = e->generation == s->generation ? e->how : 0;
    if (e->generation != s->generation) {
        *e = (struct seen_page){ name, s->generation, (uint8_t)how };
        return ++s->used * 2 > s->capacity ? grow(s, err) : NW_OK;
    }
    e->how |= (uint8_t)how;
    return NW_OK;
}

/* Counts the fill at each level that the page certainly reached. `first`: the other class has not touched it either. */
static void judge(struct seen *s, uint64_t page, unsigned class, bool first, struct seen_news *news)
{
    bool reached = true;
    for (unsigned level = 0; level < s->p->levels; level++) {
        const struct tlb_home home = s->p->home[class][level][s->size];
        uint32_t *fills = home.array >= 0 && home.size == s->size && s->fills[home.array]
                              ? s->fills[home.array] + page % s->sets[home.array]
                              : NULL;
        bool certain = reached && fills && *fills >= s->enough[home.array];
        if (reached && fills && (first || s->p->config->tlb[home.array].class != NW_TLB_UNIFIED))
            ++*fills;
        news->certain[level] = reached = certain;
    }
}

enum nw_status seen_touch(struct seen *s, const struct nw_touch *t, struct seen_news *news, struct nw_error *err)
{
    unsigned class = (t->kind & NW_KIND_TYPE) == NW_FETCH, before;
    unsigned how = class ? SEEN_FETCH : SEEN_DATA | ((t->kind & NW_KIND_TYPE) == NW_STORE ? SEEN_STORE : 0u);
    uint64_t page = t->page >> s->shift, space = nw_mix64(s->space);
    enum nw_status st = mark(s, page ^ space, how, &before, err);
    bool first = !before;
    *news = (struct seen_news){ .page = !(before & (class ? SEEN_FETCH : SEEN_DATA)),
                                .store = (how & SEEN_STORE) && !(before & SEEN_STORE) };
    if (st || !news->page)
        return st;
    if ((st = mark(s, page >> 9 ^ space ^ REGION_NAME, SEEN_DATA, &before, err)))
        return st;
    news->region = !before;
    judge(s, page, class, first, news);
    return NW_OK;
}
