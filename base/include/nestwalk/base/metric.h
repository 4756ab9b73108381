/* metric.h - one table of counters: how plain structs of uint64_t are named, described and compared.
 *
 * A module owns a struct of uint64_t; a table of rows says the JSON path, unit and meaning of each field. JSON, SQLite, CSV,
 * terminal tables and HTML are generated from the visit; the two engines are compared through it. Adding a counter is adding
 * a row and a field.
 *
 * Paths are dot-separated names: "walks.references". A name never contains a dot. */
#ifndef NESTWALK_BASE_METRIC_H
#define NESTWALK_BASE_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nw_metric_type { NW_METRIC_COUNT, NW_METRIC_REAL };

struct nw_metric {
    const char *path; /* valid during the visit only */
    const char *unit; /* "accesses", "cycles", "references", "percent", ... */
    const char *doc;  /* one sentence */
    enum nw_metric_type type;
    bool derived;   /* computed from other metrics (ratios), or about the replay itself: not compared between engines */
    uint64_t count; /* NW_METRIC_COUNT */
    double real;    /* NW_METRIC_REAL */
};

/* Called once a metric, in the fixed order of the tables. */
typedef void (*nw_metric_fn)(void *context, const struct nw_metric *metric);

/* A row for a uint64_t field of a struct. */
struct nw_counter_row {
    const char *path, *unit, *doc;
    size_t offset;
};
#define NW_COUNTER(type, field, path, unit, doc)                                                                       \
    {                                                                                                                  \
        (path), (unit), (doc), offsetof(type, field)                                                                   \
    }

/* Visits `rows` of `base`, each path behind `prefix` ("" or "tlb.l1d."). */
void nw_counters_visit(const struct nw_counter_row *rows, size_t count, const void *base, const char *prefix,
                       nw_metric_fn fn, void *context);

#endif
