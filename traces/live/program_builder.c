#include "program_builder.h"
#include <stdlib.h>

enum { INTERPRETER_PT = 0x4000, SUPERVISOR_PAGE = 0x21 };

/* Room for one more; false after a failure, now or before. */
static bool grow(struct builder *b, void **list, size_t count, size_t *room, size_t size)
{
    if (b->failed)
        return false;
    if (count < *room)
        return true;
    size_t more = *room ? *room * 2 : 256;
    void *moved = realloc(*list, more * size);
    if (!moved) {
        b->failed = true;
        return false;
    }
    *list = moved;
    *room = more;
    return true;
}

void build_word(struct builder *b, uint64_t gpa, uint64_t value)
{
    struct nw_shadow_program *p = b->out;
    if (!grow(b, (void **)&p->word, p->program.word_count, &b->word_room, sizeof *p->word))
        return;
    uint64_t *word = p->word[p->program.word_count++];
    word[0] = gpa;
    word[1] = value;
}

void build_op(struct builder *b, enum nw_kvm_op_code code, uint64_t a, uint64_t b_)
{
    struct nw_shadow_program *p = b->out;
    if (grow(b, (void **)&p->op, p->program.op_count, &b->op_room, sizeof *p->op))
        p->op[p->program.op_count++] = (struct nw_kvm_op){ code, a, b_ };
}

void build_marker(struct builder *b) { build_op(b, NW_KVM_OP_MARKER, b->next_marker++, 0); }

void build_action(struct builder *b, enum nw_kvm_action_kind kind, uint64_t gpa, uint64_t bytes)
{
    struct nw_shadow_program *p = b->out;
    if (grow(b, (void **)&p->action, p->program.action_count, &b->action_room, sizeof *p->action))
        p->action[p->program.action_count++] = (struct nw_kvm_action){ b->next_marker, kind, gpa, bytes };
    build_marker(b);
}

uint64_t guest_root(unsigned number) { return number ? 0x40000 + number * UINT64_C(0x1000) : 0x10000; }
uint64_t program_page(unsigned table, unsigned page) { return GUEST_AREA + (table * UINT64_C(512) + page) * 4096; }
uint64_t guest_pte(unsigned table, unsigned page) { return GUEST_PT + table * UINT64_C(4096) + page * 8; }

void build_table(struct builder *b, unsigned table)
{
    build_word(b, GUEST_PD + table * UINT64_C(8), (GUEST_PT + table * UINT64_C(4096)) | PTE_TABLE);
}

void build_pages(struct builder *b, unsigned table, unsigned pages, unsigned frame, unsigned flags)
{
    for (unsigned i = 0; i < pages; i++)
        build_word(b, guest_pte(table, i), (uint64_t)(GUEST_FRAMES + frame + i) << 12 | flags);
}

static void start(struct builder *b, struct nw_shadow_program *out, unsigned last_op_page, unsigned roots)
{
    const unsigned identity[][2] = {
        { 2, 9 }, { 0x10, 0x15 }, { 0x20, 0x22 }, { 0x30, last_op_page }, { 0x100, 0x1ff }
    };
    *b = (struct builder){ .out = out };
    build_word(b, 0x2000, 0x3000 | PTE_TABLE);
    build_word(b, 0x3000, INTERPRETER_PT | PTE_TABLE);
    for (size_t i = 0; i < NW_ARRAY_LEN(identity); i++)
        for (unsigned page = identity[i][0]; page <= identity[i][1]; page++)
            build_word(b, INTERPRETER_PT + page * UINT64_C(8),
                       (uint64_t)page << 12 | (page == SUPERVISOR_PAGE ? 0x063u : PTE_USED));
    for (unsigned i = 0; i < roots; i++) {
        build_word(b, guest_root(i), 0x2000 | PTE_TABLE);
        build_word(b, guest_root(i) + 8, GUEST_PDPT | PTE_TABLE);
    }
    build_word(b, GUEST_PDPT, GUEST_PD | PTE_TABLE);
}

void build_start(struct builder *b, struct nw_shadow_program *out)
{
    start(b, out, 0x3f, GUEST_ROOTS);
    build_op(b, NW_KVM_OP_READ, 0x30000, 0);
    build_marker(b);
}

void build_start_wide(struct builder *b, struct nw_shadow_program *out) { start(b, out, 0xff, 1); }

enum nw_status build_finish(struct builder *b, struct nw_error *err)
{
    struct nw_shadow_program *p = b->out;
    if (b->failed) {
        nw_shadow_program_free(p);
        return nw_fail_nomem(err, "a guest program");
    }
    p->program.word = (const uint64_t(*)[2])p->word;
    p->program.op = p->op;
    p->program.action = p->action;
    return NW_OK;
}
