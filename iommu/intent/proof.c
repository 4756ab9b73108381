/* What is proved about: units with their tables, texts, and who asks. */
#include "proof_internal.h"
#include <nestwalk/iommu/amdvi_unit.h>
#include <nestwalk/iommu/vtd_unit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life cycle --------------------------------------------------------------------------------- */

enum nw_status nw_proof_create(const struct nw_intent *in, struct nw_proof **out, struct nw_error *err)
{
    struct nw_proof *p = calloc(1, sizeof *p);
    if (!p)
        return nw_fail_nomem(err, "a proof");
    p->in = in;
    enum nw_status s = policy_map_make(in, &p->map, err);
    if (s)
        free(p);
    else
        *out = p;
    return s;
}

static void unit_fini(struct proof_unit *u)
{
    nw_survey_fini(&u->survey);
    for (unsigned i = 0; i < TABLE_USES; i++)
        nw_frame_set_destroy(u->table[i]);
    nw_frame_set_destroy(u->host_tables);
    nw_frame_set_destroy(u->absent);
}

void nw_proof_destroy(struct nw_proof *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->units; i++) {
        unit_fini(p->unit[i]);
        free(p->unit[i]);
    }
    for (size_t i = 0; i < p->texts; i++) {
        free(p->text[i].window);
        nw_frame_set_destroy(p->text[i].memory);
    }
    policy_map_fini(&p->map);
    free(p->unit);
    free(p->text);
    free(p->requester);
    free(p->subject);
    free(p);
}

/* ---- tables ------------------------------------------------------------------------------------- */

static unsigned use_of(const struct nw_reach_table *t)
{
    return t->kind < NW_REACH_FIRST_STAGE ? t->kind
                                          : NW_REACH_FIRST_STAGE + 6u * (t->kind == NW_REACH_SECOND_STAGE) + t->level;
}

static enum nw_reach_table_kind kind_of(unsigned use)
{
    return use < NW_REACH_FIRST_STAGE       ? (enum nw_reach_table_kind)use
           : use < NW_REACH_FIRST_STAGE + 6 ? NW_REACH_FIRST_STAGE
                                            : NW_REACH_SECOND_STAGE;
}

static void note_odd(struct odd_tables *o, const struct nw_reach_table *t, enum nw_reach_table_kind other)
{
    if (o->count < LISTED_MAX) {
        o->at[o->count] = *t;
        o->other[o->count] = other;
    }
    o->count++;
}

/* True: it is new. */
static bool enter(struct nw_frame_set *s, uint64_t page)
{
    if (nw_frame_set_rights(s, page))
        return false;
    return !nw_frame_set_add(s, page, NW_PAGE_BYTES, NW_REACH_BOTH, NULL); /* no memory: asked for at the end */
}

enum { TABLES_A_REPORT = 1024 };

void nw_proof_watch(struct nw_proof *p, void (*fn)(void *context, uint64_t tables), void *context)
{
    p->progress.fn = fn;
    p->progress.context = context;
}

static void note_table(void *context, const struct nw_reach_table *t)
{
    struct proof_unit *u = context;
    const uint64_t page = t->address & ~(uint64_t)(NW_PAGE_BYTES - 1);
    if (!t->readable) {
        if (enter(u->absent, page))
            note_odd(&u->missing, t, t->kind);
        return;
    }
    if (t->guests)
        return;
    const unsigned use = use_of(t);
    if (!enter(u->table[use], page))
        return;
    struct proof_progress *g = u->progress;
    if (!(++g->tables % TABLES_A_REPORT) && g->fn)
        g->fn(g->context, g->tables);
    if (enter(u->host_tables, page))
        return;
    for (unsigned i = 0; i < TABLE_USES; i++)
        if (i != use && nw_frame_set_rights(u->table[i], page)) {
            note_odd(&u->twofold, t, kind_of(i));
            return;
        }
}

