/* The file header: what a trace says of itself, as keyed fields. */
#include "nwt_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define TEXT(key_, field)                                                                                              \
    {                                                                                                                  \
        (key_), offsetof(struct nw_trace_info, field), NW_TRACE_TEXT, true, 0, 0, #field                               \
    }
#define NUMBER(key_, field, first, last)                                                                               \
    {                                                                                                                  \
        (key_), offsetof(struct nw_trace_info, field), sizeof(((struct nw_trace_info *)0)->field), false, (first),     \
            (last), #field                                                                                             \
    }

/* The plain fields of struct nw_trace_info. Numbers are stored in 8 bytes, so that a header can be rewritten in place. */
static const struct plain_field {
    uint16_t key;
    size_t offset, bytes;
    bool text;
    uint64_t first, last; /* allowed values of a number */
    const char *name;
} plain_fields[] = {
    TEXT(NWT_KEY_ORIGIN, origin),
    TEXT(NWT_KEY_WORKLOAD, workload),
    TEXT(NWT_KEY_CPU_MODEL, cpu_model),
    TEXT(NWT_KEY_KERNEL, kernel),
    TEXT(NWT_KEY_KVM_BACKEND, kvm_backend),
    NUMBER(NWT_KEY_SEED, seed, 0, UINT64_MAX),
    NUMBER(NWT_KEY_VCPU_COUNT, vcpu_count, 1, NW_TRACE_VCPUS_MAX),
    NUMBER(NWT_KEY_GVA_BITS, gva_bits, 1, 64),
    NUMBER(NWT_KEY_GPA_BITS, gpa_bits, 0, NW_PHYS_BITS_MAX),
    NUMBER(NWT_KEY_GUEST_MEMORY, guest_memory_bytes, 0, UINT64_MAX),
    NUMBER(NWT_KEY_INSTRUCTIONS, instructions, 0, UINT64_MAX),
    NUMBER(NWT_KEY_HAS_TABLES, has_tables, 0, 1),
};

enum {
    VCPU_STATE_BYTES = 4 * 8 + 1,
    IMAGE_HEAD_BYTES = 4 + 4 + 8, /* page count, zstd or raw, raw bytes */
    PAGE_HEAD_BYTES = 8 + 64,     /* GPA, bitmap of the words that are not zero */
    PAGE_RAW_MAX = PAGE_HEAD_BYTES + NW_WORDS_PER_PAGE * 8,
    IMAGE_RATIO_MAX =
        64, /* a page has at least 4096 / 64 stored bytes, so a reader's memory is bounded by the file's size */
};

/* ---- encoding ---- */

struct output {
    uint8_t *bytes;
    size_t used, capacity;
};

static void *grow(struct output *o, size_t bytes)
{
    if (o->used + bytes > o->capacity) {
        size_t capacity = (o->used + bytes) * 2;
        uint8_t *grown = realloc(o->bytes, capacity);
        if (!grown)
            return NULL;
        o->bytes = grown;
        o->capacity = capacity;
    }
    void *at = o->bytes + o->used;
    o->used += bytes;
    return at;
}

static bool put_field(struct output *o, uint16_t key, const void *value, size_t bytes)
{
    struct nwt_field f = { .key = key, .bytes = (uint32_t)bytes };
    uint8_t *p = grow(o, sizeof f + bytes);
    if (!p)
        return false;
    memcpy(p, &f, sizeof f);
    if (bytes)
        memcpy(p + sizeof f, value, bytes);
    return true;
}

static bool put_plain(struct output *o, const struct nw_trace_info *info, const struct plain_field *f)
{
    const char *value = (const char *)info + f->offset;
    if (f->text)
        return put_field(o, f->key, value, strnlen(value, f->bytes - 1));
    uint64_t v = 0;
    memcpy(&v, value, f->bytes);
    return put_field(o, f->key, &v, sizeof v);
}

