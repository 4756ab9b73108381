/* Traces of devices: a plain list of what is mapped says whether each access of the device lies in a mapping that allows it; rates and counts are
 * those that the options ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/traces/generate_io.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE_MAX = 20000 };

struct live {
    uint64_t name, bytes, rights;
};

struct seen {
    struct live live[LIVE_MAX];
    unsigned count;
    uint64_t maps, unmaps, begun, ended, bytes, accessed, ns, flows, kinds[4], hash;
    bool open;
};

static void open_io(struct nw_source **source, const char *name, const struct nw_generate_io_options *o)
{
    struct nw_error err = { 0 };
    if (nw_io_generator_find(name)->open(source, o, &err))
        fail_msg("%s: %s", name, err.text);
}

static void one(struct seen *s, const struct nw_event *e)
{
    const uint64_t *a = e->arg;
    for (unsigned i = 0; i < NW_EVENT_ARGS_MAX; i++)
        s->hash = (s->hash ^ a[i]) * UINT64_C(0x100000001b3);
    switch (e->kind) {
    case NW_EV_TIME:
        assert_true(a[0] >= s->ns);
        s->ns = a[0];
        break;
    case NW_EV_DMA_MAP:
        for (unsigned i = 0; i < s->count; i++) /* nothing is mapped twice */
            assert_true(a[1] >= s->live[i].name + s->live[i].bytes || a[1] + a[3] <= s->live[i].name);
        assert_true(s->count < LIVE_MAX && a[0] == 0x300 && a[1] == a[2]);
        s->live[s->count++] = (struct live){ a[1], a[3], a[4] };
        s->maps++;
        break;
    case NW_EV_DMA_UNMAP: {
        unsigned i = 0;
        while (i < s->count && s->live[i].name != a[1])
            i++;
        assert_true(i < s->count && s->live[i].bytes == a[2]);
        s->live[i] = s->live[--s->count];
        s->unmaps++;
        break;
    }
    case NW_EV_DMA_ACCESS: {
        unsigned i = 0;
        while (i < s->count && (a[1] < s->live[i].name || a[1] + a[2] > s->live[i].name + s->live[i].bytes))
            i++;
        if (i == s->count || !(s->live[i].rights & (a[3] ? 2 : 1)))
            fail_msg("access of %llu bytes at 0x%llx, write %llu: not in a mapping that allows it",
                     (unsigned long long)a[2], (unsigned long long)a[1], (unsigned long long)a[3]);
        assert_true(s->open);
        s->accessed += a[2];
        break;
    }
    case NW_EV_IO_BEGIN:
        assert_false(s->open);
        s->open = true;
        s->begun++;
        s->bytes += a[3];
        s->kinds[a[1]]++;
        s->flows |= UINT64_C(1) << a[4];
        break;
    case NW_EV_IO_END:
        assert_true(s->open);
        s->open = false;
        s->ended++;
        break;
    default: assert_int_equal(e->kind, NW_EV_MARKER);
    }
}

static void all(struct nw_source *source, struct seen *s)
{
    struct nw_error err = { 0 };
    struct nw_block b;
    memset(s, 0, sizeof *s);
    for (;;) {
        assert_int_equal(nw_source_next(source, &b, &err), NW_OK);
        if (b.end)
            break;
        assert_int_equal(b.access_count, 0);
        for (uint32_t i = 0; i < b.event_count; i++)
            one(s, &b.event[i]);
    }
}

