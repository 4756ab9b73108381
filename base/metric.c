#include <nestwalk/base/metric.h>
#include <stdio.h>
#include <string.h>

void nw_counters_visit(const struct nw_counter_row *rows, size_t count, const void *base, const char *prefix,
                       nw_metric_fn fn, void *context)
{
    char path[160];
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s%s", prefix, rows[i].path);
        struct nw_metric m = { .path = path, .unit = rows[i].unit, .doc = rows[i].doc, .type = NW_METRIC_COUNT };
        memcpy(&m.count, (const char *)base + rows[i].offset, sizeof m.count);
        fn(context, &m);
    }
}
