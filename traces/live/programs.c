/* The fixed set. Each program does one thing, and says after each part of it: marker. */
#include "program_builder.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void area(struct builder *b, unsigned flags)
{
    build_table(b, 0);
    build_pages(b, 0, 64, 0, flags);
}

static void touch(struct builder *b, enum nw_kvm_op_code code, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        build_op(b, code, program_page(0, i), 0x1234);
    build_marker(b);
}

static uint64_t pte(unsigned frame, unsigned flags) { return (uint64_t)(GUEST_FRAMES + frame) << 12 | flags; }

/* ---- touch -------------------------------------------------------------------------------------------------- */

static void touch_clean(struct builder *b)
{
    area(b, PTE_CLEAN);
    touch(b, NW_KVM_OP_READ, 64);
    touch(b, NW_KVM_OP_READ, 64);
    touch(b, NW_KVM_OP_WRITE, 64);
    touch(b, NW_KVM_OP_WRITE, 64);
}

static void touch_used(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 64);
    touch(b, NW_KVM_OP_WRITE, 64);
}

static void touch_accessed(struct builder *b)
{
    area(b, PTE_CLEAN | 0x20);
    touch(b, NW_KVM_OP_READ, 64);
    touch(b, NW_KVM_OP_WRITE, 64);
}

static void touch_call(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_EXEC, 32);
    touch(b, NW_KVM_OP_EXEC, 32);
}

static void touch_unmapped(struct builder *b)
{
    area(b, PTE_USED);
    for (unsigned i = 60; i < 70; i++)
        build_op(b, NW_KVM_OP_READ, program_page(0, i), 0);
    build_marker(b);
    build_op(b, NW_KVM_OP_WRITE, guest_pte(0, 64), pte(64, PTE_USED));
    build_op(b, NW_KVM_OP_READ, program_page(0, 64), 0);
    build_marker(b);
}

/* ---- edit --------------------------------------------------------------------------------------------------- */

static void edit(struct builder *b, bool flush, const unsigned *flags, unsigned kinds, enum nw_kvm_op_code access)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_WRITE, 8);
    for (unsigned i = 0; i < 24; i++) {
        build_op(b, NW_KVM_OP_WRITE, guest_pte(0, i % 8), pte(i % 8 + (kinds > 1 ? 0 : i), flags[i % kinds]));
        if (flush)
            build_op(b, NW_KVM_OP_INVLPG, program_page(0, i % 8), 0);
        build_op(b, access, program_page(0, i % 8), 7);
        build_marker(b);
    }
}

static void edit_invlpg(struct builder *b) { edit(b, true, (const unsigned[]){ PTE_USED }, 1, NW_KVM_OP_READ); }

/* Pages that were not used yet: what an old entry would give is then not in question. */
static void edit_fresh(struct builder *b)
{
    area(b, PTE_CLEAN);
    touch(b, NW_KVM_OP_READ, 4);
    for (unsigned i = 8; i < 32; i++) {
        build_op(b, NW_KVM_OP_WRITE, guest_pte(0, i), pte(i + 32, PTE_USED));
        build_op(b, NW_KVM_OP_READ, program_page(0, i), 0);
        build_marker(b);
    }
}

static void edit_late_invlpg(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 16);
    for (unsigned i = 0; i < 16; i++)
        build_op(b, NW_KVM_OP_WRITE, guest_pte(0, i), pte(i + 40, PTE_USED));
    build_marker(b);
    for (unsigned i = 0; i < 16; i++)
        build_op(b, NW_KVM_OP_INVLPG, program_page(0, i), 0);
    build_marker(b);
    touch(b, NW_KVM_OP_READ, 16);
}

static void edit_permissions(struct builder *b)
{
    edit(b, true, (const unsigned[]){ 0x065, 0x067, 0x063, 0x067, 0x000 }, 5, NW_KVM_OP_WRITE);
}

static void edit_flags(struct builder *b)
{
    edit(b, true, (const unsigned[]){ 0x007, 0x027, 0x047, 0x067 }, 4, NW_KVM_OP_WRITE);
}

