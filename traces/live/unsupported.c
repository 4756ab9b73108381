/* unsupported.c - hosts without KVM for x86. */
#include <nestwalk/traces/exit_cost.h>
#include <nestwalk/traces/live_reclaim.h>
#include <nestwalk/traces/live_shadow.h>

enum nw_status nw_live_shadow_probe(struct nw_live_shadow_host *out, struct nw_error *err)
{
    *out = (struct nw_live_shadow_host){ 0 };
    return nw_fail(err, NW_ERR_UNSUPPORTED,
                   "the live check of the shadow MMU works on x86-64 Linux hosts with KVM only");
}

enum nw_status nw_live_shadow_run(const struct nw_kvm_program *program, const struct nw_kvm_watcher *watcher,
                                  const struct nw_live_shadow_options *options, struct nw_error *err)
{
    (void)watcher, (void)options;
    struct nw_live_shadow_host host;
    enum nw_status s = nw_live_shadow_check(program, err);
    return s ? s : nw_live_shadow_probe(&host, err);
}

enum nw_status nw_live_reclaim_open(struct nw_live_reclaim_host *host, enum nw_reclaim_way way, const char *directory,
                                    struct nw_error *err)
{
    (void)way, (void)directory;
    *host = (struct nw_live_reclaim_host){ .file = -1, .keeper = -1, .told = -1 };
    return nw_fail(err, NW_ERR_UNSUPPORTED, "the live check of reclaim works on x86-64 Linux hosts with KVM only");
}

enum nw_status nw_live_reclaim_close(struct nw_live_reclaim_host *host, struct nw_error *err)
{
    (void)host, (void)err;
    return NW_OK;
}

enum nw_status nw_live_reclaim_run(const struct nw_live_reclaim_host *host, const struct nw_reclaim_program *p,
                                   const struct nw_live_reclaim_options *options, struct nw_live_reclaim_step *step,
                                   uint64_t *taken, struct nw_error *err)
{
    (void)host, (void)options, (void)step, (void)taken;
    enum nw_status s = nw_reclaim_check(p, err);
    return s ? s
             : nw_fail(err, NW_ERR_UNSUPPORTED, "the live check of reclaim works on x86-64 Linux hosts with KVM only");
}

enum nw_status nw_exit_cost_measure(enum nw_exit_cost_operation operation, const struct nw_exit_cost_options *options,
                                    struct nw_exit_timing *out, struct nw_error *err)
{
    (void)operation, (void)options;
    *out = (struct nw_exit_timing){ 0 };
    return nw_fail(err, NW_ERR_UNSUPPORTED, "exits are timed on x86-64 Linux hosts with KVM only");
}
