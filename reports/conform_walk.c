/* A recorded two-dimensional walk: the case's words are the whole of memory, and the walk is the template of mmu/. */
#include "conform_internal.h"
#include <nestwalk/mmu/walk_template.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LL(x) ((unsigned long long)(x))

/* ---- memory: a case has some twenty words, so a search through them all is the quickest --------- */

struct word {
    uint64_t hpa, old, now;
};
struct memory {
    struct word *word;
    size_t count;
};

static struct word *find(const struct memory *m, uint64_t hpa)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->word[i].hpa == hpa)
            return &m->word[i];
    return NULL;
}

static inline uint64_t memory_load(void *context, hpa_t hpa)
{
    const struct word *word = find(context, hpa.v);
    return word ? word->now : 0;
}

static inline void memory_update(void *context, hpa_t hpa, uint64_t set)
{
    struct word *word = find(context, hpa.v);
    if (word)
        word->now |= set;
}

static const struct nw_walk_hooks hooks = { .load = memory_load, .update = memory_update };

/* ---- the record --------------------------------------------------------------------------------- */

enum kind { KIND_OK, KIND_PF, KIND_NPF, KIND_EPT_VIOLATION, KIND_EPT_MISCONFIG, KIND_ENTRY_FAIL };
static const char *const kind_name[] = { "ok", "pf", "npf", "ept_violation", "ept_misconfig", "vmentry_fail", NULL };

/* The fields of an outcome, in the order in which they are printed; `value` holds as many as the kind has. */
static const char *const kind_field[][4] = {
    [KIND_OK] = { "hpa" },
    [KIND_PF] = { "ec", "cr2" },
    [KIND_NPF] = { "info1", "info2" },
    [KIND_EPT_VIOLATION] = { "qual", "gpa", "gla" },
    [KIND_EPT_MISCONFIG] = { "gpa" },
    [KIND_ENTRY_FAIL] = { "reason", "qual" },
};
struct outcome {
    unsigned kind;
    uint64_t value[3];
};

struct walk_case {
    struct nw_paging guest, nested;
    struct nw_access access;
    uint64_t gva, pdpte[4];
    unsigned maxphyaddr;
    bool checks_pdptes; /* VMX, PAE */
    struct outcome expected;
    struct memory memory;
};

/* "Invalid guest state", SDM vol. 3, appendix "VMX Basic Exit Reasons". */
enum { REASON_INVALID_GUEST_STATE = 33 };

bool conform_walk_is(const json_t *record) { return json_object_get(record, "gva") && json_object_get(record, "mode"); }

static bool read_memory(const json_t *record, struct memory *m, struct nw_error *err)
{
    const json_t *list = json_object_get(record, "mem");
    if (!json_is_array(list)) {
        (void)nw_fail(err, NW_ERR_INPUT, "\"mem\" must be an array of [address, word]");
        return false;
    }
    size_t count = json_array_size(list);
    m->word = calloc(count ? count : 1, sizeof *m->word);
    if (!m->word) {
        (void)nw_fail_nomem(err, "the words of a case");
        return false;
    }
    for (; m->count < count; m->count++) {
        const json_t *pair = json_array_get(list, m->count);
        struct word *word = &m->word[m->count];
        if (!conform_word_value(json_array_get(pair, 0), "an address of \"mem\"", &word->hpa, err) ||
            !conform_word_value(json_array_get(pair, 1), "a word of \"mem\"", &word->old, err))
            return false;
        word->now = word->old;
    }
    return true;
}

static bool read_outcome(const json_t *record, struct outcome *out, struct nw_error *err)
{
    const json_t *object = json_object_get(record, "outcome");
    if (!conform_choice(object, "kind", kind_name, &out->kind, err))
        return false;
    for (unsigned i = 0; kind_field[out->kind][i]; i++) {
        const char *key = kind_field[out->kind][i];
        const json_t *value = json_object_get(object, key);
        if (json_is_integer(value) && json_integer_value(value) >= 0)
            out->value[i] = (uint64_t)json_integer_value(value);
        else if (!conform_word(object, key, &out->value[i], err))
            return false;
    }
    return true;
}

