/* lab_changes.h - the lab's pairs of dumps: what has changed from one to the other, and what the queue says of it. */
#ifndef NESTWALK_TESTS_LAB_CHANGES_H
#define NESTWALK_TESTS_LAB_CHANGES_H

#include "lab_amdvi.h"

/* ---- queues of eight slots, of which two are written between the dumps --------------------------- */

#define LAB_SLOT(number, qw0, qw1) "    " number "\t" qw0 "\t" qw1 "\t0000000000000000\n"
#define LAB_EMPTY(number)          LAB_SLOT(number, "0000000000000000", "0000000000000000")
#define LAB_WAIT(number)           LAB_SLOT(number, "0000000200000025", "0000000100aa0000")
#define LAB_IOTLB(number, did)     LAB_SLOT(number, "0000000000" did "0022", "0000000000000000")
#define LAB_QUEUE(place, slots)    "Invalidation queue on IOMMU: dmar0\n Base: 0x100a00000\t" place "\n" slots
#define LAB_FRESH(two)                                                                                                 \
    LAB_QUEUE("Head: 4\tTail: 4",                                                                                      \
              LAB_IOTLB("0", "09") LAB_WAIT("1") two LAB_EMPTY("4") LAB_EMPTY("5") LAB_EMPTY("6") LAB_EMPTY("7"))
static const char queue_before[] =
    LAB_QUEUE("Head: 2\tTail: 2", LAB_IOTLB("0", "09") LAB_WAIT("1") LAB_EMPTY("2") LAB_EMPTY("3") LAB_EMPTY("4")
                                      LAB_EMPTY("5") LAB_EMPTY("6") LAB_EMPTY("7"));
static const char queue_other[] = LAB_FRESH(LAB_IOTLB("2", "02") LAB_WAIT("3"));
/* All slots are used; those that have not been written since are as they were, or are not. */
#define LAB_FULL(place, two, rest)                                                                                     \
    LAB_QUEUE(place, LAB_IOTLB("0", "09") LAB_WAIT("1") two LAB_IOTLB("4", rest) LAB_WAIT("5") LAB_IOTLB("6", "05")    \
                         LAB_WAIT("7"))
static const char full_before[] = LAB_FULL("Head: 2\tTail: 2", LAB_IOTLB("2", "07") LAB_WAIT("3"), "06");
static const char full_after[] = LAB_FULL("Head: 4\tTail: 4", LAB_IOTLB("2", "08") LAB_WAIT("3"), "06");
static const char full_round[] = LAB_FULL("Head: 4\tTail: 4", LAB_IOTLB("2", "08") LAB_WAIT("3"), "0a");

/* ---- two dumps ----------------------------------------------------------------------------------- */

struct lab_dumps {
    const char *old[LAB_TEXTS], *now[LAB_TEXTS];
    const char *name[LAB_TEXTS]; /* of the files; NULL: "text" */
};

static void add_dump(struct nw_dump *d, const char *const text[], const char *const name[])
{
    size_t items;
    for (unsigned i = 0; i < LAB_TEXTS && text[i]; i++)
        must(nw_dump_add(d, text[i], strlen(text[i]), name[i] ? name[i] : "text", i, &items, err));
}

static void judge_dumps(const struct lab_dumps *p, struct nw_iommu_findings *found)
{
    struct nw_dump old = { .has_dmar = false }, now = { .has_dmar = false };
    add_dump(&old, p->old, p->name);
    add_dump(&now, p->now, p->name);
    now.earlier = &old;
    for (unsigned i = 0; i < LAB_TEXTS && p->now[i]; i++)
        must(nw_iommu_check_dump(&now, i, found, err));
    nw_dump_fini(&old);
    nw_dump_fini(&now);
}

/* `text` with the first `from` replaced; of one buffer of several, in turn. */
static const char *changed(const char *text, const char *from, const char *to)
{
    static char buffer[4][4096];
    static unsigned turn;
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("\"%s\" is not in the text", from);
    const size_t before = (size_t)(at - text), with = strlen(to), behind = strlen(at) - strlen(from);
    char *out = buffer[turn++ % NW_ARRAY_LEN(buffer)];
    assert_true(before + with + behind < sizeof buffer[0]);
    memmove(out, text, before);
    memmove(out + before, to, with);
    memmove(out + before + with, at + strlen(from), behind + 1);
    return out;
}

/* ---- mappings: the first page of 00:02.0, of domain 1, is gone, or leads elsewhere, or cannot be read any more ------ */

#define LAB_FIRST_PAGE                                                                                                 \
    "0x00000000000fffff |\t0x0\t0x000000010aeb8003\t0x000000010aeb9003\t0x000000010aeba003\t0x000000010aebb003\n"

