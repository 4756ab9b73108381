#include "sweep_estimate.h"
#include <nestwalk/sim/replay.h>
#include <stdio.h>
#include <time.h>

enum { SAMPLES = 8, BLOCKS_A_SAMPLE = 4 };
static const double BUDGET_SECONDS = 1;

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Making the machine costs once, and each access; the first accesses are dearer than the later ones, for they find everything cold. */
static enum nw_status sample(const struct nw_config *c, struct nw_source *source, double *seconds, struct nw_error *err)
{
    struct nw_replayer *machine;
    double started = processor_seconds();
    enum nw_status s = nw_replayer_create(&machine, c, nw_source_info(source), err);
    if (s)
        return s;
    double made = processor_seconds();
    uint64_t accesses = 0, total = nw_source_access_total(source);
    struct nw_block b = { .end = false };
    source->want = nw_replay_want(c);
    for (unsigned i = 0; i < BLOCKS_A_SAMPLE && !s && !(s = nw_source_next(source, &b, err)) && !b.end; i++) {
        s = nw_replayer_take(machine, &b, err);
        accesses += b.access_count;
    }
    nw_replayer_destroy(machine);
    *seconds = made - started + (accesses ? (processor_seconds() - made) * (double)total / (double)accesses : 0);
    return s;
}

enum nw_status sweep_estimate(const struct sweep_plan *p, const size_t *points, size_t count, struct nw_source *source,
                              double *seconds, struct nw_error *err)
{
    double started = processor_seconds(), sum = 0;
    size_t samples = count < SAMPLES ? count : SAMPLES, taken = 0;
    *seconds = 0;
    for (size_t i = 0; i < samples && (!taken || processor_seconds() - started < BUDGET_SECONDS); i++) {
        struct nw_config c;
        double one = 0;
        enum nw_status s = sweep_point_config(p, points[i * count / samples], &c, err);
        if (s)
            return s;
        if (!(s = nw_source_rewind(source, err)))
            s = sample(&c, source, &one, err);
        nw_config_fini(&c);
        if (s && s != NW_ERR_NOMEM && s != NW_ERR_UNSUPPORTED) /* such a point will fail; the others are asked */
            return s;
        if (!s) {
            sum += one;
            taken++;
        }
    }
    *seconds = taken ? sum / (double)taken * (double)count : 0;
    return NW_OK;
}

void sweep_duration_text(double seconds, char *out, size_t out_size)
{
    static const struct {
        double seconds;
        const char *name;
    } unit[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
    for (size_t i = 0; i < NW_ARRAY_LEN(unit); i++)
        if (seconds >= 2 * unit[i].seconds || (i + 1 == NW_ARRAY_LEN(unit) && seconds >= 1)) {
            double n = seconds / unit[i].seconds;
            snprintf(out, out_size, "about %.0f %s%s", n, unit[i].name, n < 1.5 ? "" : "s");
            return;
        }
    snprintf(out, out_size, "less than a second");
}
