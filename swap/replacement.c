#include "replacement_internal.h"
#include <inttypes.h>
#include <nestwalk/base/compiler.h>
#include <stdlib.h>
#include <string.h>

extern const struct nw_replacement_policy replacement_lru, replacement_fifo, replacement_clock, replacement_random,
    replacement_arc, replacement_s3fifo, replacement_sieve, replacement_two_list, replacement_mglru;
const struct nw_replacement_policy *const nw_replacement_policies[] = {
    &replacement_lru,    &replacement_fifo,  &replacement_clock,    &replacement_random, &replacement_arc,
    &replacement_s3fifo, &replacement_sieve, &replacement_two_list, &replacement_mglru,  NULL
};

const struct nw_replacement_policy *nw_replacement_policy_find(const char *name)
{
    for (size_t i = 0; nw_replacement_policies[i]; i++)
        if (!strcmp(nw_replacement_policies[i]->name, name))
            return nw_replacement_policies[i];
    return NULL;
}

/* ---- pages by number ---- */

static uint32_t home(const struct nw_replacement *r, uint64_t page)
{
    return (uint32_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> 32) & r->slot_mask;
}

/* The slot that has the page, or the empty one where its search ends. */
static uint32_t find_slot(const struct nw_replacement *r, uint64_t page)
{
    uint32_t at = home(r, page);
    while (r->slot[at] != NO_NODE && r->node[r->slot[at]].page != page)
        at = (at + 1) & r->slot_mask;
    return at;
}

/* Closes the gap, so that no search ends too early: entries behind it that may stand there move forward. */
static void empty_slot(struct nw_replacement *r, uint32_t gap)
{
    for (uint32_t at = (gap + 1) & r->slot_mask; r->slot[at] != NO_NODE; at = (at + 1) & r->slot_mask) {
        uint32_t wanted = home(r, r->node[r->slot[at]].page);
        if (((at - wanted) & r->slot_mask) >= ((at - gap) & r->slot_mask)) {
            r->slot[gap] = r->slot[at];
            gap = at;
        }
    }
    r->slot[gap] = NO_NODE;
    r->slot_used--;
}

static enum nw_status more_slots(struct nw_replacement *r, uint32_t slots, struct nw_error *err)
{
    uint32_t *bigger = malloc(slots * sizeof *bigger);
    if (!bigger)
        return nw_fail_nomem(err, "the pages of a replacement policy");
    memset(bigger, 0xff, slots * sizeof *bigger);
    free(r->slot);
    r->slot = bigger;
    r->slot_mask = slots - 1;
    for (uint32_t i = 0; i < r->node_used; i++)
        if (r->node[i].list != NO_LIST)
            r->slot[find_slot(r, r->node[i].page)] = i;
    return NW_OK;
}

static enum nw_status make_room(struct nw_replacement *r, struct nw_error *err)
{
    if (r->node_free == NO_NODE && r->node_used == r->node_capacity) {
        uint32_t wanted = r->node_capacity ? 2 * r->node_capacity : 1024;
        struct node *bigger = reallocarray(r->node, wanted, sizeof *bigger);
        if (!bigger)
            return nw_fail_nomem(err, "the pages of a replacement policy");
        r->node = bigger;
        r->node_capacity = wanted;
    }
    return !r->indexed || r->slot_used < r->slot_mask / 2 ? NW_OK : more_slots(r, 2 * (r->slot_mask + 1), err);
}

/* From now on pages are found by number. Whoever names them by their nodes alone pays neither memory nor time for it. */
static enum nw_status index_pages(struct nw_replacement *r, struct nw_error *err)
{
    uint32_t slots = 4096;
    r->slot_used = 0;
    for (uint32_t i = 0; i < r->node_used; i++)
        r->slot_used += r->node[i].list != NO_LIST;
    while (r->slot_used >= slots / 2)
        slots *= 2;
    enum nw_status s = more_slots(r, slots, err);
    r->indexed = !s;
    return s;
}

/* ---- lists ---- */

static void link_newest(struct nw_replacement *r, uint32_t node, unsigned list)
{
    struct list *l = &r->list[list];
    struct node *n = &r->node[node];
    n->list = (uint8_t)list;
    n->newer = NO_NODE;
    n->older = l->newest;
    if (l->newest != NO_NODE)
        r->node[l->newest].newer = node;
    else
        l->oldest = node;
    l->newest = node;
    l->length++;
    r->resident_pages += r->resident >> list & 1;
}

