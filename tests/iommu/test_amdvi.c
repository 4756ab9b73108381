/* The AMD IOMMU: known answers. Random tables are in test_amdvi_property.c. */
#include <nestwalk/iommu/amdvi.h>

#include "iommu_common.h"

enum { TABLE = 0x100000, DEVICE = 0x0010, ROOT = 0x200000 };
static const struct nw_amdvi_range ram[] = { { 0, 0x40000000 } };
#define IR  NW_BIT(61)
#define IW  NW_BIT(62)
#define RW_ (IR | IW)

struct bench {
    struct nw_physmem *pm;
    struct nw_amdvi_tables t;
};

static uint64_t mode(unsigned m) { return (uint64_t)m << 9; }

static void dte(struct bench *b, uint64_t w0, uint64_t w1)
{
    put64(b->pm, TABLE + DEVICE * 32, w0);
    put64(b->pm, TABLE + DEVICE * 32 + 8, w1);
}

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(nw_physmem_create(&b->pm, err));
    b->t = (struct nw_amdvi_tables){ .unit = { .efr = 2 << 10 | NW_AMDVI_EFR_HA | NW_AMDVI_EFR_HD | NW_AMDVI_EFR_PPR,
                                               .pa_bits = 48 },
                                     .memory = { .pm = b->pm, .ram = ram, .ram_count = 1 },
                                     .device_table = TABLE };
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

static struct nw_amdvi_result ask(struct bench *b, uint64_t address, enum nw_amdvi_request_kind kind,
                                  enum nw_amdvi_address_type type)
{
    struct nw_amdvi_result r;
    nw_amdvi_translate(
        &b->t, &(struct nw_amdvi_request){ .device_id = DEVICE, .address = address, .kind = kind, .type = type }, &r);
    return r;
}
static struct nw_amdvi_result rd(struct bench *b, uint64_t a) { return ask(b, a, NW_AMDVI_READ, 0); }
static struct nw_amdvi_result wr(struct bench *b, uint64_t a) { return ask(b, a, NW_AMDVI_WRITE, 0); }

#define assert_event(r, c, f)                                                                                          \
    do {                                                                                                               \
        struct nw_amdvi_result it = (r);                                                                               \
        assert_int_equal(it.event.code, c);                                                                            \
        assert_int_equal(it.event.flags, f);                                                                           \
    } while (0)
#define assert_page(r, address, log2, permits)                                                                         \
    do {                                                                                                               \
        struct nw_amdvi_result it = (r);                                                                               \
        assert_int_equal(it.event.code, 0);                                                                            \
        assert_true(it.hpa.v == (address));                                                                            \
        assert_int_equal(it.page_log2, log2);                                                                          \
        assert_int_equal(it.rights, permits);                                                                          \
    } while (0)

/* ---- the unit and the device table -------------------------------------------------------------- */

static void unit__widths(void **state)
{
    (void)state;
    struct nw_error err = { 0 };
    assert_int_equal(nw_amdvi_capabilities_check(&(struct nw_amdvi_capabilities){ 0, 48 }, &err), NW_OK);
    assert_int_equal(nw_amdvi_capabilities_check(&(struct nw_amdvi_capabilities){ 0, 31 }, &err), NW_ERR_INPUT);
    assert_int_equal(nw_amdvi_capabilities_check(&(struct nw_amdvi_capabilities){ 0, 53 }, &err), NW_ERR_INPUT);
    assert_int_equal(nw_amdvi_capabilities_check(&(struct nw_amdvi_capabilities){ 3 << 10, 48 }, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "HATS"));
    for (unsigned v = 0; v < 4; v++) {
        assert_int_equal(nw_amdvi_capabilities_check(&(struct nw_amdvi_capabilities){ v << 12, 48 }, &err),
                         v < 2 ? NW_OK : NW_ERR_INPUT);
        assert_int_equal(nw_amdvi_capabilities_check(&(struct nw_amdvi_capabilities){ v << 14, 48 }, &err),
                         v < 3 ? NW_OK : NW_ERR_INPUT);
    }
    assert_non_null(strstr(err.text, "GLXSup 3"));
}

