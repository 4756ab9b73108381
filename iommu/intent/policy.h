/* policy.h - what an intent lets a device do with each page of memory. Never leaves iommu/. */
#ifndef NESTWALK_IOMMU_POLICY_H
#define NESTWALK_IOMMU_POLICY_H

#include <nestwalk/iommu/intent.h>
#include <nestwalk/iommu/reach.h>

/* Physical memory cut where anything of the intent begins or ends: part i is [bound[i], bound[i + 1]), the last ends at 2^52. */
struct policy_map {
    uint64_t *bound;
    int *row;    /* of each part, of the intent's memory; -1: nobody's */
    int *holder; /* its owner; -1 */
    size_t parts;
};
enum nw_status policy_map_make(const struct nw_intent *in, struct policy_map *out, struct nw_error *err) NW_MUST_USE;
void policy_map_fini(struct policy_map *m);
size_t policy_part_of(const struct policy_map *m, uint64_t address);
static inline uint64_t policy_part_end(const struct policy_map *m, size_t part)
{
    return part + 1 < m->parts ? m->bound[part + 1] : NW_BIT(NW_PHYS_BITS_MAX);
}

/* Who asks: an owner (-1: a device that is not named) and, when windows are its own, its row. */
struct policy_who {
    int owner, device;
};
enum nw_intent_kind policy_kind(const struct nw_intent *in, const struct policy_who *who);
bool policy_window_is_of(const struct nw_intent_window *w, const struct policy_who *who);
/* Rights in a part; `windows`: those that targets of windows give count too. */
unsigned policy_allowed(const struct nw_intent *in, const struct policy_map *m, size_t part,
                        const struct policy_who *who, bool windows);

#endif
