#include "shadow_internal.h"
#include <nestwalk/mmu/walk_template.h>
#include <string.h>

/* ---- the guest's tables, walked in software ----------------------------------------------------- */

static uint64_t *guest_word(struct software *s, hpa_t gpa)
{
    struct nw_shadow_backing b = { 0 };
    s->sh->config.backing(s->sh->config.context, nw_gpa(gpa.v), &b);
    if (!b.present) {
        s->unbacked = true;
        s->missing = nw_gpa(gpa.v);
        return NULL;
    }
    return nw_physmem_find(s->sh->config.pm, b.hpa);
}

/* To the template this is a native walk whose "HPAs" are GPAs. */
static inline uint64_t software_load(void *context, hpa_t gpa)
{
    const uint64_t *word = guest_word(context, gpa);
    return word ? *word : 0;
}

static inline void software_update(void *context, hpa_t gpa, uint64_t set)
{
    uint64_t *word = guest_word(context, gpa);
    if (word)
        *word |= set;
}

static inline void software_reference(void *context, const struct nw_reference *r)
{
    struct software *s = context;
    s->table[r->level] = r->address;
    s->used[r->level] = true;
    s->entry[r->level] = r->entry;
}

static const struct nw_walk_hooks software_hooks = {
    .load = software_load,
    .update = software_update,
    .reference = software_reference,
};

static const struct nw_walk_hooks probe_hooks = { .load = software_load, .reference = software_reference };

static void tables_of_entries(struct software *s, const struct nw_paging *guest, uint64_t gva)
{
    for (unsigned level = 0; level < guest->levels; level++)
        if (s->used[level])
            s->table[level] -= nw_paging_index(guest, level, gva) << guest->entry_log2;
}

void shadow_guest_walk(struct software *s, const struct nw_paging *guest, gva_t gva, const struct nw_access *access,
                       struct nw_walk_result *out)
{
    nw_walk_run(&software_hooks, s, guest, NULL, gva, access, out);
    tables_of_entries(s, guest, gva.v);
}

/* Looks, and sets nothing. Every page that is present can be read this way: SMAP is suspended, and no key denies. */
void shadow_guest_probe(struct software *s, const struct nw_paging *guest, uint64_t gva, struct nw_walk_result *out)
{
    struct nw_paging open = *guest;
    open.pkru = open.pkrs = 0;
    if (guest->input_rule == NW_INPUT_CANONICAL)
        gva = nw_sign_extend(gva, guest->input_bits);
    nw_walk_run(&probe_hooks, s, &open, NULL, nw_gva(gva), &(struct nw_access){ .kind = NW_ACCESS_READ, .ac = true },
                out);
    tables_of_entries(s, guest, gva);
}

void shadow_guest_pdptes(struct software *s, uint64_t root, uint64_t pdpte[4])
{
    for (unsigned i = 0; i < 4; i++)
        pdpte[i] = software_load(s, nw_hpa(root + i * 8u));
}

bool shadow_guest_accessed(const struct software *s, const struct nw_paging *guest, unsigned level)
{
    for (; level < guest->levels; level++)
        if (s->used[level] && (~s->entry[level] & guest->level[level].accessed))
            return false;
    return true;
}

/* ---- write protection --------------------------------------------------------------------------- */

/* A guest page becomes a shadowed table: small leaves that map it lose W, larger ones go. */
static enum nw_status protect(struct nw_shadow *sh, gpa_t gpa, struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    for (uint32_t node = shadow_leaf_of(sh, leaf_key(gpa, NW_PAGE_LOG2), NONE); node;
         node = shadow_leaf_of(sh, leaf_key(gpa, NW_PAGE_LOG2), node)) {
        uint32_t page = sh->leaf[node].page, index = sh->leaf[node].index;
        uint64_t entry = shadow_read(sh, page, index);
        if (!(entry & SHADOW_W))
            continue;
        enum nw_status s = shadow_write(sh, page, index, entry & ~(SHADOW_W | SHADOW_D), err);
        if (s)
            return s;
        shadow_invalidation_add(inv, &sh->root[sh->page[page]->root].guest,
                                sh->page[page]->base + ((uint64_t)index << NW_PAGE_LOG2), NW_PAGE_LOG2);
    }
    static const uint8_t large[] = { NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };
    for (size_t i = 0; i < NW_ARRAY_LEN(large); i++)
        for (uint32_t node; (node = shadow_leaf_of(sh, leaf_key(gpa, large[i]), NONE)) != NONE;)
            shadow_zap(sh, sh->leaf[node].page, sh->leaf[node].index, inv);
    return NW_OK;
}