static void edit_widths(struct builder *b)
{
    static const enum nw_kvm_op_code code[] = { NW_KVM_OP_WRITE4, NW_KVM_OP_WRITE2, NW_KVM_OP_WRITE1, NW_KVM_OP_LOCK_OR,
                                                NW_KVM_OP_LOCK_ADD };
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 8);
    for (unsigned i = 0; i < NW_ARRAY_LEN(code); i++) {
        build_op(b, code[i], guest_pte(0, i), i < 3 ? 0x67 : 0);
        build_op(b, NW_KVM_OP_CR3, guest_root(0), 0);
        build_op(b, NW_KVM_OP_READ, program_page(0, i + 8), 0);
        build_marker(b);
    }
}

/* ---- directory ---------------------------------------------------------------------------------------------- */

static void directory_flood(struct builder *b)
{
    area(b, PTE_USED);
    build_table(b, 1);
    build_pages(b, 1, 16, 64, PTE_USED);
    touch(b, NW_KVM_OP_READ, 8);
    for (unsigned i = 0; i < 6; i++) {
        build_op(b, NW_KVM_OP_WRITE, GUEST_PD + 8 * 3, (GUEST_PT + 4096) | PTE_TABLE);
        build_marker(b);
    }
    touch(b, NW_KVM_OP_READ, 8);
}

static void directory_clear(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 8);
    build_op(b, NW_KVM_OP_WRITE, GUEST_PD, 0);
    build_marker(b);
    touch(b, NW_KVM_OP_READ, 2);
    build_op(b, NW_KVM_OP_WRITE, GUEST_PD, GUEST_PT | PTE_TABLE);
    build_marker(b);
    touch(b, NW_KVM_OP_READ, 8);
}

static void directory_add(struct builder *b)
{
    area(b, PTE_USED);
    build_pages(b, 1, 16, 64, PTE_USED);
    touch(b, NW_KVM_OP_READ, 1);
    build_op(b, NW_KVM_OP_LOCK_ADD, GUEST_PD + 8, (GUEST_PT + 4096) | PTE_TABLE);
    build_marker(b);
    build_op(b, NW_KVM_OP_READ, program_page(1, 0), 0);
    build_marker(b);
}

/* ---- roots -------------------------------------------------------------------------------------------------- */

static void roots(struct builder *b, unsigned count)
{
    area(b, PTE_USED);
    for (unsigned round = 0; round < (count > 16 ? 2 : 4); round++) {
        for (unsigned i = 0; i < count; i++) {
            build_op(b, NW_KVM_OP_CR3, guest_root(i), 0);
            build_op(b, NW_KVM_OP_READ, program_page(0, i), 0);
        }
        build_marker(b);
    }
}
static void roots_1(struct builder *b) { roots(b, 1); }
static void roots_4(struct builder *b) { roots(b, 4); }
static void roots_8(struct builder *b) { roots(b, 8); }
static void roots_64(struct builder *b) { roots(b, 64); }

static void roots_edit(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 16);
    for (unsigned i = 0; i < 8; i++) {
        build_op(b, NW_KVM_OP_WRITE, guest_pte(0, i), pte(i + 40, PTE_USED));
        build_op(b, NW_KVM_OP_CR3, guest_root(i % 3), 0);
        build_op(b, NW_KVM_OP_READ, program_page(0, i), 0);
        build_marker(b);
    }
}

/* ---- large, limit ------------------------------------------------------------------------------------------- */

static void large_area(struct builder *b)
{
    for (unsigned i = 0; i < 4; i++)
        build_word(b, GUEST_PD + i * UINT64_C(8), (2 + i) * UINT64_C(0x200000) | PTE_LARGE);
    for (unsigned pass = 0; pass < 3; pass++) {
        for (unsigned i = 0; i < 4; i++)
            for (unsigned j = 0; j < 8; j++)
                build_op(b, pass ? NW_KVM_OP_WRITE : NW_KVM_OP_READ, program_page(i, j * 5), 9);
        build_marker(b);
    }
}
static void large_on_small(struct builder *b) { large_area(b); }
static void large_on_large(struct builder *b)
{
    b->out->program.large_backing = true;
    large_area(b);
}

