/* event.c - what each recorded event does to the machine: tables, registers, what caches must forget, and its price. */
#include "guest.h"
#include "machine.h"
#include <inttypes.h>

void machine_forget_shadow(struct machine *m, const struct nw_shadow_invalidation *due)
{
    if (due->kind == NW_SHADOW_NOTHING)
        return;
    m->result->shadow.flushes++;
    if (due->kind == NW_SHADOW_ALL)
        machine_forget(m, (struct invalidation){ .scope = FORGET_ALL });
    else
        machine_forget(m, (struct invalidation){ .scope = FORGET_RANGE, .address = due->first, .end = due->last + 1 });
}

static const uint64_t NO_FLUSH = UINT64_C(1) << 63; /* of a value written to CR3 with CR4.PCIDE set */

/* SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure Caches": MOV to CR3. */
static void forget_for_cr3(struct machine *m, uint64_t value)
{
    if (!(m->registers.cr4 & NW_CR4_PCIDE))
        machine_forget(m, (struct invalidation){ .scope = FORGET_PCID, .pcid = 0 });
    else if (!(value & NO_FLUSH))
        machine_forget(m, (struct invalidation){ .scope = FORGET_PCID, .pcid = (uint16_t)(value & 0xfff) });
}

/* ... MOV to CR0 and CR4: paging turned off or on, PGE or LA57 changed, PCIDE cleared, SMEP set. */
static void forget_for_control(struct machine *m, uint64_t cr0, uint64_t cr4)
{
    uint64_t changed = cr4 ^ m->registers.cr4, set = changed & cr4, cleared = changed & ~cr4;
    if (((cr0 ^ m->registers.cr0) & NW_CR0_PG) || (changed & (NW_CR4_PGE | NW_CR4_PAE | NW_CR4_PSE | NW_CR4_LA57)) ||
        (cleared & NW_CR4_PCIDE) || (set & NW_CR4_SMEP))
        machine_forget(m, (struct invalidation){ .scope = FORGET_ALL });
}

static enum nw_status control_register(struct machine *m, uint64_t cr, uint64_t value, struct nw_error *err)
{
    m->result->events.cr_writes++;
    if (m->shadow && (cr == 0 || cr == 3 || cr == 4))
        machine_exit(m, NW_EXIT_CR_WRITE);
    switch (cr) {
    case 0:
        forget_for_control(m, value, m->registers.cr4);
        m->registers.cr0 = value;
        break;
    case 3:
        forget_for_cr3(m, value);
        m->registers.cr3 = value & ~NO_FLUSH;
        break;
    case 4:
        forget_for_control(m, m->registers.cr0, value);
        m->registers.cr4 = value;
        break;
    default: return NW_OK;
    }
    return m->traced ? machine_registers_changed(m, err) : NW_OK;
}

static enum nw_status table_write(struct machine *m, const struct nw_event *e, struct nw_error *err)
{
    m->result->events.table_writes++;
    if (!m->traced)
        return NW_OK;
    enum nw_status s = guest_table_write(m, e->arg[0], (unsigned)e->arg[1], e->arg[2], err);
    if (s || !m->shadow || !nw_shadow_is_table(m->shadow, nw_gpa(e->arg[0])))
        return s;
    machine_exit(m, NW_EXIT_TABLE_WRITE);
    struct nw_shadow_invalidation due;
    s = nw_shadow_table_write(m->shadow, nw_gpa(e->arg[0]), (unsigned)e->arg[1], &due, err);
    if (!s)
        machine_forget_shadow(m, &due);
    return s;
}

static void invlpg(struct machine *m, uint64_t gva, uint16_t pcid)
{
    machine_forget(m, (struct invalidation){ .scope = FORGET_PAGE, .pcid = pcid, .address = gva });
    if (!m->shadow)
        return;
    struct nw_shadow_invalidation due;
    machine_exit(m, NW_EXIT_INVLPG);
    nw_shadow_invlpg(m->shadow, nw_gva(gva), &due);
    machine_forget_shadow(m, &due);
}

/* SDM vol. 2, "INVPCID": 0 individual address, 1 single context, 2 all with global translations, 3 all but global ones. */
static void invpcid(struct machine *m, uint64_t type, uint16_t pcid, uint64_t gva)
{
    switch (type) {
    case 0: invlpg(m, gva, pcid); return;
    case 1: machine_forget(m, (struct invalidation){ .scope = FORGET_PCID, .pcid = pcid }); return;
    case 2: machine_forget(m, (struct invalidation){ .scope = FORGET_ALL }); return;
    default: machine_forget(m, (struct invalidation){ .scope = FORGET_NON_GLOBAL }); return;
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
            return machine_registers_changed(m, err);
        }
        return NW_OK;
    case NW_EV_INVLPG:
        r->events.invlpg++;
        invlpg(m, e->arg[0], m->pcid);
        return NW_OK;
    case NW_EV_INVPCID: invpcid(m, e->arg[0], (uint16_t)(e->arg[1] & 0xfff), e->arg[2]); return NW_OK;
    case NW_EV_INVVPID: machine_forget(m, (struct invalidation){ .scope = FORGET_ALL }); return NW_OK;
    case NW_EV_INVEPT: machine_forget(m, (struct invalidation){ .scope = FORGET_NESTED }); return NW_OK;
    case NW_EV_TABLE_WRITE: return table_write(m, e, err);
    case NW_EV_TABLE_PAGE: return m->traced ? guest_table_page(m, e, err) : NW_OK;
    case NW_EV_PAGE_FAULT:
        r->events.page_faults_recorded++;
        /* The page, not the byte: touches know no more. */
        r->events.page_faults_agreed += m->last_fault.valid && m->last_fault.code == e->arg[1] &&
                                        m->last_fault.gva >> NW_PAGE_LOG2 == e->arg[0] >> NW_PAGE_LOG2;
        m->last_fault.valid = false;
        return NW_OK;
    case NW_EV_VM_EXIT:
        if (m->second_stage)
            machine_exit(m, NW_EXIT_RECORDED);
        return NW_OK;
    default: return NW_OK; /* markers, I/O and the like do not touch the CPU's memory management */
    }
}
