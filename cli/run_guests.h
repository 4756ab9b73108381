/* run_guests.h - `nestwalk run` of a <guests> file: several guests on one host with too little memory. */
#ifndef NESTWALK_CLI_RUN_GUESTS_H
#define NESTWALK_CLI_RUN_GUESTS_H

#include <nestwalk/base/status.h>
#include <stddef.h>

struct nw_cli_guests {
    const char *scenario, *label, *seed, *db, *json, *csv; /* as given; NULL: not given */
    const char *const *set;                                /* "path=value" */
    size_t set_count;
};

enum nw_status nw_cli_run_guests(const struct nw_cli_guests *request, struct nw_error *err) NW_MUST_USE;

#endif
