/* Random programs: what a guest kernel does to a few tables, in no order. */
#include "program_builder.h"
#include <nestwalk/base/rng.h>
#include <stdio.h>

enum { SEGMENTS = 12, SEGMENT_OPS = 8, TABLES = 2, PAGES = 16, FRAMES = 32, ROOTS = 6 };

static unsigned below(struct nw_rng *rng, unsigned n) { return (unsigned)nw_rng_below(rng, n); }

/* Mostly mapped and writable, any A and D: D without A is what no processor makes. */
static uint64_t random_pte(struct nw_rng *rng)
{
    static const unsigned flags[] = { 0x007, 0x027, 0x067, 0x067, 0x067, 0x005, 0x025, 0x063, 0x000 };
    unsigned f = flags[below(rng, NW_ARRAY_LEN(flags))];
    return f ? (uint64_t)(GUEST_FRAMES + below(rng, FRAMES)) << 12 | f : 0;
}

static void random_op(struct builder *b, struct nw_rng *rng)
{
    unsigned table = below(rng, TABLES), page = below(rng, PAGES), what = below(rng, 100);
    uint64_t gva = program_page(table, page) + below(rng, 512) * UINT64_C(8);
    if (what < 30) {
        build_op(b, NW_KVM_OP_READ, gva, 0);
    } else if (what < 55) {
        build_op(b, NW_KVM_OP_WRITE, gva, what);
    } else if (what < 80) { /* an edit, and most times the flush that belongs to it */
        build_op(b, NW_KVM_OP_WRITE, guest_pte(table, page), random_pte(rng));
        if (below(rng, 4))
            build_op(b, NW_KVM_OP_INVLPG, gva, 0);
    } else if (what < 86) {
        build_op(b, NW_KVM_OP_INVLPG, gva, 0);
    } else if (what < 95) {
        build_op(b, NW_KVM_OP_CR3, guest_root(below(rng, ROOTS)), 0);
    } else {
        unsigned other = below(rng, TABLES);
        build_op(b, NW_KVM_OP_WRITE, GUEST_PD + table * UINT64_C(8), (GUEST_PT + other * UINT64_C(4096)) | PTE_TABLE);
        build_op(b, NW_KVM_OP_CR3, guest_root(0), 0);
    }
}

enum nw_status nw_shadow_program_random(uint64_t seed, uint64_t number, struct nw_shadow_program *out,
                                        struct nw_error *err)
{
    struct builder b;
    *out = (struct nw_shadow_program){ .group = "random", .doc = "Touches, edits, INVLPGs and root switches." };
    snprintf(out->name, sizeof out->name, "random-%llu-%llu", (unsigned long long)seed, (unsigned long long)number);
    struct nw_rng rng = nw_rng_for(seed, out->name);
    build_start(&b, out);
    for (unsigned table = 0; table < TABLES; table++) {
        build_table(&b, table);
        for (unsigned page = 0; page < PAGES; page++)
            build_word(&b, guest_pte(table, page), random_pte(&rng));
    }
    for (unsigned segment = 0; segment < SEGMENTS; segment++) {
        for (unsigned i = 0; i < SEGMENT_OPS; i++)
            random_op(&b, &rng);
        build_marker(&b);
    }
    return build_finish(&b, err);
}
