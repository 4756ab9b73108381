/* xml_file.c - reading, parsing and locating. See xml_file.h.
 *
 * Document types are refused before libxml2 sees the text, so entities can neither expand nor name other files. What then
 * remains is plain enough that a few lines can find every start tag again, which gives positions that a DOM does not keep. */
#include "xml_file.h"
#include <errno.h>
#include <libxml/parser.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- places in the text ---- */

struct place {
    unsigned line, column;
};

static struct place place_of(const struct nw_xml *x, size_t offset)
{
    struct place p = { 1, 1 };
    for (size_t i = 0; i < offset && i < x->size; i++) {
        if (x->text[i] == '\n') {
            p.line++;
            p.column = 1;
        } else if (((unsigned char)x->text[i] & 0xc0) != 0x80) { /* not a UTF-8 continuation byte */
            p.column++;
        }
    }
    return p;
}

static enum nw_status fail_at(const struct nw_xml *x, size_t offset, struct nw_error *err, const char *what)
{
    struct place p = place_of(x, offset);
    return nw_fail(err, NW_ERR_INPUT, "%s:%u:%u: %s", x->name, p.line, p.column, what);
}

static size_t skip_space(const char *text, size_t at) { return at + strspn(text + at, " \t\r\n"); }

/* Offset just after the next `end`, or of the end of the text. */
static size_t skip_past(const char *text, size_t at, const char *end)
{
    const char *found = strstr(text + at, end);
    return found ? (size_t)(found - text) + strlen(end) : at + strlen(text + at);
}

static bool starts(const char *text, size_t at, const char *with) { return !strncmp(text + at, with, strlen(with)); }

/* At a '<': where the construct ends if it is no tag (comment, instruction, CDATA); otherwise `at` itself. */
static size_t skip_non_tag(const char *text, size_t at)
{
    if (starts(text, at, "<!--"))
        return skip_past(text, at + 4, "-->");
    if (starts(text, at, "<?"))
        return skip_past(text, at, "?>");
    if (starts(text, at, "<![CDATA["))
        return skip_past(text, at, "]]>");
    return at;
}

static size_t skip_tag(const char *text, size_t at)
{
    while (text[at] && text[at] != '>') {
        if (text[at] == '"' || text[at] == '\'') {
            const char *closing = strchr(text + at + 1, text[at]);
            if (!closing)
                return at + strlen(text + at);
            at = (size_t)(closing - text);
        }
        at++;
    }
    return at + (text[at] == '>');
}

/* Offset of the next start tag at or after *at, which is moved behind it; false at the end. */
static bool next_start_tag(const char *text, size_t *at, size_t *tag)
{
    while (text[*at]) {
        *at += strcspn(text + *at, "<");
        if (!text[*at])
            return false;
        size_t after = skip_non_tag(text, *at);
        if (after != *at) {
            *at = after;
            continue;
        }
        *tag = *at;
        *at = skip_tag(text, *at);
        if (text[*tag + 1] != '/')
            return true;
    }
    return false;
}

/* Where an attribute's name stands inside the start tag at `tag`; the tag itself when it is not there. */
static size_t find_attribute(const char *text, size_t tag, const char *name)
{
    size_t at = tag + 1 + strcspn(text + tag + 1, " \t\r\n/>");
    for (;;) {
        at = skip_space(text, at);
        size_t length = strcspn(text + at, " \t\r\n=/>");
        if (!length)
            return tag;
        if (length == strlen(name) && starts(text, at, name))
            return at;
        at += length + strcspn(text + at + length, "\"'");
        const char *closing = text[at] ? strchr(text + at + 1, text[at]) : NULL;
        if (!closing)
            return tag;
        at = (size_t)(closing - text) + 1;
    }
}

static xmlNode *next_in_document(xmlNode *node)
{
    xmlNode *child = nw_xml_first(node);
    if (child)
        return child;
    for (; node && node->type == XML_ELEMENT_NODE; node = node->parent) {
        xmlNode *next = nw_xml_next(node);
        if (next)
            return next;
    }
    return NULL;
}

