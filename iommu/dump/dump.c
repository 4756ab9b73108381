/* Texts of a running machine, by words. */
#include <ctype.h>
#include <nestwalk/base/bits.h>
#include <nestwalk/iommu/dump.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const nw_dump_kind_name[NW_DUMP_KINDS] = { "unknown",
                                                       "iommu_regset",
                                                       "dmar_translation_struct",
                                                       "domain_translation_struct",
                                                       "ir_translation_struct",
                                                       "invalidation_queue",
                                                       "iomem",
                                                       "cmdline",
                                                       "lspci" };

/* ---- lines and words ---------------------------------------------------------------------------- */

enum { LINE_MAX_BYTES = 4096, WORDS_MAX = 16 };

struct reader {
    struct nw_dump *d;
    const char *at, *end, *file;
    unsigned input;
    uint32_t line_number;
    char line[LINE_MAX_BYTES], words[LINE_MAX_BYTES]; /* the line, and cut at its blanks */
    char *word[WORDS_MAX];
    unsigned count;
    char unit[NW_DUMP_UNIT_NAME]; /* that the rows belong to */
    size_t items;
};

static bool next_line(struct reader *r)
{
    if (r->at == r->end)
        return false;
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t length = (size_t)((stop ? stop : r->end) - r->at);
    size_t kept = length < sizeof r->line ? length : sizeof r->line - 1;
    memcpy(r->line, r->at, kept);
    r->line[kept] = 0;
    for (size_t i = 0; i < kept; i++)
        if (!r->line[i] || r->line[i] == '\r')
            r->line[i] = ' ';
    r->at += length + (stop ? 1 : 0);
    r->line_number++;
    memcpy(r->words, r->line, kept + 1);
    r->count = 0;
    for (char *w = strtok(r->words, " \t"); w && r->count < WORDS_MAX; w = strtok(NULL, " \t"))
        r->word[r->count++] = w;
    return true;
}

static bool hex(const char *text, uint64_t *out)
{
    char *end;
    if (!isxdigit((unsigned char)*text))
        return false;
    *out = strtoull(text, &end, 16);
    return !*end || *end == ':' || *end == ',';
}

/* "0x1:0x2": first and second. */
static bool pair(const char *text, uint64_t *first, uint64_t *second)
{
    const char *colon = strchr(text, ':');
    return colon && hex(text, first) && hex(colon + 1, second);
}

/* "SSSS:BB:DD.F" or "BB:DD.F" and nothing behind it. */
static bool function_name(const char *text, uint16_t *segment, uint16_t *bdf)
{
    unsigned s = 0, b, d, f;
    int used = 0;
    if ((sscanf(text, "%4x:%2x:%2x.%1x%n", &s, &b, &d, &f, &used) != 4 || text[used]) &&
        (s = 0, used = 0, sscanf(text, "%2x:%2x.%1x%n", &b, &d, &f, &used) != 3 || text[used]))
        return false;
    if (d > 31 || f > 7)
        return false;
    *segment = (uint16_t)s;
    *bdf = (uint16_t)(b << 8 | d << 3 | f);
    return true;
}

static struct nw_dump_place here(const struct reader *r) { return (struct nw_dump_place){ r->input, r->line_number }; }

static enum nw_status bad(const struct reader *r, struct nw_error *err, const char *expected)
{
    return nw_fail(err, NW_ERR_INPUT, "%s:%u: expected %s, found \"%.80s\"", r->file, r->line_number, expected,
                   r->line);
}

/* Room for one more, zero; NULL: no memory. */
static void *grow(void *array, size_t *count, size_t bytes)
{
    void **a = array;
    if (!(*count & (*count - 1))) {
        void *bigger = realloc(*a, (*count ? *count * 2 : 1) * bytes);
        if (!bigger)
            return NULL;
        *a = bigger;
    }
    void *element = (char *)*a + (*count)++ * bytes;
    return memset(element, 0, bytes);
}

/* ---- iommu_regset ------------------------------------------------------------------------------- */

