/* cmd_gen.c - `nestwalk gen`: synthetic traces with documented statistics. */
#include "trace_common.h"
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/generate_io.h>
#include <string.h>

enum {
    OPT_SEED,
    OPT_OUT,
    OPT_JSON,
    OPT_ACCESSES, /* of kinds that make accesses, from here, */
    OPT_SPAN,
    OPT_BASE,
    OPT_STRIDE,
    OPT_EXPONENT,
    OPT_STORES,
    OPT_CONTENTS,
    OPT_ZERO,
    OPT_COMMON,
    OPT_IMAGE,
    OPT_RATIO,
    OPT_REQUESTS, /* and of devices */
    OPT_BYTES,
    OPT_MIX,
    OPT_DIRECTION,
    OPT_RING,
    OPT_QUEUES,
    OPT_LINK,
    OPT_BUFFER,
    OPT_HUGE,
    OPT_RECYCLE,
    OPT_BACKLOG,
    OPT_MEMORY,
    OPT_CONTIGUOUS,
    OPT_BDF,
};
static const struct nw_option options[] = {
    [OPT_ACCESSES] = { "accesses", 'n', "N", "How many accesses (with K, M, G: powers of 1024)." },
    [OPT_SPAN] = { "span", 0, "BYTES", "Footprint; default 1G." },
    [OPT_BASE] = { "base", 0, "GVA", "Its first guest-virtual address; default 0x7f0000000000." },
    [OPT_SEED] = { "seed", 0, "N", "Same seed, same trace, byte for byte; default 42." },
    [OPT_STRIDE] = { "stride", 0, "BYTES", "sequential: the step; pointer-chase: a node's size; default 64." },
    [OPT_EXPONENT] = { "exponent", 0, "S", "zipf: how skewed, 0 (not at all) to 16; default 0.99." },
    [OPT_STORES] = { "stores", 0, "FRACTION", "This share of the accesses, 0 to 1, are stores (not gups); default 0." },
    [OPT_CONTENTS] = { "contents", 0, NULL,
                       "What pages hold as well, told at the first access to each; the next four options imply it." },
    [OPT_ZERO] = { "zero", 0, "FRACTION", "This share of the pages, 0 to 1, holds zeros; default 0." },
    [OPT_COMMON] = { "common", 0, "FRACTION",
                     "This share holds the same in all traces of the image, whatever their seeds; default 0." },
    [OPT_IMAGE] = { "image", 0, "NAME", "Which image; default: one without a name." },
    [OPT_RATIO] = { "ratio", 0, "R",
                    "How many times smaller compression makes a page that is not zeros, 1 to 64, roughly; "
                    "default 3." },
    [OPT_OUT] = { "output", 'o', "OUT.nwt", "The trace to write." },
    [OPT_JSON] = { "json", 0, NULL, "Print what was written as JSON." },
    [OPT_REQUESTS] = { "requests", 0, "N", "Devices: how many packets or disk requests." },
    [OPT_BYTES] = { "bytes", 0, "N", "Devices: of a frame (default 1514) or a disk request (default 4K)." },
    [OPT_MIX] = { "mix", 0, NULL, "Network: frames of 60, 590 and 1514 bytes, 7 : 4 : 1." },
    [OPT_DIRECTION] = { "direction", 0, "in|out|mixed",
                        "Devices: received or read, sent or written, or both by turns; default in." },
    [OPT_RING] = { "ring", 0, "N", "Devices: entries of a ring; default 512 (network), 1024 (disk)." },
    [OPT_QUEUES] = { "queues", 0, "N", "Devices: flows, each with its own rings; default 1." },
    [OPT_LINK] = { "link", 0, "GBPS", "Devices: the link's speed in Gb/s; default 10." },
    [OPT_BUFFER] = { "buffer", 0, "BYTES", "Network: of a buffer, 2K or 4K; default 2K." },
    [OPT_HUGE] = { "huge", 0, NULL, "Devices: buffers are cut from contiguous blocks of 2 MiB." },
    [OPT_RECYCLE] = { "recycle", 0, NULL, "Network: receive buffers stay mapped and are posted again." },
    [OPT_BACKLOG] = { "backlog", 0, "N", "Devices: packets whose buffers software holds; default 64." },
    [OPT_MEMORY] = { "memory", 0, "BYTES", "Devices: what buffers come from; default 1G." },
    [OPT_CONTIGUOUS] = { "contiguous", 0, NULL, "Devices: its pages lie in order, not at random." },
    [OPT_BDF] = { "bdf", 0, "BB:DD.F", "Devices: the device's address; default 03:00.0." },
    { 0 },
};

static int unknown_kind(const struct nw_command *self, const char *name)
{
    char names[256] = "";
    for (size_t i = 0; i < nw_generator_count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", nw_generators[i].name);
    for (size_t i = 0; i < nw_io_generator_count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), ", %s", nw_io_generators[i].name);
    if (!name)
        return nw_cli_usage(self, "a kind is missing; there are %s", names);
    return nw_cli_usage(self, "there is no kind \"%s\"; there are %s", name, names);
}

static bool parse_direction(const char *value, enum nw_io_direction *out)
{
    static const char *const names[] = { "in", "out", "mixed" };
    for (unsigned i = 0; i < NW_ARRAY_LEN(names); i++)
        if (!strcmp(value, names[i])) {
            *out = (enum nw_io_direction)i;
            return true;
        }
    return false;
}

static bool parse_bdf(const char *value, uint16_t *out)
{
    unsigned bus, device, function;
    int end = 0;
    if (sscanf(value, "%2x:%2x.%1x%n", &bus, &device, &function, &end) != 3 || value[end] || device > 31 ||
        function > 7)
        return false;
    *out = (uint16_t)(bus << 8 | device << 3 | function);
    return true;
}

