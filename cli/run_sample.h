/* run_sample.h - `nestwalk run --sample`. */
#ifndef NESTWALK_CLI_RUN_SAMPLE_H
#define NESTWALK_CLI_RUN_SAMPLE_H

#include <nestwalk/sim/config.h>

struct nw_cli_sample {
    const char *trace;
    const char *sample, *window, *warm; /* as given; NULL: not given */
    const char *json, *csv;
    const struct nw_config *config; /* of each run */
    size_t count;
};

enum nw_status nw_cli_run_sample(const struct nw_cli_sample *request, struct nw_error *err) NW_MUST_USE;

#endif
