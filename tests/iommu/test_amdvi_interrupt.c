/* Interrupt requests through an AMD IOMMU: known answers, and every bit of the entries. */
#include <nestwalk/iommu/amdvi.h>

#include "iommu_common.h"

enum { DTES = 0x100000, DEVICE = 0x0010, TABLE = 0x200080 };
static const struct nw_amdvi_range ram[] = { { 0, 0x40000000 } };
#define IV    NW_BIT(0)
#define IG    NW_BIT(5)
#define REMAP (UINT64_C(2) << 60)
#define LEN9  (9 << 1)

struct bench {
    struct nw_physmem *pm;
    struct nw_amdvi_tables t;
};

static int set_up(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    must(nw_physmem_create(&b->pm, err));
    b->t = (struct nw_amdvi_tables){ .unit = { .efr = NW_AMDVI_EFR_GA, .pa_bits = 48 },
                                     .memory = { .pm = b->pm, .ram = ram, .ram_count = 1 },
                                     .device_table = DTES };
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

static void dte(struct bench *b, uint64_t w2, uint64_t w3)
{
    put64(b->pm, DTES + DEVICE * 32 + 16, w2);
    put64(b->pm, DTES + DEVICE * 32 + 24, w3);
}

static struct nw_amdvi_interrupt ask(struct bench *b, uint32_t data)
{
    struct nw_amdvi_interrupt r;
    nw_amdvi_interrupt(&b->t, &(struct nw_amdvi_interrupt_request){ DEVICE, 0xfee35004, data }, &r);
    return r;
}

#define assert_event(r, c, f, l)                                                                                       \
    do {                                                                                                               \
        struct nw_amdvi_interrupt it = (r);                                                                            \
        assert_int_equal(it.form, NW_AMDVI_INTERRUPT_ABORTED);                                                         \
        assert_int_equal(it.event.code, c);                                                                            \
        assert_int_equal(it.event.flags, f);                                                                           \
        assert_int_equal(it.event.logged, l);                                                                          \
    } while (0)

static void interrupt__what_the_dte_says(void **state)
{
    struct bench *b = *state;
    struct nw_amdvi_interrupt r = ask(b, 0x131); /* IV = 0 */
    assert_int_equal(r.form, NW_AMDVI_INTERRUPT_PASSED);
    assert_true(r.destination == 0x35 && r.logical && r.delivery_mode == 1 && r.vector == 0x31);
    /* IntCtl of the two that are remapped; the pass bits of the others. */
    static const struct {
        unsigned mode, bit;
    } of[] = { { 0, 60 }, { 1, 60 }, { 4, 58 }, { 5, 56 }, { 7, 57 } };
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < 5; k++) {
            dte(b, IV | NW_BIT(of[k].bit), 0);
            bool passes = of[i].bit == of[k].bit;
            r = ask(b, of[i].mode << 8 | 0x31);
            assert_int_equal(r.form, passes ? NW_AMDVI_INTERRUPT_PASSED : NW_AMDVI_INTERRUPT_ABORTED);
            assert_int_equal(r.event.code, 0);
        }
    dte(b, IV | nw_mask(58, 56) | NW_BIT(60), 0); /* SMI and the reserved delivery modes do not pass */
    for (unsigned mode = 2; mode <= 6; mode++)
        assert_int_equal(ask(b, mode << 8).form,
                         mode == 4 || mode == 5 ? NW_AMDVI_INTERRUPT_PASSED : NW_AMDVI_INTERRUPT_ABORTED);
    b->t.device_table = 0x50000000;
    assert_event(ask(b, 0), NW_AMDVI_DEV_TAB_HARDWARE_ERROR, 0x208, true);
}

static void interrupt__reserved_bits_of_the_dte(void **state)
{
    struct bench *b = *state;
    for (unsigned gt = 0; gt < 2; gt++) {
        b->t.unit.efr = gt ? NW_AMDVI_EFR_GT : 0;
        for (unsigned bit = 1; bit < 64; bit++) {
            dte(b, IV | NW_BIT(bit), 0);
            bool bad = bit == 52 || bit == 53 || bit == 59 || (!gt && (bit == 54 || bit == 55));
            assert_int_equal(ask(b, 0x31).event.code == NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, bad);
            dte(b, NW_BIT(bit), 0); /* IV = 0 */
            assert_int_equal(ask(b, 0x31).form, NW_AMDVI_INTERRUPT_PASSED);
            dte(b, IV, NW_BIT(bit));
            assert_int_equal(ask(b, 0x31).event.code == NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, bit < 54);
        }
    }
    for (unsigned length = 0; length < 16; length++) {
        dte(b, IV | length << 1, 0);
        assert_int_equal(ask(b, 0x31).event.code == NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, length > 11);
    }
    dte(b, IV | UINT64_C(3) << 60, 0);
    assert_event(ask(b, 0x31), NW_AMDVI_ILLEGAL_DEV_TABLE_ENTRY, 0x088, true);
}

