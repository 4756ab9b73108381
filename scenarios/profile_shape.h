/* profile_shape.h - how a parameter's path and the XML of a profile or scenario correspond; shared by loader, writer and schema.
 *
 * Components of a path are nested elements, with '-' for '_': walker.level_cycles is <walker><level-cycles value=""/></walker>.
 * "machine." stands for the root. A named element of a collection is written <array name=""> below <tlb>, <cache name=""> below
 * <memory>. In a scenario, guest.*, vmm.* and run.* are attributes of the elements of these names. */
#ifndef NW_SCENARIOS_PROFILE_SHAPE_H
#define NW_SCENARIOS_PROFILE_SHAPE_H

#include <stddef.h>
#include <string.h>

#define NW_PROFILE_ROOT "machine"

/* The element that stands for '*' below `container`; NULL when the container has no named elements. */
static inline const char *nw_profile_named_element(const char *container)
{
    return !strcmp(container, "tlb") ? "array" : !strcmp(container, "memory") ? "cache" : NULL;
}

static inline void nw_profile_swap_chars(char *text, char from, char to)
{
    for (; *text; text++)
        if (*text == from)
            *text = to;
}

#endif
