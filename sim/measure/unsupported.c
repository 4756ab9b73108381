/* Machines on which nothing is measured. */
#include "measure_internal.h"

enum nw_status nw_measure_chases(struct nw_measurement *out, const struct nw_chase *plan, size_t count,
                                 const struct nw_measure_options *options, struct nw_error *err)
{
    (void)plan, (void)count, (void)options;
    *out = (struct nw_measurement){ 0 };
    return nw_fail(err, NW_ERR_UNSUPPORTED, "this machine is measured only under Linux on x86-64");
}

void nw_measure_clock_read(struct nw_measure_clock *out) { *out = (struct nw_measure_clock){ 0, 0 }; }
void nw_measure_pin(struct nw_measure_pin *pin) { *pin = (struct nw_measure_pin){ NULL }; }
void nw_measure_unpin(struct nw_measure_pin *pin) { (void)pin; }