static bool contains_table(const struct nw_shadow *sh, gpa_t gpa, unsigned log2)
{
    uint64_t first = gpa.v >> log2 << (log2 - NW_PAGE_LOG2), count = NW_BIT(log2 - NW_PAGE_LOG2);
    if (!sh->counters.guest_tables)
        return false;
    if (count <= sh->counters.pages) {
        for (uint64_t i = 0; i < count; i++)
            if (shadow_page_of(sh, first + i, NONE))
                return true;
        return false;
    }
    for (uint32_t i = 1; i < sh->page_count; i++)
        if (sh->page[i]->used && sh->page[i]->mirrors && (sh->page[i]->guest_table >> NW_PAGE_LOG2) - first < count)
            return true;
    return false;
}

/* ---- filling ------------------------------------------------------------------------------------ */

/* Which of the guest's tables a new shadow table mirrors: the smallest that covers it, unless the table above mirrors
 * it already. */
static enum nw_status mirror(struct nw_shadow *sh, const struct nw_paging *guest, const struct software *software,
                             uint32_t id, struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    struct shadow_page *page = sh->page[id];
    if (sh->config.policy == NW_SHADOW_VIRTUAL_TLB)
        return NW_OK;
    for (unsigned level = 0; level < guest->levels; level++) {
        unsigned covers = guest->level[level].index_low + guest->level[level].index_bits;
        if (!software->used[level] || covers < page_bytes_log2(page->level))
            continue;
        const struct shadow_page *above = page->parent ? sh->page[page->parent] : NULL;
        if (above && above->mirrors && above->guest_table == software->table[level] && above->guest_level == level)
            return NW_OK;
        bool known = nw_shadow_is_table(sh, nw_gpa(software->table[level]));
        page->guest_table = software->table[level];
        page->guest_level = (uint8_t)level;
        page->guest_base = page->base & ~(NW_BIT(covers) - 1);
        enum nw_status s = shadow_page_mirror(sh, id, err);
        return s || known ? s : protect(sh, nw_gpa(page->guest_table), inv, err);
    }
    return NW_OK;
}

/* A shadow table below entry `index` of `parent`. */
static enum nw_status make_table(struct nw_shadow *sh, uint64_t gva, const struct software *software, uint32_t parent,
                                 uint32_t index, struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    unsigned level = sh->page[parent]->level;
    uint32_t child;
    enum nw_status s = shadow_page_new(sh, &child, err);
    if (s)
        return s;
    struct shadow_page *page = sh->page[child];
    page->level = (uint8_t)(level - 1);
    page->base = gva >> entry_log2(level) << entry_log2(level);
    page->root = sh->current;
    page->parent = parent;
    page->parent_index = index;
    if ((s = mirror(sh, &sh->root[sh->current].guest, software, child, inv, err)) ||
        (s = shadow_write(sh, parent, index, page->hpa | SHADOW_P | SHADOW_W | SHADOW_U | SHADOW_A, err))) {
        shadow_page_free(sh, child);
        return s;
    }
    sh->page[parent]->link[index] = child;
    return NW_OK;
}

/* Where descend() has arrived. */
struct place {
    uint32_t page; /* holds the entry */
    bool switched; /* not there: a switching entry leads out of the shadow tree */
    bool made;     /* ... which is new */
};

static enum nw_status descend_root(struct nw_shadow *sh, const struct software *software, struct place *out,
                                   struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    struct shadow_root *root = &sh->root[sh->current];
    enum nw_status s;
    *out = (struct place){ .page = root->page, .switched = root->switched };
    if (root->registered || root->switched)
        return NW_OK;
    if (root->guest.levels == root->paging.levels) {
        if ((s = shadow_agile_enter(sh, software, root->guest.levels - 1u, NONE, 0, &out->switched, inv, err)))
            return s;
        if ((out->made = out->switched))
            return NW_OK;
    }
    if ((s = mirror(sh, &root->guest, software, root->page, inv, err)))
        return s;
    root->registered = true;
    return NW_OK;
}

