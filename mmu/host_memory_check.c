/* host_memory_check.c - the proof of conservation: everything that nw_hostmem's counts and links say is counted again from the pages, frames and slots alone. */
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/mmu/host_memory.h>
#include <stdlib.h>

struct recount {
    const struct nw_hostmem *h;
    uint32_t *frame_users, *slot_users; /* pages that name it */
    struct nw_hostmem_guest *guest;
    uint32_t own; /* of this group so far */
    uint64_t kind[NW_FRAME_KINDS], shared_users, tables;
    struct nw_error *err;
};

#define WRONG(...) nw_fail(c->err, NW_ERR_INTERNAL, "the host's memory: " __VA_ARGS__)

static enum nw_status count_page(struct recount *c, uint32_t page)
{
    const struct nw_hostmem *h = c->h;
    const struct nw_page *p = nw_hostmem_at(h, page);
    struct nw_hostmem_guest *g = &c->guest[nw_hostmem_guest_of(h, page)];
    if (!nw_hostmem_intact(h, page))
        return WRONG("page %" PRIu32 " of guest %u does not hold what was written last", page,
                     nw_hostmem_guest_of(h, page));
    if (p->backing == NW_BACKING_FRAME) {
        const struct nw_frame *f = &h->frame[p->place];
        c->frame_users[p->place]++;
        g->resident++;
        if (f->kind == NW_FRAME_SHARED) {
            g->shared++;
            c->shared_users++;
        } else if (f->kind != NW_FRAME_GUEST && f->kind != NW_FRAME_PINNED) {
            return WRONG("page %" PRIu32 " is behind a %s frame", page, nw_frame_kind_name[f->kind]);
        } else if (f->user != page) {
            return WRONG("frame %" PRIu32 " does not know its page %" PRIu32, p->place, page);
        } else if (p->link != NW_NONE32 && !p->linked_block) {
            c->slot_users[p->link]++;
            if (h->slot[p->link].content != f->content)
                return WRONG("the slot that page %" PRIu32 " kept has another content", page);
        }
        g->pinned += f->kind == NW_FRAME_PINNED;
        c->own += f->kind != NW_FRAME_SHARED;
    } else if (p->backing == NW_BACKING_SLOT) {
        c->slot_users[p->place]++;
        g->swapped++;
    } else if (p->backing == NW_BACKING_BLOCK) {
        g->in_blocks++;
    }
    return NW_OK;
}

static enum nw_status count_group(struct recount *c, uint64_t group)
{
    const struct nw_hostmem_owner *o = &c->h->owner[group];
    if (o->own != c->own)
        return WRONG("%" PRIu32 " pages of group %" PRIu64 " have frames of their own, counted as %" PRIu32, c->own,
                     group, o->own);
    c->guest[o->guest].large += c->own == NW_BIT(NW_HOSTMEM_GROUP_LOG2);
    c->own = 0;
    return NW_OK;
}

/* As many users on the chain as it says, each of them behind this frame. */
static enum nw_status count_frame(struct recount *c, uint32_t frame)
{
    const struct nw_hostmem *h = c->h;
    const struct nw_frame *f = &h->frame[frame];
    uint32_t users = 0, before = NW_NONE32;
    bool others = false;
    if (f->kind >= NW_FRAME_KINDS)
        return WRONG("frame %" PRIu32 " is of no kind", frame);
    c->kind[f->kind]++;
    if (f->users != c->frame_users[frame])
        return WRONG("%" PRIu32 " pages are behind the %s frame %" PRIu32 ", which counts %" PRIu32,
                     c->frame_users[frame], nw_frame_kind_name[f->kind], frame, f->users);
    if (f->kind == NW_FRAME_SHARED) {
        for (uint32_t page = f->user; page != NW_NONE32 && users <= f->users; page = nw_hostmem_at(h, page)->link) {
            if (nw_hostmem_at(h, page)->place != frame || nw_hostmem_at(h, page)->backing != NW_BACKING_FRAME)
                return WRONG("page %" PRIu32 " is on the chain of frame %" PRIu32 " and not behind it", page, frame);
            if (users && h->before[page >> NW_HOSTMEM_BLOCK_LOG2][page & (NW_BIT(NW_HOSTMEM_BLOCK_LOG2) - 1)] != before)
                return WRONG("page %" PRIu32 " does not know the one before it on the chain of frame %" PRIu32, page,
                             frame);
            others |= nw_hostmem_guest_of(h, page) != nw_hostmem_guest_of(h, f->user);
            before = page;
            users++;
        }
        if (others && !f->mixed)
            return WRONG("shared frame %" PRIu32 " does not know that it has users of several guests", frame);
        if (!users || users != f->users)
            return WRONG("the chain of shared frame %" PRIu32 " has %" PRIu32 " pages, not %" PRIu32, frame, users,
                         f->users);
    } else if (f->users != (f->kind == NW_FRAME_GUEST || f->kind == NW_FRAME_PINNED)) {
        return WRONG("the %s frame %" PRIu32 " has %" PRIu32 " pages", nw_frame_kind_name[f->kind], frame, f->users);
    }
    return NW_OK;
}

