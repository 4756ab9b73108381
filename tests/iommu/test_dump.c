/* Texts of a running machine: every rule about one has an input that fires it and one that differs in one thing and does not; what texts
 * are known, and damaged ones. */
#include "iommu_common.h"
#include <nestwalk/iommu/dump.h>

/* ---- sound texts, and what is put in the place of a part ---------------------------------------- */

static const char regset[] = "IOMMU: dmar0 Register Base Address: fed90000\n"
                             "Name\t\t\tOffset\t\tContents\n"
                             "FSTS           \t0x34\t\t0x0000000000000000\n"
                             "PMEN           \t0x64\t\t0x0000000000000000\n"
                             "GSTS           \t0x1c\t\t0x00000000c7000000\n"
                             "CAP            \t0x08\t\t0x00d2008c40660462\n"
                             "ECAP           \t0x10\t\t0x0000000000f050da\n"
                             "RTADDR         \t0x20\t\t0x0000000103812000\n"
                             "IQT            \t0x88\t\t0x0000000000000010\n"
                             "IQA            \t0x90\t\t0x0000000100a00000\n"
                             "IRTA           \t0xb8\t\t0x000000010090080f\n\n"
                             "IOMMU: dmar1 Register Base Address: fed91000\n"
                             "GSTS           \t0x1c\t\t0x00000000c7000000\n"
                             "CAP            \t0x08\t\t0x00d2008c40660462\n"
                             "ECAP           \t0x10\t\t0x0000000000f050da\n";
static const char translation[] =
    "IOMMU dmar0: Root Table Address: 0x103812000\n"
    "B.D.F\tRoot_entry\t\t\t\tContext_entry\t\t\t\tPASID\tPASID_table_entry\n"
    "00:02.0\t0x0000000000000000:0x0000000103813001\t0x0000000000000102:0x0000000103ec3001\t-1\t0x0:0x0:0x0\n"
    "00:14.0\t0x0000000000000000:0x0000000103813001\t0x0000000000000202:0x0000000103ec4001\t-1\t0x0:0x0:0x0\n";
static const char scalable[] =
    "IOMMU dmar0: Root Table Address: 0x103812400\n"
    "00:02.0\t0x0:0x103813001\t0x0:0x103ec3009\t5\t0x0000000000000000:0x0000000000000003:0x0000000105000089\n";
static const char mappings[] =
    "Device 0000:00:02.0 @0x103ec3000\n"
    "IOVA_PFN\t\tPML5E\t\t\tPML4E\t\t\tPDPE\t\t\tPDE\t\t\tPTE\n"
    "0x00000000000fffff |\t0x0\t0x000000010aeb8003\t0x000000010aeb9003\t0x000000010aeba003\t0x000000010aebb003\n"
    "0x0000000000100000 |\t0x0\t0x000000010aeb8003\t0x000000010aeb9003\t0x000000010aebc003\t0x000000010aebc003\n"
    "0x0000000000140000 |\t0x0\t0x000000010aeb8003\t0x0000000080000083\n"
    "Device 0000:00:14.0 @0x103ec4000\n"
    "0x0000000000000200 |\t0x0\t0x000000010aec8003\t0x000000010aec9003\t0x0000000007600083\n";
static const char interrupts[] = "Remapped Interrupt supported on IOMMU: dmar0\n"
                                 " IR table address:100900000\n"
                                 " Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low\n"
                                 " 0     f0:1f.0 00000100 24  000000000004f0f8\t000001000024000d\n"
                                 " 1     00:14.0 00000200 25  00000000000400a0\t000002000025000d\n";
static const char queue[] = "Invalidation queue on IOMMU: dmar0\n Base: 0x100a00000\tHead: 3\tTail: 3\n"
                            "Index\t\tqw0\t\t\tqw1\t\t\tstatus\n"
                            "    0\t0000000000010032\t00000000fffff001\t0000000000000002\n"
                            "    1\t0000000010010014\t0000000000000000\t0000000000000002\n"
                            "    2\t0000000200000025\t0000000100aa0008\t0000000000000002\n"
                            "    3\t0000000000000000\t0000000000000000\t0000000000000000\n";
