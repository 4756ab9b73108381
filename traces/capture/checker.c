/* checker.c - proves single instructions against the machine: guest memory before and after, and the registers. */
#include "recorder.h"

#include <errno.h>
#include <nestwalk/base/addr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { ACCESSED_DIRTY = 0x60 };

struct checker {
    struct vm *vm;
    uint8_t *before; /* guest memory as it was after the last check */
    uint64_t *dirty; /* one bit a page, KVM's */
    struct {
        uint64_t gpa;
        unsigned bytes;
    } store[CHECK_STORES_MAX];
    unsigned stores;
};

static enum nw_status log_dirty(struct vm *vm, bool on, struct nw_error *err)
{
    struct kvm_userspace_memory_region region = { .flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
                                                  .memory_size = vm->memory_bytes,
                                                  .userspace_addr = (uintptr_t)vm->memory };
    return ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region)
               ? nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_SET_USER_MEMORY_REGION, logging dirty pages")
               : NW_OK;
}

enum nw_status checker_create(struct checker **out, struct vm *vm, struct nw_error *err)
{
    struct checker *c = calloc(1, sizeof *c);
    if (!c)
        return nw_fail_nomem(err, "the instruction checker");
    c->vm = vm;
    c->dirty = calloc(vm->memory_bytes / NW_PAGE_BYTES / 64 + 1, sizeof *c->dirty);
    void *p = mmap(NULL, vm->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED)
        c->before = p;
    if (!c->dirty || !c->before) {
        checker_destroy(c);
        return nw_fail_nomem(err, "the instruction checker");
    }
    enum nw_status s = log_dirty(vm, true, err);
    if (s) {
        checker_destroy(c);
        return s;
    }
    memcpy(c->before, vm->memory, vm->memory_bytes);
    *out = c;
    return NW_OK;
}

void checker_destroy(struct checker *c)
{
    if (!c)
        return;
    if (c->before)
        munmap(c->before, c->vm->memory_bytes);
    free(c->dirty);
    free(c);
}

void checker_store(struct checker *c, uint64_t gpa, unsigned bytes)
{
    if (c->stores < CHECK_STORES_MAX) {
        c->store[c->stores].gpa = gpa;
        c->store[c->stores++].bytes = bytes;
    }
}

/* The page's recorded stores are taken over; what still differs was not recorded. */
static enum nw_status page_check(struct checker *c, uint64_t pfn, const struct tables_watch *tables,
                                 struct nw_error *err)
{
    uint8_t *before = c->before + pfn * NW_PAGE_BYTES;
    const uint8_t *now = c->vm->memory + pfn * NW_PAGE_BYTES;
    for (unsigned i = 0; i < c->stores; i++)
        if (c->store[i].gpa / NW_PAGE_BYTES == pfn)
            memcpy(c->before + c->store[i].gpa, c->vm->memory + c->store[i].gpa, c->store[i].bytes);
    for (unsigned i = 0; i < NW_PAGE_BYTES / 8; i++) {
        uint64_t was, is;
        memcpy(&was, before + i * 8, 8);
        memcpy(&is, now + i * 8, 8);
        uint64_t free_bits = tables_watch_has(tables, pfn * NW_PAGE_BYTES) ? ACCESSED_DIRTY : 0;
        if ((was ^ is) & ~free_bits)
            return nw_fail(
                err, NW_ERR_INTERNAL, "memory at GPA %#llx changed from %#llx to %#llx, and no recorded store did it",
                (unsigned long long)(pfn * NW_PAGE_BYTES + i * 8), (unsigned long long)was, (unsigned long long)is);
        memcpy(before + i * 8, &is, 8);
    }
    return NW_OK;
}

enum nw_status checker_memory(struct checker *c, const struct tables_watch *tables, struct nw_error *err)
{
    struct kvm_dirty_log log = { .dirty_bitmap = c->dirty };
    enum nw_status s = NW_OK;
    if (ioctl(c->vm->vm, KVM_GET_DIRTY_LOG, &log))
        return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_GET_DIRTY_LOG");
    uint64_t pages = c->vm->memory_bytes / NW_PAGE_BYTES;
    for (uint64_t i = 0; !s && i < (pages + 63) / 64; i++)
        for (uint64_t bits = c->dirty[i]; !s && bits; bits &= bits - 1)
            s = page_check(c, i * 64 + (unsigned)__builtin_ctzll(bits), tables, err);
    c->stores = 0;
    return s;
}

enum nw_status checker_registers(const struct insn *insn, const struct kvm_regs *before, const struct kvm_regs *after,
                                 const uint8_t *loaded, struct nw_error *err)
{
    bool done = after->rip != insn->rip;
    if (insn->stack_known && done && (int64_t)(after->rsp - before->rsp) != insn->stack_change)
        return nw_fail(err, NW_ERR_INTERNAL, "RSP went from %#llx to %#llx, not by %d", (unsigned long long)before->rsp,
                       (unsigned long long)after->rsp, insn->stack_change);
    if (insn->load_register == INSN_NO_REGISTER)
        return NW_OK;
    uint64_t value = 0, got = insn_register(after, insn->load_register);
    memcpy(&value, loaded, insn->access[0].bytes);
    if (got != value)
        return nw_fail(err, NW_ERR_INTERNAL, "it loaded %#llx, and memory holds %#llx", (unsigned long long)got,
                       (unsigned long long)value);
    return NW_OK;
}

enum nw_status checker_finish(struct checker *c, const struct tables_watch *tables, struct nw_error *err)
{
    enum nw_status s = NW_OK;
    for (uint64_t pfn = 0; !s && pfn < c->vm->memory_bytes / NW_PAGE_BYTES; pfn++)
        if (memcmp(c->before + pfn * NW_PAGE_BYTES, c->vm->memory + pfn * NW_PAGE_BYTES, NW_PAGE_BYTES))
            s = page_check(c, pfn, tables, err);
    return s ? s : log_dirty(c->vm, false, err);
}
