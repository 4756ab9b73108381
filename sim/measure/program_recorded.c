/* The programs with each access to their data written down. */
#include "program.h"

#include <nestwalk/traces/block.h>

/* Codes of sizes up to 16 bytes are the size less one (block.h). */
#define KIND(access, type) ((unsigned)(access) | (unsigned)(sizeof(type) - 1) << NW_KIND_SIZE_SHIFT | NW_KIND_USER)

static inline uint8_t *record(struct program_arena *a, uint64_t offset, unsigned kind)
{
    struct program_record *r = a->recorded;
    if (r->on && r->count < r->room)
        r->access[r->count++] = program_access(offset, kind);
    return a->base + offset;
}

#define KERNEL(name)               program_recorded_##name
#define LOAD(type, offset)         (*(const type *)(const void *)record(a, offset, KIND(NW_LOAD, type)))
#define STORE(type, offset, value) ((void)(*(type *)(void *)record(a, offset, KIND(NW_STORE, type)) = (value)))
#define STEP()                     program_step(a)
#include "program_kernels.h"
