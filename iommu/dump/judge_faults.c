/* Faults of the kernel's log, by what else is known of the machine. Reasons: VT-d, "Fault Reasons". */
#include "judge.h"
#include "topology.h"
#include <stdio.h>
#include <string.h>

enum {
    REASON_CONTEXT_ABSENT = 0x02,
    REASON_BEYOND_WIDTH = 0x04,
    REASON_WRITE = 0x05,
    REASON_READ = 0x06,
    REASON_COMPATIBILITY = 0x25,
    REASON_SOURCE = 0x26,
    REASON_SCALABLE_CONTEXT_ABSENT = 0x41,
    REASON_SECOND_STAGE_WIDTH = 0x84
};
enum { BASE_CLASS_DISPLAY = 3, CLASS_USB = 0x0c03, BOOT_SECONDS = 60 };

/* What the dump of mappings says of the address now. */
static const char *state_of(const struct nw_dump *d, const struct nw_logged_fault *f)
{
    bool of_device = false;
    for (size_t i = 0; i < d->mappings; i++) {
        const struct nw_dump_mapping *m = &d->mapping[i];
        if (m->source_id != f->bdf || m->has_pasid != f->has_pasid || (f->has_pasid && m->pasid != f->pasid))
            continue;
        of_device = true;
        if (f->address < m->iova || f->address - m->iova >= m->bytes)
            continue;
        if (f->write ? !m->write : !m->read)
            return f->write ? "the dump has it mapped, without write permission"
                            : "the dump has it mapped, without read permission";
        return "the dump has it mapped with that permission: it was mapped later, or unmapped for a time";
    }
    return of_device ? "the dump has nothing mapped there: never mapped, or unmapped while the device used it" : NULL;
}

static void judge_repeated(struct judge *j, const struct nw_dump_fault *f, const char *where)
{
    const bool amd = f->fault.source == NW_FAULT_AMD;
    const char *state = state_of(j->d, &f->fault);
    if (f->count < 2 || !f->fault.has_address || (amd && (f->fault.flags & NW_AMD_FLAG_I)) ||
        !(amd ? f->fault.reason == NW_AMD_IO_PAGE_FAULT
              : f->fault.reason == REASON_WRITE || f->fault.reason == REASON_READ))
        return;
    if (!state && amd)
        state = f->fault.flags & NW_AMD_FLAG_PR ? "the page was mapped and lacked the permission"
                                                : "nothing was mapped there";
    nw_judge_add(j, F02, &f->place, where, "%llu times, at 0x%llx to 0x%llx; of the first, %s",
                 (unsigned long long)f->count, (unsigned long long)f->lowest, (unsigned long long)f->highest,
                 state ? state : "no dump of its mappings tells whether it is unmapped or lacks the permission");
}

static void judge_absent(struct judge *j, const struct nw_dump_fault *f, const char *where)
{
    const struct nw_dump *d = j->d;
    if (!d->functions || nw_judge_shown(d, f->fault.bdf))
        return;
    for (size_t i = 0; i < d->functions; i++)
        if ((d->function[i].bdf ^ f->fault.bdf) < 8) {
            char name[16];
            nw_judge_function(&d->function[i], name);
            nw_judge_add(j, F03, &f->place, where, "is not shown; %s is, of the same device: it sends by a second id",
                         name);
            return;
        }
    nw_judge_add(j, F03, &f->place, where, "no such function is shown");
}

static void judge_interrupt(struct judge *j, const struct nw_dump_fault *f, const struct nw_requesters *known,
                            const char *where)
{
    const struct nw_dump *d = j->d;
    if (f->fault.reason == REASON_COMPATIBILITY)
        nw_judge_add(j, F04, &f->place, where, "%llu times", (unsigned long long)f->count);
    if (f->fault.reason == REASON_SOURCE && d->has_dmar && d->functions && !nw_requesters_has(known, f->fault.bdf, 0))
        nw_judge_add(j, F05, &f->place, where, "interrupt index 0x%llx; it is no function, I/O APIC or HPET",
                     (unsigned long long)f->fault.address);
}

