/* nearest.h - the name that the user may have meant. */
#ifndef NW_SCENARIOS_NEAREST_H
#define NW_SCENARIOS_NEAREST_H

#include <stddef.h>

/* The candidate with the smallest edit distance to `name`; NULL when none is close enough to be a slip of the keyboard. */
const char *nw_nearest_name(const char *name, const char *const *candidates, size_t count);

#endif
