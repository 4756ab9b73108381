#include "shadow_internal.h"
#include <nestwalk/mmu/walk_template.h>
#include <stdlib.h>
#include <string.h>

/* Bits of a shadow entry: the x86 long-mode format. A is preset everywhere and D in writable leaves, so that the
 * processor never has to set one: D of the guest is tracked by write protection. G is never set: a flush of one address
 * space must reach every entry. */
static const uint64_t P = 1u << 0, W = 1u << 1, U = 1u << 2, A = 1u << 5, D = 1u << 6, LARGE = 1u << 7,
                      NX = UINT64_C(1) << 63, FRAME = UINT64_C(0x000ffffffffff000);

enum nw_status nw_shadow_create(struct nw_shadow **out, const struct nw_shadow_config *config, struct nw_error *err)
{
    *out = NULL;
    struct nw_shadow *sh = calloc(1, sizeof *sh);
    if (!sh)
        return nw_fail_nomem(err, "the shadow pager");
    sh->config = *config;
    *out = sh;
    return NW_OK;
}

void nw_shadow_destroy(struct nw_shadow *sh)
{
    if (!sh)
        return;
    for (uint32_t i = 0; i < NW_SHADOW_ROOTS; i++)
        if (sh->root[i].used)
            shadow_root_drop(sh, i);
    shadow_pools_fini(sh);
    free(sh);
}

const struct nw_paging *nw_shadow_paging(const struct nw_shadow *sh) { return &sh->root[sh->current].paging; }
const struct nw_shadow_counters *nw_shadow_counters(const struct nw_shadow *sh) { return &sh->counters; }
bool nw_shadow_is_table(const struct nw_shadow *sh, gpa_t gpa)
{
    return shadow_page_of(sh, gpa.v >> NW_PAGE_LOG2, NONE) != NONE;
}

/* ---- the guest's tables, walked in software ----------------------------------------------------- */

struct software {
    struct nw_shadow *sh;
    bool unbacked; /* a table page has no host page: `missing` */
    gpa_t missing;
    uint64_t table[NW_LEVELS_MAX]; /* GPA of the guest table used at each level */
    bool used[NW_LEVELS_MAX];
    uint64_t leaf; /* the last entry read */
};

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
    s->leaf = r->entry;
}

static const struct nw_walk_hooks software_hooks = {
    .load = software_load,
    .update = software_update,
    .reference = software_reference,
};

static void walk_guest(struct software *s, const struct nw_paging *guest, gva_t gva, const struct nw_access *access,
                       struct nw_walk_result *out)
{
    nw_walk_run(&software_hooks, s, guest, NULL, gva, access, out);
    for (unsigned level = 0; level < guest->levels; level++) /* entry -> table */
        if (s->used[level])
            s->table[level] -= nw_paging_index(guest, level, gva.v) << guest->entry_log2;
}

/* ---- roots -------------------------------------------------------------------------------------- */

static bool same_space(const struct nw_paging *a, const struct nw_paging *b)
{
    return a->format == b->format && a->root == b->root && a->write_protect == b->write_protect &&
           a->global == b->global && a->pku == b->pku && a->pks == b->pks && a->fetch_reported == b->fetch_reported &&
           a->root_in_registers == b->root_in_registers && !memcmp(a->pdpte, b->pdpte, sizeof a->pdpte) &&
           !memcmp(a->need, b->need, sizeof a->need) && !memcmp(a->forbid, b->forbid, sizeof a->forbid);
}

/* What the processor is given: a long-mode tree, with the guest's SMEP, SMAP and protection keys. */
static enum nw_status processor_paging(const struct nw_shadow *sh, const struct nw_paging *guest, struct nw_paging *out,
                                       struct nw_error *err)
{
    struct nw_guest_registers r = nw_guest_registers_long(guest->levels == 5 ? 5 : 4, 0);
    r.maxphyaddr = sh->config.maxphyaddr;
    enum nw_status s = nw_paging_init_guest(out, &r, err);
    if (s)
        return s;
    memcpy(out->forbid, guest->forbid, sizeof out->forbid);
    out->input_bits = guest->input_bits;
    out->input_rule = guest->input_rule;
    out->pku = guest->pku;
    out->pks = guest->pks;
    out->pkru = guest->pkru;
    out->pkrs = guest->pkrs;
    out->global = 0;
    return NW_OK;
}