static const char iomem[] =
    "00001000-0009ffff : System RAM\n000a0000-000fffff : Reserved\n00100000-7fffffff : System RAM\n"
    "  01000000-01ffffff : Kernel code\n80000000-8fffffff : Reserved\n";
static const char cmdline[] = "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet intel_iommu=on\n";
static const char lspci[] =
    "00:00.0 Host bridge: A host bridge\n"
    "00:02.0 VGA compatible controller: A display\n\tCapabilities: [200 v1] Address Translation Service (ATS)\n"
    "\t\tATSCtl:\tEnable-, Smallest Translation Unit: 00\n"
    "00:14.0 USB controller: A controller\n"
    "00:1c.0 PCI bridge: A port\n\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00\n"
    "\tCapabilities: [140 v1] Access Control Services\n"
    "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n";

enum { DMAR_NONE, DMAR_SOUND, DMAR_LIST, DMAR_OTHER_BASE, DMAR_RMRR_RAM, DMAR_RMRR_GAP, DMAR_OPT_IN };
struct pair {
    const char *rule, *text[3]; /* of which the first is changed */
    const char *from, *to;      /* NULL: the table makes the difference */
    int dmar, sound_dmar;
};

static const struct pair pairs[] = {
    { "X01", { regset }, "0x00000000c7000000", "0x0000000047000000", 0, 0 },
    { "I02", { regset }, "0x00000000c7000000", "0x00000000c4000000", 0, 0 },
    { "I13",
      { "IOMMU: dmar0 Register Base Address: fed90000\nGSTS 0x1c 0xc7800000\nIRTA 0xb8 0x10090080f\n" },
      "0x10090080f",
      "0x10090000f",
      0,
      0 },
    { "Q02", { regset }, "0x00000000c7000000", "0x00000000c3000000", 0, 0 },
    { "X24", { regset }, "0x0000000103812000", "0x0000000103812400", 0, 0 },
    { "X24", { regset }, "0x0000000103812000", "0x0000000103812800", 0, 0 },
    { "Q03", { regset }, "0x0000000100a00000", "0x0000000100a00800", 0, 0 },
    { "Q07", { queue }, "0000000000010032", "000000000001003d", 0, 0 },
    { "Q07", { queue }, "0000000000010032", "0000000000010232", 0, 0 },
    { "Q07", { queue, regset }, "00000000fffff001", "00000000fffff013", 0, 0 },
    { "Q07", { queue, regset }, "0000000000010032\t00000000fffff001", "0000000000010036\t00000000fffff013", 0, 0 },
    { "Q07", { queue, regset }, "0000000010010014", "0000000080010014", 0, 0 },
    { "Q08", { queue, mappings }, "0000000100aa0008", "000000010aebb008", 0, 0 },
    { "Q01", { regset }, "0x34\t\t0x0000000000000000", "0x34\t\t0x0000000000000010", 0, 0 },
    { "F01", { regset }, "0x34\t\t0x0000000000000000", "0x34\t\t0x0000000000000002", 0, 0 },
    { "P01", { regset }, "0x64\t\t0x0000000000000000", "0x64\t\t0x0000000080000001", 0, 0 },
    { "P02", { regset }, "0x00d2008c40660462", "0x00d2008c406604e2", 0, 0 },
    { "D03",
      { regset },
      "0x00d2008c40660462\nECAP           \t0x10\t\t0x0000000000f050da",
      "0xffffffffffffffff\nECAP \t0x10 0xffffffffffffffff",
      0,
      0 },
    { "D14",
      { regset },
      "0x00d2008c40660462\nECAP           \t0x10\t\t0x0000000000f050da\nRTADDR",
      "0x00d2008c40660c62\nECAP           \t0x10\t\t0x0000000000f050da\nRTADDR",
      0,
      0 },
    { "D15", { regset }, "0x00d2008c40660462", "0x00d2008c40660062", 0, 0 },
    { "D18", { regset }, NULL, NULL, DMAR_OTHER_BASE, DMAR_SOUND },
    { "X02", { translation }, "0x0000000103ec3001", "0x0000000103ec3f01", 0, 0 },
    { "X02", { translation }, "0x0000000103813001", "0x0000000103813003", 0, 0 },
    { "X02", { scalable }, "0x0000000105000089", "0x0000000105000489", 0, 0 },
    { "X03", { translation }, "0x0000000103ec3001", "0x0000000103ec300d", 0, 0 },
    { "X03", { translation, regset }, "0x0000000000000102:", "0x0000000000000103:", 0, 0 },
    { "X03", { scalable }, "0x0000000105000089", "0x0000000105000149", 0, 0 },
    { "X04", { translation }, "0x0000000000000102:0x0000000103ec3001", "0x0000000000000302:0x0000000000000009", 0, 0 },
    { "X05", { translation }, "0x0000000000000202:", "0x0000000000000102:", 0, 0 },
    { "X06", { translation }, "0x0000000000000202:0x0000000103ec4001", "0x0000000000000102:0x0000000000000009", 0, 0 },
    { "X07", { translation }, "0x0000000000000202:", "0x0000000000000002:", 0, 0 },
    { "X08", { translation, regset }, "0x0000000000000202:", "0x0000000000012302:", 0, 0 },
    { "X09", { translation, lspci }, "00:14.0", "00:15.0", 0, 0 },
    { "X11", { translation }, "0x0000000103ec3001", "0x0000000103ec3003", 0, 0 },
    { "X13", { mappings }, "0x000000010aebb003", "0x000000010aebb002", 0, 0 },
    { "X14", { mappings, translation }, "0x000000010aebb003", "0x0000000103813003", 0, 0 },
    { "X14", { mappings, translation }, "0x0000000080000083", "0x0000000100000083", 0, 0 },
    { "X14", { mappings, scalable }, "0x000000010aebb003", "0x0000000105000003", 0, 0 },
    { "X14", { mappings, regset }, "0x000000010aebb003", "0x00000000fed91003", 0, 0 },
    { "X14", { mappings, regset }, "0x000000010aebb003", "0x000000010097f003", 0, 0 },
    { "X14", { mappings, regset }, "0x000000010aebb003", "0x0000000100a00003", 0, 0 },
    { "X15", { mappings }, "0x000000010aebb003", "0x00000000fee01003", 0, 0 },
    { "X16", { mappings }, "0x00000000000fffff", "0x00000000000fee00", 0, 0 },
    { "X18", { mappings }, "0x0000000000140000", "0x0000000000080000", 0, 0 },
    { "I05", { interrupts }, "000000000004f0f8", "000000000000f0f8", 0, 0 },
    { "I06", { interrupts }, "000000000004f0f8", "000000000007f0f8", 0, 0 },
    { "I06", { interrupts }, "000000000004f0f8", "0000000000080206", 0, 0 },
    { "I08", { interrupts }, "000001000024000d", "00000100000e000d", 0, 0 },
    { "I09", { interrupts }, "000001000024000d", "000001000024008d", 0, 0 },
    { "I10",
      { interrupts, "IOMMU: dmar0 Register Base Address: fed90000\nIRTA 0xb8 0x10090000f\n" },
      "000001000024000d",
      "000101000024000d",
      0,
      0 },
    { "I12",
      { interrupts, "IOMMU: dmar0 Register Base Address: fed90000\nIRTA 0xb8 0x100900800\n" },
      "\n 1     ",
      "\n 2     ",
      0,
      0 },
    { "R02", { iomem }, NULL, NULL, DMAR_RMRR_RAM, DMAR_SOUND },
    { "R03", { iomem }, NULL, NULL, DMAR_RMRR_GAP, DMAR_SOUND },
    { "P05", { cmdline }, "intel_iommu=on", "iommu=pt", 0, 0 },
    { "P05", { cmdline }, "intel_iommu=on", "pcie_acs_override=downstream", 0, 0 },
    { "P03", { "root=/dev/sda1 intel_iommu=off\n" }, NULL, NULL, DMAR_OPT_IN, DMAR_SOUND },
    { "D07", { lspci }, NULL, NULL, DMAR_LIST, DMAR_SOUND },
    { "D11", { lspci }, "00:02.0", "00:03.0", DMAR_SOUND, DMAR_SOUND },
    { "G02", { lspci }, "ReqRedir+", "ReqRedir-", 0, 0 },
    { "G06", { lspci, translation }, "Enable-", "Enable+", 0, 0 },
};