static enum nw_status unit_sets(struct proof_unit *u, struct nw_error *err)
{
    enum nw_status s = nw_frame_set_create(&u->host_tables, err);
    if (!s)
        s = nw_frame_set_create(&u->absent, err);
    for (unsigned i = 0; i < TABLE_USES && !s; i++)
        s = nw_frame_set_create(&u->table[i], err);
    return s;
}

static enum nw_status unit_status(const struct proof_unit *u, struct nw_error *err)
{
    enum nw_status s = nw_frame_set_status(u->host_tables, err);
    if (!s)
        s = nw_frame_set_status(u->absent, err);
    for (unsigned i = 0; i < TABLE_USES && !s; i++)
        s = nw_frame_set_status(u->table[i], err);
    return s;
}

/* ---- requesters --------------------------------------------------------------------------------- */

enum nw_status proof_add_requester(struct nw_proof *p, struct proof_requester r, struct nw_error *err)
{
    const struct nw_intent *in = p->in;
    const int row = nw_intent_device_of(in, r.d.segment, r.d.source_id, r.d.has_pasid, r.d.pasid);
    struct proof_requester *at = nw_acpi_grow((void **)&p->requester, &p->requesters, sizeof *at);
    if (!at)
        return nw_fail_nomem(err, "the requesters of a proof");
    r.row = row;
    r.who = (struct policy_who){ row < 0 ? -1 : in->device[row].owner, -1 };
    for (size_t i = 0; row >= 0 && i < in->windows; i++)
        if (in->window[i].device == row)
            r.who.device = row;
    *at = r;
    return NW_OK;
}

static enum nw_status take_survey(struct nw_proof *p, int unit, struct nw_error *err)
{
    const struct proof_unit *u = p->unit[unit];
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < u->survey.requesters && !s; i++) {
        const struct nw_survey_requester *q = &u->survey.requester[i];
        s = proof_add_requester(p,
                                (struct proof_requester){ .d = { u->segment, q->source_id, q->has_pasid, q->pasid },
                                                          .unit = unit,
                                                          .domain = q->domain,
                                                          .reason = q->reason,
                                                          .text = -1 },
                                err);
    }
    return s;
}

/* ---- units -------------------------------------------------------------------------------------- */

/* Units stay where they are: their tables' memory is known by address. */
static enum nw_status add_unit(struct nw_proof *p, const char *name, uint16_t segment, struct proof_unit **out,
                               struct nw_error *err)
{
    struct proof_unit *u = calloc(1, sizeof *u);
    struct proof_unit **at = u ? nw_acpi_grow((void **)&p->unit, &p->units, sizeof(struct proof_unit *)) : NULL;
    if (!at) {
        free(u);
        return nw_fail_nomem(err, "a unit");
    }
    *at = *out = u;
    snprintf(u->name, sizeof u->name, "%s", name);
    u->segment = segment;
    u->progress = &p->progress;
    return unit_sets(u, err);
}

static enum nw_status refuse_root(const char *name, const char *what, uint64_t value, uint64_t table,
                                  struct nw_error *err)
{
    return nw_fail(err, NW_ERR_INPUT, "%s: %s 0x%llx: the table at 0x%llx is not in the memory that is given", name,
                   what, (unsigned long long)value, (unsigned long long)table);
}

enum nw_status nw_proof_add_vtd(struct nw_proof *p, const char *name, uint16_t segment, const struct nw_vtd_tables *t,
                                struct nw_error *err)
{
    struct proof_unit *u;
    enum nw_status s = add_unit(p, name, segment, &u, err);
    if (s)
        return s;
    if (t->rtaddr & nw_mask(9, 0))
        return nw_fail(err, NW_ERR_INPUT,
                       "%s: RTADDR 0x%llx: bits 9:0 are reserved; 63:12 give the root table, 11:10 the table mode",
                       name, (unsigned long long)t->rtaddr);
    u->is_vtd = true;
    u->vtd = *t;
    u->vtd.watch = NULL;
    s = nw_vtd_survey(&u->vtd, 0, &(struct nw_reach_listener){ note_table, u }, &u->survey, err);
    if (!s)
        s = unit_status(u, err);
    if (!s && u->missing.count && u->missing.at[0].kind == NW_REACH_ROOT_TABLE)
        s = refuse_root(name, "RTADDR", t->rtaddr, u->missing.at[0].address, err);
    return s ? s : take_survey(p, (int)p->units - 1, err);
}

