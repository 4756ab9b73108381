/* KVM's shadow MMU: known answers from micro-experiments on a live KVM (Linux 6.18, PVM), and properties that hold for
 * any program: after a flush the shadow tables grant nothing that the guest's tables do not. */
#include "mmu/mmu_common.h"
#include <inttypes.h>
#include <nestwalk/mmu/kvm_program.h>

enum { WORDS_MAX = 256, OPS_MAX = 128, STAGES_MAX = 12 };

/* ---- the guest's tables: identity map of the interpreter, a test area of two level-0 tables at 0x8000000000 -- */

struct guest {
    uint64_t word[WORDS_MAX][2];
    size_t count;
};

static void put(struct guest *g, uint64_t gpa, uint64_t word)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->word[i][0] == gpa) {
            g->word[i][1] = word;
            return;
        }
    assert_true(g->count < WORDS_MAX);
    g->word[g->count][0] = gpa;
    g->word[g->count++][1] = word;
}

static void identity(struct guest *g, unsigned first, unsigned last)
{
    for (unsigned page = first; page <= last; page++)
        put(g, 0x4000 + page * 8u, page << 12 | (page == 0x21 ? 0x063u : 0x067u));
}

static void guest_init(struct guest *g)
{
    g->count = 0;
    put(g, 0x2000, 0x3027);
    put(g, 0x3000, 0x4027);
    identity(g, 2, 9);
    identity(g, 0x10, 0x15);
    identity(g, 0x20, 0x22);
    identity(g, 0x30, 0x3f);
    identity(g, 0x100, 0x11f);
    for (unsigned root = 0x10000; root <= 0x15000; root += 0x1000) {
        put(g, root, 0x2027);
        put(g, root + 8, 0x100027);
    }
    put(g, 0x100000, 0x101027);
    put(g, 0x101000, 0x102027);
    put(g, 0x101008, 0x103027);
    for (unsigned i = 0; i < 16; i++) {
        put(g, 0x102000 + i * 8, (0x200u + i) << 12 | 0x067);
        put(g, 0x103000 + i * 8, (0x220u + i) << 12 | 0x007);
    }
}

/* ---- programs as text: "w 101018 103027; r 8000000000" ------------------------------------------------------ */

static const struct {
    const char *name;
    uint64_t code;
} operation[] = {
    { "r", NW_KVM_OP_READ },
    { "w", NW_KVM_OP_WRITE },
    { "invlpg", NW_KVM_OP_INVLPG },
    { "cr3", NW_KVM_OP_CR3 },
    { "cr4", NW_KVM_OP_CR4 },
    { "or", NW_KVM_OP_LOCK_OR },
    { "add", NW_KVM_OP_LOCK_ADD },
    { "invlpg2", NW_KVM_OP_INVLPG2 },
    { "call", NW_KVM_OP_EXEC },
    { "sw", NW_KVM_OP_SUPERVISOR_WRITE },
    { "sr", NW_KVM_OP_SUPERVISOR_READ },
    { "w1", NW_KVM_OP_WRITE1 },
};

static void parse(const char *text, struct nw_kvm_op *op, size_t *count)
{
    while (*text) {
        char name[16];
        int used = 0, more = 0;
        struct nw_kvm_op *o = &op[*count];
        assert_true(*count < OPS_MAX - 2);
        *o = (struct nw_kvm_op){ 0 };
        assert_int_equal(sscanf(text, " %15[a-z0-9] %" SCNx64 "%n", name, &o->a, &used), 2);
        text += used;
        if (*text == ' ' && sscanf(text, " %" SCNx64 "%n", &o->b, &more) == 1)
            text += more;
        for (size_t i = 0; i < sizeof operation / sizeof *operation; i++)
            if (!strcmp(name, operation[i].name))
                o->code = operation[i].code;
        assert_true(o->code);
        ++*count;
        text += strspn(text, "; ");
    }
}

struct stage {
    const char *does, *moves; /* operations, and "pf_taken+1 pages_4k-1": every counter that moves */
};
struct watched {
    const struct stage *stage;
    size_t stages;
    struct nw_kvm_counters before;
};

static uint64_t value_of(const struct nw_kvm_counters *c, const struct nw_counter_row *row)
{
    uint64_t value;
    memcpy(&value, (const char *)c + row->offset, sizeof value);
    return value;
}

