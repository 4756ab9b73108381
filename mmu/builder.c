#include <nestwalk/mmu/builder.h>
#include <string.h>

#define LL(x) ((unsigned long long)(x))

/* ---- bits --------------------------------------------------------------------------------------- */

uint64_t nw_leaf_bits(const struct nw_paging *p, unsigned level, unsigned attributes)
{
    const struct nw_format *f = p->format;
    uint64_t bits = level ? p->leaf_bit : 0;
    bits |= attributes & NW_MAP_READ ? f->read : 0;
    bits |= attributes & NW_MAP_WRITE ? f->write : 0;
    bits |= attributes & NW_MAP_EXECUTE ? f->execute : f->no_execute & ~p->level[level].reserved_leaf;
    bits |= attributes & NW_MAP_EXECUTE_USER ? f->execute_user : 0;
    bits |= attributes & NW_MAP_USER ? f->user : 0;
    bits |= attributes & NW_MAP_GLOBAL ? f->global : 0;
    bits |= attributes & NW_MAP_ACCESSED ? f->accessed : 0;
    bits |= attributes & NW_MAP_DIRTY ? f->dirty : 0;
    return bits;
}

unsigned nw_leaf_attributes(const struct nw_paging *p, uint64_t entry)
{
    const struct nw_format *f = p->format;
    return (entry & f->read ? NW_MAP_READ : 0u) | (entry & f->write ? NW_MAP_WRITE : 0u) |
           ((f->execute ? entry & f->execute : !(entry & f->no_execute)) ? NW_MAP_EXECUTE : 0u) |
           (entry & f->execute_user ? NW_MAP_EXECUTE_USER : 0u) | (entry & f->user ? NW_MAP_USER : 0u) |
           (entry & f->global ? NW_MAP_GLOBAL : 0u) | (entry & f->accessed ? NW_MAP_ACCESSED : 0u) |
           (entry & f->dirty ? NW_MAP_DIRTY : 0u);
}

/* An entry that points to a table permits everything; leaves decide. */
static uint64_t table_bits(const struct nw_paging *p, unsigned level, unsigned attributes)
{
    const struct nw_format *f = p->format;
    if (p->level[level].grants)
        return f->present; /* a PDPTE: only P may be set */
    return f->read | f->write | f->execute | f->execute_user | f->user |
           (attributes & NW_MAP_ACCESSED ? p->level[level].accessed : 0);
}

static uint64_t leaf_entry(const struct nw_builder *b, unsigned level, uint64_t target, unsigned attributes)
{
    const struct nw_paging *p = &b->paging;
    uint64_t entry = nw_leaf_bits(p, level, attributes) | b->leaf_extra | (target & p->level[level].leaf_address);
    if (p->pse36 && level == 1)
        entry |= (target >> 32 << 13) & p->pse36;
    return entry;
}

/* ---- words of tables ---------------------------------------------------------------------------- */

static enum nw_status locate(const struct nw_builder *b, uint64_t address, hpa_t *out, struct nw_error *err)
{
    if (b->memory.locate)
        return b->memory.locate(b->memory.context, address, out, err);
    *out = nw_hpa(address);
    return NW_OK;
}

static uint64_t read_entry(const struct nw_builder *b, hpa_t hpa)
{
    uint64_t word = nw_physmem_read64(b->pm, hpa);
    return b->paging.entry_log2 == 3 ? word : (uint32_t)(word >> (hpa.v & 4 ? 32 : 0));
}

static enum nw_status write_entry(struct nw_builder *b, uint64_t address, hpa_t hpa, uint64_t entry,
                                  struct nw_error *err)
{
    hpa_t aligned = nw_hpa(hpa.v & ~UINT64_C(7));
    uint64_t old = nw_physmem_read64(b->pm, aligned), word = entry;
    if (b->paging.entry_log2 == 2) {
        unsigned shift = hpa.v & 4 ? 32 : 0;
        word = (old & ~((uint64_t)UINT32_MAX << shift)) | (entry & UINT32_MAX) << shift;
    }
    enum nw_status s = nw_physmem_write64(b->pm, aligned, word, err);
    if (!s && b->memory.written)
        b->memory.written(b->memory.context, address & ~UINT64_C(7), aligned, old, word);
    return s;
}

