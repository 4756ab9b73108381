/* The memory that subjects reach against what the intent lets them reach. */
#include "proof_internal.h"
#include <stdio.h>
#include <stdlib.h>

/* Pieces of one subject, in rising order: neighbours of one kind are one violation. */
struct gathering {
    struct nw_proof *p;
    struct violations *v;
    size_t subject;
    struct violation open; /* end 0: there is none */
    struct {
        uint64_t ranges, bytes;
    } more[RULES]; /* that are not listed */
    unsigned listed[RULES];
};

static void close_open(struct gathering *g)
{
    const struct violation *o = &g->open;
    if (!o->end)
        return;
    if (g->listed[o->rule]++ < RANGES_LISTED) {
        proof_violation(g->p, g->v, o);
    } else {
        g->more[o->rule].ranges++;
        g->more[o->rule].bytes += o->end - o->start;
    }
    g->open.end = 0;
}

static void gather(struct gathering *g, enum rule rule, int holder, int other, uint64_t start, uint64_t end,
                   unsigned rights)
{
    struct violation *o = &g->open;
    if (o->end == start && o->rule == rule && o->holder == holder && o->other == other && o->rights == rights) {
        o->end = end;
        return;
    }
    close_open(g);
    *o = (struct violation){ .subject = g->subject,
                             .rule = rule,
                             .holder = holder,
                             .other = other,
                             .start = start,
                             .end = end,
                             .rights = rights };
}

/* What is not listed is told as one more finding of its rule, with its extent. */
static void end_gathering(struct gathering *g)
{
    struct proof_subject *s = &g->p->subject[g->subject];
    char where[96];
    close_open(g);
    proof_subject_text(s, where, sizeof where);
    for (enum rule r = 0; r < RULES; r++)
        if (g->more[r].ranges)
            proof_add(g->p, s, r, where, "%llu more ranges, %llu bytes in all, are not listed",
                      (unsigned long long)g->more[r].ranges, (unsigned long long)g->more[r].bytes);
}

/* ---- one subject -------------------------------------------------------------------------------- */

/* The rule that `excess` over `allowed` breaks; RULES: none. */
static enum rule rule_of(const struct nw_intent *in, enum nw_intent_kind kind, int holder, unsigned allowed,
                         unsigned excess)
{
    const bool tables = holder >= 0 && in->owner[holder].kind == NW_INTENT_TABLES;
    if (kind == NW_INTENT_BLOCKED)
        return N01;
    if (tables && (excess & NW_REACH_WRITE))
        return X14;
    if (kind == NW_INTENT_HYPERVISOR)
        return N04;
    return allowed ? N03 : X17;
}

static void judge_range(struct gathering *g, const struct proof_requester *r, const unsigned *allowed,
                        const struct nw_frame_range *range)
{
    const struct policy_map *m = &g->p->map;
    const struct nw_intent *in = g->p->in;
    size_t part = policy_part_of(m, range->start);
    for (uint64_t at = range->start; at < range->end; part++) {
        const uint64_t end = policy_part_end(m, part) < range->end ? policy_part_end(m, part) : range->end;
        const unsigned excess = range->rights & ~allowed[part];
        if (excess)
            gather(g, rule_of(in, policy_kind(in, &r->who), m->holder[part], allowed[part], excess), m->holder[part],
                   -1, at, end, excess);
        at = end;
    }
}

static enum nw_status judge_subject(struct nw_proof *p, size_t subject, struct violations *v, struct nw_error *err)
{
    struct proof_subject *s = &p->subject[subject];
    const struct proof_requester *r = s->head;
    struct gathering g = { .p = p, .v = v, .subject = subject };
    if (policy_kind(p->in, &r->who) == NW_INTENT_UNCHECKED || (!s->everything && !s->memory))
        return NW_OK;
    unsigned *allowed = calloc(p->map.parts, sizeof *allowed);
    if (!allowed)
        return nw_fail_nomem(err, "the memory of an intent");
    for (size_t i = 0; i < p->map.parts; i++)
        allowed[i] = policy_allowed(p->in, &p->map, i, &r->who, true);
    struct nw_frame_range range = { 0, proof_memory_end(p, s), s->identity_rights };
    if (s->everything)
        judge_range(&g, r, allowed, &range);
    for (uint64_t from = 0; !s->everything && nw_frame_set_next(s->memory, from, &range); from = range.end)
        judge_range(&g, r, allowed, &range);
    end_gathering(&g);
    free(allowed);
    return NW_OK;
}

/* ---- the units' own tables ---------------------------------------------------------------------- */

