/* xml_value.h - from attributes to parameters. */
#ifndef NW_SCENARIOS_XML_VALUE_H
#define NW_SCENARIOS_XML_VALUE_H

#include "xml_file.h"
#include <nestwalk/sim/config.h>

/* nw_config_set() whose refusals name the place in the file and are NW_ERR_INPUT. */
enum nw_status nw_xml_set(const struct nw_xml *x, const xmlNode *element, const char *attribute, struct nw_config *c,
                          const char *path, const char *value, const char *source, struct nw_error *err) NW_MUST_USE;
/* The same with the value that the attribute has. */
enum nw_status nw_xml_set_attribute(const struct nw_xml *x, const xmlNode *element, const char *attribute,
                                    struct nw_config *c, const char *path, const char *source,
                                    struct nw_error *err) NW_MUST_USE;

/* `file` as seen from `directory` (NULL: the current one); malloc()ed; NULL when out of memory. */
char *nw_xml_relative(const char *directory, const char *file);
/* Directory part of a file name, "." when it has none; malloc()ed. */
char *nw_xml_directory(const char *file);

#endif
