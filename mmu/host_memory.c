/* host_memory.c - see host_memory.h. */
#include <assert.h>
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/mmu/host_memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const nw_frame_kind_name[NW_FRAME_KINDS] = { "free", "guest", "shared", "table", "pinned" };

enum { GROUP = 1 << NW_HOSTMEM_GROUP_LOG2, BLOCK = 1 << NW_HOSTMEM_BLOCK_LOG2 };

/* ---- life ---- */

enum nw_status nw_hostmem_create(struct nw_hostmem **out, const struct nw_hostmem_config *config, struct nw_error *err)
{
    if (!config->frames || config->frames >= NW_NONE32 || config->slots >= NW_NONE32 || !config->guests ||
        config->guests > NW_HOSTMEM_GUESTS_MAX)
        return nw_fail(err, NW_ERR_USAGE,
                       "%" PRIu64 " frames, %" PRIu64
                       " slots, %u guests; allowed are 1 to 2^32 - 2, 0 to 2^32 - 2 and 1 to %d",
                       config->frames, config->slots, config->guests, NW_HOSTMEM_GUESTS_MAX);
    struct nw_hostmem *h = calloc(1, sizeof *h);
    if (!h)
        return nw_fail_nomem(err, "the host's memory");
    h->config = *config;
    h->frame = calloc(config->frames, sizeof *h->frame);
    h->slot = calloc(config->slots ? config->slots : 1, sizeof *h->slot);
    h->guest = calloc(config->guests, sizeof *h->guest);
    h->moved = calloc((size_t)config->guests * config->guests, sizeof *h->moved);
    if (!h->frame || !h->slot || !h->guest || !h->moved) {
        nw_hostmem_destroy(h);
        return nw_fail_nomem(err, "the host's memory");
    }
    h->kind[NW_FRAME_FREE] = config->frames;
    h->free_slots = config->slots;
    h->free_frame = h->free_slot = NW_NONE32;
    *out = h;
    return NW_OK;
}

void nw_hostmem_destroy(struct nw_hostmem *h)
{
    if (!h)
        return;
    for (uint64_t i = 0; h->block && i * BLOCK < h->pages; i++) {
        free(h->block[i]);
        if (h->before)
            free(h->before[i]);
    }
    for (unsigned g = 0; h->guest && g < h->config.guests; g++)
        free(h->guest[g].group);
    free(h->block);
    free(h->before);
    free(h->owner);
    free(h->moved);
    free(h->guest);
    free(h->frame);
    free(h->slot);
    free(h);
}

/* ---- frames and slots ---- */

