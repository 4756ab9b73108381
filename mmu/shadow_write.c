#include "shadow_internal.h"

/* Brings what this shadow table made from the guest's entries first..last in step with them. */
static enum nw_status propagate(struct nw_shadow *sh, uint32_t id, uint64_t first, uint64_t last,
                                struct nw_shadow_invalidation *inv, struct nw_error *err)
{
    const struct shadow_page *page = sh->page[id];
    const struct nw_paging *guest = &sh->root[page->root].guest;
    unsigned guest_log2 = guest->level[page->guest_level].index_low, log2 = entry_log2(page->level);
    uint64_t from = page->guest_base + (first << guest_log2), to = page->guest_base + ((last + 1) << guest_log2) - 1;
    uint64_t end = page->base + (NW_BIT(page_bytes_log2(page->level)) - 1);
    from = from < page->base ? page->base : from;
    to = to > end ? end : to;
    if (from > to)
        return NW_OK;
    for (uint64_t index = (from - page->base) >> log2; index <= (to - page->base) >> log2; index++) {
        bool made;
        enum nw_status s = shadow_refresh(sh, id, (uint32_t)index, inv, &made, err);
        if (s)
            return s;
        sh->counters.propagated += made;
    }
    return NW_OK;
}

static enum nw_status changed(struct nw_shadow *sh, gpa_t gpa, unsigned bytes, bool counts,
                              struct nw_shadow_invalidation *out, struct nw_error *err)
{
    *out = (struct nw_shadow_invalidation){ .kind = NW_SHADOW_NOTHING };
    uint64_t pfn = gpa.v >> NW_PAGE_LOG2, offset = gpa.v & (NW_PAGE_BYTES - 1);
    if (!bytes || offset + bytes > NW_PAGE_BYTES)
        return nw_fail(err, NW_ERR_INPUT, "a table write of %u bytes at GPA 0x%llx leaves its page", bytes,
                       (unsigned long long)gpa.v);
    out->trapped = shadow_page_of(sh, pfn, NONE) != NONE;
    enum nw_status s = counts ? shadow_agile_written(sh, pfn, out, err) : NW_OK;
    if (s || !out->trapped)
        return s;
    sh->counters.table_writes++;
    sh->writes++;
    for (uint32_t id = shadow_page_of(sh, pfn, NONE); id;) {
        struct shadow_page *page = sh->page[id];
        if (page->visited == sh->writes) {
            id = shadow_page_of(sh, pfn, id);
            continue;
        }
        page->visited = sh->writes;
        const struct nw_paging *guest = &sh->root[page->root].guest;
        uint64_t start = page->guest_table & (NW_PAGE_BYTES - 1);
        uint64_t size = NW_BIT(guest->level[page->guest_level].index_bits) << guest->entry_log2;
        uint64_t first = offset < start ? start : offset, last = offset + bytes - 1;
        last = last >= start + size ? start + size - 1 : last;
        s = first > last ? NW_OK
                         : propagate(sh, id, (first - start) >> guest->entry_log2, (last - start) >> guest->entry_log2,
                                     out, err);
        if (s)
            return s;
        id = shadow_page_of(sh, pfn, NONE); /* the chain may have changed: begin again, past those visited */
    }
    return NW_OK;
}

enum nw_status nw_shadow_table_write(struct nw_shadow *sh, gpa_t gpa, unsigned bytes,
                                     struct nw_shadow_invalidation *out, struct nw_error *err)
{
    return changed(sh, gpa, bytes, true, out, err);
}

enum nw_status nw_shadow_table_preset(struct nw_shadow *sh, gpa_t gpa, unsigned bytes,
                                      struct nw_shadow_invalidation *out, struct nw_error *err)
{
    return changed(sh, gpa, bytes, false, out, err);
}

enum nw_status nw_shadow_store_trapped(struct nw_shadow *sh, gpa_t gpa, struct nw_shadow_invalidation *out,
                                       struct nw_error *err)
{
    *out = (struct nw_shadow_invalidation){ .kind = NW_SHADOW_NOTHING, .trapped = nw_shadow_is_table(sh, gpa) };
    return shadow_agile_written(sh, gpa.v >> NW_PAGE_LOG2, out, err);
}
