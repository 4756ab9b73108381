/* refault.h - programs that touch pages which the host takes away in between, and how often the model's host has to bring one back.
 *
 *     struct nw_reclaim_program p;
 *     if ((s = nw_reclaim_program_make(0, seed, &p, err))) ...
 *     struct nw_refault_step *step = calloc(p.steps, sizeof *step);
 *     s = nw_refault_run(&p, NULL, step, err);
 *     nw_reclaim_program_free(&p);
 *
 * The model is the account of frames that hosts of several guests use (mmu/host_memory.h): a page that is taken goes to a slot, a touch of it brings it back, and what
 * it holds is compared with what was written last. The same programs run on a live guest (traces/live_reclaim.h). Works on every host. */
#ifndef NESTWALK_SIM_REFAULT_H
#define NESTWALK_SIM_REFAULT_H

#include <nestwalk/traces/live_reclaim.h>

size_t nw_reclaim_program_count(void);
/* Name and sentence of one; false: there is none of that index. */
bool nw_reclaim_program_describe(size_t index, const char **name, const char **doc);
/* Same index and seed, same program. NW_ERR_USAGE: no such index. NW_ERR_NOMEM. After a failure there is nothing to free. */
enum nw_status nw_reclaim_program_make(size_t index, uint64_t seed, struct nw_reclaim_program *out,
                                       struct nw_error *err) NW_MUST_USE;
void nw_reclaim_program_free(struct nw_reclaim_program *p);

struct nw_refault_step {
    uint64_t refaults; /* touches of pages that had no frame */
    uint64_t taken;    /* at its end */
    uint64_t written;  /* of them, those whose content no slot had already */
};
/* `taken`: what was taken after each step, p->steps times nw_reclaim_words(p) words; NULL: all victims. `step` has p->steps elements. NW_ERR_INPUT as
 * nw_reclaim_check(); NW_ERR_NOMEM; NW_ERR_INTERNAL: content was lost, or the account does not add up. */
enum nw_status nw_refault_run(const struct nw_reclaim_program *p, const uint64_t *taken, struct nw_refault_step *step,
                              struct nw_error *err) NW_MUST_USE;

#endif
