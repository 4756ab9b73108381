/* Importers of devices' events: what the recorded lines say, errors with their place, and damaged input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/traces/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[] = "/tmp/nestwalk-import-io-XXXXXX";

static const char *data(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, NW_TEST_DATA "/io/%s.txt", name);
    return path;
}

struct want {
    unsigned kind;
    uint64_t arg[5];
};

static enum nw_status import(const char *format, const char *path, struct nw_event *event, size_t room, size_t *count,
                             struct nw_error *err)
{
    struct nw_source *source;
    struct nw_block b;
    *count = 0;
    enum nw_status s = nw_importer_find(format)->open(&source, path, err);
    if (s)
        return s;
    while (!(s = nw_source_next(source, &b, err)) && !b.end) {
        assert_int_equal(b.access_count, 0);
        for (uint32_t i = 0; i < b.event_count && *count < room; i++)
            event[(*count)++] = b.event[i];
    }
    nw_source_destroy(source);
    return s;
}

static void check(const char *format, const struct want *want, size_t wanted)
{
    struct nw_event event[64];
    struct nw_error err = { 0 };
    size_t count;
    if (import(format, data(format), event, 64, &count, &err))
        fail_msg("%s", err.text);
    assert_int_equal(count, wanted);
    for (size_t i = 0; i < wanted; i++)
        if (event[i].kind != want[i].kind || memcmp(event[i].arg, want[i].arg, sizeof want[i].arg) != 0)
            fail_msg("%s: event %zu is kind %u, 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx", format, i, event[i].kind,
                     (unsigned long long)event[i].arg[0], (unsigned long long)event[i].arg[1],
                     (unsigned long long)event[i].arg[2], (unsigned long long)event[i].arg[3],
                     (unsigned long long)event[i].arg[4]);
}

static void ftrace__maps_and_unmaps_of_each_device(void **state)
{
    (void)state;
    static const struct want dma[] = {
        { NW_EV_TIME, { 0 } },
        { NW_EV_DMA_MAP, { 0x300, 0xfffff000, 0xfffff000, 4096, 3 } },
        { NW_EV_TIME, { 10000 } },
        { NW_EV_DMA_MAP, { 0x300, 0xffffe040, 0x10a0040, 2048, 2 } },
        { NW_EV_TIME, { 11000 } },
        { NW_EV_DMA_MAP, { 0x400, 0xffffc000, 0x5000, 4096, 1 } },
        { NW_EV_DMA_MAP, { 0x400, 0xffffb000, 0x9000, 512, 1 } },
        { NW_EV_MARKER, { NW_MARKER_USER, 17 } },
        { NW_EV_TIME, { 500010000 } },
        { NW_EV_DMA_UNMAP, { 0x300, 0xffffe040, 2048 } },
        { NW_EV_TIME, { 500011000 } },
        { NW_EV_DMA_UNMAP, { 0x400, 0xffffc000, 4096 } },
        { NW_EV_DMA_UNMAP, { 0x400, 0xffffb000, 512 } },
        { NW_EV_TIME, { 500012000 } }, /* a list that was mapped before */
        { NW_EV_TIME, { 999999000 } },
        { NW_EV_DMA_UNMAP, { 0x300, 0xfffff000, 4096 } },
    };
    static const struct want iommu[] = {
        { NW_EV_TIME, { 0 } },
        { NW_EV_DMA_MAP, { 0, 0x100000, 0x40000000, 2097152, 3 } },
        { NW_EV_TIME, { 500000 } },
        { NW_EV_DMA_INVALIDATE, { 0, 0x100000, 4096 << 9, 3 } },
        { NW_EV_TIME, { 600000 } },
        { NW_EV_TIME, { 50000000 } },
        { NW_EV_DMA_ACCESS, { 0x100, 0xdead0000, 1, 1 } },
        { NW_EV_TIME, { 150000000 } },
        { NW_EV_DMA_UNMAP, { 0, 0x100000, 2097152 } },
    };
    static const struct want qemu[] = {
        { NW_EV_TIME, { 0 } },      { NW_EV_DMA_ACCESS, { 0x10, 0x1000, 1, 0 } },
        { NW_EV_TIME, { 150000 } }, { NW_EV_DMA_INVALIDATE, { 0, 0x1000, 8192, 3 } },
        { NW_EV_TIME, { 200000 } }, { NW_EV_DMA_INVALIDATE, { 0, 0, 0, 2 } },
    };
    check("ftrace-dma", dma, NW_ARRAY_LEN(dma));
    check("ftrace-iommu", iommu, NW_ARRAY_LEN(iommu));
    check("qemu-vtd", qemu, NW_ARRAY_LEN(qemu));
}

