/* proof_brute.h - the proof of an intent a second time, by asking for every page: what requests reach is a list of pages, and the intent is
 * gone through page by page. Nothing of iommu/intent is used but the structs of an intent. Findings are read from the text that a user sees. */
#ifndef NESTWALK_TESTS_PROOF_BRUTE_H
#define NESTWALK_TESTS_PROOF_BRUTE_H

#include "iommu_common.h"
#include <nestwalk/iommu/proof.h>

/* Tables have entries at these indices alone, whichever level they are used at. */
static const unsigned table_index[] = { 0, 3, 510 };
enum { INDICES = 3 };

/* ---- what requests reach ------------------------------------------------------------------------- */

enum { DATA = 0x400000, DATA_PAGES = 64, REQUESTERS_MAX = 12, OWNERS = 4 };

struct reached {
    uint64_t iova, hpa;
    unsigned rights;
};
struct asker {
    struct nw_proved_device d;
    struct reached *at;
    size_t count;
    bool identity;
};
struct brute {
    struct nw_rng rng;
    uint64_t seed;
    struct nw_physmem *pm;
    struct nw_intent in;
    struct asker asker[REQUESTERS_MAX];
    unsigned askers;
    struct nw_proof *proof;
    struct nw_proved proved;
    struct nw_iommu_findings found;
};

static uint64_t below(struct brute *b, uint64_t n) { return nw_rng_below(&b->rng, n); }
static bool chance(struct brute *b, unsigned thousandths) { return below(b, 1000) < thousandths; }

static struct asker *add_asker(struct brute *b, uint16_t source, bool has_pasid, uint32_t pasid)
{
    assert_true(b->askers < REQUESTERS_MAX);
    b->asker[b->askers].d = (struct nw_proved_device){ 0, source, has_pasid, pasid };
    return &b->asker[b->askers++];
}

static void note(struct asker *a, uint64_t iova, uint64_t hpa, unsigned rights)
{
    if (!(a->count & (a->count - 1))) {
        a->at = realloc(a->at, (a->count ? 2 * a->count : 1) * sizeof *a->at);
        assert_non_null(a->at);
    }
    a->at[a->count++] = (struct reached){ iova, hpa & ~UINT64_C(0xfff), rights };
}

/* Calls ask for every page below the indices of `levels` levels: of the lowest all 512, as a large page may cover them; with `huge` of
 * the second as well. */
static void each_page(unsigned levels, bool huge, uint64_t base, void (*ask)(void *context, uint64_t iova),
                      void *context)
{
    const unsigned low = 12 + 9 * (levels - 1);
    if (levels == 1 || (levels == 2 && huge))
        for (unsigned i = 0; i < 512; i++)
            if (levels == 1)
                ask(context, base + ((uint64_t)i << low));
            else
                each_page(1, huge, base + ((uint64_t)i << low), ask, context);
    else
        for (unsigned i = 0; i < INDICES; i++)
            each_page(levels - 1, huge, base + ((uint64_t)table_index[i] << low), ask, context);
}

/* ---- a random intent ----------------------------------------------------------------------------- */

