/* config.c - the configuration as a whole: elements, setting by path, provenance, cross-checks. */
#include "params.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nw_provenance {
    char *path, *source;
};

/* ---- elements ---- */

struct collection {
    const char *prefix; /* "tlb." */
    size_t base, stride, count;
};

/* A collection and its place in `c`; false when `path` names neither. */
static bool collection_of(const struct nw_config *c, const char *path, struct collection *out)
{
    if (!strncmp(path, "tlb.", 4)) {
        *out = (struct collection){ "tlb.", offsetof(struct nw_config, tlb), sizeof c->tlb[0], c->tlb_count };
        return true;
    }
    if (!strncmp(path, "memory.", 7)) {
        *out = (struct collection){ "memory.", offsetof(struct nw_config, cache), sizeof c->cache[0], c->cache_count };
        return true;
    }
    return false;
}

static const char *element_name(const struct nw_config *c, const struct collection *k, size_t i)
{
    return (const char *)c + k->base + i * k->stride; /* the name is the first member of both element types */
}

static void set_elements_to_initial(struct nw_config *c, const char *prefix, void *element)
{
    (void)c;
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++)
        if (!strncmp(p[i].path, prefix, strlen(prefix)) && strchr(p[i].path, '*')) {
            enum nw_status s = nw_param_parse(&p[i], p[i].path, p[i].initial, (char *)element + p[i].offset, NULL);
            (void)s; /* the table's own defaults parse; a test checks it */
        }
}

static enum nw_status check_name(const char *kind, const char *name, struct nw_error *err)
{
    size_t n = strlen(name);
    if (n == 0 || n >= NW_NAME_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != n ||
        !strcmp(name, "dram"))
        return nw_fail(err, NW_ERR_USAGE, "%s name \"%s\": expected 1 to %d of a-z, 0-9, _ and -%s", kind, name,
                       NW_NAME_MAX - 1, !strcmp(name, "dram") ? "; \"dram\" is taken" : "");
    return NW_OK;
}

enum nw_status nw_config_add_tlb(struct nw_config *c, const char *name, struct nw_error *err)
{
    enum nw_status s = check_name("TLB array", name, err);
    if (s)
        return s;
    for (size_t i = 0; i < c->tlb_count; i++)
        if (!strcmp(c->tlb[i].name, name))
            return nw_fail(err, NW_ERR_USAGE, "TLB array \"%s\" exists already", name);
    if (c->tlb_count == NW_TLB_ARRAYS_MAX)
        return nw_fail(err, NW_ERR_USAGE, "TLB array \"%s\": at most %d arrays are modelled", name, NW_TLB_ARRAYS_MAX);
    struct nw_tlb_config *t = &c->tlb[c->tlb_count++];
    memset(t, 0, sizeof *t);
    strcpy(t->name, name);
    set_elements_to_initial(c, "tlb.", t);
    return NW_OK;
}

enum nw_status nw_config_add_cache(struct nw_config *c, const char *name, struct nw_error *err)
{
    enum nw_status s = check_name("cache", name, err);
    if (s)
        return s;
    for (size_t i = 0; i < c->cache_count; i++)
        if (!strcmp(c->cache[i].name, name))
            return nw_fail(err, NW_ERR_USAGE, "cache \"%s\" exists already", name);
    if (c->cache_count == NW_CACHES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "cache \"%s\": at most %d caches are modelled", name, NW_CACHES_MAX);
    struct nw_cache_config *k = &c->cache[c->cache_count++];
    memset(k, 0, sizeof *k);
    strcpy(k->name, name);
    set_elements_to_initial(c, "memory.", k);
    return NW_OK;
}

/* ---- finding by path ---- */

