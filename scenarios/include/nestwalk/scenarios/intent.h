/* intent.h - intent files: XML that says which devices and memory are whose (nestwalk/iommu/intent.h).
 *
 * The format is described in docs/iommu-intent.md; its schema is intent.xsd. Files are read without trust: no network, no document
 * type, no entities, at most 1 MiB. A failure names file, line, column, the element or attribute, and what is allowed there. */
#ifndef NESTWALK_SCENARIOS_INTENT_H
#define NESTWALK_SCENARIOS_INTENT_H

#include <nestwalk/iommu/intent.h>

/* Owned by the caller, who gives it to nw_intent_fini(). NW_ERR_INPUT: there is no such file, or it is not a valid intent; NW_ERR_IO,
 * NW_ERR_NOMEM. */
enum nw_status nw_intent_load(const char *path, struct nw_intent *out, struct nw_error *err) NW_MUST_USE;
/* The same of text in memory; `name` is for messages. */
enum nw_status nw_intent_load_text(const char *name, const char *text, size_t size, struct nw_intent *out,
                                   struct nw_error *err) NW_MUST_USE;

#endif