static void interrupt__entries_of_32_bits(void **state)
{
    struct bench *b = *state;
    dte(b, IV | LEN9 | TABLE | REMAP, 0);
    put64(b->pm, TABLE + 0x30 * 4, UINT64_C(0x00550961) << 32 | 0x0066aa05);
    struct nw_amdvi_interrupt r = ask(b, 0x31);
    assert_int_equal(r.form, NW_AMDVI_INTERRUPT_REMAPPED);
    assert_true(r.vector == 0x55 && r.destination == 9 && r.logical && r.request_eoi && r.delivery_mode == 0);
    r = ask(b, 0x30);
    assert_true(r.vector == 0x66 && r.destination == 0xaa && !r.logical && !r.request_eoi && r.delivery_mode == 1);
    for (unsigned bit = 1; bit < 32; bit++) {
        put64(b->pm, TABLE, NW_BIT(bit) | 1);
        r = ask(b, 0);
        if (bit == 3 || bit == 4 || bit == 7 || bit >= 24)
            assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x098, true);
        else
            assert_int_equal(r.form, NW_AMDVI_INTERRUPT_REMAPPED);
    }
    put64(b->pm, TABLE + 511 * 4 - 4, UINT64_C(0x00770001) << 32);
    assert_int_equal(ask(b, 0x1ff).vector, 0x77); /* arbitrated, index 511 */
    dte(b, IV | 8 << 1 | TABLE | REMAP, 0);
    assert_event(ask(b, 0x1ff), NW_AMDVI_IO_PAGE_FAULT, 0x008, true); /* of 256 */
    dte(b, IV | 8 << 1 | TABLE | REMAP | IG, 0);
    assert_event(ask(b, 0x1ff), NW_AMDVI_IO_PAGE_FAULT, 0x008, false);
}

static void interrupt__not_mapped(void **state)
{
    struct bench *b = *state;
    for (unsigned ig = 0; ig < 2; ig++)
        for (unsigned sup = 0; sup < 2; sup++) {
            dte(b, IV | LEN9 | TABLE | REMAP | (ig ? IG : 0), 0);
            put64(b->pm, TABLE, sup * 2);
            assert_event(ask(b, 0), NW_AMDVI_IO_PAGE_FAULT, 0x008, !ig && !sup);
        }
    dte(b, IV | LEN9 | 0x50000000 | REMAP | IG, 0);
    struct nw_amdvi_interrupt r = ask(b, 2);
    assert_event(r, NW_AMDVI_PAGE_TAB_HARDWARE_ERROR, 0x208, true);
    assert_true(r.event.address == 0x50000008);
}

static void interrupt__entries_of_128_bits(void **state)
{
    struct bench *b = *state;
    dte(b, IV | LEN9 | TABLE | REMAP, 0);
    b->t.wide_interrupt_entries = true;
    put64(b->pm, TABLE + 2 * 16, 0x961);
    put64(b->pm, TABLE + 2 * 16 + 8, 0x55);
    struct nw_amdvi_interrupt r = ask(b, 2);
    assert_int_equal(r.form, NW_AMDVI_INTERRUPT_REMAPPED);
    assert_true(r.vector == 0x55 && r.destination == 9 && r.logical && r.request_eoi);
    for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
        b->t.x2apic = x2apic;
        for (unsigned guest = 0; guest < 2; guest++)
            for (unsigned bit = 2; bit < 128; bit++) {
                if (bit == 7)
                    continue;
                uint64_t e[2] = { 1 | guest << 7, 0 };
                e[bit / 64] |= NW_BIT(bit % 64);
                put64(b->pm, TABLE, e[0]);
                put64(b->pm, TABLE + 8, e[1]);
                bool wide = (bit >= 16 && bit < 32) || bit >= 120;
                bool bad = guest ? (bit >= 3 && bit <= 5) || (bit >= 72 && bit < 76) || (bit >= 116 && bit < 120)
                                 : bit == 3 || bit == 4 || (bit >= 32 && bit < 64) || (bit >= 72 && bit < 120);
                r = ask(b, 0);
                if (bad || (wide && !x2apic))
                    assert_event(r, NW_AMDVI_IO_PAGE_FAULT, 0x098, true);
                else
                    assert_int_equal(r.form, guest ? NW_AMDVI_INTERRUPT_GUEST : NW_AMDVI_INTERRUPT_REMAPPED);
            }
    }
    put64(b->pm, TABLE, UINT64_C(0xcafe) << 32 | 0x345678 << 8 | 0xc5);
    put64(b->pm, TABLE + 8, UINT64_C(0x92) << 56 | 0x7654321000 | 0x44);
    r = ask(b, 0);
    assert_int_equal(r.form, NW_AMDVI_INTERRUPT_GUEST);
    assert_true(r.destination == 0x92345678 && r.tag == 0xcafe && r.backing_page == 0x7654321000 && r.vector == 0x44);
    assert_true(r.running && r.logs);
    b->t.unit.efr = 0; /* the unit has no such entries: of 32 bits, GuestMode is reserved */
    assert_event(ask(b, 0), NW_AMDVI_IO_PAGE_FAULT, 0x098, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = { TEST(interrupt__what_the_dte_says), TEST(interrupt__reserved_bits_of_the_dte),
                                        TEST(interrupt__entries_of_32_bits), TEST(interrupt__not_mapped),
                                        TEST(interrupt__entries_of_128_bits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
