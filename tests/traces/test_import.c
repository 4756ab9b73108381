/* Inputs, plain and compressed, and the importers. */
#include "trace_support.h"

#include <nestwalk/traces/import.h>
#include <nestwalk/traces/input.h>

static const char lackey_text[] = "==123== Lackey, an example Valgrind tool\n"
                                  "I  04016b80,3\n"
                                  " S 1ffeffe7e8,8\n"
                                  " L 04222cac,4\r\n"
                                  "\n"
                                  " M ffffffffffffffff,2\n"
                                  "--123-- done\n"
                                  "I  10,15";

static const char csv_text[] = "type,address,size,user\n"
                               "# a comment\n"
                               "fetch,0x1000,4\n"
                               " Load , 4097 , 8 , 0\n"
                               "S,0xffff800000000ff8,16,1\n"
                               "\n"
                               "w,0x20,1\n";

static void assert_accesses(const char *format, const char *path, const uint64_t *address, const uint8_t *kind,
                            size_t n)
{
    struct nw_source *source = NULL;
    OK(nw_importer_find(format)->open(&source, path, err));
    struct trace t = { .count = n, .address = (uint64_t *)address, .kind = (uint8_t *)kind };
    assert_delivers(source, &t);
    OK(nw_source_rewind(source, err));
    assert_delivers(source, &t);
    nw_source_destroy(source);
}

static void assert_refused(const char *format, const char *text, const char *says)
{
    const char *path = in_scratch(0, "bad");
    struct nw_source *source = NULL;
    struct nw_error why = { 0 };
    struct nw_block b;
    write_file(path, text, strlen(text));
    OK(nw_importer_find(format)->open(&source, path, err));
    assert_int_equal(nw_source_next(source, &b, &why), NW_ERR_INPUT);
    if (strncmp(why.text, path, strlen(path)) != 0 || !strstr(why.text, says))
        fail_msg("\"%s\" does not say \"%s\"", why.text, says);
    nw_source_destroy(source);
}

static void raw64__addresses_are_user_loads_of_8_bytes(void **state)
{
    (void)state;
    enum { N = 40000 };
    uint64_t *address = malloc(N * sizeof *address);
    uint8_t *kind = malloc(N);
    assert_true(address && kind);
    struct nw_rng rng = nw_rng_seeded(1);
    for (size_t i = 0; i < N; i++)
        address[i] = nw_rng_next(&rng);
    memset(kind, nw_kind_make(NW_LOAD, 8, true), N);
    write_file(in_scratch(0, "raw"), address, N * sizeof *address);
    assert_accesses("raw64", in_scratch(0, "raw"), address, kind, N);
    free(address);
    free(kind);
}

static void raw64__half_an_address_at_the_end_is_refused(void **state)
{
    (void)state;
    assert_refused("raw64", "123456789012", "ends at byte 12, inside an address");
}

static void lackey__fetches_loads_stores_and_modifies(void **state)
{
    (void)state;
    const uint64_t address[] = { 0x04016b80, 0x1ffeffe7e8, 0x04222cac, UINT64_MAX, UINT64_MAX, 0x10 };
    const uint8_t kind[] = { nw_kind_make(NW_FETCH, 3, true), nw_kind_make(NW_STORE, 8, true),
                             nw_kind_make(NW_LOAD, 4, true),  nw_kind_make(NW_LOAD, 2, true),
                             nw_kind_make(NW_STORE, 2, true), nw_kind_make(NW_FETCH, 15, true) };
    write_file(in_scratch(0, "lackey"), lackey_text, sizeof lackey_text - 1);
    assert_accesses("lackey", in_scratch(0, "lackey"), address, kind, 6);
}

static void lackey__malformed_lines_are_named(void **state)
{
    (void)state;
    assert_refused("lackey", "I  1000,4\nX 1000,4\n", "bad:2: expected I, L, S or M");
    assert_refused("lackey", "I  zz,4\n", "bad:1: expected a hexadecimal address");
    assert_refused("lackey", "I  12345678901234567,4\n", "bad:1: expected a hexadecimal address");
    assert_refused("lackey", "\n\n L 1000,0\n", "bad:3: expected a size of 1 to 4096");
    assert_refused("lackey", " L 1000,4097\n", "expected a size");
    assert_refused("lackey", " L 1000,4 8\n", "expected a size");
    assert_refused("lackey", " L 1000\n", "comma");
    assert_refused("lackey", " L\n", "a blank");
}