/* The page that holds the entry for gva at `leaf_level`, with the tables on the way to it. */
static enum nw_status descend(struct nw_shadow *sh, uint64_t gva, const struct software *software, unsigned leaf_level,
                              struct place *out, struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    enum nw_status s = descend_root(sh, software, out, inv, err);
    for (unsigned level = sh->root[sh->current].paging.levels - 1u; !s && !out->switched && level > leaf_level;
         level--) {
        uint32_t index = shadow_index(gva, level);
        uint64_t entry = shadow_read(sh, out->page, index);
        if ((entry & SHADOW_P) && (entry & SHADOW_SWITCH)) {
            out->switched = true;
            return NW_OK;
        }
        if (shadow_is_leaf(sh, out->page, entry))
            shadow_zap(sh, out->page, index, inv);
        if (!(shadow_read(sh, out->page, index) & SHADOW_P)) {
            if ((s = shadow_agile_enter(sh, software, level - 1, out->page, index, &out->switched, inv, err)))
                return s;
            if ((out->made = out->switched))
                return NW_OK;
            if ((s = make_table(sh, gva, software, out->page, index, inv, err)))
                return s;
        }
        out->page = sh->page[out->page]->link[index];
    }
    return s;
}

static unsigned leaf_level_of(const struct nw_shadow *sh, const struct nw_walk_result *guest,
                              const struct nw_shadow_backing *backing)
{
    unsigned log2 = guest->guest_page_log2 < backing->page_log2 ? guest->guest_page_log2 : backing->page_log2;
    unsigned level = log2 >= NW_PAGE_1G_LOG2 ? 2 : log2 >= NW_PAGE_2M_LOG2 ? 1 : 0;
    while (level && contains_table(sh, guest->gpa, entry_log2(level)))
        level--;
    return level;
}

static uint64_t leaf_entry(const struct nw_shadow *sh, const struct nw_paging *guest, const struct nw_access *access,
                           const struct nw_walk_result *walk, const struct nw_shadow_backing *backing, unsigned level)
{
    uint64_t offset = NW_BIT(entry_log2(level)) - 1, rights = SHADOW_P | SHADOW_A;
    bool shadowed = nw_shadow_is_table(sh, walk->gpa),
         store = access->kind == NW_ACCESS_WRITE || access->kind == NW_ACCESS_RMW;
    bool may_write = (walk->rights & NW_RIGHT_DIRTY) && backing->writable && !shadowed;
    rights |= walk->rights & NW_RIGHT_USER ? SHADOW_U : 0;
    rights |= walk->rights & NW_RIGHT_EXECUTE ? 0 : SHADOW_NX;
    if ((walk->rights & NW_RIGHT_WRITE) && may_write) {
        rights |= SHADOW_W | SHADOW_D;
    } else if (store && may_write) { /* a supervisor store with WP clear */
        bool smep = guest->forbid[NW_SUPERVISOR][NW_ACCESS_FETCH] && rights & SHADOW_U;
        rights = (rights & ~SHADOW_U) | SHADOW_W | SHADOW_D | (smep ? SHADOW_NX : 0);
    }
    return rights | (backing->hpa.v & ~offset & SHADOW_FRAME) | (level ? SHADOW_LARGE : 0) | (uint64_t)walk->pkey << 59;
}

/* A leaf was made from a guest page of this size: so that INVLPG finds all leaves of that page. */
static void note_guest_page(struct nw_shadow *sh, uint32_t page, unsigned guest_log2)
{
    for (; page && sh->page[page]->guest_log2 < guest_log2; page = sh->page[page]->parent)
        sh->page[page]->guest_log2 = (uint8_t)guest_log2;
}

static enum nw_status put_leaf(struct nw_shadow *sh, uint32_t page, uint32_t index, const struct nw_walk_result *walk,
                               uint64_t entry, struct nw_shadow_invalidation *inv, bool *changed, struct nw_error *err)
{
    unsigned log2 = entry_log2(sh->page[page]->level);
    uint64_t old = shadow_read(sh, page, index), key = leaf_key(walk->gpa, log2);
    bool same_page = shadow_is_leaf(sh, page, old) && !((old ^ entry) & SHADOW_FRAME) &&
                     sh->leaf[sh->page[page]->link[index]].key == key;
    enum nw_status s;
    *changed = !same_page || old != entry;
    note_guest_page(sh, page, walk->guest_page_log2);
    if (!*changed)
        return NW_OK;
    if (same_page) { /* only rights differ: a stale TLB entry matters when some were taken away */
        if ((old & ~entry & (SHADOW_W | SHADOW_U)) || (entry & ~old & SHADOW_NX))
            shadow_invalidation_add(inv, &sh->root[sh->page[page]->root].guest,
                                    sh->page[page]->base + ((uint64_t)index << log2), log2);
        return shadow_write(sh, page, index, entry, err);
    }
    shadow_zap(sh, page, index, inv);
    if ((s = shadow_leaf_enter(sh, page, index, key, err)))
        return s;
    if ((s = shadow_write(sh, page, index, entry, err)))
        shadow_leaf_leave(sh, page, index);
    return s;
}

