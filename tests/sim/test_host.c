/* CPUID leaves of known processors into arrays, caches and a profile. The leaves are put together from the vendors' documents of what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <nestwalk/base/rng.h>
#include <nestwalk/sim/host.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nw_error error;

/* An Intel processor with leaf 18H: L1 of 64 (4K), 32 (2M) and 8 (1G) entries for loads, 16 for stores; 256 and 32 for fetches; L2 1024 and 1024. */
static const char intel[] = "CPU:\n"
                            "   0x00000000 0x00: eax=0x00000020 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n"
                            "   0x00000001 0x00: eax=0x000806f8 ebx=0x00100800 ecx=0x00020020 edx=0x00000000\n"
                            "   0x00000002 0x00: eax=0x00feff01 ebx=0x000000f0 ecx=0x00000000 edx=0x00000000\n"
                            "   0x00000004 0x00: eax=0x00000121 ebx=0x02c0003f ecx=0x0000003f edx=0x00000000\n"
                            "   0x00000004 0x01: eax=0x00000122 ebx=0x01c0003f ecx=0x0000003f edx=0x00000000\n"
                            "   0x00000004 0x02: eax=0x00000143 ebx=0x03c0003f ecx=0x000007ff edx=0x00000000\n"
                            "   0x00000007 0x00: eax=0x00000000 ebx=0x00100480 ecx=0x00010008 edx=0x00000000\n"
                            "   0x00000018 0x00: eax=0x00000008 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n"
                            "   0x00000018 0x01: eax=0x00000000 ebx=0x00080001 ecx=0x00000020 edx=0x00000022\n"
                            "   0x00000018 0x02: eax=0x00000000 ebx=0x00080006 ecx=0x00000004 edx=0x00000022\n"
                            "   0x00000018 0x03: eax=0x00000000 ebx=0x0010000f ecx=0x00000001 edx=0x00000125\n"
                            "   0x00000018 0x04: eax=0x00000000 ebx=0x00060001 ecx=0x00000010 edx=0x00000024\n"
                            "   0x00000018 0x05: eax=0x00000000 ebx=0x00040006 ecx=0x00000008 edx=0x00000024\n"
                            "   0x00000018 0x06: eax=0x00000000 ebx=0x00080008 ecx=0x00000001 edx=0x00000124\n"
                            "   0x00000018 0x07: eax=0x00000000 ebx=0x00080007 ecx=0x00000080 edx=0x00000043\n"
                            "   0x00000018 0x08: eax=0x00000000 ebx=0x00080009 ecx=0x00000080 edx=0x00000043\n"
                            "   0x80000001 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 edx=0x04100000\n"
                            "   0x80000008 0x00: eax=0x00003934 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n";

/* An AMD processor: L1 data 72 and fetch 64 entries of all sizes, fully associative; L2 data 3072 in 12 (code 6 is 8) ways, fetch 512 in 4. */
static const char amd[] = "0x00000000 0x00: eax=0x00000010 ebx=0x68747541 ecx=0x444d4163 edx=0x69746e65\n"
                          "0x00000001 0x00: eax=0x00a60f12 ebx=0x00000000 ecx=0x80000000 edx=0x00000000\n"
                          "0x40000000 0x00: eax=0x40000001 ebx=0x4b4d564b ecx=0x564b4d56 edx=0x0000004d\n"
                          "0x80000001 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000004 edx=0x00000000\n"
                          "0x80000005 0x00: eax=0xff48ff40 ebx=0xff48ff40 ecx=0x20080140 edx=0x20080140\n"
                          "0x80000006 0x00: eax=0x6c004200 ebx=0x6c004200 ecx=0x04006140 edx=0x00000000\n"
                          "0x8000000a 0x00: eax=0x00000001 ebx=0x00008000 ecx=0x00000000 edx=0x00000001\n"
                          "0x80000019 0x00: eax=0xf048f040 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n"
                          "0x8000001d 0x00: eax=0x00000121 ebx=0x01c0003f ecx=0x0000003f edx=0x00000000\n"
                          "0x8000001d 0x01: eax=0x00000163 ebx=0x03c0003f ecx=0x00007fff edx=0x00000000\n";