static void random_intent(struct brute *b)
{
    static struct nw_intent_owner owner[OWNERS];
    static struct nw_intent_device device[REQUESTERS_MAX];
    static struct nw_intent_memory memory[DATA_PAGES + 1], shared[4];
    static struct nw_intent_window window[4];
    static const char *const name[OWNERS] = { "a", "b", "hypervisor", "blocked" };
    static const enum nw_intent_kind kind[OWNERS] = { NW_INTENT_GUEST, NW_INTENT_GUEST, NW_INTENT_HYPERVISOR,
                                                      NW_INTENT_BLOCKED };
    b->in = (struct nw_intent){ .others = chance(b, 400)   ? NW_INTENT_BLOCKED
                                          : chance(b, 500) ? NW_INTENT_HYPERVISOR
                                                           : NW_INTENT_UNCHECKED,
                                .owner = owner,
                                .device = device,
                                .memory = memory,
                                .shared = shared,
                                .window = window,
                                .owners = OWNERS };
    for (unsigned i = 0; i < OWNERS; i++)
        owner[i] = (struct nw_intent_owner){ (char *)(uintptr_t)name[i], kind[i], false };
    for (unsigned i = 0; i < b->askers; i++)
        if (chance(b, 900))
            device[b->in.devices++] =
                (struct nw_intent_device){ .first = b->asker[i].d.source_id,
                                           .last = b->asker[i].d.source_id,
                                           .has_pasid = b->asker[i].d.has_pasid,
                                           .pasid = b->asker[i].d.pasid,
                                           .owner = chance(b, 800) ? (int)below(b, 2) : (int)below(b, OWNERS) };
    const bool no_memory = chance(b, 150);
    for (uint64_t page = 0; page < DATA_PAGES && !no_memory;) {
        const uint64_t pages = 1 + below(b, 24), left = DATA_PAGES - page, here = pages < left ? pages : left;
        const int who = (int)below(b, 5) - 1;
        if (who >= 0 && who < 3) {
            memory[b->in.memories++] =
                (struct nw_intent_memory){ DATA + page * 4096, DATA + (page + here) * 4096,
                                           chance(b, 900) ? 3 : 1 + (unsigned)below(b, 3), who, 0 };
            owner[who].has_memory = true;
        }
        page += here;
    }
    while (b->in.shareds < 4 && chance(b, 400)) {
        const uint64_t first = below(b, DATA_PAGES);
        shared[b->in.shareds++] =
            (struct nw_intent_memory){ DATA + first * 4096, DATA + (first + 1 + below(b, 4)) * 4096,
                                       1 + (unsigned)below(b, 3), (int)below(b, 3), 0 };
    }
    while (b->in.windows < 4 && b->in.devices && chance(b, 300)) {
        const int row = (int)below(b, b->in.devices), who = device[row].owner;
        struct nw_intent_window w = { .rights = 1 + (unsigned)below(b, 3),
                                      .owner = who,
                                      .device = chance(b, 500) ? row : -1 };
        if (owner[who].kind == NW_INTENT_BLOCKED)
            continue;
        w.required = chance(b, 500);
        w.has_target = chance(b, 400);
        w.target = DATA + below(b, DATA_PAGES) * 4096;
        if (chance(b, 500)) {
            w.last = nw_mask(46, 0);
            w.has_target = w.required = false;
        } else {
            w.first = (below(b, 2) * 3 << 21 | table_index[below(b, 3)] << 12);
            w.last = w.first + (1 + below(b, 4)) * 4096 - 1;
        }
        /* What the tables have there, now and then. */
        for (unsigned i = 0; i < b->askers && w.has_target && chance(b, 700); i++)
            for (size_t k = 0;
                 k < b->asker[i].count && nw_intent_device_of(&b->in, 0, b->asker[i].d.source_id,
                                                              b->asker[i].d.has_pasid, b->asker[i].d.pasid) == row;
                 k += 1 + below(b, 40)) {
                w.first = b->asker[i].at[k].iova;
                w.last = w.first + 4095;
                w.target = b->asker[i].at[k].hpa;
                w.rights = chance(b, 700) ? b->asker[i].at[k].rights : w.rights;
            }
        window[b->in.windows++] = w;
    }
}

/* ---- the intent, page by page -------------------------------------------------------------------- */

static int row_of(const struct brute *b, const struct nw_proved_device *d)
{
    int row = -1;
    for (size_t i = 0; i < b->in.devices; i++) {
        const struct nw_intent_device *r = &b->in.device[i];
        if (r->first == d->source_id && r->has_pasid && d->has_pasid && r->pasid == d->pasid)
            return (int)i;
        if (r->first == d->source_id && !r->has_pasid)
            row = (int)i;
    }
    return row;
}

