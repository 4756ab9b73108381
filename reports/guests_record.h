/* guests_record.h - the two halves of a record of several guests: counters (guests_run.c), and what is more than counters (guests_series.c). */
#ifndef NESTWALK_REPORTS_GUESTS_RECORD_H
#define NESTWALK_REPORTS_GUESTS_RECORD_H

#include "reports_internal.h"
#include <nestwalk/reports/guests.h>

/* False: no memory. */
bool guests_record_more(struct nw_run *run, const struct nw_vms_result *result);

#endif
