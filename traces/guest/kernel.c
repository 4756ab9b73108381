/* kernel.c - start, exceptions, and the workload's run. */
#include "kernel.h"

struct nwg_param *const param = (struct nwg_param *)(uint64_t)NWG_PARAM_GPA;

/* A 64-bit interrupt gate (SDM vol. 3, "64-Bit Mode IDT"). */
struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};
static struct gate idt[32] __attribute__((aligned(16)));
extern const char exception_stubs[]; /* 16 bytes each */

static void gate_set(unsigned vector, uint64_t handler)
{
    idt[vector] = (struct gate){ .offset_low = (uint16_t)handler,
                                 .selector = NWG_SELECTOR_CODE,
                                 .type = 0x8e, /* present, interrupt gate */
                                 .offset_mid = (uint16_t)(handler >> 16),
                                 .offset_high = (uint32_t)(handler >> 32) };
}

static void exceptions_init(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = { sizeof idt - 1, (uint64_t)idt };
    for (unsigned v = 0; v < 32; v++)
        gate_set(v, (uint64_t)exception_stubs + v * 16);
    gate_set(NWG_VECTOR_PF, (uint64_t)page_fault_entry);
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void panic(enum nwg_panic reason)
{
    out32(NWG_PORT_PANIC, (uint32_t)reason << 24);
    for (;;)
        __asm__ volatile("hlt");
}

void exception_fatal(uint64_t vector, uint64_t error, uint64_t rip)
{
    param->panic_vector = vector;
    param->panic_error = error;
    param->panic_rip = rip;
    param->panic_cr2 = cr2_read();
    panic(NWG_PANIC_EXCEPTION);
}

static void announce(struct wl *w, enum wl_phase phase, unsigned number)
{
    static const uint8_t marker[] = { NWG_MARKER_BEGIN, NWG_MARKER_PHASE, NWG_MARKER_END };
    (void)w;
    out32(NWG_PORT_MARKER, (uint32_t)marker[phase] << 24 | (number & 0xffffff));
}

_Noreturn void kernel_main(void);
_Noreturn void kernel_main(void)
{
    exceptions_init();
    if (param->magic != NWG_PARAM_MAGIC || param->workload >= wl_count)
        panic(NWG_PANIC_PARAM);
    param->page_fault_entry = (uint64_t)page_fault_entry;
    frames_init();
    spaces_init();
    struct wl w = { .size = param->size,
                    .operations = param->operations,
                    .seed = param->seed,
                    .alloc = heap_alloc,
                    .phase = announce,
                    .vm = &kernel_vm };
    param->checksum = wl_table[param->workload].run(&w);
    out32(NWG_PORT_DONE, 0);
    for (;;)
        __asm__ volatile("hlt");
}

/* What compilers call even in freestanding code. */
void *memset(void *to, int value, size_t bytes)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}
void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}