/* Pages of tables that a guest's or a blocked device can write. The hypervisor's own devices may be passed through. */
static void judge_tables(struct nw_proof *p, size_t subject, struct violations *v)
{
    struct proof_subject *s = &p->subject[subject];
    const struct proof_requester *r = s->head;
    const enum nw_intent_kind kind = policy_kind(p->in, &r->who);
    struct gathering g = { .p = p, .v = v, .subject = subject };
    if (kind == NW_INTENT_UNCHECKED || (kind == NW_INTENT_HYPERVISOR && s->everything))
        return;
    for (size_t k = 0; k < p->units; k++) {
        struct nw_frame_range t;
        for (uint64_t from = 0; nw_frame_set_next(p->unit[k]->host_tables, from, &t); from = t.end) {
            struct nw_frame_range m = { t.start, t.end, s->identity_rights };
            for (uint64_t at = t.start; at < t.end; at = m.end) {
                if (s->everything ? false : !s->memory || !nw_frame_set_next(s->memory, at, &m) || m.start >= t.end)
                    break;
                const uint64_t start = m.start > t.start ? m.start : t.start, end = m.end < t.end ? m.end : t.end;
                if (m.rights & NW_REACH_WRITE)
                    gather(&g, X14, p->map.holder[policy_part_of(&p->map, start)], -1, start, end, NW_REACH_WRITE);
            }
        }
    }
    end_gathering(&g);
}

/* ---- two guests --------------------------------------------------------------------------------- */

/* What guest `owner` can write through all of its devices; those that are passed through are X17's. */
static enum nw_status writable_by(const struct nw_proof *p, int owner, struct nw_frame_set **out, struct nw_error *err)
{
    enum nw_status s = nw_frame_set_create(out, err);
    for (size_t i = 0; i < p->subjects && !s; i++) {
        struct nw_frame_range r;
        struct nw_frame_set *memory = p->subject[i].memory;
        if (p->subject[i].head->who.owner != owner || !memory)
            continue;
        for (uint64_t from = 0; !s && nw_frame_set_next(memory, from, &r); from = r.end)
            if (r.rights & NW_REACH_WRITE)
                s = nw_frame_set_add(*out, r.start, r.end - r.start, NW_REACH_WRITE, err);
    }
    return s;
}

static bool both_may_write(const struct nw_proof *p, size_t part, int a, int b)
{
    const int guest[] = { a, b };
    for (unsigned i = 0; i < 2; i++) {
        unsigned rights = 0;
        for (size_t k = 0; k < p->in->shareds; k++) {
            const struct nw_intent_memory *s = &p->in->shared[k];
            if (s->owner == guest[i] && s->start <= p->map.bound[part] && p->map.bound[part] < s->end)
                rights |= s->rights;
        }
        if (!(rights & NW_REACH_WRITE))
            return false;
    }
    return true;
}

/* The subject of `owner` that writes `address`; it is there. */
static size_t writer_of(const struct nw_proof *p, int owner, uint64_t address)
{
    size_t i = 0;
    while (i + 1 < p->subjects && (p->subject[i].head->who.owner != owner || !p->subject[i].memory ||
                                   !(nw_frame_set_rights(p->subject[i].memory, address) & NW_REACH_WRITE)))
        i++;
    return i;
}

/* The violation is one of the guest whose memory it is not; of the later one when it is neither's. */
static void judge_common(struct nw_proof *p, int a, int b, struct nw_frame_set *of_a, struct nw_frame_set *of_b,
                         struct violations *v)
{
    struct nw_frame_range x, y;
    struct gathering g = { .p = p, .v = v };
    for (uint64_t from = 0; nw_frame_set_next(of_a, from, &x); from = x.end)
        for (uint64_t at = x.start; at < x.end && nw_frame_set_next(of_b, at, &y) && y.start < x.end; at = y.end) {
            const uint64_t start = y.start > x.start ? y.start : x.start, end = y.end < x.end ? y.end : x.end;
            size_t part = policy_part_of(&p->map, start);
            for (uint64_t piece = start; piece < end; part++) {
                const uint64_t stop = policy_part_end(&p->map, part) < end ? policy_part_end(&p->map, part) : end;
                const int holder = p->map.holder[part], stranger = holder == b ? a : b;
                if (!both_may_write(p, part, a, b)) {
                    if (g.open.end != piece || g.open.holder != holder)
                        close_open(&g), g.subject = writer_of(p, stranger, piece);
                    gather(&g, X19, holder, stranger == a ? b : a, piece, stop, NW_REACH_WRITE);
                }
                piece = stop;
            }
        }
    end_gathering(&g);
}

static enum nw_status judge_guests(struct nw_proof *p, struct violations *v, struct nw_error *err)
{
    const size_t owners = p->in->owners;
    struct nw_frame_set **set = calloc(owners + 1, sizeof(struct nw_frame_set *));
    enum nw_status s = set ? NW_OK : nw_fail_nomem(err, "the memory of guests");
    for (size_t i = 0; i < owners && !s; i++)
        if (p->in->owner[i].kind == NW_INTENT_GUEST)
            s = writable_by(p, (int)i, &set[i], err);
    for (size_t a = 0; a < owners && !s; a++)
        for (size_t b = a + 1; b < owners; b++)
            if (set[a] && set[b])
                judge_common(p, (int)a, (int)b, set[a], set[b], v);
    for (size_t i = 0; set && i < owners; i++)
        nw_frame_set_destroy(set[i]);
    free(set);
    return s;
}

