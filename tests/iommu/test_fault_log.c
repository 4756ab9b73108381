/* Kernel log lines of every format that the kernels have had; nonsense is passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/iommu/fault_log.h>
#include <nestwalk/iommu/vtd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nw_error error;

static struct nw_fault_log read_lines(const char *text)
{
    struct nw_fault_log log = { 0 };
    char line[512];
    uint64_t number = 0;
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        assert_int_equal(nw_fault_log_line(&log, line, ++number, &error), NW_OK);
        if (!at[strcspn(at, "\n")])
            break;
    }
    return log;
}

static const struct {
    const char *text;
    enum nw_fault_source source;
    int segment; /* -1: none */
    uint16_t bdf;
    bool write;
    int pasid;
    unsigned reason;
    uint64_t address;
} known[] = {
    /* to about 4.2: two lines, decimal */
    { "DMAR:[DMA Write] Request device [00:02.0] fault addr 6df084000 \nDMAR:[fault reason 05] PTE Write access is not "
      "set",
      NW_FAULT_VTD_DMA, -1, 0x0010, true, -1, 0x05, 0x6df084000 },
    { "DMAR:[INTR-REMAP] Request device [[f0:1f.0] fault index 25\nDMAR:[fault reason 38] Blocked an interrupt request",
      NW_FAULT_VTD_INTERRUPT, -1, 0xf0f8, false, -1, 0x26, 0x25 },
    /* to 5.1: one line, decimal */
    { "[    3.1] DMAR: [DMA Read] Request device [04:00.0] fault addr fff000 [fault reason 12] non-zero reserved "
      "fields in PTE",
      NW_FAULT_VTD_DMA, -1, 0x0400, false, -1, 0x0c, 0xfff000 },
    /* to 5.13: a PASID that is none */
    { "DMAR: [DMA Read] Request device [05:00.1] PASID ffffffff fault addr ac2a5000 [fault reason 06] PTE Read access "
      "is not set",
      NW_FAULT_VTD_DMA, -1, 0x0501, false, -1, 0x06, 0xac2a5000 },
    /* 5.14: hexadecimal, and 0x in the device */
    { "DMAR: [DMA Read NO_PASID] Request device [0x00:0x02.0] fault addr 0x1000 [fault reason 0x06] PTE Read",
      NW_FAULT_VTD_DMA, -1, 0x0010, false, -1, 0x06, 0x1000 },
    /* since 5.17 */
    { "kern  :err : [Mon] DMAR: [DMA Write NO_PASID] Request device [e1:1f.7] fault addr 0xffffe000 [fault reason "
      "0x02] Present bit in context "
      "entry is clear",
      NW_FAULT_VTD_DMA, -1, 0xe1ff, true, -1, 0x02, 0xffffe000 },
    { "DMAR: [DMA Write PASID 0x1] Request device [6a:01.0] fault addr 0x7f0000001000 [fault reason 0x71] SM: Present "
      "bit",
      NW_FAULT_VTD_DMA, -1, 0x6a08, true, 1, 0x71, 0x7f0000001000 },
    { "DMAR: [INTR-REMAP] Request device [f0:1f.0] fault index 0x25 [fault reason 0x26] Blocked",
      NW_FAULT_VTD_INTERRUPT, -1, 0xf0f8, false, -1, 0x26, 0x25 },
    /* Xen */
    { "(XEN) [VT-D]DMAR:[DMA Write] Request device [0000:00:1a.0] fault addr ec000\n(XEN) [VT-D]DMAR: reason 0c - "
      "non-zero reserved fields on iommu:0",
      NW_FAULT_VTD_DMA, 0, 0x00d0, true, -1, 0x0c, 0xec000 },
    { "(XEN) AMD-Vi: IO_PAGE_FAULT: 0000:04:00.0 d0 addr 00000000fdf8020 flags 0x20 RW", NW_FAULT_AMD, 0, 0x0400, true,
      -1, NW_AMD_IO_PAGE_FAULT, 0xfdf8020 },
    /* AMD, with the driver in front, without, and of old */
    { "amdgpu 0000:04:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0000 address=0x10b4a0100 flags=0x0070]",
      NW_FAULT_AMD, 0, 0x0400, true, -1, NW_AMD_IO_PAGE_FAULT, 0x10b4a0100 },
    { "AMD-Vi: Event logged [IO_PAGE_FAULT device=0001:c1:1f.2 domain=0x0003 address=0x0 flags=0x0000]", NW_FAULT_AMD,
      1, 0xc1fa, false, -1, NW_AMD_IO_PAGE_FAULT, 0 },
    { "AMD-Vi: Event logged [IO_PAGE_FAULT device=02:00.0 domain=0x000a address=0x00000000fd5f0000 flags=0x0010]",
      NW_FAULT_AMD, -1, 0x0200, false, -1, NW_AMD_IO_PAGE_FAULT, 0xfd5f0000 },
    { "AMD-Vi: Event logged [ILLEGAL_DEV_TABLE_ENTRY device=0000:05:00.0 pasid=0x00000 address=0xfffffffdf8000000 "
      "flags=0x0080]",
      NW_FAULT_AMD, 0, 0x0500, false, 0, NW_AMD_ILLEGAL_DEV_TABLE_ENTRY, 0xfffffffdf8000000 },
    { "AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0000:0a:00.0 address=0x7ff0]", NW_FAULT_AMD, 0, 0x0a00, false, -1,
      NW_AMD_IOTLB_INV_TIMEOUT, 0x7ff0 },
};

