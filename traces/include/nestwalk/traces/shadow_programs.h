/* shadow_programs.h - guest programs that put a shadow MMU through its paces: a fixed set, and seeded random ones.
 *
 *     struct nw_shadow_program p;
 *     for (size_t i = 0; i < nw_shadow_program_count(); i++) {
 *         if ((s = nw_shadow_program_make(i, &p, err))) ...
 *         s = nw_kvm_program_run(&p.program, &watcher, err);
 *         nw_shadow_program_free(&p);
 *     }
 *
 * Same index, same program; same seed and number, same random program. They run on the model and on a live KVM
 * (traces/live_shadow.h). Works on every host. */
#ifndef NESTWALK_TRACES_SHADOW_PROGRAMS_H
#define NESTWALK_TRACES_SHADOW_PROGRAMS_H

#include <nestwalk/mmu/kvm_program.h>

struct nw_shadow_program {
    char name[32];
    const char *group; /* "touch", "edit", "directory", "roots", "large", "limit", "host", "supervisor", "random" */
    const char *doc;   /* one sentence */
    struct nw_kvm_program program;
    /* what `program` points at; owned */
    uint64_t (*word)[2];
    struct nw_kvm_op *op;
    struct nw_kvm_action *action;
};

size_t nw_shadow_program_count(void);
/* The name, group and sentence of one; false: there is none of that index. */
bool nw_shadow_program_describe(size_t index, const char **name, const char **group, const char **doc);

/* NW_ERR_USAGE: no such index. NW_ERR_NOMEM. After a failure there is nothing to free. */
enum nw_status nw_shadow_program_make(size_t index, struct nw_shadow_program *out, struct nw_error *err) NW_MUST_USE;
/* Touches, table edits, INVLPGs and root switches, about 100 operations in 12 segments; named "random-SEED-NUMBER". */
enum nw_status nw_shadow_program_random(uint64_t seed, uint64_t number, struct nw_shadow_program *out,
                                        struct nw_error *err) NW_MUST_USE;
void nw_shadow_program_free(struct nw_shadow_program *p);

#endif
