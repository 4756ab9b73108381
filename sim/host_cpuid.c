/* CPUID leaves into TLBs, caches and features. */
#include <nestwalk/base/bits.h>
#include <nestwalk/sim/host.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#    include <cpuid.h>
#endif

/* ---- leaves ---- */

static enum nw_status add(struct nw_cpuid *id, struct nw_cpuid_leaf leaf, struct nw_error *err)
{
    if (id->count == id->capacity) {
        const size_t capacity = id->capacity ? id->capacity * 2 : 64;
        struct nw_cpuid_leaf *more = realloc(id->leaf, capacity * sizeof *more);
        if (!more)
            return nw_fail_nomem(err, "CPUID leaves");
        id->leaf = more;
        id->capacity = capacity;
    }
    id->leaf[id->count++] = leaf;
    return NW_OK;
}

enum nw_status nw_cpuid_read(struct nw_cpuid *out, struct nw_error *err)
{
    *out = (struct nw_cpuid){ 0 };
#if defined(__x86_64__) || defined(__i386__)
    static const uint32_t first[] = { 0, 0x40000000, 0x80000000 };
    enum { SUBLEAVES = 32, LEAVES_MAX = 64 };
    for (unsigned i = 0; i < NW_ARRAY_LEN(first); i++) {
        struct nw_cpuid_leaf l = { .leaf = first[i] };
        __cpuid_count(first[i], 0, l.eax, l.ebx, l.ecx, l.edx);
        const uint32_t last = l.eax >= first[i] && l.eax - first[i] < LEAVES_MAX ? l.eax : first[i];
        for (uint32_t leaf = first[i]; leaf <= last; leaf++) {
            const bool subleaves = leaf == 4 || leaf == 0x18 || leaf == 0x8000001d || leaf == 7;
            for (uint32_t sub = 0; sub < (subleaves ? SUBLEAVES : 1); sub++) {
                l = (struct nw_cpuid_leaf){ .leaf = leaf, .subleaf = sub };
                __cpuid_count(leaf, sub, l.eax, l.ebx, l.ecx, l.edx);
                enum nw_status s = add(out, l, err);
                if (s) {
                    nw_cpuid_fini(out);
                    return s;
                }
            }
        }
    }
    return NW_OK;
#else
    return nw_fail(err, NW_ERR_UNSUPPORTED, "this is no x86 processor: there is no CPUID");
#endif
}

enum nw_status nw_cpuid_parse(struct nw_cpuid *out, const char *text, const char *name, struct nw_error *err)
{
    *out = (struct nw_cpuid){ 0 };
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        struct nw_cpuid_leaf l;
        enum nw_status s = NW_OK;
        if (sscanf(line, " 0x%8x 0x%8x: eax=0x%8x ebx=0x%8x ecx=0x%8x edx=0x%8x", &l.leaf, &l.subleaf, &l.eax, &l.ebx,
                   &l.ecx, &l.edx) == 6)
            s = add(out, l, err);
        if (s) {
            nw_cpuid_fini(out);
            return s;
        }
    }
    if (!out->count)
        return nw_fail(err, NW_ERR_INPUT,
                       "%s: no line such as \"0x00000000 0x00: eax=0x... ebx=0x... ecx=0x... edx=0x...\" (cpuid -r -1)",
                       name);
    return NW_OK;
}

void nw_cpuid_fini(struct nw_cpuid *id)
{
    free(id->leaf);
    *id = (struct nw_cpuid){ 0 };
}

struct nw_cpuid_leaf nw_cpuid_find(const struct nw_cpuid *id, uint32_t leaf, uint32_t subleaf)
{
    for (size_t i = 0; i < id->count; i++)
        if (id->leaf[i].leaf == leaf && id->leaf[i].subleaf == subleaf)
            return id->leaf[i];
    return (struct nw_cpuid_leaf){ .leaf = leaf, .subleaf = subleaf };
}

/* ---- TLBs ---- */

enum { P4K = NW_HOLDS_4K, P2M = NW_HOLDS_2M, P1G = NW_HOLDS_1G };

