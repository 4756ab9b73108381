/* proof_internal.h - what is being proved. Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_PROOF_INTERNAL_H
#define NESTWALK_IOMMU_PROOF_INTERNAL_H

#include "../acpi/acpi_internal.h"
#include "../rules/rules_internal.h"
#include "policy.h"
#include <nestwalk/iommu/proof.h>

enum { TABLE_USES = NW_REACH_TABLE_KINDS + 12 }; /* paging tables of each stage and level are uses of their own */

/* Tables that something is wrong with; of the rest the number is known. */
struct odd_tables {
    struct nw_reach_table at[LISTED_MAX];
    enum nw_reach_table_kind other[LISTED_MAX]; /* what else it is used as */
    size_t count;
};

struct proof_progress {
    void (*fn)(void *context, uint64_t tables);
    void *context;
    uint64_t tables;
};

struct proof_unit {
    char name[32];
    struct proof_progress *progress; /* of the proof */
    uint16_t segment;
    bool is_vtd, is_amdvi; /* neither: mappings of texts */
    struct nw_vtd_tables vtd;
    struct nw_amdvi_tables amdvi;
    struct nw_survey survey;
    struct nw_frame_set *table[TABLE_USES]; /* pages of tables by use; NULL: none */
    struct nw_frame_set *host_tables;       /* all but those that are in memory of guests */
    struct nw_frame_set *absent;            /* tables that are not in memory */
    struct odd_tables missing, twofold;
};

/* Mappings of one requester in texts. */
struct proof_text {
    struct nw_reach_window *window;
    size_t windows;
    struct nw_frame_set *memory;
};

struct proof_requester {
    struct nw_proved_device d;
    int unit;
    int domain; /* of the unit's survey; -1: see the others */
    unsigned reason;
    bool passes;  /* not in a survey: every address is its own */
    bool absent;  /* no table has an entry for it */
    bool unknown; /* a text tells of an entry, and not of what it maps */
    int text;     /* index into proof->text; -1 */
    int row;      /* of the intent's devices; -1 */
    struct policy_who who;
};

struct proof_subject {
    const struct proof_requester *head; /* in proof->requester, which is sorted so that they are neighbours */
    size_t count;
    struct nw_frame_set *memory;
    bool everything;
    unsigned identity_rights;
    size_t findings;
    unsigned found[RULES];
};

struct nw_proof {
    const struct nw_intent *in;
    struct policy_map map;
    struct proof_unit **unit;
    size_t units;
    struct proof_text *text;
    size_t texts;
    struct proof_requester *requester;
    size_t requesters;
    struct proof_subject *subject;
    size_t subjects;
    struct nw_iommu_findings *found;
    struct proof_progress progress;
    bool no_memory; /* checked at the end of each step */
};

/* ---- a violation --------------------------------------------------------------------------------- */

/* Memory, or with `at_iova` I/O virtual addresses, that a subject should not reach so. */
struct violation {
    size_t subject;
    enum rule rule;
    int holder; /* of the memory; -1 */
    int other;  /* the other guest of X19; -1 */
    uint64_t start, end;
    unsigned rights;
    bool at_iova;
    uint64_t iova, hpa; /* the witness's */
    unsigned shown;     /* rights that it has; 0: there is none yet */
};
struct violations {
    struct violation *at;
    size_t count;
};

enum { RANGES_LISTED = 16 }; /* of one subject, rule and holder; the rest are counted */

enum nw_status proof_add_requester(struct nw_proof *p, struct proof_requester r, struct nw_error *err) NW_MUST_USE;
const struct nw_survey_domain *proof_domain(const struct nw_proof *p, const struct proof_requester *r);
/* Physical addresses of the subject's unit end here. */
uint64_t proof_memory_end(const struct nw_proof *p, const struct proof_subject *s);
/* Windows of what a subject reaches; true pass-through is one window. *exhausted: there are more tables than `tables_max` (0: no limit). */
enum nw_status proof_windows(const struct nw_proof *p, const struct proof_subject *s, bool targets_once,
                             uint64_t tables_max, nw_reach_fn tell, void *context, bool *exhausted,
                             struct nw_error *err) NW_MUST_USE;
/* "03:00.0", "0001:03:00.0 PASID 0x5"; " and 3 more" */
void proof_device_text(const struct nw_proved_device *d, char *out, size_t out_size);
void proof_subject_text(const struct proof_subject *s, char *out, size_t out_size);

/* judge.c: memory against the intent. windows.c: addresses. witness.c: fills in the witnesses, and tells of all. */
enum nw_status proof_judge_memory(struct nw_proof *p, struct violations *v, struct nw_error *err) NW_MUST_USE;
enum nw_status proof_judge_windows(struct nw_proof *p, struct violations *v, struct nw_error *err) NW_MUST_USE;
/* `before`: findings that others have added. */
enum nw_status proof_tell(struct nw_proof *p, struct violations *v, size_t before, struct nw_error *err) NW_MUST_USE;
/* NULL: out of memory, and p->no_memory is set. */
struct violation *proof_violation(struct nw_proof *p, struct violations *v, const struct violation *one);
/* A finding without a witness; `s` may be NULL. */
void proof_add(struct nw_proof *p, struct proof_subject *s, enum rule rule, const char *where, const char *format, ...)
    NW_PRINTF(5, 6);

#endif
