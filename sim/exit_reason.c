/* exit_reason.c - recorded exits, and the price of all. See exit_reason.h. */
#include "exit_reason.h"
#include <nestwalk/base/bits.h>
#include <string.h>

struct code_row {
    uint16_t first, last; /* codes, inclusive */
    enum nw_exit_reason reason;
};

/* SDM vol. 3, appendix "VMX Basic Exit Reasons". */
static const struct code_row vmx[] = {
    { 0, 0, NW_EXIT_GUEST_PAGE_FAULT }, /* exception or NMI */
    { 1, 1, NW_EXIT_EXTERNAL_INTERRUPT },
    { 10, 10, NW_EXIT_CPUID },
    { 12, 12, NW_EXIT_HLT },
    { 14, 14, NW_EXIT_INVLPG },
    { 28, 28, NW_EXIT_CR_WRITE },
    { 30, 30, NW_EXIT_IO_INSTRUCTION },
    { 31, 32, NW_EXIT_MSR },
    { 44, 44, NW_EXIT_APIC_ACCESS },
    { 48, 48, NW_EXIT_EPT_VIOLATION },
    { 49, 49, NW_EXIT_MMIO },        /* an EPT misconfiguration; KVM makes them on purpose where a device is: Linux,
                                        Documentation/virt/kvm/x86/mmu.rst, "Reaction to events" */
    { 56, 56, NW_EXIT_APIC_ACCESS }, /* APIC write */
    { 58, 58, NW_EXIT_INVLPG },      /* INVPCID */
    { 62, 62, NW_EXIT_PML_FULL },
};

/* APM vol. 2, appendix "SVM Intercept Exit Codes". */
static const struct code_row svm[] = {
    { 0x10, 0x1f, NW_EXIT_CR_WRITE },         /* CR0 to CR15 */
    { 0x4e, 0x4e, NW_EXIT_GUEST_PAGE_FAULT }, /* exception 14 */
    { 0x60, 0x60, NW_EXIT_EXTERNAL_INTERRUPT },
    { 0x65, 0x65, NW_EXIT_CR_WRITE }, /* CR0, bits other than TS and MP */
    { 0x72, 0x72, NW_EXIT_CPUID },
    { 0x78, 0x78, NW_EXIT_HLT },
    { 0x79, 0x79, NW_EXIT_INVLPG },
    { 0x7b, 0x7b, NW_EXIT_IO_INSTRUCTION },
    { 0x7c, 0x7c, NW_EXIT_MSR },
    { 0xa2, 0xa2, NW_EXIT_INVLPG }, /* INVPCID */
    { 0x400, 0x400, NW_EXIT_EPT_VIOLATION },
    { 0x402, 0x402, NW_EXIT_APIC_ACCESS }, /* AVIC: a register that is not accelerated */
};

static enum nw_exit_reason look_up(const struct code_row *row, size_t count, uint64_t code)
{
    for (size_t i = 0; i < count; i++)
        if (code >= row[i].first && code <= row[i].last)
            return row[i].reason;
    return NW_EXIT_RECORDED;
}

enum nw_exit_reason exit_reason_of(const char *backend, uint64_t code)
{
    if (!strcmp(backend, "vmx"))
        return look_up(vmx, NW_ARRAY_LEN(vmx),
                       code & 0xffff); /* above: flags, SDM vol. 3, "Basic VM-Exit Information" */
    if (!strcmp(backend, "svm"))
        return look_up(svm, NW_ARRAY_LEN(svm), code);
    return NW_EXIT_RECORDED;
}

bool exit_is_of_the_model(const struct nw_config *c, enum nw_exit_reason reason)
{
    bool shadow = c->mode == NW_MODE_SHADOW || c->mode == NW_MODE_DIRECT ||
                  c->mode == NW_MODE_AGILE; /* all see to the guest's tables themselves */
    switch (reason) {
    case NW_EXIT_GUEST_PAGE_FAULT:
    case NW_EXIT_CR_WRITE:
    case NW_EXIT_INVLPG: return shadow;
    case NW_EXIT_EPT_VIOLATION: return shadow || c->vmm.demand_backing;
    case NW_EXIT_PML_FULL: return shadow || c->vmm.pml;
    default: return false;
    }
}

void exits_add(struct nw_result *r, const struct nw_config *c, enum nw_exit_reason reason, uint64_t count)
{
    const struct nw_exit_cost *cost = &c->cost.exit[reason];
    r->exits[reason].count += count;
    r->exits[reason].cycles += count * nw_exit_cost_total(cost);
    r->exits[reason].direct_cycles += count * cost->direct;
    r->exits[reason].synchronous_cycles += count * cost->synchronous;
    r->exits[reason].indirect_cycles += count * cost->indirect;
}

void exits_add_mix(struct nw_result *r, const struct nw_config *c)
{
    if (c->mode == NW_MODE_NATIVE)
        return;
    for (unsigned i = 0; i < NW_EXIT_COUNT; i++)
        exits_add(r, c, (enum nw_exit_reason)i, c->mix.count[i]);
}
