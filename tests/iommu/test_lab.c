/* The lab of broken configurations (lab.h): every rule fires on its broken inputs, alone, and on no sound one; no rule is without. */
#include "lab_amdvi.h"
#include "lab_changes.h"
#include "lab_dmar.h"
#include "lab_habits.h"
#include "lab_image.h"
#include "lab_isolation.h"
#include "lab_ivrs.h"
#include "lab_machine.h"
#include "lab_paging.h"
#include "lab_texts.h"

static const struct {
    const char *name;
    const struct lab_case *at;
    size_t count;
} lab_tables[] = {
    { "lab_dmar", lab_dmar, NW_ARRAY_LEN(lab_dmar) },
    { "lab_image", lab_image, NW_ARRAY_LEN(lab_image) },
    { "lab_isolation", lab_isolation, NW_ARRAY_LEN(lab_isolation) },
    { "lab_ivrs", lab_ivrs, NW_ARRAY_LEN(lab_ivrs) },
    { "lab_machine", lab_machine, NW_ARRAY_LEN(lab_machine) },
    { "lab_texts", lab_texts, NW_ARRAY_LEN(lab_texts) },
    { "lab_paging", lab_paging, NW_ARRAY_LEN(lab_paging) },
    { "lab_amdvi", lab_amdvi, NW_ARRAY_LEN(lab_amdvi) },
    { "lab_changes", lab_changes, NW_ARRAY_LEN(lab_changes) },
};

/* A table's findings, and its facts as those of `input`. */
static void judge_table(const struct lab_case *c, void (*build)(struct builder *b, bool broken), bool broken,
                        unsigned input, struct nw_dump *d, struct nw_iommu_findings *found)
{
    static struct builder built; /* too large for the stack */
    struct nw_acpi_file file;
    size_t structures;
    build(&built, broken);
    if (!c->sealed)
        finish(&built);
    must(nw_acpi_load(built.byte, built.size, "built", &file, err));
    assert_int_equal(file.count + file.madts, 1);
    const struct nw_acpi_table *table = file.count ? &file.table[0] : &file.madt[0];
    must(nw_iommu_check_table(table, found, &structures, err));
    must(nw_dump_add_table(d, table, input, err));
    nw_acpi_file_fini(&file);
}

/* text[0] with its first `from` replaced; free() it. NULL: `from` is not in it. */
static char *broken_text(const struct lab_case *c)
{
    const char *const text = c->text[0], *const at = c->from ? strstr(text, c->from) : text;
    const size_t size = strlen(text) + (c->to ? strlen(c->to) : 0) + 1;
    char *out = at ? malloc(size) : NULL;
    if (out)
        snprintf(out, size, "%.*s%s%s", (int)(at - text), text, c->from ? c->to : "",
                 at + (c->from ? strlen(c->from) : 0));
    return out;
}

static void add_texts(const struct lab_case *c, bool broken, struct nw_dump *d)
{
    char *changed = broken ? broken_text(c) : NULL;
    if (broken && !changed)
        fail_msg("%s: the text to change, \"%s\", is not there", c->rule, c->from);
    size_t items;
    for (unsigned i = 0; i < LAB_TEXTS && c->text[i]; i++) {
        const char *text = changed && !i ? changed : c->text[i];
        must(nw_dump_add(d, text, strlen(text), "text", i, &items, err));
        assert_true(items > 0);
    }
    free(changed);
}

static void judge(const struct lab_case *c, bool broken, struct nw_iommu_findings *found)
{
    struct nw_dump d = { .has_dmar = false };
    if (c->build)
        judge_table(c, c->build, broken, LAB_TEXTS, &d, found);
    if (c->madt)
        judge_table(c, c->madt, broken, LAB_TEXTS + 1, &d, found);
    if (c->text[0])
        add_texts(c, broken, &d);
    for (unsigned i = 0; i < LAB_TEXTS + 2; i++)
        must(nw_iommu_check_dump(&d, i, found, err));
    if (c->judge)
        c->judge(broken, found);
    nw_dump_fini(&d);
}

