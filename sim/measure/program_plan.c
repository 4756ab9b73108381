/* What is measured for the programs, and what a measurement's chases are. */
#include "measure_internal.h"
#include "program.h"

#include <nestwalk/base/addr.h>
#include <nestwalk/sim/programs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    unsigned chains;
    enum nw_chase_pages pages;
    uint32_t count;
    uint64_t spacing;
} chained[] = {
    /* Walks with their tables in the caches: what overlaps is the walking itself. */
    { 1, NW_CHASE_4K, 8192, NW_PAGE_BYTES },
    { 2, NW_CHASE_4K, 8192, NW_PAGE_BYTES },
    { 4, NW_CHASE_4K, 8192, NW_PAGE_BYTES },
    { 8, NW_CHASE_4K, 8192, NW_PAGE_BYTES },
    { 12, NW_CHASE_4K, 8192, NW_PAGE_BYTES },
    /* Lines, in the last cache and beyond it. Who asks more often keeps more of a cache that others use too. */
    { 8, NW_CHASE_2M, 24000, 192 },
    { 8, NW_CHASE_2M, 48000, 192 },
    { 8, NW_CHASE_2M, 96000, 192 },
    { 8, NW_CHASE_2M, 192000, 192 },
    { 8, NW_CHASE_2M, 500000, 192 },
};
static const char program_prefix[] = "program ", chains_prefix[] = "chains ";

const char *nw_program_name(size_t program) { return program_table[program].name; }
const char *nw_program_operation(size_t program) { return program_table[program].operation; }

bool nw_chase_is_program(const struct nw_chase *c, size_t *program)
{
    if (strncmp(c->purpose, program_prefix, sizeof program_prefix - 1))
        return false;
    for (*program = 0; *program < NW_PROGRAMS; ++*program)
        if (!strcmp(c->purpose + sizeof program_prefix - 1, program_table[*program].name))
            return true;
    return false;
}

unsigned nw_chase_chains(const struct nw_chase *c)
{
    unsigned n = 1;
    return sscanf(c->purpose, "chains %u", &n) == 1 && n >= 1 && n <= CHAINS_MAX ? n : 1;
}

/* A chase over all pages of the arena stands for it: the same pages, in the same region. */
static struct nw_chase arena(size_t program, enum nw_chase_pages pages)
{
    struct nw_chase c = { .set = NW_CHASE_HOLD_OUT,
                          .pages = pages,
                          .count = (uint32_t)(program_table[program].bytes >> NW_PAGE_LOG2),
                          .group = 1,
                          .spacing_bytes = NW_PAGE_BYTES };
    snprintf(c.purpose, sizeof c.purpose, "%s%s", program_prefix, program_table[program].name);
    return c;
}

enum nw_status nw_program_plan(struct nw_chase **out, size_t *count, struct nw_error *err)
{
    size_t chases, n = 0;
    const struct nw_chase *chase = nw_chase_plan(false, &chases);
    struct nw_chase *plan = malloc((2 * NW_PROGRAMS + NW_ARRAY_LEN(chained) + chases) * sizeof *plan);
    if (!plan)
        return nw_fail_nomem(err, "a plan of what to measure");
    for (size_t i = 0; i < NW_PROGRAMS; i++) {
        plan[n++] = arena(i, NW_CHASE_4K);
        plan[n++] = arena(i, NW_CHASE_2M);
    }
    for (size_t i = 0; i < NW_ARRAY_LEN(chained); i++) {
        plan[n] = (struct nw_chase){ .set = NW_CHASE_HOLD_OUT, /* nothing of the profile is fitted to them */
                                     .pages = chained[i].pages,
                                     .count = chained[i].count,
                                     .group = 1,
                                     .spacing_bytes = chained[i].spacing };
        snprintf(plan[n].purpose, sizeof plan[n].purpose, "%s%u", chains_prefix, chained[i].chains);
        n++;
    }
    for (size_t i = 0; i < chases; i++)
        if (chase[i].set == NW_CHASE_CALIBRATE)
            plan[n++] = chase[i];
    *out = plan;
    *count = n;
    return NW_OK;
}