static void device__what_v_tv_and_mode_0_say(void **state)
{
    struct bench *b = *state;
    assert_page(rd(b, 0x12345), 0x12345, 64, 3); /* V = 0 */
    dte(b, 1, 7);
    assert_event(rd(b, 0x12345), NW_AMDVI_IO_PAGE_FAULT, 0); /* TV = 0 */
    dte(b, 3 | RW_, 7);
    assert_page(wr(b, 0x12345), 0x12345, 64, 3);
    assert_int_equal(wr(b, 0x12345).domain_id, 7);
    dte(b, 3 | IR, 7);
    assert_page(rd(b, 0x12345), 0x12345, 64, 1);
    assert_event(wr(b, 0x12345), NW_AMDVI_IO_PAGE_FAULT, 0x070);
    assert_event(ask(b, 0x12345, NW_AMDVI_ATOMIC, 0), NW_AMDVI_IO_PAGE_FAULT, 0x070);
    assert_false(rd(b, 0).force_coherent);
    put64(b->pm, TABLE + DEVICE * 32 + 24, NW_BIT(55));
    assert_true(rd(b, 0).force_coherent);
}

static void device__table_ends(void **state)
{
    struct bench *b = *state;
    struct nw_amdvi_result r;
    const struct nw_amdvi_request last = { .device_id = 127 }, beyond = { .device_id = 128 };
    nw_amdvi_translate(&b->t, &last, &r);
    assert_int_equal(r.event.code, 0);
    nw_amdvi_translate(&b->t, &beyond, &r);
    assert_event(r, NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0);
    b->t.device_table |= 1;
    nw_amdvi_translate(&b->t, &beyond, &r);
    assert_int_equal(r.event.code, 0);
    b->t.device_table = 0x7fff0000;
    r = wr(b, 0x5000);
    assert_event(r, NW_AMDVI_DEV_TAB_HARDWARE_ERROR, 0x220);
    assert_true(r.event.address == 0x7fff0000 + DEVICE * 32);
}

/* Each bit of words 0 and 1 set alone in an entry with V and TV: the reserved ones, and what the unit lacks. */
static void device__reserved_bits(void **state)
{
    struct bench *b = *state;
    const uint64_t full[2] = { UINT64_C(0x9fc000000000007c), UINT64_C(0xfffffc00ffff0000) }, efr = b->t.unit.efr;
    for (unsigned lacks = 0; lacks < 2; lacks++) {
        b->t.unit.efr = lacks ? 2 << 10 : efr;
        for (unsigned i = 0; i < 64; i++) {
            bool bad = full[0] >> i & 1;
            /* HAD = 2 is a reserved encoding with and without HA and HD; the others go with their feature. */
            bad |= i == 8 || (lacks && (i == 7 || i == 52 || i == 53));
            dte(b, 3 | NW_BIT(i), 0);
            assert_int_equal(rd(b, 0).event.code == NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, bad);
            if (bad)
                assert_event(wr(b, 0), NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0x0a0);
            dte(b, 3 | RW_, NW_BIT(i));
            assert_int_equal(rd(b, 0).event.code, full[1] >> i & 1 ? NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY : 0);
        }
    }
    dte(b, ~UINT64_C(1), ~UINT64_C(0)); /* V = 0: nothing else counts */
    assert_page(rd(b, 0x1000), 0x1000, 64, 3);
    dte(b, 3 | RW_, 3 << 3 | NW_BIT(35) | NW_BIT(36)); /* IoCtl = 3 */
    assert_event(rd(b, 0), NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0x080);
}