static int owner_of(const struct brute *b, const struct nw_proved_device *d)
{
    const int row = row_of(b, d);
    return row < 0 ? -1 : b->in.device[row].owner;
}

static enum nw_intent_kind kind_of(const struct brute *b, const struct nw_proved_device *d)
{
    const int owner = owner_of(b, d);
    return owner < 0 ? b->in.others : b->in.owner[owner].kind;
}

static bool window_is_of(const struct brute *b, const struct nw_intent_window *w, const struct nw_proved_device *d)
{
    return owner_of(b, d) == w->owner && (w->device < 0 || w->device == row_of(b, d));
}

/* What a device may do with a page, and whose it is. */
static unsigned may(const struct brute *b, const struct nw_proved_device *d, uint64_t hpa, bool windows, int *holder)
{
    const int owner = owner_of(b, d);
    const enum nw_intent_kind kind = kind_of(b, d);
    unsigned rights = 0, own = 0;
    *holder = -1;
    for (size_t i = 0; i < b->in.memories; i++)
        if (hpa >= b->in.memory[i].start && hpa < b->in.memory[i].end) {
            *holder = b->in.memory[i].owner;
            own = b->in.memory[i].rights;
        }
    if (kind == NW_INTENT_UNCHECKED)
        return 3;
    if (*holder >= 0 && *holder == owner)
        rights = own;
    else if (kind == NW_INTENT_HYPERVISOR && (*holder < 0 || *holder == 2))
        rights = 3;
    else if (kind == NW_INTENT_GUEST && *holder < 0 && !b->in.owner[owner].has_memory)
        rights = 3;
    for (size_t i = 0; i < b->in.shareds; i++)
        if (hpa >= b->in.shared[i].start && hpa < b->in.shared[i].end &&
            (b->in.shared[i].owner == owner || (kind == NW_INTENT_HYPERVISOR && b->in.shared[i].owner == 2)))
            rights |= b->in.shared[i].rights;
    for (size_t i = 0; i < b->in.windows && windows; i++) {
        const struct nw_intent_window *w = &b->in.window[i];
        if (w->has_target && window_is_of(b, w, d) && hpa >= w->target && hpa - w->target <= w->last - w->first)
            rights |= w->rights;
    }
    return rights;
}

static const char *rule_for(enum nw_intent_kind kind, unsigned allowed)
{
    return kind == NW_INTENT_BLOCKED ? "N01" : kind == NW_INTENT_HYPERVISOR ? "N04" : allowed ? "N03" : "X17";
}

/* Rights of a mapping that windows do not allow. */
static unsigned outside(const struct brute *b, const struct nw_proved_device *d, const struct reached *r)
{
    bool any = false, confined = false, through = false;
    unsigned rights = 0;
    int holder;
    for (size_t i = 0; i < b->in.windows; i++) {
        const struct nw_intent_window *w = &b->in.window[i];
        if (!window_is_of(b, w, d))
            continue;
        any = true;
        confined |= !w->has_target;
        if (r->iova < w->first || r->iova > w->last || (w->has_target && r->hpa != w->target + (r->iova - w->first)))
            continue;
        rights |= w->rights;
        through |= w->has_target;
    }
    if (!any)
        return 0;
    if (!confined)
        rights = 3;
    if (!through)
        rights &= ~(may(b, d, r->hpa, true, &holder) & ~may(b, d, r->hpa, false, &holder));
    return r->rights & ~rights;
}

/* ---- findings against it ------------------------------------------------------------------------- */

/* Of one subject and rule: what is wrong by each page, in order. */
struct wrong {
    uint64_t page;
    unsigned rights;
};
struct wrongs {
    struct wrong *at;
    size_t count;
};