static void add_tlb(struct nw_host *h, struct nw_host_tlb t, const char *source)
{
    if (h->tlbs == NW_HOST_TLBS_MAX || !t.entries || !t.ways || !t.pages)
        return;
    snprintf(t.source, sizeof t.source, "cpuid %s", source);
    h->tlb[h->tlbs++] = t;
}

/* Intel, leaf 2: a byte names an array. SDM vol. 2, CPUID, "Encoding of CPUID Leaf 2 Descriptors". Ways 0: fully associative. */
static const struct descriptor {
    uint8_t byte, level, class, pages, ways;
    uint16_t entries;
} descriptors[] = {
    { 0x01, 1, NW_TLB_INSTRUCTION, P4K, 4, 32 },
    { 0x02, 1, NW_TLB_INSTRUCTION, P2M, 0, 2 },
    { 0x03, 1, NW_TLB_DATA, P4K, 4, 64 },
    { 0x04, 1, NW_TLB_DATA, P2M, 4, 8 },
    { 0x05, 1, NW_TLB_DATA, P2M, 4, 32 },
    { 0x0b, 1, NW_TLB_INSTRUCTION, P2M, 4, 4 },
    { 0x4f, 1, NW_TLB_INSTRUCTION, P4K, 0, 32 },
    { 0x50, 1, NW_TLB_INSTRUCTION, P4K | P2M, 0, 64 },
    { 0x51, 1, NW_TLB_INSTRUCTION, P4K | P2M, 0, 128 },
    { 0x52, 1, NW_TLB_INSTRUCTION, P4K | P2M, 0, 256 },
    { 0x55, 1, NW_TLB_INSTRUCTION, P2M, 0, 7 },
    { 0x56, 1, NW_TLB_DATA, P2M, 4, 16 },
    { 0x57, 1, NW_TLB_DATA, P4K, 4, 16 },
    { 0x59, 1, NW_TLB_DATA, P4K, 0, 16 },
    { 0x5a, 1, NW_TLB_DATA, P2M, 4, 32 },
    { 0x5b, 1, NW_TLB_DATA, P4K | P2M, 0, 64 },
    { 0x5c, 1, NW_TLB_DATA, P4K | P2M, 0, 128 },
    { 0x5d, 1, NW_TLB_DATA, P4K | P2M, 0, 256 },
    { 0x61, 1, NW_TLB_INSTRUCTION, P4K, 0, 48 },
    { 0x63, 1, NW_TLB_DATA, P2M, 4, 32 },
    { 0x63, 1, NW_TLB_DATA, P1G, 4, 4 },
    { 0x64, 1, NW_TLB_DATA, P4K, 4, 512 },
    { 0x6a, 1, NW_TLB_DATA, P4K, 8, 64 },
    { 0x6b, 1, NW_TLB_DATA, P4K, 8, 256 },
    { 0x6c, 1, NW_TLB_DATA, P2M, 8, 128 },
    { 0x6d, 1, NW_TLB_DATA, P1G, 0, 16 },
    { 0x76, 1, NW_TLB_INSTRUCTION, P2M, 0, 8 },
    { 0xa0, 1, NW_TLB_DATA, P4K, 0, 32 },
    { 0xb0, 1, NW_TLB_INSTRUCTION, P4K, 4, 128 },
    { 0xb1, 1, NW_TLB_INSTRUCTION, P2M, 4, 8 },
    { 0xb2, 1, NW_TLB_INSTRUCTION, P4K, 4, 64 },
    { 0xb3, 1, NW_TLB_DATA, P4K, 4, 128 },
    { 0xb4, 1, NW_TLB_DATA, P4K, 4, 256 },
    { 0xb5, 1, NW_TLB_INSTRUCTION, P4K, 8, 64 },
    { 0xb6, 1, NW_TLB_INSTRUCTION, P4K, 8, 128 },
    { 0xba, 1, NW_TLB_DATA, P4K, 4, 64 },
    { 0xc0, 1, NW_TLB_DATA, P4K | P2M, 4, 8 },
    { 0xc1, 2, NW_TLB_UNIFIED, P4K | P2M, 8, 1024 },
    { 0xc2, 1, NW_TLB_DATA, P4K | P2M, 4, 16 },
    { 0xc3, 2, NW_TLB_UNIFIED, P4K | P2M, 6, 1536 },
    { 0xc3, 2, NW_TLB_UNIFIED, P1G, 4, 16 },
    { 0xc4, 1, NW_TLB_DATA, P2M, 4, 32 },
    { 0xca, 2, NW_TLB_UNIFIED, P4K, 4, 512 },
};

