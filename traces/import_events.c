/* Traces of a kernel's or an emulator's I/O as events: Linux's ftrace text (dma:*, iommu:*, intel_iommu:qi_submit) and QEMU's vtd_* log.
 *
 * Sources: Linux, include/trace/events/dma.h, iommu.h and intel_iommu.h, the formats of the events; Documentation/trace/ftrace.rst, the lines; QEMU,
 * hw/i386/trace-events. */
#include "import_events.h"
#include "import_ftrace_raw.h"
#include <inttypes.h>
#include <nestwalk/base/bits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_EVENTS = 4096, LINE_EVENTS = 2 * SG_MAX + 2 };

struct importer {
    struct nw_source source;
    struct nw_trace_info info;
    struct nw_block_builder builder; /* of no accesses */
    struct nw_input *input;          /* one of the two is NULL */
    struct nw_ftrace_raw *raw;
    event_line_fn *line;
    struct event_out out;
    bool over, lines; /* lines: there were some */
};

/* ---- events ---- */

void event_put(struct event_out *o, unsigned kind, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    o->event[o->count++] = (struct nw_event){ .kind = (uint16_t)kind, .arg = { a, b, c, d, e } };
    o->total++;
}

/* Times are from the first one on; a clock that goes back (lines of several processors) stands still. */
void event_time(struct event_out *o, uint64_t ns)
{
    if (!o->timed)
        o->first_ns = ns;
    const uint64_t now = ns > o->first_ns ? ns - o->first_ns : 0;
    if (o->timed && now <= o->last_ns)
        return;
    o->timed = true;
    o->last_ns = now;
    event_put(o, NW_EV_TIME, now, 0, 0, 0, 0);
}

/* ---- words ---- */

const char *event_after(const char *line, const char *word)
{
    const char *at = line ? strstr(line, word) : NULL;
    return at ? at + strlen(word) : NULL;
}

bool event_number(const char *at, int radix, uint64_t *out)
{
    char *end;
    if (!at)
        return false;
    while (*at == ' ')
        at++;
    if (*at == '-' || *at == '+')
        return false;
    *out = strtoull(at, &end, radix);
    return end > at;
}

/* SSSS:BB:DD.F or BB:DD.F, at the start of the text. Devices without such a name (platform devices) are 00:00.0. */
bool event_device(const char *at, uint16_t *bdf)
{
    unsigned segment, bus, slot, function;
    if (at && sscanf(at, "%4x:%2x:%2x.%1x", &segment, &bus, &slot, &function) == 4 && slot < 32 && function < 8)
        *bdf = (uint16_t)(bus << 8 | slot << 3 | function);
    else if (at && sscanf(at, "%2x:%2x.%1x", &bus, &slot, &function) == 3 && slot < 32 && function < 8)
        *bdf = (uint16_t)(bus << 8 | slot << 3 | function);
    else
        return false;
    return true;
}

/* ---- the source ---- */

/* *line NULL at the end; *from: the file that it is from. */
static enum nw_status next_line(struct importer *im, const char **line, struct nw_input **from, struct nw_error *err)
{
    char *text;
    size_t length;
    if (im->raw)
        return nw_ftrace_raw_line(im->raw, line, from, err);
    enum nw_status s = nw_input_line(im->input, &text, &length, err);
    *line = text;
    *from = im->input;
    return s;
}

static enum nw_status importer_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct importer *im = (struct importer *)self;
    im->out.count = 0;
    while (!im->over && im->out.count < BLOCK_EVENTS) {
        const char *line = NULL;
        struct nw_input *from = NULL;
        enum nw_status s = next_line(im, &line, &from, err);
        if (!s && !line) {
            im->over = true;
            if (!im->out.total && im->lines && !im->raw)
                return nw_input_fail(im->input, err, "the input ends, and had none of the events that this format has");
        } else if (!s) {
            im->lines = true;
            s = im->line(from, line, &im->out, err);
        }
        if (s)
            return s;
    }
    return nw_block_builder_finish(&im->builder, self->want, im->out.event, im->out.count, 0, block, err);
}

static enum nw_status importer_rewind(struct nw_source *self, struct nw_error *err)
{
    struct importer *im = (struct importer *)self;
    struct nw_event *event = im->out.event;
    struct sg_list *sg = im->out.sg;
    memset(sg, 0, SG_LISTS * sizeof *sg);
    im->out = (struct event_out){ .event = event, .sg = sg };
    im->over = im->lines = false;
    im->builder.first_access = im->builder.count = 0;
    return im->raw ? nw_ftrace_raw_rewind(im->raw, err) : nw_input_rewind(im->input, err);
}

static const struct nw_trace_info *importer_info(const struct nw_source *self)
{
    return &((const struct importer *)self)->info;
}
static uint64_t importer_total(const struct nw_source *self)
{
    (void)self;
    return 0;
}

static void importer_destroy(struct nw_source *self)
{
    struct importer *im = (struct importer *)self;
    nw_block_builder_fini(&im->builder);
    nw_trace_info_fini(&im->info);
    nw_input_close(im->input);
    nw_ftrace_raw_close(im->raw);
    free(im->out.event);
    free(im->out.sg);
    free(im);
}

static const struct nw_source_ops importer_ops = { .next = importer_next,
                                                   .rewind = importer_rewind,
                                                   .info = importer_info,
                                                   .access_total = importer_total,
                                                   .destroy = importer_destroy };

enum nw_status nw_import_events_open(struct nw_source **out, const char *path, const char *name, event_line_fn *line,
                                     bool raw, struct nw_error *err)
{
    struct importer *im = calloc(1, sizeof *im);
    if (!im)
        return nw_fail_nomem(err, "an importer");
    im->source = (struct nw_source){ .ops = &importer_ops, .want = NW_WANT_ADDRESSES };
    im->line = line;
    nw_trace_info_init(&im->info);
    snprintf(im->info.origin, sizeof im->info.origin, "import %s", name);
    im->out.event = malloc((BLOCK_EVENTS + LINE_EVENTS) * sizeof *im->out.event);
    im->out.sg = calloc(SG_LISTS, sizeof *im->out.sg);
    enum nw_status s =
        im->out.event && im->out.sg ? nw_block_builder_init(&im->builder, 64, err) : nw_fail_nomem(err, "an importer");
    if (!s)
        s = raw ? nw_ftrace_raw_open(&im->raw, path, err) : nw_input_open(&im->input, path, err);
    if (s)
        importer_destroy(&im->source);
    else
        *out = &im->source;
    return s;
}
