/* Machines on which nothing is measured. */
#include "measure_internal.h"
#include <errno.h>
#include <nestwalk/sim/counters.h>

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

struct nw_counters *nw_counters_open(const struct nw_counter_event *event, size_t count,
                                     void (*failed)(void *context, const struct nw_counter_event *event, int error),
                                     void *context)
{
    for (size_t i = 0; i < count; i++)
        failed(context, &event[i], ENOSYS);
    return NULL;
}
void nw_counters_close(struct nw_counters *c) { (void)c; }
bool nw_counters_has(const struct nw_counters *c, enum nw_counted counted)
{
    (void)c, (void)counted;
    return false;
}
void nw_counters_read(const struct nw_counters *c, struct nw_counter_reading *out)
{
    (void)c;
    *out = (struct nw_counter_reading){ 0 };
}
unsigned nw_counters_add(const struct nw_counters *c, const struct nw_counter_reading *before,
                         const struct nw_counter_reading *after, uint64_t steps, struct nw_counter_sums *sums)
{
    (void)c, (void)before, (void)after, (void)steps, (void)sums;
    return 0;
}
