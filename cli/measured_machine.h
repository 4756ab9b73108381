/* measured_machine.h - what the commands that measure this machine tell a measurement of it. */
#ifndef NESTWALK_CLI_MEASURED_MACHINE_H
#define NESTWALK_CLI_MEASURED_MACHINE_H

#include <nestwalk/sim/measure.h>

/* A quarter of the memory that is free, in bytes; 0: not known. */
uint64_t measured_machine_memory(void);
/* What the processor is, the shipped profile nearest to it, and whether its page walks have a second dimension. */
enum nw_status measured_machine_describe(struct nw_measurement *m, struct nw_error *err) NW_MUST_USE;

#endif