static void devices__reach_only_what_is_mapped(void **state)
{
    (void)state;
    struct seen *s = malloc(sizeof *s);
    assert_non_null(s);
    for (size_t d = 0; d < nw_io_generator_count; d++)
        for (unsigned shape = 0; shape < 24; shape++) {
            struct nw_generate_io_options o;
            nw_generate_io_defaults(&o);
            const bool network = d == 0 || d == 2;
            o.requests = 500;
            o.ring = shape & 1 ? 16 : 64;
            o.queues = shape & 2 ? 3 : 1;
            o.direction = (enum nw_io_direction)(shape % 3);
            o.recycle = network && shape & 4;
            o.huge = shape & 8;
            o.fragmented = !(shape & 1);
            o.backlog = shape % 5 * 3;
            o.mix = network && shape % 7 == 3;
            o.bytes = network ? (shape % 6 == 5 ? 9000 : 0) : shape % 4 == 3 ? 65536 : shape % 4 == 2 ? 512 : 0;
            o.buffer_bytes = shape & 16 ? 4096 : 2048;
            struct nw_source *source;
            open_io(&source, nw_io_generators[d].name, &o);
            all(source, s);
            assert_true(s->begun == o.requests && s->ended == o.requests && !s->open);
            assert_true(s->flows == (UINT64_C(1) << o.queues) - 1);
            assert_true(s->accessed > s->bytes); /* the data, and rings beside it */
            assert_true(s->maps - s->unmaps == s->count);
            const unsigned in = network ? NW_IO_RECEIVE : NW_IO_READ;
            const uint64_t expected = o.direction == NW_IO_IN ? 500 : o.direction == NW_IO_OUT ? 0 : 250;
            assert_int_equal(s->kinds[in], expected);
            assert_int_equal(s->kinds[in + 1], 500 - expected);
            const uint64_t hash = s->hash;
            struct nw_error err;
            assert_int_equal(nw_source_rewind(source, &err), NW_OK);
            all(source, s);
            assert_int_equal(s->hash, hash);
            nw_source_destroy(source);
        }
    free(s);
}

static void nic__packets_follow_one_another_at_the_links_rate(void **state)
{
    (void)state;
    struct seen *s = malloc(sizeof *s);
    struct nw_generate_io_options o;
    struct nw_source *source;
    nw_generate_io_defaults(&o);
    o.requests = 10000;
    o.link_gbps = 40;
    open_io(&source, "nic", &o);
    all(source, s);
    nw_source_destroy(source);
    assert_int_equal(s->ns, (uint64_t)(10000 * (1514 + 24) * 8 / 40.0)); /* 3,250,975 packets a second: 40 Gb/s */
    assert_int_equal(s->bytes, 10000 * 1514);
    assert_true(s->maps == 2 + 512 + 10000 && s->unmaps == 10000); /* rings, the first buffers, and one a packet */

    o.recycle = true;
    open_io(&source, "nic", &o);
    all(source, s);
    nw_source_destroy(source);
    assert_true(s->unmaps == 0 &&
                s->maps == 2 + 512 + 65); /* what software holds at most, and one that is on its way */

    o.mix = true;
    open_io(&source, "nic", &o);
    all(source, s);
    nw_source_destroy(source);
    const double mean = (double)s->bytes / 10000, expected = (7 * 60 + 4 * 590 + 1514) / 12.0;
    assert_true(mean > expected * 0.97 && mean < expected * 1.03);
    free(s);
}

static void options__nonsense_is_refused(void **state)
{
    (void)state;
    struct nw_generate_io_options good, bad[12];
    nw_generate_io_defaults(&good);
    good.requests = 1;
    for (unsigned i = 0; i < 12; i++)
        bad[i] = good;
    bad[0].requests = 0;
    bad[1].ring = UINT64_C(1) << 40;
    bad[2].ring = 100;
    bad[3].queues = 65;
    bad[4].link_gbps = 0;
    bad[5].bytes = 70000;
    bad[6].bytes = 10;
    bad[7].buffer_bytes = 1000;
    bad[8].memory_bytes = 1 << 20;
    bad[9].backlog = 1 << 20;
    bad[10].memory_bytes = UINT64_MAX;
    bad[11].link_gbps = -1;
    for (unsigned i = 0; i < 12; i++) {
        struct nw_source *source = NULL;
        struct nw_error err = { 0 };
        if (nw_io_generator_find("nic")->open(&source, &bad[i], &err) != NW_ERR_USAGE || source)
            fail_msg("option set %u is taken", i);
        assert_non_null(strstr(err.text, i == 8 ? "need" : "allowed"));
    }
    good.recycle = true;
    struct nw_source *source = NULL;
    struct nw_error err;
    assert_int_equal(nw_io_generator_find("nvme")->open(&source, &good, &err), NW_ERR_USAGE);
    assert_null(nw_io_generator_find("zipf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices__reach_only_what_is_mapped),
        cmocka_unit_test(nic__packets_follow_one_another_at_the_links_rate),
        cmocka_unit_test(options__nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("generate I/O", tests, NULL, NULL);
}
