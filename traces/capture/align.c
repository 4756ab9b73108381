#include "align.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>

enum { CODE_WRITE = 2, CODE_FETCH = 16 }; /* page-fault error code (SDM vol. 3, "Page-Fault Exceptions") */

static enum nw_status pass(struct walk_aligner *a, const struct walk *w, struct nw_error *err)
{
    uint64_t pairs[WALK_ENTRIES_MAX * 2];
    for (unsigned i = 0; i < w->entries; i++) {
        pairs[2 * i] = w->level[i];
        pairs[2 * i + 1] = w->entry[i];
    }
    struct nw_event e = {
        .kind = NW_EV_GUEST_WALK, .arg = { w->gva, w->error_code }, .data = pairs, .data_words = w->entries * 2u
    };
    a->next++;
    a->count->guest_walks++;
    a->count->guest_walk_entries += w->entries;
    return a->to->event(a->to, &e, err);
}

static enum nw_access_type walk_type(const struct walk *w)
{
    return w->error_code & CODE_FETCH ? NW_FETCH : w->error_code & CODE_WRITE ? NW_STORE : NW_LOAD;
}

/* The walk was made for an access of this kind to these bytes. A read-modify-write of a page that is not there: KVM fails when it
 * reads and reports a write to the guest, which is what the stepped trace has. An instruction's walk is for its first byte
 * and for the first byte of its second page; KVM fetches up to 15 bytes, or the rest of the page, at once. */
static bool matches(const struct walk *w, uint64_t gva, enum nw_access_type type, unsigned bytes)
{
    bool reads_before_write = w->failed && type == NW_STORE && walk_type(w) == NW_LOAD;
    return w->gva - gva < bytes && (walk_type(w) == type || reads_before_write);
}

/* Walks that KVM makes on its own account while it emulates the instruction at `fetch_gva`: it fetches the instruction again
 * when it resumes in the middle of it, and reads the opcode as data before it helps an instruction that its emulator lacks. */
static bool own(const struct walk_aligner *a, const struct walk *w)
{
    return w->gva - a->fetch_gva < INSN_CODE_MAX && walk_type(w) != NW_STORE;
}

static enum nw_status differ(const struct walk_aligner *a, const struct walk *w, uint64_t gva, enum nw_access_type type,
                             unsigned bytes, struct nw_error *err)
{
    static const char *const name[] = { [NW_LOAD] = "load", [NW_STORE] = "store", [NW_FETCH] = "fetch" };
    return nw_fail(
        err, NW_ERR_INTERNAL,
        "walk %zu of KVM is a %s at %#llx, and the stepped run makes a %s of %u bytes at %#llx: the two runs differ",
        a->next, name[walk_type(w)], (unsigned long long)w->gva, name[type], bytes, (unsigned long long)gva);
}

/* KVM reads the frame that IRET pops at once, by one walk a page: later words of one run of loads have none. */
static bool covered(const struct walk_aligner *a, uint64_t gva, enum nw_access_type type)
{
    return type == NW_LOAD && gva == a->load_end && gva % NW_PAGE_BYTES != 0;
}

static enum nw_status take_access(struct sink *self, uint64_t gva, uint8_t kind, struct nw_error *err)
{
    struct walk_aligner *a = (struct walk_aligner *)self;
    enum nw_access_type type = nw_kind_type(kind);
    unsigned bytes = nw_kind_bytes(kind);
    bool matched = false;
    enum nw_status s = NW_OK;
    if (a->exhausted)
        return NW_OK;
    while (!s && !matched) {
        if (a->next == walk_log_count(a->log)) {
            a->exhausted = true;
            return NW_OK;
        }
        const struct walk *w = walk_log_at(a->log, a->next);
        matched = matches(w, gva, type, bytes);
        if (!matched && covered(a, gva, type))
            break;
        if (!matched && !own(a, w))
            return differ(a, w, gva, type, bytes, err);
        a->count->walks_unmatched += !matched;
        s = pass(a, w, err);
    }
    /* The part of it in the next page. */
    uint64_t upper = nw_align_up(gva + 1, NW_PAGE_BYTES);
    if (!s && matched && upper < gva + bytes && a->next < walk_log_count(a->log)) {
        const struct walk *w = walk_log_at(a->log, a->next);
        if (w->gva == upper && matches(w, gva, type, bytes))
            s = pass(a, w, err);
    }
    if (type == NW_FETCH)
        a->fetch_gva = gva;
    a->load_end = type == NW_LOAD ? gva + bytes : 0;
    return s ? s : a->to->access(a->to, gva, kind, err);
}

static enum nw_status take_event(struct sink *self, const struct nw_event *event, struct nw_error *err)
{
    struct walk_aligner *a = (struct walk_aligner *)self;
    bool closing = event->kind == NW_EV_MARKER && event->arg[0] == NW_MARKER_ROI_END;
    return a->exhausted && !closing ? NW_OK : a->to->event(a->to, event, err);
}

void walk_aligner_init(struct walk_aligner *a, const struct walk_log *log, struct sink *to,
                       struct nw_capture_result *count)
{
    *a = (struct walk_aligner){ .sink = { take_access, take_event }, .to = to, .log = log, .count = count };
}
