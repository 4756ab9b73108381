/* intervals.h - intervals and their pages, into a trace and into a struct nw_working_set. */
#ifndef NESTWALK_WORKINGSET_INTERVALS_H
#define NESTWALK_WORKINGSET_INTERVALS_H

#include <nestwalk/traces/nwt.h>
#include <nestwalk/traces/page_content.h>
#include <nestwalk/traces/working_set.h>

struct ws_recorder {
    const struct nw_working_set_options *o;
    struct nw_working_set *out;
    struct nw_nwt_writer *writer; /* NULL: no trace */
    uint64_t *seen;               /* a bit for each watched page */
    double started;               /* CLOCK_MONOTONIC, seconds */
    struct nw_working_set_interval now;
    struct nw_page_packer *packer; /* NULL: contents are not recorded */
    struct nw_page_content *held;  /* of each watched page, what it held last; packed_bytes 0: never read */
    uint64_t index, address;       /* of the page recorded last */
    bool content_wanted;           /* what it holds is to be told next */
};

double ws_now_seconds(void);
/* Copies the info. out->watched_pages, out->what and out->means are set already. */
enum nw_status ws_recorder_open(struct ws_recorder *r, const struct nw_working_set_options *o,
                                struct nw_working_set *out, const struct nw_trace_info *info,
                                struct nw_error *err) NW_MUST_USE;
/* Before the first interval: what the index'th watched page holds (4096 bytes). Only with o->contents. */
enum nw_status ws_recorder_image(struct ws_recorder *r, uint64_t index, uint64_t address, const void *page,
                                 struct nw_error *err) NW_MUST_USE;
/* An interval that lay between these times (CLOCK_MONOTONIC, seconds); its pages follow, in ascending order. */
enum nw_status ws_recorder_begin(struct ws_recorder *r, double from, double to, struct nw_error *err) NW_MUST_USE;
/* The index'th watched page, at `address`. */
enum nw_status ws_recorder_page(struct ws_recorder *r, uint64_t index, uint64_t address, bool written,
                                struct nw_error *err) NW_MUST_USE;
/* What the page recorded last holds: 4096 bytes; NULL: it could not be read. Only when content_wanted says so. */
enum nw_status ws_recorder_content(struct ws_recorder *r, const void *page, struct nw_error *err) NW_MUST_USE;
enum nw_status ws_recorder_end(struct ws_recorder *r, struct nw_error *err) NW_MUST_USE;
/* Makes the trace complete. */
enum nw_status ws_recorder_close(struct ws_recorder *r, struct nw_error *err) NW_MUST_USE;
/* Right after success and failure; an unfinished trace is removed. */
void ws_recorder_fini(struct ws_recorder *r);

/* What cannot be done here. */
void ws_note(struct nw_working_set *out, const char *format, ...) NW_PRINTF(2, 3);

#endif
