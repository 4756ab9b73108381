/* Many machines on one trace: each counts what it counts alone, whatever the number of threads, and one that fails does not disturb the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/sim/replay.h>
#include <nestwalk/sim/replay_many.h>
#include <nestwalk/traces/generate.h>
#include <nestwalk/traces/memory_source.h>
#include <nestwalk/traces/nwt.h>
#include <stdlib.h>
#include <string.h>

#define BTREE NW_SOURCE_DIR "/traces/shipped/btree.nwt"

/* Every mode, both engines (which want different columns of a block), several sizes and fidelities. */
static const char *const machine[][4][2] = {
    { { "run.mode", "native" } },
    { { "run.mode", "nested" }, { "tlb.l2.entries", "768" } },
    { { "run.mode", "nested" }, { "vmm.backing", "2M" }, { "run.engine", "reference" } },
    { { "run.mode", "shadow" }, { "vmm.shadow_policy", "kvm" } },
    { { "run.mode", "shadow" }, { "vmm.shadow_policy", "eager" }, { "run.engine", "reference" } },
    { { "run.mode", "direct" } },
    { { "run.mode", "nested" }, { "run.fidelity", "tlb" } },
    { { "run.mode", "nested" }, { "vmm.demand_backing", "1" }, { "nested_tlb.entries", "32" } },
    { { "run.mode", "native" }, { "tlb.l2.policy", "random" }, { "run.seed", "7" } },
};
enum { MACHINES = NW_ARRAY_LEN(machine) };

static void make(struct nw_config config[MACHINES])
{
    struct nw_error err = { 0 };
    for (size_t i = 0; i < MACHINES; i++) {
        nw_config_init(&config[i]);
        for (size_t j = 0; j < NW_ARRAY_LEN(machine[i]) && machine[i][j][0]; j++)
            if (nw_config_set(&config[i], machine[i][j][0], machine[i][j][1], "test", &err))
                fail_msg("%s", err.text);
    }
}

static void end(struct nw_config *config, size_t count)
{
    for (size_t i = 0; i < count; i++)
        nw_config_fini(&config[i]);
}

/* What the hooks were told. */
struct told {
    struct nw_result result[MACHINES];
    struct nw_error failure[MACHINES];
    size_t count, stop_at;
    uint64_t done, total;
    bool interrupt;
};

static enum nw_status note(void *context, size_t index, struct nw_result *result, const struct nw_error *failure,
                           struct nw_error *err)
{
    struct told *t = context;
    assert_int_equal(index, t->count); /* in order */
    t->count++;
    if (failure)
        t->failure[index] = *failure;
    else
        t->result[index] = *result;
    return t->stop_at && t->count == t->stop_at ? nw_fail(err, NW_ERR_IO, "no more, please") : NW_OK;
}

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    struct told *t = context;
    assert_true(done >= t->done);
    t->done = done;
    t->total = total;
    return !t->interrupt;
}

static void forget(struct told *t)
{
    for (size_t i = 0; i < MACHINES; i++)
        nw_result_fini(&t->result[i]);
}

static void agree_on(struct nw_source *source, const char *name)
{
    struct nw_config config[MACHINES];
    static struct nw_result alone[MACHINES];
    struct nw_error err = { 0 };
    char difference[256];
    make(config);
    for (size_t i = 0; i < MACHINES; i++)
        if (nw_source_rewind(source, &err) || nw_replay(source, &config[i], NULL, &alone[i], &err))
            fail_msg("%s, machine %zu: %s", name, i, err.text);
    static const unsigned threads[] = { 1, 2, 3, 8, 64 };
    for (size_t n = 0; n < NW_ARRAY_LEN(threads); n++) {
        static struct told told;
        told = (struct told){ 0 };
        struct nw_replay_many_hooks hooks = { note, on_progress, &told };
        if (nw_source_rewind(source, &err) || nw_replay_many(source, config, MACHINES, threads[n], &hooks, &err))
            fail_msg("%s, %u threads: %s", name, threads[n], err.text);
        assert_int_equal(told.count, MACHINES);
        for (size_t i = 0; i < MACHINES; i++) {
            assert_int_equal(told.failure[i].status, NW_OK);
            if (nw_result_differ(&alone[i], &told.result[i], difference, sizeof difference))
                fail_msg("%s, %u threads, machine %zu: %s", name, threads[n], i, difference);
            assert_memory_equal(alone[i].walks.histogram, told.result[i].walks.histogram,
                                sizeof alone[i].walks.histogram);
        }
        forget(&told);
    }
    for (size_t i = 0; i < MACHINES; i++)
        nw_result_fini(&alone[i]);
    end(config, MACHINES);
}

