/* nwt_format.h - the bytes of a .nwt file, shared by writer and reader. docs/trace-format.md is the specification; every number
 * is little-endian, as on the hosts that nestwalk runs on, so the structs below are read and written as they are. */
#ifndef NESTWALK_TRACES_NWT_FORMAT_H
#define NESTWALK_TRACES_NWT_FORMAT_H

#include <assert.h>
#include <nestwalk/base/compiler.h>
#include <nestwalk/traces/block.h>
#include <stdint.h>

#define NWT_MAGIC "\x89NWT\r\n\x1a\n"
enum { NWT_MAGIC_BYTES = 8, NWT_VERSION = 1 };

enum {
    NWT_BLOCK_MAGIC = 0x4b4c424e,  /* "NBLK" */
    NWT_INDEX_MAGIC = 0x5844494e,  /* "NIDX" */
    NWT_FOOTER_MAGIC = 0x444e454e, /* "NEND" */
};

enum {
    NWT_BLOCK_EVENTS_MAX = 65536,
    NWT_BLOCK_DATA_WORDS_MAX = 131072,
    NWT_TABLE_PAGES_MAX = 262144, /* of the header's image: 1 GiB of page tables */
    NWT_HEADER_BYTES_MAX = 1 << 30,
};

struct nwt_prefix { /* the file's first bytes; the header's fields follow */
    uint8_t magic[NWT_MAGIC_BYTES];
    uint32_t version;
    uint32_t body_bytes;
    uint64_t checksum; /* of everything above and of the body */
};

/* Fields of the header's body: key, length, value. A reader refuses a key it does not know, unless the bit NWT_KEY_OPTIONAL is set. */
enum nwt_key {
    NWT_KEY_ORIGIN = 1,
    NWT_KEY_WORKLOAD,
    NWT_KEY_CPU_MODEL,
    NWT_KEY_KERNEL,
    NWT_KEY_KVM_BACKEND,
    NWT_KEY_SEED,
    NWT_KEY_VCPU_COUNT,
    NWT_KEY_GVA_BITS,
    NWT_KEY_GPA_BITS,
    NWT_KEY_GUEST_MEMORY,
    NWT_KEY_INSTRUCTIONS,
    NWT_KEY_HAS_TABLES,
    NWT_KEY_VCPU_STATES,
    NWT_KEY_TABLE_PAGES,
    NWT_KEY_END,
    NWT_KEY_OPTIONAL = 0x8000,
};
struct nwt_field {
    uint16_t key;
    uint16_t reserved; /* 0 */
    uint32_t bytes;
};

/* The columns of a block, in file order: what touches need comes first, so that the rest need not even be read. */
enum nwt_column_id {
    NWT_EVENTS,
    NWT_CLASS, /* bitmap: 1 = fetch; only when a block has both classes */
    NWT_TOUCH, /* bitmap: 1 = the access has an entry in the page list of its class */
    NWT_CROSSINGS,
    NWT_PAGE_LENGTHS,
    NWT_PAGE_BYTES,
    NWT_KIND,
    NWT_OFFSET_LOW,
    NWT_OFFSET_HIGH,
    NWT_COLUMNS
};
extern const char *const nwt_column_name[NWT_COLUMNS];

enum nwt_encoding { NWT_RAW, NWT_ZSTD, NWT_FILL, NWT_ENCODINGS };

/* Classes of access. Columns that are grouped by class hold the data accesses first. */
enum { NWT_DATA, NWT_FETCH, NWT_CLASSES };

struct nwt_column {
    uint32_t raw_bytes, stored_bytes;
    uint64_t checksum; /* of the stored bytes */
};

