/* guest_memory.c - the recorder's view of guest-virtual memory: a walk of the guest's tables, and a small cache of translations. */
#include "recorder.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/base/bits.h>
#include <string.h>

enum { PTE_P = 1, PTE_PS = 1 << 7 }; /* SDM vol. 3, "4-Level Paging" */

static uint64_t walk(const struct recorder *r, uint64_t gva)
{
    uint64_t table = r->cr3 & nw_mask(51, 12);
    for (unsigned level = 3;; level--) {
        unsigned low = 12 + 9 * level;
        uint64_t entry, at = table + nw_field(gva, low + 8, low) * 8;
        if (at + 8 > r->vm->memory_bytes)
            return UINT64_MAX;
        memcpy(&entry, r->vm->memory + at, sizeof entry);
        if (!(entry & PTE_P))
            return UINT64_MAX;
        if (!level || ((entry & PTE_PS) && level < 3))
            return (entry & nw_mask(51, low)) | (gva & nw_mask(low - 1, 0));
        table = entry & nw_mask(51, 12);
    }
}

uint64_t recorder_translate(struct recorder *r, uint64_t gva)
{
    uint64_t page = gva >> NW_PAGE_LOG2;
    size_t slot = page % RECORDER_TLB_SIZE;
    if (r->tlb[slot].tag != page + 1) {
        uint64_t gpa = walk(r, gva);
        if (gpa >= r->vm->memory_bytes)
            return UINT64_MAX;
        r->tlb[slot].tag = page + 1;
        r->tlb[slot].gpa = nw_align_down(gpa, NW_PAGE_BYTES);
    }
    return r->tlb[slot].gpa | (gva & (NW_PAGE_BYTES - 1));
}

void recorder_forget(struct recorder *r) { memset(r->tlb, 0, sizeof r->tlb); }

unsigned recorder_read(struct recorder *r, uint64_t gva, void *out, unsigned bytes)
{
    unsigned done = 0;
    while (done < bytes) {
        uint64_t gpa = recorder_translate(r, gva + done);
        unsigned part = (unsigned)(NW_PAGE_BYTES - (gva + done) % NW_PAGE_BYTES);
        if (gpa == UINT64_MAX)
            break;
        if (part > bytes - done)
            part = bytes - done;
        memcpy((uint8_t *)out + done, r->vm->memory + gpa, part);
        done += part;
    }
    return done;
}
