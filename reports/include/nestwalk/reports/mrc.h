/* mrc.h - miss-ratio curves as JSON and CSV (docs/results.md describes both). */
#ifndef NESTWALK_REPORTS_MRC_H
#define NESTWALK_REPORTS_MRC_H

#include <nestwalk/sim/mrc.h>

/* An array of the machine, for one of the page sizes it holds: a point of a curve. */
struct nw_mrc_machine_array {
    char name[NW_NAME_MAX];
    enum nw_tlb_class stream; /* whose curve it is a point of */
    unsigned page_log2;
    uint32_t sets, ways;
};

struct nw_mrc_report {
    const char *trace, *trace_sha256, *machine;
    uint64_t seed;
    const struct nw_mrc_result *result;
    const struct nw_mrc_machine_array *array;
    size_t array_count;
};

extern const char *const nw_mrc_stream_name[NW_TLB_CLASS_COUNT]; /* "data", "instruction", "unified" */

/* free() the text. */
enum nw_status nw_mrc_json_text(const struct nw_mrc_report *report, char **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_mrc_csv_text(const struct nw_mrc_report *report, char **out, struct nw_error *err) NW_MUST_USE;

#endif
