/* unsupported.c - hosts without a live capture. */
#include <nestwalk/traces/capture.h>
#include <nestwalk/traces/same_pages.h>
#include <nestwalk/traces/working_set.h>
#include <string.h>

enum nw_status nw_capture_run(const struct nw_capture_options *o, struct nw_capture_result *result,
                              struct nw_error *err)
{
    (void)o;
    memset(result, 0, sizeof *result);
    return nw_fail(err, NW_ERR_ENV, "live capture works on x86-64 Linux hosts with KVM only");
}

enum nw_status nw_same_pages(const struct nw_capture_options *o, struct nw_same_pages *out, struct nw_error *err)
{
    (void)o;
    memset(out, 0, sizeof *out);
    return nw_fail(err, NW_ERR_ENV, "a guest of our own needs an x86-64 Linux host with KVM");
}

enum nw_status nw_working_set_of_guest(const struct nw_capture_options *guest, const struct nw_working_set_options *o,
                                       struct nw_working_set *out, struct nw_error *err)
{
    (void)guest, (void)o;
    memset(out, 0, sizeof *out);
    return nw_fail(err, NW_ERR_ENV, "a guest of our own needs an x86-64 Linux host with KVM");
}