enum nw_status nw_proof_add_amdvi(struct nw_proof *p, const char *name, uint16_t segment,
                                  const struct nw_amdvi_tables *t, struct nw_error *err)
{
    struct proof_unit *u;
    enum nw_status s = add_unit(p, name, segment, &u, err);
    if (s)
        return s;
    if (t->device_table & (nw_mask(63, 52) | nw_mask(11, 9)))
        return nw_fail(
            err, NW_ERR_INPUT,
            "%s: the Device Table Base Address Register 0x%llx: bits 63:52 and 11:9 are reserved; 51:12 give "
            "the table, 8:0 its size",
            name, (unsigned long long)t->device_table);
    u->is_amdvi = true;
    u->amdvi = *t;
    u->amdvi.watch = NULL;
    s = nw_amdvi_survey(&u->amdvi, 0, &(struct nw_reach_listener){ note_table, u }, &u->survey, err);
    if (!s)
        s = unit_status(u, err);
    if (!s && u->missing.count && u->missing.at[0].kind == NW_REACH_ROOT_TABLE)
        s = refuse_root(name, "the Device Table Base Address Register", t->device_table, u->missing.at[0].address, err);
    return s ? s : take_survey(p, (int)p->units - 1, err);
}

/* ---- devices that no table has an entry for ----------------------------------------------------- */

static bool is_listed(const struct proof_unit *u, uint16_t source_id, bool has_pasid, uint32_t pasid)
{
    size_t low = 0, high = u->survey.requesters; /* in order of their source ids, without a PASID first */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (u->survey.requester[middle].source_id < source_id)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < u->survey.requesters && u->survey.requester[low].source_id == source_id; low++)
        if (u->survey.requester[low].has_pasid == has_pasid && (!has_pasid || u->survey.requester[low].pasid == pasid))
            return true;
    return false;
}

static bool take_none(void *context, const struct nw_reach_window *w)
{
    (void)context, (void)w;
    return false;
}

/* An AMD IOMMU lets every request of a device pass whose entry has V clear. A device has one unit: the first that lists it, or else the
 * first of its segment. */
static enum nw_status add_if_it_passes(struct nw_proof *p, const struct nw_proved_device *d, struct nw_error *err)
{
    const struct nw_reach_request q = { .source_id = d->source_id, .has_pasid = d->has_pasid, .pasid = d->pasid };
    struct nw_reach_summary sum;
    int unit = -1;
    for (size_t k = p->units; k-- > 0;) {
        if (!p->unit[k]->is_amdvi || p->unit[k]->segment != d->segment)
            continue;
        if (is_listed(p->unit[k], d->source_id, d->has_pasid, d->pasid))
            return NW_OK;
        unit = (int)k;
    }
    if (unit < 0)
        return NW_OK;
    enum nw_status s = nw_amdvi_reach(&p->unit[unit]->amdvi, &q, take_none, NULL, &sum, err);
    if (s || !sum.identity)
        return s;
    return proof_add_requester(
        p, (struct proof_requester){ .d = *d, .unit = unit, .domain = -1, .passes = true, .text = -1 }, err);
}

