/* embedded.h - files that are part of the library, so that it works from any directory and uninstalled. */
#ifndef NW_SCENARIOS_EMBEDDED_H
#define NW_SCENARIOS_EMBEDDED_H

#include <stddef.h>

enum nw_embedded_kind { NW_EMBEDDED_MACHINE, NW_EMBEDDED_SCHEMA };

struct nw_embedded {
    enum nw_embedded_kind kind;
    const char *name; /* "textbook" */
    const char *text; /* ended by a zero byte */
    size_t size;
};
extern const struct nw_embedded nw_embedded_files[]; /* sorted by kind and name */
extern const size_t nw_embedded_count;

/* NULL when there is none. */
const struct nw_embedded *nw_embedded_find(enum nw_embedded_kind kind, const char *name);

#endif
