/* fixture.h - runs and walks made by hand, so that what reports do with them can be checked to the byte. */
#ifndef NESTWALK_TESTS_REPORTS_FIXTURE_H
#define NESTWALK_TESTS_REPORTS_FIXTURE_H

// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/run.h>
#include <nestwalk/sim/explain.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A directory of one's own, removed by the shell's rules of /tmp at the latest; tests remove what they make in it. */
static inline const char *fixture_path(const char *name)
{
    static char directory[64], path[8][160];
    static unsigned next;
    if (!directory[0]) {
        snprintf(directory, sizeof directory, "%s", "/tmp/nestwalk-reports-XXXXXX");
        if (!mkdtemp(directory))
            directory[0] = 0;
    }
    char *out = path[next++ % 8];
    snprintf(out, sizeof path[0], "%s/%s", directory, name);
    return out;
}

static inline void fixture_metric(struct nw_run *run, const char *path, const char *unit, uint64_t count)
{
    run->metric = realloc(run->metric, (run->metric_count + 1) * sizeof *run->metric);
    run->metric[run->metric_count++] = (struct nw_run_metric){
        .path = strdup(path), .unit = strdup(unit), .doc = strdup("a <count> & more"), .count = count
    };
}

static inline void fixture_ratio(struct nw_run *run, const char *path, const char *unit, double value)
{
    fixture_metric(run, path, unit, 0);
    struct nw_run_metric *m = run->metric + run->metric_count - 1;
    m->type = NW_METRIC_REAL;
    m->derived = true;
    m->real = value;
}

static inline void fixture_parameter(struct nw_run *run, const char *path, const char *value, const char *unit,
                                     const char *source)
{
    run->parameter = realloc(run->parameter, (run->parameter_count + 1) * sizeof *run->parameter);
    run->parameter[run->parameter_count++] = (struct nw_run_parameter){
        .path = strdup(path), .value = strdup(value), .unit = strdup(unit), .source = strdup(source)
    };
}