const struct nw_param *nw_param_find(const struct nw_config *c, const char *path, const void **place)
{
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(p[i].path, path)) {
            if (strchr(path, '*'))
                return NULL;
            *place = (const char *)c + p[i].offset;
            return &p[i];
        }
    struct collection k;
    if (!collection_of(c, path, &k))
        return NULL;
    const char *name = path + strlen(k.prefix), *dot = strchr(name, '.');
    if (!dot)
        return NULL;
    for (size_t e = 0; e < k.count; e++) {
        if (strncmp(element_name(c, &k, e), name, (size_t)(dot - name)) || element_name(c, &k, e)[dot - name])
            continue;
        for (size_t i = 0; i < count; i++) {
            const char *star = strchr(p[i].path, '*');
            if (star && !strncmp(p[i].path, k.prefix, strlen(k.prefix)) && !strcmp(star + 1, dot)) {
                *place = (const char *)c + k.base + e * k.stride + p[i].offset;
                return &p[i];
            }
        }
    }
    return NULL;
}

static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[96];
    size_t n = strlen(b);
    if (n >= NW_ARRAY_LEN(row) - 1)
        return 1000;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[n];
}

struct nearest {
    const char *wanted;
    char path[3][96];
    unsigned distance[3];
};

static void note_nearest(void *context, const char *path, const char *value, const char *source,
                         const struct nw_param *param)
{
    (void)value, (void)source, (void)param;
    struct nearest *n = context;
    unsigned d = edit_distance(n->wanted, path);
    if (strstr(path, n->wanted)) /* a part of a path is a better hint than a like-looking path */
        d = 0;
    for (int i = 0; i < 3; i++)
        if (d < n->distance[i]) {
            for (int j = 2; j > i; j--) {
                memcpy(n->path[j], n->path[j - 1], sizeof n->path[j]);
                n->distance[j] = n->distance[j - 1];
            }
            snprintf(n->path[i], sizeof n->path[i], "%s", path);
            n->distance[i] = d;
            return;
        }
}

static enum nw_status unknown_path(const struct nw_config *c, const char *path, struct nw_error *err)
{
    struct nearest n = { .wanted = path, .distance = { 1000, 1000, 1000 } };
    nw_config_visit(c, note_nearest, &n);
    return nw_fail(err, NW_ERR_USAGE, "there is no parameter \"%s\"; the nearest are %s, %s and %s", path, n.path[0],
                   n.path[1], n.path[2]);
}

/* ---- provenance ---- */

static struct nw_provenance *provenance_find(const struct nw_config *c, const char *path)
{
    for (size_t i = 0; i < c->provenance_count; i++)
        if (!strcmp(c->provenance[i].path, path))
            return &c->provenance[i];
    return NULL;
}

static enum nw_status remember(struct nw_config *c, const char *path, const char *source, struct nw_error *err)
{
    char *copy = strdup(source);
    if (!copy)
        return nw_fail_nomem(err, "a parameter's source");
    struct nw_provenance *p = provenance_find(c, path);
    if (p) {
        free(p->source);
        p->source = copy;
        return NW_OK;
    }
    if (c->provenance_count == c->provenance_capacity) {
        size_t capacity = c->provenance_capacity ? c->provenance_capacity * 2 : 64;
        struct nw_provenance *bigger = reallocarray(c->provenance, capacity, sizeof *bigger);
        if (!bigger) {
            free(copy);
            return nw_fail_nomem(err, "parameter sources");
        }
        c->provenance = bigger;
        c->provenance_capacity = capacity;
    }
    char *path_copy = strdup(path);
    if (!path_copy) {
        free(copy);
        return nw_fail_nomem(err, "a parameter's source");
    }
    c->provenance[c->provenance_count++] = (struct nw_provenance){ path_copy, copy };
    return NW_OK;
}

const char *nw_config_source(const struct nw_config *c, const char *path)
{
    const struct nw_provenance *p = provenance_find(c, path);
    return p ? p->source : "default";
}

/* ---- life cycle ---- */

static void set_to_initial(struct nw_config *c, bool machine_only)
{
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++) {
        if (strchr(p[i].path, '*') || (machine_only && p[i].group != NW_GROUP_MACHINE))
            continue;
        enum nw_status s = nw_param_parse(&p[i], p[i].path, p[i].initial, (char *)c + p[i].offset, NULL);
        (void)s; /* the table's own defaults parse; a test checks it */
    }
}