static void add_wrong(struct wrongs *w, uint64_t page, unsigned rights)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (w->at[middle].page < page)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < w->count && w->at[low].page == page) {
        w->at[low].rights |= rights;
        return;
    }
    if (!(w->count & (w->count - 1))) {
        w->at = realloc(w->at, (w->count ? 2 * w->count : 1) * sizeof *w->at);
        assert_non_null(w->at);
    }
    memmove(&w->at[low + 1], &w->at[low], (w->count - low) * sizeof *w->at);
    w->at[low] = (struct wrong){ page, rights };
    w->count++;
}

static bool subject_is(const struct nw_proved_subject *s, const struct nw_iommu_finding *f)
{
    char name[64];
    const struct nw_proved_device *d = &s->device[0];
    int used = snprintf(name, sizeof name, "%02x:%02x.%x", d->source_id >> 8, d->source_id >> 3 & 31, d->source_id & 7);
    if (d->has_pasid)
        used += snprintf(name + used, sizeof name - (size_t)used, " PASID 0x%x", d->pasid);
    if (s->devices > 1)
        snprintf(name + used, sizeof name - (size_t)used, " and %zu more", s->devices - 1);
    return !strcmp(name, f->where);
}

static uint64_t findings_read[16], pages_compared;

/* What the findings of `rule` say of a subject; bytes that are only counted go to *more. Two subjects may have one name: then one that has
 * none of them is compared with the findings of both, so names are unique in these worlds. */
static struct wrongs told(const struct brute *b, const struct nw_proved_subject *s, const char *rule, const char *of,
                          uint64_t *more)
{
    struct wrongs w = { 0 };
    *more = 0;
    for (size_t i = 0; i < b->found.count; i++) {
        const struct nw_iommu_finding *f = &b->found.at[i];
        unsigned long long first, last, ranges, bytes;
        const char *range = strstr(f->detail, "0x");
        if (strcmp(f->rule->id, rule) || (s && !subject_is(s, f)) || (of && !strstr(f->detail, of)))
            continue;
        if (sscanf(f->detail, "%llu more ranges, %llu bytes", &ranges, &bytes) == 2) {
            *more += bytes;
            continue;
        }
        assert_non_null(range);
        assert_int_equal(sscanf(range, "0x%llx-0x%llx", &first, &last), 2);
        const unsigned rights = !strncmp(f->detail, "reads and writes ", 17) ? 3
                                : !strncmp(f->detail, "reads ", 6)           ? 1
                                                                             : 2;
        for (uint64_t page = first; page < last; page += 4096)
            add_wrong(&w, page, rights);
        /* The request that shows it. */
        assert_non_null(f->witness);
        const uint64_t at = strcmp(rule, "N02") ? f->witness->hpa : f->witness->iova;
        assert_true(at >= first && at <= last && f->witness->entries && (rights & (f->witness->write ? 2 : 1)));
    }
    return w;
}

static void same(const struct brute *b, const char *rule, const struct wrongs *is, struct wrongs *should, uint64_t more)
{
    pages_compared += should->count;
    uint64_t missing = 0;
    size_t i = 0;
    for (size_t k = 0; k < should->count; k++) {
        if (i < is->count && is->at[i].page == should->at[k].page) {
            if (is->at[i].rights != should->at[k].rights)
                fail_msg("seed %llu, %s: page 0x%llx is told with rights %u, not %u", (unsigned long long)b->seed, rule,
                         (unsigned long long)should->at[k].page, is->at[i].rights, should->at[k].rights);
            i++;
        } else {
            missing += 4096;
        }
    }
    if (i != is->count || missing != more)
        fail_msg(
            "seed %llu, %s: %zu pages are told and %zu should be; %llu bytes more are told of, %llu are not listed",
            (unsigned long long)b->seed, rule, is->count, should->count, (unsigned long long)more,
            (unsigned long long)missing);
}

