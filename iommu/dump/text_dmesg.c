/* The kernel's log: dmesg, journalctl -k, a serial console; of Linux's Intel and AMD drivers and of Xen. Boot lines are those of Linux,
 * drivers/iommu/intel/dmar.c and irq_remapping.c, and arch/x86/kernel/apic/io_apic.c. Faults are read as by fault_log.h. */
#include "reader.h"
#include <stdio.h>
#include <stdlib.h>

/* The text behind `word`, or NULL. */
static const char *after(const char *line, const char *word)
{
    const char *at = strstr(line, word);
    return at ? at + strlen(word) + strspn(at + strlen(word), " ") : NULL;
}

/* A number in hexadecimal, with or without 0x. */
static bool number(const char *at, uint64_t *out)
{
    char *end;
    if (!at)
        return false;
    *out = strtoull(at, &end, 16);
    return end > at;
}

/* "[   12.345678] ", after "<6>" or not. */
static bool time_of(const char *line, double *seconds)
{
    if (*line == '<')
        line += strcspn(line, ">") + (strchr(line, '>') != NULL);
    char *end;
    if (*line != '[' || (line[1] != ' ' && (line[1] < '0' || line[1] > '9')))
        return false;
    *seconds = strtod(line + 1, &end);
    return end > line + 1 && *end == ']';
}

/* "dmar0: reg_base_addr fed90000 ver 1:0 cap 1c0000c40660462 ecap 19e2ff0505e" */
static enum nw_status unit_line(struct reader *r, const char *base_text, struct nw_error *err)
{
    uint64_t base, cap, ecap;
    if (!number(base_text, &base) || !number(after(base_text, " cap "), &cap) ||
        !number(after(base_text, " ecap "), &ecap))
        return nw_reader_bad(r, err, "\"NAME: reg_base_addr BASE ver V:V cap CAP ecap ECAP\"");
    char name[NW_DUMP_UNIT_NAME];
    const char *colon = strstr(r->line, ": reg_base_addr"), *first = colon;
    while (first > r->line && first[-1] != ' ')
        first--;
    snprintf(name, sizeof name, "%.*s", (int)(colon - first < 15 ? colon - first : 15), first);
    const size_t before = r->d->units;
    struct nw_dump_unit *u = nw_reader_unit(r, name, base);
    if (!u)
        return nw_fail_nomem(err, "the units of a dump");
    u->from_log |= r->d->units > before;
    nw_reader_register(r, u, NW_DUMP_CAP, cap);
    nw_reader_register(r, u, NW_DUMP_ECAP, ecap);
    r->items++;
    return NW_OK;
}

/* "RMRR base: 0x0000008a76a000 end: 0x0000008a789fff"; what the firmware's table says as well is told once. */
static enum nw_status region_line(struct reader *r, const char *base_text, struct nw_error *err)
{
    uint64_t start, last;
    if (!number(base_text, &start) || !number(after(base_text, " end:"), &last))
        return nw_reader_bad(r, err, "\"RMRR base: START end: LAST\"");
    r->items++;
    for (size_t i = 0; i < r->d->rmrrs; i++)
        if (r->d->rmrr[i].start == start && r->d->rmrr[i].last == last)
            return NW_OK;
    struct nw_dump_range *m = nw_reader_grow(&r->d->rmrr, &r->d->rmrrs, sizeof *m);
    if (!m)
        return nw_fail_nomem(err, "the regions of a dump");
    *m = (struct nw_dump_range){ .start = start, .last = last, .from_log = true, .place = nw_reader_place(r) };
    return NW_OK;
}

static enum nw_status controller_line(struct reader *r, struct nw_dump_ioapic **array, size_t *count, const char *id,
                                      struct nw_error *err)
{
    struct nw_dump_ioapic *a = nw_reader_grow(array, count, sizeof *a);
    if (!a)
        return nw_fail_nomem(err, "the I/O APICs of a dump");
    *a = (struct nw_dump_ioapic){ .id = (uint8_t)strtoul(id, NULL, 10), .place = nw_reader_place(r) };
    r->items++;
    return NW_OK;
}

