/* A guest program recorded on a live KVM with shadow paging: the model runs it, and each segment's statistics are
 * compared with what KVM counted. The events are compared too, and reported apart. */
#include "conform_internal.h"
#include <errno.h>
#include <nestwalk/mmu/kvm_program.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUEST_WORDS_MAX = 1 << 23 };

struct kvm_case {
    struct nw_kvm_program program;
    uint64_t (*word)[2];
    struct nw_kvm_op *op;
    struct nw_kvm_action *action;
    const json_t *segments, *second; /* borrowed; `second` when the two recorded runs differ */
};

struct judge {
    const struct kvm_case *c;
    struct conform_verdict *out;
    struct nw_kvm_counters before;
    size_t segment, event;
    bool events_differ, second_differs; /* from the first run, from the second */
};

/* ---- the record --------------------------------------------------------------------------------------------- */

bool conform_kvm_is(const json_t *record)
{
    return json_object_get(record, "ops") && json_object_get(record, "segments");
}

/* Words here are hexadecimal without 0x. */
static bool hex(const json_t *value, const char *what, uint64_t *out, struct nw_error *err)
{
    const char *text = json_string_value(value);
    char *end;
    if (text && *text && strlen(text) <= 16 && strspn(text, "0123456789abcdefABCDEF") == strlen(text)) {
        errno = 0;
        *out = strtoull(text, &end, 16);
        return true;
    }
    (void)nw_fail(err, NW_ERR_INPUT, "%s must be a string of 1 to 16 hexadecimal digits", what);
    return false;
}

static bool plain(const json_t *value, const char *what, uint64_t *out, struct nw_error *err)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    (void)nw_fail(err, NW_ERR_INPUT, "%s must be a number from 0 on", what);
    return false;
}

/* The list `key`, whose rows have `width` fields, and room for what is read from it. */
static const json_t *list_of(const json_t *record, const char *key, size_t width, size_t most, size_t size, void **room,
                             size_t *count, struct nw_error *err)
{
    const json_t *list = json_object_get(record, key);
    if (!json_is_array(list) || json_array_size(list) > most) {
        (void)nw_fail(err, NW_ERR_INPUT, "\"%s\" must be an array of at most %zu rows", key, most);
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_array(json_array_get(list, i)) || json_array_size(json_array_get(list, i)) != width) {
            (void)nw_fail(err, NW_ERR_INPUT, "row %zu of \"%s\" must be an array of %zu", i, key, width);
            return NULL;
        }
    *count = json_array_size(list);
    *room = calloc(*count ? *count : 1, size);
    if (!*room) {
        (void)nw_fail_nomem(err, "a recorded guest program");
        return NULL;
    }
    return list;
}

static bool read_words(const json_t *record, struct kvm_case *c, struct nw_error *err)
{
    const json_t *list =
        list_of(record, "mem", 2, GUEST_WORDS_MAX, sizeof *c->word, (void **)&c->word, &c->program.word_count, err);
    for (size_t i = 0; list && i < c->program.word_count; i++) {
        const json_t *row = json_array_get(list, i);
        if (!hex(json_array_get(row, 0), "an address of \"mem\"", &c->word[i][0], err) ||
            !hex(json_array_get(row, 1), "a word of \"mem\"", &c->word[i][1], err))
            return false;
    }
    c->program.word = (const uint64_t(*)[2])c->word;
    return list;
}

static bool read_ops(const json_t *record, struct kvm_case *c, struct nw_error *err)
{
    const json_t *list = list_of(record, "ops", 3, 1 << 20, sizeof *c->op, (void **)&c->op, &c->program.op_count, err);
    for (size_t i = 0; list && i < c->program.op_count; i++) {
        const json_t *row = json_array_get(list, i);
        struct nw_kvm_op *op = &c->op[i];
        if (!plain(json_array_get(row, 0), "the code of an operation", &op->code, err) ||
            !hex(json_array_get(row, 1), "an operand of \"ops\"", &op->a, err) ||
            !hex(json_array_get(row, 2), "an operand of \"ops\"", &op->b, err))
            return false;
        if (!nw_kvm_op_known(op->code)) {
            (void)nw_fail(err, NW_ERR_INPUT, "row %zu of \"ops\": there is no operation %llu", i,
                          (unsigned long long)op->code);
            return false;
        }
    }
    c->program.op = c->op;
    return list;
}

