/* What the kernel's dump of entries and the machine's texts say about a fault: the dump replayed in the model, mappings, functions, memory. */
#include "iommu_common.h"
#include <nestwalk/iommu/fault_machine.h>

static struct nw_fault_log read_lines(const char *text)
{
    struct nw_fault_log log = { 0 };
    char line[512];
    uint64_t number = 0;
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        must(nw_fault_log_line(&log, line, ++number, err));
    }
    return log;
}

/* The account of the only fault in `log`, with texts of the machine, NULL-ended. */
static struct nw_fault_account explain(const char *text, const char *const *machine)
{
    struct nw_fault_log log = read_lines(text);
    struct nw_dump dump = { .has_dmar = false };
    struct nw_fault_account a;
    size_t items;
    for (unsigned i = 0; machine && machine[i]; i++)
        must(nw_dump_add(&dump, machine[i], strlen(machine[i]), "text", i, &items, err));
    assert_int_equal(log.count, 1);
    must(nw_fault_account(&log.group[0], NULL, 0, &a, err));
    must(nw_fault_machine(&log.group[0], &dump, &a, err));
    nw_dump_fini(&dump);
    nw_fault_log_fini(&log);
    return a;
}

static bool says(const struct nw_fault_account *a, const char *text)
{
    for (size_t i = 0; i < a->abouts; i++)
        if (strstr(a->about[i], text))
            return true;
    return false;
}

static void must_say(const struct nw_fault_account *a, const char *text)
{
    if (says(a, text))
        return;
    for (size_t i = 0; i < a->abouts; i++)
        print_error("%s\n", a->about[i]);
    fail_msg("nothing says \"%s\"", text);
}

#define WRITE_FAULT                                                                                                    \
    "[ 12.3] DMAR: [DMA Write NO_PASID] Request device [00:14.0] fault addr 0x8a76a000 [fault reason 0x05] PTE "       \
    "Write\n"
#define LEGACY                                                                                                         \
    "[ 12.3] DMAR: Dump dmar0 table entries for IOVA 0x8a76a000\n[ 12.3] DMAR: root entry: 0x0000000103813001\n"       \
    "[ 12.3] DMAR: context entry: hi 0x0000000000000202, low 0x0000000103ec4001\n"
#define PTE(level, value) "[ 12.3] DMAR: pte level: " #level ", pte value: 0x" #value "\n"

static void dump__of_legacy_entries_is_replayed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says, *cause;
        size_t entries;
    } row[] = {
        { WRITE_FAULT LEGACY PTE(4, 10aec8003) PTE(3, 10aec9003) PTE(2, 10aeca003)
              PTE(1, 0) "[ 12.3] DMAR: page table not present at level 0\n",
          "second-stage entry of level 1, which stands for the 4 KiB", "has unmapped, or never mapped", 7 },
        { WRITE_FAULT LEGACY PTE(4, 10aec8003) PTE(3, 0) "DMAR: page table not present at level 2\n",
          "second-stage entry of level 3, which stands for the 1 GiB", "has unmapped, or never mapped", 5 },
        { WRITE_FAULT LEGACY PTE(4, 10aec8003) PTE(3, 10aec9003) PTE(2, 10aeca003) PTE(1, 7000001),
          "mapped without the right", "for the other direction only", 7 },
        { WRITE_FAULT LEGACY PTE(4, 10aec8003) PTE(3, 10aec9003) PTE(2, 8a600081), "the 2 MiB around",
          "for the other direction only", 6 },
        { WRITE_FAULT LEGACY PTE(4, 10aec8003) PTE(3, 10aec9003) PTE(2, 10aeca003) PTE(1, 7000003),
          "let through, to 0x7000000: they were written after", "came too late", 7 },
        { WRITE_FAULT LEGACY PTE(4, 10aec8003) PTE(3, 10aec9003), "The dump ends early", "has unmapped", 6 },
        { WRITE_FAULT "DMAR: Dump dmar0 table entries for IOVA 0x8a76a000\nDMAR: root entry: 0x0\n"
                      "DMAR: context table is not present\n",
          "another reason, 0x01", "has unmapped", 1 },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        const struct nw_fault_account a = explain(row[i].text, NULL);
        must_say(&a, row[i].says);
        if (!strstr(a.cause[0], row[i].cause))
            fail_msg("row %zu: the first cause is %s", i, a.cause[0]);
        if (a.entries != row[i].entries)
            fail_msg("row %zu has %zu entries", i, a.entries);
        for (size_t k = 1; k < a.causes; k++)
            assert_string_not_equal(a.cause[k], a.cause[0]);
    }
}

