#include "nearest.h"
#include <string.h>

enum { LENGTH_MAX = 63 };

static size_t edit_distance(const char *a, const char *b)
{
    size_t row[LENGTH_MAX + 1], n = strlen(b);
    if (n > LENGTH_MAX)
        return (size_t)-1;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < other ? replace : other;
        }
    }
    return row[n];
}

const char *nw_nearest_name(const char *name, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 2 + 1; /* half of it wrong is another word, not a slip */
    for (size_t i = 0; i < count; i++) {
        size_t d = strlen(name) >= 3 && strstr(candidates[i], name) ? 0 : edit_distance(name, candidates[i]);
        if (d < best_distance) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
