/* What single instructions access, by the manuals (SDM vol. 2), with registers set to known values. Needs no KVM. */
#if !defined(__x86_64__)
#    include <stdio.h>
int main(void)
{
    puts("skipped: live capture is part of the library on x86-64 only");
    return 0;
}
#else
#    include "../../traces/capture/decode.h"
#    include "../../traces/capture/tables.h"
#    include "trace_support.h"
#    include <nestwalk/base/bits.h>

static const struct kvm_regs registers = { .rax = 0x1000,
                                           .rbx = 0x2000,
                                           .rcx = 3,
                                           .rdx = 0x3000,
                                           .rsi = 0x4000,
                                           .rdi = 0x5000,
                                           .rsp = 0x7000,
                                           .rbp = 0x6000,
                                           .r8 = (uint64_t)-9,
                                           .r12 = 0x100000010 };
static const uint64_t segment_base[3] = { 0, 0x10000000, 0x20000000 };
enum { RIP = 0x400000 };

struct expected {
    const char *text; /* for messages, and what the disassembly begins with */
    uint8_t code[INSN_CODE_MAX], length, kind;
    unsigned count;
    struct {
        bool store;
        uint64_t address;
        unsigned bytes;
    } access[3];
};

static const struct expected cases[] = {
    { "mov", { 0x48, 0x8b, 0x44, 0x8b, 0x08 }, 5, INSN_PLAIN, 1, { { false, 0x2000 + 3 * 4 + 8, 8 } } },
    { "mov", { 0x88, 0x03 }, 2, INSN_PLAIN, 1, { { true, 0x2000, 1 } } },
    { "mov", { 0x8b, 0x05, 0x10, 0, 0, 0 }, 6, INSN_PLAIN, 1, { { false, RIP + 6 + 0x10, 4 } } },
    { "add", { 0x48, 0x01, 0x03 }, 3, INSN_PLAIN, 2, { { false, 0x2000, 8 }, { true, 0x2000, 8 } } },
    { "cmp", { 0x48, 0x39, 0x03 }, 3, INSN_PLAIN, 1, { { false, 0x2000, 8 } } },
    { "xchg", { 0x48, 0x87, 0x03 }, 3, INSN_PLAIN, 2, { { false, 0x2000, 8 }, { true, 0x2000, 8 } } },
    { "lea", { 0x48, 0x8d, 0x03 }, 3, INSN_PLAIN, 0, { { 0 } } },
    { "nop", { 0x0f, 0x1f, 0x03 }, 3, INSN_PLAIN, 0, { { 0 } } },
    { "prefetcht0", { 0x0f, 0x18, 0x0b }, 3, INSN_PLAIN, 0, { { 0 } } },
    { "push", { 0x50 }, 1, INSN_PLAIN, 1, { { true, 0x6ff8, 8 } } },
    { "push", { 0xff, 0x33 }, 2, INSN_PLAIN, 2, { { false, 0x2000, 8 }, { true, 0x6ff8, 8 } } },
    { "pop", { 0x58 }, 1, INSN_PLAIN, 1, { { false, 0x7000, 8 } } },
    /* POP: the destination's address uses the RSP after the pop. */
    { "pop", { 0x8f, 0x44, 0x24, 0x08 }, 4, INSN_PLAIN, 2, { { false, 0x7000, 8 }, { true, 0x7010, 8 } } },
    { "call", { 0xe8, 1, 0, 0, 0 }, 5, INSN_PLAIN, 1, { { true, 0x6ff8, 8 } } },
    { "call", { 0xff, 0x13 }, 2, INSN_PLAIN, 2, { { false, 0x2000, 8 }, { true, 0x6ff8, 8 } } },
    { "ret", { 0xc3 }, 1, INSN_PLAIN, 1, { { false, 0x7000, 8 } } },
    { "leave", { 0xc9 }, 1, INSN_PLAIN, 1, { { false, 0x6000, 8 } } },
    { "cmovz", { 0x48, 0x0f, 0x44, 0x03 }, 4, INSN_PLAIN, 1, { { false, 0x2000, 8 } } },
    { "cmpxchg", { 0x48, 0x0f, 0xb1, 0x0b }, 4, INSN_PLAIN, 2, { { false, 0x2000, 8 }, { true, 0x2000, 8 } } },
    /* BT r/m, r: the bit offset in R8 is -9: one 8-byte word below. */
    { "bt", { 0x4c, 0x0f, 0xa3, 0x03 }, 4, INSN_PLAIN, 1, { { false, 0x2000 - 8, 8 } } },
    { "bts", { 0x48, 0x0f, 0xba, 0x2b, 0x05 }, 5, INSN_PLAIN, 2, { { false, 0x2000, 8 }, { true, 0x2000, 8 } } },
    { "mov", { 0x64, 0x8b, 0x03 }, 3, INSN_PLAIN, 1, { { false, 0x10002000, 4 } } },
    { "mov", { 0x65, 0x8b, 0x03 }, 3, INSN_PLAIN, 1, { { false, 0x20002000, 4 } } },
    { "mov", { 0x67, 0x41, 0x8b, 0x04, 0x24 }, 5, INSN_PLAIN, 1, { { false, 0x10, 4 } } },
    { "movsq", { 0x48, 0xa5 }, 2, INSN_STRING, 2, { { false, 0x4000, 8 }, { true, 0x5000, 8 } } },
    { "stosb", { 0xf3, 0xaa }, 2, INSN_STRING, 1, { { true, 0x5000, 1 } } },
    { "rep movsb", { 0xf3, 0xa4 }, 2, INSN_STRING, 2, { { false, 0x4000, 1 }, { true, 0x5000, 1 } } },
    { "movnti", { 0x48, 0x0f, 0xc3, 0x03 }, 4, INSN_PLAIN, 1, { { true, 0x2000, 8 } } },
    { "lidt", { 0x0f, 0x01, 0x1b }, 3, INSN_PLAIN, 1, { { false, 0x2000, 10 } } },
    { "iretq", { 0x48, 0xcf }, 2, INSN_IRET, 0, { { 0 } } },
    { "mov cr3", { 0x0f, 0x22, 0xdf }, 3, INSN_CR_WRITE, 0, { { 0 } } },
    { "out", { 0xef }, 1, INSN_OUT, 0, { { 0 } } },
    { "hlt", { 0xf4 }, 1, INSN_HALT, 0, { { 0 } } },
    { "int3", { 0xcc }, 1, INSN_OPAQUE, 0, { { 0 } } },
    { "syscall", { 0x0f, 0x05 }, 2, INSN_OPAQUE, 0, { { 0 } } },
    { "retf", { 0xcb }, 1, INSN_OPAQUE, 0, { { 0 } } },
    { "mov ds", { 0x8e, 0xd8 }, 2, INSN_OPAQUE, 0, { { 0 } } },
    { "xsave", { 0x0f, 0xae, 0x23 }, 3, INSN_OPAQUE, 0, { { 0 } } },
    { "wrmsr", { 0x0f, 0x30 }, 2, INSN_OPAQUE, 0, { { 0 } } },
};

