/* Parts of a program's run, as accesses. */
#include "program.h"

#include <stdlib.h>

/* Where the nth window begins, in operations: windows share the run evenly. */
static uint64_t window_start(const struct program_arena *a, size_t n)
{
    return a->operations * (2 * n + 1) / (2 * PROGRAM_WINDOWS + 1);
}

static size_t warm_accesses(size_t window)
{
    return window ? PROGRAM_LATER_WARM_ACCESSES : PROGRAM_FIRST_WARM_ACCESSES;
}

/* Windows begin and end with a step, so that what is counted is whole operations. */
static void tick(struct program_arena *a)
{
    struct program_record *r = a->recorded;
    r->operations += a->step;
    if (r->now == PROGRAM_WINDOWS)
        return;
    struct program_window *w = &r->window[r->now];
    if (!r->on && r->operations >= window_start(a, r->now)) {
        r->on = true;
        *w = (struct program_window){ .first = r->count };
    } else if (r->on && !w->counted && r->count - w->first >= warm_accesses(r->now)) {
        w->counted = r->count;
    } else if (r->on && w->counted) {
        w->counted_operations += a->step;
        if (r->count - w->counted >= PROGRAM_COUNTED_ACCESSES) {
            w->end = r->count;
            r->on = false;
            r->now++;
        }
    }
}

enum nw_status program_record_make(const struct program *p, struct program_record *out, struct nw_error *err)
{
    /* A step more at each border. */
    enum { SLACK = 128 << 10 };
    struct program_arena a;
    uint8_t *memory = malloc(p->bytes);
    *out = (struct program_record){ .room = PROGRAM_WINDOWS * (size_t)(PROGRAM_FIRST_WARM_ACCESSES +
                                                                       PROGRAM_COUNTED_ACCESSES + 3 * SLACK) };
    out->access = malloc(out->room * sizeof *out->access);
    if (!memory || !out->access) {
        free(memory);
        program_record_fini(out);
        return nw_fail_nomem(err, "a program's data and accesses");
    }
    program_start(p, memory, &a);
    a.tick = tick;
    a.recorded = out;
    out->checksum = p->recorded(&a);
    free(memory);
    if (out->now == PROGRAM_WINDOWS && out->count < out->room)
        return NW_OK;
    program_record_fini(out);
    return nw_fail(err, NW_ERR_INTERNAL, "program %s: its windows do not fit into its run", p->name);
}

void program_record_fini(struct program_record *r)
{
    free(r->access);
    *r = (struct program_record){ 0 };
}
