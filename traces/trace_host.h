/* trace_host.h - what a trace's header says of the machine that captured it. */
#ifndef NESTWALK_TRACES_TRACE_HOST_H
#define NESTWALK_TRACES_TRACE_HOST_H

#include <nestwalk/traces/block.h>

/* Sets cpu_model and kernel; empty where the system does not tell. */
void trace_host_describe(struct nw_trace_info *info);

#endif