/* Units at fed90000 (display) and fed91000 (all), a region at 80000000. */
static void add_dmar(struct nw_dump *d, int kind)
{
    struct nw_dmar_structure s[3] = { { .type = NW_DMAR_DRHD, .base = 0xfed90000, .scopes = 1 },
                                      { .type = NW_DMAR_DRHD, .base = 0xfed91000, .flags = NW_DRHD_INCLUDE_PCI_ALL },
                                      { .type = NW_DMAR_RMRR, .base = 0x80000000, .limit = 0x8fffffff } };
    static const uint8_t path[] = { 2, 0 };
    struct nw_dmar_scope scope = { .type = NW_DMAR_SCOPE_ENDPOINT, .hops = 1, .path = path };
    struct nw_dmar dmar = { .structure = s, .structures = 3, .scope = &scope, .scopes = 1 };
    if (kind == DMAR_NONE)
        return;
    if (kind == DMAR_LIST)
        s[1].flags = 0;
    if (kind == DMAR_OTHER_BASE)
        s[0].base = 0xfed95000;
    if (kind == DMAR_RMRR_RAM)
        s[2].base = 0x7f000000;
    if (kind == DMAR_RMRR_GAP)
        s[2].limit = 0x9fffffff;
    if (kind == DMAR_OPT_IN)
        dmar.flags = NW_DMAR_PLATFORM_OPT_IN;
    must(nw_dump_add_dmar(d, &dmar, err));
}

