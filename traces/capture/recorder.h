/* recorder.h - steps the guest and turns each instruction into accesses and events. */
#ifndef NESTWALK_CAPTURE_RECORDER_H
#define NESTWALK_CAPTURE_RECORDER_H

#include "decode.h"
#include "tables.h"
#include "vm.h"
#include <nestwalk/traces/block.h>
#include <nestwalk/traces/capture.h>

/* Where the trace goes. */
struct sink {
    enum nw_status (*access)(struct sink *self, uint64_t gva, uint8_t kind, struct nw_error *err);
    enum nw_status (*event)(struct sink *self, const struct nw_event *event, struct nw_error *err);
};

enum { RECORDER_TLB_SIZE = 1024 };

struct recorder {
    struct vm *vm;
    struct sink *sink;
    struct decoder *decoder;
    struct tables_watch tables;
    struct nw_capture_result *count; /* instructions and steps; the sink counts what it is given */
    uint64_t page_fault_entry, cr3;
    uint64_t segment_base[3]; /* zero, FS, GS */
    uint64_t gdt_base, idt_base;
    /* GVA page -> GPA page, of the guest's own tables; emptied whenever they may have changed. tag 0: empty (page + 1). */
    struct {
        uint64_t tag, gpa;
    } tlb[RECORDER_TLB_SIZE];
    uint64_t faults;         /* delivered */
    bool resuming;           /* the last step ended inside a repeated string instruction */
    struct checker *checker; /* NULL unless instructions are checked */
};

enum nw_status recorder_init(struct recorder *r, struct vm *vm, struct sink *sink, struct nw_capture_result *count,
                             uint64_t page_fault_entry, struct nw_error *err) NW_MUST_USE;
void recorder_fini(struct recorder *r);

/* Makes and records one instruction. *out: it was an OUT to *port with *value. *stepped: false when only time passed. */
enum nw_status recorder_step(struct recorder *r, bool *stepped, bool *out, uint16_t *port, uint32_t *value,
                             struct nw_error *err) NW_MUST_USE;

/* ---- guest_memory.c ---- */
/* GPA of a GVA by the guest's tables as they stand, or UINT64_MAX. */
uint64_t recorder_translate(struct recorder *r, uint64_t gva);
void recorder_forget(struct recorder *r); /* all translations: the tables, or the root, changed */
/* Guest memory at `gva`: how many of `bytes` were copied, fewer where nothing is mapped. */
unsigned recorder_read(struct recorder *r, uint64_t gva, void *out, unsigned bytes);

/* Adds "RIP ...: instruction" to an error. */
void recorder_explain(struct recorder *r, uint64_t rip, struct nw_error *err);

/* ---- checker.c: proves single instructions ---- */
enum { CHECK_STORES_MAX = 4096 + 16 };
struct checker;
enum nw_status checker_create(struct checker **out, struct vm *vm, struct nw_error *err) NW_MUST_USE;
void checker_destroy(struct checker *c);
/* A recorded store of this step. */
void checker_store(struct checker *c, uint64_t gpa, unsigned bytes);
/* The step is over: compares memory with what it was before. `tables`: where A and D bits may change by themselves. */
enum nw_status checker_memory(struct checker *c, const struct tables_watch *tables, struct nw_error *err) NW_MUST_USE;
/* The last check is over: all of memory, lest the dirty log missed a page. */
enum nw_status checker_finish(struct checker *c, const struct tables_watch *tables, struct nw_error *err) NW_MUST_USE;
/* Of an instruction that completed: RSP and, for a plain load, the register's value. */
enum nw_status checker_registers(const struct insn *insn, const struct kvm_regs *before, const struct kvm_regs *after,
                                 const uint8_t *loaded, struct nw_error *err) NW_MUST_USE;

#endif
