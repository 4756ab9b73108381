/* What each invalidation reaches, and what it leaves: every operation against an entry of every kind in every cache.
 *
 * An expectation is a row of '-' (must be gone) and '+' (must still be there), in groups:
 *   translations of page A in the current and another PCID, of page B likewise; the same four as global translations;
 *   guest paging-structure entries on the way to A in both PCIDs, on the way to B likewise; nested TLB entry, nested PSC entry.
 * Sources: SDM vol. 3, "Operations that Invalidate TLBs and Paging-Structure Caches" and "Operations that Invalidate Cached
 * Mappings"; SDM vol. 2, INVPCID; SDM vol. 3, INVEPT and INVVPID; APM vol. 2, "TLB Control"; APM vol. 3, INVLPGA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../sim/reference.h"
#include <stdlib.h>
#include <string.h>

enum { OTHER_PCID = 2, ROOT = 0x1000, TRANSLATIONS = 8, STRUCTURES = 4, ENTRIES = TRANSLATIONS + STRUCTURES + 2 };
static const uint64_t A = 0x7f0000001000, B = 0x400000;
static const uint64_t NO_FLUSH = UINT64_C(1) << 63;
#define ALL_STAY      "++++ ++++ ++++ ++"
#define BY_GVA_GO     "---- ---- ---- ++"
#define ALL_GO        "---- ---- ---- --"
#define BUT_GLOBAL_GO "---- ++++ ---- ++"

struct bench {
    struct nw_config config;
    struct nw_trace_info info;
    struct nw_table_page root;
    struct nw_result result;
    struct replay replay;
    struct reference_engine *engine;
};

static void setting(struct nw_config *c, const char *path, const char *value)
{
    struct nw_error err = { 0 };
    if (nw_config_set(c, path, value, "test", &err))
        fail_msg("%s", err.text);
}

static struct bench *bench_new(const char *mode, bool vpid, uint64_t cr4)
{
    static const char *const walk_caches[] = { "psc.guest.pde.entries",    "psc.guest.pdpte.entries",
                                               "psc.guest.pml4e.entries",  "psc.nested.pde.entries",
                                               "psc.nested.pml4e.entries", "nested_tlb.entries" };
    struct bench *t = calloc(1, sizeof *t);
    struct nw_error err = { 0 };
    void *state = NULL;
    assert_non_null(t);
    nw_config_init(&t->config);
    setting(&t->config, "run.mode", mode);
    setting(&t->config, "vmm.shadow_policy", "eager"); /* KVM's flushes go further than the instructions ask */
    setting(&t->config, "vmm.vpid", vpid ? "1" : "0");
    for (size_t i = 0; i < NW_ARRAY_LEN(walk_caches); i++)
        setting(&t->config, walk_caches[i], "8");
    struct nw_guest_registers r = nw_guest_registers_long(4, ROOT);
    nw_trace_info_init(&t->info);
    t->root.gpa = ROOT;
    t->info.has_tables = true;
    t->info.table = &t->root;
    t->info.table_count = 1;
    t->info.gpa_bits = 52;
    t->info.vcpu[0] = (struct nw_vcpu_state){
        .cr0 = r.cr0, .cr3 = ROOT | (cr4 & NW_CR4_PCIDE ? 1 : 0), .cr4 = r.cr4 | cr4, .efer = r.efer
    };
    t->replay = (struct replay){ .config = &t->config, .r = &t->result };
    if (machine_init(&t->replay.m, &t->config, &t->info, &t->result, &err) ||
        reference_create(&t->replay, &state, &err))
        fail_msg("%s", err.text);
    t->engine = state;
    reference_forget(t->engine);
    return t;
}

static void bench_free(struct bench *t)
{
    reference_destroy(t->engine);
    machine_fini(&t->replay.m);
    nw_config_fini(&t->config);
    free(t);
}

/* The same slot of an array each time: invalidation looks at every slot, whatever set it is. */
static void put(struct nw_tlb *t, uint32_t slot, unsigned log2, uint64_t address, uint16_t vpid, uint16_t pcid,
                bool global)
{
    t->entry[slot] = (struct nw_tlb_entry){ .valid = true,
                                            .global = global,
                                            .page_log2 = (uint8_t)log2,
                                            .page = address >> log2,
                                            .tag = { .vpid = vpid, .pcid = pcid },
                                            .rights = RIGHT_ALL };
}

