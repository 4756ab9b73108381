/* mrc.c - from blocks of touches to references of each stream and page size.
 *
 * A touch is what is left of the accesses of one class after repetitions (traces/block.h). What was left out repeats the page that its class touched
 * last, which for that class's own stream is a stack distance of 0; for the stream of both classes it is not, when the other class was in
 * between: so where a block has both, every access is looked at. And a page that is only repeated in a window belongs to that window's working
 * set: the first access of each class in a window is a reference in any case. */
#include "mrc_internal.h"

#include <stdlib.h>
#include <string.h>

const unsigned nw_mrc_page_log2[NW_MRC_PAGE_SIZES] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };

/* ---- making ---- */

static enum nw_status check(const struct nw_mrc_options *o, struct nw_error *err)
{
    if (!o->exact && !(o->rate > 0))
        return nw_fail(err, NW_ERR_USAGE, "a miss-ratio curve is exact, or sampled, or both");
    if (!(o->rate >= 0 && o->rate <= 1))
        return nw_fail(err, NW_ERR_USAGE, "a sampling rate is above 0 and at most 1");
    for (size_t i = 0; i < o->array_count; i++)
        if (!o->array[i].sets || o->array[i].sets > NW_MRC_SETS_MAX)
            return nw_fail(err, NW_ERR_USAGE, "%u sets; 1 to %d are allowed", o->array[i].sets, NW_MRC_SETS_MAX);
    return NW_OK;
}

static enum nw_status space_set(struct nw_mrc *m, uint64_t cr3, struct nw_error *err)
{
    uint32_t number;
    enum nw_status s = mrc_pages_number(&m->roots, nw_field(cr3, MRC_PAGE_BITS - 1, NW_PAGE_LOG2), &number, err);
    if (!s && number >= MRC_SPACES_MAX)
        s = nw_fail(err, NW_ERR_UNSUPPORTED, "the trace has more than %d address spaces (values of CR3)",
                    MRC_SPACES_MAX);
    m->space = number;
    return s;
}

static void *copy_of(const void *p, size_t bytes)
{
    void *copy = malloc(bytes ? bytes : 1);
    if (copy && bytes)
        memcpy(copy, p, bytes);
    return copy;
}

enum nw_status nw_mrc_create(struct nw_mrc **out, const struct nw_trace_info *info,
                             const struct nw_mrc_options *options, struct nw_error *err)
{
    enum nw_status s = check(options, err);
    if (s)
        return s;
    struct nw_mrc *m = calloc(1, sizeof *m);
    if (!m)
        return nw_fail_nomem(err, "the curves");
    m->options = *options;
    struct nw_mrc_options *o = &m->options;
    o->array = copy_of(options->array, options->array_count * sizeof *o->array);
    o->size = copy_of(options->size, options->size_count * sizeof *o->size);
    m->window_end = o->exact && o->window_accesses ? o->window_accesses : UINT64_MAX;
    if (!o->array || !o->size)
        s = nw_fail_nomem(err, "the curves");
    if (!s && !(s = mrc_pages_init(&m->roots, err)))
        s = space_set(m, info->vcpu[0].cr3, err);
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT && !s; i++) {
        m->stream[i].wanted = o->streams & 1u << i;
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES && m->stream[i].wanted && !s; k++)
            s = mrc_level_init(&m->stream[i].level[k], o, i, nw_mrc_page_log2[k], err);
    }
    if (s) {
        nw_mrc_destroy(m);
        return s;
    }
    *out = m;
    return NW_OK;
}

void nw_mrc_destroy(struct nw_mrc *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT; i++)
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++)
            mrc_level_fini(&m->stream[i].level[k]);
    mrc_pages_fini(&m->roots);
    free((void *)m->options.array);
    free((void *)m->options.size);
    free(m);
}

/* ---- references that wait, through every stack ---- */

static enum nw_status flush(struct mrc_stream *stream, struct nw_error *err)
{
    uint32_t count = stream->waiting;
    enum nw_status s = NW_OK;
    stream->waiting = 0;
    for (unsigned k = 0; k < NW_MRC_PAGE_SIZES && !s; k++) {
        if (k)
            for (uint32_t i = 0; i < count; i++)
                stream->name[i] = mrc_larger_page(stream->name[i]);
        s = mrc_level_filter(&stream->level[k], stream->name, stream->time, &count, err);
    }
    return s;
}

static inline NW_MUST_USE enum nw_status push(struct mrc_stream *stream, uint64_t name, uint64_t time,
                                              struct nw_error *err)
{
    stream->time[stream->waiting] = time;
    stream->name[stream->waiting++] = name;
    return NW_UNLIKELY(stream->waiting == MRC_CHUNK) ? flush(stream, err) : NW_OK;
}