void nw_config_clear_machine(struct nw_config *c)
{
    c->tlb_count = c->cache_count = 0;
    set_to_initial(c, true);
    size_t kept = 0;
    for (size_t i = 0; i < c->provenance_count; i++) {
        const void *place;
        const struct nw_param *p = nw_param_find(c, c->provenance[i].path, &place);
        if (p && p->group != NW_GROUP_MACHINE) {
            c->provenance[kept++] = c->provenance[i];
        } else { /* a machine's, or an element's that is no more */
            free(c->provenance[i].path);
            free(c->provenance[i].source);
        }
    }
    c->provenance_count = kept;
}

void nw_config_init(struct nw_config *c)
{
    memset(c, 0, sizeof *c);
    set_to_initial(c, false);
    static const struct nw_tlb_config textbook_tlb[] = {
        { "l1d", 1, NW_TLB_DATA, NW_HOLDS_ALL, 64, 4, NW_TLB_LRU, 0 },
        { "l1i", 1, NW_TLB_INSTRUCTION, NW_HOLDS_ALL, 128, 8, NW_TLB_LRU, 0 },
        { "l2", 2, NW_TLB_UNIFIED, NW_HOLDS_ALL, 1536, 12, NW_TLB_LRU, 7 },
    };
    static const struct nw_cache_config textbook_cache[] = {
        { "l1d", 32 << 10, 8, 4, NW_CACHE_LRU, NW_CACHE_LOW_BITS },
        { "l2", 1 << 20, 16, 14, NW_CACHE_LRU, NW_CACHE_LOW_BITS },
        { "l3", 32 << 20, 16, 50, NW_CACHE_LRU, NW_CACHE_LOW_BITS },
    };
    memcpy(c->tlb, textbook_tlb, sizeof textbook_tlb);
    c->tlb_count = NW_ARRAY_LEN(textbook_tlb);
    memcpy(c->cache, textbook_cache, sizeof textbook_cache);
    c->cache_count = NW_ARRAY_LEN(textbook_cache);
}

void nw_config_fini(struct nw_config *c)
{
    for (size_t i = 0; i < c->provenance_count; i++) {
        free(c->provenance[i].path);
        free(c->provenance[i].source);
    }
    free(c->provenance);
    c->provenance = NULL;
    c->provenance_count = c->provenance_capacity = 0;
}

enum nw_status nw_config_copy(struct nw_config *to, const struct nw_config *from, struct nw_error *err)
{
    *to = *from;
    to->provenance = NULL;
    to->provenance_count = to->provenance_capacity = 0;
    for (size_t i = 0; i < from->provenance_count; i++) {
        enum nw_status s = remember(to, from->provenance[i].path, from->provenance[i].source, err);
        if (s) {
            nw_config_fini(to);
            return s;
        }
    }
    return NW_OK;
}

/* ---- setting and asking ---- */

enum nw_status nw_config_set(struct nw_config *c, const char *path, const char *value, const char *source,
                             struct nw_error *err)
{
    const void *place;
    const struct nw_param *p = nw_param_find(c, path, &place);
    if (!p)
        return unknown_path(c, path, err);
    enum nw_status s = nw_param_parse(p, path, value, (char *)c + ((const char *)place - (const char *)c), err);
    return s ? s : remember(c, path, source, err);
}

enum nw_status nw_config_get(const struct nw_config *c, const char *path, char *out, size_t out_size,
                             struct nw_error *err)
{
    const void *place;
    const struct nw_param *p = nw_param_find(c, path, &place);
    if (!p)
        return unknown_path(c, path, err);
    nw_param_format(p, place, out, out_size);
    return NW_OK;
}

