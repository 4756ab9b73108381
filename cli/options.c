/* options.c - command lines from tables: parsing, usage errors, numbers. */
#include "internal.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void nw_cli_parser_init(struct nw_cli_parser *p, const struct nw_command *command, int argc, char **argv)
{
    *p = (struct nw_cli_parser){ .command = command, .argc = argc, .argv = argv, .index = 1 };
}

static int stop(struct nw_cli_parser *p, int exit_status)
{
    p->exit_status = exit_status;
    return NW_CLI_EXIT;
}

static int help(struct nw_cli_parser *p)
{
    nw_cli_help_command(p->command, stdout);
    return stop(p, 0);
}

static int unknown_long(struct nw_cli_parser *p, const char *name, size_t length)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%.*s", (int)length, name);
    struct nw_cli_suggestion s;
    nw_cli_suggest_init(&s, wanted);
    for (const struct nw_option *o = p->command->options; o && o->name; o++)
        nw_cli_suggest_offer(&s, o->name);
    nw_cli_suggest_offer(&s, "help");
    if (s.best)
        return stop(p, nw_cli_usage(p->command, "unknown option --%s; did you mean --%s?", wanted, s.best));
    return stop(p, nw_cli_usage(p->command, "unknown option --%s", wanted));
}

static int missing_argument(struct nw_cli_parser *p, const struct nw_option *o)
{
    return stop(p, nw_cli_usage(p->command, "--%s needs an argument: %s", o->name, o->argument));
}

static int next_long(struct nw_cli_parser *p, const char *text, const char **value)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    const struct nw_option *o = p->command->options;
    for (; o && o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, text, length))
            break;
    if (!o || !o->name) {
        if (length == 4 && !strncmp(text, "help", 4))
            return help(p);
        return unknown_long(p, text, length);
    }
    if (!o->argument) {
        if (equals)
            return stop(p, nw_cli_usage(p->command, "--%s takes no argument", o->name));
    } else if (equals) {
        *value = equals + 1;
    } else if (p->index < p->argc) {
        *value = p->argv[p->index++];
    } else {
        return missing_argument(p, o);
    }
    return (int)(o - p->command->options);
}

static int next_short(struct nw_cli_parser *p, const char **value)
{
    char letter = *p->cluster++;
    const struct nw_option *o = p->command->options;
    for (; o && o->name; o++)
        if (o->letter && o->letter == letter)
            break;
    if (!o || !o->name) {
        if (letter == 'h')
            return help(p);
        return stop(p, nw_cli_usage(p->command, "unknown option -%c", letter));
    }
    if (o->argument) {
        if (*p->cluster)
            *value = p->cluster;
        else if (p->index < p->argc)
            *value = p->argv[p->index++];
        else
            return missing_argument(p, o);
        p->cluster = NULL;
    }
    return (int)(o - p->command->options);
}

int nw_cli_next(struct nw_cli_parser *p, const char **value)
{
    *value = NULL;
    if (p->cluster && *p->cluster)
        return next_short(p, value);
    p->cluster = NULL;
    if (p->index >= p->argc)
        return NW_CLI_DONE;
    const char *word = p->argv[p->index++];
    if (p->only_arguments || word[0] != '-' || !word[1]) { /* a lone "-" is stdin or stdout */
        *value = word;
        return NW_CLI_ARGUMENT;
    }
    if (word[1] != '-') {
        p->cluster = word + 1;
        return next_short(p, value);
    }
    if (!word[2]) {
        p->only_arguments = true;
        return nw_cli_next(p, value);
    }
    return next_long(p, word + 2, value);
}

static void say(const struct nw_command *command, const char *text)
{
    nw_cli_progress_clear();
    bool colour = nw_cli_colour(stderr);
    fprintf(stderr, "%snestwalk%s%s:%s %s\n", colour ? "\033[1;31m" : "", command ? " " : "",
            command ? command->name : "", colour ? "\033[0m" : "", text);
}

static char last_failure[1024];

const char *nw_cli_last_failure(void) { return last_failure; }

int nw_cli_fail(const struct nw_command *command, enum nw_status status, const struct nw_error *err)
{
    snprintf(last_failure, sizeof last_failure, "%s",
             err && err->text[0] ? err->text : "failed, and no part of it said why");
    say(command, last_failure);
    return nw_status_exit_code(status);
}

int nw_cli_usage(const struct nw_command *command, const char *format, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, " (see nestwalk %s%s--help)", command ? command->name : "",
             command ? " " : "");
    say(command, text);
    return nw_status_exit_code(NW_ERR_USAGE);
}

bool nw_cli_parse_u64(const char *text, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9') /* strtoull would take signs and leading space */
        return false;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, hexadecimal ? 16 : 10);
    if (errno || end == text || (hexadecimal && end == text + 1))
        return false;
    unsigned shift = 0;
    if (*end) {
        static const char suffixes[] = "KMGTP";
        const char upper = (char)(*end & ~0x20);
        const char *suffix = strchr(suffixes, upper);
        if (!upper || !suffix || end[1])
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
    }
    if (shift && number >> (64 - shift))
        return false;
    *out = (uint64_t)number << shift;
    return true;
}

bool nw_cli_parse_double(const char *text, double *out)
{
    char *end;
    errno = 0;
    if (!*text || *text == ' ' || *text == '\t')
        return false;
    double number = strtod(text, &end);
    if (errno || end == text || *end || !isfinite(number))
        return false;
    *out = number;
    return true;
}
