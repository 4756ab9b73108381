/* What a program's time with 4 KiB pages is predicted to be, out of its time with 2 MiB pages and two replays. */
#include "measure_internal.h"
#include "program.h"

#include <math.h>
#include <nestwalk/base/addr.h>
#include <nestwalk/sim/programs.h>
#include <nestwalk/traces/nwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROCESSES_MAX = 256, SIZES = 2 };

/* ---- what was measured ---- */

/* The least of a process's samples: what disturbs a run makes it longer. Below 0: none. */
static double least(const struct nw_measurement *m, size_t chase, uint32_t process)
{
    double cycles = -1;
    for (size_t i = 0; i < m->sample_count; i++)
        if (m->sample[i].chase == chase && m->sample[i].process == process &&
            (cycles < 0 || m->sample[i].cycles < cycles))
            cycles = m->sample[i].cycles;
    return cycles;
}

static struct nw_program_range range_of(double *v, size_t n)
{
    const double middle = nw_median(v, n); /* sorts */
    return (struct nw_program_range){ middle, v[0], v[n - 1] };
}

struct timed {
    size_t chase[SIZES];
    double cycles[PROCESSES_MAX][SIZES]; /* below 0: not measured */
};

/* False: with one size of page it was timed in no process. */
static bool take_times(const struct nw_measurement *m, size_t program, struct timed *t, struct nw_program_judged *out)
{
    double cycles[SIZES][PROCESSES_MAX], ratio[PROCESSES_MAX];
    size_t there[SIZES] = { 0 }, n = 0;
    for (size_t i = 0, which; i < m->chase_count; i++)
        if (nw_chase_is_program(&m->chase[i], &which) && which == program && (unsigned)m->chase[i].pages < SIZES) {
            t->chase[m->chase[i].pages] = i;
            there[m->chase[i].pages] = 1;
        }
    for (uint32_t p = 0; p < PROCESSES_MAX; p++) {
        for (unsigned k = 0; k < SIZES; k++)
            t->cycles[p][k] = there[k] && p < m->process_count ? least(m, t->chase[k], p) : -1;
        if (t->cycles[p][0] < 0 || t->cycles[p][1] < 0)
            continue;
        cycles[0][n] = t->cycles[p][0];
        cycles[1][n] = t->cycles[p][1];
        ratio[n++] = t->cycles[p][0] / t->cycles[p][1];
    }
    if (!n)
        return false;
    *out = (struct nw_program_judged){ .program = program,
                                       .processes = (uint32_t)n,
                                       .cycles = { range_of(cycles[0], n), range_of(cycles[1], n) },
                                       .ratio = range_of(ratio, n) };
    return true;
}

/* Of a chase, the median over processes of the least sample of each; 0: not measured. */
static double undisturbed(const struct nw_measurement *m, size_t chase)
{
    double cycles[PROCESSES_MAX];
    size_t n = 0;
    for (uint32_t p = 0; p < m->process_count && n < PROCESSES_MAX; p++)
        if ((cycles[n] = least(m, chase, p)) >= 0)
            n++;
    return n ? nw_median(cycles, n) : 0;
}

static bool is_chained(const struct nw_chase *c) { return !strncmp(c->purpose, "chains ", 7); }

static enum nw_status find_walks_at_once(const struct nw_measurement *m, double *out, struct nw_error *err)
{
    double one = 0, fastest = 0;
    for (size_t i = 0; i < m->chase_count; i++) {
        if (!is_chained(&m->chase[i]) || m->chase[i].spacing_bytes < NW_PAGE_BYTES)
            continue;
        const double cycles = undisturbed(m, i);
        if (cycles <= 0)
            continue;
        if (nw_chase_chains(&m->chase[i]) == 1)
            one = cycles;
        if (fastest <= 0 || cycles < fastest)
            fastest = cycles;
    }
    if (one <= 0)
        return nw_fail(err, NW_ERR_INPUT,
                       "no chase of one and of several chains was measured: how much this machine "
                       "overlaps is not known");
    *out = one / fastest;
    return NW_OK;
}

