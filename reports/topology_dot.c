/* topology_dot.c - the topology as a picture: a frame for each segment, units on the left, then bridges and functions as they hang on each
 * other, then the domains that they are in and the regions that are reserved for them. */
#include "reports_internal.h"
#include "topology.h"
#include <inttypes.h>
#include <nestwalk/reports/survey.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 8 /* functions by name in a box; the others are counted */, WHAT_MAX = 40 };

/* Functions that nothing tells apart share a box, which is the first one's: a machine has hundreds. Bridges have boxes of their own. */
static bool same_box(const struct topo_function *a, const struct topo_function *b)
{
    return !a->bridge && !b->bridge && a->segment == b->segment && a->unit == b->unit && a->parent == b->parent &&
           a->group == b->group && a->domain == b->domain;
}

static bool is_linked(const struct topology *t, size_t function)
{
    for (size_t i = 0; i < t->links; i++)
        if (t->link[i].function == function)
            return true;
    return false;
}

struct drawing {
    struct text text;
    const struct topology *t;
    const struct nw_dump *dump;
    size_t *box;  /* of each function: the one whose box it is in */
    bool *linked; /* of each function: has a region, and so a box of its own */
};

static void find_boxes(struct drawing *d)
{
    const struct topology *t = d->t;
    for (size_t i = 0; i < t->functions; i++)
        d->linked[i] = is_linked(t, i);
    for (size_t i = 0; i < t->functions; i++) {
        d->box[i] = i;
        for (size_t j = 0; j < i && !d->linked[i]; j++)
            if (d->box[j] == j && !d->linked[j] && same_box(&t->function[i], &t->function[j])) {
                d->box[i] = j;
                break;
            }
    }
}

static void function_text(const struct topo_function *f, char out[96])
{
    char what[WHAT_MAX + 1] = "";
    const int used = snprintf(out, 96, "%04x:%02x:%02x.%x", f->segment, f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7);
    if (f->what)
        utf8_copy(what, sizeof what, f->what);
    if (*what)
        snprintf(out + used, 96 - (size_t)used, " %s%s", what, strlen(f->what) > strlen(what) ? "..." : "");
    else if (!f->present)
        snprintf(out + used, 96 - (size_t)used, " (named only)");
}

static void draw_box(struct drawing *d, size_t box)
{
    const struct topology *t = d->t;
    const struct topo_function *first = &t->function[box];
    struct text label = { 0 };
    unsigned count = 0;
    for (size_t i = box; i < t->functions; i++) {
        char name[96];
        if (d->box[i] != box || count++ >= NAMED_MAX)
            continue;
        function_text(&t->function[i], name);
        text_printf(&label, "%s%s", count > 1 ? "\n" : "", name);
    }
    if (count > NAMED_MAX)
        text_printf(&label, "\nand %u more", count - NAMED_MAX);
    if (first->bridge && first->has_buses)
        text_printf(&label, "\nbuses %02x-%02x", first->secondary, first->subordinate);
    text_printf(&d->text, "    f%zu [class=\"%s\" fillcolor=\"%s\" label=", box, first->bridge ? "bridge" : "function",
                first->bridge ? "#e6e0f3" : "#dbe9f6");
    dot_string(&d->text, label.p ? label.p : "");
    text_add(&d->text, "];\n");
    d->text.failed |= label.failed;
    text_free(&label);
}

static const char *group_type(const struct nw_dump *dump, int group)
{
    for (size_t i = 0; i < dump->groups; i++)
        if (dump->group[i].number == (unsigned)group)
            return dump->group[i].type;
    return "";
}

/* Each group in a frame of its own, at its first function. */
static void draw_group(struct drawing *d, size_t first, uint16_t segment)
{
    const struct topology *t = d->t;
    const int group = t->function[first].group;
    const char *type = group_type(d->dump, group);
    char label[64];
    snprintf(label, sizeof label, "group %d%s%s", group, *type ? ", " : "", type);
    text_printf(&d->text, "    subgraph cluster_g%x_%d { class=\"group\" style=\"dashed,rounded\" label=", segment,
                group);
    dot_string(&d->text, label);
    text_add(&d->text, ";\n");
    for (size_t i = first; i < t->functions; i++)
        if (t->function[i].segment == segment && t->function[i].group == group && d->box[i] == i)
            draw_box(d, i);
    text_add(&d->text, "    }\n");
}

static void draw_functions(struct drawing *d, uint16_t segment)
{
    const struct topology *t = d->t;
    for (size_t i = 0; i < t->functions; i++) {
        const struct topo_function *f = &t->function[i];
        bool first_of_group = f->group != NONE;
        if (f->segment != segment || d->box[i] != i)
            continue;
        for (size_t j = 0; j < i && first_of_group; j++)
            first_of_group = t->function[j].segment != segment || t->function[j].group != f->group;
        if (f->group == NONE)
            draw_box(d, i);
        else if (first_of_group)
            draw_group(d, i, segment);
    }
}

static void draw_unit(struct drawing *d, size_t unit)
{
    const struct topology *t = d->t;
    const struct topo_unit *u = &t->unit[unit];
    char label[160];
    int used = snprintf(label, sizeof label, "%s", u->name);
    if (u->amd)
        used += snprintf(label + used, sizeof label - (size_t)used, "\nregisters at 0x%" PRIx64, u->base);
    if (u->all)
        snprintf(label + used, sizeof label - (size_t)used, "\nall %sdevices", u->amd ? "" : "other ");
    text_printf(&d->text, "    u%zu [class=\"unit\" fillcolor=\"#d9efd3\" label=", unit);
    dot_string(&d->text, label);
    text_add(&d->text, "];\n");
    struct text other = { 0 };
    unsigned count = 0;
    for (size_t i = 0; i < t->others; i++)
        if (t->other[i].unit == (int)unit && count++ < NAMED_MAX)
            text_printf(&other, "%s%s", count > 1 ? "\n" : "", t->other[i].name);
    if (count > NAMED_MAX)
        text_printf(&other, "\nand %u more", count - NAMED_MAX);
    if (count) {
        text_printf(&d->text, "    o%zu [class=\"other\" fillcolor=\"#ffffff\" label=", unit);
        dot_string(&d->text, other.p ? other.p : "");
        text_printf(&d->text, "];\n    u%zu -> o%zu;\n", unit, unit);
    }
    d->text.failed |= other.failed;
    text_free(&other);
}

