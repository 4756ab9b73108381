/* Every command of an AMD IOMMU against every cache: what it names must be gone, all else must still be there. What is cached is
 * seen by changing the one word that an entry was made from, and asking again. */
#include "amdvi_bench.h"

enum cache { DEVICES, GCR3S, IOTLB, TABLES, INTERRUPTS };
static const char *const cache_name[] = { "device table entry", "guest CR3", "translation", "table",
                                          "interrupt entry" };

/* Two devices without guest translation, one nested with two PASIDs, one of guest tables alone. */
struct stream {
    uint16_t device, domain;
    int pasid; /* -1: none */
    bool nested;
};
static const struct stream streams[] = { { 1, 5, -1, false }, { 2, 6, -1, false }, { 3, 7, -1, true },
                                         { 3, 7, 1, true },   { 3, 7, 2, true },   { 4, 8, 1, false } };
enum { STREAMS = NW_ARRAY_LEN(streams), TREES = 0x1000000, IRT = 0x400000, NEW = 0x30000000, GUEST = 0x10000000 };
static const uint64_t PAGE0 = 0x7123400000, PAGE1 = 0x7123401000, PAGE_FAR = 0x7123600000, LARGE = 0x7163400000;
static const uint64_t NEVER = 0x7123402000; /* below the same leaf table as PAGE0 */
static const uint64_t OTHER_SLOT = 0x17123400000;

struct item {
    enum cache cache;
    const struct stream *stream;
    uint64_t at; /* address; index of an interrupt */
    unsigned log2;
};

struct matrix {
    struct bench *b;
    uint64_t next;
    uint64_t root[STREAMS], leaf_of[STREAMS][4], table_of[STREAMS], gcr3_of[STREAMS];
    struct item item[64];
    unsigned items, gone[5], there[5];
};

static uint64_t page(struct matrix *m) { return m->next += 0x1000; }

/* A word of a tree, host or guest: level 1 is the lowest. Where it stands. */
static uint64_t map(struct matrix *m, uint64_t root, bool guest, uint64_t address, unsigned leaf, uint64_t target)
{
    uint64_t table = root;
    for (unsigned level = 4;; level--) {
        const uint64_t at = table + (address >> (12 + 9 * (level - 1)) & 511) * 8;
        if (level == leaf) {
            put64(m->b->pm, at, guest ? target | 0x67 | (leaf > 1 ? 0x80 : 0) : target | ACCESS | 1);
            return at;
        }
        if (!get64(m->b->pm, at))
            put64(m->b->pm, at, page(m) | (guest ? 0x27 : ACCESS | (uint64_t)(level - 1) << 9 | 1));
        table = get64(m->b->pm, at) & nw_mask(51, 12);
    }
}

static uint64_t table_word(struct matrix *m, uint64_t root, uint64_t address)
{
    uint64_t table = root, at = 0;
    for (unsigned level = 4; level > 1; level--) {
        at = table + (address >> (12 + 9 * (level - 1)) & 511) * 8;
        table = get64(m->b->pm, at) & nw_mask(51, 12);
    }
    return at;
}

static uint64_t target(unsigned stream, unsigned n)
{
    return 0x20000000 + stream * UINT64_C(0x1000000) + n * UINT64_C(0x200000);
}

/* The tree that a stream's addresses are translated by. The nested device's host tree maps every GPA below 1 GiB to itself. */
static void build(struct matrix *m, unsigned i)
{
    const struct stream *s = &streams[i];
    const bool guest = s->pasid >= 0;
    m->root[i] = page(m);
    m->leaf_of[i][0] = map(m, m->root[i], guest, PAGE0, 1, target(i, 0));
    m->leaf_of[i][1] = map(m, m->root[i], guest, PAGE1, 1, target(i, 1));
    m->leaf_of[i][2] = map(m, m->root[i], guest, PAGE_FAR, 1, target(i, 2));
    m->leaf_of[i][3] = map(m, m->root[i], guest, LARGE, 2, target(i, 3));
    map(m, m->root[i], guest, NEVER, 1, target(i, 4));
    map(m, m->root[i], guest, OTHER_SLOT, 1, target(i, 5));
    m->table_of[i] = table_word(m, m->root[i], PAGE0);
    if (s->nested && !guest)
        for (uint64_t gpa = 0; gpa < 0x40000000; gpa += 0x200000)
            map(m, m->root[i], false, gpa, 2, gpa);
}

static void add(struct matrix *m, struct item i) { m->item[m->items++] = i; }

