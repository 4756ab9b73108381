/* vtd_walk.h - what a VT-d unit makes of one DMA request: as JSON, and from a recorded case.
 *
 *     struct nw_vtd_case c;
 *     if ((s = nw_vtd_case_load(&c, "vtd-legacy.jsonl.xz", "legacy48/1/0", 0, 1, err))) return s;
 *     struct nw_vtd_watch watch = { 0 };
 *     c.tables.watch = &watch;
 *     nw_vtd_translate(&c.tables, &c.request, &result);
 *     s = nw_vtd_walk_json_text(&c.request, &watch, &result, &text, err);       // free(text)
 *     nw_vtd_case_fini(&c); */
#ifndef NESTWALK_REPORTS_VTD_WALK_H
#define NESTWALK_REPORTS_VTD_WALK_H

#include <nestwalk/iommu/vtd_watch.h>

/* Tables and a request of a case of DMA remapping (docs/conformance.md has the schema). */
struct nw_vtd_case {
    struct nw_physmem *pm; /* owned */
    struct nw_vtd_range ram[2];
    struct nw_vtd_tables tables; /* points into this object: do not copy it */
    struct nw_vtd_request request;
};

/* The case with this id, or with id NULL the one in this line; its DMA request of this number (from 1), and memory and
 * registers as they stand before it. NW_ERR_INPUT: no such case or request, not a case of DMA remapping, or a unit
 * whose translation is off at that request. After a failure there is nothing to free. */
enum nw_status nw_vtd_case_load(struct nw_vtd_case *out, const char *path, const char *id, uint64_t line,
                                uint64_t request, struct nw_error *err) NW_MUST_USE;
void nw_vtd_case_fini(struct nw_vtd_case *c);

/* "02:1f.3" of a source id; out holds 8 bytes. */
void nw_vtd_source_text(uint16_t source_id, char out[8]);
/* "rwx" of a set of enum nw_vtd_right; x is for requests with PASID only. out holds 4 bytes. */
void nw_vtd_rights_text(const struct nw_vtd_request *q, unsigned rights, char out[4]);

/* docs/iommu.md describes it; free() it. */
enum nw_status nw_vtd_walk_json_text(const struct nw_vtd_request *q, const struct nw_vtd_watch *watch,
                                     const struct nw_vtd_result *r, char **out, struct nw_error *err) NW_MUST_USE;

#endif
