/* vms_walk.c - host.fidelity=walk: the guests' processors. Each access goes through a TLB and, when that misses, a walk of the tables of vms_tables.c; where it ends is compared with the
 * page that the account of mmu/host_memory.h says. A walk that meets one of the guest's own tables gone is an EPT violation like any other. */
#include "vms_tables.h"
#include <nestwalk/mmu/walk_template.h>
#include <stdlib.h>

enum { TRIES = 16 };

/* ---- hooks of the walk ---- */

static uint64_t *word_at(const struct tables *s, hpa_t hpa)
{
    const uint32_t page = tables_page_behind(s->v, hpa.v);
    if (page == NW_NONE32)
        return nw_physmem_find(s->v->words, hpa);
    return nw_physmem_find(s->words,
                           nw_hpa(nw_hostmem_gpn_of(s->v->h, page) << NW_PAGE_LOG2 | (hpa.v & (NW_PAGE_BYTES - 1))));
}

static uint64_t hook_load(void *context, hpa_t hpa)
{
    const uint64_t *word = word_at(context, hpa);
    return word ? *word : 0;
}

static void hook_update(void *context, hpa_t hpa, uint64_t set)
{
    uint64_t *word = word_at(context, hpa);
    if (word)
        *word |= set;
}

static struct nw_tlb_tag tag_of(const struct tables *s, enum nw_dimension d)
{
    return d == NW_GUEST ? (struct nw_tlb_tag){ .vpid = VPID, .pcid = (uint16_t)(memory_space(s->vm) + 1) }
                         : (struct nw_tlb_tag){ 0 };
}

enum { START_TABLE, START_GPA, START_ALLOWED, START_FLAGS };
enum { START_KNOWN = 1, START_WRITABLE = 2 };

static void hook_start(void *context, enum nw_dimension d, uint64_t address, struct nw_walk_start *start)
{
    struct tables *s = context;
    const struct nw_tlb_tag tag = tag_of(s, d);
    for (unsigned i = 0; i < start->level && i < PSC_LEVELS; i++) {
        const struct nw_tlb_entry *hit = nw_tlb_lookup(&s->psc[d][i], address, &tag);
        if (!hit)
            continue;
        *start = (struct nw_walk_start){ .level = (uint8_t)i,
                                         .table_known = hit->payload[START_FLAGS] & START_KNOWN,
                                         .table_writable = hit->payload[START_FLAGS] & START_WRITABLE,
                                         .table = nw_hpa(hit->payload[START_TABLE]),
                                         .table_gpa = nw_gpa(hit->payload[START_GPA]),
                                         .allowed = hit->payload[START_ALLOWED] };
        return;
    }
}

static void hook_table(void *context, enum nw_dimension d, uint64_t address, const struct nw_walk_start *next)
{
    struct tables *s = context;
    if (next->level >= PSC_LEVELS)
        return;
    struct nw_tlb *psc = &s->psc[d][next->level];
    const unsigned log2 = psc->geometry.page_log2[0];
    const struct nw_tlb_entry entry = { .valid = true,
                                        .page_log2 = (uint8_t)log2,
                                        .page = address >> log2,
                                        .tag = tag_of(s, d),
                                        .payload = { [START_TABLE] = next->table.v,
                                                     [START_GPA] = next->table_gpa.v,
                                                     [START_ALLOWED] = next->allowed,
                                                     [START_FLAGS] =
                                                         (next->table_known ? (unsigned)START_KNOWN : 0) |
                                                         (next->table_writable ? (unsigned)START_WRITABLE : 0) } };
    nw_tlb_insert(psc, &entry, NULL);
}

static bool hook_nested_lookup(void *context, gpa_t gpa, const struct nw_nested_request *q,
                               struct nw_nested_translation *out)
{
    struct tables *s = context;
    const struct nw_tlb_entry *hit = nw_tlb_lookup(&s->nested_tlb, gpa.v, &(struct nw_tlb_tag){ 0 });
    if (!hit)
        return false;
    *out = (struct nw_nested_translation){ .hpa = nw_hpa(hit->hpa + (gpa.v & (NW_BIT(hit->page_log2) - 1))),
                                           .allowed = hit->payload[0],
                                           .page_log2 = hit->page_log2,
                                           .dirty = hit->payload[1] };
    return nw_nested_serves(out, q);
}

