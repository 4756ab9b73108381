/* check_page.h - what `nestwalk iommu check` found, as a page that needs nothing beside it, and the machine's topology as a picture.
 *
 *     struct nw_check_page page = { .input = inputs, .inputs = n, .found = &found, .table = tables, .dump = &dump };
 *     if ((s = nw_check_page_html(&page, &text, err))) return s;
 *
 * The picture shows what the inputs tell: from tables alone, units and what their scopes or device entries name; with a list of the machine's
 * functions, its bridges and what is below them; with groups and translation entries, the groups and domains that functions are in; the
 * reserved regions of the firmware. */
#ifndef NESTWALK_REPORTS_CHECK_PAGE_H
#define NESTWALK_REPORTS_CHECK_PAGE_H

#include <nestwalk/iommu/dump.h>
#include <nestwalk/reports/findings.h>

struct nw_check_page {
    const struct nw_checked_input *input;
    size_t inputs;
    const struct nw_iommu_findings *found;
    const bool *accepted;               /* one flag a finding, or NULL */
    struct nw_acpi_table *const *table; /* of each input: NULL for a text */
    const struct nw_dump *dump;
};

/* Texts to free(). NW_ERR_NOMEM; a picture that Graphviz cannot draw is replaced by the reason. */
enum nw_status nw_check_page_html(const struct nw_check_page *page, char **out, struct nw_error *err) NW_MUST_USE;
enum nw_status nw_topology_dot_text(const struct nw_check_page *page, char **out, struct nw_error *err) NW_MUST_USE;

#endif