static void draw_segment(struct drawing *d, uint16_t segment)
{
    text_printf(&d->text, "  subgraph cluster_s%x { class=\"segment\" color=\"#8fa3b8\" label=\"segment %u\";\n",
                segment, segment);
    for (size_t i = 0; i < d->t->units; i++)
        if (d->t->unit[i].segment == segment)
            draw_unit(d, i);
    draw_functions(d, segment);
    text_add(&d->text, "  }\n");
}

static void draw_segments(struct drawing *d)
{
    const struct topology *t = d->t;
    for (uint32_t segment = 0; segment <= UINT16_MAX; segment++) {
        bool any = false;
        for (size_t i = 0; i < t->units && !any; i++)
            any = t->unit[i].segment == segment;
        for (size_t i = 0; i < t->functions && !any; i++)
            any = t->function[i].segment == segment;
        if (any)
            draw_segment(d, (uint16_t)segment);
    }
}

static void draw_domains(struct drawing *d)
{
    const struct topology *t = d->t;
    for (size_t i = 0; i < t->domains; i++) {
        const struct topo_domain *x = &t->domain[i];
        char label[200], reads[24], writes[24];
        int used = snprintf(label, sizeof label, "domain 0x%x%s%s\n", x->id, *x->unit ? " of " : "", x->unit);
        if (x->pass_through)
            used += snprintf(label + used, sizeof label - (size_t)used, "pass-through: all of memory");
        else
            used += snprintf(label + used, sizeof label - (size_t)used, "tables at 0x%" PRIx64, x->root);
        if (x->readable || x->writable) {
            nw_survey_bytes_text(x->readable, reads);
            nw_survey_bytes_text(x->writable, writes);
            snprintf(label + used, sizeof label - (size_t)used, "\nreads %s, writes %s", reads, writes);
        }
        text_printf(&d->text, "  d%zu [shape=ellipse class=\"domain%s\" fillcolor=\"%s\" label=", i,
                    x->pass_through ? " identity" : "", x->pass_through ? "#f68b3c" : "#e5f5e0");
        dot_string(&d->text, label);
        text_add(&d->text, "];\n");
    }
}

static void draw_regions(struct drawing *d)
{
    const struct topology *t = d->t;
    for (size_t i = 0; i < t->regions; i++) {
        const struct topo_region *r = &t->region[i];
        char label[160], bytes[24];
        nw_survey_bytes_text(r->last - r->first + 1, bytes);
        snprintf(label, sizeof label, "%s\n0x%" PRIx64 " to 0x%" PRIx64 "\n%s", r->exclusion ? "excluded" : "reserved",
                 r->first, r->last, bytes);
        text_printf(&d->text, "  r%zu [class=\"region\" fillcolor=\"#fdd0a2\" label=", i);
        dot_string(&d->text, label);
        text_add(&d->text, "];\n");
    }
    for (size_t i = 0; i < t->links; i++)
        text_printf(&d->text, "  f%zu -> r%zu [style=dashed];\n", d->box[t->link[i].function], t->link[i].region);
}

/* From the bridge above, or from the unit where there is none above, or another one; and to the domain. */
static void draw_edges(struct drawing *d)
{
    const struct topology *t = d->t;
    for (size_t i = 0; i < t->functions; i++) {
        const struct topo_function *f = &t->function[i];
        if (d->box[i] != i)
            continue;
        if (f->parent != NONE)
            text_printf(&d->text, "  f%zu -> f%zu;\n", d->box[f->parent], i);
        if (f->unit != NONE && (f->parent == NONE || t->function[f->parent].unit != f->unit))
            text_printf(&d->text, "  u%d -> f%zu;\n", f->unit, i);
        if (f->domain != NONE)
            text_printf(&d->text, "  f%zu -> d%d;\n", i, f->domain);
    }
}

enum nw_status nw_topology_dot_text(const struct nw_check_page *page, char **out, struct nw_error *err)
{
    struct topology t;
    enum nw_status s = topology_make(page, &t, err);
    if (s)
        return s;
    struct drawing d = { .t = &t,
                         .dump = page->dump,
                         .box = calloc(t.functions + 1, sizeof *d.box),
                         .linked = calloc(t.functions + 1, sizeof *d.linked) };
    if (!d.box || !d.linked) {
        s = nw_fail_nomem(err, "a drawing");
        goto out;
    }
    find_boxes(&d);
    text_add(
        &d.text,
        "digraph topology {\n  graph [layout=dot rankdir=LR nodesep=0.12 bgcolor=transparent fontname=\"Helvetica\" "
        "fontsize=10];\n  node [shape=box style=\"filled,rounded\" fontname=\"Helvetica\" fontsize=9 height=0.3 "
        "penwidth=0.8];\n  edge [arrowsize=0.5 penwidth=0.8];\n");
    draw_segments(&d);
    draw_domains(&d);
    draw_regions(&d);
    draw_edges(&d);
    text_add(&d.text, "}\n");
    s = text_take(&d.text, out, "a drawing", err);
out:
    free(d.box);
    free(d.linked);
    topology_fini(&t);
    return s;
}
