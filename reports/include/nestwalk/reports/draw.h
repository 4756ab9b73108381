/* draw.h - pictures by Graphviz: one walk as a two-dimensional grid, and a page-table tree.
 *
 *     char *dot, *svg;
 *     if ((s = nw_draw_walk(&explanation, &dot, err))) return s;
 *     s = nw_draw_svg(dot, &svg, err);
 *
 * A walk's grid has the guest's tables from left to right and, above each guest entry, the second-stage tables that translate its
 * address from top to bottom; the last column translates the data's address. Each reference bears its number; one that a cache made
 * unnecessary is dashed; the deeper the shade, the more cycles. A native walk is the bottom row alone.
 *
 * The DOT text sets its own layout engine, so `dot -Tsvg` draws the same picture. Elements carry class names (guest, nested, skipped,
 * cost0..cost4) so that a page may restyle the SVG. */
#ifndef NESTWALK_REPORTS_DRAW_H
#define NESTWALK_REPORTS_DRAW_H

#include <nestwalk/sim/explain.h>

/* DOT text; free() it. NW_ERR_NOMEM. */
enum nw_status nw_draw_walk(const struct nw_explanation *x, char **dot, struct nw_error *err) NW_MUST_USE;
/* `title` may be NULL. Runs of neighbouring leaves are drawn as one node ("512 pages of 4 KiB"). */
enum nw_status nw_draw_tree(const struct nw_tree *tree, const char *title, char **dot,
                            struct nw_error *err) NW_MUST_USE;

/* Lays out and draws DOT text as an <svg> element without XML prologue; free() it. NW_ERR_INPUT when it is no DOT;
 * NW_ERR_ENV when Graphviz's plugins are not there. Not for several threads at once (Graphviz keeps globals). */
enum nw_status nw_draw_svg(const char *dot, char **svg, struct nw_error *err) NW_MUST_USE;

/* Explanation as JSON, `nestwalk explain walk --json` (docs/results.md). `upper`: of an access that crosses, the walk for the
 * second page; else NULL. free() it. */
enum nw_status nw_explanation_json_text(const struct nw_explanation *x, const struct nw_explanation *upper,
                                        const struct nw_config *config, char **out, struct nw_error *err) NW_MUST_USE;

#endif
