/* A machine profile of what CPUID tells. */
#include <inttypes.h>
#include <nestwalk/sim/host.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct making {
    struct nw_config *c;
    char (*note)[NW_HOST_TEXT];
    size_t notes;
    uint64_t taken[3][5]; /* page sizes that accesses of a class have an array for, by class and level */
};

__attribute__((format(printf, 2, 3))) static void note(struct making *m, const char *format, ...)
{
    va_list args;
    if (m->notes == NW_HOST_NOTES)
        return;
    va_start(args, format);
    vsnprintf(m->note[m->notes++], NW_HOST_TEXT, format, args);
    va_end(args);
}

static enum nw_status set(struct making *m, const char *prefix, const char *name, const char *field, const char *value,
                          const char *source, struct nw_error *err)
{
    char path[96];
    snprintf(path, sizeof path, "%s%s%s.%s", prefix, name[0] ? "." : "", name, field);
    return nw_config_set(m->c, path, value, source, err);
}

static const char *pages_text(uint64_t pages, char out[16])
{
    snprintf(out, 16, "%s%s%s", pages & NW_HOLDS_4K ? "4K " : "", pages & NW_HOLDS_2M ? "2M " : "",
             pages & NW_HOLDS_1G ? "1G " : "");
    out[strlen(out) - (out[0] != 0)] = 0;
    return out;
}

/* Of the array's page sizes, those that no array of its level has for the same accesses yet. */
static uint64_t still_free(struct making *m, const struct nw_host_tlb *t)
{
    uint64_t pages = t->pages;
    for (unsigned class = 0; class < 3; class ++)
        if (class == t->class || class == NW_TLB_UNIFIED || t->class == NW_TLB_UNIFIED)
            pages &= ~m->taken[class][t->level];
    return pages;
}

static enum nw_status add_array(struct making *m, const struct nw_host_tlb *t, struct nw_error *err)
{
    static const char *const class_name[] = {
        [NW_TLB_DATA] = "data", [NW_TLB_INSTRUCTION] = "instruction", [NW_TLB_UNIFIED] = "unified"
    };
    static const char letter[] = { [NW_TLB_DATA] = 'd', [NW_TLB_INSTRUCTION] = 'i', [NW_TLB_UNIFIED] = 0 };
    char name[NW_NAME_MAX], text[24], held[16], was[16];
    const uint64_t pages = t->level <= 4 ? still_free(m, t) : 0;
    if (t->stores_only || !pages) {
        note(m, "%s: a level-%u array of %u entries for %s is left out: %s", t->source, t->level, t->entries,
             pages_text(t->pages, was),
             t->stores_only ? "it is for stores alone" : "another array of the level has these pages");
        return NW_OK;
    }
    if (pages != t->pages)
        note(m, "%s: the level-%u array of %u entries has %s here, not %s: another array of the level has the rest",
             t->source, t->level, t->entries, pages_text(pages, held), pages_text(t->pages, was));
    if (t->entries % t->ways) {
        note(m, "%s: %u entries in %u ways are no whole number of sets; the array is left out", t->source, t->entries,
             t->ways);
        return NW_OK;
    }
    snprintf(name, sizeof name, "l%u%.1s_%s%s%s", t->level, &letter[t->class], pages & NW_HOLDS_4K ? "4k" : "",
             pages & NW_HOLDS_2M ? "2m" : "", pages & NW_HOLDS_1G ? "1g" : "");
    enum nw_status s = nw_config_add_tlb(m->c, name, err);
    m->taken[t->class][t->level] |= pages;
    const struct {
        const char *field;
        uint64_t value;
    } numbers[] = { { "level", t->level }, { "entries", t->entries }, { "ways", t->ways } };
    for (size_t i = 0; i < NW_ARRAY_LEN(numbers) && !s; i++) {
        snprintf(text, sizeof text, "%" PRIu64, numbers[i].value);
        s = set(m, "tlb", name, numbers[i].field, text, t->source, err);
    }
    if (!s)
        s = set(m, "tlb", name, "class", class_name[t->class], t->source, err);
    return s ? s : set(m, "tlb", name, "pages", pages_text(pages, held), t->source, err);
}

