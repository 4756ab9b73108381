/* overrides.h - what a command line says of every run, over profile and scenario. */
#ifndef NESTWALK_CLI_OVERRIDES_H
#define NESTWALK_CLI_OVERRIDES_H

#include <nestwalk/sim/config.h>

struct nw_cli_overrides {
    const char *engine, *fidelity, *seed, *detect_stale; /* values of the options of these names; NULL: not given */
    const char *const *set;                              /* "path=value" */
    size_t set_count;
};

/* The text of a --set. NW_ERR_USAGE shows the example. */
struct nw_cli_assignment {
    char path[192];
    const char *value; /* within the text */
};
enum nw_status nw_cli_assignment_parse(const char *text, const char *example, struct nw_cli_assignment *out,
                                       struct nw_error *err) NW_MUST_USE;
enum nw_status nw_cli_assign(struct nw_config *c, const char *text, const char *example,
                             struct nw_error *err) NW_MUST_USE;

/* `mode` NULL leaves the mode as it is. */
enum nw_status nw_cli_override(struct nw_config *c, const struct nw_cli_overrides *o, const char *mode,
                               struct nw_error *err) NW_MUST_USE;

/* The option of the command line that sets `path` in every run ("--set", "--seed", ...); NULL: none does. */
const char *nw_cli_overrider(const struct nw_cli_overrides *o, const char *path);

#endif
