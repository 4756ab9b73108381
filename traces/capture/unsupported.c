/* unsupported.c - hosts without a live capture. */
#include <nestwalk/traces/capture.h>
#include <string.h>

enum nw_status nw_capture_run(const struct nw_capture_options *o, struct nw_capture_result *result,
                              struct nw_error *err)
{
    (void)o;
    memset(result, 0, sizeof *result);
    return nw_fail(err, NW_ERR_ENV, "live capture works on x86-64 Linux hosts with KVM only");
}
