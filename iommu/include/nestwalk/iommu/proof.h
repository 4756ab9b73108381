/* proof.h - does isolation hold? For every device, the exact memory that it can read and write, against what an intent allows.
 *
 *     struct nw_proof *p;
 *     if ((s = nw_proof_create(&intent, &p, err))) return s;
 *     s = nw_proof_add_vtd(p, "dmar0", 0, &tables, err);       // all tables of a unit
 *     s = nw_proof_judge(p, &findings, &proved, err);          // findings: N01..., X14, X17, X19
 *     for (size_t i = 0; i < proved.subjects; i++) ...          // what was shown, device by device
 *     nw_proved_fini(&proved);
 *     nw_proof_destroy(p);
 *
 * A page counts as reachable when nw_vtd_translate(), or nw_amdvi_translate(), would let an untranslated, unprivileged request through: see
 * reach.h. All tables are read, however many addresses they map. Devices that reach the same by the same entries and are in the same place of the
 * intent are one *subject*. Each violation has a *witness*: one request, the lowest address of those that were found, and every table
 * entry on its way; it is translated once more before it is told of. */
#ifndef NESTWALK_IOMMU_PROOF_H
#define NESTWALK_IOMMU_PROOF_H

#include <nestwalk/iommu/check.h>
#include <nestwalk/iommu/dump.h>
#include <nestwalk/iommu/intent.h>
#include <nestwalk/iommu/reach.h>

struct nw_proof;
/* `in` is borrowed, and so are the tables of the units and the dump: until nw_proof_destroy(). NW_ERR_NOMEM. */
enum nw_status nw_proof_create(const struct nw_intent *in, struct nw_proof **out, struct nw_error *err) NW_MUST_USE;
void nw_proof_destroy(struct nw_proof *p); /* NULL is allowed */

/* Called now and then while tables are read, with how many have been. `fn` NULL: nobody asks. */
void nw_proof_watch(struct nw_proof *p, void (*fn)(void *context, uint64_t tables), void *context);

/* NW_ERR_INPUT: the root table, or the device table, is not in memory; NW_ERR_NOMEM. Memory is changed and put back. */
enum nw_status nw_proof_add_vtd(struct nw_proof *p, const char *name, uint16_t segment, const struct nw_vtd_tables *t,
                                struct nw_error *err) NW_MUST_USE;
enum nw_status nw_proof_add_amdvi(struct nw_proof *p, const char *name, uint16_t segment,
                                  const struct nw_amdvi_tables *t, struct nw_error *err) NW_MUST_USE;
/* The mappings and entries that texts of a running machine tell of, as devices of segment 0. NW_ERR_NOMEM. */
enum nw_status nw_proof_add_dump(struct nw_proof *p, const struct nw_dump *d, struct nw_error *err) NW_MUST_USE;

struct nw_proved_device {
    uint16_t segment, source_id;
    bool has_pasid;
    uint32_t pasid;
};
struct nw_proved_subject {
    struct nw_proved_device *device;
    size_t devices;
    int owner;                   /* of the intent; -1: not named by it */
    char translation[24];        /* "second stage", "pass-through", "mappings", "none" */
    char reason[96];             /* why it reaches nothing; empty when it does */
    unsigned everything;         /* rights with which it reaches all of memory; 0: it does not */
    struct nw_frame_set *memory; /* what it reaches; NULL: nothing or everything. Owned by the proof */
    uint64_t read_bytes, write_bytes;
    uint64_t read_ranges, write_ranges;
    size_t findings; /* against it, infos apart */
    bool unchecked;  /* the intent says so */
};
struct nw_proved {
    struct nw_proved_subject *subject; /* in order of their first device */
    size_t subjects, requesters;
};
/* Once, when all has been added. Adds to *found, errors first. *proved is valid until the proof is destroyed. NW_ERR_NOMEM;
 * NW_ERR_INTERNAL: a witness is none. */
enum nw_status nw_proof_judge(struct nw_proof *p, struct nw_iommu_findings *found, struct nw_proved *proved,
                              struct nw_error *err) NW_MUST_USE;
void nw_proved_fini(struct nw_proved *proved);

#endif