static void lackey__a_modify_never_overflows_a_block(void **state)
{
    (void)state;
    FILE *f = fopen(in_scratch(0, "modify"), "w");
    assert_non_null(f);
    fputs("I 1,1\n", f);
    for (int i = 0; i < 50000; i++)
        fputs(" M 2000,8\n", f);
    fclose(f);
    struct nw_source *source = NULL;
    struct nw_block b;
    uint64_t n = 0;
    OK(nw_importer_find("lackey")->open(&source, in_scratch(0, "modify"), err));
    for (;;) {
        OK(nw_source_next(source, &b, err));
        if (b.end)
            break;
        n += b.access_count;
    }
    assert_int_equal(n, 100001);
    nw_source_destroy(source);
}

static void csv__all_forms(void **state)
{
    (void)state;
    const uint64_t address[] = { 0x1000, 4097, 0xffff800000000ff8, 0x20 };
    const uint8_t kind[] = { nw_kind_make(NW_FETCH, 4, true), nw_kind_make(NW_LOAD, 8, false),
                             nw_kind_make(NW_STORE, 16, true), nw_kind_make(NW_STORE, 1, true) };
    write_file(in_scratch(0, "csv"), csv_text, sizeof csv_text - 1);
    assert_accesses("csv", in_scratch(0, "csv"), address, kind, 4);
}

static void csv__malformed_lines_are_named(void **state)
{
    (void)state;
    assert_refused("csv", "load,1,8\njump,1,8\n", "bad:2: type \"jump\", allowed are fetch");
    assert_refused("csv", "load,-1,8\n", "bad:1: address");
    assert_refused("csv", "load,0x10000000000000000,8\n", "bad:1: address");
    assert_refused("csv", "load,1,0\n", "size \"0\", allowed is 1 to 4096");
    assert_refused("csv", "load,1,8,2\n", "user \"2\"");
    assert_refused("csv", "load,1\n", "2 fields");
    assert_refused("csv", "load,1,8,1,1\n", "more than 4 fields");
}

static void importer__an_empty_file_is_an_empty_trace(void **state)
{
    (void)state;
    write_file(in_scratch(0, "empty"), "", 0);
    for (size_t i = 0; i < nw_importer_count; i++)
        if (!nw_importers[i].directory)
            assert_accesses(nw_importers[i].name, in_scratch(0, "empty"), NULL, NULL, 0);
    char command[256];
    snprintf(command, sizeof command, "gzip -c <%s >%s", in_scratch(0, "empty"), in_scratch(1, "empty.gz"));
    assert_int_equal(system(command), 0);
    for (size_t i = 0; i < nw_importer_count; i++)
        if (!nw_importers[i].directory)
            assert_accesses(nw_importers[i].name, in_scratch(1, "empty.gz"), NULL, NULL, 0);
    assert_null(nw_importer_find("valgrind"));
    struct nw_source *source = NULL;
    struct nw_error why;
    assert_int_equal(nw_importers[0].open(&source, in_scratch(0, "nowhere"), &why), NW_ERR_INPUT);
    assert_int_equal(nw_importers[0].open(&source, scratch, &why), NW_ERR_INPUT);
}

/* The same text through every filter. The packing programs are Debian's; one that is missing is left out. */
static void input__compressed_files_read_like_plain_ones(void **state)
{
    (void)state;
    const char *packers[] = { "gzip", "xz", "zstd", "bzip2", "lz4", "xz --format=lzma" };
    const uint64_t address[] = { 0x1000, 4097, 0xffff800000000ff8, 0x20 };
    const uint8_t kind[] = { nw_kind_make(NW_FETCH, 4, true), nw_kind_make(NW_LOAD, 8, false),
                             nw_kind_make(NW_STORE, 16, true), nw_kind_make(NW_STORE, 1, true) };
    write_file(in_scratch(0, "csv"), csv_text, sizeof csv_text - 1);
    unsigned read = 0;
    for (size_t i = 0; i < NW_ARRAY_LEN(packers); i++) {
        char command[256];
        snprintf(command, sizeof command, "%s -c <%s >%s 2>/dev/null", packers[i], in_scratch(0, "csv"),
                 in_scratch(1, "packed"));
        if (system(command)) {
            print_message("no %s here\n", packers[i]);
            continue;
        }
        assert_accesses("csv", in_scratch(1, "packed"), address, kind, 4);
        read++;
    }
    assert_true(read >= 2); /* gzip and xz are in every Debian */
}