/* Native PAE reads the PDPTEs when CR3 is loaded (SDM vol. 3, "PDPTE Registers"), so that is when they are read
 * here. */
static enum nw_status load_pdptes(struct nw_shadow *sh, struct nw_paging *guest, struct nw_error *err)
{
    struct software software = { .sh = sh };
    if (guest->format->id != NW_FORMAT_X86_PAE || guest->root_in_registers)
        return NW_OK;
    for (unsigned i = 0; i < 4; i++)
        guest->pdpte[i] = software_load(&software, nw_hpa(guest->root + i * 8u));
    if (software.unbacked)
        return nw_fail(err, NW_ERR_INPUT, "the page of PDPTEs at GPA 0x%llx has no memory behind it",
                       (unsigned long long)guest->root);
    guest->root_in_registers = true;
    return NW_OK;
}

static uint32_t root_slot(struct nw_shadow *sh)
{
    uint32_t oldest = NW_SHADOW_ROOTS;
    for (uint32_t i = 0; i < NW_SHADOW_ROOTS; i++) {
        if (!sh->root[i].used)
            return i;
        if (i != sh->current && (oldest == NW_SHADOW_ROOTS || sh->root[i].loaded < sh->root[oldest].loaded))
            oldest = i;
    }
    shadow_root_drop(sh, oldest);
    return oldest;
}

enum nw_status nw_shadow_load_cr3(struct nw_shadow *sh, const struct nw_paging *guest, struct nw_error *err)
{
    struct nw_paging space = *guest, paging;
    enum nw_status s = load_pdptes(sh, &space, err);
    if (s)
        return s;
    for (uint32_t i = 0; i < NW_SHADOW_ROOTS; i++) {
        struct shadow_root *root = &sh->root[i];
        if (!root->used || !same_space(&root->guest, &space))
            continue;
        if (i != sh->current)
            sh->counters.syncs++;
        root->guest.pkru = root->paging.pkru = guest->pkru;
        root->guest.pkrs = root->paging.pkrs = guest->pkrs;
        root->loaded = ++sh->loads;
        sh->current = i;
        return NW_OK;
    }
    if ((s = processor_paging(sh, &space, &paging, err)))
        return s;
    uint32_t page, slot = root_slot(sh);
    if ((s = shadow_page_new(sh, &page, err)))
        return s;
    struct shadow_page *p = sh->page[page];
    p->level = (uint8_t)(paging.levels - 1);
    p->root = slot;
    paging.root = p->hpa;
    sh->root[slot] =
        (struct shadow_root){ .used = true, .guest = space, .paging = paging, .page = page, .loaded = ++sh->loads };
    sh->counters.roots++;
    sh->current = slot;
    sh->loaded = true;
    return NW_OK;
}

/* ---- write protection --------------------------------------------------------------------------- */