static bool read_actions(const json_t *record, struct kvm_case *c, struct nw_error *err)
{
    const json_t *list = list_of(record, "host_actions", 4, 1 << 16, sizeof *c->action, (void **)&c->action,
                                 &c->program.action_count, err);
    for (size_t i = 0; list && i < c->program.action_count; i++) {
        const json_t *row = json_array_get(list, i);
        struct nw_kvm_action *a = &c->action[i];
        uint64_t *const field[] = { &a->marker, &a->kind, &a->gpa, &a->bytes };
        for (size_t j = 0; j < 4; j++)
            if (!plain(json_array_get(row, j), "a field of \"host_actions\"", field[j], err))
                return false;
        if (a->kind < NW_KVM_ACTION_DROP || a->kind > NW_KVM_ACTION_SREGS) {
            (void)nw_fail(err, NW_ERR_INPUT, "row %zu of \"host_actions\": host action %llu does not exist; 1 to 7 do",
                          i, (unsigned long long)a->kind);
            return false;
        }
    }
    c->program.action = c->action;
    return list;
}

static bool segment_named(const json_t *segment, const char *name)
{
    const char *marker = json_string_value(json_object_get(segment, "marker"));
    return marker && !strcmp(marker, name);
}

/* The segments must be those that the program's markers and the host's actions end, in their order. */
static bool check_segments(const struct kvm_case *c, const json_t *segments, const char *key, struct nw_error *err)
{
    size_t at = 0, count = json_array_size(segments);
    for (size_t i = 0; i < c->program.op_count && at < count; i++) {
        const uint64_t number = c->op[i].a;
        if (c->op[i].code != NW_KVM_OP_MARKER)
            continue;
        size_t ends = 1;
        for (size_t a = 0; a < c->program.action_count; a++)
            ends += c->action[a].marker == number;
        for (size_t n = 0; n < ends && at < count; n++, at++) {
            char name[32];
            snprintf(name, sizeof name, "%s%llu", n ? "act" : "", (unsigned long long)number);
            if (!segment_named(json_array_get(segments, at), name)) {
                (void)nw_fail(err, NW_ERR_INPUT, "segment %zu of \"%s\" must have \"marker\": \"%s\"", at, key, name);
                return false;
            }
        }
    }
    if (at < count)
        (void)nw_fail(err, NW_ERR_INPUT, "\"%s\" has %zu rows, and the program ends %zu segments", key, count, at);
    return at == count;
}

static bool read_segments(const json_t *record, struct kvm_case *c, struct nw_error *err)
{
    const json_t *deterministic = json_object_get(record, "deterministic");
    c->segments = json_object_get(record, "segments");
    c->second = json_is_false(deterministic) ? json_object_get(record, "segments_run2") : NULL;
    if (!json_is_array(c->segments) || (c->second && !json_is_array(c->second))) {
        (void)nw_fail(err, NW_ERR_INPUT, "\"%s\" must be an array of segments",
                      json_is_array(c->segments) ? "segments_run2" : "segments");
        return false;
    }
    return check_segments(c, c->segments, "segments", err) &&
           (!c->second || check_segments(c, c->second, "segments_run2", err));
}

static bool read_case(const json_t *record, struct kvm_case *c, struct nw_error *err)
{
    static const char *const backings[] = { "4k", "2m", NULL };
    uint64_t flags;
    unsigned backing;
    if (!conform_number(record, "max_mmu_pages", 0, UINT32_MAX, &c->program.max_mmu_pages, err) ||
        !conform_number(record, "slot_flags", 0, 1, &flags, err) ||
        !conform_choice(record, "backing", backings, &backing, err))
        return false;
    c->program.dirty_logging = flags;
    c->program.large_backing = backing == 1;
    return read_words(record, c, err) && read_ops(record, c, err) && read_actions(record, c, err) &&
           read_segments(record, c, err);
}

static void free_case(struct kvm_case *c)
{
    free(c->word);
    free(c->op);
    free(c->action);
}

/* ---- judging ------------------------------------------------------------------------------------------------ */

static bool judged(const struct nw_counter_row *row) { return strcmp(row->path, "shadow_pages") != 0; }

static int64_t moved(const struct nw_counter_row *row, const struct nw_kvm_counters *before,
                     const struct nw_kvm_counters *now)
{
    uint64_t was, is;
    memcpy(&was, (const char *)before + row->offset, sizeof was);
    memcpy(&is, (const char *)now + row->offset, sizeof is);
    return (int64_t)(is - was);
}

