#include "embedded.h"
#include <string.h>

const struct nw_embedded *nw_embedded_find(enum nw_embedded_kind kind, const char *name)
{
    for (size_t i = 0; i < nw_embedded_count; i++)
        if (nw_embedded_files[i].kind == kind && !strcmp(nw_embedded_files[i].name, name))
            return &nw_embedded_files[i];
    return NULL;
}
