/* measure_internal.h - what the files of the measurement share. */
#ifndef NESTWALK_MEASURE_INTERNAL_H
#define NESTWALK_MEASURE_INTERNAL_H

#include <nestwalk/base/bits.h>
#include <nestwalk/sim/calibrate.h>
#include <nestwalk/sim/counters.h>
#include <nestwalk/sim/measure.h>
#include <nestwalk/traces/block.h>

/* Bytes from the start of its region to behind the last element. */
uint64_t chase_span(const struct nw_chase *c);
/* Bytes of memory that its pages take. */
uint64_t chase_memory(const struct nw_chase *c);

/* ---- clock.c ---- */
static inline uint64_t tsc_now(void)
{
#if defined(__x86_64__)
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
#else
    return 0;
#endif
}
double clock_core_per_tsc(void); /* core cycles that pass while the time-stamp counter counts one */
double clock_tsc_ghz(void);

/* ---- region.c: the memory of one process for chases over one size of page ---- */
struct region {
    uint8_t *base; /* NULL: there are no such pages here */
    uint64_t bytes;
    void *whole; /* what was mapped, for giving it back */
    uint64_t whole_bytes;
};
/* False: not here; `why` (NW_MEASURE_NOTE bytes) says why. `bytes` is how much will be used from the start. */
bool region_make(struct region *r, enum nw_chase_pages pages, uint64_t bytes, char *why);
void region_free(struct region *r);

/* Frame numbers of the pages of [base, base + bytes) that are there, as runs; returns how many runs, at most `room`. *known false: pagemap tells
 * nothing to this user. */
size_t region_frames(const struct region *r, enum nw_chase_pages pages, struct nw_frame_run *out, size_t room,
                     bool *known);

/* ---- table_frames.c: which frames of the whole machine are page tables, by /proc/kpageflags ---- */
enum { TABLE_FRAMES_MAX = 1 << 15 }; /* of one process that are kept */
struct table_frames;
struct table_frames *table_frames_look(void); /* NULL: it cannot be read */
/* Those that became tables since then, upwards, as runs of NW_FRAMES_TABLES; at most `room`. Gives `before` back. */
size_t table_frames_since(struct table_frames *before, struct nw_frame_run *out, size_t room);

/* ---- chase.c ---- */
struct chase_run {
    double chunk_ms, core_per_tsc, tsc_ghz;
    const struct nw_counters *counters; /* NULL: none */
    bool *counters_shared;              /* set when a chunk is not in a count, as others had the counters */
};
/* No count of anything, until there is one. */
void sample_uncounted(struct nw_chase_sample *s);
/* Links the elements and times them. The sample's identity is the caller's. */
void chase_time(const struct nw_chase *c, uint8_t *base, const uint64_t *offset, const uint32_t *next,
                const struct chase_run *how, struct nw_chase_sample *out);

/* ---- program_time.c ---- */
enum { CHAINS_MAX = 12 }; /* as many registers are left for them */
/* Builds the data of a program of programs.h at `base`, and times its run. */
void program_time(size_t program, uint8_t *base, const struct chase_run *how, struct nw_chase_sample *out);
/* As chase_time(), with n chains that begin at equal distances of the cycle: 1, 2, 4, 8 or 12. */
void chains_time(const struct nw_chase *c, unsigned n, uint8_t *base, const uint64_t *offset, const uint32_t *next,
                 const struct chase_run *how, struct nw_chase_sample *out);

/* ---- predict.c ---- */
struct replay_part {
    const uint64_t *address;
    const uint8_t *kind;
    size_t warm, counted; /* accesses, one behind the other */
};
/* Replays parts over the tables of a chase; *counts: of all counted accesses together, not of each. */
enum nw_status chase_world_replay(const struct nw_chase_world *w, const struct nw_config *config, size_t chase,
                                  const struct replay_part *part, size_t parts, struct nw_chase_counts *counts,
                                  struct nw_error *err) NW_MUST_USE;
const struct nw_trace_info *chase_world_info(const struct nw_chase_world *w, size_t chase);

#endif
