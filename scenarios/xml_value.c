#include "xml_value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum nw_status nw_xml_set(const struct nw_xml *x, const xmlNode *element, const char *attribute, struct nw_config *c,
                          const char *path, const char *value, const char *source, struct nw_error *err)
{
    struct nw_error inner = { 0 };
    enum nw_status s = nw_config_set(c, path, value, source, &inner);
    if (s == NW_ERR_USAGE)
        return nw_xml_fail(x, element, attribute, err, NW_ERR_INPUT, "%s", inner.text);
    return s ? nw_fail(err, s, "%s", inner.text) : NW_OK;
}

enum nw_status nw_xml_set_attribute(const struct nw_xml *x, const xmlNode *element, const char *attribute,
                                    struct nw_config *c, const char *path, const char *source, struct nw_error *err)
{
    char *value = nw_xml_attribute(element, attribute);
    enum nw_status s =
        value ? nw_xml_set(x, element, attribute, c, path, value, source, err) : nw_fail_nomem(err, x->name);
    xmlFree(value);
    return s;
}

char *nw_xml_relative(const char *directory, const char *file)
{
    char *path = NULL;
    if (!directory || file[0] == '/' || !strcmp(directory, "."))
        return strdup(file);
    return asprintf(&path, "%s/%s", directory, file) < 0 ? NULL : path;
}

char *nw_xml_directory(const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash)
        return strdup(".");
    return strndup(file, slash == file ? 1 : (size_t)(slash - file));
}
