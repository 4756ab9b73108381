/* Every invalidation with every granularity against every cache: what it names must be gone, and all else must still be there.
 * The rules are one table; descriptors and register commands are generated from it with parameters that fit some of
 * what is cached and miss the rest. Whether an entry is cached is seen from outside: memory under it is changed, and a
 * request tells which of the two it goes by. */
#include "iommu_common.h"
#include <nestwalk/iommu/vtd_device.h>

enum { ROOT = 0x1000, CONTEXT = 0x2000, DIRECTORY = 0x4000, PASIDS = 0x6000, IRT = 0x8000, QUEUE = 0x80000 };
enum { A = 0x0010, B = 0x0018, NOBODY = 0x0020, OLD = 0x1000000, NEW = 0x1800000, TREES = 0x200000 };
#define IOVA  UINT64_C(0x7123400000)
#define LARGE UINT64_C(0x7163400000) /* a 2 MiB page */

/* ---- what is cached ----------------------------------------------------------------------------- */

static const struct stream {
    uint16_t source;
    uint32_t pasid;
    unsigned pgtt, did, tree; /* tree: of the second stage; domains that share an id share it */
} streams[] = {
    { A, 1, 1, 10, 0 }, { A, 2, 2, 11, 1 }, { A, 3, 3, 12, 2 }, { A, 4, 1, 13, 3 }, { B, 1, 2, 11, 1 }, { B, 2, 1, 10, 4 },
}, legacy_streams[] = { { A, 0, 2, 10, 0 }, { B, 0, 2, 11, 1 } };

enum cache { CONTEXTS, PASID_ENTRIES, IOTLB, TABLES, DEVICES, INTERRUPTS };
static const char *const cache_name[] = { "context", "PASID entry", "IOTLB", "table", "device TLB", "interrupt" };
static const uint64_t pages[] = { IOVA, IOVA + 0x1000, IOVA + 0x8000, LARGE };

struct item {
    enum cache cache;
    const struct stream *stream;
    uint64_t page; /* IOTLB, device TLB; index of an interrupt */
    bool no_pasid; /* device TLB */
};

/* ---- the rules ---------------------------------------------------------------------------------- */

