#include "conform_internal.h"
#include <errno.h>
#include <nestwalk/traces/input.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ------------------------------------------------------------------------------------- */

bool conform_word_value(const json_t *value, const char *what, uint64_t *out, struct nw_error *err)
{
    const char *text = json_string_value(value);
    char *end = NULL;
    if (text && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') && text[2]) {
        errno = 0;
        *out = strtoull(text + 2, &end, 16);
        if (!*end && !errno && text[2] != '-' && text[2] != '+' && text[2] != ' ')
            return true;
    }
    (void)nw_fail(err, NW_ERR_INPUT, "%s must be a 64-bit hexadecimal string such as \"0x1000\"", what);
    return false;
}

bool conform_word(const json_t *object, const char *key, uint64_t *out, struct nw_error *err)
{
    char what[64];
    snprintf(what, sizeof what, "\"%s\"", key);
    return conform_word_value(json_object_get(object, key), what, out, err);
}

bool conform_number(const json_t *object, const char *key, uint64_t least, uint64_t most, uint64_t *out,
                    struct nw_error *err)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        if (*out >= least && *out <= most)
            return true;
    }
    (void)nw_fail(err, NW_ERR_INPUT, "\"%s\" must be a number from %llu to %llu", key, (unsigned long long)least,
                  (unsigned long long)most);
    return false;
}

bool conform_choice(const json_t *object, const char *key, const char *const *choices, unsigned *out,
                    struct nw_error *err)
{
    const char *text = json_string_value(json_object_get(object, key));
    char allowed[256] = "";
    for (unsigned i = 0; choices[i]; i++) {
        if (text && !strcmp(text, choices[i])) {
            *out = i;
            return true;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "", choices[i]);
    }
    (void)nw_fail(err, NW_ERR_INPUT, "\"%s\" is %s%s%s; allowed: %s", key, text ? "\"" : "", text ? text : "missing",
                  text ? "\"" : "", allowed);
    return false;
}

/* ---- cases -------------------------------------------------------------------------------------- */

static enum nw_status judge(const char *line, size_t bytes, struct conform_verdict *verdict, char id[64],
                            struct nw_error *err)
{
    json_error_t at;
    json_t *record = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &at);
    if (!record)
        return nw_fail(err, NW_ERR_INPUT, "column %d: not JSON: %s", at.column, at.text);
    const json_t *name = json_object_get(record, "id");
    if (json_is_string(name))
        snprintf(id, 64, "%s", json_string_value(name));
    else
        snprintf(id, 64, "%lld", (long long)json_integer_value(name));
    static const struct {
        bool (*is)(const json_t *record);
        enum nw_status (*judge)(const json_t *record, struct conform_verdict *out, struct nw_error *err);
    } kinds[] = { { conform_walk_is, conform_walk }, { conform_kvm_is, conform_kvm }, { conform_vtd_is, conform_vtd } };
    size_t kind = 0;
    while (kind < NW_ARRAY_LEN(kinds) && !kinds[kind].is(record))
        kind++;
    enum nw_status s =
        kind < NW_ARRAY_LEN(kinds)
            ? kinds[kind].judge(record, verdict, err)
            : nw_fail(err, NW_ERR_INPUT,
                      "not a case of a known kind (a walk has \"mode\" and \"gva\", a guest program \"ops\" "
                      "and \"segments\", a case of DMA remapping \"cap\", \"ecap\" and \"steps\")");
    json_decref(record);
    return s;
}

static enum nw_status keep_failure(struct nw_conform_report *report, const char *file, uint64_t line, const char *id,
                                   const struct conform_verdict *verdict, struct nw_error *err)
{
    if (report->failure_count == report->failure_capacity) {
        size_t wanted = report->failure_capacity ? report->failure_capacity * 2 : 64;
        void *bigger = reallocarray(report->failure, wanted, sizeof *report->failure);
        if (!bigger)
            return nw_fail_nomem(err, "the list of failed cases");
        report->failure = bigger;
        report->failure_capacity = wanted;
    }
    struct nw_conform_failure *f = &report->failure[report->failure_count++];
    *f = (struct nw_conform_failure){ .file = strdup(file),
                                      .line = line,
                                      .id = strdup(id),
                                      .expected = strdup(verdict->expected),
                                      .got = strdup(verdict->got) };
    if (!f->file || !f->id || !f->expected || !f->got)
        return nw_fail_nomem(err, "the list of failed cases");
    return NW_OK;
}

