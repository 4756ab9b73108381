/* The parts that all commands share: option parsing, numbers, suggestions, tables, filled text. */
#include "internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct nw_option options[] = {
    { "mode", 'm', "native|shadow", "Mode." },
    { "quiet", 'q', NULL, "No output." },
    { "output", 'o', "FILE", "Where to." },
    { 0 },
};
static const struct nw_command command = { .name = "walk far", .summary = "walks", .options = options };
const struct nw_command *const nw_commands[] = { &command, NULL };

/* All that parsing `argv` yields, as text: "m=native q arg end(0)". */
static const char *parsed(const char *const *words)
{
    static char text[512];
    char *argv[16];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    struct nw_cli_parser p;
    nw_cli_parser_init(&p, &command, argc, argv);
    const char *value;
    text[0] = 0;
    for (;;) {
        char piece[64];
        int option = nw_cli_next(&p, &value);
        if (option == NW_CLI_DONE)
            return text;
        if (option == NW_CLI_EXIT)
            snprintf(piece, sizeof piece, "exit(%d)", p.exit_status);
        else if (option == NW_CLI_ARGUMENT)
            snprintf(piece, sizeof piece, "<%s> ", value);
        else
            snprintf(piece, sizeof piece, "%c=%s ", options[option].letter, value ? value : "");
        strcat(text, piece);
        if (option == NW_CLI_EXIT)
            return text;
    }
}
#define PARSED(...) parsed((const char *const[]){ "far", __VA_ARGS__, NULL })

static void options__long_and_short_forms_mean_the_same(void **state)
{
    (void)state;
    assert_string_equal(PARSED("--mode", "native", "--quiet"), "m=native q= ");
    assert_string_equal(PARSED("--mode=native", "-q"), "m=native q= ");
    assert_string_equal(PARSED("-m", "native", "-q"), "m=native q= ");
    assert_string_equal(PARSED("-qmnative"), "q= m=native ");
    assert_string_equal(PARSED("-qm", "native"), "q= m=native ");
    assert_string_equal(PARSED("--output=a=b"), "o=a=b ");
    assert_string_equal(PARSED("--output="), "o= ");
}

static void options__arguments_stand_anywhere_and_all_behind_two_dashes(void **state)
{
    (void)state;
    assert_string_equal(PARSED("a", "-q", "-", "--", "-q", "--", "b"), "<a> q= <-> <-q> <--> <b> ");
    assert_string_equal(PARSED("--output", "--", "-q"), "o=-- q= ");
}

static void options__wrong_usage_is_status_2(void **state)
{
    (void)state;
    assert_string_equal(PARSED("--mode"), "exit(2)");
    assert_string_equal(PARSED("-m"), "exit(2)");
    assert_string_equal(PARSED("--quiet=yes"), "exit(2)");
    assert_string_equal(PARSED("--mod=native"), "exit(2)");
    assert_string_equal(PARSED("-x"), "exit(2)");
    assert_string_equal(PARSED("-qx"), "q= exit(2)");
}

static void numbers__suffixes_are_powers_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        uint64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "42", true, 42 },
        { "1K", true, 1024 },
        { "3m", true, 3 << 20 },
        { "2G", true, UINT64_C(2) << 30 },
        { "1T", true, UINT64_C(1) << 40 },
        { "7P", true, UINT64_C(7) << 50 },
        { "0x1f", true, 31 },
        { "0x7f0000001000", true, UINT64_C(0x7f0000001000) },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "16384P", false, 0 },
        { "16383P", true, UINT64_C(16383) << 50 },
        { "", false, 0 },
        { "-1", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1KB", false, 0 },
        { "1x", false, 0 },
        { "0x", false, 0 },
        { "K", false, 0 },
        { "1.5G", false, 0 },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(cases); i++) {
        uint64_t value = 0;
        bool valid = nw_cli_parse_u64(cases[i].text, &value);
        if (valid != cases[i].valid || (valid && value != cases[i].value))
            fail_msg("\"%s\": valid %d, %llu", cases[i].text, valid, (unsigned long long)value);
    }
}

static void numbers__reals_are_finite_and_whole_words(void **state)
{
    (void)state;
    double value = 0;
    assert_true(nw_cli_parse_double("0.99", &value));
    assert_true(value > 0.98 && value < 1.0);
    assert_true(nw_cli_parse_double("-2e3", &value));
    assert_true(value < -1999 && value > -2001);
    static const char *const wrong[] = { "", "x", "1x", " 1", "nan", "inf", "1e999" };
    for (size_t i = 0; i < NW_ARRAY_LEN(wrong); i++)
        if (nw_cli_parse_double(wrong[i], &value))
            fail_msg("\"%s\" was taken for %g", wrong[i], value);
}