static void q04(bool broken, struct nw_iommu_findings *found)
{
    const char *told = LAB_FRESH(LAB_IOTLB("2", "01") LAB_WAIT("3"));
    judge_dumps(&(struct lab_dumps){ .old = { mappings, translation, queue_before },
                                     .now = { changed(mappings, LAB_FIRST_PAGE, ""), translation,
                                              broken ? queue_other : told, "root=/dev/sda1 iommu.strict=1\n" } },
                found);
}
/* By page: 2^0 of them at fffff, and one beside it. */
static void q04_page(bool broken, struct nw_iommu_findings *found)
{
    const char *page = LAB_FRESH(LAB_SLOT("2", "0000000000010032", "00000000fffff000") LAB_WAIT("3"));
    judge_dumps(&(struct lab_dumps){ .old = { mappings, translation, queue_before },
                                     .now = { changed(mappings, "0x000000010aebb003", "0x0000000107777003"),
                                              translation, broken ? changed(page, "fffff000", "ffffe000") : page } },
                found);
}
static void q04_rights(bool broken, struct nw_iommu_findings *found)
{
    judge_dumps(&(struct lab_dumps){ .old = { mappings, translation, queue_before },
                                     .now = { changed(mappings, "0x000000010aebb003",
                                                      broken ? "0x000000010aebb001" : "0x000000010aebb003"),
                                              translation, queue_other } },
                found);
}
/* The slots all are used: what the queue had may be gone, and no more than a warning is due. */
static void q04_full(bool broken, struct nw_iommu_findings *found)
{
    const char *told = LAB_FULL("Head: 4\tTail: 4", LAB_IOTLB("2", "01") LAB_WAIT("3"), "06");
    judge_dumps(&(struct lab_dumps){ .old = { mappings, translation, full_before },
                                     .now = { changed(mappings, LAB_FIRST_PAGE, ""), translation,
                                              broken ? full_after : told, "root=/dev/sda1 iommu.strict=1\n" } },
                found);
    for (size_t i = 0; i < found->count; i++)
        assert_int_equal(found->at[i].severity, NW_IOMMU_WARNING);
}
static void q10(bool broken, struct nw_iommu_findings *found)
{
    judge_dumps(&(struct lab_dumps){ .old = { mappings, translation, full_before },
                                     .now = { broken ? changed(mappings, LAB_FIRST_PAGE, "") : mappings, translation,
                                              full_round } },
                found);
}
static void q10_no_queue(bool broken, struct nw_iommu_findings *found)
{
    judge_dumps(
        &(struct lab_dumps){ .old = { mappings, translation },
                             .now = { broken ? changed(mappings, LAB_FIRST_PAGE, "") : mappings, translation } },
        found);
}

#define LAB_CACHING "IOMMU: dmar0 Register Base Address: fed90000\nCAP 0x08 0x00d2008c406604e2\n"
static void q06(bool broken, struct nw_iommu_findings *found)
{
    const char *told = LAB_FRESH(LAB_IOTLB("2", "01") LAB_WAIT("3"));
    judge_dumps(&(struct lab_dumps){ .old = { changed(mappings, LAB_FIRST_PAGE, ""), translation, queue_before },
                                     .now = { mappings, translation, broken ? queue_other : told, LAB_CACHING } },
                found);
}
#define LAB_FIRST_ENTRY                                                                                                \
    "IOMMU dmar0: Root Table Address: 0x103812000\n00:02.0\t0x0:0x103813001\t0x102:0x103ec3001\t-1\t0x0:0x0:0x0\n"
static void q06_entry(bool broken, struct nw_iommu_findings *found)
{
    const char *told =
        LAB_FRESH(LAB_SLOT("2", "000000a000000031", "0000000000000000") LAB_WAIT("3")); /* 00:14.0, domain 0 */
    judge_dumps(&(struct lab_dumps){ .old = { LAB_FIRST_ENTRY, queue_before },
                                     .now = { translation, broken ? queue_other : told, LAB_CACHING } },
                found);
}

/* ---- entries ------------------------------------------------------------------------------------- */