/* A small run in the shape of a real one; `nested` chooses between two that differ. */
static inline struct nw_run fixture_run(bool nested)
{
    struct nw_run r = { .seed = 42, .seconds = 0.25, .accesses_per_second = 4000000 };
    strcpy(r.version, "1.2.3");
    strcpy(r.scenario, "four-ways");
    strcpy(r.label, nested ? "EPT" : "bare metal");
    strcpy(r.mode, nested ? "nested" : "native");
    strcpy(r.machine, "textbook");
    strcpy(r.trace, "btree.nwt");
    strcpy(r.trace_sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    strcpy(r.engine, "fast");
    strcpy(r.fidelity, "walk");
    fixture_metric(&r, "accesses.total", "accesses", 1000000);
    fixture_metric(&r, "accesses.load", "accesses", 1000000);
    fixture_metric(&r, "tlb.l1d.hits", "accesses", 900000);
    fixture_metric(&r, "tlb.l1d.misses", "accesses", 100000);
    fixture_metric(&r, "tlb.l2.hits", "accesses", 60000);
    fixture_metric(&r, "tlb.l2.misses", "accesses", 40000);
    fixture_metric(&r, "walks.count", "walks", 40000);
    fixture_metric(&r, "walks.references", "references", nested ? 960000 : 160000);
    fixture_metric(&r, "walks.references_guest", "references", 160000);
    fixture_metric(&r, "walks.references_nested", "references", nested ? 800000 : 0);
    fixture_metric(&r, "walks.cycles", "cycles", nested ? 9600000 : 1600000);
    fixture_ratio(&r, "walks.references_per_walk", "references", nested ? 24 : 4);
    fixture_metric(&r, "faults.ept_violations", "faults", nested ? 12 : 0);
    if (nested) {
        fixture_metric(&r, "exits.ept_violation.count", "exits", 12);
        fixture_metric(&r, "exits.ept_violation.cycles", "cycles", 144000);
    }
    fixture_metric(&r, "cycles.base", "cycles", 4000000);
    fixture_metric(&r, "cycles.translation", "cycles", nested ? 9600000 : 1600000);
    fixture_metric(&r, "cycles.exits", "cycles", nested ? 144000 : 0);
    fixture_metric(&r, "cycles.total", "cycles", nested ? 13744000 : 5600000);
    fixture_ratio(&r, "overhead_percent", "percent", nested ? 243.6 : 40);
    r.bucket = calloc(3, sizeof *r.bucket);
    r.bucket_count = 3;
    r.bucket[0] = (struct nw_run_bucket){ 40, nested ? 0 : 39000 };
    r.bucket[1] = (struct nw_run_bucket){ 300, nested ? 38000 : 1000 };
    r.bucket[2] = (struct nw_run_bucket){ UINT64_MAX, nested ? 2000 : 0 };
    fixture_parameter(&r, "tlb.l2.entries", "1536", "entries", "default");
    fixture_parameter(&r, "walker.overlap", "1", "", "--set");
    fixture_parameter(&r, "machine.name", "textbook", "", "a \"quoted\", <b>odd</b> source");
    return r;
}

/* The walk of a 4-level guest over a 4-level second stage, one paging-structure cache hit included when `skipping`. */
static inline struct nw_explanation fixture_walk(bool nested, bool skipping)
{
    static const char *const guest_table[] = { "PT", "PD", "PDPT", "PML4" }, *const nested_table[] = { "EPT1", "EPT2",
                                                                                                       "EPT3", "EPT4" };
    struct nw_explanation x = { .gva = 0x7f0000001234, .gpa = 0x5234, .hpa = 0x9234, .page_bytes = 4096 };
    strcpy(x.outcome, "ok");
    x.reference = calloc(24, sizeof *x.reference);
    for (int column = 3; column >= -1; column--)
        for (int level = nested ? 3 : -1; level >= -1; level--) {
            if (level < 0 && column < 0)
                break;
            struct nw_explained_reference *r = x.reference + x.reference_count++;
            r->n = x.reference_count;
            r->nested = level >= 0;
            r->level = (unsigned)(r->nested ? level : column);
            r->for_guest_level = column;
            r->address = 0x10000u + 0x1000u * r->level + 8 * r->n;
            r->guest_address = 0x2000u + 8 * r->n;
            r->entry = NW_BIT(63) | 0x1234067;
            strcpy(r->table, r->nested ? nested_table[level] : guest_table[column]);
            strcpy(r->decoded, "present writable user accessed dirty no-execute frame 0x1234");
            if (skipping && column == 3) {
                strcpy(r->skipped_by, "psc.guest_pdpte");
                continue;
            }
            strcpy(r->found_in, level == 0 ? "dram" : "l2");
            r->cycles = level == 0 ? 250 : 14;
            x.references++;
            x.references_guest += !r->nested;
            x.references_nested += r->nested;
            x.cycles += r->cycles;
        }
    return x;
}

/* A table on each of three levels, then three pages side by side and one apart. */
static inline struct nw_tree fixture_tree(void)
{
    static const struct nw_tree_node node[] = {
        { 0, 3, false, 0x1000, 0x2003, 0, 1ull << 39 }, { 0, 2, false, 0x2000, 0x3003, 0, 1ull << 30 },
        { 1, 1, false, 0x3000, 0x4003, 0, 1ull << 21 }, { 2, 0, true, 0x4000, 0x9003, 0, 4096 },
        { 2, 0, true, 0x4008, 0xa003, 0x1000, 4096 },   { 2, 0, true, 0x4010, 0xb003, 0x2000, 4096 },
        { 2, 0, true, 0x4050, 0xc003, 0xa000, 4096 },
    };
    struct nw_tree t = { .node_count = NW_ARRAY_LEN(node), .levels = 4, .node = malloc(sizeof node) };
    memcpy(t.node, node, sizeof node);
    return t;
}

#endif
