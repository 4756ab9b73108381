/* man.c - nestwalk(1), made from the tables of commands and parameters. */
#include "internal.h"
#include <nestwalk/sim/config.h>
#include <nestwalk/sim/vms.h>
#include <string.h>

/* Text with what roff would take for its own escaped: backslashes, hyphens that are to stay ASCII, and a leading dot or quote. */
static void roff(FILE *out, const char *text, size_t length)
{
    bool line_start = true;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (line_start && (c == '.' || c == '\''))
            fputs("\\&", out);
        if (c == '\\')
            fputs("\\e", out);
        else if (c == '-')
            fputs("\\-", out);
        else
            putc(c, out);
        line_start = c == '\n';
    }
}

static void roff_text(FILE *out, const char *text) { roff(out, text, strlen(text)); }

/* Paragraphs as nw_cli_wrap() understands them: an empty line ends one, indented lines are pictures. */
static void roff_paragraphs(FILE *out, const char *text)
{
    bool picture = false;
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length && (*text == ' ') != picture) {
            picture = !picture;
            fputs(picture ? ".nf\n" : ".fi\n", out);
        }
        if (length) {
            roff(out, text, length);
            putc('\n', out);
        } else {
            fputs(picture ? ".fi\n.PP\n" : ".PP\n", out);
            picture = false;
        }
        text += length + (text[length] == '\n');
    }
    if (picture)
        fputs(".fi\n", out);
}

static void option(FILE *out, char letter, const char *name, const char *argument, const char *doc)
{
    fputs(".TP\n", out);
    if (letter)
        fprintf(out, "\\fB\\-%c\\fR, ", letter);
    fputs("\\fB\\-\\-", out);
    roff_text(out, name);
    fputs("\\fR", out);
    if (argument) {
        fputs(" \\fI", out);
        roff_text(out, argument);
        fputs("\\fR", out);
    }
    putc('\n', out);
    roff_text(out, doc);
    putc('\n', out);
}

static void command(FILE *out, const struct nw_command *c)
{
    fprintf(out, ".SS nestwalk %s\n", c->name);
    roff_text(out, c->summary);
    fprintf(out, "\n.PP\n.B nestwalk %s\n", c->name);
    roff_text(out, c->synopsis ? c->synopsis : "");
    putc('\n', out);
    if (c->details) {
        fputs(".PP\n", out);
        roff_paragraphs(out, c->details);
    }
    for (const struct nw_option *o = c->options; o && o->name; o++)
        option(out, o->letter, o->name, o->argument, o->doc);
    if (c->examples) {
        fputs(".PP\nExamples:\n.PP\n.RS\n.nf\n", out);
        roff_text(out, c->examples);
        if (c->examples[0] && c->examples[strlen(c->examples) - 1] != '\n')
            putc('\n', out);
        fputs(".fi\n.RE\n", out);
    }
}

static void parameter(FILE *out, const struct nw_param *p)
{
    fputs(".TP\n\\fB", out);
    roff_text(out, p->path);
    fputs("\\fR\n", out);
    roff_text(out, p->doc);
    fputs(".\n", out);
    switch (p->type) {
    case NW_PARAM_CHOICE:
    case NW_PARAM_SET:
        fputs(p->type == NW_PARAM_SET ? "Any of" : "One of", out);
        for (const char *const *choice = p->choices; *choice; choice++) {
            fputs(choice == p->choices ? " " : ", ", out);
            roff_text(out, *choice);
        }
        fputs(".\n", out);
        break;
    case NW_PARAM_COUNT:
    case NW_PARAM_BYTES:
    case NW_PARAM_REAL:
        fprintf(out, "From %.15g to %.15g%s%s.\n", p->min, p->max, p->unit[0] ? " " : "", p->unit);
        break;
    case NW_PARAM_BOOL: fputs("0 or 1.\n", out); break;
    case NW_PARAM_TEXT: break;
    }
    if (p->initial && p->initial[0]) {
        fputs("Default: ", out);
        roff_text(out, p->initial);
        fputs(".\n", out);
    }
}

static void parameters(FILE *out)
{
    fputs(".SH PARAMETERS\n"
          "What\n.B \\-\\-set\nand the\n.B set\nand\n.B sweep\nelements of a scenario name."
          " Numbers of bytes and counts take the suffixes K, M, G and T (powers of 1024).\n"
          "A star stands for the name of a TLB array or cache of the machine profile:\n.B tlb.l2.entries\n"
          "is the capacity of the array l2. Defaults are those of the machine\n.BR textbook ;\n"
          "a machine profile sets its own.\n",
          out);
    static const char *const title[] = {
        [NW_GROUP_RUN] = "Run",         [NW_GROUP_GUEST] = "Guest", [NW_GROUP_VMM] = "Hypervisor",
        [NW_GROUP_IOMMU] = "IOMMU",     [NW_GROUP_IO] = "I/O",      [NW_GROUP_MIX] = "Mix of exits",
        [NW_GROUP_MACHINE] = "Machine",
    };
    size_t count;
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++) {
        if (!i || p[i].group != p[i - 1].group)
            fprintf(out, ".SS %s\n", title[p[i].group]);
        parameter(out, &p[i]);
    }
    p = nw_vms_params(&count);
    fputs(".SS Several guests on one host\n"
          "In files whose first element is <guests>. vm.* is written vm.NAME.*, with the guest's name, and work.* is "
          "vm.NAME.work.*, of all its works, or vm.NAME.work.N.*, of one.\n",
          out);
    for (size_t i = 0; i < count; i++)
        parameter(out, &p[i]);
}

void nw_cli_write_man(FILE *out)
{
    fputs(".TH NESTWALK 1 \"\" \"nestwalk " NESTWALK_VERSION "\" \"User Commands\"\n"
          ".SH NAME\nnestwalk \\- what memory virtualization costs, from a trace of a real guest\n"
          ".SH SYNOPSIS\n.B nestwalk\n.I command\n.RI [ arguments ]\n.br\n.B nestwalk\n.I command\n.B \\-\\-help\n.br\n"
          ".B nestwalk \\-\\-version\n"
          ".SH DESCRIPTION\n",
          out);
    roff_paragraphs(
        out, "nestwalk replays memory traces, captured from a live KVM guest, imported from other tools or "
             "generated, through a model of a machine whose page tables hold real bits, and reports where every "
             "reference, cycle, exit and fault went: natively, under shadow page tables and under nested paging.\n\n"
             "Results go to standard output, progress and messages to standard error. Files are written under a "
             "temporary name and renamed when they are whole; nothing is written but what the command line names.");
    fputs(".SH COMMANDS\n", out);
    for (const struct nw_command *const *c = nw_commands; *c; c++)
        command(out, *c);
    parameters(out);
    fputs(
        ".SH EXIT STATUS\n"
        ".TP\n.B 0\nSuccess.\n"
        ".TP\n.B 1\nThe answer is \\(lqno\\(rq: a check found problems, a comparison differs.\n"
        ".TP\n.B 2\nThe command line is wrong.\n"
        ".TP\n.B 3\nAn input is malformed.\n"
        ".TP\n.B 4\nThe environment lacks something, the run was interrupted, output was lost, or the program failed.\n"
        ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nWhen set and not empty, no colours are used.\n",
        out);
}
