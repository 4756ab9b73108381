/* The kernel's log, snapshots of sysfs, configuration space and cpuinfo as texts, and the MADT: what is read, how several texts about one
 * thing come together, and damaged ones. */
#include "lab_machine.h"

static struct nw_dump read_texts(const char *const *text, unsigned count)
{
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    for (unsigned i = 0; i < count; i++)
        must(nw_dump_add(&d, text[i], strlen(text[i]), "t", i, &items, err));
    return d;
}

static void texts__are_known_by_their_content(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
    } row[] = {
        { "[    0.000000] Linux version 6.1.0\n", "dmesg" },
        { "<6>[    0.000000] Linux version 6.1.0\n", "dmesg" },
        { "Nov 28 06:57:01 host kernel: pci 0000:00:02.0: Adding to iommu group 1\n", "dmesg" },
        { "DMAR:[DMA Write] Request device [00:02.0] fault addr 6df084000\n", "dmesg" },
        { "(XEN) [VT-D]DMAR:[DMA Read] Request device [0000:00:02.0] fault addr 1000\n", "dmesg" },
        { "[Tue Aug 26 16:02:52 2025] PCI: CLS 64 bytes, default 64\n", "dmesg" },
        { "kern  :info  : [Fri Apr  7 00:04:33 2023] x86/fpu: x\n", "dmesg" },
        { "[    0.1] Kernel command line: BOOT_IMAGE=/vmlinuz iommu=pt\n", "dmesg" },
        { "/sys/firmware/acpi/tables/DMAR: is not there\n", NULL },
        { groups, "sysfs" },
        { "/sys/bus/pci/devices/0000:00:02.0/driver -> i915\n", "sysfs" },
        { processor, "cpuinfo" },
        { "ro quiet console=ttyS0 panic=1\n", "cmdline" },
        { machine, "lspci" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        const char *kind = nw_dump_recognise(row[i].text, strlen(row[i].text));
        if ((kind == NULL) != (row[i].kind == NULL) || (kind && strcmp(kind, row[i].kind) != 0))
            fail_msg("text %zu is taken for %s", i, kind ? kind : "none");
    }
}

/* ---- configuration space ---------------------------------------------------------------------------- */

enum { CONFIG_BYTES = 4096 };

static void config_put(uint8_t *config, unsigned at, unsigned bytes, uint32_t value)
{
    memcpy(config + at, &value, bytes);
}

/* The card of `machine`, 01:00.0, as its bytes. */
static void card_config(uint8_t config[CONFIG_BYTES])
{
    memset(config, 0, CONFIG_BYTES);
    config_put(config, 0, 4, 0x15158086);
    config_put(config, 4, 4, 0x00100006); /* BusMaster; capabilities */
    config_put(config, 8, 4, 0x02000001);
    config_put(config, 0x34, 1, 0x50);
    config_put(config, 0x50, 4, 0x0000a005); /* MSI, then at a0 */
    config_put(config, 0xa0, 4, 0x00020010); /* Express, endpoint */
    config_put(config, 0x100, 4, 0x14010001);
    config_put(config, 0x140, 4, 0x1a010010); /* SR-IOV */
    config_put(config, 0x148, 4, 1);
    config_put(config, 0x150, 4, 1);
    config_put(config, 0x154, 4, 0x00020080);
    config_put(config, 0x1a0, 4, 0x2001000d); /* ACS */
    config_put(config, 0x200, 4, 0x2101000f); /* ATS */
    config_put(config, 0x210, 4, 0x22010013); /* PRI */
    config_put(config, 0x214, 4, 0x80000001);
    config_put(config, 0x218, 4, 0x20);
    config_put(config, 0x21c, 4, 0x20);
    config_put(config, 0x220, 4, 0x0001001b); /* PASID, the last */
    config_put(config, 0x226, 2, 1);
}

static char *as_lspci(const uint8_t *config, size_t size)
{
    char *text = malloc(8 * size + 1024);
    int used = sprintf(text, "01:00.0 0200: 8086:1515 (rev 01)\n");
    for (size_t at = 0; at < size; at += 16) {
        used += sprintf(text + used, "%02zx:", at);
        for (size_t i = at; i < at + 16; i++)
            used += sprintf(text + used, " %02x", config[i]);
        used += sprintf(text + used, "\n");
    }
    return text;
}

