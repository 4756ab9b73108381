#include "reports_internal.h"
#include <nestwalk/reports/draw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The grid, in points. The layout engine `nop` takes positions as they are and only draws the edges. */
enum { CELL_WIDTH = 92, CELL_HEIGHT = 38, COLUMN_PITCH = 126, ROW_PITCH = 56 };

/* Five shades for a reference's cost, the second stage's and the guest's. */
static const char *const nested_fill[] = { "#fff7ec", "#fee8c8", "#fdd0a2", "#fdae6b", "#f68b3c" };
/* ... and a reference that a cache saved. */
static const char *const saved_fill = "#d9efd3";
static const char *const guest_fill[] = { "#f2f7fc", "#dbe9f6", "#bad6eb", "#89bedc", "#539ecd" };

void dot_string(struct text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            text_printf(t, "\\%c", *s);
        else if (*s == '\n')
            text_add(t, "\\n");
        else
            text_add_bytes(t, s, 1);
    text_add(t, "\"");
}

static unsigned cost_class(const struct nw_explanation *x, uint64_t cycles)
{
    uint64_t most = 1;
    for (unsigned i = 0; i < x->reference_count; i++)
        most = x->reference[i].cycles > most ? x->reference[i].cycles : most;
    return cycles ? 1 + (unsigned)(3 * cycles / most) : 0;
}

static void draw_reference(struct text *t, const struct nw_explanation *x, const struct nw_explained_reference *r,
                           int px, int py)
{
    bool skipped = r->skipped_by[0] != 0;
    unsigned cost = skipped ? 0 : cost_class(x, r->cycles);
    char label[160], tooltip[800];
    if (skipped)
        snprintf(label, sizeof label, "%u  %s\n%s", r->n, r->table, r->skipped_by);
    else if (r->found_in[0])
        snprintf(label, sizeof label, "%u  %s\n%s, %llu cycles", r->n, r->table, r->found_in,
                 (unsigned long long)r->cycles);
    else
        snprintf(label, sizeof label, "%u  %s", r->n, r->table);
    int used = snprintf(tooltip, sizeof tooltip, "entry at 0x%llx is 0x%llx: %s", (unsigned long long)r->address,
                        (unsigned long long)r->entry, r->decoded);
    if (skipped && r->why[0])
        used += snprintf(tooltip + used, sizeof tooltip - (size_t)used, "\nnot read: %s", r->why);
    for (unsigned i = r->first_lookup; i < r->first_lookup + r->lookup_count && i < x->lookup_count; i++)
        if ((size_t)used < sizeof tooltip)
            used += snprintf(tooltip + used, sizeof tooltip - (size_t)used, "\n%s: %s", x->lookup[i].cache,
                             x->lookup[i].hit ? "hit" : "miss");
    text_printf(t, "  r%u [pos=\"%d,%d\" label=", r->n, px, py);
    dot_string(t, label);
    text_add(t, " tooltip=");
    dot_string(t, tooltip);
    text_printf(t, " class=\"%s%s cost%u\" style=\"filled,rounded%s\" fillcolor=\"%s\"];\n",
                r->nested ? "nested" : "guest", skipped ? " skipped" : "", cost, skipped ? ",dashed" : "",
                skipped ? saved_fill : (r->nested ? nested_fill : guest_fill)[cost]);
}

struct grid {
    unsigned columns; /* one a guest entry, and one for the data when its address is translated */
    int top_level;    /* of the second stage; -1: a native walk */
};

static int row_y(const struct nw_explained_reference *r) { return r->nested ? ROW_PITCH * ((int)r->level + 1) : 0; }

/* Above each column, what the second stage translates there. */
static void draw_heading(struct text *t, const struct nw_explanation *x, const struct grid *g, unsigned column,
                         unsigned first, unsigned last)
{
    char label[64];
    if (g->top_level < 0 || !x->reference[first].nested)
        return;
    if (x->reference[last].nested)
        snprintf(label, sizeof label, "address of the data");
    else
        snprintf(label, sizeof label, "address of the %s", x->reference[last].table);
    text_printf(t, "  h%u [pos=\"%d,%d\" shape=plaintext class=\"heading\" label=", column, (int)column * COLUMN_PITCH,
                ROW_PITCH * (g->top_level + 1) + ROW_PITCH * 3 / 4);
    dot_string(t, label);
    text_add(t, "];\n");
}

