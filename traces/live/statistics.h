/* statistics.h - KVM's binary statistics (KVM_GET_STATS_FD) as struct nw_kvm_counters. */
#ifndef NESTWALK_LIVE_STATISTICS_H
#define NESTWALK_LIVE_STATISTICS_H

#include "vm.h"
#include <nestwalk/mmu/kvm_shadow.h>

struct statistics {
    int fd[2];                       /* of the virtual machine and of its processor */
    uint64_t place[NW_KVM_COUNTERS]; /* in the file of fd[which[i]]; 0: KVM has no such statistic */
    uint8_t which[NW_KVM_COUNTERS];
};
/* statistics_close is right after success and failure. */
enum nw_status statistics_open(struct statistics *st, const struct vm *vm, struct nw_error *err) NW_MUST_USE;
enum nw_status statistics_read(const struct statistics *st, struct nw_kvm_counters *out,
                               struct nw_error *err) NW_MUST_USE;
uint32_t statistics_counted(const struct statistics *st);
void statistics_close(struct statistics *st);

#endif