#define SCALABLE                                                                                                       \
    "DMAR: Dump dmar3 table entries for IOVA 0x7f0000001000\n"                                                         \
    "DMAR: scalable mode root entry: hi 0x0000000107f5c001, low 0x0000000107f5b001\n"                                  \
    "DMAR: context entry: hi 0x0000000000100000, low 0x0000000107f5d40d\nDMAR: pasid dir entry: 0x0000000107f6e001\n"
#define REST_OF_PASID                                                                                                  \
    "DMAR: pasid table entry[3]: 0x0\nDMAR: pasid table entry[4]: 0x0\nDMAR: pasid table entry[5]: 0x0\n"              \
    "DMAR: pasid table entry[6]: 0x0\nDMAR: pasid table entry[7]: 0x0\n"

static void dump__of_scalable_entries_is_replayed(void **state)
{
    (void)state;
    /* The device is in the lower half of the context tables, then in the upper. */
    struct nw_fault_account a =
        explain("DMAR: [DMA Read PASID 0x1] Request device [6a:01.0] fault addr 0x7f0000001000 [fault reason 0x71] "
                "SM\n" SCALABLE "DMAR: pasid table entry[0]: 0x49\nDMAR: pasid table entry[1]: 0x1800005\n"
                "DMAR: pasid table entry[2]: 0x0000000123456001\n" REST_OF_PASID PTE(4, 0000000123457067)
                    PTE(3, 0000000000000000),
                NULL);
    must_say(&a, "faults for the same reason");
    must_say(&a, "first-stage entry of level 3");
    must_say(&a, "Nothing is mapped there");
    a = explain("DMAR: [DMA Write NO_PASID] Request device [6a:1f.0] fault addr 0x7f0000001000 [fault reason 0x85] "
                "SM\n" SCALABLE "DMAR: pasid table entry[0]: 0x0000000105000089\nDMAR: pasid table entry[1]: 0x3\n"
                "DMAR: pasid table entry[2]: 0x0\n" REST_OF_PASID PTE(4, 0000000123457003) PTE(3, 0000000123458003)
                    PTE(2, 0000000123459003) PTE(1, 0000000007000001),
                NULL);
    must_say(&a, "faults for the same reason");
    must_say(&a, "second-stage entry of level 1");
    must_say(&a, "without the right");
    assert_true(a.entries >= 9);
    assert_non_null(strstr(a.entry[0], "0x0000000107f5c001"));
}

static void dump__belongs_to_the_fault_before_it(void **state)
{
    (void)state;
    struct nw_fault_log log =
        read_lines(LEGACY WRITE_FAULT "DMAR: [DMA Read NO_PASID] Request device [00:02.0] fault addr 0x1000 "
                                      "[fault reason 0x06] x\n" LEGACY PTE(4, 5) LEGACY PTE(4, 7));
    assert_int_equal(log.count, 2);
    assert_false(log.group[0].entries.there);
    assert_true(log.group[1].entries.there);
    assert_string_equal(log.group[1].entries.unit, "dmar0");
    assert_int_equal(log.group[1].entries.ptes, 1);
    assert_int_equal(log.group[1].entries.pte[0].value, 5);
    nw_fault_log_fini(&log);
}

static void dump__goes_by_the_units_capabilities(void **state)
{
    (void)state;
    static const char *const regset[] = { "IOMMU: dmar0 Register Base Address: fed90000\nCAP 0x08 0x00d2008c40660462\n"
                                          "ECAP 0x10 0x0000000000f0505a\n",
                                          NULL }; /* ECAP.SC is clear: SNP is reserved */
    const char *const text =
        "DMAR: [DMA Read NO_PASID] Request device [00:14.0] fault addr 0x8a76a000 [fault reason 0x0c] "
        "x\n" LEGACY PTE(4, 10aec8003) PTE(3, 10aec9003) PTE(2, 10aeca003) PTE(1, 7000803);
    struct nw_fault_account a = explain(text, NULL);
    must_say(&a, "let through");
    a = explain(text, regset);
    must_say(&a, "capabilities that the inputs tell of it");
    must_say(&a, "for the same reason");
}

/* ---- texts ------------------------------------------------------------------------------------------- */

static const char translation[] =
    "IOMMU dmar0: Root Table Address: 0x103812000\n"
    "00:14.0\t0x0:0x0000000103813001\t0x0000000000000202:0x0000000103ec4001\t-1\t0x0:0x0:0x0\n";
static const char mappings[] = "Device 0000:00:14.0 @0x103ec4000\n"
                               "0x000000000008a76a |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x7000001\n"
                               "0x000000000008a769 |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x9000003\n"
                               "0x000000000008a800 |\t0x0\t0x10aeb8003\t0x10aeb9003\t0x10aeba003\t0x9800003\n";
