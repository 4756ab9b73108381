/* What texts of a running machine tell of its mappings, as far as they go: Linux's debugfs, domain_translation_struct and
 * dmar_translation_struct. */
#include "../vtd/entries.h"
#include "proof_internal.h"
#include <stdlib.h>

static bool same_requester(const struct nw_proved_device *d, const struct nw_dump_mapping *m)
{
    return d->source_id == m->source_id && d->has_pasid == m->has_pasid && d->pasid == m->pasid;
}

static enum nw_status add_text(struct nw_proof *p, const struct nw_dump_mapping *m, int *text, struct nw_error *err)
{
    for (size_t i = 0; i < p->requesters; i++)
        if (p->requester[i].text >= 0 && same_requester(&p->requester[i].d, m)) {
            *text = p->requester[i].text;
            return NW_OK;
        }
    struct proof_text *t = nw_acpi_grow((void **)&p->text, &p->texts, sizeof *t);
    if (!t)
        return nw_fail_nomem(err, "the mappings of a device");
    *text = (int)p->texts - 1;
    enum nw_status s = nw_frame_set_create(&t->memory, err);
    return s ? s
             : proof_add_requester(
                   p,
                   (struct proof_requester){
                       .d = { 0, m->source_id, m->has_pasid, m->pasid }, .unit = -1, .domain = -1, .text = *text },
                   err);
}

static enum nw_status add_mapping(struct proof_text *t, const struct nw_dump_mapping *m, struct nw_error *err)
{
    const unsigned rights = (m->read ? NW_REACH_READ : 0u) | (m->write ? NW_REACH_WRITE : 0u);
    struct nw_reach_window *w = rights ? nw_acpi_grow((void **)&t->window, &t->windows, sizeof *w) : NULL;
    if (!rights)
        return NW_OK;
    if (!w)
        return nw_fail_nomem(err, "the mappings of a device");
    *w = (struct nw_reach_window){ m->iova, m->target, m->bytes, (uint8_t)rights };
    return nw_frame_set_add(t->memory, m->target, m->bytes, rights, err);
}

static bool is_mapped(const struct nw_proof *p, const struct nw_dump_context *c)
{
    for (size_t i = 0; i < p->requesters; i++) {
        const struct nw_proved_device *d = &p->requester[i].d;
        if (p->requester[i].text >= 0 && d->source_id == c->source_id &&
            (!d->has_pasid || (c->has_pasid && d->pasid == c->pasid)))
            return true;
    }
    return false;
}

static bool has_requester(const struct nw_proof *p, const struct nw_dump_context *c)
{
    for (size_t i = 0; i < p->requesters; i++)
        if (p->requester[i].text < 0 && p->requester[i].d.source_id == c->source_id &&
            p->requester[i].d.has_pasid == c->has_pasid && p->requester[i].d.pasid == c->pasid)
            return true;
    return false;
}

static enum nw_status add_context(struct nw_proof *p, const struct nw_dump_context *c, struct nw_error *err)
{
    const bool present = c->has_pasid ? c->entry[0] & ENTRY_P : c->context[0] & CONTEXT_P;
    const bool passes =
        c->has_pasid ? PASID_PGTT(c->entry[0]) == PGTT_PASS_THROUGH : CONTEXT_TT(c->context[0]) == TT_PASS_THROUGH;
    if (!present || (!passes && is_mapped(p, c)) || has_requester(p, c))
        return NW_OK;
    return proof_add_requester(p,
                               (struct proof_requester){ .d = { 0, c->source_id, c->has_pasid, c->pasid },
                                                         .unit = -1,
                                                         .domain = -1,
                                                         .passes = passes,
                                                         .unknown = !passes,
                                                         .text = -1 },
                               err);
}

enum nw_status nw_proof_add_dump(struct nw_proof *p, const struct nw_dump *d, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    int text = -1;
    for (size_t i = 0; i < d->mappings && !s; i++) {
        const struct nw_dump_mapping *m = &d->mapping[i];
        const bool goes_on =
            i && m[-1].source_id == m->source_id && m[-1].has_pasid == m->has_pasid && m[-1].pasid == m->pasid;
        if (!goes_on)
            s = add_text(p, m, &text, err);
        if (!s)
            s = add_mapping(&p->text[text], m, err);
    }
    for (size_t i = 0; i < d->contexts && !s; i++)
        s = add_context(p, &d->context[i], err);
    return s;
}