static enum nw_status add_cache(struct making *m, const struct nw_host_cache *k, struct nw_error *err)
{
    char name[NW_NAME_MAX], text[24];
    if (!k->data)
        return NW_OK; /* page tables are not read through it */
    if (k->line_bytes != 64 || k->bytes % (64 * k->ways)) {
        note(m, "%s: a level-%u cache with lines of %u bytes is left out: lines have 64 bytes here", k->source,
             k->level, k->line_bytes);
        return NW_OK;
    }
    snprintf(name, sizeof name, "l%u%s", k->level, k->level == 1 ? "d" : "");
    enum nw_status s = nw_config_add_cache(m->c, name, err);
    static const char *const latency[] = { "4", "4", "14", "50", "50" };
    snprintf(text, sizeof text, "%" PRIu64, k->bytes);
    if (!s)
        s = set(m, "memory", name, "size", text, k->source, err);
    snprintf(text, sizeof text, "%u", k->ways);
    if (!s)
        s = set(m, "memory", name, "ways", text, k->source, err);
    return s ? s
             : set(m, "memory", name, "latency_cycles", latency[k->level < 4 ? k->level : 4],
                   "assumed: as the textbook machine's", err);
}

/* Levels in order: an array of level 2 needs one of level 1 before it. */
static enum nw_status add_all(struct making *m, const struct nw_host *h, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (unsigned level = 1; level <= 4; level++)
        for (size_t i = 0; i < h->tlbs && !s; i++)
            if (h->tlb[i].level == level)
                s = add_array(m, &h->tlb[i], err);
    for (unsigned level = 1; level <= 4; level++)
        for (size_t i = 0; i < h->caches && !s; i++)
            if (h->cache[i].level == level)
                s = add_cache(m, &h->cache[i], err);
    return s;
}

enum nw_status nw_host_profile(const struct nw_host *h, struct nw_config *out, char notes[NW_HOST_NOTES][NW_HOST_TEXT],
                               size_t *note_count, struct nw_error *err)
{
    struct making m = { .c = out, .note = notes };
    bool data = false, fetches = false;
    for (size_t i = 0; i < h->tlbs; i++) {
        data |= h->tlb[i].class != NW_TLB_INSTRUCTION && h->tlb[i].pages & NW_HOLDS_4K && h->tlb[i].level == 1 &&
                !h->tlb[i].stores_only;
        fetches |= h->tlb[i].class != NW_TLB_DATA && h->tlb[i].pages & NW_HOLDS_4K && h->tlb[i].level == 1;
    }
    *note_count = 0;
    if (!data || !fetches)
        return nw_fail(err, NW_ERR_UNSUPPORTED,
                       "CPUID tells of no first-level TLB for %s%s%s; the nearest shipped profile is %s",
                       data ? "instructions" : "data", h->hypervisor[0] ? ": the hypervisor above hides it, " : "",
                       h->hypervisor, h->near ? h->near : "textbook");
    nw_config_clear_machine(out);
    static const struct {
        const char *leaf, *name;
    } vendors[] = { { "GenuineIntel", "intel" }, { "AuthenticAMD", "amd" }, { "HygonGenuine", "amd" } };
    const char *vendor = h->vendor;
    for (size_t i = 0; i < NW_ARRAY_LEN(vendors); i++)
        if (!strcmp(h->vendor, vendors[i].leaf))
            vendor = vendors[i].name;
    enum nw_status s = nw_config_set(out, "machine.name", "host", "cpuid", err);
    if (!s)
        s = nw_config_set(out, "machine.vendor", vendor, "cpuid 00000000h", err);
    if (!s && h->model_name[0])
        s = nw_config_set(out, "machine.model", h->model_name, "cpuid 80000002h", err);
    if (!s)
        s = add_all(&m, h, err);
    if (!s)
        s = nw_config_check(out, err);
    note(&m, "CPUID does not tell of paging-structure caches, nested TLBs, replacement and latencies: they keep their "
             "defaults");
    *note_count = m.notes;
    return s;
}
