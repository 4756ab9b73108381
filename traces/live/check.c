/* What makes a program one that the live guest can run; on any host. */
#include "live_internal.h"

/* Here the interpreter keeps what its user must not change under it. */
static bool own_page(uint64_t gpa, size_t op_count)
{
    uint64_t ops_end = LIVE_OPS + op_count * LIVE_OP_BYTES;
    return (gpa >= LIVE_GDT && gpa < LIVE_USER_STACK + 0x10) || (gpa >= LIVE_USER && gpa < LIVE_SUPERVISOR + 0x1000) ||
           (gpa >= LIVE_OPS && gpa < ops_end);
}

static enum nw_status check_action(const struct nw_kvm_action *a, struct nw_error *err)
{
    if (a->kind < NW_KVM_ACTION_DROP || a->kind > NW_KVM_ACTION_SREGS)
        return nw_fail(err, NW_ERR_INPUT, "host action %llu does not exist; 1 to 7 do", (unsigned long long)a->kind);
    if (a->kind <= NW_KVM_ACTION_READ_WRITE &&
        (a->gpa % 4096 || a->bytes % 4096 || a->gpa > LIVE_BYTES || a->bytes > LIVE_BYTES - a->gpa))
        return nw_fail(err, NW_ERR_INPUT,
                       "a host action on 0x%llx bytes at 0x%llx: whole pages of the guest's 64 MiB are allowed",
                       (unsigned long long)a->bytes, (unsigned long long)a->gpa);
    return NW_OK;
}

enum nw_status nw_live_shadow_check(const struct nw_kvm_program *p, struct nw_error *err)
{
    if (p->op_count > (LIVE_BYTES - LIVE_OPS) / LIVE_OP_BYTES)
        return nw_fail(err, NW_ERR_INPUT, "%zu operations do not fit in the guest's memory", p->op_count);
    for (size_t i = 0; i < p->op_count; i++)
        if (!nw_kvm_op_known(p->op[i].code))
            return nw_fail(err, NW_ERR_INPUT, "operation %llu (number %zu of the program) does not exist",
                           (unsigned long long)p->op[i].code, i);
    for (size_t i = 0; i < p->word_count; i++) {
        uint64_t gpa = p->word[i][0];
        if (gpa >= LIVE_BYTES || gpa % 8)
            return nw_fail(err, NW_ERR_INPUT, "a word at 0x%llx: the guest has 64 MiB, and words are 8 bytes",
                           (unsigned long long)gpa);
        if (own_page(gpa, p->op_count))
            return nw_fail(err, NW_ERR_INPUT, "a word at 0x%llx, where the guest's interpreter is",
                           (unsigned long long)gpa);
    }
    for (size_t i = 0; i < p->action_count; i++) {
        enum nw_status s = check_action(&p->action[i], err);
        if (s)
            return s;
    }
    return NW_OK;
}

void nw_live_shadow_adopt(const struct nw_live_shadow_host *host, struct nw_kvm_program *program)
{
    program->eager_zap = host->eager_zap;
    program->mmio_caching = host->mmio_caching;
    program->native_supervisor = program->serve_every_exit = host->native_supervisor;
}