#ifndef NDEBUG
/* The counts at every step, all of it each time that there have been as many steps as it takes: so it never costs more than the steps do. */
static void check_step(struct nw_hostmem *h)
{
    uint64_t frames = 0;
    for (int k = 0; k < NW_FRAME_KINDS; k++)
        frames += h->kind[k];
    assert(frames == h->config.frames);
    assert(h->free_slots <= h->config.slots);
    if (h->steps < h->check_at)
        return;
    struct nw_error err = { 0 };
    if (nw_hostmem_check(h, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    h->check_at = h->steps + h->config.frames + h->pages + h->fresh_slot;
}
#endif

static void step(struct nw_hostmem *h)
{
    h->steps++;
#ifndef NDEBUG
    check_step(h);
#endif
}

static bool may_be_taken(uint32_t kind) { return kind == NW_FRAME_GUEST || kind == NW_FRAME_SHARED; }

static void set_kind(struct nw_hostmem *h, uint32_t frame, enum nw_frame_kind kind)
{
    struct nw_frame *f = &h->frame[frame];
    const bool before = may_be_taken(f->kind), after = may_be_taken(kind);
    if (before && !after && h->config.lost)
        h->config.lost(h->config.context, frame);
    h->kind[f->kind]--;
    h->kind[kind]++;
    f->kind = (uint16_t)kind;
    if (!before && after && h->config.gained)
        h->config.gained(h->config.context, frame);
}

static uint32_t take_frame(struct nw_hostmem *h, enum nw_frame_kind kind, uint32_t user)
{
    assert(h->kind[NW_FRAME_FREE]);
    const uint32_t frame = h->free_frame != NW_NONE32 ? h->free_frame : h->fresh_frame++;
    struct nw_frame *f = &h->frame[frame];
    assert(f->kind == NW_FRAME_FREE);
    if (frame == h->free_frame) {
        h->free_frame = f->user;
        if (f->node != NW_NONE32 && user != NW_NONE32)
            h->moved[(uint64_t)nw_hostmem_guest_of(h, user) * h->config.guests + f->node]++;
    }
    *f = (struct nw_frame){ .user = user, .node = NW_NONE32, .users = kind != NW_FRAME_TABLE };
    set_kind(h, frame, kind);
    return frame;
}

/* `page` is the last that it was behind; NW_NONE32: it was the host's own. */
static void give_frame(struct nw_hostmem *h, uint32_t frame, uint32_t page)
{
    set_kind(h, frame, NW_FRAME_FREE);
    h->frame[frame].node = page == NW_NONE32 ? NW_NONE32 : nw_hostmem_guest_of(h, page);
    h->frame[frame].user = h->free_frame;
    h->frame[frame].users = 0;
    h->free_frame = frame;
}

static uint32_t take_slot(struct nw_hostmem *h)
{
    assert(h->free_slots);
    h->free_slots--;
    /* Linux, mm/swapfile.c: clusters that are wholly free come first, so that what is written together lies together. */
    if (h->fresh_slot < h->config.slots)
        return h->fresh_slot++;
    const uint32_t slot = h->free_slot;
    h->free_slot = h->slot[slot].page;
    return slot;
}

static void give_slot(struct nw_hostmem *h, uint32_t slot)
{
    if (h->config.slot_given)
        h->config.slot_given(h->config.context, slot);
    h->slot[slot] = (struct nw_slot){ .page = h->free_slot };
    h->free_slot = slot;
    h->free_slots++;
}

uint32_t nw_hostmem_table_take(struct nw_hostmem *h) { return take_frame(h, NW_FRAME_TABLE, NW_NONE32); }

void nw_hostmem_table_give(struct nw_hostmem *h, uint32_t frame)
{
    assert(h->frame[frame].kind == NW_FRAME_TABLE);
    give_frame(h, frame, NW_NONE32);
}

/* ---- pages by guest ---- */

/* One leaf table for 512 pages, one above it for 512 of those, one above that for 512 of those; the two upper ones of the usual four levels are
 * taken with a guest's first page. */
unsigned nw_hostmem_tables_needed(const struct nw_hostmem *h, unsigned guest, uint64_t gpn)
{
    const struct nw_hostmem_guest *g = &h->guest[guest];
    const uint64_t group = gpn >> NW_HOSTMEM_GROUP_LOG2, first = group & ~(uint64_t)(GROUP - 1);
    if (group < g->groups && g->group[group] != NW_NONE32)
        return 0;
    for (uint64_t i = first; i < first + GROUP && i < g->groups; i++)
        if (g->group[i] != NW_NONE32)
            return 1;
    return g->tables ? 2 : 4;
}

static enum nw_status more_records(struct nw_hostmem *h, struct nw_error *err)
{
    if (h->pages % BLOCK)
        return NW_OK;
    const uint64_t blocks = h->pages / BLOCK;
    if ((blocks + 1) * BLOCK > NW_NONE32)
        return nw_fail(err, NW_ERR_NOMEM, "guests use more than 2^32 pages, the most that the model numbers");
    struct nw_page **block = reallocarray(h->block, blocks + 1, sizeof *block);
    if (block)
        h->block = block;
    struct nw_hostmem_owner *owner = reallocarray(h->owner, (blocks + 1) * (BLOCK / GROUP), sizeof *owner);
    if (owner)
        h->owner = owner;
    uint32_t **before = h->config.shares ? reallocarray(h->before, blocks + 1, sizeof *before) : NULL;
    if (before)
        h->before = before;
    if (!block || !owner || (h->config.shares && !before) || !(block[blocks] = calloc(BLOCK, sizeof **block)))
        return nw_fail_nomem(err, "the guests' pages");
    if (before && !(before[blocks] = calloc(BLOCK, sizeof **before))) {
        free(block[blocks]); /* h->pages does not count it yet */
        return nw_fail_nomem(err, "the guests' pages");
    }
    return NW_OK;
}

static enum nw_status more_groups(struct nw_hostmem_guest *g, uint64_t needed, struct nw_error *err)
{
    uint64_t groups = g->groups ? g->groups : 64;
    while (groups < needed)
        groups *= 2;
    uint32_t *group = reallocarray(g->group, groups, sizeof *group);
    if (!group)
        return nw_fail_nomem(err, "a guest's pages");
    memset(group + g->groups, 0xff, (groups - g->groups) * sizeof *group);
    g->group = group;
    g->groups = groups;
    return NW_OK;
}

enum nw_status nw_hostmem_page(struct nw_hostmem *h, unsigned guest, uint64_t gpn, uint32_t *page, struct nw_error *err)
{
    struct nw_hostmem_guest *g = &h->guest[guest];
    const uint64_t group = gpn >> NW_HOSTMEM_GROUP_LOG2;
    if (group >= g->groups) {
        enum nw_status s = more_groups(g, group + 1, err);
        if (s)
            return s;
    }
    if (g->group[group] == NW_NONE32) {
        enum nw_status s = more_records(h, err);
        if (s)
            return s;
        for (unsigned n = nw_hostmem_tables_needed(h, guest, gpn); n; n--, g->tables++) {
            const uint32_t frame = nw_hostmem_table_take(h);
            if (h->config.table)
                h->config.table(h->config.context, guest, frame);
        }
        g->group[group] = (uint32_t)h->pages;
        h->owner[h->pages >> NW_HOSTMEM_GROUP_LOG2] =
            (struct nw_hostmem_owner){ guest, (uint32_t)(group << NW_HOSTMEM_GROUP_LOG2), 0 };
        for (uint32_t i = 0; i < GROUP; i++) {
            struct nw_page *p = nw_hostmem_at(h, (uint32_t)h->pages + i);
            p->link = p->owner = NW_NONE32;
        }
        h->pages += GROUP;
    }
    *page = g->group[group] + (uint32_t)(gpn & (GROUP - 1));
    return NW_OK;
}

static struct nw_hostmem_guest *guest_of(struct nw_hostmem *h, uint32_t page)
{
    return &h->guest[nw_hostmem_guest_of(h, page)];
}

/* ---- users of frames and slots ---- */

/* The page has come to a frame of its own; it has no such frame any more. */
static void own_frame(struct nw_hostmem *h, uint32_t page)
{
    struct nw_hostmem_owner *o = &h->owner[page >> NW_HOSTMEM_GROUP_LOG2];
    h->guest[o->guest].large += ++o->own == GROUP;
}
static void no_own_frame(struct nw_hostmem *h, uint32_t page)
{
    struct nw_hostmem_owner *o = &h->owner[page >> NW_HOSTMEM_GROUP_LOG2];
    const bool was_large = o->own-- == GROUP;
    h->guest[o->guest].large -= was_large;
    h->guest[o->guest].large_lost += was_large;
}

static void remapped(struct nw_hostmem *h, uint32_t page)
{
    if (NW_UNLIKELY(h->config.remapped != NULL))
        h->config.remapped(h->config.context, page);
}

static void put_behind(struct nw_hostmem *h, uint32_t page, uint32_t frame)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    own_frame(h, page);
    p->backing = NW_BACKING_FRAME;
    p->place = frame;
    guest_of(h, page)->resident++;
    remapped(h, page);
}

static uint32_t *before(struct nw_hostmem *h, uint32_t page)
{
    return &h->before[page >> NW_HOSTMEM_BLOCK_LOG2][page & (BLOCK - 1)];
}

static void unlink_user(struct nw_hostmem *h, uint32_t *first, uint32_t page)
{
    const uint32_t next = nw_hostmem_at(h, page)->link;
    if (*first == page) {
        *first = next;
    } else {
        nw_hostmem_at(h, *before(h, page))->link = next;
        if (next != NW_NONE32)
            *before(h, next) = *before(h, page);
    }
    nw_hostmem_at(h, page)->link = NW_NONE32;
}

/* A page leaves a shared frame, which is free when it was the last. The first user stands for the frame: another one has to be made known. */
static void leave_shared(struct nw_hostmem *h, uint32_t page, uint32_t frame)
{
    struct nw_frame *f = &h->frame[frame];
    struct nw_hostmem_guest *g = guest_of(h, page);
    const bool first = f->user == page && f->users > 1;
    if (first && h->config.lost)
        h->config.lost(h->config.context, frame);
    if (f->users == 1)
        set_kind(h, frame, NW_FRAME_TABLE); /* in passing: what is lost is told while its user is known */
    unlink_user(h, &f->user, page);
    if (--f->users == 1)
        f->mixed = 0;
    h->shared_users--;
    g->shared--;
    g->resident--;
    g->unmapped++;
    if (!f->users)
        give_frame(h, frame, page);
    else if (first && h->config.gained)
        h->config.gained(h->config.context, frame);
}

static void drop_link(struct nw_hostmem *h, struct nw_page *p)
{
    if (p->link != NW_NONE32 && !p->linked_block)
        give_slot(h, p->link);
    p->link = NW_NONE32;
    p->linked_block = 0;
}

static void leave_slot(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    const uint32_t slot = p->place;
    unlink_user(h, &h->slot[slot].page, page);
    guest_of(h, page)->swapped--;
    if (!--h->slot[slot].users)
        give_slot(h, slot);
}

/* ---- transitions ---- */

void nw_hostmem_back(struct nw_hostmem *h, uint32_t page)
{
    assert(nw_hostmem_at(h, page)->backing == NW_BACKING_NONE);
    nw_hostmem_fill(h, page, 0);
}

void nw_hostmem_store(struct nw_hostmem *h, uint32_t page, uint64_t content)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    assert(p->backing == NW_BACKING_FRAME && h->frame[p->place].kind != NW_FRAME_SHARED);
    if (NW_UNLIKELY(p->link != NW_NONE32))
        drop_link(h, p);
    p->flags |= NW_PAGE_DIRTY;
    p->content = h->frame[p->place].content = content;
}