/* A processor of before leaf 18H: descriptors. 5A 0x63 has two arrays, F0 is no TLB. */
static const char nehalem[] = "0x00000000 0x00: eax=0x0000000b ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n"
                              "0x00000001 0x00: eax=0x000106a5 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n"
                              "0x00000002 0x00: eax=0x55035a01 ebx=0x00f0b2e4 ecx=0x80000000 edx=0x09ca212c\n";

static struct nw_host decode(const char *text)
{
    struct nw_cpuid id;
    struct nw_host h;
    if (nw_cpuid_parse(&id, text, "leaves", &error))
        fail_msg("%s", error.text);
    nw_host_decode(&id, &h);
    nw_cpuid_fini(&id);
    return h;
}

static void has(const struct nw_host *h, unsigned level, uint64_t class, uint64_t pages, unsigned entries,
                unsigned ways)
{
    for (size_t i = 0; i < h->tlbs; i++) {
        const struct nw_host_tlb *t = &h->tlb[i];
        if (t->level == level && t->class == class && t->pages == pages && t->entries == entries && t->ways == ways)
            return;
    }
    fail_msg("no level-%u array of class %u for pages %u with %u entries in %u ways", level, (unsigned)class,
             (unsigned)pages, entries, ways);
}

static void intel__leaf_18h_names_each_array(void **state)
{
    (void)state;
    struct nw_host h = decode(intel);
    assert_string_equal(h.vendor, "GenuineIntel");
    assert_true(h.family == 6 && h.model == 0x8f && h.stepping == 8 && h.tlbs == 8 && h.caches == 3 &&
                !h.hypervisor[0]);
    assert_string_equal(h.near, "intel-sapphire-rapids");
    has(&h, 1, NW_TLB_INSTRUCTION, NW_HOLDS_4K, 256, 8);
    has(&h, 1, NW_TLB_INSTRUCTION, NW_HOLDS_2M, 32, 8);
    has(&h, 1, NW_TLB_DATA, NW_HOLDS_4K, 96, 6);
    has(&h, 1, NW_TLB_DATA, NW_HOLDS_1G, 8, 8);
    has(&h, 2, NW_TLB_UNIFIED, NW_HOLDS_4K | NW_HOLDS_2M, 1024, 8);
    has(&h, 2, NW_TLB_UNIFIED, NW_HOLDS_4K | NW_HOLDS_1G, 1024, 8);
    assert_true(h.cache[0].bytes == 48 << 10 && h.cache[0].ways == 12 && h.cache[2].bytes == 2 << 20);
    assert_true(h.pcid && h.invpcid && h.smep && h.smap && h.pku && h.la57 && h.nx && h.page_1g && h.vmx);
    assert_true(h.physical_bits == 52 && h.linear_bits == 57);
}

static void amd__functions_of_both_levels_and_what_belongs_together(void **state)
{
    (void)state;
    struct nw_host h = decode(amd);
    assert_string_equal(h.vendor, "AuthenticAMD");
    assert_string_equal(h.hypervisor, "KVMKVMKVM");
    assert_true(h.family == 0x19 && h.model == 0x61 && h.svm && h.nested_paging);
    assert_string_equal(h.near, "amd-zen4");
    has(&h, 1, NW_TLB_DATA, NW_HOLDS_ALL, 72, 72);
    has(&h, 1, NW_TLB_INSTRUCTION, NW_HOLDS_ALL, 64, 64);
    has(&h, 2, NW_TLB_DATA, NW_HOLDS_4K, 3072, 8);
    has(&h, 2, NW_TLB_INSTRUCTION, NW_HOLDS_2M, 512, 4);
    assert_true(h.caches == 2 && h.cache[1].level == 3 && h.cache[1].bytes == 32u << 20);
}

static void intel__leaf_2_names_arrays_by_bytes(void **state)
{
    (void)state;
    struct nw_host h = decode(nehalem);
    assert_string_equal(h.near, "intel-nehalem");
    assert_int_equal(h.tlbs, 5);
    has(&h, 1, NW_TLB_DATA, NW_HOLDS_2M, 32, 4);
    has(&h, 1, NW_TLB_DATA, NW_HOLDS_4K, 64, 4);
    has(&h, 1, NW_TLB_INSTRUCTION, NW_HOLDS_2M, 7, 7);
    has(&h, 1, NW_TLB_INSTRUCTION, NW_HOLDS_4K, 64, 4);
    has(&h, 2, NW_TLB_UNIFIED, NW_HOLDS_4K, 512, 4);
}

