/* Making and unmaking the shadow MMU, and its counters' names. */
#include "kvm_internal.h"
#include <stdlib.h>

#define ROW(field, unit, doc) NW_COUNTER(struct nw_kvm_counters, field, #field, unit, doc)
const struct nw_counter_row nw_kvm_counter_row[NW_KVM_COUNTERS] = {
    ROW(pf_taken, "faults", "Page faults of the processor that KVM handled."),
    ROW(pf_fixed, "faults", "... that made or changed a shadow leaf."),
    ROW(pf_emulate, "faults", "... that ended in the instruction emulator: a shadowed table, or no memory."),
    ROW(pf_spurious, "faults", "... that found the shadow leaf already there."),
    ROW(pf_fast, "faults", "... fixed without the lock; never under shadow paging."),
    ROW(pf_mmio_spte_created, "faults", "... that left a marked entry for an access without memory."),
    ROW(pf_guest, "faults", "Page faults injected into the guest."),
    ROW(tlb_flush, "flushes", "Flushes of the virtual processor's TLB made at VM entry."),
    ROW(invlpg, "instructions", "INVLPG and INVPCID of an address."),
    ROW(remote_tlb_flush, "flushes", "Flush requests that reached another running virtual processor."),
    ROW(remote_tlb_flush_requests, "flushes", "Flushes that changes of shadow entries asked for."),
    ROW(mmu_shadow_zapped, "pages", "Shadow pages prepared for giving up."),
    ROW(mmu_pte_write, "writes", "Emulated writes while any guest table was shadowed."),
    ROW(mmu_pde_zapped, "entries", "Table entries above level 0 rewritten by an emulated write."),
    ROW(mmu_flooded, "pages", "Shadow pages given up for misaligned or repeated writes."),
    ROW(mmu_recycled, "pages", "Shadow pages given up to keep to the limit."),
    ROW(mmu_cache_miss, "pages", "Shadow pages made because none fitted."),
    ROW(mmu_unsync, "pages", "Level-0 shadow pages whose guest table may differ (now)."),
    ROW(pages_4k, "leaves", "Shadow leaves of 4 KiB (now)."),
    ROW(pages_2m, "leaves", "Shadow leaves of 2 MiB (now)."),
    ROW(pages_1g, "leaves", "Shadow leaves of 1 GiB (now)."),
    ROW(shadow_pages, "pages", "Shadow pages in use (now)."),
};

enum nw_status nw_kvm_create(struct nw_kvm **out, const struct nw_kvm_config *config, struct nw_error *err)
{
    *out = NULL;
    if (!config->pm || config->shadow_hpa % NW_PAGE_BYTES || config->shadow_hpa >> 47)
        return nw_fail(err, NW_ERR_INPUT, "shadow tables need memory at a page-aligned address below 2^47, not 0x%llx",
                       (unsigned long long)config->shadow_hpa);
    struct nw_kvm *k = calloc(1, sizeof *k);
    if (!k)
        return nw_fail_nomem(err, "a shadow MMU");
    k->config = *config;
    if (!k->config.maxphyaddr)
        k->config.maxphyaddr = 48;
    k->dummy_hpa = config->shadow_hpa; /* page number 0 of the pool belongs to nobody */
    uint64_t *words;
    enum nw_status s = nw_physmem_make(config->pm, nw_hpa(k->dummy_hpa), &words, err);
    if (s) {
        nw_kvm_destroy(k);
        return s;
    }
    memset(words, 0, NW_PAGE_BYTES);
    k->max_pages =
        config->max_mmu_pages && config->max_mmu_pages < NW_KVM_MIN_PAGES ? NW_KVM_MIN_PAGES : config->max_mmu_pages;
    *out = k;
    return NW_OK;
}

void nw_kvm_destroy(struct nw_kvm *k)
{
    if (!k)
        return;
    for (uint32_t i = 1; i < k->pool_count; i++)
        free(k->pool[i]);
    free(k->pool);
    kvm_slots_free(k);
    free(k);
}

uint64_t nw_kvm_tables_shadowed(const struct nw_kvm *k)
{
    uint64_t tables = 0;
    for (const struct page *p = k->oldest; p; p = p->newer) /* each frame counts with its newest page */
        tables += !p->role.direct && kvm_table_next(k, p->gfn, NULL) == p;
    return tables;
}

const struct nw_kvm_counters *nw_kvm_counters(const struct nw_kvm *k) { return &k->stat; }
const struct nw_paging *nw_kvm_shadow_paging(const struct nw_kvm *k) { return &k->shadow; }
const struct nw_paging *nw_kvm_guest_paging(const struct nw_kvm *k) { return &k->guest; }
const struct nw_guest_registers *nw_kvm_registers(const struct nw_kvm *k) { return &k->registers; }
