/* reach.h - all that a device can reach: what its tables map, as a list of windows or as the exact set of physical memory.
 *
 *     struct nw_frame_set *set;
 *     if ((s = nw_frame_set_create(&set, err))) return s;
 *     struct nw_reach_request q = { .source_id = 0x20, .targets_once = true };
 *     s = nw_vtd_reach(&tables, &q, nw_frame_set_take, set, &all, err);
 *     nw_frame_set_next(set, 0, &range) ...                             // [start, end), rights
 *
 * A page counts as reachable for reading (writing) just when nw_vtd_translate() lets a read (write) through that is not privileged, unless
 * RID_PRIV makes it so, and untranslated; nothing is set in the tables. Tables that point at each other, or at themselves, are read once for each
 * level and set of rights with `targets_once`, so that the time grows with their number and not with the paths through them. */
#ifndef NESTWALK_IOMMU_REACH_H
#define NESTWALK_IOMMU_REACH_H

#include <nestwalk/iommu/amdvi.h>
#include <nestwalk/iommu/vtd.h>

enum nw_reach_rights { NW_REACH_READ = 1, NW_REACH_WRITE = 2, NW_REACH_BOTH = 3 };

/* A run of addresses that lead to a run of memory, with the same rights. */
struct nw_reach_window {
    uint64_t iova, target, bytes; /* whole pages of 4 KiB */
    uint8_t rights;               /* set of enum nw_reach_rights, not empty */
};
/* false: that is enough. */
typedef bool (*nw_reach_fn)(void *context, const struct nw_reach_window *w);

/* ---- tables ------------------------------------------------------------------------------------- */

enum nw_reach_table_kind {
    NW_REACH_ROOT_TABLE, /* AMD-Vi: the device table */
    NW_REACH_CONTEXT_TABLE,
    NW_REACH_PASID_DIRECTORY,
    NW_REACH_PASID_TABLE, /* AMD-Vi: the GCR3 tables */
    NW_REACH_FIRST_STAGE, /* AMD-Vi: the guest's */
    NW_REACH_SECOND_STAGE,
    NW_REACH_TABLE_KINDS
};
extern const char *const nw_reach_table_name[NW_REACH_TABLE_KINDS]; /* "root table", ... */

/* A page of a table that is looked into. */
struct nw_reach_table {
    enum nw_reach_table_kind kind;
    uint8_t level;    /* of paging tables, 0: its entries map pages of 4 KiB */
    bool guests;      /* it lies in memory of the guest, which may change it: the first stage of a nested translation */
    bool readable;    /* false: it does not lie in memory as a whole */
    uint64_t address; /* host-physical */
    uint64_t entry_at; /* of the entry that leads there; 0: a register does */
    uint16_t source_id;
    bool has_pasid;
    uint32_t pasid;
};
/* Is told of each, some of them more than once. */
struct nw_reach_listener {
    void (*table)(void *context, const struct nw_reach_table *t);
    void *context;
};

struct nw_reach_request {
    uint16_t source_id;
    bool has_pasid;
    uint32_t pasid;
    /* Every memory page is told of at least once with each of its rights, and not for each address that leads there; the order is then
     * that of the tables. false: every address is, in rising order (of a first stage the upper half last). */
    bool targets_once;
    const struct nw_reach_listener *listener; /* NULL: there is none */
    uint64_t tables_max;                      /* 0: there is no limit to how many are read */
};

struct nw_reach_summary {
    unsigned reason; /* VT-d: fault reason of every request, 0: none. AMD-Vi: enum nw_amdvi_event_code */
    bool
        identity; /* passed through: every address is its own, but for special ranges of AMD-Vi; nothing has been told */
    uint8_t identity_rights;
    uint8_t translation; /* enum nw_vtd_translation or nw_amdvi_translation */
    uint16_t domain_id;
    uint32_t pasid;       /* that is used: the request's, or RID_PASID */
    uint64_t root;        /* of the tables: first stage's where there is one */
    uint64_t second_root; /* nested: the second stage's, the host's */
    uint64_t key;         /* requesters with the same key and the same root reach the same */
    uint64_t tables;      /* table pages read */
    bool stopped;         /* the function said so, or `exhausted` */
    bool exhausted;       /* there are more tables than tables_max */
};

