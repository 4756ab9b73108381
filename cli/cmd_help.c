/* cmd_help.c - `nestwalk help [COMMAND]`, and the manual page and bash completion that the build makes from the same tables. */
#include "internal.h"
#include <string.h>

enum { OPT_MAN, OPT_COMPLETION };
static const struct nw_option options[] = {
    { "man", 0, NULL, "Print the manual page (roff); the build installs it." },
    { "completion", 0, "bash", "Print the completion script of that shell; the build installs it." },
    { 0 },
};

static int help_for(const struct nw_command *self, const char *name)
{
    const struct nw_command *command = nw_cli_command_find(name);
    if (command)
        nw_cli_help_command(command, stdout);
    else if (nw_cli_is_group(name))
        nw_cli_help_group(name, stdout);
    else
        return nw_cli_usage(self, "there is no command \"%s\"", name);
    return 0;
}

static int run(const struct nw_command *self, int argc, char **argv)
{
    struct nw_cli_parser parser;
    nw_cli_parser_init(&parser, self, argc, argv);
    const char *value;
    char name[128] = "";
    int option;
    while ((option = nw_cli_next(&parser, &value)) != NW_CLI_DONE) {
        switch (option) {
        case NW_CLI_EXIT: return parser.exit_status;
        case OPT_MAN: nw_cli_write_man(stdout); return 0;
        case OPT_COMPLETION:
            if (strcmp(value, "bash"))
                return nw_cli_usage(self, "no completion for \"%s\"; there is one for bash", value);
            nw_cli_write_bash_completion(stdout);
            return 0;
        default: {
            size_t used = strlen(name);
            snprintf(name + used, sizeof name - used, "%s%s", used ? " " : "", value);
        }
        }
    }
    if (name[0])
        return help_for(self, name);
    nw_cli_help_program(stdout);
    return 0;
}

const struct nw_command nw_cmd_help = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "what a command does and takes",
    .options = options,
    .run = run,
    .examples = "nestwalk help trace info",
};
