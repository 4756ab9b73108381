/* machine.h - a program's guest at work. */
#ifndef NESTWALK_LIVE_MACHINE_H
#define NESTWALK_LIVE_MACHINE_H

#include "vm.h"
#include <nestwalk/mmu/kvm_program.h>
#include <sched.h>

struct live_machine {
    const struct nw_kvm_program *program;
    struct vm vm;                      /* made, loaded and its registers set */
    double timeout;                    /* seconds from one marker to the next */
    bool (*keep_going)(void *context); /* asked about ten times a second; NULL allowed */
    void *keep_context;
    /* The guest waits at this marker. Setting `stopped` ends the run. */
    enum nw_status (*at_marker)(void *context, uint64_t number, struct nw_error *err);
    void (*before)(void *context), (*after)(void *context); /* each entry of KVM; NULL allowed */
    void *context;                                          /* of the three */
    bool stopped, ended;
    double marker_seconds;
};
/* To the program's end. NW_ERR_ENV: it did not reach its next marker in time, took an exception, or KVM gave up. */
enum nw_status live_machine_run(struct live_machine *m, struct nw_error *err) NW_MUST_USE;

/* Keeps the thread on its processor: on another one KVM would flush the guest's TLB, and count it. */
bool live_pin(cpu_set_t *before);
void live_unpin(bool pinned, const cpu_set_t *before);

#endif