static void fill_caches(struct bench *t)
{
    struct reference_engine *e = t->engine;
    uint16_t current = t->replay.m.pcid;
    for (uint32_t i = 0; i < TRANSLATIONS; i++)
        for (size_t array = 0; array < t->config.tlb_count; array++)
            put(&e->tlb[array], i, NW_PAGE_LOG2, i & 2 ? B : A, 1, i & 1 ? OTHER_PCID : current, i & 4);
    for (unsigned level = 0; level < NW_PSC_LEVELS; level++) {
        if (t->config.psc_guest[level].entries)
            for (uint32_t i = 0; i < STRUCTURES; i++)
                put(&e->psc_guest[level], i, NW_PAGE_2M_LOG2 + 9 * level, i & 2 ? B : A, 1,
                    i & 1 ? OTHER_PCID : current, false);
        if (t->config.psc_nested[level].entries)
            put(&e->psc_nested[level], 0, NW_PAGE_2M_LOG2 + 9 * level, 0x5000, 0, 0, false);
    }
    put(&e->nested_tlb, 0, NW_PAGE_LOG2, 0x5000, 0, 0, false);
}

/* What is left, in the order of an expectation. All arrays of a kind must agree. */
static void look(const struct bench *t, char out[ENTRIES + 4])
{
    const struct reference_engine *e = t->engine;
    unsigned at = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        unsigned there = 0, asked = 0;
        if (i < TRANSLATIONS) {
            for (size_t array = 0; array < t->config.tlb_count; array++, asked++)
                there += e->tlb[array].entry[i].valid;
        } else if (i == ENTRIES - 2) {
            there = e->nested_tlb.entry[0].valid;
            asked = 1;
        } else {
            const bool nested = i == ENTRIES - 1;
            const struct nw_psc_config *config = nested ? t->config.psc_nested : t->config.psc_guest;
            const struct nw_tlb *psc = nested ? e->psc_nested : e->psc_guest;
            for (unsigned level = 0; level < NW_PSC_LEVELS; level++)
                if (config[level].entries) {
                    there += psc[level].entry[nested ? 0 : i - TRANSLATIONS].valid;
                    asked++;
                }
        }
        if (i && i % 4 == 0)
            out[at++] = ' ';
        out[at++] = !there ? '-' : there == asked ? '+' : '?';
    }
    out[at] = 0;
}

struct operation {
    const char *name, *left;
    struct nw_event event;
};

static void check(const char *mode, bool vpid, uint64_t cr4, const struct operation *o)
{
    struct bench *t = bench_new(mode, vpid, cr4);
    struct nw_error err = { 0 };
    struct nw_event event = o->event;
    char left[ENTRIES + 4];
    if (event.kind == NW_EV_CR_WRITE && event.arg[0] != 3) /* such a row names the bits that change */
        event.arg[1] ^= event.arg[0] ? t->replay.m.registers.cr4 : t->replay.m.registers.cr0;
    fill_caches(t);
    if (machine_event(&t->replay.m, &event, &err))
        fail_msg("%s, %s: %s", mode, o->name, err.text);
    reference_forget(t->engine);
    look(t, left);
    if (strcmp(left, o->left))
        fail_msg("%s, %s: left %s, expected %s", mode, o->name, left, o->left);
    bench_free(t);
}

#define EVENT(kind_, ...)                                                                                              \
    {                                                                                                                  \
        .kind = (kind_), .arg = { __VA_ARGS__ }                                                                        \
    }
#define CHECK(mode, vpid, cr4, rows)                                                                                   \
    for (size_t i = 0; i < NW_ARRAY_LEN(rows); i++)                                                                    \
    check(mode, vpid, cr4, &(rows)[i])

static void guest_operations__reach_their_pcid_and_never_guest_physical_mappings(void **state)
{
    (void)state;
    const struct operation rows[] = {
        { "INVLPG", "-+++ --++ -+-+ ++", EVENT(NW_EV_INVLPG, A + 5) },
        { "INVPCID 0, current", "-+++ ++++ -+++ ++", EVENT(NW_EV_INVPCID, 0, 1, A) },
        { "INVPCID 0, other", "+-++ ++++ +-++ ++", EVENT(NW_EV_INVPCID, 0, OTHER_PCID, A) },
        { "INVPCID 1, other", "+-+- ++++ +-+- ++", EVENT(NW_EV_INVPCID, 1, OTHER_PCID) },
        { "INVPCID 2", BY_GVA_GO, EVENT(NW_EV_INVPCID, 2) },
        { "INVPCID 3", BUT_GLOBAL_GO, EVENT(NW_EV_INVPCID, 3) },
        { "MOV CR3", "-+-+ ++++ -+-+ ++", EVENT(NW_EV_CR_WRITE, 3, ROOT | 1) },
        { "MOV CR3, to the other", "+-+- ++++ +-+- ++", EVENT(NW_EV_CR_WRITE, 3, ROOT | OTHER_PCID) },
        { "MOV CR3, no flush", ALL_STAY, EVENT(NW_EV_CR_WRITE, 3, ROOT | OTHER_PCID | NO_FLUSH) },
        { "CR4.PGE", BY_GVA_GO, EVENT(NW_EV_CR_WRITE, 4, NW_CR4_PGE) },
        { "CR4.PCIDE cleared", BY_GVA_GO, EVENT(NW_EV_CR_WRITE, 4, NW_CR4_PCIDE) },
        { "CR4.SMEP set", "-+-+ ---- -+-+ ++", EVENT(NW_EV_CR_WRITE, 4, NW_CR4_SMEP) },
        { "CR4.SMAP", ALL_STAY, EVENT(NW_EV_CR_WRITE, 4, NW_CR4_SMAP) },
        { "CR0.WP", ALL_STAY, EVENT(NW_EV_CR_WRITE, 0, NW_CR0_WP) },
        { "EFER.NXE", ALL_STAY, EVENT(NW_EV_MSR_WRITE, 0xc0000080, NW_EFER_LME | NW_EFER_LMA) },
        { "a table write", ALL_STAY, EVENT(NW_EV_TABLE_WRITE, ROOT, 8, 0x2007) },
    };
    CHECK("native", true, NW_CR4_PCIDE, rows);
    CHECK("nested", true, NW_CR4_PCIDE, rows);
    CHECK("nested", false, NW_CR4_PCIDE, rows); /* none of them is an exit, so VPIDs do not matter */
}

