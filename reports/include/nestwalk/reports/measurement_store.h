/* measurement_store.h - raw samples of a measurement (sim/measure.h) in an SQLite file, so that what is claimed of them can be computed again.
 *
 *     s = nw_measurement_save(&m, "samples.db", err);
 *     s = nw_measurement_load(&m, "samples.db", err);
 *
 * A file holds one measurement. Tables: session (name, value), chases, processes, samples, frames, notes; docs/validation.md has the columns. */
#ifndef NESTWALK_REPORTS_MEASUREMENT_STORE_H
#define NESTWALK_REPORTS_MEASUREMENT_STORE_H

#include <nestwalk/sim/measure.h>

enum {
    NW_SAMPLES_APPLICATION_ID = 0x6e776d31
}; /* "nwm1": SQLite's application_id of such a file; samples of exits may be in it too */

/* The file appears whole or not at all; one that is there is replaced. NW_ERR_IO, NW_ERR_NOMEM. */
enum nw_status nw_measurement_save(const struct nw_measurement *m, const char *path, struct nw_error *err) NW_MUST_USE;
/* NW_ERR_INPUT: no such file, no such tables, or a value that no measurement has; the message names table and row. */
enum nw_status nw_measurement_load(struct nw_measurement *m, const char *path, struct nw_error *err) NW_MUST_USE;

#endif