/* How often it is not as it should be; said on stderr. */
static unsigned check_case(const char *lab, size_t index, const struct lab_case *c, bool broken)
{
    struct nw_iommu_findings found = { 0 };
    bool fired = false;
    unsigned wrong = 0;
    judge(c, broken, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct nw_iommu_finding *f = &found.at[i];
        const bool own = !strcmp(f->rule->id, c->rule);
        fired |= own;
        assert_true(*f->where && *f->detail && f->severity <= f->rule->severity);
        if (own && c->severity && strcmp(nw_iommu_severity_name(f->severity), c->severity) != 0) {
            wrong++;
            print_error("%s[%zu] of %s: the severity is %s, not %s\n", lab, index, c->rule,
                        nw_iommu_severity_name(f->severity), c->severity);
        }
        if ((own && broken) || (!own && c->besides && strstr(c->besides, f->rule->id)))
            continue;
        wrong++;
        print_error("%s[%zu] of %s, %s: %s at %s: %s\n", lab, index, c->rule, broken ? "broken" : "sound", f->rule->id,
                    f->where, f->detail);
    }
    if (broken && !fired) {
        wrong++;
        print_error("%s[%zu]: %s does not fire\n", lab, index, c->rule);
    }
    nw_iommu_findings_fini(&found);
    return wrong;
}

static void cases__fire_their_rule_and_no_other(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t n = 0; n < NW_ARRAY_LEN(lab_tables); n++)
        for (size_t i = 0; i < lab_tables[n].count; i++) {
            if (!nw_iommu_rule_find(lab_tables[n].at[i].rule))
                fail_msg("%s[%zu]: there is no rule %s", lab_tables[n].name, i, lab_tables[n].at[i].rule);
            wrong += check_case(lab_tables[n].name, i, &lab_tables[n].at[i], false);
            wrong += check_case(lab_tables[n].name, i, &lab_tables[n].at[i], true);
        }
    assert_int_equal(wrong, 0);
}

static void habits__of_firmware_are_at_most_info(void **state)
{
    (void)state;
    for (size_t n = 0; n < NW_ARRAY_LEN(lab_habits); n++) {
        static struct builder built; /* too large for the stack */
        struct nw_iommu_findings found = { 0 };
        struct nw_acpi_file file;
        size_t structures;
        lab_habits[n](&built);
        finish(&built);
        must(nw_acpi_load(built.byte, built.size, "built", &file, err));
        must(nw_iommu_check_table(&file.table[0], &found, &structures, err));
        for (size_t i = 0; i < found.count; i++)
            if (found.at[i].severity > NW_IOMMU_INFO)
                fail_msg("habit %zu: %s at %s: %s", n, found.at[i].rule->id, found.at[i].where, found.at[i].detail);
        nw_iommu_findings_fini(&found);
        nw_acpi_file_fini(&file);
    }
}

static void rules__every_one_has_a_case(void **state)
{
    (void)state;
    unsigned without = 0;
    for (size_t r = 0; r < nw_iommu_rule_count; r++) {
        bool has = false;
        for (size_t n = 0; n < NW_ARRAY_LEN(lab_tables); n++)
            for (size_t i = 0; i < lab_tables[n].count; i++)
                has |= !strcmp(lab_tables[n].at[i].rule, nw_iommu_rules[r].id);
        if (!has)
            print_error("%s (%s) has no case in the lab\n", nw_iommu_rules[r].id, nw_iommu_rules[r].title);
        without += !has;
    }
    assert_int_equal(without, 0);
}

static void rules__every_one_has_its_texts(void **state)
{
    (void)state;
    assert_true(nw_iommu_rule_count >= 50);
    for (size_t r = 0; r < nw_iommu_rule_count; r++) {
        const struct nw_iommu_rule *rule = &nw_iommu_rules[r];
        assert_ptr_equal(nw_iommu_rule_find(rule->id), rule); /* no id stands twice */
        if (!*rule->title || !*rule->what || !*rule->why || !*rule->source || !*rule->remedy)
            fail_msg("%s lacks a text", rule->id);
    }
    assert_null(nw_iommu_rule_find("D99"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases__fire_their_rule_and_no_other),
        cmocka_unit_test(habits__of_firmware_are_at_most_info),
        cmocka_unit_test(rules__every_one_has_a_case),
        cmocka_unit_test(rules__every_one_has_its_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
