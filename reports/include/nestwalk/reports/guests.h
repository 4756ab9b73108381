/* guests.h - a run of several guests on one host as a record that the store, the comparison and the reports know.
 *
 *     if ((s = nw_vms_run(&config, NULL, &result, err))) return s;
 *     struct nw_run run;
 *     if ((s = nw_run_from_guests(&config, &result, &run, err))) return s;
 *
 * Metrics: the host's counters by their own paths (frames.*, reclaim.*, swap.*, disk.*, sharing.*), the sums of the guests' counters by theirs
 * (accesses.total, faults.*, swap.*, balloon.*, pathologies.*), and each guest's alone below vm.NAME. The mode is "guests", the engine "pages".
 *
 * Besides: vm.NAME.took.OTHER, frames that one guest got and the other had had last; vm.NAME.monitor.ESTIMATOR.*, errors and costs of its monitors; and
 * series: vm.NAME.timeline.* (resident, shared, swapped, ballooned, target, large, slowdown; thinned out to 500 points), vm.NAME.monitor.exact and
 * vm.NAME.monitor.ESTIMATOR.estimate, vm.NAME.miss_ratio. */
#ifndef NESTWALK_REPORTS_GUESTS_H
#define NESTWALK_REPORTS_GUESTS_H

#include <nestwalk/reports/run.h>
#include <nestwalk/sim/vms.h>

/* Copies everything; config and result may be freed. NW_ERR_NOMEM. */
enum nw_status nw_run_from_guests(const struct nw_vms_config *config, const struct nw_vms_result *result,
                                  struct nw_run *out, struct nw_error *err) NW_MUST_USE;

#endif
