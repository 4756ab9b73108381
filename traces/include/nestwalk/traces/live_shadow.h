/* live_shadow.h - guest programs on the KVM of this machine, where it keeps shadow page tables: the live counterpart of
 * nw_kvm_program_run() (mmu/kvm_program.h), for the same programs and with the same watcher.
 *
 *     struct nw_live_shadow_host host;
 *     if ((s = nw_live_shadow_probe(&host, err))) ...          // NW_ERR_UNSUPPORTED says why it cannot be done here
 *     nw_live_shadow_adopt(&host, &program);                   // the model is told what this host does
 *     s = nw_kvm_program_run(&program, &watch_model, err);
 *     s = nw_live_shadow_run(&program, &watch_kvm, &(struct nw_live_shadow_options){ .timeout_seconds = 10 }, err);
 *
 * KVM keeps shadow page tables with the PVM backend, and with kvm_intel ept=0 or kvm_amd npt=0. A virtual machine with
 * one processor and 64 MiB is made for each run and gone after it. Its counters are KVM's binary statistics
 * (KVM_GET_STATS_FD; Linux, Documentation/virt/kvm/api.rst, section of that name).
 *
 * Memory that no word of the program names is zero below GPA 2 MiB; from there on it holds RET instructions, so that any
 * such page can be called. Programs keep their tables below.
 *
 * While a run lasts, the calling thread stays on its processor and takes a periodic SIGRTMIN; both are put back. */
#ifndef NESTWALK_TRACES_LIVE_SHADOW_H
#define NESTWALK_TRACES_LIVE_SHADOW_H

#include <nestwalk/mmu/kvm_program.h>

struct nw_live_shadow_host {
    char backend[16];  /* "pvm", "vmx", "svm" or "unknown" */
    char release[128]; /* the kernel's */
    /* What the model has to know, as in struct nw_kvm_program. From the parameters of module kvm: one that has no
     * eager_zap_unsync_children always zaps them. */
    bool eager_zap, mmio_caching;
    bool native_supervisor; /* supervisor code runs on the processor, and requests are served after each exit */
    uint32_t counted;       /* bit i: KVM has a statistic for nw_kvm_counter_row[i] */
};

/* NW_ERR_UNSUPPORTED: no KVM, no permission, a KVM that does not shadow (with how to make it), or another system.
 * NW_ERR_ENV: KVM refuses something that it ought to do. */
enum nw_status nw_live_shadow_probe(struct nw_live_shadow_host *out, struct nw_error *err) NW_MUST_USE;
void nw_live_shadow_adopt(const struct nw_live_shadow_host *host, struct nw_kvm_program *program);

struct nw_live_shadow_options {
    double timeout_seconds;            /* from one marker to the next; 0: 10 */
    bool (*keep_going)(void *context); /* asked about ten times a second; NULL allowed */
    void *context;
};

/* Runs the program. The watcher's `segment` is told as by the model; `event` is never called. Operands of MARKER above
 * 2^32 are fine. eager_zap and its like are ignored: this is the real thing.
 *
 * NW_ERR_INPUT: an operation or action that does not exist, a word outside memory or where the interpreter is, an
 * action outside memory; NW_ERR_INTERRUPTED: keep_going said no. NW_ERR_ENV: the guest did not reach its next marker
 * in time, took an exception that it has no handler for, or KVM gave up on it; also what nw_live_shadow_probe()
 * returns. Nothing is left running in any case. */
enum nw_status nw_live_shadow_run(const struct nw_kvm_program *program, const struct nw_kvm_watcher *watcher,
                                  const struct nw_live_shadow_options *options, struct nw_error *err) NW_MUST_USE;

/* What nw_live_shadow_run() refuses as NW_ERR_INPUT, on any host. */
enum nw_status nw_live_shadow_check(const struct nw_kvm_program *program, struct nw_error *err) NW_MUST_USE;

#endif