static bool put_vcpus(struct output *o, const struct nw_trace_info *info)
{
    uint8_t bytes[NW_TRACE_VCPUS_MAX * VCPU_STATE_BYTES], *p = bytes;
    for (unsigned i = 0; i < info->vcpu_count; i++) {
        const struct nw_vcpu_state *v = &info->vcpu[i];
        const uint64_t word[4] = { v->cr0, v->cr3, v->cr4, v->efer };
        memcpy(p, word, sizeof word);
        p[32] = v->cpl;
        p += VCPU_STATE_BYTES;
    }
    return put_field(o, NWT_KEY_VCPU_STATES, bytes, (size_t)(p - bytes));
}

static uint8_t *put_page(uint8_t *p, const struct nw_table_page *page)
{
    nwt_store64(p, page->gpa);
    uint8_t *bitmap = p + 8;
    memset(bitmap, 0, 64);
    p += PAGE_HEAD_BYTES;
    for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++)
        if (page->word[w]) {
            bitmap[w / 8] |= (uint8_t)(1u << w % 8);
            nwt_store64(p, page->word[w]);
            p += 8;
        }
    return p;
}

/* Uncompressed pages always do: each has PAGE_HEAD_BYTES at least. */
static bool fits_ratio(uint32_t pages, uint64_t stored) { return pages * NW_PAGE_BYTES <= stored * IMAGE_RATIO_MAX; }

static enum nw_status put_image(struct output *o, const struct nw_trace_info *info, struct nw_error *err)
{
    uint8_t *raw = malloc((size_t)info->table_count * PAGE_RAW_MAX), *p = raw;
    if (!raw)
        return nw_fail_nomem(err, "a trace's page-table pages");
    for (uint32_t i = 0; i < info->table_count; i++)
        p = put_page(p, &info->table[i]);
    uint64_t bytes = (uint64_t)(p - raw);
    size_t bound = ZSTD_compressBound(bytes), stored = bytes;
    uint8_t *field = malloc(IMAGE_HEAD_BYTES + bound);
    enum nw_status s = NW_OK;
    if (!field) {
        s = nw_fail_nomem(err, "a trace's page-table pages");
        goto out;
    }
    size_t r = ZSTD_compress(field + IMAGE_HEAD_BYTES, bound, raw, bytes, 9);
    uint32_t zstd = !ZSTD_isError(r) && r < bytes && fits_ratio(info->table_count, r);
    if (zstd)
        stored = r;
    else
        memcpy(field + IMAGE_HEAD_BYTES, raw, bytes);
    memcpy(field, &info->table_count, 4);
    memcpy(field + 4, &zstd, 4);
    memcpy(field + 8, &bytes, 8);
    if (!put_field(o, NWT_KEY_TABLE_PAGES, field, IMAGE_HEAD_BYTES + stored))
        s = nw_fail_nomem(err, "a trace's header");
out:
    free(field);
    free(raw);
    return s;
}

static enum nw_status check_info(const struct nw_trace_info *info, struct nw_error *err)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(plain_fields); i++) {
        const struct plain_field *f = &plain_fields[i];
        uint64_t v = 0;
        if (f->text)
            continue;
        memcpy(&v, (const char *)info + f->offset, f->bytes);
        if (v < f->first || v > f->last)
            return nw_fail(err, NW_ERR_USAGE, "a trace's %s is %" PRIu64 ", allowed is %" PRIu64 " to %" PRIu64,
                           f->name, v, f->first, f->last);
    }
    if (info->table_count > NWT_TABLE_PAGES_MAX)
        return nw_fail(err, NW_ERR_USAGE, "a trace has %" PRIu32 " page-table pages, allowed are %d", info->table_count,
                       NWT_TABLE_PAGES_MAX);
    for (uint32_t i = 0; i < info->table_count; i++)
        if (info->table[i].gpa % NW_PAGE_BYTES || (i && info->table[i].gpa <= info->table[i - 1].gpa))
            return nw_fail(err, NW_ERR_USAGE,
                           "page-table page %" PRIu32 " (GPA 0x%" PRIx64 ") is misaligned or out of order", i,
                           info->table[i].gpa);
    return NW_OK;
}

