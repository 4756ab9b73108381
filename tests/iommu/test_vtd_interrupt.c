/* Interrupt remapping and posting: formats, checks in their order, every bit of an entry. */
#include "iommu_common.h"

enum { TABLE = 0x10000, PID = 0x40000 };
#define REMAPPABLE UINT64_C(0xfee00010)

struct bench {
    struct nw_physmem *pm;
    struct nw_vtd_tables t;
};

static const struct nw_vtd_range ram[] = { { 0, 0x1000000 } };

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(nw_physmem_create(&b->pm, err));
    b->t.unit = (struct nw_vtd_capabilities){ .cap = NW_VTD_CAP_PI, .haw = 46 };
    b->t.memory = (struct nw_vtd_memory){ b->pm, ram, 1 };
    b->t.irta = TABLE | NW_BIT(11) | 3; /* EIME, 16 entries */
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

static void entry(struct bench *b, unsigned index, uint64_t low, uint64_t high)
{
    put64(b->pm, TABLE + index * 16, low);
    put64(b->pm, TABLE + index * 16 + 8, high);
}

static struct nw_vtd_interrupt ask(const struct bench *b, uint16_t source, uint64_t address, uint32_t data)
{
    struct nw_vtd_interrupt r;
    nw_vtd_interrupt(&b->t, &(struct nw_vtd_interrupt_request){ source, address, data }, &r);
    return r;
}

static void interrupt__remapped_fields(void **state)
{
    struct bench *b = *state;
    /* destination 0x12345678, vector 0x41, level, redirection hint, logical, lowest priority */
    entry(b, 5, UINT64_C(0x1234567800410000) | 1 << 5 | 1 << 4 | 1 << 3 | 1 << 2 | 1, 0);
    struct nw_vtd_interrupt r = ask(b, 0x100, REMAPPABLE | 5 << 5, 0);
    assert_int_equal(r.fault.reason, 0);
    assert_int_equal(r.form, NW_VTD_REMAPPED);
    assert_true(r.notifies && r.level && r.redirection_hint && r.logical);
    assert_int_equal(r.destination, 0x12345678);
    assert_int_equal(r.vector, 0x41);
    assert_int_equal(r.delivery_mode, 1);
    /* The same entry by a subhandle: handle 3, and 2 in the data; without SHV the data do not count. */
    r = ask(b, 0x100, REMAPPABLE | 3 << 5 | 8, 2);
    assert_int_equal(r.vector, 0x41);
    assert_int_equal(ask(b, 0x100, REMAPPABLE | 3 << 5, 2).fault.address, 3);
    /* xAPIC: 8 bits of destination in 47:40 */
    b->t.irta &= ~NW_BIT(11);
    entry(b, 5, UINT64_C(0x0000a90000410001), 0);
    assert_int_equal(ask(b, 0x100, REMAPPABLE | 5 << 5, 0).destination, 0xa9);
}

static void interrupt__handle_bit_15_is_address_bit_2(void **state)
{
    struct bench *b = *state;
    b->t.irta = TABLE | NW_BIT(11) | 15;
    put64(b->pm, TABLE + 0x8001 * 16, UINT64_C(0x0000000700330001));
    assert_int_equal(ask(b, 0, REMAPPABLE | 1 << 5 | 4, 0).vector, 0x33);
}