void nw_hostmem_break(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    const uint32_t from = p->place;
    assert(p->backing == NW_BACKING_FRAME && h->frame[from].kind == NW_FRAME_SHARED);
    const uint64_t content = h->frame[from].content;
    leave_shared(h, page, from);
    const uint32_t to = take_frame(h, NW_FRAME_GUEST, page);
    h->frame[to].content = content;
    p->flags |= NW_PAGE_DIRTY;
    put_behind(h, page, to);
    step(h);
}

void nw_hostmem_discard(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    struct nw_hostmem_guest *g = guest_of(h, page);
    const bool was_mapped = p->backing == NW_BACKING_FRAME;
    switch ((enum nw_backing)p->backing) {
    case NW_BACKING_FRAME:
        assert(h->frame[p->place].kind != NW_FRAME_PINNED);
        if (h->frame[p->place].kind == NW_FRAME_SHARED) {
            leave_shared(h, page, p->place);
        } else {
            give_frame(h, p->place, page);
            drop_link(h, p);
            no_own_frame(h, page);
            g->resident--;
            g->unmapped++;
        }
        break;
    case NW_BACKING_SLOT: leave_slot(h, page); break;
    case NW_BACKING_BLOCK: g->in_blocks--; break;
    case NW_BACKING_NONE: break;
    }
    p->backing = NW_BACKING_NONE;
    p->place = p->link = NW_NONE32;
    p->content = 0;
    p->flags &= (uint8_t) ~(NW_PAGE_DIRTY | NW_PAGE_ACCESSED | NW_PAGE_READ_AHEAD);
    if (was_mapped)
        remapped(h, page);
    step(h);
}

