/* scenario.h - scenario files: what to replay, on which machine, in which ways.
 *
 *     struct nw_scenario sc;
 *     if ((s = nw_scenario_load("three-ways.xml", NULL, &sc, err))) return s;
 *     for (size_t i = 0; i < sc.run_count; i++) {
 *         struct nw_config c;
 *         if ((s = nw_scenario_config(&sc, i, &c, err))) break;   // base, then the run's own settings
 *         ... --set, --mode, then nw_config_check(&c, err), then replay ...
 *         nw_config_fini(&c);
 *     }
 *     nw_scenario_fini(&sc);
 *
 * The XML, with an example of every element, is docs/scenarios.md. Order of what applies to a run: machine profile, <guest> and <vmm>,
 * the scenario's <set>s, the attributes of <run>, its <set>s; what a caller sets afterwards overrides all. Each setting
 * is checked when the file is read; what only shows in combination is left to nw_config_check(), because an override may mend it.
 *
 * Each value set remembers "FILE:LINE" as its source. Failures are as for profiles (machine.h); in addition NW_ERR_UNSUPPORTED for
 * the reserved elements <balloon>, <swap>, <sharing> and <iommu>: understood, not modelled, and never ignored in silence. */
#ifndef NESTWALK_SCENARIOS_SCENARIO_H
#define NESTWALK_SCENARIOS_SCENARIO_H

#include <nestwalk/base/status.h>
#include <nestwalk/sim/config.h>
#include <stddef.h>

struct nw_assignment {
    char *path, *value, *source;
};

struct nw_scenario_run {
    char *label; /* unique in the scenario; the mode's name if the file gives none */
    char *mode;  /* "native", "direct", "shadow", "nested", "agile" */
    struct nw_assignment *set;
    size_t set_count;
};

/* Values of one parameter to try in turn. No run sets it, no two values are the same, and all sweeps and runs together make
 * at most NW_SCENARIO_POINTS_MAX points. */
enum { NW_SCENARIO_POINTS_MAX = 100000 };
struct nw_scenario_sweep {
    char *path;
    char **value;
    size_t value_count;   /* at least 1 */
    char *place, *source; /* "FILE:LINE:COLUMN: <sweep>", for messages; "FILE:LINE", the source of its values */
};

struct nw_scenario {
    char *name;
    char *trace;           /* file name, usable from the current directory; NULL when the scenario names none */
    struct nw_config base; /* machine, guest, vmm and the scenario's own settings */
    struct nw_scenario_run *run;
    size_t run_count; /* 0: the scenario has no <run>; one replay of `base` is meant */
    struct nw_scenario_sweep *sweep;
    size_t sweep_count;
};

/* `machine`, when not NULL, replaces the scenario's <machine> before anything else is applied: a shipped profile's name, or a file
 * relative to the current directory. *out is written on success only. */
enum nw_status nw_scenario_load(const char *path, const char *machine, struct nw_scenario *out,
                                struct nw_error *err) NW_MUST_USE;
void nw_scenario_fini(struct nw_scenario *s);

/* The configuration of run `index` (of `base`, when run_count is 0 and index 0), which the caller ends with nw_config_fini(). */
enum nw_status nw_scenario_config(const struct nw_scenario *s, size_t index, struct nw_config *out,
                                  struct nw_error *err) NW_MUST_USE;

#endif