struct nwt_block_header {
    uint32_t magic;
    uint32_t block_bytes; /* this header and all columns */
    uint64_t ordinal;     /* 0, 1, ... */
    uint64_t first_access;
    uint32_t access_count, event_count, event_data_words;
    uint32_t fetches, loads, stores;
    uint32_t page_entries[NWT_CLASSES];
    uint32_t crossings;
    uint16_t vcpu;
    uint16_t reserved; /* 0 */
    uint64_t page_base[NWT_CLASSES];
    uint8_t page_length[NWT_CLASSES][4]; /* bytes that the 2-bit length codes stand for */
    uint8_t encoding[NWT_COLUMNS];
    uint8_t reserved2[7]; /* 0 */
    struct nwt_column column[NWT_COLUMNS];
    uint64_t checksum; /* of everything above */
};
static_assert(sizeof(struct nwt_block_header) == 256, "the block header has 256 bytes and no padding");

struct nwt_index_head {
    uint32_t magic, entry_bytes;
    uint64_t count;
};
struct nwt_index_entry {
    uint64_t offset, first_access;
    uint32_t block_bytes, access_count, event_count;
    uint16_t vcpu, reserved;
};
static_assert(sizeof(struct nwt_index_entry) == 32, "an index entry has 32 bytes and no padding");

struct nwt_footer {
    uint32_t magic, version;
    uint64_t index_offset, index_bytes;
    uint64_t blocks, accesses, events, fetches, loads, stores;
    uint64_t index_checksum;
    uint64_t checksum; /* of everything above */
};
static_assert(sizeof(struct nwt_footer) == 88, "the footer has 88 bytes and no padding");

uint64_t nwt_checksum(const void *bytes, size_t count); /* xxh3-64, seed 0 */

static inline uint32_t nwt_bitmap_bytes(uint32_t bits) { return (bits + 63) / 64 * 8; }
static inline uint64_t nwt_load64(const void *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
static inline void nwt_store64(void *p, uint64_t v) { __builtin_memcpy(p, &v, sizeof v); }

/* ---- varints: LEB128, least significant seven bits first, at most ten bytes ---- */
enum { NWT_VARINT_MAX = 10 };
static inline uint8_t *nwt_varint_put(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}
/* NULL when the number does not end before `end` or does not fit 64 bits. */
static inline const uint8_t *nwt_varint_get(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
        uint8_t b = *p++;
        if (shift == 63 && b > 1)
            return NULL;
        *v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return p;
    }
    return NULL;
}

/* ---- growing buffers ---- */
struct nwt_buffer {
    uint8_t *bytes;
    size_t capacity;
};
/* Room for `bytes`, and 8 more that may be read and written; contents are kept. */
enum nw_status nwt_buffer_reserve(struct nwt_buffer *b, size_t bytes, struct nw_error *err) NW_MUST_USE;
void nwt_buffer_free(struct nwt_buffer *b);

/* ---- header (nwt_header.c) ---- */
/* The whole header, prefix included, in a malloc'd *out. Its length depends only on what is not a plain number. */
enum nw_status nwt_header_encode(const struct nw_trace_info *info, uint8_t **out, size_t *bytes,
                                 struct nw_error *err) NW_MUST_USE;
/* `body` is what follows a prefix whose checksum is right. On success the caller owns *info. */
enum nw_status nwt_header_decode(const uint8_t *body, size_t bytes, const char *path, struct nw_trace_info *info,
                                 struct nw_error *err) NW_MUST_USE;

/* ---- events (event_codec.c) ---- */
/* Appends to *out at *used. The events have been checked. */
enum nw_status nwt_events_encode(const struct nw_event *event, uint32_t count, uint16_t vcpu, struct nwt_buffer *out,
                                 size_t *used, struct nw_error *err) NW_MUST_USE;
/* Decodes exactly `count` events with `data_words` words from exactly `bytes` bytes. */
enum nw_status nwt_events_decode(const uint8_t *in, size_t bytes, uint32_t access_count, uint16_t vcpu,
                                 uint16_t vcpu_count, struct nw_event *event, uint32_t count, uint64_t *words,
                                 uint32_t data_words, struct nw_error *err) NW_MUST_USE;

/* ---- blocks (nwt_encode.c, nwt_block_header.c, nwt_decode.c) ---- */
struct nwt_encoder;
enum nw_status nwt_encoder_create(struct nwt_encoder **out, struct nw_error *err) NW_MUST_USE;
void nwt_encoder_destroy(struct nwt_encoder *e);
/* Encodes a block that has addresses and checked events. *out, header first, belongs to the encoder until the next call. */
enum nw_status nwt_encode(struct nwt_encoder *e, const struct nw_block *block, uint64_t ordinal, const uint8_t **out,
                          struct nw_error *err) NW_MUST_USE;

