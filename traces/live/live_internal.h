/* live_internal.h - what the files of the live check share. */
#ifndef NESTWALK_LIVE_INTERNAL_H
#define NESTWALK_LIVE_INTERNAL_H

#include "layout.h"
#include <nestwalk/traces/live_shadow.h>

#define LIVE_BYTES       (UINT64_C(64) << 20)
#define LIVE_RETS        (UINT64_C(2) << 20) /* from here on memory holds RET */
#define LIVE_CR3         0x10000
#define LIVE_SECOND_SLOT UINT64_C(0x8000000)
#define LIVE_SECOND_SIZE (UINT64_C(2) << 20)

#if defined(__linux__) && defined(__x86_64__)
#    include "statistics.h"

/* Whether a KVM of this backend uses EPT or NPT, by its module's parameter. */
bool live_second_stage(const char *backend);
/* The program's words, the interpreter and its descriptor tables, into the guest's memory. */
void live_load(uint8_t *memory, const struct nw_kvm_program *program);
enum live_backing {
    LIVE_SHARED_4K,  /* pages of 4 KiB of shared memory */
    LIVE_PRIVATE_4K, /* anonymous ones */
    LIVE_PRIVATE_2M, /* anonymous ones of 2 MiB */
    LIVE_FILE_4K     /* of a file */
};
/* Memory for the guest, all of it there, zeroed. `file` is for LIVE_FILE_4K, and long enough. NW_ERR_UNSUPPORTED: the host has no pages of
 * that size now. */
enum nw_status live_memory_map(uint8_t **out, uint64_t bytes, enum live_backing backing, int file,
                               struct nw_error *err) NW_MUST_USE;
enum nw_status live_registers_set(struct vm *vm, const struct nw_kvm_program *program,
                                  struct nw_error *err) NW_MUST_USE;
#endif

#endif