static void suggestions__distance_counts_slips(void **state)
{
    (void)state;
    assert_int_equal(nw_cli_distance("", ""), 0);
    assert_int_equal(nw_cli_distance("run", "run"), 0);
    assert_int_equal(nw_cli_distance("rnu", "run"), 1);
    assert_int_equal(nw_cli_distance("rn", "run"), 1);
    assert_int_equal(nw_cli_distance("compare", "compile"), 2);
    assert_int_equal(nw_cli_distance("", "walk"), 4);
    assert_int_equal(nw_cli_distance("kitten", "sitting"), 3);
}

static void suggestions__another_word_is_not_suggested(void **state)
{
    (void)state;
    struct nw_cli_suggestion s;
    nw_cli_suggest_init(&s, "fidelty");
    nw_cli_suggest_offer(&s, "mode");
    nw_cli_suggest_offer(&s, "fidelity");
    nw_cli_suggest_offer(&s, "engine");
    assert_string_equal(s.best, "fidelity");
    nw_cli_suggest_init(&s, "zzz");
    nw_cli_suggest_offer(&s, "mode");
    assert_null(s.best);
}

/* What `print` writes to a stream; free() it. */
static char *written(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = tmpfile();
    assert_non_null(out);
    print(out);
    size = (size_t)ftell(out);
    rewind(out);
    text = calloc(1, size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, size, out), size);
    fclose(out);
    return text;
}

static void print_small_table(FILE *out)
{
    static const char *const heading[] = { "counter", "native" };
    static const bool numeric[] = { false, true };
    struct nw_cli_table *t = nw_cli_table_new(heading, numeric, 2);
    nw_cli_table_row(t, (const char *const[]){ "walks", "1,234" });
    nw_cli_table_rule(t);
    nw_cli_table_row(t, (const char *const[]){ "h\xc3\xb6he", "7" });
    nw_cli_table_print(t, out);
}

static void table__aligns_numbers_right_and_counts_characters(void **state)
{
    (void)state;
    char *text = written(print_small_table);
    assert_string_equal(text, "counter  native\n"
                              "walks     1,234\n"
                              "---------------\n"
                              "h\xc3\xb6he          7\n");
    free(text);
}

static void print_wide_table(FILE *out)
{
    char long_text[160];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    static const bool numeric[] = { false, true, false };
    struct nw_cli_table *t = nw_cli_table_new((const char *const[]){ "a", "b", "c" }, numeric, 3);
    nw_cli_table_row(t, (const char *const[]){ long_text, "123456789012345678901234567890", long_text });
    nw_cli_table_print(t, out);
}

static void table__text_gives_way_to_100_columns_but_numbers_do_not(void **state)
{
    (void)state;
    char *text = written(print_wide_table);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 100);
    free(text);
    text = written(print_wide_table);
    assert_non_null(strstr(text, "123456789012345678901234567890"));
    assert_non_null(strstr(text, "xxx..."));
    free(text);
}

static void print_filled(FILE *out)
{
    nw_cli_wrap(out, "one two\nthree four five\n  a  picture\nsix\n\nseven", 2, 0, 14);
}

static void text__is_filled_but_indented_lines_are_kept(void **state)
{
    (void)state;
    char *text = written(print_filled);
    assert_string_equal(text, "  one two\n"
                              "  three four\n"
                              "  five\n"
                              "    a  picture\n"
                              "  six\n"
                              "\n"
                              "  seven\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options__long_and_short_forms_mean_the_same),
        cmocka_unit_test(options__arguments_stand_anywhere_and_all_behind_two_dashes),
        cmocka_unit_test(options__wrong_usage_is_status_2),
        cmocka_unit_test(numbers__suffixes_are_powers_of_1024),
        cmocka_unit_test(numbers__reals_are_finite_and_whole_words),
        cmocka_unit_test(suggestions__distance_counts_slips),
        cmocka_unit_test(suggestions__another_word_is_not_suggested),
        cmocka_unit_test(table__aligns_numbers_right_and_counts_characters),
        cmocka_unit_test(table__text_gives_way_to_100_columns_but_numbers_do_not),
        cmocka_unit_test(text__is_filled_but_indented_lines_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
