/* Requests of a PASID: known answers; and random guest tables against a second guest walk, written anew, which
 * has each GPA translated as the same device's request without PASID (that is judged in test_amdvi_property.c). */
#include <nestwalk/iommu/amdvi.h>

#include "iommu_common.h"

enum { DTES = 0x100000, DEVICE = 3, ROOT = 0x200000, LEAVES = 0x201000, GCR3 = 0x300000, CR3 = 0x10000 };
enum { PAGES = 64, PASID = 5, BACKING = 0x1000000 }; /* GPA page n is at BACKING + n pages */
static const struct nw_amdvi_range ram[] = { { 0, 0x40000000 } };
#define IR     NW_BIT(61)
#define IW     NW_BIT(62)
#define ACCESS (IR | IW)
#define GV     NW_BIT(55)
#define GIOV   NW_BIT(54)

struct bench {
    struct nw_physmem *pm;
    struct nw_amdvi_tables t;
};

/* Bits 30:15 and 51:31 of the GCR3 table's address stand in word 1, 14:12 in word 0. */
static void set_dte(struct bench *b, uint64_t w0, uint64_t gcr3, uint64_t w1)
{
    put64(b->pm, DTES + DEVICE * 32, w0 | (gcr3 >> 12 & 7) << 58);
    put64(b->pm, DTES + DEVICE * 32 + 8, w1 | (gcr3 >> 15 & 0xffff) << 16 | gcr3 >> 31 << 43);
}

static void guest64(struct bench *b, uint64_t gpa, uint64_t word) { put64(b->pm, BACKING + gpa, word); }

/* Host: two levels, GPA pages 0 to 63. GCR3 table by SPA, one level. */
static void begin(struct bench *b)
{
    must(nw_physmem_create(&b->pm, err));
    uint64_t efr = 2 << 10 | 1 << 12 | 2 << 14 | UINT64_C(19) << 32;
    b->t = (struct nw_amdvi_tables){ .unit = { .efr = efr | NW_AMDVI_EFR_GT | NW_AMDVI_EFR_GIO | NW_AMDVI_EFR_NX |
                                                      NW_AMDVI_EFR_HA | NW_AMDVI_EFR_HD,
                                               .pa_bits = 48 },
                                     .memory = { .pm = b->pm, .ram = ram, .ram_count = 1 },
                                     .device_table = DTES };
    put64(b->pm, ROOT, LEAVES | 1 << 9 | ACCESS | 1);
    for (unsigned i = 0; i < PAGES; i++)
        put64(b->pm, LEAVES + i * 8, (BACKING + i * 0x1000u) | ACCESS | 1);
    put64(b->pm, GCR3 + PASID * 8, CR3 | 1);
    set_dte(b, 3 | 2 << 9 | ROOT | ACCESS | GV, GCR3, 9);
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    begin(b);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    nw_physmem_destroy(b->pm);
    free(b);
    return 0;
}

static struct nw_amdvi_request by(uint32_t pasid, uint64_t gva, enum nw_amdvi_request_kind kind)
{
    return (struct nw_amdvi_request){
        .device_id = DEVICE, .address = gva, .kind = kind, .has_pasid = true, .pasid = pasid
    };
}

static struct nw_amdvi_result ask(struct bench *b, struct nw_amdvi_request q)
{
    struct nw_amdvi_result r;
    nw_amdvi_translate(&b->t, &q, &r);
    return r;
}

#define assert_event(r, c, f)                                                                                          \
    do {                                                                                                               \
        struct nw_amdvi_result it = (r);                                                                               \
        assert_int_equal(it.event.code, c);                                                                            \
        assert_int_equal(it.event.flags, f);                                                                           \
    } while (0)

/* GVA 0x5000 of the PASID: tables on GPA pages 0x10 to 0x13, the page on GPA page 0x20. */
static void map_one(struct bench *b, uint64_t leaf_bits)
{
    guest64(b, CR3, 0x11000 | 7);
    guest64(b, 0x11000, 0x12000 | 7);
    guest64(b, 0x12000, 0x13000 | 7);
    guest64(b, 0x13000 + 5 * 8, 0x20000 | leaf_bits);
}