static void interrupt__faults_in_their_order(void **state)
{
    struct bench *b = *state;
    struct nw_vtd_interrupt r = ask(b, 0, REMAPPABLE | 8, 0x10000);
    assert_int_equal(r.fault.reason, 0x20);
    r = ask(b, 0, REMAPPABLE | 16 << 5, 0);
    assert_int_equal(r.fault.reason, 0x21);
    assert_int_equal(r.fault.address, 16);
    entry(b, 0, 0xff00, ~UINT64_C(0)); /* not present: nothing else counts */
    assert_int_equal(ask(b, 0, REMAPPABLE, 0).fault.reason, 0x22);
    assert_true(ask(b, 0, REMAPPABLE, 0).fault.recorded);
    entry(b, 0, 2, 0); /* FPD */
    assert_false(ask(b, 0, REMAPPABLE, 0).fault.recorded);
    entry(b, 0, NW_BIT(12) | 1, UINT64_C(0x40100)); /* reserved before the source */
    assert_int_equal(ask(b, 0, REMAPPABLE, 0).fault.reason, 0x24);
    entry(b, 0, 3, UINT64_C(0x40100));
    assert_int_equal(ask(b, 0, REMAPPABLE, 0).fault.reason, 0x26);
    assert_false(ask(b, 0, REMAPPABLE, 0).fault.recorded);
    b->t.irta = 0x2000000 | 3; /* no memory there */
    assert_int_equal(ask(b, 0, REMAPPABLE, 0).fault.reason, 0x23);
}

static void interrupt__compatibility_format(void **state)
{
    struct bench *b = *state;
    assert_int_equal(ask(b, 7, 0xfee12004, 0x4031).fault.reason, 0x25);
    b->t.compatible_format = true; /* not with 32-bit destinations */
    assert_int_equal(ask(b, 7, 0xfee12004, 0x4031).fault.reason, 0x25);
    b->t.irta &= ~NW_BIT(11);
    struct nw_vtd_interrupt r = ask(b, 7, 0xfee12004, 0xc131);
    assert_int_equal(r.fault.reason, 0);
    assert_int_equal(r.form, NW_VTD_COMPATIBLE);
    assert_int_equal(r.destination, 0x12);
    assert_int_equal(r.vector, 0x31);
    assert_int_equal(r.delivery_mode, 1);
    assert_true(r.level && r.logical && !r.redirection_hint);
}

/* All 65536 sources against each qualifier; two bus ranges. */
static void interrupt__source_validation(void **state)
{
    struct bench *b = *state;
    for (unsigned sq = 0; sq < 4; sq++) {
        static const unsigned allowed[] = { 1, 2, 4, 8 }; /* functions that share the entry */
        unsigned passed = 0;
        entry(b, 1, UINT64_C(0x100410001), 0x12a5 | (uint64_t)sq << 16 | 1 << 18);
        for (unsigned source = 0; source < 65536; source++) {
            bool passes = !ask(b, (uint16_t)source, REMAPPABLE | 1 << 5, 0).fault.reason;
            passed += passes;
            if (passes)
                assert_int_equal(source & ~7u, 0x12a0);
        }
        assert_int_equal(passed, allowed[sq]);
    }
    entry(b, 1, UINT64_C(0x100410001), 0x1015 | 2 << 18); /* buses 10 to 15 */
    for (unsigned bus = 0; bus < 256; bus++)
        assert_int_equal(!ask(b, (uint16_t)(bus << 8 | 9), REMAPPABLE | 1 << 5, 0).fault.reason,
                         bus >= 0x10 && bus <= 0x15);
    entry(b, 1, UINT64_C(0x100410001), 3 << 18);
    assert_int_equal(ask(b, 0, REMAPPABLE | 1 << 5, 0).fault.reason, 0x24);
}

