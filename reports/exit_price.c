/* exit_price.c - measured costs of exits as parameters of a machine. See exit_check.h. */
#include <math.h>
#include <nestwalk/reports/exit_check.h>
#include <stdio.h>
#include <string.h>

/* What KVM's own MMU does decides what a first read is, and whether INVLPG and MOV to CR3 leave the guest at all. */
enum condition { ALWAYS, SECOND_STAGE, SHADOW };
static const struct {
    enum condition when;
    const char *path; /* of a parameter, or of one that has parts */
    bool parts;
} priced[NW_EXIT_COST_OPERATIONS] = {
    [NW_EXIT_COST_CPUID] = { ALWAYS, "cost.exit.cpuid", true },
    [NW_EXIT_COST_PORT] = { ALWAYS, "cost.exit.io_instruction", true },
    [NW_EXIT_COST_MMIO] = { ALWAYS, "cost.exit.mmio", true },
    [NW_EXIT_COST_HYPERCALL] = { ALWAYS, "cost.exit.recorded", true }, /* an exit for which KVM does nothing */
    [NW_EXIT_COST_INVLPG] = { SHADOW, "cost.exit.invlpg", true },
    [NW_EXIT_COST_CR3] = { SHADOW, "cost.exit.cr_write", true },
    [NW_EXIT_COST_BACKED] = { SHADOW, "cost.exit.shadow_fault", true },
    [NW_EXIT_COST_UNBACKED] = { SECOND_STAGE, "cost.exit.ept_violation", true }, /* the page is found and cleared */
    [NW_EXIT_COST_GUEST_FAULT] = { ALWAYS, "cost.guest_fault", false },
};

const char *nw_exit_check_priced(const struct nw_exit_check *c, enum nw_exit_cost_operation operation)
{
    const enum condition when = priced[operation].when;
    return when == ALWAYS || (when == SECOND_STAGE) == c->second_stage ? priced[operation].path : NULL;
}

static enum nw_status set(struct nw_config *config, const char *path, double value, const char *source,
                          struct nw_error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%.0f", value < 0 ? 0 : value);
    return nw_config_set(config, path, text, source, err);
}

static enum nw_status set_parts(struct nw_config *config, const char *path, double direct, double whole,
                                const char *source, struct nw_error *err)
{
    char part[64];
    snprintf(part, sizeof part, "%s.direct", path);
    enum nw_status s = set(config, part, direct, source, err);
    snprintf(part, sizeof part, "%s.synchronous", path);
    if (!s)
        s = set(config, part, round(whole) - round(direct), source, err);
    snprintf(part, sizeof part, "%s.indirect", path);
    return s ? s : set(config, part, 0, "contained in what was measured of the whole exit", err);
}

enum nw_status nw_exit_check_price(const struct nw_exit_check *c, struct nw_config *config, struct nw_error *err)
{
    const struct nw_exit_figure *least = &c->figure[NW_EXIT_COST_CPUID];
    char source[200], text[32];
    snprintf(source, sizeof source, "measured by nestwalk validate exits on %s", c->processor);
    snprintf(text, sizeof text, "%.3f", c->core_ghz);
    enum nw_status s = nw_config_set(config, "cost.frequency", text, source, err);
    for (unsigned k = 0; k < NW_EXIT_COST_OPERATIONS && !s; k++) {
        const struct nw_exit_figure *f = &c->figure[k];
        const char *path = nw_exit_check_priced(c, k);
        if (!path || f->skipped[0])
            continue;
        snprintf(source, sizeof source,
                 "measured by nestwalk validate exits: %s, %u %s%s, median %.0f, %.0f to %.0f cycles",
                 nw_exit_cost_row[k].name, c->machines,
                 nw_exit_cost_row[k].native ? "processes" : "virtual machines on KVM ",
                 nw_exit_cost_row[k].native ? "" : c->backend, f->price, f->least, f->most);
        if (!priced[k].parts)
            s = set(config, path, f->price, source, err);
        else
            s = set_parts(config, path, least->skipped[0] ? f->price : fmin(least->price, f->price), f->price, source,
                          err);
    }
    return s;
}