static void profile__has_each_array_once(void **state)
{
    static const char *const machines[] = { intel, amd, nehalem };
    static const size_t arrays[] = { 7, 6, 5 };
    (void)state;
    for (size_t i = 0; i < NW_ARRAY_LEN(machines); i++) {
        struct nw_host h = decode(machines[i]);
        char notes[NW_HOST_NOTES][NW_HOST_TEXT];
        size_t count;
        struct nw_config c;
        nw_config_init(&c);
        if (nw_host_profile(&h, &c, notes, &count, &error))
            fail_msg("%s", error.text);
        assert_int_equal(c.tlb_count, arrays[i]);
        assert_true(count >= 1 && count <= NW_HOST_NOTES);
        assert_int_equal(nw_config_check(&c, &error), NW_OK);
        nw_config_fini(&c);
    }
}

static void profile__a_hidden_tlb_is_told(void **state)
{
    (void)state;
    struct nw_host h = decode("0x00000000 0x00: eax=0x00000010 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69\n"
                              "0x00000001 0x00: eax=0x000c06f2 ebx=0x00000000 ecx=0x80000000 edx=0x00000000\n"
                              "0x00000002 0x00: eax=0x00feff01 ebx=0x00000000 ecx=0x00000000 edx=0x00000000\n");
    char notes[NW_HOST_NOTES][NW_HOST_TEXT];
    size_t count;
    struct nw_config c;
    nw_config_init(&c);
    assert_int_equal(nw_host_profile(&h, &c, notes, &count, &error), NW_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "intel-sapphire-rapids"));
    nw_config_fini(&c);
    struct nw_cpuid id;
    assert_int_equal(nw_cpuid_parse(&id, "nothing\n", "leaves", &error), NW_ERR_INPUT);
}

/* Whatever leaves say: arrays within bounds, and a profile that holds together or a reason. */
static void leaves__of_any_content_are_decoded(void **state)
{
    (void)state;
    struct nw_rng rng = nw_rng_seeded(3);
    for (unsigned i = 0; i < 20000; i++) {
        static const uint32_t leaves[] = { 0,          1,          2,          4,          7,          0x18,
                                           0x40000000, 0x80000002, 0x80000005, 0x80000006, 0x80000019, 0x8000001d };
        struct nw_cpuid_leaf leaf[40];
        struct nw_cpuid id = { .leaf = leaf, .count = 40 };
        for (unsigned n = 0; n < 40; n++) {
            leaf[n] = (struct nw_cpuid_leaf){ leaves[n % 12],
                                              n / 12,
                                              (uint32_t)nw_rng_next(&rng),
                                              (uint32_t)nw_rng_next(&rng),
                                              (uint32_t)nw_rng_next(&rng),
                                              (uint32_t)nw_rng_next(&rng) };
            if (nw_rng_below(&rng, 2)) /* small numbers make more of them arrays */
                leaf[n].ecx &= 0xff, leaf[n].edx = (leaf[n].edx & 3) | 32u << (leaf[n].edx >> 9 & 1);
        }
        if (i % 2)
            leaf[0].ebx = 0x68747541, leaf[0].ecx = 0x444d4163, leaf[0].edx = 0x69746e65;
        struct nw_host h;
        char notes[NW_HOST_NOTES][NW_HOST_TEXT];
        size_t count;
        struct nw_config c;
        nw_host_decode(&id, &h);
        assert_true(h.tlbs <= NW_HOST_TLBS_MAX && h.caches <= NW_HOST_CACHES_MAX);
        nw_config_init(&c);
        if (nw_host_profile(&h, &c, notes, &count, &error) == NW_OK)
            assert_int_equal(nw_config_check(&c, &error), NW_OK);
        else
            assert_true(error.text[0]);
        nw_config_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intel__leaf_18h_names_each_array),
        cmocka_unit_test(amd__functions_of_both_levels_and_what_belongs_together),
        cmocka_unit_test(intel__leaf_2_names_arrays_by_bytes),
        cmocka_unit_test(profile__has_each_array_once),
        cmocka_unit_test(profile__a_hidden_tlb_is_told),
        cmocka_unit_test(leaves__of_any_content_are_decoded),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
