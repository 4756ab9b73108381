/* conform_internal.h - one kind of case a file; conform.c reads lines and picks the kind. Never leaves this folder. */
#ifndef NESTWALK_REPORTS_CONFORM_INTERNAL_H
#define NESTWALK_REPORTS_CONFORM_INTERNAL_H

#include "reports_internal.h"
#include <nestwalk/reports/conform.h>

enum { CONFORM_TEXT = 1024 };

/* What a case came to. */
struct conform_verdict {
    bool passed;
    char expected[CONFORM_TEXT], got[CONFORM_TEXT]; /* filled when it failed */
    bool events_recorded, events_matched; /* a case with an event sequence, and whether the model's equals it */
    char events_expected[CONFORM_TEXT], events_got[CONFORM_TEXT]; /* filled when it does not */
};

/* Fields of a case. False, with *err filled, when the field is missing or of another kind; messages name the field
 * only. */
bool conform_word(const json_t *object, const char *key, uint64_t *out,
                  struct nw_error *err); /* a hexadecimal string */
bool conform_word_value(const json_t *value, const char *what, uint64_t *out, struct nw_error *err);
bool conform_number(const json_t *object, const char *key, uint64_t least, uint64_t most, uint64_t *out,
                    struct nw_error *err);
/* The index of the field's text in `choices` (NULL-terminated). */
bool conform_choice(const json_t *object, const char *key, const char *const *choices, unsigned *out,
                    struct nw_error *err);

/* conform_walk.c: a two-dimensional walk. */
bool conform_walk_is(const json_t *record);
enum nw_status conform_walk(const json_t *record, struct conform_verdict *out, struct nw_error *err) NW_MUST_USE;

/* conform_kvm.c: a guest program on KVM's shadow MMU. */
bool conform_kvm_is(const json_t *record);
enum nw_status conform_kvm(const json_t *record, struct conform_verdict *out, struct nw_error *err) NW_MUST_USE;

/* conform_vtd.c: DMA and interrupt remapping. */
bool conform_vtd_is(const json_t *record);
enum nw_status conform_vtd(const json_t *record, struct conform_verdict *out, struct nw_error *err) NW_MUST_USE;
/* A step that writes memory. */
struct nw_physmem;
bool conform_vtd_memory(struct nw_physmem *pm, const json_t *step, struct nw_error *err);

#endif