static bool read_guest(const json_t *record, struct walk_case *c, struct nw_error *err)
{
    static const char *const modes[] = { "lm4", "lm5", "pae", "nopg", NULL };
    static const enum nw_format_id format_of[] = { NW_FORMAT_X86_4LEVEL, NW_FORMAT_X86_5LEVEL, NW_FORMAT_X86_PAE,
                                                   NW_FORMAT_X86_OFF };
    static const char *const accesses[] = { "read", "write", "fetch", "rmw", NULL }; /* as enum nw_access_kind */
    struct nw_guest_registers r = { .huge_1g = true };
    unsigned mode, access;
    uint64_t width, cpl, ac;
    if (!conform_choice(record, "mode", modes, &mode, err) ||
        !conform_choice(record, "access", accesses, &access, err) || !conform_word(record, "gva", &c->gva, err) ||
        !conform_number(record, "cpl", 0, 3, &cpl, err) || !conform_number(record, "ac", 0, 1, &ac, err) ||
        !conform_word(record, "cr0", &r.cr0, err) || !conform_word(record, "cr3", &r.cr3, err) ||
        !conform_word(record, "cr4", &r.cr4, err) || !conform_word(record, "efer", &r.efer, err) ||
        !conform_number(record, "maxphyaddr", 32, NW_PHYS_BITS_MAX, &width, err))
        return false;
    c->access = (struct nw_access){ .kind = (enum nw_access_kind)access, .user = cpl == 3, .ac = ac };
    c->maxphyaddr = r.maxphyaddr = (unsigned)width;
    const json_t *pdpte = json_object_get(record, "pdpte");
    if (pdpte) {
        if (!json_is_array(pdpte) || json_array_size(pdpte) != 4) {
            (void)nw_fail(err, NW_ERR_INPUT, "\"pdpte\" must be an array of four words");
            return false;
        }
        for (unsigned i = 0; i < 4; i++)
            if (!conform_word_value(json_array_get(pdpte, i), "a word of \"pdpte\"", &c->pdpte[i], err))
                return false;
        memcpy(r.pdpte, c->pdpte, sizeof r.pdpte);
        r.pdpte_in_registers = true;
    }
    if (nw_paging_init_guest(&c->guest, &r, err))
        return false;
    if (c->guest.format->id != format_of[mode]) {
        (void)nw_fail(err, NW_ERR_INPUT, "\"mode\" is %s, but CR0, CR4 and EFER make it %s", modes[mode],
                      c->guest.format->name);
        return false;
    }
    c->checks_pdptes = c->guest.root_in_registers;
    return true;
}

static bool read_nested(const json_t *record, struct walk_case *c, struct nw_error *err)
{
    if (json_object_get(record, "eptp")) {
        struct nw_ept_registers r = { .maxphyaddr = c->maxphyaddr, .huge_1g = true, .execute_only = true };
        return conform_word(record, "eptp", &r.eptp, err) && !nw_paging_init_ept(&c->nested, &r, err);
    }
    struct nw_npt_registers r = { .maxphyaddr = c->maxphyaddr, .huge_1g = true };
    uint64_t levels, nxe;
    if (!conform_word(record, "ncr3", &r.ncr3, err) || !conform_number(record, "nested_levels", 2, 5, &levels, err) ||
        !conform_number(record, "host_nxe", 0, 1, &nxe, err))
        return false;
    r.levels = (unsigned)levels;
    r.nxe = nxe;
    return !nw_paging_init_npt(&c->nested, &r, err);
}

/* ---- the walk and the verdict ------------------------------------------------------------------- */

static void run(struct walk_case *c, struct nw_walk_result *r)
{
    int refused = c->checks_pdptes ? nw_pdptes_refused(c->pdpte, c->maxphyaddr) : -1;
    if (refused >= 0)
        nw_walk_entry_refused(r, refused);
    else
        nw_walk_run(&hooks, &c->memory, &c->guest, &c->nested, nw_gva(c->gva), &c->access, r);
}

static struct outcome outcome_of(const struct nw_walk_result *r)
{
    const struct nw_fault *f = &r->fault;
    switch (r->outcome) {
    case NW_WALK_PAGE_FAULT: return (struct outcome){ KIND_PF, { f->code, f->address } };
    case NW_WALK_NPF: return (struct outcome){ KIND_NPF, { f->code, f->address } };
    case NW_WALK_EPT_VIOLATION: return (struct outcome){ KIND_EPT_VIOLATION, { f->code, f->address, f->gla } };
    case NW_WALK_EPT_MISCONFIG: return (struct outcome){ KIND_EPT_MISCONFIG, { f->address } };
    case NW_WALK_ENTRY_FAIL: return (struct outcome){ KIND_ENTRY_FAIL, { REASON_INVALID_GUEST_STATE, f->code } };
    default: return (struct outcome){ KIND_OK, { r->hpa.v } };
    }
}

