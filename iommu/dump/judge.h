/* judge.h - what the rules about running machines share: one file for each group of rules. */
#ifndef NESTWALK_IOMMU_JUDGE_H
#define NESTWALK_IOMMU_JUDGE_H

#include "../rules/rules_internal.h"
#include <nestwalk/iommu/dump.h>
#include <nestwalk/iommu/vtd.h>

struct judge {
    const struct nw_dump *d;
    size_t inputs;
    struct nw_iommu_findings *by_input;
    unsigned (*found)[RULES]; /* of each input: all, listed or not */
    bool no_memory;
};

/* The groups, each in the file of its name: judge_registers.c and so on. A group looks at all facts, whichever input they are of. */
typedef void judge_group(struct judge *j);
judge_group nw_judge_registers, nw_judge_translation, nw_judge_mappings, nw_judge_interrupts, nw_judge_queue,
    nw_judge_memory, nw_judge_platform, nw_judge_coverage, nw_judge_topology, nw_judge_ats, nw_judge_faults,
    nw_judge_paging, nw_judge_amdvi, nw_judge_latency, nw_judge_changes;

/* A finding stands where the fact is that makes it one. */
void nw_judge_add(struct judge *j, enum rule rule, const struct nw_dump_place *at, const char *where,
                  const char *format, ...) NW_PRINTF(5, 6);
/* Of another severity than the rule's, because of what else is known. */
void nw_judge_add_as(struct judge *j, enum nw_iommu_severity severity, enum rule rule, const struct nw_dump_place *at,
                     const char *where, const char *format, ...) NW_PRINTF(6, 7);

void nw_judge_name(uint16_t bdf, char out[8]);                          /* "BB:DD.F" */
void nw_judge_function(const struct nw_dump_function *f, char out[16]); /* with the segment unless it is 0 */
const struct nw_dump_unit *nw_judge_unit(const struct nw_dump *d,
                                         const char *name); /* NULL: its registers are not known */
/* What the unit can do; every capability when its registers are not known, so that nothing is reserved that may not be. */
struct nw_vtd_capabilities nw_judge_capabilities(const struct nw_dump *d, const struct nw_dump_unit *u_or_null);
bool nw_judge_shown(const struct nw_dump *d, uint16_t bdf); /* among the functions that are there */

/* ---- registers ---------------------------------------------------------------------------------- */

#define GSTS_TES  NW_BIT(31)
#define GSTS_QIES NW_BIT(26)
#define GSTS_IRES NW_BIT(25)
#define GSTS_CFIS NW_BIT(23)
#define IRTA_EIME NW_BIT(11)
#define IQA_DW    NW_BIT(11)
#define ECAP_IR   NW_BIT(3)

static inline bool set(const struct nw_dump_unit *u, enum nw_dump_register which, uint64_t bits)
{
    return u->has[which] && (u->value[which] & bits) == bits;
}
static inline bool clear(const struct nw_dump_unit *u, enum nw_dump_register which, uint64_t bits)
{
    return u->has[which] && !(u->value[which] & bits);
}

#endif
