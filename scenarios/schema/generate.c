/* generate.c - completes a schema template from the table of parameters; runs while nestwalk is built.
 *
 *     nestwalk-schema TEMPLATE >SCHEMA
 *
 * A template line `<?nestwalk attributes GROUP [skip NAME...] [require NAME...]?>` becomes an attribute for each parameter GROUP.*,
 * of one machine's table or of the one of several guests;
 * `<?nestwalk elements machine?>` becomes the element tree of all machine parameters. Other lines are copied. */
#include "../profile_shape.h"
#include <nestwalk/sim/config.h>
#include <nestwalk/sim/vms.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_MAX_ = 128 };

static void put(int indent, const char *format, ...) NW_PRINTF(2, 3);
static void put(int indent, const char *format, ...)
{
    printf("%*s", indent, "");
    va_list ap;
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
}

static void put_escaped(const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            fputs("&amp;", stdout);
        else if (*text == '<')
            fputs("&lt;", stdout);
        else
            putchar(*text);
    }
}

static void put_bound(const struct nw_param *p, double v)
{
    if (p->type != NW_PARAM_REAL && v >= 4096 && v == (double)(unsigned long long)v) {
        unsigned long long n = (unsigned long long)v;
        int suffix = 0;
        while (!(n & 1023) && suffix < 5) {
            n >>= 10;
            suffix++;
        }
        if (suffix) {
            printf("%llu%c", n, "KMGTP"[suffix - 1]);
            return;
        }
    }
    printf("%.10g", v);
}

static void put_doc(int indent, const struct nw_param *p)
{
    printf("%*s<xs:annotation><xs:documentation>", indent, "");
    put_escaped(p->doc);
    if (p->type == NW_PARAM_COUNT || p->type == NW_PARAM_BYTES || p->type == NW_PARAM_REAL) {
        fputs(". From ", stdout);
        put_bound(p, p->min);
        fputs(" to ", stdout);
        put_bound(p, p->max);
        if (p->unit[0]) {
            putchar(' ');
            put_escaped(p->unit);
        }
    }
    if (p->initial[0]) {
        fputs("; default ", stdout);
        put_escaped(p->initial);
    }
    puts(".</xs:documentation></xs:annotation>");
}

static void put_enumeration(int indent, const char *const *choices)
{
    put(indent, "<xs:restriction base=\"xs:token\">");
    for (; *choices; choices++)
        put(indent + 2, "<xs:enumeration value=\"%s\"/>", *choices);
    put(indent, "</xs:restriction>");
}

/* Ranges of numbers stay with the table: XSD has no type for "512M". */
static void put_attribute(int indent, const char *name, const struct nw_param *p, bool required)
{
    static const char *const bools[] = { "0", "1", "false", "true", NULL };
    const char *use = required ? " use=\"required\"" : "";
    bool enumerated = p->type == NW_PARAM_BOOL || p->type == NW_PARAM_CHOICE || p->type == NW_PARAM_SET;
    put(indent, "<xs:attribute name=\"%s\"%s%s>", name,
        enumerated                 ? ""
        : p->type == NW_PARAM_TEXT ? " type=\"xs:string\""
                                   : " type=\"text\"",
        use);
    put_doc(indent + 2, p);
    if (enumerated) {
        put(indent + 2, "<xs:simpleType>");
        if (p->type == NW_PARAM_SET)
            put(indent + 2, "<xs:list><xs:simpleType>");
        put_enumeration(indent + 4, p->type == NW_PARAM_BOOL ? bools : p->choices);
        if (p->type == NW_PARAM_SET)
            put(indent + 2, "</xs:simpleType></xs:list>");
        put(indent + 2, "</xs:simpleType>");
    }
    put(indent, "</xs:attribute>");
}

/* Whether `name` is in the list that follows `keyword` in the instruction. */
static bool listed(const char *instruction, const char *keyword, const char *name)
{
    const char *list = strstr(instruction, keyword);
    if (!list)
        return false;
    for (const char *at = list + strlen(keyword); *at && *at != '?';) {
        size_t space = strspn(at, " "), length = strcspn(at + space, " ?");
        at += space;
        if (!strncmp(at, "skip", length) || !strncmp(at, "require", length))
            return false;
        if (length == strlen(name) && !strncmp(at, name, length))
            return true;
        at += length;
    }
    return false;
}

