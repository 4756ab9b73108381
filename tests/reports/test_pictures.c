#include "reports/fixture.h"
#include <nestwalk/reports/draw.h>
#include <nestwalk/reports/html.h>

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
        n++;
    return n;
}

static char *draw_walk(const struct nw_explanation *x)
{
    char *dot = NULL;
    struct nw_error err = { 0 };
    if (nw_draw_walk(x, &dot, &err))
        fail_msg("%s", err.text);
    return dot;
}

static char *draw_svg(const char *dot)
{
    char *svg = NULL;
    struct nw_error err = { 0 };
    if (nw_draw_svg(dot, &svg, &err))
        fail_msg("%s", err.text);
    return svg;
}

static void walk__every_reference_is_in_the_picture(void **state)
{
    (void)state;
    for (int nested = 0; nested < 2; nested++)
        for (int skipping = 0; skipping < 2; skipping++) {
            struct nw_explanation x = fixture_walk(nested, skipping);
            char *dot = draw_walk(&x), *svg = draw_svg(dot), number[32];
            assert_int_equal(x.reference_count, nested ? 24 : 4);
            for (unsigned i = 1; i <= x.reference_count; i++) {
                snprintf(number, sizeof number, "<title>r%u</title>", i);
                if (count_of(svg, number) != 1)
                    fail_msg("reference %u is not drawn once", i);
            }
            assert_int_equal(count_of(svg, "class=\"edge\""), x.reference_count + 1);
            assert_int_equal(count_of(svg, "skipped"), x.reference_count - x.references);
            assert_memory_equal(svg, "<svg", 4);
            free(dot);
            free(svg);
            free(x.reference);
        }
}

static void walk__rows_are_levels_and_columns_are_guest_steps(void **state)
{
    (void)state;
    struct nw_explanation x = fixture_walk(true, false);
    char *dot = draw_walk(&x);
    /* reference 1 is the top of column 0, 5 the guest's entry below it, 6 the top of column 1, 24 above the data */
    assert_non_null(strstr(dot, "r1 [pos=\"0,224\""));
    assert_non_null(strstr(dot, "r5 [pos=\"0,0\""));
    assert_non_null(strstr(dot, "r6 [pos=\"126,224\""));
    assert_non_null(strstr(dot, "r24 [pos=\"504,56\""));
    assert_non_null(strstr(dot, "data [pos=\"504,0\""));
    free(dot);
    free(x.reference);
}

static void walk__a_fault_is_drawn_as_its_outcome(void **state)
{
    (void)state;
    struct nw_explanation x = fixture_walk(true, false);
    strcpy(x.outcome, "page fault: \"not present\"\\");
    x.page_bytes = 0;
    x.reference_count = 5;
    char *dot = draw_walk(&x), *svg = draw_svg(dot);
    assert_non_null(strstr(svg, "not present"));
    assert_null(strstr(svg, "data at"));
    x.reference_count = 0; /* not even a first reference */
    free(dot);
    free(svg);
    dot = draw_walk(&x);
    svg = draw_svg(dot);
    free(dot);
    free(svg);
    free(x.reference);
}

static void tree__neighbouring_pages_are_one_node(void **state)
{
    (void)state;
    struct nw_tree t = fixture_tree();
    char *dot = NULL;
    struct nw_error err = { 0 };
    assert_int_equal(nw_draw_tree(&t, "a \"title\"", &dot, &err), NW_OK);
    assert_non_null(strstr(dot, "PTE 0 to 2: 3 pages of 4 KiB"));
    assert_non_null(strstr(dot, "PTE 10: page of 4 KiB"));
    assert_int_equal(count_of(dot, "label="), 7); /* title, root, three tables, two groups of pages */
    char *svg = draw_svg(dot);
    assert_non_null(strstr(svg, "a &quot;title&quot;"));
    free(svg);
    free(dot);
    free(t.node);
}

static void tree__a_wide_table_is_cut_and_says_so(void **state)
{
    (void)state;
    struct nw_tree t = { .node_count = 40, .levels = 1, .node = calloc(40, sizeof *t.node), .truncated = true };
    for (unsigned i = 0; i < t.node_count; i++) /* every second page: no two are neighbours */
        t.node[i] = (struct nw_tree_node){ i, 0, true, 16 * i, 1, 8192 * i, 4096 };
    char *dot = NULL;
    struct nw_error err = { 0 };
    assert_int_equal(nw_draw_tree(&t, NULL, &dot, &err), NW_OK);
    assert_non_null(strstr(dot, "and 28 more entries"));
    assert_non_null(strstr(dot, "the first entries only"));
    free(dot);
    free(t.node);
}

static void svg__what_is_no_dot_is_an_error_not_a_message(void **state)
{
    (void)state;
    char *svg = NULL;
    struct nw_error err = { 0 };
    assert_int_equal(nw_draw_svg("digraph { a -> ", &svg, &err), NW_ERR_INPUT);
    assert_non_null(strstr(err.text, "syntax error"));
    assert_null(svg);
}