void nw_config_visit(const struct nw_config *c, nw_config_fn fn, void *context)
{
    size_t count;
    const struct nw_param *p = nw_params(&count);
    char path[96], value[256];
    for (size_t i = 0; i < count;) {
        struct collection k;
        if (!strchr(p[i].path, '*') || !collection_of(c, p[i].path, &k)) {
            nw_param_format(&p[i], (const char *)c + p[i].offset, value, sizeof value);
            fn(context, p[i].path, value, nw_config_source(c, p[i].path), &p[i]);
            i++;
            continue;
        }
        /* A run of rows of one collection: element by element. */
        size_t rows = 0;
        while (i + rows < count && strchr(p[i + rows].path, '*') &&
               !strncmp(p[i + rows].path, k.prefix, strlen(k.prefix)))
            rows++;
        for (size_t e = 0; e < k.count; e++)
            for (size_t r = 0; r < rows; r++) {
                const struct nw_param *row = &p[i + r];
                snprintf(path, sizeof path, "%s%s%s", k.prefix, element_name(c, &k, e), strchr(row->path, '*') + 1);
                nw_param_format(row, (const char *)c + k.base + e * k.stride + row->offset, value, sizeof value);
                fn(context, path, value, nw_config_source(c, path), row);
            }
        i += rows;
    }
}

/* ---- cross-checks ---- */

static enum nw_status check_array(const struct nw_tlb_config *t, struct nw_error *err)
{
    if (t->entries % t->ways)
        return nw_fail(err, NW_ERR_USAGE, "tlb.%s.entries=%" PRIu64 " is not a multiple of tlb.%s.ways=%" PRIu64,
                       t->name, t->entries, t->name, t->ways);
    return NW_OK;
}

static enum nw_status check_psc(const char *path, const struct nw_psc_config *p, struct nw_error *err)
{
    if (p->ways && p->entries % p->ways)
        return nw_fail(err, NW_ERR_USAGE, "%s.entries=%" PRIu64 " is not a multiple of %s.ways=%" PRIu64, path,
                       p->entries, path, p->ways);
    return NW_OK;
}

/* Each level must be able to hold some part of every page, so 4 KiB, for both classes of access. */
static enum nw_status check_level(const struct nw_config *c, uint64_t level, struct nw_error *err)
{
    static const char *const what[] = { "data", "instruction" };
    for (uint64_t class = NW_TLB_DATA; class <= NW_TLB_INSTRUCTION; class ++) {
        bool found = false;
        for (size_t i = 0; i < c->tlb_count; i++)
            found |= c->tlb[i].level == level && (c->tlb[i].class == class || c->tlb[i].class == NW_TLB_UNIFIED) &&
                     (c->tlb[i].pages & NW_HOLDS_4K);
        if (!found)
            return nw_fail(err, NW_ERR_USAGE, "tlb: no array of level %" PRIu64 " holds 4K pages for %s accesses",
                           level, what[class]);
        for (unsigned size = 0; size < 3; size++) {
            unsigned holders = 0;
            const char *names[2] = { "", "" };
            for (size_t i = 0; i < c->tlb_count; i++)
                if (c->tlb[i].level == level && (c->tlb[i].class == class || c->tlb[i].class == NW_TLB_UNIFIED) &&
                    (c->tlb[i].pages & (1u << size)) && holders < 2)
                    names[holders++] = c->tlb[i].name;
            if (holders == 2)
                return nw_fail(err, NW_ERR_USAGE,
                               "tlb.%s and tlb.%s both hold the same page size at level %" PRIu64 " for %s accesses",
                               names[0], names[1], level, what[class]);
        }
    }
    return NW_OK;
}

/* The sums of a run are 64-bit counts. */
static enum nw_status check_mix(const struct nw_config *c, struct nw_error *err)
{
    double cycles = (double)c->mix.base_cycles;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++)
        cycles += (double)c->mix.count[i] * (double)nw_exit_cost_total(&c->cost.exit[i]);
    return cycles < 0x1p62
               ? NW_OK
               : nw_fail(err, NW_ERR_USAGE, "mix: its exits cost %.3g cycles by cost.exit; at most 2^62 can be counted",
                         cycles);
}