/* The tables of 00:02.0 are exchanged: context cache, then IOTLB by domain; the other way round is no good. */
static void q05(bool broken, struct nw_iommu_findings *found)
{
    const char *told = LAB_FRESH(LAB_SLOT("2", "0000001000010031", "0000000000000000") LAB_IOTLB("3", "01"));
    const char *reversed = LAB_FRESH(LAB_IOTLB("2", "01") LAB_SLOT("3", "0000001000010031", "0000000000000000"));
    judge_dumps(
        &(struct lab_dumps){ .old = { translation, queue_before },
                             .now = { changed(translation, "103ec3001", "103ec7001"), broken ? reversed : told } },
        found);
}
static void q05_gone(bool broken, struct nw_iommu_findings *found)
{
    const char *told = LAB_FRESH(LAB_SLOT("2", "0000000000000011", "0000000000000000") LAB_IOTLB("3", "01"));
    judge_dumps(
        &(struct lab_dumps){ .old = { translation, queue_before },
                             .now = { changed(translation, "00:02.0", "00:03.0"), broken ? queue_other : told } },
        found);
}
static void q05_ats(bool broken, struct nw_iommu_findings *found)
{
    const char *old = changed(translation, "103ec3001", "103ec3005"); /* TT = 1 */
    const char *three = LAB_QUEUE(
        "Head: 5\tTail: 5",
        LAB_IOTLB("0", "09") LAB_WAIT("1") LAB_SLOT("2", "0000001000010031", "0000000000000000") LAB_IOTLB("3", "01")
            LAB_SLOT("4", "0000001000000003", "7ffffffffffff001") LAB_EMPTY("5") LAB_EMPTY("6") LAB_EMPTY("7"));
    judge_dumps(
        &(struct lab_dumps){ .old = { old, queue_before },
                             .now = { changed(old, "103ec3005", "103ec7005"),
                                      broken ? changed(three, "0000001000000003", "000000a000000003") : three } },
        found);
}
static void q05_pasid(bool broken, struct nw_iommu_findings *found)
{
    const char *told = LAB_FRESH(LAB_SLOT("2", "0000000500030017", "0000000000000000")
                                     LAB_SLOT("3", "0000000500030026", "0000000000000000"));
    judge_dumps(&(struct lab_dumps){ .old = { scalable, queue_before },
                                     .now = { changed(scalable, "105000089", "105007089"),
                                              broken ? changed(told, "0000000500030017", "0000000600030017") : told } },
                found);
}

static void q07(bool broken, struct nw_iommu_findings *found)
{
    const char *told =
        LAB_FRESH(LAB_SLOT("2", "0000000108000014", "0000000000000000") LAB_WAIT("3")); /* IM = 1: 0, 1 */
    judge_dumps(&(struct lab_dumps){ .old = { interrupts, queue_before },
                                     .now = { changed(interrupts, "000002000025000d", "000004000025000d"),
                                              broken ? changed(told, "0000000108000014", "0000000300000014") : told } },
                found);
}
static void q01(bool broken, struct nw_iommu_findings *found)
{
    judge_dumps(&(struct lab_dumps){ .old = { changed(queue_other, "Head: 4", "Head: 2") },
                                     .now = { broken ? changed(queue_other, "Head: 4", "Head: 2") : queue_other } },
                found);
}

/* ---- AMD-Vi -------------------------------------------------------------------------------------- */

static const char *const amd_names[] = { "text", "amd/iommu00/cmdbuf" };
static const char amd_before[] = "CMD Buffer Head Offset:1 Tail Offset:1\n  0: 00a00001 10000001 00000001 00000000\n"
                                 "  1: 00000000 00000000 00000000 00000000\n  2: 00000000 00000000 00000000 00000000\n";
static const char amd_after[] = "CMD Buffer Head Offset:2 Tail Offset:2\n  0: 00a00001 10000001 00000001 00000000\n"
                                "  1: 00000100 20000000 00000000 00000000\n  2: 00000000 00000000 00000000 00000000\n";

static void q05_amd(bool broken, struct nw_iommu_findings *found)
{
    judge_dumps(&(struct lab_dumps){ .old = { devtbl, amd_before },
                                     .now = { changed(devtbl, "6000000105200803", "6000000105700803"),
                                              broken ? changed(amd_after, "00000100", "00000200") : amd_after },
                                     .name = { amd_names[0], amd_names[1] } },
                found);
}
static void q07_amd(bool broken, struct nw_iommu_findings *found)
{
    const char *told = changed(amd_after, "20000000", "50000000");
    judge_dumps(&(struct lab_dumps){ .old = { irqtbl, amd_before, devtbl },
                                     .now = { changed(irqtbl, "0000000000000025", "0000000000000035"),
                                              broken ? amd_after : told, devtbl },
                                     .name = { amd_names[0], amd_names[1] } },
                found);
}
static void q10_amd(bool broken, struct nw_iommu_findings *found)
{
    judge_dumps(
        &(struct lab_dumps){ .old = { devtbl },
                             .now = { broken ? changed(devtbl, "6000000105200803", "6000000105700803") : devtbl } },
        found);
}

static const struct lab_case lab_changes[] = {
    { .rule = "Q01", .judge = q01 },
    { .rule = "Q04", .judge = q04 },
    { .rule = "Q04", .judge = q04_page },
    { .rule = "Q04", .judge = q04_rights },
    { .rule = "Q04", .judge = q04_full },
    { .rule = "Q05", .judge = q05 },
    { .rule = "Q05", .judge = q05_gone },
    { .rule = "Q05", .judge = q05_ats },
    { .rule = "Q05", .judge = q05_pasid },
    { .rule = "Q05", .judge = q05_amd },
    { .rule = "Q06", .judge = q06, .besides = "P02" },
    { .rule = "Q06", .judge = q06_entry, .besides = "P02" },
    { .rule = "Q07", .judge = q07 },
    { .rule = "Q07", .judge = q07_amd },
    { .rule = "Q10", .judge = q10 },
    { .rule = "Q10", .judge = q10_no_queue },
    { .rule = "Q10", .judge = q10_amd },
};

#endif
