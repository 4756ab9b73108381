/* replay_many.c - one decoded trace through many machines. See replay_many.h.
 *
 * A few decoded blocks stand in a ring. Work comes in tasks: to decode the next block into a free place of the ring, or to take one machine
 * through one block. Every thread does whichever is open, the machine that is furthest behind first, so slow and fast machines (shadow
 * and native, reference and fast) keep all threads busy. All that threads share is under one lock, which is held between tasks only; what a task
 * works on (a machine, a free place of the ring, the source) is its own while it runs. A block that is in the ring is only read. */
#include <errno.h>
#include <inttypes.h>
#include <nestwalk/sim/replay.h>
#include <nestwalk/sim/replay_many.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROGRESS_MS = 100 };

/* A block with columns of its own. */
struct kept_block {
    struct nw_block block;
    struct column {
        void *bytes;
        size_t capacity;
    } address, kind, touch, event, word;
};

struct lane {
    struct nw_replayer *replayer; /* made by its first task */
    uint64_t position;            /* number of the block it takes next */
    uint64_t accesses;
    bool busy, over;
    struct nw_error failure; /* status NW_OK: none */
    struct nw_result result; /* once it is over */
};

struct many {
    struct nw_source *source;
    const struct nw_config *config;
    struct lane *lane;
    size_t count;

    pthread_mutex_t lock;
    pthread_cond_t work, news; /* for the threads; for the caller */
    struct kept_block ring[NW_REPLAY_BLOCKS_AHEAD];
    uint64_t decoded; /* blocks that are or were in the ring */
    bool decoding, ended, stop;
    struct nw_error failure; /* of the source */
};

/* ---- blocks that stay ---- */

static bool reserve(struct column *c, size_t bytes)
{
    if (bytes <= c->capacity)
        return true;
    void *bigger = realloc(c->bytes, bytes);
    if (!bigger)
        return false;
    c->bytes = bigger;
    c->capacity = bytes;
    return true;
}

/* NULL stays NULL, and says that there is no such column. */
static bool keep(struct column *c, const void *from, size_t bytes, const void **to)
{
    *to = NULL;
    if (!from)
        return true;
    if (!reserve(c, bytes ? bytes : 1))
        return false;
    memcpy(c->bytes, from, bytes);
    *to = c->bytes;
    return true;
}

static bool keep_events(struct kept_block *k, const struct nw_block *b)
{
    size_t words = 0;
    for (uint32_t i = 0; i < b->event_count; i++)
        words += b->event[i].data_words;
    if (!reserve(&k->event, b->event_count * sizeof *b->event + 1) || !reserve(&k->word, words * sizeof(uint64_t) + 1))
        return false;
    struct nw_event *event = k->event.bytes;
    uint64_t *word = k->word.bytes;
    for (uint32_t i = 0; i < b->event_count; i++) {
        event[i] = b->event[i];
        if (!event[i].data_words)
            continue;
        memcpy(word, b->event[i].data, event[i].data_words * sizeof *word);
        event[i].data = word;
        word += event[i].data_words;
    }
    k->block.event = event;
    return true;
}

static enum nw_status keep_block(struct kept_block *k, const struct nw_block *b, struct nw_error *err)
{
    k->block = *b;
    const void *address, *kind, *touch;
    if (!keep(&k->address, b->address, b->access_count * sizeof *b->address, &address) ||
        !keep(&k->kind, b->kind, b->access_count, &kind) ||
        !keep(&k->touch, b->touch, b->touch_count * sizeof *b->touch, &touch) || !keep_events(k, b))
        return nw_fail_nomem(err, "a decoded block");
    k->block.address = address;
    k->block.kind = kind;
    k->block.touch = touch;
    return NW_OK;
}

static void kept_block_fini(struct kept_block *k)
{
    free(k->address.bytes);
    free(k->kind.bytes);
    free(k->touch.bytes);
    free(k->event.bytes);
    free(k->word.bytes);
}

/* ---- tasks: the lock is held at their begin and end, not while they work ---- */

static void decode(struct many *m)
{
    struct kept_block *place = &m->ring[m->decoded % NW_REPLAY_BLOCKS_AHEAD];
    struct nw_error err = { 0 };
    struct nw_block b;
    m->decoding = true;
    pthread_mutex_unlock(&m->lock);
    enum nw_status s = nw_source_next(m->source, &b, &err);
    bool end = !s && b.end;
    if (!s && !end)
        s = keep_block(place, &b, &err);
    pthread_mutex_lock(&m->lock);
    m->decoding = false;
    if (s) {
        m->failure = err;
        m->stop = true;
        pthread_cond_signal(&m->news);
    } else if (end) {
        m->ended = true;
    } else {
        m->decoded++;
    }
}

static void lane_over(struct lane *l)
{
    nw_replayer_destroy(l->replayer);
    l->replayer = NULL;
}

/* One block of one machine, or what comes after the last one. */
static void advance(struct many *m, struct lane *l)
{
    struct nw_error err = { 0 };
    bool last = l->position == m->decoded;
    const struct nw_block *b = &m->ring[l->position % NW_REPLAY_BLOCKS_AHEAD].block;
    l->busy = true;
    pthread_mutex_unlock(&m->lock);
    enum nw_status s = NW_OK;
    if (!l->replayer)
        s = nw_replayer_create(&l->replayer, &m->config[l - m->lane], nw_source_info(m->source), &err);
    if (!s && !last)
        s = nw_replayer_take(l->replayer, b, &err);
    else if (!s)
        nw_replayer_finish(l->replayer, &l->result);
    if (s || last)
        lane_over(l);
    pthread_mutex_lock(&m->lock);
    l->busy = false;
    if (s) {
        l->failure = err;
    } else if (!last) {
        l->position++;
        l->accesses += b->access_count;
    }
    if ((l->over = s || last))
        pthread_cond_signal(&m->news);
}

