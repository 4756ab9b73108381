/* guest.c - see guest.h. */
#include "guest.h"
#include "pager.h"
#include "stale.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>

/* ---- the imitation guest ---- */

static struct nw_frames *frames_of_guest(struct machine *m)
{
    return m->second_stage ? &m->guest_frames : &m->host_frames;
}

static enum nw_status table_allocate(void *context, uint64_t *address, struct nw_error *err)
{
    struct machine *m = context;
    uint64_t pfn;
    hpa_t hpa;
    enum nw_status s = nw_frames_alloc(frames_of_guest(m), NW_PAGE_LOG2, &pfn, err);
    if (s || (s = machine_locate_table(m, pfn << NW_PAGE_LOG2, &hpa, err)))
        return s;
    uint64_t *word = nw_physmem_find(m->pm, hpa);
    if (word) /* a frame used before may hold words */
        memset(word, 0, NW_PAGE_BYTES);
    *address = pfn << NW_PAGE_LOG2;
    return NW_OK;
}

static void table_release(void *context, uint64_t address)
{
    struct machine *m = context;
    if (nw_frames_free(frames_of_guest(m), NW_PAGE_LOG2, address >> NW_PAGE_LOG2, NULL))
        return; /* out of memory for the free list: the frame is lost to the guest, nothing else */
}

static enum nw_status table_locate(void *context, uint64_t address, hpa_t *out, struct nw_error *err)
{
    return machine_locate_table(context, address, out, err);
}

/* The guest kernel wrote an entry: a VMM that watches the table sees it. */
static void table_written(void *context, uint64_t address, hpa_t hpa, uint64_t old, uint64_t word)
{
    (void)hpa;
    struct machine *m = context;
    struct nw_error err;
    enum nw_status s = stale_note_write(m, address, old, word, &err);
    if (!s && m->pager->own_write)
        s = m->pager->own_write(m, address, old, m->config->guest.demand_faults, &err);
    machine_defer(m, s, &err);
}

enum nw_status guest_make(struct machine *m, struct nw_error *err)
{
    m->registers = nw_guest_registers_long((unsigned)m->config->guest.levels, 0);
    struct nw_paging paging;
    enum nw_status s = nw_paging_init_guest(&paging, &m->registers, err);
    if (s)
        return s;
    paging.root = NW_ROOT_NEW;
    struct nw_builder_memory memory = { .allocate = table_allocate,
                                        .release = table_release,
                                        .locate = m->second_stage ? table_locate : NULL,
                                        .written = table_written,
                                        .context = m,
                                        /* Backing is never taken away; but that a table is backed may be an event. */
                                        .locate_is_stable = !m->config->vmm.demand_backing };
    if ((s = nw_builder_init(&m->guest_builder, m->pm, &paging, &memory, err)))
        return s;
    m->guest_builder.free_empty_tables = true;
    m->guest = m->guest_builder.paging;
    m->registers.cr3 = m->guest.root;
    return NW_OK;
}

void guest_fini(struct machine *m) { free(m->region); }

/* ---- policy thp ---- */

static enum nw_status region_slot(struct machine *m, uint64_t region, struct region_count **out, struct nw_error *err)
{
    if (m->region_used * 4 >= m->region_capacity * 3) {
        size_t capacity = m->region_capacity ? m->region_capacity * 2 : 1024;
        struct region_count *bigger = calloc(capacity, sizeof *bigger);
        if (!bigger)
            return nw_fail_nomem(err, "the guest's region table");
        for (size_t i = 0; i < m->region_capacity; i++) {
            if (!m->region[i].region)
                continue;
            size_t at = nw_mix64(m->region[i].region) & (capacity - 1);
            while (bigger[at].region)
                at = (at + 1) & (capacity - 1);
            bigger[at] = m->region[i];
        }
        free(m->region);
        m->region = bigger;
        m->region_capacity = capacity;
    }
    size_t at = nw_mix64(region + 1) & (m->region_capacity - 1);
    while (m->region[at].region && m->region[at].region != region + 1)
        at = (at + 1) & (m->region_capacity - 1);
    if (!m->region[at].region) {
        m->region[at].region = region + 1;
        m->region_used++;
    }
    *out = &m->region[at];
    return NW_OK;
}

static const unsigned user_page = NW_MAP_RWX | NW_MAP_USER | NW_MAP_ACCESSED;

/* Moves a region's 4 KiB pages to one 2 MiB page, as a guest's background collapse does: copy, unmap, map, shoot down. */
static enum nw_status collapse(struct machine *m, uint64_t region, struct nw_error *err)
{
    uint64_t start = region << NW_PAGE_2M_LOG2, pfn;
    unsigned dirty = 0;
    enum nw_status s;
    for (uint64_t gva = start; gva < start + (UINT64_C(1) << NW_PAGE_2M_LOG2); gva += NW_PAGE_BYTES) {
        struct nw_leaf leaf;
        if ((s = nw_builder_lookup(&m->guest_builder, gva, &leaf, err)))
            return s;
        if (!leaf.present)
            continue;
        dirty |= nw_leaf_attributes(&m->guest, leaf.entry) & NW_MAP_DIRTY;
        if ((s = nw_builder_unmap(&m->guest_builder, gva, err)) ||
            (s = nw_frames_free(frames_of_guest(m), NW_PAGE_LOG2, leaf.target >> NW_PAGE_LOG2, err)))
            return s;
    }
    if ((s = nw_frames_alloc(frames_of_guest(m), NW_PAGE_2M_LOG2, &pfn, err)) ||
        (s = nw_builder_map(&m->guest_builder, start, pfn << NW_PAGE_LOG2, NW_PAGE_2M_LOG2, user_page | dirty, err)))
        return s;
    machine_forget(m, forget_range(start, start + (UINT64_C(1) << NW_PAGE_2M_LOG2)));
    if (m->pager->moved)
        m->pager->moved(m, start, start + (UINT64_C(1) << NW_PAGE_2M_LOG2));
    return NW_OK;
}