/* Bit by bit, as the figures of the two forms have it. */
static void interrupt__every_reserved_bit(void **state)
{
    struct bench *b = *state;
    put64(b->pm, PID + 32, 0);
    for (unsigned eime = 0; eime < 2; eime++)
        for (unsigned posted = 0; posted < 2; posted++)
            for (unsigned bit = 0; bit < 128; bit++) {
                b->t.irta = TABLE | 3 | (uint64_t)eime << 11;
                uint64_t low = posted ? UINT64_C(1) << 15 | (uint64_t)PID >> 6 << 38 | 1 : 1, high = 0;
                *(bit < 64 ? &low : &high) ^= NW_BIT(bit % 64);
                bool reserved = posted ? (bit >= 2 && bit <= 7) || bit == 12 || bit == 13 || (bit >= 24 && bit <= 37) ||
                                             (bit >= 64 + 20 && bit <= 64 + 31)
                                       : (bit >= 12 && bit <= 14) || (bit >= 24 && bit <= 31) || bit >= 64 + 20;
                if (!posted && !eime)
                    reserved |= (bit >= 32 && bit <= 39) || (bit >= 48 && bit <= 63);
                if (bit == 0 || bit == 15)
                    continue; /* not present; the other form */
                entry(b, 2, low, high);
                struct nw_vtd_interrupt r = ask(b, 0, REMAPPABLE | 2 << 5, 0);
                if ((r.fault.reason == 0x24) != reserved)
                    fail_msg("eime %u posted %u bit %u: reason %x", eime, posted, bit, r.fault.reason);
            }
    /* Without the capability the posted form is reserved; so are two delivery modes. */
    b->t.unit.cap = 0;
    entry(b, 2, NW_BIT(15) | 1, 0);
    assert_int_equal(ask(b, 0, REMAPPABLE | 2 << 5, 0).fault.reason, 0x24);
    for (unsigned mode = 0; mode < 8; mode++) {
        entry(b, 2, (uint64_t)mode << 5 | 1, 0);
        assert_int_equal(ask(b, 0, REMAPPABLE | 2 << 5, 0).fault.reason, mode == 3 || mode == 6 ? 0x24 : 0);
    }
}

static void interrupt__posting(void **state)
{
    struct bench *b = *state;
    uint64_t low = UINT64_C(1) << 15 | (uint64_t)PID >> 6 << 38 | 1 | 0x9c << 16;
    entry(b, 2, low, 0);
    put64(b->pm, PID + 32, UINT64_C(0x0000000500f20000)); /* NV f2, NDST 5 */
    struct nw_vtd_interrupt r = ask(b, 0, REMAPPABLE | 2 << 5, 0);
    assert_int_equal(r.fault.reason, 0);
    assert_int_equal(r.form, NW_VTD_POSTED);
    assert_int_equal(r.descriptor, PID);
    assert_int_equal(r.posted_vector, 0x9c);
    assert_true(r.notifies && !r.urgent);
    assert_int_equal(r.vector, 0xf2);
    assert_int_equal(r.destination, 5);
    assert_true(get64(b->pm, PID + 16) == NW_BIT(0x9c - 128));
    assert_true(get64(b->pm, PID + 32) == UINT64_C(0x0000000500f20001)); /* ON */
    assert_false(ask(b, 0, REMAPPABLE | 2 << 5, 0).notifies);            /* one is outstanding */
    put64(b->pm, PID + 32, UINT64_C(0x0000000500f20002));                /* SN holds back all but urgent ones */
    assert_false(ask(b, 0, REMAPPABLE | 2 << 5, 0).notifies);
    assert_true(get64(b->pm, PID + 32) == UINT64_C(0x0000000500f20002));
    entry(b, 2, low | NW_BIT(14), 0);
    assert_true(ask(b, 0, REMAPPABLE | 2 << 5, 0).notifies);
    put64(b->pm, PID + 32, NW_BIT(2));
    assert_int_equal(ask(b, 0, REMAPPABLE | 2 << 5, 0).fault.reason, 0x28);
    entry(b, 2, low, UINT64_C(1) << 32); /* the descriptor at 2^32: no memory */
    assert_int_equal(ask(b, 0, REMAPPABLE | 2 << 5, 0).fault.reason, 0x27);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = { TEST(interrupt__remapped_fields),
                                        TEST(interrupt__handle_bit_15_is_address_bit_2),
                                        TEST(interrupt__faults_in_their_order),
                                        TEST(interrupt__compatibility_format),
                                        TEST(interrupt__source_validation),
                                        TEST(interrupt__every_reserved_bit),
                                        TEST(interrupt__posting) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