static struct asker *asker_of(struct brute *b, const struct nw_proved_device *d)
{
    for (unsigned i = 0; i < b->askers; i++)
        if (!memcmp(&b->asker[i].d.source_id, &d->source_id, sizeof d->source_id) &&
            b->asker[i].d.has_pasid == d->has_pasid && b->asker[i].d.pasid == d->pasid)
            return &b->asker[i];
    return NULL;
}

static void check_memory(struct brute *b, const struct nw_proved_subject *s, const struct asker *a)
{
    struct nw_frame_set *set;
    struct nw_frame_range x, y;
    uint64_t from = 0;
    assert_int_equal(s->everything != 0, a->identity);
    if (a->identity)
        return;
    must(nw_frame_set_create(&set, err));
    for (size_t i = 0; i < a->count; i++)
        must(nw_frame_set_add(set, a->at[i].hpa, 4096, a->at[i].rights, err));
    if (nw_frame_set_bytes(set, 1) != s->read_bytes || nw_frame_set_bytes(set, 2) != s->write_bytes)
        fail_msg("seed %llu: %04x pasid %d, %s: reads 0x%llx bytes and not 0x%llx, writes 0x%llx and not 0x%llx",
                 (unsigned long long)b->seed, a->d.source_id, a->d.has_pasid ? (int)a->d.pasid : -1, s->translation,
                 (unsigned long long)s->read_bytes, (unsigned long long)nw_frame_set_bytes(set, 1),
                 (unsigned long long)s->write_bytes, (unsigned long long)nw_frame_set_bytes(set, 2));
    while (nw_frame_set_next(set, from, &x)) {
        if (!nw_frame_set_next(s->memory, from, &y) || x.start != y.start || x.end != y.end || x.rights != y.rights)
            fail_msg("seed %llu: %04x pasid %d: memory differs at 0x%llx", (unsigned long long)b->seed, a->d.source_id,
                     a->d.has_pasid ? (int)a->d.pasid : -1, (unsigned long long)x.start);
        from = x.end;
    }
    nw_frame_set_destroy(set);
}

static unsigned count_of(const struct brute *b, const struct nw_proved_subject *s, const char *rule)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->found.count; i++)
        n += !strcmp(b->found.at[i].rule->id, rule) && subject_is(s, &b->found.at[i]);
    return n;
}

/* Required windows of which a page is not mapped as it should be. */
static unsigned unmapped_windows(const struct brute *b, const struct asker *a)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->in.windows; i++) {
        const struct nw_intent_window *w = &b->in.window[i];
        bool all = true;
        for (uint64_t page = w->first; page < w->last && w->required; page += 4096) {
            bool mapped = false;
            for (size_t k = 0; k < a->count; k++)
                mapped |= a->at[k].iova == page && (a->at[k].rights & w->rights) == w->rights &&
                          (!w->has_target || a->at[k].hpa == w->target + (page - w->first));
            all &= mapped;
        }
        n += w->required && window_is_of(b, w, &a->d) && !all;
    }
    return n;
}