/* Where something is, for messages. */
struct nwt_place {
    const char *path;
    uint64_t block, offset;
};
enum nw_status nwt_fail_at(struct nw_error *err, const struct nwt_place *at, const char *format, ...) NW_PRINTF(3, 4);

/* Everything of a header that can be checked without the columns. `available` = bytes of the file from this block on. */
enum nw_status nwt_block_header_check(const struct nwt_block_header *h, const struct nwt_place *at, uint16_t vcpu_count,
                                      uint64_t available, struct nw_error *err) NW_MUST_USE;
/* How many of the columns (counted from the first) a consumer with this `want` needs. */
unsigned nwt_columns_wanted(unsigned want);

struct nwt_decoder;
enum nw_status nwt_decoder_create(struct nwt_decoder **out, struct nw_error *err) NW_MUST_USE;
void nwt_decoder_destroy(struct nwt_decoder *d);
/* `columns` holds the stored bytes of the columns that `want` needs, and 8 readable bytes more. The block's columns are the
 * decoder's until the next call, or point into `columns`. */
enum nw_status nwt_decode(struct nwt_decoder *d, const struct nwt_block_header *h, const uint8_t *columns,
                          unsigned want, uint16_t vcpu_count, const struct nwt_place *at, struct nw_block *block,
                          struct nw_error *err) NW_MUST_USE;

/* ---- files (nwt_file.c) ---- */
struct nwt_file {
    int fd;
    char *path;
    uint64_t bytes;
    uint64_t blocks_offset; /* where the first block starts */
    bool has_footer;
    struct nwt_footer footer;
    uint64_t blocks_end; /* the index, or the end of the file when there is no footer */
};
/* Opens, reads and checks header and footer. Without a valid footer has_footer is false; that alone is no error here. */
enum nw_status nwt_file_open(struct nwt_file *f, const char *path, struct nw_trace_info *info,
                             struct nw_error *err) NW_MUST_USE;
void nwt_file_close(struct nwt_file *f);
/* Exactly `bytes` bytes, or an error that says where. */
enum nw_status nwt_file_read(const struct nwt_file *f, void *to, size_t bytes, uint64_t offset,
                             struct nw_error *err) NW_MUST_USE;
/* The block at `offset`: its header, checked, and that it is the expected one. */
enum nw_status nwt_file_block_header(const struct nwt_file *f, const struct nwt_place *at, uint64_t first_access,
                                     uint16_t vcpu_count, struct nwt_block_header *h, struct nw_error *err) NW_MUST_USE;
/* The index, checked against its checksum and for order; malloc'd. */
enum nw_status nwt_file_index(const struct nwt_file *f, struct nwt_index_entry **out, struct nw_error *err) NW_MUST_USE;

/* ---- output files: a temporary name beside the target, renamed when complete (nwt_output.c) ---- */
struct nwt_output {
    int fd;
    char *path, *temporary;
    uint64_t offset;
    struct nwt_index_entry *index;
    size_t index_capacity;
    struct nwt_footer total;
};
enum nw_status nwt_output_open(struct nwt_output *o, const char *path, struct nw_error *err) NW_MUST_USE;
enum nw_status nwt_output_append(struct nwt_output *o, const void *bytes, size_t count,
                                 struct nw_error *err) NW_MUST_USE;
/* Appends a whole encoded block and remembers it for the index. */
enum nw_status nwt_output_block(struct nwt_output *o, const uint8_t *block, struct nw_error *err) NW_MUST_USE;
/* Index, footer, the header once more when not NULL (same length as before), rename. */
enum nw_status nwt_output_finish(struct nwt_output *o, const uint8_t *header, size_t header_bytes,
                                 struct nw_error *err) NW_MUST_USE;
void nwt_output_discard(struct nwt_output *o); /* removes the temporary file when there is one; frees */

#endif