/* Does one task, if one is open. */
static bool do_task(struct many *m)
{
    struct lane *next = NULL;
    uint64_t behind = m->decoded; /* the place of the block that the slowest machine is at cannot be used again */
    bool any = false;
    for (struct lane *l = m->lane; l < m->lane + m->count; l++) {
        if (l->over)
            continue;
        any = true;
        if (l->position < behind)
            behind = l->position;
        if (!l->busy && (l->position < m->decoded || m->ended) && (!next || l->position < next->position))
            next = l;
    }
    if (any && !m->decoding && !m->ended && m->decoded - behind < NW_REPLAY_BLOCKS_AHEAD)
        decode(m);
    else if (next)
        advance(m, next);
    else
        return false;
    return true;
}

static bool all_over(const struct many *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (!m->lane[i].over)
            return false;
    return true;
}

static void *work(void *context)
{
    struct many *m = context;
    pthread_mutex_lock(&m->lock);
    while (!m->stop && !all_over(m)) {
        if (do_task(m))
            pthread_cond_broadcast(&m->work);
        else
            pthread_cond_wait(&m->work, &m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ---- the caller ---- */

/* Tells of the machines from *told on that are through, without the lock. */
static enum nw_status tell(struct many *m, size_t *told, const struct nw_replay_many_hooks *hooks, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    while (!s && *told < m->count && m->lane[*told].over) {
        size_t index = (*told)++;
        struct lane *l = &m->lane[index];
        struct nw_result result = l->result;
        l->result = (struct nw_result){ 0 };
        pthread_mutex_unlock(&m->lock);
        if (hooks && hooks->finished)
            s = hooks->finished(hooks->context, index, &result, l->failure.status ? &l->failure : NULL, err);
        else
            nw_result_fini(&result);
        pthread_mutex_lock(&m->lock);
    }
    return s;
}

static bool report_progress(struct many *m, const struct nw_replay_many_hooks *hooks)
{
    if (!hooks || !hooks->progress)
        return true;
    uint64_t done = 0;
    for (size_t i = 0; i < m->count; i++)
        done += m->lane[i].accesses;
    pthread_mutex_unlock(&m->lock);
    bool go_on = hooks->progress(hooks->context, done, nw_source_access_total(m->source) * m->count);
    pthread_mutex_lock(&m->lock);
    return go_on;
}

static void wait_for_news(struct many *m)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PROGRESS_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&m->news, &m->lock, &until);
}

/* Until every machine was told of, or something failed. */
static enum nw_status attend(struct many *m, const struct nw_replay_many_hooks *hooks, struct nw_error *err)
{
    size_t told = 0;
    enum nw_status s = NW_OK;
    pthread_mutex_lock(&m->lock);
    while (!(s = tell(m, &told, hooks, err)) && told < m->count && !m->stop) {
        if (!report_progress(m, hooks)) {
            s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted after %zu of %zu machines", told, m->count);
            break;
        }
        if (!m->stop && !m->lane[told].over)
            wait_for_news(m);
    }
    if (!s && told < m->count) {
        s = m->failure.status;
        if (err)
            *err = m->failure;
    }
    m->stop = true;
    pthread_cond_broadcast(&m->work);
    pthread_mutex_unlock(&m->lock);
    return s;
}

static enum nw_status start_and_attend(struct many *m, unsigned threads, const struct nw_replay_many_hooks *hooks,
                                       struct nw_error *err)
{
    pthread_t *thread = calloc(threads, sizeof *thread);
    if (!thread)
        return nw_fail_nomem(err, "the threads");
    unsigned started = 0;
    int reason = 0;
    while (started < threads && !(reason = pthread_create(&thread[started], NULL, work, m)))
        started++;
    enum nw_status s =
        started ? attend(m, hooks, err) : nw_fail_errno(err, NW_ERR_ENV, reason, "cannot start a thread");
    for (unsigned i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    free(thread);
    return s;
}

enum nw_status nw_replay_many(struct nw_source *source, const struct nw_config *config, size_t count, unsigned threads,
                              const struct nw_replay_many_hooks *hooks, struct nw_error *err)
{
    struct many m = { .source = source, .config = config, .count = count };
    if (!threads || threads > NW_REPLAY_THREADS_MAX)
        return nw_fail(err, NW_ERR_USAGE, "%u threads: expected 1 to %d", threads, NW_REPLAY_THREADS_MAX);
    if (!count)
        return NW_OK;
    if (!(m.lane = calloc(count, sizeof *m.lane)))
        return nw_fail_nomem(err, "the machines");
    source->want = 0;
    for (size_t i = 0; i < count; i++)
        source->want |= nw_replay_want(&config[i]);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&m.lock, NULL);
    pthread_cond_init(&m.work, NULL);
    pthread_cond_init(&m.news, &clock);
    pthread_condattr_destroy(&clock);
    enum nw_status s = start_and_attend(&m, count < threads ? (unsigned)count : threads, hooks, err);
    pthread_cond_destroy(&m.news);
    pthread_cond_destroy(&m.work);
    pthread_mutex_destroy(&m.lock);
    for (size_t i = 0; i < count; i++) {
        lane_over(&m.lane[i]);
        nw_result_fini(&m.lane[i].result);
    }
    for (size_t i = 0; i < NW_REPLAY_BLOCKS_AHEAD; i++)
        kept_block_fini(&m.ring[i]);
    free(m.lane);
    return s;
}
