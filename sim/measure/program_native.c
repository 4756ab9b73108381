/* The programs as they are timed. */
#include "program.h"

#define KERNEL(name)               program_native_##name
#define LOAD(type, offset)         (*(const type *)(const void *)(a->base + (offset)))
#define STORE(type, offset, value) ((void)(*(type *)(void *)(a->base + (offset)) = (value)))
#define STEP()                     program_step(a)
#include "program_kernels.h"