static void intel_descriptors(const struct nw_cpuid *id, struct nw_host *h)
{
    const struct nw_cpuid_leaf l = nw_cpuid_find(id, 2, 0);
    const uint32_t reg[4] = { l.eax, l.ebx, l.ecx, l.edx };
    for (unsigned r = 0; r < 4; r++)
        for (unsigned b = r == 0; b < 4 && !(reg[r] & NW_BIT(31));
             b++) /* AL is a count; bit 31: the register says nothing */
            for (size_t i = 0; i < NW_ARRAY_LEN(descriptors); i++) {
                const struct descriptor *d = &descriptors[i];
                char source[48];
                if (d->byte != (reg[r] >> (8 * b) & 0xff))
                    continue;
                snprintf(source, sizeof source, "00000002h, descriptor %02Xh", d->byte);
                add_tlb(h,
                        (struct nw_host_tlb){ .level = d->level,
                                              .class = d->class,
                                              .pages = d->pages,
                                              .entries = d->entries,
                                              .ways = d->ways ? d->ways : d->entries },
                        source);
            }
}

/* Intel, leaf 18H: deterministic address translation parameters. */
static void intel_tlbs(const struct nw_cpuid *id, struct nw_host *h)
{
    static const uint64_t class[8] = {
        [1] = NW_TLB_DATA, [2] = NW_TLB_INSTRUCTION, [3] = NW_TLB_UNIFIED, [4] = NW_TLB_DATA, [5] = NW_TLB_DATA
    };
    for (uint32_t sub = 0; sub < 32; sub++) {
        const struct nw_cpuid_leaf l = nw_cpuid_find(id, 0x18, sub);
        const unsigned type = l.edx & 31, ways = l.ebx >> 16, sets = l.ecx;
        char source[48];
        if (!type || type > 5)
            continue;
        snprintf(source, sizeof source, "00000018h:%u", sub);
        const uint64_t entries = (uint64_t)ways * sets;
        add_tlb(h,
                (struct nw_host_tlb){ .level = l.edx >> 5 & 7,
                                      .class = class[type],
                                      .pages = (l.ebx & 1 ? P4K : 0) | (l.ebx & 6 ? P2M : 0) | (l.ebx & 8 ? P1G : 0),
                                      .entries = entries < NW_BIT(20) ? (unsigned)entries : 0,
                                      .ways = l.edx & NW_BIT(8) ? (unsigned)entries : ways,
                                      .stores_only = type == 5 },
                source);
    }
}

/* AMD: associativity codes of 8000_0006h and 8000_0019h. */
static unsigned amd_ways(unsigned code, unsigned entries)
{
    static const uint8_t ways[16] = { 0, 1, 2, 3, 4, 6, 8, 0, 16, 0, 32, 48, 64, 96, 128, 0 };
    return code == 15 ? entries : ways[code & 15];
}

static void amd_pair(struct nw_host *h, unsigned level, unsigned pages, uint32_t reg, const char *source)
{
    const unsigned data = reg >> 16 & 0xfff, fetch = reg & 0xfff;
    add_tlb(
        h,
        (struct nw_host_tlb){
            .level = level, .class = NW_TLB_DATA, .pages = pages, .entries = data, .ways = amd_ways(reg >> 28, data) },
        source);
    add_tlb(h,
            (struct nw_host_tlb){ .level = level,
                                  .class = NW_TLB_INSTRUCTION,
                                  .pages = pages,
                                  .entries = fetch,
                                  .ways = amd_ways(reg >> 12 & 15, fetch) },
            source);
}

/* 8000_0005h: entries and ways in bytes; FFh: fully associative. */
static void amd_first(struct nw_host *h, unsigned pages, uint32_t reg, const char *source)
{
    for (unsigned data = 0; data < 2; data++) {
        const unsigned half = reg >> (data ? 16 : 0), entries = half & 0xff, ways = half >> 8 & 0xff;
        add_tlb(h,
                (struct nw_host_tlb){ .level = 1,
                                      .class = data ? NW_TLB_DATA : NW_TLB_INSTRUCTION,
                                      .pages = pages,
                                      .entries = entries,
                                      .ways = ways == 0xff ? entries : ways },
                source);
    }
}