static struct nw_source *open_btree(void)
{
    struct nw_source *source;
    struct nw_error err = { 0 };
    if (nw_nwt_open(&source, BTREE, &err))
        fail_msg("%s", err.text);
    return source;
}

/* A captured guest, with its table writes and other events; the last rounds of the loop have many more blocks than the ring has places. */
static void many__count_as_alone_on_a_captured_guest(void **state)
{
    (void)state;
    struct nw_source *source = open_btree();
    agree_on(source, "btree.nwt");
    nw_source_destroy(source);
}

/* Blocks of 100 accesses: events with data at their borders, and hundreds of blocks. */
static void many__count_as_alone_on_small_blocks(void **state)
{
    (void)state;
    enum { N = 20000, EVENTS = 50 };
    static uint64_t address[N];
    static uint8_t kind[N];
    static struct nw_event event[EVENTS];
    static const uint64_t text[] = { 0x6573616870, 0x31 };
    struct nw_source *source;
    struct nw_error err = { 0 };
    for (size_t i = 0; i < N; i++) {
        address[i] = 0x10000000 + (i * 2654435761u) % (1 << 24);
        kind[i] = nw_kind_make(i % 7 == 0 ? NW_STORE : i % 5 == 0 ? NW_FETCH : NW_LOAD, 8, i % 3);
    }
    for (uint32_t i = 0; i < EVENTS; i++)
        event[i] =
            i % 2
                ? (struct nw_event){ .at = i * 399, .kind = NW_EV_INVLPG, .arg = { address[i * 399] } }
                : (struct nw_event){
                      .at = i * 399, .kind = NW_EV_MARKER, .arg = { NW_MARKER_PHASE, i }, .data = text, .data_words = 2
                  };
    assert_int_equal(nw_memory_source_create(&source, NULL, address, kind, N, event, EVENTS, 100, &err), NW_OK);
    agree_on(source, "small blocks");
    nw_source_destroy(source);
}

static void many__one_that_fails_leaves_the_others_alone(void **state)
{
    (void)state;
    struct nw_source *source = open_btree();
    struct nw_config config[MACHINES];
    struct nw_error err = { 0 };
    struct nw_result alone;
    static struct told told;
    char difference[256];
    make(config);
    assert_int_equal(nw_config_set(&config[1], "vmm.memory", "64K", "test", &err), NW_OK); /* when it is made */
    assert_int_equal(nw_config_set(&config[7], "vmm.memory", "300K", "test", &err),
                     NW_OK); /* in the middle of the trace */
    struct nw_error alone_err = { 0 };
    assert_int_equal(nw_replay(source, &config[7], NULL, &alone, &alone_err), NW_ERR_NOMEM);
    told = (struct told){ 0 };
    struct nw_replay_many_hooks hooks = { note, NULL, &told };
    assert_int_equal(nw_source_rewind(source, &err), NW_OK);
    assert_int_equal(nw_replay_many(source, config, MACHINES, 3, &hooks, &err), NW_OK);
    assert_int_equal(told.count, MACHINES);
    for (size_t i = 0; i < MACHINES; i++)
        assert_int_equal(told.failure[i].status, i == 1 || i == 7 ? NW_ERR_NOMEM : NW_OK);
    assert_string_equal(told.failure[7].text, alone_err.text);
    assert_int_equal(nw_source_rewind(source, &err), NW_OK);
    assert_int_equal(nw_replay(source, &config[8], NULL, &alone, &err), NW_OK);
    if (nw_result_differ(&alone, &told.result[8], difference, sizeof difference))
        fail_msg("%s", difference);
    nw_result_fini(&alone);
    forget(&told);
    end(config, MACHINES);
    nw_source_destroy(source);
}

