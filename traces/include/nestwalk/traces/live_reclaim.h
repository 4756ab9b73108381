/* live_reclaim.h - a guest of ours whose memory the host takes away page by page: how many of the pages come back, by the kernel's own count.
 *
 *     struct nw_reclaim_program p;                                        // sim/reclaim_programs.h makes some
 *     struct nw_live_reclaim_host host;
 *     if ((s = nw_live_reclaim_open(&host, NW_RECLAIM_ANY, ".", err))) ... // how memory can be taken here; what cannot be done is in host.note
 *     struct nw_live_reclaim_step *step = calloc(p.steps, sizeof *step);
 *     uint64_t *taken = calloc(p.steps * nw_reclaim_words(&p), 8);
 *     s = nw_live_reclaim_run(&host, &p, &options, step, taken, err);
 *     s = nw_live_reclaim_close(&host, err);                              // the host is as it was
 *
 * A page is taken with madvise(MADV_PAGEOUT) on the guest's memory in this process. Whether it went is looked up (pagemap, mincore), so that a page that
 * the kernel would not give up does not count as taken.
 *
 * Ways:
 *   NW_RECLAIM_ZRAM       anonymous memory, swapped to a zram device made for the purpose (root)
 *   NW_RECLAIM_SWAP       anonymous memory, swapped to what the host swaps to anyway
 *   NW_RECLAIM_SWAP_FILE  anonymous memory, swapped to a file made for the purpose (root)
 *   NW_RECLAIM_FILE       the guest's memory is a shared mapping of an unlinked file on a disk: clean pages leave the page cache
 *
 * Swap areas are made, and taken down again, by a child process that outlives this one: it does so as well after Ctrl-C and after SIGKILL. */
#ifndef NESTWALK_TRACES_LIVE_RECLAIM_H
#define NESTWALK_TRACES_LIVE_RECLAIM_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- programs ---- */
enum { NW_RECLAIM_PAGES_MAX = 4096, NW_RECLAIM_TOUCHES_MAX = 32768, NW_RECLAIM_STEPS_MAX = 1024 };

struct nw_reclaim_touch {
    uint32_t page;
    bool write;
};
/* The guest makes the touches up to `touches_end`; then the host takes the victims up to `victims_end`. */
struct nw_reclaim_step {
    size_t touches_end, victims_end;
};
struct nw_reclaim_program {
    char name[32];
    const char *doc;                /* one sentence */
    uint32_t pages;                 /* 4 KiB each, all of them there at the start */
    struct nw_reclaim_touch *touch; /* owned, as are the others */
    uint32_t *victim;               /* each at most once a step */
    struct nw_reclaim_step *step;
    size_t touches, victims, steps;
};
static inline size_t nw_reclaim_words(const struct nw_reclaim_program *p) { return (p->pages + 63) / 64; }
/* NW_ERR_INPUT: it is larger than the constants above, a page is not below `pages`, steps do not ascend. */
enum nw_status nw_reclaim_check(const struct nw_reclaim_program *p, struct nw_error *err) NW_MUST_USE;

/* ---- the host ---- */
enum nw_reclaim_way {
    NW_RECLAIM_ANY,
    NW_RECLAIM_ZRAM,
    NW_RECLAIM_SWAP,
    NW_RECLAIM_SWAP_FILE,
    NW_RECLAIM_FILE,
    NW_RECLAIM_WAYS
};
extern const char *const nw_reclaim_way_name[NW_RECLAIM_WAYS]; /* "any", "zram", "swap", "swap-file", "file" */

enum { NW_RECLAIM_NOTES = 8, NW_RECLAIM_NOTE_BYTES = 256 };
struct nw_live_reclaim_host {
    enum nw_reclaim_way way;
    char means[NW_RECLAIM_NOTE_BYTES]; /* "zram device zram1, 64 MiB" */
    char backend[16], release[128];    /* of KVM; of the kernel */
    /* What the kernel does not allow, one line each. */
    char note[NW_RECLAIM_NOTES][NW_RECLAIM_NOTE_BYTES];
    unsigned notes;
    int file;         /* NW_RECLAIM_FILE */
    int keeper, told; /* the child's pipes; -1: no child */
    int64_t keeper_pid;
};

/* `directory` is where NW_RECLAIM_SWAP_FILE and NW_RECLAIM_FILE have their files. NW_ERR_UNSUPPORTED: no KVM, or no way to take memory here, with the reasons. */
enum nw_status nw_live_reclaim_open(struct nw_live_reclaim_host *host, enum nw_reclaim_way way, const char *directory,
                                    struct nw_error *err) NW_MUST_USE;
/* NW_ERR_ENV: what was made could not be taken down, and what is left. */
enum nw_status nw_live_reclaim_close(struct nw_live_reclaim_host *host, struct nw_error *err) NW_MUST_USE;

/* ---- a run ---- */
struct nw_live_reclaim_options {
    double timeout_seconds;            /* a step's; 0: 30 */
    bool (*keep_going)(void *context); /* asked about ten times a second; NULL allowed */
    void *context;
};
struct nw_live_reclaim_step {
    uint32_t returned;     /* pages that had been taken, and are there again at the step's end */
    uint32_t astray;       /* pages that are gone though nobody took them: the host was short of memory itself */
    uint64_t major, minor; /* faults of the thread while it was in KVM (getrusage) */
    uint32_t asked, taken; /* victims at the step's end, and those that went */
};
/* One run in a fresh virtual machine. `step` has p->steps elements; `taken` p->steps times nw_reclaim_words(p) words, zeroed: a bit for each page that was taken after that step.
 * NW_ERR_INPUT as nw_reclaim_check(); NW_ERR_ENV; NW_ERR_INTERRUPTED. */
enum nw_status nw_live_reclaim_run(const struct nw_live_reclaim_host *host, const struct nw_reclaim_program *p,
                                   const struct nw_live_reclaim_options *options, struct nw_live_reclaim_step *step,
                                   uint64_t *taken, struct nw_error *err) NW_MUST_USE;

#endif