static void guest__nested(void **state)
{
    struct bench *b = *state;
    map_one(b, 7);
    struct nw_amdvi_result r = ask(b, by(PASID, 0x5123, NW_AMDVI_WRITE));
    assert_int_equal(r.event.code, 0);
    assert_true(r.hpa.v == BACKING + 0x20123);
    assert_int_equal(r.translation, NW_AMDVI_NESTED);
    assert_int_equal(r.page_log2, 12);
    assert_int_equal(r.rights, 7);
    assert_int_equal(r.references, 4 + 1 + 5 * 2 + 4);
    assert_true(get64(b->pm, BACKING + 0x13028) == (0x20000 | 0x67)); /* A and D */
    map_one(b, 5);                                                    /* read only */
    r = ask(b, by(PASID, 0x5123, NW_AMDVI_WRITE));
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x075); /* GN US PR RW PE */
    uint64_t record[2];
    nw_amdvi_event_record(&r.event, record);
    assert_true(record[0] == (UINT64_C(0x2075) << 48 | (uint64_t)PASID << 32 | DEVICE) && record[1] == 0x5123);
    map_one(b, 3 | NW_BIT(63)); /* supervisor, not executable */
    assert_event(ask(b, by(PASID, 0x5000, NW_AMDVI_READ)), NW_AMDVI_IO_PAGE_FAULT, 0x055);
    struct nw_amdvi_request q = by(PASID, 0x5000, NW_AMDVI_READ);
    q.privileged = true;
    assert_int_equal(ask(b, q).rights, 3);
    q.execute = true;
    assert_event(ask(b, q), NW_AMDVI_IO_PAGE_FAULT, 0x053); /* GN NX PR PE */
    b->t.unit.efr &= ~NW_AMDVI_EFR_NX;                      /* bit 63 is reserved */
    assert_event(ask(b, q), NW_AMDVI_IO_PAGE_FAULT, 0x093);
    assert_event(ask(b, by(PASID, UINT64_C(1) << 47, NW_AMDVI_READ)), NW_AMDVI_IO_PAGE_FAULT,
                 0x005); /* not canonical */
}

static void guest__host_tables_stop_it(void **state)
{
    struct bench *b = *state;
    map_one(b, 7);
    put64(b->pm, LEAVES + 0x20 * 8, 0); /* the final page */
    struct nw_amdvi_result r = ask(b, by(PASID, 0x5123, NW_AMDVI_WRITE));
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x020);
    assert_true(r.event.address == 0x20123 && r.event.domain_id == 9 && r.event.level == 1);
    put64(b->pm, LEAVES + 0x12 * 8, 0); /* a table */
    r = ask(b, by(PASID, 0x5123, NW_AMDVI_WRITE));
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0);
    assert_true(r.event.address == 0x12000);
    put64(b->pm, LEAVES + 0x12 * 8, 0x50000000 | ACCESS | 1); /* its page is no memory */
    r = ask(b, by(PASID, 0x5123, NW_AMDVI_READ));
    assert_event(r, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0x200);
    assert_true(r.event.address == 0x50000000);
    put64(b->pm, LEAVES + 0x10 * 8, (BACKING + 0x10000u) | IR | 1); /* a table that may not be written needs A */
    put64(b->pm, LEAVES + 0x12 * 8, (BACKING + 0x12000u) | ACCESS | 1);
    put64(b->pm, LEAVES + 0x20 * 8, (BACKING + 0x20000u) | ACCESS | 1);
    map_one(b, 7);
    r = ask(b, by(PASID, 0x5123, NW_AMDVI_READ));
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x070);
    assert_true(r.event.address == CR3);
}