static struct grid measure(const struct nw_explanation *x)
{
    struct grid g = { .top_level = -1 };
    for (unsigned i = 0; i < x->reference_count; i++) {
        const struct nw_explained_reference *r = x->reference + i;
        if (r->nested && (int)r->level > g.top_level)
            g.top_level = (int)r->level;
        g.columns += !r->nested || i + 1 == x->reference_count;
    }
    return g;
}

static void draw_cells(struct text *t, const struct nw_explanation *x, const struct grid *g)
{
    unsigned column = 0, first = 0;
    for (unsigned i = 0; i < x->reference_count; i++) {
        const struct nw_explained_reference *r = x->reference + i;
        draw_reference(t, x, r, (int)column * COLUMN_PITCH, row_y(r));
        if (i) {
            bool down = i > first;
            bool dashed = r->skipped_by[0] || x->reference[i - 1].skipped_by[0];
            text_printf(t, "  r%u -> r%u [%s%s];\n", r[-1].n, r->n,
                        down ? "tailport=s headport=n" : "tailport=e headport=w", dashed ? " style=dashed" : "");
        }
        if (!r->nested || i + 1 == x->reference_count) {
            draw_heading(t, x, g, column, first, i);
            column++;
            first = i + 1;
        }
    }
}

/* Where the walk begins and what it comes to. */
static void draw_ends(struct text *t, const struct nw_explanation *x, const struct grid *g)
{
    const struct nw_explained_reference *last = x->reference_count ? x->reference + x->reference_count - 1 : NULL;
    unsigned column = g->columns - (last && last->nested);
    char label[192];
    if (x->page_bytes)
        snprintf(label, sizeof label, "data at\n0x%llx", (unsigned long long)x->hpa);
    else
        snprintf(label, sizeof label, "%s", x->outcome);
    text_printf(t, "  root [pos=\"%d,0\" class=\"end\" style=\"rounded\" width=0.6 label=\"CR3\"];\n",
                -COLUMN_PITCH * 4 / 5);
    text_printf(t, "  data [pos=\"%d,0\" class=\"end\" style=\"rounded\"%s label=", (int)column * COLUMN_PITCH,
                x->page_bytes ? "" : " width=2.2");
    dot_string(t, label);
    text_add(t, "];\n");
    if (!last)
        return;
    text_printf(t, "  root -> r%u [tailport=e headport=w];\n", x->reference[0].n);
    text_printf(t, "  r%u -> data [%s];\n", last->n, last->nested ? "tailport=s headport=n" : "tailport=e headport=w");
}

enum nw_status nw_draw_walk(const struct nw_explanation *x, char **dot, struct nw_error *err)
{
    struct text t = { 0 };
    struct grid g = measure(x);
    char title[256], shadow[24] = "";
    if (x->references_shadow)
        snprintf(shadow, sizeof shadow, "%u shadow, ", x->references_shadow);
    snprintf(title, sizeof title, "walk of GVA 0x%llx: %s; %u references (%s%u guest, %u nested), %llu cycles",
             (unsigned long long)x->gva, x->outcome, x->references, shadow, x->references_guest, x->references_nested,
             (unsigned long long)x->cycles);
    text_add(&t,
             "digraph walk {\n  graph [layout=nop splines=line bgcolor=transparent labelloc=t fontname=\"Helvetica\" "
             "fontsize=12 label=");
    dot_string(&t, title);
    text_printf(&t,
                "];\n  node [shape=box fixedsize=true width=%.3f height=%.3f fontname=\"Helvetica\" fontsize=9 "
                "penwidth=0.8];\n",
                CELL_WIDTH / 72.0, CELL_HEIGHT / 72.0);
    text_add(&t, "  edge [arrowsize=0.5 penwidth=0.8];\n");
    draw_cells(&t, x, &g);
    draw_ends(&t, x, &g);
    text_add(&t, "}\n");
    return text_take(&t, dot, "a drawing", err);
}
