/* completion.c - a bash completion script, made from the tables of commands and parameters.
 *
 * The script is a list of words a command in `case` branches, and one small function that looks at the words typed so far. An
 * option's argument says how it is completed: "a|b|c" are the words themselves, MACHINE a shipped profile or a file, PATH=VALUE a
 * parameter, anything else in capitals that names no number a file. */
#include "internal.h"
#include <nestwalk/scenarios/machine.h>
#include <nestwalk/sim/config.h>
#include <string.h>

static bool is_parameter(const char *argument) { return strchr(argument, '=') != NULL; }
static bool is_word(char c) { return c && !(c >= 'A' && c <= 'Z'); }
static bool is_choice(const char *argument)
{
    return (strchr(argument, '|') || is_word(argument[0])) && !strpbrk(argument, " =");
}

static bool is_number(const char *argument)
{
    if (argument[0] && !argument[1])
        return true;
    static const char *const words[] = { "GVA",     "BYTES",    "SIZE",  "ADDR", "ADDRESS",
                                         "SECONDS", "FRACTION", "LABEL", "TEXT", "NUMBER" };
    for (size_t i = 0; i < NW_ARRAY_LEN(words); i++)
        if (!strcmp(argument, words[i]))
            return true;
    return false;
}

/* Words of "a|b|FILE" separated by spaces; capitals stand for something else than themselves. */
static void choice_words(FILE *out, const char *argument)
{
    for (const char *word = argument; *word;) {
        size_t length = strcspn(word, "|");
        if (length && is_word(word[0]))
            fprintf(out, "%.*s ", (int)length, word);
        word += length + (word[length] == '|');
    }
}

static void option_case(FILE *out, const struct nw_option *o)
{
    fprintf(out, "        --%s", o->name);
    if (o->letter)
        fprintf(out, "|-%c", o->letter);
    fputs(") ", out);
    if (is_choice(o->argument)) {
        fputs("words='", out);
        choice_words(out, o->argument);
        fputs(strstr(o->argument, "FILE") ? "' files=1" : "'", out);
    } else if (!strcmp(o->argument, "MACHINE")) {
        fputs("words='", out);
        for (size_t i = 0; nw_machine_name(i); i++)
            fprintf(out, "%s ", nw_machine_name(i));
        fputs("' files=1", out);
    } else if (is_parameter(o->argument)) {
        fputs("words=$_nestwalk_parameters; compopt -o nospace 2>/dev/null", out);
    } else if (!is_number(o->argument)) {
        fputs("files=1", out);
    }
    fputs(" ;;\n", out);
}

static void command_case(FILE *out, const struct nw_command *c)
{
    fprintf(out, "    '%s')\n      options='", c->name);
    for (const struct nw_option *o = c->options; o && o->name; o++)
        fprintf(out, "--%s ", o->name);
    fputs("--help'\n      case $previous in\n", out);
    for (const struct nw_option *o = c->options; o && o->name; o++)
        if (o->argument)
            option_case(out, o);
    fputs("        *) [[ $current == -* ]] && words=$options || files=1 ;;\n      esac ;;\n", out);
}

/* First words of the commands, each once: commands of a group stand together. */
static void first_words(FILE *out)
{
    const char *before = "";
    size_t before_length = 0;
    for (const struct nw_command *const *c = nw_commands; *c; c++) {
        size_t length = strcspn((*c)->name, " ");
        if (length != before_length || strncmp(before, (*c)->name, length))
            fprintf(out, "%.*s ", (int)length, (*c)->name);
        before = (*c)->name;
        before_length = length;
    }
}

static void groups(FILE *out)
{
    const char *open = NULL;
    size_t open_length = 0;
    for (const struct nw_command *const *c = nw_commands; *c; c++) {
        const char *space = strchr((*c)->name, ' ');
        size_t length = space ? (size_t)(space - (*c)->name) : 0;
        bool same = open && length == open_length && !strncmp(open, (*c)->name, length);
        if (open && !same)
            fputs("' ;;\n", out);
        if (!same)
            open = NULL;
        if (!space)
            continue;
        if (!open) {
            fprintf(out, "      %.*s) second='", (int)length, (*c)->name);
            open = (*c)->name;
            open_length = length;
        }
        fprintf(out, "%s ", space + 1);
    }
    if (open)
        fputs("' ;;\n", out);
}

/* A star in a parameter's path is a name from the machine profile: the user types on from there. */
static void parameter_words(FILE *out)
{
    size_t count;
    const struct nw_param *p = nw_params(&count);
    const char *before = "";
    size_t before_length = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(p[i].path, "*");
        if (p[i].path[length] != '*')
            fprintf(out, "%s= ", p[i].path);
        else if (length != before_length || strncmp(before, p[i].path, length))
            fprintf(out, "%.*s ", (int)length, p[i].path);
        before = p[i].path;
        before_length = length;
    }
}

/* After PATH=: the values of a parameter that has named ones. The star of a path is a pattern to bash as well. */
static void value_cases(FILE *out)
{
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++) {
        if (p[i].type == NW_PARAM_BOOL) {
            fprintf(out, "      %s) words='0 1' ;;\n", p[i].path);
        } else if (p[i].type == NW_PARAM_CHOICE || p[i].type == NW_PARAM_SET) {
            fprintf(out, "      %s) words='", p[i].path);
            for (const char *const *choice = p[i].choices; *choice; choice++)
                fprintf(out, "%s ", *choice);
            fputs("' ;;\n", out);
        }
    }
}

void nw_cli_write_bash_completion(FILE *out)
{
    fputs("# bash completion of nestwalk; generated by `nestwalk help --completion bash`\n_nestwalk_parameters='", out);
    parameter_words(out);
    fputs("'\n\n_nestwalk()\n{\n"
          "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
          "  local command=${COMP_WORDS[1]} second='' options='' words='' files=''\n"
          "  COMPREPLY=()\n"
          "  if ((COMP_CWORD > 1)); then\n"
          "    case $command in\n",
          out);
    groups(out);
    fputs("    esac\n"
          "    if [[ $second ]] && ((COMP_CWORD > 2)); then\n"
          "      command+=\" ${COMP_WORDS[2]}\" second=''\n"
          "    fi\n"
          "  fi\n"
          "  if ((COMP_CWORD == 1)); then\n"
          "    words='",
          out);
    first_words(out);
    fputs(
        "--help --version'\n"
        "  elif [[ $second ]]; then\n"
        "    words=$second\n"
        "  else\n"
        "    # --option=value and path=value reach us as three words: what stands before \"=\", \"=\", and the value.\n"
        "    if [[ $current == = ]]; then current=''\n"
        "    elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
        "    case $previous in\n",
        out);
    value_cases(out);
    fputs("    esac\n    [[ $words ]] || case $command in\n", out);
    for (const struct nw_command *const *c = nw_commands; *c; c++)
        command_case(out, *c);
    fputs("    esac\n"
          "  fi\n"
          "  if [[ $words ]]; then mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\"); fi\n"
          "  if [[ $files ]]; then\n"
          "    local found\n"
          "    mapfile -t found < <(compgen -f -- \"$current\")\n"
          "    COMPREPLY+=(\"${found[@]}\")\n"
          "    compopt -o filenames 2>/dev/null\n"
          "  fi\n"
          "}\n"
          "complete -F _nestwalk nestwalk\n",
          out);
}
