/* Several checks as one document and one page, from documents that are made up. */
#include <nestwalk/reports/validation.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static struct nw_error error;
static const char
    holding[] =
        "{\"holds\": true, \"regimes\": [{\"name\": \"small\", \"points\": 3, \"median_error_percent\": 1.25, "
        "\"max_error_percent\": 4, \"claim\": \"within 5 % & <less>\", \"holds\": true}], \"points\": [1, 2, 3]}",
    missing[] = "{\"holds\": false, \"regimes\": [{\"name\": \"large\", \"points\": 2, \"median_error_percent\": 30, "
                "\"max_error_percent\": null, \"claim\": \"within 10 %\", \"holds\": false},"
                "{\"name\": \"told only\", \"points\": 1, \"claim\": \"\", \"holds\": true}]}";
static const struct nw_validated checks[] = {
    { .name = "one",
      .summary = "the <first>",
      .result = NW_VALIDATED_HOLDS,
      .document = holding,
      .file = { "one.html", "one.json" } },
    { .name = "two", .summary = "the second", .result = NW_VALIDATED_MISSED, .document = missing },
    { .name = "three", .summary = "the third", .result = NW_VALIDATED_NOT_CHECKED, .reason = "no /dev/kvm & no way" },
    { .name = "four", .summary = "the fourth", .result = NW_VALIDATED_FAILED, .reason = "a file is full" },
};

static void verdict__something_holds_and_nothing_is_missed(void **state)
{
    (void)state;
    assert_true(nw_validation_holds(checks, 1));
    assert_false(nw_validation_holds(checks, 2));
    assert_false(nw_validation_holds(checks + 1, 1));
    assert_false(nw_validation_holds(checks + 2, 1)); /* nothing was checked */
    const struct nw_validated skipped[] = { checks[2], checks[0] }, failed[] = { checks[0], checks[3] };
    assert_true(nw_validation_holds(skipped, 2));
    assert_false(nw_validation_holds(failed, 2));
}

static void json__has_every_regime_and_every_document(void **state)
{
    (void)state;
    char *text;
    assert_int_equal(nw_validation_json_text(checks, 4, &text, &error), NW_OK);
    json_t *root = json_loads(text, 0, NULL);
    const json_t *regimes = json_object_get(root, "regimes"), *rows = json_object_get(root, "checks");
    assert_true(json_is_false(json_object_get(root, "holds")));
    assert_true(json_array_size(regimes) == 3 && json_array_size(rows) == 4);
    const json_t *large = json_array_get(regimes, 1);
    assert_string_equal(json_string_value(json_object_get(large, "check")), "two");
    assert_string_equal(json_string_value(json_object_get(large, "name")), "large");
    assert_true(json_number_value(json_object_get(large, "median_error_percent")) == 30);
    const json_t *document = json_object_get(json_array_get(rows, 0), "document");
    json_t *own = json_loads(holding, 0, NULL);
    assert_true(json_equal(document, own));
    json_decref(own);
    const json_t *third = json_array_get(rows, 2);
    assert_true(json_is_null(json_object_get(third, "document")));
    assert_string_equal(json_string_value(json_object_get(third, "result")), "not checked");
    assert_string_equal(json_string_value(json_object_get(third, "reason")), "no /dev/kvm & no way");
    json_decref(root);
    free(text);
}

static void page__says_what_holds_what_does_not_and_why_not(void **state)
{
    (void)state;
    char *text;
    assert_int_equal(nw_validation_html_text(checks, 4, "a <machine>", &text, &error), NW_OK);
    static const char *const has[] = { "Not everything holds",
                                       "a &lt;machine&gt;",
                                       "<a href=\"one.html\">one.html</a>, <a href=\"one.json\">one.json</a>",
                                       "the &lt;first&gt;",
                                       "<tr><td>small</td><td>3</td><td>1.2 %</td><td>4.0 %</td><td>within 5 % &amp; "
                                       "&lt;less&gt;</td><td>yes</td></tr>",
                                       "<tr><td>large</td><td>2</td><td>30.0 %</td><td></td><td>within 10 %</td><td>"
                                       "<strong>no</strong></td></tr>",
                                       "<td>told only</td><td>1</td><td></td><td></td><td></td><td></td>",
                                       "no /dev/kvm &amp; no way",
                                       "<h2>four: failed</h2>" };
    for (size_t i = 0; i < sizeof has / sizeof *has; i++)
        if (!strstr(text, has[i]))
            fail_msg("the page lacks: %s", has[i]);
    assert_null(strstr(text, "<less>"));
    free(text);
    assert_int_equal(nw_validation_html_text(checks, 1, "m", &text, &error), NW_OK);
    assert_non_null(strstr(text, "What could be checked holds"));
    free(text);
}

static void document__that_is_none_is_an_error(void **state)
{
    (void)state;
    const struct nw_validated broken = { .name = "one", .summary = "", .result = NW_VALIDATED_HOLDS, .document = "{" };
    char *text;
    assert_int_equal(nw_validation_json_text(&broken, 1, &text, &error), NW_ERR_INTERNAL);
    assert_int_equal(nw_validation_html_text(&broken, 1, "m", &text, &error), NW_ERR_INTERNAL);
    assert_non_null(strstr(error.text, "document of one"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(verdict__something_holds_and_nothing_is_missed),
                                        cmocka_unit_test(json__has_every_regime_and_every_document),
                                        cmocka_unit_test(page__says_what_holds_what_does_not_and_why_not),
                                        cmocka_unit_test(document__that_is_none_is_an_error) };
    return cmocka_run_group_tests_name("several checks", tests, NULL, NULL);
}