static void device__mode_beyond_the_unit(void **state)
{
    struct bench *b = *state;
    for (unsigned hats = 0; hats < 3; hats++)
        for (unsigned m = 1; m <= 7; m++) {
            b->t.unit.efr = hats << 10;
            dte(b, 3 | mode(m) | ROOT | RW_, 0);
            unsigned code = m > 4 + hats ? NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY : NW_AMDVI_IO_PAGE_FAULT;
            assert_event(rd(b, 0), code, 0);
            dte(b, 1 | mode(m) | ROOT, 0); /* TV = 0: Mode does not count */
            assert_event(rd(b, 0), NW_AMDVI_IO_PAGE_FAULT, 0);
        }
}

/* ---- host page tables --------------------------------------------------------------------------- */

static void host__four_levels(void **state)
{
    struct bench *b = *state;
    const uint64_t a = UINT64_C(0x123456789abc);
    dte(b, 3 | mode(4) | ROOT | RW_, 0x21);
    assert_event(rd(b, a), NW_AMDVI_IO_PAGE_FAULT, 0);
    assert_event(wr(b, a), NW_AMDVI_IO_PAGE_FAULT, NW_AMDVI_FLAG_RW);
    for (unsigned level = 4; level > 1; level--)
        put64(b->pm, ROOT + (4 - level) * 0x1000 + (a >> (12 + 9 * (level - 1)) & 511) * 8,
              (ROOT + (5 - level) * 0x1000) | mode(level - 1) | RW_ | 1);
    uint64_t leaf = ROOT + 0x3000 + (a >> 12 & 511) * 8;
    put64(b->pm, leaf, UINT64_C(0xabcde000) | IR | 1);
    assert_page(rd(b, a), UINT64_C(0xabcdeabc), 12, 1);
    assert_int_equal(rd(b, a).references, 8);
    assert_int_equal(rd(b, a).domain_id, 0x21);
    struct nw_amdvi_result r = wr(b, a);
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x070);
    assert_int_equal(r.event.level, 1);
    uint64_t record[2];
    nw_amdvi_event_record(&r.event, record);
    assert_true(record[0] == UINT64_C(0x2070002100000010) && record[1] == a);
    put64(b->pm, leaf, UINT64_C(0xabcde000) | RW_ | NW_BIT(59) | NW_BIT(60) | 1);
    r = wr(b, a);
    assert_true(r.untranslated_only && r.force_coherent && r.rights == 3);
    put64(b->pm, ROOT + (a >> 39 & 511) * 8, (ROOT + 0x1000) | mode(3) | IW | 1); /* an upper level denies */
    assert_event(rd(b, a), NW_AMDVI_IO_PAGE_FAULT, 0x050);
    dte(b, 3 | mode(4) | ROOT | IR, NW_BIT(34)); /* DTE denies; SA */
    r = wr(b, a);
    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x070);
    assert_false(r.event.logged);
    assert_event(rd(b, UINT64_C(1) << 48 | a), NW_AMDVI_IO_PAGE_FAULT, 0); /* beyond four levels */
}

/* Mode 1 to 6: the first address beyond the width is not mapped; Mode 6 has all 64 bits. */
static void host__widths(void **state)
{
    struct bench *b = *state;
    for (unsigned m = 1; m <= 6; m++) {
        unsigned width = 12 + 9 * m;
        dte(b, 3 | mode(m) | ROOT | RW_, 0);
        uint64_t top = width < 64 ? NW_BIT(width) - 0x1000 : ~UINT64_C(0xfff);
        for (unsigned level = m; level > 1; level--)
            put64(b->pm, ROOT + (m - level) * 0x1000 + (level == 6 ? 127u : 511u) * 8,
                  (ROOT + (m - level + 1) * 0x1000) | mode(level - 1) | RW_ | 1);
        put64(b->pm, ROOT + (m - 1) * 0x1000 + 511 * 8, 0x7000 | RW_ | 1);
        assert_page(wr(b, top + 0x123), 0x7123, 12, 3);
        if (m < 6)
            assert_event(wr(b, NW_BIT(width) + top), NW_AMDVI_IO_PAGE_FAULT, 0x020);
    }
}