static enum nw_status compare(const struct recount *c)
{
    const struct nw_hostmem *h = c->h;
    uint64_t free_frames = 0, free_slots = 0;
    for (int k = 0; k < NW_FRAME_KINDS; k++)
        if (c->kind[k] != h->kind[k])
            return WRONG("%" PRIu64 " %s frames are counted as %" PRIu64, c->kind[k], nw_frame_kind_name[k],
                         h->kind[k]);
    if (c->shared_users != h->shared_users)
        return WRONG("%" PRIu64 " users of shared frames are counted as %" PRIu64, c->shared_users, h->shared_users);
    for (uint32_t f = h->free_frame; f != NW_NONE32 && free_frames <= h->config.frames; f = h->frame[f].user)
        free_frames++;
    if (free_frames + h->config.frames - h->fresh_frame != c->kind[NW_FRAME_FREE])
        return WRONG("a free frame is on no chain, or on two");
    for (uint32_t s = h->free_slot; s != NW_NONE32 && free_slots <= h->config.slots; s = h->slot[s].page)
        free_slots++;
    if (free_slots + h->config.slots - h->fresh_slot != h->free_slots)
        return WRONG("a free slot is on no chain, or on two");
    for (unsigned i = 0; i < h->config.guests; i++) {
        const struct nw_hostmem_guest *a = &h->guest[i], *b = &c->guest[i];
        if (a->resident != b->resident || a->shared != b->shared || a->swapped != b->swapped ||
            a->in_blocks != b->in_blocks || a->pinned != b->pinned || a->large != b->large)
            return WRONG("guest %u has %" PRIu64 " resident, %" PRIu64 " shared, %" PRIu64
                         " swapped pages, counted as %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                         i, b->resident, b->shared, b->swapped, a->resident, a->shared, a->swapped);
    }
    return NW_OK;
}

static enum nw_status count_all(struct recount *c)
{
    const struct nw_hostmem *h = c->h;
    enum nw_status s = NW_OK;
    for (uint64_t p = 0; p < h->pages && !s; p++) {
        s = count_page(c, (uint32_t)p);
        if (!s && (p + 1) % NW_BIT(NW_HOSTMEM_GROUP_LOG2) == 0)
            s = count_group(c, p >> NW_HOSTMEM_GROUP_LOG2);
    }
    for (uint64_t f = 0; f < h->config.frames && !s; f++)
        s = count_frame(c, (uint32_t)f);
    uint64_t used = 0;
    for (uint32_t i = 0; i < h->fresh_slot && !s; i++) {
        used += h->slot[i].users != 0;
        if (h->slot[i].users != c->slot_users[i])
            s = WRONG("%" PRIu32 " pages name slot %" PRIu32 ", which counts %" PRIu32, c->slot_users[i], i,
                      h->slot[i].users);
    }
    if (!s && used + h->free_slots != h->config.slots)
        s = WRONG("%" PRIu64 " slots are used and %" PRIu64 " free, of %" PRIu64, used, h->free_slots, h->config.slots);
    return s ? s : compare(c);
}

enum nw_status nw_hostmem_check(const struct nw_hostmem *h, struct nw_error *err)
{
    struct recount c = { .h = h,
                         .frame_users = calloc(h->config.frames, sizeof *c.frame_users),
                         .slot_users = calloc(h->config.slots ? h->config.slots : 1, sizeof *c.slot_users),
                         .guest = calloc(h->config.guests, sizeof *c.guest),
                         .err = err };
    enum nw_status s =
        c.frame_users && c.slot_users && c.guest ? count_all(&c) : nw_fail_nomem(err, "a check of the host's memory");
    free(c.frame_users);
    free(c.slot_users);
    free(c.guest);
    return s;
}