static const char lspci[] = "00:14.0 USB controller: A controller\n";
static const char iomem[] = "00100000-8a6fffff : System RAM\n8a700000-8fffffff : Reserved\n";
static const char interrupts[] = "Remapped Interrupt supported on IOMMU: dmar0\n IR table address:100900000\n"
                                 " 37     00:14.0 00000100 24  00000000000400a0\t000001000024000d\n";

static void texts__say_what_is_there_at_the_address(void **state)
{
    (void)state;
    static const char *const all[] = { translation, mappings, lspci, iomem, NULL }, *const none[] = { lspci, NULL };
    struct nw_fault_account a = explain(WRITE_FAULT, all);
    must_say(&a, "The function is USB controller: A controller");
    must_say(&a, "second stage at 0x103ec4000");
    must_say(&a, "maps the address now, to 0x7000000, for reading only");
    must_say(&a, "\"Reserved\" of /proc/iomem, 0x8a700000 to 0x8fffffff");
    assert_non_null(strstr(a.cause[0], "no RMRR or IVMD gives it"));
    assert_non_null(strstr(a.cause[1], "for the other direction only"));
    a = explain("DMAR: [DMA Read NO_PASID] Request device [00:14.0] fault addr 0x8a76b000 [fault reason 0x06] x\n",
                all);
    must_say(&a, "does not map the address");
    must_say(&a, "ends at 0x8a76afff, 1 bytes before");
    must_say(&a, "begins at 0x8a800000, 610304 bytes behind");
    a = explain("DMAR: [DMA Read NO_PASID] Request device [00:1f.5] fault addr 0x1000 [fault reason 0x02] x\n", all);
    must_say(&a, "has none with this number");
    must_say(&a, "has no entry for the device");
    assert_non_null(strstr(a.cause[0], "an alias that a bridge"));
    a = explain(WRITE_FAULT, none);
    assert_false(says(&a, "domain_translation_struct") || says(&a, "iomem") || says(&a, "dmar_translation_struct"));
}

static void texts__say_whose_an_interrupt_entry_is(void **state)
{
    (void)state;
    static const char *const texts[] = { interrupts, NULL };
    struct nw_fault_account a =
        explain("DMAR: [INTR-REMAP] Request device [f0:1f.0] fault index 0x25 [fault reason 0x26] Blocked\n", texts);
    must_say(&a, "entry 37 of dmar0 is of 00:14.0, vector 0x24, another requester");
    a = explain("DMAR: [INTR-REMAP] Request device [f0:1f.0] fault index 0x26 [fault reason 0x22] Blocked\n", texts);
    must_say(&a, "no present entry with this index");
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static void dump__damaged_ones_are_survived(void **state)
{
    (void)state;
    static const char sound[] =
        WRITE_FAULT SCALABLE "DMAR: pasid table entry[0]: 0x49\nDMAR: pasid table entry[1]: 0x1800005\n"
                             "DMAR: pasid table entry[2]: 0x0000000123456001\n" REST_OF_PASID PTE(4, 0000000123457067)
                                 PTE(3, ffffffffffffffff);
    struct nw_rng rng = nw_rng_seeded(3);
    unsigned replayed = 0;
    for (unsigned i = 0; i < 3000; i++) {
        char text[sizeof sound];
        memcpy(text, sound, sizeof sound);
        for (unsigned n = 1 + (unsigned)nw_rng_below(&rng, 12); n; n--) {
            static const char digits[] = "0123456789abcdef x\n";
            text[nw_rng_below(&rng, sizeof sound - 1)] = digits[nw_rng_below(&rng, sizeof digits - 1)];
        }
        struct nw_fault_log log = read_lines(text);
        for (size_t g = 0; g < log.count; g++) {
            struct nw_fault_account a;
            const struct nw_dump dump = { .has_dmar = false };
            must(nw_fault_account(&log.group[g], NULL, 0, &a, err));
            must(nw_fault_machine(&log.group[g], &dump, &a, err));
            replayed += a.entries > 0;
        }
        nw_fault_log_fini(&log);
    }
    assert_true(replayed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dump__of_legacy_entries_is_replayed),
        cmocka_unit_test(dump__of_scalable_entries_is_replayed),
        cmocka_unit_test(dump__belongs_to_the_fault_before_it),
        cmocka_unit_test(dump__goes_by_the_units_capabilities),
        cmocka_unit_test(texts__say_what_is_there_at_the_address),
        cmocka_unit_test(texts__say_whose_an_interrupt_entry_is),
        cmocka_unit_test(dump__damaged_ones_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