static char *as_sysfs(const uint8_t *config, size_t size)
{
    char *text = malloc(8 * size + 1024);
    int used = sprintf(text, "/sys/bus/pci/devices/0000:01:00.0/class = 0x020000\n");
    for (size_t at = 0; at < size; at += 64) {
        used += sprintf(text + used, "/sys/bus/pci/devices/0000:01:00.0/config +0x%zx = ", at);
        for (size_t i = at; i < at + 64; i++)
            used += sprintf(text + used, "%02x", config[i]);
        used += sprintf(text + used, "\n");
    }
    return text;
}

static const struct nw_dump_function *card_of(const struct nw_dump *d)
{
    for (size_t i = 0; i < d->functions; i++)
        if (d->function[i].bdf == 0x0100)
            return &d->function[i];
    fail_msg("01:00.0 is not there");
    return NULL;
}

static void assert_same_card(const struct nw_dump_function *a, const struct nw_dump_function *b)
{
    assert_int_equal(a->class_code >> 8, b->class_code >> 8);
    assert_int_equal(a->express, b->express);
    assert_int_equal(a->bus_master, b->bus_master);
    assert_int_equal(a->has_extended, b->has_extended);
    assert_int_equal(a->has_acs, b->has_acs);
    assert_int_equal(a->acs_control, b->acs_control);
    assert_int_equal(a->has_ats, b->has_ats);
    assert_int_equal(a->ats_on, b->ats_on);
    assert_int_equal(a->has_pri, b->has_pri);
    assert_int_equal(a->pri_on, b->pri_on);
    assert_int_equal(a->pri_response_pasid, b->pri_response_pasid);
    assert_int_equal(a->pri_credits, b->pri_credits);
    assert_int_equal(a->pasid_on, b->pasid_on);
    assert_int_equal(a->vfs, b->vfs);
    assert_int_equal(a->vf_offset, b->vf_offset);
    assert_int_equal(a->vf_stride, b->vf_stride);
}

static void functions__words_and_bytes_say_the_same(void **state)
{
    (void)state;
    uint8_t config[CONFIG_BYTES];
    card_config(config);
    char *const bytes = as_lspci(config, CONFIG_BYTES), *const sysfs = as_sysfs(config, CONFIG_BYTES);
    const char *const words[] = { machine }, *const rows[] = { bytes }, *const snapshot[] = { sysfs };
    struct nw_dump a = read_texts(words, 1), b = read_texts(rows, 1), c = read_texts(snapshot, 1);
    const struct nw_dump_function *f = card_of(&a);
    assert_true(f->has_pri && f->pri_credits == 0x20 && f->vfs == 1 && f->vf_offset == 128 && f->has_extended);
    assert_same_card(f, card_of(&b));
    assert_same_card(f, card_of(&c));
    assert_int_equal(card_of(&b)->vendor, 0x8086);
    assert_int_equal(card_of(&c)->device, 0x1515);
    nw_dump_fini(&a);
    nw_dump_fini(&b);
    nw_dump_fini(&c);
    free(bytes);
    free(sysfs);
}

/* With less of it nothing is said to be missing. */
static void functions__what_was_not_read_is_not_known(void **state)
{
    (void)state;
    uint8_t config[CONFIG_BYTES];
    card_config(config);
    static const size_t sizes[] = { 64, 256, CONFIG_BYTES };
    for (size_t i = 0; i < NW_ARRAY_LEN(sizes); i++) {
        char *const text = as_sysfs(config, sizes[i]);
        const char *const one[] = { text };
        struct nw_dump d = read_texts(one, 1);
        assert_true(card_of(&d)->bus_master);
        assert_int_equal(card_of(&d)->has_capabilities, sizes[i] >= 256);
        assert_int_equal(card_of(&d)->express, sizes[i] >= 256 ? NW_EXPRESS_ENDPOINT : NW_EXPRESS_NONE);
        assert_int_equal(card_of(&d)->has_extended, sizes[i] >= CONFIG_BYTES);
        nw_dump_fini(&d);
        free(text);
    }
    const char *const denied[] = { "01:00.0 Ethernet controller: x\n\tCapabilities: <access denied>\n" };
    struct nw_dump d = read_texts(denied, 1);
    assert_false(card_of(&d)->has_capabilities || card_of(&d)->has_extended);
    nw_dump_fini(&d);
}