static void guest__gcr3_table(void **state)
{
    struct bench *b = *state;
    map_one(b, 7);
    struct nw_amdvi_result r = ask(b, by(PASID + 1, 0x5000, NW_AMDVI_READ));
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x005);                                      /* V = 0 */
    assert_event(ask(b, by(512, 0x5000, NW_AMDVI_READ)), NW_AMDVI_IO_PAGE_FAULT, 0x005); /* beyond one level */
    const uint32_t pasid = 3 << 18 | 7 << 9 | 2; /* three levels, at the top of the address width */
    const uint64_t top = UINT64_C(0x3ffff000);
    for (unsigned gpa = 0; gpa < 2; gpa++) {
        uint64_t offset = gpa ? BACKING : 0, table = gpa ? 0x8000 : top;
        b->t.gcr3_tables_in_gpa = gpa;
        set_dte(b, 3 | 2 << 9 | ROOT | ACCESS | GV | UINT64_C(2) << 56, table, 0);
        put64(b->pm, offset + table + 3 * 8, 0x9000 | 1);
        put64(b->pm, offset + 0x9000 + 7 * 8, 0xa000 | 1);
        put64(b->pm, offset + 0xa000 + 2 * 8, CR3 | 1);
        assert_true(ask(b, by(pasid, 0x5000, NW_AMDVI_READ)).hpa.v == BACKING + 0x20000);
    }
    put64(b->pm, LEAVES + 9 * 8, 0);
    r = ask(b, by(pasid, 0x5000, NW_AMDVI_WRITE));
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0);
    assert_true(r.event.address == 0x9038);
    b->t.gcr3_tables_in_gpa = false;
    set_dte(b, 3 | 2 << 9 | ROOT | ACCESS | GV, UINT64_C(0xfffffffff000), 0);
    r = ask(b, by(PASID, 0x5000, NW_AMDVI_WRITE));
    assert_event(r, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0x200);
    assert_true(r.event.address == UINT64_C(0xfffffffff028));
    b->t.unit.efr |= UINT64_C(31) << 32; /* PASmax 31: as far as the GCR3 table goes */
    assert_event(ask(b, by(~0u, 0x5000, NW_AMDVI_READ)), NW_AMDVI_IO_PAGE_FAULT, 0x005);
    b->t.unit.efr &= ~(UINT64_C(31) << 32); /* PASmax 0: PASIDs of one bit */
    assert_event(ask(b, by(2, 0x5000, NW_AMDVI_READ)), NW_AMDVI_IO_PAGE_FAULT, 0x005);
}

static void guest__what_the_dte_and_the_unit_say(void **state)
{
    struct bench *b = *state;
    map_one(b, 7);
    const uint64_t w0 = 3 | 2 << 9 | ROOT | ACCESS, efr = b->t.unit.efr;
    set_dte(b, w0, GCR3, 9); /* GV = 0 */
    assert_event(ask(b, by(PASID, 0x5000, NW_AMDVI_READ)), NW_AMDVI_IO_PAGE_FAULT, 0x005);
    for (uint64_t glx = 0; glx < 4; glx++)
        for (unsigned sup = 0; sup < 3; sup++) {
            b->t.unit.efr = (efr & ~(UINT64_C(3) << 14)) | (uint64_t)sup << 14;
            set_dte(b, w0 | GV | glx << 56, GCR3, 9);
            assert_int_equal(ask(b, by(0, 0, NW_AMDVI_READ)).event.code,
                             glx > sup ? NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY : NW_AMDVI_IO_PAGE_FAULT);
        }
    b->t.unit.efr = efr;
    set_dte(b, w0 | GV | GIOV, GCR3, 9); /* no PASID: PASID 0 */
    put64(b->pm, GCR3, CR3 | 1);
    struct nw_amdvi_request q = by(0, 0x5000, NW_AMDVI_READ);
    q.has_pasid = false;
    assert_true(ask(b, q).hpa.v == BACKING + 0x20000);
    set_dte(b, w0 | GV, GCR3, 9);
    assert_true(ask(b, q).hpa.v == BACKING + 0x5000); /* a GPA */
    b->t.unit.efr &= ~NW_AMDVI_EFR_GIO;
    set_dte(b, w0 | GV | GIOV, GCR3, 9);
    assert_event(ask(b, q), NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0x080);
    b->t.unit.efr = efr;
    set_dte(b, 3 | ACCESS | GV, GCR3, 9); /* Mode 0: GPAs are SPAs */
    put64(b->pm, GCR3 + PASID * 8, (BACKING + CR3) | 1);
    guest64(b, CR3, 0x400000 | 7);
    put64(b->pm, 0x400000, 0x600000000 | 0x87); /* bit 7 of a PDPTE: 1 GiB, aligned */
    struct nw_amdvi_result r = ask(b, by(PASID, 0x5000, NW_AMDVI_WRITE));
    assert_event(r, 0, 0);
    assert_true(r.hpa.v == 0x600005000);
    assert_int_equal(r.translation, NW_AMDVI_GUEST);
    assert_int_equal(r.page_log2, 30);
    put64(b->pm, DTES + DEVICE * 32 + 16, NW_BIT(54)); /* five levels */
    guest64(b, CR3, 0x410000 | 7);
    put64(b->pm, 0x410000, 0x400000 | 7);
    assert_true(ask(b, by(PASID, 0x5000, NW_AMDVI_WRITE)).hpa.v == 0x600005000);
    b->t.unit.efr &= ~(UINT64_C(3) << 12); /* GATS 0 */
    assert_event(ask(b, by(PASID, 0x5000, NW_AMDVI_READ)), NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0);
}

