/* guests.h - scenario files of several guests on one host with too little memory.
 *
 *     bool several;
 *     if ((s = nw_guests_recognise("overcommit.xml", &several, err)) || !several) ...     // a <scenario>: scenario.h
 *     struct nw_guests_scenario sc;
 *     if ((s = nw_guests_load("overcommit.xml", &sc, err))) return s;
 *     for (size_t i = 0; i < (sc.run_count ? sc.run_count : 1); i++) {
 *         struct nw_vms_config c;
 *         if ((s = nw_guests_config(&sc, i, &c, err))) break;
 *         ... --set, then nw_vms_config_check(&c, err), then nw_vms_run() (sim/vms.h)
 *         nw_vms_config_fini(&c);
 *     }
 *     nw_guests_fini(&sc);
 *
 * The XML, with an example of every element, is docs/overcommit.md. Order of what applies to a run: <host>, <swap>, <balloon>, <sharing>, <monitor>, <vm>s
 * with their <work>s, the file's <set>s, the run's; what a caller sets afterwards overrides all. Traces are named relative to the file.
 *
 * Each value set remembers "FILE:LINE" as its source. Failures are as for scenarios. */
#ifndef NESTWALK_SCENARIOS_GUESTS_H
#define NESTWALK_SCENARIOS_GUESTS_H

#include <nestwalk/scenarios/scenario.h>
#include <nestwalk/sim/vms.h>

struct nw_guests_scenario {
    char *name;
    struct nw_vms_config base;
    struct nw_scenario_run *run; /* their modes are NULL */
    size_t run_count;            /* 0: one run of `base` is meant */
    struct nw_scenario_sweep *sweep;
    size_t sweep_count;
};

/* Whether the file's first element is <guests>. NW_ERR_INPUT, NW_ERR_IO when it is no XML that can be read. */
enum nw_status nw_guests_recognise(const char *path, bool *several, struct nw_error *err) NW_MUST_USE;
/* *out is written on success only. */
enum nw_status nw_guests_load(const char *path, struct nw_guests_scenario *out, struct nw_error *err) NW_MUST_USE;
void nw_guests_fini(struct nw_guests_scenario *s);
/* The configuration of run `index`, labelled, which the caller ends with nw_vms_config_fini(). */
enum nw_status nw_guests_config(const struct nw_guests_scenario *s, size_t index, struct nw_vms_config *out,
                                struct nw_error *err) NW_MUST_USE;

#endif
