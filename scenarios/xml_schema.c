/* xml_schema.c - validation, and saying what the schema would have allowed.
 *
 * libxml2 says what is wrong; what is allowed instead is looked up in the schema's own tree, which is the only list there is. */
#include "embedded.h"
#include "nearest.h"
#include "xml_file.h"
#include <libxml/parser.h>
#include <libxml/xmlschemas.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char xsi_namespace[] = "http://www.w3.org/2001/XMLSchema-instance";

static bool named(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name);
}

/* Whether attribute `name` of `n` has this value; compares without a copy. */
static bool has(const xmlNode *n, const char *name, const char *value)
{
    xmlAttr *a = xmlHasProp(n, (const xmlChar *)name);
    return a && a->children && a->children->content && !strcmp((const char *)a->children->content, value);
}

static const char *name_of(const xmlNode *n)
{
    xmlAttr *a = xmlHasProp(n, (const xmlChar *)"name");
    return a && a->children && a->children->content ? (const char *)a->children->content : NULL;
}

/* ---- what the schema allows ---- */

typedef void (*declaration_fn)(void *context, const xmlNode *declaration);

static const xmlNode *top_level(const xmlNode *schema, const char *kind, const xmlNode *by, const char *reference)
{
    xmlAttr *a = xmlHasProp(by, (const xmlChar *)reference);
    for (const xmlNode *n = nw_xml_first(schema); a && n; n = nw_xml_next(n))
        if (named(n, kind) && has(n, "name", (const char *)a->children->content))
            return n;
    return NULL;
}

/* Calls fn for each `kind` ("element", "attribute") declared directly inside `declaration`, through types and groups. */
static void each_declared(const xmlNode *schema, const xmlNode *declaration, const char *kind, declaration_fn fn,
                          void *context)
{
    if (named(declaration, "element") || named(declaration, "extension")) {
        const xmlNode *type =
            top_level(schema, "complexType", declaration, named(declaration, "element") ? "type" : "base");
        if (type)
            each_declared(schema, type, kind, fn, context);
    }
    for (const xmlNode *n = nw_xml_first(declaration); n; n = nw_xml_next(n)) {
        if (named(n, kind)) {
            fn(context, n);
        } else if (named(n, "attributeGroup") && xmlHasProp(n, (const xmlChar *)"ref")) {
            const xmlNode *group = top_level(schema, "attributeGroup", n, "ref");
            if (group)
                each_declared(schema, group, kind, fn, context);
        } else if (!named(n, "element") && !named(n, "attribute")) {
            each_declared(schema, n, kind, fn, context);
        }
    }
}

struct name_search {
    const char *name;
    const xmlNode *found;
};

static void match_name(void *context, const xmlNode *declaration)
{
    struct name_search *search = context;
    if (!search->found && has(declaration, "name", search->name))
        search->found = declaration;
}

/* The declaration of an element of the document, found along its ancestors; NULL when one of them is not declared. */
static const xmlNode *declaration_of(const xmlNode *schema, const xmlNode *element)
{
    const xmlNode *scope = schema;
    if (element->parent && element->parent->type == XML_ELEMENT_NODE)
        scope = declaration_of(schema, element->parent);
    if (!scope)
        return NULL;
    struct name_search search = { .name = (const char *)element->name };
    each_declared(schema, scope, "element", match_name, &search);
    return search.found;
}

enum { CHOICES_MAX = 64 };
struct choices {
    const char *name[CHOICES_MAX];
    size_t count;
};

static void add_choice(void *context, const xmlNode *declaration)
{
    struct choices *c = context;
    const char *name = name_of(declaration);
    if (name && c->count < CHOICES_MAX)
        c->name[c->count++] = name;
}

static void add_enumerations(struct choices *c, const xmlNode *n)
{
    if (named(n, "enumeration") && c->count < CHOICES_MAX) {
        xmlAttr *a = xmlHasProp(n, (const xmlChar *)"value");
        if (a && a->children)
            c->name[c->count++] = (const char *)a->children->content;
    }
    for (const xmlNode *k = nw_xml_first(n); k; k = nw_xml_next(k))
        add_enumerations(c, k);
}

static void choices_of_value(struct choices *c, const xmlNode *schema, const xmlNode *element, const char *attribute)
{
    const xmlNode *declaration = declaration_of(schema, element);
    struct name_search search = { .name = attribute };
    if (declaration)
        each_declared(schema, declaration, "attribute", match_name, &search);
    if (!search.found)
        return;
    const xmlNode *type = top_level(schema, "simpleType", search.found, "type");
    add_enumerations(c, type ? type : search.found);
}