/* The first statistic that moved otherwise than recorded, or NULL. */
static const struct nw_counter_row *differing(const json_t *segment, const struct nw_kvm_counters *before,
                                              const struct nw_kvm_counters *now, int64_t *expected)
{
    const json_t *stats = json_object_get(segment, "stats");
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++) {
        const struct nw_counter_row *row = &nw_kvm_counter_row[i];
        *expected = json_integer_value(json_object_get(stats, row->path));
        if (judged(row) && moved(row, before, now) != *expected)
            return row;
    }
    return NULL;
}

static void failed(struct judge *j, const char *name, const char *what, int64_t expected, int64_t got)
{
    j->out->passed = false;
    snprintf(j->out->expected, CONFORM_TEXT, "segment %s: %s %+lld", name, what, (long long)expected);
    snprintf(j->out->got, CONFORM_TEXT, "segment %s: %s %+lld", name, what, (long long)got);
}

/* The model's guest goes another way than the recorded one. */
static void astray(struct judge *j, const char *got)
{
    const char *name = json_string_value(json_object_get(json_array_get(j->c->segments, j->segment), "marker"));
    j->events_differ = j->second_differs = true;
    if (!j->out->passed)
        return;
    j->out->passed = false;
    snprintf(j->out->expected, CONFORM_TEXT, "segment %s", name ? name : "(none)");
    snprintf(j->out->got, CONFORM_TEXT, "%s", got);
}

static void events_differ(struct judge *j, const char *segment, const char *expected, const char *got)
{
    if (j->events_differ)
        return;
    j->events_differ = true;
    snprintf(j->out->events_expected, CONFORM_TEXT, "segment %s: %s", segment, expected);
    snprintf(j->out->events_got, CONFORM_TEXT, "segment %s: %s", segment, got);
}

static const char *event_at(const json_t *segments, size_t segment, size_t event)
{
    return json_string_value(json_array_get(json_object_get(json_array_get(segments, segment), "events"), event));
}

static void take_event(void *context, const char *text)
{
    struct judge *j = context;
    const char *first = event_at(j->c->segments, j->segment, j->event);
    const char *second = j->c->second ? event_at(j->c->second, j->segment, j->event) : NULL;
    const char *name = json_string_value(json_object_get(json_array_get(j->c->segments, j->segment), "marker"));
    if (!first || strcmp(first, text))
        events_differ(j, name ? name : "(none)", first ? first : "(no event)", text);
    if (!second || strcmp(second, text))
        j->second_differs = true;
    j->event++;
}

static bool take_segment(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now)
{
    struct judge *j = context;
    const json_t *segment = json_array_get(j->c->segments, j->segment);
    const json_t *second = j->c->second ? json_array_get(j->c->second, j->segment) : NULL;
    char name[32];
    int64_t expected;
    snprintf(name, sizeof name, "%s%llu", action ? "act" : "", (unsigned long long)marker);
    if (!segment_named(segment, name)) { /* the model's guest did not get to where the recorded one did */
        astray(j, name);
        return false;
    }
    const struct nw_counter_row *row = differing(segment, &j->before, now, &expected);
    int64_t unused;
    if (row && j->out->passed && !(second && !differing(second, &j->before, now, &unused)))
        failed(j, name, row->path, expected, moved(row, &j->before, now));
    const char *left = event_at(j->c->segments, j->segment, j->event);
    if (left)
        events_differ(j, name, left, "(no event)");
    if (second && event_at(j->c->second, j->segment, j->event))
        j->second_differs = true;
    j->before = *now;
    j->segment++;
    j->event = 0;
    return true;
}

enum nw_status conform_kvm(const json_t *record, struct conform_verdict *out, struct nw_error *err)
{
    struct kvm_case c = { 0 };
    struct judge j = { .c = &c, .out = out };
    out->passed = true;
    enum nw_status s = NW_OK;
    if (!read_case(record, &c, err)) {
        s = err ? err->status : NW_ERR_INPUT;
    } else {
        s = nw_kvm_program_run(
            &c.program, &(struct nw_kvm_watcher){ .segment = take_segment, .event = take_event, .context = &j }, err);
        if (s == NW_ERR_UNSUPPORTED) {
            astray(&j, err ? err->text : "an access that does not complete");
            s = NW_OK;
        } else if (!s && j.segment < json_array_size(c.segments)) {
            astray(&j, "(the program ended)");
        }
    }
    out->events_recorded = true;
    out->events_matched = !j.events_differ || (c.second && !j.second_differs);
    free_case(&c);
    return s;
}
