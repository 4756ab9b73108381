/* Timing of exits: a guest that does one operation over and over. */
#include "exit_layout.h"
#include "live_internal.h"
#include "native_cost.h"
#include "vm.h"
#include <errno.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/traces/exit_cost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

extern const unsigned char nw_exit_guest_start[], nw_exit_guest_end[];

enum {
    CR0 = (int)0x80050033,
    CR4 = 0x620,
    EFER = 0x500, /* LMA LME */
    SELECTOR_CODE = 0x10,
    SELECTOR_DATA = 0x18,
    ACCESS_CODE = 0x9b,
    ACCESS_DATA = 0x93,
    FLAGS = 2,
    PAGE = 4096,
    OPERATIONS = 64, /* a chunk: 64 of up to some microseconds */
    CHUNKS_MAX = 512,
    STUCK_TICKS = 20,                 /* of 100 ms */
    EMPTY_LOOP = NW_EXIT_COST_MIX + 1 /* exit_guest.S */
};

struct timing {
    struct vm vm;
    enum nw_exit_cost_operation operation;
    uint8_t *next_page; /* of those not read yet */
    enum { CALL_VMCALL, CALL_VMMCALL, CALL_NONE } call;
};

static void put(uint8_t *memory, uint64_t gpa, uint64_t word) { memcpy(memory + gpa, &word, sizeof word); }

/* The first two GiB by themselves, in 2 MiB pages. */
static void load(uint8_t *memory)
{
    enum { PRESENT_WRITE = 3, LARGE = 0x80, GIBS = 2, ENTRIES = 512 };
    put(memory, EXIT_PML4, EXIT_PDPT | PRESENT_WRITE);
    for (uint64_t g = 0; g < GIBS; g++) {
        put(memory, EXIT_PDPT + 8 * g, (EXIT_PD + PAGE * g) | PRESENT_WRITE);
        for (uint64_t i = 0; i < ENTRIES; i++)
            put(memory, EXIT_PD + PAGE * g + 8 * i, g << 30 | i << 21 | LARGE | PRESENT_WRITE);
    }
    memcpy(memory + EXIT_CODE, nw_exit_guest_start, (size_t)(nw_exit_guest_end - nw_exit_guest_start));
}

static struct kvm_segment segment(unsigned selector, unsigned access, bool code)
{
    return (struct kvm_segment){ .limit = 0xffffffff,
                                 .selector = (uint16_t)selector,
                                 .type = access & 0xf,
                                 .s = 1,
                                 .present = 1,
                                 .l = code,
                                 .db = !code,
                                 .g = 1 };
}

static enum nw_status start(struct timing *t, struct nw_error *err)
{
    struct kvm_sregs sregs;
    enum nw_status s = vm_create(&t->vm, EXIT_MEMORY, err);
    if (s || (s = vm_sregs_get(&t->vm, &sregs, err)))
        return s;
    load(t->vm.memory);
    t->next_page = t->vm.memory + EXIT_PAGES;
    sregs.cs = segment(SELECTOR_CODE, ACCESS_CODE, true);
    sregs.ss = sregs.ds = sregs.es = sregs.fs = sregs.gs = segment(SELECTOR_DATA, ACCESS_DATA, false);
    sregs.cr0 = (uint32_t)CR0;
    sregs.cr3 = EXIT_PML4;
    sregs.cr4 = CR4;
    sregs.efer = EFER;
    uint32_t vendor = 0, a = 0, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(vendor), "=c"(c), "=d"(d));
    const bool amd = vendor == 0x68747541 || vendor == 0x6f677948; /* "Auth", "Hygo" */
    /* KVM's emulator patches a hypercall to the processor's own and has it executed again; where it emulates all of CPL 0, for ever. */
    t->call = !strcmp(t->vm.backend, "pvm") ? CALL_NONE : amd ? CALL_VMMCALL : CALL_VMCALL;
    return vm_sregs_set(&t->vm, &sregs, err);
}

static enum nw_status run_to_end(struct timing *t, struct nw_error *err)
{
    struct kvm_run *run = t->vm.run;
    for (unsigned ticks = 0; ticks < STUCK_TICKS;) {
        if (ioctl(t->vm.vcpu, KVM_RUN, 0)) {
            if (errno != EINTR && errno != EAGAIN)
                return nw_fail_errno(err, NW_ERR_ENV, errno, "KVM_RUN");
            ticks++;
        } else if (run->exit_reason == KVM_EXIT_IO && run->io.port == EXIT_PORT_END) {
            return NW_OK;
        } else if (run->exit_reason != KVM_EXIT_MMIO && run->exit_reason != KVM_EXIT_IO &&
                   run->exit_reason != KVM_EXIT_INTR) {
            return nw_fail(err, NW_ERR_ENV, "the guest that times exits ended with KVM exit %u", run->exit_reason);
        }
    }
    return nw_fail(err, NW_ERR_ENV, "the guest that times exits did not come to its end within two seconds");
}

long exit_cost_preemptions(void)
{
    struct rusage u;
    return getrusage(RUSAGE_THREAD, &u) ? 0 : u.ru_nivcsw;
}

uint64_t exit_cost_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