/* ---- windows ---- */

enum nw_status mrc_window_end(struct nw_mrc *m, struct nw_error *err)
{
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT; i++) {
        if (!m->stream[i].wanted)
            continue;
        enum nw_status s = flush(&m->stream[i], err);
        if (s)
            return s;
        for (unsigned k = 0; k < NW_MRC_PAGE_SIZES; k++) {
            struct mrc_level *l = &m->stream[i].level[k];
            if (l->window_count == l->window_room) {
                size_t room = l->window_room ? 2 * l->window_room : 64;
                uint32_t *grown = reallocarray(l->window, room, sizeof *grown);
                if (!grown)
                    return nw_fail_nomem(err, "the working sets");
                l->window = grown;
                l->window_room = room;
            }
            l->window[l->window_count++] = l->stack[0].distinct;
            mrc_stack_mark(&l->stack[0]);
            l->fresh = true;
        }
    }
    return NW_OK;
}

/* ---- blocks ---- */

/* Accesses first .. last - 1 of a block, in one address space and one window, and their touches. */
struct stretch {
    const struct nw_block *block;
    const struct nw_touch *touch;
    uint32_t first, last, touches;
    bool begins_window;
};

static inline bool has_both(const struct nw_block *b) { return b->fetches && b->fetches < b->access_count; }
static inline unsigned class_of(uint32_t kind) { return (kind & NW_KIND_TYPE) == NW_FETCH; }

/* The first access of the class; `last` when there is none. */
static uint32_t first_of(const struct stretch *t, unsigned class)
{
    uint32_t i = t->first;
    while (i < t->last && class_of(nw_block_kind(t->block, i)) != class)
        i++;
    return i;
}

/* When the first access of a window is no touch, or is one only of its upper page, it repeats the page before. */
static enum nw_status repeat_recent(struct nw_mrc *m, struct mrc_stream *stream, const struct stretch *t,
                                    unsigned class, struct nw_error *err)
{
    uint32_t i = first_of(t, class), k = 0;
    while (k < t->touches && class_of(t->touch[k].kind) != class)
        k++;
    if (i == t->last || (k < t->touches && t->touch[k].at == i && !(t->touch[k].kind & NW_TOUCH_UPPER)))
        return NW_OK;
    return push(stream, mrc_page_name(m->space, m->recent[class]), 0, err); /* a repetition has no use for its time */
}

/* How many of the first `until` accesses of the block are of the class; `until` never falls. */
static uint32_t rank_of(struct mrc_stream *stream, const struct nw_block *b, uint32_t until, unsigned class)
{
    for (; stream->ranked < until; stream->ranked++)
        stream->rank += class_of(nw_block_kind(b, stream->ranked)) == class;
    return stream->rank;
}

/* The touches of a class; or all, when the block has no others. */
static enum nw_status take_touches(struct nw_mrc *m, struct mrc_stream *stream, const struct stretch *t, unsigned class,
                                   struct nw_error *err)
{
    uint64_t space = mrc_page_name(m->space, 0);
    bool both = has_both(t->block);
    enum nw_status s = NW_OK;
    for (uint32_t i = 0; i < t->touches && !s;) {
        uint32_t n = stream->waiting, slice = t->touches - i;
        slice = slice < MRC_CHUNK - n ? slice : MRC_CHUNK - n;
        const struct nw_touch *touch = t->touch + i;
        uint64_t time = stream->references + stream->upper;
        if (both)
            for (uint32_t j = 0; j < slice; j++) {
                if (class_of(touch[j].kind) != class)
                    continue;
                time += (touch[j].kind & NW_TOUCH_UPPER) != 0;
                stream->name[n] = space | touch[j].page;
                stream->time[n++] = time + rank_of(stream, t->block, touch[j].at, class);
            }
        else
            for (uint32_t j = 0; j < slice; j++) {
                time += (touch[j].kind & NW_TOUCH_UPPER) != 0;
                stream->name[n] = space | touch[j].page;
                stream->time[n++] = time + touch[j].at;
            }
        stream->upper = (uint32_t)(time - stream->references);
        stream->waiting = n;
        i += slice;
        if (n == MRC_CHUNK)
            s = flush(stream, err);
    }
    return s;
}

static enum nw_status take_class(struct nw_mrc *m, struct mrc_stream *stream, const struct stretch *t, unsigned class,
                                 struct nw_error *err)
{
    enum nw_status s = t->begins_window ? repeat_recent(m, stream, t, class, err) : NW_OK;
    return s ? s : take_touches(m, stream, t, class, err);
}