/* One step of the way: an entry and where it is. */
struct step {
    unsigned level;
    uint64_t table, address, entry; /* in the tree's own space */
    hpa_t hpa;
};

static enum nw_status read_step(const struct nw_builder *b, uint64_t table, unsigned level, uint64_t address,
                                struct step *out, struct nw_error *err)
{
    uint64_t offset = nw_paging_index(&b->paging, level, address) << b->paging.entry_log2;
    *out = (struct step){ .level = level, .table = table, .address = table + offset };
    enum nw_status s = locate(b, out->address, &out->hpa, err);
    if (!s)
        out->entry = read_entry(b, out->hpa);
    return s;
}

static bool way_is_kept(const struct nw_builder *b) { return !b->memory.locate || b->memory.locate_is_stable; }

static bool way_is_known(const struct nw_builder *b, uint64_t address)
{
    const struct nw_builder_way *w = &b->way;
    if (w->key != (address >> nw_level_log2(&b->paging, 1)) + 1)
        return false;
    for (unsigned level = 1; level < b->paging.levels; level++)
        if (read_entry(b, w->entry_hpa[level]) != w->entry[level])
            return false;
    return true;
}

static void way_keep(struct nw_builder *b, uint64_t address, const struct step way[NW_LEVELS_MAX])
{
    struct nw_builder_way *w = &b->way;
    if (!way_is_kept(b) || b->paging.levels < 2)
        return;
    w->key = (address >> nw_level_log2(&b->paging, 1)) + 1;
    w->table = way[0].table;
    w->table_hpa = nw_hpa(way[0].hpa.v - (way[0].address - way[0].table));
    for (unsigned level = 1; level < b->paging.levels; level++) {
        w->entry[level] = read_entry(b, way[level].hpa);
        w->entry_address[level] = way[level].address;
        w->entry_hpa[level] = way[level].hpa;
    }
}

static void way_take(const struct nw_builder *b, uint64_t address, struct step way[NW_LEVELS_MAX])
{
    const struct nw_builder_way *w = &b->way;
    const unsigned entry_log2 = b->paging.entry_log2;
    uint64_t offset = nw_paging_index(&b->paging, 0, address) << entry_log2;
    hpa_t hpa = nw_hpa(w->table_hpa.v + offset);
    way[0] = (struct step){ 0, w->table, w->table + offset, read_entry(b, hpa), hpa };
    for (unsigned level = 1; level < b->paging.levels; level++) {
        uint64_t at = nw_paging_index(&b->paging, level, address) << entry_log2;
        way[level] = (struct step){ level, w->entry_address[level] - at, w->entry_address[level], w->entry[level],
                                    w->entry_hpa[level] };
    }
}

/* Walks towards `address` and stops at a leaf, at an entry that is not present, or at `lowest`. way[i] is the entry at
 * level i; returns the level reached in *reached. */
static enum nw_status descend(const struct nw_builder *b, uint64_t address, unsigned lowest,
                              struct step way[NW_LEVELS_MAX], unsigned *reached, struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    uint64_t table = p->root;
    if (lowest == 0 && way_is_known(b, address)) {
        way_take(b, address, way);
        *reached = 0;
        return NW_OK;
    }
    for (unsigned level = p->levels - 1u;; level--) {
        enum nw_status s = read_step(b, table, level, address, &way[level], err);
        if (s)
            return s;
        *reached = level;
        if (level == lowest || !nw_entry_present(p, way[level].entry) || nw_entry_is_leaf(p, level, way[level].entry))
            return NW_OK;
        table = way[level].entry & p->table_address;
    }
}

static enum nw_status check_input(const struct nw_builder *b, uint64_t address, struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    bool fits = p->input_rule == NW_INPUT_CANONICAL ? nw_sign_extend(address, p->input_bits) == address
                                                    : !(address >> p->input_bits);
    if (!fits)
        return nw_fail(err, NW_ERR_INPUT, "%s cannot translate address 0x%llx: it takes %u bits%s", p->format->name,
                       LL(address), p->input_bits, p->input_rule == NW_INPUT_CANONICAL ? ", sign-extended" : "");
    return NW_OK;
}