static int64_t wanted(const char *moves, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = moves; (at = strstr(at, name)); at += length)
        if ((at == moves || at[-1] == ' ') && (at[length] == '+' || at[length] == '-'))
            return strtoll(at + length, NULL, 10);
    return 0;
}

static bool check_stage(void *context, uint64_t marker, bool action, const struct nw_kvm_counters *now)
{
    struct watched *w = context;
    assert_false(action);
    assert_true(marker < w->stages);
    for (unsigned i = 0; i < NW_KVM_COUNTERS; i++) {
        const struct nw_counter_row *row = &nw_kvm_counter_row[i];
        int64_t moved = (int64_t)(value_of(now, row) - value_of(&w->before, row));
        int64_t expected = wanted(w->stage[marker].moves, row->path);
        if (strcmp(row->path, "shadow_pages") && moved != expected)
            fail_msg("stage %" PRIu64 " (%s): %s %+" PRId64 ", expected %+" PRId64, marker, w->stage[marker].does,
                     row->path, moved, expected);
    }
    w->before = *now;
    return true;
}

/* Warms the interpreter's pages up, then runs the stages and compares what each counts. `p` holds options. */
static void run_stages(const struct guest *g, struct nw_kvm_program p, const struct stage *given, size_t count)
{
    static const struct stage warm = { "r 30000", "mmu_cache_miss+4 pages_4k+11 pf_fixed+2 pf_taken+2 tlb_flush+1" };
    struct stage stage[STAGES_MAX + 1] = { warm };
    struct nw_kvm_op op[OPS_MAX];
    size_t ops = 0;
    assert_true(count <= STAGES_MAX);
    memcpy(stage + 1, given, count * sizeof *given);
    for (size_t i = 0; i <= count; i++) {
        parse(stage[i].does, op, &ops);
        op[ops++] = (struct nw_kvm_op){ NW_KVM_OP_MARKER, i, 0 };
    }
    p.word = (const uint64_t(*)[2])g->word;
    p.word_count = g->count;
    p.op = op;
    p.op_count = ops;
    struct watched w = { .stage = stage, .stages = count + 1 };
    must(nw_kvm_program_run(&p, &(struct nw_kvm_watcher){ .segment = check_stage, .context = &w }, err));
}

#define STAGES(...)                                                                                                    \
    do {                                                                                                               \
        const struct stage stages[] = { __VA_ARGS__ };                                                                 \
        struct guest g;                                                                                                \
        guest_init(&g);                                                                                                \
        run_stages(&g, (struct nw_kvm_program){ 0 }, stages, sizeof stages / sizeof *stages);                          \
    } while (0)

#define FIRST_TOUCH                                                                                                    \
    {                                                                                                                  \
        "r 8000000000", "mmu_cache_miss+3 pages_4k+8 pf_fixed+1 pf_taken+1"                                            \
    }

/* ---- known answers ------------------------------------------------------------------------------------------ */

