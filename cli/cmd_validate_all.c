/* cmd_validate_all.c - `nestwalk validate all`: the other checks of this machine, one after the other. */
#include "cli.h"
#include "measured_machine.h"
#include "result_files.h"
#include <errno.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/reports/validation.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct nw_command nw_cmd_validate_tlb, nw_cmd_validate_walk, nw_cmd_validate_programs,
    nw_cmd_validate_exits, nw_cmd_validate_shadow, nw_cmd_validate_capture, nw_cmd_validate_reclaim;

enum { OPT_QUICK, OPT_FULL, OPT_INTO, OPT_JSON };
static const struct nw_option options[] = {
    [OPT_QUICK] = { "quick", 'q', NULL, "The quick form of each (default)." },
    [OPT_FULL] = { "full", 'f', NULL, "The full form of each." },
    [OPT_INTO] = { "into", 'd', "DIRECTORY",
                   "Write there index.html and all.json; for each check NAME.json; of those that time something the "
                   "samples NAME.db, of tlb and programs the pages NAME.html; and the measured machine.xml." },
    [OPT_JSON] = { "json", 'j', "FILE|-",
                   "Write all results as JSON; - is standard output, and the tables go to stderr." },
    { 0 },
};

enum { WORDS_MAX = 16, PATH_SIZE = 4200, FILES_MAX = 4, EXTENT_WORDS = 2 };

/* What each check is given for --quick and for --full, and what it writes beside NAME.json. */
static const struct check {
    const struct nw_command *command;
    const char *quick[EXTENT_WORDS], *full[EXTENT_WORDS];
    struct {
        const char *option, *file;
        bool input;     /* only when it is there */
        bool handed_on; /* between checks, without --into too */
    } file[FILES_MAX];
} checks[] = {
    { &nw_cmd_validate_tlb,
      { "--quick" },
      { "--full" },
      { { "--html", "tlb.html", false, false },
        { "--samples", "tlb.db", false, true },
        { "--profile", "machine.xml", false, true } } },
    { &nw_cmd_validate_walk,
      { "--quick" },
      { "--full" },
      { { "--from", "tlb.db", true, true }, { "--machine", "machine.xml", true, true } } },
    { &nw_cmd_validate_programs,
      { "--quick" },
      { "--full" },
      { { "--html", "programs.html", false, false },
        { "--samples", "programs.db", false, false },
        { "--machine", "machine.xml", true, false } } },
    { &nw_cmd_validate_exits,
      { "--quick" },
      { "--full" },
      { { "--samples", "exits.db", false, false },
        { "--machine", "machine.xml", true, false },
        { "--profile", "machine.xml", false, false } } },
    { &nw_cmd_validate_shadow, { NULL }, { NULL }, { { 0 } } },
    { &nw_cmd_validate_capture, { NULL }, { NULL }, { { 0 } } },
    { &nw_cmd_validate_reclaim, { "--runs", "1" }, { "--runs", "3" }, { { "--directory", ".", true, false } } },
};
enum { CHECKS = NW_ARRAY_LEN(checks) };

struct work {
    const char *into, *json; /* NULL: not asked for */
    bool full;
    char directory[PATH_SIZE]; /* where the checks write: into, or one that goes again */
    char document_file[CHECKS][64];
    char reason[CHECKS][1024];
    struct nw_validated result[CHECKS];
};

static const char *short_name(const struct check *c) { return strrchr(c->command->name, ' ') + 1; }

/* ---- one check ---- */

struct words {
    char *word[WORDS_MAX];
    int count;
};

/* Freed by words_free(). */
static enum nw_status add(struct words *w, const char *directory, const char *word, struct nw_error *err)
{
    char *copy = NULL;
    if (directory ? asprintf(&copy, "%s/%s", directory, word) < 0 : !(copy = strdup(word)))
        return nw_fail_nomem(err, "a check's options");
    w->word[w->count++] = copy;
    return NW_OK;
}

static void words_free(struct words *w)
{
    while (w->count)
        free(w->word[--w->count]);
}