/* All users of a frame go behind a slot, whose content is the frame's. */
static void move_to_slot(struct nw_hostmem *h, uint32_t frame, uint32_t slot)
{
    const struct nw_frame *f = &h->frame[frame];
    h->slot[slot] = (struct nw_slot){ .content = f->content, .page = f->user, .users = f->users };
    for (uint32_t page = f->user; page != NW_NONE32; page = nw_hostmem_at(h, page)->link) {
        struct nw_page *p = nw_hostmem_at(h, page);
        struct nw_hostmem_guest *g = guest_of(h, page);
        p->backing = NW_BACKING_SLOT;
        p->place = slot;
        p->flags &= (uint8_t) ~(NW_PAGE_DIRTY | NW_PAGE_ACCESSED | NW_PAGE_READ_AHEAD);
        g->resident--;
        g->swapped++;
        g->unmapped++;
        if (f->kind == NW_FRAME_SHARED) {
            g->shared--;
            h->shared_users--;
        } else {
            no_own_frame(h, page);
        }
        remapped(h, page);
    }
}

bool nw_hostmem_swap_out(struct nw_hostmem *h, uint32_t frame)
{
    struct nw_frame *f = &h->frame[frame];
    struct nw_page *p = nw_hostmem_at(h, f->user);
    const bool shared = f->kind == NW_FRAME_SHARED, kept = !shared && p->link != NW_NONE32 && !p->linked_block;
    assert(may_be_taken(f->kind));
    const uint32_t slot = kept ? p->link : take_slot(h);
    if (!shared) {
        p->link = NW_NONE32;
        p->linked_block = 0;
    }
    assert(!kept || h->slot[slot].content == f->content);
    const uint32_t user = f->user;
    move_to_slot(h, frame, slot);
    give_frame(h, frame, user);
    step(h);
    return !kept;
}