static enum nw_status new_table(struct nw_builder *b, uint64_t *table, struct nw_error *err)
{
    if (!b->memory.allocate)
        return nw_fail(err, NW_ERR_NOMEM, "%s needs another table and has no frames for one", b->paging.format->name);
    enum nw_status s = b->memory.allocate(b->memory.context, table, err);
    if (s)
        return s;
    if (*table & ~b->paging.table_address)
        return nw_fail(err, NW_ERR_INPUT, "%s cannot hold a table at 0x%llx: address field 0x%llx",
                       b->paging.format->name, LL(*table), LL(b->paging.table_address));
    b->table_pages++;
    return NW_OK;
}

static enum nw_status release_table(struct nw_builder *b, uint64_t table, struct nw_error *err)
{
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) { /* `allocate` promises zeroed frames: give zeroed ones back */
        hpa_t hpa;
        enum nw_status s = locate(b, table + i * 8u, &hpa, err);
        if (s)
            return s;
        uint64_t *word = nw_physmem_find(b->pm, hpa);
        if (word)
            *word = 0;
    }
    b->table_pages--;
    if (b->memory.release)
        b->memory.release(b->memory.context, table);
    return NW_OK;
}

/* ---- life cycle --------------------------------------------------------------------------------- */

static enum nw_status frames_allocate(void *context, uint64_t *address, struct nw_error *err)
{
    uint64_t pfn;
    enum nw_status s = nw_frames_alloc(context, NW_PAGE_LOG2, &pfn, err);
    if (!s)
        *address = pfn << NW_PAGE_LOG2;
    return s;
}

static void frames_release(void *context, uint64_t address)
{
    /* When the free list cannot grow, the frame is merely not used again. */
    if (nw_frames_free(context, NW_PAGE_LOG2, address >> NW_PAGE_LOG2, NULL))
        return;
}

struct nw_builder_memory nw_builder_memory_frames(struct nw_frames *frames)
{
    return (struct nw_builder_memory){ .allocate = frames_allocate, .release = frames_release, .context = frames };
}

enum nw_status nw_builder_init(struct nw_builder *b, struct nw_physmem *pm, const struct nw_paging *paging,
                               const struct nw_builder_memory *memory, struct nw_error *err)
{
    *b = (struct nw_builder){ .pm = pm, .paging = *paging, .memory = *memory };
    if (!paging->levels)
        return nw_fail(err, NW_ERR_USAGE, "%s has no tables to build", paging->format->name);
    if (paging->fault_rule == NW_FAULT_EPT)
        b->leaf_extra = UINT64_C(6) << 3; /* write-back */
    b->table_pages = 1;
    if (paging->root != NW_ROOT_NEW)
        return NW_OK;
    b->table_pages = 0;
    return new_table(b, &b->paging.root, err);
}

/* ---- mapping ------------------------------------------------------------------------------------ */

