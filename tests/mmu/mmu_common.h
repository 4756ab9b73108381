/* mmu_common.h - a small machine for the tests: memory, frames, and trees built in it. */
#ifndef NESTWALK_TESTS_MMU_COMMON_H
#define NESTWALK_TESTS_MMU_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nestwalk/base/rng.h>
#include <nestwalk/mmu/builder.h>
#include <nestwalk/mmu/walk.h>

/* Fails the test with the library's own message. */
#define must(call)                                                                                                     \
    do {                                                                                                               \
        struct nw_error must_error = { 0 };                                                                            \
        struct nw_error *err = &must_error;                                                                            \
        if (call)                                                                                                      \
            fail_msg("%s: %s", #call, must_error.text);                                                                \
    } while (0)

struct machine {
    struct nw_physmem *pm;
    struct nw_frames frames;       /* host frames */
    struct nw_frames guest_frames; /* GPAs of guest tables */
    struct nw_builder guest, nested;
};

/* Memory of 2^33 bytes from 1 MiB on. */
static inline void machine_init(struct machine *m)
{
    memset(m, 0, sizeof *m);
    must(nw_physmem_create(&m->pm, err));
    nw_frames_init(&m->frames, 0x100, UINT64_C(1) << 21);
    nw_frames_init(&m->guest_frames, 0x100, UINT64_C(1) << 20);
}

static inline void machine_fini(struct machine *m)
{
    nw_frames_fini(&m->frames);
    nw_frames_fini(&m->guest_frames);
    nw_physmem_destroy(m->pm);
}

static inline struct nw_paging x86_paging(unsigned levels)
{
    struct nw_guest_registers r = nw_guest_registers_long(levels, 0);
    struct nw_paging p;
    must(nw_paging_init_guest(&p, &r, err));
    p.root = NW_ROOT_NEW;
    return p;
}

static inline struct nw_paging ept_paging(unsigned levels, bool accessed_dirty)
{
    struct nw_ept_registers r = { .eptp = 6 | (levels - 1) << 3 | (accessed_dirty ? 0x40 : 0),
                                  .maxphyaddr = 52,
                                  .huge_1g = true,
                                  .execute_only = true };
    struct nw_paging p;
    must(nw_paging_init_ept(&p, &r, err));
    p.root = NW_ROOT_NEW;
    return p;
}

static inline struct nw_paging npt_paging(unsigned levels)
{
    struct nw_npt_registers r = { .levels = levels, .nxe = true, .maxphyaddr = 52, .huge_1g = true };
    struct nw_paging p;
    must(nw_paging_init_npt(&p, &r, err));
    p.root = NW_ROOT_NEW;
    return p;
}

/* Guest tables lie at GPAs; their words are where the nested tree puts them. */
static inline enum nw_status machine_locate(void *context, uint64_t address, hpa_t *out, struct nw_error *err)
{
    struct machine *m = context;
    struct nw_leaf leaf;
    enum nw_status s = nw_builder_lookup(&m->nested, address, &leaf, err);
    if (s)
        return s;
    if (!leaf.present)
        return nw_fail(err, NW_ERR_INPUT, "GPA 0x%llx has no memory", (unsigned long long)address);
    *out = nw_hpa(leaf.target);
    return NW_OK;
}

static inline enum nw_status machine_guest_table(void *context, uint64_t *address, struct nw_error *err)
{
    struct machine *m = context;
    uint64_t pfn;
    enum nw_status s = nw_frames_alloc(&m->guest_frames, NW_PAGE_LOG2, &pfn, err);
    *address = pfn << NW_PAGE_LOG2;
    return s;
}

/* A nested tree that maps GPA [0, 8 GiB) to itself with pages of this size, and an empty guest tree inside. */
static inline void machine_nested(struct machine *m, struct nw_paging nested, struct nw_paging guest,
                                  unsigned backing_log2, uint64_t bytes)
{
    struct nw_builder_memory host = nw_builder_memory_frames(&m->frames);
    struct nw_builder_memory inside = { .allocate = machine_guest_table, .locate = machine_locate, .context = m };
    nw_frames_init(&m->frames, UINT64_C(1) << 20, UINT64_C(1) << 21); /* above what the guest has */
    must(nw_builder_init(&m->nested, m->pm, &nested, &host, err));
    must(nw_builder_map_range(&m->nested, 0, 0, bytes, backing_log2, NW_MAP_ALL, err));
    must(nw_builder_init(&m->guest, m->pm, &guest, &inside, err));
}

#endif