static void begin(struct matrix *m)
{
    static const struct nw_iommu_cache_shape shape[NW_AMDVI_CACHES] = { { .entries = 256, .ways = 256 },
                                                                        { .entries = 256, .ways = 256 },
                                                                        { .entries = 256, .ways = 256 },
                                                                        { .entries = 256, .ways = 256 },
                                                                        { .entries = 256, .ways = 256 } };
    memset(m, 0, sizeof *m);
    m->b = begin_bench(shape);
    m->next = TREES;
    for (unsigned i = 0; i < STREAMS; i++)
        build(m, i);
    const uint64_t gcr3[2] = { page(m), page(m) };
    for (unsigned i = 0; i < STREAMS; i++) {
        const struct stream *s = &streams[i];
        const uint64_t host = s->nested ? m->root[2] : m->root[i], tables = gcr3[s->device == 4];
        const bool gv = s->device >= 3;
        set_dte(m->b, s->device, 3 | (s->device == 4 ? 0 : host | 4 << 9) | ACCESS | (gv ? GV : 0), gv ? tables : 0,
                s->domain, 1 | 4 << 1 | (IRT + s->device * 0x1000u) | UINT64_C(2) << 60);
        if (s->pasid >= 0)
            put64(m->b->pm, m->gcr3_of[i] = tables + (unsigned)s->pasid * 8u, m->root[i] | 1);
        const uint64_t pages[4] = { PAGE0, PAGE1, PAGE_FAR, LARGE };
        for (unsigned k = 0; k < 4; k++)
            add(m, (struct item){ IOTLB, s, pages[k], k == 3 ? 21 : 12 });
        add(m, (struct item){ TABLES, s, PAGE0 & ~nw_mask(20, 0), 21 });
        if (s->pasid >= 0)
            add(m, (struct item){ GCR3S, s, 0, 64 });
        else
            add(m, (struct item){ DEVICES, s, 0, 64 });
    }
    for (unsigned d = 1; d <= 2; d++)
        for (unsigned n = 4; n < 6; n++)
            add(m, (struct item){ INTERRUPTS, &streams[d - 1], n, 0 });
}

static struct nw_amdvi_result ask(struct matrix *m, const struct stream *s, uint64_t address)
{
    return dma(m->b, s->device, s->pasid, address, NW_AMDVI_READ);
}

static unsigned vector_of(struct matrix *m, const struct item *i)
{
    struct nw_amdvi_interrupt r;
    struct nw_amdvi_interrupt_request q = { i->stream->device, 0xfee00000, (uint32_t)i->at };
    nw_amdvi_unit_interrupt(m->b->u, &q, &r);
    return r.event.code ? 0 : r.vector;
}

static void warm(struct matrix *m)
{
    nw_amdvi_unit_flush(m->b->u);
    for (unsigned i = 0; i < m->items; i++) {
        const struct item *it = &m->item[i];
        if (it->cache == INTERRUPTS) {
            put64(m->b->pm, IRT + it->stream->device * 0x1000u + it->at * 16, 1 | 0x42 << 8);
            put64(m->b->pm, IRT + it->stream->device * 0x1000u + it->at * 16 + 8, it->at);
            assert_int_equal(vector_of(m, it), it->at);
        } else if (it->cache == IOTLB) {
            assert_int_equal(ask(m, it->stream, it->at).event.code, 0);
        }
    }
}

struct undo {
    uint64_t at, word;
};

static struct undo change(struct matrix *m, const struct item *i)
{
    const unsigned n = (unsigned)(i->stream - streams);
    const bool guest = i->stream->pasid >= 0;
    struct undo undo = { 0, 0 };
    uint64_t word = 0;
    if (i->cache == DEVICES) {
        undo.at = DTES + i->stream->device * UINT64_C(32) + 8; /* IoCtl becomes a reserved value */
        word = get64(m->b->pm, undo.at) | 3 << 3 | UINT64_C(3) << 35;
    } else if (i->cache == GCR3S) {
        const uint64_t root = 0x2f000000;
        undo.at = m->gcr3_of[n];
        put64(m->b->pm, root + (OTHER_SLOT >> 39 & 511) * 8, 0);
        word = root | 1;
    } else if (i->cache == IOTLB) {
        const unsigned k = i->at == PAGE0 ? 0 : i->at == PAGE1 ? 1 : i->at == PAGE_FAR ? 2 : 3;
        undo.at = m->leaf_of[n][k];
        word = (get64(m->b->pm, undo.at) & ~nw_mask(51, 12)) | NEW;
    } else if (i->cache == TABLES) {
        const uint64_t spare = 0x2e000000 + n * 0x1000u;
        undo.at = m->table_of[n];
        put64(m->b->pm, spare + (NEVER >> 12 & 511) * 8, NEW | (guest ? 0x67 : ACCESS | 1));
        word = (get64(m->b->pm, undo.at) & ~nw_mask(51, 12)) | spare;
    } else {
        undo.at = IRT + i->stream->device * 0x1000u + i->at * 16 + 8;
        word = 0x77;
    }
    undo.word = get64(m->b->pm, undo.at);
    put64(m->b->pm, undo.at, word);
    return undo;
}

static bool cached(struct matrix *m, const struct item *i)
{
    switch (i->cache) {
    case DEVICES: return !ask(m, i->stream, PAGE0).event.code;
    case GCR3S: return !ask(m, i->stream, OTHER_SLOT).event.code;
    case IOTLB: return ask(m, i->stream, i->at).hpa.v < NEW;
    case TABLES: return ask(m, i->stream, NEVER).hpa.v < NEW;
    default: return vector_of(m, i) == i->at;
    }
}