static void put_group(const char *instruction, const char *group, int indent, const struct nw_param *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(group);
        if (strncmp(p[i].path, group, n) || p[i].path[n] != '.')
            continue;
        char name[PATH_MAX_];
        snprintf(name, sizeof name, "%s", p[i].path + n + 1);
        nw_profile_swap_chars(name, '_', '-');
        if (!listed(instruction, " skip", name))
            put_attribute(indent, name, &p[i], listed(instruction, " require", name));
    }
}

static void put_attributes(const char *instruction, int indent)
{
    char group[32];
    if (sscanf(instruction, "attributes %31[a-z]", group) != 1)
        exit(1);
    size_t count;
    const struct nw_param *p = nw_params(&count);
    put_group(instruction, group, indent, p, count);
    p = nw_vms_params(&count);
    put_group(instruction, group, indent, p, count);
}

/* Path of a machine parameter below the root; NULL for the others and for the profile's own name, an attribute of the root. */
static const char *path_in_profile(const struct nw_param *p)
{
    size_t n = strlen(NW_PROFILE_ROOT ".");
    if (p->group != NW_GROUP_MACHINE || !strcmp(p->path, "machine.name"))
        return NULL;
    return strncmp(p->path, NW_PROFILE_ROOT ".", n) ? p->path : p->path + n;
}

static void put_elements(const char *prefix, int indent);

static void put_element(const char *prefix, const char *component, const struct nw_param *p, bool leaf, int indent)
{
    char name[PATH_MAX_], below[2 * PATH_MAX_], container[PATH_MAX_];
    snprintf(container, sizeof container, "%.*s", (int)strcspn(prefix, "."), prefix);
    const char *named = strcmp(component, "*") ? NULL : nw_profile_named_element(container);
    snprintf(name, sizeof name, "%s", named ? named : component);
    nw_profile_swap_chars(name, '_', '-');
    put(indent, "<xs:element name=\"%s\">", name);
    put(indent + 2, "<xs:complexType>");
    if (leaf) {
        put_attribute(indent + 4, "value", p, true);
        put(indent + 4, "<xs:attributeGroup ref=\"sourced\"/>");
    } else {
        put(indent + 4, "<xs:choice minOccurs=\"0\" maxOccurs=\"unbounded\">");
        snprintf(below, sizeof below, "%s%s.", prefix, component);
        put_elements(below, indent + 6);
        put(indent + 4, "</xs:choice>");
        if (named)
            put(indent + 4, "<xs:attribute name=\"name\" type=\"text\" use=\"required\"/>");
    }
    put(indent + 2, "</xs:complexType>");
    put(indent, "</xs:element>");
}

/* The elements whose paths start with `prefix`, each distinct next component once, in the table's order. */
static void put_elements(const char *prefix, int indent)
{
    size_t count, n = strlen(prefix);
    const struct nw_param *p = nw_params(&count);
    for (size_t i = 0; i < count; i++) {
        const char *path = path_in_profile(&p[i]);
        if (!path || strncmp(path, prefix, n))
            continue;
        size_t length = strcspn(path + n, ".");
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            const char *earlier = path_in_profile(&p[j]);
            seen =
                earlier && !strncmp(earlier, path, n + length) && (!earlier[n + length] || earlier[n + length] == '.');
        }
        if (seen)
            continue;
        char component[PATH_MAX_];
        snprintf(component, sizeof component, "%.*s", (int)length, path + n);
        put_element(prefix, component, &p[i], !path[n + length], indent);
    }
}

int main(int argc, char **argv)
{
    FILE *template = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!template) {
        fprintf(stderr, "usage: nestwalk-schema TEMPLATE >SCHEMA\n");
        return 2;
    }
    static const char marker[] = "<?nestwalk ";
    char line[4096];
    while (fgets(line, sizeof line, template)) {
        if (strncmp(line, marker, strlen(marker)))
            fputs(line, stdout);
        else if (strstr(line, "elements"))
            put_elements("", 8);
        else
            put_attributes(line + strlen(marker), 12);
    }
    bool bad = ferror(template);
    fclose(template);
    return bad || fflush(stdout) || ferror(stdout) ? 1 : 0;
}
