/* run_guests.h - `nestwalk run` of a <guests> file: several guests on one host with too little memory. */
#ifndef NESTWALK_CLI_RUN_GUESTS_H
#define NESTWALK_CLI_RUN_GUESTS_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>

struct nw_cli_guests {
    const char *scenario, *label, *seed, *db, *json, *csv; /* as given; NULL: not given */
    const char *const *set;                                /* "path=value" */
    size_t set_count;
    bool
        sweep; /* every combination of the file's swept values, not one value of each; what fits together is not checked */
};

struct nw_vms_config;
/* The runs that the file and the request make. *config has *count of them, on failure too: nw_cli_guests_free() them. */
enum nw_status nw_cli_guests_plan(const struct nw_cli_guests *request, struct nw_vms_config **config, size_t *count,
                                  struct nw_error *err) NW_MUST_USE;
void nw_cli_guests_free(struct nw_vms_config *config, size_t count);

enum nw_status nw_cli_run_guests(const struct nw_cli_guests *request, struct nw_error *err) NW_MUST_USE;

#endif