/* Lists of capabilities that lead to themselves, or out of what there is. */
static void functions__circles_of_capabilities_end(void **state)
{
    (void)state;
    uint8_t config[CONFIG_BYTES];
    struct nw_rng rng = nw_rng_seeded(5);
    for (unsigned i = 0; i < 300; i++) {
        card_config(config);
        config_put(config, 0x51, 1, i & 1 ? 0x50 : (uint32_t)nw_rng_below(&rng, 256));
        config_put(config, 0x142, 2, i & 2 ? 0x1401 : (uint32_t)nw_rng_below(&rng, 0x10000));
        char *const text = as_sysfs(config, CONFIG_BYTES);
        const char *const one[] = { text };
        struct nw_dump d = read_texts(one, 1);
        assert_int_equal(d.functions, 1);
        nw_dump_fini(&d);
        free(text);
    }
}

/* ---- several texts about one thing ------------------------------------------------------------------ */

static void facts__of_several_texts_come_together(void **state)
{
    (void)state;
    static const char units[] = "/sys/class/iommu/dmar0/intel-iommu/address = fed90000\n"
                                "/sys/class/iommu/dmar0/intel-iommu/ecap = f050da\n";
    const char *const text[] = { machine, groups, boot_log, units, regset };
    struct nw_dump d = read_texts(text, NW_ARRAY_LEN(text));
    const struct nw_dump_function *f = card_of(&d);
    assert_true(f->has_pri && f->external && f->has_group && f->group == 7);
    assert_string_equal(f->driver, "vfio-pci"); /* the later text is believed */
    assert_int_equal(d.functions, 6);           /* five of lspci, and 01:00.1 */
    assert_int_equal(d.units, 2);
    assert_string_equal(d.unit[0].name, "dmar0");
    assert_true(d.unit[0].base == 0xfed90000 && !d.unit[0].from_log && d.unit[0].has[NW_DUMP_GSTS]);
    assert_int_equal(d.unit[0].at[NW_DUMP_CAP].input, 4);
    assert_int_equal(d.rmrrs, 1);
    assert_true(d.rmrr[0].from_log && d.rmrr[0].start == 0x8a76a000 && d.rmrr[0].last == 0x8a789fff);
    nw_dump_fini(&d);
}

static void log__faults_have_count_time_and_line(void **state)
{
    (void)state;
    static const char log[] =
        "[    0.5] Linux version 6.1\n"
        "[   61.25] DMAR: [DMA Write NO_PASID] Request device [00:14.0] fault addr 0x3000 [fault reason 0x05] x\n"
        "<3>[   70.5] DMAR: [DMA Write NO_PASID] Request device [00:14.0] fault addr 0x1000 [fault reason 0x05] x\n"
        "IOAPIC[0]: apic_id 8, version 32, address 0xfec00000, GSI 0-119\n"
        "DMAR-IR: IOAPIC id 8 under DRHD base  0xfed91000 IOMMU 1\n";
    const char *const text[] = { log };
    struct nw_dump d = read_texts(text, 1);
    assert_int_equal(d.faults, 1);
    const struct nw_dump_fault *f = &d.fault[0];
    assert_true(f->count == 2 && f->lowest == 0x1000 && f->highest == 0x3000 && f->fault.write && f->has_time);
    assert_true(f->seconds == 61.25 && f->place.line == 2);
    assert_true(d.ioapics == 1 && d.ioapic[0].id == 8 && d.scopeds == 1 && d.scoped[0].id == 8);
    nw_dump_fini(&d);
}