static void lines__of_every_kernel_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(known); i++) {
        struct nw_fault_log log = read_lines(known[i].text);
        if (log.count != 1)
            fail_msg("%zu faults in: %s", log.count, known[i].text);
        const struct nw_logged_fault *f = &log.group[0].fault;
        if (f->source != known[i].source || !f->has_device || f->bdf != known[i].bdf ||
            f->has_segment != (known[i].segment >= 0) || (f->has_segment && f->segment != known[i].segment) ||
            f->write != known[i].write || f->reason != known[i].reason || !f->has_address ||
            f->address != known[i].address || f->has_pasid != (known[i].pasid >= 0) ||
            (f->has_pasid && f->pasid != (unsigned)known[i].pasid))
            fail_msg("read otherwise: %s", known[i].text);
        struct nw_fault_account a;
        assert_int_equal(nw_fault_account(&log.group[0], NULL, 0, &a, &error), NW_OK);
        assert_true(a.title[0] && a.meaning[0] && a.causes && a.actions);
        nw_fault_log_fini(&log);
    }
}

static void groups__take_together_what_repeats(void **state)
{
    (void)state;
    struct nw_fault_log log =
        read_lines("DMAR: DRHD: handling fault status reg 2\n"
                   "DMAR: [DMA Read NO_PASID] Request device [03:00.0] fault addr 0x5000 [fault reason 0x06] x\n"
                   "usb 1-1: new device\n"
                   "DMAR: [DMA Read NO_PASID] Request device [03:00.0] fault addr 0x3000 [fault reason 0x06] x\n"
                   "DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x3000 [fault reason 0x05] x\n"
                   "DMAR: [DMA Read NO_PASID] Request device [03:00.0] fault addr 0x9000 [fault reason 0x06] x\n");
    assert_true(log.count == 2 && log.lines == 6 && log.understood == 4);
    const struct nw_fault_group *g = &log.group[0];
    assert_true(g->count == 3 && g->first_line == 2 && g->last_line == 6 && g->lowest == 0x3000 &&
                g->highest == 0x9000);
    struct nw_fault_account a;
    assert_int_equal(nw_fault_account(g, NULL, 0, &a, &error), NW_OK);
    assert_non_null(strstr(a.about[0], "3 such faults, at addresses from 0x3000 to 0x9000"));
    nw_fault_log_fini(&log);
}

static void reasons__all_have_causes_and_something_to_try(void **state)
{
    (void)state;
    for (unsigned reason = 0; reason < 256; reason++) {
        struct nw_fault_group g = {
            .fault = { .source = NW_FAULT_VTD_DMA, .has_device = true, .has_address = true, .reason = reason },
            .count = 1
        };
        struct nw_fault_account a;
        assert_int_equal(nw_fault_account(&g, NULL, 0, &a, &error), NW_OK);
        assert_true(a.causes >= 1 && a.actions >= 1);
        assert_int_equal(strstr(a.meaning, "none that the architecture names") == NULL,
                         nw_vtd_fault_text(reason) != NULL);
    }
    for (unsigned event = 0; event < NW_AMD_EVENTS; event++)
        for (unsigned flags = 0; flags < 0x200; flags++) {
            struct nw_fault_group g = { .fault = { .source = NW_FAULT_AMD, .reason = event, .flags = flags },
                                        .count = 1 };
            struct nw_fault_account a;
            assert_int_equal(nw_fault_account(&g, NULL, 0, &a, &error), NW_OK);
            assert_true(a.causes >= 1 && a.actions >= 1 && a.meaning[0]);
        }
}

/* Whatever stands in a line, it is a fault or it is not. Parts of real lines, in any order, cut anywhere. */
static void nonsense__is_passed_over(void **state)
{
    static const char *const part[] = { "DMAR:",
                                        "[DMA Read",
                                        "[DMA Write PASID 0x",
                                        "Request device [",
                                        "03:00.0]",
                                        "fault addr 0x",
                                        "fault index",
                                        "fault reason",
                                        "0x",
                                        "ffffffffffffffffff",
                                        "AMD-Vi:",
                                        "device=",
                                        "address=",
                                        "flags=0x",
                                        ":",
                                        ".",
                                        "[",
                                        "IO_PAGE_FAULT",
                                        "INTR-REMAP",
                                        "reason ",
                                        "PASID ",
                                        "0000:",
                                        "99999999999",
                                        " ",
                                        "x",
                                        "Event logged [" };
    struct nw_rng rng = nw_rng_seeded(7);
    struct nw_fault_log log = { 0 };
    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        char line[256] = "";
        for (unsigned n = 1 + (unsigned)nw_rng_below(&rng, 14); n > 0; n--) {
            const char *p = part[nw_rng_below(&rng, NW_ARRAY_LEN(part))];
            if (strlen(line) + strlen(p) + 1 < sizeof line)
                strcat(line, p);
        }
        line[nw_rng_below(&rng, strlen(line) + 1)] = 0;
        if (line[0] && nw_rng_below(&rng, 4) == 0)
            line[nw_rng_below(&rng, strlen(line))] = (char)(1 + nw_rng_below(&rng, 255));
        assert_int_equal(nw_fault_log_line(&log, line, i + 1, &error), NW_OK);
    }
    for (size_t i = 0; i < log.count; i++) {
        struct nw_fault_account a;
        assert_int_equal(nw_fault_account(&log.group[i], NULL, 0, &a, &error), NW_OK);
    }
    nw_fault_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines__of_every_kernel_are_read),
        cmocka_unit_test(groups__take_together_what_repeats),
        cmocka_unit_test(reasons__all_have_causes_and_something_to_try),
        cmocka_unit_test(nonsense__is_passed_over),
    };
    return cmocka_run_group_tests_name("fault log", tests, NULL, NULL);
}