static void unlink_node(struct nw_replacement *r, uint32_t node)
{
    const struct node *n = &r->node[node];
    struct list *l = &r->list[n->list];
    *(n->newer != NO_NODE ? &r->node[n->newer].older : &l->newest) = n->older;
    *(n->older != NO_NODE ? &r->node[n->older].newer : &l->oldest) = n->newer;
    l->length--;
    r->resident_pages -= r->resident >> n->list & 1;
}

uint32_t replacement_find(const struct nw_replacement *r, uint64_t page) { return r->slot[find_slot(r, page)]; }

uint32_t replacement_add(struct nw_replacement *r, unsigned list, uint64_t page)
{
    uint32_t node = r->node_free;
    if (node != NO_NODE)
        r->node_free = r->node[node].older;
    else
        node = r->node_used++;
    r->node[node].page = page;
    r->node[node].count = 0;
    if (r->indexed) {
        r->slot[find_slot(r, page)] = node;
        r->slot_used++;
    }
    link_newest(r, node, list);
    return node;
}

void replacement_drop(struct nw_replacement *r, uint32_t node)
{
    unlink_node(r, node);
    if (r->indexed)
        empty_slot(r, find_slot(r, r->node[node].page));
    r->node[node].list = NO_LIST;
    r->node[node].older = r->node_free;
    r->node_free = node;
}

void replacement_move(struct nw_replacement *r, uint32_t node, unsigned list)
{
    unlink_node(r, node);
    link_newest(r, node, list);
}

/* ---- life ---- */

enum nw_status nw_replacement_create(struct nw_replacement **out, const struct nw_replacement_policy *policy,
                                     uint64_t frames, uint64_t seed, struct nw_error *err)
{
    if (!frames || frames > NW_REPLACEMENT_FRAMES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "%" PRIu64 " frames, allowed are 1 to %d", frames, NW_REPLACEMENT_FRAMES_MAX);
    struct nw_replacement *r = calloc(1, policy->bytes);
    if (!r)
        return nw_fail_nomem(err, "a replacement policy");
    r->policy = policy;
    r->frames = frames;
    r->resident = 1;
    r->node_free = NO_NODE;
    r->rng = nw_rng_for(seed, "replacement");
    for (unsigned i = 0; i < LISTS_MAX; i++)
        r->list[i] = (struct list){ NO_NODE, NO_NODE, 0 };
    if (policy->init)
        policy->init(r);
    if (policy->scale)
        policy->scale(r);
    enum nw_status s = policy->remembers ? index_pages(r, err) : NW_OK;
    if (s)
        nw_replacement_destroy(r);
    else
        *out = r;
    return s;
}

enum nw_status nw_replacement_touch(struct nw_replacement *r, uint64_t page, bool *fault, struct nw_error *err)
{
    enum nw_status s = r->indexed ? NW_OK : index_pages(r, err);
    if (s)
        return s;
    uint32_t node = replacement_find(r, page);
    *fault = node == NO_NODE || !(r->resident >> r->node[node].list & 1);
    if (!*fault) {
        r->policy->hit(r, node);
        return NW_OK;
    }
    if (r->resident_pages >= r->frames)
        r->policy->evict(r, page);
    return nw_replacement_admit(r, page, &node, err);
}

enum nw_status nw_replacement_admit(struct nw_replacement *r, uint64_t page, uint32_t *node, struct nw_error *err)
{
    enum nw_status s = make_room(r, err);
    if (!s)
        *node = r->policy->admit(r, page);
    return s;
}

void nw_replacement_hit(struct nw_replacement *r, uint32_t node) { r->policy->hit(r, node); }

uint64_t nw_replacement_evict(struct nw_replacement *r, uint64_t incoming)
{
    return r->resident_pages ? r->policy->evict(r, incoming) : NW_REPLACEMENT_NO_PAGE;
}

void nw_replacement_remove(struct nw_replacement *r, uint32_t node)
{
    if (r->policy->leave)
        r->policy->leave(r, node);
    replacement_drop(r, node);
}

void nw_replacement_resize(struct nw_replacement *r, uint64_t frames)
{
    r->frames = frames;
    if (r->policy->scale)
        r->policy->scale(r);
}

uint64_t nw_replacement_resident(const struct nw_replacement *r) { return r->resident_pages; }

void nw_replacement_destroy(struct nw_replacement *r)
{
    if (!r)
        return;
    free(r->node);
    free(r->slot);
    free(r);
}
