/* table.c - terminal tables. Numbers are never cut; text columns give way when a line would exceed 100 columns. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_WIDTH_MAX = 100, GAP = 2, TEXT_WIDTH_MIN = 8 };

struct nw_cli_table {
    unsigned columns;
    size_t rows, capacity;
    bool *numeric;
    char **cell; /* rows * columns; a rule is a row whose first cell is NULL. Row 0 is the heading. */
    bool incomplete;
};

void nw_cli_table_free(struct nw_cli_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->rows * t->columns; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t->numeric);
    free(t);
}

/* Columns that UTF-8 text takes, when every character takes one. */
static unsigned text_width(const char *text)
{
    unsigned width = 0;
    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

/* Bytes of the first `width` characters. */
static size_t text_prefix(const char *text, unsigned width)
{
    size_t i = 0;
    for (; text[i]; i++)
        if ((text[i] & 0xc0) != 0x80 && !width--)
            break;
    return i;
}

static char **row_new(struct nw_cli_table *t)
{
    if (t->rows == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 16;
        char **grown = reallocarray(t->cell, capacity * t->columns, sizeof *grown);
        if (!grown) {
            t->incomplete = true;
            return NULL;
        }
        t->cell = grown;
        t->capacity = capacity;
    }
    char **row = t->cell + t->rows++ * t->columns;
    memset(row, 0, t->columns * sizeof *row);
    return row;
}

void nw_cli_table_row(struct nw_cli_table *t, const char *const *cell)
{
    char **row = t ? row_new(t) : NULL;
    if (!row)
        return;
    for (unsigned c = 0; c < t->columns; c++)
        if (!(row[c] = strdup(cell[c] ? cell[c] : "")))
            t->incomplete = true;
}

void nw_cli_table_rule(struct nw_cli_table *t)
{
    if (t)
        row_new(t);
}

struct nw_cli_table *nw_cli_table_new(const char *const *heading, const bool *numeric, unsigned columns)
{
    struct nw_cli_table *t = calloc(1, sizeof *t);
    bool *copy = calloc(columns ? columns : 1, sizeof *copy);
    if (!t || !copy) {
        free(t);
        free(copy);
        return NULL; /* the other functions take NULL, and nw_cli_table_print says so */
    }
    memcpy(copy, numeric, columns * sizeof *copy);
    t->columns = columns;
    t->numeric = copy;
    nw_cli_table_row(t, heading);
    return t;
}

/* What column c takes when nothing is cut. */
static unsigned column_width(const struct nw_cli_table *t, unsigned c)
{
    unsigned width = 0;
    for (size_t r = 0; r < t->rows; r++) {
        const char *cell = t->cell[r * t->columns + c];
        unsigned w = cell ? text_width(cell) : 0;
        width = w > width ? w : width;
    }
    return width;
}

bool nw_cli_table_fits(const struct nw_cli_table *t)
{
    unsigned total = t && t->columns ? (t->columns - 1) * GAP : 0;
    for (unsigned c = 0; t && c < t->columns; c++)
        total += column_width(t, c);
    return total <= TABLE_WIDTH_MAX;
}

static void widths_of(const struct nw_cli_table *t, unsigned *width)
{
    unsigned total = (t->columns - 1) * GAP;
    for (unsigned c = 0; c < t->columns; c++)
        total += width[c] = column_width(t, c);
    while (total > TABLE_WIDTH_MAX) {
        unsigned widest = t->columns;
        for (unsigned c = 0; c < t->columns; c++)
            if (!t->numeric[c] && width[c] > TEXT_WIDTH_MIN && (widest == t->columns || width[c] > width[widest]))
                widest = c;
        if (widest == t->columns)
            break;
        width[widest]--;
        total--;
    }
}

/* Returns how many spaces are still to come before the next cell: a line does not end in any. */
static unsigned print_cell(FILE *out, unsigned spaces, const char *text, unsigned width, bool numeric)
{
    unsigned w = text_width(text);
    if (!w)
        return spaces + width + GAP;
    fprintf(out, "%*s", (int)(spaces + (numeric && w < width ? width - w : 0)), "");
    if (w > width) {
        fprintf(out, "%.*s...", (int)text_prefix(text, width - 3), text);
        return GAP;
    }
    fputs(text, out);
    return GAP + (numeric ? 0 : width - w);
}

static void print_row(const struct nw_cli_table *t, const unsigned *width, size_t r, FILE *out)
{
    char *const *row = t->cell + r * t->columns;
    if (!row[0]) {
        unsigned total = (t->columns - 1) * GAP;
        for (unsigned c = 0; c < t->columns; c++)
            total += width[c];
        while (total--)
            putc('-', out);
    } else {
        bool bold = r == 0 && nw_cli_colour(out);
        unsigned spaces = 0;
        fputs(bold ? "\033[1m" : "", out);
        for (unsigned c = 0; c < t->columns; c++)
            spaces = print_cell(out, spaces, row[c], width[c], t->numeric[c]);
        fputs(bold ? "\033[0m" : "", out);
    }
    putc('\n', out);
}

void nw_cli_table_print(struct nw_cli_table *t, FILE *out)
{
    unsigned *width = t && t->columns ? calloc(t->columns, sizeof *width) : NULL;
    if (!width || t->incomplete) {
        nw_cli_output_lost("a table");
    } else {
        widths_of(t, width);
        for (size_t r = 0; r < t->rows; r++)
            print_row(t, width, r, out);
    }
    free(width);
    nw_cli_table_free(t);
}

bool nw_cli_colour(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if ((no_color && *no_color) || (term && !strcmp(term, "dumb")))
        return false;
    return isatty(fileno(stream)) == 1;
}