void nw_hostmem_swap_in(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    const uint32_t slot = p->place;
    struct nw_slot *s = &h->slot[slot];
    assert(p->backing == NW_BACKING_SLOT && s->users);
    const uint64_t content = s->content;
    const bool alone = s->users == 1;
    if (alone) {
        p->link = slot;
        p->linked_block = 0;
        guest_of(h, page)->swapped--;
    } else {
        leave_slot(h, page);
    }
    const uint32_t frame = take_frame(h, NW_FRAME_GUEST, page);
    h->frame[frame].content = content;
    put_behind(h, page, frame);
    step(h);
}

void nw_hostmem_forget_slot(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    assert(p->backing == NW_BACKING_FRAME && p->link != NW_NONE32 && !p->linked_block);
    drop_link(h, p);
    p->flags |= NW_PAGE_DIRTY;
}

void nw_hostmem_drop_to_block(struct nw_hostmem *h, uint32_t frame, uint32_t block)
{
    struct nw_frame *f = &h->frame[frame];
    struct nw_page *p = nw_hostmem_at(h, f->user);
    struct nw_hostmem_guest *g = guest_of(h, f->user);
    assert(f->kind == NW_FRAME_GUEST);
    drop_link(h, p);
    no_own_frame(h, f->user);
    p->backing = NW_BACKING_BLOCK;
    p->place = block;
    p->flags &= (uint8_t) ~(NW_PAGE_DIRTY | NW_PAGE_ACCESSED | NW_PAGE_READ_AHEAD);
    g->resident--;
    g->in_blocks++;
    g->unmapped++;
    remapped(h, f->user);
    give_frame(h, frame, f->user);
    step(h);
}

void nw_hostmem_fill(struct nw_hostmem *h, uint32_t page, uint64_t content)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    assert(p->backing != NW_BACKING_FRAME);
    if (p->backing == NW_BACKING_SLOT)
        leave_slot(h, page);
    else if (p->backing == NW_BACKING_BLOCK)
        guest_of(h, page)->in_blocks--;
    p->link = NW_NONE32;
    const uint32_t frame = take_frame(h, NW_FRAME_GUEST, page);
    h->frame[frame].content = p->content = content;
    p->flags |= NW_PAGE_DIRTY;
    put_behind(h, page, frame);
    step(h);
}