static void texts__errors_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } row[] = {
        { "[ 0.1] x\n[ 0.2] DMAR: dmar0: reg_base_addr zz ver 1:0 cap 1 ecap 2\n",
          "t:2: expected \"NAME: reg_base_addr" },
        { "[ 0.1] DMAR: RMRR base: 0x1000 stop: 0x2000\n", "t:1: expected \"RMRR base" },
        { "/sys/class/iommu/dmar0/intel-iommu/cap = zz\n", "t:1: expected a register" },
        { "/sys/class/iommu/dmar0/intel-iommu/address = x\n", "t:1: expected an address" },
        { "/sys/kernel/iommu_groups/3/reserved_regions = 5\n", "t:1: expected \"0xFIRST" },
        { "/sys/bus/pci/devices/0000:00:02.0/config +0x0 = 868\n", "t:1: expected an even number" },
        { "/sys/bus/pci/devices/0000:00:02.0/config +0xfff = 8680\n", "t:1: expected an even number" },
        { "/sys/bus/pci/devices/0000:00:02.0/config 0 = 86\n", "t:1: expected \"config +0xOFFSET" },
        { "processor\t: 0\naddress sizes\t: 5 bits physical\n", "t:2: expected \"address sizes" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        struct nw_dump d = { .has_dmar = false };
        struct nw_error error = { 0 };
        size_t items;
        assert_int_equal(nw_dump_add(&d, row[i].text, strlen(row[i].text), "t", 0, &items, &error), NW_ERR_INPUT);
        if (!strstr(error.text, row[i].error))
            fail_msg("text %zu: %s", i, error.text);
        nw_dump_fini(&d);
    }
}

static void texts__damaged_ones_are_survived(void **state)
{
    (void)state;
    const char *const texts[] = { machine, behind_bridge, groups, regions, fault_log, amd_log, boot_log, processor };
    struct nw_rng rng = nw_rng_seeded(7);
    unsigned errors = 0, findings = 0;
    for (unsigned i = 0; i < 6000; i++) {
        struct nw_dump d = { .has_dmar = false };
        struct nw_iommu_findings found[2] = { { .at = NULL }, { .at = NULL } };
        for (unsigned n = 0; n < 2; n++) {
            const char *base = texts[nw_rng_below(&rng, NW_ARRAY_LEN(texts))];
            struct nw_error error = { 0 };
            char text[8192];
            size_t size = strlen(base), items;
            memcpy(text, base, size);
            for (unsigned k = (unsigned)nw_rng_below(&rng, 6); k; k--)
                text[nw_rng_below(&rng, size)] = (char)nw_rng_below(&rng, 256);
            if (nw_rng_below(&rng, 3) == 0)
                size = nw_rng_below(&rng, size);
            errors += nw_dump_add(&d, text, size, "t", n, &items, &error) != NW_OK;
        }
        must(nw_iommu_check_dumps(&d, found, 2, err));
        findings += found[0].count + found[1].count > 0;
        nw_iommu_findings_fini(&found[0]);
        nw_iommu_findings_fini(&found[1]);
        nw_dump_fini(&d);
    }
    assert_true(errors > 100 && findings > 100);
}

/* ---- the MADT --------------------------------------------------------------------------------------- */

static void madt__cut_anywhere_gives_what_is_whole(void **state)
{
    (void)state;
    static struct builder b; /* too large for the stack */
    madt(&b, false);
    const uint32_t whole = b.size;
    for (uint32_t size = NW_ACPI_MADT_FIXED_BYTES; size <= whole; size++) {
        struct nw_acpi_file file;
        struct nw_madt m;
        b.size = size;
        finish(&b);
        must(nw_acpi_load(b.byte, size, "cut", &file, err));
        assert_true(file.count == 0 && file.madts == 1);
        must(nw_madt_decode(&file.madt[0], &m, err));
        assert_int_equal(m.processors, size >= NW_ACPI_MADT_FIXED_BYTES + 8);
        assert_int_equal(m.ioapics, size == whole);
        assert_int_equal(m.problems.count,
                         size != whole && size != NW_ACPI_MADT_FIXED_BYTES && size != NW_ACPI_MADT_FIXED_BYTES + 8);
        if (m.ioapics)
            assert_true(m.ioapic[0].id == 2 && m.ioapic[0].address == 0xfec00000 && m.ioapic[0].offset == 52);
        nw_madt_fini(&m);
        nw_acpi_file_fini(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts__are_known_by_their_content),
        cmocka_unit_test(functions__words_and_bytes_say_the_same),
        cmocka_unit_test(functions__what_was_not_read_is_not_known),
        cmocka_unit_test(functions__circles_of_capabilities_end),
        cmocka_unit_test(facts__of_several_texts_come_together),
        cmocka_unit_test(log__faults_have_count_time_and_line),
        cmocka_unit_test(texts__errors_have_their_line),
        cmocka_unit_test(texts__damaged_ones_are_survived),
        cmocka_unit_test(madt__cut_anywhere_gives_what_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