enum nw_status nw_builder_map(struct nw_builder *b, uint64_t address, uint64_t target, unsigned page_log2,
                              unsigned attributes, struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    int leaf_level = nw_paging_level_of(p, page_log2);
    if (leaf_level < 0)
        return nw_fail(err, NW_ERR_INPUT, "%s has no pages of 2^%u bytes in this mode", p->format->name, page_log2);
    enum nw_status s = check_input(b, address, err);
    if (s)
        return s;
    if ((address | target) & (NW_BIT(page_log2) - 1))
        return nw_fail(err, NW_ERR_INPUT, "mapping 0x%llx to 0x%llx is not aligned to its page of 2^%u bytes",
                       LL(address), LL(target), page_log2);
    unsigned level = (unsigned)leaf_level, reached;
    uint64_t entry = leaf_entry(b, level, target, attributes);
    if (nw_entry_page(p, level, entry) != target)
        return nw_fail(err, NW_ERR_INPUT, "%s cannot map to 0x%llx with MAXPHYADDR %u", p->format->name, LL(target),
                       p->maxphyaddr);
    struct step way[NW_LEVELS_MAX];
    if ((s = descend(b, address, level, way, &reached, err)))
        return s;
    while (reached > level) {
        if (nw_entry_present(p, way[reached].entry))
            return nw_fail(err, NW_ERR_INPUT, "0x%llx is mapped by a larger page already (%s entry 0x%llx)",
                           LL(address), p->format->level[reached].table, LL(way[reached].entry));
        uint64_t table;
        if ((s = new_table(b, &table, err)))
            return s;
        if ((s = write_entry(b, way[reached].address, way[reached].hpa, table | table_bits(p, reached, attributes),
                             err)))
            return s;
        reached--;
        if ((s = read_step(b, table, reached, address, &way[reached], err)))
            return s;
    }
    if (nw_entry_present(p, way[level].entry) && !nw_entry_is_leaf(p, level, way[level].entry))
        return nw_fail(err, NW_ERR_INPUT, "0x%llx has a table of smaller pages (%s entry 0x%llx)", LL(address),
                       p->format->level[level].table, LL(way[level].entry));
    if (level == 0 && !way_is_known(b, address))
        way_keep(b, address, way);
    return write_entry(b, way[level].address, way[level].hpa, entry, err);
}

enum nw_status nw_builder_map_range(struct nw_builder *b, uint64_t address, uint64_t target, uint64_t bytes,
                                    unsigned max_page_log2, unsigned attributes, struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    while (bytes) {
        unsigned page_log2 = NW_PAGE_LOG2;
        for (unsigned level = p->levels; level-- > 0;) {
            unsigned log2 = nw_level_log2(p, level);
            if (log2 <= max_page_log2 && nw_paging_level_of(p, log2) >= 0 && bytes >> log2 &&
                !((address | target) & (NW_BIT(log2) - 1))) {
                page_log2 = log2;
                break;
            }
        }
        enum nw_status s = nw_builder_map(b, address, target, page_log2, attributes, err);
        if (s)
            return s;
        uint64_t step = NW_BIT(page_log2);
        if (bytes < step)
            break;
        address += step;
        target += step;
        bytes -= step;
    }
    return NW_OK;
}

/* ---- finding and changing leaves ---------------------------------------------------------------- */

enum nw_status nw_builder_lookup(const struct nw_builder *b, uint64_t address, struct nw_leaf *out,
                                 struct nw_error *err)
{
    struct step way[NW_LEVELS_MAX];
    unsigned level;
    enum nw_status s = check_input(b, address, err);
    if (s || (s = descend(b, address, 0, way, &level, err)))
        return s;
    const struct nw_paging *p = &b->paging;
    unsigned page_log2 = nw_level_log2(p, level);
    bool present = nw_entry_present(p, way[level].entry);
    *out = (struct nw_leaf){ .present = present,
                             .level = (uint8_t)level,
                             .page_log2 = (uint8_t)page_log2,
                             .entry = way[level].entry,
                             .entry_address = way[level].address,
                             .entry_hpa = way[level].hpa };
    if (present)
        out->target = nw_entry_page(p, level, out->entry) | (address & (NW_BIT(page_log2) - 1));
    return NW_OK;
}

/* The way to the leaf that covers `address`. */
static enum nw_status find_leaf(const struct nw_builder *b, uint64_t address, struct step way[NW_LEVELS_MAX],
                                unsigned *level, struct nw_error *err)
{
    enum nw_status s = check_input(b, address, err);
    if (s || (s = descend(b, address, 0, way, level, err)))
        return s;
    if (!nw_entry_present(&b->paging, way[*level].entry))
        return nw_fail(err, NW_ERR_INPUT, "0x%llx is not mapped (%s entry 0x%llx at 0x%llx)", LL(address),
                       b->paging.format->level[*level].table, LL(way[*level].entry), LL(way[*level].address));
    return NW_OK;
}

static enum nw_status table_is_empty(const struct nw_builder *b, uint64_t table, bool *empty, struct nw_error *err)
{
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        hpa_t hpa;
        enum nw_status s = locate(b, table + i * 8u, &hpa, err);
        if (s)
            return s;
        if (nw_physmem_read64(b->pm, hpa)) {
            *empty = false;
            return NW_OK;
        }
    }
    *empty = true;
    return NW_OK;
}