/* All findings of all texts; `first`: in place of pair->text[0]. */
static void judge(const struct pair *p, const char *first, int dmar, struct nw_iommu_findings *found)
{
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    add_dmar(&d, dmar);
    for (unsigned i = 0; i < 3 && p->text[i]; i++) {
        const char *text = i ? p->text[i] : first;
        must(nw_dump_add(&d, text, strlen(text), "text", i, &items, err));
        assert_true(items > 0);
    }
    for (unsigned i = 0; i < 3 && p->text[i]; i++)
        must(nw_iommu_check_dump(&d, i, found, err));
    nw_dump_fini(&d);
}

static bool fires(const struct nw_iommu_findings *found, const char *rule)
{
    for (size_t i = 0; i < found->count; i++)
        if (!strcmp(found->at[i].rule->id, rule))
            return true;
    return false;
}

static void rules__each_fires_and_not_without_cause(void **state)
{
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(pairs); i++) {
        const struct pair *p = &pairs[i];
        struct nw_iommu_findings sound = { 0 }, broken = { 0 };
        char text[4096];
        judge(p, p->text[0], p->sound_dmar, &sound);
        for (size_t k = 0; k < sound.count; k++)
            if (strcmp(p->rule, "P03") != 0) /* its option is a finding of its own */
                fail_msg("pair %zu of %s, sound: %s at %s: %s", i, p->rule, sound.at[k].rule->id, sound.at[k].where,
                         sound.at[k].detail);
        assert_false(fires(&sound, p->rule));
        const char *at = p->from ? strstr(p->text[0], p->from) : p->text[0];
        if (!at)
            fail_msg("pair %zu of %s: the text to change is not there", i, p->rule);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - p->text[0]), p->text[0], p->from ? p->to : "",
                 at + (p->from ? strlen(p->from) : 0));
        judge(p, text, p->dmar, &broken);
        if (!fires(&broken, p->rule))
            fail_msg("pair %zu: %s does not fire", i, p->rule);
        for (size_t k = 0; k < broken.count; k++) {
            assert_true(broken.at[k].line > 0 && broken.at[k].where[0] && broken.at[k].detail[0]);
            assert_true(!k || broken.at[k].rule->severity <= broken.at[k - 1].rule->severity ||
                        broken.at[k].line != broken.at[k - 1].line || p->text[1]);
        }
        nw_iommu_findings_fini(&sound);
        nw_iommu_findings_fini(&broken);
    }
}