/* Of the last cache, what is left to a program that asks as often as several chains do: the most lines that were found there. A chase of n lines
 * finds the share of them by which its time lies between the shortest time and that of the longest chase, which finds none. 0: not measured. */
static uint64_t find_last_cache(const struct nw_measurement *m)
{
    double least_cycles = 0, most_cycles = 0, lines = 0;
    uint32_t largest = 0;
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < m->chase_count; i++) {
            const struct nw_chase *c = &m->chase[i];
            const double cycles = undisturbed(m, i);
            if (!is_chained(c) || c->spacing_bytes >= NW_PAGE_BYTES || cycles <= 0)
                continue;
            if (pass) {
                const double found = (most_cycles - cycles) / (most_cycles - least_cycles) * (double)c->count;
                lines = fmax(lines, most_cycles > least_cycles ? found : (double)c->count);
                continue;
            }
            if (least_cycles <= 0 || cycles < least_cycles)
                least_cycles = cycles;
            if (c->count > largest)
                largest = c->count, most_cycles = cycles;
        }
    return (uint64_t)(lines * (1 << NW_LINE_LOG2));
}

/* The machine with that much of its last cache. MODEL: a prime number of sets of 16 ways stands for the hash by which processors choose a set. */
static enum nw_status narrow_last_cache(struct nw_config *c, uint64_t bytes, struct nw_error *err)
{
    enum { WAYS = 16 };
    uint64_t sets = bytes / (WAYS << NW_LINE_LOG2);
    char path[64], value[32];
    if (!bytes || !c->cache_count)
        return NW_OK;
    for (uint64_t d = 2; d * d <= sets; d++)
        if (!(sets % d))
            sets--, d = 1;
    const char *name = c->cache[c->cache_count - 1].name;
    snprintf(value, sizeof value, "%llu", (unsigned long long)(sets * (WAYS << NW_LINE_LOG2)));
    snprintf(path, sizeof path, "memory.%s.size", name);
    enum nw_status s = nw_config_set(c, path, value, "measured by nestwalk validate: chases of several chains", err);
    snprintf(path, sizeof path, "memory.%s.ways", name);
    return s ? s : nw_config_set(c, path, "16", "measured by nestwalk validate: chases of several chains", err);
}

/* ---- replays ---- */

struct addresses {
    uint64_t *address;
    uint8_t *kind;
    struct replay_part part[PROGRAM_WINDOWS];
    uint64_t operations, accesses; /* that count */
};

static void addresses_fini(struct addresses *a)
{
    free(a->address);
    free(a->kind);
}

static enum nw_status addresses_make(const struct program_record *r, struct addresses *out, struct nw_error *err)
{
    *out = (struct addresses){ .address = malloc(r->count * sizeof *out->address), .kind = malloc(r->count) };
    if (!out->address || !out->kind) {
        addresses_fini(out);
        return nw_fail_nomem(err, "a program's accesses");
    }
    for (size_t i = 0; i < r->count; i++)
        out->kind[i] = (uint8_t)(r->access[i] >> 56);
    for (size_t i = 0; i < PROGRAM_WINDOWS; i++) {
        const struct program_window *w = &r->window[i];
        out->part[i] = (struct replay_part){ out->address + w->first, out->kind + w->first, w->counted - w->first,
                                             w->end - w->counted };
        out->operations += w->counted_operations;
        out->accesses += w->end - w->counted;
    }
    return NW_OK;
}

static void place_at(struct addresses *a, const struct program_record *r, uint64_t base)
{
    for (size_t i = 0; i < r->count; i++)
        a->address[i] = base + (r->access[i] & ((UINT64_C(1) << 56) - 1));
}

struct judging {
    const struct nw_measurement *m;
    struct nw_config config;
    const struct nw_program_options *options;
    struct nw_program_judgement *j;
    struct program_record record[NW_PROGRAMS];
    struct addresses addresses[NW_PROGRAMS];
    struct timed timed[NW_PROGRAMS];
    double predicted[NW_PROGRAMS][PROCESSES_MAX];
    size_t predictions[NW_PROGRAMS];
    uint64_t done, total;
};