/* "IOMMU: dmar0 Register Base Address: fed90000", then "CAP  0x08  0x..." */
static enum nw_status regset(struct reader *r, struct nw_error *err)
{
    static const struct {
        const char *name;
        enum nw_dump_register which;
    } known[] = { { "CAP", NW_DUMP_CAP },       { "ECAP", NW_DUMP_ECAP }, { "GSTS", NW_DUMP_GSTS },
                  { "RTADDR", NW_DUMP_RTADDR }, { "FSTS", NW_DUMP_FSTS }, { "PMEN", NW_DUMP_PMEN },
                  { "IQT", NW_DUMP_IQT },       { "IQA", NW_DUMP_IQA },   { "IRTA", NW_DUMP_IRTA } };
    while (next_line(r)) {
        uint64_t base, value;
        const char *address = strstr(r->line, "Base Address:");
        if (address && r->count >= 2 && !strncmp(r->word[0], "IOMMU", 5)) {
            address += strcspn(address, ":") + 1;
            address += strspn(address, " ");
            struct nw_dump_unit *u = grow(&r->d->unit, &r->d->units, sizeof *u);
            if (!u)
                return nw_fail_nomem(err, "the units of a dump");
            snprintf(u->name, sizeof u->name, "%.15s", r->word[1]);
            u->place = here(r);
            if (!hex(address, &base))
                return bad(r, err, "the base address of a unit's registers");
            u->base = base;
            r->items++;
            continue;
        }
        for (size_t i = 0; i < NW_ARRAY_LEN(known) && r->count >= 3; i++)
            if (!strcmp(r->word[0], known[i].name)) {
                struct nw_dump_unit *u = r->d->units ? &r->d->unit[r->d->units - 1] : NULL;
                if (!u || u->place.input != r->input)
                    return bad(r, err, "\"IOMMU: NAME Register Base Address: ...\" before the first register");
                if (!hex(r->word[2], &value))
                    return bad(r, err, "a register's name, offset and contents");
                u->has[known[i].which] = true;
                u->value[known[i].which] = value;
                u->at[known[i].which] = here(r);
                r->items++;
            }
    }
    return NW_OK;
}

/* ---- dmar_translation_struct -------------------------------------------------------------------- */

/* "IOMMU dmar0: ..." begins a unit. */
static bool unit_line(struct reader *r)
{
    if (r->count < 2 || strcmp(r->word[0], "IOMMU") != 0)
        return false;
    snprintf(r->unit, sizeof r->unit, "%.*s", (int)(strcspn(r->word[1], ":") < 15 ? strcspn(r->word[1], ":") : 15),
             r->word[1]);
    return true;
}

/* "00:02.0  ROOT_HI:ROOT_LO  CTX_HI:CTX_LO  PASID  Q2:Q1:Q0" */
static enum nw_status translation(struct reader *r, struct nw_error *err)
{
    while (next_line(r)) {
        uint16_t segment, bdf;
        if (unit_line(r) || !r->count || !function_name(r->word[0], &segment, &bdf))
            continue;
        struct nw_dump_context *c = grow(&r->d->context, &r->d->contexts, sizeof *c);
        if (!c)
            return nw_fail_nomem(err, "the entries of a dump");
        memcpy(c->unit, r->unit, sizeof c->unit);
        c->source_id = bdf;
        c->place = here(r);
        if (r->count < 3 || !pair(r->word[1], &c->root[1], &c->root[0]) ||
            !pair(r->word[2], &c->context[1], &c->context[0]))
            return bad(r, err, "BB:DD.F, a root entry and a context entry, each HIGH:LOW");
        if (r->count >= 5 && strcmp(r->word[3], "-1") != 0) {
            const char *second = strchr(r->word[4], ':'), *third = second ? strchr(second + 1, ':') : NULL;
            c->has_pasid = true;
            c->pasid = (uint32_t)strtoul(r->word[3], NULL, 0);
            if (!third || !hex(r->word[4], &c->entry[2]) || !hex(second + 1, &c->entry[1]) ||
                !hex(third + 1, &c->entry[0]))
                return bad(r, err, "a PASID-table entry, WORD2:WORD1:WORD0");
        }
        r->items++;
    }
    return NW_OK;
}

