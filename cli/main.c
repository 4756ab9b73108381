/* main.c - finds the command, runs it, and sees to it that lost output is not taken for success. */
#include "internal.h"
#include <string.h>

const struct nw_command *nw_cli_command_find(const char *name)
{
    for (const struct nw_command *const *c = nw_commands; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

bool nw_cli_is_group(const char *word)
{
    size_t length = strlen(word);
    for (const struct nw_command *const *c = nw_commands; *c; c++)
        if (!strncmp((*c)->name, word, length) && (*c)->name[length] == ' ')
            return true;
    return false;
}

static int unknown_command(const char *wanted)
{
    struct nw_cli_suggestion s;
    nw_cli_suggest_init(&s, wanted);
    for (const struct nw_command *const *c = nw_commands; *c; c++)
        nw_cli_suggest_offer(&s, (*c)->name);
    if (s.best)
        return nw_cli_usage(NULL, "unknown command \"%s\"; did you mean \"%s\"?", wanted, s.best);
    return nw_cli_usage(NULL, "unknown command \"%s\"", wanted);
}

/* argv[0] is the first word of a two-word command. */
static int run_in_group(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        nw_cli_help_group(argv[0], stdout);
        return 0;
    }
    if (argc < 2) {
        nw_cli_help_group(argv[0], stderr);
        return nw_status_exit_code(NW_ERR_USAGE);
    }
    char name[128];
    snprintf(name, sizeof name, "%s %s", argv[0], argv[1]);
    const struct nw_command *command = nw_cli_command_find(name);
    return command ? command->run(command, argc - 1, argv + 1) : unknown_command(name);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        nw_cli_help_program(stderr);
        return nw_status_exit_code(NW_ERR_USAGE);
    }
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
        nw_cli_help_program(stdout);
        return 0;
    }
    if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
        puts("nestwalk " NESTWALK_VERSION);
        return 0;
    }
    if (word[0] == '-')
        return nw_cli_usage(NULL, "unknown option %s before the command", word);
    const struct nw_command *command = nw_cli_command_find(word);
    if (command)
        return command->run(command, argc - 1, argv + 1);
    return nw_cli_is_group(word) ? run_in_group(argc - 1, argv + 1) : unknown_command(word);
}

int main(int argc, char **argv)
{
    nw_cli_catch_broken_pipe();
    int status = run(argc, argv);
    if (!nw_cli_output_finish())
        status = nw_status_exit_code(NW_ERR_IO);
    return status;
}