static void input__damaged_compression_is_an_error(void **state)
{
    (void)state;
    char command[256];
    struct nw_rng rng = nw_rng_seeded(3);
    static uint8_t noise[2000000];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)nw_rng_next(&rng);
    write_file(in_scratch(0, "noise"), noise, sizeof noise);
    snprintf(command, sizeof command, "gzip -c <%s | head -c 1500000 >%s", in_scratch(0, "noise"),
             in_scratch(1, "half.gz"));
    assert_int_equal(system(command), 0);
    struct nw_input *in = NULL;
    struct nw_error why = { 0 };
    size_t got;
    OK(nw_input_open(&in, in_scratch(1, "half.gz"), err));
    assert_int_equal(nw_input_read(in, noise, sizeof noise, &got, &why), NW_ERR_INPUT);
    assert_non_null(strstr(why.text, "half.gz"));
    nw_input_close(in);
}

static void input__lines_of_any_length_and_ending(void **state)
{
    (void)state;
    enum { LONG = 1 << 20 };
    FILE *f = fopen(in_scratch(0, "lines"), "w");
    assert_non_null(f);
    fputs("one\r\n\ntwo\n", f);
    for (int i = 0; i < LONG; i++)
        fputc('x', f);
    fputs("\nlast", f);
    fclose(f);
    struct nw_input *in = NULL;
    char *line;
    size_t length;
    const size_t expected[] = { 3, 0, 3, LONG, 4 };
    OK(nw_input_open(&in, in_scratch(0, "lines"), err));
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < 5; i++) {
            OK(nw_input_line(in, &line, &length, err));
            assert_non_null(line);
            assert_int_equal(length, expected[i]);
            assert_int_equal(strlen(line), length);
            assert_int_equal(nw_input_line_number(in), i + 1);
        }
        assert_string_equal(line, "last");
        OK(nw_input_line(in, &line, &length, err));
        assert_null(line);
        assert_int_equal(nw_input_offset(in), 5 + 1 + 4 + LONG + 1 + 4);
        OK(nw_input_rewind(in, err));
    }
    struct nw_error why = { 0 };
    OK(nw_input_line(in, &line, &length, err));
    assert_int_equal(nw_input_fail(in, &why, "wrong %d", 7), NW_ERR_INPUT);
    assert_non_null(strstr(why.text, "lines:1: wrong 7"));
    nw_input_close(in);
}

static void input__an_endless_line_is_refused(void **state)
{
    (void)state;
    FILE *f = fopen(in_scratch(0, "endless"), "w");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), NW_INPUT_LINE_MAX + 2), 0);
    fclose(f);
    struct nw_input *in = NULL;
    struct nw_error why = { 0 };
    char *line;
    size_t length;
    OK(nw_input_open(&in, in_scratch(0, "endless"), err));
    assert_int_equal(nw_input_line(in, &line, &length, &why), NW_ERR_INPUT);
    assert_non_null(strstr(why.text, "endless:1: the line is longer"));
    nw_input_close(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw64__addresses_are_user_loads_of_8_bytes),
        cmocka_unit_test(raw64__half_an_address_at_the_end_is_refused),
        cmocka_unit_test(lackey__fetches_loads_stores_and_modifies),
        cmocka_unit_test(lackey__malformed_lines_are_named),
        cmocka_unit_test(lackey__a_modify_never_overflows_a_block),
        cmocka_unit_test(csv__all_forms),
        cmocka_unit_test(csv__malformed_lines_are_named),
        cmocka_unit_test(importer__an_empty_file_is_an_empty_trace),
        cmocka_unit_test(input__compressed_files_read_like_plain_ones),
        cmocka_unit_test(input__damaged_compression_is_an_error),
        cmocka_unit_test(input__lines_of_any_length_and_ending),
        cmocka_unit_test(input__an_endless_line_is_refused),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