/* Where the two halves of a level say the same, they are one array for both page sizes; such arrays are joined. */
static void join(struct nw_host *h)
{
    for (size_t i = 0; i < h->tlbs; i++)
        for (size_t j = i + 1; j < h->tlbs; j++) {
            struct nw_host_tlb *a = &h->tlb[i], *b = &h->tlb[j];
            if (a->level != b->level || a->class != b->class || a->entries != b->entries || a->ways != b->ways ||
                a->ways != a->entries)
                continue; /* a fully associative array of AMD holds all page sizes that are reported with its size */
            a->pages |= b->pages;
            memmove(b, b + 1, (h->tlbs - j - 1) * sizeof *b);
            h->tlbs--;
            j--;
        }
}

static void amd_tlbs(const struct nw_cpuid *id, struct nw_host *h)
{
    const struct nw_cpuid_leaf first = nw_cpuid_find(id, 0x80000005, 0), second = nw_cpuid_find(id, 0x80000006, 0),
                               large = nw_cpuid_find(id, 0x80000019, 0);
    amd_first(h, P4K, first.ebx, "80000005h");
    amd_first(h, P2M, first.eax, "80000005h");
    amd_pair(h, 1, P1G, large.eax, "80000019h");
    amd_pair(h, 2, P4K, second.ebx, "80000006h");
    amd_pair(h, 2, P2M, second.eax, "80000006h");
    amd_pair(h, 2, P1G, large.ebx, "80000019h");
    join(h);
}

/* ---- caches ---- leaf 4, and AMD's 8000_001Dh in the same form. */

static void caches(const struct nw_cpuid *id, uint32_t leaf, struct nw_host *h)
{
    for (uint32_t sub = 0; sub < 32; sub++) {
        const struct nw_cpuid_leaf l = nw_cpuid_find(id, leaf, sub);
        const unsigned type = l.eax & 31, line = (l.ebx & 0xfff) + 1, parts = (l.ebx >> 12 & 0x3ff) + 1,
                       ways = (l.ebx >> 22) + 1;
        if (!type || type > 3 || h->caches == NW_HOST_CACHES_MAX)
            continue;
        struct nw_host_cache *c = &h->cache[h->caches++];
        *c = (struct nw_host_cache){ .level = l.eax >> 5 & 7,
                                     .ways = ways,
                                     .line_bytes = line,
                                     .data = type != 2,
                                     .instructions = type != 1,
                                     .bytes = (uint64_t)line * parts * ways * ((uint64_t)l.ecx + 1) };
        snprintf(c->source, sizeof c->source, "cpuid %08xh:%u", leaf, sub);
    }
}

/* ---- the whole ---- */

static void copy_name(char *out, const uint32_t *reg, size_t count)
{
    memcpy(out, reg, count * sizeof *reg);
    out[count * sizeof *reg] = 0;
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 32 || (unsigned char)*p > 126)
            *p = ' ';
    size_t length = strlen(out);
    while (length && out[length - 1] == ' ')
        out[--length] = 0;
}