static void kvm__an_edit_is_seen_after_invlpg_only(void **state)
{
    (void)state;
    STAGES(FIRST_TOUCH, { "w 102000 214067", "mmu_unsync+1 pages_4k+8 pf_fixed+1 pf_taken+1" }, { "r 8000000000", "" },
           { "invlpg 8000000000", "invlpg+1 pages_4k-1 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "r 8000000000", "pages_4k+1 pf_fixed+1 pf_taken+1" },
           { "w 102000 215007; invlpg 8000000000", "invlpg+1 pages_4k-1 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "r 8000000000", "pages_4k+1 pf_fixed+1 pf_taken+1" });
}

static void kvm__a_write_protected_page_stays_writable_until_invlpg(void **state)
{
    (void)state;
    STAGES({ "w 8000000008 1", "mmu_cache_miss+3 pages_4k+8 pf_fixed+1 pf_taken+1" },
           { "w 102000 200065", "mmu_unsync+1 pages_4k+8 pf_fixed+1 pf_taken+1" }, { "w 8000000008 1", "" },
           { "invlpg 8000000000", "invlpg+1 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "w 8000000008 1", "pf_guest+1 pf_taken+1" },
           { "w 102000 200067; w 8000000008 1", "pf_fixed+1 pf_taken+1" });
}

static void kvm__invlpg_drops_an_entry_whose_a_bit_was_cleared(void **state)
{
    (void)state;
    STAGES({ "w 8000000008 1; w 102000 200047; invlpg 8000000000",
             "invlpg+1 mmu_cache_miss+3 mmu_unsync+1 pages_4k+15 pf_fixed+2 pf_taken+2 remote_tlb_flush_requests+1 "
             "tlb_flush+1" },
           { "r 8000000000", "pages_4k+1 pf_fixed+1 pf_taken+1" });
}

static void kvm__the_third_write_to_a_directory_gives_it_up(void **state)
{
    (void)state;
    STAGES({ "r 8000000000; r 101000", "mmu_cache_miss+3 pages_4k+16 pf_fixed+2 pf_taken+2" },
           { "w 101018 103027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 101018 103027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 101018 103027", "mmu_flooded+1 mmu_pte_write+1 mmu_shadow_zapped+1 pf_emulate+1 pf_taken+1 "
                                "remote_tlb_flush_requests+1 tlb_flush+1" },
           { "w 101018 103027", "pf_fixed+1 pf_taken+1" },
           { "r 8000000000", "mmu_cache_miss+1 pf_spurious+1 pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" });
}

static void kvm__a_directory_entry_cleared_is_not_counted_as_rewritten(void **state)
{
    (void)state;
    STAGES({ "r 8000000000; r 8000200000; r 101000", "mmu_cache_miss+4 pages_4k+17 pf_fixed+3 pf_taken+3" },
           { "w 101008 0", "mmu_pte_write+1 pf_emulate+1 pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "r 8000200000", "pf_guest+1 pf_taken+1" });
}

static void kvm__native_writes_never_flood_the_active_root(void **state)
{
    (void)state;
    STAGES({ "r 8000000000; r 10000", "mmu_cache_miss+3 pages_4k+14 pf_fixed+2 pf_taken+2" },
           { "w 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" }, { "r 8000000000", "" });
}

static void kvm__supervisor_writes_flood_the_active_root(void **state)
{
    (void)state;
    STAGES(FIRST_TOUCH, { "sw 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1" },
           { "sw 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1" },
           { "sw 10028 100027", "mmu_cache_miss+1 mmu_flooded+1 mmu_pte_write+1 mmu_shadow_zapped+2 pf_spurious+1 "
                                "pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "sw 10028 100027", "mmu_pde_zapped+1 mmu_pte_write+1" }, { "r 8000000000", "pf_spurious+1 pf_taken+1" });
}

static void kvm__an_unsync_child_outlives_its_directory(void **state)
{
    (void)state;
    STAGES({ "r 8000000000; r 101000; w 102008 203067",
             "mmu_cache_miss+3 mmu_unsync+1 pages_4k+16 pf_fixed+3 pf_taken+3" },
           { "w 101018 103027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 101018 103027", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" },
           { "w 101018 103027", "mmu_flooded+1 mmu_pte_write+1 mmu_shadow_zapped+1 pf_emulate+1 pf_taken+1 "
                                "remote_tlb_flush_requests+1 tlb_flush+1" },
           { "cr3 10000", "tlb_flush+1" },
           { "r 8000000000",
             "mmu_cache_miss+1 pages_4k-1 pf_spurious+1 pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" });
}

static void kvm__reloading_cr3_syncs_what_was_edited(void **state)
{
    (void)state;
    STAGES(FIRST_TOUCH, { "cr3 10000", "tlb_flush+1" },
           { "w 102000 205067; cr3 10000", "pages_4k+7 pf_fixed+1 pf_taken+1 remote_tlb_flush_requests+2 tlb_flush+1" },
           { "r 8000000000", "pages_4k+1 pf_fixed+1 pf_taken+1" });
}

static void kvm__an_instruction_unlike_table_writes_gives_the_table_up(void **state)
{
    (void)state;
    STAGES({ "r 8000000000; r 101000", "mmu_cache_miss+3 pages_4k+16 pf_fixed+2 pf_taken+2" },
           { "add 101100 8",
             "mmu_shadow_zapped+1 pf_emulate+1 pf_fixed+1 pf_taken+2 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "add 101100 8", "" },
           { "r 8000000000", "mmu_cache_miss+1 pf_spurious+1 pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" },
           { "add 101100 8", "mmu_pde_zapped+1 mmu_pte_write+1 pf_emulate+1 pf_taken+1" });
}

static void kvm__two_invlpg_in_one_stretch_are_one_flush(void **state)
{
    (void)state;
    STAGES({ "r 8000000000; r 8000001000; w 102000 209067; w 102008 209067",
             "mmu_cache_miss+3 mmu_unsync+1 pages_4k+16 pf_fixed+2 pf_taken+2" },
           { "invlpg2 8000000000 8000001000", "invlpg+2 pages_4k-2 remote_tlb_flush_requests+2 tlb_flush+1" });
}

static void kvm__four_roots_stay_cached(void **state)
{
    (void)state;
    STAGES({ "cr3 10000; r 8000000000; cr3 11000; r 8000000000; cr3 12000; r 8000000000; cr3 13000; r 8000000000",
             "mmu_cache_miss+6 pages_4k+8 pf_fixed+1 pf_spurious+6 pf_taken+7 tlb_flush+4" },
           { "cr3 10000; r 8000000000; cr3 11000; r 8000000000; cr3 12000; r 8000000000; cr3 13000; r 8000000000",
             "tlb_flush+4" },
           { "cr3 10000; r 8000000000; cr3 11000; r 8000000000; cr3 12000; r 8000000000; cr3 13000; r 8000000000",
             "tlb_flush+4" });
}

static void kvm__five_roots_are_found_again_as_pages(void **state)
{
    (void)state;
    STAGES({ "cr3 10000; r 8000000000; cr3 11000; r 8000000000; cr3 12000; r 8000000000; cr3 13000; r 8000000000; cr3 "
             "14000; r 8000000000",
             "mmu_cache_miss+7 pages_4k+8 pf_fixed+1 pf_spurious+8 pf_taken+9 tlb_flush+5" },
           { "cr3 10000; r 8000000000; cr3 11000; r 8000000000; cr3 12000; r 8000000000; cr3 13000; r 8000000000; cr3 "
             "14000; r 8000000000",
             "tlb_flush+5" },
           { "cr3 10000; r 8000000000; cr3 11000; r 8000000000; cr3 12000; r 8000000000; cr3 13000; r 8000000000; cr3 "
             "14000; r 8000000000",
             "tlb_flush+5" });
}

static void kvm__a_guest_fault_syncs_its_entry(void **state)
{
    (void)state;
    struct guest g;
    guest_init(&g);
    for (unsigned i = 0; i < 16; i++)
        put(&g, 0x102000 + i * 8, (0x200u + i) << 12 | 0x027); /* D clear: mapped read-only */
    const struct stage stages[] = {
        FIRST_TOUCH,
        { "w 102000 207025", "mmu_unsync+1 pages_4k+8 pf_fixed+1 pf_taken+1" },
        { "w 8000000008 1", "pages_4k-1 pf_guest+1 pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" },
        { "r 8000000000", "pages_4k+1 pf_fixed+1 pf_taken+1" },
    };
    run_stages(&g, (struct nw_kvm_program){ 0 }, stages, sizeof stages / sizeof *stages);
}

/* ---- what other hosts do: options of the model, from the source only ---------------------------------------- */

static void kvm__eager_zapping_takes_the_unsync_child_too(void **state)
{
    (void)state;
    struct guest g;
    guest_init(&g);
    const struct stage stages[] = {
        { "r 8000000000; r 101000; w 102008 203067",
          "mmu_cache_miss+3 mmu_unsync+1 pages_4k+16 pf_fixed+3 pf_taken+3" },
        { "w 101018 103027; w 101018 103027", "mmu_pde_zapped+2 mmu_pte_write+2 pf_emulate+2 pf_taken+2" },
        { "w 101018 103027", "mmu_flooded+1 mmu_pte_write+1 mmu_shadow_zapped+2 mmu_unsync-1 pages_4k-8 pf_emulate+1 "
                             "pf_taken+1 remote_tlb_flush_requests+1 tlb_flush+1" },
    };
    run_stages(&g, (struct nw_kvm_program){ .eager_zap = true }, stages, sizeof stages / sizeof *stages);
}

static void kvm__serving_every_exit_flushes_twice(void **state)
{
    (void)state;
    struct guest g;
    guest_init(&g);
    const struct stage stages[] = {
        { "r 8000000000; r 8000001000; w 102000 209067; w 102008 209067",
          "mmu_cache_miss+3 mmu_unsync+1 pages_4k+16 pf_fixed+2 pf_taken+2" },
        { "invlpg2 8000000000 8000001000", "invlpg+2 pages_4k-2 remote_tlb_flush_requests+2 tlb_flush+2" },
    };
    run_stages(&g, (struct nw_kvm_program){ .serve_every_exit = true }, stages, sizeof stages / sizeof *stages);
}

static void kvm__a_cached_access_without_memory_is_not_a_fault_again(void **state)
{
    (void)state;
    struct guest g;
    guest_init(&g);
    put(&g, 0x102000, 0x8000067);
    const struct stage each_time[] = {
        { "r 8000000000", "pf_emulate+1 pf_taken+1" },
        { "r 8000000000", "pf_emulate+1 pf_taken+1" },
    };
    run_stages(&g, (struct nw_kvm_program){ 0 }, each_time, 2);
    const struct stage once[] = {
        { "r 8000000000", "mmu_cache_miss+3 pf_emulate+1 pf_mmio_spte_created+1 pf_taken+1" },
        { "r 8000000000; w 8000000008 1", "" },
    };
    run_stages(&g, (struct nw_kvm_program){ .mmio_caching = true }, once, 2);
}

/* ---- without the interpreter -------------------------------------------------------------------------------- */

struct direct {
    struct nw_physmem *pm;
    struct nw_kvm *kvm;
};
enum { DIRECT_PAGES = 16384 };
#define SHADOW_HPA (UINT64_C(1) << 36)

static struct nw_guest_registers registers(uint64_t cr3)
{
    return (struct nw_guest_registers){ .cr0 = 0x80050033, .cr3 = cr3, .cr4 = 0x620, .efer = 0xd01 };
}

static void direct_init_on(struct direct *d, const struct nw_kvm_config *options, unsigned page_log2)
{
    struct nw_kvm_config config = *options;
    must(nw_physmem_create(&d->pm, err));
    config.pm = d->pm;
    config.shadow_hpa = SHADOW_HPA;
    must(nw_kvm_create(&d->kvm, &config, err));
    must(nw_kvm_slot_add(
        d->kvm, &(struct nw_kvm_slot){ .pages = DIRECT_PAGES, .page_log2 = page_log2, .anonymous = page_log2 > 12 },
        err));
}

static void direct_init(struct direct *d, const struct nw_kvm_config *options) { direct_init_on(d, options, 12); }

static void direct_fini(struct direct *d)
{
    nw_kvm_destroy(d->kvm);
    nw_physmem_destroy(d->pm);
}

static void poke(struct direct *d, uint64_t gpa, uint64_t word)
{
    must(nw_physmem_write64(d->pm, nw_hpa(gpa), word, err));
}

/* Repeats the access until it goes through (true) or the guest faults. */
static bool touch(struct direct *d, uint64_t gva, enum nw_access_kind kind, struct nw_walk_result *walk)
{
    for (unsigned i = 0; i < 64; i++) {
        struct nw_kvm_fault fault;
        must(nw_kvm_enter(d->kvm, err));
        nw_walk_native(d->pm, nw_kvm_shadow_paging(d->kvm), nw_gva(gva), &(struct nw_access){ kind, .user = true },
                       NULL, walk);
        if (walk->outcome == NW_WALK_OK)
            return true;
        must(nw_kvm_page_fault(d->kvm, nw_gva(gva), walk->fault.code, &fault, err));
        if (fault.result == NW_KVM_GUEST_FAULT || fault.result == NW_KVM_EMULATE)
            return false;
    }
    fail_msg("the access to 0x%" PRIx64 " does not end", gva);
    return false;
}

static void kvm__a_frame_mapped_more_often_than_the_limit_is_unmapped(void **state)
{
    (void)state;
    struct direct d;
    struct nw_walk_result walk;
    direct_init(&d, &(struct nw_kvm_config){ 0 });
    poke(&d, 0x10000, 0x11027);
    poke(&d, 0x11000, 0x12027);
    for (unsigned t = 0; t < 3; t++) {
        poke(&d, 0x12000 + t * 8, (0x13000 + t * 0x1000) | 0x27);
        for (unsigned i = 0; i < 512; i++)
            poke(&d, 0x13000 + t * 0x1000 + i * 8, 0x200067);
    }
    struct nw_guest_registers r = registers(0x10000);
    must(nw_kvm_set_sregs(d.kvm, &r, err));
    uint64_t most = 0;
    for (uint64_t gva = 0; gva < 3 * 512 * 4096; gva += 4096) {
        assert_true(touch(&d, gva, NW_ACCESS_READ, &walk));
        most = nw_kvm_counters(d.kvm)->pages_4k > most ? nw_kvm_counters(d.kvm)->pages_4k : most;
    }
    assert_int_equal(most, NW_KVM_RMAP_LIMIT);
    /* The leaf that was one too many went as well; its access faulted once more. */
    assert_int_equal(nw_kvm_counters(d.kvm)->pages_4k, 3 * 512 - NW_KVM_RMAP_LIMIT);
    assert_int_equal(nw_kvm_counters(d.kvm)->remote_tlb_flush_requests, 1);
    direct_fini(&d);
}

/* CR4.PCIDE: NOFLUSH keeps what is stale; a plain load of the same CR3 does not. */
static void kvm__noflush_leaves_an_edited_table_unsync(void **state)
{
    (void)state;
    struct direct d;
    struct nw_walk_result walk;
    direct_init(&d, &(struct nw_kvm_config){ 0 });
    for (unsigned root = 0x10000; root <= 0x20000; root += 0x10000)
        poke(&d, root, 0x11027);
    poke(&d, 0x11000, 0x12027);
    poke(&d, 0x12000, 0x13027);
    poke(&d, 0x13000, 0x200067);
    poke(&d, 0x13008, 0x13067);
    struct nw_guest_registers r = registers(0x10001);
    r.cr4 |= NW_CR4_PCIDE;
    must(nw_kvm_set_sregs(d.kvm, &r, err));
    assert_true(touch(&d, 0x0, NW_ACCESS_READ, &walk));
    assert_true(touch(&d, 0x1000, NW_ACCESS_WRITE, &walk)); /* the table itself: now unsync */
    assert_int_equal(nw_kvm_counters(d.kvm)->mmu_unsync, 1);
    uint64_t flushes = nw_kvm_counters(d.kvm)->tlb_flush;
    must(nw_kvm_load_cr3(d.kvm, 0x10001 | NW_BIT(63), err));
    must(nw_kvm_enter(d.kvm, err));
    assert_int_equal(nw_kvm_counters(d.kvm)->mmu_unsync, 1);
    assert_int_equal(nw_kvm_counters(d.kvm)->tlb_flush, flushes);
    must(nw_kvm_load_cr3(d.kvm, 0x10001, err));
    must(nw_kvm_enter(d.kvm, err));
    assert_int_equal(nw_kvm_counters(d.kvm)->mmu_unsync, 0);
    assert_true(nw_kvm_counters(d.kvm)->tlb_flush > flushes);
    /* INVPCID of an address counts as INVLPG; of another PCID it reaches no root. */
    nw_kvm_invpcid(d.kvm, NW_KVM_INVPCID_ADDRESS, 1, nw_gva(0));
    nw_kvm_invpcid(d.kvm, NW_KVM_INVPCID_ALL, 0, nw_gva(0));
    assert_int_equal(nw_kvm_counters(d.kvm)->invlpg, 1);
    direct_fini(&d);
}

static void kvm__what_cannot_be_is_refused(void **state)
{
    (void)state;
    struct direct d;
    struct nw_error err = { 0 };
    struct nw_guest_registers r = registers(0x10000);
    direct_init(&d, &(struct nw_kvm_config){ 0 });
    assert_int_equal(nw_kvm_enter(d.kvm, &err), NW_ERR_USAGE);
    assert_int_equal(nw_kvm_slot_add(d.kvm, &(struct nw_kvm_slot){ .first_gfn = 16383, .pages = 2 }, &err),
                     NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "overlap"));
    assert_int_equal(nw_kvm_slot_add(d.kvm, &(struct nw_kvm_slot){ .first_gfn = 1 << 20 }, &err), NW_ERR_INPUT);
    assert_int_equal(nw_kvm_slot_remove(d.kvm, 5, &err), NW_ERR_INPUT);
    r.efer = 0;
    assert_int_equal(nw_kvm_set_sregs(d.kvm, &r, &err), NW_ERR_UNSUPPORTED);
    direct_fini(&d);
    struct nw_kvm *kvm;
    assert_int_equal(nw_kvm_create(&kvm, &(struct nw_kvm_config){ .shadow_hpa = 1 }, &err), NW_ERR_INPUT);
    assert_null(kvm);
    const struct nw_kvm_op op = { 7, 0, 0 };
    assert_int_equal(
        nw_kvm_program_run(&(struct nw_kvm_program){ .op = &op, .op_count = 1 }, &(struct nw_kvm_watcher){ 0 }, &err),
        NW_ERR_INPUT);
}

/* ---- property ----------------------------------------------------------------------------------------------- */

enum { TABLES = 12, FIRST_TABLE = 0x100 };

/* Tables 0-2 are roots, 3-4 come below them, then 5-7, then 8-11 with the leaves; now and then one serves as another. */
static uint64_t random_entry(struct nw_rng *rng, unsigned table)
{
    static const uint8_t first[] = { 0, 3, 5, 8, TABLES };
    unsigned layer = 0;
    while (table >= first[layer + 1])
        layer++;
    uint64_t gfn = 0x200 + nw_rng_below(rng, 64);
    if (layer < 3 && nw_rng_below(rng, 10))
        gfn =
            FIRST_TABLE + first[layer + 1] + nw_rng_below(rng, first[layer + 2 > 4 ? 4 : layer + 2] - first[layer + 1]);
    else if (!nw_rng_below(rng, 3))
        gfn = FIRST_TABLE + nw_rng_below(rng, TABLES);
    uint64_t entry = gfn << 12 | 0x27 | (nw_rng_below(rng, 2) ? 0x40 : 0);
    if (layer < 3 && !nw_rng_below(rng, 10)) /* a large page; where none may be, a reserved bit */
        entry = (1 + nw_rng_below(rng, 3)) << 21 | 0xa7 | (entry & 0x40);
    for (unsigned bit = 0; bit < 7; bit++)
        if (!nw_rng_below(rng, 16))
            entry &= ~NW_BIT(bit);
    return nw_rng_below(rng, 16) ? entry : entry | NW_BIT(63);
}

static uint64_t random_gva(struct nw_rng *rng)
{
    return nw_rng_below(rng, 3) << 39 | nw_rng_below(rng, 3) << 30 | nw_rng_below(rng, 3) << 21 |
           nw_rng_below(rng, 8) << 12;
}

/* Every translation of the shadow tables must be one of the guest's. */
static void check_agreement(struct direct *d, unsigned round)
{
    static const enum nw_access_kind kinds[] = { NW_ACCESS_READ, NW_ACCESS_WRITE, NW_ACCESS_FETCH };
    for (uint64_t i = 0; i < 3 * 3 * 3 * 8; i++)
        for (unsigned k = 0; k < 3; k++) {
            uint64_t gva = i / 72 << 39 | i / 24 % 3 << 30 | i / 8 % 3 << 21 | i % 8 << 12;
            struct nw_walk_result shadow, guest;
            const struct nw_access access = { kinds[k], .user = true };
            nw_walk_native(d->pm, nw_kvm_shadow_paging(d->kvm), nw_gva(gva), &access, NULL, &shadow);
            if (shadow.outcome != NW_WALK_OK)
                continue;
            nw_walk_native(d->pm, nw_kvm_guest_paging(d->kvm), nw_gva(gva), &access, NULL, &guest);
            if (guest.outcome != NW_WALK_OK || guest.hpa.v != shadow.hpa.v)
                fail_msg("round %u: 0x%" PRIx64 " access %u: the shadow grants 0x%" PRIx64 ", the guest does not",
                         round, gva, k, shadow.hpa.v);
        }
}

static void property_round(struct nw_rng *rng, unsigned round, bool eager)
{
    struct direct d;
    struct nw_kvm_emulated e;
    struct nw_walk_result walk;
    direct_init_on(&d, &(struct nw_kvm_config){ .eager_zap = eager, .max_mmu_pages = round % 3 ? 0 : 64 },
                   round % 4 < 2 ? 12 : 21);
    for (unsigned t = 0; t < TABLES; t++)
        for (unsigned i = 0; i < 8; i++)
            poke(&d, (FIRST_TABLE + t) * 0x1000u + i * 8, random_entry(rng, t));
    struct nw_guest_registers r = registers(FIRST_TABLE * 0x1000);
    must(nw_kvm_set_sregs(d.kvm, &r, err));
    must(nw_kvm_enter(d.kvm, err));
    for (unsigned i = 0; i < 150; i++) {
        uint64_t gva = random_gva(rng) + 8 * nw_rng_below(rng, 8), what = nw_rng_below(rng, 16);
        if (what < 8) {
            enum nw_access_kind kind = what < 4 ? NW_ACCESS_READ : what < 7 ? NW_ACCESS_WRITE : NW_ACCESS_FETCH;
            if (touch(&d, gva, kind, &walk) && kind == NW_ACCESS_WRITE)
                poke(&d, walk.hpa.v, random_entry(rng, 8));
        } else if (what < 11) {
            nw_kvm_emulated_write(d.kvm, nw_gva(gva), 8, random_entry(rng, 5), false, what & 1, &e);
        } else if (what < 12) {
            nw_kvm_invlpg(d.kvm, nw_gva(gva));
        } else if (what < 13) {
            (void)nw_kvm_unprotect(d.kvm, nw_gva(gva), i, true, false);
        } else if (what < 14) {
            nw_kvm_host_drop(d.kvm, nw_gpa((0x200 + nw_rng_below(rng, 64)) << 12), 4096);
        } else {
            must(nw_kvm_load_cr3(d.kvm, (FIRST_TABLE + nw_rng_below(rng, nw_rng_below(rng, 8) ? 3 : 5)) * 0x1000, err));
            must(nw_kvm_enter(d.kvm, err));
            check_agreement(&d, round);
        }
    }
    const struct nw_kvm_counters *c = nw_kvm_counters(d.kvm);
    assert_true(c->pf_fixed + c->pf_spurious + c->pf_emulate <= c->pf_taken);
    assert_true(c->mmu_cache_miss >= c->shadow_pages);
    /* Nothing is left over when every page has gone. */
    must(nw_kvm_slot_remove(d.kvm, 0, err));
    must(nw_kvm_enter(d.kvm, err));
    assert_int_equal(c->pages_4k + c->pages_2m + c->pages_1g + c->mmu_unsync + c->shadow_pages, 0);
    direct_fini(&d);
}

static void kvm__after_a_cr3_load_the_shadow_grants_only_what_the_guest_does(void **state)
{
    (void)state;
    const uint64_t seed = 20260401;
    struct nw_rng rng = nw_rng_seeded(seed);
    print_message("seed %" PRIu64 "\n", seed);
    for (unsigned round = 0; round < 100; round++)
        property_round(&rng, round, round & 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kvm__an_edit_is_seen_after_invlpg_only),
        cmocka_unit_test(kvm__a_write_protected_page_stays_writable_until_invlpg),
        cmocka_unit_test(kvm__invlpg_drops_an_entry_whose_a_bit_was_cleared),
        cmocka_unit_test(kvm__the_third_write_to_a_directory_gives_it_up),
        cmocka_unit_test(kvm__a_directory_entry_cleared_is_not_counted_as_rewritten),
        cmocka_unit_test(kvm__native_writes_never_flood_the_active_root),
        cmocka_unit_test(kvm__supervisor_writes_flood_the_active_root),
        cmocka_unit_test(kvm__an_unsync_child_outlives_its_directory),
        cmocka_unit_test(kvm__reloading_cr3_syncs_what_was_edited),
        cmocka_unit_test(kvm__an_instruction_unlike_table_writes_gives_the_table_up),
        cmocka_unit_test(kvm__two_invlpg_in_one_stretch_are_one_flush),
        cmocka_unit_test(kvm__four_roots_stay_cached),
        cmocka_unit_test(kvm__five_roots_are_found_again_as_pages),
        cmocka_unit_test(kvm__a_guest_fault_syncs_its_entry),
        cmocka_unit_test(kvm__eager_zapping_takes_the_unsync_child_too),
        cmocka_unit_test(kvm__serving_every_exit_flushes_twice),
        cmocka_unit_test(kvm__a_cached_access_without_memory_is_not_a_fault_again),
        cmocka_unit_test(kvm__a_frame_mapped_more_often_than_the_limit_is_unmapped),
        cmocka_unit_test(kvm__noflush_leaves_an_edited_table_unsync),
        cmocka_unit_test(kvm__what_cannot_be_is_refused),
        cmocka_unit_test(kvm__after_a_cr3_load_the_shadow_grants_only_what_the_guest_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
