/* collect.h - what the walks of whole trees share: pages of tables, pieces joined to windows, and what has been seen. Never leaves
 * iommu/. */
#ifndef NESTWALK_IOMMU_REACH_COLLECT_H
#define NESTWALK_IOMMU_REACH_COLLECT_H

#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/reach.h>

/* A set of keys; used to read a table once only. */
struct iommu_seen {
    uint64_t (*slot)[2];
    size_t slots, used;
};
/* True: it is new, and has been entered. *no_memory is set when it could not be. */
bool iommu_seen_enter(struct iommu_seen *s, uint64_t a, uint64_t b, bool *no_memory);
void iommu_seen_fini(struct iommu_seen *s);

struct iommu_collector {
    nw_reach_fn tell;
    void *context;
    struct nw_reach_window run; /* bytes 0: there is none */
    bool stopped, no_memory, once;
    struct iommu_seen seen;
    uint64_t tables;
    const struct nw_reach_request *request; /* whose tables; NULL: nobody listens, and there is no limit */
    bool exhausted;
};
/* For what `q` asks. */
static inline struct iommu_collector iommu_collector_of(const struct nw_reach_request *q, nw_reach_fn tell,
                                                        void *context)
{
    return (struct iommu_collector){ .tell = tell, .context = context, .once = q->targets_once, .request = q };
}
/* A table is going to be read. Counts it; stops at the request's limit. The listener is told; the requester is filled in. */
void iommu_collect_table(struct iommu_collector *c, struct nw_reach_table t);

/* A piece; joined to the run before when it goes on in both spaces with the same rights. False: stop. */
bool iommu_collect(struct iommu_collector *c, uint64_t iova, uint64_t target, uint64_t bytes, unsigned rights);
/* The last run; frees what there is. */
void iommu_collect_end(struct iommu_collector *c);

/* The 512 words of a table page, or NULL when it does not lie in memory as a whole. Words of memory never written are 0. */
const uint64_t *iommu_table_page(const struct nw_physmem *pm, uint64_t address);

#endif
