/* explain_fault.c - what each bit of a fault's code says. */
#include "explain_fault.h"

struct bit_row {
    uint8_t bit;
    const char *name, *set, *clear;
};

/* SDM vol. 3, "Page-Fault Exceptions"; APM vol. 2, "Page-Fault Exception". Bits of shadow stacks and SGX, which are not modelled, are left
 * out. */
static const struct bit_row page_fault_bits[] = {
    { 0, "P", "the entries were present; a right is lacking, or a reserved bit is set", "an entry was not present" },
    { 1, "W/R", "the access was a write", "the access was a read or a fetch" },
    { 2, "U/S", "the access was made in user mode", "the access was made in supervisor mode" },
    { 3, "RSVD", "a reserved bit is set in an entry", "no reserved bit caused it" },
    { 4, "I/D", "the access was an instruction fetch", "the access was no fetch, or fetches are not told apart" },
    { 5, "PK", "the page's protection key forbids the access", "no protection key caused it" },
};

/* APM vol. 2, "Nested versus Guest Page Faults, Fault Ordering". */
static const struct bit_row npf_bits[] = {
    { 0, "P", "the nested entries were present; a right is lacking, or a reserved bit is set",
      "a nested entry was not present" },
    { 1, "RW", "the access was a write", "the access was a read or a fetch" },
    { 2, "US", "nested accesses count as user accesses", "a supervisor access" },
    { 3, "RSV", "a reserved bit is set in a nested entry", "no reserved bit caused it" },
    { 4, "ID", "the access was an instruction fetch", "the access was no fetch, or fetches are not told apart" },
    { 32, "final", "it happened while the guest's final physical address was translated",
      "it did not concern the final physical address" },
    { 33, "table", "it happened while the address of a guest page table was translated",
      "it did not concern a guest page table" },
};

/* SDM vol. 3, "Exit Qualification for EPT Violations". */
static const struct bit_row violation_bits[] = {
    { 0, "read", "the access was a data read, or a walk's access to a guest table with EPT A/D enabled",
      "the access was no data read" },
    { 1, "write", "the access was a data write, or a walk's access to a guest table with EPT A/D enabled",
      "the access was no data write" },
    { 2, "fetch", "the access was an instruction fetch", "the access was no instruction fetch" },
    { 3, "R", "the EPT entries permit reads", "the EPT entries do not permit reads" },
    { 4, "W", "the EPT entries permit writes", "the EPT entries do not permit writes" },
    { 5, "X", "the EPT entries permit fetches", "the EPT entries do not permit fetches" },
    { 6, "XU", "the EPT entries permit fetches from user-mode addresses",
      "fetches from user-mode addresses are not permitted, or not told apart" },
    { 7, "GLA", "the guest linear-address field is valid", "there is no guest linear address" },
    { 8, "final", "the access was to the page itself", "the access was to a guest paging-structure entry" },
};
static const struct bit_row advanced_bits[] = {
    { 9, "user", "the linear address is a user-mode address", "the linear address is a supervisor-mode address" },
    { 10, "writable", "the guest's tables permit writes", "the guest's tables do not permit writes" },
    { 11, "NX", "the guest's tables forbid fetches", "the guest's tables permit fetches" },
};

static void spell(struct nw_explained_fault *f, const struct bit_row *row, size_t count)
{
    for (size_t i = 0; i < count && f->bit_count < NW_EXPLAINED_BITS_MAX; i++) {
        bool set = f->code >> row[i].bit & 1;
        f->bit[f->bit_count++] =
            (struct nw_explained_bit){ row[i].bit, set, row[i].name, set ? row[i].set : row[i].clear };
    }
}

void explain_fault(const struct nw_walk_result *r, const struct nw_paging *nested, struct nw_explained_fault *f)
{
    *f = (struct nw_explained_fault){ .code_name = "", .address_name = "GPA" };
    if (r->outcome == NW_WALK_OK)
        return;
    f->code = r->fault.code;
    f->address = r->fault.address;
    f->level = r->fault.level;
    f->nested = r->fault.nested;
    f->shadow = r->fault.shadow;
    switch (r->outcome) {
    case NW_WALK_PAGE_FAULT:
        f->kind = "page_fault";
        f->code_name = "error code";
        f->address_name = "CR2";
        spell(f, page_fault_bits, NW_ARRAY_LEN(page_fault_bits));
        return;
    case NW_WALK_NPF:
        f->kind = "nested_page_fault";
        f->code_name = "EXITINFO1";
        f->address_name = "EXITINFO2";
        spell(f, npf_bits, NW_ARRAY_LEN(npf_bits));
        return;
    case NW_WALK_EPT_VIOLATION:
        f->kind = "ept_violation";
        f->code_name = "exit qualification";
        spell(f, violation_bits, NW_ARRAY_LEN(violation_bits));
        if (nested && nested->advanced_exit_info)
            spell(f, advanced_bits, NW_ARRAY_LEN(advanced_bits));
        return;
    case NW_WALK_EPT_MISCONFIG: f->kind = "ept_misconfiguration"; return;
    case NW_WALK_PML_FULL: f->kind = "pml_full"; return;
    case NW_WALK_NONCANONICAL:
        f->kind = "non_canonical";
        f->address_name = "GVA";
        return;
    default: f->kind = "vm_entry_refused"; return;
    }
}
