#include "html_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Graphviz numbers the elements of each picture alike; several pictures on one page must not share ids. */
static void add_svg(struct text *t, const char *svg)
{
    for (const char *id; (id = strstr(svg, " id=\"")) != NULL;) {
        text_add_bytes(t, svg, (size_t)(id - svg));
        const char *end = strchr(id + strlen(" id=\""), '"');
        if (!end)
            break;
        svg = end + 1;
    }
    text_add(t, svg);
}

enum nw_status html_drawing(struct text *t, const char *dot, const char *description, struct nw_error *err)
{
    char *svg = NULL;
    struct nw_error why = { 0 };
    enum nw_status s = nw_draw_svg(dot, &svg, &why);
    if (s == NW_ERR_NOMEM)
        return nw_fail(err, s, "%s", why.text);
    text_add(t, "<div class=\"drawing\" role=\"img\" aria-label=\"");
    text_add_html(t, description);
    text_add(t, "\">\n");
    if (s)
        text_add_html(t, why.text);
    else
        add_svg(t, svg);
    text_add(t, "</div>\n");
    free(svg);
    return NW_OK;
}

static void heading(struct text *t, const char *title, const char *caption)
{
    text_add(t, "<h3>");
    text_add_html(t, title);
    text_add(t, "</h3>\n<figcaption>");
    text_add_html(t, caption ? caption : "");
    text_add(t, "</figcaption>\n");
}

static void reference_row(struct text *t, const struct nw_explained_reference *r)
{
    text_printf(t, "<tr><td class=\"number\">%u</td><td>%s</td><td>", r->n, nw_explained_dimension(r));
    text_add_html(t, r->table);
    text_printf(t,
                "</td><td class=\"number\"><code>0x%llx</code></td><td class=\"number\"><code>0x%llx</code></td><td>",
                (unsigned long long)r->address, (unsigned long long)r->entry);
    text_add_html(t, r->decoded);
    text_add(t, "</td><td>");
    text_add_html(t, r->skipped_by[0] ? "skipped: " : r->found_in);
    text_add_html(t, r->skipped_by);
    text_printf(t, "</td><td class=\"number\">%llu</td></tr>\n", (unsigned long long)r->cycles);
}

static void references_table(struct text *t, const struct nw_explanation *x)
{
    text_add(t, "<details><summary>The references in order</summary>\n<div class=\"scroll\"><table><thead><tr>"
                "<th scope=\"col\" class=\"number\">n</th><th scope=\"col\">dimension</th><th scope=\"col\">table</th>"
                "<th scope=\"col\" class=\"number\">entry at</th><th scope=\"col\" class=\"number\">entry</th>"
                "<th scope=\"col\">decoded</th><th scope=\"col\">found in</th>"
                "<th scope=\"col\" class=\"number\">cycles</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < x->reference_count; i++)
        reference_row(t, x->reference + i);
    text_add(t, "</tbody></table></div></details>\n");
}

static enum nw_status add_walk(struct text *t, const struct nw_page_walk *w, struct nw_error *err)
{
    char *dot = NULL, description[128];
    enum nw_status s = nw_draw_walk(w->walk, &dot, err);
    if (s)
        return s;
    snprintf(description, sizeof description, "A page walk of %u references. The table below lists them.",
             w->walk->references);
    heading(t, w->title, w->caption);
    s = html_drawing(t, dot, description, err);
    references_table(t, w->walk);
    free(dot);
    return s;
}

static enum nw_status add_tree(struct text *t, const struct nw_page_tree *tree, struct nw_error *err)
{
    char *dot = NULL, description[128];
    enum nw_status s = nw_draw_tree(tree->tree, NULL, &dot, err);
    if (s)
        return s;
    snprintf(description, sizeof description, "A page-table tree of %u levels.", tree->tree->levels);
    heading(t, tree->title, tree->caption);
    s = html_drawing(t, dot, description, err);
    free(dot);
    return s;
}

enum nw_status html_pictures(struct text *t, const struct nw_page *page, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    if (page->walk_count) {
        text_add(
            t, "\n<section aria-labelledby=\"h-walk\">\n<h2 id=\"h-walk\">One walk, reference by reference</h2>\n"
               "<p>Guest tables from left to right; above each guest entry, the second-stage tables that translate its "
               "address. The deeper the shade, the more cycles; dashed entries were not read, because a cache knew "
               "their outcome.</p>\n");
        for (size_t i = 0; !s && i < page->walk_count; i++)
            s = add_walk(t, page->walk + i, err);
        text_add(t, "</section>\n");
    }
    if (!s && page->tree_count) {
        text_add(t, "\n<section aria-labelledby=\"h-tree\">\n<h2 id=\"h-tree\">The page tables</h2>\n");
        for (size_t i = 0; !s && i < page->tree_count; i++)
            s = add_tree(t, page->tree + i, err);
        text_add(t, "</section>\n");
    }
    return s;
}
