/* One processor for a thread, for as long as it measures. */
#include <nestwalk/sim/measure.h>
#include <sched.h>
#include <stdlib.h>

/* Interrupts tend to go to the first processor. */
void nw_measure_pin(struct nw_measure_pin *pin)
{
    cpu_set_t *before = malloc(sizeof *before), one;
    *pin = (struct nw_measure_pin){ NULL };
    CPU_ZERO(&one);
    if (before && !sched_getaffinity(0, sizeof *before, before))
        for (size_t i = CPU_SETSIZE; i-- > 0;)
            if (CPU_ISSET(i, before)) {
                CPU_SET(i, &one);
                if (!sched_setaffinity(0, sizeof one, &one))
                    pin->before = before;
                break;
            }
    if (!pin->before)
        free(before);
}

void nw_measure_unpin(struct nw_measure_pin *pin)
{
    if (pin->before)
        sched_setaffinity(0, sizeof(cpu_set_t),
                          pin->before); /* fails only when those processors are gone: it stays here */
    free(pin->before);
    pin->before = NULL;
}
