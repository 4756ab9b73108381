/* Events as varints, from nw_event_kind_table. One event: how far it is behind the event before it; its kind, doubled, plus 1
 * when its vCPU is not the block's; that vCPU; the arguments of its kind; for kinds that have data: the count of words, the words. */
#include "nwt_format.h"

#include <inttypes.h>
#include <string.h>

enum { FIXED_NUMBERS_MAX = 3 + NW_EVENT_ARGS_MAX + 1 };

enum nw_status nwt_events_encode(const struct nw_event *event, uint32_t count, uint16_t vcpu, struct nwt_buffer *out,
                                 size_t *used, struct nw_error *err)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct nw_event *e = &event[i];
        const struct nw_event_kind_info *k = &nw_event_kind_table[e->kind];
        enum nw_status s =
            nwt_buffer_reserve(out, *used + ((size_t)FIXED_NUMBERS_MAX + e->data_words) * NWT_VARINT_MAX, err);
        if (s)
            return s;
        uint8_t *p = out->bytes + *used;
        p = nwt_varint_put(p, e->at - before);
        before = e->at;
        p = nwt_varint_put(p, (uint64_t)e->kind * 2 + (e->vcpu != vcpu));
        if (e->vcpu != vcpu)
            p = nwt_varint_put(p, e->vcpu);
        for (unsigned a = 0; a < k->args; a++)
            p = nwt_varint_put(p, e->arg[a]);
        if (k->data_name) {
            p = nwt_varint_put(p, e->data_words);
            for (uint32_t w = 0; w < e->data_words; w++)
                p = nwt_varint_put(p, e->data[w]);
        }
        *used = (size_t)(p - out->bytes);
    }
    return NW_OK;
}

struct cursor {
    const uint8_t *p, *end;
    uint64_t *words;
    uint32_t words_left;
};

static bool get(struct cursor *c, uint64_t *v)
{
    c->p = nwt_varint_get(c->p, c->end, v);
    return c->p != NULL;
}

static enum nw_status cut_short(struct nw_error *err)
{
    return nw_fail(err, NW_ERR_INPUT, "the event column ends in the middle of an event, or a number in it is too long");
}

static enum nw_status decode_data(struct cursor *c, struct nw_event *e, struct nw_error *err)
{
    uint64_t words;
    if (!get(c, &words))
        return cut_short(err);
    if (words > c->words_left)
        return nw_fail(err, NW_ERR_INPUT, "event %s has %" PRIu64 " data words where %" PRIu32 " are left",
                       nw_event_kind_table[e->kind].name, words, c->words_left);
    e->data_words = (uint32_t)words;
    e->data = words ? c->words : NULL;
    for (uint64_t w = 0; w < words; w++)
        if (!get(c, c->words++))
            return cut_short(err);
    c->words_left -= e->data_words;
    return NW_OK;
}

static enum nw_status decode_one(struct cursor *c, struct nw_event *e, uint16_t vcpu, uint16_t vcpu_count,
                                 struct nw_error *err)
{
    uint64_t kind, own = vcpu;
    if (!get(c, &kind) || ((kind & 1) && !get(c, &own)))
        return cut_short(err);
    if (kind / 2 >= NW_EV_KIND_END || !nw_event_kind_table[kind / 2].name)
        return nw_fail(err, NW_ERR_INPUT, "event kind %" PRIu64 " is unknown, allowed are 1 to %d", kind / 2,
                       NW_EV_KIND_END - 1);
    if (own >= vcpu_count)
        return nw_fail(err, NW_ERR_INPUT, "an event is of vCPU %" PRIu64 ", the trace has %u", own, vcpu_count);
    e->kind = (uint16_t)(kind / 2);
    e->vcpu = (uint16_t)own;
    const struct nw_event_kind_info *k = &nw_event_kind_table[e->kind];
    for (unsigned a = 0; a < k->args; a++)
        if (!get(c, &e->arg[a]))
            return cut_short(err);
    enum nw_status s = k->data_name ? decode_data(c, e, err) : NW_OK;
    return s ? s : nw_event_check(e, err);
}

enum nw_status nwt_events_decode(const uint8_t *in, size_t bytes, uint32_t access_count, uint16_t vcpu,
                                 uint16_t vcpu_count, struct nw_event *event, uint32_t count, uint64_t *words,
                                 uint32_t data_words, struct nw_error *err)
{
    struct cursor c = { .p = in, .end = in + bytes, .words = words, .words_left = data_words };
    uint64_t at = 0, behind;
    for (uint32_t i = 0; i < count; i++) {
        memset(&event[i], 0, sizeof event[i]);
        if (!get(&c, &behind))
            return cut_short(err);
        if (behind > access_count - at)
            return nw_fail(err, NW_ERR_INPUT, "an event lies behind the block's last access");
        at += behind;
        event[i].at = (uint32_t)at;
        enum nw_status s = decode_one(&c, &event[i], vcpu, vcpu_count, err);
        if (s)
            return s;
    }
    if (c.p != c.end || c.words_left)
        return nw_fail(err, NW_ERR_INPUT, "the event column holds more than the %" PRIu32 " events announced", count);
    return NW_OK;
}