static void rules__every_one_has_a_pair_and_a_text(void **state)
{
    (void)state;
    const size_t first = (size_t)(nw_iommu_rule_find("V18") - nw_iommu_rules) + 1;
    assert_true(nw_iommu_rule_count >= 50);
    for (size_t r = first; r < nw_iommu_rule_count; r++) {
        const struct nw_iommu_rule *rule = &nw_iommu_rules[r];
        bool paired = false;
        for (size_t i = 0; i < NW_ARRAY_LEN(pairs); i++)
            paired |= !strcmp(pairs[i].rule, rule->id);
        if (!paired)
            fail_msg("%s has no pair of inputs", rule->id);
        assert_ptr_equal(nw_iommu_rule_find(rule->id), rule);
        if (!*rule->title || !*rule->what || !*rule->why || !*rule->source || !*rule->remedy)
            fail_msg("%s lacks a text", rule->id);
    }
}

/* ---- texts -------------------------------------------------------------------------------------- */

static void texts__are_known_by_their_content(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum nw_dump_kind kind;
    } row[] = { { regset, NW_DUMP_REGSET },
                { translation, NW_DUMP_TRANSLATION },
                { "DMA Remapping is not enabled on dmar0\n", NW_DUMP_TRANSLATION },
                { mappings, NW_DUMP_MAPPINGS },
                { "Device 0000:00:0a.0 with pasid 1 @0x1017f8000\n", NW_DUMP_MAPPINGS },
                { interrupts, NW_DUMP_INTERRUPTS },
                { queue, NW_DUMP_QUEUE },
                { iomem, NW_DUMP_IOMEM },
                { cmdline, NW_DUMP_CMDLINE },
                { lspci, NW_DUMP_LSPCI },
                { "0000:00:02.0 0300: 8086:3e92 (rev 02)\n", NW_DUMP_LSPCI },
                { "", NW_DUMP_NONE },
                { "DMAR @ 0x00000000\n    0000: 44 4D 41 52\n", NW_DUMP_NONE },
                { "hello\n", NW_DUMP_NONE } };
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++)
        if (nw_dump_recognise(row[i].text, strlen(row[i].text)) != row[i].kind)
            fail_msg("text %zu is taken for %s", i,
                     nw_dump_kind_name[nw_dump_recognise(row[i].text, strlen(row[i].text))]);
}

/* Rows that go on where the one before ends are one mapping; what is behind a large page's entry may be missing or 0. */
static void texts__neighbouring_rows_are_one_mapping(void **state)
{
    (void)state;
    static const char text[] = "Device 0000:00:02.0 with pasid 1a @0x1\n"
                               "0x1000 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7000003\n"
                               "0x1001 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7001003\n" /* goes on */
                               "0x1002 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7002001\n" /* other rights */
                               "0x1003 |\t0x0\t0x1003\t0x2003\t0x3003\t0x7004001\n" /* elsewhere */
                               "0x1200 |\t0x0\t0x1003\t0x2003\t0x8000883\t0x0\n"    /* 2 MiB */
                               "0x1400 |\t0x0\t0x1003\t0x2003\t0x8200883\n"
                               "0x1600 |\t0x0\t0x0\t0x0\t0x0\t0x0\n" /* nothing */
                               "Device 0000:00:14.0 @0x2\n"
                               "0x1600 |\t0x0\t0x1003\t0x2003\t0x8400883\n";
    static const struct {
        uint64_t iova, target, bytes;
        bool write, has_pasid;
        uint32_t line;
    } row[] = { { 0x1000000, 0x7000000, 0x2000, true, true, 2 },
                { 0x1002000, 0x7002000, 0x1000, false, true, 4 },
                { 0x1003000, 0x7004000, 0x1000, false, true, 5 },
                { 0x1200000, 0x8000000, 0x400000, true, true, 6 },
                { 0x1600000, 0x8400000, 0x200000, true, false, 10 } };
    struct nw_dump d = { .has_dmar = false };
    size_t items;
    must(nw_dump_add(&d, text, strlen(text), "t", 0, &items, err));
    assert_int_equal(items, 8);
    assert_int_equal(d.mappings, NW_ARRAY_LEN(row));
    for (size_t i = 0; i < NW_ARRAY_LEN(row); i++) {
        const struct nw_dump_mapping *m = &d.mapping[i];
        assert_int_equal(m->iova, row[i].iova);
        assert_int_equal(m->target, row[i].target);
        assert_int_equal(m->bytes, row[i].bytes);
        assert_true(m->read && m->write == row[i].write);
        assert_int_equal(m->pasid, row[i].has_pasid ? 0x1a : 0);
        assert_true(m->has_pasid == row[i].has_pasid);
        assert_int_equal(m->place.line, row[i].line);
    }
    nw_dump_fini(&d);
}