static enum nw_status keep_going(struct judging *g, struct nw_error *err)
{
    return !g->options->progress || g->options->progress(g->options->context, g->done++, g->total)
               ? NW_OK
               : nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
}

/* Cycles an operation beyond the first cache and TLB, if nothing overlapped. */
static double latency_of(const struct nw_config *c, const struct nw_chase_counts *n, uint64_t operations)
{
    return (nw_chase_cycles(c, n) - n->data_line[0] * (double)c->cache[0].latency_cycles) / (double)operations;
}

static enum nw_status predict(struct judging *g, const struct nw_chase_world *world, uint32_t process, size_t at,
                              struct nw_error *err)
{
    struct nw_program_judged *p = &g->j->program[at];
    struct addresses *a = &g->addresses[at];
    const double *measured = g->timed[at].cycles[process];
    enum nw_status s = NW_OK;
    for (unsigned k = 0; k < SIZES; k++) {
        struct nw_chase_counts counts;
        place_at(a, &g->record[at], g->m->process[process].base[k]);
        if ((s = keep_going(g, err)) ||
            (s = chase_world_replay(world, &g->config, g->timed[at].chase[k], a->part, PROGRAM_WINDOWS, &counts, err)))
            return s;
        p->latency[k] = latency_of(&g->config, &counts, a->operations);
        p->walks[k] = counts.walks / (double)a->operations;
    }
    const double more = p->latency[0] - p->latency[1];
    p->accesses = (double)a->accesses / (double)a->operations;
    p->exposed = fmin(1, fmax(measured[1] / p->latency[1], 1 / g->j->walks_at_once));
    p->all_exposed = 1 + more / measured[1];
    g->predicted[at][g->predictions[at]++] = 1 + p->exposed * more / measured[1];
    return NW_OK;
}

static enum nw_status predict_process(struct judging *g, uint32_t process, struct nw_error *err)
{
    struct nw_chase_world *world = NULL;
    enum nw_status s = nw_chase_world_create(&world, g->m, process, err);
    for (size_t i = 0; i < g->j->count && !s; i++)
        if (g->timed[i].cycles[process][0] >= 0 && g->timed[i].cycles[process][1] >= 0)
            s = predict(g, world, process, i, err);
    nw_chase_world_destroy(world);
    return s;
}

/* ---- the whole ---- */

static enum nw_status prepare(struct judging *g, struct nw_error *err)
{
    enum nw_status s = find_walks_at_once(g->m, &g->j->walks_at_once, err);
    for (size_t program = 0; program < NW_PROGRAMS && !s; program++) {
        const size_t at = g->j->count;
        if (!take_times(g->m, program, &g->timed[at], &g->j->program[at]))
            continue;
        g->j->count++;
        if (!(s = keep_going(g, err)) && !(s = program_record_make(&program_table[program], &g->record[at], err)))
            s = addresses_make(&g->record[at], &g->addresses[at], err);
    }
    return s || g->j->count ? s : nw_fail(err, NW_ERR_INPUT, "no program was timed with both 4 KiB and 2 MiB pages");
}

static void conclude(struct judging *g)
{
    struct nw_program_judgement *j = g->j;
    for (size_t i = 0; i < j->count; i++) {
        struct nw_program_judged *p = &j->program[i];
        if (!g->predictions[i])
            continue;
        p->predicted = range_of(g->predicted[i], g->predictions[i]);
        p->error_percent = 100 * (p->predicted.middle / p->ratio.middle - 1);
        p->without_error_percent = 100 * (1 / p->ratio.middle - 1);
        p->within = fabs(p->error_percent) <= NW_PROGRAM_WITHIN_PERCENT;
        j->within += p->within;
    }
    j->holds = j->within >= NW_PROGRAMS_WITHIN;
}