/* "; did you mean X? Allowed: A, B, C" */
static void list_choices(const struct choices *c, const char *wrong, char *out, size_t size)
{
    const char *nearest = wrong ? nw_nearest_name(wrong, c->name, c->count) : NULL;
    int used = 0;
    out[0] = 0;
    if (nearest)
        used = snprintf(out, size, "; did you mean \"%s\"?", nearest);
    for (size_t i = 0; i < c->count && (size_t)used < size; i++)
        used += snprintf(out + used, size - (size_t)used, "%s%s",
                         i         ? ", "
                         : nearest ? " Allowed: "
                                   : "; allowed: ",
                         c->name[i]);
    if (!c->count)
        snprintf(out, size, "; none is allowed there");
}

/* ---- errors ---- */

struct complaint {
    struct nw_xml *x;
    const xmlNode *schema; /* root of the schema's tree */
    struct nw_error *err;
    bool made;
};

/* The quoted word after `before` in one of libxml2's messages. */
static void quoted_after(const char *message, const char *before, char *out, size_t size)
{
    const char *at = strstr(message, before);
    out[0] = 0;
    if (at) {
        at += strlen(before);
        snprintf(out, size, "%.*s", (int)strcspn(at, "'"), at);
    }
}

/* libxml2's own sentence, without the element's name in front and without namespaces. */
static void own_sentence(const char *message, char *out, size_t size)
{
    const char *at = strstr(message, "': ");
    const char *attribute = strstr(message, "', attribute '");
    if (attribute && at == attribute)
        at = strstr(attribute + 3, "': ");
    at = at ? at + 3 : message;
    size_t used = 0;
    for (; *at && *at != '\n' && used + 1 < size; at++) {
        if (*at == '{' && !strncmp(at, "{urn:", 5))
            at += strcspn(at, "}");
        else
            out[used++] = *at;
        if (!*at)
            break;
    }
    while (used && (out[used - 1] == '.' || out[used - 1] == ' '))
        used--;
    out[used] = 0;
}

/* A sentence for a reader who has not read the XML Schema recommendation. */
static void plain_sentence(int code, const char *message, char *out, size_t size)
{
    static const struct {
        int code;
        const char *sentence;
    } plain[] = {
        { XML_SCHEMAV_CVC_MINLENGTH_VALID, "it must not be empty" },
        { XML_SCHEMAV_CVC_COMPLEX_TYPE_2_1, "this element is empty: neither text nor elements are allowed in it" },
        { XML_SCHEMAV_CVC_COMPLEX_TYPE_2_3, "text is not allowed in this element" },
    };
    for (size_t i = 0; i < NW_ARRAY_LEN(plain); i++)
        if (plain[i].code == code) {
            snprintf(out, size, "%s", plain[i].sentence);
            return;
        }
    own_sentence(message, out, size);
}

static void explain(struct complaint *c, const xmlNode *element, int code, const char *message)
{
    char allowed[600], attribute[80], sentence[400];
    struct choices choices = { .count = 0 };
    const xmlNode *declaration = declaration_of(c->schema, element);
    quoted_after(message, ", attribute '", attribute, sizeof attribute);
    plain_sentence(code, message, sentence, sizeof sentence);

    if (code == XML_SCHEMAV_CVC_COMPLEX_TYPE_3_2_1 && declaration) {
        each_declared(c->schema, declaration, "attribute", add_choice, &choices);
        list_choices(&choices, attribute, allowed, sizeof allowed);
        nw_xml_fail(c->x, element, attribute, c->err, NW_ERR_INPUT, "there is no attribute \"%s\"%s", attribute,
                    allowed);
    } else if (code == XML_SCHEMAV_CVC_COMPLEX_TYPE_4) {
        char missing[80];
        quoted_after(message, "The attribute '", missing, sizeof missing);
        choices_of_value(&choices, c->schema, element, missing);
        list_choices(&choices, NULL, allowed, sizeof allowed);
        const char *hint = !strcmp(missing, "source")
                               ? ": every value says where it is from (\"cpuid ...\", \"measured "
                                 "...\", a document, or \"assumed: reason\")"
                           : choices.count ? allowed
                                           : "";
        nw_xml_fail(c->x, element, NULL, c->err, NW_ERR_INPUT, "attribute \"%s\" is missing%s", missing, hint);
    } else if (code == XML_SCHEMAV_ELEMENT_CONTENT && element->parent && element->parent->type == XML_ELEMENT_NODE &&
               (declaration = declaration_of(c->schema, element->parent))) {
        each_declared(c->schema, declaration, "element", add_choice, &choices);
        list_choices(&choices, (const char *)element->name, allowed, sizeof allowed);
        nw_xml_fail(c->x, element, NULL, c->err, NW_ERR_INPUT, "there is no such element in <%s>%s",
                    (const char *)element->parent->name, allowed);
    } else if (attribute[0]) {
        char *value = nw_xml_attribute(element, attribute);
        choices_of_value(&choices, c->schema, element, attribute);
        list_choices(&choices, value, allowed, sizeof allowed);
        nw_xml_fail(c->x, element, attribute, c->err, NW_ERR_INPUT, "%s=\"%s\": %s%s", attribute, value ? value : "",
                    choices.count ? "no such value" : sentence, choices.count ? allowed : "");
        xmlFree(value);
    } else {
        nw_xml_fail(c->x, element, NULL, c->err, NW_ERR_INPUT, "%s", sentence);
    }
}