static void put(const char *text, size_t bytes)
{
    FILE *f = fopen(scratch, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

static void lines__that_lack_something_are_named(void **state)
{
    static const struct {
        const char *format, *text, *found[2];
    } bad[] = {
        { "ftrace-dma",
          "a\n x-1 [0] 1.5: dma_map_phys: 0000:03:00.0 dir=TO_DEVICE size=12\n",
          { ":2:", "dma_addr=HEX size=N" } },
        { "ftrace-dma",
          " x-1 [0] 1.5: dma_map_sg: 0000:03:00.0 dma_addrs={0x1,0x2} sizes={0x1} phys_addrs={0x1}\n",
          { ":1:", "as many sizes" } },
        { "ftrace-dma", "nothing of the kind\n", { "none of the events", "" } },
        { "ftrace-iommu", "x-1 [0] 1.5: map: IOMMU: iova=0x1000 size=4096\n", { ":1:", "paddr=0x" } },
        { "ftrace-iommu", "x-1 [0] 1.5: unmap: IOMMU: iova=0x1000\n", { ":1:", "size=N" } },
        { "qemu-vtd", "vtd_dmar_translate dev 99 iova\n", { ":1:", "dev BB:DD.F" } },
        { "qemu-vtd", "vtd_inv_desc_iotlb_pages addr 0x1000 mask 0x50\n", { ":1:", "mask" } },
    };
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(bad); i++) {
        struct nw_event event[8];
        struct nw_error err = { 0 };
        size_t count;
        put(bad[i].text, strlen(bad[i].text));
        assert_int_equal(import(bad[i].format, scratch, event, 8, &count, &err), NW_ERR_INPUT);
        if (!strstr(err.text, bad[i].found[0]) || !strstr(err.text, bad[i].found[1]))
            fail_msg("%s", err.text);
    }
}

static void damage__is_an_event_or_an_error(void **state)
{
    static const char *const formats[] = { "ftrace-dma", "ftrace-iommu", "qemu-vtd" };
    (void)state;
    for (size_t f = 0; f < NW_ARRAY_LEN(formats); f++) {
        char text[8192];
        FILE *in = fopen(data(formats[f]), "rb");
        assert_non_null(in);
        const size_t bytes = fread(text, 1, sizeof text, in);
        fclose(in);
        for (uint64_t seed = 1; seed <= 600; seed++) {
            struct nw_rng rng = nw_rng_seeded(seed);
            char damaged[8192];
            struct nw_event event[512];
            struct nw_error err = { 0 };
            size_t count, left = bytes;
            memcpy(damaged, text, bytes);
            for (uint64_t n = 1 + nw_rng_below(&rng, 20); n > 0; n--)
                damaged[nw_rng_below(&rng, bytes)] = (char)nw_rng_below(&rng, 256);
            if (nw_rng_below(&rng, 2))
                left = nw_rng_below(&rng, bytes);
            put(damaged, left);
            const enum nw_status s = import(formats[f], scratch, event, 512, &count, &err);
            assert_true(s == NW_OK || (s == NW_ERR_INPUT && err.text[0]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ftrace__maps_and_unmaps_of_each_device),
        cmocka_unit_test(lines__that_lack_something_are_named),
        cmocka_unit_test(damage__is_an_event_or_an_error),
    };
    int fd = mkstemp(scratch);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests_name("import I/O", tests, NULL, NULL);
    unlink(scratch);
    return failed;
}