enum nw_status nw_programs_judge(const struct nw_measurement *m, const struct nw_config *config,
                                 const struct nw_program_options *options, struct nw_program_judgement *out,
                                 struct nw_error *err)
{
    struct judging *g = calloc(1, sizeof *g);
    *out = (struct nw_program_judgement){ 0 };
    if (!g)
        return nw_fail_nomem(err, "the judging of programs");
    const uint32_t processes = (uint32_t)(m->process_count < PROCESSES_MAX ? m->process_count : PROCESSES_MAX);
    *g = (struct judging){ .m = m, .options = options, .j = out };
    out->predicted_processes = options->predicted && options->predicted < processes ? options->predicted : processes;
    g->total = NW_PROGRAMS + (uint64_t)NW_PROGRAMS * SIZES * out->predicted_processes;
    out->last_cache_bytes = find_last_cache(m);
    enum nw_status s = nw_config_copy(&g->config, config, err);
    if (!s)
        s = narrow_last_cache(&g->config, out->last_cache_bytes, err);
    if (!s)
        s = prepare(g, err);
    for (uint32_t p = 0; p < out->predicted_processes && !s; p++)
        s = predict_process(g, p, err);
    if (!s)
        conclude(g);
    for (size_t i = 0; i < NW_PROGRAMS; i++) {
        addresses_fini(&g->addresses[i]);
        program_record_fini(&g->record[i]);
    }
    nw_config_fini(&g->config);
    free(g);
    return s;
}

/* ---- the trace ---- */

static enum nw_status write_part(struct nw_nwt_writer *w, const struct addresses *a, size_t first, size_t end,
                                 uint64_t phase, struct nw_error *err)
{
    const struct nw_event e = { .kind = NW_EV_MARKER, .arg = { NW_MARKER_PHASE, phase } };
    enum nw_status s = nw_nwt_write_event(w, &e, err);
    for (size_t i = first; i < end && !s; i++)
        s = nw_nwt_write_access(w, a->address[i], a->kind[i], err);
    return s;
}

static enum nw_status write_trace(struct nw_nwt_writer *w, const struct addresses *a, const struct program_record *r,
                                  struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (size_t i = 0; i < PROGRAM_WINDOWS && !s; i++)
        if (!(s = write_part(w, a, r->window[i].first, r->window[i].counted, 2 * i, err)))
            s = write_part(w, a, r->window[i].counted, r->window[i].end, 2 * i + 1, err);
    return s;
}

static enum nw_status save(const struct nw_chase_world *world, const struct nw_chase *c, size_t chase,
                           const struct addresses *a, const struct program_record *r, const char *path,
                           struct nw_error *err)
{
    struct nw_nwt_writer *w;
    struct nw_trace_info info = *chase_world_info(world, chase); /* its tables stay the world's */
    snprintf(info.origin, sizeof info.origin, "validate programs");
    snprintf(info.workload, sizeof info.workload, "%s pages=%s", c->purpose + sizeof "program",
             nw_chase_pages_name[c->pages]);
    enum nw_status s = nw_nwt_writer_create(&w, path, &info, err);
    if (s)
        return s;
    if ((s = write_trace(w, a, r, err))) {
        nw_nwt_writer_abandon(w);
        return s;
    }
    return nw_nwt_writer_close(w, err);
}

enum nw_status nw_program_trace_save(const struct nw_chase_world *world, const struct nw_measurement *m,
                                     uint32_t process, size_t chase, const char *path, struct nw_error *err)
{
    size_t program;
    struct program_record r;
    struct addresses a;
    const struct nw_chase *c = &m->chase[chase];
    if (!nw_chase_is_program(c, &program))
        return nw_fail(err, NW_ERR_USAGE, "chase %zu is no program", chase);
    enum nw_status s = program_record_make(&program_table[program], &r, err);
    if (s)
        return s;
    if (!(s = addresses_make(&r, &a, err))) {
        place_at(&a, &r, m->process[process].base[c->pages]);
        s = save(world, c, chase, &a, &r, path, err);
        addresses_fini(&a);
    }
    program_record_fini(&r);
    return s;
}