static void many__stops_when_asked(void **state)
{
    (void)state;
    struct nw_source *source = open_btree();
    struct nw_config config[MACHINES];
    struct nw_error err = { 0 };
    static struct told told;
    make(config);
    struct nw_replay_many_hooks hooks = { note, on_progress, &told };
    told = (struct told){ .interrupt = true };
    assert_int_equal(nw_replay_many(source, config, MACHINES, 2, &hooks, &err), NW_ERR_INTERRUPTED);
    assert_true(told.count < MACHINES);
    assert_int_equal(told.total, nw_source_access_total(source) * MACHINES);
    forget(&told);
    told = (struct told){ .stop_at = 3 }; /* as when a disk is full */
    assert_int_equal(nw_source_rewind(source, &err), NW_OK);
    assert_int_equal(nw_replay_many(source, config, MACHINES, 2, &hooks, &err), NW_ERR_IO);
    assert_string_equal(err.text, "no more, please");
    assert_int_equal(told.count, 3);
    forget(&told);
    end(config, MACHINES);
    nw_source_destroy(source);
}

/* A source whose third block cannot be read. */
struct broken {
    struct nw_source source;
    struct nw_trace_info info;
    unsigned blocks;
    uint64_t address[4];
};

static enum nw_status broken_next(struct nw_source *self, struct nw_block *block, struct nw_error *err)
{
    struct broken *b = (struct broken *)self;
    if (b->blocks == 2)
        return nw_fail(err, NW_ERR_INPUT, "block 2 is damaged");
    *block =
        (struct nw_block){ .first_access = 4ull * b->blocks++, .access_count = 4, .loads = 4, .address = b->address };
    return NW_OK;
}
static const struct nw_trace_info *broken_info(const struct nw_source *self)
{
    return &((const struct broken *)self)->info;
}
static uint64_t broken_total(const struct nw_source *self)
{
    (void)self;
    return 0;
}

static void many__a_damaged_trace_is_the_traces_failure(void **state)
{
    (void)state;
    static const struct nw_source_ops ops = { .next = broken_next, .info = broken_info, .access_total = broken_total };
    static struct broken broken = { .source = { .ops = &ops }, .address = { 0x1000, 0x2000, 0x3000, 0x4000 } };
    static struct told told;
    struct nw_config config[2];
    struct nw_error err = { 0 };
    nw_trace_info_init(&broken.info);
    for (size_t i = 0; i < 2; i++) {
        nw_config_init(&config[i]);
        config[i].engine = NW_ENGINE_REFERENCE; /* takes addresses, which are all that there is */
    }
    struct nw_replay_many_hooks hooks = { note, NULL, &told };
    assert_int_equal(nw_replay_many(&broken.source, config, 2, 2, &hooks, &err), NW_ERR_INPUT);
    assert_string_equal(err.text, "block 2 is damaged");
    assert_int_equal(told.count, 0);
    assert_int_equal(nw_replay_many(&broken.source, config, 2, 0, NULL, &err), NW_ERR_USAGE);
    assert_int_equal(nw_replay_many(&broken.source, config, 0, 1, NULL, &err), NW_OK);
    end(config, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many__count_as_alone_on_a_captured_guest),
        cmocka_unit_test(many__count_as_alone_on_small_blocks),
        cmocka_unit_test(many__one_that_fails_leaves_the_others_alone),
        cmocka_unit_test(many__stops_when_asked),
        cmocka_unit_test(many__a_damaged_trace_is_the_traces_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
