#include "overrides.h"
#include <string.h>

static enum nw_status set_named(struct nw_config *c, const char *path, const char *value, const char *source,
                                struct nw_error *err)
{
    return value ? nw_config_set(c, path, value, source, err) : NW_OK;
}

enum nw_status nw_cli_assignment_parse(const char *text, const char *example, struct nw_cli_assignment *out,
                                       struct nw_error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof out->path)
        return nw_fail(err, NW_ERR_USAGE, "--set %s: expected PATH=VALUE, like %s", text, example);
    memcpy(out->path, text, (size_t)(equals - text));
    out->path[equals - text] = 0;
    out->value = equals + 1;
    return NW_OK;
}

enum nw_status nw_cli_assign(struct nw_config *c, const char *text, const char *example, struct nw_error *err)
{
    struct nw_cli_assignment a;
    enum nw_status s = nw_cli_assignment_parse(text, example, &a, err);
    return s ? s : nw_config_set(c, a.path, a.value, "--set", err);
}

enum nw_status nw_cli_override(struct nw_config *c, const struct nw_cli_overrides *o, const char *mode,
                               struct nw_error *err)
{
    enum nw_status s;
    if ((s = set_named(c, "run.mode", mode, "--mode", err)) ||
        (s = set_named(c, "run.engine", o->engine, "--engine", err)) ||
        (s = set_named(c, "run.fidelity", o->fidelity, "--fidelity", err)) ||
        (s = set_named(c, "run.seed", o->seed, "--seed", err)) ||
        (s = set_named(c, "run.detect_stale", o->detect_stale, "--detect-stale", err)))
        return s;
    for (size_t i = 0; i < o->set_count; i++)
        if ((s = nw_cli_assign(c, o->set[i], "vmm.backing=2M", err)))
            return s;
    return NW_OK;
}

const char *nw_cli_overrider(const struct nw_cli_overrides *o, const char *path)
{
    const struct {
        const char *path, *value, *option;
    } named[] = {
        { "run.engine", o->engine, "--engine" },
        { "run.fidelity", o->fidelity, "--fidelity" },
        { "run.seed", o->seed, "--seed" },
        { "run.detect_stale", o->detect_stale, "--detect-stale" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(named); i++)
        if (named[i].value && !strcmp(named[i].path, path))
            return named[i].option;
    size_t n = strlen(path);
    for (size_t i = 0; i < o->set_count; i++)
        if (!strncmp(o->set[i], path, n) && o->set[i][n] == '=')
            return "--set";
    return NULL;
}