/* ---- domain_translation_struct ------------------------------------------------------------------ */

/* "Device 0000:00:02.0 @0x1017f8000", "Device 0000:00:0a.0 with pasid 1 @0x..." */
static bool device_line(const struct reader *r, struct nw_dump_mapping *m)
{
    uint16_t segment;
    if (r->count < 3 || strcmp(r->word[0], "Device") != 0 || !function_name(r->word[1], &segment, &m->source_id))
        return false;
    m->device++;
    m->has_pasid = r->count >= 5 && !strcmp(r->word[3], "pasid");
    m->pasid = m->has_pasid ? (uint32_t)strtoul(r->word[4], NULL, 16) : 0;
    return true;
}

/* Two runs are one when the second goes on where the first ends. */
static bool goes_on(const struct nw_dump_mapping *a, const struct nw_dump_mapping *b)
{
    return a->place.input == b->place.input && a->device == b->device && a->read == b->read && a->write == b->write &&
           a->iova + a->bytes == b->iova && a->target + a->bytes == b->target;
}

/* "0x<IOVA page> | PML5E PML4E PDPE [PDE [PTE]]": the last that is not 0 maps the page. Bits 0 and 1 are read and write in the entries of
 * the second stage, present and writable in those of the first. */
static enum nw_status mappings(struct reader *r, struct nw_error *err)
{
    static const unsigned size_log2[] = { 48, 39, 30, 21, 12 };
    struct nw_dump_mapping next = { .device = 0 };
    while (next_line(r)) {
        uint64_t page, entry = 0;
        unsigned columns = 0, level = 0;
        if (device_line(r, &next) || !r->count || strncmp(r->word[0], "0x", 2) != 0)
            continue;
        if (!next.device)
            return bad(r, err, "\"Device SSSS:BB:DD.F @...\" before the first row");
        bool sound = hex(r->word[0] + 2, &page) && page < NW_BIT(52);
        for (unsigned i = 1; i < r->count && sound && columns < NW_ARRAY_LEN(size_log2); i++) {
            uint64_t value;
            if (!strcmp(r->word[i], "|"))
                continue;
            sound = !strncmp(r->word[i], "0x", 2) && hex(r->word[i] + 2, &value);
            if (sound && value) {
                entry = value;
                level = columns;
            }
            columns++;
        }
        if (!sound || columns < 3 || (entry && level < 2))
            return bad(
                r, err,
                "an IOVA page and the entries PML5E, PML4E, PDPE, PDE, PTE, of which one of the last three maps");
        r->items++;
        if (!(entry & 3))
            continue;
        next.iova = page << 12;
        next.bytes = NW_BIT(size_log2[level]);
        next.target = entry & nw_mask(51, size_log2[level]);
        next.read = entry & 1;
        next.write = entry & 2;
        next.place = here(r);
        struct nw_dump_mapping *last = r->d->mappings ? &r->d->mapping[r->d->mappings - 1] : NULL;
        if (last && goes_on(last, &next)) {
            last->bytes += next.bytes;
            continue;
        }
        struct nw_dump_mapping *m = grow(&r->d->mapping, &r->d->mappings, sizeof *m);
        if (!m)
            return nw_fail_nomem(err, "the mappings of a dump");
        *m = next;
    }
    return NW_OK;
}

/* ---- ir_translation_struct ---------------------------------------------------------------------- */

/* "Remapped Interrupt supported on IOMMU: dmar0", rows "INDEX BB:DD.F DST VECTOR HIGH LOW"; posted ones "INDEX BB:DD.F PDA_HIGH
 * PDA_LOW VECTOR HIGH LOW". */
