#include "reports_internal.h"
#include <nestwalk/reports/draw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHILDREN_SHOWN = 12 };

static const char *const entry_name[] = { "PTE", "PDE", "PDPTE", "PML4E", "PML5E" };

static void size_text(uint64_t bytes, char *out, size_t out_size)
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    size_t i = 0;
    while (bytes >= 1024 && bytes % 1024 == 0 && i + 1 < NW_ARRAY_LEN(unit)) {
        bytes /= 1024;
        i++;
    }
    snprintf(out, out_size, "%llu %s", (unsigned long long)bytes, unit[i]);
}

/* How many of the nodes from `first` on are leaves side by side under one parent, each continuing the one before. */
static unsigned leaf_run(const struct nw_tree *tree, unsigned first)
{
    unsigned n = 1;
    const struct nw_tree_node *a = tree->node + first;
    if (!a->leaf)
        return 1;
    for (; first + n < tree->node_count; n++) {
        const struct nw_tree_node *b = tree->node + first + n;
        if (!b->leaf || b->parent != a->parent || b->bytes != a->bytes ||
            b->first_address != a->first_address + n * a->bytes)
            break;
    }
    return n;
}

static void draw_node(struct text *t, const struct nw_tree *tree, unsigned i, unsigned run)
{
    const struct nw_tree_node *n = tree->node + i;
    char label[200], size[32], tooltip[160];
    unsigned long long index = (n->entry_address & 0xfff) / 8, first = n->first_address;
    const char *name = n->level < NW_ARRAY_LEN(entry_name) ? entry_name[n->level] : "entry";
    size_text(n->bytes, size, sizeof size);
    if (n->leaf && run > 1)
        snprintf(label, sizeof label, "%s %llu to %llu: %u pages of %s\n0x%llx to 0x%llx", name, index, index + run - 1,
                 run, size, first, first + run * n->bytes - 1);
    else
        snprintf(label, sizeof label, "%s %llu: %s%s\nfrom 0x%llx", name, index, n->leaf ? "page of " : "table for ",
                 size, first);
    snprintf(tooltip, sizeof tooltip, "entry at 0x%llx is 0x%llx", (unsigned long long)n->entry_address,
             (unsigned long long)n->entry);
    text_printf(t, "  n%u [label=", i);
    dot_string(t, label);
    text_add(t, " tooltip=");
    dot_string(t, tooltip);
    text_printf(t, " class=\"%s\" fillcolor=\"%s\"];\n", n->leaf ? "page" : "table", n->leaf ? "#e5f5e0" : "#dbe9f6");
    if (n->parent == i)
        text_printf(t, "  root -> n%u;\n", i);
    else
        text_printf(t, "  n%u -> n%u;\n", n->parent, i);
}

/* What became of the children of each node, and, in the last place, of the root table. */
struct drawn {
    bool drawn;
    unsigned shown, hidden; /* of its children */
};

/* In the order given, parents come before their children. */
static void draw_nodes(struct text *t, const struct nw_tree *tree, struct drawn *d)
{
    for (unsigned i = 0, run; i < tree->node_count; i += run) {
        unsigned parent = tree->node[i].parent;
        struct drawn *above = d + (parent == i ? tree->node_count : parent);
        run = leaf_run(tree, i);
        if (parent > i || !above->drawn) /* its table was left out, and so is it */
            continue;
        if (above->shown == CHILDREN_SHOWN) {
            above->hidden += run;
            continue;
        }
        above->shown++;
        d[i].drawn = true;
        draw_node(t, tree, i, run);
    }
}

static void draw_hidden(struct text *t, const struct nw_tree *tree, const struct drawn *d)
{
    for (unsigned i = 0; i <= tree->node_count; i++) {
        char parent[24] = "root";
        if (!d[i].hidden)
            continue;
        if (i < tree->node_count)
            snprintf(parent, sizeof parent, "n%u", i);
        text_printf(t,
                    "  more%u [class=\"more\" shape=plaintext style=\"\" label=\"and %u more entries\"];\n"
                    "  %s -> more%u [style=dashed];\n",
                    i, d[i].hidden, parent, i);
    }
}

enum nw_status nw_draw_tree(const struct nw_tree *tree, const char *title, char **dot, struct nw_error *err)
{
    struct text t = { 0 }, label = { 0 };
    struct drawn *d = calloc((size_t)tree->node_count + 1, sizeof *d);
    if (!d)
        return nw_fail_nomem(err, "a drawing");
    d[tree->node_count].drawn = true;
    text_add(&t,
             "digraph tree {\n  graph [layout=dot rankdir=LR nodesep=0.08 ranksep=0.5 bgcolor=transparent labelloc=t "
             "fontname=\"Helvetica\" fontsize=12 label=");
    text_printf(&label, "%s%s", title ? title : "", tree->truncated ? " (the first entries only)" : "");
    dot_string(&t, label.p ? label.p : "");
    text_free(&label);
    text_add(
        &t,
        "];\n  node [shape=box style=\"filled,rounded\" fontname=\"Helvetica\" fontsize=9 height=0.3 penwidth=0.8];\n"
        "  edge [arrowsize=0.5 penwidth=0.8];\n");
    text_printf(&t, "  root [class=\"table\" fillcolor=\"#ffffff\" label=\"root table\\n%u levels\"];\n", tree->levels);
    draw_nodes(&t, tree, d);
    draw_hidden(&t, tree, d);
    text_add(&t, "}\n");
    free(d);
    return text_take(&t, dot, "a drawing", err);
}
