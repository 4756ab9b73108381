/* lab.h - the lab of broken configurations: for each rule of `nestwalk iommu check`, inputs that fire it and inputs that differ in one
 * thing and do not. test_lab.c judges every one and fails for a rule that has none.
 *
 * To add a case, write a row into the table of the lab_*.h that fits (or a new lab_*.h, and its table into `lab_tables` of test_lab.c):
 *
 *     a firmware table     { .rule = "D05", .build = d05 }, where d05(b, broken) puts it together (acpi_builder.h);
 *     a machine's texts    { .rule = "X01", .text = { regset }, .from = "0xc7000000", .to = "0x47000000" }: in the broken case the first
 *                          `from` of text[0] is replaced by `to`. Further texts are the same in both cases;
 *     both                 `build` and `text`: what is compared between firmware and machine. `from` may be left out then;
 *     anything else        { .rule = "X17", .judge = x17 }: x17(broken, found) fills *found itself.
 *
 * The sound case must give no finding at all, and the broken one none of another rule; .besides names rules that may fire in either. */
#ifndef NESTWALK_TESTS_LAB_H
#define NESTWALK_TESTS_LAB_H

#include "acpi_builder.h"
#include <nestwalk/iommu/dump.h>

enum { LAB_TEXTS = 4 };

struct lab_case {
    const char *rule;
    void (*build)(struct builder *b, bool broken);
    void (*madt)(struct builder *b, bool broken); /* of the same machine */
    bool sealed;                                  /* `build` has set length and checksum itself */
    const char *text[LAB_TEXTS], *from, *to;
    void (*judge)(bool broken, struct nw_iommu_findings *found);
    const char *besides;  /* "P05 X04" */
    const char *severity; /* of the broken case's findings, to hold a rule to it that is lessened: "info"; NULL: any */
};

#endif
