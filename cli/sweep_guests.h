/* sweep_guests.h - `nestwalk sweep` of a <guests> file. */
#ifndef NESTWALK_CLI_SWEEP_GUESTS_H
#define NESTWALK_CLI_SWEEP_GUESTS_H

#include "sweep.h"

/* *failed: points without a result, of this sweep or an earlier one. */
enum nw_status nw_cli_sweep_guests(const struct sweep_options *options, size_t *failed,
                                   struct nw_error *err) NW_MUST_USE;

#endif