/* ---- what cannot be judged ---------------------------------------------------------------------- */

/* "second-stage table, level 4" */
static void table_text(const struct nw_reach_table *t, char *out, size_t out_size)
{
    if (t->kind < NW_REACH_FIRST_STAGE)
        snprintf(out, out_size, "%s", nw_reach_table_name[t->kind]);
    else
        snprintf(out, out_size, "%s of level %u", nw_reach_table_name[t->kind], t->level + 1u);
}

static void judge_unit(struct nw_proof *p, const struct proof_unit *u)
{
    char where[96], table[64], device[40];
    for (size_t i = 0; i < u->missing.count && i < LISTED_MAX; i++) {
        const struct nw_reach_table *t = &u->missing.at[i];
        proof_device_text(&(struct nw_proved_device){ u->segment, t->source_id, t->has_pasid, t->pasid }, device,
                          sizeof device);
        table_text(t, table, sizeof table);
        snprintf(where, sizeof where, "%s %s", u->name, device);
        if (t->entry_at)
            proof_add(p, NULL, N06, where, "the entry at 0x%llx leads to a %s at 0x%llx, which is not in the image",
                      (unsigned long long)t->entry_at, table, (unsigned long long)t->address);
        else
            proof_add(p, NULL, N06, where, "the %s at 0x%llx is not in the image", table,
                      (unsigned long long)t->address);
    }
    if (u->missing.count > LISTED_MAX)
        proof_add(p, NULL, N06, u->name, "%zu more tables that are not in the image are not listed",
                  u->missing.count - LISTED_MAX);
    for (size_t i = 0; i < u->twofold.count && i < LISTED_MAX; i++) {
        const struct nw_reach_table *t = &u->twofold.at[i];
        table_text(t, table, sizeof table);
        proof_device_text(&(struct nw_proved_device){ u->segment, t->source_id, t->has_pasid, t->pasid }, device,
                          sizeof device);
        snprintf(where, sizeof where, "%s %s", u->name, device);
        proof_add(p, NULL, N08, where, "the page at 0x%llx is a %s by the entry at 0x%llx, and a %s elsewhere",
                  (unsigned long long)t->address, table, (unsigned long long)t->entry_at,
                  u->twofold.other[i] == t->kind ? "table of another level" : nw_reach_table_name[u->twofold.other[i]]);
    }
    if (u->twofold.count > LISTED_MAX)
        proof_add(p, NULL, N08, u->name, "%zu more pages are not listed", u->twofold.count - LISTED_MAX);
    if (u->survey.more)
        proof_add(p, NULL, N06, u->name, "there are more than %d requesters; the others were not looked at",
                  NW_REACH_SOURCES_MAX);
}

/* VT-d, fault reasons of entries that could not be read; AMD-Vi, hardware errors of tables. */
static bool could_not_read(const struct proof_unit *u, unsigned reason)
{
    if (u->is_amdvi)
        return reason == NW_AMDVI_DEV_TAB_HARDWARE_ERROR || reason == NW_AMDVI_PAGE_TAB_HARDWARE_ERROR;
    return reason == 0x08 || reason == 0x09 || reason == 0x38 || reason == 0x40 || reason == 0x50 || reason == 0x58;
}

static void judge_silence(struct nw_proof *p, struct proof_subject *s)
{
    const struct proof_requester *r = s->head;
    const enum nw_intent_kind kind = policy_kind(p->in, &r->who);
    char where[96], owner[64];
    proof_subject_text(s, where, sizeof where);
    nw_intent_owner_text(p->in, r->who.owner, owner, sizeof owner);
    if (r->unknown)
        proof_add(p, s, N06, where, "an entry translates its requests, and no input tells of its mappings");
    else if (r->unit >= 0 && r->reason && could_not_read(p->unit[r->unit], r->reason))
        proof_add(p, s, N06, where, "%s",
                  p->unit[r->unit]->is_vtd ? nw_vtd_fault_text(r->reason) : nw_amdvi_event_name(r->reason));
    else if ((r->absent || r->reason ||
              (s->memory && !nw_frame_set_bytes(s->memory, NW_REACH_READ) &&
               !nw_frame_set_bytes(s->memory, NW_REACH_WRITE))) &&
             r->who.owner >= 0 && kind <= NW_INTENT_HYPERVISOR)
        proof_add(p, s, N07, where, "a device of %s: %s", owner,
                  r->absent ? "no table has an entry for it"
                  : r->reason
                      ? (p->unit[r->unit]->is_vtd ? nw_vtd_fault_text(r->reason) : nw_amdvi_event_name(r->reason))
                      : "its tables map nothing");
}

enum nw_status proof_judge_memory(struct nw_proof *p, struct violations *v, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < p->units; i++)
        judge_unit(p, p->unit[i]);
    for (size_t i = 0; i < p->subjects && !s; i++) {
        judge_silence(p, &p->subject[i]);
        s = judge_subject(p, i, v, err);
        if (!s)
            judge_tables(p, i, v);
    }
    return s ? s : judge_guests(p, v, err);
}
