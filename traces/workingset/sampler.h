/* sampler.h - nw_working_set_of_process() once it is known what the kernel can do. */
#ifndef NESTWALK_WORKINGSET_SAMPLER_H
#define NESTWALK_WORKINGSET_SAMPLER_H

#include <nestwalk/traces/working_set.h>

/* soft_dirty: the kernel has soft-dirty bits, so that pages that were written are known. */
enum nw_status ws_sample(const struct nw_working_set_options *o, bool soft_dirty, struct nw_working_set *out,
                         struct nw_error *err) NW_MUST_USE;

/* Tries it on a page of its own. */
bool ws_soft_dirty_works(void);

#endif