static void host__skipped_levels(void **state)
{
    struct bench *b = *state;
    dte(b, 3 | mode(5) | ROOT | RW_, 0);
    put64(b->pm, ROOT + 3 * 8, (ROOT + 0x1000) | mode(1) | RW_ | 1); /* from level 5 to level 1 */
    put64(b->pm, ROOT + 0x1000 + 9 * 8, 0x8000 | RW_ | 1);
    assert_page(rd(b, UINT64_C(3) << 48 | 0x9010), 0x8010, 12, 3);
    for (unsigned bit = 21; bit < 48; bit++)
        assert_event(rd(b, UINT64_C(3) << 48 | NW_BIT(bit) | 0x9010), NW_AMDVI_IO_PAGE_FAULT, 0);
    for (unsigned next = 5; next < 7; next++) { /* not below its own level */
        put64(b->pm, ROOT + 3 * 8, (ROOT + 0x1000) | mode(next) | RW_ | 1);
        assert_event(rd(b, UINT64_C(3) << 48 | 0x9010), NW_AMDVI_IO_PAGE_FAULT, 0x010);
    }
}

static void host__page_sizes(void **state)
{
    struct bench *b = *state;
    for (unsigned level = 1; level <= 6; level++) {
        unsigned own = 12 + 9 * (level - 1);
        dte(b, 3 | mode(level) | ROOT | RW_, 0);
        put64(b->pm, ROOT, UINT64_C(0x000ffffffffff000) | RW_ | 1); /* NextLevel 0: the level's own size */
        uint64_t inside = (NW_BIT(own) - 1) & UINT64_C(0x1234567890abcdef);
        if (own <= 52)
            assert_page(rd(b, inside), (UINT64_C(0x000ffffffffff000) & ~(NW_BIT(own) - 1)) | inside, own, 3);
        else
            assert_event(rd(b, inside), NW_AMDVI_IO_PAGE_FAULT, 0x010);
        for (unsigned log2 = 13; log2 <= 53; log2++) { /* NextLevel 7 */
            uint64_t ones = (NW_BIT(log2 - 1) - 1) & ~UINT64_C(0xfff);
            uint64_t base = log2 < 51 ? NW_BIT(51) : 0;
            put64(b->pm, ROOT, base | ones | mode(7) | RW_ | 1);
            inside = own > 13 ? NW_BIT(own) - 0x111 : 0xeef;
            if (log2 > own && log2 < own + 9 && log2 <= 52)
                assert_page(rd(b, inside), base | inside, log2, 3);
            else
                assert_event(rd(b, inside), NW_AMDVI_IO_PAGE_FAULT, 0x010);
        }
    }
}

static void host__reserved_bits(void **state)
{
    struct bench *b = *state;
    dte(b, 3 | mode(2) | ROOT | RW_, 0);
    for (unsigned bit = 0; bit < 64; bit++) {
        put64(b->pm, ROOT + 0x1000, 0x5000 | RW_ | 1);
        put64(b->pm, ROOT, ((ROOT + 0x1000) | mode(1) | RW_ | 1) | NW_BIT(bit));
        if (bit < 9 || bit > 60)
            assert_int_equal(rd(b, 0).event.code, 0);
        else if (bit >= 52)
            assert_event(rd(b, 0), NW_AMDVI_IO_PAGE_FAULT, 0x090);
        put64(b->pm, ROOT, (ROOT + 0x1000) | mode(1) | RW_ | 1);
        put64(b->pm, ROOT + 0x1000, 0x5000 | RW_ | 1 | NW_BIT(bit));
        if (bit < 9 || bit > 58)
            assert_int_equal(rd(b, 0).event.code, 0);
        else if (bit >= 52)
            assert_event(rd(b, 0), NW_AMDVI_IO_PAGE_FAULT, 0x090);
    }
}

