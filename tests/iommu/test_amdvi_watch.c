/* What a watcher is told: every word that a translation reads, as many as the result counts, with names and fields; and that every event
 * has a sentence and a remedy. */
#include "iommu_common.h"
#include <nestwalk/iommu/amdvi_watch.h>

enum { DTES = 0x100000, DEVICE = 3, ROOT = 0x200000, LEAVES = 0x201000, GCR3 = 0x300000, BACKING = 0x1000000 };
static const struct nw_amdvi_range ram[] = { { 0, 0x40000000 } };
#define ACCESS nw_mask(62, 61)

static void every_event__has_text_and_remedy(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 16; code++)
        for (unsigned flags = 0; flags < 0x1000; flags++) {
            struct nw_amdvi_event e = { .code = (uint8_t)code, .flags = (uint16_t)flags };
            const char *text = nw_amdvi_event_text(&e), *remedy = nw_amdvi_event_remedy(&e);
            assert_int_equal(text != NULL, nw_amdvi_event_name(code) != NULL);
            assert_int_equal(remedy != NULL, text != NULL);
            if (text)
                assert_true(strlen(text) > 10 && remedy[0] >= 'A' && remedy[0] <= 'Z' &&
                            remedy[strlen(remedy) - 1] == '.');
        }
    assert_string_equal(nw_amdvi_event_text(&(struct nw_amdvi_event){ .code = 2, .flags = 0x20 }),
                        "the address is not mapped");
    assert_string_equal(nw_amdvi_event_text(&(struct nw_amdvi_event){ .code = 2, .flags = 0x70 }),
                        "the page may not be written");
    assert_string_equal(nw_amdvi_event_text(&(struct nw_amdvi_event){ .code = 2, .flags = 0x50 }),
                        "the page does not permit this access");
    assert_string_equal(nw_amdvi_event_text(&(struct nw_amdvi_event){ .code = 2, .flags = 0x90 }),
                        "reserved bits in a paging entry");
    assert_string_equal(nw_amdvi_event_text(&(struct nw_amdvi_event){ .code = 2, .flags = 0x10 }),
                        "a level that the entry cannot have");
}

struct told {
    struct nw_amdvi_watch watch;
    unsigned needs;
};
static void need(void *context, uint64_t address)
{
    struct told *t = context;
    assert_int_equal(t->needs, t->watch.count);
    assert_true(address % 8 == 0);
    t->needs++;
}

static void expect(const struct nw_amdvi_watch *w, unsigned i, const char *name, const char *decoded)
{
    char n[64], d[256];
    nw_amdvi_read_name(&w->read[i], n, sizeof n);
    nw_amdvi_read_decode(&w->read[i], d, sizeof d);
    assert_string_equal(n, name);
    assert_string_equal(d, decoded);
}

/* GVA 0x5000 of PASID 5, through 4 guest levels, each behind two of the host's. */
static void nested_walk__every_word_is_told(void **state)
{
    (void)state;
    struct told t = { .watch = { .need = need } };
    struct nw_physmem *pm;
    struct nw_amdvi_result r;
    t.watch.context = &t;
    must(nw_physmem_create(&pm, err));
    struct nw_amdvi_tables tables = { .unit = { .efr = 2 << 10 | NW_AMDVI_EFR_GT | NW_AMDVI_EFR_NX | UINT64_C(19) << 32,
                                                .pa_bits = 48 },
                                      .memory = { .pm = pm, .ram = ram, .ram_count = 1 },
                                      .device_table = DTES,
                                      .watch = &t.watch };
    put64(pm, ROOT, LEAVES | 1 << 9 | ACCESS | 1);
    for (unsigned i = 0; i < 64; i++)
        put64(pm, LEAVES + i * 8, (BACKING + i * 0x1000u) | ACCESS | 1);
    put64(pm, GCR3 + 5 * 8, 0x10000 | 1);
    put64(pm, DTES + DEVICE * 32, 3 | 2 << 9 | ROOT | ACCESS | NW_BIT(55) | (GCR3 >> 12 & UINT64_C(7)) << 58);
    put64(pm, DTES + DEVICE * 32 + 8, 9 | (GCR3 >> 15 & UINT64_C(0xffff)) << 16);
    put64(pm, BACKING + 0x10000, 0x11000 | 7);
    put64(pm, BACKING + 0x11000, 0x12000 | 7);
    put64(pm, BACKING + 0x12000, 0x13000 | 7);
    put64(pm, BACKING + 0x13000 + 5 * 8, 0x20000 | 0x27);
    struct nw_amdvi_request q = { .device_id = DEVICE, .address = 0x5123, .has_pasid = true, .pasid = 5 };
    nw_amdvi_translate(&tables, &q, &r);
    assert_int_equal(r.event.code, 0);
    assert_int_equal(t.watch.count, r.references);
    assert_int_equal(t.needs, t.watch.count);
    assert_int_equal(t.watch.count, 4 + 1 + 4 * 3 + 2);
    expect(&t.watch, 0, "device table entry, word 0",
           "V, TV, mode 2, host tables at 0x200000, GV, GCR3 table of 1 level, IR, IW");
    expect(&t.watch, 1, "device table entry, word 1", "domain 0x9, port I/O aborted");
    expect(&t.watch, 2, "device table entry, word 2", "IV clear: interrupts pass");
    expect(&t.watch, 4, "GCR3 table entry, level 1", "present, CR3 0x10000");
    expect(&t.watch, 5, "host entry, level 2", "present, readable and writable, table of level 1 at 0x201000");
    expect(&t.watch, 6, "host entry, level 1", "present, readable and writable, page of 4 KiB, at 0x1010000");
    expect(&t.watch, 7, "guest entry, level 4", "present, writable, user, table at GPA 0x11000");
    expect(&t.watch, 16, "guest entry, level 1", "present, writable, user, accessed, page of 4 KiB, at GPA 0x20000");
    expect(&t.watch, 18, "host entry, level 1", "present, readable and writable, page of 4 KiB, at 0x1020000");
    /* outside memory */
    put64(pm, ROOT, UINT64_C(0x50000000) | 1 << 9 | ACCESS | 1);
    t.watch.count = t.needs = 0;
    q.has_pasid = false;
    nw_amdvi_translate(&tables, &q, &r);
    assert_int_equal(r.event.code, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR);
    assert_int_equal(t.watch.count, 6);
    expect(&t.watch, 5, "host entry, level 1", "cannot be read: no memory there");
    nw_physmem_destroy(pm);
}

static void fields__of_host_entries(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        unsigned level;
        const char *decoded;
    } row[] = {
        { 0, 1, "not present" },
        { 0x7e01, 1, "present, neither readable nor writable, page of 64 KiB, at 0x0" },
        { UINT64_C(0x2000000040000061), 3, "present, readable, accessed, dirty, page of 1 GiB, at 0x40000000" },
        { UINT64_C(0x5800000000200001), 2, "present, writable, U, FC, page of 2 MiB, at 0x200000" },
        { UINT64_C(0x600ffffffffffe01), 1, "present, readable and writable, no page size" },
    };
    for (unsigned i = 0; i < NW_ARRAY_LEN(row); i++) {
        struct nw_amdvi_read r = {
            .table = NW_AMDVI_HOST_ENTRY, .level = (uint8_t)row[i].level, .readable = true, .value = row[i].value
        };
        char d[256];
        nw_amdvi_read_decode(&r, d, sizeof d);
        assert_string_equal(d, row[i].decoded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_event__has_text_and_remedy),
                                        cmocka_unit_test(nested_walk__every_word_is_told),
                                        cmocka_unit_test(fields__of_host_entries) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