static bool there(const char *directory, const char *file)
{
    char path[PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    return !access(path, R_OK);
}

static enum nw_status options_of(const struct work *w, size_t i, struct words *out, struct nw_error *err)
{
    const struct check *c = &checks[i];
    const char *const *extent = w->full ? c->full : c->quick;
    enum nw_status s = add(out, NULL, short_name(c), err);
    for (size_t k = 0; k < EXTENT_WORDS && extent[k] && !s; k++)
        s = add(out, NULL, extent[k], err);
    if (!s && !(s = add(out, NULL, "--json", err)))
        s = add(out, w->directory, w->document_file[i], err);
    for (size_t k = 0; k < FILES_MAX && c->file[k].option && !s; k++) {
        if ((!w->into && !c->file[k].handed_on) || (c->file[k].input && !there(w->directory, c->file[k].file)))
            continue;
        if (!(s = add(out, NULL, c->file[k].option, err)))
            s = add(out, w->directory, c->file[k].file, err);
    }
    return s;
}

static enum nw_status read_text(const char *directory, const char *file, char **out, struct nw_error *err)
{
    char path[PATH_SIZE + 64];
    enum nw_status s = NW_OK;
    size_t room = 0;
    snprintf(path, sizeof path, "%s/%s", directory, file);
    FILE *f = fopen(path, "re");
    if (!f)
        return nw_fail_errno(err, NW_ERR_IO, errno, "%s", path);
    *out = NULL;
    if (getdelim(out, &room, '\0', f) < 0) {
        free(*out);
        *out = NULL;
        s = nw_fail_errno(err, NW_ERR_IO, errno, "%s: cannot be read", path);
    }
    fclose(f);
    return s;
}

static enum nw_status run_check(struct work *w, size_t i, struct nw_error *err)
{
    const struct check *c = &checks[i];
    struct nw_validated *v = &w->result[i];
    struct words words = { 0 };
    char *document = NULL;
    *v = (struct nw_validated){ .name = short_name(c), .summary = c->command->summary };
    snprintf(w->document_file[i], sizeof w->document_file[i], "%s.json", v->name);
    enum nw_status s = options_of(w, i, &words, err);
    int got = 0;
    if (!s) {
        printf("%s== %s: %s\n\n", i ? "\n" : "", c->command->name, c->command->summary);
        fflush(stdout);
        got = c->command->run(c->command, words.count, words.word);
    }
    words_free(&words);
    if (!s && nw_cli_interrupted())
        s = nw_fail(err, NW_ERR_INTERRUPTED, "interrupted during %s", c->command->name);
    if (s)
        return s;
    v->result = got == 0   ? NW_VALIDATED_HOLDS
                : got == 1 ? NW_VALIDATED_MISSED
                : got == 4 ? NW_VALIDATED_NOT_CHECKED
                           : NW_VALIDATED_FAILED;
    if (got > 1) {
        snprintf(w->reason[i], sizeof w->reason[i], "%s", nw_cli_last_failure());
        v->reason = w->reason[i];
        return NW_OK;
    }
    s = read_text(w->directory, w->document_file[i], &document, err);
    v->document = document;
    size_t files = 0;
    for (size_t k = 0; w->into && k < FILES_MAX && c->file[k].option; k++)
        if (!c->file[k].input && there(w->into, c->file[k].file))
            v->file[files++] = c->file[k].file;
    if (w->into)
        v->file[files] = w->document_file[i];
    return s;
}

/* ---- all of them ---- */

static void print_verdicts(const struct work *w)
{
    struct nw_cli_table *t =
        nw_cli_table_new((const char *const[]){ "check", "result", "why not" }, (const bool[3]){ false }, 3);
    for (size_t i = 0; i < CHECKS; i++)
        nw_cli_table_row(t, (const char *const[]){ w->result[i].name, nw_validated_result_name[w->result[i].result],
                                                   w->result[i].reason ? w->result[i].reason : "" });
    printf("\n");
    nw_cli_table_print(t, stdout);
}

static enum nw_status write_all(const struct work *w, struct nw_error *err)
{
    struct nw_measurement here = { 0 };
    char path[PATH_SIZE + 64], *text;
    enum nw_status s = NW_OK;
    if (w->into) {
        if ((s = measured_machine_describe(&here, err)) ||
            (s = nw_validation_html_text(w->result, CHECKS, here.machine, &text, err)))
            return s;
        snprintf(path, sizeof path, "%s/index.html", w->into);
        if ((s = nw_cli_write_text(text, path, err)) || (s = nw_validation_json_text(w->result, CHECKS, &text, err)))
            return s;
        snprintf(path, sizeof path, "%s/all.json", w->into);
        s = nw_cli_write_text(text, path, err);
    }
    if (!s && w->json && !(s = nw_validation_json_text(w->result, CHECKS, &text, err)))
        s = nw_cli_write_text(text, w->json, err);
    return s;
}

static enum nw_status run_all(struct work *w, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    const int standard_output = nw_cli_is_stdout(w->json) ? dup(STDOUT_FILENO) : -1;
    if (nw_cli_is_stdout(w->json) && (standard_output < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0))
        s = nw_fail_errno(err, NW_ERR_ENV, errno, "standard output cannot be kept for the JSON");
    nw_cli_catch_interrupts();
    for (size_t i = 0; i < CHECKS && !s; i++)
        s = run_check(w, i, err);
    if (!s)
        print_verdicts(w);
    fflush(stdout);
    if (standard_output >= 0) {
        dup2(standard_output, STDOUT_FILENO);
        close(standard_output);
    }
    return s ? s : write_all(w, err);
}

/* ---- where the documents go ---- */

static enum nw_status directory_open(struct work *w, struct nw_error *err)
{
    const char *root = getenv("TMPDIR");
    if (w->into) {
        snprintf(w->directory, sizeof w->directory, "%s", w->into);
        return NW_OK;
    }
    snprintf(w->directory, sizeof w->directory, "%.4000s/nestwalk-XXXXXX", root && *root ? root : "/tmp");
    return mkdtemp(w->directory) ? NW_OK
                                 : nw_fail_errno(err, NW_ERR_ENV, errno,
                                                 "%s: no directory can be made there for the results", w->directory);
}

static void directory_close(struct work *w)
{
    char path[PATH_SIZE + 64];
    if (w->into)
        return;
    for (size_t i = 0; i < CHECKS; i++) {
        snprintf(path, sizeof path, "%s/%s.json", w->directory, short_name(&checks[i]));
        unlink(path);
        for (size_t k = 0; k < FILES_MAX && checks[i].file[k].option; k++) {
            snprintf(path, sizeof path, "%s/%s", w->directory, checks[i].file[k].file);
            if (checks[i].file[k].handed_on)
                unlink(path);
        }
    }
    rmdir(w->directory);
}

static int validate(const struct nw_command *self, struct work *w)
{
    struct nw_error err = { 0 };
    bool any = false;
    enum nw_status s = nw_cli_check_writable(w->json, &err);
    if (!s && !(s = directory_open(w, &err))) {
        s = run_all(w, &err);
        directory_close(w);
    }
    for (size_t i = 0; i < CHECKS; i++) {
        any |= w->result[i].document != NULL;
        free((char *)(uintptr_t)w->result[i].document);
    }
    return s ? nw_cli_fail(self, s, &err) : nw_validation_holds(w->result, CHECKS) ? 0 : any ? 1 : 4;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    struct work *w;
    const char *value, *into = NULL, *json = NULL;
    bool full = false;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": this command takes options only", value);
        case OPT_QUICK: full = false; break;
        case OPT_FULL: full = true; break;
        case OPT_JSON: json = value; break;
        default: into = value;
        }
    }
    struct stat st;
    if (into && (stat(into, &st) || !S_ISDIR(st.st_mode) || strlen(into) > PATH_SIZE - 200))
        return nw_cli_usage(self, "--into %s: there is no such directory", into);
    if (!(w = calloc(1, sizeof *w))) {
        struct nw_error err = { 0 };
        return nw_cli_fail(self, nw_fail_nomem(&err, "the checks"), &err);
    }
    w->into = into, w->json = json, w->full = full;
    const int exit_status = validate(self, w);
    free(w);
    return exit_status;
}

const struct nw_command nw_cmd_validate_all = {
    .name = "validate all",
    .synopsis = "[--quick|--full] [--into DIRECTORY] [--json FILE|-]",
    .summary = "every check of the model against this machine, one after the other",
    .details =
        "Runs `validate tlb`, `validate walk` on its samples, `validate programs`, `validate exits`, `validate "
        "shadow`, `validate capture` and "
        "`validate reclaim`. What "
        "cannot be checked here is said, with the reason, and does not count. The profile in DIRECTORY has what tlb "
        "fitted and what exits measured.\n\n"
        "As root, the last makes a swap area on zram, which is gone at its end; nothing else on the machine is "
        "changed, "
        "and all of it is put back after Ctrl-C too.\n\n"
        "Exit status 0: everything that could be checked holds; 1: something does not; 4: nothing could be checked.",
    .examples = "nestwalk validate all\n"
                "mkdir here && nestwalk validate all --full --into here",
    .options = options,
    .run = run,
};