static enum nw_status option_line(struct reader *r, const char *options, struct nw_error *err)
{
    char *save = NULL;
    r->items++;
    for (char *w = strtok_r((char *)(r->line + (options - r->line)), " \t", &save); w;
         w = strtok_r(NULL, " \t", &save)) {
        struct nw_dump_option *o = nw_reader_grow(&r->d->option, &r->d->options, sizeof *o);
        if (!o)
            return nw_fail_nomem(err, "the options of a dump");
        snprintf(o->text, sizeof o->text, "%.95s", w);
        o->from_log = true;
        o->place = nw_reader_place(r);
    }
    return NW_OK;
}

static enum nw_status boot_line(struct reader *r, struct nw_error *err)
{
    const char *at;
    if ((at = after(r->line, ": reg_base_addr")) != NULL)
        return unit_line(r, at, err);
    if ((at = after(r->line, "RMRR base:")) != NULL)
        return region_line(r, at, err);
    if ((at = after(r->line, "IOAPIC id ")) != NULL && strstr(at, "under DRHD base"))
        return controller_line(r, &r->d->scoped, &r->d->scopeds, at, err);
    if (strstr(r->line, "IOAPIC[") && (at = after(r->line, "apic_id ")) != NULL)
        return controller_line(r, &r->d->ioapic, &r->d->ioapics, at, err);
    if ((at = after(r->line, "Kernel command line:")) != NULL)
        return option_line(r, at, err);
    return NW_OK;
}

/* The log's groups as facts; `time`: of the first line of each, below 0 when the log has no times. */
static enum nw_status take_faults(struct reader *r, const struct nw_fault_log *log, const double *time,
                                  struct nw_error *err)
{
    for (size_t i = 0; i < log->count; i++) {
        const struct nw_fault_group *g = &log->group[i];
        struct nw_dump_fault *f = nw_reader_grow(&r->d->fault, &r->d->faults, sizeof *f);
        if (!f)
            return nw_fail_nomem(err, "the faults of a dump");
        *f = (struct nw_dump_fault){
            .fault = g->fault,
            .count = g->count,
            .lowest = g->lowest,
            .highest = g->highest,
            .has_time = time[i] >= 0,
            .seconds = time[i],
            .place = { .input = r->input, .line = (uint32_t)g->first_line },
        };
        r->items += g->count;
    }
    return NW_OK;
}

static enum nw_status dmesg(struct reader *r, struct nw_error *err)
{
    struct nw_fault_log log = { .group = NULL };
    double *time = NULL;
    size_t times = 0;
    enum nw_status s = NW_OK;
    while (!s && nw_reader_next(r)) {
        double seconds = -1;
        if (!time_of(r->line, &seconds))
            seconds = -1;
        s = nw_fault_log_line(&log, r->line, r->line_number, err);
        while (!s && times < log.count) {
            double *t = nw_reader_grow(&time, &times, sizeof *t);
            if (!t)
                s = nw_fail_nomem(err, "the faults of a dump");
            else
                *t = seconds;
        }
        if (!s)
            s = boot_line(r, err);
    }
    if (!s)
        s = take_faults(r, &log, time, err);
    nw_fault_log_fini(&log);
    free(time);
    return s;
}

/* At the beginning, or behind a time or the name of a device: not the end of a path. */
static bool has_tag(const char *line, const char *tag)
{
    const char *at = strstr(line, tag);
    return at && (at == line || at[-1] == ' ' || at[-1] == ']' || at[-1] == '>');
}

/* dmesg -T: "[Tue Aug 26 16:02:52 2025] ..." */
static bool has_date(const char *line)
{
    static const char *const days[] = { "[Mon ", "[Tue ", "[Wed ", "[Thu ", "[Fri ", "[Sat ", "[Sun " };
    for (size_t i = 0; i < NW_ARRAY_LEN(days); i++)
        if (!strncmp(line, days[i], 5))
            return true;
    return false;
}

static bool begins(const struct reader *r)
{
    double seconds;
    return time_of(r->line, &seconds) || has_date(r->line) || !strncmp(r->line, "kern  :", 7) ||
           has_tag(r->line, "DMAR: ") || has_tag(r->line, "DMAR:[") || has_tag(r->line, "AMD-Vi: ") ||
           strstr(r->line, " kernel: ") || !strncmp(r->line, "(XEN) ", 6);
}

const struct text_format nw_text_dmesg = { .name = "dmesg", .begins = begins, .parse = dmesg };