static void without_pcids__mov_to_cr3_reaches_what_is_not_global(void **state)
{
    (void)state;
    const struct operation rows[] = {
        { "MOV CR3", "-+-+ ++++ -+-+ ++", EVENT(NW_EV_CR_WRITE, 3, ROOT) },
        { "MOV CR3, bit 3 is PWT and no PCID", "-+-+ ++++ -+-+ ++", EVENT(NW_EV_CR_WRITE, 3, ROOT | 8) },
        { "CR4.PCIDE set", ALL_STAY, EVENT(NW_EV_CR_WRITE, 4, NW_CR4_PCIDE) },
        { "INVLPG of the other page", "++-+ ++-- -+-+ ++", EVENT(NW_EV_INVLPG, B) },
    };
    const struct operation smep[] = { { "CR4.SMEP cleared", ALL_STAY, EVENT(NW_EV_CR_WRITE, 4, NW_CR4_SMEP) } };
    CHECK("nested", true, 0, rows);
    CHECK("native", true, NW_CR4_SMEP, smep);
}

static void vmm_operations__tell_combined_from_guest_physical_mappings(void **state)
{
    (void)state;
    const struct operation rows[] = {
        { "INVVPID 0", "--++ --++ --++ ++", EVENT(NW_EV_INVVPID, 0, 1, A) },
        { "INVVPID 1", BY_GVA_GO, EVENT(NW_EV_INVVPID, 1, 1) },
        { "INVVPID 2", BY_GVA_GO, EVENT(NW_EV_INVVPID, 2, 0) },
        { "INVVPID 3", BUT_GLOBAL_GO, EVENT(NW_EV_INVVPID, 3, 1) },
        { "INVVPID 0 of VPID 0", ALL_STAY, EVENT(NW_EV_INVVPID, 0, 0, A) },
        { "INVVPID 1 of VPID 0", ALL_STAY, EVENT(NW_EV_INVVPID, 1, 0) },
        { "INVVPID 3 of VPID 0", ALL_STAY, EVENT(NW_EV_INVVPID, 3, 0) },
        { "INVEPT 1", ALL_GO, EVENT(NW_EV_INVEPT, 1, 0x123405e) },
        { "INVEPT 2", ALL_GO, EVENT(NW_EV_INVEPT, 2) },
        { "INVLPGA", "--++ --++ ---- ++", EVENT(NW_EV_INVLPGA, A, 1) },
        { "INVLPGA of the host", ALL_STAY, EVENT(NW_EV_INVLPGA, A, 0) },
        { "TLB_CONTROL 0", ALL_STAY, EVENT(NW_EV_TLB_CONTROL, NW_TLB_CONTROL_NOTHING) },
        { "TLB_CONTROL 1", ALL_GO, EVENT(NW_EV_TLB_CONTROL, NW_TLB_CONTROL_FLUSH_ALL) },
        { "TLB_CONTROL 3", ALL_GO, EVENT(NW_EV_TLB_CONTROL, NW_TLB_CONTROL_FLUSH_GUEST) },
        { "TLB_CONTROL 7", "---- ++++ ---- --", EVENT(NW_EV_TLB_CONTROL, NW_TLB_CONTROL_FLUSH_NON_GLOBAL) },
        { "VM exit", ALL_STAY, EVENT(NW_EV_VM_EXIT, 10) },
        { "VM entry", ALL_STAY, EVENT(NW_EV_VM_ENTRY, 0) },
    };
    CHECK("nested", true, NW_CR4_PCIDE, rows);
    const struct operation without_vpid[] = {
        { "VM exit", BY_GVA_GO, EVENT(NW_EV_VM_EXIT, 10) },
        { "VM entry", BY_GVA_GO, EVENT(NW_EV_VM_ENTRY, 0) },
        { "INVEPT", ALL_GO, EVENT(NW_EV_INVEPT, 1) },
    };
    CHECK("nested", false, NW_CR4_PCIDE, without_vpid);
    for (size_t i = 0; i < NW_ARRAY_LEN(rows); i++) { /* natively there is no VMM that could have done it */
        struct operation native = rows[i];
        native.left = ALL_STAY;
        check("native", true, NW_CR4_PCIDE, &native);
        check("native", false, NW_CR4_PCIDE, &native);
    }
}

