/* reclaim_check.h - how many taken pages come back: the model of the host against the kernel of this machine.
 *
 *     struct nw_reclaim_check check = { 0 };
 *     s = nw_reclaim_check_start(&check, NW_RECLAIM_ANY, ".", &options, err);  // NW_ERR_UNSUPPORTED: why it cannot be done here
 *     s = nw_reclaim_check_program(&check, &program, runs, err);               // as often as there are programs
 *     if (nw_reclaim_check_holds(&check)) ...
 *     s = nw_reclaim_check_stop(&check, err);                                  // the host is as it was
 *     nw_reclaim_check_fini(&check);
 *
 * A point is one step of one run: the model, told which pages went, says how many touches meet a page that is not there; the kernel's page tables say how many
 * of the pages are there again. It holds when the two are equal. Where a page that comes back is always read from the device (zram, file), the faults that the
 * kernel calls major are a second witness, and have to be equal too. Runs are of fresh virtual machines. A step in which the host lost pages on its own account (it was
 * short of memory) is not judged. */
#ifndef NESTWALK_REPORTS_RECLAIM_CHECK_H
#define NESTWALK_REPORTS_RECLAIM_CHECK_H

#include <nestwalk/sim/refault.h>

struct nw_reclaim_point {
    unsigned program, run, step;
    uint64_t model; /* refaults */
    struct nw_live_reclaim_step kernel;
    bool judged, holds;
    double error_percent; /* of the model's refaults, from the kernel's; where it had none, from 1 */
};

struct nw_reclaim_verdict { /* of a program, over all runs and steps */
    char name[32];
    unsigned runs, points, holding, unjudged;
    uint64_t asked, taken; /* of all runs */
    /* a run's sums; the model's differ when the kernel would not give up the same pages each time */
    uint64_t model_least, model_most, returned_least, returned_most, major_least, major_most;
    double median_error_percent, max_error_percent;
};

struct nw_reclaim_check {
    struct nw_live_reclaim_host host;
    struct nw_live_reclaim_options options;
    struct nw_reclaim_verdict *program; /* owned */
    struct nw_reclaim_point *point;     /* owned */
    size_t program_count, point_count, program_room, point_room;
};

enum nw_status nw_reclaim_check_start(struct nw_reclaim_check *c, enum nw_reclaim_way way, const char *directory,
                                      const struct nw_live_reclaim_options *options, struct nw_error *err) NW_MUST_USE;
/* What the runs of the model and of the guest return. */
enum nw_status nw_reclaim_check_program(struct nw_reclaim_check *c, const struct nw_reclaim_program *program,
                                        unsigned runs, struct nw_error *err) NW_MUST_USE;
/* Adds the points of one run, without running anything; after the last one of a program, its verdict. For tests, too. NW_ERR_NOMEM. */
enum nw_status nw_reclaim_check_add(struct nw_reclaim_check *c, const struct nw_reclaim_program *program, unsigned run,
                                    const struct nw_refault_step *model, const struct nw_live_reclaim_step *kernel,
                                    struct nw_error *err) NW_MUST_USE;
enum nw_status nw_reclaim_check_conclude(struct nw_reclaim_check *c, const struct nw_reclaim_program *program,
                                         unsigned runs, struct nw_error *err) NW_MUST_USE;
/* Every judged point holds, and there is one. */
bool nw_reclaim_check_holds(const struct nw_reclaim_check *c);
enum nw_status nw_reclaim_check_stop(struct nw_reclaim_check *c, struct nw_error *err) NW_MUST_USE;
void nw_reclaim_check_fini(struct nw_reclaim_check *c);

/* { "holds", "host": { "backend", "kernel", "way", "means", "notes": [] }, "regimes": [{ "name", "points", "median_error_percent", "max_error_percent", "claim",
 * "holds", "runs", "asked", "taken", "model": [least, most], "returned": [...], "major": [...] }], "points": [{ "regime", "run", "step", "asked", "taken", "model",
 * "returned", "major", "minor", "astray", "error_percent", "judged", "holds" }] }; a regime is a program. "asked" and "taken" of a point are those that its
 * step ended with. free() it. */
enum nw_status nw_reclaim_check_json_text(const struct nw_reclaim_check *c, char **out,
                                          struct nw_error *err) NW_MUST_USE;

#endif
