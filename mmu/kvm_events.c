/* Events in one short line each. Nothing is formatted unless somebody listens. */
#include "kvm_internal.h"
#include <inttypes.h>
#include <stdio.h>

static void tell(struct nw_kvm *k, const char *text) { k->config.event(k->config.context, text); }

void event_walk(struct nw_kvm *k, uint64_t gva, unsigned code)
{
    char text[64];
    if (!k->config.event)
        return;
    snprintf(text, sizeof text, "W %" PRIx64 " %x", gva, code);
    tell(k, text);
}

void event_table_bit(struct nw_kvm *k, char letter, uint64_t gpa)
{
    char text[64];
    if (!k->config.event)
        return;
    snprintf(text, sizeof text, "%c 0x%" PRIx64, letter, gpa);
    tell(k, text);
}

void event_page(struct nw_kvm *k, char letter, const struct page *p, const char *suffix)
{
    char text[128];
    if (!k->config.event)
        return;
    unsigned a = p->role.access;
    snprintf(text, sizeof text, "%c gfn %" PRIx64 " l%u%s %c%c%c%s root %u %s%s", letter, p->gfn, p->role.level + 1u,
             p->role.direct ? " direct" : "", a & ACC_WRITE ? 'w' : '-', a & ACC_USER ? 'u' : '-',
             a & ACC_EXEC ? 'x' : '-', p->role.invalid ? " invalid" : "", p->root_count, p->unsync ? "unsync" : "sync",
             suffix);
    tell(k, text);
}

void event_requested(struct nw_kvm *k, uint64_t gfn, unsigned level)
{
    char text[64];
    if (!k->config.event)
        return;
    snprintf(text, sizeof text, "R gfn %" PRIx64 " %u", gfn, level + 1);
    tell(k, text);
}

void event_spte(struct nw_kvm *k, uint64_t gfn, unsigned level, uint64_t spte)
{
    char text[64];
    if (!k->config.event)
        return;
    snprintf(text, sizeof text, "S gfn %" PRIx64 " r%c%c%c %c %u", gfn, spte & SPTE_WRITE ? 'w' : '-',
             spte & SPTE_NX ? '-' : 'x', spte & SPTE_USER ? 'u' : '-', spte & SPTE_ACCESSED ? 'A' : 'a', level + 1);
    tell(k, text);
}