static void hook_nested_fill(void *context, gpa_t gpa, const struct nw_nested_request *q,
                             const struct nw_nested_translation *t)
{
    struct tables *s = context;
    const struct nw_tlb_entry entry = { .valid = true,
                                        .page_log2 = t->page_log2,
                                        .page = gpa.v >> t->page_log2,
                                        .hpa = t->hpa.v & ~(NW_BIT(t->page_log2) - 1),
                                        .payload = { t->allowed, t->dirty } };
    nw_tlb_insert(&s->nested_tlb, &entry, NULL);
    if (!q->final) { /* the walk has set the accessed flag of a table's page */
        const uint32_t page = tables_page_behind(s->v, t->hpa.v);
        host_touched(s->v, page, nw_hostmem_at(s->v->h, page));
    }
}

static void hook_reference(void *context, const struct nw_reference *reference)
{
    (void)reference;
    ((struct tables *)context)->references++;
}

static const struct nw_walk_hooks hooks = { .load = hook_load,
                                            .update = hook_update,
                                            .start = hook_start,
                                            .table = hook_table,
                                            .nested_lookup = hook_nested_lookup,
                                            .nested_fill = hook_nested_fill,
                                            .reference = hook_reference };

static NW_NOINLINE void walk(struct tables *s, const struct nw_paging *guest, gva_t gva, const struct nw_access *access,
                             struct nw_walk_result *r)
{
    nw_walk_run(&hooks, s, guest, &s->ept.paging, gva, access, r);
}

/* ---- forgetting ---- */

/* INVEPT, single-context: everything that was derived from the second stage. It takes place before the guest goes on, as a hypervisor requests it for its next entry. */
static void forget_second_stage(struct tables *s)
{
    const struct nw_tlb_predicate all = nw_tlb_flush_all();
    s->stale = false;
    s->vm->counters.tlb_invalidated += nw_tlb_invalidate(&s->tlb, &all) + nw_tlb_invalidate(&s->nested_tlb, &all);
    for (unsigned i = 0; i < PSC_LEVELS; i++) {
        nw_tlb_invalidate(&s->psc[NW_GUEST][i], &all);
        nw_tlb_invalidate(&s->psc[NW_NESTED][i], &all);
    }
}

void walk_forget_page(struct tables *s, uint64_t gva, size_t work)
{
    const struct nw_tlb_tag tag = { .vpid = VPID, .pcid = (uint16_t)(work + 1) };
    const struct nw_tlb_predicate page = nw_tlb_invlpg(gva, &tag);
    s->vm->counters.tlb_invalidated += nw_tlb_invalidate(&s->tlb, &page);
    for (unsigned i = 0; i < PSC_LEVELS; i++)
        nw_tlb_invalidate(&s->psc[NW_GUEST][i], &page);
}

/* ---- an access ---- */

/* What a walk lacked is made good. False: it cannot be. */
static bool resolve(struct vms *v, struct vm *vm, const struct nw_walk_result *r, uint64_t *t)
{
    if (r->outcome != NW_WALK_EPT_VIOLATION)
        return false;
    const uint32_t page = guest_page(v, vm, r->fault.address >> NW_PAGE_LOG2);
    vm->counters.walk_faults++;
    if (nw_hostmem_at(v->h, page)->backing != NW_BACKING_FRAME)
        host_fault(v, vm, page, t);
    else
        host_make_writable(v, vm, page, t);
    return !v->failed && !vm->done;
}

bool walk_access(struct vms *v, struct vm *vm, uint64_t vpn, uint32_t page, bool store, uint64_t *t)
{
    struct tables *s = vm->tables;
    const struct nw_paging *guest = &s->space[memory_space(vm)].paging;
    const struct nw_access access = { .kind = store ? NW_ACCESS_WRITE : NW_ACCESS_READ, .user = true };
    const struct nw_tlb_tag tag = tag_of(s, NW_GUEST);
    const uint64_t gva = vpn << NW_PAGE_LOG2;
    struct nw_walk_result r = { 0 };
    if (NW_UNLIKELY(s->stale))
        forget_second_stage(s);
    const struct nw_tlb_entry *e = nw_tlb_lookup(&s->tlb, gva, &tag);
    if (NW_LIKELY(e && nw_rights_serve(guest, e->rights, e->pkey, &access))) {
        vm->counters.tlb_hits++;
        vm->counters.disagreed += !tables_agree(v, page, e->hpa);
        return false;
    }
    for (unsigned tries = 0; tries < TRIES; tries++) {
        s->references = 0;
        walk(s, guest, nw_gva(gva), &access, &r);
        const uint64_t ns = ns_of((double)s->references * v->config->host.reference_ns);
        vm->counters.walks++;
        vm->counters.walk_references += s->references;
        vm->counters.walk_ns += ns;
        *t += ns;
        if (r.outcome == NW_WALK_OK || !resolve(v, vm, &r, t))
            break;
        if (s->stale)
            forget_second_stage(s);
    }
    if (v->failed || vm->done)
        return true;
    if (r.outcome == NW_WALK_EPT_VIOLATION) { /* each time something on the way was taken again */
        host_kill(v, vm, *t, NW_VMS_KILLED, "the host has no frames that stay for a single walk");
        return true;
    }
    vm->counters.disagreed += r.outcome != NW_WALK_OK || !tables_agree(v, page, r.hpa.v);
    if (r.outcome != NW_WALK_OK)
        return true;
    const struct nw_tlb_entry entry = { .valid = true,
                                        .page_log2 = NW_PAGE_LOG2, /* the guest's tables have no other */
                                        .page = vpn,
                                        .hpa = r.hpa.v,
                                        .tag = tag,
                                        .rights = r.rights,
                                        .pkey = r.pkey };
    nw_tlb_insert(&s->tlb, &entry, NULL);
    return true;
}