/* Start tags come in the same order as the elements of the tree. */
static void remember_places(struct nw_xml *x)
{
    size_t at = 0, tag = 0;
    for (xmlNode *n = xmlDocGetRootElement(x->doc); n && next_start_tag(x->text, &at, &tag); n = next_in_document(n))
        n->_private = (void *)(uintptr_t)tag; /* not a pointer: libxml2 leaves the field to its users */
}

static size_t offset_of(const xmlNode *element) { return (size_t)(uintptr_t)element->_private; }

unsigned nw_xml_line(const struct nw_xml *x, const xmlNode *element) { return place_of(x, offset_of(element)).line; }

enum nw_status nw_xml_fail(const struct nw_xml *x, const xmlNode *element, const char *attribute, struct nw_error *err,
                           enum nw_status status, const char *format, ...)
{
    size_t tag = offset_of(element);
    struct place p = place_of(x, attribute ? find_attribute(x->text, tag, attribute) : tag);
    va_list ap;
    va_start(ap, format);
    nw_fail_v(err, status, format, ap);
    va_end(ap);
    nw_error_context(err, "%s:%u:%u: <%s>", x->name, p.line, p.column, (const char *)element->name);
    return status;
}

/* ---- parsing ---- */

static enum nw_status refuse_document_type(const struct nw_xml *x, struct nw_error *err)
{
    if (strlen(x->text) != x->size)
        return fail_at(x, strlen(x->text), err, "a zero byte: this is not XML in UTF-8");
    size_t at = starts(x->text, 0, "\xef\xbb\xbf") ? 3 : 0;
    for (;;) {
        at = skip_space(x->text, at);
        if (!x->text[at])
            return fail_at(x, at, err, "no element: this is not an XML file");
        if (x->text[at] != '<')
            return fail_at(x, at, err, "text where an XML file has its first tag");
        size_t after = skip_non_tag(x->text, at);
        if (after == at)
            break;
        at = after;
    }
    if (starts(x->text, at, "<!"))
        return fail_at(x, at, err, "a document type (and with it entities) is not allowed");
    return NW_OK;
}

struct first_error {
    struct nw_xml *x;
    int line, column;
    char text[256];
};

/* Whether the parser has nothing but white space left: the file was cut off. */
static bool at_end(const xmlParserCtxt *parser)
{
    const xmlParserInput *in = parser->input;
    if (!in || !in->cur)
        return false;
    const char *rest = (const char *)in->cur;
    return !rest[strspn(rest, " \t\r\n")];
}

static void note_first_error(void *context, xmlErrorPtr e)
{
    xmlParserCtxt *parser = context;
    struct first_error *first = parser->_private;
    nw_xml_notice(first->x, e);
    if (first->text[0] || e->level < XML_ERR_ERROR || !e->message)
        return;
    first->line = e->line;
    first->column = e->int2;
    if (e->code == XML_ERR_INVALID_CHAR || e->code == XML_ERR_INVALID_ENCODING) {
        snprintf(first->text, sizeof first->text, "a byte that XML in UTF-8 does not allow");
        return;
    }
    bool cut_off = e->code != XML_ERR_TAG_NAME_MISMATCH && at_end(parser);
    size_t length = strcspn(e->message, "\n");
    const char *advice = strstr(e->message, " use XML_PARSE_HUGE"); /* meant for programmers */
    if (advice && (size_t)(advice - e->message) < length)
        length = (size_t)(advice - e->message);
    snprintf(first->text, sizeof first->text, "%s%.*s", cut_off ? "the file ends too early: " : "", (int)length,
             e->message);
}

static enum nw_status parse(struct nw_xml *x, struct nw_error *err)
{
    enum nw_status s = refuse_document_type(x, err);
    if (s)
        return s;
    struct first_error first = { .x = x };
    xmlParserCtxt *parser = xmlNewParserCtxt();
    if (!parser)
        return nw_fail_nomem(err, "an XML parser");
    parser->_private = &first;
    parser->sax->serror = note_first_error;
    x->doc = xmlCtxtReadMemory(parser, x->text, (int)x->size, x->name, NULL,
                               XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_IGNORE_ENC | XML_PARSE_NOERROR |
                                   XML_PARSE_NOWARNING);
    xmlFreeParserCtxt(parser);
    if (!x->doc && !first.text[0])
        x->out_of_memory = true;
    if (first.text[0] || x->out_of_memory)
        return nw_xml_verdict(
            x, nw_fail(err, NW_ERR_INPUT, "%s:%d:%d: %s", x->name, first.line, first.column, first.text), err);
    remember_places(x);
    return NW_OK;
}

