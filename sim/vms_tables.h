/* vms_tables.h - private to vms_walk.c and vms_tables.c: a guest's tables and its processor's caches. */
#ifndef NW_SIM_VMS_TABLES_H
#define NW_SIM_VMS_TABLES_H

#include "vms_walk.h"
#include <nestwalk/mmu/builder.h>
#include <nestwalk/mmu/tlb.h>

#define LARGE_BASE (UINT64_C(1) << 45) /* behind every frame: their numbers have 32 bits */
enum { PSC_LEVELS = 2, VPID = 1 };

struct tables {
    struct vms *v;
    struct vm *vm;
    struct nw_physmem *words; /* of the guest's tables, by GPA */
    struct nw_builder *space; /* by work; format NULL: not made yet */
    struct nw_builder ept, iommu;
    bool ept_made, iommu_made, populating, stale;
    struct stack frames; /* of the second stage, accounted to it and not in use */
    struct stack pages;  /* of the guest's memory, for its next tables */
    uint8_t *large;      /* by group: mapped as one page */
    struct nw_tlb tlb, nested_tlb, psc[2][PSC_LEVELS];
    uint64_t written[2 * NW_LEVELS_MAX]; /* GPAs of tables that an operation has changed */
    unsigned writes;
    uint64_t references;
};

/* The page whose memory is at this address; NW_NONE32: a table. Of a shared frame, the page that stands for it. */
static inline uint32_t tables_page_behind(const struct vms *v, uint64_t hpa)
{
    if (hpa >= LARGE_BASE)
        return (uint32_t)((hpa - LARGE_BASE) >> NW_PAGE_LOG2);
    const struct nw_frame *f = &v->h->frame[hpa >> NW_PAGE_LOG2];
    return f->kind == NW_FRAME_TABLE ? NW_NONE32 : f->user;
}

static inline bool tables_agree(const struct vms *v, uint32_t page, uint64_t hpa)
{
    const struct nw_page *p = nw_hostmem_at(v->h, page);
    if (p->backing != NW_BACKING_FRAME)
        return false;
    return hpa >= LARGE_BASE ? tables_page_behind(v, hpa) == page : p->place == hpa >> NW_PAGE_LOG2;
}

/* INVLPG in the address space of a work. */
void walk_forget_page(struct tables *s, uint64_t gva, size_t work);

#endif
