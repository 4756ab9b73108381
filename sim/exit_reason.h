/* exit_reason.h - private to sim/: what a recorded VM exit was, whose it is to count, and what exits cost. */
#ifndef NW_SIM_EXIT_REASON_H
#define NW_SIM_EXIT_REASON_H

#include <nestwalk/sim/result.h>

/* The reason of a recorded exit. `code` is what the processor told the VMM, and `backend` (nw_trace_info.kvm_backend) says in which
 * numbering: "vmx": SDM vol. 3, appendix "VMX Basic Exit Reasons" (the low 16 bits); "svm": APM vol. 2, appendix "SVM Intercept Exit
 * Codes". What has no price of its own, and everything of another backend, is NW_EXIT_RECORDED; so are VMCALL and VMMCALL, which are exits
 * with a switch of worlds: NW_EXIT_HYPERCALL is what a paravirtual guest pays that has no such exits.
 *
 * MODEL: traces do not say which exception an exception exit is of; on VMX, where all have one number, it is taken for a page fault. Nor do
 * they say whether a control register was read or written there; it is taken to be written. */
enum nw_exit_reason exit_reason_of(const char *backend, uint64_t code);

/* Whether a replay under this configuration makes exits of that reason itself, from the accesses and events that caused them. A recorded
 * one is left to it then, so that none is counted twice:
 *   - shadow and direct mode: page faults, MOV to control registers and INVLPG; also what a second stage made the recorded VMM do (EPT violations, a
 *     full log), which in this mode is the shadow pager's work;
 *   - nested mode: EPT violations with vmm.demand_backing, a full log with vmm.pml. */
bool exit_is_of_the_model(const struct nw_config *c, enum nw_exit_reason reason);

/* Counts and prices `count` exits of one reason. */
void exits_add(struct nw_result *r, const struct nw_config *c, enum nw_exit_reason reason, uint64_t count);

/* The configuration's mix of exits; nothing without a VMM. */
void exits_add_mix(struct nw_result *r, const struct nw_config *c);

#endif