static const struct {
    const char *vendor, *profile;
    unsigned family, model_first, model_last;
} shipped[] = {
    { "GenuineIntel", "intel-nehalem", 6, 0x1a, 0x1f },
    { "GenuineIntel", "intel-nehalem", 6, 0x2c, 0x2e },
    { "GenuineIntel", "intel-haswell", 6, 0x3c, 0x3c },
    { "GenuineIntel", "intel-haswell", 6, 0x3f, 0x3f },
    { "GenuineIntel", "intel-haswell", 6, 0x45, 0x46 },
    { "GenuineIntel", "intel-skylake", 6, 0x4e, 0x4e },
    { "GenuineIntel", "intel-skylake-sp", 6, 0x55, 0x55 },
    { "GenuineIntel", "intel-skylake", 6, 0x5e, 0x5e },
    { "GenuineIntel", "intel-icelake-sp", 6, 0x6a, 0x6c },
    { "GenuineIntel", "intel-sapphire-rapids", 6, 0x8f, 0x8f },
    { "GenuineIntel", "intel-skylake", 6, 0x8e, 0x8e },
    { "GenuineIntel", "intel-skylake", 6, 0x9e, 0x9e },
    { "GenuineIntel", "intel-sapphire-rapids", 6, 0xcf, 0xcf },
    { "AuthenticAMD", "amd-zen2", 0x17, 0x30, 0xaf },
    { "AuthenticAMD", "amd-zen3", 0x19, 0x00, 0x0f },
    { "AuthenticAMD", "amd-zen3", 0x19, 0x20, 0x5f },
    { "AuthenticAMD", "amd-zen4", 0x19, 0x10, 0x1f },
    { "AuthenticAMD", "amd-zen4", 0x19, 0x60, 0xaf },
    { "AuthenticAMD", "amd-zen5", 0x1a, 0x00, 0xff },
};

static void features(const struct nw_cpuid *id, struct nw_host *h)
{
    const struct nw_cpuid_leaf one = nw_cpuid_find(id, 1, 0), seven = nw_cpuid_find(id, 7, 0),
                               more = nw_cpuid_find(id, 0x80000001, 0), widths = nw_cpuid_find(id, 0x80000008, 0),
                               svm = nw_cpuid_find(id, 0x8000000a, 0);
    h->pcid = one.ecx & NW_BIT(17);
    h->vmx = one.ecx & NW_BIT(5);
    h->invpcid = seven.ebx & NW_BIT(10);
    h->smep = seven.ebx & NW_BIT(7);
    h->smap = seven.ebx & NW_BIT(20);
    h->pku = seven.ecx & NW_BIT(3);
    h->la57 = seven.ecx & NW_BIT(16);
    h->nx = more.edx & NW_BIT(20);
    h->page_1g = more.edx & NW_BIT(26);
    h->svm = more.ecx & NW_BIT(2);
    h->nested_paging = h->svm && (svm.edx & 1);
    h->asids = svm.ebx;
    h->svm_features = svm.edx;
    h->physical_bits = widths.eax & 0xff;
    h->linear_bits = widths.eax >> 8 & 0xff;
}

void nw_host_decode(const struct nw_cpuid *id, struct nw_host *h)
{
    const struct nw_cpuid_leaf zero = nw_cpuid_find(id, 0, 0), one = nw_cpuid_find(id, 1, 0),
                               above = nw_cpuid_find(id, 0x40000000, 0);
    uint32_t brand[12];
    *h = (struct nw_host){ .near = NULL };
    copy_name(h->vendor, (const uint32_t[]){ zero.ebx, zero.edx, zero.ecx }, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct nw_cpuid_leaf l = nw_cpuid_find(id, 0x80000002 + i, 0);
        memcpy(brand + 4 * i, (const uint32_t[]){ l.eax, l.ebx, l.ecx, l.edx }, 16);
    }
    copy_name(h->model_name, brand, 12);
    h->stepping = one.eax & 15;
    h->family = one.eax >> 8 & 15;
    h->model = one.eax >> 4 & 15;
    if (h->family == 6 || h->family == 15)
        h->model |= one.eax >> 12 & 0xf0;
    if (h->family == 15)
        h->family += one.eax >> 20 & 0xff;
    if (one.ecx & NW_BIT(31))
        copy_name(h->hypervisor, (const uint32_t[]){ above.ebx, above.ecx, above.edx }, 3);
    for (size_t i = 0; i < NW_ARRAY_LEN(shipped); i++)
        if (!strcmp(h->vendor, shipped[i].vendor) && h->family == shipped[i].family &&
            h->model >= shipped[i].model_first && h->model <= shipped[i].model_last)
            h->near = shipped[i].profile;
    features(id, h);
    if (!strcmp(h->vendor, "AuthenticAMD") || !strcmp(h->vendor, "HygonGenuine")) {
        amd_tlbs(id, h);
        caches(id, 0x8000001d, h);
    } else {
        intel_tlbs(id, h);
        if (!h->tlbs)
            intel_descriptors(id, h);
        caches(id, 4, h);
    }
}