static enum nw_status interrupts(struct reader *r, struct nw_error *err)
{
    bool posted = false;
    while (next_line(r)) {
        const char *unit = strstr(r->line, "supported on IOMMU:");
        uint16_t segment, bdf;
        if (unit) {
            posted = strstr(r->line, "Posted") != NULL;
            unit += strlen("supported on IOMMU:");
            unit += strspn(unit, " ");
            snprintf(r->unit, sizeof r->unit, "%.*s", (int)(strcspn(unit, " ") < 15 ? strcspn(unit, " ") : 15), unit);
            continue;
        }
        if (r->count < 6 || !isdigit((unsigned char)*r->word[0]) || !function_name(r->word[1], &segment, &bdf))
            continue;
        struct nw_dump_irte *e = grow(&r->d->irte, &r->d->irtes, sizeof *e);
        if (!e)
            return nw_fail_nomem(err, "the entries of a dump");
        memcpy(e->unit, r->unit, sizeof e->unit);
        e->index = (unsigned)strtoul(r->word[0], NULL, 10);
        e->posted = posted;
        e->place = here(r);
        if (!hex(r->word[r->count - 2], &e->word[1]) || !hex(r->word[r->count - 1], &e->word[0]))
            return bad(r, err, "an interrupt remapping entry, HIGH and LOW, at the end of the row");
        r->items++;
    }
    return NW_OK;
}

/* ---- invalidation_queue --------------------------------------------------------------------------- */

/* "Invalidation queue on IOMMU: dmar0", then "INDEX QW0 QW1 [QW2 QW3] STATUS"; the status is the kernel's. Slots that are 0 were never
 * used. */
static enum nw_status queue(struct reader *r, struct nw_error *err)
{
    while (next_line(r)) {
        const char *unit = strstr(r->line, "queue on IOMMU:");
        uint64_t word[4] = { 0 };
        if (unit) {
            unit += strlen("queue on IOMMU:");
            unit += strspn(unit, " ");
            snprintf(r->unit, sizeof r->unit, "%.*s", (int)(strcspn(unit, " ") < 15 ? strcspn(unit, " ") : 15), unit);
            continue;
        }
        if ((r->count != 4 && r->count != 6) || !isdigit((unsigned char)*r->word[0]))
            continue;
        for (unsigned i = 0; i < r->count - 2; i++)
            if (!hex(r->word[i + 1], &word[i]))
                return bad(r, err, "an index, a descriptor of two or four words, and a status");
        r->items++;
        if (!(word[0] | word[1] | word[2] | word[3]))
            continue;
        struct nw_dump_descriptor *q = grow(&r->d->descriptor, &r->d->descriptors, sizeof *q);
        if (!q)
            return nw_fail_nomem(err, "the descriptors of a dump");
        memcpy(q->unit, r->unit, sizeof q->unit);
        memcpy(q->word, word, sizeof q->word);
        q->index = (unsigned)strtoul(r->word[0], NULL, 10);
        q->place = here(r);
    }
    return NW_OK;
}

/* ---- /proc ---------------------------------------------------------------------------------------- */

/* "  00001000-0009ffff : System RAM" */
static enum nw_status iomem(struct reader *r, struct nw_error *err)
{
    while (next_line(r)) {
        unsigned long long start, last;
        int used = 0;
        if (sscanf(r->line, " %llx-%llx : %n", &start, &last, &used) != 2 || !used)
            continue;
        struct nw_dump_range *m = grow(&r->d->range, &r->d->ranges, sizeof *m);
        if (!m)
            return nw_fail_nomem(err, "the ranges of a dump");
        *m = (struct nw_dump_range){ .start = start, .last = last, .place = here(r) };
        snprintf(m->what, sizeof m->what, "%.47s", r->line + used);
        r->items++;
    }
    return NW_OK;
}