/* A guest page becomes a shadowed table: small leaves that map it lose W, larger ones go. */
static enum nw_status protect(struct nw_shadow *sh, gpa_t gpa, struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    for (uint32_t node = shadow_leaf_of(sh, leaf_key(gpa, NW_PAGE_LOG2), NONE); node;
         node = shadow_leaf_of(sh, leaf_key(gpa, NW_PAGE_LOG2), node)) {
        uint32_t page = sh->leaf[node].page, index = sh->leaf[node].index;
        uint64_t entry = shadow_read(sh, page, index);
        if (!(entry & W))
            continue;
        enum nw_status s = shadow_write(sh, page, index, entry & ~(W | D), err);
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

static uint64_t shadow_index(uint64_t gva, unsigned level) { return gva >> entry_log2(level) & 511; }

/* The page that holds the entry for gva at `leaf_level`, with the tables on the way to it. */
static enum nw_status descend(struct nw_shadow *sh, uint64_t gva, const struct software *software, unsigned leaf_level,
                              uint32_t *out, struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    struct shadow_root *root = &sh->root[sh->current];
    enum nw_status s;
    uint32_t id = root->page;
    if (!root->registered) {
        if ((s = mirror(sh, &root->guest, software, id, inv, err)))
            return s;
        root->registered = true;
    }
    for (unsigned level = root->paging.levels - 1u; level > leaf_level; level--) {
        uint32_t index = (uint32_t)shadow_index(gva, level), child;
        uint64_t entry = shadow_read(sh, id, index);
        sh->page[id]->writes = 0;
        if ((entry & P) && (entry & LARGE))
            shadow_zap(sh, id, index, inv);
        if (!(shadow_read(sh, id, index) & P)) {
            if ((s = shadow_page_new(sh, &child, err)))
                return s;
            struct shadow_page *page = sh->page[child];
            page->level = (uint8_t)(level - 1);
            page->base = gva >> entry_log2(level) << entry_log2(level);
            page->root = sh->current;
            page->parent = id;
            page->parent_index = index;
            if ((s = mirror(sh, &root->guest, software, child, inv, err)) ||
                (s = shadow_write(sh, id, index, page->hpa | P | W | U | A, err))) {
                shadow_page_free(sh, child);
                return s;
            }
            sh->page[id]->link[index] = child;
        }
        id = sh->page[id]->link[index];
    }
    sh->page[id]->writes = 0;
    *out = id;
    return NW_OK;
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
    uint64_t offset = NW_BIT(entry_log2(level)) - 1, rights = P | A;
    bool shadowed = nw_shadow_is_table(sh, walk->gpa),
         store = access->kind == NW_ACCESS_WRITE || access->kind == NW_ACCESS_RMW;
    bool may_write = (walk->rights & NW_RIGHT_DIRTY) && backing->writable && !shadowed;
    rights |= walk->rights & NW_RIGHT_USER ? U : 0;
    rights |= walk->rights & NW_RIGHT_EXECUTE ? 0 : NX;
    if ((walk->rights & NW_RIGHT_WRITE) && may_write) {
        rights |= W | D;
    } else if (store && may_write) { /* a supervisor store with WP clear */
        bool smep = guest->forbid[NW_SUPERVISOR][NW_ACCESS_FETCH] && rights & U;
        rights = (rights & ~U) | W | D | (smep ? NX : 0);
    }
    return rights | (backing->hpa.v & ~offset & FRAME) | (level ? LARGE : 0) | (uint64_t)walk->pkey << 59;
}

static enum nw_status put_leaf(struct nw_shadow *sh, uint32_t page, uint64_t gva, gpa_t gpa, uint64_t entry,
                               struct nw_shadow_invalidation *inv, bool *changed, struct nw_error *err)
{
    unsigned level = sh->page[page]->level;
    uint32_t index = (uint32_t)shadow_index(gva, level);
    uint64_t old = shadow_read(sh, page, index);
    *changed = old != entry;
    if (!*changed)
        return NW_OK;
    enum nw_status s;
    bool same_page = (old & P) && (!level || (old & LARGE)) && !((old ^ entry) & FRAME);
    if (same_page) { /* only rights differ: a stale TLB entry matters when some were taken away */
        if ((old & ~entry & (W | U)) || (entry & ~old & NX))
            shadow_invalidation_add(inv, &sh->root[sh->current].guest, gva >> entry_log2(level) << entry_log2(level),
                                    entry_log2(level));
        s = shadow_write(sh, page, index, entry, err);
    } else {
        shadow_zap(sh, page, index, inv);
        if ((s = shadow_leaf_enter(sh, page, index, leaf_key(gpa, entry_log2(level)), err)))
            return s;
        if ((s = shadow_write(sh, page, index, entry, err)))
            shadow_leaf_leave(sh, page, index);
    }
    if (!s)
        sh->counters.fills++;
    return s;
}

static bool leaf_exists(const struct nw_shadow *sh, uint64_t gva)
{
    uint32_t id = sh->root[sh->current].page;
    for (unsigned level = sh->page[id]->level;; level--) {
        uint32_t index = (uint32_t)shadow_index(gva, level);
        uint64_t entry = shadow_read(sh, id, index);
        if (!(entry & P) || !level || (entry & LARGE))
            return entry & P;
        id = sh->page[id]->link[index];
    }
}

enum nw_status nw_shadow_fault(struct nw_shadow *sh, gva_t address, const struct nw_access *access,
                               struct nw_shadow_outcome *out, struct nw_error *err)
{
    memset(out, 0, sizeof *out);
    if (!sh->loaded)
        return nw_fail(err, NW_ERR_USAGE, "the shadow pager has no address space yet");
    struct software software = { .sh = sh };
    const struct shadow_root *root = &sh->root[sh->current];
    const struct nw_paging *guest = &root->guest;
    uint64_t gva = guest->input_bits < 64 ? address.v & (NW_BIT(guest->input_bits) - 1) : address.v;
    sh->counters.faults++;
    walk_guest(&software, guest, address, access, &out->guest);
    if (software.unbacked) {
        out->kind = NW_SHADOW_NO_BACKING;
        out->gpa = software.missing;
        return NW_OK;
    }
    if (out->guest.outcome != NW_WALK_OK) {
        sh->counters.guest_faults++;
        out->kind = NW_SHADOW_GUEST_FAULT;
        return NW_OK;
    }
    bool store = access->kind == NW_ACCESS_WRITE || access->kind == NW_ACCESS_RMW;
    struct nw_shadow_backing backing = { 0 };
    out->gpa = out->guest.gpa;
    sh->config.backing(sh->config.context, out->gpa, &backing);
    if (!backing.present || (store && !backing.writable)) {
        out->kind = NW_SHADOW_NO_BACKING;
        return NW_OK;
    }
    if (store && guest->levels && !(software.leaf & guest->dirty) && leaf_exists(sh, gva))
        sh->counters.dirty_traps++;

    uint32_t page;
    unsigned level = leaf_level_of(sh, &out->guest, &backing), chosen;
    enum nw_status s;
    do { /* making tables may have put one into the page to be mapped */
        chosen = level;
        if ((s = descend(sh, gva, &software, chosen, &page, &out->invalidation, err)))
            return s;
        level = leaf_level_of(sh, &out->guest, &backing);
    } while (level < chosen);
    bool changed;
    uint64_t entry = leaf_entry(sh, guest, access, &out->guest, &backing, chosen);
    if ((s = put_leaf(sh, page, gva, out->gpa, entry, &out->invalidation, &changed, err)))
        return s;
    out->page_log2 = (uint8_t)entry_log2(chosen);
    out->kind = store && nw_shadow_is_table(sh, out->gpa) ? NW_SHADOW_TABLE_WRITE
                : changed                                 ? NW_SHADOW_FILLED
                                                          : NW_SHADOW_RETRY;
    return NW_OK;
}

/* ---- what the guest and the VMM change ---------------------------------------------------------- */

/* Takes a whole shadow table away. False: it is the root in use. */
static bool drop(struct nw_shadow *sh, uint32_t id, struct nw_shadow_invalidation *inv)
{
    struct shadow_page *page = sh->page[id];
    if (page->parent) {
        shadow_zap(sh, page->parent, page->parent_index, inv);
        return true;
    }
    if (page->root == sh->current)
        return false;
    inv->kind = NW_SHADOW_ALL;
    shadow_root_drop(sh, page->root);
    return true;
}

/* Zaps what this shadow table made from the guest's entries first..last. */
static void zap_written(struct nw_shadow *sh, uint32_t id, uint64_t first, uint64_t last,
                        struct nw_shadow_invalidation *inv)
{
    const struct shadow_page *page = sh->page[id];
    const struct nw_paging *guest = &sh->root[page->root].guest;
    unsigned guest_log2 = guest->level[page->guest_level].index_low, log2 = entry_log2(page->level);
    uint64_t from = page->guest_base + (first << guest_log2), to = page->guest_base + ((last + 1) << guest_log2) - 1;
    uint64_t end = page->base + (NW_BIT(page_bytes_log2(page->level)) - 1);
    from = from < page->base ? page->base : from;
    to = to > end ? end : to;
    if (from > to)
        return;
    for (uint64_t index = (from - page->base) >> log2; index <= (to - page->base) >> log2; index++)
        shadow_zap(sh, id, (uint32_t)index, inv);
}

enum nw_status nw_shadow_table_write(struct nw_shadow *sh, gpa_t gpa, unsigned bytes,
                                     struct nw_shadow_invalidation *out, struct nw_error *err)
{
    *out = (struct nw_shadow_invalidation){ NW_SHADOW_NOTHING, 0, 0 };
    uint64_t pfn = gpa.v >> NW_PAGE_LOG2, offset = gpa.v & (NW_PAGE_BYTES - 1);
    if (!bytes || offset + bytes > NW_PAGE_BYTES)
        return nw_fail(err, NW_ERR_INPUT, "a table write of %u bytes at GPA 0x%llx leaves its page", bytes,
                       (unsigned long long)gpa.v);
    if (!shadow_page_of(sh, pfn, NONE))
        return NW_OK;
    sh->counters.table_writes++;
    sh->writes++;
    for (uint32_t id = shadow_page_of(sh, pfn, NONE); id;) {
        struct shadow_page *page = sh->page[id];
        if (page->visited == sh->writes) {
            id = shadow_page_of(sh, pfn, id);
            continue;
        }
        page->visited = sh->writes;
        const struct nw_paging *guest = &sh->root[page->root].guest;
        uint64_t start = page->guest_table & (NW_PAGE_BYTES - 1);
        uint64_t size = NW_BIT(guest->level[page->guest_level].index_bits) << guest->entry_log2;
        uint64_t first = offset < start ? start : offset, last = offset + bytes - 1;
        last = last >= start + size ? start + size - 1 : last;
        if (first <= last && !(++page->writes >= NW_SHADOW_FLOOD && drop(sh, id, out)))
            zap_written(sh, id, (first - start) >> guest->entry_log2, (last - start) >> guest->entry_log2, out);
        id = shadow_page_of(sh, pfn, NONE); /* the chain may have changed: begin again, past those visited */
    }
    return NW_OK;
}

void nw_shadow_invlpg(struct nw_shadow *sh, gva_t gva, struct nw_shadow_invalidation *out)
{
    (void)sh;
    uint64_t first = gva.v & ~(NW_PAGE_BYTES - 1);
    *out = (struct nw_shadow_invalidation){ NW_SHADOW_RANGE, first, first + NW_PAGE_BYTES - 1 };
}

enum nw_status nw_shadow_unmap_gpa(struct nw_shadow *sh, gpa_t gpa, uint64_t bytes, struct nw_shadow_invalidation *out,
                                   struct nw_error *err)
{
    static const uint8_t sizes[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };
    *out = (struct nw_shadow_invalidation){ NW_SHADOW_NOTHING, 0, 0 };
    if (!bytes || gpa.v + bytes < gpa.v)
        return nw_fail(err, NW_ERR_INPUT, "0x%llx bytes at GPA 0x%llx are no range", (unsigned long long)bytes,
                       (unsigned long long)gpa.v);
    for (size_t i = 0; i < NW_ARRAY_LEN(sizes); i++)
        for (uint64_t page = gpa.v >> sizes[i]; page <= (gpa.v + bytes - 1) >> sizes[i]; page++)
            for (uint32_t node; (node = shadow_leaf_of(sh, page << 6 | sizes[i], NONE)) != NONE;)
                shadow_zap(sh, sh->leaf[node].page, sh->leaf[node].index, out);
    return NW_OK;
}
