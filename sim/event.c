/* event.c - what each recorded event does to the machine: tables, registers, what caches must forget, and its price. */
#include "exit_reason.h"
#include "guest.h"
#include "io.h"
#include "machine.h"
#include "pager.h"
#include <inttypes.h>

static const uint64_t NO_FLUSH = UINT64_C(1) << 63; /* of a value written to CR3 with CR4.PCIDE set */

/* SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure Caches": MOV to CR3. */
static void forget_for_cr3(struct machine *m, uint64_t value)
{
    if (!(m->registers.cr4 & NW_CR4_PCIDE))
        machine_forget(m, forget_space(0));
    else if (!(value & NO_FLUSH))
        machine_forget(m, forget_space((uint16_t)(value & 0xfff)));
}

/* ... MOV to CR0 and CR4. All spaces: paging turned off, PGE changed, PCIDE cleared; the current one: PAE changed, SMEP set.
 * MODEL: paging turned on, and PSE or LA57 changed, reach everything too: entries made before are of another format. */
static void forget_for_control(struct machine *m, uint64_t cr0, uint64_t cr4)
{
    uint64_t changed = cr4 ^ m->registers.cr4, set = changed & cr4, cleared = changed & ~cr4;
    if (((cr0 ^ m->registers.cr0) & NW_CR0_PG) || (changed & (NW_CR4_PGE | NW_CR4_PSE | NW_CR4_LA57)) ||
        (cleared & NW_CR4_PCIDE))
        machine_forget(m, FORGET_ALL);
    else if ((changed & NW_CR4_PAE) || (set & NW_CR4_SMEP))
        machine_forget(m, (struct invalidation){ .pcid = m->pcid, .global = true });
}

static enum nw_status control_register(struct machine *m, uint64_t cr, uint64_t value, struct nw_error *err)
{
    m->result->events.cr_writes++;
    switch (cr) {
    case 0:
        forget_for_control(m, value, m->registers.cr4);
        m->registers.cr0 = value;
        break;
    case 3:
        forget_for_cr3(m, value);
        m->epoch++; /* kept translations of this PCID may be another root's */
        m->registers.cr3 = value & ~NO_FLUSH;
        break;
    case 4:
        forget_for_control(m, m->registers.cr0, value);
        m->registers.cr4 = value;
        break;
    default: return NW_OK;
    }
    if (m->traced)
        return machine_registers_changed(m, (unsigned)cr, value, err);
    /* An imitation guest has one address space, whatever the trace's events say: its own CR3, once more. */
    if (cr != 3 || !m->pager->registers)
        return NW_OK;
    enum nw_status s = m->pager->registers(m, 3, m->guest.root, err);
    return s ? s : machine_take_deferred(m, err);
}

static enum nw_status table_write(struct machine *m, const struct nw_event *e, struct nw_error *err)
{
    uint64_t gpa = e->arg[0], value = e->arg[2];
    unsigned bytes = (unsigned)e->arg[1];
    m->result->events.table_writes++;
    if (!m->traced)
        return NW_OK;
    enum nw_status s = m->pager->table_write ? m->pager->table_write(m, gpa, bytes, value, err)
                                             : guest_table_write(m, gpa, bytes, value, err);
    if (!s && m->pager->table_written)
        s = m->pager->table_written(m, gpa, bytes, err);
    return s ? s : machine_take_deferred(m, err);
}

static enum nw_status invlpg(struct machine *m, uint64_t gva, struct nw_error *err)
{
    m->result->events.invlpg++;
    machine_forget(m, forget_page(gva, m->pcid));
    return m->pager->invlpg ? m->pager->invlpg(m, gva, err) : NW_OK;
}

/* SDM vol. 2, "INVPCID": 0 individual address, 1 single context, 2 all with global translations, 3 all but global ones. The first spares
 * global translations too, and PSC entries that do not lead to the address. */
static enum nw_status invpcid(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva, struct nw_error *err)
{
    struct invalidation what = { .pcid = pcid };
    if (type == 0) {
        what = forget_page(gva, pcid);
        what.global = false;
        what.structures_of_address = true;
    } else if (type >= 2) {
        what = (struct invalidation){ .every_space = true, .global = type == 2 };
    }
    machine_forget(m, what);
    return m->pager->invpcid ? m->pager->invpcid(m, type, pcid, gva, err) : NW_OK;
}

/* ---- what a VMM does about its guest; natively there is none ---- */

/* SDM vol. 3, "INVVPID": 0 individual address, 1 single context, 2 all contexts, 3 single context but for globals. Each reaches every PCID;
 * linear and combined mappings, never guest-physical ones.
 * MODEL: a trace has one guest, and does not say its VPID. Every VPID but 0, which is the VMM's own, is taken to be the guest's. */