enum nw_status nwt_header_encode(const struct nw_trace_info *info, uint8_t **out, size_t *bytes, struct nw_error *err)
{
    struct output o = { 0 };
    enum nw_status s = check_info(info, err);
    if (s)
        return s;
    bool room = grow(&o, sizeof(struct nwt_prefix));
    for (size_t i = 0; room && i < NW_ARRAY_LEN(plain_fields); i++)
        room = put_plain(&o, info, &plain_fields[i]);
    room = room && put_vcpus(&o, info);
    if (!room)
        s = nw_fail_nomem(err, "a trace's header");
    else if (info->table_count)
        s = put_image(&o, info, err);
    if (!s && o.used > NWT_HEADER_BYTES_MAX)
        s = nw_fail(err, NW_ERR_USAGE, "a trace's header would have %zu bytes, allowed are %d", o.used,
                    NWT_HEADER_BYTES_MAX);
    if (s) {
        free(o.bytes);
        return s;
    }
    struct nwt_prefix *p = (struct nwt_prefix *)(void *)o.bytes;
    memcpy(p->magic, NWT_MAGIC, NWT_MAGIC_BYTES);
    p->version = NWT_VERSION;
    p->body_bytes = (uint32_t)(o.used - sizeof *p);
    memset(&p->checksum, 0, sizeof p->checksum);
    p->checksum = nwt_checksum(o.bytes, o.used); /* computed with the field itself zero */
    *out = o.bytes;
    *bytes = o.used;
    return NW_OK;
}

/* ---- decoding ---- */

static enum nw_status bad(struct nw_error *err, const char *path, size_t offset, const char *what)
{
    return nw_fail(err, NW_ERR_INPUT, "%s: header at offset %zu: %s", path, offset + sizeof(struct nwt_prefix), what);
}

static const struct plain_field *find_plain(uint16_t key)
{
    for (size_t i = 0; i < NW_ARRAY_LEN(plain_fields); i++)
        if (plain_fields[i].key == key)
            return &plain_fields[i];
    return NULL;
}

static const char *get_plain(struct nw_trace_info *info, const struct plain_field *f, const uint8_t *value,
                             size_t bytes)
{
    char *to = (char *)info + f->offset;
    if (f->text) {
        if (bytes >= f->bytes || memchr(value, 0, bytes))
            return "a text is too long or holds a zero byte";
        memcpy(to, value, bytes);
        return NULL;
    }
    if (bytes != 8)
        return "a number has not 8 bytes";
    uint64_t v = nwt_load64(value);
    if (v < f->first || v > f->last)
        return "a number is out of its range";
    memcpy(to, &v, f->bytes);
    return NULL;
}

static const char *get_vcpus(struct nw_trace_info *info, const uint8_t *p, size_t bytes)
{
    if (bytes != (size_t)info->vcpu_count * VCPU_STATE_BYTES)
        return "the vCPU states do not fit the count of vCPUs";
    for (unsigned i = 0; i < info->vcpu_count; i++, p += VCPU_STATE_BYTES) {
        info->vcpu[i] = (struct nw_vcpu_state){ .cr0 = nwt_load64(p),
                                                .cr3 = nwt_load64(p + 8),
                                                .cr4 = nwt_load64(p + 16),
                                                .efer = nwt_load64(p + 24),
                                                .cpl = p[32] };
        if (p[32] > 3)
            return "a privilege level is above 3";
    }
    return NULL;
}

