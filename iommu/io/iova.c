#include "iova.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>

#define PAGES_BELOW UINT64_C(0x100000)  /* below 4 GiB */
#define PAGES_END   (UINT64_C(1) << 36) /* 48 bits of address */
enum { LOWEST_PAGE = 1 };               /* page 0 is never given out */

void iova_init(struct iova_space *v) { *v = (struct iova_space){ .lowest = PAGES_BELOW, .above = PAGES_BELOW }; }

void iova_fini(struct iova_space *v)
{
    for (unsigned i = 0; i < IOVA_SIZES; i++)
        free(v->freed[i].page);
}

/* The interrupt address range is no memory: VT-d, "Requests to interrupt address range". */
static uint64_t below_interrupts(uint64_t first, uint64_t pages)
{
    return first < 0xfef00 && first + pages > 0xfee00 ? (UINT64_C(0xfee00) - pages) & ~(pages - 1) : first;
}

enum nw_status iova_take(struct iova_space *v, uint64_t pages, uint64_t *first, bool *fresh, struct nw_error *err)
{
    const unsigned size = nw_log2_ceil(pages);
    const uint64_t whole = UINT64_C(1) << size;
    struct iova_stack *freed = &v->freed[size];
    *fresh = !freed->count;
    if (freed->count) {
        *first = freed->page[--freed->count];
        return NW_OK;
    }
    if (v->lowest >= whole + LOWEST_PAGE) {
        const uint64_t at = below_interrupts((v->lowest - whole) & ~(whole - 1), whole);
        if (at >= LOWEST_PAGE) {
            *first = v->lowest = at;
            return NW_OK;
        }
    }
    const uint64_t at = (v->above + whole - 1) & ~(whole - 1);
    if (at + whole > PAGES_END)
        return nw_fail(err, NW_ERR_INPUT, "a device's 48-bit address space is used up");
    *first = at;
    v->above = at + whole;
    return NW_OK;
}

enum nw_status iova_give(struct iova_space *v, uint64_t first, uint64_t pages, struct nw_error *err)
{
    struct iova_stack *freed = &v->freed[nw_log2_ceil(pages)];
    if (freed->count == freed->capacity) {
        const uint64_t capacity = freed->capacity ? freed->capacity * 2 : 64;
        uint64_t *more = realloc(freed->page, capacity * sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "the list of freed DMA addresses");
        freed->page = more;
        freed->capacity = capacity;
    }
    freed->page[freed->count++] = first;
    return NW_OK;
}
