/* align.h - puts KVM's page walks beside the stepped trace of the same guest.
 *
 * Both runs start from the same memory and registers, and the guest depends on nothing else, so they make the same accesses in
 * the same order. The aligner is a sink in front of another: before each access it passes on the walks that KVM made for it, as
 * NW_EV_GUEST_WALK. It guesses nothing: an access without a walk, or a walk without an access, is right only in the few ways
 * listed in align.c; otherwise the two runs differ, and that is an error. */
#ifndef NESTWALK_CAPTURE_ALIGN_H
#define NESTWALK_CAPTURE_ALIGN_H

#include "recorder.h"
#include "walks.h"

struct walk_aligner {
    struct sink sink; /* to be recorded into */
    struct sink *to;
    const struct walk_log *log;
    struct nw_capture_result *count;
    size_t next;        /* walk */
    uint64_t fetch_gva; /* of the instruction being made */
    uint64_t load_end;  /* one past the last load; 0 when the last access was none */
    bool exhausted;     /* no walk is left: the trace ends here */
};

void walk_aligner_init(struct walk_aligner *a, const struct walk_log *log, struct sink *to,
                       struct nw_capture_result *count);

#endif
