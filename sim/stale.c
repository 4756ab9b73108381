/* stale.c - see stale.h. */
#include "stale.h"
#include "walk.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- who wrote what ---- */

struct table_change {
    uint64_t key;   /* GPA of the word / 8, plus 1; 0: empty slot */
    uint64_t epoch; /* that began with it */
    struct nw_table_change what;
};

struct stale_writes {
    struct table_change *slot; /* open addressing */
    size_t capacity, used;
};

static struct table_change *slot_of(const struct stale_writes *w, uint64_t gpa)
{
    uint64_t key = (gpa >> 3) + 1;
    size_t at = nw_mix64(key) & (w->capacity - 1);
    while (w->slot[at].key && w->slot[at].key != key)
        at = (at + 1) & (w->capacity - 1);
    return &w->slot[at];
}

static enum nw_status make_room(struct stale_writes *w, struct nw_error *err)
{
    struct stale_writes bigger = { .capacity = w->capacity ? w->capacity * 2 : 1024, .used = w->used };
    if (w->used * 4 < w->capacity * 3)
        return NW_OK;
    if (!(bigger.slot = calloc(bigger.capacity, sizeof *bigger.slot)))
        return nw_fail_nomem(err, "the record of page-table writes");
    for (size_t i = 0; i < w->capacity; i++)
        if (w->slot[i].key)
            *slot_of(&bigger, w->slot[i].what.gpa) = w->slot[i];
    free(w->slot);
    *w = bigger;
    return NW_OK;
}

enum nw_status stale_note_write(struct machine *m, uint64_t gpa, uint64_t old_word, uint64_t new_word,
                                struct nw_error *err)
{
    if (!m->config->detect_stale || old_word == new_word)
        return NW_OK;
    if (!m->writes && !(m->writes = calloc(1, sizeof *m->writes)))
        return nw_fail_nomem(err, "the record of page-table writes");
    enum nw_status s = make_room(m->writes, err);
    if (s)
        return s;
    struct table_change *c = slot_of(m->writes, gpa);
    m->writes->used += !c->key;
    *c = (struct table_change){
        .key = (gpa >> 3) + 1,
        .epoch = ++m->epoch,
        .what = { .before_access = m->access, .gpa = gpa & ~UINT64_C(7), .old_word = old_word, .new_word = new_word }
    };
    return NW_OK;
}

void stale_writes_free(struct stale_writes *w)
{
    if (w)
        free(w->slot);
    free(w);
}

/* ---- what the tables say ---- */

struct audit {
    const struct machine *m;
    uint64_t since;                    /* epoch up to which the translation is known to have agreed */
    const struct table_change *change; /* the latest one after that, to an entry on the walk's path */
};

static uint64_t audit_load(void *context, hpa_t hpa)
{
    return nw_physmem_read64(((const struct audit *)context)->m->pm, hpa);
}

static void audit_reference(void *context, const struct nw_reference *reference)
{
    struct audit *a = context;
    /* Writes are known by GPA. Of shadow tables, and of the table that a switching entry points to, a walk knows only the HPA. */
    if (reference->dimension != NW_GUEST || (a->m->hw_switched && reference->address == reference->hpa.v) ||
        !a->m->writes || !a->m->writes->capacity)
        return;
    const struct table_change *c = slot_of(a->m->writes, reference->address);
    if (c->key && c->epoch > a->since && (!a->change || c->epoch > a->change->epoch))
        a->change = c;
}

/* Without `update` nothing is written: A and D stay as they are. */
static const struct nw_walk_hooks audit_hooks = { .load = audit_load, .reference = audit_reference };

/* Another page, but one that nothing has made the VMM back so far: no fault of the tables. */
static bool unbacked(const struct nw_walk_result *now)
{
    const struct nw_fault *f = &now->fault;
    return f->for_guest_level == NW_FOR_FINAL && ((now->outcome == NW_WALK_EPT_VIOLATION && !(f->code & 0x38)) ||
                                                  (now->outcome == NW_WALK_NPF && !(f->code & NW_PF_P)));
}

static void report(struct replay *p, uint64_t gva, uint8_t kind, struct stale_translation *t, const struct audit *a,
                   const struct nw_walk_result *now)
{
    struct nw_result *r = p->r;
    r->stale.accesses++;
    if (t->report && t->report != STALE_UNREPORTED)
        r->stale.use[t->report - 1].uses++;
    if (t->report)
        return;
    r->stale.translations++;
    if (r->stale.use_count == NW_STALE_USES_MAX) {
        t->report = STALE_UNREPORTED;
        return;
    }
    struct nw_stale_use *u = &r->stale.use[r->stale.use_count++];
    t->report = r->stale.use_count;
    *u = (struct nw_stale_use){ .access = p->m.access,
                                .uses = 1,
                                .gva = gva,
                                .kind = kind,
                                .through_walk_cache = t->walked,
                                .cached_hpa = t->hpa,
                                .cached_rights = t->rights,
                                .granted = now->outcome == NW_WALK_OK,
                                .hpa = now->outcome == NW_WALK_OK ? now->hpa.v : 0,
                                .rights = now->outcome == NW_WALK_OK ? rights_of(now->rights) : 0,
                                .change_known = a->change != NULL };
    if (unbacked(now))
        snprintf(u->outcome, sizeof u->outcome, "another page, at GPA 0x%" PRIx64 ", which is not backed yet",
                 now->fault.address);
    else
        nw_walk_describe(now, u->outcome, sizeof u->outcome);
    if (a->change)
        u->change = a->change->what;
}

void stale_check(struct replay *p, uint64_t gva, uint8_t kind, struct stale_translation *t)
{
    struct machine *m = &p->m;
    struct audit a = { .m = m, .since = t->epoch };
    struct nw_access access = access_of(kind);
    struct nw_walk_result now;
    if (t->epoch == m->epoch && !t->walked)
        return;
    machine_walk_run(&audit_hooks, &a, m, nw_gva(gva), &access, &now);
    if (now.outcome != NW_WALK_OK || now.hpa.v != t->hpa) {
        report(p, gva, kind, t, &a, &now);
        return;
    }
    /* This access is granted. Another kind may not be: only a translation that grants no more than the tables is done with. */
    if (!(t->rights & ~(unsigned)(rights_of(now.rights) | RIGHT_D)))
        t->epoch = m->epoch;
}