enum nw_status nw_builder_unmap(struct nw_builder *b, uint64_t address, struct nw_error *err)
{
    struct step way[NW_LEVELS_MAX];
    unsigned level;
    enum nw_status s = find_leaf(b, address, way, &level, err);
    if (s || (s = write_entry(b, way[level].address, way[level].hpa, 0, err)))
        return s;
    if (!b->free_empty_tables || !b->memory.release)
        return NW_OK;
    for (; level + 1u < b->paging.levels; level++) {
        bool empty;
        if ((s = table_is_empty(b, way[level].table, &empty, err)))
            return s;
        if (!empty)
            break;
        if ((s = write_entry(b, way[level + 1].address, way[level + 1].hpa, 0, err)) ||
            (s = release_table(b, way[level].table, err)))
            return s;
    }
    return NW_OK;
}

enum nw_status nw_builder_protect(struct nw_builder *b, uint64_t address, unsigned attributes, struct nw_error *err)
{
    struct step way[NW_LEVELS_MAX];
    unsigned level;
    enum nw_status s = find_leaf(b, address, way, &level, err);
    if (s)
        return s;
    const struct nw_format *f = b->paging.format;
    uint64_t rights = f->read | f->write | f->execute | f->execute_user | f->no_execute | f->user | f->global;
    uint64_t entry = (way[level].entry & ~rights) | nw_leaf_bits(&b->paging, level, attributes);
    return write_entry(b, way[level].address, way[level].hpa, entry, err);
}

/* Bit 12 of an x86 large leaf is PAT, which is bit 7 of a 4 KiB leaf; likewise in VT-d's first stage. Formats without
 * U/S have no PAT. */
static uint64_t move_pat(const struct nw_paging *p, uint64_t entry, unsigned from, unsigned to)
{
    if (!p->format->user || (from == 0) == (to == 0))
        return entry;
    bool pat = entry & NW_BIT(from ? 12 : 7);
    entry &= ~(NW_BIT(from ? 12 : 7));
    return pat ? entry | NW_BIT(to ? 12 : 7) : entry;
}

enum nw_status nw_builder_split(struct nw_builder *b, uint64_t address, struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    struct step way[NW_LEVELS_MAX];
    unsigned level;
    enum nw_status s = find_leaf(b, address, way, &level, err);
    if (s)
        return s;
    if (!level)
        return nw_fail(err, NW_ERR_INPUT, "0x%llx is mapped by a base page, which cannot be split", LL(address));
    uint64_t leaf = way[level].entry, target = nw_entry_page(p, level, leaf), table;
    if (target & ~nw_mask(p->maxphyaddr - 1u, 0) || (p->entry_log2 == 2 && target >> 32))
        return nw_fail(err, NW_ERR_INPUT, "the page at 0x%llx lies too high for smaller entries", LL(target));
    uint64_t flags = leaf & ~p->level[level].leaf_address & ~p->pse36;
    if ((s = new_table(b, &table, err)))
        return s;
    unsigned below = level - 1, log2 = nw_level_log2(p, below);
    flags = move_pat(p, below ? flags : flags & ~p->leaf_bit, level, below);
    for (uint64_t i = 0; i < NW_BIT(p->level[below].index_bits); i++) {
        hpa_t hpa;
        uint64_t at = table + (i << p->entry_log2);
        if ((s = locate(b, at, &hpa, err)) || (s = write_entry(b, at, hpa, flags | (target + (i << log2)), err)))
            return s;
    }
    unsigned accessed = leaf & p->format->accessed ? NW_MAP_ACCESSED : 0;
    return write_entry(b, way[level].address, way[level].hpa, table | table_bits(p, level, accessed), err);
}