static void host__malformed(void **state)
{
    struct bench *b = *state;
    dte(b, 3 | mode(6) | ROOT | RW_, 0);
    for (unsigned i = 0; i < 512; i++) /* a table whose every entry points to itself, one level down */
        put64(b->pm, ROOT + i * 8, ROOT | mode(5) | RW_ | 1);
    assert_event(rd(b, 0x123000), NW_AMDVI_IO_PAGE_FAULT, 0x010);
    assert_int_equal(rd(b, 0x123000).references, 6);
    put64(b->pm, ROOT, 0x40000000 | mode(5) | RW_ | 1); /* a table beyond memory */
    struct nw_amdvi_result r = wr(b, UINT64_C(2) << 48);
    assert_event(r, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0x220);
    assert_true(r.event.address == 0x40000010);
    put64(b->pm, ROOT, nw_mask(51, 12) | mode(5) | RW_ | 1);
    assert_event(rd(b, 0), NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0x200);
    b->t.memory.ram = NULL; /* everything below 2^48 can be read */
    assert_event(rd(b, 0), NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0x200);
    b->t.unit.pa_bits = 52;
    assert_event(rd(b, 0), NW_AMDVI_IO_PAGE_FAULT, 0);
}

static void host__accessed_and_dirty(void **state)
{
    struct bench *b = *state;
    const uint64_t table = (ROOT + 0x1000) | mode(1) | RW_ | 1, leaf = 0x5000 | RW_ | 1;
    for (unsigned had = 0; had < 4; had++) {
        for (unsigned kind = NW_AMDVI_READ; kind <= NW_AMDVI_ATOMIC && had != 2; kind++) {
            put64(b->pm, ROOT, table);
            put64(b->pm, ROOT + 0x1000, leaf);
            dte(b, 3 | had << 7 | mode(2) | ROOT | RW_, 0);
            assert_int_equal(ask(b, 0, kind, 0).event.code, 0);
            assert_true(get64(b->pm, ROOT) == (table | (had ? 32 : 0)));
            assert_true(get64(b->pm, ROOT + 0x1000) ==
                        (leaf | (had ? 32 : 0) | (had == 3 && kind != NW_AMDVI_READ ? 64 : 0)));
        }
    }
}

/* ---- address types and ranges ------------------------------------------------------------------- */

static void request__remote_iotlb(void **state)
{
    struct bench *b = *state;
    assert_event(ask(b, 0, NW_AMDVI_WRITE, NW_AMDVI_TRANSLATED), NW_AMDVI_INVALID_DEVICE_REQUEST, 0x200);
    assert_event(ask(b, 0, NW_AMDVI_READ, NW_AMDVI_TRANSLATION_REQUEST), NW_AMDVI_INVALID_DEVICE_REQUEST, 0x300);
    dte(b, 3 | mode(1) | ROOT | IR, 0);
    assert_event(ask(b, 0, NW_AMDVI_WRITE, NW_AMDVI_TRANSLATED), NW_AMDVI_INVALID_DEVICE_REQUEST, 0x200);
    dte(b, 3 | mode(1) | ROOT | IR, NW_BIT(32));
    assert_page(ask(b, 0x777000, NW_AMDVI_WRITE, NW_AMDVI_TRANSLATED), 0x777000, 64, 3);
    assert_page(ask(b, 0x3000, NW_AMDVI_WRITE, NW_AMDVI_TRANSLATION_REQUEST), 0, 12, 0); /* nothing there */
    put64(b->pm, ROOT + 3 * 8, 0x6000 | RW_ | 1);
    assert_page(ask(b, 0x3000, NW_AMDVI_WRITE, NW_AMDVI_TRANSLATION_REQUEST), 0x6000, 12, 1); /* read only: by DTE */
    put64(b->pm, ROOT + 3 * 8, 0x6000 | NW_BIT(52) | RW_ | 1);
    assert_event(ask(b, 0x3000, NW_AMDVI_WRITE, NW_AMDVI_TRANSLATION_REQUEST), NW_AMDVI_IO_PAGE_FAULT, 0x190);
}