static void append(char out[CONFORM_TEXT], const char *text)
{
    size_t used = strlen(out);
    snprintf(out + used, CONFORM_TEXT - used, "%s", text);
}

static void describe(const struct nw_walk_result *r, const struct outcome *o, char out[CONFORM_TEXT])
{
    if (r && r->outcome == NW_WALK_NONCANONICAL) {
        snprintf(out, CONFORM_TEXT, "%s", nw_outcome_name[r->outcome]);
        return;
    }
    snprintf(out, CONFORM_TEXT, "%s", kind_name[o->kind]);
    for (unsigned i = 0; kind_field[o->kind][i]; i++) {
        char field[64];
        snprintf(field, sizeof field, " %s=0x%llx", kind_field[o->kind][i], LL(o->value[i]));
        append(out, field);
    }
}

/* A row [address, old, new] of changed_must or changed_may. */
static bool read_change(const json_t *row, const char *key, struct word *out, struct nw_error *err)
{
    return conform_word_value(json_array_get(row, 0), key, &out->hpa, err) &&
           conform_word_value(json_array_get(row, 1), key, &out->old, err) &&
           conform_word_value(json_array_get(row, 2), key, &out->now, err);
}

static void note_word(struct conform_verdict *v, uint64_t hpa, uint64_t expected, uint64_t got)
{
    char text[64];
    v->passed = false;
    snprintf(text, sizeof text, "; [0x%llx]=0x%llx", LL(hpa), LL(expected));
    append(v->expected, text);
    snprintf(text, sizeof text, "; [0x%llx]=0x%llx", LL(hpa), LL(got));
    append(v->got, text);
}

/* Is this value of this word in changed_may? A word may have been changed more than once on the way. */
static bool may_be(const json_t *may, const struct word *word, bool *allowed, struct nw_error *err)
{
    size_t i;
    json_t *row;
    struct word change;
    *allowed = false;
    json_array_foreach(may, i, row)
    {
        if (!read_change(row, "changed_may", &change, err))
            return false;
        *allowed |= change.hpa == word->hpa && change.now == word->now;
    }
    return true;
}

static bool judge_words(const json_t *record, const struct memory *m, struct conform_verdict *v, struct nw_error *err)
{
    const json_t *must = json_object_get(record, "changed_must"), *may = json_object_get(record, "changed_may");
    if (!json_is_array(must) || !json_is_array(may)) {
        (void)nw_fail(err, NW_ERR_INPUT, "\"changed_must\" and \"changed_may\" must be arrays of [address, old, new]");
        return false;
    }
    size_t i;
    json_t *row;
    struct word change;
    bool allowed;
    json_array_foreach(must, i, row)
    {
        if (!read_change(row, "changed_must", &change, err))
            return false;
        struct word *word = find(m, change.hpa), none = { .hpa = change.hpa };
        if (!word)
            word = &none;
        if (word->now == change.now) {
            word->old = word->now; /* settled: not a change for the loop below */
            continue;
        }
        if (!may_be(may, word, &allowed, err))
            return false;
        if (word->now == word->old || !allowed)
            note_word(v, change.hpa, change.now, word->now);
        word->old = word->now;
    }
    for (size_t k = 0; k < m->count; k++) {
        const struct word *word = &m->word[k];
        if (word->now == word->old)
            continue;
        if (!may_be(may, word, &allowed, err))
            return false;
        if (!allowed)
            note_word(v, word->hpa, word->old, word->now);
    }
    return true;
}

enum nw_status conform_walk(const json_t *record, struct conform_verdict *out, struct nw_error *err)
{
    struct walk_case c = { 0 };
    struct nw_walk_result r;
    enum nw_status s = NW_ERR_INPUT;
    if (!read_memory(record, &c.memory, err) || !read_outcome(record, &c.expected, err) ||
        !read_guest(record, &c, err) || !read_nested(record, &c, err))
        goto out;
    run(&c, &r);
    struct outcome got = outcome_of(&r);
    describe(NULL, &c.expected, out->expected);
    describe(&r, &got, out->got);
    out->passed = r.outcome != NW_WALK_NONCANONICAL && r.outcome != NW_WALK_PML_FULL && got.kind == c.expected.kind &&
                  !memcmp(got.value, c.expected.value, sizeof got.value);
    if (judge_words(record, &c.memory, out, err))
        s = NW_OK;
out:
    free(c.memory.word);
    return s == NW_OK ? s : err && err->status ? err->status : s;
}
