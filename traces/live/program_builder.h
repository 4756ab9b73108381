/* program_builder.h - guest programs put together word by word. A failed allocation is remembered; only the end of a
 * program needs a check. */
#ifndef NESTWALK_LIVE_PROGRAM_BUILDER_H
#define NESTWALK_LIVE_PROGRAM_BUILDER_H

#include <nestwalk/traces/shadow_programs.h>

/* The guest that every program has: the interpreter's pages and the tables mapped where they are, and a test area with
 * its own tables. */
enum {
    GUEST_ROOTS = 64,
    GUEST_PDPT = 0x100000, /* of the test area; its page directory and level-0 tables follow */
    GUEST_PD = 0x101000,
    GUEST_PT = 0x102000,
    GUEST_FRAMES = 0x200, /* first frame of data */
    PTE_CLEAN = 0x007,    /* present, writable, user */
    PTE_USED = 0x067,     /* and accessed, dirty */
    PTE_TABLE = 0x027,    /* a table's entry, accessed */
    PTE_LARGE = 0x087,
};
#define GUEST_AREA UINT64_C(0x8000000000)

struct builder {
    struct nw_shadow_program *out;
    size_t word_room, op_room, action_room;
    uint64_t next_marker;
    bool failed;
};
void build_start(struct builder *b, struct nw_shadow_program *out);
/* With one root, room for some 35,000 operations, and nothing done yet. */
void build_start_wide(struct builder *b, struct nw_shadow_program *out);
/* Hands the program over, or frees it. */
enum nw_status build_finish(struct builder *b, struct nw_error *err) NW_MUST_USE;
void build_word(struct builder *b, uint64_t gpa, uint64_t value); /* each word once */
void build_op(struct builder *b, enum nw_kvm_op_code code, uint64_t a, uint64_t b_);
void build_marker(struct builder *b);
/* Ends the segment, and then the host does this. */
void build_action(struct builder *b, enum nw_kvm_action_kind kind, uint64_t gpa, uint64_t bytes);
/* `pages` of the test area, `table` tables of 512 onwards, to frames from GUEST_FRAMES + frame, with these flags. */
void build_pages(struct builder *b, unsigned table, unsigned pages, unsigned frame, unsigned flags);
void build_table(struct builder *b, unsigned table); /* the page directory's entry */

uint64_t guest_root(unsigned number);
uint64_t program_page(unsigned table, unsigned page); /* its address */
uint64_t guest_pte(unsigned table, unsigned page);    /* where its entry is */

#endif