/* ---- life ---- */

static enum nw_status begin_cache(struct nw_tlb *t, const char *name, uint64_t entries, uint64_t ways, unsigned log2,
                                  bool large, struct nw_error *err)
{
    const struct nw_tlb_geometry g = { .entries = (uint32_t)entries,
                                       .ways = (uint32_t)(entries % ways ? entries : ways),
                                       .page_log2 = { (uint8_t)log2, NW_PAGE_LOG2 + NW_HOSTMEM_GROUP_LOG2 },
                                       .page_sizes = large ? 2 : 1 };
    return nw_tlb_init(t, name, &g, 0, err);
}

static enum nw_status begin_guest(struct vms *v, struct vm *vm)
{
    /* The "textbook" machine's caches (scenarios/machines/textbook.xml). */
    enum { TLB = 1536, TLB_WAYS = 12, NESTED_TLB = 64, NESTED_TLB_WAYS = 4, PDE = 32, PDPTE = 16, PSC_WAYS = 4 };
    const uint64_t own = v->config->host.tlb_entries;
    struct tables *s = vm->tables = calloc(1, sizeof *s);
    if (!s)
        return nw_fail_nomem(v->err, "a guest's tables");
    s->v = v;
    s->vm = vm;
    s->space = calloc(vm->config->works + 1, sizeof *s->space);
    s->large = calloc((vm->pages >> NW_HOSTMEM_GROUP_LOG2) + 1, sizeof *s->large);
    if (!s->space || !s->large)
        return nw_fail_nomem(v->err, "a guest's tables");
    enum nw_status st = nw_physmem_create(&s->words, v->err);
    if (!st)
        st = begin_cache(&s->tlb, "tlb", own ? own : TLB, own ? 4 : TLB_WAYS, NW_PAGE_LOG2, false, v->err);
    if (!st)
        st = begin_cache(&s->nested_tlb, "nested_tlb", NESTED_TLB, NESTED_TLB_WAYS, NW_PAGE_LOG2, true, v->err);
    for (unsigned d = 0; d < 2 && !st; d++)
        for (unsigned i = 0; i < PSC_LEVELS && !st; i++)
            st = begin_cache(&s->psc[d][i], "psc", i ? PDPTE : PDE, PSC_WAYS, i ? 30 : 21, false, v->err);
    return st;
}

enum nw_status walk_begin(struct vms *v)
{
    if (!v->config->host.fidelity)
        return NW_OK;
    enum nw_status st = nw_physmem_create(&v->words, v->err);
    for (unsigned i = 0; i < v->vms && !st; i++)
        st = begin_guest(v, &v->vm[i]);
    return st;
}

void walk_end(struct vms *v)
{
    for (unsigned i = 0; i < v->vms; i++) {
        struct tables *s = v->vm[i].tables;
        if (!s)
            continue;
        nw_tlb_fini(&s->tlb);
        nw_tlb_fini(&s->nested_tlb);
        for (unsigned d = 0; d < 2; d++)
            for (unsigned k = 0; k < PSC_LEVELS; k++)
                nw_tlb_fini(&s->psc[d][k]);
        nw_physmem_destroy(s->words);
        free(s->frames.item);
        free(s->pages.item);
        free(s->space);
        free(s->large);
        free(s);
        v->vm[i].tables = NULL;
    }
    nw_physmem_destroy(v->words);
}