static void texts__errors_have_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } row[] = {
        { "IOMMU: dmar0 Register Base Address: x\n", "t:1: expected the base address" },
        { "IOMMU: dmar0 Register Base Address: fed90000\nCAP 0x08 zz\n", "t:2: expected a register's name" },
        { "IOMMU dmar0: Root Table Address: 0x1\n00:02.0 0x0 0x0\n", "t:2: expected BB:DD.F" },
        { "IOMMU dmar0: Root Table Address: 0x1\n00:02.0 0x0:0x1 0x0:0x1 5 0x0:0x1\n", "t:2: expected a PASID-table" },
        { "Device 0000:00:02.0 @0x1\n0x1 | 0x0 0x3\n", "t:2: expected an IOVA page" },
        { "Device 0000:00:02.0 @0x1\n0x1 | 0x0 0x3 0x0 0x0 0x0\n", "t:2: expected an IOVA page" },
        { "Device 0000:00:02.0 @0x1\n0x1 | 0x0 0x3 0x3 0x3 3\n", "t:2: expected an IOVA page" },
        { "0x1 | 0x0 0x3 0x3 0x3 0x3\nDevice 0000:00:02.0 @0x1\n", "t:1: expected \"Device" },
        { "Remapped Interrupt supported on IOMMU: dmar0\n 0 f0:1f.0 00000100 24 zz 1\n", "t:2: expected an interrupt" },
        { "Invalidation queue on IOMMU: dmar0\n 0 12 zz 0\n", "t:2: expected an index" },
        { "what\n", "not a text that is known" }
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

/* Texts with bytes changed, cut and repeated: findings or an error. */
static void texts__damaged_ones_are_survived(void **state)
{
    (void)state;
    const char *const texts[] = { regset, translation, scalable, mappings, interrupts, queue, iomem, cmdline, lspci };
    struct nw_rng rng = nw_rng_seeded(11);
    unsigned errors = 0, findings = 0;
    for (unsigned i = 0; i < 6000; i++) {
        const char *base = texts[nw_rng_below(&rng, NW_ARRAY_LEN(texts))];
        char text[8192];
        size_t size = strlen(base), items;
        memcpy(text, base, size);
        for (unsigned n = 1 + (unsigned)nw_rng_below(&rng, 6); n; n--)
            text[nw_rng_below(&rng, size)] = (char)nw_rng_below(&rng, 256);
        if (nw_rng_below(&rng, 3) == 0)
            size = nw_rng_below(&rng, size);
        struct nw_dump d = { .has_dmar = false };
        struct nw_iommu_findings found = { 0 };
        struct nw_error error = { 0 };
        add_dmar(&d, (int)nw_rng_below(&rng, 3));
        if (nw_dump_add(&d, text, size, "t", 0, &items, &error))
            errors++;
        else
            must(nw_iommu_check_dump(&d, 0, &found, err));
        findings += found.count > 0;
        nw_iommu_findings_fini(&found);
        nw_dump_fini(&d);
    }
    assert_true(errors > 100 && findings > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rules__each_fires_and_not_without_cause),
                                        cmocka_unit_test(rules__every_one_has_a_pair_and_a_text),
                                        cmocka_unit_test(texts__are_known_by_their_content),
                                        cmocka_unit_test(texts__neighbouring_rows_are_one_mapping),
                                        cmocka_unit_test(texts__errors_have_their_line),
                                        cmocka_unit_test(texts__damaged_ones_are_survived) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
