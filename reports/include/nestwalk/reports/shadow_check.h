/* shadow_check.h - the model of KVM's shadow MMU against the KVM of this machine, program by program, counter by counter.
 *
 *     struct nw_shadow_check check = { 0 };
 *     s = nw_shadow_check_start(&check, &options, err);             // NW_ERR_UNSUPPORTED: KVM does not shadow here
 *     s = nw_shadow_check_program(&check, &program, err);           // as often as there are programs
 *     if (nw_shadow_check_holds(&check)) ...
 *     nw_shadow_check_fini(&check);
 *
 * A point is one counter of one program; only those that moved, in the model or in KVM, are points. It holds when the
 * counter moved alike in every segment. KVM's thread may have to be rescheduled in the middle of a fault, which is then
 * taken twice; so a program that differs is run on KVM again, up to five times in all, and the run that is nearest counts.
 * Before each of these the thread sleeps, so that it begins with a whole time slice on a processor that is less busy.
 * A program that the host cannot serve at the moment (no pages of 2 MiB left) is skipped, with the reason.
 * A counter that differs, and in which KVM's own runs differ from each other (a fault that is taken until the host has found
 * and cleared 2 MiB, say), is unsteady: it is shown, and judged neither way.
 *
 * Not compared: shadow_pages, which is the model's own, and what this kernel has no statistic for. KVM's statistics that
 * do not repeat from run to run (exits, irq_exits, preemption_other, req_event) are not in the model. */
#ifndef NESTWALK_REPORTS_SHADOW_CHECK_H
#define NESTWALK_REPORTS_SHADOW_CHECK_H

#include <nestwalk/traces/live_shadow.h>
#include <nestwalk/traces/shadow_programs.h>

struct nw_shadow_point {
    unsigned program, counter; /* index into `program` and nw_kvm_counter_row */
    uint64_t model, kvm;       /* at the program's end */
    unsigned segments, agreeing;
    bool unsteady;        /* KVM's own runs differ: not judged */
    double error_percent; /* of the model's value, from KVM's; where KVM counted none, from 1 */
};

struct nw_shadow_verdict {
    char name[32];
    const char *group;
    unsigned segments, points, agreeing; /* points that hold */
    unsigned runs;                       /* of KVM */
    unsigned unsteady;                   /* points that are not judged */
    char difference[160];                /* the first one that is judged; "" when there is none */
    char skipped[160];                   /* why KVM could not run it now; "" when it did */
};

struct nw_shadow_check {
    struct nw_live_shadow_host host;
    struct nw_live_shadow_options options;
    struct nw_shadow_verdict *program; /* owned */
    struct nw_shadow_point *point;     /* owned */
    size_t program_count, point_count, program_room, point_room;
};

enum nw_status nw_shadow_check_start(struct nw_shadow_check *c, const struct nw_live_shadow_options *options,
                                     struct nw_error *err) NW_MUST_USE;
/* Also NW_ERR_*: what the runs of the model and of KVM return. */
enum nw_status nw_shadow_check_program(struct nw_shadow_check *c, const struct nw_shadow_program *program,
                                       struct nw_error *err) NW_MUST_USE;
bool nw_shadow_check_holds(const struct nw_shadow_check *c);
void nw_shadow_check_fini(struct nw_shadow_check *c);

/* The comparison by itself, for two runs of `name`: `segments` rows of counters since the start each. Adds a verdict and
 * its points; `counted` as in struct nw_live_shadow_host. NW_ERR_NOMEM. */
enum nw_status nw_shadow_check_compare(struct nw_shadow_check *c, const char *name, const char *group,
                                       const struct nw_kvm_counters *model, size_t model_segments,
                                       const struct nw_kvm_counters *kvm, size_t kvm_segments,
                                       struct nw_error *err) NW_MUST_USE;

/* { "holds", "host": {...}, "regimes": [{ "name", "points", "median_error_percent", "max_error_percent", "claim",
 * "holds" }], "points": [{ "regime", "program", "counter", "model", "kvm", "error_percent", "segments",
 * "segments_agreeing", "unsteady" }], "skipped": [{ "program", "reason" }] }; a regime is a group of programs. free() it. */
enum nw_status nw_shadow_check_json_text(const struct nw_shadow_check *c, char **out, struct nw_error *err) NW_MUST_USE;

#endif
