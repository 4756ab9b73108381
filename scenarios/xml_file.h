/* xml_file.h - one XML file, parsed without trust: no network, no entities, no document type, a size limit, and the line and column
 * of every element and attribute for messages.
 *
 *     struct nw_xml x;
 *     if ((s = nw_xml_read(&x, path, err))) return s;
 *     if ((s = nw_xml_validate(&x, "scenario", err))) goto out;        // root, namespace, schema
 *     ... s = nw_xml_fail(&x, node, "value", err, NW_ERR_INPUT, "must be ...");
 *   out:
 *     nw_xml_free(&x);
 *
 * While a file is open, libxml2's messages of this thread go to it instead of to stderr; files are closed in the reverse order of opening,
 * and *x stays where it is in between.
 *
 * Every failure is one line: "FILE:LINE:COLUMN: <element>: what is wrong; what is allowed". Columns count characters from 1. */
#ifndef NW_SCENARIOS_XML_FILE_H
#define NW_SCENARIOS_XML_FILE_H

#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <nestwalk/base/status.h>
#include <stdbool.h>
#include <stddef.h>

enum { NW_XML_SIZE_MAX = 1 << 20 };

struct nw_xml {
    char *name; /* file name, for messages */
    char *text; /* the file, ended by a zero byte */
    size_t size;
    xmlDoc *doc;
    bool out_of_memory; /* libxml2 said so while this file was open; what it gave is then not to be relied on */
    xmlStructuredErrorFunc saved_handler;
    void *saved_context;
};

/* NW_ERR_INPUT: no such file, too large, or not well-formed; NW_ERR_IO: there, but cannot be read. On failure there is nothing to free. */
enum nw_status nw_xml_read(struct nw_xml *x, const char *path, struct nw_error *err) NW_MUST_USE;
/* The same for text in memory (a shipped profile), which is copied. */
enum nw_status nw_xml_read_text(struct nw_xml *x, const char *name, const char *text, size_t size,
                                struct nw_error *err) NW_MUST_USE;
void nw_xml_free(struct nw_xml *x);

/* `s`, unless libxml2 ran out of memory meanwhile: then that is the failure, whatever it looked like. */
enum nw_status nw_xml_verdict(const struct nw_xml *x, enum nw_status s, struct nw_error *err) NW_MUST_USE;

/* To be called with each of libxml2's errors: notes when it is out of memory. */
void nw_xml_notice(struct nw_xml *x, const xmlError *e);

/* Checks the root element (`kind` is its name and the schema's), its namespace, and everything else against the schema. */
enum nw_status nw_xml_validate(struct nw_xml *x, const char *kind, struct nw_error *err) NW_MUST_USE;

/* Fills *err for a place in the file: the element's start tag, or one attribute of it when `attribute` is not NULL. */
enum nw_status nw_xml_fail(const struct nw_xml *x, const xmlNode *element, const char *attribute, struct nw_error *err,
                           enum nw_status status, const char *format, ...) NW_PRINTF(6, 7);

unsigned nw_xml_line(const struct nw_xml *x, const xmlNode *element);

/* First child element, next sibling element; NULL at the end. */
xmlNode *nw_xml_first(const xmlNode *parent);
xmlNode *nw_xml_next(const xmlNode *element);
/* Value of an attribute that has no namespace, to be freed with xmlFree(); NULL when absent, or out of memory. */
char *nw_xml_attribute(const xmlNode *element, const char *name);

#endif