static enum nw_status check_io(const struct nw_config *c, struct nw_error *err)
{
    const struct nw_dmar_config *d = &c->dmar;
    if (d->iotlb_entries % d->iotlb_ways || d->paging_cache_entries % d->paging_cache_ways)
        return nw_fail(err, NW_ERR_USAGE,
                       "dmar: entries of the IOTLB and the paging-structure caches are multiples of their ways");
    if (c->iommu.pool_bytes & 0x1fffff)
        return nw_fail(err, NW_ERR_USAGE, "iommu.pool=%" PRIu64 " is not a whole number of 2 MiB", c->iommu.pool_bytes);
    if (c->iommu.request_bytes & (c->iommu.request_bytes - 1))
        return nw_fail(err, NW_ERR_USAGE, "iommu.request_bytes=%" PRIu64 " is no power of two", c->iommu.request_bytes);
    if (c->mode == NW_MODE_NATIVE && c->io.device != NW_IO_PASSED_THROUGH)
        return nw_fail(err, NW_ERR_USAGE,
                       "io.device: a paravirtual or emulated device needs a mode with a hypervisor, not native");
    if (c->mode == NW_MODE_NATIVE && c->iommu.kind != NW_IOMMU_NONE && c->iommu.unit != 0)
        return nw_fail(err, NW_ERR_USAGE, "iommu.unit: an emulated unit needs a mode with a hypervisor, not native");
    return NW_OK;
}

enum nw_status nw_config_check(const struct nw_config *c, struct nw_error *err)
{
    enum nw_status s;
    uint64_t last = 0;
    if (c->tlb_count == 0)
        return nw_fail(err, NW_ERR_USAGE, "tlb: the machine has no TLB array");
    for (size_t i = 0; i < c->tlb_count; i++) {
        if ((s = check_array(&c->tlb[i], err)))
            return s;
        last = c->tlb[i].level > last ? c->tlb[i].level : last;
    }
    for (uint64_t level = 1; level <= last; level++)
        if ((s = check_level(c, level, err)))
            return s;
    for (size_t i = 0; i < c->cache_count; i++) {
        const struct nw_cache_config *k = &c->cache[i];
        if (k->size_bytes % (64 * k->ways))
            return nw_fail(err, NW_ERR_USAGE,
                           "memory.%s.size=%" PRIu64 " is not a whole number of sets of memory.%s.ways=%" PRIu64
                           " lines of 64 bytes",
                           k->name, k->size_bytes, k->name, k->ways);
    }
    static const char *const psc_level[NW_PSC_LEVELS] = { "pde", "pdpte", "pml4e", "pml5e" };
    char path[32];
    for (size_t i = 0; i < NW_PSC_LEVELS; i++) {
        snprintf(path, sizeof path, "psc.guest.%s", psc_level[i]);
        if ((s = check_psc(path, &c->psc_guest[i], err)))
            return s;
        snprintf(path, sizeof path, "psc.nested.%s", psc_level[i]);
        if ((s = check_psc(path, &c->psc_nested[i], err)))
            return s;
    }
    if ((s = check_psc("nested_tlb", &c->nested_tlb, err)))
        return s;
    for (size_t i = 0; (c->guest_pde_in_tlb || c->nested_tlb_in_tlb) && i <= c->tlb_count; i++) {
        const struct nw_tlb_config *t = &c->tlb[i];
        if (i == c->tlb_count)
            return nw_fail(err, NW_ERR_USAGE,
                           "psc.guest.pde.in_tlb or nested_tlb.in_tlb: no array of the last level for data holds pages "
                           "of 4K and 2M");
        if (t->level == last && t->class != NW_TLB_INSTRUCTION && (t->pages & NW_HOLDS_4K) && (t->pages & NW_HOLDS_2M))
            break;
    }
    if (c->vmm.frames == NW_HOST_FRAMES_SCATTERED && c->vmm.backing != NW_PAGES_4K)
        return nw_fail(err, NW_ERR_USAGE,
                       "vmm.frames=scattered needs vmm.backing=4K: a larger page is a run of frames");
    if (c->vmm.pml && (c->vmm.slat != NW_SLAT_EPT || !c->vmm.accessed_dirty))
        return nw_fail(err, NW_ERR_USAGE, "vmm.pml=1 needs vmm.slat=ept and vmm.accessed_dirty=1");
    if (c->walker.first_cache && c->walker.first_cache >= c->cache_count)
        return nw_fail(err, NW_ERR_USAGE, "walker.first_cache=%" PRIu64 ": the machine has %zu caches",
                       c->walker.first_cache, c->cache_count);
    return (s = check_io(c, err)) ? s : check_mix(c, err);
}
