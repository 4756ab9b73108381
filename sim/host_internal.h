/* host_internal.h - private to sim/: what the files that look at the machine share. */
#ifndef NW_SIM_HOST_INTERNAL_H
#define NW_SIM_HOST_INTERNAL_H

#include <nestwalk/sim/host.h>

/* Adds a line; none beyond NW_HOST_LINES. */
void host_say(char line[NW_HOST_LINES][NW_HOST_TEXT], size_t *count, const char *text);
void host_look_at_capabilities(struct nw_host *h);

#endif