/* ---- life cycle ---- */

static enum nw_status read_all(FILE *f, struct nw_xml *x, struct nw_error *err)
{
    x->text = malloc(NW_XML_SIZE_MAX + 2);
    if (!x->text)
        return nw_fail_nomem(err, x->name);
    x->size = fread(x->text, 1, NW_XML_SIZE_MAX + 1, f);
    if (ferror(f))
        return nw_fail_errno(err, errno == EISDIR ? NW_ERR_INPUT : NW_ERR_IO, errno, "%s: cannot be read", x->name);
    if (x->size > NW_XML_SIZE_MAX)
        return nw_fail(err, NW_ERR_INPUT, "%s: larger than %d bytes, the most that is read of a scenario or profile",
                       x->name, NW_XML_SIZE_MAX);
    x->text[x->size] = 0;
    return NW_OK;
}

void nw_xml_notice(struct nw_xml *x, const xmlError *e) { x->out_of_memory |= e->code == XML_ERR_NO_MEMORY; }

static void notice_only(void *context, xmlErrorPtr e) { nw_xml_notice(context, e); }

static enum nw_status open_as(struct nw_xml *x, const char *name, struct nw_error *err)
{
    *x = (struct nw_xml){ .saved_handler = xmlStructuredError, .saved_context = xmlStructuredErrorContext };
    xmlSetStructuredErrorFunc(x, notice_only);
    x->name = strdup(name);
    return x->name ? NW_OK : nw_fail_nomem(err, name);
}

static enum nw_status read_path(struct nw_xml *x, const char *path, struct nw_error *err)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return nw_fail_errno(err, errno == ENOENT || errno == ENOTDIR ? NW_ERR_INPUT : NW_ERR_IO, errno,
                             "%s: cannot be opened", path);
    enum nw_status s = read_all(f, x, err);
    fclose(f);
    return s;
}

enum nw_status nw_xml_read(struct nw_xml *x, const char *path, struct nw_error *err)
{
    enum nw_status s = open_as(x, path, err);
    if (!s)
        s = read_path(x, path, err);
    if (!s)
        s = parse(x, err);
    if (s)
        nw_xml_free(x);
    return s;
}

enum nw_status nw_xml_read_text(struct nw_xml *x, const char *name, const char *text, size_t size, struct nw_error *err)
{
    enum nw_status s = open_as(x, name, err);
    if (!s) {
        x->text = malloc(size + 1);
        s = x->text ? NW_OK : nw_fail_nomem(err, name);
    }
    if (!s) {
        memcpy(x->text, text, size);
        x->text[size] = 0;
        x->size = size;
        s = parse(x, err);
    }
    if (s)
        nw_xml_free(x);
    return s;
}

void nw_xml_free(struct nw_xml *x)
{
    xmlSetStructuredErrorFunc(x->saved_context, x->saved_handler);
    xmlFreeDoc(x->doc);
    free(x->text);
    free(x->name);
    *x = (struct nw_xml){ 0 };
}

enum nw_status nw_xml_verdict(const struct nw_xml *x, enum nw_status s, struct nw_error *err)
{
    return x->out_of_memory ? nw_fail_nomem(err, x->name) : s;
}

/* ---- the tree ---- */

xmlNode *nw_xml_first(const xmlNode *parent)
{
    xmlNode *n = parent->children;
    while (n && n->type != XML_ELEMENT_NODE)
        n = n->next;
    return n;
}

xmlNode *nw_xml_next(const xmlNode *element)
{
    xmlNode *n = element->next;
    while (n && n->type != XML_ELEMENT_NODE)
        n = n->next;
    return n;
}

char *nw_xml_attribute(const xmlNode *element, const char *name)
{
    return (char *)xmlGetNoNsProp(element, (const xmlChar *)name);
}