static void note_first(void *context, xmlErrorPtr e)
{
    struct complaint *c = context;
    nw_xml_notice(c->x, e);
    if (c->made || !e->message)
        return;
    c->made = true;
    const xmlNode *n = e->node;
    while (n && n->type != XML_ELEMENT_NODE)
        n = n->parent;
    if (n)
        explain(c, n, e->code, e->message);
    else
        nw_fail(c->err, NW_ERR_INPUT, "%s:%d: %.*s", c->x->name, e->line, (int)strcspn(e->message, "\n"), e->message);
}

/* ---- validation ---- */

/* xsi:schemaLocation would make libxml2 read the file it names; the schema used here is never another. */
static void drop_schema_hints(xmlNode *element)
{
    for (xmlAttr *a = element->properties, *next; a; a = next) {
        next = a->next;
        if (a->ns && !strcmp((const char *)a->ns->href, xsi_namespace))
            xmlRemoveProp(a);
    }
    for (xmlNode *n = nw_xml_first(element); n; n = nw_xml_next(n))
        drop_schema_hints(n); /* as deep as the parser allows: 256 */
}

static enum nw_status check_root(const struct nw_xml *x, const char *kind, struct nw_error *err)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "urn:nestwalk:%s:1", kind);
    const xmlNode *root = xmlDocGetRootElement(x->doc);
    if (strcmp((const char *)root->name, kind) != 0)
        return nw_xml_fail(x, root, NULL, err, NW_ERR_INPUT,
                           "this is no %s file: its first element must be <%s xmlns=\"%s\">", kind, kind, wanted);
    const char *found = root->ns ? (const char *)root->ns->href : NULL;
    if (!found)
        return nw_xml_fail(x, root, NULL, err, NW_ERR_INPUT, "the namespace is missing: <%s xmlns=\"%s\">", kind,
                           wanted);
    if (strcmp(found, wanted) != 0)
        return nw_xml_fail(x, root, "xmlns", err, NW_ERR_INPUT, "namespace \"%s\" is not known; allowed: \"%s\"", found,
                           wanted);
    return NW_OK;
}

static enum nw_status run_schema(struct complaint *c, xmlDoc *schema_doc)
{
    enum nw_status s = NW_OK;
    xmlSchemaValidCtxt *validator = NULL;
    xmlSchema *schema = NULL;
    xmlSchemaParserCtxt *parser = xmlSchemaNewDocParserCtxt(schema_doc);
    if (!parser)
        return nw_fail_nomem(c->err, "a schema parser");
    xmlSchemaSetParserStructuredErrors(parser, note_first, c);
    schema = xmlSchemaParse(parser);
    if (!schema) {
        /* The schemas are our own and tested, so that a failure without a complaint can only be want of memory. */
        s = c->made ? NW_ERR_INTERNAL : nw_fail_nomem(c->err, "a schema");
        goto out;
    }
    validator = xmlSchemaNewValidCtxt(schema);
    if (!validator) {
        s = nw_fail_nomem(c->err, "a schema validator");
        goto out;
    }
    xmlSchemaSetValidStructuredErrors(validator, note_first, c);
    int result = xmlSchemaValidateDoc(validator, c->x->doc);
    if (result < 0)
        s = nw_fail(c->err, NW_ERR_INTERNAL, "%s: validation failed", c->x->name);
    else if (result > 0)
        s = c->made ? NW_ERR_INPUT : nw_fail(c->err, NW_ERR_INPUT, "%s: does not match its schema", c->x->name);
out:
    xmlSchemaFreeValidCtxt(validator);
    xmlSchemaFree(schema);
    xmlSchemaFreeParserCtxt(parser);
    return s;
}

enum nw_status nw_xml_validate(struct nw_xml *x, const char *kind, struct nw_error *err)
{
    enum nw_status s = check_root(x, kind, err);
    if (s)
        return s;
    const struct nw_embedded *file = nw_embedded_find(NW_EMBEDDED_SCHEMA, kind);
    if (!file)
        return nw_fail(err, NW_ERR_INTERNAL, "this build has no schema for %s files", kind);
    xmlDoc *doc = xmlReadMemory(file->text, (int)file->size, kind, NULL, XML_PARSE_NONET | XML_PARSE_NOBLANKS);
    if (!doc)
        return nw_fail_nomem(err, "a schema");
    drop_schema_hints(xmlDocGetRootElement(x->doc));
    struct complaint c = { .x = x, .schema = xmlDocGetRootElement(doc), .err = err };
    s = run_schema(&c, doc);
    xmlFreeDoc(doc);
    return nw_xml_verdict(x, s, err);
}