enum nw_status nw_builder_merge(struct nw_builder *b, uint64_t address, unsigned page_log2, bool *merged,
                                struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    struct step way[NW_LEVELS_MAX];
    unsigned reached;
    int small = nw_paging_level_of(p, page_log2);
    *merged = false;
    if (small < 0 || small + 1 >= p->levels || !p->level[small + 1].leaf_select)
        return nw_fail(err, NW_ERR_INPUT, "%s cannot merge pages of 2^%u bytes", p->format->name, page_log2);
    unsigned level = (unsigned)small, above = level + 1;
    enum nw_status s = check_input(b, address, err);
    if (s || (s = descend(b, address, level, way, &reached, err)))
        return s;
    if (reached != level)
        return NW_OK;
    uint64_t table = way[level].table, ad = p->format->accessed | p->format->dirty, first = 0, seen = 0;
    for (uint64_t i = 0; i < NW_BIT(p->level[level].index_bits); i++) {
        hpa_t hpa;
        if ((s = locate(b, table + (i << p->entry_log2), &hpa, err)))
            return s;
        uint64_t entry = read_entry(b, hpa), step = i << page_log2;
        if (!i)
            first = entry;
        uint64_t page = nw_entry_page(p, level, entry), base = nw_entry_page(p, level, first);
        bool fits = nw_entry_present(p, entry) && nw_entry_is_leaf(p, level, entry) && page == base + step &&
                    !(base & (NW_BIT(nw_level_log2(p, above)) - 1)) &&
                    !(((entry & ~p->level[level].leaf_address) ^ (first & ~p->level[level].leaf_address)) & ~ad);
        if (!fits)
            return NW_OK;
        seen |= entry & ad;
    }
    uint64_t flags = move_pat(p, first & ~p->level[level].leaf_address, level, above) | p->leaf_bit | seen;
    if ((s = write_entry(b, way[above].address, way[above].hpa, flags | nw_entry_page(p, level, first), err)))
        return s;
    *merged = true;
    return release_table(b, table, err);
}

enum nw_status nw_builder_pdptes(const struct nw_builder *b, uint64_t pdpte[4], struct nw_error *err)
{
    if (b->paging.format->id != NW_FORMAT_X86_PAE)
        return nw_fail(err, NW_ERR_USAGE, "%s has no PDPTE registers", b->paging.format->name);
    for (unsigned i = 0; i < 4; i++) {
        hpa_t hpa;
        enum nw_status s = locate(b, b->paging.root + i * 8u, &hpa, err);
        if (s)
            return s;
        pdpte[i] = nw_physmem_read64(b->pm, hpa);
    }
    return NW_OK;
}

/* ---- visiting ----------------------------------------------------------------------------------- */

enum nw_status nw_builder_visit(const struct nw_builder *b,
                                bool (*visit)(void *context, const struct nw_leaf *entry, bool leaf,
                                              uint64_t first_address),
                                void *context, struct nw_error *err)
{
    const struct nw_paging *p = &b->paging;
    struct {
        uint64_t table, first, next;
    } at[NW_LEVELS_MAX] = { 0 };
    unsigned level = p->levels - 1u;
    at[level].table = p->root;
    for (;;) {
        if (at[level].next >> p->level[level].index_bits) {
            if (++level == p->levels)
                return NW_OK;
            continue;
        }
        uint64_t index = at[level].next++;
        struct nw_leaf found = { .level = (uint8_t)level,
                                 .page_log2 = (uint8_t)nw_level_log2(p, level),
                                 .present = true };
        found.entry_address = at[level].table + (index << p->entry_log2);
        enum nw_status s = locate(b, found.entry_address, &found.entry_hpa, err);
        if (s)
            return s;
        found.entry = read_entry(b, found.entry_hpa);
        if (!nw_entry_present(p, found.entry))
            continue;
        uint64_t first = at[level].first | index << found.page_log2;
        bool leaf = nw_entry_is_leaf(p, level, found.entry);
        found.target = leaf ? nw_entry_page(p, level, found.entry) : found.entry & p->table_address;
        bool canonical = p->input_rule == NW_INPUT_CANONICAL;
        if (!visit(context, &found, leaf, canonical ? nw_sign_extend(first, p->input_bits) : first))
            return NW_OK;
        if (!leaf) {
            level--;
            at[level].table = found.target;
            at[level].first = first;
            at[level].next = 0;
        }
    }
}