/* What of a cache goes. PAGE is by address, the others by tag. */
enum { STAYS = 0, ALL = 1, DOMAIN = 2, PASID = 4, SOURCE = 8, PAGE = 16, RANGE = 32 };
static const struct rule {
    const char *what;
    unsigned type, granularity; /* type 0: the register CCMD; 16: the register IOTLB */
    uint8_t context_legacy, context, pasid, iotlb_first, iotlb_second, tables_first, tables_second, device, interrupt;
} rules[] = {
    { "CCMD global", 0, 1, ALL, ALL, 0, 0, 0, 0, 0, 0, 0 },
    { "CCMD domain", 0, 2, DOMAIN, ALL, 0, 0, 0, 0, 0, 0, 0 },
    { "CCMD device", 0, 3, SOURCE, SOURCE, 0, 0, 0, 0, 0, 0, 0 },
    { "IOTLB register, global", 16, 1, 0, 0, 0, ALL, ALL, ALL, ALL, 0, 0 },
    { "IOTLB register, domain", 16, 2, 0, 0, 0, DOMAIN, DOMAIN, DOMAIN, DOMAIN, 0, 0 },
    { "IOTLB register, pages", 16, 3, 0, 0, 0, DOMAIN, DOMAIN | PAGE, DOMAIN, DOMAIN | PAGE, 0, 0 },
    { "context global", 1, 1, ALL, ALL, 0, 0, 0, 0, 0, 0, 0 },
    { "context domain", 1, 2, DOMAIN, ALL, 0, 0, 0, 0, 0, 0, 0 },
    { "context device", 1, 3, SOURCE, SOURCE, 0, 0, 0, 0, 0, 0, 0 },
    { "IOTLB global", 2, 1, 0, 0, 0, ALL, ALL, ALL, ALL, 0, 0 },
    { "IOTLB domain", 2, 2, 0, 0, 0, DOMAIN, DOMAIN, DOMAIN, DOMAIN, 0, 0 },
    { "IOTLB pages", 2, 3, 0, 0, 0, DOMAIN, DOMAIN | PAGE, DOMAIN, DOMAIN | PAGE, 0, 0 },
    { "device TLB", 3, 0, 0, 0, 0, 0, 0, 0, 0, SOURCE | PAGE, 0 },
    { "interrupts global", 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, ALL },
    { "interrupts index", 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, RANGE },
    { "wait", 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
    { "PASID IOTLB", 6, 2, 0, 0, 0, DOMAIN | PASID, DOMAIN | PASID, DOMAIN | PASID, DOMAIN, 0, 0 },
    { "PASID IOTLB pages", 6, 3, 0, 0, 0, DOMAIN | PASID | PAGE, STAYS, DOMAIN | PASID | PAGE, STAYS, 0, 0 },
    { "PASID cache domain", 7, 0, 0, 0, DOMAIN, 0, 0, 0, 0, 0, 0 },
    { "PASID cache PASID", 7, 1, 0, 0, DOMAIN | PASID, 0, 0, 0, 0, 0, 0 },
    { "PASID cache global", 7, 3, 0, 0, ALL, 0, 0, 0, 0, 0, 0 },
    { "PASID device TLB", 8, 0, 0, 0, 0, 0, 0, 0, 0, SOURCE | PASID | PAGE, 0 },
    { "PASID device TLB, every PASID", 8, 1, 0, 0, 0, 0, 0, 0, 0, SOURCE | PAGE, 0 },
    { "page response", 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
};

struct parameters {
    unsigned did;
    uint32_t pasid;
    uint16_t source, function_mask;
    uint64_t address;
    unsigned size_log2; /* of the pages named: 2^(12 + this) bytes */
    bool hint;
    unsigned index, index_log2;
};

static bool named(const struct rule *r, const struct parameters *p, const struct item *i, bool legacy)
{
    static const uint16_t ignored[4] = { 0, 4, 6, 7 };
    const bool first = i->stream && i->stream->pgtt != 2;
    uint64_t bytes = i->cache == TABLES ? 0x200000 : i->page == LARGE ? 0x200000 : 0x1000;
    uint64_t from = i->page & ~(bytes - 1), span = UINT64_C(0x1000) << p->size_log2, start = p->address & ~(span - 1);
    unsigned rule = 0;
    switch (i->cache) {
    case CONTEXTS: rule = legacy ? r->context_legacy : r->context; break;
    case PASID_ENTRIES: rule = r->pasid; break;
    case IOTLB: rule = first ? r->iotlb_first : r->iotlb_second; break;
    case TABLES: rule = p->hint && r->granularity == 3 ? STAYS : first ? r->tables_first : r->tables_second; break;
    case DEVICES: rule = (r->type == 3) == i->no_pasid ? r->device : STAYS; break;
    case INTERRUPTS: rule = r->interrupt; break;
    }
    if (rule == STAYS || rule == ALL)
        return rule == ALL;
    if (rule & RANGE)
        return i->page >> p->index_log2 == p->index >> p->index_log2;
    uint16_t compared = (uint16_t) ~(i->cache == CONTEXTS ? ignored[p->function_mask] : 0);
    return (!(rule & DOMAIN) || i->stream->did == p->did) && (!(rule & PASID) || i->stream->pasid == p->pasid) &&
           (!(rule & SOURCE) || (i->stream->source & compared) == (p->source & compared)) &&
           (!(rule & PAGE) || (from < start + span && from + bytes > start));
}

/* ---- the world ---------------------------------------------------------------------------------- */

struct matrix {
    struct nw_physmem *pm;
    struct nw_vtd_unit *u;
    struct nw_vtd_device *device[2];
    bool legacy;
    const struct stream *stream;
    unsigned streams;
    uint64_t next, tail, leaf[6][4], table[6]; /* of each stream: leaf entries of `pages`, entry above IOVA's */
    uint64_t ss_root[5];
    struct item item[128];
    unsigned items;
    unsigned gone[INTERRUPTS + 1], there[INTERRUPTS + 1]; /* by cache; of one rule */
};

/* A leaf for the address in the tree; returns where its entry is, and in *above the entry that points to its table. */
static uint64_t map(struct matrix *m, uint64_t root, uint64_t flags, uint64_t address, uint64_t to, int leaf_level,
                    uint64_t *above)
{
    uint64_t table = root, at = 0;
    for (int level = 3; level >= leaf_level; level--) {
        *above = at;
        at = table + (address >> (12 + 9 * level) & 511) * 8;
        if (level == leaf_level)
            put64(m->pm, at, to | flags | (level ? 0x80 : 0));
        else if (!get64(m->pm, at))
            put64(m->pm, at, (m->next += 0x1000) | flags);
        table = get64(m->pm, at) & nw_mask(47, 12);
    }
    return at;
}

static uint64_t target(unsigned stream, unsigned page, bool large, bool new)
{
    return large ? (new ? 0x1c00000 : 0x1400000) : (new ? NEW : OLD) + stream * 0x20000 + page * 0x1000;
}

static void build_stream(struct matrix *m, unsigned n)
{
    const struct stream *s = &m->stream[n];
    uint64_t above, ss = m->ss_root[s->tree], fs = m->next += 0x1000, flags = s->pgtt == 2 ? 3 : 0x67;
    bool shared = ss;
    if (!ss)
        ss = m->ss_root[s->tree] = m->next += 0x1000;
    if (m->legacy) {
        put64(m->pm, CONTEXT + s->source * UINT64_C(16), ss | 1 | 1 << 2);
        put64(m->pm, CONTEXT + s->source * UINT64_C(16) + 8, 2 | s->did << 8);
    } else {
        uint64_t directory = DIRECTORY + (s->source == B ? 0x1000 : 0),
                 entries = PASIDS + (s->source == B ? 0x1000 : 0);
        put64(m->pm, CONTEXT + s->source * UINT64_C(32), directory | 1 | 4 | 8);
        put64(m->pm, CONTEXT + s->source * UINT64_C(32) + 8, 1); /* RID_PASID */
        put64(m->pm, directory, entries | 1);
        put64(m->pm, entries + s->pasid * 64, ss | 1 | 2 << 2 | s->pgtt << 6);
        put64(m->pm, entries + s->pasid * 64 + 8, s->did | NW_BIT(23));
        put64(m->pm, entries + s->pasid * 64 + 16, fs | 1);
    }
    if (s->pgtt == 3)
        for (uint64_t gpa = 0; gpa < 0x2000000; gpa += 0x200000)
            map(m, ss, 3, gpa, gpa, 1, &above);
    unsigned owner = shared ? 1 : n; /* of the shared tree: the stream that made it */
    for (unsigned i = 0; i < 4; i++) {
        bool large = pages[i] == LARGE;
        m->leaf[n][i] =
            map(m, s->pgtt == 2 ? ss : fs, flags, pages[i], target(owner, i, large, false), large ? 1 : 0, &above);
        if (!i)
            m->table[n] = above;
    }
    map(m, s->pgtt == 2 ? ss : fs, flags, IOVA + 0x2000, target(owner, 9, false, false), 0, &above); /* never cached */
}

static void add(struct matrix *m, struct item i)
{
    assert_true(m->items < NW_ARRAY_LEN(m->item));
    m->item[m->items++] = i;
}

static void list_items(struct matrix *m)
{
    for (unsigned n = 0; n < m->streams; n++) {
        const struct stream *s = &m->stream[n];
        add(m, (struct item){ CONTEXTS, s, 0, false });
        if (!m->legacy)
            add(m, (struct item){ PASID_ENTRIES, s, 0, false });
        add(m, (struct item){ TABLES, s, IOVA, false });
        for (unsigned i = 0; i < 4; i++) {
            add(m, (struct item){ IOTLB, s, pages[i], false });
            if (!m->legacy)
                add(m, (struct item){ DEVICES, s, pages[i], false });
            if (m->legacy || s->pasid == 1)
                add(m, (struct item){ DEVICES, s, pages[i], true });
        }
    }
    for (unsigned i = 4; i < 10; i++)
        add(m, (struct item){ INTERRUPTS, NULL, i, false });
}

static void begin(struct matrix *m, bool legacy)
{
    memset(m, 0, sizeof *m);
    must(nw_physmem_create(&m->pm, err));
    m->legacy = legacy;
    m->stream = legacy ? legacy_streams : streams;
    m->streams = legacy ? NW_ARRAY_LEN(legacy_streams) : NW_ARRAY_LEN(streams);
    m->next = TREES;
    put64(m->pm, ROOT, CONTEXT | 1);
    for (unsigned i = 0; i < m->streams; i++)
        build_stream(m, i);
    struct nw_vtd_config c = nw_vtd_config_default(m->pm);
    c.unit.ecap |= NW_VTD_ECAP_PDS;
    for (unsigned i = 0; i < NW_VTD_CACHES; i++)
        c.cache[i] = (struct nw_iommu_cache_shape){ .entries = 256, .ways = 256 };
    must(nw_vtd_unit_create(&m->u, &c, err));
    nw_vtd_unit_write(m->u, NW_VTD_RTADDR, 8, ROOT | (legacy ? 0 : 0x400));
    nw_vtd_unit_write(m->u, NW_VTD_IRTA, 8, IRT | 7);
    nw_vtd_unit_write(m->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_SRTP | NW_VTD_GCMD_SIRTP);
    nw_vtd_unit_write(m->u, NW_VTD_IQA, 8, QUEUE);
    nw_vtd_unit_write(m->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_IRE);
    for (unsigned i = 0; i < 2; i++) {
        const struct nw_vtd_device_config d = { .source_id = i ? B : A, .entries = 64, .ways = 64 };
        must(nw_vtd_device_create(&m->device[i], m->u, &d, err));
    }
    list_items(m);
}

static void finish(struct matrix *m)
{
    for (unsigned i = 0; i < 2; i++)
        nw_vtd_device_destroy(m->device[i]);
    nw_vtd_unit_destroy(m->u);
    nw_physmem_destroy(m->pm);
}

/* ---- requests, and seeing what is cached -------------------------------------------------------- */

static struct nw_vtd_result dma(struct matrix *m, const struct stream *s, uint64_t address)
{
    struct nw_vtd_result r;
    struct nw_vtd_request q = {
        .source_id = s->source, .address = address, .has_pasid = !m->legacy, .pasid = s->pasid
    };
    nw_vtd_unit_dma(m->u, &q, &r);
    return r;
}

static bool device_dma(struct matrix *m, const struct item *i)
{
    struct nw_vtd_device_result r;
    struct nw_vtd_request q = { .address = i->page, .has_pasid = !i->no_pasid, .pasid = i->stream->pasid };
    nw_vtd_device_dma(m->device[i->stream->source == B], &q, &r);
    return r.hit;
}

static unsigned vector_of(struct matrix *m, uint64_t index)
{
    struct nw_vtd_interrupt r;
    struct nw_vtd_interrupt_request q = { A, 0xfee00010 | index << 5, 0 };
    nw_vtd_unit_interrupt(m->u, &q, &r);
    return r.fault.reason ? 0 : r.vector;
}

/* Everything is in its cache, and everything cached is what memory says. */
static void warm(struct matrix *m)
{
    nw_vtd_unit_flush(m->u);
    for (uint64_t i = 4; i < 10; i++) {
        put64(m->pm, IRT + i * 16, 1 | i << 16);
        vector_of(m, i);
    }
    for (unsigned i = 0; i < m->items; i++)
        if (m->item[i].cache == DEVICES)
            device_dma(m, &m->item[i]);
    for (unsigned n = 0; n < m->streams; n++)
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(dma(m, &m->stream[n], pages[i]).fault.reason, 0);
}

struct undo {
    uint64_t at, word;
};

/* Changes the one word that the item was made from. */
static struct undo change(struct matrix *m, const struct item *i)
{
    unsigned n = i->stream ? (unsigned)(i->stream - m->stream) : 0, page = 0;
    struct undo undo = { 0, 0 };
    uint64_t word = 0, spare = 0x1f0000 + n * 0x1000;
    while (page < 3 && pages[page] != i->page)
        page++;
    switch (i->cache) {
    case CONTEXTS: undo.at = CONTEXT + i->stream->source * (m->legacy ? UINT64_C(16) : UINT64_C(32)); break;
    case PASID_ENTRIES:
        undo.at = PASIDS + (i->stream->source == B ? 0x1000u : 0) + i->stream->pasid * UINT64_C(64);
        break;
    case TABLES: /* another leaf table, in which the page that nobody has asked for leads elsewhere */
        undo.at = m->table[n];
        put64(m->pm, spare + ((IOVA + 0x2000) >> 12 & 511) * 8, NEW | 0x67);
        if (i->stream->pgtt == 2)
            put64(m->pm, spare + ((IOVA + 0x2000) >> 12 & 511) * 8, NEW | 3);
        word = spare | (i->stream->pgtt == 2 ? 3 : 0x67);
        break;
    case IOTLB:
        undo.at = m->leaf[n][page];
        word = (get64(m->pm, undo.at) & 0xfff) | target(n, page, i->page == LARGE, true);
        break;
    case DEVICES: return undo;
    case INTERRUPTS:
        undo.at = IRT + i->page * 16;
        word = 1 | 0x77 << 16;
        break;
    }
    undo.word = get64(m->pm, undo.at);
    put64(m->pm, undo.at, word);
    return undo;
}

/* Is the item still what requests go by? */
static bool cached(struct matrix *m, const struct item *i)
{
    switch (i->cache) {
    case CONTEXTS:
    case PASID_ENTRIES: return !dma(m, i->stream, IOVA).fault.reason;
    case TABLES: return dma(m, i->stream, IOVA + 0x2000).hpa.v < NEW;
    case IOTLB: {
        uint64_t hpa = dma(m, i->stream, i->page).hpa.v;
        return i->page == LARGE ? hpa < 0x1c00000 : hpa < NEW;
    }
    case DEVICES: return device_dma(m, i);
    default: return vector_of(m, i->page) == i->page;
    }
}

/* ---- the invalidations -------------------------------------------------------------------------- */

static void submit(struct matrix *m, uint64_t low, uint64_t high)
{
    if (!(nw_vtd_unit_read(m->u, NW_VTD_GSTS, 4) & NW_VTD_GCMD_QIE)) {
        nw_vtd_unit_write(m->u, NW_VTD_IQT, 8, m->tail = 0);
        nw_vtd_unit_write(m->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_IRE | NW_VTD_GCMD_QIE);
    }
    put64(m->pm, QUEUE + m->tail, low);
    put64(m->pm, QUEUE + m->tail + 8, high);
    m->tail = (m->tail + 16) % 4096;
    nw_vtd_unit_write(m->u, NW_VTD_IQT, 8, m->tail);
    if (nw_vtd_unit_read(m->u, NW_VTD_FSTS, 4) & (NW_VTD_FSTS_IQE | NW_VTD_FSTS_ICE | NW_VTD_FSTS_ITE))
        fail_msg("descriptor %llx %llx: FSTS %llx", (unsigned long long)low, (unsigned long long)high,
                 (unsigned long long)nw_vtd_unit_read(m->u, NW_VTD_FSTS, 4));
}

static void by_register(struct matrix *m, const struct rule *r, const struct parameters *p)
{
    unsigned iva = nw_vtd_iva_offset(nw_vtd_unit_read(m->u, NW_VTD_ECAP, 8));
    nw_vtd_unit_write(m->u, NW_VTD_GCMD, 4, NW_VTD_GCMD_TE | NW_VTD_GCMD_IRE);
    uint64_t g = r->granularity;
    if (r->type == 0) {
        nw_vtd_unit_write(m->u, NW_VTD_CCMD, 8,
                          NW_BIT(63) | g << 61 | (uint64_t)p->function_mask << 32 | (uint64_t)p->source << 16 | p->did);
        assert_int_equal(nw_vtd_unit_read(m->u, NW_VTD_CCMD, 8) >> 59, g << 2 | g);
        return;
    }
    nw_vtd_unit_write(m->u, iva, 8, p->address | (uint64_t)p->hint << 6 | p->size_log2);
    nw_vtd_unit_write(m->u, iva + 8, 8, NW_BIT(63) | g << 60 | (uint64_t)p->did << 32);
    assert_int_equal(nw_vtd_unit_read(m->u, iva + 8, 8) >> 57, g << 3 | g);
}

/* The size of a device-TLB invalidation stands in the address: zero at the bit below which ones are. */
static uint64_t sized(const struct parameters *p, uint64_t s_bit)
{
    if (!p->size_log2)
        return p->address;
    return (p->address & ~((UINT64_C(0x1000) << p->size_log2) - 1)) | ((NW_BIT(p->size_log2 - 1) - 1) << 12) | s_bit;
}

static void invalidate(struct matrix *m, const struct rule *r, const struct parameters *p)
{
    uint64_t low = r->type | (uint64_t)r->granularity << 4, did = (uint64_t)p->did << 16;
    uint64_t pasid = (uint64_t)p->pasid << 32, high = p->address | (uint64_t)p->hint << 6 | p->size_log2;
    switch (r->type) {
    case 0:
    case 16: by_register(m, r, p); break;
    case 1: submit(m, low | did | (uint64_t)p->source << 32 | (uint64_t)p->function_mask << 48, 0); break;
    case 2: submit(m, low | did, r->granularity == 3 ? high : 0); break;
    case 3: submit(m, 3 | (uint64_t)p->source << 32, sized(p, 1)); break;
    case 4: submit(m, low | (uint64_t)p->index_log2 << 27 | (uint64_t)p->index << 32, 0); break;
    case 6: submit(m, low | did | pasid, r->granularity == 3 ? high : 0); break;
    case 7: submit(m, low | did | pasid, 0); break;
    case 8: submit(m, 8 | (uint64_t)p->source << 16 | pasid, sized(p, 1 << 11) | r->granularity); break;
    case 9: submit(m, 9 | (uint64_t)p->source << 16 | 1 << 4 | pasid, 0); break;
    default: submit(m, low, 0); break;
    }
}

static void check(struct matrix *m, const struct rule *r, const struct parameters *p)
{
    for (unsigned i = 0; i < m->items; i++) {
        const struct item *item = &m->item[i];
        warm(m);
        struct undo undo = change(m, item);
        invalidate(m, r, p);
        bool there = cached(m, item), expected = !named(r, p, item, m->legacy);
        if (there != expected)
            fail_msg("%s (did %u, pasid %u, source %x mask %u, address %llx + 2^%u pages, hint %d, index %u): %s of "
                     "source %x pasid %u did %u at %llx%s is %s",
                     r->what, p->did, p->pasid, p->source, p->function_mask, (unsigned long long)p->address,
                     p->size_log2, p->hint, p->index, cache_name[item->cache], item->stream ? item->stream->source : 0u,
                     item->stream ? item->stream->pasid : 0u, item->stream ? item->stream->did : 0u,
                     (unsigned long long)item->page, item->no_pasid ? " (without PASID)" : "",
                     there ? "still there" : "gone");
        m->gone[item->cache] += !there;
        m->there[item->cache] += there;
        if (undo.at)
            put64(m->pm, undo.at, undo.word);
    }
}

/* Each cache that the rule is about has lost something, and but for global forms has kept something. */
static void check_reach(const struct matrix *m, const struct rule *r)
{
    const uint8_t of[INTERRUPTS + 1] = { m->legacy ? r->context_legacy : r->context,
                                         m->legacy ? STAYS : r->pasid,
                                         r->iotlb_first | r->iotlb_second,
                                         r->tables_first | r->tables_second,
                                         m->legacy && r->type == 8 ? STAYS : r->device,
                                         r->interrupt };
    for (unsigned c = 0; c <= INTERRUPTS; c++)
        if ((of[c] != STAYS && !m->gone[c]) || (of[c] != ALL && !m->there[c] && !(m->legacy && c == PASID_ENTRIES)))
            fail_msg("%s: no %s %s", r->what, cache_name[c], m->gone[c] ? "stayed" : "went");
}

/* Parameters that matter to the rule, each in turn; the others stay at values that fit. */
static void check_rule(struct matrix *m, const struct rule *r)
{
    memset(m->gone, 0, sizeof m->gone);
    memset(m->there, 0, sizeof m->there);
    static const struct {
        uint64_t address;
        unsigned size_log2;
        bool hint;
    } ranges[] = { { IOVA, 0, false },
                   { IOVA, 0, true },
                   { IOVA + 0x1000, 0, false },
                   { IOVA, 1, false },
                   { IOVA + 0x8000, 3, true },
                   { IOVA, 4, false },
                   { LARGE + 0x7000, 0, false },
                   { LARGE - 0x1000, 0, false },
                   { IOVA ^ 0x40000000, 18, false },
                   { IOVA + 0x100000, 0, false } };
    static const unsigned dids[] = { 10, 11, 12, 99 }, source[] = { A, B, NOBODY };
    const unsigned used = r->context | r->context_legacy | r->pasid | r->iotlb_first | r->iotlb_second | r->device;
    for (unsigned d = 0; d < (used & DOMAIN ? 4 : 1); d++)
        for (unsigned pasid = 1; pasid <= (used & PASID ? 3 : 1); pasid++)
            for (unsigned s = 0; s < (used & SOURCE ? 3 : 1); s++)
                for (unsigned a = 0; a < (used & PAGE ? NW_ARRAY_LEN(ranges) : 1); a++) {
                    struct parameters p = { .did = dids[d],
                                            .pasid = pasid,
                                            .source = (uint16_t)source[s],
                                            .address = ranges[a].address,
                                            .size_log2 = ranges[a].size_log2,
                                            .hint = ranges[a].hint,
                                            .index = 6 };
                    check(m, r, &p);
                }
    for (unsigned mask = 1; mask < 4 && (r->type == 0 || r->type == 1) && r->granularity == 3; mask++)
        check(m, r,
              &(struct parameters){ .did = 10, .source = (uint16_t)(A + 1 + mask), .function_mask = (uint16_t)mask });
    for (unsigned log2 = 0; log2 < 4 && r->interrupt == RANGE; log2++)
        check(m, r, &(struct parameters){ .index = 8 & ~((1u << log2) - 1), .index_log2 = log2 });
    check_reach(m, r);
}

static void matrix__legacy_mode(void **state)
{
    (void)state;
    struct matrix *m = malloc(sizeof *m);
    assert_non_null(m);
    begin(m, true);
    for (unsigned i = 0; i < NW_ARRAY_LEN(rules); i++)
        if (rules[i].type < 6 || rules[i].type == 16)
            check_rule(m, &rules[i]);
    finish(m);
    free(m);
}

static void matrix__scalable_mode(void **state)
{
    (void)state;
    struct matrix *m = malloc(sizeof *m);
    assert_non_null(m);
    begin(m, false);
    for (unsigned i = 0; i < NW_ARRAY_LEN(rules); i++)
        if (rules[i].type != 0 && rules[i].type != 16)
            check_rule(m, &rules[i]);
    finish(m);
    free(m);
}

/* In scalable mode, and while the queue is on, the registers do nothing. */
static void matrix__registers_are_for_legacy_mode(void **state)
{
    (void)state;
    struct matrix *m = malloc(sizeof *m);
    assert_non_null(m);
    begin(m, false);
    warm(m);
    for (unsigned i = 0; i < m->items; i++) {
        struct undo undo = change(m, &m->item[i]);
        unsigned iva = nw_vtd_iva_offset(nw_vtd_unit_read(m->u, NW_VTD_ECAP, 8));
        nw_vtd_unit_write(m->u, NW_VTD_CCMD, 8, NW_BIT(63) | UINT64_C(1) << 61);
        nw_vtd_unit_write(m->u, iva + 8, 8, NW_BIT(63) | UINT64_C(1) << 60);
        assert_int_equal(nw_vtd_unit_read(m->u, NW_VTD_CCMD, 8) >> 59 & 3, 0);
        assert_int_equal(nw_vtd_unit_read(m->u, iva + 8, 8) >> 57 & 3, 0);
        assert_true(cached(m, &m->item[i]));
        if (undo.at)
            put64(m->pm, undo.at, undo.word);
        warm(m);
    }
    finish(m);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(matrix__legacy_mode), cmocka_unit_test(matrix__scalable_mode),
                                        cmocka_unit_test(matrix__registers_are_for_legacy_mode) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