static void decode__accesses_are_those_of_the_manuals(void **state)
{
    (void)state;
    struct decoder *d = NULL;
    OK(decoder_create(&d, err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct expected *e = &cases[i];
        const struct insn *insn;
        OK(decoder_insn(d, RIP, e->code, sizeof e->code, &insn, err));
        if (insn->length != e->length || insn->kind != e->kind ||
            (e->kind != INSN_OPAQUE && insn->access_count != e->count))
            fail_msg("case %zu, %s: length %u, kind %u, %u accesses; expected %u, %u, %u", i, e->text, insn->length,
                     insn->kind, insn->access_count, e->length, e->kind, e->count);
        for (unsigned k = 0; e->kind != INSN_OPAQUE && k < e->count; k++) {
            uint64_t address = insn_address(insn, &insn->access[k], &registers, segment_base);
            if (insn->access[k].store != e->access[k].store || insn->access[k].bytes != e->access[k].bytes ||
                address != e->access[k].address)
                fail_msg("case %zu, %s, access %u: %s of %u bytes at %#llx; expected %s of %u at %#llx", i, e->text, k,
                         insn->access[k].store ? "store" : "load", insn->access[k].bytes, (unsigned long long)address,
                         e->access[k].store ? "store" : "load", e->access[k].bytes,
                         (unsigned long long)e->access[k].address);
        }
    }
    decoder_destroy(d);
}

static void decode__bytes_that_changed_are_decoded_anew(void **state)
{
    (void)state;
    static const uint8_t push[2] = { 0x50, 0x90 }, load[2] = { 0x8b, 0x03 }, none[2] = { 0x06, 0x06 };
    struct decoder *d = NULL;
    const struct insn *insn;
    OK(decoder_create(&d, err));
    OK(decoder_insn(d, RIP, push, 2, &insn, err));
    assert_true(insn->access[0].store);
    OK(decoder_insn(d, RIP, load, 2, &insn, err));
    assert_false(insn->access[0].store);
    assert_int_equal(insn->length, 2);
    struct nw_error error;
    assert_int_equal(decoder_insn(d, RIP, none, 2, &insn, &error),
                     NW_ERR_INTERNAL); /* 06: no instruction in 64-bit mode */
    decoder_destroy(d);
}

/* ---- which pages are tables ---- */

enum { PAGES = 16, ROOT = 1, PDPT, PD, PT, OTHER_PT, NEW_ROOT, DATA };

struct watched {
    uint64_t memory[PAGES][NW_WORDS_PER_PAGE];
    struct tables_watch watch;
    uint64_t joined[PAGES];
    unsigned joined_count;
};

static enum nw_status joined(void *context, uint64_t gpa, struct nw_error *err)
{
    struct watched *w = context;
    (void)err;
    w->joined[w->joined_count++] = gpa / NW_PAGE_BYTES;
    return NW_OK;
}

static uint64_t entry(unsigned page) { return page * NW_PAGE_BYTES | 3; }

static void put(struct watched *w, unsigned page, unsigned index, uint64_t value)
{
    w->memory[page][index] = value;
    if (tables_watch_has(&w->watch, page * NW_PAGE_BYTES))
        OK(tables_watch_stored(&w->watch, page * NW_PAGE_BYTES + index * 8, 8, err));
}

static void expect_tables(struct watched *w, unsigned mask)
{
    for (unsigned page = 0; page < PAGES; page++)
        if (tables_watch_has(&w->watch, page * NW_PAGE_BYTES) != !!(mask & 1u << page))
            fail_msg("page %u: %s, of mask %#x", page, mask & 1u << page ? "not known as a table" : "taken for a table",
                     mask);
}

static void tables__pages_join_and_leave_with_the_entries_that_lead_to_them(void **state)
{
    (void)state;
    struct watched *w = calloc(1, sizeof *w);
    assert_non_null(w);
    OK(tables_watch_init(&w->watch, (const uint8_t *)w->memory, sizeof w->memory, err));
    w->watch.joined = joined;
    w->watch.context = w;
    put(w, ROOT, 0, entry(PDPT));
    put(w, PDPT, 5, entry(PD));
    put(w, PD, 7, entry(DATA) | NW_BIT(7)); /* a large page is no table */
    OK(tables_watch_root(&w->watch, ROOT * NW_PAGE_BYTES, err));
    expect_tables(w, 1 << ROOT | 1 << PDPT | 1 << PD);
    assert_int_equal(w->joined_count, 3);
    assert_true(w->joined[0] == ROOT && w->joined[1] == PDPT && w->joined[2] == PD);

    put(w, PT, 9, entry(DATA)); /* filled first, then linked, twice */
    expect_tables(w, 1 << ROOT | 1 << PDPT | 1 << PD);
    put(w, PD, 8, entry(PT));
    put(w, PD, 9, entry(PT));
    expect_tables(w, 1 << ROOT | 1 << PDPT | 1 << PD | 1 << PT);
    put(w, PD, 8, entry(PT) | NW_BIT(5)); /* A alone changes nothing */
    put(w, PD, 8, entry(OTHER_PT));
    expect_tables(w, 1 << ROOT | 1 << PDPT | 1 << PD | 1 << PT | 1 << OTHER_PT);
    put(w, PD, 9, 0);
    expect_tables(w, 1 << ROOT | 1 << PDPT | 1 << PD | 1 << OTHER_PT);

    put(w, NEW_ROOT, 3, entry(PDPT)); /* shared with the first root */
    OK(tables_watch_root(&w->watch, NEW_ROOT * NW_PAGE_BYTES | 0x18, err));
    put(w, ROOT, 0, 0); /* empty, and not in CR3: no table any more; what the other root shares stays */
    expect_tables(w, 1 << NEW_ROOT | 1 << PDPT | 1 << PD | 1 << OTHER_PT);
    put(w, NEW_ROOT, 3, 0); /* in CR3: stays though empty */
    expect_tables(w, 1 << NEW_ROOT);
    struct nw_error error;
    assert_int_equal(tables_watch_root(&w->watch, PAGES * NW_PAGE_BYTES, &error), NW_ERR_INTERNAL);
    tables_watch_fini(&w->watch);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode__accesses_are_those_of_the_manuals),
        cmocka_unit_test(decode__bytes_that_changed_are_decoded_anew),
        cmocka_unit_test(tables__pages_join_and_leave_with_the_entries_that_lead_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
