/* progress.c - one line on the terminal's stderr, redrawn at most ten times a second. */
#include "internal.h"
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static struct nw_cli_progress *shown; /* whose line stands on the terminal */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

unsigned nw_cli_columns(FILE *stream, unsigned most, unsigned otherwise)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) || size.ws_col < 20)
        return otherwise;
    return size.ws_col < most ? size.ws_col : most;
}

void nw_cli_progress_clear(void)
{
    if (shown)
        fputs("\r\033[K", stderr);
    shown = NULL;
}

void nw_cli_progress_start(struct nw_cli_progress *p, const char *label, const char *unit)
{
    *p = (struct nw_cli_progress){ .label = label, .unit = unit, .started_seconds = now() };
    p->shown_seconds = p->started_seconds;
    p->active = isatty(fileno(stderr)) == 1;
}

/* "12.1 M": three figures are as many as a moving number can be read. */
static void scaled(char *out, size_t size, double value)
{
    static const char *const prefix[] = { "", " k", " M", " G", " T" };
    size_t i = 0;
    for (; value >= 999.5 && i + 1 < NW_ARRAY_LEN(prefix); i++)
        value /= 1000;
    int decimals = i == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(out, size, "%.*f%s", decimals, value, prefix[i]);
}

static void remaining(char *out, size_t size, double seconds)
{
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
}

static void bar(char *out, double fraction)
{
    enum { CELLS = 20 };
    unsigned full = (unsigned)(fraction * CELLS);
    memset(out, '-', CELLS);
    memset(out, '#', full > CELLS ? CELLS : full);
    out[CELLS] = 0;
}

void nw_cli_progress_update(struct nw_cli_progress *p, uint64_t done, uint64_t total)
{
    if (!p->active)
        return;
    double t = now();
    if (t - p->shown_seconds < 0.1)
        return;
    p->shown_seconds = t;
    double rate = (double)done / (t - p->started_seconds);
    char count[32], speed[32], line[256];
    scaled(count, sizeof count, (double)done);
    scaled(speed, sizeof speed, rate);
    if (total) {
        char cells[32], left[32] = "-:--";
        double fraction = done >= total ? 1 : (double)done / (double)total;
        bar(cells, fraction);
        if (rate > 0)
            remaining(left, sizeof left, done >= total ? 0 : (double)(total - done) / rate);
        snprintf(line, sizeof line, "%s [%s] %3.0f%% %s %s  %s/s  ETA %s", p->label, cells, 100 * fraction, count,
                 p->unit, speed, left);
    } else {
        snprintf(line, sizeof line, "%s %s %s  %s/s", p->label, count, p->unit, speed);
    }
    int room = (int)nw_cli_columns(stderr, 200, 80) - 1; /* the last column would wrap */
    fprintf(stderr, "\r%.*s\033[K", room, line);
    fflush(stderr);
    shown = p;
}

bool nw_cli_progress_step(void *progress, uint64_t done, uint64_t total)
{
    nw_cli_progress_update(progress, done, total);
    return !nw_cli_interrupted();
}

void nw_cli_progress_finish(struct nw_cli_progress *p)
{
    if (shown == p)
        nw_cli_progress_clear();
    p->active = false;
}