/* USB and display are what firmware goes on using: their place if nothing tells the class. */
static bool may_need_region(const struct nw_dump *d, uint16_t bdf)
{
    const struct nw_dump_function *f = nw_topology_find(d, 0, bdf);
    if (f && f->has_class)
        return f->class_code >> 8 == CLASS_USB || f->class_code >> 16 == BASE_CLASS_DISPLAY;
    return bdf >> 3 == 0x02 || bdf >> 3 == 0x14 || bdf >> 3 == 0x1a || bdf >> 3 == 0x1d;
}

static bool is_in_own_region(const struct nw_dump *d, uint16_t bdf, uint64_t address)
{
    for (size_t i = 0; i < d->scopes; i++) {
        const struct nw_dump_scope *s = &d->scope[i];
        if (s->of == NW_DMAR_RMRR && !s->deep && s->bdf == bdf && d->rmrr[s->owner].start <= address &&
            address <= d->rmrr[s->owner].last)
            return true;
    }
    return false;
}

/* Low memory, another device's region, or what the memory map reserves. */
static const char *firmware_memory(const struct nw_dump *d, uint64_t address)
{
    if (address < NW_BIT(20))
        return "below 1 MiB";
    for (size_t i = 0; i < d->rmrrs; i++)
        if (d->rmrr[i].start <= address && address <= d->rmrr[i].last)
            return "in a reserved region (RMRR) that does not name the device";
    for (size_t i = 0; i < d->ranges; i++)
        if (d->range[i].start <= address && address <= d->range[i].last && !strncmp(d->range[i].what, "Reserved", 8))
            return "in memory that the memory map reserves, and no region (RMRR) of the device";
    return NULL;
}

static void judge_region(struct judge *j, const struct nw_dump_fault *f, const char *where)
{
    const struct nw_dump *d = j->d;
    if (!d->has_dmar || f->fault.write || !f->fault.has_address || !may_need_region(d, f->fault.bdf) ||
        (f->has_time && f->seconds > BOOT_SECONDS) || is_in_own_region(d, f->fault.bdf, f->fault.address))
        return;
    const char *memory = firmware_memory(d, f->fault.address);
    if (memory)
        nw_judge_add(j, F06, &f->place, where, "reads 0x%llx, %s", (unsigned long long)f->fault.address, memory);
}

static void judge_width(struct judge *j, const struct nw_dump_fault *f, const char *where)
{
    unsigned bits = 0, most = 0;
    for (uint64_t a = f->highest; a; a >>= 1)
        bits++;
    for (size_t i = 0; i < j->d->units; i++)
        if (j->d->unit[i].has[NW_DUMP_CAP] && nw_field(j->d->unit[i].value[NW_DUMP_CAP], 21, 16) + 1 > most)
            most = (unsigned)nw_field(j->d->unit[i].value[NW_DUMP_CAP], 21, 16) + 1;
    if (most)
        nw_judge_add(j, F07, &f->place, where, "0x%llx needs %u bits; the widest unit takes %u (MGAW)",
                     (unsigned long long)f->highest, bits, most);
    else
        nw_judge_add(j, F07, &f->place, where, "0x%llx needs %u bits", (unsigned long long)f->highest, bits);
}

void nw_judge_faults(struct judge *j)
{
    const struct nw_dump *d = j->d;
    struct nw_requesters known;
    if (d->faults)
        nw_topology_requesters(d, &known);
    for (size_t i = 0; i < d->faults; i++) {
        const struct nw_dump_fault *f = &d->fault[i];
        char where[16];
        nw_judge_name(f->fault.bdf, where);
        if (!f->fault.has_device)
            continue;
        judge_repeated(j, f, where);
        if (f->fault.source == NW_FAULT_VTD_INTERRUPT)
            judge_interrupt(j, f, &known, where);
        if (f->fault.source != NW_FAULT_VTD_DMA)
            continue;
        judge_region(j, f, where);
        if (f->fault.reason == REASON_CONTEXT_ABSENT || f->fault.reason == REASON_SCALABLE_CONTEXT_ABSENT)
            judge_absent(j, f, where);
        if ((f->fault.reason == REASON_BEYOND_WIDTH || f->fault.reason == REASON_SECOND_STAGE_WIDTH) &&
            f->fault.has_address)
            judge_width(j, f, where);
    }
}