static enum nw_status take_line(struct nw_conform_report *report, const struct nw_input *input, const char *line,
                                size_t bytes, const struct nw_conform_options *options, struct nw_error *err)
{
    struct conform_verdict verdict = { 0 };
    struct nw_error own = { 0 };
    char id[64] = "";
    enum nw_status s = judge(line, bytes, &verdict, id, &own);
    if (s)
        return s == NW_ERR_INPUT ? nw_input_fail(input, err, "%s", own.text) : nw_fail(err, s, "%s", own.text);
    if (verdict.events_recorded) {
        report->events_recorded++;
        report->events_matched += verdict.events_matched;
        if (!verdict.events_matched && options->events_differ) {
            const struct nw_conform_failure f = { .file = (char *)nw_input_path(input),
                                                  .line = nw_input_line_number(input),
                                                  .id = id,
                                                  .expected = verdict.events_expected,
                                                  .got = verdict.events_got };
            options->events_differ(options->context, &f);
        }
    }
    if (verdict.passed) {
        report->passed++;
        return NW_OK;
    }
    report->failed++;
    s = keep_failure(report, nw_input_path(input), nw_input_line_number(input), id, &verdict, err);
    if (!s && options->failed)
        options->failed(options->context, &report->failure[report->failure_count - 1]);
    return s;
}

enum nw_status nw_conform_file(struct nw_conform_report *report, const char *path,
                               const struct nw_conform_options *options, struct nw_error *err)
{
    struct nw_input *input;
    char *line;
    size_t bytes;
    enum nw_status s = nw_input_open(&input, path, err);
    if (s)
        return s;
    while (!(s = nw_input_line(input, &line, &bytes, err)) && line) {
        uint64_t done = report->passed + report->failed;
        if (options->first && done >= options->first)
            break;
        if (options->keep_going && !(done % 1024) && !options->keep_going(options->context, done)) {
            s = nw_fail(err, NW_ERR_INTERRUPTED, "%s:%llu: interrupted", path,
                        (unsigned long long)nw_input_line_number(input));
            break;
        }
        if (strspn(line, " \t\r\n") == bytes || (options->filter && !strstr(line, options->filter)))
            continue;
        if ((s = take_line(report, input, line, bytes, options, err)))
            break;
    }
    nw_input_close(input);
    return s;
}

void nw_conform_report_fini(struct nw_conform_report *report)
{
    for (size_t i = 0; i < report->failure_count; i++) {
        free(report->failure[i].file);
        free(report->failure[i].id);
        free(report->failure[i].expected);
        free(report->failure[i].got);
    }
    free(report->failure);
    memset(report, 0, sizeof *report);
}

enum nw_status nw_conform_json_text(const struct nw_conform_report *report, char **out, struct nw_error *err)
{
    json_t *document = json_object(), *list = json_array();
    bool ok = document && list && json_put(document, "passed", json_count(report->passed)) &&
              json_put(document, "failed", json_count(report->failed));
    if (report->events_recorded)
        ok = ok && json_put(document, "events_recorded", json_count(report->events_recorded)) &&
             json_put(document, "events_matched", json_count(report->events_matched));
    for (size_t i = 0; ok && i < report->failure_count; i++) {
        const struct nw_conform_failure *f = &report->failure[i];
        json_t *row = json_object();
        ok = row && json_put(row, "file", json_text(f->file)) && json_put(row, "line", json_count(f->line)) &&
             json_put(row, "id", json_text(f->id)) && json_put(row, "expected", json_text(f->expected)) &&
             json_put(row, "got", json_text(f->got)) && !json_array_append(list, row);
        json_decref(row);
    }
    ok = ok && !json_object_set(document, "failures", list);
    enum nw_status s = NW_OK;
    struct text text = { 0 };
    if (ok) {
        json_write(&text, document);
        s = text_take(&text, out, "the conformance report", err);
    } else {
        s = nw_fail_nomem(err, "the conformance report");
    }
    json_decref(list);
    json_decref(document);
    return s;
}