static void shadow_paging__has_linear_mappings_only(void **state)
{
    (void)state;
    const struct operation rows[] = {
        { "INVEPT", ALL_STAY, EVENT(NW_EV_INVEPT, 2) },
        { "INVVPID 1", BY_GVA_GO, EVENT(NW_EV_INVVPID, 1, 1) },
        { "INVVPID 3", BUT_GLOBAL_GO, EVENT(NW_EV_INVVPID, 3, 1) },
        { "VM exit", ALL_STAY, EVENT(NW_EV_VM_EXIT, 10) },
        { "INVPCID 3", BUT_GLOBAL_GO, EVENT(NW_EV_INVPCID, 3) },
    };
    const struct operation without_vpid[] = { { "VM exit", BY_GVA_GO, EVENT(NW_EV_VM_EXIT, 10) },
                                              { "MOV CR3 exits", BY_GVA_GO,
                                                EVENT(NW_EV_CR_WRITE, 3, ROOT | OTHER_PCID | NO_FLUSH) } };
    CHECK("shadow", true, NW_CR4_PCIDE, rows);
    CHECK("shadow", false, NW_CR4_PCIDE, without_vpid);
}

/* So that a fault that only cached entries caused does not come again. */
static void a_page_fault__drops_what_led_to_it(void **state)
{
    (void)state;
    struct bench *t = bench_new("nested", true, NW_CR4_PCIDE);
    struct nw_error err = { 0 };
    struct nw_walk_result fault = { .outcome = NW_WALK_PAGE_FAULT, .fault = { .address = A } };
    enum fault_action action;
    char left[ENTRIES + 4];
    fill_caches(t);
    if (machine_fault(&t->replay.m, nw_gva(A), nw_kind_make(NW_LOAD, 8, true), &fault, &action, &err))
        fail_msg("%s", err.text);
    reference_forget(t->engine);
    look(t, left);
    assert_string_equal(left, "-+++ --++ -+++ ++");
    assert_int_equal(action, FAULT_GIVE_UP);
    bench_free(t);
}

/* The nested entries put in by fill_caches translate GPA 0x5000. */
static void an_ept_violation__drops_what_led_to_it(void **state)
{
    (void)state;
    static const struct {
        enum nw_outcome outcome;
        uint64_t gpa;
        const char *left;
    } rows[] = {
        { NW_WALK_EPT_VIOLATION, 0x5010, "-+++ --++ -+++ --" },
        { NW_WALK_EPT_VIOLATION, 0x10000005010, "-+++ --++ -+++ ++" },
        { NW_WALK_NPF, 0x5010, ALL_STAY }, /* the APM promises nothing of the kind */
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(rows); i++) {
        struct bench *t = bench_new("nested", true, NW_CR4_PCIDE);
        struct nw_error err = { 0 };
        struct nw_walk_result fault = { .outcome = rows[i].outcome,
                                        .fault = { .address = rows[i].gpa, .for_guest_level = NW_FOR_FINAL } };
        enum fault_action action;
        char left[ENTRIES + 4];
        fill_caches(t);
        if (machine_fault(&t->replay.m, nw_gva(A), nw_kind_make(NW_LOAD, 8, true), &fault, &action, &err))
            fail_msg("%s", err.text);
        reference_forget(t->engine);
        look(t, left);
        assert_string_equal(left, rows[i].left);
        assert_int_equal(action, FAULT_RETRY);
        bench_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_operations__reach_their_pcid_and_never_guest_physical_mappings),
        cmocka_unit_test(without_pcids__mov_to_cr3_reaches_what_is_not_global),
        cmocka_unit_test(vmm_operations__tell_combined_from_guest_physical_mappings),
        cmocka_unit_test(shadow_paging__has_linear_mappings_only),
        cmocka_unit_test(a_page_fault__drops_what_led_to_it),
        cmocka_unit_test(an_ept_violation__drops_what_led_to_it),
    };
    return cmocka_run_group_tests_name("invalidation", tests, NULL, NULL);
}