static void guest__translation_requests(void **state)
{
    struct bench *b = *state;
    struct nw_amdvi_request q = by(PASID, 0x5000, NW_AMDVI_WRITE);
    q.type = NW_AMDVI_TRANSLATION_REQUEST;
    set_dte(b, 3 | 2 << 9 | ROOT | ACCESS | GV, GCR3, NW_BIT(32));
    assert_event(ask(b, q), 0, 0); /* nothing there, no event */
    assert_int_equal(ask(b, q).rights, 0);
    map_one(b, 3); /* there, and a supervisor's: no rights for a user */
    assert_event(ask(b, q), 0, 0);
    assert_int_equal(ask(b, q).rights, 0);
    map_one(b, 5);
    assert_int_equal(ask(b, q).rights, NW_AMDVI_RIGHT_READ | NW_AMDVI_RIGHT_EXECUTE);
    map_one(b, 7);
    assert_int_equal(ask(b, q).rights, 7);
    guest64(b, CR3, 0x11000 | 0x87); /* bit 7 is reserved there */
    assert_event(ask(b, q), NW_AMDVI_IO_PAGE_FAULT, 0x195);
}

/* ---- random tables ------------------------------------------------------------------------------ */

struct answer {
    struct nw_amdvi_event e;
    uint64_t hpa, log2;
};

static bool host(struct bench *b, uint64_t gpa, enum nw_amdvi_request_kind kind, struct answer *a,
                 struct nw_amdvi_result *r)
{
    struct nw_amdvi_request q = { .device_id = DEVICE, .address = gpa, .kind = kind };
    nw_amdvi_translate(&b->t, &q, r);
    a->e = r->event;
    return !r->event.code;
}

static void fault(struct answer *a, const struct nw_amdvi_request *q, unsigned flags)
{
    a->e = (struct nw_amdvi_event){ .code = 2, .address = q->address };
    a->e.flags = (uint16_t)(flags | 1 | (q->privileged ? 0 : 4) | (q->execute ? 2 : 0) | (q->kind ? 0x20 : 0));
}

static struct answer naive(struct bench *b, const struct nw_amdvi_request *q)
{
    struct answer a = { .log2 = 12 };
    struct nw_amdvi_result r;
    uint64_t table = CR3, v = q->address, at[4], gpa[4], e = 0;
    bool user = true, write = true, execute = true, writable[4], store = q->kind != NW_AMDVI_READ && !q->execute;
    int n = 0, level = 3;
    if ((int64_t)(v << 16) >> 16 != (int64_t)v) {
        fault(&a, q, 0);
        return a;
    }
    for (;; level--) {
        gpa[n] = table + (v >> (12 + 9 * level)) % 512 * 8;
        if (!host(b, gpa[n], NW_AMDVI_READ, &a, &r))
            return a;
        at[n] = r.hpa.v;
        writable[n++] = r.rights & NW_AMDVI_RIGHT_WRITE;
        e = get64(b->pm, at[n - 1]);
        bool large = e & 0x80, last = level == 0 || (large && level < 3);
        if (!(e & 1)) {
            fault(&a, q, 0);
            return a;
        }
        if ((large && level == 3) || (last && level == 2 && (e & 0x3fffe000)) ||
            (last && level == 1 && (e & 0x1fe000))) {
            fault(&a, q, 0x90);
            return a;
        }
        user = user && (e & 4);
        write = write && (e & 2);
        execute = execute && !(e >> 63);
        if (last)
            break;
        table = e & UINT64_C(0xffffffffff000);
    }
    if ((!q->privileged && !user) || (store && !write) || (q->execute && !execute)) {
        fault(&a, q, 0x50);
        return a;
    }
    for (int i = 0; i < n; i++) {
        uint64_t word = get64(b->pm, at[i]), with = word | 0x20 | (store && i == n - 1 ? 0x40 : 0);
        if (with != word && !writable[i]) {
            host(b, gpa[i], NW_AMDVI_WRITE, &a, &r);
            return a;
        }
        put64(b->pm, at[i], with);
    }
    uint64_t size = NW_BIT(12 + 9 * level);
    if (host(b, ((e & UINT64_C(0xffffffffff000)) & ~(size - 1)) | (v & (size - 1)),
             q->execute ? NW_AMDVI_READ : q->kind, &a, &r)) {
        a.hpa = r.hpa.v;
        a.log2 = 12u + 9u * (unsigned)level < r.page_log2 ? 12u + 9u * (unsigned)level : r.page_log2;
    }
    return a;
}

