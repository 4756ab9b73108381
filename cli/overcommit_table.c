/* overcommit_table.c - see overcommit_table.h. */
#include "overcommit_table.h"
#include "cli.h"

static void print_points(const struct nw_overcommit_policy *p)
{
    static const char *const heading[] = { "run",  "overcommitment", "saved %", "slowdown, mean", "slowdown, worst",
                                           "it is" };
    static const bool numeric[] = { false, true, true, true, true, false };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, NW_ARRAY_LEN(heading));
    for (size_t k = 0; k < p->points; k++) {
        const struct nw_overcommit_point *at = &p->point[k];
        char cell[4][32], note[64];
        snprintf(cell[0], sizeof cell[0], "%.2f", at->ratio);
        snprintf(cell[1], sizeof cell[1], "%.1f", at->saved_percent);
        snprintf(cell[2], sizeof cell[2], "%.3f", at->slowdown_mean);
        snprintf(cell[3], sizeof cell[3], "%.3f", at->slowdown_worst);
        snprintf(note, sizeof note, "%s%s%s", at->whole ? "" : ", out of memory", at->efficient ? ", efficient" : "",
                 k == p->knee ? ", knee" : "");
        nw_cli_table_row(t, (const char *const[]){ nw_run_title(at->run), cell[0], cell[1], cell[2], cell[3],
                                                   note[0] ? note + 2 : "" });
    }
    nw_cli_table_print(t, stdout);
}

static void print_answer(const struct nw_overcommit_policy *p, double limit)
{
    if (p->knee != NW_OVERCOMMIT_NONE)
        printf("The knee is at %.2f, where the worst guest is slowed %.2f times", p->point[p->knee].ratio,
               p->point[p->knee].slowdown_worst);
    else
        printf("No knee in these runs");
    if (p->within != NW_OVERCOMMIT_NONE)
        printf("; up to %.2f no guest is slowed more than %.2f times.\n", p->point[p->within].ratio, limit);
    else
        printf("; at %.2f a guest is already slowed more than %.2f times, or ended.\n", p->point[0].ratio, limit);
}

void nw_cli_print_overcommit(const struct nw_overcommit *o)
{
    for (size_t i = 0; i < o->policies; i++) {
        printf("%s%s\n", i ? "\n" : "", o->policy[i].name);
        print_points(&o->policy[i]);
        print_answer(&o->policy[i], o->limit);
    }
}