/* One page from [p, end); NULL when it is malformed. */
static const uint8_t *get_page(const uint8_t *p, const uint8_t *end, struct nw_table_page *page)
{
    if (end - p < PAGE_HEAD_BYTES)
        return NULL;
    page->gpa = nwt_load64(p);
    const uint8_t *bitmap = p + 8;
    p += PAGE_HEAD_BYTES;
    for (unsigned w = 0; w < NW_WORDS_PER_PAGE; w++) {
        page->word[w] = 0;
        if (!(bitmap[w / 8] >> w % 8 & 1))
            continue;
        if (end - p < 8)
            return NULL;
        page->word[w] = nwt_load64(p);
        p += 8;
    }
    return p;
}

static const char *get_pages(struct nw_trace_info *info, const uint8_t *p, const uint8_t *end, uint32_t count,
                             bool *nomem)
{
    info->table = malloc((size_t)count * sizeof *info->table);
    if (!info->table) {
        *nomem = true;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        p = get_page(p, end, &info->table[i]);
        if (!p)
            return "the page-table pages end early";
        if (info->table[i].gpa % NW_PAGE_BYTES || (i && info->table[i].gpa <= info->table[i - 1].gpa))
            return "a page-table page is misaligned or out of order";
        info->table_count = i + 1;
    }
    return p == end ? NULL : "the page-table pages are followed by something else";
}

/* Allocations are bounded: the count of pages by the stored bytes, the raw bytes by the count. */
static const char *get_image(struct nw_trace_info *info, const uint8_t *p, size_t bytes, bool *nomem)
{
    uint32_t count, zstd;
    if (bytes < IMAGE_HEAD_BYTES || info->table)
        return "the page-table pages are too short or come twice";
    memcpy(&count, p, 4);
    memcpy(&zstd, p + 4, 4);
    uint64_t raw_bytes = nwt_load64(p + 8), stored = bytes - IMAGE_HEAD_BYTES;
    p += IMAGE_HEAD_BYTES;
    if (zstd > 1 || !count || count > NWT_TABLE_PAGES_MAX || raw_bytes < count * (uint64_t)PAGE_HEAD_BYTES ||
        raw_bytes > count * (uint64_t)PAGE_RAW_MAX || !fits_ratio(count, stored) || (!zstd && raw_bytes != stored))
        return "the page-table pages announce an absurd size";
    if (!zstd)
        return get_pages(info, p, p + stored, count, nomem);
    uint8_t *raw = malloc(raw_bytes);
    if (!raw) {
        *nomem = true;
        return NULL;
    }
    size_t r = ZSTD_decompress(raw, raw_bytes, p, stored);
    const char *wrong = ZSTD_isError(r) || r != raw_bytes ? "the page-table pages do not decompress"
                                                          : get_pages(info, raw, raw + raw_bytes, count, nomem);
    free(raw);
    return wrong;
}

enum nw_status nwt_header_decode(const uint8_t *body, size_t bytes, const char *path, struct nw_trace_info *info,
                                 struct nw_error *err)
{
    nw_trace_info_init(info);
    const char *wrong = NULL;
    bool nomem = false;
    size_t at = 0;
    while (at < bytes) {
        struct nwt_field f;
        wrong = "a field is longer than the header";
        if (bytes - at < sizeof f)
            break;
        memcpy(&f, body + at, sizeof f);
        if (f.bytes > bytes - at - sizeof f)
            break;
        const uint8_t *value = body + at + sizeof f;
        const struct plain_field *plain = find_plain(f.key);
        if (plain)
            wrong = get_plain(info, plain, value, f.bytes);
        else if (f.key == NWT_KEY_VCPU_STATES)
            wrong = get_vcpus(info, value, f.bytes);
        else if (f.key == NWT_KEY_TABLE_PAGES)
            wrong = get_image(info, value, f.bytes, &nomem);
        else
            wrong = f.key & NWT_KEY_OPTIONAL ? NULL : "a field is unknown; the trace needs a newer nestwalk";
        if (wrong || nomem)
            break;
        at += sizeof f + f.bytes;
    }
    if (!wrong && !nomem)
        return NW_OK;
    nw_trace_info_fini(info);
    return nomem ? nw_fail_nomem(err, "a trace's page-table pages") : bad(err, path, at, wrong);
}
