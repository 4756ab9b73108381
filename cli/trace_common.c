#include "trace_common.h"
#include <inttypes.h>

static enum nw_status copy(struct nw_source *source, struct nw_nwt_writer *w, struct nw_cli_progress *p,
                           struct nw_error *err)
{
    struct nw_block b;
    enum nw_status s;
    uint64_t total = nw_source_access_total(source);
    while (!(s = nw_source_next(source, &b, err)) && !b.end) {
        if ((s = nw_nwt_write_block(w, &b, err)))
            return s;
        nw_cli_progress_update(p, b.first_access + b.access_count, total);
        if (nw_cli_interrupted())
            return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted; nothing was written");
    }
    return s;
}

int nw_cli_write_trace(const struct nw_command *command, struct nw_source *source, const struct nw_trace_info *info,
                       const char *out, bool json)
{
    struct nw_error err = { 0 };
    struct nw_nwt_writer *w = NULL;
    struct nw_nwt_summary sum;
    struct nw_cli_progress progress;
    nw_cli_catch_interrupts();
    enum nw_status s = nw_nwt_writer_create(&w, out, info, &err);
    if (!s) {
        nw_cli_progress_start(&progress, command->name, "accesses");
        s = copy(source, w, &progress, &err);
        nw_cli_progress_finish(&progress);
    }
    if (!s) {
        s = nw_nwt_writer_close(w, &err);
        w = NULL;
    }
    if (!s)
        s = nw_nwt_summarise(out, &sum, NULL, &err);
    nw_nwt_writer_abandon(w);
    nw_source_destroy(source);
    if (s)
        return nw_cli_fail(command, s, &err);
    if (json) {
        printf("{ \"trace\": ");
        nw_cli_json_string(stdout, out);
        printf(", ");
        nw_cli_summary_json(stdout, &sum);
        printf(" }\n");
    } else {
        printf("%s: %" PRIu64 " accesses (%" PRIu64 " fetches, %" PRIu64 " loads, %" PRIu64 " stores) in %" PRIu64
               " bytes\n",
               out, sum.accesses, sum.fetches, sum.loads, sum.stores, sum.file_bytes);
    }
    return 0;
}

void nw_cli_summary_json(FILE *out, const struct nw_nwt_summary *s)
{
    fprintf(out,
            "\"version\": %u, \"file_bytes\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"events\": %" PRIu64
            ", \"accesses\": { \"total\": %" PRIu64 ", \"fetch\": %" PRIu64 ", \"load\": %" PRIu64
            ", \"store\": %" PRIu64 " }, \"index_present\": %s",
            s->version, s->file_bytes, s->blocks, s->events, s->accesses, s->fetches, s->loads, s->stores,
            s->index_present ? "true" : "false");
}

void nw_cli_summary_text(FILE *out, const struct nw_nwt_summary *s)
{
    fprintf(out, "accesses         %" PRIu64 "\n", s->accesses);
    fprintf(out, "  fetches        %" PRIu64 "\n", s->fetches);
    fprintf(out, "  loads          %" PRIu64 "\n", s->loads);
    fprintf(out, "  stores         %" PRIu64 "\n", s->stores);
    fprintf(out, "events           %" PRIu64 "\n", s->events);
    fprintf(out, "blocks           %" PRIu64 "\n", s->blocks);
    fprintf(out, "file size        %" PRIu64 " bytes", s->file_bytes);
    if (s->accesses)
        fprintf(out, " (%.3f an access)", (double)s->file_bytes / (double)s->accesses);
    fprintf(out, "\n");
    fprintf(out, "index            %s\n",
            s->index_present ? "present" : "missing; `nestwalk trace repair` rebuilds it");
}

/* How many bytes the UTF-8 sequence at `p` has; 0 when it is none. */
static unsigned utf8_length(const unsigned char *p)
{
    unsigned n = p[0] < 0x80                   ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                               : 0;
    for (unsigned i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

void nw_cli_json_string(FILE *out, const char *text)
{
    putc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        unsigned n = utf8_length(p);
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f || !n)
            fprintf(out, "\\u%04x", *p);
        else
            fwrite(p, 1, n, out);
        p += n ? n : 1;
    }
    putc('"', out);
}