/* Takes one option of a device; false when its value makes no sense. */
static bool take_io(struct nw_generate_io_options *o, int option, const char *value)
{
    switch (option) {
    case OPT_REQUESTS: return nw_cli_parse_u64(value, &o->requests);
    case OPT_BYTES: return nw_cli_parse_u64(value, &o->bytes);
    case OPT_MIX: return o->mix = true;
    case OPT_DIRECTION: return parse_direction(value, &o->direction);
    case OPT_RING: return nw_cli_parse_u64(value, &o->ring);
    case OPT_QUEUES: return nw_cli_parse_u64(value, &o->queues);
    case OPT_LINK: return nw_cli_parse_double(value, &o->link_gbps);
    case OPT_BUFFER: return nw_cli_parse_u64(value, &o->buffer_bytes);
    case OPT_HUGE: return o->huge = true;
    case OPT_RECYCLE: return o->recycle = true;
    case OPT_BACKLOG: return nw_cli_parse_u64(value, &o->backlog);
    case OPT_MEMORY: return nw_cli_parse_u64(value, &o->memory_bytes);
    case OPT_CONTIGUOUS: o->fragmented = false; return true;
    default: return parse_bdf(value, &o->bdf);
    }
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
    case OPT_CONTENTS: return o->contents = true;
    case OPT_ZERO: o->contents = true; return nw_cli_parse_double(value, &o->zero_fraction);
    case OPT_COMMON: o->contents = true; return nw_cli_parse_double(value, &o->image_fraction);
    case OPT_IMAGE:
        o->contents = true;
        o->image = value;
        return true;
    case OPT_RATIO: o->contents = true; return nw_cli_parse_double(value, &o->packed_ratio);
    default: return nw_cli_parse_double(value, &o->store_fraction);
    }
}

static int generate_io(const struct nw_command *self, const struct nw_io_generator *device,
                       const struct nw_generate_io_options *o, const char *out, bool json)
{
    struct nw_error err = { 0 };
    struct nw_source *source = NULL;
    if (!o->requests || !out)
        return nw_cli_usage(self, "%s is missing", !o->requests ? "--requests, at least 1," : "-o OUT.nwt");
    enum nw_status s = device->open(&source, o, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    return nw_cli_write_trace(self, source, nw_source_info(source), out, json);
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    struct nw_generate_options o;
    nw_generate_defaults(&o);
    const char *value, *kind = NULL, *out = NULL;
    struct nw_generate_io_options io;
    nw_generate_io_defaults(&io);
    bool json = false;
    uint64_t given = 0;
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
            given |= UINT64_C(1) << option;
            if (option >= OPT_REQUESTS ? !take_io(&io, option, value) : !take(&o, option, value))
                return nw_cli_usage(self, "--%s %s: not %s", options[option].name, value,
                                    option == OPT_DIRECTION ? "in, out or mixed"
                                    : option == OPT_BDF     ? "a device's address such as 03:00.0"
                                                            : "a number");
        }
    }
    const struct nw_generator *generator = kind ? nw_generator_find(kind) : NULL;
    const struct nw_io_generator *device = kind ? nw_io_generator_find(kind) : NULL;
    if (!generator && !device)
        return unknown_kind(self, kind);
    for (int i = OPT_ACCESSES; i <= OPT_BDF; i++)
        if ((given >> i & 1) && (i >= OPT_REQUESTS) != (device != NULL))
            return nw_cli_usage(self, "--%s is not for %s", options[i].name, kind);
    if (device) {
        io.seed = o.seed;
        return generate_io(self, device, &io, out, json);
    }
    if (!o.accesses || !out)
        return nw_cli_usage(self, "%s is missing", !o.accesses ? "--accesses, at least 1," : "-o OUT.nwt");
    if ((given >> OPT_EXPONENT & 1) && strcmp(generator->name, "zipf"))
        return nw_cli_usage(self, "--exponent is for zipf");
    if ((given >> OPT_STORES & 1) && !strcmp(generator->name, "gups"))
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
    .synopsis = "KIND --accesses N [--span BYTES] ... -o OUT.nwt | DEVICE --requests N [--link GBPS] ... -o OUT.nwt",
    .summary = "synthetic traces with documented statistics",
    .details = "uniform: uniform random 8-byte-aligned addresses over the span.\n\n"
               "zipf: a page by Zipf's law (the page of rank r with probability proportional to r to the minus "
               "exponent; ranks are "
               "scattered over the span at random), then 1 to 7 accesses at random places of it.\n\n"
               "sequential: a fixed stride over the span, wrapping.\n\n"
               "pointer-chase: one random cycle through all nodes of the span.\n\n"
               "gups: read-modify-write of random 8-byte words: a load and a store to the same address.\n\n"
               "All accesses are 8 bytes wide, by user code.\n\n"
               "--contents: before the first access to a page an event says what it holds (a hash, and the size when "
               "compressed), for sharing and compressed swap in nestwalk run of several guests. Two traces of one "
               "image with different seeds agree in the pages of the image and in those of zeros.\n\n"
               "nic, nvme, virtio-net, virtio-blk: no accesses, but what a device's driver maps and unmaps, and what "
               "the device reads "
               "and writes: rings, lists and buffers, as fast as the link allows (docs/dma-traces.md).",
    .examples = "nestwalk gen zipf --accesses 32M --span 1G --stores 0.3 -o zipf.nwt\n"
                "nestwalk gen uniform --accesses 8M --span 64M --zero 0.1 --common 0.3 -o a.nwt\n"
                "nestwalk gen nic --requests 100K --link 10 --direction mixed -o nic.nwt",
    .options = options,
    .run = run,
};
