/* cmd_gen.c - `nestwalk gen`: synthetic traces with documented statistics. */
#include "trace_common.h"
#include <nestwalk/traces/generate.h>
#include <string.h>

enum { OPT_ACCESSES, OPT_SPAN, OPT_BASE, OPT_SEED, OPT_STRIDE, OPT_EXPONENT, OPT_STORES, OPT_OUT, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_ACCESSES] = { "accesses", 'n', "N", "How many accesses (with K, M, G: powers of 1024)." },
    [OPT_SPAN] = { "span", 0, "BYTES", "Footprint; default 1G." },
    [OPT_BASE] = { "base", 0, "GVA", "Its first guest-virtual address; default 0x7f0000000000." },
    [OPT_SEED] = { "seed", 0, "N", "Same seed, same trace, byte for byte; default 42." },
    [OPT_STRIDE] = { "stride", 0, "BYTES", "sequential: the step; pointer-chase: a node's size; default 64." },
    [OPT_EXPONENT] = { "exponent", 0, "S", "zipf: how skewed, 0 (not at all) to 16; default 0.99." },
    [OPT_STORES] = { "stores", 0, "FRACTION", "This share of the accesses, 0 to 1, are stores (not gups); default 0." },
    [OPT_OUT] = { "output", 'o', "OUT.nwt", "The trace to write." },
    [OPT_JSON] = { "json", 0, NULL, "Print what was written as JSON." },
    { 0 },
};

static int unknown_kind(const struct nw_command *self, const char *name)
{
    char names[256] = "";
    for (size_t i = 0; i < nw_generator_count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", nw_generators[i].name);
    if (!name)
        return nw_cli_usage(self, "a kind is missing; there are %s", names);
    return nw_cli_usage(self, "there is no kind \"%s\"; there are %s", name, names);
}

/* Takes one option; false when its value is no number. */
static bool take(struct nw_generate_options *o, int option, const char *value)
{
    switch (option) {
    case OPT_ACCESSES: return nw_cli_parse_u64(value, &o->accesses);
    case OPT_SPAN: return nw_cli_parse_u64(value, &o->span_bytes);
    case OPT_BASE: return nw_cli_parse_u64(value, &o->base);
    case OPT_SEED: return nw_cli_parse_u64(value, &o->seed);
    case OPT_STRIDE: return nw_cli_parse_u64(value, &o->stride_bytes);
    case OPT_EXPONENT: return nw_cli_parse_double(value, &o->exponent);
    default: return nw_cli_parse_double(value, &o->store_fraction);
    }
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    struct nw_generate_options o;
    nw_generate_defaults(&o);
    const char *value, *kind = NULL, *out = NULL;
    bool json = false, exponent = false, stores = false;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_OUT: out = value; break;
        case OPT_JSON: json = true; break;
        case NW_CLI_ARGUMENT:
            if (kind)
                return nw_cli_usage(self, "one kind at a time; \"%s\" is a second one", value);
            kind = value;
            break;
        default:
            exponent |= option == OPT_EXPONENT;
            stores |= !strcmp(options[option].name, "stores");
            if (!take(&o, option, value))
                return nw_cli_usage(self, "--%s %s: not a number", options[option].name, value);
        }
    }
    const struct nw_generator *generator = kind ? nw_generator_find(kind) : NULL;
    if (!generator)
        return unknown_kind(self, kind);
    if (!o.accesses || !out)
        return nw_cli_usage(self, "%s is missing", !o.accesses ? "--accesses, at least 1," : "-o OUT.nwt");
    if (exponent && strcmp(generator->name, "zipf"))
        return nw_cli_usage(self, "--exponent is for zipf");
    if (stores && !strcmp(generator->name, "gups"))
        return nw_cli_usage(self, "--stores: half of the accesses of gups are stores");
    struct nw_error err = { 0 };
    struct nw_source *source = NULL;
    enum nw_status s = generator->open(&source, &o, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    return nw_cli_write_trace(self, source, nw_source_info(source), out, json);
}

const struct nw_command nw_cmd_gen = {
    .name = "gen",
    .synopsis = "KIND --accesses N [--span BYTES] ... -o OUT.nwt",
    .summary = "synthetic traces with documented statistics",
    .details = "uniform: uniform random 8-byte-aligned addresses over the span.\n\n"
               "zipf: a page by Zipf's law (the page of rank r with probability proportional to r to the minus "
               "exponent; ranks are "
               "scattered over the span at random), then 1 to 7 accesses at random places of it.\n\n"
               "sequential: a fixed stride over the span, wrapping.\n\n"
               "pointer-chase: one random cycle through all nodes of the span.\n\n"
               "gups: read-modify-write of random 8-byte words: a load and a store to the same address.\n\n"
               "All accesses are 8 bytes wide, by user code.",
    .examples = "nestwalk gen zipf --accesses 32M --span 1G --stores 0.3 -o zipf.nwt",
    .options = options,
    .run = run,
};