/* ---- the commands ------------------------------------------------------------------------------- */

enum { WAIT = 1, DEVICE_ENTRY, PAGES, DEVICE_TLB, INTERRUPT_TABLE, PPR = 7, ALL };
struct rule {
    unsigned opcode;
    uint16_t device, domain;
    int pasid;
    bool tables;
    uint64_t address;
    unsigned log2; /* 64: everything */
};

static void submit(struct matrix *m, const struct rule *r)
{
    struct bench *b = m->b;
    if (r->opcode == PAGES && r->log2 == 64)
        command(b, OPCODE(3) | (uint64_t)r->domain << 32 | (r->pasid < 0 ? 0 : (unsigned)r->pasid),
                ALL_PAGES | 1 | (r->tables ? 2 : 0) | (r->pasid < 0 ? 0 : 4));
    else if (r->opcode == PAGES)
        invalidate_pages(b, r->domain, r->pasid, r->tables, r->address, r->log2);
    else
        command(b, OPCODE(r->opcode) | r->device, 0);
    assert_true(rd(b, NW_AMDVI_STATUS) & NW_AMDVI_STATUS_CMD_RUN);
}

/* From the architecture's words. */
static bool named(const struct rule *r, const struct item *i)
{
    const struct stream *s = i->stream;
    const bool guest = s->pasid >= 0;
    if (r->opcode == ALL)
        return true;
    if (r->opcode == DEVICE_ENTRY || r->opcode == INTERRUPT_TABLE)
        return i->cache == (r->opcode == DEVICE_ENTRY ? DEVICES : INTERRUPTS) && s->device == r->device;
    if (r->opcode != PAGES || i->cache == DEVICES || i->cache == INTERRUPTS || s->domain != r->domain)
        return false;
    const uint64_t from = r->log2 == 64 ? 0 : r->address >> r->log2 << r->log2;
    const uint64_t to = r->log2 == 64 ? UINT64_MAX : from + (NW_BIT(r->log2) - 1);
    const bool meets = i->log2 >= 64 || (i->at <= to && i->at + (NW_BIT(i->log2) - 1) >= from);
    if (r->pasid < 0) /* GPAs: a guest's entries do not tell theirs */
        return guest || (meets && (i->cache == IOTLB || r->tables));
    return guest && s->pasid == r->pasid && meets && (i->cache == IOTLB || r->tables);
}

static void check(struct matrix *m, const struct rule *r)
{
    for (unsigned i = 0; i < m->items; i++) {
        const struct item *it = &m->item[i];
        warm(m);
        const struct undo undo = change(m, it);
        submit(m, r);
        const bool there = cached(m, it);
        if (there == named(r, it))
            fail_msg(
                "command %u (device %u domain %u pasid %d tables %d address %llx 2^%u): %s of device %u pasid %d at "
                "%llx is %s",
                r->opcode, r->device, r->domain, r->pasid, r->tables, (unsigned long long)r->address, r->log2,
                cache_name[it->cache], it->stream->device, it->stream->pasid, (unsigned long long)it->at,
                there ? "still there" : "gone");
        m->gone[it->cache] += !there;
        m->there[it->cache] += there;
        put64(m->b->pm, undo.at, undo.word);
    }
}

static void every_command__takes_what_it_names_and_nothing_else(void **state)
{
    (void)state;
    static struct matrix m;
    begin(&m);
    for (uint16_t device = 1; device <= 4; device++) {
        check(&m, &(struct rule){ .opcode = DEVICE_ENTRY, .device = device });
        check(&m, &(struct rule){ .opcode = INTERRUPT_TABLE, .device = device });
    }
    check(&m, &(struct rule){ .opcode = WAIT });
    check(&m, &(struct rule){ .opcode = DEVICE_TLB, .device = 1 });
    check(&m, &(struct rule){ .opcode = PPR, .device = 1 });
    const struct {
        uint64_t address;
        unsigned log2;
    } range[] = { { PAGE0, 12 },          { PAGE1, 12 },          { PAGE0, 13 }, { PAGE0, 21 }, { PAGE_FAR, 12 },
                  { LARGE + 0x5000, 12 }, { LARGE, 21 },          { PAGE0, 30 }, { PAGE0, 39 }, { 0, 12 },
                  { NEVER, 12 },          { PAGE0 + 0x8000, 15 }, { 0, 64 } };
    for (unsigned tables = 0; tables < 2; tables++)
        for (uint16_t domain = 4; domain <= 8; domain++)
            for (int pasid = -1; pasid < 3; pasid++)
                for (unsigned k = 0; k < NW_ARRAY_LEN(range); k++)
                    check(&m, &(struct rule){ .opcode = PAGES,
                                              .domain = domain,
                                              .pasid = pasid,
                                              .tables = tables,
                                              .address = range[k].address,
                                              .log2 = range[k].log2 });
    for (unsigned c = 0; c < 5; c++)
        assert_true(m.gone[c] && m.there[c]);
    check(&m, &(struct rule){ .opcode = ALL });
    end_bench(m.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_command__takes_what_it_names_and_nothing_else) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
