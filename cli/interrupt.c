/* interrupt.c - signals as a flag that commands look at, and what became of stdout. */
#include "internal.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

static volatile sig_atomic_t interrupted, pipe_broken;
static bool output_lost;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
    /* The user who asks twice does not want to wait for a clean end. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static void on_broken_pipe(int signal_number)
{
    (void)signal_number;
    pipe_broken = 1;
}

/* Whoever started us with the signal ignored (nohup, a background job of a script) wants it ignored. */
static void install(int signal_number, void (*handler)(int))
{
    struct sigaction before;
    if (!sigaction(signal_number, NULL, &before) && before.sa_handler == SIG_IGN)
        return;
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

void nw_cli_catch_interrupts(void)
{
    install(SIGINT, on_interrupt);
    install(SIGTERM, on_interrupt);
}

void nw_cli_catch_broken_pipe(void) { install(SIGPIPE, on_broken_pipe); }

bool nw_cli_interrupted(void) { return interrupted || pipe_broken; }

void nw_cli_output_lost(const char *what)
{
    fprintf(stderr, "nestwalk: out of memory for %s\n", what);
    output_lost = true;
}

bool nw_cli_output_finish(void)
{
    errno = 0;
    bool failed = fflush(stdout) || ferror(stdout);
    int reason = errno;
    /* Some file systems report a full disk only on closing. A stdout that was closed before we started is nobody's loss
     * when nothing was written to it. */
    if (fclose(stdout) && errno != EBADF && !failed) {
        failed = true;
        reason = errno;
    }
    if (failed && !pipe_broken)
        fprintf(stderr, "nestwalk: the output is incomplete: writing to stdout failed%s%s\n", reason ? ": " : "",
                reason ? strerror(reason) : "");
    return !failed && !output_lost;
}
