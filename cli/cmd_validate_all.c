/* cmd_validate_all.c - `nestwalk validate all`: the other checks of this machine, one after the other. */
#include "cli.h"
#include "result_files.h"
#include <nestwalk/base/bits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

extern const struct nw_command nw_cmd_validate_tlb, nw_cmd_validate_exits, nw_cmd_validate_shadow,
    nw_cmd_validate_capture, nw_cmd_validate_programs;

enum { OPT_QUICK, OPT_FULL, OPT_INTO };
static const struct nw_option options[] = {
    [OPT_QUICK] = { "quick", 'q', NULL, "The quick form of each (default)." },
    [OPT_FULL] = { "full", 'f', NULL, "The full form of each." },
    [OPT_INTO] = { "into", 'd', "DIRECTORY",
                   "Write there, for each check, NAME.json; of tlb and programs the pages NAME.html and the samples "
                   "NAME.db "
                   "as well, and the fitted machine.xml." },
    { 0 },
};

enum { ARGUMENTS_MAX = 12, PATH_SIZE = 4096, OUTPUTS_MAX = 4 };

/* What each check is given: whether it knows --quick and --full, and what it writes. */
static const struct check {
    const struct nw_command *command;
    bool has_extent;
    struct {
        const char *option, *file;
    } output[OUTPUTS_MAX];
} checks[] = {
    { &nw_cmd_validate_tlb,
      true,
      { { "--json", "tlb.json" },
        { "--html", "tlb.html" },
        { "--samples", "tlb.db" },
        { "--profile", "machine.xml" } } },
    { &nw_cmd_validate_programs,
      true,
      { { "--json", "programs.json" }, { "--html", "programs.html" }, { "--samples", "programs.db" } } },
    { &nw_cmd_validate_exits, true, { { "--json", "exits.json" } } },
    { &nw_cmd_validate_shadow, false, { { "--json", "shadow.json" } } },
    { &nw_cmd_validate_capture, false, { { "--json", "capture.json" } } },
};

static int run_check(const struct check *c, bool full, const char *into)
{
    static char path[OUTPUTS_MAX][PATH_SIZE];
    char name[32], *argv[ARGUMENTS_MAX] = { name };
    int argc = 1;
    snprintf(name, sizeof name, "%s", strrchr(c->command->name, ' ') + 1);
    if (c->has_extent)
        argv[argc++] = full ? "--full" : "--quick";
    for (size_t i = 0; into && i < OUTPUTS_MAX && c->output[i].option; i++) {
        snprintf(path[i], sizeof path[i], "%.4000s/%s", into, c->output[i].file);
        argv[argc++] = (char *)(uintptr_t)c->output[i].option;
        argv[argc++] = path[i];
    }
    return c->command->run(c->command, argc, argv);
}

static int validate(bool full, const char *into)
{
    static const char *const verdict[] = { [0] = "holds", [1] = "does not hold", [4] = "cannot be checked here" };
    int result[NW_ARRAY_LEN(checks)];
    bool any = false, no = false;
    for (size_t i = 0; i < NW_ARRAY_LEN(checks); i++) {
        printf("%s== %s: %s\n\n", i ? "\n" : "", checks[i].command->name, checks[i].command->summary);
        fflush(stdout);
        result[i] = run_check(&checks[i], full, into);
        if (nw_cli_interrupted())
            return 4;
        any |= result[i] <= 1;
        no |= result[i] == 1;
    }
    printf("\n");
    for (size_t i = 0; i < NW_ARRAY_LEN(checks); i++)
        printf("%s: %s\n", checks[i].command->name,
               result[i] == 0 || result[i] == 1 || result[i] == 4 ? verdict[result[i]] : "failed");
    return no ? 1 : any ? 0 : 4;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    const char *value, *into = NULL;
    bool full = false;
    int option;
    nw_cli_parser_init(&parser, self, argc, argv);
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case NW_CLI_ARGUMENT: return nw_cli_usage(self, "\"%s\": this command takes options only", value);
        case OPT_QUICK: full = false; break;
        case OPT_FULL: full = true; break;
        default: into = value;
        }
    }
    struct stat st;
    if (into && (stat(into, &st) || !S_ISDIR(st.st_mode)))
        return nw_cli_usage(self, "--into %s: there is no such directory", into);
    return validate(full, into);
}

const struct nw_command nw_cmd_validate_all = {
    .name = "validate all",
    .synopsis = "[--quick|--full] [--into DIRECTORY]",
    .summary = "every check of the model against this machine, one after the other",
    .details =
        "Runs `validate tlb`, `validate programs`, `validate exits`, `validate shadow` and `validate capture`. What "
        "cannot be checked here "
        "is "
        "said, with the reason, and does not count.\n\n"
        "Exit status 0: everything that could be checked holds; 1: something does not; 4: nothing could be checked.",
    .examples = "nestwalk validate all\n"
                "mkdir here && nestwalk validate all --full --into here",
    .options = options,
    .run = run,
};
