#include "shadow_internal.h"
#include <stdlib.h>
#include <string.h>

enum nw_status nw_shadow_create(struct nw_shadow **out, const struct nw_shadow_config *config, struct nw_error *err)
{
    *out = NULL;
    struct nw_shadow *sh = calloc(1, sizeof *sh);
    if (!sh)
        return nw_fail_nomem(err, "the shadow pager");
    sh->config = *config;
    if (!sh->config.agile_writes)
        sh->config.agile_writes = NW_SHADOW_AGILE_WRITES;
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
    shadow_guest_pdptes(&software, guest->root, guest->pdpte);
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

/* The virtual TLB's only tree: everything in it goes, and it serves another address space from now on. */
static enum nw_status empty(struct nw_shadow *sh, const struct nw_paging *guest, struct nw_error *err)
{
    struct shadow_root *root = &sh->root[sh->current];
    struct nw_shadow_invalidation all = { .kind = NW_SHADOW_ALL };
    struct nw_paging paging;
    enum nw_status s = processor_paging(sh, guest, &paging, err);
    if (s)
        return s;
    sh->counters.emptied++;
    sh->counters.emptied_entries += sh->counters.leaves;
    for (uint32_t i = 0; i < NW_WORDS_PER_PAGE; i++)
        shadow_zap(sh, root->page, i, &all);
    sh->page[root->page]->level = (uint8_t)(paging.levels - 1);
    sh->page[root->page]->guest_log2 = 0;
    paging.root = root->paging.root;
    root->guest = *guest;
    root->paging = paging;
    root->loaded = ++sh->loads;
    return NW_OK;
}

enum nw_status nw_shadow_load_cr3(struct nw_shadow *sh, const struct nw_paging *guest, struct nw_error *err)
{
    struct nw_paging space = *guest, paging;
    enum nw_status s = load_pdptes(sh, &space, err);
    if (s)
        return s;
    if (sh->config.policy == NW_SHADOW_VIRTUAL_TLB && sh->loaded)
        return empty(sh, &space, err);
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
    sh->counters.roots_made++;
    sh->current = slot;
    sh->loaded = true;
    return shadow_agile_start(sh, slot, err);
}

static uint64_t truncated(const struct nw_paging *guest, gva_t gva)
{
    return guest->input_bits < 64 ? gva.v & (NW_BIT(guest->input_bits) - 1) : gva.v;
}

static unsigned leaf_level(const struct software *software)
{
    unsigned level = 0;
    while (level + 1 < NW_LEVELS_MAX && !software->used[level])
        level++;
    return level;
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
    uint64_t gva = truncated(guest, address);
    sh->counters.faults++;
    shadow_guest_walk(&software, guest, address, access, &out->guest);
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
    if (store && guest->levels && !(software.entry[leaf_level(&software)] & guest->dirty) &&
        shadow_leaf_exists(sh, gva))
        sh->counters.dirty_traps++;

    enum nw_status s = shadow_fill(sh, gva, access, &software, &out->guest, &backing, out, err);
    if (!s && store && !out->switched && nw_shadow_is_table(sh, out->gpa))
        out->kind = NW_SHADOW_TABLE_WRITE;
    return s;
}

/* ---- what the guest and the VMM change ---------------------------------------------------------- */

/* The table's entry for gva goes when it maps a guest page that holds gva; false: it leads to a table of smaller ones. */
static bool forget_entry(struct nw_shadow *sh, uint32_t id, uint32_t index, struct nw_shadow_invalidation *inv)
{
    uint64_t entry = shadow_read(sh, id, index);
    if (!(entry & SHADOW_P))
        return true;
    unsigned log2 = entry_log2(sh->page[id]->level);
    if (!shadow_is_leaf(sh, id, entry) && sh->page[sh->page[id]->link[index]]->guest_log2 < log2)
        return false;
    shadow_zap(sh, id, index, inv);
    return true;
}

static void forget_page(struct nw_shadow *sh, uint64_t gva, struct nw_shadow_invalidation *inv)
{
    const struct shadow_root *root = &sh->root[sh->current];
    uint32_t id = root->page;
    for (unsigned level = sh->page[id]->level;; level--) {
        uint32_t index = shadow_index(gva, level);
        if (level == 1 && root->guest.entry_log2 == 2 && sh->page[id]->guest_log2 > NW_PAGE_2M_LOG2)
            forget_entry(sh, id, index ^ 1, inv); /* the other half of a 4 MiB page */
        if (forget_entry(sh, id, index, inv) || !level)
            return;
        id = sh->page[id]->link[index];
    }
}

void nw_shadow_invlpg(struct nw_shadow *sh, gva_t gva, struct nw_shadow_invalidation *out)
{
    uint64_t first = gva.v & ~(NW_PAGE_BYTES - 1);
    *out =
        (struct nw_shadow_invalidation){ .kind = NW_SHADOW_RANGE, .first = first, .last = first + NW_PAGE_BYTES - 1 };
    if (sh->config.policy == NW_SHADOW_VIRTUAL_TLB && sh->loaded)
        forget_page(sh, truncated(&sh->root[sh->current].guest, gva), out);
}

enum nw_status nw_shadow_unmap_gpa(struct nw_shadow *sh, gpa_t gpa, uint64_t bytes, struct nw_shadow_invalidation *out,
                                   struct nw_error *err)
{
    static const uint8_t sizes[] = { NW_PAGE_LOG2, NW_PAGE_2M_LOG2, NW_PAGE_1G_LOG2 };
    *out = (struct nw_shadow_invalidation){ .kind = NW_SHADOW_NOTHING };
    if (!bytes || gpa.v + bytes < gpa.v)
        return nw_fail(err, NW_ERR_INPUT, "0x%llx bytes at GPA 0x%llx are no range", (unsigned long long)bytes,
                       (unsigned long long)gpa.v);
    for (size_t i = 0; i < NW_ARRAY_LEN(sizes); i++)
        for (uint64_t page = gpa.v >> sizes[i]; page <= (gpa.v + bytes - 1) >> sizes[i]; page++)
            for (uint32_t node; (node = shadow_leaf_of(sh, page << 6 | sizes[i], NONE)) != NONE;)
                shadow_zap(sh, sh->leaf[node].page, sh->leaf[node].index, out);
    if (sh->config.policy == NW_SHADOW_AGILE)
        for (uint64_t page = gpa.v >> NW_PAGE_LOG2; page <= (gpa.v + bytes - 1) >> NW_PAGE_LOG2; page++)
            shadow_agile_unmap(sh, page, out);
    return NW_OK;
}
