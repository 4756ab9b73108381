/* conform.h - recorded cases against the model: does it do what real implementations did?
 *
 *     struct nw_conform_report report = { 0 };
 *     s = nw_conform_file(&report, "walk-ept.jsonl", &(struct nw_conform_options){ 0 }, err);
 *     printf("%llu passed, %llu failed\n", report.passed, report.failed);
 *     nw_conform_report_fini(&report);
 *
 * A file is JSON lines, one case a line (docs/conformance.md has the schema). The model under test is the walk of
 * mmu/walk_template.h, the one that the engines use; here its memory is the few words of the case.
 *
 * A case passes when the outcome equals the recorded one in every field, every word of `changed_must` has its new
 * value, and no word has changed that neither list names.
 *
 * A guest program on KVM's shadow MMU passes when KVM's statistics move as recorded in every segment; whether the
 * sequence of events agrees too is counted apart. */
#ifndef NESTWALK_REPORTS_CONFORM_H
#define NESTWALK_REPORTS_CONFORM_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nw_conform_failure {
    char *file; /* all owned */
    uint64_t line;
    char *id;
    char *expected, *got; /* "ept_violation qual=0x181 gpa=0x1000 gla=0x2000" */
};

struct nw_conform_options {
    const char *filter; /* only cases whose line contains this text; NULL: all */
    uint64_t first;     /* stop after this many cases in all; 0: never */
    void (*failed)(void *context, const struct nw_conform_failure *failure); /* as they happen; NULL allowed */
    /* A guest program whose events differ from the recorded ones, though its statistics may agree: the first event that
     * does. The failure's texts are valid during the call only. NULL allowed. */
    void (*events_differ)(void *context, const struct nw_conform_failure *difference);
    bool (*keep_going)(void *context, uint64_t cases_done); /* asked now and then; false: NW_ERR_INTERRUPTED */
    void *context;
};

struct nw_conform_report {
    uint64_t passed, failed;
    uint64_t events_recorded, events_matched; /* guest programs, and those whose every event came as recorded */
    struct nw_conform_failure *failure;       /* owned */
    size_t failure_count, failure_capacity;
};

/* Runs the cases of one file and adds to the report. NW_ERR_IO: it cannot be read; NW_ERR_INPUT, with file and line: a
 * line that is not a case. What was judged before stays in the report. */
enum nw_status nw_conform_file(struct nw_conform_report *report, const char *path,
                               const struct nw_conform_options *options, struct nw_error *err) NW_MUST_USE;
void nw_conform_report_fini(struct nw_conform_report *report);

/* { "passed": N, "failed": M, "failures": [{ "file", "line", "id", "expected", "got" }] }, and "events_recorded",
 * "events_matched" when there were guest programs; free() it. */
enum nw_status nw_conform_json_text(const struct nw_conform_report *report, char **out,
                                    struct nw_error *err) NW_MUST_USE;

#endif