static void limit_64(struct builder *b)
{
    b->out->program.max_mmu_pages = NW_KVM_MIN_PAGES;
    for (unsigned i = 0; i < 80; i++) {
        build_table(b, i);
        build_pages(b, i, 1, i, PTE_USED);
    }
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < 80; i++) {
            build_op(b, NW_KVM_OP_READ, program_page(i, 0), 0);
            if (i % 16 == 15)
                build_marker(b);
        }
}

/* ---- host --------------------------------------------------------------------------------------------------- */

#define FRAMES_GPA ((uint64_t)GUEST_FRAMES << 12)

static void host_dirty_log(struct builder *b)
{
    b->out->program.dirty_logging = true;
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_WRITE, 16);
    build_action(b, NW_KVM_ACTION_DIRTY_LOG, 0, 0);
    touch(b, NW_KVM_OP_WRITE, 16);
    build_action(b, NW_KVM_ACTION_DIRTY_LOG, 0, 0);
    touch(b, NW_KVM_OP_READ, 16);
}

static void host_drop(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_DROP, FRAMES_GPA, 8 * 4096);
    touch(b, NW_KVM_OP_READ, 16);
    touch(b, NW_KVM_OP_WRITE, 16);
}

static void host_protect(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_WRITE, 16);
    build_action(b, NW_KVM_ACTION_READ_ONLY, FRAMES_GPA, 8 * 4096);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_READ_WRITE, FRAMES_GPA, 8 * 4096);
    touch(b, NW_KVM_OP_WRITE, 16);
}

static void host_protect_parts(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_WRITE, 16);
    build_action(b, NW_KVM_ACTION_READ_ONLY, FRAMES_GPA + 3 * 4096, 5 * 4096);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_READ_WRITE, FRAMES_GPA + 4 * 4096, 2 * 4096);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_READ_ONLY, FRAMES_GPA + 12 * 4096, 4096);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_READ_WRITE, FRAMES_GPA, 16 * 4096);
    touch(b, NW_KVM_OP_WRITE, 16);
}

static void host_slot(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_SLOT, 0, 0);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_SLOT, 1, 0);
    touch(b, NW_KVM_OP_READ, 16);
}

static void host_sregs(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 16);
    build_action(b, NW_KVM_ACTION_SREGS, guest_root(1), 0);
    touch(b, NW_KVM_OP_READ, 16);
}

/* ---- supervisor --------------------------------------------------------------------------------------------- */

static void supervisor_access(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 8);
    for (unsigned i = 0; i < 4; i++) {
        build_op(b, NW_KVM_OP_SUPERVISOR_READ, program_page(0, i), 0);
        build_op(b, NW_KVM_OP_SUPERVISOR_WRITE, program_page(0, i + 4), 3);
        build_marker(b);
    }
}

static void supervisor_pairs(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 8);
    build_op(b, NW_KVM_OP_WRITE, guest_pte(0, 0), pte(50, PTE_USED));
    build_op(b, NW_KVM_OP_WRITE, guest_pte(0, 1), pte(51, PTE_USED));
    build_op(b, NW_KVM_OP_INVLPG2, program_page(0, 0), program_page(0, 1));
    build_marker(b);
    build_op(b, NW_KVM_OP_CR3_2, guest_root(1), guest_root(2));
    build_marker(b);
    build_op(b, NW_KVM_OP_CR3_2, guest_root(1), guest_root(0));
    build_marker(b);
}

static void supervisor_cr4(struct builder *b)
{
    area(b, PTE_USED);
    touch(b, NW_KVM_OP_READ, 8);
    build_op(b, NW_KVM_OP_CR4, 0x6a0, 0);
    build_marker(b);
    build_op(b, NW_KVM_OP_CR4, 0x620, 0);
    build_marker(b);
}