/* Tables on GPA pages 16 to 23, their entries close together: addresses have few distinct indexes. */
static void fill(struct bench *b, uint64_t seed)
{
    struct nw_rng rng = nw_rng_seeded(seed);
#define below(n) nw_rng_below(&rng, n)
    for (unsigned page = 16; page < 24; page++)
        for (unsigned i = 0; i < 3; i++) {
            uint64_t to = below(8) ? 16 + below(8) : below(PAGES + 2);
            uint64_t e = to << 12 | 7 | (below(4) ? 0 : below(16) << 5);
            if (!below(8))
                e = (e & ~NW_BIT(below(3))) | (below(4) ? 0 : NW_BIT(63));
            if (!below(10))
                e |= 0x80;
            if (!below(10)) /* aligned for a large page */
                e = (e & 0xfff) | 0x80;
            guest64(b, page * 0x1000u + i * 8, e);
        }
    for (unsigned i = 0; i < PAGES; i++)
        if (!below(12))
            put64(b->pm, LEAVES + i * 8,
                  (BACKING + i * 0x1000u) | (below(2) ? IR : 0) | (below(3) ? 0 : IW) | below(4) << 5 |
                      (below(4) ? 1 : 0));
    set_dte(b, 3 | below(2) * 3 << 7 | 2 << 9 | ROOT | ACCESS | GV, GCR3, 9);
#undef below
}

static void guest__random_tables_agree_with_the_second_walk(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(7);
    unsigned good = 0, host_faults = 0, guest_faults = 0, reserved = 0;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct bench one, two; /* the same tables twice */
        begin(&one);
        begin(&two);
        fill(&one, seed);
        fill(&two, seed);
        for (unsigned k = 0; k < 16; k++) {
            uint64_t v = nw_rng_below(&rng, 0x1000);
            for (unsigned level = 0; level < 4; level++)
                v |= nw_rng_below(&rng, 3) << (12 + 9 * level);
            if (!nw_rng_below(&rng, 50))
                v |= NW_BIT(47);
            struct nw_amdvi_request q = by(PASID, v, (enum nw_amdvi_request_kind)nw_rng_below(&rng, 3));
            q.privileged = nw_rng_below(&rng, 2);
            if (!nw_rng_below(&rng, 5)) {
                q.kind = NW_AMDVI_READ;
                q.execute = true;
            }
            struct nw_amdvi_result r = ask(&one, q);
            struct answer a = naive(&two, &q);
            if (r.event.code != a.e.code || r.event.flags != a.e.flags || r.event.address != a.e.address ||
                (!a.e.code && (r.hpa.v != a.hpa || r.page_log2 != a.log2)))
                fail_msg("seed %u, request %u: %llx: event %x %x %llx hpa %llx, naive %x %x %llx %llx", (unsigned)seed,
                         k, (unsigned long long)v, r.event.code, r.event.flags, (unsigned long long)r.event.address,
                         (unsigned long long)r.hpa.v, a.e.code, a.e.flags, (unsigned long long)a.e.address,
                         (unsigned long long)a.hpa);
            good += !a.e.code;
            host_faults += a.e.code == 2 && !(a.e.flags & 1);
            guest_faults += a.e.code == 2 && (a.e.flags & 1);
            reserved += a.e.flags & 0x80 ? 1 : 0;
        }
        for (unsigned i = 0; i < 8 * 512; i++)
            assert_true(get64(one.pm, BACKING + 0x10000 + i * 8) == get64(two.pm, BACKING + 0x10000 + i * 8));
        for (unsigned i = 0; i < PAGES; i++)
            assert_true(get64(one.pm, LEAVES + i * 8) == get64(two.pm, LEAVES + i * 8));
        nw_physmem_destroy(one.pm);
        nw_physmem_destroy(two.pm);
    }
    assert_true(good > 1000 && host_faults > 1000 && guest_faults > 1000 && reserved > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = { TEST(guest__nested),
                                        TEST(guest__host_tables_stop_it),
                                        TEST(guest__gcr3_table),
                                        TEST(guest__what_the_dte_and_the_unit_say),
                                        TEST(guest__translation_requests),
                                        cmocka_unit_test(guest__random_tables_agree_with_the_second_walk) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