static enum nw_status add_absent(struct nw_proof *p, struct nw_error *err)
{
    bool *there = calloc(p->in->devices + 1, sizeof *there);
    enum nw_status s = there ? NW_OK : nw_fail_nomem(err, "the devices of an intent");
    for (size_t i = 0; i < p->requesters && !s; i++)
        if (p->requester[i].row >= 0)
            there[p->requester[i].row] = true;
    for (size_t i = 0; i < p->in->devices && !s; i++) {
        const struct nw_intent_device *d = &p->in->device[i];
        if (!there[i])
            s = proof_add_requester(p,
                                    (struct proof_requester){ .d = { d->segment, d->first, d->has_pasid, d->pasid },
                                                              .unit = -1,
                                                              .domain = -1,
                                                              .absent = true,
                                                              .text = -1 },
                                    err);
    }
    free(there);
    return s;
}

/* Devices of the intent that no table lists, and on AMD's side, where it matters, those of nobody. */
static enum nw_status add_unlisted(struct nw_proof *p, struct nw_error *err)
{
    const struct nw_intent *in = p->in;
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < in->devices && !s; i++)
        for (uint32_t id = in->device[i].first; id <= in->device[i].last && !s; id++)
            s = add_if_it_passes(p,
                                 &(struct nw_proved_device){ in->device[i].segment, (uint16_t)id,
                                                             in->device[i].has_pasid, in->device[i].pasid },
                                 err);
    for (size_t k = 0; in->others == NW_INTENT_BLOCKED && k < p->units && !s; k++) {
        const uint16_t segment = p->unit[k]->segment;
        bool done = !p->unit[k]->is_amdvi;
        for (size_t before = 0; before < k; before++)
            done |= p->unit[before]->is_amdvi && p->unit[before]->segment == segment;
        for (uint32_t id = 0; !done && id < 65536 && !s; id++)
            if (nw_intent_device_of(in, segment, (uint16_t)id, false, 0) < 0)
                s = add_if_it_passes(p, &(struct nw_proved_device){ segment, (uint16_t)id, false, 0 }, err);
    }
    return s ? s : add_absent(p, err);
}

/* ---- subjects ----------------------------------------------------------------------------------- */

static int compare_devices(const struct nw_proved_device *a, const struct nw_proved_device *b)
{
    const uint64_t x =
        (uint64_t)a->segment << 48 | (uint64_t)a->source_id << 32 | (uint64_t)a->has_pasid << 31 | a->pasid;
    const uint64_t y =
        (uint64_t)b->segment << 48 | (uint64_t)b->source_id << 32 | (uint64_t)b->has_pasid << 31 | b->pasid;
    return (x > y) - (x < y);
}

