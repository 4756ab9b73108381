/* vms_contents.c - what pages of a guest with page tables held when its trace begins: page-content events name guest-physical pages, works have virtual ones.
 *
 * MODEL: which virtual page is which is looked up in the tables of the trace's header, at the first touch, under the first CR3. A page that is mapped later is taken to be new; what
 * events in the middle of such a trace say is not used. */
#include "vms_internal.h"
#include <stdlib.h>
#include <string.h>

struct contents {
    const struct nw_trace_info *info; /* of the work's source */
    uint64_t base_vpn;                /* of the work: added to the trace's addresses */
    uint64_t *key, *content;          /* by GPN + 1, open addressing; key 0: empty */
    size_t slots, used;
};

void contents_end(struct vm *vm)
{
    if (vm->contents) {
        free(vm->contents->key);
        free(vm->contents->content);
    }
    free(vm->contents);
    vm->contents = NULL;
}

static size_t slot_of(const struct contents *c, uint64_t gpn)
{
    size_t at = nw_mix64(gpn) & (c->slots - 1);
    while (c->key[at] && c->key[at] != gpn + 1)
        at = (at + 1) & (c->slots - 1);
    return at;
}

static bool grow(struct contents *c)
{
    const struct contents old = *c;
    c->slots = old.slots ? 2 * old.slots : 1024;
    c->key = calloc(c->slots, sizeof *c->key);
    c->content = calloc(c->slots, sizeof *c->content);
    const bool ok = c->key && c->content;
    for (size_t i = 0; ok && i < old.slots; i++)
        if (old.key[i]) {
            const size_t at = slot_of(c, old.key[i] - 1);
            c->key[at] = old.key[i];
            c->content[at] = old.content[i];
        }
    free(old.key);
    free(old.content);
    return ok;
}

void contents_tell(struct vms *v, struct vm *vm, uint64_t gpn, uint64_t content)
{
    struct contents *c = vm->contents;
    if (!c) {
        c = vm->contents = calloc(1, sizeof *c);
        if (c) {
            c->info = nw_source_info(vm->source);
            c->base_vpn = vm->config->work[vm->work].base >> NW_PAGE_LOG2;
        }
    }
    if (!c || (2 * c->used >= c->slots && !grow(c))) {
        contents_end(vm);
        vms_fail(v, nw_fail_nomem(v->err, "what a guest's pages hold"));
        return;
    }
    const size_t at = slot_of(c, gpn);
    c->used += !c->key[at];
    c->key[at] = gpn + 1;
    c->content[at] = content;
}

/* SDM vol. 3, "4-Level Paging and 5-Level Paging". */
enum { PRESENT = 1, LARGE = 1 << 7, LA57 = 1 << 12 };

static const struct nw_table_page *table_at(const struct nw_trace_info *info, uint64_t gpa)
{
    size_t low = 0, high = info->table_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (info->table[middle].gpa < gpa)
            low = middle + 1;
        else
            high = middle;
    }
    return low < info->table_count && info->table[low].gpa == gpa ? &info->table[low] : NULL;
}

/* The guest-physical page behind a virtual one; false when there is none. */
static bool translate(const struct nw_trace_info *info, uint64_t vpn, uint64_t *gpn)
{
    const struct nw_vcpu_state *cpu = &info->vcpu[0];
    uint64_t at = cpu->cr3 & nw_mask(51, NW_PAGE_LOG2);
    for (unsigned level = cpu->cr4 & LA57 ? 4 : 3;; level--) {
        const struct nw_table_page *table = table_at(info, at);
        const uint64_t entry = table ? table->word[vpn >> 9 * level & 511] : 0;
        if (!(entry & PRESENT))
            return false;
        if (!level || (entry & LARGE && level < 3)) {
            const uint64_t inside = NW_BIT(9 * level) - 1; /* pages of a large one */
            *gpn = ((entry & nw_mask(51, NW_PAGE_LOG2)) >> NW_PAGE_LOG2 & ~inside) | (vpn & inside);
            return true;
        }
        at = entry & nw_mask(51, NW_PAGE_LOG2);
    }
}

uint64_t contents_at_first_touch(const struct vm *vm, uint64_t vpn)
{
    const struct contents *c = vm->contents;
    uint64_t gpn;
    return c->slots && translate(c->info, (vpn - c->base_vpn) & nw_mask(51, 0), &gpn) ? c->content[slot_of(c, gpn)] : 0;
}