static enum nw_status cmdline(struct reader *r, struct nw_error *err)
{
    while (next_line(r)) {
        char *save = NULL;
        for (char *w = strtok_r(r->line, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
            struct nw_dump_option *o = grow(&r->d->option, &r->d->options, sizeof *o);
            if (!o)
                return nw_fail_nomem(err, "the options of a dump");
            snprintf(o->text, sizeof o->text, "%.95s", w);
            o->place = here(r);
            r->items++;
        }
    }
    return NW_OK;
}

/* ---- lspci -vvv --------------------------------------------------------------------------------- */

static enum nw_status lspci(struct reader *r, struct nw_error *err)
{
    struct nw_dump_function *f = NULL;
    bool in_acs = false, in_ats = false;
    while (next_line(r)) {
        uint16_t segment, bdf;
        if (r->line[0] != ' ' && r->line[0] != '\t' && r->count && function_name(r->word[0], &segment, &bdf)) {
            f = grow(&r->d->function, &r->d->functions, sizeof *f);
            if (!f)
                return nw_fail_nomem(err, "the functions of a dump");
            *f = (struct nw_dump_function){ .segment = segment, .bdf = bdf, .place = here(r) };
            const char *what = r->line + strlen(r->word[0]);
            snprintf(f->what, sizeof f->what, "%.95s", what + strspn(what, " \t"));
            f->bridge = strstr(what, "bridge") || strstr(what, " 0604:") || strstr(what, "[0604]");
            for (size_t i = 0; i + 1 < r->d->functions; i++) {
                struct nw_dump_function *g = &r->d->function[i];
                if (g->segment == segment && (g->bdf ^ bdf) < 8)
                    g->multifunction = f->multifunction = true;
            }
            in_acs = in_ats = false;
            r->items++;
            continue;
        }
        if (!f)
            continue;
        if (strstr(r->line, "Root Port") || strstr(r->line, "Downstream Port"))
            f->pcie_port = true;
        if (strstr(r->line, "Capabilities:")) {
            in_acs = strstr(r->line, "Access Control Services");
            in_ats = strstr(r->line, "Address Translation Service");
            f->has_acs |= in_acs;
            f->has_ats |= in_ats;
        }
        const char *acs = in_acs ? strstr(r->line, "ACSCtl:") : NULL, *ats = in_ats ? strstr(r->line, "ATSCtl:") : NULL;
        if (acs)
            f->acs_isolates = strstr(acs, "SrcValid+") && strstr(acs, "ReqRedir+") && strstr(acs, "CmpltRedir+") &&
                              strstr(acs, "UpstreamFwd+");
        if (ats)
            f->ats_on = strstr(ats, "Enable+");
    }
    return NW_OK;
}

/* ---- all of them -------------------------------------------------------------------------------- */

static bool begins_with_range(const char *line)
{
    unsigned long long start, last;
    int used = 0;
    return sscanf(line, " %llx-%llx : %n", &start, &last, &used) == 2 && used;
}

static bool is_option_line(const char *line)
{
    return strstr(line, "BOOT_IMAGE=") || strstr(line, "root=") || strstr(line, "intel_iommu=") ||
           strstr(line, "iommu=");
}

enum nw_dump_kind nw_dump_recognise(const char *text, size_t size)
{
    struct reader r = { .at = text, .end = text + size };
    for (unsigned i = 0; i < 64 && next_line(&r); i++) {
        uint16_t segment, bdf;
        if (!r.count)
            continue;
        if (strstr(r.line, "Register Base Address:"))
            return NW_DUMP_REGSET;
        if (strstr(r.line, "Root Table Address:") || strstr(r.line, "DMA Remapping is not enabled"))
            return NW_DUMP_TRANSLATION;
        if (r.count > 2 && !strcmp(r.word[0], "Device") && function_name(r.word[1], &segment, &bdf) &&
            strstr(r.line, "@0x"))
            return NW_DUMP_MAPPINGS;
        if (strstr(r.line, "Interrupt supported on IOMMU:") || strstr(r.line, "Interrupt Remapping is not enabled"))
            return NW_DUMP_INTERRUPTS;
        if (strstr(r.line, "Invalidation queue on IOMMU:"))
            return NW_DUMP_QUEUE;
        if (begins_with_range(r.line))
            return NW_DUMP_IOMEM;
        if (r.line[0] != ' ' && r.line[0] != '\t' && r.count > 1 && function_name(r.word[0], &segment, &bdf))
            return NW_DUMP_LSPCI;
        if (is_option_line(r.line))
            return NW_DUMP_CMDLINE;
    }
    return NW_DUMP_NONE;
}

enum nw_status nw_dump_add(struct nw_dump *d, const char *text, size_t size, const char *file, unsigned input,
                           size_t *items, struct nw_error *err)
{
    static enum nw_status (*const parse[NW_DUMP_KINDS])(
        struct reader *, struct nw_error *) = { [NW_DUMP_REGSET] = regset,     [NW_DUMP_TRANSLATION] = translation,
                                                [NW_DUMP_MAPPINGS] = mappings, [NW_DUMP_INTERRUPTS] = interrupts,
                                                [NW_DUMP_QUEUE] = queue,       [NW_DUMP_IOMEM] = iomem,
                                                [NW_DUMP_CMDLINE] = cmdline,   [NW_DUMP_LSPCI] = lspci };
    const enum nw_dump_kind kind = nw_dump_recognise(text, size);
    struct reader r = { .d = d, .at = text, .end = text + size, .file = file, .input = input };
    *items = 0;
    if (kind == NW_DUMP_NONE)
        return nw_fail(err, NW_ERR_INPUT,
                       "%s: not a text that is known here; iommu_regset, dmar_translation_struct, "
                       "domain_translation_struct, ir_translation_struct, invalidation_queue, "
                       "/proc/iomem, /proc/cmdline and lspci -vvv are",
                       file);
    enum nw_status s = parse[kind](&r, err);
    *items = r.items;
    return s;
}

/* Of a path's first hop: a device on the start bus. */
enum nw_status nw_dump_add_dmar(struct nw_dump *d, const struct nw_dmar *dmar, struct nw_error *err)
{
    d->has_dmar = true;
    d->dmar_flags |= dmar->flags;
    for (size_t i = 0; i < dmar->structures; i++) {
        const struct nw_dmar_structure *s = &dmar->structure[i];
        if (s->type == NW_DMAR_RMRR) {
            struct nw_dump_range *m = grow(&d->rmrr, &d->rmrrs, sizeof *m);
            if (!m)
                return nw_fail_nomem(err, "the regions of a table");
            *m = (struct nw_dump_range){ .start = s->base, .last = s->limit };
        }
        if (s->type != NW_DMAR_DRHD)
            continue;
        struct nw_dump_drhd *u = grow(&d->drhd, &d->drhds, sizeof *u);
        if (!u)
            return nw_fail_nomem(err, "the units of a table");
        *u = (struct nw_dump_drhd){ s->segment, s->base, s->flags & NW_DRHD_INCLUDE_PCI_ALL };
        for (size_t k = s->first_scope; k < s->first_scope + s->scopes; k++) {
            const struct nw_dmar_scope *scope = &dmar->scope[k];
            if ((scope->type != NW_DMAR_SCOPE_ENDPOINT && scope->type != NW_DMAR_SCOPE_BRIDGE) || !scope->hops)
                continue;
            struct nw_dump_scope *o = grow(&d->scope, &d->scopes, sizeof *o);
            if (!o)
                return nw_fail_nomem(err, "the scopes of a table");
            *o = (struct nw_dump_scope){ .drhd = d->drhds - 1,
                                         .bridge = scope->type == NW_DMAR_SCOPE_BRIDGE,
                                         .bdf = (uint16_t)(scope->start_bus << 8 | (scope->path[0] & 31) << 3 |
                                                           (scope->path[1] & 7)),
                                         .deep = scope->hops > 1 };
        }
    }
    return NW_OK;
}

void nw_dump_fini(struct nw_dump *d)
{
    free(d->unit);
    free(d->context);
    free(d->mapping);
    free(d->irte);
    free(d->descriptor);
    free(d->range);
    free(d->rmrr);
    free(d->option);
    free(d->function);
    free(d->drhd);
    free(d->scope);
    *d = (struct nw_dump){ .has_dmar = false };
}
