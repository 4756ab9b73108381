#include "internal.h"
#include <string.h>

enum { SUGGEST_LENGTH_MAX = 63 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Optimal string alignment distance, three rows at a time. */
size_t nw_cli_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    if (la > SUGGEST_LENGTH_MAX || lb > SUGGEST_LENGTH_MAX)
        return la > lb ? la : lb;
    size_t rows[3][SUGGEST_LENGTH_MAX + 1];
    size_t *before = rows[0], *previous = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        previous[j] = j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t replaced = previous[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(replaced, 1 + least(previous[j], row[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = previous;
        previous = row;
        row = oldest;
    }
    return previous[lb];
}

void nw_cli_suggest_init(struct nw_cli_suggestion *s, const char *wanted)
{
    /* One slip in three letters is a typing error; more is another word. */
    *s = (struct nw_cli_suggestion){ .wanted = wanted, .distance = 1 + (strlen(wanted) + 2) / 3 };
}

void nw_cli_suggest_offer(struct nw_cli_suggestion *s, const char *candidate)
{
    size_t d = nw_cli_distance(s->wanted, candidate);
    /* An unfinished word ("--fidel") is as good as one slip. */
    size_t length = strlen(s->wanted);
    if (length >= 3 && !strncmp(s->wanted, candidate, length))
        d = least(d, 1);
    if (d < s->distance) {
        s->distance = d;
        s->best = candidate;
    }
}
