/* help.c - what --help prints, from the command tables. */
#include "internal.h"
#include <string.h>

enum { HELP_WIDTH = 100, OPTION_COLUMN = 30 };

/* Where a text being filled stands. */
struct filler {
    FILE *out;
    unsigned indent, width, column;
    bool empty; /* nothing stands on this line behind the indentation */
};

static void new_line(struct filler *f, unsigned indent)
{
    fprintf(f->out, "\n%*s", (int)indent, "");
    f->column = indent;
    f->empty = true;
}

static void fill_words(struct filler *f, const char *line, size_t length)
{
    const char *end = line + length;
    while (line < end) {
        size_t word = strcspn(line, " \n");
        if (word && !f->empty && f->column + 1 + word > f->width)
            new_line(f, f->indent);
        if (word) {
            fprintf(f->out, "%s%.*s", f->empty ? "" : " ", (int)word, line);
            f->column += (unsigned)word + !f->empty;
            f->empty = false;
        }
        line += word + 1;
    }
}

void nw_cli_wrap(FILE *out, const char *text, unsigned indent, unsigned column, unsigned width)
{
    struct filler f = { out, indent, width, column < indent ? indent : column, true };
    fprintf(out, "%*s", (int)(f.column - column), "");
    bool paragraph_ended = false, picture_before = false;
    while (*text) {
        size_t length = strcspn(text, "\n");
        bool picture = *text == ' ';
        if (!length) {
            paragraph_ended = true;
        } else {
            if (paragraph_ended)
                putc('\n', out);
            if (paragraph_ended || ((picture || picture_before) && !f.empty))
                new_line(&f, indent);
            if (picture)
                fprintf(out, "%.*s", (int)length, text);
            else
                fill_words(&f, text, length);
            f.empty = f.empty && !picture;
            paragraph_ended = false;
            picture_before = picture;
        }
        text += length + (text[length] == '\n');
    }
    putc('\n', out);
}

static void heading(FILE *out, const char *text)
{
    bool bold = nw_cli_colour(out);
    fprintf(out, "\n%s%s%s\n", bold ? "\033[1m" : "", text, bold ? "\033[0m" : "");
}

static void option_line(FILE *out, char letter, const char *name, const char *argument, const char *doc, unsigned width)
{
    char left[128];
    int used = letter ? snprintf(left, sizeof left, "  -%c, --%s", letter, name)
                      : snprintf(left, sizeof left, "      --%s", name);
    if (argument && used >= 0 && (size_t)used < sizeof left)
        used += snprintf(left + used, sizeof left - (size_t)used, " %s", argument);
    unsigned column = (unsigned)strlen(left);
    fputs(left, out);
    if (column + 2 > OPTION_COLUMN) {
        putc('\n', out);
        column = 0;
    }
    nw_cli_wrap(out, doc, OPTION_COLUMN, column, width);
}

void nw_cli_help_command(const struct nw_command *command, FILE *out)
{
    unsigned width = nw_cli_columns(out, HELP_WIDTH, HELP_WIDTH);
    fprintf(out, "nestwalk %s - %s\n", command->name, command->summary);
    heading(out, "Usage");
    char usage[64];
    snprintf(usage, sizeof usage, "  nestwalk %s ", command->name);
    fputs(usage, out);
    unsigned column = (unsigned)strlen(usage);
    nw_cli_wrap(out, command->synopsis ? command->synopsis : "", column, column, width);
    if (command->details) {
        putc('\n', out);
        nw_cli_wrap(out, command->details, 0, 0, width);
    }
    heading(out, "Options");
    for (const struct nw_option *o = command->options; o && o->name; o++)
        option_line(out, o->letter, o->name, o->argument, o->doc, width);
    option_line(out, 0, "help", NULL, "Print this text.", width);
    if (command->examples) {
        heading(out, "Examples");
        const char *line = command->examples;
        while (*line) {
            size_t length = strcspn(line, "\n");
            if (length)
                fprintf(out, "  %.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
    }
}

static void command_lines(FILE *out, const char *group, unsigned width)
{
    for (const struct nw_command *const *c = nw_commands; *c; c++) {
        size_t length = group ? strlen(group) : 0;
        if (group && (strncmp((*c)->name, group, length) || (*c)->name[length] != ' '))
            continue;
        int used = fprintf(out, "  %-17s", (*c)->name);
        nw_cli_wrap(out, (*c)->summary, 20, used > 0 ? (unsigned)used : 0, width);
    }
}

void nw_cli_help_group(const char *group, FILE *out)
{
    fprintf(out, "nestwalk %s - a group of commands\n", group);
    heading(out, "Commands");
    command_lines(out, group, nw_cli_columns(out, HELP_WIDTH, HELP_WIDTH));
    fprintf(out, "\nnestwalk %s COMMAND --help says more.\n", group);
}

void nw_cli_help_program(FILE *out)
{
    unsigned width = nw_cli_columns(out, HELP_WIDTH, HELP_WIDTH);
    fputs("nestwalk - what memory virtualization costs, from a trace of a real guest\n", out);
    heading(out, "Usage");
    fputs("  nestwalk COMMAND [ARGUMENTS]\n  nestwalk COMMAND --help\n  nestwalk --version\n", out);
    heading(out, "Commands");
    command_lines(out, NULL, width);
    heading(out, "Exit status");
    fputs("  0 success   1 the answer is \"no\"   2 usage   3 bad input   4 internal or environment failure\n", out);
}