bool shadow_leaf_exists(const struct nw_shadow *sh, uint64_t gva)
{
    uint32_t id = sh->root[sh->current].page;
    for (unsigned level = sh->page[id]->level;; level--) {
        uint32_t index = shadow_index(gva, level);
        uint64_t entry = shadow_read(sh, id, index);
        if (!(entry & SHADOW_P) || shadow_is_leaf(sh, id, entry))
            return (entry & SHADOW_P) && !(entry & SHADOW_SWITCH);
        id = sh->page[id]->link[index];
    }
}

enum nw_status shadow_fill(struct nw_shadow *sh, uint64_t gva, const struct nw_access *access,
                           struct software *software, const struct nw_walk_result *walk,
                           const struct nw_shadow_backing *backing, struct nw_shadow_outcome *out, struct nw_error *err)
{
    struct place at;
    unsigned level = leaf_level_of(sh, walk, backing), chosen;
    enum nw_status s;
    do { /* making tables may have put one into the page to be mapped */
        chosen = level;
        if ((s = descend(sh, gva, software, chosen, &at, &out->invalidation, err)))
            return s;
        if (at.switched) {
            out->switched = true;
            out->kind = at.made ? NW_SHADOW_FILLED : NW_SHADOW_RETRY;
            return NW_OK;
        }
        level = leaf_level_of(sh, walk, backing);
    } while (level < chosen);
    bool changed;
    uint64_t entry = leaf_entry(sh, &sh->root[sh->current].guest, access, walk, backing, chosen);
    if ((s = put_leaf(sh, at.page, shadow_index(gva, chosen), walk, entry, &out->invalidation, &changed, err)))
        return s;
    sh->counters.fills += changed;
    out->page_log2 = (uint8_t)entry_log2(chosen);
    out->kind = changed ? NW_SHADOW_FILLED : NW_SHADOW_RETRY;
    return NW_OK;
}

/* ---- in step without a fault -------------------------------------------------------------------- */

/* May the processor use a leaf made from what this walk found, and the guest see no difference? */
static bool usable(const struct software *software, const struct nw_paging *guest, const struct shadow_page *page,
                   const struct nw_walk_result *walk)
{
    if (walk->outcome != NW_WALK_OK || software->unbacked)
        return false;
    if (!shadow_guest_accessed(software, guest, 0))
        return false;
    return !page->mirrors || software->table[page->guest_level] == page->guest_table;
}

enum nw_status shadow_refresh(struct nw_shadow *sh, uint32_t id, uint32_t index, struct nw_shadow_invalidation *inv,
                              bool *made, struct nw_error *err)
{
    struct shadow_page *page = sh->page[id];
    const struct nw_paging *guest = &sh->root[page->root].guest;
    struct software software = { .sh = sh };
    struct nw_shadow_backing backing = { .ahead = true };
    struct nw_walk_result walk;
    uint64_t old = shadow_read(sh, id, index);
    *made = false;
    if (!shadow_is_leaf(sh, id, old)) /* first, because the tables below may lie in the page to be mapped */
        shadow_zap(sh, id, index, inv);
    shadow_guest_probe(&software, guest, page->base + ((uint64_t)index << entry_log2(page->level)), &walk);
    if (usable(&software, guest, page, &walk))
        sh->config.backing(sh->config.context, walk.gpa, &backing);
    if (!backing.present || leaf_level_of(sh, &walk, &backing) != page->level) {
        shadow_zap(sh, id, index, inv);
        return NW_OK;
    }
    struct nw_access read = { .kind = NW_ACCESS_READ };
    return put_leaf(sh, id, index, &walk, leaf_entry(sh, guest, &read, &walk, &backing, page->level), inv, made, err);
}
