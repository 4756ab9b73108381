/* cmd_trace_dump.c - `nestwalk trace dump`: accesses and events as text or JSON. */
#include "trace_common.h"
#include <inttypes.h>
#include <nestwalk/traces/cut.h>

enum { OPT_FROM, OPT_COUNT, OPT_EVENTS, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_FROM] = { "from", 0, "N", "The first access to show, counted from 0; default 0." },
    [OPT_COUNT] = { "count", 'n', "N", "How many accesses to show; default all." },
    [OPT_EVENTS] = { "events", 'e', NULL, "Show only the events." },
    [OPT_JSON] = { "json", 0, NULL, "Print as JSON." },
    { 0 },
};

struct dump {
    uint64_t first, count;
    bool events_only, json, any;
};

static const char *const type_name[] = { [NW_LOAD] = "load", [NW_STORE] = "store", [NW_FETCH] = "fetch" };

static void begin_record(struct dump *d)
{
    if (d->json)
        printf("%s\n  ", d->any ? "," : "");
    d->any = true;
}

static void put_access(struct dump *d, uint64_t n, uint16_t vcpu, uint64_t gva, uint8_t kind)
{
    const char *type = type_name[nw_kind_type(kind) <= NW_FETCH ? nw_kind_type(kind) : NW_LOAD];
    begin_record(d);
    if (d->json)
        printf("{ \"n\": %" PRIu64 ", \"vcpu\": %u, \"type\": \"%s\", \"gva\": \"0x%" PRIx64
               "\", \"bytes\": %u, \"user\": %s }",
               n, vcpu, type, gva, nw_kind_bytes(kind), nw_kind_user(kind) ? "true" : "false");
    else
        printf("%10" PRIu64 "  vcpu%u  %-5s  0x%016" PRIx64 "  %4u  %s\n", n, vcpu, type, gva, nw_kind_bytes(kind),
               nw_kind_user(kind) ? "user" : "supervisor");
}

static void put_event(struct dump *d, uint64_t n, const struct nw_event *e)
{
    const struct nw_event_kind_info *k = &nw_event_kind_table[e->kind];
    begin_record(d);
    if (d->json)
        printf("{ \"n\": %" PRIu64 ", \"vcpu\": %u, \"event\": \"%s\"", n, e->vcpu, k->name);
    else
        printf("%10" PRIu64 "  vcpu%u  * %s", n, e->vcpu, k->name);
    for (unsigned a = 0; a < k->args; a++)
        printf(d->json ? ", \"%s\": \"0x%" PRIx64 "\"" : " %s=0x%" PRIx64, k->arg_name[a], e->arg[a]);
    if (e->data_words)
        printf(d->json ? ", \"data\": [" : " %s:", k->data_name);
    for (uint32_t w = 0; w < e->data_words; w++)
        printf(d->json ? "%s\"0x%" PRIx64 "\"" : "%s0x%" PRIx64, !d->json ? " " : w ? ", " : "", e->data[w]);
    printf("%s", d->json ? e->data_words ? "] }" : " }" : "\n");
}

static void put_block(struct dump *d, const struct nw_block *b)
{
    uint32_t from, to, e, event_to;
    if (!nw_trace_piece_of(b, d->first, d->count, &from, &to, &e, &event_to))
        return;
    for (uint32_t i = from;; i++) {
        for (; e < event_to && b->event[e].at <= i; e++)
            put_event(d, b->first_access + b->event[e].at, &b->event[e]);
        if (i >= to)
            break;
        if (!d->events_only)
            put_access(d, b->first_access + i, b->vcpu, b->address[i], nw_block_kind(b, i));
    }
}

static enum nw_status dump(struct dump *d, struct nw_source *source, struct nw_error *err)
{
    struct nw_block b;
    source->want = d->events_only ? 0 : NW_WANT_ADDRESSES;
    enum nw_status s = d->first ? nw_nwt_seek(source, d->first, err) : NW_OK;
    while (!s && !(s = nw_source_next(source, &b, err)) && !b.end) {
        if (b.first_access > d->first && b.first_access - d->first > d->count)
            break;
        put_block(d, &b);
        if (nw_cli_interrupted())
            return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
        if (ferror(stdout))
            return NW_OK; /* the program's end reports it */
    }
    return s;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    struct dump d = { .count = UINT64_MAX };
    const char *value, *path = NULL;
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_EVENTS: d.events_only = true; break;
        case OPT_JSON: d.json = true; break;
        case OPT_FROM:
        case OPT_COUNT:
            if (!nw_cli_parse_u64(value, option == OPT_FROM ? &d.first : &d.count))
                return nw_cli_usage(self, "--%s %s: not a number", options[option].name, value);
            break;
        default:
            if (path)
                return nw_cli_usage(self, "one trace at a time; \"%s\" is a second one", value);
            path = value;
        }
    }
    if (!path)
        return nw_cli_usage(self, "a trace is missing");
    struct nw_error err = { 0 };
    struct nw_source *source = NULL;
    enum nw_status s = nw_nwt_open(&source, path, &err);
    if (s)
        return nw_cli_fail(self, s, &err);
    nw_cli_catch_interrupts();
    if (d.json) {
        printf("{ \"trace\": ");
        nw_cli_json_string(stdout, path);
        printf(", \"records\": [");
    }
    s = dump(&d, source, &err);
    if (d.json && !s)
        printf("%s] }\n", d.any ? "\n" : "");
    nw_source_destroy(source);
    return s ? nw_cli_fail(self, s, &err) : 0;
}

const struct nw_command nw_cmd_trace_dump = {
    .name = "trace dump",
    .synopsis = "TRACE.nwt [--from N] [--count N] [--events] [--json]",
    .summary = "a trace's accesses and events as text",
    .details = "One line an access: its number, vCPU, type, guest-virtual address, bytes, privilege. Events are marked "
               "with *; "
               "the number in front says how many accesses precede them. An event is shown with the access before it.",
    .examples = "nestwalk trace dump btree.nwt --from 1000 --count 20",
    .options = options,
    .run = run,
};