static void explanation__json_has_the_keys_of_the_reference(void **state)
{
    (void)state;
    static const char *const key[] = { "gva",
                                       "outcome",
                                       "references",
                                       "n",
                                       "dimension",
                                       "level",
                                       "address",
                                       "entry",
                                       "found_in",
                                       "cycles",
                                       "skipped_by",
                                       "totals",
                                       "references_guest",
                                       "references_nested" };
    struct nw_explanation x = fixture_walk(true, true);
    struct nw_config config;
    struct nw_error err = { 0 };
    char *text, quoted[64];
    nw_config_init(&config);
    assert_int_equal(nw_explanation_json_text(&x, NULL, &config, &text, &err), NW_OK);
    for (size_t i = 0; i < NW_ARRAY_LEN(key); i++) {
        snprintf(quoted, sizeof quoted, "\"%s\":", key[i]);
        if (!strstr(text, quoted))
            fail_msg("the JSON lacks %s", quoted);
    }
    assert_int_equal(count_of(text, "\"dimension\": \"nested\""), 20);
    assert_int_equal(count_of(text, "\"dimension\": \"guest\""), 4);
    assert_int_equal(count_of(text, "\"skipped_by\": \"psc.guest_pdpte\""), 5);
    assert_non_null(strstr(text, "\"entry\": \"0x8000000001234067\""));
    free(text);
    nw_config_fini(&config);
    free(x.reference);
}

/* A page of everything there is. */
static char *make_page(void)
{
    struct nw_run runs[] = { fixture_run(false), fixture_run(true) };
    strcpy(runs[1].label, "</script><b>&");
    struct nw_explanation x = fixture_walk(true, true);
    struct nw_tree tree = fixture_tree();
    struct nw_page_walk walk = { "nested <walk>", "caption & more", &x };
    struct nw_page_tree trees = { "tree", "caption", &tree };
    struct nw_page page = {
        .runs = runs, .run_count = 2, .walk = &walk, .walk_count = 1, .tree = &trees, .tree_count = 1
    };
    struct nw_error err = { 0 };
    char *html = NULL;
    if (nw_report_html(&page, &html, &err))
        fail_msg("%s", err.text);
    nw_run_fini(runs);
    nw_run_fini(runs + 1);
    free(x.reference);
    free(tree.node);
    return html;
}

static void page__refers_to_nothing_outside_itself(void **state)
{
    (void)state;
    char *html = make_page();
    static const char *const reference[] = {
        " src=", "href=\"http", "href=\"/", "@import", "url(", "<iframe", "<object"
    };
    const char *chart = strstr(html, "Chart.js v"), *after = chart ? strstr(chart, "</script>") : NULL;
    assert_non_null(after);
    for (size_t i = 0; i < NW_ARRAY_LEN(reference); i++)
        for (const char *p = html; (p = strstr(p, reference[i])) != NULL; p++)
            if (p < chart || p > after) /* the library's own text is a program, not markup */
                fail_msg("%s: %.60s", reference[i], p);
    assert_non_null(strstr(html, "default-src 'none'"));
    free(html);
}

static void page__every_slot_of_the_template_is_filled(void **state)
{
    (void)state;
    char *html = make_page();
    for (const char *p = html; (p = strstr(p, "{{")) != NULL; p++) {
        size_t name = strspn(p + 2, "abcdefghijklmnopqrstuvwxyz_");
        if (name && !strncmp(p + 2 + name, "}}", 2))
            fail_msg("unfilled: %.*s", (int)name + 4, p);
    }
    free(html);
}

static void page__names_cannot_become_markup(void **state)
{
    (void)state;
    char *html = make_page();
    assert_int_equal(count_of(html, "<b>"), 0);
    assert_true(count_of(html, "&lt;/script&gt;&lt;b&gt;&amp;") > 0);
    assert_int_equal(count_of(html, "</script>"), 3); /* data, library, charts */
    assert_non_null(strstr(html, "\"\\u003c/script>\\u003cb>&\""));
    free(html);
}

static void page__is_the_same_bytes_each_time(void **state)
{
    (void)state;
    char *a = make_page(), *b = make_page();
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static void page__tells_where_values_come_from(void **state)
{
    (void)state;
    char *html = make_page();
    assert_non_null(strstr(html, "a &quot;quoted&quot;, &lt;b&gt;odd&lt;/b&gt; source"));
    assert_non_null(strstr(html, "walk: page-table lines compete in the modelled caches"));
    assert_non_null(strstr(html, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    free(html);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walk__every_reference_is_in_the_picture),
        cmocka_unit_test(walk__rows_are_levels_and_columns_are_guest_steps),
        cmocka_unit_test(walk__a_fault_is_drawn_as_its_outcome),
        cmocka_unit_test(tree__neighbouring_pages_are_one_node),
        cmocka_unit_test(tree__a_wide_table_is_cut_and_says_so),
        cmocka_unit_test(svg__what_is_no_dot_is_an_error_not_a_message),
        cmocka_unit_test(explanation__json_has_the_keys_of_the_reference),
        cmocka_unit_test(page__refers_to_nothing_outside_itself),
        cmocka_unit_test(page__every_slot_of_the_template_is_filled),
        cmocka_unit_test(page__names_cannot_become_markup),
        cmocka_unit_test(page__is_the_same_bytes_each_time),
        cmocka_unit_test(page__tells_where_values_come_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