static void request__ranges(void **state)
{
    struct bench *b = *state;
    const uint64_t management = UINT64_C(0xfdf9100040), io = UINT64_C(0xfdfc000080);
    struct nw_amdvi_result r;
    for (unsigned v = 0; v < 4; v++) {
        dte(b, 3 | RW_, (uint64_t)v << 40);
        if (v == 0 || v == 2)
            assert_event(wr(b, management), NW_AMDVI_INVALID_DEVICE_REQUEST, 0x600);
        else
            assert_page(wr(b, management), management, 64, v == 1 ? 2 : 3);
        const struct nw_amdvi_request q = {
            .device_id = DEVICE, .address = management, .kind = NW_AMDVI_WRITE, .intx = true
        };
        nw_amdvi_translate(&b->t, &q, &r);
        assert_int_equal(r.event.code, v ? 0 : NW_AMDVI_INVALID_DEVICE_REQUEST);
        dte(b, 3 | IR, (uint64_t)v << 35);
        if (v == 0)
            assert_event(wr(b, io), NW_AMDVI_INVALID_DEVICE_REQUEST, 0x400);
        else if (v == 1)
            assert_page(wr(b, io), io, 64, 3);
        else if (v == 2)
            assert_event(wr(b, io), NW_AMDVI_IO_PAGE_FAULT, 0x070); /* translated: Mode 0 without IW */
    }
    dte(b, 3 | RW_, 0);
    assert_event(rd(b, 0xfee00040), NW_AMDVI_INVALID_DEVICE_REQUEST, 0);
    assert_int_equal(rd(b, 0xfedffff8).event.code, 0);
    assert_int_equal(rd(b, 0xfef00000).event.code, 0);
}

static void request__exclusion_range(void **state)
{
    struct bench *b = *state;
    dte(b, 3 | mode(1) | ROOT, 0);
    b->t.exclusion_base = 0x80000000 | 1;
    b->t.exclusion_limit = 0x80001000; /* two pages */
    assert_event(wr(b, 0x80000000), NW_AMDVI_IO_PAGE_FAULT, 0x020);
    dte(b, 3 | mode(1) | ROOT, NW_BIT(39));
    assert_page(wr(b, 0x80000000), 0x80000000, 64, 3);
    assert_page(wr(b, 0x80001fff), 0x80001fff, 64, 3);
    assert_event(wr(b, 0x7fffffff), NW_AMDVI_IO_PAGE_FAULT, 0x020);
    assert_event(wr(b, 0x80002000), NW_AMDVI_IO_PAGE_FAULT, 0x020);
    dte(b, 3 | mode(1) | ROOT, 0);
    b->t.exclusion_base |= 2; /* Allow */
    assert_page(wr(b, 0x80000000), 0x80000000, 64, 3);
    b->t.exclusion_base &= ~UINT64_C(1);
    assert_event(wr(b, 0x80000000), NW_AMDVI_IO_PAGE_FAULT, 0x020);
}

static void event__names(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 16; code++)
        assert_int_equal(nw_amdvi_event_name(code) != NULL, code >= 1 && code <= 9);
    assert_string_equal(nw_amdvi_event_name(2), "IO_PAGE_FAULT");
    assert_string_equal(nw_amdvi_translation_name[NW_AMDVI_HOST], "host");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(unit__widths),
                                        TEST(device__what_v_tv_and_mode_0_say),
                                        TEST(device__table_ends),
                                        TEST(device__reserved_bits),
                                        TEST(device__mode_beyond_the_unit),
                                        TEST(host__four_levels),
                                        TEST(host__widths),
                                        TEST(host__skipped_levels),
                                        TEST(host__page_sizes),
                                        TEST(host__reserved_bits),
                                        TEST(host__malformed),
                                        TEST(host__accessed_and_dirty),
                                        TEST(request__remote_iotlb),
                                        TEST(request__ranges),
                                        TEST(request__exclusion_range),
                                        cmocka_unit_test(event__names) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
