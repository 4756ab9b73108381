/* run_mrc.h - `nestwalk run --mrc`. */
#ifndef NESTWALK_CLI_RUN_MRC_H
#define NESTWALK_CLI_RUN_MRC_H

#include <nestwalk/sim/config.h>

struct nw_cli_mrc {
    const char *trace;
    bool exact;
    const char *rate, *sets, *window; /* as given; NULL: not given */
    const char *json, *csv;
    const struct nw_config *config; /* the machine, and the seed */
};

enum nw_status nw_cli_run_mrc(const struct nw_cli_mrc *request, struct nw_error *err) NW_MUST_USE;

#endif
