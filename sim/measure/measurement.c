/* Samples, and what they say of a chase. */
#include "measure_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void nw_measurement_fini(struct nw_measurement *m)
{
    free(m->chase);
    free(m->process);
    free(m->sample);
    free(m->frames);
    free(m->mapping);
    *m = (struct nw_measurement){ 0 };
}

void nw_measurement_note(struct nw_measurement *m, const char *format, ...)
{
    char text[NW_MEASURE_NOTE];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    for (size_t i = 0; i < m->note_count; i++)
        if (!strcmp(m->note[i], text))
            return;
    if (m->note_count < NW_MEASURE_NOTES)
        memcpy(m->note[m->note_count++], text, sizeof text);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double nw_median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double least(const double *v, size_t n)
{
    double x = v[0];
    for (size_t i = 1; i < n; i++)
        x = v[i] < x ? v[i] : x;
    return x;
}

enum { REPEATS_MAX = 64, PROCESSES_MAX = 256 };

uint32_t nw_measure_part_size(const struct nw_measurement *m, enum nw_measure_part part)
{
    const uint32_t processes = (uint32_t)m->process_count;
    return part == NW_PART_FIT ? processes - processes / 2 : processes / 2;
}

/* Values of one chase over a part's processes, each process's reduced to one; returns how many processes have any. `counted`: a quantity, or
 * NW_COUNTED for the cycles. */
static size_t by_process(const struct nw_measurement *m, size_t chase, enum nw_measure_part part, unsigned counted,
                         double out[PROCESSES_MAX])
{
    size_t processes = 0;
    for (uint32_t p = 0; p < m->process_count && processes < PROCESSES_MAX; p++) {
        double v[REPEATS_MAX];
        size_t n = 0;
        if (nw_measure_part_of(p) != part)
            continue;
        for (size_t i = 0; i < m->sample_count && n < REPEATS_MAX; i++) {
            const struct nw_chase_sample *s = &m->sample[i];
            if (s->chase == chase && s->process == p && (counted == NW_COUNTED || s->counted[counted] >= 0))
                v[n++] = counted == NW_COUNTED ? s->cycles : s->counted[counted];
        }
        if (n)
            out[processes++] = counted == NW_COUNTED ? least(v, n) : nw_median(v, n);
    }
    return processes;
}

static bool any_counted(const struct nw_measurement *m, unsigned quantity)
{
    for (size_t i = 0; i < m->sample_count; i++)
        if (m->sample[i].counted[quantity] >= 0)
            return true;
    return false;
}

struct nw_chase_figure nw_chase_figure(const struct nw_measurement *m, size_t chase, enum nw_measure_part part)
{
    double v[PROCESSES_MAX];
    struct nw_chase_figure f = { 0 };
    for (unsigned q = 0; q < NW_COUNTED; q++) {
        const size_t n = any_counted(m, q) ? by_process(m, chase, part, q, v) : 0;
        f.counted[q] = n ? nw_median(v, n) : -1;
    }
    const size_t processes = by_process(m, chase, part, NW_COUNTED, v);
    if (!processes)
        return f;
    f.cycles = nw_median(v, processes); /* sorts */
    f.low = v[0];
    f.high = v[processes - 1];
    f.processes = (uint32_t)processes;
    return f;
}

struct nw_splinter_map nw_splinter_map(const struct nw_measurement *m)
{
    enum { FEW_PAGES = 64 };        /* fit any first-level TLB */
    static const double more = 1.4; /* a first-level miss costs 7 cycles and more, on 4 or 5 */
    struct nw_splinter_map map = { 0, 0 };
    double few = 0;
    for (size_t i = 0; i < m->sample_count; i++) {
        const struct nw_chase *c = &m->chase[m->sample[i].chase];
        if (c->pages == NW_CHASE_4K && c->count < FEW_PAGES && c->group == 1 && c->spacing_bytes == 4096 &&
            (few <= 0 || m->sample[i].cycles < few))
            few = m->sample[i].cycles;
    }
    for (size_t i = 0; i < m->mapping_count && few > 0; i++) {
        map.mappings++;
        map.splintered += m->mapping[i].cycles > more * few;
    }
    return map;
}