static int compare_places(const struct proof_requester *a, const struct proof_requester *b)
{
    const int x[] = { a->unit,    a->domain, (int)a->reason, a->passes,    a->absent,
                      a->unknown, a->text,   a->who.owner,   a->who.device };
    const int y[] = { b->unit,    b->domain, (int)b->reason, b->passes,    b->absent,
                      b->unknown, b->text,   b->who.owner,   b->who.device };
    for (unsigned i = 0; i < NW_ARRAY_LEN(x); i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static int by_subject(const void *a, const void *b)
{
    const int places = compare_places(a, b);
    return places ? places
                  : compare_devices(&((const struct proof_requester *)a)->d, &((const struct proof_requester *)b)->d);
}

static int by_first_device(const void *a, const void *b)
{
    const struct proof_requester *x = ((const struct proof_subject *)a)->head,
                                 *y = ((const struct proof_subject *)b)->head;
    const int devices = compare_devices(&x->d, &y->d);
    return devices ? devices : compare_places(x, y);
}

static enum nw_status make_subjects(struct nw_proof *p, struct nw_error *err)
{
    if (p->requesters)
        qsort(p->requester, p->requesters, sizeof *p->requester, by_subject);
    for (size_t i = 0; i < p->requesters; i++) {
        const struct proof_requester *r = &p->requester[i];
        if (i && !compare_places(&p->requester[i - 1], r)) {
            p->subject[p->subjects - 1].count++;
            continue;
        }
        struct proof_subject *s = nw_acpi_grow((void **)&p->subject, &p->subjects, sizeof *s);
        if (!s)
            return nw_fail_nomem(err, "the subjects of a proof");
        *s = (struct proof_subject){ .head = r, .count = 1 };
        const struct nw_survey_domain *d = proof_domain(p, r);
        s->identity_rights = r->passes ? NW_REACH_BOTH : d ? d->summary.identity_rights : 0;
        s->everything = s->identity_rights != 0;
        s->memory = d ? d->memory : r->text >= 0 ? p->text[r->text].memory : NULL;
    }
    if (p->subjects)
        qsort(p->subject, p->subjects, sizeof *p->subject, by_first_device);
    return NW_OK;
}

const struct nw_survey_domain *proof_domain(const struct nw_proof *p, const struct proof_requester *r)
{
    return r->domain < 0 ? NULL : &p->unit[r->unit]->survey.domain[r->domain];
}

void proof_device_text(const struct nw_proved_device *d, char *out, size_t out_size)
{
    int used = d->segment ? snprintf(out, out_size, "%04x:", d->segment) : 0;
    used += snprintf(out + used, out_size - (size_t)used, "%02x:%02x.%x", d->source_id >> 8, d->source_id >> 3 & 31u,
                     d->source_id & 7u);
    if (d->has_pasid)
        snprintf(out + used, out_size - (size_t)used, " PASID 0x%x", d->pasid);
}

void proof_subject_text(const struct proof_subject *s, char *out, size_t out_size)
{
    proof_device_text(&s->head->d, out, out_size);
    const size_t used = strlen(out);
    if (s->count > 1)
        snprintf(out + used, out_size - used, " and %zu more", s->count - 1);
}

uint64_t proof_memory_end(const struct nw_proof *p, const struct proof_subject *s)
{
    const struct proof_requester *r = s->head;
    const struct proof_unit *u = r->unit < 0 ? NULL : p->unit[r->unit];
    return NW_BIT(u && u->is_amdvi ? u->amdvi.unit.pa_bits : u && u->is_vtd ? u->vtd.unit.haw : NW_PHYS_BITS_MAX);
}

enum nw_status proof_windows(const struct nw_proof *p, const struct proof_subject *s, bool targets_once,
                             uint64_t tables_max, nw_reach_fn tell, void *context, bool *exhausted,
                             struct nw_error *err)
{
    const struct proof_requester *r = s->head;
    const struct proof_unit *u = r->unit < 0 ? NULL : p->unit[r->unit];
    *exhausted = false;
    if (s->everything) {
        tell(context, &(struct nw_reach_window){ 0, 0, proof_memory_end(p, s), (uint8_t)s->identity_rights });
        return NW_OK;
    }
    if (r->text >= 0) {
        const struct proof_text *t = &p->text[r->text];
        for (size_t i = 0; i < t->windows && tell(context, &t->window[i]);)
            i++;
        return NW_OK;
    }
    if (r->domain < 0)
        return NW_OK;
    const struct nw_reach_request q = { .source_id = r->d.source_id,
                                        .has_pasid = r->d.has_pasid,
                                        .pasid = r->d.pasid,
                                        .targets_once = targets_once,
                                        .tables_max = tables_max };
    struct nw_reach_summary sum;
    const enum nw_status status = u->is_vtd ? nw_vtd_reach(&u->vtd, &q, tell, context, &sum, err)
                                            : nw_amdvi_reach(&u->amdvi, &q, tell, context, &sum, err);
    *exhausted = !status && sum.exhausted;
    return status;
}

/* ---- the verdict -------------------------------------------------------------------------------- */

static const char *translation_of(const struct nw_proof *p, const struct proof_subject *s)
{
    const struct proof_requester *r = s->head;
    const struct nw_survey_domain *d = proof_domain(p, r);
    if (s->everything)
        return "pass-through";
    if (r->text >= 0)
        return "mappings";
    if (!d)
        return "none";
    return p->unit[r->unit]->is_vtd ? nw_vtd_translation_name[d->summary.translation]
                                    : nw_amdvi_translation_name[d->summary.translation];
}

static void reason_of(const struct nw_proof *p, const struct proof_requester *r, char *out, size_t out_size)
{
    const char *text = NULL;
    if (r->absent)
        text = "no table has an entry for it";
    else if (r->unknown)
        text = "its mappings are not among the inputs";
    else if (r->reason)
        text = p->unit[r->unit]->is_vtd ? nw_vtd_fault_text(r->reason) : nw_amdvi_event_name(r->reason);
    snprintf(out, out_size, "%s", text ? text : "");
}

static void count_memory(struct nw_proved_subject *out)
{
    struct nw_frame_range r;
    uint64_t last[2] = { UINT64_MAX, UINT64_MAX };
    for (uint64_t from = 0; out->memory && nw_frame_set_next(out->memory, from, &r); from = r.end)
        for (unsigned i = 0; i < 2; i++) {
            if (!(r.rights >> i & 1))
                continue;
            *(i ? &out->write_bytes : &out->read_bytes) += r.end - r.start;
            *(i ? &out->write_ranges : &out->read_ranges) += last[i] != r.start;
            last[i] = r.end;
        }
}

static enum nw_status tell_subject(const struct nw_proof *p, const struct proof_subject *s,
                                   struct nw_proved_subject *out, struct nw_error *err)
{
    const struct proof_requester *r = s->head;
    *out = (struct nw_proved_subject){ .owner = r->who.owner,
                                       .everything = s->identity_rights,
                                       .memory = s->memory,
                                       .findings = s->findings,
                                       .unchecked = policy_kind(p->in, &r->who) == NW_INTENT_UNCHECKED,
                                       .devices = s->count,
                                       .device = calloc(s->count, sizeof *out->device) };
    if (!out->device)
        return nw_fail_nomem(err, "the devices of a proof");
    for (size_t i = 0; i < s->count; i++)
        out->device[i] = r[i].d;
    snprintf(out->translation, sizeof out->translation, "%s", translation_of(p, s));
    reason_of(p, r, out->reason, sizeof out->reason);
    count_memory(out);
    return NW_OK;
}

static enum nw_status tell_proved(const struct nw_proof *p, struct nw_proved *out, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    *out = (struct nw_proved){ .subject = calloc(p->subjects + 1, sizeof *out->subject), .requesters = p->requesters };
    if (!out->subject)
        return nw_fail_nomem(err, "what was proved");
    for (; out->subjects < p->subjects && !s; out->subjects++)
        s = tell_subject(p, &p->subject[out->subjects], &out->subject[out->subjects], err);
    if (s)
        nw_proved_fini(out);
    return s;
}

void nw_proved_fini(struct nw_proved *proved)
{
    for (size_t i = 0; i < proved->subjects; i++)
        free(proved->subject[i].device);
    free(proved->subject);
    *proved = (struct nw_proved){ 0 };
}

enum nw_status nw_proof_judge(struct nw_proof *p, struct nw_iommu_findings *found, struct nw_proved *proved,
                              struct nw_error *err)
{
    struct violations v = { 0 };
    const size_t before = found->count;
    p->found = found;
    enum nw_status s = add_unlisted(p, err);
    if (!s)
        s = make_subjects(p, err);
    if (!s)
        s = proof_judge_memory(p, &v, err);
    if (!s)
        s = proof_judge_windows(p, &v, err);
    if (!s)
        s = proof_tell(p, &v, before, err);
    if (!s && p->no_memory)
        s = nw_fail_nomem(err, "the findings");
    if (!s)
        s = tell_proved(p, proved, err);
    free(v.at);
    return s;
}