/* First reads need pages that nobody has read: when they are used up, KVM is made to forget them by giving the memory back. */
static uint64_t take_pages(struct timing *t, bool backed)
{
    const uint64_t bytes = (uint64_t)OPERATIONS * PAGE;
    if (t->next_page + bytes > t->vm.memory + t->vm.memory_bytes) {
        madvise(t->vm.memory + EXIT_PAGES, t->vm.memory_bytes - EXIT_PAGES, MADV_DONTNEED);
        t->next_page = t->vm.memory + EXIT_PAGES;
    }
    const uint64_t gpa = (uint64_t)(t->next_page - t->vm.memory);
    for (uint64_t i = 0; backed && i < bytes; i += PAGE)
        *(volatile uint8_t *)(t->next_page + i) = 1;
    t->next_page += bytes;
    return gpa;
}

/* TSC cycles an operation; below 0: the chunk is dropped. */
static enum nw_status run_chunk(struct timing *t, unsigned loop, double *cycles, struct nw_error *err)
{
    struct kvm_regs regs = {
        .rip = EXIT_CODE + loop * EXIT_LOOP_BYTES, .rflags = FLAGS, .rcx = OPERATIONS, .r8 = t->call, .rsi = EXIT_MMIO
    };
    if (loop == NW_EXIT_COST_BACKED || loop == NW_EXIT_COST_UNBACKED) {
        regs.rsi = take_pages(t, loop == NW_EXIT_COST_BACKED);
        regs.rdi = PAGE;
    } else if (loop == NW_EXIT_COST_CR3) {
        regs.rsi = EXIT_PML4;
    } else if (loop == NW_EXIT_COST_INVLPG) {
        regs.rsi = EXIT_CODE;
    }
    enum nw_status s = vm_regs_set(&t->vm, &regs, err);
    if (s)
        return s;
    const long switches = exit_cost_preemptions();
    const uint64_t begin = exit_cost_tsc();
    if ((s = run_to_end(t, err)))
        return s;
    *cycles = (double)(exit_cost_tsc() - begin) / OPERATIONS;
    if (exit_cost_preemptions() != switches)
        *cycles = -1;
    return vm_out_complete(&t->vm, err);
}

static enum nw_status chunk(void *context, bool empty, double *cycles, struct nw_error *err)
{
    struct timing *t = context;
    return run_chunk(t, empty ? (unsigned)EMPTY_LOOP : (unsigned)t->operation, cycles, err);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum nw_status exit_cost_time_chunks(enum nw_exit_cost_operation operation, exit_cost_chunk_fn chunk_of, void *context,
                                     const struct nw_exit_cost_options *o, struct nw_exit_timing *out,
                                     struct nw_error *err)
{
    double with[CHUNKS_MAX], without[CHUNKS_MAX], c;
    const uint32_t chunks = o->chunks < 8 ? 8 : o->chunks > CHUNKS_MAX ? CHUNKS_MAX : o->chunks;
    size_t n[2] = { 0, 0 };
    for (uint32_t i = 0; i < 2 * chunks; i++) {
        const bool empty = i & 1;
        if (o->keep_going && !o->keep_going(o->context))
            return nw_fail(err, NW_ERR_INTERRUPTED, "interrupted");
        enum nw_status s = chunk_of(context, empty, &c, err);
        if (s)
            return s;
        if (i < 2) /* nothing was warm */
            continue;
        if (c < 0)
            out->dropped++;
        else
            (empty ? without : with)[n[empty]++] = c;
    }
    if (!n[0] || !n[1])
        return nw_fail(err, NW_ERR_ENV, "every chunk of %s was interrupted: the machine is too busy to time exits",
                       nw_exit_cost_row[operation].name);
    qsort(with, n[0], sizeof *with, by_value);
    qsort(without, n[1], sizeof *without, by_value);
    const double loop = without[n[1] / 10];
    out->tsc_cycles = with[n[0] / 10] - loop;
    out->quarter = with[n[0] / 4] - loop;
    out->three_quarters = with[n[0] * 3 / 4] - loop;
    out->chunks = (uint32_t)n[0];
    return NW_OK;
}

enum nw_status nw_exit_cost_measure(enum nw_exit_cost_operation operation, const struct nw_exit_cost_options *options,
                                    struct nw_exit_timing *out, struct nw_error *err)
{
    struct timing t = { .vm = { .kvm = -1, .vm = -1, .vcpu = -1 }, .operation = operation };
    *out = (struct nw_exit_timing){ 0 };
    if (nw_exit_cost_row[operation].native)
        return native_cost_measure(operation, options, out, err);
    enum nw_status s = start(&t, err);
    memcpy(out->backend, t.vm.backend, sizeof out->backend);
    out->second_stage = live_second_stage(t.vm.backend);
    out->mix_has_hypercall = t.call != CALL_NONE;
    if (!s && operation == NW_EXIT_COST_HYPERCALL && t.call == CALL_NONE)
        s = nw_fail(
            err, NW_ERR_UNSUPPORTED,
            "hypercalls are not timed with the PVM backend: its emulation of CPL 0 executes one again and again");
    if (!s)
        s = exit_cost_time_chunks(operation, chunk, &t, options, out, err);
    vm_destroy(&t.vm);
    return s;
}