/* Windows of one requester. NW_ERR_NOMEM. */
enum nw_status nw_vtd_reach(const struct nw_vtd_tables *t, const struct nw_reach_request *q, nw_reach_fn tell,
                            void *context, struct nw_reach_summary *out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_amdvi_reach(const struct nw_amdvi_tables *t, const struct nw_reach_request *q, nw_reach_fn tell,
                              void *context, struct nw_reach_summary *out, struct nw_error *err) NW_MUST_USE;

/* Every requester that the tables have an entry for: without a PASID, then with each. At most NW_REACH_SOURCES_MAX are told of.
 * *more: there are others. */
enum { NW_REACH_SOURCES_MAX = 1 << 17 };
typedef bool (*nw_reach_source_fn)(void *context, const struct nw_reach_request *q);
void nw_vtd_reach_sources(const struct nw_vtd_tables *t, const struct nw_reach_listener *listener,
                          nw_reach_source_fn tell, void *context, bool *more);
void nw_amdvi_reach_sources(const struct nw_amdvi_tables *t, const struct nw_reach_listener *listener,
                            nw_reach_source_fn tell, void *context, bool *more);

/* ---- surveys ------------------------------------------------------------------------------------ */

/* Who reaches what, all at once: requesters, and the domains that they are in. Owned by the survey; do not change. */
struct nw_survey_requester {
    uint16_t source_id;
    bool has_pasid;
    uint32_t pasid;
    unsigned reason; /* of every request: see nw_reach_summary; 0: none */
    int domain;      /* index; -1: there is none, with a reason */
};
struct nw_survey_domain {
    struct nw_reach_summary summary; /* tables: each counted once for each of its uses */
    unsigned requesters;
    struct nw_reach_window *window; /* in rising order; of a first stage the upper half last */
    unsigned windows;
    bool more;                   /* there are others than the first `most` */
    struct nw_frame_set *memory; /* NULL: passed through */
};
struct nw_survey {
    struct nw_survey_requester *requester;
    size_t requesters;
    struct nw_survey_domain *domain;
    size_t domains;
    bool more; /* there are more requesters than NW_REACH_SOURCES_MAX */
};
/* Windows of each domain up to `most`, and all of its memory. `listener` may be NULL. NW_ERR_NOMEM; there is nothing to free then. */
enum nw_status nw_vtd_survey(const struct nw_vtd_tables *t, unsigned most, const struct nw_reach_listener *listener,
                             struct nw_survey *out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_amdvi_survey(const struct nw_amdvi_tables *t, unsigned most, const struct nw_reach_listener *listener,
                               struct nw_survey *out, struct nw_error *err) NW_MUST_USE;
void nw_survey_fini(struct nw_survey *s);

/* ---- sets of memory ----------------------------------------------------------------------------- */

/* Pages of 4 KiB below 2^52, each readable, writable or both. 8 KiB for each 128 MiB that is partly in it, less for what is wholly. */
struct nw_frame_set;
enum nw_status nw_frame_set_create(struct nw_frame_set **out, struct nw_error *err) NW_MUST_USE;
void nw_frame_set_destroy(struct nw_frame_set *s); /* NULL is allowed */
/* Whole pages; `rights` are added to what they have; what lies above 2^52 is left out. NW_ERR_NOMEM. */
enum nw_status nw_frame_set_add(struct nw_frame_set *s, uint64_t start, uint64_t bytes, unsigned rights,
                                struct nw_error *err) NW_MUST_USE;
unsigned nw_frame_set_rights(const struct nw_frame_set *s, uint64_t address);
/* A nw_reach_fn; `context` is the set. Stops when there is no memory: nw_frame_set_status() has the error. */
bool nw_frame_set_take(void *context, const struct nw_reach_window *w);
enum nw_status nw_frame_set_status(const struct nw_frame_set *s, struct nw_error *err) NW_MUST_USE;

struct nw_frame_range {
    uint64_t start, end; /* [start, end) */
    unsigned rights;
};
/* The first range at or above `from`: as long as neighbours have the same rights. False: there is none. */
bool nw_frame_set_next(struct nw_frame_set *s, uint64_t from, struct nw_frame_range *out);
/* Bytes that have all of these rights. */
uint64_t nw_frame_set_bytes(struct nw_frame_set *s, unsigned rights);

#endif