/* Both classes, access by access: a page that one class repeats may have been followed by another of the other class. */
static enum nw_status take_both(struct nw_mrc *m, struct mrc_stream *stream, const struct stretch *t,
                                struct nw_error *err)
{
    uint64_t space = mrc_page_name(m->space, 0), recent[2] = { m->recent[0], m->recent[1] };
    enum nw_status s = NW_OK;
    uint32_t k = 0;
    for (uint32_t i = t->first; i < t->last && !s; i++) {
        unsigned class = class_of(nw_block_kind(t->block, i));
        uint64_t time = stream->references + i;
        if (k == t->touches || t->touch[k].at != i || t->touch[k].kind & NW_TOUCH_UPPER)
            s = push(stream, space | recent[class], time + stream->upper, err);
        for (; k < t->touches && t->touch[k].at == i && !s; k++) {
            recent[class] = t->touch[k].page;
            stream->upper += (t->touch[k].kind & NW_TOUCH_UPPER) != 0;
            s = push(stream, space | recent[class], time + stream->upper, err);
        }
    }
    return s;
}

static enum nw_status take_stretch(struct nw_mrc *m, const struct stretch *t, struct nw_error *err)
{
    const struct nw_block *b = t->block;
    struct mrc_stream *data = &m->stream[NW_TLB_DATA], *fetch = &m->stream[NW_TLB_INSTRUCTION],
                      *both = &m->stream[NW_TLB_UNIFIED];
    enum nw_status s = NW_OK;
    if (data->wanted && b->fetches < b->access_count)
        s = take_class(m, data, t, NW_TLB_DATA, err);
    if (!s && fetch->wanted && b->fetches)
        s = take_class(m, fetch, t, NW_TLB_INSTRUCTION, err);
    if (!s && both->wanted)
        s = has_both(b) ? take_both(m, both, t, err) : take_class(m, both, t, b->fetches != 0, err);
    for (uint32_t i = t->touches, found = 0; i-- > 0 && found != 3;) {
        unsigned class = class_of(t->touch[i].kind);
        if (!(found & 1u << class))
            m->recent[class] = t->touch[i].page;
        found |= 1u << class;
    }
    return s;
}

static void count_references(struct nw_mrc *m, const struct nw_block *b)
{
    const uint64_t accesses[] = { (uint64_t)b->loads + b->stores, b->fetches, b->access_count };
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT; i++) {
        struct mrc_stream *stream = &m->stream[i];
        stream->references += accesses[i] + stream->upper;
        stream->upper = stream->ranked = stream->rank = 0;
    }
}

enum nw_status nw_mrc_take(struct nw_mrc *m, const struct nw_block *b, struct nw_error *err)
{
    if (b->vcpu)
        return nw_fail(err, NW_ERR_UNSUPPORTED, "the trace has accesses of vCPU %u: the curves are those of one vCPU",
                       b->vcpu);
    enum nw_status s = NW_OK;
    uint32_t at = 0, touch = 0, event = 0, e = 0; /* e: the next MOV to CR3 */
    while (!s) {
        bool begins = m->accesses == m->window_end;
        if (begins) {
            if (at == b->access_count && event == b->event_count)
                break; /* the window begins with the next block, if there is one */
            if (at < b->access_count) {
                s = mrc_window_end(m, err);
                m->window_end += m->options.window_accesses;
            }
        }
        for (; event < b->event_count && b->event[event].at == at && !s; event++)
            if (b->event[event].kind == NW_EV_CR_WRITE && b->event[event].arg[0] == 3)
                s = space_set(m, b->event[event].arg[1], err);
        if (s || at == b->access_count)
            break;
        uint32_t last = b->access_count;
        e = e > event ? e : event;
        while (e < b->event_count && !(b->event[e].kind == NW_EV_CR_WRITE && b->event[e].arg[0] == 3))
            e++;
        if (e < b->event_count && b->event[e].at < last)
            last = b->event[e].at;
        if (m->window_end - m->accesses < last - at)
            last = at + (uint32_t)(m->window_end - m->accesses);
        for (; event < b->event_count && b->event[event].at < last; event++) {
        } /* not MOV to CR3 */
        struct stretch t = { b, b->touch + touch, at, last, 0, begins };
        if (last == b->access_count)
            t.touches = b->touch_count - touch;
        else
            while (touch + t.touches < b->touch_count && t.touch[t.touches].at < last)
                t.touches++;
        s = take_stretch(m, &t, err);
        touch += t.touches;
        m->accesses += last - at;
        at = last;
    }
    count_references(m, b);
    for (unsigned i = 0; i < NW_TLB_CLASS_COUNT && !s; i++)
        if (m->stream[i].wanted)
            s = flush(&m->stream[i], err);
    return s;
}