enum nw_status guest_touch(struct machine *m, gva_t gva, bool store, bool map, bool *mapped, gpa_t *gpa,
                           struct nw_error *err)
{
    struct nw_leaf leaf;
    enum nw_status s;
    *mapped = false;
    if (!machine_canonical(m, gva.v))
        return NW_OK;
    if ((s = nw_builder_lookup(&m->guest_builder, gva.v, &leaf, err)))
        return s;
    if (!leaf.present) {
        if (!map)
            return NW_OK;
        uint64_t policy = m->config->guest.page_policy, pfn;
        unsigned log2 = policy == NW_PAGES_2M   ? NW_PAGE_2M_LOG2
                        : policy == NW_PAGES_1G ? NW_PAGE_1G_LOG2
                                                : NW_PAGE_LOG2;
        uint64_t mask = (UINT64_C(1) << log2) - 1;
        if ((s = nw_frames_alloc(frames_of_guest(m), log2, &pfn, err)) ||
            (s = nw_builder_map(&m->guest_builder, gva.v & ~mask, pfn << NW_PAGE_LOG2, log2,
                                user_page | (store ? NW_MAP_DIRTY : 0), err)))
            return s;
        leaf.target = (pfn << NW_PAGE_LOG2) + (gva.v & mask);
        if (policy == NW_PAGES_THP) {
            struct region_count *r = NULL;
            uint64_t region = gva.v >> NW_PAGE_2M_LOG2;
            if ((s = region_slot(m, region, &r, err)))
                return s;
            if (++r->pages == m->config->guest.thp_threshold_pages) {
                if ((s = collapse(m, region, err)) || (s = nw_builder_lookup(&m->guest_builder, gva.v, &leaf, err)))
                    return s;
            }
        }
    }
    *mapped = true;
    *gpa = nw_gpa(leaf.target);
    return NW_OK;
}

/* ---- a traced guest ---- */

static enum nw_status put_word(struct machine *m, uint64_t gpa, uint64_t word, struct nw_error *err)
{
    hpa_t hpa;
    enum nw_status s = machine_locate_table(m, gpa, &hpa, err);
    return s ? s : nw_physmem_write64(m->pm, hpa, word, err);
}

enum nw_status guest_load_tables(struct machine *m, struct nw_error *err)
{
    const struct nw_vcpu_state *v = &m->info->vcpu[0];
    m->registers = (struct nw_guest_registers){ .cr0 = v->cr0,
                                                .cr3 = v->cr3,
                                                .cr4 = v->cr4,
                                                .efer = v->efer,
                                                .maxphyaddr = m->info->gpa_bits ? m->info->gpa_bits : NW_PHYS_BITS_MAX,
                                                .huge_1g = true };
    for (uint32_t i = 0; i < m->info->table_count; i++)
        for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++)
            if (m->info->table[i].word[w]) {
                enum nw_status s = put_word(m, m->info->table[i].gpa + 8 * w, m->info->table[i].word[w], err);
                if (s)
                    return s;
            }
    m->table_pages_recorded = m->info->table_count;
    return NW_OK;
}

enum nw_status guest_table_page(struct machine *m, const struct nw_event *event, struct nw_error *err)
{
    hpa_t hpa;
    uint64_t page = event->arg[0] & ~(NW_PAGE_BYTES - 1);
    enum nw_status s = machine_locate_table(m, page, &hpa, err);
    if (s)
        return s;
    uint64_t old[NW_WORDS_PER_PAGE] = { 0 };
    uint64_t *word = nw_physmem_find(m->pm, nw_hpa(hpa.v & ~(NW_PAGE_BYTES - 1)));
    if (word) {
        memcpy(old, word, sizeof old);
        memset(word, 0, NW_PAGE_BYTES);
    }
    for (uint32_t i = 0; i + 1 < event->data_words; i += 2)
        if (event->data[i] < NW_WORDS_PER_PAGE && (s = put_word(m, page + 8 * event->data[i], event->data[i + 1], err)))
            return s;
    for (unsigned i = 0; i < NW_WORDS_PER_PAGE; i++) {
        uint64_t now = nw_physmem_read64(m->pm, nw_hpa((hpa.v & ~(NW_PAGE_BYTES - 1)) + 8 * i));
        if ((s = stale_note_write(m, page + 8 * i, old[i], now, err)))
            return s;
    }
    m->table_pages_recorded++;
    return NW_OK;
}

enum nw_status guest_table_write(struct machine *m, uint64_t gpa, unsigned bytes, uint64_t value, struct nw_error *err)
{
    while (bytes) { /* a write may cross words, and pages that are not neighbours in host memory */
        unsigned here = 8 - (unsigned)(gpa & 7);
        if (here > bytes)
            here = bytes;
        hpa_t hpa;
        enum nw_status s = machine_locate_table(m, gpa, &hpa, err);
        uint64_t old = s ? 0 : nw_physmem_read64(m->pm, hpa);
        if (s || (s = nw_physmem_write_bytes(m->pm, hpa, here, value, err)) ||
            (s = stale_note_write(m, gpa, old, nw_physmem_read64(m->pm, hpa), err)))
            return s;
        gpa += here;
        value = here < 8 ? value >> (8 * here) : 0;
        bytes -= here;
    }
    return NW_OK;
}
