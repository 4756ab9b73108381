/* loading.h - what scenarios of all kinds have in common: settings by path, runs with settings of their own, sweeps.
 *
 * A kind of scenario says with `ops` what a path means in its configuration. Everything is checked against `probe`, a configuration that takes each setting
 * once, so that a wrong one is found where it stands. Failures name the place in the file. */
#ifndef NW_SCENARIOS_LOADING_H
#define NW_SCENARIOS_LOADING_H

#include "xml_file.h"
#include <nestwalk/scenarios/scenario.h>
#include <stdbool.h>

struct nw_settings_ops {
    enum nw_status (*set)(void *config, const char *path, const char *value, const char *source, struct nw_error *err);
    enum nw_status (*get)(const void *config, const char *path, char *out, size_t out_size, struct nw_error *err);
    bool (*is_text)(const char *path); /* a name, which changes no result */
    const char *run_settings;          /* why run.* cannot be set by <set>; NULL: there is no such path */
};

struct nw_loading {
    struct nw_xml xml;
    const xmlNode *root;
    const char *file; /* last part of the file's name, for sources */
    const struct nw_settings_ops *ops;
    void *base, *probe; /* of the kind that ops is for */
    struct nw_scenario_run *run;
    size_t run_count;
    struct nw_scenario_sweep *sweep;
    size_t sweep_count;
    struct nw_error *err;
};

bool nw_loading_is(const xmlNode *e, const char *name);
enum nw_status nw_loading_nomem(const struct nw_loading *l);

/* Sets path=value in `config`, and keeps it in *list unless `list` is NULL. */
enum nw_status nw_loading_setting(struct nw_loading *l, const xmlNode *e, const char *attribute, void *config,
                                  const char *path, const char *value, struct nw_assignment **list,
                                  size_t *count) NW_MUST_USE;
/* <set path="" value=""/> */
enum nw_status nw_loading_set(struct nw_loading *l, const xmlNode *e, void *config, struct nw_assignment **list,
                              size_t *count) NW_MUST_USE;
/* Each attribute of an element that stands for the parameter GROUP.ATTRIBUTE, but `except`. The schema lets no other through. */
enum nw_status nw_loading_attributes(struct nw_loading *l, const xmlNode *e, const char *group, const char *except,
                                     void *config, struct nw_assignment **list, size_t *count) NW_MUST_USE;
/* The only child element of this name, NULL when there is none; *s says of a second one. */
const xmlNode *nw_loading_only(const struct nw_loading *l, const char *name, enum nw_status *s);
/* All <run>s and <sweep>s, checked together. `probe` is a copy of `base` by now. */
enum nw_status nw_loading_runs(struct nw_loading *l) NW_MUST_USE;
void nw_loading_free_run(struct nw_scenario_run *r);
void nw_loading_free_sweep(struct nw_scenario_sweep *w);

/* The attributes of the only child element of this name, if there is one, as GROUP = NAME. */
enum nw_status nw_loading_group(struct nw_loading *l, const char *name) NW_MUST_USE;

/* What a kind of scenario does with a file that its schema lets through; files are named relative to `directory`. */
typedef enum nw_status (*nw_loading_fn)(struct nw_loading *l, const char *directory, void *context);
/* Reads, validates against the schema of this name, and calls `body`. l->ops, base, probe and err are the caller's. */
enum nw_status nw_loading_file(struct nw_loading *l, const char *path, const char *schema, nw_loading_fn body,
                               void *context) NW_MUST_USE;

/* Runs and sweeps that have become a scenario's. */
void nw_loading_free(struct nw_scenario_run *run, size_t runs, struct nw_scenario_sweep *sweep, size_t sweeps);
/* There is a run of this index, or none at all and it is 0; NW_ERR_USAGE. */
enum nw_status nw_loading_check_index(const char *name, size_t runs, size_t index, struct nw_error *err) NW_MUST_USE;
/* A run's own settings. */
enum nw_status nw_loading_apply(const struct nw_settings_ops *ops, const struct nw_scenario_run *run, void *config,
                                struct nw_error *err) NW_MUST_USE;

#endif