/* ---- the table ---------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *group, *doc;
    void (*build)(struct builder *b);
} programs[] = {
    { "touch-clean", "touch", "64 pages without A and D: read twice, written twice.", touch_clean },
    { "touch-used", "touch", "64 pages with A and D preset: neighbours come along.", touch_used },
    { "touch-accessed", "touch", "64 pages with A preset: read, then written.", touch_accessed },
    { "touch-call", "touch", "32 pages called, twice.", touch_call },
    { "touch-unmapped", "touch", "Pages that the guest does not map; then one of them is mapped.", touch_unmapped },
    { "edit-invlpg", "edit", "An entry gets another frame, INVLPG, the page is read.", edit_invlpg },
    { "edit-fresh", "edit", "Entries of pages not yet used are edited, without INVLPG.", edit_fresh },
    { "edit-late-invlpg", "edit", "16 entries edited, and flushed only afterwards.", edit_late_invlpg },
    { "edit-permissions", "edit", "W, U and P come and go; each time the page is written.", edit_permissions },
    { "edit-flags", "edit", "The guest clears and sets A and D; each time the page is written.", edit_flags },
    { "edit-widths", "edit", "Entries written with 4, 2, 1 bytes, LOCK OR, LOCK ADD.", edit_widths },
    { "directory-flood", "directory", "The page directory written six times over, then used.", directory_flood },
    { "directory-clear", "directory", "A directory entry removed and put back.", directory_clear },
    { "directory-add", "directory", "A directory entry made by LOCK ADD.", directory_add },
    { "roots-1", "roots", "CR3 loaded with the same value.", roots_1 },
    { "roots-4", "roots", "Four roots in turn.", roots_4 },
    { "roots-8", "roots", "Eight roots in turn.", roots_8 },
    { "roots-64", "roots", "64 roots in turn.", roots_64 },
    { "roots-edit", "roots", "An entry edited before each of eight switches among three roots.", roots_edit },
    { "large-on-small", "large", "Guest pages of 2 MiB on host pages of 4 KiB.", large_on_small },
    { "large-on-large", "large", "Guest pages of 2 MiB on host pages of 2 MiB.", large_on_large },
    { "limit-64", "limit", "80 tables used twice over, with room for 64 shadow pages.", limit_64 },
    { "host-dirty-log", "host", "Writes with dirty logging, and the log read in between.", host_dirty_log },
    { "host-drop", "host", "The host drops eight pages.", host_drop },
    { "host-protect", "host", "The host makes eight pages read-only, and writable again.", host_protect },
    { "host-protect-parts", "host", "The host's protection changes in pieces within 2 MiB.", host_protect_parts },
    { "host-slot", "host", "A memory slot comes and goes.", host_slot },
    { "host-sregs", "host", "The host loads another CR3.", host_sregs },
    { "supervisor-access", "supervisor", "Supervisor code reads and writes user pages.", supervisor_access },
    { "supervisor-pairs", "supervisor", "Two INVLPGs and two CR3 loads in one stretch.", supervisor_pairs },
    { "supervisor-cr4", "supervisor", "CR4.PGE set and cleared.", supervisor_cr4 },
};

size_t nw_shadow_program_count(void) { return NW_ARRAY_LEN(programs); }

bool nw_shadow_program_describe(size_t index, const char **name, const char **group, const char **doc)
{
    if (index >= NW_ARRAY_LEN(programs))
        return false;
    *name = programs[index].name;
    *group = programs[index].group;
    *doc = programs[index].doc;
    return true;
}

enum nw_status nw_shadow_program_make(size_t index, struct nw_shadow_program *out, struct nw_error *err)
{
    struct builder b;
    if (index >= NW_ARRAY_LEN(programs))
        return nw_fail(err, NW_ERR_USAGE, "there is no program %zu; 0 to %zu are", index, NW_ARRAY_LEN(programs) - 1);
    *out = (struct nw_shadow_program){ .group = programs[index].group, .doc = programs[index].doc };
    snprintf(out->name, sizeof out->name, "%s", programs[index].name);
    build_start(&b, out);
    programs[index].build(&b);
    return build_finish(&b, err);
}

void nw_shadow_program_free(struct nw_shadow_program *p)
{
    free(p->word);
    free(p->op);
    free(p->action);
    memset(p, 0, sizeof *p);
}