static void invvpid(struct machine *m, uint64_t type, uint64_t vpid, uint64_t gva)
{
    struct invalidation what = FORGET_ALL;
    if (type != 2 && vpid == 0) /* the instruction fails */
        return;
    if (type == 0) {
        what = forget_page(gva, 0);
        what.every_space = what.structures_of_address = true;
    }
    what.global = type != 3;
    machine_forget(m, what);
}

/* SDM vol. 3, "INVEPT": 1 single context, 2 global. Guest-physical and combined mappings, of all VPIDs and PCIDs; linear mappings, which is
 * what a shadow pager's guest has, stay.
 * MODEL: a trace has one second stage and does not say its EPTP: the one named is taken to be the guest's. */
static void invept(struct machine *m)
{
    if (m->hw_nested)
        machine_forget(m, FORGET_NESTED);
}

/* APM vol. 3, "INVLPGA": the page in one ASID, global or not. Upper-level entries go as with INVLPG while EFER.TCE is clear: all of them. */
static void invlpga(struct machine *m, uint64_t gva, uint64_t asid)
{
    uint64_t page = gva & ~(NW_PAGE_BYTES - 1);
    if (asid) /* 0 is the host's */
        machine_forget(m, forget_range(page, page + NW_PAGE_BYTES));
}

/* APM vol. 2, "TLB Control". Translations of nested tables are TLB entries of the guest's ASID like others, and not global. */
static void tlb_control(struct machine *m, uint64_t value)
{
    struct invalidation what = FORGET_NESTED;
    what.global = value != NW_TLB_CONTROL_FLUSH_NON_GLOBAL;
    if (value != NW_TLB_CONTROL_NOTHING)
        machine_forget(m, what);
}

static void recorded_exit(struct machine *m, uint64_t code)
{
    enum nw_exit_reason reason = exit_reason_of(m->info->kvm_backend, code);
    m->result->events.vm_exits++;
    if (exit_is_of_the_model(m->config, reason))
        m->result->events.vm_exits_of_the_model++;
    else
        machine_exit(m, reason);
}

static void of_the_vmm(struct machine *m, const struct nw_event *e)
{
    switch (e->kind) {
    case NW_EV_INVVPID: invvpid(m, e->arg[0], e->arg[1], e->arg[2]); return;
    case NW_EV_INVEPT: invept(m); return;
    case NW_EV_INVLPGA: invlpga(m, e->arg[0], e->arg[1]); return;
    case NW_EV_TLB_CONTROL: tlb_control(m, e->arg[0]); return;
    case NW_EV_VM_EXIT: recorded_exit(m, e->arg[0]); return;
    default: machine_transition(m); return; /* NW_EV_VM_ENTRY */
    }
}

enum nw_status machine_event(struct machine *m, const struct nw_event *e, struct nw_error *err)
{
    struct nw_result *r = m->result;
    switch (e->kind) {
    case NW_EV_CR_WRITE: return control_register(m, e->arg[0], e->arg[1], err);
    case NW_EV_MSR_WRITE:
        if (e->arg[0] == 0xc0000080 && m->traced) { /* EFER */
            m->registers.efer = e->arg[1];
            return machine_registers_changed(m, CR_EFER, e->arg[1], err);
        }
        return NW_OK;
    case NW_EV_INVLPG: return invlpg(m, e->arg[0], err);
    case NW_EV_INVPCID: return invpcid(m, e->arg[0], (uint16_t)(e->arg[1] & 0xfff), e->arg[2], err);
    case NW_EV_INVVPID:
    case NW_EV_INVEPT:
    case NW_EV_INVLPGA:
    case NW_EV_TLB_CONTROL:
    case NW_EV_VM_EXIT:
    case NW_EV_VM_ENTRY:
        if (m->second_stage || (m->config->mode == NW_MODE_DIRECT && e->kind == NW_EV_VM_EXIT))
            of_the_vmm(m, e);
        return NW_OK;
    case NW_EV_TABLE_WRITE: return table_write(m, e, err);
    case NW_EV_TABLE_PAGE:
        if (!m->traced)
            return NW_OK;
        return m->pager->table_page ? m->pager->table_page(m, e, err) : guest_table_page(m, e, err);
    case NW_EV_PAGE_FAULT:
        r->events.page_faults_recorded++;
        /* The page, not the byte: touches know no more. */
        r->events.page_faults_agreed += m->last_fault.valid && m->last_fault.code == e->arg[1] &&
                                        m->last_fault.gva >> NW_PAGE_LOG2 == e->arg[0] >> NW_PAGE_LOG2;
        m->last_fault.valid = false;
        return NW_OK;
    default: return m->io ? io_event(m->io, e, err) : NW_OK;
    }
}