void nw_hostmem_link_block(struct nw_hostmem *h, uint32_t page, uint32_t block)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    assert(p->backing == NW_BACKING_FRAME && h->frame[p->place].kind != NW_FRAME_SHARED);
    drop_link(h, p);
    p->link = block;
    p->linked_block = 1;
    p->flags &= (uint8_t)~NW_PAGE_DIRTY;
}

void nw_hostmem_share(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    struct nw_hostmem_guest *g = guest_of(h, page);
    assert(h->config.shares && p->backing == NW_BACKING_FRAME && h->frame[p->place].kind == NW_FRAME_GUEST);
    drop_link(h, p);
    set_kind(h, p->place, NW_FRAME_SHARED);
    no_own_frame(h, page);
    h->shared_users++;
    g->shared++;
    g->unmapped++;
    remapped(h, page);
    step(h);
}

bool nw_hostmem_merge(struct nw_hostmem *h, uint32_t page, uint32_t frame)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    struct nw_frame *to = &h->frame[frame];
    struct nw_hostmem_guest *g = guest_of(h, page);
    assert(to->kind == NW_FRAME_SHARED && p->backing == NW_BACKING_FRAME && h->frame[p->place].kind == NW_FRAME_GUEST);
    if (to->content != h->frame[p->place].content)
        return false;
    drop_link(h, p);
    give_frame(h, p->place, page);
    no_own_frame(h, page);
    p->place = frame;
    p->link = nw_hostmem_at(h, to->user)->link; /* behind the first, which stands for the frame */
    if (p->link != NW_NONE32)
        *before(h, p->link) = page;
    nw_hostmem_at(h, to->user)->link = page;
    *before(h, page) = to->user;
    to->users++;
    to->mixed |= nw_hostmem_guest_of(h, page) != nw_hostmem_guest_of(h, to->user);
    h->shared_users++;
    g->shared++;
    g->unmapped++;
    remapped(h, page);
    step(h);
    return true;
}

void nw_hostmem_pin(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    assert(p->backing == NW_BACKING_FRAME && h->frame[p->place].kind == NW_FRAME_GUEST);
    set_kind(h, p->place, NW_FRAME_PINNED);
    guest_of(h, page)->pinned++;
    step(h);
}

void nw_hostmem_unpin(struct nw_hostmem *h, uint32_t page)
{
    struct nw_page *p = nw_hostmem_at(h, page);
    assert(p->backing == NW_BACKING_FRAME && h->frame[p->place].kind == NW_FRAME_PINNED);
    set_kind(h, p->place, NW_FRAME_GUEST);
    guest_of(h, page)->pinned--;
    step(h);
}

bool nw_hostmem_shared_across(const struct nw_hostmem *h, unsigned guest, uint32_t frame)
{
    const struct nw_frame *f = &h->frame[frame];
    assert(f->kind == NW_FRAME_SHARED);
    if (!f->mixed)
        return nw_hostmem_guest_of(h, f->user) != guest;
    if (f->users > h->guest[guest].shared)
        return true;
    uint32_t page = f->user;
    while (page != NW_NONE32 && nw_hostmem_guest_of(h, page) == guest)
        page = nw_hostmem_at(h, page)->link;
    return page != NW_NONE32;
}

bool nw_hostmem_intact(const struct nw_hostmem *h, uint32_t page)
{
    const struct nw_page *p = nw_hostmem_at(h, page);
    switch ((enum nw_backing)p->backing) {
    case NW_BACKING_FRAME: return h->frame[p->place].content == p->content;
    case NW_BACKING_SLOT: return h->slot[p->place].content == p->content;
    case NW_BACKING_NONE: return p->content == 0;
    case NW_BACKING_BLOCK: return true;
    }
    return false;
}
