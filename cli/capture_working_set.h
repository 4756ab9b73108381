/* capture_working_set.h - `nestwalk capture` by dirty-ring, clear-refs and idle: working sets over time. */
#ifndef NESTWALK_CLI_CAPTURE_WORKING_SET_H
#define NESTWALK_CLI_CAPTURE_WORKING_SET_H

#include "cli.h"
#include <nestwalk/traces/capture.h>
#include <nestwalk/traces/working_set.h>

/* "largest", "all" or START-END in hexadecimal; false for anything else. */
bool capture_range_parse(const char *text, struct nw_working_set_options *o);
/* Records, and prints the table or JSON. The exit status. `guest` is for a guest of ours. */
int capture_working_set(const struct nw_command *self, const struct nw_capture_options *guest,
                        struct nw_working_set_options *o, bool json);

#endif
