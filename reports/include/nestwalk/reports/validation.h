/* validation.h - several checks of the model against a machine (the commands `nestwalk validate ...`) as one document and one page.
 *
 *     struct nw_validated v[] = { { .name = "tlb", .result = NW_VALIDATED_HOLDS, .document = json_text_of_it }, ... };
 *     s = nw_validation_json_text(v, 3, &text, err); // free() it
 *     s = nw_validation_html_text(v, 3, machine, &text, err);
 *
 * JSON: { "holds", "regimes": [{ "check", and as in the check's own document }], "checks": [{ "name", "summary", "result": "holds|missed|not
 * checked|failed", "reason", "document": its own or null }] }. */
#ifndef NESTWALK_REPORTS_VALIDATION_H
#define NESTWALK_REPORTS_VALIDATION_H

#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>

enum nw_validated_result {
    NW_VALIDATED_HOLDS,
    NW_VALIDATED_MISSED,
    NW_VALIDATED_NOT_CHECKED, /* it cannot be, on this machine */
    NW_VALIDATED_FAILED,
    NW_VALIDATED_RESULTS
};
extern const char *const nw_validated_result_name[NW_VALIDATED_RESULTS];

enum { NW_VALIDATED_FILES = 5 };
struct nw_validated {
    const char *name, *summary;
    enum nw_validated_result result;
    const char *reason;                   /* of what was not checked or failed; NULL or "": none */
    const char *document;                 /* its JSON: { "holds", "regimes": [...], ... }; NULL: none */
    const char *file[NW_VALIDATED_FILES]; /* names beside the page, for links; NULL-ended unless full */
};

/* True: something was checked, and nothing that was is missed or failed. */
bool nw_validation_holds(const struct nw_validated *v, size_t count);
/* NW_ERR_INTERNAL: a document is none. */
enum nw_status nw_validation_json_text(const struct nw_validated *v, size_t count, char **out,
                                       struct nw_error *err) NW_MUST_USE;
enum nw_status nw_validation_html_text(const struct nw_validated *v, size_t count, const char *machine, char **out,
                                       struct nw_error *err) NW_MUST_USE;

#endif