static void check_subject(struct brute *b, const struct nw_proved_subject *s)
{
    static const char *const rules[] = { "X17", "N01", "N03", "N04" };
    const enum nw_intent_kind kind = kind_of(b, &s->device[0]);
    for (size_t i = 0; i < s->devices; i++) {
        const struct asker *a = asker_of(b, &s->device[i]);
        if (a && !*s->reason)
            check_memory(b, s, a);
    }
    const struct asker *a = asker_of(b, &s->device[0]);
    if (!a || a->identity || kind == NW_INTENT_UNCHECKED)
        return;
    for (size_t k = 0; k < NW_ARRAY_LEN(rules); k++) {
        struct wrongs should = { 0 }, is;
        uint64_t more;
        int holder;
        for (size_t i = 0; i < a->count; i++) {
            const unsigned allowed = may(b, &a->d, a->at[i].hpa, true, &holder), excess = a->at[i].rights & ~allowed;
            if (excess && !strcmp(rule_for(kind, allowed), rules[k]))
                add_wrong(&should, a->at[i].hpa, excess);
        }
        is = told(b, s, rules[k], NULL, &more);
        findings_read[k] += is.count != 0;
        same(b, rules[k], &is, &should, more);
        free(is.at);
        free(should.at);
    }
    struct wrongs should = { 0 }, is;
    uint64_t more;
    for (size_t i = 0; i < a->count; i++)
        if (outside(b, &a->d, &a->at[i]))
            add_wrong(&should, a->at[i].iova, outside(b, &a->d, &a->at[i]));
    is = told(b, s, "N02", NULL, &more);
    findings_read[4] += is.count != 0;
    same(b, "N02", &is, &should, more);
    free(is.at);
    free(should.at);
    const unsigned windows = unmapped_windows(b, a);
    findings_read[5] += windows != 0;
    if (count_of(b, s, "N05") != windows)
        fail_msg("seed %llu, N05: %u are told, not %u", (unsigned long long)b->seed, count_of(b, s, "N05"), windows);
}

static bool shares_writes(const struct brute *b, int owner, uint64_t page)
{
    unsigned rights = 0;
    for (size_t i = 0; i < b->in.shareds; i++)
        if (b->in.shared[i].owner == owner && page >= b->in.shared[i].start && page < b->in.shared[i].end)
            rights |= b->in.shared[i].rights;
    return rights & 2;
}

static void check_guests(struct brute *b)
{
    struct wrongs written[2] = { { 0 }, { 0 } }, should = { 0 }, is;
    uint64_t more;
    for (unsigned i = 0; i < b->askers; i++) {
        const int owner = owner_of(b, &b->asker[i].d);
        for (size_t k = 0; k < b->asker[i].count && !b->asker[i].identity && (owner == 0 || owner == 1); k++)
            if (b->asker[i].at[k].rights & 2)
                add_wrong(&written[owner], b->asker[i].at[k].hpa, 2);
    }
    for (size_t i = 0; i < written[0].count; i++)
        for (size_t k = 0; k < written[1].count; k++)
            if (written[0].at[i].page == written[1].at[k].page &&
                !(shares_writes(b, 0, written[0].at[i].page) && shares_writes(b, 1, written[0].at[i].page)))
                add_wrong(&should, written[0].at[i].page, 2);
    is = told(b, NULL, "X19", NULL, &more);
    findings_read[6] += is.count != 0;
    same(b, "X19", &is, &should, more);
    free(is.at);
    free(should.at);
    free(written[0].at);
    free(written[1].at);
}

static void check_world(struct brute *b)
{
    for (size_t i = 0; i < b->proved.subjects; i++)
        check_subject(b, &b->proved.subject[i]);
    check_guests(b);
    /* None has been left out, but for AMD's devices without a valid entry: all pass, and those that nobody names are told of when they
     * must be blocked. */
    for (unsigned i = 0; i < b->askers; i++) {
        const struct asker *a = &b->asker[i];
        bool there = a->identity && (a->d.has_pasid || (owner_of(b, &a->d) < 0 && b->in.others != NW_INTENT_BLOCKED));
        for (size_t k = 0; k < b->proved.subjects; k++)
            for (size_t j = 0; j < b->proved.subject[k].devices; j++)
                there |= asker_of(b, &b->proved.subject[k].device[j]) == &b->asker[i];
        if (!there && (a->count || a->identity))
            fail_msg("seed %llu: %04x reaches memory and was not proved about", (unsigned long long)b->seed,
                     b->asker[i].d.source_id);
    }
}

static void end_world(struct brute *b)
{
    nw_iommu_findings_fini(&b->found);
    nw_proved_fini(&b->proved);
    nw_proof_destroy(b->proof);
    for (unsigned i = 0; i < b->askers; i++)
        free(b->asker[i].at);
    nw_physmem_destroy(b->pm);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

#endif
